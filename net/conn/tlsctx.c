/*
 * tlsctx - what a listener offers: certificates, keys and authorities are read, checked and put
 * into a context of OpenSSL.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fsio.h"
#include "core/base/log.h"
#include "net/conn/tls_priv.h"

#define FILE_BYTES_MAX (4u << 20) /* of all authorities of the world it is a tenth of a MiB */
#define ARENA_BYTES    1024u
#define SERIAL_DEPTH   8 /* certificates between a client and its root */

/* ECDHE and AEAD only: what "Recommendations for Secure Use of TLS" (RFC 9325) asks for. */
#define CIPHERS_1_2                                                                                \
 "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                      \
 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                      \
 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS      "X25519:P-256:P-384"

/* ---- the life of a context ---- */

static void tls_release(struct snap *snap)
{
	struct tls *t = CONTAINER_OF(snap, struct tls, snap);
	SSL_CTX_free(t->ctx);
	for (size_t i = 0; i < t->cert_count; i++) {
		X509_free(t->certs[i].cert);
		EVP_PKEY_free(t->certs[i].key); /* wipes it */
		sk_X509_pop_free(t->certs[i].chain, X509_free);
	}
	mem_free(t->certs);
	arena_release(&t->arena);
	mem_free(t);
}

struct tls *tls_hold(struct tls *t)
{
	if (t)
		snap_take(&t->snap);
	return t;
}

void tls_drop(struct tls *t)
{
	if (t)
		snap_drop(&t->snap);
}

/* ---- errors ---- */

/* The first thing that OpenSSL had to say. */
static const char *why_ssl(void)
{
	unsigned long e = ERR_peek_error();
	const char *text = ERR_reason_error_string(e);
	return text                         ? text
	    : ERR_GET_LIB(e) == ERR_LIB_SYS ? strerrordesc_np(ERR_GET_REASON(e))
	                                    : "no reason given";
}

/* ---- files ---- */

struct pem { /* a file that was read; wiped */
	char *data;
	size_t len;
};

static void pem_release(struct pem *p)
{
	if (p->data)
		OPENSSL_cleanse(p->data, p->len);
	mem_free(p->data);
	p->data = NULL;
}

static void file_note(struct tls_file *f, const struct stat *st)
{
	f->device = st->st_dev;
	f->inode = st->st_ino;
	f->size = (uint64_t)st->st_size;
	f->changed = st->st_mtim;
	f->renamed = st->st_ctim;
}

static enum err file_open(
    const char *key, const char *path, int *fd, struct stat *st, struct errbuf *eb)
{
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return errbuf_set(
		    eb, err_of_errno(errno), "%s \"%s\": %s", key, path, strerrordesc_np(errno));
	if (!fstat(*fd, st) && S_ISREG(st->st_mode) && st->st_size <= (off_t)FILE_BYTES_MAX)
		return ERR_OK;
	close(*fd);
	return errbuf_set(eb, ERR_BADDATA, "%s \"%s\": not a file of at most %u bytes", key, path,
	    FILE_BYTES_MAX);
}

/* key: of the configuration. */
static enum err file_read(
    struct tls *t, const char *key, const char *path, struct pem *out, struct errbuf *eb)
{
	struct stat st;
	int fd;
	CHECK(t->file_count < TLS_FILES_MAX);
	struct tls_file *f = &t->files[t->file_count];
	f->path = path;
	enum err e = file_open(key, path, &fd, &st, eb);
	if (e)
		return e;
	file_note(f, &st);
	t->file_count++;
	*out = (struct pem){ .data = mem_zalloc((size_t)st.st_size + 1), .len = (size_t)st.st_size };
	e = fsio_read_fd(fd, out->data, out->len, &out->len);
	close(fd);
	if (e)
		errbuf_set(eb, e, "%s \"%s\": %s", key, path, err_why(e));
	bool open_to_all = st.st_mode & S_IROTH;
	if (!e && open_to_all && !strcmp(key, "key_file"))
		LOG_WARN("key_file_open_to_all",
		    "file=\"%s\" text=\"every user of this machine can read this private key: chmod o-r\"",
		    path);
	return e;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool tls_is_stale(struct tls *t)
{
	bool stale = false;
	for (size_t i = 0; i < t->file_count; i++) {
		struct tls_file *f = &t->files[i], now = { .path = f->path };
		struct stat st;
		if (stat(f->path, &st))
			continue; /* being renewed: the next look finds it */
		file_note(&now, &st);
		stale |= now.device != f->device || now.inode != f->inode || now.size != f->size ||
		    !same_time(&now.changed, &f->changed) || !same_time(&now.renamed, &f->renamed);
		*f = now;
	}
	return stale;
}

/* ---- certificates ---- */

static BIO *bio_of(const struct pem *p)
{
	BIO *b = BIO_new_mem_buf(p->data, (int)p->len);
	if (!b)
		panic("no memory for a certificate");
	return b;
}

/* Keys with a passphrase are not opened; nobody is asked for it. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	*(bool *)arg = true;
	return -1;
}

/* Or was there something that is no certificate? */
static bool pem_has_ended(void)
{
	if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ERR_clear_error();
	return !ERR_peek_error();
}

static enum err cert_parse(
    const char *path, const struct pem *p, struct tls_cert *out, struct errbuf *eb)
{
	BIO *b = bio_of(p);
	out->cert = PEM_read_bio_X509(b, NULL, no_passphrase, &(bool){ false });
	out->chain = sk_X509_new_null();
	for (X509 *x; out->cert && (x = PEM_read_bio_X509(b, NULL, no_passphrase, &(bool){ false }));)
		if (!sk_X509_push(out->chain, x))
			panic("no memory for a certificate");
	BIO_free(b);
	if (out->cert && pem_has_ended())
		return ERR_OK;
	return errbuf_set(eb, ERR_BADDATA, "cert_file \"%s\": not a certificate in PEM form: %s",
	    path, why_ssl());
}

static enum err key_parse(
    const char *path, const struct pem *p, struct tls_cert *out, struct errbuf *eb)
{
	bool asked = false;
	BIO *b = bio_of(p);
	out->key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, &asked);
	BIO_free(b);
	if (out->key)
		return ERR_OK;
	return errbuf_set(eb, ERR_BADDATA, "key_file \"%s\": %s%s", path,
	    asked ? "the key has a passphrase, give one without" : "not a private key in PEM form: ",
	    asked ? "" : why_ssl());
}

static enum err pair_read(struct tls *t, const struct tls_pair *pair, struct errbuf *eb)
{
	struct tls_cert *c = &t->certs[t->cert_count++];
	struct pem cert = { 0 }, key = { 0 };
	enum err e = file_read(t, "cert_file", pair->cert_file, &cert, eb);
	if (!e)
		e = cert_parse(pair->cert_file, &cert, c, eb);
	if (!e)
		e = file_read(t, "key_file", pair->key_file, &key, eb);
	if (!e)
		e = key_parse(pair->key_file, &key, c, eb);
	pem_release(&cert);
	pem_release(&key);
	if (!e && X509_check_private_key(c->cert, c->key) != 1)
		e = errbuf_set(eb, ERR_BADDATA,
		    "key_file \"%s\": not the key of the certificate in cert_file \"%s\"",
		    pair->key_file, pair->cert_file);
	if (!e && t->cert_count == 1 &&
	    SSL_CTX_use_cert_and_key(t->ctx, c->cert, c->key, c->chain, 1) != 1)
		e = errbuf_set(
		    eb, ERR_BADDATA, "cert_file \"%s\": refused: %s", pair->cert_file, why_ssl());
	if (!e && X509_cmp_current_time(X509_get0_notAfter(c->cert)) < 0)
		LOG_WARN("certificate_ended",
		    "file=\"%s\" text=\"its time is over, clients will refuse it\"", pair->cert_file);
	return e;
}

/* The certificate of the host that the client wants; the first one is set already. */
static int choose_cert(SSL *ssl, void *arg)
{
	const struct tls *t = arg;
	const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	for (size_t i = 0; host && i < t->cert_count; i++) {
		const struct tls_cert *c = &t->certs[i];
		if (X509_check_host(c->cert, host, 0, 0, NULL) != 1)
			continue;
		if (i == 0)
			return 1;
		SSL_certs_clear(ssl); /* else one of another kind of key stays beside it */
		return SSL_use_cert_and_key(ssl, c->cert, c->key, c->chain, 1) == 1;
	}
	return 1;
}

int64_t tls_ends_s(const struct tls *t)
{
	struct tm tm;
	if (ASN1_TIME_to_tm(X509_get0_notAfter(t->certs[0].cert), &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm);
}

/* ---- certificates of clients ---- */

static bool san_allowed(const struct tls *t, X509 *cert)
{
	if (!t->conf.allowed_san_count)
		return true;
	struct conn_peer *p = tls_peer_of(cert);
	bool found = false;
	for (size_t i = 0; i < t->conf.allowed_san_count && !found; i++)
		found = conn_peer_has(p, t->conf.allowed_sans[i]);
	conn_peer_drop(p);
	return found;
}

static int verify_client(X509_STORE_CTX *x, void *arg)
{
	const struct tls *t = arg;
	if (t->verifies && X509_verify_cert(x) != 1)
		return 0;
	if (san_allowed(t, X509_STORE_CTX_get0_cert(x)))
		return 1;
	X509_STORE_CTX_set_error(x, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static enum err clients_set(struct tls *t, struct pem *ca, struct errbuf *eb)
{
	static const int modes[] = { [TLS_CLIENT_NONE] = SSL_VERIFY_NONE,
		[TLS_CLIENT_ASK] = SSL_VERIFY_PEER,
		[TLS_CLIENT_ANY] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
		[TLS_CLIENT_VERIFY] = SSL_VERIFY_PEER,
		[TLS_CLIENT_REQUIRE] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT };
	const char *path = t->conf.client_ca_file;
	t->verifies = t->conf.client >= TLS_CLIENT_VERIFY;
	SSL_CTX_set_verify(t->ctx, modes[t->conf.client], NULL);
	SSL_CTX_set_verify_depth(t->ctx, SERIAL_DEPTH);
	SSL_CTX_set_cert_verify_callback(t->ctx, verify_client, t);
	if (!path)
		return t->verifies
		    ? errbuf_set(eb, ERR_BADDATA,
		          "client certificates cannot be checked without client_ca_file")
		    : ERR_OK;
	if (t->conf.client == TLS_CLIENT_NONE)
		return errbuf_set(eb, ERR_BADDATA,
		    "client_ca_file is of no use while clients are not asked for certificates");
	enum err e = file_read(t, "client_ca_file", path, ca, eb);
	if (e)
		return e;
	BIO *b = bio_of(ca);
	X509_STORE *store = SSL_CTX_get_cert_store(t->ctx);
	size_t count = 0;
	for (X509 *x; (x = PEM_read_bio_X509(b, NULL, no_passphrase, &(bool){ false })); count++) {
		if (X509_STORE_add_cert(store, x) != 1 || SSL_CTX_add_client_CA(t->ctx, x) != 1)
			panic("no memory for a certificate");
		X509_free(x);
	}
	BIO_free(b);
	if (!count)
		return errbuf_set(eb, ERR_BADDATA,
		    "client_ca_file \"%s\": no certificate in PEM form: %s", path, why_ssl());
	if (!pem_has_ended())
		return errbuf_set(eb, ERR_BADDATA,
		    "client_ca_file \"%s\": what stands behind certificate %zu is none: %s", path,
		    count, why_ssl());
	return ERR_OK;
}

/* A ticket opens only where the same clients are trusted. */
static void sessions_set(struct tls *t, const struct pem *ca)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t id[32];
	const struct tls_conf *c = &t->conf;
	CHECK(md);
	CHECK(EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
	CHECK(EVP_DigestUpdate(md, &c->client, sizeof(c->client)) == 1);
	if (ca->data)
		CHECK(EVP_DigestUpdate(md, ca->data, ca->len) == 1);
	for (size_t i = 0; i < c->allowed_san_count; i++)
		CHECK(EVP_DigestUpdate(md, c->allowed_sans[i], strlen(c->allowed_sans[i]) + 1) == 1);
	CHECK(EVP_DigestFinal_ex(md, id, NULL) == 1);
	EVP_MD_CTX_free(md);
	CHECK(SSL_CTX_set_session_id_context(t->ctx, id, sizeof(id)) == 1);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(t->ctx, TLS_SESSION_S);
	SSL_CTX_set_num_tickets(t->ctx, 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(t->ctx, tls_ticket_key);
}

/* ---- protocols ---- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *arg)
{
	const struct tls *t = arg;
	unsigned char *found;
	(void)ssl;
	if (SSL_select_next_proto(&found, out_len, t->alpn, t->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301, 3.2 */
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

static void alpn_set(struct tls *t)
{
	static const uint8_t all[] = { 2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1' };
	size_t skip = t->conf.no_h2 ? 3 : 0;
	t->alpn_len = (unsigned)(sizeof(all) - skip);
	memcpy(t->alpn, all + skip, t->alpn_len);
	SSL_CTX_set_alpn_select_cb(t->ctx, choose_alpn, t);
}

static enum err protocols_set(struct tls *t, struct errbuf *eb)
{
	static const int versions[] = { 0, TLS1_2_VERSION, TLS1_3_VERSION };
	const struct tls_conf *c = &t->conf;
	int least = versions[c->least] ? versions[c->least] : TLS1_2_VERSION;
	if (c->most && c->least > c->most)
		return errbuf_set(eb, ERR_BADDATA, "min_version is newer than max_version");
	if (SSL_CTX_set_min_proto_version(t->ctx, least) != 1 ||
	    SSL_CTX_set_max_proto_version(t->ctx, versions[c->most]) != 1)
		return errbuf_set(eb, ERR_BADDATA, "the versions of TLS are refused: %s", why_ssl());
	const char *ciphers = c->ciphers ? c->ciphers : CIPHERS_1_2;
	if (SSL_CTX_set_cipher_list(t->ctx, ciphers) != 1 ||
	    SSL_CTX_set_ciphersuites(t->ctx, CIPHERS_1_3) != 1)
		return errbuf_set(eb, ERR_BADDATA, "cipher_suites \"%s\": %s", ciphers, why_ssl());
	const char *groups = c->groups ? c->groups : GROUPS;
	if (SSL_CTX_set1_groups_list(t->ctx, groups) != 1)
		return errbuf_set(eb, ERR_BADDATA, "curve_preferences \"%s\": %s", groups, why_ssl());
	SSL_CTX_set_options(t->ctx,
	    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_RENEGOTIATION |
	        SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(t->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	        SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(t->ctx, 1);
	alpn_set(t);
	return ERR_OK;
}

/* ---- all of it ---- */

static const char *text_copy(struct tls *t, const char *text)
{
	return text ? arena_strndup(&t->arena, text, strlen(text)) : NULL;
}

/* What it was made of, to be made again. */
static void conf_copy(struct tls *t, const struct tls_conf *c)
{
	t->conf = *c;
	struct tls_pair *pairs = arena_array(&t->arena, c->pair_count, sizeof(*pairs));
	for (size_t i = 0; i < c->pair_count; i++)
		pairs[i] = (struct tls_pair){ text_copy(t, c->pairs[i].cert_file),
			text_copy(t, c->pairs[i].key_file) };
	const char **sans = arena_array(&t->arena, c->allowed_san_count, sizeof(*sans));
	for (size_t i = 0; i < c->allowed_san_count; i++)
		sans[i] = text_copy(t, c->allowed_sans[i]);
	t->conf.pairs = pairs;
	t->conf.allowed_sans = sans;
	t->conf.client_ca_file = text_copy(t, c->client_ca_file);
	t->conf.ciphers = text_copy(t, c->ciphers);
	t->conf.groups = text_copy(t, c->groups);
}

static enum err tls_fill(struct tls *t, struct errbuf *eb)
{
	struct pem ca = { 0 };
	enum err e = protocols_set(t, eb);
	for (size_t i = 0; i < t->conf.pair_count && !e; i++)
		e = pair_read(t, &t->conf.pairs[i], eb);
	if (!e)
		e = clients_set(t, &ca, eb);
	if (!e)
		sessions_set(t, &ca);
	pem_release(&ca);
	if (t->cert_count > 1)
		SSL_CTX_set_cert_cb(t->ctx, choose_cert, t);
	return e;
}

enum err tls_create(const struct tls_conf *conf, struct tls **out, struct errbuf *eb)
{
	if (!conf->pair_count)
		return errbuf_set(eb, ERR_BADDATA, "TLS wants cert_file and key_file");
	if (2 * conf->pair_count + 1 > TLS_FILES_MAX)
		return errbuf_set(eb, ERR_BADDATA, "more than %u certificates of one listener",
		    (TLS_FILES_MAX - 1) / 2);
	for (size_t i = 0; i < conf->pair_count; i++)
		if (!conf->pairs[i].cert_file || !conf->pairs[i].key_file)
			return errbuf_set(eb, ERR_BADDATA, "TLS wants cert_file and key_file");
	struct tls *t = mem_zalloc(sizeof(*t));
	ERR_clear_error();
	t->ctx = SSL_CTX_new(TLS_server_method());
	snap_init(&t->snap, tls_release);
	if (!t->ctx)
		panic("no memory for TLS");
	arena_init(&t->arena, ARENA_BYTES);
	conf_copy(t, conf);
	t->certs = mem_zalloc(conf->pair_count * sizeof(*t->certs));
	enum err e = tls_fill(t, eb);
	ERR_clear_error();
	if (e)
		tls_drop(t);
	else
		*out = t;
	return e;
}

enum err tls_renew(struct tls *old, struct tls **out, struct errbuf *eb)
{
	return tls_create(&old->conf, out, eb);
}
