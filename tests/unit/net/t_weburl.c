/* External URLs and route prefixes, as Prometheus takes them. */
#include "net/daemon/weburl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/tap.h"

/* clang-format off */
static const struct {
	const char *external, *route;
	const char *url, *links, *prefix; /* url NULL: refused; "": this machine */
} cases[] = {
	{ "", "", "", "", "" },
	{ "https://mon.example/kymo/", "", "https://mon.example/kymo", "/kymo", "/kymo" },
	{ "https://mon.example/kymo/", "/", "https://mon.example/kymo", "/kymo", "" },
	{ "https://mon.example/a/b", "/c", "https://mon.example/a/b", "/a/b", "/c" },
	{ "HTTP://mon.example:8080", "", "HTTP://mon.example:8080", "", "" },
	{ "http://[::1]:9/x//", "", "http://[::1]:9/x", "/x", "/x" },
	{ "/kymo/", "", "/kymo", "/kymo", "/kymo" },
	{ "/", "", "", "", "" },
	{ "", "kymo", "", "", "/kymo" },
	{ "", "//kymo/x/", "", "", "/kymo/x" },
	{ "http://h//kymo", "", "http://h/kymo", "/kymo", "/kymo" },
	{ "mon.example/kymo", "", NULL, NULL, NULL },
	{ "ftp://h/kymo", "", NULL, NULL, NULL },
	{ "http://", "", NULL, NULL, NULL },
	{ "http:///kymo", "", NULL, NULL, NULL },
	{ "http://:80/kymo", "", NULL, NULL, NULL },
	{ "http://user@h/", "", NULL, NULL, NULL },
	{ "http://h?x", "", NULL, NULL, NULL },
	{ "http://h/a?x", "", NULL, NULL, NULL },
	{ "http://h/a#x", "", NULL, NULL, NULL },
	{ "http://h/a b", "", NULL, NULL, NULL },
	{ "http://h/../a", "", NULL, NULL, NULL },
	{ "http://h/a//b", "", NULL, NULL, NULL },
	{ "\"http://h/a\"", "", NULL, NULL, NULL },
	{ "", "/a/../b", NULL, NULL, NULL },
	{ "", "/a?b", NULL, NULL, NULL },
	{ "", "http://h/", NULL, NULL, NULL },
};
/* clang-format on */

int main(void)
{
	struct weburl w;
	struct errbuf eb;
	char host[256] = "", text[400], longest[WEBURL_MAX + 2];
	CHECK(!gethostname(host, sizeof host - 1));
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		errbuf_init(&eb);
		enum err e = weburl_init(&w, cases[i].external, cases[i].route, "0.0.0.0:9470", &eb);
		if (!cases[i].url) {
			tap_ok(e == ERR_BADDATA && strstr(eb.text, "--web."), "\"%s\" \"%s\": %s",
			    cases[i].external, cases[i].route, eb.text);
			continue;
		}
		/* Without a host it is this machine's. */
		bool here = cases[i].url[0] == '/' || !cases[i].url[0];
		snprintf(text, sizeof text, "%s%s%s", here ? "http://" : "", here ? host : "",
		    here ? ":9470" : "");
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s", cases[i].url);
		tap_ok(!e && !strcmp(w.url, text) && !strcmp(w.links, cases[i].links) &&
		        !strcmp(w.prefix, cases[i].prefix),
		    "\"%s\" \"%s\": %s, links %s, routes %s", cases[i].external, cases[i].route,
		    w.url, w.links, w.prefix);
	}
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	memcpy(longest, "http://h/", 9);
	errbuf_init(&eb);
	tap_ok(weburl_init(&w, longest, "", ":1", &eb) == ERR_BADDATA, "one that is too long");
	memcpy(longest, "/", 1);
	longest[ROUTER_PREFIX_MAX + 1] = 0;
	tap_ok(weburl_init(&w, "", longest, ":1", &eb) == ERR_BADDATA, "a path that is too long");
	longest[ROUTER_PREFIX_MAX] = 0;
	memset(longest + 1, 'a', ROUTER_PREFIX_MAX - 1);
	tap_ok(!weburl_init(&w, "", longest, ":1", &eb) && strlen(w.prefix) == ROUTER_PREFIX_MAX,
	    "the longest");
	return tap_done();
}
