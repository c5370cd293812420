/* The book of what peers hold, and the buckets for misdeeds. */
#include "net/conn/limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/rt/loop.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define S   UINT64_C(1000000000)
#define MiB (1u << 20)

static struct limits limits;

static enum limit_level look(uint32_t who, size_t has, size_t more)
{
	return limit_inflight_look(who, has, more, 100 * S);
}

/* 16 MiB: small ones may have all, those up to 1 MiB 12 of them, larger ones 8. */
static void classes(void)
{
	TAP_OK(look(1, 0, 8 * MiB) == LIMIT_PRESSED);
	TAP_OK(look(1, 0, 8 * MiB + 1) == LIMIT_FULL);
	TAP_OK(look(1, 0, 5 * MiB) == LIMIT_FREE);
	TAP_OK(look(1, SIZE_MAX, SIZE_MAX) == LIMIT_FULL);
	limit_inflight_add(1, 7 * MiB);
	TAP_OK(look(1, 7 * MiB, MiB + 1) == LIMIT_FULL);
	tap_ok(look(1, 100, MiB / 2) == LIMIT_FREE, "who holds less has more to take from");
	limit_inflight_add(1, 5 * MiB);
	TAP_OK(look(1, 0, MiB) == LIMIT_FULL);
	TAP_OK(look(1, 0, LIMIT_SMALL_BYTES) == LIMIT_FREE);
	TAP_OK(look(1, 1, LIMIT_SMALL_BYTES) == LIMIT_FULL);
	limit_inflight_add(1, 3 * MiB);
	tap_ok(look(1, 0, 1000) == LIMIT_PRESSED, "small ones press from 90 %% on");
	limit_inflight_add(1, MiB);
	TAP_OK(look(1, 0, 1) == LIMIT_FULL);
	TAP_OK(limit_inflight_short());
	limit_inflight_sub(1, 16 * MiB);
	TAP_OK(!limit_inflight_short());
}

static void shares(void)
{
	limit_inflight_add(1, 7 * MiB);
	tap_ok(limit_inflight_look(1, 0, 100000, 200 * S) == LIMIT_FREE, "alone one may have all");
	tap_ok(limit_inflight_look(2, 0, 2 * MiB, 200 * S) == LIMIT_SHORT,
	    "another one with less than its share waits for room");
	tap_ok(limit_inflight_look(1, 0, MiB, 200 * S) == LIMIT_FULL,
	    "and while it waits, the first has its share");
	tap_ok(limit_inflight_look(2, 0, MiB, 200 * S) == LIMIT_FREE, "the second goes on");
	tap_ok(limit_inflight_look(3, 0, MiB, 200 * S) == LIMIT_FREE, "so does a third");
	tap_ok(limit_inflight_look(1, 0, 100000, 206 * S) == LIMIT_FREE,
	    "when nobody has waited for 5 s, all is as before");
	limit_inflight_sub(1, 7 * MiB);
}

static void answers(void)
{
	size_t all = 16 * MiB;
	TAP_OK(!limit_answers_full(1, all / 8 * 7, 300 * S));
	TAP_OK(limit_answers_full(1, all / 8 * 7 + 1, 310 * S));
	limit_answers_add(1, all / 8 * 7);
	TAP_OK(!limit_answers_full(2, 0, 320 * S));
	tap_ok(!limit_answers_full(2, all / 64, 320 * S), "the last eighth is for who holds little");
	TAP_OK(limit_answers_full(2, all / 64 + 1, 320 * S));
	TAP_OK(limit_answers_full(1, 0, 321 * S));
	TAP_OK(limit_answers_full(1, SIZE_MAX, 330 * S));
	tap_ok(look(1, 0, 0) == LIMIT_FREE, "answers that wait do not keep bodies out");
	limit_answers_sub(1, all / 8 * 7);
	TAP_OK(!limit_answers_full(1, 1, 330 * S));
}

static void readers(void)
{
	TAP_OK(limit_reader_look(0, 1000, 59000) == LIMIT_READER_WAIT);
	tap_ok(limit_reader_look(60 * 1024, 1000, 59000) == LIMIT_READER_FAST,
	    "60 KiB in a minute are enough");
	TAP_OK(limit_reader_look(60 * 1024 - 1, 1000, 60000) == LIMIT_READER_SLOW);
	limit_answers_add(1, 9 * MiB);
	TAP_OK(limit_reader_look(10000, MiB, 4999) == LIMIT_READER_WAIT);
	tap_ok(limit_reader_look(10000, MiB, 5000) == LIMIT_READER_SLOW,
	    "when much waits, 1 MiB must be read in 10 s");
	TAP_OK(limit_reader_look(10000, 20000, 5000) == LIMIT_READER_WAIT);
	limit_answers_sub(1, 9 * MiB);
}

static uint32_t who(const char *text)
{
	struct sockaddr_storage sa = { 0 };
	struct sockaddr_in *v4 = (void *)&sa;
	struct sockaddr_in6 *v6 = (void *)&sa;
	bool six = strchr(text, ':');
	sa.ss_family = six ? AF_INET6 : AF_INET;
	inet_pton(sa.ss_family, text, six ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr);
	return limit_who(&sa);
}

static void addresses(void)
{
	TAP_OK(who("10.0.0.1") == who("10.0.0.1"));
	TAP_OK(who("10.0.0.1") != who("10.0.0.2") || who("10.0.0.1") != who("10.0.0.3"));
	TAP_OK(who("2001:db8:1:2::1") == who("2001:db8:1:2:ffff::9"));
	TAP_OK(who("2001:db8:1:2::1") != who("2001:db8:1:3::1") ||
	    who("2001:db8:1:2::1") != who("2001:db8:1:4::1"));
	/* As a proxy writes it that listens for both families. */
	TAP_OK(who("::ffff:10.0.0.1") == who("10.0.0.1"));
	TAP_OK(who("::ffff:10.0.0.1") != who("::ffff:10.0.0.2") ||
	    who("::ffff:10.0.0.1") != who("::ffff:10.0.0.3"));
	limits.http_connections_address = 3;
	unsigned got = 0;
	for (unsigned i = 0; i < 5; i++)
		got += limit_conn_take(7);
	tap_is_u64(got, 3, "connections of one address");
	TAP_OK(limit_conn_take(8) && limit_conns() == 4);
	limit_conn_give(7);
	TAP_OK(limit_conn_take(7));
	for (unsigned i = 0; i < 3; i++)
		limit_conn_give(7);
	limit_conn_give(8);
	tap_is_u64(limit_conns(), 0, "all are back");
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

static void on_a_loop(void *arg)
{
	(void)arg;
	limits_default(&limits);
	limits.http_inflight_bytes = limits.http_answer_bytes = 16 * MiB;
	loop_set_limits(loop_here(), &limits);
	classes();
	shares();
	answers();
	readers();
	addresses();
	buckets();
}

int main(void)
{
	struct testteam tt;
	tap_is_u64(limit_body_least(0), LIMIT_BODY_BYTES_PER_S, "a body of unknown size");
	tap_is_u64(limit_body_least(100000), LIMIT_BODY_BYTES_PER_S, "a small body");
	tap_ok(limit_body_least(32 * MiB) > 256u << 10,
	    "who makes us hold 32 MiB must send them: %llu bytes/s",
	    (unsigned long long)limit_body_least(32 * MiB));
	testteam_start(&tt, 1);
	testteam_run(&tt, 0, on_a_loop, NULL);
	testteam_stop(&tt);
	return tap_done();
}
