/*
 * listen - listening sockets: an address in text, a socket per loop (SO_REUSEPORT), and accepting
 * with limits.
 *
 * Thread: listen_parse and listen_open anywhere (names are looked up: start-up only); the rest on
 * the loop of the host.
 */
#ifndef NET_CONN_LISTEN_H
#define NET_CONN_LISTEN_H

#include <sys/socket.h>

#include "net/conn/conn.h"
#include "net/conn/tls.h"

#define LISTEN_TEXT_MAX 64
struct listen_addr {
	struct sockaddr_storage sa;
	socklen_t len;
};
/*
 * "HOST:PORT", "[v6]:PORT", ":PORT" (any IPv4 address). ERR_BADDATA with a text that names the
 * address.
 */
MUST_CHECK enum err listen_parse(const char *text, struct listen_addr *out, struct errbuf *eb);
/* Has a text the form that listen_parse wants? No name is looked up. */
bool listen_fits(const char *text);
void listen_text(const struct listen_addr *a, char out[LISTEN_TEXT_MAX]);
/*
 * Does nobody listen there yet, not even another process that shares ports with us? ERR_EXISTS
 * otherwise. Before the first listen_open of an address.
 */
MUST_CHECK enum err listen_probe(const struct listen_addr *a, struct errbuf *eb);
/* A bound and listening socket; port 0 is replaced in a by the one that was given. */
MUST_CHECK enum err listen_open(struct listen_addr *a, int *fd, struct errbuf *eb);

/* What an operator says of one address. Memory: borrowed, see who takes it. */
struct listen_conf {
	const char *address;        /* as listen_parse takes it */
	bool admin;                 /* administration answers here, and only where this is set */
	const struct tls_conf *tls; /* NULL: plain */
	struct cidr_set proxy_from; /* who sends a PROXY header before everything else */
};

/*
 * The listeners of one address, one of each loop. The kernel gives a new connection to one of them
 * by a hash, so few long ones (those of load balancers) may all come to the same loop: a ring hands
 * each to the loop that has the fewest, before its first byte is read. Loops then differ by one
 * when connections come, whatever they speak.
 * Memory: the caller's, until all loops have ended; hosts in the order of their loops.
 */
struct listen_ring;
struct listen_ring *listen_ring_create(struct conn_host *const *hosts, unsigned count);
void listen_ring_free(struct listen_ring *r);

struct listener;
/*
 * Accepts from fd, which it owns, into the host, as how says; what it points at is held. In a ring,
 * or with NULL on its own.
 */
MUST_CHECK enum err listener_start(struct conn_host *h, int fd, const struct conn_how *how,
    struct listen_ring *ring, struct listener **out);
/* From the next connection on. */
void listener_change(struct listener *l, const struct conn_how *how);
void listener_stop(struct listener *l); /* closes and frees; not from inside its own callback */

#endif
