/*
 * Character classes of RE2's syntax: [...], \d \s \w, [:alpha:], \pL \p{Greek}, and escapes for one
 * code point.
 *
 * A class is a union of items. Under (?i) an item is folded first (what is equal to a member but
 * for case joins it) and negated then: \W, [:^x:], \P and [^...] are what the folded set leaves.
 * The other way round "(?i)\W" would match "s", because U+017F does not lie in \w and folds to s.
 */
#include "core/base/bytes.h"
#include "core/base/rex_priv.h"

#include "core/base/arena.h"
#include "core/base/rune.h"

/* More spans than this are written once per pattern: 64 KiB is what PCRE2 compiles at most. */
#define INLINE_SPANS_MAX 16

struct named_set {
	const char *name;
	struct rune_span spans[4];
	size_t count;
};
/* clang-format off */
static const struct named_set posix_sets[] = {
	{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
	{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
	{ "ascii", { { 0, 0x7f } }, 1 },
	{ "blank", { { '\t', '\t' }, { ' ', ' ' } }, 2 },
	{ "cntrl", { { 0, 0x1f }, { 0x7f, 0x7f } }, 2 },
	{ "digit", { { '0', '9' } }, 1 },
	{ "graph", { { '!', '~' } }, 1 },
	{ "lower", { { 'a', 'z' } }, 1 },
	{ "print", { { ' ', '~' } }, 1 },
	{ "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
	{ "space", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
	{ "upper", { { 'A', 'Z' } }, 1 },
	{ "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
};
static const struct named_set perl_sets[] = {
	{ "d", { { '0', '9' } }, 1 },
	{ "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } }, 3 },
	{ "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
};
/* clang-format on */

enum err rex_fail(struct rex_text *t, const char *what, const char *from, const char *to)
{
	size_t len = (size_t)(to - from);
	return errbuf_set(t->eb, ERR_BADDATA, "error parsing regexp: %s: `%.*s`", what,
	    (int)rune_cut(from, len, 500), from);
}

/* Escapes that stand for one code point */

/*
 * The next character as a hex digit; -1 when it is none. It is taken all the same, as the error
 * text shows it.
 */
static int read_digit(struct rex_text *t)
{
	uint32_t c;
	size_t n = rune_decode(t->p, rex_left(t), &c);
	int digit = n == 1 ? bytes_hex((unsigned char)*t->p) : -1;
	t->p += n;
	return digit;
}

/* Behind "\x{" */
static bool read_braced_hex(struct rex_text *t, uint32_t *rune)
{
	uint32_t v = 0;
	for (size_t digits = 0; rex_left(t); digits++) {
		if (*t->p == '}') {
			t->p++;
			*rune = v;
			return digits > 0;
		}
		int digit = read_digit(t);
		if (digit < 0)
			return false;
		v = v * 16 + (uint32_t)digit;
		if (v > RUNE_MAX)
			return false;
	}
	return false;
}

/* Behind \x */
static bool read_hex(struct rex_text *t, uint32_t *rune)
{
	if (rex_left(t) && *t->p == '{') {
		t->p++;
		return read_braced_hex(t, rune);
	}
	int high = read_digit(t), low = read_digit(t);
	if (high < 0 || low < 0)
		return false;
	*rune = (uint32_t)(high * 16 + low);
	return true;
}

static bool is_octal(const struct rex_text *t)
{
	return rex_left(t) && *t->p >= '0' && *t->p <= '7';
}

enum err rex_escape_read(struct rex_text *t, uint32_t *rune)
{
	const char *from = t->p++;
	if (!rex_left(t))
		return rex_fail(t, "trailing backslash at end of expression", t->end, t->end);
	size_t n = rune_decode(t->p, rex_left(t), rune);
	if (n == 0)
		return rex_fail(t, "invalid UTF-8", from, t->end);
	t->p += n;
	static const char letters[] = "afnrtv", values[] = "\a\f\n\r\t\v";
	const char *letter = *rune < 0x80 && *rune ? strchr(letters, (int)*rune) : NULL;
	if (letter) {
		*rune = (uint32_t)values[letter - letters];
		return ERR_OK;
	}
	if (*rune == 'x') {
		if (read_hex(t, rune))
			return ERR_OK;
	} else if (*rune >= '0' && *rune <= '7') {
		/* A single digit from 1 to 7 would be a back-reference. */
		if (*rune == '0' || is_octal(t)) {
			*rune -= '0';
			for (int i = 0; i < 2 && is_octal(t); i++)
				*rune = *rune * 8 + (uint32_t)(*t->p++ - '0');
			return ERR_OK;
		}
	} else if (*rune < 0x80 && !(*rune >= '0' && *rune <= '9') &&
	    !((*rune | 0x20) >= 'a' && (*rune | 0x20) <= 'z')) {
		return ERR_OK; /* punctuation stands for itself */
	}
	return rex_fail(t, "invalid escape sequence", from, t->p);
}

/* Items. Each joins out, which stays tidy. */

static void join_item(struct rune_set *item, bool fold, bool negated, struct rune_set *out)
{
	if (fold)
		rune_set_fold(item);
	if (negated)
		rune_set_negate(item);
	rune_set_join(out, item);
	rune_set_release(item);
}

static void join_named(const struct named_set *named, bool fold, bool negated, struct rune_set *out)
{
	struct rune_set item = { 0 };
	for (size_t i = 0; i < named->count; i++)
		rune_set_add(&item, named->spans[i].first, named->spans[i].last);
	join_item(&item, fold, negated, out);
}

static const struct named_set *perl_set_here(const struct rex_text *t)
{
	if (rex_left(t) < 2 || *t->p != '\\')
		return NULL;
	for (size_t i = 0; i < COUNT_OF(perl_sets); i++) {
		if (perl_sets[i].name[0] == (t->p[1] | 0x20))
			return &perl_sets[i];
	}
	return NULL;
}

static bool property_here(const struct rex_text *t)
{
	return rex_left(t) >= 2 && *t->p == '\\' && (t->p[1] | 0x20) == 'p';
}

/* "[:alpha:]" or "[:^alpha:]"; *was tells whether it was one. */
static enum err read_posix(struct rex_text *t, bool fold, bool *was, struct rune_set *out)
{
	*was = false;
	if (rex_left(t) < 2 || memcmp(t->p, "[:", 2) != 0)
		return ERR_OK;
	const char *close = t->p + 2;
	while (t->end - close >= 2 && memcmp(close, ":]", 2) != 0)
		close++;
	if (t->end - close < 2)
		return ERR_OK;
	const char *name = t->p + 2;
	bool negated = *name == '^' && name < close;
	name += negated;
	size_t len = (size_t)(close - name);
	for (size_t i = 0; i < COUNT_OF(posix_sets); i++) {
		if (strlen(posix_sets[i].name) == len && memcmp(posix_sets[i].name, name, len) == 0) {
			join_named(&posix_sets[i], fold, negated, out);
			t->p = close + 2;
			*was = true;
			return ERR_OK;
		}
	}
	return rex_fail(t, "invalid character class range", t->p, close + 2);
}

/* The set of a name, looked up once per pattern: a pattern may name it a thousand times. */
static const struct rune_set *property(struct rex_classes *c, const char *name, size_t len, bool fold)
{
	for (size_t i = 0; i < c->properties_count; i++) {
		const struct rex_property *p = &c->properties[i];
		if (p->len == len && p->fold == fold && memcmp(p->name, name, len) == 0)
			return &p->set;
	}
	struct rex_property new = { .name = name, .len = len, .fold = fold };
	if (!rune_set_named(&new.set, name, len, fold))
		return NULL;
	c->properties = mem_array(c->properties, c->properties_count + 1, sizeof(*c->properties));
	c->properties[c->properties_count++] = new;
	return &c->properties[c->properties_count - 1].set;
}

/* \pL, \p{Lu}, \P{Greek}, \p{^Greek} */
static enum err read_property(
    struct rex_text *t, bool fold, struct rex_classes *c, struct rune_set *out)
{
	const char *from = t->p;
	bool negated = t->p[1] == 'P';
	t->p += 2;
	uint32_t rune;
	size_t len = rune_decode(t->p, rex_left(t), &rune);
	const char *name = t->p;
	if (len == 0)
		return rex_fail(t, "invalid character class range", from, t->end);
	t->p += len;
	if (rune == '{') {
		name = t->p;
		const char *close = memchr(t->p, '}', rex_left(t));
		if (!close)
			return rex_fail(t, "invalid character class range", from, t->end);
		len = (size_t)(close - name);
		t->p = close + 1;
		if (len && *name == '^') {
			negated = !negated;
			name++;
			len--;
		}
	}
	const struct rune_set *set = property(c, name, len, fold);
	if (!set)
		return rex_fail(t, "invalid character class range", from, t->p);
	struct rune_set item = { 0 };
	rune_set_join(&item, set);
	join_item(&item, false, negated, out); /* folded already */
	return ERR_OK;
}

static enum err read_class_rune(struct rex_text *t, const char *from, uint32_t *rune)
{
	if (!rex_left(t))
		return rex_fail(t, "missing closing ]", from, t->end);
	if (*t->p == '\\')
		return rex_escape_read(t, rune);
	size_t n = rune_decode(t->p, rex_left(t), rune);
	if (n == 0)
		return rex_fail(t, "invalid UTF-8", t->p, t->end);
	t->p += n;
	return ERR_OK;
}

static enum err read_range(struct rex_text *t, bool fold, const char *from, struct rune_set *out)
{
	const char *range = t->p;
	uint32_t lo, hi;
	enum err e = read_class_rune(t, from, &lo);
	if (e)
		return e;
	hi = lo;
	if (rex_left(t) >= 2 && t->p[0] == '-' && t->p[1] != ']') {
		t->p++;
		e = read_class_rune(t, from, &hi);
		if (e)
			return e;
		if (hi < lo)
			return rex_fail(t, "invalid character class range", range, t->p);
	}
	struct rune_set item = { 0 };
	rune_set_add(&item, lo, hi);
	join_item(&item, fold, false, out);
	return ERR_OK;
}

static enum err read_item(
    struct rex_text *t, bool fold, const char *from, struct rex_classes *c, struct rune_set *out)
{
	bool was;
	enum err e = read_posix(t, fold, &was, out);
	if (e || was)
		return e;
	const struct named_set *set = perl_set_here(t);
	if (set) {
		join_named(set, fold, t->p[1] < 'a', out);
		t->p += 2;
		return ERR_OK;
	}
	if (property_here(t))
		return read_property(t, fold, c, out);
	return read_range(t, fold, from, out);
}

static enum err read_brackets(
    struct rex_text *t, bool fold, struct rex_classes *c, struct rune_set *out)
{
	const char *from = t->p++;
	bool negated = rex_left(t) && *t->p == '^';
	t->p += negated;
	for (bool first = true; !rex_left(t) || *t->p != ']' || first; first = false) {
		enum err e = read_item(t, fold, from, c, out);
		if (e)
			return e;
	}
	t->p++;
	if (negated)
		rune_set_negate(out);
	return ERR_OK;
}

bool rex_class_here(const struct rex_text *t)
{
	return rex_left(t) && (*t->p == '[' || perl_set_here(t) || property_here(t));
}

enum err rex_class_read(struct rex_text *t, bool fold, struct rex_classes *c, struct rune_set *out)
{
	enum err e = *t->p == '[' ? read_brackets(t, fold, c, out) : read_item(t, fold, t->p, c, out);
	if (e)
		rune_set_release(out);
	return e;
}

/* Output */

void rex_rune_write(struct buf *out, uint32_t rune)
{
	char text[4];
	if ((rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') ||
	    (rune >= 'A' && rune <= 'Z'))
		buf_add_u8(out, (uint8_t)rune);
	else if (rune >= 0x80 && !(rune >= 0xd800 && rune <= 0xdfff))
		buf_add(out, text, rune_encode(rune, text));
	else
		buf_printf(out, "\\x{%x}", rune);
}

static void write_span(struct buf *out, uint32_t first, uint32_t last)
{
	rex_rune_write(out, first);
	if (last > first) {
		buf_add_u8(out, '-');
		rex_rune_write(out, last);
	}
}

static void write_brackets(const struct rune_set *set, struct buf *out)
{
	if (!set->count) {
		buf_add_str(out, "(?:(?!))");
		return;
	}
	/*
	 * What reaches up to the last code point is shorter, and faster for PCRE2, the other way
	 * round.
	 */
	bool negated = set->v[set->count - 1].last == RUNE_MAX;
	uint32_t next = 0;
	if (negated && set->count == 1 && set->v[0].first == 0) {
		buf_add_u8(out, '.');
		return;
	}
	buf_add_str(out, negated ? "[^" : "[");
	for (size_t i = 0; i < set->count; i++) {
		if (!negated)
			write_span(out, set->v[i].first, set->v[i].last);
		else if (set->v[i].first > next)
			write_span(out, next, set->v[i].first - 1);
		next = set->v[i].last + 1;
	}
	buf_add_u8(out, ']');
}

static bool sets_equal(const struct rune_set *a, const struct rune_set *b)
{
	return a->count == b->count && memcmp(a->v, b->v, a->count * sizeof(*a->v)) == 0;
}

void rex_class_write(struct rex_classes *c, struct rune_set *take_set, struct buf *out)
{
	if (take_set->count <= INLINE_SPANS_MAX) {
		write_brackets(take_set, out);
		rune_set_release(take_set);
		return;
	}
	size_t i = 0;
	while (i < c->large_count && !sets_equal(&c->large[i], take_set))
		i++;
	if (i < c->large_count) {
		rune_set_release(take_set);
	} else {
		c->large = mem_array(c->large, c->large_count + 1, sizeof(*c->large));
		c->large[c->large_count++] = *take_set;
		*take_set = (struct rune_set){ 0 };
	}
	/* Without the outer group PCRE2's JIT compiles a copy per call. */
	buf_printf(out, "(?:(?&c%zu))", i);
}

void rex_classes_define(const struct rex_classes *c, struct buf *out)
{
	if (!c->large_count)
		return;
	buf_add_str(out, "(?(DEFINE)");
	for (size_t i = 0; i < c->large_count; i++) {
		buf_printf(out, "(?<c%zu>", i);
		write_brackets(&c->large[i], out);
		buf_add_u8(out, ')');
	}
	buf_add_u8(out, ')');
}

void rex_classes_release(struct rex_classes *c)
{
	for (size_t i = 0; i < c->properties_count; i++)
		rune_set_release(&c->properties[i].set);
	for (size_t i = 0; i < c->large_count; i++)
		rune_set_release(&c->large[i]);
	mem_free(c->properties);
	mem_free(c->large);
	*c = (struct rex_classes){ 0 };
}
