/*
 * expo_rows - exposed text to rows of a batch: decoders (proto/decoder.h) on top of the readers of
 * proto/expo.h and proto/omet.h.
 *
 * Rows have the sample's own time, else that of the options, else that of the request. Metadata is
 * put together by family from the lines that tell it. Exemplars have the time of their sample when
 * they tell none.
 *
 * Thread: as decoders. Any bytes are safe (fuzz_expo, fuzz_omet).
 */
#ifndef PROTO_EXPO_ROWS_H
#define PROTO_EXPO_ROWS_H

#include "proto/decoder.h"

struct expo_opts {    /* d->opts; NULL: all 0 */
	int64_t t_ms; /* of samples without a time; 0: of the request */
	bool created; /* created times of OpenMetrics begin their samples; else they are series */
};
/*
 * Text as VictoriaMetrics imports it (expo_init_import), line by line: what is wrong costs the line
 * alone, comments nothing. OpenMetrics may come this way, too: without exemplars and units.
 */
extern const struct decoder expo_import_decoder;
/* The same as Prometheus scrapes it: the first mistake ends it, and its text names the line. */
extern const struct decoder expo_decoder;
extern const struct decoder omet_decoder;

#endif
