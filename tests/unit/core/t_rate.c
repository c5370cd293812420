/* core/base/meter and core/account/rate: how fast, how much at once, what is owed; over threads. */
#include <pthread.h>

#include "core/account/rate.h"
#include "tests/lib/tap.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static const struct meter_terms terms = { .burst_ns = 10 * S, .wait_ns = S, .debt_ns = 60 * S };

static void a_meter(void)
{
	struct meter m = { 0 };
	uint64_t t = 100 * S;
	tap_is_u64(meter_cost_ns(5, 10), 500 * MS, "five at ten a second cost half a second");
	tap_is_u64(meter_cost_ns(UINT64_MAX, 1), UINT64_C(1) << 62, "a cost has an end");
	TAP_OK(meter_take(&m, t, 4 * S, &terms) == 0 && meter_take(&m, t, 6 * S, &terms) == 0);
	tap_is_u64(meter_take(&m, t, S / 2, &terms), S / 2, "the burst is used up: who comes waits");
	tap_is_u64(meter_take(&m, t, S / 4, &terms), S / 2 + S / 4, "and the next one behind him");
	tap_is_u64(meter_take(&m, t, S / 2, &terms), S + S / 4, "too long a wait takes nothing");
	tap_is_u64(meter_take(&m, t, S / 4, &terms), S, "so it is less again for a smaller one");
	meter_give(&m, S / 2);
	tap_is_u64(meter_take(&m, t, S / 2, &terms), S, "what is given back is there for others");
	tap_is_u64(meter_take(&m, t + 11 * S, 10 * S, &terms), 0, "time pays for all of it");
	t += 50 * S;
	TAP_OK(meter_take(&m, t, 30 * S, &terms) == 0);
	tap_is_u64(meter_take(&m, t, S, &terms), 21 * S,
	    "more than the burst may be taken when nothing is owed, and is owed then");
	meter_owe(&m, t, 1000 * S, &terms);
	tap_is_u64(meter_take(&m, t, S, &terms), 61 * S, "what is owed has an end");
	meter_give(&m, UINT64_MAX);
	tap_is_u64(meter_take(&m, t, 10 * S, &terms), 0, "nor is more given back than was taken");
}

static void a_book(void)
{
	static struct meter_book b;
	struct meter_row *first = meter_row(&b, 0);
	TAP_OK(meter_row(&b, 0) == first && meter_row(&b, 255) == first + 255);
	TAP_OK(meter_row(&b, 256) != first + 255 && meter_row(&b, UINT32_MAX) != NULL);
	meter_note_set(first, 77);
	TAP_OK(meter_note(meter_row(&b, 0)) == 77 && meter_note(first + 1) == 0);
	meter_book_release(&b);
	TAP_OK(meter_note(meter_row(&b, 0)) == 0);
	meter_book_release(&b);
}

static void samples(void)
{
	struct rates *rs = rates_create();
	struct tenant_limits l = { .samples_per_s = 100, .samples_burst_ms = 1000 };
	struct rate_claim c = { 0 };
	uint64_t t = 100 * S;
	/* One sample is taken for 16 bytes as long as nothing is known. */
	TAP_OK(rate_take(rs, &l, 1, 1600, t, &c) == 0);
	rate_settle(&c, 100, t);
	tap_is_u64(rate_take(rs, &l, 1, 160, t, &c), 100 * MS, "ten more wait for a tenth");
	rate_give(&c);
	tap_is_u64(rate_take(rs, &l, 1, 160, t, &c), 100 * MS, "given back is as if never taken");
	rate_settle(&c, 5, t);
	tap_is_u64(rate_take(rs, &l, 2, 160, t, &c), 0, "another tenant has a rate of its own");
	rate_keep(&c);
	t += 10 * S;
	TAP_OK(rate_take(rs, &l, 1, 16, t, &c) == 0);
	rate_settle(&c, 400, t);
	tap_is_u64(rate_take(rs, &l, 1, 0, t, &c), 3 * S + 10 * MS,
	    "more than was guessed is owed, and the next one is refused");
	rate_give(&c);
	t += 3 * S;
	tap_is_u64(rate_take(rs, &l, 1, 0, t, &c), 10 * MS, "until it is paid for");
	rate_keep(&c);
	t += 100 * S;
	for (unsigned i = 0; i < 100; i++, t += 100 * S) {
		CHECK(!rate_take(rs, &l, 1, 200, t, &c));
		rate_settle(&c, 50, t);
	}
	TAP_OK(rate_take(rs, &l, 1, 200, t, &c) == 0);
	rate_keep(&c);
	uint64_t wait_ns = rate_take(rs, &l, 1, 240, t, &c);
	tap_ok(wait_ns == 100 * MS,
	    "it is learned how many samples a body has: %llu ms for ten too many",
	    (unsigned long long)(wait_ns / MS));
	rate_keep(&c);
	rates_free(rs);
}

static void requests(void)
{
	struct rates *rs = rates_create();
	struct tenant_limits l = { .samples_per_s = 10, .requests_per_s = 2, .samples_burst_ms = 1000 };
	struct rate_claim c = { 0 };
	uint64_t t = 100 * S;
	TAP_OK(rate_is_limited(&l) && !rate_is_limited(&(struct tenant_limits){ 0 }));
	TAP_OK(rate_take(rs, &l, 1, 0, t, &c) == 0);
	rate_keep(&c);
	TAP_OK(rate_take(rs, &l, 1, 16 * 30, t, &c) > 0);
	rate_give(&c);
	TAP_OK(rate_take(rs, &l, 1, 0, t, &c) == 0);
	rate_keep(&c);
	tap_is_u64(rate_take(rs, &l, 1, 0, t, &c), 500 * MS, "the third request waits");
	rate_keep(&c);
	tap_is_u64(rate_take(rs, &l, 1, 0, t, &c), 1000 * MS, "so does the fourth");
	rate_give(&c);
	tap_is_u64(rate_take(rs, &l, 1, 0, t, &c), 1000 * MS, "who gives up makes room");
	rate_keep(&c);
	TAP_OK(rate_take(rs, &l, 1, 0, t, &c) > RATE_WAIT_NS);
	tap_ok(c.of == RATE_REQUESTS, "it is told that it is one request too many");
	/* Samples refuse it: the request is not counted either. */
	t += 100 * S;
	TAP_OK(rate_take(rs, &l, 1, 16 * 1000, t, &c) == 0);
	for (unsigned i = 0; i < 10; i++)
		CHECK(rate_take(rs, &l, 1, 0, t, &(struct rate_claim){ 0 }) > RATE_WAIT_NS);
	struct rate_claim no = { 0 };
	tap_ok(
	    rate_take(rs, &l, 1, 0, t, &no) > RATE_WAIT_NS && no.of == RATE_SAMPLES, "or a sample");
	rate_give(&c);
	tap_is_u64(rate_take(rs, &l, 1, 0, t, &c), 0, "who is refused for samples is no request");
	rate_keep(&c);
	rates_free(rs);
}

/* A configuration has another rate. */
static void changes(void)
{
	struct rates *rs = rates_create();
	struct tenant_limits l = { .samples_per_s = 10, .samples_burst_ms = 1000 };
	struct rate_claim c = { 0 };
	uint64_t t = 100 * S;
	TAP_OK(rate_take(rs, &l, 1, 16, t, &c) == 0);
	rate_settle(&c, 1000, t);
	tap_is_u64(rate_take(rs, &l, 1, 16, t, &c), 99 * S + 100 * MS, "much is owed");
	l.samples_per_s = 1000;
	tap_is_u64(rate_take(rs, &l, 1, 16, t, &c), 1 * MS, "it is paid for at a higher rate");
	rate_give(&c);
	l.samples_per_s = 10;
	tap_is_u64(rate_take(rs, &l, 1, 16, t, &c), 100 * MS, "at a lower one nobody owes more");
	rate_keep(&c);
	rates_free(rs);
}

/* --- threads --- */

enum {
	THREADS = 4,
	TAKES = 20000
};
static struct rates *shared;
static const struct tenant_limits shared_limits = {
	.samples_per_s = 1000, .requests_per_s = 10000, .samples_burst_ms = 1000
};

/* Takes at one moment, gives every other one back. */
static void *taker(void *arg)
{
	uint64_t *taken = arg;
	for (unsigned i = 0; i < TAKES; i++) {
		struct rate_claim c = { 0 };
		if (rate_take(shared, &shared_limits, 3, 16, 100 * S, &c) > RATE_WAIT_NS)
			continue;
		if (i % 2) {
			rate_give(&c);
			continue;
		}
		rate_keep(&c);
		*taken += 1;
	}
	return NULL;
}

static void threads(void)
{
	pthread_t th[THREADS];
	uint64_t taken[THREADS] = { 0 }, sum = 0;
	shared = rates_create();
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&th[i], NULL, taker, &taken[i]));
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(th[i], NULL);
		sum += taken[i];
	}
	tap_is_u64(sum, 2000, "a burst and one second of it, whoever takes");
	rates_free(shared);
}

int main(void)
{
	a_meter();
	a_book();
	samples();
	requests();
	changes();
	threads();
	return tap_done();
}
