/*
 * The parser against Prometheus 3.14: what every construct prints as, and for every kind of mistake
 * the text and the place shown.
 * The texts were checked against the parser of Prometheus itself.
 */
#include "core/model/hist.h"
#include "core/promql/lang/ql_func.h"
#include "core/promql/lang/ql_parse.h"
#include "tests/lib/tap.h"

#include <stdlib.h>

static const struct ql_parse_opts all = { true, true, true, NULL };

static const struct good {
	const char *text, *print; /* NULL: as written */
	enum ql_type type;
} goods[] = {
	/* clang-format off */
	{ "foo offset (1h) + 3", NULL, QL_VECTOR },
	{ "a + on(x) group_left b", "a + on (x) group_left () b", QL_VECTOR },
	{ "foo offset - -5m ^ 2", "foo offset --5m ^ 2", QL_VECTOR },
	{ "foo offset -(5m) ^ 2", NULL, QL_VECTOR },
	{ "foo offset step() ^ 2", NULL, QL_VECTOR },
	{ "{\"a\",\"b\"}", "{__name__=\"a\",__name__=\"b\"}", QL_VECTOR },
	{ "08", "8", QL_SCALAR },
	{ "foo[5m] offset 0 offset 1m", "foo[5m] offset 1m", QL_MATRIX },
	{ "\"\"", NULL, QL_STRING },
	{ "-1^2", "-1 ^ 2", QL_SCALAR },
	{ "--1", "1", QL_SCALAR },
	{ "- 5m", "-5m", QL_SCALAR },
	{ "(-1)^2", "(-1) ^ 2", QL_SCALAR },
	{ "a + ignoring() b", "a + b", QL_VECTOR },
	{ "a == bool on() group_right(x) b", "a == bool on () group_right (x) b", QL_VECTOR },
	{ "foo[(5)]", NULL, QL_MATRIX },
	{ "foo[-(5)]", NULL, QL_MATRIX },
	{ "foo[1/(0)]", "foo[1 / (0)]", QL_MATRIX },
	{ "foo[5m:1m] @ 10 offset 5m", "foo[5m:1m] @ 10.000 offset 5m", QL_MATRIX },
	{ "sum without (x,) (foo)", "sum without (x) (foo)", QL_VECTOR },
	{ "sum by () (foo)", "sum(foo)", QL_VECTOR },
	{ "sum(foo) by (\"a.b\",c)", "sum by (\"a.b\", c) (foo)", QL_VECTOR },
	{ "min_of(1,2)", "min_of(1, 2)", QL_SCALAR },
	{ "max_of", NULL, QL_VECTOR },
	{ "start", NULL, QL_VECTOR },
	{ "start()", NULL, QL_SCALAR },
	{ "range + step", NULL, QL_VECTOR },
	{ "offset", NULL, QL_VECTOR },
	{ "foo-bar", "foo - bar", QL_VECTOR },
	{ "a or b and c unless d", NULL, QL_VECTOR },
	{ "foo{}", "foo", QL_VECTOR },
	{ "sum(sum)", NULL, QL_VECTOR },
	{ "info(foo, {a=\"b\"})", NULL, QL_VECTOR },
	{ "up", NULL, QL_VECTOR },
	{ "up{job=\"api\"}", NULL, QL_VECTOR },
	{ "up{job=~\"a|b\",instance!~\"x.*\"}", "up{instance!~\"x.*\",job=~\"a|b\"}", QL_VECTOR },
	{ "{__name__=\"up\"}", NULL, QL_VECTOR },
	{ "{\"my.metric\",\"my.label\"=\"x\"}", "{\"my.label\"=\"x\",__name__=\"my.metric\"}", QL_VECTOR },
	{ "{\"with space\"}", "{__name__=\"with space\"}", QL_VECTOR },
	{ "up{\"a b\"=\"c\"}", NULL, QL_VECTOR },
	{ "rate(http_requests_total{code=~\"5..\"}[5m])", NULL, QL_VECTOR },
	{ "sum by (job) (rate(x[1m]))", NULL, QL_VECTOR },
	{ "sum(rate(x[1m])) by (job)", "sum by (job) (rate(x[1m]))", QL_VECTOR },
	{ "avg without (a,b,) (x)", "avg without (a, b) (x)", QL_VECTOR },
	{ "topk(3, x)", NULL, QL_VECTOR },
	{ "quantile(0.9, x)", NULL, QL_VECTOR },
	{ "count_values(\"v\", x)", NULL, QL_VECTOR },
	{ "limitk(2, x)", NULL, QL_VECTOR },
	{ "limit_ratio(-0.5, x)", NULL, QL_VECTOR },
	{ "x offset 5m", NULL, QL_VECTOR },
	{ "x offset -5m", NULL, QL_VECTOR },
	{ "x @ 100", "x @ 100.000", QL_VECTOR },
	{ "x @ start()", NULL, QL_VECTOR },
	{ "x @ end() offset 1h", NULL, QL_VECTOR },
	{ "x[5m] @ -3.5", "x[5m] @ -3.500", QL_MATRIX },
	{ "x[1h:5m]", NULL, QL_MATRIX },
	{ "x[1h:]", NULL, QL_MATRIX },
	{ "x[1h:5m] offset 10m @ 4", "x[1h:5m] @ 4.000 offset 10m", QL_MATRIX },
	{ "max_over_time(rate(x[5m])[1h:1m])", NULL, QL_VECTOR },
	{ "a + b * c", NULL, QL_VECTOR },
	{ "(a + b) * c", NULL, QL_VECTOR },
	{ "a ^ b ^ c", NULL, QL_VECTOR },
	{ "a - b - c", NULL, QL_VECTOR },
	{ "-a ^ b", NULL, QL_VECTOR },
	{ "-a * b", NULL, QL_VECTOR },
	{ "- - a", "--a", QL_VECTOR },
	{ "+a", NULL, QL_VECTOR },
	{ "a == bool b", NULL, QL_VECTOR },
	{ "a > 1", NULL, QL_VECTOR },
	{ "1 < bool 2", NULL, QL_SCALAR },
	{ "a and on (x) b", NULL, QL_VECTOR },
	{ "a or ignoring (y) b", NULL, QL_VECTOR },
	{ "a unless b", NULL, QL_VECTOR },
	{ "a * on (x) group_left (y, z) b", NULL, QL_VECTOR },
	{ "a / ignoring (q) group_right () b", NULL, QL_VECTOR },
	{ "a atan2 b", NULL, QL_VECTOR },
	{ "a % b", NULL, QL_VECTOR },
	{ "a </ 2", NULL, QL_VECTOR },
	{ "a >/ 2", NULL, QL_VECTOR },
	{ "a + fill (0) b", NULL, QL_VECTOR },
	{ "a + on (i) fill_left (-1) fill_right (2) b", NULL, QL_VECTOR },
	{ "a + fill_right (Inf) fill_left (3) b", "a + fill_left (3) fill_right (+Inf) b", QL_VECTOR },
	{ "a * on (i) group_left () fill (NaN) b", "a * on (i) group_left () fill_left (NaN) fill_right (NaN) b", QL_VECTOR },
	{ "x anchored", NULL, QL_VECTOR },
	{ "x[5m] smoothed", NULL, QL_MATRIX },
	{ "rate(x[5m] anchored)", NULL, QL_VECTOR },
	{ "x[5m * 2]", NULL, QL_MATRIX },
	{ "x[(1h - 30m) / 2]", NULL, QL_MATRIX },
	{ "x[step()]", NULL, QL_MATRIX },
	{ "x[max_of(step(), 1m):min_of(5s, step() ^ 2)]", NULL, QL_MATRIX },
	{ "x offset (step() * 3)", NULL, QL_VECTOR },
	{ "x offset -step()", NULL, QL_VECTOR },
	{ "x offset -(5m - 1m)", NULL, QL_VECTOR },
	{ "x offset max_of(1, 2)", NULL, QL_VECTOR },
	{ "x[5m % 7]", NULL, QL_MATRIX },
	{ "x[-step() + 10m]", NULL, QL_MATRIX },
	{ "x offset +5", "x offset 5s", QL_VECTOR },
	{ "x[1.5]", "x[1s500ms]", QL_MATRIX },
	{ "x[0x10]", "x[16s]", QL_MATRIX },
	{ "x[1_000]", "x[16m40s]", QL_MATRIX },
	{ "1", NULL, QL_SCALAR },
	{ "0x1F", "31", QL_SCALAR },
	{ "017", "15", QL_SCALAR },
	{ "1_000", "1000", QL_SCALAR },
	{ "1e3", "1000", QL_SCALAR },
	{ ".5", "0.5", QL_SCALAR },
	{ "5.", "5", QL_SCALAR },
	{ "Inf", "+Inf", QL_SCALAR },
	{ "-Inf", NULL, QL_SCALAR },
	{ "+Inf", NULL, QL_SCALAR },
	{ "nan", "NaN", QL_SCALAR },
	{ "5m", NULL, QL_SCALAR },
	{ "1h30m", NULL, QL_SCALAR },
	{ "1y2w3d4h5m6s7ms", "382d4h5m6s7ms", QL_SCALAR },
	{ "-5m", NULL, QL_SCALAR },
	{ "\"a\\nb\"", NULL, QL_STRING },
	{ "'it\\'s'", "\"it's\"", QL_STRING },
	{ "`raw\\n`", "\"raw\\\\n\"", QL_STRING },
	{ "\"\\x41\\101\\u00e9\\U0001F600\"", "\"AA\303\251\360\237\230\200\"", QL_STRING },
	{ "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")", NULL, QL_VECTOR },
	{ "label_join(x, \"a\", \"-\")", NULL, QL_VECTOR },
	{ "round(x)", NULL, QL_VECTOR },
	{ "round(x, 5)", NULL, QL_VECTOR },
	{ "time()", NULL, QL_SCALAR },
	{ "vector(1)", NULL, QL_VECTOR },
	{ "scalar(x)", NULL, QL_SCALAR },
	{ "absent(x{a=\"b\"})", NULL, QL_VECTOR },
	{ "histogram_quantile(0.9, x)", NULL, QL_VECTOR },
	{ "histogram_quantiles(x, \"q\", 0.5, 0.9)", NULL, QL_VECTOR },
	{ "info(x)", NULL, QL_VECTOR },
	{ "info(x, {})", NULL, QL_VECTOR },
	{ "info(x, {a=~\"b\"})", NULL, QL_VECTOR },
	{ "sort_by_label(x, \"a\", \"b\")", NULL, QL_VECTOR },
	{ "day_of_week()", NULL, QL_VECTOR },
	{ "predict_linear(x[5m], 3600)", NULL, QL_VECTOR },
	{ "start() + step()", NULL, QL_SCALAR },
	{ "min_of(1, 2) + max_of(3, 4)", NULL, QL_SCALAR },
	{ "sum", NULL, QL_VECTOR },
	{ "by", NULL, QL_VECTOR },
	{ "and and and", NULL, QL_VECTOR },
	{ "fill", NULL, QL_VECTOR },
	{ "step", NULL, QL_VECTOR },
	{ "range + end", NULL, QL_VECTOR },
	{ "count offset 5m", NULL, QL_VECTOR },
	{ "bottomk{a=\"b\"}", NULL, QL_VECTOR },
	{ "a:b:c", NULL, QL_VECTOR },
	{ "SUM BY (a) (x)", "sum by (a) (x)", QL_VECTOR },
	{ "x OFFSET 5m", "x offset 5m", QL_VECTOR },
	{ "A AND B", "A and B", QL_VECTOR },
	{ "sum(x) BY (by, on, offset, sum)", "sum by (by, on, offset, sum) (x)", QL_VECTOR },
	{ "sum by (\"a.b\", c) (x)", NULL, QL_VECTOR },
	{ "x # comment", "x", QL_VECTOR },
	{ "x{a=\"b\" # inside\n}", "x{a=\"b\"}", QL_VECTOR },
	{ "a +\n# line\nb", "a + b", QL_VECTOR },
	{ "rate", NULL, QL_VECTOR },
	{ "a + + b", "a + +b", QL_VECTOR },
	{ "a != b", NULL, QL_VECTOR },
	{ "9223372037", NULL, QL_SCALAR },
	{ "{a=~\"b.*\"}", NULL, QL_VECTOR },
	{ "{\"x\",\"y\"}", "{__name__=\"x\",__name__=\"y\"}", QL_VECTOR },
	{ "{__name__=\"x\",\"y\"}", "{__name__=\"x\",__name__=\"y\"}", QL_VECTOR },
	{ "without", NULL, QL_VECTOR },
	{ "x[5m/(0)]", "x[5m / (0)]", QL_MATRIX },
	/* clang-format on */
};

static const struct bad {
	const char *text, *error;
} bads[] = {
	/* clang-format off */
	{ "foo offset (1h) + bar", "1:19: parse error: unexpected identifier \"bar\" in offset, expected number, duration, step(), or range()" },
	{ "sum foo", "1:5: parse error: unexpected identifier \"foo\"" },
	{ "sum foo by (x)", "1:5: parse error: unexpected identifier \"foo\"" },
	{ "sum(foo bar)", "1:9: parse error: unexpected identifier \"bar\" in aggregation" },
	{ "sum by (a) foo", "1:12: parse error: unexpected identifier \"foo\" in aggregation" },
	{ "sum by a (foo)", "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\"" },
	{ "sum by (a b) (foo)", "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"" },
	{ "foo offset foo", "1:12: parse error: unexpected identifier \"foo\" in offset, expected number, duration, step(), or range()" },
	{ "foo offset (1h + ", "1:18: parse error: unclosed left parenthesis" },
	{ "foo[5m foo]", "1:8: parse error: unexpected character: 'f', expected ':'" },
	{ "foo[:5m]", "1:6: parse error: unexpected colon before duration in duration expression" },
	{ "foo[5m][", "1:9: parse error: unexpected end of input in duration expression" },
	{ "foo @ bar", "1:7: parse error: unexpected identifier \"bar\" in @, expected timestamp" },
	{ "foo @ start(", "1:13: parse error: unclosed left parenthesis" },
	{ "foo @ start", "1:12: parse error: unexpected end of input in @, expected timestamp" },
	{ "rat(x) $", "1:1: parse error: unknown function with name \"rat\"" },
	{ "f(a,,b)", "1:4: parse error: trailing commas not allowed in function call args" },
	{ "sum(a,)", "1:6: parse error: trailing commas not allowed in function call args" },
	{ "foo{a=b}", "1:7: parse error: unexpected identifier \"b\" in label matching, expected string" },
	{ "foo{a}", "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator" },
	{ "foo{a=\"1\" b=\"2\"}", "1:11: parse error: unexpected identifier \"b\" in label matching, expected \",\" or \"}\"" },
	{ "foo{1}", "1:5: parse error: unexpected character inside braces: '1'" },
	{ "sum by (1) (x)", "1:9: parse error: unexpected number \"1\" in grouping opts, expected label" },
	{ "foo)", "1:5: parse error: unexpected right parenthesis ')'" },
	{ "1 + ", "1:5: parse error: unexpected end of input" },
	{ "bool", "1:1: parse error: unexpected <bool>" },
	{ "atan2", "1:1: parse error: unexpected <op:atan2>" },
	{ "foo + on bar", "1:10: parse error: unexpected identifier \"bar\" in grouping opts, expected \"(\"" },
	{ "a + fill(0 b", "1:12: parse error: unexpected identifier \"b\"" },
	{ "0x", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"0x\": invalid syntax" },
	{ "1e999", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of range" },
	{ "5mm", "1:1: parse error: bad number or duration syntax: \"5mm\"" },
	{ "1d1y", "1:1: parse error: bad number or duration syntax: \"1d1\"" },
	{ "'a\\qb'", "1:1: parse error: unknown escape sequence U+0071 'q'" },
	{ "foo[0]", "1:5: parse error: duration must be greater than 0" },
	{ "foo[5m] offset 1m offset 1m", "1:1: parse error: offset may not be set multiple times" },
	{ "a and bool b", "1:3: parse error: bool modifier can only be used on comparison operators" },
	{ "1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier" },
	{ "x{__name__=\"y\"}", "1:1: parse error: metric name must not be set twice: \"x\" or \"y\"" },
	{ "", "unknown position: parse error: no expression found in input" },
	{ " ", "1:1: parse error: no expression found in input" },
	{ "#c", "1:1: parse error: no expression found in input" },
	{ "foo anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used together" },
	{ "foo[5m:] anchored", "1:1: parse error: anchored modifier is not supported for subqueries" },
	{ "foo @ 1e30", "1:1: parse error: timestamp out of bounds for @ modifier: 1000000000000000019884624838656.000000" },
	{ "foo[5m/0]", "1:7: parse error: division by zero" },
	{ "foo[nan]", "1:5: parse error: unexpected character in duration expression: 'n'" },
	{ "foo offset inf", "1:12: parse error: duration out of range" },
	{ "foo offset 1d2", "1:12: parse error: bad number or duration syntax: \"1d2\"" },
	{ "rate()", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0" },
	{ "label_join(x)", "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 1" },
	{ "foo{a=~\"(\"}", "1:5: parse error: error parsing regexp: missing closing ): `(`" },
	{ "avg + on", "1:9: parse error: unexpected end of input in grouping opts, expected \"(\"" },
	{ "foo offset offset", "1:12: parse error: unexpected <offset> in offset, expected number, duration, step(), or range()" },
	{ "foo.bar", "1:4: parse error: unexpected character: '.'" },
	{ "foo!bar", "1:4: parse error: unexpected character after '!': 'b'" },
	{ "foo{bar", "1:8: parse error: unexpected end of input inside braces" },
	{ "sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got scalar" },
	{ "topk(foo)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1" },
	{ "fill fill fill", "1:6: parse error: unexpected identifier \"fill\"" },
	{ "{}", "1:1: parse error: vector selector must contain at least one non-empty matcher" },
	{ "{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher" },
	{ "-foo[5m]", "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"" },
	{ "foo[5m] + 1", "1:1: parse error: binary expression must contain only scalar and instant vector types" },
	{ "1 and 2", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression" },
	{ "a and on() group_left() b", "1:1: parse error: no grouping allowed for \"and\" operation" },
	{ "a and fill(1) b", "1:1: parse error: filling in missing series not allowed for set operators" },
	{ "\"a\"[5m]", "1:4: parse error: ranges only allowed for vector selectors" },
	{ "\"a\"[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got string instead" },
	{ "foo[5m][5m]", "1:8: parse error: ranges only allowed for vector selectors" },
	{ "foo offset 5m[5m]", "1:14: parse error: no offset modifiers allowed before range" },
	{ "foo @ 5[5m]", "1:8: parse error: no @ modifiers allowed before range" },
	{ "a unless", "1:9: parse error: unexpected end of input" },
	{ "+", "1:2: parse error: unexpected end of input" },
	{ "((", "1:3: parse error: unclosed left parenthesis" },
	{ "))", "1:2: parse error: unexpected right parenthesis ')'" },
	{ "]", "1:1: parse error: unexpected right bracket ']'" },
	{ "[5m]", "1:1: parse error: unexpected \"[\"" },
	{ "foo['a']", "1:5: parse error: unexpected character in duration expression: '\\''" },
	{ "foo{a=\"x\"}}", "1:11: parse error: unexpected character: '}'" },
	{ "sum(foo)(bar)", "1:9: parse error: unexpected \"(\"" },
	{ "rate(foo)(bar)", "1:10: parse error: unexpected \"(\"" },
	{ "by(foo)", "1:3: parse error: unexpected \"(\"" },
	{ "count_values(\"x\", foo) by", "1:26: parse error: unexpected end of input in grouping opts, expected \"(\"" },
	{ "info(foo, bar)", "1:11: parse error: expected label selectors only, got vector selector instead" },
	{ "info(foo, 1)", "1:1: parse error: expected type instant vector in call to function \"info\", got scalar" },
	{ "info(foo, sum(x))", "1:11: parse error: expected label selectors only" },
	{ "x[range():step()]", "1:11: parse error: unexpected colon before duration in duration expression" },
	{ "\n\n x ^\n", "4:1: parse error: unexpected end of input" },
	{ "\nx{", "2:3: parse error: unexpected end of input inside braces" },
	{ "\n\n  rate(x)", "3:8: parse error: expected type range vector in call to function \"rate\", got instant vector" },
	{ "x{a=\"b\"}{", "1:9: parse error: unexpected \"{\"" },
	{ "x{a=\"b\",,}", "1:9: parse error: unexpected \",\" in label matching, expected identifier or \"}\"" },
	{ "x{,}", "1:3: parse error: unexpected \",\" in label matching, expected identifier or \"}\"" },
	{ "x{a==b}", "1:5: parse error: unexpected \"=\" in label matching, expected string" },
	{ "x{\"a\"=}", "1:7: parse error: unexpected \"}\" in label matching, expected string" },
	{ "x{a!b}", "1:4: parse error: unexpected character after '!' inside braces: 'b'" },
	{ "x{a=\"b\"", "1:8: parse error: unexpected end of input inside braces" },
	{ "x{a=\"b", "1:5: parse error: unterminated quoted string" },
	{ "x{{", "1:3: parse error: unexpected left brace '{'" },
	{ "x}", "1:2: parse error: unexpected character: '}'" },
	{ "(x", "1:3: parse error: unclosed left parenthesis" },
	{ "x[5m", "1:5: parse error: unclosed left bracket" },
	{ "x[", "1:3: parse error: unexpected end of input in duration expression" },
	{ "x[5m:", "1:6: parse error: unclosed left bracket" },
	{ "x[5m:1m", "1:8: parse error: unclosed left bracket" },
	{ "x[5m:1m:", "1:8: parse error: unexpected colon ':'" },
	{ "x[]", "1:3: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()" },
	{ "x[ ]", "1:4: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()" },
	{ "x[5x]", "1:3: parse error: bad number or duration syntax: \"5\"" },
	{ "x[5m 5m]", "1:6: parse error: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"" },
	{ "x[5m,]", "1:5: parse error: unexpected \",\" in subquery or range, expected \":\" or \"]\"" },
	{ "x[a]", "1:3: parse error: unexpected character in duration expression: 'a'" },
	{ "x[:]", "1:4: parse error: unexpected colon before duration in duration expression" },
	{ "x[-5m]", "1:3: parse error: duration must be greater than 0" },
	{ "x[5m:0]", "1:6: parse error: duration must be greater than 0" },
	{ "x[5m:-1m]", "1:6: parse error: duration must be greater than 0" },
	{ "x offset", "1:9: parse error: unexpected end of input in offset, expected number, duration, step(), or range()" },
	{ "x offset x", "1:10: parse error: unexpected identifier \"x\" in offset, expected number, duration, step(), or range()" },
	{ "x offset 5m5", "1:10: parse error: bad number or duration syntax: \"5m5\"" },
	{ "x offset \"5m\"", "1:10: parse error: unexpected string \"\\\"5m\\\"\" in offset, expected number, duration, step(), or range()" },
	{ "1 offset 5m", "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery" },
	{ "sum(x) offset 5m", "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery" },
	{ "x offset 5m offset 3m", "1:1: parse error: offset may not be set multiple times" },
	{ "x @", "1:4: parse error: unexpected end of input in @, expected timestamp" },
	{ "x @ x", "1:5: parse error: unexpected identifier \"x\" in @, expected timestamp" },
	{ "x @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times" },
	{ "x @ start", "1:10: parse error: unexpected end of input in @, expected timestamp" },
	{ "x @ start(", "1:11: parse error: unclosed left parenthesis" },
	{ "x @ start() @ 4", "1:1: parse error: @ <timestamp> may not be set multiple times" },
	{ "1 @ 4", "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery" },
	{ "x @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf" },
	{ "x @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN" },
	{ "x[5m] [5m]", "1:7: parse error: ranges only allowed for vector selectors" },
	{ "x[5m:1m][5m]", "1:9: parse error: ranges only allowed for vector selectors" },
	{ "sum(x)[5m]", "1:7: parse error: ranges only allowed for vector selectors" },
	{ "x offset 5m [5m]", "1:13: parse error: no offset modifiers allowed before range" },
	{ "sum()", "1:1: parse error: no arguments for aggregate expression provided" },
	{ "sum(a, b)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2" },
	{ "topk(a)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1" },
	{ "topk(a, b, c)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 3" },
	{ "topk(a, b)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector" },
	{ "topk(\"1\", b)", "1:6: parse error: expected type scalar in aggregation parameter, got string" },
	{ "count_values(1, b)", "1:14: parse error: expected type string in aggregation parameter, got scalar" },
	{ "count_values(\"a\")", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1" },
	{ "quantile(\"x\", b)", "1:10: parse error: expected type scalar in aggregation parameter, got string" },
	{ "sum by", "1:7: parse error: unexpected end of input in grouping opts, expected \"(\"" },
	{ "sum by (", "1:9: parse error: unclosed left parenthesis" },
	{ "sum by (a", "1:10: parse error: unclosed left parenthesis" },
	{ "sum by (a,", "1:11: parse error: unclosed left parenthesis" },
	{ "sum by (a,,b) (x)", "1:11: parse error: unexpected \",\" in grouping opts, expected label" },
	{ "sum by (,) (x)", "1:9: parse error: unexpected \",\" in grouping opts, expected label" },
	{ "sum by (a) by (b) (x)", "1:12: parse error: unexpected <by> in aggregation" },
	{ "sum (x) by", "1:11: parse error: unexpected end of input in grouping opts, expected \"(\"" },
	{ "sum by (\"\") (x)", "1:9: parse error: invalid label name for grouping: \"\"" },
	{ "sum by (without) (x)", "1:9: parse error: unexpected <without> in grouping opts, expected label" },
	{ "sum(x[5m])", "1:5: parse error: expected type instant vector in aggregation expression, got range vector" },
	{ "sum(\"a\")", "1:5: parse error: expected type instant vector in aggregation expression, got string" },
	{ "sum by (a) x", "1:12: parse error: unexpected identifier \"x\" in aggregation" },
	{ "sum x", "1:5: parse error: unexpected identifier \"x\"" },
	{ "rate(", "1:6: parse error: unclosed left parenthesis" },
	{ "rate(x", "1:7: parse error: unclosed left parenthesis" },
	{ "rate(x)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector" },
	{ "rate(x[5m], 1)", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2" },
	{ "rate(\"x\")", "1:6: parse error: expected type range vector in call to function \"rate\", got string" },
	{ "rate(1)", "1:6: parse error: expected type range vector in call to function \"rate\", got scalar" },
	{ "nope(x)", "1:1: parse error: unknown function with name \"nope\"" },
	{ "Rate(x[5m])", "1:1: parse error: unknown function with name \"Rate\"" },
	{ "label_join(x, \"a\")", "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 2" },
	{ "label_replace(x, \"a\", \"b\", \"c\")", "1:1: parse error: expected 5 argument(s) in call to \"label_replace\", got 4" },
	{ "label_replace(x, 1, \"b\", \"c\", \"d\")", "1:18: parse error: expected type string in call to function \"label_replace\", got scalar" },
	{ "clamp(x, 1)", "1:1: parse error: expected 3 argument(s) in call to \"clamp\", got 2" },
	{ "round(x, 1, 2)", "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3" },
	{ "time(1)", "1:1: parse error: expected 0 argument(s) in call to \"time\", got 1" },
	{ "histogram_quantiles(x, \"q\")", "1:1: parse error: expected at least 3 argument(s) in call to \"histogram_quantiles\", got 2" },
	{ "info(x, y)", "1:9: parse error: expected label selectors only, got vector selector instead" },
	{ "info(x, y[5m])", "1:1: parse error: expected type instant vector in call to function \"info\", got range vector" },
	{ "info(x, \"a\")", "1:1: parse error: expected type instant vector in call to function \"info\", got string" },
	{ "info()", "1:1: parse error: expected at least 1 argument(s) in call to \"info\", got 0" },
	{ "abs(x,)", "1:6: parse error: trailing commas not allowed in function call args" },
	{ "abs(,x)", "1:5: parse error: unexpected \",\"" },
	{ "abs(x y)", "1:7: parse error: unexpected identifier \"y\"" },
	{ "1 == 2", "1:3: parse error: comparisons between scalars must use BOOL modifier" },
	{ "1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier" },
	{ "a and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression" },
	{ "1 or a", "1:1: parse error: set operator \"or\" not allowed in binary scalar expression" },
	{ "a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators" },
	{ "a + on b", "1:8: parse error: unexpected identifier \"b\" in grouping opts, expected \"(\"" },
	{ "a + on (", "1:9: parse error: unclosed left parenthesis" },
	{ "a + on (x) group_left", "1:22: parse error: unexpected end of input in grouping opts, expected \"(\"" },
	{ "a + group_left (x) b", "1:5: parse error: unexpected <group_left>" },
	{ "a and on (x) group_left (y) b", "1:1: parse error: no grouping allowed for \"and\" operation" },
	{ "a + on (x) group_left (x) b", "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once" },
	{ "1 + on (x) 2", "1:1: parse error: vector matching only allowed between instant vectors" },
	{ "a + on (x) 2", "1:1: parse error: vector matching only allowed between instant vectors" },
	{ "a and fill (1) b", "1:1: parse error: filling in missing series not allowed for set operators" },
	{ "1 + fill (1) b", "1:1: parse error: filling in missing series only allowed between instant vectors" },
	{ "a + fill (x) b", "1:11: parse error: unexpected identifier \"x\"" },
	{ "a + fill () b", "1:11: parse error: unexpected \")\"" },
	{ "a + fill (1) fill (2) b", "1:19: parse error: unexpected \"(\"" },
	{ "a + \"x\"", "1:5: parse error: binary expression must contain only scalar and instant vector types" },
	{ "a[5m] + 1", "1:1: parse error: binary expression must contain only scalar and instant vector types" },
	{ "\"a\" + \"b\"", "1:1: parse error: binary expression must contain only scalar and instant vector types" },
	{ "1 + \"a\"", "1:5: parse error: binary expression must contain only scalar and instant vector types" },
	{ "a +", "1:4: parse error: unexpected end of input" },
	{ "a + * b", "1:5: parse error: unexpected <op:*>" },
	{ "* a", "1:1: parse error: unexpected <op:*>" },
	{ "a b", "1:3: parse error: unexpected identifier \"b\"" },
	{ "a 1", "1:3: parse error: unexpected number \"1\"" },
	{ "1 a", "1:3: parse error: unexpected identifier \"a\"" },
	{ "a \"x\"", "1:3: parse error: unexpected string \"\\\"x\\\"\"" },
	{ "()", "1:2: parse error: unexpected \")\"" },
	{ "(,)", "1:2: parse error: unexpected \",\"" },
	{ "a,b", "1:2: parse error: unexpected \",\"" },
	{ ",", "1:1: parse error: unexpected \",\"" },
	{ "@", "1:1: parse error: unexpected <op:@>" },
	{ "=", "1:1: parse error: unexpected \"=\"" },
	{ "==", "1:1: parse error: unexpected <op:==>" },
	{ "=~", "1:1: parse error: unexpected character after '=': '~'" },
	{ "!", "1:1: parse error: unexpected character after '!': '\357\277\275'" },
	{ "!=", "1:1: parse error: unexpected <op:!=>" },
	{ "<", "1:1: parse error: unexpected <op:<>" },
	{ "a = b", "1:3: parse error: unexpected \"=\"" },
	{ "a =~ \"b\"", "1:3: parse error: unexpected character after '=': '~'" },
	{ "a !~ \"b\"", "1:3: parse error: unexpected character after '!': '~'" },
	{ "~", "1:1: parse error: unexpected character: '~'" },
	{ "$", "1:1: parse error: unexpected character: '$'" },
	{ "a $ b", "1:3: parse error: unexpected character: '$'" },
	{ "?", "1:1: parse error: unexpected character: '?'" },
	{ "\303\251", "1:1: parse error: unexpected character: '\303\251'" },
	{ "\"\\z\"", "1:1: parse error: unknown escape sequence U+007A 'z'" },
	{ "\"\\x4\"", "1:1: parse error: illegal character U+0022 '\"' in escape sequence" },
	{ "\"\\u12\"", "1:1: parse error: illegal character U+0022 '\"' in escape sequence" },
	{ "\"\\ud800\"", "1:1: parse error: escape sequence is an invalid Unicode code point" },
	{ "\"\\400\"", "1:1: parse error: escape sequence is an invalid Unicode code point" },
	{ "\"abc", "1:1: parse error: unterminated quoted string" },
	{ "'abc", "1:1: parse error: unterminated quoted string" },
	{ "`abc", "1:1: parse error: unterminated raw string" },
	{ "\"a\nb\"", "1:1: parse error: unterminated quoted string" },
	{ "0xg", "1:1: parse error: bad number or duration syntax: \"0x\"" },
	{ "1e", "1:1: parse error: bad number or duration syntax: \"1e\"" },
	{ "1e+", "1:1: parse error: bad number or duration syntax: \"1e+\"" },
	{ "1__0", "1:1: parse error: bad number or duration syntax: \"1__\"" },
	{ "1_", "1:1: parse error: bad number or duration syntax: \"1_\"" },
	{ "1.2.3", "1:1: parse error: bad number or duration syntax: \"1.2.\"" },
	{ "1..2", "1:1: parse error: bad number or duration syntax: \"1..\"" },
	{ "5m5", "1:1: parse error: bad number or duration syntax: \"5m5\"" },
	{ "1s1m", "1:1: parse error: not a valid duration string: \"1s1m\"" },
	{ "1h1h", "1:1: parse error: not a valid duration string: \"1h1h\"" },
	{ "99999999999999999999y", "1:1: parse error: duration out of range" },
	{ "1e1000", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e1000\": value out of range" },
	{ "0b101", "1:1: parse error: bad number or duration syntax: \"0\"" },
	{ "0o17", "1:1: parse error: bad number or duration syntax: \"0\"" },
	{ "1x", "1:1: parse error: bad number or duration syntax: \"1\"" },
	{ "1.5m", "1:1: parse error: unknown unit \".\" in duration \"1.5m\"" },
	{ "00x1", "1:1: parse error: bad number or duration syntax: \"00\"" },
	{ "-x[5m]", "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"" },
	{ "+\"a\"", "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"" },
	{ "-\"a\"", "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"" },
	{ "1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead" },
	{ "x[5m:][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead" },
	{ "x[5m] smoothed anchored", "1:1: parse error: anchored and smoothed modifiers cannot be used together" },
	{ "sum(x) anchored", "1:1: parse error: anchored modifier not implemented" },
	{ "x[5m:] smoothed", "1:1: parse error: smoothed modifier is not supported for subqueries" },
	{ "1 smoothed", "1:1: parse error: smoothed modifier not implemented" },
	{ "{a=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher" },
	{ "{a!=\"b\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher" },
	{ "x{__name__=~\"y\"}", "1:1: parse error: metric name must not be set twice: \"x\" or \"y\"" },
	{ "x{\"y\"}", "1:1: parse error: metric name must not be set twice: \"x\" or \"y\"" },
	{ "x{a=~\"(\"}", "1:3: parse error: error parsing regexp: missing closing ): `(`" },
	{ "on", "1:1: parse error: unexpected <on>" },
	{ "ignoring", "1:1: parse error: unexpected <ignoring>" },
	{ "group_left", "1:1: parse error: unexpected <group_left>" },
	{ "group_right", "1:1: parse error: unexpected <group_right>" },
	{ "x by", "1:3: parse error: unexpected <by>" },
	{ "x by (a)", "1:3: parse error: unexpected <by>" },
	{ "x without (a)", "1:3: parse error: unexpected <without>" },
	{ "bool(x)", "1:1: parse error: unexpected <bool>" },
	{ "on(x)", "1:1: parse error: unexpected <on>" },
	{ "x offset 1e30", "1:10: parse error: duration out of range" },
	{ "x[1e30]", "1:3: parse error: duration out of range" },
	{ "x[5m/0]", "1:5: parse error: division by zero" },
	{ "x[5m%0]", "1:5: parse error: modulo by zero" },
	{ "x offset (", "1:11: parse error: unclosed left parenthesis" },
	{ "x offset (5m", "1:13: parse error: unclosed left parenthesis" },
	{ "x offset ()", "1:11: parse error: unexpected \")\" in offset, expected number, duration, step(), or range()" },
	{ "x[min_of(1)]", "1:11: parse error: unexpected \")\" in subquery or range selector, expected number, duration, step(), or range()" },
	{ "x[min_of(1,2,3)]", "1:13: parse error: unexpected \",\" in subquery or range selector, expected number, duration, step(), or range()" },
	{ "x[min_of 1]", "1:10: parse error: unexpected number \"1\" in subquery or range selector, expected number, duration, step(), or range()" },
	{ "x[step]", "1:7: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()" },
	{ "x[step(]", "1:8: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()" },
	{ "x[foo()]", "1:3: parse error: unexpected character in duration expression: 'f'" },
	{ "a + (b", "1:7: parse error: unclosed left parenthesis" },
	{ "a + b)", "1:7: parse error: unexpected right parenthesis ')'" },
	{ "((a)", "1:5: parse error: unclosed left parenthesis" },
	{ "[a]", "1:1: parse error: unexpected \"[\"" },
	{ "a]", "1:2: parse error: unexpected right bracket ']'" },
	{ "a}", "1:2: parse error: unexpected character: '}'" },
	{ "{a}", "1:3: parse error: unexpected \"}\" in label matching, expected label matching operator" },
	{ "{a=\"b\"}}", "1:8: parse error: unexpected character: '}'" },
	{ "sum(((x))", "1:10: parse error: unclosed left parenthesis" },
	{ "x @ 5 offset", "1:13: parse error: unexpected end of input in offset, expected number, duration, step(), or range()" },
	{ "x{a=\"b\"} y", "1:10: parse error: unexpected identifier \"y\"" },
	{ "x () ", "1:1: parse error: unknown function with name \"x\"" },
	/* clang-format on */
};

static struct ql_node *parse(
    struct arena *a, const char *text, size_t len, const struct ql_parse_opts *o, struct errbuf *eb)
{
	struct ql_node *n = NULL;
	errbuf_init(eb);
	return ql_parse(a, text, len, o, &n, eb) ? NULL : n;
}

static void test_good(void)
{
	for (size_t i = 0; i < COUNT_OF(goods); i++) {
		const struct good *g = &goods[i];
		const char *want = g->print ? g->print : g->text;
		struct arena a;
		struct errbuf eb;
		struct buf b;
		arena_init(&a, 1024);
		buf_init(&b);
		struct ql_node *n = parse(&a, g->text, strlen(g->text), &all, &eb);
		if (tap_ok(n && n->type == g->type, "parses: %s %s", g->text, eb.text)) {
			ql_print(&b, n);
			tap_is_mem(b.data, b.len, want, strlen(want), "prints: %s", want);
			struct ql_node *again = parse(&a, (const char *)b.data, b.len, &all, &eb);
			tap_ok(again != NULL, "what was printed parses: %s", eb.text);
			if (again)
				ql_ast_release(again);
			ql_ast_release(n);
		}
		buf_release(&b);
		arena_release(&a);
	}
}

static void test_bad(void)
{
	for (size_t i = 0; i < COUNT_OF(bads); i++) {
		struct arena a;
		struct errbuf eb;
		arena_init(&a, 1024);
		struct ql_node *n = parse(&a, bads[i].text, strlen(bads[i].text), &all, &eb);
		tap_is_str(n ? "no error" : eb.text, bads[i].error, "mistake: %s", bads[i].text);
		if (n)
			ql_ast_release(n);
		arena_release(&a);
	}
}

static void test_switches(void)
{
	static const struct bad off[] = {
		{ "limitk(1, x)",
		    "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions" },
		{ "start()", "1:1: parse error: function \"start\" is not enabled" },
		{ "x anchored",
		    "1:1: parse error: anchored modifier is experimental and not enabled" },
		{ "x[5m] smoothed",
		    "1:1: parse error: smoothed modifier is experimental and not enabled" },
		{ "a + fill(0) b",
		    "1:1: parse error: binop fill modifiers are experimental and not enabled" },
	};
	static const struct ql_parse_opts none;
	for (size_t i = 0; i < COUNT_OF(off); i++) {
		struct arena a;
		struct errbuf eb;
		arena_init(&a, 1024);
		TAP_OK(!parse(&a, off[i].text, strlen(off[i].text), &none, &eb));
		tap_is_str(eb.text, off[i].error, "switched off: %s", off[i].text);
		arena_release(&a);
	}
}

/* Repeats s. */
static char *many(const char *s, size_t times, const char *end)
{
	size_t len = strlen(s);
	char *out = malloc(len * times + strlen(end) + 1), *p = out;
	for (size_t i = 0; i < times; i++, p += len)
		memcpy(p, s, len);
	memcpy(p, end, strlen(end) + 1);
	return out;
}

static void limit(const char *unit, size_t times, const char *end, bool good, const char *what)
{
	char *text = many(unit, times, end);
	struct arena a;
	struct errbuf eb;
	arena_init(&a, 1024);
	struct ql_node *n = parse(&a, text, strlen(text), &all, &eb);
	tap_ok(!!n == good, "%s: %s", what, eb.text);
	if (n)
		ql_ast_release(n);
	arena_release(&a);
	free(text);
}

static void test_limits(void)
{
	limit("-(", 60, "x", false, "unclosed parentheses are a mistake");
	limit("-", 100, "1", true, "100 signs are fine");
	limit("-", 10000, "x", false, "10,000 signs are not");
	limit("(", 10000, "x", false, "10,000 parentheses are not");
	limit("abs(", 10000, "x", false, "10,000 calls are not");
	limit("x^", 10000, "x", false, "10,000 powers are not");
	limit("sum by (a) (", 5000, "x", false, "5,000 aggregations are not");
	limit("x[1m:1m", 1, "]", true, "a subquery is fine");
	limit("[1m:1m]", 10000, "", false, "subqueries without end are not");
	char *subqueries = many("[1m:1m]", 100000, ""), *sub = many("x", 1, subqueries);
	limit(sub, 1, "", false, "nor are 100,000 of one another");
	free(sub);
	free(subqueries);
	limit("x[1+", 1, "1]", true, "a duration of two terms is fine");
	limit("x[(", 1, "1]", false, "an unclosed parenthesis in a duration is not");
	limit("[", 10000, "", false, "10,000 brackets are not");
	limit("1,", 3, "1", false, "a list is not an expression");
	limit("x ", (1 << 19) + 1, "", false, "a text over the limit is refused");
	char *sum = many("1+", 20000, "1]"), *text = many("x[", 1, sum);
	struct arena a;
	struct errbuf eb;
	arena_init(&a, 1024);
	tap_ok(!parse(&a, text, strlen(text), &all, &eb),
	    "a duration of 20,001 terms is refused: %s", eb.text);
	arena_release(&a);
	free(text);
	free(sum);
}

struct nested {
	const char *unit, *middle, *end;
};

static char *nest(const struct nested *n, size_t times)
{
	char *close = many(n->end, times, ""), *rest = many(n->middle, 1, close);
	char *text = many(n->unit, times, rest);
	free(close);
	free(rest);
	return text;
}

/* As deep as the limit says and no deeper, whatever the way down. */
static void test_nesting(void)
{
	static const struct nested ways[] = { { "(", "x", ")" }, { "-", "x", "" }, { "-(", "x", ")" },
		{ "abs(", "x", ")" }, { "sum by (a) (", "x", ")" }, { "1 + (", "x", ")" },
		{ "1 ^ ", "x", "" }, { "sum(sum_over_time((", "x", ")[1m:1m] offset 1m))" },
		{ "topk(1, -(1 + ", "x", "))" } };
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		bool two = strchr(ways[i].unit, '(') != strrchr(ways[i].unit, '(') ||
		    !strcmp(ways[i].unit, "-(");
		char *good = nest(&ways[i], two ? 200 : 490), *bad = nest(&ways[i], 1001);
		limit(good, 1, "", true, ways[i].unit);
		limit(bad, 1, "", false, ways[i].unit);
		free(good);
		free(bad);
	}
	limit("(", 999, "x", false, "unclosed");
	static const struct nested parens = { "(", "x", ")" };
	char *most = nest(&parens, 999);
	limit(most, 1, "", true, "999 parentheses");
	free(most);
}

/* A chain is no nesting: it parses, checks, prints and is released without recursion. */
static void test_chains(void)
{
	static const struct chain {
		const char *unit, *end, *print;
		bool good;
		size_t times;
	} chains[] = {
		{ "1+", "1", "1 + ", true, 9999 },
		{ "1 + ", "1", "1 + ", false, 10000 },
		{ "time()*", "1", "time() * ", true, 9999 },
		{ "1+1*", "1", "1 + 1 * ", true, 4999 },
		{ "1==bool ", "2", "1 == bool ", true, 9999 },
		{ "vector(1)or ", "vector(2)", "vector(1) or ", true, 9999 },
		{ "vector(1) - on(a) ", "vector(2)", "vector(1) - on (a) ", true, 9999 },
	};
	for (size_t i = 0; i < COUNT_OF(chains); i++) {
		const struct chain *c = &chains[i];
		char *text = many(c->unit, c->times, c->end);
		char *want = many(c->print, c->times, c->end);
		struct arena a;
		struct errbuf eb;
		struct buf b;
		arena_init(&a, 1024);
		buf_init(&b);
		struct ql_node *n = parse(&a, text, strlen(text), &all, &eb);
		tap_ok(!!n == c->good, "a chain of %zu times %s: %s", c->times, c->unit, eb.text);
		tap_ok(n || strstr(eb.text, "limit 10,000 (--query.max-chain)"), "told: %s", eb.text);
		if (n) {
			ql_print(&b, n);
			tap_is_mem(b.data, b.len, want, strlen(want), "prints");
			buf_clear(&b);
			ql_pretty(&b, n);
			tap_ok(b.len < 4 * strlen(text) + c->times * 220, "pretty in %zu bytes",
			    b.len);
			tap_ok(!ql_ast_resolve(n, 0, 1000, 10, &eb), "resolves");
			ql_ast_release(n);
		}
		buf_release(&b);
		arena_release(&a);
		free(text);
		free(want);
	}
}

/* A set of words is no pattern for the engine, however large. */
static void test_sets(void)
{
	static const size_t counts[] = { 1500, 20000 };
	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		struct buf b;
		struct arena a;
		struct errbuf eb;
		buf_init(&b);
		arena_init(&a, 1024);
		buf_add_str(&b, "sum(up{pod=~\"");
		for (size_t k = 0; k < counts[i]; k++)
			buf_printf(&b, "%sapi-server-7d4b9c6f5d-%zu", k ? "|" : "", k);
		buf_add_str(&b, "\"})");
		struct ql_node *n = parse(&a, (const char *)b.data, b.len, &all, &eb);
		if (tap_ok(n, "a set of %zu names in %zu bytes: %s", counts[i], b.len, eb.text)) {
			const struct matcher *m = &n->agg.expr->sel.matchers[0];
			tap_ok(matcher_value(m, "api-server-7d4b9c6f5d-1499", 26) == REX_YES &&
			        matcher_value(m, "api-server-7d4b9c6f5d-", 22) == REX_NO &&
			        matcher_value(m, "api-server-7d4b9c6f5d-99999", 27) == REX_NO,
			    "matches its names");
			ql_ast_release(n);
		}
		buf_release(&b);
		arena_release(&a);
	}
}

/* Every cut of a text is handled: nothing is read past its end. */
static void test_cuts(void)
{
	static const char text[] =
	    "sum by (\"a\\u00e9\", b) (rate(x{y=~\"z|q\", \"w w\"!=`v`}[5m:(1h*2)] @ end() offset -step())) / on (a) group_left (c) fill_left(-0x1F) {\"n\"} # end";
	size_t parsed = 0;
	for (size_t len = 0; len < sizeof(text); len++) {
		/* exactly as long: the address sanitizer watches */
		char *cut = malloc(len ? len : 1);
		memcpy(cut, text, len);
		struct arena a;
		struct errbuf eb;
		arena_init(&a, 1024);
		struct ql_node *n = parse(&a, cut, len, &all, &eb);
		if (n) {
			ql_ast_release(n);
			parsed++;
		}
		arena_release(&a);
		free(cut);
	}
	tap_ok(parsed > 0 && parsed < sizeof(text),
	    "a text cut at every byte is refused or parsed (%zu parse)", parsed);
}

static void test_selector(void)
{
	static const struct {
		const char *text;
		size_t count; /* 0: an error */
		const char *error;
	} cases[] = {
		{ "up", 1, "" },
		{ "up{job=\"a\"}", 2, "" },
		{ "{a=\"b\",c=~\"d\"}", 2, "" },
		{ " {\"x\"} ", 1, "" },
		{ "x[5m]", 0, "1:2: parse error: unexpected \"[\"" },
		{ "x offset 5m", 0, "1:3: parse error: unexpected <offset>" },
		{ "1", 0, "1:1: parse error: unexpected number \"1\"" },
		{ "sum(x)", 0, "1:4: parse error: unexpected \"(\"" },
		{ "", 0, "unknown position: parse error: unexpected end of input" },
		{ "{a=\"b\"", 0, "1:7: parse error: unexpected end of input inside braces" },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena a;
		struct errbuf eb;
		struct matcher *m = NULL;
		size_t count = 0;
		arena_init(&a, 1024);
		errbuf_init(&eb);
		enum err e = ql_parse_selector(&a, cases[i].text, strlen(cases[i].text), NULL,
		    &(struct ql_counts){ 0 }, &m, &count, &eb);
		tap_ok(!e == (cases[i].count > 0) && count == cases[i].count, "selector: %s",
		    cases[i].text);
		tap_is_str(eb.text, cases[i].error, "its error");
		for (size_t j = 0; j < count; j++)
			matcher_release(&m[j]);
		arena_release(&a);
	}
}

/* Positions are the contract with the engine: annotations point there. */
static void test_positions(void)
{
	static const char text[] = "sum(rate(x{a=\"b\"}[5m] offset 1m)) + (y @ 5)";
	struct arena a;
	struct errbuf eb;
	arena_init(&a, 1024);
	struct ql_node *n = parse(&a, text, strlen(text), &all, &eb);
	if (TAP_OK(n && n->kind == QL_BINARY)) {
		struct ql_node *sum = n->bin.l, *rate = sum->agg.expr, *x = rate->call.args[0],
		               *y = n->bin.r->paren;
		tap_ok(n->pos.start == 0 && n->pos.end == strlen(text), "the whole");
		tap_ok(sum->pos.start == 0 && sum->pos.end == 33, "sum(...)");
		tap_ok(rate->pos.start == 4 && rate->pos.end == 32, "rate(...)");
		tap_ok(x->pos.start == 9 && x->pos.end == 31 && x->sel.sel_end == 17,
		    "x{...}[5m] offset 1m");
		tap_ok(x->sel.range_ms == 300000 && x->sel.mods.offset_ms == 60000, "its durations");
		tap_ok(n->bin.op_pos.start == 34 && n->bin.op_pos.end == 35, "the operator");
		tap_ok(y->pos.start == 37 && y->pos.end == 42 && y->sel.mods.at == QL_AT_TIME &&
		        y->sel.mods.at_ms == 5000,
		    "y @ 5");
		ql_ast_release(n);
	}
	unsigned line, col;
	ql_line_col("a\nbc\n", 5, 3, &line, &col);
	tap_ok(line == 2 && col == 2, "line and column count from 1");
	arena_release(&a);
}

static void test_table(void)
{
	TAP_OK(QL_FN_COUNT == 90);
	bool sorted = true, found = true;
	for (int i = 0; i < QL_FN_COUNT; i++) {
		const struct ql_func *f = &ql_functab[i];
		sorted = sorted && (i == 0 || strcmp(ql_functab[i - 1].name, f->name) < 0);
		found =
		    found && f->fn == (enum ql_fn)i && ql_func_find(f->name, strlen(f->name)) == f;
	}
	tap_ok(sorted, "functions stand in the order of their names");
	tap_ok(found, "each is found by its name");
	TAP_OK(!ql_func_find("rat", 3) && !ql_func_find("rates", 5) && !ql_func_find("", 0) &&
	    !ql_func_find("RATE", 4) && !ql_func_find("zzz", 3));
	TAP_OK(ql_functab[QL_FN_TIME].args_count == 0 &&
	    ql_functab[QL_FN_LABEL_REPLACE].args_count == 5);
}

static void test_series_desc(void)
{
	static const struct {
		const char *text, *labels, *values; /* values NULL: an error */
	} cases[] = {
		{ "x 1 2 3", "x", "1 2 3 " },
		{ "x{b=\"c\",a=\"d\",} 1+2x3", "x{a=\"d\", b=\"c\"}", "1 3 5 7 " },
		{ "{\"my.name\", \"l l\"='v'} -1-0.5x1", "{\"my.name\", \"l l\"=\"v\"}", "-1 -1.5 " },
		{ "{} 1x2", "{}", "1 1 1 " },
		{ "x", "x", "" },
		{ "x _ _x3 1", "x", "_ _ _ _ 1 " },
		{ "x stale NaN Inf -Inf", "x", "stale NaN +Inf -Inf " },
		{ "x 1e3 .5 0x3 010", "x", "1000 0.5 0 0 0 0 8 " },
		{ "x {{sum:1 count:2}}x1 {{}}+{{}}x2 {{schema:0 buckets:[1 2]}}", "x",
		    "h h h h h h " },
		{ "x -0", "x", "-0 " },
		{ "sum 1", "sum", "1 " },
		{ "x 1x", NULL, NULL },
		{ "x 1+1", NULL, NULL },
		{ "x a", NULL, NULL },
		{ "x 1,2", NULL, NULL },
		{ "x{a=b} 1", NULL, NULL },
		{ "x{a=\"b\"}1", NULL, NULL },
		{ "x {{ 1", NULL, NULL },
		{ "1 2", NULL, NULL },
		{ "x 1x99999999", NULL, NULL },
		{ "", NULL, NULL },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena a;
		struct errbuf eb;
		struct ql_series_desc d;
		arena_init(&a, 1024);
		errbuf_init(&eb);
		enum err e = ql_series_desc(&a, cases[i].text, strlen(cases[i].text), &d, &eb);
		if (!tap_ok(!e == !!cases[i].values, "series: %s: %s", cases[i].text, eb.text) || e) {
			arena_release(&a);
			continue;
		}
		struct buf b;
		buf_init(&b);
		label_text_metric(&b, d.labels);
		tap_is_mem(b.data, b.len, cases[i].labels, strlen(cases[i].labels), "its labels");
		buf_clear(&b);
		for (size_t j = 0; j < d.items_count; j++) {
			char text[NUM_FMT_MAX];
			if (d.items[j].kind == QL_ITEM_FLOAT && !sample_is_stale(d.items[j].v))
				buf_add(&b, text, num_fmt_f(d.items[j].v, text));
			else
				buf_add_str(&b,
				    d.items[j].kind == QL_ITEM_OMITTED         ? "_"
				        : d.items[j].kind == QL_ITEM_HISTOGRAM ? "h"
				                                               : "stale");
			buf_add_u8(&b, ' ');
		}
		tap_is_mem(b.data, b.len, cases[i].values, strlen(cases[i].values), "its values");
		buf_release(&b);
		arena_release(&a);
	}
}

static void add_side(struct buf *b, const struct hist_side *s)
{
	for (uint32_t i = 0; i < s->spans_count; i++)
		buf_printf(b, " %d+%u:", s->spans[i].offset, s->spans[i].length);
	for (uint32_t i = 0; i < s->counts_count; i++)
		buf_printf(b, " %g", s->counts[i].f);
}

static void add_item(struct buf *b, const struct ql_series_item *it)
{
	const struct hist *h = it->h;

	buf_printf(b, "[%d %g %g %g %g", h->schema, h->count.f, h->sum, h->zero_count.f,
	    h->zero_threshold);
	add_side(b, &h->positive);
	buf_add_str(b, " |");
	add_side(b, &h->negative);
	for (uint32_t i = 0; i < h->bounds_count; i++)
		buf_printf(b, " <=%g", h->bounds[i]);
	buf_printf(b, " %u%s]", h->hint, it->hint_given ? "!" : "");
}

/* schema, count, sum, zero bucket, positive spans and counts | negative ones, bounds, hint */
static void test_histogram_desc(void)
{
	static const struct {
		const char *text, *want; /* NULL: an error */
	} cases[] = {
		{ "{{}}", "[0 0 0 0 0 | 0]" },
		{ "{{ }}", "[0 0 0 0 0 | 0]" },
		{ "{{schema:-4 count:3 sum:-Inf z_bucket:1 z_bucket_w:1e-3 offset:-7 buckets:[1 0 2.5] n_offset:3 n_buckets:[ 4 ]}}",
		    "[-4 3 -inf 1 0.001 -7+3: 1 0 2.5 | 3+1: 4 0]" },
		{ "{{SUM:1 counter_reset_hint:gauge custom_values:[1 2 +Inf] schema:-53}}",
		    "[-53 0 1 0 0 | <=1 <=2 <=inf 3!]" },
		{ "{{counter_reset_hint:not_reset}}x1", "[0 0 0 0 0 | 2!][0 0 0 0 0 | 2!]" },
		{ "{{counter_reset_hint:unknown}} {{counter_reset_hint:reset}}",
		    "[0 0 0 0 0 | 0!][0 0 0 0 0 | 1!]" },
		{ "{{count:1 buckets:[1]}}+{{count:2 sum:1 buckets:[1 1]}}x2",
		    "[0 1 0 0 0 0+1: 1 | 0][0 3 1 0 0 0+2: 2 1 | 0][0 5 2 0 0 0+2: 3 2 | 0]" },
		{ "{{sum:1 counter_reset_hint:gauge}}+{{sum:2}}x1", "[0 0 1 0 0 | 3][0 0 3 0 0 | 3]" },
		{ "{{count:5 buckets:[5]}}-{{count:2 buckets:[2]}}x1",
		    "[0 5 0 0 0 0+1: 5 | 0][0 3 0 0 0 0+1: 3 | 0]" },
		{ "{{schema:1}}+{{schema:0}}x1", NULL },
		{ "{{schema:-53}}+{{schema:0}}x1", NULL },
		{ "{{sum:1}}+{{sum:1}}", NULL },
		{ "{{sum:1 sum:2}}", NULL },
		{ "{{sum:1sum:2}}", NULL },
		{ "{{sum 1}}", NULL },
		{ "{{sum:}}", NULL },
		{ "{{what:1}}", NULL },
		{ "{{schema:1.5}}", NULL },
		{ "{{schema:128}}", NULL },
		{ "{{offset:2147483648}}", NULL },
		{ "{{buckets:[]}}", NULL },
		{ "{{buckets:1}}", NULL },
		{ "{{buckets:[1 2}}", NULL },
		{ "{{counter_reset_hint:maybe}}", NULL },
		{ "{{sum:1}", NULL },
		{ "{{sum:1}}+1x2", NULL },
		{ "{{sum:1}}1", NULL },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena a;
		struct errbuf eb;
		struct ql_series_desc d;
		struct buf b;
		arena_init(&a, 1024);
		errbuf_init(&eb);
		buf_init(&b);
		buf_printf(&b, "x %s", cases[i].text);
		enum err e = ql_series_desc(&a, (const char *)b.data, b.len, &d, &eb);
		buf_clear(&b);
		for (size_t j = 0; !e && j < d.items_count; j++)
			add_item(&b, &d.items[j]);
		if (tap_ok(!e == !!cases[i].want, "histogram: %s: %s", cases[i].text, eb.text) && !e)
			tap_is_mem(b.data, b.len, cases[i].want, strlen(cases[i].want), "is it");
		buf_release(&b);
		arena_release(&a);
	}
}

int main(void)
{
	test_good();
	test_bad();
	test_switches();
	test_limits();
	test_nesting();
	test_chains();
	test_sets();
	test_cuts();
	test_selector();
	test_positions();
	test_table();
	test_series_desc();
	test_histogram_desc();
	return tap_done();
}
