/*
 * ql_names - lists of label names, as groupings and matchings have them.
 * Thread: pure functions. Memory: the arena; the bytes of the names are borrowed.
 */
#ifndef CORE_PROMQL_LANG_QL_NAMES_H
#define CORE_PROMQL_LANG_QL_NAMES_H

#include "core/promql/lang/ql_ast.h"

/* By bytes, a shorter prefix first. */
int ql_bytes_cmp(const char *a, size_t a_len, const char *b, size_t b_len);
struct ql_names { /* sorted, unique */
	struct ql_str *s;
	uint32_t count;
};
struct ql_names ql_names_make(struct arena *a, const struct ql_str *s, uint32_t count);
bool ql_names_have(const struct ql_names *n, const char *s, size_t len);

#endif
