#include "core/promql/lang/ql_names.h"

#include <stdlib.h>
#include <string.h>

int ql_bytes_cmp(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t n = a_len < b_len ? a_len : b_len;
	int c = n ? memcmp(a, b, n) : 0;
	return c ? c : (a_len > b_len) - (a_len < b_len);
}

static int names_cmp(const void *pa, const void *pb)
{
	const struct ql_str *a = pa, *b = pb;
	return ql_bytes_cmp(a->s, a->len, b->s, b->len);
}

struct ql_names ql_names_make(struct arena *a, const struct ql_str *s, uint32_t count)
{
	struct ql_names n = { .s = arena_array(a, count + 1, sizeof(*s)) };
	if (count)
		memcpy(n.s, s, count * sizeof(*s));
	qsort(n.s, count, sizeof(*s), names_cmp);
	for (uint32_t i = 0; i < count; i++)
		if (!n.count || names_cmp(&n.s[n.count - 1], &n.s[i]) != 0)
			n.s[n.count++] = n.s[i];
	return n;
}

bool ql_names_have(const struct ql_names *n, const char *s, size_t len)
{
	struct ql_str key = { s, (uint32_t)len };
	return n->count && bsearch(&key, n->s, n->count, sizeof(key), names_cmp);
}
