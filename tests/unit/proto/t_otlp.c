#include "tests/lib/otlpjudge.h"
#include "tests/lib/otlpmake.h"
#include "tests/lib/tap.h"

#include "core/model/exemplar.h"
#include "proto/otlp.h"
#include "proto/otlp_names.h"

#include <inttypes.h>
#include <stdlib.h>

#define T_NS UINT64_C(1700000000000000000)
#define T_MS INT64_C(1700000000000)

/* ---- a request, decoded ---- */

static struct run { /* what came of it */
	struct arena arena, keep;
	struct batch batch;
	struct decode d;
	struct errbuf eb;
	enum err err;
	unsigned calls;
	size_t rows, most_rows; /* in all, of a call */
	char **lines;
	size_t lines_count, lines_cap;
} run;

static void line_add(struct buf *b)
{
	if (run.lines_count == run.lines_cap) {
		run.lines_cap = run.lines_cap ? 2 * run.lines_cap : 64;
		run.lines = mem_realloc(run.lines, run.lines_cap * sizeof *run.lines);
	}
	char *s = mem_alloc(b->len + 1);
	memcpy(s, b->data, b->len);
	s[b->len] = 0;
	run.lines[run.lines_count++] = s;
	buf_clear(b);
}

static void put_labels(struct buf *b, const uint8_t *bytes, uint32_t len)
{
	struct labels ls = { bytes, len };
	label_text(b, ls);
	if (!label_is_canonical(ls))
		buf_add_str(b, " (not canonical)");
}

static void put_side(struct buf *b, const struct hist_side *s, const char *sign)
{
	int64_t at = 0;
	size_t n = 0;
	for (uint32_t i = 0; i < s->spans_count; i++) {
		at += s->spans[i].offset;
		for (uint32_t k = 0; k < s->spans[i].length; k++, at++, n++)
			if (s->counts[n].n)
				buf_printf(b, " %s%" PRId64 ":%" PRIu64, sign, at, s->counts[n].n);
	}
}

static void put_hist(struct buf *b, const struct hist *h)
{
	if (hist_is_stale(h)) {
		buf_add_str(b, " stale");
		return;
	}
	buf_printf(b, " schema=%d zt=%" PRIx64 " zc=%" PRIu64 " count=%" PRIu64 " sum=%" PRIx64,
	    h->schema, num_bits(h->zero_threshold), h->zero_count.n, h->count.n, num_bits(h->sum));
	put_side(b, &h->positive, "");
	put_side(b, &h->negative, "n");
	for (uint32_t i = 0; i < h->bounds_count; i++)
		buf_printf(b, " b%" PRIx64, num_bits(h->bounds[i]));
}

static void row_line(struct buf *b, const struct batch_row *r)
{
	const struct batch_extra *x = r->flags & BATCH_EXTRA ? r->extra : NULL;
	bool hist = x && (x->hist || x->bad);
	buf_add_str(b, hist ? "H " : "S ");
	put_labels(b, r->labels, r->labels_len);
	buf_printf(b, " %" PRId64 " %" PRId64, x ? x->start_ms : 0, r->t_ms);
	if (!hist)
		buf_printf(b, " %" PRIx64, num_bits(x ? x->v : r->v));
	else if (x->hist)
		put_hist(b, x->hist);
	else
		buf_printf(b, " bad: %s", x->bad);
	line_add(b);
}

static void exemplar_line(struct buf *b, const struct batch_exemplar *x)
{
	struct labels own;
	buf_add_str(b, "X ");
	put_labels(b, x->labels, x->labels_len);
	buf_add_u8(b, ' ');
	if (exemplar_labels(&run.arena, (struct labels){ x->own, x->own_len }, &own))
		label_text(b, own);
	else
		buf_add_str(b, "(bad)");
	buf_printf(b, " %" PRId64 " %" PRIx64, x->t_ms, num_bits(x->v));
	line_add(b);
}

static void meta_line(struct buf *b, const struct batch_meta *m)
{
	static const char *const types[] = { "unknown", "counter", "gauge", "histogram",
		"gaugehistogram", "summary" };
	buf_add_str(b, "M ");
	label_quote_go(b, m->family, m->family_len);
	buf_printf(b, " %s ", types[m->type]);
	label_quote_go(b, m->unit, m->unit_len);
	buf_add_u8(b, ' ');
	label_quote_go(b, m->help, m->help_len);
	line_add(b);
}

static void lines_of_batch(void)
{
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < run.batch.rows_count; i++)
		row_line(&b, &run.batch.rows[i]);
	for (size_t i = 0; i < run.batch.exemplars_count; i++)
		exemplar_line(&b, &run.batch.exemplars[i]);
	for (size_t i = 0; i < run.batch.metas_count; i++)
		meta_line(&b, &run.batch.metas[i]);
	buf_release(&b);
}

static void clear(void)
{
	for (size_t i = 0; i < run.lines_count; i++)
		mem_free(run.lines[i]);
	run.lines_count = 0;
	batch_clear(&run.batch);
	arena_reset(&run.arena, SIZE_MAX);
	arena_reset(&run.keep, SIZE_MAX);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* told: are lines made? The body is copied, so that a read behind it is seen. */
static void decode(
    const struct buf *body, const struct otlp_opts *o, const struct limits *l, bool told)
{
	clear();
	run.calls = 0;
	run.rows = run.most_rows = 0;
	run.d = (struct decode){
		.arena = &run.arena, .keep = &run.keep, .batch = &run.batch, .opts = o, .limits = l
	};
	errbuf_init(&run.eb);
	uint8_t *copy = mem_alloc(body->len + 1);
	if (body->len)
		memcpy(copy, body->data, body->len);
	const uint8_t *p = copy, *const end = copy + body->len;
	do {
		run.err = otlp_decoder.next(&run.d, &p, end, true, &run.eb);
		run.calls++;
		run.rows += run.batch.rows_count;
		if (run.batch.rows_count > run.most_rows)
			run.most_rows = run.batch.rows_count;
		if (told)
			lines_of_batch();
		batch_clear(&run.batch);
		arena_reset(&run.arena, SIZE_MAX);
	} while (!run.err && p < end);
	otlp_decoder.end(&run.d);
	mem_free(copy);
	if (run.lines_count)
		qsort(run.lines, run.lines_count, sizeof *run.lines, by_text);
}

/* Is there a line with this in it? */
static bool has(const char *part)
{
	for (size_t i = 0; i < run.lines_count; i++)
		if (strstr(run.lines[i], part))
			return true;
	for (size_t i = 0; i < run.lines_count; i++)
		tap_note("%s", run.lines[i]);
	return false;
}

/* ---- what Prometheus makes of it ---- */

enum {
	ALL = 1,
	KEEP = 2,
	NHCB = 4,
	SCOPE = 8,
	TYPE = 16,
	UNDERSCORE = 32,
	JOIN = 64
};
struct golden {
	enum otlp_strategy strategy;
	unsigned switches;
	const char *attributes, *hex, *lines;
};
static const struct golden goldens[] = {
#define GOLDEN(...) { __VA_ARGS__ },
#include "tests/unit/proto/otlp_golden.def"
#undef GOLDEN
};

static void from_hex(struct buf *out, const char *hex)
{
	for (; *hex; hex += 2)
		buf_add_u8(out,
		    (uint8_t)(bytes_hex((unsigned char)hex[0]) << 4 |
		        bytes_hex((unsigned char)hex[1])));
}

/* Its lines, each once, against those that are wanted. */
static void compare(const struct golden *g, size_t number)
{
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < run.lines_count; i++)
		if (!i || strcmp(run.lines[i], run.lines[i - 1]))
			buf_printf(&b, "%s\n", run.lines[i]);
	buf_add_u8(&b, 0);
	bool same = !strcmp((const char *)b.data, g->lines);
	tap_ok(same && !run.err && !run.d.bad, "request %zu is what Prometheus makes of it", number);
	if (!same)
		tap_note("%s\nwanted\n%s", (const char *)b.data, g->lines);
	buf_release(&b);
}

static void golden(void)
{
	for (size_t i = 0; i < COUNT_OF(goldens); i++) {
		const struct golden *g = &goldens[i];
		const char *attributes[16];
		char list[512];
		struct otlp_opts o = { .strategy = g->strategy,
			.promote_all = g->switches & ALL,
			.keep_identifying = g->switches & KEEP,
			.custom_buckets = g->switches & NHCB,
			.promote_scope = g->switches & SCOPE,
			.type_and_unit = g->switches & TYPE,
			.keep_underscore = g->switches & UNDERSCORE,
			.join_underscores = g->switches & JOIN,
			.attributes = attributes };
		struct buf body;
		buf_init(&body);
		snprintf(list, sizeof list, "%s", g->attributes);
		for (char *word = list; *word;) {
			char *comma = strchr(word, ',');
			attributes[o.attributes_count++] = word;
			if (!comma)
				break;
			*comma = 0;
			word = comma + 1;
		}
		from_hex(&body, g->hex);
		decode(&body, &o, NULL, true);
		compare(g, i + 1);
		buf_release(&body);
	}
}

/* ---- names ---- */

static void one_name(
    enum otlp_strategy s, const char *name, const char *unit, enum otlp_kind kind, const char *want)
{
	struct otlp_text out = { "", 0 };
	bool good =
	    otlp_metric_name(&run.arena, s, (struct otlp_text){ name, (uint32_t)strlen(name) },
	        (struct otlp_text){ unit, (uint32_t)strlen(unit) }, kind, &out);
	tap_ok(want ? good && bytes_equal(out.s, out.len, want, strlen(want)) : !good,
	    "%s in %s: %.*s", name, unit, (int)out.len, out.s);
}

static void one_label(const struct otlp_opts *o, const char *name, const char *want)
{
	struct otlp_text out = { "", 0 };
	bool good =
	    otlp_label_name(&run.arena, o, (struct otlp_text){ name, (uint32_t)strlen(name) }, &out);
	tap_ok(want ? good && bytes_equal(out.s, out.len, want, strlen(want)) : !good,
	    "label %s: %.*s", name, (int)out.len, out.s);
}

static void names(void)
{
	static const struct otlp_opts usual = { 0 }, joined = { .join_underscores = true },
	                              kept = { .keep_underscore = true },
	                              utf8 = { .strategy = OTLP_UTF8 };
	const enum otlp_strategy full = OTLP_UNDERSCORES_SUFFIXES, plain = OTLP_UNDERSCORES;
	one_name(full, "http.server.duration", "s", OTLP_HISTOGRAM, "http_server_duration_seconds");
	one_name(full, "http.server.request_total", "{request}", OTLP_COUNTER,
	    "http_server_request_total");
	one_name(full, "total_requests", "1", OTLP_COUNTER, "requests_total");
	one_name(full, "ratio.of.it", "1", OTLP_GAUGE, "of_it_ratio");
	one_name(full, "memory bytes used", "By", OTLP_GAUGE, "memory_bytes_used");
	one_name(full, "speed", "m/s", OTLP_GAUGE, "speed_meters_per_second");
	one_name(full, "rate", "{x}/min", OTLP_GAUGE, "rate_per_min");
	one_name(full, "9lives", "", OTLP_GAUGE, "_9lives");
	one_name(full, "m\xc3\xbcnchen", "\xc2\xb5s", OTLP_GAUGE, "m_nchen_s");
	one_name(full, "___", "", OTLP_GAUGE, NULL);
	one_name(full, "", "", OTLP_GAUGE, NULL);
	one_name(plain, "a..b__c", "s", OTLP_COUNTER, "a_b__c");
	one_name(plain, "0a", "", OTLP_GAUGE, "_0a");
	one_name(OTLP_UTF8_SUFFIXES, "a.b", "By/s", OTLP_COUNTER, "a.b_bytes_per_second_total");
	one_name(OTLP_UTF8_SUFFIXES, "a.total", "", OTLP_COUNTER, "a_total");
	one_name(OTLP_UTF8, "a.b total", "By", OTLP_COUNTER, "a.b total");
	one_name(OTLP_UTF8, "", "", OTLP_COUNTER, NULL);
	one_label(&usual, "http.method", "http_method");
	one_label(&usual, "a..b", "a__b");
	one_label(&joined, "a..__b", "a_b");
	one_label(&usual, "1st", "key_1st");
	one_label(&usual, "_a", "key_a");
	one_label(&kept, "_a", "_a");
	one_label(&usual, "__a", "__a");
	one_label(&joined, "__a__b__", "__a_b__");
	one_label(&usual, "\xc3\xbc.\xff", NULL);
	one_label(&usual,
	    "\xc3\xbc.\xff"
	    "a",
	    "___a");
	one_label(&usual, "", NULL);
	one_label(&utf8, "a.\xc3\xbc", "a.\xc3\xbc");
	one_label(&utf8, "__", NULL);
}

/* ---- points ---- */

static struct buf body, attributes, scope, data, point;

static void number(const char *key, const char *value, uint64_t t_ns, double v)
{
	if (key)
		otlpmake_attr(&point, 7, key, value);
	otlpmake_fixed(&point, 3, t_ns);
	otlpmake_double(&point, 4, v);
	otlpmake_in(&data, 1, &point);
}

static void request(void)
{
	buf_clear(&body);
	otlpmake_request(&body, &attributes, &scope);
}

static void refused_alone(void)
{
	number("a", "1", T_NS, 1);
	otlpmake_attr(&point, 7, "__", "no name");
	number("a", "2", T_NS, 2);
	number("a", "3", T_NS, 3);
	otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
	number("a", "4", T_NS, 4);
	number("a", "5", T_NS, 5);
	otlpmake_metric(&scope, "d", OTLPMAKE_SUM, 1, &data);
	number("a", "6", T_NS, 6);
	otlpmake_metric(&scope, "n", OTLPMAKE_SUM, 0, &data);
	request();
	decode(&body, NULL, NULL, true);
	tap_ok(!run.err && run.d.records == 6 && run.d.bad == 4 && run.rows == 2,
	    "bad points are left out, with all of their metric where it is the metric's fault");
	tap_ok(strstr(run.d.bad_text, "metric \"m\": attribute \"__\""), "the first is told: %s",
	    run.d.bad_text);
	TAP_OK(has("{__name__=\"m\", a=\"1\"}") && has("{__name__=\"m\", a=\"3\"}"));
}

static void batches(void)
{
	enum {
		POINTS = 30000
	};
	char value[16];
	for (unsigned i = 0; i < POINTS; i++) {
		snprintf(value, sizeof value, "%u", i);
		number("a", value, T_NS + i * UINT64_C(1000000), i);
	}
	otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
	otlpmake_attr(&attributes, 1, "service.name", "x");
	otlpmake_attr(&attributes, 1, "host", "y");
	request();
	decode(&body, NULL, NULL, false);
	tap_ok(!run.err && run.rows == POINTS + 2 && run.d.records == POINTS && run.calls >= 4 &&
	        run.most_rows <= DECODE_ROWS,
	    "%u points come in %u batches of at most %zu rows", POINTS, run.calls, run.most_rows);
	struct limits few;
	limits_default(&few);
	few.write_samples = POINTS / 2;
	decode(&body, NULL, &few, false);
	tap_ok(run.err == ERR_TOOBIG && strstr(run.eb.text, "limit 15,000"), "too many: %s",
	    run.eb.text);
}

static void infos(void)
{
	number(NULL, NULL, 0, 1);
	number(NULL, NULL, T_NS, 1);
	otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
	otlpmake_attr(&attributes, 1, "service.name", "x");
	otlpmake_attr(&attributes, 1, "host", "y");
	request();
	decode(&body, NULL, NULL, false);
	tap_ok(run.rows == 2 + OTLP_INFO_MOST + 1,
	    "from 1970 on target_info has no more than %u samples and the last", OTLP_INFO_MOST);
	struct buf many, host;
	buf_init(&many);
	buf_init(&host);
	for (unsigned i = 0; i < 100; i++) { /* as many resources, from 1970 on */
		number(NULL, NULL, 0, 1);
		number(NULL, NULL, T_NS, 1);
		otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
		otlpmake_attr(&attributes, 1, "service.name", "x");
		buf_clear(&host);
		buf_printf(&host, "%u", i);
		buf_add_u8(&host, 0);
		otlpmake_attr(&attributes, 1, "host", (const char *)host.data);
		otlpmake_request(&many, &attributes, &scope);
	}
	decode(&many, NULL, NULL, false);
	tap_ok(run.rows > 200 + OTLP_INFO_FREE &&
	        run.rows <= 200 + OTLP_INFO_FREE + OTLP_INFO_POINT * 200 + 100,
	    "all resources together have a bounded number: %zu", run.rows);
	buf_release(&many);
	buf_release(&host);
	number(NULL, NULL, T_NS, 1);
	otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
	otlpmake_attr(&attributes, 1, "service.name", "x");
	request();
	decode(&body, NULL, NULL, true);
	tap_ok(run.rows == 1 && run.lines_count == 2, "none without another attribute");
	for (unsigned i = 0; i < 2; i++) { /* two resources of one target */
		struct buf other;
		buf_init(&other);
		number(NULL, NULL, T_NS, 1);
		otlpmake_metric(&scope, i ? "n" : "m", OTLPMAKE_GAUGE, 0, &data);
		otlpmake_attr(&attributes, 1, "service.name", "x");
		otlpmake_attr(&attributes, 1, "host", "y");
		if (!i)
			buf_clear(&body);
		otlpmake_request(&other, &attributes, &scope);
		buf_add(&body, other.data, other.len);
		buf_release(&other);
	}
	decode(&body, NULL, NULL, false);
	tap_ok(run.rows == 3, "the same target at the same time is told once");
}

/* ---- histograms ---- */

static void exponential(
    int scale, int offset, const char *counts, size_t len, uint64_t total, double threshold)
{
	struct buf side;
	buf_init(&side);
	otlpmake_fixed(&point, 3, T_NS);
	otlpmake_fixed(&point, 4, total);
	otlpmake_zigzag(&point, 6, scale);
	otlpmake_zigzag(&side, 1, offset);
	otlpmake_bytes(&side, 2, counts, len);
	otlpmake_in(&point, 8, &side);
	if (threshold)
		otlpmake_double(&point, 14, threshold);
	otlpmake_in(&data, 1, &point);
	buf_release(&side);
}

static void exponentials(void)
{
	exponential(9, 0, "\0\0\3\4\1\2", 6, 10, 0);
	exponential(10, -4, "\1\1\1\1\2\2\2\2", 8, 12, 0);
	exponential(60, -1, "\5\6", 2, 11, 0);
	exponential(3, 0, "\1\0\0\2\0\0\0\3", 8, 6, 0.25);
	exponential(-5, 0, "\1", 1, 1, 0);
	exponential(0, 0, "\1", 1, 2, 0);
	exponential(0, INT32_MAX, "\1", 1, 1, 0);
	otlpmake_metric(&scope, "e", OTLPMAKE_EXPONENTIAL, 2, &data);
	request();
	decode(&body, NULL, NULL, true);
	tap_ok(has("schema=8 zt=255bba08cf8c979d zc=0 count=10 sum=0 2:7 3:3"),
	    "a scale over 8 is merged, behind empty buckets, too");
	tap_ok(has("count=12 sum=0 0:4 1:8"), "four buckets are one");
	tap_ok(has("count=11 sum=0 0:5 1:6"), "all of one side of 1 are one");
	tap_ok(has("schema=3 zt=3fd0000000000000 zc=0 count=6 sum=0 1:1 4:2 8:3"),
	    "its own zero threshold; gaps");
	tap_ok(has("its count is 2") || has("bad: "), "a count that does not fit is a bad row");
	tap_ok(
	    run.d.bad == 2 && strstr(run.d.bad_text, "scale is -5"), "refused: %s", run.d.bad_text);
}

/* Numbers one by one, in several pieces; fewer bounds than counts. */
static void unpacked(void)
{
	otlpmake_fixed(&point, 3, T_NS);
	otlpmake_fixed(&point, 4, 6);
	otlpmake_fixed(&point, 6, 1);
	otlpmake_fixed(&point, 6, 2);
	otlpmake_double(&point, 7, 0.5);
	otlpmake_bytes(&point, 6, "\3\0\0\0\0\0\0", 8);
	otlpmake_double(&point, 7, 1e300);
	otlpmake_in(&data, 1, &point);
	otlpmake_metric(&scope, "h", OTLPMAKE_HISTOGRAM, 2, &data);
	request();
	decode(&body, NULL, NULL, true);
	tap_ok(run.rows == 4 && has("le=\"0.5\"} 0 1700000000000 3ff0000000000000") &&
	        has("le=\"+Inf\"} 0 1700000000000 4018000000000000") &&
	        has("000\"} 0 1700000000000 4008000000000000"),
	    "counts and bounds one by one");
	static const struct otlp_opts custom = { .custom_buckets = true };
	decode(&body, &custom, NULL, true);
	tap_ok(has("schema=-53 zt=0 zc=0 count=6 sum=0 0:1 1:2 2:3 b3fe0000000000000"),
	    "the same with custom buckets");
}

/* ---- bounds ---- */

static void limits(void)
{
	char key[16];
	struct limits few;
	limits_default(&few);
	few.write_labels_bytes = 100;
	for (unsigned i = 0; i < 300; i++) {
		snprintf(key, sizeof key, "k%u", i);
		otlpmake_attr(&point, 7, key, "v");
	}
	number("a", "1", T_NS, 1);
	number("a", "2", T_NS, 1);
	otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
	request();
	decode(&body, NULL, NULL, false);
	tap_ok(run.d.bad == 1 && run.rows == 1 && strstr(run.d.bad_text, "301 attributes, limit 256"),
	    "too many attributes: %s", run.d.bad_text);
	number("a",
	    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
	    T_NS, 1);
	number("a", "2", T_NS, 1);
	otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
	request();
	decode(&body, NULL, &few, false);
	tap_ok(run.d.bad == 1 && run.rows == 1 && strstr(run.d.bad_text, "limit 100 bytes"),
	    "too long labels: %s", run.d.bad_text);
	for (unsigned i = 0; i < 20000; i++) {
		otlpmake_fixed(&point, 6, 1);
		otlpmake_double(&point, 7, i);
	}
	otlpmake_in(&data, 1, &point);
	otlpmake_metric(&scope, "h", OTLPMAKE_HISTOGRAM, 2, &data);
	request();
	decode(&body, NULL, NULL, false);
	tap_ok(run.d.bad == 1 && !run.rows && strstr(run.d.bad_text, "limit 16,384"),
	    "too many buckets: %s", run.d.bad_text);
	few.write_hist_buckets = 4;
	few.write_labels_bytes = 1000;
	for (unsigned i = 0; i < 9; i++)
		otlpmake_fixed(&point, 6, i + 1);
	otlpmake_double(&point, 7, 1);
	otlpmake_double(&point, 7, 2);
	otlpmake_fixed(&point, 4, 50);
	for (unsigned i = 0; i < 9; i++) {
		struct buf exemplar;
		buf_init(&exemplar);
		otlpmake_double(&exemplar, 3, i);
		otlpmake_in(&point, 8, &exemplar);
		buf_release(&exemplar);
	}
	otlpmake_in(&data, 1, &point);
	otlpmake_metric(&scope, "h", OTLPMAKE_HISTOGRAM, 2, &data);
	request();
	decode(&body, NULL, &few, true);
	tap_ok(!run.d.bad && run.rows == 4 && run.lines_count == 4 + 5 + 1 &&
	        has(" 4008000000000000") && has(" 4049000000000000"),
	    "counts beyond the buckets there may be are not looked at, exemplars are left out: %zu",
	    run.lines_count);
}

/* A list in a list in a list. */
static void deep(void)
{
	for (unsigned depth = OTLP_DEPTH - 1; depth <= OTLP_DEPTH + 1; depth += 2) {
		struct buf any, next;
		buf_init(&any);
		buf_init(&next);
		otlpmake_text(&any, 1, "x");
		for (unsigned i = 0; i < depth; i++) {
			otlpmake_in(&next, 1, &any);
			otlpmake_in(&any, 5, &next);
		}
		otlpmake_text(&next, 1, "a");
		otlpmake_in(&next, 2, &any);
		otlpmake_in(&point, 7, &next);
		number(NULL, NULL, T_NS, 1);
		buf_release(&any);
		buf_release(&next);
	}
	otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
	request();
	decode(&body, NULL, NULL, false);
	tap_ok(run.d.bad == 1 && run.rows == 1 && strstr(run.d.bad_text, "nested"),
	    "values are nested up to a depth: %s", run.d.bad_text);
}

static unsigned judge(const struct buf *b, unsigned *accepted)
{
	uint8_t *copy = mem_alloc(b->len + 1);
	bool took;
	if (b->len)
		memcpy(copy, b->data, b->len);
	const char *wrong = otlpjudge(copy, b->len, &took);
	if (wrong)
		tap_note("otlp gives %s", wrong);
	mem_free(copy);
	*accepted += took;
	return wrong != NULL;
}

/* What takes few bytes here must not take many. */
static void swollen(void)
{
	struct buf any, map, value;
	struct buf *const all[] = { &any, &map, &value };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		buf_init(all[i]);
	for (unsigned i = 0; i < 200000; i++)
		buf_add(&map, "\x0a\x00", 2); /* pairs of nothing */
	otlpmake_in(&any, 6, &map);
	otlpmake_text(&value, 1, "a");
	otlpmake_in(&value, 2, &any);
	otlpmake_in(&point, 7, &value);
	number(NULL, NULL, T_NS, 1);
	for (unsigned i = 0; i < 5000; i++)
		buf_add(&map, "x", 1);
	buf_add_u8(&map, 0);
	for (unsigned i = 0; i < 200; i++) { /* 200 names that become one */
		buf_clear(&value);
		for (unsigned k = 0; k < 8; k++)
			buf_add_u8(&value, (uint8_t)(i >> k & 1 ? '.' : '-'));
		buf_add(&value, "a", 2);
		otlpmake_attr(&point, 7, (const char *)value.data, (const char *)map.data);
	}
	number(NULL, NULL, T_NS, 1);
	otlpmake_metric(&scope, "m", OTLPMAKE_GAUGE, 0, &data);
	request();
	decode(&body, NULL, NULL, false);
	tap_ok(!run.err && run.d.bad == 2 && !run.rows, "pairs without end, names that collide: %s",
	    run.d.bad_text);
	for (size_t i = 0; i < COUNT_OF(all); i++)
		buf_release(all[i]);
}

/* Each beginning of a request is either read or refused, and every bit of it may change. */
static void broken(void)
{
	unsigned malformed = 0, wrong = 0, accepted = 0;
	for (size_t g = 0; g < COUNT_OF(goldens); g += 6) {
		struct buf whole, part;
		buf_init(&whole);
		buf_init(&part);
		from_hex(&whole, goldens[g].hex);
		for (size_t len = 0; len < whole.len; len++) {
			buf_clear(&part);
			buf_add(&part, whole.data, len);
			decode(&part, NULL, NULL, true);
			malformed += run.err == ERR_MALFORMED;
			wrong += judge(&part, &accepted);
		}
		for (size_t i = 0; i < whole.len; i++) {
			whole.data[i] ^= (uint8_t)(1u << i % 8);
			decode(&whole, NULL, NULL, true);
			wrong += judge(&whole, &accepted);
			whole.data[i] ^= (uint8_t)(1u << i % 8);
		}
		buf_release(&whole);
		buf_release(&part);
	}
	tap_ok(
	    malformed > 100, "%u of the beginnings are malformed, nothing else happens", malformed);
	tap_ok(!wrong && accepted > 100, "protobuf-c agrees: %u accepted", accepted);
	decode(&(struct buf){ 0 }, NULL, NULL, true);
	tap_ok(!run.err && !run.rows && !run.d.records, "nothing is a request without anything");
}

/* ---- the hook ---- */

static const char *twice(
    const struct otlp_delta *h, struct decode *d, size_t first, const struct otlp_delta_point *p)
{
	(void)h;
	if (p->time_ns != T_NS)
		return "not at this time";
	for (size_t i = first; i < d->batch->rows_count; i++) {
		struct batch_extra x = *d->batch->rows[i].extra;
		x.v *= 2;
		x.start_ms = 7;
		struct batch_extra *to = arena_alloc(d->arena, sizeof x);
		*to = x;
		d->batch->rows[i].extra = to;
	}
	return NULL;
}

static void deltas(void)
{
	static const struct otlp_delta hook = { .rows = twice };
	static const struct otlp_opts o = { .delta = &hook };
	number("a", "1", T_NS, 4);
	number("a", "2", T_NS + 1, 4);
	otlpmake_metric(&scope, "m", OTLPMAKE_SUM, 1, &data);
	request();
	decode(&body, &o, NULL, true);
	tap_ok(run.rows == 1 && run.d.bad == 1 && has("a=\"1\"} 7 1700000000000 4020000000000000") &&
	        strstr(run.d.bad_text, "not at this time"),
	    "rows of delta points go through the hook: %s", run.d.bad_text);
	static const struct otlp_opts no_starts = { .delta = &hook, .no_start_times = true };
	number("a", "1", T_NS, 4);
	otlpmake_metric(&scope, "m", OTLPMAKE_SUM, 1, &data);
	otlpmake_fixed(&point, 2, T_NS - 1000000000);
	number("a", "1", T_NS, 5);
	otlpmake_metric(&scope, "n", OTLPMAKE_SUM, 2, &data);
	request();
	decode(&body, &no_starts, NULL, true);
	tap_ok(run.rows == 2 && has("m_total\", a=\"1\"} 0 1700000000000 4020000000000000") &&
	        has("n_total\", a=\"1\"} 0 1700000000000 4014000000000000"),
	    "without start times rows are plain, those of the hook, too");
}

int main(void)
{
	arena_init(&run.arena, 4096);
	arena_init(&run.keep, 4096);
	batch_init(&run.batch);
	struct buf *const all[] = { &body, &attributes, &scope, &data, &point };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		buf_init(all[i]);
	golden();
	names();
	refused_alone();
	batches();
	infos();
	exponentials();
	unpacked();
	limits();
	deep();
	swollen();
	broken();
	deltas();
	clear();
	mem_free(run.lines);
	for (size_t i = 0; i < COUNT_OF(all); i++)
		buf_release(all[i]);
	batch_release(&run.batch);
	arena_release(&run.arena);
	arena_release(&run.keep);
	return tap_done();
}
