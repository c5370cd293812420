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
	uint32_t *winner; /* per step: info column, QL_TAB_NONE */
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
	enum {
		INFO_BASE,
		INFO_KEYS,
		INFO_JOIN
	} phase;
	struct buf scratch;
	struct arena made; /* label sets on their way into a table */
	struct ql_names id_names;
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
		if (m->name_len != 8 || memcmp(m->name, LABEL_NAME, 8) != 0)
			continue;
		enum rex_result r = matcher_value(m, name ? name : "", name ? len : 0);
		*limit = *limit || r == REX_LIMIT;
		if (r != REX_YES)
			return false;
	}
	return true;
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

static struct infop *info_start(struct ql_run *x, struct ql_pn *pn)
{
	static const struct ql_str ids[] = { { "__name__", 8 }, { "instance", 8 }, { "job", 3 } };
	struct infop *s = arena_zalloc(x->arena, sizeof(*s));

	s->base = &pn->arg[0]->vec;
	s->info = &pn->arg[1]->vec;
	if (pn->ast->call.args_count > 1)
		s->sel = ql_skip_parens(pn->ast->call.args[1]);
	s->id_names = ql_names_make(x->arena, ids, COUNT_OF(ids));
	ql_tab_init(&s->names, x->arena);
	ql_tab_init(&s->keys, x->arena);
	ql_tab_init(&s->results, x->arena);
	ql_tab_init(&s->instances, x->arena);
	ql_tab_init(&s->jobs, x->arena);
	s->any = arena_zalloc(x->arena, ql_words(pn->grid.n) * sizeof(*s->any));
	buf_init(&s->scratch);
	arena_init(&s->made, 4096);
	ql_run_at_end(x, info_release, s);
	pn->state = s;
	return s;
}

static enum ql_did look_at_base(struct ql_run *x, struct ql_pn *pn, struct infop *s)
{
	const struct ql_col *c = &s->base->cols[s->pos];
	bool limit = false;

	for (uint32_t w = 0; w < ql_words(pn->grid.n); w++)
		s->any[w] |= c->has[w];
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
		s->key[at].winner = arena_array(x->arena, pn->grid.n, sizeof(uint32_t));
		memset(s->key[at].winner, 0xff, pn->grid.n * sizeof(uint32_t));
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

static enum ql_did add_info(struct ql_run *x, struct ql_pn *pn, struct infop *s)
{
	const struct ql_col *c = &s->info->cols[s->pos];
	struct labels name = value_key(c->ls, LABEL_NAME, 8);
	bool fresh;

	if (!(s->instances.count || s->jobs.count) || !known(&s->instances, c->ls, "instance", 8) ||
	    !known(&s->jobs, c->ls, "job", 3))
		return QL_DONE;
	uint32_t name_at = ql_tab_add(&s->names, name, label_hash(name), true, &fresh);
	struct labels id = ql_labels_pick(&s->scratch, c->ls, &s->id_names, true);
	uint32_t at = ql_tab_add(&s->keys, id, label_hash(id), true, &fresh);
	struct key *k = key_at(x, pn, s, at, fresh);
	if (!k)
		return QL_FAILED;
	k->name = name_at;
	QL_EACH_BIT(i, c->has, pn->grid.n)
	{
		if (!ql_bit(s->any, i))
			continue;
		if (k->winner[i] == QL_TAB_NONE) {
			k->winner[i] = s->pos;
			continue;
		}
		const struct ql_col *w = &s->info->cols[k->winner[i]];
		if (w->v[i] == c->v[i])
			return fail_same_time(x, w, c, i);
		if (w->v[i] < c->v[i])
			k->winner[i] = s->pos;
	}
	return QL_DONE;
}

/* --- joining --- */

static bool is_mentioned(const struct infop *s, const struct label *l, bool *any)
{
	bool found = false;
	*any = false;
	for (uint32_t i = 0; s->sel && i < s->sel->sel.matchers_count; i++) {
		const struct matcher *m = &s->sel->sel.matchers[i];
		if (m->name_len == 8 && memcmp(m->name, LABEL_NAME, 8) == 0)
			continue;
		*any = true;
		found = found ||
		    (m->name_len == l->name_len && memcmp(m->name, l->name, l->name_len) == 0);
	}
	return found;
}

static bool data_matchers_match_empty(const struct infop *s)
{
	for (uint32_t i = 0; s->sel && i < s->sel->sel.matchers_count; i++) {
		const struct matcher *m = &s->sel->sel.matchers[i];
		if (!(m->name_len == 8 && memcmp(m->name, LABEL_NAME, 8) == 0) && !m->matches_empty)
			return false;
	}
	return true;
}

/* Labels of one info series into the builder, which holds only labels that info series brought. */
static enum ql_did take_labels(struct ql_run *x, struct infop *s, struct label_builder *b,
    struct labels base, struct labels info)
{
	struct label_iter it = label_iter(info);
	struct label l;

	while (label_next(&it, &l)) {
		bool any, mentioned = is_mentioned(s, &l, &any);
		uint32_t len;
		if ((l.name_len == 8 && memcmp(l.name, LABEL_NAME, 8) == 0) || (any && !mentioned))
			continue;
		const char *v = label_builder_get(b, l.name, l.name_len, &len);
		if (v && (len != l.value_len || memcmp(v, l.value, len) != 0))
			return ql_failf(x, "conflicting label: %.*s", (int)l.name_len, l.name);
		if (!label_get(base, l.name, l.name_len, &len))
			label_builder_set(b, l.name, l.name_len, l.value, l.value_len);
	}
	return QL_DONE;
}

/* The result column for the winners in s->now; NULL with x->err unset: no result at these steps. */
static struct ql_col *joined_column(
    struct ql_run *x, struct ql_pn *pn, struct infop *s, const struct ql_col *base, bool plain)
{
	struct label_builder info, all;
	struct label l;
	bool fresh, seen = false;

	arena_reset(&s->made, MADE_KEEP);
	label_builder_init(&info, &s->made);
	for (uint32_t i = 0; !plain && i < s->names.count; i++) {
		if (s->now[i] == QL_TAB_NONE)
			continue;
		seen = true;
		if (take_labels(x, s, &info, base->ls, s->info->cols[s->now[i]].ls))
			return NULL;
	}
	if (!plain && !seen && !data_matchers_match_empty(s))
		return NULL;
	label_builder_from(&all, &s->made, base->ls);
	struct label_iter it = label_iter(label_builder_done(&info));
	while (label_next(&it, &l))
		label_builder_set(&all, l.name, l.name_len, l.value, l.value_len);
	struct labels ls = label_builder_done(&all);
	if ((x->err = ql_room(&x->budget, ls.len, x->eb)))
		return NULL;
	uint32_t at = ql_tab_add(&s->results, ls, label_hash(ls), true, &fresh);
	if (fresh && !ql_run_col(x, &pn->vec, s->results.keys[at].ls, pn->grid.n))
		return NULL;
	pn->vec.cols[at].drop_name |= base->drop_name;
	return &pn->vec.cols[at];
}

static void keys_of(struct infop *s, const struct ql_col *c)
{
	for (uint32_t i = 0; i < s->names.count; i++) {
		struct label_builder b;
		struct labels name = s->names.keys[i].ls;
		struct labels id = ql_labels_pick(&s->scratch, c->ls, &s->id_names, true);
		arena_reset(&s->made, MADE_KEEP);
		label_builder_from(&b, &s->made, id);
		label_builder_set(&b, LABEL_NAME, 8, (const char *)name.bytes, name.len);
		id = label_builder_done(&b);
		s->key_of[i] = ql_tab_find(&s->keys, id, label_hash(id));
	}
}

static bool winners_at(struct infop *s, uint32_t step)
{
	bool same = true;
	for (uint32_t i = 0; i < s->names.count; i++) {
		uint32_t k = s->key_of[i];
		s->now[i] = k == QL_TAB_NONE ? QL_TAB_NONE : s->key[k].winner[step];
		same = same && s->now[i] == s->before[i];
		s->before[i] = s->now[i];
	}
	return same;
}

static enum ql_did join_base(struct ql_run *x, struct ql_pn *pn, struct infop *s)
{
	const struct ql_col *c = &s->base->cols[s->pos];
	struct ql_col *to = NULL;
	bool limit = false, started = false;
	bool plain = is_info_name(pn->arg[1], c->ls, &limit);

	keys_of(s, c);
	QL_EACH_BIT(i, c->has, pn->grid.n)
	{
		bool same = winners_at(s, i) && started;
		if (!same)
			to = joined_column(x, pn, s, c, plain);
		started = true;
		if (x->err)
			return QL_FAILED;
		if (!to)
			continue;
		if (ql_bit(to->has, i))
			return ql_failf(x, "vector cannot contain metrics with the same labelset");
		to->v[i] = c->v[i];
		ql_bit_on(to->has, i);
	}
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
	}
	return QL_DONE;
}

enum ql_did ql_info_run(struct ql_run *x, struct ql_pn *pn)
{
	struct infop *s = pn->state ? pn->state : info_start(x, pn);

	for (;;) {
		uint32_t count = s->phase == INFO_KEYS ? s->info->count : s->base->count;
		while (s->pos < count) {
			if (info_one(x, pn, s))
				return QL_FAILED;
			s->pos++;
			/* a name that is matched by expression may take half a millisecond */
			if (ql_tick(x, (uint64_t)pn->grid.n * 2 + (s->sel ? QL_TICK : 256)))
				return QL_AGAIN;
		}
		s->pos = 0;
		if (s->phase == INFO_JOIN)
			return QL_DONE;
		if (s->phase++ == INFO_KEYS) {
			size_t size = ((size_t)s->names.count + 1) * sizeof(uint32_t);
			s->now = arena_zalloc(x->arena, size);
			s->before = arena_zalloc(x->arena, size);
			s->key_of = arena_zalloc(x->arena, size);
		}
	}
}
