/*
 * A packet of StatsD. Judge: a second reader, which cuts the packet into copies piece by piece as
 * the words of proto/statsd.h say, and writes down what it finds; both must say the same.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "proto/statsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[STATSD_TYPES] = { "c", "g", "s", "ms", "h", "d" };

/* ---- what the reader says ---- */

static void tell(struct buf *out, const char *what, const char *s, size_t len)
{
	buf_printf(out, " %s=", what);
	buf_add(out, s, len);
}

static void tell_number(struct buf *out, double v)
{
	buf_printf(out, " %.17g", v);
}

static void read_all(const char *packet, size_t len, struct buf *out)
{
	struct statsd_reader r;
	enum statsd_got got;
	statsd_reader_init(&r, packet, (uint32_t)len);
	while ((got = statsd_next(&r))) {
		const struct statsd_sample *s = &r.sample;
		struct statsd_tags tags = statsd_tags(s);
		struct statsd_tag t;
		buf_printf(out, "%u", (unsigned)got);
		if (got == STATSD_BAD)
			buf_printf(out, " %u", (unsigned)r.bad);
		if (got == STATSD_SAMPLE) {
			tell(out, types[s->type], s->name.s, s->name.len);
			tell(out, "end", s->name_end.s, s->name_end.len);
			tell(out, "text", s->text.s, s->text.len);
			tell_number(out, s->value);
			tell_number(out, s->rate);
			tell_number(out, (double)s->t_s);
			while (statsd_tag_next(&tags, &t)) {
				tell(out, t.solo ? "solo" : "tag", t.name.s, t.name.len);
				tell(out, "is", t.value.s, t.value.len);
			}
			buf_printf(out, " %u", tags.bad);
			tell(out, "c", s->container.s, s->container.len);
			tell(out, "e", s->external.s, s->external.len);
			tell(out, "card", s->card.s, s->card.len);
		}
		buf_add_u8(out, '\n');
	}
}

/* ---- what the judge says ---- */

struct text {
	char *s;
	size_t len;
};

static struct text cut(const char *s, size_t len)
{
	struct text t = { malloc(len + 1), len };
	if (!t.s)
		abort();
	if (len)
		memcpy(t.s, s, len);
	t.s[len] = 0;
	return t;
}

/* What stands before the first c goes to head, the rest stays; false: there is no c. */
static bool split(struct text *t, char c, struct text *head)
{
	for (size_t i = 0; i < t->len; i++)
		if (t->s[i] == c) {
			struct text rest = cut(t->s + i + 1, t->len - i - 1);
			*head = cut(t->s, i);
			free(t->s);
			*t = rest;
			return true;
		}
	return false;
}

static bool number(const struct text *t, double *v)
{
	return !num_parse_float(t->s, t->len, v) && isfinite(*v);
}

struct judged {
	struct text name, end, tags, container, external, card;
	char style; /* 0, or the character that begins the tags */
	unsigned type;
	double rate, t;
};

static void tell_bad(struct buf *out, enum statsd_bad why)
{
	buf_printf(out, "%u %u\n", (unsigned)STATSD_BAD, (unsigned)why);
}

static void judge_tags(struct buf *out, const struct judged *j)
{
	unsigned bad = 0;
	char between = j->style == '#' ? ':' : '=';
	struct text rest = cut(j->tags.s, j->tags.len), tag, name;
	bool more = j->style != 0;
	while (more) {
		more = split(&rest, ',', &tag);
		if (!more) {
			if (!rest.len)
				break;
			tag = cut(rest.s, rest.len);
		}
		if (j->style == '#' && tag.len && tag.s[0] == '#') {
			struct text without = cut(tag.s + 1, tag.len - 1);
			free(tag.s);
			tag = without;
		}
		if (split(&tag, between, &name)) {
			if (!name.len || !tag.len) {
				bad++;
			} else {
				tell(out, "tag", name.s, name.len);
				tell(out, "is", tag.s, tag.len);
			}
			free(name.s);
		} else if (!tag.len || j->style != '#') {
			bad++;
		} else {
			tell(out, "solo", tag.s, tag.len);
			tell(out, "is", "", 0);
		}
		free(tag.s);
	}
	free(rest.s);
	buf_printf(out, " %u", bad);
}

static void judge_value(struct buf *out, const struct judged *j, const struct text *value)
{
	double v = 0;
	if (j->type == STATSD_SET ? !value->len : !number(value, &v)) {
		tell_bad(out, STATSD_BAD_VALUE);
		return;
	}
	buf_printf(out, "%u", (unsigned)STATSD_SAMPLE);
	tell(out, types[j->type], j->name.s, j->name.len);
	tell(out, "end", j->end.s, j->end.len);
	tell(out, "text", value->s, value->len);
	tell_number(out, v);
	tell_number(out, j->rate);
	tell_number(out, j->t);
	judge_tags(out, j);
	tell(out, "c", j->container.s, j->container.len);
	tell(out, "e", j->external.s, j->external.len);
	tell(out, "card", j->card.s, j->card.len);
	buf_add_u8(out, '\n');
}

static void judge_values(struct buf *out, const struct judged *j, const struct text *values)
{
	struct text rest = cut(values->s, values->len), one;
	while (j->type != STATSD_SET && split(&rest, ':', &one)) {
		judge_value(out, j, &one);
		free(one.s);
	}
	judge_value(out, j, &rest);
	free(rest.s);
}

static void replace(struct text *t, const char *s, size_t len)
{
	free(t->s);
	*t = cut(s, len);
}

static enum statsd_bad judge_field(struct judged *j, const struct text *field, bool tagged)
{
	if (field->s[0] == '@') {
		const char *colon = tagged ? NULL : memchr(field->s, ':', field->len);
		struct text rate =
		    cut(field->s + 1, colon ? (size_t)(colon - field->s) - 1 : field->len - 1);
		bool fine = number(&rate, &j->rate) && j->rate >= 0 && j->rate <= 1;
		free(rate.s);
		if (j->rate == 0)
			j->rate = 1;
		return fine ? STATSD_FINE : STATSD_BAD_RATE;
	}
	if (field->s[0] == '#') {
		if (j->style)
			return STATSD_BAD_TAGS;
		j->style = '#';
		replace(&j->tags, field->s + 1, field->len - 1);
	} else if (field->s[0] == 'T') {
		int64_t t;
		if (num_parse_i64(field->s + 1, field->len - 1, &t) || t <= 0 || t > INT64_MAX / 1000)
			return STATSD_BAD_TIME;
		j->t = j->type == STATSD_COUNTER || j->type == STATSD_GAUGE ? (double)t : 0;
	} else if (field->len >= 2 && !memcmp(field->s, "c:", 2)) {
		replace(&j->container, field->s + 2, field->len - 2);
	} else if (field->len >= 2 && !memcmp(field->s, "e:", 2)) {
		replace(&j->external, field->s + 2, field->len - 2);
	} else if (field->len >= 5 && !memcmp(field->s, "card:", 5)) {
		replace(&j->card, field->s + 5, field->len - 5);
	}
	return STATSD_FINE;
}

static void judge_name(struct judged *j, const struct text *id)
{
	size_t i = 0, open = SIZE_MAX;
	for (; i < id->len; i++) {
		char c = id->s[i];
		if (c == '[' && open == SIZE_MAX)
			open = i;
		if (c == ']' || (open == SIZE_MAX && (c == ',' || c == '#')))
			break;
	}
	if (i == id->len || (id->s[i] == ']' && open == SIZE_MAX)) {
		replace(&j->name, id->s, id->len);
		return;
	}
	j->style = id->s[i] == ']' ? '[' : '=';
	if (j->style == '[') {
		replace(&j->name, id->s, open);
		replace(&j->tags, id->s + open + 1, i - open - 1);
		replace(&j->end, id->s + i + 1, id->len - i - 1);
	} else {
		replace(&j->name, id->s, i);
		replace(&j->tags, id->s + i + 1, id->len - i - 1);
	}
}

/* The samples behind the colon of a line. */
static void judge_samples(struct buf *out, struct judged *j, struct text rest)
{
	bool tagged = memmem(rest.s, rest.len, "|#", 2) != NULL;
	for (bool more = true; more;) {
		struct text values, type, head, next = cut("", 0);
		enum statsd_bad bad = STATSD_FINE;
		more = false;
		j->rate = 1;
		j->t = 0;
		replace(&j->container, "", 0);
		replace(&j->external, "", 0);
		replace(&j->card, "", 0);
		if (!split(&rest, '|', &values)) {
			tell_bad(out, STATSD_BAD_LINE);
			free(next.s);
			break;
		}
		/* The type ends at a bar, or at a colon before it: then the next sample begins. */
		size_t at = 0;
		while (at < rest.len && rest.s[at] != '|' && rest.s[at] != ':')
			at++;
		type = cut(rest.s, at);
		char stop = at < rest.len ? rest.s[at] : 0;
		bool ended = at == rest.len;
		for (j->type = 0; j->type < STATSD_TYPES; j->type++)
			if (type.len == strlen(types[j->type]) &&
			    !memcmp(type.s, types[j->type], type.len))
				break;
		if (j->type == STATSD_TYPES)
			bad = STATSD_BAD_TYPE;
		else if (!ended && stop == ':' && tagged)
			bad = STATSD_BAD_TAGS;
		struct text left = ended ? cut("", 0) : cut(rest.s + at + 1, rest.len - at - 1);
		if (!bad && !ended && stop == ':') {
			more = true;
			replace(&next, left.s, left.len);
		} else if (!bad && !ended) {
			bool again = true;
			while (!bad && again) {
				again = split(&left, '|', &head);
				struct text field = again ? head : cut(left.s, left.len);
				const char *colon = field.s[0] == '@' && !tagged
				    ? memchr(field.s, ':', field.len)
				    : NULL;
				bad = judge_field(j, &field, tagged);
				if (!bad && colon && colon + 1 <= field.s + field.len) {
					/* All that stands behind the colon, bars and all. */
					size_t n = (size_t)(field.s + field.len - colon - 1);
					struct text all = { .len = n + (again ? 1 + left.len : 0) };
					all.s = malloc(all.len + 1);
					if (!all.s)
						abort();
					memcpy(all.s, colon + 1, n);
					if (again) {
						all.s[n] = '|';
						memcpy(all.s + n + 1, left.s, left.len);
					}
					all.s[all.len] = 0;
					free(next.s);
					next = all;
					more = true;
					again = false;
				}
				free(field.s);
			}
		}
		if (bad) {
			tell_bad(out, bad);
			more = false;
		} else {
			judge_values(out, j, &values);
		}
		free(values.s);
		free(type.s);
		free(left.s);
		free(rest.s);
		rest = next;
	}
	free(rest.s);
}

static void judge_line(const char *s, size_t len, struct buf *out)
{
	struct text rest = cut(s, len), id;
	struct judged j = { .name = cut("", 0), .end = cut("", 0), .tags = cut("", 0) };
	j.container = cut("", 0);
	j.external = cut("", 0);
	j.card = cut("", 0);
	if (!rune_valid(s, len)) {
		tell_bad(out, STATSD_BAD_UTF8);
		free(rest.s);
	} else if (len >= 3 && !memcmp(s, "_e{", 3)) {
		buf_printf(out, "%u\n", (unsigned)STATSD_EVENT);
		free(rest.s);
	} else if (len >= 4 && !memcmp(s, "_sc|", 4)) {
		buf_printf(out, "%u\n", (unsigned)STATSD_CHECK);
		free(rest.s);
	} else if (!split(&rest, ':', &id)) {
		tell_bad(out, STATSD_BAD_LINE);
		free(rest.s);
	} else {
		judge_name(&j, &id);
		if (j.name.len + j.end.len)
			judge_samples(out, &j, rest);
		else {
			tell_bad(out, STATSD_BAD_LINE);
			free(rest.s);
		}
		free(id.s);
	}
	free(j.name.s);
	free(j.end.s);
	free(j.tags.s);
	free(j.container.s);
	free(j.external.s);
	free(j.card.s);
}

static void judge_all(const char *p, size_t len, struct buf *out)
{
	for (size_t i = 0, n; i < len; i += n + 1) {
		for (n = 0; i + n < len && p[i + n] != '\n'; n++) {
		}
		size_t line = n && p[i + n - 1] == '\r' ? n - 1 : n;
		if (line)
			judge_line(p + i, line, out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf got, want;
	/* Exactly as much as there is, so that reading further is seen. */
	char *exact = malloc(size ? size : 1);
	if (!exact)
		abort();
	if (size)
		memcpy(exact, data, size);
	buf_init(&got);
	buf_init(&want);
	read_all(exact, size, &got);
	judge_all(exact, size, &want);
	if (got.len != want.len || (got.len && memcmp(got.data, want.data, got.len) != 0)) {
		fprintf(stderr, "got:\n%.*s\nwant:\n%.*s\n", (int)got.len, (const char *)got.data,
		    (int)want.len, (const char *)want.data);
		abort();
	}
	buf_release(&got);
	buf_release(&want);
	free(exact);
	return 0;
}
