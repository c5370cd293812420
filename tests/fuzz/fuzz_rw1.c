/*
 * rw1 against protobuf-c: same verdict where protobuf-c accepts, same contents. The input is copied
 * so that the first byte behind it is caught; and once more between usual series and a field that
 * nobody knows.
 */
#include "tests/lib/rw1judge.h"

#include <stdio.h>
#include <stdlib.h>

/* A usual series, as the fast ways of the decoder expect it: two labels and a sample. */
static const char usual[] =
    "\x0a\x22\x0a\x06\x0a\x01"
    "a\x12\x01x\x0a\x06\x0a\x01"
    "b\x12\x01y\x12\x10\x09\x01\x02\x03\x04\x05\x06\xf0\x3f\x10\x80\x90\xa0\xb0\xc0\x33";
#define USUAL_SERIES 4u
#define BEHIND       5000u /* bytes of an unknown field: nothing ends too soon for the fast ways */

static void judge(const uint8_t *data, size_t size)
{
	bool accepted;
	const char *wrong = rw1judge(data, size, &accepted);
	if (!wrong)
		return;
	fprintf(stderr, "rw1 gives %s\n", wrong);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t series = sizeof usual - 1, before = USUAL_SERIES * series;
	uint8_t *body = malloc(size ? size : 1), *between = malloc(before + size + 3 + BEHIND);
	if (!body || !between)
		abort();
	if (size)
		memcpy(body, data, size);
	judge(body, size);
	for (size_t i = 0; i < USUAL_SERIES; i++)
		memcpy(between + i * series, usual, series);
	if (size)
		memcpy(between + before, data, size);
	uint8_t *behind = between + before + size;
	memcpy(behind, "\x7a\x88\x27", 3);
	memset(behind + 3, 0x0a, BEHIND);
	judge(between, before + size + 3 + BEHIND);
	free(body);
	free(between);
	return 0;
}
