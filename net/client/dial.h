/*
 * dial - a TCP connection to one of several addresses, the first that answers (RFC 8305,
 * simplified).
 *
 * Families take turns, IPv6 first. The next address is tried DIAL_NEXT_MS after the one before, or
 * at once when that one failed; the first that connects wins, the others are closed. Each address
 * is looked at by addrule first, unless the caller vouches for them. done() comes once, never
 * below dial_start, unless dial_cancel() came first; there is no deadline here. Thread: the
 * loop's. Memory: the handle lives until done() or cancel.
 */
#ifndef NET_CLIENT_DIAL_H
#define NET_CLIENT_DIAL_H

#include "core/base/err.h"
#include "core/rt/loop.h"
#include "net/client/resolveconf.h"

#define DIAL_NEXT_MS  250u /* RFC 8305, 5 */
#define DIAL_TEXT_MAX 512u

struct dial;
/* Valid for the call, but fd, which is the callee's; -1: text says why. */
struct dial_end {
	int fd;
	enum err err;
	const char *text; /* "connect to 10.0.0.1:443 (idp.example): connection refused" */
	const char *peer; /* "10.0.0.1:443 (idp.example)" of fd */
};
struct dial_opts {
	const char *host;                     /* for texts; lives as long as the dial */
	const struct resolveconf_addr *addrs; /* copied */
	size_t addr_count;
	uint16_t port;
	bool any;         /* no address is refused */
	bool public_only; /* of addrule_refuses */
	void (*done)(void *arg, const struct dial_end *end);
	void *arg;
};
struct dial *dial_start(struct loop *l, const struct dial_opts *opts);
void dial_cancel(struct dial *d);
/* What is being tried last, for texts of deadlines: "10.0.0.1:443 (idp.example)". */
const char *dial_peer(const struct dial *d);

#endif
