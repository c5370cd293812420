/*
 * The lexer: which tokens a text has, what is said of them, and that nothing comes behind a
 * mistake.
 */
#include "core/promql/lang/ql_lex.h"
#include "tests/lib/tap.h"

/* All tokens as error messages name them, separated by blanks. */
static void show(struct buf *b, const char *text)
{
	struct ql_lex lex;
	struct ql_token t;
	buf_clear(b);
	ql_lex_init(&lex, text, (uint32_t)strlen(text));
	do {
		ql_lex_next(&lex, &t);
		if (t.tok == QLT_ERROR)
			buf_printf(b, "error %u: %s", t.pos, lex.error);
		else if (t.tok != QLT_EOF)
			ql_tok_describe(b, text, &t);
		buf_add_str(b, t.tok == QLT_EOF ? "." : " ");
	} while (t.tok != QLT_EOF && t.tok != QLT_ERROR);
	buf_add_u8(b, 0);
}

static void test_tokens(void)
{
	static const struct {
		const char *text, *tokens;
	} cases[] = {
		{ "", "." },
		{ " \t\r\n#c\n", "." },
		{ "a a:b :c _d",
		    "identifier \"a\" metric identifier \"a:b\" metric identifier \":c\" identifier \"_d\" ." },
		{ "+-*/%^@ == != < <= > >= </ >/ , ( )",
		    "<op:+> <op:-> <op:*> <op:/> <op:%> <op:^> <op:@> <op:==> <op:!=> <op:<> <op:<=> <op:>> <op:>=> <op:</> <op:>/> \",\" \"(\" \")\" ." },
		{ "AND or Unless atan2", "<op:AND> <op:or> <op:Unless> <op:atan2> ." },
		{ "sum TopK limit_ratio", "<aggr:sum> <aggr:TopK> <aggr:limit_ratio> ." },
		{ "by WITHOUT on ignoring group_left group_right offset bool anchored smoothed",
		    "<by> <WITHOUT> <on> <ignoring> <group_left> <group_right> <offset> <bool> <anchored> <smoothed> ." },
		{ "fill fill( fill_left (",
		    "identifier \"fill\" <fill> \"(\" <fill_left> \"(\" error 22: unclosed left parenthesis " },
		{ "start end step range min_of", "\"start\" \"end\" \"step\" \"range\" \"min_of\" ." },
		{ "1 .5 5. 1e3 1e+3 0x1F 1_0 Inf nan 5m 1h30m",
		    "number \"1\" number \".5\" number \"5.\" number \"1e3\" number \"1e+3\" number \"0x1F\" number \"1_0\" number \"Inf\" number \"nan\" duration \"5m\" duration \"1h30m\" ." },
		{ "12345678901", "number \"1234567890\"... ." },
		{ "\"a\" 'b' `c\\`", "string \"\\\"a\\\"\" string \"'b'\" string \"`c\\\\`\" ." },
		{ "{sum=~\"x\", by!~'y', a=\"\", b!=`z`}",
		    "\"{\" identifier \"sum\" <op:=~> string \"\\\"x\\\"\" \",\" identifier \"by\" <op:!~> string \"'y'\" \",\" identifier \"a\" \"=\" string \"\\\"\\\"\" \",\" identifier \"b\" <op:!=> string \"`z`\" \"}\" ." },
		{ "x[5m:step()]",
		    "identifier \"x\" \"[\" duration \"5m\" \":\" \"step\" \"(\" \")\" \"]\" ." },
		{ "x[ (1+2)-3*4/5%6^min_of(7,8) ]",
		    "identifier \"x\" \"[\" \"(\" number \"1\" <op:+> number \"2\" \")\" <op:-> number \"3\" <op:*> number \"4\" <op:/> number \"5\" <op:%> number \"6\" <op:^> \"min_of\" \"(\" number \"7\" \",\" number \"8\" \")\" \"]\" ." },
		{ ")", "error 1: unexpected right parenthesis ')' " },
		{ "(", "\"(\" error 1: unclosed left parenthesis " },
		{ "x[1", "identifier \"x\" \"[\" number \"1\" error 3: unclosed left bracket " },
		{ "x[",
		    "identifier \"x\" \"[\" error 2: unexpected end of input in duration expression " },
		{ "x[[",
		    "identifier \"x\" \"[\" error 2: unexpected character in duration expression: '[' " },
		{ "x[1[",
		    "identifier \"x\" \"[\" number \"1\" error 3: unexpected left bracket '[' " },
		{ "{a", "\"{\" identifier \"a\" error 2: unexpected end of input inside braces " },
		{ "{1", "\"{\" error 1: unexpected character inside braces: '1' " },
		{ "{{", "\"{\" error 1: unexpected left brace '{' " },
		{ "=~", "error 0: unexpected character after '=': '~' " },
		{ "!a", "error 0: unexpected character after '!': 'a' " },
		{ "\"\\y\"", "error 0: unknown escape sequence U+0079 'y' " },
		{ "\"\\xz\"", "error 0: illegal character U+007A 'z' in escape sequence " },
		{ "\"\\uD800\"", "error 0: escape sequence is an invalid Unicode code point " },
		{ "\"\\", "error 0: escape sequence not terminated " },
		{ "\"\xff\"", "error 0: invalid UTF-8 rune " },
		{ "'", "error 0: unterminated quoted string " },
		{ "`", "error 0: unterminated raw string " },
		{ "1.1.1", "error 0: bad number or duration syntax: \"1.1.\" " },
		{ "5x", "error 0: bad number or duration syntax: \"5\" " },
		{ "\xc3\xa9", "error 0: unexpected character: '\xc3\xa9' " },
		{ "\xff", "error 0: unexpected character: '\xef\xbf\xbd' " },
		{ "'\t\"", "error 0: unterminated quoted string " },
		{ ";", "error 0: unexpected character: ';' " },
	};
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		show(&b, cases[i].text);
		tap_is_str((const char *)b.data, cases[i].tokens, "%s", cases[i].text);
	}
	buf_release(&b);
}

static void test_end(void)
{
	struct ql_lex lex;
	struct ql_token t = { 0 };
	ql_lex_init(&lex, "a", 1);
	ql_lex_next(&lex, &t);
	tap_ok(t.tok == QLT_IDENT && t.pos == 0 && t.len == 1, "a token says where it stands");
	ql_lex_next(&lex, &t);
	tap_ok(t.tok == QLT_EOF && t.pos == 1 && t.len == 0, "the end stands behind the text");
}

static void test_runes(void)
{
	static const struct {
		int32_t rune;
		const char *text;
	} cases[] = { { 'a', "'a'" }, { '\'', "'\\''" }, { '"', "'\"'" }, { '\\', "'\\\\'" },
		{ '\n', "'\\n'" }, { 0, "'\\x00'" }, { 0xe9, "'\xc3\xa9'" },
		{ -1, "'\xef\xbf\xbd'" }, { 0xd800, "'\xef\xbf\xbd'" }, { 0x85, "'\\u0085'" } };
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_clear(&b);
		ql_quote_rune(&b, cases[i].rune);
		tap_is_mem(b.data, b.len, cases[i].text, strlen(cases[i].text),
		    "rune %d is quoted as Go does", (int)cases[i].rune);
	}
	buf_release(&b);
}

int main(void)
{
	test_tokens();
	test_end();
	test_runes();
	return tap_done();
}
