/*
 * histogram_quantile, histogram_quantiles and histogram_fraction, on classic buckets and on native
 * histograms.
 *
 * A group has the classic buckets of one label set without le, and the native histograms of that
 * label set: where a step has both, it has no result. Members of a group stand together, native
 * ones first, then classic ones by bound. A column of the result is made in blocks of steps: each
 * member's values of the block are read side by side and put with their steps.
 */
#include "core/model/histmath.h"
#include "core/promql/run/ql_buckets.h"
#include "core/promql/run/ql_nodes.h"
#include "core/promql/run/ql_sorter.h"

#include <math.h>
#include <string.h>

#define BLOCK_MAX 16   /* steps whose buckets are gathered together */
#define BUCKETS   4096 /* at least so many have room in a block */

struct hist_member { /* of one input column: its floats, or its histograms */
	double bound;
	uint32_t group, col;
	bool native;
};
enum hist_phase {
	HIST_WARN,  /* parameters that are no quantiles */
	HIST_COUNT, /* of members, at most */
	HIST_MEMBERS,
	HIST_SORT,
	HIST_FROM,
	HIST_GROUPS,
	HIST_TIDY
};
enum hist_said { /* bits: notes of a column */
	SAID_RESULT = 1,
	SAID_SKEWED = 2,
	SAID_EXCLUDED = 4,
	SAID_MIXED = 8
};
struct hists {
	enum hist_phase phase;
	const struct ql_vec *v;
	struct ql_tab tab; /* labels without le */
	struct hist_member *member;
	uint32_t members, members_max;
	struct ql_sorter sorter; /* members by group, then bound */
	uint32_t *from;          /* group g: sorter.idx[from[g]] .. sorter.idx[from[g + 1] - 1] */
	struct buf scratch;
	struct ql_names le;
	uint32_t pos, group;
	/* the block at hand: count steps of a group, which have as many buckets as have says */
	struct ql_bucket *bucket;
	size_t bucket_cap;
	uint32_t step, count, at;
	uint32_t have[BLOCK_MAX];
	const struct hist *native[BLOCK_MAX];
	const struct hist *seen; /* native, of the value of the step before */
	bool gathered;           /* values are made, from step at of the block on */
	/* the column at hand */
	unsigned arg;   /* histogram_quantiles: of the quantile */
	bool open;      /* pn->vec's last column is filled */
	uint64_t said;  /* HIST_WARN: bits of the last bad quantile */
	unsigned notes; /* bits of enum hist_said */
	struct ql_note_fix fix;
	const char *fix_text; /* the note of the name that was told last, once made */
	const char *fix_name;
	uint32_t fix_name_len;
};

static void hist_release(void *arg)
{
	struct hists *h = arg;
	buf_release(&h->scratch);
}

/* --- grouping --- */

static int member_cmp(const void *arg, uint32_t i, uint32_t k)
{
	const struct hist_member *a = (const struct hist_member *)arg + i;
	const struct hist_member *b = (const struct hist_member *)arg + k;
	if (a->group != b->group)
		return a->group < b->group ? -1 : 1;
	if (a->native != b->native)
		return a->native ? -1 : 1;
	if (a->bound != b->bound)
		return a->bound < b->bound ? -1 : 1;
	return (a->col > b->col) - (a->col < b->col);
}

static const char *name_of(struct ql_run *x, struct labels ls, uint32_t *len)
{
	bool late = x->names == QL_NAMES_DROP_LATE;
	const char *s = late ? label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, len) : NULL;
	*len = s ? *len : 0;
	return s;
}

/* for metric name "m", where it appears at all. */
static void put_for_name(struct buf *b, const char *name, uint32_t len)
{
	if (!len)
		return;
	buf_add_str(b, " for metric name ");
	label_quote_go(b, name, len);
}

static void note_bad_le(
    struct ql_run *x, const struct ql_node *arg, struct labels ls, const char *le, uint32_t len)
{
	struct buf b;
	uint32_t name_len;
	const char *name = name_of(x, ls, &name_len);

	buf_init(&b);
	label_quote_go(&b, le ? le : "", le ? len : 0);
	put_for_name(&b, name, name_len);
	buf_add_u8(&b, 0);
	ql_notes_add(&x->notes, false, ql_bare_pos(arg),
	    "bucket label \"le\" is missing or has a malformed value of %s", (const char *)b.data);
	buf_release(&b);
}

static const struct ql_node *hist_arg(const struct ql_pn *pn)
{
	enum ql_fn fn = pn->ast->call.func->fn;
	return pn->ast->call.args[fn == QL_FN_HISTOGRAM_QUANTILES ? 0
	        : fn == QL_FN_HISTOGRAM_FRACTION                  ? 2
	                                                          : 1];
}

static struct hists *hists_start(struct ql_run *x, struct ql_pn *pn)
{
	static const struct ql_str le_name = { "le", 2 };
	enum ql_fn fn = pn->ast->call.func->fn;
	struct hists *h = arena_zalloc(x->arena, sizeof(*h));

	h->v = &pn->arg[fn == QL_FN_HISTOGRAM_QUANTILES ? 0 : pn->args_count - 1]->vec;
	h->arg = fn == QL_FN_HISTOGRAM_QUANTILES;
	h->le = ql_names_make(x->arena, &le_name, 1);
	buf_init(&h->scratch);
	ql_run_at_end(x, hist_release, h);
	pn->state = h;
	return h;
}

/* Room for the members. */
static bool hists_counted(struct ql_run *x, struct hists *h)
{
	uint64_t room = sizeof(*h->member) + sizeof(*h->bucket) + 3 * sizeof(uint32_t);

	x->err = ql_room(&x->budget, h->members_max * room, x->eb);
	if (x->err || !ql_run_tab(x, &h->tab, h->members_max))
		return false;
	h->member = arena_array(x->arena, (size_t)h->members_max + 1, sizeof(*h->member));
	return true;
}

static void member_add(struct hists *h, struct labels key, uint32_t col, double bound, bool native)
{
	struct hist_member *m = &h->member[h->members++];
	bool fresh;

	m->group = ql_tab_add(&h->tab, key, label_hash(key), true, &fresh);
	m->col = col;
	m->bound = bound;
	m->native = native;
}

static void classic_add(struct ql_run *x, struct ql_pn *pn, struct hists *h, uint32_t i)
{
	uint32_t len = 0;
	struct labels ls = h->v->cols[i].ls;
	const char *le = label_get(ls, "le", 2, &len);
	double bound;

	if (!le || num_parse_float(le, len, &bound))
		note_bad_le(x, hist_arg(pn), ls, le, len);
	else
		member_add(h, ql_labels_pick(&h->scratch, ls, &h->le, false), i, bound, false);
}

/* A native histogram keeps a label le that it may have. */
static void column_add(struct ql_run *x, struct ql_pn *pn, struct hists *h, uint32_t i)
{
	const struct ql_col *c = &h->v->cols[i];

	if (LIKELY(!c->hists) || ql_bits_any(c->has, pn->grid.n))
		classic_add(x, pn, h, i);
	if (UNLIKELY(c->hists != NULL) && ql_bits_any(c->hists->has, pn->grid.n))
		member_add(h, c->ls, i, 0, true);
}

/* --- blocks of steps --- */

static uint32_t group_size(const struct hists *h)
{
	return h->from[h->group + 1] - h->from[h->group];
}

static void block_begin(struct hists *h, uint32_t most)
{
	uint32_t fit = (uint32_t)(h->bucket_cap / group_size(h));

	h->count = most < BLOCK_MAX ? most : BLOCK_MAX;
	h->count = fit < h->count ? fit : h->count;
	h->at = 0;
	h->gathered = false;
	for (uint32_t i = 0; i < h->count; i++) {
		h->have[i] = 0;
		h->native[i] = NULL;
	}
}

static void gather_native(struct hists *h, const struct ql_col *c)
{
	for (uint32_t i = 0; i < h->count; i++)
		if (ql_bit(c->hists->has, h->step + i))
			h->native[i] = c->hists->h[h->step + i];
}

static void gather_classic(struct hists *h, const struct ql_col *c, double bound, uint32_t size)
{
	for (uint32_t i = 0; i < h->count; i++) {
		struct ql_bucket *b = h->bucket + (size_t)i * size + h->have[i];
		if (!ql_bit(c->has, h->step + i))
			continue;
		if (h->have[i] && b[-1].bound == bound) {
			b[-1].count += c->v[h->step + i];
			continue;
		}
		*b = (struct ql_bucket){ bound, c->v[h->step + i] };
		h->have[i]++;
	}
}

/*
 * The buckets that are there, by step. Members come by bound, so equal bounds meet here. False when
 * the slice ended.
 */
static bool block_gather(struct ql_run *x, struct hists *h)
{
	uint32_t size = group_size(h);

	while (h->at < size) {
		const struct hist_member *m = &h->member[h->sorter.idx[h->from[h->group] + h->at++]];
		const struct ql_col *c = &h->v->cols[m->col];
		if (UNLIKELY(m->native))
			gather_native(h, c);
		else
			gather_classic(h, c, m->bound, size);
		if (ql_tick(x, h->count * 2) && h->at < size)
			return false;
	}
	return true;
}

/* --- per group --- */

static const char *quantile_label(struct ql_run *x, double q)
{
	const char *s = ql_fmt_g(x->arena, q);
	if (isnan(q) || isinf(q) || strpbrk(s, "e."))
		return s;
	return arena_printf(x->arena, "%s.0", s);
}

/* Of native histograms of a column, and of those that were mixed with classic ones. */
static void note_natives(struct ql_run *x, const struct ql_pn *pn, struct hists *h)
{
	static const struct {
		unsigned said;
		bool info;
		const char *text;
	} texts[] = {
		{ SAID_MIXED, false, "vector contains a mix of classic and native histograms" },
		{ SAID_RESULT, true,
		    "input to histogram_quantile has NaN observations, result is NaN" },
		{ SAID_SKEWED, true,
		    "input to histogram_quantile has NaN observations, result is skewed higher" },
		{ SAID_EXCLUDED, true,
		    "input to histogram_fraction has NaN observations, which are excluded from all fractions" },
	};
	struct labels ls = ql_tab_key(&h->tab, h->group)->ls;

	for (size_t i = 0; i < COUNT_OF(texts); i++)
		if (h->notes & texts[i].said)
			ql_notes_for(&x->notes, texts[i].info, ql_bare_pos(hist_arg(pn)),
			    texts[i].text,
			    x->names == QL_NAMES_DROP_LATE ? ls : (struct labels){ 0 });
	h->notes = 0;
}

/* The note of a column; groups of one name share a text. */
static void note_fixes(struct ql_run *x, const struct ql_pn *pn, struct hists *h)
{
	uint32_t len;
	const char *name = name_of(x, ql_tab_key(&h->tab, h->group)->ls, &len);

	if (!h->fix.count)
		return;
	if (!h->fix_text || len != h->fix_name_len || (len && memcmp(name, h->fix_name, len) != 0)) {
		struct buf b;
		buf_init(&b);
		buf_add_str(&b,
		    "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)");
		put_for_name(&b, name, len);
		if (!(x->err = ql_room(&x->budget, b.len, x->eb)))
			h->fix_text = arena_strndup(x->arena, (const char *)b.data, b.len);
		buf_release(&b);
		h->fix_name = name;
		h->fix_name_len = len;
	}
	if (!x->err)
		ql_notes_fix(&x->notes, ql_bare_pos(hist_arg(pn)), &h->fix, h->fix_text);
	h->fix = (struct ql_note_fix){ 0 };
}

static double classic_at(struct ql_pn *pn, struct hists *h, uint32_t i, struct ql_note_fix *fix)
{
	struct ql_bucket *b = h->bucket + (size_t)i * group_size(h);
	uint32_t n = h->have[i], step = h->step + i;

	if (pn->ast->call.func->fn == QL_FN_HISTOGRAM_FRACTION)
		return ql_bucket_fraction(ql_scalar_at(&pn->arg[0]->scalar, step),
		    ql_scalar_at(&pn->arg[1]->scalar, step), b, n);
	return ql_bucket_quantile(ql_scalar_at(&pn->arg[h->arg]->scalar, step), b, n, fix);
}

static double native_at(const struct ql_pn *pn, struct hists *h, uint32_t i)
{
	static const unsigned said[] = {
		[HIST_NAN_NONE] = 0, [HIST_NAN_RESULT] = SAID_RESULT, [HIST_NAN_SKEWED] = SAID_SKEWED, [HIST_NAN_EXCLUDED] = SAID_EXCLUDED
	};
	uint32_t step = h->step + i;
	enum hist_nan nan;
	double v;

	if (pn->ast->call.func->fn == QL_FN_HISTOGRAM_FRACTION)
		v = hist_fraction(ql_scalar_at(&pn->arg[0]->scalar, step),
		    ql_scalar_at(&pn->arg[1]->scalar, step), h->native[i], &nan);
	else
		v = hist_quantile(ql_scalar_at(&pn->arg[h->arg]->scalar, step), h->native[i], &nan);
	h->notes |= said[nan];
	return v;
}

/* Are the parameters those of the step before? */
static bool params_alike(const struct ql_pn *pn, const struct hists *h, uint32_t step)
{
	bool fraction = pn->ast->call.func->fn == QL_FN_HISTOGRAM_FRACTION;

	for (unsigned i = fraction ? 0 : h->arg; i <= (fraction ? 1 : h->arg); i++) {
		const struct ql_scalar *s = &pn->arg[i]->scalar;
		if (s->kind != QL_SAME &&
		    num_bits(ql_scalar_at(s, step)) != num_bits(ql_scalar_at(s, step - 1)))
			return false;
	}
	return true;
}

/* The value of one step of the block. Returns the work. */
static uint64_t step_value(struct ql_pn *pn, struct hists *h, struct ql_col *c, uint32_t i)
{
	struct ql_note_fix fix = { .min_bucket = INFINITY, .max_bucket = -INFINITY };
	const struct hist *native = h->native[i];
	uint64_t work = 32 + 2 * (uint64_t)h->have[i];

	if (native && h->have[i])
		h->notes |= SAID_MIXED;
	if (!native == !h->have[i]) {
		h->seen = NULL;
		return 1;
	}
	if (native && native == h->seen && params_alike(pn, h, h->step + i)) {
		c->v[h->step + i] = c->v[h->step + i - 1];
		ql_bit_on(c->has, h->step + i);
		return 1;
	}
	h->seen = native;
	c->v[h->step + i] = native ? native_at(pn, h, i) : classic_at(pn, h, i, &fix);
	ql_bit_on(c->has, h->step + i);
	fix.t_min_ms = fix.t_max_ms = ql_grid_t(&pn->grid, h->step + i);
	if (fix.count)
		ql_note_fix_add(&h->fix, &fix);
	return native ? work + 4 * hist_cost(native) : work;
}

/* False when the slice ended. */
static bool block_values(struct ql_run *x, struct ql_pn *pn, struct hists *h)
{
	struct ql_col *c = &pn->vec.cols[pn->vec.count - 1];

	if (!h->gathered)
		h->at = 0;
	h->gathered = true;
	while (h->at < h->count)
		if (ql_tick(x, step_value(pn, h, c, h->at++)) && h->at < h->count)
			return false;
	return true;
}

static struct labels group_labels(struct ql_run *x, struct ql_pn *pn, struct hists *h)
{
	struct labels ls = ql_tab_key(&h->tab, h->group)->ls;

	if (pn->ast->call.func->fn != QL_FN_HISTOGRAM_QUANTILES)
		return ls;
	struct ql_str name = ql_skip_parens(pn->ast->call.args[1])->text;
	const char *text = quantile_label(x, ql_scalar_at(&pn->arg[h->arg]->scalar, h->step));
	struct label_builder b;
	label_builder_from(&b, x->arena, ls);
	label_builder_set(&b, name.s, name.len, text, strlen(text));
	return label_builder_done(&b);
}

static enum ql_did column_begin(struct ql_run *x, struct ql_pn *pn, struct hists *h)
{
	struct ql_col *c = ql_run_col(x, &pn->vec, group_labels(x, pn, h), pn->grid.n);

	if (!c)
		return QL_FAILED;
	ql_run_drop_name(x, c);
	h->open = true;
	h->seen = NULL;
	block_begin(h, 0);
	return QL_DONE;
}

/*
 * So many steps from here on go into the same column: all, or those with the same quantile where it
 * is a label. At most a block's.
 */
static uint32_t steps_alike(const struct ql_pn *pn, const struct hists *h)
{
	uint32_t left = pn->grid.n - h->step, k = 0;
	const struct ql_scalar *q = &pn->arg[h->arg]->scalar;

	if (pn->ast->call.func->fn != QL_FN_HISTOGRAM_QUANTILES || q->kind == QL_SAME)
		return left;
	uint64_t first = num_bits(ql_scalar_at(q, h->step));
	while (k < left && k < BLOCK_MAX && num_bits(ql_scalar_at(q, h->step + k)) == first)
		k++;
	return k;
}

/* Does the column at hand end before this step? */
static bool quantile_changes(const struct ql_pn *pn, const struct hists *h)
{
	const struct ql_scalar *q = &pn->arg[h->arg]->scalar;
	return pn->ast->call.func->fn == QL_FN_HISTOGRAM_QUANTILES && h->step < pn->grid.n &&
	    num_bits(ql_scalar_at(q, h->step)) != num_bits(ql_scalar_at(q, h->step - 1));
}

/* A block of a column of the group at hand, or the change to the next one. */
static enum ql_did group_block(struct ql_run *x, struct ql_pn *pn, struct hists *h)
{
	if (!h->open && column_begin(x, pn, h))
		return QL_FAILED;
	if (!h->count)
		block_begin(h, steps_alike(pn, h));
	if ((!h->gathered && !block_gather(x, h)) || !block_values(x, pn, h))
		return QL_AGAIN;
	h->step += h->count;
	h->count = 0;
	if (h->step == pn->grid.n || quantile_changes(pn, h)) {
		h->open = false;
		note_natives(x, pn, h);
		note_fixes(x, pn, h);
		if (x->err)
			return QL_FAILED;
	}
	return ql_tick(x, 0) ? QL_AGAIN : QL_DONE;
}

static enum ql_did hists_groups(struct ql_run *x, struct ql_pn *pn, struct hists *h)
{
	bool many = pn->ast->call.func->fn == QL_FN_HISTOGRAM_QUANTILES;
	unsigned first = many, end = many ? pn->args_count : 1;
	enum ql_did did;

	for (; h->group < h->tab.count; h->group++, h->arg = first)
		for (; h->arg < end; h->arg++, h->step = 0)
			while (h->step < pn->grid.n)
				if ((did = group_block(x, pn, h)))
					return did;
	return QL_DONE;
}

static bool hists_warn(struct ql_run *x, const struct ql_pn *pn, struct hists *h)
{
	bool many = pn->ast->call.func->fn == QL_FN_HISTOGRAM_QUANTILES;
	unsigned end = many ? pn->args_count : 1;

	if (pn->ast->call.func->fn == QL_FN_HISTOGRAM_FRACTION)
		return true;
	for (; h->arg < end; h->arg++, h->pos = 0, h->said = num_bits(0)) {
		const struct ql_scalar *s = &pn->arg[h->arg]->scalar;
		uint32_t n = s->kind == QL_SAME ? 1 : pn->grid.n;
		while (h->pos < n) {
			double q = ql_scalar_at(s, h->pos++);
			bool bad = !(q >= 0 && q <= 1) && num_bits(q) != h->said;
			if (bad) {
				h->said = num_bits(q);
				ql_notes_quantile(
				    &x->notes, ql_bare_pos(pn->ast->call.args[h->arg + many]), q);
			}
			if (ql_tick(x, bad ? 512 : 0))
				return false;
		}
	}
	h->arg = many;
	return true;
}

static void hists_enter(struct hists *h, enum hist_phase phase)
{
	h->phase = phase;
	h->pos = 0;
}

/* Members are sorted: room for the groups' bounds and for the buckets of a block. */
static void hists_sorted(struct ql_run *x, struct hists *h)
{
	h->from = arena_zalloc(x->arena, ((size_t)h->tab.count + 1) * sizeof(*h->from));
	h->bucket_cap = h->members < BUCKETS ? BUCKETS : h->members;
	h->bucket = arena_array(x->arena, h->bucket_cap, sizeof(*h->bucket));
}

static enum ql_did hist_phase_run(struct ql_run *x, struct ql_pn *pn, struct hists *h)
{
	switch (h->phase) {
	case HIST_WARN:
		if (!hists_warn(x, pn, h))
			return QL_AGAIN;
		hists_enter(h, HIST_COUNT);
		return QL_DONE;
	case HIST_COUNT:
		while (h->pos < h->v->count) {
			h->members_max += h->v->cols[h->pos++].hists ? 2 : 1;
			if (ql_tick(x, 0))
				return QL_AGAIN;
		}
		if (!hists_counted(x, h))
			return QL_FAILED;
		hists_enter(h, HIST_MEMBERS);
		return QL_DONE;
	case HIST_MEMBERS:
		while (h->pos < h->v->count) {
			column_add(x, pn, h, h->pos++);
			if (ql_tick(x, 256))
				return QL_AGAIN;
		}
		ql_sorter_init(&h->sorter, x->arena, h->members, member_cmp, h->member);
		hists_enter(h, HIST_SORT);
		return QL_DONE;
	case HIST_SORT:
		if (!ql_sorter_run(&h->sorter, x))
			return QL_AGAIN;
		hists_sorted(x, h);
		hists_enter(h, HIST_FROM);
		return QL_DONE;
	case HIST_FROM:
		while (h->pos < h->members) {
			h->from[h->member[h->sorter.idx[h->pos]].group + 1] = h->pos + 1;
			h->pos++;
			if (ql_tick(x, 0))
				return QL_AGAIN;
		}
		if (!ql_run_reserve(x, &pn->vec, h->tab.count))
			return QL_FAILED;
		hists_enter(h, HIST_GROUPS);
		return QL_DONE;
	case HIST_GROUPS:
		if (hists_groups(x, pn, h))
			return x->err ? QL_FAILED : QL_AGAIN;
		hists_enter(h, HIST_TIDY);
		return QL_DONE;
	case HIST_TIDY:
		break;
	}
	return QL_DONE;
}

enum ql_did ql_histogram_run(struct ql_run *x, struct ql_pn *pn)
{
	struct hists *h = pn->state;

	if (!h && !(h = hists_start(x, pn)))
		return QL_FAILED;
	while (h->phase != HIST_TIDY) {
		enum ql_did did = hist_phase_run(x, pn, h);
		if (did)
			return did;
	}
	return ql_run_tidy(x, pn, ql_run_equal(x, QL_EQUAL_JOINS));
}
