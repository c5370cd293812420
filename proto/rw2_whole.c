#include <inttypes.h>

#include "proto/pbhist.h"
#include "proto/rw2_priv.h"

#define BUCKETS_SAMPLE 16 /* so many of a histogram count as one more sample */
#define METAS_LOOKED   4  /* newest entries that a new one is compared with */

enum err rw2_malformed(struct rw2_scan *s, const uint8_t *at, const char *what)
{
	return errbuf_set(s->eb, ERR_MALFORMED, "%s at byte %zu", what, (size_t)(at - s->body));
}

enum err rw2_too_many(const struct rw2_scan *s, const char *what, enum limits_id id)
{
	char limit[LIMITS_TEXT_MAX];
	return errbuf_set(s->eb, ERR_TOOBIG, "too many %s in one request, %s", what,
	    limits_text(s->limits, id, limit));
}

enum err rw2_no_memory(const struct rw2_scan *s)
{
	return errbuf_set(s->eb, ERR_NOMEM, "no memory for the labels of a request");
}

/* --- what it may cost --- */

void rw2_made_max_set(struct rw2_scan *s)
{
	uint64_t slow =
	    s->slow_left > UINT64_MAX / LABEL_SHARE ? UINT64_MAX : s->slow_left * LABEL_SHARE;
	s->made_max = s->limits->write_body_bytes < slow ? s->limits->write_body_bytes : slow;
}

bool rw2_slow_take(struct rw2_scan *s, size_t bytes)
{
	if (bytes > s->slow_left)
		return false;
	s->slow_left -= bytes;
	rw2_made_max_set(s);
	return true;
}

enum err rw2_made_too_much(const struct rw2_scan *s)
{
	char limit[LIMITS_TEXT_MAX];
	if (s->made_max < s->limits->write_body_bytes)
		return ERR_AGAIN;
	return errbuf_set(s->eb, ERR_TOOBIG,
	    "the labels of the series take too many bytes when put together, %s",
	    limits_text(s->limits, LIMITS_write_body_bytes, limit));
}

/* --- labels --- */

/* A new piece for more bytes of labels; those of the series that is begun move along. */
static enum err piece_next(struct rw2_scan *s, size_t more)
{
	size_t begun = (size_t)(s->out - s->start), need = begun + more + SLOP;
	size_t size = need > s->piece ? need : s->piece;
	uint8_t *piece = arena_alloc(s->arena, size);
	if (!piece)
		return rw2_no_memory(s);
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

enum err rw2_label_put(struct rw2_scan *s, uint32_t name, uint32_t value)
{
	const struct rw2_symbol *n = &s->symbols[name];
	struct rw2_symbol *v = &s->symbols[value];
	size_t inside = text_size(n->len) + text_size(v->len);
	size_t need = 1 + wire_varint_len(inside) + inside;
	if (s->made + (size_t)(s->out - s->start) + need > s->made_max)
		return rw2_made_too_much(s);
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

enum err rw2_said_read(struct rw2_scan *s, const uint8_t *p, const uint8_t *end, struct rw2_said *said)
{
	struct pbscan_field f;
	*said = (struct rw2_said){ 0 }; /* of two the last one counts */
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return rw2_malformed(s, f.start, "broken field of a metadata entry");
		if (f.number != 1 && f.number != 3 && f.number != 4)
			continue;
		if (f.wire != PBSCAN_VARINT)
			return rw2_malformed(s, f.start, "wrong wire type in a metadata entry");
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
bool rw2_said_is_good(const struct rw2_scan *s, const struct rw2_said *said)
{
	return (!said->help || said->help < s->symbols_count) &&
	    (!said->unit || said->unit < s->symbols_count);
}

static const char *text_of(const struct rw2_scan *s, uint32_t symbol, uint32_t *len)
{
	*len = symbol ? s->symbols[symbol].len : 0;
	return *len ? (const char *)s->body + s->symbols[symbol].at : "";
}

bool rw2_says_nothing(const struct rw2_scan *s, const struct rw2_said *said)
{
	uint32_t help, unit;
	(void)text_of(s, said->help, &help);
	(void)text_of(s, said->unit, &unit);
	return !said->type && !help && !unit;
}

enum err rw2_meta_put(struct rw2_scan *s, const struct rw2_said *said, uint32_t metric)
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
		const struct batch_meta *was = &b->metas[i - 1];
		if (was->family_len == m.family_len && !memcmp(was->family, m.family, m.family_len)) {
			if (meta_equal(was, &m))
				return ERR_OK;
			break; /* changed */
		}
	}
	if (b->metas_count - s->metas_before >= s->limits->write_series)
		return rw2_too_many(s, "metadata entries", LIMITS_write_series);
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

bool rw2_is_name(const struct rw2_scan *s, uint32_t symbol)
{
	const struct rw2_symbol *y = &s->symbols[symbol];
	return label_is_metric_name((const char *)s->body + y->at, y->len);
}

static enum err feed_one(struct rw2_scan *s, struct feed *f, uint64_t value)
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
	if (f->metric == NONE && rw2_is_name(s, f->name))
		f->metric = ref;
	return rw2_label_put(s, f->name, ref);
}

static enum err feed(struct rw2_scan *s, struct feed *f, const struct pbscan_field *field)
{
	if (field->wire == PBSCAN_VARINT)
		return feed_one(s, f, field->value);
	if (field->wire != PBSCAN_BYTES)
		return rw2_malformed(s, field->start, "wrong wire type of label references");
	for (const uint8_t *p = field->data, *end = p + field->len; p < end;) {
		uint64_t v;
		if (!pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &v))
			return rw2_malformed(s, p, "broken label references");
		enum err e = feed_one(s, f, v);
		if (e)
			return e;
	}
	return ERR_OK;
}

/* false: the labels cannot be made of them. what: "exemplar of ", or "". */
static bool feed_is_good(struct rw2_scan *s, const struct feed *f, const char *what)
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

enum err rw2_row_start(struct rw2_scan *s, struct batch_row *row, int64_t start_ms)
{
	struct batch_extra *x = arena_alloc(s->arena, sizeof *x);
	if (!x)
		return rw2_no_memory(s);
	*x = (struct batch_extra){ .v = row->v, .start_ms = start_ms };
	batch_row_extra(s->batch, row, x);
	return ERR_OK;
}

static enum err sample(struct rw2_scan *s, const uint8_t *p, const uint8_t *end,
    const struct rw2_series *in, struct batch_row *row)
{
	struct pbscan_field f;
	int64_t start_ms = 0;
	rw2_row_is(row, in);
	row->t_ms = 0;
	row->v = 0;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return rw2_malformed(s, f.start, "broken field of a sample");
		if (f.number < 1 || f.number > 3)
			continue;
		if (f.wire != (f.number == 1 ? PBSCAN_FIXED64 : PBSCAN_VARINT))
			return rw2_malformed(s, f.start, "wrong wire type in a sample");
		if (f.number == 1)
			row->v = num_from_bits(wire_load64(f.data));
		else if (f.number == 2)
			row->t_ms = (int64_t)f.value;
		else
			start_ms = (int64_t)f.value;
	}
	start_ms = start_ms ? start_ms : in->created_ms;
	return start_ms ? rw2_row_start(s, row, start_ms) : ERR_OK;
}

/* Its row; a bad one says so. Many buckets count as several samples. */
enum err rw2_histogram(struct rw2_scan *s, const uint8_t *p, const uint8_t *end,
    const struct rw2_series *in, struct batch_row *row)
{
	struct pbhist h;
	enum err err = pbhist_decode(p, (size_t)(end - p), s->arena, s->limits, !s->bad_told, &h);
	if (err == ERR_MALFORMED)
		return rw2_malformed(s, h.at, "broken native histogram");
	struct batch_extra *x = err ? NULL : arena_alloc(s->arena, sizeof *x);
	if (!x)
		return errbuf_set(s->eb, ERR_NOMEM, "no memory for a native histogram");
	*x = (struct batch_extra){ .hist = h.hist,
		.start_ms = h.start_ms ? h.start_ms : in->created_ms };
	if (!h.hist) {
		x->bad = h.bad ? h.bad : "as one before";
		s->bad_told = true;
	}
	rw2_row_is(row, in);
	row->t_ms = h.t_ms;
	batch_row_extra(s->batch, row, x);
	s->samples += h.cost / BUCKETS_SAMPLE;
	return ERR_OK;
}

enum err rw2_exemplar(
    struct rw2_scan *s, const uint8_t *p, const uint8_t *end, const struct rw2_series *in)
{
	struct batch_exemplar x = { .labels = in->labels, .labels_len = in->labels_len };
	struct feed own = FEED;
	struct pbscan_field f;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return rw2_malformed(s, f.start, "broken field of an exemplar");
		if (f.number < 1 || f.number > 3)
			continue;
		if (f.number == 1) {
			enum err e = feed(s, &own, &f);
			if (e)
				return e;
			continue;
		}
		if (f.wire != (f.number == 2 ? PBSCAN_FIXED64 : PBSCAN_VARINT))
			return rw2_malformed(s, f.start, "wrong wire type in an exemplar");
		if (f.number == 2)
			x.v = num_from_bits(wire_load64(f.data));
		else
			x.t_ms = (int64_t)f.value;
	}
	if (!rw2_labels_done(s, &x.own, &x.own_len))
		return rw2_made_too_much(s);
	if (feed_is_good(s, &own, "exemplar of "))
		*batch_add_exemplar(s->batch) = x;
	else
		s->batch->left_exemplars++;
	return ERR_OK;
}

uint32_t rw2_metric_of(struct rw2_scan *s, const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		struct rw2_pair l = rw2_pair_next(&p);
		if (l.name == s->name_ref || rw2_is_name(s, l.name)) {
			s->name_ref = l.name;
			return l.value;
		}
	}
	return NONE;
}

/* --- the whole encoding --- */

/* What there is in a series, and its labels, before anything is made of it. */
struct found {
	struct feed labels;
	struct pbscan_field ready; /* its labels are there already; start NULL: no */
	struct rw2_said said;
	struct pbscan_field meta; /* the last one */
	uint64_t rows, exemplars;
	int64_t created_ms;
};

static enum err find_labels(struct rw2_scan *s, struct found *found, const struct pbscan_field *f)
{
	struct feed *labels = &found->labels;
	if (!labels->count && !found->ready.start && f->wire == PBSCAN_BYTES && f->data == s->ready) {
		found->ready = *f;
		labels->metric = rw2_metric_of(s, f->data, f->data + f->len);
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

static enum err find(
    struct rw2_scan *s, const uint8_t *p, const uint8_t *const end, struct found *found)
{
	struct pbscan_field f;
	enum err e = ERR_OK;
	while (p < end && !e) {
		if (!pbscan_next(&p, end, &f))
			return rw2_malformed(s, f.start, "broken field of a series");
		if (f.number == 6 && f.wire == PBSCAN_VARINT)
			found->created_ms = (int64_t)f.value;
		if (f.number < 1 || f.number > 5)
			continue;
		if (f.number == 1) {
			e = find_labels(s, found, &f);
			continue;
		}
		if (f.wire != PBSCAN_BYTES)
			return rw2_malformed(s, f.start, "wrong wire type in a series");
		if (f.number == 5)
			e = rw2_said_read(s, f.data, p, &found->said);
		if (f.number == 5)
			found->meta = f;
		found->rows += f.number == 2 || f.number == 3;
		found->exemplars += f.number == 4;
	}
	return e;
}

static enum err slow_items(
    struct rw2_scan *s, const uint8_t *p, const uint8_t *const end, const struct rw2_series *in)
{
	struct pbscan_field f;
	enum err e = ERR_OK;
	while (p < end && !e) {
		CHECK(pbscan_next(&p, end, &f)); /* find() did */
		if (f.number == 4) {
			e = rw2_exemplar(s, f.data, p, in);
		} else if (f.number == 2 || f.number == 3) {
			struct batch_row *row = batch_add(s->batch);
			e = f.number == 2 ? sample(s, f.data, p, in, row)
			                  : rw2_histogram(s, f.data, p, in, row);
		}
	}
	return e;
}

static void left_alone(struct rw2_scan *s, const char *what)
{
	struct batch *b = s->batch;
	if (b->left_why)
		return;
	b->left_why = arena_printf(s->arena, "series %" PRIu64 ": %s", s->series, what);
	if (!b->left_why) /* no memory */
		b->left_why = what;
}

static enum err slow_meta(struct rw2_scan *s, const struct found *found)
{
	uint32_t metric = found->labels.metric;
	if (metric == NONE || rw2_says_nothing(s, &found->said))
		return ERR_OK;
	struct rw2_symbol *y = &s->symbols[metric];
	const struct pbscan_field *f = &found->meta;
	bool is_short = f->len && f->len <= RW2_META_FAST && s->end - f->data >= RW2_META_FAST;
	y->meta_len = is_short ? (uint8_t)f->len : 0; /* the fast way need not read it then */
	y->meta = is_short ? rw2_meta_key(f->data, f->len) : 0;
	return rw2_meta_put(s, &found->said, metric);
}

enum err rw2_take_series(struct rw2_scan *s, const uint8_t *const start, const uint8_t *const end)
{
	struct batch *b = s->batch;
	struct found found = { .labels = FEED };
	struct rw2_series in;
	s->start = s->out;
	enum err e = find(s, start, end, &found);
	if (e)
		return e;
	s->samples += found.rows + found.exemplars;
	if (s->samples > s->limits->write_samples)
		return ERR_OK; /* told by the caller */
	if (found.ready.start)
		in = s->ready_labels;
	else if (!rw2_labels_done(s, &in.labels, &in.labels_len))
		return rw2_made_too_much(s);
	if (!feed_is_good(s, &found.labels, "")) {
		b->left_rows += found.rows;
		b->left_exemplars += found.exemplars;
		return ERR_OK;
	}
	if (!rw2_said_is_good(s, &found.said)) {
		left_alone(s, "its metadata names a string that is not there");
		found.said = (struct rw2_said){ 0 };
	}
	if (!found.rows && !found.exemplars && rw2_says_nothing(s, &found.said)) {
		left_alone(s, "it has no sample, histogram, exemplar or metadata");
		return ERR_OK;
	}
	in.created_ms = found.created_ms;
	e = slow_items(s, start, end, &in);
	return e ? e : slow_meta(s, &found);
}
