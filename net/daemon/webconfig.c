#include "net/daemon/webconfig.h"

#include <openssl/ssl.h>
#include <string.h>

#include "core/base/mem.h"

#define OFF(field) offsetof(struct webconfig, field)

/* In the order of enum tls_client. */
static const char *const client_words[] = { "NoClientCert", "RequestClientCert",
	"RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert", NULL };
static const char *const version_words[] = { "TLS10", "TLS11", "TLS12", "TLS13", NULL };
static const struct {
	const char *theirs, *ours;
} curves[WEBCONFIG_CURVES] = { { "X25519", "X25519" }, { "CurveP256", "P-256" },
	{ "CurveP384", "P-384" }, { "CurveP521", "P-521" } };
static const char *const header_names[WEBCONFIG_HEADERS] = { "content-security-policy",
	"x-frame-options", "x-content-type-options", "x-xss-protection",
	"strict-transport-security" };

/* ---- values of their own ---- */

/* The items of a list; a single text is a list of one. */
static const struct yaml_node *first_of(const struct yaml_node *n)
{
	return n->type == YAML_LIST ? n->first : n;
}

static bool check_version(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)row;
	return *(const unsigned *)at >= 2 ||
	    yaml_fail(y, n, "%s is too old to be safe, TLS12 and TLS13 are spoken here", n->text);
}

static bool check_ciphers(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	bool fine = true;
	(void)row, (void)at;
	for (const struct yaml_node *i = first_of(n); i; i = i->next) {
		if (!strcmp(OPENSSL_cipher_name(i->text), "(NONE)"))
			fine = yaml_fail(y, i,
			    "\"%s\" is no cipher suite such as TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
			    i->text);
		if (n->type != YAML_LIST)
			break;
	}
	return fine;
}

static const char *our_curve(const char *name)
{
	for (size_t i = 0; i < WEBCONFIG_CURVES; i++)
		if (!strcmp(curves[i].theirs, name))
			return curves[i].ours;
	return NULL;
}

static bool check_curves(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	bool fine = true;
	(void)row, (void)at;
	for (const struct yaml_node *i = first_of(n); i; i = i->next) {
		if (!our_curve(i->text))
			fine = yaml_fail(y, i,
			    "\"%s\" is not one of CurveP256, CurveP384, CurveP521, X25519", i->text);
		if (n->type != YAML_LIST)
			break;
	}
	return fine;
}

/* Without a text the field is left out. */
static bool set_header(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_row text = { .key = row->key, .kind = YAML_TEXT };
	if (!n->bad && (n->type == YAML_NULL || (n->type == YAML_SCALAR && !n->len)))
		return true;
	for (uint32_t i = 0; n->type == YAML_SCALAR && i < n->len; i++)
		if ((unsigned char)n->text[i] < 0x20 || n->text[i] == 0x7f)
			return yaml_fail(y, n, "a control character cannot stand in a field");
	return yaml_set(y, n, &text, at);
}

/* Keys that Prometheus knows as well; help says what to do instead. */
static bool set_not_here(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)at;
	return n->type == YAML_NULL ? !n->bad : yaml_fail_key(y, n, "%s", row->help);
}

/* NAME: hash, ... */
static bool set_users(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	static const char *const all[] = { "*" };
	struct webconfig *w = at;
	(void)row;
	if (n->type != YAML_MAP && n->type != YAML_NULL)
		return yaml_fail(y, n, "a map of names to password hashes is wanted");
	if (!n->count)
		return true;
	w->users = arena_zalloc(&w->keep.arena, n->count * sizeof(*w->users));
	for (const struct yaml_node *i = n->first; i; i = i->next) {
		if (i->type != YAML_SCALAR || !i->len)
			return yaml_fail(y, i, "a bcrypt hash is wanted");
		if (w->user_count == n->count)
			break;
		const char *name = arena_strndup(&w->keep.arena, i->key, i->key_len);
		w->users[w->user_count++] = (struct ident_user){
			.grant = { .name = name, .tenants = all, .tenants_count = 1, .roles = ROLES_ALL },
			.password_hash = arena_strndup(&w->keep.arena, i->text, i->len),
		};
	}
	return true;
}

/* ---- rows ---- */

/* clang-format off */
static const struct yaml_row tls_rows[] = {
	{ .key = "cert_file", .kind = YAML_PATH, .off = OFF(_pair.cert_file), .flags = YAML_NEEDED, .help = "certificate, then those between it and the root" },
	{ .key = "key_file", .kind = YAML_PATH, .off = OFF(_pair.key_file), .flags = YAML_NEEDED, .help = "its private key" },
	{ .key = "client_auth_type", .kind = YAML_WORD, .off = OFF(_client), .words = client_words, .help = "certificates of clients (NoClientCert)" },
	{ .key = "client_ca_file", .kind = YAML_PATH, .off = OFF(tls.client_ca_file), .help = "authorities that vouch for clients" },
	{ .key = "client_allowed_sans", .kind = YAML_TEXTS, .off = OFF(_sans), .help = "alternative names, of which a client must have one" },
	{ .key = "min_version", .kind = YAML_WORD, .off = OFF(_least), .words = version_words, .set = check_version, .help = "oldest version (TLS12)" },
	{ .key = "max_version", .kind = YAML_WORD, .off = OFF(_most), .words = version_words, .set = check_version, .help = "newest version (TLS13)" },
	{ .key = "cipher_suites", .kind = YAML_TEXTS, .off = OFF(_ciphers), .set = check_ciphers, .help = "suites of TLS 1.2" },
	{ .key = "prefer_server_cipher_suites", .kind = YAML_BOOL, .off = OFF(_order), .help = "always so" },
	{ .key = "cert", .kind = YAML_OWN, .set = set_not_here, .help = "a certificate has a file of its own here: cert_file" },
	{ .key = "key", .kind = YAML_OWN, .set = set_not_here, .flags = YAML_HIDDEN, .help = "a key has a file of its own here: key_file" },
	{ .key = "client_ca", .kind = YAML_OWN, .set = set_not_here, .help = "certificates have a file of their own here: client_ca_file" },
	{ .key = "curve_preferences", .kind = YAML_TEXTS, .off = OFF(_curves), .set = check_curves, .help = "curves of the key exchange" },
};
static const struct yaml_row header_rows[] = {
	{ .key = "Content-Security-Policy", .kind = YAML_OWN, .off = OFF(_headers[0]), .set = set_header },
	{ .key = "X-Frame-Options", .kind = YAML_OWN, .off = OFF(_headers[1]), .set = set_header },
	{ .key = "X-Content-Type-Options", .kind = YAML_OWN, .off = OFF(_headers[2]), .set = set_header },
	{ .key = "X-XSS-Protection", .kind = YAML_OWN, .off = OFF(_headers[3]), .set = set_header },
	{ .key = "Strict-Transport-Security", .kind = YAML_OWN, .off = OFF(_headers[4]), .set = set_header },
};
static const struct yaml_schema header_schema = { .rows = header_rows, .count = COUNT_OF(header_rows) };
static const struct yaml_row http_rows[] = {
	{ .key = "http2", .kind = YAML_BOOL, .off = OFF(_http2), .help = "offer HTTP/2 (true)" },
	{ .key = "headers", .kind = YAML_IN, .sub = &header_schema, .help = "fields of every answer" },
};
static const struct yaml_schema tls_schema = { .rows = tls_rows, .count = COUNT_OF(tls_rows) };
static const struct yaml_schema http_schema = { .rows = http_rows, .count = COUNT_OF(http_rows) };
static const struct yaml_row rows[] = {
	{ .key = "tls_server_config", .kind = YAML_IN, .sub = &tls_schema, .help = "TLS" },
	{ .key = "http_server_config", .kind = YAML_IN, .sub = &http_schema, .help = "HTTP" },
	{ .key = "rate_limit", .kind = YAML_OWN, .set = set_not_here, .help = "requests are limited by tenants.defaults.requests_per_s of the configuration file" },
	{ .key = "basic_auth_users", .kind = YAML_OWN, .off = 0, .set = set_users, .help = "names and bcrypt hashes" },
};
/* clang-format on */
static const struct yaml_schema schema = { .rows = rows, .count = COUNT_OF(rows) };

/* ---- what is made of it ---- */

/* With ':' between; each name as OpenSSL has it. NULL of none. */
static const char *joined(
    struct arena *a, const struct yaml_texts *t, const char *(*ours)(const char *name))
{
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < t->count; i++)
		buf_printf(&b, "%s%s", b.len ? ":" : "", ours(t->texts[i]));
	const char *text = t->count ? arena_strndup(a, (const char *)b.data, b.len) : NULL;
	buf_release(&b);
	return text;
}

static const char *our_cipher(const char *name)
{
	return OPENSSL_cipher_name(name);
}

/* Suites of TLS 1.3 have no place in the list, and all of them are good. */
static const char *ciphers_of(struct webconfig *w)
{
	struct yaml_texts old = { .count = 0 };
	const char **texts = arena_array(&w->keep.arena, w->_ciphers.count, sizeof(*texts));
	for (size_t i = 0; i < w->_ciphers.count; i++)
		if (strncmp(our_cipher(w->_ciphers.texts[i]), "TLS_", 4) != 0)
			texts[old.count++] = w->_ciphers.texts[i];
	old.texts = texts;
	return joined(&w->keep.arena, &old, our_cipher);
}

static void tls_make(struct webconfig *w)
{
	static const enum tls_version versions[] = { TLS_VERSION_USUAL, TLS_VERSION_USUAL,
		TLS_VERSION_1_2, TLS_VERSION_1_3 };
	w->has_tls = w->_pair.cert_file != NULL;
	w->tls.pairs = &w->_pair;
	w->tls.pair_count = 1;
	w->tls.client = (enum tls_client)w->_client;
	w->tls.allowed_sans = w->_sans.texts;
	w->tls.allowed_san_count = w->_sans.count;
	w->tls.least = versions[w->_least];
	w->tls.most = versions[w->_most];
	w->tls.ciphers = ciphers_of(w);
	w->tls.groups = joined(&w->keep.arena, &w->_curves, our_curve);
	w->tls.no_h2 = !w->_http2;
}

static void headers_make(struct webconfig *w)
{
	for (size_t i = 0; i < WEBCONFIG_HEADERS; i++)
		if (w->_headers[i])
			w->headers[w->header_count++] =
			    (struct srv_field){ header_names[i], w->_headers[i] };
}

static enum err make(struct yaml *y, struct webconfig *w, struct webconfig **out, struct buf *told)
{
	bool fine = yaml_walk(y, yaml_root(y), &schema, w) && !yaml_failed(y);
	if (!fine)
		yaml_tell(y, told);
	yaml_close(y);
	if (!fine) {
		webconfig_free(w);
		return ERR_BADDATA;
	}
	tls_make(w);
	headers_make(w);
	*out = w;
	return ERR_OK;
}

static struct webconfig *begin(void)
{
	struct webconfig *w = mem_zalloc(sizeof(*w));
	yaml_keep_init(&w->keep);
	w->_http2 = true;
	return w;
}

enum err webconfig_load(const char *path, struct webconfig **out, struct buf *told)
{
	struct webconfig *w = begin();
	return make(yaml_load(path, &w->keep), w, out, told);
}

enum err webconfig_read(
    const char *name, const char *text, size_t len, struct webconfig **out, struct buf *told)
{
	struct webconfig *w = begin();
	return make(yaml_open(name, text, len, &w->keep), w, out, told);
}

void webconfig_free(struct webconfig *w)
{
	if (!w)
		return;
	yaml_keep_release(&w->keep);
	mem_free(w);
}
