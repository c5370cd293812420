#include "core/model/relabel.h"

#include <stdlib.h>

#include "core/base/md5.h"
#include "core/base/mem.h"
#include "core/base/rune.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

/* ---- the cases of relabel.json, which other programs are asked, too ---- */

struct a_case {
	const char *name, *since;
	const struct yaml_node *labels, *want;
	struct yaml_items rules;
};
struct cases {
	struct yaml_items list;
};

static bool set_node(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)y;
	(void)row;
	*(const struct yaml_node **)at = n;
	return true;
}

#define CASE(field) offsetof(struct a_case, field)
static const struct yaml_row case_rows[] = {
	{ .key = "name", .kind = YAML_TEXT, .off = CASE(name) },
	{ .key = "since", .kind = YAML_TEXT, .off = CASE(since) },
	{ .key = "labels", .kind = YAML_OWN, .off = CASE(labels), .set = set_node },
	{ .key = "rules", .kind = YAML_ITEMS, .off = CASE(rules), .sub = &relabel_schema },
	{ .key = "want", .kind = YAML_OWN, .off = CASE(want), .set = set_node },
};
static const struct yaml_schema case_schema = {
	.rows = case_rows, .count = COUNT_OF(case_rows), .size = sizeof(struct a_case)
};
static const struct yaml_row rows[] = {
	{ .key = "cases", .kind = YAML_ITEMS, .off = offsetof(struct cases, list), .sub = &case_schema },
};
static const struct yaml_schema schema = { .rows = rows, .count = COUNT_OF(rows) };

static struct labels labels_of(struct arena *a, const struct yaml_node *map)
{
	struct label_builder b;
	label_builder_init(&b, a);
	for (const struct yaml_node *n = map->first; n; n = n->next)
		label_builder_set(&b, n->key, n->key_len, n->text, n->len);
	return label_builder_done(&b);
}

static const char *shown(struct arena *a, struct labels ls)
{
	struct buf b;
	buf_init(&b);
	label_text(&b, ls);
	const char *s = arena_strndup(a, (const char *)b.data, b.len);
	buf_release(&b);
	return s;
}

static const char *result(struct arena *a, const struct relabel *r, struct labels ls)
{
	struct relabel_set set;
	if (!relabel_set_init(&set, a, ls))
		return "bad";
	enum relabel_verdict v = relabel_apply(r, &set);
	return v == RELABEL_LIMIT                             ? "limit"
	    : v == RELABEL_DROPPED || relabel_set_empty(&set) ? "dropped"
	                                                      : shown(a, relabel_set_done(&set));
}

static void run_case(const struct a_case *c)
{
	struct arena a;
	struct errbuf eb;
	struct relabel *r;
	size_t bad;
	errbuf_init(&eb);
	arena_init(&a, 4096);
	if (relabel_create(c->rules.items, c->rules.count, &r, &bad, &eb)) {
		tap_ok(false, "%s: %s", c->name, eb.text);
		return;
	}
	const char *want = c->want && c->want->type == YAML_MAP && c->want->first
	    ? shown(&a, labels_of(&a, c->want))
	    : "dropped";
	tap_is_str(result(&a, r, labels_of(&a, c->labels)), want, "%s", c->name);
	relabel_free(r);
	arena_release(&a);
}

static void t_cases(void)
{
	struct yaml_keep keep;
	struct cases all = { 0 };
	char path[4096];
	snprintf(path, sizeof(path), "%s/tests/unit/core/relabel.json", testlib_src());
	yaml_keep_init(&keep);
	struct yaml *y = yaml_load(path, &keep);
	bool fine = yaml_walk(y, yaml_root(y), &schema, &all);
	if (!fine) {
		struct buf told;
		buf_init(&told);
		yaml_tell(y, &told);
		tap_note("%.*s", (int)told.len, (const char *)told.data);
		buf_release(&told);
	}
	tap_ok(fine && all.list.count >= 60, "relabel.json is read: %zu cases", all.list.count);
	for (size_t i = 0; i < all.list.count; i++)
		run_case((const struct a_case *)all.list.items + i);
	yaml_close(y);
	yaml_keep_release(&keep);
}

/* ---- what is wrong with a rule ---- */

static void is_refused(const char *text, const char *why)
{
	struct yaml_keep keep;
	struct cases all = { 0 };
	char whole[1024];
	struct buf told;
	buf_init(&told);
	snprintf(whole, sizeof(whole), "cases:\n  - {labels: {}, rules: [%s]}\n", text);
	yaml_keep_init(&keep);
	struct yaml *y = yaml_open("x.yml", whole, strlen(whole), &keep);
	bool fine = yaml_walk(y, yaml_root(y), &schema, &all);
	yaml_tell(y, &told);
	buf_add_u8(&told, 0);
	if (why)
		tap_ok(!fine && strstr((char *)told.data, why), "%s: %s: %s", text, why,
		    (char *)told.data);
	else
		tap_ok(fine, "%s may be: %s", text, (char *)told.data);
	buf_release(&told);
	yaml_close(y);
	yaml_keep_release(&keep);
}

static void t_refused(void)
{
	is_refused("{action: hashmod, target_label: x}",
	    "relabel configuration for hashmod requires non-zero modulus");
	is_refused("{source_labels: [a]}",
	    "relabel configuration for replace action requires 'target_label' value");
	is_refused("{action: lowercase, source_labels: [a]}",
	    "relabel configuration for lowercase action requires 'target_label' value");
	is_refused("{action: keepequal, source_labels: [a]}",
	    "relabel configuration for keepequal action requires 'target_label' value");
	is_refused("{action: uppercase, target_label: a, replacement: b}",
	    "'replacement' can not be set for uppercase action");
	is_refused("{action: dropequal, target_label: a, regex: b}",
	    "dropequal action requires only 'source_labels' and `target_label`, and no other fields");
	is_refused("{action: keepequal, target_label: a, separator: b}", "no other fields");
	is_refused("{action: labeldrop, regex: a, source_labels: [b]}",
	    "labeldrop action requires only 'regex', and no other fields");
	is_refused("{action: labelkeep, regex: a, target_label: b}", "no other fields");
	is_refused("{action: labelmap, regex: a, replacement: ''}",
	    "\"\" is invalid 'replacement' for labelmap action");
	is_refused("{action: rename}", "unknown relabel action \"rename\"");
	is_refused("{source_labels: [a], target_label: b, regex: '('}", "error parsing regexp: ");
	is_refused("{source_labels: [a], target_label: b, regexp: 'x'}", "regexp");
	is_refused("{target_label: b, replacement: [x]}", "a text is needed");
	is_refused("{action: labeldrop, regex: a, separator: ;}", NULL);
	is_refused("{action: Keep, source_labels: a, regex: 5}", NULL);
	is_refused("{target_label: a.b-c}", NULL);
}

/* ---- label sets ---- */

static void wire_label(struct buf *b, const char *name, const char *value)
{
	buf_add_u8(b, 0x0a);
	buf_add_u8(b, (uint8_t)(strlen(name) + strlen(value) + 4));
	buf_add_u8(b, 0x0a);
	buf_add_u8(b, (uint8_t)strlen(name));
	buf_add(b, name, strlen(name));
	buf_add_u8(b, 0x12);
	buf_add_u8(b, (uint8_t)strlen(value));
	buf_add(b, value, strlen(value));
}

static struct labels wire_of(const struct buf *b)
{
	return (struct labels){ b->data, (uint32_t)b->len };
}

static void t_sets(void)
{
	struct arena a;
	struct relabel_set s;
	struct buf b;
	arena_init(&a, 4096);
	buf_init(&b);
	wire_label(&b, "b", "2");
	wire_label(&b, "e", "");
	wire_label(&b, "a", "1");
	TAP_OK(relabel_set_init(&s, &a, wire_of(&b)));
	tap_ok(relabel_set_done(&s).bytes == b.data, "bytes that nobody changed are given back");
	tap_ok(!relabel_set_get(&s, "e", 1), "an empty value is none");
	relabel_set_put(&s, "a", 1, "1", 1);
	relabel_set_del(&s, "e", 1);
	tap_ok(!s.changed, "the same value and what was not there change nothing");
	relabel_set_put(&s, "c", 1, "3", 1);
	relabel_set_put(&s, "a", 1, "9", 1);
	tap_is_str(
	    shown(&a, relabel_set_done(&s)), "{a=\"9\", b=\"2\", c=\"3\"}", "sorted at the end");
	relabel_set_del(&s, "a", 1);
	relabel_set_put(&s, "a", 1, "7", 1);
	relabel_set_del(&s, "c", 1);
	tap_is_str(shown(&a, relabel_set_done(&s)), "{a=\"7\", b=\"2\"}", "deleted and set again");
	relabel_set_put(&s, "b", 1, "", 0);
	relabel_set_del(&s, "a", 1);
	TAP_OK(relabel_set_empty(&s));
	wire_label(&b, "a", "2");
	tap_ok(!relabel_set_init(&s, &a, wire_of(&b)), "a name twice");
	buf_clear(&b);
	wire_label(&b, "", "2");
	tap_ok(!relabel_set_init(&s, &a, wire_of(&b)), "a name that is empty");
	buf_clear(&b);
	wire_label(&b, "a", "\xff");
	tap_ok(!relabel_set_init(&s, &a, wire_of(&b)), "no UTF-8");
	buf_clear(&b);
	wire_label(&b, "a", "1");
	wire_label(&b, "\xff", "");
	tap_ok(relabel_set_init(&s, &a, wire_of(&b)), "no UTF-8, but of no value: no label");
	relabel_set_put(&s, "c", 1, "3", 1);
	tap_is_str(shown(&a, relabel_set_done(&s)), "{a=\"1\", c=\"3\"}", "nor is it one at the end");
	buf_clear(&b);
	wire_label(&b, "a", "1");
	tap_ok(
	    !relabel_set_init(&s, &a, (struct labels){ b.data, (uint32_t)b.len - 1 }), "cut bytes");
	TAP_OK(relabel_set_init(&s, &a, (struct labels){ 0 }) && relabel_set_empty(&s));
	buf_clear(&b);
	for (unsigned i = 0; i < 3000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "l%05u", 3000 - i);
		wire_label(&b, name, "v");
	}
	TAP_OK(relabel_set_init(&s, &a, wire_of(&b)));
	relabel_set_put(&s, "z", 1, "v", 1);
	tap_ok(relabel_set_done(&s).len == b.len + 8, "3,001 labels");
	buf_release(&b);
	arena_release(&a);
}

/* A list that does not change a set must not take memory for it. */
static void t_nothing_to_do(void)
{
	const char *const name[] = { "__name__" };
	const struct relabel_rule rules[] = {
		{ .source_labels = { name, 1 }, .regex = "node_.*", .action = RELABEL_DROP },
		{ .source_labels = { name, 1 }, .regex = "a|b|c", .target_label = "x" },
		{ .regex = "tmp_.*", .action = RELABEL_LABELDROP },
		{ .regex = "tmp_(.*)", .action = RELABEL_LABELMAP },
	};
	struct arena a;
	struct relabel *r;
	struct relabel_set s;
	size_t bad;
	struct errbuf eb;
	errbuf_init(&eb);
	arena_init(&a, 4096);
	struct labels ls = label_make(&a, "__name__", "up", "job", "x", "instance", "y", NULL);
	TAP_OK(!relabel_create(rules, COUNT_OF(rules), &r, &bad, &eb));
	const char *at = a._cur;
	TAP_OK(relabel_set_init(&s, &a, ls) && relabel_apply(r, &s) == RELABEL_KEPT);
	tap_ok(relabel_set_done(&s).bytes == ls.bytes && a._cur == at,
	    "four rules that do not match take no memory");
	tap_ok(relabel_rules(r) == 4, "four rules");
	relabel_free(r);
	arena_release(&a);
}

/* ---- what stands below ---- */

static void is_md5(const char *text, const char *want)
{
	uint8_t d[16];
	char hex[33];
	md5(text, strlen(text), d);
	for (unsigned i = 0; i < 16; i++)
		snprintf(hex + (size_t)i * 2, 3, "%02x", d[i]);
	tap_is_str(hex, want, "MD5 of \"%s\"", text);
}

static void t_md5(void)
{
	/* RFC 1321, A.5 */
	is_md5("", "d41d8cd98f00b204e9800998ecf8427e");
	is_md5("a", "0cc175b9c0f1b6a831c399e269772661");
	is_md5("message digest", "f96b697d7cb7938d525a2f31aaf161d0");
	is_md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890",
	    "57edf4a22be3c955ac49da2e2107b67a");
}

static void t_runes(void)
{
	TAP_OK(rune_upper('a') == 'A' && rune_lower('Z') == 'z' && rune_upper('1') == '1');
	TAP_OK(rune_upper(0xe9) == 0xc9 && rune_lower(0x416) == 0x436 && rune_upper(0xff) == 0x178);
	TAP_OK(rune_lower(0x130) == 'i' && rune_upper(0x131) == 'I' && rune_lower(0x212a) == 'k');
	TAP_OK(rune_upper(0x1c5) == 0x1c4 && rune_lower(0x1c5) == 0x1c6 &&
	    rune_upper(0x4e00) == 0x4e00);
	TAP_OK(rune_lower(0x10400) == 0x10428 && rune_upper(0x1e943) == 0x1e921 &&
	    rune_upper(0xdf) == 0xdf);
}

int main(void)
{
	t_cases();
	t_refused();
	t_sets();
	t_nothing_to_do();
	t_md5();
	t_runes();
	return tap_done();
}
