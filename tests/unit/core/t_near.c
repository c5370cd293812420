#include "core/base/near.h"

#include <string.h>

#include "tests/lib/tap.h"

static const char *const known[] = { "data-dir", "listen", "loops", "retention", "commit",
	"interval", "off" };

static const char *near(const char *word)
{
	const char *s = near_word(word, strlen(word), known, COUNT_OF(known));
	return s ? s : "";
}

int main(void)
{
	tap_ok(!strcmp(near("retenton"), "retention"), "a missing letter is near");
	tap_ok(!strcmp(near("lisetn"), "listen"), "swapped neighbours cost one");
	tap_ok(!strcmp(near("comit"), "commit"), "commit is found");
	tap_ok(!strcmp(near("zzzzzzzz"), ""), "rubbish is near to nothing");
	tap_ok(near_distance("abc", 3, "abc", 3) == 0, "equal words have distance 0");
	tap_ok(near_distance("abcd", 4, "bacd", 4) == 1, "a swap has distance 1");
	tap_ok(near_distance("", 0, "abc", 3) == 3, "from nothing each letter costs one");
	char longword[300];
	memset(longword, 'x', sizeof(longword));
	tap_ok(!near_word(longword, sizeof(longword), known, COUNT_OF(known)),
	    "a very long word is safe and near to nothing");
	return tap_done();
}
