/* What gRPC puts on HTTP/2: messages, deadlines, statuses; and what protobuf-c is let do. */
#include "tests/lib/tap.h"

#include "proto/gen/health.pb-c.h"
#include "proto/gen/query_service.pb-c.h"
#include "proto/gen/reflection_v1.pb-c.h"
#include "proto/grpcf.h"
#include "proto/pbcount.h"
#include "proto/pbmem.h"
#include "proto/qspb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- messages ---- */

/* Events as text, pieces joined: "B5:hello.E" */
static void events(const char *bytes, size_t len, size_t step, char *out, size_t size)
{
	struct grpcf f = { 0 };
	size_t n = 0;
	out[0] = 0;
	for (size_t at = 0; at < len; at += step) {
		const uint8_t *p = (const uint8_t *)bytes + at, *piece;
		const uint8_t *end = p + (len - at < step ? len - at : step);
		size_t piece_len;
		for (enum grpcf_event e;
		     (e = grpcf_next(&f, &p, end, &piece, &piece_len)) != GRPCF_MORE;) {
			if (e == GRPCF_BEGIN)
				n += (size_t)snprintf(
				    out + n, size - n, "%c%u:", f.packed ? 'P' : 'B', f.len);
			else if (e == GRPCF_PIECE)
				n += (size_t)snprintf(
				    out + n, size - n, "%.*s", (int)piece_len, piece);
			else if (e == GRPCF_END)
				n += (size_t)snprintf(out + n, size - n, ".");
			else
				n += (size_t)snprintf(out + n, size - n, "!");
			if (e == GRPCF_BAD)
				return;
		}
	}
	if (grpcf_inside(&f))
		snprintf(out + n, size - n, "~");
}

static void messages(void)
{
	static const char talk[] = "\0\0\0\0\5hello\0\0\0\0\0\1\0\0\0\2hi\0\0\1\0\0abc";
	char out[200];
	for (size_t step = 1; step <= sizeof talk; step++) {
		events(talk, sizeof talk - 1, step, out, sizeof out);
		if (strcmp(out, "B5:hello.B0:.P2:hi.B65536:abc~"))
			break;
		if (step == sizeof talk)
			tap_ok(true, "messages come in any pieces");
	}
	tap_is_str(out, "B5:hello.B0:.P2:hi.B65536:abc~", "as they were sent");
	events("\0\0\0\0\0\2\0\0\0\0", 10, 10, out, sizeof out);
	tap_is_str(out, "B0:.!", "a first byte of 2 is none");
	uint8_t head[GRPCF_HEAD_BYTES];
	grpcf_put_head(head, true, 0x01020304);
	tap_is_mem(head, 5, "\1\1\2\3\4", 5, "a head");
}

/* ---- deadlines ---- */

static void timeouts(void)
{
	static const struct {
		const char *text;
		enum err err;
		uint64_t ns;
	} cases[] = { { "1S", 0, 1000000000 }, { "100m", 0, 100000000 }, { "5u", 0, 5000 },
		{ "7n", 0, 7 }, { "2M", 0, UINT64_C(120000000000) }, { "99999999H", 0, UINT64_MAX },
		{ "1H", 0, UINT64_C(3600000000000) }, { "0n", 0, 0 },
		{ "100000000n", ERR_BADDATA, 0 }, { "S", ERR_BADDATA, 0 }, { "", ERR_BADDATA, 0 },
		{ "5", ERR_BADDATA, 0 }, { "5s", ERR_BADDATA, 0 }, { "-5S", ERR_BADDATA, 0 },
		{ "1 S", ERR_BADDATA, 0 }, { "1.5S", ERR_BADDATA, 0 } };
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t ns = 0;
		enum err e = grpcf_timeout(cases[i].text, strlen(cases[i].text), &ns);
		tap_ok(e == cases[i].err && ns == cases[i].ns, "grpc-timeout \"%s\"", cases[i].text);
	}
	static const struct {
		uint64_t ns;
		const char *text;
	} puts[] = { { 0, "0n" }, { 99999999, "99999999n" }, { 100000001, "100001u" },
		{ UINT64_C(30000000000), "30000000u" }, { UINT64_MAX, "5124096H" },
		{ UINT64_C(100000000000), "100000m" } };
	for (size_t i = 0; i < COUNT_OF(puts); i++) {
		char out[GRPCF_TIMEOUT_MAX + 1];
		out[grpcf_put_timeout(puts[i].ns, out)] = 0;
		tap_is_str(out, puts[i].text, "a timeout to send");
		uint64_t back = 0;
		tap_ok(!grpcf_timeout(out, strlen(out), &back) && back >= puts[i].ns,
		    "is not shorter than meant");
	}
}

/* ---- texts ---- */

static void texts(void)
{
	struct buf a, b;
	buf_init(&a);
	buf_init(&b);
	grpcf_escape(&a, "50% \xc3\xa4\n~\x7f", 9);
	buf_add_u8(&a, 0);
	tap_is_str((char *)a.data, "50%25 %C3%A4%0A~%7F", "a text is escaped");
	grpcf_unescape(&b, (char *)a.data, a.len - 1);
	tap_is_mem(b.data, b.len, "50% \xc3\xa4\n~\x7f", 9, "and comes back");
	buf_clear(&b);
	grpcf_unescape(&b, "%zz %4 %%41%", 12);
	tap_is_mem(b.data, b.len, "%zz %4 %A%", 10, "what is no escape stays");
	buf_release(&a);
	buf_release(&b);
	tap_is_i64(grpcf_status("16", 2), GRPC_UNAUTHENTICATED, "a status");
	tap_ok(grpcf_status("17", 2) == GRPC_UNKNOWN && grpcf_status("+3", 2) == GRPC_UNKNOWN &&
	        grpcf_status("", 0) == GRPC_UNKNOWN && grpcf_status("4 ", 2) == GRPC_UNKNOWN,
	    "others are unknown");
	const char *list = "identity, deflate ,gzip";
	tap_ok(grpcf_accepts(list, strlen(list), "gzip") &&
	        grpcf_accepts(list, strlen(list), "deflate"),
	    "tokens of grpc-accept-encoding");
	tap_ok(!grpcf_accepts("xgzip,gzipx", 11, "gzip") && !grpcf_accepts("", 0, "gzip"),
	    "whole ones alone");
}

static void statuses(void)
{
	tap_is_str(grpcf_status_name(GRPC_DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED", "a name");
	tap_ok(grpcf_of_err(ERR_BADDATA) == GRPC_INVALID_ARGUMENT &&
	        grpcf_of_err(ERR_TOOBIG) == GRPC_RESOURCE_EXHAUSTED &&
	        grpcf_of_err(ERR_TIMEOUT) == GRPC_DEADLINE_EXCEEDED &&
	        grpcf_of_err(ERR_CANCELED) == GRPC_CANCELLED &&
	        grpcf_of_err(ERR_NOTREADY) == GRPC_UNAVAILABLE &&
	        grpcf_of_err(ERR_UNSUPPORTED) == GRPC_UNIMPLEMENTED &&
	        grpcf_of_err(ERR_IO) == GRPC_INTERNAL && grpcf_of_err(ERR_OK) == GRPC_OK,
	    "what our errors are");
	tap_ok(grpcf_of_refusal(401) == GRPC_UNAUTHENTICATED &&
	        grpcf_of_refusal(403) == GRPC_PERMISSION_DENIED &&
	        grpcf_of_refusal(429) == GRPC_RESOURCE_EXHAUSTED &&
	        grpcf_of_refusal(413) == GRPC_RESOURCE_EXHAUSTED &&
	        grpcf_of_refusal(503) == GRPC_UNAVAILABLE && grpcf_of_refusal(500) == GRPC_INTERNAL,
	    "what our refusals are");
	tap_ok(grpcf_of_http(404) == GRPC_UNIMPLEMENTED && grpcf_of_http(503) == GRPC_UNAVAILABLE &&
	        grpcf_of_http(200) == GRPC_UNKNOWN && grpcf_of_http(400) == GRPC_INTERNAL,
	    "what HTTP's are");
	tap_ok(grpcf_of_reset(8) == GRPC_CANCELLED && grpcf_of_reset(7) == GRPC_UNAVAILABLE &&
	        grpcf_of_reset(11) == GRPC_RESOURCE_EXHAUSTED && grpcf_of_reset(2) == GRPC_INTERNAL,
	    "what resets are");
}

/* ---- memory ---- */

#define SERIES  codesprintpro__monitoring__v1__series__descriptor
#define ANSWER  codesprintpro__monitoring__v1__instant_query_response__descriptor
#define REFLECT grpc__reflection__v1__server_reflection_request__descriptor

/* Is what is counted enough to unpack with, and not much more? */
static bool enough(const ProtobufCMessageDescriptor *d, const void *data, size_t len, size_t *bytes)
{
	if (pbcount(d, data, len, SIZE_MAX, bytes))
		return false;
	struct arena a;
	struct pbmem m;
	arena_init(&a, 4096);
	pbmem_init(&m, &a, *bytes);
	bool good = protobuf_c_message_unpack(d, &m.allocator, len, data) && !pbmem_over(&m);
	good = good && m.left_bytes <= *bytes / 2;
	arena_release(&a);
	return good;
}

static void counts(void)
{
	size_t bytes = 0;
	uint8_t *many = malloc(100000);
	for (size_t i = 0; i < 100000; i += 2) {
		many[i] = 0x0a; /* a message without bytes, 50,000 times */
		many[i + 1] = 0;
	}
	tap_ok(enough(&ANSWER, many, 100000, &bytes), "empty messages are counted");
	tap_ok(bytes > 3000000, "for what they take: %zu bytes", bytes);
	tap_is_i64(pbcount(&ANSWER, many, 100000, 1u << 20, &bytes), ERR_TOOBIG, "a limit holds");
	tap_ok(enough(&SERIES, many, 100000, &bytes), "as labels, too");
	memset(many, 0x7a, 100000); /* field 15, unknown, of 122 bytes: 124 each, 0x7a */
	tap_ok(enough(&ANSWER, many, 124 * 800, &bytes), "unknown fields are kept by protobuf-c");
	free(many);
	tap_ok(enough(&ANSWER, "", 0, &bytes) &&
	        bytes >= sizeof(Codesprintpro__Monitoring__V1__InstantQueryResponse),
	    "nothing is a message");
	tap_ok(enough(&REFLECT, "\x0a\3abc\x3a\2x.", 9, &bytes), "strings and a choice");
	tap_is_i64(pbcount(&REFLECT, (const uint8_t *)"\x2a\0\x2a\0", 4, SIZE_MAX, &bytes),
	    ERR_UNSUPPORTED, "one message given twice is not merged");
	tap_is_i64(pbcount(&REFLECT, (const uint8_t *)"\x0a\5abc", 5, SIZE_MAX, &bytes),
	    ERR_MALFORMED, "a text that is not there");
	tap_is_i64(pbcount(&REFLECT, (const uint8_t *)"\x0b", 1, SIZE_MAX, &bytes), ERR_MALFORMED,
	    "a group");
	tap_is_i64(pbcount(&REFLECT, (const uint8_t *)"\x0a\3a\0b", 5, SIZE_MAX, &bytes),
	    ERR_BADDATA, "a text that would end early");
}

/* ---- results ---- */

static struct labels labels_of(struct arena *a, const char *name, const char *value)
{
	struct buf b;
	size_t n = strlen(name), v = strlen(value);
	buf_init(&b);
	buf_add_u8(&b, 0x0a);
	buf_add_u8(&b, (uint8_t)(n + v + 4));
	buf_add_u8(&b, 0x0a);
	buf_add_u8(&b, (uint8_t)n);
	buf_add(&b, name, n);
	buf_add_u8(&b, 0x12);
	buf_add_u8(&b, (uint8_t)v);
	buf_add(&b, value, v);
	struct labels ls = { arena_dup(a, b.data, b.len), (uint32_t)b.len };
	buf_release(&b);
	return ls;
}

static void encode(const struct ql_value *v, size_t step, struct buf *out, uint64_t *counted)
{
	uint64_t sizes[16];
	struct qspb q;
	qspb_begin(&q, v, sizes);
	while (!qspb_count(&q, step))
		;
	*counted = q.bytes;
	while (!qspb_next(&q, out, step))
		;
}

static bool same_bits(double a, double b)
{
	return !memcmp(&a, &b, sizeof a);
}

static void results(void)
{
	enum {
		POINTS = 3000
	};
	static int64_t t[POINTS];
	static double v[POINTS];
	static const int64_t odd_t[] = { INT64_MIN, -1, 0, 1, INT64_MAX };
	static const double odd_v[] = { -0.0, NAN, INFINITY, 0.0, 5e-324 };
	struct arena a;
	arena_init(&a, 4096);
	for (size_t i = 0; i < POINTS; i++) {
		t[i] = 1700000000000 + (int64_t)i * 15000;
		v[i] = i % 7 ? (double)i * 1.25 : 0;
	}
	struct ql_series s[] = { { labels_of(&a, "__name__", "up"), POINTS, t, v, NULL },
		{ { NULL, 0 }, 5, odd_t, odd_v, NULL },
		{ labels_of(&a, "job", "x\xc3\xa4"), 1, t, v, NULL } };
	struct ql_value value = { .type = QL_MATRIX, .series = s, .series_count = 3 };
	struct buf whole, parts;
	buf_init(&whole);
	buf_init(&parts);
	uint64_t counted, again;
	encode(&value, 1u << 20, &whole, &counted);
	encode(&value, 7, &parts, &again);
	tap_is_u64(counted, whole.len, "a result is counted right");
	tap_ok(again == counted && whole.len == parts.len &&
	        !memcmp(whole.data, parts.data, whole.len),
	    "in any pieces");
	Codesprintpro__Monitoring__V1__RangeQueryResponse *m =
	    codesprintpro__monitoring__v1__range_query_response__unpack(NULL, whole.len, whole.data);
	bool good = m && m->n_result_series == 3;
	for (size_t i = 0; good && i < 3; i++) {
		good = m->result_series[i]->n_samples == s[i].count;
		for (size_t k = 0; good && k < s[i].count; k++)
			good = m->result_series[i]->samples[k]->timestamp_ms == s[i].t_ms[k] &&
			    same_bits(m->result_series[i]->samples[k]->value, s[i].v[k]);
	}
	tap_ok(good, "protobuf-c reads what went in, to the bit");
	tap_ok(good && m->result_series[0]->n_labels == 1 && !m->result_series[1]->n_labels &&
	        !strcmp(m->result_series[0]->labels[0]->name, "__name__") &&
	        !strcmp(m->result_series[2]->labels[0]->value, "x\xc3\xa4"),
	    "with its labels");
	codesprintpro__monitoring__v1__range_query_response__free_unpacked(m, NULL);
	buf_clear(&whole);
	value.series_count = 0;
	encode(&value, 100, &whole, &counted);
	tap_ok(!counted && !whole.len, "an empty result has no bytes");
	buf_release(&whole);
	buf_release(&parts);
	arena_release(&a);
}

/* A google.rpc.Status with a RetryInfo of 300 s, as another encoder makes it. */
static void retry(void)
{
	static const char want[] =
	    "CA4SBWxhdGVyGjEKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBQoDCKwC";
	struct buf b;
	buf_init(&b);
	grpcf_put_retry(&b, GRPC_UNAVAILABLE, "later", 5, 300);
	tap_ok(b.len == sizeof want - 1 && !memcmp(b.data, want, b.len),
	    "when it may come again: %.*s", (int)b.len, (const char *)b.data);
	buf_release(&b);
}

int main(void)
{
	messages();
	retry();
	timeouts();
	texts();
	statuses();
	counts();
	results();
	return tap_done();
}
