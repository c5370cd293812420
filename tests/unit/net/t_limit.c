/* The account of bytes in flight, and the buckets for misdeeds. */
#include "net/conn/limit.h"
#include "tests/lib/tap.h"

#define S UINT64_C(1000000000)

static void inflight(void)
{
	limit_inflight_max(1000);
	TAP_OK(limit_inflight_look(0) == LIMIT_FREE);
	TAP_OK(limit_inflight_look(700) == LIMIT_FREE);
	TAP_OK(limit_inflight_look(701) == LIMIT_PRESSED);
	TAP_OK(limit_inflight_look(1000) == LIMIT_PRESSED);
	TAP_OK(limit_inflight_look(1001) == LIMIT_FULL);
	TAP_OK(limit_inflight_look(SIZE_MAX) == LIMIT_FULL);
	limit_inflight_add(600);
	TAP_OK(limit_inflight_look(SIZE_MAX) == LIMIT_FULL);
	TAP_OK(limit_inflight_look(101) == LIMIT_PRESSED);
	TAP_OK(limit_inflight_look(401) == LIMIT_FULL);
	limit_inflight_sub(600);
	TAP_OK(limit_inflight_look(700) == LIMIT_FREE);
	limit_inflight_max(0);
	tap_ok(limit_inflight_look(LIMIT_INFLIGHT_BYTES / 4) == LIMIT_FREE, "0 is the default");
	unsigned large = 0;
	while (limit_inflight_look(LIMIT_BODY_BYTES) != LIMIT_FULL && large < 100) {
		limit_inflight_add(LIMIT_BODY_BYTES);
		large++;
	}
	tap_is_u64(large, LIMIT_INFLIGHT_BYTES / 2 / LIMIT_BODY_BYTES, "large bodies take half");
	tap_ok(limit_inflight_look(100000) == LIMIT_FREE, "small ones still come in");
	limit_inflight_sub((size_t)large * LIMIT_BODY_BYTES);
}

static void answers(void)
{
	TAP_OK(!limit_answers_full(LIMIT_ANSWER_BYTES));
	TAP_OK(limit_answers_full(LIMIT_ANSWER_BYTES + 1));
	limit_answers_add(LIMIT_ANSWER_BYTES);
	TAP_OK(!limit_answers_full(0));
	TAP_OK(limit_answers_full(1));
	TAP_OK(limit_answers_full(SIZE_MAX));
	tap_ok(limit_inflight_look(0) == LIMIT_FREE, "answers that wait do not keep bodies out");
	limit_answers_sub(LIMIT_ANSWER_BYTES);
	TAP_OK(!limit_answers_full(1));
}

static unsigned take(struct limit_bucket *b, uint64_t now, unsigned n)
{
	unsigned got = 0;
	for (unsigned i = 0; i < n; i++)
		got += limit_bucket_take(b, now, 200, 33);
	return got;
}

static void buckets(void)
{
	struct limit_bucket b = { 0 };
	uint64_t now = 5 * S;
	tap_is_u64(take(&b, now, 500), 200, "a full bucket gives its burst");
	tap_is_u64(take(&b, now, 500), 0, "then nothing");
	tap_is_u64(take(&b, now + S, 500), 33, "a second later its rate");
	tap_is_u64(take(&b, now + 3 * S, 500), 66, "two seconds later twice that");
	tap_is_u64(take(&b, now + 1000 * S, 500), 200, "and never more than the burst");
	unsigned got = 0;
	for (unsigned i = 0; i < 3000; i++)
		got += limit_bucket_take(&b, now + (2000 + i / 30) * S, 200, 33);
	tap_is_u64(got, 3000, "30 a second for 100 s are below the rate");
}

int main(void)
{
	tap_is_u64(limit_body_least(0), LIMIT_BODY_BYTES_PER_S, "a body of unknown size");
	tap_is_u64(limit_body_least(100000), LIMIT_BODY_BYTES_PER_S, "a small body");
	tap_ok(limit_body_least(LIMIT_BODY_BYTES) > 256u << 10,
	    "who makes us hold 32 MiB must send them: %llu bytes/s",
	    (unsigned long long)limit_body_least(LIMIT_BODY_BYTES));
	inflight();
	answers();
	buckets();
	return tap_done();
}
