/*
 * impwork - what importing from any source has in common: which samples are wanted, where they go,
 * and where the work is, so that it can be interrupted and goes on.
 *
 *   impwork_open > for each unit: impwork_unit, then impwork_series, impwork_samples, impwork_at
 *   ... impwork_unit_done > impwork_finish > impwork_close
 *
 * A unit is what is read from its begin on its own: a block, a head, a file. It has a name and a
 * place, both texts of one line that mean something to its reader alone; a mark has them
 * (net/ctl/ctlmark.h) as of samples that are acknowledged, a second old at most. Counts in the mark
 * are of the same moment, so that a work that was interrupted counts nothing twice.
 *
 * Thread: the main thread. Errors: an enum ctl_exit that has been told (but CTL_INTERRUPTED).
 */
#ifndef NET_CTL_IMPWORK_H
#define NET_CTL_IMPWORK_H

#include "core/base/arena.h"
#include "core/model/limits.h"
#include "core/model/matcher.h"
#include "net/ctl/ctlmark.h"
#include "net/ctl/ctlprog.h"
#include "net/ctl/ctlpush.h"

#define IMPWORK_WORDS 64u /* of --match and of --label each */

struct impwork_set {
	struct matcher *items;
	size_t count;
};
struct impwork_counts {
	uint64_t series, floats, hists; /* given; series: as often as they came */
	uint64_t bad;                   /* lines, pieces */
	uint64_t passed;                /* samples that were not wanted */
};
struct impwork {
	/* Asked; set before impwork_open. */
	const char *matches[IMPWORK_WORDS], *labels[IMPWORK_WORDS]; /* "name=value" */
	size_t matches_count, labels_count;
	int64_t t_from_ms, t_to_ms; /* both within */
	bool dry_run, strict, quiet;
	bool again; /* from the begin, whatever a mark says */
	double rate;
	const char *mark_file; /* of the mark; NULL: by the work's name */
	/* For readers. */
	struct impwork_set sets[IMPWORK_WORDS]; /* of --match, one is enough; [matches_count] */
	struct ctlprog prog;
	struct impwork_counts counts; /* of all runs */
	struct ctlhttp *http;
	/* Its own. */
	struct arena arena, one;
	struct limits limits;
	struct ctlpush *push;
	struct ctlmark *mark;
	bool goes_on, wanted, fresh, to_save, not_saved;
	char unit[128];
	struct impwork_at *list; /* told, not acknowledged yet: a ring */
	size_t list_first, list_count, list_cap;
	uint64_t seq, saved, told_samples;
	uint64_t saved_ns;
};

/* work: one line that names sources, server and what is asked; http is borrowed. */
MUST_CHECK int impwork_open(struct impwork *w, struct ctlhttp *http, const char *work);
/* The place of a unit as the mark has it; NULL: from its begin. "done": nothing is left to do. */
const char *impwork_place(const struct impwork *w, const char *unit);
void impwork_unit(struct impwork *w, const char *unit);
/* *wanted: does --match want it? Labels of --label are set over its own. */
MUST_CHECK int impwork_series(struct impwork *w, const struct ctlpush_series *s, bool *wanted);
/* Of the series; those out of the asked range are left out. */
MUST_CHECK int impwork_samples(struct impwork *w, const struct sample_column *s);
/* All before this place of the unit has been given. Cheap. */
void impwork_at(struct impwork *w, const char *place);
MUST_CHECK int impwork_unit_done(struct impwork *w);
/* What is wrong with a piece of a source: told (the first hundred), counted; strict: the end. */
MUST_CHECK int impwork_bad(struct impwork *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* status: how the work went. Waits for what is under way, saves the mark or removes it. */
MUST_CHECK int impwork_finish(struct impwork *w, int status);
void impwork_close(struct impwork *w);

#endif
