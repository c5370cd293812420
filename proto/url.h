/*
 * url - addresses of http and https servers (RFC 3986), and references of redirects.
 *
 *   https://user:secret@Idp.Example.:8443/a/../b?x=1#part
 *   host "idp.example" (absolute), port 8443, target "/b?x=1", user "user", password "secret"
 *
 * (1) Host names are letters, digits, "-", "_" and ".", in lower case, labels of 1..63 bytes, 253
 *     in all; a dot at the end is taken off and told. No percent escapes, no other characters.
 * (2) A host whose last label is a number is an IPv4 address of four decimal parts or refused: the
 *     other spellings that inet_aton() knows ("127.1", "0x7f000001") would go around address rules.
 * (3) IPv6 addresses stand in brackets, without a zone, and come out as inet_ntop() spells them.
 * (4) The target is ready to be sent: it begins with "/", holds visible ASCII only and no
 *     fragment. Dot segments of the path are gone, each "%" begins an escape; characters that RFC
 *     3986 does not allow but people write ("[]", quotes, UTF-8) are escaped. Blanks and controls
 *     are refused.
 *
 * Pure. Memory: in the arena given. Any bytes are safe. Errors: ERR_BADDATA; texts name the part
 * that is wrong, never user, password, path or query. Fuzz: tests/fuzz/fuzz_url.c.
 */
#ifndef PROTO_URL_H
#define PROTO_URL_H

#include "core/base/arena.h"
#include "core/base/err.h"

#define URL_BYTES_MAX 8192u
#define URL_HOST_MAX  253u

enum url_host {
	URL_NAME,
	URL_IP4,
	URL_IP6
};
struct url {
	bool https;
	enum url_host kind;
	char host[URL_HOST_MAX + 1]; /* without brackets */
	bool absolute;               /* the name ended with a dot: no search domains */
	uint16_t port;               /* said or usual */
	bool has_user;
	const char *user, *password; /* decoded, NUL-terminated; "" */
	const char *target;          /* path and query */
	size_t target_len;
};
MUST_CHECK enum err url_parse(
    struct arena *a, const char *s, size_t len, struct url *out, struct errbuf *eb);
/* What a Location says, seen from base (RFC 3986, 5.2). */
MUST_CHECK enum err url_refer(struct arena *a, const struct url *base, const char *ref, size_t len,
    struct url *out, struct errbuf *eb);
/*
 * "idp.example", "[::1]:8443": as Host and :authority want it; the port only when it is not the
 * usual one, or always. At most URL_AUTHORITY_MAX bytes with the NUL; the length.
 */
#define URL_AUTHORITY_MAX (URL_HOST_MAX + 9)
size_t url_authority(const struct url *u, bool always_port, char *out);
bool url_same_origin(const struct url *a, const struct url *b);

#endif
