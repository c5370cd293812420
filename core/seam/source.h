/*
 * source - the seam through which queries read: a source has shards, each lives on a loop, and
 * gives cursors there.
 *
 * source_open on the shard's loop; next() answers
 *   SOURCE_READY  one item in *out, valid until the next call of next() or close() on this cursor
 *   SOURCE_AGAIN  nothing yet, but some work was done: call again, at once or after giving the turn
 *                 away when the slice is over (nobody wakes you)
 *   SOURCE_WAIT   nothing now; the cursor calls query->wake(query->wake_arg) on this loop when
 *                 next() is worth calling again
 *   SOURCE_END    no more
 *   SOURCE_ERROR  cursor->err and cursor->eb tell
 * and does at most some 200 us of work per call, however long a series is: its column is handed
 * over
 * whole, but made in several calls. Series come in no particular order, each label set
 * exactly once per shard and once in the whole source (ids of a returning series are joined).
 * Samples: t_min <= t <= t_max, ascending, unique, stale markers included. close() at any time,
 * also while waiting.
 *
 * What is asked (enum source_what):
 *   SERIES_SAMPLES  labels and column; series without a sample in the range are left out
 *   SERIES          labels only; series that overlap the range coarsely
 *   EXEMPLARS       labels and the series' exemplars in the range, ascending; series without one
 *                   are
 *                   left out
 *   FORECAST        what SERIES_SAMPLES would read, as out->forecast, without reading it: one item
 *                   for each tenant. It tells of that tenant's series alone
 *   LABEL_NAMES     distinct names, as out->text; LABEL_VALUES distinct values of query->label, as
 *                   out->text
 * Warnings (damaged data skipped) are texts in the cursor, read before close.
 */
#ifndef CORE_SEAM_SOURCE_H
#define CORE_SEAM_SOURCE_H

#include "core/base/fuzzy.h"
#include "core/base/pick.h"
#include "core/model/exemplar.h"
#include "core/model/matcher.h"
#include "core/model/sample.h"
#include "core/rt/loop.h"

enum source_what {
	SOURCE_SERIES_SAMPLES,
	SOURCE_SERIES,
	SOURCE_EXEMPLARS,
	SOURCE_FORECAST,
	SOURCE_LABEL_NAMES,
	SOURCE_LABEL_VALUES
};
enum source_state {
	SOURCE_READY,
	SOURCE_AGAIN,
	SOURCE_WAIT,
	SOURCE_END,
	SOURCE_ERROR
};

/*
 * LABEL_NAMES, LABEL_VALUES: which texts are wanted: those that fit, and of them the best. It saves
 * work: a cursor may give others, too, some twice, and in no order; who asks keeps a pick of its
 * own.
 */
struct source_find {
	const struct fuzzy *fuzzy;
	enum pick_order order;
	size_t max; /* of them, at least 1 */
};
/*
 * FORECAST: labels of the chosen series, told beside it, before it is given out: of all of them
 * where a shard has no more than `most`, else of so many, each as likely as the others. in: it has
 * samples in the range, or is one of those that stand for the likely ones. Then, where some were
 * not told, of each label the values that the chosen series in memory have, if these are all and no
 * more than SOURCE_SURVEY_VALUES: value(), and last value(text NULL): that was all of them.
 * On the loop of the shard; texts are lent for the call.
 */
#define SOURCE_SURVEY_VALUES 256u
struct source_survey {
	uint32_t most;
	void (*series)(void *arg, uint32_t tenant, struct labels labels, bool in);
	const char *const *names; /* of labels; texts end with 0 */
	size_t names_count;
	void (*value)(void *arg, size_t name, const char *text, size_t len);
	void *arg;
};
struct source_query { /* borrowed by the cursor until close */
	enum source_what what;
	/*
	 * Whose series; none named: those of tenant 0. With several tenants a label set may come
	 * once
	 * for each (item.tenant tells whose it is), and so may a text.
	 */
	const uint32_t *tenants;
	size_t tenants_count;
	int64_t t_min_ms, t_max_ms;     /* both inclusive */
	const struct matcher *matchers; /* all must hold; 0 matchers = everything */
	size_t matchers_count;
	const char *label; /* LABEL_VALUES */
	size_t label_len;
	const struct source_find *find; /* NULL: all names, or values, are wanted */
	/*
	 * With find: the best that cursors of this loop found until now, in its order. A cursor may
	 * put what it finds there instead of giving it, and leave out whatever that does not want.
	 * NULL: it gives all.
	 */
	struct pick *found;
	int64_t hint_step_ms, hint_range_ms; /* 0 = unknown */
	const char *hint_func;               /* innermost function, or NULL */
	/*
	 * SERIES_SAMPLES: a series for which it says no is passed over before its samples are read.
	 * On the loop of the shard, of each series that the matchers hold for. NULL: all are kept.
	 */
	bool (*keep)(void *arg, uint32_t tenant, struct labels labels);
	void *keep_arg;
	bool weigh;                         /* cursor->read is wanted, all of it */
	const struct source_survey *survey; /* FORECAST; NULL: none */
	void (*wake)(void *arg);
	void *wake_arg;
};
static inline uint32_t source_first_tenant(const struct source_query *q)
{
	return q->tenants_count ? q->tenants[0] : 0;
}
/*
 * What a read is likely to bring. Series are EXACT, or of those looked at some may have nothing in
 * the range (BOUNDS), or only some were looked at (SAMPLED); series_most is never too low. Samples
 * are estimates, with those that late rows write over; samples_most is never too low: of few series
 * what the directories of their samples say, of many as much as one a millisecond each.
 */
enum source_sure {
	SOURCE_EXACT,
	SOURCE_BOUNDS,
	SOURCE_SAMPLED
};
struct source_forecast {
	enum source_sure sure;
	uint64_t series, series_most;
	uint64_t memory_samples, file_samples, samples_most;
	uint64_t memory_bytes, file_bytes; /* in which they stand, encoded */
	uint64_t column;                   /* samples of the longest series that was looked at */
	uint64_t files;                    /* that overlap */
	/* Told to the survey; sure: what each of them was said to have is so. */
	uint64_t surveyed, surveyed_sure;
};
/* What a cursor has read until now. */
struct source_read {
	uint64_t memory_samples, file_samples;
	uint64_t memory_bytes, file_bytes; /* the first of these only with query->weigh */
};
struct source_item {
	uint32_t tenant;
	/*
	 * col.count and col.t_ms are those of the item before on this cursor, the same array with
	 * the same times in it: who has worked on them need not look again. Never on the first.
	 */
	bool same_times;
	struct labels labels;
	struct sample_column col;
	const struct source_forecast *forecast;
	const struct exemplar *exemplars;
	size_t exemplars_count;
	const char *text;
	size_t text_len;
};
struct source;
struct source_cursor {
	const struct source_cursor_ops *ops;
	enum err err;
	struct errbuf eb;
	const char *warnings[4]; /* texts, owned by the cursor */
	unsigned warnings_count;
	/*
	 * What it will touch at most: est_series is known at the first READY, and tells of the
	 * query's tenants alone; est_samples: 0 = unknown.
	 */
	uint64_t est_series, est_samples;
	/*
	 * Bytes it holds that grow with what the query asks for (the ids of series that left
	 * memory),
	 * and the column of the item at hand. Whoever calls next() charges them.
	 */
	uint64_t memory;
	struct source_read read;
};
struct source_cursor_ops {
	enum source_state (*next)(struct source_cursor *c, struct source_item *out);
	void (*close)(struct source_cursor *c);
};
struct source_ops {
	unsigned (*shards)(struct source *s);
	struct loop *(*loop_of)(struct source *s, unsigned shard);
	enum err (*open)(struct source *s, unsigned shard, const struct source_query *q,
	    struct source_cursor **out);
	/*
	 * Changes of samples are numbered, ascending, over everything; on any thread.
	 * changes_now: the number of now. What is opened after it shows at least what it counts.
	 * changes: that of the newest change of these tenants (none named: of tenant 0) that may
	 * alter what is read in the range, both ends inclusive: samples that came, went or were
	 * overwritten, and with `order` the order in which series come. It may be too new, never
	 * too old; a range without times (t_min > t_max) says that its tenants will be asked for.
	 * So what was read after `now` is still so while changes() of its range is not above it,
	 * and then it is so for the changes_now of just before the question, too.
	 * NULL, both: nobody counts.
	 */
	uint64_t (*changes_now)(struct source *s);
	uint64_t (*changes)(struct source *s, const uint32_t *tenants, size_t tenants_count,
	    int64_t t_min_ms, int64_t t_max_ms, bool order);
	/*
	 * On the shard's loop, without a cursor and in a few microseconds: true where a cursor of
	 * SERIES_SAMPLES would surely give nothing, and no warning. NULL: nobody knows.
	 */
	bool (*none)(struct source *s, unsigned shard, const struct source_query *q);
};
struct source {
	const struct source_ops *ops;
};

#endif
