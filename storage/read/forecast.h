/*
 * forecast - what a cursor would read, told without reading it: how many series, samples and bytes.
 *
 * Of the chosen series FORECAST_SERIES of a kind (in memory; old ids) are looked at, spread evenly
 * over all of them; where there are not more, all are. What memory has of one is told by the bounds
 * of its packs (series_about). Files are asked on a worker: their directories say which of the
 * series a file has, and of FORECAST_UNITS entries in all, spread over files and series, the tables
 * of their units are read (samples, bytes), and where the range cuts a file their times. What is
 * found is then multiplied. Where no more than FORECAST_ALL units are asked for all of them are
 * read, and their samples added up are a bound, too.
 * (1) Only series of the tenant are counted, and only entries of theirs: totals of a file or a
 *     shard, which have those of others in them, are not looked at. So nothing of others leaks.
 * (2) The cost is bounded by the files, whatever the number of series: 64 looks into a directory a
 *     file (50-300 ns each), 32 units.
 *
 *   forecast_make > forecast_begin: true, then done(arg) on the loop > told; false: told at once
 *
 * Thread: the shard's loop; meanwhile the worker reads chain and units, which stay as they are.
 */
#ifndef STORAGE_READ_FORECAST_H
#define STORAGE_READ_FORECAST_H

#include "storage/read/idchain.h"
#include "storage/read/survey.h"
#include "storage/read/unitread.h"

#define FORECAST_SERIES 64u
#define FORECAST_UNITS  32u
#define FORECAST_ALL    128u

struct forecast {
	bool over;
	struct source_forecast told;
	/* private */
	const struct idchain *_chain;
	struct unitread *_units;
	struct survey *_survey;    /* NULL: nobody asks */
	struct forecast_kind {     /* active ones, old ones */
		size_t all, count; /* how many there are, and are looked at */
		struct forecast_one {
			uint32_t id;
			double in;  /* how likely it has samples in the range */
			bool sure;  /* it has */
			bool other; /* active: it may have old ids, too */
			double memory_samples, memory_bytes, samples, bytes; /* of files */
		} one[FORECAST_SERIES];
	} _kinds[2];
	bool _some;     /* not all units were read */
	uint64_t _most; /* samples of those that were, and of memory */
	struct work_task _task;
	void (*_done)(void *arg);
	void *_arg;
};
/* All borrowed: the choice is made, the list of files taken. survey: NULL, nobody asks. */
struct forecast *forecast_make(
    const struct idchain *chain, struct unitread *units, const struct source_survey *survey);
bool forecast_begin(struct forecast *f, void (*done)(void *arg), void *arg);
/* When it is over: the survey in steps; true: that was the last, and told is whole. */
bool forecast_survey(struct forecast *f);
void forecast_free(struct forecast *f); /* NULL is fine; not while a worker has it */

#endif
