#include "net/ctl/ctlsel.h"

#include <string.h>

#include "core/model/limits.h"
#include "core/promql/lang/ql_ast.h"

static const struct matcher any_name = {
	.type = MATCHER_NE, .name = LABEL_NAME, .name_len = sizeof(LABEL_NAME) - 1, .value = ""
};

enum err ctlsel_parse(
    struct arena *a, const char *text, size_t len, struct ctlsel *out, struct errbuf *eb)
{
	struct ql_counts counts = { 0 };
	struct matcher *ms;
	size_t count;
	enum err e = ql_parse_selector(a, text, len, NULL, &counts, &ms, &count, eb);
	if (e)
		return e;
	out->matchers = arena_array(a, count + 1, sizeof(*out->matchers));
	out->matchers[0] = (struct matcher){ .name_len = 0 };
	memcpy(out->matchers + 1, ms, count * sizeof(*ms));
	out->count = count + 1;
	/* Servers refuse selectors that nothing at all would satisfy, too. */
	bool open = true;
	for (size_t i = 0; i < count; i++)
		open = open && ms[i].matches_empty;
	if (open)
		out->matchers[0] = any_name;
	return ERR_OK;
}

void ctlsel_everything(struct arena *a, struct ctlsel *out)
{
	out->matchers = arena_array(a, 1, sizeof(*out->matchers));
	out->matchers[0] = any_name;
	out->count = 1;
}

void ctlsel_release(struct ctlsel *s)
{
	for (size_t i = 1; i < s->count; i++)
		matcher_release(&s->matchers[i]);
	s->count = 0;
}

/* What RE2 takes for more than itself. */
static bool special(char c)
{
	return strchr("\\.+*?()|[]{}^$", c) != NULL;
}

static size_t put_quoted(char *to, const char *name)
{
	size_t n = 0;
	for (; *name; name++) {
		if (special(*name))
			to[n++] = '\\';
		to[n++] = *name;
	}
	return n;
}

void ctlsel_narrow(
    struct arena *a, const struct ctlsel *s, const struct ctlsel_names *names, struct ctlsel *out)
{
	size_t size = 1, len = 0;
	if (!names->count) {
		*out = (struct ctlsel){ .matchers = s->matchers, .count = s->count };
		return;
	}
	for (size_t i = 0; i < names->count; i++)
		size += 2 * strlen(names->names[i]) + 1;
	char *value = arena_alloc(a, size);
	if (names->count == 1) {
		len = strlen(names->names[0]);
		memcpy(value, names->names[0], len);
	} else {
		for (size_t i = 0; i < names->count; i++) {
			if (i)
				value[len++] = '|';
			len += put_quoted(value + len, names->names[i]);
		}
	}
	out->matchers = arena_array(a, s->count, sizeof(*out->matchers));
	memcpy(out->matchers, s->matchers, s->count * sizeof(*out->matchers));
	out->matchers[0] = (struct matcher){
		.type = names->count == 1 ? MATCHER_EQ : MATCHER_RE,
		.name = LABEL_NAME,
		.name_len = sizeof(LABEL_NAME) - 1,
		.value = value,
		.value_len = num_u32(len),
	};
	out->count = s->count;
}

/* In braces a name that is not plain stands in quotes, as Prometheus 3 has it. */
static void put_name(struct buf *out, const struct matcher *m)
{
	if (label_name_is_classic(m->name, m->name_len))
		buf_add(out, m->name, m->name_len);
	else
		label_quote_go(out, m->name, m->name_len);
}

void ctlsel_without(struct arena *a, const struct ctlsel *s, const char *label, const char *value,
    struct ctlsel *out)
{
	uint32_t len = (uint32_t)strlen(label);
	*out = (struct ctlsel){ .matchers = s->matchers, .count = s->count };
	for (size_t i = 1; i < s->count; i++)
		if (s->matchers[i].name_len == len && !memcmp(s->matchers[i].name, label, len))
			return;
	out->matchers = arena_array(a, s->count + 1, sizeof(*out->matchers));
	memcpy(out->matchers, s->matchers, s->count * sizeof(*out->matchers));
	out->matchers[out->count++] = (struct matcher){ .type = MATCHER_NE,
		.name = label,
		.name_len = len,
		.value = value,
		.value_len = (uint32_t)strlen(value),
		.matches_empty = *value != 0 };
}

void ctlsel_text(struct buf *out, const struct ctlsel *s)
{
	static const char *const signs[] = {
		[MATCHER_EQ] = "=", [MATCHER_NE] = "!=", [MATCHER_RE] = "=~", [MATCHER_NRE] = "!~"
	};
	bool any = false;
	buf_add_u8(out, '{');
	for (size_t i = 0; i < s->count; i++) {
		const struct matcher *m = &s->matchers[i];
		if (!m->name_len)
			continue;
		if (any)
			buf_add_u8(out, ',');
		any = true;
		put_name(out, m);
		buf_add_str(out, signs[m->type]);
		label_quote_go(out, m->value, m->value_len);
	}
	buf_add(out, "}", 2);
	out->len--;
}

size_t ctlsel_name_bytes(const char *name)
{
	size_t n = 1;
	for (; *name; name++)
		n += special(*name) ? 3 : 1;
	return n;
}
