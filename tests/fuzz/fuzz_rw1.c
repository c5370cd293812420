/*
 * rw1 against protobuf-c: same verdict where protobuf-c accepts, same contents. The input is copied
 * so that the first byte behind it is caught.
 */
#include "tests/lib/rw1judge.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *body = malloc(size ? size : 1);
	if (!body)
		return 0;
	if (size)
		memcpy(body, data, size);
	bool accepted;
	const char *wrong = rw1judge(body, size, &accepted);
	free(body);
	if (wrong) {
		fprintf(stderr, "rw1 gives %s\n", wrong);
		abort();
	}
	return 0;
}
