/*
 * The scan that replaces a damaged directory: looks for heads of pieces through the whole file and
 * keeps those that are whole.
 */
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile.h"
#include "storage/cfile/cfile_priv.h"

#define SCAN_PIECE (1u << 20) /* bytes looked through at once for the next head */

struct scan {
	struct cfile *f;
	struct cfile_dir *d;
	uint64_t size;
	struct cfile_unit unit;
	struct buf bytes, raw, runs, window;
	uint64_t window_off; /* what of the file stands in window */
	void *zstd;
	struct cfile_id_unit *pairs; /* in metric order */
	size_t pairs_count, pairs_cap;
};

static void pair_add(struct scan *s, uint32_t id, uint32_t unit)
{
	if (s->pairs_count == s->pairs_cap) {
		s->pairs_cap = s->pairs_cap ? 2 * s->pairs_cap : 1024;
		s->pairs = mem_array(s->pairs, s->pairs_cap, sizeof(*s->pairs));
	}
	s->pairs[s->pairs_count++] = (struct cfile_id_unit){ id, unit };
}

/* A unit that was opened takes its place in a list. */
static void unit_list(struct scan *s, struct cfile_list *l, struct cfile_ref ref, bool by_id)
{
	uint32_t ids[CFILE_UNIT_ENTRIES_MAX];
	bool continues = false;
	if (by_id && l->count) {
		if (ref.first_id < l->refs[l->count - 1].last_id)
			return;
		continues = ref.first_id == l->refs[l->count - 1].last_id;
	}
	for (uint32_t i = 0; i < s->unit.entries; i++) {
		const struct cfile_entry *e = cfile_unit_entry(&s->unit, i);
		ids[i] = e->id;
		if (l != &s->d->units)
			continue;
		s->d->stats.samples += e->count;
		if (!by_id)
			pair_add(s, e->id, l->count);
		else
			s->d->stats.series += i ? ids[i - 1] != e->id : !continues;
	}
	if (by_id) {
		ref.runs = num_u32(s->runs.len);
		cfile_runs_put(&s->runs, ids, s->unit.entries);
	}
	cfile_list_push(l, &ref);
}

static void unit_keep(struct scan *s, struct cfile_ref ref, uint8_t kind)
{
	struct cfile_dir *d = s->d;
	struct cfile_extent ext = { ref.off, ref.len, d->units.count };
	enum err e = kind == CFILE_OPAQUE
	    ? cfile_unit_open_opaque(&s->unit, s->f, &ext, s->bytes.data, NULL)
	    : cfile_unit_open(&s->unit, s->f, &ext, s->bytes.data, NULL);
	if (e)
		return;
	d->kinds |= 1u << kind;
	if (kind == CFILE_OPAQUE)
		unit_list(s, &d->opaque, ref, true);
	else
		unit_list(s, &d->units, ref, !d->metric);
}

/* A block of definitions or time columns. */
static void block_keep(struct scan *s, struct cfile_ref ref, uint32_t magic)
{
	struct cfile_head h;
	const uint8_t *payload = NULL;
	struct cfile_dir *d = s->d;
	if (cfile_piece_open(s->f, ref.off, ref.len, s->bytes.data, magic, &h, &s->raw, &s->zstd,
	        &payload, NULL))
		return;
	if (magic == CFILE_MAGIC_TIMES) {
		d->stats.times_bytes += ref.len;
		cfile_list_push(&d->times, &ref);
		return;
	}
	if (!d->metric && d->blocks.count &&
	    ref.first_id <= d->blocks.refs[d->blocks.count - 1].last_id)
		return;
	d->stats.label_bytes += ref.len;
	cfile_list_push(&d->blocks, &ref);
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
	/* the head is good: its length leads to the next one even when the payload is not */
	*taken = ref.len;
	if (h.magic == CFILE_MAGIC_UNIT)
		unit_keep(s, ref, h.kind);
	else
		block_keep(s, ref, h.magic);
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

static bool is_magic(uint32_t magic)
{
	return magic == CFILE_MAGIC_UNIT || magic == CFILE_MAGIC_BLOCK || magic == CFILE_MAGIC_TIMES;
}

/* The next place from off on that looks like a head. */
static enum err head_seek(struct scan *s, uint64_t *off)
{
	while (s->size - *off >= 4) {
		enum err e = window_move(s, *off);
		if (e)
			return e;
		for (size_t i = *off - s->window_off; i + 4 <= s->window.len; i++, ++*off)
			if (is_magic(wire_load32(s->window.data + i)))
				return ERR_OK;
	}
	*off = s->size;
	return ERR_OK;
}

static int by_column(const void *a, const void *b)
{
	const struct cfile_ref *x = a, *y = b;
	if (x->first_id != y->first_id)
		return x->first_id < y->first_id ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

/* Blocks may stand twice: one of each is enough. */
static void times_order(struct cfile_list *l)
{
	uint32_t kept = 0;
	if (l->count)
		qsort(l->refs, l->count, sizeof(*l->refs), by_column);
	for (uint32_t i = 0; i < l->count; i++)
		if (!kept || l->refs[i].first_id > l->refs[kept - 1].last_id)
			l->refs[kept++] = l->refs[i];
	l->count = kept;
}

/* What was found as a directory; times are not looked at: the range bounds them. */
static void dir_make(struct scan *s)
{
	struct cfile_dir *d = s->d;
	struct cfile_stats *st = &d->stats;
	times_order(&d->times);
	struct buf out;
	buf_init(&out);
	buf_add(&out, s->runs.data, s->runs.len);
	size_t ids_at = out.len;
	if (d->metric)
		cfile_ids_put(&out, s->pairs, s->pairs_count);
	d->raw = buf_take(&out, &d->raw_len);
	if (d->metric) {
		struct wire_reader r = wire_reader(d->raw + ids_at, d->raw_len - ids_at);
		d->ids = (struct cfile_ids){ .count = (uint32_t)wire_varint(&r),
			.units = d->units.count };
		d->ids.p = r.p;
		d->ids.len = wire_left(&r);
		bool good = cfile_ids_index(&d->ids);
		CHECK(good);
		st->series = d->ids.count;
	}
	cfile_dir_id_max(d);
	st->units = d->units.count;
	st->blocks = d->blocks.count;
	st->t_min_ms = st->units ? s->f->meta.start_ms : INT64_MAX;
	st->t_max_ms = st->units ? s->f->meta.end_ms - 1 : INT64_MIN;
	st->size_bytes = s->size;
	d->salvaged = true;
}

enum err cfile_salvage(struct cfile *f, struct cfile_dir *d)
{
	struct scan s = { .f = f, .d = d };
	cfile_unit_init(&s.unit);
	enum err e = fdcache_size(f->io, &s.size);
	uint64_t off = CFILE_HEADER;
	while (!e && off < s.size) {
		uint32_t taken = 0;
		e = piece_take(&s, off, &taken);
		off += taken;
		if (!e && taken == 0) {
			off++;
			e = head_seek(&s, &off);
		}
	}
	if (!e)
		dir_make(&s);
	cfile_unit_release(&s.unit);
	buf_release(&s.bytes);
	buf_release(&s.raw);
	buf_release(&s.runs);
	buf_release(&s.window);
	cfile_zstd_free(s.zstd);
	mem_free(s.pairs);
	return e;
}
