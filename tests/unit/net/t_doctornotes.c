/* Notes of what happened to requests: by tenant, with the last example, in bounded memory. */
#include "net/api/doctornotes.c" /* texts of one hash are hard to come by */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/model/tenant.h"
#include "net/api/doctortenant.h"
#include "net/api/refusals.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

static struct testteam tt;
static struct doctornotes notes;
static uint32_t one[] = { 3 }, two[] = { 3, 4 }, other[] = { 9 };

/* A request of tenant 3 from this address, at the loop's time. */
static struct req from(const char *address, struct req_field *agent, uint32_t *tenants, size_t n)
{
	struct req r = { .loop = loop_here(),
		.tenant = tenants[0],
		.tenants = tenants,
		.tenants_count = n,
		.fields = agent,
		.field_count = agent != NULL };
	struct sockaddr_in *in = (struct sockaddr_in *)&r.remote;
	in->sin_family = AF_INET;
	in->sin_port = htons(4000);
	inet_pton(AF_INET, address, &in->sin_addr);
	return r;
}

struct found {
	unsigned count;
	struct doctornote last, by_kind[DOCTORNOTE_ENDED + 1];
};

static void find(void *arg, const struct doctornote *d)
{
	struct found *f = arg;
	f->count++;
	f->last = f->by_kind[d->kind] = *d;
}

static struct found of(const uint32_t *tenants, size_t n, int64_t later_ms)
{
	struct found f = { 0 };
	doctornotes_each(&notes, tenants, n, loop_now_ms(loop_here()) + later_ms, find, &f);
	return f;
}

static void refusals_are_kept(void)
{
	struct req r = from("10.0.0.1", NULL, one, 1);
	doctornotes_refused(&notes, &r, REFUSAL_SAMPLES + SINK_TOO_OLD, "up{a=\"1\"}: too old");
	doctornotes_refused(&notes, &r, REFUSAL_SAMPLES + SINK_TOO_OLD, NULL);
	struct found f = of(one, 1, 0);
	tap_ok(f.count == 1 && f.last.kind == DOCTORNOTE_REFUSED && f.last.count == 2,
	    "a reason is one note");
	tap_is_str(f.last.example, "up{a=\"1\"}: too old", "with the last example");
	tap_is_str(f.last.who, "10.0.0.1", "and from where, without the port");
	doctornotes_refused(&notes, &r, REFUSAL_RATE, "limit 5");
	tap_is_u64(of(one, 1, 0).count, 2, "another reason is another note");
	tap_is_u64(of(other, 1, 0).count, 0, "other tenants see none of it");
	tap_is_u64(of(one, 1, DOCTORNOTES_QUIET_MS + 1).count, 0, "after an hour it is over");
}

static void senders_are_known(void)
{
	struct req_field agent = { "user-agent", "Prometheus/3.14.0", 10, 17 };
	struct req r = from("10.0.0.2", &agent, one, 1);
	struct sink_req s = { .stored = 100, .late = 7, .changed = 2 };
	doctornotes_wrote(&notes, &r, &s);
	doctornotes_wrote(&notes, &r, &(struct sink_req){ .stored = 50 });
	struct found f = of(one, 1, 0);
	tap_is_str(f.by_kind[DOCTORNOTE_SENDER].agent, "Prometheus/3.14.0", "who writes");
	tap_is_u64(f.by_kind[DOCTORNOTE_SENDER].count, 150, "how much");
	tap_ok(f.by_kind[DOCTORNOTE_LATE].count == 7 &&
	        !strcmp(f.by_kind[DOCTORNOTE_LATE].who, "10.0.0.2"),
	    "who is late");
	tap_is_u64(f.by_kind[DOCTORNOTE_CHANGED].count, 2, "and who changes what was there");
}

static void addresses_are_followed(void)
{
	struct req_field agent = { "user-agent", "x", 10, 1 };
	struct sink_req s = { .stored = 1 };
	struct req a = from("10.0.0.7", &agent, other, 1), b = from("10.0.0.8", &agent, other, 1);
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&b.remote;
	doctornotes_wrote(&notes, &a, &s);
	doctornotes_wrote(&notes, &b, &s);
	tap_is_str(of(other, 1, 0).last.who, "10.0.0.8", "the last address is shown");
	in6->sin6_family = AF_INET6;
	inet_pton(AF_INET6, "2001:db8::1", &in6->sin6_addr);
	doctornotes_wrote(&notes, &b, &s);
	tap_is_str(of(other, 1, 0).last.who, "[2001:db8::1]", "of either family");
}

static void queries_are_known(void)
{
	struct req r = from("10.0.0.3", NULL, one, 1), both = from("10.0.0.3", NULL, two, 2);
	doctornotes_slow(&notes, &r, "sum(x)", 6, 7000000000u);
	doctornotes_slow(&notes, &r, "sum(x)", 6, 6000000000u);
	doctornotes_slow(&notes, &both, "sum(y)", 6, 9000000000u);
	struct found f = of(one, 1, 0);
	tap_ok(f.by_kind[DOCTORNOTE_SLOW].count == 2 && f.by_kind[DOCTORNOTE_SLOW].most_ms == 7000,
	    "a slow query is counted, with the longest time");
	tap_is_str(
	    f.by_kind[DOCTORNOTE_SLOW].example, "sum(x)", "that of several tenants is nobody's");
	doctornotes_ended(&notes, &r, "sum(x)", 6, "needs 5 samples, limit 3");
	doctornotes_ended(&notes, &r, "sum(z)", 6, "needs 9 samples, limit 3");
	f = of(one, 1, 0);
	tap_is_u64(f.by_kind[DOCTORNOTE_ENDED].count, 2, "errors that differ in numbers are one");
	tap_is_str(f.by_kind[DOCTORNOTE_ENDED].example, "needs 9 samples, limit 3: sum(z)",
	    "with the last query");
}

static void memory_is_bounded(void)
{
	char text[32];
	struct req r = from("10.0.0.4", NULL, one, 1);
	for (unsigned i = 0; i < 100000; i++) {
		int len = snprintf(text, sizeof(text), "x%u", i);
		doctornotes_slow(&notes, &r, text, (size_t)len, 6000000000u);
	}
	unsigned count = of(one, 1, 0).count;
	tap_ok(count <= DOCTORNOTES_ROWS && count > DOCTORNOTES_ROWS / 2,
	    "a hundred thousand texts take %u places", count);
}

/* A client chooses its texts so that they have the hash of another's. */
static void texts_of_one_hash_are_two(void)
{
	struct doctornotes n;
	doctornotes_begin(&n);
	struct sought a = { 77, 3, DOCTORNOTE_REFUSED, 1 }, b = { 77, 9, DOCTORNOTE_SENDER, 0 };
	struct doctornote *d = place_of(&n, &a);
	*d = (struct doctornote){ .key = 77, .tenant = 3, .kind = a.kind, .what = 1, .last_ms = 5 };
	strcpy(d->example, "of tenant 3");
	tap_ok(place_of(&n, &a) == d, "a row is found again");
	tap_ok(place_of(&n, &b) != d, "and is not another tenant's, whose text has its hash");
	struct doctornote both[2] = { *d, { .key = 77, .tenant = 9, .kind = b.kind, .last_ms = 6 } };
	tap_is_u64(doctortenant_join(both, 2), 2, "nor joined with one from another loop");
	doctornotes_end(&n);
}

static void nobody_drives_out_others(void)
{
	struct req_field agent = { "user-agent", NULL, 10, 0 };
	struct req theirs = from("10.0.0.5", NULL, other, 1), mine = from("10.0.0.6", &agent, one, 1);
	char text[32];
	doctornotes_refused(&notes, &theirs, REFUSAL_RATE, "limit 5");
	for (unsigned i = 0; i < 10000; i++) {
		agent.value_len = (size_t)snprintf(text, sizeof(text), "agent %u", i);
		agent.value = text;
		doctornotes_wrote(&notes, &mine, &(struct sink_req){ .stored = 1 });
	}
	tap_is_u64(
	    of(other, 1, 0).count, 1, "ten thousand senders of one tenant leave a note of another");
}

static void all(void *arg)
{
	(void)arg;
	doctornotes_begin(&notes);
	refusals_are_kept();
	senders_are_known();
	queries_are_known();
	addresses_are_followed();
	texts_of_one_hash_are_two();
	memory_is_bounded();
	doctornotes_end(&notes);
	nobody_drives_out_others();
	doctornotes_end(&notes);
}

int main(void)
{
	testteam_start(&tt, 1);
	team_run_on(tt.team, 0, all, NULL);
	testteam_stop(&tt);
	return tap_done();
}
