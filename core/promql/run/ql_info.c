/*
 * info(v, {selector}): labels of info metrics joined to the elements of v by instance and job.
 *
 * The second argument of the plan's node is a piece with the times of the newest samples of the
 * info series. Per step the newest sample of each (name, instance, job) wins;
 * a column of v is split where its winners change.
 */
#include "core/promql/run/ql_nodes.h"

#include <math.h>
#include <string.h>

#define MADE_KEEP 65536

struct key {              /* one (name, instance, job) of the info series */
	uint32_t name;    /* ordinal of the info metric's name */
	uint32_t *winner; /* per step: info column + 1; 0: none */
};
enum info_phase {
	INFO_BASE, /* v: what is asked of the info series */
	INFO_KEYS, /* info series: the winners of each key */
	INFO_JOIN, /* v, again */
	INFO_OVER
};
struct infop {
	const struct ql_vec *base, *info;
	const struct ql_node *sel; /* second argument, NULL when absent */
	struct ql_tab names, keys, results;
	struct key *key;
	uint32_t key_cap, pos;
	uint64_t *any;                 /* steps where v has an element */
	struct ql_tab instances, jobs; /* values of v's elements that are enriched */
	uint32_t *now, *before;        /* winners of a column at a step, per name */
	uint32_t *key_of;              /* keys of the column at hand, per name */
	enum info_phase phase;
	uint32_t step; /* in the column at pos */
	/* the column at hand */
	uint32_t name; /* INFO_JOIN: names whose keys were looked for */
	bool plain;    /* an info series itself: not enriched */
	bool started, making, any_winner;
	uint32_t taken;             /* names whose labels are in found */
	struct label_builder found; /* labels that info series bring */
	uint32_t to;                /* its result column, QL_TAB_NONE: none at these steps */
	struct buf scratch;
	struct arena made; /* label sets on their way into a table */
	struct ql_names id_names, mentioned;
	bool by_expression; /* the name of the info series is matched by one that takes steps */
	bool takes_empty;   /* the second argument holds for no info series at all, too */
};

static void info_release(void *arg)
{
	struct infop *s = arg;
	buf_release(&s->scratch);
	arena_release(&s->made);
}

/* The piece's matchers on the name hold. */
static bool is_info_name(const struct ql_pn *piece, struct labels ls, bool *limit)
{
	const struct ql_piece_spec *spec = piece->spec;
	uint32_t len = 0;
	const char *name = label_get(ls, LABEL_NAME, 8, &len);

	for (uint32_t i = 0; i < spec->matchers_count; i++) {
		const struct matcher *m = &spec->matchers[i];
		if (!label_is_metric_name(m->name, m->name_len))
			continue;
		enum rex_result r = matcher_value(m, name ? name : "", name ? len : 0);
		*limit = *limit || r == REX_LIMIT;
		if (r != REX_YES)
			return false;
	}
	return true;
}

static bool matches_by_expression(const struct ql_pn *piece)
{
	for (uint32_t i = 0; i < piece->spec->matchers_count; i++) {
		const struct matcher *m = &piece->spec->matchers[i];
		if (m->rex && rex_kind(m->rex) == REX_PCRE)
			return true;
	}
	return false;
}

static struct labels value_key(struct labels ls, const char *name, size_t len)
{
	struct labels key = { 0 };
	const char *v = label_get(ls, name, len, &key.len);
	key.bytes = (const uint8_t *)v;
	if (!v)
		key.len = 0;
	return key;
}

static void remember(struct ql_tab *tab, struct labels ls, const char *name, size_t len)
{
	struct labels key = value_key(ls, name, len);
	bool fresh;
	if (key.len)
		ql_tab_add(tab, key, label_hash(key), true, &fresh);
}

static bool known(const struct ql_tab *tab, struct labels ls, const char *name, size_t len)
{
	struct labels key = value_key(ls, name, len);
	return !tab->count || (key.len && ql_tab_find(tab, key, label_hash(key)) != QL_TAB_NONE);
}

/* Names of the second argument's matchers; only these labels are taken, when there are any. */
static struct ql_names mentioned_names(struct ql_run *x, const struct infop *s)
{
	uint32_t count = s->sel ? s->sel->sel.matchers_count : 0, k = 0;
	struct ql_str *names = arena_array(x->arena, (size_t)count + 1, sizeof(*names));

	for (uint32_t i = 0; i < count; i++) {
		const struct matcher *m = &s->sel->sel.matchers[i];
		if (!label_is_metric_name(m->name, m->name_len))
			names[k++] = (struct ql_str){ m->name, m->name_len };
	}
	return ql_names_make(x->arena, names, k);
}

static bool data_matchers_match_empty(const struct infop *s)
{
	for (uint32_t i = 0; s->sel && i < s->sel->sel.matchers_count; i++) {
		const struct matcher *m = &s->sel->sel.matchers[i];
		if (!label_is_metric_name(m->name, m->name_len) && !m->matches_empty)
			return false;
	}
	return true;
}

/* NULL over budget. */
static struct infop *info_start(struct ql_run *x, struct ql_pn *pn)
{
	static const struct ql_str ids[] = { { "__name__", 8 }, { "instance", 8 }, { "job", 3 } };
	struct infop *s = arena_zalloc(x->arena, sizeof(*s));

	s->base = &pn->arg[0]->vec;
	s->info = &pn->arg[1]->vec;
	if (pn->ast->call.args_count > 1)
		s->sel = ql_skip_parens(pn->ast->call.args[1]);
	s->id_names = ql_names_make(x->arena, ids, COUNT_OF(ids));
	s->by_expression = matches_by_expression(pn->arg[1]);
	s->mentioned = mentioned_names(x, s);
	s->takes_empty = data_matchers_match_empty(s);
	buf_init(&s->scratch);
	arena_init(&s->made, 4096);
	ql_run_at_end(x, info_release, s);
	ql_tab_init(&s->names, x->arena);
	if (!ql_run_tab(x, &s->keys, s->info->count) || !ql_run_tab(x, &s->results, s->base->count) ||
	    !ql_run_tab(x, &s->instances, s->base->count) ||
	    !ql_run_tab(x, &s->jobs, s->base->count) || !ql_run_reserve(x, &pn->vec, s->base->count))
		return NULL;
	s->any = arena_zalloc(x->arena, ql_words(pn->grid.n) * sizeof(*s->any));
	pn->state = s;
	return s;
}

static enum ql_did look_at_base(struct ql_run *x, struct ql_pn *pn, struct infop *s)
{
	const struct ql_col *c = &s->base->cols[s->pos];
	bool limit = false;

	for (uint32_t w = 0; w < ql_words(pn->grid.n); w++)
		s->any[w] |= ql_col_word(c, w);
	if (is_info_name(pn->arg[1], c->ls, &limit))
		return QL_DONE;
	if (limit)
		return ql_failf(x, "matching label \"__name__\" needs too many steps");
	remember(&s->instances, c->ls, "instance", 8);
	remember(&s->jobs, c->ls, "job", 3);
	return QL_DONE;
}

/* --- winners --- */

static struct key *key_at(struct ql_run *x, struct ql_pn *pn, struct infop *s, uint32_t at, bool fresh)
{
	if (at >= s->key_cap) {
		uint32_t cap = s->key_cap ? s->key_cap * 2 : 64;
		if ((x->err = ql_room(&x->budget, (uint64_t)cap * sizeof(*s->key), x->eb)))
			return NULL;
		struct key *k = arena_array(x->arena, cap, sizeof(*k));
		if (s->key_cap)
			memcpy(k, s->key, s->key_cap * sizeof(*k));
		s->key = k;
		s->key_cap = cap;
	}
	if (fresh) {
		x->err = ql_room(&x->budget, (uint64_t)pn->grid.n * sizeof(uint32_t), x->eb);
		if (x->err)
			return NULL;
		s->key[at].winner = arena_zalloc(x->arena, pn->grid.n * sizeof(uint32_t));
	}
	return &s->key[at];
}

static enum ql_did fail_same_time(
    struct ql_run *x, const struct ql_col *a, const struct ql_col *b, uint32_t step)
{
	struct buf t1, t2;
	long long t = llround(a->v[step] * 1000);

	buf_init(&t1);
	buf_init(&t2);
	label_text(&t1, a->ls);
	label_text(&t2, b->ls);
	buf_add_u8(&t1, 0);
	buf_add_u8(&t2, 0);
	enum ql_did did =
	    ql_failf(x, "found duplicate series for info metric: existing %s @ %lld, new %s @ %lld",
	        (char *)t1.data, t, (char *)t2.data, t);
	buf_release(&t1);
	buf_release(&t2);
	return did;
}

/* Has it a histogram where v has an element? Info metrics are numbers. */
static bool is_hist(const struct infop *s, const struct ql_col *c, uint32_t n)
{
	for (uint32_t w = 0; c->hists && w < ql_words(n); w++)
		if (c->hists->has[w] & s->any[w])
			return true;
	return false;
}

/* The steps of an info column, part by part. */
static enum ql_did add_winners(
    struct ql_run *x, struct ql_pn *pn, struct infop *s, struct key *k, const struct ql_col *c)
{
	if (UNLIKELY(is_hist(s, c, pn->grid.n)))
		return ql_failf(x, "info sample should be float");
	while (s->step < pn->grid.n) {
		uint32_t from = s->step, count = ql_part(from, pn->grid.n);
		QL_EACH_BIT(at, c->has + from / 64, count)
		{
			uint32_t i = from + at;
			if (!ql_bit(s->any, i))
				continue;
			if (!k->winner[i]) {
				k->winner[i] = s->pos + 1;
				continue;
			}
			const struct ql_col *w = &s->info->cols[k->winner[i] - 1];
			if (w->v[i] == c->v[i])
				return fail_same_time(x, w, c, i);
			if (w->v[i] < c->v[i])
				k->winner[i] = s->pos + 1;
		}
		s->step += count;
		if (ql_tick(x, count) && s->step < pn->grid.n)
			return QL_AGAIN;
	}
	s->step = 0;
	return QL_DONE;
}

static enum ql_did add_info(struct ql_run *x, struct ql_pn *pn, struct infop *s)
{
	const struct ql_col *c = &s->info->cols[s->pos];
	struct labels name = value_key(c->ls, LABEL_NAME, 8);
	bool fresh;

	if (!(s->instances.count || s->jobs.count) || !known(&s->instances, c->ls, "instance", 8) ||
	    !known(&s->jobs, c->ls, "job", 3))
		return QL_DONE;
	uint64_t text = (uint64_t)name.len + c->ls.len + ql_tab_bytes(1);
	if ((x->err = ql_room(&x->budget, text, x->eb)))
		return QL_FAILED;
	uint32_t name_at = ql_tab_add(&s->names, name, label_hash(name), true, &fresh);
	struct labels id = ql_labels_pick(&s->scratch, c->ls, &s->id_names, true);
	uint32_t at = ql_tab_add(&s->keys, id, label_hash(id), true, &fresh);
	struct key *k = key_at(x, pn, s, at, fresh);
	if (!k)
		return QL_FAILED;
	k->name = name_at;
	return add_winners(x, pn, s, k, c);
}

/* --- joining --- */

/* Labels of one info series into the builder, which holds only labels that info series brought. */
static enum ql_did take_labels(struct ql_run *x, struct label_builder *b, const struct infop *s,
    struct labels base, struct labels info)
{
	struct label_iter it = label_iter(info);
	struct label l;

	while (label_next(&it, &l)) {
		uint32_t len;
		if (label_is_metric_name(l.name, l.name_len) ||
		    (s->mentioned.count && !ql_names_have(&s->mentioned, l.name, l.name_len)))
			continue;
		const char *v = label_builder_get(b, l.name, l.name_len, &len);
		if (v && (len != l.value_len || memcmp(v, l.value, len) != 0))
			return ql_failf(x, "conflicting label: %.*s", (int)l.name_len, l.name);
		if (!label_get(base, l.name, l.name_len, &len))
			label_builder_set(b, l.name, l.name_len, l.value, l.value_len);
	}
	return QL_DONE;
}

static void column_begin(struct infop *s)
{
	arena_reset(&s->made, MADE_KEEP);
	label_builder_init(&s->found, &s->made);
	s->taken = 0;
	s->any_winner = false;
	s->making = true;
}

/*
 * The result column for the winners in s->now, into s->to: QL_TAB_NONE when there is none at these
 * steps.
 */
static enum ql_did column_make(
    struct ql_run *x, struct ql_pn *pn, struct infop *s, const struct ql_col *base)
{
	struct label_builder all;
	struct label l;
	bool fresh;

	while (!s->plain && s->taken < s->names.count) {
		uint32_t winner = s->now[s->taken++];
		if (!winner)
			continue;
		s->any_winner = true;
		if (take_labels(x, &s->found, s, base->ls, s->info->cols[winner - 1].ls))
			return QL_FAILED;
		if (ql_tick(x, 512))
			return QL_AGAIN;
	}
	s->making = false;
	s->to = QL_TAB_NONE;
	if (!s->plain && !s->any_winner && !s->takes_empty)
		return QL_DONE;
	label_builder_from(&all, &s->made, base->ls);
	struct label_iter it = label_iter(label_builder_done(&s->found));
	while (label_next(&it, &l))
		label_builder_set(&all, l.name, l.name_len, l.value, l.value_len);
	struct labels ls = label_builder_done(&all);
	if ((x->err = ql_room(&x->budget, ls.len, x->eb)))
		return QL_FAILED;
	uint32_t at = ql_tab_add(&s->results, ls, label_hash(ls), true, &fresh);
	if (fresh && !ql_run_col(x, &pn->vec, ql_tab_key(&s->results, at)->ls, pn->grid.n))
		return QL_FAILED;
	pn->vec.cols[at].drop_name |= base->drop_name;
	s->to = at;
	return QL_DONE;
}

/* The key of the column for each name. False when the slice ended. */
static bool keys_of(struct ql_run *x, struct infop *s, const struct ql_col *c)
{
	while (s->name < s->names.count) {
		struct label_builder b;
		struct labels name = ql_tab_key(&s->names, s->name)->ls;
		struct labels id = ql_labels_pick(&s->scratch, c->ls, &s->id_names, true);
		arena_reset(&s->made, MADE_KEEP);
		label_builder_from(&b, &s->made, id);
		label_builder_set(&b, LABEL_NAME, 8, (const char *)name.bytes, name.len);
		id = label_builder_done(&b);
		s->key_of[s->name++] = ql_tab_find(&s->keys, id, label_hash(id));
		if (ql_tick(x, 256) && s->name < s->names.count)
			return false;
	}
	return true;
}

static bool winners_at(struct infop *s, uint32_t step)
{
	bool same = true;
	for (uint32_t i = 0; i < s->names.count; i++) {
		uint32_t k = s->key_of[i];
		s->now[i] = k == QL_TAB_NONE ? 0 : s->key[k].winner[step];
		same = same && s->now[i] == s->before[i];
		s->before[i] = s->now[i];
	}
	return same;
}

static bool here(const struct ql_col *c, uint32_t i)
{
	return ql_col_word(c, i / 64) >> (i % 64) & 1;
}

/* The value of a step, a number or a histogram. */
static enum ql_did take_step(
    struct ql_run *x, const struct ql_pn *pn, struct ql_col *to, const struct ql_col *c, uint32_t i)
{
	if (here(to, i))
		return ql_failf(x, "vector cannot contain metrics with the same labelset");
	if (LIKELY(ql_bit(c->has, i))) {
		to->v[i] = c->v[i];
		ql_bit_on(to->has, i);
		return QL_DONE;
	}
	if (!to->hists) {
		if ((x->err = ql_charge(&x->budget, pn->grid.n, x->eb)))
			return QL_FAILED;
		ql_col_hists(x->arena, to, pn->grid.n);
	}
	to->hists->h[i] = c->hists->h[i];
	ql_bit_on(to->hists->has, i);
	return QL_DONE;
}

static enum ql_did join_step(
    struct ql_run *x, struct ql_pn *pn, struct infop *s, const struct ql_col *c, uint32_t i)
{
	enum ql_did did;

	if (!s->making && !(winners_at(s, i) && s->started))
		column_begin(s);
	s->started = true;
	if (s->making && (did = column_make(x, pn, s, c)))
		return did;
	if (s->to == QL_TAB_NONE)
		return QL_DONE;
	return take_step(x, pn, &pn->vec.cols[s->to], c, i);
}

static enum ql_did join_base(struct ql_run *x, struct ql_pn *pn, struct infop *s)
{
	const struct ql_col *c = &s->base->cols[s->pos];
	enum ql_did did;

	if (!s->started) {
		bool limit = false;
		if (!keys_of(x, s, c))
			return QL_AGAIN;
		s->plain = is_info_name(pn->arg[1], c->ls, &limit);
	}
	while (s->step < pn->grid.n) {
		if (here(c, s->step) && (did = join_step(x, pn, s, c, s->step)))
			return did;
		s->step++;
		if (ql_tick(x, s->names.count * 4) && s->step < pn->grid.n)
			return QL_AGAIN;
	}
	s->step = s->name = 0;
	s->started = false;
	return QL_DONE;
}

static enum ql_did info_one(struct ql_run *x, struct ql_pn *pn, struct infop *s)
{
	switch (s->phase) {
	case INFO_BASE:
		return look_at_base(x, pn, s);
	case INFO_KEYS:
		return add_info(x, pn, s);
	case INFO_JOIN:
		return join_base(x, pn, s);
	case INFO_OVER:
		break;
	}
	return QL_DONE;
}

static enum ql_did info_next(struct ql_run *x, struct infop *s)
{
	uint64_t size = ((uint64_t)s->names.count + 1) * sizeof(uint32_t);

	s->pos = 0;
	switch (s->phase) {
	case INFO_BASE:
		s->phase = INFO_KEYS;
		break;
	case INFO_KEYS:
		if ((x->err = ql_room(&x->budget, size * 3, x->eb)))
			return QL_FAILED;
		s->now = arena_zalloc(x->arena, size);
		s->before = arena_zalloc(x->arena, size);
		s->key_of = arena_zalloc(x->arena, size);
		s->phase = INFO_JOIN;
		break;
	case INFO_JOIN:
		s->phase = INFO_OVER;
		break;
	case INFO_OVER:
		break;
	}
	return QL_DONE;
}

enum ql_did ql_info_run(struct ql_run *x, struct ql_pn *pn)
{
	struct infop *s = pn->state ? pn->state : info_start(x, pn);
	enum ql_did did;

	if (!s)
		return QL_FAILED;
	while (s->phase != INFO_OVER) {
		uint32_t count = s->phase == INFO_KEYS ? s->info->count : s->base->count;
		while (s->pos < count) {
			if ((did = info_one(x, pn, s)))
				return did;
			s->pos++;
			/* a name that is matched by expression may take half a millisecond */
			if (ql_tick(x, s->by_expression ? QL_TICK : 256))
				return QL_AGAIN;
		}
		if (info_next(x, s))
			return QL_FAILED;
	}
	return QL_DONE;
}
