#include "tests/lib/tap.h"

#include "proto/expo_rows.h"
#include "proto/omet.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static struct arena arena, keep;
static struct batch batch;
static struct decode d;
static struct errbuf eb;

/* ---- facts ---- */

static int by_name(const void *x, const void *y)
{
	const struct label *a = x, *b = y;
	return bytes_cmp(a->name, a->name_len, b->name, b->name_len);
}

/* name|a=b|c=d, by name */
static void put_labels(struct buf *out, struct expo_labels *ls)
{
	if (ls->count)
		qsort(ls->items, ls->count, sizeof(*ls->items), by_name);
	for (uint32_t i = 0; i < ls->count; i++)
		if (label_is_name(&ls->items[i]))
			buf_add(out, ls->items[i].value, ls->items[i].value_len);
	for (uint32_t i = 0; i < ls->count; i++) {
		const struct label *l = &ls->items[i];
		if (label_is_name(l))
			continue;
		buf_add_u8(out, '|');
		buf_add(out, l->name, l->name_len);
		buf_add_u8(out, '=');
		buf_add(out, l->value, l->value_len);
	}
}

static void put_number(struct buf *out, double v, bool timed, int64_t t_ms)
{
	buf_printf(out, " %016" PRIx64 " ", num_bits(v));
	if (timed)
		buf_printf(out, "%" PRId64, t_ms);
	else
		buf_add_u8(out, '-');
}

static bool put_sample(struct buf *out, const struct omet *o, char form)
{
	struct expo_labels ls;
	const char *bad;
	const struct expo *x = &o->x;
	if (!expo_labels(&arena, form == 't' ? EXPO_TEXT : EXPO_OPENMETRICS, x->series,
	        x->series_len, x->type, &ls, &bad))
		return false;
	if (o->start_line)
		return true;
	put_labels(out, &ls);
	put_number(out, x->v, x->timed, x->t_ms);
	if (form != 't' && o->exemplar) {
		if (!omet_exemplar(&arena, o, &ls, &bad))
			return false;
		buf_add_str(out, " # ");
		put_labels(out, &ls);
		put_number(out, o->exemplar_v, o->exemplar_timed, o->exemplar_t_ms);
	}
	if (o->start_ms)
		buf_printf(out, " since %" PRId64, o->start_ms);
	buf_add_u8(out, ';');
	return true;
}

static void put_meta(struct buf *out, const struct expo *x, enum expo_entry e, char form)
{
	size_t n = x->text_len;
	const char *text = x->text;
	buf_add_str(out, e == EXPO_HELP ? "help " : e == EXPO_TYPE ? "type " : "unit ");
	buf_add(out, x->family, x->family_len);
	buf_add_u8(out, ' ');
	if (e == EXPO_TYPE) {
		text = expo_type_name[x->type];
		n = strlen(text);
	} else if (e == EXPO_HELP) {
		text = expo_unescape(&arena, text, n, form != 't', &n);
	}
	buf_add(out, text, n);
	buf_add_u8(out, ';');
}

static void entries(struct buf *out, const char *text, size_t len, char form)
{
	struct omet o;
	omet_init(&o, text, len, form == 'c');
	for (;;) {
		enum expo_entry e = form == 't' ? expo_next(&o.x) : omet_next(&o);
		if (e == EXPO_END) {
			buf_add_u8(out, '.');
			return;
		}
		if (e == EXPO_BAD || (e == EXPO_SAMPLE && !put_sample(out, &o, form)))
			break;
		if (e == EXPO_COMMENT)
			buf_add_str(out, "#;");
		else if (e != EXPO_SAMPLE)
			put_meta(out, &o.x, e, form);
	}
	if (form != 't')
		buf_clear(out);
	buf_add_u8(out, '!');
}

static const struct fact {
	char form;
	const char *text;
	size_t len;
	const char *entries;
	size_t entries_len;
} facts[] = {
#define FACT(form, text, len, entries) { form, text, len, entries, sizeof(entries) - 1 },
#include "tests/unit/proto/expo_facts.def"
#undef FACT
};

static void test_facts(void)
{
	struct buf out;
	buf_init(&out);
	for (size_t i = 0; i < COUNT_OF(facts); i++) {
		const struct fact *f = &facts[i];
		char *exact = malloc(f->len ? f->len : 1); /* reading further is seen */
		if (!exact)
			abort();
		memcpy(exact, f->text, f->len);
		buf_clear(&out);
		entries(&out, exact, f->len, f->form);
		free(exact);
		bool same = bytes_equal((const char *)out.data, out.len, f->entries, f->entries_len);
		tap_ok(same, "fact %zu (%c) is as in Prometheus", i + 1, f->form);
		if (!same)
			printf("# %s\n# ours: %.*s\n# its:  %s\n", f->text, (int)out.len,
			    (const char *)out.data, f->entries);
		arena_reset(&arena, 0);
	}
	buf_release(&out);
}

/* ---- rows ---- */

static void begin(const struct expo_opts *opts)
{
	batch_clear(&batch);
	arena_reset(&arena, 0);
	errbuf_init(&eb);
	d = (struct decode){ .limits = limits_here(),
		.now_ms = 777,
		.opts = opts,
		.arena = &arena,
		.keep = &keep,
		.batch = &batch };
}

static void end(const struct decoder *kind)
{
	if (d.own)
		kind->end(&d);
	arena_reset(&keep, 0);
}

static enum err rows(const struct decoder *kind, const char *text, const struct expo_opts *opts)
{
	const uint8_t *p = (const uint8_t *)text, *stop = p + strlen(text);
	enum err e = ERR_OK;
	bool asked = false;
	begin(opts);
	while (!e && (p < stop || !asked)) {
		const uint8_t *before = p;
		asked = true;
		e = kind->next(&d, &p, stop, true, &eb);
		if (!e && p == before && p < stop)
			e = ERR_TRUNCATED;
	}
	end(kind);
	return e;
}

static bool row_is(size_t i, double v, int64_t t_ms, const char *text)
{
	struct buf out;
	buf_init(&out);
	if (i >= batch.rows_count)
		return false;
	const struct batch_row *r = &batch.rows[i];
	struct labels ls = { r->labels, r->labels_len };
	label_text_metric(&out, ls);
	bool same = label_is_canonical(ls) && r->t_ms == t_ms &&
	    bytes_equal((const char *)out.data, out.len, text, strlen(text)) &&
	    ((r->flags & BATCH_EXTRA) ? r->extra->v == v : r->v == v);
	buf_release(&out);
	return same;
}

static bool meta_is(size_t i, const char *family, const char *help, const char *unit, unsigned type)
{
	if (i >= batch.metas_count)
		return false;
	const struct batch_meta *m = &batch.metas[i];
	return bytes_equal(m->family, m->family_len, family, strlen(family)) &&
	    bytes_equal(m->help, m->help_len, help, strlen(help)) &&
	    bytes_equal(m->unit, m->unit_len, unit, strlen(unit)) && m->type == type;
}

static void test_import(void)
{
	static const char text[] = "# HELP a first\n# TYPE a counter\n"
	                           "a{x=\"1\",empty=\"\"} 1\r\n"
	                           "  a{x=\"2\"} 2 1700000000\n"
	                           "a{x=\"3\"} 3 1700000000123\n"
	                           "a{x=\"4\"} 4 1700000000.5 # {trace=\"t\"} 1\n"
	                           "a{x=\"5\"} 5 -10 # note\n"
	                           "broken{x=\n"
	                           "# TYPE g info extra\n"
	                           "a{x=\"6\",x=\"7\"} 6\n"
	                           "# TYPE i info\n"
	                           "# EOF\n"
	                           "i 1";
	tap_ok(!rows(&expo_import_decoder, text, NULL) && batch.rows_count == 6,
	    "lines are imported (%zu rows)", batch.rows_count);
	tap_ok(row_is(0, 1, 777, "a{x=\"1\"}"), "a CR is no part of a line, nor an empty label");
	tap_ok(row_is(1, 2, 1700000000000, "a{x=\"2\"}"), "small times are seconds");
	tap_ok(row_is(2, 3, 1700000000123, "a{x=\"3\"}"), "others are milliseconds");
	tap_ok(row_is(3, 4, 1700000000500, "a{x=\"4\"}"), "floats are times, exemplars passed over");
	tap_ok(row_is(4, 5, -10000, "a{x=\"5\"}"), "times may be negative");
	tap_ok(row_is(5, 1, 777, "i"), "the last line needs no end");
	tap_ok(d.bad == 2 && d.records == 8, "two lines of eight are bad");
	tap_ok(strcmp(d.bad_text, "line 8: labels have no end: \"{x=\"") == 0,
	    "the first is told: %s", d.bad_text);
	tap_ok(batch.metas_count == 2 && meta_is(0, "a", "first", "", EXPO_COUNTER) &&
	        meta_is(1, "i", "", "", EXPO_INFO),
	    "metadata is told by family");
	struct expo_opts at = { .t_ms = 99 };
	tap_ok(!rows(&expo_import_decoder, "a 1\nb 2 5000000000\n", &at) && row_is(0, 1, 99, "a") &&
	        row_is(1, 2, 5000000000, "b"),
	    "a time of the request is that of samples without one");
	tap_ok(!rows(&expo_import_decoder, "a NaN 99999999999999999999\nb 1 Inf\nc 1 x\n", NULL) &&
	        batch.rows_count == 1 && batch.rows[0].t_ms == INT64_MIN && d.bad == 2,
	    "times that are none are bad lines");
}

/* A body in parts that end behind a line. */
static void test_parts(void)
{
	static const char *const parts[] = { "# HELP a he", "# HELP a help\n", "# TYPE a gauge\n",
		"a 1\nb", "b 2" };
	static const size_t rows_by[] = { 0, 0, 0, 1, 2 }, metas_by[] = { 0, 0, 0, 1, 1 };
	bool good = true;
	begin(NULL);
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		const uint8_t *p = (const uint8_t *)parts[i], *stop = p + strlen(parts[i]);
		bool last = i + 1 == COUNT_OF(parts);
		good &= !expo_import_decoder.next(&d, &p, stop, last, &eb);
		good &= batch.rows_count == rows_by[i] && batch.metas_count == metas_by[i];
		if (i == 0)
			good &= p == (const uint8_t *)parts[0];
	}
	end(&expo_import_decoder);
	tap_ok(good && meta_is(0, "a", "help", "", EXPO_GAUGE), "lines that come in parts");
}

static void test_whole(void)
{
	tap_ok(!rows(&expo_decoder, "# TYPE h histogram\nh{le=\"5\"} 1 17\n\nx 2", NULL) &&
	        row_is(0, 1, 17, "h{le=\"5.0\"}") && row_is(1, 2, 777, "x"),
	    "text as it is scraped: %s", eb.text);
	tap_ok(rows(&expo_decoder, "x 1\n# c\nx{a=\"b\",a=\"c\"} 2\n", NULL) == ERR_MALFORMED &&
	        strstr(eb.text, "a label stands twice: \"x{a="),
	    "a label twice: %s", eb.text);
	tap_ok(rows(&expo_decoder, "x 1\nx{a=\"\xff\"} 1y\n", NULL) == ERR_MALFORMED &&
	        strcmp(eb.text, "line 2: a value is no number: \"1y\"") == 0,
	    "the line is named: %s", eb.text);
	tap_ok(rows(&expo_decoder, "x{a=\"\xff\",bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb=\"\"} 1\n",
	           NULL) == ERR_MALFORMED &&
	        strstr(eb.text, "a label value is no UTF-8: \"x{a=\"?\",bbb") &&
	        strstr(eb.text, "..."),
	    "what is shown is cut, and is UTF-8: %s", eb.text);
	tap_ok(
	    rows(&expo_decoder, "{\"\"} 1\n", NULL) == ERR_MALFORMED, "an empty name: %s", eb.text);
	tap_ok(!rows(&expo_decoder, "", NULL) && !batch.rows_count, "an empty text is good");
}

static void test_openmetrics(void)
{
	static const char text[] =
	    "# HELP c_seconds a \\\"b\\\"\n# TYPE c_seconds counter\n# UNIT c_seconds seconds\n"
	    "c_seconds_total{a=\"b\"} 17 1.5 # {trace_id=\"t\"} 0.5 1.25\n"
	    "c_seconds_created{a=\"b\"} 1.25\n"
	    "# TYPE g gauge\ng 1 # {x=\"y\"} 2\n# EOF\n";
	struct expo_opts created = { .created = true };
	tap_ok(!rows(&omet_decoder, text, NULL) && batch.rows_count == 3 &&
	        row_is(0, 17, 1500, "c_seconds_total{a=\"b\"}") &&
	        row_is(1, 1.25, 777, "c_seconds_created{a=\"b\"}") && row_is(2, 1, 777, "g"),
	    "OpenMetrics: %s", eb.text);
	tap_ok(batch.metas_count == 2 && meta_is(0, "c_seconds", "a \"b\"", "seconds", EXPO_COUNTER) &&
	        meta_is(1, "g", "", "", EXPO_GAUGE),
	    "metadata has units");
	const struct batch_exemplar *x = batch.exemplars;
	tap_ok(batch.exemplars_count == 2 && x[0].t_ms == 1250 && x[0].v == 0.5 &&
	        x[0].labels == batch.rows[0].labels && x[1].t_ms == 777 && x[1].v == 2,
	    "exemplars have their time, or that of the sample");
	struct labels own = { x[0].own, x[0].own_len };
	tap_ok(label_equal(own, label_make(&arena, "trace_id", "t", NULL)), "and their labels");
	tap_ok(!rows(&omet_decoder, text, &created) && batch.rows_count == 2 &&
	        row_is(0, 17, 1500, "c_seconds_total{a=\"b\"}") &&
	        (batch.rows[0].flags & BATCH_EXTRA) && batch.rows[0].extra->start_ms == 1250 &&
	        !batch.rows[0].extra->hist && !(batch.rows[1].flags & BATCH_EXTRA),
	    "created times begin their samples");
	tap_ok(rows(&omet_decoder, "a 1\n", NULL) == ERR_MALFORMED &&
	        strstr(eb.text, "line 2: the text does not end with # EOF"),
	    "no end: %s", eb.text);
}

/* More rows than a batch takes at once, and labels as long as may be. */
static void test_large(void)
{
	struct buf text;
	size_t got = 0;
	const uint8_t *p;
	buf_init(&text);
	for (unsigned i = 0; i < 20000; i++)
		buf_printf(&text, "m{i=\"%u\"} %u\n", i, i);
	begin(NULL);
	p = text.data;
	unsigned calls = 0;
	enum err e = ERR_OK;
	for (; !e && p < text.data + text.len; calls++) {
		e = expo_import_decoder.next(&d, &p, text.data + text.len, true, &eb);
		tap_ok(batch.rows_count <= DECODE_ROWS, "a batch of %zu rows", batch.rows_count);
		got += batch.rows_count;
		batch_clear(&batch);
		arena_reset(&arena, 0);
	}
	end(&expo_import_decoder);
	tap_ok(!e && got == 20000 && calls >= 3, "many rows come in batches (%u)", calls);
	buf_clear(&text);
	buf_add_str(&text, "m{a=\"");
	for (unsigned i = 0; i < EXPO_SERIES_MAX; i++)
		buf_add_u8(&text, 'x');
	buf_add_str(&text, "\"} 1\nn 1\n");
	buf_add_u8(&text, 0);
	tap_ok(!rows(&expo_import_decoder, (const char *)text.data, NULL) && d.bad == 1 &&
	        batch.rows_count == 1,
	    "a series that is too long: %s", d.bad_text);
	buf_release(&text);
}

static void test_floats(void)
{
	static const struct {
		double v;
		const char *text;
	} golden[] = { { 1, "1.0" }, { -1, "-1.0" }, { 0, "0.0" }, { -0.0, "0.0" }, { 0.1, "0.1" },
		{ 1e6, "1e+06" }, { 100000, "100000.0" }, { INFINITY, "+Inf" },
		{ -INFINITY, "-Inf" }, { NAN, "NaN" }, { 1e-5, "1e-05" }, { 2.5, "2.5" } };
	char out[NUM_FMT_MAX];
	for (size_t i = 0; i < COUNT_OF(golden); i++) {
		size_t n = expo_fmt_float(golden[i].v, out);
		tap_ok(bytes_equal(out, n, golden[i].text, strlen(golden[i].text)), "%s is %.*s",
		    golden[i].text, (int)n, out);
	}
}

int main(void)
{
	arena_init(&arena, 4096);
	arena_init(&keep, 4096);
	batch_init(&batch);
	test_facts();
	test_floats();
	test_import();
	test_parts();
	test_whole();
	test_openmetrics();
	test_large();
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
	return tap_done();
}
