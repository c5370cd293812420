#include "proto/expo.h"

#include "core/base/rune.h"
#include "core/base/wire.h"
#include "proto/expo_scan.h"

#include <math.h>
#include <stdlib.h>

#define KEY_LABEL 0x0a /* as core/model/label.c has them */
#define KEY_NAME  0x0a
#define KEY_VALUE 0x12

#define FEW 24 /* labels that are sorted in place */

size_t expo_fmt_float(double v, char *out)
{
	if (isnan(v)) {
		memcpy(out, "NaN", 3);
		return 3;
	}
	if (v == 0)
		v = 0; /* no minus */
	size_t n = num_fmt_g(v, out);
	if (isinf(v) || memchr(out, '.', n) || memchr(out, 'e', n))
		return n;
	memcpy(out + n, ".0", 2);
	return n + 2;
}

/* What an escape stands for; 0: it is none, and stays as it is. */
static char escape(char c, bool quotes)
{
	if (c == '\\')
		return '\\';
	if (c == 'n')
		return '\n';
	return c == '"' && quotes ? '"' : 0;
}

const char *expo_unescape(struct arena *a, const char *s, size_t len, bool quotes, size_t *out_len)
{
	*out_len = len;
	if (!len || !memchr(s, '\\', len))
		return s;
	char *to = arena_alloc(a, len);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = s[i] == '\\' && i + 1 < len ? escape(s[i + 1], quotes) : 0;
		to[n++] = c ? c : s[i];
		i += c != 0;
	}
	*out_len = n;
	return to;
}

struct scan {
	struct arena *arena;
	const char *p, *end, **bad;
	struct expo_labels *out;
	uint32_t cap;
	enum expo_form form;
	enum expo_type type;
	bool exemplar;
};

static bool wrong(struct scan *s, const char *why)
{
	*s->bad = why;
	return false;
}

static void blanks(struct scan *s)
{
	while (s->form == EXPO_TEXT && s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
}

static bool next_is(const struct scan *s, char c)
{
	return s->p < s->end && *s->p == c;
}

struct piece {
	const char *s;
	size_t len;
};

/* The inside of quotes, p at the first; value: a label's, where NULs may stand. */
static bool quoted(struct scan *s, bool value, struct piece *out)
{
	const char *p = s->p + 1;
	bool nuls = value && !s->exemplar;
	bool feeds = s->form == EXPO_TEXT || (!value && !s->exemplar);
	out->s = p;
	for (; p < s->end && *p != '"'; p++) {
		if (*p == '\\') {
			for (p++; nuls && p < s->end && !*p; p++)
				;
			if (p == s->end || *p == '\n' || !*p)
				return wrong(s, "an escape at the end of a line");
		} else if ((*p == '\n' && !feeds) || (!*p && !nuls)) {
			return wrong(s, *p ? "a quote has no end" : "a NUL in quotes");
		}
	}
	if (p >= s->end)
		return wrong(s, "a quote has no end");
	out->len = (size_t)(p - out->s);
	s->p = p + 1;
	return true;
}

static bool text_take(struct scan *s, struct piece *t, const char *what)
{
	if (!rune_valid(t->s, t->len))
		return wrong(s, what);
	if (s->exemplar)
		return true;
	t->s = expo_unescape(s->arena, t->s, t->len, true, &t->len);
	return true;
}

static struct label *label_new(struct scan *s)
{
	struct expo_labels *ls = s->out;
	if (ls->count == s->cap) {
		uint32_t cap = s->cap ? 4 * s->cap : 16;
		struct label *more = arena_array(s->arena, cap, sizeof(*more));
		if (ls->count)
			memcpy(more, ls->items, ls->count * sizeof(*more));
		ls->items = more;
		s->cap = cap;
	}
	return &ls->items[ls->count++];
}

/* le of histograms and quantile of summaries are written as OpenMetrics has them. */
static void canonical_float(struct scan *s, const struct piece *name, struct piece *value)
{
	bool le = s->type == EXPO_HISTOGRAM && bytes_equal(name->s, name->len, "le", 2);
	bool quantile = s->type == EXPO_SUMMARY && bytes_equal(name->s, name->len, "quantile", 8);
	double v;
	char text[NUM_FMT_MAX];
	if ((!le && !quantile) || num_parse_float(value->s, value->len, &v))
		return;
	size_t n = expo_fmt_float(v, text);
	if (bytes_equal(text, n, value->s, value->len))
		return;
	value->s = arena_dup(s->arena, text, n);
	value->len = n;
}

static bool label_add(struct scan *s, struct piece name, struct piece value)
{
	if (!name.len)
		return wrong(s, "a label has no name");
	if (!text_take(s, &name, "a label name is no UTF-8") ||
	    !text_take(s, &value, "a label value is no UTF-8"))
		return false;
	canonical_float(s, &name, &value);
	*label_new(s) = (struct label){ .name = name.s,
		.value = value.s,
		.name_len = (uint32_t)name.len,
		.value_len = (uint32_t)value.len };
	return true;
}

static bool metric_set(struct scan *s, struct piece name)
{
	if (s->exemplar)
		return wrong(s, "a label of an exemplar has no value");
	struct label *l = &s->out->items[0];
	if (l->value)
		return wrong(s, "the metric has two names");
	if (!text_take(s, &name, "the name of a metric is no UTF-8"))
		return false;
	l->value = name.s;
	l->value_len = (uint32_t)name.len;
	return true;
}

static bool label_name(struct scan *s, struct piece *out)
{
	char c = s->p < s->end ? *s->p : 0;
	if (c == '"')
		return quoted(s, false, out);
	if (!expo_name_begins(c) || c == ':')
		return wrong(s, "a label name should stand here");
	out->s = s->p;
	while (s->p < s->end && *s->p != ':' && expo_name_goes_on(*s->p))
		s->p++;
	out->len = (size_t)(s->p - out->s);
	return true;
}

static bool label_value(struct scan *s, struct piece name)
{
	struct piece value;
	if (!next_is(s, '='))
		return wrong(s, "an equals sign should stand here");
	s->p++;
	blanks(s);
	if (!next_is(s, '"'))
		return wrong(s, "a label value should stand here");
	if (!quoted(s, true, &value) || !label_add(s, name, value))
		return false;
	blanks(s);
	if (next_is(s, ','))
		s->p++;
	else if (s->form == EXPO_OPENMETRICS && !next_is(s, '}'))
		return wrong(s, "a comma or a closing brace should stand here");
	return true;
}

/* Behind the brace that opens them. */
static bool labels_take(struct scan *s)
{
	for (;;) {
		struct piece name;
		blanks(s);
		if (next_is(s, '}'))
			break;
		bool in_quotes = next_is(s, '"');
		if (!label_name(s, &name))
			return false;
		blanks(s);
		if (!in_quotes || (!next_is(s, ',') && !next_is(s, '}'))) {
			if (!label_value(s, name))
				return false;
			continue;
		}
		if (!metric_set(s, name))
			return false;
		s->p += next_is(s, ',');
	}
	s->p++;
	return s->p == s->end || wrong(s, "something stands behind the labels");
}

bool expo_labels(struct arena *a, enum expo_form form, const char *series, size_t len,
    enum expo_type type, struct expo_labels *out, const char **bad)
{
	struct scan s = { .arena = a,
		.p = series,
		.end = series + len,
		.bad = bad,
		.out = out,
		.form = form,
		.type = type };
	*out = (struct expo_labels){ 0 };
	if (len > EXPO_SERIES_MAX)
		return wrong(&s, "a series is longer than any may be");
	*label_new(&s) = (struct label){ .name = LABEL_NAME, .name_len = sizeof(LABEL_NAME) - 1 };
	blanks(&s);
	if (s.p < s.end && expo_name_begins(*s.p)) {
		s.p = expo_name_end(s.p, s.end);
		out->items[0].value = series;
		out->items[0].value_len = (uint32_t)(s.p - series);
		blanks(&s);
		if (s.p == s.end)
			return true;
	}
	if (!next_is(&s, '{'))
		return wrong(&s, "labels should stand here");
	s.p++;
	if (!labels_take(&s))
		return false;
	return out->items[0].value_len || wrong(&s, "the metric has no name");
}

bool expo_exemplar_labels(
    struct arena *a, const char *text, size_t len, struct expo_labels *out, const char **bad)
{
	struct scan s = { .arena = a,
		.p = text + 1,
		.end = text + len,
		.bad = bad,
		.out = out,
		.form = EXPO_OPENMETRICS,
		.exemplar = true };
	*out = (struct expo_labels){ 0 };
	return len > EXPO_SERIES_MAX ? wrong(&s, "labels of an exemplar are longer than any may be")
	                             : labels_take(&s);
}

/* ---- canonical bytes ---- */

static int by_name(const void *x, const void *y)
{
	const struct label *a = x, *b = y;
	return bytes_cmp(a->name, a->name_len, b->name, b->name_len);
}

static void sort(struct label *items, uint32_t count)
{
	if (count > FEW) {
		qsort(items, count, sizeof(*items), by_name);
		return;
	}
	for (uint32_t i = 1; i < count; i++) {
		struct label l = items[i];
		uint32_t at = i;
		for (; at > 0 && by_name(&items[at - 1], &l) > 0; at--)
			items[at] = items[at - 1];
		items[at] = l;
	}
}

static size_t inside_len(const struct label *l)
{
	return 2 + wire_varint_len(l->name_len) + l->name_len + wire_varint_len(l->value_len) +
	    l->value_len;
}

static uint8_t *put(uint8_t *to, uint8_t key, const char *s, uint32_t len)
{
	*to++ = key;
	to = wire_store_varint(to, len);
	if (len)
		memcpy(to, s, len);
	return to + len;
}

bool expo_encode(struct arena *a, struct expo_labels *ls, struct labels *out, const char **bad)
{
	size_t total = 0;
	sort(ls->items, ls->count);
	for (uint32_t i = 0; i < ls->count; i++) {
		const struct label *l = &ls->items[i];
		if (i && by_name(l - 1, l) == 0) {
			*bad = label_is_name(l) ? "the metric has two names" : "a label stands twice";
			return false;
		}
		if (label_is_name(l) && !l->value_len) {
			*bad = "the metric has no name";
			return false;
		}
		total += inside_len(l) + 1 + sizeof(uint64_t) + 2;
	}
	uint8_t *bytes = arena_alloc(a, total), *to = bytes;
	for (uint32_t i = 0; i < ls->count; i++) {
		const struct label *l = &ls->items[i];
		if (!l->value_len)
			continue;
		*to++ = KEY_LABEL;
		to = wire_store_varint(to, inside_len(l));
		to = put(to, KEY_NAME, l->name, l->name_len);
		to = put(to, KEY_VALUE, l->value, l->value_len);
	}
	*out = (struct labels){ .bytes = bytes, .len = (uint32_t)(to - bytes) };
	return true;
}
