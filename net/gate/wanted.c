#include "net/gate/wanted.h"

#include <string.h>

static int compare(const struct wanted_name *a, const char *name, size_t len)
{
	size_t n = a->len < len ? a->len : len;
	int c = memcmp(a->name, name, n);
	return c ? c : a->len < len ? -1 : a->len > len;
}

/* At its place; what stands there already does not come twice. */
static bool insert(struct wanted *w, const char *name, size_t len)
{
	size_t at = 0;
	while (at < w->count && compare(&w->names[at], name, len) < 0)
		at++;
	if (at < w->count && !compare(&w->names[at], name, len))
		return true;
	if (w->count == IDENT_TENANTS_MAX)
		return false;
	memmove(&w->names[at + 1], &w->names[at], (w->count - at) * sizeof w->names[0]);
	w->names[at] = (struct wanted_name){ name, len };
	w->count++;
	return true;
}

enum err wanted_parse(const char *value, size_t len, struct wanted *out, struct errbuf *eb)
{
	out->count = 0;
	for (const char *s = value, *end = value + len;;) {
		const char *bar = memchr(s, '|', (size_t)(end - s));
		size_t n = (size_t)((bar ? bar : end) - s);
		/* Proxies make one header of several. */
		if (memchr(s, ',', n))
			return errbuf_set(eb, ERR_BADDATA,
			    "a comma between tenants: several are named as a|b, in one header");
		enum err e = tenant_name_check(s, n, eb);
		if (e)
			return e;
		if (!insert(out, s, n))
			return errbuf_set(
			    eb, ERR_BADDATA, "more than %u tenants are named", IDENT_TENANTS_MAX);
		if (!bar)
			return 0;
		s = bar + 1;
	}
}

bool wanted_equal(const struct wanted *a, const struct wanted *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (compare(&a->names[i], b->names[i].name, b->names[i].len))
			return false;
	return true;
}
