/*
 * imptsdb - import from a data directory of Prometheus: its blocks one after another, then its head
 * (storage/block/bdir.h, bread.h, bhead.h). A block or a snapshot alone is such a directory, too.
 *
 * Blocks come in order of time, series by series: so a request has many samples of few series.
 * Where blocks overlap and have a time of a series twice, that of the later block in this order
 * stays; the head is later than all blocks. (Prometheus answers with one of them.)
 * A directory in which a Prometheus runs is read as it is; what moves below the reader (a block
 * that was merged meanwhile) is told, and the same command once more brings what is missing.
 */
#ifndef NET_CTL_IMPTSDB_H
#define NET_CTL_IMPTSDB_H

#include "net/ctl/impwork.h"
#include "storage/block/bdir.h"

struct imptsdb_size {
	uint64_t samples;           /* of blocks within the asked range, by their meta.json */
	int64_t t_min_ms, t_max_ms; /* of blocks; INT64_MAX: there is none */
	size_t blocks, broken;
	bool head;
};
/* Is it one? With what it holds. */
bool imptsdb_is(const char *path, const struct impwork *w, struct imptsdb_size *out);
/* prefix: of the names of its units. */
MUST_CHECK int imptsdb(struct impwork *w, const char *path, const char *prefix);
/*
 * Asks the server for some series of the blocks, in random ranges, by remote read, and compares the
 * samples one by one: floats bit by bit (any NaN is as another, but a stale marker), histograms
 * with all their buckets. *differ counts series of which something is missing or other. What the
 * server has beside them is no difference: it goes on, and other blocks may have the series, too.
 */
MUST_CHECK int imptsdb_verify(
    struct impwork *w, const char *path, unsigned series, uint64_t *checked, uint64_t *differ);

#endif
