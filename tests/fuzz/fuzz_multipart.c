/*
 * The first line is the Content-Type, the rest the body.
 * Judges: whatever was read must come back from a form that is made of it, and all of it lies
 * inside of what came.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* memmem */
#endif
#include "core/base/buf.h"
#include "proto/multipart.h"

#include <stdio.h>
#include <stdlib.h>

#define BOUNDARY "a boundary of our own"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_part(struct buf *b, const struct urlq_pair *p)
{
	buf_add_str(b, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"");
	for (size_t i = 0; i < p->key_len; i++) {
		if (p->key[i] == '"' || p->key[i] == '\\')
			buf_add_u8(b, '\\');
		buf_add_u8(b, (uint8_t)p->key[i]);
	}
	buf_add_str(b, "\"\r\n\r\n");
	buf_add(b, p->value, p->value_len);
	buf_add_str(b, "\r\n");
}

static void come_back(const struct urlq *q, struct arena *a, size_t size)
{
	static const char type[] = "multipart/form-data; boundary=\"" BOUNDARY "\"";
	struct buf b;
	struct urlq again;
	buf_init(&b);
	urlq_init(&again, a);
	for (size_t i = 0; i < q->count; i++)
		put_part(&b, &q->pairs[i]);
	buf_add_str(&b, "--" BOUNDARY "--\r\n");
	/* A name at the limit may grow past it by its escapes. */
	if (size > MULTIPART_HEAD_MAX / 4) {
		buf_release(&b);
		return;
	}
	if (multipart_parse(&again, type, sizeof(type) - 1, (char *)b.data, b.len, NULL) ||
	    again.count != q->count)
		abort();
	for (size_t i = 0; i < q->count; i++) {
		const struct urlq_pair *x = &q->pairs[i], *y = &again.pairs[i];
		if (x->key_len != y->key_len || x->value_len != y->value_len ||
		    memcmp(x->key, y->key, x->key_len) || memcmp(x->value, y->value, x->value_len))
			abort();
	}
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *lf = size ? memchr(data, '\n', size) : NULL;
	if (!lf)
		return 0;
	struct arena a;
	struct urlq q;
	struct errbuf eb;
	size_t type_len = (size_t)(lf - data), len = size - type_len - 1, bytes = 0;
	/* Exact sizes, so that a byte too far is seen. */
	char *type = malloc(type_len ? type_len : 1), *body = malloc(len ? len : 1);
	if (!type || !body)
		abort();
	memcpy(type, data, type_len);
	memcpy(body, lf + 1, len);
	arena_init(&a, 4096);
	urlq_init(&q, &a);
	errbuf_init(&eb);
	enum err err = multipart_parse(&q, type, type_len, body, len, &eb);
	if (err && !eb.text[0])
		abort();
	for (size_t i = 0; i < q.count; i++)
		bytes += q.pairs[i].key_len + q.pairs[i].value_len;
	if (bytes > len)
		abort();
	/* The fuzzer learns our boundary, too. */
	if (!memmem(data, size, BOUNDARY, sizeof(BOUNDARY) - 1))
		come_back(&q, &a, size);
	arena_release(&a);
	free(type);
	free(body);
	return 0;
}
