/*
 * Walking the samples of a cfile on a worker: all of them, those of some ids, or of one after the
 * other; and verification.
 */
#include "storage/cfile/cfile.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"

#define BLOCKS_KEPT 32u /* of time columns */

void cfile_damage_add(struct cfile_damage *d, const struct errbuf *eb)
{
	if (d->units++ == 0)
		d->first = *eb;
}

enum err cfile_piece_load(struct cfile *f, const struct cfile_ref *ref, struct buf *b)
{
	buf_clear(b);
	if (!buf_reserve(b, ref->len))
		return ERR_NOMEM;
	enum err e = fdcache_read_at(f->io, b->data, ref->len, ref->off);
	if (!e)
		b->len = ref->len;
	return e;
}

/*
 * ERR_DAMAGED for what is wrong in the file itself; only a failing disk stays an error of its own.
 */
enum err cfile_load(struct cfile *f, const struct cfile_ref *ref, struct buf *b, struct errbuf *eb)
{
	enum err e = cfile_piece_load(f, ref, b);
	if (e == ERR_TRUNCATED)
		return cfile_damaged(f, ref->off, "the file ends early", eb);
	return e;
}

/* ---- samples ---- */

struct block { /* of time columns */
	struct cfile_times times;
	struct buf bytes;
	uint32_t number; /* + 1; 0: none */
	bool bad;
};
struct cfile_iter {
	struct cfile *f;
	const struct cfile_dir *dir; /* pinned */
	struct cfile_unit unit;
	struct buf bytes;
	uint32_t at_unit; /* that is open, + 1; 0: none */
	uint32_t next_unit, next_entry;
	const uint32_t *want; /* ids; NULL: all */
	size_t want_count, want_at;
	uint32_t seek_id, seek_unit, seek_left; /* units of an id to come */
	const struct cfile_entry *entry;
	struct column col;
	struct block *blocks; /* BLOCKS_KEPT */
	uint64_t read_bytes;
	uint8_t *told; /* bits of units whose damage is counted; NULL: of none */
	struct cfile_damage damage;
};

enum err cfile_iter_create(struct cfile *f, struct cfile_iter **out)
{
	const struct cfile_dir *dir = NULL;
	enum err e = cfile_dir_load(f, &dir);
	if (e)
		return e;
	struct cfile_iter *it = mem_zalloc(sizeof(*it));
	it->f = f;
	it->dir = dir;
	cfile_unit_init(&it->unit);
	buf_init(&it->bytes);
	it->blocks = mem_zalloc(BLOCKS_KEPT * sizeof(*it->blocks));
	for (size_t i = 0; i < BLOCKS_KEPT; i++) {
		cfile_times_init(&it->blocks[i].times);
		buf_init(&it->blocks[i].bytes);
	}
	*out = it;
	return ERR_OK;
}

void cfile_iter_free(struct cfile_iter *it)
{
	if (!it)
		return;
	for (size_t i = 0; i < BLOCKS_KEPT; i++) {
		cfile_times_release(&it->blocks[i].times);
		buf_release(&it->blocks[i].bytes);
	}
	cfile_unit_release(&it->unit);
	buf_release(&it->bytes);
	cfile_dir_unpin(it->f);
	mem_free(it->blocks);
	mem_free(it->told);
	column_release(&it->col);
	mem_free(it);
}

const struct cfile_damage *cfile_iter_damage(const struct cfile_iter *it)
{
	return &it->damage;
}

uint64_t cfile_iter_bytes(const struct cfile_iter *it)
{
	return it->read_bytes;
}

void cfile_iter_want(struct cfile_iter *it, const uint32_t *ids, size_t count)
{
	CHECK(!it->dir->metric);
	it->want = ids;
	it->want_count = count;
	it->want_at = 0;
	it->next_unit = 0;
	it->entry = NULL;
	it->at_unit = 0;
	it->unit.entries = it->next_entry = 0;
}

/* Once for each unit, however often it is met. */
static void damage_tell(
    struct cfile_iter *it, const struct cfile_list *l, uint32_t i, const struct errbuf *eb)
{
	if (!it->told)
		it->told = mem_zalloc(l->count / 8 + 1);
	if (!(it->told[i / 8] >> i % 8 & 1))
		cfile_damage_add(&it->damage, eb);
	it->told[i / 8] |= (uint8_t)(1u << i % 8);
}

/* Opens a unit; a damaged one is counted once and has no entries. */
static enum err unit_open(struct cfile_iter *it, const struct cfile_list *l, uint32_t i)
{
	struct errbuf eb;
	const struct cfile_ref *ref = &l->refs[i];
	struct cfile_extent ext = { ref->off, ref->len, i };
	if (it->at_unit == i + 1)
		return ERR_OK;
	errbuf_init(&eb);
	it->at_unit = 0;
	it->read_bytes += ref->len;
	enum err e = cfile_load(it->f, ref, &it->bytes, &eb);
	if (!e && l == &it->dir->opaque)
		e = cfile_unit_open_opaque(&it->unit, it->f, &ext, it->bytes.data, &eb);
	else if (!e)
		e = cfile_unit_open(&it->unit, it->f, &ext, it->bytes.data, &eb);
	if (e && !cfile_is_damage(e))
		return e;
	it->at_unit = i + 1;
	if (e) {
		it->unit.entries = 0;
		damage_tell(it, l, i, &eb);
	}
	return ERR_OK;
}

/* Is any wanted id in it? Units are met in id order then. */
static bool is_wanted(struct cfile_iter *it, const struct cfile_ref *ref)
{
	while (it->want_at < it->want_count && it->want[it->want_at] < ref->first_id)
		it->want_at++;
	return it->want_at < it->want_count && it->want[it->want_at] <= ref->last_id;
}

static enum err unit_next(struct cfile_iter *it)
{
	const struct cfile_list *l = &it->dir->units;
	while (it->next_unit < l->count) {
		uint32_t i = it->next_unit++;
		if (it->want && !is_wanted(it, &l->refs[i]))
			continue;
		it->next_entry = 0;
		return unit_open(it, l, i);
	}
	return ERR_NOTFOUND;
}

/* Entries between wanted ids are passed over. */
static bool entry_wanted(struct cfile_iter *it, uint32_t id)
{
	if (!it->want)
		return true;
	while (it->want_at < it->want_count && it->want[it->want_at] < id)
		it->want_at++;
	return it->want_at < it->want_count && it->want[it->want_at] == id;
}

enum err cfile_iter_step(struct cfile_iter *it, uint32_t *id)
{
	for (;;) {
		while (it->next_entry >= it->unit.entries) {
			enum err e = unit_next(it);
			if (e)
				return e;
		}
		it->entry = cfile_unit_entry(&it->unit, it->next_entry++);
		*id = it->entry->id;
		if (entry_wanted(it, *id))
			return ERR_OK;
	}
}

/* The block that has a column, from its first or its second copy. NULL: *e. */
static struct cfile_times *times_of(
    struct cfile_iter *it, uint32_t column, struct errbuf *eb, enum err *e)
{
	struct cfile_extent ext;
	*e = ERR_DAMAGED;
	if (!cfile_times_extent(it->dir, column, 0, &ext)) {
		(void)cfile_damaged(it->f, it->unit.off, "its times are missing", eb);
		return NULL;
	}
	uint32_t number = ext.unit & ~CFILE_NUMBER_TIMES;
	struct block *b = &it->blocks[number % BLOCKS_KEPT];
	if (b->number != number + 1) {
		b->number = 0;
		*e = ERR_DAMAGED;
		for (unsigned copy = 0; *e && cfile_is_damage(*e); copy++) {
			if (!cfile_times_extent(it->dir, column, copy, &ext))
				break;
			struct cfile_ref ref = { .off = ext.off, .len = ext.len };
			it->read_bytes += ext.len;
			*e = cfile_load(it->f, &ref, &b->bytes, eb);
			if (!*e)
				*e = cfile_times_open(&b->times, it->f, &ext, b->bytes.data, eb);
			if (copy)
				break;
		}
		if (*e && !cfile_is_damage(*e))
			return NULL;
		b->number = number + 1;
		b->bad = *e != ERR_OK;
	}
	*e = b->bad || !cfile_times_has(&b->times, column) ? ERR_DAMAGED : ERR_OK;
	if (*e)
		(void)cfile_damaged(it->f, ext.off, "a block of time columns is damaged", eb);
	return *e ? NULL : &b->times;
}

enum err cfile_iter_samples(struct cfile_iter *it, struct sample_column *col)
{
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = ERR_OK;
	struct cfile_times *times =
	    it->entry->outside ? times_of(it, it->entry->column, &eb, &e) : NULL;
	column_clear(&it->col);
	if (!e)
		e = cfile_unit_append(&it->unit, times, it->entry, &it->col, &eb);
	if (!e)
		*col = column_view(&it->col, 0, it->col.count);
	else if (cfile_is_damage(e))
		cfile_damage_add(&it->damage, &eb);
	return e;
}

enum err cfile_iter_next(struct cfile_iter *it, uint32_t *id, struct sample_column *col)
{
	for (;;) {
		enum err e = cfile_iter_step(it, id);
		if (!e)
			e = cfile_iter_samples(it, col);
		if (!e || !cfile_is_damage(e))
			return e;
	}
}

bool cfile_iter_seek(struct cfile_iter *it, uint32_t id)
{
	struct cfile_extent ext[1];
	it->seek_id = id;
	it->seek_left = (uint32_t)cfile_find(it->dir, id, ext, 1);
	it->seek_unit = it->seek_left ? ext[0].unit : 0;
	it->next_entry = UINT32_MAX;
	return it->seek_left > 0;
}

enum err cfile_iter_more(struct cfile_iter *it, struct sample_column *col)
{
	for (;;) {
		if (it->next_entry < it->unit.entries &&
		    cfile_unit_entry(&it->unit, it->next_entry)->id == it->seek_id) {
			it->entry = cfile_unit_entry(&it->unit, it->next_entry++);
			enum err e = cfile_iter_samples(it, col);
			if (!e || !cfile_is_damage(e))
				return e;
			continue;
		}
		if (!it->seek_left)
			return ERR_NOTFOUND;
		it->seek_left--;
		enum err e = unit_open(it, &it->dir->units, it->seek_unit++);
		if (e)
			return e;
		const struct cfile_entry *first;
		it->next_entry = cfile_unit_find(&it->unit, it->seek_id, &first)
		    ? (uint32_t)(first - it->unit._entries)
		    : UINT32_MAX;
	}
}

/* ---- other bytes ---- */

struct cfile_opaque {
	struct cfile_iter *it; /* for its memory, directory and damage */
	uint32_t next_unit, next_entry;
};

enum err cfile_opaque_create(struct cfile *f, struct cfile_opaque **out)
{
	struct cfile_iter *it = NULL;
	enum err e = cfile_iter_create(f, &it);
	if (e)
		return e;
	*out = mem_zalloc(sizeof(**out));
	(*out)->it = it;
	return ERR_OK;
}

void cfile_opaque_free(struct cfile_opaque *o)
{
	if (!o)
		return;
	cfile_iter_free(o->it);
	mem_free(o);
}

enum err cfile_opaque_next(struct cfile_opaque *o, uint32_t *id, const uint8_t **bytes, size_t *len)
{
	struct cfile_iter *it = o->it;
	while (o->next_entry >= it->unit.entries) {
		if (o->next_unit >= it->dir->opaque.count)
			return ERR_NOTFOUND;
		o->next_entry = 0;
		enum err e = unit_open(it, &it->dir->opaque, o->next_unit++);
		if (e)
			return e;
	}
	const struct cfile_entry *e = cfile_unit_entry(&it->unit, o->next_entry++);
	*id = e->id;
	*bytes = e->values;
	*len = e->values_len;
	return ERR_OK;
}

const struct cfile_damage *cfile_opaque_damage(const struct cfile_opaque *o)
{
	return &o->it->damage;
}

/* ---- verification ---- */

static void damage_join(struct cfile_damage *all, const struct cfile_damage *part)
{
	if (part->units && all->units == 0)
		all->first = part->first;
	all->units += part->units;
}

static enum err verify_samples(struct cfile *f, struct cfile_damage *damage)
{
	struct cfile_iter *it = NULL;
	enum err e = cfile_iter_create(f, &it);
	uint32_t id = 0;
	struct sample_column col;
	while (!e)
		e = cfile_iter_next(it, &id, &col);
	if (it)
		damage_join(damage, &it->damage);
	cfile_iter_free(it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err verify_opaque(struct cfile *f, struct cfile_damage *damage)
{
	struct cfile_opaque *it = NULL;
	enum err e = cfile_opaque_create(f, &it);
	uint32_t id = 0;
	const uint8_t *bytes;
	size_t len;
	while (!e)
		e = cfile_opaque_next(it, &id, &bytes, &len);
	if (it)
		damage_join(damage, cfile_opaque_damage(it));
	cfile_opaque_free(it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err verify_defs(struct cfile *f, struct cfile_damage *damage)
{
	struct cfile_defs *it = NULL;
	enum err e = cfile_defs_create_order(f, &it);
	uint32_t id = 0, tenant = 0;
	struct labels ls;
	while (!e)
		e = cfile_defs_next(it, &id, &tenant, &ls);
	if (it)
		damage_join(damage, cfile_defs_damage(it));
	cfile_defs_free(it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* Each copy of each block of time columns. */
static enum err verify_times(struct cfile *f, struct cfile_damage *damage)
{
	const struct cfile_dir *d = NULL;
	struct cfile_times times;
	struct buf bytes;
	enum err e = cfile_dir_load(f, &d);
	if (e)
		return e;
	cfile_times_init(&times);
	buf_init(&bytes);
	for (uint32_t i = 0; i < 2 * d->times.count && !e; i++) {
		struct cfile_extent ext;
		struct errbuf eb;
		errbuf_init(&eb);
		if (!cfile_times_extent(d, d->times.refs[i / 2].first_id, i % 2, &ext))
			continue;
		struct cfile_ref ref = { .off = ext.off, .len = ext.len };
		e = cfile_load(f, &ref, &bytes, &eb);
		if (!e)
			e = cfile_times_open(&times, f, &ext, bytes.data, &eb);
		if (cfile_is_damage(e)) {
			cfile_damage_add(damage, &eb);
			e = ERR_OK;
		}
	}
	cfile_times_release(&times);
	buf_release(&bytes);
	cfile_dir_unpin(f);
	return e;
}

enum err cfile_verify(struct cfile *f, struct cfile_damage *damage)
{
	*damage = (struct cfile_damage){ 0 };
	enum err e = verify_samples(f, damage);
	if (!e)
		e = verify_times(f, damage);
	if (!e)
		e = verify_opaque(f, damage);
	if (!e)
		e = verify_defs(f, damage);
	if (e)
		return e;
	return damage->units || !cfile_is_whole(f) ? ERR_DAMAGED : ERR_OK;
}
