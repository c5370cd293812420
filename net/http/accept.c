#include "net/http/accept.h"

#include <string.h>
#include <strings.h>

static void trim(const char **s, const char **end)
{
	while (*s < *end && (**s == ' ' || **s == '\t'))
		++*s;
	while (*s < *end && ((*end)[-1] == ' ' || (*end)[-1] == '\t'))
		--*end;
}

/* The end of what begins at s, before the next c or at end. */
static const char *until(const char *s, const char *end, char c)
{
	const char *at = memchr(s, c, (size_t)(end - s));
	return at ? at : end;
}

/* "1", "0.5", "0.125" in thousandths; what is none is 0. */
static unsigned weight_read(const char *s, const char *end)
{
	unsigned value, scale = 1000;
	if (s == end || (*s != '0' && *s != '1') || end - s > 5)
		return 0;
	value = (unsigned)(*s++ - '0') * scale;
	if (s < end && *s++ != '.')
		return 0;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return 0;
		value += (unsigned)(*s - '0') * (scale /= 10);
	}
	return value > 1000 ? 0 : value;
}

/* Of the parameters behind a type: that of q, 1000 without it. */
static unsigned weight_of(const char *s, const char *end)
{
	while (s < end) {
		const char *stop = until(s, end, ';'), *a = s, *b = stop;
		trim(&a, &b);
		if (b - a >= 2 && (a[0] == 'q' || a[0] == 'Q') && a[1] == '=')
			return weight_read(a + 2, b);
		s = stop < end ? stop + 1 : end;
	}
	return 1000;
}

/* With which weight is type named? 0: it is not. */
static unsigned weight_named(const char *s, const char *end, const char *type)
{
	size_t type_len = strlen(type);
	while (s < end) {
		const char *stop = until(s, end, ','), *params = until(s, stop, ';');
		const char *a = s, *b = params;
		trim(&a, &b);
		if ((size_t)(b - a) == type_len && !strncasecmp(a, type, type_len))
			return weight_of(params < stop ? params + 1 : stop, stop);
		s = stop < end ? stop + 1 : end;
	}
	return 0;
}

bool accept_prefers(const char *field, size_t len, const char *type, const char *other)
{
	if (!len)
		return false;
	unsigned of_type = weight_named(field, field + len, type);
	return of_type && of_type >= weight_named(field, field + len, other);
}
