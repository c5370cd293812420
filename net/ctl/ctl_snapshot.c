/*
 * kymoctl snapshot                  a copy of a server's data directory, by hard links; its path
 * kymoctl snapshot --list
 * kymoctl snapshot --remove SNAPSHOT
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlsnap.h"
#include "net/ctl/ctltable.h"
#include "net/ctl/ctlterm.h"

static int make(struct ctlhttp *http, bool skip_head)
{
	struct ctlsnap s;
	int status = ctlsnap_make(http, skip_head, &s);
	if (status)
		return status;
	ctlterm_print(stdout, s.path);
	putchar('\n');
	return CTL_OK;
}

static void number_cell(struct ctltable *t, const json_t *one, const char *key)
{
	ctltable_cellf(t, "%" PRId64, (int64_t)json_integer_value(json_object_get(one, key)));
}

static void text_cell(struct ctltable *t, const json_t *one, const char *key)
{
	const char *text = json_string_value(json_object_get(one, key));
	ctltable_cell(t, text ? text : "");
}

static int list(struct ctlhttp *http, enum ctltable_form form)
{
	static const struct ctltable_column columns[] = { { "name", false }, { "time", false },
		{ "files", true }, { "bytes", true }, { "own_bytes", true }, { "path", false } };
	struct ctltable t;
	json_t *all = NULL, *one;
	size_t i;
	int status = ctlsnap_list(http, &all);
	if (!status && form == CTLTABLE_TABLE && !json_array_size(all)) {
		ctl_note("none");
	} else if (!status) {
		ctltable_begin(&t, stdout, form, columns, COUNT_OF(columns));
		json_array_foreach(all, i, one)
		{
			char at[32];
			time_t s = (time_t)json_integer_value(json_object_get(one, "time"));
			struct tm tm;
			if (!gmtime_r(&s, &tm) ||
			    !strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm))
				at[0] = 0;
			text_cell(&t, one, "name");
			ctltable_cell(&t, at);
			number_cell(&t, one, "files");
			number_cell(&t, one, "bytes");
			number_cell(&t, one, "ownBytes");
			text_cell(&t, one, "path");
		}
		ctltable_end(&t);
	}
	json_decref(all);
	return status;
}

/* NAME may be the path that was printed, or as a shell completes it, with a slash behind it. */
static bool take_name(const char *text, char name[SNAPSHOT_NAME_MAX])
{
	size_t end = strlen(text), begin;
	while (end && text[end - 1] == '/')
		end--;
	for (begin = end; begin && text[begin - 1] != '/';)
		begin--;
	if (end - begin >= SNAPSHOT_NAME_MAX)
		return false;
	memcpy(name, text + begin, end - begin);
	name[end - begin] = 0;
	return snapshot_name_parse(name, NULL);
}

int ctl_snapshot(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	const char *format = NULL, *remove = NULL;
	bool skip_head = false, lists = false;
	char name[SNAPSHOT_NAME_MAX];
	const struct cmdline_arg args[] = {
		{ .name = "list", .help = "those that there are", .flag = &lists },
		{ .name = "remove",
		    .meta = "SNAPSHOT",
		    .help = "delete one, by its name or path",
		    .text = &remove },
		{ .name = "skip-head", .help = "without what is in memory alone", .flag = &skip_head },
		CTLTABLE_ARG(format),
		CTLHTTP_ARGS(access),
	};
	struct ctlhttp *http;
	(void)cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "snapshot",
	        .help = "Makes a copy of the server's data directory by hard links, and prints where "
	                "it lies on the server's machine: a whole data directory, to look into or to "
	                "start a server on. It holds its room on the disk until it is removed. "
	                "(kymoctl backup makes and removes its own.) The server has to run with "
	                "--web.enable-admin-api.",
	        .examples = "  kymoctl inspect \"$(kymoctl snapshot)\"\n"
	                    "      what is in it, while the server runs\n"
	                    "  kymoctl snapshot --list\n"
	                    "      own_bytes: what the disk would have back without it\n",
	        .args = args,
	        .args_count = COUNT_OF(args) },
	    argc, argv);
	ctl_catch();
	enum ctltable_form form = ctltable_form(format);
	if (lists + (remove != NULL) + skip_head > 1)
		return ctl_fail(CTL_USAGE, "one of --list, --remove, --skip-head");
	if (remove && !take_name(remove, name))
		return ctl_fail(
		    CTL_USAGE, "--remove: \"%s\" is no name of a snapshot, see --list", remove);
	int status = ctlhttp_open(&access, &http);
	if (!status)
		status = lists ? list(http, form)
		    : remove   ? ctlsnap_drop(http, name)
		               : make(http, skip_head);
	ctlhttp_close(http);
	return status;
}
