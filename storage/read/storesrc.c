#include "storage/read/storesrc.h"

#include "core/base/arena.h"
#include "storage/read/select.h"
#include "storage/store_priv.h"

struct storesrc {
	struct source source;
	struct store *store;
};

static unsigned shards(struct source *s)
{
	return CONTAINER_OF(s, struct storesrc, source)->store->manifest.shards;
}

static struct loop *loop_of(struct source *s, unsigned shard)
{
	return CONTAINER_OF(s, struct storesrc, source)->store->shards[shard]->loop;
}

static enum err open_cursor(
    struct source *s, unsigned shard, const struct source_query *q, struct source_cursor **out)
{
	return select_open(CONTAINER_OF(s, struct storesrc, source)->store->shards[shard], q, out);
}

static const struct source_ops storesrc_ops = {
	.shards = shards, .loop_of = loop_of, .open = open_cursor
};

struct source *storesrc_create(struct store *st)
{
	struct storesrc *s = mem_zalloc(sizeof(*s));
	s->source.ops = &storesrc_ops;
	s->store = st;
	return &s->source;
}

void storesrc_free(struct source *s)
{
	if (s)
		mem_free(CONTAINER_OF(s, struct storesrc, source));
}
