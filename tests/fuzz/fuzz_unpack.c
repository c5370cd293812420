/*
 * First byte: form, and size of pieces. The rest is a packed body. Judges: in pieces and whole give
 * the same bytes and verdict (a fault may be met later in pieces, never earlier); what is whole and
 * packed again by the form's own library gives the same bytes; what the rest packs to, too.
 */
#include "tests/lib/packed.h"

#include <stdlib.h>

#define MOST ((size_t)1 << 20) /* enough of a bomb */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(enum unpack_form form, const struct buf *plain, size_t piece)
{
	struct buf packed, out;
	buf_init(&packed);
	buf_init(&out);
	if (form == UNPACK_ZSTD && piece % 2)
		packed_zstd(&packed, plain->data, plain->len, 10 + (int)(piece % 8));
	else if (form == UNPACK_SNAPPY_FRAMED)
		packed_framed(&packed, plain->data, plain->len, 1 + piece * 100);
	else
		packed_by(&packed, form, plain->data, plain->len);
	if (packed_unpack(form, &packed, piece, SIZE_MAX, &out) || out.len != plain->len ||
	    (out.len && memcmp(out.data, plain->data, out.len) != 0))
		abort();
	buf_release(&packed);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf in, a, b;
	if (!size)
		return 0;
	enum unpack_form form = data[0] & 3;
	size_t piece = (size_t)(data[0] >> 2) + 1;
	buf_init(&in);
	buf_init(&a);
	buf_init(&b);
	buf_add(&in, data + 1, size - 1); /* behind its end nothing may be read */
	enum err ea = packed_unpack(form, &in, SIZE_MAX, MOST, &a);
	enum err eb = packed_unpack(form, &in, piece, MOST, &b);
	bool all = a.len < MOST && b.len < MOST;
	size_t n = a.len < b.len ? a.len : b.len;
	if (all && !ea != !eb)
		abort();
	if ((!ea && all && a.len != b.len) || (n && memcmp(a.data, b.data, n) != 0))
		abort();
	if (!ea && all)
		round_trip(form, &a, piece);
	round_trip(form, &in, piece);
	buf_release(&in);
	buf_release(&a);
	buf_release(&b);
	return 0;
}
