/*
 * The page's knowledge of PromQL is this server's: each function and aggregation of
 * net/ui/promql/words.js has the name, the arguments and the result of the tables here, in their
 * order, and the words of the grammar are those of the lexer.
 * tests/ui/lexer_tokens.txt is what the lexer makes of all expressions of tests/promql and of
 * tests/ui/lexer_cases.txt; tests/ui/lexer_test.js holds net/ui/promql/lexer.js against it.
 * "t_uiwords write" writes that file.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/base/json.h"
#include "core/promql/lang/ql_ast.h"
#include "core/promql/lang/ql_func.h"
#include "core/promql/lang/ql_lex.c"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define TOKENS_FILE "tests/ui/lexer_tokens.txt"

static char *read_file(const char *rel, size_t *len)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", testlib_src(), rel);
	FILE *f = fopen(path, "r");
	if (!f)
		return NULL;
	struct buf b;
	buf_init(&b);
	char part[4096];
	for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
		buf_add(&b, part, n);
	fclose(f);
	*len = b.len;
	buf_add_u8(&b, 0);
	return (char *)b.data;
}

/* ---- words ---- */

/* The rows between "const NAME = `" and "`", a copy; NULL: there is no such table. */
static char *table(const char *text, const char *name)
{
	char head[64];
	snprintf(head, sizeof(head), "const %s = `\n", name);
	const char *from = strstr(text, head);
	const char *to = from ? strchr(from + strlen(head), '`') : NULL;
	return to ? strndup(from + strlen(head), (size_t)(to - from) - strlen(head)) : NULL;
}

/*
 * One argument of a row, as "range:1-1 " or "scalar:0-10 ": its type and how often it may come
 * (-1: any number of times). Returns what is behind it.
 */
static const char *read_argument(const char *s, char *out, size_t cap)
{
	int least = 1, most = 1;
	s += strspn(s, "abcdefghijklmnopqrstuvwxyz_");
	if (*s == '?') {
		least = 0;
		s++;
	} else if (*s == '*') {
		char *end;
		most = (int)strtol(s + 1, &end, 10);
		if (end == s + 1) {
			least = 0;
			most = -1;
		}
		s = end;
	}
	size_t type = strncmp(s, ": ", 2) ? 0 : strcspn(s + 2, ",)");
	snprintf(out, cap, "%.*s:%d-%d ", (int)type, s + 2, least, most);
	return type ? s + 2 + type : ")";
}

/* A row without names of arguments and text: "rate(range:1-1 ) vector". */
static void read_row(const char *line, char *out, size_t cap)
{
	size_t len = strcspn(line, "(\n"), n = 0;
	const char *s = line + len + (line[len] == '(');
	n += (size_t)snprintf(out + n, cap - n, "%.*s(", (int)len, line);
	while (n < cap - 80 && *s && *s != ')' && *s != '\n') {
		char arg[64];
		s = read_argument(s, arg, sizeof(arg));
		n += (size_t)snprintf(out + n, cap - n, "%s", arg);
		if (!strncmp(s, ", ", 2))
			s += 2;
	}
	s += strncmp(s, "): ", 3) ? 0 : 3;
	snprintf(out + n, cap - n, ") %.*s", (int)strcspn(s, " \n"), s);
}

static const char *type_text(enum ql_type t)
{
	return t == QL_VECTOR ? "vector"
	    : t == QL_MATRIX  ? "range"
	    : t == QL_SCALAR  ? "scalar"
	                      : "string";
}

static void func_row(const struct ql_func *f, char *out, size_t cap)
{
	size_t n = (size_t)snprintf(out, cap, "%s(", f->name);
	for (unsigned i = 0; i < f->args_count; i++) {
		/*
		 * The last one of a variadic function may be left out. Two of the same type at the
		 * end are one that comes at least once.
		 */
		bool last = i + 1 == f->args_count, twice = f->variadic > 1 && i + 2 == f->args_count;
		int least = last && f->variadic ? 0 : 1;
		int most = last && f->variadic ? f->variadic : 1;
		if (twice && f->args[i] == f->args[i + 1]) {
			most = 1 + f->variadic;
			last = true;
		}
		n += (size_t)snprintf(
		    out + n, cap - n, "%s:%d-%d ", type_text(f->args[i]), least, most);
		if (last)
			break;
	}
	snprintf(out + n, cap - n, ") %s%s", type_text(f->ret),
	    f->flags & QL_FN_EXPERIMENTAL ? "!" : "");
}

static void test_functions(const char *text)
{
	char *rows = table(text, "FUNCTIONS");
	const char *line = rows ? rows : "";
	unsigned same = 0;
	for (int i = 0; i < QL_FN_COUNT; i++) {
		char want[400], have[400];
		func_row(&ql_functab[i], want, sizeof(want));
		read_row(line, have, sizeof(have));
		same += !strcmp(want, have);
		if (strcmp(want, have))
			tap_is_str(have, want, "row %d of FUNCTIONS", i + 1);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	tap_ok(same == QL_FN_COUNT, "words.js has the %d functions, their arguments and results",
	    QL_FN_COUNT);
	tap_is_str(line, "", "it has no other functions");
	free(rows);
}

/* Does the parser take it, without and with what is experimental? */
static bool parses(const char *text, bool experimental)
{
	struct arena a;
	struct errbuf eb;
	struct ql_node *n = NULL;
	const struct ql_parse_opts o = { .experimental_functions = experimental };
	arena_init(&a, 4096);
	errbuf_init(&eb);
	bool ok = !ql_parse(&a, text, strlen(text), &o, &n, &eb);
	if (ok)
		ql_ast_release(n);
	arena_release(&a);
	return ok;
}

/* How the parser wants an aggregation to be called, told by what it takes. */
static void aggr_row(const char *name, char *out, size_t cap)
{
	char call[100];
	snprintf(call, sizeof(call), "%s(x)", name);
	bool plain = parses(call, true);
	snprintf(call, sizeof(call), "%s(1, x)", name);
	bool number = parses(call, true);
	if (!number && !plain)
		snprintf(call, sizeof(call), "%s(\"l\", x)", name);
	if (plain)
		snprintf(call, sizeof(call), "%s(x)", name);
	snprintf(out, cap, "%s(%svector:1-1 ) vector%s", name,
	    plain        ? ""
	        : number ? "scalar:1-1 "
	                 : "string:1-1 ",
	    parses(call, false) ? "" : "!");
}

static void test_aggregations(const char *text)
{
	char *rows = table(text, "AGGREGATIONS");
	const char *line = rows ? rows : "";
	unsigned count = 0, same = 0;
	/* The lexer's words are sorted by name, as the rows are. */
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (!ql_tok_is_aggregator(words[i].tok))
			continue;
		char want[200], have[400];
		aggr_row(words[i].text, want, sizeof(want));
		read_row(line, have, sizeof(have));
		count++;
		same += !strcmp(want, have);
		if (strcmp(want, have))
			tap_is_str(have, want, "aggregation %s", words[i].text);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	tap_ok(count && same == count, "words.js has the %u aggregations and their arguments", count);
	tap_is_str(line, "", "it has no other aggregations");
	free(rows);
}

static void test_keywords(const char *text)
{
	char *rows = table(text, "KEYWORDS");
	unsigned count = 0, known = 0, listed = 0, wanted = 0;
	for (const char *line = rows ? rows : ""; *line; line += strcspn(line, "\n") + 1, count++) {
		enum ql_tok tok;
		size_t len = strcspn(line, "( :");
		bool there = word_find(line, len, &tok) &&
		    (ql_tok_is_keyword(tok) || ql_tok_is_operator(tok));
		known += there;
		if (!there)
			tap_ok(false, "%.*s is a word of the grammar", (int)len, line);
	}
	tap_ok(count && known == count, "each of the %u keywords of words.js is one here", count);
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		char head[40];
		if (!ql_tok_is_keyword(words[i].tok) && !ql_tok_is_operator(words[i].tok))
			continue;
		wanted++;
		bool found = false;
		for (int behind = 0; rows && behind < 3; behind++) {
			snprintf(head, sizeof(head), "\n%s%s:", words[i].text,
			    behind == 0       ? ""
			        : behind == 1 ? "()"
			                      : " ");
			found = found || strstr(rows, head) ||
			    !strncmp(rows, head + 1, strlen(head + 1));
		}
		listed += found;
		if (!found)
			tap_ok(false, "%s is in words.js", words[i].text);
	}
	tap_ok(listed == wanted, "all %u keywords of the lexer are in words.js", wanted);
	free(rows);
}

/* ---- tokens ---- */

struct exprs {
	struct buf text; /* each with a NUL behind it; a NUL inside is no end, so lengths beside */
	size_t from[2000], len[2000];
	unsigned count;
};

static void exprs_add(struct exprs *e, const char *s, size_t len)
{
	for (unsigned i = 0; i < e->count; i++)
		if (e->len[i] == len && !memcmp(e->text.data + e->from[i], s, len))
			return;
	if (e->count == COUNT_OF(e->from)) {
		tap_ok(false, "there is room for all expressions");
		return;
	}
	e->from[e->count] = e->text.len;
	e->len[e->count++] = len;
	buf_add(&e->text, s, len);
	buf_add_u8(&e->text, 0);
}

static const char *skip_words(const char *s, int count)
{
	while (count--) {
		s += strcspn(s, " \t\n");
		s += strspn(s, " \t");
	}
	return s;
}

/* "eval instant at 5m EXPR", "eval_fail range from 0 to 5m step 1m EXPR" */
static void add_scripts(struct exprs *e)
{
	char pattern[4096];
	glob_t g;
	snprintf(pattern, sizeof(pattern), "%s/tests/promql/*.test", testlib_src());
	if (glob(pattern, 0, NULL, &g))
		return;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		size_t len;
		char *text = read_file(g.gl_pathv[i] + strlen(testlib_src()) + 1, &len);
		for (const char *s = text; s && *s; s += strcspn(s, "\n"), s += *s == '\n') {
			const char *at = s + strspn(s, " \t");
			if (strncasecmp(at, "eval", 4))
				continue;
			at = skip_words(at, 1);
			at = skip_words(at, strncmp(at, "range", 5) ? 3 : 7);
			exprs_add(e, at, strcspn(at, "\n"));
		}
		free(text);
	}
	globfree(&g);
}

static void add_cases(struct exprs *e)
{
	size_t len;
	char *text = read_file("tests/ui/lexer_cases.txt", &len), to[4096];
	for (const char *s = text; s && *s; s += strcspn(s, "\n"), s += *s == '\n') {
		size_t line = strcspn(s, "\n"), n;
		if (line >= 2 && line < sizeof(to) && json_unescape(s + 1, line - 2, to, &n))
			exprs_add(e, to, n);
		else
			tap_ok(false, "a line of lexer_cases.txt is a JSON string: %.*s", (int)line,
			    s);
	}
	free(text);
}

static char letter(enum ql_tok t)
{
	if (t == QLT_IDENT || t == QLT_METRIC || t >= QLT_START)
		return 'i';
	if (t == QLT_NUMBER || t == QLT_DURATION || t == QLT_STRING)
		return t == QLT_NUMBER ? 'n' : t == QLT_DURATION ? 'd' : 's';
	if (ql_tok_is_aggregator(t) || ql_tok_is_keyword(t))
		return ql_tok_is_keyword(t) ? 'k' : 'a';
	return t >= QLT_LBRACE && t <= QLT_RBRACKET ? 'b' : 'o';
}

/* The expression as JSON, a tab, "s3+5" for a string of 5 bytes at 3, "." or "!" at its end. */
static void token_line(struct buf *b, const char *text, size_t len)
{
	struct ql_lex lex;
	struct ql_token t;
	json_str_shown(b, text, len);
	buf_add_u8(b, '\t');
	ql_lex_init(&lex, text, (uint32_t)len);
	for (;;) {
		ql_lex_next(&lex, &t);
		if (t.tok == QLT_EOF || t.tok == QLT_ERROR)
			break;
		buf_printf(b, "%c%u+%u ", letter(t.tok), t.pos, t.len);
	}
	buf_add_str(b, t.tok == QLT_EOF ? ".\n" : "!\n");
}

static void make_tokens(struct buf *b)
{
	static struct exprs e;
	buf_init(b);
	buf_init(&e.text);
	e.count = 0;
	add_scripts(&e);
	add_cases(&e);
	for (unsigned i = 0; i < e.count; i++)
		token_line(b, (const char *)e.text.data + e.from[i], e.len[i]);
	tap_ok(e.count > 300, "there are expressions: %u", e.count);
	buf_release(&e.text);
}

static int write_tokens(void)
{
	char path[4096];
	struct buf b;
	make_tokens(&b);
	snprintf(path, sizeof(path), "%s/%s", testlib_src(), TOKENS_FILE);
	FILE *f = fopen(path, "w");
	bool ok = f && fwrite(b.data, 1, b.len, f) == b.len;
	if (f)
		ok &= !fclose(f);
	buf_release(&b);
	return ok ? 0 : 1;
}

static void test_tokens(void)
{
	struct buf b;
	size_t len = 0;
	char *have = read_file(TOKENS_FILE, &len);
	make_tokens(&b);
	tap_ok(have && len == b.len && !memcmp(have, b.data, len),
	    TOKENS_FILE " is what the lexer says now (else: t_uiwords write)");
	free(have);
	buf_release(&b);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "write"))
		return write_tokens();
	size_t len;
	char *text = read_file("net/ui/promql/words.js", &len);
	if (tap_ok(text != NULL, "net/ui/promql/words.js can be read")) {
		test_functions(text);
		test_aggregations(text);
		test_keywords(text);
	}
	free(text);
	test_tokens();
	return tap_done();
}
