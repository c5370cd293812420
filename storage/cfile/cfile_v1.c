/*
 * Files of version 1: what differs from cfile.h. They are read, not written.
 *
 * Header byte 11: bit set of the kinds inside, always 1 (floats). Always in id order; no blocks of
 * time columns, no bytes of other kinds.
 * Unit payload: varint count of time columns; per column varint samples, varint length; the columns
 * (chunk time streams, relative to the start of the range); entries; their value streams. Each part
 * without gaps.
 *   entry: varint (length of value stream << 2 | new column << 1 | gap),
 *          [varint id - previous id, previous = first id for the first entry: 0 allowed],
 *          [varint column index]
 *   without gap the id is previous + 1 (the first entry: first id); without new column it is the
 *   one of the entry before (the first: 0). A gap of 0 goes on with the same series.
 *   Columns of equal content stand once in a unit.
 * Label block: as in version 2 in id order, but varint id - previous id (first: 0).
 * Directory: varints: flags (CFILE_LABELS_ALL), count of units, count of blocks, samples; t_min and
 * t_max (8 bytes each); per unit varints: distance from the end of the unit before, length in the
 * file, first id - last id of the unit before, then runs of ids as in version 2.
 *   Per block the same with last id - first id in place of the runs.
 *   offset  size  footer (the last 96 bytes)
 *   0       64    copy of the header
 *   64      8     offset of the directory
 *   72      4     its length
 *   76      4     its crc, seeded as in version 2
 *   80      4     crc of bytes 64..79, seeded with the crc of the header
 *   84      4     zero
 *   88      8     magic "KYMOCFND"
 */
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"

enum err cfile_v1_footer_get(const uint8_t *p, struct cfile *f, uint64_t size)
{
	if (memcmp(p + 88, CFILE_MAGIC_END_V1, 8))
		return ERR_DAMAGED;
	enum err e = cfile_header_take(p, f);
	if (e)
		return e;
	f->dir_off = wire_load64(p + 64);
	f->dir_len = wire_load32(p + 72);
	f->dir_crc = wire_load32(p + 76);
	if (f->version != 1 || wire_load32(p + 80) != crc32c(f->header_crc, p + 64, 16) ||
	    f->dir_off < CFILE_HEADER || f->dir_off > size ||
	    size - f->dir_off != (uint64_t)f->dir_len + CFILE_FOOTER_V1 || f->dir_len > CFILE_DIR_MAX)
		return ERR_DAMAGED;
	return ERR_OK;
}

/* ---- directory ---- */

struct dir_reader {
	struct wire_reader r;
	uint64_t end; /* of the piece before */
	uint64_t last_id;
	uint64_t limit; /* pieces end before the directory */
};

static bool ref_read(struct dir_reader *d, struct cfile_ref *ref)
{
	uint64_t distance = wire_varint(&d->r), len = wire_varint(&d->r), id = wire_varint(&d->r);
	if (d->r.bad || distance > d->limit || len <= CFILE_UNIT_HEAD ||
	    len > CFILE_UNIT_HEAD + CFILE_UNIT_RAW_MAX || id > UINT32_MAX)
		return false;
	*ref = (struct cfile_ref){ .off = d->end + distance, .len = (uint32_t)len };
	if (ref->off > d->limit || d->limit - ref->off < len || d->last_id + id > UINT32_MAX)
		return false;
	ref->first_id = (uint32_t)(d->last_id + id);
	d->end = ref->off + len;
	return true;
}

static bool units_read(struct cfile_dir *dir, struct dir_reader *d, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct cfile_ref ref;
		if (!ref_read(d, &ref))
			return false;
		const uint8_t *at = d->r.p;
		ref.runs = (uint32_t)(at - dir->raw);
		struct cfile_runs it = cfile_runs(at, wire_left(&d->r), ref.first_id);
		uint64_t ids = 0;
		do {
			if (!cfile_runs_next(&it))
				return false;
			ids += it.last - it.first + 1;
		} while (cfile_runs_skip(&it));
		if (it.r.bad || it.more)
			return false;
		ref.last_id = (uint32_t)it.last;
		dir->stats.series += (uint32_t)ids - (i > 0 && d->last_id == ref.first_id);
		d->last_id = ref.last_id;
		d->r.p = it.r.p;
		cfile_list_push(&dir->units, &ref);
	}
	return true;
}

static bool blocks_read(struct cfile_dir *dir, struct dir_reader *d, uint64_t count)
{
	d->end = CFILE_HEADER;
	d->last_id = 0;
	for (uint64_t i = 0; i < count; i++) {
		struct cfile_ref ref;
		if (!ref_read(d, &ref))
			return false;
		uint64_t span = wire_varint(&d->r);
		if (d->r.bad || span > UINT32_MAX - ref.first_id)
			return false;
		ref.last_id = ref.first_id + (uint32_t)span;
		if (i > 0 && ref.first_id <= dir->blocks.refs[i - 1].last_id)
			return false;
		dir->stats.label_bytes += ref.len;
		d->last_id = ref.last_id;
		cfile_list_push(&dir->blocks, &ref);
	}
	return wire_left(&d->r) == 0;
}

bool cfile_v1_dir_parse(struct cfile_dir *dir, uint64_t limit)
{
	struct dir_reader d = {
		.r = wire_reader(dir->raw, dir->raw_len), .end = CFILE_HEADER, .limit = limit
	};
	struct cfile_stats *st = &dir->stats;
	uint64_t flags = wire_varint(&d.r), units = wire_varint(&d.r), blocks = wire_varint(&d.r);
	st->samples = wire_varint(&d.r);
	st->t_min_ms = (int64_t)wire_u64(&d.r);
	st->t_max_ms = (int64_t)wire_u64(&d.r);
	if (d.r.bad || !units_read(dir, &d, units) || !blocks_read(dir, &d, blocks))
		return false;
	dir->flags = (uint32_t)flags & CFILE_LABELS_ALL;
	st->units = dir->units.count;
	st->blocks = dir->blocks.count;
	st->directory_bytes = dir->raw_len + CFILE_FOOTER_V1 + CFILE_HEADER;
	dir->kinds = 1u << CFILE_FLOATS;
	cfile_dir_id_max(dir);
	return true;
}

/* ---- units ---- */

static bool columns_read(struct cfile_unit *u, struct wire_reader *r, uint32_t *count)
{
	uint64_t n = wire_varint(r), sum = 0;
	if (r->bad || n == 0 || n > CFILE_UNIT_ENTRIES_MAX)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		struct cfile_column *c = &u->_columns[i];
		uint64_t samples = wire_varint(r), len = wire_varint(r);
		if (r->bad || samples == 0 || samples > CHUNK_SAMPLES_MAX || len > CFILE_UNIT_RAW_MAX)
			return false;
		c->count = (uint32_t)samples;
		c->len = (uint32_t)len;
		sum += len;
	}
	if (sum > wire_left(r))
		return false;
	for (uint64_t i = 0; i < n; i++)
		u->_columns[i].p = wire_bytes(r, u->_columns[i].len);
	*count = (uint32_t)n;
	return true;
}

static bool entries_read(
    struct cfile_unit *u, struct wire_reader *r, const struct cfile_head *h, uint32_t columns)
{
	uint64_t id = h->first_id, column = 0, sum = 0;
	for (uint32_t i = 0; i < h->count; i++) {
		struct cfile_entry *e = &u->_entries[i];
		uint64_t v = wire_varint(r);
		if (v & 1)
			id += wire_varint(r);
		else
			id += i > 0;
		if (v & 2)
			column = wire_varint(r);
		if (r->bad || id > h->last_id || column >= columns || v >> 2 > CFILE_UNIT_RAW_MAX)
			return false;
		const struct cfile_column *c = &u->_columns[column];
		*e = (struct cfile_entry){ .id = (uint32_t)id,
			.count = c->count,
			.column = (uint32_t)column,
			.times = c->p,
			.times_len = c->len,
			.values_len = (uint32_t)(v >> 2) };
		sum += e->values_len;
	}
	if (id != h->last_id || sum != wire_left(r))
		return false;
	for (uint32_t i = 0; i < h->count; i++)
		u->_entries[i].values = wire_bytes(r, u->_entries[i].values_len);
	return true;
}

bool cfile_v1_unit_parse(struct cfile_unit *u, const struct cfile_head *h, const uint8_t *payload)
{
	struct wire_reader r = wire_reader(payload, h->raw_len);
	uint32_t columns = 0;
	return columns_read(u, &r, &columns) && entries_read(u, &r, h, columns);
}
