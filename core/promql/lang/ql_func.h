/*
 * ql_func - the table of functions: names and signatures (for the parser), and how each is run (for
 * the engine).
 *
 * The row's static part is in ql_functab.c (parser side): name, argument types, variadic count,
 * return type, flags.
 * The engine finds its implementation by the row's id (enum ql_fn). A function the engine does not
 * know yet is ERR_EXECUTION 'function "x" is not supported yet', never a wrong value.
 */
#ifndef CORE_PROMQL_LANG_QL_FUNC_H
#define CORE_PROMQL_LANG_QL_FUNC_H

#include "core/promql/ql.h"

#define QL_FUNC_ARGS_MAX 5 /* label_replace */
enum ql_fn {
#define QL_FN(id, name, ret, variadic, flags, ...) QL_FN_##id,
#include "core/promql/lang/ql_func.def"
#undef QL_FN
	QL_FN_COUNT
};
#define QL_FN_EXPERIMENTAL 1u
/* the value depends on the time of the step: never the same at all steps */
#define QL_FN_EVALTIME 2u
#define QL_FN_EACH     4u /* done to each value alone (core/promql/run/ql_elem.c) */

struct ql_func {
	enum ql_fn fn;
	const char *name;
	enum ql_type ret;
	/*
	 * as upstream: 0 = exactly args_count; n > 0: at least args_count - 1, at most args_count -
	 * 1 + n; -1: at least args_count - 1, further ones have the type of the last
	 */
	int variadic;
	unsigned flags;
	unsigned args_count;
	enum ql_type args[QL_FUNC_ARGS_MAX];
};
extern const struct ql_func ql_functab[QL_FN_COUNT];
/* NULL when unknown; exact case */
const struct ql_func *ql_func_find(const char *name, size_t len);

#endif
