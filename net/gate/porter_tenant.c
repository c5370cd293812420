#include <string.h>

#include "net/gate/porter_priv.h"
#include "net/gate/wanted.h"

#define HEADER_MIMIR  "x-scope-orgid"
#define HEADER_THANOS "thanos-tenant"
#define HEADER_LEN    (sizeof HEADER_MIMIR - 1)
STATIC(sizeof HEADER_MIMIR == sizeof HEADER_THANOS);

/* ---- what the request names ---- */

static enum req_step bad_name(
    struct porter_loop *pl, struct req *r, const struct porter_face *f, const char *text)
{
	bool json = r->route->flags & ROUTE_JSON;
	return porter_refuse(
	    pl, r, DENIED_TENANT, 400, json ? "bad_data" : "bad_tenant", f->name, "%s", text);
}

/* The first of the two headers from field i on; NULL: there is none. */
static const struct req_field *find_header(const struct req *r, size_t *i)
{
	for (; *i < r->field_count; ++*i) {
		const struct req_field *h = &r->fields[*i];
		if (UNLIKELY(h->name_len == HEADER_LEN) &&
		    (!memcmp(h->name, HEADER_MIMIR, HEADER_LEN) ||
		        !memcmp(h->name, HEADER_THANOS, HEADER_LEN)))
			return h;
	}
	return NULL;
}

/* All of them, from field i on, which is one. */
static enum req_step read_headers(struct porter_loop *pl, struct req *r,
    const struct porter_face *f, size_t i, struct wanted *out)
{
	struct errbuf eb SCRATCH;
	struct wanted other SCRATCH;
	out->count = 0;
	errbuf_init(&eb);
	for (const struct req_field *h; (h = find_header(r, &i)); i++) {
		struct wanted *w = out->count ? &other : out;
		if (wanted_parse(h->value, h->value_len, w, &eb))
			return bad_name(pl, r, f, eb.text);
		if (w == &other && !wanted_equal(&other, out))
			return bad_name(
			    pl, r, f, "X-Scope-OrgID and THANOS-TENANT name different tenants");
	}
	return REQ_GO;
}

/* ---- what the identity may ---- */

static size_t face_tenants(const struct porter_face *f)
{
	const struct bearer *b = f->bearer;
	return b && f->ident->issuer->tenant_claim ? b->tenants_count : f->ident->tenants_count;
}

static const char *face_tenant(const struct porter_loop *pl, const struct porter_face *f, size_t i)
{
	const struct bearer *b = f->bearer;
	return b && f->ident->issuer->tenant_claim
	    ? b->tenants[i]
	    : ident_tenant_name(pl->set, f->ident->tenants[i]);
}

static bool is_name(const char *known, const struct wanted_name *w)
{
	return strlen(known) == w->len && !memcmp(known, w->name, w->len);
}

/* Own: it is its own one. Else may it at least read there? */
static bool may_read(const struct porter_loop *pl, const struct porter_face *f,
    const struct wanted_name *w, bool *own)
{
	size_t n = face_tenants(f);
	*own = false;
	for (size_t i = 0; i < n; i++) {
		if (!is_name(face_tenant(pl, f, i), w))
			continue;
		*own = !i;
		return true;
	}
	return f->ident->any_tenant;
}

static enum req_step not_its_own(
    struct porter_loop *pl, struct req *r, const struct porter_face *f, const struct wanted_name *w)
{
	return porter_refuse(pl, r, DENIED_TENANT, 403, "forbidden", f->name,
	    "%s may not %s tenant \"%.*s\"%s", f->name[0] ? f->name : "anonymous",
	    r->route->role == ROLE_READ ? "read of" : "work in", (int)w->len, w->name,
	    r->route->role == ROLE_READ ? "" : " (only trusted identities choose where)");
}

const struct req_reads *porter_reads(
    const struct porter_loop *pl, struct req *r, const struct porter_face *f)
{
	struct req_reads *out = arena_zalloc(&r->arena, sizeof *out);
	out->count = face_tenants(f);
	out->any = f->ident->any_tenant;
	const char **names = arena_array(&r->arena, out->count, sizeof *names);
	for (size_t i = 0; i < out->count; i++) {
		const char *name = face_tenant(pl, f, i);
		names[i] = arena_strndup(&r->arena, name, strlen(name));
	}
	out->tenants = names;
	return out;
}

/* ---- ids ---- */

static uint32_t find_id(struct porter_loop *pl, const char *name, size_t len)
{
	const struct porter_book *b = &pl->porter->opts.book;
	return b->find(b->arg, name, len);
}

/* Of a name of the set: looked up once. */
static uint32_t place_id(struct porter_loop *pl, uint32_t place)
{
	uint32_t *id = &pl->tenants[place];
	if (UNLIKELY(*id == TENANT_NONE)) {
		const char *name = ident_tenant_name(pl->set, place);
		*id = find_id(pl, name, strlen(name));
	}
	return *id;
}

static uint32_t own_id(struct porter_loop *pl, const struct porter_face *f)
{
	if (!f->bearer || !f->ident->issuer->tenant_claim)
		return place_id(pl, f->ident->tenants[0]);
	return find_id(pl, f->bearer->tenants[0], strlen(f->bearer->tenants[0]));
}

static void made(void *own, enum err e, const char *text)
{
	struct req *r = own;
	struct porter_ask *a = r->identify;
	a->make = e;
	size_t n = text ? strnlen(text, sizeof a->make_text - 1) : 0;
	if (n)
		memcpy(a->make_text, text, n);
	a->make_text[n] = 0;
	req_door_open(r);
}

/* There is no such tenant yet, and it is written to. */
static enum req_step make(struct porter_loop *pl, struct req *r, const struct porter_face *f,
    const char *name, size_t len)
{
	struct porter_ask *a = porter_ask_of(pl, r);
	const struct porter_book *b = &pl->porter->opts.book;
	bool json = r->route->flags & ROUTE_JSON;
	if (a->make == ERR_TOOBIG || a->make == ERR_BADDATA)
		return porter_refuse(pl, r, DENIED_TENANT_MAKE, 400,
		    json ? "bad_data" : "tenant_limit", f->name, "%s", a->make_text);
	if (a->make || a->made)
		return porter_refuse(pl, r, DENIED_TENANT_MAKE, 503,
		    json ? "unavailable" : "overloaded", f->name,
		    "tenant \"%.*s\" is new and could not be written down: %s", (int)len, name,
		    a->make_text);
	a->made = true;
	b->make(b->arg, arena_strndup(&r->arena, name, len), made, r);
	return REQ_WAIT;
}

/* ---- all of it ---- */

static enum req_step one(struct porter_loop *pl, struct req *r, const struct porter_face *f,
    const char *name, size_t len, uint32_t id)
{
	r->tenant = id;
	if (UNLIKELY(id == TENANT_NONE) && r->route->role == ROLE_WRITE)
		return make(pl, r, f, name, len);
	return REQ_GO;
}

static enum req_step several(
    struct porter_loop *pl, struct req *r, const struct porter_face *f, const struct wanted *w)
{
	bool own;
	if (r->route->role != ROLE_READ)
		return bad_name(
		    pl, r, f, "several tenants can be read of, nothing else: name one of them");
	uint32_t *ids = arena_array(&r->arena, w->count, sizeof *ids);
	size_t n = 0;
	for (size_t i = 0; i < w->count; i++) {
		if (!may_read(pl, f, &w->names[i], &own))
			return not_its_own(pl, r, f, &w->names[i]);
		/*
		 * TENANT_NONE: nobody has written there yet. It stands there all the same: what
		 * the answer looks like does not depend on it.
		 */
		ids[n++] = find_id(pl, w->names[i].name, w->names[i].len);
	}
	r->tenants = ids;
	r->tenants_count = n;
	r->tenant = own_id(pl, f);
	return REQ_GO;
}

/* It names its tenant, or several. Apart from the rest: lists of names are large. */
static __attribute__((noinline)) enum req_step named(
    struct porter_loop *pl, struct req *r, const struct porter_face *f, size_t i)
{
	struct wanted w SCRATCH;
	bool own;
	enum req_step step = read_headers(pl, r, f, i, &w);
	if (step != REQ_GO)
		return step;
	if (w.count > 1)
		return several(pl, r, f, &w);
	if (!may_read(pl, f, &w.names[0], &own) ||
	    (!own && r->route->role != ROLE_READ && !f->ident->trusted))
		return not_its_own(pl, r, f, &w.names[0]);
	return one(pl, r, f, w.names[0].name, w.names[0].len,
	    own ? own_id(pl, f) : find_id(pl, w.names[0].name, w.names[0].len));
}

enum req_step porter_tenant(struct porter_loop *pl, struct req *r, const struct porter_face *f)
{
	size_t i = 0;
	if (UNLIKELY(!face_tenants(f)))
		return porter_refuse(pl, r, DENIED_TENANT, 403, "forbidden", f->name,
		    "the token names no tenant in its claim \"%s\"", f->ident->issuer->tenant_claim);
	if (UNLIKELY(find_header(r, &i) != NULL))
		return named(pl, r, f, i);
	const char *name = face_tenant(pl, f, 0);
	return one(pl, r, f, name, strlen(name), own_id(pl, f));
}
