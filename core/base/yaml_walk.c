/* yaml_walk - values from the tree into structs, row by row. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/near.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/base/yaml_priv.h"

#define KNOWN_MAX    256 /* keys of one map, words of one row, that may be near */
#define KNOWN_SHOWN  12  /* of them all are told when they are no more */
#define QUOTED_SHOWN 60  /* characters of a value, in an error */

/* ---- words for errors ---- */

/* "5x" in quotes, cut. */
struct quoted {
	char text[QUOTED_SHOWN * 4 + 8];
};
static const char *quote(const char *s, size_t len, struct quoted *q)
{
	size_t n = rune_cut(s, len, QUOTED_SHOWN);
	rune_printf(q->text, sizeof(q->text), "\"%.*s%s\"", (int)n, s, n < len ? "..." : "");
	return q->text;
}

static const char *a_kind(enum yaml_kind k)
{
	switch (k) {
	case YAML_TEXT:
		return "a text";
	case YAML_PATH:
	case YAML_SECRET:
		return "the path of a file";
	case YAML_BOOL:
		return "true or false";
	case YAML_COUNT:
	case YAML_UNSIGNED:
		return "a whole number";
	case YAML_BYTES:
		return "a size such as 1048576, 64MiB or 1GiB";
	case YAML_DURATION:
		return "a duration such as 15s, 1h30m or 30d";
	case YAML_WORD:
		return "one of its words";
	case YAML_WORDS:
		return "a list of words";
	case YAML_TEXTS:
		return "a list of texts";
	case YAML_ITEMS:
		return "a list of maps (\"- key: value\")";
	case YAML_IN:
	case YAML_NAMED:
	case YAML_OTHERS:
	case YAML_OWN:
		break;
	}
	return "a map (lines of \"key: value\")";
}

static const char *a_type(const struct yaml_node *n)
{
	switch (n->type) {
	case YAML_NULL:
		return "nothing";
	case YAML_SCALAR:
		return "a single value";
	case YAML_LIST:
		return "a list";
	case YAML_MAP:
		return "a map";
	}
	return "";
}

static bool fail_kind(struct yaml *y, const struct yaml_node *n, enum yaml_kind k)
{
	struct quoted q;
	if (n->bad)
		return false;
	if (n->type == YAML_SCALAR)
		return yaml_fail(y, n, "%s is not %s", quote(n->text, n->len, &q), a_kind(k));
	if (n->type == YAML_NULL)
		return yaml_fail_key(y, n,
		    "nothing stands behind it, %s is needed (without the line: the default)",
		    a_kind(k));
	return yaml_fail(y, n, "this is %s, %s is needed", a_type(n), a_kind(k));
}

/* ", known: a, b, c" when they are few. */
static const char *known_text(const char *const *words, size_t count, char *out, size_t size)
{
	size_t len = 0;
	out[0] = 0;
	for (size_t i = 0; count <= KNOWN_SHOWN && i < count; i++)
		len += rune_printf(out + len, size - len, "%s%s", i ? ", " : ", known: ", words[i]);
	return out;
}

static const char *hint(
    const char *s, size_t len, const char *const *words, size_t count, char *out, size_t size)
{
	const char *near = near_word(s, len, words, count);
	if (!near)
		return known_text(words, count, out, size);
	rune_printf(out, size, ", did you mean %s?", near);
	return out;
}

/* ---- numbers ---- */

enum err yaml_parse_bytes(const char *s, size_t len, uint64_t *out)
{
	static const struct {
		const char *unit;
		unsigned shift;
	} units[] = { { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 }, { "TiB", 40 }, { "KB", 10 },
		{ "MB", 20 }, { "GB", 30 }, { "TB", 40 }, { "B", 0 }, { "", 0 } };
	size_t digits = 0;
	while (digits < len && s[digits] >= '0' && s[digits] <= '9')
		digits++;
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		size_t n = strlen(units[i].unit);
		if (len - digits != n || memcmp(s + digits, units[i].unit, n))
			continue;
		enum err e = num_parse_u64(s, digits, out);
		if (e || *out > (UINT64_MAX >> units[i].shift))
			return ERR_MALFORMED;
		*out <<= units[i].shift;
		return ERR_OK;
	}
	return ERR_MALFORMED;
}

size_t yaml_number(enum yaml_kind kind, uint64_t v, char *out)
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;
	if (kind == YAML_DURATION) {
		size_t n = num_fmt_duration((int64_t)v, out);
		out[n] = 0;
		return n;
	}
	for (; kind == YAML_BYTES && v && v % 1024 == 0 && unit + 1 < COUNT_OF(units); unit++)
		v /= 1024;
	return (size_t)snprintf(out, 32, "%" PRIu64 "%s", v, units[unit]);
}

static bool parse_number(enum yaml_kind kind, const struct yaml_node *n, uint64_t *out)
{
	int64_t ms;
	if (kind == YAML_BYTES)
		return !yaml_parse_bytes(n->text, n->len, out);
	if (kind != YAML_DURATION)
		return !num_parse_u64(n->text, n->len, out);
	if (num_parse_duration(n->text, n->len, &ms) || ms < 0)
		return false;
	*out = (uint64_t)ms;
	return true;
}

static bool set_number(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	uint64_t v = 0, most = row->most ? row->most : row->least ? UINT64_MAX : 0;
	char bound[32];
	struct quoted q;
	if (n->type != YAML_SCALAR || !parse_number(row->kind, n, &v))
		return fail_kind(y, n, row->kind);
	if (!most)
		most = row->kind == YAML_UNSIGNED ? UINT32_MAX : UINT64_MAX;
	bool later = !v && (row->flags & YAML_LATER);
	if (!later && (v < row->least || v > most)) {
		yaml_number(row->kind, v < row->least ? row->least : most, bound);
		return yaml_fail(y, n, "%s is %s than %s", quote(n->text, n->len, &q),
		    v < row->least ? "less" : "more", bound);
	}
	if (row->kind == YAML_UNSIGNED)
		*(unsigned *)at = (unsigned)v;
	else
		*(uint64_t *)at = v;
	return true;
}

/* ---- texts and words ---- */

static char *keep_text(struct yaml *y, const char *s, size_t len)
{
	return arena_strndup(&y->keep->arena, s, len);
}

static bool text_fits(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row)
{
	struct quoted q;
	if (n->type != YAML_SCALAR)
		return fail_kind(y, n, row->kind);
	if (!n->len)
		return yaml_fail(y, n, "an empty text, %s is needed", a_kind(row->kind));
	if (memchr(n->text, 0, n->len))
		return yaml_fail(y, n, "a byte of value 0 is no part of a text");
	if (row->most && n->len > row->most)
		return yaml_fail(y, n, "%s is %u bytes long, more than %" PRIu64,
		    quote(n->text, n->len, &q), (unsigned)n->len, row->most);
	return true;
}

static bool set_text(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	if (!text_fits(y, n, row))
		return false;
	*(const char **)at = keep_text(y, n->text, n->len);
	return true;
}

/* Relative to the folder of the configuration. */
static const char *path_of(struct yaml *y, const struct yaml_node *n)
{
	struct yaml_keep *k = y->keep;
	const char *slash = strrchr(y->name, '/');
	const char *path = n->text[0] == '/' || !slash
	    ? keep_text(y, n->text, n->len)
	    : arena_printf(&k->arena, "%.*s/%s", (int)(slash - y->name), y->name, n->text);
	k->paths = mem_array(k->paths, k->paths_count + 1, sizeof(*k->paths));
	k->paths[k->paths_count++] = path;
	return path;
}

static bool set_secret(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_keep *k = y->keep;
	struct secret *s;
	struct errbuf eb;
	errbuf_init(&eb);
	if (!text_fits(y, n, row))
		return false;
	if (secret_read(path_of(y, n), &s, &eb))
		return yaml_fail(y, n, "%s", eb.text);
	k->secrets = mem_array(k->secrets, k->secrets_count + 1, sizeof(struct secret *));
	k->secrets[k->secrets_count++] = s;
	*(struct secret **)at = s;
	return true;
}

static size_t words_count(const char *const *words)
{
	size_t n = 0;
	while (words[n])
		n++;
	return n;
}

static bool find_word(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, unsigned *out)
{
	struct quoted q;
	char more[512];
	size_t count = words_count(row->words);
	if (n->type != YAML_SCALAR)
		return fail_kind(y, n, YAML_WORD);
	for (unsigned i = 0; i < count; i++) {
		if (strlen(row->words[i]) == n->len && !memcmp(row->words[i], n->text, n->len)) {
			*out = i;
			return true;
		}
	}
	return yaml_fail(y, n, "unknown word %s%s", quote(n->text, n->len, &q),
	    hint(n->text, n->len, row->words, count, more, sizeof(more)));
}

static bool set_words(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	unsigned mask = 0, which = 0;
	bool fine = true;
	if (n->type == YAML_MAP || (n->type == YAML_NULL && n->bad))
		return fail_kind(y, n, row->kind);
	if (n->type == YAML_SCALAR) {
		fine = find_word(y, n, row, &which);
		mask = 1u << which;
	}
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		if (find_word(y, c, row, &which))
			mask |= 1u << which;
		else
			fine = false;
	}
	if (fine)
		*(unsigned *)at = mask;
	return fine;
}

static bool set_texts(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_row each = *row;
	bool fine = true, single = n->type == YAML_SCALAR;
	each.kind = YAML_TEXT;
	if (n->type == YAML_MAP)
		return fail_kind(y, n, row->kind);
	size_t count = single ? 1 : n->count, i = 0;
	const char **texts = arena_array(&y->keep->arena, count ? count : 1, sizeof(char *));
	if (single)
		fine = set_text(y, n, &each, &texts[0]);
	for (const struct yaml_node *c = n->first; c; c = c->next)
		fine &= set_text(y, c, &each, &texts[i++]);
	if (fine)
		*(struct yaml_texts *)at = (struct yaml_texts){ texts, count };
	return fine;
}

/* YAML 1.2, 10.3.2: templates write True as well. */
static bool is_word_of(const struct yaml_node *n, const char *const words[3])
{
	for (size_t i = 0; n->type == YAML_SCALAR && i < 3; i++)
		if (strlen(words[i]) == n->len && !memcmp(words[i], n->text, n->len))
			return true;
	return false;
}

static bool set_bool(struct yaml *y, const struct yaml_node *n, void *at)
{
	static const char *const yes_words[] = { "true", "True", "TRUE" };
	static const char *const no_words[] = { "false", "False", "FALSE" };
	bool yes = is_word_of(n, yes_words), no = is_word_of(n, no_words);
	if (!yes && !no)
		return fail_kind(y, n, YAML_BOOL);
	*(bool *)at = yes;
	return true;
}

/* ---- maps ---- */

static bool is_map(struct yaml *y, const struct yaml_node *n)
{
	return n->type == YAML_MAP || (n->type == YAML_NULL && !n->bad) || fail_kind(y, n, YAML_IN);
}

static bool read_item(
    struct yaml *y, const struct yaml_node *n, const struct yaml_schema *s, void *item)
{
	memset(item, 0, s->size);
	if (s->usual)
		s->usual(item);
	if (n->key && s->name_off != SIZE_MAX)
		*(const char **)(void *)((char *)item + s->name_off) =
		    keep_text(y, n->key, n->key_len);
	bool fine = !n->key || !s->name_ok || s->name_ok(y, n);
	return is_map(y, n) && yaml_walk(y, n, s, item) && fine;
}

static void *items_room(struct yaml *y, size_t count, const struct yaml_schema *s)
{
	return arena_array(&y->keep->arena, count ? count : 1, s->size);
}

static bool set_items(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	bool named = row->kind == YAML_NAMED, fine = true;
	size_t i = 0;
	if (n->type == YAML_SCALAR || n->bad || n->type == (named ? YAML_LIST : YAML_MAP))
		return fail_kind(y, n, row->kind);
	struct yaml_items *out = at;
	char *items = items_room(y, n->count, row->sub);
	for (const struct yaml_node *c = n->first; c; c = c->next)
		fine &= read_item(y, c, row->sub, items + row->sub->size * i++);
	*out = (struct yaml_items){ items, n->count };
	return fine;
}

static const struct yaml_row *row_of(const struct yaml_schema *s, const struct yaml_node *n)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct yaml_row *row = &s->rows[i];
		if (row->kind != YAML_OTHERS && strlen(row->key) == n->key_len &&
		    !memcmp(row->key, n->key, n->key_len))
			return row;
	}
	return NULL;
}

static const struct yaml_row *others_of(const struct yaml_schema *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->rows[i].kind == YAML_OTHERS)
			return &s->rows[i];
	return NULL;
}

static bool fail_unknown(struct yaml *y, const struct yaml_schema *s, const struct yaml_node *n)
{
	const char *keys[KNOWN_MAX];
	char more[512];
	size_t count = 0;
	for (size_t i = 0; i < s->count && count < KNOWN_MAX; i++)
		keys[count++] = s->rows[i].key;
	return yaml_fail_key(
	    y, n, "unknown key%s", hint(n->key, n->key_len, keys, count, more, sizeof(more)));
}

bool yaml_set(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	unsigned which = 0;
	switch (row->kind) {
	case YAML_TEXT:
		return set_text(y, n, row, at);
	case YAML_PATH:
		if (!text_fits(y, n, row))
			return false;
		*(const char **)at = path_of(y, n);
		return true;
	case YAML_BOOL:
		return set_bool(y, n, at);
	case YAML_COUNT:
	case YAML_UNSIGNED:
	case YAML_BYTES:
	case YAML_DURATION:
		return set_number(y, n, row, at);
	case YAML_WORD:
		if (!find_word(y, n, row, &which))
			return false;
		*(unsigned *)at = which;
		return true;
	case YAML_WORDS:
		return set_words(y, n, row, at);
	case YAML_TEXTS:
		return set_texts(y, n, row, at);
	case YAML_IN:
		return is_map(y, n) && yaml_walk(y, n, row->sub, at);
	case YAML_ITEMS:
	case YAML_NAMED:
		return set_items(y, n, row, at);
	case YAML_SECRET:
		return set_secret(y, n, row, at);
	case YAML_OTHERS:
	case YAML_OWN:
		break;
	}
	return true;
}

static bool walk_one(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *out)
{
	void *at = (char *)out + row->off;
	return yaml_set(y, n, row, at) && (!row->set || row->set(y, n, row, at));
}

static bool is_other(const struct yaml_schema *s, const struct yaml_node *n)
{
	return !row_of(s, n);
}

/* The keys that no row names, when the schema has a row for them. */
static bool walk_others(struct yaml *y, const struct yaml_node *map, const struct yaml_schema *s,
    const struct yaml_row *row, void *out)
{
	size_t count = 0, i = 0;
	bool fine = true;
	for (const struct yaml_node *n = map->first; n; n = n->next)
		count += is_other(s, n);
	char *items = items_room(y, count, row->sub);
	for (const struct yaml_node *n = map->first; n; n = n->next)
		if (is_other(s, n))
			fine &= read_item(y, n, row->sub, items + row->sub->size * i++);
	*(struct yaml_items *)(void *)((char *)out + row->off) = (struct yaml_items){ items, count };
	return fine;
}

static bool needs_are_met(struct yaml *y, const struct yaml_node *map, const struct yaml_schema *s)
{
	bool fine = true;
	for (size_t i = 0; i < s->count; i++)
		if ((s->rows[i].flags & YAML_NEEDED) && !yaml_child(map, s->rows[i].key))
			fine = yaml_fail(y, map, "the key %s is missing", s->rows[i].key);
	return fine;
}

bool yaml_walk(struct yaml *y, const struct yaml_node *map, const struct yaml_schema *s, void *out)
{
	const struct yaml_row *others = others_of(s);
	bool fine = true;
	for (const struct yaml_node *n = map->first; n; n = n->next) {
		const struct yaml_row *row = row_of(s, n);
		if (row)
			fine &= walk_one(y, n, row, out);
		else if (!others && !n->bad)
			fine = fail_unknown(y, s, n);
	}
	if (others)
		fine &= walk_others(y, map, s, others, out);
	fine &= needs_are_met(y, map, s);
	return fine && (!s->check || s->check(y, map, out));
}
