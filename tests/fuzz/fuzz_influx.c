/*
 * Lines of InfluxDB. Judges: a second reader, written as the rules stand in its documentation, one
 * line at a time and one character at a time, gives the same rows; a body cut into parts gives the
 * same as the whole; labels are canonical.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>

#include "core/base/rune.h"
#include "proto/influx.h"
#include "tests/lib/drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text { /* of a name or value */
	char s[4096];
	size_t len;
};
struct pair {
	struct text name, value;
};
struct judge {
	const char *p, *end;
	struct text measurement;
	struct pair tags[64], fields[64];
	size_t tags_count, fields_count;
	struct buf out;
	bool gave_up; /* more than it has room for */
};

/* One character of a piece, without its escape; false: the piece ends here. */
static bool step(struct judge *j, const char *stops, const char *escapes, char *c)
{
	if (j->p == j->end || strchr(stops, *j->p))
		return j->p < j->end && !*j->p ? (*c = *j->p++, true) : false;
	if (*j->p == '\\' && j->p + 1 < j->end && j->p[1] && strchr(escapes, j->p[1]))
		j->p++;
	*c = *j->p++;
	return true;
}

static void piece(struct judge *j, const char *stops, const char *escapes, struct text *out)
{
	char c;
	out->len = 0;
	while (step(j, stops, escapes, &c))
		if (out->len < sizeof(out->s))
			out->s[out->len++] = c;
		else
			j->gave_up = true;
}

static char peek(const struct judge *j)
{
	return j->p < j->end ? *j->p : '\n';
}

/* The raw text of a value; false: a text without an end. */
static bool value(struct judge *j, struct text *out)
{
	bool text = peek(j) == '"';
	const char *from = j->p;
	if (text) {
		for (j->p++; j->p < j->end && *j->p != '"'; j->p++)
			if (*j->p == '\\' && j->p + 1 < j->end && (j->p[1] == '"' || j->p[1] == '\\'))
				j->p++;
		if (j->p == j->end)
			return false;
		j->p++;
	} else
		while (j->p < j->end && *j->p != ',' && *j->p != ' ')
			j->p++;
	out->len = (size_t)(j->p - from);
	if (out->len > sizeof(out->s))
		j->gave_up = true;
	else if (out->len)
		memcpy(out->s, from, out->len);
	return true;
}

static bool clean(struct text *t, bool colon, bool first)
{
	struct text to = { .len = 0 };
	uint32_t rune;
	for (size_t i = 0, w; i < t->len; i += w) {
		w = rune_decode(t->s + i, t->len - i, &rune);
		bool fine = w == 1 &&
		    (isalnum((unsigned char)t->s[i]) || t->s[i] == '_' || (colon && t->s[i] == ':'));
		if (first && !i && isdigit((unsigned char)t->s[i]))
			to.s[to.len++] = '_';
		to.s[to.len++] = fine ? t->s[i] : '_';
		w = w ? w : 1;
		if (to.len + 2 > sizeof(to.s))
			return false;
	}
	*t = to;
	return true;
}

/* 0 a number, 1 a text, -1 none. */
static int number(const struct text *v, double *out)
{
	static const char *const yes[] = { "t", "T", "true", "True", "TRUE" };
	static const char *const no[] = { "f", "F", "false", "False", "FALSE" };
	char s[sizeof(v->s) + 1];
	memcpy(s, v->s, v->len);
	s[v->len] = 0;
	if (v->len && *s == '"')
		return 1;
	if (!v->len || strlen(s) != v->len)
		return -1;
	for (size_t i = 0; i < COUNT_OF(yes); i++) {
		*out = !strcmp(s, yes[i]);
		if (*out || !strcmp(s, no[i]))
			return 0;
	}
	size_t digits = strspn(s, "-0123456789");
	char *end;
	if (digits == v->len - 1 && (s[digits] == 'i' || s[digits] == 'u') && digits) {
		bool is_signed = s[digits] == 'i';
		s[digits] = 0;
		int64_t i = 0;
		uint64_t u = 0;
		if (is_signed ? num_parse_i64(s, digits, &i) : num_parse_u64(s, digits, &u))
			return -1;
		*out = is_signed ? (double)i : (double)u;
		return 0;
	}
	if (strspn(s, "+-.eE0123456789") != v->len || *s == '+')
		return -1;
	*out = strtod(s, &end);
	return *end || end == s || isinf(*out) ? -1 : 0;
}

static int pair_cmp(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	return bytes_cmp(x->name.s, x->name.len, y->name.s, y->name.len);
}

static bool tags(struct judge *j)
{
	while (peek(j) == ',') {
		struct pair *t = &j->tags[j->tags_count];
		j->p++;
		piece(j, "=, ", ",= ", &t->name);
		if (peek(j) != '=')
			return false;
		j->p++;
		piece(j, "=, ", ",= ", &t->value);
		if (peek(j) == '=')
			return false;
		if (!t->name.len || !t->value.len || label_is_metric_name(t->name.s, t->name.len))
			continue;
		j->gave_up |= !clean(&t->name, false, true);
		if (label_is_metric_name(t->name.s, t->name.len))
			return false;
		if (++j->tags_count == COUNT_OF(j->tags)) {
			j->gave_up = true;
			return false;
		}
	}
	qsort(j->tags, j->tags_count, sizeof(j->tags[0]), pair_cmp);
	for (size_t i = 1; i < j->tags_count; i++)
		if (!pair_cmp(&j->tags[i - 1], &j->tags[i]))
			return false;
	return true;
}

/* Names of fields as they came are kept in value.s behind the value: equal ones are one. */
static bool fields(struct judge *j)
{
	static struct text raw[64];
	for (;; j->p++) {
		struct pair *f = &j->fields[j->fields_count];
		const char *from = j->p;
		piece(j, "=, ", ",= ", &f->name);
		if (peek(j) != '=' || !f->name.len)
			return false;
		raw[j->fields_count].len = (size_t)(j->p - from);
		if (raw[j->fields_count].len > sizeof(raw[0].s)) {
			j->gave_up = true;
			return false;
		}
		memcpy(raw[j->fields_count].s, from, raw[j->fields_count].len);
		j->p++;
		double ignored;
		if (!value(j, &f->value) || number(&f->value, &ignored) < 0)
			return false;
		j->gave_up |= !clean(&f->name, true, false);
		for (size_t i = 0; i < j->fields_count; i++) {
			if (!j->fields[i].name.len || pair_cmp(&j->fields[i], f) != 0)
				continue;
			if (!bytes_equal(raw[i].s, raw[i].len, raw[j->fields_count].s,
			        raw[j->fields_count].len))
				return false;
			j->fields[i].value.s[0] = '"'; /* the later one counts */
			j->fields[i].value.len = 2;
		}
		if (++j->fields_count == COUNT_OF(j->fields)) {
			j->gave_up = true;
			return false;
		}
		if (peek(j) != ',')
			return j->p == j->end || *j->p == ' ';
	}
}

static void blanks(struct judge *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || !*j->p))
		j->p++;
}

static bool timestamp(struct judge *j, int64_t *ms)
{
	int64_t t = 0;
	*ms = DRIVE_NOW_MS;
	blanks(j);
	if (j->p == j->end)
		return true;
	const char *from = j->p;
	while (j->p < j->end && (isdigit((unsigned char)*j->p) || (j->p == from && *j->p == '-')))
		j->p++;
	if (num_parse_i64(from, (size_t)(j->p - from), &t))
		return false;
	*ms = (int64_t)floorl((long double)t / 1000000);
	blanks(j);
	return j->p == j->end;
}

static void rows(struct judge *j, int64_t ms)
{
	struct arena a;
	arena_init(&a, 4096);
	for (size_t i = 0; i < j->fields_count; i++) {
		double v;
		struct label_builder b;
		char name[3 * sizeof(j->measurement.s)], text[NUM_FMT_MAX];
		if (number(&j->fields[i].value, &v))
			continue;
		label_builder_init(&b, &a);
		int n = snprintf(name, sizeof(name), "%.*s_%.*s", (int)j->measurement.len,
		    j->measurement.s, (int)j->fields[i].name.len, j->fields[i].name.s);
		label_builder_set(&b, LABEL_NAME, strlen(LABEL_NAME), name, (size_t)n);
		for (size_t k = 0; k < j->tags_count; k++)
			label_builder_set(&b, j->tags[k].name.s, j->tags[k].name.len,
			    j->tags[k].value.s, j->tags[k].value.len);
		label_text_metric(&j->out, label_builder_done(&b));
		buf_add_u8(&j->out, ' ');
		buf_add(&j->out, text, num_fmt_g(v, text));
		buf_printf(&j->out, " @%" PRId64 "\n", ms);
	}
	arena_release(&a);
}

/* The line from p to end, without its LF; false: it is a bad one. */
static bool line(struct judge *j)
{
	int64_t ms;
	blanks(j);
	if (j->p == j->end || *j->p == '#')
		return true;
	j->tags_count = j->fields_count = 0;
	piece(j, ", ", ", ", &j->measurement);
	if (!j->measurement.len || !tags(j) || j->gave_up || peek(j) != ' ')
		return false;
	j->gave_up |= !clean(&j->measurement, true, true);
	blanks(j);
	if (!fields(j) || !timestamp(j, &ms) || j->gave_up)
		return false;
	rows(j, ms);
	return true;
}

/*
 * Where a line ends: an LF in a text of a field is inside, if the text ends; whether a quote begins
 * one is seen behind the first blank that has no backslash, at "=.
 */
static const char *line_end(const char *p, const char *end)
{
	bool key = true;
	while (p < end && (*p == ' ' || *p == '\t' || !*p))
		p++;
	const char *first = p;
	while (first < end && *first != '\n')
		first++;
	if (p < end && *p == '#')
		return first;
	for (; p < end && *p != '\n'; p++) {
		if (*p == '\\' && p + 1 < end && (p[1] == ',' || p[1] == ' ' || p[1] == '=')) {
			p++;
			continue;
		}
		key &= *p != ' ';
		if (key || *p != '=' || p + 1 == end || p[1] != '"')
			continue;
		for (p += 2; p < end && *p != '"'; p++)
			if (*p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
				p++;
		if (p >= end)
			return first;
	}
	return p;
}

static uint64_t judge(struct judge *j, const char *body, size_t len)
{
	uint64_t bad = 0;
	const char *end = body + len;
	for (const char *p = body; p < end && !j->gave_up;) {
		const char *lf = line_end(p, end);
		j->p = p;
		j->end = lf > p && lf < end && lf[-1] == '\r' ? lf - 1 : lf;
		if (lf == end && lf > p && lf[-1] == '\r')
			j->end = lf - 1;
		bad += !line(j);
		p = lf + 1;
	}
	return bad;
}

static void same(struct drive *a, struct drive *b)
{
	if (strcmp(drive_text(a), drive_text(b)) != 0 || a->d.bad != b->d.bad ||
	    a->d.records != b->d.records || a->d.skipped != b->d.skipped || a->rows != b->rows)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct judge j;
	struct drive whole, parts;
	if (!size)
		return 0;
	size_t part = 1 + data[0] % 64;
	data++;
	size--;
	drive_init(&whole, &influx_decoder, NULL);
	drive_init(&parts, &influx_decoder, NULL);
	if (drive(&whole, data, size, SIZE_MAX) || drive(&parts, data, size, part))
		abort();
	same(&whole, &parts);
	j = (struct judge){ .p = NULL };
	buf_init(&j.out);
	uint64_t bad = judge(&j, (const char *)data, size);
	buf_add_u8(&j.out, 0);
	/* It has no table of what is bad UTF-8 of values: text comes out the same way. */
	if (!j.gave_up &&
	    (bad != whole.d.bad || strcmp((char *)j.out.data, drive_text(&whole)) != 0)) {
		fprintf(stderr, "judge, %llu bad:\n%s\nours, %llu bad (%s):\n%s\n",
		    (unsigned long long)bad, (char *)j.out.data, (unsigned long long)whole.d.bad,
		    whole.d.bad_text, drive_text(&whole));
		abort();
	}
	buf_release(&j.out);
	drive_release(&whole);
	drive_release(&parts);
	return 0;
}
