/* Prometheus' web.config.file: what is taken, what is told, and where. */
#include "net/daemon/webconfig.h"

#include <string.h>

#include "tests/lib/tap.h"

static struct webconfig *w;
static struct buf told;

static bool take(const char *text)
{
	webconfig_free(w);
	w = NULL;
	buf_clear(&told);
	enum err e = webconfig_read("dir/web.yml", text, strlen(text), &w, &told);
	buf_add_u8(&told, 0);
	return !e;
}
#define TOLD ((const char *)told.data)

static void good(void)
{
	tap_ok(take("") && !w->has_tls && !w->user_count && !w->header_count,
	    "an empty file says nothing");
	tap_ok(take("tls_server_config:\n"
	            "  cert_file: a.crt\n"
	            "  key_file: /abs/a.key\n"
	            "  client_auth_type: RequireAndVerifyClientCert\n"
	            "  client_ca_file: ca.crt\n"
	            "  client_allowed_sans: [one.example, two.example]\n"
	            "  min_version: TLS13\n"
	            "  max_version: TLS13\n"
	            "  prefer_server_cipher_suites: true\n"
	            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
	            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]\n"
	            "  curve_preferences: [CurveP256, X25519]\n"
	            "http_server_config:\n"
	            "  http2: false\n"
	            "  headers:\n"
	            "    X-Frame-Options: deny\n"
	            "    Strict-Transport-Security: max-age=3600\n"
	            "basic_auth_users:\n"
	            "  alice: $2y$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
	            "  bob: $2y$10$bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"),
	    "all of it is taken: %s", TOLD);
	if (!w)
		return;
	const struct tls_conf *t = &w->tls;
	tap_ok(w->has_tls && t->pair_count == 1, "TLS");
	tap_is_str(t->pairs[0].cert_file, "dir/a.crt", "paths begin in the folder of the file");
	tap_is_str(t->pairs[0].key_file, "/abs/a.key", "but absolute ones");
	tap_is_str(t->client_ca_file, "dir/ca.crt", "(the authorities)");
	tap_ok(t->client == TLS_CLIENT_REQUIRE && t->allowed_san_count == 2, "clients");
	tap_ok(t->least == TLS_VERSION_1_3 && t->most == TLS_VERSION_1_3, "versions");
	tap_is_str(t->ciphers, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305",
	    "suites of TLS 1.2 as OpenSSL has them");
	tap_is_str(t->groups, "P-256:X25519", "curves");
	tap_ok(t->no_h2, "HTTP/2 off");
	tap_ok(w->header_count == 2 && !strcmp(w->headers[0].name, "x-frame-options") &&
	        !strcmp(w->headers[1].value, "max-age=3600"),
	    "fields of answers");
	tap_ok(w->user_count == 2 && !strcmp(w->users[1].grant.name, "bob") &&
	        !strncmp(w->users[1].password_hash, "$2y$10$bbb", 10) &&
	        w->users[1].grant.roles == ROLES_ALL,
	    "users, who may do everything");
}

/* What has nothing behind it says nothing: templates leave such keys. */
static void blanks(void)
{
	tap_ok(take("http_server_config: {headers: {X-Frame-Options: \"\", X-XSS-Protection: , "
	            "X-Content-Type-Options: nosniff}}\nrate_limit:\n") &&
	        w->header_count == 1 && !strcmp(w->headers[0].name, "x-content-type-options"),
	    "fields without a text are left out: %s", TOLD);
}

static void words(void)
{
	static const char *const all[] = { "NoClientCert", "RequestClientCert",
		"RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert" };
	for (unsigned i = 0; i < COUNT_OF(all); i++) {
		char text[256];
		snprintf(text, sizeof text,
		    "tls_server_config: {cert_file: a, key_file: b, client_auth_type: %s}\n", all[i]);
		tap_ok(take(text) && w->tls.client == (enum tls_client)i, "%s is a word", all[i]);
	}
}

static void bad(void)
{
	static const struct {
		const char *text, *says;
	} t[] = {
		{ "tls_server_config: {cert_file: a}\n", "dir/web.yml:1:" },
		{ "tls_server_config: {cert_file: a}\n", "the key key_file is missing" },
		{ "tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}\n",
		    "TLS10 is too old" },
		{ "tls_server_config: {cert_file: a, key_file: b, max_version: TLS11}\n",
		    "TLS11 is too old" },
		{ "tls_server_config: {cert_file: a, key_file: b, min_version: TLS14}\n", "TLS1" },
		{ "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequestClientCerts}\n",
		    "RequestClientCert" },
		{ "tls_server_config: {cert_file: a, key_file: b, cipher_suites: [x, TLS_NO]}\n",
		    "\"TLS_NO\" is no cipher suite" },
		{ "tls_server_config: {cert_file: a, key_file: b, curve_preferences: [P256]}\n",
		    "\"P256\" is not one of" },
		{ "tls_server_confg: {}\n", "did you mean tls_server_config" },
		{ "http_server_config: {headers: {X-Frame-Option: a}}\n", "X-Frame-Options" },
		{ "http_server_config: {headers: {X-Frame-Options: \"a\\nb\"}}\n",
		    "control character" },
		{ "http_server_config: {headers: {X-Frame-Options: [a]}}\n", "X-Frame-Options" },
		{ "tls_server_config: {cert: a, key: b}\n", "own here: cert_file" },
		{ "tls_server_config: {cert: a, key: b}\n", "own here: key_file" },
		{ "tls_server_config: {cert_file: a, key_file: b, client_ca: c}\n", "client_ca_file" },
		{ "rate_limit: {interval: 1s, burst: 20}\n", "requests_per_s" },
		{ "http_server_config: {http2: yes}\n", "http2" },
		{ "basic_auth_users: [a, b]\n", "basic_auth_users" },
		{ "basic_auth_users: {a: {b: c}}\n", "bcrypt" },
		{ "basic_auth_users: {a: }\n", "bcrypt" },
		{ "a: [\n", "dir/web.yml" },
	};
	for (size_t i = 0; i < COUNT_OF(t); i++)
		tap_ok(!take(t[i].text) && strstr(TOLD, t[i].says), "%s is told: %.*s", t[i].text,
		    (int)strcspn(TOLD, "\n"), TOLD);
}

int main(void)
{
	buf_init(&told);
	good();
	blanks();
	words();
	bad();
	webconfig_free(w);
	buf_release(&told);
	return tap_done();
}
