#include "storage/block/bwindex.h"

#include "core/base/bytes.h"
#include "core/base/guard.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "storage/block/bpost.h"
#include "storage/block/bsort.h"
#include "storage/block/bstream.h"

#include <sys/random.h>

#define MAGIC      0xBAAAD700u
#define FORMAT     2
#define POST_ALIGN 4u
#define OUT_BUFFER ((size_t)1 << 20)
#define SEEN_SLOTS (1u << 16) /* texts that were added to the symbols lately */
#define STEP       8u         /* every so manyth symbol has its place in memory */
#define LOOK       4096u      /* series between two questions whether to go on */

struct slot { /* offset 0 = empty: symbols begin at 4 */
	uint32_t offset, symbol;
};
struct bwindex {
	struct fsio_dir *dir, *scratch;
	size_t memory;
	struct bout out, waiting; /* the index; series until symbols are known */
	struct bsort *symbols;
	uint64_t *seen; /* hashes */
	struct buf line;
	uint64_t series;
	enum err err;
	struct errbuf *eb;
	bool (*keep_going)(void *arg);
	void *arg;
	/* symbols, from the file itself */
	uint64_t symbols_at, series_at, series_end, postings_at, table_at;
	uint32_t symbols_count, symbols_len;
	const uint8_t *map;
	size_t map_len;
	const uint8_t *texts; /* their section behind its length: "offset" counts from here */
	uint64_t seed;        /* nobody chooses labels that meet */
	struct slot *slots;   /* NULL: there is no room for them */
	uint64_t mask;
	uint32_t *steps;
	/* postings */
	struct bpost *post;
};

/* ---- series come ---- */

struct bwindex *bwindex_create(
    struct fsio_dir *dir, const char *name, struct fsio_dir *scratch, size_t memory_bytes)
{
	struct bwindex *w = mem_zalloc(sizeof(*w));
	w->dir = dir;
	w->scratch = scratch;
	w->memory = memory_bytes;
	w->symbols = bsort_create(scratch, memory_bytes / 2, true);
	w->seen = mem_zalloc(SEEN_SLOTS * sizeof(*w->seen));
	buf_init(&w->line);
	if (getrandom(&w->seed, sizeof(w->seed), GRND_NONBLOCK) != (ssize_t)sizeof(w->seed))
		w->seed = (uint64_t)(uintptr_t)w;
	w->err = bout_open(&w->out, dir, name, OUT_BUFFER);
	if (!w->err)
		w->err = bout_scratch(&w->waiting, scratch, "series", OUT_BUFFER);
	return w;
}

static uint64_t text_prefix(const uint8_t *s, size_t len)
{
	uint8_t first[8] = { 0 };
	if (len)
		memcpy(first, s, len < 8 ? len : 8);
	return __builtin_bswap64(wire_load64(first));
}

static void symbol_add(struct bwindex *w, const char *s, uint32_t len)
{
	uint64_t h = hash64(s, len, w->seed);
	uint64_t *seen = &w->seen[h % SEEN_SLOTS];
	if (*seen == h || w->err) /* two texts of one 64-bit hash: see symbol_of */
		return;
	*seen = h;
	const uint8_t *bytes = (const uint8_t *)s;
	struct bsort_record r = { .prefix = text_prefix(bytes, len), .key = bytes, .key_len = len };
	w->err = bsort_add(w->symbols, &r);
}

/*
 * A line of the scratch file: u32 length of what follows, labels (varint count, texts), then
 * chunks as the index has them.
 */
static void line_labels(struct buf *b, const struct label *labels, size_t count)
{
	wire_put_varint(b, count);
	for (size_t i = 0; i < count; i++) {
		wire_put_lenbytes(b, labels[i].name, labels[i].name_len);
		wire_put_lenbytes(b, labels[i].value, labels[i].value_len);
	}
}

static void line_chunks(struct buf *b, const struct bindex_chunk *c, size_t count)
{
	wire_put_varint(b, count);
	for (size_t i = 0; i < count; i++) {
		CHECK(c[i].t_min_ms <= c[i].t_max_ms && (!i || c[i].t_min_ms > c[i - 1].t_max_ms));
		if (i == 0)
			wire_put_zigzag(b, c[i].t_min_ms);
		else
			wire_put_varint(b, (uint64_t)c[i].t_min_ms - (uint64_t)c[i - 1].t_max_ms);
		wire_put_varint(b, (uint64_t)c[i].t_max_ms - (uint64_t)c[i].t_min_ms);
		if (i == 0)
			wire_put_varint(b, c[i].ref);
		else
			wire_put_zigzag(b, (int64_t)(c[i].ref - c[i - 1].ref));
	}
}

enum err bwindex_series(struct bwindex *w, const struct label *labels, size_t count,
    const struct bindex_chunk *chunks, size_t chunks_count)
{
	for (size_t i = 0; i < count; i++) {
		symbol_add(w, labels[i].name, labels[i].name_len);
		symbol_add(w, labels[i].value, labels[i].value_len);
	}
	if (w->err)
		return w->err;
	buf_clear(&w->line);
	line_labels(&w->line, labels, count);
	line_chunks(&w->line, chunks, chunks_count);
	uint32_t len = num_u32(w->line.len);
	bout_put(&w->waiting, &len, sizeof(len));
	bout_put(&w->waiting, w->line.data, w->line.len);
	w->series++;
	return w->err = w->waiting.err;
}

/* ---- symbols ---- */

static enum err too_big(struct bwindex *w, const char *what)
{
	return errbuf_set(w->eb, ERR_TOOBIG, "a block has no room for so many %s", what);
}

/* The empty text is the first symbol, as in every block that Prometheus made of its head. */
static enum err symbols_write(struct bwindex *w)
{
	struct bout *o = &w->out;
	struct bsort_record r = { .key = (const uint8_t *)"" };
	enum err e = bsort_add(w->symbols, &r);
	if (!e)
		e = bsort_begin(w->symbols, w->memory / 4);
	bout_put32(o, MAGIC);
	bout_put(o, &(uint8_t){ FORMAT }, 1);
	w->symbols_at = bout_at(o);
	bout_put32(o, 0);
	/* the count stands first in what the CRC is of, but is known last */
	bout_put32(o, 0);
	uint64_t n = 0;
	while (!e && !(e = bsort_next(w->symbols, &r))) {
		uint8_t len[10];
		bout_put(o, len, (size_t)(wire_store_varint(len, r.key_len) - len));
		bout_put(o, r.key, r.key_len);
		n++;
	}
	if (e != ERR_NOTFOUND)
		return e;
	uint64_t len = bout_at(o) - w->symbols_at - 4;
	if (len > UINT32_MAX || n > UINT32_MAX)
		return too_big(w, "symbols");
	w->symbols_len = (uint32_t)len;
	w->symbols_count = (uint32_t)n;
	bsort_free(w->symbols);
	w->symbols = NULL;
	return o->err;
}

/* The section is read again: for its CRC, and to be looked up in from here on. */
static enum err symbols_map(struct bwindex *w)
{
	bout_patch32(&w->out, w->symbols_at, w->symbols_len);
	bout_patch32(&w->out, w->symbols_at + 4, w->symbols_count);
	if (w->out.err)
		return w->out.err;
	enum err e = fsio_map(w->out.file, &w->map, &w->map_len);
	if (e)
		return e;
	w->texts = w->map + w->symbols_at + 4;
	bout_put32(&w->out, crc32c(0, w->texts, w->symbols_len));
	w->series_at = bout_at(&w->out);
	return ERR_OK;
}

static struct bindex_text text_at(const struct bwindex *w, uint32_t offset)
{
	struct wire_reader r = wire_reader(w->texts + offset, w->symbols_len - offset);
	size_t len;
	const uint8_t *p = wire_lenbytes(&r, &len);
	return (struct bindex_text){ .s = (const char *)p, .len = (uint32_t)len };
}

static void slot_put(struct bwindex *w, struct bindex_text t, uint32_t offset, uint32_t symbol)
{
	uint64_t i = hash64(t.s, t.len, w->seed) & w->mask;
	while (w->slots[i].offset)
		i = (i + 1) & w->mask;
	w->slots[i] = (struct slot){ offset, symbol };
}

static void symbols_table(struct bwindex *w)
{
	uint64_t slots = 1024;
	while (slots < (uint64_t)w->symbols_count + w->symbols_count / 2)
		slots *= 2;
	if (slots * sizeof(struct slot) <= w->memory / 2) {
		w->slots = mem_zalloc((size_t)slots * sizeof(struct slot));
		w->mask = slots - 1;
	}
	w->steps = mem_array(NULL, w->symbols_count / STEP + 1, sizeof(*w->steps));
	uint32_t offset = 4;
	for (uint32_t i = 0; i < w->symbols_count; i++) {
		struct bindex_text t = text_at(w, offset);
		if (w->slots)
			slot_put(w, t, offset, i);
		if (i % STEP == 0)
			w->steps[i / STEP] = offset;
		offset += num_u32(wire_varint_len(t.len)) + t.len;
	}
}

/* By halves of the steps, then one by one. */
static bool symbol_step(const struct bwindex *w, const char *s, uint32_t len, uint32_t *out)
{
	uint32_t lo = 0, hi = (w->symbols_count - 1) / STEP;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo + 1) / 2;
		struct bindex_text t = text_at(w, w->steps[mid]);
		if (bytes_cmp(t.s, t.len, s, len) <= 0)
			lo = mid;
		else
			hi = mid - 1;
	}
	uint32_t offset = w->steps[lo];
	for (uint32_t i = lo * STEP; i < w->symbols_count && i < (lo + 1) * STEP; i++) {
		struct bindex_text t = text_at(w, offset);
		if (bytes_equal(t.s, t.len, s, len)) {
			*out = i;
			return true;
		}
		offset += num_u32(wire_varint_len(t.len)) + t.len;
	}
	return false;
}

/* False: two texts of one hash met, and the second is no symbol. */
static bool symbol_of(const struct bwindex *w, const char *s, uint32_t len, uint32_t *out)
{
	if (!w->slots)
		return symbol_step(w, s, len, out);
	for (uint64_t i = hash64(s, len, w->seed) & w->mask; w->slots[i].offset;
	     i = (i + 1) & w->mask) {
		struct bindex_text t = text_at(w, w->slots[i].offset);
		if (bytes_equal(t.s, t.len, s, len)) {
			*out = w->slots[i].symbol;
			return true;
		}
	}
	return false;
}

/* ---- series ---- */

static enum err entry(struct bwindex *w, const uint8_t *line, uint32_t len)
{
	struct bout *o = &w->out;
	bout_pad(o, BINDEX_ALIGN);
	uint64_t id = bout_at(o) / BINDEX_ALIGN;
	if (id > UINT32_MAX)
		return too_big(w, "series");
	struct wire_reader r = wire_reader(line, len);
	uint64_t n = wire_varint(&r);
	struct bpost_tuple t = { .id = (uint32_t)id };
	enum err e = bpost_add(w->post, t); /* ("", ""): all series; the empty text is symbol 0 */
	buf_clear(&w->line);
	wire_put_varint(&w->line, n);
	for (uint64_t i = 0; !e && i < n; i++) {
		size_t name_len, value_len;
		const char *name = (const char *)wire_lenbytes(&r, &name_len),
		           *value = (const char *)wire_lenbytes(&r, &value_len);
		if (r.bad || !symbol_of(w, name, (uint32_t)name_len, &t.name) ||
		    !symbol_of(w, value, (uint32_t)value_len, &t.value))
			return ERR_BUG;
		wire_put_varint(&w->line, t.name);
		wire_put_varint(&w->line, t.value);
		e = bpost_add(w->post, t);
	}
	buf_add(&w->line, r.p, wire_left(&r));
	uint8_t head[10];
	bout_put(o, head, (size_t)(wire_store_varint(head, w->line.len) - head));
	bout_crc_begin(o);
	bout_sum(o, w->line.data, w->line.len);
	bout_crc(o);
	return e ? e : o->err;
}

static enum err series_write(struct bwindex *w)
{
	struct bin in;
	enum err e = ERR_OK;
	bout_flush(&w->waiting);
	if (w->waiting.err)
		return w->waiting.err;
	bin_open(&in, w->waiting.file, 0, bout_at(&w->waiting), OUT_BUFFER);
	for (uint64_t i = 0; !e && i < w->series; i++) {
		uint32_t len;
		const uint8_t *p = bin_take(&in, sizeof(len));
		if (p) {
			memcpy(&len, p, sizeof(len));
			p = bin_take(&in, len);
		}
		e = p ? entry(w, p, len) : in.err;
		if (!e && i % LOOK == 0 && w->keep_going && !w->keep_going(w->arg))
			e = ERR_CANCELED;
	}
	bin_close(&in);
	w->series_end = bout_at(&w->out);
	return e;
}

/* The map is ours alone, but the disk may fail to give a page of it back. */
static void with_map(void *arg)
{
	struct bwindex *w = arg;
	w->err = symbols_map(w);
	if (w->err)
		return;
	symbols_table(w);
	w->err = series_write(w);
}

/* ---- postings, the table of them, and the end ---- */

struct lists {
	struct bwindex *w;
	struct bout table; /* scratch: entries */
	struct buf ids;    /* of the pair that is collected */
	struct bpost_tuple pair;
	uint64_t count; /* of pairs */
};

static void list_write(struct lists *l)
{
	struct bout *o = &l->w->out;
	bout_pad(o, POST_ALIGN);
	uint64_t at = bout_at(o);
	bout_put32(o, num_u32(l->ids.len + 4));
	bout_crc_begin(o);
	bout_sum32(o, num_u32(l->ids.len / 4));
	bout_sum(o, l->ids.data, l->ids.len);
	bout_crc(o);
	struct {
		uint32_t name, value;
		uint64_t at;
	} e = { l->pair.name, l->pair.value, at };
	bout_put(&l->table, &e, sizeof(e));
	l->count++;
	buf_clear(&l->ids);
}

static enum err postings_write(struct lists *l)
{
	struct bpost_tuple t;
	bool any = false;
	enum err e = bpost_begin(l->w->post);
	while (!e && !(e = bpost_next(l->w->post, &t))) {
		if (any && (t.name != l->pair.name || t.value != l->pair.value))
			list_write(l);
		any = true;
		l->pair = t;
		uint32_t id = __builtin_bswap32(t.id);
		buf_add(&l->ids, &id, sizeof(id));
	}
	if (e != ERR_NOTFOUND)
		return e;
	if (any)
		list_write(l);
	return l->w->out.err;
}

static void table_text(struct bwindex *w, uint32_t symbol)
{
	uint32_t offset = w->steps[symbol / STEP];
	struct bindex_text t = text_at(w, offset);
	for (uint32_t i = 0; i < symbol % STEP; i++) {
		offset += num_u32(wire_varint_len(t.len)) + t.len;
		t = text_at(w, offset);
	}
	bout_sum_varint(&w->out, t.len);
	bout_sum(&w->out, t.s, t.len);
}

static enum err table_write(struct lists *l)
{
	struct bwindex *w = l->w;
	struct bout *o = &w->out;
	struct bin in;
	w->table_at = bout_at(o);
	if (l->count > UINT32_MAX)
		return too_big(w, "label pairs");
	bout_put32(o, 0);
	bout_crc_begin(o);
	bout_sum32(o, (uint32_t)l->count);
	bout_flush(&l->table);
	if (l->table.err)
		return l->table.err;
	bin_open(&in, l->table.file, 0, bout_at(&l->table), OUT_BUFFER);
	while (bin_more(&in)) {
		struct {
			uint32_t name, value;
			uint64_t at;
		} e;
		const uint8_t *p = bin_take(&in, sizeof(e));
		if (!p)
			break;
		memcpy(&e, p, sizeof(e));
		bout_sum_varint(o, 2);
		table_text(w, e.name);
		table_text(w, e.value);
		bout_sum_varint(o, e.at);
	}
	enum err e = in.err;
	bin_close(&in);
	uint64_t len = bout_at(o) - w->table_at - 4;
	bout_crc(o);
	if (!e && len > UINT32_MAX)
		return too_big(w, "label pairs");
	bout_patch32(o, w->table_at, (uint32_t)len);
	return e ? e : o->err;
}

static void toc_write(struct bwindex *w)
{
	uint64_t v[6] = { w->symbols_at, w->series_at, w->series_end, w->table_at, w->postings_at,
		w->table_at };
	bout_crc_begin(&w->out);
	for (unsigned i = 0; i < COUNT_OF(v); i++) {
		v[i] = __builtin_bswap64(v[i]);
		bout_sum(&w->out, &v[i], sizeof(v[i]));
	}
	bout_crc(&w->out);
}

static void rest_write(void *arg)
{
	struct lists *l = arg;
	l->w->postings_at = l->w->series_end;
	enum err e = postings_write(l);
	if (!e)
		e = table_write(l);
	if (!e)
		toc_write(l->w);
	l->w->err = e;
}

static enum err guarded(struct bwindex *w, void (*fn)(void *arg), void *arg)
{
	if (guard_run(fn, arg))
		return w->err;
	return errbuf_set(w->eb, ERR_IO, "index: a page of it cannot be read back");
}

static enum err finish(struct bwindex *w)
{
	enum err e = w->err ? w->err : symbols_write(w);
	if (e)
		return e;
	w->post = bpost_create(w->scratch, w->memory / 4);
	e = guarded(w, with_map, w);
	if (e)
		return e;
	mem_free(w->slots);
	w->slots = NULL;
	struct lists l = { .w = w };
	e = bout_scratch(&l.table, w->scratch, "pairs", OUT_BUFFER);
	if (e)
		return e;
	buf_init(&l.ids);
	e = guarded(w, rest_write, &l);
	buf_release(&l.ids);
	enum err whatever = bout_close(&l.table, false);
	(void)whatever;
	return e;
}

static void release(struct bwindex *w)
{
	enum err whatever = bout_close(&w->out, false);
	whatever = bout_close(&w->waiting, false);
	(void)whatever;
	bsort_free(w->symbols);
	bpost_free(w->post);
	fsio_unmap(w->map, w->map_len);
	mem_free(w->slots);
	mem_free(w->steps);
	mem_free(w->seen);
	buf_release(&w->line);
	mem_free(w);
}

enum err bwindex_finish(struct bwindex *w, bool (*keep_going)(void *arg), void *arg, struct errbuf *eb)
{
	w->eb = eb;
	w->keep_going = keep_going;
	w->arg = arg;
	enum err e = finish(w);
	if (!e)
		e = bout_close(&w->out, true);
	if (e)
		errbuf_set(eb, e, "index: %s", err_why(e));
	release(w);
	return e;
}

void bwindex_abandon(struct bwindex *w)
{
	if (w)
		release(w);
}
