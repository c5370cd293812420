#include "proto/jobpath.h"

#include "core/base/rune.h"

#include <sodium.h>

#define BASE64 "@base64"
#define SHOWN  64

static int shown(size_t len)
{
	return len < SHOWN ? (int)len : SHOWN;
}

bool jobpath_is(const char *path, size_t len)
{
	static const char *const begins[] = { "job/", "job" BASE64 "/" };
	for (size_t i = 0; i < COUNT_OF(begins); i++)
		if (len >= strlen(begins[i]) && !memcmp(path, begins[i], strlen(begins[i])))
			return true;
	return false;
}

/* The part up to the next slash; *p goes behind it. False: there was none. */
static bool part(const char **p, const char *end, const char **out, size_t *len)
{
	const char *slash = memchr(*p, '/', (size_t)(end - *p));
	*out = *p;
	*len = (size_t)((slash ? slash : end) - *p);
	*p = slash ? slash + 1 : end;
	return slash;
}

static bool unbase64(struct arena *a, const char **value, size_t *len)
{
	size_t n = *len, got;
	while (n && (*value)[n - 1] == '=')
		n--;
	unsigned char *out = arena_alloc(a, n + 1);
	if (sodium_base642bin(
	        out, n + 1, *value, n, NULL, &got, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING))
		return false;
	*value = (const char *)out;
	*len = got;
	return true;
}

static enum err one(struct label_builder *b, const char *name, size_t name_len, const char *value,
    size_t value_len, struct errbuf *eb)
{
	const size_t mark = sizeof(BASE64) - 1;
	if (name_len >= mark && !memcmp(name + name_len - mark, BASE64, mark)) {
		name_len -= mark;
		if (!unbase64(b->arena, &value, &value_len))
			return errbuf_set(eb, ERR_BADDATA, "the value of %.*s is no base64url",
			    shown(name_len), name);
	}
	if (!name_len)
		return errbuf_set(eb, ERR_BADDATA, "a label of the path has no name");
	if (!rune_valid(name, name_len) || !rune_valid(value, value_len))
		return errbuf_set(eb, ERR_BADDATA, "a label of the path is no UTF-8");
	if (value_len)
		label_builder_set(b, name, name_len, value, value_len);
	return ERR_OK;
}

enum err jobpath_labels(struct label_builder *b, const char *path, size_t len, struct errbuf *eb)
{
	const char *p = path, *end = path + len, *name, *value;
	size_t name_len, value_len;
	enum err e = ERR_OK;
	while (!e && p < end) {
		if (!part(&p, end, &name, &name_len))
			return errbuf_set(eb, ERR_BADDATA,
			    "the label %.*s of the path has no value", shown(name_len), name);
		(void)part(&p, end, &value, &value_len);
		e = one(b, name, name_len, value, value_len, eb);
	}
	return e;
}
