/*
 * expojudge - a second reader of exposed text and OpenMetrics for fuzzers: tokens one by one, as
 * the grammar of Prometheus' lexers has them, byte by byte and without thought of speed.
 *
 * expojudge() gives NULL when proto/expo.h or proto/omet.h makes the same of a text, else what is
 * different: the verdict, or the bytes, labels, values, times or exemplars of a sample.
 */
#ifndef TESTS_LIB_EXPOJUDGE_H
#define TESTS_LIB_EXPOJUDGE_H

#include "core/base/rune.h"
#include "proto/omet.h"

#include <math.h>
#include <stdlib.h>

enum expojudge_token {
	EXPOJUDGE_NONE, /* no token */
	EXPOJUDGE_EOF,
	EXPOJUDGE_FEED,
	EXPOJUDGE_HELP,
	EXPOJUDGE_TYPE,
	EXPOJUDGE_UNIT,
	EXPOJUDGE_EOFWORD,
	EXPOJUDGE_TEXT,
	EXPOJUDGE_COMMENT,
	EXPOJUDGE_METRIC,
	EXPOJUDGE_NAME,
	EXPOJUDGE_QUOTED,
	EXPOJUDGE_OPEN,
	EXPOJUDGE_CLOSE,
	EXPOJUDGE_EQUAL,
	EXPOJUDGE_COMMA,
	EXPOJUDGE_VALUE, /* of a label */
	EXPOJUDGE_NUMBER
};
enum expojudge_state {
	EXPOJUDGE_INIT,
	EXPOJUDGE_META_NAME,
	EXPOJUDGE_META_TEXT,
	EXPOJUDGE_LABELS,
	EXPOJUDGE_LABEL_VALUE,
	EXPOJUDGE_SAMPLE_VALUE,
	EXPOJUDGE_SAMPLE_TIME
};
struct expojudge {
	const char *p, *end, *start; /* start: of the token */
	bool om, exemplar;           /* exemplar: its labels are being read */
	enum expojudge_state state;
	const char *wrong;
};

static inline char expojudge_at(const struct expojudge *j, size_t n)
{
	return (size_t)(j->end - j->p) > n ? j->p[n] : 0;
}

static inline bool expojudge_letter(char c, bool colon)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':');
}

static inline bool expojudge_word(struct expojudge *j, bool colon)
{
	if (!expojudge_letter(expojudge_at(j, 0), colon))
		return false;
	while (expojudge_letter(expojudge_at(j, 0), colon) ||
	    (expojudge_at(j, 0) >= '0' && expojudge_at(j, 0) <= '9'))
		j->p++;
	return true;
}

/* A quoted text; nuls and feeds: may these stand in it? */
static inline bool expojudge_quoted(struct expojudge *j, bool nuls, bool feeds)
{
	if (expojudge_at(j, 0) != '"')
		return false;
	for (j->p++; j->p < j->end; j->p++) {
		if (*j->p == '"') {
			j->p++;
			return true;
		}
		if ((!*j->p && !nuls) || (*j->p == '\n' && !feeds))
			return false;
		if (*j->p != '\\')
			continue;
		for (j->p++; j->p < j->end && !*j->p && nuls; j->p++)
			;
		if (j->p == j->end || *j->p == '\n' || !*j->p)
			return false;
	}
	return false;
}

static inline bool expojudge_run(struct expojudge *j, const char *stops)
{
	const char *from = j->p;
	while (j->p < j->end && *j->p && !strchr(stops, *j->p))
		j->p++;
	return j->p > from;
}

static inline enum expojudge_token expojudge_hash(struct expojudge *j)
{
	static const char *const words[] = { "HELP", "TYPE", "UNIT" };
	static const enum expojudge_token tokens[] = { EXPOJUDGE_HELP, EXPOJUDGE_TYPE,
		EXPOJUDGE_UNIT };
	const char *line = j->p++;
	if (j->om && expojudge_at(j, 0) != ' ')
		return EXPOJUDGE_NONE;
	bool spaced = expojudge_at(j, 0) == ' ' || expojudge_at(j, 0) == '\t';
	do
		j->p += expojudge_at(j, 0) == ' ' || expojudge_at(j, 0) == '\t';
	while (!j->om && (expojudge_at(j, 0) == ' ' || expojudge_at(j, 0) == '\t'));
	for (size_t i = 0; i < COUNT_OF(words) && spaced; i++) {
		if (j->end - j->p < 5 || memcmp(j->p, words[i], 4) != 0 ||
		    (tokens[i] == EXPOJUDGE_UNIT && !j->om))
			continue;
		if (j->p[4] == ' ' || (j->p[4] == '\t' && !j->om)) {
			j->p += 5;
			j->state = EXPOJUDGE_META_NAME;
			return tokens[i];
		}
	}
	if (j->om && j->end - j->p >= 3 && memcmp(j->p, "EOF", 3) == 0) {
		j->p += 3;
		j->p += expojudge_at(j, 0) == '\n';
		return EXPOJUDGE_EOFWORD;
	}
	if (j->om)
		return EXPOJUDGE_NONE;
	if (spaced && j->p < j->end && !*j->p)
		return EXPOJUDGE_EOF;
	for (j->p = line; j->p < j->end && *j->p != '\n'; j->p++)
		if (!*j->p && !spaced)
			return EXPOJUDGE_EOF;
	return EXPOJUDGE_COMMENT;
}

static inline enum expojudge_token expojudge_meta_text(struct expojudge *j)
{
	const char *from = j->p;
	if (j->om && expojudge_at(j, 0) != ' ')
		return EXPOJUDGE_NONE;
	if (j->p < j->end && !*j->p)
		return EXPOJUDGE_NONE;
	while (j->p < j->end && *j->p != '\n')
		j->p++;
	if (j->om && j->p == j->end)
		return EXPOJUDGE_NONE;
	/* of text, blanks alone are none */
	const char *q = from;
	if (!j->om && q < j->p && (*q == ' ' || *q == '\t'))
		while (q < j->p && (*q == ' ' || *q == '\t' || !*q))
			q++;
	j->start = !j->om && q == j->p ? j->p : from;
	j->p += j->om;
	j->state = EXPOJUDGE_INIT;
	return EXPOJUDGE_TEXT;
}

static inline enum expojudge_token expojudge_labels_token(struct expojudge *j)
{
	char c = expojudge_at(j, 0);
	if (c == '"')
		return expojudge_quoted(j, false, !j->exemplar) ? EXPOJUDGE_QUOTED : EXPOJUDGE_NONE;
	if (expojudge_word(j, false))
		return EXPOJUDGE_NAME;
	j->p++;
	if (c == '}')
		j->state = EXPOJUDGE_SAMPLE_VALUE;
	if (c == '=')
		j->state = EXPOJUDGE_LABEL_VALUE;
	return c == '}' ? EXPOJUDGE_CLOSE
	    : c == '='  ? EXPOJUDGE_EQUAL
	    : c == ','  ? EXPOJUDGE_COMMA
	                : EXPOJUDGE_NONE;
}

static inline enum expojudge_token expojudge_next(struct expojudge *j)
{
	while (!j->om && j->state != EXPOJUDGE_META_TEXT &&
	    (expojudge_at(j, 0) == ' ' || expojudge_at(j, 0) == '\t'))
		j->p++;
	j->start = j->p;
	if (j->state == EXPOJUDGE_META_TEXT)
		return expojudge_meta_text(j);
	if (j->p == j->end) { /* text is read as if a line feed stood behind it */
		bool ends = j->om || j->state == EXPOJUDGE_INIT;
		j->state = EXPOJUDGE_INIT;
		return ends ? EXPOJUDGE_EOF : EXPOJUDGE_FEED;
	}
	char c = *j->p;
	switch (j->state) {
	case EXPOJUDGE_INIT:
		if (c == '#')
			return expojudge_hash(j);
		if (!j->om && (c == '\n' || !c)) {
			j->p++;
			return c ? EXPOJUDGE_FEED : EXPOJUDGE_EOF;
		}
		if (c == '{') {
			j->p++;
			j->state = EXPOJUDGE_LABELS;
			return EXPOJUDGE_OPEN;
		}
		j->state = EXPOJUDGE_SAMPLE_VALUE;
		return expojudge_word(j, true) ? EXPOJUDGE_METRIC : EXPOJUDGE_NONE;
	case EXPOJUDGE_META_NAME:
		j->state = EXPOJUDGE_META_TEXT;
		return expojudge_word(j, true) || expojudge_quoted(j, false, true) ? EXPOJUDGE_METRIC
		                                                                   : EXPOJUDGE_NONE;
	case EXPOJUDGE_META_TEXT:
		break;
	case EXPOJUDGE_LABELS:
		return expojudge_labels_token(j);
	case EXPOJUDGE_LABEL_VALUE:
		j->state = EXPOJUDGE_LABELS;
		return expojudge_quoted(j, !j->exemplar, !j->om) ? EXPOJUDGE_VALUE : EXPOJUDGE_NONE;
	case EXPOJUDGE_SAMPLE_VALUE:
	case EXPOJUDGE_SAMPLE_TIME:
		if (c == '{' && !j->exemplar && j->state == EXPOJUDGE_SAMPLE_VALUE) {
			j->p++;
			j->state = EXPOJUDGE_LABELS;
			return EXPOJUDGE_OPEN;
		}
		if (c == '\n' && j->state == EXPOJUDGE_SAMPLE_TIME) {
			j->p++;
			j->state = EXPOJUDGE_INIT;
			return EXPOJUDGE_FEED;
		}
		if (j->om && !j->exemplar && j->state == EXPOJUDGE_SAMPLE_TIME &&
		    j->end - j->p > 3 && memcmp(j->p, " # {", 4) == 0) {
			j->p += 4;
			j->state = EXPOJUDGE_LABELS;
			j->exemplar = true;
			return EXPOJUDGE_COMMENT;
		}
		if (j->om && (c != ' ' || (j->p++, false)))
			return EXPOJUDGE_NONE;
		j->start = j->p;
		bool value = j->state == EXPOJUDGE_SAMPLE_VALUE;
		j->state = EXPOJUDGE_SAMPLE_TIME;
		return expojudge_run(j,
		           j->om       ? " \n"
		               : value ? "{ \t\n"
		                       : " \t\n")
		    ? EXPOJUDGE_NUMBER
		    : EXPOJUDGE_NONE;
	}
	return EXPOJUDGE_NONE;
}

struct expojudge_sample {
	const char *series;
	size_t series_len;
	double v, exemplar_v;
	int64_t t_ms, exemplar_t_ms;
	bool timed, exemplar, exemplar_timed;
	struct label *labels, *exemplar_labels; /* [0] is the name; of an exemplar there is none */
	size_t labels_count, exemplar_count;
};

static inline bool expojudge_float(const char *s, size_t len, double *out)
{
	for (size_t i = 0; i < len; i++)
		if (strchr("pP_", s[i]))
			return false;
	return !num_parse_float(s, len, out);
}

static inline void expojudge_unescape(struct arena *a, const char **s, uint32_t *len)
{
	char *to = arena_alloc(a, *len + 1);
	uint32_t n = 0;
	for (uint32_t i = 0; i < *len; i++) {
		char c = (*s)[i], next = i + 1 < *len ? (*s)[i + 1] : 0;
		if (c == '\\' && (next == '\\' || next == '"' || next == 'n')) {
			c = next == 'n' ? '\n' : next;
			i++;
		}
		to[n++] = c;
	}
	*s = to;
	*len = n;
}

/* A label; false: one of its texts is no UTF-8. Escapes of exemplars stay. */
static inline bool expojudge_label(struct arena *a, struct label *l, bool exemplar)
{
	if (!rune_valid(l->name, l->name_len) || !rune_valid(l->value, l->value_len))
		return false;
	if (exemplar)
		return true;
	expojudge_unescape(a, &l->name, &l->name_len);
	expojudge_unescape(a, &l->value, &l->value_len);
	return true;
}

/* Behind the brace that opens them, to the one that closes them. */
static inline bool expojudge_labels(
    struct expojudge *j, struct arena *a, struct label *out, size_t *count)
{
	bool exemplar = j->exemplar;
	enum expojudge_token t = expojudge_next(j);
	while (t != EXPOJUDGE_CLOSE) {
		struct label l = { .name = j->start, .name_len = (uint32_t)(j->p - j->start) };
		bool quoted = t == EXPOJUDGE_QUOTED;
		if (t != EXPOJUDGE_NAME && !quoted)
			return false;
		if (quoted) {
			l.name++;
			l.name_len -= 2;
		}
		t = expojudge_next(j);
		if (quoted && (t == EXPOJUDGE_COMMA || t == EXPOJUDGE_CLOSE)) {
			if (exemplar || out[0].value)
				return false;
			out[0].value = l.name;
			out[0].value_len = l.name_len;
			if (t == EXPOJUDGE_COMMA)
				t = expojudge_next(j);
			continue;
		}
		if (t != EXPOJUDGE_EQUAL || expojudge_next(j) != EXPOJUDGE_VALUE || !l.name_len)
			return false;
		l.value = j->start + 1;
		l.value_len = (uint32_t)(j->p - j->start - 2);
		if (!expojudge_label(a, &l, exemplar))
			return false;
		out[(*count)++] = l;
		t = expojudge_next(j);
		if (t == EXPOJUDGE_COMMA)
			t = expojudge_next(j);
		else if (j->om && t != EXPOJUDGE_CLOSE)
			return false;
	}
	return true;
}

static inline bool expojudge_seconds(struct expojudge *j, int64_t *out)
{
	double v;
	if (!expojudge_float(j->start, (size_t)(j->p - j->start), &v) || !isfinite(v))
		return false;
	*out = num_i64_go(v * 1000);
	return true;
}

static inline bool expojudge_exemplar(
    struct expojudge *j, struct arena *a, struct expojudge_sample *s)
{
	s->exemplar = true;
	s->exemplar_labels = arena_array(a, (size_t)(j->end - j->p) + 2, sizeof(*s->exemplar_labels));
	if (!expojudge_labels(j, a, s->exemplar_labels, &s->exemplar_count) ||
	    expojudge_next(j) != EXPOJUDGE_NUMBER ||
	    !expojudge_float(j->start, (size_t)(j->p - j->start), &s->exemplar_v))
		return false;
	enum expojudge_token t = expojudge_next(j);
	if (t == EXPOJUDGE_NUMBER) {
		s->exemplar_timed = true;
		if (!expojudge_seconds(j, &s->exemplar_t_ms))
			return false;
		t = expojudge_next(j);
	}
	return t == EXPOJUDGE_FEED;
}

/* From the token behind the series on to the end of the line. */
static inline bool expojudge_rest(
    struct expojudge *j, struct arena *a, enum expojudge_token t, struct expojudge_sample *s)
{
	if (t != EXPOJUDGE_NUMBER || !s->labels[0].value_len ||
	    !rune_valid(s->labels[0].value, s->labels[0].value_len) ||
	    !expojudge_float(j->start, (size_t)(j->p - j->start), &s->v))
		return false;
	expojudge_unescape(a, &s->labels[0].value, &s->labels[0].value_len);
	t = expojudge_next(j);
	if (t == EXPOJUDGE_NUMBER) {
		size_t len = (size_t)(j->p - j->start);
		s->timed = true;
		if (j->om ? !expojudge_seconds(j, &s->t_ms)
		          : *j->start == '-' || *j->start == '+' ||
		            num_parse_i64(j->start, len, &s->t_ms))
			return false;
		t = expojudge_next(j);
	}
	if (t == EXPOJUDGE_COMMENT && j->exemplar) {
		bool good = expojudge_exemplar(j, a, s);
		j->exemplar = false;
		return good;
	}
	return t == EXPOJUDGE_FEED;
}

/* A sample whose first token is t. */
static inline bool expojudge_sample(struct expojudge *j, struct arena *a, const char *line,
    enum expojudge_token t, struct expojudge_sample *s)
{
	*s = (struct expojudge_sample){ .series = line };
	s->labels = arena_array(a, (size_t)(j->end - line) + 2, sizeof(*s->labels));
	s->labels[0] = (struct label){ .name = LABEL_NAME, .name_len = sizeof(LABEL_NAME) - 1 };
	s->labels_count = 1;
	if (t == EXPOJUDGE_METRIC) {
		s->labels[0].value = line; /* with the blanks before it */
		s->labels[0].value_len = (uint32_t)(j->p - line);
		s->series_len = (size_t)(j->p - line);
		t = expojudge_next(j);
	}
	if (t == EXPOJUDGE_OPEN) {
		if (!expojudge_labels(j, a, s->labels, &s->labels_count))
			return false;
		s->series_len = (size_t)(j->p - line);
		t = expojudge_next(j);
	}
	return expojudge_rest(j, a, t, s);
}

static inline bool expojudge_meta(struct expojudge *j, enum expojudge_token what)
{
	static const char *const old[] = { "counter", "gauge", "histogram", "summary", "untyped" };
	static const char *const om[] = { "counter", "gauge", "histogram", "summary", "unknown",
		"gaugehistogram", "info", "stateset" };
	if (expojudge_next(j) != EXPOJUDGE_METRIC)
		return false;
	const char *name_end = j->p, *name = j->start;
	if (*name == '"') {
		name++;
		name_end--;
	}
	if (expojudge_next(j) != EXPOJUDGE_TEXT)
		return false;
	const char *text = j->start + (j->p > j->start), *end = j->p - (j->om && j->p > j->start);
	size_t len = end > text ? (size_t)(end - text) : 0;
	if (what == EXPOJUDGE_UNIT && len &&
	    ((size_t)(name_end - name) < len + 1 || memcmp(name_end - len, text, len) != 0 ||
	        name_end[-(ptrdiff_t)len - 1] != '_'))
		return false;
	if (what == EXPOJUDGE_HELP)
		return rune_valid(text, len);
	bool known = what != EXPOJUDGE_TYPE;
	for (size_t i = 0; i < (j->om ? COUNT_OF(om) : COUNT_OF(old)); i++)
		known |=
		    bytes_equal(text, len, j->om ? om[i] : old[i], strlen(j->om ? om[i] : old[i]));
	return known;
}

static inline bool expojudge_same_labels(
    const struct label *a, size_t a_count, const struct label *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (!bytes_equal(a[i].name, a[i].name_len, b[i].name, b[i].name_len) ||
		    !bytes_equal(a[i].value, a[i].value_len, b[i].value, b[i].value_len))
			return false;
	return true;
}

/* The next sample of ours; NULL and *end: there is none, NULL alone: it is bad. */
static inline bool expojudge_ours(struct arena *a, struct omet *o, bool om, struct expo_labels *ls,
    struct expo_labels *own, bool *end)
{
	const char *bad;
	enum expo_entry e;
	do
		e = om ? omet_next(o) : expo_next(&o->x);
	while (e != EXPO_END && e != EXPO_BAD && e != EXPO_SAMPLE);
	*end = e == EXPO_END;
	/* le and quantile are left as they stand */
	return e == EXPO_SAMPLE &&
	    expo_labels(a, om ? EXPO_OPENMETRICS : EXPO_TEXT, o->x.series, o->x.series_len,
	        EXPO_UNKNOWN, ls, &bad) &&
	    (!om || !o->exemplar || omet_exemplar(a, o, own, &bad));
}

static inline const char *expojudge_compare(const struct expojudge_sample *s, const struct omet *o,
    bool om, const struct expo_labels *ls, const struct expo_labels *own)
{
	const struct expo *x = &o->x;
	if (s->series != x->series || s->series_len != x->series_len)
		return "other bytes of a series";
	if (num_bits(s->v) != num_bits(x->v) && !(isnan(s->v) && isnan(x->v)))
		return "another value";
	if (s->timed != x->timed || (s->timed && s->t_ms != x->t_ms))
		return "another time";
	if (!expojudge_same_labels(s->labels, s->labels_count, ls->items, ls->count))
		return "other labels";
	if (!om)
		return NULL;
	if (s->exemplar != (o->exemplar != NULL))
		return "another exemplar";
	if (!s->exemplar)
		return NULL;
	if (s->exemplar_timed != o->exemplar_timed ||
	    (s->exemplar_timed && s->exemplar_t_ms != o->exemplar_t_ms) ||
	    (num_bits(s->exemplar_v) != num_bits(o->exemplar_v) && !isnan(s->exemplar_v)) ||
	    !expojudge_same_labels(s->exemplar_labels, s->exemplar_count, own->items, own->count))
		return "another exemplar";
	return NULL;
}

/* The judge's next sample; as expojudge_ours. */
static inline bool expojudge_its(
    struct expojudge *j, struct arena *a, struct expojudge_sample *s, bool *end)
{
	*end = false;
	for (;;) {
		const char *line = j->p;
		enum expojudge_token t = expojudge_next(j);
		if (t == EXPOJUDGE_EOF || t == EXPOJUDGE_EOFWORD) {
			*end = !j->om || (t == EXPOJUDGE_EOFWORD && j->p == j->end);
			return false;
		}
		if (t == EXPOJUDGE_METRIC || t == EXPOJUDGE_OPEN)
			return expojudge_sample(j, a, line, t, s);
		if (t == EXPOJUDGE_HELP || t == EXPOJUDGE_TYPE || t == EXPOJUDGE_UNIT) {
			if (!expojudge_meta(j, t))
				return false;
		} else if (t != EXPOJUDGE_FEED && t != EXPOJUDGE_COMMENT) {
			return false;
		}
	}
}

static inline const char *expojudge(const char *text, size_t len, bool om)
{
	struct expojudge j = { .p = text, .end = text + len, .om = om };
	struct omet o;
	struct arena a;
	const char *wrong = NULL;
	bool its_end, our_end;
	arena_init(&a, 4096);
	omet_init(&o, text, len, false);
	do {
		struct expojudge_sample s;
		struct expo_labels ls, own;
		arena_reset(&a, SIZE_MAX);
		bool its = expojudge_its(&j, &a, &s, &its_end);
		bool ours = expojudge_ours(&a, &o, om, &ls, &own, &our_end);
		if (its != ours || its_end != our_end)
			wrong = its || its_end ? "an error where there is none" : "no error";
		else if (its)
			wrong = expojudge_compare(&s, &o, om, &ls, &own);
		else
			break;
	} while (!wrong);
	arena_release(&a);
	return wrong;
}

#endif
