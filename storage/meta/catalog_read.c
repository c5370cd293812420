#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/base/wire.h"
#include "storage/meta/catalog_priv.h"

#include <stdlib.h>

/*
 * Selecting. Generation by generation: sets of known values are looked up; other matchers walk the
 * values of their name, or, when few series are left by then, read the labels of those instead.
 * A value costs some 100 ns to look at, a series some 1 us to fetch.
 */
#define FETCH_COST 8

static enum err read_def(
    struct env_txn *t, const struct env_value *v, uint32_t id, uint32_t *tenant, struct labels *out)
{
	struct wire_reader r = wire_reader(v->data, v->len);
	uint64_t of = wire_varint(&r);
	if (r.bad || of > UINT32_MAX || wire_left(&r) > UINT32_MAX) {
		t->err = ERR_DAMAGED;
		return errbuf_set(
		    t->eb, ERR_DAMAGED, "catalog: definition of series %u is malformed", id);
	}
	*tenant = (uint32_t)of;
	*out = (struct labels){ .bytes = r.p, .len = (uint32_t)wire_left(&r) };
	return ERR_OK;
}

enum err catalog_def_get(struct catalog *c, struct env_txn *t, unsigned shard, uint32_t id,
    uint32_t *tenant, struct labels *out)
{
	uint8_t key[4];
	struct env_value v;
	*out = (struct labels){ 0 };
	catalog_id_key(key, id);
	enum err e = env_get(t, c->shards[shard].def, key, sizeof(key), &v);
	if (e == ERR_NOTFOUND)
		return ERR_OK;
	return e ? e : read_def(t, &v, id, tenant, out);
}

/*
 * The ids with samples in ranges that overlap the times. *out = NULL: the times cover every range
 * there is.
 */
static enum err ids_in_times(struct catalog *c, struct env_txn *t, unsigned shard, int64_t t_min_ms,
    int64_t t_max_ms, roaring_bitmap_t **out)
{
	struct env_cursor cur;
	struct env_record first, last, r;
	uint8_t key[8];
	int64_t from = catalog_range_start(t_min_ms), to = catalog_range_start(t_max_ms);
	*out = NULL;
	enum err e = env_cursor_open(t, c->shards[shard].range, &cur);
	if (e)
		return e;
	e = env_cursor_next(&cur, &first);
	bool open_left = e == ERR_NOTFOUND ||
	    (!e && first.key_len == 8 && catalog_range_of_key(first.key) >= from);
	if (!e)
		e = env_cursor_last(&cur, &last);
	bool open_right =
	    e == ERR_NOTFOUND || (!e && last.key_len == 8 && catalog_range_of_key(last.key) <= to);
	if (e == ERR_NOTFOUND)
		e = ERR_OK;
	if (e || (open_left && open_right)) {
		env_cursor_close(&cur);
		return e;
	}
	*out = catalog_bitmap();
	catalog_range_key(key, from);
	for (e = env_cursor_seek(&cur, key, sizeof(key), &r); !e; e = env_cursor_next(&cur, &r)) {
		roaring_bitmap_t *b;
		if (r.key_len != 8 || catalog_range_of_key(r.key) > to)
			break;
		e = catalog_bitmap_load(t, &r.value, "range of time", &b);
		if (e)
			break;
		roaring_bitmap_or_inplace(*out, b);
		roaring_bitmap_free(b);
	}
	env_cursor_close(&cur);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* One generation under selection. */
struct sel {
	struct catalog *c;
	struct env_txn *t;
	unsigned shard;
	uint32_t gen, tenant;
	const struct matcher *ms;
	size_t count;
	const roaring_bitmap_t *in_times; /* NULL: no limit */
	roaring_bitmap_t *left;           /* what is left of the generation */
	bool *later;                      /* matchers put off to a look at labels */
};

static enum err or_value(
    struct sel *s, const struct gen_name *name, const char *value, size_t len, roaring_bitmap_t *to)
{
	struct gen_iter it;
	gen_iter_values(&it, s->t, s->c->shards[s->shard].gen, s->gen, s->tenant, name);
	enum err e = gen_iter_find(&it, value, len);
	if (!e)
		e = gen_iter_ids_or(&it, to);
	gen_iter_release(&it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err or_direct(
    struct sel *s, const struct matcher *m, const struct gen_name *name, roaring_bitmap_t *to)
{
	if (m->type == MATCHER_EQ || m->type == MATCHER_NE)
		return or_value(s, name, m->value, m->value_len, to);
	size_t len;
	const char *v;
	enum err e = ERR_OK;
	for (size_t i = 0; !e && (v = rex_literal(m->rex, i, &len)); i++) {
		if (len)
			e = or_value(s, name, v, len, to);
	}
	return e;
}

static enum err limit_hit(struct sel *s, const struct matcher *m)
{
	return errbuf_set(s->t->eb, ERR_EXECUTION,
	    "expression of label matcher on \"%.*s\" is too expensive",
	    (int)rune_cut(m->name, m->name_len, 100), m->name);
}

/* Ids of values the matcher holds for, or, when it holds for "", of those it does not hold for. */
static enum err or_walked(
    struct sel *s, const struct matcher *m, const struct gen_name *name, roaring_bitmap_t *to)
{
	struct gen_iter it;
	enum err e;
	gen_iter_values(&it, s->t, s->c->shards[s->shard].gen, s->gen, s->tenant, name);
	while (!(e = gen_iter_next(&it))) {
		enum rex_result r = matcher_value(m, (const char *)it.text.data, it.text.len);
		if (r == REX_LIMIT)
			e = limit_hit(s, m);
		else if ((r == REX_YES) != m->matches_empty)
			e = gen_iter_ids_or(&it, to);
		if (e)
			break;
	}
	gen_iter_release(&it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err find_name(struct sel *s, const struct matcher *m, struct gen_name *out)
{
	struct gen_iter it;
	gen_iter_names(&it, s->t, s->c->shards[s->shard].gen, s->gen, s->tenant);
	enum err e = gen_iter_find(&it, m->name, m->name_len);
	*out = it.name;
	gen_iter_release(&it);
	return e;
}

/* One matcher, by look-up or walk. */
static enum err narrow(struct sel *s, size_t i)
{
	const struct matcher *m = &s->ms[i];
	struct gen_name name;
	enum err e = find_name(s, m, &name);
	if (e == ERR_NOTFOUND) {
		if (!m->matches_empty)
			roaring_bitmap_clear(s->left);
		return ERR_OK;
	}
	if (e)
		return e;
	/* More words than values: each value is looked up among the words. */
	bool direct = matcher_is_direct(m) && (!m->rex || rex_literals(m->rex) <= name.values);
	if (!direct && roaring_bitmap_get_cardinality(s->left) * FETCH_COST < name.values) {
		s->later[i] = true;
		return ERR_OK;
	}
	roaring_bitmap_t *set = catalog_bitmap();
	e = direct ? or_direct(s, m, &name, set) : or_walked(s, m, &name, set);
	if (!e && m->matches_empty)
		roaring_bitmap_andnot_inplace(s->left, set);
	else if (!e)
		roaring_bitmap_and_inplace(s->left, set);
	roaring_bitmap_free(set);
	return e;
}

/* The matchers put off, on the labels of what is left. */
static enum err look_at_labels(struct sel *s)
{
	uint64_t n = roaring_bitmap_get_cardinality(s->left);
	uint32_t *ids = mem_array(NULL, (size_t)n, sizeof(*ids)), tenant;
	struct labels ls;
	enum err e = ERR_OK;
	roaring_bitmap_to_uint32_array(s->left, ids);
	for (uint64_t i = 0; !e && i < n; i++) {
		e = catalog_def_get(s->c, s->t, s->shard, ids[i], &tenant, &ls);
		bool holds = !e && ls.len;
		for (size_t k = 0; holds && k < s->count; k++) {
			if (!s->later[k])
				continue;
			enum rex_result r = matcher_labels(&s->ms[k], 1, ls);
			holds = r == REX_YES;
			if (r == REX_LIMIT)
				e = limit_hit(s, &s->ms[k]);
		}
		if (!e && !holds)
			roaring_bitmap_remove(s->left, ids[i]);
	}
	mem_free(ids);
	return e;
}

/* Order of work: what is looked up first, what narrows before what takes away. */
static int rank_of(const struct matcher *m)
{
	return (matcher_is_direct(m) ? 0 : 2) + m->matches_empty;
}

static enum err select_gen(struct sel *s)
{
	enum err e = gen_ids(s->t, s->c->shards[s->shard].gen, s->gen, s->tenant, &s->left);
	if (e) {
		s->left = NULL;
		return e == ERR_NOTFOUND ? ERR_OK : e;
	}
	if (s->in_times)
		roaring_bitmap_and_inplace(s->left, s->in_times);
	memset(s->later, 0, s->count);
	bool put_off = false;
	for (int rank = 0; rank < 4; rank++) {
		for (size_t i = 0; !e && i < s->count; i++) {
			if (rank_of(&s->ms[i]) == rank && !roaring_bitmap_is_empty(s->left))
				e = narrow(s, i);
			put_off |= s->later[i];
		}
	}
	return !e && put_off ? look_at_labels(s) : e;
}

static enum err select_shard(
    struct sel *s, int64_t t_min_ms, int64_t t_max_ms, roaring_bitmap_t *found)
{
	struct shard_state st;
	roaring_bitmap_t *in_times = NULL;
	enum err e = shard_state_load(s->c, s->t, s->shard, &st);
	if (!e)
		e = ids_in_times(s->c, s->t, s->shard, t_min_ms, t_max_ms, &in_times);
	s->in_times = in_times;
	for (size_t i = 0; !e && i < st.gens_count; i++) {
		s->gen = st.gens[i].gen;
		e = select_gen(s);
		if (s->left) {
			roaring_bitmap_or_inplace(found, s->left);
			roaring_bitmap_free(s->left);
			s->left = NULL;
		}
	}
	if (!e)
		roaring_bitmap_andnot_inplace(found, st.dropped);
	if (in_times)
		roaring_bitmap_free(in_times);
	shard_state_release(&st);
	return e;
}

enum err catalog_select(struct catalog *c, unsigned shard, uint32_t tenant,
    const struct matcher *ms, size_t count, int64_t t_min_ms, int64_t t_max_ms, uint32_t **ids,
    size_t *ids_count, struct errbuf *eb)
{
	CHECK(shard < c->shards_count);
	struct env_txn t;
	enum err e = env_begin_read(c->env, &t, eb);
	if (e)
		return e;
	struct sel s = { .c = c,
		.t = &t,
		.shard = shard,
		.tenant = tenant,
		.ms = ms,
		.count = count,
		.later = mem_zalloc(count) };
	roaring_bitmap_t *found = catalog_bitmap();
	e = select_shard(&s, t_min_ms, t_max_ms, found);
	env_abort(&t);
	if (!e) {
		*ids_count = (size_t)roaring_bitmap_get_cardinality(found);
		*ids = mem_array(NULL, *ids_count, sizeof(**ids));
		roaring_bitmap_to_uint32_array(found, *ids);
	}
	roaring_bitmap_free(found);
	mem_free(s.later);
	return e;
}

/* Labels. Neighbouring ids are neighbours in the tree: the cursor steps where it can. */
enum err catalog_labels(struct catalog *c, unsigned shard, const uint32_t *ids, size_t count,
    struct arena *a, struct labels *out, uint32_t *tenants, struct errbuf *eb)
{
	CHECK(shard < c->shards_count);
	struct env_txn t;
	struct env_cursor cur;
	struct env_record r = { .key = NULL };
	enum err e = env_begin_read(c->env, &t, eb);
	if (e)
		return e;
	e = env_cursor_open(&t, c->shards[shard].def, &cur);
	for (size_t i = 0; !e && i < count; i++) {
		uint8_t key[4];
		uint32_t tenant;
		catalog_id_key(key, ids[i]);
		out[i] = (struct labels){ 0 };
		e = i && ids[i] == ids[i - 1] + 1 && r.key ? env_cursor_next(&cur, &r) : ERR_NOTFOUND;
		if (e == ERR_NOTFOUND || (!e && memcmp(r.key, key, 4) != 0))
			e = env_cursor_seek(&cur, key, sizeof(key), &r);
		if (e == ERR_NOTFOUND)
			r.key = NULL;
		bool here = !e && r.key_len == 4 && memcmp(r.key, key, 4) == 0;
		e = e == ERR_NOTFOUND ? ERR_OK : e;
		if (!here) {
			r.key = NULL;
			continue;
		}
		struct labels ls;
		e = read_def(&t, &r.value, ids[i], &tenant, &ls);
		if (!e && tenants)
			tenants[i] = tenant;
		const uint8_t *copy = e ? NULL : arena_dup(a, ls.bytes, ls.len);
		if (copy)
			out[i] = (struct labels){ .bytes = copy, .len = ls.len };
		else if (!e)
			e = errbuf_set(eb, ERR_NOMEM, "no memory for labels");
	}
	env_cursor_close(&cur);
	env_abort(&t);
	return e;
}
