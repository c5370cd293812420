/*
 * otlp_delta - the rows of a data point of delta temporality become those of the cumulative one
 * (core/model/deltacum.h).
 *
 * A stream is what goes to one series: a number, the buckets, count and sum of a histogram
 * together, or a native histogram. Stale markers (NoRecordedValue) pass, and end nothing. A point
 * of a histogram without a sum ends the sum, its row is left out from then on.
 * With `zeros` the first point of a stream whose start is told brings rows of 0 a millisecond
 * behind the start: increase() then counts the first point, and sees that the stream began anew
 * even if its first point is larger than what came before. (Not when it started more than an hour
 * before, or longer than the window of late samples: such rows may be too old to be stored.)
 *
 * Memory: rows and what is in them in d->arena. Thread: as decoders, any number at a time.
 */
#ifndef PROTO_OTLP_DELTA_H
#define PROTO_OTLP_DELTA_H

#include "core/model/deltacum.h"
#include "proto/otlp.h"

struct otlp_cumulate {
	struct otlp_delta hook;  /* for struct otlp_opts */
	struct deltacum_ask ask; /* but for the arena */
	bool zeros;
	uint64_t window_ms; /* how much older than the newest a sample may be */
};
/* Sets the hook; what else there is is the caller's to fill. */
void otlp_cumulate_init(struct otlp_cumulate *c);

/*
 * Instead: values stay what was added, native histograms are said to be gauges (Prometheus'
 * otlp-native-delta-ingestion).
 */
extern const struct otlp_delta otlp_delta_raw;

#endif
