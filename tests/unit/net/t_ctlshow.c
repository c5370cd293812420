/*
 * What kymoctl makes of answers: names of series, results in all forms, places of mistakes, graphs
 * that never leave their frame.
 */
#include <math.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "net/ctl/ctlask.h"
#include "net/ctl/ctlgraph.h"
#include "net/ctl/ctlterm.h"
#include "net/ctl/ctlvalue.h"
#include "tests/lib/forked.h"
#include "tests/lib/tap.h"

static char told[1 << 20];

static const char *text_of(struct buf *b)
{
	snprintf(told, sizeof(told), "%.*s", (int)b->len, b->len ? (char *)b->data : "");
	buf_release(b);
	return told;
}

static const char *name(const char *json)
{
	struct buf b;
	json_t *j = json_loads(json, JSON_ALLOW_NUL, NULL);
	buf_init(&b);
	ctlvalue_series(&b, j);
	json_decref(j);
	return text_of(&b);
}

static void names(void)
{
	tap_is_str(name("{\"__name__\":\"up\"}"), "up", "a name alone");
	tap_is_str(name("{\"b\":\"2\",\"__name__\":\"up:x\",\"a\":\"1\"}"),
	    "up:x{a=\"1\", b=\"2\"}", "labels are sorted");
	tap_is_str(name("{}"), "{}", "nothing");
	tap_is_str(name("{\"a\":\"q\\\"\\\\\\n\"}"), "{a=\"q\\\"\\\\\\n\"}", "values are quoted");
	tap_is_str(name("{\"__name__\":\"my.metric\",\"a b\":\"x\\u0000y\"}"),
	    "{\"my.metric\", \"a b\"=\"x\\x00y\"}", "odd names, too");
	tap_is_str(name("{\"__name__\":\"9\"}"), "{\"9\"}", "a digit begins no name");
}

static const char *show(const char *json, enum ctltable_form form)
{
	FILE *f = tmpfile();
	json_t *j = json_loads(json, JSON_DECODE_ANY, NULL);
	bool ok = ctlvalue_show(f, j, form);
	json_decref(j);
	forked_read(f, told, sizeof(told));
	return ok ? told : NULL;
}

static const char vector[] =
    "{\"resultType\":\"vector\",\"result\":["
    "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"value\":[1700000000.5,\"1\"]},"
    "{\"metric\":{\"__name__\":\"h\",\"le\":\"x,y\"},\"histogram\":[1700000000,{\"count\":\"3\",\"sum\":\"4.5\",\"buckets\":[[0,\"0.5\",\"1\",\"1\"],[3,\"-0.1\",\"0.1\",\"2\"]]}]}]}";
static const char matrix[] =
    "{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"a\":\"1\"},\"values\":[[10,\"1\"],[30,\"NaN\"]],"
    "\"histograms\":[[20,{\"count\":\"1\",\"sum\":\"2\"}]]},{\"metric\":{\"a\":\"\\u001b[1m\"},\"values\":[[10,\"2\\u001b]0;x\\u0007\"]]}]}";

static void results(void)
{
	tap_is_str(show(vector, CTLTABLE_TABLE),
	    "series                                        value\n"
	    "up{job=\"a\"}                                       1\n"
	    "h{le=\"x,y\"}  count:3 sum:4.5 (0.5,1]:1 [-0.1,0.1]:2\n",
	    "a vector is a table");
	tap_is_str(show(vector, CTLTABLE_CSV),
	    "__name__,job,le,time,value\r\nup,a,,2023-11-14T22:13:20.500Z,1\r\n"
	    "h,,\"x,y\",2023-11-14T22:13:20Z,\"count:3 sum:4.5 (0.5,1]:1 [-0.1,0.1]:2\"\r\n",
	    "CSV has a column for each label");
	tap_is_str(show(matrix, CTLTABLE_TABLE),
	    "{a=\"1\"}\n  1970-01-01T00:00:10Z  1\n  1970-01-01T00:00:20Z  count:1 sum:2\n  1970-01-01T00:00:30Z  NaN\n"
	    "\n{a=\"\\x1b[1m\"}\n  1970-01-01T00:00:10Z  2\\x1b]0;x\\x07\n",
	    "a matrix is blocks, floats and histograms in their order");
	tap_ok(strstr(show(matrix, CTLTABLE_CSV),
	           "1,1970-01-01T00:00:20Z,count:1 sum:2\r\n1,1970-01-01T00:00:30Z,NaN\r\n") != NULL,
	    "or rows");
	json_t *a = json_loads(matrix, 0, NULL),
	       *b = json_loads(show(matrix, CTLTABLE_JSON), 0, NULL);
	tap_ok(json_equal(a, b), "JSON is what came");
	json_decref(a);
	json_decref(b);
	tap_is_str(show("{\"resultType\":\"scalar\",\"result\":[1,\"3\"]}", CTLTABLE_TABLE), "3\n",
	    "a scalar");
	tap_is_str(show("{\"resultType\":\"scalar\",\"result\":[1,\"3\"]}", CTLTABLE_CSV),
	    "time,value\r\n1970-01-01T00:00:01Z,3\r\n", "in CSV");
	tap_is_str(show("{\"resultType\":\"string\",\"result\":[1,\"a\\u001b\"]}", CTLTABLE_TABLE),
	    "a\\x1b\n", "a string");
	static const char *const odd[] = { "null", "{}", "[]", "3", "{\"resultType\":\"vector\"}",
		"{\"resultType\":\"other\",\"result\":[]}" };
	for (size_t i = 0; i < COUNT_OF(odd); i++)
		tap_ok(!show(odd[i], CTLTABLE_TABLE), "%s is no result", odd[i]);
	/* What has the wrong shapes inside comes out as nothing, in any form. */
	static const char *const wrong[] = { "[3]", "[null]", "[{\"metric\":3,\"value\":7}]",
		"[{\"metric\":{\"a\":1},\"values\":[3,[],[{}]]}]",
		"[{\"metric\":{},\"histogram\":[1,{\"buckets\":[3,[9,9]]}]}]" };
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		for (unsigned form = 0; form < 3; form++) {
			char json[256];
			snprintf(json, sizeof(json), "{\"resultType\":\"%s\",\"result\":%s}",
			    form % 2 ? "matrix" : "vector", wrong[i]);
			tap_ok(show(json, (enum ctltable_form)form) != NULL, "%s does no harm", json);
		}
	}
}

static void places(void)
{
	static const struct {
		const char *error, *expr;
		unsigned line, column;
		const char *sentence;
	} rows[] = {
		{ "invalid parameter \"query\": 1:5: parse error: unexpected end", "foo{", 1, 5,
		    "unexpected end" },
		{ "1:5: parse error: x", "foo{", 1, 5, "x" },
		{ "invalid parameter \"query\": unknown position: parse error: no expression found in input",
		    "", 0, 0,
		    "invalid parameter \"query\": unknown position: parse error: no expression found in input" },
		{ "invalid parameter \"step\": 0 is bad", "up", 0, 0,
		    "invalid parameter \"step\": 0 is bad" },
		{ "error when executing query=\"a\\n+ foo{\": cannot parse: unparsed data: \"foo{\"",
		    "a\n+ foo{", 2, 3,
		    "error when executing query=\"a\\n+ foo{\": cannot parse: unparsed data: \"foo{\"" },
		{ "cannot parse; unparsed data: \"\\\"b\"", "a\"b", 1, 2,
		    "cannot parse; unparsed data: \"\\\"b\"" },
		{ "unparsed data: \"other\"", "a", 0, 0, "unparsed data: \"other\"" },
		{ "error when executing query=\"sum(a\" for (time=1, step=2): argList: unexpected; unparsed data: \"\"",
		    "sum(a", 1, 6, "argList: unexpected; unparsed data: \"\"" },
		{ "unparsed data: \"", "a", 1, 2, "unparsed data: \"" },
		{ "12:", "a", 0, 0, "12:" },
		{ "", "", 0, 0, "" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct ctlask_place p = ctlask_find(rows[i].error, rows[i].expr);
		tap_ok(p.line == rows[i].line && p.column == rows[i].column &&
		        !strcmp(p.sentence, rows[i].sentence),
		    "%s: %u:%u %s", rows[i].error, p.line, p.column, p.sentence);
	}
	struct buf b;
	buf_init(&b);
	ctlask_caret(&b, "a +\n  日本{\nx", &(struct ctlask_place){ .line = 2, .column = 10 });
	tap_is_str(text_of(&b), "    日本{\n         ^\n", "the caret stands below its place");
	buf_init(&b);
	ctlask_caret(&b, "a\tb", &(struct ctlask_place){ .line = 1, .column = 99 });
	tap_is_str(text_of(&b), "  a\\tb\n      ^\n", "or at the end");
	buf_init(&b);
	ctlask_caret(&b, "a", &(struct ctlask_place){ .line = 7, .column = 1 });
	tap_is_str(text_of(&b), "", "a line that is not there has none");
}

/* ---- graphs ---- */

static unsigned widest, lines;

static void measure(const char *text)
{
	widest = lines = 0;
	for (const char *at = text; *at;) {
		size_t len = strcspn(at, "\n");
		unsigned w = (unsigned)ctlterm_width(at, len);
		widest = w > widest ? w : widest;
		lines++;
		at += len + (at[len] == '\n');
	}
}

static const char *draw(const struct ctlgraph *g)
{
	struct buf b;
	buf_init(&b);
	ctlgraph_draw(&b, g);
	return text_of(&b);
}

static void graphs(void)
{
	int64_t times[100];
	double values[100];
	for (unsigned i = 0; i < 100; i++) {
		times[i] = 1700000000000 + i * 15000;
		values[i] = i < 40 || i > 60 ? i : NAN;
	}
	struct ctlgraph_series s[30] = { { "up{job=\"x\"}", times, values, 100 } };
	struct ctlgraph g = { .columns = 60,
		.rows = 14,
		.begin_ms = times[0],
		.end_ms = times[99],
		.gap_ms = 22500,
		.series = s,
		.count = 1 };
	tap_is_str(draw(&g),
	    "100 +                                                    ***\n"
	    "    |                                               ******\n"
	    "    |                                         ******\n"
	    "    |                                    ******\n"
	    "    |                                 ***\n"
	    " 50 +\n"
	    "    |                    **\n"
	    "    |              ******\n"
	    "    |         ******\n"
	    "    |   ******\n"
	    "  0 +****\n"
	    "    +---------------+--------------------+------------------\n"
	    "                  22:20                22:30             UTC\n"
	    "* up{job=\"x\"}  99\n",
	    "without colours and UTF-8, with a gap");
	g.utf8 = true;
	tap_ok(strstr(draw(&g), "\u2524") && strstr(told, "\u25cf up") && !strchr(told, '\033'),
	    "braille needs no colour for one");
	for (unsigned i = 1; i < 30; i++)
		s[i] = (struct ctlgraph_series){
			"a_very_long_name_that_is_wider_than_any_place_there_is_for_it{and=\"labels\"}",
			times, values, 100 - i
		};
	g.count = 30;
	tap_ok(strstr(draw(&g), "and 18 series that are not drawn\n") && strstr(told, "\na up") &&
	        !strchr(told, '\033'),
	    "many have letters");
	g.colour = true;
	tap_ok(strstr(draw(&g), "\033[32m") && strstr(told, "\033[0m"), "or colours");
	static const double odd[][2] = { { 0, 0 }, { 1e308, -1e308 }, { 5e-324, 0 }, { INFINITY, 1 },
		{ NAN, NAN }, { 1e-9, 1.0000001e-9 }, { -5, -5 }, { 1e17, 1e17 + 64 },
		{ 1e300, 2e300 }, { 1.7e308, 1.7e308 }, { -1.7e308, 1.7e308 }, { -1.7e308, -1e308 } };
	unsigned bad = 0;
	g.colour = false;
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		for (unsigned columns = 20; columns < 130; columns += 7) {
			for (unsigned rows = 3; rows < 40; rows += 5) {
				for (unsigned span = 0; span < 5; span++) {
					struct ctlgraph_series one = { "x",
						(int64_t[]){ -1000, 500 }, odd[i], 2 };
					static const int64_t spans[] = { 1, 1501, 86400000,
						INT64_C(315360000000), INT64_C(9000000000000000) };
					struct ctlgraph h = { .columns = columns,
						.rows = rows,
						.utf8 = span % 2,
						.begin_ms = -1000,
						.end_ms = -1000 + spans[span],
						.series = &one,
						.count = 1 };
					measure(draw(&h));
					if (widest > (columns < 30 ? 30 : columns) ||
					    lines != (rows < 10 ? 10 : rows + (rows < 10)))
						bad += !(rows < 10 && lines == 9) ||
						    widest > (columns < 30 ? 30 : columns);
				}
			}
		}
	}
	tap_is_u64(bad, 0, "whatever the values and sizes, a graph stays in its frame");
}

static void bars(void)
{
	const struct ctlgraph_bar b[] = { { "a", 10 }, { "longer", -5 }, { "n", NAN },
		{ "i", INFINITY } };
	struct buf out;
	buf_init(&out);
	ctlgraph_bars(&out, b, COUNT_OF(b), 40, false);
	tap_is_str(text_of(&out),
	    "a        10  ###########################\n"
	    "longer   -5  ##############\n"
	    "n       NaN  \n"
	    "i       inf  \n",
	    "bars of one time");
	buf_init(&out);
	ctlgraph_bars(&out, b, COUNT_OF(b), 40, true);
	measure(text_of(&out));
	tap_ok(widest == 40 && strstr(told, "\u2588"), "in blocks");
	static const struct {
		double v;
		const char *want;
	} rows[] = { { 0, "0" }, { 1, "1" }, { -1.5, "-1.5" }, { 1234, "1.23 k" },
		{ 999999, "1 M" }, { 0.0012, "0.0012" }, { 2e-9, "2e-09" }, { 1e18, "1e+18" },
		{ 100.25, "100.25" }, { -4e6, "-4 M" } };
	char text[32];
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		tap_is_str(ctlgraph_value(rows[i].v, text), rows[i].want, "%g", rows[i].v);
}

int main(void)
{
	names();
	results();
	places();
	graphs();
	bars();
	return tap_done();
}
