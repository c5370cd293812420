#include "proto/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/bytes.h"

#define LABEL_MAX   63u
#define PORT_DIGITS 5u

/* A part of the text. */
struct part {
	const char *s;
	size_t len;
};
/* RFC 3986, appendix B: what stands where. NULL = absent. */
struct parts {
	struct part scheme, authority, path, query;
};

static bool alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ---- splitting ---- */

static size_t until(const char *s, size_t len, const char *stops)
{
	size_t n = 0;
	while (n < len && !strchr(stops, s[n]))
		n++;
	return n;
}

static struct parts split(const char *s, size_t len)
{
	struct parts p = { 0 };
	size_t n = 0;
	while (n < len && (alpha(s[n]) || (n && (digit(s[n]) || strchr("+-.", s[n])))))
		n++;
	if (n && n < len && s[n] == ':') {
		p.scheme = (struct part){ s, n };
		s += n + 1;
		len -= n + 1;
	}
	if (len >= 2 && s[0] == '/' && s[1] == '/') {
		n = until(s + 2, len - 2, "/?#");
		p.authority = (struct part){ s + 2, n };
		s += n + 2;
		len -= n + 2;
	}
	n = until(s, len, "?#");
	p.path = (struct part){ s, n };
	s += n;
	len -= n;
	if (len && *s == '?') {
		n = until(s + 1, len - 1, "#");
		p.query = (struct part){ s + 1, n };
	}
	return p;
}

/* ---- authority ---- */

/* %XX decoded, into the arena; NULL when an escape is broken or means a control character. */
static const char *unescape(struct arena *a, const char *s, size_t len)
{
	char *out = arena_alloc(a, len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		if (c == '%') {
			int hi = i + 2 < len ? bytes_hex((uint8_t)s[i + 1]) : -1;
			int lo = hi >= 0 ? bytes_hex((uint8_t)s[i + 2]) : -1;
			if (lo < 0)
				return NULL;
			c = (char)(hi * 16 + lo);
			i += 2;
		}
		if ((uint8_t)c < 0x20 || c == 0x7f)
			return NULL;
		out[n++] = c;
	}
	out[n] = 0;
	return out;
}

static enum err take_user(struct arena *a, struct url *u, const char *s, size_t len, struct errbuf *eb)
{
	const char *colon = memchr(s, ':', len);
	size_t n = colon ? (size_t)(colon - s) : len;
	u->has_user = true;
	u->user = unescape(a, s, n);
	u->password = colon ? unescape(a, colon + 1, len - n - 1) : "";
	if (u->user && u->password)
		return 0;
	return errbuf_set(eb, ERR_BADDATA, "URL: the user information has a broken escape");
}

static enum err take_port(struct url *u, const char *s, size_t len, struct errbuf *eb)
{
	unsigned port = 0;
	u->port = u->https ? 443 : 80;
	if (!len) /* RFC 3986, 3.2.3: ":" with nothing behind it is the usual one */
		return 0;
	bool good = len <= PORT_DIGITS;
	for (size_t i = 0; i < len && good; i++) {
		good = digit(s[i]);
		port = port * 10 + (unsigned)(s[i] - '0');
	}
	if (!good || !port || port > UINT16_MAX)
		return errbuf_set(eb, ERR_BADDATA,
		    "URL port \"%.*s\": a number from 1 to 65535 is wanted",
		    (int)(len < 32 ? len : 32), s);
	u->port = (uint16_t)port;
	return 0;
}

static enum err bad_host(const char *s, size_t len, const char *why, struct errbuf *eb)
{
	return errbuf_set(
	    eb, ERR_BADDATA, "URL host \"%.*s\": %s", (int)(len < 260 ? len : 260), s, why);
}

/* Numbers in any spelling that inet_aton() takes: digits, or hexadecimal behind "0x". */
static bool number(const char *s, size_t len)
{
	bool hex = len >= 2 && s[0] == '0' && s[1] == 'x';
	for (size_t i = hex ? 2 : 0; i < len; i++)
		if (hex ? bytes_hex((uint8_t)s[i]) < 0 : !digit(s[i]))
			return false;
	return len > 0;
}

/* (1) and (2) */
static enum err take_name(struct url *u, const char *s, size_t len, struct errbuf *eb)
{
	size_t label = 0, last = 0;
	u->absolute = len > 1 && s[len - 1] == '.';
	size_t n = len - u->absolute;
	if (!n)
		return errbuf_set(eb, ERR_BADDATA, "URL: the host is missing");
	if (n > URL_HOST_MAX)
		return bad_host(s, len, "longer than 253 bytes", eb);
	for (size_t i = 0; i < n; i++) {
		char c = u->host[i] = lower(s[i]);
		if (c == '.' ? !label : !(alpha(c) || digit(c) || c == '-' || c == '_'))
			return bad_host(s, len,
			    c == '.' ? "an empty label" : "letters, digits, - _ . only", eb);
		label = c == '.' ? 0 : label + 1;
		last = c == '.' ? i + 1 : last;
		if (label > LABEL_MAX)
			return bad_host(s, len, "a label of more than 63 bytes", eb);
	}
	u->host[n] = 0;
	u->kind = URL_NAME;
	if (!label)
		return bad_host(s, len, "an empty label", eb);
	if (number(u->host + last, n - last)) {
		struct in_addr in;
		if (inet_pton(AF_INET, u->host, &in) != 1)
			return bad_host(s, len, "an IPv4 address has four decimal numbers", eb);
		u->kind = URL_IP4;
		u->absolute = false;
	}
	return 0;
}

static enum err take_ip6(struct url *u, const char *s, size_t len, struct errbuf *eb)
{
	struct in6_addr in;
	char text[INET6_ADDRSTRLEN];
	if (len >= sizeof text)
		return bad_host(s, len, "not an IPv6 address", eb);
	memcpy(text, s, len);
	text[len] = 0;
	if (strlen(text) != len || inet_pton(AF_INET6, text, &in) != 1 ||
	    !inet_ntop(AF_INET6, &in, u->host, sizeof u->host))
		return bad_host(s, len, "not an IPv6 address (zones are not known here)", eb);
	u->kind = URL_IP6;
	return 0;
}

static enum err take_authority(struct arena *a, struct url *u, struct part p, struct errbuf *eb)
{
	const char *s = p.s, *end = s + p.len, *at = memrchr(s, '@', p.len);
	enum err e = at ? take_user(a, u, s, (size_t)(at - s), eb) : 0;
	if (e)
		return e;
	s = at ? at + 1 : s;
	if (s < end && *s == '[') {
		const char *close = memchr(s, ']', (size_t)(end - s));
		if (!close || (close + 1 < end && close[1] != ':'))
			return bad_host(s, (size_t)(end - s), "a bracket is missing", eb);
		e = take_ip6(u, s + 1, (size_t)(close - s - 1), eb);
		s = close + 1;
	} else {
		size_t n = until(s, (size_t)(end - s), ":");
		e = take_name(u, s, n, eb);
		s += n;
	}
	if (e)
		return e;
	return take_port(u, s + (s < end), (size_t)(end - s) - (s < end), eb);
}

/* ---- target ---- */

/* RFC 3986: pchar, "/", "?" and "%". */
static bool plain(char c)
{
	return alpha(c) || digit(c) || (c && strchr("-._~!$&'()*+,;=:@/?%", c));
}

static enum err check_target(const char *s, size_t len, const char *what, struct errbuf *eb)
{
	for (size_t i = 0; i < len; i++) {
		if ((uint8_t)s[i] <= 0x20 || s[i] == 0x7f)
			return errbuf_set(eb, ERR_BADDATA,
			    "URL %s: byte %zu is a blank or a control character", what, i);
		if (s[i] == '%' &&
		    (i + 2 >= len || bytes_hex((uint8_t)s[i + 1]) < 0 ||
		        bytes_hex((uint8_t)s[i + 2]) < 0))
			return errbuf_set(
			    eb, ERR_BADDATA, "URL %s: byte %zu begins a broken escape", what, i);
	}
	return 0;
}

static size_t put_escaped(char *out, const char *s, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (plain(s[i])) {
			out[n++] = s[i];
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[(uint8_t)s[i] >> 4];
		out[n++] = hex[(uint8_t)s[i] & 15];
	}
	return n;
}

/* "." or "%2e": dots count in either spelling, as WHATWG's URL standard has it. */
static size_t dot(const char *s, size_t len)
{
	if (len && *s == '.')
		return 1;
	return len >= 3 && s[0] == '%' && s[1] == '2' && lower(s[2]) == 'e' ? 3 : 0;
}

/* 1: the segment is ".", 2: it is "..", 0: it has a name. */
static unsigned dots(const char *s, size_t len)
{
	size_t one = dot(s, len);
	if (!one)
		return 0;
	if (one == len)
		return 1;
	return one + dot(s + one, len - one) == len ? 2 : 0;
}

/* RFC 3986, 5.2.4, in place on a path that begins with "/"; the new length. */
static size_t fold(char *path, size_t len)
{
	size_t out = 0;
	for (size_t i = 0; i < len;) {
		size_t n = until(path + i + 1, len - i - 1, "/");
		unsigned d = dots(path + i + 1, n);
		bool last = i + 1 + n == len;
		if (d == 2)
			while (out && path[--out] != '/')
				;
		if (!d) {
			memmove(path + out, path + i, n + 1);
			out += n + 1;
		} else if (last) {
			path[out++] = '/';
		}
		i += n + 1;
	}
	return out;
}

/* dir: of the base, up to its last "/"; empty when path begins with one. */
static enum err take_target(struct arena *a, struct url *u, struct part dir, struct part path,
    struct part query, struct errbuf *eb)
{
	enum err e = check_target(path.s, path.len, "path", eb);
	if (!e && query.s)
		e = check_target(query.s, query.len, "query", eb);
	if (e)
		return e;
	char *out = arena_alloc(a, dir.len + 3 * (path.len + query.len) + 3);
	size_t n = 0;
	if (dir.len)
		memcpy(out, dir.s, n = dir.len);
	else if (!path.len || *path.s != '/')
		out[n++] = '/';
	n += put_escaped(out + n, path.s, path.len);
	n = fold(out, n);
	if (query.s) {
		out[n++] = '?';
		n += put_escaped(out + n, query.s, query.len);
	}
	out[n] = 0;
	u->target = out;
	u->target_len = n;
	return 0;
}

/* ---- the whole ---- */

static bool scheme_is(struct part p, const char *what)
{
	return p.len == strlen(what) && !strncasecmp(p.s, what, p.len);
}

static enum err check_size(size_t len, struct errbuf *eb)
{
	if (len <= URL_BYTES_MAX)
		return 0;
	return errbuf_set(
	    eb, ERR_BADDATA, "URL of %zu bytes: at most %u are allowed", len, URL_BYTES_MAX);
}

static enum err whole(struct arena *a, const struct parts *p, struct url *u, struct errbuf *eb)
{
	u->https = scheme_is(p->scheme, "https");
	u->user = u->password = "";
	if (!u->https && !scheme_is(p->scheme, "http"))
		return errbuf_set(eb, ERR_BADDATA,
		    p->scheme.s ? "URL scheme \"%.*s\": http and https only"
		                : "URL%.*s: it begins with neither http:// nor https://",
		    (int)(p->scheme.len < 32 ? p->scheme.len : 32), p->scheme.s ? p->scheme.s : "");
	if (!p->authority.s)
		return errbuf_set(eb, ERR_BADDATA, "URL: the host is missing");
	enum err e = take_authority(a, u, p->authority, eb);
	return e ? e : take_target(a, u, (struct part){ "", 0 }, p->path, p->query, eb);
}

enum err url_parse(struct arena *a, const char *s, size_t len, struct url *out, struct errbuf *eb)
{
	struct parts p = split(s, len);
	*out = (struct url){ 0 };
	enum err e = check_size(len, eb);
	return e ? e : whole(a, &p, out, eb);
}

enum err url_refer(struct arena *a, const struct url *base, const char *ref, size_t len,
    struct url *out, struct errbuf *eb)
{
	struct parts p = split(ref, len);
	struct part own = { base->target, until(base->target, base->target_len, "?") };
	enum err e = check_size(len, eb);
	*out = (struct url){ 0 };
	if (e)
		return e;
	if (p.scheme.s)
		return whole(a, &p, out, eb);
	if (p.authority.s) {
		p.scheme = base->https ? (struct part){ "https", 5 } : (struct part){ "http", 4 };
		return whole(a, &p, out, eb);
	}
	*out = *base;
	if (!p.path.len && !p.query.s)
		return 0;
	if (!p.path.len) {
		e = take_target(a, out, own, (struct part){ "", 0 }, p.query, eb);
	} else if (*p.path.s == '/') {
		e = take_target(a, out, (struct part){ "", 0 }, p.path, p.query, eb);
	} else {
		while (own.s[own.len - 1] != '/')
			own.len--;
		e = take_target(a, out, own, p.path, p.query, eb);
	}
	if (!e && out->target_len > 3 * URL_BYTES_MAX)
		e = errbuf_set(eb, ERR_BADDATA, "URL: the reference makes it too long");
	return e;
}

size_t url_authority(const struct url *u, bool always_port, char *out)
{
	bool usual = u->port == (u->https ? 443 : 80);
	bool brackets = u->kind == URL_IP6;
	size_t n = (size_t)snprintf(
	    out, URL_AUTHORITY_MAX, "%s%s%s", brackets ? "[" : "", u->host, brackets ? "]" : "");
	if (always_port || !usual)
		n += (size_t)snprintf(out + n, URL_AUTHORITY_MAX - n, ":%u", (unsigned)u->port);
	return n;
}

bool url_same_origin(const struct url *a, const struct url *b)
{
	return a->https == b->https && a->port == b->port && !strcmp(a->host, b->host);
}
