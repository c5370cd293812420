/* What inlets share: the cache of what rules made, and elections of HA pairs. */
#include "core/account/hapair.h"
#include "net/api/api.h"
#include "net/recv/inlet.h"
#include "net/recv/inletcache.h"
#include "net/recv/inletconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/metric.h"
#include "core/base/wire.h"
#include "core/model/limits.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

/* ---- the cache ---- */

static struct labels numbered(struct arena *a, const char *name, unsigned i)
{
	char text[32];
	snprintf(text, sizeof(text), "%u", i);
	return label_make(a, "__name__", name, "i", arena_strndup(a, text, strlen(text)), NULL);
}

static const struct inlet_result *look(struct inletcache *c, struct labels ls, uint32_t way)
{
	return inletcache_find(c, ls, way);
}

static void keep(struct inletcache *c, struct labels ls, uint32_t way, const struct inlet_result *r)
{
	inletcache_add(c, ls, way, r);
}

static void t_cache(void)
{
	struct arena a;
	struct inletcache *c = inletcache_create(1 << 20);
	arena_init(&a, 4096);
	struct labels one = numbered(&a, "m", 1), made = numbered(&a, "made", 1);
	TAP_OK(!look(c, one, 0));
	keep(c, one, 0, &(struct inlet_result){ .fate = INLET_CHANGED, .labels = made });
	const struct inlet_result *r = look(c, one, 0);
	tap_ok(r && r->fate == INLET_CHANGED && label_equal(r->labels, made) &&
	        r->labels.bytes != made.bytes,
	    "a copy of what was made");
	tap_ok(!look(c, one, 1), "of another way nothing is known");
	keep(c, one, 1, &(struct inlet_result){ .fate = INLET_DROPPED });
	tap_ok(look(c, one, 1)->fate == INLET_DROPPED && look(c, one, 0)->fate == INLET_CHANGED,
	    "each way has its own");
	uint32_t len;
	struct labels pair = label_make(&a, "__name__", "x", "cluster", "c", "r", "rep", NULL);
	struct inlet_result p = { .fate = INLET_SAME,
		.cluster = label_get(pair, "cluster", 7, &len),
		.cluster_len = 1,
		.replica = label_get(pair, "r", 1, &len),
		.replica_len = 3 };
	keep(c, pair, 0, &p);
	r = look(c, pair, 0);
	tap_ok(
	    r->cluster != p.cluster && !memcmp(r->cluster, "c", 1) && !memcmp(r->replica, "rep", 3),
	    "pieces of the key lie in its copy");
	inletcache_clear(c);
	tap_ok(!look(c, one, 0) && !look(c, pair, 0), "all is forgotten");
	inletcache_free(c);
	arena_release(&a);
}

static void t_cache_bounds(void)
{
	struct arena a;
	struct inletcache *c = inletcache_create(1 << 20);
	unsigned wrong = 0, found = 0, last = 0;
	const unsigned many = 50000;
	arena_init(&a, 1 << 20);
	for (unsigned i = 0; i < many; i++) {
		struct labels ls = numbered(&a, "m", i), made = numbered(&a, "made", i);
		keep(c, ls, i % 3, &(struct inlet_result){ .fate = INLET_CHANGED, .labels = made });
		const struct inlet_result *r = look(c, ls, i % 3);
		wrong += !r || !label_equal(r->labels, made);
	}
	tap_ok(!wrong, "what was added last is there, however full it is");
	for (unsigned i = 0; i < many; i++) {
		const struct inlet_result *r = look(c, numbered(&a, "m", i), i % 3);
		wrong += r && !label_equal(r->labels, numbered(&a, "made", i));
		found += r != NULL;
		last = r && !last ? i : last;
	}
	for (unsigned i = many; i-- > many - 1000;) {
		const struct inlet_result *r = look(c, numbered(&a, "m", i), i % 3);
		wrong += !r || !label_equal(r->labels, numbered(&a, "made", i));
	}
	tap_ok(!wrong, "in the order in which they came, or another");
	tap_ok(!wrong && found > 1000 && found < many / 2 && many - last == found,
	    "the newest %u of %u are known, and nothing wrong", found, many);
	struct labels large = { arena_zalloc(&a, 1 << 20), 1 << 20 };
	keep(c, large, 0, &(struct inlet_result){ 0 });
	tap_ok(!look(c, large, 0) && look(c, numbered(&a, "m", many - 1), (many - 1) % 3),
	    "what is too large is not kept, and takes nobody's place");
	keep(c, (struct labels){ 0 }, 0, &(struct inlet_result){ 0 });
	tap_ok(!look(c, (struct labels){ 0 }, 0), "no labels at all are not kept");
	inletcache_free(c);
	arena_release(&a);
}

/* ---- pairs ---- */

#define S UINT64_C(1000000000)
static struct hapair_rule rule;
static uint64_t now = 1000 * S;

static enum hapair_told ask(
    struct hapairs *h, uint32_t tenant, const char *cluster, const char *replica)
{
	return hapairs_ask(h, tenant, &rule, cluster, strlen(cluster), replica, strlen(replica), now);
}

static void t_elections(void)
{
	struct hapairs *h = hapairs_create();
	rule = hapair_rule_default;
	rule.max_clusters = 3;
	TAP_OK(ask(h, 1, "c", "a") == HAPAIR_ELECTED && ask(h, 1, "c", "b") == HAPAIR_OTHER);
	tap_ok(ask(h, 2, "c", "b") == HAPAIR_ELECTED, "another tenant has its own");
	now += 29 * S;
	TAP_OK(ask(h, 1, "c", "b") == HAPAIR_OTHER && ask(h, 1, "c", "a") == HAPAIR_ELECTED);
	now += 29 * S;
	tap_ok(ask(h, 1, "c", "b") == HAPAIR_OTHER, "a request of the elected one begins it anew");
	now += 1 * S;
	tap_ok(ask(h, 1, "c", "b") == HAPAIR_ELECTED && ask(h, 1, "c", "a") == HAPAIR_OTHER,
	    "30 s of silence: the other one");
	now -= 5 * S;
	tap_ok(ask(h, 1, "c", "a") == HAPAIR_OTHER && ask(h, 1, "c", "b") == HAPAIR_ELECTED,
	    "a loop whose time is a little behind changes nothing");
	now += 5 * S;
	TAP_OK(ask(h, 1, "d", "a") == HAPAIR_ELECTED && ask(h, 1, "e", "a") == HAPAIR_ELECTED);
	TAP_OK(ask(h, 1, "f", "a") == HAPAIR_TOO_MANY && ask(h, 1, "e", "a") == HAPAIR_ELECTED);
	TAP_OK(ask(h, 2, "f", "a") == HAPAIR_ELECTED);
	now -= 2 * S;
	tap_ok(ask(h, 1, "f", "a") == HAPAIR_TOO_MANY && ask(h, 1, "e", "z") == HAPAIR_OTHER,
	    "by a loop whose time is a little behind nobody is forgotten");
	now += 2 * S;
	now += 3599 * S;
	TAP_OK(ask(h, 1, "c", "b") == HAPAIR_ELECTED && ask(h, 1, "f", "a") == HAPAIR_TOO_MANY);
	now += 2 * S;
	tap_ok(ask(h, 1, "f", "a") == HAPAIR_ELECTED && ask(h, 1, "c", "b") == HAPAIR_ELECTED,
	    "who was silent for an hour makes room, who was not stays");
	char name[HAPAIR_NAME_MAX + 2];
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	TAP_OK(ask(h, 1, name, "a") == HAPAIR_TOO_LONG && ask(h, 1, "a", name) == HAPAIR_TOO_LONG);
	hapairs_free(h);
}

static void t_many(void)
{
	struct hapairs *h = hapairs_create();
	char name[32];
	unsigned wrong = 0;
	rule.max_clusters = 10000;
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "c%u", i);
			wrong += ask(h, 7 + i % 3, name, round ? "late" : "first") !=
			    (round ? HAPAIR_OTHER : HAPAIR_ELECTED);
		}
	tap_ok(!wrong, "5,000 clusters of three tenants");
	hapairs_free(h);
	tap_ok(metric_sum(M_HA_CLUSTERS) == 0, "none is left behind");
}

/* ---- the file ---- */

struct asked {
	struct hapairs *h;
	enum hapair_told told;
	const char *cluster, *replica;
};

static void ask_there(void *arg)
{
	struct asked *a = arg;
	a->told = ask(a->h, 5, a->cluster, a->replica);
}

static enum hapair_told ask_on(
    struct testteam *tt, struct hapairs *h, const char *cluster, const char *replica)
{
	struct asked a = { h, HAPAIR_TOO_LONG, cluster, replica };
	testteam_run(tt, 0, ask_there, &a);
	return a.told;
}

static void t_kept(void)
{
	struct testteam tt;
	char *dir = testlib_tmpdir("hapair"), *path = testlib_path(dir, HAPAIR_FILE);
	testteam_start(&tt, 1);
	struct hapairs *h = hapairs_create();
	hapairs_keep(h, dir, tt.pool, now);
	TAP_OK(ask_on(&tt, h, "c", "a") == HAPAIR_ELECTED);
	for (unsigned ms = 0; access(path, R_OK) && ms < TESTTEAM_LONG_MS; ms++)
		usleep(1000);
	tap_ok(!access(path, R_OK), "the first election is written at once");
	TAP_OK(ask_on(&tt, h, "d", "b") == HAPAIR_ELECTED);
	testteam_stop(&tt);
	hapairs_free(h);
	h = hapairs_create();
	testteam_start(&tt, 1);
	now = 3 * S; /* another boot: its clock begins anew */
	hapairs_keep(h, dir, tt.pool, now);
	tap_ok(ask_on(&tt, h, "c", "z") == HAPAIR_OTHER && ask_on(&tt, h, "d", "z") == HAPAIR_OTHER,
	    "both are found again");
	now += 31 * S;
	TAP_OK(ask_on(&tt, h, "c", "z") == HAPAIR_ELECTED);
	testteam_stop(&tt);
	hapairs_free(h);
	FILE *f = fopen(path, "r+b");
	CHECK(f && !fseek(f, 10, SEEK_SET) && fputc('!', f) == '!' && !fclose(f));
	h = hapairs_create();
	testteam_start(&tt, 1);
	hapairs_keep(h, dir, tt.pool, now);
	tap_ok(ask_on(&tt, h, "d", "z") == HAPAIR_ELECTED, "of a damaged file nothing is taken");
	testteam_stop(&tt);
	hapairs_free(h);
	testlib_rmtree(dir);
	free(path);
	free(dir);
}

/* ---- what no rule can be asked of ---- */

static struct {
	unsigned rows, with_label;
} sent;

static void look_at(struct sink *s, struct sink_req *req)
{
	uint32_t len;
	(void)s;
	sent.rows = (unsigned)req->batch->rows_count;
	sent.with_label = 0;
	for (size_t i = 0; i < req->batch->rows_count; i++) {
		const struct batch_row *r = &req->batch->rows[i];
		const char *v = label_get((struct labels){ r->labels, r->labels_len }, "by", 2, &len);
		sent.with_label += v && len == 4 && !memcmp(v, "rule", 4);
	}
	req->refused = 0;
	req->err = ERR_OK;
	req->done(req);
}

static void wire_label(struct buf *b, const char *name, const char *value)
{
	struct buf one;
	buf_init(&one);
	buf_add_u8(&one, 1 << 3 | 2);
	wire_put_lenbytes(&one, name, strlen(name));
	buf_add_u8(&one, 2 << 3 | 2);
	wire_put_lenbytes(&one, value, strlen(value));
	buf_add_u8(b, 1 << 3 | 2);
	wire_put_lenbytes(b, one.data, one.len);
	buf_release(&one);
}

struct sending {
	struct api *api;
	struct inlet inlet;
	struct arena arena;
	struct batch batch;
	struct buf labels;
	bool done;
};

static void sending_done(struct inlet *i)
{
	CONTAINER_OF(i, struct sending, inlet)->done = true;
}

static void send_here(void *arg)
{
	struct sending *s = arg;
	*batch_add(&s->batch) = (struct batch_row){
		.labels = s->labels.data, .labels_len = (uint32_t)s->labels.len, .t_ms = 1, .v = 1
	};
	s->inlet = (struct inlet){ .req.batch = &s->batch,
		.receiver = RECEIVER_REMOTE_WRITE,
		.arena = &s->arena,
		.done = sending_done };
	inlet_append(s->api, &s->inlet);
}

static bool is_done(void *arg)
{
	return ((struct sending *)arg)->done;
}

/* One series of these labels; the number of refused rows. */
static unsigned send_one(struct testteam *tt, struct api *api, const struct buf *labels)
{
	struct sending s = { .api = api, .labels = *labels };
	arena_init(&s.arena, 4096);
	batch_init(&s.batch);
	s.batch.tenant = 1;
	testteam_run(tt, 0, send_here, &s);
	TAP_OK(testteam_wait(tt, 0, is_done, &s, TESTTEAM_LONG_MS));
	batch_release(&s.batch);
	arena_release(&s.arena);
	return (unsigned)s.inlet.req.refused;
}

static void limits_there(void *arg)
{
	loop_set_limits(loop_here(), arg);
}

static void forget_there(void *arg)
{
	inlet_loop_end(arg);
}

static void t_past_the_rules(void)
{
	static const struct inlet_label by = { "by", "rule", 2, 4, true };
	static const struct sink_ops ops = { .append = look_at };
	static struct inlet_conf conf = { .cache_bytes = 1 << 20 };
	const struct recv_conf recv = { .inlet = &conf };
	const struct api_conf api_conf_of = { .recv = &recv };
	struct api_loop loop = { .conf = &api_conf_of };
	struct sink sink = { .ops = &ops };
	struct api api = { .sink = &sink, .loops = &loop };
	struct limits limits;
	struct testteam tt;
	struct buf b;
	char name[16];
	for (unsigned i = 0; i < RECEIVERS; i++)
		conf.usual[i] =
		    (struct inlet_way){ .any = true, .external = &by, .external_count = 1 };
	limits_default(&limits);
	limits.write_labels = 65535;
	testteam_start(&tt, 1);
	testteam_run(&tt, 0, limits_there, &limits);
	api.opts.team = tt.team;
	buf_init(&b);
	wire_label(&b, "__name__", "m");
	wire_label(&b, "by", "sender");
	wire_label(&b, "\xff", "");
	tap_ok(!send_one(&tt, &api, &b) && sent.rows == 1 && sent.with_label == 1,
	    "a label of no value and no UTF-8 is in nobody's way");
	buf_clear(&b);
	wire_label(&b, "__name__", "m");
	wire_label(&b, "by", "sender");
	for (unsigned i = 0; i < RELABEL_LABELS_MAX; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		wire_label(&b, name, "");
	}
	sent.rows = 0;
	tap_ok(send_one(&tt, &api, &b) == 1 && !sent.rows,
	    "with more labels than rules look at a series is refused, though the store drops them");
	buf_clear(&b);
	wire_label(&b, "__name__", "m");
	wire_label(&b, "__name__", "n");
	tap_ok(!send_one(&tt, &api, &b) && sent.rows == 1 && !sent.with_label,
	    "what the store refuses is its own to refuse");
	testteam_run(&tt, 0, forget_there, &loop);
	testteam_stop(&tt);
	buf_release(&b);
}

/* A disk that takes nothing for a while: nobody's elections are left out for that. */
static void t_kept_later(void)
{
	struct testteam tt;
	char *dir = testlib_tmpdir("hapair"), *path = testlib_path(dir, HAPAIR_FILE);
	char *tmp = testlib_path(dir, HAPAIR_FILE ".tmp"), *below = testlib_path(tmp, "x");
	uint64_t none = metric_sum(M_HA_ELECTIONS);
	now = clock_mono_ns(); /* that of the worker, too */
	testteam_start(&tt, 1);
	struct hapairs *h = hapairs_create();
	hapairs_keep(h, dir, tt.pool, now);
	CHECK(!mkdir(tmp, 0700) && !mkdir(below, 0700)); /* the file cannot be made */
	TAP_OK(ask_on(&tt, h, "c", "a") == HAPAIR_ELECTED);
	TAP_OK(metric_sum(M_HA_ELECTIONS) == none + 1);
	CHECK(!rmdir(below) && !rmdir(tmp));
	for (unsigned ms = 0; access(path, R_OK) && ms < TESTTEAM_LONG_MS; ms++) {
		now += 16 * S; /* the writing that failed is tried again by whoever asks then */
		CHECK(ask_on(&tt, h, "c", "a") == HAPAIR_ELECTED);
		usleep(1000);
	}
	tap_ok(!access(path, R_OK), "it is written when the disk takes it");
	testteam_stop(&tt);
	hapairs_free(h);
	testlib_rmtree(dir);
	free(below);
	free(tmp);
	free(path);
	free(dir);
}

int main(void)
{
	t_cache();
	t_cache_bounds();
	t_elections();
	t_many();
	t_kept();
	t_kept_later();
	t_past_the_rules();
	return tap_done();
}
