/*
 * Series descriptions, as promqltest and rule unit tests write them: metric{labels} item item ...
 *
 *   _  _xN                   one, N missing points
 *   v  vxN                   one, N + 1 points
 *   a+bxN  a-bxN             N + 1 points, by repeated addition
 *   stale                    the stale marker
 *   {{...}} and its forms    a native histogram (ql_hist_desc.c), the same counts
 */
#include "core/base/rune.h"
#include "core/model/histmath.h"
#include "core/promql/lang/ql_parse_priv.h"

#include <string.h>

struct cursor {
	const char *p, *end;
	struct arena *arena;
	struct ql_series_desc *out;
	size_t cap;
	uint64_t cost; /* of histograms made */
	struct errbuf *eb;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static enum err fail(struct cursor *c, const char *what)
{
	size_t left = (size_t)(c->end - c->p);
	return errbuf_set(c->eb, ERR_BADDATA, "series description: %s at \"%.*s\"", what,
	    (int)rune_cut(c->p, left, 40), c->p);
}

static enum err add(struct cursor *c, struct ql_series_item item)
{
	struct ql_series_desc *d = c->out;
	if (d->items_count == QL_SERIES_ITEMS_MAX)
		return fail(c, "too many points");
	if (d->items_count == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 16;
		struct ql_series_item *more = arena_array(c->arena, cap, sizeof(*more));
		if (!more)
			return errbuf_set(c->eb, ERR_NOMEM, "series description: out of memory");
		if (d->items_count)
			memcpy(more, d->items, d->items_count * sizeof(*more));
		d->items = more;
		c->cap = cap;
	}
	d->items[d->items_count++] = item;
	d->has_histograms = d->has_histograms || item.kind == QL_ITEM_HISTOGRAM;
	return ERR_OK;
}
static enum err add_float(struct cursor *c, double v)
{
	return add(c, (struct ql_series_item){ .kind = QL_ITEM_FLOAT, .v = v });
}

/* An unsigned decimal number without blanks. */
static enum err read_count(struct cursor *c, uint64_t *n)
{
	const char *first = c->p;
	while (c->p < c->end && is_digit(*c->p))
		c->p++;
	if (num_parse_u64(first, (size_t)(c->p - first), n))
		return fail(c, "bad repetition");
	return ERR_OK;
}
static bool accept(struct cursor *c, char sign)
{
	if (c->p == c->end || *c->p != sign)
		return false;
	c->p++;
	return true;
}

/* [sign] number: decimal, exponent, Inf, NaN; x ends it, so there is no hex here. */
static enum err read_value(struct cursor *c, double *v)
{
	bool minus = c->p < c->end && *c->p == '-';
	if (minus || (c->p < c->end && *c->p == '+'))
		c->p++;
	const char *first = c->p;
	if (c->p < c->end && (is_digit(*c->p) || *c->p == '.')) {
		while (c->p < c->end &&
		    (is_digit(*c->p) || strchr("._eE", *c->p) ||
		        (strchr("+-", *c->p) && (c->p[-1] | 32) == 'e')))
			c->p++;
	} else {
		while (c->p < c->end && ((*c->p | 32) >= 'a' && (*c->p | 32) <= 'z') &&
		    (*c->p | 32) != 'x')
			c->p++;
	}
	if (num_parse_go(first, (size_t)(c->p - first), v)) {
		c->p = first;
		return fail(c, "bad number");
	}
	if (minus)
		*v = -*v;
	return ERR_OK;
}

static bool histogram_ahead(const struct cursor *c)
{
	return c->end - c->p >= 2 && c->p[0] == '{' && c->p[1] == '{';
}

/* The next point of A+BxN; each addition pays for its buckets. */
static enum err histogram_step(
    struct cursor *c, const struct hist **h, const struct hist *by, bool minus)
{
	unsigned told = 0;

	if ((*h)->schema > by->schema)
		return errbuf_set(c->eb, ERR_BADDATA,
		    "series description: error combining histograms: cannot merge from schema %d to %d",
		    by->schema, (*h)->schema);
	c->cost += hist_cost(*h) + hist_cost(by);
	if (c->cost > QL_SERIES_COST_MAX)
		return fail(c, "too many buckets");
	const struct hist *sum =
	    minus ? hist_sub(c->arena, *h, by, &told) : hist_add(c->arena, *h, by, &told);
	if (!sum)
		return errbuf_set(c->eb, ERR_BADDATA,
		    "series description: cannot apply this operation on histograms with a mix of exponential and custom bucket schemas");
	*h = sum;
	return ERR_OK;
}

static enum err histogram_item(struct cursor *c)
{
	struct ql_series_item item = { .kind = QL_ITEM_HISTOGRAM };
	const struct hist *by = NULL;
	uint64_t times = 0;
	bool minus = false;
	enum err e = ql_hist_desc(c->arena, &c->p, c->end, &item.h, &item.hint_given, c->eb);

	if (!e && (accept(c, '+') || (minus = accept(c, '-')))) {
		e = histogram_ahead(c)
		    ? ql_hist_desc(c->arena, &c->p, c->end, &by, &item.hint_given, c->eb)
		    : fail(c, "bad histogram");
		if (!e && !(c->p < c->end && *c->p == 'x'))
			e = fail(c, "missing repetition");
	}
	if (!e && accept(c, 'x'))
		e = read_count(c, &times);
	for (uint64_t i = 0; !e && i <= times; i++) {
		if (i && by)
			e = histogram_step(c, &item.h, by, minus);
		if (!e)
			e = add(c, item);
	}
	return e;
}

static enum err omitted_item(struct cursor *c)
{
	uint64_t times = 1;
	enum err e = accept(c, 'x') ? read_count(c, &times) : ERR_OK;
	for (uint64_t i = 0; !e && i < times; i++)
		e = add(c, (struct ql_series_item){ .kind = QL_ITEM_OMITTED });
	return e;
}

static enum err value_item(struct cursor *c)
{
	double v, step = 0;
	uint64_t times = 0;
	enum err e = read_value(c, &v);
	bool progression = !e && c->p < c->end && (*c->p == '+' || *c->p == '-');
	if (progression)
		e = read_value(c, &step);
	if (!e && accept(c, 'x'))
		e = read_count(c, &times);
	else if (!e && progression)
		e = fail(c, "missing repetition");
	for (uint64_t i = 0; !e && i <= times; i++, v += step)
		e = add_float(c, v);
	return e;
}

static enum err read_items(struct cursor *c)
{
	static const char stale[] = "stale";
	const size_t stale_len = sizeof(stale) - 1;
	for (;;) {
		while (c->p < c->end && is_blank(*c->p))
			c->p++;
		if (c->p == c->end)
			return ERR_OK;
		enum err e;
		if (histogram_ahead(c))
			e = histogram_item(c);
		else if (accept(c, '_'))
			e = omitted_item(c);
		else if ((size_t)(c->end - c->p) >= stale_len && !memcmp(c->p, stale, stale_len)) {
			c->p += stale_len;
			e = add_float(c, sample_stale());
		} else
			e = value_item(c);
		if (!e && c->p < c->end && !is_blank(*c->p))
			e = fail(c, "blank expected");
		if (e)
			return e;
	}
}

/* { [name = "value" | "metric name" {, ...} [,]] } */
static bool read_labels(struct ql_parser *p, struct label_builder *b)
{
	static const char in_set[] = "label set";
	ql_parse_take(p);
	while (!ql_parse_accept(p, QLT_RBRACE)) {
		enum ql_tok t = ql_parse_ahead(p);
		if (t != QLT_IDENT && t != QLT_STRING)
			return ql_parse_unexpected(p, in_set, "identifier or \"}\"");
		struct ql_token tok = ql_parse_take(p);
		struct ql_str name = { p->lex.text + tok.pos, tok.len }, value;
		if (t == QLT_STRING)
			name = ql_parse_unquote(p, tok);
		if (ql_parse_accept(p, QLT_EQL)) {
			if (ql_parse_ahead(p) != QLT_STRING)
				return ql_parse_unexpected(p, in_set, "string");
			value = ql_parse_unquote(p, ql_parse_take(p));
			label_builder_set(b, name.s, name.len, value.s, value.len);
		} else if (t == QLT_STRING) {
			label_builder_set(b, LABEL_NAME, sizeof(LABEL_NAME) - 1, name.s, name.len);
		} else {
			return ql_parse_unexpected(p, in_set, "\"=\"");
		}
		if (ql_parse_ahead(p) == QLT_COMMA)
			ql_parse_take(p);
		else if (ql_parse_ahead(p) != QLT_RBRACE)
			return ql_parse_unexpected(p, in_set, "\",\" or \"}\"");
	}
	return true;
}

/* The metric; *rest is where the items begin. */
static enum err read_metric(struct arena *a, const char *text, uint32_t len, struct labels *out,
    uint32_t *rest, struct errbuf *eb)
{
	static const struct ql_parse_opts opts;
	struct ql_parser p;
	struct label_builder b;
	ql_parser_init(&p, a, text, len, &opts, eb);
	label_builder_init(&b, a);
	enum ql_tok t = ql_parse_ahead(&p);
	struct ql_token name = p.t;
	bool named = ql_tok_is_metric_name(t);
	if (!named && t != QLT_LBRACE)
		ql_parse_unexpected(&p, "series description", "");
	/* A blank behind the name ends the metric: {{ may follow. */
	bool braces = named ? name.pos + name.len < len && text[name.pos + name.len] == '{' : true;
	if (named)
		ql_parse_take(&p);
	if (!p.err && braces) {
		ql_parse_ahead(&p);
		read_labels(&p, &b);
	}
	if (p.err)
		return p.err;
	if (named)
		label_builder_set(&b, LABEL_NAME, sizeof(LABEL_NAME) - 1, text + name.pos, name.len);
	*out = label_builder_done(&b);
	*rest = braces ? p.closing : name.pos + name.len;
	return ERR_OK;
}

enum err ql_series_desc(
    struct arena *a, const char *text, size_t len, struct ql_series_desc *out, struct errbuf *eb)
{
	if (len > QL_SERIES_TEXT_MAX)
		return errbuf_set(eb, ERR_BADDATA, "series description: longer than %d bytes",
		    QL_SERIES_TEXT_MAX);
	uint32_t rest = 0;
	*out = (struct ql_series_desc){ 0 };
	enum err e = read_metric(a, text, (uint32_t)len, &out->labels, &rest, eb);
	if (e)
		return e;
	struct cursor c = { .p = text + rest, .end = text + len, .arena = a, .out = out, .eb = eb };
	if (c.p < c.end && !is_blank(*c.p))
		return fail(&c, "blank expected");
	return read_items(&c);
}
