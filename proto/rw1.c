#include "proto/rw1.h"

#include "core/base/wire.h"
#include "proto/pbhist.h"
#include "proto/pbscan.h"

/*
 *   WriteRequest       1 TimeSeries*  3 MetricMetadata*
 *   TimeSeries         1 Label*  2 Sample*  3 Exemplar*  4 Histogram*
 *   Sample             1 double value  2 int64 timestamp
 *   MetricMetadata     1 enum type  2 string family  4 string help  5 string unit
 *
 * Three ways through a series: guessed_run() takes those whose last bytes look like their only
 * sample, and proves that; fast_series() knows only the bytes that senders' encoders really make,
 * and leaves a series alone when a byte is different;
 * slow_series() knows the whole encoding and is the judge of what is malformed.
 */
#define TAG(number, wire) ((number) << 3 | (wire))
#define FAST_MARGIN       16 /* bytes behind a series that the fast way may read */
#define SLOW_FIELD        16 /* bytes that a field of the slow way counts as beside its own */
#define BUCKETS_SAMPLE    16 /* so many of a histogram count as one more sample */

struct scan {
	struct arena *arena;
	const uint8_t *body, *end;
	struct batch *batch;
	struct errbuf *eb;
	const struct limits *limits;
	uint64_t series, samples; /* of this body; samples with histograms and exemplars */
	size_t slow_left;         /* bytes that may still go the slow way */
	unsigned steps;           /* of guessed_run() */
	bool bad_told;            /* a histogram was bad, and the batch says why */
};

static enum err malformed(struct scan *s, const uint8_t *at, const char *what)
{
	return errbuf_set(s->eb, ERR_MALFORMED, "%s at byte %zu", what, (size_t)(at - s->body));
}

static enum err too_many(const struct scan *s, const char *what, enum limits_id id)
{
	char limit[LIMITS_TEXT_MAX];
	return errbuf_set(s->eb, ERR_TOOBIG, "too many %s in one request, %s", what,
	    limits_text(s->limits, id, limit));
}

/* --- the fast way --- */

static inline bool fast_sample(const uint8_t *p, const uint8_t *end, struct batch_row *row)
{
	uint64_t t = 0, bits = 0;
	if (LIKELY(end - p > 9 && p[0] == TAG(1, PBSCAN_FIXED64))) {
		bits = wire_load64(p + 1);
		p += 9;
	}
	if (LIKELY(p[0] == TAG(2, PBSCAN_VARINT) && p < end)) {
		size_t t_len = pbscan_short_varint(p + 1, &t);
		if (UNLIKELY(!t_len))
			return false;
		p += 1 + t_len;
	}
	row->t_ms = (int64_t)t;
	row->v = num_from_bits(bits);
	return p == end;
}

/*
 * The end of the run of label fields at p; beyond the end when the last one is too long; NULL: one
 * has an unusual length.
 */
static inline const uint8_t *labels_walk(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p == TAG(1, PBSCAN_BYTES)) {
		if (LIKELY(p[1] < 0x80)) {
			p += 2 + p[1];
		} else {
			size_t label_len;
			if (UNLIKELY(!pbscan_short_len(p + 1, &label_len)))
				return NULL;
			p += 3 + label_len;
		}
	}
	return p;
}

/*
 * So many steps of that walk without a branch: how many labels the next series has is hard to
 * guess. A step at what is no label stays there. From there on the walk goes on; from the
 * beginning, if a label was long.
 * Reads less than STEPS_BYTES for each step, and one more.
 */
#define STEPS_MAX    16u
#define STEPS_SERIES 64u  /* after so many the walk is tried with a step less */
#define STEPS_BYTES  257u /* what a step goes on by, at most */
static inline const uint8_t *labels_steps(const uint8_t *const labels, unsigned steps)
{
	const uint8_t *p = labels;
	size_t lens = 0;
	for (unsigned i = 0; i < steps; i++) {
		size_t len = p[1];
		const uint8_t *next = p + 2 + len;
		lens |= len;
#ifdef __x86_64__
		__asm__("cmpb %[tag], %[at]\n\tcmove %[next], %[p]"
		        : [p] "+r"(p)
		        : [at] "m"(*p), [tag] "i"(TAG(1, PBSCAN_BYTES)), [next] "r"(next)
		        : "cc");
#else
		p = *p == TAG(1, PBSCAN_BYTES) ? next : p;
#endif
	}
	return LIKELY(lens < 0x80) ? p : labels;
}

/*
 * A series with this content may be all labels and one sample with a time of six bytes (1971 to
 * 2109): then the sample is in its last 9 or 18 bytes. Gives where it begins, NULL: it is not.
 * Nothing that follows has to wait until the walk over the labels has shown that they end there.
 */
#define TAIL_PLAIN  9u /* a value of 0 has no bytes */
#define TAIL_VALUED 18u
static inline const uint8_t *guessed_tail(const uint8_t *end, struct batch_row *r)
{
	const uint64_t last = wire_load64(end - 8),
	               valued = 0 -
	    (uint64_t)((wire_load32(end - TAIL_VALUED) & 0xffffff) ==
	        (TAG(2, PBSCAN_BYTES) | (TAIL_VALUED - 2) << 8 | TAG(1, PBSCAN_FIXED64) << 16));
	const uint8_t *const tail = end - TAIL_PLAIN - (valued & (TAIL_VALUED - TAIL_PLAIN));
	if (UNLIKELY(wire_load16(tail) != (TAG(2, PBSCAN_BYTES) | (uint64_t)(end - tail - 2) << 8) ||
	        (last & 0x808080808080ff00u) != (0x0080808080800000u | TAG(2, PBSCAN_VARINT) << 8)))
		return NULL;
	uint64_t w = (last >> 16 & 0x007f007f007fu) | (last >> 17 & 0x3f803f803f80u);
	r->t_ms = (int64_t)((w & 0x3fffu) | (w >> 2 & 0xfffc000u) | (w >> 32) << 28);
	r->bits = wire_load64(end - 15) & valued;
	return tail;
}

/*
 * Series after series of that kind, a row each, at most `most`. Gives the end of the last one and
 * moves *row.
 */
static inline const uint8_t *guessed_run(const uint8_t *p, const uint8_t *body_end,
    struct batch_row **row, uint64_t most, unsigned *learnt)
{
	const unsigned steps = *learnt;
	const size_t margin = steps * STEPS_BYTES + FAST_MARGIN;
	struct batch_row *r = *row, *const rows_end = r + most;
	while (r < rows_end && LIKELY((size_t)(body_end - p) > margin)) {
		/* the length in one byte or in two; without a branch, series have both */
		const uint32_t w = wire_load32(p), two = w >> 15 & 1;
		const size_t len = (w >> 8 & 0x7f) | (w >> 9 & 0x7f80 & (0 - two));
		const uint8_t *const labels = p + 2 + two, *const end = labels + len;
		if (UNLIKELY((uint8_t)w != TAG(1, PBSCAN_BYTES) ||
		        len - TAIL_VALUED >= 0x4000 - TAIL_VALUED ||
		        len > (size_t)(body_end - labels)))
			break;
		const uint8_t *const tail = guessed_tail(end, r);
		if (UNLIKELY(!tail))
			break;
		r->labels = labels;
		r->labels_len = (uint32_t)(tail - labels);
		r->flags = 0;
		const uint8_t *const stepped = labels_steps(labels, steps);
		if (UNLIKELY(stepped != tail)) {
			if (labels_walk(stepped, tail) != tail)
				break;
			if (steps < STEPS_MAX) {
				*learnt = steps + 1;
				r++;
				p = end;
				break; /* the margin is another one then */
			}
		}
		r++;
		p = end;
	}
	*row = r;
	return p;
}

/*
 * The series whose tag is at p, FAST_MARGIN bytes or more before the end of the body: its rows from
 * *row on.
 * Gives its end and moves *row; or NULL, when a byte is unusual or the rows are full, and then
 * nothing counts of what was written.
 */
static inline const uint8_t *fast_series(const uint8_t *p, const uint8_t *body_end,
    struct batch_row **row, const struct batch_row *rows_end)
{
	size_t len, head = pbscan_short_len(p + 1, &len);
	p += 1 + head;
	if (UNLIKELY(!head || (size_t)(body_end - p) < len + FAST_MARGIN))
		return NULL;
	const uint8_t *const labels = p, *const end = p + len;
	p = labels_walk(p, end);
	if (UNLIKELY(!p || p > end))
		return NULL;
	const uint32_t labels_len = (uint32_t)(p - labels);
	struct batch_row *r = *row;
	for (; p < end; r++) {
		size_t sample_len = p[1];
		if (UNLIKELY(p[0] != TAG(2, PBSCAN_BYTES) || sample_len >= 0x80 ||
		        sample_len + 2 > (size_t)(end - p) || r == rows_end))
			return NULL;
		r->labels = labels;
		r->labels_len = labels_len;
		r->flags = 0;
		if (UNLIKELY(!fast_sample(p + 2, p + 2 + sample_len, r)))
			return NULL;
		p += 2 + sample_len;
	}
	*row = r;
	/* not p, though equal: so the next series can begin before this one's walk has ended */
	return end;
}

/* Series after series as long as they are usual. Gives the end of the last one. */
static const uint8_t *fast_run(struct scan *s, const uint8_t *p)
{
	struct batch *b = s->batch;
	if (!b->rows) /* no room yet; the slow way makes some */
		return p;
	const uint8_t *const body_end = s->end;
	const uint64_t series_max = s->limits->write_series - s->series,
	               samples_max = s->limits->write_samples - s->samples;
	struct batch_row *const first = b->rows + b->rows_count, *row = first;
	const size_t room = b->rows_cap - b->rows_count;
	const struct batch_row *const rows_end = first + (room < samples_max ? room : samples_max);
	uint64_t series = 0;
	while (body_end - p > FAST_MARGIN && series < series_max) {
		const struct batch_row *const was = row;
		uint64_t most = (uint64_t)(rows_end - row);
		most = most < series_max - series ? most : series_max - series;
		most = most < STEPS_SERIES ? most : STEPS_SERIES;
		p = guessed_run(p, body_end, &row, most, &s->steps);
		series += (uint64_t)(row - was);
		if ((uint64_t)(row - was) == STEPS_SERIES) {
			s->steps -= s->steps > 1;
			continue;
		}
		if (body_end - p <= FAST_MARGIN || *p != TAG(1, PBSCAN_BYTES) || series == series_max)
			break;
		const uint8_t *next = fast_series(p, body_end, &row, rows_end);
		if (!next)
			break;
		p = next;
		series++;
	}
	b->rows_count += (size_t)(row - first);
	s->samples += (size_t)(row - first);
	s->series += series;
	return p;
}

/* --- the whole encoding --- */

static enum err slow_sample(
    struct scan *s, const uint8_t *p, const uint8_t *end, struct batch_row *row)
{
	struct pbscan_field f;
	row->t_ms = 0;
	row->v = 0;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a sample");
		if (f.number == 1 && f.wire == PBSCAN_FIXED64)
			row->v = num_from_bits(wire_load64(f.data));
		else if (f.number == 2 && f.wire == PBSCAN_VARINT)
			row->t_ms = (int64_t)f.value;
		else if (f.number == 1 || f.number == 2)
			return malformed(s, f.start, "wrong wire type in a sample");
	}
	return ERR_OK;
}

/* The label fields of a message: one run of its bytes, as long as nothing is unusual. */
struct run {
	const uint8_t *start, *end; /* of the run so far; end NULL = none yet */
	size_t len;                 /* of the labels, written as short as can be */
	bool joined;                /* they stand in pieces, or were written longer */
};

static void run_add(struct run *r, const struct pbscan_field *f, const uint8_t *end)
{
	size_t plain = 1 + wire_varint_len(f->len) + f->len;
	if ((r->end && r->end != f->start) || (size_t)(end - f->start) != plain)
		r->joined = true;
	if (!r->end)
		r->start = f->start;
	r->end = end;
	r->len += plain;
}

/*
 * Labels in pieces, or in a longer encoding than needed: joined in the arena, framed as label_iter
 * wants them. p..end is the message.
 */
static enum err join_labels(struct scan *s, const uint8_t *p, const uint8_t *end, struct run *r)
{
	struct pbscan_field f;
	uint8_t *to = arena_alloc(s->arena, r->len ? r->len : 1);
	if (!to)
		return errbuf_set(s->eb, ERR_NOMEM, "no memory for labels of %zu bytes", r->len);
	r->start = to;
	while (p < end && pbscan_next(&p, end, &f)) {
		if (f.number != 1)
			continue;
		*to++ = TAG(1, PBSCAN_BYTES);
		to = wire_store_varint(to, f.len);
		if (f.len)
			memcpy(to, f.data, f.len);
		to += f.len;
	}
	CHECK((size_t)(to - r->start) == r->len);
	return ERR_OK;
}

/* Labels of the series follow when they are known. */
static enum err exemplar(struct scan *s, const uint8_t *const start, const uint8_t *const end)
{
	struct batch_exemplar *x = batch_add_exemplar(s->batch);
	struct run own = { .start = start };
	*x = (struct batch_exemplar){ 0 };
	for (const uint8_t *p = start; p < end;) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return malformed(s, f.start, "broken field of an exemplar");
		if (f.number < 1 || f.number > 3)
			continue;
		if (f.wire !=
		    (f.number == 1          ? PBSCAN_BYTES
		            : f.number == 2 ? PBSCAN_FIXED64
		                            : PBSCAN_VARINT))
			return malformed(s, f.start, "wrong wire type in an exemplar");
		if (f.number == 1)
			run_add(&own, &f, p);
		else if (f.number == 2)
			x->v = num_from_bits(wire_load64(f.data));
		else
			x->t_ms = (int64_t)f.value;
	}
	enum err err = own.joined ? join_labels(s, start, end, &own) : ERR_OK;
	x->own = own.start;
	x->own_len = (uint32_t)own.len;
	return err;
}

/* Its row; a bad one says so. Many buckets count as several samples. */
static enum err histogram(struct scan *s, const uint8_t *p, const uint8_t *end, struct batch_row *row)
{
	struct pbhist h;
	enum err err = pbhist_decode(p, (size_t)(end - p), s->arena, s->limits, !s->bad_told, &h);
	if (err == ERR_MALFORMED)
		return malformed(s, h.at, "broken native histogram");
	struct batch_extra *x = err ? NULL : arena_alloc(s->arena, sizeof *x);
	if (!x)
		return errbuf_set(s->eb, ERR_NOMEM, "no memory for a native histogram");
	*x = (struct batch_extra){ .hist = h.hist }; /* of version 1.0: no start time */
	if (!h.hist) {
		x->bad = h.bad ? h.bad : "as one before";
		s->bad_told = true;
	}
	row->t_ms = h.t_ms;
	batch_row_extra(s->batch, row, x);
	s->samples += h.cost / BUCKETS_SAMPLE;
	return ERR_OK;
}

/* Samples, exemplars and histograms of a series: one of them. */
static enum err slow_item(struct scan *s, const struct pbscan_field *f, const uint8_t *end)
{
	if (f->number == 3)
		return exemplar(s, f->data, end);
	struct batch_row *row = batch_add(s->batch);
	*row = (struct batch_row){ 0 };
	return f->number == 4 ? histogram(s, f->data, end, row) : slow_sample(s, f->data, end, row);
}

static enum err slow_series(struct scan *s, const uint8_t *const start, const uint8_t *const end)
{
	struct batch *b = s->batch;
	const uint8_t *p = start;
	const size_t first_row = b->rows_count, first_exemplar = b->exemplars_count;
	struct run labels = { .start = start };
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a series");
		if (f.number < 1 || f.number > 4)
			continue;
		if (f.wire != PBSCAN_BYTES)
			return malformed(s, f.start, "wrong wire type in a series");
		if (f.number == 1) {
			run_add(&labels, &f, p);
			continue;
		}
		s->samples++;
		if (s->samples > s->limits->write_samples)
			break; /* told by the caller */
		enum err err = slow_item(s, &f, p);
		if (err)
			return err;
	}
	if (labels.joined) {
		enum err err = join_labels(s, start, end, &labels);
		if (err)
			return err;
	}
	for (size_t i = first_row; i < b->rows_count; i++) {
		b->rows[i].labels = labels.start;
		b->rows[i].labels_len = (uint32_t)labels.len;
	}
	for (size_t i = first_exemplar; i < b->exemplars_count; i++) {
		b->exemplars[i].labels = labels.start;
		b->exemplars[i].labels_len = (uint32_t)labels.len;
	}
	return ERR_OK;
}

static enum err meta(struct scan *s, const uint8_t *p, const uint8_t *end)
{
	if (s->batch->metas_count >= s->limits->write_series)
		return too_many(s, "metadata entries", LIMITS_write_series);
	struct batch_meta *m = batch_add_meta(s->batch);
	*m = (struct batch_meta){ .family = "", .help = "", .unit = "" };
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a metadata entry");
		if (f.number < 1 || f.number > 5 || f.number == 3)
			continue;
		if (f.wire != (f.number == 1 ? PBSCAN_VARINT : PBSCAN_BYTES))
			return malformed(s, f.start, "wrong wire type in a metadata entry");
		const char *text = (const char *)f.data;
		uint32_t text_len = (uint32_t)f.len;
		if (f.number == 1) { /* enums are 32 bits; what we do not know is unknown */
			m->type = (uint32_t)f.value <= 7 ? (uint8_t)f.value : 0;
		} else if (f.number == 2) {
			m->family = text;
			m->family_len = text_len;
		} else if (f.number == 4) {
			m->help = text;
			m->help_len = text_len;
		} else {
			m->unit = text;
			m->unit_len = text_len;
		}
	}
	return ERR_OK;
}

/* A field of the request that the fast way did not take. */
static enum err slow_field(struct scan *s, const uint8_t **p)
{
	struct pbscan_field f;
	if (!pbscan_next(p, s->end, &f))
		return malformed(s, f.start, "broken field of the request");
	if (f.number != 1 && f.number != 3)
		return ERR_OK;
	if (f.wire != PBSCAN_BYTES)
		return malformed(s, f.start, "wrong wire type in the request");
	if (f.len + SLOW_FIELD > s->slow_left)
		return ERR_AGAIN;
	s->slow_left -= f.len + SLOW_FIELD;
	if (f.number == 3)
		return meta(s, f.data, *p);
	s->series++;
	return slow_series(s, f.data, *p);
}

enum err rw1_decode(struct arena *a, const uint8_t *body, size_t len, const struct rw1_opts *o,
    struct batch *b, struct errbuf *eb)
{
	struct scan s = { .arena = a,
		.body = body,
		.end = body + len,
		.batch = b,
		.eb = eb,
		.limits = o && o->limits ? o->limits : limits_here(),
		.slow_left = o ? o->slow_bytes : SIZE_MAX };
	if (len > INT32_MAX)
		return errbuf_set(eb, ERR_TOOBIG, "body of %zu bytes", len);
	enum err err = ERR_OK;
	const uint8_t *p = body;
	while (p < s.end && !err) {
		p = fast_run(&s, p);
		if (p < s.end)
			err = slow_field(&s, &p);
		if (UNLIKELY(s.series > s.limits->write_series && !err))
			err = too_many(&s, "series", LIMITS_write_series);
		if (UNLIKELY(s.samples > s.limits->write_samples && !err))
			err = too_many(&s, "samples", LIMITS_write_samples);
	}
	b->series_count += s.series;
	return err;
}

/* --- encoding --- */

void rw1_encode_series(struct buf *out, struct labels labels, int64_t t_ms, double v)
{
	uint8_t sample[2 + 9 + 1 + PBSCAN_VARINT_BYTES], *p = sample + 2;
	if (num_bits(v)) {
		*p++ = TAG(1, PBSCAN_FIXED64);
		wire_store64(p, num_bits(v));
		p += 8;
	}
	if (t_ms) {
		*p++ = TAG(2, PBSCAN_VARINT);
		p = wire_store_varint(p, (uint64_t)t_ms);
	}
	size_t sample_len = (size_t)(p - sample);
	sample[0] = TAG(2, PBSCAN_BYTES);
	sample[1] = (uint8_t)(sample_len - 2);
	if (!buf_reserve(out, labels.len + sample_len + 1 + PBSCAN_VARINT_BYTES))
		return;
	buf_add_u8(out, TAG(1, PBSCAN_BYTES));
	wire_put_varint(out, labels.len + sample_len);
	buf_add(out, labels.bytes, labels.len);
	buf_add(out, sample, sample_len);
}

static size_t text_size(size_t len)
{
	return len ? 1 + wire_varint_len(len) + len : 0;
}

static void put_text(struct buf *out, uint8_t tag, const char *s, size_t len)
{
	if (!len)
		return;
	buf_add_u8(out, tag);
	wire_put_lenbytes(out, s, len);
}

void rw1_encode_meta(struct buf *out, const struct batch_meta *m)
{
	buf_add_u8(out, TAG(3, PBSCAN_BYTES));
	wire_put_varint(out,
	    (m->type ? 2u : 0u) + text_size(m->family_len) + text_size(m->help_len) +
	        text_size(m->unit_len));
	if (m->type) {
		buf_add_u8(out, TAG(1, PBSCAN_VARINT));
		buf_add_u8(out, m->type);
	}
	put_text(out, TAG(2, PBSCAN_BYTES), m->family, m->family_len);
	put_text(out, TAG(4, PBSCAN_BYTES), m->help, m->help_len);
	put_text(out, TAG(5, PBSCAN_BYTES), m->unit, m->unit_len);
}
