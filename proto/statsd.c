#include "proto/statsd.h"

#include <math.h>
#include <string.h>

#include "core/base/num.h"
#include "core/base/rune.h"

#define EXACT_DIGITS 15 /* so many make an integer that a double holds */

const char *const statsd_bad_text[STATSD_BADS] = {
	[STATSD_FINE] = "",
	[STATSD_BAD_LINE] = "the form is name:value|type",
	[STATSD_BAD_UTF8] = "it is not UTF-8",
	[STATSD_BAD_TYPE] = "the type is none of c, g, s, ms, h and d",
	[STATSD_BAD_VALUE] = "the value is no finite number",
	[STATSD_BAD_RATE] = "the sample rate is not above 0 and at most 1",
	[STATSD_BAD_TIME] = "the timestamp is no number of seconds above 0",
	[STATSD_BAD_TAGS] = "tags stand in two forms, or behind several samples",
};

static struct statsd_piece piece(const char *from, const char *to)
{
	return (struct statsd_piece){ from, (uint32_t)(to - from) };
}

static const char *find(const char *p, const char *end, char c)
{
	const char *at = p < end ? memchr(p, c, (size_t)(end - p)) : NULL;
	return at ? at : end;
}

void statsd_reader_init(struct statsd_reader *r, const char *packet, uint32_t len)
{
	*r = (struct statsd_reader){ ._p = packet, ._end = packet + len };
}

/* ---- numbers ---- */

/* Digits with at most one point, few enough to be exact; false: another form. */
static bool read_plain(const char *p, const char *end, double *out)
{
	static const double powers[EXACT_DIGITS + 1] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8,
		1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
	uint64_t n = 0;
	unsigned digits = 0, behind = 0;
	bool minus = p < end && *p == '-', point = false;
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (end - p > EXACT_DIGITS + 1)
		return false;
	for (; p < end; p++) {
		if (*p == '.' && !point) {
			point = true;
			continue;
		}
		if (*p < '0' || *p > '9' || digits == EXACT_DIGITS)
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
		digits++;
		behind += point;
	}
	if (!digits)
		return false;
	*out = (double)n / powers[behind];
	if (minus)
		*out = -*out;
	return true;
}

static bool read_number(struct statsd_piece t, double *out)
{
	if (read_plain(t.s, t.s + t.len, out))
		return true;
	return !num_parse_float(t.s, t.len, out) && isfinite(*out);
}

/* ---- what stands behind the type ---- */

static bool begins(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(end - p) >= n && !memcmp(p, word, n);
}

static enum statsd_bad read_rate(struct statsd_sample *s, struct statsd_piece t)
{
	if (!read_number(t, &s->rate) || s->rate < 0 || s->rate > 1)
		return STATSD_BAD_RATE;
	if (s->rate == 0)
		s->rate = 1;
	return STATSD_FINE;
}

static enum statsd_bad read_time(struct statsd_sample *s, struct statsd_piece t)
{
	int64_t at;
	if (num_parse_i64(t.s, t.len, &at) || at <= 0 || at > INT64_MAX / 1000)
		return STATSD_BAD_TIME;
	if (s->type == STATSD_COUNTER || s->type == STATSD_GAUGE)
		s->t_s = at;
	return STATSD_FINE;
}

/* A field [p, end); *group gets where the next sample of the line begins, if one does. */
static enum statsd_bad read_field(
    struct statsd_reader *r, const char *p, const char *end, const char **group)
{
	struct statsd_sample *s = &r->sample;
	if (p < end && *p == '@') {
		const char *to = r->_tagged ? end : find(p, end, ':');
		*group = to < end ? to + 1 : NULL;
		return read_rate(s, piece(p + 1, to));
	}
	if (p < end && *p == '#') {
		if (s->style != STATSD_NO_TAGS)
			return STATSD_BAD_TAGS;
		s->style = STATSD_DOG;
		s->tags = piece(p + 1, end);
	} else if (begins(p, end, "T")) {
		return read_time(s, piece(p + 1, end));
	} else if (begins(p, end, "c:")) {
		s->container = piece(p + 2, end);
	} else if (begins(p, end, "e:")) {
		s->external = piece(p + 2, end);
	} else if (begins(p, end, "card:")) {
		s->card = piece(p + 5, end);
	}
	return STATSD_FINE;
}

static bool read_type(struct statsd_piece t, enum statsd_type *out)
{
	if (t.len == 1) {
		switch (*t.s) {
		case 'c':
			*out = STATSD_COUNTER;
			return true;
		case 'g':
			*out = STATSD_GAUGE;
			return true;
		case 's':
			*out = STATSD_SET;
			return true;
		case 'h':
			*out = STATSD_HISTOGRAM;
			return true;
		case 'd':
			*out = STATSD_DISTRIBUTION;
			return true;
		}
	}
	*out = STATSD_TIMER;
	return t.len == 2 && t.s[0] == 'm' && t.s[1] == 's';
}

/* ---- what stands before the colon ---- */

static void read_name(struct statsd_sample *s, const char *p, const char *colon)
{
	const char *open = NULL, *at;
	s->id = s->name = piece(p, colon);
	s->style = STATSD_NO_TAGS;
	s->name_end = s->tags = piece(colon, colon);
	for (at = p; at < colon; at++) {
		if (*at == '[')
			open = open ? open : at;
		else if (*at == ']' || ((*at == ',' || *at == '#') && !open))
			break;
	}
	if (at == colon || (*at == ']' && !open))
		return;
	if (*at == ']') {
		s->style = STATSD_SIGNALFX;
		s->name = piece(p, open);
		s->tags = piece(open + 1, at);
		s->name_end = piece(at + 1, colon);
	} else {
		s->style = *at == ',' ? STATSD_INFLUX : STATSD_LIBRATO;
		s->name = piece(p, at);
		s->tags = piece(at + 1, colon);
	}
}

/* ---- lines ---- */

static enum statsd_got fail(struct statsd_reader *r, enum statsd_bad why)
{
	r->bad = why;
	r->_value = r->_group = NULL;
	return STATSD_BAD;
}

/* values|type|fields of one sample, from p on. */
static enum statsd_bad read_group(struct statsd_reader *r, const char *p, const char *end)
{
	struct statsd_sample *s = &r->sample;
	const char *bar = find(p, end, '|'), *group = NULL;
	r->_group = NULL;
	if (bar == end)
		return STATSD_BAD_LINE;
	const char *stop = find(bar + 1, end, '|'), *colon = find(bar + 1, stop, ':');
	if (!read_type(piece(bar + 1, colon), &s->type))
		return STATSD_BAD_TYPE;
	if (colon < stop) {
		if (r->_tagged)
			return STATSD_BAD_TAGS;
		group = colon + 1;
	}
	s->rate = 1;
	s->t_s = 0;
	s->container = s->external = s->card = piece(end, end);
	while (!group && stop < end) {
		const char *from = stop + 1;
		stop = find(from, end, '|');
		enum statsd_bad bad = read_field(r, from, stop, &group);
		if (bad)
			return bad;
	}
	r->_group = group;
	r->_value = p;
	r->_values_end = bar;
	return STATSD_FINE;
}

static enum statsd_bad begin_line(struct statsd_reader *r)
{
	const char *p = r->line.s, *end = p + r->line.len, *colon = find(p, end, ':');
	if (colon == end || colon == p)
		return STATSD_BAD_LINE;
	read_name(&r->sample, p, colon);
	if (!r->sample.name.len && !r->sample.name_end.len)
		return STATSD_BAD_LINE;
	r->_tagged = memmem(colon, (size_t)(end - colon), "|#", 2) != NULL;
	return read_group(r, colon + 1, end);
}

/* False: the packet is over. */
static bool next_line(struct statsd_reader *r)
{
	while (r->_p < r->_end) {
		const char *nl = find(r->_p, r->_end, '\n');
		r->line = piece(r->_p, nl > r->_p && nl[-1] == '\r' ? nl - 1 : nl);
		r->_p = nl < r->_end ? nl + 1 : nl;
		if (r->line.len)
			return true;
	}
	return false;
}

static enum statsd_got next_value(struct statsd_reader *r)
{
	struct statsd_sample *s = &r->sample;
	bool set = s->type == STATSD_SET;
	const char *to = set ? r->_values_end : find(r->_value, r->_values_end, ':');
	s->text = piece(r->_value, to);
	r->_value = to < r->_values_end ? to + 1 : NULL;
	s->change = s->text.len && (*s->text.s == '+' || *s->text.s == '-');
	s->value = 0;
	if (set ? s->text.len > 0 : read_number(s->text, &s->value))
		return STATSD_SAMPLE;
	r->bad = STATSD_BAD_VALUE;
	return STATSD_BAD;
}

enum statsd_got statsd_next(struct statsd_reader *r)
{
	enum statsd_bad bad;
	if (r->_value)
		return next_value(r);
	if (r->_group) {
		bad = read_group(r, r->_group, r->line.s + r->line.len);
		return bad ? fail(r, bad) : next_value(r);
	}
	if (!next_line(r))
		return STATSD_END;
	if (!rune_is_ascii(r->line.s, r->line.len) && !rune_valid(r->line.s, r->line.len))
		return fail(r, STATSD_BAD_UTF8);
	if (*r->line.s == '_') {
		if (begins(r->line.s, r->line.s + r->line.len, "_e{"))
			return STATSD_EVENT;
		if (begins(r->line.s, r->line.s + r->line.len, "_sc|"))
			return STATSD_CHECK;
	}
	bad = begin_line(r);
	return bad ? fail(r, bad) : next_value(r);
}

/* ---- tags ---- */

struct statsd_tags statsd_tags(const struct statsd_sample *s)
{
	return (struct statsd_tags){ ._p = s->tags.s,
		._end = s->tags.len ? s->tags.s + s->tags.len : s->tags.s, /* no tags: no address */
		._between = s->style == STATSD_DOG ? ':' : '=',
		._dog = s->style == STATSD_DOG };
}

bool statsd_tag_next(struct statsd_tags *t, struct statsd_tag *out)
{
	while (t->_p < t->_end) {
		const char *p = t->_p, *to = find(p, t->_end, ',');
		t->_p = to < t->_end ? to + 1 : to;
		if (t->_dog && p < to && *p == '#') /* some clients repeat it */
			p++;
		const char *between = find(p, to, t->_between);
		out->solo = between == to;
		out->name = piece(p, between);
		out->value = out->solo ? piece(to, to) : piece(between + 1, to);
		if (out->name.len && (out->solo ? t->_dog : out->value.len > 0))
			return true;
		t->bad++;
	}
	return false;
}
