/*
 * Pattern, a NUL, subject: nothing crashes; simple forms and PCRE2 agree; a compiled pattern
 * answers twice the same.
 */
#include "core/base/rex.h"
#include "core/base/rex_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The same pattern in a group with an empty neighbour: never a simple form, but the same language.
 */
static enum rex_result match_without_form(const char *pattern, size_t len, const char *s, size_t s_len)
{
	struct buf b;
	struct rex *r;
	buf_init(&b);
	buf_add_str(&b, "(?:");
	buf_add(&b, pattern, len);
	buf_add_str(&b, ")(?:x{0})");
	enum rex_result result = REX_LIMIT;
	if (!rex_compile((const char *)b.data, b.len, &r, NULL)) {
		result = rex_kind(r) == REX_PCRE ? rex_match(r, s, s_len) : REX_LIMIT;
		rex_free(r);
	}
	buf_release(&b);
	return result;
}

/* Who lacks what every match has is none. */
static bool has_needed(const struct rex *r, const char *s, size_t s_len)
{
	size_t len;
	const char *needed = rex_needed(r, &len);
	for (size_t i = 0; i < len; i++)
		if (!s_len || !memchr(s, needed[i], s_len))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, 0, size);
	size_t len = nul ? (size_t)(nul - data) : size;
	const char *pattern = (const char *)data, *s = nul ? (const char *)nul + 1 : "";
	size_t s_len = nul ? size - len - 1 : 0;
	struct errbuf eb;
	struct rex *r;
	errbuf_init(&eb);
	if (rex_compile(pattern, len, &r, &eb)) {
		if (!eb.text[0])
			abort();
		return 0;
	}
	enum rex_result m = rex_match(r, s, s_len);
	if (m == REX_YES && !has_needed(r, s, s_len))
		abort();
	if (rex_kind(r) != REX_PCRE) {
		enum rex_result other = match_without_form(pattern, len, s, s_len);
		if (other != REX_LIMIT && other != m)
			abort();
	}
	struct buf out;
	buf_init(&out);
	enum rex_result e = rex_expand(r, s, s_len, "$0-${1}$2$x$$", 13, &out);
	if (e != m && e != REX_LIMIT && m != REX_LIMIT)
		abort();
	buf_release(&out);
	rex_free(r);
	return 0;
}
