/* label_replace, label_join, sort and sort_by_label. */
#include "core/promql/run/ql_nodes.h"
#include "core/promql/run/ql_sorter.h"

#include "core/base/rune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct ql_str string_arg(const struct ql_node *call, uint32_t i)
{
	return ql_skip_parens(call->call.args[i])->text;
}

static bool valid_name(struct ql_str s)
{
	return s.len && rune_valid(s.s, s.len);
}

static const char *c_text(struct ql_run *x, struct ql_str s)
{
	return arena_strndup(x->arena, s.s, s.len);
}

/*
 * A short expression can ask for values of any size, nested ones for the square of that; a received
 * value has 4,096 bytes at most.
 */
#define VALUE_BYTES_MAX (64u << 10)

static bool set_label(struct ql_run *x, struct ql_col *c, struct ql_str dst, const struct buf *value)
{
	struct label_builder b;

	label_builder_from(&b, x->arena, c->ls);
	label_builder_set(
	    &b, dst.s, dst.len, value->len ? (const char *)value->data : "", value->len);
	c->ls = label_builder_done(&b);
	c->hash = label_hash(c->ls);
	if (dst.len == 8 && memcmp(dst.s, LABEL_NAME, 8) == 0)
		c->drop_name = false;
	x->err = ql_charge(&x->budget, 0, x->eb); /* labels lie in the query's arena */
	return !x->err;
}

struct labelop {
	struct rex *rex;
	struct buf value;
};

static void labelop_release(void *arg)
{
	struct labelop *s = arg;
	if (s->rex)
		rex_free(s->rex);
	buf_release(&s->value);
}

static struct labelop *labelop_start(struct ql_run *x, struct ql_pn *pn)
{
	struct labelop *s = arena_zalloc(x->arena, sizeof(*s));
	buf_init(&s->value);
	s->value.limit = VALUE_BYTES_MAX;
	ql_run_at_end(x, labelop_release, s);
	pn->vec = pn->arg[0]->vec;
	pn->state = s;
	return s;
}

static enum ql_did replace_start(struct ql_run *x, struct ql_pn *pn)
{
	struct ql_str dst = string_arg(pn->ast, 1), re = string_arg(pn->ast, 4);
	struct labelop *s = labelop_start(x, pn);
	struct errbuf eb;

	errbuf_init(&eb);
	if (rex_compile(re.s, re.len, &s->rex, &eb)) {
		s->rex = NULL;
		return ql_failf(
		    x, "invalid regular expression in label_replace(): %s", c_text(x, re));
	}
	if (!valid_name(dst))
		return ql_failf(
		    x, "invalid destination label name in label_replace(): %s", c_text(x, dst));
	return QL_DONE;
}

enum ql_did ql_label_replace_run(struct ql_run *x, struct ql_pn *pn)
{
	if (!pn->state && replace_start(x, pn))
		return QL_FAILED;
	struct labelop *s = pn->state;
	struct ql_str dst = string_arg(pn->ast, 1), repl = string_arg(pn->ast, 2);
	struct ql_str src = string_arg(pn->ast, 3);

	while (pn->pos < pn->vec.count) {
		struct ql_col *c = &pn->vec.cols[pn->pos++];
		uint32_t len = 0;
		const char *v = label_get(c->ls, src.s, src.len, &len);
		buf_clear(&s->value);
		enum rex_result r =
		    rex_expand(s->rex, v ? v : "", v ? len : 0, repl.s, repl.len, &s->value);
		if (r == REX_LIMIT)
			return ql_failf(x,
			    "the regular expression of label_replace() needs more than 100,000 steps for one value");
		if (s->value.over)
			return ql_failf(x,
			    "label_replace() makes a label value of more than %u bytes",
			    VALUE_BYTES_MAX);
		if (r == REX_YES && !set_label(x, c, dst, &s->value))
			return QL_FAILED;
		/* through the engine, a value may take half a millisecond */
		if (ql_tick(x, rex_kind(s->rex) == REX_PCRE ? QL_TICK : 256 + s->value.len))
			return QL_AGAIN;
	}
	return ql_run_tidy(x, pn, QL_EQUAL_JOINS);
}

static enum ql_did join_start(struct ql_run *x, struct ql_pn *pn)
{
	struct ql_str dst = string_arg(pn->ast, 1);

	labelop_start(x, pn);
	for (uint32_t i = 3; i < pn->ast->call.args_count; i++)
		if (!valid_name(string_arg(pn->ast, i)))
			return ql_failf(x, "invalid source label name in label_join(): %s",
			    c_text(x, string_arg(pn->ast, i)));
	if (!valid_name(dst))
		return ql_failf(
		    x, "invalid destination label name in label_join(): %s", c_text(x, dst));
	return QL_DONE;
}

enum ql_did ql_label_join_run(struct ql_run *x, struct ql_pn *pn)
{
	if (!pn->state && join_start(x, pn))
		return QL_FAILED;
	struct labelop *s = pn->state;
	struct ql_str dst = string_arg(pn->ast, 1), sep = string_arg(pn->ast, 2);

	while (pn->pos < pn->vec.count) {
		struct ql_col *c = &pn->vec.cols[pn->pos++];
		buf_clear(&s->value);
		for (uint32_t i = 3; i < pn->ast->call.args_count; i++) {
			struct ql_str src = string_arg(pn->ast, i);
			uint32_t len = 0;
			const char *v = label_get(c->ls, src.s, src.len, &len);
			if (i > 3)
				buf_add(&s->value, sep.s, sep.len);
			if (v)
				buf_add(&s->value, v, len);
		}
		if (s->value.over)
			return ql_failf(x, "label_join() makes a label value of more than %u bytes",
			    VALUE_BYTES_MAX);
		if (!set_label(x, c, dst, &s->value))
			return QL_FAILED;
		if (ql_tick(x, 256 + s->value.len))
			return QL_AGAIN;
	}
	return ql_run_tidy(x, pn, QL_EQUAL_JOINS);
}

/* --- sorting --- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t chunk_len(const char *s, size_t len)
{
	size_t n = 1;
	while (n < len && is_digit(s[n]) == is_digit(s[0]))
		n++;
	return n;
}

static int cmp_bytes(const char *a, size_t al, const char *b, size_t bl)
{
	int c = memcmp(a, b, al < bl ? al : bl);
	return c ? c : (al > bl) - (al < bl);
}

/*
 * Digits as numbers: leading zeros do not count. Runs too long for an integer are compared as text,
 * as upstream's library does.
 */
static int cmp_chunk(const char *a, size_t al, const char *b, size_t bl)
{
	if (!is_digit(a[0]) || !is_digit(b[0]) || al > 18 || bl > 18)
		return cmp_bytes(a, al, b, bl);
	while (al > 1 && a[0] == '0')
		a++, al--;
	while (bl > 1 && b[0] == '0')
		b++, bl--;
	return al != bl ? (al > bl) - (al < bl) : memcmp(a, b, al);
}

static int cmp_natural(const char *a, size_t al, const char *b, size_t bl)
{
	while (al && bl) {
		size_t ca = chunk_len(a, al), cb = chunk_len(b, bl);
		int c = cmp_chunk(a, ca, b, cb);
		if (c)
			return c;
		a += ca;
		al -= ca;
		b += cb;
		bl -= cb;
	}
	return (al > 0) - (bl > 0);
}

struct sorting {
	struct ql_sorter sorter;
	const struct ql_pn *pn;
	bool desc;
};

static int cmp_values(const void *arg, uint32_t a, uint32_t b)
{
	const struct sorting *s = arg;
	double x = s->pn->vec.cols[a].v[0], y = s->pn->vec.cols[b].v[0];

	if (isnan(x) || isnan(y)) /* last in both directions */
		return !!isnan(x) - !!isnan(y);
	int c = (x > y) - (x < y);
	return s->desc ? -c : c;
}

static int cmp_by_label(const void *arg, uint32_t a, uint32_t b)
{
	const struct sorting *s = arg;
	const struct ql_node *call = s->pn->ast;
	struct labels x = s->pn->vec.cols[a].ls, y = s->pn->vec.cols[b].ls;
	int c = 0;

	for (uint32_t i = 1; !c && i < call->call.args_count; i++) {
		struct ql_str name = string_arg(call, i);
		uint32_t xl = 0, yl = 0;
		const char *xv = label_get(x, name.s, name.len, &xl);
		const char *yv = label_get(y, name.s, name.len, &yl);
		c = cmp_natural(xv ? xv : "", xv ? xl : 0, yv ? yv : "", yv ? yl : 0);
	}
	if (!c)
		c = label_cmp(x, y);
	return s->desc ? -c : c;
}

enum ql_did ql_sort_run(struct ql_run *x, struct ql_pn *pn)
{
	enum ql_fn fn = pn->ast->call.func->fn;
	struct sorting *s = pn->state;

	if (!s) {
		bool by_label = fn == QL_FN_SORT_BY_LABEL || fn == QL_FN_SORT_BY_LABEL_DESC;
		pn->vec = pn->arg[0]->vec;
		if (pn->grid.n > 1) {
			ql_notes_add(&x->notes, false, pn->ast->pos,
			    "sort is ineffective for range queries since results are always ordered by labels");
			return QL_DONE;
		}
		s = pn->state = arena_zalloc(x->arena, sizeof(*s));
		s->pn = pn;
		s->desc = fn == QL_FN_SORT_DESC || fn == QL_FN_SORT_BY_LABEL_DESC;
		ql_sorter_init(
		    &s->sorter, x->arena, pn->vec.count, by_label ? cmp_by_label : cmp_values, s);
	}
	if (!ql_sorter_run(&s->sorter, x))
		return QL_AGAIN;
	struct ql_vec out = { 0 };
	for (uint32_t i = 0; i < pn->vec.count; i++)
		*ql_vec_add(x->arena, &out) = pn->vec.cols[s->sorter.idx[i]];
	pn->vec = out;
	return QL_DONE;
}
