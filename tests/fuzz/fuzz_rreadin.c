/*
 * Bytes of an answer to remote read: the first says of which kind. Judges: what is given lies
 * inside of what came, and frames are used up.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rreadin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct limits limits;
static size_t sum;

static void inside(const uint8_t *data, size_t size, const uint8_t *p, size_t len)
{
	if (len && (p < data || p + len > data + size))
		abort();
	for (size_t i = 0; i < len; i++)
		sum += p[i];
}

static void message(struct arena *a, const uint8_t *p, size_t len, bool samples)
{
	struct rreadin r;
	struct rreadin_series s;
	struct rreadin_chunk chunk;
	struct rreadin_sample x;
	if (samples)
		rreadin_samples(&r, p, len);
	else
		rreadin_streamed(&r, p, len);
	while (rreadin_series(&r, a, &s)) {
		for (size_t i = 0; i < s.wire.len; i++)
			sum += s.wire.bytes[i];
		while (!samples && rreadin_chunk(&s, &chunk))
			inside(p, len, chunk.data, chunk.len);
		while (samples && rreadin_sample(&s, a, &limits, &x))
			sum += x.hist ? x.hist->schema != 0 : x.v > 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	limits_default(&limits);
	arena_init(&a, 1024);
	size_t rest = size ? size - 1 : 0;
	/* Exactly as much as there is, so that reading further is seen. */
	uint8_t *one = malloc(rest ? rest : 1);
	if (!one)
		abort();
	if (rest)
		memcpy(one, data + 1, rest);
	const uint8_t *p = one, *m;
	size_t len, used;
	if (size && (data[0] & 2))
		message(&a, one, rest, data[0] & 1);
	while (size && !(data[0] & 2) &&
	    !rreadin_frame(p, rest - (size_t)(p - one), &m, &len, &used)) {
		if (!used)
			abort();
		message(&a, m, len, false);
		p += used;
	}
	free(one);
	arena_release(&a);
	return 0;
}
