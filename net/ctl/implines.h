/*
 * implines - import from text: exposed text with times, OpenMetrics, JSON lines, CSV; files of any
 * size, packed with gzip or zstd or not, or stdin ("-").
 *
 *   text         lines as Prometheus exposes them, each with its time in milliseconds
 *   openmetrics  the same with seconds; exemplars are passed over
 *   jsonl        lines of /api/v1/export, here or of VictoriaMetrics (proto/importl.h)
 *   csv          RFC 4180, ends of lines in quotes too; columns are named by --csv-columns or by a
 *                first row: "__name__" ("name", "metric") the metric, "__timestamp__" ("time",
 *                "timestamp"), "__value__" ("value"), the first of each that there is; "-" nothing,
 *                unless there is "__value__"; all others are labels, as exports have it. Times are
 *                unix seconds, ms, us, ns (by their size), or RFC 3339, or what the column says:
 *                "__timestamp__:unix_ms", unix_s, unix_ns, rfc3339
 *
 * Lines are read one by one: a bad one is told with its number, and costs itself alone. Rows of the
 * text formats and CSV are collected and put together by series, IMPLINES_ROWS at a time, since
 * there each line is another series.
 * The place of a unit: bytes (unpacked) and lines that are done, their hash, type and family that
 * the last # TYPE named: "1234 17 89abcdef01234567 1 http_requests". Going on reads them again, and
 * ends with CTL_USAGE where they are others: another file of that name, other bytes on stdin.
 *
 * Memory: a window of lines and the rows collected: 64 MiB or so.
 */
#ifndef NET_CTL_IMPLINES_H
#define NET_CTL_IMPLINES_H

#include "net/ctl/impwork.h"

#define IMPLINES_ROWS     (1u << 18)
#define IMPLINES_LINE_MAX (64u << 20) /* bytes of one line */

enum implines_format {
	IMPLINES_AUTO,
	IMPLINES_TEXT,
	IMPLINES_OPENMETRICS,
	IMPLINES_JSONL,
	IMPLINES_CSV
};
/* Is done so far told as bytes of the file to w->prog? */
struct implines {
	struct impwork *work;
	const char *path; /* "-" */
	const char *unit;
	enum implines_format format;
	const char *csv_columns; /* NULL: the first row has them */
	bool tell_bytes;         /* progress is by bytes, from bytes_before on */
	double bytes_before;
};
MUST_CHECK int implines(const struct implines *o);

#endif
