#include "net/daemon/weburl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HOST_MAX 256u

/* path without its last slashes; a path of slashes only is none. */
static size_t trimmed(const char *path, size_t len)
{
	while (len && path[len - 1] == '/')
		len--;
	return len;
}

/* "/a/b" of "a/b/", "/a/b" and so on. */
static bool path_set(char out[ROUTER_PREFIX_MAX + 1], const char *path, size_t len)
{
	while (len && *path == '/') {
		path++;
		len--;
	}
	len = trimmed(path, len);
	if (len >= ROUTER_PREFIX_MAX)
		return false;
	int n = len ? snprintf(out, ROUTER_PREFIX_MAX + 1, "/%.*s", (int)len, path)
	            : snprintf(out, ROUTER_PREFIX_MAX + 1, "%s", "");
	return n >= 0 && router_prefix_check(out);
}

/* "http://" and "https://": how long it is; 0: none of them. */
static size_t scheme_len(const char *url)
{
	return !strncasecmp(url, "http://", 7) ? 7 : !strncasecmp(url, "https://", 8) ? 8 : 0;
}

/* Letters, digits and what names, addresses and ports need; not empty, no user before it. */
static bool host_fits(const char *host, size_t len)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]";
	return len && len < HOST_MAX && host[0] != ':' && strspn(host, allowed) >= len;
}

static void url_of_this_machine(struct weburl *w, const char *listen)
{
	char host[HOST_MAX] = "localhost";
	const char *port = strrchr(listen, ':');
	if (gethostname(host, sizeof host - 1) || !host[0])
		snprintf(host, sizeof host, "localhost");
	snprintf(w->url, sizeof w->url, "%s://%s%.*s", scheme_len(listen) == 8 ? "https" : "http",
	    host, 6, port ? port : "");
}

static enum err external_set(struct weburl *w, const char *url, struct errbuf *eb)
{
	static const char want[] =
	    "https://host:port/path or /path; a path has letters, digits and -._~ only";
	size_t len = strlen(url), scheme = scheme_len(url);
	const char *host = url + scheme, *path = scheme ? host + strcspn(host, "/") : url;
	bool good = len <= WEBURL_MAX &&
	    (scheme ? host_fits(host, (size_t)(path - host)) : *url == '/') &&
	    path_set(w->links, path, strlen(path));
	if (!good)
		return errbuf_set(eb, ERR_BADDATA,
		    "--web.external-url \"%.200s\" is no URL of this server: %s", url, want);
	if (scheme)
		snprintf(w->url, sizeof w->url, "%.*s", (int)(path - url), url);
	return ERR_OK;
}

enum err weburl_init(struct weburl *w, const char *external_url, const char *route_prefix,
    const char *listen, struct errbuf *eb)
{
	*w = (struct weburl){ .url = "" };
	url_of_this_machine(w, listen);
	enum err e = external_url[0] ? external_set(w, external_url, eb) : ERR_OK;
	if (e)
		return e;
	const char *prefix = route_prefix[0] ? route_prefix : w->links;
	if (!path_set(w->prefix, prefix, strlen(prefix)))
		return errbuf_set(eb, ERR_BADDATA,
		    "--web.route-prefix \"%.200s\" is no path: /some/where, of letters, digits and -._~",
		    prefix);
	size_t at = strlen(w->url);
	snprintf(w->url + at, sizeof w->url - at, "%s", w->links);
	return ERR_OK;
}
