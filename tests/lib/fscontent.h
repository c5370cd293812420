/*
 * fscontent - the bytes of a file of fsdouble: pages in memory, absent ones are zeroes. Header
 * only. Memory: pages belong to the content (content_release).
 */
#ifndef TESTS_LIB_FSCONTENT_H
#define TESTS_LIB_FSCONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/mem.h"

#define PAGE   4096u
#define SECTOR 512u

struct content {
	uint8_t **pages; /* NULL = zeroes */
	size_t count;
	uint64_t size;
};

static bool is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static uint8_t *page_for_write(struct content *c, uint64_t index)
{
	if (index >= c->count) {
		size_t count = (size_t)index + 1;
		c->pages = mem_array(c->pages, count, sizeof(*c->pages));
		memset(c->pages + c->count, 0, (count - c->count) * sizeof(*c->pages));
		c->count = count;
	}
	if (!c->pages[index])
		c->pages[index] = mem_zalloc(PAGE);
	return c->pages[index];
}

static const uint8_t *page_of(const struct content *c, uint64_t index)
{
	return index < c->count ? c->pages[index] : NULL;
}

/* data NULL = zeroes */
static void content_write(struct content *c, const uint8_t *data, uint64_t len, uint64_t off)
{
	for (uint64_t done = 0, n; done < len; done += n) {
		uint64_t at = off + done, in = at % PAGE;
		n = PAGE - in < len - done ? PAGE - in : len - done;
		if (!data && !page_of(c, at / PAGE))
			continue;
		uint8_t *p = page_for_write(c, at / PAGE);
		if (data)
			memcpy(p + in, data + done, n);
		else
			memset(p + in, 0, n);
	}
	if (off + len > c->size)
		c->size = off + len;
}

static void sector_copy(struct content *to, const struct content *from, uint64_t sector)
{
	uint64_t index = sector * SECTOR / PAGE, in = sector * SECTOR % PAGE;
	const uint8_t *p = page_of(from, index);
	if (!p && !page_of(to, index))
		return;
	uint8_t *q = page_for_write(to, index);
	if (p)
		memcpy(q + in, p + in, SECTOR);
	else
		memset(q + in, 0, SECTOR);
}

static void content_resize(struct content *c, uint64_t size, bool cut)
{
	if (cut && size < c->size) {
		for (uint64_t i = size / PAGE; i < c->count; i++) {
			if (c->pages[i] && i * PAGE < size)
				memset(c->pages[i] + size % PAGE, 0, PAGE - size % PAGE);
			else if (c->pages[i]) {
				mem_free(c->pages[i]);
				c->pages[i] = NULL;
			}
		}
	}
	if (cut || size > c->size)
		c->size = size;
}

static void content_copy(struct content *to, const struct content *from)
{
	*to = (struct content){ .count = from->count, .size = from->size };
	to->pages = mem_zalloc((from->count + 1) * sizeof(*to->pages));
	for (size_t i = 0; i < from->count; i++) {
		if (from->pages[i]) {
			to->pages[i] = mem_alloc(PAGE);
			memcpy(to->pages[i], from->pages[i], PAGE);
		}
	}
}

static void content_release(struct content *c)
{
	for (size_t i = 0; i < c->count; i++)
		mem_free(c->pages[i]);
	mem_free(c->pages);
	*c = (struct content){ 0 };
}

#endif
