#include "core/base/log.h"
#include "core/base/num.h"
#include "core/model/sample.h"
#include "storage/meta/catalog_priv.h"

#include <stdlib.h>

#define RETAIN_TRIES 8u     /* each with an eighth of the series of the one before */
#define FORGET_STEP  20000u /* series of one transaction */

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
    const roaring_bitmap_t *all, const struct gen_entry *g, uint64_t *dropped)
{
	uint32_t *tenants;
	size_t count;
	*dropped = 0;
	enum err e = gen_tenants(t, c->shards[shard].gen, g->gen, &tenants, &count);
	if (e)
		return e;
	for (size_t i = 0; !e && i < count; i++) {
		roaring_bitmap_t *ids;
		e = gen_ids(t, c->shards[shard].gen, g->gen, tenants[i], &ids);
		if (!e) {
			*dropped += roaring_bitmap_and_cardinality(ids, all);
			roaring_bitmap_free(ids);
		}
	}
	mem_free(tenants);
	return e;
}

/* A generation of which half is dropped. */
static enum err choose_dropped(struct catalog *c, struct env_txn *t, unsigned shard,
    const struct shard_state *s, bool *chosen, bool *any)
{
	if (!s->dropped)
		return ERR_OK;
	roaring_bitmap_t *all = catalog_bitmap();
	enum err e = sets_or(t, c->drop, sets_key_drop(shard), all);
	for (size_t i = 0; !e && !*any && i < s->gens_count; i++) {
		uint64_t dropped;
		e = count_dropped(c, t, shard, all, &s->gens[i], &dropped);
		if (!e && dropped * 2 > s->gens[i].ids)
			chosen[i] = *any = true;
	}
	roaring_bitmap_free(all);
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
	return choose_dropped(c, t, shard, s, chosen, any);
}

static int by_u32(const void *a, const void *b)
{
	uint32_t x, y;
	memcpy(&x, a, 4);
	memcpy(&y, b, 4);
	return x < y ? -1 : x > y;
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
	if (out->count > 1)
		qsort(out->v, out->count, sizeof(*out->v), by_u32);
	return ERR_OK;
}

struct merging {
	struct catalog *c;
	unsigned shard;
	bool *chosen; /* of the generations as they were looked at */
	size_t count;
	bool any;
};

/*
 * Ids that were dropped and are in none of the generations any more need not be remembered: those
 * of all tenants of the merged ones.
 */
static enum err forget_dropped(struct merging *m, struct env_txn *reader, struct env_txn *t,
    struct shard_state *s, const uint32_t *from, size_t count, const struct tenants *tenants,
    const roaring_bitmap_t *dropped)
{
	enum err e = ERR_OK;
	roaring_bitmap_t *gone = catalog_bitmap();
	for (size_t i = 0; !e && i < tenants->count; i++) {
		for (size_t j = 0; !e && j < count; j++) {
			roaring_bitmap_t *ids;
			e = gen_ids(reader, m->c->shards[m->shard].gen, from[j], tenants->v[i], &ids);
			if (e == ERR_NOTFOUND) {
				e = ERR_OK;
			} else if (!e) {
				roaring_bitmap_or_inplace(gone, ids);
				roaring_bitmap_free(ids);
			}
		}
	}
	roaring_bitmap_and_inplace(gone, dropped);
	size_t n;
	uint32_t *ids = idset_array(gone, &n);
	if (!e && n)
		e = sets_del(t, m->c->drop, sets_key_drop(m->shard), ids, n);
	s->dropped -= n < s->dropped ? n : s->dropped;
	mem_free(ids);
	roaring_bitmap_free(gone);
	return e;
}

/* The chosen ones become one; ids that were dropped leave it, and the list of dropped ones. */
static enum err merge_chosen(
    struct merging *m, struct env_txn *reader, struct env_txn *t, struct shard_state *s)
{
	struct env_db *db = m->c->shards[m->shard].gen;
	struct gen_entry made = { .gen = s->next_gen };
	struct tenants tenants = { 0 };
	uint32_t *from = mem_array(NULL, s->gens_count + 1, sizeof(*from));
	size_t count = 0, kept = 0;
	for (size_t i = 0; i < s->gens_count; i++) {
		if (m->chosen[i])
			from[count++] = s->gens[i].gen;
		else
			s->gens[kept++] = s->gens[i];
	}
	roaring_bitmap_t *dropped = catalog_bitmap();
	enum err e =
	    s->dropped ? sets_or(reader, m->c->drop, sets_key_drop(m->shard), dropped) : ERR_OK;
	if (!e)
		e = gather_tenants(reader, db, from, count, &tenants);
	for (size_t i = 0; !e && i < tenants.count; i++)
		e = gen_merge(reader, t, db, from, count, tenants.v[i], made.gen, dropped,
		    &made.bytes, &made.ids);
	if (!e)
		e = forget_dropped(m, reader, t, s, from, count, &tenants, dropped);
	for (size_t j = 0; !e && j < count; j++)
		e = gen_remove(t, db, from[j]);
	if (!e) {
		s->next_gen++;
		s->gens_count = kept;
		if (made.ids)
			s->gens[s->gens_count++] = made; /* in the place of one that left */
		else
			e = gen_remove(t, db, made.gen);
	}
	roaring_bitmap_free(dropped);
	mem_free(tenants.v);
	mem_free(from);
	return e;
}

/* The one writer is here: what was looked at still stands. */
static enum err merge_run(void *arg, struct env_txn *t)
{
	struct merging *m = arg;
	struct env_txn reader;
	struct shard_state s;
	enum err e = shard_state_load(m->c, t, m->shard, &s);
	if (!e && s.gens_count != m->count)
		e = errbuf_set(t->eb, ERR_BUSY, "generations have changed meanwhile");
	if (!e) {
		e = env_begin_read_beside(t, &reader);
		if (!e) {
			e = merge_chosen(m, &reader, t, &s);
			env_abort(&reader);
		}
	}
	if (!e)
		e = shard_state_store(m->c, t, m->shard, &s);
	shard_state_release(&s);
	return e;
}

enum err catalog_merge_some(struct catalog *c, unsigned shard, bool *merged, struct errbuf *eb)
{
	struct env_txn look;
	struct shard_state s;
	*merged = false;
	enum err e = env_begin_read(c->env, &look, eb);
	if (e)
		return e;
	e = shard_state_load(c, &look, shard, &s);
	struct merging m = {
		.c = c, .shard = shard, .chosen = mem_zalloc(s.gens_count + 1), .count = s.gens_count
	};
	if (!e)
		e = choose(c, &look, shard, &s, m.chosen, &m.any);
	env_abort(&look);
	uint64_t need = 0;
	for (size_t i = 0; i < s.gens_count; i++)
		need += m.chosen[i] ? 2 * s.gens[i].bytes : 0;
	if (!e && m.any) {
		e = catalog_write(c, need, merge_run, &m, eb);
		*merged = !e;
	}
	mem_free(m.chosen);
	shard_state_release(&s);
	return e;
}

/* Retention */

struct retaining {
	struct catalog *c;
	unsigned shard;
	int64_t keep_from_ms;
	const uint32_t *keep;
	size_t keep_count, max_series;
	bool more;
};

static bool is_past(const struct retaining *r, const uint8_t *key)
{
	return num_sat_add(sets_range_of(key), SAMPLE_RANGE_MS) <= r->keep_from_ms;
}

/* Ids in ranges that are past, or in those that stay. */
static enum err gather_ids(
    const struct retaining *r, struct env_txn *t, bool past, roaring_bitmap_t *to)
{
	struct env_cursor cur;
	struct env_record rec;
	struct sets_key key = sets_key_range(r->shard, INT64_MIN);
	memset(key.bytes + key.len, 0, 4);
	enum err e = env_cursor_open(t, r->c->range, &cur);
	if (e)
		return e;
	for (e = env_cursor_seek(&cur, key.bytes, key.len + 4, &rec); !e;
	     e = env_cursor_next(&cur, &rec)) {
		if (rec.key_len != key.len + 4 || memcmp(rec.key, key.bytes, 2) != 0)
			break;
		bool this_past = is_past(r, rec.key);
		if (past && !this_past) /* in the order of times */
			break;
		if (past == this_past)
			e = sets_record_or(t, &rec, to);
		if (e)
			break;
	}
	env_cursor_close(&cur);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err drop_ranges(const struct retaining *r, struct env_txn *t)
{
	for (;;) {
		struct env_cursor cur;
		struct env_record rec;
		struct sets_key key = sets_key_range(r->shard, INT64_MIN);
		memset(key.bytes + key.len, 0, 4);
		enum err e = env_cursor_open(t, r->c->range, &cur);
		if (e)
			return e;
		e = env_cursor_seek(&cur, key.bytes, key.len + 4, &rec);
		bool ours = !e && rec.key_len == key.len + 4 && !memcmp(rec.key, key.bytes, 2) &&
		    is_past(r, rec.key);
		if (ours)
			key = sets_key_range(r->shard, sets_range_of(rec.key));
		env_cursor_close(&cur);
		if (e == ERR_NOTFOUND || (!e && !ours))
			return ERR_OK;
		if (!e)
			e = sets_remove(t, r->c->range, key);
		if (e)
			return e;
	}
}

/* Those to be forgotten: past and nowhere else. */
static enum err find_past(const struct retaining *r, struct env_txn *t, const struct shard_state *s,
    roaring_bitmap_t *past)
{
	enum err e = gather_ids(r, t, true, past);
	if (e || roaring_bitmap_is_empty(past))
		return e;
	roaring_bitmap_t *stay = catalog_bitmap();
	roaring_bitmap_add_many(stay, r->keep_count, r->keep);
	e = gather_ids(r, t, false, stay);
	if (!e && s->dropped)
		e = sets_or(t, r->c->drop, sets_key_drop(r->shard), stay);
	roaring_bitmap_andnot_inplace(past, stay);
	roaring_bitmap_free(stay);
	return e;
}

static enum err drop_series(const struct retaining *r, struct env_txn *t, struct shard_state *s,
    const uint32_t *ids, size_t count)
{
	size_t n = 0;
	uint32_t *dropped = mem_array(NULL, count + 1, sizeof(*dropped));
	enum err e = defs_drop(r->c, t, r->shard, ids, count, dropped, &n);
	if (!e)
		e = sets_add(t, r->c->drop, sets_key_drop(r->shard), dropped, n);
	mem_free(dropped);
	s->dropped += n;
	s->series -= n < s->series ? n : s->series;
	return e;
}

/*
 * Ids that are past and nowhere else lose their definition, at most max_series of them; the past
 * ranges go when none of those is left.
 * Until then they keep the ids to be dropped: a crash between two calls loses nothing.
 */
static enum err retain_run(void *arg, struct env_txn *t)
{
	struct retaining *r = arg;
	struct shard_state s;
	roaring_bitmap_t *past = catalog_bitmap();
	enum err e = shard_state_load(r->c, t, r->shard, &s);
	if (!e)
		e = find_past(r, t, &s, past);
	r->more = false;
	if (!e) {
		size_t count;
		uint32_t *ids = idset_array(past, &count);
		r->more = count > r->max_series;
		e = drop_series(r, t, &s, ids, r->more ? r->max_series : count);
		mem_free(ids);
	}
	if (!e && !r->more)
		e = drop_ranges(r, t);
	if (!e)
		e = shard_state_store(r->c, t, r->shard, &s);
	roaring_bitmap_free(past);
	shard_state_release(&s);
	return e;
}

enum err catalog_retain(struct catalog *c, unsigned shard, int64_t keep_from_ms,
    const uint32_t *keep, size_t keep_count, size_t max_series, bool *more, struct errbuf *eb)
{
	CHECK(shard < c->shards_count);
	CHECK(max_series > 0);
	struct errbuf why;
	struct retaining r = { .c = c,
		.shard = shard,
		.keep_from_ms = keep_from_ms,
		.keep = keep,
		.keep_count = keep_count,
		.max_series = max_series };
	enum err e = ERR_TOOBIG;
	/* Fewer series fit into a transaction that was too large. */
	for (unsigned i = 0; e == ERR_TOOBIG && i < RETAIN_TRIES; i++) {
		if (i)
			r.max_series = r.max_series > 8 ? r.max_series / 8 : 1;
		errbuf_init(&why);
		e = catalog_write(c, 0, retain_run, &r, &why);
	}
	*more = !e && r.more;
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

/* Series that are named */

struct forgetting {
	struct retaining r; /* what drop_series looks at */
	const uint32_t *ids;
	size_t count;
};

static enum err forget_run(void *arg, struct env_txn *t)
{
	struct forgetting *f = arg;
	struct shard_state s;
	enum err e = shard_state_load(f->r.c, t, f->r.shard, &s);
	if (!e)
		e = drop_series(&f->r, t, &s, f->ids, f->count);
	if (!e)
		e = shard_state_store(f->r.c, t, f->r.shard, &s);
	shard_state_release(&s);
	return e;
}

enum err catalog_forget(
    struct catalog *c, unsigned shard, const uint32_t *ids, size_t count, struct errbuf *eb)
{
	size_t step = FORGET_STEP;
	struct errbuf why;
	CHECK(shard < c->shards_count);
	for (size_t at = 0; at < count;) {
		struct forgetting f = { .r = { .c = c, .shard = shard },
			.ids = ids + at,
			.count = count - at < step ? count - at : step };
		errbuf_init(&why);
		enum err e = catalog_write(c, 0, forget_run, &f, &why);
		if (e == ERR_TOOBIG && f.count > 1) { /* fewer fit into a transaction */
			step = f.count / 8 + 1;
			continue;
		}
		if (e)
			return errbuf_set(eb, e, "%s", why.text);
		at += f.count;
	}
	bool more = count > 0;
	for (enum err e = ERR_OK; more && !e;) { /* what is half dropped is written again */
		errbuf_init(&why);
		e = catalog_merge_some(c, shard, &more, &why);
	}
	return ERR_OK;
}
