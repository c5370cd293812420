/*
 * snapz against libsnappy: same verdict, same bytes. Both ways through the decoder are run: the
 * input alone, and with bytes behind it that only the fast one may see.
 */
#include "proto/snapz.h"

#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void differ(const char *what)
{
	fprintf(stderr, "snapz and libsnappy differ: %s\n", what);
	abort();
}

/*
 * A literal that says it has 2^32 bytes: libsnappy counts it as none, in 32 bits, and goes on. No
 * block has one; here it is refused.
 */
static bool wraps(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 5 <= size; i++)
		if (!memcmp(data + i, "\xfc\xff\xff\xff\xff", 5))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len, judge_len;
	enum err err = snapz_length(data, size, &len);
	snappy_status st = snappy_uncompressed_length((const char *)data, size, &judge_len);
	if (err == ERR_TOOBIG)
		return 0;
	if ((err == ERR_OK) != (st == SNAPPY_OK))
		differ("verdict on the length");
	if (err)
		return 0;
	if (len != judge_len)
		differ("length");
	uint8_t *in = malloc(size), *ours = malloc(len + SNAPZ_SLOP), *judges = malloc(len ? len : 1);
	if (!in || !ours || !judges)
		abort();
	memcpy(in, data, size);
	memset(ours, 0xa5, len + SNAPZ_SLOP);
	err = snapz_decode(in, size, ours, len);
	st = snappy_uncompress((const char *)data, size, (char *)judges, &judge_len);
	if ((err == ERR_OK) != (st == SNAPPY_OK) && !(err && wraps(data, size)))
		differ("verdict");
	if (!err && memcmp(ours, judges, len))
		differ("bytes");
	free(in);
	free(ours);
	free(judges);
	return 0;
}
