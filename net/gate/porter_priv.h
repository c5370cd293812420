/* porter_priv - the share of one loop in the porter. Thread: that loop. */
#ifndef NET_GATE_PORTER_PRIV_H
#define NET_GATE_PORTER_PRIV_H

#include "net/gate/checks.h"
#include "net/gate/denials.h"
#include "net/gate/porter.h"
#include "net/gate/seen.h"

struct porter_user { /* of a set, by ident_user_index: the last password that was right */
	uint8_t key[CHECKS_KEY_BYTES];
	bool there;
};
struct porter_loop {
	struct porter *porter;
	struct loop *loop;
	const struct ident_set *set; /* NULL: everybody may come */
	uint64_t serial;
	struct porter_user *users;
	uint32_t *tenants; /* ids by place of ident_tenant_name; TENANT_NONE: not known yet */
	struct seen *seen;
	uint64_t version; /* of the keys that seen was checked with */
	struct denials denials;
};
struct porter {
	struct porter_opts opts;
	struct checks *checks;
	struct log_pace paces[DENIALS];
	struct porter_loop *loops; /* by loop_index */
};

/* Somebody who showed who he is. */
struct porter_face {
	const struct ident *ident;
	const struct bearer *bearer; /* of IDENT_OIDC */
	const char *name;
	unsigned roles;
};
/* What a request keeps while it waits (req.identify). */
struct porter_ask {
	struct porter_loop *loop;
	unsigned tries;
	bool wrong; /* the check went home with a no; what it says: */
	enum check_kind kind;
	enum check_verdict verdict;
	enum jwt_fault fault;
	char text[128];
	bool made; /* a tenant was to be made; what came of it: */
	enum err make;
	char make_text[256];
};
struct porter_ask *porter_ask_of(struct porter_loop *pl, struct req *r);

/* ---- what is refused ---- */

/* 401, 403, 400, 429 or 503; counted and told. Returns REQ_ANSWERED. */
enum req_step porter_refuse(struct porter_loop *pl, struct req *r, enum denial what, int status,
    const char *word, const char *identity, const char *fmt, ...) PRINTF_LIKE(7, 8);

/* ---- tenants (porter_tenant.c) ---- */

/* Whose data it is about; sets the request's tenant and tenants, or waits, or refuses. */
enum req_step porter_tenant(struct porter_loop *pl, struct req *r, const struct porter_face *f);

/* The names of those it may read, for req.who_reads, copied into the request's arena. */
const struct req_reads *porter_reads(
    const struct porter_loop *pl, struct req *r, const struct porter_face *f);

#endif
