#include "tests/promql/ptest_db.h"

#include "tests/lib/memsrc.h"

#include <string.h>

struct ptest_db {
	const struct ptest_back *back;
	void *state;
	struct arena arena; /* of what was loaded since the last clear */
	struct ptest_memory memory;
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
static enum err mem_load(
    void *back, const struct ptest_loaded *series, size_t count, struct errbuf *eb)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < series[i].count; k++) {
			const struct ptest_sample *s = &series[i].samples[k];
			struct memsrc_sample m = { s->t_ms, s->start_ms, s->v, s->h };
			if (memsrc_add_sample(back, series[i].labels, &m))
				return errbuf_set(eb, ERR_BADDATA, "line %u: sample out of order",
				    series[i].line);
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
	db->memory = (struct ptest_memory){ 0 };
	arena_reset(&db->arena, 4096);
	return db->back->clear(db->state, eb);
}

enum err ptest_db_load(struct ptest_db *db, const struct ptest_cmd *c, struct errbuf *eb)
{
	struct ptest_loaded *series = NULL;
	size_t count = 0;
	enum err e = ptest_load_make(&db->arena, &db->memory, c, &series, &count, eb);
	return e ? e : db->back->load(db->state, series, count, eb);
}

struct source *ptest_db_source(struct ptest_db *db)
{
	return db->back->source(db->state);
}
size_t ptest_db_open_cursors(const struct ptest_db *db)
{
	return db->back->open_cursors ? db->back->open_cursors(db->state) : 0;
}
