/*
 * overtls - what t_httptls and t_http2tls put under a server of test routes: a certificate, and a
 * tunnel to it. Without HTTPSERVE_OVER_TLS: nothing.
 */
#ifndef TESTS_UNIT_NET_OVERTLS_H
#define TESTS_UNIT_NET_OVERTLS_H

#include "net/conn/listen.h"

#ifdef HTTPSERVE_OVER_TLS
# include "tests/lib/testlib.h"
# include "tests/lib/testtunnel.h"

static const struct tls_conf *overtls_conf(void)
{
	static struct tls_pair pair;
	static struct tls_conf conf = { .pairs = &pair, .pair_count = 1 };
	if (pair.cert_file)
		return &conf;
	char *dir = testlib_tmpdir("overtls");
	struct testcert_want w = { .name = "localhost", .sans = "DNS:localhost", .days = 30 };
	struct testcert cert = testcert_make(&w, NULL);
	pair = (struct tls_pair){ testlib_path(dir, "tls.crt"), testlib_path(dir, "tls.key") };
	testcert_write(&cert, pair.cert_file, pair.key_file);
	testcert_release(&cert);
	free(dir);
	return &conf;
}

static const char *overtls_address(const char *address, const char *alpn)
{
	const char *dir = overtls_conf()->pairs[0].cert_file;
	char *top = strdup(dir);
	*strrchr(top, '/') = 0;
	testlib_rmtree(top); /* it has been read */
	free(top);
	return testtunnel_start(address, alpn);
}
#else
static inline const struct tls_conf *overtls_conf(void)
{
	return NULL;
}

static inline const char *overtls_address(const char *address, const char *alpn)
{
	(void)alpn;
	return address;
}
#endif

#endif
