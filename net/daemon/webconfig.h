/*
 * webconfig - the file of --web.config.file, as Prometheus and its exporters have it
 * (prometheus/exporter-toolkit, "Web configuration"): TLS, HTTP and users, for people who have one.
 *
 *   tls_server_config: {cert_file, key_file, client_auth_type, client_ca_file, client_allowed_sans,
 *                       min_version, max_version, cipher_suites, curve_preferences,
 *                       prefer_server_cipher_suites}
 *   http_server_config: {http2, headers}
 *   basic_auth_users: {NAME: bcrypt hash}
 *
 * Paths are relative to the folder of the file. What we do not offer is an error that says so (TLS
 * 1.0 and 1.1; cert, key and client_ca in the file itself; rate_limit); the server's order of
 * ciphers always holds. Users may do everything.
 *
 * Thread: load blocks, main or a worker; then read only. Memory: texts live as long as it.
 */
#ifndef NET_DAEMON_WEBCONFIG_H
#define NET_DAEMON_WEBCONFIG_H

#include "core/base/yaml.h"
#include "net/conn/tls.h"
#include "net/gate/ident.h"
#include "net/http/srv.h"

#define WEBCONFIG_HEADERS 5u
#define WEBCONFIG_CURVES  4u
struct webconfig {
	struct yaml_keep keep;
	bool has_tls;
	struct tls_conf tls;
	/* Fields of every answer; name in lower case. */
	struct srv_field headers[WEBCONFIG_HEADERS];
	size_t header_count;
	struct ident_user *users;
	size_t user_count;

	/* As read. */
	struct tls_pair _pair;
	struct yaml_texts _sans, _ciphers, _curves;
	unsigned _client, _least, _most;
	bool _order, _http2;
	const char *_headers[WEBCONFIG_HEADERS];
};
/* ERR_BADDATA: told has all that is wrong. */
MUST_CHECK enum err webconfig_load(const char *path, struct webconfig **out, struct buf *told);
/* The same of a text; name is where it came from. */
MUST_CHECK enum err webconfig_read(
    const char *name, const char *text, size_t len, struct webconfig **out, struct buf *told);
void webconfig_free(struct webconfig *w); /* NULL is fine */

#endif
