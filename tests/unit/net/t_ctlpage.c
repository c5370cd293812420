/*
 * The manual page of kymoctl and its scripts of completion are what its tables say. "t_ctlpage
 * write" writes them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static const struct page {
	const char *file, *command;
} pages[] = { { "net/kymoctl.1", "./kymoctl completion man" },
	{ "net/ctl/completion/kymoctl", "./kymoctl completion bash" },
	{ "net/ctl/completion/_kymoctl", "./kymoctl completion zsh" } };

static char made[1 << 20], there[1 << 20];

static size_t make(const struct page *p)
{
	FILE *f = popen(p->command, "r");
	size_t len = f ? fread(made, 1, sizeof(made), f) : 0;
	return f && !pclose(f) ? len : 0;
}

static FILE *open_page(const struct page *p, const char *mode)
{
	char path[4096];
	(void)snprintf(path, sizeof(path), "%s/%s", testlib_src(), p->file);
	return fopen(path, mode);
}

static int write_all(void)
{
	for (size_t i = 0; i < COUNT_OF(pages); i++) {
		size_t len = make(&pages[i]);
		FILE *f = open_page(&pages[i], "w");
		if (!len || !f || fwrite(made, 1, len, f) != len || fclose(f))
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "write"))
		return write_all();
	for (size_t i = 0; i < COUNT_OF(pages); i++) {
		size_t len = make(&pages[i]);
		FILE *f = open_page(&pages[i], "r");
		size_t had = f ? fread(there, 1, sizeof(there), f) : 0;
		tap_ok(len && len == had && !memcmp(made, there, len),
		    "%s is what the tables say (else: t_ctlpage write)", pages[i].file);
		if (f)
			fclose(f);
	}
	return tap_done();
}
