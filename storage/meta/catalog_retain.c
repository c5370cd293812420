#include "core/base/log.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "core/model/sample.h"
#include "storage/meta/catalog_priv.h"

#define RETAIN_TRIES 6u

/* Merging */

static unsigned size_class(uint64_t ids)
{
	unsigned k = 0;
	for (uint64_t most = CATALOG_MERGE_LEAST; ids > most; most *= CATALOG_MERGE_FACTOR)
		k++;
	return k;
}

/* Ids of a generation that are dropped, over all tenants. */
static enum err count_dropped(struct catalog *c, struct env_txn *t, unsigned shard,
    const struct shard_state *s, const struct gen_entry *g, uint64_t *dropped)
{
	uint32_t *tenants;
	size_t count;
	*dropped = 0;
	if (roaring_bitmap_is_empty(s->dropped))
		return ERR_OK;
	enum err e = gen_tenants(t, c->shards[shard].gen, g->gen, &tenants, &count);
	if (e)
		return e;
	for (size_t i = 0; !e && i < count; i++) {
		roaring_bitmap_t *ids;
		e = gen_ids(t, c->shards[shard].gen, g->gen, tenants[i], &ids);
		if (!e) {
			*dropped += roaring_bitmap_and_cardinality(ids, s->dropped);
			roaring_bitmap_free(ids);
		}
	}
	mem_free(tenants);
	return e;
}

/*
 * What one call merges: a class with enough generations; else one generation of which half is
 * dropped.
 */
static enum err choose(struct catalog *c, struct env_txn *t, unsigned shard,
    const struct shard_state *s, bool *chosen, bool *any)
{
	*any = false;
	memset(chosen, 0, s->gens_count);
	for (unsigned k = 0; k < 64; k++) {
		size_t n = 0;
		for (size_t i = 0; i < s->gens_count; i++)
			n += size_class(s->gens[i].ids) == k;
		if (n < CATALOG_MERGE_FACTOR)
			continue;
		for (size_t i = 0; i < s->gens_count; i++)
			chosen[i] = size_class(s->gens[i].ids) == k;
		*any = true;
		return ERR_OK;
	}
	for (size_t i = 0; i < s->gens_count; i++) {
		uint64_t dropped;
		enum err e = count_dropped(c, t, shard, s, &s->gens[i], &dropped);
		if (e)
			return e;
		if (dropped * 2 > s->gens[i].ids) {
			chosen[i] = true;
			*any = true;
			return ERR_OK;
		}
	}
	return ERR_OK;
}

struct tenants {
	uint32_t *v;
	size_t count;
};

static enum err gather_tenants(
    struct env_txn *t, struct env_db *db, const uint32_t *gens, size_t count, struct tenants *out)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t *one;
		size_t n;
		enum err e = gen_tenants(t, db, gens[i], &one, &n);
		if (e)
			return e;
		for (size_t j = 0; j < n; j++) {
			size_t k = 0;
			while (k < out->count && out->v[k] != one[j])
				k++;
			if (k < out->count)
				continue;
			out->v = mem_array(out->v, out->count + 1, sizeof(*out->v));
			out->v[out->count++] = one[j];
		}
		mem_free(one);
	}
	return ERR_OK;
}

/* The chosen ones become one; ids that were dropped leave it, and the list of dropped ones. */
static enum err merge_chosen(struct catalog *c, unsigned shard, struct env_txn *reader,
    struct env_txn *t, struct shard_state *s, const bool *chosen)
{
	struct env_db *db = c->shards[shard].gen;
	struct gen_entry made = { .gen = s->next_gen };
	struct tenants tenants = { 0 };
	uint32_t *from = mem_array(NULL, s->gens_count, sizeof(*from));
	size_t count = 0, kept = 0;
	for (size_t i = 0; i < s->gens_count; i++) {
		if (chosen[i])
			from[count++] = s->gens[i].gen;
		else
			s->gens[kept++] = s->gens[i];
	}
	enum err e = gather_tenants(reader, db, from, count, &tenants);
	roaring_bitmap_t *gone = catalog_bitmap();
	for (size_t i = 0; !e && i < tenants.count; i++) {
		for (size_t j = 0; !e && j < count; j++) {
			roaring_bitmap_t *ids;
			e = gen_ids(reader, db, from[j], tenants.v[i], &ids);
			if (e == ERR_NOTFOUND) {
				e = ERR_OK;
			} else if (!e) {
				roaring_bitmap_or_inplace(gone, ids);
				roaring_bitmap_free(ids);
			}
		}
		if (!e)
			e = gen_merge(reader, t, db, from, count, tenants.v[i], made.gen,
			    s->dropped, &made.bytes, &made.ids);
	}
	for (size_t j = 0; !e && j < count; j++)
		e = gen_remove(t, db, from[j]);
	if (!e) {
		roaring_bitmap_andnot_inplace(s->dropped, gone);
		s->next_gen++;
		s->gens_count = kept;
		if (made.ids)
			s->gens[s->gens_count++] = made; /* in the place of one that left */
		else
			e = gen_remove(t, db, made.gen);
	}
	roaring_bitmap_free(gone);
	mem_free(tenants.v);
	mem_free(from);
	return e;
}

enum err catalog_merge_some(struct catalog *c, unsigned shard, bool *merged, struct errbuf *eb)
{
	struct env_txn look, t, reader;
	struct shard_state s;
	*merged = false;
	enum err e = env_begin_read(c->env, &look, eb);
	if (e)
		return e;
	e = shard_state_load(c, &look, shard, &s);
	bool *chosen = mem_zalloc(s.gens_count), any = false;
	if (!e)
		e = choose(c, &look, shard, &s, chosen, &any);
	env_abort(&look);
	uint64_t need = CATALOG_WRITE_SLACK;
	for (size_t i = 0; i < s.gens_count; i++)
		need += chosen[i] ? 2 * s.gens[i].bytes : 0;
	/* The one writer is here: what was read still stands. */
	if (!e && any)
		e = env_begin_write(c->env, need, &t, eb);
	if (!e && any) {
		e = env_begin_read_beside(&t, &reader);
		if (!e) {
			e = merge_chosen(c, shard, &reader, &t, &s, chosen);
			env_abort(&reader);
		}
		if (!e)
			e = shard_state_store(c, &t, shard, &s);
		if (e)
			env_abort(&t);
		else
			e = env_commit(&t);
		*merged = !e;
	}
	mem_free(chosen);
	shard_state_release(&s);
	return e;
}

/* Retention */

/* Ids in ranges that are past, and in those that stay. */
static enum err sort_ranges(struct catalog *c, struct env_txn *t, unsigned shard,
    int64_t keep_from_ms, roaring_bitmap_t *past, roaring_bitmap_t *alive)
{
	struct env_cursor cur;
	struct env_record r;
	enum err e = env_cursor_open(t, c->shards[shard].range, &cur);
	if (e)
		return e;
	while (!(e = env_cursor_next(&cur, &r))) {
		roaring_bitmap_t *b;
		if (r.key_len != 8) {
			e = errbuf_set(t->eb, ERR_DAMAGED, "catalog: key of a range is malformed");
			break;
		}
		e = catalog_bitmap_load(t, &r.value, "range of time", &b);
		if (e)
			break;
		bool is_past =
		    num_sat_add(catalog_range_of_key(r.key), SAMPLE_RANGE_MS) <= keep_from_ms;
		roaring_bitmap_or_inplace(is_past ? past : alive, b);
		roaring_bitmap_free(b);
	}
	env_cursor_close(&cur);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err drop_ranges(struct catalog *c, struct env_txn *t, unsigned shard, int64_t keep_from_ms)
{
	for (;;) {
		struct env_cursor cur;
		struct env_record r;
		uint8_t key[8] = { 0 };
		enum err e = env_cursor_open(t, c->shards[shard].range, &cur);
		if (e)
			return e;
		e = env_cursor_seek(&cur, key, sizeof(key), &r);
		bool is_past = !e && r.key_len == 8 &&
		    num_sat_add(catalog_range_of_key(r.key), SAMPLE_RANGE_MS) <= keep_from_ms;
		if (is_past)
			memcpy(key, r.key, 8);
		env_cursor_close(&cur);
		if (e == ERR_NOTFOUND || (!e && !is_past))
			return ERR_OK;
		if (!e)
			e = env_del(t, c->shards[shard].range, key, sizeof(key));
		if (e)
			return e;
	}
}

static enum err drop_defs(struct catalog *c, struct env_txn *t, unsigned shard,
    struct shard_state *s, const uint32_t *ids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t key[4];
		struct env_value v;
		catalog_id_key(key, ids[i]);
		enum err e = env_get(t, c->shards[shard].def, key, sizeof(key), &v);
		if (e == ERR_NOTFOUND)
			continue;
		if (!e)
			e = env_del(t, c->shards[shard].def, key, sizeof(key));
		if (e)
			return e;
		roaring_bitmap_add(s->dropped, ids[i]);
		s->series--;
	}
	return ERR_OK;
}

/*
 * Ids that are past and nowhere else lose their definition, at most max_series of them; the past
 * ranges go when none of those is left.
 * Until then they keep the ids to be dropped: a crash between two calls loses nothing.
 */
static enum err retain_some(struct catalog *c, struct env_txn *t, unsigned shard,
    int64_t keep_from_ms, const uint32_t *keep, size_t keep_count, size_t max_series, bool *more)
{
	struct shard_state s;
	roaring_bitmap_t *past = catalog_bitmap(), *alive = catalog_bitmap();
	enum err e = shard_state_load(c, t, shard, &s);
	if (!e)
		e = sort_ranges(c, t, shard, keep_from_ms, past, alive);
	*more = false;
	if (!e && !roaring_bitmap_is_empty(past)) {
		roaring_bitmap_add_many(alive, keep_count, keep);
		roaring_bitmap_andnot_inplace(past, alive);
		roaring_bitmap_andnot_inplace(past, s.dropped);
		uint64_t count = roaring_bitmap_get_cardinality(past);
		uint32_t *ids = mem_array(NULL, (size_t)count, sizeof(*ids));
		roaring_bitmap_to_uint32_array(past, ids);
		*more = count > max_series;
		e = drop_defs(c, t, shard, &s, ids, *more ? max_series : (size_t)count);
		mem_free(ids);
		if (!e && !*more)
			e = drop_ranges(c, t, shard, keep_from_ms);
		if (!e)
			e = shard_state_store(c, t, shard, &s);
	}
	roaring_bitmap_free(past);
	roaring_bitmap_free(alive);
	shard_state_release(&s);
	return e;
}

static enum err retain_once(struct catalog *c, unsigned shard, int64_t keep_from_ms,
    const uint32_t *keep, size_t keep_count, size_t max_series, bool *more, struct errbuf *eb)
{
	struct env_txn t;
	enum err e = env_begin_write(c->env, CATALOG_WRITE_SLACK, &t, eb);
	if (e)
		return e;
	e = retain_some(c, &t, shard, keep_from_ms, keep, keep_count, max_series, more);
	if (!e)
		return env_commit(&t);
	env_abort(&t);
	return e;
}

enum err catalog_retain(struct catalog *c, unsigned shard, int64_t keep_from_ms,
    const uint32_t *keep, size_t keep_count, size_t max_series, bool *more, struct errbuf *eb)
{
	CHECK(shard < c->shards_count);
	CHECK(max_series > 0);
	struct errbuf why;
	enum err e = ERR_AGAIN;
	/* A full map grows; fewer series fit into a transaction that was too large. */
	for (unsigned i = 0; (e == ERR_AGAIN || e == ERR_TOOBIG) && i < RETAIN_TRIES; i++) {
		errbuf_init(&why);
		if (e == ERR_TOOBIG)
			max_series = max_series > 8 ? max_series / 8 : 1;
		e = retain_once(c, shard, keep_from_ms, keep, keep_count, max_series, more, &why);
	}
	if (e)
		return errbuf_set(eb, e, "%s", why.text);
	if (*more)
		return e;
	/* What was asked for is done; a merge that fails now is tried again later. */
	errbuf_init(&why);
	e = catalog_merge_some(c, shard, more, &why);
	if (e)
		LOG_EVERY(LOG_LEVEL_WARN, "catalog_merge_failed", "shard=%u err=%s text=\"%s\"",
		    shard, err_text(e), why.text);
	*more = !e && *more;
	return ERR_OK;
}
