#include "storage/meta/catalog.h"

#include "core/base/fsio.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "core/model/sample.h"
#include "storage/meta/catalog_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define DBS_SHARED    4
#define DBS_PER_SHARD 2
#define WRITE_TRIES   16u /* the map at least doubles its growth with each */

/* Opening */

enum err catalog_write(struct catalog *c, uint64_t need,
    enum err (*fn)(void *arg, struct env_txn *t), void *arg, struct errbuf *eb)
{
	struct errbuf why;
	enum err e = ERR_AGAIN;
	for (unsigned i = 0; e == ERR_AGAIN && i < WRITE_TRIES; i++) {
		struct env_txn t;
		errbuf_init(&why);
		e = env_begin_write(c->env, need + CATALOG_WRITE_SLACK, &t, &why);
		if (e)
			break;
		e = fn(arg, &t);
		e = e ? e : t.err;
		if (e)
			env_abort(&t);
		else
			e = env_commit(&t);
	}
	return e ? errbuf_set(eb, e, "%s", why.text) : e;
}

static enum err check_format(void *arg, struct env_txn *t)
{
	const struct catalog *c = arg;
	struct env_value v;
	uint8_t want[8];
	wire_store32(want, CATALOG_VERSION);
	wire_store32(want + 4, c->shards_count);
	enum err e = env_get(t, c->state, "format", 6, &v);
	if (e == ERR_NOTFOUND)
		return env_put(t, c->state, "format", 6, want, sizeof(want));
	if (e)
		return e;
	uint32_t version = v.len >= 4 ? wire_load32(v.data) : 0;
	if (version > CATALOG_VERSION)
		return errbuf_set(t->eb, ERR_UNSUPPORTED,
		    "catalog is of a later format (%u) than this program knows (%u)", version,
		    CATALOG_VERSION);
	if (v.len != sizeof(want) || version != CATALOG_VERSION)
		return errbuf_set(t->eb, ERR_DAMAGED,
		    "catalog: its format is %u, this program writes %u", version, CATALOG_VERSION);
	if (wire_load32(v.data + 4) != c->shards_count)
		return errbuf_set(t->eb, ERR_DAMAGED, "catalog: made for %u shards, not %u",
		    wire_load32(v.data + 4), c->shards_count);
	return ERR_OK;
}

static enum err open_dbs(struct catalog *c, struct errbuf *eb)
{
	enum err e = env_db(c->env, "state", &c->state, eb);
	if (!e)
		e = env_db(c->env, "dict", &c->dict, eb);
	if (!e)
		e = env_db(c->env, "range", &c->range, eb);
	if (!e)
		e = env_db(c->env, "drop", &c->drop, eb);
	for (unsigned i = 0; !e && i < c->shards_count; i++) {
		char name[ENV_NAME_MAX];
		snprintf(name, sizeof(name), "def.%02u", i % CATALOG_SHARDS_MAX);
		e = env_db(c->env, name, &c->shards[i].def, eb);
		snprintf(name, sizeof(name), "gen.%02u", i % CATALOG_SHARDS_MAX);
		if (!e)
			e = env_db(c->env, name, &c->shards[i].gen, eb);
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
	epoch_set(&c->epoch, 1);
	c->pack = catpack_create();
	c->blocks = defblock_writer_create();
	c->block_ids = DEFBLOCK_IDS;
	e = env_open(
	    &(struct env_opts){ .path = path, .dbs_max = DBS_SHARED + DBS_PER_SHARD * shards },
	    &c->env, eb);
	if (!e)
		e = env_sweep_readers(c->env, eb);
	if (!e)
		e = open_dbs(c, eb);
	if (!e)
		e = catalog_write(c, 0, check_format, c, eb);
	if (!e)
		e = dicts_load(c, eb);
	if (e) {
		catalog_close(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

struct renewing {
	struct catalog *c;
	enum err (*move)(void *arg);
	void *arg;
};

static enum err renew_move(void *arg)
{
	struct renewing *r = arg;
	return r->move(r->arg);
}

/* Alone: no dictionary of the old one is known any more, and whoever reads from now on may know. */
static void renewed(void *arg)
{
	struct renewing *r = arg;
	catpack_free(r->c->pack);
	r->c->pack = catpack_create();
	r->c->dict_series = 0;
	epoch_set(&r->c->epoch, epoch_now(&r->c->epoch) + 1);
}

enum err catalog_renew(struct catalog *c, enum err (*move)(void *arg), void *arg, struct errbuf *eb)
{
	struct renewing r = { .c = c, .move = move, .arg = arg };
	enum err e = env_renew(c->env, renew_move, renewed, &r, eb);
	return e ? e : catalog_write(c, 0, check_format, c, eb);
}

uint64_t catalog_epoch(const struct catalog *c)
{
	return epoch_now(&c->epoch);
}

void catalog_close(struct catalog *c)
{
	if (!c)
		return;
	env_close(c->env);
	catpack_free(c->pack);
	defblock_writer_free(c->blocks);
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

void catalog_parts(struct catalog *c, struct catalog_parts *out)
{
	*out = (struct catalog_parts){ .ranges = env_db_bytes(c->env, c->range),
		.dropped = env_db_bytes(c->env, c->drop),
		.dictionaries = env_db_bytes(c->env, c->dict),
		.state = env_db_bytes(c->env, c->state),
		.file = env_bytes(c->env) };
	for (unsigned i = 0; i < c->shards_count; i++) {
		out->definitions += env_db_bytes(c->env, c->shards[i].def);
		out->postings += env_db_bytes(c->env, c->shards[i].gen);
	}
}

/* Bitmaps */

roaring_bitmap_t *catalog_bitmap(void)
{
	roaring_bitmap_t *b = roaring_bitmap_create();
	if (!b)
		panic("out of memory: bitmap");
	return b;
}

enum err catalog_malformed(struct env_txn *t, const char *what, unsigned shard, uint32_t id)
{
	t->err = ERR_DAMAGED;
	return errbuf_set(
	    t->eb, ERR_DAMAGED, "catalog: %s of shard %u at %u is malformed", what, shard, id);
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
	*out = (struct shard_state){ .gens = NULL };
	enum err e = env_get(t, c->state, key, sizeof(key), &v);
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	struct wire_reader r = wire_reader(v.data, v.len);
	out->rank = wire_u64(&r);
	out->series = wire_u64(&r);
	out->dropped = wire_u64(&r);
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
	return r.bad || wire_left(&r) ? state_malformed(t, shard) : ERR_OK;
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
	wire_put_u64(&b, s->dropped);
	wire_put_u32(&b, s->next_id);
	wire_put_u32(&b, s->next_gen);
	wire_put_u32(&b, num_u32(s->gens_count));
	for (size_t i = 0; i < s->gens_count; i++) {
		wire_put_u32(&b, s->gens[i].gen);
		wire_put_u64(&b, s->gens[i].ids);
		wire_put_u64(&b, s->gens[i].bytes);
	}
	enum err e = env_put(t, c->state, key, sizeof(key), b.data, b.len);
	buf_release(&b);
	return e;
}

void shard_state_release(struct shard_state *s)
{
	mem_free(s->gens);
	*s = (struct shard_state){ .gens = NULL };
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

/* One piece of work under way: the definitions of each tenant gather apart. */
struct apply {
	struct catalog *c;
	unsigned shard;
	uint64_t rank;
	const struct catalog_def *defs; /* ids ascending and distinct */
	size_t defs_count;
	const struct catalog_range *ranges;
	size_t ranges_count;
	/* made anew in each transaction */
	struct env_txn *t;
	struct shard_state s;
	bool *fresh; /* [defs_count] */
	struct apply_tenant {
		uint32_t tenant;
		struct gen_builder *built;
	} * tenants;
	size_t tenants_count;
};

static struct gen_builder *built_of(struct apply *a, uint32_t tenant)
{
	for (size_t i = a->tenants_count; i > 0; i--) {
		if (a->tenants[i - 1].tenant == tenant)
			return a->tenants[i - 1].built;
	}
	a->tenants = mem_array(a->tenants, a->tenants_count + 1, sizeof(*a->tenants));
	a->tenants[a->tenants_count] =
	    (struct apply_tenant){ .tenant = tenant, .built = gen_builder_create(a->c->seed) };
	return a->tenants[a->tenants_count++].built;
}

static int by_tenant(const void *a, const void *b)
{
	const struct apply_tenant *x = a, *y = b;
	return x->tenant < y->tenant ? -1 : x->tenant > y->tenant;
}

/* Those that come again are dropped no more. */
static enum err undrop(struct apply *a)
{
	if (!a->s.dropped)
		return ERR_OK;
	roaring_bitmap_t *dropped = catalog_bitmap();
	struct sets_key key = sets_key_drop(a->shard);
	enum err e = sets_or(a->t, a->c->drop, key, dropped);
	for (size_t i = 0; !e && i < a->defs_count; i++) {
		if (!a->fresh[i] || !roaring_bitmap_contains(dropped, a->defs[i].id))
			continue;
		e = sets_del(a->t, a->c->drop, key, &a->defs[i].id, 1);
		a->s.dropped--;
	}
	roaring_bitmap_free(dropped);
	return e;
}

static enum err apply_defs(struct apply *a)
{
	enum err e = defs_add(a->c, a->t, a->shard, a->defs, a->defs_count, a->fresh);
	if (!e)
		e = undrop(a);
	for (size_t i = 0; !e && i < a->defs_count; i++) {
		const struct catalog_def *d = &a->defs[i];
		if (i + DEFBLOCK_AHEAD < a->defs_count)
			defblock_fetch(a->defs[i + DEFBLOCK_AHEAD].labels);
		if (!a->fresh[i])
			continue;
		gen_builder_add(built_of(a, d->tenant), d->id, d->labels);
		a->s.series++;
		if (d->id >= a->s.next_id)
			a->s.next_id = d->id + 1;
	}
	if (a->tenants_count > 1)
		qsort(a->tenants, a->tenants_count, sizeof(*a->tenants), by_tenant);
	return e;
}

static enum err apply_range(struct apply *a, const struct catalog_range *r)
{
	if (r->count == 0)
		return ERR_OK;
	if (r->ids[r->count - 1] >= a->s.next_id)
		a->s.next_id = r->ids[r->count - 1] + 1;
	return sets_add(a->t, a->c->range, sets_key_range(a->shard, catalog_range_start(r->t_ms)),
	    r->ids, r->count);
}

/* All postings gathered become one generation. */
static enum err apply_generation(struct apply *a)
{
	struct gen_entry g = { .gen = a->s.next_gen };
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < a->tenants_count; i++) {
		e = gen_write(a->t, a->c->shards[a->shard].gen, g.gen, a->tenants[i].tenant,
		    a->tenants[i].built, &g.bytes);
		g.ids += gen_builder_series(a->tenants[i].built);
	}
	if (e || g.ids == 0)
		return e;
	a->s.gens = mem_array(a->s.gens, a->s.gens_count + 1, sizeof(*a->s.gens));
	a->s.gens[a->s.gens_count++] = g;
	a->s.next_gen++;
	return ERR_OK;
}

static void apply_forget(struct apply *a)
{
	for (size_t i = 0; i < a->tenants_count; i++)
		gen_builder_free(a->tenants[i].built);
	mem_free(a->tenants);
	a->tenants = NULL;
	a->tenants_count = 0;
	shard_state_release(&a->s);
}

static enum err apply_run(void *arg, struct env_txn *t)
{
	struct apply *a = arg;
	a->t = t;
	enum err e = shard_state_load(a->c, t, a->shard, &a->s);
	if (!e && a->defs_count)
		e = apply_defs(a);
	if (!e)
		e = apply_generation(a);
	for (size_t i = 0; !e && i < a->ranges_count; i++)
		e = apply_range(a, &a->ranges[i]);
	if (a->rank > a->s.rank)
		a->s.rank = a->rank;
	if (!e)
		e = shard_state_store(a->c, t, a->shard, &a->s);
	apply_forget(a);
	return e;
}

/*
 * A definition is some tens of bytes in its block and as many in the postings; a chunk of a range
 * is at most a quarter of a page. What it really takes the map tells: then it grows, too.
 */
static uint64_t estimate_bytes(const struct apply *a)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < a->defs_count; i++)
		bytes += a->defs[i].labels.len / 4 + 64;
	for (size_t i = 0; i < a->ranges_count; i++)
		bytes += a->ranges[i].count / 8 + 4096;
	return bytes;
}

/*
 * What is too much for one transaction goes in halves; rank comes with the last one, so that a
 * crash in between is caught up.
 */
static enum err apply_halves(const struct apply *a, struct errbuf *eb)
{
	struct apply one = *a;
	enum err e = catalog_write(a->c, estimate_bytes(a), apply_run, &one, eb);
	if (e != ERR_TOOBIG)
		return e;
	if (a->defs_count + a->ranges_count <= 1)
		return errbuf_set(eb, e, "catalog: one record is too much for a transaction");
	size_t d = (a->defs_count + 1) / 2, r = a->defs_count > 1 ? 0 : (a->ranges_count + 1) / 2;
	if (a->defs_count == 1)
		r = 0;
	struct apply first = *a, second = *a;
	first.rank = 0;
	first.defs_count = d;
	first.ranges_count = r;
	second.defs += d;
	second.fresh += d;
	second.defs_count -= d;
	second.ranges += r;
	second.ranges_count -= r;
	e = apply_halves(&first, eb);
	return e ? e : apply_halves(&second, eb);
}

/* Of equal ids the one that came first comes first. */
static int by_id(const void *a, const void *b)
{
	const struct catalog_def *x = *(const struct catalog_def *const *)a;
	const struct catalog_def *y = *(const struct catalog_def *const *)b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Definitions in the order of ids, each once. NULL: they are so already. */
static struct catalog_def *defs_sorted(const struct catalog_def *defs, size_t *count)
{
	size_t in_order = 1, n = 0;
	while (in_order < *count && defs[in_order].id > defs[in_order - 1].id)
		in_order++;
	if (in_order >= *count)
		return NULL;
	const struct catalog_def **order = mem_array(NULL, *count, sizeof(*order));
	struct catalog_def *out = mem_array(NULL, *count, sizeof(*out));
	for (size_t i = 0; i < *count; i++)
		order[i] = &defs[i];
	qsort(order, *count, sizeof(const struct catalog_def *), by_id);
	for (size_t i = 0; i < *count; i++)
		if (!n || order[i]->id != out[n - 1].id)
			out[n++] = *order[i];
	mem_free(order);
	*count = n;
	return out;
}

/* What was asked for is done; what fails now is tried again after the next apply. */
static void tidy(struct catalog *c, unsigned shard)
{
	struct errbuf why;
	bool merged = true;
	enum err e = ERR_OK;
	struct catalog_state st;
	errbuf_init(&why);
	while (merged && !e)
		e = catalog_merge_some(c, shard, &merged, &why);
	if (!e)
		e = catalog_state(c, shard, &st, &why);
	if (!e)
		e = dicts_look(c, st.series * c->shards_count, &why);
	if (e)
		LOG_EVERY(LOG_LEVEL_WARN, "catalog_merge_failed", "shard=%u err=%s text=\"%s\"",
		    shard, err_text(e), why.text);
}

enum err catalog_apply(struct catalog *c, unsigned shard, uint64_t rank,
    const struct catalog_def *defs, size_t defs_count, const struct catalog_range *ranges,
    size_t ranges_count, struct errbuf *eb)
{
	CHECK(shard < c->shards_count);
	struct catalog_def *sorted = defs_sorted(defs, &defs_count);
	struct apply a = { .c = c,
		.shard = shard,
		.rank = rank,
		.defs = sorted ? sorted : defs,
		.defs_count = defs_count,
		.ranges = ranges,
		.ranges_count = ranges_count,
		.fresh = mem_zalloc(defs_count + 1) };
	enum err e = apply_halves(&a, eb);
	mem_free(a.fresh);
	mem_free(sorted);
	if (!e)
		tidy(c, shard);
	return e;
}
