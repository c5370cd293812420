/*
 * forwarded - the client of a request that came through proxies which are trusted.
 *
 * X-Forwarded-For is read, all its fields as one list, from its right end: each proxy adds who it
 * was asked by. The first address that is not of a trusted proxy is the client; when all are, the
 * left-most is. An entry that is no address ends the list: the proxy that wrote it stands for
 * whoever is behind it. Without that field, "for" of Forwarded (RFC 7239) is read the same way: a
 * proxy that writes only that one must take X-Forwarded-For out of what it passes on.
 * Who is not trusted may send what it likes, it is not looked at.
 *
 * Pure. Thread: the loop of the request.
 */
#ifndef NET_HTTP_FORWARDED_H
#define NET_HTTP_FORWARDED_H

#include "core/base/cidr.h"
#include "net/http/req.h"

/* False: nothing says another one than who is connected. */
MUST_CHECK bool forwarded_client(
    const struct req *r, const struct cidr_set *trusted, struct sockaddr_storage *out);

#endif
