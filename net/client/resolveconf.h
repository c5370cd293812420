/*
 * resolveconf - what resolv.conf(5) and hosts(5) say, read once into an immutable table.
 *
 * Known of resolv.conf: nameserver (at most RESOLVECONF_SERVERS, IPv6 without a zone), search and
 * domain, options ndots, timeout, attempts, rotate. What is not known is passed over, as everybody
 * does. Without a server it is 127.0.0.1, without either file nothing else is known.
 * localhost and what ends with .localhost is this host, whatever DNS says (RFC 6761, 6.3).
 *
 * Thread: resolveconf_load reads files: before loops serve, or a worker. The rest any, at the same
 * time. Memory: the caller's (resolveconf_free).
 */
#ifndef NET_CLIENT_RESOLVECONF_H
#define NET_CLIENT_RESOLVECONF_H

#include <sys/socket.h>

#include "core/base/err.h"

#define RESOLVECONF_SERVERS 3u /* MAXNS of resolv.conf(5) */
#define RESOLVECONF_DOMAINS 6u
#define RESOLVECONF_ADDRS   16u /* of one name in hosts */
#define RESOLVECONF_NAMES   100000u
#define RESOLVECONF_BYTES   (8u << 20) /* of either file */

struct resolveconf_addr {
	sa_family_t family; /* AF_INET: 4 bytes, AF_INET6: 16 */
	uint8_t ip[16];
};
struct resolveconf_server {
	struct resolveconf_addr addr;
	uint16_t port; /* 53 */
};
struct resolve_conf {
	struct resolveconf_server servers[RESOLVECONF_SERVERS];
	size_t server_count;
	char *domains[RESOLVECONF_DOMAINS];
	size_t domain_count;
	unsigned ndots, attempts;
	uint32_t timeout_ms; /* of one attempt */
	bool rotate;
	/* Of resolveconf.c: sorted by name. */
	struct resolveconf_host *_hosts;
	size_t _host_count, _host_cap;
};
/* NULL: /etc/resolv.conf, /etc/hosts. Fails only when a file that is there cannot be read. */
MUST_CHECK enum err resolveconf_load(
    const char *resolv_path, const char *hosts_path, struct resolve_conf **out, struct errbuf *eb);
void resolveconf_free(struct resolve_conf *c);
/* What hosts says of name (any case), at most cap addresses; their number, 0 = nothing. */
size_t resolveconf_host(
    const struct resolve_conf *c, const char *name, struct resolveconf_addr *out, size_t cap);

#endif
