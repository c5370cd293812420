/*
 * First byte: the size of the pieces, 0 = 256.
 * Judges: pieces give the same frames at the same places as the whole; nothing is used twice or
 * left; data is never more than the payload.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/h2frame.h"

#define FRAMES_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t scan(const uint8_t *data, size_t size, size_t piece, struct h2frame *out, uint32_t *left)
{
	struct h2frame_scan s;
	size_t frames = 0;
	h2frame_init(&s);
	for (size_t at = 0; at < size;) {
		bool begun;
		size_t n = size - at < piece ? size - at : piece;
		uint8_t *exact = malloc(n);
		if (!exact)
			abort();
		memcpy(exact, data + at, n);
		size_t used = h2frame_next(&s, exact, n, &begun);
		free(exact);
		if (!used || used > n)
			abort();
		at += used;
		if (!begun)
			continue;
		if (s.frame.data > s.frame.length || s.frame.stream >> 31)
			abort();
		if (frames < FRAMES_MAX)
			out[frames++] = s.frame;
	}
	*left = s.left;
	return frames;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct h2frame a[FRAMES_MAX], b[FRAMES_MAX];
	uint32_t left_a, left_b;
	if (!size || size > FRAMES_MAX)
		return 0;
	size_t piece = data[0] ? data[0] : 256;
	size_t n = scan(data + 1, size - 1, size, a, &left_a);
	if (scan(data + 1, size - 1, piece, b, &left_b) != n || left_a != left_b)
		abort();
	for (size_t i = 0; i < n; i++)
		if (a[i].type != b[i].type || a[i].flags != b[i].flags || a[i].stream != b[i].stream ||
		    a[i].length != b[i].length || a[i].data != b[i].data)
			abort();
	return 0;
}
