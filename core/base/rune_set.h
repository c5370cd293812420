/*
 * rune_set - sets of code points as sorted spans, and what Unicode 15.0 says of code points:
 * general category, script, simple case folding.
 *
 * A set is tidy when its spans are sorted, disjoint and not adjacent. Every function leaves it tidy
 * but rune_set_add; what reads spans wants a tidy one. The tables (rune_cat.def, rune_script.def,
 * rune_fold.def) are made by rune_tables.py. No library's tables are asked, so that answers do not
 * depend on its version.
 * Memory: spans on the heap until rune_set_release(). Thread: one at a time; the tables are
 * constant.
 */
#ifndef CORE_BASE_RUNE_SET_H
#define CORE_BASE_RUNE_SET_H

#include "core/base/check.h"

#define RUNE_MAX 0x10ffffu

struct rune_span {
	uint32_t first, last;
};
struct rune_set {
	struct rune_span *v;
	size_t count, room;
};

void rune_set_release(struct rune_set *s); /* zeroed is empty */
void rune_set_add(struct rune_set *s, uint32_t first, uint32_t last);
void rune_set_tidy(struct rune_set *s);
void rune_set_join(struct rune_set *to, const struct rune_set *from);
void rune_set_negate(struct rune_set *s);
/* Adds what is equal to a member but for case: k, K and U+212A. */
void rune_set_fold(struct rune_set *s);
/*
 * The set of \p{name}: a general category (Lu, L, LC) or its long name (Uppercase_Letter), a
 * script, Any, ASCII, Assigned. Case, blanks, - and _ do not matter. fold: with what is equal but
 * for case. False, and out untouched, when there is none of that name.
 */
bool rune_set_named(struct rune_set *out, const char *name, size_t len, bool fold);
bool rune_set_has(const struct rune_set *s, uint32_t rune);

/* General categories; the table's rows name them. */
enum rune_cat {
	RUNE_Cc,
	RUNE_Cf,
	RUNE_Cn,
	RUNE_Co,
	RUNE_Cs,
	RUNE_Ll,
	RUNE_Lm,
	RUNE_Lo,
	RUNE_Lt,
	RUNE_Lu,
	RUNE_Mc,
	RUNE_Me,
	RUNE_Mn,
	RUNE_Nd,
	RUNE_Nl,
	RUNE_No,
	RUNE_Pc,
	RUNE_Pd,
	RUNE_Pe,
	RUNE_Pf,
	RUNE_Pi,
	RUNE_Po,
	RUNE_Ps,
	RUNE_Sc,
	RUNE_Sk,
	RUNE_Sm,
	RUNE_So,
	RUNE_Zl,
	RUNE_Zp,
	RUNE_Zs
};
enum rune_cat rune_category(uint32_t rune);

#endif
