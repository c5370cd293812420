/*
 * proxyhdr - the header that a load balancer sends before everything else: "The PROXY protocol,
 * Versions 1 & 2" (haproxy).
 *
 *   version 1   "PROXY TCP4 192.0.2.1 198.51.100.2 40312 9470\r\n", TCP6, or UNKNOWN
 *   version 2   12 bytes "\r\n\r\n\0\r\nQUIT\n", version and command, family and transport, length
 *               of the rest; addresses; then fields of type, length, value (TLV)
 *
 * Addresses that no client of ours can have (sockets of the file system, none at all), and the
 * proxy's own connections (LOCAL) count as local: the connection is the proxy's. Fields are
 * skipped; a checksum (PP2_TYPE_CRC32C) must fit when it is there.
 *
 * Pure. Thread: any. Memory: nothing is kept.
 */
#ifndef PROTO_PROXYHDR_H
#define PROTO_PROXYHDR_H

#include <sys/socket.h>

#include "core/base/check.h"

#define PROXYHDR_V1_MAX 107u
/* Version 2 may be 64 KiB long; what proxies send, certificates included, is much less. */
#define PROXYHDR_MAX 4096u

enum proxyhdr_state {
	PROXYHDR_MORE, /* it is one so far */
	PROXYHDR_DONE,
	PROXYHDR_BAD
};
struct proxyhdr {
	bool local;
	struct sockaddr_storage from; /* the client; unless local */
	size_t len;                   /* of the header; what stands behind it is not its */
	const char *why;              /* PROXYHDR_BAD: what is wrong */
};
/* data: from the first byte of the connection on. */
enum proxyhdr_state proxyhdr_parse(const uint8_t *data, size_t len, struct proxyhdr *out);

#endif
