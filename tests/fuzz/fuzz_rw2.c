/*
 * rw2 against protobuf-c and against the decoder of 1.0: same verdict where protobuf-c accepts,
 * same contents. Once as it is and once with unknown fields behind, so that the fast way takes what
 * it can. The input is copied so that the first byte behind it is caught.
 */
#include "tests/lib/rw2judge.h"

#include <stdio.h>
#include <stdlib.h>

#define BEHIND 64u

static void judge(const uint8_t *data, size_t size, size_t behind)
{
	uint8_t *body = malloc(size + behind ? size + behind : 1);
	bool accepted;
	if (!body)
		return;
	if (size)
		memcpy(body, data, size);
	for (size_t i = 0; i < behind; i += 2) {
		body[size + i] = 0x78; /* field 15, a number */
		body[size + i + 1] = 1;
	}
	const char *wrong = rw2judge(body, size + behind, NULL, behind > 0, &accepted);
	free(body);
	if (wrong) {
		fprintf(stderr, "rw2 gives %s\n", wrong);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	judge(data, size, 0);
	judge(data, size, BEHIND);
	return 0;
}
