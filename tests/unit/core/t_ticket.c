/* Places, promotion, addresses and the sum of bytes, over three loops. */
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#include "core/account/ticket.h"
#include "core/base/arena.h"
#include "core/base/metric.h"

enum {
	LOOPS = 3,
	PLACES = 4, /* one of them for a heavy one: half of three loops */
	QUEUED = 6,
	ASKERS = 30
};
#define MIB (UINT64_C(1) << 20)

static struct testteam tt;
static struct tickets *tickets;
static const struct limits limits = { .query_concurrency = PLACES,
	.query_queued = QUEUED,
	.query_memory = 64 * MIB,
	.query_memory_total = 100 * MIB };

static struct asker {
	struct ticket *ticket;
	unsigned loop;
	uint32_t tenant;
	struct ticket_tenant limits;
	uint64_t who, bytes;
	bool answered, grown, waits;
	enum err verdict;
} askers[ASKERS];

static void answered(void *arg, enum err e)
{
	struct asker *a = arg;
	CHECK(!a->answered);
	a->answered = true;
	a->verdict = e;
	if (e)
		a->ticket = NULL;
}

static void ask(void *arg)
{
	struct asker *a = arg;
	struct ticket_opts o = { .tenant = a->tenant,
		.limits = a->limits,
		.who = a->who,
		.answer = answered,
		.arg = a,
		.what = "up",
		.what_len = 2 };
	ticket_ask(tickets, &o, &a->ticket);
}

static void woken(void *arg)
{
	struct asker *a = arg;
	CHECK(a->waits);
	a->waits = false;
	a->grown = ticket_grow(a->ticket, woken, a);
	CHECK(a->grown);
}

static void grow(void *arg)
{
	struct asker *a = arg;
	a->grown = ticket_grow(a->ticket, woken, a);
	a->waits = !a->grown;
}

static void take_bytes(void *arg)
{
	struct asker *a = arg;
	purse_force(ticket_purse(a->ticket), a->bytes);
}

static void work_out(void *arg)
{
	struct asker *a = arg;
	ticket_worked_out(a->ticket);
	a->waits = false;
}

/* Whatever state it is in. */
static void end(void *arg)
{
	struct asker *a = arg;
	if (a->ticket && !a->answered)
		ticket_abandon(a->ticket);
	if (a->ticket && a->answered) {
		purse_give(ticket_purse(a->ticket), a->bytes);
		ticket_free(a->ticket);
	}
	a->ticket = NULL;
	a->waits = false;
	a->bytes = 0;
}

static void on(struct asker *a, void (*fn)(void *arg))
{
	testteam_run(&tt, a->loop, fn, a);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Messages under way have arrived after some turns of all loops. */
static void settle(void)
{
	for (int i = 0; i < 20; i++) {
		for (unsigned l = 0; l < LOOPS; l++)
			testteam_run(&tt, l, nothing, NULL);
		usleep(200);
	}
}

static void begin(unsigned i, uint64_t who)
{
	askers[i] = (struct asker){ .who = who, .loop = i % LOOPS };
	on(&askers[i], ask);
}

static void end_all(void)
{
	for (unsigned i = 0; i < ASKERS; i++) {
		on(&askers[i], end);
		askers[i] = (struct asker){ 0 };
	}
	settle();
}

static bool runs(unsigned i)
{
	return askers[i].ticket && askers[i].answered;
}

static unsigned count(bool has_answer, enum err e)
{
	unsigned n = 0;
	for (unsigned i = 0; i < ASKERS; i++)
		n += askers[i].answered == has_answer && (!has_answer || askers[i].verdict == e);
	return n;
}

static void is_empty(const char *after)
{
	settle();
	tap_ok(!metric_sum(M_QUERIES_RUNNING) && !metric_sum(M_QUERIES_QUEUED) &&
	        !metric_sum(M_QUERIES_HEAVY) && !metric_sum(M_QUERY_MEMORY_BYTES),
	    "all books are at zero after %s", after);
}

static void everybody(void)
{
	for (unsigned i = 0; i < ASKERS; i++)
		begin(i, 1);
	settle();
	tap_is_u64(count(true, ERR_OK), PLACES, "so many run");
	tap_is_u64(count(false, ERR_OK), QUEUED, "so many wait");
	tap_is_u64(count(true, ERR_BUSY), ASKERS - PLACES - QUEUED, "the rest is told to come back");
}

static void places_move_on(void)
{
	everybody();
	for (unsigned i = 0; i < ASKERS; i++) {
		if (runs(i)) {
			on(&askers[i], work_out);
			break;
		}
	}
	settle();
	tap_is_u64(count(false, ERR_OK), QUEUED - 1, "who has worked out lets the next begin");
	for (unsigned i = 0; i < ASKERS; i++)
		if (!askers[i].answered)
			on(&askers[i], end);
	settle();
	unsigned holding = 0;
	for (unsigned i = 0; i < ASKERS; i++)
		holding += askers[i].ticket != NULL;
	tap_is_u64(holding, PLACES + 1, "those who abandon get no place");
	end_all();
	is_empty("places that moved on");
}

static void heavy_ones_wait_for_each_other(void)
{
	for (unsigned i = 0; i < PLACES; i++)
		begin(i, 1);
	settle();
	for (unsigned i = 0; i < PLACES; i++)
		on(&askers[i], grow);
	settle();
	unsigned grown = 0, heavy = 0;
	for (unsigned i = 0; i < PLACES; i++) {
		grown += askers[i].grown;
		heavy += ticket_class(askers[i].ticket) == TICKET_HEAVY;
	}
	TAP_OK(grown == 1 && heavy == 1 && metric_sum(M_QUERIES_HEAVY) == 1);
	for (unsigned i = PLACES; i < PLACES + 3; i++)
		begin(i, 1);
	settle();
	tap_ok(runs(PLACES) && runs(PLACES + 1) && runs(PLACES + 2),
	    "small ones have three places while heavy ones wait");
	for (unsigned i = 0; i < PLACES; i++) {
		if (askers[i].grown) {
			on(&askers[i], end);
			break;
		}
	}
	settle();
	grown = 0;
	for (unsigned i = 0; i < PLACES; i++)
		grown += askers[i].ticket && askers[i].grown && !askers[i].waits;
	tap_is_u64(grown, 1, "the next heavy one goes on");
	/* Two wait: one ends its work, one goes as it is. */
	for (unsigned i = 0, done = 0; i < PLACES; i++) {
		if (!askers[i].waits)
			continue;
		if (done++)
			on(&askers[i], end);
		else
			on(&askers[i], work_out);
	}
	settle();
	tap_is_u64(metric_sum(M_QUERIES_QUEUED), 0, "who ends while it waits leaves the queue");
	end_all();
	is_empty("heavy ones");
}

static void the_queue_of_heavy_ones_ends(void)
{
	unsigned closed = 0, waits = 0;

	for (unsigned i = 0; i < QUEUED + 4; i++) {
		begin(i, 1);
		settle();
		on(&askers[i], grow);
		settle();
	}
	for (unsigned i = 0; i < QUEUED + 4; i++) {
		struct errbuf eb;
		errbuf_init(&eb);
		struct purse *p = ticket_purse(askers[i].ticket);
		waits += askers[i].waits;
		closed += purse_over(p) && ticket_no_room(p, 0, &eb) == ERR_BUSY &&
		    strstr(eb.text, "--query.max-queued");
	}
	tap_is_u64(waits, QUEUED, "so many wait for the heavy place");
	tap_is_u64(closed, 3, "who comes then goes on, with an empty purse");
	end_all();
	is_empty("a full queue of heavy ones");
}

static void touching(void *arg)
{
	struct asker *a = arg;
	struct ticket *t = a->ticket;
	TAP_OK(!ticket_touched(t, 50000) && !ticket_touched(t, 50000));
	tap_ok(ticket_touched(t, 1), "more than 100,000 samples are not small");
	TAP_OK(ticket_grow(t, woken, a) && !ticket_touched(t, 1000000));
}

static void bytes_are_cost_too(void *arg)
{
	struct asker *a = arg;
	struct ticket *t = a->ticket;
	TAP_OK(purse_take(ticket_purse(t), 16 * MIB) && !ticket_touched(t, 1));
	TAP_OK(purse_take(ticket_purse(t), MIB));
	a->bytes = 17 * MIB;
	tap_ok(ticket_touched(t, 1), "neither is a lot of memory");
}

static void what_is_heavy(void)
{
	begin(0, 1);
	begin(1, 1);
	settle();
	on(&askers[0], touching);
	on(&askers[1], bytes_are_cost_too);
	tap_is_u64(metric_sum(M_QUERY_MEMORY_BYTES), 17 * MIB, "the sum is shown");
	end_all();
	is_empty("heavy by samples and by bytes");
}

static void begin_of(unsigned i, uint32_t tenant, uint64_t who, struct ticket_tenant own)
{
	askers[i] = (struct asker){ .tenant = tenant, .limits = own, .who = who, .loop = i % LOOPS };
	on(&askers[i], ask);
	settle();
}

static const struct ticket_tenant no_limits;

/* One tenant comes from many addresses, the other from one of them. */
static void tenants(void)
{
	for (unsigned i = 0; i < PLACES + QUEUED; i++)
		begin_of(i, 1, i + 1, no_limits);
	TAP_OK(count(true, ERR_BUSY) == 0 && metric_sum(M_QUERIES_QUEUED) == QUEUED);
	begin_of(20, 2, 1, no_limits);
	begin_of(21, 2, 1, no_limits);
	tap_ok(!askers[20].answered && !askers[21].answered && count(true, ERR_BUSY) == 2,
	    "a tenant that waits less displaces one that waits more, whatever their addresses");
	on(&askers[0], end);
	settle();
	TAP_OK(runs(20));
	on(&askers[1], end);
	settle();
	tap_ok(runs(21), "the free places are its own until both have as many");
	on(&askers[20], end);
	settle();
	tap_ok(runs(PLACES), "then the first one's again, the address that asked first");
	end_all();
	is_empty("two tenants");
}

static void limits_of_a_tenant(void)
{
	const struct ticket_tenant own = { .concurrency = 2, .queued = 1, .memory = 30 * MIB };
	for (unsigned i = 0; i < 4; i++)
		begin_of(i, 1, 1, own);
	tap_ok(runs(0) && runs(1) && !askers[2].answered, "two may run");
	tap_ok(askers[3].verdict == ERR_BUSY, "one may wait");
	begin_of(4, 2, 1, no_limits);
	tap_ok(runs(4), "others pass by");
	begin_of(5, 1, 2, own);
	tap_ok(askers[5].verdict == ERR_BUSY && !askers[2].answered,
	    "another address of it waits no less");
	on(&askers[0], end);
	settle();
	TAP_OK(runs(2));
	struct purse *a = ticket_purse(askers[1].ticket), *b = ticket_purse(askers[2].ticket);
	struct errbuf eb;
	errbuf_init(&eb);
	TAP_OK(purse_take(a, 20 * MIB) && !purse_take(b, 20 * MIB));
	tap_ok(ticket_no_room(b, 20 * MIB, &eb) == ERR_BUSY &&
	        strstr(eb.text, "need 40 MiB at once, limit 30 MiB (query_memory of the tenant)"),
	    "all its queries have one purse: %s", eb.text);
	tap_ok(purse_take(ticket_purse(askers[4].ticket), 50 * MIB), "others have theirs");
	purse_give(ticket_purse(askers[4].ticket), 50 * MIB);
	purse_give(a, 20 * MIB);
	begin_of(6, 1, 1, (struct ticket_tenant){ .concurrency = 3, .memory = 10 * MIB });
	TAP_OK(runs(6) && !purse_take(ticket_purse(askers[6].ticket), 11 * MIB));
	tap_ok(purse_take(b, 11 * MIB), "who began under other limits keeps them");
	purse_give(b, 11 * MIB);
	begin_of(7, 1, 1, no_limits);
	tap_ok(!askers[7].answered && metric_sum(M_QUERIES_QUEUED) == 1,
	    "without limits only the places count");
	end_all();
	is_empty("a tenant's own limits");
}

/* A tenant may have one place: its heavy query waits for its small one, others do not. */
static void growing_within_limits(void)
{
	const struct ticket_tenant own = { .concurrency = 1 };
	begin_of(0, 1, 1, own);
	begin_of(1, 1, 1, own);
	on(&askers[0], grow);
	settle();
	TAP_OK(askers[0].grown || runs(1));
	begin_of(2, 2, 1, own);
	TAP_OK(runs(2));
	on(&askers[2], grow);
	settle();
	tap_ok(askers[0].grown + askers[2].grown == 1, "one of both is heavy");
	end_all();
	is_empty("growth within limits");
}

/* One address fills places and queue; the others come later. */
static void addresses(void)
{
	for (unsigned i = 0; i < PLACES + QUEUED; i++)
		begin(i, 1);
	settle();
	TAP_OK(count(true, ERR_BUSY) == 0 && metric_sum(M_QUERIES_QUEUED) == QUEUED);
	begin(20, 2);
	begin(21, 3);
	settle();
	tap_ok(!askers[20].answered && !askers[21].answered && count(true, ERR_BUSY) == 2,
	    "who waits less displaces the youngest of who waits most");
	tap_ok(askers[PLACES + QUEUED - 1].verdict == ERR_BUSY, "the youngest it was");
	on(&askers[0], end);
	settle();
	TAP_OK(runs(20));
	on(&askers[1], end);
	settle();
	tap_ok(runs(21), "the next free places are theirs, not those of who asked before");
	on(&askers[2], end);
	settle();
	tap_ok(runs(PLACES), "then it is the turn of who asked first");
	end_all();
	is_empty("three addresses");
}

static void begin_heavy(unsigned i, uint64_t who)
{
	begin(i, who);
	settle();
	on(&askers[i], grow);
	settle();
}

static bool is_heavy_now(unsigned i)
{
	return runs(i) && askers[i].grown && !askers[i].waits;
}

/* All wait for the one heavy place, and none has a small one: they take turns all the same. */
static void addresses_of_heavy_ones(void)
{
	for (unsigned i = 0; i <= QUEUED; i++)
		begin_heavy(i, 1);
	TAP_OK(is_heavy_now(0) && metric_sum(M_QUERIES_QUEUED) == QUEUED);
	begin_heavy(20, 2);
	tap_ok(askers[20].waits && is_heavy_now(QUEUED) && metric_sum(M_QUERIES_HEAVY) == 1,
	    "the youngest of who waits most makes room in the full queue, its purse closed");
	on(&askers[QUEUED], end);
	on(&askers[0], end);
	settle();
	tap_ok(is_heavy_now(1) || is_heavy_now(20), "the next one works");
	unsigned next = is_heavy_now(1) ? 1 : 20;
	on(&askers[next], work_out);
	settle();
	tap_ok(next == 20 || is_heavy_now(20), "who came last has waited for one other at most");
	begin_heavy(21, 2);
	on(&askers[20], work_out);
	settle();
	tap_ok(!is_heavy_now(21), "nor does it go past the first one all the time");
	end_all();
	is_empty("two addresses with heavy ones");
}

static void sum_makes_askers_wait(void)
{
	struct errbuf eb;

	errbuf_init(&eb);
	begin(0, 1);
	begin(1, 1);
	settle();
	askers[0].bytes = 60 * MIB;
	askers[1].bytes = 20 * MIB;
	on(&askers[0], take_bytes);
	on(&askers[1], take_bytes);
	begin(2, 1);
	settle();
	TAP_OK(!askers[2].answered);
	on(&askers[1], work_out);
	settle();
	tap_ok(!askers[2].answered, "work is done, but the answer still holds its bytes");
	on(&askers[1], end);
	settle();
	tap_ok(runs(2), "bytes are back, the next begins");
	on(&askers[2], grow);
	settle();
	tap_ok(askers[2].grown, "nobody is heavy, so one may become it whatever is used");
	begin(3, 1);
	settle();
	on(&askers[3], grow);
	on(&askers[2], end);
	settle();
	tap_ok(!askers[3].waits, "the place is free, and nobody else works who is heavy");
	/* Over the sum, not over its own limit. */
	struct purse *p = ticket_purse(askers[3].ticket);
	TAP_OK(!purse_take(p, 50 * MIB) && ticket_no_room(p, 50 * MIB, &eb) == ERR_BUSY);
	tap_is_str(eb.text,
	    "queries need 110 MiB at once, limit 100 MiB (--query.max-memory-total), try again later",
	    "the text names limit, number and flag");
	errbuf_init(&eb);
	TAP_OK(!purse_take(p, 65 * MIB) && ticket_no_room(p, 65 * MIB, &eb) == ERR_TOOBIG);
	tap_is_str(eb.text, "query needs an estimated 65 MiB, limit 64 MiB (--query.max-memory)",
	    "and so does the one of a single query");
	end_all();
	is_empty("a full sum");
}

/* One alone may always go on. */
static void nobody_waits_for_nothing(void)
{
	begin(0, 1);
	settle();
	askers[0].bytes = 99 * MIB;
	on(&askers[0], take_bytes);
	on(&askers[0], grow);
	settle();
	TAP_OK(askers[0].grown);
	on(&askers[0], work_out);
	begin(1, 2);
	begin(2, 2);
	settle();
	tap_ok(runs(1) && !askers[2].answered,
	    "an answer that is read keeps nobody out, as long as nobody else works");
	on(&askers[1], work_out);
	settle();
	tap_ok(runs(2), "and then the next begins");
	end_all();
	is_empty("one that had all");
}

/* Whatever comes in one turn crosses what is on its way. */
static void ask_and_end(void *arg)
{
	ask(arg);
	end(arg);
}

static void grow_and_end(void *arg)
{
	struct asker *a = arg;
	if (a->ticket && a->answered && !a->grown)
		grow(arg);
	end(arg);
}

static void grow_and_work_out(void *arg)
{
	struct asker *a = arg;
	if (!a->ticket || !a->answered || a->grown || a->waits)
		return;
	grow(arg);
	work_out(arg);
	a->grown = true;
}

static void crossing(void)
{
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < ASKERS; i++) {
			askers[i] = (struct asker){ .who = i % 4,
				.tenant = i % 3,
				.limits = { .concurrency = round % 4,
				    .queued = i % 3,
				    .memory = (round % 5) * 10 * MIB },
				.loop = (i + round) % LOOPS };
			on(&askers[i], round % 3 == 1 ? ask_and_end : ask);
		}
		for (unsigned i = 0; i < ASKERS && round % 3 == 2; i++)
			on(&askers[i], grow_and_work_out);
		for (unsigned i = 0; i < ASKERS; i++)
			on(&askers[i], round % 2 ? grow_and_end : end);
	}
	is_empty("200 rounds of crossing messages");
	places_move_on();
}

int main(void)
{
	testteam_start(&tt, LOOPS);
	tickets = tickets_create(tt.team, &limits);
	places_move_on();
	heavy_ones_wait_for_each_other();
	the_queue_of_heavy_ones_ends();
	what_is_heavy();
	tenants();
	limits_of_a_tenant();
	growing_within_limits();
	addresses();
	addresses_of_heavy_ones();
	sum_makes_askers_wait();
	nobody_waits_for_nothing();
	crossing();
	tickets_free(tickets);
	testteam_stop(&tt);
	return tap_done();
}
