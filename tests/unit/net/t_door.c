/*
 * net/api/door: rates of tenants before bodies are read: who waits, who is refused and how, who
 * gets his charge back. On the fake clock.
 */
#include "tests/lib/fakereq.h"
#include "tests/lib/tap.h"

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/model/tenant.h"
#include "proto/rw1.h"
#include "proto/snapz.h"

/* A sink that answers as told, later. */
static enum err told;
static bool hold; /* what comes is kept until let_go */
static struct list_link held;
struct appended {
	struct loop_deferred later;
	struct sink_req *req;
};

static void answer(struct loop_deferred *d)
{
	struct appended *a = CONTAINER_OF(d, struct appended, later);
	struct sink_req *r = a->req;
	r->err = told;
	r->stored = r->batch->rows_count;
	mem_free(a);
	r->done(r);
}

static void append(struct sink *s, struct sink_req *req)
{
	(void)s;
	struct appended *a = mem_zalloc(sizeof(*a));
	a->req = req;
	a->later.fn = answer;
	if (hold)
		list_add_tail(&held, &a->later.link);
	else
		loop_defer(loop_here(), &a->later);
}

static enum err accepts(struct sink *s, uint32_t *retry_after_s)
{
	(void)s;
	*retry_after_s = 0;
	return ERR_OK;
}

static const struct sink_ops ops = { append, accepts };
static struct sink sink = { .ops = &ops };
static struct testteam tt;
static struct api *api;
static struct tenants *tenants;
static struct limits limits;
static struct buf body; /* 50 samples */

enum {
	FREE,   /* no rate */
	SLOW,   /* two requests a second, two at once */
	STEADY, /* 100 samples a second, 100 at once */
	QUICK,  /* 1,000 requests a second, one at once */
	QUICK2
};

static void use(void *arg)
{
	(void)arg;
	loop_set_tenants(loop_here(), tenants);
	loop_set_limits(loop_here(), &limits);
}

static struct tenant_row row(const char *name, uint64_t requests, uint64_t samples, uint64_t burst_ms)
{
	struct tenant_row r = { .own = UINT64_C(1) << TENANT_LIMIT_requests_per_s |
		    UINT64_C(1) << TENANT_LIMIT_samples_per_s |
		    UINT64_C(1) << TENANT_LIMIT_samples_burst_ms,
		.limits = { .requests_per_s = requests,
		    .samples_per_s = samples,
		    .samples_burst_ms = burst_ms } };
	snprintf(r.name, sizeof(r.name), "%s", name);
	return r;
}

static void set_up(void)
{
	const struct tenant_row rows[] = { row("quick", 1000, 0, 1), row("quick2", 1000, 0, 1),
		row("slow", 2, 1000000, 1000), row("steady", 0, 100, 1000) };
	static const uint32_t ids[] = { QUICK, QUICK2, SLOW, STEADY };
	struct errbuf eb;
	errbuf_init(&eb);
	CHECK(!tenants_create(&tenants, NULL, rows, COUNT_OF(rows), &eb));
	for (uint32_t i = 0; i < COUNT_OF(rows); i++)
		tenants_set_id(tenants, i, ids[i]);
	limits_default(&limits);
	for (unsigned i = 0; i < 2; i++)
		testteam_run(&tt, i, use, NULL);
	struct buf plain;
	struct arena a;
	buf_init(&plain);
	buf_init(&body);
	arena_init(&a, 1024);
	struct labels ls = label_make(&a, "__name__", "up", "job", "a", NULL);
	for (unsigned i = 0; i < 50; i++)
		rw1_encode_series(&plain, ls, 1755000000000 + i, i);
	snapz_encode(&body, plain.data, plain.len);
	buf_release(&plain);
	arena_release(&a);
}

static void advance(int64_t ms)
{
	clock_fake_advance(ms);
	team_clock_moved(tt.team);
}

static void begin(struct fakereq *f, uint32_t tenant)
{
	fakereq_init(f, &tt, api);
	f->req.tenant = tenant;
	fakereq_begin(f, REQ_POST, "/api/v1/write", body.data, body.len);
}

static bool is_answered(struct fakereq *f)
{
	return fakereq_answered(f);
}

static void rate_status(uint64_t status)
{
	limits.write_rate_status = status; /* no request is under way */
	for (unsigned i = 0; i < 2; i++)
		testteam_run(&tt, i, use, NULL);
}

/* Sends a write; its status. What it says may be kept. */
static int ask(uint32_t tenant, char text[512], unsigned *retry_s)
{
	struct fakereq f;
	begin(&f, tenant);
	fakereq_wait(&f);
	int status = f.status;
	if (text)
		snprintf(text, 512, "%s", fakereq_text(&f));
	const char *retry =
	    f.headers.len ? strstr((const char *)f.headers.data, "retry-after: ") : NULL;
	if (retry_s)
		*retry_s = retry ? (unsigned)strtoul(retry + 13, NULL, 10) : 0;
	fakereq_end(&f);
	return status;
}

static void a_rate(void)
{
	bool all = true;
	for (unsigned i = 0; i < 100; i++)
		all &= ask(FREE, NULL, NULL) == 204;
	tap_ok(all, "without a rate nobody waits");
	struct fakereq third, fourth;
	TAP_OK(ask(SLOW, NULL, NULL) == 204 && ask(SLOW, NULL, NULL) == 204);
	begin(&third, SLOW);
	begin(&fourth, SLOW);
	tap_ok(
	    !is_answered(&third) && !is_answered(&fourth), "who is over it for a second is parked");
	tap_is_u64(metric_sum(M_RATE_PARKED_NOW), 2, "and counted");
	char text[512];
	unsigned retry_s;
	int status = ask(SLOW, text, &retry_s);
	tap_ok(status == 429 && !strncmp(text, "rate_limited: ", 14) &&
	        strstr(text, "limit 2 (tenants.slow.requests_per_s)"),
	    "longer is refused: %d %s", status, text);
	tap_ok(retry_s >= 1 && retry_s <= 3, "with Retry-After: %u", retry_s);
	advance(501);
	fakereq_wait(&third);
	tap_ok(third.status == 204 && !is_answered(&fourth), "each goes on in its time");
	advance(500);
	fakereq_wait(&fourth);
	tap_is_i64(fourth.status, 204, "and is served");
	fakereq_end(&third);
	fakereq_end(&fourth);
	tap_is_u64(metric_sum(M_RATE_PARKED_NOW), 0, "nobody is parked any more");
	advance(10000);
	rate_status(503);
	TAP_OK(ask(SLOW, NULL, NULL) == 204 && ask(SLOW, NULL, NULL) == 204);
	begin(&third, SLOW);
	begin(&fourth, SLOW);
	status = ask(SLOW, text, &retry_s);
	tap_ok(status == 503 && !strncmp(text, "rate_limited: ", 14) && retry_s,
	    "503 where it is wanted: %d %s", status, text);
	advance(1001);
	fakereq_wait(&third);
	fakereq_wait(&fourth);
	rate_status(429);
	fakereq_end(&third);
	fakereq_end(&fourth);
	tap_is_u64(metric_sum(M_WRITE_REFUSED_RATE), 2, "two were refused");
}

static void samples(void)
{
	advance(10000);
	bool all = true;
	for (unsigned i = 0; i < 50; i++) { /* until it is known how many samples a body has */
		all &= ask(STEADY, NULL, NULL) == 204;
		advance(1500);
	}
	TAP_OK(all && ask(STEADY, NULL, NULL) == 204 && ask(STEADY, NULL, NULL) == 204);
	TAP_OK(ask(FREE, NULL, NULL) == 204);
	struct fakereq f;
	begin(&f, STEADY);
	tap_ok(!is_answered(&f), "samples have been counted: 100 were free");
	advance(1001);
	fakereq_wait(&f);
	tap_is_i64(f.status, 204, "and 50 come later");
	fakereq_end(&f);
	advance(10000);
	told = ERR_BUSY;
	all = true;
	for (unsigned i = 0; i < 20; i++)
		all &= ask(STEADY, NULL, NULL) == 503;
	tap_ok(all, "what has to be repeated is not charged");
	told = ERR_OK;
	TAP_OK(ask(STEADY, NULL, NULL) == 204);
}

static void places(void)
{
	static struct fakereq many[200];
	unsigned n = 0, quick = 0, other = 0;
	advance(10000);
	TAP_OK(ask(QUICK, NULL, NULL) == 204 && ask(QUICK2, NULL, NULL) == 204);
	for (;; quick++) {
		begin(&many[n], QUICK);
		if (is_answered(&many[n]))
			break;
		n++;
	}
	fakereq_wait(&many[n]);
	tap_ok(many[n].status == 429, "who takes all places is refused: %d", many[n].status);
	fakereq_end(&many[n]);
	tap_is_u64(quick, DOOR_PARKED_MAX / 2, "one tenant alone may park half of them");
	for (;; other++) {
		begin(&many[n], QUICK2);
		if (is_answered(&many[n]))
			break;
		n++;
	}
	fakereq_wait(&many[n]);
	fakereq_end(&many[n]);
	tap_is_u64(other, DOOR_PARKED_MAX / 4, "another one has half of the rest");
	many[n].tt = &tt;
	fakereq_init(&many[n], &tt, api);
	many[n].loop = 1;
	many[n].req.tenant = QUICK;
	fakereq_begin(&many[n], REQ_POST, "/api/v1/write", body.data, body.len);
	tap_ok(!is_answered(&many[n]), "the other loop has places of its own");
	n++;
	/* They leave, the last one first; those before it have waited for less. */
	unsigned gone = 0;
	while (n > 1) {
		fakereq_leave(&many[--n]);
		fakereq_wait(&many[n]);
		gone += many[n].status == 429;
		fakereq_end(&many[n]);
	}
	tap_is_u64(gone, quick + other, "who leaves is answered, for whoever may read it");
	tap_is_u64(metric_sum(M_RATE_PARKED_NOW), 1, "and waits no more");
	begin(&many[1], QUICK);
	advance(3);
	fakereq_wait(&many[0]);
	fakereq_wait(&many[1]);
	tap_ok(many[0].status == 204 && many[1].status == 204,
	    "what they were charged is given back: who comes stands behind the first");
	fakereq_end(&many[0]);
	fakereq_end(&many[1]);
}

/* --- too much to do --- */

static void let_go(void *arg)
{
	(void)arg;
	hold = false;
	for (struct list_link *l; (l = list_pop(&held));)
		answer(CONTAINER_OF(l, struct loop_deferred, link));
}

/* A write whose bytes have waited for so long; of another address by its last digit. */
static void begin_waited(struct fakereq *f, uint32_t who, uint64_t waited_ns)
{
	fakereq_init(f, &tt, api);
	f->req.who = who;
	f->req.waited_ns = waited_ns;
	fakereq_begin(f, REQ_POST, "/api/v1/write", body.data, body.len);
}

static void overload(void)
{
	static struct fakereq many[60];
	uint64_t before = metric_sum(M_WRITE_REFUSED_LOAD);
	unsigned n = 0;
	hold = true;
	for (unsigned i = 0; i < 5; i++) { /* windows in which everybody waits too long */
		for (unsigned k = 0; k < 4; k++)
			begin_waited(&many[n++], 1, 100000000);
		advance(101);
	}
	unsigned busy = 0;
	for (unsigned i = 0; i < n; i++)
		busy += !is_answered(&many[i]);
	tap_ok(busy >= 12 && busy < n,
	    "when waits stay long no more than there are may come: %u of %u", busy, n);
	struct fakereq f;
	begin_waited(&f, 1, 0);
	fakereq_wait(&f);
	tap_ok(f.status == 503 && !strncmp(fakereq_text(&f), "overloaded: ", 12) &&
	        strstr((const char *)f.headers.data, "retry-after: "),
	    "one more is told to come later: %d %s", f.status, fakereq_text(&f));
	fakereq_end(&f);
	begin_waited(&many[n], 2, 0);
	tap_ok(!is_answered(&many[n]), "who has less than an equal part may come");
	n++;
	fakereq_get(&f, &tt, api, "/-/healthy");
	TAP_OK(f.status == 200);
	fakereq_end(&f);
	testteam_run(&tt, 0, let_go, NULL);
	unsigned good = 0, later = 0;
	for (unsigned i = 0; i < n; i++) {
		fakereq_wait(&many[i]);
		good += many[i].status == 204;
		later += many[i].status == 503;
		fakereq_end(&many[i]);
	}
	tap_ok(good == busy + 1 && later == n - good, "all others are stored: %u", good);
	tap_is_u64(metric_sum(M_WRITE_REFUSED_LOAD) - before, later + 1, "refusals are counted");
	advance(3000);
	begin_waited(&f, 1, 0);
	fakereq_wait(&f);
	fakereq_end(&f);
	advance(3000);
	bool all = true;
	for (unsigned i = 0; i < 50; i++) {
		begin_waited(&f, 1, 0);
		fakereq_wait(&f);
		all &= f.status == 204;
		fakereq_end(&f);
	}
	tap_ok(all, "when the waits are short again everybody may");
}

/* --- who is asked --- */

static unsigned identified;
static struct loop_deferred knock;
static struct req *knocks;

static void let_in(struct loop_deferred *d)
{
	(void)d;
	knocks->tenant = SLOW;
	req_door_open(knocks);
}

/* As a password that a worker checks. */
static enum req_step identify(struct req *r)
{
	if (identified++ % 2)
		return REQ_GO;
	knocks = r;
	knock.fn = let_in;
	loop_defer(r->loop, &knock);
	return REQ_WAIT;
}

static void identities(void)
{
	advance(10000);
	api->opts.identify = identify;
	TAP_OK(ask(FREE, NULL, NULL) == 204 && ask(FREE, NULL, NULL) == 204);
	struct fakereq f;
	begin(&f, FREE);
	testteam_run(&tt, 0, use, NULL);
	testteam_run(&tt, 0, use, NULL);
	tap_ok(!is_answered(&f), "the rate is that of the tenant which the identity says");
	advance(501);
	fakereq_wait(&f);
	TAP_OK(f.status == 204);
	fakereq_end(&f);
	tap_is_u64(identified, 6, "each was asked until it was known, and no more");
	api->opts.identify = NULL;
}

int main(void)
{
	clock_fake(1755000000000);
	list_init(&held);
	testteam_start(&tt, 2);
	api = fakeapi_create(&tt, NULL, &sink, false);
	set_up();
	a_rate();
	samples();
	places();
	overload();
	identities();
	fakeapi_free(api);
	testteam_stop(&tt);
	tenants_free(tenants);
	buf_release(&body);
	return tap_done();
}
