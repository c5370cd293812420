/*
 * hproxy - which requests go through a proxy, by an option or by the environment as Go's net/http
 * reads it.
 *
 * HTTP_PROXY is for http, HTTPS_PROXY for https; in lower case they count when the others are not
 * set, and HTTP_PROXY does not within a CGI program (REQUEST_METHOD), where a client could set it.
 * NO_PROXY is a list: "*", addresses, networks ("10.0.0.0/8"), names with what is below them
 * ("example.com", ".example.com" without the name itself), each with a port if wished. With the
 * environment's proxies, localhost and loopback addresses are asked directly.
 * The proxy speaks HTTP/1.1 in plain; what goes to https is a tunnel (CONNECT) and stays unreadable
 * to it.
 *
 * Pure after hproxy_init. Memory: the caller's (hproxy_release).
 */
#ifndef NET_CLIENT_HPROXY_H
#define NET_CLIENT_HPROXY_H

#include "core/base/arena.h"
#include "net/client/hclient.h"
#include "proto/url.h"

struct hproxy_one {
	bool set;
	struct url url;
	const char *authorization; /* "Basic ...", or NULL */
};
struct hproxy {
	struct arena arena;
	struct hproxy_one http, https;
	const char *except; /* NO_PROXY; "" */
	bool by_env;
};
/* ERR_BADDATA: not a proxy; the text names the variable or option, never the password. */
MUST_CHECK enum err hproxy_init(
    struct hproxy *p, enum hclient_proxy how, const char *url, struct errbuf *eb);
void hproxy_release(struct hproxy *p);
/* NULL: directly. */
const struct hproxy_one *hproxy_for(const struct hproxy *p, const struct url *u);
/* "Basic dXNlcjpwYXNz" in the arena. */
const char *hproxy_basic(struct arena *a, const char *user, const char *password);

#endif
