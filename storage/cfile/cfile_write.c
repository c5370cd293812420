/*
 * The writer of cfile.h: units and label blocks are gathered in memory, written when full; the
 * directory grows by some ten bytes a unit.
 */
#include "storage/cfile/cfile_priv.h"

#include "core/base/arena.h"
#include "core/base/metric.h"
#include "core/base/num.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <zstd.h>

/* Finished pieces are gathered up to this before a write. */
#define WRITE_AT_ONCE (256u << 10)
/*
 * Packed bytes hardly shrink further, and unpacking a unit costs a query for one series more than
 * everything else (some 10 us). On recorded data zstd takes 4 % off the units of sealed files, so
 * it is kept only where it takes a quarter: series with patterns that repeat. Round files live for
 * hours only: their units stay plain. Definitions are text and read by workers: always packed.
 */
#define ZSTD_UNIT_GAIN    4u /* kept when at least 1/4 smaller */
#define ZSTD_LEVEL        3
#define ZSTD_LEVEL_LABELS 9 /* of sealed files: 27 % smaller than level 3 with half the block */

struct column_key {
	uint64_t hash; /* of the encoded times */
	uint32_t off, len, count;
};
struct list { /* a part of the directory */
	struct buf dir;
	uint64_t end;     /* of the piece before */
	uint32_t last_id; /* of the piece before */
	uint32_t count;
};
struct cfile_writer {
	struct fsio_dir *dir;
	struct fsio_file *io;
	char name[CFILE_NAME_MAX];
	struct cfile_meta meta;
	struct cfile_stats stats;
	enum err err; /* sticky */
	uint8_t header[CFILE_HEADER];
	uint32_t header_crc;
	uint64_t off;    /* where the next piece begins */
	struct buf out;  /* finished pieces not yet written; the first begins at off - out.len */
	struct buf work; /* payload being put together */
	ZSTD_CCtx *zstd;
	struct list units, blocks;
	/* the unit being filled */
	struct buf columns, entries, values, scratch;
	struct column_key *keys; /* CFILE_UNIT_ENTRIES_MAX */
	uint32_t keys_count, column;
	uint32_t *ids; /* of the entries */
	uint32_t count;
	int64_t *last_times; /* of the last entry, to find equal columns without encoding */
	uint32_t last_times_count;
	bool any;
	uint32_t last_id;
	int64_t last_t;
	/* the label block being filled */
	struct buf labels, before;
	uint32_t labels_count, labels_first, labels_last;
	bool labels_any;
};

void cfile_name_serial(const struct cfile_meta *m, unsigned serial, char *buf)
{
	char tail[16] = "";
	if (serial)
		(void)snprintf(tail, sizeof(tail), ".%u", serial);
	int n = snprintf(buf, CFILE_NAME_MAX, "%" PRId64 "-%" PRIu64 "-%" PRIu64 "%s.kcf",
	    m->start_ms, (uint64_t)m->end_ms - (uint64_t)m->start_ms, m->rank, tail);
	CHECK(n > 0);
	CHECK(n < (int)CFILE_NAME_MAX);
}

void cfile_name(const struct cfile_meta *m, char *buf)
{
	cfile_name_serial(m, 0, buf);
}

static bool number_parse(const char **p, uint64_t *out)
{
	size_t n = strspn(*p, "0123456789");
	const char *from = *p;
	*p += n;
	return num_parse_u64(from, n, out) == ERR_OK;
}

bool cfile_name_parse(const char *name, uint64_t *rank, unsigned *serial)
{
	const char *p = name + (name[0] == '-');
	uint64_t start, width, last = 0;
	if (!number_parse(&p, &start) || *p++ != '-' || !number_parse(&p, &width) || *p++ != '-' ||
	    !number_parse(&p, rank) || *p++ != '.')
		return false;
	if (*p != 'k' && (!number_parse(&p, &last) || last > UINT_MAX || *p++ != '.'))
		return false;
	*serial = (unsigned)last;
	return strcmp(p, "kcf") == 0;
}

uint32_t cfile_seed(uint32_t header_crc, uint64_t off)
{
	return crc32c(header_crc, &off, sizeof(off));
}

void cfile_head_put(uint8_t *p, const struct cfile_head *h, uint32_t seed)
{
	wire_store32(p, h->magic);
	p[4] = h->kind;
	p[5] = h->flags;
	wire_store16(p + 6, (uint16_t)h->count);
	wire_store32(p + 8, h->first_id);
	wire_store32(p + 12, h->last_id);
	wire_store32(p + 16, h->len);
	wire_store32(p + 20, h->raw_len);
	wire_store32(p + 24, h->crc);
	wire_store32(p + 28, crc32c(seed, p, 28));
}

void cfile_header_put(uint8_t *p, const struct cfile_meta *m, uint64_t salt)
{
	memset(p, 0, CFILE_HEADER);
	memcpy(p, CFILE_MAGIC, 8);
	wire_store16(p + 8, CFILE_VERSION);
	p[10] = (uint8_t)(m->flags & (CFILE_SEALED | CFILE_OWN));
	p[11] = 1u << SAMPLE_FLOAT;
	wire_store32(p + 12, m->shard);
	wire_store64(p + 16, (uint64_t)m->start_ms);
	wire_store64(p + 24, (uint64_t)m->end_ms);
	wire_store64(p + 32, m->rank);
	wire_store64(p + 40, salt);
	wire_store32(p + 60, crc32c(0, p, 60));
}

static void flush(struct cfile_writer *w)
{
	if (!w->err && w->out.len)
		w->err = fsio_write_at(w->io, w->out.data, w->out.len, w->off - w->out.len);
	buf_clear(&w->out);
}

enum err cfile_writer_create(
    struct fsio_dir *d, const char *name, const struct cfile_meta *m, struct cfile_writer **out)
{
	CHECK(m->start_ms < m->end_ms);
	CHECK(strlen(name) < CFILE_NAME_MAX);
	struct fsio_file *io = NULL;
	enum err e = fdcache_open_other(d, name, FSIO_CREATE, &io);
	if (e)
		return e;
	struct cfile_writer *w = mem_zalloc(sizeof(*w));
	w->dir = d;
	w->io = io;
	memcpy(w->name, name, strlen(name) + 1);
	w->meta = *m;
	w->meta.flags &= CFILE_SEALED | CFILE_OWN;
	w->stats.t_min_ms = INT64_MAX;
	w->stats.t_max_ms = INT64_MIN;
	w->keys = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*w->keys));
	w->ids = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*w->ids));
	w->last_times = mem_array(NULL, CHUNK_SAMPLES_MAX, sizeof(*w->last_times));
	w->zstd = ZSTD_createCCtx();
	if (!w->zstd)
		panic("no memory for a zstd context");
	cfile_header_put(w->header, m, 0);
	w->header_crc = wire_load32(w->header + CFILE_HEADER - 4);
	buf_add(&w->out, w->header, CFILE_HEADER);
	w->off = w->units.end = w->blocks.end = CFILE_HEADER;
	*out = w;
	return ERR_OK;
}

static void writer_free(struct cfile_writer *w)
{
	struct buf *bufs[] = { &w->out, &w->work, &w->units.dir, &w->blocks.dir, &w->columns,
		&w->entries, &w->values, &w->scratch, &w->labels, &w->before };
	for (size_t i = 0; i < COUNT_OF(bufs); i++)
		buf_release(bufs[i]);
	mem_free(w->keys);
	mem_free(w->ids);
	mem_free(w->last_times);
	ZSTD_freeCCtx(w->zstd);
	fsio_close(w->io);
	mem_free(w);
}

void cfile_writer_abort(struct cfile_writer *w)
{
	/* When even the removal fails the file stays unnamed and goes at the next start. */
	(void)!fsio_remove(w->dir, w->name);
	writer_free(w);
}

/* Packs w->work to payload when that pays, else copies it. Returns the length. */
static size_t payload_put(struct cfile_writer *w, struct cfile_head *h, uint8_t *payload, size_t bound)
{
	size_t raw_len = w->work.len, most = raw_len;
	bool sealed = (w->meta.flags & CFILE_SEALED) != 0;
	if (h->magic == CFILE_MAGIC_UNIT)
		most = sealed ? raw_len - raw_len / ZSTD_UNIT_GAIN : 0;
	if (most > 0) {
		size_t len = ZSTD_compressCCtx(w->zstd, payload, bound, w->work.data, raw_len,
		    sealed && h->magic == CFILE_MAGIC_BLOCK ? ZSTD_LEVEL_LABELS : ZSTD_LEVEL);
		if (!ZSTD_isError(len) && len < most) {
			h->flags |= CFILE_ZSTD;
			return len;
		}
	}
	memcpy(payload, w->work.data, raw_len);
	return raw_len;
}

/* Head and payload (in w->work) behind what is there. */
static void piece_put(struct cfile_writer *w, struct cfile_head *h, struct list *l)
{
	uint32_t seed = cfile_seed(w->header_crc, w->off);
	size_t raw_len = w->work.len;
	CHECK(raw_len <= CFILE_UNIT_RAW_MAX);
	size_t bound = ZSTD_compressBound(raw_len);
	if (!buf_reserve(&w->out, CFILE_UNIT_HEAD + bound + raw_len))
		return;
	uint8_t *head = w->out.data + w->out.len, *payload = head + CFILE_UNIT_HEAD;
	size_t len = payload_put(w, h, payload, bound);
	h->len = (uint32_t)len;
	h->raw_len = (uint32_t)raw_len;
	h->crc = crc32c(seed, payload, len);
	cfile_head_put(head, h, seed);
	w->out.len += CFILE_UNIT_HEAD + len;
	wire_put_varint(&l->dir, w->off - l->end);
	wire_put_varint(&l->dir, CFILE_UNIT_HEAD + len);
	wire_put_varint(&l->dir, h->first_id - l->last_id);
	w->off += CFILE_UNIT_HEAD + len;
	l->end = w->off;
	l->last_id = h->last_id;
	l->count++;
	if (w->out.len >= WRITE_AT_ONCE)
		flush(w);
}

void cfile_runs_put(struct buf *out, const uint32_t *ids, size_t count)
{
	size_t i = 0;
	while (i < count) {
		size_t j = i + 1;
		while (j < count && ids[j] - ids[j - 1] <= 1)
			j++;
		wire_put_varint(out, (uint64_t)(ids[j - 1] - ids[i]) << 1 | (j < count));
		if (j < count)
			wire_put_varint(out, ids[j] - ids[j - 1] - 1);
		i = j;
	}
}

static void unit_close(struct cfile_writer *w)
{
	if (w->count == 0)
		return;
	buf_clear(&w->work);
	wire_put_varint(&w->work, w->keys_count);
	for (uint32_t i = 0; i < w->keys_count; i++) {
		wire_put_varint(&w->work, w->keys[i].count);
		wire_put_varint(&w->work, w->keys[i].len);
	}
	buf_add(&w->work, w->columns.data, w->columns.len);
	buf_add(&w->work, w->entries.data, w->entries.len);
	buf_add(&w->work, w->values.data, w->values.len);
	struct cfile_head h = { .magic = CFILE_MAGIC_UNIT,
		.kind = SAMPLE_FLOAT,
		.count = w->count,
		.first_id = w->ids[0],
		.last_id = w->ids[w->count - 1] };
	piece_put(w, &h, &w->units);
	cfile_runs_put(&w->units.dir, w->ids, w->count);
	buf_clear(&w->columns);
	buf_clear(&w->entries);
	buf_clear(&w->values);
	w->count = w->keys_count = w->column = w->last_times_count = 0;
}

/* Files wider than a range hold what was merged before: read seldom, so their bytes count more. */
static enum chunk_effort value_effort(const struct cfile_meta *m)
{
	bool wide = m->end_ms - m->start_ms > SAMPLE_RANGE_MS;
	return wide && (m->flags & CFILE_SEALED) ? CHUNK_COLD : CHUNK_BEST;
}

/* Number of the column with these times, made when it is new. */
static uint32_t column_of(struct cfile_writer *w, const int64_t *t_ms, uint32_t n)
{
	if (w->last_times_count == n && memcmp(w->last_times, t_ms, (size_t)n * 8) == 0)
		return w->column;
	buf_clear(&w->scratch);
	chunk_times_encode(t_ms, n, w->meta.start_ms, CHUNK_BEST, &w->scratch);
	memcpy(w->last_times, t_ms, (size_t)n * 8);
	w->last_times_count = n;
	struct column_key key = { hash64(w->scratch.data, w->scratch.len, n),
		num_u32(w->columns.len), num_u32(w->scratch.len), n };
	for (uint32_t i = w->keys_count; i-- > 0;) {
		const struct column_key *k = &w->keys[i];
		if (k->hash == key.hash && k->len == key.len && k->count == n &&
		    memcmp(w->columns.data + k->off, w->scratch.data, key.len) == 0)
			return i;
	}
	buf_add(&w->columns, w->scratch.data, w->scratch.len);
	w->keys[w->keys_count] = key;
	return w->keys_count++;
}

static void chunk_add(
    struct cfile_writer *w, uint32_t id, const int64_t *t_ms, const double *v, uint32_t n)
{
	if (w->count == CFILE_UNIT_ENTRIES_MAX ||
	    w->columns.len + w->entries.len + w->values.len >= CFILE_UNIT_TARGET)
		unit_close(w);
	uint32_t column = column_of(w, t_ms, n);
	size_t before = w->values.len;
	chunk_values_encode(v, n, value_effort(&w->meta), &w->values);
	uint64_t len = w->values.len - before;
	/* The reader expects the first id, then one more each time. */
	uint32_t last = w->count ? w->ids[w->count - 1] : id;
	bool gap = w->count && id != last + 1;
	bool fresh = column != w->column;
	wire_put_varint(&w->entries, len << 2 | (uint64_t)fresh << 1 | gap);
	if (gap)
		wire_put_varint(&w->entries, id - last);
	if (fresh)
		wire_put_varint(&w->entries, column);
	w->column = column;
	w->ids[w->count++] = id;
	w->stats.samples += n;
	w->stats.t_min_ms = t_ms[0] < w->stats.t_min_ms ? t_ms[0] : w->stats.t_min_ms;
	w->stats.t_max_ms = t_ms[n - 1] > w->stats.t_max_ms ? t_ms[n - 1] : w->stats.t_max_ms;
}

enum err cfile_writer_add(struct cfile_writer *w, uint32_t id, const struct sample_column *col)
{
	const int64_t *t_ms = col->t_ms;
	const double *v = col->v;
	size_t n = col->count;
	if (w->err || n == 0)
		return w->err;
	CHECK(!w->any || id >= w->last_id);
	CHECK(t_ms[0] >= w->meta.start_ms);
	CHECK(t_ms[n - 1] < w->meta.end_ms);
	bool again = w->any && id == w->last_id;
	CHECK(!again || t_ms[0] > w->last_t);
	w->stats.series += !again;
	for (size_t at = 0; at < n && !w->err; at += CHUNK_SAMPLES_MAX) {
		size_t m = n - at < CHUNK_SAMPLES_MAX ? n - at : CHUNK_SAMPLES_MAX;
		chunk_add(w, id, t_ms + at, v + at, (uint32_t)m);
	}
	w->any = true;
	w->last_id = id;
	w->last_t = t_ms[n - 1];
	return w->err;
}

static void block_close(struct cfile_writer *w)
{
	if (w->labels_count == 0)
		return;
	buf_clear(&w->work);
	buf_add(&w->work, w->labels.data, w->labels.len);
	struct cfile_head h = { .magic = CFILE_MAGIC_BLOCK,
		.count = w->labels_count,
		.first_id = w->labels_first,
		.last_id = w->labels_last };
	uint64_t before = w->off;
	piece_put(w, &h, &w->blocks);
	wire_put_varint(&w->blocks.dir, h.last_id - h.first_id);
	w->stats.label_bytes += w->off - before;
	buf_clear(&w->labels);
	buf_clear(&w->before);
	w->labels_count = 0;
}

enum err cfile_writer_define(struct cfile_writer *w, uint32_t id, uint32_t tenant, struct labels ls)
{
	if (w->err)
		return w->err;
	if (ls.len > CFILE_LABELS_MAX)
		return ERR_TOOBIG;
	CHECK(!w->labels_any || id > w->labels_last);
	if (w->labels_count == CFILE_BLOCK_ENTRIES_MAX || w->labels.len >= CFILE_BLOCK_TARGET)
		block_close(w);
	if (w->labels_count == 0)
		w->labels_first = w->labels_last = id;
	size_t shared = 0, max = w->before.len < ls.len ? w->before.len : ls.len;
	while (shared < max && w->before.data[shared] == ls.bytes[shared])
		shared++;
	wire_put_varint(&w->labels, id - w->labels_last);
	wire_put_varint(&w->labels, tenant);
	wire_put_varint(&w->labels, shared);
	wire_put_varint(&w->labels, ls.len - shared);
	buf_add(&w->labels, ls.bytes + shared, ls.len - shared);
	w->before.len = shared;
	buf_add(&w->before, ls.bytes + shared, ls.len - shared);
	w->labels_last = id;
	w->labels_any = true;
	w->labels_count++;
	return w->err;
}

void cfile_writer_labels_all(struct cfile_writer *w)
{
	w->meta.flags |= CFILE_LABELS_ALL;
}

static void directory_put(struct cfile_writer *w)
{
	struct buf *b = &w->work;
	buf_clear(b);
	wire_put_varint(b, w->meta.flags & CFILE_LABELS_ALL);
	wire_put_varint(b, w->units.count);
	wire_put_varint(b, w->blocks.count);
	wire_put_varint(b, w->stats.samples);
	wire_put_u64(b, (uint64_t)w->stats.t_min_ms);
	wire_put_u64(b, (uint64_t)w->stats.t_max_ms);
	buf_add(b, w->units.dir.data, w->units.dir.len);
	buf_add(b, w->blocks.dir.data, w->blocks.dir.len);
	if (b->len > CFILE_DIR_MAX) {
		w->err = ERR_TOOBIG;
		return;
	}
	uint8_t tail[CFILE_FOOTER] = { 0 };
	uint32_t seed = cfile_seed(w->header_crc, w->off);
	memcpy(tail, w->header, CFILE_HEADER);
	uint8_t *p = tail + CFILE_HEADER;
	wire_store64(p, w->off);
	wire_store32(p + 8, num_u32(b->len));
	wire_store32(p + 12, crc32c(seed, b->data, b->len));
	wire_store32(p + 16, crc32c(w->header_crc, p, 16));
	memcpy(p + 24, CFILE_MAGIC_END, 8);
	buf_add(&w->out, b->data, b->len);
	buf_add(&w->out, tail, sizeof(tail));
	w->off += b->len + sizeof(tail);
	w->stats.directory_bytes = b->len + sizeof(tail) + CFILE_HEADER;
}

enum err cfile_writer_sync(struct cfile_writer *w)
{
	flush(w);
	if (!w->err)
		w->err = fsio_sync(w->io);
	return w->err;
}

enum err cfile_writer_finish(struct cfile_writer *w, struct cfile_stats *stats)
{
	unit_close(w);
	block_close(w);
	flush(w);
	directory_put(w);
	flush(w);
	if (!w->err)
		w->err = fsio_sync(w->io);
	enum err e = w->err;
	if (e) {
		cfile_writer_abort(w);
		return e;
	}
	metric_add(M_FILES_WRITTEN_BYTES, w->off);
	w->stats.size_bytes = w->off;
	w->stats.units = w->units.count;
	w->stats.blocks = w->blocks.count;
	if (stats)
		*stats = w->stats;
	writer_free(w);
	return ERR_OK;
}
