#include "storage/cfile/cfile_columns.h"

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "storage/cfile/cfile.h"

#define TABLE_MIN 256u

void cfile_columns_init(struct cfile_columns *c, int64_t base_ms)
{
	*c = (struct cfile_columns){ .base_ms = base_ms, .table_mask = TABLE_MIN - 1 };
	buf_init(&c->streams);
	c->table = mem_zalloc(TABLE_MIN * sizeof(*c->table));
	c->last = mem_array(NULL, CHUNK_SAMPLES_MAX, sizeof(*c->last));
	c->scratch = mem_array(NULL, CHUNK_SAMPLES_MAX, sizeof(*c->scratch));
}

void cfile_columns_release(struct cfile_columns *c)
{
	buf_release(&c->streams);
	mem_free(c->items);
	mem_free(c->table);
	mem_free(c->last);
	mem_free(c->scratch);
}

static void table_put(struct cfile_columns *c, uint32_t i)
{
	uint32_t at = (uint32_t)c->items[i].hash & c->table_mask;
	while (c->table[at])
		at = (at + 1) & c->table_mask;
	c->table[at] = i + 1;
}

static void table_grow(struct cfile_columns *c)
{
	mem_free(c->table);
	c->table_mask = c->table_mask * 2 + 1;
	c->table = mem_zalloc(((size_t)c->table_mask + 1) * sizeof(*c->table));
	for (uint32_t i = 0; i < c->count; i++)
		table_put(c, i);
}

static bool is_equal(struct cfile_columns *c, const struct cfile_columns_item *it, const int64_t *t_ms)
{
	return !chunk_times_decode(
	           c->streams.data + it->off, it->len, it->count, c->base_ms, c->scratch, NULL) &&
	    memcmp(c->scratch, t_ms, it->count * sizeof(*t_ms)) == 0;
}

static uint32_t add(struct cfile_columns *c, const int64_t *t_ms, uint32_t n, uint64_t hash)
{
	if (c->count == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->items = mem_array(c->items, c->cap, sizeof(*c->items));
	}
	uint32_t off = num_u32(c->streams.len);
	chunk_times_encode(t_ms, n, c->base_ms, CHUNK_BEST, &c->streams);
	c->items[c->count++] = (struct cfile_columns_item){
		.hash = hash, .off = off, .len = num_u32(c->streams.len) - off, .count = n
	};
	if (c->count * 2 > c->table_mask)
		table_grow(c);
	else
		table_put(c, c->count - 1);
	return c->count - 1;
}

uint32_t cfile_columns_number(struct cfile_columns *c, const int64_t *t_ms, uint32_t n)
{
	if (c->last_count == n && memcmp(c->last, t_ms, n * sizeof(*t_ms)) == 0)
		return c->last_column;
	uint64_t hash = hash64(t_ms, n * sizeof(*t_ms), n);
	uint32_t at = (uint32_t)hash & c->table_mask, found = UINT32_MAX;
	for (; c->table[at] && found == UINT32_MAX; at = (at + 1) & c->table_mask) {
		const struct cfile_columns_item *it = &c->items[c->table[at] - 1];
		if (it->hash == hash && it->count == n && is_equal(c, it, t_ms))
			found = c->table[at] - 1;
	}
	if (found == UINT32_MAX)
		found = add(c, t_ms, n, hash);
	memcpy(c->last, t_ms, n * sizeof(*t_ms));
	c->last_count = n;
	c->last_column = c->base + found;
	return c->last_column;
}

const int64_t *cfile_columns_times(struct cfile_columns *c, uint32_t number)
{
	CHECK(number - c->base < c->count);
	if (c->last_count && number == c->last_column)
		return c->last;
	const struct cfile_columns_item *it = &c->items[number - c->base];
	enum err e = chunk_times_decode(
	    c->streams.data + it->off, it->len, it->count, c->base_ms, c->last, NULL);
	CHECK(!e);
	c->last_count = it->count;
	c->last_column = number;
	return c->last;
}

uint32_t cfile_columns_split(const struct cfile_columns *c, uint32_t from)
{
	size_t bytes = c->items[from].len;
	uint32_t to = from + 1;
	CHECK(from < c->count);
	for (; to < c->count && to - from < CFILE_TIMES_MAX; to++) {
		bytes += c->items[to].len;
		if (bytes > CFILE_TIMES_TARGET)
			break;
	}
	return to;
}

void cfile_columns_block(const struct cfile_columns *c, uint32_t from, uint32_t to, struct buf *out)
{
	const struct cfile_columns_item *first = &c->items[from], *last = &c->items[to - 1];
	CHECK(from < to && to <= c->count);
	buf_clear(out);
	for (uint32_t i = from; i < to; i++) {
		wire_put_varint(out, c->items[i].count);
		wire_put_varint(out, c->items[i].len);
	}
	buf_add(out, c->streams.data + first->off, last->off + last->len - first->off);
}

void cfile_columns_forget(struct cfile_columns *c)
{
	c->base += c->count;
	c->count = c->last_count = 0;
	buf_clear(&c->streams);
	memset(c->table, 0, ((size_t)c->table_mask + 1) * sizeof(*c->table));
}
