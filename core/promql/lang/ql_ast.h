/*
 * ql_ast - the tree of a PromQL expression. Shapes: "Querying basics", "Operators" and "Functions"
 * of the Prometheus documentation; positions are byte offsets into the query text, end exclusive.
 *
 * Nodes live in the query's arena and are never freed one by one (matchers hold compiled regexes:
 * ql_ast_release walks them).
 * The parser fills everything up to types; durations that hold expressions (step(), range(),
 * arithmetic) are kept as a tree (dur) and resolved by ql_ast_resolve() once start, end and step
 * are known.
 */
#ifndef CORE_PROMQL_LANG_QL_AST_H
#define CORE_PROMQL_LANG_QL_AST_H

#include "core/model/matcher.h"
#include "core/promql/ql.h"

enum ql_kind {
	QL_NUMBER,
	QL_TEXT,
	QL_SELECTOR /* instant or range selector */,
	QL_SUBQUERY,
	QL_CALL,
	QL_AGGREGATE,
	QL_BINARY,
	QL_UNARY,
	QL_PAREN
};
enum ql_op {
	QL_ADD,
	QL_SUB,
	QL_MUL,
	QL_DIV,
	QL_MOD,
	QL_POW,
	QL_ATAN2,
	QL_EQ,
	QL_NE,
	QL_LT,
	QL_LE,
	QL_GT,
	QL_GE,
	QL_TRIM_UPPER /* "</" */,
	QL_TRIM_LOWER /* ">/" */,
	QL_AND,
	QL_OR,
	QL_UNLESS,
};
enum ql_agg {
	QL_SUM,
	QL_AVG,
	QL_COUNT,
	QL_MIN,
	QL_MAX,
	QL_GROUP,
	QL_STDDEV,
	QL_STDVAR,
	QL_TOPK,
	QL_BOTTOMK,
	QL_COUNT_VALUES,
	QL_QUANTILE,
	QL_LIMITK,
	QL_LIMIT_RATIO
};
enum ql_card {
	QL_ONE_TO_ONE,
	QL_MANY_TO_ONE /* group_left */,
	QL_ONE_TO_MANY /* group_right */,
	QL_MANY_TO_MANY
};
enum ql_at {
	QL_AT_NONE,
	QL_AT_TIME,
	QL_AT_START,
	QL_AT_END
};

struct ql_pos {
	uint32_t start, end;
};
struct ql_str {
	const char *s;
	uint32_t len;
};

/*
 * Duration expression: number literal in seconds, step(), range(), unary and binary arithmetic,
 * min_of, max_of, parentheses.
 */
enum ql_dur_kind {
	QL_DUR_NUM,
	QL_DUR_STEP,
	QL_DUR_RANGE,
	QL_DUR_NEG,
	QL_DUR_POS,
	QL_DUR_BIN,
	QL_DUR_MIN,
	QL_DUR_MAX
};
struct ql_dur {
	enum ql_dur_kind kind;
	struct ql_pos pos;
	bool is_duration; /* number was written as a duration (5m), for printing */
	bool paren;       /* written in parentheses */
	double num;       /* seconds */
	enum ql_op op;    /* QL_DUR_BIN */
	struct ql_dur *l, *r;
	uint32_t height; /* 1 for leaves */
};

struct ql_mods {               /* modifiers of selectors and sub-queries */
	int64_t offset_ms;     /* resolved; may be negative */
	struct ql_dur *offset; /* NULL = plain offset_ms */
	enum ql_at at;
	int64_t at_ms; /* QL_AT_TIME; resolved for START and END by ql_ast_resolve */
	bool anchored, smoothed;
};

struct ql_made; /* core/promql/lang/ql_parse_sel.c */
struct ql_func; /* row of the function table, core/promql/lang/ql_func.h */

struct ql_node {
	enum ql_kind kind;
	enum ql_type type; /* filled by the parser */
	struct ql_pos pos;
	/*
	 * Levels below and with this one, 1 for leaves: walks may recurse so deep. A chain of
	 * operators (a + b - c, which grows to the left) is one level: walks go down through bin.l
	 * and back through up, without recursion.
	 */
	uint32_t height;
	uint32_t chain;       /* QL_BINARY: operands of the chain that ends here */
	struct ql_node *up;   /* the operator whose left operand this is; NULL: none */
	struct ql_made *made; /* of the root: what ql_ast_release frees */
	bool is_duration;     /* QL_NUMBER written as a duration (5m), for printing */
	/* marks of the plan */
	bool constant; /* a scalar, one number for all steps: known */
	double known;
	bool invariant, wraps; /* the same at all steps; worth evaluating once */
	union {
		double num;         /* QL_NUMBER */
		struct ql_str text; /* QL_TEXT, unquoted */
		struct {            /* QL_SELECTOR; type is VECTOR or MATRIX */
			/*
			 * metric name written before the braces; "" when there is none or it stands
			 * quoted inside
			 */
			struct ql_str name;
			/*
			 * __name__ matcher included, also for a quoted name; one made from name is
			 * the last
			 */
			struct matcher *matchers;
			uint32_t matchers_count;
			struct ql_mods mods;
			int64_t range_ms;     /* MATRIX */
			struct ql_dur *range; /* NULL = plain */
			/* end of the vector selector part inside a matrix selector */
			uint32_t sel_end;
		} sel;
		struct {
			struct ql_node *expr;
			int64_t range_ms, step_ms; /* step 0 = default */
			struct ql_dur *range, *step;
			struct ql_mods mods;
		} sub;
		struct {
			const struct ql_func *func;
			struct ql_node **args;
			uint32_t args_count;
		} call;
		struct {
			enum ql_agg op;
			struct ql_node *expr, *param; /* param NULL where the operator has none */
			struct ql_str *grouping;
			uint32_t grouping_count;
			bool without, has_clause; /* has_clause: by or without was written */
		} agg;
		struct {
			enum ql_op op;
			struct ql_node *l, *r;
			bool return_bool, on; /* on: else ignoring */
			bool has_matching;    /* on or ignoring was written */
			enum ql_card card;
			struct ql_str *labels, *include;
			uint32_t labels_count, include_count;
			bool fill_l_set, fill_r_set; /* fill modifiers */
			double fill_l, fill_r;
			struct ql_pos op_pos;
		} bin;
		struct {
			bool minus;
			struct ql_node *expr;
		} unary;
		struct ql_node *paren;
	};
};

struct limits; /* core/model/limits.h */
struct ql_parse_opts {
	bool experimental_functions, extended_selectors,
	    /* false: their use is the error Prometheus gives when the switch is off */
	    fill_modifiers;
	const struct limits *limits; /* NULL = limits_here() */
};
/*
 * What a request may make the server hold and compile, counted before anything is compiled, against
 * query_selectors, query_matchers and query_pattern_bytes of the limits. Sets of literals, prefixes
 * and the like need no engine and do not count as patterns.
 */
#define QL_PATTERN_LEAST 64 /* what a pattern that needs the engine counts as at least */
struct ql_counts {
	uint32_t selectors, matchers; /* the latter: most of any selector */
	uint64_t pattern_bytes;
};
/* ERR_TOOBIG with a text that names limit and number. */
MUST_CHECK enum err ql_counts_check(
    const struct ql_counts *c, const struct limits *l, struct errbuf *eb);

/*
 * Whole expression. On error ERR_BADDATA and "L:C: parse error: text"; ERR_TOOBIG for what is
 * over a limit of ql_counts. Nodes in the arena.
 */
MUST_CHECK enum err ql_parse(struct arena *a, const char *text, size_t len,
    const struct ql_parse_opts *o, struct ql_node **out, struct errbuf *eb);
/*
 * A selector alone, for match[]: matchers in the arena. Must be an instant selector without
 * modifiers.
 * counts: of the request so far; this one is added. limits: NULL = limits_here().
 */
MUST_CHECK enum err ql_parse_selector(struct arena *a, const char *text, size_t len,
    const struct limits *limits, struct ql_counts *counts, struct matcher **out, size_t *count,
    struct errbuf *eb);
/* Series description of promqltest: metric{labels} items... ; see ql_series_desc in ql_parse.h. */

/*
 * Evaluates duration expressions and @ start()/end(): ERR_BADDATA with Prometheus' text.
 * step_ms = 0 and range 0 for instant queries.
 */
MUST_CHECK enum err ql_ast_resolve(
    struct ql_node *n, int64_t start_ms, int64_t end_ms, int64_t step_ms, struct errbuf *eb);
/*
 * fn for each node until it returns false, which is passed on. Operands come from left to right;
 * QL_PARENTS_FIRST: what holds others before them, QL_PARENTS_LAST: after them.
 */
enum ql_order {
	QL_PARENTS_FIRST,
	QL_PARENTS_LAST
};
bool ql_walk(
    struct ql_node *n, enum ql_order order, bool (*fn)(void *arg, struct ql_node *n), void *arg);
/* The leftmost operator of n's chain: its left operand is no operator. n is QL_BINARY. */
static inline struct ql_node *ql_chain_first(struct ql_node *n)
{
	while (n->bin.l->kind == QL_BINARY)
		n = n->bin.l;
	return n;
}
/* Of the root: frees what the arena does not hold (compiled patterns). */
void ql_ast_release(struct ql_node *n);
/*
 * Canonical one-line printing (upstream promql/parser/printer.go) and pretty printing
 * (format_query).
 */
void ql_print(struct buf *out, const struct ql_node *n);
void ql_pretty(struct buf *out, const struct ql_node *n);
/* "line:column" of a byte offset in the text, 1-based. */
void ql_line_col(const char *text, size_t len, uint32_t pos, unsigned *line, unsigned *col);
const struct ql_node *ql_skip_parens(const struct ql_node *n); /* without parentheses around it */
struct ql_pos ql_bare_pos(
    /* without its parentheses: what annotations about an argument point at */
    const struct ql_node *n);
const char *ql_op_text(enum ql_op op);
const char *ql_agg_text(enum ql_agg op);

#endif
