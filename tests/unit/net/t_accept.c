/* Accept: who is a browser, and who is not. */
#include "net/http/accept.h"

#include "core/base/check.h"
#include "tests/lib/tap.h"

static const struct {
	const char *field;
	bool page;
} rows[] = {
	/* browsers: Chromium, Firefox, Safari */
	{ "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
	  "q=0.8,application/signed-exchange;v=b3;q=0.7",
	    true },
	{ "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true },
	/* lynx */
	{ "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01", true },
	/* curl, clients of Go, Grafana, InfluxDB */
	{ "*/*", false },
	{ "", false },
	{ "application/json, text/plain, */*", false },
	{ "text/*", false },
	{ "TEXT/HTML", true },
	{ "text/html;q=0", false },
	{ "text/html;q=0.000", false },
	{ "text/html;q=0.001", true },
	{ "text/html; charset=utf-8 ; Q=0.5 , */*", true },
	{ "text/html;level=1;q=0.4, text/plain;q=0.5", false },
	{ "text/plain, text/html;q=0.9", false },
	{ "text/plain, text/html", true },
	{ "text/plain;q=0.2, text/html;q=0.3", true },
	{ "text/html;q=1.5", false },
	{ "text/html;q=2", false },
	{ "text/html;q=", false },
	{ "text/html;q=0.x", false },
	{ "text/html;q=0.1234", false },
	{ "text/htmlx, xtext/html", false },
	{ ",,;,text/html", true },
	{ "text/html;", true },
	{ ";text/html", false },
};

int main(void)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		tap_ok(accept_prefers(rows[i].field, strlen(rows[i].field), "text/html",
		           "text/plain") == rows[i].page,
		    "%s a page: %s", rows[i].page ? "wants" : "does not want", rows[i].field);
	tap_ok(!accept_prefers("text/html", 8, "text/html", "text/plain"),
	    "what is behind the length is not read");
	return tap_done();
}
