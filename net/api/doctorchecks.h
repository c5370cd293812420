/*
 * doctorchecks - what may be wrong with a server, or soon will be: one table of checks over facts.
 *
 * A row is a name, what it looks at, what to do, and a function of the facts alone: no clock, file
 * or socket in here, so each trouble can be made in a test. The same table serves `kymoctl doctor`
 * and the web page, by net/api/doctor.h.
 * Counters are judged by what they have grown: since `recent`, some ten minutes ago (or the start),
 * and `hour`, so what is over is well ten minutes later. What never gets better by itself (damage)
 * counts from the start of the process.
 * Severities: note = to know; warn = something suffers, or will; bad = data is at risk, or the
 * server refuses its work.
 *
 * Thread: pure. Memory: the caller's.
 */
#ifndef NET_API_DOCTORCHECKS_H
#define NET_API_DOCTORCHECKS_H

#include "core/base/doctorworld.h"
#include "core/base/metric.h"
#include "storage/store.h"

enum doctor_severity {
	DOCTOR_OK,
	DOCTOR_NOTE,
	DOCTOR_WARN,
	DOCTOR_BAD
};
extern const char *const doctor_severity_word[DOCTOR_BAD + 1];

/* Counters and gauges at one moment. */
enum doctor_hist {
	DOCTOR_HIST_SYNC,
	DOCTOR_HIST_TURN,
	DOCTOR_HIST_WAIT,
	DOCTOR_HISTS
};
struct doctor_snap {
	int64_t at_ms;
	uint64_t v[M_COUNT];
	uint64_t hists[DOCTOR_HISTS][METRIC_HIST_BOUNDS + 1];
	uint64_t turns_ns;                   /* of all loops */
	uint64_t cpu_periods, cpu_throttled; /* of the control group */
};
void doctor_snap_take(struct doctor_snap *s, int64_t now_ms, const struct doctorworld *w);

struct doctor_facts {
	int64_t now_ms, start_ms;                /* wall clock */
	const struct doctor_snap *now;           /* at now_ms */
	const struct doctor_snap *recent, *hour; /* before, or at the start */
	const struct doctorworld *world;
	uint64_t memory_allowed; /* bytes that machine, group or ulimit allow; 0: not known */
	uint64_t stands_ms;      /* a loop has not turned for so long */
	enum err accepts;        /* why no write is taken now, 0: they are */
	/* What is configured. */
	enum store_sync sync;
	int64_t sync_interval_ms, round_every_ms;
	uint64_t log_share_bytes, series_max, retention_bytes;
	uint64_t tenants, tenants_max, connections_max;
	unsigned loops;
	bool self_metrics;    /* it records its own */
	bool open, admin_api; /* who reaches the port may do everything; --web.enable-admin-api */
	bool test_clock;
};

struct doctor_said {
	enum doctor_severity severity;
	const char *remedy; /* NULL: that of the row */
	char text[400];     /* with figures; of DOCTOR_OK, too */
};
struct doctor_check {
	const char *id;
	void (*look)(const struct doctor_facts *f, struct doctor_said *out);
	const char *remedy; /* a sentence */
};
extern const struct doctor_check doctor_checks[];
extern const size_t doctor_checks_count;
#define DOCTOR_CHECKS_MAX 64u

/* "1.2GiB", "300KiB" into out. */
#define DOCTOR_SIZE_TEXT 24
const char *doctor_size(uint64_t bytes, char out[DOCTOR_SIZE_TEXT]);

#endif
