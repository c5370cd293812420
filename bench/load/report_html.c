/*
 * The page is XML as well as HTML: every element is closed, every attribute quoted, so that any
 * reader of either can check it. Text in SVG would shrink on a phone; names and numbers are HTML.
 */
#include <math.h>
#include <string.h>

#include "bench/load/report.h"
#include "bench/load/results.h"
#include "bench/load/svgchart.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>"
    "<title>Measured by kymobench</title><style>\n"
    ":root{color-scheme:light dark;--page:#fbfbfd;--card:#fff;--text:#1b1f24;--soft:#59636e;--line:#d5dae0;"
    "--bad:#b42318;--badback:#fdeceb;--good:#1a7f37;"
    "--c0:#1f6feb;--c1:#d97706;--c2:#8250df;--c3:#1a7f37;--c4:#bf3989;--c5:#0e7490;--c6:#7d5a1e;--c7:#57606a}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#0e1116;--card:#161b22;--text:#e6edf3;--soft:#9aa5b1;"
    "--line:#30363d;--bad:#ff9a90;--badback:#3a1a1a;--good:#57c26f;"
    "--c0:#58a6ff;--c1:#f0a63c;--c2:#b392f0;--c3:#57c26f;--c4:#f081c0;--c5:#4cc9e0;--c6:#d2a86a;--c7:#9aa5b1}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--text);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
    "main{max-width:1180px;margin:0 auto;padding:16px}h1{font-size:1.6rem;margin:.4em 0}"
    "h2{font-size:1.3rem;margin:1.6em 0 .5em;border-bottom:1px solid var(--line);padding-bottom:.2em}"
    "h3{font-size:1.05rem;margin:1.4em 0 .5em}p{margin:.5em 0}\n"
    ".soft{color:var(--soft);font-size:.92rem}.bad{background:var(--badback);border-left:4px solid var(--bad);"
    "padding:.5em 1em;border-radius:4px}.bad h3{margin:.2em 0;color:var(--bad)}.bad ul{margin:.3em 0;padding-left:1.2em}\n"
    ".grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:14px}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;min-width:0}"
    ".card h4{margin:0 0 .5em;font-size:.95rem;font-weight:600}.wide{max-width:900px;margin:14px 0}\n"
    ".row{margin:.35em 0}.row .name{display:flex;justify-content:space-between;gap:12px;font-size:.9rem;align-items:baseline}"
    ".row .name span{min-width:0;overflow-wrap:anywhere}.row .num{text-align:right;flex-shrink:0;max-width:60%;"
    "font-variant-numeric:tabular-nums}.num b{font-size:1rem}\n"
    "svg.strip{display:block;width:100%;height:16px}svg.lines{display:block;width:100%;max-width:560px;height:auto}"
    "svg text{font:11px system-ui,'DejaVu Sans',sans-serif;fill:var(--soft)}\n"
    ".grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke;fill:none}"
    ".one{stroke:var(--text);stroke-width:1.5;vector-effect:non-scaling-stroke;fill:none}"
    ".whisker{stroke:var(--text);stroke-width:1.5;vector-effect:non-scaling-stroke;fill:none;opacity:.75}\n"
    ".c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}.c5{fill:var(--c5)}"
    ".c6{fill:var(--c6)}.c7{fill:var(--c7)}rect.better{fill:var(--good)}rect.worse{fill:var(--bad)}\n"
    "polyline{fill:none;stroke-width:2;stroke-linejoin:round}.l0{stroke:var(--c0)}.l1{stroke:var(--c1)}.l2{stroke:var(--c2)}"
    ".l3{stroke:var(--c3)}.l4{stroke:var(--c4)}.l5{stroke:var(--c5)}.l6{stroke:var(--c6)}.l7{stroke:var(--c7)}\n"
    ".axis{position:relative;height:1.4em;font-size:.8rem;color:var(--soft)}"
    ".axis span{position:absolute;transform:translateX(-50%)}.axis span.first{transform:none}"
    ".axis span.last{transform:translateX(-100%)}\n"
    ".key{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.85rem;margin-top:.4em}.key i{display:inline-block;width:12px;"
    "height:12px;border-radius:2px;margin-right:5px;vertical-align:-1px}"
    ".k0{background:var(--c0)}.k1{background:var(--c1)}.k2{background:var(--c2)}.k3{background:var(--c3)}"
    ".k4{background:var(--c4)}.k5{background:var(--c5)}.k6{background:var(--c6)}.k7{background:var(--c7)}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}"
    "th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line);vertical-align:top}"
    "td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}td small{display:block;color:var(--soft)}"
    "td:first-child{min-width:150px}code{font:.85em ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}"
    "ul{padding-left:1.2em;margin:.4em 0}li{overflow-wrap:anywhere;margin:.2em 0}"
    "td.yes{color:var(--good)}td.no{color:var(--bad)}dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 14px;margin:0}"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "@media(max-width:560px){main{padding:10px}dl{grid-template-columns:1fr}dd{margin-bottom:.5em}"
    ".row .name{flex-direction:column;gap:0}.row .num{max-width:100%;text-align:left}th,td{padding:5px 6px}}\n"
    "</style></head><body><main><h1>Measured by kymobench</h1>\n";

/* U+FFFE and U+FFFF are no characters of XML. */
static bool no_character(const unsigned char *p)
{
	return p[0] == 0xef && p[1] == 0xbf && (p[2] == 0xbe || p[2] == 0xbf);
}

void report_html_text(struct buf *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '&')
			buf_add_str(out, "&amp;");
		else if (*p == '<')
			buf_add_str(out, "&lt;");
		else if (*p == '>')
			buf_add_str(out, "&gt;");
		else if (*p == '"')
			buf_add_str(out, "&quot;");
		else if (*p == '\'')
			buf_add_str(out, "&#39;");
		else if (no_character(p))
			p += 2;
		else if (*p >= 0x20 && *p != 0x7f)
			buf_add_u8(out, *p);
		else if (*p == '\n' || *p == '\t')
			buf_add_u8(out, ' ');
	}
}

static void element(struct buf *out, const char *open, const char *text, const char *close)
{
	buf_add_str(out, open);
	report_html_text(out, text);
	buf_add_str(out, close);
}

static unsigned colour_of(const void *root, const char *server)
{
	size_t i;
	const json_t *s;
	json_array_foreach(json_object_get(root, "servers"), i, s)
	{
		if (!strcmp(results_text(s, "name"), server))
			return (unsigned)i;
	}
	return SVGCHART_COLOURS - 1;
}

static void number_of(struct buf *out, const json_t *o, const char *key, const char *unit)
{
	char text[RESULTS_HUMAN_MAX];
	results_human(results_number(o, key), unit, text);
	report_html_text(out, text);
}

static void ratio_of(struct buf *out, const json_t *ratio, const char *key)
{
	char text[RESULTS_HUMAN_MAX];
	results_human_ratio(results_number(ratio, key), text);
	report_html_text(out, text);
}

static bool spreads(const json_t *o, const char *count_key)
{
	double pairs = count_key ? results_number(o, count_key) : 2;
	return pairs > 1 && results_number(o, "max") > results_number(o, "min");
}

/* "What failed or was left out", at the top of a result: nobody scrolls past it. */
static void problems(struct buf *out, const json_t *root)
{
	const json_t *list = json_object_get(root, "problems"), *p;
	size_t i;
	if (!json_array_size(list))
		return;
	buf_add_str(out, "<div class=\"bad\"><h3>What failed or was left out</h3><ul>");
	json_array_foreach(list, i, p) element(out, "<li>", json_string_value(p), "</li>");
	buf_add_str(out, "</ul></div>\n");
}

/* The least and the greatest of all ratios to one server; false: there is none. */
static bool range_of(const json_t *root, const char *server, struct svgchart_scale *scale)
{
	double least = INFINITY, greatest = 0;
	const json_t *f;
	size_t i;
	json_array_foreach(json_object_get(root, "figures"), i, f)
	{
		const json_t *r = json_object_get(results_of(f, server), "ratio");
		if (!r || !(results_number(r, "median") > 0))
			continue;
		least = fmin(least, fmin(results_number(r, "median"), results_number(r, "min")));
		greatest =
		    fmax(greatest, fmax(results_number(r, "median"), results_number(r, "max")));
	}
	/* Beyond this a bar just reaches the edge, and the others stay readable. */
	*scale = svgchart_scale(fmax(least, 1.0 / 32), fmin(greatest, 1024));
	return greatest > 0;
}

static void axis(struct buf *out, const struct svgchart_scale *s)
{
	int step = s->to - s->from > 7 ? 2 : 1;
	buf_add_str(out, "<div class=\"axis\">");
	for (int p = s->from; p <= s->to; p++) {
		double at = svgchart_at(s, exp2(p)) * 100;
		if (p % step) /* 1x is always there */
			continue;
		buf_printf(out, "<span%s style=\"left:%.2f%%\">%s%gx</span>",
		    at < 1        ? " class=\"first\""
		        : at > 99 ? " class=\"last\""
		                  : "",
		    at, p < 0 ? "1/" : "", exp2(p < 0 ? -p : p));
	}
	buf_add_str(out, "</div>");
}

static void ratios_to(struct buf *out, const json_t *root, const char *first, const char *server)
{
	struct svgchart_scale scale;
	const json_t *f;
	size_t i;
	if (!range_of(root, server, &scale))
		return;
	element(out, "<section class=\"card wide\"><h4>How often ", first, " is better than ");
	element(out, "", server, "</h4>");
	json_array_foreach(json_object_get(root, "figures"), i, f)
	{
		const json_t *r = json_object_get(results_of(f, server), "ratio");
		if (!r || !(results_number(r, "median") > 0))
			continue;
		element(out, "<div class=\"row\"><div class=\"name\"><span>",
		    results_text(f, "title"), "</span><span class=\"num\"><b>");
		ratio_of(out, r, "median");
		buf_add_str(out, "</b>");
		if (spreads(r, "pairs")) {
			buf_add_str(out, " <span class=\"soft\">");
			ratio_of(out, r, "min");
			buf_add_str(out, " to ");
			ratio_of(out, r, "max");
			buf_add_str(out, "</span>");
		}
		buf_add_str(out, "</span></div>");
		svgchart_ratio(out, &scale, results_number(r, "median"), results_number(r, "min"),
		    results_number(r, "max"), 0);
		buf_add_str(out, "</div>\n");
	}
	axis(out, &scale);
	buf_add_str(out,
	    "<p class=\"soft\">Bar: median of the pairs of rounds; whisker: lowest to highest. Left of 1x the other is better.</p></section>\n");
}

static void ratios(struct buf *out, const json_t *root)
{
	const json_t *servers = json_object_get(root, "servers"), *s;
	const char *first = results_text(json_array_get(servers, 0), "name");
	size_t i;
	json_array_foreach(servers, i, s)
	{
		if (i)
			ratios_to(out, root, first, results_text(s, "name"));
	}
}

static void table_cell(struct buf *out, const json_t *f, const json_t *row)
{
	const json_t *ratio = json_object_get(row, "ratio");
	bool tried = json_array_size(json_object_get(row, "values")) > 0;
	buf_add_str(out, "<td class=\"n\">");
	if (!isfinite(results_number(row, "median")))
		buf_add_str(out, tried ? "failed" : "-");
	else
		number_of(out, row, "median", results_text(f, "unit"));
	if (tried && results_text(row, "apart")[0])
		element(out, "<small>", results_text(row, "apart"), "</small>");
	if (ratio) {
		buf_add_str(out, "<small>");
		ratio_of(out, ratio, "median");
		if (spreads(ratio, "pairs")) {
			buf_add_str(out, " (");
			ratio_of(out, ratio, "min");
			buf_add_str(out, " to ");
			ratio_of(out, ratio, "max");
			buf_add_str(out, ")");
		}
		buf_add_str(out, "</small>");
	}
	buf_add_str(out, "</td>");
}

static void figures_table(struct buf *out, const json_t *root)
{
	const json_t *servers = json_object_get(root, "servers"), *s, *f;
	size_t i, k;
	buf_add_str(
	    out, "<h3>All figures</h3><div class=\"card scroll\"><table><thead><tr><th></th>");
	json_array_foreach(servers, i, s)
	    element(out, "<th class=\"n\">", results_text(s, "name"), "</th>");
	buf_add_str(out, "</tr></thead><tbody>\n");
	json_array_foreach(json_object_get(root, "figures"), i, f)
	{
		element(out, "<tr><td>", results_text(f, "title"), "</td>");
		json_array_foreach(servers, k, s)
		    table_cell(out, f, results_of(f, results_text(s, "name")));
		buf_add_str(out, "</tr>\n");
	}
	buf_add_str(out, "</tbody></table></div>\n");
}

static double greatest_of(const json_t *figure)
{
	double max = 0;
	const json_t *row;
	size_t i;
	json_array_foreach(json_object_get(figure, "servers"), i, row)
	{
		double m = results_number(row, "max");
		max = isfinite(m) ? fmax(max, m) : max;
	}
	return max;
}

static void bar_of(struct buf *out, const json_t *root, const json_t *f, const json_t *row, double max)
{
	const char *unit = results_text(f, "unit");
	element(out, "<div class=\"row\"><div class=\"name\"><span>", results_text(row, "name"),
	    "</span><span class=\"num\">");
	if (!isfinite(results_number(row, "median"))) {
		buf_add_str(out, "failed</span></div></div>");
		return;
	}
	buf_add_str(out, "<b>");
	number_of(out, row, "median", unit);
	buf_add_str(out, "</b>");
	if (spreads(row, NULL)) {
		buf_add_str(out, " <span class=\"soft\">");
		number_of(out, row, "min", unit);
		buf_add_str(out, " to ");
		number_of(out, row, "max", unit);
		buf_add_str(out, "</span>");
	}
	if (results_text(row, "apart")[0])
		element(out, " <span class=\"soft\">", results_text(row, "apart"), "</span>");
	buf_add_str(out, "</span></div>");
	svgchart_bar(out, results_number(row, "median"), results_number(row, "min"),
	    results_number(row, "max"), max, colour_of(root, results_text(row, "name")));
	buf_add_str(out, "</div>\n");
}

static void notes_of(struct buf *out, const json_t *f)
{
	const json_t *row, *n;
	size_t i, k;
	json_array_foreach(json_object_get(f, "servers"), i, row)
	{
		json_array_foreach(json_object_get(row, "notes"), k, n)
		{
			element(out, "<p class=\"soft\">", results_text(row, "name"), ": ");
			element(out, "", json_string_value(n), "</p>");
		}
	}
}

/* The first figure of its group. */
static bool opens_group(const json_t *figures, size_t i)
{
	const char *group = results_text(json_array_get(figures, i), "group");
	for (size_t k = 0; k < i; k++)
		if (!strcmp(results_text(json_array_get(figures, k), "group"), group))
			return false;
	return true;
}

static void card(struct buf *out, const json_t *root, const json_t *f)
{
	const json_t *row;
	size_t k;
	element(out, "<section class=\"card\"><h4>", results_text(f, "title"), "</h4>");
	json_array_foreach(json_object_get(f, "servers"), k, row)
	    bar_of(out, root, f, row, greatest_of(f));
	element(out, "<p class=\"soft\">", results_text(f, "better"), " is better</p>");
	notes_of(out, f);
	buf_add_str(out, "</section>\n");
}

static void cards(struct buf *out, const json_t *root)
{
	const json_t *figures = json_object_get(root, "figures");
	for (size_t i = 0; i < json_array_size(figures); i++) {
		const char *group = results_text(json_array_get(figures, i), "group");
		if (!opens_group(figures, i))
			continue;
		element(out, "<h3>", group, "</h3><div class=\"grid2\">\n");
		for (size_t k = i; k < json_array_size(figures); k++)
			if (!strcmp(results_text(json_array_get(figures, k), "group"), group))
				card(out, root, json_array_get(figures, k));
		buf_add_str(out, "</div>\n");
	}
}

static void lines(struct buf *out, const json_t *root)
{
	const json_t *list = json_object_get(root, "lines"), *line, *s;
	size_t i, k;
	if (!json_array_size(list))
		return;
	buf_add_str(out, "<h3>Over time</h3><div class=\"grid2\">\n");
	json_array_foreach(list, i, line)
	{
		element(out, "<section class=\"card\"><h4>", results_text(line, "title"), "</h4>");
		svgchart_lines(out, line, colour_of, root);
		buf_add_str(out, "<div class=\"key\">");
		json_array_foreach(json_object_get(line, "servers"), k, s)
		{
			buf_printf(out, "<span><i class=\"k%u\"></i>",
			    colour_of(root, results_text(s, "name")) % SVGCHART_COLOURS);
			element(out, "", results_text(s, "name"), "</span>");
		}
		buf_add_str(out, "</div></section>\n");
	}
	buf_add_str(out, "</div>\n");
}

static void queries(struct buf *out, const json_t *root)
{
	const json_t *list = json_object_get(root, "queries"),
	             *servers = json_object_get(root, "servers");
	const json_t *q, *s;
	size_t i, k;
	if (!json_array_size(list))
		return;
	buf_add_str(out,
	    "<h3>Queries and their answers</h3><div class=\"card scroll\"><table><thead><tr><th></th>");
	json_array_foreach(servers, i, s)
	    element(out, "<th class=\"n\">", results_text(s, "name"), "</th>");
	buf_add_str(out, "<th>answers</th></tr></thead><tbody>\n");
	json_array_foreach(list, i, q)
	{
		bool equal = json_is_true(json_object_get(q, "equal"));
		element(out, "<tr><td><code>", results_text(q, "query"), "</code></td>");
		json_array_foreach(servers, k, s)
		{
			buf_add_str(out, "<td class=\"n\">");
			number_of(out, results_of(q, results_text(s, "name")), "ms", "ms");
			buf_add_str(out, "</td>");
		}
		element(out, equal ? "<td class=\"yes\">equal" : "<td class=\"no\">differ: ",
		    results_text(q, "difference"), "</td></tr>\n");
	}
	buf_add_str(out, "</tbody></table></div>\n");
}

static void servers_of(struct buf *out, const json_t *root)
{
	const json_t *s;
	size_t i;
	buf_add_str(out, "<h3>Servers</h3><div class=\"grid2\">\n");
	json_array_foreach(json_object_get(root, "servers"), i, s)
	{
		buf_printf(out,
		    "<section class=\"card\"><h4 class=\"key\"><span><i class=\"k%zu\"></i>",
		    i % SVGCHART_COLOURS);
		element(out, "", results_text(s, "name"), "</span></h4><dl><dt>version</dt><dd>");
		element(out, "", results_text(s, "version"), "</dd><dt>an answer means</dt><dd>");
		report_html_text(out, results_text(s, "promise"));
		if (results_text(s, "queries")[0])
			element(out, "</dd><dt>queries</dt><dd>", results_text(s, "queries"), "");
		element(out, "</dd><dt>started as</dt><dd><code>", results_text(s, "command"),
		    "</code></dd></dl></section>\n");
	}
	buf_add_str(out, "</div>\n");
}

static const char *words_of(const char *key)
{
	static const char *const words[][2] = { { "cpu", "CPU" }, { "cores", "cores" },
		{ "memory_bytes", "memory" }, { "kernel", "kernel" },
		{ "server_cpus", "servers on CPU" }, { "generator_cpus", "load from CPU" },
		{ "sync_p50_ms", "sync of 4 KiB, median" },
		{ "sync_p99_ms", "sync of 4 KiB, 99th percentile" } };
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(words[i][0], key))
			return words[i][1];
	return key;
}

static void machine(struct buf *out, const json_t *root)
{
	const json_t *v;
	const char *key;
	json_t *m = json_object_get(root, "machine");
	if (!json_object_size(m))
		return;
	buf_add_str(out, "<h3>Machine</h3><div class=\"card wide\"><dl>");
	json_object_foreach(m, key, v)
	{
		element(out, "<dt>", words_of(key), "</dt><dd>");
		if (json_is_string(v))
			report_html_text(out, json_string_value(v));
		else
			number_of(out, m, key,
			    strstr(key, "bytes")     ? "bytes"
			        : strstr(key, "_ms") ? "ms"
			                             : "");
		buf_add_str(out, "</dd>");
	}
	buf_add_str(out, "</dl></div>\n");
}

static void one(struct buf *out, const json_t *root)
{
	double seconds = results_number(root, "seconds");
	element(out, "<h2>kymobench ", results_text(root, "command"), " ");
	element(out, "", results_text(root, "started"), "</h2>\n");
	problems(out, root);
	ratios(out, root);
	figures_table(out, root);
	cards(out, root);
	lines(out, root);
	queries(out, root);
	if (json_array_size(json_object_get(root, "servers")))
		servers_of(out, root);
	machine(out, root);
	element(
	    out, "<p class=\"soft\">Command: <code>kymobench ", results_text(root, "command"), " ");
	element(out, "", results_text(root, "arguments"), "</code>");
	if (isfinite(seconds))
		buf_printf(out, ", %.0f s", seconds);
	buf_add_str(out, "</p>\n");
}

void report_html(const json_t *const *roots, size_t count, struct buf *out)
{
	buf_add_str(out, head);
	for (size_t i = 0; i < count; i++)
		one(out, roots[i]);
	buf_add_str(out, "</main></body></html>\n");
}
