#include "net/http/asset.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "proto/gunz.h"

#define GZIP_LEVEL 9

static void etag_of(char out[ASSET_ETAG_MAX], const void *data, size_t len, uint64_t seed)
{
	struct hash128 h = hash128(data, len, seed);
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
	etag_of(a->gzip_etag, a->gzip, a->gzip_len, 0);
}

void asset_init(struct asset *a, const char *type, const char *cache, struct buf *body)
{
	*a = (struct asset){ .type = type, .cache = cache };
	a->plain = buf_take(body, &a->plain_len);
	etag_of(a->plain_etag, a->plain, a->plain_len, 0);
	add_gzip(a);
}

void asset_init_packed(struct asset *a, const char *type, const char *cache, const void *gzip,
    size_t gzip_len, size_t plain_len)
{
	*a = (struct asset){ .type = type, .cache = cache, .gzip = gzip, .gzip_len = gzip_len };
	a->plain_len = plain_len;
	a->borrowed = true;
	etag_of(a->gzip_etag, gzip, gzip_len, 0);
	/* The same packed bytes are the same plain ones: another hash of them names those. */
	etag_of(a->plain_etag, gzip, gzip_len, 1);
}

static enum err unpack(struct gunz *z, const struct asset *a, uint8_t *out)
{
	uint8_t step[GUNZ_STEP];
	size_t at = 0, len = 0;
	for (;;) {
		size_t used, got;
		enum err e = gunz_next(z, a->gzip + at, a->gzip_len - at, &used, step, &got);
		if (e)
			return e;
		if (got > a->plain_len - len)
			return ERR_MALFORMED;
		memcpy(out + len, step, got);
		at += used;
		len += got;
		if (!used && !got)
			return gunz_whole(z) && len == a->plain_len ? 0 : ERR_MALFORMED;
	}
}

uint8_t *asset_unpack(const struct asset *a)
{
	struct gunz *z;
	if (gunz_create(GZ_GZIP, &z))
		return NULL;
	uint8_t *out = mem_alloc(a->plain_len + 1);
	enum err e = unpack(z, a, out);
	gunz_free(z);
	if (!e)
		return out;
	mem_free(out);
	return NULL;
}

void asset_release(struct asset *a)
{
	if (!a->borrowed) {
		mem_free((void *)(uintptr_t)a->plain);
		mem_free((void *)(uintptr_t)a->gzip);
	}
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
