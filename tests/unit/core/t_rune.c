/* Cuts between characters. */
#include "core/base/rune.h"
#include "tests/lib/tap.h"

/* e acute, euro sign, a smiley: characters of two, three and four bytes. */
static const char text[] = "a\xc3\xa9"
                           "b\xe2\x82\xac"
                           "c\xf0\x9f\x98\x80"
                           "d";

PRINTF_LIKE(3, 4) static size_t print(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	size_t n = rune_vprintf(out, size, fmt, ap);
	va_end(ap);
	return n;
}

int main(void)
{
	static const size_t want[] = { 0, 1, 1, 3, 4, 4, 4, 7, 8, 8, 8, 8, 12, 13 };
	size_t len = sizeof(text) - 1;
	CHECK(len + 1 == COUNT_OF(want));
	for (size_t max = 0; max <= len; max++) {
		tap_is_u64(rune_cut(text, len, max), want[max], "at most %zu bytes", max);
		tap_is_u64(rune_whole(text, max), want[max], "what is whole of %zu", max);
	}
	tap_is_u64(rune_cut(text, len, 100), len, "a short text stays whole");
	static const char *const odd[] = { "\xff\xff\xff\xff\xff\xff", "\x80\x80\x80\x80\x80\x80",
		"\xc3\xc3\xc3\xc3\xc3\xc3", "\xf0\x80\x80\x80\x80\x80", "\xed\xa0\x80\xed\xa0\x80" };
	for (size_t i = 0; i < COUNT_OF(odd); i++)
		for (size_t max = 0; max <= 6; max++)
			if (rune_cut(odd[i], 6, max) != max)
				tap_ok(false, "bytes that are no text %zu are cut at %zu", i, max);
	tap_is_u64(rune_whole("\x80\x80\x80\x80\x80", 5), 5, "tails alone stay");
	tap_is_u64(rune_whole("\xff", 1), 1, "so does what begins nothing");
	tap_is_u64(rune_whole("\xf0", 1), 0, "a beginning alone does not");
	char cut[8];
	tap_is_u64(print(cut, 8, "%s", text), 7, "a full buffer whose last character is whole");
	tap_is_mem(cut, 7, text, 7, "has it");
	tap_is_u64(print(cut, 7, "%s", text), 4, "one whose is not");
	tap_is_str(cut,
	    "a\xc3\xa9"
	    "b",
	    "has it not");
	tap_is_u64(print(cut, 8, "%.2s", text), 2, "a text that fits stays as it is");
	tap_is_str(cut, "a\xc3", "also with half a character");
	tap_is_u64(print(cut, 1, "%s", text), 0, "no room");
	return tap_done();
}
