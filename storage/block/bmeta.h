/*
 * bmeta - the meta.json of a Prometheus block, and ULIDs, which name blocks ("tsdb/block.go",
 * BlockMeta).
 *
 *   {"ulid", "minTime", "maxTime", "stats": {...}, "compaction": {"level", "sources": [ULID],
 *    "deletable", "parents": [{"ulid", "minTime", "maxTime"}], "failed", "hints": [text]},
 *    "version": 1, "thanos": {...}}
 *
 * Times are milliseconds; a block holds t_min_ms <= t < t_max_ms. Keys that we do not know are
 * passed over, "thanos" is kept as it stands. Version 1 alone is read.
 * A ULID is 48 bits of milliseconds and 80 random bits, as 26 characters (Crockford's base 32).
 *
 * Thread: pure. Memory: what is parsed is in the caller's arena.
 * Errors: ERR_MALFORMED, ERR_UNSUPPORTED (a version), with a text.
 */
#ifndef STORAGE_BLOCK_BMETA_H
#define STORAGE_BLOCK_BMETA_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"

#define BULID_LEN 26u
#define BMETA_MAX (16u << 20) /* bytes of a meta.json; sources of large blocks are thousands */
#define BMETA_OOO "from-out-of-order" /* a hint: its samples came late */

struct bulid {
	char text[BULID_LEN + 1];
};
/* Is it one, in upper case as directories of blocks are named? */
bool bulid_is(const char *s, size_t len);
int64_t bulid_ms(const struct bulid *u); /* of one that is */
/* Ascending ones: each is later than the one before, whatever the clock says. */
struct bulid_maker {
	uint64_t ms;
	uint8_t tail[10];
};
/* random: 10 bytes nobody knows. */
struct bulid bulid_next(struct bulid_maker *m, int64_t now_ms, const uint8_t random[10]);

struct bmeta_parent {
	struct bulid ulid;
	int64_t t_min_ms, t_max_ms;
};
struct bmeta {
	struct bulid ulid;
	int64_t t_min_ms, t_max_ms; /* t_max_ms is behind the last sample */
	uint64_t samples, floats, histograms, series, chunks, tombstones; /* 0 = not told */
	uint32_t level;
	bool deletable, failed;
	const struct bulid *sources;
	const struct bmeta_parent *parents;
	const char *const *hints;
	size_t sources_count, parents_count, hints_count;
	const char *thanos; /* an object in JSON as it stood, or NULL */
	size_t thanos_len;
};
MUST_CHECK enum err bmeta_parse(
    struct arena *a, const void *json, size_t len, struct bmeta *out, struct errbuf *eb);
/* Appends the text as Prometheus writes it (encoding/json, indented by tabs). */
void bmeta_print(struct buf *out, const struct bmeta *m);
bool bmeta_has_hint(const struct bmeta *m, const char *hint);

#endif
