#include "proto/proxyhdr.h"

#include <netinet/in.h>
#include <string.h>

#include "core/base/cidr.h"
#include "core/base/hash.h"
#include "core/base/num.h"

#define V2_SIGN     "\r\n\r\n\0\r\nQUIT\n"
#define V2_SIGN_LEN 12u
#define V2_HEAD     16u
#define V1_SIGN     "PROXY "
#define V1_SIGN_LEN 6u
#define V4_BYTES    12u /* of version 2: two addresses, two ports */
#define V6_BYTES    36u
#define TLV_HEAD    3u
#define TLV_CRC32C  3u

static enum proxyhdr_state bad(struct proxyhdr *out, const char *why)
{
	out->why = why;
	return PROXYHDR_BAD;
}

/* ---- version 1 ---- */

struct word {
	const char *text;
	size_t len;
};

/* The next word of a line; false when there is none, or more than one space. */
static bool word_next(const char **at, const char *end, struct word *w)
{
	const char *space = memchr(*at, ' ', (size_t)(end - *at)), *stop = space ? space : end;
	*w = (struct word){ *at, (size_t)(stop - *at) };
	*at = space ? space + 1 : end;
	return w->len > 0;
}

static bool port_of(const struct word *w, uint16_t *port)
{
	uint64_t n;
	if (w->len > 5 || num_parse_u64(w->text, w->len, &n) || n > UINT16_MAX)
		return false;
	*port = (uint16_t)n;
	return true;
}

static void set_port(struct sockaddr_storage *sa, uint16_t port)
{
	if (sa->ss_family == AF_INET)
		((struct sockaddr_in *)(void *)sa)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)(void *)sa)->sin6_port = htons(port);
}

/* line: behind "PROXY ", without its end. */
static enum proxyhdr_state v1_line(const char *line, const char *end, struct proxyhdr *out)
{
	struct word proto, src, dst, src_port, dst_port;
	struct sockaddr_storage to;
	uint16_t from_port, to_port;
	if (!word_next(&line, end, &proto))
		return bad(out, "the PROXY line names no protocol");
	if (proto.len == 7 && !memcmp(proto.text, "UNKNOWN", 7)) {
		out->local = true;
		return PROXYHDR_DONE;
	}
	bool v4 = proto.len == 4 && !memcmp(proto.text, "TCP4", 4);
	if (!v4 && (proto.len != 4 || memcmp(proto.text, "TCP6", 4) != 0))
		return bad(out, "the PROXY line names neither TCP4 nor TCP6 nor UNKNOWN");
	if (!word_next(&line, end, &src) || !word_next(&line, end, &dst) ||
	    !word_next(&line, end, &src_port) || !word_next(&line, end, &dst_port) || line != end ||
	    end[-1] == ' ')
		return bad(out, "the PROXY line has not two addresses and two ports");
	sa_family_t family = v4 ? AF_INET : AF_INET6;
	if (!cidr_address(src.text, src.len, &out->from) || out->from.ss_family != family ||
	    !cidr_address(dst.text, dst.len, &to) || to.ss_family != family)
		return bad(out, "the PROXY line has an address that is none of its protocol");
	if (!port_of(&src_port, &from_port) || !port_of(&dst_port, &to_port))
		return bad(out, "the PROXY line has a port that is none");
	set_port(&out->from, from_port);
	return PROXYHDR_DONE;
}

static enum proxyhdr_state v1_parse(const uint8_t *data, size_t len, struct proxyhdr *out)
{
	size_t look = len < PROXYHDR_V1_MAX ? len : PROXYHDR_V1_MAX;
	const uint8_t *cr = memchr(data, '\r', look);
	if (!cr && look == PROXYHDR_V1_MAX)
		return bad(out, "the PROXY line does not end within 107 bytes");
	if (!cr || cr + 1 == data + len)
		return cr && look == PROXYHDR_V1_MAX
		    ? bad(out, "the PROXY line does not end within 107 bytes")
		    : PROXYHDR_MORE;
	if (cr[1] != '\n' || (size_t)(cr - data) + 2 > PROXYHDR_V1_MAX)
		return bad(out, "the PROXY line does not end with CR LF");
	out->len = (size_t)(cr - data) + 2;
	return v1_line((const char *)data + V1_SIGN_LEN, (const char *)cr, out);
}

/* ---- version 2 ---- */

static bool crc_fits(const uint8_t *data, size_t len, size_t crc_at)
{
	static const uint8_t none[4];
	uint32_t crc = crc32c(0, data, crc_at);
	crc = crc32c(crc, none, sizeof(none));
	crc = crc32c(crc, data + crc_at + 4, len - crc_at - 4);
	const uint8_t *c = data + crc_at;
	return crc == ((uint32_t)c[0] << 24 | (uint32_t)c[1] << 16 | (uint32_t)c[2] << 8 | c[3]);
}

/* The fields from at on. */
static enum proxyhdr_state v2_fields(const uint8_t *data, size_t len, size_t at, struct proxyhdr *out)
{
	while (at < len) {
		if (len - at < TLV_HEAD)
			return bad(out, "a field of the PROXY header is cut off");
		size_t size = (size_t)data[at + 1] << 8 | data[at + 2];
		if (len - at - TLV_HEAD < size)
			return bad(out, "a field of the PROXY header is longer than the header");
		if (data[at] == TLV_CRC32C && (size != 4 || !crc_fits(data, len, at + TLV_HEAD)))
			return bad(out, "the checksum of the PROXY header does not fit");
		at += TLV_HEAD + size;
	}
	return PROXYHDR_DONE;
}

static void v2_from(bool v4, const uint8_t *addr, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (v4) {
		struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, addr, 4);
		memcpy(&in->sin_port, addr + 8, 2);
	} else {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)(void *)out;
		in->sin6_family = AF_INET6;
		memcpy(&in->sin6_addr, addr, 16);
		memcpy(&in->sin6_port, addr + 32, 2);
	}
}

static enum proxyhdr_state v2_parse(const uint8_t *data, size_t len, struct proxyhdr *out)
{
	if (len >= 13 && (data[12] >> 4 != 2 || (data[12] & 0xf) > 1))
		return bad(out, "the PROXY header has a version or command that is not known");
	if (len < V2_HEAD)
		return PROXYHDR_MORE;
	size_t whole = V2_HEAD + ((size_t)data[14] << 8 | data[15]);
	if (whole > PROXYHDR_MAX)
		return bad(out, "the PROXY header is longer than 4096 bytes");
	if (len < whole)
		return PROXYHDR_MORE;
	out->len = whole;
	bool v4 = data[13] == 0x11, v6 = data[13] == 0x21, command = data[12] & 1;
	size_t addresses = v4 ? V4_BYTES : V6_BYTES;
	if (!command || (!v4 && !v6)) {
		/* Without a command that says so, what is said of addresses is skipped whole. */
		out->local = true;
		return PROXYHDR_DONE;
	}
	if (whole - V2_HEAD < addresses)
		return bad(out, "the PROXY header is shorter than its addresses");
	v2_from(v4, data + V2_HEAD, &out->from);
	return v2_fields(data, whole, V2_HEAD + addresses, out);
}

enum proxyhdr_state proxyhdr_parse(const uint8_t *data, size_t len, struct proxyhdr *out)
{
	*out = (struct proxyhdr){ .local = false };
	size_t v1 = len < V1_SIGN_LEN ? len : V1_SIGN_LEN;
	size_t v2 = len < V2_SIGN_LEN ? len : V2_SIGN_LEN;
	if (!memcmp(data, V1_SIGN, v1))
		return v1 < V1_SIGN_LEN ? PROXYHDR_MORE : v1_parse(data, len, out);
	if (!memcmp(data, V2_SIGN, v2))
		return v2 < V2_SIGN_LEN ? PROXYHDR_MORE : v2_parse(data, len, out);
	return bad(out, "there is no PROXY header");
}
