/*
 * config_listen - the section listeners: addresses, and what is offered there.
 *
 *   listeners:
 *   - address: 0.0.0.0:9470
 *     tls: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt, client_auth: require}
 *     proxy_protocol_from: [10.0.0.0/8]
 *   - address: 127.0.0.1:9471
 *     admin: true
 *
 * Addresses of the command line (--listen) that stand here, too, are offered the same. What has no
 * tls of its own has that of --web.config.file, when there is one.
 */
#include <string.h>

#include "core/base/mem.h"
#include "net/daemon/config.h"

/* In the order of client_modes. */
static const char *const client_words[] = { "none", "request", "require", NULL };
static const enum tls_client client_modes[] = { TLS_CLIENT_NONE, TLS_CLIENT_VERIFY,
	TLS_CLIENT_REQUIRE };
static const char *const version_words[] = { "1.2", "1.3", NULL };
static const enum tls_version versions[] = { TLS_VERSION_1_2, TLS_VERSION_1_3 };

static bool check_networks(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	bool fine = true;
	(void)row, (void)at;
	for (const struct yaml_node *i = n->type == YAML_LIST ? n->first : n; i; i = i->next) {
		struct cidr c;
		struct errbuf eb;
		errbuf_init(&eb);
		if (cidr_parse(i->text, i->len, &c, &eb))
			fine = yaml_fail(y, i, "%s", eb.text);
		if (n->type != YAML_LIST)
			break;
	}
	return fine;
}

/* http2: true is the usual, so the struct has what is not. */
/* Is there any? */
static bool show_tls(struct buf *out, const struct yaml_row *row, const void *at)
{
	(void)out, (void)row;
	return ((const struct config_tls *)at)->first.cert_file != NULL;
}

static bool check_tls(struct yaml *y, const struct yaml_node *n, void *item)
{
	const struct config_tls *t = item;
	if (t->client && !t->client_ca_file)
		return yaml_fail_key(
		    y, yaml_child(n, "client_auth"), "is of no use without client_ca_file");
	if (!t->client && t->client_ca_file)
		return yaml_fail_key(y, yaml_child(n, "client_ca_file"),
		    "is of no use without client_auth: request or require");
	return true;
}

#define PAIR(field) offsetof(struct tls_pair, field)
#define TLS(field)  offsetof(struct config_tls, field)

/* clang-format off */
static const struct yaml_row pair_rows[] = {
	{ .key = "cert_file", .kind = YAML_PATH, .off = PAIR(cert_file), .flags = YAML_NEEDED, .help = "certificate in PEM form, then those between it and the root" },
	{ .key = "key_file", .kind = YAML_PATH, .off = PAIR(key_file), .flags = YAML_NEEDED, .help = "its private key, without a passphrase" },
};
static const struct yaml_schema pair_schema = { .rows = pair_rows, .count = COUNT_OF(pair_rows), .size = sizeof(struct tls_pair), .name_off = SIZE_MAX };
static const struct yaml_row tls_rows[] = {
	{ .key = "cert_file", .kind = YAML_PATH, .off = TLS(first.cert_file), .flags = YAML_NEEDED, .help = "certificate in PEM form, then those between it and the root; read again when it changes" },
	{ .key = "key_file", .kind = YAML_PATH, .off = TLS(first.key_file), .flags = YAML_NEEDED, .help = "its private key, without a passphrase; of an ECDSA key a handshake costs a fraction of that of RSA" },
	{ .key = "more", .kind = YAML_ITEMS, .off = TLS(more), .sub = &pair_schema, .help = "certificates for other hosts: each client gets that of the host it asks for (SNI)" },
	{ .key = "client_auth", .kind = YAML_WORD, .off = TLS(client), .words = client_words, .help = "certificates of clients: request takes clients without one, too [none]" },
	{ .key = "client_ca_file", .kind = YAML_PATH, .off = TLS(client_ca_file), .help = "authorities that vouch for clients, in PEM form" },
	{ .key = "client_allowed_sans", .kind = YAML_TEXTS, .off = TLS(client_sans), .help = "alternative names, of which a client's certificate must have one [any will do]" },
	{ .key = "min_version", .kind = YAML_WORD, .off = TLS(least), .words = version_words, .help = "oldest version of TLS [1.2]" },
	{ .key = "http2", .kind = YAML_OWN, .off = TLS(no_http2), .set = config_set_not, .show = config_show_not, .shape = "true|false", .help = "offer HTTP/2 [true]" },
};
/* clang-format on */
static const struct yaml_schema tls_schema = { .rows = tls_rows,
	.count = COUNT_OF(tls_rows),
	.size = sizeof(struct config_tls),
	.name_off = SIZE_MAX,
	.check = check_tls };

static bool check_address(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)row;
	return listen_fits(*(const char *const *)at) ||
	    yaml_fail(
	        y, n, "\"%s\": HOST:PORT or [IPV6]:PORT is wanted, PORT at most 65535", n->text);
}

static const struct yaml_row rows[] = {
	{ .key = "address",
	    .kind = YAML_TEXT,
	    .off = offsetof(struct config_listener, address),
	    .flags = YAML_NEEDED | YAML_START,
	    .shape = "HOST:PORT",
	    .set = check_address,
	    .help = "where to listen" },
	{ .key = "admin",
	    .kind = YAML_BOOL,
	    .off = offsetof(struct config_listener, admin),
	    .flags = YAML_START,
	    .help =
	        "administration, /metrics and reloads answer here, and only where this is true once it stands somewhere [false]" },
	{ .key = "tls",
	    .kind = YAML_IN,
	    .off = offsetof(struct config_listener, tls),
	    .sub = &tls_schema,
	    .show = show_tls,
	    .help = "HTTPS instead of HTTP" },
	{ .key = "proxy_protocol_from",
	    .kind = YAML_TEXTS,
	    .off = offsetof(struct config_listener, proxy_protocol_from),
	    .set = check_networks,
	    .shape = "[CIDR, ...]",
	    .help =
	        "load balancers that send a PROXY header first; their connections without one are closed" },
};
const struct yaml_schema config_listener_schema = { .rows = rows,
	.count = COUNT_OF(rows),
	.size = sizeof(struct config_listener),
	.name_off = SIZE_MAX };

/* ---- what is made of it ---- */

/* Its rows live in a. */
static struct cidr_set networks(struct arena *a, const struct yaml_texts *t)
{
	struct cidr_set s = { .rows = arena_array(a, t->count, sizeof(struct cidr)) };
	for (size_t i = 0; i < t->count; i++)
		if (!cidr_parse(t->texts[i], strlen(t->texts[i]), &s.rows[s.count], NULL))
			s.count++;
	return s;
}

static const struct tls_conf *tls_of(struct arena *a, const struct config_tls *t)
{
	struct tls_conf *c = arena_zalloc(a, sizeof(*c));
	struct tls_pair *pairs = arena_array(a, t->more.count + 1, sizeof(*pairs));
	pairs[0] = t->first;
	if (t->more.count)
		memcpy(&pairs[1], t->more.items, t->more.count * sizeof(*pairs));
	*c = (struct tls_conf){ .pairs = pairs,
		.pair_count = t->more.count + 1,
		.client_ca_file = t->client_ca_file,
		.client = client_modes[t->client],
		.allowed_sans = t->client_sans.texts,
		.allowed_san_count = t->client_sans.count,
		.least = versions[t->least],
		.no_h2 = t->no_http2 };
	return c;
}

static const struct config_listener *row_of(const struct config *c, const char *address)
{
	const struct config_listener *l = c->listeners.items;
	for (size_t i = 0; i < c->listeners.count; i++)
		if (!strcmp(l[i].address, address))
			return &l[i];
	return NULL;
}

static void listen_fill(struct config *c, struct listen_conf *out, const char *address)
{
	struct arena *a = &c->keep.arena;
	const struct config_listener *l = row_of(c, address);
	const struct webconfig *w = c->webconfig;
	*out = (struct listen_conf){ .address = address };
	if (l) {
		out->admin = l->admin;
		out->proxy_from = networks(a, &l->proxy_protocol_from);
	}
	if (l && l->tls.first.cert_file)
		out->tls = tls_of(a, &l->tls);
	else if (w && w->has_tls)
		out->tls = &w->tls;
}

unsigned config_front(const struct config *c)
{
	unsigned i = 0;
	while (i < c->listen_count && c->listen[i].admin)
		i++;
	return i;
}

/* At least one of them is for everybody. */
static bool some_are_public(const struct config *c, struct buf *told)
{
	if (config_front(c) < c->listen_count)
		return true;
	buf_add_str(told, "kymod: listeners: all are for administration, one must be for requests\n");
	return false;
}

static bool proxies_make(struct config *c, struct buf *told)
{
	for (const char *s = c->flags.trusted_proxies; s && *(s += strspn(s, " "));) {
		size_t len = strcspn(s, ", ");
		struct cidr row;
		struct errbuf eb;
		errbuf_init(&eb);
		if (cidr_parse(s, len, &row, &eb)) {
			buf_printf(told, "kymod: --web.trusted-proxies: %s\n", eb.text);
			return false;
		}
		cidr_set_add(&c->trusted_proxies, &row);
		s += len;
		s += strspn(s, " ");
		s += *s == ',';
	}
	return true;
}

/* What is shown as in force: the command line may have named other addresses than the file. */
static void keep_those_in_force(struct config *c)
{
	unsigned n = c->flags.listen_count;
	struct config_listener *in_force = arena_array(&c->keep.arena, n, sizeof(*in_force));
	for (unsigned i = 0; i < n; i++) {
		const struct config_listener *l = row_of(c, c->flags.listen[i]);
		in_force[i] = l ? *l : (struct config_listener){ .address = c->flags.listen[i] };
	}
	c->listeners = (struct yaml_items){ in_force, n };
}

bool config_listen_make(struct config *c, struct buf *told)
{
	unsigned n = c->flags.listen_count;
	if (c->flags.web_config && webconfig_load(c->flags.web_config, &c->webconfig, told))
		return false;
	c->listen = arena_array(&c->keep.arena, n, sizeof(*c->listen));
	c->listen_count = n;
	for (unsigned i = 0; i < n; i++)
		listen_fill(c, &c->listen[i], c->flags.listen[i]);
	keep_those_in_force(c);
	return some_are_public(c, told) && proxies_make(c, told);
}

void config_listen_free(struct config *c)
{
	cidr_set_release(&c->trusted_proxies);
	webconfig_free(c->webconfig);
}

bool config_listen_check(const struct config *c, struct buf *told)
{
	bool fine = true;
	for (unsigned i = 0; i < c->listen_count; i++) {
		struct tls *t = NULL;
		struct errbuf eb;
		errbuf_init(&eb);
		if (c->listen[i].tls && tls_create(c->listen[i].tls, &t, &eb)) {
			buf_printf(told, "kymod: address %s: %s\n", c->listen[i].address, eb.text);
			fine = false;
		}
		tls_drop(t);
	}
	return fine;
}
