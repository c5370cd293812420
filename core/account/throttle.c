#include "core/account/throttle.h"

#include "core/base/check.h"

/* By which part of it the limit grows, or shrinks; far off: it waits more than twice too long. */
#define STEP       8u
#define STEP_FAR   4u
#define PEAK_DECAY 16

static unsigned part_of(unsigned limit, unsigned part)
{
	return limit / part ? limit / part : 1;
}

/* What was done in a window at best; what is long ago counts less. */
static void peak(struct throttle *t, uint64_t took_ns)
{
	double done = (double)t->_done * (double)THROTTLE_WINDOW_NS / (double)took_ns;
	t->_peak -= t->_peak / PEAK_DECAY;
	if (done > t->_peak)
		t->_peak = done;
}

static void adjust(struct throttle *t)
{
	uint64_t mean_ns = t->_came ? t->_waited_ns / t->_came : 0;
	bool bad = mean_ns > THROTTLE_WAIT_NS, far = mean_ns > 2 * THROTTLE_WAIT_NS;
	t->_bad = bad ? t->_bad + 1 : 0;
	if (!t->limit && t->_bad >= THROTTLE_WINDOWS)
		t->limit = t->under_way > THROTTLE_LEAST ? t->under_way : THROTTLE_LEAST;
	if (!t->limit)
		return;
	unsigned less = part_of(t->limit, far ? STEP_FAR : STEP);
	unsigned floor = (unsigned)t->_peak > THROTTLE_LEAST ? (unsigned)t->_peak : THROTTLE_LEAST;
	if (bad && t->limit > floor)
		t->limit = t->limit - less > floor ? t->limit - less : floor;
	else if (mean_ns < THROTTLE_SHORT_NS && t->_refused)
		t->limit += part_of(t->limit, STEP);
}

static void roll(struct throttle *t, uint64_t now_ns)
{
	uint64_t took_ns = now_ns - t->_window_ns;
	if (took_ns < THROTTLE_WINDOW_NS)
		return;
	if (took_ns >= THROTTLE_CALM_NS)
		t->_bad = 0; /* there was nobody for a while */
	peak(t, took_ns);
	adjust(t);
	if (t->limit && now_ns - t->_refused_ns >= THROTTLE_CALM_NS && !t->_refused && !t->_bad)
		t->limit = 0;
	t->_window_ns = now_ns;
	t->_waited_ns = 0;
	t->_came = t->_done = 0;
	t->_refused = false;
}

bool throttle_may(struct throttle *t, uint64_t now_ns, uint64_t waited_ns)
{
	roll(t, now_ns);
	t->_came++;
	t->_waited_ns += waited_ns;
	return !t->limit || t->under_way < t->limit;
}

void throttle_begin(struct throttle *t)
{
	t->under_way++;
}

void throttle_refused(struct throttle *t, uint64_t now_ns)
{
	t->_refused = true;
	t->_refused_ns = now_ns;
}

void throttle_end(struct throttle *t, uint64_t now_ns)
{
	CHECK(t->under_way);
	t->under_way--;
	t->_done++;
	roll(t, now_ns);
}
