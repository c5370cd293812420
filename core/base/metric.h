/*
 * metric - the program's own counters, from the one table core/base/metric.def.
 *
 * Rows: METRIC(id, kind, "name", "unit-less help text"). Kinds: COUNTER (u64, per thread, added
 * when read), GAUGE (i64, per thread, added when read: use metric_gauge_add),
 * MS (a gauge of milliseconds, exposed in seconds),
 * HIST (fixed buckets of nanoseconds, exposed in seconds: 1us .. 60s, see METRIC_HIST_BOUNDS_NS).
 * A row may carry labels in its name: "kymo_requests_refused_total{reason=\"too_old\"}"; rows of
 * one family stand together.
 * Thread: any; each thread writes its own cells (relaxed atomics), readers add them up. Cells of
 * ended threads stay counted.
 */
#ifndef CORE_BASE_METRIC_H
#define CORE_BASE_METRIC_H

#include "core/base/buf.h"

enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_MS,
	METRIC_HIST
};
enum metric_id {
#define METRIC(id, kind, name, help) M_##id,
#include "core/base/metric.def"
#undef METRIC
	M_COUNT
};

#define METRIC_HIST_BOUNDS 18 /* finite bounds; one more cell for +Inf */
extern const uint64_t METRIC_HIST_BOUNDS_NS[METRIC_HIST_BOUNDS];

void metric_add(enum metric_id id, uint64_t n);
void metric_gauge_add(enum metric_id id, int64_t n);
void metric_gauge_set(enum metric_id id, int64_t v); /* this thread's share is v */
void metric_observe_ns(enum metric_id id, uint64_t ns);
/*
 * This thread is event loop `index` from now on: what its cells say of turns is told by loop, too,
 * as kymo_loop_*{loop="0"}. That costs the loop nothing, since each thread has cells of its own;
 * METRIC_LOOP_SERIES series a loop, since turns stand in few buckets there. Loops of one index,
 * one after the other, are added up as other cells are.
 */
#define METRIC_LOOP_SERIES 12u
void metric_loop(unsigned index);
/*
 * The longest turn in ns of this window so far, and (metric_loop_window) that a new window begins:
 * the gauge is the larger one of this and the last window.
 */
void metric_loop_longest(uint64_t ns);
void metric_loop_window(void);

/*
 * kymo_build_info{version="...",revision="..."} 1 from now on. Once, before any other thread; the
 * texts are copied and must hold neither quote nor backslash.
 */
void metric_build(const char *version, const char *revision);

/*
 * One exposed value: full name with labels, as text exposition would have it (histograms give
 * _bucket, _sum, _count).
 */
struct metric_value {
	const char *name;   /* family name, e.g. kymo_turn_seconds_bucket */
	const char *labels; /* inside of {}: "" or le="0.001" */
	double value;
};
void metric_each(void (*fn)(void *arg, const struct metric_value *v), void *arg);
/* One family: what HELP and TYPE say of it. */
struct metric_family {
	const char *name, *help;
	enum metric_kind kind;
};
void metric_families(void (*fn)(void *arg, const struct metric_family *f), void *arg);
/*
 * One row of the table, for who writes about it: several make a family. labels: inside of {}, of a
 * row that has any value `name` alone; "" = none. process_* and kymo_build_info come last, those of
 * them that this machine cannot tell, too.
 */
struct metric_row {
	const char *family, *labels, *help;
	enum metric_kind kind;
};
void metric_rows(void (*fn)(void *arg, const struct metric_row *r), void *arg);
const char *metric_kind_word(enum metric_kind k); /* as TYPE says it */
/*
 * Prometheus text format 0.0.4 with HELP and TYPE lines, and process_* values of this process (cpu,
 * rss, fds, start time).
 */
void metric_expose(struct buf *out);
uint64_t metric_sum(enum metric_id id); /* counter or gauge over all threads */
/* Of a histogram: how often each bound held, not added up; the last cell is +Inf. */
void metric_hist(enum metric_id id, uint64_t out[METRIC_HIST_BOUNDS + 1]);
uint64_t metric_hist_sum(enum metric_id id); /* all that was observed, in ns */
/* What q (0..1) of them did not exceed, as its bound, in ns; UINT64_MAX: over all; 0: none. */
uint64_t metric_hist_quantile(const uint64_t cells[METRIC_HIST_BOUNDS + 1], double q);

#endif
