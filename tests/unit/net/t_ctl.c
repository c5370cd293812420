/*
 * The ground of kymoctl: exit codes, amounts, times, tables, what terminals are told, progress,
 * marks with damage, faults and power cuts.
 */
#include "net/ctl/ctl.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "net/ctl/ctlmark.h"
#include "net/ctl/ctlprog.h"
#include "net/ctl/ctltable.h"
#include "net/ctl/ctlterm.h"
#include "tests/lib/fault.h"
#include "tests/lib/forked.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

/* ---- words ---- */

static void amounts(void)
{
	static const struct {
		double n;
		const char *count, *bytes, *time;
	} rows[] = { { 0, "0", "0 B", "0.0 s" }, { 7, "7", "7 B", "7.0 s" },
		{ 999, "999", "999 B", "16 min 39 s" }, { 1234, "1.23 k", "1.23 kB", "20 min 34 s" },
		{ 45600, "45.6 k", "45.6 kB", "12 h 40 min" },
		{ 999600, "1.00 M", "1.00 MB", "277 h 40 min" },
		{ 9.1e9, "9.10 G", "9.10 GB", "2527777 h 46 min" },
		{ 0.25, "0.25", "0.25 B", "0.2 s" }, { 59.97, "60.0", "60.0 B", "1 min 00 s" } };
	char text[CTL_TEXT];
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		tap_is_str(ctl_count(rows[i].n, text), rows[i].count, "the count %g", rows[i].n);
		tap_is_str(ctl_bytes(rows[i].n, text), rows[i].bytes, "the bytes %g", rows[i].n);
		tap_is_str(ctl_time(rows[i].n, text), rows[i].time, "the seconds %g", rows[i].n);
	}
	tap_is_str(ctl_time(-5, text), "0.0 s", "less than nothing is nothing");
}

static int time_child(void *arg)
{
	ctl_time_ms(arg, "start");
	return 77;
}

static void times(void)
{
	struct forked f;
	int64_t now = clock_wall_ms();
	tap_is_i64(ctl_time_ms("1700000000.5", "t"), 1700000000500, "unix seconds");
	tap_is_i64(ctl_time_ms("2023-11-14T22:13:20Z", "t"), 1700000000000, "RFC 3339");
	int64_t hour = now - ctl_time_ms("-1h", "t");
	tap_ok(hour > 3590000 && hour <= 3600000, "-1h is an hour ago");
	tap_is_i64(ctl_time_ms("2023-11-14", "t"), 1699920000000, "a day, from its begin in UTC");
	int64_t grafana = ctl_time_ms("now-1h", "t") - ctl_time_ms("1h", "t");
	tap_ok(grafana >= 0 && grafana < 60000, "now-1h is 1h ago");
	hour = now - ctl_time_ms("7d", "t");
	tap_ok(hour > 604790000 && hour <= 604800000, "7d is a week ago");
	TAP_OK(ctl_time_ms("now", "t") >= now);
	forked_run(&f, time_child, (char[]){ "yesterday" });
	tap_ok(f.status == CTL_USAGE && strstr(f.err, "--start: \"yesterday\" is no time"),
	    "yesterday is none: %s", f.err);
}

static int wait_child(void *arg)
{
	(void)arg;
	ctl_catch();
	kill(getpid(), SIGTERM);
	uint64_t begin = clock_real_mono_ns();
	bool whole = ctl_sleep_ms(20000);
	return !whole && ctl_stopped() && clock_real_mono_ns() - begin < 5000000000u ? CTL_INTERRUPTED
	                                                                             : 77;
}

static void last_words(void)
{
	if (write(STDOUT_FILENO, "restored", 8) != 8)
		_exit(99);
}

static int twice_child(void *arg)
{
	(void)arg;
	ctl_catch();
	ctl_at_kill(last_words);
	kill(getpid(), SIGINT);
	kill(getpid(), SIGINT);
	return 77;
}

static int hup_child(void *arg)
{
	(void)arg;
	signal(SIGHUP, SIG_IGN);
	ctl_catch();
	kill(getpid(), SIGHUP);
	return ctl_stopped() ? 77 : 0;
}

static void signals(void)
{
	struct forked f;
	forked_run(&f, wait_child, NULL);
	tap_is_i64(f.status, CTL_INTERRUPTED, "a signal ends a sleep");
	forked_run(&f, twice_child, NULL);
	tap_ok(f.status == CTL_INTERRUPTED && !strcmp(f.out, "restored"),
	    "the second one the program, with its last words");
	forked_run(&f, hup_child, NULL);
	tap_is_i64(f.status, 0, "below nohup SIGHUP stays ignored");
}

static void exits(void)
{
	static const struct {
		enum err e;
		enum ctl_exit want;
	} rows[] = { { ERR_OK, CTL_OK }, { ERR_DAMAGED, CTL_DAMAGED }, { ERR_MALFORMED, CTL_DAMAGED },
		{ ERR_NOSPACE, CTL_LOCAL }, { ERR_ACCESS, CTL_LOCAL }, { ERR_NOTFOUND, CTL_LOCAL },
		{ ERR_CANCELED, CTL_INTERRUPTED }, { ERR_TIMEOUT, CTL_UNREACHABLE },
		{ ERR_BADDATA, CTL_USAGE } };
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		tap_is_i64((int)ctl_exit_of(rows[i].e), (int)rows[i].want, "%s", err_why(rows[i].e));
}

/* ---- tables ---- */

static char told[1 << 20];

static const char *table(enum ctltable_form form, const char *const *cells, size_t rows)
{
	static const struct ctltable_column columns[] = { { "name", false }, { "value", true },
		{ "note", false } };
	struct ctltable t;
	FILE *f = tmpfile();
	ctltable_begin(&t, f, form, columns, 3);
	for (size_t i = 0; i < 3 * rows; i++)
		ctltable_cell(&t, cells[i]);
	ctltable_end(&t);
	forked_read(f, told, sizeof(told));
	return told;
}

static void tables(void)
{
	static const char *const cells[] = { "up", "1", "a \"b\", c", "a_longer_name", "-0.5e+10",
		"two\nlines", "日本", "NaN", "e\033[2J\xff" };
	tap_is_str(table(CTLTABLE_TABLE, cells, 3),
	    "name              value  note\n"
	    "up                    1  a \"b\", c\n"
	    "a_longer_name  -0.5e+10  two\\nlines\n"
	    "日本                NaN  e\\x1b[2J\\xff\n",
	    "a table is as wide as it must be, and steers no terminal");
	tap_is_str(table(CTLTABLE_CSV, cells, 3),
	    "name,value,note\r\nup,1,\"a \"\"b\"\", c\"\r\na_longer_name,-0.5e+10,\"two\nlines\"\r\n日本,NaN,e\033[2J\xff\r\n",
	    "CSV is that of RFC 4180");
	tap_is_str(table(CTLTABLE_JSON, cells, 3),
	    "[\n{\"name\":\"up\",\"value\":1,\"note\":\"a \\\"b\\\", c\"},\n"
	    "{\"name\":\"a_longer_name\",\"value\":-0.5e+10,\"note\":\"two\\nlines\"},\n"
	    "{\"name\":\"日本\",\"value\":\"NaN\",\"note\":\"e\\u001b[2J\xef\xbf\xbd\"}\n]\n",
	    "JSON has numbers where they are some");
	tap_is_str(table(CTLTABLE_TABLE, cells, 0), "name  value  note\n", "no rows are a head");
	tap_is_str(table(CTLTABLE_JSON, cells, 0), "[]\n", "or an empty list");
	static const char *const numbers[] = { "01", ".5", "1.", "+1", "0x1", "1e", "-", "", "0",
		"-0", "1E5", "12.50" };
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		const char *row[] = { "a", numbers[i], "b" };
		char want[64];
		snprintf(
		    want, sizeof(want), i < 8 ? "\"value\":\"%s\"" : "\"value\":%s,", numbers[i]);
		tap_ok(strstr(table(CTLTABLE_JSON, row, 1), want) != NULL,
		    "%s is %s number of JSON", numbers[i], i < 8 ? "no" : "a");
	}
	struct ctltable t;
	FILE *f = tmpfile();
	char *longer = testlib_repeated("", "x", 5000, "");
	ctltable_begin(&t, f, CTLTABLE_CSV, (const struct ctltable_column[]){ { "v", false } }, 1);
	ctltable_cellf(&t, "%s%s", longer, "!");
	ctltable_end(&t);
	forked_read(f, told, sizeof(told));
	tap_ok(strlen(told) == 3 + 5001 + 2 && strstr(told, "x!\r\n"), "a long cell is whole: %zu",
	    strlen(told));
	mem_free(longer);
}

static int form_child(void *arg)
{
	return (int)ctltable_form(arg);
}

static void forms(void)
{
	struct forked f;
	TAP_OK(ctltable_form(NULL) == CTLTABLE_TABLE && ctltable_form("csv") == CTLTABLE_CSV &&
	    ctltable_form("json") == CTLTABLE_JSON);
	forked_run(&f, form_child, (char[]){ "xml" });
	tap_ok(f.status == CTL_USAGE && strstr(f.err, "\"xml\""), "another form is none: %s", f.err);
}

static const char *fit(const char *text, size_t places, bool right)
{
	static char out[256];
	struct buf b;
	buf_init(&b);
	ctlterm_fit(&b, text, strlen(text), places, right);
	snprintf(out, sizeof(out), "%.*s", (int)b.len, (char *)b.data);
	buf_release(&b);
	return out;
}

static void places(void)
{
	tap_is_u64(ctlterm_width("a\xcc\x81日\x01", 7), 1 + 0 + 2 + 4, "marks, wide ones, escapes");
	tap_is_str(fit("abc", 5, false), "abc  ", "blanks behind");
	tap_is_str(fit("abc", 5, true), "  abc", "or before");
	tap_is_str(fit("abcdef", 5, false), "abc..", "cut");
	tap_is_str(fit("日本語", 5, true), "日.. ", "never within a character");
	tap_is_str(fit("abcdef", 1, false), ".", "very little");
	tap_is_str(fit("abcdef", 0, false), "", "nothing");
	tap_is_str(fit("\xe2\x80\xae"
	               "x",
	               9, false),
	    "\\u202ex  ", "directions of writing are told");
}

/* ---- progress ---- */

static int progress_child(void *arg)
{
	struct ctlprog p;
	bool quiet = arg != NULL;
	ctlprog_begin(&p, "samples", 1000, 200, quiet);
	for (unsigned i = 200; i <= 1000; i++)
		ctlprog_tell(&p, i);
	p._shown_ns = 0; /* ten seconds have gone by */
	snprintf(p.more, sizeof(p.more), "block 3");
	ctlprog_tell(&p, 600);
	ctlprog_end(&p);
	return 0;
}

static void progress(void)
{
	struct forked f;
	forked_run(&f, progress_child, NULL);
	tap_ok(strstr(f.err, "  600 of 1.00 k samples  60 %  ") && strstr(f.err, "/s  left ") &&
	        strstr(f.err, "block 3\n"),
	    "a line of a pipe: %s", f.err);
	tap_ok(strstr(f.err, "  400 samples in 0.") && !*f.out, "and the end, of what this run did");
	forked_run(&f, progress_child, &f);
	tap_ok(strstr(f.err, "  400 samples in 0.") && !strchr(f.err, '%'),
	    "quiet: the end alone: %s", f.err);
}

/* ---- marks ---- */

static enum err mark_of(const char *path, const char *work, struct ctlmark **m, bool *on)
{
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = ctlmark_open(path, work, m, on, &eb);
	if (e)
		tap_note("%s", eb.text);
	return e;
}

static void marks(const char *dir)
{
	char *path = testlib_path(dir, "deep/er/mark");
	struct ctlmark *m;
	struct errbuf eb;
	bool on = true;
	errbuf_init(&eb);
	if (!tap_ok(!mark_of(path, "import a\nb", &m, &on) && !on, "a new mark, its folders are made"))
		return;
	ctlmark_set(m, "block/01H", "done, with blanks\r\nand a \\line\\n");
	ctlmark_set_num(m, "at", -5);
	ctlmark_set(m, "gone", "x");
	ctlmark_set(m, "gone", NULL);
	ctlmark_set(m, "never", NULL);
	TAP_OK(!ctlmark_save(m, &eb));
	struct ctlmark *second;
	errbuf_init(&eb);
	TAP_OK(ctlmark_open(path, "import a b", &second, &on, &eb) == ERR_LOCKED && !second);
	tap_ok(strstr(eb.text, "under way") && strstr(eb.text, "--mark"),
	    "the same work a second time is told: %s", eb.text);
	ctlmark_close(m);
	TAP_OK(!mark_of(path, "import a b", &m, &on) && on);
	tap_is_str(ctlmark_get(m, "block/01H"), "done, with blanks\r\nand a \\line\\n",
	    "values come back");
	tap_ok(ctlmark_get_num(m, "at", 0) == -5 && !ctlmark_get(m, "gone") &&
	        ctlmark_get_num(m, "block/01H", 7) == 7,
	    "numbers, too");
	ctlmark_close(m);
	TAP_OK(mark_of(path, "import c", &m, &on) == ERR_EXISTS && !m);

	/* Every byte changed, every length cut: damaged, or another's, never taken. */
	FILE *f = fopen(path, "r");
	char text[4096];
	size_t len = fread(text, 1, sizeof(text), f);
	fclose(f);
	unsigned taken = 0;
	for (size_t i = 0; i < 2 * len; i++) {
		f = fopen(path, "w");
		char was = text[i % len];
		text[i % len] = (char)(was ^ 0x15);
		fwrite(text, 1, i < len ? len : i - len, f);
		text[i % len] = was;
		fclose(f);
		errbuf_init(&eb);
		enum err e = ctlmark_open(path, "import a b", &m, &on, &eb);
		taken += e != ERR_DAMAGED || m || !*eb.text;
		ctlmark_close(m);
	}
	tap_is_u64(taken, 0, "a damaged mark is told, of %zu", 2 * len);
	f = fopen(path, "w");
	fwrite(text, 1, len, f);
	fclose(f);
	TAP_OK(!mark_of(path, "import a b", &m, &on) && on && !ctlmark_done(m, &eb) &&
	    access(path, F_OK));
	TAP_OK(!ctlmark_done(m, &eb));
	ctlmark_close(m);
	ctlmark_close(NULL);
	free(path);
}

/* A save that fails leaves the mark before it, and says so. */
static void mark_faults(const char *dir)
{
	char *path = testlib_path(dir, "faults");
	struct ctlmark *m;
	struct errbuf eb;
	bool on;
	unsigned hits = 0, wrong = 0;
	TAP_OK(!mark_of(path, "w", &m, &on));
	int64_t last = 0;
	for (uint64_t n = 1; n < 100; n++) {
		fault_start(NULL);
		fault_set(FAULT_ANY, NULL, n, 1, ERR_NOSPACE);
		ctlmark_set_num(m, "n", (int64_t)n);
		errbuf_init(&eb);
		enum err e = ctlmark_save(m, &eb);
		bool hit = fault_hits(FAULT_ANY) != 0;
		fault_stop();
		ctlmark_close(m); /* two at once have none */
		enum err o = ctlmark_open(path, "w", &m, &on, &eb);
		int64_t found = o ? -1 : ctlmark_get_num(m, "n", 0);
		wrong += o || (e ? found != last && found != (int64_t)n : found != (int64_t)n) ||
		    (hit && !e && found != (int64_t)n);
		last = found;
		hits += hit;
		if (!hit || o)
			break;
	}
	tap_ok(hits >= 4 && !wrong,
	    "a save that fails leaves the old or the new mark: %u faults, %u wrong", hits, wrong);
	ctlmark_close(m);
	free(path);
}

static void mark_power_cuts(const char *dir)
{
	char *root = testlib_path(dir, "cut"), *path = testlib_path(root, "mark");
	struct ctlmark *m;
	struct errbuf eb;
	bool on;
	uint64_t saved[40], all = 0, wrong = 0;
	errbuf_init(&eb);
	fsdouble_start(&(struct fsdouble_opts){ .root = root });
	TAP_OK(!mark_of(path, "w", &m, &on));
	saved[0] = 0;
	for (int64_t n = 1; n < 20; n++) {
		ctlmark_set_num(m, "n", n);
		ctlmark_set(
		    m, "text", "a text that grows the file beyond a sector or two, now and then");
		wrong += ctlmark_save(m, &eb) != ERR_OK;
		saved[n] = fsdouble_point();
	}
	ctlmark_close(m);
	for (uint64_t point = 0; point <= saved[19]; point++) {
		int64_t least = 0;
		while (least < 19 && saved[least + 1] <= point)
			least++;
		char name[32];
		snprintf(name, sizeof(name), "image%u", (unsigned)point);
		char *to = testlib_path(dir, name), *there = testlib_path(to, "mark");
		fsdouble_image(point, point * 7 + 1, FSDOUBLE_RANDOM, to);
		errbuf_init(&eb);
		enum err e = ctlmark_open(there, "w", &m, &on, &eb);
		int64_t n = e ? -1 : ctlmark_get_num(m, "n", 0);
		if (e || n < least || n > least + 1)
			tap_note("at %u: %s, %d, wanted %d", (unsigned)point, eb.text, (int)n,
			    (int)least);
		wrong += e || n < least || n > least + 1;
		all++;
		ctlmark_close(m);
		free(to);
		free(there);
	}
	fsdouble_stop();
	tap_ok(!wrong, "after a power cut the last mark that was saved is there: %u of %u wrong",
	    (unsigned)wrong, (unsigned)all);
	free(root);
	free(path);
}

static void mark_paths(void)
{
	char a[256], b[256];
	setenv("XDG_STATE_HOME", "/state", 1);
	ctlmark_path("import x", a, sizeof(a));
	ctlmark_path("import y", b, sizeof(b));
	tap_ok(!strncmp(a, "/state/kymoctl/", 15) && strlen(a) == 31 && strcmp(a, b),
	    "each work has its mark: %s", a);
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", "/home/x", 1);
	ctlmark_path("import x", b, sizeof(b));
	tap_ok(!strncmp(b, "/home/x/.local/state/kymoctl/", 29) && !strcmp(b + 29, a + 15),
	    "at home: %s", b);
}

int main(void)
{
	char *dir = testlib_tmpdir("ctl");
	amounts();
	times();
	signals();
	exits();
	tables();
	forms();
	places();
	progress();
	marks(dir);
	mark_faults(dir);
	mark_power_cuts(dir);
	mark_paths();
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
