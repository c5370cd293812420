#include "tests/lib/tap.h"

#include <stdlib.h>

#include "proto/h1resp.h"

static const struct h1msg_limits max = { .head_bytes = 1000, .fields = 10 };
static struct h1msg_field fields[11];
static char head[2000];

static int scan(const char *s)
{
	struct h1msg_scan state = { 0 };
	int n = 0;
	for (size_t len = 1; len <= strlen(s) && !n; len++)
		n = h1resp_scan(&state, (const uint8_t *)s, len, &max);
	return n;
}

static bool parse(const char *s, struct h1resp *r, const char **why)
{
	int n = scan(s);
	*r = (struct h1resp){ .fields = fields, .field_cap = COUNT_OF(fields) };
	*why = "it does not end";
	if (n <= 0)
		return false;
	memcpy(head, s, (size_t)n);
	return h1resp_parse(head, (size_t)n, r, why);
}

static void good(void)
{
	struct h1resp r;
	const char *why;
	tap_ok(parse("HTTP/1.1 200 All right\r\nA:  x \r\nB-c:\r\n\r\nrest", &r, &why), "an answer");
	tap_ok(r.status == 200 && r.minor == 1 && r.reason_len == 9 && !r.close && r.field_count == 2,
	    "its line");
	tap_is_str(r.fields[0].name, "a", "a name in lower case");
	tap_is_str(r.fields[0].value, "x", "a value trimmed");
	tap_is_str(r.fields[1].value, "", "or empty");
	tap_ok(h1resp_body(&r, false) == H1RESP_CLOSE, "without a length it lasts to the end");
	tap_ok(h1resp_body(&r, true) == H1RESP_NONE, "of HEAD there is none");
	tap_ok(parse("HTTP/1.1 204\r\nContent-Length: 7\r\n\r\n", &r, &why) &&
	        h1resp_body(&r, false) == H1RESP_NONE,
	    "204 has none whatever it says; a reason may be missing");
	tap_ok(parse("HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n", &r, &why) &&
	        r.content_length == 7 && h1resp_body(&r, false) == H1RESP_LENGTH,
	    "a length");
	tap_ok(parse("HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n", &r, &why) &&
	        h1resp_body(&r, false) == H1RESP_CHUNKED,
	    "chunks");
	tap_ok(parse("HTTP/1.0 200 \r\n\r\n", &r, &why) && r.close, "HTTP/1.0 closes");
	tap_ok(parse("HTTP/1.0 200 \r\nConnection: x, Keep-Alive\r\n\r\n", &r, &why) && !r.close,
	    "unless it says otherwise");
	tap_ok(parse("HTTP/1.1 200 \r\nConnection: close\r\n\r\n", &r, &why) && r.close,
	    "HTTP/1.1 may close");
}

static void bad(void)
{
	static const char *const all[][2] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		    "both" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "repeated" },
		{ "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "malformed" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n", "malformed" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "once" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", "once" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		    "once" },
		{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0" },
		{ "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "field" },
		{ "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "field" },
		{ "HTTP/1.1 200 OK\r\n: b\r\n\r\n", "field" },
		{ "HTTP/1.1 200 OK\r\nab\r\n\r\n", "field" },
		{ "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "field" },
		{ "HTTP/1.1 20 OK\r\n\r\n", "status line" },
		{ "HTTP/1.1 600 OK\r\n\r\n", "status line" },
		{ "HTTP/1.1\t200 OK\r\n\r\n", "status line" },
		{ "HTTP/1.1 200\tOK\r\n\r\n", "status line" },
		{ "HTTP/1.1 200 O\001K\r\n\r\n", "status line" },
		{ "HTTP/1.2 200 OK\r\n\r\n", "status line" },
		{ "HTTP/1.1 \r\n\r\n", "status line" },
	};
	struct h1resp r;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		const char *why;
		bool fine = parse(all[i][0], &r, &why);
		tap_ok(!fine && why && strstr(why, all[i][1]), "refused: %s: %s", all[i][0], why);
	}
	static const char *const early[] = { "h", "HTTP/2", "HTTP/0.9 200\r\n", "\r\n", "\n",
		"HTTP/1.1 200 OK\n", "\x16\x03\x01", "220 smtp", "HTTP/1.1 200 OK\r\nA: b\n" };
	for (size_t i = 0; i < COUNT_OF(early); i++)
		tap_is_i64(scan(early[i]), H1RESP_MALFORMED, "no answer at all: %s", early[i]);
	memset(head, 'a', sizeof head);
	memcpy(head, "HTTP/1.1 200 OK\r\nA: ", 20);
	head[1500] = 0;
	tap_is_i64(scan(head), H1RESP_TOO_LARGE, "a head of more than head_bytes");
	head[0] = 0;
	strncat(head, "HTTP/1.1 200 OK\r\n", 20);
	for (unsigned i = 0; i < 12; i++)
		strncat(head, "a:\r\n", 5);
	tap_is_i64(scan(head), H1RESP_TOO_LARGE, "more than so many fields");
}

int main(void)
{
	good();
	bad();
	return tap_done();
}
