/*
 * HTTP/1.1 heads and chunked bodies: what is understood, and every way we know to be misunderstood.
 */
#include <stdlib.h>

#include "proto/h1msg.h"
#include "tests/lib/tap.h"

static char head[70000];
static struct h1msg_field field_space[200];
static struct h1msg m = { .fields = field_space, .field_cap = 200 };
/* Small ones, so that they are met. */
static const struct h1msg_limits max = { .head_bytes = 16384, .fields = 100 };

/* Status of a head given as text: 0 = fine, 1 = more is needed. */
static int judge_mem(const char *text, size_t len)
{
	struct h1msg_scan s = { 0 };
	int n = h1msg_scan(&s, (const uint8_t *)text, len, &max);
	if (n < 0)
		return -n;
	if (!n)
		return 1;
	memcpy(head, text, (size_t)n);
	const char *why;
	int status = h1msg_parse(head, (size_t)n, &m, &why);
	if ((status != 0) != (why != NULL))
		return 9999;
	return status;
}
static int judge(const char *text)
{
	return judge_mem(text, strlen(text));
}

#define H "Host: a\r\n"
/* clang-format off */
static const struct {
	int status;
	const char *what, *text;
} cases[] = {
	{ 0, "a plain GET", "GET / HTTP/1.1\r\n" H "\r\n" },
	{ 0, "HTTP/1.0 needs no Host", "GET / HTTP/1.0\r\n\r\n" },
	{ 0, "one empty line in front", "\r\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ 0, "raw braces, quotes and UTF-8 in a query", "GET /q?query=up{job=\"x\xc3\xa4\"}[5m] HTTP/1.1\r\n" H "\r\n" },
	{ 0, "an absolute target", "GET http://b:1/x?y HTTP/1.1\r\n" H "\r\n" },
	{ 0, "an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n" },
	{ 0, "tabs and obs-text in a value", "GET / HTTP/1.1\r\n" H "X: a\tb\xff\r\n\r\n" },
	{ 0, "OPTIONS *", "OPTIONS * HTTP/1.1\r\n" H "\r\n" },
	{ 0, "a strange method is still a method", "BR3W! / HTTP/1.1\r\n" H "\r\n" },
	{ 0, "leading zeros in a length", "POST / HTTP/1.1\r\n" H "Content-Length: 007\r\n\r\n" },
	{ 0, "chunked in capitals", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n\r\n" },
	{ 0, "an empty value", "GET / HTTP/1.1\r\n" H "X:\r\n\r\n" },
	{ 1, "an unfinished head", "GET / HTTP/1.1\r\n" H "\r" },
	{ 1, "nothing", "" },
	{ 400, "two empty lines in front", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ 400, "a blank in front", " GET / HTTP/1.1\r\n" H "\r\n" },
	{ 400, "bare LF after the request line", "GET / HTTP/1.1\n" H "\r\n" },
	{ 400, "bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n" },
	{ 400, "bare LF as the end", "GET / HTTP/1.1\r\n" H "\n" },
	{ 400, "bare LF in front", "\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ 400, "bare CR inside a value", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n" },
	{ 400, "CR CR LF", "GET / HTTP/1.1\r\r\n" H "\r\n" },
	{ 400, "a folded line", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n" },
	{ 400, "a line folded by a tab", "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n" },
	{ 400, "a fold right after the request line", "GET / HTTP/1.1\r\n X: b\r\n" H "\r\n" },
	{ 400, "a space before the colon", "POST / HTTP/1.1\r\n" H "Content-Length : 5\r\n\r\n" },
	{ 400, "a tab before the colon", "POST / HTTP/1.1\r\n" H "Transfer-Encoding\t: chunked\r\n\r\n" },
	{ 400, "no colon", "GET / HTTP/1.1\r\n" H "Nonsense\r\n\r\n" },
	{ 400, "an empty name", "GET / HTTP/1.1\r\n" H ": x\r\n\r\n" },
	{ 400, "brackets in a name", "GET / HTTP/1.1\r\n" H "X[0]: x\r\n\r\n" },
	{ 400, "a byte over 127 in a name", "GET / HTTP/1.1\r\n" H "X\xc3: x\r\n\r\n" },
	{ 400, "a control character in a value", "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n" },
	{ 400, "DEL in a value", "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n" },
	{ 400, "no target", "GET HTTP/1.1\r\n" H "\r\n" },
	{ 400, "an empty target", "GET  HTTP/1.1\r\n" H "\r\n" },
	{ 400, "a relative target", "GET foo HTTP/1.1\r\n" H "\r\n" },
	{ 400, "a blank in the target", "GET /a b HTTP/1.1\r\n" H "\r\n" },
	{ 400, "a tab in the target", "GET /a\tb HTTP/1.1\r\n" H "\r\n" },
	{ 400, "a fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n" },
	{ 400, "GET *", "GET * HTTP/1.1\r\n" H "\r\n" },
	{ 400, "CONNECT", "CONNECT a:80 HTTP/1.1\r\n" H "\r\n" },
	{ 400, "user information in an absolute target", "GET http://u@b/ HTTP/1.1\r\n" H "\r\n" },
	{ 400, "an absolute target without a host", "GET http:///x HTTP/1.1\r\n" H "\r\n" },
	{ 400, "no version", "GET /\r\n" H "\r\n" },
	{ 400, "a version in small letters", "GET / http/1.1\r\n" H "\r\n" },
	{ 400, "a long version", "GET / HTTP/1.10\r\n" H "\r\n" },
	{ 400, "a short version", "GET / HTTP/1.\r\n" H "\r\n" },
	{ 400, "a blank behind the version", "GET / HTTP/1.1 \r\n" H "\r\n" },
	{ 505, "HTTP/2.0 in text", "GET / HTTP/2.0\r\n" H "\r\n" },
	{ 505, "HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n" },
	{ 505, "HTTP/0.9", "GET / HTTP/0.9\r\n" H "\r\n" },
	{ 400, "a method with a slash", "G/T / HTTP/1.1\r\n" H "\r\n" },
	{ 400, "no Host in HTTP/1.1", "GET / HTTP/1.1\r\n\r\n" },
	{ 400, "two Hosts", "GET / HTTP/1.1\r\n" H H "\r\n" },
	{ 400, "a Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
	{ 400, "a Host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
	{ 400, "length and chunked", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ 400, "chunked and length", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" },
	{ 400, "two lengths that differ", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\n" },
	{ 400, "two lengths that agree", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n" },
	{ 400, "a list of lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n" },
	{ 400, "a length with a sign", "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\n" },
	{ 400, "a negative length", "POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\n" },
	{ 400, "a hexadecimal length", "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\n" },
	{ 400, "an empty length", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n" },
	{ 400, "a length over 64 bits", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551619\r\n\r\n" },
	{ 400, "a length over 63 bits", "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n" },
	{ 400, "two transfer codings", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ 501, "chunked twice", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n" },
	{ 501, "gzip as a transfer coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n" },
	{ 501, "identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n" },
	{ 501, "xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n" },
	{ 501, "quoted chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n" },
	{ 400, "vertical tab before chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \vchunked\r\n\r\n" },
	{ 400, "an empty transfer coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n" },
	{ 400, "chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ 417, "another expectation", "POST / HTTP/1.1\r\n" H "Expect: wonders\r\n\r\n" },
	{ 400, "a TLS hello", "\x16\x03\x01\x02" },
};
/* clang-format on */

static void heads(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		tap_is_i64(judge(cases[i].text), cases[i].status, "%s", cases[i].what);
	tap_is_i64(
	    judge_mem("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 36), 400, "NUL in a value");
	tap_is_i64(judge_mem("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 29), 400, "NUL in a target");
	tap_is_i64(judge_mem("GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n", 29), 400, "NUL in a name");
}

static void meaning(void)
{
	tap_is_i64(
	    judge("POST /a%2Fb?x=1?&y HTTP/1.1\r\nHOST:\t h:1 \r\nContent-LENGTH: 12\r\nExpect: 100-Continue\r\nConnection: foo , Close\r\nX-y: 1\r\n\r\nbody"),
	    0, "a full head is understood");
	tap_is_mem(m.method, m.method_len, "POST", 4, "its method");
	tap_is_mem(m.path, m.path_len, "/a%2Fb", 6, "its raw path");
	tap_is_mem(m.query, m.query_len, "x=1?&y", 6, "its query, to the end");
	tap_is_mem(m.host, m.host_len, "h:1", 3, "its host, trimmed");
	tap_is_i64(m.content_length, 12, "its length");
	TAP_OK(m.minor == 1 && m.close && m.expect_continue && !m.chunked && m.field_count == 5);
	tap_is_str(m.fields[1].name, "content-length", "names are in lower case");
	tap_is_str(m.fields[4].value, "1", "values are strings");
	judge("GET http://b:1?q HTTP/1.1\r\n" H "\r\n");
	tap_is_mem(m.path, m.path_len, "/", 1, "an absolute target without a path is the root");
	tap_is_mem(m.query, m.query_len, "q", 1, "with its query");
	tap_is_mem(m.host, m.host_len, "b:1", 3, "and its authority wins over Host");
	judge("GET / HTTP/1.1\r\n" H "\r\n");
	TAP_OK(!m.close && m.content_length == -1 && m.query_len == 0);
	judge("GET / HTTP/1.0\r\n\r\n");
	tap_ok(m.close, "HTTP/1.0 closes");
	judge("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nExpect: 100-continue\r\n\r\n");
	tap_ok(!m.close, "unless it wants to be kept");
	tap_ok(!m.expect_continue, "and never waits for 100 Continue");
	judge("GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n");
	tap_ok(m.close, "close wins over keep-alive, over two fields");
}

static void sizes(void)
{
	static char text[70000];
	memset(text, 0, sizeof text);
	memcpy(text, "GET /", 5);
	memset(text + 5, 'a', 16350);
	strcpy(text + 16355, " HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64((int64_t)(strstr(text, "\r\n\r\n") - text + 4), 16377, "(a head of 16,377 bytes)");
	tap_is_i64(judge(text), 0, "a request line may take all of a head");
	memset(text + 5, 'a', 16370);
	strcpy(text + 16375, " HTTP/1.1\r\nHost: a\r\n\r\n");
	tap_is_i64(judge(text), 414, "but not more");
	memset(text, 'a', 16384);
	tap_is_i64(judge_mem(text, 16384), 414, "told before its end has come");
	for (unsigned fields = 99; fields <= 101; fields++) {
		char *p = text + sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
		for (unsigned i = 1; i < fields; i++)
			p += sprintf(p, "a: b\r\n");
		strcpy(p, "\r\n");
		tap_is_i64(judge(text), fields <= 100 ? 0 : 431, "%u fields", fields);
	}
	char *p = text + sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	size_t fill = 16384 - (size_t)(p - text) - 4;
	memset(p, 'x', fill);
	strcpy(p + fill, "\r\n\r\n");
	tap_is_i64(judge(text), 0, "a head of 16,384 bytes");
	memset(p, 'x', fill + 1);
	strcpy(p + fill + 1, "\r\n\r\n");
	tap_is_i64(judge(text), 431, "one more is too large");
	tap_is_i64(judge_mem(text, 16384), 431, "told before its end has come");
}

static void byte_by_byte(void)
{
	unsigned wrong = 0;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *t = cases[i].text;
		struct h1msg_scan whole = { 0 }, slow = { 0 };
		int want = h1msg_scan(&whole, (const uint8_t *)t, strlen(t), &max), got = 0;
		for (size_t n = 1; n <= strlen(t) && !got; n++)
			got = h1msg_scan(&slow, (const uint8_t *)t, n, &max);
		wrong += got != want;
	}
	tap_is_u64(wrong, 0, "heads that come byte by byte are judged the same");
}

/* ---- chunked ---- */

static char body[4096];
static size_t body_len, body_used;

static enum h1chunk_result unchunk(const char *text, size_t len, size_t piece)
{
	struct h1chunk c = { 0 };
	body_len = body_used = 0;
	enum h1chunk_result r = H1CHUNK_MORE;
	for (size_t at = 0; at < len;) {
		size_t n = len - at < piece ? len - at : piece, used, got;
		const uint8_t *data;
		r = h1chunk_next(&c, (const uint8_t *)text + at, n, &used, &data, &got);
		if (got)
			memcpy(body + body_len, data, got);
		body_len += got;
		at += used;
		body_used = at;
		if (r == H1CHUNK_END || r == H1CHUNK_BAD)
			break;
	}
	return r == H1CHUNK_DATA ? H1CHUNK_MORE : r;
}

/* clang-format off */
static const struct {
	enum h1chunk_result r;
	const char *what, *text, *body;
} bodies[] = {
	{ H1CHUNK_END, "an empty body", "0\r\n\r\n", "" },
	{ H1CHUNK_END, "two chunks", "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", "abc0123456789" },
	{ H1CHUNK_END, "extensions", "3;a=b;c=\"d;e\"\r\nabc\r\n0;x\r\n\r\n", "abc" },
	{ H1CHUNK_END, "blanks before an extension", "3 \t;a\r\nabc\r\n0\r\n\r\n", "abc" },
	{ H1CHUNK_END, "trailers", "1\r\na\r\n0\r\nX-Sum: 12\r\nY:\r\n\r\n", "a" },
	{ H1CHUNK_MORE, "an unfinished chunk", "5\r\nab", "ab" },
	{ H1CHUNK_MORE, "an unfinished end", "0\r\n\r", "" },
	{ H1CHUNK_BAD, "no digits", "\r\n\r\n", "" },
	{ H1CHUNK_BAD, "a sign", "+3\r\nabc\r\n0\r\n\r\n", "" },
	{ H1CHUNK_BAD, "a minus", "-1\r\n", "" },
	{ H1CHUNK_BAD, "0x", "0x3\r\nabc\r\n0\r\n\r\n", "" },
	{ H1CHUNK_BAD, "nine digits", "000000003\r\nabc\r\n", "" },
	{ H1CHUNK_BAD, "a size over 64 bits", "10000000000000003\r\nabc\r\n", "" },
	{ H1CHUNK_BAD, "a blank before the size", " 3\r\nabc\r\n0\r\n\r\n", "" },
	{ H1CHUNK_BAD, "a blank behind the size", "3 \r\nabc\r\n0\r\n\r\n", "" },
	{ H1CHUNK_BAD, "an underscore", "1_0\r\n", "" },
	{ H1CHUNK_BAD, "bare LF behind the size", "3\nabc\r\n0\r\n\r\n", "" },
	{ H1CHUNK_BAD, "bare CR behind the size", "3\rabc\r\n0\r\n\r\n", "" },
	{ H1CHUNK_BAD, "bare LF behind the data", "3\r\nabc\n0\r\n\r\n", "abc" },
	{ H1CHUNK_BAD, "more data than said", "3\r\nabcd\r\n0\r\n\r\n", "abc" },
	{ H1CHUNK_BAD, "LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n", "" },
	{ H1CHUNK_BAD, "a folded trailer", "0\r\nX: a\r\n b\r\n\r\n", "" },
	{ H1CHUNK_BAD, "a trailer without a name", "0\r\n: a\r\n\r\n", "" },
	{ H1CHUNK_BAD, "a space before the colon of a trailer", "0\r\nX : a\r\n\r\n", "" },
	{ H1CHUNK_BAD, "bare LF in trailers", "0\r\nX: a\n\r\n", "" },
	{ H1CHUNK_BAD, "bare LF as the end", "0\r\n\n", "" },
};
/* clang-format on */

static void chunks(void)
{
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		size_t len = strlen(bodies[i].text);
		bool same = true;
		for (size_t piece = 1; piece <= len; piece++)
			same &= unchunk(bodies[i].text, len, piece) == bodies[i].r &&
			    body_len == strlen(bodies[i].body) &&
			    !memcmp(body, bodies[i].body, body_len);
		tap_ok(same, "chunked body, %s: in pieces of any size", bodies[i].what);
	}
	unchunk("1\r\na\r\n0\r\n\r\nGET /", 16, 100);
	tap_is_u64(body_used, 11, "what follows the body is left alone");
	static char text[40000];
	size_t n = (size_t)sprintf(text, "1;");
	memset(text + n, 'x', 20000);
	tap_is_i64(unchunk(text, n + 20000, 4096), H1CHUNK_BAD, "extensions have a limit");
	n = (size_t)sprintf(text, "0\r\nX:");
	memset(text + n, 'x', 20000);
	tap_is_i64(unchunk(text, n + 20000, 4096), H1CHUNK_BAD, "trailers have a limit");
}

int main(void)
{
	heads();
	meaning();
	sizes();
	byte_by_byte();
	chunks();
	return tap_done();
}
