/*
 * extras - what stands beside the rows of one run of a series: histograms (as canonical bytes,
 * core/model/hist.h) and start times, found by the time of their row.
 *
 * Blocks of at most EXTRAS_BLOCK items, in the order of time; an insertion moves at most one block,
 * one in order moves nothing. Times are unique; each is the time of a row of the run.
 * Cost: adding O(log n) and one block, 32 bytes and the histogram's bytes an item.
 * Thread: one loop; those of a frozen run may be read by any thread. Memory: the loop's slab, so
 * slab_bytes() counts it.
 */
#ifndef STORAGE_HEAD_EXTRAS_H
#define STORAGE_HEAD_EXTRAS_H

#include "storage/chunk/column.h"
#include "storage/head/slab.h"

#define EXTRAS_BLOCK 64u

/* Beside one row, as it comes and as it is kept. */
struct extra {
	int64_t start_ms;    /* 0 = not told */
	const uint8_t *hist; /* NULL = the row is a float */
	uint32_t hist_len;
};
struct extras_item {
	int64_t t_ms, start_ms;
	uint8_t *hist; /* NULL = none */
	uint32_t hist_len;
	uint32_t _pad;
};
struct extras_block {
	uint32_t count, cap;
	struct extras_item items[];
};
struct extras {
	struct extras_block **blocks; /* none is empty */
	uint32_t blocks_count, blocks_cap;
	uint64_t bytes; /* of it all, as they were asked for */
};

/* NULL: nothing stands beside the row of that time. x may be NULL. */
const struct extras_item *extras_find(const struct extras *x, int64_t t_ms);
/* Is exactly this beside the row of that time? e NULL = nothing. */
bool extras_same(const struct extras *x, int64_t t_ms, const struct extra *e);
/*
 * What extras cost to read, in units of a float's: those from a time on count up to n; *t_ms is the
 * time of the last that was counted.
 */
uint32_t extras_cost_some(const struct extras *x, int64_t from_ms, uint32_t n, int64_t *t_ms);
static inline uint64_t extras_cost(const struct extras *x) /* of all, at most */
{
	return x->bytes / 4;
}
/* From now on e, copied, stands beside the row of that time; NULL = nothing. *x is made. */
void extras_put(struct extras **x, struct slab *m, int64_t t_ms, const struct extra *e);
/* Gives blocks back, at most max of them: how many. The last one leaves nothing: *x is NULL. */
uint32_t extras_free_some(struct extras **x, struct slab *m, uint32_t max);
/*
 * Sets what stands beside rows of the column, which are the run's between two times, ascending.
 * ERR_DAMAGED: memory is broken. About 1 us for a histogram of 20 buckets.
 */
MUST_CHECK enum err extras_read(
    const struct extras *x, int64_t t_min_ms, int64_t t_max_ms, struct column *out);

#endif
