#include "net/daemon/reference.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mantext.h"
#include "net/daemon/config.h"
#include "net/daemon/flags_priv.h"

#define PATH_MAX_KEYS 200
#define SHAPE_BYTES   256

/* ---- one walk over the keys ---- */

struct page {
	struct buf *out;
	/* A map begins: its path ("" of the file), what it is for. A key of it follows. */
	void (*map)(struct page *p, const char *path, const char *help);
	void (*key)(struct page *p, const char *path, const struct yaml_row *row, const void *at);
};

static bool has_values(const struct yaml_schema *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->rows[i].sub)
			return true;
	return false;
}

static void path_of(char out[PATH_MAX_KEYS], const char *path, const struct yaml_row *row)
{
	const char *more = row->kind == YAML_ITEMS ? "[]"
	    : row->kind == YAML_NAMED              ? ".<name>"
	                                           : "";
	(void)snprintf(out, PATH_MAX_KEYS, "%s%s%s%s", path, *path ? "." : "", row->key, more);
}

static void walk(struct page *p, const char *path, const struct yaml_schema *s, const void *values,
    const char *help);

static void walk_items(struct page *p, const char *path, const struct yaml_row *row)
{
	void *item = mem_zalloc(row->sub->size);
	if (row->sub->usual)
		row->sub->usual(item);
	walk(p, path, row->sub, item, row->help);
	mem_free(item);
}

static void walk(struct page *p, const char *path, const struct yaml_schema *s, const void *values,
    const char *help)
{
	char sub[PATH_MAX_KEYS];
	if (has_values(s))
		p->map(p, path, help);
	for (size_t i = 0; i < s->count; i++)
		if (!s->rows[i].sub)
			p->key(p, path, &s->rows[i], (const char *)values + s->rows[i].off);
	for (size_t i = 0; i < s->count; i++) {
		const struct yaml_row *row = &s->rows[i];
		if (!row->sub)
			continue;
		path_of(sub, path, row);
		if (row->kind == YAML_IN)
			walk(p, sub, row->sub, (const char *)values + row->off, row->help);
		else
			walk_items(p, sub, row);
	}
}

static void walk_file(void *arg, const struct yaml_schema *s, const void *values)
{
	walk(arg, "", s, values, "the top of the file");
}

/* ---- Markdown ---- */

/* In a table: a bar ends a cell, <x> is a tag. */
static void md_text(struct buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '|')
			buf_add_str(out, "\\|");
		else if (s[i] == '<')
			buf_add_str(out, "&lt;");
		else
			buf_add_u8(out, (uint8_t)s[i]);
	}
}

static void md_code(struct buf *out, const char *s, size_t len)
{
	if (!len)
		return;
	buf_add_u8(out, '`');
	for (size_t i = 0; i < len; i++)
		buf_printf(out, "%s%c", s[i] == '|' ? "\\" : "", s[i]);
	buf_add_u8(out, '`');
}

static void md_map(struct page *p, const char *path, const char *help)
{
	buf_add_str(p->out, "\n### ");
	if (*path)
		md_code(p->out, path, strlen(path));
	else
		buf_add_str(p->out, "At the top");
	buf_add_str(p->out, "\n\n");
	if (help && *path)
		buf_printf(p->out, "%c%s.\n\n",
		    help[0] >= 'a' && help[0] <= 'z' ? help[0] - 32 : help[0], help + 1);
	buf_add_str(p->out, "| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
}

static void md_key(struct page *p, const char *path, const struct yaml_row *row, const void *at)
{
	char shape[SHAPE_BYTES];
	struct buf value;
	(void)path;
	buf_init(&value);
	yaml_shape(row, shape);
	bool set = yaml_put_value(&value, row, at);
	buf_add_str(p->out, "| ");
	md_code(p->out, row->key, strlen(row->key));
	buf_add_str(p->out, " | ");
	md_text(p->out, shape, strlen(shape));
	buf_add_str(p->out, " | ");
	if (set)
		md_code(p->out, (const char *)value.data, value.len);
	buf_add_str(p->out, " | ");
	if (row->help)
		md_text(p->out, row->help, strlen(row->help));
	buf_printf(p->out, "%s%s |\n", row->flags & YAML_NEEDED ? "; **needed**" : "",
	    row->flags & YAML_START ? "; *at start*" : "");
	buf_release(&value);
}

/* The default of a flag where the help does not say it. */
static bool flag_usual(const struct flag *row, char out[FLAG_VALUE_MAX])
{
	struct flags f;
	if (!row->limit || !row->usual)
		return false;
	flags_default(&f);
	(void)snprintf(out, FLAG_VALUE_MAX, "%s", flag_value(&f, row, (char[FLAG_VALUE_MAX]){ "" }));
	return true;
}

static void md_flag(struct buf *out, const struct flag *row)
{
	char key[FLAG_KEY_MAX], usual[FLAG_VALUE_MAX];
	buf_printf(out, "| `--%s`", row->name);
	if (row->arg) {
		buf_add_u8(out, ' ');
		md_text(out, row->arg, strlen(row->arg));
	}
	buf_add_str(out, " | ");
	flag_key(row, key);
	md_code(out, key, strlen(key));
	buf_add_str(out, " | ");
	md_text(out, row->help, strlen(row->help));
	if (flag_usual(row, usual))
		buf_printf(out, " (%s)", usual);
	buf_add_str(out, " |\n");
}

void reference_markdown(struct buf *out)
{
	struct page p = { .out = out, .map = md_map, .key = md_key };
	buf_add_str(out,
	    "# Flags and keys of kymod\n\n"
	    "Everything that kymod can be told, by its command line or by its configuration file "
	    "(`--config FILE`, YAML). Each\nflag that has a value is a key of the file, too; where both "
	    "say something, the command line wins. This page is made from\nthe tables that both are "
	    "read by; `kymod --print-config` prints them as a file with all defaults.\n\n"
	    "* Durations: `15s`, `1h30m`, `30d`. Sizes in bytes: `1048576`, `64MiB`, `1GiB`.\n"
	    "* Paths of files begin in the folder of the configuration file; `data_dir` begins where "
	    "kymod is started.\n"
	    "* *at start*: the key holds from start to end. A reload (SIGHUP, `POST /-/reload`) that "
	    "changes it warns and takes\n  the rest.\n"
	    "* YAML without anchors, aliases, merge keys and tags; a key stands once. "
	    "`kymod --check-config FILE` tells all\n  mistakes with their places.\n\n"
	    "## Flags\n");
	for (unsigned group = 0; group < FLAG_GROUPS; group++) {
		buf_printf(out, "\n### Flags: %s\n\n| Flag | Key | Meaning |\n|---|---|---|\n",
		    flag_group_title(group));
		for (size_t i = 0; i < flags_count; i++)
			if (flag_group_of(&flags_table[i]) == group)
				md_flag(out, &flags_table[i]);
	}
	buf_add_str(out, "\n## The configuration file\n");
	config_usual(walk_file, &p);
}

/* ---- man ---- */

static void man_item(struct buf *out, const char *dashes, const char *name, const char *arg)
{
	buf_add_str(out, ".TP\n\\fB");
	mantext(out, dashes);
	mantext(out, name);
	buf_add_str(out, "\\fR");
	if (arg && *arg) {
		buf_add_str(out, " \\fI");
		mantext(out, arg);
		buf_add_str(out, "\\fR");
	}
	buf_add_u8(out, '\n');
}

static void man_map(struct page *p, const char *path, const char *help)
{
	if (!*path)
		return;
	buf_add_str(p->out, ".SS ");
	mantext(p->out, path);
	buf_add_u8(p->out, '\n');
	if (help) {
		mantext(p->out, help);
		buf_add_str(p->out, ".\n");
	}
}

static void man_key(struct page *p, const char *path, const struct yaml_row *row, const void *at)
{
	char shape[SHAPE_BYTES];
	struct buf value;
	(void)path;
	buf_init(&value);
	bool set = yaml_put_value(&value, row, at);
	man_item(p->out, "", row->key, yaml_shape(row, shape));
	if (row->help)
		mantext(p->out, row->help);
	if (set && !(row->help && strchr(row->help, '(')))
		buf_printf(p->out, " (%.*s)", (int)value.len, (const char *)value.data);
	buf_printf(p->out, "%s%s\n", row->flags & YAML_NEEDED ? "; needed" : "",
	    row->flags & YAML_START ? "; at start only" : "");
	buf_release(&value);
}

static void man_flag(struct buf *out, const struct flag *row)
{
	char usual[FLAG_VALUE_MAX];
	man_item(out, "--", row->name, row->arg);
	mantext(out, row->help);
	if (flag_usual(row, usual))
		buf_printf(out, " (%s)", usual);
	buf_add_u8(out, '\n');
}

static const char man_head[] =
    ".\\\" Made from the tables of flags and keys: t_reference write.\n"
    ".TH KYMOD 1 \"\" kymo \"User Commands\"\n"
    ".SH NAME\nkymod \\- metrics database: Prometheus Remote Write in, PromQL out\n"
    ".SH SYNOPSIS\n.B kymod\n[\\fIflags\\fR]\n.br\n"
    ".B kymod \\-\\-config\n.I FILE\n[\\fIflags\\fR]\n.br\n"
    ".B kymod \\-\\-check\\-config\n.I FILE\n.br\n"
    ".B kymod \\-\\-print\\-config\n.br\n"
    ".B kymod \\-\\-hash\\-token\n.br\n"
    ".B kymod \\-\\-hash\\-password\n"
    ".SH DESCRIPTION\n"
    "Takes samples by Prometheus Remote Write at /api/v1/write, keeps them in its data directory "
    "and answers the HTTP\nAPI of Prometheus. Without flags it listens on port 9470 of all addresses "
    "and serves everybody as one tenant.\n"
    "When it can be used, a line on standard output that begins with \\fBready\\fR says where.\n.PP\n"
    "A browser at that address shows its web page: queries as tables and graphs, what has most series, what is "
    "wrong and what to do,\nand under /help first steps, moving here, sizing and operations.\n"
    ".SH OPTIONS\n"
    "\\-\\-name value or \\-\\-name=value; in brackets the default. DURATION: 15s, 1h30m, 30d. "
    "BYTES: 1048576, 64MiB, 1GiB.\n";

static const char man_file[] =
    ".SH CONFIGURATION FILE\n"
    "YAML. Every flag that has a value is a key, too, and the command line wins. Paths begin in the "
    "folder of the file, that of the\ndata where kymod is started.\n"
    "Anchors, aliases, merge keys and tags are not taken. Keys marked \"at start only\" are not "
    "changed by a reload.\n";

static const char man_tail[] =
    ".SH SIGNALS\n"
    ".TP\nSIGTERM, SIGINT, SIGQUIT\nThe orderly end: what was accepted is stored, running requests "
    "are answered. A second one ends it at once;\nnothing acknowledged is lost by that.\n"
    ".TP\nSIGHUP\nThe configuration file is read again. When it has mistakes they are logged, and the "
    "configuration in force stays.\n"
    "Files of \\-\\-log.access\\-file and \\-\\-log.slow\\-queries\\-file are opened again.\n"
    ".SH EXIT STATUS\n"
    "0 after an orderly end; 1 when it could not start or stop, and of \\-\\-check\\-config when "
    "there are mistakes; 2 when the\ncommand line or the configuration is wrong.\n"
    ".SH EXAMPLES\n"
    ".nf\nkymod \\-\\-print\\-config > kymod.yml\n"
    "kymod \\-\\-check\\-config kymod.yml\n"
    "kymod \\-\\-config kymod.yml \\-\\-log.level debug\n.fi\n";

void reference_man(struct buf *out)
{
	struct page p = { .out = out, .map = man_map, .key = man_key };
	buf_add_str(out, man_head);
	for (unsigned group = 0; group < FLAG_GROUPS; group++) {
		buf_printf(out, ".SS %s\n", flag_group_title(group));
		for (size_t i = 0; i < flags_count; i++)
			if (flag_group_of(&flags_table[i]) == group)
				man_flag(out, &flags_table[i]);
	}
	buf_add_str(out, man_file);
	config_usual(walk_file, &p);
	buf_add_str(out, man_tail);
}
