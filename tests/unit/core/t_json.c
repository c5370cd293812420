#include "core/base/json.h"

#include "core/base/err.h"
#include "core/base/rune.h"
#include "tests/lib/tap.h"

static void is(void (*fn)(struct buf *, const char *, size_t), const char *s, size_t len,
    const char *want, const char *what)
{
	struct buf b;
	buf_init(&b);
	fn(&b, s, len);
	tap_is_mem(b.data, b.len, want, strlen(want), "%s", what);
	buf_release(&b);
}

static const struct {
	const char *s;
	size_t len;
	bool good;
} utf8[] = {
	{ "", 0, true },
	{ "plain ascii that is longer than eight", 37, true },
	{ "\xc3\xa9", 2, true },
	{ "\xc3", 1, false },
	{ "\xc0\x80", 2, false },
	{ "\xc1\xbf", 2, false },
	{ "\xe0\x80\x80", 3, false },
	{ "\xe0\xa0\x80", 3, true },
	{ "\xed\x9f\xbf", 3, true },
	{ "\xed\xa0\x80", 3, false },
	{ "\xf0\x8f\xbf\xbf", 4, false },
	{ "\xf0\x90\x80\x80", 4, true },
	{ "\xf4\x8f\xbf\xbf", 4, true },
	{ "\xf4\x90\x80\x80", 4, false },
	{ "\xf5\x80\x80\x80", 4, false },
	{ "12345678\xff", 9, false },
	{ "\x80", 1, false },
};

/* What is cut for people is cut between characters, wherever the end falls. */
static void test_cut(void)
{
	static const char text[] = "a\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80z";
	static const size_t whole[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };
	bool cut = true, printed = true;
	for (size_t max = 0; max < COUNT_OF(whole); max++) {
		char out[16];
		cut = cut && rune_cut(text, sizeof(text) - 1, max) == whole[max];
		size_t n = rune_printf(out, max + 1, "%s", text);
		printed = printed && n == whole[max] && out[n] == 0 && memcmp(out, text, n) == 0;
	}
	tap_ok(cut, "rune_cut ends between characters");
	tap_ok(printed, "rune_printf does too");
	TAP_OK(rune_cut(text, 3, 100) == 3);
	TAP_OK(rune_cut("\x80\x80\x80\x80\x80\x80", 6, 5) == 5);
	TAP_OK(rune_cut("", 0, 0) == 0);

	char wide[3000];
	for (size_t i = 0; i + 3 < sizeof(wide); i += 3)
		memcpy(wide + i, "\xe6\x97\xa5", 3);
	wide[2997] = 0;
	bool valid = true;
	for (int pad = 0; pad < 6; pad++) {
		struct errbuf eb;
		errbuf_init(&eb);
		errbuf_set(&eb, ERR_BADDATA, "%.*s%s", pad, "pppppp", wide);
		size_t n = strlen(eb.text);
		valid = valid && n >= sizeof(eb.text) - 4 && n < sizeof(eb.text) &&
		    rune_valid(eb.text, n);
	}
	tap_ok(valid, "error texts end between characters");
}

static void strings_in(void)
{
	static const struct {
		const char *raw, *says; /* NULL: an escape is none */
	} cases[] = {
		{ "a\\nb\\/\\\"", "a\nb/\"" },
		{ "\\u0041\\u20ac", "A\xe2\x82\xac" },
		{ "\\ud83d\\ude00", "\xf0\x9f\x98\x80" },
		{ "\\ud83dx", "\xef\xbf\xbdx" },
		{ "\\ud83d\\u0041",
		    "\xef\xbf\xbd"
		    "A" },
		{ "\\ude00", "\xef\xbf\xbd" },
		{ "\\x", NULL },
		{ "\\u12g4", NULL },
		{ "\\u123", NULL },
		{ "\\", NULL },
		{ "\\ud83d\\q", NULL },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char to[32];
		size_t n = 0;
		bool fine = json_unescape(cases[i].raw, strlen(cases[i].raw), to, &n);
		tap_ok(fine == (cases[i].says != NULL) &&
		        (!fine || (n == strlen(cases[i].says) && !memcmp(to, cases[i].says, n))),
		    "what %s says", cases[i].raw);
	}
}

int main(void)
{
	test_cut();
	is(json_str, "a\"b\\c\n\r\t\b\f\v\x01\x7f/<>&\xe2\x80\xa8\xe2\x80\xa9\xff\xc3\xa9", 26,
	    "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u000b\\u0001\x7f/\\u003c\\u003e\\u0026\\u2028\\u2029\\ufffd\xc3\xa9\"",
	    "an envelope string as encoding/json writes it");
	is(json_str_raw, "<a>&\xe2\x80\xa8\"\n\xff\xc3\xa9", 12,
	    "\"<a>&\xe2\x80\xa8\\\"\\n\xef\xbf\xbd\xc3\xa9\"",
	    "a label string keeps what HTML would mind");
	is(json_str, "", 0, "\"\"", "the empty string");
	is(json_str, "\0x", 2, "\"\\u0000x\"", "NUL");
	unsigned bad = 0;
	for (size_t i = 0; i < COUNT_OF(utf8); i++)
		bad += json_utf8_valid(utf8[i].s, utf8[i].len) != utf8[i].good;
	tap_is_u64(bad, 0, "valid and invalid UTF-8 are told apart");
	for (uint32_t r = 0; r <= 0x10ffff; r++) {
		char text[4];
		uint32_t back;
		size_t n = rune_encode(r, text);
		bool surrogate = r >= 0xd800 && r <= 0xdfff;
		bad += surrogate ? rune_decode(text, n, &back) != 0
		                 : rune_decode(text, n, &back) != n || back != r;
		bad += n > 1 && rune_decode(text, n - 1, &back) != 0;
	}
	tap_is_u64(bad, 0, "every code point is encoded and decoded");
	TAP_OK(rune_printable('a') && rune_printable(' ') && !rune_printable(0x7f) &&
	    rune_printable(0xe9) && !rune_printable(0xa0) && !rune_printable(0xad) &&
	    rune_printable(0x1f600) && !rune_printable(0xe0001) && !rune_printable(0x2028) &&
	    !rune_printable(0x10ffff));
	TAP_OK(rune_word('_') && rune_word('9') && !rune_word('-') && rune_word(0xe9) &&
	    rune_word(0x65e5) && !rune_word(0x2192) && rune_word(0x661));
	strings_in();
	return tap_done();
}
