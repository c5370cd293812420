/*
 * The HTTP server over loopback, HTTP/1.1: framing, refusals, deadlines (on the fake clock),
 * streams, pressure, clients that vanish.
 * "t_http serve [loops] [port]" serves the test routes for tools from outside (curl, h2load), on
 * the real clock.
 */
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <zlib.h>

#include "net/api/api.h"
#include "net/daemon/drain.h"
#include "tests/lib/httpcli.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"
#include "tests/unit/net/httproutes.h"

static struct testteam tt;
static struct srv *srv;
static const char *address;

static void serve(unsigned loops, const char *where, size_t inflight)
{
	static const char *addresses[1];
	addresses[0] = where;
	testteam_start(&tt, loops);
	struct srv_opts opts = { .team = tt.team,
		.addresses = addresses,
		.address_count = 1,
		.routes = { test_rows, COUNT_OF(test_rows) },
		.gate = test_gate,
		.door = test_door };
	limits_default(&test_limits);
	if (inflight)
		test_limits.http_inflight_bytes = inflight;
	test_limits_set(&tt);
	struct errbuf eb;
	errbuf_init(&eb);
	if (srv_create(&opts, &srv, &eb)) {
		fprintf(stderr, "srv_create: %s\n", eb.text);
		exit(99);
	}
	srv_serve(srv);
	address = srv_address(srv, 0);
}

static void stop(void)
{
	srv_close_all(srv);
	testteam_stop(&tt);
	srv_free(srv);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void advance(int64_t ms)
{
	for (unsigned i = 0; i < team_count(tt.team); i++)
		testteam_run(&tt, i, nothing, NULL);
	clock_fake_advance(ms);
	team_clock_moved(tt.team);
}

/* Waits until the server has no more than n connections. */
static bool quiet(size_t conns, size_t reqs)
{
	for (unsigned i = 0; i < 5000; i++) {
		if (srv_connections(srv) <= conns && srv_requests(srv) <= reqs)
			return true;
		usleep(1000);
	}
	return false;
}

/* One exchange on a connection of its own. */
static struct httpcli_answer ask(const char *text)
{
	int fd = httpcli_dial(address);
	httpcli_puts(fd, text);
	struct httpcli_answer a = httpcli_read(fd, !strncmp(text, "HEAD", 4), 5000);
	close(fd);
	return a;
}

#define GET(path, more) "GET " path " HTTP/1.1\r\nHost: a\r\n" more "\r\n"

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
	a = ask("DELETE /later HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64(a.status, 405, "another method is 405");
	tap_is_str(httpcli_field(&a, "allow"), "GET, POST, OPTIONS", "with Allow");
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
		struct httpcli_answer a = httpcli_read(fd, false, 5000);
		ok &= a.status == 200 && a.len == 5;
		httpcli_free(&a);
	}
	tap_ok(ok, "a connection is kept for 50 requests");
	httpcli_puts(fd, GET("/ping", "Connection: close\r\n"));
	struct httpcli_answer a = httpcli_read(fd, false, 5000);
	tap_is_str(httpcli_field(&a, "connection"), "close", "the last one says so");
	tap_ok(httpcli_closed(fd, 5000), "and it ends");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, "POST /echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
	a = httpcli_read(fd, false, 5000);
	tap_ok(a.status == 308 && !strcmp(httpcli_field(&a, "location"), "/echo"),
	    "a POST is redirected with its method (%d)", a.status);
	httpcli_free(&a);
	httpcli_puts(fd, GET("/ping", ""));
	a = httpcli_read(fd, false, 5000);
	tap_is_i64(a.status, 200, "and the connection goes on behind its body");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /ping HTTP/1.0\r\n\r\n");
	a = httpcli_read(fd, false, 5000);
	tap_ok(a.status == 200 && httpcli_closed(fd, 5000), "HTTP/1.0 closes");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	a = httpcli_read(fd, false, 5000);
	tap_is_str(httpcli_field(&a, "connection"), "keep-alive", "unless it asks");
	httpcli_free(&a);
	httpcli_puts(fd, "GET /stream?10000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	a = httpcli_read(fd, false, 5000);
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
		struct httpcli_answer a = httpcli_read(fd, false, 5000);
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
		struct httpcli_answer a = httpcli_read(fd, false, 5000);
		came += a.status == 200;
		httpcli_free(&a);
	}
	tap_is_u64(came, N, "also when the client half-closes behind them");
	tap_ok(httpcli_closed(fd, 5000), "then the connection ends");
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

/* A body of len bytes; answers of /echo must be the same. */
static struct httpcli_answer post(int fd, const char *path, const char *fields, size_t len)
{
	char head[500];
	sprintf(head, "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n", path, fields,
	    len);
	char *body = malloc(len + 1);
	for (size_t i = 0; i < len; i++)
		body[i] = (char)(i * 31 + i / 251);
	httpcli_puts(fd, head);
	httpcli_send(fd, body, len);
	struct httpcli_answer a = httpcli_read(fd, false, 5000);
	if (a.status == 200 && a.whole && a.len == len && memcmp(a.body, body, len))
		a.status = 9999;
	free(body);
	return a;
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
	a = httpcli_read(fd, false, 5000);
	tap_is_i64(a.status, 413, "a chunked body is counted as it grows");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd,
	    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n");
	a = httpcli_read(fd, false, 5000);
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
	a = httpcli_read(fd, false, 5000);
	tap_is_i64(a.status, 200, "so is the body of a GET");
	httpcli_free(&a);
	close(fd);
}

static void expect(void)
{
	int fd = httpcli_dial(address);
	httpcli_puts(fd,
	    "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	struct httpcli_answer a = httpcli_read(fd, false, 5000);
	tap_is_i64(a.status, 100, "Expect: 100-continue is answered");
	httpcli_puts(fd, "abc");
	a = httpcli_read(fd, false, 5000);
	tap_ok(a.status == 200 && a.len == 3, "then the request");
	httpcli_free(&a);
	httpcli_puts(fd,
	    "POST /proto HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	a = httpcli_read(fd, false, 5000);
	tap_is_i64(a.status, 415, "a refusal comes instead of it");
	tap_ok(httpcli_closed(fd, 5000),
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

/* The client takes nothing: the answer waits, bounded, and in the end the connection is cut. */
static void slow_reader(void)
{
	int fd = httpcli_dial(address), small = 4096;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	unsigned done = seen_all().streams_done;
	httpcli_puts(fd, GET("/stream?100000000", ""));
	usleep(1500000);
	advance(0);
	tap_is_u64(seen_all().streams_done, done, "a slow reader makes the stream wait");
	advance(59000);
	tap_is_u64(srv_connections(srv), 1, "it may rest for 59 s");
	advance(2000);
	tap_ok(quiet(0, 0), "after 60 s without progress it is cut off");
	tap_is_u64(seen_all().streams_done, done + 1, "and the stream is told");
	close(fd);
	/* Pipelining without reading is bounded, too. */
	fd = httpcli_dial(address);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	size_t sent = 0;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	static char many[64000];
	size_t unit = strlen(GET("/big?20000", "")), len = 0;
	while (len + unit < sizeof many) {
		memcpy(many + len, GET("/big?20000", ""), unit);
		len += unit;
	}
	while (poll(&p, 1, 300) > 0 && sent < (64u << 20)) {
		ssize_t n = send(fd, many, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	tap_ok(sent < (64u << 20), "a client that only asks is stopped after %zu bytes", sent);
	/*
	 * On a slow machine the server may still be writing what it had read: then it has made
	 * progress, and its minute begins again.
	 */
	bool gone = false;
	for (unsigned n = 0; n < 4 && !gone; n++) {
		advance(61000);
		gone = quiet(0, 0);
	}
	tap_ok(gone, "and cut off");
	close(fd);
}

static void deadlines(void)
{
	int idle = httpcli_dial(address), head = httpcli_dial(address),
	    body = httpcli_dial(address), fast = httpcli_dial(address), lazy = httpcli_dial(address);
	httpcli_puts(head, "GET /ping HTTP/1.1\r\nHo");
	httpcli_puts(body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
	httpcli_puts(fast, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
	httpcli_puts(lazy, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
	usleep(100000);
	tap_is_u64(srv_connections(srv), 5, "five slow clients");
	static char some[20000];
	for (unsigned s = 0; s < 6; s++) {
		advance(1000);
		httpcli_send(fast, some, 15000);
		httpcli_send(lazy, some, 2000);
		usleep(5000);
	}
	tap_ok(quiet(3, 99) && srv_connections(srv) == 3, "a body below 1 KiB/s ends after 5 s");
	tap_ok(httpcli_closed(body, 1000), "without an answer");
	tap_ok(httpcli_closed(lazy, 1000), "so does one that is slow for the size it has named");
	for (unsigned s = 0; s < 5; s++) {
		httpcli_puts(head, "x");
		advance(1000);
		httpcli_send(fast, some, 15000);
		usleep(5000);
	}
	tap_ok(httpcli_closed(head, 1000), "a head must be there after 10 s, whatever trickles in");
	for (unsigned s = 0; s < 50; s++) {
		advance(1000);
		httpcli_send(fast, some, 15000);
		usleep(2000);
	}
	tap_ok(httpcli_closed(fast, 1000), "a body must be there after 60 s");
	tap_ok(!httpcli_closed(idle, 10), "an idle connection may rest");
	advance(16000);
	tap_ok(httpcli_closed(idle, 1000), "for 75 s");
	close(idle);
	close(head);
	close(body);
	close(fast);
	close(lazy);
	tap_ok(quiet(0, 0), "nothing is left of them");
}

static void leaving(void)
{
	unsigned gone = seen_all().hang_gone, done = seen_all().hang_done;
	int fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/hang", ""));
	usleep(50000);
	shutdown(fd, SHUT_WR);
	struct httpcli_answer a = httpcli_read(fd, false, 5000);
	tap_is_i64(
	    a.status, 499, "a half-closed connection tells the handler, and still gets its answer");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/hang", ""));
	usleep(50000);
	struct linger l = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(fd);
	tap_ok(quiet(0, 0), "so does one that is reset");
	tap_ok(seen_all().hang_gone == gone + 2 && seen_all().hang_done == done + 2,
	    "on_gone and on_done run once each");
}

static void vanish(unsigned rounds)
{
	static const char *const talk[] = {
		GET("/ping", "") GET("/stream?30000", "Accept-Encoding: gzip\r\n") GET("/ping", ""),
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n0123456789012345678901234567890123456789" GET(
		    "/hang", ""),
		"POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n01234567890123456789012345678901\r\n5;x=y\r\nabcde\r\n0\r\nA: b\r\n\r\n" GET(
		    "/later", "") GET("/big?200000", ""),
		"POST /hang HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n01234567890123456789012345678901234567890123456789",
		"POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\nabc",
		"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\nabc",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};
	tap_ok(quiet(0, 0), "(quiet before)");
	unsigned fds = testlib_open_fds();
	srand(11);
	for (unsigned i = 0; i < rounds; i++) {
		const char *t = talk[(unsigned)rand() % COUNT_OF(talk)];
		size_t len = (size_t)rand() % (strlen(t) + 1);
		int fd = httpcli_dial(address);
		size_t half = len ? (size_t)rand() % (len + 1) : 0;
		httpcli_send(fd, t, half);
		if (rand() % 4 == 0)
			usleep(300);
		httpcli_send(fd, t + half, len - half);
		char some[5000];
		if (rand() % 2)
			httpcli_some(fd, some, sizeof some, rand() % 2);
		if (rand() % 2) {
			struct linger l = { .l_onoff = 1 };
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
		}
		close(fd);
	}
	tap_ok(quiet(0, 0), "%u clients that vanish leave no connection and no request", rounds);
	tap_is_i64((int64_t)metric_sum(M_INFLIGHT_BYTES), 0, "no byte in flight");
	tap_is_u64(testlib_open_fds(), fds, "and no descriptor");
	struct seen end = seen_all();
	tap_ok(end.hang_begun == end.hang_done, "all handlers have ended");
}

static int64_t in_flight(void)
{
	return (int64_t)metric_sum(M_INFLIGHT_BYTES);
}

static bool in_flight_becomes(int64_t bytes)
{
	for (unsigned i = 0; i < 3000 && in_flight() != bytes; i++)
		usleep(1000);
	return in_flight() == bytes;
}

/* A body announced and begun: so many bytes of it come. */
static int begin_body(size_t declared, size_t sent)
{
	static char some[8u << 20];
	char head[200];
	int fd = httpcli_dial(address);
	sprintf(head, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", declared);
	httpcli_puts(fd, head);
	httpcli_send(fd, some, sent);
	return fd;
}

static void pressure(void)
{
	/* Budget 20 MiB: half of it is for large bodies. */
	int first = begin_body(6u << 20, (6u << 20) - 1);
	tap_ok(
	    in_flight_becomes(6u << 20), "a body counts as it comes: %lld", (long long)in_flight());
	int second = begin_body(2u << 20, 0), third = begin_body(8u << 20, 0);
	struct httpcli_answer a = httpcli_read(third, false, 5000);
	tap_is_i64(a.status, 503, "a body over the budget is refused at once");
	int retry = atoi(httpcli_field(&a, "retry-after"));
	tap_ok(retry >= 1 && retry <= 5, "with Retry-After %d", retry);
	tap_ok(!strcmp(a.body,
	           "overloaded: too many bytes of requests in flight (--web.max-inflight-bytes)\n"),
	    "in words that name the limit");
	httpcli_free(&a);
	for (unsigned i = 0; i < 2000 && !metric_sum(M_HTTP_PARKED); i++)
		usleep(1000);
	tap_is_u64(metric_sum(M_HTTP_PARKED), 1, "one over 70 %% waits");
	char some[1000] = { 0 };
	httpcli_send(second, some, sizeof some);
	usleep(20000);
	tap_is_i64(in_flight(), 6291456, "and is not read meanwhile");
	advance(1000);
	tap_is_i64(in_flight(), 6291456, "after 1 s, too");
	advance(900);
	tap_is_i64(in_flight(), 6291456, "nor after 1.9");
	advance(200);
	tap_ok(in_flight_becomes(6291456 + 4096) || in_flight_becomes(4096),
	    "after 2 s it is read if it fits: %lld", (long long)in_flight());
	close(first);
	close(second);
	close(third);
	tap_ok(quiet(0, 0), "(quiet)");
	tap_is_i64(in_flight(), 0, "and given back when the clients leave");
}

/* What is only announced is not there: it keeps nobody out, not even from the same address. */
static void announced(void)
{
	enum {
		CROWD = 100
	};
	int fds[CROWD];
	for (unsigned i = 0; i < CROWD; i++)
		fds[i] = begin_body(1u << 20, i % 2);
	unsigned good = 0;
	for (unsigned i = 0; i < 20; i++) {
		int fd = httpcli_dial(address);
		struct httpcli_answer a = post(fd, "/drop", "", 30000);
		good += a.status == 204;
		httpcli_free(&a);
		close(fd);
	}
	tap_is_u64(good, 20, "100 MiB announced by 100 clients: good bodies come in");
	tap_ok(in_flight() <= CROWD * 4096, "and what is held is what came: %lld",
	    (long long)in_flight());
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
	tap_ok(quiet(0, 0), "(quiet)");
	tap_is_i64(in_flight(), 0, "nothing is left");
	/* The least that a body which comes slowly takes away from others. */
	for (unsigned i = 0; i < CROWD; i++)
		fds[i] = begin_body(1u << 20, 200000);
	usleep(200000);
	tap_ok(in_flight() > 8 << 20, "now much is held: %lld", (long long)in_flight());
	for (unsigned i = 0; i < 12 && in_flight() > 8 << 20; i++) {
		advance(1000);
		usleep(50000);
	}
	tap_ok(in_flight() <= 8 << 20, "bodies that do not go on make room: %lld",
	    (long long)in_flight());
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
}

/* From another address than 127.0.0.1. */
static int dial_from(const char *from)
{
	const char *colon = strrchr(address, ':');
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in own = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, from, &own.sin_addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) ||
	    connect(fd, (struct sockaddr *)&sa, sizeof sa))
		exit(99);
	return fd;
}

/* One address has everything, until another one asks. */
static void shares(void)
{
	int fds[4];
	tap_ok(quiet(0, 0) || (advance(3000), quiet(0, 0)), "(quiet)");
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		fds[i] = begin_body(1800000, 1799999);
	tap_ok(in_flight_becomes(7200000),
	    "one address has most of what large bodies may take: %lld", (long long)in_flight());
	int other = dial_from("127.0.0.9");
	httpcli_puts(other, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
	struct pollfd p = { .fd = other, .events = POLLIN };
	tap_ok(poll(&p, 1, 100) == 0, "another one that asks waits, for it has less than its share");
	int mine = begin_body(1100000, 0);
	struct httpcli_answer a = httpcli_read(mine, false, 2000);
	tap_is_i64(a.status, 503, "the first gets no more meanwhile");
	httpcli_free(&a);
	close(mine);
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		close(fds[i]);
	tap_ok(in_flight_becomes(0), "(it leaves)");
	advance(30);
	static char body[4000000];
	httpcli_send(other, body, sizeof body);
	a = httpcli_read(other, false, 3000);
	tap_is_i64(a.status, 204, "and the other one comes in");
	httpcli_free(&a);
	close(other);
	tap_ok(quiet(0, 0) && !in_flight(), "(quiet)");
}

/* Answers nobody has read: what may give a large one is refused, the rest goes on. */
static int64_t held(void)
{
	return (int64_t)metric_sum(M_ANSWER_BYTES);
}

static void unread_answers(void)
{
	int fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /big?8000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	for (unsigned i = 0; i < 5000 && held() < 8000000; i++)
		usleep(1000);
	tap_ok(held() == 8000000, "a whole answer counts until it is read: %lld", (long long)held());
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /stream?900000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
	for (unsigned i = 0;
	     i < 5000 && (held() < 2 * LIMIT_UNREAD_BYTES || held() > 4 * LIMIT_UNREAD_BYTES); i++)
		usleep(1000);
	tap_ok(held() >= 2 * LIMIT_UNREAD_BYTES && held() <= 4 * LIMIT_UNREAD_BYTES,
	    "a stream counts with its buffers: %lld", (long long)held());
	close(fd);
	tap_ok(quiet(0, 0) || (advance(3000), quiet(0, 0)), "(quiet)");
	tap_is_u64((uint64_t)held(), 0, "and nothing counts when it is over");
	limit_answers_add(9, test_limits.http_answer_bytes + 1);
	struct httpcli_answer a = ask("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
	tap_ok(a.status == 503, "too much waits: %d", a.status);
	httpcli_free(&a);
	limit_answers_sub(9, test_limits.http_answer_bytes + 1);
	a = ask("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
	tap_ok(a.status == 200, "and when it is read all is well: %d", a.status);
	httpcli_free(&a);
}

/* Answers that are small and many: what nobody reads is counted, and bounded. */
static void unread_small(void)
{
	enum {
		CROWD = 20
	};
	static char many[20000];
	size_t len = 0;
	int fds[CROWD], small = 4096;
	int64_t before = held();
	while (len + 60 < sizeof many)
		len += (size_t)sprintf(many + len, "%s", GET("/big?9000", ""));
	for (unsigned i = 0; i < CROWD; i++) {
		fds[i] = httpcli_dial(address);
		setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
		httpcli_send(fds[i], many, len);
	}
	int64_t last = -1;
	while (last != held()) {
		last = held();
		usleep(200000);
	}
	tap_ok(last - before > CROWD * 20000 && last - before < CROWD * 60000,
	    "what 20 connections do not read is counted: %lld", (long long)(last - before));
	/* One of them reads a little, now and then. */
	char some[200];
	for (unsigned i = 0; i < 3; i++) {
		advance(30000);
		httpcli_some(fds[0], some, 60, 100);
	}
	tap_ok(quiet(0, 0),
	    "a minute later who does not read is gone, and who reads 2 bytes a second");
	tap_is_i64(held(), 0, "and nothing is held");
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
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
	for (unsigned i = 0; i < 2000 && in_flight() < 300000; i++)
		usleep(1000);
	tap_ok(in_flight() >= 300000, "half a head counts: %lld", (long long)in_flight());
	httpcli_puts(fd, end);
	a = httpcli_read(fd, false, 3000);
	tap_is_i64(a.status, 200, "and is read when it is whole");
	httpcli_free(&a);
	tap_ok(in_flight_becomes(0), "and nothing is held when it is answered: %lld",
	    (long long)in_flight());
	close(fd);
	tap_ok(quiet(0, 0), "(quiet)");
}

/* Behind a running request much waits: the end of the client is seen all the same. */
static void leaving_unread(void)
{
	static char many[100000];
	unsigned gone = seen_all().hang_gone;
	int fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/hang", ""));
	memset(many, 'x', sizeof many);
	httpcli_puts(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	httpcli_send(fd, many, sizeof many);
	usleep(100000);
	close(fd);
	usleep(50000);
	for (unsigned i = 0; i < 3; i++)
		advance(1000);
	tap_ok(quiet(0, 0) || (advance(2500), quiet(0, 0)), "it leaves, and its request ends");
	tap_is_u64(seen_all().hang_gone, gone + 1, "for its handler was told");
}

/* Many clients with much to do, each in its turn: nobody waits for all of them. */
static void turns(void)
{
	enum {
		CROWD = 30,
		EACH = 40
	};
	int fds[CROWD];
	static char many[EACH * 80];
	size_t len = 0;
	for (unsigned i = 0; i < EACH; i++)
		len += (size_t)sprintf(many + len, "%s", GET("/busy?300", ""));
	unsigned before = seen_all().busy;
	for (unsigned i = 0; i < CROWD; i++) {
		fds[i] = httpcli_dial(address);
		httpcli_send(fds[i], many, len);
	}
	/* Each request takes 300 us: 360 ms of work lie before this one when turns are long. */
	unsigned done = 0;
	for (unsigned i = 0; i < 5; i++) {
		struct httpcli_answer a = ask(GET("/ping", ""));
		done += a.status == 200;
		httpcli_free(&a);
	}
	unsigned meanwhile = seen_all().busy - before;
	tap_ok(done == 5 && meanwhile < CROWD * EACH * 2 / 3,
	    "five others are served while %u of %d long requests run", meanwhile, CROWD * EACH);
	unsigned right = 0;
	for (unsigned i = 0; i < CROWD; i++) {
		for (unsigned k = 0; k < EACH; k++) {
			struct httpcli_answer a = httpcli_read(fds[i], false, 5000);
			right += a.status == 200;
			httpcli_free(&a);
		}
		close(fds[i]);
	}
	tap_is_u64(right, CROWD * EACH, "and all of those are answered, too");
	tap_ok(quiet(0, 0), "(quiet)");
}

static void crowd(void)
{
	enum {
		MORE = 1000 + 20
	};
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_max < 4096) {
		tap_skip("not enough descriptors for a crowd");
		return;
	}
	r.rlim_cur = 4096;
	setrlimit(RLIMIT_NOFILE, &r);
	serve(2, "127.0.0.1:0", 0);
	static int fds[MORE];
	for (unsigned i = 0; i < MORE; i++)
		fds[i] = httpcli_dial(address);
	usleep(300000);
	unsigned closed = 0;
	for (unsigned i = 0; i < MORE; i++)
		closed += httpcli_closed(fds[i], 0);
	tap_is_u64(closed, 20, "of 1,020 connections of one address 20 are closed at once");
	tap_is_u64(srv_connections(srv), 1000, "1,000 stay, on two loops");
	for (unsigned i = 0; i < MORE; i++)
		close(fds[i]);
	tap_ok(quiet(0, 0), "all leave");
	int fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/ping", ""));
	struct httpcli_answer a = httpcli_read(fd, false, 5000);
	tap_is_i64(a.status, 200, "and the next one is welcome");
	httpcli_free(&a);
	close(fd);
	stop();
}

/* All places are taken by one address: another one gets its share. */
static void places(void)
{
	int fds[40], others[10];
	unsigned closed = 0;
	tap_ok(quiet(0, 0), "(quiet)");
	test_limits.http_connections = COUNT_OF(fds);
	advance(0);
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		fds[i] = httpcli_dial(address);
	usleep(100000);
	int more = httpcli_dial(address);
	tap_ok(httpcli_closed(more, 2000), "there is no place for one more of an address");
	close(more);
	for (unsigned i = 0; i < COUNT_OF(others); i++) {
		others[i] = dial_from("127.0.0.7");
		httpcli_puts(others[i], GET("/ping", ""));
		struct httpcli_answer a = httpcli_read(others[i], false, 2000);
		closed += a.status != 200;
		httpcli_free(&a);
		advance(2100); /* what was told to end lingers no more */
	}
	tap_is_u64(closed, 0, "another address has its share");
	closed = 0;
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		closed += httpcli_closed(fds[i], 0);
	tap_ok(closed >= 8 && closed <= 10, "for which %u of the others have gone", closed);
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		close(fds[i]);
	for (unsigned i = 0; i < COUNT_OF(others); i++)
		close(others[i]);
	test_limits.http_connections = 10000;
	tap_ok(quiet(0, 0), "(quiet)");
}

static void draining(void)
{
	int idle = httpcli_dial(address), busy = httpcli_dial(address);
	httpcli_puts(idle, GET("/ping", ""));
	struct httpcli_answer a = httpcli_read(idle, false, 5000);
	httpcli_free(&a);
	httpcli_puts(busy, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
	usleep(50000);
	srv_stop_accepting(srv);
	srv_drain(srv);
	tap_ok(httpcli_closed(idle, 5000), "a drain closes idle connections");
	tap_is_u64(srv_connections(srv), 2, "one lingers, one is busy");
	httpcli_puts(busy, "bc");
	a = httpcli_read(busy, false, 5000);
	tap_ok(a.status == 200 && !strcmp(httpcli_field(&a, "connection"), "close"),
	    "what runs is finished, and told");
	httpcli_free(&a);
	close(idle);
	close(busy);
	tap_ok(quiet(0, 0), "then nothing is left");
}

static void *let_go_later(void *arg)
{
	usleep(200000);
	__atomic_store_n(&held_back, false, __ATOMIC_RELEASE);
	return arg;
}

/* A connection may be gone while a handler still works on its request, below it the store. */
static void draining_the_left_behind(void)
{
	struct api_opts ao = { .team = tt.team, .pool = tt.pool };
	struct linger reset = { .l_onoff = 1 };
	struct api *api;
	pthread_t other;
	if (api_create(&ao, &api))
		exit(99);
	__atomic_store_n(&held_back, true, __ATOMIC_RELEASE);
	int fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/hold", ""));
	for (unsigned i = 0; i < 5000 && !srv_requests(srv); i++)
		usleep(1000);
	usleep(20000);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
	for (unsigned i = 0; i < 5000 && srv_connections(srv); i++)
		usleep(1000);
	tap_is_u64(srv_requests(srv), 1, "a request is left behind by its connection");
	CHECK(!pthread_create(&other, NULL, let_go_later, NULL));
	drain_connections(srv, api);
	tap_is_u64(srv_requests(srv), 0, "a drain ends when requests have ended, too");
	pthread_join(other, NULL);
	tap_ok(quiet(0, 0), "(quiet)");
	api_free(api);
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
		const char *one[] = { t[i].text };
		struct srv_opts o = { .team = tt.team, .addresses = one, .address_count = 1 };
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
	struct srv_opts o = { .team = tt.team, .addresses = &address, .address_count = 1 };
	struct errbuf eb;
	errbuf_init(&eb);
	struct srv *s = NULL;
	enum err e = srv_create(&o, &s, &eb);
	tap_ok(e == ERR_EXISTS && strstr(eb.text, address) && strstr(eb.text, "in use"),
	    "a port that is served is not shared with a second server: %s", eb.text);
	if (!e)
		srv_free(s);
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

/* ---- the door ---- */

static void door_set(bool shut)
{
	__atomic_store_n(&door_shut, shut, __ATOMIC_RELEASE);
}

/* Until so many wait at the door. */
static bool door_waits(unsigned n)
{
	for (unsigned i = 0; i < 20000 && doors_all().waits != n; i++)
		usleep(1000);
	return doors_all().waits == n;
}

/* A connection that has sent text and waits at the door; nothing has come back. */
static int at_door(const char *text)
{
	unsigned before = doors_all().waits;
	char c;
	int fd = httpcli_dial(address);
	httpcli_puts(fd, text);
	tap_ok(door_waits(before + 1) && recv(fd, &c, 1, MSG_DONTWAIT) < 0, "waits at the door");
	return fd;
}

static void is_answered(int fd, int status, const char *body, const char *what)
{
	struct httpcli_answer a = httpcli_read(fd, false, 20000);
	tap_ok(a.status == status && (!body || !strcmp(a.body, body)), "%s: %d %s", what, a.status,
	    a.body ? a.body : "");
	httpcli_free(&a);
}

#define POST(path, more, len)                                                                      \
 "POST " path " HTTP/1.1\r\nHost: a\r\n" more "Content-Length: " len "\r\n\r\n"

static void door_waiting(void)
{
	unsigned asked = doors_all().asked;
	door_set(true);
	int get = at_door(GET("/ping", "X-Door: 1\r\n") GET("/label/x/values", ""));
	int post = at_door(POST("/echo", "X-Door: 1\r\n", "5") "body!" GET("/ping", ""));
	int chunked = at_door("POST /echo HTTP/1.1\r\nHost: a\r\nX-Door: 1\r\n"
	                      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	int thrice = at_door(GET("/ping", "X-Door: 3\r\n"));
	int no = at_door(POST("/echo", "X-Door: no\r\n", "5") "body!" GET("/ping", ""));
	int busy = at_door(POST("/echo", "X-Door: busy\r\n", "5") "body!" GET("/ping", ""));
	int early = at_door(POST("/proto", "X-Door: 1\r\n", "5") "body!");
	int large = at_door(POST("/small", "X-Door: 1\r\n", "5000"));
	int expects = at_door(POST("/echo", "Expect: 100-continue\r\nX-Door: 1\r\n", "3"));
	door_set(false);
	is_answered(get, 200, "pong\n", "a GET");
	is_answered(get, 200, "x|/label/x/values|", "and what came behind it");
	is_answered(post, 200, "body!", "a body that was there already");
	is_answered(post, 200, "pong\n", "and what came behind it");
	is_answered(chunked, 200, "abc", "one in chunks");
	is_answered(thrice, 200, "pong\n", "one that waits three times");
	is_answered(no, 403, "forbidden: not through this door\n", "one that is refused");
	is_answered(no, 200, "pong\n", "whose body is passed over");
	is_answered(busy, 503, "overloaded: the door stays shut\n", "one answered while it waits");
	is_answered(busy, 200, "pong\n", "whose body is passed over");
	is_answered(early, 415, NULL, "before_body comes behind the door");
	is_answered(large, 413, NULL, "so does the size");
	is_answered(expects, 100, NULL, "100 Continue comes behind the door");
	httpcli_puts(expects, "abc");
	is_answered(expects, 200, "abc", "then its body is read");
	/* Seven were asked twice, one four times, one once; four have sent another request. */
	tap_is_u64(doors_all().asked - asked, 7 * 2 + 4 + 1 + 4, "the door was asked so often");
	int all[] = { get, post, chunked, thrice, no, busy, early, large, expects };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		close(all[i]);
}

/* Of what comes meanwhile little is read. */
static void door_shuts_bodies_out(void)
{
	static char body[4u << 20];
	door_set(true);
	int fd = at_door(POST("/echo", "X-Door: 1\r\n", "4194304"));
	size_t sent = 0;
	for (unsigned idle = 0; sent < sizeof body && idle < 50;) {
		ssize_t n = send(fd, body + sent, sizeof body - sent, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		usleep(n > 0 ? 0 : 1000);
	}
	tap_ok(in_flight() <= 1 << 17, "of a body little is taken before the door: %lld",
	    (long long)in_flight());
	advance(70000); /* longer than any body may take */
	door_set(false);
	httpcli_send(fd, body + sent, sizeof body - sent);
	struct httpcli_answer a = httpcli_read(fd, false, 20000);
	tap_ok(a.status == 200 && a.len == sizeof body,
	    "its time begins when the door opens: %d, %zu", a.status, a.len);
	httpcli_free(&a);
	close(fd);
	tap_ok(quiet(0, 0), "(quiet)");
}

static void door_leaving(void)
{
	struct doors before = doors_all();
	door_set(true);
	int reset = at_door(POST("/echo", "X-Door: 1\r\n", "100") "part");
	int half = at_door(POST("/echo", "X-Door: 1\r\n", "5") "body!");
	int refused = at_door(GET("/ping", "X-Door: busy\r\n"));
	struct linger l = { .l_onoff = 1 };
	setsockopt(reset, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(reset);
	shutdown(half, SHUT_WR);
	shutdown(refused, SHUT_WR);
	for (unsigned i = 0; i < 20000 && doors_all().gone - before.gone < 3; i++) {
		advance(100);
		usleep(1000);
	}
	tap_is_u64(doors_all().gone - before.gone, 3, "who leaves while he waits is noticed");
	tap_is_u64(doors_all().waits, 0, "and waits no more");
	is_answered(half, 200, "body!", "a half-closed connection is served all the same");
	is_answered(refused, 503, NULL, "or refused");
	close(half);
	close(refused);
	tap_ok(quiet(0, 0) || (advance(3000), quiet(0, 0)), "nothing is left");
	tap_is_u64(doors_all().done - before.done, 3, "each was told its end");
	door_set(false);
}

static void door_draining(void)
{
	door_set(true);
	int fd = at_door(POST("/echo", "X-Door: 1\r\n", "5") "body!");
	srv_stop_accepting(srv);
	srv_drain(srv);
	door_set(false);
	struct httpcli_answer a = httpcli_read(fd, false, 20000);
	tap_ok(a.status == 200 && !strcmp(httpcli_field(&a, "connection"), "close"),
	    "who waits when the server drains is served, and told");
	httpcli_free(&a);
	close(fd);
	tap_ok(quiet(0, 0), "then nothing is left");
}

/* All connections end while some wait, and some have just been let in. */
static void door_ends(void)
{
	struct doors before = doors_all();
	int fds[20];
	door_set(true);
	for (unsigned i = 0; i < 20; i++)
		fds[i] = at_door(POST("/echo", "X-Door: 1\r\n", "5") "body!");
	door_set(false);
	srv_close_all(srv);
	tap_ok(quiet(0, 0), "the end of the server is the end of who waits");
	tap_is_u64(doors_all().done - before.done, 20, "each is told");
	for (unsigned i = 0; i < 20; i++)
		close(fds[i]);
}

static void door(void)
{
	serve(2, "127.0.0.1:0", 0);
	door_waiting();
	door_shuts_bodies_out();
	door_leaving();
	door_draining();
	stop();
	serve(2, "127.0.0.1:0", 0);
	door_ends();
	testteam_stop(&tt);
	srv_free(srv);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "serve"))
		return outside(argc, argv);
	clock_fake(1700000000000);
	serve(2, "127.0.0.1:0", 20u << 20); /* bodies of 2 MiB are large: they may take half */
	plain();
	keep_alive();
	pipelining();
	pressure();
	announced();
	shares();
	stop();
	serve(2, "127.0.0.1:0", 0);
	bodies();
	expect();
	streams();
	tap_ok(quiet(0, 0) || (advance(3000), quiet(0, 0)), "(quiet)");
	slow_reader();
	deadlines();
	leaving();
	vanish(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2000);
	addresses();
	unread_answers();
	unread_small();
	long_heads();
	leaving_unread();
	turns();
	places();
	draining();
	stop();
	crowd();
	serve(2, "127.0.0.1:0", 0);
	draining_the_left_behind();
	stop();
	door();
	return tap_done();
}
