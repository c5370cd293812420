/*
 * Series and sketches in protobuf: MetricPayload and SketchPayload of agent_payload.proto, one
 * record after the other, in place.
 */
#include "proto/datadog_priv.h"
#include "proto/pbscan.h"

#include "core/base/num.h"

static double f64(const struct pbscan_field *f)
{
	return num_from_bits(wire_load64(f->data));
}

static const char *text(const struct pbscan_field *f)
{
	return (const char *)f->data;
}

/* Calls fn for each field of the message; false: it is malformed. */
static bool each(struct datadog *x, const uint8_t *p, size_t len,
    void (*fn)(struct datadog *x, const struct pbscan_field *f, void *arg), void *arg)
{
	const uint8_t *end = p + len;
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return datadog_wrong(x, "a message in it is malformed");
		fn(x, &f, arg);
	}
	return true;
}

static bool is(const struct pbscan_field *f, unsigned number, unsigned wire)
{
	return f->number == number && f->wire == wire;
}

/* ---- series ---- */

struct two_texts {
	const char *a, *b;
	size_t a_len, b_len;
};

static void resource_field(struct datadog *x, const struct pbscan_field *f, void *arg)
{
	struct two_texts *t = arg;
	(void)x;
	if (is(f, 1, PBSCAN_BYTES)) {
		t->a = text(f);
		t->a_len = f->len;
	} else if (is(f, 2, PBSCAN_BYTES)) {
		t->b = text(f);
		t->b_len = f->len;
	}
}

static void point_field(struct datadog *x, const struct pbscan_field *f, void *arg)
{
	struct datadog_point *p = arg;
	(void)x;
	if (is(f, 1, PBSCAN_FIXED64))
		p->v = f64(f);
	else if (is(f, 2, PBSCAN_VARINT))
		p->t_ms = datadog_ms(x, (double)(int64_t)f->value);
}

static void series_field(struct datadog *x, const struct pbscan_field *f, void *arg)
{
	struct two_texts t = { 0 };
	struct datadog_point p = { .t_ms = x->d->now_ms };
	(void)arg;
	if (f->wire != PBSCAN_BYTES)
		return;
	switch (f->number) {
	case 1:
		if (each(x, f->data, f->len, resource_field, &t))
			datadog_label(x, t.a, t.a_len, t.b, t.b_len);
		break;
	case 2:
		datadog_metric(x, text(f), f->len);
		break;
	case 3:
		datadog_tag(x, text(f), f->len);
		break;
	case 4:
		if (each(x, f->data, f->len, point_field, &p))
			datadog_point(x, p.t_ms, p.v);
		break;
	case 7:
		datadog_label(x, "source_type_name", 16, text(f), f->len);
		break;
	default:
		break;
	}
}

/* ---- sketches ---- */

static void key_add(struct datadog *x, uint64_t v)
{
	datadog_bin_key(x, (int32_t)wire_unzigzag(v & UINT32_MAX));
}

static void count_add(struct datadog *x, uint64_t v)
{
	datadog_bin_count(x, (uint32_t)v);
}

/* Packed, or one by one. */
static void numbers(
    struct datadog *x, const struct pbscan_field *f, void (*add)(struct datadog *x, uint64_t v))
{
	if (f->wire == PBSCAN_VARINT)
		add(x, f->value);
	if (f->wire != PBSCAN_BYTES)
		return;
	for (const uint8_t *p = f->data, *end = p + f->len; p < end && !x->why[0];) {
		uint64_t v;
		if (!pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &v)) {
			(void)datadog_wrong(x, "a sketch is malformed");
			return;
		}
		add(x, v);
	}
}

static void bins_field(struct datadog *x, const struct pbscan_field *f, void *arg)
{
	struct datadog_sketch *s = arg;
	switch (f->number) {
	case 1:
		if (f->wire == PBSCAN_VARINT)
			s->t_ms = datadog_ms(x, (double)(int64_t)f->value);
		break;
	case 2:
		if (f->wire == PBSCAN_VARINT)
			s->count = (int64_t)f->value;
		break;
	case 3:
		if (f->wire == PBSCAN_FIXED64)
			s->min = f64(f);
		break;
	case 4:
		if (f->wire == PBSCAN_FIXED64)
			s->max = f64(f);
		break;
	case 6:
		if (f->wire == PBSCAN_FIXED64)
			s->sum = f64(f);
		break;
	case 7:
		numbers(x, f, key_add);
		break;
	case 8:
		numbers(x, f, count_add);
		break;
	default:
		break;
	}
}

static void sketch_field(struct datadog *x, const struct pbscan_field *f, void *arg)
{
	struct datadog_sketch s = { .t_ms = x->d->now_ms };
	(void)arg;
	if (f->wire != PBSCAN_BYTES)
		return;
	switch (f->number) {
	case 1:
		datadog_metric(x, text(f), f->len);
		break;
	case 2:
		datadog_label(x, "host", 4, text(f), f->len);
		break;
	case 4:
		datadog_tag(x, text(f), f->len);
		break;
	case 7:
		if (each(x, f->data, f->len, bins_field, &s))
			datadog_sketch(x, &s);
		break;
	default:
		break;
	}
}

/* ---- the body ---- */

static enum err next(struct decode *d, const uint8_t **p, const uint8_t *end, struct errbuf *eb,
    void (*field)(struct datadog *x, const struct pbscan_field *f, void *arg))
{
	struct datadog *x = datadog_of(d);
	const uint8_t *from = *p;
	while (*p < end && !decode_full(d) && (size_t)(*p - from) < DECODE_TURN) {
		struct pbscan_field f;
		if (!pbscan_next(p, end, &f))
			return errbuf_set(eb, ERR_MALFORMED, "the body is no protobuf of series");
		if (!is(&f, 1, PBSCAN_BYTES))
			continue;
		datadog_begin(x);
		(void)each(x, f.data, f.len, field, NULL);
		datadog_end(x);
	}
	return ERR_OK;
}

static enum err next_series(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	(void)last;
	return next(d, p, end, eb, series_field);
}

static enum err next_sketches(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	(void)last;
	return next(d, p, end, eb, sketch_field);
}

const struct decoder datadog_series = { .record = "metric", .next = next_series, .end = datadog_free };
const struct decoder datadog_sketches = {
	.record = "metric", .next = next_sketches, .end = datadog_free
};
