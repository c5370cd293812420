/* Cuts between characters. */
#include "core/base/rune.h"
#include "core/base/utf8.h"
#include "tests/lib/tap.h"

/* e acute, euro sign, a smiley: characters of two, three and four bytes. */
static const char text[] = "a\xc3\xa9"
                           "b\xe2\x82\xac"
                           "c\xf0\x9f\x98\x80"
                           "d";

int main(void)
{
	static const size_t want[] = { 0, 1, 1, 3, 4, 4, 4, 7, 8, 8, 8, 8, 12, 13 };
	size_t len = sizeof(text) - 1;
	CHECK(len + 1 == COUNT_OF(want));
	for (size_t max = 0; max <= len; max++) {
		tap_is_u64(utf8_cut(text, len, max), want[max], "at most %zu bytes", max);
		tap_is_u64(utf8_whole(text, max), want[max], "what is whole of %zu", max);
	}
	tap_is_u64(utf8_cut(text, len, 100), len, "a short text stays whole");
	static const char *const odd[] = { "\xff\xff\xff\xff\xff\xff", "\x80\x80\x80\x80\x80\x80",
		"\xc3\xc3\xc3\xc3\xc3\xc3", "\xf0\x80\x80\x80\x80\x80", "\xed\xa0\x80\xed\xa0\x80" };
	for (size_t i = 0; i < COUNT_OF(odd); i++)
		for (size_t max = 0; max <= 6; max++)
			if (utf8_cut(odd[i], 6, max) != max)
				tap_ok(false, "bytes that are no text %zu are cut at %zu", i, max);
	tap_is_u64(utf8_whole("\x80\x80\x80\x80\x80", 5), 5, "tails alone stay");
	tap_is_u64(utf8_whole("\xff", 1), 1, "so does what begins nothing");
	tap_is_u64(utf8_whole("\xf0", 1), 0, "a beginning alone does not");
	char cut[8];
	memcpy(cut, text, 7);
	cut[7] = 0;
	utf8_trim(cut);
	tap_is_str(cut,
	    "a\xc3\xa9"
	    "b\xe2\x82\xac",
	    "a full buffer whose last character is whole");
	memcpy(cut, text, 6);
	cut[6] = 0;
	utf8_trim(cut);
	tap_is_str(cut,
	    "a\xc3\xa9"
	    "b",
	    "and one whose is not");
	return tap_done();
}
