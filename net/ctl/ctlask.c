#include "net/ctl/ctlask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/mem.h"
#include "net/ctl/ctlterm.h"

/* Behind `what` when s begins with it. */
static const char *behind(const char *s, const char *what)
{
	size_t len = strlen(what);
	return strncmp(s, what, len) ? NULL : s + len;
}

/* unparsed data: "..." in the words of VictoriaMetrics: the rest of the expression. */
static bool find_rest(const char *error, const char *expr, struct ctlask_place *p)
{
	const char *at = strstr(error, "unparsed data: \"");
	if (!at)
		return false;
	at = strchr(at, '"') + 1;
	size_t len = 0;
	while (at[len] && at[len] != '"')
		len += at[len] == '\\' && at[len + 1] ? 2 : 1;
	char *rest = mem_alloc(len + 1);
	size_t n = 0, whole = strlen(expr);
	bool found =
	    json_unescape(at, len, rest, &n) && n <= whole && !memcmp(expr + whole - n, rest, n);
	mem_free(rest);
	if (!found)
		return false;
	p->line = p->column = 1;
	for (const char *s = expr; s < expr + whole - n; s++) {
		p->column = *s == '\n' ? 1 : p->column + 1;
		p->line += *s == '\n';
	}
	return true;
}

/* Behind 'error when executing query="..." for (time=1, step=2): ' of VictoriaMetrics. */
static const char *behind_step(const char *error)
{
	const char *at = strstr(error, ", step=");
	at = at ? strstr(at, "): ") : NULL;
	return at ? at + 3 : error;
}

struct ctlask_place ctlask_find(const char *error, const char *expr)
{
	struct ctlask_place p = { .sentence = error };
	const char *at = behind(error, "invalid parameter \""), *colon;
	at = at ? strstr(at, "\": ") : NULL;
	at = at ? at + 3 : error;
	char *end;
	unsigned long line = strtoul(at, &end, 10), column;
	if (end != at && *end == ':' && line && line < 1000000) {
		colon = end + 1;
		column = strtoul(colon, &end, 10);
		const char *sentence = end != colon ? behind(end, ": ") : NULL;
		if (sentence && column && column < 100000000) {
			const char *words = behind(sentence, "parse error: ");
			p.line = (unsigned)line;
			p.column = (unsigned)column;
			p.sentence = words ? words : sentence;
			return p;
		}
	}
	const char *words = behind(at, "parse error: ");
	if (words)
		p.sentence = words;
	else if (expr && find_rest(error, expr, &p) && behind(error, "error when executing query="))
		p.sentence = behind_step(error);
	return p;
}

void ctlask_caret(struct buf *out, const char *expr, const struct ctlask_place *p)
{
	unsigned line = p->line;
	if (!line)
		return;
	for (; line > 1; line--) {
		const char *next = strchr(expr, '\n');
		if (!next)
			return;
		expr = next + 1;
	}
	size_t len = strcspn(expr, "\n"), before = p->column - 1;
	before = before < len ? before : len;
	buf_add_str(out, "  ");
	ctlterm_text(out, expr, len);
	buf_add_str(out, "\n  ");
	for (size_t i = ctlterm_width(expr, before); i--;)
		buf_add_u8(out, ' ');
	buf_add_str(out, "^\n");
}

static int is_wrong(const char *error, const char *expr)
{
	struct ctlask_place p = ctlask_find(error, expr);
	struct buf b;
	buf_init(&b);
	if (expr)
		ctlask_caret(&b, expr, &p);
	if (p.line)
		ctl_note("%u:%u: %s", p.line, p.column, p.sentence);
	else
		ctl_note("%s", p.sentence);
	if (b.len)
		fwrite(b.data, 1, b.len, stderr);
	buf_release(&b);
	return CTL_USAGE;
}

int ctlask_outcome(const struct ctlhttp_call *call, const json_t *answer, const char *expr)
{
	const char *error = json_string_value(json_object_get(answer, "error"));
	const char *type = json_string_value(json_object_get(answer, "errorType"));
	bool bad = !call->err && error && type &&
	    (!strcmp(type, "bad_data") ||
	        (call->status == 422 && expr &&
	            (strstr(error, "cannot parse") || strstr(error, "unparsed data: "))) ||
	        (!strcmp(type, "execution") && strstr(error, "parse error: ")));
	return bad ? is_wrong(error, expr) : ctlhttp_outcome(call);
}

static int ask(struct ctlhttp *c, const char *method, const char *path, const struct buf *form,
    const char *expr, json_t **data)
{
	struct ctlhttp_call call = { 0 };
	json_t *answer;
	*data = NULL;
	ctlhttp_call_json(c, method, path, form, &call, &answer);
	int status = ctlask_outcome(&call, answer, expr);
	if (!status) {
		ctlhttp_tell(answer);
		*data = json_incref(json_object_get(answer, "data"));
	}
	json_decref(answer);
	ctlhttp_call_release(&call);
	return status;
}

int ctlask(
    struct ctlhttp *c, const char *path, const struct buf *form, const char *expr, json_t **data)
{
	return ask(c, "POST", path, form, expr, data);
}

int ctlask_get(
    struct ctlhttp *c, const char *path, const struct buf *form, const char *expr, json_t **data)
{
	return ask(c, "GET", path, form, expr, data);
}
