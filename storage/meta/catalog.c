#include "storage/meta/catalog.h"

#include "core/base/fsio.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "core/model/sample.h"
#include "storage/meta/catalog_priv.h"

#include <stdio.h>

#define DBS_PER_SHARD 3
#define GROW_TRIES    4u

/* Opening */

static enum err check_format(struct catalog *c, struct errbuf *eb)
{
	struct env_txn t;
	struct env_value v;
	enum err e = env_begin_write(c->env, CATALOG_WRITE_SLACK, &t, eb);
	if (e)
		return e;
	uint8_t want[8];
	wire_store32(want, CATALOG_VERSION);
	wire_store32(want + 4, c->shards_count);
	e = env_get(&t, c->state, "format", 6, &v);
	if (e == ERR_NOTFOUND)
		e = env_put(&t, c->state, "format", 6, want, sizeof(want));
	else if (!e && v.len >= 4 && wire_load32(v.data) > CATALOG_VERSION)
		e = errbuf_set(eb, ERR_UNSUPPORTED,
		    "catalog is of a later format (%u) than this program knows (%u)",
		    wire_load32(v.data), CATALOG_VERSION);
	else if (!e && (v.len != sizeof(want) || wire_load32(v.data) != CATALOG_VERSION))
		e = errbuf_set(eb, ERR_DAMAGED, "catalog: format %u is not known",
		    v.len >= 4 ? wire_load32(v.data) : 0);
	else if (!e && wire_load32(v.data + 4) != c->shards_count)
		e = errbuf_set(eb, ERR_DAMAGED, "catalog: made for %u shards, not %u",
		    wire_load32(v.data + 4), c->shards_count);
	if (e) {
		env_abort(&t);
		return e;
	}
	return env_commit(&t);
}

static enum err open_dbs(struct catalog *c, struct errbuf *eb)
{
	enum err e = env_db(c->env, "state", &c->state, eb);
	for (unsigned i = 0; !e && i < c->shards_count; i++) {
		char name[ENV_NAME_MAX];
		snprintf(name, sizeof(name), "def.%02u", i % CATALOG_SHARDS_MAX);
		e = env_db(c->env, name, &c->shards[i].def, eb);
		snprintf(name, sizeof(name), "gen.%02u", i % CATALOG_SHARDS_MAX);
		if (!e)
			e = env_db(c->env, name, &c->shards[i].gen, eb);
		snprintf(name, sizeof(name), "range.%02u", i % CATALOG_SHARDS_MAX);
		if (!e)
			e = env_db(c->env, name, &c->shards[i].range, eb);
	}
	return e;
}

enum err catalog_open(
    const char *path, unsigned shards, uint64_t seed, struct catalog **out, struct errbuf *eb)
{
	CHECK(shards > 0);
	CHECK(shards <= CATALOG_SHARDS_MAX);
	struct fsio_dir *dir;
	enum err e = fsio_dir_open(path, true, &dir);
	if (e)
		return errbuf_set(eb, e, "catalog: %s cannot be opened: %s", path, err_why(e));
	fsio_dir_close(dir);
	struct catalog *c = mem_zalloc(sizeof(*c) + shards * sizeof(c->shards[0]));
	c->shards_count = shards;
	c->seed = seed;
	e = env_open(
	    &(struct env_opts){ .path = path, .dbs_max = 1 + DBS_PER_SHARD * shards }, &c->env, eb);
	if (!e)
		e = env_sweep_readers(c->env, eb);
	if (!e)
		e = open_dbs(c, eb);
	if (!e)
		e = check_format(c, eb);
	if (e) {
		catalog_close(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

void catalog_close(struct catalog *c)
{
	if (!c)
		return;
	env_close(c->env);
	mem_free(c);
}

enum err catalog_sweep_readers(struct catalog *c, struct errbuf *eb)
{
	return env_sweep_readers(c->env, eb);
}

bool catalog_is_damaged(const struct catalog *c)
{
	return env_is_damaged(c->env);
}

uint64_t catalog_disk_bytes(struct catalog *c)
{
	return env_bytes(c->env);
}

/* Bitmaps */

roaring_bitmap_t *catalog_bitmap(void)
{
	roaring_bitmap_t *b = roaring_bitmap_create();
	if (!b)
		panic("out of memory: bitmap");
	return b;
}

enum err catalog_bitmap_load(
    struct env_txn *t, const struct env_value *v, const char *what, roaring_bitmap_t **out)
{
	*out = roaring_bitmap_portable_deserialize_safe((const char *)v->data, v->len);
	if (*out)
		return ERR_OK;
	t->err = ERR_DAMAGED;
	return errbuf_set(t->eb, ERR_DAMAGED, "catalog: %s is malformed", what);
}

enum err catalog_bitmap_store(
    struct env_txn *t, struct env_db *db, const void *key, size_t key_len, roaring_bitmap_t *b)
{
	roaring_bitmap_run_optimize(b);
	size_t size = roaring_bitmap_portable_size_in_bytes(b);
	char *data = mem_alloc(size);
	roaring_bitmap_portable_serialize(b, data);
	enum err e = env_put(t, db, key, key_len, data, size);
	mem_free(data);
	return e;
}

/* The state of a shard */

static void state_key(uint8_t key[2], unsigned shard)
{
	key[0] = (uint8_t)(shard >> 8);
	key[1] = (uint8_t)shard;
}

static enum err state_malformed(struct env_txn *t, unsigned shard)
{
	t->err = ERR_DAMAGED;
	return errbuf_set(t->eb, ERR_DAMAGED, "catalog: state of shard %u is malformed", shard);
}

enum err shard_state_load(
    struct catalog *c, struct env_txn *t, unsigned shard, struct shard_state *out)
{
	uint8_t key[2];
	struct env_value v;
	state_key(key, shard);
	*out = (struct shard_state){ .dropped = NULL };
	enum err e = env_get(t, c->state, key, sizeof(key), &v);
	if (e == ERR_NOTFOUND) {
		out->dropped = catalog_bitmap();
		return ERR_OK;
	}
	if (e)
		return e;
	struct wire_reader r = wire_reader(v.data, v.len);
	out->rank = wire_u64(&r);
	out->series = wire_u64(&r);
	out->next_id = wire_u32(&r);
	out->next_gen = wire_u32(&r);
	uint32_t count = wire_u32(&r);
	if (r.bad || count > wire_left(&r) / 20)
		return state_malformed(t, shard);
	out->gens = mem_array(NULL, count, sizeof(*out->gens));
	for (; out->gens_count < count; out->gens_count++) {
		struct gen_entry *g = &out->gens[out->gens_count];
		g->gen = wire_u32(&r);
		g->ids = wire_u64(&r);
		g->bytes = wire_u64(&r);
	}
	if (r.bad)
		return state_malformed(t, shard);
	return catalog_bitmap_load(t, &(struct env_value){ .data = r.p, .len = wire_left(&r) },
	    "list of dropped ids", &out->dropped);
}

enum err shard_state_store(
    struct catalog *c, struct env_txn *t, unsigned shard, const struct shard_state *s)
{
	uint8_t key[2];
	struct buf b;
	buf_init(&b);
	state_key(key, shard);
	wire_put_u64(&b, s->rank);
	wire_put_u64(&b, s->series);
	wire_put_u32(&b, s->next_id);
	wire_put_u32(&b, s->next_gen);
	wire_put_u32(&b, num_u32(s->gens_count));
	for (size_t i = 0; i < s->gens_count; i++) {
		wire_put_u32(&b, s->gens[i].gen);
		wire_put_u64(&b, s->gens[i].ids);
		wire_put_u64(&b, s->gens[i].bytes);
	}
	size_t size = roaring_bitmap_portable_size_in_bytes(s->dropped);
	buf_reserve(&b, size);
	b.len += roaring_bitmap_portable_serialize(s->dropped, (char *)b.data + b.len);
	enum err e = env_put(t, c->state, key, sizeof(key), b.data, b.len);
	buf_release(&b);
	return e;
}

void shard_state_release(struct shard_state *s)
{
	mem_free(s->gens);
	if (s->dropped)
		roaring_bitmap_free(s->dropped);
	*s = (struct shard_state){ .dropped = NULL };
}

enum err catalog_state(struct catalog *c, unsigned shard, struct catalog_state *out, struct errbuf *eb)
{
	CHECK(shard < c->shards_count);
	struct env_txn t;
	struct shard_state s;
	enum err e = env_begin_read(c->env, &t, eb);
	if (e)
		return e;
	e = shard_state_load(c, &t, shard, &s);
	if (!e)
		*out = (struct catalog_state){ .rank = s.rank,
			.next_id = s.next_id,
			.series = s.series,
			.generations = num_u32(s.gens_count) };
	shard_state_release(&s);
	env_abort(&t);
	return e;
}

/* Applying */

int64_t catalog_range_start(int64_t t_ms)
{
	int64_t q = t_ms / SAMPLE_RANGE_MS - (t_ms % SAMPLE_RANGE_MS < 0), start;
	/* The lowest range begins below int64: a query for everything asks for it. */
	return __builtin_mul_overflow(q, SAMPLE_RANGE_MS, &start) ? INT64_MIN : start;
}

/* One piece of work under way: the definitions of each tenant gather in postings of their own. */
struct apply {
	struct catalog *c;
	struct env_txn t;
	struct catalog_shard *shard;
	struct shard_state s;
	struct apply_tenant {
		uint32_t tenant;
		struct postings *postings;
	} * tenants;
	size_t tenants_count;
	size_t defs_count;
};

static struct postings *postings_of(struct apply *a, uint32_t tenant)
{
	for (size_t i = a->tenants_count; i > 0; i--) {
		if (a->tenants[i - 1].tenant == tenant)
			return a->tenants[i - 1].postings;
	}
	a->tenants = mem_array(a->tenants, a->tenants_count + 1, sizeof(*a->tenants));
	a->tenants[a->tenants_count] = (struct apply_tenant){ .tenant = tenant,
		.postings = postings_create_growing(a->c->seed, a->defs_count) };
	return a->tenants[a->tenants_count++].postings;
}

static enum err apply_def(struct apply *a, const struct catalog_def *d)
{
	uint8_t key[4], tenant[10];
	struct env_value v;
	bool newest = d->id >= a->s.next_id;
	catalog_id_key(key, d->id);
	if (!newest) {
		enum err e = env_get(&a->t, a->shard->def, key, sizeof(key), &v);
		if (e != ERR_NOTFOUND)
			return e; /* known, or an error */
		roaring_bitmap_remove(a->s.dropped, d->id);
	}
	size_t tenant_len = (size_t)(wire_store_varint(tenant, d->tenant) - tenant);
	enum err e = env_put2(&a->t, a->shard->def, key, sizeof(key), tenant, tenant_len,
	    d->labels.bytes, d->labels.len, newest);
	if (e)
		return e;
	postings_add(postings_of(a, d->tenant), d->id, d->labels);
	a->s.series++;
	if (newest)
		a->s.next_id = d->id + 1;
	return ERR_OK;
}

static enum err apply_range(struct apply *a, const struct catalog_range *r)
{
	uint8_t key[8];
	struct env_value v;
	if (r->count == 0)
		return ERR_OK;
	catalog_range_key(key, catalog_range_start(r->t_ms));
	roaring_bitmap_t *b = NULL;
	enum err e = env_get(&a->t, a->shard->range, key, sizeof(key), &v);
	if (e == ERR_NOTFOUND)
		b = catalog_bitmap();
	else if (e || (e = catalog_bitmap_load(&a->t, &v, "range of time", &b)))
		return e;
	roaring_bitmap_add_many(b, r->count, r->ids);
	e = catalog_bitmap_store(&a->t, a->shard->range, key, sizeof(key), b);
	roaring_bitmap_free(b);
	if (r->ids[r->count - 1] >= a->s.next_id)
		a->s.next_id = r->ids[r->count - 1] + 1;
	return e;
}

/* All postings gathered become one generation. */
static enum err apply_generation(struct apply *a)
{
	struct gen_entry g = { .gen = a->s.next_gen };
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < a->tenants_count; i++) {
		e = gen_write(&a->t, a->shard->gen, g.gen, a->tenants[i].tenant,
		    a->tenants[i].postings, &g.bytes);
		g.ids += postings_series(a->tenants[i].postings);
	}
	if (e || g.ids == 0)
		return e;
	a->s.gens = mem_array(a->s.gens, a->s.gens_count + 1, sizeof(*a->s.gens));
	a->s.gens[a->s.gens_count++] = g;
	a->s.next_gen++;
	return ERR_OK;
}

/* A definition stands in def and in the postings; a bitmap of ids is at most so dense, or the
 * ids. */
static uint64_t estimate_bytes(const struct catalog_def *defs, size_t defs_count,
    const struct catalog_range *ranges, size_t ranges_count)
{
	uint64_t bytes = CATALOG_WRITE_SLACK;
	uint32_t top = 0;
	for (size_t i = 0; i < defs_count; i++) {
		bytes += 2 * (uint64_t)defs[i].labels.len + 100;
		top = defs[i].id > top ? defs[i].id : top;
	}
	for (size_t i = 0; i < ranges_count; i++) {
		if (ranges[i].count && ranges[i].ids[ranges[i].count - 1] > top)
			top = ranges[i].ids[ranges[i].count - 1];
	}
	return bytes + ranges_count * ((uint64_t)top / 4 + 4096);
}

static enum err apply_once(struct catalog *c, unsigned shard, uint64_t rank,
    const struct catalog_def *defs, size_t defs_count, const struct catalog_range *ranges,
    size_t ranges_count, struct errbuf *eb)
{
	struct apply a = { .c = c, .shard = &c->shards[shard], .defs_count = defs_count };
	uint64_t need = estimate_bytes(defs, defs_count, ranges, ranges_count);
	enum err e = env_begin_write(c->env, need, &a.t, eb);
	if (e)
		return e;
	e = shard_state_load(c, &a.t, shard, &a.s);
	for (size_t i = 0; !e && i < defs_count; i++)
		e = apply_def(&a, &defs[i]);
	if (!e)
		e = apply_generation(&a);
	for (size_t i = 0; !e && i < ranges_count; i++)
		e = apply_range(&a, &ranges[i]);
	if (rank > a.s.rank)
		a.s.rank = rank;
	if (!e)
		e = shard_state_store(c, &a.t, shard, &a.s);
	if (e)
		env_abort(&a.t);
	else
		e = env_commit(&a.t);
	for (size_t i = 0; i < a.tenants_count; i++)
		postings_free(a.tenants[i].postings);
	mem_free(a.tenants);
	shard_state_release(&a.s);
	return e;
}

/* The map may be full against all estimates: the next try has more. */
static enum err apply_growing(struct catalog *c, unsigned shard, uint64_t rank,
    const struct catalog_def *defs, size_t defs_count, const struct catalog_range *ranges,
    size_t ranges_count, struct errbuf *eb)
{
	struct errbuf why;
	enum err e = ERR_AGAIN;
	for (unsigned i = 0; e == ERR_AGAIN && i < GROW_TRIES; i++) {
		errbuf_init(&why);
		e = apply_once(c, shard, rank, defs, defs_count, ranges, ranges_count, &why);
	}
	return e && e != ERR_TOOBIG ? errbuf_set(eb, e, "%s", why.text) : e;
}

/* What is too much for one transaction goes in halves; rank comes with the last one, so that a
 * crash in between is caught up. */
static enum err apply_halves(struct catalog *c, unsigned shard, uint64_t rank,
    const struct catalog_def *defs, size_t defs_count, const struct catalog_range *ranges,
    size_t ranges_count, struct errbuf *eb)
{
	enum err e = apply_growing(c, shard, rank, defs, defs_count, ranges, ranges_count, eb);
	if (e != ERR_TOOBIG)
		return e;
	if (defs_count + ranges_count <= 1)
		return errbuf_set(eb, e, "catalog: one record is too much for a transaction");
	size_t d = (defs_count + 1) / 2, r = defs_count > 1 ? 0 : (ranges_count + 1) / 2;
	if (defs_count == 1)
		r = 0;
	e = apply_halves(c, shard, 0, defs, d, ranges, r, eb);
	return e ? e
	         : apply_halves(
	               c, shard, rank, defs + d, defs_count - d, ranges + r, ranges_count - r, eb);
}

enum err catalog_apply(struct catalog *c, unsigned shard, uint64_t rank,
    const struct catalog_def *defs, size_t defs_count, const struct catalog_range *ranges,
    size_t ranges_count, struct errbuf *eb)
{
	CHECK(shard < c->shards_count);
	enum err e = apply_halves(c, shard, rank, defs, defs_count, ranges, ranges_count, eb);
	/*
	 * What was asked for is done; a merge that fails now is tried again after the next apply.
	 */
	bool merged = !e;
	while (merged) {
		struct errbuf why;
		errbuf_init(&why);
		enum err failed = catalog_merge_some(c, shard, &merged, &why);
		if (failed) {
			LOG_EVERY(LOG_LEVEL_WARN, "catalog_merge_failed",
			    "shard=%u err=%s text=\"%s\"", shard, err_text(failed), why.text);
			break;
		}
	}
	return e;
}
