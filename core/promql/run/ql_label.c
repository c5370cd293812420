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
	if (label_is_metric_name(dst.s, dst.len))
		c->drop_name = false;
	x->err = ql_charge(&x->budget, 0, x->eb); /* labels lie in the query's arena */
	return !x->err;
}

struct labelop {
	struct rex *rex;
	struct buf value;
	/* label_join */
	uint32_t arg; /* the next source */
	bool checked; /* names of the sources */
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

static enum ql_did join_check(struct ql_run *x, struct ql_pn *pn, struct labelop *s)
{
	while (s->arg < pn->ast->call.args_count) {
		struct ql_str src = string_arg(pn->ast, s->arg++);
		if (!valid_name(src))
			return ql_failf(
			    x, "invalid source label name in label_join(): %s", c_text(x, src));
		if (ql_tick(x, 16 + src.len))
			return QL_AGAIN;
	}
	struct ql_str dst = string_arg(pn->ast, 1);
	if (!valid_name(dst))
		return ql_failf(
		    x, "invalid destination label name in label_join(): %s", c_text(x, dst));
	s->arg = 3;
	s->checked = true;
	return QL_DONE;
}

/* The value of a column, argument by argument. */
static enum ql_did join_value(
    struct ql_run *x, struct ql_pn *pn, struct labelop *s, const struct ql_col *c)
{
	struct ql_str sep = string_arg(pn->ast, 2);

	while (s->arg < pn->ast->call.args_count) {
		struct ql_str src = string_arg(pn->ast, s->arg);
		uint32_t len = 0;
		const char *v = label_get(c->ls, src.s, src.len, &len);
		if (s->arg++ > 3)
			buf_add(&s->value, sep.s, sep.len);
		if (v)
			buf_add(&s->value, v, len);
		if (s->value.over)
			return ql_failf(x, "label_join() makes a label value of more than %u bytes",
			    VALUE_BYTES_MAX);
		if (ql_tick(x, 48 + len))
			return QL_AGAIN;
	}
	return QL_DONE;
}

enum ql_did ql_label_join_run(struct ql_run *x, struct ql_pn *pn)
{
	enum ql_did did;

	if (!pn->state)
		labelop_start(x, pn)->arg = 3;
	struct labelop *s = pn->state;
	if (!s->checked && (did = join_check(x, pn, s)))
		return did;
	while (pn->pos < pn->vec.count) {
		struct ql_col *c = &pn->vec.cols[pn->pos];
		if ((did = join_value(x, pn, s, c)))
			return did;
		if (!set_label(x, c, string_arg(pn->ast, 1), &s->value))
			return QL_FAILED;
		uint64_t work = 256 + s->value.len;
		pn->pos++;
		s->arg = 3;
		buf_clear(&s->value);
		if (ql_tick(x, work))
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

/*
 * Digits as numbers: leading zeros do not count. Runs too long for an integer are compared as text,
 * as upstream's library does.
 */
static int cmp_chunk(const char *a, size_t al, const char *b, size_t bl)
{
	if (!is_digit(a[0]) || !is_digit(b[0]) || al > 18 || bl > 18)
		return ql_bytes_cmp(a, al, b, bl);
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
	bool desc, started, sorted;
	uint32_t looked;     /* columns whose histograms went */
	struct ql_tab names; /* sort_by_label: names in their order of importance */
	uint32_t pos;
	struct ql_vec out;
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

static struct labels name_key(const char *name, size_t len)
{
	return (struct labels){ .bytes = (const uint8_t *)name, .len = (uint32_t)len };
}

/* A label that one of two sets has, or both: its difference counts when its name matters more. */
static void cmp_label(
    const struct sorting *s, const struct label *x, const struct label *y, uint32_t *best, int *cmp)
{
	const struct label *l = x ? x : y;
	struct labels key = name_key(l->name, l->name_len);
	uint32_t at = ql_tab_find(&s->names, key, label_hash(key));

	if (at == QL_TAB_NONE || at >= *best)
		return;
	int c = cmp_natural(
	    x ? x->value : "", x ? x->value_len : 0, y ? y->value : "", y ? y->value_len : 0);
	if (c) {
		*cmp = c;
		*best = at;
	}
}

/*
 * Both sets by name, side by side: what a comparison takes does not depend on the names asked for.
 */
static int cmp_named(const struct sorting *s, struct labels a, struct labels b)
{
	struct label_iter ia = label_iter(a), ib = label_iter(b);
	struct label x, y;
	bool more_x = label_next(&ia, &x), more_y = label_next(&ib, &y);
	uint32_t best = QL_TAB_NONE;
	int cmp = 0;

	while (more_x || more_y) {
		int c = !more_y ? -1
		    : !more_x   ? 1
		                : ql_bytes_cmp(x.name, x.name_len, y.name, y.name_len);
		cmp_label(s, c <= 0 ? &x : NULL, c >= 0 ? &y : NULL, &best, &cmp);
		if (c <= 0)
			more_x = label_next(&ia, &x);
		if (c >= 0)
			more_y = label_next(&ib, &y);
	}
	return cmp;
}

static int cmp_by_label(const void *arg, uint32_t a, uint32_t b)
{
	const struct sorting *s = arg;
	struct labels x = s->pn->vec.cols[a].ls, y = s->pn->vec.cols[b].ls;
	int c = cmp_named(s, x, y);

	if (!c)
		c = label_cmp(x, y);
	return s->desc ? -c : c;
}

static enum ql_did sort_names(struct ql_run *x, struct ql_pn *pn, struct sorting *s)
{
	uint32_t count = pn->ast->call.args_count;

	if (!s->names.arena && !ql_run_tab(x, &s->names, count))
		return QL_FAILED;
	while (s->pos + 1 < count) {
		struct ql_str name = string_arg(pn->ast, ++s->pos);
		struct labels key = name_key(name.s, name.len);
		bool fresh;
		ql_tab_add(&s->names, key, label_hash(key), false, &fresh);
		if (ql_tick(x, 64))
			return QL_AGAIN;
	}
	return QL_DONE;
}

static bool sorts_by_label(const struct ql_pn *pn)
{
	enum ql_fn fn = pn->ast->call.func->fn;
	return fn == QL_FN_SORT_BY_LABEL || fn == QL_FN_SORT_BY_LABEL_DESC;
}

/* Values are sorted, not histograms: they go. False when the slice ended. */
static bool drop_hists(struct ql_run *x, struct ql_pn *pn, struct sorting *s)
{
	while (s->looked < pn->vec.count) {
		pn->vec.cols[s->looked++].hists = NULL;
		if (ql_tick(x, 0))
			return false;
	}
	return true;
}

static struct sorting *sort_make(struct ql_run *x, struct ql_pn *pn)
{
	enum ql_fn fn = pn->ast->call.func->fn;
	struct sorting *s = pn->state = arena_zalloc(x->arena, sizeof(*s));

	pn->vec = pn->arg[0]->vec;
	s->pn = pn;
	s->desc = fn == QL_FN_SORT_DESC || fn == QL_FN_SORT_BY_LABEL_DESC;
	return s;
}

static enum ql_did sort_start(struct ql_run *x, struct ql_pn *pn, struct sorting *s)
{
	bool by_label = sorts_by_label(pn);

	x->err = ql_room(&x->budget, (uint64_t)pn->vec.count * 2 * sizeof(uint32_t), x->eb);
	if (x->err)
		return QL_FAILED;
	ql_sorter_init(&s->sorter, x->arena, pn->vec.count, by_label ? cmp_by_label : cmp_values, s);
	s->sorter.work = by_label ? 1024 : 0; /* values may be long */
	s->started = true;
	return QL_DONE;
}

/* What stays of the argument: of a sort by values only numbers. */
static enum ql_did sort_filter(struct ql_run *x, struct ql_pn *pn, struct sorting *s)
{
	if (sorts_by_label(pn))
		return QL_DONE;
	return drop_hists(x, pn, s) ? ql_run_tidy(x, pn, QL_EQUAL_NONE) : QL_AGAIN;
}

enum ql_did ql_sort_run(struct ql_run *x, struct ql_pn *pn)
{
	struct sorting *s = pn->state ? pn->state : sort_make(x, pn);
	enum ql_did did;

	if (!s->started && (did = sort_filter(x, pn, s)))
		return did;
	if (pn->grid.n > 1) {
		ql_notes_add(&x->notes, false, pn->ast->pos,
		    "sort is ineffective for range queries since results are always ordered by labels");
		return QL_DONE;
	}
	if (!s->started && (did = sort_start(x, pn, s)))
		return did;
	if (sorts_by_label(pn) && !s->sorted && (did = sort_names(x, pn, s)))
		return did;
	if (!s->sorted && !ql_sorter_run(&s->sorter, x))
		return QL_AGAIN;
	s->sorted = true;
	if (!ql_run_reserve(x, &s->out, pn->vec.count))
		return QL_FAILED;
	while (s->out.count < pn->vec.count) {
		uint32_t at = s->sorter.idx[s->out.count];
		*ql_vec_add(x->arena, &s->out) = pn->vec.cols[at];
		if (ql_tick(x, 16))
			return QL_AGAIN;
	}
	pn->vec = s->out;
	return QL_DONE;
}
