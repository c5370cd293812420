#include "core/base/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

/* ---- a schema with a row of each kind ---- */

enum colour {
	RED,
	GREEN,
	BLUE
};
struct inner {
	uint64_t rate;
	bool on;
};
struct item {
	const char *name;
	uint64_t weight;
};
struct outer {
	const char *title, *file;
	uint64_t count, bytes;
	int64_t wait_ms;
	unsigned small, mask;
	enum colour colour;
	bool on;
	struct yaml_texts hosts;
	struct inner inner;
	struct yaml_items items, named, others;
	struct secret *secret;
	unsigned own;
};

static bool set_own(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)row;
	if (n->type != YAML_SCALAR || n->len != 3)
		return yaml_fail(y, n, "three letters are needed");
	*(unsigned *)at = n->len;
	return true;
}

static bool name_ok(struct yaml *y, const struct yaml_node *n)
{
	return n->key[0] != '_' || yaml_fail_key(y, n, "a name does not begin with _");
}

static void item_usual(void *item)
{
	((struct item *)item)->weight = 7;
}

static bool inner_check(struct yaml *y, const struct yaml_node *n, void *item)
{
	struct inner *in = item;
	return !in->on || in->rate || yaml_fail(y, n, "on needs a rate");
}

static const char *const colours[] = { "red", "green", "blue", NULL };
#define IN(f)   offsetof(struct inner, f)
#define ITEM(f) offsetof(struct item, f)
#define OUT(f)  offsetof(struct outer, f)
static const struct yaml_row inner_rows[] = {
	{ .key = "rate", .kind = YAML_COUNT, .off = IN(rate), .least = 1, .most = 100 },
	{ .key = "on", .kind = YAML_BOOL, .off = IN(on) },
};
static const struct yaml_schema inner_schema = { .rows = inner_rows,
	.count = COUNT_OF(inner_rows),
	.size = sizeof(struct inner),
	.check = inner_check };
static const struct yaml_row item_rows[] = {
	{ .key = "name", .kind = YAML_TEXT, .off = ITEM(name), .flags = YAML_NEEDED },
	{ .key = "weight", .kind = YAML_COUNT, .off = ITEM(weight) },
};
static const struct yaml_schema item_schema = { .rows = item_rows,
	.count = COUNT_OF(item_rows),
	.size = sizeof(struct item),
	.name_off = SIZE_MAX,
	.usual = item_usual };
static const struct yaml_schema named_schema = { .rows = &item_rows[1],
	.count = 1,
	.size = sizeof(struct item),
	.name_off = ITEM(name),
	.name_ok = name_ok,
	.usual = item_usual };
static const struct yaml_row outer_rows[] = {
	{ .key = "title", .kind = YAML_TEXT, .off = OUT(title), .most = 10 },
	{ .key = "file", .kind = YAML_PATH, .off = OUT(file) },
	{ .key = "count",
	    .kind = YAML_COUNT,
	    .off = OUT(count),
	    .least = 10,
	    .most = 1000,
	    .flags = YAML_LATER },
	{ .key = "bytes", .kind = YAML_BYTES, .off = OUT(bytes), .most = UINT64_C(1) << 40 },
	{ .key = "wait", .kind = YAML_DURATION, .off = OUT(wait_ms), .least = 1000, .most = 86400000 },
	{ .key = "small", .kind = YAML_UNSIGNED, .off = OUT(small) },
	{ .key = "mask", .kind = YAML_WORDS, .off = OUT(mask), .words = colours },
	{ .key = "colour", .kind = YAML_WORD, .off = OUT(colour), .words = colours },
	{ .key = "on", .kind = YAML_BOOL, .off = OUT(on) },
	{ .key = "hosts", .kind = YAML_TEXTS, .off = OUT(hosts) },
	{ .key = "inner", .kind = YAML_IN, .off = OUT(inner), .sub = &inner_schema },
	{ .key = "items", .kind = YAML_ITEMS, .off = OUT(items), .sub = &item_schema },
	{ .key = "named", .kind = YAML_NAMED, .off = OUT(named), .sub = &named_schema },
	{ .key = "secret", .kind = YAML_SECRET, .off = OUT(secret) },
	{ .key = "own", .kind = YAML_OWN, .off = OUT(own), .set = set_own },
};
static const struct yaml_schema outer_schema = {
	.rows = outer_rows, .count = COUNT_OF(outer_rows), .size = sizeof(struct outer)
};

/* ---- reading and telling ---- */

static struct outer out;
static struct yaml_keep keep;
static char told[65536]; /* the errors of the last text */
static size_t failed;
static bool keeping;

static bool read_as(const char *name, const char *text, size_t len)
{
	struct buf b;
	if (keeping)
		yaml_keep_release(&keep);
	yaml_keep_init(&keep);
	keeping = true;
	memset(&out, 0, sizeof(out));
	struct yaml *y = yaml_open(name, text, len, &keep);
	yaml_walk(y, yaml_root(y), &outer_schema, &out);
	buf_init(&b);
	yaml_tell(y, &b);
	(void)snprintf(told, sizeof(told), "%.*s", (int)b.len, (const char *)b.data);
	buf_release(&b);
	failed = yaml_failed(y);
	yaml_close(y);
	return !failed;
}

static bool read_text(const char *text)
{
	return read_as("k.yml", text, strlen(text));
}

static void each_kind(void)
{
	tap_ok(
	    read_text("on: True\ninner: {on: FALSE}\n") && out.on, "switches as YAML 1.2 has them");
	tap_ok(read_text("title: hello\n"
	                 "file: certs/a.pem\n"
	                 "count: 12 # of them\n"
	                 "bytes: 64MiB\n"
	                 "wait: 1m30s\n"
	                 "small: 4294967295\n"
	                 "mask: [red, blue]\n"
	                 "colour: green\n"
	                 "on: true\n"
	                 "hosts: [a, \"b c\"]\n"
	                 "inner: {rate: 100, on: true}\n"
	                 "items:\n- name: one\n- {name: two, weight: 2}\n"
	                 "named:\n  x: {weight: 9}\n  y:\n"
	                 "own: abc\n"),
	    "a text with a row of each kind is read");
	tap_note("%s", told);
	tap_is_str(out.title, "hello", "a text");
	tap_is_str(out.file, "certs/a.pem", "a path beside a configuration without a folder");
	tap_is_u64(out.count, 12, "a number");
	tap_is_u64(out.bytes, 64 << 20, "a size");
	tap_is_i64(out.wait_ms, 90000, "a duration");
	tap_is_u64(out.small, UINT32_MAX, "a small number at its most");
	tap_is_u64(out.mask, 5, "words as bits");
	tap_is_u64(out.colour, GREEN, "a word");
	tap_ok(out.on, "a switch");
	tap_ok(out.hosts.count == 2 && !strcmp(out.hosts.texts[1], "b c"), "a list of texts");
	tap_ok(out.inner.rate == 100 && out.inner.on, "a map in its place");
	struct item *items = out.items.items, *named = out.named.items;
	tap_ok(out.items.count == 2 && items[0].weight == 7 && items[1].weight == 2 &&
	        !strcmp(items[1].name, "two"),
	    "a list of maps, with the defaults of one");
	tap_ok(out.named.count == 2 && !strcmp(named[0].name, "x") && named[0].weight == 9 &&
	        named[1].weight == 7,
	    "a map of maps; an empty one has the defaults");
	tap_is_u64(out.own, 3, "a kind of its own");
}

static void nothing_is_fine(void)
{
	static const char *const texts[] = { "", "\n", "# only a comment\n", "---\n", "{}\n",
		"\xef\xbb\xbfon: true\n", "hosts:\nitems:\n", "count: 0\n", "hosts: a\n",
		"on: true\r\ncount: 12\r\n" };
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		tap_ok(read_text(texts[i]), "text %zu is fine: %s", i, told);
}

static void one_error(void)
{
	read_text("on: true\ninner:\n  rate: 5x # ?\n");
	tap_is_str(told,
	    "k.yml:3:9: inner.rate: \"5x\" is not a whole number\n"
	    "    rate: 5x # ?\n"
	    "          ^\n",
	    "file, line, column, path, sentence, and the line with a caret");
	read_text("# \xc3\xa9\n\xc3\xa9\xc3\xa9: 1\n");
	tap_is_str(told,
	    "k.yml:2:1: \xc3\xa9\xc3\xa9: unknown key\n"
	    "  \xc3\xa9\xc3\xa9: 1\n"
	    "  ^\n",
	    "an unknown key that is near to nothing");
}

/* Each row: a text, and what its errors say. */
static void errors_say(void)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "cuont: 5\n", "k.yml:1:1: cuont: unknown key, did you mean count?" },
		{ "count: 5\n", "k.yml:1:8: count: \"5\" is less than 10" },
		{ "count: 1001\n", "\"1001\" is more than 1000" },
		{ "wait: 2d\n", "\"2d\" is more than 1d" },
		{ "wait: soon\n", "\"soon\" is not a duration such as 15s, 1h30m or 30d" },
		{ "bytes: 5QB\n", "is not a size such as" },
		{ "small: 4294967296\n", "is more than 4294967295" },
		{ "small: -1\n", "\"-1\" is not a whole number" },
		{ "title: abcdefghijk\n", "\"abcdefghijk\" is 11 bytes long, more than 10" },
		{ "title: ''\n", "an empty text, a text is needed" },
		{ "title:\n", "k.yml:1:1: title: nothing stands behind it, a text is needed" },
		{ "title: [a]\n", "this is a list, a text is needed" },
		{ "on: yes\n", "\"yes\" is not true or false" },
		{ "on: tRUE\n", "\"tRUE\" is not true or false" },
		{ "colour: bleu\n", "unknown word \"bleu\", did you mean blue?" },
		{ "colour: 12345\n", "unknown word \"12345\", known: red, green, blue" },
		{ "mask: [red, x123456]\n", "k.yml:1:13: mask[1]: unknown word \"x123456\"" },
		{ "inner: 3\n", "\"3\" is not a map" },
		{ "inner: [3]\n", "this is a list, a map (lines of \"key: value\") is needed" },
		{ "inner: {on: true}\n", "inner: on needs a rate" },
		{ "items: {a: 1}\n", "this is a map, a list of maps" },
		{ "items: [{weight: 1}]\n", "k.yml:1:9: items[0]: the key name is missing" },
		{ "named: [a]\n", "this is a list, a map" },
		{ "named: {_x: {}}\n", "k.yml:1:9: named._x: a name does not begin with _" },
		{ "own: ab\n", "own: three letters are needed" },
		{ "count: 12\non: true\ncount: 13\n",
		    "k.yml:3:1: count: this key stands in line 1 already" },
		{ "title: &a x\n", "k.yml:1:8: anchors (&name) are not taken" },
		{ "title: *a\n", "k.yml:1:8: aliases (*name) are not taken" },
		{ "<<: {on: true}\n", "merge keys (<<) are not taken" },
		{ "count: !!int 12\n", "tags (!name) are not taken" },
		{ "on: true\n---\non: false\n", "k.yml:2:1: a second document (---): one is taken" },
		{ "- a\n", "k.yml:1:1: a configuration is a map" },
		{ "hello\n", "a configuration is a map" },
		{ "{[a]: b}\n", "a key is a plain text, not a map or a list" },
		{ "own: [[[[[[[[[[[[[[1]]]]]]]]]]]]]]\n", "more than 12 levels" },
		{ "title: \"a\\0b\"\n", "a byte of value 0 is no part of a text" },
		{ "title: a\x01\n", "k.yml:1:9: a control character (0x01) is not taken" },
		{ "title: \xff\n", "k.yml:1:8: this byte is no part of UTF-8 text" },
		{ "title: \"a\n", "k.yml:" },
		{ "on: true\n  count: 3\n", "k.yml:2:8: mapping values are not allowed" },
		{ "# \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\r\ninner: {\"\xc3\xa9\": 1}\n",
		    "k.yml:2:9: inner.\xc3\xa9: unknown key" },
		{ "title: \"\xe2\x82\xac\" b\n", "k.yml:1:12: did not find expected key" },
		{ "a\tb: [\n", "k.yml:" },
		{ "secret: nowhere/at-all\n", "k.yml:1:9: secret: nowhere/at-all: " },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool fine = read_text(rows[i].text);
		if (!tap_ok(!fine && failed == 1 && strstr(told, rows[i].says), "%s: %s",
		        rows[i].text, rows[i].says))
			tap_note("%zu: %s", failed, told);
	}
}

static void all_at_once(void)
{
	char text[4096] = "";
	tap_ok(!read_text("title: \"\"\ncuont: 1\nwait: x\ninner: {rate: 0}\n") && failed == 4,
	    "all mistakes are told at once");
	tap_ok(strstr(told, "k.yml:1:") < strstr(told, "k.yml:2:") &&
	        strstr(told, "k.yml:3:") < strstr(told, "k.yml:4:"),
	    "in the order of the text");
	for (unsigned i = 0; i < 50; i++) {
		size_t len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len, "wrong%u: 1\n", i);
	}
	tap_ok(!read_text(text) && failed == 50, "fifty are counted");
	tap_ok(strstr(told, "k.yml:20:") && !strstr(told, "k.yml:21:") &&
	        strstr(told, "30 more mistakes are not shown"),
	    "twenty are told");
}

/* Each as long as it takes to find its place in the text, and no test would ever end. */
static void very_many_errors(void)
{
	enum {
		COMMENT = 8 << 20,
		COUNT = 200000
	};
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < COMMENT / 64; i++)
		buf_add_str(&b, "# 3456789012345678901234567890123456789012345678901234567890123\n");
	for (size_t i = 0; i < COUNT; i++)
		buf_add_str(&b, "on: true\n");
	buf_add(&b, "", 1);
	tap_ok(!read_text((char *)b.data), "a key over and over is wrong");
	tap_is_u64(failed, COUNT - 1, "each time but the first");
	b.len = 0;
	buf_add_str(&b, "hosts:\n");
	for (size_t i = 0; i < 2 * COUNT; i++)
		buf_add_str(&b, "- []\n");
	buf_add(&b, "", 1);
	tap_ok(!read_text((char *)b.data) && failed == 2 * COUNT, "a list of nothing but mistakes");
	buf_release(&b);
}

static void errors_are_of_a_value(void)
{
	const char *text = "count: 12\ninner:\n  rate: 0\nitems:\n- name: x\n- {nam: y}\non: true\n";
	struct yaml_keep k;
	struct outer o = { 0 };
	yaml_keep_init(&k);
	struct yaml *y = yaml_open("k.yml", text, strlen(text), &k);
	yaml_walk(y, yaml_root(y), &outer_schema, &o);
	const struct yaml_node *root = yaml_root(y), *items = yaml_child(root, "items");
	tap_ok(!yaml_failed_in(y, yaml_child(root, "count")) &&
	        yaml_failed_in(y, yaml_child(root, "inner")) && yaml_failed_in(y, items) &&
	        !yaml_failed_in(y, items->first) && yaml_failed_in(y, items->first->next) &&
	        !yaml_failed_in(y, yaml_child(root, "on")) && yaml_failed_in(y, root),
	    "of each value it is known whether something in it is wrong");
	yaml_close(y);
	yaml_keep_release(&k);
}

/* "a: &a [x,x]", "b: &b [*a,*a]" and so on: told, and not grown. */
static void no_bombs(void)
{
	char text[2048] = "own: &a [x, x, x]\n";
	for (char c = 'b'; c < 'm'; c++) {
		size_t len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len, "own%c: &%c [*%c, *%c, *%c, *%c]\n",
		    c, c, c - 1, c - 1, c - 1, c - 1);
	}
	tap_ok(!read_text(text) && strstr(told, "anchors"), "aliases of aliases are refused");
	tap_ok(arena_used(&keep.arena) < 65536, "and take no memory");
	char *many = testlib_repeated("own: [", "a,", 600000, "a]\n");
	tap_ok(!read_text(many) && strstr(told, "more than 500000 values"),
	    "the number of values is bounded");
	mem_free(many);
	char *large = testlib_repeated("# ", "a", YAML_TEXT_MAX, "\n");
	tap_ok(!read_text(large) && strstr(told, "more than 16777216"), "the size is bounded");
	mem_free(large);
	char *deep = testlib_repeated("own: ", "[", 200000, "");
	tap_ok(!read_text(deep), "so is the depth");
	mem_free(deep);
}

/* ---- files ---- */

static void put(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");
	if (!f)
		return;
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static void secrets(const char *dir)
{
	char *file = testlib_path(dir, "s"), *name = testlib_path(dir, "k.yml");
	size_t len;
	put(file, "top secret\n", 0640);
	tap_ok(read_as(name, "secret: s\n", 10), "a secret is read beside the configuration: %s",
	    told);
	const uint8_t *bytes = secret_bytes(out.secret, &len);
	tap_is_mem(bytes, len, "top secret", 10, "without the line's end");
	put(file, "top secret\n", 0644);
	tap_ok(!read_as(name, "secret: s\n", 10) &&
	        strstr(told, "others may read or change it (mode 0644): chmod o-rwx"),
	    "a file that others read is refused");
	tap_ok(!strstr(told, "top"), "and nothing of it is told");
	put(file, "\n", 0600);
	tap_ok(!read_as(name, "secret: s\n", 10) && strstr(told, "is empty"), "an empty one, too");
	struct secret *a = secret_make("x", 1), *b = secret_make("x", 1), *c = secret_make("y", 1);
	tap_ok(secret_same(a, b) && !secret_same(a, c) && !secret_same(NULL, NULL),
	    "secrets are compared");
	size_t left = 9;
	secret_forget(b);
	tap_ok(!*secret_bytes(b, &left) && !left && !secret_same(a, b) && !secret_same(b, b),
	    "one that is forgotten has no bytes, and is like none");
	secret_free(a);
	secret_free(b);
	secret_free(c);
	struct errbuf eb;
	errbuf_init(&eb);
	tap_ok(secret_read(dir, &a, &eb) == ERR_BADDATA && strstr(eb.text, "not a plain file"),
	    "a folder is no secret");
	free(file);
	free(name);
}

static void load_says(const char *path, const char *says)
{
	struct buf b;
	struct yaml_keep k;
	yaml_keep_init(&k);
	struct yaml *y = yaml_load(path, &k);
	buf_init(&b);
	yaml_tell(y, &b);
	buf_add_u8(&b, 0);
	tap_ok(says ? strstr((char *)b.data, says) != NULL : b.len == 1, "%s: %s", path,
	    (char *)b.data);
	buf_release(&b);
	yaml_close(y);
	yaml_keep_release(&k);
}

static void files(const char *dir)
{
	char *file = testlib_path(dir, "k.yml"), *none = testlib_path(dir, "none"),
	     *fifo = testlib_path(dir, "fifo");
	put(file, "on: true\n", 0644);
	load_says(file, NULL);
	load_says(none, "none: no such file or directory (ENOENT)");
	load_says(dir, "it is not a plain file");
	if (!mkfifo(fifo, 0600))
		load_says(fifo, "it is not a plain file");
	free(file);
	free(none);
	free(fifo);
}

int main(void)
{
	char *dir = testlib_tmpdir("yaml");
	each_kind();
	nothing_is_fine();
	one_error();
	errors_say();
	all_at_once();
	very_many_errors();
	errors_are_of_a_value();
	no_bombs();
	secrets(dir);
	files(dir);
	yaml_keep_release(&keep);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
