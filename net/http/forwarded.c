#include "net/http/forwarded.h"

#include <string.h>
#include <strings.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void trim(const char **s, size_t *len)
{
	for (; *len && is_space(**s); ++*s, --*len)
		;
	while (*len && is_space((*s)[*len - 1]))
		--*len;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool address_of(const char *s, size_t len, struct sockaddr_storage *out)
{
	trim(&s, &len);
	const char *close = len && *s == '[' ? memchr(s, ']', len) : NULL;
	if (close)
		return cidr_address(s + 1, (size_t)(close - s) - 1, out);
	const char *colon = memchr(s, ':', len);
	if (colon && !memchr(colon + 1, ':', len - (size_t)(colon + 1 - s)))
		len = (size_t)(colon - s);
	return cidr_address(s, len, out);
}

/* The value of "for" in one element of Forwarded; without its quotes. */
static bool for_of(const char *s, size_t len, struct sockaddr_storage *out)
{
	for (const char *end = s + len; s < end;) {
		const char *semi = memchr(s, ';', (size_t)(end - s)), *stop = semi ? semi : end;
		const char *pair = s;
		size_t n = (size_t)(stop - s);
		s = semi ? semi + 1 : end;
		trim(&pair, &n);
		if (n < 4 || strncasecmp(pair, "for=", 4) != 0)
			continue;
		pair += 4;
		n -= 4;
		if (n >= 2 && *pair == '"' && pair[n - 1] == '"') {
			pair++;
			n -= 2;
		}
		return address_of(pair, n, out);
	}
	return false;
}

typedef bool (*element_fn)(const char *s, size_t len, struct sockaddr_storage *out);

/* One field, from its right end. True: go on with the field before it. */
static bool look_left(const struct req_field *f, element_fn element, const struct cidr_set *trusted,
    struct sockaddr_storage *out, bool *found)
{
	const char *end = f->value + f->value_len;
	for (;;) {
		const char *comma = memrchr(f->value, ',', (size_t)(end - f->value));
		const char *start = comma ? comma + 1 : f->value;
		struct sockaddr_storage sa;
		if (!element(start, (size_t)(end - start), &sa))
			return false;
		*out = sa;
		*found = true;
		if (!cidr_set_has(trusted, out))
			return false;
		if (!comma)
			return true;
		end = comma;
	}
}

static bool look(const struct req *r, const char *name, element_fn element,
    const struct cidr_set *trusted, struct sockaddr_storage *out, bool *found)
{
	size_t len = strlen(name);
	bool there = false;
	*found = false;
	for (size_t i = r->field_count; i--;) {
		const struct req_field *f = &r->fields[i];
		if (f->name_len != len || memcmp(f->name, name, len) != 0)
			continue;
		there = true;
		if (!look_left(f, element, trusted, out, found))
			break;
	}
	return there;
}

bool forwarded_client(
    const struct req *r, const struct cidr_set *trusted, struct sockaddr_storage *out)
{
	bool found;
	if (!look(r, "x-forwarded-for", address_of, trusted, out, &found))
		look(r, "forwarded", for_of, trusted, out, &found);
	return found;
}
