#include "proto/otlp_delta.h"

#include <math.h>

#include "core/base/hash.h"
#include "core/base/num.h"

#define WIDEST (1u << 20) /* buckets of a side; all doubles have less of them at schema 8 */
#define GAP    2u         /* so many empty buckets do not end a span */
#define FAR_MS INT64_C(3600000)

STATIC(offsetof(struct otlp_cumulate, hook) == 0);

struct point {
	struct decode *d;
	struct deltacum_ask ask;
	struct deltacum_when when;
	struct batch_row *rows;
	size_t first, count;
	bool grows;
};

/* The row's own extra, to be changed: whoever made the row made one for it alone. */
static struct batch_extra *extra_of(struct batch_row *r)
{
	union {
		const struct batch_extra *given;
		struct batch_extra *own;
	} x = { .given = r->extra };
	return x.own;
}

static const char *no_memory(void)
{
	return deltacum_text(DELTACUM_MEMORY);
}

/* ---- rows of floats ---- */

static bool name_ends(const struct batch_row *r, const char *suffix)
{
	const struct labels ls = { .bytes = r->labels, .len = r->labels_len };
	uint32_t len = 0;
	const char *name = label_get(ls, "__name__", 8, &len);
	size_t n = strlen(suffix);
	return name && len >= n && !memcmp(name + len - n, suffix, n);
}

/* What the values are: the labels of their rows. */
static uint64_t layout_of(const struct batch_row *rows, size_t count)
{
	uint64_t h = count;
	for (size_t i = 0; i < count; i++)
		h = hash64(rows[i].labels, rows[i].labels_len, h);
	return h;
}

/* The first row goes. */
static void drop_first(struct point *p)
{
	struct batch *b = p->d->batch;
	b->extras_bytes -= batch_extra_bytes(p->rows[0].extra);
	memmove(p->rows, p->rows + 1, (p->count - 1) * sizeof(*p->rows));
	b->rows_count--;
	p->count--;
}

static const char *add_up(struct point *p, uint64_t layout, double *v, size_t count)
{
	enum deltacum_told told =
	    deltacum_values(&p->ask, &p->when, layout, p->grows, v, (uint32_t)count);
	return deltacum_refused(told) ? deltacum_text(told) : NULL;
}

/*
 * Rows of a histogram: its sum, which may be missing, its count, its buckets. A sum that once was
 * missing is NaN, and not told until the stream begins anew.
 */
static const char *classic(struct point *p)
{
	bool has_sum = name_ends(&p->rows[0], "_sum");
	size_t rest = p->count - has_sum;
	struct batch_row *rows = p->rows + has_sum;
	double *v = arena_array(p->d->arena, rest + 1, sizeof(*v));
	if (!v)
		return no_memory();
	v[0] = has_sum ? p->rows[0].extra->v : NAN;
	for (size_t i = 0; i < rest; i++)
		v[i + 1] = rows[i].extra->v;
	if (sample_is_stale(v[1]))
		return NULL;
	const char *why = add_up(p, layout_of(rows, rest), v, rest + 1);
	if (why)
		return why;
	for (size_t i = 0; i < rest; i++)
		extra_of(&rows[i])->v = v[i + 1];
	if (has_sum && isnan(v[0]))
		drop_first(p);
	else if (has_sum)
		extra_of(&p->rows[0])->v = v[0];
	return NULL;
}

static const char *number(struct point *p)
{
	struct batch_extra *x = extra_of(&p->rows[0]);
	double v = x->v;
	if (sample_is_stale(v))
		return NULL;
	const char *why = add_up(p, 0, &v, 1);
	if (!why)
		x->v = v;
	return why;
}

/* ---- native histograms ---- */

/* Counts of a side without gaps, the first one at *from. False: none can be that wide. */
static bool dense(
    struct arena *a, const struct hist_side *s, int64_t *from, uint32_t *count, uint64_t **out)
{
	int64_t index = 0, width = 0;
	for (uint32_t i = 0; i < s->spans_count; i++)
		width += (i ? (int64_t)s->spans[i].offset : 0) + s->spans[i].length;
	*from = s->spans_count ? s->spans[0].offset : 0;
	*count = 0;
	*out = NULL;
	if (width < 0 || width > WIDEST)
		return false;
	if (!width)
		return true;
	uint64_t *c = arena_array(a, (size_t)width, sizeof(*c));
	if (!c)
		return false;
	memset(c, 0, (size_t)width * sizeof(*c));
	for (uint32_t i = 0, n = 0; i < s->spans_count; i++) {
		index += i ? s->spans[i].offset : 0;
		for (uint32_t k = 0; k < s->spans[i].length; k++)
			c[index++] = s->counts[n++].n;
	}
	*count = (uint32_t)width;
	*out = c;
	return true;
}

static bool side_from(struct arena *a, const struct hist_side *s, struct deltacum_side *out)
{
	int64_t from;
	uint64_t *counts;
	uint32_t count;
	if (!dense(a, s, &from, &count, &counts))
		return false;
	*out =
	    (struct deltacum_side){ .offset = (int32_t)(from - 1), .count = count, .counts = counts };
	return true;
}

static uint32_t empty_from(const struct deltacum_side *s, uint32_t i)
{
	uint32_t n = 0;
	while (i + n < s->count && !s->counts[i + n])
		n++;
	return n;
}

/* Spans of what is not 0; more than GAP empty buckets stand between two of them. */
static bool side_to(struct arena *a, const struct deltacum_side *s, struct hist_side *out)
{
	struct hist_span *spans = arena_array(a, s->count / GAP + 1, sizeof(*spans));
	union hist_count *counts = arena_array(a, s->count, sizeof(*counts));
	if (!spans || !counts)
		return false;
	uint32_t n = 0, k = 0;
	for (uint32_t i = 0; i < s->count;) {
		uint32_t empty = empty_from(s, i);
		if (i + empty == s->count)
			break;
		if (!k || empty > GAP) {
			int32_t offset = k ? (int32_t)empty : s->offset + 1 + (int32_t)empty;
			spans[k++] = (struct hist_span){ .offset = offset };
			i += empty;
		}
		do {
			counts[n++].n = s->counts[i++];
			spans[k - 1].length++;
		} while (i < s->count && !s->counts[i - 1]);
	}
	*out = (struct hist_side){
		.spans = spans, .counts = counts, .spans_count = k, .counts_count = n
	};
	return true;
}

static const char *exponential(struct point *p, struct hist *h)
{
	struct arena *a = p->d->arena;
	struct deltacum_exp e = { .count = h->count.n,
		.zero_count = h->zero_count.n,
		.sum = h->sum,
		.zero_threshold = h->zero_threshold,
		.has_sum = true,
		.scale = h->schema };
	if (!side_from(a, &h->positive, &e.positive) || !side_from(a, &h->negative, &e.negative))
		return deltacum_text(DELTACUM_BAD);
	enum deltacum_told told = deltacum_exp(&p->ask, &p->when, &e);
	if (deltacum_refused(told))
		return deltacum_text(told);
	h->count.n = e.count;
	h->zero_count.n = e.zero_count;
	h->sum = e.sum;
	h->zero_threshold = e.zero_threshold;
	h->schema = (int8_t)e.scale;
	if (!side_to(a, &e.positive, &h->positive) || !side_to(a, &e.negative, &h->negative))
		return no_memory();
	return NULL;
}

/* Custom buckets: a value for each bucket, the count and the sum. */
static const char *custom(struct point *p, struct hist *h)
{
	struct arena *a = p->d->arena;
	int64_t from;
	uint64_t *counts;
	uint32_t count, all = h->bounds_count + 1;
	double *v = arena_array(a, (size_t)all + 2, sizeof(*v));
	uint64_t *sums = arena_array(a, all, sizeof(*sums));
	if (!v || !sums || !dense(a, &h->positive, &from, &count, &counts))
		return no_memory();
	memset(v, 0, all * sizeof(*v));
	for (uint32_t i = 0; i < count && from + i < all; i++)
		v[from + i] = (double)counts[i];
	v[all] = (double)h->count.n;
	v[all + 1] = h->sum;
	const char *why = add_up(p,
	    h->bounds_count ? hash64(h->bounds, h->bounds_count * sizeof(double), 0) : 0, v, all + 2);
	if (why)
		return why;
	if (v[all] >= 0x1p63) /* no bucket has more than all */
		return deltacum_text(DELTACUM_BAD);
	for (uint32_t i = 0; i < all; i++)
		sums[i] = (uint64_t)v[i];
	h->count.n = (uint64_t)v[all];
	h->sum = v[all + 1];
	const struct deltacum_side side = { .offset = -1, .count = all, .counts = sums };
	return side_to(a, &side, &h->positive) ? NULL : no_memory();
}

static const char *histogram(struct point *p)
{
	struct batch_extra *x = extra_of(&p->rows[0]);
	if (hist_is_stale(x->hist))
		return NULL;
	struct hist *h = arena_dup(p->d->arena, x->hist, sizeof(*h));
	if (!h)
		return no_memory();
	h->hint = HIST_UNKNOWN;
	const char *why = h->schema == HIST_SCHEMA_CUSTOM ? custom(p, h) : exponential(p, h);
	if (!why && hist_check(h, NULL)) /* sums of more than a histogram can hold */
		why = deltacum_text(DELTACUM_BAD);
	if (!why) {
		p->d->batch->extras_bytes -= batch_extra_bytes(x);
		x->hist = h;
		p->d->batch->extras_bytes += batch_extra_bytes(x);
	}
	return why;
}

/* ---- the start ---- */

static int64_t ms_of(uint64_t ns)
{
	return (int64_t)(ns / 1000000);
}

static const struct hist *empty_like(struct arena *a, const struct hist *h)
{
	struct hist *z = arena_zalloc(a, sizeof(*z));
	if (z) {
		z->schema = h->schema;
		z->zero_threshold = h->zero_threshold;
		z->bounds = h->bounds;
		z->bounds_count = h->bounds_count;
	}
	return z;
}

/* Would a row there be too old? The newest sample there is, is about from now, or this one. */
static bool is_far(const struct point *p, int64_t zero_ms, uint64_t window_ms)
{
	int64_t t_ms = ms_of(p->when.t_ns);
	int64_t newest_ms = t_ms > p->d->now_ms ? t_ms : p->d->now_ms;
	return t_ms - zero_ms > FAR_MS || (uint64_t)(newest_ms - zero_ms) > window_ms;
}

/* A row of 0 for each of the point's, before it. Without memory there are none. */
static void put_zeros(struct point *p, uint64_t window_ms)
{
	struct batch *b = p->d->batch;
	int64_t start_ms = ms_of(p->when.start_ns);
	struct batch_extra *x = arena_array(p->d->arena, p->count, sizeof(*x));
	int64_t t_ms = ms_of(p->when.t_ns);
	if (!x || start_ms + 1 >= t_ms || is_far(p, start_ms + 1, window_ms))
		return;
	for (size_t i = 0; i < p->count; i++) {
		const struct hist *h = b->rows[p->first + i].extra->hist;
		x[i] = (struct batch_extra){ .hist = h ? empty_like(p->d->arena, h) : NULL,
			.start_ms = start_ms };
		if (h && !x[i].hist)
			return;
	}
	for (size_t i = 0; i < p->count; i++) {
		struct batch_row *r = batch_add(b);
		*r = b->rows[p->first + i];
		r = &b->rows[p->first + i];
		r->t_ms = start_ms + 1;
		batch_row_extra(b, r, &x[i]);
	}
}

static const char *cumulate(const struct otlp_delta *hook, struct decode *d, size_t first,
    const struct otlp_delta_point *of)
{
	const struct otlp_cumulate *c = (const struct otlp_cumulate *)hook;
	struct point p = { .d = d,
		.ask = c->ask,
		.rows = d->batch->rows + first,
		.first = first,
		.count = d->batch->rows_count - first,
		.grows = of->grows };
	if (!p.count || p.rows[0].extra->bad) /* the store says why */
		return NULL;
	const struct batch_row *last = &p.rows[p.count - 1];
	p.ask.arena = d->arena;
	p.when = (struct deltacum_when){ .key = last->labels,
		.key_len = last->labels_len,
		.start_ns = of->start_ns,
		.t_ns = of->time_ns };
	const char *why = p.rows[0].extra->hist ? histogram(&p)
	    : p.count > 1                       ? classic(&p)
	                                        : number(&p);
	if (why)
		return why;
	for (size_t i = 0; i < p.count; i++)
		extra_of(&p.rows[i])->start_ms = ms_of(p.when.start_ns);
	if (c->zeros && p.when.begins && p.when.start_ns)
		put_zeros(&p, c->window_ms);
	return NULL;
}

void otlp_cumulate_init(struct otlp_cumulate *c)
{
	*c = (struct otlp_cumulate){ .hook.rows = cumulate };
}

/* ---- as they are ---- */

static const char *leave(const struct otlp_delta *hook, struct decode *d, size_t first,
    const struct otlp_delta_point *of)
{
	(void)hook;
	(void)of;
	for (size_t i = first; i < d->batch->rows_count; i++) {
		struct batch_extra *x = extra_of(&d->batch->rows[i]);
		struct hist *h = x->hist ? arena_dup(d->arena, x->hist, sizeof(*h)) : NULL;
		if (x->hist && !h)
			return no_memory();
		if (h)
			h->hint = HIST_GAUGE;
		x->hist = h;
	}
	return NULL;
}

const struct otlp_delta otlp_delta_raw = { .rows = leave, .raw = true };
