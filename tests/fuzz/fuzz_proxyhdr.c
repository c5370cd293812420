/*
 * Judges: no prefix of a header is anything but MORE, what is behind it changes nothing, a header
 * is never longer than what came or than it may be, and a client has a family.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proxyhdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum proxyhdr_state parse(const uint8_t *data, size_t size, struct proxyhdr *h)
{
	uint8_t *exact = malloc(size ? size : 1);
	if (!exact)
		abort();
	memcpy(exact, data, size);
	enum proxyhdr_state s = proxyhdr_parse(exact, size, h);
	free(exact);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxyhdr h, part;
	if (size > PROXYHDR_MAX + 64)
		return 0;
	enum proxyhdr_state s = parse(data, size, &h);
	if (s == PROXYHDR_BAD && !h.why)
		abort();
	if (s != PROXYHDR_DONE)
		return 0;
	if (!h.len || h.len > size || h.len > PROXYHDR_MAX)
		abort();
	if (!h.local && h.from.ss_family != AF_INET && h.from.ss_family != AF_INET6)
		abort();
	if (parse(data, h.len, &part) != PROXYHDR_DONE || part.len != h.len)
		abort();
	for (size_t cut = 0; cut < h.len; cut += 1 + h.len / 64)
		if (parse(data, cut, &part) != PROXYHDR_MORE)
			abort();
	return 0;
}
