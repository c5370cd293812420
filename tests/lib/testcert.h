/*
 * testcert - certificates for tests, header only: an authority, and what it signs, as PEM files.
 *
 * Thread: main. Memory: a testcert is released with testcert_release. Exits when OpenSSL fails.
 */
#ifndef TESTS_LIB_TESTCERT_H
#define TESTS_LIB_TESTCERT_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TESTCERT_UNUSED __attribute__((unused))

struct testcert {
	X509 *cert;
	EVP_PKEY *key;
};
struct testcert_want {
	const char *name; /* CN */
	const char *sans; /* "DNS:localhost,IP:127.0.0.1"; NULL = none */
	bool ca, rsa;
	long days; /* it is good for; below 0: it has ended */
};

TESTCERT_UNUSED static void testcert_need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "testcert: %s\n", what);
	exit(99);
}

TESTCERT_UNUSED static void testcert_extend(X509 *x, X509 *by, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, by, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	testcert_need(e && X509_add_ext(x, e, -1) == 1, value);
	X509_EXTENSION_free(e);
}

/* by: NULL signs itself. */
TESTCERT_UNUSED static struct testcert testcert_make(
    const struct testcert_want *w, const struct testcert *by)
{
	static long serial = 1000;
	struct testcert t = { .cert = X509_new(),
		.key = w->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256") };
	testcert_need(t.cert && t.key, "no key");
	X509_set_version(t.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(t.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(t.cert), -2 * 86400);
	X509_gmtime_adj(X509_getm_notAfter(t.cert), w->days * 86400);
	X509_NAME *name = X509_get_subject_name(t.cert);
	X509_NAME_add_entry_by_txt(
	    name, "O", MBSTRING_UTF8, (const unsigned char *)"Kymo tests", -1, -1, 0);
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_UTF8, (const unsigned char *)w->name, -1, -1, 0);
	X509_set_issuer_name(t.cert, by ? X509_get_subject_name(by->cert) : name);
	X509_set_pubkey(t.cert, t.key);
	X509 *issuer = by ? by->cert : t.cert;
	testcert_extend(
	    t.cert, issuer, NID_basic_constraints, w->ca ? "critical,CA:TRUE" : "CA:FALSE");
	testcert_extend(t.cert, issuer, NID_subject_key_identifier, "hash");
	if (by)
		testcert_extend(t.cert, issuer, NID_authority_key_identifier, "keyid");
	if (w->sans)
		testcert_extend(t.cert, issuer, NID_subject_alt_name, w->sans);
	testcert_need(X509_sign(t.cert, by ? by->key : t.key, EVP_sha256()) > 0, "not signed");
	return t;
}

TESTCERT_UNUSED static void testcert_release(struct testcert *t)
{
	X509_free(t->cert);
	EVP_PKEY_free(t->key);
}

/* The files are replaced whole, as cert-manager does. NULL leaves one out. */
TESTCERT_UNUSED static void testcert_write(
    const struct testcert *t, const char *cert_file, const char *key_file)
{
	char temporary[600];
	if (cert_file) {
		snprintf(temporary, sizeof temporary, "%s.new", cert_file);
		FILE *f = fopen(temporary, "w");
		testcert_need(f && PEM_write_X509(f, t->cert) == 1 && !fclose(f) &&
		        !rename(temporary, cert_file),
		    cert_file);
	}
	if (key_file) {
		snprintf(temporary, sizeof temporary, "%s.new", key_file);
		umask(077);
		FILE *f = fopen(temporary, "w");
		testcert_need(f &&
		        PEM_write_PKCS8PrivateKey(f, t->key, NULL, NULL, 0, NULL, NULL) == 1 &&
		        !fclose(f) && !rename(temporary, key_file),
		    key_file);
	}
}

#endif
