/*
 * datadog_priv - one series of Datadog on its way to rows, whatever form it came in.
 *
 *   datadog_begin > metric, labels, tags, points or sketches > datadog_end: rows, or it is told
 *
 * Texts are borrowed from the body or from `scratch`, which is emptied at each begin.
 */
#ifndef PROTO_DATADOG_PRIV_H
#define PROTO_DATADOG_PRIV_H

#include "proto/datadog.h"

struct datadog_label {
	const char *name, *value;
	uint32_t name_len, value_len;
};
struct datadog_point {
	double v;
	int64_t t_ms;
};
struct datadog_sketch {
	int64_t t_ms, count;
	double min, max, sum;
	double quantile[5];
};
struct datadog {
	struct datadog_opts opts;
	struct decode *d;
	struct arena scratch; /* of a record */
	const char *metric;
	size_t metric_len, label_bytes;
	struct datadog_label *labels;
	size_t labels_count, labels_cap;
	struct datadog_point *points;
	size_t points_count, points_cap;
	struct datadog_sketch *sketches;
	size_t sketches_count, sketches_cap;
	double *values; /* of a distribution at one time */
	size_t values_count, values_cap, values_all;
	int32_t *keys; /* bins of a sketch */
	uint32_t *counts;
	size_t keys_count, counts_count, bins_cap;
	bool too_many; /* labels, or bytes of them */
	char why[200]; /* it is wrong; "" = it is not */
	void *more;    /* of the form */
	unsigned stage;
};

/* d->own, made at the first call. */
struct datadog *datadog_of(struct decode *d);
void datadog_free(struct decode *d); /* decoder.end */

void datadog_begin(struct datadog *x);
void datadog_metric(struct datadog *x, const char *s, size_t len);
void datadog_label(
    struct datadog *x, const char *name, size_t name_len, const char *value, size_t value_len);
void datadog_tag(struct datadog *x, const char *s, size_t len); /* "name:value" */
/* Seconds; of a double that is no time, too. */
int64_t datadog_ms(const struct datadog *x, double seconds);
void datadog_point(struct datadog *x, int64_t t_ms, double v);
/* Bins of the next sketch. */
void datadog_bin_key(struct datadog *x, int32_t key);
void datadog_bin_count(struct datadog *x, uint32_t count);
/* With the bins that were given; quantiles are found here. */
void datadog_sketch(struct datadog *x, struct datadog_sketch *s);
/* The same of plain values: those that were given since the last one. */
void datadog_value(struct datadog *x, double v);
void datadog_sample(struct datadog *x, int64_t t_ms);
/* The record is wrong; the first word counts. Always false. */
bool datadog_wrong(struct datadog *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
void datadog_end(struct datadog *x);

#endif
