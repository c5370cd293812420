/*
 * What stands beside the samples of a store: metadata of families, figures of all loops, the lock
 * and the manifest of its directory.
 */
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/teststore.h"

/* Rounds stay away: memory holds everything. */
static void quiet(struct store_opts *o)
{
	o->round_every_ms = 1ll << 40;
	o->log_share_bytes = 1ull << 40;
}

/* ---- metadata ---- */

struct meta_call {
	struct store_meta_req req;
	struct teststore *ts;
	bool done;
};

static void meta_done(struct store_meta_req *r)
{
	CONTAINER_OF(r, struct meta_call, req)->done = true;
}

static void meta_ask(void *arg)
{
	struct meta_call *c = arg;
	static const uint32_t tenant = 0;
	c->req.tenants = &tenant;
	c->req.tenants_count = 1;
	store_meta(c->ts->store, &c->req);
}

static bool meta_is_done(void *arg)
{
	return ((struct meta_call *)arg)->done;
}

static bool meta_is(struct teststore *ts, unsigned loop, const char *help, size_t count)
{
	struct arena a;
	arena_init(&a, 4096);
	struct meta_call c = { .ts = ts,
		.req = { .arena = &a, .family = "up", .family_len = 2, .done = meta_done } };
	testteam_run(&ts->tt, loop, meta_ask, &c);
	bool good = testteam_wait(&ts->tt, loop, meta_is_done, &c, TESTTEAM_LONG_MS);
	good = good && c.req.count == 1 && c.req.metas[0].type == 2 &&
	    c.req.metas[0].help_len == strlen(help) &&
	    memcmp(c.req.metas[0].help, help, strlen(help)) == 0;
	struct meta_call all = { .ts = ts, .req = { .arena = &a, .done = meta_done } };
	testteam_run(&ts->tt, loop, meta_ask, &all);
	good = testteam_wait(&ts->tt, loop, meta_is_done, &all, TESTTEAM_LONG_MS) && good &&
	    all.req.count == count;
	arena_release(&a);
	return good;
}

static void add_meta(struct batch *b, const char *family, uint8_t type, const char *help)
{
	struct batch_meta *m = batch_add_meta(b);
	*m = (struct batch_meta){ .family = family,
		.family_len = (uint32_t)strlen(family),
		.help = help,
		.help_len = (uint32_t)strlen(help),
		.type = type };
}

static void metadata(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct batch b;
	struct sink_req r;
	batch_init(&b);
	teststore_open(&ts, dir, 2, quiet);
	add_meta(&b, "up", 1, "first");
	add_meta(&b, "down", 1, "");
	teststore_append(&ts, 1, &b, &r);
	batch_clear(&b);
	add_meta(&b, "up", 2, "is it up?");
	bool good = !r.err && teststore_append(&ts, 1, &b, &r) && !r.err;
	tap_ok(good && meta_is(&ts, 1, "is it up?", 2),
	    "metadata of families is kept, the last one counts");
	teststore_close(&ts);
	char path[512];
	snprintf(path, sizeof path, "%s/METADATA", dir);
	tap_ok(!unlink(path), "the end writes METADATA");
	teststore_open(&ts, dir, 1, quiet);
	tap_ok(meta_is(&ts, 0, "is it up?", 2), "without it a restart finds it in the log");
	teststore_close(&ts);
	teststore_open(&ts, dir, 1, quiet);
	tap_ok(meta_is(&ts, 0, "is it up?", 2), "and in METADATA after that");
	teststore_close(&ts);
	batch_release(&b);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- figures ---- */

struct stats_call {
	struct store_stats_req req;
	struct teststore *ts;
	bool done;
};

static void stats_done(struct store_stats_req *r)
{
	CONTAINER_OF(r, struct stats_call, req)->done = true;
}

static void stats_ask(void *arg)
{
	struct stats_call *c = arg;
	store_stats(c->ts->store, &c->req);
}

static bool stats_is_done(void *arg)
{
	return ((struct stats_call *)arg)->done;
}

static bool top_is(const struct store_top *t, const char *name, uint64_t value)
{
	return strcmp(t->name, name) == 0 && t->value == value;
}

static void figures(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct batch b;
	struct sink_req r;
	struct arena a;
	arena_init(&a, 1 << 16);
	batch_init(&b);
	int64_t now = clock_wall_ms();
	for (unsigned i = 0; i < 100; i++) {
		char n[16];
		snprintf(n, sizeof n, "i%u", i);
		teststore_row(&b,
		    label_make(
		        &a, LABEL_NAME, i < 70 ? "many" : "few", "job", "x", "instance", n, NULL),
		    now + i, 1);
	}
	teststore_open(&ts, dir, 2, quiet);
	teststore_append(&ts, 0, &b, &r);
	struct store_stats *s = mem_zalloc(sizeof *s);
	struct stats_call c = { .ts = &ts, .req = { .top = 3, .stats = s, .done = stats_done } };
	testteam_run(&ts.tt, 1, stats_ask, &c);
	bool done = testteam_wait(&ts.tt, 1, stats_is_done, &c, TESTTEAM_LONG_MS);
	tap_ok(done && s->series == 100 && s->label_pairs == 103 && s->t_min_ms == now &&
	        s->t_max_ms == now + 99,
	    "figures of both loops are put together");
	tap_ok(s->by_metric_count == 2 && top_is(&s->by_metric[0], "many", 70) &&
	        top_is(&s->by_metric[1], "few", 30),
	    "series by metric");
	tap_ok(s->by_label_count == 3 && top_is(&s->by_label[0], "instance", 100) &&
	        top_is(&s->by_label[1], LABEL_NAME, 2) && top_is(&s->by_label[2], "job", 1),
	    "values by label");
	tap_ok(s->by_pair_count == 3 && top_is(&s->by_pair[0], "job=x", 100) &&
	        top_is(&s->by_pair[1], LABEL_NAME "=many", 70),
	    "series by pair");
	mem_free(s);
	teststore_close(&ts);
	batch_release(&b);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- the directory ---- */

static void damage(const char *dir, const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "r+b");
	if (!f)
		return;
	fseek(f, 20, SEEK_SET);
	int c = fgetc(f);
	fseek(f, 20, SEEK_SET);
	fputc(c ^ 0x21, f);
	fclose(f);
}

static void locks_and_manifest(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts, second;
	enum err err;
	struct errbuf eb;
	char pid[32];
	teststore_open(&ts, dir, 1, quiet);
	uint64_t fp_seed = ts.store->manifest.seed;
	snprintf(pid, sizeof pid, "process %ld", (long)getpid());
	tap_ok(!teststore_try(&second, dir, 1, quiet, &err, &eb) && err == ERR_LOCKED &&
	        strstr(eb.text, pid),
	    "a second store is told who holds the directory: %s", eb.text);
	teststore_close(&ts);
	damage(dir, "MANIFEST.a");
	teststore_open(&ts, dir, 1, quiet);
	tap_ok(ts.store->manifest.seed == fp_seed, "one damaged copy of the manifest does no harm");
	teststore_close(&ts);
	damage(dir, "MANIFEST.b");
	teststore_open(&ts, dir, 1, quiet);
	tap_ok(ts.store->manifest.seed == fp_seed, "because it was written again");
	teststore_close(&ts);
	damage(dir, "MANIFEST.a");
	damage(dir, "MANIFEST.b");
	tap_ok(!teststore_try(&ts, dir, 1, quiet, &err, &eb) && err == ERR_DAMAGED,
	    "two damaged copies are an error, not a new directory: %s", eb.text);
	char path[512];
	snprintf(path, sizeof path, "%s/MANIFEST.a", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/MANIFEST.b", dir);
	unlink(path);
	tap_ok(!teststore_try(&ts, dir, 1, quiet, &err, &eb) && err == ERR_DAMAGED,
	    "so is data without a manifest");
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	metadata();
	figures();
	locks_and_manifest();
	return tap_done();
}
