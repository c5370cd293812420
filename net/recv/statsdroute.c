#include "net/recv/statsdroute.h"

#include <math.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/model/limits.h"

#define SLOTS     (2 * STATSD_ROUTES)
#define SEED      UINT64_C(0xc3a5c85c97cb3127)
#define SOLO      "no_label_value"
#define CONTAINER "container_id"

struct known {
	uint64_t hash;
	const char *key; /* id, tags, container */
	uint32_t id_len, tags_len, container_len;
	enum statsd_type type;
	struct statsd_route route;
};
struct statsd_routes {
	const struct statsd_map *map;
	struct snap_seat *seat;
	struct arena arena;
	struct known **slots;
	uint32_t count;
	unsigned loops;
	uint64_t refs;
	struct buf text;
};

struct statsd_routes *statsd_routes_create(
    const struct statsd_map *map, struct snap_seat *seat, unsigned loops)
{
	struct statsd_routes *r = mem_zalloc(sizeof(*r));
	r->map = map;
	r->seat = snap_seat_take(seat);
	r->loops = loops;
	r->refs = 1;
	r->slots = mem_zalloc(SLOTS * sizeof(struct known *)); /* pages come as they are used */
	arena_init(&r->arena, 64 << 10);
	buf_init(&r->text);
	return r;
}

struct statsd_routes *statsd_routes_hold(struct statsd_routes *r)
{
	r->refs++;
	return r;
}

void statsd_routes_drop(struct statsd_routes *r)
{
	if (!r || --r->refs)
		return;
	snap_seat_leave(r->seat);
	arena_release(&r->arena);
	buf_release(&r->text);
	mem_free(r->slots);
	mem_free(r);
}

bool statsd_routes_full(const struct statsd_routes *r)
{
	return r->count >= STATSD_ROUTES || arena_used(&r->arena) >= STATSD_ROUTES_BYTES;
}

/* ---- a route that is not known ---- */

static const enum statsd_metric metrics[STATSD_TYPES] = {
	[STATSD_COUNTER] = STATSD_IS_COUNTER,
	[STATSD_GAUGE] = STATSD_IS_GAUGE,
	[STATSD_SET] = STATSD_IS_SET,
	[STATSD_TIMER] = STATSD_IS_OBSERVER,
	[STATSD_HISTOGRAM] = STATSD_IS_OBSERVER,
	[STATSD_DISTRIBUTION] = STATSD_IS_OBSERVER,
};
static const enum statsd_op ops[STATSD_TYPES] = {
	[STATSD_COUNTER] = STATSD_ADD,
	[STATSD_GAUGE] = STATSD_SET_TO,
	[STATSD_SET] = STATSD_MEMBER,
	[STATSD_TIMER] = STATSD_OBSERVE,
	[STATSD_HISTOGRAM] = STATSD_OBSERVE,
	[STATSD_DISTRIBUTION] = STATSD_OBSERVE,
};

static enum statsd_kind kind_of(enum statsd_metric m, const struct statsd_options *o)
{
	if (m == STATSD_IS_COUNTER)
		return STATSD_KIND_COUNTER;
	if (m == STATSD_IS_GAUGE)
		return STATSD_KIND_GAUGE;
	if (m == STATSD_IS_SET)
		return STATSD_KIND_SET;
	return o->type == STATSD_SUMMARY ? STATSD_KIND_SUMMARY
	    : o->type == STATSD_NATIVE   ? STATSD_KIND_NATIVE
	                                 : STATSD_KIND_CLASSIC;
}

/* The text at hand, in the arena. */
static const char *keep(struct statsd_routes *r, uint32_t *len)
{
	*len = (uint32_t)r->text.len;
	return arena_strndup(&r->arena, (const char *)r->text.data, r->text.len);
}

static bool is(const char *name, uint32_t len, const char *word)
{
	return len == strlen(word) && !memcmp(name, word, len);
}

static void put_tag(struct statsd_routes *r, struct label_builder *b, enum statsd_kind kind,
    const struct statsd_tag *t)
{
	uint32_t len, value_len = t->value.len;
	buf_clear(&r->text);
	statsd_map_escape(t->name.s, t->name.len, &r->text);
	const char *name = keep(r, &len);
	if (is(name, len, LABEL_NAME) || (kind == STATSD_KIND_CLASSIC && is(name, len, "le")) ||
	    (kind == STATSD_KIND_SUMMARY && is(name, len, "quantile")))
		return;
	const char *value = t->solo ? SOLO : arena_strndup(&r->arena, t->value.s, t->value.len);
	label_builder_set(b, name, len, value, t->solo ? (uint32_t)strlen(SOLO) : value_len);
}

/* False: there are too many; as many as there may be are looked at. */
static bool put_tags(struct statsd_routes *r, struct label_builder *b, enum statsd_kind kind,
    const struct statsd_sample *s)
{
	struct statsd_tags tags = statsd_tags(s);
	struct statsd_tag t;
	for (uint64_t n = 0; statsd_tag_next(&tags, &t); n++) {
		if (n == limits_here()->write_labels)
			return false;
		put_tag(r, b, kind, &t);
	}
	if (s->container.len)
		label_builder_set(b, CONTAINER, strlen(CONTAINER),
		    arena_strndup(&r->arena, s->container.s, s->container.len), s->container.len);
	return true;
}

static void put_rule(struct statsd_routes *r, struct label_builder *b, const struct statsd_match *m)
{
	for (size_t i = 0; i < m->rule->labels.count; i++) {
		const struct statsd_pair *p = &m->rule->labels.items[i];
		uint32_t len;
		if (m->rule->honor_labels && label_builder_get(b, p->name, strlen(p->name), &len))
			continue;
		buf_clear(&r->text);
		statsd_map_expand(m, p->value, &r->text);
		const char *value = keep(r, &len);
		label_builder_set(b, p->name, strlen(p->name), value, len);
	}
}

/* The name as it comes, without tags. */
static const char *whole_name(struct statsd_routes *r, const struct statsd_sample *s, uint32_t *len)
{
	*len = s->name.len;
	if (!s->name_end.len)
		return s->name.s;
	buf_clear(&r->text);
	buf_add(&r->text, s->name.s, s->name.len);
	buf_add(&r->text, s->name_end.s, s->name_end.len);
	return keep(r, len);
}

static void put_name(
    struct statsd_routes *r, const struct statsd_match *m, bool mapped, struct statsd_target *t)
{
	buf_clear(&r->text);
	if (mapped) {
		uint32_t len;
		statsd_map_expand(m, m->rule->name, &r->text);
		const char *name = keep(r, &len);
		buf_clear(&r->text);
		statsd_map_escape(name, len, &r->text);
	} else {
		statsd_map_escape(m->name, m->len, &r->text);
	}
	t->name = keep(r, &t->name_len);
}

static void resolve(struct statsd_routes *r, const struct statsd_sample *s, struct statsd_route *out)
{
	struct statsd_match m;
	struct label_builder b;
	uint32_t len;
	const char *name = whole_name(r, s, &len);
	enum statsd_metric metric = metrics[s->type];
	bool mapped = statsd_map_find(r->map, name, len, metric, &m);
	const struct statsd_rule *rule = mapped ? m.rule : statsd_map_defaults(r->map);
	struct statsd_target *t = &out->target;
	*out = (struct statsd_route){ .op = ops[s->type], .drop = rule->drop };
	if (out->drop)
		return;
	*t = (struct statsd_target){ .kind = kind_of(metric, &rule->options),
		.help = rule->help,
		.options = metric == STATSD_IS_OBSERVER ? &rule->options : NULL,
		.ttl_ms = rule->ttl_ms };
	out->scale = (rule->scale != 0 ? rule->scale : 1);
	put_name(r, &m, mapped, t);
	out->drop = t->name_len == 0;
	label_builder_init(&b, &r->arena);
	out->refused = !put_tags(r, &b, t->kind, s);
	if (mapped)
		put_rule(r, &b, &m);
	label_builder_set(&b, LABEL_NAME, strlen(LABEL_NAME), t->name, t->name_len);
	t->labels = label_builder_done(&b);
	statsd_target_hash(t);
	out->owner = statsd_target_owner(t, r->loops);
}

/* ---- finding ---- */

static bool same(const struct known *k, const struct statsd_sample *s, uint32_t tags_len)
{
	return k->type == s->type && k->id_len == s->id.len && k->tags_len == tags_len &&
	    k->container_len == s->container.len && !memcmp(k->key, s->id.s, s->id.len) &&
	    !memcmp(k->key + s->id.len, s->tags.s, tags_len) &&
	    !memcmp(k->key + s->id.len + tags_len, s->container.s, s->container.len);
}

static struct known *make(
    struct statsd_routes *r, const struct statsd_sample *s, uint32_t tags_len, uint64_t hash)
{
	struct known *k = arena_zalloc(&r->arena, sizeof(*k));
	char *key = arena_alloc(&r->arena, (size_t)s->id.len + tags_len + s->container.len);
	memcpy(key, s->id.s, s->id.len);
	memcpy(key + s->id.len, s->tags.s, tags_len);
	memcpy(key + s->id.len + tags_len, s->container.s, s->container.len);
	k->hash = hash;
	k->key = key;
	k->id_len = s->id.len;
	k->tags_len = tags_len;
	k->container_len = s->container.len;
	k->type = s->type;
	resolve(r, s, &k->route);
	r->count++;
	return k;
}

const struct statsd_route *statsd_route(struct statsd_routes *r, const struct statsd_sample *s)
{
	uint32_t tags_len = s->style == STATSD_DOG ? s->tags.len : 0; /* others are part of id */
	uint64_t hash = hash64(s->id.s, s->id.len, SEED + (uint64_t)s->type);
	if (tags_len)
		hash = hash64(s->tags.s, tags_len, hash);
	if (s->container.len)
		hash = hash64(s->container.s, s->container.len, hash);
	uint64_t h = hash;
	for (; r->slots[h % SLOTS]; h++) {
		struct known *k = r->slots[h % SLOTS];
		if (k->hash == hash && same(k, s, tags_len))
			return &k->route;
	}
	r->slots[h % SLOTS] = make(r, s, tags_len, hash);
	return &r->slots[h % SLOTS]->route;
}

bool statsd_route_value(const struct statsd_route *r, const struct statsd_sample *s, double *value)
{
	*value = (s->type == STATSD_TIMER ? s->value / 1000 : s->value) * r->scale;
	if (r->op == STATSD_ADD)
		*value /= s->rate;
	return isfinite(*value);
}
