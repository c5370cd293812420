/*
 * Any bytes are safe as the index of a block. Checksums are made right first, so that what stands
 * behind them is reached. What is opened is read by every way there is, and they agree: names,
 * values and their lists; series by the list of all and by looking for them.
 */
#include "core/base/mem.h"
#include "core/base/wire.h"
#include "storage/block/bindex.h"
#include "storage/block/btomb.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *bytes;
static size_t len;

static uint32_t be32(size_t at)
{
	return __builtin_bswap32(wire_load32(bytes + at));
}

static void seal(size_t from, size_t n)
{
	wire_store32(bytes + from + n, __builtin_bswap32(crc32c(0, bytes + from, n)));
}

/* A section with a BE32 length at an offset of the table of contents. */
static void seal_section(uint64_t at)
{
	if (at < len && len - at >= 8 && be32((size_t)at) <= len - at - 8)
		seal((size_t)at + 4, be32((size_t)at));
}

static uint64_t toc(unsigned i)
{
	return __builtin_bswap64(wire_load64(bytes + len - 52 + 8 * i));
}

static void seal_series(uint32_t ref)
{
	uint64_t at = bindex_offset_of(ref);
	if (at >= len)
		return;
	struct wire_reader r = wire_reader(bytes + at, len - (size_t)at);
	uint64_t n = wire_varint(&r);
	if (!r.bad && wire_left(&r) >= 4 && n <= wire_left(&r) - 4)
		seal((size_t)(r.p - bytes), (size_t)n);
}

struct seen {
	struct bindex *x;
	struct bindex_text name;
	uint32_t values;
};

static enum err value(void *arg, struct bindex_text v, uint64_t offset)
{
	struct seen *s = arg;
	struct bindex_ids a, b;
	enum err ea = bindex_ids_at(s->x, offset, &a),
	         eb = bindex_ids(s->x, s->name.s, s->name.len, v.s, v.len, &b);
	CHECK(ea == eb && (ea || (a.be32 == b.be32 && a.count == b.count)));
	s->values++;
	return ERR_OK;
}

static enum err name(void *arg, struct bindex_text n, uint32_t values)
{
	struct seen *s = arg;
	s->name = n;
	s->values = 0;
	enum err e = bindex_values(s->x, n.s, n.len, value, s);
	CHECK(!e && s->values == values);
	return ERR_OK;
}

static void series(struct bindex *x, uint32_t ref)
{
	struct bindex_series s;
	const char *what;
	seal_series(ref);
	if (bindex_series(x, ref, &s, &what)) {
		CHECK(what);
		return;
	}
	CHECK(s.ref == ref && label_is_canonical(s.labels));
	uint64_t sum = 0;
	for (uint32_t i = 0; i < s.chunks_count; i++)
		sum += s.chunks[i].ref; /* no wild read */
	CHECK(bindex_scan(x, ref) != ref || sum + 1);
}

static void index_of(void)
{
	struct bindex *x;
	struct bindex_ids all = { 0 };
	struct bindex_text t;
	if (len >= 57) {
		seal_section(toc(0));
		seal_section(toc(5));
		seal(len - 52, 48);
	}
	if (bindex_open(bytes, len, &x, NULL))
		return;
	for (uint32_t i = 0; i < bindex_symbols(x); i += 7)
		CHECK(bindex_symbol(x, i, &t));
	CHECK(!bindex_symbol(x, bindex_symbols(x), &t));
	struct seen s = { .x = x };
	CHECK(!bindex_names(x, name, &s));
	if (!bindex_ids(x, "", 0, "", 0, &all))
		for (uint32_t i = 0; i < all.count && i < 1000; i++)
			series(x, bindex_id(&all, i));
	for (uint32_t ref = 0, n = 0; n < 100 && (ref = bindex_scan(x, ref)); n++)
		series(x, ref);
	bindex_close(x);
}

/* What is taken is written again, and read the same. */
static void tombstones(void)
{
	struct btombs t, again;
	struct buf b;
	if (len >= 9)
		seal(5, len - 9);
	if (btombs_read(bytes, len, &t, NULL))
		return;
	buf_init(&b);
	btombs_write(&b, &t);
	CHECK(!btombs_read(b.data, b.len, &again, NULL) && again.count == t.count);
	for (size_t i = 0; i < t.count; i++)
		CHECK(t.items[i].ref == again.items[i].ref &&
		    t.items[i].t_from_ms == again.items[i].t_from_ms &&
		    t.items[i].t_to_ms == again.items[i].t_to_ms);
	btombs_release(&t);
	btombs_release(&again);
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < 2; i++) {
		bytes = malloc(
		    size ? size : 1); /* an exact copy, so that the first byte behind is caught */
		if (!bytes)
			return 0;
		memcpy(bytes, data, size);
		len = size;
		if (i)
			tombstones();
		else
			index_of();
		free(bytes);
	}
	return 0;
}
