#include "core/base/jsonin.h"

#include <string.h>

#include "core/base/bytes.h"
#include "core/base/json.h"
#include "core/base/num.h"

static bool wrong(struct jsonin *j, const char *what)
{
	if (!j->wrong)
		j->wrong = what;
	return false;
}

char jsonin_peek(struct jsonin *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\r' || *j->p == '\n'))
		j->p++;
	return j->p < j->end && !j->wrong ? (char)*j->p : 0;
}

static bool take(struct jsonin *j, char c)
{
	if (jsonin_peek(j) != c)
		return false;
	j->p++;
	return true;
}

bool jsonin_enter(struct jsonin *j, char open)
{
	return take(j, open) ||
	    wrong(j, open == '{' ? "an object should stand here" : "an array should stand here");
}

static bool another(struct jsonin *j, bool *first, char close)
{
	if (j->wrong || take(j, close))
		return false;
	if (!*first && !take(j, ','))
		return wrong(j, "a comma should stand here");
	*first = false;
	return true;
}

bool jsonin_element(struct jsonin *j, bool *first)
{
	return another(j, first, ']');
}

bool jsonin_member(struct jsonin *j, bool *first, struct jsonin_text *key)
{
	return another(j, first, '}') && jsonin_string(j, key) &&
	    (take(j, ':') || wrong(j, "a colon should stand here"));
}

/* ---- texts ---- */

/* The raw inside of a text. */
static bool raw_string(struct jsonin *j, struct jsonin_text *out)
{
	if (!take(j, '"'))
		return wrong(j, "a text should stand here");
	const uint8_t *from = j->p;
	for (; j->p < j->end && *j->p != '"'; j->p++) {
		if (*j->p < 0x20)
			return wrong(j, "a control character in a text");
		if (*j->p == '\\' && j->p + 1 < j->end)
			j->p++;
	}
	if (j->p >= j->end)
		return wrong(j, "a text has no end");
	*out = (struct jsonin_text){ (const char *)from, (size_t)(j->p++ - from) };
	return true;
}

static bool unescape(struct jsonin *j, struct jsonin_text *t)
{
	char *to = arena_alloc(j->arena, t->len);
	size_t n = 0;
	bool fine = json_unescape(t->s, t->len, to, &n);
	*t = (struct jsonin_text){ to, n };
	return fine;
}

bool jsonin_string(struct jsonin *j, struct jsonin_text *out)
{
	if (!raw_string(j, out))
		return false;
	if (!memchr(out->s, '\\', out->len))
		return true;
	return unescape(j, out) || wrong(j, "an escape in a text that is none");
}

/* ---- the rest ---- */

static bool word(struct jsonin *j, struct jsonin_text *out)
{
	(void)jsonin_peek(j);
	const uint8_t *from = j->p;
	while (j->p < j->end &&
	    (*j->p == '+' || *j->p == '-' || *j->p == '.' || (*j->p >= '0' && *j->p <= '9') ||
	        ((*j->p | 0x20) >= 'a' && (*j->p | 0x20) <= 'z')))
		j->p++;
	*out = (struct jsonin_text){ (const char *)from, (size_t)(j->p - from) };
	return out->len && !j->wrong ? true : wrong(j, "a value should stand here");
}

bool jsonin_number(struct jsonin *j, double *out)
{
	struct jsonin_text t;
	if (!word(j, &t))
		return false;
	bool begins = *t.s == '-' || (*t.s >= '0' && *t.s <= '9');
	return (begins && !num_parse_float(t.s, t.len, out)) ||
	    wrong(j, "a number should stand here");
}

bool jsonin_null(struct jsonin *j)
{
	if (jsonin_peek(j) != 'n' || j->end - j->p < 4 || memcmp(j->p, "null", 4) != 0)
		return false;
	j->p += 4;
	return true;
}

/* Brackets are counted, not matched by kind: what is passed over is not used. */
bool jsonin_skip(struct jsonin *j)
{
	struct jsonin_text ignored;
	unsigned depth = 0;
	do {
		char c = jsonin_peek(j);
		if (c == '{' || c == '[') {
			j->p++;
			if (++depth > JSONIN_DEPTH)
				return wrong(j, "brackets stand too deep inside one another");
			continue;
		}
		if (depth && (c == '}' || c == ']' || c == ',' || c == ':')) {
			j->p++;
			depth -= c == '}' || c == ']';
			continue;
		}
		if (c == '"' ? !raw_string(j, &ignored) : !word(j, &ignored))
			return false;
	} while (depth);
	return true;
}

bool jsonin_is(const struct jsonin_text *t, const char *w)
{
	return bytes_equal(t->s, t->len, w, strlen(w));
}
