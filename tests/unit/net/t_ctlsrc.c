/*
 * Series out of a server that plays, by each of the three ways, piece by piece: nothing is lost and
 * nothing comes twice, whatever the server refuses, cuts or lacks; a walk goes on at its mark.
 */
#include <inttypes.h>

#include "net/ctl/ctlcopy.h"
#include "proto/exportfmt.h"
#include "proto/rread.h"
#include "proto/rreadin.h"
#include "proto/snapz.h"
#include "tests/lib/playsrv.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"
#include "tests/lib/testlib.h"

#define NAMES   12u
#define SERIES  3u
#define FIRST   INT64_C(1700006400000) /* a day begins */
#define STEP    600000
#define SAMPLES (3u * 144u) /* of three days */

static struct playsrv srv;
static char base[64];
static enum ctlsrc_way speaks;
static unsigned names_max; /* a piece of more is too much */
static unsigned names_refused;
static int64_t range_max; /* the same, of time */
static unsigned cut_left, fail_left, pieces;
static bool hists; /* every fifth sample is one */
static bool samples_only;
static int64_t names_cut; /* as Mimir's max_labels_query_length: lists of more lose their start */
static unsigned early;    /* samples of each day that there are, of names that divide by early_of */
static unsigned early_of;
static unsigned counted; /* queries that count */

/* --- what the server has --- */

static double value_of(unsigned n, unsigned s, unsigned i)
{
	return i % 37 == 36 ? sample_stale() : n * 1e6 + s * 1e3 + i / 8.0;
}

/* Every other name is not there on the second day. */
static bool has(unsigned n, unsigned i)
{
	if (early && n % early_of == 0 && i % 144 >= early)
		return false;
	return n % 2 == 0 || i / 144 != 1;
}

static struct labels labels_of(struct arena *a, unsigned n, unsigned s)
{
	char name[8], at[8];
	snprintf(name, sizeof(name), "m%02u", n);
	snprintf(at, sizeof(at), "%u", s);
	return label_make(a, "__name__", name, "job", "x\"\\", "s", at, NULL);
}

struct part {
	int64_t t[SAMPLES];
	double v[SAMPLES];
	const struct hist *h[SAMPLES];
	struct sample_column c;
};
static void part_of(
    struct arena *a, unsigned n, unsigned s, int64_t from_ms, int64_t to_ms, struct part *p)
{
	uint32_t k = 0;
	for (unsigned i = 0; i < SAMPLES; i++) {
		int64_t t = FIRST + (int64_t)i * STEP;
		if (t < from_ms || t > to_ms || !has(n, i))
			continue;
		p->t[k] = t;
		p->v[k] = value_of(n, s, i);
		p->h[k] = NULL;
		if (hists && i % 5 == 4) {
			p->h[k] = testhist_next(a, n * SERIES + s, i);
			p->v[k] = num_from_bits(SAMPLE_HIST_BITS);
		}
		k++;
	}
	p->c =
	    (struct sample_column){ .count = k, .t_ms = p->t, .v = p->v, .h = hists ? p->h : NULL };
}

/* --- the server --- */

static bool reply(struct playconn *c, const char *status, const char *type, const void *body,
    size_t len, bool cut)
{
	char head[256];
	snprintf(head, sizeof(head),
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status, type, len);
	return play_puts(c, head) && play_send(c, body, cut ? len / 2 : len) && !cut;
}

static bool refuse(struct playconn *c, const char *status, const char *text)
{
	return reply(c, status, "text/plain", text, strlen(text), false);
}

static void unescape(char *s)
{
	char *to = s;
	for (; *s; s++) {
		unsigned x;
		if (*s == '%' && sscanf(s + 1, "%2x", &x) == 1) {
			*to++ = (char)x;
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

static int64_t time_of(const char *form, const char *key)
{
	const char *at = strstr(form, key);
	int64_t ms = -1;
	size_t len = at ? strcspn(at + strlen(key), "& ") : 0;
	return at && !num_parse_time(at + strlen(key), len, &ms) ? ms : -1;
}

/* Does a selector's text have the name? */
static bool wanted(const char *sel, unsigned n)
{
	char name[8];
	snprintf(name, sizeof(name), "m%02u", n);
	return strstr(sel, "__name__!=\"\"}") == sel + 1 || strstr(sel, name);
}

static bool too_much(const char *sel, int64_t ms)
{
	unsigned n = 0;
	for (unsigned i = 0; i < NAMES; i++)
		n += wanted(sel, i);
	return (names_max && n > names_max) || (range_max && ms > range_max);
}

/* A cluster of VictoriaMetrics (1.150) names all its parts before it says what it is about. */
static const char cluster_says[] =
    "error when exporting data on the time range (start=1795910400000, end=1795967302000): cannot "
    "fetch data for \"accountID=0, projectID=0, filters=[{__name__=~\\\"a_name_of_some_length|another"
    "_name_of_some_length|one_more_of_them\\\"}], timeRange=[2026-11-29T00:00:00Z..2026-11-29T15:48:22"
    "Z]\": error occured during search: cannot fetch query results from vmstorage nodes: cannot "
    "perform search on vmstorage 127.0.0.1:8401: cannot execute funcName=\"search_v7\" on vmstorage "
    "\"127.0.0.1:8401\": error when searching for tagFilters=[{AccountID=0,ProjectID=0,job=\"x\"}] on "
    "the time range [2026-11-29T00:00:00Z..2026-11-29T15:48:22Z]: failed to search TSIDs in indexDB "
    "\"2026_11\": failed to search metricIDs: the number of matching timeseries exceeds 1200; either "
    "narrow down the search or increase the flags";

static bool play_names(struct playconn *c)
{
	struct arena a;
	struct buf b;
	struct part p;
	bool any = false;
	unescape(c->target);
	/* as a limit of series that are looked through for names: none without a selector */
	if (speaks == CTLSRC_LINES && names_max && strstr(c->target, "match")) {
		names_refused++;
		return refuse(c, "422 No", cluster_says);
	}
	buf_init(&b);
	arena_init(&a, 4096);
	int64_t from = time_of(c->target, "start="), to = time_of(c->target, "end=");
	if (names_cut && from < to - names_cut)
		from = to - names_cut;
	buf_add_str(&b, "{\"status\":\"success\",\"data\":[");
	for (unsigned n = NAMES; n--;) { /* in no order that helps */
		part_of(&a, n, 0, from, to, &p);
		if (!p.c.count)
			continue;
		buf_printf(&b, "%s\"m%02u\"", any ? "," : "", n);
		any = true;
	}
	buf_add_str(&b, "]}");
	bool more = reply(c, "200 OK", "application/json", b.data, b.len, false);
	buf_release(&b);
	arena_release(&a);
	return more;
}

/* How many samples there are: what is too long is refused. */
static bool play_count(struct playconn *c)
{
	struct arena a;
	struct part p;
	char answer[160];
	bool any = false;
	const char *sel = strchr(c->body, '{');
	int64_t to = time_of(c->body, "time="),
	        from = to + 1 - strtoll(strrchr(c->body, '[') + 1, NULL, 10);
	counted++;
	if (too_much(sel, to - from))
		return refuse(c, "422 No", "the query time range exceeds the limit");
	arena_init(&a, 4096);
	for (unsigned n = 0; n < NAMES; n++) {
		part_of(&a, n, 0, from, to, &p);
		any = any || p.c.count;
	}
	arena_release(&a);
	snprintf(answer, sizeof(answer),
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[%s]}}",
	    any ? "{\"metric\":{},\"value\":[1,\"1\"]}" : "");
	return reply(c, "200 OK", "application/json", answer, strlen(answer), false);
}

static void put_matrix(struct buf *b, struct labels ls, const struct sample_column *c, bool *any)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	char text[NUM_FMT_MAX];
	bool first = true;
	buf_printf(b, "%s{\"metric\":{", *any ? "," : "");
	*any = true;
	while (label_next(&it, &l)) {
		buf_printf(b, "%s\"%.*s\":", first ? "" : ",", (int)l.name_len, l.name);
		label_quote_go(b, l.value, l.value_len);
		first = false;
	}
	buf_add_str(b, "},\"values\":[");
	first = true;
	for (uint32_t i = 0; i < c->count; i++) {
		if (sample_is_no_float(c->v[i]))
			continue;
		buf_add_str(b, first ? "[" : ",[");
		first = false;
		buf_add(b, text, num_fmt_ts(c->t_ms[i], text));
		buf_add_str(b, ",\"");
		buf_add(b, text, num_fmt_json(c->v[i], text));
		buf_add_str(b, "\"]");
	}
	buf_add_str(b, "]}");
}

static bool play_piece(struct playconn *c, const char *sel, int64_t from, int64_t to)
{
	static const char *const types[] = {
		[CTLSRC_READ] = RREADIN_TYPE_STREAMED, [CTLSRC_LINES] = "application/stream+json", [CTLSRC_QUERY] = "application/json"
	};
	struct arena a;
	struct buf b;
	bool any = false, cut = cut_left > 0 && !strstr(sel, "kymoctl_asks");
	pieces++;
	if (fail_left) {
		fail_left--;
		return refuse(c, "503 No", "later");
	}
	if (too_much(sel, to - from))
		return speaks == CTLSRC_LINES
		    ? refuse(c, "400 Bad Request", cluster_says)
		    : refuse(c, "422 No", "the query would load too many samples");
	cut_left -= cut;
	buf_init(&b);
	arena_init(&a, 4096);
	struct part *p = arena_alloc(&a, sizeof(*p));
	if (speaks == CTLSRC_QUERY)
		buf_add_str(
		    &b, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[");
	for (unsigned n = 0; n < NAMES; n++)
		for (unsigned s = 0; s < SERIES && wanted(sel, n); s++) {
			struct labels ls = labels_of(&a, n, s);
			part_of(&a, n, s, from, to, p);
			if (!p->c.count)
				continue;
			if (speaks == CTLSRC_LINES) {
				exportfmt_line(&b, ls, &p->c, 0, p->c.count);
			} else if (speaks == CTLSRC_QUERY) {
				put_matrix(&b, ls, &p->c, &any);
			} else if (samples_only) {
				size_t start = rread_series_begin(&b, ls);
				rread_series_samples(&b, &p->c, 0, p->c.count);
				rread_series_end(&b, start);
			} else {
				size_t start = rread_frame_begin(&b, ls);
				for (uint32_t at = 0; at < p->c.count;)
					at += rread_frame_chunk(&b, &p->c, at);
				rread_frame_end(&b, start, 0);
			}
		}
	if (speaks == CTLSRC_QUERY)
		buf_add_str(&b, "]}}");
	const char *type = types[speaks];
	if (speaks == CTLSRC_READ && samples_only) {
		struct buf whole = { 0 }, packed = { 0 };
		buf_add_u8(&whole, 0x0a);
		wire_put_lenbytes(&whole, b.data, b.len);
		snapz_encode(&packed, whole.data, whole.len);
		buf_release(&whole);
		buf_release(&b);
		b = packed;
		type = "application/x-protobuf";
	}
	bool more = reply(c, "200 OK", type, b.data, b.len, cut);
	buf_release(&b);
	arena_release(&a);
	return more;
}

static bool play_remote_read(struct playconn *c)
{
	struct arena a;
	struct limits l;
	struct rread r;
	struct errbuf eb;
	size_t len;
	bool more = false;
	limits_default(&l);
	errbuf_init(&eb);
	arena_init(&a, 4096);
	const uint8_t *body = (const uint8_t *)c->body;
	if (!snapz_length(body, c->body_len, &len)) {
		uint8_t *plain = arena_alloc(&a, len + SNAPZ_SLOP);
		if (!snapz_decode(body, c->body_len, plain, len) &&
		    !rread_decode(&a, plain, len, &l, &r, &eb) && r.count == 1 && r.streamed) {
			struct ctlsel sel = { .matchers = r.queries[0].matchers,
				.count = r.queries[0].matchers_count };
			struct buf text = { 0 };
			ctlsel_text(&text, &sel);
			more = play_piece(
			    c, (const char *)text.data, r.queries[0].start_ms, r.queries[0].end_ms);
			buf_release(&text);
			rread_release(&r);
		}
	}
	arena_release(&a);
	return more;
}

static bool on_request(struct playconn *c)
{
	if (strstr(c->target, "/label/__name__/values"))
		return play_names(c);
	if (strstr(c->target, "/read") && speaks == CTLSRC_READ)
		return play_remote_read(c);
	if (c->body)
		unescape(c->body);
	if (strstr(c->target, "/export") && speaks == CTLSRC_LINES)
		return play_piece(c, strstr(c->body, "match[]=") + 8, time_of(c->body, "start="),
		    time_of(c->body, "end="));
	if (strstr(c->target, "/query") && c->body && strstr(c->body, "count(count_over_time("))
		return play_count(c);
	if (strstr(c->target, "/query") && speaks == CTLSRC_QUERY) {
		int64_t to = time_of(c->body, "time=");
		return play_piece(c, strstr(c->body, "query=") + 6,
		    to + 1 - strtoll(strrchr(c->body, '[') + 1, NULL, 10), to);
	}
	return refuse(c, "404 No", "no such page");
}

/* --- what comes --- */

static unsigned seen[NAMES][SERIES][SAMPLES]; /* of whole pieces */
static unsigned fresh[NAMES][SERIES][SAMPLES];
static uint64_t wrong;
static unsigned stop_after; /* pieces */
static struct ctlmark *mark;
static struct arena hist_arena;

static int on_window(void *own, const struct ctlwalk *w)
{
	(void)own;
	(void)w;
	return CTL_OK;
}

static int on_item(void *own, const struct ctlwalk *w, const struct ctlsrc_item *item)
{
	uint32_t len;
	(void)own;
	(void)w;
	const char *name = label_get(item->labels, "__name__", 8, &len),
	           *at = label_get(item->labels, "s", 1, &len);
	/* their ends are not where a number would end */
	unsigned n = (unsigned)(10 * (name[1] - '0') + name[2] - '0'), s = (unsigned)(at[0] - '0');
	wrong += !label_equal(item->labels, labels_of(&hist_arena, n, s));
	for (uint32_t k = 0; k < item->samples.count; k++) {
		unsigned i = (unsigned)((item->samples.t_ms[k] - FIRST) / STEP);
		const struct hist *h = item->samples.h ? item->samples.h[k] : NULL;
		fresh[n][s][i]++;
		if (hists && i % 5 == 4)
			wrong += !h ||
			    h->count.n != testhist_next(&hist_arena, n * SERIES + s, i)->count.n;
		else
			wrong += h || num_bits(item->samples.v[k]) != num_bits(value_of(n, s, i));
	}
	arena_reset(&hist_arena, 1 << 20);
	return CTL_OK;
}

static int on_piece(void *own, const struct ctlwalk *w, const char *place)
{
	(void)own;
	(void)w;
	unsigned *to = &seen[0][0][0];
	const unsigned *from = &fresh[0][0][0];
	for (size_t i = 0; i < NAMES * SERIES * SAMPLES; i++)
		to[i] += from[i];
	memset(fresh, 0, sizeof(fresh));
	if (!place)
		return CTL_OK;
	ctlmark_set(mark, CTLWALK_KEY, place);
	return stop_after && !--stop_after ? CTL_INTERRUPTED : CTL_OK;
}

static int on_back(void *own)
{
	(void)own;
	memset(fresh, 0, sizeof(fresh));
	return CTL_OK;
}

static int on_end(void *own, const struct ctlwalk *w, const char *place)
{
	(void)own;
	(void)w;
	return place ? CTL_OK : CTL_LOCAL;
}

static const struct ctlcopy_sink sink = { on_window, on_item, on_piece, on_back, on_end };

static unsigned missing(bool stale_too, int64_t from_ms, int64_t to_ms)
{
	unsigned n = 0;
	for (unsigned m = 0; m < NAMES; m++)
		for (unsigned s = 0; s < SERIES; s++)
			for (unsigned i = 0; i < SAMPLES; i++) {
				int64_t t = FIRST + (int64_t)i * STEP;
				bool hist = hists && i % 5 == 4;
				bool there = has(m, i) && t >= from_ms && t <= to_ms &&
				    (hist ? speaks == CTLSRC_READ
				          : stale_too || !sample_is_stale(value_of(m, s, i)));
				n += seen[m][s][i] != there;
			}
	return n;
}

struct walk {
	int64_t from_ms, to_ms, window_ms;
	unsigned group, stops;
};

static int once(struct ctlhttp *http, const struct walk *k)
{
	struct ctlcopy_args args = { 0 };
	struct ctlsrc *src;
	struct ctlwalk w;
	struct ctlprog prog;
	struct ctlsrc_opts o = { .http = http };
	int status = ctlcopy_args_take(&args);
	status = status ? status : ctlsrc_open(&o, &src);
	if (status)
		return status;
	wrong += ctlsrc_way(src) != speaks;
	ctlprog_begin(&prog, "samples", 0, 0, true);
	ctlwalk_open(&w,
	    &(struct ctlwalk_opts){ .http = http,
	        .src = src,
	        .sels = args.sels,
	        .sels_count = args.sels_count,
	        .from_ms = k->from_ms,
	        .to_ms = k->to_ms,
	        .window_ms = k->window_ms,
	        .group = k->group,
	        .samples = 1000,
	        .names_ms = CTLWALK_NAMES_MS },
	    mark);
	status = ctlcopy_run(&w, src, &sink, NULL, &prog);
	ctlwalk_close(&w);
	ctlsrc_close(src);
	ctlcopy_args_release(&args);
	return status;
}

static void copies(struct ctlhttp *http, const struct walk *k, const char *what)
{
	struct errbuf eb;
	bool goes_on;
	char *dir = testlib_tmpdir("ctlsrc"), *path = testlib_path(dir, "mark");
	errbuf_init(&eb);
	memset(seen, 0, sizeof(seen));
	memset(fresh, 0, sizeof(fresh));
	wrong = 0;
	pieces = 0;
	unsigned runs = 0;
	int status = ctlmark_open(path, "test", &mark, &goes_on, &eb) ? 99 : 0;
	do {
		stop_after = k->stops;
		status = once(http, k);
	} while (++runs < 500 && status == CTL_INTERRUPTED);
	unsigned lost = missing(speaks != CTLSRC_QUERY, k->from_ms, k->to_ms);
	tap_ok(!status && !lost && !wrong && (!k->stops || runs > 2),
	    "%s, %s: everything once (status %d, %u not so, %" PRIu64 " wrong, %u pieces, %u runs)",
	    ctlsrc_way_name(speaks), what, status, lost, wrong, pieces, runs);
	ctlmark_close(mark);
	testlib_rmtree(dir);
	free(path);
	free(dir);
}

static void all(struct ctlhttp *http)
{
	const int64_t end = FIRST + (int64_t)SAMPLES * STEP;
	const struct walk whole = { .from_ms = FIRST, .to_ms = end },
	                  part = { .from_ms = FIRST + 7 * STEP + 1,
		                  .to_ms = FIRST + 300 * STEP,
		                  .window_ms = 7200000 },
	                  grouped = { .from_ms = FIRST, .to_ms = end, .group = 2 },
	                  stops = { .from_ms = FIRST - 5 * CTLWALK_DAY_MS,
		                  .to_ms = end,
		                  .window_ms = CTLWALK_DAY_MS,
		                  .group = 3,
		                  .stops = 2 };
	names_max = cut_left = fail_left = 0;
	range_max = 0;
	copies(http, &whole, "all at once");
	copies(http, &part, "windows of two hours of a part");
	copies(http, &grouped, "names in groups");
	copies(http, &stops, "interrupted again and again");
	names_max = 5;
	copies(http, &whole, "of which five names are too much");
	names_max = 1;
	range_max = 4 * 3600 * 1000;
	copies(http, &whole, "of which four hours of a name are too much");
	copies(http, &stops, "the same interrupted");
	if (speaks == CTLSRC_LINES)
		tap_ok(names_refused > 1,
		    "names are asked for without a selector when it is too much");
	names_max = 0;
	range_max = 0;
	cut_left = 2;
	copies(http, &grouped, "cut twice");
	fail_left = 1;
	copies(http, &grouped, "refused once");
}

/* Lists of names that lose what is older than so many hours before their end. */
static void cut_names(struct ctlhttp *http)
{
	const struct walk k = { .from_ms = FIRST - 5 * CTLWALK_DAY_MS,
		.to_ms = FIRST + 40 * CTLWALK_DAY_MS,
		.window_ms = CTLWALK_DAY_MS,
		.group = 3 };
	names_max = 0;
	range_max = 0;
	early = 12; /* two hours */
	early_of = 3;
	names_cut = 12 * 3600 * 1000;
	copies(http, &k, "lists of names cut to twelve hours, some have but two of a day");
	names_cut = 3600 * 1000;
	early_of = 1;
	copies(http, &k, "cut to an hour, all have but two of a day");
	range_max = 7 * CTLWALK_DAY_MS;
	counted = 0;
	copies(http, &k, "the same, queries of a week at most");
	tap_ok(counted > 6 && counted < 1000, "counts of parts are asked for: %u", counted);
	range_max = 0;
	early = 0;
}

static void first_time(struct ctlhttp *http)
{
	struct ctlcopy_args args = { 0 };
	int64_t first = 0;
	int status = ctlcopy_args_take(&args);
	status = status ? status : ctlwalk_first(http, args.sels, 1, FIRST + CTLWALK_DAY_MS, &first);
	tap_ok(!status && first <= FIRST && first > FIRST - 30 * CTLWALK_DAY_MS,
	    "the first time is found to thirty days");
	names_cut = 86400000;
	status = ctlwalk_first(http, args.sels, 1, FIRST + CTLWALK_DAY_MS, &first);
	tap_ok(!status && first <= FIRST && first > FIRST - 30 * CTLWALK_DAY_MS,
	    "of a server that cuts lists of names to a day, too");
	names_cut = 0;
	status = ctlwalk_first(http, args.sels, 1, FIRST - 40 * CTLWALK_DAY_MS, &first);
	tap_ok(!status && first == INT64_MAX, "or that there is none");
	ctlcopy_args_release(&args);
}

static void selectors(void)
{
	static const char *const names[] = { "up", "a:b", "my.name" };
	struct arena a;
	struct ctlsel sel, narrow;
	struct errbuf eb;
	struct buf b;
	errbuf_init(&eb);
	buf_init(&b);
	arena_init(&a, 1024);
	const char *text = "{job=\"x\\\"y\",\"a.b\"!~\"c.*\"}";
	TAP_OK(!ctlsel_parse(&a, text, strlen(text), &sel, &eb));
	ctlsel_narrow(&a, &sel, &(struct ctlsel_names){ names, 3 }, &narrow);
	ctlsel_text(&b, &narrow);
	tap_is_str((char *)b.data,
	    "{__name__=~\"up|a:b|my\\\\.name\",job=\"x\\\"y\",\"a.b\"!~\"c.*\"}",
	    "a selector of three names");
	buf_clear(&b);
	ctlsel_narrow(&a, &sel, &(struct ctlsel_names){ names + 2, 1 }, &narrow);
	ctlsel_text(&b, &narrow);
	tap_is_str(
	    (char *)b.data, "{__name__=\"my.name\",job=\"x\\\"y\",\"a.b\"!~\"c.*\"}", "of one");
	TAP_OK(ctlsel_parse(&a, "{", 1, &narrow, &eb) && eb.text[0]);
	ctlsel_release(&sel);
	buf_clear(&b);
	TAP_OK(!ctlsel_parse(&a, "{a!=\"b\"}", 8, &sel, &eb));
	ctlsel_text(&b, &sel);
	tap_is_str((char *)b.data, "{__name__!=\"\",a!=\"b\"}", "what names no label gets one");
	buf_clear(&b);
	ctlsel_narrow(&a, &sel, &(struct ctlsel_names){ names, 1 }, &narrow);
	ctlsel_text(&b, &narrow);
	tap_is_str((char *)b.data, "{__name__=\"up\",a!=\"b\"}", "or a name");
	buf_clear(&b);
	struct ctlsel less;
	ctlsel_without(&a, &narrow, "job", "kymo", &less);
	ctlsel_text(&b, &less);
	tap_is_str((char *)b.data, "{__name__=\"up\",a!=\"b\",job!=\"kymo\"}", "without a job");
	ctlsel_without(&a, &narrow, "a", "kymo", &less);
	tap_ok(less.count == narrow.count, "unless it asks for that label");
	ctlsel_release(&sel);
	buf_release(&b);
	arena_release(&a);
}

int main(void)
{
	struct ctlhttp *http;
	arena_init(&hist_arena, 4096);
	playsrv_start(&srv, false, on_request, NULL);
	snprintf(base, sizeof(base), "http://127.0.0.1:%u", srv.port);
	struct ctlhttp_access a = { .server = base };
	if (ctlhttp_open(&a, &http))
		return 1;
	selectors();
	for (speaks = CTLSRC_READ; speaks <= CTLSRC_QUERY; speaks++) {
		hists = false;
		all(http);
		hists = true;
		copies(http, &(struct walk){ .from_ms = FIRST, .to_ms = FIRST + 200 * STEP },
		    "histograms among them");
	}
	speaks = CTLSRC_READ;
	samples_only = true;
	all(http);
	hists = false;
	all(http);
	cut_names(http);
	first_time(http);
	ctlhttp_close(http);
	playsrv_stop(&srv);
	arena_release(&hist_arena);
	return tap_done();
}
