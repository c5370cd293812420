/*
 * Judges: a file that is refused is told why; one that is taken has both files of TLS or none,
 * users with names and hashes, fields without control characters, and is taken the same way again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/daemon/webconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct webconfig *w)
{
	if (w->has_tls && (!w->tls.pairs[0].cert_file || !w->tls.pairs[0].key_file))
		abort();
	for (size_t i = 0; i < w->user_count; i++)
		if (!w->users[i].grant.name || !w->users[i].password_hash[0])
			abort();
	for (size_t i = 0; i < w->header_count; i++)
		for (const char *s = w->headers[i].value; *s; s++)
			if ((unsigned char)*s < 0x20)
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct webconfig *a = NULL, *b = NULL;
	struct buf told;
	if (size > 4096)
		return 0;
	buf_init(&told);
	enum err e = webconfig_read("web.yml", (const char *)data, size, &a, &told);
	if (e && !told.len)
		abort();
	buf_clear(&told);
	if (webconfig_read("web.yml", (const char *)data, size, &b, &told) != e)
		abort();
	if (!e) {
		judge(a);
		if (a->user_count != b->user_count || a->header_count != b->header_count ||
		    a->has_tls != b->has_tls)
			abort();
	}
	webconfig_free(a);
	webconfig_free(b);
	buf_release(&told);
	return 0;
}
