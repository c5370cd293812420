#include "storage/chunk/histchunk.h"

#define HEAD_HISTS    1u
#define HEAD_STARTS   2u
#define HEAD_RELATIVE 4u
#define HEAD_KNOWN    7u

#define ROW_HINT  3u
#define ROW_FORM  12u
#define ROW_FLOAT 16u
#define ROW_KNOWN 31u

enum form {
	FORM_SAME = 0,
	FORM_COUNTS = 4,
	FORM_LAYOUT = 8,
	FORM_BARE = 12
};

/* ---- doubles: xor with the one before, without the zero bytes at both ends ---- */

static void xor_put(struct buf *out, uint64_t x)
{
	uint8_t bytes[9];
	unsigned skip, n = 8;
	if (!x) {
		buf_add_u8(out, 0);
		return;
	}
	skip = (unsigned)__builtin_clzll(x) / 8;
	n -= skip + (unsigned)__builtin_ctzll(x) / 8;
	bytes[0] = (uint8_t)(n | skip << 4);
	x = __builtin_bswap64(x << 8 * skip);
	memcpy(bytes + 1, &x, 8);
	buf_add(out, bytes, 1 + n);
}

static uint64_t xor_get(struct wire_reader *r)
{
	uint8_t head = wire_u8(r);
	unsigned n = head & 15, skip = head >> 4;
	uint64_t x = 0;
	if (n + skip > 8)
		r->bad = true;
	const uint8_t *p = r->bad ? NULL : wire_bytes(r, n);
	if (!p || !n)
		return 0;
	memcpy(&x, p, n);
	return __builtin_bswap64(x) >> 8 * skip;
}

/* ---- the state that both sides keep ---- */

/*
 * Counts of the histogram before in one array: count, zero_count, negative, positive; and their
 * last differences (integers).
 */
struct state {
	struct arena scratch;
	struct hist last; /* its layout, and its sum */
	union hist_count *was;
	uint64_t *step;
	uint32_t count; /* of both arrays, 0 = there was none */
};

static uint32_t counts_of(const struct hist *h)
{
	return 2 + h->negative.counts_count + h->positive.counts_count;
}

/* The buckets of a side, one by one: at is the number of the bucket, index where it lies. */
struct walk {
	const struct hist_side *side;
	uint32_t span, left, at, next_at;
	int64_t index, next_index;
};

static bool walk_next(struct walk *w)
{
	while (!w->left) {
		if (w->span == w->side->spans_count)
			return false;
		w->next_index += w->side->spans[w->span].offset;
		w->left = w->side->spans[w->span++].length;
	}
	w->left--;
	w->index = w->next_index++;
	w->at = w->next_at++;
	return true;
}

/* What a side has in buckets that the side before had goes on from there. */
static void side_carry(const struct state *s, const struct hist_side *from, uint32_t from_at,
    const struct hist_side *to, uint32_t to_at, union hist_count *was, uint64_t *step)
{
	struct walk a = { .side = from }, b = { .side = to };
	bool more = walk_next(&a) && walk_next(&b);
	while (more) {
		if (a.index == b.index) {
			was[to_at + b.at] = s->was[from_at + a.at];
			step[to_at + b.at] = s->step[from_at + a.at];
		}
		more = a.index < b.index ? walk_next(&a) : walk_next(&b);
	}
}

static bool goes_on(const struct hist *a, const struct hist *b)
{
	return a->is_float == b->is_float && a->schema == b->schema &&
	    a->bounds_count == b->bounds_count &&
	    (!a->bounds_count || !memcmp(a->bounds, b->bounds, a->bounds_count * sizeof *a->bounds));
}

/* h brings a new layout. */
static void state_layout(struct state *s, const struct hist *h)
{
	uint32_t count = counts_of(h);
	union hist_count *was = arena_zalloc(&s->scratch, count * sizeof *was);
	uint64_t *step = arena_zalloc(&s->scratch, count * sizeof *step);
	if (s->count && goes_on(&s->last, h)) {
		uint32_t from = 2 + s->last.negative.counts_count, to = 2 + h->negative.counts_count;
		memcpy(was, s->was, 2 * sizeof *was);
		memcpy(step, s->step, 2 * sizeof *step);
		side_carry(s, &s->last.negative, 2, &h->negative, 2, was, step);
		side_carry(s, &s->last.positive, from, &h->positive, to, was, step);
	}
	double sum = s->last.sum;
	s->last = *h;
	s->last.sum = sum;
	s->was = was;
	s->step = step;
	s->count = count;
}

static void state_init(struct state *s)
{
	*s = (struct state){ 0 };
	arena_init(&s->scratch, 4096);
}

/* ---- start times ---- */

static uint64_t start_of(const struct sample_column *c, uint32_t i, bool relative)
{
	uint64_t x = (uint64_t)c->start_ms[i];
	return relative && i ? x - (uint64_t)c->t_ms[i - 1] : x;
}

static void starts_put(const struct sample_column *c, bool relative, struct buf *out)
{
	uint64_t before = 0;
	for (uint32_t i = 0, j; i < c->count; i = j) {
		uint64_t x = start_of(c, i, relative);
		for (j = i + 1; j < c->count && start_of(c, j, relative) == x;)
			j++;
		wire_put_zigzag(out, (int64_t)(x - before));
		wire_put_varint(out, j - i);
		before = x;
	}
}

static enum err starts_get(
    struct wire_reader *r, bool relative, struct column *c, uint32_t first, uint32_t n)
{
	uint64_t x = 0;
	for (uint32_t i = 0; i < n;) {
		x += (uint64_t)wire_zigzag(r);
		uint64_t run = wire_varint(r);
		if (r->bad || !run || run > n - i)
			return ERR_MALFORMED;
		for (; run; run--, i++) {
			uint64_t base = relative && i ? (uint64_t)c->t_ms[first + i - 1] : 0;
			column_set(c, first + i, column_hist(c, first + i), (int64_t)(x + base));
		}
	}
	return ERR_OK;
}

static bool has_starts(const struct sample_column *c)
{
	for (uint32_t i = 0; c->start_ms && i < c->count; i++)
		if (c->start_ms[i])
			return true;
	return false;
}

/* Whichever way is shorter: starts that stay, or each sample's start is the time before it. */
static void starts_encode(const struct sample_column *c, struct buf *out, size_t head_at)
{
	size_t at = out->len;
	starts_put(c, false, out);
	size_t plain = out->len - at;
	starts_put(c, true, out);
	size_t relative = out->len - at - plain;
	if (relative < plain) {
		memmove(out->data + at, out->data + at + plain, relative);
		out->data[head_at] |= HEAD_RELATIVE;
		out->len = at + relative;
	} else {
		out->len = at + plain;
	}
}

/* ---- histograms, to bytes ---- */

static bool is_bare(const struct hist *h)
{
	return !h->schema && !num_bits(h->zero_threshold) && !h->count.n && !h->zero_count.n &&
	    !h->bounds_count && !h->negative.spans_count && !h->positive.spans_count;
}

static union hist_count count_at(const struct hist *h, uint32_t i)
{
	uint32_t negative = h->negative.counts_count;
	if (i < 2)
		return i ? h->zero_count : h->count;
	return i - 2 < negative ? h->negative.counts[i - 2] : h->positive.counts[i - 2 - negative];
}

static bool counts_same(const struct state *s, const struct hist *h)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (count_at(h, i).n != s->was[i].n)
			return false;
	return true;
}

static void counts_put(struct state *s, const struct hist *h, struct buf *out)
{
	size_t mask = out->len, bytes = (s->count + 7) / 8;
	CHECK(buf_reserve(out, bytes));
	memset(out->data + mask, 0, bytes);
	out->len += bytes;
	for (uint32_t i = 0; i < s->count; i++) {
		uint64_t now = count_at(h, i).n, was = s->was[i].n;
		uint64_t x = h->is_float ? now ^ was : now - was - s->step[i];
		s->step[i] = now - was;
		s->was[i].n = now;
		if (!x)
			continue;
		out->data[mask + i / 8] |= (uint8_t)(1u << i % 8);
		if (h->is_float)
			xor_put(out, x);
		else
			wire_put_zigzag(out, (int64_t)x);
	}
}

static void sum_put(struct state *s, const struct hist *h, struct buf *out)
{
	xor_put(out, num_bits(h->sum) ^ num_bits(s->last.sum));
	s->last.sum = h->sum;
}

static void hist_put(struct state *s, const struct hist *h, struct buf *out)
{
	enum form form = FORM_COUNTS;
	if (is_bare(h)) {
		buf_add_u8(out, (uint8_t)(h->hint | FORM_BARE | (h->is_float ? ROW_FLOAT : 0)));
		xor_put(out, num_bits(h->sum));
		return;
	}
	if (!s->count || !hist_same_layout(&s->last, h))
		form = FORM_LAYOUT;
	else if (num_bits(h->sum) == num_bits(s->last.sum) && counts_same(s, h))
		form = FORM_SAME;
	buf_add_u8(out, (uint8_t)(h->hint | form));
	if (form == FORM_SAME) {
		memset(s->step, 0, s->count * sizeof *s->step);
		return;
	}
	if (form == FORM_LAYOUT) {
		hist_layout_encode(h, out);
		state_layout(s, h);
	}
	sum_put(s, h, out);
	counts_put(s, h, out);
}

void histchunk_encode(const struct sample_column *c, struct buf *out)
{
	/* What stands for a histogram that is not there: no column of ours has one. */
	static const struct hist none = { 0 };
	struct state s;
	size_t head_at = out->len;
	buf_add_u8(out, c->h ? HEAD_HISTS : 0);
	if (has_starts(c)) {
		out->data[head_at] |= HEAD_STARTS;
		starts_encode(c, out, head_at);
	}
	if (!c->h)
		return;
	state_init(&s);
	for (uint32_t i = 0; i < c->count; i++)
		if (sample_is_hist(c->v[i]))
			hist_put(&s, c->h[i] ? c->h[i] : &none, out);
	arena_release(&s.scratch);
	CHECK(!out->over);
}

/* ---- and back ---- */

static enum err counts_get(struct state *s, struct wire_reader *r, union hist_count *counts)
{
	const uint8_t *mask = wire_bytes(r, (s->count + 7) / 8);
	if (!mask)
		return ERR_TRUNCATED;
	for (uint32_t i = 0; i < s->count; i++) {
		bool other = mask[i / 8] >> i % 8 & 1;
		uint64_t was = s->was[i].n, now;
		if (s->last.is_float)
			now = other ? was ^ xor_get(r) : was;
		else
			now = was + s->step[i] + (other ? (uint64_t)wire_zigzag(r) : 0);
		s->step[i] = now - was;
		counts[i].n = now;
	}
	memcpy(s->was, counts, s->count * sizeof *counts);
	return r->bad ? ERR_MALFORMED : ERR_OK;
}

/* last gets the counts of the array. */
static void counts_point(struct hist *h, const union hist_count *counts)
{
	h->count = counts[0];
	h->zero_count = counts[1];
	h->negative.counts = counts + 2;
	h->positive.counts = counts + 2 + h->negative.counts_count;
}

static enum err body_get(struct state *s, struct wire_reader *r, enum form form, struct arena *a)
{
	if (form == FORM_LAYOUT) {
		struct hist h;
		enum err e = hist_layout_decode(r, a, &h);
		if (e)
			return e;
		state_layout(s, &h);
	} else if (!s->count) {
		return ERR_MALFORMED;
	}
	if (form == FORM_SAME) {
		memset(s->step, 0, s->count * sizeof *s->step);
		return ERR_OK;
	}
	union hist_count *counts = arena_array(a, s->count, sizeof *counts);
	if (!counts)
		return ERR_NOMEM;
	s->last.sum = num_from_bits(num_bits(s->last.sum) ^ xor_get(r));
	enum err e = counts_get(s, r, counts);
	counts_point(&s->last, counts);
	return e;
}

static enum err hist_get(
    struct state *s, struct wire_reader *r, struct arena *a, const struct hist **out)
{
	uint8_t head = wire_u8(r);
	enum form form = head & ROW_FORM;
	if (r->bad || head & ~ROW_KNOWN || (head & ROW_FLOAT && form != FORM_BARE))
		return ERR_MALFORMED;
	struct hist *h = arena_alloc(a, sizeof *h);
	if (!h)
		return ERR_NOMEM;
	if (form == FORM_BARE) {
		*h = (struct hist){ .is_float = (head & ROW_FLOAT) != 0,
			.sum = num_from_bits(xor_get(r)) };
	} else {
		enum err e = body_get(s, r, form, a);
		if (e)
			return e;
		*h = s->last;
	}
	h->hint = head & ROW_HINT;
	*out = h;
	return r->bad ? ERR_MALFORMED : ERR_OK;
}

static enum err hists_get(struct wire_reader *r, struct column *c, uint32_t first, uint32_t n)
{
	struct state s;
	enum err e = ERR_OK;
	state_init(&s);
	for (uint32_t i = first; i < first + n && !e; i++) {
		const struct hist *h = NULL;
		if (!sample_is_hist(c->v[i]))
			continue;
		e = hist_get(&s, r, column_memory(c), &h);
		if (!e)
			column_set(c, i, h, column_start_ms(c, i));
	}
	arena_release(&s.scratch);
	return e;
}

enum err histchunk_decode(
    const uint8_t *p, size_t len, struct column *c, uint32_t first, uint32_t n, size_t *used)
{
	struct wire_reader r = wire_reader(p, len);
	uint8_t head = wire_u8(&r);
	enum err e = ERR_OK;
	CHECK(first <= c->count && n <= c->count - first);
	if (r.bad)
		return ERR_TRUNCATED;
	if (head & ~HEAD_KNOWN || (head & HEAD_RELATIVE && !(head & HEAD_STARTS)))
		return ERR_MALFORMED;
	if (head & HEAD_STARTS)
		e = starts_get(&r, (head & HEAD_RELATIVE) != 0, c, first, n);
	if (!e && head & HEAD_HISTS)
		e = hists_get(&r, c, first, n);
	if (!e && used)
		*used = (size_t)(r.p - p);
	return e;
}
