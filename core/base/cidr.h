/*
 * cidr - sets of IP addresses, as people write them: "10.0.0.0/8", "2001:db8::/32", "192.0.2.1".
 *
 * An IPv4 address and the IPv6 address that stands for it (::ffff:a.b.c.d) are the same. Bits
 * behind the prefix do not count. A set is looked through from its first row to its last: it is
 * meant for some dozens of rows.
 *
 * Pure. Thread: any; a set is not changed while it is read. Memory: a set owns its rows.
 */
#ifndef CORE_BASE_CIDR_H
#define CORE_BASE_CIDR_H

#include <sys/socket.h>

#include "core/base/err.h"

#define CIDR_TEXT_MAX 64
struct cidr {
	uint8_t addr[16];
	uint8_t bits; /* of addr: 96 and more for IPv4 */
};
struct cidr_set {
	struct cidr *rows;
	size_t count;
};
/* ERR_BADDATA with a text that names what was found. */
MUST_CHECK enum err cidr_parse(const char *text, size_t len, struct cidr *out, struct errbuf *eb);
void cidr_text(const struct cidr *c, char out[CIDR_TEXT_MAX]);
bool cidr_match(const struct cidr *c, const struct sockaddr_storage *sa);

void cidr_set_add(struct cidr_set *s, const struct cidr *c);
void cidr_set_copy(struct cidr_set *to, const struct cidr_set *from); /* to is uninitialised */
void cidr_set_release(struct cidr_set *s);
/* An empty set, or NULL, has nobody. */
bool cidr_set_has(const struct cidr_set *s, const struct sockaddr_storage *sa);

/* The address without its port; "?" for another family. */
void cidr_address_text(const struct sockaddr_storage *sa, char out[CIDR_TEXT_MAX]);
/* An address alone ("192.0.2.1", "2001:db8::1"), port 0; false when it is none. */
MUST_CHECK bool cidr_address(const char *text, size_t len, struct sockaddr_storage *out);

#endif
