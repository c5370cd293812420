/*
 * First byte: form and size of pieces. Judges: in pieces and whole give the same bytes and
 * verdict; no step gives more than GUNZ_STEP, or uses more than it was given.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "proto/gunz.h"

#define OUT_MAX (1u << 20) /* enough of a bomb */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err unpack(
    enum gz_form form, const uint8_t *data, size_t size, size_t piece, struct buf *out)
{
	static uint8_t step[GUNZ_STEP];
	struct gunz *z;
	if (gunz_create(form, &z))
		abort();
	enum err e = 0;
	for (size_t at = 0; !e && at < size && out->len < OUT_MAX;) {
		size_t n = size - at < piece ? size - at : piece, used, got;
		do {
			e = gunz_next(z, data + at, n, &used, step, &got);
			if (used > n || got > GUNZ_STEP)
				abort();
			buf_add(out, step, got);
			at += used;
			n -= used;
		} while (!e && (n || got == GUNZ_STEP) && out->len < OUT_MAX);
	}
	if (!e && out->len < OUT_MAX && !gunz_whole(z))
		e = ERR_TRUNCATED;
	gunz_free(z);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	enum gz_form form = data[0] & 1 ? GZ_GZIP : GZ_DEFLATE;
	size_t piece = (size_t)(data[0] >> 1) + 1;
	struct buf a, b;
	buf_init(&a);
	buf_init(&b);
	enum err ea = unpack(form, data + 1, size - 1, size, &a);
	enum err eb = unpack(form, data + 1, size - 1, piece, &b);
	bool all = a.len < OUT_MAX && b.len < OUT_MAX;
	size_t n = a.len < b.len ? a.len : b.len;
	if (all && !ea != !eb)
		abort();
	if ((!ea && all && a.len != b.len) || (n && memcmp(a.data, b.data, n)))
		abort();
	buf_release(&a);
	buf_release(&b);
	return 0;
}
