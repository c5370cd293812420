#include "core/base/cmdline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/near.h"
#include "core/base/num.h"

static void (*shower)(const struct cmdline *c);

void cmdline_show(void (*show)(const struct cmdline *c))
{
	shower = show;
}

#define WIDTH  100u
#define INDENT 31u /* of what a flag does */

/* Words of text up to WIDTH columns, from column `at` on; further lines begin at `indent`. */
static void wrapped(const char *text, size_t at, unsigned indent)
{
	for (const char *line = text; *text; line = text) {
		while (*text && *text != '\n' && *text != ' ')
			text++;
		size_t len = (size_t)(text - line);
		if (at > indent && at + 1 + len > WIDTH) {
			printf("\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			putchar(' ');
			at++;
		}
		printf("%.*s", (int)len, line);
		at += len;
		if (*text == '\n') {
			printf("\n%*s", text[1] ? (int)indent : 0, "");
			at = indent;
		}
		text += *text != 0;
	}
	putchar('\n');
}

static void usage(const struct cmdline *c)
{
	printf("usage: %s %s%s%s%s\n", c->program, c->command, c->args_count ? " [flags]" : "",
	    c->words ? " " : "", c->words ? c->words : "");
	if (c->help)
		wrapped(c->help, 0, 0);
	for (size_t i = 0; i < c->args_count; i++) {
		const struct cmdline_arg *a = &c->args[i];
		char head[96];
		snprintf(head, sizeof(head), "--%s%s%s", a->name, a->meta ? " " : "",
		    a->meta ? a->meta : "");
		bool fits = strlen(head) <= INDENT - 3;
		printf("  %-28s%s", head, fits ? " " : "\n");
		if (!fits)
			printf("%*s", (int)INDENT, "");
		wrapped(a->help, INDENT, INDENT);
	}
	if (c->examples)
		printf("\nexamples:\n%s", c->examples);
	exit(0);
}

static void set(const struct cmdline *c, const struct cmdline_arg *a, const char *value)
{
	char *end;
	if (a->text) {
		*a->text = value;
	} else if (a->num) {
		*a->num = strtod(value, &end);
		if (end == value || *end || !(*a->num >= 0)) {
			fprintf(stderr, "%s %s: --%s: \"%s\" is not a number of 0 or more\n",
			    c->program, c->command, a->name, value);
			exit(2);
		}
	} else if (!a->each(a->arg, value)) {
		fprintf(stderr, "%s %s: --%s: too many or bad: \"%s\"\n", c->program, c->command,
		    a->name, value);
		exit(2);
	}
}

/* Flags of promtool, vmctl, mimirtool and others, by the name that ours has. */
static const char *const foreign[][2] = { { "address", "server" }, { "addr", "server" },
	{ "backend-url", "server" }, { "dst", "server" }, { "f", "format" }, { "filter", "match" },
	{ "host", "server" }, { "id", "tenant" }, { "k", "insecure" }, { "matcher", "match" },
	{ "o", "format" }, { "output", "format" }, { "password", "password-file" },
	{ "s", "server" }, { "selector", "match" }, { "silent", "quiet" },
	{ "token", "token-file" }, { "u", "user" }, { "url", "server" }, { "username", "user" } };

static const char *meant(const char *name, size_t len, const char *const *names, size_t count)
{
	for (size_t i = 0; i < COUNT_OF(foreign); i++)
		for (size_t k = 0; k < count && strlen(foreign[i][0]) == len; k++)
			if (!memcmp(foreign[i][0], name, len) && !strcmp(foreign[i][1], names[k]))
				return names[k];
	return near_word(name, len, names, count);
}

static const struct cmdline_arg *known(const struct cmdline *c, const char *name, size_t len)
{
	for (size_t i = 0; i < c->args_count; i++)
		if (strlen(c->args[i].name) == len && !memcmp(c->args[i].name, name, len))
			return &c->args[i];
	return NULL;
}

static const struct cmdline_arg *find(
    const struct cmdline *c, const char *text, const char *name, size_t len)
{
	const char *names[CMDLINE_ARGS_MAX];
	const struct cmdline_arg *a = known(c, name, len);
	if (a)
		return a;
	CHECK(c->args_count <= CMDLINE_ARGS_MAX);
	for (size_t i = 0; i < c->args_count; i++)
		names[i] = c->args[i].name;
	const char *near = meant(name, len, names, c->args_count);
	fprintf(stderr, "%s %s: unknown argument \"%s\"%s%s%s\n", c->program, c->command, text,
	    near ? ", did you mean --" : ", see --help", near ? near : "", near ? "?" : "");
	exit(2);
}

static void check_words(const struct cmdline *c, unsigned words, char **argv)
{
	if (words > c->words_max) {
		bool url = false;
		for (unsigned i = 0; i < words && known(c, "server", strlen("server")); i++)
			url |= strstr(argv[i], "://") != NULL;
		fprintf(stderr, "%s %s: unknown argument \"%s\": %s%s%s, see --help\n", c->program,
		    c->command, argv[c->words_max],
		    c->words ? "the words are " : "there are flags alone", c->words ? c->words : "",
		    url ? ", and --server names the server" : "");
		exit(2);
	}
	if (words < c->words_min) {
		fprintf(stderr, "%s %s: needs %s\n", c->program, c->command, c->words);
		exit(2);
	}
}

int cmdline_parse(const struct cmdline *c, int argc, char **argv)
{
	unsigned words = 0;
	bool flags = true;
	if (shower) {
		shower(c);
		exit(0);
	}
	for (int i = 0; i < argc; i++) {
		const char *text = argv[i];
		if (flags && !strcmp(text, "--")) {
			flags = false;
			continue;
		}
		if (!flags || text[0] != '-' || !text[1]) {
			argv[words++] = argv[i];
			continue;
		}
		const char *name = text + strspn(text, "-");
		size_t len = strcspn(name, "=");
		if (!strcmp(name, "help") || !strcmp(text, "-h"))
			usage(c);
		const struct cmdline_arg *a = find(c, text, name, len);
		if (a->flag && name[len]) {
			fprintf(stderr, "%s %s: --%s takes no value\n", c->program, c->command,
			    a->name);
			exit(2);
		}
		if (a->flag) {
			*a->flag = true;
			continue;
		}
		const char *value = name[len] ? name + len + 1 : i + 1 < argc ? argv[++i] : NULL;
		if (!value) {
			fprintf(stderr, "%s %s: --%s needs a value: %s\n", c->program, c->command,
			    a->name, a->meta);
			exit(2);
		}
		set(c, a, value);
	}
	check_words(c, words, argv);
	return (int)words;
}

double cmdline_duration_s(const char *program, const char *text, const char *name)
{
	int64_t ms;
	if (num_parse_duration(text, strlen(text), &ms)) {
		fprintf(stderr, "%s: --%s: \"%s\" is not a duration such as 15s or 1h\n", program,
		    name, text);
		exit(2);
	}
	return (double)ms / 1000;
}
