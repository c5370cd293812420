#include "proto/influx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/hash.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/base/wire.h"

/*
 *   influx_next > lines_of > one: influxl_parse > tags_make (labels but the name, encoded) > emit
 *
 * Labels of a row are `before`, the name, `after`: the first and last are made once for a line, and
 * kept for the next one if it begins with the same bytes.
 */

#define NAME_EXTRA 48u /* at most, around a name that is a label */
#define TOO_LONG   "the line is longer than 262144 bytes"
STATIC(INFLUXL_LINE_MAX == 262144);

struct name { /* a tag or field, its name as it is kept */
	const char *name, *value;
	uint32_t name_len, value_len, at;
};
/*
 * Lines of one measurement nearly always have the same fields. What was made of their names is kept
 * for the next one that has them in the same order: of some measurements, each in one place.
 */
#define SHAPES      16u
#define SHAPE_BYTES 16384u /* of labels of one */
struct shape {
	struct buf raw;    /* measurement and names, as they came */
	struct buf labels; /* encoded: the name of each field's metric */
	struct influxl_piece *names;
	uint32_t *ends;       /* in labels; of a name that is not kept as the one before */
	uint32_t count, cap;  /* of names and ends */
	uint32_t measurement; /* bytes of raw */
};
struct influx {
	struct influx_opts opts;
	struct influxl line;
	uint64_t number; /* of the line at hand */
	uint32_t given;  /* rows of it that were given before: its batch was full */
	bool passing;    /* over the rest of a line that is too long */
	struct buf key;  /* measurement and tags that before and after are of */
	struct influxl_piece measurement; /* of it; without p */
	struct buf before, after;         /* encoded */
	struct buf metric;                /* measurement and separator */
	struct buf text;                  /* names and values that are not as they came */
	struct buf tail;                  /* the end of the body, and an LF */
	struct name *names;
	uint32_t names_cap;
	uint32_t *seen; /* a table of fields, 0: free */
	uint32_t seen_cap;
	struct shape *shapes;
	struct shape *shape; /* of the line at hand; NULL: none */
	struct influx_bad *bads;
	size_t bads_count;
	const char *why;
	char why_text[200];
};
const struct influx_opts influx_defaults = { .separator = "_" };

/* ---- times ---- */

static const struct unit {
	const char *name;
	enum influx_precision is;
	bool word;
} units[] = {
	{ "n", INFLUX_NS, false },
	{ "ns", INFLUX_NS, false },
	{ "u", INFLUX_US, false },
	{ "us", INFLUX_US, false },
	{ "ms", INFLUX_MS, false },
	{ "s", INFLUX_S, false },
	{ "m", INFLUX_M, false },
	{ "h", INFLUX_H, false },
	{ "auto", INFLUX_AUTO, true },
	{ "nanosecond", INFLUX_NS, true },
	{ "microsecond", INFLUX_US, true },
	{ "millisecond", INFLUX_MS, true },
	{ "second", INFLUX_S, true },
};

bool influx_precision(const char *s, size_t len, bool words, enum influx_precision *out)
{
	for (size_t i = 0; i < COUNT_OF(units); i++)
		if ((words || !units[i].word) &&
		    bytes_equal(s, len, units[i].name, strlen(units[i].name))) {
			*out = units[i].is;
			return true;
		}
	return false;
}

static enum influx_precision guessed(int64_t t)
{
	uint64_t v = t < 0 ? 0 - (uint64_t)t : (uint64_t)t, e9 = v / 1000000000;
	return e9 < 5 ? INFLUX_S : e9 < 5000 ? INFLUX_MS : e9 < 5000000 ? INFLUX_US : INFLUX_NS;
}

static int64_t floor_div(int64_t t, int64_t by)
{
	return t / by - (t % by < 0);
}

static const struct {
	int64_t times, parts; /* of a millisecond */
} lengths[INFLUX_AUTO] = {
	[INFLUX_NS] = { 1, 1000000 },
	[INFLUX_US] = { 1, 1000 },
	[INFLUX_MS] = { 1, 1 },
	[INFLUX_S] = { 1000, 1 },
	[INFLUX_M] = { 60000, 1 },
	[INFLUX_H] = { 3600000, 1 },
};

/* False: it is further away than milliseconds can say. */
static bool to_ms(enum influx_precision p, int64_t t, int64_t *ms)
{
	if (p == INFLUX_AUTO)
		p = guessed(t);
	int64_t times = lengths[p].times, parts = lengths[p].parts;
	if (parts > 1)
		*ms = floor_div(t, parts);
	return parts > 1 || !__builtin_mul_overflow(t, times, ms);
}

/* ---- names and values ---- */

/* Room for len bytes of the line at hand: room_for_line has made it, so nothing moves. */
static char *text_room(struct influx *x, size_t len)
{
	CHECK(x->text.cap - x->text.len >= len);
	char *to = (char *)x->text.data + x->text.len;
	x->text.len += len;
	return to;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Each character that may not be in a name becomes one underscore. Never longer. */
static size_t sanitise(const char *s, size_t len, bool colon, char *to)
{
	size_t n = 0;
	for (size_t i = 0, width; i < len; i += width) {
		char c = s[i];
		uint32_t rune;
		bool fine = is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    c == '_' || (colon && c == ':');
		width = fine ? 1 : rune_decode(s + i, len - i, &rune);
		width += !width; /* no UTF-8: a byte */
		to[n++] = fine ? c : '_';
	}
	return n;
}

struct word {
	const char *s;
	uint32_t len;
};

static struct word unescaped(struct influx *x, const struct influxl_piece *p, bool equals)
{
	if (LIKELY(!(p->flags & INFLUXL_ESCAPED)))
		return (struct word){ (const char *)p->p, p->len };
	char *to = text_room(x, p->len);
	return (struct word){ to, (uint32_t)influxl_unescape(p, equals, to) };
}

enum place {
	OF_METRIC, /* the begin of a metric's name */
	OF_FIELD,  /* what follows in it */
	OF_LABEL
};

static struct word named(struct influx *x, const struct influxl_piece *p, enum place place)
{
	struct word w = unescaped(x, p, place != OF_METRIC);
	bool digit = place != OF_FIELD && is_digit(*w.s);
	if (x->opts.raw || LIKELY(!(p->flags & INFLUXL_ODD) && !digit))
		return w;
	char *to = text_room(x, w.len + 1u);
	*to = '_';
	size_t n = sanitise(w.s, w.len, place != OF_LABEL, to + digit);
	return (struct word){ to, (uint32_t)n + digit };
}

static void room_for_line(struct influx *x, size_t len)
{
	const struct influxl *l = &x->line;
	x->text.len = 0;
	(void)buf_reserve(&x->text, 2 * len + 2 * (l->tags_count + l->fields_count + 1));
	uint32_t most = l->tags_count + 1 > l->fields_count ? l->tags_count + 1 : l->fields_count;
	if (most > x->names_cap) {
		x->names_cap = most < 32 ? 32 : most;
		x->names = mem_array(x->names, x->names_cap, sizeof(*x->names));
	}
}

static bool wrong(struct influx *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool wrong(struct influx *x, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	rune_vprintf(x->why_text, sizeof(x->why_text), fmt, args);
	va_end(args);
	x->why = x->why_text;
	return false;
}

/* ---- tags ---- */

static int name_cmp(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int c = bytes_cmp(x->name, x->name_len, y->name, y->name_len);
	return c ? c : (x->at > y->at) - (x->at < y->at);
}

static bool same_name(const struct name *a, const struct name *b)
{
	return bytes_equal(a->name, a->name_len, b->name, b->name_len);
}

static bool same_piece(const struct influxl_piece *a, const struct influxl_piece *b)
{
	return bytes_equal(a->p, a->len, b->p, b->len);
}

static bool same_names(struct influx *x, const char *what, const struct influxl_piece *a,
    const struct influxl_piece *b, const struct name *n)
{
	return wrong(x, "%s %.*s and %.*s would both be %.*s", what,
	    (int)rune_cut((const char *)a->p, a->len, 40), (const char *)a->p,
	    (int)rune_cut((const char *)b->p, b->len, 40), (const char *)b->p,
	    (int)rune_cut(n->name, n->name_len, 40), n->name);
}

/* Names and values, sorted by name, each name once, none that is empty. */
static bool tags_list(struct influx *x, uint32_t *count)
{
	const struct influxl *l = &x->line;
	uint32_t n = 0;
	bool sorted = true;
	for (uint32_t i = 0; i < l->tags_count; i++) {
		const struct influxl_tag *t = &l->tags[i];
		if (label_is_metric_name((const char *)t->name.p, t->name.len))
			continue;
		struct word name = named(x, &t->name, OF_LABEL),
		            value = unescaped(x, &t->value, true);
		if (label_is_metric_name(name.s, name.len))
			return wrong(x, "tag %.*s would be the name of the metric",
			    (int)rune_cut((const char *)t->name.p, t->name.len, 40),
			    (const char *)t->name.p);
		x->names[n] = (struct name){ name.s, value.s, name.len, value.len, i };
		sorted &= !n || name_cmp(&x->names[n - 1], &x->names[n]) < 0;
		n++;
	}
	if (!sorted)
		qsort(x->names, n, sizeof(*x->names), name_cmp);
	for (uint32_t i = 1; i < n; i++) {
		if (LIKELY(!same_name(&x->names[i - 1], &x->names[i])))
			continue;
		const struct influxl_piece *a = &l->tags[x->names[i - 1].at].name,
		                           *b = &l->tags[x->names[i].at].name;
		return same_piece(a, b) ? wrong(x, "duplicate tags")
		                        : same_names(x, "tags", a, b, &x->names[i]);
	}
	*count = n;
	return true;
}

/* The label of the database, unless a tag has its name. */
static uint32_t db_add(struct influx *x, uint32_t count)
{
	const struct influx_opts *o = &x->opts;
	if (!o->db_label || !o->db_len)
		return count;
	struct name db = { o->db_label, o->db, (uint32_t)strlen(o->db_label), (uint32_t)o->db_len, 0 };
	uint32_t at = 0;
	while (at < count &&
	    bytes_cmp(x->names[at].name, x->names[at].name_len, db.name, db.name_len) < 0)
		at++;
	if (at < count && same_name(&x->names[at], &db))
		return count;
	memmove(&x->names[at + 1], &x->names[at], (count - at) * sizeof(*x->names));
	x->names[at] = db;
	return count + 1;
}

static void label_put(struct buf *b, const struct name *n)
{
	size_t inner = 2 + wire_varint_len(n->name_len) + n->name_len +
	    wire_varint_len(n->value_len) + n->value_len;
	(void)buf_reserve(b, inner + 11);
	uint8_t *p = b->data + b->len;
	*p++ = 0x0a;
	p = wire_store_varint(p, inner);
	*p++ = 0x0a;
	p = wire_store_varint(p, n->name_len);
	memcpy(p, n->name, n->name_len);
	p += n->name_len;
	*p++ = 0x12;
	p = wire_store_varint(p, n->value_len);
	memcpy(p, n->value, n->value_len);
	b->len = (size_t)(p + n->value_len - b->data);
}

/* Of a line whose begin is another one than that of the last. */
static bool key_make(struct influx *x, const struct limits *limits)
{
	static const struct name metric = { LABEL_NAME, NULL, sizeof(LABEL_NAME) - 1, 0, 0 };
	uint32_t count = 0;
	char limit[LIMITS_TEXT_MAX];
	if (!tags_list(x, &count))
		return false;
	count = db_add(x, count);
	if (count + 1 > limits->write_labels)
		return wrong(x, "%u tags are too many: %s", count,
		    limits_text(limits, LIMITS_write_labels, limit));
	x->before.len = 0;
	x->after.len = 0;
	for (uint32_t i = 0; i < count; i++)
		label_put(name_cmp(&x->names[i], &metric) < 0 ? &x->before : &x->after, &x->names[i]);
	struct word m = named(x, &x->line.measurement, OF_METRIC);
	x->metric.len = 0;
	buf_add(&x->metric, m.s, m.len);
	return true;
}

/* ---- fields ---- */

static bool seen_table(struct influx *x, uint32_t count)
{
	uint32_t cap = 16;
	while (cap < 2 * count)
		cap *= 2;
	if (cap > x->seen_cap) {
		x->seen_cap = cap;
		x->seen = mem_array(x->seen, cap, sizeof(*x->seen));
	}
	memset(x->seen, 0, cap * sizeof(*x->seen));
	for (uint32_t i = 0; i < count; i++) {
		struct name *n = &x->names[i];
		uint32_t at = (uint32_t)hash64(n->name, n->name_len, 0) & (cap - 1);
		while (x->seen[at] && !same_name(&x->names[x->seen[at] - 1], n))
			at = (at + 1) & (cap - 1);
		uint32_t other = x->seen[at];
		x->seen[at] = i + 1;
		if (!other)
			continue;
		const struct influxl_field *f = x->line.fields;
		if (!same_piece(&f[other - 1].name, &f[i].name))
			return same_names(x, "fields", &f[other - 1].name, &f[i].name, n);
		x->names[other - 1].at = UINT32_MAX; /* the later one counts */
	}
	return true;
}

static bool fields_list(struct influx *x)
{
	const struct influxl *l = &x->line;
	size_t key = (size_t)(l->key_end - l->measurement.p);
	bool sorted = true;
	for (uint32_t i = 0; i < l->fields_count; i++) {
		if (UNLIKELY(key + l->fields[i].name.len > INFLUXL_KEY_MAX))
			return wrong(x,
			    "max key size exceeded: %u bytes of measurement, tags and the name of a field",
			    INFLUXL_KEY_MAX);
		struct word w = named(x, &l->fields[i].name, OF_FIELD);
		x->names[i] = (struct name){ w.s, NULL, w.len, 0, i };
		sorted &=
		    !i || bytes_cmp(x->names[i - 1].name, x->names[i - 1].name_len, w.s, w.len) < 0;
	}
	return sorted || seen_table(x, l->fields_count);
}

static size_t name_len(const struct influx *x, const struct name *field)
{
	return x->metric.len + (field ? strlen(x->opts.separator) + field->name_len : 0);
}

/* The label with the metric's name; field NULL: the measurement alone. Returns its end. */
static uint8_t *name_put(const struct influx *x, const struct name *field, uint8_t *p)
{
	size_t len = name_len(x, field), inner = 2 + sizeof(LABEL_NAME) + wire_varint_len(len) + len;
	*p++ = 0x0a;
	p = wire_store_varint(p, inner);
	*p++ = 0x0a;
	*p++ = sizeof(LABEL_NAME) - 1;
	memcpy(p, LABEL_NAME, sizeof(LABEL_NAME) - 1);
	p += sizeof(LABEL_NAME) - 1;
	*p++ = 0x12;
	p = wire_store_varint(p, len);
	memcpy(p, x->metric.data, x->metric.len);
	p += x->metric.len;
	if (!field)
		return p;
	size_t separator = strlen(x->opts.separator);
	memcpy(p, x->opts.separator, separator);
	memcpy(p + separator, field->name, field->name_len);
	return p + separator + field->name_len;
}

/* Labels of a row, in the arena, around the name: len bytes, or of a field. */
static uint8_t *row_labels(struct influx *x, struct arena *a, const uint8_t *name, size_t len,
    const struct name *field, uint32_t *out)
{
	size_t room = name ? len : name_len(x, field) + NAME_EXTRA;
	uint8_t *to = arena_alloc(a, x->before.len + x->after.len + room), *p = to;
	if (x->before.len)
		memcpy(p, x->before.data, x->before.len);
	p += x->before.len;
	if (name)
		memcpy(p, name, len);
	p = name ? p + len : name_put(x, field, p);
	if (x->after.len)
		memcpy(p, x->after.data, x->after.len);
	*out = (uint32_t)(p + x->after.len - to);
	return to;
}

/* ---- shapes ---- */

static struct shape *shape_at(struct influx *x, const struct influxl_piece *m)
{
	uint32_t key = m->len * 7 + m->p[0] + 3u * m->p[m->len / 2] + 5u * m->p[m->len - 1];
	return &x->shapes[key % SHAPES];
}

/* What is likely to come with this measurement. */
static void shape_hint(struct influx *x)
{
	struct influxl *l = &x->line;
	struct shape *s = shape_at(x, &l->measurement);
	bool known = bytes_equal(s->raw.data, s->measurement, l->measurement.p, l->measurement.len);
	l->hints = s->names;
	l->hints_count = known ? s->count : 0;
	x->shape = s;
}

/* Names of the fields of the line at hand, for the next one. NULL: they are too long. */
static struct shape *shape_learn(struct influx *x, bool single)
{
	const struct influxl *l = &x->line;
	struct shape *s = x->shape;
	size_t bytes = l->measurement.len;
	s->count = 0;
	s->measurement = 0;
	for (uint32_t i = 0; i < l->fields_count && bytes <= SHAPE_BYTES; i++)
		bytes += name_len(x, &x->names[i]) + l->fields[i].name.len + NAME_EXTRA;
	if (bytes > SHAPE_BYTES)
		return NULL;
	if (l->fields_count > s->cap) {
		s->cap = l->fields_count < 16 ? 16 : l->fields_count;
		s->names = mem_array(s->names, s->cap, sizeof(*s->names));
		s->ends = mem_array(s->ends, s->cap, sizeof(*s->ends));
	}
	s->raw.len = 0;
	s->labels.len = 0;
	(void)buf_reserve(&s->raw, bytes);
	(void)buf_reserve(&s->labels, bytes);
	buf_add(&s->raw, l->measurement.p, l->measurement.len);
	for (uint32_t i = 0; i < l->fields_count; i++) {
		const struct influxl_piece *n = &l->fields[i].name;
		uint8_t *to = s->labels.data + s->labels.len;
		s->names[i] = (struct influxl_piece){ s->raw.data + s->raw.len, n->len, n->flags };
		buf_add(&s->raw, n->p, n->len);
		if (x->names[i].at != UINT32_MAX)
			s->labels.len += (size_t)(name_put(x, single ? NULL : &x->names[i], to) - to);
		s->ends[i] = (uint32_t)s->labels.len;
	}
	s->measurement = l->measurement.len;
	s->count = l->fields_count;
	return s;
}

static void shapes_release(struct influx *x)
{
	for (size_t i = 0; i < SHAPES; i++) {
		struct shape *s = &x->shapes[i];
		buf_release(&s->raw);
		buf_release(&s->labels);
		mem_free(s->names);
		mem_free(s->ends);
		*s = (struct shape){ .names = NULL };
	}
}

/* ---- rows ---- */

/* A sample of field i; false: the batch is full. s NULL: names are those of x. */
static bool row_make(
    struct influx *x, struct decode *d, const struct shape *s, uint32_t i, int64_t t_ms)
{
	const struct influxl *l = &x->line;
	uint32_t from = s && i ? s->ends[i - 1] : 0, len;
	if (s ? s->ends[i] == from : x->names[i].at == UINT32_MAX)
		return true;
	if (decode_full(d))
		return false;
	bool single = l->fields_count == 1 && x->opts.skip_single;
	const uint8_t *name = s ? s->labels.data + from : NULL;
	uint8_t *labels = row_labels(
	    x, d->arena, name, s ? s->ends[i] - from : 0, single ? NULL : &x->names[i], &len);
	struct batch_row *row = batch_add(d->batch);
	*row = (struct batch_row){
		.labels = labels, .labels_len = len, .t_ms = t_ms, .v = l->fields[i].v
	};
	d->batch->series_count++;
	return true;
}

/* False: the batch is full, the rest of them comes with the next one. */
static bool rows_make(struct influx *x, struct decode *d, const struct shape *s, int64_t t_ms)
{
	const struct influxl *l = &x->line;
	for (uint32_t i = x->given; i < l->fields_count; i++) {
		if (l->fields[i].text) {
			d->skipped++;
			continue;
		}
		if (!row_make(x, d, s, i, t_ms)) {
			x->given = i;
			return false;
		}
	}
	x->given = 0;
	return true;
}

/* ---- lines ---- */

static void bad_line(struct influx *x, struct decode *d, const uint8_t *p, size_t len, const char *why)
{
	const char *s = (const char *)p;
	while (len && (s[len - 1] == '\n' || s[len - 1] == '\r'))
		len--;
	int cut = (int)rune_cut(s, len, INFLUX_BAD_LINE);
	d->records++;
	decode_bad(d, "line %" PRIu64 ": %s: '%.*s'%s", x->number, why, cut, s,
	    (size_t)cut < len ? "..." : "");
	if (x->bads_count == INFLUX_BADS)
		return;
	if (!x->bads)
		x->bads = arena_array(d->keep, INFLUX_BADS, sizeof(*x->bads));
	struct influx_bad *b = &x->bads[x->bads_count++];
	b->line = x->number;
	(void)rune_printf(b->text, sizeof(b->text), "%.*s", cut, s);
	(void)rune_printf(b->why, sizeof(b->why), "%s", why);
}

static uint64_t count_lf(const uint8_t *p, const uint8_t *end)
{
	uint64_t n = 0;
	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		n++;
		p++;
	}
	return n;
}

/* The line begins as the last one did. */
static bool same_key(const struct influx *x, const uint8_t *p, const uint8_t *end)
{
	size_t n = x->key.len;
	return n && (size_t)(end - p) > n && p[n] == ' ' && !memcmp(p, x->key.data, n);
}

/* Rows of a point; false: x->why says why there are none. *done: none are left. */
static bool point(struct influx *x, struct decode *d, size_t len, bool known, bool *done)
{
	const struct influxl *l = &x->line;
	int64_t t_ms = d->now_ms;
	room_for_line(x, len);
	x->why = NULL;
	if (!known) {
		x->key.len = 0;
		if (!key_make(x, d->limits))
			return false;
		/* What stands before the measurement is no part of it. */
		buf_add(&x->key, l->measurement.p, (size_t)(l->key_end - l->measurement.p));
		x->measurement = l->measurement;
	}
	bool as_before = l->as_hinted && l->hints_count;
	if (!as_before && !fields_list(x))
		return false;
	if (l->timed && !to_ms(x->opts.precision, l->time, &t_ms))
		return wrong(x, "timestamp out of range");
	const struct shape *s =
	    as_before ? x->shape : shape_learn(x, l->fields_count == 1 && x->opts.skip_single);
	*done = rows_make(x, d, s, t_ms);
	return true;
}

enum step {
	STEP_ON,
	STEP_OPEN, /* a text has no end before end */
	STEP_FULL
};

/* The line at *p; the byte before end is an LF. */
static enum step one(struct influx *x, struct decode *d, const uint8_t **p, const uint8_t *end)
{
	struct influxl *l = &x->line;
	const uint8_t *line = *p, *next;
	bool known = same_key(x, line, end), done = true, fine = true;
	enum influxl_is is = INFLUXL_POINT;
	if (known) {
		l->measurement = x->measurement;
		l->measurement.p = line;
		l->key_end = line + x->key.len;
	} else {
		is = influxl_parse_key(l, line, end, &next);
	}
	if (is == INFLUXL_POINT) {
		shape_hint(x);
		is = influxl_parse_rest(l, line, end, &next);
	}
	if (is == INFLUXL_OPEN)
		return STEP_OPEN;
	size_t len = (size_t)(next - line);
	if (is == INFLUXL_BAD)
		bad_line(x, d, line, len, l->why);
	else if (len > INFLUXL_LINE_MAX)
		bad_line(x, d, line, len, TOO_LONG);
	else if (is == INFLUXL_POINT)
		fine = point(x, d, len, known, &done);
	if (!fine)
		bad_line(x, d, line, len, x->why);
	else if (is == INFLUXL_POINT && done)
		d->records++;
	if (!done)
		return STEP_FULL;
	x->number += is || l->texts ? count_lf(line, next) : 1;
	*p = next;
	return STEP_ON;
}

/*
 * The rest of the body behind its last LF, or from a text on that is still open there: looked at
 * in a copy that ends with an LF.
 */
static enum step last_ones(struct influx *x, struct decode *d, const uint8_t **p, const uint8_t *end)
{
	size_t len = (size_t)(end - *p);
	if (len > INFLUXL_LINE_MAX)
		return STEP_OPEN;
	x->tail.len = 0;
	buf_add(&x->tail, *p, len);
	buf_add_u8(&x->tail, '\n');
	const uint8_t *from = x->tail.data, *at = from;
	enum step step = one(x, d, &at, from + x->tail.len);
	size_t used = (size_t)(at - from);
	*p += used < len ? used : len;
	return step;
}

/* A line that never ends, or whose text does not: it is one up to its first LF. */
static void open_line(struct influx *x, struct decode *d, const uint8_t **p, const uint8_t *end)
{
	const uint8_t *lf = memchr(*p, '\n', (size_t)(end - *p));
	const uint8_t *next = lf ? lf + 1 : end;
	size_t len = (size_t)(next - *p);
	bad_line(x, d, *p, len, len > INFLUXL_LINE_MAX ? TOO_LONG : x->line.why);
	x->number += lf != NULL;
	x->passing = !lf;
	*p = next;
}

/* The rest of a line that is too long. */
static void pass_over(struct influx *x, const uint8_t **p, const uint8_t *end)
{
	const uint8_t *lf = memchr(*p, '\n', (size_t)(end - *p));
	*p = lf ? lf + 1 : end;
	x->number += lf != NULL;
	x->passing = !lf;
}

static void begin(struct decode *d)
{
	struct influx *x = arena_zalloc(d->keep, sizeof(*x));
	x->opts = d->opts ? *(const struct influx_opts *)d->opts : influx_defaults;
	x->number = 1;
	x->shapes = arena_zalloc(d->keep, SHAPES * sizeof(*x->shapes));
	d->own = x;
}

/* The next line, or what is wrong with it. False: it needs more than there is. */
static bool step_on(struct influx *x, struct decode *d, const uint8_t **p, const uint8_t *lf,
    const uint8_t *end, bool last, enum step *step)
{
	bool ended = lf == end; /* the part ends with an LF */
	*step = *p < lf ? one(x, d, p, lf) : STEP_OPEN;
	if (*step != STEP_OPEN)
		return true;
	if (last && !ended)
		*step = last_ones(x, d, p, end);
	if (*step != STEP_OPEN)
		return true;
	if (!last && (size_t)(end - *p) <= INFLUXL_LINE_MAX)
		return false;
	open_line(x, d, p, end);
	*step = STEP_ON;
	return true;
}

static enum err influx_next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	(void)eb;
	if (!d->own)
		begin(d);
	struct influx *x = d->own;
	const uint8_t *from = *p, *lf = end > *p ? memrchr(*p, '\n', (size_t)(end - *p)) : NULL;
	lf = lf ? lf + 1 : *p; /* behind the last LF */
	enum step step = STEP_ON;
	while (*p < end && step == STEP_ON && (size_t)(*p - from) < DECODE_TURN && !decode_full(d))
		if (x->passing)
			pass_over(x, p, end);
		else if (!step_on(x, d, p, lf, end, last, &step))
			break;
	return ERR_OK;
}

static void influx_end(struct decode *d)
{
	struct influx *x = d->own;
	if (!x)
		return;
	influxl_release(&x->line);
	buf_release(&x->key);
	buf_release(&x->before);
	buf_release(&x->after);
	buf_release(&x->metric);
	buf_release(&x->text);
	buf_release(&x->tail);
	shapes_release(x);
	mem_free(x->names);
	mem_free(x->seen);
	x->names = NULL;
	x->seen = NULL;
}

const struct decoder influx_decoder = {
	.record = "line", .lines = true, .next = influx_next, .end = influx_end
};

const struct influx_bad *influx_bads(const struct decode *d, size_t *count)
{
	const struct influx *x = d->own;
	*count = x ? x->bads_count : 0;
	return x ? x->bads : NULL;
}
