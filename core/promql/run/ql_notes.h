/*
 * ql_notes - warnings and infos of a query (annotations): gathered without their place,
 * de-duplicated by text, told with "(line:column)" at the end (ql_tell.h).
 * The last position wins, as upstream. Thread: one at a time; a piece has its own list, which the
 * coordinator merges.
 */
#ifndef CORE_PROMQL_RUN_QL_NOTES_H
#define CORE_PROMQL_RUN_QL_NOTES_H

#include "core/promql/plan/ql_value.h"

struct ql_note_fix { /* buckets that had to be made monotonic; count 0 = an ordinary note */
	int64_t t_min_ms, t_max_ms;
	double min_bucket, max_bucket, max_diff;
	uint32_t count;
};
void ql_note_fix_add(struct ql_note_fix *to, const struct ql_note_fix *f);
struct ql_note_item {
	const char *text; /* from "PromQL info: " on */
	struct ql_pos pos;
	bool info;
	struct ql_note_fix fix;
	uint32_t times; /* of notes that count how often: told when more than once */
};
struct ql_notes {
	struct arena *arena;
	struct ql_tab tab;
	struct ql_note_item *items; /* as many as tab.count */
	uint32_t _cap;
	/* the name that was looked at last, and for which expression */
	char _name[64];
	uint32_t _name_len, _name_pos;
};
void ql_notes_init(struct ql_notes *n, struct arena *a);
void ql_notes_add(struct ql_notes *n, bool info, struct ql_pos pos, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* The same with the extent of a monotonicity fix. */
void ql_notes_fix(
    struct ql_notes *n, struct ql_pos pos, const struct ql_note_fix *fix, const char *text);
/* So many different texts are kept; further ones are dropped. */
#define QL_NOTES_MAX 10000
void ql_notes_quantile(struct ql_notes *n, struct ql_pos pos, double q);
/* The warning of quantile_over_time, at steps that are present: count from a multiple of 64 on. */
void ql_notes_quantiles(struct ql_notes *n, struct ql_pos pos, const struct ql_scalar *q,
    const uint64_t *has, uint32_t from, uint32_t count);
#define QL_NOTES_PART 256 /* steps between looks at the clock where quantiles differ */
/*
 * The info of rate and increase; series of one name in a row cost one look. by_type: the label
 * __type__ tells what a counter is, else how the name ends.
 */
void ql_notes_counter(struct ql_notes *n, struct ql_pos pos, struct labels ls, bool by_type);
/*
 * Texts that a metric's name ends, and whose they are. "for metric name" is there with an empty
 * name, too; ql_notes_for leaves " for metric name" out without one.
 */
#define QL_NOTE_MIXED_TYPES "encountered a mix of histograms and floats for metric name"
#define QL_NOTE_MIXED_SCHEMAS                                                                      \
 "vector contains a mix of histograms with exponential and custom buckets schemas for metric name"
#define QL_NOTE_IGNORED_IN_RANGE                                                                   \
 "ignored histograms in a range containing both floats and histograms for metric name"
#define QL_NOTE_NOT_COUNTER "this native histogram metric is not a counter:"
#define QL_NOTE_NOT_GAUGE   "this native histogram metric is not a gauge:"
void ql_notes_named(
    struct ql_notes *n, bool info, struct ql_pos pos, const char *text, struct labels ls);
void ql_notes_for(
    struct ql_notes *n, bool info, struct ql_pos pos, const char *text, struct labels ls);
/*
 * What was told of histograms (bits of enum histmath_told) in an "addition", a "subtraction", an
 * "aggregation": conflicting hints, bounds that differed. That kinds were mixed is told by texts of
 * whoever mixed them.
 */
void ql_notes_told(struct ql_notes *n, struct ql_pos pos, unsigned told, const char *what);
/* An aggregation that knows floats only left histograms out: "max", "quantile". */
void ql_notes_left_out(struct ql_notes *n, struct ql_pos pos, const char *aggregation);
/* Start times that lie before the sample before: so many times more. */
void ql_notes_overlap(struct ql_notes *n, struct ql_pos pos, struct labels ls, uint32_t times);
/* So many of from's, from *at on; true when there are more. */
bool ql_notes_merge(struct ql_notes *n, const struct ql_notes *from, uint32_t *at, uint32_t most);
/* In full, with its place, in the arena. */
const char *ql_note_text(struct arena *a, const struct ql_note_item *it, unsigned line, unsigned col);

/* Go's %g of a number and %q of a text, in the arena. */
const char *ql_fmt_g(struct arena *a, double v);
const char *ql_fmt_q(struct arena *a, const char *s, size_t len);

#endif
