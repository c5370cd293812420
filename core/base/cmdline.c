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

static void usage(const struct cmdline *c)
{
	printf("usage: %s %s%s%s%s\n", c->program, c->command, c->args_count ? " [flags]" : "",
	    c->words ? " " : "", c->words ? c->words : "");
	if (c->help)
		printf("%s\n", c->help);
	for (size_t i = 0; i < c->args_count; i++) {
		const struct cmdline_arg *a = &c->args[i];
		char head[96];
		snprintf(head, sizeof(head), "--%s%s%s", a->name, a->meta ? " " : "",
		    a->meta ? a->meta : "");
		printf("  %-28s %s\n", head, a->help);
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

static const struct cmdline_arg *find(
    const struct cmdline *c, const char *text, const char *name, size_t len)
{
	const char *names[CMDLINE_ARGS_MAX];
	CHECK(c->args_count <= CMDLINE_ARGS_MAX);
	for (size_t i = 0; i < c->args_count; i++) {
		names[i] = c->args[i].name;
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return &c->args[i];
	}
	const char *near = near_word(name, len, names, c->args_count);
	fprintf(stderr, "%s %s: unknown argument \"%s\"%s%s%s\n", c->program, c->command, text,
	    near ? ", did you mean --" : ", see --help", near ? near : "", near ? "?" : "");
	exit(2);
}

static void check_words(const struct cmdline *c, unsigned words, const char *extra)
{
	if (words > c->words_max) {
		fprintf(stderr, "%s %s: unknown argument \"%s\", see --help\n", c->program,
		    c->command, extra);
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
	check_words(c, words, words > c->words_max ? argv[c->words_max] : "");
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
