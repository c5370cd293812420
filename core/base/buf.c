#include "core/base/buf.h"

#include "core/base/arena.h"
#include "core/base/purse.h"

#include <stdarg.h>
#include <stdio.h>

#define CAP_MIN 64

void buf_init(struct buf *b)
{
	*b = (struct buf){ 0 };
}

/* As it was before the first byte. */
static void anew(struct buf *b)
{
	if (b->purse && b->cap)
		purse_give(b->purse, b->cap);
	*b = (struct buf){ .limit = b->limit, .purse = b->purse };
}

void buf_release(struct buf *b)
{
	mem_free(b->data);
	anew(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->over = false;
}

/*
 * Doubles; with a limit the capacity never passes it, and what does not fit, or is not in the
 * purse,
 * sets over for good (until buf_clear).
 */
void buf_grow_(struct buf *b, size_t more)
{
	size_t need;
	if (b->over)
		return;
	bool huge = __builtin_add_overflow(b->len, more, &need);
	if (b->limit && (huge || need > b->limit)) {
		b->over = true;
		return;
	}
	if (huge)
		panic("out of memory: a buffer of %zu + %zu bytes", b->len, more);
	size_t cap = b->cap < CAP_MIN ? CAP_MIN : b->cap;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (b->limit && cap > b->limit)
		cap = b->limit;
	if (b->purse && !purse_take(b->purse, cap - b->cap)) {
		b->over = true;
		return;
	}
	b->data = mem_realloc(b->data, cap);
	b->cap = cap;
}

void buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	size_t room = b->cap - b->len;
	int n = vsnprintf(room ? (char *)b->data + b->len : NULL, room, fmt, ap);
	va_end(ap);
	CHECK(n >= 0);
	if ((size_t)n >= room) {
		/* One byte more than the text, for the NUL that is not kept. */
		if (!buf_reserve(b, (size_t)n + 1)) {
			va_end(again);
			return;
		}
		vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	if (!b->over)
		b->len += (size_t)n;
}

uint8_t *buf_take(struct buf *b, size_t *len)
{
	uint8_t *data = b->data;
	if (len)
		*len = b->len;
	anew(b);
	return data;
}
