/*
 * config_server - every flag of the command line as a key of the file: the rows of flags_table.c,
 * sorted into maps by what stands before the dot of their keys.
 */
#include <stdio.h>
#include <string.h>

#include "net/daemon/config.h"
#include "net/daemon/flags_priv.h"

#define FLAGS_OFF offsetof(struct config, flags)

/* ---- kinds of their own ---- */

static bool set_format(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_row word = *row;
	unsigned which = 0;
	word.kind = YAML_WORD;
	if (!yaml_set(y, n, &word, &which))
		return false;
	*(bool *)at = which == 1;
	return true;
}

static bool show_format(struct buf *out, const struct yaml_row *row, const void *at)
{
	buf_add_str(out, row->words[*(const bool *)at]);
	return true;
}

static bool show_features(struct buf *out, const struct yaml_row *row, const void *at)
{
	const struct flags *f = at;
	bool any = f->features_named[0];
	(void)row;
	if (any)
		buf_printf(out, "[%s]", f->features_named);
	return any;
}

/* at: struct flags. A name that is not known here is no error, as on the command line. */
static bool set_features(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_row list = *row;
	struct yaml_texts names = { NULL, 0 };
	list.kind = YAML_TEXTS;
	if (!yaml_set(y, n, &list, &names))
		return false;
	for (size_t i = 0; i < names.count; i++)
		flags_set_features(at, names.texts[i]);
	return true;
}

/* As the command line has it, with commas between. */
static bool set_list(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_row list = *row;
	struct yaml_texts texts = { NULL, 0 };
	struct buf b;
	list.kind = YAML_TEXTS;
	if (!yaml_set(y, n, &list, &texts))
		return false;
	buf_init(&b);
	for (size_t i = 0; i < texts.count; i++)
		buf_printf(&b, "%s%s", i ? "," : "", texts.texts[i]);
	if (texts.count)
		*(const char **)at =
		    arena_strndup(&yaml_keep_of(y)->arena, (const char *)b.data, b.len);
	buf_release(&b);
	return true;
}

static bool show_list(struct buf *out, const struct yaml_row *row, const void *at)
{
	const char *text = *(const char *const *)at;
	(void)row;
	for (const char *s = text; s && *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ',')) {
		char one[256];
		snprintf(one, sizeof(one), "%.*s", (int)strcspn(s, ","), s);
		buf_add_str(out, s == text ? "[" : ", ");
		yaml_put_text(out, one);
	}
	if (text && *text)
		buf_add_u8(out, ']');
	return text && *text;
}

/* ---- rows ---- */

static const char *const *words_of(struct arena *a, const char *const *words, size_t count)
{
	const char **out = arena_array(a, count + 1, sizeof(char *));
	memcpy(out, words, count * sizeof(char *));
	out[count] = NULL;
	return out;
}

static void kind_of(struct arena *a, const struct flag *f, struct yaml_row *row)
{
	switch (f->kind) {
	case FLAG_TEXT:
		row->kind = YAML_TEXT;
		return;
	case FLAG_PATH:
		row->kind = YAML_PATH;
		return;
	case FLAG_LIST:
		row->kind = YAML_OWN;
		row->set = set_list;
		row->show = show_list;
		row->shape = "[CIDR, ...]";
		return;
	case FLAG_UNSIGNED:
		row->kind = YAML_UNSIGNED;
		return;
	case FLAG_COUNT:
		row->kind = YAML_COUNT;
		return;
	case FLAG_BYTES:
		row->kind = YAML_BYTES;
		return;
	case FLAG_DURATION:
		row->kind = YAML_DURATION;
		return;
	case FLAG_SWITCH:
	case FLAG_UNSWITCH:
		row->kind = YAML_BOOL;
		return;
	case FLAG_SYNC:
		row->kind = YAML_WORD;
		row->words = words_of(a, flags_syncs, COUNT_OF(flags_syncs));
		return;
	case FLAG_LEVEL:
		row->kind = YAML_WORD;
		row->words = words_of(a, flags_levels, COUNT_OF(flags_levels));
		return;
	case FLAG_FORMAT:
		row->kind = YAML_OWN;
		row->words = words_of(a, flags_formats, COUNT_OF(flags_formats));
		row->set = set_format;
		row->show = show_format;
		return;
	case FLAG_ACCESS:
		row->kind = YAML_WORD;
		row->words = words_of(a, flags_accesses, COUNT_OF(flags_accesses));
		return;
	case FLAG_SANDBOX:
		row->kind = YAML_WORD;
		row->words = words_of(a, flags_sandboxes, COUNT_OF(flags_sandboxes));
		return;
	case FLAG_FEATURES:
		row->kind = YAML_OWN;
		row->set = set_features;
		row->show = show_features;
		return;
	case FLAG_LISTEN:
		break;
	}
	CHECK(!"a flag of this kind has no key");
}

/* A switch that turns something off is a key that turns it on. */
static const char *help_of(const struct flag *f)
{
	static const char off[] = "do not ";
	bool negative = f->kind == FLAG_UNSWITCH && !strncmp(f->help, off, sizeof(off) - 1);
	return f->help + (negative ? sizeof(off) - 1 : 0);
}

static void row_of(struct arena *a, const struct flag *f, const char *key, struct yaml_row *row)
{
	*row = (struct yaml_row){ .key = arena_strndup(a, key, strlen(key)),
		.off = FLAGS_OFF + f->off,
		.help = help_of(f),
		.shape = f->arg,
		.least = f->least,
		.most = f->most,
		.flags = (f->limit && !f->usual ? YAML_LATER : 0) |
		    (flag_is_start(f) ? YAML_START : 0) };
	kind_of(a, f, row);
}

/* ---- sections ---- */

struct sections {
	struct arena *a;
	struct yaml_row *rows; /* of the file */
	size_t count;
};
STATIC(offsetof(struct config, flags) > 0);

static struct yaml_row *section_of(struct sections *s, const char *key, size_t len)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->rows[i].sub && strlen(s->rows[i].key) == len &&
		    !memcmp(s->rows[i].key, key, len))
			return &s->rows[i];
	struct yaml_schema *sub = arena_zalloc(s->a, sizeof(*sub));
	sub->rows = arena_array(s->a, flags_count, sizeof(struct yaml_row));
	struct yaml_row *row = &s->rows[s->count++];
	*row = (struct yaml_row){ .key = arena_strndup(s->a, key, len),
		.kind = YAML_IN,
		.sub = sub,
		.help = flag_section_help(key, len) };
	return row;
}

static void add_flag(struct sections *s, const struct flag *f)
{
	char key[FLAG_KEY_MAX];
	if (!*flag_key(f, key))
		return;
	size_t dot = strcspn(key, ".");
	if (!key[dot]) {
		row_of(s->a, f, key, &s->rows[s->count++]);
		return;
	}
	/* Made in this arena, by section_of. */
	struct yaml_schema *sub = (struct yaml_schema *)(uintptr_t)section_of(s, key, dot)->sub;
	row_of(s->a, f, key + dot + 1, (struct yaml_row *)(uintptr_t)&sub->rows[sub->count++]);
}

void config_server_rows(struct arena *a, struct yaml_row *rows, size_t *count)
{
	struct sections s = { .a = a, .rows = rows, .count = *count };
	for (size_t i = 0; i < flags_count; i++)
		add_flag(&s, &flags_table[i]);
	*count = s.count;
}
