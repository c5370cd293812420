/*
 * A loaded piece: checks and unpacking; units with their table of entries, blocks of time columns;
 * decoding. Pure: no input or output here.
 */
#include "storage/cfile/cfile.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"
#include "storage/chunk/histchunk.h"

#include <zstd.h>

void cfile_zstd_free(void *zstd)
{
	ZSTD_freeDCtx(zstd);
}

static enum err unpack(const struct cfile *f, uint64_t off, const struct cfile_head *h,
    const uint8_t *stored, struct buf *raw, void **zstd, struct errbuf *eb)
{
	if (!*zstd && !(*zstd = ZSTD_createDCtx()))
		panic("no memory for a zstd context");
	buf_clear(raw);
	if (!buf_reserve(raw, h->raw_len + (size_t)1))
		return ERR_NOMEM;
	size_t got = ZSTD_decompressDCtx(*zstd, raw->data, h->raw_len, stored, h->len);
	if (ZSTD_isError(got) || got != h->raw_len)
		return cfile_damaged(f, off, "cannot be unpacked", eb);
	raw->len = h->raw_len;
	return ERR_OK;
}

static bool is_known(const struct cfile *f, const struct cfile_head *h)
{
	unsigned kinds = f->version == 1 ? CFILE_FLOATS : CFILE_OPAQUE;
	return h->kind <= (h->magic == CFILE_MAGIC_UNIT ? kinds : 0) && !(h->flags & ~CFILE_ZSTD);
}

enum err cfile_piece_open(const struct cfile *f, uint64_t off, uint32_t len, const uint8_t *bytes,
    uint32_t want, struct cfile_head *h, struct buf *raw, void **zstd, const uint8_t **payload,
    struct errbuf *eb)
{
	uint32_t seed = cfile_seed(f->header_crc, off);
	if (len < CFILE_UNIT_HEAD || !cfile_head_get(bytes, seed, h) || h->magic != want ||
	    h->len != len - CFILE_UNIT_HEAD)
		return cfile_damaged(f, off, "wrong head of a unit", eb);
	const uint8_t *stored = bytes + CFILE_UNIT_HEAD;
	if (crc32c(seed, stored, h->len) != h->crc)
		return cfile_damaged(f, off, "wrong checksum", eb);
	if (!is_known(f, h))
		return errbuf_set(eb, ERR_UNSUPPORTED, "%s at %llu: unknown kind of unit", f->name,
		    (unsigned long long)off);
	if (h->flags & CFILE_ZSTD) {
		*payload = NULL;
		enum err e = unpack(f, off, h, stored, raw, zstd, eb);
		*payload = raw->data;
		return e;
	}
	*payload = stored;
	return h->raw_len == h->len ? ERR_OK : cfile_damaged(f, off, "wrong length", eb);
}

/* ---- blocks of time columns ---- */

void cfile_times_init(struct cfile_times *t)
{
	memset(t, 0, sizeof(*t));
	buf_init(&t->_raw);
}

void cfile_times_release(struct cfile_times *t)
{
	buf_release(&t->_raw);
	mem_free(t->_columns);
	mem_free(t->_decoded);
	cfile_zstd_free(t->_zstd);
	memset(t, 0, sizeof(*t));
}

static bool columns_read(struct cfile_times *t, struct wire_reader *r, uint32_t count)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t samples = wire_varint(r), len = wire_varint(r);
		if (r->bad || samples == 0 || samples > CHUNK_SAMPLES_MAX || len > CFILE_UNIT_RAW_MAX)
			return false;
		t->_columns[i] =
		    (struct cfile_column){ .len = (uint32_t)len, .count = (uint32_t)samples };
		sum += len;
	}
	if (sum != wire_left(r))
		return false;
	for (uint32_t i = 0; i < count; i++)
		t->_columns[i].p = wire_bytes(r, t->_columns[i].len);
	return true;
}

enum err cfile_times_open(struct cfile_times *t, const struct cfile *f,
    const struct cfile_extent *ext, const uint8_t *bytes, struct errbuf *eb)
{
	struct cfile_head h;
	const uint8_t *payload = NULL;
	t->file = NULL;
	t->count = t->_decoded_count = 0;
	enum err e = cfile_piece_open(
	    f, ext->off, ext->len, bytes, CFILE_MAGIC_TIMES, &h, &t->_raw, &t->_zstd, &payload, eb);
	if (e)
		return e;
	if (h.count > CFILE_TIMES_MAX || h.last_id - h.first_id != h.count - 1)
		return cfile_damaged(f, ext->off, "a block of time columns is wrong", eb);
	if (t->_columns_cap < h.count) {
		t->_columns_cap = h.count < 64 ? 64 : CFILE_TIMES_MAX;
		t->_columns = mem_array(t->_columns, t->_columns_cap, sizeof(*t->_columns));
	}
	struct wire_reader r = wire_reader(payload, h.raw_len);
	if (!columns_read(t, &r, h.count))
		return cfile_damaged(f, ext->off, "a block of time columns is wrong", eb);
	t->file = f;
	t->first = h.first_id;
	t->count = h.count;
	t->off = ext->off;
	return ERR_OK;
}

/* Room for n numbers more; all that is decoded is forgotten when there is none. */
static int64_t *decoded_room(struct cfile_times *t, uint32_t n)
{
	uint32_t max = CFILE_TIMES_DECODED / sizeof(int64_t), need = t->_decoded_count + n;
	STATIC(CFILE_TIMES_DECODED / sizeof(int64_t) >= CHUNK_SAMPLES_MAX);
	if (need > max) {
		for (uint32_t i = 0; i < t->count; i++)
			t->_columns[i].decoded = 0;
		t->_decoded_count = 0;
		need = n;
	}
	if (need > t->_decoded_cap) {
		uint32_t cap = t->_decoded_cap ? 2 * t->_decoded_cap : 512;
		while (cap < need)
			cap *= 2;
		t->_decoded_cap = cap < max ? cap : max;
		t->_decoded = mem_array(t->_decoded, t->_decoded_cap, sizeof(*t->_decoded));
	}
	return t->_decoded + t->_decoded_count;
}

static enum err times_decode(
    struct cfile_times *t, const struct cfile_column *c, int64_t *t_ms, struct errbuf *eb)
{
	if (chunk_times_decode(c->p, c->len, c->count, t->file->meta.start_ms, t_ms, NULL))
		return cfile_damaged(t->file, t->off, "a column of times cannot be decoded", eb);
	return ERR_OK;
}

/* Decoded and kept. */
static enum err times_keep(struct cfile_times *t, struct cfile_column *c, struct errbuf *eb)
{
	int64_t *to = decoded_room(t, c->count);
	enum err e = times_decode(t, c, to, eb);
	if (e)
		return e;
	c->decoded = t->_decoded_count + 1;
	t->_decoded_count += c->count;
	return ERR_OK;
}

static struct cfile_column *column_of(
    struct cfile_times *t, uint32_t column, uint32_t count, struct errbuf *eb)
{
	CHECK(cfile_times_has(t, column));
	struct cfile_column *c = &t->_columns[column - t->first];
	if (c->count == count)
		return c;
	(void)cfile_damaged(t->file, t->off, "a column of times has another length", eb);
	return NULL;
}

enum err cfile_times_get(
    struct cfile_times *t, uint32_t column, uint32_t count, const int64_t **t_ms, struct errbuf *eb)
{
	struct cfile_column *c = column_of(t, column, count, eb);
	enum err e = !c ? ERR_DAMAGED : c->decoded ? ERR_OK : times_keep(t, c, eb);
	if (!e)
		*t_ms = t->_decoded + (c->decoded - 1);
	return e;
}

/* The first time it is decoded in its place: many columns are needed once only. */
enum err cfile_times_copy(
    struct cfile_times *t, uint32_t column, uint32_t count, int64_t *t_ms, struct errbuf *eb)
{
	struct cfile_column *c = column_of(t, column, count, eb);
	if (!c)
		return ERR_DAMAGED;
	if (!c->decoded && !c->seen) {
		c->seen = true;
		return times_decode(t, c, t_ms, eb);
	}
	enum err e = c->decoded ? ERR_OK : times_keep(t, c, eb);
	if (!e)
		memcpy(t_ms, t->_decoded + (c->decoded - 1), count * sizeof(*t_ms));
	return e;
}

/* ---- units ---- */

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

struct entries { /* being read */
	struct cfile_unit *u;
	struct wire_reader r;
	uint64_t id, column, count, off; /* off: of the next stream */
};

/* The column of an entry that has another one than the entry before. */
static bool column_read(struct entries *s)
{
	uint64_t v = wire_varint(&s->r);
	s->column += wire_unzigzag(v >> 1);
	if (v & 1)
		s->count = wire_varint(&s->r);
	return s->column <= UINT32_MAX && s->count > 0 && s->count <= CHUNK_SAMPLES_MAX;
}

/* Its stream; where it begins is kept in times_len until all entries are read. */
static bool stream_read(struct entries *s, uint32_t i)
{
	struct cfile_entry *e = &s->u->_entries[i];
	uint64_t len = wire_varint(&s->r);
	if (len == 0) {
		uint64_t back = wire_varint(&s->r);
		if (back == 0 || back > i)
			return false;
		e->values_len = s->u->_entries[i - back].values_len;
		e->times_len = s->u->_entries[i - back].times_len;
		return true;
	}
	if (len > CFILE_UNIT_RAW_MAX)
		return false;
	e->values_len = (uint32_t)len;
	e->times_len = (uint32_t)s->off;
	s->off += len;
	return s->off <= CFILE_UNIT_RAW_MAX;
}

static bool entry_read(struct entries *s, uint32_t i, uint64_t last_id)
{
	struct cfile_entry *e = &s->u->_entries[i];
	uint64_t v = wire_varint(&s->r);
	s->id += v >> 2;
	if (s->id > last_id || (i == 0 && (v & 3) != 3))
		return false;
	if (i)
		*e = e[-1];
	e->id = (uint32_t)s->id;
	if (v & 2) {
		if (!column_read(s))
			return false;
		e->column = (uint32_t)s->column;
		e->count = (uint32_t)s->count;
	}
	return !(v & 1) || stream_read(s, i);
}

static bool entries_read(struct cfile_unit *u, const struct cfile_head *h, const uint8_t *payload)
{
	struct entries s = { .u = u, .r = wire_reader(payload, h->raw_len), .id = h->first_id };
	u->_entries[0] = (struct cfile_entry){ .outside = true };
	for (uint32_t i = 0; i < h->count; i++)
		if (!entry_read(&s, i, h->last_id) || s.r.bad)
			return false;
	if (s.id != h->last_id || s.off != wire_left(&s.r))
		return false;
	for (uint32_t i = 0; i < h->count; i++) {
		struct cfile_entry *e = &u->_entries[i];
		e->values = s.r.p + e->times_len;
		e->times_len = 0;
	}
	return true;
}

static bool opaque_read(struct cfile_unit *u, const struct cfile_head *h, const uint8_t *payload)
{
	struct wire_reader r = wire_reader(payload, h->raw_len);
	uint64_t id = h->first_id, sum = 0;
	for (uint32_t i = 0; i < h->count; i++) {
		id += wire_varint(&r);
		uint64_t len = wire_varint(&r);
		if (r.bad || id > h->last_id || len > CFILE_OPAQUE_MAX)
			return false;
		u->_entries[i] = (struct cfile_entry){
			.id = (uint32_t)id, .count = (uint32_t)len, .values_len = (uint32_t)len
		};
		sum += len;
	}
	if (id != h->last_id || sum != wire_left(&r))
		return false;
	for (uint32_t i = 0; i < h->count; i++)
		u->_entries[i].values = wire_bytes(&r, u->_entries[i].values_len);
	return true;
}

static bool unit_parse(
    struct cfile_unit *u, const struct cfile *f, const struct cfile_head *h, const uint8_t *payload)
{
	if (h->count > CFILE_UNIT_ENTRIES_MAX)
		return false;
	if (u->_entries_cap < h->count) {
		u->_entries_cap = h->count <= 64 ? 64
		    : h->count <= 160            ? 160
		                                 : CFILE_UNIT_ENTRIES_MAX;
		u->_entries = mem_array(u->_entries, u->_entries_cap, sizeof(*u->_entries));
	}
	if (f->version > 1)
		return h->kind == CFILE_OPAQUE ? opaque_read(u, h, payload)
		                               : entries_read(u, h, payload);
	if (!u->_columns)
		u->_columns = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*u->_columns));
	return cfile_v1_unit_parse(u, h, payload);
}

static enum err unit_open(struct cfile_unit *u, const struct cfile *f, bool opaque,
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
	if ((h.kind == CFILE_OPAQUE) != opaque || !unit_parse(u, f, &h, payload))
		return cfile_damaged(f, ext->off, "the table of a unit is wrong", eb);
	u->file = f;
	u->unit = ext->unit;
	u->off = ext->off;
	u->kind = h.kind;
	u->entries = h.count;
	return ERR_OK;
}

enum err cfile_unit_open(struct cfile_unit *u, const struct cfile *f,
    const struct cfile_extent *ext, const uint8_t *bytes, struct errbuf *eb)
{
	return unit_open(u, f, false, ext, bytes, eb);
}

enum err cfile_unit_open_opaque(struct cfile_unit *u, const struct cfile *f,
    const struct cfile_extent *ext, const uint8_t *bytes, struct errbuf *eb)
{
	return unit_open(u, f, true, ext, bytes, eb);
}

/* How many there are of an id from a place on. */
static size_t entries_from(
    const struct cfile_unit *u, uint32_t at, uint32_t id, const struct cfile_entry **first)
{
	size_t n = 0;
	while (at + n < u->entries && u->_entries[at + n].id == id)
		n++;
	*first = n ? &u->_entries[at] : NULL;
	return n;
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
	return entries_from(u, lo, id, first);
}

size_t cfile_unit_find_near(
    const struct cfile_unit *u, uint32_t id, uint32_t *near, const struct cfile_entry **first)
{
	for (uint32_t at = *near, end = at + 4; at < u->entries && at < end; at++) {
		/* the first one of that id: the one before has another one */
		if (u->_entries[at].id != id || (at && u->_entries[at - 1].id == id))
			continue;
		*near = at;
		return entries_from(u, at, id, first);
	}
	size_t n = cfile_unit_find(u, id, first);
	*near = n ? (uint32_t)(*first - u->_entries) : 0;
	return n;
}

/* Those that stand in the unit: the entry before had the same, mostly. */
static enum err times_inside(struct cfile_unit *u, const struct cfile_entry *e, struct errbuf *eb)
{
	if (u->_times_column == e->column)
		return ERR_OK;
	if (u->_times_cap < e->count) {
		u->_times_cap = e->count < 512 ? 512 : CHUNK_SAMPLES_MAX;
		u->_times = mem_array(u->_times, u->_times_cap, sizeof(*u->_times));
	}
	u->_times_column = UINT32_MAX;
	if (chunk_times_decode(
	        e->times, e->times_len, e->count, u->file->meta.start_ms, u->_times, NULL))
		return cfile_damaged(u->file, u->off, "a column of times cannot be decoded", eb);
	u->_times_column = e->column;
	return ERR_OK;
}

enum err cfile_unit_times(struct cfile_unit *u, struct cfile_times *times,
    const struct cfile_entry *e, const int64_t **t_ms, struct errbuf *eb)
{
	if (e->outside)
		return cfile_times_get(times, e->column, e->count, t_ms, eb);
	enum err err = times_inside(u, e, eb);
	*t_ms = u->_times;
	return err;
}

/* Values, and what stands beside them, of rows whose times are there. */
static enum err values_decode(
    enum cfile_kind kind, const uint8_t *chunk, size_t len, uint32_t count, struct column *c)
{
	uint32_t first = c->count;
	size_t used = 0;
	enum err e = chunk_values_decode(chunk, len, count, c->v + first, &used);
	if (e)
		return e;
	c->count += count;
	if (LIKELY(kind == CFILE_FLOATS) || used == len)
		return ERR_OK;
	e = histchunk_decode(chunk + used, len - used, c, first, count, NULL);
	if (e)
		column_keep(c, first, count, 0);
	return e;
}

enum err cfile_chunk_decode(enum cfile_kind kind, const int64_t *t_ms, uint32_t count,
    const uint8_t *chunk, size_t len, struct column *c)
{
	column_reserve(c, count);
	memcpy(c->t_ms + c->count, t_ms, count * sizeof(*t_ms));
	return values_decode(kind, chunk, len, count, c);
}

enum err cfile_unit_times_copy(struct cfile_unit *u, struct cfile_times *times,
    const struct cfile_entry *e, int64_t *t_ms, struct errbuf *eb)
{
	if (e->outside)
		return cfile_times_copy(times, e->column, e->count, t_ms, eb);
	enum err err = times_inside(u, e, eb);
	if (!err)
		memcpy(t_ms, u->_times, e->count * sizeof(*t_ms));
	return err;
}

enum err cfile_unit_values(const struct cfile_unit *u, const struct cfile_entry *e, uint32_t from,
    uint32_t n, struct column *c, struct errbuf *eb)
{
	CHECK(u->kind == CFILE_FLOATS);
	if (chunk_values_decode_part(e->values, e->values_len, e->count, from, n, c->v + c->count))
		return cfile_damaged(u->file, u->off, "a column of values cannot be decoded", eb);
	c->count += n;
	return ERR_OK;
}

enum err cfile_unit_append(struct cfile_unit *u, struct cfile_times *times,
    const struct cfile_entry *e, struct column *c, struct errbuf *eb)
{
	column_reserve(c, e->count);
	enum err err = cfile_unit_times_copy(u, times, e, c->t_ms + c->count, eb);
	if (err)
		return err;
	if (values_decode((enum cfile_kind)u->kind, e->values, e->values_len, e->count, c))
		return cfile_damaged(u->file, u->off, "a column of values cannot be decoded", eb);
	return ERR_OK;
}
