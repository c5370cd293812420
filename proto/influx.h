/*
 * influx - InfluxDB's line protocol (proto/influxl.h) to rows of a batch.
 *
 * A field of a line is a sample; its metric is measurement and field with a separator between them,
 * its labels are the tags. true is 1, false is 0; texts are left out (decode.skipped). Times are
 * cut down to whole milliseconds, towards the past.
 *
 * Names become what every query can name: each character outside [a-zA-Z0-9_:] (of labels without
 * the colon) is an underscore, as is what stands before a digit at the begin. `raw` leaves them as
 * they are. What has the same name as another tag or field of its line only then makes the line a
 * bad one: nothing is merged. A tag twice does, too; of a field twice the last one counts, as with
 * InfluxDB. A tag __name__ is left out.
 *
 * A decoder of lines; a line may hold LFs in its texts, so a part of a body may end inside one.
 * Memory: see proto/decoder.h; some 100 KiB of a decoder's own for lines of the largest size.
 * Thread: pure. Any bytes are safe (fuzz_influx).
 */
#ifndef PROTO_INFLUX_H
#define PROTO_INFLUX_H

#include "proto/decoder.h"
#include "proto/influxl.h"

#define INFLUX_BADS       16u  /* bad lines that are told one by one */
#define INFLUX_BAD_LINE   120u /* bytes of each */
#define INFLUX_SEPARATOR  16u  /* bytes of a separator at most */
#define INFLUX_LABEL_NAME 64u  /* bytes of the name of the label for the database at most */

enum influx_precision { /* of timestamps */
	INFLUX_NS,
	INFLUX_US,
	INFLUX_MS,
	INFLUX_S,
	INFLUX_M,
	INFLUX_H,
	INFLUX_AUTO /* by their size, as InfluxDB 3 */
};
/*
 * "n", "ns", "u", "us", "ms", "s", "m", "h", and with words those of InfluxDB 3: "auto", "second",
 * "nanosecond", ... False: it is none.
 */
bool influx_precision(const char *s, size_t len, bool words, enum influx_precision *out);

struct influx_opts {
	enum influx_precision precision;
	const char *separator; /* between measurement and field */
	bool skip_single;      /* of a line with one field, the metric is the measurement */
	bool raw;              /* names stay as they are */
	const char *db_label;  /* NULL: none */
	const char *db;        /* its value; a tag of that name stands before it */
	size_t db_len;
};
/* separator "_", nanoseconds, no label of the database */
extern const struct influx_opts influx_defaults;
extern const struct decoder influx_decoder; /* opts: struct influx_opts; NULL: the defaults */

struct influx_bad {
	uint64_t line; /* counted from 1, by LFs */
	char text[INFLUX_BAD_LINE + 1], why[DECODE_BAD_TEXT];
};
/* The first bad lines. */
const struct influx_bad *influx_bads(const struct decode *d, size_t *count);

#endif
