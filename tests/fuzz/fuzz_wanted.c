/* Names of tenants in any bytes: sorted, each once, none left out, judged by a plain look. */
#include "net/gate/wanted.h"

#include <stdlib.h>
#include <string.h>

/* Does the value have this name between bars? */
static bool has(const char *value, size_t len, const struct wanted_name *n)
{
	for (size_t at = 0; at <= len; at++) {
		size_t end = at;
		while (end < len && value[end] != '|')
			end++;
		if (end - at == n->len && !memcmp(value + at, n->name, n->len))
			return true;
		at = end;
	}
	return false;
}

static bool knows(const struct wanted *w, const char *name, size_t len)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->names[i].len == len && !memcmp(w->names[i].name, name, len))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wanted w;
	struct errbuf eb;
	char *s = malloc(size ? size : 1);
	if (!s)
		return 0;
	if (size)
		memcpy(s, data, size);
	errbuf_init(&eb);
	if (!wanted_parse(s, size, &w, &eb)) {
		if (!w.count || w.count > IDENT_TENANTS_MAX || !wanted_equal(&w, &w))
			abort();
		for (size_t i = 0; i < w.count; i++) {
			const struct wanted_name *n = &w.names[i], *last = i ? n - 1 : NULL;
			char a[80] = "", b[80] = "";
			if (!ident_tenant_valid(n->name, n->len) || !has(s, size, n))
				abort();
			memcpy(a, n->name, n->len);
			if (last)
				memcpy(b, last->name, last->len);
			if (last && strcmp(b, a) >= 0)
				abort();
		}
		for (size_t at = 0; at <= size; at++) {
			size_t end = at;
			while (end < size && s[end] != '|')
				end++;
			if (!knows(&w, s + at, end - at))
				abort();
			at = end;
		}
	} else if (!eb.text[0]) {
		abort();
	}
	free(s);
	return 0;
}
