/*
 * ql_parse - what the parser offers besides ql_parse() and ql_parse_selector() of ql_ast.h: limits,
 * and the series descriptions of promqltest and of rule unit tests.
 *
 * The parser is recursive descent with precedence climbing. It stops at the first mistake, whose
 * text and position are those Prometheus 3.14 shows.
 * Memory: everything in the arena given, except the compiled regexes of matchers (ql_ast_release).
 * Thread: pure.
 */
#ifndef CORE_PROMQL_LANG_QL_PARSE_H
#define CORE_PROMQL_LANG_QL_PARSE_H

#include "core/promql/lang/ql_ast.h"

#define QL_TEXT_MAX   (64 * 1024) /* bytes of one expression */
#define QL_NEST_MAX   128         /* parentheses, calls, signs within one another */
#define QL_HEIGHT_MAX 1024 /* of the tree: a + b + c + ... grows to the left without nesting */

#define QL_SERIES_ITEMS_MAX 1000000 /* points of one series description, after repetition */

enum ql_item_kind {
	QL_ITEM_OMITTED,
	QL_ITEM_FLOAT,
	QL_ITEM_HISTOGRAM /* recognised, not decoded */
};
struct ql_series_item {
	enum ql_item_kind kind;
	double v; /* stale markers have their bits */
};
struct ql_series_desc {
	struct labels labels; /* canonical; also the empty set */
	struct ql_series_item *items;
	size_t items_count;
	bool has_histograms;
};
/*
 * metric{labels} items...: spec of the items as in promqltest (a+bxN, _xN, stale, ...). ERR_BADDATA
 * with a text without position. Result in the arena.
 */
MUST_CHECK enum err ql_series_desc(
    struct arena *a, const char *text, size_t len, struct ql_series_desc *out, struct errbuf *eb);

#endif
