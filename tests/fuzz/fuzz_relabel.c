/*
 * Lists of rules and label sets made of any bytes: what core/model/relabel makes of them, one rule
 * by one and all at once, is what a second, simple implementation makes: C strings, a list of
 * labels that were there and a list of those that were set, the regular expressions of libc, the
 * MD5 of OpenSSL. Bytes as a label set alone: they are refused, or come back as they were.
 */
#include "core/model/relabel.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                    \
 do {                                                                                              \
  if (!(x)) {                                                                                      \
   fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                         \
   abort();                                                                                        \
  }                                                                                                \
 } while (0)
#define ITEMS 64
#define TEXT  512

static const char *const names[] = { "a", "b", "ab", "x_a", "x_b", "x_ab", "__name__", "X", "z" };
static const char *const regexes[] = { "(.*)", "a", "a|b", "a(.*)", "(.)(.*)", "[ab]+",
	"([^b]*)b(.*)", ".+", "", "x_(.+)", "(a)|(b)c", "a.*", ".*b", ".*X.*", "__name__|a",
	"(.*);(.*)" };
static const char *const templates[] = { "$1", "", "c", "$2", "${1}_x", "a$1b", "$$", "$0", "x_$1",
	"$2$1", "${9}", "$", "a${", "$1;$2", "__name__", "${0}" };
static const char *const separators[] = { ";", "", "__", "$1" };

struct input {
	const uint8_t *p, *end;
};

static unsigned byte(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

#define PICK(in, list) (list)[byte(in) % (sizeof(list) / sizeof((list)[0]))]

/* ---- the simple implementation ---- */

struct item {
	char name[TEXT], value[TEXT];
};
struct plain {
	struct item base[ITEMS], add[ITEMS];
	size_t base_count, add_count;
};

static struct item *plain_find(struct item *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i].name, name))
			return &list[i];
	return NULL;
}

static const char *plain_get(struct plain *p, const char *name)
{
	struct item *i = plain_find(p->add, p->add_count, name);
	if (!i)
		i = plain_find(p->base, p->base_count, name);
	return i ? i->value : "";
}

static void take_out(struct item *list, size_t *count, struct item *i)
{
	memmove(i, i + 1, (size_t)(list + *count - (i + 1)) * sizeof(*i));
	(*count)--;
}

static void plain_set(struct plain *p, const char *name, const char *value)
{
	struct item *base = plain_find(p->base, p->base_count, name);
	struct item *add = plain_find(p->add, p->add_count, name);
	if (base)
		take_out(p->base, &p->base_count, base);
	if (!*value) {
		if (add)
			take_out(p->add, &p->add_count, add);
		return;
	}
	if (!add) {
		MUST(p->add_count < ITEMS);
		add = &p->add[p->add_count++];
		snprintf(add->name, TEXT, "%s", name);
	}
	snprintf(add->value, TEXT, "%s", value);
}

struct match {
	regmatch_t groups[10];
	const char *text;
};

static bool plain_match(const char *regex, const char *text, struct match *m)
{
	char whole[TEXT];
	regex_t re;
	snprintf(whole, sizeof(whole), "^(%s)$", *regex ? regex : "x{0}");
	MUST(!regcomp(&re, whole, REG_EXTENDED));
	bool hit = !regexec(&re, text, 10, m->groups, 0);
	m->text = text;
	regfree(&re);
	return hit;
}

/* Group n of the expression: 0 is all of it, which is the first pair of parentheses here. */
static void put_group(const struct match *m, int n, char *out)
{
	if (n > 8 || m->groups[n + 1].rm_so < 0)
		return;
	const regmatch_t *g = &m->groups[n + 1];
	size_t len = (size_t)(g->rm_eo - g->rm_so), at = strlen(out);
	MUST(at + len < TEXT);
	memcpy(out + at, m->text + g->rm_so, len);
	out[at + len] = 0;
}

/* Templates here have one digit at most behind a $, or in braces. */
static void plain_expand(const struct match *m, const char *t, char *out)
{
	out[0] = 0;
	for (; *t; t++) {
		size_t at = strlen(out);
		if (t[0] == '$' && t[1] == '$') {
			t++;
		} else if (t[0] == '$' && t[1] == '{' && isdigit((unsigned char)t[2]) && t[3] == '}') {
			put_group(m, t[2] - '0', out);
			t += 3;
			continue;
		} else if (t[0] == '$' && isdigit((unsigned char)t[1])) {
			/* $1b names a group that is not there */
			if (!isalnum((unsigned char)t[2]) && t[2] != '_')
				put_group(m, t[1] - '0', out);
			for (t++; isalnum((unsigned char)t[1]) || t[1] == '_'; t++)
				;
			continue;
		}
		out[at] = *t;
		out[at + 1] = 0;
	}
}

static void plain_value(struct plain *p, const struct relabel_rule *r, char *out)
{
	size_t n = 0;
	out[0] = 0;
	for (size_t i = 0; i < r->source_labels.count; i++)
		n += (size_t)snprintf(out + n, 4 * TEXT - n, "%s%s",
		    !i                 ? ""
		        : r->separator ? r->separator
		                       : ";",
		    plain_get(p, r->source_labels.texts[i]));
}

static void plain_hashmod(struct plain *p, const struct relabel_rule *r, const char *v)
{
	uint8_t d[16];
	uint64_t n = 0;
	char text[24];
	MUST(EVP_Digest(v, strlen(v), d, NULL, EVP_md5(), NULL) == 1);
	for (int i = 8; i < 16; i++)
		n = n << 8 | d[i];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(n % r->modulus));
	plain_set(p, r->target_label, text);
}

static void plain_names(
    struct plain *p, const struct relabel_rule *r, const char *regex, const char *to)
{
	struct plain was = *p;
	struct match m;
	char name[TEXT];
	for (size_t i = 0; i < was.base_count + was.add_count; i++) {
		const struct item *l =
		    i < was.base_count ? &was.base[i] : &was.add[i - was.base_count];
		bool hit = plain_match(regex, l->name, &m);
		if (r->action == RELABEL_LABELMAP && hit) {
			plain_expand(&m, to, name);
			plain_set(p, name, l->value);
		} else if ((r->action == RELABEL_LABELDROP && hit) ||
		    (r->action == RELABEL_LABELKEEP && !hit)) {
			plain_set(p, l->name, "");
		}
	}
}

/* False: dropped. */
static bool plain_apply(struct plain *p, const struct relabel_rule *r)
{
	const char *regex = r->regex ? r->regex : "(.*)";
	const char *to = r->replacement ? r->replacement : "$1";
	static char v[4 * TEXT];
	char target[TEXT], value[TEXT];
	struct match m;
	plain_value(p, r, v);
	bool hit = plain_match(regex, v, &m);
	switch (r->action) {
	case RELABEL_REPLACE:
		if (!hit)
			return true;
		plain_expand(&m, r->target_label, target);
		plain_expand(&m, to, value);
		if (target[0])
			plain_set(p, target, value);
		return true;
	case RELABEL_KEEP:
		return hit;
	case RELABEL_DROP:
		return !hit;
	case RELABEL_KEEPEQUAL:
		return !strcmp(plain_get(p, r->target_label), v);
	case RELABEL_DROPEQUAL:
		return strcmp(plain_get(p, r->target_label), v) != 0;
	case RELABEL_HASHMOD:
		plain_hashmod(p, r, v);
		return true;
	case RELABEL_LABELMAP:
	case RELABEL_LABELDROP:
	case RELABEL_LABELKEEP:
		plain_names(p, r, regex, to);
		return true;
	case RELABEL_LOWERCASE:
	case RELABEL_UPPERCASE:
		for (char *c = v; *c; c++)
			*c = (char)(r->action == RELABEL_UPPERCASE ? toupper((unsigned char)*c)
			                                           : tolower((unsigned char)*c));
		plain_set(p, r->target_label, v);
		return true;
	case RELABEL_ACTIONS:
		break;
	}
	return true;
}

/* ---- both ---- */

static void same_set(struct arena *a, struct plain *p, struct labels ls)
{
	struct label_builder b;
	label_builder_init(&b, a);
	for (size_t i = 0; i < p->base_count; i++)
		label_builder_set(&b, p->base[i].name, strlen(p->base[i].name), p->base[i].value,
		    strlen(p->base[i].value));
	for (size_t i = 0; i < p->add_count; i++)
		label_builder_set(&b, p->add[i].name, strlen(p->add[i].name), p->add[i].value,
		    strlen(p->add[i].value));
	MUST(label_equal(label_builder_done(&b), ls));
}

static void make_rule(struct input *in, struct arena *a, struct relabel_rule *r)
{
	unsigned said = byte(in);
	const char **sources = arena_array(a, 3, sizeof(*sources));
	*r = (struct relabel_rule){ .action = (enum relabel_action)(byte(in) % RELABEL_ACTIONS) };
	r->source_labels.count = said & 3;
	for (size_t i = 0; i < r->source_labels.count; i++)
		sources[i] = PICK(in, names);
	r->source_labels.texts = r->source_labels.count ? sources : NULL;
	if (said & 4)
		r->regex = PICK(in, regexes);
	if (said & 8)
		r->separator = PICK(in, separators);
	if (said & 16)
		r->replacement = PICK(in, templates);
	if (said & 32)
		r->target_label = said & 128 ? PICK(in, templates) : PICK(in, names);
	if (said & 64)
		r->modulus = byte(in);
}

static void make_labels(struct input *in, struct arena *a, struct plain *p, struct labels *out)
{
	static const char letters[] = "abcX1_;.";
	struct label_builder b;
	label_builder_init(&b, a);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unsigned len = byte(in) % 7;
		char *v = arena_zalloc(a, 8);
		for (unsigned c = 0; c < len; c++)
			v[c] = letters[byte(in) % 8];
		label_builder_set(&b, names[i], strlen(names[i]), v, len);
	}
	*out = label_builder_done(&b);
	struct label_iter it = label_iter(*out);
	struct label l;
	while (label_next(&it, &l)) {
		struct item *i = &p->base[p->base_count++];
		snprintf(i->name, TEXT, "%.*s", (int)l.name_len, l.name);
		snprintf(i->value, TEXT, "%.*s", (int)l.value_len, l.value);
	}
}

static bool too_long(const struct relabel_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].name_len > 40 || (s->items[i].value && s->items[i].value_len > 100))
			return true;
	return s->count > ITEMS / 2;
}

static void both(struct input *in, struct arena *a)
{
	static struct plain p;
	struct relabel_rule rules[6];
	size_t count = byte(in) % 7, kept = 0, bad;
	struct relabel *r;
	struct relabel_set one, all;
	struct labels ls;
	struct errbuf eb;
	bool dropped = false;
	memset(&p, 0, sizeof(p));
	make_labels(in, a, &p, &ls);
	for (size_t i = 0; i < count; i++) {
		errbuf_init(&eb);
		make_rule(in, a, &rules[kept]);
		if (relabel_check(&rules[kept], &eb))
			MUST(eb.text[0]);
		else
			kept++;
	}
	MUST(!relabel_create(rules, kept, &r, &bad, &eb));
	MUST(relabel_set_init(&one, a, ls) && relabel_set_init(&all, a, ls));
	for (size_t i = 0; i < kept && !dropped; i++) {
		enum relabel_verdict v = relabel_apply_one(r, i, &one);
		MUST(v != RELABEL_LIMIT);
		dropped = v == RELABEL_DROPPED;
		MUST(plain_apply(&p, &rules[i]) == !dropped);
		if (!dropped)
			same_set(a, &p, relabel_set_done(&one));
		if (too_long(&one))
			goto out;
	}
	MUST((relabel_apply(r, &all) == RELABEL_DROPPED) == dropped);
	if (!dropped)
		MUST(label_equal(relabel_set_done(&one), relabel_set_done(&all)));
out:
	relabel_free(r);
}

static void any_bytes(const uint8_t *data, size_t size, struct arena *a)
{
	struct relabel_set s;
	struct labels ls = { data, (uint32_t)size };
	if (!relabel_set_init(&s, a, ls))
		return;
	MUST(relabel_set_done(&s).bytes == data);
	relabel_set_put(&s, "fuzz", 4, "1", 1);
	MUST(label_is_canonical(relabel_set_done(&s)));
	relabel_set_del(&s, "fuzz", 4);
	MUST(label_is_canonical(relabel_set_done(&s)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct arena a;
	arena_init(&a, 4096);
	any_bytes(data, size, &a);
	both(&in, &a);
	arena_release(&a);
	return 0;
}
