/*
 * urlq on any bytes: as a form, as a path, as each kind of value; and a form that was taken must
 * come back from its own encoding.
 */
#include "core/base/buf.h"
#include "proto/urlq.h"

#include <stdio.h>
#include <stdlib.h>

static void put_escaped(struct buf *b, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf_printf(b, "%%%02X", (unsigned char)s[i]);
}

static void come_back(const struct urlq *q, struct arena *a)
{
	struct buf b;
	struct urlq again;
	buf_init(&b);
	urlq_init(&again, a);
	for (size_t i = 0; i < q->count; i++) {
		put_escaped(&b, q->pairs[i].key, q->pairs[i].key_len);
		buf_add_u8(&b, '=');
		put_escaped(&b, q->pairs[i].value, q->pairs[i].value_len);
		buf_add_u8(&b, '&');
	}
	if (urlq_parse(&again, (const char *)b.data, b.len, NULL) || again.count != q->count)
		abort();
	for (size_t i = 0; i < q->count; i++) {
		const struct urlq_pair *x = &q->pairs[i], *y = &again.pairs[i];
		if (x->key_len != y->key_len || x->value_len != y->value_len ||
		    memcmp(x->key, y->key, x->key_len) || memcmp(x->value, y->value, x->value_len))
			abort();
	}
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct urlq q;
	struct errbuf eb;
	const char *out;
	size_t out_len;
	char *s = malloc(size ? size : 1);
	if (!s)
		return 0;
	if (size)
		memcpy(s, data, size);
	arena_init(&a, 4096);
	urlq_init(&q, &a);
	errbuf_init(&eb);
	if (!urlq_parse(&q, s, size, &eb))
		come_back(&q, &a);
	if (!urlq_path_segment(&a, s, size, &out, &out_len, &eb) && out_len > size)
		abort();
	if (!urlq_label_name(&a, s, size, &out, &out_len, &eb) && (!out_len || out_len > size))
		abort();
	bool on;
	uint64_t limit;
	int64_t ms;
	(void)!urlq_bool(s, size, &on);
	(void)!urlq_limit(s, size, &limit, &eb);
	(void)!urlq_duration(s, size, &ms, &eb);
	(void)!urlq_time(s, size, &ms, &eb);
	arena_release(&a);
	free(s);
	return 0;
}
