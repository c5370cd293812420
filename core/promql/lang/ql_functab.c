#include "core/promql/lang/ql_func.h"

#include <string.h>

#define TYPES(...)                                                                                 \
 (enum ql_type[])                                                                                  \
 {                                                                                                 \
  __VA_ARGS__                                                                                      \
 }
const struct ql_func ql_functab[QL_FN_COUNT] = {
#define QL_FN(id, text, result, variadic_count, flag_bits, ...)                                    \
 [QL_FN_##id] = {                                                                                  \
	 .fn = QL_FN_##id,                                                                         \
	 .name = text,                                                                             \
	 .ret = result,                                                                            \
	 .variadic = variadic_count,                                                               \
	 .flags = flag_bits,                                                                       \
	 .args_count = sizeof(TYPES(__VA_ARGS__)) / sizeof(enum ql_type),                          \
	 .args = { __VA_ARGS__ },                                                                  \
 },
#include "core/promql/lang/ql_func.def"
#undef QL_FN
};

/* The rows stand in the order of their names (the unit test holds them to it). */
const struct ql_func *ql_func_find(const char *name, size_t len)
{
	size_t lo = 0, hi = QL_FN_COUNT;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const char *row = ql_functab[mid].name;
		size_t row_len = strlen(row);
		int c = memcmp(name, row, len < row_len ? len : row_len);
		if (c == 0)
			c = len < row_len ? -1 : len > row_len;
		if (c == 0)
			return &ql_functab[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
