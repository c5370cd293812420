#include "net/http/asset.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "proto/gz.h"

#define GZIP_LEVEL 9

static void etag_of(char out[ASSET_ETAG_MAX], const void *data, size_t len)
{
	struct hash128 h = hash128(data, len, 0);
	int n = snprintf(out, ASSET_ETAG_MAX, "\"%016" PRIx64 "%016" PRIx64 "\"", h.hi, h.lo);
	CHECK(n > 0 && (size_t)n < ASSET_ETAG_MAX);
}

/* Without memory for a compressor, plain bytes do. */
static void add_gzip(struct asset *a)
{
	struct gz *gz;
	struct buf out;
	if (a->plain_len < ASSET_GZIP_LEAST || gz_create(GZ_GZIP, GZIP_LEVEL, &gz))
		return;
	buf_init(&out);
	gz_push(gz, a->plain, a->plain_len, &out);
	gz_finish(gz, &out);
	gz_free(gz);
	if (out.len > a->plain_len - a->plain_len / 10) {
		buf_release(&out);
		return;
	}
	a->gzip = buf_take(&out, &a->gzip_len);
	etag_of(a->gzip_etag, a->gzip, a->gzip_len);
}

void asset_init(struct asset *a, const char *type, const char *cache, struct buf *body)
{
	*a = (struct asset){ .type = type, .cache = cache };
	a->plain = buf_take(body, &a->plain_len);
	etag_of(a->plain_etag, a->plain, a->plain_len);
	add_gzip(a);
}

void asset_release(struct asset *a)
{
	mem_free(a->plain);
	mem_free(a->gzip);
	*a = (struct asset){ .plain = NULL };
}

static const char *skip_blanks(const char *s, const char *end)
{
	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	return s;
}

bool asset_named(const char *s, size_t len, const char *etag)
{
	const char *end = s + len;
	size_t etag_len = strlen(etag);
	s = skip_blanks(s, end);
	if (s < end && *s == '*')
		return skip_blanks(s + 1, end) == end;
	while (s < end) {
		s = skip_blanks(s, end);
		if (end - s >= 2 && s[0] == 'W' && s[1] == '/')
			s += 2;
		if (s < end && *s == '"') {
			const char *close = memchr(s + 1, '"', (size_t)(end - s - 1));
			if (!close)
				return false;
			if ((size_t)(close + 1 - s) == etag_len && !memcmp(s, etag, etag_len))
				return true;
			s = close + 1;
		}
		s = skip_blanks(s, end);
		if (s < end && *s != ',')
			return false;
		s++;
	}
	return false;
}
