#include "tests/promql/ptest_db.h"

#include "tests/lib/memsrc.h"

#include <string.h>

struct lacking {
	struct lacking *next;
	struct labels labels;
};
struct ptest_db {
	const struct ptest_back *back;
	void *state;
	struct arena arena; /* of lacking */
	struct lacking *lacking;
};

/* ---- memory ---- */

static enum err mem_open(const struct ptest_db_opts *o, void **back, struct errbuf *eb)
{
	(void)eb;
	struct memsrc *m = memsrc_create(o->team, o->shards);
	memsrc_shaky(m, o->shaky);
	*back = m;
	return ERR_OK;
}
static void mem_close(void *back)
{
	memsrc_free(back);
}
static enum err mem_clear(void *back, struct errbuf *eb)
{
	(void)eb;
	memsrc_clear(back);
	return ERR_OK;
}
static enum err mem_load(void *back, const struct ptest_cmd *c, struct errbuf *eb)
{
	for (size_t i = 0; i < c->series_count; i++) {
		const struct ql_series_desc *d = &c->series[i].desc;
		for (size_t j = 0; j < d->items_count && !d->has_histograms; j++) {
			if (d->items[j].kind != QL_ITEM_FLOAT)
				continue;
			if (memsrc_add(back, d->labels, (int64_t)j * c->step_ms, d->items[j].v))
				return errbuf_set(eb, ERR_BADDATA, "line %u: sample out of order",
				    c->series[i].line);
		}
	}
	return ERR_OK;
}
static struct source *mem_source(void *back)
{
	return memsrc_source(back);
}
static size_t mem_open_cursors(const void *back)
{
	return memsrc_open_cursors(back);
}
static const struct ptest_back memory = { mem_open, mem_close, mem_clear, mem_load, mem_source,
	mem_open_cursors };

/* ---- what cannot be loaded ---- */

static void add_lacking(struct ptest_db *db, struct labels labels)
{
	struct lacking *l = arena_alloc(&db->arena, sizeof(*l));
	l->labels = (struct labels){ arena_dup(&db->arena, labels.bytes, labels.len), labels.len };
	l->next = db->lacking;
	db->lacking = l;
}

/* The histogram that load_with_nhcb makes of x_bucket{le="1"}: x, without le. */
static void add_lacking_nhcb(struct ptest_db *db, struct labels labels)
{
	static const char suffix[] = "_bucket";
	uint32_t len;
	const char *name = label_get(labels, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	size_t cut = sizeof(suffix) - 1;
	if (!name || len < cut || memcmp(name + len - cut, suffix, cut))
		return;
	struct label_builder b;
	label_builder_from(&b, &db->arena, labels);
	label_builder_set(&b, LABEL_NAME, sizeof(LABEL_NAME) - 1, name, len - cut);
	label_builder_del(&b, "le", 2);
	add_lacking(db, label_builder_done(&b));
}

bool ptest_db_lacks(const struct ptest_db *db, const struct matcher *ms, size_t count)
{
	for (const struct lacking *l = db->lacking; l; l = l->next)
		if (matcher_labels(ms, count, l->labels) == REX_YES)
			return true;
	return false;
}

/* ---- the whole ---- */

enum err ptest_db_open(const struct ptest_db_opts *o, struct ptest_db **out, struct errbuf *eb)
{
	struct ptest_db *db = mem_zalloc(sizeof(*db));
	db->back = o->back ? o->back : &memory;
	arena_init(&db->arena, 4096);
	enum err e = db->back->open(o, &db->state, eb);
	if (e) {
		arena_release(&db->arena);
		mem_free(db);
		return e;
	}
	*out = db;
	return ERR_OK;
}

void ptest_db_close(struct ptest_db *db)
{
	db->back->close(db->state);
	arena_release(&db->arena);
	mem_free(db);
}

enum err ptest_db_clear(struct ptest_db *db, struct errbuf *eb)
{
	db->lacking = NULL;
	arena_reset(&db->arena, 4096);
	return db->back->clear(db->state, eb);
}

enum err ptest_db_load(struct ptest_db *db, const struct ptest_cmd *c, struct errbuf *eb)
{
	for (size_t i = 0; i < c->series_count; i++) {
		if (c->series[i].desc.has_histograms)
			add_lacking(db, c->series[i].desc.labels);
		else if (c->nhcb)
			add_lacking_nhcb(db, c->series[i].desc.labels);
	}
	return db->back->load(db->state, c, eb);
}

struct source *ptest_db_source(struct ptest_db *db)
{
	return db->back->source(db->state);
}
size_t ptest_db_open_cursors(const struct ptest_db *db)
{
	return db->back->open_cursors ? db->back->open_cursors(db->state) : 0;
}
