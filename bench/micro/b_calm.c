/*
 * b_calm - how much of a loop's own time passes over a small write of one tenant beside what
 * another one sends: CPU time of the loop's thread from sink_append of CALM_ROWS known rows until
 * they are in memory, so that other processes do not count. Nothing is synced.
 *
 *   b_calm [seconds]      of each line
 * The other tenant ("shop") has 0, 4, or 32 requests of SHOP_ROWS rows under way all the time:
 *   known     the same series again and again
 *   rules     series that never came, whose labels a rule of cardinality replaces
 *   refuse    the same, and the rule refuses them
 * Printed: median, 99th percentile and longest of CALM's, ns of CPU a row of all, in one loop.
 */
#include "bench/micro/used.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/model/cardrule.h"
#include "core/model/tenant.h"
#include "tests/lib/testlib.h"
#include "tests/lib/teststore.h"

#include <stdio.h>
#include <stdlib.h>

#define CALM_ROWS 500u
#define SHOP_ROWS 2000u
#define EVERY_MS  3u
#define SHOP      1u
#define CALM      2u
#define FLIGHT    32u
#define TIMES     100000u

enum shop {
	KNOWN,
	RULES,
	REFUSE
};
static const char *const shop_words[] = { "known", "rules", "refuse" };

struct request {
	struct sink_req req;
	struct batch batch;
	struct arena a;
	unsigned number;
};

static struct teststore ts;
static struct request shop[FLIGHT], calm;
static enum shop kind;
static unsigned under_way;
static bool ends;
static uint64_t next_series, calm_began, rows_done;
static int64_t t_ms;
static uint64_t times[TIMES];
static unsigned times_count;
static struct loop_timer timer;

static void fill(struct request *r, uint32_t tenant, unsigned rows, uint64_t from)
{
	batch_clear(&r->batch);
	arena_reset(&r->a, 1 << 20);
	r->batch.tenant = tenant;
	for (unsigned i = 0; i < rows; i++) {
		unsigned long long n = from + i;
		teststore_row(&r->batch,
		    label_make(&r->a, LABEL_NAME, "requests_total", "code", n % 2 ? "200" : "500",
		        "id", arena_printf(&r->a, "%llu", n), "instance",
		        arena_printf(&r->a, "host-%llu:9100", n % 100), "job", "shop", "path",
		        arena_printf(&r->a, "/p/%llu", n / 10), NULL),
		    t_ms, (double)n);
	}
}

static void times_set(struct request *r)
{
	t_ms++;
	for (size_t i = 0; i < r->batch.rows_count; i++)
		r->batch.rows[i].t_ms = t_ms;
}

/* What is not known is made between two requests: it costs the loop, not what is measured. */
static void shop_next(struct request *r)
{
	uint64_t before = used_cpu_ns();
	if (kind != KNOWN) {
		fill(r, SHOP, SHOP_ROWS, next_series);
		next_series += SHOP_ROWS;
	}
	times_set(r);
	calm_began += used_cpu_ns() - before;
	sink_append(store_sink(ts.store), &r->req);
}

static void shop_done(struct sink_req *req)
{
	rows_done += req->stored + req->refused;
	if (!ends)
		shop_next(CONTAINER_OF(req, struct request, req));
	else
		under_way--;
}

static void calm_applied(struct sink_req *req)
{
	(void)req;
	if (times_count < TIMES)
		times[times_count++] = used_cpu_ns() - calm_began;
}

static void calm_done(struct sink_req *req)
{
	rows_done += req->stored;
	if (!ends)
		loop_timer_set(loop_here(), &timer, EVERY_MS);
	else
		under_way--;
}

static void calm_next(struct loop_timer *t)
{
	(void)t;
	times_set(&calm);
	calm_began = used_cpu_ns();
	sink_append(store_sink(ts.store), &calm.req);
}

static void tenants_here(void *arg)
{
	loop_set_tenants(loop_here(), arg);
}

static void begin(void *arg)
{
	unsigned n = *(unsigned *)arg;
	ends = false;
	times_count = 0;
	rows_done = 0;
	under_way = n + 1;
	calm_next(NULL);
	for (unsigned i = 0; i < n; i++)
		shop_next(&shop[i]);
}

static void stop(void *arg)
{
	(void)arg;
	ends = true;
	if (loop_timer_is_set(&timer)) {
		loop_timer_cancel(loop_here(), &timer);
		under_way--;
	}
}

static bool is_quiet(void *arg)
{
	(void)arg;
	return !under_way;
}

static int by_size(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
	return (a > b) - (a < b);
}

static void cpu_here(void *arg)
{
	*(uint64_t *)arg = used_cpu_ns();
}

static void run(unsigned n, unsigned seconds)
{
	uint64_t from, to;
	testteam_run(&ts.tt, 0, cpu_here, &from);
	testteam_run(&ts.tt, 0, begin, &n);
	usleep(seconds * 1000000);
	testteam_run(&ts.tt, 0, stop, NULL);
	testteam_wait(&ts.tt, 0, is_quiet, NULL, TESTTEAM_LONG_MS);
	testteam_run(&ts.tt, 0, cpu_here, &to);
	qsort(times, times_count, sizeof *times, by_size);
	printf(
	    "%-7s %2u under way: %6u calm ones, ms of the loop's CPU: p50 %8.3f  p99 %8.3f  longest %8.3f; %6.0f ns a row, %llu rows\n",
	    n ? shop_words[kind] : "nobody", n, times_count, (double)times[times_count / 2] / 1e6,
	    (double)times[(uint64_t)times_count * 99 / 100] / 1e6,
	    (double)times[times_count - 1] / 1e6, (double)(to - from) / (double)rows_done,
	    (unsigned long long)rows_done);
}

static void quiet(struct store_opts *o)
{
	o->sync = STORE_SYNC_OFF;
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
	char *dir = testlib_tmpdir("calm");
	struct card_rules *rules = NULL;
	struct tenants *conf = NULL;
	teststore_open(&ts, dir, 1, quiet);
	loop_timer_init(&timer, calm_next);
	t_ms = clock_wall_ms() - 3600000;
	for (unsigned i = 0; i <= FLIGHT; i++) {
		struct request *r = i < FLIGHT ? &shop[i] : &calm;
		batch_init(&r->batch);
		arena_init(&r->a, 1 << 20);
		r->req = (struct sink_req){ .batch = &r->batch, .done = shop_done };
	}
	calm.req.done = calm_done;
	calm.req.applied = calm_applied;
	fill(&calm, CALM, CALM_ROWS, 0);
	run(0, seconds);
	for (unsigned k = KNOWN; k <= REFUSE; k++) {
		kind = (enum shop)k;
		struct card_rule rule = { .label = "*", .max_values = 1000 };
		rule.action = k == REFUSE ? CARD_REFUSE : CARD_REPLACE;
		struct tenant_row row = { .name = "shop", .card_own = true };
		if (card_rules_create(&rules, &rule, 1, NULL))
			return 1;
		row.card = rules;
		if (tenants_create(&conf, NULL, &row, 1, NULL))
			return 1;
		tenants_set_id(conf, 0, SHOP);
		if (k != KNOWN)
			testteam_run(&ts.tt, 0, tenants_here, conf);
		for (unsigned i = 0; i < FLIGHT; i++)
			fill(&shop[i], SHOP, SHOP_ROWS, (uint64_t)i * SHOP_ROWS);
		run(4, seconds);
		run(FLIGHT, seconds);
	}
	teststore_close(&ts);
	testlib_rmtree(dir);
	free(dir);
	return 0;
}
