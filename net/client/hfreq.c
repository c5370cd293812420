/*
 * hfreq - the request of a fetch: copied, checked, and its body as it is sent.
 *
 * Values of secret fields (credentials) are wiped when the fetch ends.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "net/client/hclient_priv.h"

#define OWN_FIELDS      3u           /* user-agent, accept-encoding, authorization */
#define FIELD_BYTES_MAX (256u << 10) /* of a request */
#define FIELD_OVERHEAD  32u          /* RFC 9113, 6.5.2 */

/* They are ours: copied by hfetch_copy, with room for OWN_FIELDS more. */
static struct hclient_field *fields_of(struct hfetch *f)
{
	return (struct hclient_field *)(uintptr_t)f->req.fields;
}

static bool token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		bool alnum =
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!alnum && (!c || !strchr("!#$%&'*+-.^_`|~", c))) /* RFC 9110, 5.6.2 */
			return false;
	}
	return len > 0;
}

static bool value_fine(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((uint8_t)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
			return false;
	return !len || (s[0] != ' ' && s[0] != '\t' && s[len - 1] != ' ' && s[len - 1] != '\t');
}

static bool one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(s, *words))
			return true;
	return false;
}

/* Fields that are this room's affair: they say where a message ends, or belong to a connection. */
static bool is_ours(const char *name, const char *value)
{
	static const char *const ours[] = { "connection", "content-length", "expect", "host",
		"keep-alive", "proxy-authorization", "proxy-connection", "transfer-encoding",
		"upgrade", NULL };
	return one_of(name, ours) || (!strcmp(name, "te") && strcmp(value, "trailers") != 0);
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s | 0x20);
}

/* Names in lower case. What is wrong with them is told later, where done() may be called. */
void hfetch_copy(struct hfetch *f, const struct hclient_req *req)
{
	static const char *const secrets[] = { "authorization", "cookie", NULL };
	struct arena *a = &f->arena;
	struct hclient_field *all = arena_array(a, req->field_count + OWN_FIELDS, sizeof *all);
	f->req = *req;
	f->method = arena_strndup(a, req->method, strlen(req->method));
	f->req.url = arena_strndup(a, req->url, strlen(req->url));
	f->req.body = req->body_len ? arena_dup(a, req->body, req->body_len) : NULL;
	for (size_t i = 0; i < req->field_count; i++) {
		const struct hclient_field *x = &req->fields[i];
		size_t name_len = x->name_len ? x->name_len : strlen(x->name);
		size_t value_len = x->value_len ? x->value_len : strlen(x->value);
		char *name = arena_strndup(a, x->name, name_len);
		lower(name);
		all[i] = (struct hclient_field){ .name = name,
			.value = arena_strndup(a, x->value, value_len),
			.name_len = name_len,
			.value_len = value_len,
			.secret = x->secret || one_of(name, secrets) };
	}
	f->req.fields = all;
}

void hfetch_wipe(struct hfetch *f)
{
	struct hclient_field *all = fields_of(f);
	for (size_t i = 0; i < f->req.field_count; i++)
		if (all[i].secret)
			sodium_memzero((char *)(uintptr_t)all[i].value, all[i].value_len);
}

static void add_field(struct hfetch *f, const char *name, const char *value, bool secret)
{
	fields_of(f)[f->req.field_count++] = (struct hclient_field){
		.name = name,
		.value = value,
		.name_len = strlen(name),
		.value_len = strlen(value),
		.secret = secret,
	};
}

/* False: one of them cannot be sent, and that is told. */
static bool check_fields(struct hfetch *f)
{
	struct hclient_field *all = fields_of(f);
	size_t bytes = 0;
	for (size_t i = 0; i < f->req.field_count; i++) {
		struct hclient_field *x = &all[i];
		bytes += x->name_len + x->value_len + FIELD_OVERHEAD;
		if (!token(x->name, x->name_len) || !value_fine(x->value, x->value_len) ||
		    is_ours(x->name, x->value)) {
			hfetch_fail(f, ERR_BADDATA,
			    "request to %s: field \"%.100s\" cannot be sent", f->url.host, x->name);
			return false;
		}
	}
	if (bytes > FIELD_BYTES_MAX) {
		hfetch_fail(f, ERR_BADDATA, "request to %s: fields of %zu bytes, at most %u are sent",
		    f->url.host, bytes, FIELD_BYTES_MAX);
		return false;
	}
	return true;
}

static bool has_field(const struct hfetch *f, const char *name)
{
	return hclient_header(f->req.fields, f->req.field_count, name, NULL) != NULL;
}

static void add_own_fields(struct hfetch *f)
{
	const char *agent = f->c->opts.user_agent;
	if (agent && *agent && !has_field(f, "user-agent") && value_fine(agent, strlen(agent)))
		add_field(f, "user-agent", agent, false);
	if (has_field(f, "accept-encoding"))
		f->req.keep_packed = true;
	if (!f->req.keep_packed)
		add_field(f, "accept-encoding", "gzip", false);
	if (f->url.has_user && !has_field(f, "authorization"))
		add_field(f, "authorization", hproxy_basic(&f->arena, f->url.user, f->url.password),
		    true);
}

bool hfetch_check(struct hfetch *f)
{
	static const char *const idempotent[] = { "GET", "HEAD", "OPTIONS", "TRACE", "PUT",
		"DELETE", NULL };
	static const char *const bare[] = { "GET", "HEAD", "OPTIONS", "TRACE", "DELETE", NULL };
	struct errbuf eb;
	errbuf_init(&eb);
	if (url_parse(&f->arena, f->req.url, strlen(f->req.url), &f->url, &eb)) {
		hfetch_fail(f, ERR_BADDATA, "%s", eb.text);
		return false;
	}
	if (!token(f->method, strlen(f->method)) || !strcmp(f->method, "CONNECT")) {
		hfetch_fail(f, ERR_BADDATA, "request to %s: method \"%.40s\" cannot be sent",
		    f->url.host, f->method);
		return false;
	}
	f->idempotent = one_of(f->method, idempotent);
	f->no_body = one_of(f->method, bare);
	f->first_url = f->url;
	if (!check_fields(f))
		return false;
	add_own_fields(f);
	return true;
}

/* ---- redirects ---- */

/* (5) of hclient.h */
void hfetch_drop_secrets(struct hfetch *f)
{
	struct hclient_field *all = fields_of(f);
	size_t n = 0;
	hfetch_wipe(f);
	for (size_t i = 0; i < f->req.field_count; i++)
		if (!all[i].secret)
			all[n++] = all[i];
	f->req.field_count = n;
}

void hfetch_drop_body(struct hfetch *f)
{
	struct hclient_field *all = fields_of(f);
	size_t n = 0;
	for (size_t i = 0; i < f->req.field_count; i++)
		if (strncmp(all[i].name, "content-", 8) != 0)
			all[n++] = all[i];
	f->req.field_count = n;
	f->req.body = NULL;
	f->req.body_len = 0;
	f->req.pull = NULL;
}

/* ---- the body to be sent ---- */

bool hfetch_has_body(const struct hfetch *f)
{
	return f->req.pull || f->req.body_len;
}

int64_t hfetch_body_len(const struct hfetch *f)
{
	if (f->req.pull)
		return f->req.pull_len;
	return (int64_t)f->req.body_len;
}

/* What was pulled so far must agree with what was said. */
static bool check_pulled(struct hfetch *f)
{
	int64_t said = f->req.pull_len;
	bool wrong =
	    said >= 0 && (f->pull_all ? f->pulled != (uint64_t)said : f->pulled > (uint64_t)said);
	if (wrong)
		hfetch_fail(f, ERR_BADDATA, "request to %s: a body of %lld bytes was said, %llu came",
		    f->url.host, (long long)said, (unsigned long long)f->pulled);
	return !wrong;
}

void hfetch_fill(struct hfetch *f)
{
	if (!f->req.pull)
		return;
	if (f->out_off == f->out.len) {
		buf_clear(&f->out);
		f->out_off = 0;
	}
	while (!f->pull_all && !f->pull_later && f->out.len - f->out_off < HCLIENT_PULL_ROOM) {
		size_t had = f->out.len;
		f->pull_begun = true;
		enum hclient_pull next = f->req.pull(f->req.own, &f->out);
		if (!hfetch_runs(f))
			return;
		size_t added = f->out.len - had;
		f->pulled += added;
		f->pull_all = next == HCLIENT_END;
		f->pull_later = next == HCLIENT_LATER || (next == HCLIENT_MORE && !added);
		if (next == HCLIENT_ABORT)
			hfetch_fail(
			    f, ERR_CANCELED, "request to %s: its body broke off", f->url.host);
		if (!hfetch_runs(f) || !check_pulled(f))
			return;
	}
}

const uint8_t *hfetch_ready(const struct hfetch *f, size_t *len, bool *all)
{
	if (f->req.pull) {
		*len = f->out.len - f->out_off;
		*all = f->pull_all;
		return f->out.data + f->out_off;
	}
	*len = f->req.body_len - f->body_off;
	*all = true;
	return (const uint8_t *)f->req.body + f->body_off;
}

void hfetch_used(struct hfetch *f, size_t len)
{
	if (f->req.pull)
		f->out_off += len;
	else
		f->body_off += len;
}
