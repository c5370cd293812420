#include "net/client/hproxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/num.h"
#include "net/client/addrule.h"

#define VALUE_MAX 16384u /* of a variable */

const char *hproxy_basic(struct arena *a, const char *user, const char *password)
{
	const char *plain = arena_printf(a, "%s:%s", user, password);
	size_t len = strlen(plain);
	size_t size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
	char *packed = arena_alloc(a, size);
	sodium_bin2base64(
	    packed, size, (const unsigned char *)plain, len, sodium_base64_VARIANT_ORIGINAL);
	return arena_printf(a, "Basic %s", packed);
}

/* ---- settings ---- */

/* Value of a variable, "" when it is not set, or absurdly long. */
static const char *env(const char *upper, const char *lower, bool upper_counts)
{
	const char *v = upper_counts ? getenv(upper) : NULL;
	if (!v || !*v)
		v = getenv(lower);
	return v && strlen(v) < VALUE_MAX ? v : "";
}

static enum err set_one(struct hproxy *p, struct hproxy_one *one, const char *what,
    const char *value, struct errbuf *eb)
{
	struct errbuf why;
	errbuf_init(&why);
	if (!*value)
		return 0;
	const char *s = strstr(value, "://") ? value : arena_printf(&p->arena, "http://%s", value);
	enum err e = url_parse(&p->arena, s, strlen(s), &one->url, &why);
	if (e)
		return errbuf_set(eb, ERR_BADDATA, "%s: %s", what, why.text);
	if (one->url.https)
		return errbuf_set(
		    eb, ERR_BADDATA, "%s: proxies over TLS are not known here, http:// only", what);
	if (one->url.has_user)
		one->authorization = hproxy_basic(&p->arena, one->url.user, one->url.password);
	one->set = true;
	return 0;
}

enum err hproxy_init(struct hproxy *p, enum hclient_proxy how, const char *url, struct errbuf *eb)
{
	enum err e = 0;
	*p = (struct hproxy){ .except = "" };
	arena_init(&p->arena, 1024);
	if (how == HCLIENT_PROXY_URL) {
		e = set_one(p, &p->http, "proxy", url ? url : "", eb);
		p->https = p->http;
	} else if (how == HCLIENT_PROXY_ENV) {
		p->by_env = true;
		const char *no = env("NO_PROXY", "no_proxy", true);
		p->except = arena_strndup(&p->arena, no, strlen(no));
		e = set_one(p, &p->http, "HTTP_PROXY",
		    env("HTTP_PROXY", "http_proxy", !getenv("REQUEST_METHOD")), eb);
		if (!e)
			e = set_one(p, &p->https, "HTTPS_PROXY",
			    env("HTTPS_PROXY", "https_proxy", true), eb);
	}
	if (e)
		hproxy_release(p);
	return e;
}

void hproxy_release(struct hproxy *p)
{
	arena_release(&p->arena);
}

/* ---- exceptions ---- */

static bool ip_of(const char *s, size_t len, uint8_t out[16], int *family)
{
	char text[INET6_ADDRSTRLEN];
	if (len > 1 && s[0] == '[' && s[len - 1] == ']') {
		s++;
		len -= 2;
	}
	if (len >= sizeof text)
		return false;
	memcpy(text, s, len);
	text[len] = 0;
	*family = AF_INET;
	if (inet_pton(AF_INET, text, out) == 1)
		return true;
	*family = AF_INET6;
	return inet_pton(AF_INET6, text, out) == 1;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, uint64_t bits)
{
	size_t whole = bits / 8, rest = bits % 8;
	return !memcmp(a, b, whole) && (!rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool net_has(const char *s, size_t len, const struct url *u)
{
	uint8_t net[16], ip[16];
	int net_family, family;
	uint64_t bits;
	const char *slash = memchr(s, '/', len);
	size_t n = slash ? (size_t)(slash - s) : len;
	if (u->kind == URL_NAME || !ip_of(s, n, net, &net_family) ||
	    !ip_of(u->host, strlen(u->host), ip, &family) || family != net_family)
		return false;
	uint64_t all = family == AF_INET ? 32 : 128;
	bits = all;
	if (slash && (num_parse_u64(slash + 1, len - n - 1, &bits) || bits > all))
		return false;
	return same_bits(net, ip, bits);
}

static bool name_has(const char *s, size_t len, const struct url *u)
{
	size_t host = strlen(u->host);
	bool below_only = len && *s == '.';
	if (len > 1 && s[0] == '*' && s[1] == '.') {
		s++;
		len--;
		below_only = true;
	}
	if (u->kind != URL_NAME || !len || host < len)
		return false;
	const char *tail = u->host + host - len;
	if (strncasecmp(tail, s, len) != 0)
		return false;
	if (below_only)
		return true;
	return host == len || tail[-1] == '.';
}

/* "name", "name:8080", "[::1]:8080", "10.0.0.0/8", "::1" */
static bool one_has(const char *s, size_t len, const struct url *u)
{
	if (len == 1 && *s == '*')
		return true;
	if (net_has(s, len, u))
		return true;
	const char *colon = memrchr(s, ':', len);
	uint64_t port;
	if (colon && !num_parse_u64(colon + 1, len - (size_t)(colon - s) - 1, &port)) {
		if (port != u->port)
			return false;
		len = (size_t)(colon - s);
	}
	return net_has(s, len, u) || name_has(s, len, u);
}

static bool excepted(const char *list, const struct url *u)
{
	while (*list) {
		list += strspn(list, ", \t");
		size_t n = strcspn(list, ", \t");
		if (n && one_has(list, n, u))
			return true;
		list += n;
	}
	return false;
}

static bool is_loopback(const struct url *u)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	if (u->kind == URL_NAME)
		return !strcmp(u->host, "localhost");
	if (u->kind == URL_IP4) {
		inet_pton(AF_INET, u->host, &in.sin_addr);
		return addrule_kind((struct sockaddr *)&in) == ADDRULE_LOOPBACK;
	}
	inet_pton(AF_INET6, u->host, &in6.sin6_addr);
	return addrule_kind((struct sockaddr *)&in6) == ADDRULE_LOOPBACK;
}

const struct hproxy_one *hproxy_for(const struct hproxy *p, const struct url *u)
{
	const struct hproxy_one *one = u->https ? &p->https : &p->http;
	if (!one->set)
		return NULL;
	if (p->by_env && (is_loopback(u) || excepted(p->except, u)))
		return NULL;
	return one;
}
