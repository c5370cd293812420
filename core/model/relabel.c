#include "core/model/relabel.h"

#include "core/base/md5.h"
#include "core/base/num.h"
#include "core/base/rex.h"
#include "core/base/rune.h"

#include <stdio.h>

#define DEFAULT_SEPARATOR   ";"
#define DEFAULT_REGEX       "(.*)"
#define DEFAULT_REPLACEMENT "$1"
#define JOINED_FIRST        512u /* joined values up to here need no allocation */

const char *const relabel_action_name[RELABEL_ACTIONS + 1] = { "replace", "keep", "drop",
	"keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase",
	"uppercase", NULL };

struct text {
	const char *s;
	size_t len;
};
enum template_kind {
	TEMPLATE_CONST,
	TEMPLATE_WHOLE, /* all of the value */
	TEMPLATE_GROUPS
};
struct template
{
	struct text text;
	enum template_kind kind;
};
struct step {
	enum relabel_action action;
	bool any; /* the regex matches everything */
	struct rex *regex;
	struct text *sources;
	size_t sources_count;
	struct text separator;
	struct template target, replacement;
	uint64_t modulus;
};
struct relabel {
	struct arena arena;
	struct step *steps;
	size_t count;
};

/* ---- is a rule what it should be? The order of questions is Prometheus' ---- */

static bool said(const char *text, const char *usual)
{
	return text && strcmp(text, usual) != 0;
}

static bool name_ok(const char *name)
{
	size_t len = name ? strlen(name) : 0;
	return len && rune_valid(name, len);
}

static bool has_vars(const char *text)
{
	return text && strchr(text, '$');
}

#define BIT(action) (1u << (action))
#define ONE_TARGET                                                                                 \
 (BIT(RELABEL_LOWERCASE) | BIT(RELABEL_UPPERCASE) | BIT(RELABEL_KEEPEQUAL) | BIT(RELABEL_DROPEQUAL))
#define NEED_TARGET (ONE_TARGET | BIT(RELABEL_REPLACE) | BIT(RELABEL_HASHMOD))
#define EQUALS      (BIT(RELABEL_KEEPEQUAL) | BIT(RELABEL_DROPEQUAL))
#define LABELS      (BIT(RELABEL_LABELDROP) | BIT(RELABEL_LABELKEEP))

static enum err bad_name(
    const struct relabel_rule *r, const char *name, const char *key, struct errbuf *eb)
{
	struct buf quoted;
	buf_init(&quoted);
	label_quote_go(&quoted, name ? name : "", name ? rune_cut(name, strlen(name), 200) : 0);
	buf_add_u8(&quoted, 0);
	enum err e = errbuf_set(eb, ERR_BADDATA, "%s is invalid '%s' for %s action",
	    (const char *)quoted.data, key, relabel_action_name[r->action]);
	buf_release(&quoted);
	return e;
}

static enum err check_target(const struct relabel_rule *r, struct errbuf *eb)
{
	const unsigned bit = BIT(r->action);
	const char *name = relabel_action_name[r->action];
	if (r->action == RELABEL_HASHMOD && !r->modulus)
		return errbuf_set(
		    eb, ERR_BADDATA, "relabel configuration for hashmod requires non-zero modulus");
	if ((bit & NEED_TARGET) && (!r->target_label || !*r->target_label))
		return errbuf_set(eb, ERR_BADDATA,
		    "relabel configuration for %s action requires 'target_label' value", name);
	if ((bit & NEED_TARGET) && !name_ok(r->target_label))
		return bad_name(r, r->target_label, "target_label", eb);
	if ((bit & ONE_TARGET) && said(r->replacement, DEFAULT_REPLACEMENT))
		return errbuf_set(
		    eb, ERR_BADDATA, "'replacement' can not be set for %s action", name);
	if (r->action == RELABEL_LABELMAP && r->replacement && !name_ok(r->replacement))
		return bad_name(r, r->replacement, "replacement", eb);
	return ERR_OK;
}

static enum err check_fields(const struct relabel_rule *r, struct errbuf *eb)
{
	const unsigned bit = BIT(r->action);
	const char *name = relabel_action_name[r->action];
	bool more = r->modulus || said(r->separator, DEFAULT_SEPARATOR) ||
	    said(r->replacement, DEFAULT_REPLACEMENT);
	if ((bit & EQUALS) && (more || r->regex))
		return errbuf_set(eb, ERR_BADDATA,
		    "%s action requires only 'source_labels' and `target_label`, and no other fields",
		    name);
	if ((bit & LABELS) && (more || r->source_labels.texts || said(r->target_label, "")))
		return errbuf_set(
		    eb, ERR_BADDATA, "%s action requires only 'regex', and no other fields", name);
	return ERR_OK;
}

static enum err check_sources(const struct relabel_rule *r, struct errbuf *eb)
{
	for (size_t i = 0; i < r->source_labels.count; i++)
		if (!name_ok(r->source_labels.texts[i]))
			return errbuf_set(eb, ERR_BADDATA, "\"%s\" is not a valid label name",
			    r->source_labels.texts[i]);
	return ERR_OK;
}

/* ---- making ---- */

static struct text text_of(struct arena *a, const char *s)
{
	size_t len = strlen(s);
	return (struct text){ arena_strndup(a, s, len), len };
}

static bool is_one_of(const char *s, const char *a, const char *b)
{
	return !strcmp(s, a) || !strcmp(s, b);
}

static struct template template_of(struct arena *a, const char *s, bool any)
{
	struct template t = { text_of(a, s), TEMPLATE_GROUPS };
	if (!has_vars(s))
		t.kind = TEMPLATE_CONST;
	else if (is_one_of(s, "$0", "${0}") || (any && is_one_of(s, "$1", "${1}")))
		t.kind = TEMPLATE_WHOLE;
	return t;
}

static bool needs_groups(const struct step *s)
{
	switch (s->action) {
	case RELABEL_REPLACE:
		return s->target.kind == TEMPLATE_GROUPS || s->replacement.kind == TEMPLATE_GROUPS;
	case RELABEL_LABELMAP:
		return s->replacement.kind == TEMPLATE_GROUPS;
	case RELABEL_KEEP:
	case RELABEL_DROP:
	case RELABEL_KEEPEQUAL:
	case RELABEL_DROPEQUAL:
	case RELABEL_HASHMOD:
	case RELABEL_LABELDROP:
	case RELABEL_LABELKEEP:
	case RELABEL_LOWERCASE:
	case RELABEL_UPPERCASE:
	case RELABEL_ACTIONS:
		break;
	}
	return false;
}

static enum err compile(struct step *s, const char *regex, struct errbuf *eb)
{
	bool groups = needs_groups(s);
	if (s->any && !groups)
		return ERR_OK;
	return groups ? rex_compile(regex, strlen(regex), &s->regex, eb)
	              : rex_compile_match(regex, strlen(regex), &s->regex, eb);
}

static enum err make_step(
    struct arena *a, const struct relabel_rule *r, struct step *s, struct errbuf *eb)
{
	const char *regex = r->regex ? r->regex : DEFAULT_REGEX;
	const char *target = r->target_label ? r->target_label : "";
	enum err e = check_sources(r, eb);
	if (!e)
		e = check_target(r, eb);
	if (!e)
		e = check_fields(r, eb);
	if (e)
		return e;
	*s = (struct step){ .action = r->action, .modulus = r->modulus };
	s->any = !strcmp(regex, DEFAULT_REGEX);
	s->separator = text_of(a, r->separator ? r->separator : DEFAULT_SEPARATOR);
	s->target = template_of(a, target, s->any);
	if (r->action != RELABEL_REPLACE)
		s->target.kind = TEMPLATE_CONST;
	s->replacement =
	    template_of(a, r->replacement ? r->replacement : DEFAULT_REPLACEMENT, s->any);
	s->sources = arena_array(a, r->source_labels.count, sizeof(*s->sources));
	for (size_t i = 0; i < r->source_labels.count; i++)
		s->sources[i] = text_of(a, r->source_labels.texts[i]);
	s->sources_count = r->source_labels.count;
	return compile(s, regex, eb);
}

enum err relabel_check(const struct relabel_rule *rule, struct errbuf *eb)
{
	struct relabel *r;
	size_t bad;
	enum err e = relabel_create(rule, 1, &r, &bad, eb);
	if (!e)
		relabel_free(r);
	return e;
}

enum err relabel_create(const struct relabel_rule *rules, size_t count, struct relabel **out,
    size_t *bad, struct errbuf *eb)
{
	struct relabel *r = mem_zalloc(sizeof(*r));
	arena_init(&r->arena, 1024);
	r->steps = arena_array(&r->arena, count, sizeof(*r->steps));
	for (size_t i = 0; i < count; i++) {
		enum err e = make_step(&r->arena, &rules[i], &r->steps[i], eb);
		if (e) {
			*bad = i;
			relabel_free(r);
			return e;
		}
		r->count++;
	}
	*out = r;
	return ERR_OK;
}

void relabel_free(struct relabel *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		rex_free(r->steps[i].regex);
	arena_release(&r->arena);
	mem_free(r);
}

size_t relabel_rules(const struct relabel *r)
{
	return r->count;
}

enum relabel_action relabel_action_of(const struct relabel *r, size_t i)
{
	return r->steps[i].action;
}

/* ---- values ---- */

static struct text value_of(const struct relabel_set *set, const struct text *name)
{
	const struct label *l = relabel_set_get(set, name->s, name->len);
	return l ? (struct text){ l->value, l->value_len } : (struct text){ "", 0 };
}

/* The values of the source labels; room is used where it is large enough, else the arena. */
static struct text joined(const struct step *s, const struct relabel_set *set, char *room)
{
	size_t len = 0;
	if (!s->sources_count)
		return (struct text){ "", 0 };
	if (s->sources_count == 1)
		return value_of(set, &s->sources[0]);
	for (size_t i = 0; i < s->sources_count; i++)
		len += value_of(set, &s->sources[i]).len + (i ? s->separator.len : 0);
	char *to = len <= JOINED_FIRST ? room : arena_alloc(set->arena, len);
	char *p = to;
	for (size_t i = 0; i < s->sources_count; i++) {
		const struct text v = value_of(set, &s->sources[i]);
		if (i && s->separator.len)
			memcpy(p, s->separator.s, s->separator.len);
		p += i ? s->separator.len : 0;
		if (v.len)
			memcpy(p, v.s, v.len);
		p += v.len;
	}
	return (struct text){ to, len };
}

/* Of a text that may lie in the room above: as long as the set. */
static struct text lasting(const struct relabel_set *set, struct text t, const char *room)
{
	return t.s == room && t.len ? (struct text){ arena_dup(set->arena, t.s, t.len), t.len } : t;
}

static enum rex_result matches(const struct step *s, struct text v)
{
	return s->any ? REX_YES : rex_match(s->regex, v.s, v.len);
}

/* v matches the regex of s. */
static enum rex_result expand(const struct step *s, const struct relabel_set *set,
    const struct template *t, struct text v, struct text *out)
{
	struct buf b;
	if (t->kind == TEMPLATE_CONST || t->kind == TEMPLATE_WHOLE) {
		*out = t->kind == TEMPLATE_CONST ? t->text : v;
		return REX_YES;
	}
	buf_init(&b);
	enum rex_result m = rex_expand(s->regex, v.s, v.len, t->text.s, t->text.len, &b);
	*out = (struct text){ b.len ? arena_dup(set->arena, b.data, b.len) : "", b.len };
	buf_release(&b);
	return m;
}

static struct text cased(const struct relabel_set *set, struct text v, bool upper)
{
	/* no mapping makes a text longer than twice what it was; what is no UTF-8 becomes U+FFFD */
	char *to = arena_alloc(set->arena, v.len * 3 + 4);
	size_t n = 0;
	for (size_t i = 0; i < v.len;) {
		uint32_t rune = 0xfffd;
		size_t step = rune_decode(v.s + i, v.len - i, &rune);
		n += rune_encode(upper ? rune_upper(rune) : rune_lower(rune), to + n);
		i += step ? step : 1;
	}
	return (struct text){ to, n };
}

/* ---- actions ---- */

static void put(struct relabel_set *set, struct text name, struct text value)
{
	relabel_set_put(set, name.s, name.len, value.s, value.len);
}

static enum relabel_verdict replace(
    const struct step *s, struct relabel_set *set, struct text v, const char *room)
{
	struct text target, value;
	enum rex_result m = matches(s, v);
	if (m == REX_NO)
		return RELABEL_KEPT;
	v = lasting(set, v, room);
	if (m != REX_YES || expand(s, set, &s->target, v, &target) != REX_YES ||
	    expand(s, set, &s->replacement, v, &value) != REX_YES)
		return RELABEL_LIMIT;
	if (target.len && rune_valid(target.s, target.len))
		put(set, target, value);
	return RELABEL_KEPT;
}

static void hashmod(const struct step *s, struct relabel_set *set, struct text v)
{
	uint8_t digest[16];
	uint64_t n = 0;
	char digits[24];
	md5(v.s, v.len, digest);
	for (unsigned i = 8; i < 16; i++)
		n = n << 8 | digest[i];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)(n % s->modulus));
	put(set, s->target.text,
	    (struct text){ arena_dup(set->arena, digits, (size_t)len), (size_t)len });
}

/* The labels of now, in their order. */
static struct label *list_of(const struct relabel_set *set, size_t *count)
{
	struct label *list = arena_array(set->arena, set->count, sizeof(*list));
	*count = 0;
	for (size_t i = 0; i < set->count; i++)
		if (set->items[i].value)
			list[(*count)++] = set->items[i];
	return list;
}

/* Is there a label whose name matches (when), or does not; or one of which nobody knows? */
static bool touches_a_name(const struct step *s, const struct relabel_set *set, bool when)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct label *l = &set->items[i];
		if (!l->value)
			continue;
		enum rex_result m = matches(s, (struct text){ l->name, l->name_len });
		if (m == REX_LIMIT || (m == REX_YES) == when)
			return true;
	}
	return false;
}

static enum relabel_verdict labelmap(const struct step *s, struct relabel_set *set)
{
	size_t count;
	if (!touches_a_name(s, set, true))
		return RELABEL_KEPT;
	const struct label *list = list_of(set, &count);
	for (size_t i = 0; i < count; i++) {
		const struct text name = { list[i].name, list[i].name_len };
		struct text to = { 0 };
		enum rex_result m = matches(s, name);
		if (m == REX_YES)
			m = expand(s, set, &s->replacement, name, &to);
		if (m == REX_LIMIT)
			return RELABEL_LIMIT;
		if (m == REX_YES)
			put(set, to, (struct text){ list[i].value, list[i].value_len });
	}
	return RELABEL_KEPT;
}

/* Labels go whose name matches (on), or does not. */
static enum relabel_verdict labeldrop(const struct step *s, struct relabel_set *set, bool on)
{
	size_t count;
	if (!touches_a_name(s, set, on))
		return RELABEL_KEPT;
	const struct label *list = list_of(set, &count);
	for (size_t i = 0; i < count; i++) {
		enum rex_result m = matches(s, (struct text){ list[i].name, list[i].name_len });
		if (m == REX_LIMIT)
			return RELABEL_LIMIT;
		if ((m == REX_YES) == on)
			relabel_set_del(set, list[i].name, list[i].name_len);
	}
	return RELABEL_KEPT;
}

static enum relabel_verdict keep_when(enum rex_result m, enum rex_result want)
{
	return m == REX_LIMIT ? RELABEL_LIMIT : m == want ? RELABEL_KEPT : RELABEL_DROPPED;
}

static bool equals_target(const struct step *s, const struct relabel_set *set, struct text v)
{
	const struct text t = value_of(set, &s->target.text);
	return t.len == v.len && (!v.len || memcmp(t.s, v.s, v.len) == 0);
}

static enum relabel_verdict apply(const struct step *s, struct relabel_set *set)
{
	char room[JOINED_FIRST];
	const struct text v = joined(s, set, room);
	switch (s->action) {
	case RELABEL_REPLACE:
		return replace(s, set, v, room);
	case RELABEL_KEEP:
		return keep_when(matches(s, v), REX_YES);
	case RELABEL_DROP:
		return keep_when(matches(s, v), REX_NO);
	case RELABEL_KEEPEQUAL:
		return equals_target(s, set, v) ? RELABEL_KEPT : RELABEL_DROPPED;
	case RELABEL_DROPEQUAL:
		return equals_target(s, set, v) ? RELABEL_DROPPED : RELABEL_KEPT;
	case RELABEL_HASHMOD:
		hashmod(s, set, v);
		break;
	case RELABEL_LABELMAP:
		return labelmap(s, set);
	case RELABEL_LABELDROP:
		return labeldrop(s, set, true);
	case RELABEL_LABELKEEP:
		return labeldrop(s, set, false);
	case RELABEL_LOWERCASE:
	case RELABEL_UPPERCASE:
		put(set, s->target.text, cased(set, v, s->action == RELABEL_UPPERCASE));
		break;
	case RELABEL_ACTIONS:
		break;
	}
	return RELABEL_KEPT;
}

enum relabel_verdict relabel_apply_one(const struct relabel *r, size_t i, struct relabel_set *s)
{
	return apply(&r->steps[i], s);
}

enum relabel_verdict relabel_apply(const struct relabel *r, struct relabel_set *s)
{
	for (size_t i = 0; i < r->count; i++) {
		enum relabel_verdict v = apply(&r->steps[i], s);
		if (v != RELABEL_KEPT)
			return v;
	}
	return RELABEL_KEPT;
}
