/*
 * weburl - where people and other programs find this server from outside (--web.external-url), and
 * below which path it answers (--web.route-prefix), with Prometheus' meaning of both:
 *
 *   external-url                 route-prefix   answers below   links begin with
 *   (none)                       (none)         /               /
 *   https://mon.example/kymo/    (none)         /kymo/          /kymo/
 *   https://mon.example/kymo/    /              /               /kymo/     a proxy takes /kymo away
 *   /kymo                        (none)         /kymo/          /kymo/     only the path is known
 *   (none)                       /kymo          /kymo/          /
 *
 * Pure but for the name of the machine. Thread: any.
 */
#ifndef NET_DAEMON_WEBURL_H
#define NET_DAEMON_WEBURL_H

#include "core/base/err.h"
#include "net/http/router.h"

#define WEBURL_MAX 1024u /* bytes of an external URL */

struct weburl {
	char url[WEBURL_MAX + 256]; /* "https://mon.example/kymo", without a slash at its end */
	char links[ROUTER_PREFIX_MAX + 1];  /* its path: "" or "/kymo" */
	char prefix[ROUTER_PREFIX_MAX + 1]; /* of routes: "" or "/kymo" */
};
/*
 * "" stands for what was not given. listen: the first address to listen on, "https://" before it
 * when it speaks TLS: its port and that are part of a URL that was not given. ERR_BADDATA with one
 * line that names the flag.
 */
MUST_CHECK enum err weburl_init(struct weburl *w, const char *external_url,
    const char *route_prefix, const char *listen, struct errbuf *eb);

#endif
