#include <stdio.h>
#include <string.h>

#include "core/base/num.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlhttp.h"
#include "net/ctl/ctltable.h"

int ctl_query(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	const char *time = NULL, *format = NULL;
	const struct cmdline_arg args[] = {
		{ .name = "time", .meta = "TIME", .help = "of the evaluation (now)", .text = &time },
		CTLTABLE_ARG(format),
		CTLHTTP_ARGS(access),
	};
	cmdline_parse(&(struct cmdline){ .program = "kymoctl",
	                  .command = "query",
	                  .words = "EXPR",
	                  .args = args,
	                  .args_count = COUNT_OF(args),
	                  .words_min = 1,
	                  .words_max = 1 },
	    argc, argv);
	struct ctlhttp *http;
	ctl_catch();
	int status = ctlhttp_open(&access, &http);
	if (status)
		return status;
	struct buf form;
	json_t *data;
	buf_init(&form);
	ctlhttp_param(&form, "query", argv[0]);
	if (time) {
		char text[32];
		text[num_fmt_ts(ctl_time_ms(time, "time"), text)] = 0;
		ctlhttp_param(&form, "time", text);
	}
	status = ctlhttp_json(http, "POST", "/api/v1/query", &form, &data);
	if (!status) {
		json_dumpf(data, stdout, JSON_INDENT(1));
		putchar('\n');
	}
	json_decref(data);
	buf_release(&form);
	ctlhttp_close(http);
	return status;
}
