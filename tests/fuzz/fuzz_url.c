/*
 * Base and reference, divided by the first NUL.
 * Judges: what was parsed holds no byte that may not be sent, its target begins with "/" and has no
 * dot segments, and put together it parses to the same again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct arena *a, const struct url *u)
{
	char authority[URL_AUTHORITY_MAX];
	struct url again;
	if (u->target[0] != '/' || strlen(u->target) != u->target_len || !u->port || !*u->host)
		abort();
	for (const char *p = u->target; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || *p == '#')
			abort();
	size_t path = strcspn(u->target, "?");
	for (size_t i = 0; i < path; i++)
		if (!strncmp(u->target + i, "/../", 4) || !strncmp(u->target + i, "/./", 3))
			abort();
	if (strspn(u->host, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") != strlen(u->host))
		abort();
	size_t n = url_authority(u, true, authority);
	if (n != strlen(authority))
		abort();
	const char *whole =
	    arena_printf(a, "%s://%s%s", u->https ? "https" : "http", authority, u->target);
	if (strlen(whole) > URL_BYTES_MAX)
		return;
	if (url_parse(a, whole, strlen(whole), &again, NULL) || !url_same_origin(u, &again) ||
	    strcmp(u->target, again.target) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct url base, to;
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t n = nul ? (size_t)(nul - data) : size;
	arena_init(&a, 1024);
	char *s = arena_strndup(&a, (const char *)data, size);
	struct errbuf eb;
	errbuf_init(&eb);
	if (!url_parse(&a, s, n, &base, &eb)) {
		judge(&a, &base);
		if (nul && !url_refer(&a, &base, s + n + 1, size - n - 1, &to, &eb))
			judge(&a, &to);
	}
	arena_release(&a);
	return 0;
}
