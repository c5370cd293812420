/*
 * config_ident - the section identities: who may come in, and as what.
 *
 *   identities:
 *     tokens: [{name: prometheus, token_file: prometheus.token, roles: [write]}]
 *     basic: [{name: grafana, password_hash: "$argon2id$...", roles: [read]}]
 *     certificates: [{name: agent, san: "spiffe://example/agent", roles: [write], tenant: edge}]
 *     oidc: [{issuer: "https://idp.example", audience: kymo, tenant_claim: org, roles: [read]}]
 *     anonymous: {roles: [read]}
 */
#include <stdlib.h>
#include <string.h>

#include "net/daemon/config.h"

#define TEXT_MOST 2048u

/* In the order of the bits of enum role. */
static const char *const role_words[] = { "write", "read", "rules", "admin", NULL };
STATIC(ROLE_WRITE == 1 && ROLE_READ == 2 && ROLE_RULES == 4 && ROLE_ADMIN == 8);
STATIC(sizeof(struct yaml_texts) == 2 * sizeof(void *));
STATIC(offsetof(struct yaml_texts, count) ==
    offsetof(struct ident_grant, tenants_count) - offsetof(struct ident_grant, tenants));
STATIC(offsetof(struct yaml_texts, count) ==
    offsetof(struct ident_oidc, audiences_count) - offsetof(struct ident_oidc, audiences));

/* clang-format off */
#define NAME_ROW(type, grant, needed, text) \
	{ .key = "name", .kind = YAML_TEXT, .off = offsetof(type, grant name), .least = 1, .most = IDENT_NAME_MAX, .flags = needed, .help = text }
#define GRANT_ROWS(type, grant) \
	{ .key = "tenant", .kind = YAML_TEXT, .off = offsetof(type, grant tenant), \
		.help = "where it writes, and reads unless it names another one [default]" }, \
	{ .key = "tenants", .kind = YAML_TEXTS, .off = offsetof(type, grant tenants), \
		.help = "other tenants it may read, by naming them in X-Scope-OrgID; \"*\" is every one" }, \
	{ .key = "roles", .kind = YAML_WORDS, .off = offsetof(type, grant roles), .words = role_words, \
		.help = "what it may do; none includes another" }, \
	{ .key = "trusted", .kind = YAML_BOOL, .off = offsetof(type, grant trusted), \
		.help = "a gateway that speaks for others: it may write for each of its tenants, by naming it [false]" }

static const struct yaml_row token_rows[] = {
	NAME_ROW(struct ident_token, grant., YAML_NEEDED, "for logs"),
	{ .key = "token_file", .kind = YAML_SECRET, .off = offsetof(struct ident_token, token), .shape = "PATH",
		.help = "a file with the token, which others cannot read" },
	{ .key = "token_hash", .kind = YAML_TEXT, .off = offsetof(struct ident_token, token_hash), .flags = YAML_HIDDEN,
		.help = "or its hash, from kymod --hash-token" },
	GRANT_ROWS(struct ident_token, grant.),
};
static const struct yaml_row user_rows[] = {
	NAME_ROW(struct ident_user, grant., YAML_NEEDED, "of the user"),
	{ .key = "password_file", .kind = YAML_SECRET, .off = offsetof(struct ident_user, password), .shape = "PATH",
		.help = "a file with the password, which others cannot read" },
	{ .key = "password_hash", .kind = YAML_TEXT, .off = offsetof(struct ident_user, password_hash), .flags = YAML_HIDDEN,
		.help = "or its hash: argon2id from kymod --hash-password, or bcrypt" },
	GRANT_ROWS(struct ident_user, grant.),
};
static const struct yaml_row cert_rows[] = {
	NAME_ROW(struct ident_cert, grant., YAML_NEEDED, "for logs"),
	{ .key = "subject", .kind = YAML_TEXT, .off = offsetof(struct ident_cert, subject), .most = TEXT_MOST, .least = 1,
		.help = "the common name (CN) of the certificate" },
	{ .key = "san", .kind = YAML_TEXT, .off = offsetof(struct ident_cert, san), .most = TEXT_MOST, .least = 1,
		.help = "or one of its DNS names or URIs" },
	{ .key = "fingerprint", .kind = YAML_TEXT, .off = offsetof(struct ident_cert, fingerprint),
		.help = "or SHA-256 of the whole certificate, in hexadecimal" },
	GRANT_ROWS(struct ident_cert, grant.),
};
static const struct yaml_row oidc_rows[] = {
	{ .key = "issuer", .kind = YAML_TEXT, .off = offsetof(struct ident_oidc, issuer), .flags = YAML_NEEDED, .most = TEXT_MOST, .least = 1,
		.help = "URL, letter by letter as the claim iss of its tokens" },
	{ .key = "audience", .kind = YAML_TEXTS, .off = offsetof(struct ident_oidc, audiences), .flags = YAML_NEEDED,
		.help = "one of them has to stand in the claim aud" },
	{ .key = "jwks_url", .kind = YAML_TEXT, .off = offsetof(struct ident_oidc, jwks_url), .most = TEXT_MOST, .least = 1,
		.help = "where its keys are [what <issuer>/.well-known/openid-configuration says]" },
	{ .key = "tenant_claim", .kind = YAML_TEXT, .off = offsetof(struct ident_oidc, tenant_claim), .most = TEXT_MOST, .least = 1,
		.help = "the claim with the tenant, or several of which the first is its own; may be a path: a.b" },
	{ .key = "roles_claim", .kind = YAML_TEXT, .off = offsetof(struct ident_oidc, roles_claim), .most = TEXT_MOST, .least = 1,
		.help = "the claim with roles, a list or words; they come on top of roles" },
	{ .key = "roles_prefix", .kind = YAML_TEXT, .off = offsetof(struct ident_oidc, roles_prefix), .most = TEXT_MOST, .least = 1,
		.help = "what stands before each of our roles there: kymo- for kymo-read" },
	{ .key = "name_claim", .kind = YAML_TEXT, .off = offsetof(struct ident_oidc, name_claim), .most = TEXT_MOST, .least = 1,
		.help = "the claim with a name for logs [sub]" },
	NAME_ROW(struct ident_oidc, grant., 0, "of the issuer, for logs [its URL]"),
	GRANT_ROWS(struct ident_oidc, grant.),
};
static const struct yaml_row anonymous_rows[] = {
	NAME_ROW(struct ident_grant, , 0, "for logs"),
	GRANT_ROWS(struct ident_grant, ),
};
/* clang-format on */

/*
 * What --print-config prints of it says nothing, and opens nothing. Who writes {}, or no roles,
 * means something, and is told what it would do.
 */
static bool note_open(struct yaml *y, const struct yaml_node *n, void *item)
{
	struct ident_grant *g = item;
	bool said = n->type == YAML_MAP && (!n->count || yaml_child(n, "roles"));
	(void)y;
	CONTAINER_OF(g, struct config_identities, anonymous)->open =
	    said || g->roles || g->trusted || g->tenants_count || g->tenant || g->name;
	return true;
}

#define ROWS(list, type)                                                                           \
 {                                                                                                 \
  .rows = list, .count = COUNT_OF(list), .size = sizeof(type)                                      \
 }
static const struct yaml_schema token_schema = ROWS(token_rows, struct ident_token);
static const struct yaml_schema user_schema = ROWS(user_rows, struct ident_user);
static const struct yaml_schema cert_schema = ROWS(cert_rows, struct ident_cert);
static const struct yaml_schema oidc_schema = ROWS(oidc_rows, struct ident_oidc);
static const struct yaml_schema anonymous_schema = { .rows = anonymous_rows,
	.count = COUNT_OF(anonymous_rows),
	.size = sizeof(struct ident_grant),
	.check = note_open };

static const struct yaml_row rows[] = {
	{ .key = "tokens",
	    .kind = YAML_ITEMS,
	    .off = offsetof(struct config_identities, tokens),
	    .sub = &token_schema,
	    .help = "bearer tokens" },
	{ .key = "basic",
	    .kind = YAML_ITEMS,
	    .off = offsetof(struct config_identities, users),
	    .sub = &user_schema,
	    .help = "users with passwords (basic auth)" },
	{ .key = "certificates",
	    .kind = YAML_ITEMS,
	    .off = offsetof(struct config_identities, certs),
	    .sub = &cert_schema,
	    .help = "client certificates that an authority of the listener vouches for" },
	{ .key = "oidc",
	    .kind = YAML_ITEMS,
	    .off = offsetof(struct config_identities, issuers),
	    .sub = &oidc_schema,
	    .help = "issuers of signed tokens (OpenID Connect)" },
	{ .key = "anonymous",
	    .kind = YAML_IN,
	    .off = offsetof(struct config_identities, anonymous),
	    .sub = &anonymous_schema,
	    .help = "who shows nothing; without it that is 401, once there are identities" },
};
const struct yaml_schema config_ident_schema = {
	.rows = rows, .count = COUNT_OF(rows), .size = sizeof(struct config_identities)
};

/* "tokens[3]" as its place in the file; else the section. */
static const struct yaml_node *node_of(const struct yaml *y, const char *row)
{
	char key[32];
	const struct yaml_node *n = yaml_child(yaml_root(y), "identities");
	size_t len = strcspn(row, "[");
	if (!n || len >= sizeof key)
		return n;
	memcpy(key, row, len);
	key[len] = 0;
	const struct yaml_node *list = yaml_child(n, key);
	if (!list || !row[len])
		return list ? list : n;
	const struct yaml_node *item = list->type == YAML_LIST ? list->first : list;
	for (unsigned long i = strtoul(row + len + 1, NULL, 10); i && item; i--)
		item = item->next;
	return item ? item : list;
}

static void fault(void *arg, const char *row, const char *text)
{
	struct yaml *y = arg;
	(void)yaml_fail(y, node_of(y, row), "%s", text);
}

static struct ident_conf conf_of(const struct config_identities *i)
{
	return (struct ident_conf){ .tokens = i->tokens.items,
		.tokens_count = i->tokens.count,
		.users = i->users.items,
		.users_count = i->users.count,
		.certs = i->certs.items,
		.certs_count = i->certs.count,
		.issuers = i->issuers.items,
		.issuers_count = i->issuers.count,
		.open = i->open,
		.anonymous = i->anonymous };
}

bool config_ident_make(struct config *c, struct yaml *y)
{
	const struct ident_conf conf = conf_of(&c->identities);
	const struct yaml_node *n = yaml_child(yaml_root(y), "identities");
	if (ident_set_make(&conf, &c->idents, fault, y))
		return false;
	/* Lists that let nobody in were meant to keep somebody out; so was the section alone. */
	bool lists = n &&
	    (!n->count || yaml_child(n, "tokens") || yaml_child(n, "basic") ||
	        yaml_child(n, "certificates") || yaml_child(n, "oidc"));
	return !lists || c->idents ||
	    yaml_fail(y, n,
	        "it names nobody, so that everybody may do everything: name somebody, or leave it out");
}

void config_ident_forget(struct config *c)
{
	const struct ident_token *t = c->identities.tokens.items;
	const struct ident_user *u = c->identities.users.items;
	for (size_t i = 0; i < c->identities.tokens.count; i++)
		secret_forget((struct secret *)(uintptr_t)t[i].token);
	for (size_t i = 0; i < c->identities.users.count; i++)
		secret_forget((struct secret *)(uintptr_t)u[i].password);
}

static void fault_of_web(void *arg, const char *row, const char *text)
{
	buf_printf(arg, "web.config.file: basic_auth_users: %s: %s\n", row, text);
}

bool config_ident_web(struct config *c, struct buf *told)
{
	const struct webconfig *w = c->webconfig;
	size_t had = c->identities.users.count;
	if (!w || !w->user_count)
		return true;
	struct ident_conf conf = conf_of(&c->identities);
	struct ident_user *all = arena_array(&c->keep.arena, had + w->user_count, sizeof(*all));
	if (had)
		memcpy(all, conf.users, had * sizeof(*all));
	memcpy(all + had, w->users, w->user_count * sizeof(*all));
	conf.users = all;
	conf.users_count = had + w->user_count;
	ident_set_free(c->idents);
	c->idents = NULL;
	return !ident_set_make(&conf, &c->idents, fault_of_web, told);
}
