/* Headers of the PROXY protocol: good ones, cut anywhere, and every way to be wrong. */
#include "proto/proxyhdr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cidr.h"
#include "core/base/hash.h"
#include "tests/lib/tap.h"

#define SIGN "\r\n\r\n\0\r\nQUIT\n"

/* In memory of its own size, so that a sanitizer sees reads behind it. */
static enum proxyhdr_state parse(const void *data, size_t len, struct proxyhdr *out)
{
	uint8_t *own = malloc(len ? len : 1);
	memcpy(own, data, len);
	enum proxyhdr_state s = proxyhdr_parse(own, len, out);
	free(own);
	return s;
}

static unsigned port_of(const struct sockaddr_storage *sa)
{
	return ntohs(sa->ss_family == AF_INET
	        ? ((const struct sockaddr_in *)(const void *)sa)->sin_port
	        : ((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
}

/* from: "192.0.2.1 4711"; NULL: local. */
static void good(const char *what, const void *data, size_t len, const char *from)
{
	struct proxyhdr h;
	char text[128] = "local", addr[CIDR_TEXT_MAX];
	uint8_t more[PROXYHDR_MAX + 64];
	memcpy(more, data, len);
	memset(more + len, 'x', 32);
	enum proxyhdr_state s = parse(more, len + 32, &h);
	if (s == PROXYHDR_DONE && !h.local) {
		cidr_address_text(&h.from, addr);
		snprintf(text, sizeof text, "%s %u", addr, port_of(&h.from));
	}
	tap_ok(s == PROXYHDR_DONE && h.len == len && !strcmp(text, from ? from : "local"),
	    "%s: %s, %zu bytes (%s)", what, text, h.len, s == PROXYHDR_BAD ? h.why : "fine");
	size_t cut = 0;
	while (cut < len && parse(data, cut, &h) == PROXYHDR_MORE)
		cut++;
	tap_is_u64(cut, len, "%s: any part of it wants more", what);
}

static void bad(const char *what, const void *data, size_t len, const char *why)
{
	struct proxyhdr h;
	enum proxyhdr_state s = parse(data, len, &h);
	tap_ok(s == PROXYHDR_BAD && strstr(h.why, why), "%s: %s", what,
	    s == PROXYHDR_BAD ? h.why : "taken");
}

#define GOOD1(text, from)   good(text, text "\r\n", strlen(text) + 2, from)
#define BAD1(text, why)     bad(text, text, strlen(text), why)
#define BAD1_END(text, why) bad(text, text "\r\n", strlen(text) + 2, why)

static void version1(void)
{
	GOOD1("PROXY TCP4 192.0.2.1 198.51.100.2 4711 443", "192.0.2.1 4711");
	GOOD1("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", "255.255.255.255 65535");
	GOOD1("PROXY TCP6 2001:db8::1 2001:db8::2 1 2", "2001:db8::1 1");
	GOOD1("PROXY UNKNOWN", NULL);
	GOOD1("PROXY UNKNOWN ffff:f:f:f:f:f:f:ffff ffff:f:f:f:f:f:f:ffff 65535 65535", NULL);
	BAD1("GET / HTTP/1.1\r\n", "no PROXY header");
	BAD1("\x16\x03\x01", "no PROXY header");
	BAD1("PROXY TCP4 1.1.1.1\rx", "CR LF");
	BAD1_END("PROXY TCP4 192.0.2.1  198.51.100.2 4711 443", "two addresses");
	BAD1_END("PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 ", "two addresses");
	BAD1_END("PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 9", "two addresses");
	BAD1_END("PROXY TCP4 192.0.2.1 198.51.100.2 4711", "two addresses");
	BAD1_END("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443", "port");
	BAD1_END("PROXY TCP4 192.0.2.1 198.51.100.2 -1 443", "port");
	BAD1_END("PROXY TCP4 192.0.2 198.51.100.2 1 443", "address");
	BAD1_END("PROXY TCP4 2001:db8::1 2001:db8::2 1 2", "address");
	BAD1_END("PROXY TCP6 192.0.2.1 198.51.100.2 1 2", "address");
	BAD1_END("PROXY UDP4 192.0.2.1 198.51.100.2 1 2", "neither");
	BAD1_END("PROXY ", "no protocol");
	char text[300];
	memset(text, 'x', sizeof text);
	memcpy(text, "PROXY UNKNOWN ", 14);
	bad("a long line", text, 107, "107");
	memcpy(text + 105, "\r\n", 2);
	good("a line of 107 bytes", text, 107, NULL);
}

static size_t v2(uint8_t *out, uint8_t command, uint8_t family, const void *rest, size_t len)
{
	memcpy(out, SIGN, 12);
	out[12] = command;
	out[13] = family;
	out[14] = (uint8_t)(len >> 8);
	out[15] = (uint8_t)len;
	memcpy(out + 16, rest, len);
	return 16 + len;
}

#define V4 "\xc0\0\2\1\xc6\x33\x64\2\x12\x67\1\xbb"
#define V6                                                                                         \
 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x12\x67\1\xbb"

static void version2(void)
{
	uint8_t b[PROXYHDR_MAX + 64], rest[PROXYHDR_MAX] = { 0 };
	good("IPv4", b, v2(b, 0x21, 0x11, V4, 12), "192.0.2.1 4711");
	good("IPv6", b, v2(b, 0x21, 0x21, V6, 36), "2001:db8::1 4711");
	good("with fields", b, v2(b, 0x21, 0x11, V4 "\4\0\2ab\x20\0\0", 20), "192.0.2.1 4711");
	good("LOCAL", b, v2(b, 0x20, 0, "", 0), NULL);
	good("LOCAL with anything", b, v2(b, 0x20, 0x77, "\1\2\3", 3), NULL);
	good("no addresses", b, v2(b, 0x21, 0, "", 0), NULL);
	memcpy(rest, "/socket", 7);
	good("sockets of the file system", b, v2(b, 0x21, 0x31, rest, 216), NULL);
	memcpy(rest, V4, 12);
	rest[12] = 4; /* one field, to the end */
	rest[13] = (uint8_t)((PROXYHDR_MAX - 16 - 15) >> 8);
	rest[14] = (uint8_t)(PROXYHDR_MAX - 16 - 15);
	good("as long as may be", b, v2(b, 0x21, 0x11, rest, PROXYHDR_MAX - 16), "192.0.2.1 4711");
	bad("longer", b, (v2(b, 0x21, 0x11, rest, PROXYHDR_MAX - 15), 16), "longer than 4096");
	bad("version 1 in binary", b, v2(b, 0x11, 0x11, V4, 12), "version or command");
	bad("an unknown command", b, v2(b, 0x22, 0x11, V4, 12), "version or command");
	bad("addresses cut off", b, v2(b, 0x21, 0x11, V4, 11), "shorter");
	bad("IPv6 as long as IPv4", b, v2(b, 0x21, 0x21, V4, 12), "shorter");
	bad("half a field", b, v2(b, 0x21, 0x11, V4 "\4\0", 14), "cut off");
	bad("a field too long", b, v2(b, 0x21, 0x11, V4 "\4\0\3ab", 17), "longer than the header");
	size_t len = v2(b, 0x21, 0x11, V4 "\3\0\4\0\0\0\0\4\0\1x", 23);
	uint32_t crc = crc32c(0, b, len);
	for (int i = 0; i < 4; i++)
		b[31 + i] = (uint8_t)(crc >> (24 - 8 * i));
	good("a checksum that fits", b, len, "192.0.2.1 4711");
	b[20] ^= 1;
	bad("one that does not", b, len, "checksum");
	bad("one of three bytes", b, v2(b, 0x21, 0x11, V4 "\3\0\3abc", 18), "checksum");
}

int main(void)
{
	version1();
	version2();
	return tap_done();
}
