#include "net/gate/bearer.h"

#include <string.h>

/* ---- keys and books ---- */

struct keyring *keyring_make(struct jwk_set *take_set)
{
	struct keyring *k = mem_alloc(sizeof *k);
	*k = (struct keyring){ .refs = 1, .set = take_set };
	return k;
}

struct keyring *keyring_take(struct keyring *k)
{
	if (k)
		k->refs++;
	return k;
}

void keyring_drop(struct keyring *k)
{
	if (!k || --k->refs)
		return;
	jwk_set_free(k->set);
	mem_free(k);
}

static const char *keep(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

static void copy_conf(struct arena *a, const struct ident_oidc *from, struct ident_oidc *to)
{
	const char **audiences = arena_array(a, from->audiences_count + 1, sizeof *audiences);
	for (size_t i = 0; i < from->audiences_count; i++)
		audiences[i] = keep(a, from->audiences[i]);
	memset(to, 0, sizeof *to);
	to->issuer = keep(a, from->issuer);
	to->audiences = audiences;
	to->audiences_count = from->audiences_count;
	to->jwks_url = keep(a, from->jwks_url);
	to->tenant_claim = keep(a, from->tenant_claim);
	to->roles_claim = keep(a, from->roles_claim);
	to->roles_prefix = keep(a, from->roles_prefix);
	to->name_claim = keep(a, from->name_claim);
}

static struct issuer_book *book_alloc(uint64_t serial, size_t count)
{
	struct issuer_book *b = mem_zalloc(sizeof *b);
	b->refs = 1;
	b->serial = serial;
	b->count = count;
	arena_init(&b->arena, 1024);
	b->pages = arena_zalloc(&b->arena, count * sizeof *b->pages);
	return b;
}

struct issuer_book *issuer_book_make(const struct ident_set *s)
{
	size_t n = s ? ident_count(s, IDENT_OIDC) : 0;
	if (!n)
		return NULL;
	struct issuer_book *b = book_alloc(ident_set_serial(s), n);
	for (size_t i = 0; i < n; i++) {
		const struct ident *row = ident_at(s, IDENT_OIDC, i);
		copy_conf(&b->arena, row->issuer, &b->pages[i].conf);
		b->pages[i].roles = row->roles;
	}
	return b;
}

struct issuer_book *issuer_book_with(const struct issuer_book *b, struct keyring *const *keys)
{
	struct issuer_book *to = book_alloc(b->serial, b->count);
	for (size_t i = 0; i < b->count; i++) {
		copy_conf(&to->arena, &b->pages[i].conf, &to->pages[i].conf);
		to->pages[i].roles = b->pages[i].roles;
		to->pages[i].keys = keyring_take(keys[i]);
	}
	return to;
}

struct issuer_book *issuer_book_take(struct issuer_book *b)
{
	if (b)
		b->refs++;
	return b;
}

void issuer_book_drop(struct issuer_book *b)
{
	if (!b || --b->refs)
		return;
	for (size_t i = 0; i < b->count; i++)
		keyring_drop(b->pages[i].keys);
	arena_release(&b->arena);
	mem_free(b);
}

/* ---- what the claims make of it ---- */

struct reading {
	const struct issuer_page *page;
	unsigned roles;
	const char *name;
	size_t name_len;
	struct {
		const char *text;
		size_t len;
	} tenants[IDENT_TENANTS_MAX];
	size_t tenants_count;
	bool bad; /* a tenant that is none, or too many */
};

static void read_role(void *arg, const char *text, size_t len)
{
	struct reading *r = arg;
	size_t n = strlen(r->page->conf.roles_prefix);
	if (len > n && !memcmp(text, r->page->conf.roles_prefix, n))
		r->roles |= (unsigned)ident_role(text + n, len - n);
}

static void read_tenant(void *arg, const char *text, size_t len)
{
	struct reading *r = arg;
	for (size_t i = 0; i < r->tenants_count; i++)
		if (r->tenants[i].len == len && !memcmp(r->tenants[i].text, text, len))
			return;
	if (!ident_tenant_valid(text, len) || r->tenants_count == IDENT_TENANTS_MAX) {
		r->bad = true;
		return;
	}
	r->tenants[r->tenants_count].text = text;
	r->tenants[r->tenants_count++].len = len;
}

static void read_name(void *arg, const char *text, size_t len)
{
	struct reading *r = arg;
	if (r->name)
		return;
	r->name = text;
	r->name_len = len < IDENT_NAME_MAX ? len : IDENT_NAME_MAX;
}

static const char *put_text(struct bearer *b, const char *text, size_t len)
{
	char *at = b->text + b->bytes;
	memcpy(at, text, len);
	at[len] = 0;
	b->bytes += len + 1;
	return at;
}

static struct bearer *bearer_make(const struct reading *r)
{
	size_t bytes = r->name_len + 1;
	for (size_t i = 0; i < r->tenants_count; i++)
		bytes += r->tenants[i].len + 1;
	struct bearer *b = mem_alloc(sizeof *b + bytes);
	memset(b, 0, sizeof *b);
	b->roles = r->roles;
	b->name = put_text(b, r->name ? r->name : "", r->name_len);
	for (size_t i = 0; i < r->tenants_count; i++)
		b->tenants[b->tenants_count++] = put_text(b, r->tenants[i].text, r->tenants[i].len);
	return b;
}

static struct bearer *read_claims(const struct issuer_page *p, const struct jwt *j)
{
	struct reading r = { .page = p, .roles = p->roles };
	if (p->conf.roles_claim && !jwt_texts(j, p->conf.roles_claim, true, read_role, &r))
		r.roles = p->roles;
	if (p->conf.tenant_claim &&
	    (!jwt_texts(j, p->conf.tenant_claim, false, read_tenant, &r) || r.bad))
		r.tenants_count = 0;
	if (!jwt_texts(j, p->conf.name_claim, false, read_name, &r))
		r.name = NULL;
	return bearer_make(&r);
}

/* ---- the check ---- */

bool issuer_name_like(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	while (n && a[n - 1] == '/')
		n--;
	while (m && b[m - 1] == '/')
		m--;
	return n == m && !memcmp(a, b, n);
}

static enum jwt_fault find_page(
    const struct issuer_book *b, const struct jwt *j, size_t *issuer, struct errbuf *eb)
{
	bool like = false;
	for (size_t i = 0; b && j->issuer && i < b->count; i++) {
		like |= issuer_name_like(b->pages[i].conf.issuer, j->issuer);
		if (strcmp(b->pages[i].conf.issuer, j->issuer))
			continue;
		*issuer = i;
		return JWT_FINE;
	}
	(void)errbuf_set(eb, ERR_BADDATA, "its issuer is not known here%s",
	    like ? ", but with another / at the end" : "");
	return JWT_ISSUER;
}

static enum jwt_fault check_parsed(const struct issuer_book *b, struct jwt *j, int64_t now_ms,
    struct bearer **out, size_t *issuer, struct errbuf *eb)
{
	enum jwt_fault f = find_page(b, j, issuer, eb);
	if (f != JWT_FINE)
		return f;
	const struct issuer_page *p = &b->pages[*issuer];
	if (!p->keys) {
		(void)errbuf_set(eb, ERR_NOTREADY, "the keys of its issuer are not here yet");
		return JWT_NO_KEY;
	}
	f = jwt_check_signature(j, p->keys->set, eb);
	if (f != JWT_FINE)
		return f;
	struct jwt_wants w = { .issuer = p->conf.issuer,
		.audiences = p->conf.audiences,
		.audiences_count = p->conf.audiences_count,
		.now_ms = now_ms };
	f = jwt_check_claims(j, &w, eb);
	if (f != JWT_FINE)
		return f;
	*out = read_claims(p, j);
	(*out)->serial = b->serial;
	(*out)->issuer = *issuer;
	(*out)->expires_ms = j->expires_ms;
	return JWT_FINE;
}

enum jwt_fault bearer_check(const struct issuer_book *b, const char *token, size_t len,
    int64_t now_ms, struct bearer **out, size_t *issuer, struct errbuf *eb)
{
	struct jwt j;
	enum jwt_fault f = jwt_parse(token, len, &j, eb);
	*out = NULL;
	if (f != JWT_FINE)
		return f;
	f = check_parsed(b, &j, now_ms, out, issuer, eb);
	jwt_release(&j);
	return f;
}

struct bearer *bearer_copy(const struct bearer *b)
{
	struct bearer *to = mem_alloc(sizeof *to + b->bytes);
	memcpy(to, b, sizeof *to + b->bytes);
	to->name = to->text + (b->name - b->text);
	for (size_t i = 0; i < b->tenants_count; i++)
		to->tenants[i] = to->text + (b->tenants[i] - b->text);
	return to;
}

void bearer_free(struct bearer *b)
{
	mem_free(b);
}
