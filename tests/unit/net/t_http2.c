/*
 * The HTTP server over loopback, HTTP/2 with prior knowledge: an nghttp2 client, and hand-made
 * frames where a client library would refuse to misbehave.
 */
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"
#include "tests/unit/net/h2talk.h"
#include "tests/unit/net/httproutes.h"
#include "tests/unit/net/overtls.h"

static struct testteam tt;
static struct srv *srv;
static const char *address;

static void serve(size_t inflight)
{
	const struct listen_conf listeners[] = { { .address = "127.0.0.1:0", .tls = overtls_conf() } };
	testteam_start(&tt, 2);
	struct srv_opts opts = { .team = tt.team,
		.listeners = listeners,
		.listener_count = 1,
		.routes = { test_rows, COUNT_OF(test_rows) },
		.gate = test_gate,
		.door = test_door,
		.speak = test_speak,
		.unmatched = test_unmatched };
	limits_default(&test_limits);
	if (inflight)
		test_limits.http_inflight_bytes = inflight;
	test_limits_set(&tt);
	struct errbuf eb;
	errbuf_init(&eb);
	if (srv_create(&opts, &srv, &eb))
		exit(99);
	srv_serve(srv);
	address = overtls_address(srv_address(srv, 0), "\x02h2");
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
	for (unsigned i = 0; i < 2; i++)
		testteam_run(&tt, i, nothing, NULL);
	clock_fake_advance(ms);
	team_clock_moved(tt.team);
}

static bool quiet_within(size_t conns, size_t reqs, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		if (srv_connections(srv) <= conns && srv_requests(srv) <= reqs)
			return true;
		usleep(1000);
	}
	return false;
}

static bool quiet(size_t conns, size_t reqs)
{
	return quiet_within(conns, reqs, 60000);
}

/* The same of all, where some may linger: time goes by until they do not. */
static bool quiet_at_last(void)
{
	for (unsigned i = 0; i < 200; i++) {
		if (quiet_within(0, 0, 200))
			return true;
		advance(3000);
	}
	return false;
}

static struct cli c;

/* It talks on until that is so, and then until nothing comes for a moment. */
#define TALK_UNTIL(so)                                                                             \
 for (unsigned n_ = 0; n_ < 600 && !c.over && !(so); n_++)                                         \
 cli_run(&c, STREAMS, 100)

static void plain(void)
{
	cli_open(&c, address, false);
	int32_t a = cli_ask(&c, "GET", "/ping", NULL, NULL, false);
	int32_t b = cli_ask(&c, "GET", "/nowhere", NULL, NULL, false);
	int32_t d = cli_ask(&c, "HEAD", "/-/healthy", NULL, NULL, false);
	int32_t e = cli_ask(&c, "POST", "/ping", NULL, NULL, false);
	int32_t f = cli_ask(&c, "OPTIONS", "/ping", NULL, NULL, false);
	int32_t g = cli_ask(&c, "GET", "/label/x%2Fy/values?q=1?", NULL, NULL, false);
	int32_t h = cli_ask(&c, "GET", "/stream?200000", NULL, NULL, false);
	int32_t i = cli_ask(&c, "GET", "/stream?100000,50000", NULL, NULL, false);
	int32_t j = cli_ask(&c, "GET", "/big?9000000", NULL, NULL, false);
	tap_ok(cli_run(&c, 9, 60000), "nine requests at once are answered");
	tap_is_mem(c.s[a].body, c.s[a].len, "pong\n", 5, "a body");
	tap_is_i64(c.s[b].status, 404, "404");
	tap_ok(c.s[d].status == 200 && !c.s[d].len, "HEAD");
	tap_is_i64(c.s[e].status, 405, "405");
	tap_is_i64(c.s[f].status, 204, "OPTIONS");
	tap_is_str(c.s[g].body, "x/y|/label/x/y/values|q=1?", "path, parameter, query");
	tap_ok(c.s[h].len == 1288890 && c.s[h].code == 0, "a streamed answer");
	tap_ok(c.s[i].status == 200 && c.s[i].code == NGHTTP2_INTERNAL_ERROR,
	    "one that breaks is reset");
	tap_is_u64(c.s[j].len, 9000000, "9 MB");
	cli_end(&c);
}

static void bodies(void)
{
	static char big[6000000];
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 7 + i / 255);
	cli_open(&c, address, false);
	c.send_data = big;
	c.send_len = sizeof big;
	int32_t a = cli_ask(&c, "POST", "/echo", "expect", "100-continue", true);
	tap_ok(cli_run(&c, 1, 60000) && c.s[a].status == 200, "a body without a length, in frames");
	tap_is_mem(c.s[a].body, c.s[a].len, big, sizeof big, "comes back");
	int32_t b = cli_ask(&c, "POST", "/echo", "content-length", "6000000", true);
	tap_ok(cli_run(&c, 2, 60000) && c.s[b].status == 200 && c.s[b].len == sizeof big,
	    "with a length, too");
	int32_t d = cli_ask(&c, "POST", "/small", "content-length", "6000000", true);
	TALK_UNTIL(c.s[d].status);
	tap_is_i64(c.s[d].status, 413, "over the limit by its length");
	int32_t e = cli_ask(&c, "POST", "/small", NULL, NULL, true);
	TALK_UNTIL(c.s[e].status);
	tap_is_i64(c.s[e].status, 413, "over the limit as it grows");
	tap_ok(!c.s[d].closed && !c.s[e].closed,
	    "both streams rest until the client has had time to read");
	advance(2100);
	cli_run(&c, 4, 60000);
	tap_ok(c.s[d].closed && c.s[e].closed && !c.s[e].code, "then they are closed without blame");
	int32_t g = cli_ask(&c, "POST", "/echo", NULL, NULL, true);
	tap_ok(cli_run(&c, 5, 60000) && c.s[g].len == sizeof big, "the connection goes on");
	c.send_len = 100;
	int32_t f = cli_ask(&c, "POST", "/proto", NULL, NULL, true);
	cli_run(&c, 6, 60000);
	tap_is_i64(c.s[f].status, 415, "before_body refuses");
	cli_end(&c);
}

/* DATA larger than one read: its rest goes to its place without a copy, in whatever pieces. */
static void large_frames(void)
{
	static char big[3000000];
	char declared[32];
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 13 + i / 253);
	cli_open(&c, address, false);
	cli_run(&c, 1, 100); /* SETTINGS */
	uint32_t max = nghttp2_session_get_remote_settings(c.ng, NGHTTP2_SETTINGS_MAX_FRAME_SIZE);
	tap_is_u64(max, LIMIT_H2_FRAME_BYTES, "frames of 256 KiB are welcome");
	c.send_data = big;
	static const size_t lens[] = { 65536, 100001, 262144, 262145, 1048576, 3000000 };
	unsigned asked = 0, same = 0;
	for (size_t i = 0; i < COUNT_OF(lens); i++)
		for (unsigned how = 0; how < 8; how++) {
			c.send_len = lens[i];
			c.frame = how & 1 ? max : 99991;
			c.padding = how & 2 ? 77 : 0;
			snprintf(declared, sizeof declared, "%zu", lens[i]);
			int32_t id = cli_ask(&c, "POST", "/echo", how & 4 ? "content-length" : NULL,
			    how & 4 ? declared : NULL, true);
			cli_run(&c, ++asked, 60000);
			same += c.s[id].status == 200 && c.s[id].len == lens[i] &&
			    !memcmp(c.s[id].body, big, lens[i]);
			free(c.s[id].body);
			c.s[id].body = NULL;
		}
	tap_is_u64(same, asked, "bodies of up to 3 MB come back from them, padded or not");
	c.frame = max;
	c.padding = 0;
	c.send_len = sizeof big;
	for (unsigned i = 0; i < 8; i++, asked++)
		cli_ask(&c, "POST", i % 2 ? "/echo" : "/small", NULL, NULL, true);
	cli_run(&c, asked - 4, 60000);
	advance(2100);
	tap_ok(cli_run(&c, asked, 60000), "beside bodies that are refused half way");
	for (unsigned i = 0; i < 8; i++) {
		int32_t id = (int32_t)(2 * (asked - 8 + i) + 1);
		same += i % 2 && c.s[id].len == sizeof big && !memcmp(c.s[id].body, big, sizeof big);
	}
	tap_is_u64(same, asked - 4, "the others come back");
	cli_end(&c);
}

/*
 * Who declares a large body may send 1 MiB of it before he hears from us again: a head, no byte of
 * its body, and what the server says to that.
 */
static void body_window(void)
{
	static uint8_t in[4096];
	char talk[512];
	memcpy(talk, PREFACE, 24);
	size_t n = 24 + frame(talk + 24, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	static const char head[] = "\x83\x86\x01\x01"
	                           "a\x04\x05/echo\x0f\x0d\x07"
	                           "1000000";
	n += frame(talk + n, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, head, sizeof head - 1);
	int fd = httpcli_dial(address);
	httpcli_send(fd, talk, n);
	uint32_t more = 0;
	size_t got = 0;
	for (ssize_t r; !more && (r = httpcli_some(fd, in + got, sizeof in - got, 3000)) > 0;) {
		got += (size_t)r;
		for (size_t at = 0; at + 13 <= got; at += 9 + (size_t)(in[at + 1] << 8 | in[at + 2]))
			if (in[at + 3] == NGHTTP2_WINDOW_UPDATE && in[at + 8] == 1)
				more = (uint32_t)in[at + 9] << 24 | (uint32_t)in[at + 10] << 16 |
				    (uint32_t)in[at + 11] << 8 | in[at + 12];
	}
	close(fd);
	/* its SETTINGS are not acknowledged: windows begin with the 65,535 of RFC 9113, 6.9.2 */
	tap_is_u64(65535 + more, 1000000, "its window is as large as the body");
}

static void streamed(void)
{
	static char big[600000];
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 13 + i / 251);
	unsigned done = seen_all().streams_done;
	cli_open(&c, address, false);
	c.send_data = big;
	c.send_len = sizeof big;
	const char *type = "content-type", *back = "application/x-back";
	int32_t a = cli_ask(&c, "POST", "/back", type, back, true);
	tap_ok(
	    cli_run(&c, 1, 60000) && c.s[a].status == 200, "a body in pieces comes back in pieces");
	tap_is_mem(c.s[a].body, c.s[a].len, big, sizeof big, "whole");
	tap_ok(c.s[a].trailed && !strcmp(c.s[a].seen, "600000"), "trailers follow it");
	tap_is_str(c.s[a].text, "a b", "without control characters");
	int32_t b = cli_ask(&c, "POST", "/back?slow", type, back, true);
	TALK_UNTIL(c.s[b].len >= 256u << 10);
	tap_ok(!c.s[b].closed && c.s[b].len == 256u << 10,
	    "what is not consumed shuts the window: 256 KiB came");
	int32_t d = cli_ask(&c, "POST", "/back", type, back, false);
	tap_ok(cli_run(&c, 2, 60000) && !c.s[d].len && c.s[d].trailed, "a request without a body");
	int32_t e = cli_ask(&c, "POST", "/back?trailers", type, back, false);
	tap_ok(cli_run(&c, 3, 60000) && !c.s[e].trailed && !strcmp(c.s[e].seen, "none"),
	    "trailers alone stand in the head");
	int32_t f = cli_ask(&c, "POST", "/back?cut", type, back, true);
	tap_ok(cli_run(&c, 4, 60000) && c.s[f].code == 11, "a reset has the handler's code");
	int32_t g = cli_ask(&c, "POST", "/nowhere", type, back, false);
	cli_run(&c, 5, 60000);
	tap_ok(c.s[g].status == 200 && !strcmp(c.s[g].seen, "501") && !strcmp(c.s[g].text, "unknown"),
	    "a path without a row may have a route, and refusals be spoken");
	int32_t h = cli_ask(&c, "POST", "/nowhere", type, "text/plain", false);
	tap_ok(cli_run(&c, 6, 60000) && c.s[h].status == 404, "others are 404");
	gate_shut = true;
	int32_t i = cli_ask(&c, "POST", "/back", type, back, false);
	int32_t j = cli_ask(&c, "POST", "/back", type, "text/plain", false);
	cli_run(&c, 8, 60000);
	gate_shut = false;
	tap_ok(c.s[i].status == 200 && !strcmp(c.s[i].seen, "503"), "the gate's refusal is spoken");
	tap_is_i64(c.s[j].status, 503, "or not, as the speaker likes");
	int32_t k = cli_ask(&c, "POST", "/back", "x-door", "3", true);
	tap_ok(cli_run(&c, 9, 60000) && c.s[k].status == 200 && !strcmp(c.s[k].seen, "600000"),
	    "one that waits at the door");
	tap_is_mem(c.s[k].body, c.s[k].len, big, sizeof big, "loses nothing of it");
	cli_end(&c);
	tap_ok(quiet(0, 0), "a client leaves a stream");
	tap_is_u64(seen_all().streams_done - done, 6, "each is done once");
}

static void many(void)
{
	cli_open(&c, address, false);
	cli_run(&c, 1, 100); /* SETTINGS */
	for (unsigned i = 0; i < 600; i++)
		cli_ask(&c, "GET", i % 3 ? "/later" : "/big?20000", NULL, NULL, false);
	tap_ok(cli_run(&c, 600, 60000), "600 requests, 128 streams at a time");
	unsigned good = 0;
	for (unsigned i = 0; i < 600; i++)
		good += c.s[1 + 2 * i].status == 200 && c.s[1 + 2 * i].len == (i % 3 ? 8 : 20000);
	tap_is_u64(good, 600, "all of them answered right");
	static char large[12000];
	memset(large, 'x', sizeof large - 1);
	int32_t a = cli_ask(&c, "GET", "/ping", "x-large", large, false);
	cli_run(&c, 601, 60000);
	tap_is_i64(c.s[a].status, 200, "fields of 12 KB pass");
	static char larger[61000];
	memset(larger, 'x', sizeof larger - 1);
	a = cli_ask(&c, "GET", "/ping", "x-large", larger, false);
	cli_run(&c, 602, 60000);
	tap_is_i64(c.s[a].status, 200, "so do 61 KB");
	a = cli_ask(&c, "GET", "/ping", NULL, NULL, false);
	cli_run(&c, 603, 60000);
	tap_is_i64(c.s[a].status, 200, "and harms nobody else");
	cli_end(&c);
}

/* A head of so many bytes, in frames of 16 KiB; its fields are not indexed. */
static size_t long_head(char *out, size_t bytes)
{
	static char block[3u << 20];
	size_t len = 12, n = 0;
	memcpy(block,
	    "\x82\x86\x01\x01"
	    "a\x04\x05/ping",
	    len);
	while (len < bytes) {
		memcpy(block + len, "\0\1x\x7f\xb1\x7e", 6); /* x: 16,304 bytes */
		memset(block + len + 6, 'v', 16304);
		len += 6 + 16304;
	}
	for (size_t at = 0; at < len; at += 16384) {
		size_t size = len - at < 16384 ? len - at : 16384;
		bool last = at + size == len;
		n += frame(out + n, at ? NGHTTP2_CONTINUATION : NGHTTP2_HEADERS,
		    (uint8_t)((at ? 0 : NGHTTP2_FLAG_END_STREAM) |
		        (last ? NGHTTP2_FLAG_END_HEADERS : 0)),
		    1, block + at, size);
	}
	return n;
}

/* Status of the first answer; 0 without one. HPACK: 88 is 200, 08 03 is a status in digits. */
static int first_status(const char *talk, size_t len)
{
	static uint8_t in[65536];
	int fd = httpcli_dial(address), status = 0;
	char start[64];
	memcpy(start, PREFACE, 24);
	httpcli_send(fd, start, 24 + frame(start + 24, NGHTTP2_SETTINGS, 0, 0, NULL, 0));
	httpcli_send(fd, talk, len);
	for (ssize_t r; !status && (r = httpcli_some(fd, in, sizeof in, 3000)) > 0;)
		for (size_t at = 0; at + 9 < (size_t)r && !status;
		     at += 9 + ((size_t)in[at] << 16 | (size_t)in[at + 1] << 8 | in[at + 2]))
			if (in[at + 3] == NGHTTP2_HEADERS)
				status = in[at + 9] == 0x88 ? 200 : 999;
	close(fd);
	return status;
}

static void heads(void)
{
	static char talk[3u << 20];
	tap_ok(quiet_at_last(), "(quiet)");
	size_t n = long_head(talk, 1000000);
	tap_is_i64(first_status(talk, n), 200, "a head of 1 MB in 62 frames is read");
	tap_is_i64(first_status(talk, long_head(talk, 1050000)), 999, "over 1 MiB is refused");
	n = long_head(talk, 66 * 16384);
	tap_is_i64(abuse(address, talk, n, NULL, 0, 0), NGHTTP2_ENHANCE_YOUR_CALM,
	    "66 frames are too many");
	tap_ok(quiet_at_last(), "(quiet)");
	tap_is_i64((int64_t)metric_sum(M_INFLIGHT_BYTES), 0, "nothing is left of them");
}

/* 120 streams on each of five connections announce 1 MiB each and send nothing. */
static void announced(void)
{
	static struct cli crowd[5];
	unsigned good = 0;
	for (unsigned i = 0; i < COUNT_OF(crowd); i++) {
		cli_open(&crowd[i], address, false);
		cli_run(&crowd[i], 1, 50);
		char f[200 * 60];
		size_t n = 0;
		for (uint32_t k = 0; k < 120; k++)
			n += frame(f + n, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1 + 2 * k,
			    "\x83\x86\x01\x01"
			    "a\x04\x05/drop\x0f\x0d\x07"
			    "1048576",
			    22);
		httpcli_send(crowd[i].fd, f, n);
	}
	int64_t held = 0;
	for (unsigned i = 0; i < 60000 && held != 600 * LIMIT_STREAM_BYTES; i++) {
		usleep(1000);
		held = (int64_t)metric_sum(M_INFLIGHT_BYTES);
	}
	tap_is_i64(held, 600 * LIMIT_STREAM_BYTES, "600 streams that only announce count as streams");
	static char body[500000];
	cli_open(&c, address, false);
	c.send_data = body;
	c.send_len = sizeof body;
	for (unsigned i = 0; i < 20; i++) {
		int32_t id = cli_ask(&c, "POST", "/drop", "content-length", "500000", true);
		cli_run(&c, i + 1, 60000);
		good += c.s[id].status == 204;
	}
	tap_is_u64(good, 20, "and good bodies go on");
	cli_end(&c);
	for (unsigned i = 0; i < COUNT_OF(crowd); i++)
		cli_end(&crowd[i]);
	tap_ok(quiet(0, 0), "(quiet)");
	tap_is_i64((int64_t)metric_sum(M_INFLIGHT_BYTES), 0, "all is given back");
}

/* A connection with much to do does it in turns. */
static void turns(void)
{
	static struct cli busy[2];
	unsigned before = seen_all().busy, done = 0;
	for (unsigned i = 0; i < COUNT_OF(busy); i++) {
		cli_open(&busy[i], address, false);
		cli_run(&busy[i], 1, 50);
		for (unsigned k = 0; k < 120; k++)
			cli_ask(&busy[i], "GET", "/busy?1000", NULL, NULL, false);
		cli_flush(&busy[i]);
	}
	cli_open(&c, address, false);
	for (unsigned i = 0; i < 5; i++) {
		int32_t a = cli_ask(&c, "GET", "/ping", NULL, NULL, false);
		cli_run(&c, i + 1, 60000);
		done += c.s[a].status == 200;
	}
	unsigned meanwhile = seen_all().busy - before;
	tap_ok(done == 5 && meanwhile < 160,
	    "five requests are answered while %u of 240 long ones run", meanwhile);
	cli_end(&c);
	tap_ok(cli_run(&busy[0], 120, 5000) && cli_run(&busy[1], 120, 5000),
	    "and those are all answered");
	cli_end(&busy[0]);
	cli_end(&busy[1]);
	/* It leaves with most of them not begun. */
	cli_open(&c, address, false);
	cli_run(&c, 1, 50);
	for (unsigned k = 0; k < 120; k++)
		cli_ask(&c, "GET", "/busy?1000", NULL, NULL, false);
	for (unsigned k = 0; k < 60; k++)
		nghttp2_submit_rst_stream(c.ng, 0, (int32_t)(1 + 4 * k), NGHTTP2_CANCEL);
	cli_flush(&c);
	cli_end(&c);
	tap_ok(quiet(0, 0), "one that leaves takes its requests along");
}

/* The window opens by a byte a minute: that is no reading. */
static void drop_by_drop(void)
{
	cli_open(&c, address, true);
	int32_t a = cli_ask(&c, "GET", "/stream?10000000", NULL, NULL, false);
	cli_run(&c, 99, 300);
	for (unsigned i = 0; i < 5 && !c.s[a].closed; i++) {
		nghttp2_session_consume(c.ng, a, c.s[a].len == 65535 ? 40000 : 1);
		nghttp2_submit_window_update(c.ng, 0, a, 1);
		cli_run(&c, 99, 100);
		advance(59000);
		cli_run(&c, 99, 100);
	}
	tap_ok(c.s[a].closed && c.s[a].code == NGHTTP2_CANCEL,
	    "a reader of a byte a minute is cut off");
	cli_end(&c);
	tap_ok(quiet(0, 0), "(quiet)");
}

static void slow_reader(void)
{
	tap_ok(quiet(0, 0), "(quiet)");
	unsigned done = seen_all().streams_done;
	cli_open(&c, address, true);
	int32_t a = cli_ask(&c, "GET", "/stream?10000000", NULL, NULL, false);
	TALK_UNTIL(c.s[a].len >= 65535);
	tap_is_u64(c.s[a].len, 65535, "an answer stops at the client's window");
	int32_t b = cli_ask(&c, "GET", "/-/healthy", NULL, NULL, false);
	TALK_UNTIL(c.s[b].status);
	tap_ok(c.s[b].status == 200, "other streams go on");
	advance(30000);
	nghttp2_session_consume(c.ng, a, 65535);
	TALK_UNTIL(c.s[a].len > 65535);
	tap_ok(c.s[a].len > 65535 && c.s[a].len <= 2 * 65535, "an opened window lets more through");
	advance(40000);
	cli_run(&c, 99, 100);
	tap_ok(!c.s[a].closed, "which is progress");
	advance(61000);
	cli_run(&c, c.closed + 1, 60000);
	tap_ok(c.s[a].closed && c.s[a].code == NGHTTP2_CANCEL, "60 s without any end the stream");
	quiet(1, 1);
	tap_is_u64(seen_all().streams_done, done + 1, "and its handler is told");
	cli_end(&c);
}

static void leaving(void)
{
	tap_ok(quiet(0, 0), "(quiet)");
	struct seen before = seen_all();
	cli_open(&c, address, false);
	int32_t a = cli_ask(&c, "GET", "/hang", NULL, NULL, false);
	TALK_UNTIL(srv_requests(srv));
	nghttp2_submit_rst_stream(c.ng, 0, a, NGHTTP2_CANCEL);
	int32_t b = cli_ask(&c, "GET", "/ping", NULL, NULL, false);
	cli_run(&c, 2, 60000);
	tap_is_i64(c.s[b].status, 200, "a reset stream does not end the connection");
	quiet(1, 0);
	tap_ok(seen_all().hang_gone == before.hang_gone + 1 &&
	        seen_all().hang_done == before.hang_done + 1,
	    "its handler is told");
	for (unsigned i = 0; i < 50; i++)
		cli_ask(&c, "GET", "/hang", NULL, NULL, false);
	TALK_UNTIL(srv_requests(srv) >= 50);
	cli_end(&c);
	tap_ok(quiet(0, 0), "a connection with 50 running requests leaves nothing");
	tap_is_u64(seen_all().hang_gone, before.hang_gone + 51, "all handlers are told");
}

static void deadlines(void)
{
	int fd = httpcli_dial(address);
	char b[200];
	memcpy(b, PREFACE, 24);
	size_t n = 24 + frame(b + 24, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	n += frame(b + n, NGHTTP2_HEADERS, 0, 1, "\x82\x84", 2);
	httpcli_send(fd, b, n);
	cli_open(&c, address, false);
	c.send_len = 1;
	c.send_data = "x";
	cli_run(&c, 1, 100);
	advance(11000);
	for (ssize_t r = 1; r > 0;)
		r = httpcli_some(fd, b, sizeof b, 300);
	tap_ok(httpcli_closed(fd, 100), "an unfinished head ends the connection after 10 s");
	close(fd);
	advance(65000);
	TALK_UNTIL(c.goaway);
	tap_ok(c.goaway && c.goaway_code == NGHTTP2_NO_ERROR,
	    "an idle connection gets GOAWAY after 75 s");
	cli_end(&c);
	/* A body that never comes. */
	cli_open(&c, address, false);
	n = frame(b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
	    "\x83\x86\x01\x01"
	    "a\x04\x05/echo",
	    12);
	cli_run(&c, 1, 100);
	httpcli_send(c.fd, b, n);
	usleep(50000);
	for (unsigned i = 0; i < 7; i++)
		advance(1000);
	uint8_t in[500];
	size_t len = 0;
	ssize_t r;
	while (len < sizeof in && (r = httpcli_some(c.fd, in + len, sizeof in - len, 300)) > 0)
		len += (size_t)r;
	tap_ok(len >= 13 && in[len - 13 + 3] == NGHTTP2_RST_STREAM && in[len - 1] == NGHTTP2_CANCEL,
	    "a body below the least rate ends its stream");
	cli_end(&c);
	advance(3000);
	tap_ok(quiet(0, 0), "nothing is left");
}

static void misdeeds(void)
{
	char f[3000];
	size_t n = frame(f, NGHTTP2_PING, 0, 0, "12345678", 8);
	tap_is_i64(borne(address, NULL, 0, f, n, 900), -1, "900 PING are borne");
	tap_is_i64(abuse(address, NULL, 0, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM, "1,200 are not");
	n = frame(f, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	tap_is_i64(abuse(address, NULL, 0, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM, "nor SETTINGS");
	n = frame(f, NGHTTP2_PRIORITY, 0, 3, "\0\0\0\1\0", 5);
	tap_is_i64(abuse(address, NULL, 0, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM, "nor PRIORITY");
	n = frame(f, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
	tap_is_i64(
	    abuse(address, NULL, 0, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM, "nor WINDOW_UPDATE");
	n = frame(f, 0x55, 0, 0, "x", 1);
	tap_is_i64(abuse(address, NULL, 0, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM,
	    "nor frames of unknown type");
	char first[200];
	size_t m = frame(first, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
	    "\x83\x86\x01\x01"
	    "a\x04\x05/echo",
	    12);
	n = frame(f, NGHTTP2_DATA, 0, 1, NULL, 0);
	tap_is_i64(abuse(address, first, m, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM, "nor empty DATA");
	m = frame(first, NGHTTP2_HEADERS, 0, 1, "\x82", 1);
	n = frame(f, NGHTTP2_CONTINUATION, 0, 1, "", 0);
	int64_t code = abuse(address, first, m, f, n, 80);
	tap_ok(code == NGHTTP2_ENHANCE_YOUR_CALM || code > 0, "nor CONTINUATION without end (%lld)",
	    (long long)code);
	/* Rapid reset: each request is reset at once. */
	static char rapid[300 * 50];
	size_t len = 0;
	for (uint32_t i = 0; i < 300; i++) {
		len += frame(rapid + len, NGHTTP2_HEADERS,
		    NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1 + 2 * i,
		    "\x82\x86\x01\x01"
		    "a\x04\x05/hang",
		    12);
		len += frame(rapid + len, NGHTTP2_RST_STREAM, 0, 1 + 2 * i, "\0\0\0\x08", 4);
	}
	tap_is_i64(abuse(address, rapid, len, NULL, 0, 0), NGHTTP2_ENHANCE_YOUR_CALM,
	    "nor 300 resets in a row");
	/* An indexed field of 3,000 bytes, referred to many times. */
	static char bomb[12000];
	size_t at = 0;
	memcpy(bomb,
	    "\x82\x86\x01\x01"
	    "a\x04\x05/ping\x40\x01x\x7f\xb9\x16",
	    18);
	at = 18;
	memset(bomb + at, 'v', 3000);
	at += 3000;
	memset(bomb + at, 0xbe, 8000);
	at += 8000;
	static char bomb_frame[12100];
	n = frame(bomb_frame, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
	    1, bomb, at);
	code = abuse(address, bomb_frame, n, NULL, 0, 0);
	tap_ok(code == NGHTTP2_ENHANCE_YOUR_CALM, "nor a head that unpacks to 24 MB (%lld)",
	    (long long)code);
	tap_ok(abuse(address, "\0\0\x05\x06\0\0\0\0\0xxxxx", 14, NULL, 0, 0) > 0,
	    "a malformed frame is a connection error");
	advance(3000);
	tap_ok(quiet(0, 0), "nothing is left of them");
}

#define END_BOTH (NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM)

/* A request in one frame; its path is "/ping" or "/echo", of five bytes. */
static size_t request(char *out, uint8_t flags, uint32_t id, const char *path)
{
	char block[12] = "\x82\x86\x01\x01"
	                 "a\x04\x05";
	block[0] = flags & NGHTTP2_FLAG_END_STREAM ? '\x82' : '\x83';
	memcpy(block + 7, path, 5);
	return frame(out, NGHTTP2_HEADERS, flags, id, block, 12);
}

/* nghttp2 passes over all of these without a word. */
static void silent_frames(void)
{
	char open[200], closed[400], f[100];
	size_t m = request(open, NGHTTP2_FLAG_END_HEADERS, 1, "/echo"), n;
	/* A head without a path: we reset the stream, so what comes for it may have crossed
	 * that. */
	size_t k = frame(closed, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\x83\x86", 2);
	n = frame(f, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\x03\0\0\0", 4);
	tap_is_i64(abuse(address, open, m, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM,
	    "DATA that is all padding");
	n = frame(f, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "", 1);
	tap_is_i64(abuse(address, open, m, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM,
	    "with a padding of none");
	static const struct {
		const char *what;
		uint8_t type, flags;
		const char *payload;
		size_t len;
	} on_closed[] = {
		{ "DATA", NGHTTP2_DATA, 0, "x", 1 },
		{ "the end of DATA", NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, "", 0 },
		{ "WINDOW_UPDATE", NGHTTP2_WINDOW_UPDATE, 0, "\0\0\0\1", 4 },
		{ "HEADERS", NGHTTP2_HEADERS, END_BOTH, "\x82", 1 },
		{ "HEADERS without bytes", NGHTTP2_HEADERS, END_BOTH, "", 0 },
		{ "PRIORITY", NGHTTP2_PRIORITY, 0, "\0\0\0\0\1", 5 },
		{ "RST_STREAM", NGHTTP2_RST_STREAM, 0, "\0\0\0\x08", 4 },
	};
	for (size_t i = 0; i < COUNT_OF(on_closed); i++) {
		n = frame(f, on_closed[i].type, on_closed[i].flags, 1, on_closed[i].payload,
		    on_closed[i].len);
		tap_is_i64(abuse(address, closed, k, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM,
		    "%s on a closed stream", on_closed[i].what);
		tap_is_i64(borne(address, closed, k, f, n, 100), -1, "of which a hundred are borne");
	}
	static const uint8_t types[] = { NGHTTP2_GOAWAY, NGHTTP2_ALTSVC, NGHTTP2_ORIGIN,
		NGHTTP2_PRIORITY_UPDATE, 0xff };
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		n = frame(f, types[i], 0, 0, "\0\0\0\0\0\0\0\0", 8);
		tap_is_i64(abuse(address, open, m, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM,
		    "frames of type %u on no stream", types[i]);
	}
	n = frame(f, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "12345678", 8);
	tap_is_i64(
	    abuse(address, NULL, 0, f, n, 1200), NGHTTP2_ENHANCE_YOUR_CALM, "answers to no PING");
	advance(3000);
	tap_ok(quiet(0, 0), "nothing is left of them");
}

/* RFC 9113, 5.1 and 5.1.1. */
static void stream_ids(void)
{
	char f[400];
	size_t n = request(f, END_BOTH, 5, "/ping");
	n += request(f + n, END_BOTH, 3, "/ping");
	tap_is_i64(abuse(address, f, n, NULL, 0, 0), NGHTTP2_PROTOCOL_ERROR,
	    "a stream below the last one");
	n = request(f, END_BOTH, 1, "/ping");
	n += request(f + n, END_BOTH, 1, "/ping");
	tap_is_i64(
	    abuse(address, f, n, NULL, 0, 0), NGHTTP2_STREAM_CLOSED, "a stream that was ended");
	n = request(f, END_BOTH, 2, "/ping");
	tap_is_i64(abuse(address, f, n, NULL, 0, 0), NGHTTP2_PROTOCOL_ERROR, "an even stream");
	n = request(f, END_BOTH, 0, "/ping");
	tap_is_i64(abuse(address, f, n, NULL, 0, 0), NGHTTP2_PROTOCOL_ERROR, "no stream");
	static const uint32_t idle[] = { 0, 2, 7 };
	for (size_t i = 0; i < COUNT_OF(idle); i++) {
		n = request(f, END_BOTH, 5, "/ping");
		n += frame(f + n, NGHTTP2_DATA, 0, idle[i], "x", 1);
		tap_is_i64(abuse(address, f, n, NULL, 0, 0), NGHTTP2_PROTOCOL_ERROR,
		    "DATA of stream %u", idle[i]);
		n = request(f, END_BOTH, 5, "/ping");
		n += frame(f + n, NGHTTP2_RST_STREAM, 0, idle[i], "\0\0\0\x08", 4);
		tap_is_i64(abuse(address, f, n, NULL, 0, 0), NGHTTP2_PROTOCOL_ERROR,
		    "RST_STREAM of %u", idle[i]);
		n = request(f, END_BOTH, 5, "/ping");
		n += frame(f + n, NGHTTP2_WINDOW_UPDATE, 0, idle[i], "\0\0\0\1", 4);
		tap_is_i64((idle[i] ? abuse : borne)(address, f, n, NULL, 0, 0),
		    idle[i] ? NGHTTP2_PROTOCOL_ERROR : -1, "WINDOW_UPDATE of %u", idle[i]);
	}
	n = frame(f, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, "\x82", 1);
	tap_is_i64(
	    abuse(address, f, n, NULL, 0, 0), NGHTTP2_PROTOCOL_ERROR, "CONTINUATION of nothing");
	/* Trailers that cross our reset harm nobody, now or ten seconds later. */
	int fd = httpcli_dial(address);
	memcpy(f, PREFACE, 24);
	n = 24 + frame(f + 24, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	n += frame(f + n, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\x83\x86", 2);
	n += request(f + n, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, "/hang");
	httpcli_send(fd, f, n);
	char in[200];
	for (ssize_t r = 1; r > 0;)
		r = httpcli_some(fd, in, sizeof in, 200);
	n = frame(f, NGHTTP2_HEADERS, END_BOTH, 1, "\x40\x01x\x01y", 5);
	httpcli_send(fd, f, n);
	usleep(100000);
	advance(11000);
	n = request(f, END_BOTH, 5, "/ping");
	httpcli_send(fd, f, n);
	ssize_t r = httpcli_some(fd, in, sizeof in, 2000);
	tap_ok(r > 9 && in[3] == NGHTTP2_HEADERS && in[8] == 5,
	    "the connection answers (%zd, type %d)", r, in[3]);
	close(fd);
	tap_ok(quiet(0, 0), "nothing is left");
}

/* A recorded talk of a client, cut anywhere. */
static void vanish(unsigned rounds)
{
	static char data[3000];
	struct cli *rec = &c;
	memset(rec, 0, sizeof *rec);
	nghttp2_session_callbacks *cb;
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_client_new(&rec->ng, cb, rec);
	nghttp2_session_callbacks_del(cb);
	rec->send_data = data;
	rec->send_len = sizeof data;
	nghttp2_submit_settings(rec->ng, 0, NULL, 0);
	static const char *const paths[] = { "/ping", "/stream?50000", "/later", "/hang", "/echo",
		"/drop", "/small", "/big?100000" };
	for (unsigned i = 0; i < 24; i++)
		cli_ask(rec, i % 8 >= 4 && i % 8 < 7 ? "POST" : "GET", paths[i % 8], NULL, NULL,
		    i % 8 >= 4 && i % 8 < 7);
	static char talk[200000];
	size_t len = 0;
	const uint8_t *p;
	ssize_t n;
	while ((n = nghttp2_session_mem_send(rec->ng, &p)) > 0) {
		memcpy(talk + len, p, (size_t)n);
		len += (size_t)n;
	}
	nghttp2_session_del(rec->ng);
	tap_ok(quiet(0, 0), "(quiet before)");
	unsigned fds = testlib_open_fds();
	srand(5);
	for (unsigned i = 0; i < rounds; i++) {
		int fd = httpcli_dial(address);
		size_t cut = (size_t)rand() % (len + 1), half = (size_t)rand() % (cut + 1);
		httpcli_send(fd, talk, half);
		if (rand() % 4 == 0)
			usleep(300);
		httpcli_send(fd, talk + half, cut - half);
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

static void pressure(void)
{
	/* Budget 20 MiB, half of it for large bodies. */
	static char big[7u << 20];
	int first = httpcli_dial(address);
	httpcli_puts(first, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 7000000\r\n\r\n");
	httpcli_send(first, big, 6999999);
	for (unsigned i = 0; i < 60000 && metric_sum(M_INFLIGHT_BYTES) < 6999999; i++)
		usleep(1000);
	cli_open(&c, address, false);
	c.send_data = big;
	c.send_len = 2u << 20;
	int32_t a = cli_ask(&c, "POST", "/drop", "content-length", "2097152", true);
	int32_t b = cli_ask(&c, "POST", "/drop", "content-length", "20971520", true);
	TALK_UNTIL(c.s[b].status);
	tap_ok(!c.s[a].status && c.s[b].status == 503,
	    "over 70 %% a body waits, over 100 %% it is refused");
	close(first);
	for (unsigned i = 0; i < 600 && !c.s[a].status; i++) {
		advance(100);
		cli_run(&c, STREAMS, 100);
	}
	tap_is_i64(c.s[a].status, 204, "it is read when there is room again");
	cli_end(&c);
	advance(3000);
	tap_ok(quiet(0, 0), "(quiet)");
	tap_is_i64((int64_t)metric_sum(M_INFLIGHT_BYTES), 0, "and all is given back");
}

static void draining(void)
{
	cli_open(&c, address, false);
	int32_t a = cli_ask(&c, "GET", "/hang", NULL, NULL, false);
	TALK_UNTIL(srv_requests(srv));
	srv_stop_accepting(srv);
	srv_drain(srv);
	TALK_UNTIL(c.goaway);
	tap_ok(c.goaway && c.goaway_code == NGHTTP2_NO_ERROR, "a drain sends GOAWAY");
	tap_is_u64(srv_connections(srv), 1, "and waits for what runs");
	nghttp2_submit_rst_stream(c.ng, 0, a, NGHTTP2_CANCEL);
	cli_flush(&c);
	TALK_UNTIL(c.over);
	tap_ok(c.over, "then closes");
	cli_end(&c);
	tap_ok(quiet(0, 0), "nothing is left");
}

/* ---- the door ---- */

static void door_set(bool shut)
{
	__atomic_store_n(&door_shut, shut, __ATOMIC_RELEASE);
}

static bool door_waits(unsigned n)
{
	for (unsigned i = 0; i < 20000 && doors_all().waits != n; i++)
		usleep(1000);
	return doors_all().waits == n;
}

static void door_waiting(void)
{
	static char body[1000000];
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (char)(i % 251);
	cli_open(&c, address, false);
	c.send_data = body;
	c.send_len = sizeof body;
	door_set(true);
	int32_t a = cli_ask(&c, "GET", "/ping", "x-door", "1", false);
	int32_t b = cli_ask(&c, "POST", "/echo", "x-door", "1", true);
	int32_t d = cli_ask(&c, "POST", "/echo", "x-door", "no", true);
	int32_t e = cli_ask(&c, "POST", "/echo", "x-door", "busy", true);
	int32_t f = cli_ask(&c, "POST", "/small", "x-door", "1", true);
	int32_t g = cli_ask(&c, "GET", "/stream?50000", "x-door", "3", false);
	cli_flush(&c);
	tap_ok(door_waits(6), "six streams wait at the door");
	int32_t h = cli_ask(&c, "GET", "/ping", NULL, NULL, false);
	int32_t i = cli_ask(&c, "GET", "/label/x/values", NULL, NULL, false);
	tap_ok(cli_run(&c, 2, 20000) && c.s[h].status == 200 && c.s[i].status == 200,
	    "others on the connection go on");
	cli_run(&c, 3, 300);
	tap_is_u64(c.send_off[b], 256 << 10, "the window of one that waits stays shut");
	tap_is_i64(c.s[b].status, 0, "and nothing has come back");
	advance(70000);
	cli_run(&c, 3, 100);
	tap_is_u64(c.closed, 2, "no deadline of bodies counts meanwhile");
	door_set(false);
	/* those refused before their bodies were whole rest for LIMIT_LINGER_MS */
	for (unsigned n = 0; n < 200 && c.closed < 8; n++) {
		cli_run(&c, 8, 100);
		advance(100);
	}
	tap_is_i64(c.s[a].status, 200, "a GET");
	tap_ok(c.s[b].status == 200 && c.s[b].len == sizeof body &&
	        !memcmp(c.s[b].body, body, sizeof body),
	    "a body, its beginning from before the door");
	tap_is_i64(c.s[d].status, 403, "one that is refused");
	tap_is_i64(c.s[e].status, 503, "one answered while it waits");
	tap_is_i64(c.s[f].status, 413, "one that came to too much while it waited");
	tap_is_u64(c.s[g].len, 238890 + 50000, "one that waits three times");
	cli_end(&c);
}

/* What came of a streamed request's body before its door opened goes to its handler first. */
static void door_streamed(void)
{
	static char body[600000];
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (char)(i * 7 + i / 253);
	cli_open(&c, address, false);
	c.send_data = body;
	c.send_len = sizeof body;
	door_set(true);
	int32_t a = cli_ask(&c, "POST", "/back", "x-door", "1", true);
	cli_flush(&c);
	tap_ok(door_waits(1), "a streamed request waits at the door");
	cli_ask(&c, "GET", "/ping", NULL, NULL, false);
	tap_ok(cli_run(&c, 1, 20000) && c.send_off[a] == 256 << 10,
	    "what its window takes of its body is there");
	door_set(false);
	tap_ok(cli_run(&c, 2, 20000) && c.s[a].status == 200, "when it opens it is answered");
	tap_is_mem(c.s[a].body, c.s[a].len, body, sizeof body, "and all of the body has come");
	cli_end(&c);
	tap_ok(quiet(0, 0), "(quiet)");
}

static void door_leaving(void)
{
	struct doors before = doors_all();
	door_set(true);
	cli_open(&c, address, false);
	c.send_data = "body!";
	c.send_len = 5;
	int32_t a = cli_ask(&c, "POST", "/echo", "x-door", "1", true);
	int32_t b = cli_ask(&c, "GET", "/ping", "x-door", "busy", false);
	cli_ask(&c, "POST", "/echo", "x-door", "1", true);
	cli_ask(&c, "POST", "/echo", "x-door", "busy", true);
	cli_flush(&c);
	tap_ok(door_waits(4), "four streams wait");
	nghttp2_submit_rst_stream(c.ng, 0, a, NGHTTP2_CANCEL);
	nghttp2_submit_rst_stream(c.ng, 0, b, NGHTTP2_CANCEL);
	cli_flush(&c);
	tap_ok(door_waits(2), "two are reset: they are told");
	cli_end(&c);
	tap_ok(door_waits(0) && doors_all().gone - before.gone == 4,
	    "so are those of a connection that ends");
	tap_ok(quiet(0, 0), "nothing is left");
	tap_is_u64(doors_all().done - before.done, 4, "each was told its end");
	door_set(false);
}

static void door_ends(void)
{
	struct doors before = doors_all();
	door_set(true);
	cli_open(&c, address, false);
	c.send_data = "body!";
	c.send_len = 5;
	for (unsigned i = 0; i < 20; i++)
		cli_ask(&c, "POST", "/echo", "x-door", "1", true);
	cli_flush(&c);
	tap_ok(door_waits(20), "twenty streams wait");
	door_set(false);
	srv_close_all(srv);
	tap_ok(quiet(0, 0), "the end of the server is the end of who waits");
	tap_is_u64(doors_all().done - before.done, 20, "each is told");
	cli_end(&c);
}

int main(int argc, char **argv)
{
	clock_fake(1700000000000);
	serve(20u << 20);
	pressure();
	stop();
	serve(0);
	plain();
	bodies();
	large_frames();
	body_window();
	streamed();
	many();
	slow_reader();
	drop_by_drop();
	turns();
	heads();
	announced();
	leaving();
	deadlines();
	misdeeds();
	silent_frames();
	stream_ids();
	vanish(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000);
	door_waiting();
	door_streamed();
	door_leaving();
	draining();
	stop();
	serve(0);
	door_ends();
	testteam_stop(&tt);
	srv_free(srv);
	return tap_done();
}
