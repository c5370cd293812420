/*
 * First byte: 0 = a head, else a chunked body in pieces of that size.
 * Judges: heads scanned byte by byte and whole end alike, and all results lie inside the input; a
 * body in pieces gives the same bytes and verdict as the whole.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/h1msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const char *head, size_t len, const char *s, size_t n)
{
	if (n && (s < head || n > len || (size_t)(s - head) > len - n) && memcmp(s, "/", n))
		abort();
}

static void fuzz_head(const uint8_t *data, size_t size)
{
	static const struct h1msg_limits max = { .head_bytes = 16384, .fields = 100 };
	struct h1msg_scan whole = { 0 }, slow = { 0 };
	int want = h1msg_scan(&whole, data, size, &max), got = 0;
	for (size_t n = 1; n <= size && !got; n++)
		got = h1msg_scan(&slow, data, n, &max);
	/* Whole, a limit may be met where the slow way saw another fault first; both refuse. */
	if (got != want && !(got < 0 && want < 0))
		abort();
	if (want <= 0)
		return;
	char *head = malloc((size_t)want);
	if (!head)
		abort();
	memcpy(head, data, (size_t)want);
	static struct h1msg_field fields[101];
	static struct h1msg m = { .fields = fields, .field_cap = 101 };
	const char *why;
	if (!h1msg_parse(head, (size_t)want, &m, &why)) {
		size_t len = (size_t)want;
		inside(head, len, m.method, m.method_len);
		inside(head, len, m.path, m.path_len);
		inside(head, len, m.query, m.query_len);
		inside(head, len, m.host, m.host_len);
		if (m.chunked && m.content_length >= 0)
			abort();
		for (size_t i = 0; i < m.field_count; i++) {
			inside(head, len, m.fields[i].name, m.fields[i].name_len + 1);
			inside(head, len, m.fields[i].value, m.fields[i].value_len + 1);
			if (strlen(m.fields[i].value) != m.fields[i].value_len)
				abort();
		}
	}
	free(head);
}

static enum h1chunk_result unchunk(
    const uint8_t *data, size_t size, size_t piece, uint8_t *out, size_t *out_len)
{
	struct h1chunk c = { 0 };
	enum h1chunk_result r = H1CHUNK_MORE;
	*out_len = 0;
	for (size_t at = 0; at < size;) {
		size_t n = size - at < piece ? size - at : piece, used, got;
		const uint8_t *p;
		r = h1chunk_next(&c, data + at, n, &used, &p, &got);
		if (used > n || got > used)
			abort();
		if (got)
			memcpy(out + *out_len, p, got);
		*out_len += got;
		at += used;
		if (r == H1CHUNK_END || r == H1CHUNK_BAD)
			break;
		if (!used)
			abort();
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t piece = data[0];
	data++;
	size--;
	if (!piece) {
		fuzz_head(data, size);
		return 0;
	}
	uint8_t *a = malloc(size + 1), *b = malloc(size + 1);
	if (!a || !b)
		abort();
	size_t a_len, b_len;
	enum h1chunk_result ra = unchunk(data, size, size ? size : 1, a, &a_len);
	enum h1chunk_result rb = unchunk(data, size, piece, b, &b_len);
	if (a_len != b_len || memcmp(a, b, a_len))
		abort();
	if ((ra == H1CHUNK_END) != (rb == H1CHUNK_END) || (ra == H1CHUNK_BAD) != (rb == H1CHUNK_BAD))
		abort();
	free(a);
	free(b);
	return 0;
}
