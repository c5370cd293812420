/*
 * addrule - what kind of place an address is, and whether requests of ours may go there.
 *
 * Addresses that carry an IPv4 address (mapped, compatible, NAT64's 64:ff9b::/96, 6to4) are that
 * one: the network would take us there. Sources: RFC 6890 (special-purpose addresses), RFC 4291,
 * 6052, 3056, 4193. Pure.
 */
#ifndef NET_CLIENT_ADDRULE_H
#define NET_CLIENT_ADDRULE_H

#include <sys/socket.h>

#include "core/base/check.h"

enum addrule_kind {
	ADDRULE_PUBLIC,
	ADDRULE_LOOPBACK,   /* this host, 0.0.0.0 and :: too: Linux connects to itself there */
	ADDRULE_PRIVATE,    /* RFC 1918, 100.64.0.0/10, unique local */
	ADDRULE_LINK_LOCAL, /* metadata services of clouds, fd00:ec2::254 of them too */
	ADDRULE_SPECIAL     /* multicast, reserved, documentation, benchmarks, Teredo */
};
/* sa: AF_INET or AF_INET6; anything else is special. */
enum addrule_kind addrule_kind(const struct sockaddr *sa);
/* Why not, in words; NULL: it may be. public_only: HCLIENT_PUBLIC. */
const char *addrule_refuses(const struct sockaddr *sa, bool public_only);

#endif
