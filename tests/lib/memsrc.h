/*
 * memsrc - a source (core/seam/source.h) in memory, for tests of whatever reads: any number of
 * shards over the loops of a team, optional waits and faults.
 *
 * Samples are added and dropped by the test's main thread while no query runs; queries then read
 * them on the loops. Shard i lives on loop i mod team_count. Samples of a series must come in
 * ascending order.
 * Shaky: before every n-th answer the cursor says SOURCE_AGAIN, or SOURCE_WAIT and wakes its query
 * later, as a source does that reads from disk.
 * Memory: everything is copied in.
 */
#ifndef TESTS_LIB_MEMSRC_H
#define TESTS_LIB_MEMSRC_H

#include "core/rt/team.h"
#include "core/seam/source.h"

struct memsrc;
struct memsrc *memsrc_create(struct team *team, unsigned shards);
void memsrc_free(struct memsrc *m);
struct source *memsrc_source(struct memsrc *m);
void memsrc_clear(struct memsrc *m);
/*
 * Canonical labels. The same time with the same value (by bits) is taken again; ERR_EXISTS: with
 * another value; ERR_BADDATA: older than the last one.
 */
enum err memsrc_add(struct memsrc *m, struct labels labels, int64_t t_ms, double v);
/* The same with a histogram (NULL = a float) and a start time (0 = not told). */
struct memsrc_sample {
	int64_t t_ms, start_ms;
	double v;
	const struct hist *h;
};
enum err memsrc_add_sample(struct memsrc *m, struct labels labels, const struct memsrc_sample *s);
void memsrc_shaky(struct memsrc *m, unsigned every); /* 0 = never */
void memsrc_fail(struct memsrc *m,
    /* the cursor gives ERR_IO instead of the item after so many; 0 = never */
    unsigned after_items);
size_t memsrc_open_cursors(
    const struct memsrc *m); /* 0 when every cursor was closed; only while no query runs */

#endif
