/*
 * exportfmt - samples as they are, as text: JSON lines and CSV, as VictoriaMetrics exports and
 * imports them ("How to export data in JSON line format", "How to export CSV data" of its
 * documentation).
 *
 *   {"metric":{"__name__":"up","job":"a"},"values":[1,0.5],"timestamps":[1700000000000,...]}
 *   up,a,1,1700000000000
 *
 * The row is that of format=__name__,job,__value__,__timestamp__:unix_ms.
 * A stale marker is null, NaN is "NaN", infinities are "Infinity" and "-Infinity" (CSV: NaN, +Inf,
 * -Inf; stale markers are left out there). Native histograms are left out.
 * Thread: pure. Cost: some 60 ns a sample.
 */
#ifndef PROTO_EXPORTFMT_H
#define PROTO_EXPORTFMT_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/model/label.h"
#include "core/model/sample.h"

/* A line with the samples from..to of c; nothing when none of them is a float. */
void exportfmt_line(
    struct buf *out, struct labels ls, const struct sample_column *c, uint32_t from, uint32_t to);

enum exportfmt_column {
	EXPORTFMT_LABEL, /* __name__ is one */
	EXPORTFMT_VALUE,
	EXPORTFMT_UNIX_S,
	EXPORTFMT_UNIX_MS,
	EXPORTFMT_UNIX_NS,
	EXPORTFMT_RFC3339
};
#define EXPORTFMT_COLUMNS_MAX 256u
struct exportfmt_csv {
	struct exportfmt_cell {
		enum exportfmt_column what;
		const char *name; /* of a label; borrowed, or in the arena */
		uint32_t name_len;
	} * columns;
	size_t count;
};
/*
 * What format= says; a name with a comma, or one that begins with a quote, stands in quotes, as a
 * cell does. ERR_BADDATA, and eb says which column is not known.
 */
MUST_CHECK enum err exportfmt_csv_parse(
    struct arena *a, const char *s, size_t len, struct exportfmt_csv *out, struct errbuf *eb);
/* A cell: in quotes, if it needs them. */
void exportfmt_csv_text(struct buf *out, const char *s, size_t len);
/* A row for each float of from..to. */
void exportfmt_rows(struct buf *out, const struct exportfmt_csv *f, struct labels ls,
    const struct sample_column *c, uint32_t from, uint32_t to);

#endif
