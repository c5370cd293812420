/*
 * job - the runnable jobs of a loop. In the queue of a class stands one job of each group, its
 * leader, with the group's others behind it in its _mates. Whose turn it is leaves the queue; the
 * first of its mates leads from then on and stands at the end of the queue. A job that comes finds
 * its leader in a table.
 *
 *   queue:  A1 - B1 - C1          A1's turn  >   B1 - C1 - A2
 *           |         |                                |
 *           A2 - A3   C2                               A3 (- A1, when it yields)
 */
#include "core/rt/job.h"

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "core/rt/loop_priv.h"

#define SLICE_SLOW_NS UINT64_C(2000000)  /* counted as a defect */
#define SLICE_BAD_NS  UINT64_C(20000000) /* logged, too */
#define WHAT_BYTES    200u               /* of the job's text in that line */

static const char *const class_words[JOB_CLASSES] = { "write", "query", "heavy_query" };

static __thread uint64_t slice_end_ns;
static atomic_bool yield_always;

/* --- queues --- */

void job_begin(struct loop *l)
{
	for (unsigned c = 0; c < JOB_CLASSES; c++)
		list_init(&l->jobs[c]);
	for (unsigned i = 0; i < JOB_CHAINS; i++)
		list_init(&l->job_groups[i]);
}

void job_init(struct job *j, enum job_class class, enum job_state (*fn)(struct job *j))
{
	*j = (struct job){ .class = class, .fn = fn };
	list_init(&j->_link);
	list_init(&j->_mates);
	list_init(&j->_chain);
}

void job_group(struct job *j, const void *group)
{
	CHECK(!j->_live);
	j->_group = group;
}

void job_set_class(struct job *j, enum job_class class)
{
	j->class = class;
}

static struct list_link *chain_of(struct loop *l, const void *group, enum job_class class)
{
	return &l->job_groups[hash_mix64((uintptr_t)group + class) % JOB_CHAINS];
}

static struct job *leader_of(struct loop *l, const void *group, enum job_class class)
{
	if (!group)
		return NULL;
	LIST_EACH(k, chain_of(l, group, class)) {
		struct job *j = CONTAINER_OF(k, struct job, _chain);
		if (j->_group == group && j->_queued == class)
			return j;
	}
	return NULL;
}

/* At the end of the queue. */
static void lead(struct loop *l, struct job *j)
{
	list_add_tail(&l->jobs[j->_queued], &j->_link);
	if (j->_group)
		list_add_head(chain_of(l, j->_group, j->_queued), &j->_chain);
}

static void job_enqueue(struct job *j)
{
	CHECK(!j->_runnable);
	struct job *leader = leader_of(j->_loop, j->_group, j->class);
	j->_runnable = true;
	j->_queued = j->class;
	if (leader)
		list_add_tail(&leader->_mates, &j->_link);
	else
		lead(j->_loop, j);
}

/* A leader goes to run; the next of its group waits at the end of the queue. */
static void leader_take(struct loop *l, struct job *j)
{
	struct list_link *link = list_pop(&j->_mates);
	list_del(&j->_link);
	list_del(&j->_chain);
	j->_runnable = false;
	if (link) {
		struct job *next = CONTAINER_OF(link, struct job, _link);
		list_move_all(&next->_mates, &j->_mates);
		lead(l, next);
	}
}

bool job_any(const struct loop *l)
{
	for (unsigned c = 0; c < JOB_CLASSES; c++)
		if (!list_empty(&l->jobs[c]))
			return true;
	return false;
}

/*
 * Each class that waits is owed its weight; whom most is owed pays the weights of all. So slices of
 * a class are spread evenly, and who did not wait has nothing saved up.
 */
static struct job *job_next(struct loop *l)
{
	static const int weights[JOB_CLASSES] = { 6, 2, 1 };
	unsigned best = JOB_CLASSES;
	int all = 0;

	for (unsigned c = 0; c < JOB_CLASSES; c++) {
		if (list_empty(&l->jobs[c])) {
			l->jobs_due[c] = 0;
			continue;
		}
		all += weights[c];
		l->jobs_due[c] += weights[c];
		if (best == JOB_CLASSES || l->jobs_due[c] > l->jobs_due[best])
			best = c;
	}
	CHECK(best < JOB_CLASSES);
	l->jobs_due[best] -= all;
	struct job *j = CONTAINER_OF(l->jobs[best].next, struct job, _link);
	leader_take(l, j);
	return j;
}

/* --- life --- */

void job_start(struct loop *l, struct job *j)
{
	loop_check_here(l);
	CHECK(!j->_live);
	j->_live = true;
	j->_loop = l;
	job_enqueue(j);
}

void job_wake(struct job *j)
{
	if (!j->_live)
		return;
	loop_check_here(j->_loop);
	if (j->_running)
		j->_woken = true;
	else if (!j->_runnable)
		job_enqueue(j);
}

void job_drop(struct job *j)
{
	if (!j->_live || j->_running)
		return;
	loop_check_here(j->_loop);
	if (j->_runnable && (!j->_group || leader_of(j->_loop, j->_group, j->_queued) == j))
		leader_take(j->_loop, j);
	else if (j->_runnable)
		list_del(&j->_link);
	j->_live = j->_runnable = false;
}

bool job_should_yield(void)
{
	return job_yields_always() || clock_real_mono_ns() >= slice_end_ns;
}

void job_yield_always(bool on)
{
	atomic_store_explicit(&yield_always, on, memory_order_relaxed);
}

bool job_yields_always(void)
{
	return atomic_load_explicit(&yield_always, memory_order_relaxed);
}

/* The job's memory is still there: what frees it is deferred. */
static void tell_long(const struct job *j, uint64_t took_ns)
{
	LOG_EVERY(LOG_LEVEL_WARN, "job_slice_long", "took_us=%llu class=%s what=\"%.*s\"",
	    (unsigned long long)(took_ns / 1000), class_words[j->class],
	    (int)(j->what ? rune_cut(j->what, j->what_len, WHAT_BYTES) : 0), j->what ? j->what : "");
}

/* From start_ns to the end of its slice; returns when it ended. */
static uint64_t job_slice(struct job *j, uint64_t start_ns, uint64_t end_of_slice_ns)
{
	slice_end_ns = end_of_slice_ns;
	j->_running = true;
	j->_woken = false;
	enum job_state state = j->fn(j);
	/* JOB_DONE: the memory lives until the end of the turn at least (loop_defer). */
	j->_running = false;
	if (state == JOB_DONE)
		j->_live = false;
	else if (state == JOB_YIELD || j->_woken)
		job_enqueue(j);
	uint64_t end_ns = clock_real_mono_ns();
	metric_add(M_JOB_SLICES, 1);
	if (end_ns - start_ns > SLICE_SLOW_NS)
		metric_add(M_JOB_SLOW, 1);
	if (end_ns - start_ns > SLICE_BAD_NS)
		tell_long(j, end_ns - start_ns);
	return end_ns;
}

/*
 * A slice is a group's: what one of its jobs leaves of it the next one has. So many short jobs of
 * one query take no longer beside others than a single one.
 */
static uint64_t group_slice(struct loop *l, struct job *j, uint64_t start_ns)
{
	const void *group = j->_group;
	enum job_class class = j->_queued;
	uint64_t end_ns = start_ns + JOB_SLICE_NS, now = job_slice(j, start_ns, end_ns);

	while (now < end_ns && !job_yields_always() && (j = leader_of(l, group, class))) {
		leader_take(l, j);
		now = job_slice(j, now, end_ns);
	}
	return now;
}

void job_run_turn(struct loop *l)
{
	if (!job_any(l))
		return;
	uint64_t start = clock_real_mono_ns(), now = start;
	/* Mail is for others, mostly: it does not wait for the end of the turn. */
	do {
		now = group_slice(l, job_next(l), now);
	} while (now - start < JOB_TURN_NS && job_any(l) && !mbox_any(l->mbox));
}
