/*
 * The HTTP client over HTTP/2: against our own server (in HTTP/1.1, too), and against one that
 * plays frames: trailers, resets, GOAWAY, floods, bombs, answers that come early.
 */
#include "net/api/api.h"
#include "net/daemon/drain.h"
#include "tests/lib/fetchkit.h"
#include "tests/unit/net/httproutes.h"

static struct srv *own;

/* ---- our own server ---- */

static void serve(void)
{
	static const struct listen_conf where = { .address = "127.0.0.1:0" };
	struct srv_opts opts = { .team = ft.team,
		.listeners = &where,
		.listener_count = 1,
		.routes = { test_rows, COUNT_OF(test_rows) },
		.gate = test_gate,
		.door = test_door,
		.speak = test_speak,
		.unmatched = test_unmatched };
	struct errbuf eb;
	errbuf_init(&eb);
	limits_default(&test_limits);
	test_limits_set(&ft);
	if (srv_create(&opts, &own, &eb)) {
		fprintf(stderr, "srv_create: %s\n", eb.text);
		exit(99);
	}
	srv_serve(own);
}

static const char *here(const char *path)
{
	snprintf(url, sizeof url, "http://%s%s", srv_address(own, 0), path);
	return url;
}

static struct got fetch2(struct hclient *c, const char *method, const char *where)
{
	struct got *g = calloc(1, sizeof *g), out;
	*g = (struct got){ .c = c, .req = { .method = method, .url = where, .h2_only = true } };
	begin(g);
	await(g);
	out = *g;
	free(g);
	return out;
}

static void both_versions(void)
{
	struct hclient *c = quick();
	struct got g = fetch(c, "GET", here("/ping"));
	tap_ok(!g.err && g.version == 11 && g.len == 5, "HTTP/1.1: %s", g.text);
	forget(&g);
	g = fetch2(c, "GET", here("/ping"));
	tap_ok(!g.err && g.version == 20 && g.len == 5 && g.status == 200, "HTTP/2: %s", g.text);
	tap_ok(strstr(g.fields, "content-type=text/plain; charset=utf-8;") != NULL, "its fields");
	forget(&g);
	g = fetch2(c, "HEAD", here("/-/healthy"));
	tap_ok(!g.err && g.status == 200 && !g.len, "HEAD: %s", g.text);
	forget(&g);
	g = fetch2(c, "DELETE", here("/ping"));
	tap_ok(!g.err && g.status == 405, "a status is no error");
	forget(&g);
	size_t lens[2];
	for (unsigned i = 0; i < 2; i++) {
		g = i ? fetch2(c, "GET", here("/stream?300000"))
		      : fetch(c, "GET", here("/stream?300000"));
		lens[i] = g.len;
		tap_ok(!g.err && g.len > 1900000 && strstr(g.fields, "content-encoding=gzip") &&
		        !strcmp(g.body + g.len - 7, "299999\n"),
		    "a packed stream of %zu bytes: %s", g.len, g.text);
		forget(&g);
	}
	tap_ok(lens[0] == lens[1], "equal in both");
	end(c);
}

static void bodies(void)
{
	struct hclient *c = quick();
	static char big[1000000];
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)('a' + i % 26);
	struct got *g = calloc(1, sizeof *g);
	*g = (struct got){ .c = c,
		.req = { .method = "POST",
		    .url = here("/echo"),
		    .body = big,
		    .body_len = sizeof big,
		    .h2_only = true } };
	begin(g);
	await(g);
	tap_ok(!g->err && g->len == sizeof big && !memcmp(g->body, big, g->len),
	    "1,000,000 bytes there and back: %s", g->text);
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .method = "POST", .url = here("/echo"), .pull_len = -1, .h2_only = true },
		.pull = big,
		.pull_len = sizeof big,
		.pull_piece = 10000,
		.pull_rests = true };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, has_rested, g, PATIENCE_MS) && !g->done, "a body rests");
	testteam_run(&ft, 0, resume_here, g);
	await(g);
	tap_ok(!g->err && g->len == sizeof big && !memcmp(g->body, big, g->len),
	    "in pieces, with a rest: %s", g->text);
	forget(g);
	*g = (struct got){ .c = c,
		.req = { .method = "POST", .url = here("/echo"), .pull_len = -1, .h2_only = true },
		.pull = big,
		.pull_len = 50000,
		.pull_piece = 10000,
		.pull_breaks = true };
	begin(g);
	await(g);
	tap_ok(g->err == ERR_CANCELED, "that breaks off: %s", g->text);
	forget(g);
	free(g);
	end(c);
}

static void many(void)
{
	struct hclient *c = quick();
	struct got *all = calloc(400, sizeof *all);
	char where[64];
	bool fine = true;
	snprintf(where, sizeof where, "%s", here("/later"));
	for (unsigned i = 0; i < 400; i++) {
		all[i] = (struct got){ .c = c, .req = { .url = where, .h2_only = true } };
		begin(&all[i]);
	}
	for (unsigned i = 0; i < 400; i++) {
		await(&all[i]);
		fine &= !all[i].err && all[i].status == 200;
		if (all[i].err)
			tap_note("%s", all[i].text);
		forget(&all[i]);
	}
	tap_ok(fine, "400 at once, of which the server takes 128");
	struct quiet q = { .c = c, .conns = 1 };
	tap_ok(testteam_wait(&ft, 0, no_more, &q, PATIENCE_MS), "on one connection");
	free(all);
	end(c);
}

static bool hang_gone_now(void *arg)
{
	return seen_all().hang_gone >= *(unsigned *)arg;
}

static bool hang_begun_now(void *arg)
{
	return seen_all().hang_begun >= *(unsigned *)arg;
}

static void flow(void)
{
	struct hclient *c = quick();
	struct got *g = calloc(1, sizeof *g);
	*g = (struct got){ .c = c,
		.req = { .url = here("/big?8000000"),
		    .data = on_data,
		    .h2_only = true,
		    .keep_packed = true },
		.pause_after = 1 };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, is_paused, g, PATIENCE_MS), "data pauses");
	struct got p = fetch2(c, "GET", here("/ping"));
	tap_ok(!p.err && !g->done && g->len < 300000, "others on the connection do not: %zu", g->len);
	forget(&p);
	here("/big?8000000");
	testteam_run(&ft, 0, pause_here, g);
	await(g);
	tap_ok(!g->err && g->len == 8000000, "it goes on: %zu %s", g->len, g->text);
	forget(g);
	unsigned want = seen_all().hang_gone + 1, begun = seen_all().hang_begun + 1;
	*g = (struct got){ .c = c, .req = { .url = here("/hang"), .h2_only = true } };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, hang_begun_now, &begun, PATIENCE_MS), "a request hangs");
	testteam_run(&ft, 0, cancel_here, g);
	tap_ok(testteam_wait(&ft, 0, hang_gone_now, &want, PATIENCE_MS) && !g->done,
	    "the server learns that it was cancelled");
	p = fetch2(c, "GET", here("/ping"));
	tap_ok(!p.err, "the connection lives on: %s", p.text);
	forget(&p);
	*g = (struct got){ .c = c,
		.req = { .url = here("/big?8000000"), .data = on_data, .h2_only = true },
		.cancel_after = 100000 };
	begin(g);
	tap_ok(testteam_wait(&ft, 0, was_cancelled, g, PATIENCE_MS), "cancelled below data()");
	p = fetch2(c, "GET", here("/ping"));
	tap_ok(!p.err && !g->done, "and on: %s", p.text);
	forget(&p);
	forget(g);
	p = fetch2(c, "GET", here("/stream?100000,50000"));
	tap_ok(p.err == ERR_IO && p.h2_code == 2 && strstr(p.text, "INTERNAL_ERROR"),
	    "a stream that the server breaks off: %s", p.text);
	forget(&p);
	*g = (struct got){ .c = c,
		.req = { .url = here("/big?8000000"), .data = on_data, .h2_only = true },
		.free_in_data = true };
	begin(g);
	await(g);
	tap_ok(g->err == ERR_STOPPING, "the client ends below data(): %s", g->text);
	forget(g);
	free(g);
}

/* A conversation: each piece comes back before the next is sent. */
struct talk {
	struct got g;
	unsigned sent;
};
static enum hclient_pull talk_pull(void *own_, struct buf *out)
{
	struct talk *t = own_;
	if (t->sent == 100)
		return HCLIENT_END;
	if (t->g.len < 5 * (size_t)t->sent)
		return HCLIENT_LATER;
	buf_add(out, "piece", 5);
	t->sent++;
	return HCLIENT_MORE;
}
static void talk_data(void *own_, const uint8_t *data, size_t len)
{
	struct talk *t = own_;
	on_data(&t->g, data, len);
	hclient_resume(t->g.f);
}

static void talk(void)
{
	struct hclient *c = quick();
	struct talk *t = calloc(1, sizeof *t);
	const struct hclient_field type = { .name = "content-type", .value = "application/x-back" };
	t->g = (struct got){ .c = c,
		.req = { .method = "POST",
		    .url = here("/back"),
		    .h2_only = true,
		    .pull = talk_pull,
		    .pull_len = -1,
		    .data = talk_data,
		    .fields = &type,
		    .field_count = 1 } };
	begin(&t->g);
	await(&t->g);
	tap_ok(!t->g.err && t->g.len == 500 && t->sent == 100, "100 pieces, to and fro: %zu %s",
	    t->g.len, t->g.text);
	tap_ok(strstr(t->g.trailers, "x-seen=500;") != NULL, "and trailers: %s", t->g.trailers);
	forget(&t->g);
	free(t);
	end(c);
}

/* Fetches of all kinds: some are cancelled, the rest ends with the client, wherever they are. */
#define STORM 60u
static struct got *storm;

static void storm_done(void *own_, const struct hclient_end *e)
{
	struct got *g = own_;
	(void)e;
	CHECK(!g->done && !g->cancelled);
	g->done = true;
	g->f = NULL;
}

static void storm_cancel(void *arg)
{
	unsigned salt = *(unsigned *)arg;
	for (unsigned i = 0; i < STORM; i++) {
		struct got *g = &storm[i];
		if (!g->f || (i * 7 + salt) % 3)
			continue;
		g->cancelled = true;
		hclient_cancel(g->f);
		g->f = NULL;
	}
}

static void storm_end(void *arg)
{
	for (unsigned i = 0; i < STORM; i++)
		if (storm[i].f && i % 5 == 0)
			hclient_pause(storm[i].f, i % 2);
	hclient_free(arg);
}

static bool storm_over(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < STORM; i++)
		if (!storm[i].done && !storm[i].cancelled)
			return false;
	return true;
}

static void storms(void)
{
	static const char *const paths[] = { "/ping", "/big?3000000", "/stream?50000", "/hang",
		"/echo", "/later", "/nowhere", "/stream?100000,50000", "/asset" };
	static char text[100000], where[COUNT_OF(paths)][sizeof url];
	bool fine = true;
	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		snprintf(where[i], sizeof where[i], "%s", here(paths[i]));
	storm = calloc(STORM, sizeof *storm);
	for (unsigned round = 0; round < 40 && fine; round++) {
		struct hclient *c = quick();
		for (unsigned i = 0; i < STORM; i++) {
			size_t k = (i + round) % COUNT_OF(paths);
			struct got *g = &storm[i];
			*g = (struct got){ .c = c,
				.req = { .url = where[k],
				    .h2_only = (i + round) % 2,
				    .data = on_data,
				    .method = k == 4 ? "PUT" : "GET",
				    .pull_len = -1 } };
			if (k == 4)
				*g = (struct got){ .c = c,
					.req = g->req,
					.pull = text,
					.pull_len = sizeof text,
					.pull_piece = 777 };
			g->req.done = storm_done;
			begin(g);
		}
		usleep(round * 100);
		testteam_run(&ft, 0, storm_cancel, &round);
		usleep(round % 4 * 300);
		testteam_run(&ft, 0, storm_end, c);
		fine = testteam_wait(&ft, 0, storm_over, NULL, PATIENCE_MS);
		for (unsigned i = 0; i < STORM; i++)
			forget(&storm[i]);
	}
	tap_ok(fine, "40 storms of 60 fetches end, wherever they are");
	free(storm);
}

/* ---- a server that plays frames ---- */

static const char *act;

static void frame(struct playconn *c, unsigned type, unsigned flags, uint32_t stream,
    const void *data, size_t len)
{
	uint8_t head[9] = { (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)type,
		(uint8_t)flags, (uint8_t)(stream >> 24), (uint8_t)(stream >> 16),
		(uint8_t)(stream >> 8), (uint8_t)stream };
	bool slow = !strncmp(act, "slow", 4); /* byte by byte */
	for (size_t i = 0; i < 9; i += slow ? 1 : 9)
		play_send(c, head + i, slow ? 1 : 9);
	for (size_t i = 0; i < len; i += slow ? 1 : len)
		play_send(c, (const char *)data + i, slow ? 1 : len);
}

static void word(struct playconn *c, unsigned type, uint32_t stream, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
	frame(c, type, 0, stream, b, 4);
}

enum {
	DATA = 0,
	HEADERS = 1,
	RST = 3,
	SETTINGS = 4,
	PUSH = 5,
	PING = 6,
	GOAWAY = 7,
	END_STREAM = 1,
	END_HEADERS = 4
};
#define OK_FIELDS "\x88" /* :status: 200 */
#define TRAILER                                                                                    \
 "\x00\x0bgrpc-status\x01"                                                                         \
 "0" /* literal, not indexed */

/* Reads frames until a request's HEADERS; its stream, 0 at the end. */
static uint32_t next_request(struct playconn *c)
{
	static __thread uint8_t body[1 << 16];
	uint8_t h[9];
	while (play_read(c, h, 9)) {
		size_t len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
		if (len > sizeof body || !play_read(c, body, len))
			return 0;
		if (h[3] == SETTINGS && !(h[4] & 1))
			frame(c, SETTINGS, 1, 0, NULL, 0);
		if (h[3] == HEADERS)
			return (uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 |
			    h[8];
	}
	return 0;
}

static unsigned conns_seen;

static void answer(struct playconn *c, uint32_t s)
{
	frame(c, HEADERS, END_HEADERS, s, OK_FIELDS, 1);
	frame(c, DATA, END_STREAM, s, "fine", 4);
}

static void play_bomb(struct playconn *c, uint32_t s)
{
	/* One field of 4,000 bytes into the table, then named by one byte each. */
	static uint8_t block[8000];
	size_t n = 0;
	block[n++] = 0x88;
	block[n++] = 0x40;
	block[n++] = 1;
	block[n++] = 'a';
	block[n++] = 0x7f; /* 127 + */
	block[n++] = 0xa1;
	block[n++] = 0x1e; /* 3873 */
	memset(block + n, 'x', 4000);
	n += 4000;
	for (unsigned i = 0; i < 3000; i++)
		block[n++] = 0xbe; /* index 62 */
	frame(c, HEADERS, END_HEADERS | END_STREAM, s, block, n);
}

static void play_once(struct playconn *c, uint32_t s, unsigned conn)
{
	if (!strcmp(act, "trailers") || !strcmp(act, "slow trailers")) {
		frame(c, HEADERS, END_HEADERS, s, OK_FIELDS, 1);
		frame(c, DATA, 0, s, "hi", 2);
		frame(c, HEADERS, END_HEADERS | END_STREAM, s, TRAILER, sizeof TRAILER - 1);
	} else if (!strcmp(act, "trailers only")) {
		frame(c, HEADERS, END_HEADERS | END_STREAM, s, OK_FIELDS TRAILER, sizeof TRAILER);
	} else if (!strcmp(act, "refused")) {
		if (s == 1)
			word(c, RST, s, 7);
		else
			answer(c, s);
	} else if (!strcmp(act, "always refused")) {
		word(c, RST, s, 7);
	} else if (!strcmp(act, "goaway")) {
		if (!conn)
			frame(c, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
		else
			answer(c, s);
	} else if (!strcmp(act, "goaway calm")) {
		frame(c, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\13", 8);
	} else if (!strcmp(act, "reset")) {
		word(c, RST, s, 2);
	} else if (!strcmp(act, "bomb")) {
		play_bomb(c, s);
	} else if (!strcmp(act, "pings")) {
		for (unsigned i = 0; i < 20000; i++)
			frame(c, PING, 0, 0, "12345678", 8);
	} else if (!strcmp(act, "empty data")) {
		frame(c, HEADERS, END_HEADERS, s, OK_FIELDS, 1);
		for (unsigned i = 0; i < 20000; i++)
			frame(c, DATA, 0, s, "", 0);
	} else if (!strcmp(act, "1xx")) {
		for (unsigned i = 0; i < 100; i++)
			frame(c, HEADERS, END_HEADERS, s,
			    "\x08\x03"
			    "103",
			    5);
	} else if (!strcmp(act, "103 then fine")) {
		frame(c, HEADERS, END_HEADERS, s,
		    "\x08\x03"
		    "103\x00\x01"
		    "a\x01"
		    "b",
		    10);
		answer(c, s);
	} else if (!strcmp(act, "101")) {
		frame(c, HEADERS, END_HEADERS, s,
		    "\x08\x03"
		    "101",
		    5);
	} else if (!strcmp(act, "push")) {
		frame(c, PUSH, END_HEADERS, s, "\0\0\0\2\x82", 5);
	} else if (!strcmp(act, "no status")) {
		frame(c, HEADERS, END_HEADERS | END_STREAM, s, TRAILER, sizeof TRAILER - 1);
	} else if (!strcmp(act, "upper case")) {
		frame(c, HEADERS, END_HEADERS | END_STREAM, s,
		    OK_FIELDS "\x00\x01"
		              "A\x01"
		              "b",
		    6);
	} else if (!strcmp(act, "length")) { /* 5 said, 2 come */
		frame(c, HEADERS, END_HEADERS, s,
		    OK_FIELDS "\x0f\x0d\x01"
		              "5",
		    5);
		frame(c, DATA, END_STREAM, s, "hi", 2);
	} else if (!strcmp(act, "cut")) {
		frame(c, HEADERS, END_HEADERS, s, OK_FIELDS, 1);
		frame(c, DATA, 0, s, "hi", 2);
	} else if (!strcmp(act, "early")) {
		frame(c, HEADERS, END_HEADERS | END_STREAM, s, OK_FIELDS TRAILER, sizeof TRAILER);
	} else if (strcmp(act, "silent") != 0) {
		play_puts(c, "220 this is not HTTP/2 at all, is it?\r\n\r\n\r\n\r\n\r\n");
	}
}

static bool on_frames(struct playconn *c)
{
	char preface[24];
	unsigned conn = __atomic_fetch_add(&conns_seen, 1, __ATOMIC_ACQ_REL);
	if (!play_read(c, preface, sizeof preface))
		return false;
	if (strcmp(act, "no settings") != 0)
		frame(c, SETTINGS, 0, 0, NULL, 0);
	for (uint32_t s; (s = next_request(c));) {
		play_once(c, s, conn);
		if (!strcmp(act, "cut") || !strcmp(act, "goaway calm"))
			break;
	}
	return false;
}

static struct playsrv hostile;

static struct got play(const char *what, const char *method, bool post)
{
	struct hclient_opts o;
	struct got *g = calloc(1, sizeof *g), out;
	static char big[500000];
	opts_quick(&o);
	o.retries = 0;
	o.head_max = 8192;
	if (!strcmp(what, "silent"))
		o.head_ms = SHORT_MS;
	act = what;
	__atomic_store_n(&conns_seen, 0, __ATOMIC_RELEASE);
	struct hclient *c = create(&o);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/", hostile.port);
	*g = (struct got){ .c = c, .req = { .method = method, .url = url, .h2_only = true } };
	if (post) {
		g->req.body = big;
		g->req.body_len = sizeof big;
	}
	begin(g);
	await(g);
	end(c);
	while (playsrv_get(hostile.open)) /* before act changes */
		usleep(1000);
	out = *g;
	free(g);
	return out;
}

static void frames(void)
{
	struct got g = play("trailers", "POST", false);
	tap_ok(!g.err && g.len == 2 && !strcmp(g.trailers, "grpc-status=0;"), "trailers: %s %s",
	    g.trailers, g.text);
	forget(&g);
	g = play("slow trailers", "POST", false);
	tap_ok(!g.err && g.len == 2 && !strcmp(g.trailers, "grpc-status=0;"), "byte by byte: %s %s",
	    g.trailers, g.text);
	forget(&g);
	g = play("trailers only", "POST", false);
	tap_ok(!g.err && !g.len && strstr(g.fields, "grpc-status=0;"), "a head that is all: %s",
	    g.text);
	forget(&g);
	g = play("103 then fine", "GET", false);
	tap_ok(!g.err && g.status == 200 && g.len == 4 && !g.fields[0],
	    "103 and its fields pass: %s", g.text);
	forget(&g);
	g = play("refused", "POST", false);
	tap_ok(!g.err && g.len == 4 && g.tries == 2,
	    "REFUSED_STREAM: sent again, whatever it is: %s", g.text);
	forget(&g);
	g = play("always refused", "POST", false);
	tap_ok(g.err == ERR_IO && g.h2_code == 7 && g.tries == 4, "but not for ever: %s", g.text);
	forget(&g);
	g = play("goaway", "POST", false);
	tap_ok(!g.err && g.len == 4 && g.tries == 2, "GOAWAY before it: on another connection: %s",
	    g.text);
	forget(&g);
	g = play("goaway calm", "POST", false);
	tap_ok(g.err == ERR_IO || g.err == ERR_TIMEOUT || g.h2_code == 11,
	    "GOAWAY with a reason: %s", g.text);
	forget(&g);
	g = play("reset", "POST", false);
	tap_ok(g.err == ERR_IO && g.h2_code == 2 && g.tries == 1, "reset: %s", g.text);
	forget(&g);
	g = play("early", "POST", true);
	tap_ok(!g.err && g.status == 200, "an answer before all was sent is one: %s", g.text);
	forget(&g);
	g = play("cut", "POST", false);
	tap_ok(g.err == ERR_IO && g.tries == 1 && strstr(g.text, "connection"), "cut: %s", g.text);
	forget(&g);
	g = play("silent", "POST", false);
	tap_ok(g.err == ERR_TIMEOUT && strstr(g.text, "did not begin"), "silence: %s", g.text);
	forget(&g);
	static const struct {
		const char *act, *why;
		enum err err;
	} bad[] = {
		{ "bomb", "its fields are larger than 8192 bytes", ERR_TOOBIG },
		{ "pings", "too many frames", ERR_MALFORMED },
		{ "empty data", "too many frames", ERR_MALFORMED },
		{ "1xx", "PROTOCOL_ERROR", ERR_MALFORMED },
		{ "101", "PROTOCOL_ERROR", ERR_MALFORMED },
		{ "push", "", ERR_MALFORMED },
		{ "no status", "PROTOCOL_ERROR", ERR_MALFORMED },
		{ "upper case", "PROTOCOL_ERROR", ERR_MALFORMED },
		{ "length", "PROTOCOL_ERROR", ERR_MALFORMED },
		{ "no settings", "", ERR_MALFORMED },
		{ "smtp", "", ERR_MALFORMED },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		g = play(bad[i].act, "POST", false);
		tap_ok(g.err == bad[i].err && strstr(g.text, bad[i].why) &&
		        strstr(g.text, "127.0.0.1:"),
		    "%s: %s", bad[i].act, g.text);
		forget(&g);
	}
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
	serve();
	both_versions();
	bodies();
	many();
	talk();
	storms();
	flow();
	playsrv_start(&hostile, true, on_frames, NULL);
	frames();
	playsrv_stop(&hostile);
	srv_close_all(own);
	testteam_stop(&ft);
	srv_free(own);
	tlscli_free(tls);
	resolveconf_free(conf);
	return tap_done();
}
