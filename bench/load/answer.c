#include "bench/load/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32
#define KEY_SHOWN 200

struct in {
	const char *p, *end;
	struct arena *a;
	bool bad;
};

struct text {
	const char *s;
	size_t len;
};

static char look(struct in *in)
{
	while (in->p < in->end && strchr(" \t\r\n", *in->p))
		in->p++;
	return in->p < in->end ? *in->p : 0;
}

static bool take(struct in *in, char c)
{
	if (look(in) != c)
		return false;
	in->p++;
	return true;
}

static void need(struct in *in, char c)
{
	in->bad = in->bad || !take(in, c);
}

/* As it stands between its quotes. */
static struct text string(struct in *in)
{
	need(in, '"');
	struct text t = { .s = in->p };
	while (!in->bad && in->p < in->end && *in->p != '"')
		in->p += *in->p == '\\' && in->p + 1 < in->end ? 2 : 1;
	t.len = (size_t)(in->p - t.s);
	need(in, '"');
	return t;
}

static bool is(struct text t, const char *word)
{
	return t.len == strlen(word) && !memcmp(t.s, word, t.len);
}

static void skip(struct in *in, int depth)
{
	char c = look(in);
	if (depth > DEPTH_MAX)
		in->bad = true;
	if (in->bad)
		return;
	if (c == '"') {
		string(in);
	} else if (c == '{' || c == '[') {
		char close = c == '{' ? '}' : ']';
		in->p++;
		while (!in->bad && !take(in, close)) {
			if (c == '{') {
				string(in);
				need(in, ':');
			}
			skip(in, depth + 1);
			if (!take(in, ',') && look(in) != close)
				in->bad = true;
		}
	} else {
		const char *from = in->p;
		while (in->p < in->end && !strchr(",]} \t\r\n", *in->p))
			in->p++;
		in->bad = in->bad || in->p == from;
	}
}

static double number(struct in *in)
{
	char text[64], *stop;
	bool quoted = take(in, '"');
	size_t n = 0;
	look(in);
	while (in->p < in->end && n + 1 < sizeof(text) && !strchr(",]}\" ", *in->p))
		text[n++] = *in->p++;
	text[n] = 0;
	double v = strtod(text, &stop);
	in->bad = in->bad || !n || *stop;
	if (quoted)
		need(in, '"');
	return v;
}

static struct answer_point point(struct in *in)
{
	struct answer_point p = { 0 };
	need(in, '[');
	p.t_s = number(in);
	need(in, ',');
	p.v = number(in);
	need(in, ']');
	return p;
}

static void points(struct in *in, struct answer_series *s)
{
	size_t cap = 0;
	need(in, '[');
	while (!in->bad && !take(in, ']')) {
		if (s->count == cap) {
			size_t more = cap ? 2 * cap : 64;
			struct answer_point *p = arena_array(in->a, more, sizeof(*p));
			if (cap)
				memcpy(p, s->points, cap * sizeof(*p));
			s->points = p;
			cap = more;
		}
		s->points[s->count++] = point(in);
		if (!take(in, ',') && look(in) != ']')
			in->bad = true;
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* {"a":"x","b":"y"}: a="x",b="y" in the order of names. */
static const char *labels(struct in *in)
{
	const char *pairs[256];
	size_t count = 0, len = 1;
	need(in, '{');
	while (!in->bad && !take(in, '}')) {
		struct text name = string(in);
		need(in, ':');
		struct text value = string(in);
		if (count == COUNT_OF(pairs) || in->bad) {
			in->bad = true;
			break;
		}
		pairs[count] = arena_printf(
		    in->a, "%.*s=\"%.*s\"", (int)name.len, name.s, (int)value.len, value.s);
		len += strlen(pairs[count++]) + 1;
		take(in, ',');
	}
	qsort(pairs, count, sizeof(*pairs), by_text);
	char *key = arena_alloc(in->a, len), *at = key;
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(pairs[i]);
		if (i)
			*at++ = ',';
		memcpy(at, pairs[i], n);
		at += n;
	}
	*at = 0;
	return key;
}

static struct answer_series one_series(struct in *in)
{
	struct answer_series s = { .key = "" };
	need(in, '{');
	while (!in->bad && !take(in, '}')) {
		struct text name = string(in);
		need(in, ':');
		if (is(name, "metric")) {
			s.key = labels(in);
		} else if (is(name, "values")) {
			points(in, &s);
		} else if (is(name, "value")) {
			s.points = arena_array(in->a, 1, sizeof(*s.points));
			s.points[s.count++] = point(in);
		} else {
			skip(in, 0);
		}
		take(in, ',');
	}
	return s;
}

static int by_key(const void *a, const void *b)
{
	const struct answer_series *x = a, *y = b;
	return strcmp(x->key, y->key);
}

/* A list of series, or the one point of a scalar. */
static void result(struct in *in, struct answer *out)
{
	size_t cap = 0;
	const char *from = in->p;
	need(in, '[');
	if (look(in) != '{' && look(in) != ']') {
		in->p = from;
		out->series = arena_zalloc(in->a, sizeof(*out->series));
		out->series->key = "";
		out->series->points = arena_array(in->a, 1, sizeof(*out->series->points));
		out->series->points[0] = point(in);
		out->count = out->series->count = 1;
		return;
	}
	while (!in->bad && !take(in, ']')) {
		if (out->count == cap) {
			size_t more = cap ? 2 * cap : 64;
			struct answer_series *s = arena_array(in->a, more, sizeof(*s));
			if (cap)
				memcpy(s, out->series, cap * sizeof(*s));
			out->series = s;
			cap = more;
		}
		out->series[out->count++] = one_series(in);
		take(in, ',');
	}
	if (out->count)
		qsort(out->series, out->count, sizeof(*out->series), by_key);
}

/* {"status":...,"data":{"resultType":...,"result":...}}: result is looked for one level down. */
static bool find(struct in *in, struct answer *out, const char *word)
{
	bool found = false;
	need(in, '{');
	while (!in->bad && !take(in, '}')) {
		struct text name = string(in);
		need(in, ':');
		if (!is(name, word)) {
			skip(in, 0);
		} else if (!strcmp(word, "data")) {
			found = find(in, out, "result");
		} else {
			look(in);
			result(in, out);
			found = true;
		}
		take(in, ',');
	}
	return found;
}

enum err answer_parse(const char *text, size_t len, struct answer *out)
{
	*out = (struct answer){ .count = 0 };
	arena_init(&out->arena, 64 << 10);
	struct in in = { .p = text, .end = text + len, .a = &out->arena };
	if (find(&in, out, "data") && !in.bad)
		return ERR_OK;
	answer_release(out);
	return ERR_MALFORMED;
}

void answer_release(struct answer *a)
{
	arena_release(&a->arena);
	a->series = NULL;
	a->count = 0;
}

static double distance(double a, double b)
{
	double size = fmax(fabs(a), fabs(b));
	if (a == b || (isnan(a) && isnan(b)))
		return 0;
	return isfinite(size) && !isnan(a) && !isnan(b) ? fabs(a - b) / size : 1;
}

struct cmp {
	double tolerance;
	struct answer_diff *diff;
	struct errbuf *first;
	bool differs; /* first is set */
};

static void differ(struct cmp *c, const char *key, const char *what)
{
	if (!c->differs)
		errbuf_set(c->first, ERR_BADDATA, "{%.*s} %s", KEY_SHOWN, key, what);
	c->differs = true;
}

static void compare_point(
    struct cmp *c, const char *key, const struct answer_point *x, const struct answer_point *y)
{
	double off = distance(x->v, y->v);

	if (fabs(x->t_s - y->t_s) >= 0.0005) {
		c->diff->others = true;
		off = 1;
	}
	if (off <= c->tolerance)
		c->diff->near++;
	else if (!c->differs)
		errbuf_set(c->first, ERR_BADDATA, "{%.*s} at %.3f: %.17g, the other %.17g at %.3f",
		    KEY_SHOWN, key, x->t_s, x->v, y->v, y->t_s);
	c->differs |= off > c->tolerance;
	c->diff->largest = fmax(c->diff->largest, off);
}

/* Points of the same time; those that only one of them has are others. */
static void compare_series(
    struct cmp *c, const struct answer_series *a, const struct answer_series *b)
{
	size_t i = 0, k = 0;

	for (; i < a->count && k < b->count; c->diff->points++) {
		const struct answer_point *x = &a->points[i], *y = &b->points[k];
		bool before = x->t_s < y->t_s - 0.0005, after = y->t_s < x->t_s - 0.0005;
		if (!before && !after) {
			compare_point(c, a->key, x, y);
		} else {
			differ(c, a->key, "has other times");
			c->diff->others = true;
		}
		i += !after;
		k += !before;
	}
	if (i == a->count && k == b->count)
		return;
	c->diff->points += a->count - i + b->count - k;
	c->diff->others = true;
	differ(c, a->key, "has other times");
}

bool answer_compare(const struct answer *a, const struct answer *b, double tolerance,
    struct answer_diff *diff, struct errbuf *first)
{
	struct cmp c = { .tolerance = tolerance, .diff = diff, .first = first };
	size_t i = 0, k = 0;

	*diff = (struct answer_diff){ 0 };
	while (i < a->count || k < b->count) {
		int order = i == a->count ? 1
		    : k == b->count       ? -1
		                          : strcmp(a->series[i].key, b->series[k].key);
		if (!order) {
			compare_series(&c, &a->series[i++], &b->series[k++]);
			continue;
		}
		const struct answer_series *only = order < 0 ? &a->series[i++] : &b->series[k++];
		diff->points += only->count;
		diff->others = true;
		differ(&c, only->key,
		    order < 0 ? "is only in the first answer" : "is only in the other answer");
	}
	return !c.differs;
}
