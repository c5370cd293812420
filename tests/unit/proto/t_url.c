#include "tests/lib/tap.h"

#include "proto/url.h"

static struct arena arena;

static void good(const char *s, bool https, const char *host, unsigned port, const char *target)
{
	struct url u;
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = url_parse(&arena, s, strlen(s), &u, &eb);
	tap_ok(!e && u.https == https && !strcmp(u.host, host) && u.port == port &&
	        !strcmp(u.target, target) && u.target_len == strlen(target),
	    "%s: host %s port %u target %s %s", s, e ? "?" : u.host, e ? 0 : u.port,
	    e ? "?" : u.target, eb.text);
}

static void bad(const char *s, const char *why)
{
	struct url u;
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = url_parse(&arena, s, strlen(s), &u, &eb);
	tap_ok(e == ERR_BADDATA && strstr(eb.text, why), "%.100s: %s", s, eb.text);
}

static void refers(const char *base, const char *ref, const char *want)
{
	struct url b, u;
	struct errbuf eb;
	char authority[URL_AUTHORITY_MAX], got[9000];
	errbuf_init(&eb);
	CHECK(!url_parse(&arena, base, strlen(base), &b, &eb));
	if (url_refer(&arena, &b, ref, strlen(ref), &u, &eb)) {
		tap_is_str(eb.text, want, "%s from %s", ref, base);
		return;
	}
	url_authority(&u, false, authority);
	snprintf(got, sizeof got, "%s://%s%s", u.https ? "https" : "http", authority, u.target);
	tap_is_str(got, want, "%s from %s", ref, base);
}

static void parts(void)
{
	good("http://h", false, "h", 80, "/");
	good("https://h/", true, "h", 443, "/");
	good("HTTP://Idp.Example.COM:8080/A?b=C#d", false, "idp.example.com", 8080, "/A?b=C");
	good("https://h?x", true, "h", 443, "/?x");
	good("https://h#x", true, "h", 443, "/");
	good("https://h:/x", true, "h", 443, "/x");
	good("http://h:65535/", false, "h", 65535, "/");
	good("http://[::1]:9/", false, "::1", 9, "/");
	good("http://[2001:DB8:0:0::1]/", false, "2001:db8::1", 80, "/");
	good("http://10.0.0.1/", false, "10.0.0.1", 80, "/");
	good("http://a_b.c-d/", false, "a_b.c-d", 80, "/");
	good("http://h./", false, "h", 80, "/");
	good("http://1.2.3.4.example/", false, "1.2.3.4.example", 80, "/");
	good("http://h/a/./b/../c", false, "h", 80, "/a/c");
	good("http://h/../../a/..", false, "h", 80, "/");
	good("http://h/a/%2e%2E/b", false, "h", 80, "/b");
	good("http://h/a%2fb", false, "h", 80, "/a%2fb");
	good("http://h//a//b", false, "h", 80, "//a//b");
	good("http://h/a?match[]={a=\"b\"}", false, "h", 80, "/a?match%5B%5D=%7Ba=%22b%22%7D");
	good("http://h/\xc3\xa4", false, "h", 80, "/%C3%A4");
	good("http://h/a?../..", false, "h", 80, "/a?../..");
	good("http://h/a/...", false, "h", 80, "/a/...");
	struct url u;
	CHECK(!url_parse(&arena, "https://u%40x:p%3aq@h/", 22, &u, NULL));
	tap_ok(u.has_user && !strcmp(u.user, "u@x") && !strcmp(u.password, "p:q"),
	    "user information is decoded");
	CHECK(!url_parse(&arena, "http://h./", 10, &u, NULL));
	tap_ok(u.absolute, "a dot at the end says that the name is whole");
	CHECK(!url_parse(&arena, "http://u@h@i/", 13, &u, NULL));
	tap_ok(!strcmp(u.host, "i") && !strcmp(u.user, "u@h"), "the last @ divides");
}

static void refused(void)
{
	char big[9001] = "http://h/", host[400] = "http://";
	memset(big + 9, 'a', 8990);
	bad("", "neither http");
	bad("h", "neither http");
	bad("//h/", "neither http");
	bad("ftp://h/", "\"ftp\": http and https only");
	bad("file:///etc/passwd", "http and https only");
	bad("http:", "host is missing");
	bad("http:h", "host is missing");
	bad("http://", "host is missing");
	bad("http://:80/", "host is missing");
	bad("http://u@/", "host is missing");
	bad("http://h:x/", "1 to 65535");
	bad("http://h:0/", "1 to 65535");
	bad("http://h:65536/", "1 to 65535");
	bad("http://h:+80/", "1 to 65535");
	bad("http://h:000080/", "1 to 65535");
	bad("http://a%2eb/", "letters, digits");
	bad("http://a b/", "letters, digits");
	bad("http://a..b/", "empty label");
	bad("http://.a/", "empty label");
	bad("http://./", "empty label");
	bad("http://a\xc3\xa4/", "letters, digits");
	bad("http://127.1/", "four decimal");
	bad("http://2130706433/", "four decimal");
	bad("http://0x7f.1/", "four decimal");
	bad("http://0x7f000001/", "four decimal");
	bad("http://0177.0.0.1/", "four decimal");
	bad("http://127.0.0.1.2/", "four decimal");
	bad("http://256.0.0.1/", "four decimal");
	bad("http://a.0x/", "four decimal");
	bad("http://[::1/", "bracket");
	bad("http://[::1]x/", "bracket");
	bad("http://[::g]/", "IPv6");
	bad("http://[fe80::1%25eth0]/", "IPv6");
	bad("http://[1.2.3.4]/", "IPv6");
	bad("http://h/a b", "blank");
	bad("http://h/a\nb", "control");
	bad("http://h/?a\x7f", "control");
	bad("http://h/%", "escape");
	bad("http://h/%g0", "escape");
	bad("http://h/?%1", "escape");
	bad("http://u%0a@h/", "user information");
	bad("http://u%@h/", "user information");
	bad(big, "at most 8192");
	memset(host + 7, 'a', 64);
	bad(host, "63 bytes");
	for (unsigned i = 0; i < 300; i++)
		host[7 + i] = i % 50 == 49 ? '.' : 'a';
	bad(host, "253 bytes");
	struct url u;
	struct errbuf eb;
	errbuf_init(&eb);
	tap_ok(url_parse(&arena, "http://me:s3cret@a b/t0ken?t0ken", 32, &u, &eb) &&
	        !strstr(eb.text, "s3cret") && !strstr(eb.text, "t0ken"),
	    "an error names no secrets: %s", eb.text);
}

/* RFC 3986, 5.4, with what http wants. */
static void references(void)
{
	static const char base[] = "http://a/b/c/d;p?q";
	static const char *const all[][2] = { { "g", "http://a/b/c/g" }, { "./g", "http://a/b/c/g" },
		{ "g/", "http://a/b/c/g/" }, { "/g", "http://a/g" }, { "//g", "http://g/" },
		{ "?y", "http://a/b/c/d;p?y" }, { "g?y", "http://a/b/c/g?y" },
		{ "#s", "http://a/b/c/d;p?q" }, { "g#s", "http://a/b/c/g" },
		{ "g?y#s", "http://a/b/c/g?y" }, { ";x", "http://a/b/c/;x" },
		{ "g;x", "http://a/b/c/g;x" }, { "g;x?y#s", "http://a/b/c/g;x?y" },
		{ "", "http://a/b/c/d;p?q" }, { ".", "http://a/b/c/" }, { "./", "http://a/b/c/" },
		{ "..", "http://a/b/" }, { "../", "http://a/b/" }, { "../g", "http://a/b/g" },
		{ "../..", "http://a/" }, { "../../", "http://a/" }, { "../../g", "http://a/g" },
		{ "../../../g", "http://a/g" }, { "../../../../g", "http://a/g" },
		{ "/./g", "http://a/g" }, { "/../g", "http://a/g" }, { "g.", "http://a/b/c/g." },
		{ ".g", "http://a/b/c/.g" }, { "g..", "http://a/b/c/g.." },
		{ "..g", "http://a/b/c/..g" }, { "./../g", "http://a/b/g" },
		{ "./g/.", "http://a/b/c/g/" }, { "g/./h", "http://a/b/c/g/h" },
		{ "g/../h", "http://a/b/c/h" }, { "g;x=1/./y", "http://a/b/c/g;x=1/y" },
		{ "g;x=1/../y", "http://a/b/c/y" }, { "g?y/./x", "http://a/b/c/g?y/./x" },
		{ "g?y/../x", "http://a/b/c/g?y/../x" }, { "https://x:1/y", "https://x:1/y" },
		{ "http://[::1]:81", "http://[::1]:81/" },
		{ "mailto:x", "URL scheme \"mailto\": http and https only" } };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		refers(base, all[i][0], all[i][1]);
	refers("https://a:8443", "b", "https://a:8443/b");
	refers("https://a:8443/x?y/z", "b", "https://a:8443/b");
	refers("https://a:8443", "//b", "https://b/");
}

static void authorities(void)
{
	struct url a, b;
	char out[URL_AUTHORITY_MAX];
	CHECK(!url_parse(&arena, "https://[::1]", 13, &a, NULL));
	tap_is_u64(url_authority(&a, false, out), 5, "the usual port is left out");
	tap_is_str(out, "[::1]", "an IPv6 address stands in brackets");
	url_authority(&a, true, out);
	tap_is_str(out, "[::1]:443", "unless it is wanted");
	CHECK(!url_parse(&arena, "https://[::1]:443/x", 19, &b, NULL));
	tap_ok(url_same_origin(&a, &b), "said or usual, a port is the same");
	CHECK(!url_parse(&arena, "http://[::1]:443/x", 18, &b, NULL));
	tap_ok(!url_same_origin(&a, &b), "schemes differ");
}

int main(void)
{
	arena_init(&arena, 1024);
	parts();
	refused();
	references();
	authorities();
	arena_release(&arena);
	return tap_done();
}
