#include "core/base/clockwatch.h"

#include <pthread.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/num.h"

#define DRIFT_MS 1000 /* less is followed in silence */
/* of the time that went by may be drift: twice what kernels slew at most */
#define DRIFT_PART 1000u

struct votes {
	uint32_t agree, disagree;
};
#define SAID_MAX 2u /* moves of one call: by a step, then by what is heard */

struct said { /* a move, to be told when the lock is free: a line of the log may wait */
	enum clockwatch_state from, to;
	const char *why;
	int64_t by_ms;
};
struct clockwatch {
	pthread_mutex_t lock; /* of all that is below */
	uint32_t state;       /* enum clockwatch_state; read without the lock */
	int64_t offset_ms;    /* wall - monotonic, as last seen; read without the lock */
	int64_t believed_ms;  /* wall - monotonic of trusted time */
	/* wall - monotonic when the state began; many small steps are a large one */
	int64_t base_ms;
	uint64_t base_ns;
	int64_t slow_ms;        /* wall - monotonic as it was believed before it went ahead ... */
	uint64_t slow_until_ns; /* ... which deletion goes by until then; 0 = by what is believed */
	bool was_sure;
	bool ahead;             /* the clock may be ahead of the world */
	struct votes now, last; /* in DOUBT */
	uint64_t votes_ns;      /* when `now` began */
	bool empty;             /* senders had stored nothing at the start */
	uint64_t firm_ns;       /* since when samples go along with the clock; 0 = they do not */
	int64_t firm_by_ms;     /* how far those were from it then */
	struct said said[SAID_MAX];
	unsigned said_count;
};

static const char *const words[] = {
	[CLOCKWATCH_SURE] = "sure", [CLOCKWATCH_OPEN] = "open", [CLOCKWATCH_DOUBT] = "in_doubt"
};

static int64_t mono_ms(struct clockwatch_now now)
{
	return (int64_t)(now.mono_ns / 1000000u);
}

static enum clockwatch_state state_of(const struct clockwatch *w)
{
	return (enum clockwatch_state)__atomic_load_n(&w->state, __ATOMIC_RELAXED);
}

static void base_here(struct clockwatch *w, struct clockwatch_now now)
{
	w->base_ms = w->offset_ms;
	w->base_ns = now.mono_ns;
}

struct clockwatch *clockwatch_create(struct clockwatch_now now)
{
	struct clockwatch *w = mem_zalloc(sizeof(*w));
	CHECK(!pthread_mutex_init(&w->lock, NULL));
	w->state = CLOCKWATCH_OPEN;
	w->offset_ms = w->believed_ms = num_sat_sub(now.wall_ms, mono_ms(now));
	base_here(w, now);
	return w;
}

void clockwatch_free(struct clockwatch *w)
{
	if (!w)
		return;
	if (w->state == CLOCKWATCH_DOUBT)
		metric_gauge_add(M_CLOCK_IN_DOUBT, -1);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}

static void lock(struct clockwatch *w)
{
	pthread_mutex_lock(&w->lock);
	w->said_count = 0;
}

static void tell(const struct said *s)
{
	if (s->to == CLOCKWATCH_DOUBT)
		LOG_WARN("clock_in_doubt",
		    "why=\"%s\" by_s=%lld meanwhile=\"nothing is deleted, samples of any time are taken\"",
		    s->why, (long long)(s->by_ms / 1000));
	else
		LOG_INFO("clock", "state=%s was=%s why=\"%s\"", words[s->to], words[s->from], s->why);
}

static void unlock(struct clockwatch *w)
{
	struct said said[SAID_MAX];
	unsigned count = w->said_count;
	memcpy(said, w->said, sizeof(said));
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < count; i++)
		tell(&said[i]);
}

/* ---- with the lock held ---- */

static void votes_clear(struct clockwatch *w, uint64_t now_ns)
{
	w->now = w->last = (struct votes){ 0 };
	w->votes_ns = now_ns;
	w->firm_ns = 0;
}

static void votes_age(struct clockwatch *w, uint64_t now_ns)
{
	uint64_t passed = now_ns - w->votes_ns, every = CLOCKWATCH_VOTES_MS * UINT64_C(1000000);
	if (now_ns < w->votes_ns || passed < every)
		return;
	w->last = passed < 2 * every ? w->now : (struct votes){ 0 };
	w->now = (struct votes){ 0 };
	w->votes_ns = now_ns;
}

/* Samples may bear the same wrong clock: what it would delete is kept for a day more. */
static void went_ahead(struct clockwatch *w, struct clockwatch_now now)
{
	bool slow = w->slow_until_ns > now.mono_ns;
	if (!w->was_sure) /* a start: the machine may have been off for as long */
		return;
	int64_t before = slow ? w->slow_ms : w->believed_ms;
	if (num_sat_sub(w->offset_ms, before) <= CLOCKWATCH_STEP_MS) {
		w->slow_until_ns = 0;
	} else if (!slow || w->offset_ms != w->believed_ms) {
		w->slow_ms = before;
		w->slow_until_ns = now.mono_ns + CLOCKWATCH_SLOW_MS * UINT64_C(1000000);
	}
}

static void move(struct clockwatch *w, enum clockwatch_state to, struct clockwatch_now now,
    const char *why, int64_t by_ms)
{
	enum clockwatch_state from = state_of(w);
	if (to == CLOCKWATCH_SURE) {
		went_ahead(w, now);
		w->was_sure = true;
		w->believed_ms = w->offset_ms;
		w->ahead = false;
	}
	if (from == to)
		return;
	CHECK(w->said_count < SAID_MAX);
	w->said[w->said_count++] =
	    (struct said){ .from = from, .to = to, .why = why, .by_ms = by_ms };
	metric_gauge_add(M_CLOCK_IN_DOUBT, (to == CLOCKWATCH_DOUBT) - (from == CLOCKWATCH_DOUBT));
	__atomic_store_n(&w->state, (uint32_t)to, __ATOMIC_RELAXED);
	base_here(w, now);
	votes_clear(w, now.mono_ns);
}

static int64_t distance(int64_t a, int64_t b)
{
	int64_t d = num_sat_sub(a, b);
	return d < 0 ? num_sat_sub(0, d) : d;
}

static void step(struct clockwatch *w, struct clockwatch_now now)
{
	int64_t offset = num_sat_sub(now.wall_ms, mono_ms(now));
	int64_t by = num_sat_sub(offset, w->offset_ms);
	if (by <= DRIFT_MS && by >= -DRIFT_MS)
		return;
	__atomic_store_n(&w->offset_ms, offset, __ATOMIC_RELAXED);
	uint64_t since = now.mono_ns > w->base_ns ? now.mono_ns - w->base_ns : 0;
	int64_t all = distance(offset, w->base_ms) - (int64_t)(since / 1000000u / DRIFT_PART);
	if (distance(by, 0) > CLOCKWATCH_STEP_MS || all > CLOCKWATCH_STEP_MS) {
		move(w, CLOCKWATCH_DOUBT, now, "it stepped against the monotonic clock", by);
		base_here(w, now);
		votes_clear(w, now.mono_ns);
		w->empty = false;
		w->ahead = offset > w->believed_ms;
	} else if (all > CLOCKWATCH_NUDGE_MS && state_of(w) == CLOCKWATCH_SURE) {
		move(w, CLOCKWATCH_OPEN, now, "it stepped a little", by);
		w->empty = false;
	} else if (distance(by, 0) > CLOCKWATCH_ALONG_MS) {
		votes_clear(w, now.mono_ns); /* they spoke of another clock */
	}
}

/*
 * Samples go along with the clock: that a piece agrees may be chance, a backlog that passes by on
 * its way to the world's time. True when they have for long enough.
 */
static bool firm(struct clockwatch *w, uint64_t now_ns, int64_t by_ms)
{
	if (!w->firm_ns || now_ns < w->firm_ns || by_ms > w->firm_by_ms + CLOCKWATCH_ALONG_MS) {
		w->firm_ns = now_ns;
		w->firm_by_ms = by_ms;
		return false;
	}
	return now_ns - w->firm_ns >= CLOCKWATCH_FIRM_MS * UINT64_C(1000000);
}

static void hear(struct clockwatch *w, struct clockwatch_now now, const struct clockwatch_heard *heard)
{
	int64_t by = num_sat_sub(heard->t_newest_ms, now.wall_ms);
	enum clockwatch_state state = state_of(w);
	bool first = w->empty && state == CLOCKWATCH_OPEN && heard->agrees;
	bool later = by > CLOCKWATCH_AGREE_MS && !first;
	bool earlier = by < -CLOCKWATCH_STEP_MS && (w->ahead || heard->clock_refuses);
	bool agrees = heard->agrees && !later;
	if (state == CLOCKWATCH_SURE || (!agrees && !later && !earlier))
		return;
	if (state == CLOCKWATCH_OPEN && !agrees) {
		move(w, CLOCKWATCH_DOUBT, now, "samples that arrive disagree", -by);
		w->ahead = by < 0;
	}
	votes_age(w, now.mono_ns);
	w->now.agree += agrees;
	w->now.disagree += !agrees;
	if (w->now.agree + w->last.agree <= w->now.disagree + w->last.disagree)
		w->firm_ns = 0;
	else if (agrees && (first || firm(w, now.mono_ns, by)))
		move(w, CLOCKWATCH_SURE, now, "samples that arrive agree", 0);
}

/* ---- public ---- */

void clockwatch_start(
    struct clockwatch *w, struct clockwatch_now now, int64_t t_senders_ms, int64_t t_any_ms)
{
	lock(w);
	w->offset_ms = w->believed_ms = num_sat_sub(now.wall_ms, mono_ms(now));
	base_here(w, now);
	votes_clear(w, now.mono_ns);
	int64_t ahead = t_any_ms == INT64_MIN ? 0 : num_sat_sub(now.wall_ms, t_any_ms);
	w->ahead = t_senders_ms != INT64_MIN &&
	    num_sat_sub(now.wall_ms, t_senders_ms) > CLOCKWATCH_STEP_MS;
	w->empty = t_senders_ms == INT64_MIN;
	if (ahead > 0)
		w->believed_ms = num_sat_sub(w->believed_ms, ahead);
	if (ahead < -CLOCKWATCH_STEP_MS)
		move(w, CLOCKWATCH_DOUBT, now, "it is behind the newest stored sample", ahead);
	unlock(w);
}

enum clockwatch_state clockwatch_look(struct clockwatch *w, struct clockwatch_now now)
{
	int64_t by = num_sat_sub(num_sat_sub(now.wall_ms, mono_ms(now)),
	    __atomic_load_n(&w->offset_ms, __ATOMIC_RELAXED));
	if (LIKELY(by <= DRIFT_MS && by >= -DRIFT_MS))
		return state_of(w);
	lock(w);
	step(w, now);
	unlock(w);
	return state_of(w);
}

enum clockwatch_state clockwatch_hear(
    struct clockwatch *w, struct clockwatch_now now, const struct clockwatch_heard *heard)
{
	lock(w);
	step(w, now);
	if (heard->t_newest_ms != INT64_MIN)
		hear(w, now, heard);
	unlock(w);
	return state_of(w);
}

/* With the lock held. */
static int64_t trusted_ms(const struct clockwatch *w, struct clockwatch_now now)
{
	int64_t t = num_sat_add(w->believed_ms, mono_ms(now));
	return state_of(w) == CLOCKWATCH_SURE || t > now.wall_ms ? now.wall_ms : t;
}

int64_t clockwatch_trusted_ms(struct clockwatch *w, struct clockwatch_now now)
{
	lock(w);
	step(w, now);
	int64_t t = trusted_ms(w, now);
	unlock(w);
	return t;
}

int64_t clockwatch_delete_ms(struct clockwatch *w, struct clockwatch_now now)
{
	lock(w);
	step(w, now);
	int64_t t = trusted_ms(w, now);
	int64_t slow = num_sat_add(w->slow_ms, mono_ms(now));
	if (w->slow_until_ns > now.mono_ns && slow < t)
		t = slow;
	unlock(w);
	return t;
}
