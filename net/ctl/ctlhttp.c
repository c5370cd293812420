#include "net/ctl/ctlhttp.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/fsio.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/rt/solo.h"
#include "net/client/tlscli.h"
#include "proto/url.h"

#define ANSWER_MAX   ((size_t)1 << 30)
#define WHOLE_MS     120000u
#define SECRET_MAX   65536u
#define AGAIN_MAX_MS 10000u
#define AFTER_MAX_S  60u
#define REPEATS_TOLD 3u /* after a second, who waits is told */

/* Of all servers that are open: a thread has one. */
static struct loop *loop;
static unsigned loop_users;

struct ctlhttp {
	struct arena arena;
	struct loop *loop;
	struct tlscli *tls;
	struct hclient *client;
	const char *base;   /* scheme, host, port and path, no slash at its end */
	const char *prefix; /* its path alone, "" or "/prom" */
	const char *who;
	bool usual; /* nobody named it: CTLHTTP_SERVER */
	struct hclient_field *fields;
	size_t fields_count;
	uint32_t whole_ms;
	const char *flag;
};

bool ctlhttp_add_header(void *arg, const char *value)
{
	struct ctlhttp_access *a = arg;
	if (!strchr(value, ':') || strpbrk(value, "\r\n") || a->headers_count == CTLHTTP_HEADERS)
		return false;
	a->headers[a->headers_count++] = value;
	return true;
}

static void field(struct ctlhttp *c, const char *name, const char *value, bool secret)
{
	struct hclient_field *f = &c->fields[c->fields_count++];
	*f = (struct hclient_field){ .name = name, .value = value, .secret = secret };
	f->name_len = strlen(name);
	f->value_len = strlen(value);
}

/* The first line of a small file. */
static int secret_of(struct ctlhttp *c, const char *flag, const char *path, char **out)
{
	FILE *f = fopen(path, "r");
	char text[SECRET_MAX + 2];
	text[f ? fread(text, 1, sizeof(text) - 1, f) : 0] = 0;
	if (f)
		fclose(f);
	size_t line = strcspn(text, "\r\n");
	if (line > SECRET_MAX)
		return ctl_fail(CTL_LOCAL, "--%s \"%s\": its line is longer than %u bytes", flag,
		    path, SECRET_MAX);
	text[line] = 0;
	if (!text[0])
		return ctl_fail(CTL_LOCAL, "--%s \"%s\": nothing can be read from it", flag, path);
	*out = arena_strndup(&c->arena, text, strlen(text));
	return CTL_OK;
}

static void basic(struct ctlhttp *c, const char *user, const char *password)
{
	size_t len = strlen(user) + 1 + strlen(password), head = strlen("Basic ");
	char *plain = arena_alloc(&c->arena, len + 1);
	snprintf(plain, len + 1, "%s:%s", user, password);
	char *value = arena_alloc(&c->arena, head + 4 * ((len + 2) / 3) + 1);
	memcpy(value, "Basic ", head);
	EVP_EncodeBlock((unsigned char *)value + head, (const unsigned char *)plain, (int)len);
	field(c, "authorization", value, true);
}

static int set_fields(struct ctlhttp *c, const struct ctlhttp_access *a, const struct url *u)
{
	int status = CTL_OK;
	char *secret = NULL;
	if (a->token_file && (a->user || a->password_file))
		return ctl_fail(
		    CTL_USAGE, "--token-file and --user are two ways to say who asks: one of them");
	if (a->password_file && !a->user && !u->has_user)
		return ctl_fail(CTL_USAGE, "--password-file needs --user");
	c->fields = arena_alloc(&c->arena, (CTLHTTP_HEADERS + 4) * sizeof(*c->fields));
	for (size_t i = 0; i < a->headers_count; i++) {
		const char *colon = strchr(a->headers[i], ':'), *value = colon + 1;
		char *name = arena_strndup(&c->arena, a->headers[i], (size_t)(colon - a->headers[i]));
		for (char *p = name; *p; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p + 32);
		field(c, name, value + strspn(value, " \t"),
		    !strcmp(name, "authorization") || !strcmp(name, "cookie"));
	}
	if (a->tenant)
		field(c, "x-scope-orgid", a->tenant, false);
	if (a->token_file) {
		status = secret_of(c, "token-file", a->token_file, &secret);
		if (status)
			return status;
		size_t size = strlen(secret) + sizeof("Bearer ");
		char *value = arena_alloc(&c->arena, size);
		snprintf(value, size, "Bearer %s", secret);
		field(c, "authorization", value, true);
	} else if (a->user || u->has_user) {
		if (a->password_file)
			status = secret_of(c, "password-file", a->password_file, &secret);
		if (status)
			return status;
		basic(c, a->user ? a->user : u->user, secret ? secret : a->user ? "" : u->password);
	}
	return CTL_OK;
}

static int set_base(struct ctlhttp *c, const char *server, struct url *u)
{
	struct errbuf eb;
	errbuf_init(&eb);
	char authority[URL_AUTHORITY_MAX];
	const char *slashes = strstr(server, "://");
	if (!slashes || memchr(server, '/', (size_t)(slashes - server))) { /* HOST:PORT */
		size_t with = strlen("http://") + strlen(server) + 1;
		char *whole = arena_alloc(&c->arena, with);
		snprintf(whole, with, "http://%s", server);
		server = whole;
	}
	if (url_parse(&c->arena, server, strlen(server), u, &eb))
		return ctl_fail(CTL_USAGE, "%s: %s", c->flag, eb.text);
	if (memchr(u->target, '?', u->target_len))
		return ctl_fail(CTL_USAGE, "%s: a base has no \"?\"", c->flag);
	size_t len = u->target_len;
	while (len && u->target[len - 1] == '/')
		len--;
	c->prefix = arena_strndup(&c->arena, u->target, len);
	url_authority(u, false, authority);
	size_t size = strlen("https://") + strlen(authority) + len + 1;
	char *base = arena_alloc(&c->arena, size);
	snprintf(base, size, "%s%s%s", u->https ? "https://" : "http://", authority, c->prefix);
	c->base = base;
	return CTL_OK;
}

static void set_who(struct ctlhttp *c, const struct ctlhttp_access *a, const struct url *u)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, c->base);
	if (a->tenant)
		buf_printf(&b, " tenant=%s", a->tenant);
	if (a->user || u->has_user)
		buf_printf(&b, " user=%s", a->user ? a->user : u->user);
	if (a->token_file)
		buf_printf(&b, " token-file=%s", a->token_file);
	for (size_t i = 0; i < a->headers_count; i++)
		if (!c->fields[i].secret)
			buf_printf(&b, " %s=%s", c->fields[i].name, c->fields[i].value);
	c->who = arena_strndup(&c->arena, (const char *)b.data, b.len);
	buf_release(&b);
}

static int set_client(struct ctlhttp *c, const struct ctlhttp_access *a)
{
	struct errbuf eb;
	errbuf_init(&eb);
	struct tlscli_conf tls = {
		.ca_file = a->ca, .cert_file = a->cert, .key_file = a->key, .no_verify = a->insecure
	};
	enum err e = tlscli_load(&tls, &c->tls, &eb);
	if (e)
		return ctl_fail(CTL_LOCAL, "%s", eb.text);
	if (!loop_users) {
		e = solo_create(&loop);
		if (!e && ctl_stop_fd() >= 0 && (e = solo_watch(loop, ctl_stop_fd())))
			solo_free(loop);
		if (e)
			return ctl_fail(CTL_LOCAL, "no event loop: %s", err_why(e));
	}
	loop_users++;
	c->loop = loop;
	struct hclient_opts o;
	hclient_opts_usual(&o);
	o.tls = c->tls;
	o.user_agent = "kymoctl/" PACKAGE_VERSION;
	o.redirects = 0;
	o.retries = 1;
	o.head_ms = o.idle_ms = HCLIENT_NONE; /* whole_ms bounds them */
	o.whole_ms = c->whole_ms;
	o.answer_max = ANSWER_MAX;
	o.conns_host = o.conns_all = 64;
	o.idle_host = 16;
	e = hclient_create(c->loop, &o, &c->client, &eb);
	return e ? ctl_fail(CTL_LOCAL, "%s", eb.text) : CTL_OK;
}

int ctlhttp_open(const struct ctlhttp_access *a, struct ctlhttp **out)
{
	struct ctlhttp *c = mem_zalloc(sizeof(*c));
	const char *server = a->server ? a->server : getenv("KYMO_SERVER");
	struct url u;
	int64_t ms = WHOLE_MS;
	arena_init(&c->arena, 1024);
	c->flag = a->flag ? a->flag : "--server";
	c->usual = !server || !*server;
	int status = a->server && !*a->server ? ctl_fail(CTL_USAGE, "%s is empty", c->flag)
	                                      : set_base(c, c->usual ? CTLHTTP_SERVER : server, &u);
	if (!status && a->timeout &&
	    (num_parse_duration(a->timeout, strlen(a->timeout), &ms) || ms < 1 || ms > INT32_MAX))
		status = ctl_fail(
		    CTL_USAGE, "--timeout: \"%s\" is not a duration such as 30s", a->timeout);
	c->whole_ms = (uint32_t)ms;
	if (!status)
		status = set_fields(c, a, &u);
	if (!status)
		set_who(c, a, &u);
	if (!status)
		status = set_client(c, a);
	if (status) {
		ctlhttp_close(c);
		c = NULL;
	}
	*out = c;
	return status;
}

void ctlhttp_close(struct ctlhttp *c)
{
	if (!c)
		return;
	hclient_free(c->client);
	if (c->loop && --loop_users)
		solo_look(loop);
	else if (c->loop)
		solo_free(loop);
	tlscli_free(c->tls);
	arena_release(&c->arena);
	mem_free(c);
}

const char *ctlhttp_server(const struct ctlhttp *c)
{
	return c->base;
}

const char *ctlhttp_who(const struct ctlhttp *c)
{
	return c->who;
}

void ctlhttp_param_len(struct buf *form, const char *name, const char *value, size_t len)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";
	buf_printf(form, "%s%s=", form->len ? "&" : "", name);
	for (size_t i = 0; i < len; i++) {
		if (memchr(plain, value[i], sizeof(plain) - 1))
			buf_add_u8(form, (uint8_t)value[i]);
		else
			buf_printf(form, "%%%02X", (unsigned char)value[i]);
	}
}

void ctlhttp_param(struct buf *form, const char *name, const char *value)
{
	ctlhttp_param_len(form, name, value, strlen(value));
}

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7); 0: it is not so. */
static int64_t date_of(const struct hclient_head *h)
{
	size_t len;
	const char *text = hclient_header(h->fields, h->field_count, "date", &len);
	int day, year, hour, minute, second;
	char month[4], iso[32];
	int64_t ms;
	if (!text ||
	    sscanf(text, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &day, month, &year, &hour, &minute,
	        &second) != 6)
		return 0;
	for (int i = 0; i < 12; i++) {
		if (strcmp(months[i], month))
			continue;
		snprintf(iso, sizeof(iso), "%04d-%02d-%02dT%02d:%02d:%02dZ", year, i + 1, day, hour,
		    minute, second);
		return num_parse_time(iso, strlen(iso), &ms) ? 0 : ms;
	}
	return 0;
}

/* What an answer that is no success says: the API's "error", else its first line. */
static void words_of(struct ctlhttp_call *call)
{
	const char *body = (const char *)call->answer.data;
	size_t len = call->answer.len;
	json_t *j = len ? json_loadb(body, len, 0, NULL) : NULL;
	const char *error = json_string_value(json_object_get(j, "error"));
	if (!error)
		error = json_string_value(json_object_get(j, "message"));
	size_t line = 0;
	while (line < len && line < 900 && body[line] != '\n' && body[line] != '\r')
		line++;
	if (!error && !strncmp(call->answer_type, "text/html", strlen("text/html")))
		error = "a page for people: does the API begin at this URL?";
	if (error)
		snprintf(call->text, sizeof(call->text), "%d: %s", call->status, error);
	else
		snprintf(call->text, sizeof(call->text), "%d%s%.*s", call->status, line ? ": " : "",
		    (int)line, len ? body : "");
	for (char *at = call->text; *at; at++)
		if (*at == '\n')
			*at = ' ';
	json_decref(j);
}

static void ended(struct ctlhttp_call *call)
{
	call->ended = true;
	if (call->done)
		call->done(call);
}

static void send_it(struct ctlhttp_call *call);

static void again(struct loop_timer *t)
{
	send_it(CONTAINER_OF(t, struct ctlhttp_call, _again));
}

static bool passes(const struct ctlhttp_call *call)
{
	if (call->err)
		return call->err == ERR_IO || call->err == ERR_TIMEOUT || call->err == ERR_TRUNCATED;
	return call->status == 429 || (call->status >= 502 && call->status <= 504);
}

static uint64_t wait_ms(const struct ctlhttp_call *call, const struct hclient_end *end)
{
	size_t len;
	uint64_t s, ms = 100u << (call->repeats < 7 ? call->repeats : 7);
	const char *after = end->head.status
	    ? hclient_header(end->head.fields, end->head.field_count, "retry-after", &len)
	    : NULL;
	if (after && !num_parse_u64(after, len, &s))
		return (s < AFTER_MAX_S ? s : AFTER_MAX_S) * 1000 + 1;
	return ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS;
}

static void on_head(void *own, const struct hclient_head *h)
{
	struct ctlhttp_call *call = own;
	size_t len;
	const char *type = hclient_header(h->fields, h->field_count, "content-type", &len);
	call->status = h->status;
	call->date_ms = date_of(h);
	snprintf(call->answer_type, sizeof(call->answer_type), "%s", type ? type : "");
	if (call->head)
		call->head(call->own, h);
}

static void on_data(void *own, const uint8_t *data, size_t len)
{
	struct ctlhttp_call *call = own;
	if (call->data && call->status < 300) {
		call->_handed = true;
		call->data(call->own, data, len);
	} else {
		buf_add(&call->answer, data, len);
	}
}

static void on_done(void *own, const struct hclient_end *end)
{
	struct ctlhttp_call *call = own;
	call->_fetch = NULL;
	call->err = end->err;
	if (!call->err && call->answer.over)
		call->err = ERR_TOOBIG;
	if (call->err)
		snprintf(call->text, sizeof(call->text), "%s",
		    end->err ? end->text : "the answer is too long");
	else if (call->status > 299)
		words_of(call);
	if (call->keep_trying && !call->_handed && !ctl_stopped() && passes(call)) {
		loop_timer_set(call->_http->loop, &call->_again, wait_ms(call, end));
		call->repeats++;
		return;
	}
	ended(call);
}

static void send_it(struct ctlhttp_call *call)
{
	struct ctlhttp *c = call->_http;
	struct hclient_field fields[CTLHTTP_HEADERS + 40];
	size_t count = 0;
	char *url;
	CHECK(call->fields_count < 32);
	for (size_t i = 0; i < c->fields_count; i++)
		fields[count++] = c->fields[i];
	for (size_t i = 0; i < call->fields_count; i++)
		fields[count++] = call->fields[i];
	if (call->body)
		fields[count++] = (struct hclient_field){ .name = "content-type",
			.value = call->type ? call->type : "application/x-www-form-urlencoded" };
	size_t size = strlen(c->base) + strlen(call->path) + 1;
	url = mem_alloc(size);
	snprintf(url, size, "%s%s", c->base, call->path);
	buf_clear(&call->answer);
	call->answer.limit = call->answer_max ? call->answer_max : ANSWER_MAX;
	call->status = 0;
	call->text[0] = 0;
	struct hclient_req req = {
		.method = call->method,
		.url = url,
		.fields = fields,
		.field_count = count,
		.body = call->body,
		.body_len = call->body_len,
		.retry = call->once ? HCLIENT_RETRY_NEVER : HCLIENT_RETRY_IDEMPOTENT,
		.whole_ms = call->streams ? HCLIENT_NONE : call->whole_ms,
		.head_ms = call->streams ? c->whole_ms : 0,
		.idle_ms = call->streams ? c->whole_ms : 0,
		.keep_packed = call->plain,
		.answer_max = SIZE_MAX,
		.own = call,
		.head = on_head,
		.data = on_data,
		.done = on_done,
	};
	call->_fetch = hclient_fetch(c->client, &req);
	mem_free(url);
}

void ctlhttp_begin(struct ctlhttp *c, struct ctlhttp_call *call)
{
	call->_http = c;
	call->ended = false;
	call->_handed = false;
	call->repeats = 0;
	buf_init(&call->answer);
	loop_timer_init(&call->_again, again);
	send_it(call);
}

void ctlhttp_turn(struct ctlhttp *c)
{
	solo_turn(c->loop);
}

void ctlhttp_cancel(struct ctlhttp_call *call)
{
	if (call->ended || !call->_http)
		return;
	if (call->_fetch)
		hclient_cancel(call->_fetch);
	call->_fetch = NULL;
	loop_timer_cancel(call->_http->loop, &call->_again);
	call->err = ERR_CANCELED;
	snprintf(call->text, sizeof(call->text), "interrupted");
	ended(call);
}

void ctlhttp_pause(struct ctlhttp_call *call, bool pause)
{
	if (call->_fetch)
		hclient_pause(call->_fetch, pause);
}

void ctlhttp_look(struct ctlhttp *c)
{
	solo_look(c->loop);
}

void ctlhttp_wait(struct ctlhttp *c, struct ctlhttp_call *call)
{
	bool told = false;
	while (!call->ended) {
		ctlhttp_turn(c);
		if (call->repeats >= REPEATS_TOLD && *call->text && !told) {
			ctl_note("%s: %s; it is tried again", c->base, call->text);
			told = true;
		}
		if (ctl_stopped())
			ctlhttp_cancel(call);
	}
}

void ctlhttp_call_release(struct ctlhttp_call *call)
{
	buf_release(&call->answer);
}

/* What to do about it, where the words themselves do not say; "" where nobody knows. */
static const char *remedy(const struct ctlhttp_call *call)
{
	const struct ctlhttp *c = call->_http;
	if (call->err)
		return c->usual ? " (another server: --server URL, or $KYMO_SERVER)"
		    : strstr(call->text, "wrong version number")
		    ? " (it seems to speak plain HTTP: http://)"
		    : strstr(call->text, "self-signed") || strstr(call->text, "local issuer")
		    ? " (a certificate to believe: --ca FILE)"
		    : "";
	if (call->status == 401)
		return " (--token-file FILE, or --user NAME with --password-file FILE)";
	if (strstr(call->text, "admin APIs disabled"))
		return " (kymod has to be started with --web.enable-admin-api)";
	if (call->status == 404 && *c->prefix)
		return " (the URL of a server ends before /api/v1)";
	return "";
}

int ctlhttp_outcome(const struct ctlhttp_call *call)
{
	const char *server = call->_http->base;
	if (call->err == ERR_CANCELED)
		return ctl_fail(CTL_INTERRUPTED, "interrupted");
	if (call->err == ERR_TOOBIG || call->err == ERR_MALFORMED)
		return ctl_fail(CTL_REFUSED, "%s%s: %s", server, call->path, call->text);
	if (call->err == ERR_BADDATA)
		return ctl_fail(CTL_USAGE, "%s", call->text);
	if (call->err)
		return ctl_fail(CTL_UNREACHABLE, "%s%s", call->text, remedy(call));
	if (call->status > 299)
		return ctl_fail(CTL_REFUSED, "%s answers %s%s", server, call->text, remedy(call));
	return CTL_OK;
}

#define SAYS_MAX ((size_t)64 << 10) /* of an answer, that is looked at */

static bool says(const struct buf *body, const char *word)
{
	size_t len = strlen(word), all = body->len < SAYS_MAX ? body->len : SAYS_MAX;
	for (size_t i = 0; i + len <= all; i++)
		if (!strncasecmp((const char *)body->data + i, word, len))
			return true;
	return false;
}

bool ctlhttp_says_too_much(const struct ctlhttp_call *call)
{
	static const char *const words[] = { "too many", "too large", "too long", "too big",
		"exceed", "limit", "timed out", "timeout", "deadline", "memory", "longer than",
		"more than", "-max-" };
	int s = call->status;
	if (call->err || s < 300 || s == 401 || s == 403 || s == 404 || s == 429 || s == 502)
		return false;
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (says(&call->answer, words[i]))
			return true;
	return s == 413;
}

static void tell(const json_t *answer, const char *key)
{
	size_t i;
	json_t *text;
	json_array_foreach(json_object_get(answer, key), i, text)
	    ctl_note("%s: %s", key, json_string_value(text) ? json_string_value(text) : "");
}

void ctlhttp_call_json(struct ctlhttp *c, const char *method, const char *path,
    const struct buf *form, struct ctlhttp_call *call, json_t **answer)
{
	struct buf whole;
	json_error_t error;
	buf_init(&whole);
	call->method = method;
	call->path = path;
	*answer = NULL;
	if (form && form->len && !strcmp(method, "POST")) {
		call->body = form->data;
		call->body_len = form->len;
	} else if (form && form->len) {
		buf_printf(&whole, "%s?%.*s", path, (int)form->len, (const char *)form->data);
		buf_add_u8(&whole, 0);
		call->path = (const char *)whole.data;
	}
	ctlhttp_begin(c, call);
	ctlhttp_wait(c, call);
	call->path = path;
	call->body = NULL;
	buf_release(&whole);
	if (call->err || !call->answer.len)
		return;
	*answer =
	    json_loadb((const char *)call->answer.data, call->answer.len, JSON_ALLOW_NUL, &error);
	if (!*answer && call->status < 300) {
		call->err = ERR_MALFORMED;
		snprintf(call->text, sizeof(call->text), "the answer is no JSON: %s", error.text);
	}
	const char *says = json_string_value(json_object_get(*answer, "status"));
	if (says && !strcmp(says, "error") && call->status < 300) {
		const char *why = json_string_value(json_object_get(*answer, "error"));
		call->err = ERR_MALFORMED;
		(void)rune_printf(call->text, sizeof(call->text), "it answers %d with an error: %s",
		    call->status, why ? why : "");
	}
}

void ctlhttp_tell(const json_t *answer)
{
	tell(answer, "warnings");
	tell(answer, "infos");
}

int ctlhttp_shape(const struct ctlhttp *c, const json_t *data, json_type type)
{
	if (data && (json_typeof(data) == type || json_is_null(data)))
		return CTL_OK;
	return ctl_fail(CTL_REFUSED, "%s: the answer is no %s", c->base,
	    type == JSON_ARRAY ? "list" : "object with data");
}

int ctlhttp_json(
    struct ctlhttp *c, const char *method, const char *path, const struct buf *form, json_t **data)
{
	struct ctlhttp_call call = { 0 };
	json_t *j;
	*data = NULL;
	ctlhttp_call_json(c, method, path, form, &call, &j);
	int status = ctlhttp_outcome(&call);
	if (!status) {
		ctlhttp_tell(j);
		*data = json_incref(json_object_get(j, "data"));
	}
	json_decref(j);
	ctlhttp_call_release(&call);
	return status;
}
