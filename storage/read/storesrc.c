#include "storage/read/storesrc.h"

#include "core/base/arena.h"
#include "core/model/tenant.h"
#include "core/rt/changes.h"
#include "storage/read/idchain.h"
#include "storage/read/searchread.h"
#include "storage/read/select.h"

struct storesrc {
	struct source source;
	struct shard **shards;
	unsigned shards_count;
	struct changes *changes;
};

/*
 * A cursor over the series of several tenants, one after the other; of each from where its samples
 * are not dead (tombstones of FILES).
 */
struct several {
	struct source_cursor base;
	struct shard *shard;
	const struct source_query *query;
	size_t at;               /* whose turn it is */
	struct source_read read; /* by those before */
	struct one {
		struct source_query query;
		struct source_cursor *cursor; /* stays until the end: warnings are its texts */
	} each[];
};

static unsigned count(struct source *s)
{
	return CONTAINER_OF(s, struct storesrc, source)->shards_count;
}

static struct loop *loop_of(struct source *s, unsigned shard)
{
	return CONTAINER_OF(s, struct storesrc, source)->shards[shard]->loop;
}

static enum err cursor_open(struct shard *sh, const struct source_query *q, struct source_cursor **out)
{
	bool texts = q->what == SOURCE_LABEL_NAMES || q->what == SOURCE_LABEL_VALUES;
	return q->find && texts ? searchread_open(sh, q, out) : select_open(sh, q, out);
}

/* --- several tenants --- */

/* None given: tenant 0. */
static size_t asked_tenants(const struct source_query *q)
{
	return q->tenants_count ? q->tenants_count : 1;
}

/* ERR_NOTFOUND: all that is asked for is dead, or nobody's. */
static enum err one_open(struct several *s)
{
	struct one *o = &s->each[s->at];

	o->query = *s->query;
	if (o->query.tenants_count) {
		o->query.tenants = &s->query->tenants[s->at];
		o->query.tenants_count = 1;
	}
	if (source_first_tenant(&o->query) == TENANT_NONE)
		return ERR_NOTFOUND;
	int64_t dead_ms = files_dead_before(&s->shard->list, source_first_tenant(&o->query));
	if (dead_ms > o->query.t_min_ms)
		o->query.t_min_ms = dead_ms;
	if (o->query.t_min_ms > o->query.t_max_ms)
		return ERR_NOTFOUND;
	return cursor_open(s->shard, &o->query, &o->cursor);
}

static void one_tell(struct several *s, const struct source_cursor *c)
{
	s->base.memory = c->memory;
	s->base.est_series = c->est_series;
	s->base.est_samples = c->est_samples;
	s->base.read = s->read;
	s->base.read.memory_samples += c->read.memory_samples;
	s->base.read.memory_bytes += c->read.memory_bytes;
	s->base.read.file_samples += c->read.file_samples;
	s->base.read.file_bytes += c->read.file_bytes;
}

/* Its warnings stand behind those of the tenants before. */
static void one_over(struct several *s, const struct source_cursor *c)
{
	for (unsigned i = 0; i < c->warnings_count; i++)
		if (s->base.warnings_count < COUNT_OF(s->base.warnings))
			s->base.warnings[s->base.warnings_count++] = c->warnings[i];
	s->read = s->base.read;
	s->at++;
}

static enum source_state several_fail(struct several *s, enum err e, const struct errbuf *eb)
{
	s->base.err = e;
	if (eb)
		s->base.eb = *eb;
	return SOURCE_ERROR;
}

static enum source_state several_next(struct source_cursor *base, struct source_item *out)
{
	struct several *s = CONTAINER_OF(base, struct several, base);
	struct one *o;
	enum err e = ERR_OK;

	if (s->at == asked_tenants(s->query))
		return SOURCE_END;
	o = &s->each[s->at];
	if (!o->cursor && (e = one_open(s)) == ERR_NOTFOUND) {
		s->at++;
		return SOURCE_AGAIN;
	}
	if (!o->cursor)
		return several_fail(s, e, NULL);
	enum source_state st = o->cursor->ops->next(o->cursor, out);
	one_tell(s, o->cursor);
	out->tenant = source_first_tenant(&o->query);
	if (st == SOURCE_ERROR)
		return several_fail(s, o->cursor->err, &o->cursor->eb);
	if (st != SOURCE_END)
		return st;
	one_over(s, o->cursor);
	return SOURCE_AGAIN;
}

static void several_close(struct source_cursor *base)
{
	struct several *s = CONTAINER_OF(base, struct several, base);

	for (size_t i = 0; i < asked_tenants(s->query); i++)
		if (s->each[i].cursor)
			s->each[i].cursor->ops->close(s->each[i].cursor);
	mem_free(s);
}

static const struct source_cursor_ops several_ops = { .next = several_next, .close = several_close };

static enum err several_open(
    struct shard *sh, const struct source_query *q, struct source_cursor **out)
{
	struct several *s = mem_zalloc(sizeof(*s) + asked_tenants(q) * sizeof(s->each[0]));

	s->base.ops = &several_ops;
	errbuf_init(&s->base.eb);
	s->shard = sh;
	s->query = q;
	*out = &s->base;
	return ERR_OK;
}

/* --- the seam --- */

static enum err open_cursor(
    struct source *s, unsigned shard, const struct source_query *q, struct source_cursor **out)
{
	struct shard *sh = CONTAINER_OF(s, struct storesrc, source)->shards[shard];
	bool plain = q->tenants_count <= 1 && source_first_tenant(q) != TENANT_NONE &&
	    files_dead_before(&sh->list, source_first_tenant(q)) <= q->t_min_ms;
	return plain ? cursor_open(sh, q, out) : several_open(sh, q, out);
}

static uint64_t changes_now_of(struct source *s)
{
	return changes_now(CONTAINER_OF(s, struct storesrc, source)->changes);
}
static bool none(struct source *s, unsigned shard, const struct source_query *q)
{
	return q->tenants_count <= 1 && source_first_tenant(q) != TENANT_NONE &&
	    idchain_none(CONTAINER_OF(s, struct storesrc, source)->shards[shard], q);
}

static uint64_t changes_between(struct source *s, const uint32_t *tenants, size_t tenants_count,
    int64_t t_min_ms, int64_t t_max_ms, bool order)
{
	static const uint32_t first = 0;
	struct changes *c = CONTAINER_OF(s, struct storesrc, source)->changes;
	uint64_t most = 0;

	if (!tenants_count) {
		tenants = &first;
		tenants_count = 1;
	}
	for (size_t i = 0; i < tenants_count; i++) {
		if (tenants[i] == TENANT_NONE) /* it has nothing, and never will have */
			continue;
		uint64_t n = changes_of(c, tenants[i], CHANGES_DATA, t_min_ms, t_max_ms);
		most = n > most ? n : most;
		n = order ? changes_of(c, tenants[i], CHANGES_ORDER, t_min_ms, t_max_ms) : 0;
		most = n > most ? n : most;
	}
	return most;
}

static const struct source_ops storesrc_ops = { .shards = count,
	.loop_of = loop_of,
	.open = open_cursor,
	.changes_now = changes_now_of,
	.changes = changes_between,
	.none = none };

struct source *storesrc_create(struct shard **shards, unsigned shards_count, struct changes *changes)
{
	struct storesrc *s = mem_zalloc(sizeof(*s));
	s->source.ops = &storesrc_ops;
	s->shards = shards;
	s->shards_count = shards_count;
	s->changes = changes;
	return &s->source;
}

void storesrc_free(struct source *s)
{
	if (s)
		mem_free(CONTAINER_OF(s, struct storesrc, source));
}
