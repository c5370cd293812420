/* gRPC calls over loopback: an nghttp2 client that says what it likes. */
#include <nghttp2/nghttp2.h>

#include "net/grpc/greflect.h"
#include "proto/gunz.h"
#include "proto/gz.h"
#include "tests/lib/httpcli.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/unit/net/grpcecho.h"

/* ---- a client ---- */

#define CALLS 40
struct call {
	struct buf body, say; /* what came; what is to be sent */
	size_t said;
	bool ends, closed; /* say is all */
	uint32_t code;
	int http;
	char status[8], message[200], type[64], head[64], tail[64], encoding[32];
};
static struct cli {
	int fd;
	nghttp2_session *ng;
	struct call c[2 * CALLS + 2]; /* by stream id */
	unsigned closed, pings;
	bool over;
} c;

static int on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *arg)
{
	(void)ng;
	(void)flags;
	(void)arg;
	struct call *k = &c.c[f->hd.stream_id];
	const struct {
		const char *name;
		char *to;
		size_t size;
	} kept[] = { { "grpc-status", k->status, sizeof k->status },
		{ "grpc-message", k->message, sizeof k->message },
		{ "content-type", k->type, sizeof k->type }, { "x-head", k->head, sizeof k->head },
		{ "x-tail", k->tail, sizeof k->tail },
		{ "grpc-encoding", k->encoding, sizeof k->encoding } };
	if (name_len == 7 && !memcmp(name, ":status", 7))
		k->http = atoi((const char *)value);
	for (size_t i = 0; i < COUNT_OF(kept); i++)
		if (name_len == strlen(kept[i].name) && !memcmp(name, kept[i].name, name_len))
			snprintf(kept[i].to, kept[i].size, "%.*s", (int)len, value);
	return 0;
}

static int on_chunk(
    nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	(void)ng;
	(void)flags;
	(void)arg;
	buf_add(&c.c[id].body, data, len);
	return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	(void)ng;
	(void)arg;
	c.c[id].closed = true;
	c.c[id].code = code;
	c.closed++;
	return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	(void)ng;
	(void)arg;
	c.pings += f->hd.type == NGHTTP2_PING && !(f->hd.flags & NGHTTP2_FLAG_ACK);
	return 0;
}

static ssize_t on_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	(void)ng;
	(void)source;
	(void)arg;
	struct call *k = &c.c[id];
	size_t left = k->say.len - k->said, n = left < len ? left : len;
	if (!n && !k->ends)
		return NGHTTP2_ERR_DEFERRED;
	if (n)
		memcpy(buf, k->say.data + k->said, n);
	k->said += n;
	if (k->ends && k->said == k->say.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void flush(void)
{
	const uint8_t *p;
	ssize_t n;
	while (!c.over && (n = nghttp2_session_mem_send(c.ng, &p)) > 0)
		if (!httpcli_send(c.fd, p, (size_t)n))
			c.over = true;
}

static void begin(bool manual)
{
	memset(&c, 0, sizeof c);
	for (size_t i = 0; i < COUNT_OF(c.c); i++) {
		buf_init(&c.c[i].body);
		buf_init(&c.c[i].say);
	}
	c.fd = httpcli_dial(address);
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_session_callbacks_new(&cb);
	nghttp2_option_new(&opt);
	nghttp2_option_set_no_auto_window_update(opt, manual);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_client_new2(&c.ng, cb, NULL, opt);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	nghttp2_submit_settings(c.ng, 0, NULL, 0);
	flush();
}

static void end(void)
{
	close(c.fd);
	for (size_t i = 0; i < COUNT_OF(c.c); i++) {
		buf_release(&c.c[i].body);
		buf_release(&c.c[i].say);
	}
	nghttp2_session_del(c.ng);
}

static bool run(unsigned closed, int timeout_ms)
{
	static uint8_t in[65536];
	flush();
	while (!c.over && c.closed < closed) {
		ssize_t n = httpcli_some(c.fd, in, sizeof in, timeout_ms);
		if (n <= 0) {
			c.over |= n == 0;
			break;
		}
		if (nghttp2_session_mem_recv(c.ng, in, (size_t)n) < 0)
			c.over = true;
		flush();
	}
	return c.closed >= closed;
}

/* Its status has come; the stream may be open still. */
static void run_to_status(int32_t id)
{
	for (int i = 0; i < 600 && !c.c[id].status[0] && !c.over; i++)
		run(1000, 100);
}

/* type NULL: gRPC's; name NULL: no further field. */
static int32_t open_call(const char *method, const char *type, const char *name, const char *value)
{
	char path[100];
	snprintf(path, sizeof path, "/t.Test/%s", method);
#define NV(n, v) { (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v), 0 }
	nghttp2_nv nv[] = { NV(":method", "POST"), NV(":path", path), NV(":scheme", "http"),
		NV(":authority", "a"), NV("te", "trailers"),
		NV("content-type", type ? type : "application/grpc"),
		NV(name ? name : "x", value ? value : "y") };
	nghttp2_data_provider p = { .read_callback = on_read };
	return nghttp2_submit_request(c.ng, NULL, nv, COUNT_OF(nv), &p, NULL);
}

static void say_bytes(int32_t id, bool packed, const void *data, size_t len)
{
	uint8_t head[GRPCF_HEAD_BYTES];
	grpcf_put_head(head, packed, (uint32_t)len);
	buf_add(&c.c[id].say, head, sizeof head);
	buf_add(&c.c[id].say, data, len);
	nghttp2_session_resume_data(c.ng, id);
}

static void say(int32_t id, const char *query, int64_t number)
{
	Ask a;
	ASK_INIT(&a);
	a.query = (char *)(uintptr_t)query;
	a.evaluation_timestamp_ms = number;
	size_t len = protobuf_c_message_get_packed_size(&a.base);
	uint8_t *data = malloc(len + 1);
	protobuf_c_message_pack(&a.base, data);
	say_bytes(id, false, data, len);
	free(data);
}

static void said(int32_t id)
{
	c.c[id].ends = true;
	nghttp2_session_resume_data(c.ng, id);
}

static int32_t ask_it(
    const char *method, const char *query, int64_t number, const char *name, const char *value)
{
	int32_t id = open_call(method, NULL, name, value);
	say(id, query, number);
	said(id);
	return id;
}

/* The next message of the answer, unzipped when it is packed; NULL: none. */
static Pair *heard(struct call *k, size_t *at)
{
	const uint8_t *p = k->body.data + *at;
	if (k->body.len - *at < GRPCF_HEAD_BYTES)
		return NULL;
	size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (k->body.len - *at - GRPCF_HEAD_BYTES < len)
		return NULL;
	*at += GRPCF_HEAD_BYTES + len;
	bool packed = *p;
	p += GRPCF_HEAD_BYTES;
	if (!packed)
		return (Pair *)protobuf_c_message_unpack(PAIR, NULL, len, p);
	static uint8_t out[GUNZ_STEP];
	struct gunz *z;
	size_t used, n;
	if (gunz_create(GZ_GZIP, &z) || gunz_next(z, p, len, &used, out, &n) || used != len)
		return NULL;
	gunz_free(z);
	return (Pair *)protobuf_c_message_unpack(PAIR, NULL, n, out);
}

static bool hears(struct call *k, size_t *at, const char *name, const char *value)
{
	Pair *m = heard(k, at);
	bool good = m && !strcmp(m->name, name) && !strcmp(m->value, value);
	if (m)
		protobuf_c_message_free_unpacked(&m->base, NULL);
	return good;
}

static bool is(int32_t id, enum grpc_status s, const char *message)
{
	char code[8];
	snprintf(code, sizeof code, "%d", (int)s);
	const struct call *k = &c.c[id];
	bool good = k->closed && k->http == 200 && !strcmp(k->status, code) &&
	    !strcmp(k->type, "application/grpc") && strstr(k->message, message);
	if (!good)
		tap_note("call %d: http %d, status %s (%s), code %u", id, k->http, k->status,
		    k->message, k->code);
	return good;
}

/* ---- cases ---- */

static void kinds(void)
{
	size_t at = 0;
	begin(false);
	int32_t a = ask_it("Unary", "up", 42, NULL, NULL);
	tap_ok(
	    run(1, 60000) && is(a, GRPC_OK, "") && hears(&c.c[a], &at, "up", "42"), "a unary call");
	tap_ok(!strcmp(c.c[a].head, "of up") && !strcmp(c.c[a].tail, "end"),
	    "with metadata before and behind");
	int32_t b = ask_it("Count", "row", 20000, NULL, NULL);
	tap_ok(run(2, 10000) && is(b, GRPC_OK, "all of them"), "a server's stream");
	bool good = true;
	char number[32];
	at = 0;
	for (int i = 20000; good && i--;) {
		snprintf(number, sizeof number, "%d", i);
		good = hears(&c.c[b], &at, "row", number);
	}
	tap_ok(good && at == c.c[b].body.len, "of 20,000 messages, in order");
	tap_ok(echo_all().rooms > 2, "which had to wait for room");
	int32_t d = open_call("Collect", NULL, NULL, NULL);
	for (int i = 0; i < 300; i++)
		say(d, i % 2 ? "b" : "a", i);
	run(3, 100);
	said(d);
	at = 0;
	Pair *m = run(3, 60000) ? heard(&c.c[d], &at) : NULL;
	tap_ok(m && strlen(m->name) == 300 && !strncmp(m->name, "abab", 4) && is(d, GRPC_OK, ""),
	    "a client's stream");
	if (m)
		protobuf_c_message_free_unpacked(&m->base, NULL);
	int32_t e = open_call("Chat", NULL, NULL, NULL);
	at = 0;
	good = true;
	for (int i = 0; good && i < 5; i++) {
		say(e, i % 2 ? "slow one" : "quick", i);
		for (int tries = 0; tries < 50 && c.c[e].body.len == at; tries++)
			run(4, 100);
		good = hears(&c.c[e], &at, i % 2 ? "slow one" : "quick", "chat");
	}
	tap_ok(good, "both talk in turns");
	for (int i = 0; i < 200; i++)
		say(e, i % 3 ? "slow" : "x", i);
	said(e);
	good = run(4, 60000);
	for (int i = 0; good && i < 200; i++)
		good = hears(&c.c[e], &at, i % 3 ? "slow" : "x", "chat");
	tap_ok(good && is(e, GRPC_OK, "bye"), "and 200 at once are answered one by one");
	int32_t f = ask_it("Unary", "big", 3000000, NULL, NULL);
	tap_ok(run(5, 60000) && is(f, GRPC_OK, "") && c.c[f].body.len == 3000005, "a pulled message");
	int32_t g = ask_it("Unary", "cut", 3000000, NULL, NULL);
	tap_ok(run(6, 60000) && c.c[g].code == NGHTTP2_INTERNAL_ERROR,
	    "one that cannot go on is cut, never short");
	int32_t h = ask_it("Unary", "", 0, NULL, NULL);
	at = 0;
	tap_ok(run(7, 60000) && is(h, GRPC_OK, "") && hears(&c.c[h], &at, "", "0"),
	    "an empty message");
	int32_t i = ask_it("Unary", "late", 0, NULL, NULL);
	tap_ok(run(8, 60000) && is(i, GRPC_OK, "late"),
	    "what comes late for a call whose answer is away meets nothing");
	end();
	tap_ok(quiet(0, 0), "nothing is left");
}

static void refusals(void)
{
	begin(false);
	int32_t a = ask_it("Unary", "fail", 0, NULL, NULL);
	run(1, 60000);
	tap_ok(is(a, GRPC_FAILED_PRECONDITION, "50%25 of %C3%A4%0Ais not all"),
	    "an error is told in the trailers: %s", c.c[a].message);
	int32_t b = ask_it("Nothing", "x", 0, NULL, NULL);
	run(2, 60000);
	tap_ok(is(b, GRPC_UNIMPLEMENTED, "unknown method /t.Test/Nothing"), "an unknown method");
	int32_t d = open_call("Unary", "application/json", NULL, NULL);
	said(d);
	run(3, 60000);
	tap_is_i64(c.c[d].http, 415, "what is not gRPC is told so by HTTP");
	int32_t e = ask_it("Unary", "x", 0, "x-refuse", "1");
	run(4, 60000);
	tap_ok(is(e, GRPC_UNAUTHENTICATED, "who are you?"), "a refusal at the door is a status");
	gate_shut = true;
	int32_t f = ask_it("Unary", "x", 0, NULL, NULL);
	run(5, 60000);
	gate_shut = false;
	tap_ok(is(f, GRPC_UNAVAILABLE, "Service Unavailable"), "so is the gate's");
	int32_t g = ask_it("Unary", "x", 0, "grpc-timeout", "soon");
	run(6, 60000);
	tap_ok(is(g, GRPC_INVALID_ARGUMENT, "grpc-timeout"), "a bad timeout");
	int32_t h = ask_it("Unary", "x", 0, "grpc-encoding", "br");
	run(7, 60000);
	tap_ok(is(h, GRPC_UNIMPLEMENTED, "grpc-encoding"), "an unknown encoding");
	int32_t i = open_call("Unary", "application/grpc+proto", NULL, NULL);
	said(i);
	run(8, 60000);
	tap_ok(is(i, GRPC_UNIMPLEMENTED, "no request message"), "no message");
	int32_t j = open_call("Unary", NULL, NULL, NULL);
	say(j, "a", 1);
	say(j, "b", 1);
	said(j);
	run(9, 60000);
	tap_ok(is(j, GRPC_UNIMPLEMENTED, "more than one"), "more than one");
	int32_t k = open_call("Unary", NULL, NULL, NULL);
	buf_add(&c.c[k].say, "\0\0\0\0\7abc", 8);
	said(k);
	run(10, 60000);
	tap_ok(is(k, GRPC_INTERNAL, "inside a message"), "half a message");
	int32_t l = open_call("Unary", NULL, NULL, NULL);
	buf_add(&c.c[l].say, "GET / HTTP/1.1", 14);
	run_to_status(l);
	tap_is_str(c.c[l].status, "13", "no message at all");
	int32_t m = open_call("Unary", NULL, NULL, NULL);
	say_bytes(m, false, "\xff\xff\xff", 3);
	said(m);
	advance(2100);
	run(12, 60000);
	tap_ok(is(m, GRPC_INVALID_ARGUMENT, "not protobuf"), "no protobuf");
	int32_t o = open_call("Unary", NULL, NULL, NULL);
	say_bytes(o, false, "\n\3a\0b", 5);
	said(o);
	run(13, 60000);
	tap_ok(is(o, GRPC_INVALID_ARGUMENT, "with a NUL"), "a text with a NUL is not cut there");
	int32_t n = open_call("Unary", NULL, NULL, NULL);
	say_bytes(n, true, "abc", 3);
	said(n);
	run(14, 60000);
	tap_ok(is(n, GRPC_INTERNAL, "without grpc-encoding"), "packed without a word");
	end();
	tap_ok(quiet(0, 0), "nothing is left");
}

static void sizes(void)
{
	static char large[5u << 20];
	memset(large, 'q', sizeof large - 1);
	begin(false);
	int32_t a = ask_it("Unary", large, 0, NULL, NULL);
	run_to_status(a);
	advance(2100);
	run(1, 60000);
	tap_ok(is(a, GRPC_RESOURCE_EXHAUSTED, "limit 4194304 (--grpc.max-message-bytes)"),
	    "a message over the limit: %s", c.c[a].message);
	large[3u << 20] = 0;
	int32_t b = ask_it("Unary", large, 7, NULL, NULL);
	size_t at = 0;
	tap_ok(run(2, 60000) && is(b, GRPC_OK, "") && hears(&c.c[b], &at, large, "7"),
	    "3 MiB, unpacked by a worker");
	int32_t d = open_call("Raw", NULL, NULL, NULL);
	say_bytes(d, false, large, 100000);
	said(d);
	at = 0;
	tap_ok(run(3, 60000) && hears(&c.c[d], &at, "100000", "raw"),
	    "raw bytes, up to the method's limit");
	int32_t e = open_call("Raw", NULL, NULL, NULL);
	say_bytes(e, false, large, 100001);
	said(e);
	run(4, 60000);
	advance(2100);
	run(4, 60000);
	tap_ok(is(e, GRPC_RESOURCE_EXHAUSTED, "limit 100000"), "not beyond");
	/* a million unknown fields of two bytes: protobuf-c would keep each */
	for (size_t i = 0; i < 2000000; i += 2) {
		large[i] = 0x78;
		large[i + 1] = 1;
	}
	int32_t f = open_call("Unary", NULL, NULL, NULL);
	say_bytes(f, false, large, 2000000);
	said(f);
	run(5, 60000);
	tap_ok(is(f, GRPC_RESOURCE_EXHAUSTED, "when it is decoded"),
	    "what would unpack to much: %s", c.c[f].message);
	end();
	tap_ok(quiet(0, 0), "(quiet)");
	tap_is_i64(in_flight(), 0, "and all is given back");
}

static void gzip_it(struct buf *out, const void *data, size_t len)
{
	struct gz *z;
	buf_init(out);
	if (gz_create(GZ_GZIP, 6, &z))
		exit(99);
	gz_push(z, data, len, out);
	gz_finish(z, out);
	gz_free(z);
}

static void packed(void)
{
	static char text[3001], bomb[20u << 20];
	memset(text, 'z', sizeof text - 1);
	Ask a;
	ASK_INIT(&a);
	a.query = text;
	static uint8_t plain[4000];
	size_t len = protobuf_c_message_pack(&a.base, plain);
	struct buf zip;
	gzip_it(&zip, plain, len);
	begin(false);
	int32_t i = open_call("Unary", NULL, "grpc-encoding", "gzip");
	say_bytes(i, true, zip.data, zip.len);
	said(i);
	size_t at = 0;
	tap_ok(run(1, 60000) && is(i, GRPC_OK, "") && hears(&c.c[i], &at, text, "0"),
	    "gzip both ways");
	tap_ok(!strcmp(c.c[i].encoding, "gzip") && c.c[i].body.data[0] == 1 && c.c[i].body.len < 200,
	    "the answer is packed, too: %zu bytes", c.c[i].body.len);
	int32_t b = ask_it("Unary", "plain", 1, "grpc-encoding", "gzip");
	at = 0;
	tap_ok(run(2, 60000) && hears(&c.c[b], &at, "plain", "1") && !c.c[b].body.data[0],
	    "a small message is not worth it, in either direction");
	int32_t again = open_call("Unary", NULL, "grpc-encoding", "gzip");
	say_bytes(again, true, zip.data, zip.len);
	say_bytes(again, true, zip.data, zip.len);
	said(again);
	run(3, 60000);
	tap_ok(is(again, GRPC_UNIMPLEMENTED, "more than one"),
	    "a second message is seen when the first one is unzipped");
	zip.data[zip.len - 3] ^= 1;
	int32_t d = open_call("Unary", NULL, "grpc-encoding", "gzip");
	say_bytes(d, true, zip.data, zip.len);
	said(d);
	run(4, 60000);
	tap_ok(is(d, GRPC_INVALID_ARGUMENT, "not gzip"), "damage is seen");
	int32_t e = open_call("Unary", NULL, "grpc-encoding", "gzip");
	say_bytes(e, true, zip.data, zip.len - 5);
	said(e);
	run(5, 60000);
	tap_ok(is(e, GRPC_INVALID_ARGUMENT, "ends early"), "an early end, too");
	buf_release(&zip);
	gzip_it(&zip, bomb, sizeof bomb);
	int32_t f = open_call("Unary", NULL, "grpc-encoding", "gzip");
	say_bytes(f, true, zip.data, zip.len);
	said(f);
	run(6, 10000);
	tap_ok(zip.len < 30000 && is(f, GRPC_RESOURCE_EXHAUSTED, "unzipped, limit 4194304"),
	    "20 KB that unzip to 20 MB are stopped at the limit: %s", c.c[f].message);
	buf_release(&zip);
	end();
	tap_ok(quiet(0, 0), "(quiet)");
	tap_is_i64(in_flight(), 0, "and all is given back");
}

static bool becomes(unsigned *what, unsigned n)
{
	for (unsigned i = 0; i < 60000 && __atomic_load_n(what, __ATOMIC_RELAXED) < n; i++)
		usleep(1000);
	return __atomic_load_n(what, __ATOMIC_RELAXED) >= n;
}

/* Seconds pass, until so many streams have closed. */
static void advance_until(unsigned closed)
{
	for (int i = 0; i < 300 && c.closed < closed && !c.over; i++) {
		run(closed, 20);
		advance(1000);
	}
	run(closed, 60000);
}

/* A message there and back: what was sent before it has been read. */
static void there_and_back(int32_t id)
{
	size_t before = c.c[id].body.len;
	say(id, "hello", 0);
	for (int i = 0; i < 200 && c.c[id].body.len == before && !c.over; i++)
		run(1000, 100);
}

/* One loop: its counters are those of all. */
static void ends(void)
{
	begin(false);
	unsigned cancelled = echo_all().cancelled, messages = echo_all().messages;
	int32_t a = ask_it("Unary", "hang", 0, "grpc-timeout", "2S");
	flush();
	tap_ok(becomes(&echo_on[0].messages, messages + 1), "(it hangs)");
	run(1, 100);
	tap_ok(!c.c[a].closed, "a call has the time it was given");
	advance(2100);
	run(1, 60000);
	tap_ok(is(a, GRPC_DEADLINE_EXCEEDED, "deadline"), "then it ends");
	tap_is_u64(echo_all().cancelled - cancelled, 1, "and its work was stopped");
	int32_t b = ask_it("Unary", "hang", 0, NULL, NULL);
	flush();
	becomes(&echo_on[0].messages, messages + 2);
	nghttp2_submit_rst_stream(c.ng, 0, b, NGHTTP2_CANCEL);
	flush();
	tap_ok(becomes(&echo_on[0].cancelled, cancelled + 2), "a reset stops the work");
	int32_t d = ask_it("Unary", "hang", 0, "grpc-timeout", "0n");
	run(3, 60000);
	tap_ok(is(d, GRPC_DEADLINE_EXCEEDED, "deadline"), "a deadline that has passed already");
	int32_t e = open_call("Chat", NULL, NULL, NULL);
	there_and_back(e);
	advance(200000);
	run(4, 200);
	tap_ok(!c.c[e].closed, "between messages a stream may rest");
	buf_add(&c.c[e].say, "\0\0\0\1\0abc", 8);
	nghttp2_session_resume_data(c.ng, e);
	advance_until(4);
	tap_ok(is(e, GRPC_CANCELLED, "too slowly") ||
	        (!strcmp(c.c[e].status, "1") && strstr(c.c[e].message, "too slowly")),
	    "a message that has begun may not: %s", c.c[e].message);
	int32_t f = open_call("Unary", NULL, NULL, NULL);
	advance_until(5);
	tap_ok(!strcmp(c.c[f].status, "1"), "nor may one that a method waits for");
	int32_t g = ask_it("Unary", "hang", 0, NULL, NULL);
	(void)g;
	flush();
	becomes(&echo_on[0].messages, messages + 4);
	end();
	tap_ok(becomes(&echo_on[0].cancelled, cancelled + 4), "who hangs up stops the work");
	tap_ok(quiet(0, 0), "nothing is left");
}

/* Streams of a peer that lives, and of one that has vanished. */
static void pings(void)
{
	unsigned done = echo_all().done;
	begin(false);
	int32_t a = open_call("Chat", NULL, NULL, NULL);
	for (unsigned i = 0; i < 3; i++) {
		there_and_back(a);
		advance(61000); /* something was heard */
		advance(61000); /* and now nothing */
		for (int k = 0; k < 200 && c.pings == i; k++)
			run(1, 100); /* nghttp2 answers */
	}
	there_and_back(a);
	tap_ok(c.pings == 3 && !c.over && !c.c[a].closed, "who answers a PING keeps its streams");
	for (int i = 0; i < 3; i++)
		advance(61000);
	tap_ok(becomes(&echo_on[0].done, done + 1) && quiet(0, 0), "who does not has gone");
	end();
}

/* The client does not read: the handler waits for room, then the client leaves. */
static void unread(void)
{
	unsigned done = echo_all().done;
	begin(true);
	int32_t a = ask_it("Count", "rows that nobody reads", 1000000, NULL, NULL);
	run(1, 500);
	tap_ok(!c.c[a].closed && c.c[a].body.len <= 65535, "a window shuts the stream");
	tap_ok(metric_sum(M_ANSWER_BYTES) < 1u << 20, "what waits is short: %llu bytes",
	    (unsigned long long)metric_sum(M_ANSWER_BYTES));
	end();
	tap_ok(becomes(&echo_on[0].done, done + 1) && quiet(0, 0), "it ends with its client");
	tap_is_i64((int64_t)metric_sum(M_ANSWER_BYTES), 0, "and all is given back");
}

/* The client has read so much of it, and takes as much more. */
static void take(int32_t id, size_t *taken)
{
	size_t len = c.c[id].body.len;
	nghttp2_session_consume(c.ng, id, len - *taken);
	*taken = len;
}

/* The answer was there in time, its client reads it later. */
static void deadlines_of_readers(void)
{
	size_t taken = 0;
	begin(true);
	int32_t a = ask_it("Unary", "big", 300000, "grpc-timeout", "1S");
	for (int i = 0; i < 50 && !c.c[a].body.len; i++)
		run(1, 100);
	advance(1100);
	for (int i = 0; i < 100 && !c.c[a].closed; i++) {
		take(a, &taken);
		run(1, 100);
	}
	tap_ok(is(a, GRPC_OK, "") && c.c[a].body.len == 300005,
	    "what was finished in time is read beyond the deadline");
	int32_t b = ask_it("Unary", "big", 300000, "grpc-timeout", "1S");
	for (int i = 0; i < 50 && !c.c[b].body.len; i++)
		run(2, 100);
	advance(2100);
	tap_ok(run(2, 60000) && c.c[b].code == NGHTTP2_CANCEL, "not for long");
	end();
	tap_ok(quiet(0, 0), "nothing is left");
}

/* Which file has a symbol? */
static void reflection(void)
{
#define QS "codesprintpro.monitoring.v1."
	static const struct {
		const char *symbol;
		const char *file; /* NULL: none */
	} cases[] = { { QS "QueryService", "query_service.proto" },
		{ QS "QueryService.EvaluateRangeQuery", "query_service.proto" },
		{ QS "QueryService.Other", NULL }, { QS "Sample", "query_service.proto" },
		{ QS "Sample.value", "query_service.proto" }, { QS "Sample.valu", NULL },
		{ QS "Sample.value.x", NULL }, { QS "Samp", NULL }, { QS, NULL },
		{ "codesprintpro.monitoring.v1", NULL }, { "", NULL }, { ".", NULL },
		{ "grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto" },
		{ "grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING", "health.proto" },
		{ "grpc.reflection.v1.ServerReflectionRequest.message_request",
		    "reflection_v1.proto" },
		{ "grpc.reflection.v1alpha.ServerReflection", "reflection_v1alpha.proto" } };
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		size_t len = 0, named = 0;
		const uint8_t *file = greflect_file_of(cases[i].symbol, &len);
		const uint8_t *want =
		    cases[i].file ? greflect_file_named(cases[i].file, &named) : NULL;
		tap_ok(file == want && len == named && !cases[i].file == !file, "\"%s\" is in %s",
		    cases[i].symbol, cases[i].file ? cases[i].file : "no file");
	}
}

int main(void)
{
	clock_fake(1700000000000);
	limits_default(&test_limits);
	echo_serve(1);
	reflection();
	kinds();
	refusals();
	sizes();
	packed();
	ends();
	pings();
	unread();
	deadlines_of_readers();
	stop();
	return tap_done();
}
