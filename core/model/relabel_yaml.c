/* relabel_yaml - a rule of relabelling in a file. */
#include "core/base/rune.h"
#include "core/model/relabel.h"

#include <string.h>

#define AT(field) offsetof(struct relabel_rule, field)

/* A text that may be empty. */
static bool set_any_text(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)row;
	if (n->type != YAML_SCALAR)
		return yaml_fail(y, n, "a text is needed");
	if (n->len && memchr(n->text, 0, n->len))
		return yaml_fail(y, n, "a zero byte cannot be");
	*(const char **)at = arena_strndup(&yaml_keep_of(y)->arena, n->text, n->len);
	return true;
}

static bool show_any_text(struct buf *out, const struct yaml_row *row, const void *at)
{
	const char *text = *(const char *const *)at;
	(void)row;
	if (text)
		yaml_put_text(out, text);
	return text != NULL;
}

static bool is_word(const struct yaml_node *n, const char *word)
{
	size_t i = 0;
	for (; i < n->len && word[i]; i++) {
		char c = n->text[i];
		if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[i])
			return false;
	}
	return i == n->len && !word[i];
}

static bool set_action(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)row;
	for (unsigned i = 0; n->type == YAML_SCALAR && i < RELABEL_ACTIONS; i++) {
		if (is_word(n, relabel_action_name[i])) {
			*(enum relabel_action *)at = (enum relabel_action)i;
			return true;
		}
	}
	return n->type == YAML_SCALAR ? yaml_fail(y, n, "unknown relabel action \"%.*s\"",
	                                    (int)rune_cut(n->text, n->len, 100), n->text)
	                              : yaml_fail(y, n, "a word is needed");
}

static bool show_action(struct buf *out, const struct yaml_row *row, const void *at)
{
	(void)row;
	buf_add_str(out, relabel_action_name[*(const enum relabel_action *)at]);
	return true;
}

static bool check(struct yaml *y, const struct yaml_node *n, void *item)
{
	struct errbuf eb;
	errbuf_init(&eb);
	return yaml_failed_in(y, n) || !relabel_check(item, &eb) || yaml_fail(y, n, "%s", eb.text);
}

/* clang-format off */
#define ANY_TEXT .kind = YAML_OWN, .set = set_any_text, .show = show_any_text, .shape = "TEXT"
static const struct yaml_row rows[] = {
	{ .key = "source_labels", .kind = YAML_TEXTS, .off = AT(source_labels), .help = "labels whose values, joined, are matched" },
	{ .key = "separator", ANY_TEXT, .off = AT(separator), .help = "what stands between joined values [;]" },
	{ .key = "regex", ANY_TEXT, .off = AT(regex), .help = "what the values, or the names of labels, must match as a whole [(.*)]" },
	{ .key = "modulus", .kind = YAML_COUNT, .off = AT(modulus), .flags = YAML_LATER, .help = "of hashmod" },
	{ .key = "target_label", .kind = YAML_TEXT, .off = AT(target_label), .help = "label that is set or compared with" },
	{ .key = "replacement", ANY_TEXT, .off = AT(replacement), .help = "value of the target label, with $1 and ${name} of the regex [$1]" },
	{ .key = "action", .kind = YAML_OWN, .off = AT(action), .set = set_action, .show = show_action, .shape = "replace|keep|drop|keepequal|dropequal|hashmod|labelmap|labeldrop|labelkeep|lowercase|uppercase", .help = "what is done [replace]" },
};
/* clang-format on */
const struct yaml_schema relabel_schema = {
	.rows = rows, .count = COUNT_OF(rows), .size = sizeof(struct relabel_rule), .check = check
};
