#include <stdlib.h>

#include "core/base/rune.h"
#include "core/model/exemplar.h"
#include "proto/otlp_priv.h"

/*
 *   NumberDataPoint     2 start  3 time  4 double  5 Exemplar*  6 sfixed64  7 attributes*  8 flags
 *   SummaryDataPoint    2 start  3 time  4 count  5 sum  6 {1 quantile  2 value}*  7 attributes*
 *                       8 flags
 *   HistogramDataPoint  2 start  3 time  4 count  5 sum  6 fixed64 bucket_counts*
 *                       7 double explicit_bounds*  8 Exemplar*  9 attributes*  10 flags
 *   Exemplar            2 time  3 double  4 span_id  5 trace_id  6 sfixed64
 *                       7 filtered attributes*
 */
#define NO_RECORDED_VALUE 1u
#define ID_BYTES          64u /* of a trace or span id; usual are 16 and 8 */

static const struct otlp_fields number_fields = { .attributes = 7, .flags = 8, .exemplars = 5 },
                                summary_fields = { .attributes = 7, .flags = 8 },
                                histogram_fields = { .attributes = 9, .flags = 10, .exemplars = 8 };

/* ---- rows ---- */

static struct batch_row *row_add(struct otlp *o, const struct otlp_point *pt, struct labels ls)
{
	struct batch_row *r = batch_add(o->d->batch);
	r->labels = ls.bytes;
	r->labels_len = ls.len;
	r->flags = 0;
	r->t_ms = otlp_ms(pt->time_ns);
	o->rows++;
	return r;
}

static void row_extra(struct otlp *o, struct batch_row *r, struct batch_extra x)
{
	struct batch_extra *own = arena_alloc(o->d->arena, sizeof x);
	*own = x;
	batch_row_extra(o->d->batch, r, own);
	o->made += sizeof x;
}

static int64_t start_of(const struct otlp *o, const struct otlp_point *pt)
{
	return o->o->no_start_times && !o->metric.delta ? 0 : otlp_ms(pt->start_ns);
}

void otlp_row(struct otlp *o, const struct otlp_point *pt, struct labels ls, double v)
{
	struct batch_row *r = row_add(o, pt, ls);
	int64_t start_ms = start_of(o, pt);
	r->v = v;
	if (start_ms || o->metric.delta)
		row_extra(o, r, (struct batch_extra){ .v = v, .start_ms = start_ms });
}

void otlp_row_hist(struct otlp *o, const struct otlp_point *pt, struct labels ls,
    const struct hist *h, const char *bad)
{
	struct batch_row *r = row_add(o, pt, ls);
	row_extra(o, r, (struct batch_extra){ .hist = h, .start_ms = start_of(o, pt), .bad = bad });
}

/* ---- fields ---- */

enum otlp_took otlp_common(struct otlp *o, const struct otlp_fields *n,
    const struct pbscan_field *f, struct otlp_point *pt)
{
	if (f->number == n->attributes) {
		if (f->wire != PBSCAN_BYTES || !otlp_attrs_add(o, &o->attrs, f->data, f->len))
			return OTLP_BROKEN;
	} else if (f->number == 2 || f->number == 3) {
		if (f->wire != PBSCAN_FIXED64)
			return OTLP_BROKEN;
		*(f->number == 2 ? &pt->start_ns : &pt->time_ns) = wire_load64(f->data);
	} else if (f->number == n->flags) {
		if (f->wire != PBSCAN_VARINT)
			return OTLP_BROKEN;
		pt->flags = f->value;
	} else if (n->exemplars && f->number == n->exemplars) {
		if (f->wire != PBSCAN_BYTES)
			return OTLP_BROKEN;
		if (!pt->exemplars)
			pt->exemplars = f->start;
	} else {
		return OTLP_OTHER;
	}
	return OTLP_TOOK;
}

bool otlp_doubles_add(struct otlp *o, struct otlp_doubles *l, const struct pbscan_field *f)
{
	size_t n = f->len / 8;
	if ((f->wire != PBSCAN_BYTES && f->wire != PBSCAN_FIXED64) || f->len % 8)
		return false;
	if (!l->count) {
		l->raw = f->data;
		l->count = n;
		return true;
	}
	/* a point has at most so many; those beyond are counted, and nobody looks at them */
	const size_t most = (size_t)o->limits->write_hist_buckets + 1,
	             room = l->count < most ? most - l->count : 0, all = l->count + n;
	n = n < room ? n : room;
	if (!n) {
		l->count = all;
		return true;
	}
	if (l->count + n > l->cap) {
		size_t cap = 2 * (l->count + n);
		uint8_t *more = arena_array(&o->point, cap, 8);
		memcpy(more, l->raw, 8 * l->count);
		l->raw = more;
		l->cap = cap;
	}
	memcpy((uint8_t *)(uintptr_t)l->raw + 8 * l->count, f->data, 8 * n);
	l->count = all;
	return true;
}

void otlp_times(struct otlp *o, const struct otlp_point *pt)
{
	o->last.start_ns = pt->start_ns;
	o->last.time_ns = pt->time_ns;
	if (pt->time_ns < o->earliest_ns)
		o->earliest_ns = pt->time_ns;
	if (pt->time_ns > o->latest_ns)
		o->latest_ns = pt->time_ns;
}

static double recorded(const struct otlp_point *pt, double v)
{
	return UNLIKELY(pt->flags & NO_RECORDED_VALUE) ? sample_stale() : v;
}

/* ---- exemplars ---- */

static size_t runes(const char *s, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* An id as hex digits; none when it is empty. */
static size_t id_label(
    struct otlp *o, const char *name, const struct pbscan_field *f, struct label *out)
{
	static const char digits[] = "0123456789abcdef";
	if (!f->len || f->len > ID_BYTES || all_zero(f->data, f->len))
		return 0;
	char *text = arena_alloc(&o->point, 2 * f->len);
	for (size_t i = 0; i < f->len; i++) {
		text[2 * i] = digits[f->data[i] >> 4];
		text[2 * i + 1] = digits[f->data[i] & 15];
	}
	*out = (struct label){ .name = name,
		.name_len = (uint32_t)strlen(name),
		.value = text,
		.value_len = (uint32_t)(2 * f->len) };
	return 1;
}

static void labels_sort(struct label *list, size_t n)
{
	for (size_t i = 1; i < n; i++) { /* at most EXEMPLAR_RUNES */
		struct label x = list[i];
		size_t k = i;
		for (; k && bytes_cmp(list[k - 1].name, list[k - 1].name_len, x.name, x.name_len) > 0;
		     k--)
			list[k] = list[k - 1];
		list[k] = x;
	}
}

struct attribute_sum { /* of filtered attributes */
	size_t count, runes;
	bool over;
};

/* One of them; those of more than the runes there may be are only counted. */
static bool filtered(
    struct otlp *o, const struct pbscan_field *f, struct label *list, struct attribute_sum *sum)
{
	struct otlp_attr x;
	if (!otlp_attr_read(f->data, f->len, &x))
		return false;
	if (sum->over)
		return true;
	enum err e = otlp_attr_text(&o->point, 4 * EXEMPLAR_RUNES, &x);
	if (e == ERR_MALFORMED)
		return false;
	if (!e)
		sum->runes += runes(x.key, x.key_len) + runes(x.s, x.len);
	if (e || sum->runes > EXEMPLAR_RUNES || sum->count == EXEMPLAR_RUNES) {
		sum->over = true;
		return true;
	}
	list[sum->count++] =
	    (struct label){ .name = x.key, .name_len = x.key_len, .value = x.s, .value_len = x.len };
	return true;
}

/* One that has a value is added to the list. False: malformed. */
static bool exemplar(struct otlp *o, const uint8_t *p, const uint8_t *end,
    const struct otlp_point *pt, struct otlp_exemplars *to)
{
	static const uint8_t wires[] = {
		[2] = PBSCAN_FIXED64, [3] = PBSCAN_FIXED64, [4] = PBSCAN_BYTES, [5] = PBSCAN_BYTES, [6] = PBSCAN_FIXED64, [7] = PBSCAN_BYTES
	};
	struct label list[EXEMPLAR_RUNES + 2];
	struct batch_exemplar x = { 0 };
	struct pbscan_field span = { 0 }, trace = { 0 };
	struct attribute_sum sum = { 0 };
	bool has_value = false;
	uint64_t time_ns = 0;
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return false;
		if (f.number < 2 || f.number > 7)
			continue;
		if (f.wire != wires[f.number])
			return false;
		has_value |= f.number == 3 || f.number == 6;
		if (f.number == 2)
			time_ns = wire_load64(f.data);
		else if (f.number == 3)
			x.v = num_from_bits(wire_load64(f.data));
		else if (f.number == 6)
			x.v = (double)(int64_t)wire_load64(f.data);
		else if (f.number == 7 && !filtered(o, &f, list + 2, &sum))
			return false;
		else if (f.number == 4)
			span = f;
		else if (f.number == 5)
			trace = f;
	}
	if (!has_value)
		return true;
	struct label ids[2];
	size_t n = id_label(o, "span_id", &span, &ids[0]);
	n += id_label(o, "trace_id", &trace, &ids[n]);
	for (size_t i = 0; i < n; i++)
		sum.runes += ids[i].name_len + (size_t)ids[i].value_len;
	size_t count = sum.over || sum.runes > EXEMPLAR_RUNES ? 0 : sum.count;
	if (n < 2)
		memmove(list + n, list + 2, count * sizeof *list);
	memcpy(list, ids, n * sizeof *list);
	labels_sort(list, n + count);
	otlp_exemplar_labels(o, list, n + count, &x);
	x.t_ms = otlp_ms(time_ns ? time_ns : pt->time_ns);
	to->items[to->count++] = x;
	return true;
}

bool otlp_exemplars(
    struct otlp *o, const struct otlp_point *pt, unsigned number, struct otlp_exemplars *out)
{
	size_t cap = 0;
	*out = (struct otlp_exemplars){ 0 };
	for (const uint8_t *p = pt->exemplars; p && p < pt->end;) {
		struct pbscan_field f;
		if (!pbscan_next(&p, pt->end, &f))
			return false;
		if (f.number != number || out->count > o->limits->write_hist_buckets)
			continue;
		if (out->count == cap) {
			struct batch_exemplar *more =
			    arena_array(&o->point, cap ? 2 * cap : 4, sizeof *more);
			if (cap)
				memcpy(more, out->items, cap * sizeof *more);
			out->items = more;
			cap = cap ? 2 * cap : 4;
		}
		if (f.wire != PBSCAN_BYTES || !exemplar(o, f.data, f.data + f.len, pt, out))
			return false;
	}
	return true;
}

static int time_cmp(const void *x, const void *y)
{
	const struct batch_exemplar *a = x, *b = y;
	return (a->t_ms > b->t_ms) - (a->t_ms < b->t_ms);
}

/* Senders list them by bucket or at random, but a series takes what goes up in time. */
void otlp_exemplars_add(struct otlp *o, struct otlp_exemplars *list, struct labels ls)
{
	bool sorted = true;
	for (size_t i = 1; sorted && i < list->count; i++)
		sorted = list->items[i - 1].t_ms <= list->items[i].t_ms;
	if (!sorted)
		qsort(list->items, list->count, sizeof *list->items, time_cmp);
	for (size_t i = 0; i < list->count; i++)
		otlp_exemplar_add(o, &list->items[i], ls);
}

void otlp_exemplar_add(struct otlp *o, const struct batch_exemplar *x, struct labels ls)
{
	struct batch_exemplar *to = batch_add_exemplar(o->d->batch);
	*to = *x;
	to->labels = ls.bytes;
	to->labels_len = ls.len;
	o->rows++;
	o->made += sizeof *to + x->own_len;
}

/* ---- numbers ---- */

struct number {
	struct otlp_point pt;
	double v;
};

/*
 * Fields as senders' encoders make them, attributes of less than 128 bytes; stops at another one.
 * False: malformed.
 */
static bool number_usual(struct otlp *o, const uint8_t **at, struct number *n)
{
	const uint8_t *p = *at, *const end = n->pt.end;
	while (end - p > 8) {
		size_t len = 8;
		switch (*p) {
		case 7 << 3 | PBSCAN_BYTES:
			len = p[1] + (size_t)1;
			if (p[1] >= 0x80 || len >= (size_t)(end - p)) {
				*at = p;
				return true;
			}
			if (!otlp_attrs_add(o, &o->attrs, p + 2, len - 1))
				return false;
			break;
		case 2 << 3 | PBSCAN_FIXED64:
			n->pt.start_ns = wire_load64(p + 1);
			break;
		case 3 << 3 | PBSCAN_FIXED64:
			n->pt.time_ns = wire_load64(p + 1);
			break;
		case 4 << 3 | PBSCAN_FIXED64:
			n->v = num_from_bits(wire_load64(p + 1));
			break;
		case 6 << 3 | PBSCAN_FIXED64:
			n->v = (double)(int64_t)wire_load64(p + 1);
			break;
		default:
			*at = p;
			return true;
		}
		p += len + 1;
	}
	*at = p;
	return true;
}

/* False: malformed. */
static bool number_read(struct otlp *o, const uint8_t *p, struct number *n)
{
	while (p < n->pt.end) {
		struct pbscan_field f;
		if (!number_usual(o, &p, n))
			return false;
		if (p == n->pt.end)
			break;
		if (!pbscan_next(&p, n->pt.end, &f))
			return false;
		if (f.number == 4 || f.number == 6) {
			if (f.wire != PBSCAN_FIXED64)
				return false;
			uint64_t bits = wire_load64(f.data);
			n->v = f.number == 4 ? num_from_bits(bits) : (double)(int64_t)bits;
		} else if (otlp_common(o, &number_fields, &f, &n->pt) == OTLP_BROKEN) {
			return false;
		}
	}
	return true;
}

static otlp_why number_point(struct otlp *o, const uint8_t *p, const uint8_t *end)
{
	struct number n = { .pt = { .end = end } };
	struct labels ls;
	if (!number_read(o, p, &n))
		return OTLP_MALFORMED;
	otlp_times(o, &n.pt);
	otlp_why why = o->metric.refused ? o->metric.refused : otlp_labels_named(o, &ls);
	if (why)
		return why;
	otlp_row(o, &n.pt, ls, recorded(&n.pt, n.v));
	struct otlp_exemplars list;
	if (LIKELY(!n.pt.exemplars) || o->metric.kind == OTLP_GAUGE)
		return NULL;
	if (!otlp_exemplars(o, &n.pt, number_fields.exemplars, &list))
		return OTLP_MALFORMED;
	otlp_exemplars_add(o, &list, ls);
	return NULL;
}

/* ---- names with suffixes ---- */

static const struct otlp_piece *suffixed(struct otlp *o, unsigned suffix)
{
	static const char *const suffixes[] = { "", "_sum", "_count", "_bucket" };
	struct otlp_metric *m = &o->metric;
	struct otlp_piece *piece = &m->names[suffix];
	if (LIKELY(piece->len))
		return piece;
	size_t len = strlen(suffixes[suffix]), all = m->prom.len + len;
	char *name = arena_alloc(&o->metric_arena, all + 1);
	memcpy(name, m->prom.s, m->prom.len);
	memcpy(name + m->prom.len, suffixes[suffix], len + 1);
	*piece = otlp_label_bytes(&o->metric_arena, LABEL_NAME, name, all);
	return piece;
}

/* A row of a summary or histogram. */
static otlp_why part(struct otlp *o, const struct otlp_point *pt, const struct otlp_base *base,
    unsigned suffix, const struct otlp_piece *more, double v, struct labels *ls)
{
	otlp_why why = otlp_labels_of(o, base, suffixed(o, suffix), more, ls);
	if (!why)
		otlp_row(o, pt, *ls, recorded(pt, v));
	return why;
}

static otlp_why parts_bounded(struct otlp *o, const struct otlp_base *base, size_t rows)
{
	char limit[LIMITS_TEXT_MAX];
	if (rows > o->limits->write_hist_buckets)
		return arena_printf(&o->point, "it has %zu buckets or quantiles, %s", rows,
		    limits_text(o->limits, LIMITS_write_hist_buckets, limit));
	if (rows * (base->len + o->metric.prom.len) > OTLP_POINT_BYTES)
		return arena_printf(&o->point,
		    "%zu buckets or quantiles with labels of %zu bytes each take more than %u bytes",
		    rows, base->len, OTLP_POINT_BYTES);
	return NULL;
}

/* ---- summaries ---- */

struct quantile {
	double quantile, value;
};

static bool quantile_read(const struct pbscan_field *field, struct quantile *out)
{
	const uint8_t *p = field->data, *const end = p + field->len;
	*out = (struct quantile){ 0 };
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return false;
		if (f.number != 1 && f.number != 2)
			continue;
		if (f.wire != PBSCAN_FIXED64)
			return false;
		*(f.number == 1 ? &out->quantile : &out->value) = num_from_bits(wire_load64(f.data));
	}
	return true;
}

static otlp_why quantiles(
    struct otlp *o, const struct otlp_point *pt, const struct otlp_base *base, const uint8_t *p)
{
	while (p < pt->end) {
		struct pbscan_field f;
		struct quantile q;
		struct labels ls;
		char value[NUM_FMT_MAX];
		if (!pbscan_next(&p, pt->end, &f))
			return OTLP_MALFORMED;
		if (f.number != 6)
			continue;
		if (!quantile_read(&f, &q))
			return OTLP_MALFORMED;
		struct otlp_piece more =
		    otlp_label_bytes(&o->point, "quantile", value, num_fmt_f(q.quantile, value));
		otlp_why why = part(o, pt, base, OTLP_SUFFIX_NONE, &more, q.value, &ls);
		if (why)
			return why;
	}
	return NULL;
}

static otlp_why summary_point(struct otlp *o, const uint8_t *const start, const uint8_t *const end)
{
	struct otlp_point pt = { .end = end };
	struct otlp_base base;
	struct labels ls;
	double sum = 0;
	uint64_t count = 0;
	size_t quantiles_count = 0;
	for (const uint8_t *p = start; p < end;) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return OTLP_MALFORMED;
		if (f.number == 4 || f.number == 5) {
			if (f.wire != PBSCAN_FIXED64)
				return OTLP_MALFORMED;
			if (f.number == 4)
				count = wire_load64(f.data);
			else
				sum = num_from_bits(wire_load64(f.data));
		} else if (f.number == 6) {
			if (f.wire != PBSCAN_BYTES)
				return OTLP_MALFORMED;
			quantiles_count++;
		} else if (otlp_common(o, &summary_fields, &f, &pt) == OTLP_BROKEN) {
			return OTLP_MALFORMED;
		}
	}
	otlp_times(o, &pt);
	otlp_why why = o->metric.refused;
	why = why ? why : otlp_labels_base(o, "quantile", &base);
	why = why ? why : parts_bounded(o, &base, quantiles_count);
	why = why ? why : part(o, &pt, &base, OTLP_SUFFIX_SUM, NULL, sum, &ls);
	why = why ? why : part(o, &pt, &base, OTLP_SUFFIX_COUNT, NULL, (double)count, &ls);
	return why ? why : quantiles(o, &pt, &base, start);
}

/* ---- histograms ---- */

struct histogram {
	struct otlp_point pt;
	uint64_t count;
	double sum;
	bool has_sum;
	struct otlp_doubles counts, bounds;
	struct otlp_exemplars exemplars;
};

/* False: malformed. */
static bool histogram_read(struct otlp *o, const uint8_t *p, struct histogram *h)
{
	while (p < h->pt.end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, h->pt.end, &f))
			return false;
		if (f.number == 4 || f.number == 5) {
			if (f.wire != PBSCAN_FIXED64)
				return false;
			if (f.number == 4)
				h->count = wire_load64(f.data);
			else
				h->sum = num_from_bits(wire_load64(f.data));
			h->has_sum |= f.number == 5;
		} else if (f.number == 6 || f.number == 7) {
			if (!otlp_doubles_add(o, f.number == 6 ? &h->counts : &h->bounds, &f))
				return false;
		} else if (otlp_common(o, &histogram_fields, &f, &h->pt) == OTLP_BROKEN) {
			return false;
		}
	}
	return true;
}

/* The labels le of these bounds: as before, most often. */
static const struct otlp_piece *bound_labels(struct otlp *o, const struct otlp_doubles *of)
{
	struct otlp_bounds *b = &o->bounds;
	struct arena *a = &o->bounds_arena;
	if (LIKELY(b->labels && b->of.count == of->count &&
	        (!of->count || !memcmp(b->of.raw, of->raw, 8 * of->count))))
		return b->labels;
	arena_reset(a, SIZE_MAX);
	b->of = (struct otlp_doubles){ arena_dup(a, of->raw, 8 * of->count), of->count, 0 };
	b->labels = arena_array(a, of->count + 1, sizeof *b->labels);
	for (size_t i = 0; i < of->count; i++) {
		char value[NUM_FMT_MAX];
		size_t len = num_fmt_f(otlp_double(of, i), value);
		b->labels[i] = otlp_label_bytes(a, "le", value, len);
	}
	b->labels[of->count] = otlp_label_bytes(a, "le", "+Inf", 4);
	return b->labels;
}

/* Both go up: an exemplar is of the first bucket that it fits into. */
static otlp_why buckets(struct otlp *o, const struct histogram *h, const struct otlp_base *base)
{
	const struct otlp_piece *le = bound_labels(o, &h->bounds);
	size_t n = h->bounds.count < h->counts.count ? h->bounds.count : h->counts.count, at = 0;
	const struct otlp_exemplars *x = &h->exemplars;
	uint64_t sum = 0;
	struct labels ls;
	for (size_t i = 0; i < n; i++) {
		sum += wire_load64(h->counts.raw + 8 * i);
		otlp_why why = part(o, &h->pt, base, OTLP_SUFFIX_BUCKET, &le[i], (double)sum, &ls);
		if (why)
			return why;
		double bound = otlp_double(&h->bounds, i);
		for (; at < x->count && !(x->items[at].v > bound); at++)
			otlp_exemplar_add(o, &x->items[at], ls);
	}
	otlp_why why =
	    part(o, &h->pt, base, OTLP_SUFFIX_BUCKET, &le[h->bounds.count], (double)h->count, &ls);
	for (; !why && at < x->count; at++)
		otlp_exemplar_add(o, &x->items[at], ls);
	return why;
}

static otlp_why histogram_rows(struct otlp *o, const struct histogram *h)
{
	struct otlp_base base;
	struct labels ls;
	otlp_why why = otlp_labels_base(o, "le", &base);
	why = why ? why : parts_bounded(o, &base, h->bounds.count);
	if (!why && h->has_sum)
		why = part(o, &h->pt, &base, OTLP_SUFFIX_SUM, NULL, h->sum, &ls);
	why = why ? why : part(o, &h->pt, &base, OTLP_SUFFIX_COUNT, NULL, (double)h->count, &ls);
	return why ? why : buckets(o, h, &base);
}

static otlp_why histogram_custom(struct otlp *o, struct histogram *h)
{
	struct labels ls;
	char limit[LIMITS_TEXT_MAX];
	size_t cost = h->bounds.count + h->counts.count;
	if (cost > o->limits->write_hist_buckets)
		return arena_printf(&o->point, "it has %zu buckets and bounds, %s", cost,
		    limits_text(o->limits, LIMITS_write_hist_buckets, limit));
	otlp_why why = otlp_labels_named(o, &ls);
	if (why)
		return why;
	otlp_row_judged(o, &h->pt, ls,
	    h->pt.flags & NO_RECORDED_VALUE
	        ? otlp_hist_stale(o)
	        : otlp_custom(o, &h->counts, &h->bounds, h->count, h->sum));
	otlp_exemplars_add(o, &h->exemplars, ls);
	return NULL;
}

static otlp_why histogram_point(struct otlp *o, const uint8_t *p, const uint8_t *end)
{
	struct histogram h = { .pt = { .end = end } };
	if (!histogram_read(o, p, &h))
		return OTLP_MALFORMED;
	otlp_times(o, &h.pt);
	if (o->metric.refused)
		return o->metric.refused;
	if (!otlp_exemplars(o, &h.pt, histogram_fields.exemplars, &h.exemplars))
		return OTLP_MALFORMED;
	return o->o->custom_buckets ? histogram_custom(o, &h) : histogram_rows(o, &h);
}

/* ---- any point ---- */

struct mark { /* of the batch, before a point */
	size_t rows, exemplars;
	uint64_t extras_bytes;
};

static void back_to(struct batch *b, const struct mark *m)
{
	b->rows_count = m->rows;
	b->exemplars_count = m->exemplars;
	b->extras_bytes = m->extras_bytes;
}

static otlp_why any_point(struct otlp *o, const uint8_t *p, const uint8_t *end)
{
	switch (o->metric.kind) {
	case OTLP_NOTHING:
	case OTLP_GAUGE:
	case OTLP_SUM:
	case OTLP_COUNTER:
		break;
	case OTLP_HISTOGRAM:
		return histogram_point(o, p, end);
	case OTLP_EXPONENTIAL:
		return otlp_exponential(o, p, end);
	case OTLP_SUMMARY:
		return summary_point(o, p, end);
	}
	return number_point(o, p, end);
}

/* Behind the hook, which needed them: rows of numbers are plain ones again. */
static void starts_drop(struct otlp *o, size_t first)
{
	struct batch *b = o->d->batch;
	for (size_t i = first; i < b->rows_count; i++) {
		struct batch_row *r = &b->rows[i];
		if (!(r->flags & BATCH_EXTRA) || r->extra->hist || r->extra->bad)
			continue;
		double v = r->extra->v;
		b->extras_bytes -= batch_extra_bytes(r->extra);
		r->flags &= ~BATCH_EXTRA;
		r->v = v;
	}
}

static void refused(struct otlp *o, otlp_why why)
{
	const struct otlp_metric *m = &o->metric;
	if (o->d->bad)
		o->d->bad++; /* no words for the others */
	else if (why == m->refused)
		decode_bad(o->d, "%s", why);
	else
		decode_bad(o->d, "metric %s: %s", otlp_quoted(o, m->name.s, m->name.len), why);
}

enum err otlp_point(struct otlp *o, const uint8_t *p, const uint8_t *end)
{
	struct batch *b = o->d->batch;
	const struct mark before = { b->rows_count, b->exemplars_count, b->extras_bytes };
	otlp_attrs_clear(&o->attrs);
	arena_reset(&o->point, SIZE_MAX);
	o->d->records++;
	otlp_why why = any_point(o, p, end);
	if (UNLIKELY(o->metric.delta && !why)) {
		o->last.grows = o->metric.kind != OTLP_SUM;
		why = o->o->delta->rows(o->o->delta, o->d, before.rows, &o->last);
		if (!why && o->o->no_start_times)
			starts_drop(o, before.rows);
	}
	if (LIKELY(!why))
		return ERR_OK;
	back_to(b, &before);
	if (why == OTLP_MALFORMED)
		return otlp_malformed(o, p, "broken field of a data point, which begins");
	refused(o, why);
	return ERR_OK;
}
