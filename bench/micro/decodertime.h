/*
 * decodertime - the best time of 300 that a decoder of a body (proto/decoder.h) takes, one line.
 *
 * record: what a row is, for the line. make fills the body.
 */
#ifndef BENCH_MICRO_DECODERTIME_H
#define BENCH_MICRO_DECODERTIME_H

#include <inttypes.h>
#include <stdio.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "proto/decoder.h"

static inline void decodertime(
    const char *name, const char *record, const struct decoder *kind, void (*make)(struct buf *b))
{
	struct buf b;
	struct arena arena, keep;
	struct batch batch;
	struct limits limits;
	uint64_t rows = 0;
	double best = 1e18;
	buf_init(&b);
	make(&b);
	arena_init(&arena, 4096);
	batch_init(&batch);
	limits_default(&limits);
	for (unsigned round = 0; round < 300; round++) {
		arena_init(&keep, 4096);
		struct decode d = {
			.limits = &limits, .arena = &arena, .keep = &keep, .batch = &batch
		};
		const uint8_t *p = b.data, *end = b.data + b.len;
		uint64_t t = clock_mono_ns();
		rows = 0;
		while (p < end) {
			CHECK(!kind->next(&d, &p, end, true, NULL));
			rows += batch.rows_count;
			batch_clear(&batch);
			arena_reset(&arena, 64u << 10);
		}
		t = clock_mono_ns() - t;
		kind->end(&d);
		arena_release(&keep);
		CHECK(!d.bad);
		best = (double)t < best ? (double)t : best;
	}
	printf("%-18s %7.2f ns/%s  %7.1f MB/s  %" PRIu64 "\n", name, best / (double)rows, record,
	    (double)b.len / best * 1e3, rows);
	buf_release(&b);
	batch_release(&batch);
	arena_release(&arena);
}

#endif
