#include "net/gate/ident.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/secret.h"
#include "net/gate/passwd.h"

#define TOKEN_PREFIX "blake2b:"
/* Public: it only makes our hashes of tokens others than anybody else's. */
#define TOKEN_KEY   "kymo: a token that somebody shows"
#define SLOTS_LEAST 16u

STATIC(IDENT_HASH_BYTES == crypto_generichash_BYTES);

/* Open addressing; a slot is 0, or a row's place + 1. */
struct table {
	uint32_t *slots;
	size_t mask;
};
struct token_key {
	uint8_t hash[IDENT_HASH_BYTES];
};
struct cert_key {
	const char *text; /* of a fingerprint: its bytes */
	size_t len;
	uint32_t row;
};
enum cert_table {
	BY_SUBJECT,
	BY_SAN,
	BY_FINGERPRINT,
	CERT_TABLES
};
struct ident_set {
	struct arena arena;
	uint64_t serial, seed;
	struct ident *rows[IDENT_KINDS];
	size_t counts[IDENT_KINDS];
	struct token_key *token_keys;
	struct cert_key *cert_keys;
	struct table tokens, users, certs[CERT_TABLES], tenants;
	const char **tenant_names;
	uint32_t tenant_count;
};

/* While a set is made. */
struct maker {
	struct ident_set *s;
	void (*fault)(void *arg, const char *row, const char *text);
	void *arg;
	char row[64];
	bool failed;
};

static void PRINTF_LIKE(2, 3) complain(struct maker *m, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	m->failed = true;
	m->fault(m->arg, m->row, text);
}

/* ---- words ---- */

const char *ident_kind_word(enum ident_kind kind)
{
	static const char *const words[IDENT_KINDS] = { "token", "basic", "certificate", "oidc",
		"anonymous" };
	return words[kind];
}

static const struct {
	const char *word;
	enum role role;
} roles[] = { { "write", ROLE_WRITE }, { "read", ROLE_READ }, { "rules", ROLE_RULES },
	{ "admin", ROLE_ADMIN } };

enum role ident_role(const char *word, size_t len)
{
	for (size_t i = 0; i < COUNT_OF(roles); i++)
		if (strlen(roles[i].word) == len && !memcmp(roles[i].word, word, len))
			return roles[i].role;
	return ROLE_NONE;
}

const char *ident_role_word(enum role role)
{
	for (size_t i = 0; i < COUNT_OF(roles); i++)
		if (roles[i].role == role)
			return roles[i].word;
	return "none";
}

void ident_token_hash(const char *token, size_t len, uint8_t out[IDENT_HASH_BYTES])
{
	int failed = crypto_generichash(out, IDENT_HASH_BYTES, (const uint8_t *)token, len,
	    (const uint8_t *)TOKEN_KEY, sizeof TOKEN_KEY - 1);
	CHECK(!failed);
}

void ident_token_text(const char *token, size_t len, char out[IDENT_TOKEN_TEXT_BYTES])
{
	uint8_t hash[IDENT_HASH_BYTES];
	char text[sodium_base64_ENCODED_LEN(IDENT_HASH_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
	STATIC(sizeof text + sizeof TOKEN_PREFIX <= IDENT_TOKEN_TEXT_BYTES);
	ident_token_hash(token, len, hash);
	sodium_bin2base64(
	    text, sizeof text, hash, sizeof hash, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	snprintf(out, IDENT_TOKEN_TEXT_BYTES, TOKEN_PREFIX "%s", text);
}

/* ---- tables ---- */

static void table_init(struct ident_set *s, struct table *t, size_t rows)
{
	size_t slots = SLOTS_LEAST;
	while (slots < 2 * rows)
		slots *= 2;
	t->mask = slots - 1;
	t->slots = arena_zalloc(&s->arena, slots * sizeof *t->slots);
}

static uint64_t name_hash(const struct ident_set *s, const char *name, size_t len)
{
	return hash64(name, len, s->seed);
}

static uint64_t token_slot(const uint8_t hash[IDENT_HASH_BYTES])
{
	uint64_t h;
	memcpy(&h, hash, sizeof h);
	return h;
}

static void table_put(struct table *t, uint64_t hash, uint32_t row)
{
	size_t i = hash & t->mask;
	while (t->slots[i])
		i = (i + 1) & t->mask;
	t->slots[i] = row + 1;
}

static const struct ident *find_hash(const struct ident_set *s, const uint8_t h[IDENT_HASH_BYTES])
{
	const struct table *t = &s->tokens;
	for (size_t i = token_slot(h) & t->mask; t->slots[i]; i = (i + 1) & t->mask) {
		uint32_t row = t->slots[i] - 1;
		if (!sodium_memcmp(s->token_keys[row].hash, h, IDENT_HASH_BYTES))
			return &s->rows[IDENT_TOKEN][row];
	}
	return NULL;
}

const struct ident *ident_find_token(const struct ident_set *s, const char *token, size_t len)
{
	uint8_t h[IDENT_HASH_BYTES];
	if (!s->counts[IDENT_TOKEN] || len > IDENT_TOKEN_MOST)
		return NULL;
	ident_token_hash(token, len, h);
	return find_hash(s, h);
}

static bool is_text(const char *known, const char *text, size_t len)
{
	return strlen(known) == len && !memcmp(known, text, len);
}

const struct ident *ident_find_user(const struct ident_set *s, const char *name, size_t len)
{
	const struct table *t = &s->users;
	for (size_t i = name_hash(s, name, len) & t->mask; t->slots[i]; i = (i + 1) & t->mask) {
		const struct ident *u = &s->rows[IDENT_USER][t->slots[i] - 1];
		if (is_text(u->name, name, len))
			return u;
	}
	return NULL;
}

static const struct ident *find_cert(
    const struct ident_set *s, enum cert_table by, const char *text, size_t len)
{
	const struct table *t = &s->certs[by];
	for (size_t i = name_hash(s, text, len) & t->mask; t->slots[i]; i = (i + 1) & t->mask) {
		const struct cert_key *k = &s->cert_keys[t->slots[i] - 1];
		if (k->len == len && !memcmp(k->text, text, len))
			return &s->rows[IDENT_CERT][k->row];
	}
	return NULL;
}

const struct ident *ident_find_subject(const struct ident_set *s, const char *cn, size_t len)
{
	return find_cert(s, BY_SUBJECT, cn, len);
}

const struct ident *ident_find_san(const struct ident_set *s, const char *san, size_t len)
{
	return find_cert(s, BY_SAN, san, len);
}

const struct ident *ident_find_fingerprint(
    const struct ident_set *s, const uint8_t digest[IDENT_HASH_BYTES])
{
	return find_cert(s, BY_FINGERPRINT, (const char *)digest, IDENT_HASH_BYTES);
}

/* ---- looking ---- */

uint64_t ident_set_serial(const struct ident_set *s)
{
	return s->serial;
}

const struct ident *ident_anonymous(const struct ident_set *s)
{
	return s->counts[IDENT_ANONYMOUS] ? s->rows[IDENT_ANONYMOUS] : NULL;
}

size_t ident_count(const struct ident_set *s, enum ident_kind kind)
{
	return s->counts[kind];
}

const struct ident *ident_at(const struct ident_set *s, enum ident_kind kind, size_t i)
{
	CHECK(i < s->counts[kind]);
	return &s->rows[kind][i];
}

size_t ident_user_index(const struct ident_set *s, const struct ident *user)
{
	return (size_t)(user - s->rows[IDENT_USER]);
}

const char *ident_decoy(const struct ident_set *s, const char *name, size_t len)
{
	size_t n = s->counts[IDENT_USER];
	return n ? s->rows[IDENT_USER][name_hash(s, name, len) % n].secret : NULL;
}

size_t ident_tenant_names(const struct ident_set *s)
{
	return s->tenant_count;
}

const char *ident_tenant_name(const struct ident_set *s, uint32_t i)
{
	CHECK(i < s->tenant_count);
	return s->tenant_names[i];
}

/* ---- making ---- */

static char *keep(struct ident_set *s, const char *text)
{
	return text ? arena_strndup(&s->arena, text, strlen(text)) : NULL;
}

/* The place of a tenant's name; the list has room for all that may come. */
static uint32_t tenant_place(struct ident_set *s, const char *name)
{
	uint64_t h = name_hash(s, name, strlen(name));
	struct table *t = &s->tenants;
	for (size_t i = h & t->mask; t->slots[i]; i = (i + 1) & t->mask)
		if (!strcmp(s->tenant_names[t->slots[i] - 1], name))
			return t->slots[i] - 1;
	s->tenant_names[s->tenant_count] = keep(s, name);
	table_put(t, h, s->tenant_count);
	return s->tenant_count++;
}

static bool tenant_fine(struct maker *m, const char *name)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (!tenant_name_check(name, strlen(name), &eb))
		return true;
	complain(m, "%.400s", eb.text);
	return false;
}

static void take_tenants(struct maker *m, const struct ident_grant *g, struct ident *out)
{
	uint32_t *list = arena_array(&m->s->arena, g->tenants_count + 1, sizeof *list);
	const char *own = g->tenant ? g->tenant : TENANT_DEFAULT_NAME;
	if (tenant_fine(m, own))
		list[out->tenants_count++] = tenant_place(m->s, own);
	for (size_t i = 0; i < g->tenants_count; i++) {
		if (!strcmp(g->tenants[i], "*")) {
			out->any_tenant = true;
			continue;
		}
		if (!tenant_fine(m, g->tenants[i]))
			continue;
		uint32_t place = tenant_place(m->s, g->tenants[i]);
		bool known = false;
		for (size_t k = 0; k < out->tenants_count; k++)
			known = known || list[k] == place;
		if (!known)
			list[out->tenants_count++] = place;
	}
	out->tenants = list;
}

static void take_grant(
    struct maker *m, enum ident_kind kind, const struct ident_grant *g, struct ident *out)
{
	memset(out, 0, sizeof *out);
	out->kind = kind;
	out->roles = g->roles;
	out->trusted = g->trusted;
	out->name = "";
	if (kind != IDENT_ANONYMOUS && (!g->name || !g->name[0]))
		complain(m, "it has no name");
	else if (g->name && strlen(g->name) > IDENT_NAME_MAX)
		complain(m, "its name is longer than %u bytes", IDENT_NAME_MAX);
	else if (g->name)
		out->name = keep(m->s, g->name);
	take_tenants(m, g, out);
}

static void want_roles(struct maker *m, const struct ident_grant *g)
{
	if (!(g->roles & ROLES_ALL))
		complain(m, "it may do nothing: roles are write, read, rules, admin");
}

/* "blake2b:..." as the hash. */
static bool read_token_text(const char *text, uint8_t out[IDENT_HASH_BYTES])
{
	size_t n = sizeof TOKEN_PREFIX - 1, len;
	return !strncmp(text, TOKEN_PREFIX, n) &&
	    !sodium_base642bin(out, IDENT_HASH_BYTES, text + n, strlen(text) - n, NULL, &len, NULL,
	        sodium_base64_VARIANT_URLSAFE_NO_PADDING) &&
	    len == IDENT_HASH_BYTES;
}

bool ident_token_chars_fine(const char *token, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)token[i] <= ' ' || (unsigned char)token[i] >= 0x7f)
			return false;
	return true;
}

static bool hash_of_token(struct maker *m, const struct ident_token *t, uint8_t out[IDENT_HASH_BYTES])
{
	if (!t->token == !t->token_hash) {
		complain(m, "%s",
		    t->token ? "it has token_file and token_hash: one of them is enough"
		             : "it has neither token_file nor token_hash");
		return false;
	}
	if (t->token_hash) {
		if (!read_token_text(t->token_hash, out)) {
			complain(m, "token_hash is none: make one with kymod --hash-token");
			return false;
		}
		return true;
	}
	size_t len;
	const uint8_t *text = secret_bytes(t->token, &len);
	if (len < IDENT_TOKEN_LEAST || len > IDENT_TOKEN_MOST) {
		complain(m, "the token has %zu characters: %u to %u are taken", len,
		    IDENT_TOKEN_LEAST, IDENT_TOKEN_MOST);
		return false;
	}
	if (!ident_token_chars_fine((const char *)text, len)) {
		complain(m, "the token has characters that no header can carry: blanks or controls");
		return false;
	}
	ident_token_hash((const char *)text, len, out);
	return true;
}

static void take_tokens(struct maker *m, const struct ident_conf *c)
{
	struct ident_set *s = m->s;
	for (size_t i = 0; i < c->tokens_count; i++) {
		const struct ident_token *t = &c->tokens[i];
		uint32_t row = (uint32_t)i;
		struct token_key *key = &s->token_keys[i];
		snprintf(m->row, sizeof m->row, "tokens[%zu]", i);
		take_grant(m, IDENT_TOKEN, &t->grant, &s->rows[IDENT_TOKEN][i]);
		want_roles(m, &t->grant);
		s->counts[IDENT_TOKEN] = i + 1;
		if (!hash_of_token(m, t, key->hash))
			continue;
		const struct ident *twin = find_hash(s, key->hash);
		if (twin)
			complain(m, "its token is that of \"%s\", too", twin->name);
		else
			table_put(&s->tokens, token_slot(key->hash), row);
	}
}

static const char *hash_of_password(struct maker *m, const struct ident_user *u)
{
	char made[PASSWD_HASH_BYTES];
	struct errbuf eb;
	errbuf_init(&eb);
	if (!u->password == !u->password_hash) {
		complain(m, "%s",
		    u->password ? "it has password_file and password_hash: one of them is enough"
		                : "it has neither password_file nor password_hash");
		return NULL;
	}
	if (u->password_hash) {
		if (passwd_look(u->password_hash, &eb)) {
			complain(m, "password_hash: %s", eb.text);
			return NULL;
		}
		return keep(m->s, u->password_hash);
	}
	size_t len;
	const char *text = (const char *)secret_bytes(u->password, &len);
	if (!len || len > IDENT_PASSWORD_MOST || memchr(text, 0, len)) {
		complain(m, "the password has %zu bytes: 1 to %u are taken, none of them NUL", len,
		    IDENT_PASSWORD_MOST);
		return NULL;
	}
	if (passwd_make(text, len, made)) {
		complain(m, "there is no memory to hash its password");
		return NULL;
	}
	return keep(m->s, made);
}

static void take_users(struct maker *m, const struct ident_conf *c)
{
	struct ident_set *s = m->s;
	for (size_t i = 0; i < c->users_count; i++) {
		const struct ident_user *u = &c->users[i];
		struct ident *out = &s->rows[IDENT_USER][i];
		snprintf(m->row, sizeof m->row, "basic[%zu]", i);
		take_grant(m, IDENT_USER, &u->grant, out);
		want_roles(m, &u->grant);
		s->counts[IDENT_USER] = i + 1;
		out->secret = hash_of_password(m, u);
		if (strchr(out->name, ':'))
			complain(m, "a user's name has no colon (RFC 7617)");
		else if (ident_find_user(s, out->name, strlen(out->name)))
			complain(m, "there are two users of the name \"%s\"", out->name);
		else
			table_put(&s->users, name_hash(s, out->name, strlen(out->name)), (uint32_t)i);
	}
}

/* "AB:cd:..." or without colons. */
static bool read_fingerprint(const char *text, uint8_t out[IDENT_HASH_BYTES])
{
	size_t len;
	return !sodium_hex2bin(out, IDENT_HASH_BYTES, text, strlen(text), ": ", &len, NULL) &&
	    len == IDENT_HASH_BYTES;
}

static bool cert_key_of(
    struct maker *m, const struct ident_cert *c, struct cert_key *key, enum cert_table *by)
{
	if (!!c->subject + !!c->san + !!c->fingerprint != 1) {
		complain(m, "it needs one of subject, san and fingerprint");
		return false;
	}
	*by = c->subject ? BY_SUBJECT : c->san ? BY_SAN : BY_FINGERPRINT;
	if (*by == BY_FINGERPRINT) {
		uint8_t digest[IDENT_HASH_BYTES];
		if (!read_fingerprint(c->fingerprint, digest)) {
			complain(m, "fingerprint is no SHA-256: 64 hexadecimal digits");
			return false;
		}
		key->text = arena_dup(&m->s->arena, digest, sizeof digest);
		key->len = sizeof digest;
		return true;
	}
	key->text = keep(m->s, c->subject ? c->subject : c->san);
	key->len = strlen(key->text);
	if (!key->len)
		complain(m, "subject or san is empty");
	return key->len;
}

static void take_certs(struct maker *m, const struct ident_conf *c)
{
	struct ident_set *s = m->s;
	for (size_t i = 0; i < c->certs_count; i++) {
		struct cert_key *key = &s->cert_keys[i];
		enum cert_table by = BY_SUBJECT;
		snprintf(m->row, sizeof m->row, "certificates[%zu]", i);
		take_grant(m, IDENT_CERT, &c->certs[i].grant, &s->rows[IDENT_CERT][i]);
		want_roles(m, &c->certs[i].grant);
		s->counts[IDENT_CERT] = i + 1;
		key->row = (uint32_t)i;
		if (!cert_key_of(m, &c->certs[i], key, &by))
			continue;
		const struct ident *twin = find_cert(s, by, key->text, key->len);
		if (twin)
			complain(m, "its certificate is that of \"%s\", too", twin->name);
		else
			table_put(&s->certs[by], name_hash(s, key->text, key->len), key->row);
	}
}

static bool is_url(const char *s)
{
	const char *host = !strncmp(s, "https://", 8) ? s + 8
	    : !strncmp(s, "http://", 7)               ? s + 7
	                                              : "";
	for (const char *p = s; *p; p++)
		if (*p <= ' ' || *p == 0x7f)
			return false;
	return host[0] && host[0] != '/';
}

static void look_at_issuer(struct maker *m, const struct ident_oidc *o)
{
	if (!o->issuer || !is_url(o->issuer))
		complain(m, "issuer is no URL: https://...");
	if (o->jwks_url && !is_url(o->jwks_url))
		complain(m, "jwks_url is no URL: https://...");
	if (!o->audiences_count)
		complain(m, "it has no audience: without one, tokens made for others would do");
	if (o->tenant_claim && o->grant.tenant)
		complain(m, "it has tenant and tenant_claim: one of them");
	for (size_t i = 0; o->tenant_claim && i < o->grant.tenants_count; i++)
		if (strcmp(o->grant.tenants[i], "*"))
			complain(m, "it has tenants and tenant_claim: one of them, but for \"*\"");
	if (o->roles_prefix && !o->roles_claim)
		complain(m, "it has roles_prefix and no roles_claim");
	if (!o->roles_claim)
		want_roles(m, &o->grant);
}

static struct ident_oidc *keep_issuer(struct ident_set *s, const struct ident_oidc *o)
{
	struct ident_oidc *k = arena_zalloc(&s->arena, sizeof *k);
	const char **audiences = arena_array(&s->arena, o->audiences_count + 1, sizeof *audiences);
	for (size_t i = 0; i < o->audiences_count; i++)
		audiences[i] = keep(s, o->audiences[i]);
	k->audiences = audiences;
	k->audiences_count = o->audiences_count;
	k->issuer = keep(s, o->issuer);
	k->jwks_url = keep(s, o->jwks_url);
	k->tenant_claim = keep(s, o->tenant_claim);
	k->roles_claim = keep(s, o->roles_claim);
	k->roles_prefix = keep(s, o->roles_prefix ? o->roles_prefix : "");
	k->name_claim = keep(s, o->name_claim ? o->name_claim : "sub");
	return k;
}

static void take_issuers(struct maker *m, const struct ident_conf *c)
{
	struct ident_set *s = m->s;
	for (size_t i = 0; i < c->issuers_count; i++) {
		const struct ident_oidc *o = &c->issuers[i];
		struct ident *out = &s->rows[IDENT_OIDC][i];
		struct ident_grant g = o->grant;
		snprintf(m->row, sizeof m->row, "oidc[%zu]", i);
		g.name = g.name ? g.name : o->issuer;
		look_at_issuer(m, o);
		take_grant(m, IDENT_OIDC, &g, out);
		for (size_t k = 0; k < i && o->issuer; k++)
			if (c->issuers[k].issuer && !strcmp(c->issuers[k].issuer, o->issuer))
				complain(m, "the issuer \"%.200s\" stands there twice", o->issuer);
		out->issuer = keep_issuer(s, o);
		s->counts[IDENT_OIDC] = i + 1;
	}
}

static void take_anonymous(struct maker *m, const struct ident_conf *c)
{
	if (!c->open)
		return;
	snprintf(m->row, sizeof m->row, "anonymous");
	take_grant(m, IDENT_ANONYMOUS, &c->anonymous, m->s->rows[IDENT_ANONYMOUS]);
	want_roles(m, &c->anonymous);
	m->s->counts[IDENT_ANONYMOUS] = 1;
}

static size_t tenants_most(const struct ident_conf *c)
{
	size_t n = c->tokens_count + c->users_count + c->certs_count + c->issuers_count + 1 +
	    c->anonymous.tenants_count;
	for (size_t i = 0; i < c->tokens_count; i++)
		n += c->tokens[i].grant.tenants_count;
	for (size_t i = 0; i < c->users_count; i++)
		n += c->users[i].grant.tenants_count;
	for (size_t i = 0; i < c->certs_count; i++)
		n += c->certs[i].grant.tenants_count;
	for (size_t i = 0; i < c->issuers_count; i++)
		n += c->issuers[i].grant.tenants_count;
	return n;
}

static void make_room(struct ident_set *s, const struct ident_conf *c)
{
	const size_t counts[IDENT_KINDS] = { c->tokens_count, c->users_count, c->certs_count,
		c->issuers_count, 1 };
	for (size_t i = 0; i < IDENT_KINDS; i++)
		s->rows[i] = arena_zalloc(&s->arena, (counts[i] + 1) * sizeof **s->rows);
	s->token_keys = arena_zalloc(&s->arena, (c->tokens_count + 1) * sizeof *s->token_keys);
	s->cert_keys = arena_zalloc(&s->arena, (c->certs_count + 1) * sizeof *s->cert_keys);
	table_init(s, &s->tokens, c->tokens_count);
	table_init(s, &s->users, c->users_count);
	for (size_t i = 0; i < CERT_TABLES; i++)
		table_init(s, &s->certs[i], c->certs_count);
	size_t names = tenants_most(c);
	table_init(s, &s->tenants, names);
	s->tenant_names = arena_array(&s->arena, names, sizeof *s->tenant_names);
}

static bool too_many(struct maker *m, const struct ident_conf *c)
{
	snprintf(m->row, sizeof m->row, "identities");
	if (c->tokens_count > IDENT_ROWS_MOST || c->users_count > IDENT_ROWS_MOST ||
	    c->certs_count > IDENT_ROWS_MOST)
		complain(m, "there are more than %u tokens, users or certificates", IDENT_ROWS_MOST);
	if (c->issuers_count > IDENT_ISSUERS_MOST)
		complain(m, "there are more than %u issuers", IDENT_ISSUERS_MOST);
	return m->failed;
}

enum err ident_set_make(const struct ident_conf *c, struct ident_set **out,
    void (*fault)(void *arg, const char *row, const char *text), void *arg)
{
	struct maker m = { .fault = fault, .arg = arg };
	*out = NULL;
	if (!c->tokens_count && !c->users_count && !c->certs_count && !c->issuers_count && !c->open)
		return 0;
	if (too_many(&m, c))
		return ERR_BADDATA;
	struct ident_set *s = m.s = mem_zalloc(sizeof *s);
	arena_init(&s->arena, 4096);
	randombytes_buf(&s->serial, sizeof s->serial);
	randombytes_buf(&s->seed, sizeof s->seed);
	make_room(s, c);
	take_tokens(&m, c);
	take_users(&m, c);
	take_certs(&m, c);
	take_issuers(&m, c);
	take_anonymous(&m, c);
	if (m.failed) {
		ident_set_free(s);
		return ERR_BADDATA;
	}
	*out = s;
	return 0;
}

void ident_set_free(struct ident_set *s)
{
	if (!s)
		return;
	arena_release(&s->arena);
	mem_free(s);
}
