/*
 * ql_parse - what the parser offers besides ql_parse() and ql_parse_selector() of ql_ast.h: limits,
 * and the series descriptions of promqltest and of rule unit tests.
 *
 * The parser is recursive descent with precedence climbing; it recurses as deep as the expression
 * nests, not along a chain of operators. It stops at the first mistake, whose
 * text and position are those Prometheus 3.14 shows.
 * Memory: everything in the arena given, except the compiled regexes of matchers (ql_ast_release).
 * Thread: pure.
 */
#ifndef CORE_PROMQL_LANG_QL_PARSE_H
#define CORE_PROMQL_LANG_QL_PARSE_H

#include "core/promql/lang/ql_ast.h"

/*
 * Limits of a text: query_text_bytes; query_nesting of parentheses, calls and signs within one
 * another, and this many levels of the tree (height) for each; query_chain.
 */
#define QL_LEVELS_EACH 4u

/*
 * Would parsing take longer than a loop may be busy with one turn? Then a worker does it. Told from
 * the size of the text and from how many patterns it may have to compile.
 */
bool ql_text_is_costly(const char *text, size_t len);
/*
 * For several texts: their costs add up, as units of which QL_TEXT_COST_MAX are about half a
 * millisecond.
 */
#define QL_TEXT_COST_MAX 64u
uint64_t ql_text_cost(const char *text, size_t len);

#define QL_SERIES_TEXT_MAX  (64 * 1024)
#define QL_SERIES_ITEMS_MAX 1000000 /* points of one series description, after repetition */
#define QL_SERIES_COST_MAX  4000000 /* buckets that additions of histograms make */

enum ql_item_kind {
	QL_ITEM_OMITTED,
	QL_ITEM_FLOAT,
	QL_ITEM_HISTOGRAM
};
struct hist;
struct ql_series_item {
	enum ql_item_kind kind;
	bool hint_given; /* of a histogram: it was written */
	union {
		double v; /* stale markers have their bits */
		const struct hist *h;
	};
};
struct ql_series_desc {
	struct labels labels; /* canonical; also the empty set */
	struct ql_series_item *items;
	size_t items_count;
	bool has_histograms;
};
/*
 * metric{labels} items...: spec of the items as in promqltest (a+bxN, _xN, stale, {{...}}).
 * ERR_BADDATA
 * with a text without position. Result in the arena; repeated histograms are one.
 */
MUST_CHECK enum err ql_series_desc(
    struct arena *a, const char *text, size_t len, struct ql_series_desc *out, struct errbuf *eb);

#endif
