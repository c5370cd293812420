#include "net/ctl/ctltop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/base/num.h"
#include "net/ctl/ctl.h"
#include "net/ctl/ctlterm.h"

#define BUCKETS_MOST 128u
#define ROWS_LISTED  2000u

/* ---- looks ---- */

/* name{labels} value [time]: cut into its parts in place; false: it is no sample. */
static bool read_line(char *line, struct ctltop_sample *s)
{
	char *open = line + strcspn(line, "{ "), *value = open;
	if (open == line || *line == '#' || !*open)
		return false;
	s->name = line;
	s->labels = "";
	if (*open == '{') {
		bool quoted = false;
		for (value = open + 1; *value && (quoted || *value != '}'); value++) {
			if (quoted && *value == '\\' && value[1])
				value++;
			else if (*value == '"')
				quoted = !quoted;
		}
		if (!*value)
			return false;
		s->labels = open + 1;
		*value++ = 0;
	}
	*open = 0;
	if (value == open)
		value++;
	value += strspn(value, " ");
	return !num_parse_float(value, strcspn(value, " "), &s->value);
}

void ctltop_look_read(struct ctltop_look *l, char *take_text, size_t len, uint64_t at_ns)
{
	size_t room = 0;
	*l = (struct ctltop_look){ .at_ns = at_ns, .text = take_text };
	for (char *at = take_text, *end = take_text + len; at < end;) {
		char *stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop : end;
		*stop = 0;
		if (l->count == room) {
			room = room ? 2 * room : 1024;
			l->samples = mem_array(l->samples, room, sizeof(*l->samples));
		}
		l->count += read_line(at, &l->samples[l->count]);
		at = stop + 1;
	}
}

void ctltop_look_release(struct ctltop_look *l)
{
	mem_free(l->text);
	mem_free(l->samples);
	*l = (struct ctltop_look){ .text = NULL };
}

bool ctltop_is_kymod(const struct ctltop_look *l)
{
	return !isnan(ctltop_sum(l, "kymo_build_info", NULL));
}

double ctltop_sum(const struct ctltop_look *l, const char *name, const char *holds)
{
	double sum = NAN;
	for (size_t i = 0; i < l->count; i++) {
		const struct ctltop_sample *s = &l->samples[i];
		if (strcmp(s->name, name) != 0 || (holds && !strstr(s->labels, holds)))
			continue;
		sum = isnan(sum) ? s->value : sum + s->value;
	}
	return sum;
}

static double seconds_between(const struct ctltop_look *was, const struct ctltop_look *now)
{
	return was && now->at_ns > was->at_ns ? (double)(now->at_ns - was->at_ns) / 1e9 : 0;
}

/* A counter that fell was begun anew: it counts from 0. */
static double more(double was, double now)
{
	return now >= was ? now - was : now;
}

double ctltop_rate(const struct ctltop_look *was, const struct ctltop_look *now, const char *name,
    const char *holds)
{
	double s = seconds_between(was, now);
	if (s <= 0)
		return NAN;
	return more(ctltop_sum(was, name, holds), ctltop_sum(now, name, holds)) / s;
}

static bool bound_of(const char *labels, double *le)
{
	const char *at = strstr(labels, "le=\"");
	return at && !num_parse_float(at + 4, strcspn(at + 4, "\""), le);
}

struct buckets {
	double bound[BUCKETS_MOST], count[BUCKETS_MOST];
	size_t n;
};

static void add_buckets(struct buckets *b, const struct ctltop_look *l, const char *name,
    const char *holds, const char *or_holds, double sign)
{
	double le;
	size_t len = strlen(name);
	for (size_t i = 0; i < l->count; i++) {
		const struct ctltop_sample *s = &l->samples[i];
		if (strncmp(s->name, name, len) != 0 || strcmp(s->name + len, "_bucket") != 0 ||
		    !bound_of(s->labels, &le))
			continue;
		if (holds && !strstr(s->labels, holds) && !(or_holds && strstr(s->labels, or_holds)))
			continue;
		size_t at = 0;
		while (at < b->n && b->bound[at] != le)
			at++;
		if (at == BUCKETS_MOST)
			return;
		if (at == b->n) {
			b->bound[b->n] = le;
			b->count[b->n++] = 0;
		}
		b->count[at] += sign * s->value;
	}
}

double ctltop_quantile(const struct ctltop_look *was, const struct ctltop_look *now,
    const char *name, const char *holds, const char *or_holds, double q)
{
	struct buckets b = { .n = 0 };
	if (seconds_between(was, now) <= 0)
		return NAN;
	add_buckets(&b, now, name, holds, or_holds, 1);
	if (more(ctltop_sum(was, name, NULL), 0) >= 0)
		add_buckets(&b, was, name, holds, or_holds, -1);
	/* Bounds come in ascending order, as /metrics has them. */
	double all = b.n ? b.count[b.n - 1] : 0, rank = q * all;
	if (!(all > 0))
		return NAN;
	for (size_t i = 0; i < b.n; i++) {
		double below = i ? b.count[i - 1] : 0, low = i ? b.bound[i - 1] : 0;
		if (b.count[i] < rank)
			continue;
		if (isinf(b.bound[i]))
			return low;
		return b.count[i] > below
		    ? low + (b.bound[i] - low) * (rank - below) / (b.count[i] - below)
		    : b.bound[i];
	}
	return NAN;
}

/* ---- words ---- */

const char *const ctltop_sort_names[2][CTLTOP_SORTS] = { { "time", "mean", "count", "memory" },
	{ "samples", "series", "queries", "time" } };

static const char *count_text(double n, char text[CTL_TEXT])
{
	if (isnan(n))
		snprintf(text, CTL_TEXT, "-");
	else if (n > 0 && n < 9.95 && n != floor(n))
		snprintf(text, CTL_TEXT, "%.1f", n);
	else
		ctl_count(round(n), text);
	return text;
}

static const char *bytes_text(double n, char text[CTL_TEXT])
{
	if (isnan(n))
		snprintf(text, CTL_TEXT, "-");
	else
		ctl_bytes(n, text);
	return text;
}

static const char *time_text(double s, char text[CTL_TEXT])
{
	if (isnan(s))
		snprintf(text, CTL_TEXT, "-");
	else if (s < 0.9995e-3)
		snprintf(text, CTL_TEXT, "%.0f us", s * 1e6);
	else if (s < 0.9995)
		snprintf(text, CTL_TEXT, "%.*f ms", s < 9.95e-3 ? 1 : 0, s * 1e3);
	else
		ctl_time(s, text);
	return text;
}

/* ---- the frame ---- */

struct drawing {
	struct buf *out;
	const struct ctltop_frame *f;
	unsigned row;
	struct buf line;
};

/* What stands in line becomes a row of the frame, if there is one left. */
static void end_line(struct drawing *d, bool strong)
{
	if (d->row < d->f->rows) {
		if (strong && d->f->colour)
			buf_add_str(d->out, "\033[7m");
		size_t from = d->out->len;
		ctlterm_fit(d->out, d->line.len ? (const char *)d->line.data : "", d->line.len,
		    d->f->columns, false);
		if (!strong)
			while (d->out->len > from && d->out->data[d->out->len - 1] == ' ')
				d->out->len--;
		if (strong && d->f->colour)
			buf_add_str(d->out, "\033[0m");
		buf_add_u8(d->out, '\n');
		d->row++;
	}
	buf_clear(&d->line);
}

static void head(struct drawing *d)
{
	const struct ctltop_look *n = d->f->now;
	char up[CTL_TEXT], text[CTL_TEXT];
	const char *version = "?";
	for (size_t i = 0; i < n->count; i++)
		if (!strcmp(n->samples[i].name, "kymo_build_info"))
			version = strstr(n->samples[i].labels, "version=\"");
	version = version ? version : "?";
	version += *version == 'v' ? strlen("version=\"") : 0;
	double newest = ctltop_sum(n, "kymo_storage_newest_sample_timestamp_seconds", "own");
	double begun = ctltop_sum(n, "process_start_time_seconds", NULL);
	ctl_time(newest > begun ? newest - begun : 0, up);
	buf_printf(&d->line, "%s  kymod %.*s  up %s", d->f->server, (int)strcspn(version, "\""),
	    version, up);
	const char *right = d->f->trouble ? d->f->trouble : d->f->clock;
	size_t wide = ctlterm_width((const char *)d->line.data, d->line.len), want = strlen(right);
	while (wide++ + want < d->f->columns)
		buf_add_u8(&d->line, ' ');
	buf_add_str(&d->line, right);
	end_line(d, false);
	double cpu = ctltop_rate(d->f->was, n, "process_cpu_seconds_total", NULL);
	double busy = ctltop_rate(d->f->was, n, "kymo_loop_turn_seconds_sum", NULL);
	if (isnan(cpu))
		buf_add_str(&d->line, "cpu -");
	else
		buf_printf(&d->line, "cpu %.0f %%  loops busy %.0f %%", 100 * cpu, 100 * busy);
	buf_printf(&d->line, "  rss %s",
	    bytes_text(ctltop_sum(n, "process_resident_memory_bytes", NULL), text));
	buf_printf(&d->line, "  connections %s",
	    count_text(ctltop_sum(n, "kymo_connections", NULL), text));
	buf_printf(&d->line, "  requests %s",
	    count_text(ctltop_sum(n, "kymo_http_requests_open", NULL), text));
	buf_printf(&d->line, "  fds %s", count_text(ctltop_sum(n, "process_open_fds", NULL), text));
	end_line(d, false);
}

static void ingest(struct drawing *d)
{
	const struct ctltop_look *w = d->f->was, *n = d->f->now;
	char text[CTL_TEXT];
	buf_printf(&d->line, "in      %s samples/s",
	    count_text(ctltop_rate(w, n, "kymo_samples_stored_total", NULL), text));
	buf_printf(&d->line, "  refused %s/s",
	    count_text(ctltop_rate(w, n, "kymo_samples_refused_total", NULL), text));
	buf_printf(&d->line, "  late %s/s",
	    count_text(ctltop_rate(w, n, "kymo_samples_late_total", NULL), text));
	buf_printf(
	    &d->line, "  series %s", count_text(ctltop_sum(n, "kymo_series_active", NULL), text));
	buf_printf(&d->line, "  new %s/s",
	    count_text(ctltop_rate(w, n, "kymo_series_created_total", NULL), text));
	end_line(d, false);
}

static void latency(struct drawing *d, const char *what, const char *name, const char *holds,
    const char *or_holds, const char *rate_of)
{
	const struct ctltop_look *w = d->f->was, *n = d->f->now;
	char rate[CTL_TEXT], half[CTL_TEXT], most[CTL_TEXT];
	double per_s = ctltop_rate(w, n, rate_of, holds);
	if (or_holds)
		per_s += ctltop_rate(w, n, rate_of, or_holds);
	buf_printf(&d->line, "%-8s%9s/s   p50 %9s   p99 %9s", what, count_text(per_s, rate),
	    time_text(ctltop_quantile(w, n, name, holds, or_holds, 0.5), half),
	    time_text(ctltop_quantile(w, n, name, holds, or_holds, 0.99), most));
}

/* ---- loops ---- */

#define LOOPS_LISTED 256u
#define LOOPS_LINES  3u
#define LOOPS_HEAD   8u  /* columns before the first one of a line */
#define LOOPS_WIDE   24u /* columns of one */

struct loop_row {
	char name[16];
	double busy, longest_s;
};

static int by_busy(const void *x, const void *y)
{
	const struct loop_row *a = x, *b = y;
	double p = isnan(a->busy) ? -1 : a->busy, q = isnan(b->busy) ? -1 : b->busy;
	return p > q ? -1 : p < q ? 1 : 0;
}

static size_t loops_read(const struct ctltop_frame *f, struct loop_row *rows)
{
	size_t count = 0;
	char holds[32];
	for (size_t i = 0; i < f->now->count && count < LOOPS_LISTED; i++) {
		const struct ctltop_sample *s = &f->now->samples[i];
		const char *loop = strstr(s->labels, "loop=\"");
		if (strcmp(s->name, "kymo_loop_busy_seconds_total") != 0 || !loop)
			continue;
		struct loop_row *r = &rows[count++];
		snprintf(r->name, sizeof(r->name), "%.*s", (int)strcspn(loop + 6, "\""), loop + 6);
		snprintf(holds, sizeof(holds), "loop=\"%s\"", r->name);
		r->busy = ctltop_rate(f->was, f->now, "kymo_loop_busy_seconds_total", holds);
		r->longest_s = ctltop_sum(f->now, "kymo_loop_longest_turn_seconds", holds);
	}
	return count;
}

/* Each with how busy it is and its longest turn: in their order while all fit, else the busiest. */
static void loops(struct drawing *d)
{
	struct loop_row *rows = mem_array(NULL, LOOPS_LISTED, sizeof(*rows));
	size_t count = loops_read(d->f, rows);
	char text[CTL_TEXT], busy[CTL_TEXT], one[64];
	unsigned columns = d->f->columns > LOOPS_HEAD ? d->f->columns - LOOPS_HEAD : 0;
	size_t per_line = columns / LOOPS_WIDE ? columns / LOOPS_WIDE : 1;
	size_t shown = count > per_line * LOOPS_LINES ? per_line * LOOPS_LINES : count;
	if (shown < count)
		qsort(rows, count, sizeof(*rows), by_busy);
	for (size_t i = 0; i < shown; i++) {
		if (i % per_line == 0)
			buf_printf(&d->line, "%-8s", i ? "" : "loops");
		if (isnan(rows[i].busy))
			snprintf(busy, sizeof(busy), "-");
		else
			snprintf(busy, sizeof(busy), "%.0f %%", 100 * rows[i].busy);
		snprintf(one, sizeof(one), "%3s %5s, %.16s", rows[i].name, busy,
		    time_text(rows[i].longest_s, text));
		bool last = i + 1 == shown || (i + 1) % per_line == 0;
		buf_printf(&d->line, "%*s", last ? 0 : -(int)LOOPS_WIDE, one);
		if (last && i + 1 == shown && shown < count)
			buf_printf(&d->line, " of %zu", count);
		if (last)
			end_line(d, false);
	}
	mem_free(rows);
}

static void latencies(struct drawing *d)
{
	const struct ctltop_look *n = d->f->now;
	char a[CTL_TEXT], b[CTL_TEXT], c[CTL_TEXT];
	static const char requests[] = "kymo_http_request_seconds",
	                  counts[] = "kymo_http_request_seconds_count";
	latency(d, "writes", requests, "route=\"write\"", NULL, counts);
	buf_printf(&d->line, "   refused %s/s",
	    count_text(ctltop_rate(d->f->was, n, "kymo_write_requests_refused_total", NULL), a));
	end_line(d, false);
	latency(d, "queries", requests, "route=\"query\"", "route=\"query_range\"", counts);
	buf_printf(&d->line, "   running %s  queued %s",
	    count_text(ctltop_sum(n, "kymo_queries_running", NULL), a),
	    count_text(ctltop_sum(n, "kymo_queries_queued", NULL), b));
	end_line(d, false);
	latency(d, "turns", "kymo_loop_turn_seconds", NULL, NULL, "kymo_loop_turn_seconds_count");
	buf_add_str(&d->line, "   by loop: busy, longest");
	end_line(d, false);
	loops(d);
	latency(d, "syncs", "kymo_log_sync_seconds", NULL, NULL, "kymo_log_sync_seconds_count");
	end_line(d, false);
	buf_printf(&d->line, "log     held %s  waiting %s  files %s  free %s",
	    bytes_text(ctltop_sum(n, "kymo_log_held_bytes", NULL), a),
	    count_text(ctltop_sum(n, "kymo_log_backlog_bytes", NULL), b),
	    bytes_text(ctltop_sum(n, "kymo_storage_bytes", "files"), c),
	    bytes_text(ctltop_sum(n, "kymo_disk_free_bytes", NULL), (char[CTL_TEXT]){ 0 }));
	end_line(d, false);
	double now = ctltop_sum(n, "kymo_storage_newest_sample_timestamp_seconds", "own");
	double last = ctltop_sum(n, "kymo_round_last_timestamp_seconds", NULL);
	buf_printf(&d->line, "rounds  %s", count_text(ctltop_sum(n, "kymo_rounds_total", NULL), a));
	if (last > 0 && now > last)
		buf_printf(&d->line, ", the last %s ago", ctl_time(now - last, b));
	if (last > 0)
		buf_printf(&d->line, ", took %s",
		    time_text(ctltop_sum(n, "kymo_round_last_duration_seconds", NULL), c));
	double failed = ctltop_sum(n, "kymo_rounds_failed_total", NULL);
	if (failed > 0)
		buf_printf(&d->line, ", %s failed", count_text(failed, c));
	buf_printf(&d->line, "  merges %s", count_text(ctltop_sum(n, "kymo_merges_total", NULL), a));
	end_line(d, false);
}

/* Parts of memory as they stand in /metrics, with their limits. */
static void memory(struct drawing *d)
{
	const struct ctltop_look *n = d->f->now;
	char a[CTL_TEXT], b[CTL_TEXT], holds[64];
	buf_add_str(&d->line, "memory ");
	for (size_t i = 0; i < n->count; i++) {
		const char *part = strstr(n->samples[i].labels, "part=\"");
		if (strcmp(n->samples[i].name, "kymo_memory_bytes") != 0 || !part)
			continue;
		snprintf(
		    holds, sizeof(holds), "part=\"%.*s\"", (int)strcspn(part + 6, "\""), part + 6);
		double limit = ctltop_sum(n, "kymo_memory_limit_bytes", holds);
		buf_printf(&d->line, " %.*s %s", (int)strcspn(part + 6, "\""), part + 6,
		    bytes_text(n->samples[i].value, a));
		if (limit > 0 && n->samples[i].value > limit / 2)
			buf_printf(&d->line, " of %s", bytes_text(limit, b));
		buf_add_u8(&d->line, ' ');
	}
	end_line(d, false);
}

/* ---- lists ---- */

struct entry {
	const char *name;
	double by[CTLTOP_SORTS]; /* as ctltop_sort_names has them */
	double range_s;
	bool runs;
};
struct entries {
	struct entry *all;
	size_t count;
};
static unsigned sorting; /* of qsort: which of by */

static int by_sort(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	if (a->runs != b->runs)
		return a->runs ? -1 : 1;
	double p = isnan(a->by[sorting]) ? -1 : a->by[sorting];
	double q = isnan(b->by[sorting]) ? -1 : b->by[sorting];
	return p > q ? -1 : p < q ? 1 : strcmp(a->name, b->name);
}

static struct entry *entry_of(struct entries *e, const char *name, double range_s)
{
	for (size_t i = 0; i < e->count; i++)
		if (!e->all[i].runs && e->all[i].range_s == range_s && !strcmp(e->all[i].name, name))
			return &e->all[i];
	if (e->count == ROWS_LISTED)
		return NULL;
	e->all[e->count] = (struct entry){ .name = name, .range_s = range_s };
	for (unsigned k = 0; k < CTLTOP_SORTS; k++)
		e->all[e->count].by[k] = NAN;
	return &e->all[e->count++];
}

/* A list of top_queries: its key, the key of its value, which column that is. */
static void take_list(
    struct entries *e, const json_t *top, const char *list, const char *key, unsigned column)
{
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(top, list), i, row)
	{
		const char *query = json_string_value(json_object_get(row, "query"));
		double range = json_number_value(json_object_get(row, "timeRangeSeconds"));
		struct entry *one = query ? entry_of(e, query, range) : NULL;
		if (!one)
			continue;
		one->by[column] = json_number_value(json_object_get(row, key));
		one->by[2] = json_number_value(json_object_get(row, "count"));
		if (column == 1)
			one->by[0] = one->by[1] * one->by[2];
		if (column == 0 && one->by[2] > 0)
			one->by[1] = one->by[0] / one->by[2];
	}
}

static void take_active(struct entries *e, const json_t *active)
{
	size_t i;
	json_t *row;
	json_array_foreach(active, i, row)
	{
		const json_t *duration = json_object_get(row, "duration");
		const char *query = json_string_value(json_object_get(row, "query")),
		           *text = json_string_value(duration);
		double s = json_number_value(duration);
		if (!query || e->count == ROWS_LISTED)
			continue;
		if (text && num_parse_float(text, strcspn(text, "s"), &s))
			s = NAN;
		e->all[e->count++] =
		    (struct entry){ .name = query, .by = { s, s, 1, NAN }, .runs = true };
	}
}

static void queries(struct drawing *d)
{
	struct entries e = { .all = mem_array(NULL, ROWS_LISTED, sizeof(*e.all)) };
	char a[CTL_TEXT], b[CTL_TEXT], c[CTL_TEXT], m[CTL_TEXT], r[CTL_TEXT];
	take_active(&e, d->f->active);
	take_list(&e, d->f->top, "topBySumDuration", "sumDurationSeconds", 0);
	take_list(&e, d->f->top, "topByAvgDuration", "avgDurationSeconds", 1);
	take_list(&e, d->f->top, "topByCount", "count", 2);
	take_list(&e, d->f->top, "topByAvgMemoryUsage", "avgMemoryBytes", 3);
	sorting = d->f->sort % CTLTOP_SORTS;
	qsort(e.all, e.count, sizeof(*e.all), by_sort);
	buf_printf(&d->line, "%9s %9s %7s %9s %9s  query, of 10 minutes, by %s", "time", "mean",
	    "count", "memory", "range", ctltop_sort_names[0][sorting]);
	end_line(d, true);
	for (size_t i = 0; i < e.count && d->row < d->f->rows; i++) {
		const struct entry *q = &e.all[i];
		buf_printf(&d->line, "%9s %9s %7s %9s %9s  ", time_text(q->by[0], a),
		    q->runs ? "runs now" : time_text(q->by[1], b), count_text(q->by[2], c),
		    bytes_text(q->by[3], m), q->range_s > 0 ? ctl_time(q->range_s, r) : "-");
		buf_add_str(&d->line, q->name);
		end_line(d, false);
	}
	mem_free(e.all);
}

static void tenants(struct drawing *d)
{
	static const char *const metrics[] = { "kymo_tenant_samples_ingested_total",
		"kymo_tenant_series", "kymo_tenant_queries_total",
		"kymo_tenant_query_seconds_total" };
	const struct ctltop_look *w = d->f->was, *n = d->f->now;
	struct entries e = { .all = mem_array(NULL, ROWS_LISTED, sizeof(*e.all)) };
	char *names = mem_alloc(ROWS_LISTED * 64), holds[96], a[CTL_TEXT], b[CTL_TEXT], c[CTL_TEXT],
	     s[CTL_TEXT];
	for (size_t i = 0; i < n->count && e.count < ROWS_LISTED; i++) {
		const char *tenant = strstr(n->samples[i].labels, "tenant=\"");
		if (strcmp(n->samples[i].name, metrics[0]) != 0 || !tenant)
			continue;
		snprintf(holds, sizeof(holds), "tenant=\"%.*s\"", (int)strcspn(tenant + 8, "\""),
		    tenant + 8);
		struct entry *one = &e.all[e.count];
		char *name = names + 64 * e.count++;
		snprintf(name, 64, "%.*s", (int)strcspn(tenant + 8, "\""), tenant + 8);
		*one = (struct entry){ .name = name };
		for (unsigned k = 0; k < CTLTOP_SORTS; k++)
			one->by[k] = k == 1 ? ctltop_sum(n, metrics[k], holds)
			                    : ctltop_rate(w, n, metrics[k], holds);
	}
	sorting = d->f->sort % CTLTOP_SORTS;
	qsort(e.all, e.count, sizeof(*e.all), by_sort);
	buf_printf(&d->line, "%12s %9s %10s %10s  tenant, by %s", "samples/s", "series",
	    "queries/s", "query time", ctltop_sort_names[1][sorting]);
	end_line(d, true);
	for (size_t i = 0; i < e.count && d->row < d->f->rows; i++) {
		const struct entry *t = &e.all[i];
		double part = 100 * t->by[3];
		if (isnan(part))
			snprintf(s, sizeof(s), "-");
		else
			snprintf(s, sizeof(s), "%.1f %%", part);
		buf_printf(&d->line, "%12s %9s %10s %10s  %s", count_text(t->by[0], a),
		    count_text(t->by[1], b), count_text(t->by[2], c), s, t->name);
		end_line(d, false);
	}
	mem_free(e.all);
	mem_free(names);
}

void ctltop_draw(struct buf *out, const struct ctltop_frame *f)
{
	struct drawing d = { .out = out, .f = f };
	buf_init(&d.line);
	head(&d);
	ingest(&d);
	latencies(&d);
	memory(&d);
	if (f->keys) {
		buf_printf(&d.line, "keys    q quit  s sort  %s  p pause  space now",
		    f->view == CTLTOP_QUERIES ? "t tenants" : "t queries");
		end_line(&d, false);
	} else {
		end_line(&d, false);
	}
	if (f->view == CTLTOP_QUERIES)
		queries(&d);
	else
		tenants(&d);
	buf_release(&d.line);
}
