/*
 * Requests of kymoctl against a server that plays answers: bases, access flags, forms, JSON, errors
 * and their exit codes, repeats, streams, signals, TLS.
 */
#include "net/ctl/ctlhttp.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "tests/lib/forked.h"
#include "tests/lib/playsrv.h"
#include "tests/lib/tap.h"
#include "tests/lib/testcert.h"
#include "tests/lib/testlib.h"

static struct playsrv srv;
static char base[64], *dir;
static unsigned fails_left, broken_left;

/* ---- the server's parts ---- */

static bool answer(struct playconn *c, const char *status, const char *fields, const char *body)
{
	char head[512];
	snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, fields,
	    strlen(body));
	return play_puts(c, head) && play_puts(c, body);
}

/* The request itself, as JSON. */
static bool play_echo(struct playconn *c)
{
	static const char *const names[] = { "authorization", "x-scope-orgid", "x-more",
		"content-type", "user-agent" };
	json_t *data = json_object(), *whole = json_object();
	json_object_set_new(data, "method", json_string(c->method));
	json_object_set_new(data, "target", json_string(c->target));
	json_object_set_new(data, "body", json_string(c->body ? c->body : ""));
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *v = play_field(c, names[i]);
		json_object_set_new(data, names[i], json_string(v ? v : ""));
	}
	json_object_set_new(whole, "data", data);
	json_object_set_new(whole, "warnings", json_pack("[s]", "mind\033[31m the gap"));
	char *text = json_dumps(whole, 0);
	bool more = answer(c, "200 OK", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", text);
	free(text);
	json_decref(whole);
	return more;
}

static bool play_stream(struct playconn *c)
{
	play_puts(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	bool breaks = strstr(c->target, "broken") != NULL, hangs = strstr(c->target, "hangs") != NULL;
	for (unsigned i = 0; i < 50; i++) {
		if (!play_puts(c, "5\r\nline\n\r\n"))
			return false;
		if (i == 20 && breaks)
			return false;
		while (i == 20 && hangs && !playsrv_get(c->s->ends))
			usleep(5000);
	}
	return play_puts(c, "0\r\n\r\n");
}

static bool play_fails(struct playconn *c)
{
	bool wait = strstr(c->target, "wait") != NULL;
	if (__atomic_load_n(&broken_left, __ATOMIC_ACQUIRE)) {
		__atomic_sub_fetch(&broken_left, 1, __ATOMIC_ACQ_REL);
		return false;
	}
	if (!__atomic_load_n(&fails_left, __ATOMIC_ACQUIRE))
		return play_echo(c);
	__atomic_sub_fetch(&fails_left, 1, __ATOMIC_ACQ_REL);
	return answer(c, wait ? "429 No" : "503 No", wait ? "Retry-After: 1\r\n" : "", "busy");
}

static bool on_request(struct playconn *c)
{
	const char *t = c->target;
	if (strstr(t, "/stream"))
		return play_stream(c);
	if (strstr(t, "/fails"))
		return play_fails(c);
	if (strstr(t, "/hang")) {
		while (!playsrv_get(c->s->ends))
			usleep(5000);
		return false;
	}
	if (strstr(t, "/bad"))
		return answer(c, "400 Bad", "",
		    "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"it is\\nwrong\"}");
	if (strstr(t, "/says"))
		return answer(c, "200 OK", "", "{\"status\":\"error\",\"error\":\"no\"}");
	if (strstr(t, "/plain"))
		return answer(c, "404 No", "", "404 page not found\nmore");
	if (strstr(t, "/html"))
		return answer(c, "200 OK", "", "<html>");
	if (strstr(t, "/page"))
		return answer(c, "404 No", "Content-Type: text/html; charset=utf-8\r\n", "<html>\n");
	if (strstr(t, "/login"))
		return answer(c, "401 No", "", "who are you?");
	if (strstr(t, "/admin"))
		return answer(
		    c, "500 No", "", "{\"status\":\"error\",\"error\":\"admin APIs disabled\"}");
	if (strstr(t, "/none"))
		return play_puts(c, "HTTP/1.1 204 No Content\r\n\r\n");
	if (strstr(t, "/moved"))
		return answer(c, "302 Found", "Location: /elsewhere\r\n", "");
	return play_echo(c);
}

/* ---- in this process ---- */

static const char *word(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));
	return text ? text : "(none)";
}

static char *file_of(const char *name, const char *text)
{
	char *path = testlib_path(dir, name);
	FILE *f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	return path;
}

static void asks(void)
{
	struct ctlhttp *http;
	json_t *j;
	struct buf form;
	char server[128];
	char *token = file_of("token", "s3cret\nmore");
	snprintf(server, sizeof(server), "%s/prom//", base);
	struct ctlhttp_access a = { .server = server, .tenant = "team-a", .token_file = token };
	TAP_OK(ctlhttp_add_header(&a, "X-More:  a b") && !ctlhttp_add_header(&a, "none") &&
	    !ctlhttp_add_header(&a, "a: b\r\nc: d"));
	if (!tap_ok(!ctlhttp_open(&a, &http), "a server with a path"))
		return;
	tap_ok(!strncmp(ctlhttp_server(http), base, strlen(base)) &&
	        !strcmp(ctlhttp_server(http) + strlen(base), "/prom"),
	    "its base: %s", ctlhttp_server(http));
	char who[256];
	snprintf(who, sizeof(who), "%s/prom tenant=team-a token-file=%s x-more=a b", base, token);
	tap_is_str(ctlhttp_who(http), who, "who asks whom, without a secret");
	buf_init(&form);
	ctlhttp_param(&form, "query", "a{b=\"c&d\"} + 1%");
	ctlhttp_param_len(&form, "match[]", "x\0y", 3);
	tap_ok(!ctlhttp_json(http, "POST", "/api/v1/query", &form, &j), "a POST");
	tap_is_str(word(j, "target"), "/prom/api/v1/query", "goes below the path");
	tap_is_str(word(j, "body"), "query=a%7Bb%3D%22c%26d%22%7D%20%2B%201%25&match[]=x%00y",
	    "with a form");
	tap_is_str(word(j, "content-type"), "application/x-www-form-urlencoded",
	    "which says that it is one");
	tap_is_str(
	    word(j, "authorization"), "Bearer s3cret", "a token is the first line of its file");
	tap_is_str(word(j, "x-scope-orgid"), "team-a", "a tenant");
	tap_is_str(word(j, "x-more"), "a b", "a header");
	TAP_OK(!strncmp(word(j, "user-agent"), "kymoctl/", 8));
	json_decref(j);
	TAP_OK(!ctlhttp_json(http, "GET", "/labels", &form, &j));
	tap_ok(strstr(word(j, "target"), "/prom/labels?query=a%7Bb") && !*word(j, "body"),
	    "a GET has it in its path: %s", word(j, "target"));
	json_decref(j);
	TAP_OK(!ctlhttp_json(http, "POST", "/none", NULL, &j) && !j);
	struct ctlhttp_call call = { .method = "GET", .path = "/x" };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_is_i64(call.date_ms, 784111777000, "the server's clock");
	ctlhttp_call_release(&call);
	buf_release(&form);
	ctlhttp_close(http);

	char *password = file_of("password", "pa:ss\n");
	a = (struct ctlhttp_access){ .server = base, .user = "me", .password_file = password };
	TAP_OK(!ctlhttp_open(&a, &http) && !ctlhttp_json(http, "GET", "/x", NULL, &j));
	tap_is_str(word(j, "authorization"), "Basic bWU6cGE6c3M=", "basic authentication");
	json_decref(j);
	ctlhttp_close(http);
	snprintf(server, sizeof(server), "http://you:word@%s", base + 7);
	a = (struct ctlhttp_access){ .server = server };
	TAP_OK(!ctlhttp_open(&a, &http) && !ctlhttp_json(http, "GET", "/x", NULL, &j));
	tap_is_str(word(j, "authorization"), "Basic eW91OndvcmQ=", "of the URL");
	tap_ok(!strcmp(ctlhttp_server(http), base), "which is not told");
	json_decref(j);
	ctlhttp_close(http);
	setenv("KYMO_SERVER", base, 1);
	a = (struct ctlhttp_access){ .timeout = "5s" };
	TAP_OK(!ctlhttp_open(&a, &http) && !ctlhttp_json(http, "GET", "/x", NULL, &j));
	json_decref(j);
	ctlhttp_close(http);
	unsetenv("KYMO_SERVER");
	free(token);
	free(password);
}

static void repeats(void)
{
	struct ctlhttp *http;
	struct ctlhttp_access a = { .server = base };
	if (ctlhttp_open(&a, &http))
		return;
	fails_left = 3;
	struct ctlhttp_call call = { .method = "POST",
		.path = "/fails",
		.body = "x",
		.body_len = 1,
		.type = "text/plain",
		.keep_trying = true };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_ok(!call.err && call.status == 200 && call.repeats == 3,
	    "503 is tried again until it goes: %u", call.repeats);
	tap_ok(strstr((char *)call.answer.data, "\"body\": \"x\"") &&
	        strstr((char *)call.answer.data, "text/plain"),
	    "with its body");
	ctlhttp_call_release(&call);
	broken_left = 3;
	call = (struct ctlhttp_call){ .method = "POST", .path = "/fails", .keep_trying = true };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_ok(!call.err && call.status == 200 && call.repeats, "so is a broken connection: %u",
	    call.repeats);
	ctlhttp_call_release(&call);
	fails_left = 1;
	uint64_t begin = clock_real_mono_ns();
	call = (struct ctlhttp_call){ .method = "POST", .path = "/fails?wait", .keep_trying = true };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_ok(!call.err && call.status == 200 && clock_real_mono_ns() - begin > 990000000,
	    "Retry-After is kept");
	ctlhttp_call_release(&call);
	fails_left = 9;
	unsigned was = playsrv_get(srv.requests);
	call = (struct ctlhttp_call){ .method = "POST", .path = "/fails" };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_ok(call.status == 503 && playsrv_get(srv.requests) == was + 1, "else once");
	ctlhttp_call_release(&call);
	fails_left = 9;
	call = (struct ctlhttp_call){ .method = "POST", .path = "/fails?wait", .keep_trying = true };
	ctlhttp_begin(http, &call);
	for (unsigned i = 0; i < 50 && !call.repeats; i++)
		ctlhttp_turn(http);
	ctlhttp_cancel(&call);
	ctlhttp_cancel(&call);
	tap_ok(call.ended && call.err == ERR_CANCELED, "what waits for its turn can be ended");
	ctlhttp_call_release(&call);
	struct ctlhttp_call never = { .method = "GET" };
	ctlhttp_cancel(&never);
	tap_ok(!never.ended, "what never began, too");
	fails_left = 0;
	ctlhttp_close(http);
}

struct got {
	struct buf all;
	unsigned pieces, ends;
};

static void on_piece(void *own, const uint8_t *data, size_t len)
{
	struct got *g = own;
	buf_add(&g->all, data, len);
	g->pieces++;
}

static void on_end(struct ctlhttp_call *call)
{
	((struct got *)call->own)->ends++;
}

static void streams(void)
{
	struct ctlhttp *http;
	struct ctlhttp_access a = { .server = base };
	if (ctlhttp_open(&a, &http))
		return;
	struct got g = { .pieces = 0 };
	struct ctlhttp_call call = {
		.method = "GET", .path = "/stream", .data = on_piece, .done = on_end, .own = &g
	};
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_ok(!call.err && g.all.len == 250 && g.ends == 1 && !call.answer.len,
	    "a stream comes in pieces: %u", g.pieces);
	ctlhttp_call_release(&call);
	buf_release(&g.all);
	unsigned was = playsrv_get(srv.requests);
	g = (struct got){ .pieces = 0 };
	call = (struct ctlhttp_call){ .method = "GET",
		.path = "/stream/broken",
		.data = on_piece,
		.done = on_end,
		.own = &g,
		.keep_trying = true };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_ok(call.err && g.all.len <= 105 && g.ends == 1 && playsrv_get(srv.requests) == was + 1,
	    "one that breaks is not begun again: %s", call.text);
	ctlhttp_call_release(&call);
	buf_release(&g.all);
	g = (struct got){ .pieces = 0 };
	call = (struct ctlhttp_call){ .method = "GET", .path = "/bad", .data = on_piece, .own = &g };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_ok(call.status == 400 && !g.pieces && call.answer.len, "an error is no piece of it");
	ctlhttp_call_release(&call);
	call = (struct ctlhttp_call){ .method = "GET", .path = "/stream", .answer_max = 100 };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	tap_ok(call.err == ERR_TOOBIG, "an answer has a limit: %s", call.text);
	ctlhttp_call_release(&call);
	struct ctlhttp_call many[40];
	g = (struct got){ .pieces = 0 };
	for (size_t i = 0; i < COUNT_OF(many); i++) {
		many[i] =
		    (struct ctlhttp_call){ .method = "GET", .path = "/x", .done = on_end, .own = &g };
		ctlhttp_begin(http, &many[i]);
	}
	for (unsigned i = 0; i < 1000 && g.ends < COUNT_OF(many); i++)
		ctlhttp_turn(http);
	unsigned fine = 0;
	for (size_t i = 0; i < COUNT_OF(many); i++) {
		fine += many[i].ended && many[i].status == 200;
		ctlhttp_call_release(&many[i]);
	}
	tap_is_u64(fine, COUNT_OF(many), "many may be under way");
	ctlhttp_close(http);
}

/* ---- what ends in words and an exit status: in a child each ---- */

struct ask {
	struct ctlhttp_access a;
	const char *path;
	unsigned signal_after_ms; /* 0 = none */
	bool streams, keep_trying;
};

static void *send_signal(void *arg)
{
	usleep(*(unsigned *)arg * 1000);
	kill(getpid(), SIGINT);
	return NULL;
}

static int ask_child(void *arg)
{
	struct ask *ask = arg;
	struct ctlhttp *http;
	struct got g = { .pieces = 0 };
	json_t *j = NULL;
	pthread_t t;
	ctl_catch();
	int status = ctlhttp_open(&ask->a, &http);
	if (status)
		return status;
	if (ask->signal_after_ms)
		pthread_create(&t, NULL, send_signal, &ask->signal_after_ms);
	uint64_t begin = clock_real_mono_ns();
	if (ask->streams || ask->keep_trying) {
		struct ctlhttp_call call = { .method = "GET",
			.path = ask->path,
			.data = ask->streams ? on_piece : NULL,
			.own = &g,
			.keep_trying = ask->keep_trying };
		ctlhttp_begin(http, &call);
		ctlhttp_wait(http, &call);
		status = ctlhttp_outcome(&call);
		ctlhttp_call_release(&call);
		buf_release(&g.all);
	} else {
		status = ctlhttp_json(http, "GET", ask->path, NULL, &j);
		if (j)
			json_dumpf(j, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		json_decref(j);
	}
	if (ask->signal_after_ms) {
		uint64_t late_ms = (clock_real_mono_ns() - begin) / 1000000 - ask->signal_after_ms;
		printf("%llu ms after the signal\n", (unsigned long long)late_ms);
		status = late_ms > 900 ? 78 : status;
		pthread_join(t, NULL);
	}
	ctlhttp_close(http);
	return status;
}

static void ends(struct ask ask, int status, const char *says)
{
	struct forked f;
	if (!ask.a.server)
		ask.a.server = base;
	if (!ask.path)
		ask.path = "/x";
	forked_run(&f, ask_child, &ask);
	tap_ok(f.status == status && strstr(f.err, says) &&
	        (!*f.err || strchr(f.err, '\n') == f.err + strlen(f.err) - 1),
	    "%s: %d \"%s\" (%d wanted; %s)", ask.path, f.status, f.err, status, f.out);
}

static void endings(void)
{
	ends((struct ask){ .path = "/x" }, CTL_OK, "warnings: mind\\x1b[31m the gap");
	ends((struct ask){ .path = "/bad" }, CTL_REFUSED, "answers 400: it is wrong");
	ends((struct ask){ .path = "/says" }, CTL_REFUSED,
	    "/says: it answers 200 with an error: no\n");
	ends((struct ask){ .path = "/plain" }, CTL_REFUSED, "answers 404: 404 page not found\n");
	ends((struct ask){ .path = "/page" }, CTL_REFUSED, "answers 404: a page for people: ");
	ends((struct ask){ .path = "/login" }, CTL_REFUSED, "401: who are you? (--token-file FILE");
	ends((struct ask){ .path = "/admin" }, CTL_REFUSED, "with --web.enable-admin-api)");
	char *below = testlib_path(base, "api/v1");
	ends((struct ask){ .path = "/plain", .a.server = below }, CTL_REFUSED, "ends before /api/v1");
	free(below);
	fails_left = 7; /* each try of a GET is two */
	ends((struct ask){ .path = "/fails", .keep_trying = true }, CTL_OK,
	    "busy; it is tried again");
	fails_left = 0;
	ends((struct ask){ .path = "/moved" }, CTL_REFUSED, "answers 302");
	ends((struct ask){ .path = "/html" }, CTL_REFUSED, "no JSON");
	ends((struct ask){ .a.server = "http://127.0.0.1:1" }, CTL_UNREACHABLE, "refused");
	ends((struct ask){ .a.server = "ftp://x" }, CTL_USAGE, "--server");
	ends((struct ask){ .a.server = "http://me:secret@x/?a" }, CTL_USAGE,
	    "kymoctl: --server: a base has no \"?\"\n");
	ends((struct ask){ .a.server = "", .a.flag = "SOURCE" }, CTL_USAGE, "SOURCE is empty");
	ends((struct ask){ .a.server = "127.0.0.1:1" }, CTL_UNREACHABLE, "connect to 127.0.0.1:1: ");
	ends((struct ask){ .a.timeout = "soon" }, CTL_USAGE, "--timeout");
	ends((struct ask){ .path = "/hang", .a.timeout = "300ms" }, CTL_UNREACHABLE, "");
	ends((struct ask){ .a.token_file = "/nowhere/token" }, CTL_LOCAL, "--token-file");
	ends((struct ask){ .a.token_file = "/dev/null" }, CTL_LOCAL, "nothing can be read");
	ends((struct ask){ .a.token_file = "/dev/zero" }, CTL_LOCAL, "--token-file");
	ends((struct ask){ .a.token_file = "x", .a.user = "y" }, CTL_USAGE, "one of them");
	ends((struct ask){ .a.password_file = "x" }, CTL_USAGE, "needs --user");
	ends((struct ask){ .a.ca = "/nowhere/ca" }, CTL_LOCAL, "/nowhere/ca");
	ends((struct ask){ .a.headers = { "Bad Name: x" }, .a.headers_count = 1 }, CTL_USAGE, "");
	char *large = testlib_repeated("", "0123456789abcdef", 5000, "\n"),
	     *path = file_of("large", large);
	ends((struct ask){ .a.token_file = path }, CTL_LOCAL, "longer than");
	mem_free(large);
	free(path);
	ends((struct ask){ .path = "/hang", .signal_after_ms = 200 }, CTL_INTERRUPTED, "interrupted");
	ends((struct ask){ .path = "/stream/hangs", .streams = true, .signal_after_ms = 200 },
	    CTL_INTERRUPTED, "interrupted");
	fails_left = 1000;
	ends((struct ask){ .path = "/fails?wait", .keep_trying = true, .signal_after_ms = 300 },
	    CTL_INTERRUPTED, "interrupted");
	fails_left = 0;
}

/* ---- TLS ---- */

struct tls_server {
	int fd;
	SSL_CTX *ctx;
	unsigned port;
	bool ends;
	pthread_t thread;
};

static void *serve_tls(void *arg)
{
	struct tls_server *s = arg;
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	while (!__atomic_load_n(&s->ends, __ATOMIC_ACQUIRE)) {
		if (poll(&p, 1, 20) <= 0)
			continue;
		int fd = accept(s->fd, NULL, NULL);
		SSL *ssl = SSL_new(s->ctx);
		SSL_set_fd(ssl, fd);
		char in[4096];
		if (SSL_accept(ssl) == 1 && SSL_read(ssl, in, sizeof(in)) > 0) {
			X509 *peer = SSL_get1_peer_certificate(ssl);
			const char *out = peer
			    ? "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"data\": \"known\"}"
			    : "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"data\": \"hi\"}";
			SSL_write(ssl, out, (int)strlen(out));
			SSL_shutdown(ssl);
			X509_free(peer);
		}
		SSL_free(ssl);
		close(fd);
	}
	return NULL;
}

static void over_tls(void)
{
	struct testcert ca =
	    testcert_make(&(struct testcert_want){ .name = "ca", .ca = true, .days = 2 }, NULL);
	struct testcert cert = testcert_make(
	    &(struct testcert_want){ .name = "srv", .sans = "IP:127.0.0.1", .days = 2 }, &ca);
	char *ca_file = testlib_path(dir, "ca.crt"), *cert_file = testlib_path(dir, "srv.crt"),
	     *key_file = testlib_path(dir, "srv.key");
	testcert_write(&ca, ca_file, NULL);
	testcert_write(&cert, cert_file, key_file);
	struct tls_server s = { .ctx = SSL_CTX_new(TLS_server_method()) };
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	SSL_CTX_use_certificate_file(s.ctx, cert_file, SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(s.ctx, key_file, SSL_FILETYPE_PEM);
	SSL_CTX_load_verify_locations(s.ctx, ca_file, NULL);
	SSL_CTX_set_verify(s.ctx, SSL_VERIFY_PEER, NULL);
	s.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(s.fd, (struct sockaddr *)&sa, len) || listen(s.fd, 16) ||
	    getsockname(s.fd, (struct sockaddr *)&sa, &len))
		exit(99);
	s.port = ntohs(sa.sin_port);
	pthread_create(&s.thread, NULL, serve_tls, &s);
	char server[64];
	snprintf(server, sizeof(server), "https://127.0.0.1:%u", s.port);
	ends((struct ask){ .a.server = server }, CTL_UNREACHABLE, "certificate");
	ends((struct ask){ .a.server = server, .a.ca = ca_file }, CTL_OK, "");
	ends((struct ask){ .a.server = server, .a.insecure = true }, CTL_OK, "");
	ends((struct ask){ .a.server = server, .a.ca = ca_file, .a.cert = cert_file }, CTL_LOCAL,
	    "key");
	struct ask known = {
		.a = { .server = server, .ca = ca_file, .cert = cert_file, .key = key_file },
		.path = "/x"
	};
	struct forked f;
	forked_run(&f, ask_child, &known);
	tap_ok(!f.status && strstr(f.out, "known"), "a certificate of ours is shown: %s%s", f.out,
	    f.err);
	__atomic_store_n(&s.ends, true, __ATOMIC_RELEASE);
	pthread_join(s.thread, NULL);
	close(s.fd);
	SSL_CTX_free(s.ctx);
	testcert_release(&ca);
	testcert_release(&cert);
	free(ca_file);
	free(cert_file);
	free(key_file);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	dir = testlib_tmpdir("ctlhttp");
	playsrv_start(&srv, false, on_request, NULL);
	snprintf(base, sizeof(base), "http://127.0.0.1:%u", srv.port);
	endings();
	over_tls();
	asks();
	repeats();
	streams();
	playsrv_stop(&srv);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
