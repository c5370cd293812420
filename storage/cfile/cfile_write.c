/*
 * The writer of cfile.h: units and label blocks are gathered in memory, written when full; time
 * columns stay until the end. The directory grows by some six bytes a unit.
 */
#include "storage/cfile/cfile_priv.h"

#include "core/base/arena.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_columns.h"
#include "storage/chunk/histchunk.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

/* Finished pieces are gathered up to this before a write. */
#define WRITE_AT_ONCE (256u << 10)
/*
 * Unpacking a unit costs a query for one series more than everything else, so packing must pay.
 * Round files live for hours only: their units stay plain. Definitions are text and read by
 * workers: always packed.
 */
#define ZSTD_UNIT_GAIN    10u /* kept when at least 1/10 smaller */
#define ZSTD_LEVEL        3
#define ZSTD_LEVEL_LABELS 9 /* of sealed files: 27 % smaller than level 3 with half the block */
#define STREAM_SPLIT      (128u << 10) /* a longer one becomes two, if it has two samples */
#define STREAM_HISTS      (32u << 10)  /* one with histograms: some 200 us to decode */
#define STREAMS_TABLE     (2 * CFILE_UNIT_ENTRIES_MAX)
/* Blocks of time columns stand twice when they are at most so much, or this part of the units. */
#define TIMES_TWICE      (64u << 10)
#define TIMES_TWICE_PART 64u

struct entry { /* of the unit being filled */
	uint32_t id, count, column, stream;
};
struct stream {
	uint64_t hash;
	uint32_t off, len;
	uint32_t last; /* while the unit is put together: the last entry that has it, + 1 */
};
struct list { /* a part of the directory */
	struct buf dir;
	uint64_t end; /* of the piece before */
	uint32_t id;  /* of the piece before: last, of blocks first */
	uint32_t count;
};
struct cfile_writer {
	struct fsio_dir *dir;
	struct fsio_file *io;
	struct cfile file; /* what the footer tells; no open file */
	enum err err;      /* sticky */
	bool metric;
	enum chunk_effort effort;
	uint8_t header[CFILE_HEADER];
	uint64_t off;    /* where the next piece begins */
	struct buf out;  /* finished pieces not yet written; the first begins at off - out.len */
	struct buf work; /* payload being put together */
	ZSTD_CCtx *zstd;
	struct list units, opaque, blocks, times;
	uint64_t times_copy;
	/* the unit being filled */
	struct entry *entries;  /* CFILE_UNIT_ENTRIES_MAX */
	struct stream *streams; /* CFILE_UNIT_ENTRIES_MAX */
	uint16_t *table;        /* hash -> stream + 1 */
	uint32_t *ids;          /* of a unit */
	uint32_t count, streams_count;
	uint8_t kind;
	struct buf values;
	struct cfile_columns columns;
	uint32_t times_at;     /* columns below it stand in the file */
	struct buf times_ends; /* of its blocks: u32, column behind the last one */
	bool times_forgotten;  /* the columns of some blocks are not known any more */
	bool any;
	uint32_t last_id;
	int64_t last_t;
	struct cfile_id_unit *pairs; /* in metric order */
	size_t pairs_count, pairs_cap;
	/* the unit of other bytes being filled */
	struct buf opaque_table, opaque_bytes;
	uint32_t *opaque_ids;
	uint32_t opaque_count;
	bool opaque_any;
	/* the label block being filled */
	struct buf labels, before;
	uint32_t labels_count, labels_first, labels_last, labels_min, labels_max;
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

static void flush(struct cfile_writer *w)
{
	if (!w->err && w->out.len)
		w->err = fsio_write_at(w->io, w->out.data, w->out.len, w->off - w->out.len);
	buf_clear(&w->out);
}

static void id_seen(struct cfile_writer *w, uint32_t id)
{
	if (!w->file.any_id || id > w->file.id_max)
		w->file.id_max = id;
	w->file.any_id = true;
}

static void memory_make(struct cfile_writer *w)
{
	w->entries = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*w->entries));
	w->streams = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*w->streams));
	w->table = mem_zalloc(STREAMS_TABLE * sizeof(*w->table));
	w->ids = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*w->ids));
	w->opaque_ids = mem_array(NULL, CFILE_UNIT_ENTRIES_MAX, sizeof(*w->opaque_ids));
	cfile_columns_init(&w->columns, w->file.meta.start_ms);
	w->zstd = ZSTD_createCCtx();
	if (!w->zstd)
		panic("no memory for a zstd context");
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
	memcpy(w->file.name, name, strlen(name) + 1);
	w->file.meta = *m;
	w->file.meta.flags &= CFILE_SEALED | CFILE_OWN | CFILE_METRIC;
	w->metric = (m->flags & CFILE_METRIC) != 0;
	bool cold = (m->flags & CFILE_SEALED) && m->end_ms - m->start_ms > SAMPLE_RANGE_MS;
	w->effort = cold ? CHUNK_COLD : CHUNK_BEST;
	w->file.stats.t_min_ms = INT64_MAX;
	w->file.stats.t_max_ms = INT64_MIN;
	memory_make(w);
	cfile_header_put(w->header, m, 0);
	w->file.header_crc = wire_load32(w->header + CFILE_HEADER - 4);
	buf_add(&w->out, w->header, CFILE_HEADER);
	w->off = w->units.end = w->opaque.end = w->blocks.end = w->times.end = CFILE_HEADER;
	*out = w;
	return ERR_OK;
}

static void writer_free(struct cfile_writer *w)
{
	struct buf *bufs[] = { &w->out, &w->work, &w->units.dir, &w->opaque.dir, &w->blocks.dir,
		&w->times.dir, &w->values, &w->times_ends, &w->opaque_table, &w->opaque_bytes,
		&w->labels, &w->before };
	for (size_t i = 0; i < COUNT_OF(bufs); i++)
		buf_release(bufs[i]);
	cfile_columns_release(&w->columns);
	mem_free(w->entries);
	mem_free(w->streams);
	mem_free(w->table);
	mem_free(w->ids);
	mem_free(w->opaque_ids);
	mem_free(w->pairs);
	ZSTD_freeCCtx(w->zstd);
	fsio_close(w->io);
	mem_free(w);
}

void cfile_writer_abort(struct cfile_writer *w)
{
	/* When even the removal fails the file stays unnamed and goes at the next start. */
	(void)!fsio_remove(w->dir, w->file.name);
	writer_free(w);
}

uint64_t cfile_writer_bytes(const struct cfile_writer *w)
{
	return w->off;
}

/* ---- pieces ---- */

/* Packs w->work to payload when that pays, else copies it. Returns the length. */
static size_t payload_put(struct cfile_writer *w, struct cfile_head *h, uint8_t *payload, size_t bound)
{
	size_t raw_len = w->work.len, most = raw_len;
	bool sealed = (w->file.meta.flags & CFILE_SEALED) != 0;
	if (h->magic == CFILE_MAGIC_UNIT)
		most = w->effort == CHUNK_COLD ? raw_len - raw_len / ZSTD_UNIT_GAIN : 0;
	if (h->magic == CFILE_MAGIC_TIMES)
		most = 0;
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

/* Head and payload (in w->work) behind what is there; returns the bytes. */
static uint32_t piece_put(struct cfile_writer *w, struct cfile_head *h, struct list *l)
{
	uint32_t seed = cfile_seed(w->file.header_crc, w->off);
	size_t raw_len = w->work.len;
	CHECK(raw_len <= CFILE_UNIT_RAW_MAX);
	size_t bound = ZSTD_compressBound(raw_len);
	if (!buf_reserve(&w->out, CFILE_UNIT_HEAD + bound + raw_len))
		return 0;
	uint8_t *head = w->out.data + w->out.len, *payload = head + CFILE_UNIT_HEAD;
	size_t len = payload_put(w, h, payload, bound);
	h->len = (uint32_t)len;
	h->raw_len = (uint32_t)raw_len;
	h->crc = crc32c(seed, payload, len);
	cfile_head_put(head, h, seed);
	w->out.len += CFILE_UNIT_HEAD + len;
	if (l) {
		wire_put_varint(&l->dir, w->off - l->end);
		wire_put_varint(&l->dir, CFILE_UNIT_HEAD + len);
		l->count++;
	}
	w->off += CFILE_UNIT_HEAD + len;
	if (l)
		l->end = w->off;
	if (w->out.len >= WRITE_AT_ONCE)
		flush(w);
	return (uint32_t)(CFILE_UNIT_HEAD + len);
}

/* The ids of a piece that was put, in a list in their order. */
static void ids_put(struct list *l, const uint32_t *ids, uint32_t count)
{
	wire_put_zigzag(&l->dir, (int64_t)ids[0] - l->id);
	cfile_runs_put(&l->dir, ids, count);
	l->id = ids[count - 1];
}

/* ---- time columns ---- */

/* A block of the columns [from, to); in the directory when there is a list. */
static uint32_t times_block(struct cfile_writer *w, uint32_t from, uint32_t to, struct list *l)
{
	struct cfile_head h = { .magic = CFILE_MAGIC_TIMES,
		.count = to - from,
		.first_id = w->columns.base + from,
		.last_id = w->columns.base + to - 1 };
	cfile_columns_block(&w->columns, from, to, &w->work);
	uint32_t bytes = piece_put(w, &h, l);
	if (l)
		wire_put_varint(&l->dir, h.count);
	w->file.stats.times_bytes += bytes;
	return bytes;
}

/* New ones, in front of the unit that needs them: a cut file has the times of its units. */
static void times_put(struct cfile_writer *w)
{
	while (w->times_at < w->columns.count) {
		uint32_t to = cfile_columns_split(&w->columns, w->times_at);
		(void)times_block(w, w->times_at, to, &w->times);
		wire_put_u32(&w->times_ends, to);
		w->times_at = to;
	}
	if (w->columns.streams.len > CFILE_TIMES_KEPT) {
		w->times_forgotten = true;
		w->times_at = 0;
		cfile_columns_forget(&w->columns);
	}
}

/* All once more, when they are few. */
static void times_again(struct cfile_writer *w)
{
	uint64_t bytes = w->file.stats.times_bytes;
	if (w->times_forgotten || !bytes ||
	    (bytes > TIMES_TWICE && bytes > w->off / TIMES_TWICE_PART))
		return;
	w->times_copy = w->off;
	for (uint32_t at = 0, i = 0; at < w->columns.count; i++) {
		uint32_t to = wire_load32(w->times_ends.data + (size_t)i * 4);
		(void)times_block(w, at, to, NULL);
		at = to;
	}
}

/* ---- units of samples ---- */

/* Ids ascending; entries of one id stay in their order. They are few and come in runs. */
static void entries_sort(struct cfile_writer *w)
{
	struct entry *e = w->entries;
	for (uint32_t i = 1; i < w->count; i++) {
		struct entry x = e[i];
		uint32_t lo = 0, hi = i;
		if (e[i - 1].id <= x.id)
			continue;
		while (lo < hi) {
			uint32_t mid = lo + (hi - lo) / 2;
			if (e[mid].id <= x.id)
				lo = mid + 1;
			else
				hi = mid;
		}
		memmove(e + lo + 1, e + lo, (i - lo) * sizeof(*e));
		e[lo] = x;
	}
}

static void entry_put(struct cfile_writer *w, uint32_t i, uint32_t first_id)
{
	const struct entry *e = &w->entries[i], *before = i ? e - 1 : NULL;
	struct stream *s = &w->streams[e->stream];
	bool other_column = !before || before->column != e->column || before->count != e->count;
	bool follows = !before || before->stream != e->stream;
	wire_put_varint(&w->work,
	    (uint64_t)(e->id - (before ? before->id : first_id)) << 2 |
	        (uint64_t)other_column << 1 | follows);
	if (other_column) {
		int64_t step = (int64_t)e->column - (before ? before->column : 0);
		bool other_count = !before || before->count != e->count;
		wire_put_varint(&w->work, wire_zigzag_of((uint64_t)step) << 1 | other_count);
		if (other_count)
			wire_put_varint(&w->work, e->count);
	}
	if (follows) {
		wire_put_varint(&w->work, s->last ? 0 : s->len);
		if (s->last)
			wire_put_varint(&w->work, i + 1 - s->last);
	}
	s->last = i + 1;
}

static void pairs_add(struct cfile_writer *w)
{
	for (uint32_t i = 0; i < w->count; i++) {
		if (i && w->ids[i] == w->ids[i - 1])
			continue;
		if (w->pairs_count == w->pairs_cap) {
			w->pairs_cap = w->pairs_cap ? 2 * w->pairs_cap : 1024;
			w->pairs = mem_array(w->pairs, w->pairs_cap, sizeof(*w->pairs));
		}
		w->pairs[w->pairs_count++] = (struct cfile_id_unit){ w->ids[i], w->units.count - 1 };
	}
}

static void unit_close(struct cfile_writer *w)
{
	if (w->count == 0)
		return;
	times_put(w);
	entries_sort(w);
	uint32_t n = w->count;
	for (uint32_t i = 0; i < n; i++)
		w->ids[i] = w->entries[i].id;
	buf_clear(&w->work);
	for (uint32_t i = 0; i < n; i++)
		entry_put(w, i, w->ids[0]);
	for (uint32_t i = 0; i < n; i++) { /* in the order in which entries meet them */
		struct stream *s = &w->streams[w->entries[i].stream];
		if (s->last)
			buf_add(&w->work, w->values.data + s->off, s->len);
		s->last = 0;
	}
	struct cfile_head h = { .magic = CFILE_MAGIC_UNIT,
		.kind = w->kind,
		.count = n,
		.first_id = w->ids[0],
		.last_id = w->ids[n - 1] };
	(void)piece_put(w, &h, &w->units);
	if (w->metric)
		pairs_add(w);
	else
		ids_put(&w->units, w->ids, n);
	w->file.kinds |= 1u << w->kind;
	buf_clear(&w->values);
	memset(w->table, 0, STREAMS_TABLE * sizeof(*w->table));
	w->count = w->streams_count = 0;
}

/* The stream at the end of values; when the unit has an equal one, that one. */
static uint32_t stream_number(struct cfile_writer *w, uint32_t off)
{
	uint32_t len = num_u32(w->values.len) - off;
	const uint8_t *p = w->values.data + off;
	uint64_t hash = hash64(p, len, len);
	uint32_t at = (uint32_t)hash % STREAMS_TABLE;
	for (; w->table[at]; at = (at + 1) % STREAMS_TABLE) {
		const struct stream *s = &w->streams[w->table[at] - 1];
		if (s->hash != hash || s->len != len || memcmp(w->values.data + s->off, p, len))
			continue;
		w->values.len = off;
		return w->table[at] - 1u;
	}
	w->streams[w->streams_count] = (struct stream){ .hash = hash, .off = off, .len = len };
	w->table[at] = (uint16_t)++w->streams_count;
	return w->streams_count - 1;
}

static bool is_full(const struct cfile_writer *w)
{
	size_t target = w->metric ? CFILE_UNIT_METRIC : CFILE_UNIT_TARGET;
	return w->count == CFILE_UNIT_ENTRIES_MAX || w->values.len + 2u * w->count >= target;
}

bool cfile_chunk_encode(const struct sample_column *col, enum chunk_effort effort, struct buf *out)
{
	size_t before = out->len;
	chunk_values_encode(col->v, col->count, effort, out);
	if (histchunk_wanted(col))
		histchunk_encode(col, out);
	if (out->len - before <= (col->h ? STREAM_HISTS : STREAM_SPLIT) || col->count == 1)
		return true;
	out->len = before;
	return false;
}

enum chunk_effort cfile_writer_effort(const struct cfile_writer *w)
{
	return w->effort;
}

/* Makes room for an entry of a kind; where its stream begins. */
static uint32_t entry_begin(struct cfile_writer *w, uint8_t kind)
{
	if (is_full(w) || (w->count && kind != w->kind))
		unit_close(w);
	w->kind = kind;
	return num_u32(w->values.len);
}

/* Its stream stands at the end of values. */
static void entry_end(
    struct cfile_writer *w, uint32_t id, const int64_t *t_ms, uint32_t n, uint32_t off)
{
	struct cfile_stats *st = &w->file.stats;
	uint32_t column = cfile_columns_number(&w->columns, t_ms, n);
	uint32_t stream = stream_number(w, off);
	w->entries[w->count++] =
	    (struct entry){ .id = id, .count = n, .column = column, .stream = stream };
	st->samples += n;
	st->t_min_ms = t_ms[0] < st->t_min_ms ? t_ms[0] : st->t_min_ms;
	st->t_max_ms = t_ms[n - 1] > st->t_max_ms ? t_ms[n - 1] : st->t_max_ms;
}

static struct sample_column part_of(const struct sample_column *col, uint32_t at, uint32_t n)
{
	return (struct sample_column){ .count = n,
		.t_ms = col->t_ms + at,
		.v = col->v + at,
		.h = col->h ? col->h + at : NULL,
		.start_ms = col->start_ms ? col->start_ms + at : NULL };
}

static void chunk_add(struct cfile_writer *w, uint32_t id, const struct sample_column *col)
{
	uint32_t off = entry_begin(w, histchunk_wanted(col) ? CFILE_HISTS : CFILE_FLOATS);
	if (cfile_chunk_encode(col, w->effort, &w->values)) {
		entry_end(w, id, col->t_ms, col->count, off);
		return;
	}
	struct sample_column a = part_of(col, 0, col->count / 2),
	                     b = part_of(col, a.count, col->count - a.count);
	chunk_add(w, id, &a);
	chunk_add(w, id, &b);
}

/* Checks what comes next, and counts the series. */
static void series_begin(struct cfile_writer *w, uint32_t id, int64_t first_ms, int64_t last_ms)
{
	bool again = w->any && id == w->last_id;
	CHECK(!w->any || w->metric || id >= w->last_id);
	CHECK(first_ms >= w->file.meta.start_ms);
	CHECK(last_ms < w->file.meta.end_ms);
	CHECK(!again || first_ms > w->last_t);
	w->file.stats.series += !again;
	w->any = true;
	w->last_id = id;
	w->last_t = last_ms;
	id_seen(w, id);
}

enum err cfile_writer_add(struct cfile_writer *w, uint32_t id, const struct sample_column *col)
{
	if (w->err || col->count == 0)
		return w->err;
	series_begin(w, id, col->t_ms[0], col->t_ms[col->count - 1]);
	for (uint32_t at = 0; at < col->count && !w->err; at += CHUNK_SAMPLES_MAX) {
		uint32_t left = col->count - at;
		struct sample_column part =
		    part_of(col, at, left < CHUNK_SAMPLES_MAX ? left : CHUNK_SAMPLES_MAX);
		chunk_add(w, id, &part);
	}
	return w->err;
}

enum err cfile_writer_add_chunk(struct cfile_writer *w, uint32_t id, enum cfile_kind kind,
    const int64_t *t_ms, uint32_t count, const uint8_t *chunk, size_t len)
{
	CHECK(count > 0 && count <= CHUNK_SAMPLES_MAX);
	if (w->err)
		return w->err;
	series_begin(w, id, t_ms[0], t_ms[count - 1]);
	uint32_t off = entry_begin(w, (uint8_t)kind);
	buf_add(&w->values, chunk, len);
	entry_end(w, id, t_ms, count, off);
	return w->err;
}

/* ---- other bytes ---- */

static void opaque_close(struct cfile_writer *w)
{
	uint32_t n = w->opaque_count;
	if (n == 0)
		return;
	buf_clear(&w->work);
	buf_add(&w->work, w->opaque_table.data, w->opaque_table.len);
	buf_add(&w->work, w->opaque_bytes.data, w->opaque_bytes.len);
	struct cfile_head h = { .magic = CFILE_MAGIC_UNIT,
		.kind = CFILE_OPAQUE,
		.count = n,
		.first_id = w->opaque_ids[0],
		.last_id = w->opaque_ids[n - 1] };
	(void)piece_put(w, &h, &w->opaque);
	ids_put(&w->opaque, w->opaque_ids, n);
	w->file.kinds |= 1u << CFILE_OPAQUE;
	buf_clear(&w->opaque_table);
	buf_clear(&w->opaque_bytes);
	w->opaque_count = 0;
}

enum err cfile_writer_add_opaque(struct cfile_writer *w, uint32_t id, const void *bytes, size_t len)
{
	if (w->err)
		return w->err;
	if (len > CFILE_OPAQUE_MAX)
		return ERR_TOOBIG;
	if (w->opaque_count == CFILE_UNIT_ENTRIES_MAX ||
	    (w->opaque_count && w->opaque_bytes.len + len > CFILE_UNIT_TARGET))
		opaque_close(w);
	uint32_t last = w->opaque_count ? w->opaque_ids[w->opaque_count - 1] : id;
	CHECK(w->opaque_count ? id > last : !w->opaque_any || id > w->opaque.id);
	wire_put_varint(&w->opaque_table, id - last);
	wire_put_varint(&w->opaque_table, len);
	buf_add(&w->opaque_bytes, bytes, len);
	w->opaque_ids[w->opaque_count++] = id;
	w->opaque_any = true;
	id_seen(w, id);
	return w->err;
}

/* ---- definitions ---- */

static void block_close(struct cfile_writer *w)
{
	if (w->labels_count == 0)
		return;
	buf_clear(&w->work);
	wire_put_zigzag(&w->work, (int64_t)w->labels_first - w->labels_min);
	buf_add(&w->work, w->labels.data, w->labels.len);
	struct cfile_head h = { .magic = CFILE_MAGIC_BLOCK,
		.count = w->labels_count,
		.first_id = w->labels_min,
		.last_id = w->labels_max };
	w->file.stats.label_bytes += piece_put(w, &h, &w->blocks);
	wire_put_zigzag(&w->blocks.dir, (int64_t)h.first_id - w->blocks.id);
	wire_put_varint(&w->blocks.dir, h.last_id - h.first_id);
	w->blocks.id = h.first_id;
	buf_clear(&w->labels);
	buf_clear(&w->before);
	w->labels_count = 0;
}

/* The id of a definition: the first one of a block is put when its lowest id is known. */
static void label_id(struct cfile_writer *w, uint32_t id)
{
	if (w->labels_count == 0) {
		w->labels_first = w->labels_min = w->labels_max = id;
		return;
	}
	wire_put_zigzag(&w->labels, (int64_t)id - w->labels_last);
	w->labels_min = id < w->labels_min ? id : w->labels_min;
	w->labels_max = id > w->labels_max ? id : w->labels_max;
}

enum err cfile_writer_define(struct cfile_writer *w, uint32_t id, uint32_t tenant, struct labels ls)
{
	if (w->err)
		return w->err;
	if (ls.len > CFILE_LABELS_MAX)
		return ERR_TOOBIG;
	CHECK(!w->labels_any || w->metric || id > w->labels_last);
	if (w->labels_count == CFILE_BLOCK_ENTRIES_MAX || w->labels.len >= CFILE_BLOCK_TARGET)
		block_close(w);
	label_id(w, id);
	size_t shared = 0, max = w->before.len < ls.len ? w->before.len : ls.len;
	while (shared < max && w->before.data[shared] == ls.bytes[shared])
		shared++;
	wire_put_varint(&w->labels, tenant);
	wire_put_varint(&w->labels, shared);
	wire_put_varint(&w->labels, ls.len - shared);
	buf_add(&w->labels, ls.bytes + shared, ls.len - shared);
	w->before.len = shared;
	buf_add(&w->before, ls.bytes + shared, ls.len - shared);
	w->labels_last = id;
	w->labels_any = true;
	w->labels_count++;
	id_seen(w, id);
	return w->err;
}

void cfile_writer_labels_all(struct cfile_writer *w)
{
	w->file.meta.flags |= CFILE_LABELS_ALL;
}

/* ---- the end ---- */

static void directory_make(struct cfile_writer *w, struct buf *b)
{
	buf_clear(b);
	wire_put_varint(b, w->units.count);
	wire_put_varint(b, w->opaque.count);
	wire_put_varint(b, w->blocks.count);
	wire_put_varint(b, w->times.count);
	buf_add(b, w->units.dir.data, w->units.dir.len);
	buf_add(b, w->opaque.dir.data, w->opaque.dir.len);
	buf_add(b, w->blocks.dir.data, w->blocks.dir.len);
	buf_add(b, w->times.dir.data, w->times.dir.len);
	wire_put_varint(b, w->times_copy);
	if (w->metric)
		cfile_ids_put(b, w->pairs, w->pairs_count);
}

static void directory_put(struct cfile_writer *w)
{
	struct cfile *f = &w->file;
	struct buf *b = &w->work;
	uint8_t tail[CFILE_FOOTER];
	directory_make(w, b);
	size_t len = b->len, bound = ZSTD_compressBound(len);
	if (len > CFILE_DIR_MAX) {
		w->err = ERR_TOOBIG;
		return;
	}
	uint8_t *packed = mem_alloc(bound);
	size_t packed_len = ZSTD_compressCCtx(w->zstd, packed, bound, b->data, len, ZSTD_LEVEL);
	bool pays = !ZSTD_isError(packed_len) && packed_len < len;
	const uint8_t *p = pays ? packed : b->data;
	f->dir_off = w->off;
	f->dir_len = num_u32(pays ? packed_len : len);
	f->dir_raw_len = pays ? num_u32(len) : 0;
	f->dir_crc = crc32c(cfile_seed(f->header_crc, w->off), p, f->dir_len);
	f->stats.directory_bytes = (uint64_t)f->dir_len + CFILE_FOOTER + CFILE_HEADER;
	f->stats.units = w->units.count;
	f->stats.blocks = w->blocks.count;
	f->stats.size_bytes = w->off + f->dir_len + CFILE_FOOTER;
	cfile_footer_put(tail, f, w->header);
	buf_add(&w->out, p, f->dir_len);
	buf_add(&w->out, tail, sizeof(tail));
	w->off = f->stats.size_bytes;
	mem_free(packed);
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
	opaque_close(w);
	block_close(w);
	times_again(w);
	flush(w);
	directory_put(w);
	enum err e = cfile_writer_sync(w);
	if (e) {
		cfile_writer_abort(w);
		return e;
	}
	metric_add(M_FILES_WRITTEN_BYTES, w->off);
	if (stats)
		*stats = w->file.stats;
	writer_free(w);
	return ERR_OK;
}
