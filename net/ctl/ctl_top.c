#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlhttp.h"
#include "net/ctl/ctlterm.h"
#include "net/ctl/ctltop.h"

#define METRICS_MAX (64u << 20)
#define FRAMES_ROWS 60u
#define FIRST_MS    500u

struct top {
	struct ctlhttp *http;
	const char *interval, *sort;
	bool once, by_tenant;
	double count;
	uint64_t every_ms;
	/* What is on the screen. */
	bool live, paused, quits;
	enum ctltop_view view;
	unsigned sort_by[2];
	struct ctltop_look was, now;
	json_t *active, *top;
	char trouble[64];
	struct ctlterm term;
};

static json_t *fetch_json(struct top *t, const char *path, const char *key)
{
	struct ctlhttp_call call = { .whole_ms = 5000 };
	json_t *answer;
	ctlhttp_call_json(t->http, "GET", path, NULL, &call, &answer);
	if (call.err || call.status != 200) { /* an older server, or no right to see them */
		json_decref(answer);
		answer = NULL;
	}
	ctlhttp_call_release(&call);
	json_t *part = key ? json_incref(json_object_get(answer, key)) : json_incref(answer);
	json_decref(answer);
	return part;
}

/* What a key asks. True: the frame has changed. */
static bool obey(struct top *t, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
	case 27:
	case -1:
		t->quits = true;
		return false;
	case 's':
		t->sort_by[t->view] = (t->sort_by[t->view] + 1) % CTLTOP_SORTS;
		return true;
	case 't':
		t->view = t->view == CTLTOP_QUERIES ? CTLTOP_TENANTS : CTLTOP_QUERIES;
		return true;
	case 'p':
		t->paused = !t->paused;
		return true;
	default:
		return false;
	}
}

/* A look at the server. The exit status where it cannot go on. */
static int look(struct top *t)
{
	struct ctlhttp_call call = {
		.method = "GET", .path = "/metrics", .answer_max = METRICS_MAX, .whole_ms = 5000
	};
	struct ctltop_look next;
	size_t len;
	ctlhttp_begin(t->http, &call);
	while (!call.ended) {
		ctlhttp_turn(t->http);
		if (t->live)
			obey(t, ctlterm_key(STDIN_FILENO, 0));
		if (ctl_stopped() || t->quits)
			ctlhttp_cancel(&call);
	}
	if (call.err == ERR_CANCELED) {
		ctlhttp_call_release(&call);
		return CTL_OK;
	}
	/* A live screen outlasts a restart; else, and at first, trouble ends it. */
	if (t->live && t->now.count && (call.err || call.status > 299)) {
		rune_printf(t->trouble, sizeof(t->trouble), "%s", call.err ? "no answer" : call.text);
		ctlhttp_call_release(&call);
		return CTL_OK;
	}
	if (call.err || call.status > 299) {
		ctlterm_leave();
		int status = ctlhttp_outcome(&call);
		ctlhttp_call_release(&call);
		return status;
	}
	t->trouble[0] = 0;
	buf_add_u8(&call.answer, 0);
	char *text = (char *)buf_take(&call.answer, &len);
	ctltop_look_read(&next, text, len - 1, clock_real_mono_ns());
	if (!ctltop_is_kymod(&next)) {
		ctltop_look_release(&next);
		ctlterm_leave();
		return ctl_fail(CTL_REFUSED, "%s is no kymod: its /metrics do not tell of one",
		    ctlhttp_server(t->http));
	}
	ctltop_look_release(&t->was);
	t->was = t->now;
	t->now = next;
	json_decref(t->active);
	json_decref(t->top);
	t->active = fetch_json(t, "/api/v1/status/active_queries", "data");
	t->top = fetch_json(t, "/api/v1/status/top_queries?topNum=100", NULL);
	return CTL_OK;
}

static void draw(struct top *t)
{
	struct buf b, whole;
	char clock[64];
	size_t len = num_fmt_time(clock_wall_ms() / 1000 * 1000, clock);
	clock[len] = 0;
	ctlterm_look(STDOUT_FILENO, &t->term);
	buf_init(&b);
	ctltop_draw(&b,
	    &(struct ctltop_frame){ .columns = t->term.columns,
	        .rows = t->live ? t->term.rows : FRAMES_ROWS,
	        .colour = t->term.colour,
	        .keys = t->live,
	        .server = ctlhttp_server(t->http),
	        .clock = t->paused ? "paused" : clock,
	        .view = t->view,
	        .sort = t->sort_by[t->view],
	        .was = t->was.count ? &t->was : NULL,
	        .now = &t->now,
	        .active = t->active,
	        .top = t->top,
	        .trouble = t->trouble[0] ? t->trouble : NULL });
	if (!t->live) {
		fwrite(b.data, 1, b.len, stdout);
		fflush(stdout);
		buf_release(&b);
		return;
	}
	/*
	 * Line by line over the old one: nothing flickers; the last has no end that would scroll.
	 */
	buf_init(&whole);
	buf_add_str(&whole, "\033[H\033[K");
	size_t rows = 1;
	for (size_t i = 0; i + 1 < b.len; i++) {
		if (b.data[i] != '\n')
			buf_add_u8(&whole, b.data[i]);
		else
			buf_add_str(&whole, "\r\n\033[K");
		rows += b.data[i] == '\n';
	}
	if (rows < t->term.rows)
		buf_add_str(&whole, "\r\n\033[J");
	fwrite(whole.data, 1, whole.len, stdout);
	fflush(stdout);
	buf_release(&whole);
	buf_release(&b);
}

/* Until the next look is due; keys change the frame at once. */
static void rest(struct top *t)
{
	uint64_t end = clock_real_mono_ns() + t->every_ms * 1000000;
	while (!t->quits && !ctl_stopped()) {
		uint64_t now = clock_real_mono_ns();
		if (now >= end && !t->paused)
			return;
		int left = now < end ? (int)((end - now) / 1000000) + 1 : 1000;
		if (!t->live) {
			ctl_sleep_ms((unsigned)left);
			continue;
		}
		int key = ctlterm_key(STDIN_FILENO, left < 1000 ? left : 1000);
		if (key == ' ')
			return;
		if (obey(t, key) || ctlterm_resized())
			draw(t);
	}
}

static int run(struct top *t)
{
	int status = look(t);
	double frames = 0;
	uint64_t every_ms = t->every_ms;
	if (t->live && !status && !t->quits && !ctl_stopped()) {
		draw(t);
		t->every_ms = every_ms < FIRST_MS ? every_ms : FIRST_MS; /* for its rates */
	}
	while (!status && !t->quits && !ctl_stopped() && (!t->count || frames < t->count)) {
		rest(t);
		t->every_ms = every_ms;
		if (t->quits || ctl_stopped())
			break;
		status = look(t);
		if (!status && !t->quits && !ctl_stopped()) {
			draw(t);
			frames++;
		}
	}
	return status;
}

static int check_flags(struct top *t)
{
	t->every_ms = 2000;
	if (t->interval) {
		double s = cmdline_duration_s("kymoctl top", t->interval, "interval");
		if (!(s >= 0.1 && s <= 3600))
			return ctl_fail(CTL_USAGE, "--interval: from 100ms to 1h");
		t->every_ms = (uint64_t)(s * 1000);
	}
	t->view = t->by_tenant ? CTLTOP_TENANTS : CTLTOP_QUERIES;
	for (unsigned i = 0; t->sort; i++) {
		if (i == CTLTOP_SORTS)
			return ctl_fail(CTL_USAGE,
			    "--sort: \"%s\" is not time, mean, count or memory; of tenants samples, series, queries or time",
			    t->sort);
		if (!strcmp(t->sort, ctltop_sort_names[t->view][i])) {
			t->sort_by[t->view] = i;
			break;
		}
	}
	return CTL_OK;
}

int ctl_top(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	struct top t = { .every_ms = 0 };
	const struct cmdline_arg args[] = {
		{ .name = "interval",
		    .meta = "DURATION",
		    .help = "between two looks (2s)",
		    .text = &t.interval },
		{ .name = "once",
		    .help = "one frame, then the end; so it is without a terminal",
		    .flag = &t.once },
		{ .name = "count", .meta = "N", .help = "so many frames, then the end", .num = &t.count },
		{ .name = "tenants", .help = "tenants instead of queries", .flag = &t.by_tenant },
		{ .name = "sort",
		    .meta = "time|mean|count|memory",
		    .help = "of queries; of tenants samples|series|queries|time",
		    .text = &t.sort },
		CTLHTTP_ARGS(access),
	};
	cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "top",
	        .help = "A live view of a kymod: rates, latencies, memory, log, the heaviest queries and tenants.\n"
	                "Keys: q quit, s sort, t tenants or queries, p pause, space now.",
	        .examples = "  kymoctl top\n"
	                    "      what is it doing?\n"
	                    "  kymoctl top --tenants --sort series --once\n"
	                    "      who has most series\n",
	        .args = args,
	        .args_count = COUNT_OF(args) },
	    argc, argv);
	ctl_catch();
	ctl_at_kill(ctlterm_leave);
	int status = check_flags(&t);
	if (!status)
		status = ctlhttp_open(&access, &t.http);
	if (!status) {
		bool tty = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
		if (t.once || (!t.count && !tty))
			t.count = 1;
		t.live = tty && !t.once && ctlterm_enter(STDIN_FILENO, STDOUT_FILENO);
		status = run(&t);
		ctlterm_leave();
	}
	ctltop_look_release(&t.was);
	ctltop_look_release(&t.now);
	json_decref(t.active);
	json_decref(t.top);
	ctlhttp_close(t.http);
	return status;
}
