#include "proto/rw2.h"

#include <inttypes.h>

#include "core/base/wire.h"
#include "proto/pbhist.h"
#include "proto/pbscan.h"
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
 * make, slow_series() the whole encoding.
 *
 * Labels. A label is put together once for its pair of strings and stays where it is among the
 * label bytes; its value's symbol knows where (rw2_symbol.pair). The next series with the same pair
 * copies it from there.
 */
#define ALWAYS_INLINE     inline __attribute__((always_inline))
#define TAG(number, wire) ((number) << 3 | (wire))
#define FAST_MARGIN       16 /* bytes behind a series that the fast way may read */
#define SLOW_FIELD        16 /* bytes that a field of the slow way counts as beside its own */
#define ITEM_SHARE        4  /* exemplars and histograms that come as usual count as a fourth */
#define LABEL_SHARE       64 /* so many label bytes count as one of the slow way */
#define BUCKETS_SAMPLE    16 /* so many of a histogram count as one more sample */
#define WIDE              32 /* bytes that a label is copied by */
#define SLOP              (2 * WIDE) /* bytes behind the labels that copies may touch */
#define LABEL_FRAME       18         /* bytes around a name and a value at most: three lengths */
#define BODY_TIMES        6          /* labels take so many bytes for one of the body */
#define TIME_BYTES        6          /* that a time takes from the years 2004 to 2109 */
#define META_FAST         8          /* bytes of metadata that are compared, not read */
#define METAS_LOOKED      4          /* newest entries that a new one is compared with */
#define NONE              UINT32_MAX
#define NO_NAME           (UINT32_MAX - 1) /* no number of a string, nor one that is too long */

/* The labels of the series that is being read. */
struct series {
	const uint8_t *labels;
	uint32_t labels_len;
	int64_t created_ms; /* start time of what tells none */
};

/* A time of TIME_BYTES bytes: many samples have the same. */
struct last_time {
	uint64_t bytes; /* of it, in the upper bytes */
	uint64_t t;
};
struct scan {
	struct arena *arena;
	struct rw2_memory *memory;
	const uint8_t *body, *end;
	struct batch *batch;
	struct errbuf *eb;
	const struct limits *limits;
	struct rw2_symbol *symbols;
	uint32_t symbols_count;
	uint32_t tenant;
	/* where labels go, a piece of the arena; out_end: less SLOP; start: of those begun */
	uint8_t *start, *out, *out_end;
	size_t piece;             /* bytes of the next one */
	uint64_t made, made_max;  /* label bytes and table; more is too much, or for a worker */
	uint64_t series, samples; /* of this body; samples with histograms and exemplars */
	size_t slow_left;         /* bytes that may still go the slow way */
	bool bad_told;            /* a histogram was bad, and the batch says why */
	uint32_t name_ref;        /* a number of __name__, NONE */
	size_t metas_before;      /* in the batch */
	/* references whose labels the fast way has put together before it gave the series up */
	const uint8_t *ready;
	struct series ready_labels;
	struct last_time time;
	bool symbols_late;  /* a string stands behind a series */
	bool symbols_whole; /* all strings of the body are known */
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

static enum err no_memory(const struct scan *s)
{
	return errbuf_set(s->eb, ERR_NOMEM, "no memory for the labels of a request");
}

/* --- what it may cost --- */

static void made_max_set(struct scan *s)
{
	uint64_t slow =
	    s->slow_left > UINT64_MAX / LABEL_SHARE ? UINT64_MAX : s->slow_left * LABEL_SHARE;
	s->made_max = s->limits->write_body_bytes < slow ? s->limits->write_body_bytes : slow;
}

/* false: that is for a thread that may take its time. */
static bool slow_take(struct scan *s, size_t bytes)
{
	if (bytes > s->slow_left)
		return false;
	s->slow_left -= bytes;
	made_max_set(s);
	return true;
}

/* Labels and table have grown past made_max, or would. */
static enum err made_too_much(const struct scan *s)
{
	char limit[LIMITS_TEXT_MAX];
	if (s->made_max < s->limits->write_body_bytes)
		return ERR_AGAIN;
	return errbuf_set(s->eb, ERR_TOOBIG,
	    "the labels of the series take too many bytes when put together, %s",
	    limits_text(s->limits, LIMITS_write_body_bytes, limit));
}

/* --- strings --- */

static enum err symbols_grow(struct scan *s)
{
	struct rw2_memory *m = s->memory;
	uint32_t cap = m->cap ? m->cap * 2 : 512;
	struct rw2_symbol *more = mem_try_realloc(m->symbols, cap * sizeof *more);
	if (!more)
		return no_memory(s);
	m->symbols = s->symbols = more;
	m->cap = cap;
	return ERR_OK;
}

static inline enum err symbol_add(struct scan *s, const uint8_t *text, size_t len)
{
	if (UNLIKELY(s->symbols_count == s->memory->cap)) {
		enum err e = symbols_grow(s);
		if (e)
			return e;
	}
	s->made += RW2_SYMBOL_BYTES;
	if (UNLIKELY(s->made > s->made_max))
		return made_too_much(s);
	s->symbols[s->symbols_count++] = (struct rw2_symbol){
		.at = (uint32_t)(text - s->body), .len = (uint32_t)len, .pair_name = NO_NAME
	};
	return ERR_OK;
}

/* Strings as encoders write them, as long as they come. */
static enum err fast_symbols(struct scan *s, const uint8_t **at)
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
static enum err all_symbols(struct scan *s)
{
	struct pbscan_field f;
	s->symbols_count = 0;
	for (const uint8_t *p = s->body; p < s->end;) {
		if (!pbscan_next(&p, s->end, &f))
			return malformed(s, f.start, "broken field of the request");
		if (f.number != 4)
			continue;
		if (f.wire != PBSCAN_BYTES)
			return malformed(s, f.start, "wrong wire type in the request");
		enum err e = symbol_add(s, f.data, f.len);
		if (e)
			return e;
	}
	s->symbols_whole = true;
	return ERR_OK;
}

/* --- labels --- */

/* A new piece for more bytes of labels; those of the series that is begun move along. */
static enum err piece_next(struct scan *s, size_t more)
{
	size_t begun = (size_t)(s->out - s->start), need = begun + more + SLOP;
	size_t size = need > s->piece ? need : s->piece;
	uint8_t *piece = arena_alloc(s->arena, size);
	if (!piece)
		return no_memory(s);
	if (begun)
		memcpy(piece, s->start, begun);
	s->start = piece;
	s->out = piece + begun;
	s->out_end = piece + size - SLOP;
	return ERR_OK;
}

static uint8_t *put_text(uint8_t *to, uint8_t tag, const uint8_t *text, size_t len)
{
	if (!len)
		return to;
	*to++ = tag;
	to = wire_store_varint(to, len);
	memcpy(to, text, len);
	return to + len;
}

static size_t text_size(size_t len)
{
	return len ? 1 + wire_varint_len(len) + len : 0;
}

/* Puts a label behind those that stand before s->out. Both strings are there. */
static enum err label_put(struct scan *s, uint32_t name, uint32_t value)
{
	const struct rw2_symbol *n = &s->symbols[name];
	struct rw2_symbol *v = &s->symbols[value];
	size_t inside = text_size(n->len) + text_size(v->len);
	size_t need = 1 + wire_varint_len(inside) + inside;
	if (s->made + (size_t)(s->out - s->start) + need > s->made_max)
		return made_too_much(s);
	if (need > (size_t)(s->out_end - s->out)) {
		enum err e = piece_next(s, need);
		if (e)
			return e;
	}
	uint8_t *to = s->out;
	*to++ = TAG(1, PBSCAN_BYTES);
	to = wire_store_varint(to, inside);
	to = put_text(to, TAG(1, PBSCAN_BYTES), s->body + n->at, n->len);
	to = put_text(to, TAG(2, PBSCAN_BYTES), s->body + v->at, v->len);
	if (need <= UINT16_MAX) {
		v->pair_name = name;
		v->pair_len = (uint16_t)need;
		v->pair = s->out;
	}
	s->out = to;
	return ERR_OK;
}

/* The labels before s->out are those of a series, or of an exemplar. */
static bool labels_done(struct scan *s, const uint8_t **labels, uint32_t *len)
{
	*labels = s->start;
	*len = (uint32_t)(s->out - s->start);
	s->made += *len;
	s->start = s->out;
	return s->made <= s->made_max;
}

typedef uint8_t wide __attribute__((vector_size(WIDE)));

/* Copies len bytes, and what follows up to WIDE. to may be as near behind from as len. */
static ALWAYS_INLINE void copy_wide(uint8_t *to, const uint8_t *from, size_t len)
{
	wide w;
	memcpy(&w, from, WIDE);
	memcpy(to, &w, WIDE);
	for (size_t i = WIDE; UNLIKELY(i < len); i += WIDE) {
		memcpy(&w, from + i, WIDE);
		memcpy(to + i, &w, WIDE);
	}
}

/*
 * Number of a string in the low bytes of *w, at most three; *w moves behind it, *p too. Longer ones
 * give a number that no string has.
 */
static ALWAYS_INLINE uint32_t ref_take(uint64_t *w, const uint8_t **p)
{
	uint32_t x = (uint32_t)*w;
	if (LIKELY(!(x & 0x80))) {
		*w >>= 8;
		*p += 1;
		return x & 0x7f;
	}
	if (LIKELY(!(x & 0x8000))) {
		*w >>= 16;
		*p += 2;
		return (x & 0x7f) | (x & 0x7f00) >> 1;
	}
	*w >>= 24;
	*p += 3;
	return x & 0x800000 ? UINT32_MAX : (x & 0x7f) | (x & 0x7f00) >> 1 | (x & 0x7f0000) >> 2;
}

struct pair {
	uint32_t name, value;
};

/* Numbers of a label at *p, eight bytes readable; *p moves behind them. */
static ALWAYS_INLINE struct pair pair_next(const uint8_t **p)
{
	struct pair out;
	uint64_t w = wire_load64(*p);
	out.name = ref_take(&w, p);
	out.value = ref_take(&w, p);
	return out;
}

/*
 * The labels of a series from its references: they stand before s->out then. false: something is
 * unusual, or there is too much of it.
 */
static ALWAYS_INLINE bool fast_labels(struct scan *s, const uint8_t *p, const uint8_t *const end)
{
	const struct rw2_symbol *const symbols = s->symbols;
	const uint32_t count = s->symbols_count;
	uint8_t *out = s->out;
	const uint8_t *out_end = s->out_end;
	do {
		struct pair l = pair_next(&p);
		if (UNLIKELY(l.value >= count))
			return false;
		const struct rw2_symbol *v = &symbols[l.value];
		size_t len = v->pair_len;
		if (LIKELY(v->pair_name == l.name && len <= (size_t)(out_end - out))) {
			copy_wide(out, v->pair, len);
			out += len;
			continue;
		}
		s->out = out;
		if (l.name >= count || label_put(s, l.name, l.value))
			return false;
		out = s->out;
		out_end = s->out_end;
	} while (p < end);
	s->out = out;
	return p == end;
}

/* --- metadata --- */

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);
	return len > n && memcmp(text + len - n, end, n) == 0;
}

/* Bytes of a name that are its family's. */
static size_t family_len(const char *name, size_t len, unsigned type)
{
	static const char *const ends[] = { "_bucket", "_count", "_sum", "_created" };
	bool histogram = type == 3 || type == 4, summary = type == 5;
	for (unsigned i = summary; (histogram || summary) && i < COUNT_OF(ends); i++) {
		if (ends_with(name, len, ends[i]))
			return len - strlen(ends[i]);
	}
	return len;
}

static bool meta_equal(const struct batch_meta *a, const struct batch_meta *b)
{
	return a->family_len == b->family_len && a->help_len == b->help_len &&
	    a->unit_len == b->unit_len && a->type == b->type &&
	    !memcmp(a->family, b->family, a->family_len) &&
	    !memcmp(a->help, b->help, a->help_len) && !memcmp(a->unit, b->unit, a->unit_len);
}

/* What a series says of its family, still as numbers. */
struct said {
	uint32_t type, help, unit;
};

static enum err said_read(struct scan *s, const uint8_t *p, const uint8_t *end, struct said *said)
{
	struct pbscan_field f;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a metadata entry");
		if (f.number != 1 && f.number != 3 && f.number != 4)
			continue;
		if (f.wire != PBSCAN_VARINT)
			return malformed(s, f.start, "wrong wire type in a metadata entry");
		if (f.number == 1)
			said->type = (uint32_t)f.value;
		else if (f.number == 3)
			said->help = (uint32_t)f.value;
		else
			said->unit = (uint32_t)f.value;
	}
	return ERR_OK;
}

/* Are its strings there? */
static bool said_is_good(const struct scan *s, const struct said *said)
{
	return (!said->help || said->help < s->symbols_count) &&
	    (!said->unit || said->unit < s->symbols_count);
}

static const char *text_of(const struct scan *s, uint32_t symbol, uint32_t *len)
{
	*len = symbol ? s->symbols[symbol].len : 0;
	return *len ? (const char *)s->body + s->symbols[symbol].at : "";
}

/* Of good strings: all of them empty, of no type? */
static bool says_nothing(const struct scan *s, const struct said *said)
{
	uint32_t help, unit;
	(void)text_of(s, said->help, &help);
	(void)text_of(s, said->unit, &unit);
	return !said->type && !help && !unit;
}

/* Metadata of the metric's family, unless it is known, or stands before. */
static enum err meta_put(struct scan *s, const struct said *said, uint32_t metric)
{
	struct batch *b = s->batch;
	const struct rw2_symbol *name = &s->symbols[metric];
	struct batch_meta m = { .family = (const char *)s->body + name->at,
		.type = said->type <= 7 ? (uint8_t)said->type : 0 };
	m.family_len = (uint32_t)family_len(m.family, name->len, m.type);
	m.help = text_of(s, said->help, &m.help_len);
	m.unit = text_of(s, said->unit, &m.unit_len);
	if (rw2_memory_knows(s->memory, s->tenant, &m))
		return ERR_OK;
	for (size_t i = b->metas_count, n = 0; i > s->metas_before && n < METAS_LOOKED; i--, n++) {
		if (meta_equal(&b->metas[i - 1], &m))
			return ERR_OK;
	}
	if (b->metas_count - s->metas_before >= s->limits->write_series)
		return too_many(s, "metadata entries", LIMITS_write_series);
	*batch_add_meta(b) = m;
	return ERR_OK;
}

/* --- one thing of a series --- */

/* Numbers of strings that come one by one, or many at once: names and values by turns. */
struct feed {
	uint64_t count;
	uint32_t name;   /* waits for its value when count is odd */
	uint32_t metric; /* value of __name__, NONE */
	uint32_t bad;    /* that is not there, NONE */
};
#define FEED ((struct feed){ .metric = NONE, .bad = NONE })

static bool is_name(const struct scan *s, uint32_t symbol)
{
	const struct rw2_symbol *y = &s->symbols[symbol];
	return label_is_metric_name((const char *)s->body + y->at, y->len);
}

static enum err feed_one(struct scan *s, struct feed *f, uint64_t value)
{
	uint32_t ref = (uint32_t)value; /* as numbers of 32 bits are read */
	bool is_value = f->count++ & 1;
	if (f->bad != NONE)
		return ERR_OK;
	if (ref >= s->symbols_count) {
		f->bad = ref;
		return ERR_OK;
	}
	if (!is_value) {
		f->name = ref;
		return ERR_OK;
	}
	if (f->metric == NONE && is_name(s, f->name))
		f->metric = ref;
	return label_put(s, f->name, ref);
}

static enum err feed(struct scan *s, struct feed *f, const struct pbscan_field *field)
{
	if (field->wire == PBSCAN_VARINT)
		return feed_one(s, f, field->value);
	if (field->wire != PBSCAN_BYTES)
		return malformed(s, field->start, "wrong wire type of label references");
	for (const uint8_t *p = field->data, *end = p + field->len; p < end;) {
		uint64_t v;
		if (!pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &v))
			return malformed(s, p, "broken label references");
		enum err e = feed_one(s, f, v);
		if (e)
			return e;
	}
	return ERR_OK;
}

/* false: the labels cannot be made of them. what: "exemplar of ", or "". */
static bool feed_is_good(struct scan *s, const struct feed *f, const char *what)
{
	struct batch *b = s->batch;
	if (f->bad == NONE && !(f->count & 1))
		return true;
	if (b->left_why)
		return false;
	if (f->bad != NONE)
		b->left_why = arena_printf(s->arena,
		    "%sseries %" PRIu64 ": its labels name string %" PRIu32 ", there are %" PRIu32,
		    what, s->series, f->bad, s->symbols_count);
	else
		b->left_why = arena_printf(s->arena,
		    "%sseries %" PRIu64 ": its labels are %" PRIu64
		    " references, names and values must be an even number",
		    what, s->series, f->count);
	if (!b->left_why)
		b->left_why = "labels that name no string"; /* no memory */
	return false;
}

static void row_is(struct batch_row *row, const struct series *in)
{
	row->labels = in->labels;
	row->labels_len = in->labels_len;
	row->flags = 0;
}

/* Makes a float one with a start time. */
static enum err row_start(struct scan *s, struct batch_row *row, int64_t start_ms)
{
	struct batch_extra *x = arena_alloc(s->arena, sizeof *x);
	if (!x)
		return no_memory(s);
	*x = (struct batch_extra){ .v = row->v, .start_ms = start_ms };
	batch_row_extra(s->batch, row, x);
	return ERR_OK;
}

static enum err sample(struct scan *s, const uint8_t *p, const uint8_t *end,
    const struct series *in, struct batch_row *row)
{
	struct pbscan_field f;
	int64_t start_ms = 0;
	row_is(row, in);
	row->t_ms = 0;
	row->v = 0;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a sample");
		if (f.number < 1 || f.number > 3)
			continue;
		if (f.wire != (f.number == 1 ? PBSCAN_FIXED64 : PBSCAN_VARINT))
			return malformed(s, f.start, "wrong wire type in a sample");
		if (f.number == 1)
			row->v = num_from_bits(wire_load64(f.data));
		else if (f.number == 2)
			row->t_ms = (int64_t)f.value;
		else
			start_ms = (int64_t)f.value;
	}
	start_ms = start_ms ? start_ms : in->created_ms;
	return start_ms ? row_start(s, row, start_ms) : ERR_OK;
}

/* Its row; a bad one says so. Many buckets count as several samples. */
static enum err histogram(struct scan *s, const uint8_t *p, const uint8_t *end,
    const struct series *in, struct batch_row *row)
{
	struct pbhist h;
	enum err err = pbhist_decode(p, (size_t)(end - p), s->arena, s->limits, !s->bad_told, &h);
	if (err == ERR_MALFORMED)
		return malformed(s, h.at, "broken native histogram");
	struct batch_extra *x = err ? NULL : arena_alloc(s->arena, sizeof *x);
	if (!x)
		return errbuf_set(s->eb, ERR_NOMEM, "no memory for a native histogram");
	*x = (struct batch_extra){ .hist = h.hist,
		.start_ms = h.start_ms ? h.start_ms : in->created_ms };
	if (!h.hist) {
		x->bad = h.bad ? h.bad : "as one before";
		s->bad_told = true;
	}
	row_is(row, in);
	row->t_ms = h.t_ms;
	batch_row_extra(s->batch, row, x);
	s->samples += h.cost / BUCKETS_SAMPLE;
	return ERR_OK;
}

static enum err exemplar(struct scan *s, const uint8_t *p, const uint8_t *end, const struct series *in)
{
	struct batch_exemplar x = { .labels = in->labels, .labels_len = in->labels_len };
	struct feed own = FEED;
	struct pbscan_field f;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return malformed(s, f.start, "broken field of an exemplar");
		if (f.number < 1 || f.number > 3)
			continue;
		if (f.number == 1) {
			enum err e = feed(s, &own, &f);
			if (e)
				return e;
			continue;
		}
		if (f.wire != (f.number == 2 ? PBSCAN_FIXED64 : PBSCAN_VARINT))
			return malformed(s, f.start, "wrong wire type in an exemplar");
		if (f.number == 2)
			x.v = num_from_bits(wire_load64(f.data));
		else
			x.t_ms = (int64_t)f.value;
	}
	if (!labels_done(s, &x.own, &x.own_len))
		return made_too_much(s);
	if (feed_is_good(s, &own, "exemplar of "))
		*batch_add_exemplar(s->batch) = x;
	else
		s->batch->left_exemplars++;
	return ERR_OK;
}

/* --- the fast way --- */

static ALWAYS_INLINE bool fast_sample(struct last_time *time, const uint8_t *p, const uint8_t *end,
    struct batch_row *row, int64_t *start_ms)
{
	uint64_t t = 0, bits = 0, start = 0;
	if (LIKELY(end - p > 9 && p[0] == TAG(1, PBSCAN_FIXED64))) {
		bits = wire_load64(p + 1);
		p += 9;
	}
	if (LIKELY(p[0] == TAG(2, PBSCAN_VARINT) && p < end)) {
		uint64_t bytes = wire_load64(p + 1) << 16;
		if (LIKELY(bytes == time->bytes)) {
			t = time->t;
			p += 1 + TIME_BYTES;
		} else {
			size_t t_len = pbscan_short_varint(p + 1, &t);
			if (UNLIKELY(!t_len))
				return false;
			p += 1 + t_len;
			if (t_len == TIME_BYTES)
				*time = (struct last_time){ bytes, t };
		}
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

/* Number of the metric's name among references that fast_labels took. */
static uint32_t metric_of(struct scan *s, const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		struct pair l = pair_next(&p);
		if (l.name == s->name_ref || is_name(s, l.name)) {
			s->name_ref = l.name;
			return l.value;
		}
	}
	return NONE;
}

/* Metadata that is not that which its metric had before. false: unusual. */
static bool fast_meta_new(struct scan *s, const uint8_t *refs, const uint8_t *refs_end,
    const uint8_t *p, const uint8_t *end, uint64_t bytes)
{
	struct said said = { 0 };
	struct rw2_symbol *y;
	size_t len = (size_t)(end - p);
	uint32_t metric = metric_of(s, refs, refs_end);
	if (metric == NONE)
		return false;
	y = &s->symbols[metric];
	if (len <= META_FAST && y->meta_len == len && y->meta == bytes)
		return true;
	if (said_read(s, p, end, &said) || !said_is_good(s, &said) || !slow_take(s, SLOW_FIELD))
		return false;
	if (!says_nothing(s, &said) && meta_put(s, &said, metric))
		return false;
	y->meta_len = len <= META_FAST ? (uint8_t)len : 0;
	y->meta = bytes;
	return true;
}

/* p..end: the metadata's fields, some bytes behind them are readable. */
static ALWAYS_INLINE bool fast_meta(struct scan *s, const uint8_t *refs, const uint8_t *refs_end,
    const uint8_t *p, const uint8_t *end)
{
	size_t len = (size_t)(end - p);
	uint64_t bytes = 0;
	if (!len)
		return true;
	if (LIKELY(len <= META_FAST)) {
		bytes = wire_load64(p) & UINT64_MAX >> (64 - 8 * len);
		const uint8_t *q = refs;
		struct pair first = pair_next(&q);
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

static struct mark mark_of(const struct scan *s)
{
	const struct batch *b = s->batch;
	return (struct mark){ b->exemplars_count, b->extras_bytes, b->left_exemplars, s->samples,
		b->left_why, s->bad_told };
}

static void mark_back(struct scan *s, const struct mark *m)
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
static bool fast_item(struct scan *s, uint8_t tag, const uint8_t *p, const uint8_t *end,
    const struct series *in, struct batch_row *row)
{
	int64_t start_ms;
	if (tag == TAG(2, PBSCAN_BYTES)) {
		row_is(row, in);
		if (!fast_sample(&s->time, p, end, row, &start_ms))
			return false;
		return !start_ms || !row_start(s, row, start_ms);
	}
	if (!slow_take(s, ((size_t)(end - p) + SLOW_FIELD) / ITEM_SHARE))
		return false;
	if (tag == TAG(3, PBSCAN_BYTES))
		return !histogram(s, p, end, in, row);
	if (++s->samples > s->limits->write_samples)
		return false;
	return !exemplar(s, p, end, in);
}

/*
 * A series with more in it than samples, from the field at p on: what stands before it is done, up
 * to *row. NULL: unusual.
 */
static const uint8_t *fast_mixed(struct scan *s, const uint8_t *p, const uint8_t *end,
    const struct series *in, struct batch_row **row, const struct batch_row *rows_end, bool some,
    const uint8_t *refs, const uint8_t *refs_end)
{
	const struct mark before = mark_of(s);
	bool good = true;
	while (p < end && good) {
		uint8_t tag = *p;
		size_t len = 0, head = pbscan_short_len(p + 1, &len);
		p += 1 + head;
		if (!head || len > (size_t)(end - p))
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

/*
 * The series whose tag is at p, FAST_MARGIN bytes or more before the end of the body: its rows from
 * *row on.
 * Gives its end and moves *row; or NULL, when a byte is unusual or the rows are full, and then
 * nothing counts of what was written.
 */
static ALWAYS_INLINE const uint8_t *fast_series(struct scan *s, const uint8_t *p,
    const uint8_t *body_end, struct batch_row **row, const struct batch_row *rows_end)
{
	size_t len, refs_len, head = pbscan_short_len(p + 1, &len);
	p += 1 + head;
	if (UNLIKELY(!head || (size_t)(body_end - p) < len + FAST_MARGIN))
		return NULL;
	const uint8_t *const end = p + len;
	head = pbscan_short_len(p + 1, &refs_len);
	const uint8_t *const refs = p + 1 + head;
	if (UNLIKELY(p[0] != TAG(1, PBSCAN_BYTES) || !head || !refs_len ||
	        refs_len > (size_t)(body_end - refs) || refs + refs_len > end))
		return NULL;
	struct series in = { .created_ms = 0 };
	const uint8_t *const refs_end = refs + refs_len;
	s->start = s->out;
	if (UNLIKELY(!fast_labels(s, refs, refs_end) || !labels_done(s, &in.labels, &in.labels_len)))
		return NULL;
	s->ready = refs;
	s->ready_labels = in;
	struct batch_row *r = *row;
	for (p = refs_end; p < end; r++) {
		size_t item_len = p[1];
		int64_t start_ms;
		if (UNLIKELY(p[0] != TAG(2, PBSCAN_BYTES)) || r == rows_end)
			break;
		if (UNLIKELY(item_len >= 0x80 || item_len + 2 > (size_t)(end - p)))
			return NULL;
		row_is(r, &in);
		if (UNLIKELY(
		        !fast_sample(&s->time, p + 2, p + 2 + item_len, r, &start_ms) || start_ms))
			break;
		p += 2 + item_len;
	}
	if (LIKELY(r > *row)) {
		if (p == end) {
			*row = r;
			return end;
		}
		if (LIKELY(p[0] == TAG(5, PBSCAN_BYTES) && p[1] < 0x80 && p + 2 + p[1] == end)) {
			if (UNLIKELY(!fast_meta(s, refs, refs_end, p + 2, end)))
				return NULL;
			*row = r;
			return end;
		}
	}
	p = fast_mixed(s, p, end, &in, &r, rows_end, r > *row, refs, refs_end);
	if (p)
		*row = r;
	return p;
}

/* Series after series as long as they are usual. Gives the end of the last one. */
static ALWAYS_INLINE const uint8_t *fast_run(struct scan *s, const uint8_t *p)
{
	struct batch *b = s->batch;
	if (!b->rows) /* no room yet; the slow way makes some */
		return p;
	const uint8_t *const body_end = s->end;
	const uint64_t samples_max = s->limits->write_samples - s->samples;
	struct batch_row *const first = b->rows + b->rows_count, *row = first;
	const size_t room = b->rows_cap - b->rows_count;
	const struct batch_row *const rows_end = first + (room < samples_max ? room : samples_max);
	while (body_end - p > FAST_MARGIN && *p == TAG(5, PBSCAN_BYTES) &&
	    s->series < s->limits->write_series) {
		const uint8_t *next = fast_series(s, p, body_end, &row, rows_end);
		if (!next)
			break;
		p = next;
		s->series++;
	}
	b->rows_count += (size_t)(row - first);
	s->samples += (size_t)(row - first);
	return p;
}

static const uint8_t *fast_run_16(struct scan *s, const uint8_t *p)
{
	return fast_run(s, p);
}

#ifdef __x86_64__
__attribute__((target("avx2,bmi,bmi2"))) static const uint8_t *fast_run_32(
    struct scan *s, const uint8_t *p)
{
	return fast_run(s, p);
}
#endif

/* --- the whole encoding --- */

/* What there is in a series, and its labels, before anything is made of it. */
struct found {
	struct feed labels;
	struct pbscan_field ready; /* its labels are there already; start NULL: no */
	struct said said;
	uint64_t rows, exemplars;
	int64_t created_ms;
};

static enum err find_labels(struct scan *s, struct found *found, const struct pbscan_field *f)
{
	struct feed *labels = &found->labels;
	if (!labels->count && !found->ready.start && f->wire == PBSCAN_BYTES && f->data == s->ready) {
		found->ready = *f;
		labels->metric = metric_of(s, f->data, f->data + f->len);
		return ERR_OK;
	}
	if (found->ready.start) { /* they go on: from the beginning */
		enum err e = feed(s, labels, &found->ready);
		found->ready.start = NULL;
		if (e)
			return e;
	}
	return feed(s, labels, f);
}

static enum err find(struct scan *s, const uint8_t *p, const uint8_t *const end, struct found *found)
{
	struct pbscan_field f;
	enum err e = ERR_OK;
	while (p < end && !e) {
		if (!pbscan_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a series");
		if (f.number == 6 && f.wire == PBSCAN_VARINT)
			found->created_ms = (int64_t)f.value;
		if (f.number < 1 || f.number > 5)
			continue;
		if (f.number == 1) {
			e = find_labels(s, found, &f);
			continue;
		}
		if (f.wire != PBSCAN_BYTES)
			return malformed(s, f.start, "wrong wire type in a series");
		if (f.number == 5)
			e = said_read(s, f.data, p, &found->said);
		found->rows += f.number == 2 || f.number == 3;
		found->exemplars += f.number == 4;
	}
	return e;
}

static enum err slow_items(
    struct scan *s, const uint8_t *p, const uint8_t *const end, const struct series *in)
{
	struct pbscan_field f;
	enum err e = ERR_OK;
	while (p < end && !e) {
		CHECK(pbscan_next(&p, end, &f)); /* find() did */
		if (f.number == 4) {
			e = exemplar(s, f.data, p, in);
		} else if (f.number == 2 || f.number == 3) {
			struct batch_row *row = batch_add(s->batch);
			e = f.number == 2 ? sample(s, f.data, p, in, row)
			                  : histogram(s, f.data, p, in, row);
		}
	}
	return e;
}

static void left_alone(struct scan *s, const char *what)
{
	struct batch *b = s->batch;
	if (b->left_why)
		return;
	b->left_why = arena_printf(s->arena, "series %" PRIu64 ": %s", s->series, what);
	if (!b->left_why) /* no memory */
		b->left_why = what;
}

static enum err slow_meta(struct scan *s, const struct found *found)
{
	uint32_t metric = found->labels.metric;
	if (metric == NONE || says_nothing(s, &found->said))
		return ERR_OK;
	s->symbols[metric].meta_len = 0; /* the fast way has not seen this one */
	return meta_put(s, &found->said, metric);
}

static enum err slow_series(struct scan *s, const uint8_t *const start, const uint8_t *const end)
{
	struct batch *b = s->batch;
	struct found found = { .labels = FEED };
	struct series in;
	s->start = s->out;
	enum err e = find(s, start, end, &found);
	if (e)
		return e;
	s->samples += found.rows + found.exemplars;
	if (s->samples > s->limits->write_samples)
		return ERR_OK; /* told by the caller */
	if (found.ready.start)
		in = s->ready_labels;
	else if (!labels_done(s, &in.labels, &in.labels_len))
		return made_too_much(s);
	if (!feed_is_good(s, &found.labels, "")) {
		b->left_rows += found.rows;
		b->left_exemplars += found.exemplars;
		return ERR_OK;
	}
	if (!said_is_good(s, &found.said)) {
		left_alone(s, "its metadata names a string that is not there");
		found.said = (struct said){ 0 };
	}
	if (!found.rows && !found.exemplars && says_nothing(s, &found.said)) {
		left_alone(s, "it has no sample, histogram, exemplar or metadata");
		return ERR_OK;
	}
	in.created_ms = found.created_ms;
	e = slow_items(s, start, end, &in);
	return e ? e : slow_meta(s, &found);
}

/* A field of the request that the fast way did not take. */
static enum err slow_field(struct scan *s, const uint8_t **p)
{
	struct pbscan_field f;
	if (!pbscan_next(p, s->end, &f))
		return malformed(s, f.start, "broken field of the request");
	if (f.number != 4 && f.number != 5)
		return ERR_OK;
	if (f.wire != PBSCAN_BYTES)
		return malformed(s, f.start, "wrong wire type in the request");
	if (f.number == 4 && s->symbols_whole)
		return ERR_OK;
	if (!slow_take(s, f.len + SLOW_FIELD))
		return ERR_AGAIN;
	if (f.number == 4) {
		s->symbols_late = s->series > 0;
		return symbol_add(s, f.data, f.len);
	}
	enum err e = slow_series(s, f.data, *p);
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

static enum err decode(struct scan *s)
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
			e = too_many(s, "series", LIMITS_write_series);
		if (UNLIKELY(s->samples > s->limits->write_samples && !e))
			e = too_many(s, "samples", LIMITS_write_samples);
	}
	return e;
}

/* Once more, now that all strings are known before the first series. */
static enum err decode_again(struct scan *s)
{
	if (!slow_take(s, (size_t)(s->end - s->body)))
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
	struct scan s = { .arena = a,
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
		.slow_left = o ? o->slow_bytes : SIZE_MAX };
	if (len > INT32_MAX)
		return errbuf_set(eb, ERR_TOOBIG, "body of %zu bytes", len);
	const struct before before = before_of(b);
	s.symbols = s.memory->symbols;
	made_max_set(&s);
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
