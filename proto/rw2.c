#include "proto/rw2.h"

#include "proto/rw2_priv.h"

/*
 *   Request            4 string symbols*  5 TimeSeries*
 *   TimeSeries         1 uint32 labels_refs*  2 Sample*  3 Histogram*  4 Exemplar*  5 Metadata
 *                      6 int64 created_timestamp (of early senders)
 *   Sample             1 double value  2 int64 timestamp  3 int64 start_timestamp
 *   Exemplar           1 uint32 labels_refs*  2 double value  3 int64 timestamp
 *   Metadata           1 enum type  3 uint32 help_ref  4 uint32 unit_ref
 *
 * Two ways through a series, as in rw1.c: fast_run() knows the bytes that senders' encoders really
 * make, rw2_take_series() the whole encoding.
 *
 * Labels. A label is put together once for its pair of strings and stays where it is among the
 * label bytes; its value's symbol knows where (rw2_symbol.pair). The next series with the same pair
 * copies it from there.
 */
#define FAST_MARGIN 16 /* bytes behind a series that the fast way may read */
#define ITEM_SHARE  4  /* exemplars and histograms that come as usual count as a fourth */
#define BODY_TIMES  6  /* labels take so many bytes for one of the body */
/* How a series begins whose lengths are bytes, and a sample with a value and one of 0. */
#define SERIES_HEAD   (TAG(5, PBSCAN_BYTES) | TAG(1, PBSCAN_BYTES) << 16)
#define SAMPLE_HEAD   (TAG(2, PBSCAN_BYTES) | 16 << 8 | TAG(1, PBSCAN_FIXED64) << 16)
#define SAMPLE_HEAD_0 (TAG(2, PBSCAN_BYTES) | 7 << 8)
#define NO_TIME       1 /* in rw2_time.bytes */

/* --- strings --- */

static enum err symbols_grow(struct rw2_scan *s)
{
	struct rw2_memory *m = s->memory;
	uint32_t cap = m->cap ? m->cap * 2 : 512;
	struct rw2_symbol *more = mem_try_realloc(m->symbols, cap * sizeof *more);
	if (!more)
		return rw2_no_memory(s);
	m->symbols = s->symbols = more;
	m->cap = cap;
	return ERR_OK;
}

static inline enum err symbol_add(struct rw2_scan *s, const uint8_t *text, size_t len)
{
	if (UNLIKELY(s->symbols_count == s->memory->cap)) {
		enum err e = symbols_grow(s);
		if (e)
			return e;
	}
	s->made += RW2_SYMBOL_BYTES;
	if (UNLIKELY(s->made > s->made_max))
		return rw2_made_too_much(s);
	s->symbols[s->symbols_count++] = (struct rw2_symbol){
		.at = (uint32_t)(text - s->body), .len = (uint32_t)len, .pair_name = NO_NAME
	};
	return ERR_OK;
}

/* Strings as encoders write them, as long as they come. */
static enum err fast_symbols(struct rw2_scan *s, const uint8_t **at)
{
	const uint8_t *p = *at;
	enum err e = ERR_OK;
	while (s->end - p > FAST_MARGIN && *p == TAG(4, PBSCAN_BYTES) && !e) {
		size_t len, head = pbscan_short_len(p + 1, &len);
		if (!head || (size_t)(s->end - p) < 1 + head + len)
			break;
		e = symbol_add(s, p + 1 + head, len);
		p += 1 + head + len;
	}
	*at = p;
	return e;
}

/* All strings of a body that has some behind its series. */
static enum err all_symbols(struct rw2_scan *s)
{
	struct pbscan_field f = { 0 };
	s->symbols_count = 0;
	for (const uint8_t *p = s->body; p < s->end;) {
		if (!pbscan_next(&p, s->end, &f))
			return rw2_malformed(s, f.start, "broken field of the request");
		if (f.number != 4)
			continue;
		if (f.wire != PBSCAN_BYTES)
			return rw2_malformed(s, f.start, "wrong wire type in the request");
		enum err e = symbol_add(s, f.data, f.len);
		if (e)
			return e;
	}
	s->symbols_whole = true;
	return ERR_OK;
}

typedef uint8_t wide __attribute__((vector_size(WIDE)));

/* Copies what there is, of at most LABEL_FAST bytes. to is behind that, perhaps at once. */
static RW2_INLINE void copy_label(uint8_t *to, const uint8_t *from)
{
	wide a, b;
	memcpy(&a, from, WIDE);
	memcpy(&b, from + WIDE, WIDE);
	memcpy(to, &a, WIDE);
	memcpy(to + WIDE, &b, WIDE);
}

/*
 * The labels of a series from its references: they stand before s->out then. false: something is
 * unusual, or there is too much of it.
 * Each label takes two bytes of references or more: when there is room for as many of LABEL_FAST
 * bytes, only longer ones are measured.
 */
static RW2_INLINE bool fast_labels(struct rw2_scan *s, const uint8_t *p, const uint8_t *const end)
{
	const struct rw2_symbol *const symbols = s->symbols;
	const uint32_t count = s->symbols_count;
	const size_t room = (size_t)(end - p) * (LABEL_FAST / 2);
	uint8_t *out = s->out;
	if (UNLIKELY((size_t)(s->out_end - out) < room))
		return false;
	do {
		struct rw2_pair l;
		uint64_t w = wire_load64(p);
		if (LIKELY(!(w & 0x8080))) { /* one byte each */
			l = (struct rw2_pair){ (uint8_t)w, (uint8_t)(w >> 8) };
			p += 2;
		} else if (LIKELY(!(w & 0x800080))) { /* a value of two */
			l = (struct rw2_pair){ (uint8_t)w,
				(w >> 8 & 0x7f) | (uint32_t)(w >> 9 & 0x3f80) };
			p += 3;
		} else {
			l = rw2_pair_next(&p);
		}
		if (UNLIKELY(l.value >= count))
			return false;
		const struct rw2_symbol *v = &symbols[l.value];
		size_t len = v->pair_len;
		if (LIKELY(v->pair_name == l.name)) {
			copy_label(out, v->pair);
			out += len;
			if (LIKELY(len <= LABEL_FAST))
				continue;
			out -= len;
		}
		s->out = out;
		if (l.name >= count || rw2_label_put(s, l.name, l.value))
			return false;
		out = s->out;
		if ((size_t)(s->out_end - out) < room)
			return false;
	} while (p < end);
	s->out = out;
	return p == end;
}

/* --- the fast way --- */

static bool fast_sample(const uint8_t *p, const uint8_t *end, struct batch_row *row, int64_t *start_ms)
{
	uint64_t t = 0, bits = 0, start = 0;
	if (LIKELY(end - p > 9 && p[0] == TAG(1, PBSCAN_FIXED64))) {
		bits = wire_load64(p + 1);
		p += 9;
	}
	if (LIKELY(p[0] == TAG(2, PBSCAN_VARINT) && p < end)) {
		size_t t_len = pbscan_short_varint(p + 1, &t);
		if (!t_len)
			return false;
		p += 1 + t_len;
	}
	if (UNLIKELY(p < end && p[0] == TAG(3, PBSCAN_VARINT))) {
		size_t start_len = pbscan_short_varint(p + 1, &start);
		if (!start_len)
			return false;
		p += 1 + start_len;
	}
	row->t_ms = (int64_t)t;
	row->v = num_from_bits(bits);
	*start_ms = (int64_t)start;
	return p == end;
}

/* What encoders write of metadata: type, help, unit. false: it is something else. */
static bool fast_said(const uint8_t *p, const uint8_t *end, struct rw2_said *said)
{
	uint64_t w = wire_load64(p);
	if (p < end && p[0] == TAG(1, PBSCAN_VARINT) && p[1] < 0x80) {
		said->type = p[1];
		p += 2;
		w >>= 16;
	}
	if (p < end && p[0] == TAG(3, PBSCAN_VARINT)) {
		p++;
		w >>= 8;
		said->help = rw2_ref_take(&w, &p);
	}
	if (p < end && p[0] == TAG(4, PBSCAN_VARINT)) {
		p++;
		w = wire_load64(p);
		said->unit = rw2_ref_take(&w, &p);
	}
	return p == end;
}

/* Metadata that is not that which its metric had before. false: unusual. */
static bool fast_meta_new(struct rw2_scan *s, const uint8_t *refs, const uint8_t *refs_end,
    const uint8_t *p, const uint8_t *end, uint64_t bytes)
{
	struct rw2_said said = { 0 };
	struct rw2_symbol *y;
	size_t len = (size_t)(end - p);
	uint32_t metric = rw2_metric_of(s, refs, refs_end);
	if (metric == NONE)
		return false;
	y = &s->symbols[metric];
	if (len <= RW2_META_FAST && y->meta_len == len && y->meta == bytes)
		return true;
	if (!fast_said(p, end, &said) && rw2_said_read(s, p, end, &said))
		return false;
	if (!rw2_said_is_good(s, &said) || !rw2_slow_take(s, SLOW_FIELD))
		return false;
	if (!rw2_says_nothing(s, &said) && rw2_meta_put(s, &said, metric))
		return false;
	y->meta_len = len <= RW2_META_FAST ? (uint8_t)len : 0;
	y->meta = bytes;
	return true;
}

/* p..end: the metadata's fields, some bytes behind them are readable. */
static RW2_INLINE bool fast_meta(struct rw2_scan *s, const uint8_t *refs, const uint8_t *refs_end,
    const uint8_t *p, const uint8_t *end)
{
	size_t len = (size_t)(end - p);
	uint64_t bytes = 0;
	if (!len)
		return true;
	if (LIKELY(len <= RW2_META_FAST)) {
		bytes = rw2_meta_key(p, len);
		const uint8_t *q = refs;
		struct rw2_pair first = rw2_pair_next(&q);
		const struct rw2_symbol *y = &s->symbols[first.value];
		if (LIKELY(first.name == s->name_ref && y->meta == bytes && y->meta_len == len))
			return true;
	}
	return fast_meta_new(s, refs, refs_end, p, end, bytes);
}

/* What a series of the fast way adds beside rows, to take it back. */
struct mark {
	size_t exemplars;
	uint64_t extras_bytes, left_exemplars, samples;
	const char *left_why;
	bool bad_told;
};

static struct mark mark_of(const struct rw2_scan *s)
{
	const struct batch *b = s->batch;
	return (struct mark){ b->exemplars_count, b->extras_bytes, b->left_exemplars, s->samples,
		b->left_why, s->bad_told };
}

static void mark_back(struct rw2_scan *s, const struct mark *m)
{
	struct batch *b = s->batch;
	b->exemplars_count = m->exemplars;
	b->extras_bytes = m->extras_bytes;
	b->left_exemplars = m->left_exemplars;
	b->left_why = m->left_why;
	s->samples = m->samples;
	s->bad_told = m->bad_told;
}

/* A field of a series: a sample, histogram or exemplar. */
static bool fast_item(struct rw2_scan *s, uint8_t tag, const uint8_t *p, const uint8_t *end,
    const struct rw2_series *in, struct batch_row *row)
{
	int64_t start_ms;
	if (tag == TAG(2, PBSCAN_BYTES)) {
		rw2_row_is(row, in);
		if (!fast_sample(p, end, row, &start_ms))
			return false;
		return !start_ms || !rw2_row_start(s, row, start_ms);
	}
	if (!rw2_slow_take(s, ((size_t)(end - p) + SLOW_FIELD) / ITEM_SHARE))
		return false;
	if (tag == TAG(3, PBSCAN_BYTES))
		return !rw2_histogram(s, p, end, in, row);
	if (++s->samples > s->limits->write_samples)
		return false;
	return !rw2_exemplar(s, p, end, in);
}

/*
 * A series with more in it than samples, from the field at p on: what stands before it is done, up
 * to *row. NULL: unusual.
 */
static const uint8_t *fast_mixed(struct rw2_scan *s, const uint8_t *p, const uint8_t *end,
    const struct rw2_series *in, struct batch_row **row, const struct batch_row *rows_end,
    bool some, const uint8_t *refs, const uint8_t *refs_end)
{
	const struct mark before = mark_of(s);
	bool good = true;
	while (p < end && good) {
		uint8_t tag = *p;
		size_t len = 0, head = pbscan_short_len(p + 1, &len);
		p += 1 + head;
		if (!head || p > end || len > (size_t)(end - p))
			good = false;
		else if (tag == TAG(5, PBSCAN_BYTES))
			good = some && p + len == end && fast_meta(s, refs, refs_end, p, end);
		else if (tag == TAG(4, PBSCAN_BYTES))
			good = some = fast_item(s, tag, p, p + len, in, NULL);
		else if (tag == TAG(2, PBSCAN_BYTES) || tag == TAG(3, PBSCAN_BYTES))
			good = some = *row < rows_end && fast_item(s, tag, p, p + len, in, (*row)++);
		else
			good = false;
		p += len;
	}
	if (good && some)
		return end;
	mark_back(s, &before);
	return NULL;
}

/* Its labels are put together: whoever takes the series need not do it again. */
static bool labels_ready(struct rw2_scan *s, const uint8_t *refs, const uint8_t *refs_end)
{
	if (s->ready == refs)
		return true;
	s->start = s->out;
	if (!fast_labels(s, refs, refs_end) ||
	    !rw2_labels_done(s, &s->ready_labels.labels, &s->ready_labels.labels_len))
		return false;
	s->ready = refs;
	return true;
}

/*
 * The series whose tag is at p, FAST_MARGIN bytes or more before the end of the body, of any fields
 * in the encoding that senders use: its rows from *row on.
 * Gives its end and moves *row; or NULL, when a byte is unusual or the rows are full, and then
 * nothing counts of what was written.
 */
static __attribute__((noinline)) const uint8_t *fast_series(
    struct rw2_scan *s, const uint8_t *p, struct batch_row **row, const struct batch_row *rows_end)
{
	size_t len, refs_len, head = pbscan_short_len(p + 1, &len);
	p += 1 + head;
	if (!head || (size_t)(s->end - p) < len + FAST_MARGIN)
		return NULL;
	const uint8_t *const end = p + len;
	head = pbscan_short_len(p + 1, &refs_len);
	const uint8_t *const refs = p + 1 + head;
	if (p[0] != TAG(1, PBSCAN_BYTES) || !head || !refs_len || refs > end ||
	    refs_len > (size_t)(end - refs))
		return NULL;
	const uint8_t *const refs_end = refs + refs_len;
	if (!labels_ready(s, refs, refs_end))
		return NULL;
	const struct rw2_series in = s->ready_labels;
	struct batch_row *r = *row;
	for (p = refs_end; p < end; r++) {
		size_t item_len = p[1];
		int64_t start_ms;
		if (p[0] != TAG(2, PBSCAN_BYTES) || r == rows_end)
			break;
		if (item_len >= 0x80 || item_len + 2 > (size_t)(end - p))
			return NULL;
		rw2_row_is(r, &in);
		if (!fast_sample(p + 2, p + 2 + item_len, r, &start_ms) || start_ms)
			break;
		p += 2 + item_len;
	}
	if (p < end || r == *row)
		p = fast_mixed(s, p, end, &in, &r, rows_end, r > *row, refs, refs_end);
	if (p)
		*row = r;
	return p;
}

/*
 * The one sample of a series at p, and what stands behind it; NULL: not as nearly all are. A value
 * is there or 0, a time has TIME_BYTES bytes.
 */
static RW2_INLINE const uint8_t *usual_sample(
    struct rw2_scan *s, const uint8_t *p, struct batch_row *row)
{
	uint64_t head = wire_load64(p);
	if (LIKELY((head & 0xffffff) == SAMPLE_HEAD)) {
		row->bits = wire_load64(p + 3);
		p += 11;
	} else if ((head & 0xffff) == SAMPLE_HEAD_0) {
		row->bits = 0;
		p += 2;
	} else {
		return NULL;
	}
	uint64_t bytes = wire_load64(p) << 8; /* with the tag */
	if (UNLIKELY(bytes != s->time.bytes)) {
		if (p[0] != TAG(2, PBSCAN_VARINT) ||
		    pbscan_short_varint(p + 1, &s->time.t) != TIME_BYTES) {
			s->time.bytes = NO_TIME;
			return NULL;
		}
		s->time.bytes = bytes;
	}
	row->t_ms = (int64_t)s->time.t;
	return p + 1 + TIME_BYTES;
}

/*
 * A series as nearly all are: at most 127 bytes, one sample, perhaps metadata. Gives its end, and
 * *row is filled; NULL: something is different. last: FAST_MARGIN bytes before the end of the body.
 */
static RW2_INLINE const uint8_t *usual_series(
    struct rw2_scan *s, const uint8_t *p, const uint8_t *last, struct batch_row *row)
{
	if (UNLIKELY((wire_load32(p) & 0x80ff80ff) != SERIES_HEAD))
		return NULL;
	const uint8_t *const refs = p + 4, *const refs_end = refs + p[3], *const end = p + 2 + p[1];
	if (UNLIKELY(end > last || refs_end >= end || refs == refs_end))
		return NULL;
	s->start = s->out;
	if (UNLIKELY(!fast_labels(s, refs, refs_end)))
		return NULL;
	size_t labels_len = (size_t)(s->out - s->start);
	row->labels = s->start;
	row->labels_len = (uint32_t)labels_len;
	s->made += labels_len;
	if (UNLIKELY(s->made > s->made_max))
		return NULL;
	p = usual_sample(s, refs_end, row);
	row->flags = 0;
	if (LIKELY(p == end))
		return end;
	if (LIKELY(p && p[0] == TAG(5, PBSCAN_BYTES) && p + 2 + p[1] == end &&
	        fast_meta(s, refs, refs_end, p + 2, end)))
		return end;
	s->start = s->out;
	s->ready = refs;
	s->ready_labels = (struct rw2_series){ .labels = row->labels, .labels_len = row->labels_len };
	return NULL;
}

/* Series after series as long as they are usual. Gives the end of the last one. */
static RW2_INLINE const uint8_t *fast_run(struct rw2_scan *s, const uint8_t *p)
{
	struct batch *b = s->batch;
	if (!b->rows || s->end - p <= FAST_MARGIN) /* no room yet; the slow way makes some */
		return p;
	const uint8_t *const last = s->end - FAST_MARGIN;
	const uint64_t samples_max = s->limits->write_samples - s->samples,
	               series_max = s->limits->write_series;
	struct batch_row *const first = b->rows + b->rows_count, *row = first;
	const size_t room = b->rows_cap - b->rows_count;
	const struct batch_row *const rows_end = first + (room < samples_max ? room : samples_max);
	/* of as many the rows and the limit are not looked at */
	uint64_t left = 0;
	for (const uint8_t *next; p < last; p = next) {
		if (UNLIKELY(!left)) {
			uint64_t rows = (uint64_t)(rows_end - row), more = series_max - s->series;
			left = rows < more ? rows : more;
			if (!left)
				break;
			s->series += left;
		}
		next = usual_series(s, p, last, row);
		if (LIKELY(next)) {
			row++;
			left--;
			continue;
		}
		s->series -= left; /* those before this one */
		left = 0;
		if (*p != TAG(5, PBSCAN_BYTES) || !(next = fast_series(s, p, &row, rows_end)))
			break;
		s->series++;
	}
	s->series -= left;
	b->rows_count += (size_t)(row - first);
	s->samples += (size_t)(row - first);
	return p;
}

static const uint8_t *fast_run_16(struct rw2_scan *s, const uint8_t *p)
{
	return fast_run(s, p);
}

#ifdef __x86_64__
__attribute__((target("avx2,bmi,bmi2"))) static const uint8_t *fast_run_32(
    struct rw2_scan *s, const uint8_t *p)
{
	return fast_run(s, p);
}
#endif

/* --- a field of the request --- */

/* A field of the request that the fast way did not take. */
static enum err slow_field(struct rw2_scan *s, const uint8_t **p)
{
	struct pbscan_field f = { 0 };
	if (!pbscan_next(p, s->end, &f))
		return rw2_malformed(s, f.start, "broken field of the request");
	if (f.number != 4 && f.number != 5)
		return ERR_OK;
	if (f.wire != PBSCAN_BYTES)
		return rw2_malformed(s, f.start, "wrong wire type in the request");
	if (f.number == 4 && s->symbols_whole)
		return ERR_OK;
	if (!rw2_slow_take(s, f.len + SLOW_FIELD))
		return ERR_AGAIN;
	if (f.number == 4) {
		s->symbols_late = s->series > 0;
		return symbol_add(s, f.data, f.len);
	}
	enum err e = rw2_take_series(s, f.data, *p);
	s->series++;
	return e;
}

/* --- a body --- */

/* What the batch had before this body. */
struct before {
	size_t rows, metas, exemplars;
	uint64_t extras_bytes, left_rows, left_exemplars;
	const char *left_why;
};

static struct before before_of(const struct batch *b)
{
	return (struct before){ b->rows_count, b->metas_count, b->exemplars_count, b->extras_bytes,
		b->left_rows, b->left_exemplars, b->left_why };
}

static void before_again(struct batch *b, const struct before *x)
{
	b->rows_count = x->rows;
	b->metas_count = x->metas;
	b->exemplars_count = x->exemplars;
	b->extras_bytes = x->extras_bytes;
	b->left_rows = x->left_rows;
	b->left_exemplars = x->left_exemplars;
	b->left_why = x->left_why;
}

/* Of which size pieces for labels are. */
static size_t piece_of(size_t body_len)
{
	size_t size = RW2_PIECE_LEAST;
	while (size < RW2_PIECE_MOST && size < body_len * BODY_TIMES)
		size *= 2;
	return size;
}

static enum err decode(struct rw2_scan *s)
{
	const uint8_t *p = s->body;
	enum err e = ERR_OK;
#ifdef __x86_64__
	const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
#endif
	s->memory->request++;
	while (p < s->end && !e && !s->symbols_late) {
		if (!s->symbols_whole && !s->series)
			e = fast_symbols(s, &p);
		if (e)
			break;
#ifdef __x86_64__
		p = avx2 ? fast_run_32(s, p) : fast_run_16(s, p);
#else
		p = fast_run_16(s, p);
#endif
		if (p < s->end)
			e = slow_field(s, &p);
		if (UNLIKELY(s->series > s->limits->write_series && !e))
			e = rw2_too_many(s, "series", LIMITS_write_series);
		if (UNLIKELY(s->samples > s->limits->write_samples && !e))
			e = rw2_too_many(s, "samples", LIMITS_write_samples);
	}
	return e;
}

/* Once more, now that all strings are known before the first series. */
static enum err decode_again(struct rw2_scan *s)
{
	if (!rw2_slow_take(s, (size_t)(s->end - s->body)))
		return ERR_AGAIN;
	s->symbols_late = false;
	s->series = s->samples = s->made = 0;
	s->name_ref = NONE;
	s->ready = NULL;
	s->bad_told = false;
	enum err e = all_symbols(s);
	return e ? e : decode(s);
}

enum err rw2_decode(struct arena *a, struct rw2_memory *m, const uint8_t *body, size_t len,
    const struct rw2_opts *o, struct batch *b, struct errbuf *eb)
{
	struct rw2_memory own = { 0 };
	struct rw2_scan s = { .arena = a,
		.memory = m ? m : &own,
		.body = body,
		.end = body + len,
		.batch = b,
		.eb = eb,
		.limits = o && o->limits ? o->limits : limits_here(),
		.tenant = o ? o->tenant : 0,
		.piece = piece_of(len),
		.metas_before = b->metas_count,
		.name_ref = NONE,
		.time = { .bytes = NO_TIME },
		.slow_left = o ? o->slow_bytes : SIZE_MAX };
	if (len > INT32_MAX)
		return errbuf_set(eb, ERR_TOOBIG, "body of %zu bytes", len);
	const struct before before = before_of(b);
	s.symbols = s.memory->symbols;
	rw2_made_max_set(&s);
	enum err e = decode(&s);
	if (!e && s.symbols_late) {
		before_again(b, &before);
		e = decode_again(&s);
	}
	b->series_count += s.series;
	rw2_memory_trim(s.memory);
	mem_free(own.symbols);
	return e;
}
