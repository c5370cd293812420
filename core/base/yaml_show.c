/* yaml_show - structs as files, and what may stand in them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/base/yaml.h"

#define SHAPE_MAX 256
#define WRAP_AT   100u /* columns of a comment */

struct show {
	struct buf *out;
	bool help;
	unsigned indent;
	bool muted; /* all that follows is a comment */
	bool dash;  /* the next line begins an item */
};

/* ---- lines ---- */

static void begin_line(struct show *s, bool unset)
{
	if (s->muted || unset)
		buf_add_str(s->out, "#");
	for (unsigned i = s->dash ? 2 : 0; i < s->indent; i++)
		buf_add_u8(s->out, ' ');
	if (s->dash)
		buf_add_str(s->out, "- ");
	s->dash = false;
}

/* "# text", broken at blanks. */
static void comment(struct show *s, const char *text)
{
	size_t room = WRAP_AT - s->indent - 3, len = strlen(text);
	while (len) {
		size_t n = len;
		if (n > room) {
			for (n = room; n && text[n] != ' '; n--)
				;
			n = n ? n : rune_cut(text, len, room);
		}
		if (s->muted)
			buf_add_u8(s->out, '#');
		for (unsigned i = 0; i < s->indent; i++)
			buf_add_u8(s->out, ' ');
		buf_printf(s->out, "# %.*s\n", (int)n, text);
		text += n;
		len -= n;
		for (; len && *text == ' '; len--)
			text++;
	}
}

const char *yaml_shape(const struct yaml_row *row, char *out)
{
	static const char *const shapes[] = { [YAML_TEXT] = "TEXT",
		[YAML_PATH] = "FILE",
		[YAML_BOOL] = "true|false",
		[YAML_COUNT] = "N",
		[YAML_UNSIGNED] = "N",
		[YAML_BYTES] = "BYTES",
		[YAML_DURATION] = "DURATION",
		[YAML_WORD] = "",
		[YAML_WORDS] = "",
		[YAML_TEXTS] = "[TEXT, ...]",
		[YAML_IN] = "a map",
		[YAML_ITEMS] = "a list of maps",
		[YAML_NAMED] = "a map of maps",
		[YAML_OTHERS] = "a map",
		[YAML_SECRET] = "FILE",
		[YAML_OWN] = "" };
	size_t len = 0;
	if (row->shape || !row->words) {
		rune_printf(out, SHAPE_MAX, "%s", row->shape ? row->shape : shapes[row->kind]);
		return out;
	}
	bool many = row->kind == YAML_WORDS;
	len = rune_printf(out, SHAPE_MAX, "%s", many ? "[" : "");
	for (size_t i = 0; row->words[i]; i++)
		len += rune_printf(out + len, SHAPE_MAX - len, "%s%s",
		    !i         ? ""
		        : many ? ", "
		               : "|",
		    row->words[i]);
	rune_printf(out + len, SHAPE_MAX - len, "%s", many ? "]" : "");
	return out;
}

/* ---- values ---- */

/* Letters, digits and some signs, not to be taken for a number, a switch or nothing. */
static bool is_plain(const char *s)
{
	static const char *const words[] = { "true", "false", "null", "Null", "NULL", "~", "yes",
		"no", "on", "off" };
	size_t len = strlen(s);
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (!strcmp(s, words[i]))
			return false;
	if (!len || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/_.", *s))
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-") == len;
}

/* May it stand in a text as it is (YAML 1.2, c-printable), and does it say what it is? */
static bool is_shown_raw(uint32_t rune)
{
	return rune >= 0x20 && rune != '"' && rune != '\\' && (rune < 0x7f || rune >= 0xa0) &&
	    rune != 0x2028 && rune != 0x2029 && rune != 0xfeff && (rune & 0xfffe) != 0xfffe;
}

void yaml_put_text(struct buf *out, const char *s)
{
	size_t len = strlen(s);
	if (is_plain(s)) {
		buf_add_str(out, s);
		return;
	}
	buf_add_u8(out, '"');
	for (size_t i = 0, n; i < len; i += n ? n : 1) {
		uint32_t rune = 0xfffd;
		n = rune_decode(s + i, len - i, &rune);
		if (!n)
			buf_add_str(out, "\\uFFFD");
		else if (is_shown_raw(rune))
			buf_add(out, s + i, n);
		else if (rune == '"' || rune == '\\')
			buf_printf(out, "\\%c", (char)rune);
		else
			buf_printf(out, rune > 0xffff ? "\\U%08X" : "\\u%04X", rune);
	}
	buf_add_u8(out, '"');
}

static void put_texts(struct buf *out, const struct yaml_texts *t)
{
	buf_add_u8(out, '[');
	for (size_t i = 0; i < t->count; i++) {
		buf_add_str(out, i ? ", " : "");
		yaml_put_text(out, t->texts[i]);
	}
	buf_add_u8(out, ']');
}

static void put_words(struct buf *out, const struct yaml_row *row, unsigned mask)
{
	bool any = false;
	buf_add_u8(out, '[');
	for (unsigned i = 0; row->words[i]; i++) {
		if (!(mask & (1u << i)))
			continue;
		buf_printf(out, "%s%s", any ? ", " : "", row->words[i]);
		any = true;
	}
	buf_add_u8(out, ']');
}

static bool put_number(struct buf *out, const struct yaml_row *row, uint64_t v)
{
	char text[32];
	/* What cannot be said is a default that is found later. */
	if (!v && ((row->flags & YAML_LATER) || row->least))
		return false;
	if (row->kind == YAML_DURATION && (int64_t)v < 0)
		return false;
	yaml_number(row->kind, v, text);
	buf_add_str(out, text);
	return true;
}

static bool put_hidden(struct buf *out, const char *text)
{
	if (text)
		buf_add_str(out, SECRET_SHOW);
	return text != NULL;
}

bool yaml_put_value(struct buf *out, const struct yaml_row *row, const void *at)
{
	const struct yaml_texts *texts;
	const char *text;
	switch (row->kind) {
	case YAML_TEXT:
	case YAML_PATH:
		text = *(const char *const *)at;
		if (row->flags & YAML_HIDDEN)
			return put_hidden(out, text);
		if (text && *text)
			yaml_put_text(out, text);
		return text && *text;
	case YAML_BOOL:
		buf_add_str(out, *(const bool *)at ? "true" : "false");
		return true;
	case YAML_COUNT:
	case YAML_BYTES:
	case YAML_DURATION:
		return put_number(out, row, *(const uint64_t *)at);
	case YAML_UNSIGNED:
		return put_number(out, row, *(const unsigned *)at);
	case YAML_WORD:
		buf_add_str(out, row->words[*(const unsigned *)at]);
		return true;
	case YAML_WORDS:
		if (*(const unsigned *)at)
			put_words(out, row, *(const unsigned *)at);
		return *(const unsigned *)at != 0;
	case YAML_TEXTS:
		texts = at;
		if (texts->count)
			put_texts(out, texts);
		return texts->count > 0;
	case YAML_SECRET:
		return put_hidden(out, *(struct secret *const *)at ? "" : NULL);
	case YAML_OWN:
		return row->show && row->show(out, row, at);
	case YAML_IN:
	case YAML_ITEMS:
	case YAML_NAMED:
	case YAML_OTHERS:
		break;
	}
	return false;
}

/* ---- rows ---- */

static void show_rows(struct show *s, const struct yaml_schema *schema, const void *values);

static bool is_shown(const struct yaml_row *row)
{
	return row->kind != YAML_OWN || row->show;
}

static void show_line(struct show *s, const struct yaml_row *row, const void *at)
{
	struct buf value;
	char shape[SHAPE_MAX];
	buf_init(&value);
	bool set = yaml_put_value(&value, row, at);
	if (!set && s->help)
		buf_add_str(&value, yaml_shape(row, shape));
	if (set || s->help) {
		begin_line(s, !set);
		buf_printf(s->out, "%s: %.*s\n", row->key, (int)value.len, (const char *)value.data);
	}
	buf_release(&value);
}

static void show_help(struct show *s, const struct yaml_row *row)
{
	if (!s->help || !row->help)
		return;
	char *text = mem_alloc(strlen(row->help) + 64);
	(void)snprintf(text, strlen(row->help) + 64, "%s%s%s", row->help,
	    row->flags & YAML_NEEDED ? "; needed" : "",
	    row->flags & YAML_START ? "; changes at the next start" : "");
	comment(s, text);
	mem_free(text);
}

static void show_head(struct show *s, const char *key)
{
	begin_line(s, false);
	if (strchr("<", *key) || is_plain(key))
		buf_printf(s->out, "%s:\n", key);
	else {
		yaml_put_text(s->out, key);
		buf_add_str(s->out, ":\n");
	}
}

static const char *name_in(const struct yaml_schema *sub, const void *item)
{
	return *(const char *const *)(const void *)((const char *)item + sub->name_off);
}

/* One item of which nothing is set, as a comment. */
static void show_example(struct show *s, const struct yaml_row *row)
{
	struct show one = *s;
	void *item = mem_zalloc(row->sub->size ? row->sub->size : 1);
	if (row->sub->usual)
		row->sub->usual(item);
	one.muted = true;
	if (row->kind != YAML_OTHERS)
		show_head(&one, row->key);
	if (row->kind == YAML_ITEMS) {
		one.dash = true;
		one.indent += 2;
	} else {
		one.indent += row->kind == YAML_OTHERS ? 0 : 2;
		show_head(&one, row->kind == YAML_OTHERS ? row->key : "<name>");
		one.indent += 2;
	}
	show_rows(&one, row->sub, item);
	mem_free(item);
}

static void show_items(struct show *s, const struct yaml_row *row, const struct yaml_items *list)
{
	unsigned indent = s->indent;
	if (!list->count) {
		if (s->help)
			show_example(s, row);
		return;
	}
	if (row->kind != YAML_OTHERS) {
		show_head(s, row->key);
		s->indent += 2;
	}
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * row->sub->size;
		if (row->kind == YAML_ITEMS) {
			s->dash = true;
		} else {
			show_head(s, name_in(row->sub, item));
			s->indent += 2;
		}
		show_rows(s, row->sub, item);
		s->dash = false;
		if (row->kind != YAML_ITEMS)
			s->indent -= 2;
	}
	s->indent = indent;
}

/* Does anything of the map stand in the file? Else its key would have nothing behind it. */
static void show_map(struct show *s, const struct yaml_row *row, const void *at)
{
	struct buf inside, *out = s->out;
	bool set = !row->show || row->show(NULL, row, at), muted = s->muted;
	if (!set && !s->help)
		return;
	s->muted |= !set;
	buf_init(&inside);
	s->out = &inside;
	s->indent += 2;
	show_rows(s, row->sub, at);
	s->indent -= 2;
	s->out = out;
	if (inside.len) {
		show_head(s, row->key);
		buf_add(out, inside.data, inside.len);
	}
	s->muted = muted;
	buf_release(&inside);
}

static void show_row(struct show *s, const struct yaml_row *row, const void *at)
{
	if (s->help && !s->indent)
		buf_add_u8(s->out, '\n');
	show_help(s, row);
	switch (row->kind) {
	case YAML_IN:
		show_map(s, row, at);
		return;
	case YAML_ITEMS:
	case YAML_NAMED:
	case YAML_OTHERS:
		show_items(s, row, at);
		return;
	case YAML_TEXT:
	case YAML_PATH:
	case YAML_BOOL:
	case YAML_COUNT:
	case YAML_UNSIGNED:
	case YAML_BYTES:
	case YAML_DURATION:
	case YAML_WORD:
	case YAML_WORDS:
	case YAML_TEXTS:
	case YAML_SECRET:
	case YAML_OWN:
		break;
	}
	show_line(s, row, at);
}

static void show_rows(struct show *s, const struct yaml_schema *schema, const void *values)
{
	for (size_t i = 0; i < schema->count; i++)
		if (is_shown(&schema->rows[i]))
			show_row(s, &schema->rows[i], (const char *)values + schema->rows[i].off);
}

void yaml_show(struct buf *out, const struct yaml_schema *s, const void *values)
{
	struct show show = { .out = out };
	show_rows(&show, s, values);
}

void yaml_show_help(struct buf *out, const struct yaml_schema *s, const void *values)
{
	struct show show = { .out = out, .help = true };
	show_rows(&show, s, values);
}
