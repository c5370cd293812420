/*
 * bwindex - writes the index of a block (bindex.h has the format), version 2, as Prometheus' own
 * writer does: the same bytes for the same series and chunks.
 *
 * bwindex_series in label order, each with its chunks ... bwindex_finish. Labels and chunks wait in
 * a scratch file until all symbols are known: those are sorted (bsort), written, and looked up for
 * each series in a table of 8 bytes a slot, or by halves where that would not fit; postings are
 * sorted beside it (bpost).
 *
 * Thread: one at a time. Memory: memory_bytes, whatever comes.
 * Errors: the first one is kept; ERR_TOOBIG with a text where the format has no room.
 */
#ifndef STORAGE_BLOCK_BWINDEX_H
#define STORAGE_BLOCK_BWINDEX_H

#include "core/base/fsio.h"
#include "core/model/label.h"
#include "storage/block/bindex.h"

struct bwindex;
/* The file NAME in dir; scratch files are made in scratch. */
struct bwindex *bwindex_create(
    struct fsio_dir *dir, const char *name, struct fsio_dir *scratch, size_t memory_bytes);
MUST_CHECK enum err bwindex_series(struct bwindex *w, const struct label *labels, size_t count,
    const struct bindex_chunk *chunks, size_t chunks_count);
/* The file is whole and synced, w freed, with whatever result. */
MUST_CHECK enum err bwindex_finish(
    struct bwindex *take_w, bool (*keep_going)(void *arg), void *arg, struct errbuf *eb);
void bwindex_abandon(struct bwindex *take_w);

#endif
