/*
 * A request that has to wait for something is looked at again from the start when it is there: what
 * was found right is remembered by the loop then, what was not stands in its struct porter_ask.
 */
#include "net/gate/porter.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "core/base/metric.h"
#include "core/base/rune.h"
#include "net/conn/peer.h"
#include "net/gate/porter_priv.h"
#include "proto/urlq.h"

#define TRIES_MOST     8u /* a request is asked again so often */
#define BASIC_MOST     2048u
#define SCHEME_BEARER  "bearer"
#define SCHEME_BASIC   "basic"
#define SCHEME_TOKEN   "token" /* of InfluxDB 2 */
#define CHALLENGE_NAME "kymo"

/* ---- answers ---- */

/* What may be shown here (RFC 9110, 11.6.1); RFC 6750, section 3, when a token was wrong. */
static void challenge(const struct porter_loop *pl, struct req *r, bool wrong_token)
{
	bool users = ident_count(pl->set, IDENT_USER);
	bool bearer = ident_count(pl->set, IDENT_TOKEN) || ident_count(pl->set, IDENT_OIDC);
	/* A page's script has a dialog of its own; for Basic browsers would open theirs over it. */
	users = users && !req_header(r, "x-requested-with", NULL);
	if (bearer || !users)
		req_answer_field(r, "www-authenticate", "Bearer realm=\"" CHALLENGE_NAME "\"%s",
		    wrong_token ? ", error=\"invalid_token\"" : "");
	if (users)
		req_answer_field(
		    r, "www-authenticate", "Basic realm=\"" CHALLENGE_NAME "\", charset=\"UTF-8\"");
}

static bool says_token(enum denial what)
{
	return what == DENIED_TOKEN || (what >= DENIED_JWT_FORM && what <= DENIED_JWT_CLAIMS);
}

enum req_step porter_refuse(struct porter_loop *pl, struct req *r, enum denial what, int status,
    const char *word, const char *identity, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	rune_vprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	denials_tell(&pl->denials, what, r, identity, text);
	if (status == 401 && r->route->flags & ROUTE_DATADOG)
		status = 403;
	if (status == 401)
		challenge(pl, r, says_token(what));
	if (status == 429 || status == 503)
		req_answer_field(r, "retry-after", "%u", 1 + randombytes_uniform(5));
	req_refuse(r, status, word, "%s", text);
	return REQ_ANSWERED;
}

static enum req_step unauthorized(
    struct porter_loop *pl, struct req *r, enum denial what, const char *who, const char *text)
{
	return porter_refuse(pl, r, what, 401, "unauthorized", who, "%s", text);
}

static enum req_step nothing_shown(struct porter_loop *pl, struct req *r)
{
	bool users = ident_count(pl->set, IDENT_USER), certs = ident_count(pl->set, IDENT_CERT);
	bool bearer = ident_count(pl->set, IDENT_TOKEN) || ident_count(pl->set, IDENT_OIDC);
	return porter_refuse(pl, r, DENIED_MISSING, 401, "unauthorized", "",
	    "who asks has to show who he is: %s%s%s%s%s", bearer ? "a bearer token" : "",
	    bearer && (users || certs) ? ", or " : "", users ? "a user's name and password" : "",
	    users && certs ? ", or " : "", certs ? "a client certificate" : "");
}

/* A sender that is told to come back does so after 503; 429 is final for many of them. */
static enum req_step come_back(
    struct porter_loop *pl, struct req *r, enum denial what, bool address, const char *text)
{
	bool write = r->route->role == ROLE_WRITE, json = r->route->flags & ROUTE_JSON;
	if (address && !write)
		return porter_refuse(pl, r, what, 429, "rate_limited", "", "%s", text);
	return porter_refuse(pl, r, what, 503, json ? "unavailable" : "overloaded", "", "%s", text);
}

/* ---- somebody is known ---- */

static void count(enum ident_kind kind)
{
	static const enum metric_id ids[IDENT_KINDS] = { M_AUTH_TOKEN, M_AUTH_BASIC,
		M_AUTH_CERTIFICATE, M_AUTH_OIDC, M_AUTH_ANONYMOUS };
	metric_add(ids[kind], 1);
}

static enum req_step enter(struct porter_loop *pl, struct req *r, const struct porter_face *f)
{
	enum role needs = r->route->role;
	if (!(f->roles & (unsigned)needs))
		return porter_refuse(pl, r, DENIED_ROLE, 403, "forbidden", f->name,
		    "the role \"%s\" is needed for %s, and %s has not got it",
		    ident_role_word(needs), r->path, f->name[0] ? f->name : "anonymous");
	enum req_step step = porter_tenant(pl, r, f);
	if (step != REQ_GO)
		return step;
	count(f->ident->kind);
	r->roles = f->roles;
	if (UNLIKELY(r->route->flags & ROUTE_WHO))
		r->who_reads = porter_reads(pl, r, f);
	/* The set may have been replaced while it waited. */
	r->identity =
	    r->identify || f->bearer ? arena_strndup(&r->arena, f->name, strlen(f->name)) : f->name;
	return REQ_GO;
}

static enum req_step enter_ident(struct porter_loop *pl, struct req *r, const struct ident *ident)
{
	struct porter_face f = { .ident = ident, .name = ident->name, .roles = ident->roles };
	return enter(pl, r, &f);
}

static enum req_step enter_bearer(struct porter_loop *pl, struct req *r, const struct bearer *b)
{
	struct porter_face f = { .ident = ident_at(pl->set, IDENT_OIDC, b->issuer),
		.bearer = b,
		.name = b->name,
		.roles = b->roles };
	return enter(pl, r, &f);
}

/* ---- slow checks ---- */

struct porter_ask *porter_ask_of(struct porter_loop *pl, struct req *r)
{
	if (!r->identify)
		r->identify = arena_zalloc(&r->arena, sizeof(struct porter_ask));
	struct porter_ask *a = r->identify;
	a->loop = pl;
	return a;
}

static void remember(struct porter_loop *pl, struct check *c)
{
	if (c->serial != pl->serial || !pl->set)
		return; /* another configuration: it is asked again */
	if (c->kind == CHECK_PASSWORD) {
		struct porter_user *u = &pl->users[c->user];
		memcpy(u->key, c->key, sizeof u->key);
		u->there = true;
	} else if (c->bearer->serial == pl->serial && c->version == pl->version) {
		seen_put(pl->seen, c->key, c->bearer);
		c->bearer = NULL;
	}
}

static void came_home(struct check *c)
{
	struct req *r = c->own;
	struct porter_ask *a = r->identify;
	a->wrong = c->verdict != CHECK_RIGHT;
	a->kind = c->kind;
	a->verdict = c->verdict;
	a->fault = c->fault;
	memcpy(a->text, c->text, sizeof a->text);
	if (!a->wrong)
		remember(a->loop, c);
	check_free(c);
	req_door_open(r);
}

/* take_check goes home to came_home. */
static enum req_step send_check(struct porter_loop *pl, struct req *r, struct check *take_check)
{
	struct porter_ask *a = porter_ask_of(pl, r);
	if (++a->tries > TRIES_MOST) {
		check_free(take_check);
		return come_back(pl, r, DENIED_CROWDED, false,
		    "the identities change faster than they can be looked at");
	}
	take_check->who = r->who;
	take_check->serial = pl->serial;
	take_check->home = came_home;
	take_check->own = r;
	checks_ask(pl->porter->checks, take_check);
	return REQ_WAIT;
}

static enum denial denial_of(enum jwt_fault f)
{
	switch (f) {
	case JWT_NO_KEY:
		return DENIED_JWT_KEY;
	case JWT_SIGNATURE:
		return DENIED_JWT_SIGNATURE;
	case JWT_EXPIRED:
	case JWT_NOT_YET:
		return DENIED_JWT_TIME;
	case JWT_ISSUER:
	case JWT_AUDIENCE:
	case JWT_CLAIMS:
		return DENIED_JWT_CLAIMS;
	case JWT_FINE:
	case JWT_MALFORMED:
	case JWT_ALGORITHM:
	case JWT_FAULTS:
		break;
	}
	return DENIED_JWT_FORM;
}

/* A check said no. user: of the set, for the log; NULL: not one. */
static enum req_step checked_wrong(
    struct porter_loop *pl, struct req *r, const struct porter_ask *a, const struct ident *user)
{
	bool password = a->kind == CHECK_PASSWORD;
	char text[96];
	switch (a->verdict) {
	case CHECK_CROWDED_ADDRESS:
		rune_printf(text, sizeof text, "more than %u %s of this address are being checked",
		    password ? CHECKS_PASSWORDS_ADDRESS : CHECKS_SIGNATURES_ADDRESS,
		    password ? "passwords" : "tokens");
		return come_back(pl, r, DENIED_CROWDED, true, text);
	case CHECK_CROWDED:
		rune_printf(text, sizeof text, "more than %u %s are being checked",
		    password ? CHECKS_PASSWORDS_ALL : CHECKS_SIGNATURES_ALL,
		    password ? "passwords" : "tokens");
		return come_back(pl, r, DENIED_CROWDED, false, text);
	case CHECK_NO_KEYS:
		return come_back(pl, r, DENIED_NO_KEYS, false,
		    "the issuer of the token cannot be asked for its keys just now: it does not answer, or was asked a moment ago");
	case CHECK_RIGHT:
	case CHECK_WRONG:
		break;
	}
	if (password)
		return unauthorized(pl, r, DENIED_PASSWORD, user ? user->name : "",
		    "the user's name or the password is wrong");
	return porter_refuse(pl, r, denial_of(a->fault), 401, "unauthorized", "",
	    "the token is refused: %s", a->text);
}

/* ---- what is shown ---- */

static enum req_step ask_token(struct porter_loop *pl, struct req *r, const char *token, size_t len)
{
	const struct ident *ident = ident_find_token(pl->set, token, len);
	struct porter_ask *a = r->identify;
	uint8_t key[CHECKS_KEY_BYTES];
	if (ident)
		return enter_ident(pl, r, ident);
	if (!ident_count(pl->set, IDENT_OIDC) || len > JWT_TOKEN_BYTES_MAX ||
	    !jwt_is_like(token, len))
		return unauthorized(pl, r, DENIED_TOKEN, "", "the token is not known here");
	if (a && a->wrong)
		return checked_wrong(pl, r, a, NULL);
	checks_key(pl->porter->checks, &pl->serial, sizeof pl->serial, "", 0, token, len, key);
	if (pl->version != checks_version(pl->porter->checks)) {
		/* The issuer may have withdrawn a key. */
		pl->version = checks_version(pl->porter->checks);
		seen_clear(pl->seen);
	}
	const struct bearer *b = seen_find(pl->seen, key, loop_now_ms(pl->loop));
	if (b)
		return enter_bearer(pl, r, b);
	struct check *c = check_make(CHECK_SIGNATURE, token, len);
	memcpy(c->key, key, sizeof key);
	return send_check(pl, r, c);
}

static enum req_step ask_password(struct porter_loop *pl, struct req *r, const char *name,
    size_t name_len, const char *password, size_t len)
{
	const struct ident *user = ident_find_user(pl->set, name, name_len);
	struct porter_ask *a = r->identify;
	uint8_t key[CHECKS_KEY_BYTES];
	if (a && a->wrong)
		return checked_wrong(pl, r, a, user);
	/* Who is no user costs a hash as well, and is wrong whatever the password is. */
	char about[PASSWD_HASH_BYTES + 1];
	size_t n = rune_printf(about, sizeof about, "%c%s", user ? 'u' : 'n',
	    user ? user->secret : ident_decoy(pl->set, name, name_len));
	checks_key(pl->porter->checks, about, n, name, name_len, password, len, key);
	size_t index = user ? ident_user_index(pl->set, user) : 0;
	if (user && pl->users[index].there && !sodium_memcmp(pl->users[index].key, key, sizeof key))
		return enter_ident(pl, r, user);
	struct check *c = check_make(CHECK_PASSWORD, password, len);
	memcpy(c->hash, about + 1, n);
	memcpy(c->key, key, sizeof key);
	c->nobody = !user;
	c->user = index;
	return send_check(pl, r, c);
}

/* A user and a password; of InfluxDB's clients the password may be a token, of any user. */
static enum req_step ask_user(struct porter_loop *pl, struct req *r, const char *name,
    size_t name_len, const char *password, size_t len)
{
	const struct ident *token =
	    r->route->flags & ROUTE_INFLUX ? ident_find_token(pl->set, password, len) : NULL;
	if (token)
		return enter_ident(pl, r, token);
	if (!ident_count(pl->set, IDENT_USER))
		return unauthorized(
		    pl, r, DENIED_PASSWORD, "", "the user's name or the password is wrong");
	return ask_password(pl, r, name, name_len, password, len);
}

/* "Token xyz": a token, or a user, a colon and the password (InfluxDB 2 for clients of 1.x). */
static enum req_step ask_influx(struct porter_loop *pl, struct req *r, const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	if (!colon || ident_find_token(pl->set, text, len))
		return ask_token(pl, r, text, len);
	return ask_user(
	    pl, r, text, (size_t)(colon - text), colon + 1, len - (size_t)(colon - text) - 1);
}

/* The parameters u and p, of requests that show nothing else; in the request's arena. */
static bool url_user(
    struct req *r, const char **name, size_t *name_len, const char **password, size_t *len)
{
	struct urlq q;
	if (!(r->route->flags & ROUTE_INFLUX) || !strstr(r->query, "u="))
		return false;
	urlq_init(&q, &r->arena);
	/* what cannot be read is left out */
	enum err e = urlq_parse(&q, r->query, r->query_len, NULL);
	*name = urlq_get(&q, "u", name_len);
	*password = urlq_get(&q, "p", len);
	return e != ERR_TOOBIG && *name_len;
}

/* RFC 7617, section 2: base64 of "user:password". */
static enum req_step ask_basic(struct porter_loop *pl, struct req *r, const char *text, size_t len)
{
	uint8_t bytes[BASIC_MOST] SCRATCH;
	size_t n = 0;
	bool fine = !sodium_base642bin(
	    bytes, sizeof bytes, text, len, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL);
	const char *plain = (const char *)bytes, *colon = fine ? memchr(plain, ':', n) : NULL;
	enum req_step step;
	if (!colon)
		step = unauthorized(pl, r, DENIED_SCHEME, "",
		    "Authorization: Basic has to be base64 of a user's name, a colon and the password");
	else
		step = ask_user(pl, r, plain, (size_t)(colon - plain), colon + 1,
		    n - (size_t)(colon - plain) - 1);
	sodium_memzero(bytes, n);
	return step;
}

/* "Bearer xyz": what stands behind the scheme, which may be of any case. */
static const char *behind(const struct req_field *f, const char *scheme, size_t *len)
{
	size_t n = strlen(scheme);
	if (f->value_len <= n || f->value[n] != ' ' || strncasecmp(f->value, scheme, n))
		return NULL;
	while (n < f->value_len && f->value[n] == ' ')
		n++;
	*len = f->value_len - n;
	while (*len && f->value[n + *len - 1] == ' ')
		--*len;
	return *len ? f->value + n : NULL;
}

static enum req_step ask_authorization(
    struct porter_loop *pl, struct req *r, const struct req_field *f)
{
	size_t len;
	const char *rest = behind(f, SCHEME_BEARER, &len);
	if (rest)
		return ask_token(pl, r, rest, len);
	rest = behind(f, SCHEME_BASIC, &len);
	if (rest)
		return ask_basic(pl, r, rest, len);
	rest = r->route->flags & ROUTE_INFLUX ? behind(f, SCHEME_TOKEN, &len) : NULL;
	if (rest)
		return ask_influx(pl, r, rest, len);
	return unauthorized(pl, r, DENIED_SCHEME, "",
	    "Authorization is neither a Bearer token nor Basic with a user and a password");
}

/* The certificate of the connection; NULL: none that is known. */
static const struct ident *by_certificate(const struct ident_set *s, const struct conn_peer *p)
{
	if (!ident_count(s, IDENT_CERT))
		return NULL;
	const struct ident *ident = ident_find_fingerprint(s, p->sha256);
	/* Names count when an authority of ours vouches for them. */
	if (ident)
		return ident;
	for (size_t i = 0; i < p->san_count && !ident; i++)
		if (p->sans[i].kind == CONN_SAN_DNS || p->sans[i].kind == CONN_SAN_URI)
			ident = ident_find_san(s, p->sans[i].value, strlen(p->sans[i].value));
	if (!ident && p->common_name[0])
		ident = ident_find_subject(s, p->common_name, strlen(p->common_name));
	return ident;
}

static enum req_step ask_unsaid(struct porter_loop *pl, struct req *r)
{
	const struct ident *ident = r->peer ? by_certificate(pl->set, r->peer) : NULL;
	bool cert = ident;
	if (!ident)
		ident = ident_anonymous(pl->set);
	if (ident)
		return enter_ident(pl, r, ident);
	if (r->peer && !cert && ident_count(pl->set, IDENT_CERT))
		return unauthorized(pl, r, DENIED_CERTIFICATE, r->peer->common_name,
		    "the client's certificate is not known here");
	return nothing_shown(pl, r);
}

/* The key of a client of Datadog; NULL: there is none. */
static const char *datadog_key(struct req *r, size_t *len)
{
	struct urlq q;
	if (!(r->route->flags & ROUTE_DATADOG))
		return NULL;
	const char *key = req_header(r, "dd-api-key", len);
	if (key)
		return key;
	urlq_init(&q, &r->arena);
	/* what cannot be read is left out */
	enum err e = urlq_parse(&q, r->query, r->query_len, NULL);
	key = urlq_get(&q, "api_key", len);
	return e != ERR_TOOBIG && *len ? key : NULL;
}

static enum req_step look(struct porter_loop *pl, struct req *r)
{
	static const char name[] = "authorization";
	const struct req_field *shown = NULL;
	for (size_t i = 0; i < r->field_count; i++) {
		const struct req_field *f = &r->fields[i];
		if (f->name_len != sizeof name - 1 || memcmp(f->name, name, sizeof name - 1))
			continue;
		if (shown)
			return unauthorized(
			    pl, r, DENIED_SCHEME, "", "there is more than one Authorization");
		shown = f;
	}
	const char *user, *password;
	size_t user_len, len;
	if (shown)
		return ask_authorization(pl, r, shown);
	const char *key = datadog_key(r, &len);
	if (key)
		return ask_token(pl, r, key, len);
	return url_user(r, &user, &user_len, &password, &len)
	    ? ask_user(pl, r, user, user_len, password, len)
	    : ask_unsaid(pl, r);
}

enum req_step gate_ask(struct req *r)
{
	struct porter_loop *pl = loop_porter(r->loop);
	if (LIKELY(!pl || !pl->set))
		return REQ_GO;
	r->roles = 0;
	return r->route->role == ROLE_NONE ? REQ_GO : look(pl, r);
}

/* ---- life ---- */

static void begin_here(void *arg)
{
	struct porter_loop *pl = arg;
	denials_begin(&pl->denials, pl->loop, pl->porter->paces);
	loop_set_porter(pl->loop, pl);
}

enum err porter_create(const struct porter_opts *o, struct porter **out)
{
	struct porter *p = mem_zalloc(sizeof *p);
	unsigned n = team_count(o->team);
	p->opts = *o;
	enum err e = checks_create(o->team, o->pool, &o->fetch, &p->checks);
	if (e) {
		mem_free(p);
		return e;
	}
	p->loops = mem_zalloc(n * sizeof *p->loops);
	for (unsigned i = 0; i < n; i++) {
		struct porter_loop *pl = &p->loops[i];
		pl->porter = p;
		pl->loop = team_loop(o->team, i);
		pl->seen = seen_create();
		team_run_on(o->team, i, begin_here, pl);
	}
	*out = p;
	return 0;
}

static void forget(struct porter_loop *pl)
{
	sodium_memzero(pl->users, pl->set ? ident_count(pl->set, IDENT_USER) * sizeof *pl->users : 0);
	mem_free(pl->users);
	mem_free(pl->tenants);
	pl->users = NULL;
	pl->tenants = NULL;
	seen_clear(pl->seen);
}

void porter_use_here(struct porter *p, const struct ident_set *set)
{
	struct porter_loop *pl = &p->loops[loop_index(loop_here())];
	forget(pl);
	pl->set = set;
	pl->serial = set ? ident_set_serial(set) : 0;
	if (set) {
		size_t n = ident_tenant_names(set);
		pl->users = mem_zalloc((ident_count(set, IDENT_USER) + 1) * sizeof *pl->users);
		pl->tenants = mem_array(NULL, n + 1, sizeof *pl->tenants);
		memset(pl->tenants, 0xff, (n + 1) * sizeof *pl->tenants);
	}
	if (loop_index(pl->loop) == 0)
		checks_use(p->checks, set);
}
STATIC(TENANT_NONE == UINT32_MAX);

struct using
{
	struct porter *porter;
	const struct ident_set *set;
};

static void use_here(void *arg)
{
	const struct using *u = arg;
	porter_use_here(u->porter, u->set);
}

void porter_use(struct porter *p, const struct ident_set *set)
{
	struct using u = { p, set };
	for (unsigned i = 0; i < team_count(p->opts.team); i++)
		team_run_on(p->opts.team, i, use_here, &u);
}

static void end_here(void *arg)
{
	struct porter_loop *pl = arg;
	loop_set_porter(pl->loop, NULL);
	denials_end(&pl->denials);
	forget(pl);
	if (loop_index(pl->loop) == 0)
		checks_close(pl->porter->checks);
}

void porter_free(struct porter *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < team_count(p->opts.team); i++) {
		team_run_on(p->opts.team, i, end_here, &p->loops[i]);
		seen_free(p->loops[i].seen);
	}
	checks_free(p->checks);
	mem_free(p->loops);
	mem_free(p);
}
