#include "core/promql/run/ql_ratio.h"

#include <xxhash.h>

static void put_len(struct buf *b, uint32_t len)
{
	uint8_t l[4] = { 255, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16) };
	if (len < 255)
		buf_add_u8(b, (uint8_t)len);
	else
		buf_add(b, l, 4);
}

double ql_ratio_offset(struct labels ls, struct buf *scratch)
{
	struct label_iter it = label_iter(ls);
	struct label l;

	buf_clear(scratch);
	while (label_next(&it, &l)) {
		put_len(scratch, l.name_len);
		buf_add(scratch, l.name, l.name_len);
		put_len(scratch, l.value_len);
		buf_add(scratch, l.value, l.value_len);
	}
	return (double)XXH64(scratch->data, scratch->len, 0) / 18446744073709551616.0;
}

bool ql_ratio_keeps(double ratio, double offset)
{
	double r = ratio < -1 ? -1 : ratio > 1 ? 1 : ratio;
	return r != 0 && (r >= 0 ? offset < r : offset >= 1 + r);
}
