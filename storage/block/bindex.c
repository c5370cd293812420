#include "storage/block/bindex.h"

#include "core/base/bytes.h"
#include "core/base/mem.h"
#include "core/base/wire.h"

#include <stdlib.h>

#define MAGIC          0xBAAAD700u
#define HEAD           5u
#define TOC            52u
#define SYMBOL_STEP    8u                  /* every so manyth symbol has its offset in memory */
#define PAIR_STEP      16u                 /* of the values of a name */
#define SERIES_LEAST   7u                  /* bytes: length, labels, chunks, CRC */
#define SERIES_END_MAX (UINT64_C(1) << 36) /* behind it no reference reaches */

struct name {
	struct bindex_text text;
	uint32_t values, steps; /* steps: its first one of pair_steps */
};
struct bindex {
	const uint8_t *data;
	size_t len;
	uint64_t series_from, series_end;
	const uint8_t *symbols, *symbols_end; /* the texts */
	uint32_t symbols_count, pairs_count;
	uint32_t *symbol_steps; /* offsets in symbols */
	const uint8_t *pairs, *pairs_end;
	uint32_t *pair_steps; /* offsets in pairs */
	size_t pair_steps_count;
	struct name *names;
	size_t names_count, names_cap;
	/* of the series that was read last */
	struct arena arena;
	struct label *labels;
	struct bindex_chunk *chunks;
	size_t labels_cap, chunks_cap;
};

static uint32_t be32(const uint8_t *p)
{
	return __builtin_bswap32(wire_load32(p));
}

static uint64_t be64(const uint8_t *p)
{
	return __builtin_bswap64(wire_load64(p));
}

/* ---- opening ---- */

/* What stands between a BE32 length at `at` and its CRC; NULL: it is damaged. */
static const uint8_t *section(const struct bindex *x, uint64_t at, uint32_t *len)
{
	uint64_t end = x->len - TOC;
	if (at < HEAD || at > end || end - at < 8)
		return NULL;
	*len = be32(x->data + at);
	if (*len > end - at - 8)
		return NULL;
	const uint8_t *p = x->data + at + 4;
	return crc32c(0, p, *len) == be32(p + *len) ? p : NULL;
}

static bool text(struct wire_reader *r, struct bindex_text *out)
{
	size_t len;
	const uint8_t *p = wire_lenbytes(r, &len);
	if (r->bad || len > UINT32_MAX)
		return false;
	*out = (struct bindex_text){ .s = (const char *)p, .len = (uint32_t)len };
	return true;
}

static int text_cmp(struct bindex_text a, struct bindex_text b)
{
	return bytes_cmp(a.s, a.len, b.s, b.len);
}

static enum err bad(struct errbuf *eb, const char *what)
{
	return errbuf_set(eb, ERR_DAMAGED, "index: %s", what);
}

static enum err open_symbols(struct bindex *x, uint64_t at, struct errbuf *eb)
{
	uint32_t len;
	const uint8_t *p = section(x, at, &len);
	if (!p || len < 4)
		return bad(eb, "the symbols are damaged");
	uint32_t n = be32(p);
	if (n > len) /* each has a byte at least */
		return bad(eb, "the symbols are fewer than they say");
	x->symbols = p + 4;
	x->symbols_end = p + len;
	x->symbols_count = n;
	x->symbol_steps = mem_array(NULL, n / SYMBOL_STEP + 1, sizeof(*x->symbol_steps));
	struct wire_reader r = wire_reader(x->symbols, len - 4);
	struct bindex_text last = { "", 0 }, t;
	for (uint32_t i = 0; i < n; i++, last = t) {
		if (i % SYMBOL_STEP == 0)
			x->symbol_steps[i / SYMBOL_STEP] = (uint32_t)(r.p - x->symbols);
		if (!text(&r, &t))
			return bad(eb, "a symbol is cut");
		if (i && text_cmp(last, t) >= 0)
			return bad(eb, "the symbols do not ascend");
	}
	return ERR_OK;
}

static void name_begin(struct bindex *x, struct bindex_text t)
{
	if (x->names_count == x->names_cap) {
		x->names_cap = x->names_cap ? 2 * x->names_cap : 64;
		x->names = mem_array(x->names, x->names_cap, sizeof(*x->names));
	}
	x->names[x->names_count++] =
	    (struct name){ .text = t, .steps = (uint32_t)x->pair_steps_count };
}

struct pair {
	struct bindex_text name, value;
	uint64_t offset;
};

static bool pair_read(struct wire_reader *r, struct pair *p)
{
	if (wire_varint(r) != 2 || !text(r, &p->name) || !text(r, &p->value))
		return false;
	p->offset = wire_varint(r);
	return !r->bad;
}

static enum err open_pairs(struct bindex *x, uint64_t at, struct errbuf *eb)
{
	uint32_t len;
	const uint8_t *p = section(x, at, &len);
	if (!p || len < 4)
		return bad(eb, "the table of postings is damaged");
	uint32_t n = be32(p);
	if (n > len / 4)
		return bad(eb, "the table of postings is shorter than it says");
	x->pairs = p + 4;
	x->pairs_end = p + len;
	x->pairs_count = n;
	x->pair_steps = mem_array(NULL, n / PAIR_STEP + 1, sizeof(*x->pair_steps));
	size_t cap = n / PAIR_STEP + 1;
	struct wire_reader r = wire_reader(x->pairs, len - 4);
	struct pair last = { .offset = 0 }, t;
	for (uint32_t i = 0; i < n; i++, last = t) {
		uint32_t offset = (uint32_t)(r.p - x->pairs);
		if (!pair_read(&r, &t))
			return bad(eb, "an entry of the table of postings is cut");
		int c = i ? text_cmp(last.name, t.name) : -1;
		if (c > 0 || (c == 0 && text_cmp(last.value, t.value) >= 0))
			return bad(eb, "the table of postings does not ascend");
		if (c < 0)
			name_begin(x, t.name);
		struct name *name = &x->names[x->names_count - 1];
		if (name->values++ % PAIR_STEP == 0) {
			if (x->pair_steps_count == cap) {
				cap *= 2;
				x->pair_steps = mem_array(x->pair_steps, cap, sizeof(*x->pair_steps));
			}
			x->pair_steps[x->pair_steps_count++] = offset;
		}
	}
	return ERR_OK;
}

static enum err open_all(struct bindex *x, struct errbuf *eb)
{
	if (x->len < HEAD + TOC || be32(x->data) != MAGIC)
		return bad(eb, "it does not begin or end as one");
	if (x->data[4] != 2 && x->data[4] != 3)
		return errbuf_set(eb, ERR_UNSUPPORTED, "index: version %u", x->data[4]);
	const uint8_t *toc = x->data + x->len - TOC;
	if (crc32c(0, toc, TOC - 4) != be32(toc + TOC - 4))
		return bad(eb, "the table of contents is damaged");
	uint64_t symbols = be64(toc), label_indices = be64(toc + 16), postings = be64(toc + 32),
	         table = be64(toc + 40);
	x->series_from = be64(toc + 8);
	/* what comes behind the series, of what is there */
	x->series_end = x->len - TOC;
	uint64_t ends[3] = { label_indices, postings, table };
	for (unsigned i = 0; i < COUNT_OF(ends); i++)
		if (ends[i] >= x->series_from && ends[i] && ends[i] < x->series_end)
			x->series_end = ends[i];
	if (x->series_end > SERIES_END_MAX)
		x->series_end = SERIES_END_MAX;
	if (x->series_from < HEAD || x->series_from > x->series_end)
		return bad(eb, "the series are outside of it");
	enum err e = open_symbols(x, symbols, eb);
	return e ? e : open_pairs(x, table, eb);
}

enum err bindex_open(const uint8_t *data, size_t len, struct bindex **out, struct errbuf *eb)
{
	struct bindex *x = mem_zalloc(sizeof(*x));
	x->data = data;
	x->len = len;
	arena_init(&x->arena, 4096);
	enum err e = open_all(x, eb);
	if (e)
		bindex_close(x);
	else
		*out = x;
	return e;
}

void bindex_close(struct bindex *x)
{
	if (!x)
		return;
	arena_release(&x->arena);
	mem_free(x->symbol_steps);
	mem_free(x->pair_steps);
	mem_free(x->names);
	mem_free(x->labels);
	mem_free(x->chunks);
	mem_free(x);
}

/* ---- symbols ---- */

uint32_t bindex_symbols(const struct bindex *x)
{
	return x->symbols_count;
}

bool bindex_symbol(const struct bindex *x, uint32_t i, struct bindex_text *out)
{
	if (i >= x->symbols_count)
		return false;
	const uint8_t *from = x->symbols + x->symbol_steps[i / SYMBOL_STEP];
	struct wire_reader r = { .p = from, .end = x->symbols_end };
	for (uint32_t k = 0; k <= i % SYMBOL_STEP; k++)
		if (!text(&r, out))
			return false;
	return true;
}

/* ---- series ---- */

uint64_t bindex_offset_of(uint32_t ref)
{
	return (uint64_t)ref * BINDEX_ALIGN;
}

uint64_t bindex_series_most(const struct bindex *x)
{
	return (x->series_end - x->series_from) / BINDEX_ALIGN + 1;
}

static int names_cmp(const void *a, const void *b)
{
	const struct label *x = a, *y = b;
	return bytes_cmp(x->name, x->name_len, y->name, y->name_len);
}

/*
 * Prometheus up to 2.8 and receivers of Thanos wrote labels as they came, in any order; what has no
 * value is no label.
 */
static const char *labels_of(struct bindex *x, struct wire_reader *r, struct labels *out)
{
	uint64_t n = wire_varint(r);
	if (r->bad || n > wire_left(r) / 2)
		return "the labels of a series are cut";
	if (n > x->labels_cap) {
		x->labels_cap = (size_t)n;
		x->labels = mem_array(x->labels, x->labels_cap, sizeof(*x->labels));
	}
	size_t bytes = 0, count = 0;
	bool sorted = true;
	for (size_t i = 0; i < n; i++) {
		uint64_t a = wire_varint(r), b = wire_varint(r);
		struct bindex_text name, value;
		if (r->bad || a > UINT32_MAX || b > UINT32_MAX ||
		    !bindex_symbol(x, (uint32_t)a, &name) || !bindex_symbol(x, (uint32_t)b, &value))
			return "a label of a series is no symbol";
		if (!value.len)
			continue;
		x->labels[count++] = (struct label){
			.name = name.s, .name_len = name.len, .value = value.s, .value_len = value.len
		};
		sorted = sorted &&
		    (count == 1 || names_cmp(&x->labels[count - 2], &x->labels[count - 1]) < 0);
		bytes += (size_t)name.len + value.len + 32;
	}
	if (!sorted)
		qsort(x->labels, count, sizeof(*x->labels), names_cmp);
	for (size_t i = 0; i < count; i++)
		if (!x->labels[i].name_len || (i && !names_cmp(&x->labels[i - 1], &x->labels[i])))
			return "a label of a series has no name, or another one's";
	if (bytes > UINT32_MAX)
		return "the labels of a series are too long";
	arena_reset(&x->arena, 64u << 10);
	*out = label_encode(&x->arena, x->labels, count);
	return NULL;
}

static const char *chunks_of(struct bindex *x, struct wire_reader *r, uint32_t *count)
{
	uint64_t n = wire_varint(r);
	if (r->bad || n > wire_left(r) / 3)
		return "the chunks of a series are cut";
	if (n > x->chunks_cap) {
		x->chunks_cap = (size_t)n;
		x->chunks = mem_array(x->chunks, x->chunks_cap, sizeof(*x->chunks));
	}
	struct bindex_chunk c = { 0 };
	for (size_t i = 0; i < n; i++) {
		/* as Go does, all of it wraps */
		if (i == 0)
			c.t_min_ms = wire_zigzag(r);
		else
			c.t_min_ms = (int64_t)((uint64_t)c.t_max_ms + wire_varint(r));
		c.t_max_ms = (int64_t)((uint64_t)c.t_min_ms + wire_varint(r));
		c.ref = i == 0 ? wire_varint(r) : c.ref + (uint64_t)wire_zigzag(r);
		if (r->bad)
			return "the chunks of a series are cut";
		x->chunks[i] = c;
	}
	*count = (uint32_t)n;
	return NULL;
}

/* The bytes of an entry between its length and its CRC; *end is the offset behind it. */
static const char *entry(const struct bindex *x, uint64_t at, struct wire_reader *out, uint64_t *end)
{
	if (at < x->series_from || at >= x->series_end || x->series_end - at < SERIES_LEAST)
		return "a series stands outside of the series";
	struct wire_reader r = wire_reader(x->data + at, (size_t)(x->series_end - at));
	uint64_t len = wire_varint(&r);
	if (r.bad || wire_left(&r) < 4 || len > wire_left(&r) - 4)
		return "a series is cut";
	*out = wire_reader(r.p, (size_t)len);
	*end = (uint64_t)(r.p + len + 4 - x->data);
	return crc32c(0, r.p, (size_t)len) == be32(r.p + len) ? NULL
	                                                      : "the checksum of a series is wrong";
}

enum err bindex_series(struct bindex *x, uint32_t ref, struct bindex_series *out, const char **what)
{
	struct wire_reader r;
	uint64_t end;
	struct bindex_series s = { .ref = ref };
	const char *w = entry(x, bindex_offset_of(ref), &r, &end);
	if (!w)
		w = labels_of(x, &r, &s.labels);
	if (!w)
		w = chunks_of(x, &r, &s.chunks_count);
	if (what)
		*what = w;
	if (w)
		return ERR_DAMAGED;
	s.chunks = x->chunks;
	*out = s;
	return ERR_OK;
}

/*
 * Entries follow one another at multiples of 16, with zeros between; the length of a whole one
 * tells where the next is looked for, of a damaged one nothing is believed.
 */
uint32_t bindex_scan(struct bindex *x, uint32_t after_ref)
{
	struct wire_reader r;
	uint64_t end, at = x->series_from;
	if (after_ref) {
		at = bindex_offset_of(after_ref);
		at = entry(x, at, &r, &end) ? at + BINDEX_ALIGN : end;
	}
	at = (at + BINDEX_ALIGN - 1) & ~(uint64_t)(BINDEX_ALIGN - 1);
	for (; at < x->series_end; at += BINDEX_ALIGN)
		if (!entry(x, at, &r, &end) && wire_left(&r))
			return (uint32_t)(at / BINDEX_ALIGN);
	return 0;
}

/* ---- postings ---- */

static const struct name *name_find(const struct bindex *x, struct bindex_text t)
{
	size_t lo = 0, hi = x->names_count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = text_cmp(x->names[mid].text, t);
		if (!c)
			return &x->names[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* A reader at the step-th marked pair of a name. */
static struct wire_reader at_step(const struct bindex *x, const struct name *n, uint32_t step)
{
	return (struct wire_reader){ .p = x->pairs + x->pair_steps[n->steps + step],
		.end = x->pairs_end };
}

/* The table was whole when it was opened. */
static enum err pair_find(
    const struct bindex *x, struct bindex_text name, struct bindex_text value, uint64_t *offset)
{
	const struct name *n = name_find(x, name);
	if (!n)
		return ERR_NOTFOUND;
	uint32_t lo = 0, hi = (n->values - 1) / PAIR_STEP; /* the last step that is not behind it */
	struct pair p;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo + 1) / 2;
		struct wire_reader r = at_step(x, n, mid);
		if (!pair_read(&r, &p))
			return ERR_DAMAGED;
		if (text_cmp(p.value, value) <= 0)
			lo = mid;
		else
			hi = mid - 1;
	}
	struct wire_reader r = at_step(x, n, lo);
	for (uint32_t i = lo * PAIR_STEP; i < n->values && i < (lo + 1) * PAIR_STEP; i++) {
		if (!pair_read(&r, &p))
			return ERR_DAMAGED;
		if (!text_cmp(p.value, value)) {
			*offset = p.offset;
			return ERR_OK;
		}
	}
	return ERR_NOTFOUND;
}

enum err bindex_ids_at(struct bindex *x, uint64_t offset, struct bindex_ids *out)
{
	uint32_t len;
	const uint8_t *p = section(x, offset, &len);
	if (!p || len < 4)
		return ERR_DAMAGED;
	out->count = be32(p);
	out->be32 = p + 4;
	if (out->count != (len - 4) / 4)
		return ERR_DAMAGED;
	for (uint32_t i = 1; i < out->count; i++)
		if (bindex_id(out, i - 1) >= bindex_id(out, i))
			return ERR_DAMAGED;
	return ERR_OK;
}

enum err bindex_ids(struct bindex *x, const char *name, size_t name_len, const char *value,
    size_t value_len, struct bindex_ids *out)
{
	uint64_t offset;
	if (name_len > UINT32_MAX || value_len > UINT32_MAX)
		return ERR_NOTFOUND;
	enum err e = pair_find(x, (struct bindex_text){ name, (uint32_t)name_len },
	    (struct bindex_text){ value, (uint32_t)value_len }, &offset);
	return e ? e : bindex_ids_at(x, offset, out);
}

enum err bindex_names(struct bindex *x,
    enum err (*fn)(void *arg, struct bindex_text name, uint32_t values), void *arg)
{
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < x->names_count; i++)
		if (x->names[i].text.len)
			e = fn(arg, x->names[i].text, x->names[i].values);
	return e;
}

enum err bindex_values(struct bindex *x, const char *name, size_t name_len,
    enum err (*fn)(void *arg, struct bindex_text value, uint64_t offset), void *arg)
{
	if (name_len > UINT32_MAX)
		return ERR_OK;
	const struct name *n = name_find(x, (struct bindex_text){ name, (uint32_t)name_len });
	enum err e = ERR_OK;
	struct wire_reader r = n ? at_step(x, n, 0) : wire_reader("", 0);
	struct pair p;
	for (uint32_t i = 0; !e && n && i < n->values; i++)
		e = pair_read(&r, &p) ? fn(arg, p.value, p.offset) : ERR_DAMAGED;
	return e;
}
