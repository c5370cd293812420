#include "net/api/accesslog.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/bytes.h"
#include "core/base/json.h"
#include "core/base/linefile.h"
#include "core/base/logdrain.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/api/api.h"

#define NAME_BYTES   64u
#define TENANT_NAMES 8u
#define STATUS_GONE  499

/* --- the query --- */

/* The name of a parameter as it is meant: %70 is p. Long ones are none of ours. */
static void name_decode(const char *s, size_t len, char out[NAME_BYTES])
{
	size_t n = 0;
	for (size_t i = 0; i < len && n < NAME_BYTES - 1; i++) {
		int hi = s[i] == '%' && i + 2 < len ? bytes_hex((unsigned char)s[i + 1]) : -1;
		int lo = hi >= 0 ? bytes_hex((unsigned char)s[i + 2]) : -1;
		out[n++] = s[i];
		if (lo >= 0)
			out[n - 1] = (char)(hi << 4 | lo);
		i += lo >= 0 ? 2 : 0;
	}
	out[n] = 0;
}

static bool is_secret(const char *name, size_t len)
{
	static const char *const whole[] = { "p", "pass", "pwd", "auth", "authorization", "key",
		"apikey", "sig", "jwt", "pw", "sid" };
	static const char *const parts[] = { "password", "passwd", "passphrase", "token", "secret",
		"api_key", "api-key", "access_key", "app_key", "application_key", "private_key",
		"signature", "credential", "assertion", "session" };
	char text[NAME_BYTES];
	name_decode(name, len, text);
	for (size_t i = 0; i < COUNT_OF(whole); i++)
		if (!strcasecmp(text, whole[i]))
			return true;
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		if (strcasestr(text, parts[i]))
			return true;
	return false;
}

void accesslog_query(struct buf *out, const char *query, size_t len)
{
	size_t begin = out->len;
	for (size_t at = 0; at < len;) {
		const char *p = query + at;
		size_t n = strcspn(p, "&;"), name = strcspn(p, "=&;");
		if (n > len - at)
			n = len - at;
		if (name < n && is_secret(p, name)) {
			buf_add(out, p, name);
			buf_add_str(out, "=***");
		} else {
			buf_add(out, p, n);
		}
		at += n;
		if (at < len)
			buf_add_u8(out, (uint8_t)query[at++]);
		if (out->len - begin > ACCESSLOG_QUERY_BYTES)
			break;
	}
	if (out->len - begin > ACCESSLOG_QUERY_BYTES) {
		out->len = begin +
		    rune_cut(
		        (const char *)out->data + begin, out->len - begin, ACCESSLOG_QUERY_BYTES);
		buf_add_str(out, "...");
	}
}

/* --- a line --- */

struct line {
	struct buf *out;
	bool json;
};

static void name_put(const struct line *l, const char *name)
{
	bool first = !l->out->len || l->out->data[l->out->len - 1] == '{';
	if (l->json)
		buf_printf(l->out, "%s\"%s\":", first ? "" : ",", name);
	else
		buf_printf(l->out, "%s%s=", first ? "" : " ", name);
}

/* Quotes inside, control characters (all of them) and what is no UTF-8 are escaped, as in JSON. */
static void text_put(const struct line *l, const char *name, const char *s, size_t len)
{
	name_put(l, name);
	json_str_shown(l->out, s, len);
}

static void number_put(const struct line *l, const char *name, uint64_t v)
{
	name_put(l, name);
	buf_printf(l->out, "%" PRIu64, v);
}

static const char *method_of(const struct req *r)
{
	switch (r->method) {
	case REQ_GET:
		return "GET";
	case REQ_HEAD:
		return "HEAD";
	case REQ_POST:
		return "POST";
	case REQ_PUT:
		return "PUT";
	case REQ_DELETE:
		return "DELETE";
	case REQ_OPTIONS:
		return "OPTIONS";
	case REQ_OTHER:
		break;
	}
	return "OTHER";
}

/* The trace's id of "00-<32 hex>-<16 hex>-01" (Trace Context, 3.2), or a request's id. */
static const char *trace_of(const struct req *r, size_t *len)
{
	const char *parent = req_header(r, "traceparent", len);
	if (parent && *len >= 55 && parent[2] == '-' && parent[35] == '-') {
		*len = 32;
		return parent + 3;
	}
	const char *id = req_header(r, "x-request-id", len);
	*len = id ? rune_cut(id, *len, 128) : 0;
	return id;
}

static int status_of(const struct req_told *t)
{
	return t->status ? t->status : STATUS_GONE;
}

static void fields_put(const struct line *l, const struct req *r, const struct req_told *t,
    const char *tenants, int64_t now_ms)
{
	char time[NUM_FMT_MAX], from[64];
	struct buf query;
	size_t len = num_fmt_time(now_ms, time);
	if (l->json)
		text_put(l, "ts", time, len);
	else
		buf_printf(l->out, "ts=%.*s", (int)len, time);
	name_put(l, "method");
	buf_printf(l->out, l->json ? "\"%s\"" : "%s", method_of(r));
	text_put(l, "path", r->path, r->path_len);
	if (r->query_len) {
		buf_init(&query);
		accesslog_query(&query, r->query, r->query_len);
		text_put(l, "query", (const char *)query.data, query.len);
		buf_release(&query);
	}
	name_put(l, "proto");
	buf_printf(
	    l->out, l->json ? "\"%u.%u\"" : "%u.%u", r->http_version / 10, r->http_version % 10);
	number_put(l, "status", (uint64_t)status_of(t));
	number_put(l, "in", t->in_bytes);
	number_put(l, "out", t->out_bytes);
	name_put(l, "ms");
	buf_printf(
	    l->out, "%" PRIu64 ".%03u", t->took_ns / 1000000, (unsigned)(t->took_ns / 1000 % 1000));
	if (tenants[0])
		text_put(l, "tenant", tenants, strlen(tenants));
	if (r->identity[0])
		text_put(l, "identity", r->identity, strlen(r->identity));
	req_remote_text(r, from, sizeof(from));
	text_put(l, "peer", from, strlen(from));
	const char *agent = req_header(r, "user-agent", &len);
	if (agent)
		text_put(l, "agent", agent, rune_cut(agent, len, 256));
	const char *trace = trace_of(r, &len);
	if (trace)
		text_put(l, "trace", trace, len);
	if (r->gone) {
		name_put(l, "gone");
		buf_add_str(l->out, "true");
	}
}

/* As Apache's %{...}i: quotes, backslashes and what is no printable ASCII are escaped. */
static void escaped_put(struct buf *b, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)s[i];
		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			buf_printf(b, "\\x%02x", c);
		else
			buf_add_u8(b, c);
	}
}

static void quoted_put(struct buf *b, const char *s, size_t len)
{
	if (s && len)
		escaped_put(b, s, len);
	else
		buf_add_u8(b, '-');
}

/* One word: of a path and a name as they would stand in a URL. */
static void word_put(struct buf *b, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)s[i];
		if (c <= 0x20 || c >= 0x7f || strchr("\"\\?#%", c))
			buf_printf(b, "%%%02X", c);
		else
			buf_add_u8(b, c);
	}
	if (!len)
		buf_add_u8(b, '-');
}

/* Without "user:password@", and without secrets of its query. */
static void referer_put(struct buf *b, const char *s, size_t len)
{
	size_t base = s ? strcspn(s, "?#") : 0, user = 0, host = 0;
	struct buf query;
	const char *slashes = s ? strstr(s, "//") : NULL;
	if (slashes && (size_t)(slashes - s) < base) {
		user = (size_t)(slashes - s) + 2;
		for (size_t i = user; i < base && s[i] != '/'; i++)
			host = s[i] == '@' ? i : host;
	}
	if (host) {
		escaped_put(b, s, user);
		buf_add_str(b, "***");
	}
	quoted_put(b, s ? s + host : s, base - host);
	if (base == len)
		return;
	buf_init(&query);
	accesslog_query(&query, s + base + 1, len - base - 1);
	escaped_put(b, s + base, 1);
	escaped_put(b, (const char *)query.data, query.len);
	buf_release(&query);
}

/* "2026-11-29T08:12:18Z" as "29/Nov/2026:08:12:18 +0000". */
static void common_time(struct buf *b, int64_t now_ms)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char t[NUM_FMT_MAX];
	(void)num_fmt_time(now_ms - now_ms % 1000, t);
	unsigned month = (unsigned)(t[5] - '0') * 10 + (unsigned)(t[6] - '0');
	buf_printf(b, "%.2s/%.3s/%.4s:%.8s +0000", t + 8,
	    months + 3 * (month ? (month - 1) % 12 : 0), t, t + 11);
}

static void combined_put(struct buf *b, const struct req *r, const struct req_told *t, int64_t now_ms)
{
	char from[64];
	struct buf query;
	size_t len;
	req_remote_text(r, from, sizeof(from));
	char *colon = strrchr(from, ':');
	if (colon)
		*colon = 0;
	buf_printf(b, "%s - ", from);
	word_put(b, r->identity, strlen(r->identity));
	buf_add_str(b, " [");
	common_time(b, now_ms);
	buf_printf(b, "] \"%s ", method_of(r));
	word_put(b, r->path, r->path_len);
	if (r->query_len) {
		buf_init(&query);
		accesslog_query(&query, r->query, r->query_len);
		buf_add_u8(b, '?');
		quoted_put(b, (const char *)query.data, query.len);
		buf_release(&query);
	}
	buf_printf(b, " HTTP/%u.%u\" %d %" PRIu64 " \"", r->http_version / 10, r->http_version % 10,
	    status_of(t), t->out_bytes);
	const char *text = req_header(r, "referer", &len);
	referer_put(b, text, text ? len : 0);
	buf_add_str(b, "\" \"");
	text = req_header(r, "user-agent", &len);
	quoted_put(b, text, len);
	buf_add_u8(b, '"');
}

void accesslog_line(struct buf *out, const struct req *r, const struct req_told *t,
    enum accesslog_form form, const char *tenants, int64_t now_ms)
{
	struct line l = { .out = out, .json = form == ACCESSLOG_JSON };
	if (form == ACCESSLOG_COMBINED) {
		combined_put(out, r, t, now_ms);
	} else {
		if (l.json)
			buf_add_u8(out, '{');
		fields_put(&l, r, t, tenants, now_ms);
		if (l.json)
			buf_add_u8(out, '}');
	}
	buf_add_u8(out, '\n');
}

/* --- which, and where --- */

static void tenants_of(const struct req *r, char *out, size_t size)
{
	const struct store *st = api_of(r)->store;
	size_t at = 0;
	out[0] = 0;
	if (!st || !r->roles) /* who it is was not shown */
		return;
	bool reads = r->route && r->route->role == ROLE_READ;
	size_t count = reads ? r->tenants_count : 1;
	for (size_t i = 0; i < count && i < TENANT_NAMES; i++) {
		const char *name = store_tenant_name(st, reads ? r->tenants[i] : r->tenant);
		at += rune_printf(out + at, size - at, "%s%s", i ? "|" : "", name ? name : "-");
	}
}

void accesslog_told(struct req *r, const struct req_told *t)
{
	const struct api_opts *o = &api_of(r)->opts;
	struct api_loop *l = api_loop_of(r);
	const struct accesslog_conf *c = &l->conf->access;
	char tenants[TENANT_NAMES * 72];
	if (!o->access && !o->access_on_stderr)
		return;
	bool failed = status_of(t) >= 500;
	if (c->sample > 1 && l->access_count++ % c->sample && !failed)
		return;
	if (t->took_ns / 1000000 < c->min_ms && !failed)
		return;
	tenants_of(r, tenants, sizeof(tenants));
	buf_clear(&l->access_line);
	accesslog_line(&l->access_line, r, t, c->form, tenants, loop_now_ms(r->loop));
	if (o->access)
		linefile_put(o->access, (const char *)l->access_line.data, l->access_line.len);
	else
		logdrain_put((const char *)l->access_line.data, l->access_line.len);
}
