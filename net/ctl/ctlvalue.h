/*
 * ctlvalue - answers of the query API in words: label sets as selectors, histograms, results as
 * tables, CSV and JSON.
 *
 *   table  vector: series and value, one line each; matrix: a block for each series, its name and a
 *          line for each time; scalar, string: the value
 *   csv    a column for each label of the answer (sorted, __name__ first), then time and value
 *   json   {"resultType": ..., "result": [...]} as it came, a series on each line
 *
 * Times are RFC 3339, UTC. Shapes are those of "HTTP API" in Prometheus' documentation; what has
 * another one is no answer (false).
 *
 * Thread: pure. Memory: json is borrowed.
 */
#ifndef NET_CTL_CTLVALUE_H
#define NET_CTL_CTLVALUE_H

#include <jansson.h>

#include "net/ctl/ctltable.h"

/* up{job="x"}; {"odd.name", "odd label"="y"} where a name needs quotes. */
void ctlvalue_series(struct buf *out, const json_t *metric);
/* A value of a sample: the text of a float, or a native histogram in one line. */
void ctlvalue_sample(struct buf *out, const json_t *value);
/* "2026-11-29T08:12:18.500Z" of seconds with a fraction. */
void ctlvalue_time(struct buf *out, const json_t *seconds);

/* Names of all objects of a list, sorted, __name__ first; mem_free what it points to. */
const char **ctlvalue_names(const json_t *objects, const char *inside, size_t *count);

/* data: of an answer. False: it is no result of a query. */
MUST_CHECK bool ctlvalue_show(FILE *out, const json_t *data, enum ctltable_form form);
/* A list of label sets: selectors line by line, CSV by label, JSON as it came. */
MUST_CHECK bool ctlvalue_sets(FILE *out, const json_t *sets, enum ctltable_form form);

#endif
