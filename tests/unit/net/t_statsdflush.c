/* The flush of StatsD where the store refuses, and the last one of all. */
#include "net/recv/recv_statsd_priv.h"

#include <string.h>

#include "net/api/tenantstat.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

#define ROWS_SEEN 16u

/* ---- a store that refuses as it is told ---- */

static struct seen {
	unsigned appends, refuse;
	size_t rows;
	char name[ROWS_SEEN][64];
	int64_t t_ms[ROWS_SEEN];
	double v[ROWS_SEEN];
} seen, before;

static void append(struct sink *s, struct sink_req *req)
{
	const struct batch *b = req->batch;
	(void)s;
	before = seen;
	seen.appends++;
	seen.rows = b->rows_count;
	for (size_t i = 0; i < b->rows_count && i < ROWS_SEEN; i++) {
		struct labels ls = { b->rows[i].labels, b->rows[i].labels_len };
		uint32_t len;
		const char *name = label_get(ls, "__name__", 8, &len);
		snprintf(seen.name[i], sizeof(seen.name[i]), "%.*s", (int)len, name);
		seen.t_ms[i] = b->rows[i].t_ms;
		seen.v[i] = b->rows[i].v;
	}
	req->err = ERR_OK;
	if (seen.refuse) {
		seen.refuse--;
		req->err = ERR_BUSY;
		req->retry_after_s = 1000000;
	}
	/* what the inlet does to rows that it leaves out */
	if (req->err)
		memset(req->batch->rows, 0, b->rows_count * sizeof(*b->rows));
	req->done(req);
}

static const struct sink_ops ops = { .append = append };
static struct sink sink = { .ops = &ops };

/* ---- a loop of the receiver ---- */

static struct testteam tt;
static struct recv_conf recv_conf;
static struct api_conf api_conf_of = { .recv = &recv_conf };
static struct api_loop api_loop = { .conf = &api_conf_of };
static struct api api = { .sink = &sink, .loops = &api_loop };
static struct statsd_loop l;
static struct statsd_agg *agg;
static struct statsd_tenant tenant = { .id = 1 };
static struct statsd all = {
	.api = &api, .loops_count = 1, .tenants_count = 1, .loops = &l, .tenants = &tenant
};
static struct arena arena;

static void begin_here(void *arg)
{
	(void)arg;
	memset(&l, 0, sizeof(l));
	memset(&seen, 0, sizeof(seen));
	l.all = &all;
	l.loop = testteam_loop(&tt, 0);
	list_init(&l.socks);
	list_init(&l.streams);
	agg = statsd_agg_create(&tenant.purse, loop_now_ms(l.loop) - 1000);
	l.aggs = &agg;
	statsd_flush_start(&l);
}

static void count_here(void *arg)
{
	struct statsd_target t = { .kind = STATSD_KIND_COUNTER, .name = "c", .name_len = 1 };
	t.labels = label_make(&arena, "__name__", "c", NULL);
	statsd_target_hash(&t);
	struct statsd_event e = { .to = &t, .op = STATSD_ADD, .value = *(double *)arg, .rate = 1 };
	TAP_OK(statsd_agg_take(agg, &e, loop_now_ms(l.loop)) == STATSD_TOOK);
}

static void count(double v)
{
	testteam_run(&tt, 0, count_here, &v);
}

static void last_here(void *arg)
{
	(void)arg;
	statsd_flush_last(&l);
}

static void socks_end_here(void *arg)
{
	(void)arg;
	statsd_socks_end(&l);
}

static void end_here(void *arg)
{
	(void)arg;
	statsd_flush_halt(&l);
	statsd_flush_release(&l);
	statsd_agg_free(agg);
}

static bool waits(void *arg)
{
	(void)arg;
	return l.flush.state == STATSD_WAITING;
}

static bool rests(void *arg)
{
	(void)arg;
	return seen.appends > 0 && (l.flush.state == STATSD_IDLE || l.flush.state == STATSD_FLUSHED);
}

static bool is_flushed(void *arg)
{
	(void)arg;
	return l.flush.state == STATSD_FLUSHED;
}

static void begin(uint64_t flush_ms)
{
	recv_conf.statsd.flush_ms = flush_ms;
	recv_conf.statsd.members = 100;
	purse_init(&tenant.purse, 1 << 20, NULL);
	arena_init(&arena, 4096);
	testteam_start(&tt, 1);
	api.opts.team = tt.team;
	testteam_run(&tt, 0, begin_here, NULL);
}

static void end(void)
{
	testteam_run(&tt, 0, end_here, NULL);
	testteam_stop(&tt);
	arena_release(&arena);
	purse_end(&tenant.purse);
}

/* A flush waits for a store that asked for days, when the end comes. */
static void t_end_while_waiting(void)
{
	begin(1);
	seen.refuse = 1;
	count(3);
	TAP_OK(testteam_wait(&tt, 0, waits, NULL, TESTTEAM_LONG_MS));
	const struct seen first = seen;
	count(4);
	testteam_run(&tt, 0, last_here, NULL);
	tap_ok(testteam_wait(&tt, 0, is_flushed, NULL, TESTTEAM_LONG_MS),
	    "the end does not wait as long");
	tap_is_u64(seen.appends, 3, "refused, stored, and what came since");
	tap_ok(before.rows == first.rows && !memcmp(before.v, first.v, sizeof(first.v)) &&
	        !memcmp(before.t_ms, first.t_ms, sizeof(first.t_ms)) &&
	        !memcmp(before.name, first.name, sizeof(first.name)),
	    "what was refused is given again as it was");
	tap_ok(first.rows && first.v[first.rows - 1] == 3 && seen.rows == 1 && seen.v[0] == 7,
	    "each increment once");
	end();
}

/* This loop has read all; others still send it theirs, while its flush interval ends. */
static void t_sockets_end_first(void)
{
	begin(1);
	testteam_run(&tt, 0, socks_end_here, NULL);
	count(3);
	TAP_OK(testteam_wait(&tt, 0, rests, NULL, TESTTEAM_LONG_MS));
	count(4);
	testteam_run(&tt, 0, last_here, NULL);
	TAP_OK(testteam_wait(&tt, 0, is_flushed, NULL, TESTTEAM_LONG_MS));
	tap_ok(seen.rows && seen.v[seen.rows - 1] == 7, "what came after its sockets is stored");
	end();
}

/* The store refuses while nothing comes any more. */
static void t_refused_at_the_end(void)
{
	begin(3600000);
	count(5);
	seen.refuse = 3;
	testteam_run(&tt, 0, last_here, NULL);
	TAP_OK(testteam_wait(&tt, 0, is_flushed, NULL, TESTTEAM_LONG_MS));
	tap_is_u64(seen.appends, 4, "tried until it is stored");
	tap_ok(seen.rows == 2 && seen.v[1] == 5, "as it was");
	end();
}

int main(void)
{
	api.tenantstat = tenantstat_create();
	t_end_while_waiting();
	t_sockets_end_first();
	t_refused_at_the_end();
	tenantstat_free(api.tenantstat);
	return tap_done();
}
