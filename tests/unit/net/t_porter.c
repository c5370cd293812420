/*
 * The porter in front of a real server on loopback: each way to show who one is, what is answered
 * else, tenants, and what waits. Passwords cost little here; the issuer is this program.
 */
#include "net/gate/porter.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/metric.h"
#include "net/conn/peer.h"
#include "net/gate/checks.h"
#include "net/http/srv.h"
#include "tests/lib/httpcli.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define LOOPS    2
#define WAIT_MS  600000
#define B64      sodium_base64_VARIANT_ORIGINAL
#define B64URL   sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define TOKEN(n) n "-0123456789abcdef"

static struct testteam tt;
static struct srv *srv;
static struct porter *porter;
static const char *address;

/* ---- a server that tells who asks ---- */

static void tell(struct req *r)
{
	struct buf b;
	buf_init(&b);
	buf_printf(&b, "id=%s tenant=%d roles=%u reads=", r->identity, (int)r->tenant, r->roles);
	for (size_t i = 0; i < r->tenants_count; i++)
		buf_printf(&b, "%s%d", i ? "," : "", (int)r->tenants[i]);
	req_reply_buf(r, 200, "text/plain", &b);
}

static const struct route rows[] = {
	{ .methods = REQ_GET, .path = "/read", .handler = tell, .role = ROLE_READ },
	{ .methods = REQ_GET, .path = "/json", .handler = tell, .role = ROLE_READ, .flags = ROUTE_JSON },
	{ .methods = REQ_POST, .path = "/write", .handler = tell, .role = ROLE_WRITE, .body_max = 1 << 20 },
	{ .methods = REQ_POST,
	    .path = "/lines",
	    .handler = tell,
	    .role = ROLE_WRITE,
	    .flags = ROUTE_JSON | ROUTE_INFLUX,
	    .body_max = 1 << 20 },
	{ .methods = REQ_POST,
	    .path = "/agent",
	    .handler = tell,
	    .role = ROLE_WRITE,
	    .flags = ROUTE_JSON | ROUTE_DATADOG,
	    .body_max = 1 << 20 },
	{ .methods = REQ_GET | REQ_POST, .path = "/admin", .handler = tell, .role = ROLE_ADMIN },
	{ .methods = REQ_GET, .path = "/open", .handler = tell, .role = ROLE_NONE },
};

/* "x-cert: CN san" stands for a TLS client. */
static enum req_step door(struct req *r)
{
	static struct conn_san san = { .kind = CONN_SAN_URI };
	static struct conn_peer peer;
	const char *cert = req_header(r, "x-cert", NULL);
	if (cert) {
		size_t n = strcspn(cert, " ");
		peer.common_name = arena_strndup(&r->arena, cert, n);
		san.value = cert[n] ? cert + n + 1 : "";
		peer.sans = &san;
		peer.san_count = 1;
		r->peer = &peer;
	}
	enum req_step step = gate_ask(r);
	if (cert && step != REQ_WAIT)
		r->peer = NULL;
	return step;
}

/* ---- a book of tenants ---- */

static struct {
	char names[64][80];
	unsigned count;
	enum err err; /* of the next make */
} book = { .names = { "default", "own", "a", "b" }, .count = 4 };
static atomic_uint made;

static uint32_t book_find(void *arg, const char *name, size_t len)
{
	(void)arg;
	for (uint32_t i = 0; i < book.count; i++)
		if (strlen(book.names[i]) == len && !memcmp(book.names[i], name, len))
			return i;
	return TENANT_NONE;
}

struct making {
	struct loop_timer timer;
	void (*done)(void *own, enum err e, const char *text);
	void *own;
};

static void make_done(struct loop_timer *t)
{
	struct making *m = CONTAINER_OF(t, struct making, timer);
	m->done(m->own, book.err, book.err ? "no more room in the book" : "");
	free(m);
}

/* One test client at a time makes tenants, so that the book needs no lock. */
static void book_make(
    void *arg, const char *name, void (*done)(void *own, enum err e, const char *text), void *own)
{
	struct making *m = calloc(1, sizeof(*m));
	(void)arg;
	if (!book.err)
		snprintf(book.names[book.count++], sizeof(book.names[0]), "%s", name);
	atomic_fetch_add(&made, 1);
	m->done = done;
	m->own = own;
	loop_timer_init(&m->timer, make_done);
	loop_timer_set(loop_here(), &m->timer, 1);
}

/* ---- an issuer ---- */

struct key {
	const char *kid;
	uint8_t pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
};
static struct key keys[3] = { { .kid = "k0" }, { .kid = "k1" }, { .kid = "k2" } };
static struct {
	unsigned published; /* how many of keys */
	bool down;
	const char *issuer; /* that discovery names */
} idp = { .published = 1, .issuer = "https://idp" };
static atomic_uint fetches;

struct fetching {
	struct loop_timer timer;
	char url[256];
	void (*done)(void *own, int status, const char *body, size_t len, const char *text);
	void *own;
};

static void fetched(struct loop_timer *t)
{
	struct fetching *f = CONTAINER_OF(t, struct fetching, timer);
	struct buf b;
	buf_init(&b);
	if (strstr(f->url, "openid-configuration")) {
		buf_printf(&b, "{\"issuer\":\"%s\",\"jwks_uri\":\"https://idp/keys\"}", idp.issuer);
	} else {
		buf_add_str(&b, "{\"keys\":[");
		for (unsigned i = 0; i < idp.published; i++) {
			char x[64];
			sodium_bin2base64(x, sizeof(x), keys[i].pk, sizeof(keys[i].pk), B64URL);
			buf_printf(&b,
			    "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%s\",\"x\":\"%s\"}",
			    i ? "," : "", keys[i].kid, x);
		}
		buf_add_str(&b, "]}");
	}
	if (idp.down)
		f->done(f->own, 0, NULL, 0, "connection refused");
	else
		f->done(f->own, 200, (const char *)b.data, b.len, NULL);
	buf_release(&b);
	free(f);
}

static void *fetch_begin(void *arg, const char *url,
    void (*done)(void *own, int status, const char *body, size_t len, const char *text), void *own)
{
	struct fetching *f = calloc(1, sizeof(*f));
	(void)arg;
	atomic_fetch_add(&fetches, 1);
	snprintf(f->url, sizeof(f->url), "%s", url);
	f->done = done;
	f->own = own;
	loop_timer_init(&f->timer, fetched);
	loop_timer_set(loop_here(), &f->timer, 1);
	return f;
}

static void fetch_cancel(void *arg, void *handle)
{
	struct fetching *f = handle;
	(void)arg;
	loop_timer_cancel(loop_here(), &f->timer);
	free(f);
}

static void add_b64(struct buf *b, const void *data, size_t len)
{
	char text[2048];
	sodium_bin2base64(text, sizeof(text), data, len, B64URL);
	buf_add_str(b, text);
}

/* "authorization: Bearer <signed>\r\n"; more: claims behind iss and exp. */
static const char *bearer(const struct key *k, const char *more)
{
	static char field[4096];
	struct buf b;
	char json[1024];
	uint8_t sig[crypto_sign_BYTES];
	buf_init(&b);
	int n = snprintf(json, sizeof(json), "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", k->kid);
	add_b64(&b, json, (size_t)n);
	buf_add_u8(&b, '.');
	n = snprintf(json, sizeof(json), "{\"iss\":\"https://idp\",\"exp\":%lld%s}",
	    (long long)(clock_wall_ms() / 1000 + 600), more);
	add_b64(&b, json, (size_t)n);
	crypto_sign_detached(sig, NULL, b.data, b.len, k->sk);
	buf_add_u8(&b, '.');
	add_b64(&b, sig, sizeof(sig));
	snprintf(field, sizeof(field), "Authorization: Bearer %.*s\r\n", (int)b.len, (char *)b.data);
	buf_release(&b);
	return field;
}

/* ---- begin, ask, end ---- */

static void begin(void)
{
	static const struct listen_conf listeners[] = { { .address = "127.0.0.1:0" } };
	struct errbuf eb;
	testteam_start(&tt, LOOPS);
	struct porter_opts po = { .team = tt.team,
		.pool = tt.pool,
		.book = { .find = book_find, .make = book_make },
		.fetch = { .begin = fetch_begin, .cancel = fetch_cancel } };
	CHECK(!porter_create(&po, &porter));
	struct srv_opts so = { .team = tt.team,
		.listeners = listeners,
		.listener_count = 1,
		.routes = { rows, COUNT_OF(rows) },
		.door = door };
	errbuf_init(&eb);
	CHECK(!srv_create(&so, &srv, &eb));
	srv_serve(srv);
	address = srv_address(srv, 0);
}

static void end(void)
{
	srv_close_all(srv);
	while (srv_requests(srv))
		usleep(1000);
	porter_free(porter);
	testteam_stop(&tt);
	srv_free(srv);
}

static struct httpcli_answer ask(const char *method, const char *path, const char *fields)
{
	char text[8192];
	int fd = httpcli_dial(address);
	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n%s%s\r\n", method, path, fields,
	    strcmp(method, "POST") ? "" : "Content-Length: 0\r\n");
	httpcli_puts(fd, text);
	struct httpcli_answer a = httpcli_read(fd, false, WAIT_MS);
	close(fd);
	return a;
}

/* Status and, unless want is NULL, a part of the body. */
static void expect(
    const char *method, const char *path, const char *fields, int status, const char *want)
{
	struct httpcli_answer a = ask(method, path, fields);
	const char *body = a.body ? a.body : "";
	if (!tap_ok(a.status == status && (!want || strstr(body, want)), "%s %s: %d %s", method,
	        path, status, want ? want : ""))
		printf("# %d %s | %s\n", a.status, body, fields);
	httpcli_free(&a);
}

static void no_fault(void *arg, const char *row, const char *text)
{
	(void)arg;
	printf("# %s: %s\n", row, text);
}

static struct ident_set *use(const struct ident_conf *c)
{
	struct ident_set *s = NULL;
	CHECK(!ident_set_make(c, &s, no_fault, NULL));
	porter_use(porter, s);
	return s;
}

static void use_nobody(struct ident_set *old)
{
	porter_use(porter, NULL);
	ident_set_free(old);
}

#define AUTH(t) "Authorization: Bearer " t "\r\n"
#define ALL     (ROLE_READ | ROLE_WRITE | ROLE_ADMIN)

static char hashes[8][IDENT_TOKEN_TEXT_BYTES];

static const char *hash(unsigned i, const char *token)
{
	ident_token_text(token, strlen(token), hashes[i]);
	return hashes[i];
}

/* ---- cases ---- */

static void nobody_set_up(void)
{
	expect("GET", "/read", "", 200, "id= tenant=0 roles=15 reads=0");
	expect("POST", "/write", "X-Scope-OrgID: a\r\n" AUTH("whatever"), 200,
	    "id= tenant=0 roles=15 reads=0");
}

static void tokens(void)
{
	struct ident_token t[] = {
		{ .grant = { .name = "writer", .roles = ROLE_WRITE, .tenant = "own" },
		    .token_hash = hash(0, TOKEN("writer")) },
		{ .grant = { .name = "all", .roles = ALL }, .token_hash = hash(1, TOKEN("all")) },
	};
	struct ident_set *s = use(&(struct ident_conf){ .tokens = t, .tokens_count = 2 });
	expect("POST", "/write", AUTH(TOKEN("writer")), 200, "id=writer tenant=1 roles=1 reads=1");
	expect("POST", "/write", "authorization: bEARER   " TOKEN("writer") "  \r\n", 200,
	    "id=writer");
	expect("GET", "/read", AUTH(TOKEN("writer")), 403,
	    "forbidden: the role \"read\" is needed for /read, and writer has not got it");
	expect("GET", "/json", AUTH(TOKEN("writer")), 403, "\"errorType\":\"forbidden\"");
	expect("GET", "/read", AUTH(TOKEN("all")), 200, "id=all tenant=0 roles=11 reads=0");
	expect("POST", "/admin", AUTH(TOKEN("all")), 200, "id=all");
	expect("POST", "/write", "", 401,
	    "unauthorized: who asks has to show who he is: a bearer token\n");
	expect("GET", "/json", "", 401, "{\"status\":\"error\",\"errorType\":\"unauthorized\"");
	expect("GET", "/read", AUTH(TOKEN("writes")), 401,
	    "unauthorized: the token is not known here");
	expect("GET", "/read", AUTH("a.b.c"), 401, "not known here");
	expect("GET", "/read", "Authorization: Bearer\r\n", 401, "neither a Bearer token nor Basic");
	expect(
	    "GET", "/read", "Authorization: Digest x\r\n", 401, "neither a Bearer token nor Basic");
	expect("GET", "/read", "Authorization: " TOKEN("all") "\r\n", 401, NULL);
	expect("GET", "/read", "Authorization: Basic YTpi\r\n", 401, "name or the password is wrong");
	expect("GET", "/read", AUTH(TOKEN("all")) AUTH(TOKEN("all")), 401,
	    "more than one Authorization");
	expect("GET", "/open", "", 200, "id= tenant=0 roles=0");
	expect("GET", "/open", AUTH("wrong"), 200, NULL);
	expect("OPTIONS", "/read", "Origin: http://x\r\n", 204, NULL);
	expect("GET", "/nowhere", "", 404, NULL);
	struct httpcli_answer a = ask("GET", "/read", "");
	tap_is_str(httpcli_field(&a, "www-authenticate"), "Bearer realm=\"kymo\"",
	    "what may be shown is told");
	httpcli_free(&a);
	a = ask("GET", "/read", AUTH("wrong"));
	tap_is_str(httpcli_field(&a, "www-authenticate"),
	    "Bearer realm=\"kymo\", error=\"invalid_token\"", "and that the token was wrong");
	httpcli_free(&a);
	use_nobody(s);
}

/* Refused before the body comes: nothing of it is sent here. */
static void before_the_body(void)
{
	struct ident_token t[] = { { .grant = { .name = "w", .roles = ROLE_WRITE },
	    .token_hash = hash(0, TOKEN("w")) } };
	struct ident_set *s = use(&(struct ident_conf){ .tokens = t, .tokens_count = 1 });
	int fd = httpcli_dial(address);
	httpcli_puts(fd,
	    "POST /write HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n");
	struct httpcli_answer a = httpcli_read(fd, false, WAIT_MS);
	tap_is_i64(a.status, 401, "401 and no \"100 Continue\"");
	httpcli_free(&a);
	close(fd);
	use_nobody(s);
}

#define SCOPE(t)  "X-Scope-OrgID: " t "\r\n"
#define THANOS(t) "THANOS-TENANT: " t "\r\n"

static void tenants(void)
{
	static const char *const ab[] = { "a", "b", "later" }, *const any[] = { "*" };
	struct ident_token t[] = {
		{ .grant = { .name = "own", .roles = ALL, .tenant = "own" },
		    .token_hash = hash(0, TOKEN("own")) },
		{ .grant = { .name = "sev",
		      .roles = ALL,
		      .tenant = "own",
		      .tenants = ab,
		      .tenants_count = 3 },
		    .token_hash = hash(1, TOKEN("sev")) },
		{ .grant = { .name = "gate",
		      .roles = ALL,
		      .tenant = "own",
		      .tenants = any,
		      .tenants_count = 1,
		      .trusted = true },
		    .token_hash = hash(2, TOKEN("gate")) },
		{ .grant = { .name = "tru",
		      .roles = ALL,
		      .tenant = "own",
		      .tenants = ab,
		      .tenants_count = 2,
		      .trusted = true },
		    .token_hash = hash(3, TOKEN("tru")) },
	};
	struct ident_set *s = use(&(struct ident_conf){ .tokens = t, .tokens_count = 4 });
	expect("GET", "/read", AUTH(TOKEN("own")) SCOPE("own"), 200, "tenant=1 roles=11 reads=1");
	expect("POST", "/write", AUTH(TOKEN("own")) THANOS("own") SCOPE("own"), 200, "tenant=1");
	expect("GET", "/read", AUTH(TOKEN("own")) SCOPE("a"), 403,
	    "forbidden: own may not read of tenant \"a\"");
	expect("POST", "/write", AUTH(TOKEN("own")) THANOS("a"), 403,
	    "own may not work in tenant \"a\"");
	expect("GET", "/json", AUTH(TOKEN("own")) SCOPE("own|a"), 403,
	    "may not read of tenant \\\"a\\\"");
	expect("GET", "/read", AUTH(TOKEN("own")) SCOPE("a b"), 400,
	    "bad_tenant: tenant name \"a b\"");
	expect("GET", "/read", AUTH(TOKEN("own")) SCOPE(""), 400, "bad_tenant: tenant name is empty");
	expect("GET", "/json", AUTH(TOKEN("own")) SCOPE("../x"), 400, "\"errorType\":\"bad_data\"");
	expect("GET", "/read", AUTH(TOKEN("own")) SCOPE("own") THANOS("a"), 400,
	    "name different tenants");

	expect("GET", "/read", AUTH(TOKEN("sev")), 200, "tenant=1 roles=11 reads=1");
	expect("GET", "/read", AUTH(TOKEN("sev")) SCOPE("b"), 200, "tenant=3 roles=11 reads=3");
	expect("GET", "/read", AUTH(TOKEN("sev")) SCOPE("own|b|a|b"), 200,
	    "tenant=1 roles=11 reads=2,3,1");
	expect("GET", "/read", AUTH(TOKEN("sev")) SCOPE("b|a") THANOS("a|b"), 200, "reads=2,3");
	expect("GET", "/read", AUTH(TOKEN("sev")) SCOPE("a|later"), 200, "reads=2");
	expect("GET", "/read", AUTH(TOKEN("sev")) SCOPE("later"), 200, "tenant=-1 roles=11 reads=-1");
	expect("GET", "/read", AUTH(TOKEN("sev")) SCOPE("a|default"), 403,
	    "may not read of tenant \"default\"");
	expect(
	    "POST", "/write", AUTH(TOKEN("sev")) SCOPE("a"), 403, "only trusted identities choose");
	expect("POST", "/write", AUTH(TOKEN("sev")) SCOPE("a|b"), 400,
	    "several tenants can be read of, nothing else");
	expect("POST", "/admin", AUTH(TOKEN("sev")) SCOPE("a"), 403, NULL);

	expect("POST", "/write", AUTH(TOKEN("tru")) SCOPE("a"), 200, "tenant=2 roles=11 reads=2");
	expect("POST", "/write", AUTH(TOKEN("tru")) SCOPE("default"), 403, NULL);
	expect("POST", "/write", AUTH(TOKEN("tru")), 200, "tenant=1");

	expect("GET", "/read", AUTH(TOKEN("gate")) SCOPE("new"), 200, "tenant=-1");
	tap_is_u64(atomic_load(&made), 0, "reading makes no tenant");
	expect("POST", "/write", AUTH(TOKEN("gate")) SCOPE("new"), 200, "tenant=4 roles=11 reads=4");
	expect("GET", "/read", AUTH(TOKEN("gate")) SCOPE("new"), 200, "tenant=4");
	tap_is_u64(atomic_load(&made), 1, "writing makes it, once");
	book.err = ERR_TOOBIG;
	expect("POST", "/write", AUTH(TOKEN("gate")) SCOPE("more"), 400,
	    "tenant_limit: no more room in the book");
	book.err = ERR_IO;
	expect("POST", "/write", AUTH(TOKEN("gate")) SCOPE("more"), 503, "no more room in the book");
	book.err = 0;
	use_nobody(s);
}

static const char *basic(const char *user_and_password)
{
	static char field[512];
	char text[300];
	sodium_bin2base64(
	    text, sizeof(text), (const uint8_t *)user_and_password, strlen(user_and_password), B64);
	snprintf(field, sizeof(field), "Authorization: Basic %s\r\n", text);
	return field;
}

static char cheap[PASSWD_HASH_BYTES];

/* What clients of InfluxDB show, where they are served. */
static void influx_clients(void)
{
	struct ident_token t[] = { { .grant = { .name = "writer", .roles = ROLE_WRITE },
	    .token_hash = hash(0, TOKEN("writer")) } };
	struct ident_user u[] = {
		{ .grant = { .name = "bob", .roles = ROLE_WRITE }, .password_hash = cheap },
	};
	struct ident_set *s = use(
	    &(struct ident_conf){ .tokens = t, .tokens_count = 1, .users = u, .users_count = 1 });
	expect("POST", "/lines", AUTH(TOKEN("writer")), 200, "id=writer");
	expect("POST", "/lines", "Authorization: Token " TOKEN("writer") "\r\n", 200, "id=writer");
	expect("POST", "/lines", basic("any:" TOKEN("writer")), 200, "id=writer");
	expect("POST", "/lines", basic("bob:open sesame"), 200, "id=bob");
	expect("POST", "/lines", "Authorization: Token bob:open sesame\r\n", 200, "id=bob");
	expect("POST", "/lines?db=x&u=bob&p=open+sesame", "", 200, "id=bob");
	expect("POST", "/lines?u=any&p=" TOKEN("writer"), "", 200, "id=writer");
	expect("POST", "/lines?u=bob&p=no", "", 401, "\"errorType\":\"unauthorized\"");
	expect("POST", "/lines?p=" TOKEN("writer"), "", 401, "has to show who he is");
	expect("POST", "/lines?u=bob&p=open+sesame", AUTH("no"), 401, "the token is not known here");
	expect("POST", "/lines", basic("root:root"), 401, "name or the password is wrong");
	expect("POST", "/lines", "Authorization: Token no\r\n", 401, "the token is not known here");
	expect("POST", "/lines", "Authorization: Token bob:no\r\n", 401, "password is wrong");
	expect("POST", "/write", "Authorization: Token " TOKEN("writer") "\r\n", 401,
	    "neither a Bearer token nor Basic");
	expect("POST", "/write", basic("any:" TOKEN("writer")), 401, "password is wrong");
	expect("POST", "/write?u=bob&p=open+sesame", "", 401, "has to show who he is");
	use_nobody(s);
}

/* What agents of Datadog show; they repeat what is 401 for ever. */
static void datadog_agents(void)
{
	struct ident_token t[] = { { .grant = { .name = "writer", .roles = ROLE_WRITE },
	    .token_hash = hash(0, TOKEN("writer")) } };
	struct ident_set *s = use(&(struct ident_conf){ .tokens = t, .tokens_count = 1 });
	expect("POST", "/agent", "DD-Api-Key: " TOKEN("writer") "\r\n", 200, "id=writer");
	expect("POST", "/agent?api_key=" TOKEN("writer"), "", 200, "id=writer");
	expect("POST", "/agent", AUTH(TOKEN("writer")), 200, "id=writer");
	expect("POST", "/agent", "DD-Api-Key: no\r\n", 403, "the token is not known here");
	expect("POST", "/agent?api_key=no", "", 403, "the token is not known here");
	expect("POST", "/agent", "", 403, "has to show who he is");
	expect("POST", "/write", "DD-Api-Key: " TOKEN("writer") "\r\n", 401, "has to show who he is");
	use_nobody(s);
}

static uint64_t checks_made(void)
{
	return metric_sum(M_AUTH_CHECKED_PASSWORD);
}

static void users(void)
{
	struct ident_user u[] = {
		{ .grant = { .name = "ann", .roles = ROLE_READ, .tenant = "a" },
		    .password_hash = cheap },
		{ .grant = { .name = "bob", .roles = ROLE_WRITE }, .password_hash = cheap },
	};
	struct ident_conf c = { .users = u, .users_count = 2 };
	struct ident_set *s = use(&c);
	uint64_t before = checks_made();
	expect("GET", "/read", basic("ann:open sesame"), 200, "id=ann tenant=2 roles=2 reads=2");
	tap_is_u64(checks_made() - before, 1, "a password is checked");
	for (unsigned i = 0; i < 20; i++) {
		struct httpcli_answer a = ask("GET", "/read", basic("ann:open sesame"));
		before += a.status != 200;
		httpcli_free(&a);
	}
	tap_is_u64(checks_made() - before, 1, "and once only, for all loops");
	expect("POST", "/write", basic("ann:open sesame"), 403, "the role \"write\" is needed");
	before = checks_made();
	for (unsigned i = 0; i < 5; i++)
		expect("GET", "/read", basic("ann:wrong"), 401,
		    "unauthorized: the user's name or the password is wrong");
	tap_is_u64(checks_made() - before, 1, "a wrong one is checked once, too");
	before = checks_made();
	expect("GET", "/read", basic("nobody:open sesame"), 401,
	    "the user's name or the password is wrong");
	tap_is_u64(checks_made() - before, 1, "who is no user costs the same");
	expect("GET", "/read", basic("bob:"), 401, "the user's name or the password is wrong");
	expect("GET", "/read", basic("bob"), 401, "has to be base64 of a user's name");
	expect("GET", "/read", "Authorization: Basic !\r\n", 401, "has to be base64");
	expect("GET", "/read", "", 401, "a user's name and password");
	struct httpcli_answer a = ask("GET", "/read", "");
	tap_is_str(httpcli_field(&a, "www-authenticate"), "Basic realm=\"kymo\", charset=\"UTF-8\"",
	    "browsers ask for a password");
	httpcli_free(&a);
	a = ask("GET", "/read", "X-Requested-With: fetch\r\n");
	tap_is_str(httpcli_field(&a, "www-authenticate"), "Bearer realm=\"kymo\"",
	    "but not where a page's script asks, which does so itself");
	httpcli_free(&a);
	/* A new configuration changes what it changes, and nothing else costs a second check. */
	struct ident_set *next = use(&c);
	ident_set_free(s);
	before = checks_made();
	expect("GET", "/read", basic("ann:open sesame"), 200, "id=ann");
	tap_is_u64(
	    checks_made() - before, 0, "a new configuration with the same hash needs no check");
	char other[PASSWD_HASH_BYTES];
	CHECK(!crypto_pwhash_str_alg(other, "another", 7, 1, 8192, crypto_pwhash_ALG_ARGON2ID13));
	u[0].password_hash = other;
	s = use(&c);
	ident_set_free(next);
	expect("GET", "/read", basic("ann:open sesame"), 401, NULL);
	expect("GET", "/read", basic("ann:another"), 200, "id=ann");
	/* A name that was nobody's becomes a user's, with a hash that was another's. */
	expect("GET", "/read", basic("eve:another"), 401, NULL);
	u[1].grant.name = "eve";
	u[1].grant.roles = ROLE_READ;
	u[1].password_hash = other;
	next = use(&c);
	ident_set_free(s);
	expect("GET", "/read", basic("eve:another"), 200, "id=eve");
	expect("GET", "/read", basic("bob:open sesame"), 401, NULL);
	use_nobody(next);
}

/* More wrong passwords of one address than may be under way: told to come back, and the right one
 * still gets in. */
static void flood(void)
{
	enum {
		MANY = 60
	};
	struct ident_user u[] = { { .grant = { .name = "ann", .roles = ALL },
	    .password_hash = cheap } };
	struct ident_set *s = use(&(struct ident_conf){ .users = u, .users_count = 1 });
	int fds[MANY];
	unsigned wrong = 0, crowded = 0, other = 0;
	for (unsigned i = 0; i < MANY; i++) {
		char text[1024], guess[64];
		snprintf(guess, sizeof(guess), "ann:guess %u", i);
		snprintf(text, sizeof(text), "GET /read HTTP/1.1\r\nHost: a\r\n%s\r\n", basic(guess));
		fds[i] = httpcli_dial(address);
		httpcli_puts(fds[i], text);
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct httpcli_answer a = httpcli_read(fds[i], false, WAIT_MS);
		const char *retry = httpcli_field(&a, "retry-after");
		wrong += a.status == 401;
		crowded += a.status == 429 && retry && atoi(retry) >= 1;
		other += a.status != 401 && a.status != 429;
		httpcli_free(&a);
		close(fds[i]);
	}
	printf("# wrong=%u crowded=%u\n", wrong, crowded);
	tap_ok(wrong >= CHECKS_PASSWORDS_ADDRESS && !other && wrong + crowded == MANY,
	    "all are answered, 401 or 429");
	expect("GET", "/read", basic("ann:open sesame"), 200, "id=ann");
	use_nobody(s);
}

static int dial_from(unsigned last)
{
	const char *colon = strrchr(address, ':');
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in own = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + last) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&own, sizeof(own)) &&
	    !connect(fd, (struct sockaddr *)&to, sizeof(to)));
	return fd;
}

static void guess_from(int fd, unsigned address_no, unsigned i)
{
	char text[1024], guess[64];
	snprintf(guess, sizeof(guess), "ann:guess %u of %u", i, address_no);
	snprintf(text, sizeof(text), "GET /read HTTP/1.1\r\nHost: a\r\n%s\r\n", basic(guess));
	httpcli_puts(fd, text);
}

/* Some addresses fill all places; one more still gets one, whatever it costs them. */
static void crowd(void)
{
	enum {
		ADDRESSES = 12,
		EACH = CHECKS_PASSWORDS_ADDRESS
	};
	char dear[PASSWD_HASH_BYTES];
	CHECK(!passwd_make("open sesame", 11, dear));
	struct ident_user u[] = { { .grant = { .name = "ann", .roles = ALL },
	    .password_hash = dear } };
	struct ident_set *s = use(&(struct ident_conf){ .users = u, .users_count = 1 });
	int fds[ADDRESSES][EACH];
	unsigned answered = 0, others = 0;
	for (unsigned a = 0; a < ADDRESSES; a++)
		for (unsigned i = 0; i < EACH; i++) {
			fds[a][i] = dial_from(10 + a);
			guess_from(fds[a][i], a, i);
		}
	expect("GET", "/read", basic("ann:open sesame"), 200, "id=ann");
	for (unsigned a = 0; a < ADDRESSES; a++)
		for (unsigned i = 0; i < EACH; i++) {
			struct httpcli_answer r = httpcli_read(fds[a][i], false, WAIT_MS);
			answered += r.status == 401 || r.status == 503;
			others += r.status == 503;
			httpcli_free(&r);
			close(fds[a][i]);
		}
	printf("# %u of %d made room\n", others, ADDRESSES * EACH);
	tap_is_u64(answered, ADDRESSES * EACH, "all are answered, 401 or 503");
	use_nobody(s);
}

static void certificates(void)
{
	struct ident_cert cs[] = { { .grant = { .name = "agent", .roles = ROLE_WRITE },
		                       .subject = "agent.example" },
		{ .grant = { .name = "spiffe", .roles = ROLE_READ }, .san = "spiffe://x/agent" } };
	struct ident_token t[] = { { .grant = { .name = "all", .roles = ALL },
	    .token_hash = hash(0, TOKEN("all")) } };
	struct ident_conf c = { .certs = cs, .certs_count = 2, .tokens = t, .tokens_count = 1 };
	struct ident_set *s = use(&c);
	expect("POST", "/write", "X-Cert: agent.example\r\n", 200, "id=agent ");
	expect("GET", "/read", "X-Cert: other spiffe://x/agent\r\n", 200, "id=spiffe ");
	expect("GET", "/read", "X-Cert: agent.example\r\n", 403, "agent has not got it");
	expect("GET", "/read", "X-Cert: stranger\r\n", 401,
	    "the client's certificate is not known here");
	expect("GET", "/read", "X-Cert: agent.example\r\n" AUTH(TOKEN("all")), 200, "id=all");
	expect("POST", "/write", "X-Cert: agent.example\r\n" AUTH("wrong"), 401,
	    "the token is not known");
	expect("GET", "/read", "", 401, "a bearer token, or a client certificate");
	use_nobody(s);
	c.open = true;
	c.anonymous = (struct ident_grant){ .roles = ROLE_READ, .tenant = "a" };
	s = use(&c);
	expect("GET", "/read", "", 200, "id= tenant=2 roles=2 reads=2");
	expect("GET", "/read", "X-Cert: stranger\r\n", 200, "id= tenant=2");
	expect("POST", "/write", "", 403, "and anonymous has not got it");
	expect("GET", "/read", SCOPE("b"), 403, "anonymous may not read of tenant \"b\"");
	expect("GET", "/read", AUTH("wrong"), 401, NULL);
	use_nobody(s);
}

#define AUD ",\"aud\":\"kymo\""

static void issuers(void)
{
	static const char *const aud[] = { "kymo" };
	struct ident_oidc o[] = { { .grant = { .name = "idp" },
	    .issuer = "https://idp",
	    .audiences = aud,
	    .audiences_count = 1,
	    .tenant_claim = "org",
	    .roles_claim = "realm.roles",
	    .roles_prefix = "kymo-" } };
	struct ident_token t[] = { { .grant = { .name = "all", .roles = ALL },
	    .token_hash = hash(0, TOKEN("all")) } };
	struct ident_conf c = { .issuers = o, .issuers_count = 1, .tokens = t, .tokens_count = 1 };
	const char *reader =
	    AUD ",\"sub\":\"eve\",\"org\":\"a\",\"realm\":{\"roles\":[\"kymo-read\",\"admin\"]}";
	for (unsigned i = 0; i < 3; i++)
		crypto_sign_keypair(keys[i].pk, keys[i].sk);
	struct ident_set *s = use(&c);
	uint64_t before = metric_sum(M_AUTH_CHECKED_SIGNATURE);
	const char *same = bearer(&keys[0], reader);
	for (unsigned i = 0; i < 10; i++)
		expect("GET", "/read", same, 200, "id=eve tenant=2 roles=2 reads=2");
	uint64_t checks = metric_sum(M_AUTH_CHECKED_SIGNATURE) - before;
	tap_ok(checks >= 1 && checks <= 2 * LOOPS,
	    "the same token is checked once a loop, and once before the keys came");
	expect("GET", "/read", AUTH(TOKEN("all")), 200, "id=all");
	expect("POST", "/admin", bearer(&keys[0], reader), 403,
	    "the role \"admin\" is needed for /admin, and eve");
	expect("GET", "/read",
	    bearer(&keys[0], AUD ",\"org\":[\"b\",\"a\"],\"realm\":{\"roles\":[\"kymo-read\"]}"),
	    200, "tenant=3 roles=2 reads=3");
	expect("GET", "/read",
	    bearer(&keys[0], AUD ",\"sub\":\"eve\",\"realm\":{\"roles\":[\"kymo-read\"]}"), 403,
	    "the token names no tenant in its claim \"org\"");
	expect("GET", "/read",
	    bearer(&keys[0],
	        AUD ",\"sub\":\"eve\",\"org\":\"a/b\",\"realm\":{\"roles\":[\"kymo-read\"]}"),
	    403, "names no tenant");
	expect("GET", "/read", bearer(&keys[0], ",\"aud\":\"other\""), 401,
	    "the token is refused: it is for somebody else");
	expect("GET", "/read", bearer(&keys[0], AUD ",\"nbf\":99999999999"), 401, "not valid yet");
	struct key forged = keys[1];
	forged.kid = "k0";
	expect("GET", "/read", bearer(&forged, reader), 401, "its signature is wrong");

	/* A new key is fetched when a token names it; one that is not there costs a few fetches. */
	idp.published = 2;
	expect("GET", "/read", bearer(&keys[1], reader), 200, "id=eve");
	unsigned fetched_before = atomic_load(&fetches);
	expect("GET", "/read", bearer(&keys[2], reader), 401, "the issuer has no key of this name");
	struct key invented = keys[2];
	unsigned later = 0;
	for (unsigned i = 0; i < 10; i++) {
		char kid[16];
		snprintf(kid, sizeof(kid), "x%u", i);
		invented.kid = kid;
		struct httpcli_answer a = ask("GET", "/read", bearer(&invented, reader));
		later += a.status == 503;
		httpcli_free(&a);
	}
	unsigned more = atomic_load(&fetches) - fetched_before;
	tap_ok(more <= 4 * ISSUERS_ASK_BURST, "invented names make %u fetches", more);
	tap_ok(later, "beyond that they are told to come back");

	/* The issuer is gone: what was fetched still holds. */
	idp.down = true;
	expect("GET", "/read",
	    bearer(&keys[0],
	        AUD
	        ",\"jti\":\"1\",\"sub\":\"eve\",\"org\":\"a\",\"realm\":{\"roles\":[\"kymo-read\"]}"),
	    200, "id=eve");
	/* And over a new configuration that still has it. */
	struct ident_set *next = use(&c);
	ident_set_free(s);
	expect("GET", "/read", bearer(&keys[0], reader), 200, "id=eve");
	use_nobody(next);

	/* A start without it: 503 until it is there. */
	s = use(&c);
	expect(
	    "GET", "/read", bearer(&keys[0], reader), 503, "cannot be asked for its keys just now");
	expect("GET", "/read", AUTH(TOKEN("all")), 200, "id=all");
	expect("GET", "/read", bearer(&keys[0], ",\"iss\":\"https://idp\""), 401,
	    "its claims are no JSON object");
	use_nobody(s);
	idp.down = false;
	idp.issuer = "https://other";
	s = use(&c);
	expect("GET", "/read", bearer(&keys[0], reader), 503, NULL);
	use_nobody(s);
	idp.issuer = "https://idp";
	s = use(&c);
	expect("GET", "/read", bearer(&keys[0], reader), 200, "id=eve");
	use_nobody(s);
}

/* Clients that leave while they wait. */
static void leavers(void)
{
	struct ident_user u[] = { { .grant = { .name = "ann", .roles = ALL },
	    .password_hash = cheap } };
	struct ident_set *s = use(&(struct ident_conf){ .users = u, .users_count = 1 });
	for (unsigned i = 0; i < 40; i++) {
		char text[1024], guess[64];
		snprintf(guess, sizeof(guess), "ann:leaves %u", i);
		snprintf(text, sizeof(text), "GET /read HTTP/1.1\r\nHost: a\r\n%s\r\n", basic(guess));
		int fd = httpcli_dial(address);
		httpcli_puts(fd, text);
		close(fd);
	}
	/* What they asked for is still under way for a while. */
	int status = 429;
	for (unsigned i = 0; status == 429 && i < WAIT_MS; i++) {
		struct httpcli_answer a = ask("GET", "/read", basic("ann:open sesame"));
		status = a.status;
		httpcli_free(&a);
	}
	tap_is_i64(status, 200, "who comes after them gets in");
	for (unsigned i = 0; srv_requests(srv) && i < WAIT_MS; i++)
		usleep(1000);
	tap_is_u64(srv_requests(srv), 0, "nothing is left of who left");
	use_nobody(s);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	CHECK(sodium_init() >= 0);
	CHECK(!crypto_pwhash_str_alg(cheap, "open sesame", 11, 1, 8192, crypto_pwhash_ALG_ARGON2ID13));
	begin();
	nobody_set_up();
	tokens();
	before_the_body();
	tenants();
	users();
	influx_clients();
	datadog_agents();
	flood();
	crowd();
	certificates();
	issuers();
	leavers();
	end();
	return tap_done();
}
