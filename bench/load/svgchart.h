/*
 * svgchart - charts as SVG for the report: strips without text, which stretch with the page, and
 * lines over time with their axes. Colours are classes: "c0" is the first server's.
 *
 * Thread: one. Memory: what is made is added to the caller's buf.
 */
#ifndef BENCH_LOAD_SVGCHART_H
#define BENCH_LOAD_SVGCHART_H

#include <jansson.h>

#include "core/base/buf.h"

#define SVGCHART_COLOURS 8

/* A bar from 0 to value of at most max, and a whisker from low to high; all of them at least 0. */
void svgchart_bar(
    struct buf *out, double value, double low, double high, double max, unsigned colour);
/*
 * Ratios on a scale of powers of two, from one that holds the least to one that holds the greatest
 * of all, with 1 (equal) in it. Where v stands, as a part of the width.
 */
struct svgchart_scale {
	int from, to; /* powers of two */
};
struct svgchart_scale svgchart_scale(double least, double greatest);
double svgchart_at(const struct svgchart_scale *s, double v);
/* A bar from 1 to the ratio. */
void svgchart_ratio(struct buf *out, const struct svgchart_scale *s, double ratio, double low,
    double high, unsigned colour);
/* line: of results' "lines"; names are not in the picture. colour_of tells a server's number. */
void svgchart_lines(struct buf *out, const json_t *line,
    unsigned (*colour_of)(const void *arg, const char *server), const void *arg);

#endif
