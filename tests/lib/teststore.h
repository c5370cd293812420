/*
 * teststore - a store on a team for a test, with requests that are waited for. Header only.
 *
 *   struct teststore ts;
 *   teststore_open(&ts, dir, 2, NULL or a function that changes the options);
 *   struct batch b; ... teststore_row(&b, labels, t, v) ...
 *   struct sink_req r;  teststore_append(&ts, 0, &b, &r);      // waits for done
 *   teststore_read(&ts, labels, &col)                          // what memory holds of a series
 *   teststore_close(&ts);
 * Thread: the test's main thread. A store that does not open ends the program.
 */
#ifndef TESTS_LIB_TESTSTORE_H
#define TESTS_LIB_TESTSTORE_H

#include "storage/store.h"
#include "storage/store_priv.h"
#include "tests/lib/testteam.h"

struct teststore {
	struct testteam tt;
	struct store *store;
	unsigned loops;
};

static inline bool teststore_try(struct teststore *ts, const char *dir, unsigned loops,
    void (*change)(struct store_opts *o), enum err *err, struct errbuf *eb)
{
	testteam_start(&ts->tt, loops);
	ts->loops = loops;
	struct store_opts o;
	store_opts_default(&o);
	o.dir = dir;
	o.team = ts->tt.team;
	o.pool = ts->tt.pool;
	o.min_free_bytes = 1;
	o.new_series_per_s = UINT64_MAX;
	if (change)
		change(&o);
	errbuf_init(eb);
	*err = store_open(&o, &ts->store, eb);
	if (*err)
		testteam_stop(&ts->tt);
	return !*err;
}

static inline void teststore_open(
    struct teststore *ts, const char *dir, unsigned loops, void (*change)(struct store_opts *o))
{
	enum err err;
	struct errbuf eb;
	if (!teststore_try(ts, dir, loops, change, &err, &eb)) {
		printf("Bail out! the store does not open: %s %s\n", err_text(err), eb.text);
		exit(99);
	}
}

static inline void teststore_close(struct teststore *ts)
{
	store_close(ts->store);
	testteam_stop(&ts->tt);
}

static inline void teststore_row(struct batch *b, struct labels ls, int64_t t_ms, double v)
{
	struct batch_row *r = batch_add(b);
	*r = (struct batch_row){ .labels = ls.bytes, .labels_len = ls.len, .t_ms = t_ms, .v = v };
}

struct teststore_call_ {
	struct teststore *ts;
	struct sink_req *req;
	bool done;
};
struct teststore_req_ {
	struct sink_req req;
	struct teststore_call_ *call;
};
static inline void teststore_done_(struct sink_req *req)
{
	struct teststore_req_ *r = CONTAINER_OF(req, struct teststore_req_, req);
	r->call->done = true;
}
static inline void teststore_send_(void *arg)
{
	struct teststore_call_ *c = arg;
	sink_append(store_sink(c->ts->store), c->req);
}
static inline bool teststore_is_done_(void *arg)
{
	return ((struct teststore_call_ *)arg)->done;
}
/* On the given loop; returns when it is answered. false: no answer within TESTTEAM_LONG_MS. */
static inline bool teststore_append(
    struct teststore *ts, unsigned loop, struct batch *b, struct sink_req *out)
{
	struct teststore_req_ r = { .req = { .batch = b, .done = teststore_done_ } };
	struct teststore_call_ c = { .ts = ts, .req = &r.req };
	r.call = &c;
	testteam_run(&ts->tt, loop, teststore_send_, &c);
	bool ok = testteam_wait(&ts->tt, loop, teststore_is_done_, &c, TESTTEAM_LONG_MS);
	*out = r.req;
	return ok;
}

struct teststore_read_ {
	struct teststore *ts;
	struct shard *shard;
	struct hash128 fp;
	struct labels ls;
	struct column *col;
	bool found;
	enum err err;
};
static inline void teststore_read_here_(void *arg)
{
	struct teststore_read_ *r = arg;
	uint32_t slot = head_find(&r->shard->head, r->fp.lo, 0, r->ls);
	r->found = slot != SERIES_NONE;
	r->col->count = 0;
	if (r->found)
		r->err = series_read(head_at(&r->shard->head, slot), INT64_MIN, INT64_MAX, r->col);
}
/* Samples that memory has of a series; false: unknown. */
static inline bool teststore_read(struct teststore *ts, struct labels canonical, struct column *col)
{
	struct store *st = ts->store;
	struct teststore_read_ r = { .ts = ts,
		.ls = canonical,
		.col = col,
		.fp = label_fingerprint(canonical, 0, st->manifest.seed) };
	unsigned j = store_shard_of(st, r.fp);
	r.shard = st->shards[j];
	testteam_run(&ts->tt, j % ts->loops, teststore_read_here_, &r);
	return r.found && !r.err;
}

#endif
