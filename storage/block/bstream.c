#include "storage/block/bstream.h"

#include "core/base/hash.h"
#include "core/base/mem.h"

static enum err open_(struct bout *o, struct fsio_dir *dir, const char *name, size_t buffer)
{
	*o = (struct bout){ .cap = buffer };
	enum err e = fsio_open(dir, name, FSIO_CREATE, &o->file);
	if (!e)
		o->buf = mem_alloc(buffer);
	return e;
}

enum err bout_open(struct bout *o, struct fsio_dir *dir, const char *name, size_t buffer)
{
	return open_(o, dir, name, buffer);
}

enum err bout_scratch(struct bout *o, struct fsio_dir *dir, const char *name, size_t buffer)
{
	enum err e = open_(o, dir, name, buffer);
	if (e)
		return e;
	e = fsio_remove(dir, name);
	if (e) {
		enum err whatever = bout_close(o, false);
		(void)whatever;
	}
	return e;
}

static void write_out(struct bout *o, const void *data, size_t len)
{
	if (!o->err && len)
		o->err = fsio_write_at(o->file, data, len, o->at);
	o->at += len;
}

void bout_flush(struct bout *o)
{
	write_out(o, o->buf, o->used);
	o->used = 0;
}

void bout_put_slow_(struct bout *o, const void *data, size_t len)
{
	bout_flush(o);
	if (len >= o->cap) {
		write_out(o, data, len);
		return;
	}
	memcpy(o->buf, data, len);
	o->used = len;
}

void bout_sum(struct bout *o, const void *data, size_t len)
{
	o->crc = crc32c(o->crc, data, len);
	bout_put(o, data, len);
}

void bout_sum_varint(struct bout *o, uint64_t v)
{
	uint8_t b[10];
	bout_sum(o, b, (size_t)(wire_store_varint(b, v) - b));
}

void bout_sum32(struct bout *o, uint32_t v)
{
	v = __builtin_bswap32(v);
	bout_sum(o, &v, sizeof(v));
}

void bout_put32(struct bout *o, uint32_t v)
{
	v = __builtin_bswap32(v);
	bout_put(o, &v, sizeof(v));
}

void bout_crc(struct bout *o)
{
	bout_put32(o, o->crc);
}

void bout_pad(struct bout *o, unsigned to)
{
	static const uint8_t zeros[64];
	size_t n = (size_t)((to - bout_at(o) % to) % to);
	bout_put(o, zeros, n);
}

void bout_patch32(struct bout *o, uint64_t at, uint32_t v)
{
	bout_flush(o);
	v = __builtin_bswap32(v);
	if (!o->err)
		o->err = fsio_write_at(o->file, &v, sizeof(v), at);
}

enum err bout_close(struct bout *o, bool sync)
{
	if (!o->file)
		return ERR_OK;
	if (sync)
		bout_flush(o);
	enum err e = o->err;
	if (sync && !e)
		e = fsio_sync(o->file);
	fsio_close(o->file);
	mem_free(o->buf);
	*o = (struct bout){ .err = e };
	return e;
}

void bin_open(struct bin *i, struct fsio_file *file, uint64_t at, uint64_t end, size_t buffer)
{
	*i = (struct bin){ .file = file, .at = at, .end = end, .cap = buffer };
	i->buf = mem_alloc(buffer);
}

void bin_close(struct bin *i)
{
	mem_free(i->buf);
	i->buf = NULL;
}

/* What is left moves to the front, and as much as there is room for comes behind it. */
static void refill(struct bin *i, size_t len)
{
	size_t left = i->to - i->from;
	if (left)
		memmove(i->buf, i->buf + i->from, left);
	if (len > i->cap) {
		i->cap = len;
		i->buf = mem_realloc(i->buf, len);
	}
	i->from = 0;
	i->to = left;
	uint64_t rest = i->end - i->at;
	size_t n = i->cap - left < rest ? i->cap - left : (size_t)rest;
	i->err = fsio_read_at(i->file, i->buf + left, n, i->at);
	if (i->err)
		return;
	i->at += n;
	i->to += n;
}

const uint8_t *bin_take(struct bin *i, size_t len)
{
	if (i->err)
		return NULL;
	if (i->to - i->from < len) {
		if (i->end - i->at < len - (i->to - i->from)) {
			i->err = ERR_TRUNCATED;
			return NULL;
		}
		refill(i, len);
		if (i->err)
			return NULL;
	}
	const uint8_t *p = i->buf + i->from;
	i->from += len;
	return p;
}
