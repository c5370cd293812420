#include "core/base/rex.h"
#include "core/base/rune.h"
#include "core/base/rune_set.h"
#include "tests/lib/tap.h"

#include <pthread.h>

static struct errbuf eb;

/*
 * Every class of RE2's syntax under every flag that matters, against values that tell them apart.
 */
static const char *const probes[] = {
#define PROBE(value) value,
#define CASE(pattern, mask)
#include "tests/unit/core/rex_golden.def"
#undef PROBE
#undef CASE
};
static const struct {
	const char *p;
	uint64_t mask;
} cases[] = {
#define PROBE(value)
#define CASE(pattern, mask) { pattern, mask },
#include "tests/unit/core/rex_golden.def"
};

/* Judged by Go 1.26: regexp.Compile("^(?s:" + p + ")$") matching s. */
static const struct {
	const char *p, *s;
	bool yes;
} golden[] = {
	{ "", "", true },
	{ "", "a", false },
	{ "a", "a", true },
	{ "a", "ba", false },
	{ "a|bc", "bc", true },
	{ "a|bc", "abc", false },
	{ "(a|b)c", "bc", true },
	{ "a.c", "a\nc", true },
	{ "(?-s)a.c", "a\nc", false },
	{ ".*", "any\nthing", true },
	{ ".+", "", false },
	{ "^a$", "a", true },
	{ "a$b", "ab", false },
	{ "(?m)a$\nb", "a\nb", true },
	{ "(?m)a\n^b", "a\nb", true },
	{ "(?m)a\n^", "a\n", true },
	{ "a$\n", "a\n", false },
	{ "(?i)aBc", "AbC", true },
	{ "(?i)k", "\xe2\x84\xaa", true },
	{ "(?i)s", "\xc5\xbf", true },
	{ "a(?i)b|c", "C", true },
	{ "(a(?i)b)c", "aBC", false },
	{ "\\d+", "12", true },
	{ "\\d", "\xd9\xa1", false },
	{ "\\s", "\v", false },
	{ "[[:space:]]", "\v", true },
	{ "\\w", "\xc3\xa9", false },
	{ "\\pL", "\xc3\xa9", true },
	{ "\\p{Greek}", "\xce\xb1", true },
	{ "\\P{^Greek}", "\xce\xb1", true },
	{ "[^\\pL]", "1", true },
	{ "[a-c]", "b", true },
	{ "[]a]", "]", true },
	{ "[^]a]", "]", false },
	{ "[a\\]]", "]", true },
	{ "[-a]", "-", true },
	{ "[\\d-z]", "-", true },
	{ "\\Qa.b\\E", "a.b", true },
	{ "\\Qa.b\\E", "axb", false },
	{ "\\Qab\\E+", "abb", true },
	{ "a{2}", "aa", true },
	{ "a{2,}", "a", false },
	{ "a{,2}", "a{,2}", true },
	{ "a{", "a{", true },
	{ "x*?y", "xxy", true },
	{ "(?U)x*y", "xxy", true },
	{ "\\x41\\x{e9}\\101",
	    "A\xc3\xa9"
	    "A",
	    true },
	{ "\\bfoo\\b", "foo", true },
	{ "\\Afoo\\z", "foo", true },
	{ "foo.*", "foobar", true },
	{ ".*bar", "foobar", true },
	{ ".*ob.*", "foobar", true },
	{ ".*ob.*", "fobar", true },
	{ ".*xy.*", "foobar", false },
	{ "foo\\.bar", "foo.bar", true },
	{ "foo\\.bar", "fooxbar", false },
	{ "a|", "", true },
	{ "|a", "b", false },
	{ "(a(?i))*", "aa", true },
	{ "\xff", "\xff", false }, /* is refused */
	{ ".", "\xff", true },
	{ "a|\xef\xbf\xbd", "\xff", true },
	{ "\xef\xbf\xbd.*", "\xff", true },
	{ "a|\xef\xbf\xbd", "b", false },
	{ "[^a]", "\xc3\xa9", true },
	{ "(a+)+b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", true },
};

/* What RE2 refuses, with Go's words. */
static const struct {
	const char *p, *text;
} refused[] = {
	{ "(", "missing closing ): `(`" },
	{ "a)", "unexpected ): `a)`" },
	{ "[a", "missing closing ]: `[a`" },
	{ "[z-a]", "invalid character class range: `z-a`" },
	{ "[a-\\d]", "invalid escape sequence: `\\d`" },
	{ "[[:foo:]]", "invalid character class range: `[:foo:]`" },
	{ "*", "missing argument to repetition operator: `*`" },
	{ "a|*", "missing argument to repetition operator: `*`" },
	{ "(*UTF)", "missing argument to repetition operator: `*`" },
	{ "a**", "invalid nested repetition operator: `**`" },
	{ "a++", "invalid nested repetition operator: `++`" },
	{ "a{2}{3}", "invalid nested repetition operator: `{2}{3}`" },
	{ "a{1001}", "invalid repeat count: `{1001}`" },
	{ "a*{1001}", "invalid repeat count: `{1001}`" },
	{ "\\x\\pL", "invalid escape sequence: `\\x\\p`" },
	{ "\\x{\xc3\xa9}", "invalid escape sequence: `\\x{\xc3\xa9`" },
	{ "(?i\xc3\xa9)", "invalid or unsupported Perl syntax: `(?i\xc3\xa9`" },
	{ "a{3,1}", "invalid repeat count: `{3,1}`" },
	{ "(a{100}){100}", "invalid repeat count: `{100}`" },
	{ "((a{10}){10}){11}", "invalid repeat count: `{11}`" },
	{ "\\", "trailing backslash at end of expression: ``" },
	{ "\\1", "invalid escape sequence: `\\1`" },
	{ "\\C", "invalid escape sequence: `\\C`" },
	{ "\\K", "invalid escape sequence: `\\K`" },
	{ "\\G", "invalid escape sequence: `\\G`" },
	{ "\\R", "invalid escape sequence: `\\R`" },
	{ "\\X", "invalid escape sequence: `\\X`" },
	{ "\\Z", "invalid escape sequence: `\\Z`" },
	{ "\\x{110000}", "invalid escape sequence: `\\x{110000`" },
	{ "\\p{Foo}", "invalid character class range: `\\p{Foo}`" },
	{ "(?=a)", "invalid or unsupported Perl syntax: `(?=`" },
	{ "(?!a)", "invalid or unsupported Perl syntax: `(?!`" },
	{ "(?<=a)", "invalid named capture: `(?<=a)`" },
	{ "(?>a)", "invalid or unsupported Perl syntax: `(?>`" },
	{ "(?|a)", "invalid or unsupported Perl syntax: `(?|`" },
	{ "(?#a)", "invalid or unsupported Perl syntax: `(?#`" },
	{ "(?R)", "invalid or unsupported Perl syntax: `(?R`" },
	{ "(?1)", "invalid or unsupported Perl syntax: `(?1`" },
	{ "(?P=n)", "invalid or unsupported Perl syntax: `(?P`" },
	{ "(?P>n)", "invalid or unsupported Perl syntax: `(?P`" },
	{ "(?P<1-2>a)", "invalid named capture: `(?P<1-2>`" },
	{ "(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`" },
	{ "\xff", "invalid UTF-8: `\xff`" },
};

static struct rex *compile(const char *p)
{
	struct rex *r = NULL;
	errbuf_init(&eb);
	return rex_compile(p, strlen(p), &r, &eb) ? NULL : r;
}

static const struct {
	const char *p;
	enum rex_kind kind;
	const char *strings; /* joined by blanks */
} kinds[] = {
	{ "a", REX_LITERALS, "a" },
	{ "", REX_LITERALS, "" },
	{ "b|a|c|a", REX_LITERALS, "b a c" },
	{ "(b|a)", REX_LITERALS, "b a" },
	{ "(?:b|a)", REX_LITERALS, "b a" },
	{ "a|b|(c|d)e", REX_LITERALS, "a b ce de" },
	{ "x(a|b)y(c|)", REX_LITERALS, "xayc xay xbyc xby" },
	{ "a|b(|c)|", REX_LITERALS, "a b bc " },
	{ "a\\.b|c\\\\", REX_LITERALS, "a.b c\\" },
	{ "^foo$", REX_LITERALS, "foo" },
	{ "10\\.0\\.0\\.1", REX_LITERALS, "10.0.0.1" },
	{ "foo.*", REX_PREFIX, "foo" },
	{ "^foo.*$", REX_PREFIX, "foo" },
	{ "(foo.*)", REX_PREFIX, "foo" },
	{ ".*foo", REX_SUFFIX, "foo" },
	{ ".*foo.*", REX_INFIX, "foo" },
	{ ".*", REX_ANY, NULL },
	{ "(.*)", REX_ANY, NULL },
	{ ".*.*", REX_ANY, NULL },
	{ ".+", REX_NONEMPTY, NULL },
	{ "(?:.+)", REX_NONEMPTY, NULL },
	{ "foo.+", REX_PREFIX, "foo" },
	{ ".+foo", REX_SUFFIX, "foo" },
	{ ".+foo.*", REX_INFIX, "foo" },
	{ ".*.+foo.*.*", REX_INFIX, "foo" },
	{ "app_(db|net|disk)_.+", REX_PREFIX, "app_db_ app_disk_ app_net_" },
	{ "(|a).+", REX_NONEMPTY, NULL },
	{ ".+(a|).*", REX_NONEMPTY, NULL },
	{ ".+(a|).+", REX_PCRE, NULL },
	{ ".+.+", REX_PCRE, NULL },
	{ "foo.+.*.+", REX_PCRE, NULL },
	{ "a.+|b.*", REX_PCRE, NULL },
	{ "foo.+?", REX_PCRE, NULL },
	{ "foo\\.+", REX_PCRE, NULL },
	{ "foo\\$", REX_LITERALS, "foo$" },
	{ "b.*|a.*", REX_PREFIX, "a b" },
	{ "(b|a):.*", REX_PREFIX, "a: b:" },
	{ "(b\\.x.*|a.*)", REX_PREFIX, "a b.x" },
	{ "ab.*|a.*|abc.*|b.*", REX_PREFIX, "a b" },
	{ ".*(ab|cb|b)", REX_SUFFIX, "b" },
	{ ".*-(b|a)", REX_SUFFIX, "-a -b" },
	{ ".*b.*|.*a.*", REX_INFIX, "a b" },
	{ ".*(b|a|ab).*", REX_INFIX, "a b" },
	{ "a.*|.*", REX_PCRE, NULL },
	{ ".*(a|)", REX_ANY, NULL },
	{ "a.*|b", REX_PCRE, NULL },
	{ "a.*|.*b", REX_PCRE, NULL },
	{ "(a.*|b)c", REX_PCRE, NULL },
	{ "(a.*|b.*)c", REX_PCRE, NULL },
	{ "a.*?|b.*?", REX_PCRE, NULL },
	{ "a\\.*|b\\.*", REX_PCRE, NULL },
	{ "(\\Qa)\\E)", REX_PCRE, NULL },
	{ "(a\\))", REX_LITERALS, "a)" },
	{ "ab+", REX_PCRE, NULL },
	{ "ab?", REX_PCRE, NULL },
	{ "(?i)foo", REX_PCRE, NULL },
	{ "(?i:foo)", REX_PCRE, NULL },
	{ "^a|b$", REX_PCRE, NULL },
	{ "a\\d", REX_PCRE, NULL },
	{ "(a)|(b)", REX_LITERALS, "a b" },
	{ "foo.*bar", REX_PCRE, NULL },
	{ "(?P<x>a)", REX_PCRE, NULL },
};

static void test_kinds(void)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct rex *r = compile(kinds[i].p);
		char joined[200] = "";
		size_t at = 0, len;
		const char *s;
		for (size_t k = 0; r && (s = rex_literal(r, k, &len)); k++)
			at += (size_t)snprintf(
			    joined + at, sizeof(joined) - at, "%s%.*s", k ? " " : "", (int)len, s);
		tap_ok(r && rex_kind(r) == kinds[i].kind &&
		        strcmp(joined, kinds[i].strings ? kinds[i].strings : "") == 0,
		    "form of `%s`: %s", kinds[i].p, joined);
		rex_free(r);
	}
}

/* Words of two letters, and all texts of up to four: as a look at each word says. */
static bool starred_agrees(const char *head, const char *tail, unsigned picked)
{
	static const char *const words[] = { "a", "b", "ab", "ba", "aab", "abb", "bb", "\xc3\xa9" };
	static const char *const letters[] = { "a", "b", "\xc3\xa9" };
	const bool before = head[0], after = tail[0];
	const size_t front = head[0] && head[1] == '+', back = tail[0] && tail[1] == '+';
	struct buf p;
	struct rex *r;
	buf_init(&p);
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (picked >> i & 1)
			buf_printf(&p, "%s%s%s%s", p.len ? "|" : "", head, words[i], tail);
	bool ok = !rex_compile_match((const char *)p.data, p.len, &r, &eb);
	buf_release(&p);
	if (!ok)
		return false;
	ok = rex_kind(r) != REX_PCRE;
	for (unsigned n = 0; n < 4 * 4 * 4 * 4; n++) {
		char s[16] = "";
		bool want = false;
		for (unsigned k = n; k; k /= 4)
			strcat(s, k % 4 ? letters[k % 4 - 1] : "");
		size_t len = strlen(s);
		for (size_t i = 0; i < COUNT_OF(words); i++) {
			size_t w = strlen(words[i]);
			if (!(picked >> i & 1) || w + front + back > len)
				continue;
			for (size_t at = front; at + w + back <= len; at++)
				want = want ||
				    ((before || !at) && (after || at + w == len) &&
				        memcmp(s + at, words[i], w) == 0);
		}
		ok = ok && rex_match(r, s, len) == (want ? REX_YES : REX_NO);
	}
	rex_free(r);
	return ok;
}

static void test_starred(void)
{
	bool prefix = true, suffix = true, infix = true;
	for (unsigned picked = 1; picked < 256; picked++) {
		prefix = prefix && starred_agrees("", ".*", picked);
		suffix = suffix && starred_agrees(".*", "", picked);
		infix = infix && starred_agrees(".*", ".*", picked);
	}
	for (unsigned picked = 1; picked < 256; picked++) {
		prefix = prefix && starred_agrees("", ".+", picked);
		suffix = suffix && starred_agrees(".+", "", picked);
		infix = infix && starred_agrees(".+", ".*", picked) &&
		    starred_agrees(".*", ".+", picked) && starred_agrees(".+", ".+", picked);
	}
	tap_ok(prefix, "all sets of prefixes");
	tap_ok(suffix, "all sets of suffixes");
	tap_ok(infix, "all sets of infixes");
}

/* What dashboards make of a variable with many values, with something around it. */
static void test_variables(void)
{
	static const char *const ways[][3] = { { "(", "):.*", ".*" }, { "pod-(", ")", "" },
		{ ".*(", ").*", ".*" }, { ".*-(", ")", "" } };
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		struct buf b;
		struct rex *r = NULL;
		buf_init(&b);
		buf_add_str(&b, ways[w][0]);
		for (unsigned i = 0; i < 10000; i++)
			buf_printf(&b, "%sweb-%05u\\.prod\\.example\\.com", i ? "|" : "", i);
		buf_add_str(&b, ways[w][1]);
		errbuf_init(&eb);
		enum err e = rex_compile_match((const char *)b.data, b.len, &r, &eb);
		const char *in[] = { "web-09999.prod.example.com:9100",
			"pod-web-09999.prod.example.com", "x web-09999.prod.example.com x",
			"x-web-09999.prod.example.com" };
		const char * not [] = { "web-10000.prod.example.com:9100",
			"pod-web-09999xprod.example.com", "x web-9999.prod.example.com x",
			"web-09999.prod.example.com" };
		tap_ok(!e && !rex_needs_engine((const char *)b.data, b.len) &&
		        rex_match(r, in[w], strlen(in[w])) == REX_YES &&
		        rex_match(r, not [w], strlen(not [w])) == REX_NO,
		    "%s10,000 hosts%s %s", ways[w][0], ways[w][1], e ? eb.text : "");
		rex_free(r);
		buf_release(&b);
	}
}

/* Sets of any size; what is no set in disguise takes no longer than its length allows. */
static void test_sets(void)
{
	struct buf b;
	struct rex *r = NULL;
	buf_init(&b);
	for (unsigned i = 0; i < 100000; i++)
		buf_printf(&b, "%sname-%u", i ? "|" : "", i % 50000);
	TAP_OK(!rex_compile_match((const char *)b.data, b.len, &r, &eb));
	size_t count = 0, len;
	while (rex_literal(r, count, &len))
		count++;
	tap_ok(rex_kind(r) == REX_LITERALS && count == 50000 &&
	        rex_match(r, "name-49999", 10) == REX_YES &&
	        rex_match(r, "name-50000", 10) == REX_NO && rex_match(r, "", 0) == REX_NO,
	    "100,000 words in a set of %zu", count);
	rex_free(r);
	static const char *const units[] = { "(a)", "(a|b)(c)", "(", "((a|b)", "a|(b|c)", "(a|b)c" };
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		buf_clear(&b);
		while (b.len < 1 << 20)
			buf_add_str(&b, units[i]);
		errbuf_init(&eb);
		enum err e = rex_compile_match((const char *)b.data, b.len, &r, &eb);
		tap_ok(e || r, "1 MiB of %s: %s", units[i], e ? eb.text : "taken");
		if (!e)
			rex_free(r);
	}
	buf_release(&b);
}

static void expands(const char *p, const char *s, const char *t, const char *want)
{
	struct rex *r = compile(p);
	struct buf b;
	buf_init(&b);
	enum rex_result m = rex_expand(r, s, strlen(s), t, strlen(t), &b);
	if (want)
		tap_ok(m == REX_YES && b.len == strlen(want) &&
		        memcmp(b.data ? (char *)b.data : "", want, b.len) == 0,
		    "`%s` on \"%s\": %s -> %.*s", p, s, t, (int)b.len, b.data);
	else
		tap_ok(m == REX_NO && b.len == 0, "`%s` does not match \"%s\"", p, s);
	buf_release(&b);
	rex_free(r);
}

static void *match_many(void *arg)
{
	const struct rex *r = arg;
	intptr_t bad = 0;
	for (int i = 0; i < 20000; i++)
		bad += rex_match(r, "host-0123:9100", 14) != REX_YES ||
		    rex_match(r, "host-x:9100", 11) != REX_NO;
	return (void *)bad;
}

static void test_cases(void)
{
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rex *r = compile(cases[i].p);
		uint64_t got = 0;
		for (size_t k = 0; r && k < COUNT_OF(probes); k++) {
			if (rex_match(r, probes[k], strlen(probes[k])) == REX_YES)
				got |= 1ull << k;
		}
		tap_ok(r && got == cases[i].mask, "`%s`: %llx wrong %s", cases[i].p,
		    (unsigned long long)(got ^ cases[i].mask), eb.text);
		rex_free(r);
	}
}

/* What is just inside and just outside of each span, through the whole of rex. */
static void test_borders(const char *name)
{
	for (size_t way = 0; way < 4; way++) {
		bool fold = way & 1, negated = way & 2;
		char p[80];
		snprintf(p, sizeof(p), "%s\\%c{%s}", fold ? "(?i)" : "", negated ? 'P' : 'p', name);
		struct rex *r = compile(p);
		struct rune_set set = { 0 };
		bool ok = r && rune_set_named(&set, name, strlen(name), fold);
		for (size_t i = 0; ok && i < 4 * set.count; i++) {
			uint32_t rune = i & 1 ? set.v[i / 4].last : set.v[i / 4].first;
			bool in = !(i & 2);
			rune = in ? rune : i & 1 ? rune + 1 : rune - 1;
			if (rune > RUNE_MAX || (rune >= 0xd800 && rune <= 0xdfff))
				continue;
			char text[4];
			ok = rex_match(r, text, rune_encode(rune, text)) ==
			    (in != negated ? REX_YES : REX_NO);
		}
		tap_ok(ok, "`%s` at the borders of its spans", p);
		rune_set_release(&set);
		rex_free(r);
	}
}

/* What every match begins with, words apart by spaces; "" = nothing is known. */
static const struct {
	const char *p, *words;
} begins[] = {
	{ "host-0[0-9]+.*", "host-0" },
	{ "^host-0.+$", "host-0" },
	{ "(web|db)-[0-9]+", "db- web-" },
	{ "(?:web|db(1|2))-x?y", "db1- db2- web-" },
	{ "(host-1[0-9]|host-2[0-9])", "host-1 host-2" },
	{ "((?:a[)]|b[0-9]))", "a b" },
	{ "(a[0-9])(b[0-9])", "" },
	{ "^a[0-9]|^b.c", "a b" },
	{ "ab*c", "a" },
	{ "ab?c", "a" },
	{ "ab+c", "ab" },
	{ "ab{2}c", "a" },
	{ "a\\.b[0-9]", "a.b" },
	{ "a\\.*b", "a" },
	{ "(ab)*c.", "" },
	{ "(ab)+c.", "ab" },
	{ "x(ab|c[0-9])d", "x" },
	{ "caf\xc3\xa9*s.", "caf" },
	{ "caf\xc3\xa9[s]", "caf\xc3\xa9" },
	{ "a\xef\xbf\xbd"
	  "b[0-9]",
	    "a" },
	{ "\xef\xbf\xbd[0-9]", "" },
	{ "abc.*|abd.*|ab[0-9]", "ab" },
	{ "a[|]b.|c[]|]d.", "a c" },
	{ "a[[:alpha:]]", "" }, /* not understood: nothing is said */
	{ "(?i)abc[0-9]", "" },
	{ "a(?i)b|c", "" }, /* the flag holds for what follows, too */
	{ "a(?i:b)[0-9]|c[0-9]", "" },
	{ "a(?P<x>b)[0-9]|c[0-9]", "a c" },
	{ "[ab]c", "" },
	{ ".*abc[0-9]", "" },
	{ "abc[0-9]|", "" },
	{ "|abc[0-9]", "" },
	{ "ab[0-9]||c[0-9]", "" },
	{ "\\Qa.b\\E[0-9]", "" },
	{ "pre.*", "pre" },
	{ "pre.*|other.*", "other pre" },
};

static void test_begins(void)
{
	for (size_t i = 0; i < COUNT_OF(begins); i++) {
		struct rex *r = compile(begins[i].p);
		struct buf got;
		const char *w;
		size_t len;
		buf_init(&got);
		for (size_t k = 0; r && (w = rex_prefix(r, k, &len)); k++)
			buf_printf(&got, "%s%.*s", k ? " " : "", (int)len, w);
		buf_add_u8(&got, 0);
		tap_ok(r && strcmp((const char *)got.data, begins[i].words) == 0,
		    "`%s` begins with \"%s\": %s", begins[i].p, begins[i].words, got.data);
		buf_release(&got);
		rex_free(r);
	}
}

static bool begins_as_told(const struct rex *r, const char *s, size_t len)
{
	const char *w;
	size_t n;
	bool any = !rex_prefixes(r);
	for (size_t k = 0; !any && (w = rex_prefix(r, k, &n)); k++)
		any = len >= n && memcmp(s, w, n) == 0;
	return any;
}

static bool has_as_told(const struct rex *r, const char *s, size_t len)
{
	size_t n;
	const char *needed = rex_needed(r, &n);
	bool all = true;
	for (size_t i = 0; i < n; i++)
		all = all && len && memchr(s, needed[i], len);
	return all;
}

static const struct {
	const char *p, *needed;
} needs[] = {
	{ "a.*b", "ab" },
	{ "a[bc]d?e+f{2}g*", "ae" }, /* f, too, would do: how often is not looked at */
	{ "a(b|c)d.", "ad" },
	{ "^{2}a.", "a" },
	{ "(ab.c)", "abc" },
	{ "ab|cd.e", "" },
	{ "(?i)ab.c", "" },
	{ "a(?i:b).c", "" },
	{ "a(b(?i)).c", "" },
	{ "a\\.b\\d", "a.b" },
	{ "a\\x41.b", "" },
	{ "a\\pLb", "" },
	{ "a\\Qb|c\\E.d", "" },
	{ "a{|b}c.", "" },
	{ "ab+?c.", "ac" },
	{ "[]|]a.", "a" },
	{ ".*lit.*", "lit" },
	{ ".*lit", "lit" },
	{ ".*(a|b)", "" },
};

static void test_needs(void)
{
	for (size_t i = 0; i < COUNT_OF(needs); i++) {
		struct rex *r = compile(needs[i].p);
		size_t len = 0;
		const char *got = r ? rex_needed(r, &len) : "";
		tap_ok(r && len == strlen(needs[i].needed) &&
		        !memcmp(len ? got : "", needs[i].needed, len),
		    "`%s` needs \"%s\": %.*s", needs[i].p, needs[i].needed, (int)len, len ? got : "");
		rex_free(r);
	}
}

/* Random patterns of small pieces: whatever matches begins as was told, and has what was told. */
static void test_begins_random(void)
{
	static const char *const pieces[] = { "a", "b", "ab", "(a|b)", "(?:ab|c)", "[ab]", ".", "(",
		")", "|", "*", "+", "?", "{2}", "^", "$", "\\.", "(?i)", "(?i:", "[^a]", ".*",
		"\\d", "\xc3\xa9", "\\Qa\\E", "c" };
	static const char *const atoms[] = { "a", "b", "c", "A", "B", ".", "1", "\xc3\xa9", "", "|" };
	uint64_t seed = 7, tried = 0, known = 0, matched = 0, wrong = 0, needing = 0;
	for (unsigned i = 0; i < 60000; i++) {
		char p[64] = "", s[32];
		for (unsigned k = 0; k < 7; k++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			strcat(p, pieces[(seed >> 33) % COUNT_OF(pieces)]);
		}
		struct rex *r;
		if (rex_compile_match(p, strlen(p), &r, &eb))
			continue;
		tried++;
		size_t needed;
		(void)rex_needed(r, &needed);
		known += rex_prefixes(r) > 0;
		needing += needed > 0;
		for (unsigned t = 0; t < 40; t++) {
			s[0] = 0;
			for (unsigned k = 0; k < t % 5; k++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				strcat(s, atoms[(seed >> 33) % COUNT_OF(atoms)]);
			}
			if (rex_match(r, s, strlen(s)) != REX_YES)
				continue;
			matched++;
			if (begins_as_told(r, s, strlen(s)) && has_as_told(r, s, strlen(s)))
				continue;
			wrong++;
			tap_note("`%s` matches \"%s\"", p, s);
		}
		rex_free(r);
	}
	tap_ok(tried > 5000 && known > 500 && needing > 500 && matched > 3000 && !wrong,
	    "%llu random patterns, the beginning known of %llu, what they need of %llu; %llu matches, %llu are otherwise",
	    (unsigned long long)tried, (unsigned long long)known, (unsigned long long)needing,
	    (unsigned long long)matched, (unsigned long long)wrong);
}

int main(void)
{
	test_cases();
	test_begins();
	test_needs();
	test_begins_random();
	static const char *const names[] = { "C", "Cn", "Co", "Cs", "L", "LC", "Ll", "Lt", "Lu",
		"M", "N", "P", "S", "Z", "Any", "ASCII", "Assigned", "Greek", "Han", "Common",
		"Inherited", "Latin", "Old_Italic", "Kawi", "Nag_Mundari" };
	for (size_t i = 0; i < COUNT_OF(names); i++)
		test_borders(names[i]);
	for (size_t i = 0; i < COUNT_OF(golden); i++) {
		struct rex *r = compile(golden[i].p);
		enum rex_result m = r ? rex_match(r, golden[i].s, strlen(golden[i].s)) : REX_NO;
		tap_ok(m == (golden[i].yes ? REX_YES : REX_NO), "`%s` %s \"%s\" %s", golden[i].p,
		    golden[i].yes ? "matches" : "does not match", golden[i].s, eb.text);
		if (r && m == REX_YES)
			tap_ok(begins_as_told(r, golden[i].s, strlen(golden[i].s)) &&
			        has_as_told(r, golden[i].s, strlen(golden[i].s)),
			    "`%s` begins as was told, and has it", golden[i].p);
		rex_free(r);
	}
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		struct rex *r = compile(refused[i].p);
		const char *head = "error parsing regexp: ";
		tap_ok(!r && strncmp(eb.text, head, strlen(head)) == 0 &&
		        strcmp(eb.text + strlen(head), refused[i].text) == 0,
		    "`%s` is refused: %s", refused[i].p, eb.text);
		rex_free(r);
	}
	test_kinds();
	test_starred();
	test_variables();
	test_sets();
	expands("(.*)", "abc", "$1", "abc");
	expands("(a+)(b*)", "aab", "${2}-$1", "b-aa");
	expands("(?P<x>a)(?<y>b)?", "a", "$x${y}|$z|$0", "a||a");
	/* Go takes a name twice; the first group that took part speaks. */
	expands("(?P<n>a)(?P<n>b)", "ab", "$n", "a");
	expands("(?P<n>a)|(?P<n>b)", "b", "$n", "b");
	expands("(?P<n>a?)(?P<n>b)", "b", "[$n]", "[]");
	/* Large classes stand behind the pattern, and move nobody's number. */
	expands("(\\pL+)([^\\pL]+)(\\pL*)", "ab12", "$2$1$3|$4|$5", "12ab||");
	expands("(?i)(\\p{Lu}+)\\P{Lu}(\\p{Lu})", "ab1C", "$2$1", "Cab");
	expands("(a)", "a", "$1x $1_ ${1}x $$ $ $- ${ ${} $01", "  ax $ $ $- ${ ${} ");
	expands("(a)", "b", "$1", NULL);
	expands("abc", "abc", "[$0]", "[abc]");
	expands("a.*", "abc", "plain", "plain");
	expands("(.+)", "", "x", NULL);
	expands("(a|b)", "b", "$1$1", "bb");

	char big[5000];
	memset(big, 'a', sizeof(big));
	struct rex *r = NULL;
	errbuf_init(&eb);
	TAP_OK(rex_compile(big, 4097, &r, &eb) == ERR_OK && rex_match(r, big, 4097) == REX_YES);
	rex_free(r);
	big[4096] = '+';
	tap_ok(rex_compile(big, 4097, &r, &eb) == ERR_BADDATA, "patterns have a limit: %s", eb.text);
	errbuf_init(&eb);
	TAP_OK(rex_compile_match(big, 4097, &r, &eb) == ERR_OK &&
	    rex_match(r, big, 4096) == REX_YES && rex_match(r, big, 4095) == REX_NO);
	rex_free(r);
	TAP_OK(rex_compile(big, 4096, &r, &eb) == ERR_OK && rex_match(r, big, 4096) == REX_YES &&
	    rex_match(r, big, 4095) == REX_NO);
	rex_free(r);
	memset(big, '(', 1001);
	memset(big + 1001, ')', 1001);
	errbuf_init(&eb);
	tap_ok(rex_compile(big, 2002, &r, &eb) == ERR_BADDATA && strstr(eb.text, "nests too deeply"),
	    "so has nesting");
	memset(big + 1000, ')', 1000);
	tap_ok(rex_compile(big, 2000, &r, &eb) == ERR_OK && rex_match(r, "", 0) == REX_YES,
	    "a thousand groups are allowed");
	rex_free(r);

	/*
	 * The classic: exponential for a backtracking machine. Either it is decided rightly, or a
	 * limit is told; "no match" by giving up would be a lie.
	 */
	r = compile("(x+x+)+y");
	memset(big, 'x', 3000);
	big[3000] = 'y';
	enum rex_result m = rex_match(r, big, 3000);
	tap_ok(m == REX_NO || m == REX_LIMIT, "an expensive expression ends: %d", m);
	tap_ok(rex_match(r, big, 3001) != REX_NO, "and never says no to what matches");
	rex_free(r);

	r = compile("host-\\d+:9100");
	pthread_t t[3];
	intptr_t bad = 0;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, match_many, r);
	for (int i = 0; i < 3; i++) {
		void *one;
		pthread_join(t[i], &one);
		bad += (intptr_t)one;
	}
	tap_is_i64(bad, 0, "one expression serves several threads");
	rex_free(r);
	rex_free(NULL);
	return tap_done();
}
