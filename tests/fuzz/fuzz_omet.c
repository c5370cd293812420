/*
 * OpenMetrics against a second reader. With created times: the same samples but for those that are
 * created times.
 */
#include "tests/lib/expojudge.h"

#include <stdio.h>

static void created(const char *text, size_t len)
{
	struct omet plain, with;
	enum expo_entry a, b;
	omet_init(&plain, text, len, false);
	omet_init(&with, text, len, true);
	do {
		a = omet_next(&plain);
		b = omet_next(&with);
		if (a != b || plain.x.p != with.x.p || plain.start_line || plain.start_ms)
			abort();
		if (a == EXPO_SAMPLE && with.start_line && with.start_ms)
			abort();
	} while (a != EXPO_END && a != EXPO_BAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Exactly as much as there is, so that reading further is seen. */
	char *exact = malloc(size ? size : 1);
	if (!exact)
		abort();
	if (size)
		memcpy(exact, data, size);
	const char *wrong = expojudge(exact, size, true);
	if (wrong) {
		fprintf(stderr, "omet gives %s\n", wrong);
		abort();
	}
	created(exact, size);
	free(exact);
	return 0;
}
