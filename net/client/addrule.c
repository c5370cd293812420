#include "net/client/addrule.h"

#include <netinet/in.h>
#include <string.h>

struct net4 {
	uint32_t net;
	uint8_t bits;
	enum addrule_kind kind;
};
#define IP4(a, b, c, d)                                                                            \
 ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
static const struct net4 nets4[] = {
	{ IP4(0, 0, 0, 0), 8, ADDRULE_LOOPBACK }, { IP4(10, 0, 0, 0), 8, ADDRULE_PRIVATE },
	{ IP4(100, 64, 0, 0), 10, ADDRULE_PRIVATE }, { IP4(127, 0, 0, 0), 8, ADDRULE_LOOPBACK },
	{ IP4(169, 254, 0, 0), 16, ADDRULE_LINK_LOCAL }, { IP4(172, 16, 0, 0), 12, ADDRULE_PRIVATE },
	{ IP4(192, 0, 0, 0), 24, ADDRULE_SPECIAL }, { IP4(192, 0, 2, 0), 24, ADDRULE_SPECIAL },
	{ IP4(192, 168, 0, 0), 16, ADDRULE_PRIVATE }, { IP4(198, 18, 0, 0), 15, ADDRULE_SPECIAL },
	{ IP4(198, 51, 100, 0), 24, ADDRULE_SPECIAL }, { IP4(203, 0, 113, 0), 24, ADDRULE_SPECIAL },
	{ IP4(224, 0, 0, 0), 3, ADDRULE_SPECIAL }, /* multicast, reserved, broadcast */
};

struct net6 {
	uint8_t net[16];
	uint8_t bits;
	enum addrule_kind kind;
};
static const struct net6 nets6[] = {
	{ { 0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 }, 128, ADDRULE_LINK_LOCAL },
	{ { [15] = 1 }, 128, ADDRULE_LOOPBACK }, { { 0 }, 128, ADDRULE_LOOPBACK },
	{ { 0xfe, 0x80 }, 10, ADDRULE_LINK_LOCAL },
	{ { 0xfe, 0xc0 }, 10, ADDRULE_PRIVATE }, /* site-local, deprecated */
	{ { 0xfc }, 7, ADDRULE_PRIVATE }, { { 0xff }, 8, ADDRULE_SPECIAL },
	{ { 0x20, 0x01, 0, 0 }, 23, ADDRULE_SPECIAL }, /* Teredo, ORCHID, benchmarks */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, ADDRULE_SPECIAL },
	{ { 0x01 }, 64, ADDRULE_SPECIAL }, /* discard only */
};
/* What carries an IPv4 address, and where. */
static const struct {
	uint8_t net[12];
	uint8_t bits, at;
} carriers[] = {
	{ { [10] = 0xff, [11] = 0xff }, 96, 12 },
	{ { 0 }, 96, 12 },
	{ { 0, 0x64, 0xff, 0x9b }, 96, 12 },
	{ { 0x20, 0x02 }, 16, 2 },
};

static bool within(const uint8_t *ip, const uint8_t *net, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(ip, net, whole) != 0)
		return false;
	return !rest || ((ip[whole] ^ net[whole]) >> (8 - rest)) == 0;
}

static enum addrule_kind kind4(const uint8_t *ip)
{
	uint32_t a = IP4(ip[0], ip[1], ip[2], ip[3]);
	for (size_t i = 0; i < COUNT_OF(nets4); i++)
		if ((a ^ nets4[i].net) >> (32 - nets4[i].bits) == 0)
			return nets4[i].kind;
	return ADDRULE_PUBLIC;
}

static enum addrule_kind kind6(const uint8_t *ip)
{
	for (size_t i = 0; i < COUNT_OF(nets6); i++)
		if (within(ip, nets6[i].net, nets6[i].bits))
			return nets6[i].kind;
	for (size_t i = 0; i < COUNT_OF(carriers); i++)
		if (within(ip, carriers[i].net, carriers[i].bits))
			return kind4(ip + carriers[i].at);
	return ADDRULE_PUBLIC;
}

enum addrule_kind addrule_kind(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return kind4(
		    (const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr);
	if (sa->sa_family == AF_INET6)
		return kind6(
		    (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
	return ADDRULE_SPECIAL;
}

const char *addrule_refuses(const struct sockaddr *sa, bool public_only)
{
	switch (addrule_kind(sa)) {
	case ADDRULE_LINK_LOCAL:
		return "link-local addresses (metadata services) are never asked";
	case ADDRULE_LOOPBACK:
		return public_only ? "loopback addresses are refused here" : NULL;
	case ADDRULE_PRIVATE:
		return public_only ? "private addresses are refused here" : NULL;
	case ADDRULE_SPECIAL:
		return public_only ? "special addresses are refused here" : NULL;
	case ADDRULE_PUBLIC:
		break;
	}
	return NULL;
}
