/*
 * buf - a growing byte buffer (one flat piece of heap memory).
 *
 * Append never fails short of panic, unless a limit or a purse is set: then appends over it set
 * buf->over and are dropped. Memory is taken from the purse before it is used, and goes back to it
 * with buf_release and buf_take.
 * Memory: owned by the buf until buf_take(). Thread: one at a time.
 */
#ifndef CORE_BASE_BUF_H
#define CORE_BASE_BUF_H

#include "core/base/check.h"
#include <string.h>

struct purse;
struct buf {
	uint8_t *data;
	size_t len, cap;
	size_t limit;        /* 0 = none */
	struct purse *purse; /* NULL = none; set before the first byte, outlives what it paid for */
	bool over;
};

void buf_init(struct buf *b);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* len = 0, memory kept */
void buf_grow_(struct buf *b, size_t more);
static inline bool buf_reserve(
    struct buf *b, size_t more) /* room for more bytes behind len; false when over the limit */
{
	if (UNLIKELY(b->cap - b->len < more))
		buf_grow_(b, more);
	return !b->over;
}
static inline void buf_add(struct buf *b, const void *data, size_t len)
{
	if (LIKELY(buf_reserve(b, len)) && len) {
		memcpy(b->data + b->len, data, len);
		b->len += len;
	}
}
static inline void buf_add_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}
void buf_add_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Memory moves to the caller (mem_free); the buf is empty afterwards. */
uint8_t *buf_take(struct buf *b, size_t *len);

#endif
