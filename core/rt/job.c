/*
 * job - two queues of runnable jobs per loop, one per class. A turn runs slices until JOB_TURN_NS
 * are used; when both queues wait, JOB_WRITE_SHARE slices of writes go before one of queries.
 */
#include "core/rt/job.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/rt/loop_priv.h"

#define SLICE_SLOW_NS UINT64_C(2000000)  /* counted as a defect */
#define SLICE_BAD_NS  UINT64_C(20000000) /* logged, too */

static __thread uint64_t slice_end_ns;
static atomic_bool yield_always;

void job_init(struct job *j, enum job_class class, enum job_state (*fn)(struct job *j))
{
	*j = (struct job){ .class = class, .fn = fn };
	list_init(&j->_link);
}

static void job_enqueue(struct job *j)
{
	CHECK(!j->_runnable);
	j->_runnable = true;
	list_add_tail(&j->_loop->jobs[j->class], &j->_link);
}

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

bool job_should_yield(void)
{
	return atomic_load_explicit(&yield_always, memory_order_relaxed) ||
	    clock_real_mono_ns() >= slice_end_ns;
}

void job_yield_always(bool on)
{
	atomic_store_explicit(&yield_always, on, memory_order_relaxed);
}

bool job_any(const struct loop *l)
{
	return !list_empty(&l->jobs[JOB_WRITE]) || !list_empty(&l->jobs[JOB_QUERY]);
}

static struct job *job_next(struct loop *l)
{
	struct list_link *writes = &l->jobs[JOB_WRITE], *queries = &l->jobs[JOB_QUERY];
	bool write = !list_empty(writes);
	if (write && !list_empty(queries)) {
		write = l->writes_in_row < JOB_WRITE_SHARE;
		l->writes_in_row = write ? l->writes_in_row + 1 : 0;
	}
	struct list_link *link = list_pop(write ? writes : queries);
	struct job *j = CONTAINER_OF(link, struct job, _link);
	j->_runnable = false;
	return j;
}

/* One slice from start_ns on; returns when it ended. */
static uint64_t job_slice(struct job *j, uint64_t start_ns)
{
	slice_end_ns = start_ns + JOB_SLICE_NS;
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
		LOG_EVERY(LOG_LEVEL_WARN, "job_slice_long", "took_us=%llu class=%s",
		    (unsigned long long)((end_ns - start_ns) / 1000),
		    j->class == JOB_WRITE ? "write" : "query");
	return end_ns;
}

void job_run_turn(struct loop *l)
{
	if (!job_any(l))
		return;
	uint64_t start = clock_real_mono_ns(), now = start;
	do {
		now = job_slice(job_next(l), now);
	} while (now - start < JOB_TURN_NS && job_any(l));
}
