#include "core/base/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/num.h"

#define V4_BITS 96u

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* The 16 bytes of an address; false for other families. */
static bool bytes_of(const struct sockaddr_storage *sa, uint8_t out[16])
{
	if (sa->ss_family == AF_INET6) {
		memcpy(out, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		return true;
	}
	if (sa->ss_family != AF_INET)
		return false;
	memcpy(out, v4_prefix, sizeof(v4_prefix));
	memcpy(out + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	return true;
}

bool cidr_address(const char *text, size_t len, struct sockaddr_storage *out)
{
	char host[INET6_ADDRSTRLEN];
	if (!len || len >= sizeof(host) || memchr(text, 0, len))
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	memset(out, 0, sizeof(*out));
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		out->ss_family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
		return false;
	out->ss_family = AF_INET6;
	return true;
}

void cidr_address_text(const struct sockaddr_storage *sa, char out[CIDR_TEXT_MAX])
{
	const void *addr = sa->ss_family == AF_INET6
	    ? (const void *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr
	    : (const void *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	if ((sa->ss_family != AF_INET && sa->ss_family != AF_INET6) ||
	    !inet_ntop(sa->ss_family, addr, out, CIDR_TEXT_MAX))
		snprintf(out, CIDR_TEXT_MAX, "?");
}

static enum err bad(const char *text, size_t len, struct errbuf *eb)
{
	return errbuf_set(eb, ERR_BADDATA,
	    "\"%.*s\" is not an IP address or a network such as 10.0.0.0/8 or 2001:db8::/32",
	    (int)(len < 100 ? len : 100), text);
}

enum err cidr_parse(const char *text, size_t len, struct cidr *out, struct errbuf *eb)
{
	const char *slash = memchr(text, '/', len);
	size_t host_len = slash ? (size_t)(slash - text) : len;
	struct sockaddr_storage sa;
	if (!cidr_address(text, host_len, &sa))
		return bad(text, len, eb);
	uint64_t most = sa.ss_family == AF_INET ? 32 : 128, bits = most;
	size_t digits = slash ? len - host_len - 1 : 0;
	if (slash && (!digits || num_parse_u64(slash + 1, digits, &bits) || bits > most))
		return bad(text, len, eb);
	if (!bytes_of(&sa, out->addr))
		return bad(text, len, eb);
	out->bits = (uint8_t)(bits + (most == 32 ? V4_BITS : 0));
	for (unsigned i = 0; i < 128; i++)
		if (i >= out->bits)
			out->addr[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	return 0;
}

void cidr_text(const struct cidr *c, char out[CIDR_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool v4 = c->bits >= V4_BITS && !memcmp(c->addr, v4_prefix, sizeof(v4_prefix));
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? c->addr + 12 : c->addr, host, sizeof(host));
	snprintf(out, CIDR_TEXT_MAX, "%s/%u", host, v4 ? c->bits - V4_BITS : c->bits);
}

static bool match(const struct cidr *c, const uint8_t addr[16])
{
	size_t whole = c->bits / 8u;
	unsigned rest = c->bits % 8u;
	if (memcmp(c->addr, addr, whole))
		return false;
	return !rest || !((c->addr[whole] ^ addr[whole]) >> (8 - rest));
}

bool cidr_match(const struct cidr *c, const struct sockaddr_storage *sa)
{
	uint8_t addr[16];
	return bytes_of(sa, addr) && match(c, addr);
}

void cidr_set_add(struct cidr_set *s, const struct cidr *c)
{
	s->rows = mem_array(s->rows, s->count + 1, sizeof(*s->rows));
	s->rows[s->count++] = *c;
}

void cidr_set_copy(struct cidr_set *to, const struct cidr_set *from)
{
	*to = (struct cidr_set){ .count = from ? from->count : 0 };
	if (!to->count)
		return;
	to->rows = mem_array(NULL, to->count, sizeof(*to->rows));
	memcpy(to->rows, from->rows, to->count * sizeof(*to->rows));
}

void cidr_set_release(struct cidr_set *s)
{
	mem_free(s->rows);
	*s = (struct cidr_set){ .count = 0 };
}

bool cidr_set_has(const struct cidr_set *s, const struct sockaddr_storage *sa)
{
	uint8_t addr[16];
	if (!s || !s->count || !bytes_of(sa, addr))
		return false;
	for (size_t i = 0; i < s->count; i++)
		if (match(&s->rows[i], addr))
			return true;
	return false;
}
