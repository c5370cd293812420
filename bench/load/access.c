#include "bench/load/access.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct access used;
static SSL_CTX *ctx;

static bool add(struct access *a, const char *name, const char *value)
{
	size_t len = strlen(a->headers);
	int n = snprintf(a->headers + len, sizeof(a->headers) - len, "%s%s\r\n", name, value);
	return n > 0 && (size_t)n < sizeof(a->headers) - len;
}

bool access_add_header(void *arg, const char *value)
{
	return strchr(value, ':') && !strpbrk(value, "\r\n") && add(arg, "", value);
}

static enum err add_token(struct access *a, struct errbuf *eb)
{
	char token[2048] = "";
	FILE *f = fopen(a->token_file, "r");
	bool ok = f && fgets(token, sizeof(token), f);
	if (f)
		fclose(f);
	token[strcspn(token, " \t\r\n")] = 0;
	if (!ok || !token[0])
		return errbuf_set(
		    eb, ERR_BADDATA, "--token-file \"%s\": no token can be read", a->token_file);
	return add(a, "Authorization: Bearer ", token)
	    ? ERR_OK
	    : errbuf_set(eb, ERR_TOOBIG, "--token-file \"%s\": too long", a->token_file);
}

static enum err make_tls(const struct access *a, struct errbuf *eb)
{
	ctx = SSL_CTX_new(TLS_client_method());
	CHECK(ctx);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_verify(ctx, a->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	int ok = a->ca ? SSL_CTX_load_verify_file(ctx, a->ca) : SSL_CTX_set_default_verify_paths(ctx);
	if (ok == 1)
		return ERR_OK;
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	return errbuf_set(
	    eb, ERR_BADDATA, "--ca \"%s\": %s", a->ca ? a->ca : "", why ? why : "cannot be read");
}

enum err access_use(struct access *a, struct errbuf *eb)
{
	signal(SIGPIPE, SIG_IGN);
	if (a->tenant && !add(a, "X-Scope-OrgID: ", a->tenant))
		return errbuf_set(eb, ERR_TOOBIG, "--tenant: too long");
	enum err e = a->token_file ? add_token(a, eb) : ERR_OK;
	if (!e)
		e = make_tls(a, eb);
	used = *a;
	return e;
}

SSL_CTX *access_tls(void)
{
	return ctx;
}

bool access_insecure(void)
{
	return used.insecure;
}

const char *access_headers(void)
{
	return used.headers;
}
