#include "proto/datadog_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/base/wire.h"

#define NO_VALUE "no_label_value"

static const double quantiles[] = { 0.5, 0.75, 0.9, 0.95, 0.99 };
static const char *const quantile_texts[] = { "0.5", "0.75", "0.9", "0.95", "0.99" };
STATIC(COUNT_OF(quantiles) == COUNT_OF(((struct datadog_sketch *)0)->quantile));

struct datadog *datadog_of(struct decode *d)
{
	struct datadog *x = d->own;
	if (!x) {
		x = arena_zalloc(d->keep, sizeof(*x));
		arena_init(&x->scratch, 4096);
		if (d->opts)
			x->opts = *(const struct datadog_opts *)d->opts;
		x->d = d;
		d->own = x;
	}
	return x;
}

void datadog_free(struct decode *d)
{
	struct datadog *x = d->own;
	if (!x)
		return;
	arena_release(&x->scratch);
	mem_free(x->labels);
	mem_free(x->points);
	mem_free(x->sketches);
	mem_free(x->values);
	mem_free(x->keys);
	mem_free(x->counts);
	d->own = NULL;
}

void datadog_begin(struct datadog *x)
{
	arena_reset(&x->scratch, 64u << 10);
	x->metric_len = x->label_bytes = 0;
	x->labels_count = x->points_count = x->sketches_count = 0;
	x->keys_count = x->counts_count = 0;
	x->values_count = x->values_all = 0;
	x->too_many = false;
	x->why[0] = 0;
	x->d->records++;
}

bool datadog_wrong(struct datadog *x, const char *fmt, ...)
{
	va_list args;
	if (x->why[0])
		return false;
	va_start(args, fmt);
	(void)rune_vprintf(x->why, sizeof(x->why), fmt, args);
	va_end(args);
	return false;
}

/* ---- names and labels ---- */

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void datadog_metric(struct datadog *x, const char *s, size_t len)
{
	char dot = x->opts.raw ? '.' : '_';
	size_t n = 0;
	if (len > UINT16_MAX) {
		(void)datadog_wrong(x, "the name of a metric has %zu bytes", len);
		return;
	}
	char *to = arena_alloc(&x->scratch, len + 2), last = 0;
	/* A place of its own for the digit that no name begins with. */
	if (len && *s >= '0' && *s <= '9' && !x->opts.raw)
		to[n++] = '_';
	for (size_t i = 0; i < len; i++) {
		char c = s[i] == '.' || is_plain(s[i]) ? s[i] : '_';
		if (c == '_' && (last == '_' || last == '.'))
			continue;
		n -= c == '.' && last == '_';
		to[n++] = c == '.' ? dot : c;
		last = c;
	}
	to[n] = 0;
	x->metric = to;
	x->metric_len = n;
}

static struct datadog_label *label_add(struct datadog *x)
{
	if (x->labels_count == x->labels_cap) {
		x->labels_cap = x->labels_cap ? 2 * x->labels_cap : 32;
		x->labels = mem_array(x->labels, x->labels_cap, sizeof(*x->labels));
	}
	return &x->labels[x->labels_count++];
}

/* Each character that may not be in it is an underscore. */
static const char *label_name(struct datadog *x, const char *s, size_t *len)
{
	size_t i = 0, n = 0;
	while (i < *len && is_plain(s[i]))
		i++;
	bool digit = *s >= '0' && *s <= '9';
	if (x->opts.raw || (i == *len && !digit))
		return s;
	char *to = arena_alloc(&x->scratch, *len + 1);
	if (digit)
		to[n++] = '_';
	for (size_t at = 0, width; at < *len; at += width) {
		uint32_t rune;
		width = is_plain(s[at]) ? 1 : rune_decode(s + at, *len - at, &rune);
		width += !width;
		to[n++] = is_plain(s[at]) ? s[at] : '_';
	}
	*len = n;
	return to;
}

void datadog_label(
    struct datadog *x, const char *name, size_t name_len, const char *value, size_t value_len)
{
	const struct limits *l = x->d->limits;
	size_t cost = name_len + value_len;
	if (!name_len || !value_len)
		return;
	/* Judged as they come: what one dictionary has may be named again and again. */
	if (x->labels_count >= 2 * l->write_labels || x->label_bytes > UINT16_MAX ||
	    cost > UINT16_MAX) {
		x->too_many = true;
		return;
	}
	x->label_bytes += cost;
	name = label_name(x, name, &name_len);
	if (label_is_metric_name(name, name_len))
		return;
	*label_add(x) = (struct datadog_label){ .name = name,
		.value = value,
		.name_len = (uint32_t)name_len,
		.value_len = (uint32_t)value_len };
}

void datadog_tag(struct datadog *x, const char *s, size_t len)
{
	const char *colon = len ? memchr(s, ':', len) : NULL;
	size_t name_len = colon ? (size_t)(colon - s) : len;
	bool host = bytes_equal(s, name_len, "host", 4);
	datadog_label(x, host ? "exported_host" : s, host ? 13 : name_len,
	    colon ? colon + 1 : NO_VALUE, colon ? len - name_len - 1 : sizeof(NO_VALUE) - 1);
}

static int label_order(const void *a, const void *b)
{
	const struct datadog_label *x = a, *y = b;
	int c = bytes_cmp(x->name, x->name_len, y->name, y->name_len);
	return c ? c : bytes_cmp(x->value, x->value_len, y->value, y->value_len);
}

/* Values of labels i to end, each once, with commas between. */
static void join(struct datadog *x, size_t i, size_t end, struct datadog_label *out)
{
	size_t len = 0, n = 0;
	const struct datadog_label *l = x->labels;
	*out = l[i];
	if (i + 1 == end)
		return;
	for (size_t k = i; k < end; k++)
		len += l[k].value_len + 1u;
	char *to = arena_alloc(&x->scratch, len);
	for (size_t k = i; k < end; k++) {
		if (k > i && !label_order(&l[k - 1], &l[k]))
			continue;
		if (n)
			to[n++] = ',';
		memcpy(to + n, l[k].value, l[k].value_len);
		n += l[k].value_len;
	}
	out->value = to;
	out->value_len = (uint32_t)n;
}

#define FEW 32u /* of them one is put behind the other faster than by qsort */

static void labels_sort(struct datadog_label *l, size_t count)
{
	if (count > FEW) {
		qsort(l, count, sizeof(*l), label_order);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct datadog_label one = l[i];
		size_t at = i;
		for (; at && label_order(&one, &l[at - 1]) < 0; at--)
			l[at] = l[at - 1];
		l[at] = one;
	}
}

/* Sorted, each name once. */
static void labels_ready(struct datadog *x)
{
	size_t n = 0;
	labels_sort(x->labels, x->labels_count);
	for (size_t i = 0, end; i < x->labels_count; i = end) {
		end = i + 1;
		while (end < x->labels_count &&
		    bytes_equal(x->labels[i].name, x->labels[i].name_len, x->labels[end].name,
		        x->labels[end].name_len))
			end++;
		struct datadog_label joined;
		join(x, i, end, &joined);
		x->labels[n++] = joined;
	}
	x->labels_count = n;
}

static uint8_t *put(uint8_t *p, const struct datadog_label *l)
{
	size_t inner = 2 + wire_varint_len(l->name_len) + l->name_len +
	    wire_varint_len(l->value_len) + l->value_len;
	*p++ = 0x0a;
	p = wire_store_varint(p, inner);
	*p++ = 0x0a;
	p = wire_store_varint(p, l->name_len);
	memcpy(p, l->name, l->name_len);
	p += l->name_len;
	*p++ = 0x12;
	p = wire_store_varint(p, l->value_len);
	memcpy(p, l->value, l->value_len);
	return p + l->value_len;
}

#define LABEL_EXTRA 24u

/* What stands among the labels of a series: the metric's name, perhaps a quantile. */
static struct labels labels_make(struct datadog *x, const char *suffix, const char *quantile)
{
	size_t len = strlen(suffix), room = 0;
	struct datadog_label extra[2] = {
		{ .name = LABEL_NAME, .name_len = sizeof(LABEL_NAME) - 1 },
		{ .name = "quantile", .name_len = 8 },
	};
	char *name = arena_alloc(&x->scratch, x->metric_len + len + 1);
	memcpy(name, x->metric, x->metric_len);
	memcpy(name + x->metric_len, suffix, len);
	if (len && x->opts.raw)
		name[x->metric_len] = '.';
	extra[0].value = name;
	extra[0].value_len = (uint32_t)(x->metric_len + len);
	extra[1].value = quantile;
	extra[1].value_len = quantile ? (uint32_t)strlen(quantile) : 0;
	size_t extras = quantile ? 2 : 1, e = 0;
	for (size_t i = 0; i < x->labels_count; i++)
		room += x->labels[i].name_len + x->labels[i].value_len + LABEL_EXTRA;
	room += extra[0].value_len + 40u + 2 * LABEL_EXTRA;
	uint8_t *to = arena_alloc(x->d->arena, room), *p = to;
	for (size_t i = 0; i < x->labels_count; i++) {
		const struct datadog_label *l = &x->labels[i];
		int c = -1;
		while (e < extras &&
		    (c = bytes_cmp(extra[e].name, extra[e].name_len, l->name, l->name_len)) <= 0) {
			p = put(p, &extra[e++]);
			if (!c)
				break;
		}
		if (c)
			p = put(p, l);
	}
	while (e < extras)
		p = put(p, &extra[e++]);
	return (struct labels){ to, (uint32_t)(p - to) };
}

/* ---- points ---- */

int64_t datadog_ms(const struct datadog *x, double seconds)
{
	if (!(seconds > 0))
		return x->d->now_ms;
	return seconds < 9e15 ? (int64_t)floor(seconds * 1000 + 0.0005) : INT64_MAX;
}

void datadog_point(struct datadog *x, int64_t t_ms, double v)
{
	if (x->points_count == DATADOG_POINTS) {
		(void)datadog_wrong(x, "more than %u points", DATADOG_POINTS);
		return;
	}
	if (x->points_count == x->points_cap) {
		x->points_cap = x->points_cap ? 2 * x->points_cap : 16;
		x->points = mem_array(x->points, x->points_cap, sizeof(*x->points));
	}
	x->points[x->points_count++] = (struct datadog_point){ .v = v, .t_ms = t_ms };
}

static void bins_room(struct datadog *x, size_t count)
{
	if (count < x->bins_cap)
		return;
	x->bins_cap = x->bins_cap ? 2 * x->bins_cap : 128;
	x->keys = mem_array(x->keys, x->bins_cap, sizeof(*x->keys));
	x->counts = mem_array(x->counts, x->bins_cap, sizeof(*x->counts));
}

void datadog_bin_key(struct datadog *x, int32_t key)
{
	if (x->keys_count == DATADOG_BINS) {
		(void)datadog_wrong(x, "more than %u bins in a sketch", DATADOG_BINS);
		return;
	}
	bins_room(x, x->keys_count);
	x->keys[x->keys_count++] = key;
}

void datadog_bin_count(struct datadog *x, uint32_t count)
{
	if (x->counts_count == DATADOG_BINS) {
		(void)datadog_wrong(x, "more than %u bins in a sketch", DATADOG_BINS);
		return;
	}
	bins_room(x, x->counts_count);
	x->counts[x->counts_count++] = count;
}

static void sketch_add(struct datadog *x, const struct datadog_sketch *s)
{
	if (x->sketches_count == DATADOG_POINTS / 8) {
		(void)datadog_wrong(x, "more than %u sketches", DATADOG_POINTS / 8);
		return;
	}
	if (x->sketches_count == x->sketches_cap) {
		x->sketches_cap = x->sketches_cap ? 2 * x->sketches_cap : 4;
		x->sketches = mem_array(x->sketches, x->sketches_cap, sizeof(*x->sketches));
	}
	x->sketches[x->sketches_count++] = *s;
}

/* The lower bound of a bin: a DDSketch with gamma 1 + 2/128 and 1e-9 as its least value. */
static double bin_value(int32_t key)
{
	static const double gamma = 1.015625;
	static const int bias = 1338; /* 1 - floor(ln 1e-9 / ln gamma) */
	if (!key)
		return 0;
	if (key >= INT16_MAX || key <= -INT16_MAX)
		return key < 0 ? -INFINITY : INFINITY;
	double v = pow(gamma, (key < 0 ? -key : key) - bias);
	return key < 0 ? -v : v;
}

static double quantile(const struct datadog *x, const struct datadog_sketch *s, double q)
{
	if (s->count <= 0)
		return 0;
	double rank = rint(q * (double)(s->count - 1)), seen = 0;
	for (size_t i = 0; i < x->counts_count; i++) {
		double n = x->counts[i];
		seen += n;
		if (seen <= rank)
			continue;
		double w = (seen - rank) / n, low = bin_value(x->keys[i]), high = low * 1.015625;
		if (!i)
			low = s->min;
		return low * w + high * (1 - w);
	}
	return s->max;
}

void datadog_sketch(struct datadog *x, struct datadog_sketch *s)
{
	if (x->keys_count != x->counts_count)
		(void)datadog_wrong(
		    x, "a sketch has %zu keys and %zu counts", x->keys_count, x->counts_count);
	else
		for (size_t i = 0; i < COUNT_OF(quantiles); i++)
			s->quantile[i] = quantile(x, s, quantiles[i]);
	x->keys_count = x->counts_count = 0;
	sketch_add(x, s);
}

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

void datadog_value(struct datadog *x, double v)
{
	if (x->values_all == DATADOG_VALUES) {
		(void)datadog_wrong(x, "more than %u values", DATADOG_VALUES);
		return;
	}
	if (x->values_count == x->values_cap) {
		x->values_cap = x->values_cap ? 2 * x->values_cap : 64;
		x->values = mem_array(x->values, x->values_cap, sizeof(*x->values));
	}
	x->values[x->values_count++] = v;
	x->values_all++;
}

void datadog_sample(struct datadog *x, int64_t t_ms)
{
	size_t count = x->values_count;
	double *values = x->values;
	struct datadog_sketch s = { .t_ms = t_ms, .count = (int64_t)count };
	x->values_count = 0;
	if (!count)
		return;
	qsort(values, count, sizeof(*values), double_cmp);
	s.min = values[0];
	s.max = values[count - 1];
	for (size_t i = 0; i < count; i++)
		s.sum += values[i];
	for (size_t i = 0; i < COUNT_OF(quantiles); i++)
		s.quantile[i] = values[(size_t)rint(quantiles[i] * (double)(count - 1))];
	sketch_add(x, &s);
}

/* ---- rows ---- */

static void row(struct datadog *x, struct labels ls, int64_t t_ms, double v)
{
	struct batch_row *r = batch_add(x->d->batch);
	*r = (struct batch_row){ .labels = ls.bytes, .labels_len = ls.len, .t_ms = t_ms, .v = v };
}

static void sketch_rows(struct datadog *x)
{
	static const struct part {
		const char *suffix;
		size_t off;
	} parts[] = { { "_sum", offsetof(struct datadog_sketch, sum) },
		{ "_min", offsetof(struct datadog_sketch, min) },
		{ "_max", offsetof(struct datadog_sketch, max) } };
	struct labels ls;
	for (size_t q = 0; q < COUNT_OF(quantiles); q++) {
		ls = labels_make(x, "", quantile_texts[q]);
		for (size_t i = 0; i < x->sketches_count; i++)
			row(x, ls, x->sketches[i].t_ms, x->sketches[i].quantile[q]);
	}
	for (size_t k = 0; k < COUNT_OF(parts); k++) {
		ls = labels_make(x, parts[k].suffix, NULL);
		for (size_t i = 0; i < x->sketches_count; i++) {
			const char *at = (const char *)&x->sketches[i] + parts[k].off;
			double v;
			memcpy(&v, at, sizeof(v));
			row(x, ls, x->sketches[i].t_ms, v);
		}
	}
	ls = labels_make(x, "_count", NULL);
	for (size_t i = 0; i < x->sketches_count; i++)
		row(x, ls, x->sketches[i].t_ms, (double)x->sketches[i].count);
}

void datadog_end(struct datadog *x)
{
	char limit[LIMITS_TEXT_MAX];
	if (!x->metric_len)
		(void)datadog_wrong(x, "it has no metric");
	if (!x->why[0] && !x->too_many)
		labels_ready(x);
	if (x->too_many || x->labels_count + 2 > x->d->limits->write_labels)
		(void)datadog_wrong(x, "more labels than a series may have: %s, 65535 bytes",
		    limits_text(x->d->limits, LIMITS_write_labels, limit));
	if (x->why[0]) {
		decode_bad(x->d, "metric %" PRIu64 ": %s: %s", x->d->records, x->why,
		    x->metric_len ? x->metric : "(no name)");
		return;
	}
	if (x->sketches_count)
		sketch_rows(x);
	if (!x->points_count)
		return;
	struct labels ls = labels_make(x, "", NULL);
	for (size_t i = 0; i < x->points_count; i++)
		row(x, ls, x->points[i].t_ms, x->points[i].v);
	x->d->batch->series_count++;
}
