/*
 * tlspeer - who a certificate says its owner is.
 */
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "net/conn/tls_priv.h"

#define NAME_FLAGS (XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB)
#define SANS_MAX   1000 /* more are left out */

bool tls_peer_current(X509 *cert)
{
	return X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

/* A name with a NUL in it is a trick. */
static const char *keep(struct conn_peer *p, const void *data, size_t len)
{
	return len && !memchr(data, 0, len) ? arena_strndup(&p->_arena, data, len) : NULL;
}

static const char *name_text(struct conn_peer *p, const X509_NAME *name)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data;
	CHECK(b);
	X509_NAME_print_ex(b, name, 0, NAME_FLAGS);
	long len = BIO_get_mem_data(b, &data);
	const char *text = len > 0 ? keep(p, data, (size_t)len) : NULL;
	BIO_free(b);
	return text ? text : "";
}

static const char *common_name(struct conn_peer *p, const X509_NAME *name)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1), len = -1;
	unsigned char *utf8 = NULL;
	if (at >= 0)
		len = ASN1_STRING_to_UTF8(
		    &utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	const char *text = len > 0 ? keep(p, utf8, (size_t)len) : NULL;
	OPENSSL_free(utf8);
	return text ? text : "";
}

static const char *san_text(struct conn_peer *p, int type, const ASN1_STRING *s)
{
	const unsigned char *data = ASN1_STRING_get0_data(s);
	int len = ASN1_STRING_length(s);
	char ip[INET6_ADDRSTRLEN];
	if (type != GEN_IPADD)
		return len > 0 ? keep(p, data, (size_t)len) : NULL;
	if ((len != 4 && len != 16) ||
	    !inet_ntop(len == 4 ? AF_INET : AF_INET6, data, ip, sizeof(ip)))
		return NULL;
	return keep(p, ip, strlen(ip));
}

static void add_sans(struct conn_peer *p, GENERAL_NAMES *names)
{
	static const struct {
		int type;
		enum conn_san_kind kind;
	} kinds[] = { { GEN_DNS, CONN_SAN_DNS }, { GEN_URI, CONN_SAN_URI },
		{ GEN_EMAIL, CONN_SAN_EMAIL }, { GEN_IPADD, CONN_SAN_IP } };
	int count = sk_GENERAL_NAME_num(names);
	if (count > SANS_MAX)
		count = SANS_MAX;
	struct conn_san *sans = arena_array(&p->_arena, (size_t)count, sizeof(*sans));
	for (int i = 0; i < count; i++) {
		int type;
		const void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		for (size_t k = 0; k < COUNT_OF(kinds); k++) {
			const char *text = kinds[k].type == type ? san_text(p, type, value) : NULL;
			if (text)
				sans[p->san_count++] =
				    (struct conn_san){ .kind = kinds[k].kind, .value = text };
		}
	}
	p->sans = sans;
}

struct conn_peer *tls_peer_of(X509 *cert)
{
	struct conn_peer *p = conn_peer_create();
	unsigned len = 0;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	p->subject = name_text(p, X509_get_subject_name(cert));
	p->issuer = name_text(p, X509_get_issuer_name(cert));
	p->common_name = common_name(p, X509_get_subject_name(cert));
	if (names)
		add_sans(p, names);
	GENERAL_NAMES_free(names);
	CHECK(X509_digest(cert, EVP_sha256(), p->sha256, &len) == 1 && len == sizeof(p->sha256));
	return p;
}
