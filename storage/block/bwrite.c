#include "storage/block/bwrite.h"

#include "core/base/clock.h"
#include "core/base/fslock.h"
#include "core/base/mem.h"
#include "core/model/chunkenc.h"
#include "storage/block/bchunk.h"
#include "storage/block/bsort.h"
#include "storage/block/bstream.h"
#include "storage/block/btomb.h"
#include "storage/block/bwindex.h"
#include "storage/chunk/colruns.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define SEGMENT_MAGIC  0x85BD40DDu
#define SEGMENT_HEAD   8u
#define SEGMENT_BUFFER ((size_t)1 << 20)
#define PART_BYTES     ((size_t)256 << 10) /* of chunks in one record of the sort */
#define CHUNK_FRAME    10u                 /* length, encoding, CRC of a chunk at most */
#define LOOK           1024u               /* series between two questions whether to go on */
#define TMP_END        ".tmp-for-creation"
#define TMP_NAME       (BULID_LEN + sizeof(TMP_END))
#define LOCK_NAME      "lock" /* in the scratch directory */

/*
 * A record of the sort. Key: BE64 of the block's number (time / block_ms, the sign flipped), then
 * the labels so that order of bytes is that of label_cmp: each text with 00 as 00 ff and 00 01
 * behind it. Value: chunks, each { type, zigzag t_min, varint t_max - t_min, varint samples, varint
 * length, data }.
 */
struct piece { /* a chunk of a value */
	uint8_t type;
	int64_t t_min_ms, t_max_ms;
	uint64_t samples;
	const uint8_t *data;
	size_t len;
};
struct made_block {
	struct bmeta meta;
	char tmp[TMP_NAME + 1 + BULID_LEN]; /* SCRATCH/ULID */
};
struct bwrite {
	struct fsio_dir *dir, *scratch;
	char scratch_name[TMP_NAME];
	struct fslock *lock; /* of scratch */
	int64_t block_ms, chunk_ms;
	size_t memory;
	uint32_t segment_bytes;
	const char *thanos;
	struct bsort *sort;
	struct bulid_maker ulids;
	bool any;
	int64_t base; /* number of the first block that came */
	struct buf key, value;
	struct bwrite_counts counts;
	enum err err;
	/* finishing */
	struct errbuf *eb;
	bool (*keep_going)(void *arg);
	void *arg;
	struct made_block *blocks;
	size_t blocks_count, blocks_cap;
	/* the block that is made */
	struct fsio_dir *block_dir, *chunks_dir;
	struct bwindex *index;
	struct bout segment;
	uint32_t segment_no;
	struct made_block *block;
	/* the series that is collected */
	struct buf series_key, parts; /* parts: values one behind the other */
	uint32_t parts_count;
	struct label *labels;
	size_t labels_cap;
	struct buf texts; /* of labels */
	struct bindex_chunk *chunks;
	size_t chunks_cap;
	struct column all;
	struct colruns runs;
	struct buf bits, again;
};

/* ---- opening ---- */

static struct bulid new_ulid(struct bwrite *w)
{
	uint8_t random[10];
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		memset(random, 0, sizeof(random));
	return bulid_next(&w->ulids, clock_wall_ms(), random);
}

static void tree_remove(struct fsio_dir *parent, const char *name);

/* What a writer that was killed has left. */
static enum err look_at_entry(void *arg, const char *name)
{
	struct fsio_dir *parent = arg, *sub;
	struct fslock *lock;
	struct errbuf why;
	size_t len = strlen(name);
	errbuf_init(&why);
	if (len != TMP_NAME - 1 || !bulid_is(name, BULID_LEN) ||
	    strcmp(name + BULID_LEN, TMP_END) != 0 || fsio_dir_sub(parent, name, false, &sub))
		return ERR_OK;
	if (!fslock_take_left(sub, LOCK_NAME, &lock, &why)) {
		tree_remove(parent, name);
		fslock_drop(lock);
	}
	fsio_dir_close(sub);
	return ERR_OK;
}

static enum err open_dirs(struct bwrite *w, const char *dir, struct errbuf *eb)
{
	struct bulid u = new_ulid(w);
	enum err e = fsio_dir_open(dir, true, &w->dir);
	if (!e)
		e = fsio_dir_each(w->dir, look_at_entry, w->dir);
	if (!e) {
		snprintf(w->scratch_name, sizeof(w->scratch_name), "%s" TMP_END, u.text);
		e = fsio_dir_sub(w->dir, w->scratch_name, true, &w->scratch);
	}
	if (e)
		return errbuf_set(eb, e, "%s: %s", dir, err_why(e));
	return fslock_take(w->scratch, LOCK_NAME, &w->lock, eb);
}

static size_t part_of_memory(const struct bwrite *w, unsigned quarters)
{
	return w->memory / 4 * quarters;
}

enum err bwrite_open(
    const char *dir, const struct bwrite_opts *opts, struct bwrite **out, struct errbuf *eb)
{
	struct bwrite *w = mem_zalloc(sizeof(*w));
	w->block_ms = opts->block_ms ? opts->block_ms : SAMPLE_RANGE_MS;
	w->chunk_ms = opts->chunk_ms ? opts->chunk_ms : w->block_ms;
	w->memory = opts->memory_bytes ? opts->memory_bytes : BWRITE_MEMORY;
	w->memory = w->memory < BWRITE_MEMORY_LEAST ? BWRITE_MEMORY_LEAST : w->memory;
	w->segment_bytes = opts->segment_bytes ? opts->segment_bytes : BWRITE_SEGMENT;
	w->thanos = opts->thanos;
	enum err e = open_dirs(w, dir, eb);
	if (e) {
		bwrite_abandon(w);
		return e;
	}
	w->sort = bsort_create(w->scratch, part_of_memory(w, 3), false);
	*out = w;
	return ERR_OK;
}

struct bwrite_counts bwrite_counts(const struct bwrite *w)
{
	struct bwrite_counts c = w->counts;
	c.runs = w->sort ? bsort_runs(w->sort) : c.runs;
	c.spilled_bytes = w->sort ? bsort_spilled(w->sort) : c.spilled_bytes;
	return c;
}

/* ---- adding ---- */

static void key_text(struct buf *b, const char *s, uint32_t len)
{
	const char *end = s + len, *nul;
	while ((nul = len ? memchr(s, 0, (size_t)(end - s)) : NULL)) {
		buf_add(b, s, (size_t)(nul - s));
		buf_add(b, "\0\xff", 2);
		s = nul + 1;
		len = (uint32_t)(end - s);
	}
	buf_add(b, s, (size_t)(end - s));
	buf_add(b, "\0\1", 2);
}

static const char name_key[] = "__name__\0\1"; /* and the NUL that C puts behind it */
#define NAME_KEY (sizeof(name_key) - 1)

/*
 * 24 bits of the block, near the first one that came; then whether the labels begin before, with or
 * behind __name__, and what comes next: most series of a block differ there.
 */
static uint64_t key_prefix(const struct bwrite *w, int64_t block, const uint8_t *labels, size_t len)
{
	uint8_t next[8] = { 0 };
	int64_t near = num_sat_add(num_sat_add(block, -w->base), 1 << 23);
	near = near < 0 ? 0 : near >= 1 << 24 ? (1 << 24) - 1 : near;
	size_t n = len < NAME_KEY ? len : NAME_KEY;
	int c = memcmp(labels, name_key, n);
	bool same = !c && len >= NAME_KEY;
	next[0] = same ? 1 : c > 0 ? 2 : 0;
	if (same) {
		labels += NAME_KEY;
		len -= NAME_KEY;
		memcpy(next + 1, labels, len < 4 ? len : 4);
	}
	uint64_t v = __builtin_bswap64(wire_load64(next)); /* five bytes of it */
	return (uint64_t)near << 40 | v >> 24;
}

static void key_make(struct bwrite *w, struct labels labels)
{
	struct label_iter it = label_iter(labels);
	struct label l;
	static const uint8_t block[8];
	buf_clear(&w->key);
	buf_add(&w->key, block, sizeof(block));
	while (label_next(&it, &l)) {
		key_text(&w->key, l.name, l.name_len);
		key_text(&w->key, l.value, l.value_len);
	}
}

static enum err record_add(struct bwrite *w, int64_t block)
{
	uint64_t no = __builtin_bswap64((uint64_t)block ^ UINT64_C(1) << 63);
	memcpy(w->key.data, &no, sizeof(no));
	struct bsort_record r = { .prefix = key_prefix(w, block, w->key.data + 8, w->key.len - 8),
		.key = w->key.data,
		.key_len = num_u32(w->key.len),
		.value = w->value.data,
		.value_len = num_u32(w->value.len) };
	enum err e = bsort_add(w->sort, &r);
	buf_clear(&w->value);
	return e;
}

static void piece_put(struct buf *out, const struct chunkenc *told, const struct buf *bits)
{
	buf_add_u8(out, (uint8_t)told->type);
	wire_put_zigzag(out, told->t_min_ms);
	wire_put_varint(out, (uint64_t)told->t_max_ms - (uint64_t)told->t_min_ms);
	wire_put_varint(out, told->count);
	wire_put_lenbytes(out, bits->data, bits->len);
}

static int64_t block_of(const struct bwrite *w, int64_t t)
{
	int64_t b = t / w->block_ms;
	return b - (t % w->block_ms < 0);
}

/* How many rows from `from` on lie in the same block. */
static uint32_t rows_of_block(const struct bwrite *w, const struct sample_column *c, uint32_t from)
{
	int64_t block = block_of(w, c->t_ms[from]);
	if (block_of(w, c->t_ms[c->count - 1]) == block)
		return c->count - from;
	uint32_t lo = from, hi = c->count - 1; /* the last one is of a later block */
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (block_of(w, c->t_ms[mid]) == block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - from;
}

static struct sample_column rows(const struct sample_column *c, uint32_t from, uint32_t n)
{
	return (struct sample_column){
		.count = n, .t_ms = c->t_ms + from, .v = c->v + from, .h = c->h ? c->h + from : NULL
	};
}

static enum err add_block(struct bwrite *w, const struct sample_column *c)
{
	int64_t block = block_of(w, c->t_ms[0]);
	enum err e = ERR_OK;
	if (!w->any)
		w->base = block;
	w->any = true;
	for (uint32_t at = 0; !e && at < c->count;) {
		struct chunkenc told;
		buf_clear(&w->bits);
		chunkenc_head_next(c, at, w->chunk_ms, &w->bits, &told);
		piece_put(&w->value, &told, &w->bits);
		at += told.count;
		if (w->value.len >= PART_BYTES || at == c->count)
			e = record_add(w, block);
	}
	return e;
}

enum err bwrite_add(
    struct bwrite *w, struct labels labels, const struct sample_column *c, struct errbuf *eb)
{
	if (!w->err && c->count) {
		key_make(w, labels);
		w->counts.added_samples += c->count;
		w->counts.added_parts++;
	}
	for (uint32_t at = 0; !w->err && at < c->count;) {
		uint32_t n = rows_of_block(w, c, at);
		struct sample_column part = rows(c, at, n);
		w->err = add_block(w, &part);
		at += n;
	}
	return w->err ? errbuf_set(eb, w->err, "sorting series: %s", err_why(w->err)) : ERR_OK;
}

/* ---- chunk files ---- */

static enum err segment_close(struct bwrite *w)
{
	return bout_close(&w->segment, true);
}

static enum err segment_open(struct bwrite *w)
{
	char name[16];
	enum err e = segment_close(w);
	if (e)
		return e;
	snprintf(name, sizeof(name), "%06u", ++w->segment_no);
	e = bout_open(&w->segment, w->chunks_dir, name, SEGMENT_BUFFER);
	if (e)
		return e;
	bout_put32(&w->segment, SEGMENT_MAGIC);
	bout_put(&w->segment, "\1\0\0", 4); /* the format, and three zeros */
	return ERR_OK;
}

static void chunk_write(struct bwrite *w, const struct piece *p)
{
	uint8_t len[10];
	bout_put(&w->segment, len, (size_t)(wire_store_varint(len, p->len) - len));
	bout_crc_begin(&w->segment);
	bout_sum(&w->segment, &p->type, 1);
	bout_sum(&w->segment, p->data, p->len);
	bout_crc(&w->segment);
}

/* ---- a series ---- */

static bool piece_take(struct wire_reader *r, struct piece *p)
{
	if (!wire_left(r))
		return false;
	p->type = wire_u8(r);
	p->t_min_ms = wire_zigzag(r);
	p->t_max_ms = (int64_t)((uint64_t)p->t_min_ms + wire_varint(r));
	p->samples = wire_varint(r);
	p->data = wire_lenbytes(r, &p->len);
	return !r->bad;
}

static void count_chunk(struct bwrite *w, const struct piece *p)
{
	struct bmeta *m = &w->block->meta;
	m->samples += p->samples;
	m->chunks++;
	if (p->type == CHUNKENC_XOR)
		m->floats += p->samples;
	else
		m->histograms += p->samples;
	if (m->chunks == 1 || p->t_min_ms < m->t_min_ms)
		m->t_min_ms = p->t_min_ms;
	if (m->chunks == 1 || p->t_max_ms >= m->t_max_ms)
		m->t_max_ms = num_sat_add(p->t_max_ms, 1);
}

/* All chunks of a series stand in one file, if one can hold them. */
static enum err pieces_write(struct bwrite *w, const struct buf *pieces, size_t *count)
{
	struct wire_reader r = wire_reader(pieces->data, pieces->len);
	struct piece p;
	uint64_t room = bout_at(&w->segment) + pieces->len;
	bool whole = room <= w->segment_bytes || pieces->len + SEGMENT_HEAD <= w->segment_bytes;
	enum err e = ERR_OK;
	if (whole && room > w->segment_bytes)
		e = segment_open(w);
	*count = 0;
	while (!e && piece_take(&r, &p)) {
		if (bout_at(&w->segment) + p.len + CHUNK_FRAME > w->segment_bytes &&
		    bout_at(&w->segment) > SEGMENT_HEAD)
			e = segment_open(w);
		if (e)
			return e;
		if (*count == w->chunks_cap) {
			w->chunks_cap = w->chunks_cap ? 2 * w->chunks_cap : 64;
			w->chunks = mem_array(w->chunks, w->chunks_cap, sizeof(*w->chunks));
		}
		w->chunks[(*count)++] = (struct bindex_chunk){ .t_min_ms = p.t_min_ms,
			.t_max_ms = p.t_max_ms,
			.ref = (uint64_t)(w->segment_no - 1) << 32 | bout_at(&w->segment) };
		chunk_write(w, &p);
		count_chunk(w, &p);
		e = w->segment.err;
	}
	return e ? e : r.bad ? ERR_BUG : ERR_OK;
}

/* A series that came in several parts: its chunks are cut anew, the later part wins. */
static enum err parts_join(struct bwrite *w)
{
	struct wire_reader r = wire_reader(w->parts.data, w->parts.len);
	struct piece p;
	while (piece_take(&r, &p)) {
		struct column *top = colruns_top(&w->runs);
		uint32_t had = top->count;
		enum err e = bchunk_decode(p.type, p.data, p.len, &w->bits, top, NULL);
		if (e)
			return ERR_BUG;
		if (had && top->count > had && top->t_ms[had] <= top->t_ms[had - 1])
			colruns_split(&w->runs, had);
	}
	colruns_join(&w->runs, &w->all);
	struct sample_column c = column_view(&w->all, 0, w->all.count);
	buf_clear(&w->again);
	for (uint32_t at = 0; at < c.count;) {
		struct chunkenc told;
		buf_clear(&w->bits);
		chunkenc_head_next(&c, at, w->chunk_ms, &w->bits, &told);
		piece_put(&w->again, &told, &w->bits);
		at += told.count;
	}
	return ERR_OK;
}

/* A text of a key, its zeros as they were; *at goes behind it. */
static uint32_t text_back(struct bwrite *w, const uint8_t *key, size_t *at)
{
	uint32_t from = num_u32(w->texts.len);
	for (;; *at += 2) {
		const uint8_t *nul = memchr(key + *at, 0, w->series_key.len - *at);
		CHECK(nul);
		buf_add(&w->texts, key + *at, (size_t)(nul - key) - *at);
		*at = (size_t)(nul - key);
		if (nul[1] == 1)
			break;
		buf_add_u8(&w->texts, 0);
	}
	*at += 2;
	return num_u32(w->texts.len) - from;
}

static size_t labels_back(struct bwrite *w)
{
	const uint8_t *key = w->series_key.data;
	size_t n = 0;
	buf_clear(&w->texts);
	buf_reserve(&w->texts, w->series_key.len); /* it does not move from here on */
	for (size_t at = 8; at < w->series_key.len;) {
		struct label l = { .name = (const char *)w->texts.data + w->texts.len };
		l.name_len = text_back(w, key, &at);
		l.value = (const char *)w->texts.data + w->texts.len;
		l.value_len = text_back(w, key, &at);
		if (n == w->labels_cap) {
			w->labels_cap = w->labels_cap ? 2 * w->labels_cap : 32;
			w->labels = mem_array(w->labels, w->labels_cap, sizeof(*w->labels));
		}
		w->labels[n++] = l;
	}
	return n;
}

static enum err series_end(struct bwrite *w)
{
	if (!w->parts_count)
		return ERR_OK;
	bool joined = w->parts_count > 1;
	enum err e = joined ? parts_join(w) : ERR_OK;
	size_t chunks = 0, labels = labels_back(w);
	if (!e)
		e = pieces_write(w, joined ? &w->again : &w->parts, &chunks);
	if (!e)
		e = bwindex_series(w->index, w->labels, labels, w->chunks, chunks);
	w->block->meta.series++;
	w->parts_count = 0;
	buf_clear(&w->parts);
	return e;
}

/* ---- a block ---- */

static enum err block_begin(struct bwrite *w)
{
	if (w->blocks_count == w->blocks_cap) {
		w->blocks_cap = w->blocks_cap ? 2 * w->blocks_cap : 8;
		w->blocks = mem_array(w->blocks, w->blocks_cap, sizeof(*w->blocks));
	}
	w->block = &w->blocks[w->blocks_count++];
	*w->block = (struct made_block){ .meta = { .ulid = new_ulid(w), .level = 1 } };
	const char *ulid = w->block->meta.ulid.text;
	snprintf(w->block->tmp, sizeof(w->block->tmp), "%s/%s", w->scratch_name, ulid);
	w->segment_no = 0;
	enum err e = fsio_dir_sub(w->scratch, ulid, true, &w->block_dir);
	if (!e)
		e = fsio_dir_sub(w->block_dir, "chunks", true, &w->chunks_dir);
	if (!e)
		e = segment_open(w);
	if (!e)
		w->index = bwindex_create(w->block_dir, "index", w->scratch, part_of_memory(w, 3));
	return e;
}

static enum err tombstones_write(struct bwrite *w)
{
	static const struct btombs none;
	struct buf b;
	buf_init(&b);
	btombs_write(&b, &none);
	enum err e = fsio_replace(w->block_dir, "tombstones", b.data, b.len);
	buf_release(&b);
	return e;
}

static enum err meta_write(struct bwrite *w)
{
	struct bmeta m = w->block->meta;
	struct buf b;
	m.sources = &w->block->meta.ulid;
	m.sources_count = 1;
	m.thanos = w->thanos;
	m.thanos_len = w->thanos ? strlen(w->thanos) : 0;
	buf_init(&b);
	bmeta_print(&b, &m);
	enum err e = fsio_replace(w->block_dir, "meta.json", b.data, b.len);
	buf_release(&b);
	return e;
}

static void dirs_close(struct bwrite *w)
{
	fsio_dir_close(w->chunks_dir);
	fsio_dir_close(w->block_dir);
	w->chunks_dir = w->block_dir = NULL;
}

static enum err block_end(struct bwrite *w)
{
	if (!w->block)
		return ERR_OK;
	enum err e = segment_close(w);
	if (!e)
		e = fsio_dir_sync(w->chunks_dir);
	if (!e)
		e = bwindex_finish(w->index, w->keep_going, w->arg, w->eb);
	else
		bwindex_abandon(w->index);
	w->index = NULL;
	if (!e)
		e = tombstones_write(w);
	if (!e)
		e = meta_write(w);
	if (!e)
		e = fsio_dir_sync(w->block_dir);
	dirs_close(w);
	const struct bmeta *m = &w->block->meta;
	w->counts.series += m->series;
	w->counts.samples += m->samples;
	w->counts.floats += m->floats;
	w->counts.histograms += m->histograms;
	w->counts.chunks += m->chunks;
	w->block = NULL;
	return e;
}

/* ---- the end ---- */

static bool same_key(const struct bwrite *w, const struct bsort_record *r)
{
	return w->series_key.len == r->key_len && memcmp(w->series_key.data, r->key, r->key_len) == 0;
}

/* Is it of another block than the record before? */
static bool other_block(const struct bwrite *w, const struct bsort_record *r)
{
	return !w->block || memcmp(w->series_key.data, r->key, 8) != 0;
}

static enum err record(struct bwrite *w, const struct bsort_record *r)
{
	enum err e = ERR_OK;
	if (!w->parts_count || !same_key(w, r)) {
		e = series_end(w);
		if (!e && other_block(w, r)) {
			e = block_end(w);
			if (!e)
				e = block_begin(w);
		}
		buf_clear(&w->series_key);
		buf_add(&w->series_key, r->key, r->key_len);
	}
	buf_add(&w->parts, r->value, r->value_len);
	w->parts_count++;
	return e;
}

static enum err all_blocks(struct bwrite *w)
{
	struct bsort_record r;
	enum err e = w->err ? w->err : bsort_begin(w->sort, part_of_memory(w, 1));
	for (uint64_t i = 0; !e && !(e = bsort_next(w->sort, &r)); i++) {
		e = record(w, &r);
		if (!e && i % LOOK == 0 && w->keep_going && !w->keep_going(w->arg))
			e = ERR_CANCELED;
	}
	if (e != ERR_NOTFOUND)
		return e;
	e = series_end(w);
	return e ? e : block_end(w);
}

/* Readers that look meanwhile see some of them; none that is half. */
static enum err publish(struct bwrite *w, size_t *published)
{
	enum err e = ERR_OK;
	for (*published = 0; !e && *published < w->blocks_count; *published += !e) {
		const struct made_block *b = &w->blocks[*published];
		e = fsio_rename(w->dir, b->tmp, b->meta.ulid.text);
	}
	return e ? e : fsio_dir_sync(w->dir);
}

static enum err entry_remove(void *arg, const char *name)
{
	tree_remove(arg, name);
	return ERR_OK;
}

static void tree_remove(struct fsio_dir *parent, const char *name)
{
	struct fsio_dir *sub;
	if (!fsio_remove(parent, name) || fsio_dir_sub(parent, name, false, &sub))
		return;
	enum err whatever = fsio_dir_each(sub, entry_remove, sub);
	fsio_dir_close(sub);
	whatever = fsio_dir_remove(parent, name);
	(void)whatever;
}

static void release(struct bwrite *w)
{
	enum err whatever = bout_close(&w->segment, false);
	(void)whatever;
	bwindex_abandon(w->index);
	bsort_free(w->sort);
	dirs_close(w);
	fslock_drop(w->lock);
	fsio_dir_close(w->scratch);
	if (w->dir && *w->scratch_name)
		tree_remove(w->dir, w->scratch_name);
	fsio_dir_close(w->dir);
	column_release(&w->all);
	colruns_release(&w->runs);
	struct buf *bufs[] = { &w->key, &w->value, &w->series_key, &w->parts, &w->texts, &w->bits,
		&w->again };
	for (size_t i = 0; i < COUNT_OF(bufs); i++)
		buf_release(bufs[i]);
	mem_free(w->labels);
	mem_free(w->chunks);
	mem_free(w->blocks);
	mem_free(w);
}

/* What is given back: the metas as they stand in the files. */
static struct bmeta *metas(struct bwrite *w, struct arena *a)
{
	struct bmeta *m = arena_array(a, w->blocks_count + 1, sizeof(*m));
	for (size_t i = 0; i < w->blocks_count; i++) {
		m[i] = w->blocks[i].meta;
		m[i].sources = arena_dup(a, &m[i].ulid, sizeof(m[i].ulid));
		m[i].sources_count = 1;
		m[i].thanos = w->thanos ? arena_strndup(a, w->thanos, strlen(w->thanos)) : NULL;
		m[i].thanos_len = w->thanos ? strlen(w->thanos) : 0;
	}
	return m;
}

enum err bwrite_finish(struct bwrite *w, struct arena *a, struct bmeta **blocks, size_t *count,
    bool (*keep_going)(void *arg), void *arg, struct errbuf *eb)
{
	size_t published = 0;
	w->eb = eb;
	w->keep_going = keep_going;
	w->arg = arg;
	enum err e = all_blocks(w);
	if (!e)
		e = publish(w, &published);
	if (e) {
		errbuf_set(eb, e, "writing blocks: %s", err_why(e));
		dirs_close(w);
		for (size_t i = 0; i < published; i++)
			tree_remove(w->dir, w->blocks[i].meta.ulid.text);
	} else {
		*blocks = metas(w, a);
		*count = w->blocks_count;
	}
	release(w);
	return e;
}

void bwrite_abandon(struct bwrite *w)
{
	if (w)
		release(w);
}
