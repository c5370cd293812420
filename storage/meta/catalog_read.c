#include "core/base/bytes.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/base/wire.h"
#include "storage/meta/catalog_priv.h"

#include <stdlib.h>

/*
 * Selecting. Generation by generation: single values are looked up, and only so much of their sets
 * of ids is read as what is left asks for; words are looked up; other matchers walk the values of
 * their name, or those that begin as their expression must; or, when few series are left by then,
 * read the labels of those instead. A value costs some 100 ns to look at, a series some 2 us to
 * fetch when it stands alone in its block.
 */
#define FETCH_COST 20
#define FIND_COST  20
#define MEET_MAX   2048u /* so many ids left are looked up in a set, instead of joining sets */
#define RANGES_MAX 8u    /* beginnings of an expression of which the values are estimated */

static bool is_range_of(const struct env_record *r, const struct sets_key *key)
{
	return r->key_len == key->len + 4 && memcmp(r->key, key->bytes, 2) == 0;
}

/* Is no range of the shard before from, none behind to? */
static enum err range_ends(struct catalog *c, struct env_txn *t, unsigned shard, int64_t from,
    int64_t to, bool *open_left, bool *open_right)
{
	struct env_cursor cur;
	struct env_record r;
	struct sets_key key = sets_key_range(shard, INT64_MIN);
	memset(key.bytes + key.len, 0, 4);
	enum err e = env_cursor_open(t, c->range, &cur);
	if (e)
		return e;
	e = env_cursor_seek(&cur, key.bytes, key.len + 4, &r);
	*open_left = e || !is_range_of(&r, &key) || sets_range_of(r.key) >= from;
	if (!e) {
		key = sets_key_range(shard, INT64_MAX);
		memset(key.bytes + key.len, 0xff, 4);
		e = env_cursor_seek(&cur, key.bytes, key.len + 4, &r);
		e = e == ERR_NOTFOUND ? env_cursor_last(&cur, &r)
		    : e               ? e
		                      : env_cursor_prev(&cur, &r);
	}
	*open_right = e || !is_range_of(&r, &key) || sets_range_of(r.key) <= to;
	env_cursor_close(&cur);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

/*
 * The ids with samples in ranges that overlap the times. *out = NULL: the times cover every range
 * there is.
 */
static enum err ids_in_times(struct catalog *c, struct env_txn *t, unsigned shard, int64_t t_min_ms,
    int64_t t_max_ms, roaring_bitmap_t **out)
{
	struct env_cursor cur;
	struct env_record r;
	int64_t from = catalog_range_start(t_min_ms), to = catalog_range_start(t_max_ms);
	bool open_left = true, open_right = true;
	*out = NULL;
	enum err e = range_ends(c, t, shard, from, to, &open_left, &open_right);
	if (e || (open_left && open_right))
		return e;
	e = env_cursor_open(t, c->range, &cur);
	if (e)
		return e;
	struct sets_key key = sets_key_range(shard, from);
	*out = catalog_bitmap();
	memset(key.bytes + key.len, 0, 4);
	for (e = env_cursor_seek(&cur, key.bytes, key.len + 4, &r); !e;
	     e = env_cursor_next(&cur, &r)) {
		if (!is_range_of(&r, &key) || sets_range_of(r.key) > to)
			break;
		e = sets_record_or(t, &r, *out);
		if (e)
			break;
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
	struct def_reader defs;           /* for that */
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

/* The words of an expression. */
static enum err or_words(
    struct sel *s, const struct matcher *m, const struct gen_name *name, roaring_bitmap_t *to)
{
	size_t len;
	const char *v;
	enum err e = ERR_OK;
	for (size_t i = 0; !e && (v = rex_literal(m->rex, i, &len)); i++) {
		if (len)
			e = or_value(s, name, v, len, to);
	}
	return e;
}

/* Of those left, the ones that are in the set of a value stay, or the others. */
static enum err meet_value(struct sel *s, const struct gen_iter *it, bool stay)
{
	uint32_t ids[MEET_MAX];
	bool in[MEET_MAX];
	size_t n = (size_t)roaring_bitmap_get_cardinality(s->left), kept = 0;
	roaring_bitmap_to_uint32_array(s->left, ids);
	enum err e = gen_iter_meet(it, ids, n, in);
	for (size_t i = 0; !e && i < n; i++)
		if (in[i] == stay)
			ids[kept++] = ids[i];
	if (e || kept == n)
		return e;
	roaring_bitmap_clear(s->left);
	roaring_bitmap_add_many(s->left, kept, ids);
	return ERR_OK;
}

/* = and != */
static enum err keep_value(struct sel *s, const struct matcher *m, const struct gen_name *name)
{
	struct gen_iter it;
	bool stay = m->type == MATCHER_EQ;
	gen_iter_values(&it, s->t, s->c->shards[s->shard].gen, s->gen, s->tenant, name);
	enum err e = gen_iter_find(&it, m->value, m->value_len);
	if (e == ERR_NOTFOUND && stay)
		roaring_bitmap_clear(s->left);
	else if (!e && roaring_bitmap_get_cardinality(s->left) <= MEET_MAX)
		e = meet_value(s, &it, stay);
	else if (!e) {
		roaring_bitmap_t *set = catalog_bitmap();
		e = gen_iter_ids_or(&it, set);
		if (stay)
			roaring_bitmap_and_inplace(s->left, set);
		else
			roaring_bitmap_andnot_inplace(s->left, set);
		roaring_bitmap_free(set);
	}
	gen_iter_release(&it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err limit_hit(struct sel *s, const struct matcher *m)
{
	return errbuf_set(s->t->eb, ERR_EXECUTION,
	    "expression of label matcher on \"%.*s\" is too expensive",
	    (int)rune_cut(m->name, m->name_len, 100), m->name);
}

/* The value of now: its ids, when the matcher asks for them. */
static enum err or_looked_at(
    struct sel *s, const struct matcher *m, const struct gen_iter *it, roaring_bitmap_t *to)
{
	enum rex_result r = matcher_value(m, (const char *)it->text.data, it->text.len);
	if (r == REX_LIMIT)
		return limit_hit(s, m);
	return (r == REX_YES) != m->matches_empty ? gen_iter_ids_or(it, to) : ERR_OK;
}

static bool begins_with(const struct gen_iter *it, const char *prefix, size_t len)
{
	return it->text.len >= len && (!len || memcmp(it->text.data, prefix, len) == 0);
}

/*
 * Ids of values the matcher holds for, or, when it holds for "", of those it does not hold for:
 * among the values that begin with prefix.
 */
static enum err or_walked(struct sel *s, const struct matcher *m, struct gen_iter *it,
    const char *prefix, size_t len, roaring_bitmap_t *to)
{
	enum err e = len ? gen_iter_seek(it, prefix, len) : gen_iter_next(it);
	while (!e && begins_with(it, prefix, len)) {
		e = or_looked_at(s, m, it, to);
		if (!e)
			e = gen_iter_next(it);
	}
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err or_matching(
    struct sel *s, const struct matcher *m, const struct gen_name *name, roaring_bitmap_t *to)
{
	struct gen_iter it;
	enum err e = ERR_OK;
	size_t len, count = m->rex ? rex_prefixes(m->rex) : 0;
	gen_iter_values(&it, s->t, s->c->shards[s->shard].gen, s->gen, s->tenant, name);
	if (!count)
		e = or_walked(s, m, &it, "", 0, to);
	for (size_t i = 0; i < count && !e; i++) {
		const char *prefix = rex_prefix(m->rex, i, &len);
		e = or_walked(s, m, &it, prefix, len, to);
	}
	gen_iter_release(&it);
	return e;
}

/* How many values a walk would meet, about. */
static enum err walk_values(
    struct sel *s, const struct matcher *m, const struct gen_name *name, uint64_t *values)
{
	struct gen_iter it;
	enum err e = ERR_OK;
	size_t len, count = m->rex ? rex_prefixes(m->rex) : 0;
	uint64_t blocks = 0, n;
	*values = name->values;
	if (!count || count > RANGES_MAX || !name->blocks)
		return ERR_OK;
	gen_iter_values(&it, s->t, s->c->shards[s->shard].gen, s->gen, s->tenant, name);
	for (size_t i = 0; i < count && !e; i++) {
		const char *prefix = rex_prefix(m->rex, i, &len);
		e = gen_iter_blocks(&it, prefix, len, &n);
		blocks += e ? 0 : n;
	}
	gen_iter_release(&it);
	uint64_t some = blocks * (name->values / name->blocks + 1);
	*values = some < name->values ? some : name->values;
	return e;
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
	if (matcher_is_direct(m) && !m->rex)
		return keep_value(s, m, &name);
	uint64_t cost;
	e = walk_values(s, m, &name, &cost);
	if (e)
		return e;
	/* More words than values: each value is looked up among the words. */
	bool words = matcher_is_direct(m) && rex_literals(m->rex) * FIND_COST <= cost;
	if (words)
		cost = rex_literals(m->rex) * FIND_COST;
	if (roaring_bitmap_get_cardinality(s->left) * FETCH_COST < cost) {
		s->later[i] = true;
		return ERR_OK;
	}
	roaring_bitmap_t *set = catalog_bitmap();
	e = words ? or_words(s, m, &name, set) : or_matching(s, m, &name, set);
	if (!e && m->matches_empty)
		roaring_bitmap_andnot_inplace(s->left, set);
	else if (!e)
		roaring_bitmap_and_inplace(s->left, set);
	roaring_bitmap_free(set);
	return e;
}

/* The labels of an id, in scratch; ERR_NOTFOUND: there is none. */
static enum err labels_take(struct sel *s, uint32_t id, struct buf *scratch, struct labels *out)
{
	uint32_t place;
	*out = (struct labels){ 0 };
	enum err e = def_reader_find(&s->defs, s->t, id, &place);
	if (e)
		return e;
	uint32_t len = defblock_labels_len(&s->defs.block, place);
	buf_clear(scratch);
	if (!buf_reserve(scratch, len + 1))
		return errbuf_set(s->t->eb, ERR_NOMEM, "no memory for labels");
	defblock_labels(&s->defs.block, place, scratch->data);
	*out = (struct labels){ .bytes = scratch->data, .len = len };
	return ERR_OK;
}

/* Do the matchers that were put off hold for the labels of an id? */
static enum err later_hold(struct sel *s, uint32_t id, struct buf *scratch, bool *holds)
{
	struct labels ls;
	enum err e = labels_take(s, id, scratch, &ls);
	*holds = !e;
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	for (size_t k = 0; *holds && k < s->count; k++) {
		if (!s->later[k])
			continue;
		enum rex_result r = matcher_labels(&s->ms[k], 1, ls);
		*holds = r == REX_YES;
		if (r == REX_LIMIT)
			return limit_hit(s, &s->ms[k]);
	}
	return ERR_OK;
}

/* The matchers put off, on the labels of what is left. */
static enum err look_at_labels(struct sel *s)
{
	size_t n;
	struct buf scratch;
	enum err e = ERR_OK;
	buf_init(&scratch);
	uint32_t *ids = idset_array(s->left, &n);
	for (size_t i = 0; !e && i < n; i++) {
		bool holds;
		e = later_hold(s, ids[i], &scratch, &holds);
		if (!e && !holds)
			roaring_bitmap_remove(s->left, ids[i]);
	}
	mem_free(ids);
	buf_release(&scratch);
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

/* What is left of each generation goes to fn. */
static enum err select_shard(struct sel *s, int64_t t_min_ms, int64_t t_max_ms,
    enum err (*fn)(void *arg, struct sel *s), void *arg)
{
	struct shard_state st;
	roaring_bitmap_t *in_times = NULL, *dropped = NULL;
	enum err e = shard_state_load(s->c, s->t, s->shard, &st);
	if (!e)
		e = ids_in_times(s->c, s->t, s->shard, t_min_ms, t_max_ms, &in_times);
	if (!e && st.dropped) {
		dropped = catalog_bitmap();
		e = sets_or(s->t, s->c->drop, sets_key_drop(s->shard), dropped);
	}
	s->in_times = in_times;
	for (size_t i = 0; !e && i < st.gens_count; i++) {
		s->gen = st.gens[i].gen;
		e = select_gen(s);
		if (!s->left)
			continue;
		if (dropped)
			roaring_bitmap_andnot_inplace(s->left, dropped);
		e = e ? e : fn(arg, s);
		roaring_bitmap_free(s->left);
		s->left = NULL;
	}
	if (dropped)
		roaring_bitmap_free(dropped);
	if (in_times)
		roaring_bitmap_free(in_times);
	shard_state_release(&st);
	return e;
}

static enum err select_all(struct catalog *c, unsigned shard, uint32_t tenant,
    const struct matcher *ms, size_t count, int64_t t_min_ms, int64_t t_max_ms,
    enum err (*fn)(void *arg, struct sel *s), void *arg, struct errbuf *eb)
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
	def_reader_init(&s.defs, c, shard);
	e = select_shard(&s, t_min_ms, t_max_ms, fn, arg);
	env_abort(&t);
	def_reader_release(&s.defs);
	mem_free(s.later);
	return e;
}

static enum err ids_join(void *arg, struct sel *s)
{
	roaring_bitmap_or_inplace(arg, s->left);
	return ERR_OK;
}

enum err catalog_select(struct catalog *c, unsigned shard, uint32_t tenant,
    const struct matcher *ms, size_t count, int64_t t_min_ms, int64_t t_max_ms, uint32_t **ids,
    size_t *ids_count, struct errbuf *eb)
{
	roaring_bitmap_t *found = catalog_bitmap();
	enum err e = select_all(c, shard, tenant, ms, count, t_min_ms, t_max_ms, ids_join, found, eb);
	if (!e) {
		*ids_count = (size_t)roaring_bitmap_get_cardinality(found);
		*ids = mem_array(NULL, *ids_count, sizeof(**ids));
		roaring_bitmap_to_uint32_array(found, *ids);
	}
	roaring_bitmap_free(found);
	return e;
}

/*
 * ---- texts: names, or values of a label, of what is left of each generation; text by text as they
 * are sorted there, or, where few series are left, by their labels ----
 */

struct texts {
	const struct catalog_texts *o;
	struct sel *s;
	roaring_bitmap_t *set; /* scratch */
};

/* Is any of those left in the set of the value of now? */
static enum err value_meets(struct texts *x, const struct gen_iter *it, bool *meets)
{
	uint32_t first;
	*meets = idset_first(&it->ids, &first) && roaring_bitmap_contains(x->s->left, first);
	if (*meets)
		return ERR_OK;
	roaring_bitmap_clear(x->set);
	enum err e = gen_iter_ids_or(it, x->set);
	*meets = !e && roaring_bitmap_intersect(x->set, x->s->left);
	return e;
}

static enum err values_told(struct texts *x, const struct gen_name *name)
{
	const struct catalog_texts *o = x->o;
	struct gen_iter it;
	gen_iter_values(
	    &it, x->s->t, x->s->c->shards[x->s->shard].gen, x->s->gen, x->s->tenant, name);
	enum err e =
	    o->prefix_len ? gen_iter_seek(&it, o->prefix, o->prefix_len) : gen_iter_next(&it);
	while (!e && begins_with(&it, o->prefix, o->prefix_len)) {
		const char *text = (const char *)it.text.data;
		enum catalog_want want = o->want(o->arg, text, it.text.len);
		bool meets = false;
		if (want == CATALOG_ENOUGH)
			break;
		if (want == CATALOG_TAKE)
			e = value_meets(x, &it, &meets);
		if (meets)
			o->found(o->arg, text, it.text.len);
		e = e ? e : gen_iter_next(&it);
	}
	gen_iter_release(&it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* Has any of those left this name? */
static enum err name_meets(struct texts *x, const struct gen_name *name, bool *meets)
{
	struct gen_iter it;
	enum err e = ERR_OK;
	gen_iter_values(
	    &it, x->s->t, x->s->c->shards[x->s->shard].gen, x->s->gen, x->s->tenant, name);
	for (*meets = false; !e && !*meets;) {
		e = gen_iter_next(&it);
		e = e ? e : value_meets(x, &it, meets);
	}
	gen_iter_release(&it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err names_told(struct texts *x)
{
	const struct catalog_texts *o = x->o;
	struct gen_iter it;
	gen_iter_names(&it, x->s->t, x->s->c->shards[x->s->shard].gen, x->s->gen, x->s->tenant);
	enum err e = gen_iter_next(&it);
	while (!e) {
		const char *text = (const char *)it.text.data;
		enum catalog_want want = o->want(o->arg, text, it.text.len);
		bool meets = false;
		if (want == CATALOG_ENOUGH)
			break;
		if (want == CATALOG_TAKE)
			e = name_meets(x, &it.name, &meets);
		if (meets)
			o->found(o->arg, text, it.text.len);
		e = e ? e : gen_iter_next(&it);
	}
	gen_iter_release(&it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static void label_told(const struct catalog_texts *o, const struct label *l)
{
	if (o->label && !bytes_equal(l->name, l->name_len, o->label, o->label_len))
		return;
	const char *text = o->label ? l->value : l->name;
	uint32_t len = o->label ? l->value_len : l->name_len;
	if (o->want(o->arg, text, len) == CATALOG_TAKE)
		o->found(o->arg, text, len);
}

static enum err labels_told(struct texts *x)
{
	struct sel *s = x->s;
	struct buf bytes;
	size_t n;
	enum err e = ERR_OK;
	buf_init(&bytes);
	uint32_t *ids = idset_array(s->left, &n);
	for (size_t i = 0; !e && i < n; i++) {
		struct labels ls;
		struct label l;
		e = labels_take(s, ids[i], &bytes, &ls);
		struct label_iter it = label_iter(ls);
		while (!e && label_next(&it, &l))
			label_told(x->o, &l);
		e = e == ERR_NOTFOUND ? ERR_OK : e;
	}
	mem_free(ids);
	buf_release(&bytes);
	return e;
}

/* How many values a walk over all names would meet. */
static enum err names_cost(struct texts *x, uint64_t *values)
{
	struct gen_iter it;
	gen_iter_names(&it, x->s->t, x->s->c->shards[x->s->shard].gen, x->s->gen, x->s->tenant);
	enum err e = gen_iter_next(&it);
	for (*values = 0; !e; e = gen_iter_next(&it))
		*values += it.name.values;
	gen_iter_release(&it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err texts_of_gen(void *arg, struct sel *s)
{
	struct texts *x = arg;
	const struct catalog_texts *o = x->o;
	struct matcher of = { .name = o->label, .name_len = num_u32(o->label_len) };
	struct gen_name name = { 0 };
	enum err e;
	x->s = s;
	if (o->without)
		roaring_bitmap_andnot_inplace(s->left, o->without);
	uint64_t cost = 0, left = roaring_bitmap_get_cardinality(s->left);
	if (!left)
		return ERR_OK;
	e = o->label ? find_name(s, &of, &name) : names_cost(x, &cost);
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	cost = o->label ? name.values : cost;
	if (left * FETCH_COST < cost)
		return labels_told(x);
	return o->label ? values_told(x, &name) : names_told(x);
}

enum err catalog_texts(struct catalog *c, unsigned shard, uint32_t tenant, const struct matcher *ms,
    size_t count, int64_t t_min_ms, int64_t t_max_ms, const struct catalog_texts *o,
    struct errbuf *eb)
{
	struct texts x = { .o = o, .set = catalog_bitmap() };
	enum err e =
	    select_all(c, shard, tenant, ms, count, t_min_ms, t_max_ms, texts_of_gen, &x, eb);
	roaring_bitmap_free(x.set);
	return e;
}

/* ---- labels ---- */

static enum err labels_of(struct def_reader *r, struct env_txn *t, uint32_t id, struct arena *a,
    struct labels *out, uint32_t *tenant)
{
	uint32_t place;
	*out = (struct labels){ 0 };
	enum err e = def_reader_find(r, t, id, &place);
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	*out = defblock_labels_dup(&r->block, place, a);
	if (!out->bytes)
		return errbuf_set(t->eb, ERR_NOMEM, "no memory for labels");
	if (tenant)
		*tenant = r->block.tenants[place];
	return ERR_OK;
}

enum err catalog_labels(struct catalog *c, unsigned shard, const uint32_t *ids, size_t count,
    struct arena *a, struct labels *out, uint32_t *tenants, struct errbuf *eb)
{
	CHECK(shard < c->shards_count);
	struct env_txn t;
	struct def_reader r;
	enum err e = env_begin_read(c->env, &t, eb);
	if (e)
		return e;
	def_reader_init(&r, c, shard);
	for (size_t i = 0; !e && i < count; i++)
		e = labels_of(&r, &t, ids[i], a, &out[i], tenants ? &tenants[i] : NULL);
	env_abort(&t);
	def_reader_release(&r);
	return e;
}

struct catalog_lookup {
	struct def_reader reader;
};

struct catalog_lookup *catalog_lookup_begin(struct catalog *c, unsigned shard)
{
	CHECK(shard < c->shards_count);
	struct catalog_lookup *l = mem_alloc(sizeof(*l));
	def_reader_init(&l->reader, c, shard);
	return l;
}

/* A definition never changes: what the block that is held has needs no transaction. */
enum err catalog_lookup_get(struct catalog_lookup *l, uint32_t id, struct arena *a,
    struct labels *out, uint32_t *tenant, struct errbuf *eb)
{
	struct env_txn t = { .eb = eb };
	uint32_t place;
	if (def_reader_has(&l->reader, id, &place))
		return labels_of(&l->reader, &t, id, a, out, tenant);
	l->reader.block.count = 0;
	enum err e = env_begin_read(l->reader.c->env, &t, eb);
	if (e)
		return e;
	e = labels_of(&l->reader, &t, id, a, out, tenant);
	env_abort(&t);
	return e;
}

void catalog_lookup_end(struct catalog_lookup *l)
{
	if (!l)
		return;
	def_reader_release(&l->reader);
	mem_free(l);
}
