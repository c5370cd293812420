/* Where requests of ours may go, and which of them go through a proxy. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "net/client/addrule.h"
#include "net/client/hproxy.h"
#include "tests/lib/tap.h"

static enum addrule_kind kind(const char *ip)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
		return addrule_kind((struct sockaddr *)&in);
	CHECK(inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1);
	return addrule_kind((struct sockaddr *)&in6);
}

static void kinds(void)
{
	static const struct {
		enum addrule_kind kind;
		const char *ip;
	} all[] = {
		{ ADDRULE_PUBLIC, "1.1.1.1" },
		{ ADDRULE_PUBLIC, "9.255.255.255" },
		{ ADDRULE_PUBLIC, "11.0.0.0" },
		{ ADDRULE_PUBLIC, "100.63.255.255" },
		{ ADDRULE_PUBLIC, "100.128.0.0" },
		{ ADDRULE_PUBLIC, "169.253.255.255" },
		{ ADDRULE_PUBLIC, "172.15.255.255" },
		{ ADDRULE_PUBLIC, "172.32.0.0" },
		{ ADDRULE_PUBLIC, "223.255.255.255" },
		{ ADDRULE_PUBLIC, "2606:4700::1111" },
		{ ADDRULE_PUBLIC, "::ffff:8.8.8.8" },
		{ ADDRULE_PUBLIC, "64:ff9b::808:808" },
		{ ADDRULE_LOOPBACK, "127.0.0.1" },
		{ ADDRULE_LOOPBACK, "127.255.255.255" },
		{ ADDRULE_LOOPBACK, "0.0.0.0" },
		{ ADDRULE_LOOPBACK, "0.1.2.3" },
		{ ADDRULE_LOOPBACK, "::1" },
		{ ADDRULE_LOOPBACK, "::" },
		{ ADDRULE_LOOPBACK, "::ffff:127.0.0.1" },
		{ ADDRULE_LOOPBACK, "::127.0.0.1" },
		{ ADDRULE_LOOPBACK, "64:ff9b::7f00:1" },
		{ ADDRULE_LOOPBACK, "2002:7f00:1::" },
		{ ADDRULE_PRIVATE, "10.0.0.0" },
		{ ADDRULE_PRIVATE, "172.16.0.0" },
		{ ADDRULE_PRIVATE, "172.31.255.255" },
		{ ADDRULE_PRIVATE, "192.168.255.255" },
		{ ADDRULE_PRIVATE, "100.64.0.0" },
		{ ADDRULE_PRIVATE, "100.100.100.200" },
		{ ADDRULE_PRIVATE, "fd00::1" },
		{ ADDRULE_PRIVATE, "fc00::" },
		{ ADDRULE_PRIVATE, "fec0::1" },
		{ ADDRULE_PRIVATE, "::ffff:10.1.1.1" },
		{ ADDRULE_LINK_LOCAL, "169.254.0.0" },
		{ ADDRULE_LINK_LOCAL, "169.254.169.254" },
		{ ADDRULE_LINK_LOCAL, "169.254.255.255" },
		{ ADDRULE_LINK_LOCAL, "::ffff:169.254.169.254" },
		{ ADDRULE_LINK_LOCAL, "64:ff9b::a9fe:a9fe" },
		{ ADDRULE_LINK_LOCAL, "2002:a9fe:a9fe::1" },
		{ ADDRULE_LINK_LOCAL, "fe80::1" },
		{ ADDRULE_LINK_LOCAL, "febf:ffff::" },
		{ ADDRULE_LINK_LOCAL, "fd00:ec2::254" },
		{ ADDRULE_SPECIAL, "224.0.0.1" },
		{ ADDRULE_SPECIAL, "255.255.255.255" },
		{ ADDRULE_SPECIAL, "192.0.2.1" },
		{ ADDRULE_SPECIAL, "198.19.0.1" },
		{ ADDRULE_SPECIAL, "ff02::1" },
		{ ADDRULE_SPECIAL, "2001:db8::1" },
		{ ADDRULE_SPECIAL, "2001:0:1::1" },
	};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		tap_is_i64(kind(all[i].ip), all[i].kind, "%s", all[i].ip);
	struct sockaddr unix_sa = { .sa_family = AF_UNIX };
	tap_is_i64(addrule_kind(&unix_sa), ADDRULE_SPECIAL, "anything else");
}

static void rules(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	tap_ok(!addrule_refuses((struct sockaddr *)&in, false), "loopback is fine");
	tap_ok(addrule_refuses((struct sockaddr *)&in, true) != NULL, "not where only public is");
	in.sin_addr.s_addr = htonl(0xa9fea9fe);
	tap_ok(addrule_refuses((struct sockaddr *)&in, false) != NULL, "link-local never is");
	in.sin_addr.s_addr = htonl(0x01010101);
	tap_ok(!addrule_refuses((struct sockaddr *)&in, true), "public always is");
}

static bool proxied(const struct hproxy *p, const char *where)
{
	struct arena a;
	struct url u;
	arena_init(&a, 256);
	CHECK(!url_parse(&a, where, strlen(where), &u, NULL));
	bool yes = hproxy_for(p, &u) != NULL;
	arena_release(&a);
	return yes;
}

static void forget_environment(void)
{
	static const char *const names[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY",
		"https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD" };
	for (size_t i = 0; i < COUNT_OF(names); i++)
		unsetenv(names[i]);
}

/* As "golang.org/x/net/http/httpproxy" has it. */
static void exceptions(void)
{
	static const struct {
		const char *list, *url;
		bool yes;
	} all[] = {
		{ "", "http://example.com/", true },
		{ "", "http://localhost/", false },
		{ "", "http://127.0.0.1:90/", false },
		{ "", "http://[::1]/", false },
		{ "*", "http://example.com/", false },
		{ "example.com", "http://example.com/", false },
		{ "example.com", "http://EXAMPLE.com:81/", false },
		{ "example.com", "http://a.example.com/", false },
		{ "example.com", "http://anexample.com/", true },
		{ "example.com", "http://example.com.org/", true },
		{ ".example.com", "http://example.com/", true },
		{ ".example.com", "http://a.b.example.com/", false },
		{ "*.example.com", "http://a.example.com/", false },
		{ "*.example.com", "http://example.com/", true },
		{ "example.com:80", "http://example.com/", false },
		{ "example.com:81", "http://example.com/", true },
		{ " a.test , b.test ", "http://b.test/", false },
		{ "10.0.0.0/8", "http://10.9.9.9/", false },
		{ "10.0.0.0/8", "http://11.9.9.9/", true },
		{ "10.0.0.0/99", "http://10.9.9.9/", true },
		{ "10.1.1.1", "http://10.1.1.1/", false },
		{ "10.1.1.1:81", "http://10.1.1.1:81/", false },
		{ "10.1.1.1:81", "http://10.1.1.1/", true },
		{ "fd00::/8", "http://[fd12::1]/", false },
		{ "fd00::1", "http://[fd00::1]/", false },
		{ "[fd00::1]:81", "http://[fd00::1]:81/", false },
		{ "fd00::2", "http://[fd00::1]/", true },
		{ ",,, ", "http://a/", true },
		{ ".", "http://a/", true },
	};
	struct hproxy p;
	struct errbuf eb;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		errbuf_init(&eb);
		setenv("HTTP_PROXY", "proxy.test:3128", 1);
		setenv("NO_PROXY", all[i].list, 1);
		CHECK(!hproxy_init(&p, HCLIENT_PROXY_ENV, NULL, &eb));
		tap_ok(proxied(&p, all[i].url) == all[i].yes, "NO_PROXY=%s: %s %s", all[i].list,
		    all[i].url, all[i].yes ? "by the proxy" : "directly");
		hproxy_release(&p);
	}
	forget_environment();
}

static void settings(void)
{
	struct hproxy p;
	struct errbuf eb;
	errbuf_init(&eb);
	CHECK(!hproxy_init(&p, HCLIENT_PROXY_ENV, NULL, &eb));
	tap_ok(
	    !proxied(&p, "http://a/") && !proxied(&p, "https://a/"), "none is said, none is asked");
	hproxy_release(&p);
	setenv("https_proxy", "http://u:p@proxy.test:8080/", 1);
	CHECK(!hproxy_init(&p, HCLIENT_PROXY_ENV, NULL, &eb));
	tap_ok(!proxied(&p, "http://a/") && proxied(&p, "https://a/"),
	    "one for https is not for http");
	tap_ok(!strcmp(p.https.authorization, "Basic dTpw") && p.https.url.port == 8080,
	    "with its credentials");
	hproxy_release(&p);
	forget_environment();
	setenv("HTTP_PROXY", "http://evil.test", 1);
	setenv("REQUEST_METHOD", "GET", 1);
	CHECK(!hproxy_init(&p, HCLIENT_PROXY_ENV, NULL, &eb));
	tap_ok(!proxied(&p, "http://a/"), "a client's Proxy field is no proxy of a CGI program");
	hproxy_release(&p);
	forget_environment();
	setenv("HTTP_PROXY", "http://u:s3cret@a b", 1);
	tap_ok(hproxy_init(&p, HCLIENT_PROXY_ENV, NULL, &eb) == ERR_BADDATA &&
	        strstr(eb.text, "HTTP_PROXY: ") && !strstr(eb.text, "s3cret"),
	    "a bad one is named, its password is not: %s", eb.text);
	errbuf_init(&eb);
	forget_environment();
	CHECK(!hproxy_init(&p, HCLIENT_PROXY_URL, "http://proxy.test", &eb));
	tap_ok(proxied(&p, "http://localhost/"), "one that is chosen is for all");
	hproxy_release(&p);
}

int main(void)
{
	forget_environment();
	kinds();
	rules();
	exceptions();
	settings();
	return tap_done();
}
