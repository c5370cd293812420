/*
 * The watch over the wall clock: every row of its table, and a random walk that keeps its promises.
 */
#include "core/base/clockwatch.h"

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "tests/lib/tap.h"

#define T0  INT64_C(1750000000000)
#define MIN INT64_C(60000)
#define HR  (60 * MIN)
#define DAY (24 * HR)

static struct clockwatch_now now;
static struct clockwatch *w;

static void begin(int64_t wall_ms, int64_t senders_ms, int64_t any_ms)
{
	clockwatch_free(w);
	now = (struct clockwatch_now){ .wall_ms = wall_ms, .mono_ns = UINT64_C(5000000000) };
	w = clockwatch_create(now);
	clockwatch_start(w, now, senders_ms, any_ms);
}

static void pass(int64_t ms)
{
	now.wall_ms += ms;
	now.mono_ns += (uint64_t)ms * 1000000u;
}

static enum clockwatch_state look(void)
{
	return clockwatch_look(w, now);
}

/* One sample, so far from the clock. */
static enum clockwatch_state hear(int64_t off_ms)
{
	struct clockwatch_heard h = { .t_newest_ms = now.wall_ms + off_ms,
		.agrees = off_ms <= CLOCKWATCH_AGREE_MS && off_ms >= -CLOCKWATCH_AGREE_MS };
	return clockwatch_hear(w, now, &h);
}

/* Samples go along with the clock for long enough. */
static enum clockwatch_state confirm(void)
{
	(void)hear(0);
	pass(CLOCKWATCH_FIRM_MS);
	return hear(-1000);
}

static void starts(void)
{
	begin(T0, INT64_MIN, INT64_MIN);
	TAP_OK(look() == CLOCKWATCH_OPEN && clockwatch_trusted_ms(w, now) == T0);
	begin(T0, T0, T0);
	tap_ok(look() == CLOCKWATCH_OPEN,
	    "a clock that stood still while the machine was off is not believed yet");
	begin(T0, T0 + HR, T0 + HR);
	tap_ok(look() == CLOCKWATCH_OPEN, "an hour behind is not yet in doubt");
	begin(T0, T0 + HR + 1, T0 + HR + 1);
	tap_ok(look() == CLOCKWATCH_DOUBT && metric_sum(M_CLOCK_IN_DOUBT) == 1, "more than that is");
	begin(T0, T0, T0 + HR + 1);
	tap_ok(look() == CLOCKWATCH_DOUBT, "behind our own samples too");
	begin(T0, T0 - 60 * DAY, T0 - 59 * DAY);
	TAP_OK(look() == CLOCKWATCH_OPEN && metric_sum(M_CLOCK_IN_DOUBT) == 0);
	pass(DAY);
	tap_is_i64(clockwatch_trusted_ms(w, now), T0 - 58 * DAY,
	    "far ahead: what is trusted goes on from the newest sample");
	begin(T0, T0 + 30 * MIN, T0 + 30 * MIN);
	pass(MIN);
	tap_is_i64(clockwatch_trusted_ms(w, now), T0 + MIN, "and is never later than the clock");
}

static void open_clock(void)
{
	begin(T0, INT64_MIN, INT64_MIN);
	TAP_OK(hear(-HR) == CLOCKWATCH_OPEN && hear(-20 * DAY) == CLOCKWATCH_OPEN);
	tap_ok(hear(-MIN) == CLOCKWATCH_SURE, "open: late samples say nothing, one of now confirms");
	begin(T0, INT64_MIN, INT64_MIN);
	tap_ok(hear(CLOCKWATCH_AGREE_MS + 1) == CLOCKWATCH_DOUBT,
	    "open: samples of the future put it in doubt");
	begin(T0, T0 - DAY, T0 - DAY);
	TAP_OK(hear(-HR) == CLOCKWATCH_OPEN);
	tap_ok(hear(-HR - 1) == CLOCKWATCH_DOUBT, "begun far ahead: old samples do too");
	begin(T0, T0 - DAY, T0 - DAY);
	TAP_OK(confirm() == CLOCKWATCH_SURE && hear(-DAY) == CLOCKWATCH_SURE);
	begin(T0, T0 - 10, T0 - 10);
	bool sure = false;
	for (int64_t by = 0; by < 2 * HR; by += 3 * MIN, pass(20 * 1000))
		sure |= hear(by) == CLOCKWATCH_SURE;
	tap_ok(!sure, "a backlog that passes by confirms nothing");
	begin(T0, T0 - 10, T0 - 10);
	TAP_OK(hear(0) == CLOCKWATCH_OPEN);
	pass(CLOCKWATCH_FIRM_MS);
	struct clockwatch_heard both = { .t_newest_ms = now.wall_ms + HR, .agrees = true };
	tap_ok(clockwatch_hear(w, now, &both) == CLOCKWATCH_DOUBT,
	    "nor does a piece with later times beside");
	begin(T0, INT64_MIN, INT64_MIN);
	struct clockwatch_heard h = { .t_newest_ms = T0 - 40 * DAY, .clock_refuses = true };
	tap_ok(clockwatch_hear(w, now, &h) == CLOCKWATCH_DOUBT,
	    "so do samples that only the clock would refuse");
	begin(T0, INT64_MIN, INT64_MIN);
	h = (struct clockwatch_heard){ .t_newest_ms = INT64_MIN, .clock_refuses = true };
	tap_ok(clockwatch_hear(w, now, &h) == CLOCKWATCH_OPEN, "a piece without times says nothing");
}

static void sure_clock(void)
{
	begin(T0, T0, T0);
	TAP_OK(confirm() == CLOCKWATCH_SURE);
	bool sure = true;
	for (int i = 0; i < 1000; i++)
		sure = sure && hear(i % 2 ? DAY : -DAY) == CLOCKWATCH_SURE;
	tap_ok(sure, "sure: whatever samples say");
	for (int i = 0; i < 1000; i++) {
		pass(HR);
		now.wall_ms += 1500; /* a clock that is slewed, or ours that drifts */
		sure = sure && look() == CLOCKWATCH_SURE;
	}
	tap_ok(sure, "sure: drift is followed");
	TAP_OK(clockwatch_trusted_ms(w, now) == now.wall_ms);
	begin(T0, T0, T0);
	TAP_OK(confirm() == CLOCKWATCH_SURE);
	now.wall_ms -= CLOCKWATCH_NUDGE_MS;
	TAP_OK(look() == CLOCKWATCH_SURE);
	now.wall_ms += CLOCKWATCH_NUDGE_MS;
	TAP_OK(look() == CLOCKWATCH_SURE);
	now.wall_ms += CLOCKWATCH_NUDGE_MS + 1;
	tap_ok(look() == CLOCKWATCH_OPEN, "a small step opens the question");
	int64_t trusted = clockwatch_trusted_ms(w, now);
	tap_is_i64(trusted, now.wall_ms - CLOCKWATCH_NUDGE_MS - 1, "trusted is what was before it");
	TAP_OK(hear(-50 * MIN) == CLOCKWATCH_OPEN && confirm() == CLOCKWATCH_SURE);
	now.wall_ms += CLOCKWATCH_STEP_MS + 1;
	tap_ok(look() == CLOCKWATCH_DOUBT, "a large one is in doubt, forward");
	begin(T0, T0, T0);
	TAP_OK(confirm() == CLOCKWATCH_SURE);
	for (int i = 0; i < 10; i++, pass(1000)) {
		now.wall_ms += 60 * 1000;
		(void)look();
	}
	tap_ok(look() == CLOCKWATCH_OPEN &&
	        clockwatch_trusted_ms(w, now) == T0 + CLOCKWATCH_FIRM_MS + 10000,
	    "ten small steps open the question too");
	for (int i = 0; i < 60; i++) {
		now.wall_ms += 2 * MIN;
		(void)look();
	}
	tap_ok(look() == CLOCKWATCH_DOUBT, "and many are a large one");
	begin(T0, T0, T0);
	(void)confirm();
	now.wall_ms -= CLOCKWATCH_STEP_MS + 1;
	tap_ok(hear(0) == CLOCKWATCH_DOUBT && confirm() == CLOCKWATCH_SURE &&
	        metric_sum(M_CLOCK_IN_DOUBT) == 0,
	    "back: seen before samples are weighed, and ended by those that agree");
}

static void doubted_clock(void)
{
	begin(T0, T0, T0);
	(void)confirm();
	now.wall_ms += 45 * DAY;
	TAP_OK(look() == CLOCKWATCH_DOUBT);
	pass(10 * DAY);
	TAP_OK(look() == CLOCKWATCH_DOUBT && hear(-45 * DAY) == CLOCKWATCH_DOUBT);
	tap_is_i64(clockwatch_trusted_ms(w, now), T0 + CLOCKWATCH_FIRM_MS + 10 * DAY,
	    "trusted goes on with monotonic time");
	TAP_OK(confirm() == CLOCKWATCH_DOUBT); /* two against one, but just now */
	pass(CLOCKWATCH_FIRM_MS);
	tap_ok(hear(0) == CLOCKWATCH_SURE && clockwatch_trusted_ms(w, now) == now.wall_ms,
	    "more agree than disagree: sure");
	now.wall_ms += 2 * DAY;
	for (int i = 0; i < 100; i++)
		(void)hear(-2 * DAY);
	TAP_OK(confirm() == CLOCKWATCH_DOUBT);
	now.wall_ms -= 2 * DAY;
	tap_ok(confirm() == CLOCKWATCH_SURE, "votes against a clock that was set since are void");
	now.wall_ms += 2 * DAY;
	for (int i = 0; i < 100; i++)
		(void)hear(-2 * DAY);
	pass(CLOCKWATCH_VOTES_MS);
	TAP_OK(confirm() == CLOCKWATCH_DOUBT);
	pass(CLOCKWATCH_VOTES_MS);
	tap_ok(confirm() == CLOCKWATCH_SURE, "old votes are forgotten");
	begin(T0, T0 + 2 * DAY, T0 + 2 * DAY);
	tap_ok(hear(-10 * DAY) == CLOCKWATCH_DOUBT && confirm() == CLOCKWATCH_SURE,
	    "a clock that may be behind: late samples say nothing");
}

static uint64_t seed = 7;
static int64_t below(int64_t n)
{
	seed += 0x9e3779b97f4a7c15u;
	return (int64_t)(hash_mix64(seed) % (uint64_t)n);
}

/* The machine's clock goes wrong and right again; senders are right, but for one. */
static void walks(void)
{
	unsigned bad_sure = 0, stuck = 0, early = 0;
	for (int round = 0; round < 2000; round++) {
		int64_t right = T0, wrong = below(3) ? 0 : below(4 * HR) - 2 * HR;
		begin(right + wrong, below(2) ? right - below(HR) : INT64_MIN, INT64_MIN);
		bool confirmed = false;
		for (int i = 0; i < 60; i++) {
			int64_t ms = below(2 * MIN);
			pass(ms);
			right += ms;
			if (!below(20)) {
				int64_t to = below(2) ? 0 : below(80 * DAY) - 40 * DAY;
				bool much = to - wrong > CLOCKWATCH_STEP_MS ||
				    wrong - to > CLOCKWATCH_STEP_MS;
				now.wall_ms += to - wrong;
				wrong = to;
				confirmed = false;
				early += much && look() != CLOCKWATCH_DOUBT;
			}
			enum clockwatch_state s = hear(below(10) ? -wrong - below(MIN) : DAY - wrong);
			confirmed |= s == CLOCKWATCH_SURE;
			bool far = wrong < -CLOCKWATCH_AGREE_MS - MIN;
			bad_sure += far && s == CLOCKWATCH_SURE;
		}
		now.wall_ms -= wrong;
		for (int i = 0; i < 3 * CLOCKWATCH_VOTES_MS / 15000; i++) {
			pass(15000);
			(void)hear(-100);
		}
		stuck += look() != CLOCKWATCH_SURE;
	}
	tap_is_u64(early, 0, "every large step puts it in doubt at once");
	tap_is_u64(bad_sure, 0, "a clock far behind is never sure while senders are right");
	tap_is_u64(stuck, 0, "a right clock and right senders always come to agree");
}

/* A sender with the same wrong clock confirms it: what that would delete stays for a day. */
static void deletion_is_slow(void)
{
	begin(T0, T0, T0);
	TAP_OK(confirm() == CLOCKWATCH_SURE && clockwatch_delete_ms(w, now) == now.wall_ms);
	int64_t right = now.wall_ms;
	now.wall_ms += 45 * DAY;
	TAP_OK(look() == CLOCKWATCH_DOUBT && confirm() == CLOCKWATCH_SURE);
	right += CLOCKWATCH_FIRM_MS;
	tap_ok(clockwatch_trusted_ms(w, now) == now.wall_ms && clockwatch_delete_ms(w, now) == right,
	    "a clock that went ahead is believed, and deletes by what was believed before");
	pass(23 * HR);
	tap_ok(clockwatch_delete_ms(w, now) == right + 23 * HR, "for hours, at the pace of time");
	now.wall_ms -= 45 * DAY;
	TAP_OK(look() == CLOCKWATCH_DOUBT && confirm() == CLOCKWATCH_SURE);
	tap_ok(clockwatch_delete_ms(w, now) == now.wall_ms, "the right clock deletes at once again");
	now.wall_ms += 2 * DAY;
	TAP_OK(look() == CLOCKWATCH_DOUBT && confirm() == CLOCKWATCH_SURE);
	pass(DAY + HR);
	tap_ok(clockwatch_delete_ms(w, now) == now.wall_ms, "after a day all clocks do");
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	starts();
	open_clock();
	sure_clock();
	doubted_clock();
	deletion_is_slow();
	walks();
	clockwatch_free(w);
	tap_ok(metric_sum(M_CLOCK_IN_DOUBT) == 0, "the gauge is back at 0");
	return tap_done();
}
