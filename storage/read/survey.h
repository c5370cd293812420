/*
 * survey - labels of chosen series, of all of them or of some, each as likely as the others, with
 * whether they have samples in the range: what a forecast tells beside its numbers (source_survey
 * of core/seam/source.h).
 *
 *   survey_make (loop) > survey_file of each file, survey_labels (worker) > survey_step until true
 *
 * (1) A series is in when memory has samples of it, or a file has that lies in the range. Of a file
 *     that the range cuts only some units are read (storage/read/forecast.c), so how likely its
 *     series are in is known: each is in by a draw of its own, always the same for the same id.
 * (2) Old ids that nobody can tell the labels of are left out, and not counted as told; so are,
 *     where labels are long, those that come when SURVEY_LABELS bytes of them are held.
 * Cost: a series some 0.5 us, and 10-20 ns in each file until it is found; an old one 0.1-3 us for
 * its labels, on a worker. A step is some 50 us, and ends with its job's slice.
 * Thread: the shard's loop; meanwhile the worker where it says so. Memory: 32 bytes a series, and
 * labels of old ones, SURVEY_LABELS and what one series has at most.
 */
#ifndef STORAGE_READ_SURVEY_H
#define STORAGE_READ_SURVEY_H

#include "core/base/arena.h"
#include "storage/meta/postings.h"
#include "storage/read/idchain.h"
#include "storage/read/unitread.h"

#define SURVEY_LABELS (1u << 20)

struct survey_one {
	uint32_t id;
	bool old, sure;
	float in;             /* how likely it has samples in the range */
	struct labels labels; /* of old ones that are not in memory */
};
struct survey {
	uint64_t told, told_sure;
	/* private */
	const struct source_survey *_ask;
	const struct idchain *_chain;
	const struct unitread *_units;
	struct survey_one *_one; /* ids ascending */
	size_t _count, _at;
	struct arena _arena;
	size_t _name; /* whose values are walked */
	struct postings_cursor _walk;
	unsigned _values;
};
struct survey *survey_make(
    const struct idchain *chain, const struct unitread *units, const struct source_survey *ask);
/* What is known better of one series; not of one that was not chosen here. */
void survey_know(struct survey *s, uint32_t id, double in, bool sure);
/* cut: the range ends inside the file; likely: for active and for old ids, then. */
void survey_file(
    struct survey *s, const struct unitread_file *file, bool cut, const double likely[2]);
void survey_labels(struct survey *s);
/* Tells some; true: that was the last. */
bool survey_step(struct survey *s);
void survey_free(struct survey *s); /* NULL is fine */

/* Number i of `count`, one in each of as many equal stretches of `all`, by chance inside it. */
size_t survey_place(size_t i, size_t count, size_t all, uint64_t seed);

#endif
