/*
 * bread - reads a Prometheus block: its series in the order of its index, with their samples.
 *
 *   bread_open > bread_walk (matchers, range) > bread_next ... ERR_NOTFOUND > bread_close
 *
 * Samples come decoded, in columns (storage/chunk/column.h): times ascending, native histograms
 * beside floats, start times where the chunks have them; without those that the block's tombstones
 * cover and those outside the asked range. A series with many samples comes in several items, each
 * with later times than the one before, of at most about BREAD_SAMPLES samples. A series of which
 * no sample is left is passed over.
 *
 * Matchers: those that a missing label does not satisfy are looked up in the block's postings, the
 * others are asked for each series that is left.
 * A walk can be broken off and begun again: its place is the reference of the last item's series
 * (item.ref), walk.after_ref of the next one. References ascend.
 *
 * Any bytes are safe, and take bounded time: chunks that overlap, as those of hostile blocks may
 * all do, are joined in n log n (storage/chunk/colruns.h), and a walk reads no more bytes of chunks
 * than the block has; what an index that refers to them again and again has beyond is damage.
 * Magic numbers, versions, every CRC, order of symbols and offsets are checked. What is wrong with
 * the index's frame ends bread_open; a damaged series or chunk is told (bdamage.h), counted and
 * left out.
 *
 * Files are mapped; a page that cannot be read, or a file that shrank, is ERR_IO of the call, and
 * of every later one.
 * Memory: 1/2 byte for each symbol, 1/4 byte for each pair of name and value, the walk's ids (4
 * bytes each, with matchers), one item.
 * Thread: one at a time; blocks of workers.
 */
#ifndef STORAGE_BLOCK_BREAD_H
#define STORAGE_BLOCK_BREAD_H

#include "core/model/matcher.h"
#include "storage/block/bdamage.h"
#include "storage/block/bmeta.h"
#include "storage/chunk/column.h"

#define BREAD_SAMPLES (64u << 10) /* in an item, or those of one chunk where that has more */

struct bread;
struct bread_item {
	uint32_t ref;          /* of the series in this block */
	bool more;             /* others of the same series may follow */
	struct labels labels;  /* canonical, until the next call */
	struct column *column; /* until the next call, which empties it; column_swap is allowed */
};
struct bread_walk {
	const struct matcher *matchers; /* lent as long as the walk */
	size_t matchers_count;
	int64_t t_from_ms, t_to_ms; /* both within: INT64_MIN, INT64_MAX = all */
	uint32_t after_ref;         /* 0 = from the first series on */
};
struct bread_counts { /* so far, over all walks */
	uint64_t series, samples, floats, histograms, chunks;
	uint64_t deleted;                        /* samples under tombstones */
	uint64_t damaged_chunks, damaged_series; /* left out */
};

/* path: the block's directory. damage is copied. */
MUST_CHECK enum err bread_open(
    const char *path, const struct bdamage *damage, struct bread **out, struct errbuf *eb);
void bread_close(struct bread *b);
const struct bmeta *bread_meta(const struct bread *b);
struct bread_counts bread_counts(const struct bread *b);
/* Begins a walk, and ends the one before. ERR_BADDATA: a pattern is beyond its limit. */
MUST_CHECK enum err bread_walk(struct bread *b, const struct bread_walk *w, struct errbuf *eb);
/* ERR_NOTFOUND: that was the last one. */
MUST_CHECK enum err bread_next(struct bread *b, struct bread_item *out, struct errbuf *eb);
/* How far the walk is, of its series: for progress. */
void bread_place(const struct bread *b, uint64_t *done, uint64_t *of);
/*
 * One series by its reference, its samples in a range appended to *to. ERR_NOTFOUND: no series is
 * there. labels are in the arena. Ends the walk.
 */
MUST_CHECK enum err bread_series(struct bread *b, uint32_t ref, int64_t t_from_ms, int64_t t_to_ms,
    struct arena *a, struct labels *labels, struct column *to, struct errbuf *eb);

#endif
