#include "core/model/matcher.h"

#include "core/base/rune.h"

enum err matcher_init(struct matcher *m, enum matcher_type type, const char *name, size_t name_len,
    const char *value, size_t value_len, struct errbuf *eb)
{
	if (name_len > UINT32_MAX || value_len > UINT32_MAX)
		return errbuf_set(eb, ERR_TOOBIG, "label matcher is too long");
	struct matcher made = { .type = type,
		.name = name,
		.name_len = (uint32_t)name_len,
		.value = value,
		.value_len = (uint32_t)value_len };
	if (type == MATCHER_RE || type == MATCHER_NRE) {
		enum err e = rex_compile_match(value, value_len, &made.rex, eb);
		if (e)
			return e;
	}
	switch (matcher_value(&made, "", 0)) {
	case REX_YES:
		made.matches_empty = true;
		break;
	case REX_NO:
		break;
	case REX_LIMIT:
		matcher_release(&made);
		return errbuf_set(eb, ERR_BADDATA,
		    "error parsing regexp: expression too expensive: `%.*s`",
		    (int)rune_cut(value, value_len, 200), value);
	}
	*m = made;
	return ERR_OK;
}

void matcher_release(struct matcher *m)
{
	rex_free(m->rex);
	m->rex = NULL;
}

static enum rex_result not_result(enum rex_result r)
{
	switch (r) {
	case REX_NO:
		return REX_YES;
	case REX_YES:
		return REX_NO;
	case REX_LIMIT:
		break;
	}
	return REX_LIMIT;
}

enum rex_result matcher_value(const struct matcher *m, const char *value, size_t len)
{
	bool equal;
	switch (m->type) {
	case MATCHER_EQ:
	case MATCHER_NE:
		equal = len == m->value_len && (len == 0 || memcmp(value, m->value, len) == 0);
		return equal == (m->type == MATCHER_EQ) ? REX_YES : REX_NO;
	case MATCHER_RE:
		return rex_match(m->rex, value, len);
	case MATCHER_NRE:
		return not_result(rex_match(m->rex, value, len));
	}
	return REX_NO;
}

enum rex_result matcher_labels(const struct matcher *ms, size_t count, struct labels ls)
{
	enum rex_result result = REX_YES;
	for (size_t i = 0; i < count; i++) {
		uint32_t len = 0;
		const char *v = label_get(ls, ms[i].name, ms[i].name_len, &len);
		enum rex_result r = v     ? matcher_value(&ms[i], v, len)
		    : ms[i].matches_empty ? REX_YES
		                          : REX_NO;
		if (r == REX_NO)
			return REX_NO; /* a limit elsewhere does not matter then */
		if (r == REX_LIMIT)
			result = REX_LIMIT;
	}
	return result;
}

bool matcher_is_direct(const struct matcher *m)
{
	switch (m->type) {
	case MATCHER_EQ:
	case MATCHER_NE:
		return m->value_len > 0;
	case MATCHER_RE:
		return rex_kind(m->rex) == REX_LITERALS && !m->matches_empty;
	case MATCHER_NRE:
		return rex_kind(m->rex) == REX_LITERALS && m->matches_empty;
	}
	return false;
}
