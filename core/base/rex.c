#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/base/rex.h"

#include "core/base/arena.h"
#include "core/base/rex_priv.h"
#include "core/base/rune.h"

#include <pcre2.h>
#include <pthread.h>

/*
 * Steps per value; a limit of label matching by expression. Both keep one match below about a
 * millisecond.
 */
#define MATCH_LIMIT    100000
#define HEAP_LIMIT_KIB 2048
#define JIT_STACK_MIN  (32 * 1024)
#define JIT_STACK_MAX  (512 * 1024)
/*
 * Room of the DFA matcher: some 80 states at once. More states would make its search quadratic
 * enough to stall a loop.
 */
#define DFA_WORKSPACE 512

struct rex {
	struct rex_form form;
	struct rex_form prefixes; /* of REX_PCRE */
	struct buf needed;        /* of REX_PCRE */
	bool jit;
	pcre2_code *code; /* NULL when the form alone answers everything */
	struct rex_name *names;
	size_t names_count;
	char *pattern; /* names point here */
	unsigned captures;
};

/* What a thread needs to run PCRE2; made at first use, freed with the thread. */
struct runner {
	pcre2_match_data *data;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
};
static __thread struct runner *runner_mine;
static pthread_key_t runner_key;
static pthread_once_t runner_once = PTHREAD_ONCE_INIT;

static void runner_free(void *arg)
{
	struct runner *r = arg;
	pcre2_match_data_free(r->data);
	pcre2_match_context_free(r->context);
	pcre2_jit_stack_free(r->stack);
	mem_free(r);
}

static void runner_key_make(void)
{
	if (pthread_key_create(&runner_key, runner_free) != 0)
		panic("no thread key left");
}

static struct runner *runner_here(void)
{
	if (LIKELY(runner_mine != NULL))
		return runner_mine;
	pthread_once(&runner_once, runner_key_make);
	struct runner *r = mem_zalloc(sizeof(*r));
	r->data = pcre2_match_data_create(1, NULL);
	r->context = pcre2_match_context_create(NULL);
	r->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	if (!r->data || !r->context || !r->stack)
		panic("out of memory: match data");
	pcre2_set_match_limit(r->context, MATCH_LIMIT);
	pcre2_set_heap_limit(r->context, HEAP_LIMIT_KIB);
	pcre2_jit_stack_assign(r->context, NULL, r->stack);
	if (pthread_setspecific(runner_key, r) != 0)
		panic("out of memory: thread data");
	runner_mine = r;
	return r;
}

static enum err compile_pcre(
    struct rex *r, const struct buf *text, const char *pattern, size_t len, struct errbuf *eb)
{
	int code;
	size_t at;
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	if (!context)
		panic("out of memory: compile context");
	pcre2_set_parens_nest_limit(context, REX_NESTING_MAX + 16);
	pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALLOW_SURROGATE_ESCAPES);
	/* Newlines are \n alone, whatever the library's default is. */
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	r->code = pcre2_compile(text->data, text->len,
	    PCRE2_UTF | PCRE2_DOTALL | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
	pcre2_compile_context_free(context);
	if (!r->code) {
		/*
		 * The text was made by rex_parse: what is left are unknown scripts and sheer size.
		 */
		const char *what = code == PCRE2_ERROR_UNKNOWN_UNICODE_PROPERTY ||
		        code == PCRE2_ERROR_MALFORMED_UNICODE_PROPERTY
		    ? "invalid character class range"
		    : "expression too large";
		return errbuf_set(eb, ERR_BADDATA, "error parsing regexp: %s: `%.*s`", what,
		    (int)rune_cut(pattern, len, 500), pattern);
	}
	/* Without JIT (a kernel that refuses executable memory) pcre2_match() interprets. */
	r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
	return ERR_OK;
}

bool rex_needs_engine(const char *pattern, size_t len)
{
	struct rex_form form;

	rex_form_of(pattern, len, &form);
	bool needs = form.kind == REX_PCRE;
	rex_form_release(&form);
	return needs;
}

/* A valid pattern says nothing more than its form: a set of words is, when it is UTF-8. */
static bool form_is_all(const struct rex *r, const char *pattern, size_t len, bool captures)
{
	return r->form.kind == REX_LITERALS && rune_valid(pattern, len) &&
	    !(captures && len && memchr(pattern, '(', len));
}

static enum err compile_parsed(struct rex *r, size_t len, bool captures, struct errbuf *eb)
{
	const size_t most = captures ? REX_CAPTURE_PATTERN_MAX : REX_PATTERN_MAX;
	const bool engine = r->form.kind == REX_PCRE || captures;
	struct rex_parsed parsed;

	if (engine && len > most)
		return errbuf_set(eb, ERR_BADDATA,
		    "error parsing regexp: expression too large: %zu bytes, limit %zu", len, most);
	enum err e = rex_parse(r->pattern, len, &parsed, eb);
	if (e)
		return e;
	r->captures = parsed.captures;
	r->names = parsed.names;
	r->names_count = parsed.names_count;
	parsed.names = NULL;
	if (r->form.kind == REX_PCRE || (captures && r->captures))
		e = compile_pcre(r, &parsed.out, r->pattern, len, eb);
	rex_parsed_release(&parsed);
	return e;
}

static enum err compile(
    const char *pattern, size_t len, bool captures, struct rex **out, struct errbuf *eb)
{
	struct rex *r = mem_zalloc(sizeof(*r));
	enum err e = ERR_OK;

	r->pattern = mem_alloc(len + 1);
	if (len)
		memcpy(r->pattern, pattern, len);
	r->pattern[len] = 0;
	rex_form_of(r->pattern, len, &r->form);
	if (!form_is_all(r, pattern, len, captures))
		e = compile_parsed(r, len, captures, eb);
	if (e) {
		rex_free(r);
		return e;
	}
	rex_form_index(&r->form);
	if (r->form.kind == REX_PCRE) {
		rex_form_prefixes(pattern, len, &r->prefixes);
		rex_form_needed(pattern, len, &r->needed);
	}
	*out = r;
	return ERR_OK;
}

enum err rex_compile(const char *pattern, size_t len, struct rex **out, struct errbuf *eb)
{
	return compile(pattern, len, true, out, eb);
}

enum err rex_compile_match(const char *pattern, size_t len, struct rex **out, struct errbuf *eb)
{
	return compile(pattern, len, false, out, eb);
}

void rex_free(struct rex *r)
{
	if (!r)
		return;
	rex_form_release(&r->form);
	rex_form_release(&r->prefixes);
	buf_release(&r->needed);
	pcre2_code_free(r->code);
	mem_free(r->names);
	mem_free(r->pattern);
	mem_free(r);
}

size_t rex_bytes(const struct rex *r)
{
	size_t code = 0, jit = 0;

	if (r->code) {
		(void)pcre2_pattern_info(r->code, PCRE2_INFO_SIZE, &code);
		(void)pcre2_pattern_info(r->code, PCRE2_INFO_JITSIZE, &jit);
	}
	return sizeof(*r) + strlen(r->pattern) + 1 + code + jit + rex_form_bytes(&r->form) +
	    rex_form_bytes(&r->prefixes) + r->needed.cap + r->names_count * sizeof(*r->names);
}

enum rex_kind rex_kind(const struct rex *r)
{
	return r->form.kind;
}

const char *rex_literal(const struct rex *r, size_t i, size_t *len)
{
	if (i >= r->form.count)
		return NULL;
	*len = r->form.strings[i].len;
	return r->form.strings[i].s;
}

size_t rex_literals(const struct rex *r)
{
	return r->form.count;
}

static const struct rex_form *prefixes_of(const struct rex *r)
{
	return r->form.kind == REX_PREFIX ? &r->form : &r->prefixes;
}

const char *rex_prefix(const struct rex *r, size_t i, size_t *len)
{
	const struct rex_form *f = prefixes_of(r);
	if (i >= f->count)
		return NULL;
	*len = f->strings[i].len;
	return f->strings[i].s;
}

size_t rex_prefixes(const struct rex *r)
{
	return prefixes_of(r)->count;
}

const char *rex_needed(const struct rex *r, size_t *len)
{
	bool one = r->form.count == 1;
	*len = one ? r->form.strings[0].len : r->needed.len;
	return one ? r->form.strings[0].s : (const char *)r->needed.data;
}

/*
 * Go's regexp reads bytes that are not UTF-8 as U+FFFD, one each; PCRE2 must not see them at all.
 */
static char *repair_utf8(const char *s, size_t len, size_t *new_len)
{
	char *out = mem_array(NULL, len, 3);
	size_t n = 0;
	for (size_t i = 0; i < len;) {
		uint32_t rune;
		size_t step = rune_decode(s + i, len - i, &rune);
		memcpy(out + n, step ? s + i : "\xef\xbf\xbd", step ? step : 3);
		n += step ? step : 3;
		i += step ? step : 1;
	}
	*new_len = n;
	return out;
}

/* s is valid UTF-8. The count of pairs set in data, or REX_NO, REX_LIMIT. */
static enum rex_result run(const struct rex *r, const char *s, size_t len, pcre2_match_data *data)
{
	struct runner *me = runner_here();
	const uint8_t *subject = (const uint8_t *)s;
	pcre2_match_data *to = data ? data : me->data;
	int rc = r->jit ? pcre2_jit_match(r->code, subject, len, 0, 0, to, me->context)
	                : pcre2_match(r->code, subject, len, 0, PCRE2_NO_UTF_CHECK, to, me->context);
	if (LIKELY(rc >= 0))
		return REX_YES;
	if (LIKELY(rc == PCRE2_ERROR_NOMATCH))
		return REX_NO;
	if (data)
		return REX_LIMIT; /* the DFA matcher knows no submatches */
	int workspace[DFA_WORKSPACE];
	rc = pcre2_dfa_match(r->code, subject, len, 0, PCRE2_NO_UTF_CHECK, me->data, me->context,
	    workspace, DFA_WORKSPACE);
	return rc >= 0 ? REX_YES : rc == PCRE2_ERROR_NOMATCH ? REX_NO : REX_LIMIT;
}

enum rex_result rex_match(const struct rex *r, const char *s, size_t len)
{
	if (r->form.kind != REX_PCRE)
		return rex_form_has(&r->form, s, len) ? REX_YES : REX_NO;
	if (LIKELY(rune_valid(s, len)))
		return run(r, s, len, NULL);
	size_t fixed_len;
	char *fixed = repair_utf8(s, len, &fixed_len);
	enum rex_result result = run(r, fixed, fixed_len, NULL);
	mem_free(fixed);
	return result;
}

/* Expansion */

struct groups {
	const char *s;
	const size_t *pairs; /* from PCRE2; NULL: only group 0, the whole */
	size_t len, count;
};

static bool took_part(const struct groups *g, size_t i)
{
	return i < g->count && g->pairs[2 * i] != PCRE2_UNSET;
}

static void add_group(struct buf *out, const struct groups *g, size_t i)
{
	if (i == 0)
		buf_add(out, g->s, g->len); /* anchored: the match is the whole */
	else if (took_part(g, i) && g->pairs[2 * i + 1] > g->pairs[2 * i])
		buf_add(out, g->s + g->pairs[2 * i], g->pairs[2 * i + 1] - g->pairs[2 * i]);
}

/*
 * Go takes letters and digits of any script and _ for a name. Names of groups are ASCII, so a
 * longer name just finds nothing.
 */
static size_t name_len(const char *s, size_t len)
{
	size_t n = 0;
	while (n < len) {
		uint32_t rune;
		size_t step = rune_decode(s + n, len - n, &rune);
		if (step == 0 || !rune_word(rune))
			break;
		n += step;
	}
	return n;
}

/* Of several groups of one name the first that took part in the match. */
static void add_named(
    const struct rex *r, struct buf *out, const struct groups *g, const char *name, size_t len)
{
	size_t number = 0;
	bool numeric = !(name[0] == '0' && len > 1);
	for (size_t i = 0; i < len && numeric; i++) {
		numeric = name[i] >= '0' && name[i] <= '9' && number < 100000000;
		number = number * 10 + (size_t)(name[i] - '0');
	}
	if (numeric) {
		add_group(out, g, number);
		return;
	}
	for (size_t i = 0; i < r->names_count; i++) {
		if (r->names[i].len == len && memcmp(r->names[i].s, name, len) == 0 &&
		    took_part(g, r->names[i].index)) {
			add_group(out, g, r->names[i].index);
			return;
		}
	}
}

/* Regexp.Expand: $name, ${name}, $$; anything else behind $ leaves the $ as it is. */
static void expand(
    const struct rex *r, struct buf *out, const struct groups *g, const char *t, size_t len)
{
	while (len) {
		const char *dollar = memchr(t, '$', len);
		size_t plain = dollar ? (size_t)(dollar - t) : len;
		buf_add(out, t, plain);
		t += plain;
		len -= plain;
		if (!len)
			return;
		if (len >= 2 && t[1] == '$') {
			buf_add_u8(out, '$');
			t += 2;
			len -= 2;
			continue;
		}
		bool brace = len >= 2 && t[1] == '{';
		size_t skip = brace ? 2 : 1;
		size_t n = name_len(t + skip, len - skip);
		if (n == 0 || (brace && (skip + n == len || t[skip + n] != '}'))) {
			buf_add_u8(out, '$');
			t++;
			len--;
			continue;
		}
		add_named(r, out, g, t + skip, n);
		n += skip + brace;
		t += n;
		len -= n;
	}
}

enum rex_result rex_expand(const struct rex *r, const char *s, size_t len, const char *tmpl,
    size_t tmpl_len, struct buf *out)
{
	struct groups g = { .s = s, .len = len };
	enum rex_result result;
	if (!r->code) {
		result = rex_match(r, s, len);
		if (result == REX_YES)
			expand(r, out, &g, tmpl, tmpl_len);
		return result;
	}
	char *fixed = NULL;
	if (!rune_valid(s, len)) {
		fixed = repair_utf8(s, len, &g.len);
		g.s = fixed;
	}
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(r->code, NULL);
	if (!data)
		panic("out of memory: match data");
	result = run(r, g.s, g.len, data);
	if (result == REX_YES) {
		g.pairs = pcre2_get_ovector_pointer(data);
		g.count = pcre2_get_ovector_count(data);
		expand(r, out, &g, tmpl, tmpl_len);
	}
	pcre2_match_data_free(data);
	mem_free(fixed);
	return result;
}
