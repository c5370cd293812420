/*
 * kymoctl delete SELECTOR...       series, or their samples of a range (POST
 *                                  /api/v1/admin/tsdb/delete_series)
 * kymoctl delete --clean           files without what was deleted (clean_tombstones)
 *
 *   look    what would go, by explain=1 (net/ctl/ctlgone.h)
 *   ask     on a terminal; elsewhere --yes must say it. Nothing: not asked, and sent with --yes
 *           alone, for a part of the log that lies aside may have some (storage/asidebook.h)
 *   delete  one request for all selectors
 *   clean   with --clean
 *
 * Of kymod only: VictoriaMetrics takes the same call, and deletes whole series whatever the times.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/num.h"
#include "net/ctl/ctlask.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlgone.h"
#include "net/ctl/ctltable.h"
#include "net/ctl/ctlterm.h"

#define SELECTORS_MAX 64u

struct deletion {
	struct ctlhttp *http;
	char **selectors;
	unsigned count;
	int64_t t_min_ms, t_max_ms;
	bool dry, yes, clean, patient; /* patient: no --timeout */
	enum ctltable_form form;
	struct ctlgone of[SELECTORS_MAX], all;
};

/* ---- what would go ---- */

static int ask_gone(
    struct deletion *d, const struct buf *form, const char *selector, struct ctlgone *out)
{
	json_t *data = NULL;
	int status = ctlask(d->http, "/api/v1/query", form, selector, &data);
	if (!status && !ctlgone_take(data, out))
		status = ctl_fail(CTL_REFUSED,
		    "%s does not tell what a deletion would take: is it kymod? Nothing is deleted",
		    ctlhttp_server(d->http));
	json_decref(data);
	return status;
}

/* A mistake in a selector is told at its place, and an expression is none. */
static int check(struct deletion *d, const char *selector)
{
	struct buf form;
	json_t *data = NULL;
	buf_init(&form);
	ctlhttp_param(&form, "match[]", selector);
	ctlhttp_param(&form, "start", "0");
	ctlhttp_param(&form, "end", "0");
	ctlhttp_param(&form, "limit", "1");
	int status = ctlask(d->http, "/api/v1/series", &form, selector, &data);
	json_decref(data);
	buf_release(&form);
	return status;
}

static int look(struct deletion *d)
{
	struct buf form;
	struct ctlgone none;
	buf_init(&form);
	ctlgone_try(&form);
	int status = ask_gone(d, &form, NULL, &none);
	for (unsigned i = 0; !status && i < d->count; i++)
		status = check(d, d->selectors[i]);
	for (unsigned i = 0; !status && i < d->count; i++) {
		buf_clear(&form);
		ctlgone_ask(&form, d->selectors[i], d->t_min_ms, d->t_max_ms);
		status = ask_gone(d, &form, d->selectors[i], &d->of[i]);
		if (!status)
			ctlgone_add(&d->all, &d->of[i]);
	}
	buf_release(&form);
	return status;
}

static void show(const struct deletion *d)
{
	static const struct ctltable_column columns[] = { { "selector", false }, { "series", true },
		{ "samples", true }, { "kind", false } };
	struct ctltable t;
	ctltable_begin(&t, stdout, d->form, columns, COUNT_OF(columns));
	for (unsigned i = 0; i < d->count; i++) {
		ctltable_cell(&t, d->selectors[i]);
		ctltable_cellf(&t, "%.0f", d->of[i].series);
		ctltable_cellf(&t, "%.0f", d->of[i].samples);
		ctltable_cell(&t, d->of[i].about ? "about" : "exact");
	}
	ctltable_end(&t);
}

/* "3 series, 240 samples from ... to ..." of one selector, or at most so many of several. */
static void words(const struct deletion *d, struct buf *out)
{
	buf_add_str(out, d->count > 1 ? "at most " : "");
	ctlgone_words(out, &d->all);
	ctlgone_span(out, d->t_min_ms, d->t_max_ms);
}

/* ---- may it? ---- */

/* A line of the terminal is "y" or "yes". */
static bool is_yes(void)
{
	char line[16] = "";
	size_t len = 0;
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = ctl_stop_fd(), .events = POLLIN } };
	for (char c = 0; c != '\n';) {
		if (poll(p, COUNT_OF(p), -1) < 0 && errno != EINTR)
			return false;
		if (ctl_stopped())
			return false;
		if (!p[0].revents)
			continue;
		if (read(STDIN_FILENO, &c, 1) != 1)
			return false;
		if (c != '\n' && len < sizeof(line) - 1)
			line[len++] = c;
	}
	return !strcasecmp(line, "y") || !strcasecmp(line, "yes");
}

static int confirm(const struct deletion *d)
{
	struct buf b;
	if (d->yes)
		return CTL_OK;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return ctl_fail(CTL_USAGE,
		    "nobody can be asked here: --yes deletes, --dry-run shows what would go");
	buf_init(&b);
	for (unsigned i = 0; i < d->count; i++) {
		buf_add_str(&b, "  ");
		ctlterm_text(&b, d->selectors[i], strlen(d->selectors[i]));
		buf_add_u8(&b, '\n');
	}
	buf_add_str(&b, "Delete ");
	words(d, &b);
	buf_add_str(&b, " on ");
	ctlterm_text(&b, ctlhttp_server(d->http), strlen(ctlhttp_server(d->http)));
	buf_add_str(&b, "? [y/N] ");
	fwrite(b.data, 1, b.len, stderr);
	buf_release(&b);
	if (is_yes())
		return CTL_OK;
	if (ctl_stopped())
		return ctl_fail(CTL_INTERRUPTED, "nothing is deleted");
	return ctl_fail(CTL_NO, "nothing is deleted");
}

/* ---- the work ---- */

/* A POST that is answered by 204. */
static int post(struct deletion *d, const char *path, const struct buf *form, bool long_work)
{
	struct ctlhttp_call call = { .whole_ms = long_work && d->patient ? HCLIENT_NONE : 0,
		.once = true };
	json_t *answer;
	ctlhttp_call_json(d->http, "POST", path, form, &call, &answer);
	int status = ctlask_outcome(&call, answer, d->count == 1 ? d->selectors[0] : NULL);
	json_decref(answer);
	ctlhttp_call_release(&call);
	return status;
}

static void time_param(struct buf *form, const char *name, int64_t ms, int64_t open)
{
	char text[32];
	if (ms == open)
		return;
	text[num_fmt_ts(ms, text)] = 0;
	ctlhttp_param(form, name, text);
}

static bool finds(const struct deletion *d)
{
	return d->all.series || d->all.about;
}

static int take_away(struct deletion *d)
{
	struct buf form, told;
	buf_init(&form);
	buf_init(&told);
	for (unsigned i = 0; i < d->count; i++)
		ctlhttp_param(&form, "match[]", d->selectors[i]);
	time_param(&form, "start", d->t_min_ms, CTLGONE_BEGIN_MS);
	time_param(&form, "end", d->t_max_ms, CTLGONE_END_MS);
	int status = post(d, "/api/v1/admin/tsdb/delete_series", &form, false);
	if (status == CTL_INTERRUPTED || status == CTL_UNREACHABLE)
		ctl_note("some or all of it may be deleted; asking again deletes the rest");
	if (!status && finds(d)) {
		buf_add_str(&told, "deleted ");
		words(d, &told);
		buf_add_u8(&told, '\n');
		fwrite(told.data, 1, told.len, stdout);
	}
	buf_release(&told);
	buf_release(&form);
	return status;
}

static int clean(struct deletion *d)
{
	struct buf form;
	buf_init(&form);
	int status = post(d, "/api/v1/admin/tsdb/clean_tombstones", &form, true);
	if (status == CTL_INTERRUPTED)
		ctl_note("the server goes on by itself; asked again it goes on where it is");
	if (!status)
		puts("no file holds what was deleted");
	buf_release(&form);
	return status;
}

static int run(struct deletion *d)
{
	int status = d->count ? look(d) : CTL_OK;
	if (status)
		return status;
	if (d->dry) {
		show(d);
		return CTL_OK;
	}
	if (d->count && !finds(d))
		ctl_note("no series");
	else if (d->count)
		status = confirm(d);
	if (!status && d->count && (finds(d) || d->yes))
		status = take_away(d);
	return !status && d->clean ? clean(d) : status;
}

int ctl_delete(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	struct deletion d = {
		.selectors = argv, .t_min_ms = CTLGONE_BEGIN_MS, .t_max_ms = CTLGONE_END_MS
	};
	const char *start = NULL, *end = NULL, *format = NULL;
	const struct cmdline_arg args[] = {
		{ .name = "start",
		    .meta = "TIME",
		    .help = "the first time that goes: 1h, 2026-11-29T08:00:00Z, unix seconds",
		    .text = &start },
		{ .name = "end", .meta = "TIME", .help = "the last one", .text = &end },
		{ .name = "dry-run",
		    .help = "only show what would go: series and samples of each selector",
		    .flag = &d.dry },
		{ .name = "yes", .help = "do not ask", .flag = &d.yes },
		{ .name = "clean",
		    .help = "then write files anew that hold what was deleted (on their own they go "
		            "when files are merged); may stand alone",
		    .flag = &d.clean },
		CTLTABLE_ARG(format),
		CTLHTTP_ARGS(access),
	};
	d.count = (unsigned)cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "delete",
	        .words = "SELECTOR...",
	        .help = "Deletes the series that one of the selectors selects, or with --start or "
	                "--end their samples of these times, both ends included. Gone from every "
	                "answer at once; what is written later stays. On a terminal it tells what "
	                "would go and asks. The server has to run with --web.enable-admin-api; only "
	                "series of the asker's tenant are touched.",
	        .examples = "  kymoctl delete --dry-run 'up{job=\"old\"}'\n"
	                    "      how much would that be?\n"
	                    "  kymoctl delete --yes --clean 'up{job=\"old\"}'\n"
	                    "      and the disk has its room back\n"
	                    "  kymoctl delete --start 2026-11-01 --end 2026-11-02 'node_load1'\n"
	                    "      a day of it\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_max = SELECTORS_MAX },
	    argc, argv);
	ctl_catch();
	d.form = ctltable_form(format);
	d.patient = !access.timeout;
	if (start)
		d.t_min_ms = ctl_time_ms(start, "start");
	if (end)
		d.t_max_ms = ctl_time_ms(end, "end");
	if (d.t_min_ms > d.t_max_ms)
		return ctl_fail(CTL_USAGE, "--start is behind --end");
	if (!d.count && (start || end || d.dry || !d.clean))
		return ctl_fail(
		    CTL_USAGE, "a SELECTOR says what goes: kymoctl delete 'up{job=\"old\"}'");
	int status = ctlhttp_open(&access, &d.http);
	if (!status)
		status = run(&d);
	ctlhttp_close(d.http);
	return status;
}
