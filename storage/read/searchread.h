/*
 * searchread - names of labels, or values of one, of one shard, as a search wants them (struct
 * source_find of core/seam/source.h): only the best that fit, without a look at all series.
 *
 *   choose     which series in memory the matchers hold for (postings). An expression for the label
 *              whose values are wanted is asked of the values themselves instead, of those that
 *              fit and are good enough
 *   walk       the values of the label by text, or the names, those first that begin as is wanted:
 *              a bag of the tree of postings behind the last of a full pick is not opened
 *              (storage/meta/postings_priv.h). What is wanted (fits, and is better than the last)
 *              counts when one of its series is chosen and has samples in the range
 *   series     instead of the walk, where few series are chosen: the labels of each. Of names the
 *              walk comes first, which a series or two often end, until it took as long as this
 *   catalog    on a worker, when it may know series that memory does not: the same by its sorted
 *              texts. Behind the rest, so that a series that leaves meanwhile is found there
 *              (storage/read/chosen), wherever the walk was
 *   plain      everything (storage/read/select), each text put to the pick: where parts of series
 *              were deleted, or the catalog is being made anew, so that only reading tells
 *   give       what is in the pick, in no order; where those who ask share one for all cursors of
 *              the loop (query->found), all but the catalog's is there already
 * (1) A text of a series that has samples in the range from the opening to the end, and that is
 *     among the best, is given. Of series that are in files only, a range of two hours counts as
 *     a whole, as the catalog has it.
 * (2) A call of next() does some 100 us of work, counted (storage/read/unitread), and at most one
 *     text more. A worker stops when the cursor is closed.
 * (3) A text is given only of series of which it was asked whether the matchers hold: none of those
 *     that come behind the choice, but where there are no matchers.
 * (4) Values that stand on several shards, and are dear to look at (alike; expressions for the
 *     engine), are looked at once for all cursors that share a pick: it remembers those it refused.
 *
 * Cost: a value that does not fit 30-60 ns; a chosen series some 300 ns. The catalog: 0.1 us a
 * value, or 2 us a series.
 * Thread: the shard's loop; the worker has a pick of its own.
 * Memory: the pick; the chosen ids; in cursor->memory; let go at the end, whenever it is closed.
 */
#ifndef STORAGE_READ_SEARCHREAD_H
#define STORAGE_READ_SEARCHREAD_H

#include "core/seam/source.h"
#include "storage/shard.h"

/* q->find is set; out is closed by its close(), also while it waits. */
MUST_CHECK enum err searchread_open(
    struct shard *sh, const struct source_query *q, struct source_cursor **out);

#endif
