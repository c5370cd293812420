/*
 * bstream - files written and read from front to back, by large buffers.
 *
 * A writer keeps its first error and does nothing from then on: look at the end (bout_err). It
 * counts a CRC-32C of what is put between bout_crc_begin and bout_crc. Numbers are big-endian, as
 * in blocks.
 * A scratch file has no name: it is gone when it is closed, or when the process dies.
 *
 * Thread: one at a time. Memory: a buffer of the size that was asked for; a reader's grows to the
 * largest piece that is asked for.
 */
#ifndef STORAGE_BLOCK_BSTREAM_H
#define STORAGE_BLOCK_BSTREAM_H

#include "core/base/fsio.h"
#include "core/base/wire.h"

struct bout {
	struct fsio_file *file; /* owned */
	uint8_t *buf;
	size_t used, cap;
	uint64_t at; /* offset of buf in the file */
	uint32_t crc;
	enum err err;
};
MUST_CHECK enum err bout_open(struct bout *o, struct fsio_dir *dir, const char *name, size_t buffer);
MUST_CHECK enum err bout_scratch(
    struct bout *o, struct fsio_dir *dir, const char *name, size_t buffer);
void bout_put_slow_(struct bout *o, const void *data, size_t len);
static inline void bout_put(struct bout *o, const void *data, size_t len)
{
	if (len > o->cap - o->used) {
		bout_put_slow_(o, data, len);
		return;
	}
	if (len)
		memcpy(o->buf + o->used, data, len);
	o->used += len;
}
static inline uint64_t bout_at(const struct bout *o) /* the offset of what is put next */
{
	return o->at + o->used;
}
/* The CRC of pieces that are put from here on goes by bout_sum, not by bout_put. */
static inline void bout_crc_begin(struct bout *o)
{
	o->crc = 0;
}
void bout_sum(struct bout *o, const void *data, size_t len); /* puts, and counts in the CRC */
void bout_sum_varint(struct bout *o, uint64_t v);
void bout_sum32(struct bout *o, uint32_t v);
void bout_put32(struct bout *o, uint32_t v);
void bout_crc(struct bout *o);              /* puts it */
void bout_pad(struct bout *o, unsigned to); /* zeros up to a multiple of it */
/* Over what was put before. */
void bout_patch32(struct bout *o, uint64_t at, uint32_t v);
void bout_flush(struct bout *o);
/* Flushes; with sync it is on the disk. Then the file is closed, the buffer freed. */
MUST_CHECK enum err bout_close(struct bout *o, bool sync);

struct bin {
	struct fsio_file *file; /* lent */
	uint8_t *buf;
	size_t from, to, cap;
	uint64_t at, end; /* offset behind what is in buf, and of the end */
	enum err err;
};
/* Bytes at..end of a file. */
void bin_open(struct bin *i, struct fsio_file *file, uint64_t at, uint64_t end, size_t buffer);
void bin_close(struct bin *i);
/* The next len bytes, until the next call; NULL: the end, or an error (i->err). */
const uint8_t *bin_take(struct bin *i, size_t len);
static inline bool bin_more(const struct bin *i)
{
	return !i->err && (i->from < i->to || i->at < i->end);
}

#endif
