/*
 * The HTTP client against a server that plays answers (HTTP/1.1): framing, what is malformed, ends
 * at every byte, keep-alive, limits, deadlines, retries, redirects, address rules, proxies.
 */
#include "tests/lib/fetchkit.h"
#include "tests/unit/net/playparts.h"

static struct playsrv srv, other;

static void plain(void)
{
	struct hclient *c = quick();
	struct got g = fetch(c, "GET", at(&srv, "/plain"));
	tap_ok(!g.err && g.status == 200 && g.head_status == 200 && g.version == 11 && g.tries == 1,
	    "a GET is answered: %s", g.text);
	tap_is_mem(g.body, g.len, "hello", 5, "with its body");
	tap_ok(strstr(g.fields, "x-a=b;") != NULL, "fields have lower case names and trimmed values");
	tap_ok(saw("GET /plain HTTP/1.1\r\n"), "the request line");
	char want[64];
	snprintf(want, sizeof want, "host: 127.0.0.1:%u\r\n", srv.port);
	tap_ok(saw(want) && saw("user-agent: kymo/") && saw("accept-encoding: gzip\r\n") &&
	        !saw("content-length"),
	    "with Host, User-Agent and Accept-Encoding");
	forget(&g);
	unsigned before = playsrv_get(srv.accepted);
	for (unsigned i = 0; i < 20; i++) {
		g = fetch(c, "GET", at(&srv, "/plain"));
		if (g.err)
			break;
		forget(&g);
	}
	tap_ok(!g.err && playsrv_get(srv.accepted) == before, "20 more use the same connection");
	g = fetch(c, "GET", at(&srv, "/nowhere"));
	tap_ok(!g.err && g.status == 404 && !g.len, "a status is no error");
	forget(&g);
	end(c);
}

static void bodies(void)
{
	struct hclient *c = quick();
	static const struct {
		const char *answer, *body;
	} good[] = {
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
		    "abcde" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: v\r\n\r\n",
		    "a" },
		{ "HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end" },
		{ "HTTP/1.1 200\r\nConnection: close\r\n\r\nuntil", "until" },
		{ "HTTP/1.1 204 None\r\n\r\n", "" },
		{ "HTTP/1.1 304 Same\r\nContent-Length: 10\r\n\r\n", "" },
		{ "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 "
		  "OK\r\nContent-Length: 2\r\n\r\nok",
		    "ok" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "" },
	};
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		bool fine = true;
		for (size_t step = 1; step < 2000 && fine; step = step == 1 ? 7 : 2000) {
			set_script(good[i].answer, strlen(good[i].answer), step);
			struct got g = fetch(c, "GET", at(&srv, "/script"));
			fine = !g.err && g.len == strlen(good[i].body) &&
			    !memcmp(g.len ? g.body : "", good[i].body, g.len);
			if (!fine)
				tap_note("%s: %zu bytes at a time", g.text, step);
			forget(&g);
		}
		tap_ok(fine, "read: %s", good[i].answer);
	}
	set_text("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	struct got g = fetch(c, "HEAD", at(&srv, "/script"));
	tap_ok(!g.err && g.status == 200 && !g.len, "the answer to HEAD has no body: %s", g.text);
	forget(&g);
	end(c);
}

static void malformed(void)
{
	struct hclient_opts o;
	opts_quick(&o);
	o.retries = 0;
	struct hclient *c = create(&o);
	static const struct {
		const char *answer, *why;
	} bad[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		    "both Content-Length and Transfer-Encoding" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		    "repeated Content-Length" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", "Content-Length" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", "Content-Length" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
		    "Content-Length" },
		{ "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "malformed head" },
		{ "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "malformed header field" },
		{ "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "malformed header field" },
		{ "HTTP/1.1 200 OK\r\nA: b\001\r\n\r\n", "malformed header field" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "chunked, once" },
		{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "in HTTP/1.0" },
		{ "HTTP/2.0 200 OK\r\n\r\n", "malformed head" },
		{ "HTTP/1.1 2000 OK\r\n\r\n", "malformed status line" },
		{ "HTTP/1.1 099 OK\r\n\r\n", "malformed status line" },
		{ "HTTP/1.1  200 OK\r\n\r\n", "malformed status line" },
		{ "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "101" },
		{ "ICY 200 OK\r\n\r\n", "malformed head" },
		{ "\r\nHTTP/1.1 200 OK\r\n\r\n", "malformed head" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed chunks" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\nab", "malformed chunks" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
		    "malformed chunks" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\na",
		    "malformed chunks" },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		set_text(bad[i].answer);
		struct got g = fetch(c, "GET", at(&srv, "/script"));
		tap_ok(g.err == ERR_MALFORMED && strstr(g.text, bad[i].why) &&
		        strstr(g.text, "answer of 127.0.0.1:"),
		    "refused: %s: %s", bad[i].answer, g.text);
		forget(&g);
	}
	char many[40000] = "HTTP/1.1 100 Go\r\n\r\n";
	for (unsigned i = 0; i < 40; i++)
		memcpy(many + i * 19, "HTTP/1.1 100 Go\r\n\r\n", 20);
	set_text(many);
	struct got g = fetch(c, "GET", at(&srv, "/script"));
	tap_ok(g.err == ERR_MALFORMED && strstr(g.text, "too many 1xx"), "40 times 100: %s", g.text);
	forget(&g);
	/* Bytes behind an answer: it is whole, and its connection not used again. */
	set_text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n");
	g = fetch(c, "GET", at(&srv, "/script"));
	tap_ok(!g.err && g.len == 2, "bytes behind an answer do not spoil it");
	forget(&g);
	end(c);
}

/* An answer that ends at any of its bytes is never taken for a whole one. */
static void cut(void)
{
	static const char *const whole[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n",
		"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	};
	struct hclient_opts o;
	opts_quick(&o);
	o.retries = 0;
	struct hclient *c = create(&o);
	for (size_t i = 0; i < COUNT_OF(whole); i++) {
		size_t len = strlen(whole[i]), n = 0;
		char why[1200] = "";
		for (; n < len; n++) {
			set_script(whole[i], n, 1 << 20);
			struct got g = fetch(c, "GET", at(&srv, "/script"));
			bool fine = g.err == (n ? ERR_TRUNCATED : ERR_IO) &&
			    strstr(g.text, n ? "closed before its end" : "closed before it began");
			snprintf(why, sizeof why, "%s", g.text);
			forget(&g);
			if (!fine)
				break;
		}
		tap_ok(n == len, "cut at each of %zu bytes: an error (%zu: %s)", len, n, why);
	}
	end(c);
}

static void sizes(void)
{
	struct hclient_opts o;
	opts_quick(&o);
	o.answer_max = 100000;
	o.head_max = 4096;
	o.retries = 0;
	struct hclient *c = create(&o);
	struct got g = fetch(c, "GET", at(&srv, "/big/100000"));
	tap_ok(!g.err && g.len == 100000, "a body of answer_max: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/big/100001"));
	tap_ok(g.err == ERR_TOOBIG && strstr(g.text, "larger than 100000 bytes"), "one more: %s",
	    g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/gzip/90000"));
	tap_ok(!g.err && g.len == 90000 && !g.body[0] && !g.body[89999], "gzip is unpacked: %s",
	    g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/gzip/50000000"));
	tap_ok(g.err == ERR_TOOBIG && strstr(g.text, "larger than 100000 bytes"),
	    "a bomb is counted as unpacked: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/gzip/90000,1"));
	tap_ok(g.err == ERR_TRUNCATED && strstr(g.text, "packed body ends early"),
	    "gzip without its end: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/gzip/0"));
	tap_ok(!g.err && !g.len, "gzip of nothing: %s", g.text);
	forget(&g);
	set_text("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello");
	g = fetch(c, "GET", at(&srv, "/script"));
	tap_ok(g.err == ERR_MALFORMED && strstr(g.text, "Content-Encoding"), "not gzip: %s", g.text);
	forget(&g);
	char *big = malloc(200000);
	size_t n = (size_t)snprintf(big, 200, "HTTP/1.1 200 OK\r\nA: ");
	memset(big + n, 'a', 150000);
	set_script(big, n + 150000, 1 << 20);
	g = fetch(c, "GET", at(&srv, "/script"));
	tap_ok(g.err == ERR_TOOBIG && strstr(g.text, "head is larger than 4096 bytes"),
	    "a head without end: %s", g.text);
	forget(&g);
	n = (size_t)snprintf(big, 200, "HTTP/1.1 200 OK\r\n");
	for (unsigned i = 0; i < 400; i++)
		n += (size_t)snprintf(big + n, 20, "a:\r\n");
	set_script(big, n, 1 << 20);
	g = fetch(c, "GET", at(&srv, "/script"));
	tap_ok(g.err == ERR_TOOBIG, "400 fields: %s", g.text);
	forget(&g);
	n = (size_t)snprintf(big, 200, "HTTP/1.1 200 OK\r\n");
	for (unsigned i = 0; i < 200; i++)
		n += (size_t)snprintf(big + n, 20, "a:\r\n");
	n += (size_t)snprintf(big + n, 20, "\r\n");
	set_script(big, n, 1 << 20);
	g = fetch(c, "GET", at(&srv, "/script"));
	tap_ok(g.err == ERR_TOOBIG && strstr(g.text, "fields are larger than 4096"),
	    "each field counts 32 bytes: %s", g.text);
	forget(&g);
	free(big);
	end(c);
}

static void posts_case(void)
{
	struct hclient *c = quick();
	static char big[300000];
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)('a' + i % 26);
	struct got *g = calloc(1, sizeof *g);
	*g = (struct got){ .c = c,
		.req = {
		    .method = "POST", .url = at(&srv, "/echo"), .body = big, .body_len = sizeof big } };
	begin(g);
	await(g);
	tap_ok(!g->err && g->len == sizeof big && !memcmp(g->body, big, g->len),
	    "a body of 300,000 bytes: %s", g->text);
	tap_ok(saw("content-length: 300000\r\n"), "with its length");
	forget(g);
	*g = (struct got){ .c = c, .req = { .method = "POST", .url = at(&srv, "/echo") } };
	begin(g);
	await(g);
	tap_ok(!g->err && saw("content-length: 0\r\n"), "a POST without one has length 0");
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .method = "PUT", .url = at(&srv, "/echo"), .pull_len = -1 },
		.pull = big,
		.pull_len = sizeof big,
		.pull_piece = 1000 };
	begin(g);
	await(g);
	tap_ok(!g->err && g->len == sizeof big && !memcmp(g->body, big, g->len),
	    "a body in pieces of 1,000: %s", g->text);
	tap_ok(saw("transfer-encoding: chunked\r\n"), "in chunks");
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .method = "PUT", .url = at(&srv, "/echo"), .pull_len = 5000 },
		.pull = big,
		.pull_len = 5000,
		.pull_piece = 1000 };
	begin(g);
	await(g);
	tap_ok(!g->err && g->len == 5000 && saw("content-length: 5000\r\n"),
	    "of a length that was said: %s", g->text);
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .method = "PUT", .url = at(&srv, "/echo"), .pull_len = 5001 },
		.pull = big,
		.pull_len = 5000,
		.pull_piece = 1000 };
	begin(g);
	await(g);
	tap_ok(g->err == ERR_BADDATA && strstr(g->text, "5001 bytes was said, 5000 came"),
	    "that was not true: %s", g->text);
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .method = "PUT", .url = at(&srv, "/echo"), .pull_len = -1 },
		.pull = big,
		.pull_len = 5000,
		.pull_piece = 1000,
		.pull_breaks = true };
	begin(g);
	await(g);
	tap_ok(
	    g->err == ERR_CANCELED && strstr(g->text, "broke off"), "that breaks off: %s", g->text);
	forget(g);
	free(g);
	end(c);
}

/* Answers before the body is there, and reads on, so that nothing is lost. */
static bool on_early(struct playconn *c)
{
	char piece[4096];
	if (!play_read(c, piece, 100))
		return false;
	play_puts(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
	while (play_wait(c) && recv(c->fd, piece, sizeof piece, 0) > 0)
		;
	return false;
}

static void early(void)
{
	struct playsrv s;
	static char big[8000000];
	struct hclient *c = quick();
	struct got *g = calloc(1, sizeof *g);
	playsrv_start(&s, true, on_early, NULL);
	*g = (struct got){ .c = c,
		.req = { .method = "PUT", .url = at(&s, "/"), .body = big, .body_len = sizeof big } };
	begin(g);
	await(g);
	tap_ok(!g->err && g->status == 413 && g->len == 3 && g->tries == 1,
	    "an answer that comes before all was sent: %d %s", g->status, g->text);
	tap_ok(testteam_wait(&ft, 0, no_more, &(struct quiet){ c, 0 }, PATIENCE_MS),
	    "its connection is not used again");
	forget(g);
	free(g);
	end(c);
	playsrv_stop(&s);
}

static void later(void)
{
	struct hclient *c = quick();
	struct got *g = calloc(1, sizeof *g);
	*g = (struct got){ .c = c,
		.req = { .method = "POST", .url = at(&srv, "/echo"), .pull_len = -1 },
		.pull = "abcdef",
		.pull_len = 6,
		.pull_piece = 1,
		.pull_rests = true };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, has_rested, g, PATIENCE_MS) && !g->done, "a body rests");
	testteam_run(&ft, 0, resume_here, g);
	await(g);
	tap_ok(!g->err && g->len == 6, "and goes on when it is told to: %s", g->text);
	forget(g);
	free(g);
	end(c);
}

static void retries(void)
{
	struct hclient *c = quick();
	set_fails(2);
	struct got g = fetch(c, "GET", at(&srv, "/fails"));
	tap_ok(!g.err && g.status == 200 && g.tries == 3, "two 503, then fine: %u tries", g.tries);
	forget(&g);
	set_fails(3);
	g = fetch(c, "GET", at(&srv, "/fails"));
	tap_ok(!g.err && g.status == 503 && g.tries == 3 && g.len == 2, "three are one too many");
	forget(&g);
	set_fails(1);
	g = fetch(c, "POST", at(&srv, "/fails"));
	tap_ok(!g.err && g.status == 503 && g.tries == 1, "a POST is not sent twice");
	forget(&g);
	set_fails(2);
	g = fetch(c, "GET", at(&srv, "/fails/close"));
	tap_ok(!g.err && g.status == 200, "closed without an answer, twice: %s", g.text);
	forget(&g);
	set_fails(1);
	uint64_t before = clock_real_mono_ns();
	g = fetch(c, "GET", at(&srv, "/fails/wait"));
	tap_ok(!g.err && g.status == 200 && clock_real_mono_ns() - before >= 1000000000,
	    "Retry-After: 1 is a second at least");
	forget(&g);
	set_fails(1);
	g = fetch(c, "GET", at(&srv, "/fails/long"));
	tap_ok(!g.err && g.status == 503 && g.tries == 1, "an hour is not waited for");
	forget(&g);
	set_fails(1);
	g = fetch(c, "GET", at(&srv, "/fails/far"));
	tap_ok(!g.err && g.status == 503 && g.tries == 1, "nor a date in a thousand years");
	forget(&g);
	set_fails(1);
	g = fetch(c, "GET", at(&srv, "/fails/past"));
	tap_ok(!g.err && g.status == 200 && g.tries == 2, "a date that has passed is now");
	forget(&g);
	set_fails(1);
	g = fetch(c, "GET", at(&srv, "/fails/odd"));
	tap_ok(!g.err && g.status == 200 && g.tries == 2, "what cannot be read is not said");
	forget(&g);
	set_fails(0);
	/* A POST whose connection ends without a word may have been done: it is not repeated. */
	set_fails(1);
	g = fetch(c, "POST", at(&srv, "/fails/close"));
	tap_ok(g.err == ERR_IO && g.tries == 1 && strstr(g.text, "closed before it began"),
	    "a POST without an answer: %s", g.text);
	forget(&g);
	set_fails(0);
	struct got *p = calloc(1, sizeof *p);
	*p = (struct got){ .c = c,
		.req = { .method = "POST",
		    .url = at(&srv, "/fails"),
		    .body = "x",
		    .body_len = 1,
		    .retry = HCLIENT_RETRY_ALWAYS } };
	set_fails(1);
	begin(p);
	await(p);
	tap_ok(!p->err && p->status == 200 && p->tries == 2, "unless the caller allows it");
	forget(p);
	free(p);
	/*
	 * The server closes behind each answer, without saying so. A POST comes when that is
	 * known.
	 */
	bool fine = true;
	for (unsigned i = 0; i < 50 && fine; i++) {
		if (i % 2)
			fine = testteam_wait(&ft, 0, no_more, &(struct quiet){ c, 0 }, PATIENCE_MS);
		g = fetch(c, i % 2 ? "POST" : "GET", at(&srv, "/once"));
		fine &= !g.err && g.len == 5;
		if (g.err)
			tap_note("%u: %s", i, g.text);
		forget(&g);
	}
	tap_ok(fine, "kept connections that the server closed are replaced");
	end(c);
}

static void redirects(void)
{
	struct hclient_opts o;
	char path[4096];
	opts_quick(&o);
	struct hclient *c = create(&o);
	struct got g = fetch(c, "GET", at(&srv, "/to/301,/plain"));
	tap_ok(!g.err && g.status == 301 && strstr(g.fields, "location=/plain;"),
	    "without leave a redirect is an answer");
	forget(&g);
	end(c);
	o.redirects = 3;
	c = create(&o);
	g = fetch(c, "GET", at(&srv, "/to/301,/plain"));
	tap_ok(!g.err && g.status == 200 && g.len == 5, "with leave it is followed: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/to/302,/to/307,/to/308,/plain"));
	tap_ok(!g.err && g.status == 200, "three in a row: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/to/302,/to/307,/to/308,/to/301,/plain"));
	tap_ok(g.err == ERR_ACCESS && strstr(g.text, "more than 3 redirects"), "four: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/to/302,ftp://a/b"));
	tap_ok(g.err == ERR_BADDATA && strstr(g.text, "http and https only"), "to ftp: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/to/302,http://169.254.169.254/latest/meta-data"));
	tap_ok(g.err == ERR_ACCESS && strstr(g.text, "169.254.169.254") &&
	        strstr(g.text, "link-local"),
	    "to the metadata service: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/to/302,http://[::ffff:169.254.169.254]/"));
	tap_ok(
	    g.err == ERR_ACCESS && strstr(g.text, "link-local"), "in another spelling: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/to/302,http://0xa9fea9fe/"));
	tap_ok(g.err == ERR_BADDATA && strstr(g.text, "four decimal numbers"), "as a number: %s",
	    g.text);
	forget(&g);
	struct got *p = calloc(1, sizeof *p);
	const struct hclient_field fields[] = { { .name = "Authorization", .value = "Bearer s3cret" },
		{ .name = "X-Token", .value = "t0ken", .secret = true },
		{ .name = "X-Open", .value = "o" }, { .name = "Content-Type", .value = "a/b" } };
	*p = (struct got){ .c = c,
		.req = { .method = "POST",
		    .url = at(&srv, "/to/307,/echo"),
		    .fields = fields,
		    .field_count = 4,
		    .body = "abc",
		    .body_len = 3 } };
	begin(p);
	await(p);
	tap_ok(!p->err && p->len == 3 && saw("authorization: Bearer s3cret") && saw("x-token: t0ken"),
	    "307 keeps method and body, and on one host credentials: %s", p->text);
	forget(p);
	snprintf(path, sizeof path, "/to/307,http://127.0.0.1:%u/echo", other.port);
	*p = (struct got){ .c = c,
		.req = { .method = "POST",
		    .url = at(&srv, path),
		    .fields = fields,
		    .field_count = 4,
		    .body = "abc",
		    .body_len = 3 } };
	begin(p);
	await(p);
	tap_ok(!p->err && p->len == 3 && !saw("s3cret") && !saw("t0ken") && saw("x-open: o"),
	    "another port gets no credentials: %s", p->text);
	forget(p);
	*p = (struct got){ .c = c,
		.req = { .method = "POST",
		    .url = at(&srv, "/to/303,/echo"),
		    .fields = fields,
		    .field_count = 4,
		    .body = "abc",
		    .body_len = 3 } };
	begin(p);
	await(p);
	tap_ok(!p->err && !p->len && saw("GET /echo") && !saw("content-type"),
	    "303 is a GET without a body: %s", p->text);
	forget(p);
	free(p);
	end(c);
}

/* A deadline that must pass, although something comes before it. */
#define IDLE_MS 700u

static void flow(void)
{
	struct hclient *c = quick();
	struct got *g = calloc(1, sizeof *g);
	*g = (struct got){ .c = c,
		.req = { .url = at(&srv, "/big/8000000"), .data = on_data, .idle_ms = IDLE_MS },
		.pause_after = 1 };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, is_paused, g, PATIENCE_MS), "data pauses");
	size_t before = g->len;
	usleep(2 * IDLE_MS * 1000);
	testteam_run(&ft, 0, cancel_here, &(struct got){ 0 }); /* a turn */
	tap_ok(g->len == before && !g->done, "nothing comes, and no deadline passes");
	g->req.idle_ms = PATIENCE_MS;
	testteam_run(&ft, 0, pause_here, g);
	await(g);
	tap_ok(!g->err || g->err == ERR_TIMEOUT, "it goes on: %zu bytes, %s", g->len, g->text);
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .url = at(&srv, "/gzip/3000000"), .data = on_data },
		.pause_after = 1 };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, is_paused, g, PATIENCE_MS), "packed data pauses");
	before = g->len;
	usleep(20000);
	tap_ok(before < 100000, "after a little: %zu", before);
	testteam_run(&ft, 0, pause_here, g);
	await(g);
	tap_ok(!g->err && g->len == 3000000, "and goes on: %zu %s", g->len, g->text);
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .url = at(&srv, "/big/8000000"), .data = on_data },
		.cancel_after = 100000 };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, was_cancelled, g, PATIENCE_MS), "cancelled below data()");
	tap_ok(testteam_wait(&ft, 0, no_more, &(struct quiet){ c, 1 }, PATIENCE_MS) && !g->done,
	    "done() never comes");
	forget(g);
	*g = (struct got){ .c = c, .req = { .url = at(&srv, "/plain") }, .cancel_in_head = true };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, was_cancelled, g, PATIENCE_MS), "cancelled below head()");
	forget(g);
	*g = (struct got){ .c = c, .req = { .url = at(&srv, "/hang") } };
	begin(g);
	testteam_run(&ft, 0, cancel_here, g);
	usleep(1000);
	tap_ok(!g->done, "cancelled before it began");
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .url = at(&srv, "/big/8000000"), .data = on_data },
		.free_in_data = true };
	begin(g);
	await(g);
	tap_ok(g->err == ERR_STOPPING, "the client ends below data(): %s", g->text);
	forget(g);
	free(g);
}

static void deadlines(void)
{
	struct hclient_opts o;
	opts_quick(&o);
	o.retries = 0;
	o.head_ms = SHORT_MS;
	struct hclient *c = create(&o);
	struct got g = fetch(c, "GET", at(&srv, "/hang"));
	tap_ok(g.err == ERR_TIMEOUT && strstr(g.text, "did not begin within 150 ms"), "no head: %s",
	    g.text);
	forget(&g);
	end(c);
	o.head_ms = PATIENCE_MS;
	o.idle_ms = IDLE_MS;
	c = create(&o);
	g = fetch(c, "GET", at(&srv, "/hang/body"));
	tap_ok(g.err == ERR_TIMEOUT && g.status == 200 && strstr(g.text, "nothing came for 700 ms"),
	    "a body that stops: %s", g.text);
	forget(&g);
	end(c);
	o.idle_ms = PATIENCE_MS;
	o.whole_ms = SHORT_MS;
	c = create(&o);
	g = fetch(c, "GET", at(&srv, "/hang/drip"));
	tap_ok((g.err == ERR_TIMEOUT && strstr(g.text, "within 150 ms in all")) || g.err == ERR_TOOBIG,
	    "a head that drips: %s", g.text);
	forget(&g);
	end(c);
	o.whole_ms = PATIENCE_MS;
	o.connect_ms = SHORT_MS;
	/* A listener whose queue is full takes no more. */
	int fd = socket(AF_INET, SOCK_STREAM, 0), fill[16];
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	if (bind(fd, (struct sockaddr *)&sa, len) || listen(fd, 0) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len))
		exit(99);
	for (size_t i = 0; i < COUNT_OF(fill); i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fill[i], (struct sockaddr *)&sa, len);
	}
	c = create(&o);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(sa.sin_port));
	g = fetch(c, "GET", url);
	tap_ok(g.err == ERR_TIMEOUT && strstr(g.text, "no connection within 150 ms"),
	    "nobody takes the connection: %s", g.text);
	forget(&g);
	for (size_t i = 0; i < COUNT_OF(fill); i++)
		close(fill[i]);
	close(fd);
	g = fetch(c, "GET", url);
	tap_ok(
	    g.err == ERR_IO && strstr(g.text, "refused") && strstr(g.text, "connect to 127.0.0.1:"),
	    "nobody listens: %s", g.text);
	forget(&g);
	snprintf(url, sizeof url, "http://localhost:%u/", ntohs(sa.sin_port));
	g = fetch(c, "GET", url);
	tap_ok(g.err == ERR_IO && strstr(g.text, "(localhost)") && strstr(g.text, "first of 2"),
	    "names stand beside addresses: %s", g.text);
	forget(&g);
	end(c);
}

static bool on_mute(struct playconn *c)
{
	char byte;
	while (play_wait(c) && recv(c->fd, &byte, 1, 0) > 0)
		;
	return false;
}
static bool on_shut(struct playconn *c)
{
	char hello[64];
	return play_read(c, hello, sizeof hello) && false;
}
static bool on_text(struct playconn *c)
{
	return play_puts(c, "220 not TLS at all, nor a record of it\r\n") && on_mute(c);
}

static void handshakes(void)
{
	static const struct {
		bool (*server)(struct playconn *c);
		const char *why;
		enum err err;
	} all[] = { { on_mute, "no handshake within", ERR_TIMEOUT }, { on_shut, "", ERR_IO },
		{ on_text, "wrong version number", ERR_IO } };
	struct hclient_opts o;
	opts_quick(&o);
	o.retries = 0;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		struct playsrv s;
		playsrv_start(&s, true, all[i].server, NULL);
		o.tls_ms = all[i].err == ERR_TIMEOUT ? SHORT_MS : PATIENCE_MS;
		struct hclient *c = create(&o);
		snprintf(url, sizeof url, "https://127.0.0.1:%u/", s.port);
		struct got g = fetch(c, "GET", url);
		tap_ok(g.err == all[i].err && strstr(g.text, all[i].why) &&
		        strstr(g.text, "127.0.0.1:") && !g.tries,
		    "%s", g.text);
		forget(&g);
		end(c);
		playsrv_stop(&s);
	}
}

/* The first address takes no connections, or is not there at all: the second is asked soon. */
static void families(void)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)srv.port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1, fill[16];
	bool six = fd >= 0 && !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) &&
	    !bind(fd, (struct sockaddr *)&sa, sizeof sa) && !listen(fd, 0);
	for (size_t i = 0; i < COUNT_OF(fill); i++) {
		fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fill[i], (struct sockaddr *)&sa, sizeof sa);
	}
	struct hclient *c = quick();
	snprintf(url, sizeof url, "http://localhost:%u/plain", srv.port);
	for (unsigned i = 0; i < 2; i++) {
		struct got g = fetch(c, "GET", url);
		tap_ok(!g.err && g.len == 5, "the second address, when the first %s: %s",
		    i || !six ? "refuses" : "says nothing", g.text);
		forget(&g);
		end(c);
		for (size_t k = 0; k < COUNT_OF(fill) && !i; k++)
			close(fill[k]);
		if (!i)
			close(fd);
		c = quick();
	}
	end(c);
}

static void limits_case(void)
{
	struct hclient_opts o;
	opts_quick(&o);
	o.conns_host = 2;
	struct hclient *c = create(&o);
	struct got *all = calloc(20, sizeof *all);
	char where[64];
	snprintf(where, sizeof where, "http://127.0.0.1:%u/slow", srv.port);
	__atomic_store_n(&slow_most, 0, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 20; i++) {
		all[i] = (struct got){ .c = c, .req = { .url = where } };
		begin(&all[i]);
	}
	bool fine = true;
	for (unsigned i = 0; i < 20; i++) {
		await(&all[i]);
		fine &= !all[i].err && all[i].len == 4;
		forget(&all[i]);
	}
	tap_ok(fine && playsrv_get(slow_most) <= 2, "20 fetches on 2 connections: %u at once",
	    slow_most);
	end(c);
	opts_quick(&o);
	o.conns_all = 1;
	c = create(&o);
	for (unsigned i = 0; i < 20; i++) {
		all[i] = (struct got){ .c = c,
			.req = { .url = strdup(at(i % 2 ? &srv : &other, "/plain")) } };
		begin(&all[i]);
	}
	fine = true;
	for (unsigned i = 0; i < 20; i++) {
		await(&all[i]);
		fine &= !all[i].err && all[i].len == 5;
		free((char *)(uintptr_t)all[i].req.url);
		forget(&all[i]);
	}
	tap_ok(fine, "one connection for two servers");
	end(c);
	opts_quick(&o);
	o.keep_ms = 10;
	c = create(&o);
	struct got g = fetch(c, "GET", at(&srv, "/plain"));
	tap_ok(!g.err && testteam_wait(&ft, 0, no_more, &(struct quiet){ c, 0 }, PATIENCE_MS),
	    "a connection that nobody uses is closed");
	forget(&g);
	free(all);
	end(c);
}

static void refusals(void)
{
	struct hclient_opts o;
	opts_quick(&o);
	o.rule = HCLIENT_PUBLIC;
	struct hclient *c = create(&o);
	struct got g = fetch(c, "GET", at(&srv, "/plain"));
	tap_ok(g.err == ERR_ACCESS && strstr(g.text, "loopback addresses are refused"),
	    "loopback: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", "http://localhost/");
	tap_ok(g.err == ERR_ACCESS && strstr(g.text, "(localhost)"), "by name: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", "http://10.1.2.3/");
	tap_ok(g.err == ERR_ACCESS && strstr(g.text, "private"), "private: %s", g.text);
	forget(&g);
	end(c);
	c = quick();
	static const struct {
		const char *method, *url, *why;
	} bad[] = {
		{ "GET", "http://nowhere.invalid/", "resolve nowhere.invalid: " },
		{ "GET", "ftp://a/", "http and https only" },
		{ "GET", "/x", "neither http" },
		{ "GET", "http:///x", "host is missing" },
		{ "GET", "http://a b/", "letters, digits" },
		{ "GET", "http://h:0/", "1 to 65535" },
		{ "G T", "http://h/", "method" },
		{ "CONNECT", "http://h/", "method" },
		{ "GET", "http://fe80::1/", "port" },
		{ "GET", "http://[fe80::1]/", "link-local" },
		{ "GET", "http://169.254.1.1/", "link-local" },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		g = fetch(c, bad[i].method, bad[i].url);
		tap_ok(g.err && strstr(g.text, bad[i].why), "%s %s: %s", bad[i].method, bad[i].url,
		    g.text);
		forget(&g);
	}
	static const struct hclient_field fields[] = { { .name = "Host", .value = "x" },
		{ .name = "a b", .value = "x" }, { .name = "a", .value = "x\r\nb: c" },
		{ .name = "Content-Length", .value = "1" }, { .name = "te", .value = "gzip" },
		{ .name = "", .value = "x" }, { .name = "transfer-encoding", .value = "chunked" } };
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		struct got *p = calloc(1, sizeof *p);
		*p = (struct got){ .c = c,
			.req = { .url = at(&srv, "/plain"), .fields = &fields[i], .field_count = 1 } };
		begin(p);
		await(p);
		tap_ok(p->err == ERR_BADDATA && strstr(p->text, "cannot be sent"), "field %s: %s",
		    fields[i].name, p->text);
		forget(p);
		free(p);
	}
	end(c);
}

static bool on_proxied(struct playconn *c)
{
	see(c);
	if (!strcmp(c->method, "CONNECT"))
		return play_puts(c, "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n");
	return play_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nproxied");
}

static void proxies(void)
{
	struct playsrv proxy;
	char where[200];
	playsrv_start(&proxy, false, on_proxied, NULL);
	struct hclient_opts o;
	opts_quick(&o);
	o.retries = 0;
	snprintf(where, sizeof where, "http://me:s%%40cret@127.0.0.1:%u", proxy.port);
	o.proxy = HCLIENT_PROXY_URL;
	o.proxy_url = where;
	struct hclient *c = create(&o);
	struct got g = fetch(c, "GET", "http://no.such.host.invalid:81/a?b");
	tap_ok(!g.err && g.len == 7 && saw("GET http://no.such.host.invalid:81/a?b HTTP/1.1\r\n"),
	    "a proxy is told the whole URL: %s", g.text);
	tap_ok(saw("proxy-authorization: Basic bWU6c0BjcmV0\r\n"), "with credentials");
	forget(&g);
	g = fetch(c, "GET", "https://no.such.host.invalid/");
	tap_ok(
	    g.err == ERR_ACCESS && strstr(g.text, "status 407"), "a tunnel is refused: %s", g.text);
	tap_ok(saw("CONNECT no.such.host.invalid:443 HTTP/1.1\r\n"), "it was asked for");
	forget(&g);
	g = fetch(c, "GET", "http://169.254.169.254/");
	tap_ok(g.err == ERR_ACCESS && strstr(g.text, "link-local"), "addresses are looked at: %s",
	    g.text);
	forget(&g);
	end(c);
	snprintf(where, sizeof where, "http://127.0.0.1:%u", proxy.port);
	setenv("http_proxy", where, 1);
	setenv("NO_PROXY", "Inner.example, .deep.example:8080,10.0.0.0/8", 1);
	o.proxy = HCLIENT_PROXY_ENV;
	o.connect_ms = PATIENCE_MS;
	c = create(&o);
	g = fetch(c, "GET", "http://outer.example.invalid/");
	tap_ok(!g.err && g.len == 7, "the environment names a proxy: %s", g.text);
	forget(&g);
	g = fetch(c, "GET", at(&srv, "/plain"));
	tap_ok(!g.err && g.len == 5, "not for loopback: %s", g.text);
	forget(&g);
	end(c);
	unsetenv("http_proxy");
	unsetenv("NO_PROXY");
	struct make m = { .opts = o };
	m.opts.proxy = HCLIENT_PROXY_URL;
	m.opts.proxy_url = "https://x:s3cret@p/";
	testteam_run(&ft, 0, make_here, &m);
	tap_ok(m.err == ERR_BADDATA && !strstr(m.eb.text, "s3cret"), "https to a proxy: %s",
	    m.eb.text);
	playsrv_stop(&proxy);
}

/* Many at once, one after the other, ends at any time: nothing is left. */
static void many(void)
{
	struct hclient *c = quick();
	bool fine = true;
	for (unsigned round = 0; round < 20 && fine; round++) {
		struct got *all = calloc(50, sizeof *all);
		char where[50][64];
		for (unsigned i = 0; i < 50; i++) {
			snprintf(where[i], sizeof where[i], "http://127.0.0.1:%u/%s",
			    i % 3 ? srv.port : other.port,
			    i % 7 == 6  ? "once"
			        : i % 2 ? "plain"
			                : "gzip/1000");
			all[i] = (struct got){ .c = c, .req = { .url = where[i] } };
			begin(&all[i]);
		}
		for (unsigned i = 0; i < 50; i++) {
			await(&all[i]);
			fine &= !all[i].err && all[i].len == (i % 7 == 6 || i % 2 ? 5u : 1000u);
			if (all[i].err)
				tap_note("%s", all[i].text);
			forget(&all[i]);
		}
		free(all);
	}
	tap_ok(fine, "1,000 fetches, 50 at once");
	end(c);
}

int main(void)
{
	static struct errbuf eb;
	testteam_start(&ft, 1);
	if (resolveconf_load("/dev/null", "/dev/null", &conf, &eb) ||
	    tlscli_load(&(struct tlscli_conf){ .no_verify = true }, &tls, &eb)) {
		fprintf(stderr, "%s\n", eb.text);
		return 99;
	}
	playsrv_start(&srv, false, playparts, NULL);
	playsrv_start(&other, false, playparts, NULL);
	plain();
	bodies();
	malformed();
	cut();
	sizes();
	posts_case();
	early();
	later();
	retries();
	redirects();
	flow();
	deadlines();
	handshakes();
	families();
	limits_case();
	refusals();
	proxies();
	many();
	playsrv_stop(&srv);
	playsrv_stop(&other);
	testteam_stop(&ft);
	tlscli_free(tls);
	resolveconf_free(conf);
	return tap_done();
}
