/*
 * ident - who may come in, and what each of them may do.
 *
 * struct ident_conf is what the configuration tells, as it was read: tokens, users with passwords,
 * client certificates, issuers of OIDC tokens, and what nobody in particular may do. ident_set_make
 * checks all of it and makes a struct ident_set: hashes, tables, nothing readable.
 *
 * (1) A set never changes. It is a part of the configuration: made with it, replaced with it.
 * (2) Secrets are in no set: of a token there is BLAKE2b of it under a key that all installations
 *     share ("blake2b:" and 43 characters in a file), of a password argon2id or what crypt(3)
 *     understands. Tokens are looked up by their hash and compared in constant time, so that the
 *     time of an answer says nothing about how much of a guess was right.
 * (3) Without any identity there is no set (NULL): everybody may do everything, as one tenant.
 *
 * Thread: make on the main thread or a worker (a password of a file costs 20 ms); the rest any.
 * Memory: a set copies all it keeps.
 * Cost: a token costs one BLAKE2b of two blocks and one probe of a table.
 */
#ifndef NET_GATE_IDENT_H
#define NET_GATE_IDENT_H

#include "core/model/tenant.h"
#include "net/http/router.h"

#define IDENT_NAME_MAX      128u /* bytes of a name for logs */
#define IDENT_TENANTS_MAX   64u  /* that one request may read of */
#define IDENT_TOKEN_LEAST   16u  /* characters; less can be guessed */
#define IDENT_TOKEN_MOST    4096u
#define IDENT_PASSWORD_MOST 1024u
#define IDENT_ROWS_MOST     10000u /* of each kind */
#define IDENT_ISSUERS_MOST  16u
#define IDENT_HASH_BYTES    32u

/* What an identity may do. Unset texts are NULL. */
struct ident_grant {
	const char *name;   /* for logs and errors */
	const char *tenant; /* writes there, reads there when it names none; NULL: "default" */
	const char *const *tenants; /* others it may read, by naming them; "*": all */
	size_t tenants_count;
	unsigned roles; /* of enum role */
	/* speaks for others: may write for each of tenants, by naming it */
	bool trusted;
};
struct secret;
struct ident_token {
	struct ident_grant grant;
	const struct secret *token; /* of a file; or */
	const char *token_hash;
};
struct ident_user {
	struct ident_grant grant;      /* name is the user's */
	const struct secret *password; /* of a file; or */
	const char *password_hash;     /* see net/gate/passwd.h */
};
struct ident_cert {
	struct ident_grant grant;
	/* One of them: the subject's CN; a DNS name or URI; SHA-256 of it all, in hex. */
	const char *subject, *san, *fingerprint;
};
struct ident_oidc {
	struct ident_grant grant; /* of each token; name tells issuers apart in logs */
	const char *issuer;       /* as in the tokens: compared byte by byte */
	const char *const *audiences;
	size_t audiences_count;
	const char *jwks_url;     /* NULL: what <issuer>/.well-known/openid-configuration says */
	const char *tenant_claim; /* tenants: the first is its own, all are to read */
	const char *roles_claim;  /* roles behind roles_prefix, on top of grant.roles */
	const char *roles_prefix;
	const char *name_claim; /* NULL: "sub" */
};
struct ident_conf {
	const struct ident_token *tokens;
	const struct ident_user *users;
	const struct ident_cert *certs;
	const struct ident_oidc *issuers;
	size_t tokens_count, users_count, certs_count, issuers_count;
	bool open; /* who shows nothing is anonymous */
	struct ident_grant anonymous;
};

enum ident_kind {
	IDENT_TOKEN,
	IDENT_USER,
	IDENT_CERT,
	IDENT_OIDC,
	IDENT_ANONYMOUS,
	IDENT_KINDS
};
/* "token", "basic", "certificate", "oidc", "anonymous" */
const char *ident_kind_word(enum ident_kind kind);

/* A member of a set, ready to be asked. */
struct ident {
	enum ident_kind kind;
	const char *name;
	unsigned roles;
	bool trusted, any_tenant;
	/* Places in the set's list of names: the own tenant first, then the others, each once. */
	const uint32_t *tenants;
	size_t tenants_count;
	const char *secret;              /* a user's password hash */
	const struct ident_oidc *issuer; /* of IDENT_OIDC: its own copy */
};

struct ident_set;
/*
 * All that is wrong is told, a call each: row is "tokens[3]" and so on, counted from 0. Returns
 * ERR_BADDATA when something was told; ERR_OK and NULL in *out when conf holds nobody.
 */
MUST_CHECK enum err ident_set_make(const struct ident_conf *conf, struct ident_set **out,
    void (*fault)(void *arg, const char *row, const char *text), void *arg);
void ident_set_free(struct ident_set *s);
/* Different for each set of this process. */
uint64_t ident_set_serial(const struct ident_set *s);

/* The members. NULL: unknown. */
const struct ident *ident_find_token(const struct ident_set *s, const char *token, size_t len);
const struct ident *ident_find_user(const struct ident_set *s, const char *name, size_t len);
const struct ident *ident_find_subject(const struct ident_set *s, const char *cn, size_t len);
const struct ident *ident_find_san(const struct ident_set *s, const char *san, size_t len);
const struct ident *ident_find_fingerprint(
    const struct ident_set *s, const uint8_t digest[IDENT_HASH_BYTES]);
const struct ident *ident_anonymous(const struct ident_set *s);
size_t ident_count(const struct ident_set *s, enum ident_kind kind);
const struct ident *ident_at(const struct ident_set *s, enum ident_kind kind, size_t i);
/* Which of the users is it? */
size_t ident_user_index(const struct ident_set *s, const struct ident *user);
/*
 * A password hash that costs as much as those of users: for names that are not one. The same name
 * gets the same one.
 */
const char *ident_decoy(const struct ident_set *s, const char *name, size_t len);

/* Names of tenants that members have. */
size_t ident_tenant_names(const struct ident_set *s);
const char *ident_tenant_name(const struct ident_set *s, uint32_t i);
static inline bool ident_tenant_valid(const char *name, size_t len)
{
	return !tenant_name_check(name, len, NULL);
}

/* "write", "read", "rules", "admin"; ROLE_NONE: none of them. */
enum role ident_role(const char *word, size_t len);
const char *ident_role_word(enum role role);

/* Can a header carry it? */
bool ident_token_chars_fine(const char *token, size_t len);
/* BLAKE2b-256 of a token, and its text for a file ("blake2b:..." with its NUL). */
void ident_token_hash(const char *token, size_t len, uint8_t out[IDENT_HASH_BYTES]);
#define IDENT_TOKEN_TEXT_BYTES 56u
void ident_token_text(const char *token, size_t len, char out[IDENT_TOKEN_TEXT_BYTES]);

#endif
