#include "core/base/rune.h"

struct case_row {
	uint32_t first, last, stride;
	int32_t delta;
};
/* clang-format off */
#define LOWER(...)
#define UPPER(...) { __VA_ARGS__ },
static const struct case_row uppers[] = {
#include "core/base/rune_case.def"
};
#undef LOWER
#undef UPPER
#define UPPER(...)
#define LOWER(...) { __VA_ARGS__ },
static const struct case_row lowers[] = {
#include "core/base/rune_case.def"
};
/* clang-format on */

/* By halving: the last row that begins at rune or before it. */
static uint32_t mapped(const struct case_row *rows, size_t count, uint32_t rune)
{
	size_t lo = 0, hi = count;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (rows[mid].first <= rune)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return rune;
	const struct case_row *r = &rows[lo - 1];
	if (rune > r->last || (rune - r->first) % r->stride)
		return rune;
	return (uint32_t)((int32_t)rune + r->delta);
}

uint32_t rune_upper(uint32_t rune)
{
	if (rune < 0x80)
		return rune >= 'a' && rune <= 'z' ? rune - 32 : rune;
	return mapped(uppers, COUNT_OF(uppers), rune);
}

uint32_t rune_lower(uint32_t rune)
{
	if (rune < 0x80)
		return rune >= 'A' && rune <= 'Z' ? rune + 32 : rune;
	return mapped(lowers, COUNT_OF(lowers), rune);
}
