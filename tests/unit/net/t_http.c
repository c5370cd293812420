/*
 * The HTTP server over loopback, HTTP/1.1: requests, their framing, refusals, bodies, streams,
 * long heads, addresses.
 * "t_http serve [loops] [port]" serves the test routes for tools from outside (curl, h2load), on
 * the real clock.
 */
#include <netdb.h>
#include <zlib.h>

#include "tests/lib/tap.h"
#include "tests/unit/net/httpserve.h"

/* ---- cases ---- */

static void plain(void)
{
	struct httpcli_answer a = ask(GET("/ping", ""));
	tap_is_i64(a.status, 200, "a GET is answered");
	tap_is_mem(a.body, a.len, "pong\n", 5, "with its body");
	tap_is_str(httpcli_field(&a, "content-length"), "5", "its length");
	tap_is_str(httpcli_field(&a, "content-type"), TEXT, "its type");
	tap_is_str(httpcli_field(&a, "vary"), "Accept-Encoding", "and Vary");
	tap_is_str(httpcli_field(&a, "date"), "Tue, 14 Nov 2023 22:13:20 GMT",
	    "the date is that of the clock");
	tap_ok(!httpcli_field(&a, "access-control-allow-origin"), "no CORS without Origin");
	httpcli_free(&a);
	a = ask(GET("/ping", "Origin: http://x\r\n"));
	tap_is_str(httpcli_field(&a, "access-control-allow-origin"), "*", "CORS with Origin");
	tap_is_str(httpcli_field(&a, "access-control-expose-headers"), "Date", "all of it");
	httpcli_free(&a);
	a = ask(GET("/nowhere", ""));
	tap_is_i64(a.status, 404, "an unknown path is 404");
	tap_is_str(a.body, "404 page not found (what is here: /)\n", "begins with upstream's words");
	httpcli_free(&a);
	a = ask(GET("/pimg", ""));
	tap_ok(strstr(a.body, "404 page not found: did you mean /p") == a.body,
	    "and with a path that is near, in its first line: %s", a.body);
	httpcli_free(&a);
	a = ask(GET("/others", ""));
	tap_is_str(a.body, "404 page not found: another server's, /ping (what is here: /)\n",
	    "of a path that others have it says what is here");
	httpcli_free(&a);
	a = ask(GET("/others/x", ""));
	tap_is_str(a.body, "404 page not found: another server's, (what is here: /)\n",
	    "or that nothing is");
	httpcli_free(&a);
	a = ask("DELETE /later HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64(a.status, 405, "another method is 405");
	tap_is_str(httpcli_field(&a, "allow"), "GET, POST, OPTIONS", "with Allow");
	tap_is_str(a.body,
	    "Method Not Allowed: here it is GET, POST, OPTIONS (what else is here: /)\n",
	    "in its text, too, of which senders log the first line");
	httpcli_free(&a);
	a = ask("OPTIONS /later HTTP/1.1\r\nHost: a\r\nOrigin: b\r\n\r\n");
	tap_ok(a.status == 204 && !httpcli_field(&a, "content-length") &&
	        httpcli_field(&a, "access-control-allow-methods"),
	    "OPTIONS is 204");
	a = ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64(a.status, 204, "OPTIONS * too");
	a = ask("HEAD /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_ok(a.status == 200 && !strcmp(httpcli_field(&a, "content-length"), "5"),
	    "HEAD has the head of GET");
	a = ask("HEAD /ping HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64(a.status, 405, "HEAD only where it is meant");
	a = ask(GET("/label/a%2Fb%20c/values?x=%31", ""));
	tap_is_str(
	    a.body, "a/b c|/label/a/b c/values|x=%31", "a parameter is decoded and never split");
	httpcli_free(&a);
	a = ask(GET("/label//values", ""));
	tap_is_i64(a.status, 404, "an empty parameter does not match");
	httpcli_free(&a);
	a = ask(GET("/label/%zz/values", ""));
	tap_is_i64(a.status, 400, "a bad escape is 400");
	httpcli_free(&a);
	a = ask("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n");
	tap_is_i64(a.status, 400, "a malformed head is 400");
	tap_is_str(httpcli_field(&a, "connection"), "close", "and the end");
	httpcli_free(&a);
	a = ask(GET("//label/.//a%2Fb/values/?x=%31&y[]={\"a\"}", ""));
	tap_is_i64(a.status, 301, "a path that almost fits is redirected");
	tap_is_str(httpcli_field(&a, "location"), "/label/a%2Fb/values?x=%31&y[]=%7B%22a%22%7D",
	    "on this host, with its query as a URI");
	httpcli_free(&a);
	a = ask(GET("//evil.com/../PING", ""));
	tap_is_str(httpcli_field(&a, "location"), "/ping", "never to another host");
	httpcli_free(&a);
	a = ask(GET("//evil.com/ping", ""));
	tap_ok(a.status == 404 && !httpcli_field(&a, "location"), "nor is a host a path");
	httpcli_free(&a);
	static char long_one[5000], end[] = "y HTTP/1.1\r\nHost: a\r\n\r\n";
	size_t len = (size_t)snprintf(long_one, sizeof long_one, "GET /ping/?");
	memset(long_one + len, 'x', 4000);
	memcpy(long_one + len + 4000, end, sizeof end);
	a = ask(long_one);
	const char *to = strstr(a.head, "location: ");
	tap_ok(to && strspn(to + 16, "x") == 4000 && !memcmp(to + 4016, "y\r\n", 3),
	    "a long query is kept whole");
	httpcli_free(&a);
	a = ask("POST /back HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-back\r\n\r\n");
	tap_ok(a.status == 505 && a.body && strstr(a.body, "needs HTTP/2"),
	    "a streamed request needs HTTP/2");
	httpcli_free(&a);
	gate_shut = true;
	a = ask(GET("//ping", ""));
	tap_is_i64(a.status, 301, "the gate is not asked about it");
	httpcli_free(&a);
	a = ask(GET("/ping", ""));
	tap_ok(a.status == 503 && httpcli_field(&a, "x-prometheus-stopping"),
	    "the gate stops requests");
	httpcli_free(&a);
	a = ask(GET("/-/healthy", ""));
	tap_is_i64(a.status, 200, "but not those that pass it by");
	httpcli_free(&a);
	gate_shut = false;
}

static void keep_alive(void)
{
	int fd = httpcli_dial(address);
	bool ok = true;
	for (unsigned i = 0; i < 50; i++) {
		httpcli_puts(fd, GET("/ping", ""));
		struct httpcli_answer a = httpcli_read(fd, false, 60000);
		ok &= a.status == 200 && a.len == 5;
		httpcli_free(&a);
	}
	tap_ok(ok, "a connection is kept for 50 requests");
	httpcli_puts(fd, GET("/ping", "Connection: close\r\n"));
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	tap_is_str(httpcli_field(&a, "connection"), "close", "the last one says so");
	tap_ok(httpcli_closed(fd, 60000), "and it ends");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, "POST /echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
	a = httpcli_read(fd, false, 60000);
	tap_ok(a.status == 308 && !strcmp(httpcli_field(&a, "location"), "/echo"),
	    "a POST is redirected with its method (%d)", a.status);
	httpcli_free(&a);
	httpcli_puts(fd, GET("/ping", ""));
	a = httpcli_read(fd, false, 60000);
	tap_is_i64(a.status, 200, "and the connection goes on behind its body");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /ping HTTP/1.0\r\n\r\n");
	a = httpcli_read(fd, false, 60000);
	tap_ok(a.status == 200 && httpcli_closed(fd, 60000), "HTTP/1.0 closes");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	a = httpcli_read(fd, false, 60000);
	tap_is_str(httpcli_field(&a, "connection"), "keep-alive", "unless it asks");
	httpcli_free(&a);
	httpcli_puts(fd, "GET /stream?10000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	a = httpcli_read(fd, false, 60000);
	tap_ok(a.whole && a.len == 48890 && !httpcli_field(&a, "transfer-encoding"),
	    "a stream to HTTP/1.0 ends with the connection");
	httpcli_free(&a);
	close(fd);
}

static void pipelining(void)
{
	int fd = httpcli_dial(address);
	enum {
		N = 500
	};
	static char many[N * 200];
	size_t len = 0;
	for (unsigned i = 0; i < N; i++)
		len += (size_t)(i % 3 == 0 ? sprintf(many + len, GET("/label/%u/values", ""), i)
		        : i % 3 == 1
		        ? sprintf(many + len,
		              "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: %u\r\n\r\n%.*s",
		              i % 7, (int)(i % 7), "1234567")
		        : sprintf(many + len,
		              "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n%x\r\n%.*s\r\n0\r\n\r\n",
		              1 + i % 7, (int)(1 + i % 7), "1234567"));
	httpcli_send(fd, many, len);
	unsigned wrong = 0;
	for (unsigned i = 0; i < N; i++) {
		struct httpcli_answer a = httpcli_read(fd, false, 60000);
		char want[100];
		if (i % 3 == 0)
			sprintf(want, "%u|/label/%u/values|", i, i);
		else if (i % 3 == 1)
			sprintf(want, "later %u\n", i % 7);
		else
			sprintf(want, "abc%.*s", (int)(1 + i % 7), "1234567");
		wrong += a.status != 200 || !a.body || strcmp(a.body, want);
		httpcli_free(&a);
	}
	tap_is_u64(wrong, 0,
	    "%d pipelined requests are answered in order, whenever their handlers answer", N);
	httpcli_send(fd, many, len);
	shutdown(fd, SHUT_WR);
	unsigned came = 0;
	for (unsigned i = 0; i < N; i++) {
		struct httpcli_answer a = httpcli_read(fd, false, 60000);
		came += a.status == 200;
		httpcli_free(&a);
	}
	tap_is_u64(came, N, "also when the client half-closes behind them");
	tap_ok(httpcli_closed(fd, 60000), "then the connection ends");
	close(fd);
	/* The same bytes, in pieces of awkward sizes. */
	fd = httpcli_dial(address);
	for (size_t at = 0; at < 4000;) {
		size_t n = 1 + at % 37;
		n = n < 4000 - at ? n : 4000 - at;
		httpcli_send(fd, many + at, n);
		at += n;
		if (at % 5 == 0)
			usleep(200);
	}
	came = 0;
	struct httpcli_answer a;
	while ((a = httpcli_read(fd, false, 300)).status == 200) {
		came++;
		httpcli_free(&a);
	}
	tap_ok(came > 30, "and when they come in small pieces (%u)", came);
	close(fd);
}

static void bodies(void)
{
	int fd = httpcli_dial(address);
	static const size_t sizes[] = { 1, 15, 4096, 65535, 65536, 200000, 1u << 20, 5000001,
		8u << 20 };
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct httpcli_answer a = post(fd, "/echo", "", sizes[i]);
		tap_ok(a.status == 200 && a.len == sizes[i], "a body of %zu bytes comes back",
		    sizes[i]);
		httpcli_free(&a);
	}
	struct httpcli_answer a = post(fd, "/small", "", 1001);
	tap_is_i64(a.status, 413, "a body over the route's limit is 413");
	tap_is_str(a.body,
	    "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"the body is larger than 1000 bytes\"}",
	    "in the form of the route");
	httpcli_free(&a);
	a = post(fd, "/echo", "", 10);
	tap_is_i64(a.status, 200, "and the connection goes on when the rest was small");
	httpcli_free(&a);
	a = post(fd, "/small", "", 100000);
	tap_ok(a.status == 413 && !strcmp(httpcli_field(&a, "connection"), "close"),
	    "a large one ends it, after the answer");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(
	    fd, "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n");
	for (unsigned i = 0; i < 1000; i++)
		httpcli_puts(fd, "x");
	httpcli_puts(fd, "\r\n1\r\nx\r\n");
	a = httpcli_read(fd, false, 60000);
	tap_is_i64(a.status, 413, "a chunked body is counted as it grows");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd,
	    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n");
	a = httpcli_read(fd, false, 60000);
	tap_is_i64(a.status, 400, "a malformed chunk is 400");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	a = post(fd, "/proto", "Content-Type: application/x-protobuf; x=y\r\n", 1000);
	tap_is_i64(a.status, 200, "before_body lets pass");
	httpcli_free(&a);
	unsigned before = seen_all().refused_early;
	a = post(fd, "/proto", "Content-Type: text/plain\r\n", 1000);
	tap_ok(a.status == 415 && seen_all().refused_early == before + 1, "or refuses");
	tap_is_str(a.body, "unsupported: only application/x-protobuf\n", "in plain text");
	httpcli_free(&a);
	a = post(fd, "/ping", "", 3);
	tap_is_i64(a.status, 405, "a body to the wrong method is passed over");
	httpcli_free(&a);
	httpcli_puts(fd, GET("/ping", "Content-Length: 4\r\n") "body");
	a = httpcli_read(fd, false, 60000);
	tap_is_i64(a.status, 200, "so is the body of a GET");
	httpcli_free(&a);
	close(fd);
}

static void expect(void)
{
	int fd = httpcli_dial(address);
	httpcli_puts(fd,
	    "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	tap_is_i64(a.status, 100, "Expect: 100-continue is answered");
	httpcli_puts(fd, "abc");
	a = httpcli_read(fd, false, 60000);
	tap_ok(a.status == 200 && a.len == 3, "then the request");
	httpcli_free(&a);
	httpcli_puts(fd,
	    "POST /proto HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	a = httpcli_read(fd, false, 60000);
	tap_is_i64(a.status, 415, "a refusal comes instead of it");
	tap_ok(httpcli_closed(fd, 60000),
	    "and ends the connection: nobody knows whether the body comes");
	httpcli_free(&a);
	close(fd);
}

static bool numbers_ok(const char *body, size_t len, unsigned long count)
{
	const char *p = body, *end = body + len;
	for (unsigned long i = 0; i < count; i++) {
		char want[30];
		int n = sprintf(want, "%lu\n", i);
		if (end - p < n || memcmp(p, want, (size_t)n))
			return false;
		p += n;
	}
	return p == end;
}

static size_t inflate_all(const char *in, size_t len, char *out, size_t size)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in,
		.avail_in = (uInt)len,
		.next_out = (Bytef *)out,
		.avail_out = (uInt)size };
	inflateInit2(&z, 15 + 32);
	int r = inflate(&z, Z_FINISH);
	size_t n = z.total_out;
	inflateEnd(&z);
	return r == Z_STREAM_END ? n : 0;
}

static void streams(void)
{
	struct httpcli_answer a = ask(GET("/stream?500000", ""));
	tap_ok(a.whole && numbers_ok(a.body, a.len, 500000), "a streamed answer is whole");
	httpcli_free(&a);
	a = ask(GET("/stream?0", ""));
	tap_ok(a.status == 200 && a.whole && a.len == 0, "an empty one, too");
	httpcli_free(&a);
	a = ask(GET("/stream?100000,90000", ""));
	tap_ok(a.status == 200 && !a.whole, "one that breaks is seen to break");
	httpcli_free(&a);
	static char plain_text[8u << 20];
	a = ask(GET("/stream?500000", "Accept-Encoding: br, gzip\r\n"));
	tap_is_str(httpcli_field(&a, "content-encoding"), "gzip", "gzip when the client takes it");
	size_t n = inflate_all(a.body, a.len, plain_text, sizeof plain_text);
	tap_ok(n && numbers_ok(plain_text, n, 500000) && a.len < n / 2, "with the same bytes inside");
	httpcli_free(&a);
	a = ask(GET("/big?5000000", "Accept-Encoding: deflate\r\n"));
	tap_is_str(httpcli_field(&a, "content-encoding"), "deflate",
	    "a large answer is compressed in steps");
	n = inflate_all(a.body, a.len, plain_text, sizeof plain_text);
	tap_ok(n == 5000000 && plain_text[4999999] == 'a' + 4999999 % 26, "and is whole");
	httpcli_free(&a);
	a = ask(GET("/big?3000", "Accept-Encoding: gzip\r\n"));
	tap_ok(httpcli_field(&a, "content-length") &&
	        inflate_all(a.body, a.len, plain_text, sizeof plain_text) == 3000,
	    "a small one at once");
	httpcli_free(&a);
	a = ask(GET("/big?1000", "Accept-Encoding: gzip\r\n"));
	tap_ok(!httpcli_field(&a, "content-encoding") && a.len == 1000,
	    "below 1 KiB it is not worth it");
	httpcli_free(&a);
	a = ask(GET("/big?30000000", ""));
	tap_ok(a.whole && a.len == 30000000, "30 MB without compression");
	httpcli_free(&a);
}

/* A query of 60 KB and more, as dashboards send it. */
static void long_heads(void)
{
	static char text[1200000], end[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
	static const size_t sizes[] = { 9000, 60000, 500000, 1048576 - 60 };
	for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
		size_t len = (size_t)sprintf(text, "GET /ping?match[]=");
		memset(text + len, 'm', sizes[i]);
		memcpy(text + len + sizes[i], end, sizeof end);
		struct httpcli_answer a = ask(text);
		tap_is_i64(a.status, 200, "a query of %zu bytes is read", sizes[i]);
		httpcli_free(&a);
	}
	size_t len = (size_t)sprintf(text, "GET /ping?match[]=");
	memset(text + len, 'm', 1048576);
	memcpy(text + len + 1048576, end, sizeof end);
	struct httpcli_answer a = ask(text);
	tap_is_i64(a.status, 414, "over 1 MiB it is not");
	tap_ok(strstr(a.body, "1048576") && strstr(a.body, "--web.max-head-bytes"), "%s", a.body);
	httpcli_free(&a);
	len = (size_t)sprintf(text, "GET /ping HTTP/1.1\r\nHost: a\r\n");
	for (unsigned i = 0; i < 110; i++)
		len += (size_t)sprintf(text + len, "f%u: x\r\n", i);
	sprintf(text + len, "\r\n");
	a = ask(text);
	tap_is_i64(a.status, 431, "nor are 111 fields");
	tap_ok(strstr(a.body, "100 fields (--web.max-fields)"), "%s", a.body);
	httpcli_free(&a);
	/* In pieces, it is charged while it comes. */
	int fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /ping?");
	httpcli_send(fd, text + 40, 0);
	memset(text, 'q', 300000);
	httpcli_send(fd, text, 300000);
	for (unsigned i = 0; i < 60000 && in_flight() < 300000; i++)
		usleep(1000);
	tap_ok(in_flight() >= 300000, "half a head counts: %lld", (long long)in_flight());
	httpcli_puts(fd, end);
	a = httpcli_read(fd, false, 60000);
	tap_is_i64(a.status, 200, "and is read when it is whole");
	httpcli_free(&a);
	tap_ok(in_flight_becomes(0), "and nothing is held when it is answered: %lld",
	    (long long)in_flight());
	close(fd);
	tap_ok(quiet(0, 0), "(quiet)");
}

/* A bare root without /etc/hosts asks a name server for it, in vain. */
static bool has_localhost(void)
{
	struct addrinfo *ai = NULL;
	if (getaddrinfo("localhost", NULL, NULL, &ai))
		return false;
	freeaddrinfo(ai);
	return true;
}

static void addresses(void)
{
	static const struct {
		const char *text;
		bool good;
	} t[] = { { "127.0.0.1:0", true }, { "[::1]:0", true }, { ":0", true },
		{ "localhost:0", true }, { "127.0.0.1", false }, { "::1:80", false },
		{ "127.0.0.1:99999", false }, { "127.0.0.1:http", false }, { "[::1:80", false },
		{ "no.such.host.invalid:80", false } };
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		struct listen_conf one = { .address = t[i].text };
		struct srv_opts o = { .team = tt.team, .listeners = &one, .listener_count = 1 };
		struct errbuf eb;
		errbuf_init(&eb);
		struct srv *s = NULL;
		enum err e = srv_create(&o, &s, &eb);
		if (!strcmp(t[i].text, "[::1]:0") && e == ERR_IO) {
			tap_skip("no IPv6 here");
			continue;
		}
		if (!strcmp(t[i].text, "localhost:0") && e && !has_localhost()) {
			tap_skip("localhost has no address here (no /etc/hosts)");
			continue;
		}
		tap_ok((e == 0) == t[i].good && (e == 0 || strstr(eb.text, t[i].text)),
		    "address %s: %s", t[i].text, e ? eb.text : srv_address(s, 0));
		if (!e)
			srv_free(s);
	}
	struct listen_conf again = { .address = address };
	struct srv_opts o = { .team = tt.team, .listeners = &again, .listener_count = 1 };
	struct errbuf eb;
	errbuf_init(&eb);
	struct srv *s = NULL;
	enum err e = srv_create(&o, &s, &eb);
	tap_ok(e == ERR_EXISTS && strstr(eb.text, address) && strstr(eb.text, "in use"),
	    "a port that is served is not shared with a second server: %s", eb.text);
	if (!e)
		srv_free(s);
}

static void assets(void)
{
	struct buf b;
	buf_init(&b);
	for (unsigned i = 0; i < 500; i++)
		buf_printf(&b, "line %u of a page\n", i);
	size_t whole = b.len;
	asset_init(&test_asset, "text/html; charset=utf-8", "no-cache", &b);
	struct httpcli_answer a = ask(GET("/asset", ""));
	tap_ok(a.status == 200 && a.len == whole && !memcmp(a.body, test_asset.plain, whole) &&
	        !httpcli_field(&a, "content-encoding"),
	    "an asset comes as it is");
	tap_is_str(httpcli_field(&a, "etag"), test_asset.plain_etag, "with its ETag");
	tap_is_str(httpcli_field(&a, "cache-control"), "no-cache", "Cache-Control");
	tap_is_str(httpcli_field(&a, "vary"), "Accept-Encoding", "Vary");
	tap_is_str(httpcli_field(&a, "content-type"), "text/html; charset=utf-8", "and type");
	httpcli_free(&a);
	static char plain_text[1u << 20];
	a = ask(GET("/asset", "Accept-Encoding: deflate, br, gzip\r\n"));
	tap_ok(a.status == 200 && a.len == test_asset.gzip_len && a.len < whole / 4 &&
	        inflate_all(a.body, a.len, plain_text, sizeof plain_text) == whole &&
	        !memcmp(plain_text, test_asset.plain, whole),
	    "or as it was compressed once: %zu bytes for %zu", a.len, whole);
	tap_is_str(httpcli_field(&a, "content-encoding"), "gzip", "which it says");
	tap_is_str(httpcli_field(&a, "etag"), test_asset.gzip_etag, "with an ETag of its own");
	tap_is_str(httpcli_field(&a, "vary"), "Accept-Encoding", "and Vary");
	httpcli_free(&a);
	char text[400];
	static const struct {
		const char *accept;
		bool gzip, star;
		int status;
	} t[] = { { "", false, false, 304 }, { "", true, false, 200 }, { "", false, true, 200 },
		{ "Accept-Encoding: gzip\r\n", true, false, 304 },
		{ "Accept-Encoding: gzip\r\n", false, false, 200 } };
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		const char *tag = t[i].star ? "*"
		    : t[i].gzip             ? test_asset.gzip_etag
		                            : test_asset.plain_etag;
		snprintf(text, sizeof text,
		    "GET /asset HTTP/1.1\r\nHost: a\r\n%sIf-None-Match: \"x\"\r\nIf-None-Match: W/\"y\", %s\r\n\r\n",
		    t[i].accept, tag);
		a = ask(text);
		bool ok = a.status == t[i].status;
		if (t[i].status == 304)
			ok &= !a.len && !httpcli_field(&a, "content-length") &&
			    httpcli_field(&a, "etag") && httpcli_field(&a, "vary") &&
			    httpcli_field(&a, "cache-control") && httpcli_field(&a, "date");
		tap_ok(ok, "%sIf-None-Match %s: %d", t[i].accept, tag, a.status);
		httpcli_free(&a);
	}
	a = ask(GET("/asset", "If-None-Match: *\r\n"));
	tap_is_i64(a.status, 304, "a star names whatever there is");
	httpcli_free(&a);
	a = ask("HEAD /asset HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
	tap_ok(a.status == 200 && !a.len &&
	        strtoul(httpcli_field(&a, "content-length"), NULL, 10) == test_asset.gzip_len &&
	        !strcmp(httpcli_field(&a, "etag"), test_asset.gzip_etag),
	    "HEAD has the head of the same GET");
	httpcli_free(&a);
	int fd = httpcli_dial(address);
	for (unsigned i = 0; i < 3; i++) {
		httpcli_puts(fd, GET("/asset", "If-None-Match: *\r\n"));
		a = httpcli_read(fd, true, 60000);
		tap_is_i64(a.status, 304, "a 304 has no body, and the connection goes on");
		httpcli_free(&a);
	}
	close(fd);
	tap_ok(quiet(0, 0), "(quiet)");
	asset_release(&test_asset);
}

/* Where a proxy shows another path than it asks for, links are what clients see. */
static void under_a_prefix(void)
{
	serve_prefix = "/in/side";
	serve_links = "/seen";
	serve(1, "127.0.0.1:0", 0);
	struct httpcli_answer a = ask(GET("/in/side/ping", ""));
	tap_is_i64(a.status, 200, "a path under the prefix");
	httpcli_free(&a);
	a = ask(GET("/in/side/tree/a%20b/c", ""));
	tap_is_str(a.body, "a b/c|/in/side/tree/a b/c|", "the rest of a path is a parameter");
	httpcli_free(&a);
	a = ask(GET("/in/side/-/healthy", ""));
	tap_is_i64(a.status, 200, "health is there, too");
	httpcli_free(&a);
	a = ask(GET("/-/healthy", ""));
	tap_is_i64(a.status, 404, "not outside");
	tap_is_str(a.body, "404 page not found (what is here: /seen/)\n", "which says where to look");
	httpcli_free(&a);
	a = ask(GET("/in/side/pimg", ""));
	tap_is_str(a.body, "404 page not found: did you mean /seen/ping? (what is here: /seen/)\n",
	    "and what was meant");
	httpcli_free(&a);
	a = ask(GET("/in/side/others", ""));
	tap_is_str(a.body,
	    "404 page not found: another server's, /seen/ping (what is here: /seen/)\n",
	    "paths of others begin behind the prefix");
	httpcli_free(&a);
	a = ask(GET("/?q=1", ""));
	tap_ok(a.status == 302 && !strcmp(httpcli_field(&a, "location"), "/in/side/?q=1"),
	    "the root leads to the prefix: %d", a.status);
	httpcli_free(&a);
	a = ask(GET("/in//side/ping/?q", ""));
	tap_ok(a.status == 301 && !strcmp(httpcli_field(&a, "location"), "/seen/ping?q"),
	    "what almost fits is redirected to what clients see: %d", a.status);
	httpcli_free(&a);
	a = ask("POST /in/side/echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na");
	tap_ok(a.status == 308 && !strcmp(httpcli_field(&a, "location"), "/seen/echo"),
	    "with its method: %d", a.status);
	httpcli_free(&a);
	a = ask("DELETE /in/side/ping HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64(a.status, 405, "another method is 405");
	httpcli_free(&a);
	a = ask("OPTIONS /in/side/api/x HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64(a.status, 204, "OPTIONS of the API");
	a = ask("OPTIONS /api/x HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64(a.status, 404, "not outside");
	httpcli_free(&a);
	stop();
	serve_prefix = serve_links = NULL;
}

static int outside(int argc, char **argv)
{
	char where[64];
	snprintf(where, sizeof where, "127.0.0.1:%s", argc > 3 ? argv[3] : "9471");
	serve(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1, where, 0);
	printf("serving on %s\n", address);
	fflush(stdout);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "serve"))
		return outside(argc, argv);
	clock_fake(1700000000000);
	serve(2, "127.0.0.1:0", 0);
	plain();
	keep_alive();
	pipelining();
	bodies();
	expect();
	streams();
	tap_ok(quiet_at_last(), "(quiet)");
	assets();
	addresses();
	long_heads();
	stop();
	under_a_prefix();
	return tap_done();
}
