#include "tests/promql/ptest_script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct ptest_script *script;
	char **lines; /* trimmed; comments are empty */
	size_t count, at;
	struct ptest_cmd *cmd, **tail;
	struct errbuf *eb;
};

static enum err fail(struct reader *r, const char *what)
{
	return errbuf_set(r->eb, ERR_BADDATA, "line %zu: %s", r->at + 1, what);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static void split_lines(struct reader *r, const char *text, size_t len)
{
	const char *end = text + len;
	size_t cap = 1;
	for (const char *p = text; p < end; p++)
		cap += *p == '\n';
	r->lines = arena_array(&r->script->arena, cap, sizeof(*r->lines));
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end, *next = nl ? nl + 1 : end;
		while (text < stop && is_blank(*text))
			text++;
		while (stop > text && is_blank(stop[-1]))
			stop--;
		if (text < stop && *text == '#')
			stop = text;
		r->lines[r->count++] = arena_strndup(&r->script->arena, text, (size_t)(stop - text));
		text = next;
	}
}

/* Takes a word off *s into w; false at the end. */
static bool word(const char **s, char *w, size_t size)
{
	const char *p = *s;
	while (is_blank(*p))
		p++;
	size_t n = strcspn(p, " \t");
	if (!n || n >= size)
		return false;
	memcpy(w, p, n);
	w[n] = 0;
	p += n;
	while (is_blank(*p))
		p++;
	*s = p;
	return true;
}
static bool word_is(const char **s, const char *what)
{
	char w[64];
	const char *p = *s;
	if (!word(&p, w, sizeof(w)) || strcmp(w, what))
		return false;
	*s = p;
	return true;
}
static bool word_duration(const char **s, int64_t *ms)
{
	char w[64];
	return word(s, w, sizeof(w)) && !num_parse_duration(w, strlen(w), ms);
}

static struct ptest_series *add_series(struct reader *r, struct ptest_cmd *c)
{
	if ((c->series_count & (c->series_count - 1)) == 0) { /* full at 0, 1, 2, 4, 8... */
		size_t cap = c->series_count ? c->series_count * 2 : 1;
		struct ptest_series *more = arena_array(&r->script->arena, cap, sizeof(*more));
		if (c->series_count)
			memcpy(more, c->series, c->series_count * sizeof(*more));
		c->series = more;
	}
	return &c->series[c->series_count++];
}

static enum err read_series(struct reader *r, const char *line, struct ptest_series *out)
{
	struct errbuf eb;
	errbuf_init(&eb);
	*out = (struct ptest_series){ .line = (unsigned)r->at + 1 };
	if (ql_series_desc(&r->script->arena, line, strlen(line), &out->desc, &eb))
		return fail(r, eb.text);
	return ERR_OK;
}

/* ---- start timestamps: metric{labels}@st item item ... ---- */

struct starts {
	unsigned line; /* 0: none waits for its samples */
	struct labels labels;
	struct ptest_start *v;
	size_t count, cap;
};

static bool is_start_line(const char *line)
{
	size_t first = strcspn(line, " \t");
	return line[first] && first >= 3 && !memcmp(line + first - 3, "@st", 3);
}

/* A signed duration from the front of *s. */
static bool start_duration(const char **s, int64_t *ms)
{
	bool minus = **s == '-';
	if (minus || **s == '+')
		++*s;
	size_t n = strcspn(*s, "x+-");
	if (num_parse_duration(*s, n, ms))
		return false;
	*ms = minus ? -*ms : *ms;
	*s += n;
	return true;
}

static void add_starts(struct reader *r, struct starts *st, bool given, int64_t offset_ms)
{
	if (st->count == st->cap) {
		st->cap = st->cap ? st->cap * 2 : 64;
		struct ptest_start *more = arena_array(&r->script->arena, st->cap, sizeof(*more));
		if (st->count)
			memcpy(more, st->v, st->count * sizeof(*more));
		st->v = more;
	}
	st->v[st->count++] = (struct ptest_start){ given, offset_ms };
}

/* xN at s, or its end. */
static bool start_times(const char *s, uint64_t *times)
{
	return !*s ||
	    (*s == 'x' && !num_parse_u64(s + 1, strlen(s + 1), times) &&
	        *times <= QL_SERIES_ITEMS_MAX);
}

static bool start_item(struct reader *r, struct starts *st, const char *s)
{
	int64_t offset_ms = 0, by_ms = 0;
	uint64_t times = 0;
	if (*s == '_') {
		times = 1;
		if (!start_times(s + 1, &times) || !times)
			return false;
		for (uint64_t i = 0; i < times; i++)
			add_starts(r, st, false, 0);
		return true;
	}
	if (!start_duration(&s, &offset_ms))
		return false;
	bool steps = *s == '+' || *s == '-';
	if (steps && (!start_duration(&s, &by_ms) || *s != 'x'))
		return false;
	if (!start_times(s, &times))
		return false;
	for (uint64_t i = 0; i <= times; i++, offset_ms += by_ms)
		add_starts(r, st, true, offset_ms);
	return true;
}

static enum err read_starts(struct reader *r, struct starts *st)
{
	const char *line = r->lines[r->at];
	size_t first = strcspn(line, " \t");
	char *metric = arena_strndup(&r->script->arena, line, first - 3), item[200];
	struct ptest_series named;
	if (st->line)
		return fail(r, "start times without samples before this line");
	enum err e = read_series(r, metric, &named);
	if (e)
		return e;
	*st = (struct starts){ .line = (unsigned)r->at + 1, .labels = named.desc.labels };
	line += first;
	while (word(&line, item, sizeof(item)))
		if (!start_item(r, st, item))
			return fail(r, "bad start time");
	return *line ? fail(r, "bad start time") : ERR_OK;
}

/* ---- load ---- */

/* Start times that wait belong to this series. */
static enum err take_starts(struct reader *r, struct starts *st, struct ptest_series *se)
{
	if (!st->line)
		return ERR_OK;
	if (!label_equal(st->labels, se->desc.labels))
		return fail(r, "start times before this line are of another series");
	if (st->count != se->desc.items_count)
		return fail(r, "not as many samples as start times before this line");
	se->starts = st->v;
	*st = (struct starts){ 0 };
	return ERR_OK;
}

static enum err read_load(struct reader *r)
{
	const char *s = r->lines[r->at];
	char verb[64];
	struct ptest_cmd *c = r->cmd;
	struct starts st = { 0 };
	c->verb = PTEST_LOAD;
	word(&s, verb, sizeof(verb));
	c->nhcb = !strcasecmp(verb, "load_with_nhcb");
	if (!c->nhcb && strcasecmp(verb, "load"))
		return fail(r, "unknown command");
	if (!word_duration(&s, &c->step_ms) || *s)
		return fail(r, "load wants a duration");
	while (++r->at < r->count && *r->lines[r->at]) {
		const char *line = r->lines[r->at];
		struct ptest_series next = { 0 }, *place = NULL;
		bool start_line = is_start_line(line);
		enum err e = start_line ? read_starts(r, &st) : read_series(r, line, &next);
		if (!e && !start_line)
			e = take_starts(r, &st, &next);
		if (e)
			return e;
		if (start_line)
			continue;
		for (size_t i = 0; i < c->series_count; i++)
			if (label_equal(c->series[i].desc.labels, next.desc.labels))
				place = &c->series[i]; /* the later line wins */
		if (!place)
			place = add_series(r, c);
		*place = next;
	}
	return st.line ? fail(r, "start times without samples") : ERR_OK;
}

/* ---- eval ---- */

static enum err add_note(struct reader *r, enum ptest_want kind, const char *msg, const char *re)
{
	struct ptest_note *n = arena_zalloc(&r->script->arena, sizeof(*n));
	n->kind = kind;
	n->msg = msg;
	if (re) {
		struct errbuf eb;
		errbuf_init(&eb);
		char *whole = arena_printf(&r->script->arena, "(?s:.*)(?:%s)(?s:.*)", re);
		if (rex_compile(whole, strlen(whole), &n->re, &eb))
			return fail(r, eb.text);
	}
	n->next = r->cmd->notes;
	r->cmd->notes = n;
	return ERR_OK;
}

static enum err set_want(struct reader *r, enum ptest_want kind)
{
	struct ptest_cmd *c = r->cmd;
	if (kind == PTEST_FAIL && c->wants[PTEST_FAIL])
		return fail(r, "fail is expected twice");
	c->wants[kind] = true;
	if ((c->wants[PTEST_WARN] && c->wants[PTEST_NO_WARN]) ||
	    (c->wants[PTEST_INFO] && c->wants[PTEST_NO_INFO]))
		return fail(r, "expectations exclude one another");
	if (c->wants[PTEST_ORDERED] && c->range)
		return fail(r, "ordered is for instant queries");
	return ERR_OK;
}

static bool want_of(const char *w, enum ptest_want *out)
{
	static const char *const text[PTEST_WANTS] = { "fail", "warn", "no_warn", "info", "no_info",
		"ordered" };
	for (int i = 0; i < PTEST_WANTS; i++)
		if (!strcmp(w, text[i])) {
			*out = (enum ptest_want)i;
			return true;
		}
	return false;
}

/* Go quoting, with " or `. */
static enum err read_string(struct reader *r, const char *s)
{
	struct ql_node *n = NULL;
	struct errbuf eb;
	errbuf_init(&eb);
	static const struct ql_parse_opts o;
	if (ql_parse(&r->script->arena, s, strlen(s), &o, &n, &eb) || n->kind != QL_TEXT)
		return fail(r, "expect string wants a quoted string");
	r->cmd->wants_string = true;
	r->cmd->string = n->text;
	return ERR_OK;
}

/* Behind the word expect. */
static enum err read_expect(struct reader *r, const char *s)
{
	struct ptest_cmd *c = r->cmd;
	enum ptest_want kind;
	char w[64];
	if (!word(&s, w, sizeof(w)))
		return fail(r, "expect what?");
	if (!strcmp(w, "string"))
		return c->range ? fail(r, "expect string is for instant queries") : read_string(r, s);
	if (!strcmp(w, "range") && word_is(&s, "vector")) {
		if (c->range || !word_is(&s, "from") || !word_duration(&s, &c->rv_start_ms) ||
		    !word_is(&s, "to") || !word_duration(&s, &c->rv_end_ms) ||
		    !word_is(&s, "step") || !word_duration(&s, &c->rv_step_ms) || *s)
			return fail(r, "bad expect range vector");
		c->wants_range_vector = true;
		c->start_ms = c->end_ms = c->rv_end_ms;
		return ERR_OK;
	}
	if (!want_of(w, &kind))
		return fail(r, "expect what?");
	enum err e = set_want(r, kind);
	if (e || !*s)
		return e;
	bool msg = !strncmp(s, "msg:", 4), re = !strncmp(s, "regex:", 6);
	if (!msg && !re)
		return fail(r, "expect wants msg: or regex:");
	s += msg ? 4 : 6;
	while (is_blank(*s))
		s++;
	return add_note(r, kind, msg ? s : NULL, re ? s : NULL);
}

/* One line of the body; *last: it ends the block. */
static enum err read_body_line(struct reader *r, bool *last)
{
	const char *line = r->lines[r->at], *s = line;
	struct ptest_cmd *c = r->cmd;
	static const char old_msg[] = "expected_fail_message", old_re[] = "expected_fail_regexp";
	*last = false;
	if (word_is(&s, "expect"))
		return read_expect(r, s);
	if (word_is(&s, old_msg) || word_is(&s, old_re)) {
		*last = true;
		return add_note(r, PTEST_FAIL, !strncmp(line, old_msg, strlen(old_msg)) ? s : NULL,
		    !strncmp(line, old_re, strlen(old_re)) ? s : NULL);
	}
	if (!strpbrk(line, " \t{") && !num_parse_go(line, strlen(line), &c->scalar)) {
		c->wants_scalar = *last = true;
		return ERR_OK;
	}
	struct ptest_series *se = add_series(r, c);
	enum err e = read_series(r, line, se);
	if (e)
		return e;
	if (!c->range && !c->wants_range_vector && se->desc.items_count != 1)
		return fail(r, "an instant query has one value per series");
	if (c->range &&
	    (int64_t)se->desc.items_count > (c->end_ms - c->start_ms) / c->eval_step_ms + 1)
		return fail(r, "more values than steps");
	return ERR_OK;
}

static enum err check_query(struct reader *r)
{
	static const struct ql_parse_opts all = { true, true, true, NULL };
	struct arena a;
	struct errbuf eb;
	struct ql_node *n;
	arena_init(&a, 4096);
	errbuf_init(&eb);
	enum err e = ql_parse(&a, r->cmd->query, strlen(r->cmd->query), &all, &n, &eb);
	if (!e)
		ql_ast_release(n);
	arena_release(&a);
	return e ? fail(r, eb.text) : ERR_OK;
}

static enum err read_eval_head(struct reader *r)
{
	const char *s = r->lines[r->at];
	char verb[64];
	struct ptest_cmd *c = r->cmd;
	enum ptest_want old;
	c->verb = PTEST_EVAL;
	word(&s, verb, sizeof(verb));
	for (char *p = verb; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	bool instant = word_is(&s, "instant");
	if (!instant && !word_is(&s, "range"))
		return fail(r, "eval wants instant or range");
	c->range = !instant;
	if (instant && word_is(&s, "at")) {
		if (!word_duration(&s, &c->start_ms))
			return fail(r, "bad time");
		c->end_ms = c->start_ms;
	} else if (c->range) {
		if (!word_is(&s, "from") || !word_duration(&s, &c->start_ms) ||
		    !word_is(&s, "to") || !word_duration(&s, &c->end_ms) || !word_is(&s, "step") ||
		    !word_duration(&s, &c->eval_step_ms) || c->eval_step_ms <= 0 ||
		    c->end_ms < c->start_ms)
			return fail(r, "bad range");
	}
	c->query = arena_strndup(&r->script->arena, s, strlen(s));
	if (strlen(verb) > 5) {
		if (verb[4] != '_' || !want_of(verb + 5, &old) || old == PTEST_NO_WARN ||
		    old == PTEST_NO_INFO)
			return fail(r, "unknown command");
		enum err e = set_want(r, old);
		if (e)
			return e;
	}
	return check_query(r);
}

static enum err read_eval(struct reader *r)
{
	enum err e = read_eval_head(r);
	r->script->evals++;
	bool last = false;
	while (!e && !last && ++r->at < r->count && *r->lines[r->at])
		e = read_body_line(r, &last);
	return e;
}

enum err ptest_script_read(struct ptest_script *s, const char *text, size_t len, struct errbuf *eb)
{
	*s = (struct ptest_script){ .first = NULL };
	arena_init(&s->arena, 64 * 1024);
	struct reader r = { .script = s, .tail = &s->first, .eb = eb };
	split_lines(&r, text, len);
	for (; r.at < r.count; r.at++) {
		const char *line = r.lines[r.at];
		enum err e = ERR_OK;
		if (!*line)
			continue;
		r.cmd = arena_zalloc(&s->arena, sizeof(*r.cmd));
		r.cmd->line = (unsigned)r.at + 1;
		if (!strcasecmp(line, "clear"))
			r.cmd->verb = PTEST_CLEAR;
		else if (!strncasecmp(line, "load", 4))
			e = read_load(&r);
		else if (!strncasecmp(line, "eval", 4))
			e = read_eval(&r);
		else
			e = fail(&r, "unknown command");
		*r.tail = r.cmd;
		r.tail = &r.cmd->next;
		if (e)
			return e;
	}
	return ERR_OK;
}

void ptest_script_release(struct ptest_script *s)
{
	for (struct ptest_cmd *c = s->first; c; c = c->next)
		for (struct ptest_note *n = c->notes; n; n = n->next)
			if (n->re)
				rex_free(n->re);
	arena_release(&s->arena);
}

bool ptest_note_matches(const struct ptest_note *n, const char *text)
{
	if (n->msg)
		return !strcmp(n->msg, text);
	return !n->re || rex_match(n->re, text, strlen(text)) == REX_YES;
}
