/*
 * A loaded unit: checks, unpacking, its table of entries, decoding. Pure: no input or output here.
 */
#include "storage/cfile/cfile.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"

#include <inttypes.h>
#include <zstd.h>

static enum err damaged(const struct cfile *f, uint64_t off, const char *what, struct errbuf *eb)
{
	return errbuf_set(eb, ERR_DAMAGED, "%s at %" PRIu64 ": %s", f->name, off, what);
}

void cfile_zstd_free(void *zstd)
{
	ZSTD_freeDCtx(zstd);
}

enum err cfile_piece_open(const struct cfile *f, uint64_t off, uint32_t len, const uint8_t *bytes,
    uint32_t want, struct cfile_head *h, struct buf *raw, void **zstd, const uint8_t **payload,
    struct errbuf *eb)
{
	uint32_t seed = cfile_seed(f->header_crc, off);
	if (len < CFILE_UNIT_HEAD || !cfile_head_get(bytes, seed, h) || h->magic != want ||
	    h->len != len - CFILE_UNIT_HEAD)
		return damaged(f, off, "wrong head of a unit", eb);
	const uint8_t *stored = bytes + CFILE_UNIT_HEAD;
	if (crc32c(seed, stored, h->len) != h->crc)
		return damaged(f, off, "wrong checksum", eb);
	if (h->kind != SAMPLE_FLOAT || (h->flags & ~CFILE_ZSTD))
		return errbuf_set(
		    eb, ERR_UNSUPPORTED, "%s at %" PRIu64 ": unknown kind of unit", f->name, off);
	if (!(h->flags & CFILE_ZSTD)) {
		*payload = stored;
		return h->raw_len == h->len ? ERR_OK : damaged(f, off, "wrong length", eb);
	}
	if (!*zstd && !(*zstd = ZSTD_createDCtx()))
		panic("no memory for a zstd context");
	buf_clear(raw);
	if (!buf_reserve(raw, h->raw_len + (size_t)1))
		return ERR_NOMEM;
	size_t got = ZSTD_decompressDCtx(*zstd, raw->data, h->raw_len, stored, h->len);
	if (ZSTD_isError(got) || got != h->raw_len)
		return damaged(f, off, "cannot be unpacked", eb);
	raw->len = h->raw_len;
	*payload = raw->data;
	return ERR_OK;
}

void cfile_unit_init(struct cfile_unit *u)
{
	memset(u, 0, sizeof(*u));
	buf_init(&u->_raw);
}

void cfile_unit_release(struct cfile_unit *u)
{
	buf_release(&u->_raw);
	mem_free(u->_entries);
	mem_free(u->_columns);
	mem_free(u->_times);
	cfile_zstd_free(u->_zstd);
	memset(u, 0, sizeof(*u));
}

void cfile_unit_hand(struct cfile_unit *from, struct cfile_unit *to)
{
	if (!from->_zstd)
		return;
	cfile_zstd_free(to->_zstd);
	to->_zstd = from->_zstd;
	from->_zstd = NULL;
}

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
			.times = c->p,
			.times_len = c->len,
			.values_len = (uint32_t)(v >> 2),
			.column = (uint32_t)column };
		sum += e->values_len;
	}
	if (id != h->last_id || sum != wire_left(r))
		return false;
	for (uint32_t i = 0; i < h->count; i++)
		u->_entries[i].values = wire_bytes(r, u->_entries[i].values_len);
	return true;
}

enum err cfile_unit_open(struct cfile_unit *u, const struct cfile *f,
    const struct cfile_extent *ext, const uint8_t *bytes, struct errbuf *eb)
{
	struct cfile_head h;
	const uint8_t *payload = NULL;
	u->file = NULL;
	u->entries = 0;
	u->_times_column = UINT32_MAX;
	enum err e = cfile_piece_open(
	    f, ext->off, ext->len, bytes, CFILE_MAGIC_UNIT, &h, &u->_raw, &u->_zstd, &payload, eb);
	if (e)
		return e;
	if (!u->_entries) {
		u->_entries = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*u->_entries));
		u->_columns = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*u->_columns));
	}
	struct wire_reader r = wire_reader(payload, h.raw_len);
	uint32_t columns = 0;
	if (h.count > CFILE_UNIT_ENTRIES_MAX || !columns_read(u, &r, &columns) ||
	    !entries_read(u, &r, &h, columns))
		return damaged(f, ext->off, "the table of a unit is wrong", eb);
	u->file = f;
	u->unit = ext->unit;
	u->entries = h.count;
	return ERR_OK;
}

size_t cfile_unit_find(const struct cfile_unit *u, uint32_t id, const struct cfile_entry **first)
{
	uint32_t lo = 0, hi = u->entries;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (u->_entries[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	size_t n = 0;
	while (lo + n < u->entries && u->_entries[lo + n].id == id)
		n++;
	*first = n ? &u->_entries[lo] : NULL;
	return n;
}

enum err cfile_unit_decode_borrow(struct cfile_unit *u, const struct cfile_entry *e,
    const int64_t **t_ms, double *v, struct errbuf *eb)
{
	uint64_t off = u->file->units[u->unit].off;
	if (u->_times_column != e->column) {
		if (u->_times_cap < e->count) {
			u->_times_cap = e->count < 512 ? 512 : CHUNK_SAMPLES_MAX;
			u->_times = mem_array(u->_times, u->_times_cap, sizeof(*u->_times));
		}
		u->_times_column = UINT32_MAX;
		if (chunk_times_decode(
		        e->times, e->times_len, e->count, u->file->meta.start_ms, u->_times, NULL))
			return damaged(u->file, off, "a column of times cannot be decoded", eb);
		u->_times_column = e->column;
	}
	if (chunk_values_decode(e->values, e->values_len, e->count, v, NULL))
		return damaged(u->file, off, "a column of values cannot be decoded", eb);
	*t_ms = u->_times;
	return ERR_OK;
}

enum err cfile_unit_decode(
    struct cfile_unit *u, const struct cfile_entry *e, int64_t *t_ms, double *v, struct errbuf *eb)
{
	const int64_t *t = NULL;
	enum err err = cfile_unit_decode_borrow(u, e, &t, v, eb);
	if (!err)
		memcpy(t_ms, t, (size_t)e->count * sizeof(*t_ms));
	return err;
}
