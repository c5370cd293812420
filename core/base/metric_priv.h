/*
 * metric_priv - what the operating system knows of this process, for core/base/metric.c.
 */
#ifndef CORE_BASE_METRIC_PRIV_H
#define CORE_BASE_METRIC_PRIV_H

#include "core/base/metric.h"

#define METRIC_PROC_MAX 8
struct metric_proc {
	const char *name, *help;
	enum metric_kind kind;
	double value;
};
/* All that may be there, without values. */
extern const struct metric_proc metric_procs[];
extern const unsigned metric_procs_count;
/* Fills out[METRIC_PROC_MAX], returns the count; values that cannot be had are left out. */
unsigned metric_proc_read(struct metric_proc *out);

#endif
