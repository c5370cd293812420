/*
 * Metadata of families: its groups in the log are its own, and hold nothing back; what an earlier
 * version wrote (METADATA of version 1, records in groups of shard 0) is read.
 */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/metric.h"
#include "storage/store_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define T0     INT64_C(1700000000000)
#define SERIES 2000u
#define ROUNDS 150u

static struct storetest s;
static char *dir;

/* ---- metadata comes and is asked for ---- */

struct put {
	struct sink_req req;
	struct batch batch;
	sem_t done;
};

static void put_done(struct sink_req *req)
{
	sem_post(&CONTAINER_OF(req, struct put, req)->done);
}

static void put_begin(void *arg)
{
	struct put *p = arg;
	sink_append(store_sink(s.store), &p->req);
}

static struct batch_meta meta_of(const char *family, const char *help)
{
	return (struct batch_meta){ .family = family,
		.family_len = (uint32_t)strlen(family),
		.help = help,
		.help_len = (uint32_t)strlen(help),
		.type = 1 };
}

static bool put(uint32_t tenant, const char *family, const char *help)
{
	struct put p = { .req.done = put_done };
	p.req.batch = &p.batch;
	sem_init(&p.done, 0, 0);
	batch_init(&p.batch);
	p.batch.tenant = tenant;
	*batch_add_meta(&p.batch) = meta_of(family, help);
	testteam_run(&s.tt, 0, put_begin, &p);
	while (sem_wait(&p.done)) {
	}
	sem_destroy(&p.done);
	batch_release(&p.batch);
	return !p.req.err;
}

struct asking {
	struct store_meta_req req;
	uint32_t tenant;
	const uint32_t *many; /* three */
	sem_t done;
};

static void ask_done(struct store_meta_req *r)
{
	sem_post(&CONTAINER_OF(r, struct asking, req)->done);
}

static void ask_begin(void *arg)
{
	struct asking *a = arg;
	a->req.tenants = a->many ? a->many : &a->tenant;
	a->req.tenants_count = a->many ? 3 : 1;
	store_meta(s.store, &a->req);
}

static void ask_all(struct asking *a)
{
	sem_init(&a->done, 0, 0);
	testteam_run(&s.tt, 0, ask_begin, a);
	while (sem_wait(&a->done)) {
	}
	sem_destroy(&a->done);
}

/* NULL: all. */
static struct asking ask(uint32_t tenant, struct arena *arena, const char *family)
{
	struct asking a = { .tenant = tenant, .req = { .arena = arena, .done = ask_done } };
	a.req.family = family;
	a.req.family_len = family ? strlen(family) : 0;
	ask_all(&a);
	return a;
}

static bool help_is(uint32_t tenant, const char *family, const char *help)
{
	struct arena arena;
	arena_init(&arena, 4096);
	struct asking a = ask(tenant, &arena, family);
	bool is = help ? a.req.count == 1 && a.req.metas[0].help_len == strlen(help) &&
	        memcmp(a.req.metas[0].help, help, strlen(help)) == 0
	               : a.req.count == 0;
	arena_release(&arena);
	return is;
}

static size_t families(uint32_t tenant)
{
	struct arena arena;
	arena_init(&arena, 4096);
	struct asking a = ask(tenant, &arena, NULL);
	arena_release(&arena);
	return a.req.count;
}

/* ---- a directory of an earlier version ---- */

struct old_group {
	uint64_t number; /* out */
	const char *family, *help;
};

/* As metadata was written before it had groups of its own: under shard 0's next number. */
static void old_group_here(void *arg)
{
	struct old_group *g = arg;
	struct walrec_writer w;
	struct walog_frame *frame = walog_frame(s.store->log);
	struct batch_meta m = meta_of(g->family, g->help);
	g->number = ++s.store->shards[0]->number;
	walrec_begin(&w, &frame->payload);
	walrec_group(&w, 0, g->number);
	walrec_meta(&w,
	    &(struct walrec_meta){ .type = m.type,
	        .family = m.family,
	        .family_len = m.family_len,
	        .help = m.help,
	        .help_len = m.help_len });
	walrec_end(&w);
	walog_submit(s.store->log, frame);
}

static uint64_t old_group(const char *family, const char *help)
{
	struct old_group g = { .family = family, .help = help };
	testteam_run(&s.tt, 0, old_group_here, &g);
	return g.number;
}

/* METADATA of version 1 with one family. */
static bool old_file(uint64_t number, const char *family, const char *help)
{
	char path[600];
	struct buf b;
	buf_init(&b);
	buf_add(&b, "KYMOMETA\1", 9);
	wire_put_u64(&b, number);
	wire_put_varint(&b, 1);
	wire_put_varint(&b, 0);
	buf_add_u8(&b, 1);
	wire_put_lenbytes(&b, family, strlen(family));
	wire_put_lenbytes(&b, help, strlen(help));
	wire_put_lenbytes(&b, "", 0);
	wire_put_u32(&b, crc32c(0, b.data, b.len));
	snprintf(path, sizeof(path), "%s/METADATA", dir);
	FILE *f = fopen(path, "w");
	bool good = f && fwrite(b.data, 1, b.len, f) == b.len;
	good = f && !fclose(f) && good;
	buf_release(&b);
	return good;
}

static bool begin(void)
{
	dir = testlib_tmpdir("keeper");
	storetest_init(&s, dir);
	s.opts.shards = 4;
	s.opts.ooo_window_ms = s.opts.retention_ms = 365 * 24 * 3600 * INT64_C(1000);
	return TAP_OK(!storetest_open(&s, 2));
}

static void end(void)
{
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

static void earlier_version(void)
{
	if (!begin())
		return;
	uint64_t number = old_group("older", "in the file too, as it was before");
	old_group("younger", "in the log only");
	storetest_close(&s);
	TAP_OK(old_file(number, "older", "in the file"));
	for (unsigned i = 0; i < 2; i++) {
		if (!TAP_OK(!storetest_open(&s, 2)))
			return;
		tap_ok(families(0) == 2 && help_is(0, "older", "in the file") &&
		        help_is(0, "younger", "in the log only"),
		    "start %u: what METADATA of version 1 and groups of shard 0 say", i + 1);
		if (i)
			TAP_OK(put(0, "own", "in a group of its own"));
		storetest_close(&s);
	}
	TAP_OK(!storetest_open(&s, 1));
	tap_ok(families(0) == 3 && help_is(0, "own", "in a group of its own"),
	    "and what came under the new one");
	end();
}

/* ---- nothing waits for it ---- */

static bool write_rows(unsigned round)
{
	static struct storetest_row rows[SERIES];
	struct arena a;
	struct labels names[SERIES];
	arena_init(&a, 1 << 16);
	storetest_names(&a, "m", names, SERIES);
	for (unsigned i = 0; i < SERIES; i++)
		rows[i] = (struct storetest_row){
			.labels = names[i], .t_ms = T0 + round * 15000, .v = round + i * 0.7
		};
	struct storetest_verdict v = storetest_write(&s, 0, rows, SERIES);
	arena_release(&a);
	return !v.err && v.stored == SERIES;
}

static int64_t held(void)
{
	return (int64_t)metric_sum(M_LOG_HELD_BYTES);
}

static bool log_is_let_go(void)
{
	for (unsigned i = 0; i < 20; i++)
		storetest_advance(&s, KEEPER_SAVE_MS / 10);
	return held() <= (int64_t)s.opts.log_segment_bytes;
}

static void holds_nothing(bool writable)
{
	fault_start(NULL);
	if (!begin())
		return;
	if (!writable)
		fault_set(FAULT_WRITE, "METADATA", 1, UINT64_MAX, ERR_NOSPACE);
	bool good = put(0, "up", "is it up?");
	tap_ok(good && !s.store->shards[0]->rows_since_round, "shard 0 does not see metadata");
	for (unsigned i = 0; i < ROUNDS; i++)
		good = good && write_rows(i);
	tap_ok(good && held() > 2 << 20, "segments are full of rows");
	tap_ok(!storetest_flush(&s) && log_is_let_go(), "they are let go, %s: %lld bytes held",
	    writable ? "METADATA has what they said" : "though METADATA cannot be written",
	    (long long)held());
	tap_ok(help_is(0, "up", "is it up?"), "it is still known");
	fault_set(FAULT_WRITE, "METADATA", 1, 0, ERR_NOSPACE);
	storetest_close(&s);
	TAP_OK(!storetest_open(&s, 1));
	tap_ok(help_is(0, "up", "is it up?"), "and after a restart");
	end();
	fault_stop();
}

/* ---- tenants ---- */

static void tenants(void)
{
	if (!begin())
		return;
	TAP_OK(put(1, "up", "of one") && put(2, "up", "of two") && put(2, "down", "of two"));
	for (unsigned i = 0; i < 2; i++) {
		tap_ok(families(0) == 0 && families(1) == 1 && families(2) == 2 &&
		        help_is(0, "up", NULL) && help_is(1, "up", "of one") &&
		        help_is(2, "up", "of two") && help_is(1, "down", NULL),
		    "each tenant has its own, start %u", i + 1);
		storetest_close(&s);
		TAP_OK(!storetest_open(&s, 1));
	}
	end();
}

static uint32_t stamp(uint32_t tenant, const char *family)
{
	return stamps_of(store_sink(s.store)->metas, batch_meta_hash(tenant, family, strlen(family)));
}

/* Who remembers what is stored is told when it changes. */
static void stamps_move(void)
{
	if (!begin())
		return;
	uint32_t was = stamp(1, "up");
	TAP_OK(put(1, "up", "first") && stamp(1, "up") != was);
	was = stamp(1, "up");
	TAP_OK(put(1, "up", "first") && put(2, "up", "other"));
	tap_ok(stamp(1, "up") == was, "the same metadata, and another tenant's, move no stamp");
	TAP_OK(put(1, "up", "second"));
	tap_ok(stamp(1, "up") != was, "a change does");
	end();
}

/* Many small families of one tenant at once. */
static void put_many(uint32_t tenant, const char *stem, unsigned count)
{
	struct put p = { .req = { .done = put_done } };
	char(*names)[32] = mem_zalloc(count * sizeof(*names));
	sem_init(&p.done, 0, 0);
	p.req.batch = &p.batch;
	batch_init(&p.batch);
	p.batch.tenant = tenant;
	for (unsigned i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "%s%u", stem, i);
		*batch_add_meta(&p.batch) = meta_of(names[i], "h");
	}
	testteam_run(&s.tt, 0, put_begin, &p);
	while (sem_wait(&p.done)) {
	}
	sem_destroy(&p.done);
	batch_release(&p.batch);
	mem_free(names);
}

static void nobody_takes_all_the_room(void)
{
	if (!begin())
		return;
	TAP_OK(put(2, "first", "of the small one"));
	put_many(1, "f", KEEPER_FAMILIES_MAX + 10);
	uint32_t was = stamp(1, "too_much");
	TAP_OK(put(1, "too_much", "h"));
	tap_ok(stamp(1, "too_much") != was, "nobody takes for stored what found no room");
	tap_is_u64(
	    families(1), KEEPER_FAMILIES_MAX / 10 * 9 - 1, "one tenant ends below the last tenth");
	put_many(2, "g", 1000);
	tap_is_u64(families(2), 1001, "where another one finds room");
	TAP_OK(put(1, "f1", "new help"));
	tap_ok(help_is(1, "f1", "new help"), "what is there may change");
	const uint32_t both[] = { 2, 7, 1 };
	struct arena arena;
	arena_init(&arena, 4096);
	struct asking a = { .req = { .arena = &arena, .done = ask_done } };
	a.many = both;
	ask_all(&a);
	tap_ok(a.req.count == families(1) + 1001 && a.req.metas[0].family_len == 5,
	    "of several tenants all are told, one after another");
	arena_release(&arena);
	end();
}

int main(void)
{
	clock_fake(T0 + 3600 * 1000);
	earlier_version();
	holds_nothing(true);
	holds_nothing(false);
	tenants();
	stamps_move();
	nobody_takes_all_the_room();
	return tap_done();
}
