/*
 * kymoctl import - history into a server while it works: directories of Prometheus, text, JSON
 * lines, CSV. Sources one after another (imptsdb, implines), all into one impwork.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/num.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/implines.h"
#include "net/ctl/imptsdb.h"

#define DAY_MS      86400000
#define SOURCES_MAX 256u
#define MARGIN_MS   60000 /* the server's clock goes on while we work */

struct import {
	struct impwork work;
	struct ctlhttp *http;
	char **sources;
	unsigned count;
	bool tsdb[SOURCES_MAX];
	double bytes[SOURCES_MAX];
	const char *format, *csv_columns, *start, *end;
	enum implines_format lines;
	bool skip_old, verify, any_format;
	double verify_series;
	int64_t t_min_ms; /* of blocks */
	uint64_t samples;
	double cpu_before;
};

static bool add_match(void *arg, const char *value)
{
	struct impwork *w = arg;
	if (w->matches_count == IMPWORK_WORDS)
		return false;
	w->matches[w->matches_count++] = value;
	return true;
}

static bool add_label(void *arg, const char *value)
{
	struct impwork *w = arg;
	if (w->labels_count == IMPWORK_WORDS)
		return false;
	w->labels[w->labels_count++] = value;
	return true;
}

/* --- what there is --- */

static int set_format(struct import *i)
{
	static const char *const names[] = { "auto", "text", "openmetrics", "jsonl", "csv" };
	const char *text = i->format ? i->format : "auto";
	for (unsigned k = 0; k < COUNT_OF(names); k++) {
		if (strcmp(text, names[k]))
			continue;
		i->lines = (enum implines_format)k;
		return CTL_OK;
	}
	if (!strcmp(text, "prometheus"))
		return CTL_OK;
	return ctl_fail(CTL_USAGE,
	    "--format \"%s\" is none of auto, prometheus, openmetrics, text, jsonl, csv", text);
}

static int look_at(struct import *i)
{
	bool only = i->format && !strcmp(i->format, "prometheus");
	i->t_min_ms = INT64_MAX;
	for (unsigned k = 0; k < i->count; k++) {
		struct stat st;
		struct imptsdb_size size;
		const char *path = i->sources[k];
		bool is_stdin = !strcmp(path, "-");
		if (ctl_is_url(path))
			return ctl_fail(CTL_USAGE,
			    "\"%s\": files and directories are read; of a server: kymoctl migrate %s; "
			    "where to: --server URL",
			    path, path);
		if (!is_stdin && stat(path, &st))
			return ctl_fail(CTL_LOCAL, "%s: there is no such file or directory", path);
		if (is_stdin || !S_ISDIR(st.st_mode)) {
			if (only)
				return ctl_fail(CTL_USAGE, "%s is no directory of Prometheus", path);
			i->bytes[k] = is_stdin || !S_ISREG(st.st_mode) ? 0 : (double)st.st_size;
			continue;
		}
		if (!imptsdb_is(path, &i->work, &size))
			return ctl_fail(CTL_DAMAGED,
			    "%s has neither blocks nor the head of a Prometheus", path);
		i->tsdb[k] = true;
		i->samples += size.samples;
		if (size.t_min_ms < i->t_min_ms)
			i->t_min_ms = size.t_min_ms;
		ctl_note("%s: %zu block%s%s%s", path, size.blocks, size.blocks == 1 ? "" : "s",
		    size.head ? " and a head" : "",
		    size.broken ? ", and some that cannot be read" : "");
	}
	return CTL_OK;
}

/* --- what the server will take --- */

static int64_t flag_ms(const json_t *flags, const char *name)
{
	const char *text = json_string_value(json_object_get(flags, name));
	int64_t ms;
	return text && !num_parse_duration(text, strlen(text), &ms) ? ms : 0;
}

static void say_time(int64_t ms, char out[32])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/*
 * Samples before the retention, or the window, would be refused. Blocks tell how old they are
 * before anything is sent; of text nobody knows.
 */
static int check_server(struct import *i)
{
	json_t *flags;
	char oldest[32], taken[32];
	int status = ctlhttp_json(i->http, "GET", "/api/v1/status/flags", NULL, &flags);
	if (status)
		return status;
	int64_t retention = flag_ms(flags, "retention"),
	        window = flag_ms(flags, "out-of-order-window");
	bool narrow = window && (!retention || window < retention);
	int64_t keeps = narrow ? window : retention;
	const char *flag = narrow ? "out-of-order-window" : "retention",
	           *text = json_string_value(json_object_get(flags, flag));
	char is[64];
	snprintf(is, sizeof(is), "--%s %s", flag, text ? text : "");
	json_decref(flags);
	if (!keeps)
		return CTL_OK;
	int64_t from = clock_wall_ms() - keeps + MARGIN_MS;
	say_time(from, taken);
	bool is_old = i->t_min_ms != INT64_MAX &&
	    (i->t_min_ms > i->work.t_from_ms ? i->t_min_ms : i->work.t_from_ms) < from - MARGIN_MS;
	for (unsigned k = 0; k < i->count && i->skip_old; k++)
		is_old |= !i->tsdb[k];
	if (!is_old)
		return CTL_OK;
	if (i->skip_old) {
		ctl_note("samples before %s are passed over (%s of the server)", taken, is);
		i->work.t_from_ms = i->work.t_from_ms > from ? i->work.t_from_ms : from;
		return CTL_OK;
	}
	say_time(i->t_min_ms, oldest);
	int64_t days = (clock_wall_ms() - i->t_min_ms) / DAY_MS + 2;
	return ctl_fail(CTL_USAGE,
	    "the oldest samples are of %s, and the server takes none before %s (%s): start it with "
	    "--%s %" PRId64 "d, or pass them over with --skip-old",
	    oldest, taken, is, flag, days);
}

static double server_cpu(struct import *i)
{
	struct ctlhttp_call call = { .method = "GET", .path = "/metrics" };
	double s = -1;
	ctlhttp_begin(i->http, &call);
	while (!call.ended)
		ctlhttp_turn(i->http);
	buf_add_u8(&call.answer, 0);
	const char *at = call.err || call.status > 299
	    ? NULL
	    : strstr((const char *)call.answer.data, "\nprocess_cpu_seconds_total ");
	if (at)
		s = strtod(at + strlen("\nprocess_cpu_seconds_total "), NULL);
	ctlhttp_call_release(&call);
	return s;
}

/* --- the work --- */

static void name_work(const struct import *i, struct buf *out)
{
	const struct impwork *w = &i->work;
	buf_add_str(out, "import");
	for (unsigned k = 0; k < i->count; k++) {
		char *real = realpath(i->sources[k], NULL);
		buf_printf(out, " %s", real ? real : i->sources[k]);
		free(real);
	}
	buf_printf(out, " into %s", ctlhttp_who(i->http));
	for (size_t k = 0; k < w->matches_count; k++)
		buf_printf(out, " match %s", w->matches[k]);
	for (size_t k = 0; k < w->labels_count; k++)
		buf_printf(out, " label %s", w->labels[k]);
	if (i->start)
		buf_printf(out, " start %s", i->start);
	if (i->end)
		buf_printf(out, " end %s", i->end);
	buf_add_u8(out, 0);
}

static int run(struct import *i)
{
	struct impwork *w = &i->work;
	int status = CTL_OK;
	double bytes = 0, before = 0;
	for (unsigned k = 0; k < i->count; k++)
		bytes += i->bytes[k];
	bool by_bytes = !i->samples && bytes > 0;
	ctlprog_begin(&w->prog, by_bytes ? "B" : "samples", by_bytes ? bytes : (double)i->samples,
	    by_bytes ? 0 : (double)(w->counts.floats + w->counts.hists + w->counts.passed), w->quiet);
	for (unsigned k = 0; k < i->count && !status; k++) {
		char unit[32];
		snprintf(unit, sizeof(unit), "%u/", k);
		if (i->tsdb[k]) {
			status = imptsdb(w, i->sources[k], unit);
			continue;
		}
		snprintf(unit, sizeof(unit), "%u/file", k);
		struct implines o = { .work = w,
			.path = i->sources[k],
			.unit = unit,
			.format = i->lines,
			.csv_columns = i->csv_columns,
			.tell_bytes = by_bytes,
			.bytes_before = before };
		status = implines(&o);
		before += i->bytes[k];
	}
	return impwork_finish(w, status);
}

static bool refused(const struct impwork *w)
{
	struct ctlpush_counts c = { 0 };
	if (w->push)
		ctlpush_counts(w->push, &c);
	return c.refused > 0;
}

static double my_cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void summary(struct import *i, int status)
{
	struct impwork *w = &i->work;
	struct ctlpush_counts c = { 0 };
	double mine = my_cpu(), server = -1;
	if (w->push)
		ctlpush_counts(w->push, &c);
	if (!w->dry_run && i->cpu_before >= 0 && status != CTL_INTERRUPTED &&
	    status != CTL_UNREACHABLE)
		server = server_cpu(i);
	ctlprog_end(&w->prog);
	printf("%s%" PRIu64 " samples and %" PRIu64 " histograms of %" PRIu64 " series%s\n",
	    w->dry_run ? "there are " : "given ", w->counts.floats, w->counts.hists,
	    w->counts.series, i->samples ? " (counted once for each block)" : "");
	if (w->counts.passed)
		printf("not wanted: %" PRIu64 " samples\n", w->counts.passed);
	if (w->counts.bad)
		printf("could not be read: %" PRIu64 " lines or pieces\n", w->counts.bad);
	if (w->dry_run)
		return;
	printf("this run: %" PRIu64 " acknowledged in %" PRIu64 " requests (%" PRIu64
	       " repeated), %" PRIu64 " refused\n",
	    c.acked, c.requests, c.repeated, c.refused);
	for (unsigned k = 0; k < CTLPUSH_REASONS && *c.reasons[k].word; k++)
		printf("  %s: %" PRIu64 "\n", c.reasons[k].word, c.reasons[k].count);
	if (*c.first_refusal)
		printf("  the first: %s\n", c.first_refusal);
	printf("CPU: %.2f s here", mine);
	if (server >= i->cpu_before) /* it has not been started anew */
		printf(", %.2f s of the server meanwhile, whatever it did", server - i->cpu_before);
	printf("\n");
	if (status == CTL_INTERRUPTED)
		ctl_note("interrupted; the same command goes on where it was");
}

static int verify(struct import *i)
{
	uint64_t checked = 0, differ = 0;
	int status = CTL_OK;
	for (unsigned k = 0; k < i->count && !status; k++)
		if (i->tsdb[k])
			status = imptsdb_verify(&i->work, i->sources[k],
			    i->verify_series > 0 ? (unsigned)i->verify_series : 200, &checked,
			    &differ);
	printf("verified: %" PRIu64 " ranges of series against the source, %" PRIu64 " differ\n",
	    checked, differ);
	return status ? status : differ ? CTL_NO : CTL_OK;
}

int ctl_import(int argc, char **argv)
{
	struct import i = { .work = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX },
		.cpu_before = -1 };
	struct ctlhttp_access access = { 0 };
	struct impwork *w = &i.work;
	const struct cmdline_arg args[] = {
		{ .name = "format",
		    .meta = "auto|prometheus|openmetrics|text|jsonl|csv",
		    .help = "of the sources (auto: by what they are)",
		    .text = &i.format },
		{ .name = "match",
		    .meta = "SELECTOR",
		    .help = "series to take, may be repeated (all)",
		    .each = add_match,
		    .arg = w },
		{ .name = "start", .meta = "TIME", .help = "samples from here on", .text = &i.start },
		{ .name = "end", .meta = "TIME", .help = "samples up to here", .text = &i.end },
		{ .name = "label",
		    .meta = "NAME=VALUE",
		    .help = "label of all series, may be repeated",
		    .each = add_label,
		    .arg = w },
		{ .name = "csv-columns",
		    .meta = "name,LABEL,...,time,value",
		    .help = "what the columns are, times also as time:unix_ms (its first row)",
		    .text = &i.csv_columns },
		{ .name = "skip-old",
		    .help = "pass over what is older than the server's retention",
		    .flag = &i.skip_old },
		{ .name = "strict",
		    .help = "end at the first bad line or damaged piece",
		    .flag = &w->strict },
		{ .name = "dry-run", .help = "read all, send nothing", .flag = &w->dry_run },
		{ .name = "verify",
		    .help = "then compare random ranges of blocks with the server's",
		    .flag = &i.verify },
		{ .name = "verify-series", .meta = "N", .help = "so many (200)", .num = &i.verify_series },
		{ .name = "rate", .meta = "N", .help = "samples a second at most", .num = &w->rate },
		{ .name = "mark",
		    .meta = "FILE",
		    .help = "where the work keeps how far it is (in ~/.local/state/kymoctl)",
		    .text = &w->mark_file },
		{ .name = "state", .meta = "FILE", .help = "as --mark", .text = &w->mark_file },
		{ .name = "again",
		    .help = "from the start, whatever an earlier run did",
		    .flag = &w->again },
		{ .name = "quiet", .help = "no progress", .flag = &w->quiet },
		CTLHTTP_ARGS(access),
	};
	i.count = (unsigned)cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "import",
	        .words = "SOURCE...",
	        .help =
	            "Brings history into a server while it works: data directories, snapshots and "
	            "blocks of Prometheus, files of OpenMetrics, text with times, JSON lines and "
	            "CSV, packed with gzip or zstd or not, or - for stdin. Exit status 1: some of "
	            "it could not be read, or was refused.",
	        .examples = "  kymoctl import /var/lib/prometheus\n"
	                    "  kymoctl import --match '{job=\"web\"}' --start -7d --verify ./snapshot\n"
	                    "  xz -dc old.jsonl.xz | kymoctl import --format jsonl -\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 1,
	        .words_max = SOURCES_MAX },
	    argc, argv);
	i.sources = argv;
	w->t_from_ms = i.start ? ctl_time_ms(i.start, "start") : INT64_MIN;
	w->t_to_ms = i.end ? ctl_time_ms(i.end, "end") : INT64_MAX;
	ctl_catch();
	int status = set_format(&i);
	if (!status)
		status = look_at(&i);
	if (!status)
		status = ctlhttp_open(&access, &i.http);
	if (!status && !w->dry_run)
		status = check_server(&i);
	if (status) {
		ctlhttp_close(i.http);
		return status;
	}
	struct buf work;
	buf_init(&work);
	name_work(&i, &work);
	if (!w->dry_run)
		i.cpu_before = server_cpu(&i);
	status = impwork_open(w, i.http, (const char *)work.data);
	if (!status) {
		if (w->goes_on)
			ctl_note("goes on where it was");
		status = run(&i);
		summary(&i, status);
	}
	if (!status && i.verify && !w->dry_run)
		status = verify(&i);
	if (!status && (w->counts.bad || refused(w)))
		status = CTL_NO;
	impwork_close(w);
	ctlhttp_close(i.http);
	buf_release(&work);
	return status;
}
