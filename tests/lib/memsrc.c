#include "tests/lib/memsrc.h"

#include "core/base/arena.h"
#include "core/model/hist.h"
#include <stdlib.h>
#include <string.h>

#define LOOK_MAX 1000 /* series that do not match, before the turn may go to somebody else */

struct series {
	struct labels labels; /* bytes are ours */
	uint32_t count, cap;
	int64_t *t_ms;
	double *v;
	const struct hist **h; /* NULL: none has one */
	int64_t *start_ms;     /* NULL: none is told */
};
struct shard {
	struct memsrc *src;
	struct loop *loop;
	struct series *series;
	size_t count, cap;
	uint32_t *slots; /* by labels: index + 1; 2 * cap of them */
	size_t open;     /* cursors; touched on the shard's loop only */
};
struct memsrc {
	struct source source;
	unsigned shards_count;
	unsigned shaky, fail_after;
	struct shard *shards;
	struct arena arena; /* of histograms */
};
struct name { /* of LABEL_NAMES and LABEL_VALUES */
	const char *s;
	size_t len;
};
struct cursor {
	struct source_cursor cursor;
	struct loop_deferred wake, bury;
	struct shard *shard;
	const struct source_query *query;
	size_t at;
	unsigned turns, items;
	bool waiting, closed;
	struct name *names;
	size_t names_count, names_cap;
	bool names_made;
	struct sample_column before; /* of the item before; count 0: none */
	struct source_forecast forecast;
	bool foretold;
};

static unsigned src_shards(struct source *s)
{
	return ((struct memsrc *)s)->shards_count;
}
static struct loop *src_loop_of(struct source *s, unsigned shard)
{
	return ((struct memsrc *)s)->shards[shard].loop;
}

/* The samples of se inside the query's times. */
static struct sample_column cut(const struct series *se, const struct source_query *q)
{
	uint32_t lo = 0, hi = se->count;
	while (lo < hi && se->t_ms[lo] < q->t_min_ms)
		lo++;
	while (hi > lo && se->t_ms[hi - 1] > q->t_max_ms)
		hi--;
	struct sample_column c = { .count = hi - lo, .t_ms = se->t_ms + lo, .v = se->v + lo };
	for (uint32_t i = lo; i < hi && se->h && !c.h; i++)
		c.h = se->h[i] ? se->h + lo : NULL;
	for (uint32_t i = lo; i < hi && se->start_ms && !c.start_ms; i++)
		c.start_ms = se->start_ms[i] ? se->start_ms + lo : NULL;
	return c;
}

/* The column of an item: by reference where it has the times of the one before. */
static void times_share(struct cursor *c, struct sample_column col, struct source_item *out)
{
	out->same_times = c->before.count == col.count &&
	    !memcmp(c->before.t_ms, col.t_ms, col.count * sizeof(*col.t_ms));
	if (out->same_times)
		col.t_ms = c->before.t_ms;
	out->col = c->before = col;
}

static void add_name(struct cursor *c, const char *s, size_t len)
{
	for (size_t i = 0; i < c->names_count; i++)
		if (c->names[i].len == len && !memcmp(c->names[i].s, s, len))
			return;
	if (c->names_count == c->names_cap) {
		c->names_cap = c->names_cap ? c->names_cap * 2 : 16;
		c->names = mem_array(c->names, c->names_cap, sizeof(*c->names));
	}
	c->names[c->names_count++] = (struct name){ s, len };
}

static void collect_names(struct cursor *c)
{
	const struct source_query *q = c->query;
	for (size_t i = 0; i < c->shard->count; i++) {
		const struct series *se = &c->shard->series[i];
		if (!cut(se, q).count ||
		    matcher_labels(q->matchers, q->matchers_count, se->labels) != REX_YES)
			continue;
		struct label_iter it = label_iter(se->labels);
		struct label l;
		while (label_next(&it, &l)) {
			if (q->what == SOURCE_LABEL_NAMES)
				add_name(c, l.name, l.name_len);
			else if (l.name_len == q->label_len && !memcmp(l.name, q->label, l.name_len))
				add_name(c, l.value, l.value_len);
		}
	}
	c->names_made = true;
}

static void woken(struct loop_deferred *d)
{
	struct cursor *c = CONTAINER_OF(d, struct cursor, wake);
	c->waiting = false;
	if (!c->closed)
		c->query->wake(c->query->wake_arg);
}

static enum source_state next_name(struct cursor *c, struct source_item *out)
{
	if (!c->names_made)
		collect_names(c);
	if (c->at == c->names_count)
		return SOURCE_END;
	*out = (struct source_item){ .text = c->names[c->at].s, .text_len = c->names[c->at].len };
	c->at++;
	return SOURCE_READY;
}

static enum source_state next_series(struct cursor *c, struct source_item *out)
{
	const struct source_query *q = c->query;
	unsigned passed = 0;
	for (; c->at < c->shard->count; c->at++) {
		if (++passed > LOOK_MAX)
			return SOURCE_AGAIN;
		const struct series *se = &c->shard->series[c->at];
		enum rex_result r = matcher_labels(q->matchers, q->matchers_count, se->labels);
		if (r == REX_LIMIT) {
			errbuf_set(
			    &c->cursor.eb, ERR_EXECUTION, "regular expression is too expensive");
			c->cursor.err = ERR_EXECUTION;
			return SOURCE_ERROR;
		}
		struct sample_column col = cut(se, q);
		if (r == REX_NO || !col.count)
			continue;
		if (q->what == SOURCE_SERIES_SAMPLES && q->keep &&
		    !q->keep(q->keep_arg, 0, se->labels))
			continue;
		*out = (struct source_item){ .labels = se->labels };
		if (q->what == SOURCE_SERIES_SAMPLES)
			times_share(c, col, out);
		c->at++;
		return SOURCE_READY;
	}
	return SOURCE_END;
}

/* It knows all there is. */
static enum source_state forecast(struct cursor *c, struct source_item *out)
{
	const struct source_query *q = c->query;
	struct source_forecast *f = &c->forecast;
	if (c->foretold)
		return SOURCE_END;
	for (size_t i = 0; i < c->shard->count; i++) {
		const struct series *se = &c->shard->series[i];
		struct sample_column col = cut(se, q);
		if (!col.count ||
		    matcher_labels(q->matchers, q->matchers_count, se->labels) != REX_YES)
			continue;
		f->series++;
		f->memory_samples += col.count;
		f->samples_most += col.count;
		f->memory_bytes += col.count * (uint64_t)16;
		f->column = col.count > f->column ? col.count : f->column;
	}
	f->series_most = f->series;
	c->foretold = true;
	*out = (struct source_item){ .forecast = f };
	return SOURCE_READY;
}

static enum source_state cur_next(struct source_cursor *sc, struct source_item *out)
{
	struct cursor *c = CONTAINER_OF(sc, struct cursor, cursor);
	const struct memsrc *m = c->shard->src;
	loop_check_here(c->shard->loop);
	CHECK(!c->closed);
	if (c->waiting)
		return SOURCE_WAIT;
	if (m->shaky && ++c->turns % m->shaky == 0) {
		if (c->turns / m->shaky % 2)
			return SOURCE_AGAIN;
		c->waiting = true;
		loop_defer(c->shard->loop, &c->wake);
		return SOURCE_WAIT;
	}
	if (m->fail_after && c->items == m->fail_after) {
		c->cursor.err = errbuf_set(&c->cursor.eb, ERR_IO, "the disk is gone");
		return SOURCE_ERROR;
	}
	bool names = c->query->what == SOURCE_LABEL_NAMES || c->query->what == SOURCE_LABEL_VALUES;
	enum source_state s = names             ? next_name(c, out)
	    : c->query->what == SOURCE_FORECAST ? forecast(c, out)
	                                        : next_series(c, out);
	c->cursor.read.memory_samples += s == SOURCE_READY ? out->col.count : 0;
	c->items += s == SOURCE_READY;
	return s;
}

static void buried(struct loop_deferred *d)
{
	struct cursor *c = CONTAINER_OF(d, struct cursor, bury);
	if (c->waiting) { /* its wake still stands in the list of deferred work */
		loop_defer(c->shard->loop, &c->bury);
		return;
	}
	mem_free(c->names);
	mem_free(c);
}

static void cur_close(struct source_cursor *sc)
{
	struct cursor *c = CONTAINER_OF(sc, struct cursor, cursor);
	loop_check_here(c->shard->loop);
	CHECK(!c->closed);
	c->closed = true;
	c->shard->open--;
	loop_defer(c->shard->loop, &c->bury);
}

static const struct source_cursor_ops cursor_ops = { .next = cur_next, .close = cur_close };

static enum err src_open(
    struct source *s, unsigned shard, const struct source_query *q, struct source_cursor **out)
{
	struct shard *sh = &((struct memsrc *)s)->shards[shard];
	loop_check_here(sh->loop);
	struct cursor *c = mem_zalloc(sizeof(*c));
	c->cursor.ops = &cursor_ops;
	errbuf_init(&c->cursor.eb);
	c->wake.fn = woken;
	c->bury.fn = buried;
	c->shard = sh;
	c->query = q;
	sh->open++;
	*out = &c->cursor;
	return ERR_OK;
}

/* Known while nothing makes the cursors wait, which tests want to see. */
static bool src_none(struct source *s, unsigned shard, const struct source_query *q)
{
	const struct memsrc *m = (const struct memsrc *)s;
	const struct shard *sh = &m->shards[shard];

	loop_check_here(sh->loop);
	if (sh->count > LOOK_MAX)
		return false;
	for (size_t i = 0; i < sh->count; i++)
		if (matcher_labels(q->matchers, q->matchers_count, sh->series[i].labels) != REX_NO)
			return false;
	return !m->shaky;
}

static const struct source_ops source_ops = {
	.shards = src_shards, .loop_of = src_loop_of, .open = src_open, .none = src_none
};

struct memsrc *memsrc_create(struct team *team, unsigned shards)
{
	struct memsrc *m = mem_zalloc(sizeof(*m));
	m->source.ops = &source_ops;
	arena_init(&m->arena, 4096);
	m->shards_count = shards;
	m->shards = mem_zalloc(shards * sizeof(*m->shards));
	for (unsigned i = 0; i < shards; i++) {
		m->shards[i].src = m;
		m->shards[i].loop = team_loop(team, i % team_count(team));
	}
	return m;
}

void memsrc_clear(struct memsrc *m)
{
	for (unsigned i = 0; i < m->shards_count; i++) {
		struct shard *sh = &m->shards[i];
		for (size_t j = 0; j < sh->count; j++) {
			free((void *)(uintptr_t)sh->series[j].labels.bytes);
			mem_free(sh->series[j].t_ms);
			mem_free(sh->series[j].v);
			mem_free(sh->series[j].h);
			mem_free(sh->series[j].start_ms);
		}
		sh->count = sh->cap = 0;
		mem_free(sh->series);
		mem_free(sh->slots);
		sh->series = NULL;
		sh->slots = NULL;
	}
	arena_reset(&m->arena, 0);
}

void memsrc_free(struct memsrc *m)
{
	memsrc_clear(m);
	arena_release(&m->arena);
	mem_free(m->shards);
	mem_free(m);
}

struct source *memsrc_source(struct memsrc *m)
{
	return &m->source;
}
void memsrc_shaky(struct memsrc *m, unsigned every)
{
	m->shaky = every;
}
void memsrc_fail(struct memsrc *m, unsigned after_items)
{
	m->fail_after = after_items;
}
size_t memsrc_open_cursors(const struct memsrc *m)
{
	size_t open = 0;
	for (unsigned i = 0; i < m->shards_count; i++)
		open += m->shards[i].open;
	return open;
}

/* The slot of the labels: the first free one when they are new. */
static uint32_t *slot_of(const struct shard *sh, struct labels labels)
{
	size_t at = label_hash(labels) & (2 * sh->cap - 1);
	while (sh->slots[at] && !label_equal(sh->series[sh->slots[at] - 1].labels, labels))
		at = (at + 1) & (2 * sh->cap - 1);
	return &sh->slots[at];
}

static void grow(struct shard *sh)
{
	sh->cap = sh->cap ? sh->cap * 2 : 16;
	sh->series = mem_array(sh->series, sh->cap, sizeof(*sh->series));
	mem_free(sh->slots);
	sh->slots = mem_zalloc(2 * sh->cap * sizeof(*sh->slots));
	for (size_t i = 0; i < sh->count; i++)
		*slot_of(sh, sh->series[i].labels) = (uint32_t)i + 1;
}

static struct series *find(struct shard *sh, struct labels labels)
{
	if (sh->count == sh->cap)
		grow(sh);
	uint32_t *slot = slot_of(sh, labels);
	if (*slot)
		return &sh->series[*slot - 1];
	*slot = (uint32_t)sh->count + 1;
	uint8_t *bytes = malloc(labels.len ? labels.len : 1);
	CHECK(bytes);
	if (labels.len)
		memcpy(bytes, labels.bytes, labels.len);
	struct series *se = &sh->series[sh->count++];
	*se = (struct series){ .labels = { bytes, labels.len } };
	return se;
}

static void series_grow(struct series *se)
{
	se->cap = se->cap ? se->cap * 2 : 16;
	se->t_ms = mem_array(se->t_ms, se->cap, sizeof(*se->t_ms));
	se->v = mem_array(se->v, se->cap, sizeof(*se->v));
	if (se->h)
		se->h = mem_array(se->h, se->cap, sizeof(*se->h));
	if (se->start_ms)
		se->start_ms = mem_array(se->start_ms, se->cap, sizeof(*se->start_ms));
}

/* What samples may have beside their value, once the first one has it. */
static void series_extras(struct series *se, const struct memsrc_sample *s)
{
	if (s->h && !se->h)
		se->h = mem_zalloc(se->cap * sizeof(*se->h));
	if (s->start_ms && !se->start_ms)
		se->start_ms = mem_zalloc(se->cap * sizeof(*se->start_ms));
}

enum err memsrc_add_sample(struct memsrc *m, struct labels labels, const struct memsrc_sample *s)
{
	struct series *se = find(&m->shards[label_hash(labels) % m->shards_count], labels);
	double v = s->h ? num_from_bits(SAMPLE_HIST_BITS) : s->v;
	uint32_t at = se->count;
	if (at && se->t_ms[at - 1] >= s->t_ms) {
		if (se->t_ms[at - 1] > s->t_ms)
			return ERR_BADDATA;
		bool same = num_bits(se->v[at - 1]) == num_bits(v) &&
		    (!s->h || hist_equal(s->h, se->h[at - 1]));
		return same ? ERR_OK : ERR_EXISTS;
	}
	if (at == se->cap)
		series_grow(se);
	series_extras(se, s);
	se->t_ms[at] = s->t_ms;
	se->v[at] = v;
	if (se->h)
		se->h[at] = s->h ? hist_copy(&m->arena, s->h) : NULL;
	if (se->start_ms)
		se->start_ms[at] = s->start_ms;
	se->count++;
	return ERR_OK;
}

enum err memsrc_add(struct memsrc *m, struct labels labels, int64_t t_ms, double v)
{
	struct memsrc_sample s = { .t_ms = t_ms, .v = v };
	return memsrc_add_sample(m, labels, &s);
}
