#include "proto/omet.h"

#include "core/base/rune.h"
#include "proto/expo_scan.h"

#include <math.h>

#define CREATED     "_created"
#define CREATED_LEN (sizeof(CREATED) - 1)

void omet_init(struct omet *o, const char *text, size_t len, bool created)
{
	*o = (struct omet){ .created = created };
	expo_init(&o->x, text, len, 1);
}

static enum expo_entry wrong(struct omet *o, const char *at, const char *why)
{
	o->x.bad = why;
	o->x.at = at;
	return EXPO_BAD;
}

/* ---- samples ---- */

static inline bool ends_token(const char *p, const char *end)
{
	return p < end && (*p == ' ' || *p == '\n');
}

/* A blank, then a float of Go, without those of later versions; NaN as Prometheus has it. */
static inline bool float_take(const char **at, const char *end, double *out)
{
	const char *p = *at, *s;
	if (p == end || *p != ' ')
		return false;
	s = ++p;
	if (LIKELY(num_scan_float(&p, end, out) && ends_token(p, end))) {
		*at = p;
		return true;
	}
	for (p = s; p < end && !ends_token(p, end); p++)
		if (*p == 'p' || *p == 'P' || *p == '_')
			return false;
	if (p == end || num_parse_float(s, (size_t)(p - s), out))
		return false;
	if (isnan(*out))
		*out = num_from_bits(SAMPLE_NAN_BITS);
	*at = p;
	return true;
}

static bool time_take(const char **p, const char *end, int64_t *out)
{
	double v;
	if (!float_take(p, end, &v) || !isfinite(v))
		return false;
	*out = num_i64_go(v * 1000);
	return true;
}

static bool exemplar_follows(const char *p, const char *end)
{
	return end - p > 3 && memcmp(p, " # {", 4) == 0;
}

/* p: at the blank before its hash; NULL: it is wrong. */
static const char *exemplar_take(struct omet *o, const char *p)
{
	const char *end = o->x.end, *close;
	p += 3;
	close = expo_brace_end(p + 1, end);
	if (!close)
		return NULL;
	o->exemplar = p;
	p = close + 1;
	o->exemplar_len = (size_t)(p - o->exemplar);
	if (!float_take(&p, end, &o->exemplar_v))
		return NULL;
	o->exemplar_timed = p < end && *p == ' ';
	if (o->exemplar_timed && !time_take(&p, end, &o->exemplar_t_ms))
		return NULL;
	return p;
}

static inline enum expo_entry sample(struct omet *o, const char *p)
{
	struct expo *x = &o->x;
	const char *end = x->end;
	x->at = x->series = p;
	p = expo_name_end(p, end);
	if (p < end && *p == '{') {
		const char *close = expo_brace_end(p + 1, end);
		if (!close)
			return wrong(o, p, "labels have no end");
		p = close + 1;
	}
	x->series_len = (size_t)(p - x->series);
	const char *at = p;
	if (!float_take(&p, end, &x->v))
		return wrong(o, at, "a blank and a value should stand here");
	x->timed = false;
	if (p < end && *p == ' ' && !exemplar_follows(p, end)) {
		at = p;
		x->timed = true;
		if (!time_take(&p, end, &x->t_ms))
			return wrong(o, at, "a time is no number of seconds");
	}
	o->exemplar = NULL;
	if (exemplar_follows(p, end)) {
		at = p;
		p = exemplar_take(o, p);
		if (!p)
			return wrong(o, at, "an exemplar is malformed");
	}
	if (p == end || *p != '\n')
		return wrong(o, p, "a line should end here");
	x->p = p + 1;
	x->line++;
	return EXPO_SAMPLE;
}

/* ---- metadata ---- */

static const char *family_take(struct omet *o, const char *p)
{
	struct expo *x = &o->x;
	const char *end = x->end;
	if (p < end && *p == '"') {
		x->family = ++p;
		for (; p < end && *p != '"'; p++)
			if (!*p || (*p == '\\' && (++p == end || *p == '\n' || !*p)))
				return NULL;
		x->family_len = (size_t)(p - x->family);
		return p < end ? p + 1 : NULL;
	}
	if (p == end || !expo_name_begins(*p))
		return NULL;
	x->family = p;
	p = expo_name_end(p, end);
	x->family_len = (size_t)(p - x->family);
	return p;
}

static bool type_take(struct expo *x)
{
	for (unsigned i = 0; i < EXPO_TYPES; i++)
		if (bytes_equal(x->text, x->text_len, expo_type_name[i], strlen(expo_type_name[i]))) {
			x->type = (enum expo_type)i;
			return true;
		}
	return false;
}

/* A unit is the end of its family's name. */
static bool unit_fits(const struct expo *x)
{
	if (!x->text_len)
		return true;
	if (x->family_len <= x->text_len)
		return false;
	const char *tail = x->family + x->family_len - x->text_len;
	return tail[-1] == '_' && memcmp(tail, x->text, x->text_len) == 0;
}

static enum expo_entry metadata(struct omet *o, const char *p, enum expo_entry what)
{
	struct expo *x = &o->x;
	const char *word = p;
	p = family_take(o, p);
	if (!p)
		return wrong(o, word, "the name of a metric should stand here");
	if (p == x->end || *p != ' ')
		return wrong(o, p, "a blank and a text should stand here");
	const char *feed = memchr(p, '\n', (size_t)(x->end - p));
	if (!feed)
		return wrong(o, p, "a line has no end");
	x->text = p + 1;
	x->text_len = (size_t)(feed - x->text);
	if (what == EXPO_TYPE && !type_take(x))
		return wrong(o, x->text, "no type of a metric");
	if (what == EXPO_HELP && !rune_valid(x->text, x->text_len))
		return wrong(o, x->text, "a help text is no UTF-8");
	if (what == EXPO_UNIT && !unit_fits(x))
		return wrong(o, x->text, "the name of a metric does not end in its unit");
	o->_family_len = x->family_len;
	x->p = feed + 1;
	x->line++;
	return what;
}

static enum expo_entry end_of_text(struct omet *o, const char *p)
{
	struct expo *x = &o->x;
	p += p < x->end && *p == '\n';
	if (p < x->end)
		return wrong(o, p, "something stands behind # EOF");
	x->p = p;
	return EXPO_END;
}

static enum expo_entry hash(struct omet *o, const char *p)
{
	struct expo *x = &o->x;
	size_t left = (size_t)(x->end - p);
	x->at = p;
	if (left >= 7 && memcmp(p, "# HELP ", 7) == 0)
		return metadata(o, p + 7, EXPO_HELP);
	if (left >= 7 && memcmp(p, "# TYPE ", 7) == 0)
		return metadata(o, p + 7, EXPO_TYPE);
	if (left >= 7 && memcmp(p, "# UNIT ", 7) == 0)
		return metadata(o, p + 7, EXPO_UNIT);
	if (left >= 5 && memcmp(p, "# EOF", 5) == 0)
		return end_of_text(o, p + 5);
	return wrong(o, p, "no comment of OpenMetrics");
}

static enum expo_entry entry(struct omet *o)
{
	const char *p = o->x.p;
	if (p == o->x.end)
		return wrong(o, p, "the text does not end with # EOF");
	if (LIKELY(expo_name_begins(*p) || *p == '{'))
		return sample(o, p);
	if (*p == '#')
		return hash(o, p);
	return wrong(o, p, "no line begins like this");
}

/* ---- created times ---- */

struct piece {
	const char *s;
	size_t len;
};

/* The text of quotes at *p, which goes behind them; false: they have no end. */
static bool quotes(const char **p, const char *end, struct piece *out)
{
	const char *q = *p + 1;
	out->s = q;
	while (q < end && *q != '"')
		q = *q == '\\' ? expo_escaped(q, end) : q + 1;
	out->len = (size_t)(q - out->s);
	*p = q < end ? q + 1 : end;
	return q < end;
}

/* The next label of a series, as it stands; a quoted name of the metric has no value. */
static bool label_next_raw(const char **p, const char *end, struct piece *name, struct piece *value)
{
	const char *q = *p;
	*value = (struct piece){ 0 };
	while (q < end && (*q == '{' || *q == ','))
		q++;
	if (q < end && *q == '"') {
		if (!quotes(&q, end, name))
			return false;
	} else {
		name->s = q;
		q = expo_name_end(q, end);
		name->len = (size_t)(q - name->s);
	}
	if (end - q > 1 && *q == '=' && q[1] == '"') {
		q++;
		if (!quotes(&q, end, value))
			return false;
	} else if (!name->len || (q < end && *q == '=')) {
		return false;
	}
	*p = q;
	return true;
}

/* The name of the metric, wherever it stands; *labels: where they begin, NULL: there are none. */
static struct piece metric_name(const char *s, size_t len, const char **labels)
{
	const char *end = s + len, *p = expo_name_end(s, end);
	struct piece name = { .s = s, .len = (size_t)(p - s) }, value;
	*labels = p < end ? p : NULL;
	for (const char *q = p; !name.len && q < end;) {
		struct piece label;
		if (!label_next_raw(&q, end, &label, &value))
			break;
		if (!value.s)
			name = label;
	}
	return name;
}

/* The next label that says which metric it is. */
static bool own_label(
    const char **p, const char *end, enum expo_type type, struct piece *name, struct piece *value)
{
	while (*p && label_next_raw(p, end, name, value)) {
		if (!value->s ||
		    (type == EXPO_HISTOGRAM && bytes_equal(name->s, name->len, "le", 2)) ||
		    (type == EXPO_SUMMARY && bytes_equal(name->s, name->len, "quantile", 8)))
			continue;
		return true;
	}
	return false;
}

static bool has_created(enum expo_type t)
{
	return t == EXPO_COUNTER || t == EXPO_HISTOGRAM || t == EXPO_SUMMARY;
}

static bool is_created(const char *series, size_t len)
{
	const char *labels;
	struct piece name = metric_name(series, len, &labels);
	return name.len >= CREATED_LEN &&
	    memcmp(name.s + name.len - CREATED_LEN, CREATED, CREATED_LEN) == 0;
}

/* Is the line of a created time of the same metric as this sample? */
static bool same_metric(const struct omet *o, const struct omet_created *c)
{
	const char *s = o->x.series, *t = c->series;
	const char *s_end = s + o->x.series_len, *t_end = t + c->len, *p, *q;
	struct piece mine = metric_name(s, o->x.series_len, &p), of = metric_name(t, c->len, &q),
	             name, value, other, other_value;
	if (mine.len < o->_family_len || of.len - CREATED_LEN != o->_family_len ||
	    memcmp(mine.s, of.s, o->_family_len) != 0)
		return false;
	for (;;) {
		bool more = own_label(&p, s_end, o->x.type, &name, &value);
		if (more != own_label(&q, t_end, o->x.type, &other, &other_value))
			return false;
		if (!more)
			return true;
		if (!bytes_equal(name.s, name.len, other.s, other.len) ||
		    !bytes_equal(value.s, value.len, other_value.s, other_value.len))
			return false;
	}
}

/* From the sample on to the next created time, or to where none can be any more. */
static void look_ahead(struct omet *o)
{
	struct omet ahead = *o;
	o->_next.series = NULL;
	while (entry(&ahead) == EXPO_SAMPLE) {
		if (!is_created(ahead.x.series, ahead.x.series_len))
			continue;
		o->_next = (struct omet_created){
			.series = ahead.x.series, .len = ahead.x.series_len, .v = ahead.x.v
		};
		break;
	}
	o->_seen = o->_next.series ? o->_next.series : ahead.x.p;
}

/* The next created time, or the last one that was used, if it is of this metric. */
static void find_start(struct omet *o)
{
	if (!has_created(o->x.type)) {
		o->_last.series = NULL;
		return;
	}
	if (o->_last.series && same_metric(o, &o->_last)) {
		o->start_ms = num_i64_go(o->_last.v * 1000);
		return;
	}
	if (!o->_seen || o->x.series >= o->_seen)
		look_ahead(o);
	o->_last.series = NULL;
	if (!o->_next.series || !same_metric(o, &o->_next))
		return;
	o->_last = o->_next;
	o->start_ms = num_i64_go(o->_next.v * 1000);
}

enum expo_entry omet_next(struct omet *o)
{
	enum expo_entry e = entry(o);
	if (!o->created || e != EXPO_SAMPLE)
		return e;
	o->start_ms = 0;
	o->start_line = has_created(o->x.type) && is_created(o->x.series, o->x.series_len);
	if (!o->start_line)
		find_start(o);
	return e;
}

bool omet_exemplar(struct arena *a, const struct omet *o, struct expo_labels *out, const char **bad)
{
	return expo_exemplar_labels(a, o->exemplar, o->exemplar_len, out, bad);
}
