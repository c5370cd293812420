/*
 * ctltop - what kymoctl top shows: of two looks at a server's /metrics, rates, quantiles and sizes;
 * of its lists of queries the heaviest; in a frame of so many columns and rows.
 *
 * Quantiles are those of the requests between two looks, interpolated in their bucket as
 * histogram_quantile does. What a server does not tell (an older kymod) stands as "-".
 *
 * Thread: pure. Memory: a look owns its text; ctltop_look_release.
 */
#ifndef NET_CTL_CTLTOP_H
#define NET_CTL_CTLTOP_H

#include <jansson.h>

#include "core/base/buf.h"

struct ctltop_sample {
	const char *name, *labels; /* labels: between the braces, "" */
	double value;
};
struct ctltop_look {
	uint64_t at_ns; /* of any clock that runs evenly */
	char *text;
	struct ctltop_sample *samples;
	size_t count;
};
/* Reads an answer of /metrics; lines that are none are left out. take_text: NUL behind its len. */
void ctltop_look_read(struct ctltop_look *l, char *take_text, size_t len, uint64_t at_ns);
void ctltop_look_release(struct ctltop_look *l);
/* Is it a kymod that tells of itself? */
bool ctltop_is_kymod(const struct ctltop_look *l);

/* Sum of a metric over all whose labels hold the text (NULL: all); NAN: there is none. */
double ctltop_sum(const struct ctltop_look *l, const char *name, const char *holds);
double ctltop_rate(const struct ctltop_look *was, const struct ctltop_look *now, const char *name,
    const char *holds);
/*
 * Of a histogram "name" (its _bucket), of those whose labels hold one of the two texts (NULL: none
 * such); NAN: nothing happened.
 */
double ctltop_quantile(const struct ctltop_look *was, const struct ctltop_look *now,
    const char *name, const char *holds, const char *or_holds, double q);

enum ctltop_view {
	CTLTOP_QUERIES,
	CTLTOP_TENANTS
};
/* Queries by time in all, mean time, count, memory; tenants by samples, series, queries, time. */
#define CTLTOP_SORTS 4u
extern const char *const ctltop_sort_names[2][CTLTOP_SORTS];

struct ctltop_frame {
	unsigned columns, rows;
	bool colour, keys; /* keys: a line that tells them */
	const char *server, *clock;
	enum ctltop_view view;
	unsigned sort;
	const struct ctltop_look *was, *now; /* was NULL: no rates yet */
	const json_t *active, *top; /* data of active_queries; answer of top_queries; may be NULL */
	const char *trouble;        /* a line instead of the clock; NULL: none */
};
/* Lines, each at most so many columns, ended by \n; at most so many rows. */
void ctltop_draw(struct buf *out, const struct ctltop_frame *f);

#endif
