/*
 * Walking a cfile on a worker: samples, definitions, verification, and the scan that replaces a
 * damaged directory.
 */
#include "storage/cfile/cfile.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"

#include <inttypes.h>

#define SCAN_PIECE (1u << 20) /* bytes looked through at once for the next head */

static void damage_add(struct cfile_damage *d, const struct errbuf *eb)
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
static enum err load(struct cfile *f, const struct cfile_ref *ref, struct buf *b, struct errbuf *eb)
{
	enum err e = cfile_piece_load(f, ref, b);
	if (e == ERR_TRUNCATED)
		return errbuf_set(
		    eb, ERR_DAMAGED, "%s at %" PRIu64 ": the file ends early", f->name, ref->off);
	return e;
}

static bool is_damage(enum err e)
{
	return e == ERR_DAMAGED || e == ERR_UNSUPPORTED;
}

/* ---- samples ---- */

struct cfile_iter {
	struct cfile *f;
	struct cfile_unit unit;
	struct buf bytes;
	uint32_t next_unit, next_entry;
	double *values;
	struct cfile_damage damage;
};

enum err cfile_iter_create(struct cfile *f, struct cfile_iter **out)
{
	struct cfile_iter *it = mem_zalloc(sizeof(*it));
	it->f = f;
	cfile_unit_init(&it->unit);
	buf_init(&it->bytes);
	it->values = mem_array(NULL, CHUNK_SAMPLES_MAX, sizeof(*it->values));
	*out = it;
	return ERR_OK;
}

void cfile_iter_free(struct cfile_iter *it)
{
	if (!it)
		return;
	cfile_unit_release(&it->unit);
	buf_release(&it->bytes);
	mem_free(it->values);
	mem_free(it);
}

const struct cfile_damage *cfile_iter_damage(const struct cfile_iter *it)
{
	return &it->damage;
}

static enum err unit_next(struct cfile_iter *it)
{
	while (it->next_unit < it->f->stats.units) {
		struct errbuf eb;
		errbuf_init(&eb);
		struct cfile_extent ext = cfile_unit_extent(it->f, it->next_unit);
		enum err e = load(it->f, &it->f->units[it->next_unit], &it->bytes, &eb);
		it->next_unit++;
		it->next_entry = 0;
		if (!e)
			e = cfile_unit_open(&it->unit, it->f, &ext, it->bytes.data, &eb);
		if (!e)
			return ERR_OK;
		it->unit.entries = 0;
		if (!is_damage(e))
			return e;
		damage_add(&it->damage, &eb);
	}
	return ERR_NOTFOUND;
}

enum err cfile_iter_next(struct cfile_iter *it, uint32_t *id, struct sample_column *col)
{
	for (;;) {
		while (it->next_entry >= it->unit.entries) {
			enum err e = unit_next(it);
			if (e)
				return e;
		}
		const struct cfile_entry *entry = cfile_unit_entry(&it->unit, it->next_entry++);
		struct errbuf eb;
		errbuf_init(&eb);
		const int64_t *t = NULL;
		enum err e = cfile_unit_decode_borrow(&it->unit, entry, &t, it->values, &eb);
		if (!e) {
			*id = entry->id;
			*col = (struct sample_column){
				.count = entry->count, .t_ms = t, .v = it->values
			};
			return ERR_OK;
		}
		damage_add(&it->damage, &eb);
	}
}

/* ---- definitions ---- */

struct cfile_defs {
	struct cfile *f;
	struct buf bytes, raw, labels;
	void *zstd;
	struct wire_reader r;
	uint32_t from, next_block, left; /* entries left in this block */
	uint64_t id, last_id;
	bool first;
	struct cfile_damage damage;
};

enum err cfile_defs_create(struct cfile *f, uint32_t from, struct cfile_defs **out)
{
	struct cfile_defs *it = mem_zalloc(sizeof(*it));
	it->f = f;
	buf_init(&it->bytes);
	buf_init(&it->raw);
	buf_init(&it->labels);
	cfile_defs_skip(it, from);
	*out = it;
	return ERR_OK;
}

void cfile_defs_skip(struct cfile_defs *it, uint32_t from)
{
	const struct cfile *f = it->f;
	if (from > it->from)
		it->from = from;
	if (it->left && it->last_id < it->from)
		it->left = 0;
	while (it->next_block < f->stats.blocks && f->blocks[it->next_block].last_id < it->from)
		it->next_block++;
}

void cfile_defs_free(struct cfile_defs *it)
{
	if (!it)
		return;
	buf_release(&it->bytes);
	buf_release(&it->raw);
	buf_release(&it->labels);
	cfile_zstd_free(it->zstd);
	mem_free(it);
}

const struct cfile_damage *cfile_defs_damage(const struct cfile_defs *it)
{
	return &it->damage;
}

static enum err block_next(struct cfile_defs *it)
{
	while (it->next_block < it->f->stats.blocks) {
		struct errbuf eb;
		errbuf_init(&eb);
		struct cfile_head h = { 0 };
		const uint8_t *payload = NULL;
		const struct cfile_ref *ref = &it->f->blocks[it->next_block++];
		enum err e = load(it->f, ref, &it->bytes, &eb);
		if (!e)
			e = cfile_piece_open(it->f, ref->off, ref->len, it->bytes.data,
			    CFILE_MAGIC_BLOCK, &h, &it->raw, &it->zstd, &payload, &eb);
		if (!e) {
			it->r = wire_reader(payload, h.raw_len);
			it->left = h.count;
			it->id = h.first_id;
			it->last_id = h.last_id;
			it->first = true;
			buf_clear(&it->labels);
			return ERR_OK;
		}
		if (!is_damage(e))
			return e;
		damage_add(&it->damage, &eb);
	}
	return ERR_NOTFOUND;
}

/* One entry into it->labels; false: the block is broken. */
static bool def_read(struct cfile_defs *it, uint32_t *tenant)
{
	uint64_t step = wire_varint(&it->r), who = wire_varint(&it->r), shared = wire_varint(&it->r);
	size_t len = 0;
	const uint8_t *more = wire_lenbytes(&it->r, &len);
	if (it->r.bad || !more || who > UINT32_MAX || shared > it->labels.len ||
	    shared + len > CFILE_LABELS_MAX)
		return false;
	if ((step == 0) != it->first || step > it->last_id - it->id)
		return false;
	it->first = false;
	it->id += step;
	it->labels.len = (size_t)shared;
	buf_add(&it->labels, more, len);
	*tenant = (uint32_t)who;
	return true;
}

enum err cfile_defs_next(struct cfile_defs *it, uint32_t *id, uint32_t *tenant, struct labels *ls)
{
	for (;;) {
		while (it->left == 0) {
			enum err e = block_next(it);
			if (e)
				return e;
		}
		it->left--;
		if (!def_read(it, tenant)) {
			struct errbuf eb;
			errbuf_init(&eb);
			(void)errbuf_set(&eb, ERR_DAMAGED, "%s at %" PRIu64 ": a definition is wrong",
			    it->f->name, it->f->blocks[it->next_block - 1].off);
			damage_add(&it->damage, &eb);
			it->left = 0;
			continue;
		}
		if (it->id < it->from)
			continue;
		*id = (uint32_t)it->id;
		*ls = (struct labels){ it->labels.data, (uint32_t)it->labels.len };
		return ERR_OK;
	}
}

/* ---- verification ---- */

static void damage_join(struct cfile_damage *all, const struct cfile_damage *part)
{
	if (part->units && all->units == 0)
		all->first = part->first;
	all->units += part->units;
}

enum err cfile_verify(struct cfile *f, struct cfile_damage *damage)
{
	*damage = (struct cfile_damage){ 0 };
	struct cfile_iter *it = NULL;
	enum err e = cfile_iter_create(f, &it);
	uint32_t id = 0, tenant = 0;
	struct sample_column col;
	while (!e)
		e = cfile_iter_next(it, &id, &col);
	damage_join(damage, &it->damage);
	cfile_iter_free(it);
	if (e != ERR_NOTFOUND)
		return e;
	struct cfile_defs *defs = NULL;
	struct labels ls;
	e = cfile_defs_create(f, 0, &defs);
	while (!e)
		e = cfile_defs_next(defs, &id, &tenant, &ls);
	damage_join(damage, &defs->damage);
	cfile_defs_free(defs);
	if (e != ERR_NOTFOUND)
		return e;
	return damage->units || f->salvaged ? ERR_DAMAGED : ERR_OK;
}

/* ---- the scan ---- */

struct scan {
	struct cfile *f;
	uint64_t size;
	struct cfile_unit unit;
	struct buf bytes, raw, runs, window;
	uint64_t window_off; /* what of the file stands in window */
	void *zstd;
	uint32_t units_cap, blocks_cap;
};

static void ref_push(struct cfile_ref **refs, uint32_t *count, uint32_t *cap, struct cfile_ref ref)
{
	if (*count + 1 >= *cap) {
		*cap = *cap ? *cap * 2 : 64;
		*refs = mem_array(*refs, *cap, sizeof(**refs));
	}
	(*refs)[(*count)++] = ref;
}

static void unit_keep(struct scan *s, struct cfile_ref ref)
{
	struct cfile *f = s->f;
	struct cfile_extent ext = { ref.off, ref.len, f->stats.units };
	if (cfile_unit_open(&s->unit, f, &ext, s->bytes.data, NULL))
		return;
	uint32_t ids[CFILE_UNIT_ENTRIES_MAX];
	uint32_t last_unit_id = f->stats.units ? f->units[f->stats.units - 1].last_id : 0;
	if (f->stats.units && ref.first_id < last_unit_id)
		return;
	f->stats.series += f->stats.units == 0 || ref.first_id != last_unit_id;
	for (uint32_t i = 0; i < s->unit.entries; i++) {
		const struct cfile_entry *e = cfile_unit_entry(&s->unit, i);
		ids[i] = e->id;
		f->stats.series += i > 0 && ids[i - 1] != e->id;
		f->stats.samples += e->count;
	}
	ref.runs = num_u32(s->runs.len);
	cfile_runs_put(&s->runs, ids, s->unit.entries);
	ref_push(&f->units, &f->stats.units, &s->units_cap, ref);
}

/* Takes a good piece at off; 0 when there is none. */
static enum err piece_take(struct scan *s, uint64_t off, uint32_t *taken)
{
	uint8_t head[CFILE_UNIT_HEAD];
	struct cfile_head h;
	*taken = 0;
	if (s->size - off < sizeof(head))
		return ERR_OK;
	enum err e = fdcache_read_at(s->f->io, head, sizeof(head), off);
	if (e)
		return e == ERR_TRUNCATED ? ERR_OK : e;
	if (!cfile_head_get(head, cfile_seed(s->f->header_crc, off), &h) ||
	    s->size - off - sizeof(head) < h.len)
		return ERR_OK;
	struct cfile_ref ref = {
		.off = off, .len = h.len + CFILE_UNIT_HEAD, .first_id = h.first_id, .last_id = h.last_id
	};
	e = cfile_piece_load(s->f, &ref, &s->bytes);
	if (e)
		return e == ERR_TRUNCATED ? ERR_OK : e;
	*taken =
	    /* the head is good: its length leads to the next one even when the payload is not */
	    ref.len;
	if (h.magic == CFILE_MAGIC_UNIT) {
		unit_keep(s, ref);
		return ERR_OK;
	}
	const uint8_t *payload = NULL;
	struct cfile *f = s->f;
	if (cfile_piece_open(f, off, ref.len, s->bytes.data, CFILE_MAGIC_BLOCK, &h, &s->raw,
	        &s->zstd, &payload, NULL))
		return ERR_OK;
	if (f->stats.blocks && ref.first_id <= f->blocks[f->stats.blocks - 1].last_id)
		return ERR_OK;
	ref_push(&f->blocks, &f->stats.blocks, &s->blocks_cap, ref);
	f->stats.label_bytes += ref.len;
	return ERR_OK;
}

/* Makes s->window begin at or before off and reach beyond it. */
static enum err window_move(struct scan *s, uint64_t off)
{
	if (off >= s->window_off && off - s->window_off + 4 <= s->window.len)
		return ERR_OK;
	struct cfile_ref piece = { .off = off,
		.len = s->size - off < SCAN_PIECE ? (uint32_t)(s->size - off) : SCAN_PIECE };
	s->window_off = off;
	return cfile_piece_load(s->f, &piece, &s->window);
}

/* The next place from off on that looks like a head. */
static enum err head_seek(struct scan *s, uint64_t *off)
{
	while (s->size - *off >= 4) {
		enum err e = window_move(s, *off);
		if (e)
			return e;
		for (size_t i = *off - s->window_off; i + 4 <= s->window.len; i++, ++*off) {
			uint32_t magic = wire_load32(s->window.data + i);
			if (magic == CFILE_MAGIC_UNIT || magic == CFILE_MAGIC_BLOCK)
				return ERR_OK;
		}
	}
	*off = s->size;
	return ERR_OK;
}

enum err cfile_salvage(struct cfile *f, uint64_t size)
{
	struct scan s = { .f = f, .size = size };
	cfile_unit_init(&s.unit);
	enum err e = ERR_OK;
	uint64_t off = CFILE_HEADER;
	while (!e && off < size) {
		uint32_t taken = 0;
		e = piece_take(&s, off, &taken);
		off += taken;
		if (!e && taken == 0) {
			off++;
			e = head_seek(&s, &off);
		}
	}
	cfile_unit_release(&s.unit);
	buf_release(&s.bytes);
	buf_release(&s.raw);
	buf_release(&s.window);
	cfile_zstd_free(s.zstd);
	/* Times are not looked at: the range bounds them. */
	f->stats.t_min_ms = f->stats.units ? f->meta.start_ms : INT64_MAX;
	f->stats.t_max_ms = f->stats.units ? f->meta.end_ms - 1 : INT64_MIN;
	f->stats.size_bytes = size;
	f->runs = buf_take(&s.runs, &f->runs_len);
	f->salvaged = true;
	return e;
}
