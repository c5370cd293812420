/*
 * ctlgraph - series as a graph of characters: lines in braille (2 x 4 dots a place), ticks at round
 * values and round times (UTC), a legend with the last value of each.
 *
 *    2.00 k |      ..'''..
 *           |  ..''       ''..
 *    1.00 k |''
 *           +--------+--------+---
 *            08:00    08:10
 *    * up{job="x"}  1234
 *
 * Where colours cannot tell several series apart, each is drawn in its letter; without UTF-8 a
 * single one in asterisks. A point that is no number, or infinite, is a gap.
 *
 * Thread: pure. Memory: borrowed for the call.
 */
#ifndef NET_CTL_CTLGRAPH_H
#define NET_CTL_CTLGRAPH_H

#include "core/base/buf.h"

#define CTLGRAPH_SERIES 12u /* drawn; the legend tells how many are not */

struct ctlgraph_series {
	const char *name;
	const int64_t *times_ms; /* ascending */
	const double *values;
	size_t count;
};
struct ctlgraph {
	unsigned columns, rows; /* of all: at least 30 and 8 are taken */
	bool colour, utf8;
	int64_t begin_ms, end_ms; /* the axis; end after begin */
	int64_t gap_ms;           /* points farther apart are not joined; 0: all are */
	const struct ctlgraph_series *series;
	size_t count;
};
void ctlgraph_draw(struct buf *out, const struct ctlgraph *g);

/* Bars of values at one time; what is no number has none. */
struct ctlgraph_bar {
	const char *name;
	double value;
};
void ctlgraph_bars(
    struct buf *out, const struct ctlgraph_bar *bars, size_t count, unsigned columns, bool utf8);

/* A value in few characters: "1.23 k", "-0.05", "2e-09", "NaN". */
const char *ctlgraph_value(double v, char text[32]);

#endif
