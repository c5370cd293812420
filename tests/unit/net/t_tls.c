/*
 * TLS on the server's connections: versions, ALPN, certificates of clients, tickets over loops and
 * changes, renewed files, deadlines, peers that say nonsense, large bodies both ways; PROXY headers
 * before it, X-Forwarded-For behind them, and the listener for administration.
 */
#include <fcntl.h>
#include <signal.h>

#include "core/base/metric.h"
#include "core/model/limits.h"
#include "net/http/srv.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"
#include "tests/lib/testtls.h"

#define LOOPS     2u
#define BIG_BYTES (3u << 20)
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct testteam tt;
static struct srv *srv;
static struct limits limits;
static char *dir, *cert_file, *key_file, *ca_file, *cut_file, *rsa_cert_file, *rsa_key_file;
static struct testcert ca, other_ca, server, rsa, agent, stranger;

/* ---- the server ---- */

static void on_who(struct req *r)
{
	char from[CIDR_TEXT_MAX];
	cidr_address_text(&r->remote, from);
	const struct conn_peer *p = r->peer;
	req_reply_text(r, 200, "loop=%u from=%s tls=%d admin=%d peer=%s cn=%s sans=%zu first=%s\n",
	    loop_index(r->loop), from, r->tls, r->admin, p ? p->subject : "-",
	    p ? p->common_name : "-", p ? p->san_count : 0,
	    p && p->san_count ? p->sans[0].value : "-");
}

static void on_sum(struct req *r)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < r->body_len; i++)
		sum = sum * 31 + r->body[i];
	req_reply_text(r, 200, "%zu %llu\n", r->body_len, (unsigned long long)sum);
}

static uint8_t big_byte(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

static void on_big(struct req *r)
{
	uint8_t *data = mem_alloc(BIG_BYTES);
	for (size_t i = 0; i < BIG_BYTES; i++)
		data[i] = big_byte(i);
	req_reply(r, 200, "application/octet-stream", data, BIG_BYTES, REQ_TAKE);
}

static const struct route rows[] = {
	{ REQ_GET, "/who", on_who, 0, 0, NULL, 0, ROLE_READ, NULL },
	{ REQ_GET, "/health", on_who, 0, 0, NULL, 0, ROLE_NONE, NULL },
	{ REQ_GET, "/stop", on_who, 0, 0, NULL, 0, ROLE_ADMIN, NULL },
	{ REQ_GET, "/metrics", on_who, ROUTE_ADMIN_SIDE, 0, NULL, 0, ROLE_READ, NULL },
	{ REQ_POST, "/sum", on_sum, 0, 8u << 20, NULL, 0, ROLE_WRITE, NULL },
	{ REQ_GET, "/big", on_big, 0, 0, NULL, 0, ROLE_READ, NULL },
};

static struct tls_pair pair;

static struct tls_conf conf_of(enum tls_client client)
{
	pair = (struct tls_pair){ cert_file, key_file };
	return (struct tls_conf){ .pairs = &pair,
		.pair_count = 1,
		.client = client,
		.client_ca_file = client >= TLS_CLIENT_VERIFY ? ca_file : NULL };
}

static void serve(const struct listen_conf *listeners, size_t count, const char *trusted)
{
	struct errbuf eb;
	struct cidr c;
	struct cidr_set proxies = { 0 };
	errbuf_init(&eb);
	if (trusted) {
		CHECK(!cidr_parse(trusted, strlen(trusted), &c, &eb));
		cidr_set_add(&proxies, &c);
	}
	testteam_start(&tt, LOOPS);
	limits_default(&limits);
	limits_fill(&limits, LOOPS);
	for (unsigned i = 0; i < LOOPS; i++)
		loop_set_limits(testteam_loop(&tt, i), &limits);
	struct srv_opts opts = { .team = tt.team,
		.listeners = listeners,
		.listener_count = count,
		.trusted_proxies = &proxies,
		.routes = { rows, COUNT_OF(rows) } };
	if (srv_create(&opts, &srv, &eb)) {
		fprintf(stderr, "srv_create: %s\n", eb.text);
		exit(99);
	}
	cidr_set_release(&proxies);
	srv_serve(srv);
}

static void stop(void)
{
	srv_close_all(srv);
	testteam_stop(&tt);
	srv_free(srv);
}

static void serve_tls(const struct tls_conf *conf)
{
	struct listen_conf l = { .address = "127.0.0.1:0", .tls = conf };
	serve(&l, 1, NULL);
}

/* The answer to one request on a connection of its own; why there is none, in brackets. */
static const char *ask(size_t listener, const struct testtls_want *w, const char *request)
{
	static char text[1024];
	struct testtls t;
	testtls_open(&t, srv_address(srv, listener), w);
	char *a = t.ok ? testtls_ask(&t, request) : NULL;
	const char *body = a ? strstr(a, "\r\n\r\n") + 4 : NULL;
	if (body)
		snprintf(text, sizeof text, "%s", body);
	else
		snprintf(text, sizeof text, "(%s)", t.ok ? "no answer" : t.why);
	free(a);
	testtls_close(&t);
	return text;
}

static bool quiet(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		if (!srv_connections(srv) && !srv_requests(srv))
			return true;
		usleep(1000);
	}
	return false;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void advance(int64_t ms)
{
	for (unsigned i = 0; i < LOOPS; i++)
		testteam_run(&tt, i, nothing, NULL);
	clock_fake_advance(ms);
	team_clock_moved(tt.team);
}

/* ---- cases ---- */

static void versions(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	serve_tls(&conf);
	uint64_t v2 = metric_sum(M_TLS_1_2), v3 = metric_sum(M_TLS_1_3);
	tap_ok(strstr(ask(0, &(struct testtls_want){ .version = TLS1_2_VERSION }, GET("/who")),
	           "tls=1 admin=0 peer=-"),
	    "TLS 1.2 is served");
	tap_ok(strstr(ask(0, &(struct testtls_want){ .version = TLS1_3_VERSION }, GET("/who")),
	           "from=127.0.0.1 tls=1"),
	    "TLS 1.3 too");
	tap_ok(metric_sum(M_TLS_1_2) == v2 + 1 && metric_sum(M_TLS_1_3) == v3 + 1, "each is counted");
	uint64_t none = metric_sum(M_TLS_FAILED_COMMON);
	tap_ok(*ask(0, &(struct testtls_want){ .version = TLS1_1_VERSION }, GET("/who")) == '(',
	    "TLS 1.1 is not");
	tap_ok(*ask(0,
	           &(struct testtls_want){
	               .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA" },
	           GET("/who")) == '(',
	    "nor a suite of CBC");
	tap_ok(quiet() && metric_sum(M_TLS_FAILED_COMMON) == none + 2, "both are counted");
	stop();
}

static void alpn(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	struct testtls t;
	uint8_t frame[9];
	serve_tls(&conf);
	testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ .alpn = "\x02h2\x08http/1.1" });
	const unsigned char *chosen = NULL;
	unsigned len = 0;
	SSL_get0_alpn_selected(t.ssl, &chosen, &len);
	tap_is_mem(chosen, len, "h2", 2, "h2 is chosen where it is offered");
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	testtls_send(&t, preface, sizeof preface - 1);
	tap_ok(testtls_read(&t, frame, 9) == 9 && frame[3] == 4, "and spoken: SETTINGS come");
	testtls_close(&t);
	tap_ok(*ask(0, &(struct testtls_want){ .alpn = "\x08http/1.1" }, GET("/who")) == 'l',
	    "http/1.1 alone is spoken");
	tap_ok(*ask(0, &(struct testtls_want){ 0 }, GET("/who")) == 'l', "so it is without ALPN");
	tap_ok(strstr(ask(0, &(struct testtls_want){ .alpn = "\x04smtp" }, GET("/who")),
	           "no application protocol"),
	    "another protocol is refused with its alert");
	tap_ok(quiet(), "(quiet)");
	stop();
	conf.no_h2 = true;
	serve_tls(&conf);
	testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ .alpn = "\x02h2\x08http/1.1" });
	SSL_get0_alpn_selected(t.ssl, &chosen, &len);
	tap_is_mem(chosen, len, "http/1.1", 8, "h2 may be switched off");
	testtls_close(&t);
	stop();
}

/* A body in records of so many bytes: what OpenSSL holds back must not be waited for. */
static void body_in(struct testtls *t, size_t record)
{
	char head[128], want[64];
	uint8_t *body = malloc(BIG_BYTES);
	uint64_t sum = 0;
	size_t len = record < 100 ? 20000 : BIG_BYTES;
	for (size_t i = 0; i < len; i++) {
		body[i] = big_byte(i);
		sum = sum * 31 + body[i];
	}
	int n = snprintf(
	    head, sizeof head, "POST /sum HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
	bool ok = testtls_send(t, head, (size_t)n);
	for (size_t off = 0; off < len && ok; off += record)
		ok = testtls_send(t, body + off, len - off < record ? len - off : record);
	char *a = ok ? testtls_answer(t) : NULL;
	snprintf(want, sizeof want, "%zu %llu\n", len, (unsigned long long)sum);
	tap_is_str(a ? strstr(a, "\r\n\r\n") + 4 : "(none)", want,
	    "a body comes whole in records of %zu bytes", record);
	free(a);
	free(body);
}

static void bodies(int version)
{
	static const size_t records[] = { 1, 700, 5000, 16384 };
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	struct testtls t;
	serve_tls(&conf);
	testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ .version = version });
	for (size_t i = 0; i < COUNT_OF(records); i++)
		body_in(&t, records[i]);
	testtls_send(&t, GET("/big"), strlen(GET("/big")));
	usleep(50000); /* more than the socket takes waits */
	char *a = testtls_answer(&t), *body = a ? strstr(a, "\r\n\r\n") + 4 : NULL;
	size_t same = 0;
	while (body && same < BIG_BYTES && (uint8_t)body[same] == big_byte(same))
		same++;
	tap_is_u64(same, BIG_BYTES, "an answer goes out whole");
	free(a);
	/* Pipelined, more than one read takes. */
	size_t one = strlen(GET("/who")), many = 2000;
	char *all = malloc(one * many + 1);
	for (size_t i = 0; i < many; i++)
		memcpy(all + one * i, GET("/who"), one);
	testtls_send(&t, all, one * many);
	size_t answers = 0, had = 0, seen = 0, n;
	char *text = malloc((1 << 20) + 1);
	while (answers < many && had < 1 << 20 &&
	    SSL_read_ex(t.ssl, text + had, (1 << 20) - had, &n) == 1) {
		had += n;
		text[had] = 0;
		for (char *p; (p = strstr(text + seen, "HTTP/1.1 200")); answers++)
			seen = (size_t)(p - text) + 12;
		seen = had > seen + 11 ? had - 11 : seen; /* a half one may stand at the end */
	}
	tap_is_u64(answers, many, "pipelined requests are answered, all of them");
	free(text);
	free(all);
	testtls_close(&t);
	tap_ok(quiet(), "(quiet)");
	stop();
}

static void clients(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_REQUIRE);
	struct testtls_want with = { .cert = &agent }, without = { 0 }, wrong = { .cert = &stranger };
	static const char *const known =
	    "peer=CN=agent,O=Kymo tests cn=agent sans=2 first=spiffe://kymo/agent";
	serve_tls(&conf);
	tap_ok(strstr(ask(0, &with, GET("/who")), known),
	    "a client with a certificate is known by it: %s", ask(0, &with, GET("/who")));
	with.version = TLS1_2_VERSION;
	tap_ok(strstr(ask(0, &with, GET("/who")), known), "over TLS 1.2 too");
	with.version = 0;
	uint64_t failed = metric_sum(M_TLS_FAILED_CLIENT_CERT);
	tap_ok(*ask(0, &without, GET("/who")) == '(', "one without is refused");
	tap_ok(*ask(0, &wrong, GET("/who")) == '(', "one of another authority too");
	tap_ok(quiet() && metric_sum(M_TLS_FAILED_CLIENT_CERT) == failed + 2, "and counted");
	stop();
	conf = conf_of(TLS_CLIENT_VERIFY);
	serve_tls(&conf);
	tap_ok(strstr(ask(0, &with, GET("/who")), known), "verify: a certificate is known");
	tap_ok(strstr(ask(0, &without, GET("/who")), "peer=-"), "none is fine");
	tap_ok(*ask(0, &wrong, GET("/who")) == '(', "a wrong one is not");
	stop();
	conf = conf_of(TLS_CLIENT_ANY);
	serve_tls(&conf);
	tap_ok(strstr(ask(0, &wrong, GET("/who")), "peer=-"), "any: whose it is is not believed");
	tap_ok(*ask(0, &without, GET("/who")) == '(', "one must come");
	stop();
	conf = conf_of(TLS_CLIENT_REQUIRE);
	const char *sans[] = { "agent.example", "nobody.example" };
	conf.allowed_sans = sans;
	conf.allowed_san_count = 1;
	serve_tls(&conf);
	tap_ok(strstr(ask(0, &with, GET("/who")), known), "an allowed name is let in");
	stop();
	sans[0] = "else.example";
	serve_tls(&conf);
	tap_ok(*ask(0, &with, GET("/who")) == '(', "another one is not");
	stop();
}

/* True when the session was resumed, with its client; *loop: where the request was served. */
static bool resumes(SSL_SESSION **session, const struct testcert *cert, unsigned *loop)
{
	struct testtls t;
	testtls_open(
	    &t, srv_address(srv, 0), &(struct testtls_want){ .session = *session, .cert = cert });
	char *a = t.ok ? testtls_ask(&t, GET("/who")) : NULL;
	const char *at = a ? strstr(a, "loop=") : NULL;
	*loop = at ? (unsigned)strtoul(at + 5, NULL, 10) : 99;
	bool yes = a && SSL_session_reused(t.ssl) && strstr(a, "cn=agent");
	if (t.session) {
		SSL_SESSION_free(*session);
		*session = t.session;
		t.session = NULL;
	}
	free(a);
	testtls_close(&t);
	return yes;
}

static void sessions(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_VERIFY);
	struct listen_conf l = { .address = "127.0.0.1:0", .tls = &conf };
	SSL_SESSION *session = NULL;
	unsigned loop, seen = 0, resumed = 0, tries = 0;
	serve_tls(&conf);
	tap_ok(!resumes(&session, &agent, &loop) && session, "a first connection gets a ticket");
	for (; seen != 3 && tries < 200; tries++) { /* the kernel chooses the loop */
		resumed += resumes(&session, &agent, &loop);
		seen |= loop < LOOPS ? 1u << loop : 0;
	}
	tap_ok(seen == 3 && resumed == tries,
	    "it is resumed on all loops, and who the client is is known without its certificate (%u of %u)",
	    resumed, tries);
	struct errbuf eb;
	const char *missing;
	errbuf_init(&eb);
	tap_ok(!srv_change(srv, &l, 1, NULL, &missing, &eb) && !missing, "the listener is changed");
	tap_ok(resumes(&session, &agent, &loop), "the ticket opens behind a change");
	advance(TLS_KEY_S * 1000ll + 1);
	/* A client goes by the real clock: to it this ticket is young. */
	tap_ok(resumes(&session, &agent, &loop), "and with the keys of the next period");
	advance(2 * TLS_KEY_S * 1000ll + 1);
	tap_ok(!resumes(&session, &agent, &loop), "not with those of the one after");
	tap_ok(resumes(&session, &agent, &loop), "its successor does");
	struct listen_conf plain = { .address = l.address };
	tap_ok(srv_change(srv, &plain, 1, NULL, &missing, &eb) && strstr(eb.text, "would be plain"),
	    "it does not become plain: %s", eb.text);
	conf = conf_of(TLS_CLIENT_REQUIRE);
	tap_ok(!srv_change(srv, &l, 1, NULL, &missing, &eb), "other clients are let in");
	tap_ok(!resumes(&session, &agent, &loop) && loop < LOOPS,
	    "so no ticket opens, a whole handshake follows");
	SSL_SESSION_free(session);
	tap_ok(quiet(), "(quiet)");
	stop();
}

static long serial_of(const struct testtls *t)
{
	X509 *x = SSL_get0_peer_certificate(t->ssl);
	return x ? ASN1_INTEGER_get(X509_get0_serialNumber(x)) : 0;
}

static void renewal(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	struct testcert_want w = { .name = "localhost", .sans = "DNS:localhost", .days = 30 };
	struct testcert fresh = testcert_make(&w, &ca);
	struct errbuf eb;
	struct testtls old, t;
	struct srv_renewal now = { .changed = 99 };
	serve_tls(&conf);
	errbuf_init(&eb);
	testtls_open(&old, srv_address(srv, 0), &(struct testtls_want){ 0 });
	long first = serial_of(&old);
	tap_ok(!srv_renew(srv, &now, &eb) && now.changed == 0,
	    "files that are the same are left alone");
	testcert_write(&fresh, cert_file, NULL); /* the key comes later */
	tap_ok(srv_renew(srv, &now, &eb) && now.changed == 0 && strstr(eb.text, "not the key"),
	    "a certificate without its key is refused: %s", eb.text);
	errbuf_init(&eb);
	tap_ok(srv_renew(srv, &now, &eb) && now.changed == 0, "at each look until it is mended");
	errbuf_init(&eb);
	testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ 0 });
	tap_ok(t.ok && serial_of(&t) == first, "and what was there goes on");
	testtls_close(&t);
	testcert_write(&fresh, NULL, key_file);
	tap_ok(!srv_renew(srv, &now, &eb) && now.changed == 1 && now.ends_s > 0,
	    "with its key it is taken");
	testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ 0 });
	tap_ok(t.ok && serial_of(&t) != first, "a new connection gets the new certificate");
	testtls_close(&t);
	char *a = testtls_ask(&old, GET("/who"));
	tap_ok(a && !strncmp(a, "HTTP/1.1 200", 12), "an older connection goes on");
	free(a);
	testtls_close(&old);
	FILE *f = fopen(cert_file, "w");
	fputs("nonsense\n", f);
	fclose(f);
	tap_ok(srv_renew(srv, &now, &eb) && strstr(eb.text, "not a certificate in PEM form") &&
	        strstr(eb.text, cert_file),
	    "nonsense is refused: %s", eb.text);
	tap_ok(*ask(0, &(struct testtls_want){ 0 }, GET("/who")) == 'l', "and the server serves");
	testcert_write(&server, cert_file, key_file);
	testcert_release(&fresh);
	tap_ok(quiet(), "(quiet)");
	stop();
}

static void names(void)
{
	struct tls_pair pairs[] = { { cert_file, key_file }, { rsa_cert_file, rsa_key_file } };
	struct tls_conf conf = { .pairs = pairs, .pair_count = 2 };
	struct testtls t;
	serve_tls(&conf);
	static const struct {
		const char *host;
		int key;
	} want[] = { { "localhost", EVP_PKEY_EC }, { "rsa.example", EVP_PKEY_RSA },
		{ "unknown.example", EVP_PKEY_EC }, { NULL, EVP_PKEY_EC } };
	for (size_t i = 0; i < COUNT_OF(want); i++) {
		testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ .host = want[i].host });
		X509 *x = t.ok ? SSL_get0_peer_certificate(t.ssl) : NULL;
		tap_ok(x && EVP_PKEY_get_base_id(X509_get0_pubkey(x)) == want[i].key,
		    "the certificate is that of %s", want[i].host ? want[i].host : "(no name)");
		testtls_close(&t);
	}
	stop();
}

static void nonsense(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	serve_tls(&conf);
	uint64_t failed = metric_sum(M_TLS_FAILED_NOT_TLS);
	int fd = httpcli_dial(srv_address(srv, 0));
	httpcli_puts(fd, GET("/who"));
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	tap_ok(a.status == 400, "plain HTTP is told to use HTTPS");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(srv_address(srv, 0));
	httpcli_send(fd, "\x16\x03\x01\x40\x00garbage garbage", 20);
	char c[64];
	shutdown(fd, SHUT_WR);
	while (httpcli_some(fd, c, sizeof c, 60000) > 0)
		;
	tap_ok(true, "garbage is cut off");
	close(fd);
	tap_ok(quiet() && metric_sum(M_TLS_FAILED_NOT_TLS) == failed + 1, "plain HTTP is counted");
	uint64_t left = metric_sum(M_TLS_FAILED_LEFT);
	fd = httpcli_dial(srv_address(srv, 0));
	close(fd);
	tap_ok(quiet() && metric_sum(M_TLS_FAILED_LEFT) >= left + 1, "who only connects is counted");
	/* Deadlines: nothing at all; a hello that stops; a request that stops. */
	uint64_t late = metric_sum(M_TLS_FAILED_LATE);
	int silent = httpcli_dial(srv_address(srv, 0)), slow = httpcli_dial(srv_address(srv, 0));
	httpcli_send(slow, "\x16\x03\x01", 3);
	for (unsigned i = 0; i < 20000 && srv_connections(srv) < 2; i++)
		usleep(1000);
	usleep(20000);
	advance(LIMIT_HANDSHAKE_MS - 1000);
	tap_is_u64(srv_connections(srv), 2, "a handshake has its time");
	advance(2000);
	tap_ok(quiet(), "and no more");
	tap_is_u64(metric_sum(M_TLS_FAILED_LATE), late + 2, "which is counted");
	close(silent);
	close(slow);
	stop();
}

/* So many KeyUpdates, then a request. Is it answered? */
static bool answers_behind(unsigned updates)
{
	struct testtls t;
	testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ .version = TLS1_3_VERSION });
	for (unsigned i = 0; i < updates; i++)
		if (SSL_key_update(t.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
		    SSL_do_handshake(t.ssl) != 1)
			break; /* the server has ended it */
	char *a = testtls_ask(&t, GET("/who"));
	bool yes = a;
	free(a);
	testtls_close(&t);
	return yes;
}

/* Records that carry no data cost as much as others, and no turn counts them. */
static void chatter(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	serve_tls(&conf);
	tap_ok(answers_behind(20), "a client changes its keys now and then");
	tap_ok(!answers_behind(2000), "one that does nothing else is cut off");
	tap_ok(quiet(), "(quiet)");
	stop();
}

/* A client that has said goodbye still gets its answer, and the server's goodbye. */
static void half_closed(int version)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	struct testtls t;
	serve_tls(&conf);
	testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ .version = version });
	testtls_send(&t, GET("/big"), strlen(GET("/big")));
	SSL_shutdown(t.ssl);
	char *a = testtls_answer(&t);
	tap_ok(a && !strncmp(a, "HTTP/1.1 200", 12), "who has said goodbye gets its answer");
	char c;
	tap_ok(testtls_read(&t, &c, 1) == 0 && SSL_get_shutdown(t.ssl) & SSL_RECEIVED_SHUTDOWN,
	    "and the server's goodbye");
	free(a);
	testtls_close(&t);
	tap_ok(quiet(), "(quiet)");
	stop();
}

/* Many handshakes at once: all are done, and others are answered meanwhile. */
static void storm(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	struct tls_pair slow = { rsa_cert_file, rsa_key_file };
	conf.pairs = &slow;
	enum {
		MANY = 100
	};
	int fds[MANY];
	serve_tls(&conf);
	for (unsigned i = 0; i < MANY; i++)
		fds[i] = httpcli_dial(srv_address(srv, 0));
	struct testtls t;
	testtls_open(&t, srv_address(srv, 0), &(struct testtls_want){ 0 });
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl[MANY];
	for (unsigned i = 0; i < MANY; i++) { /* hellos of all, then the rest of all */
		ssl[i] = SSL_new(ctx);
		SSL_set_fd(ssl[i], fds[i]);
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
		SSL_set_connect_state(ssl[i]);
		SSL_do_handshake(ssl[i]);
	}
	char *a = testtls_ask(&t, GET("/who"));
	tap_ok(a, "a connection is answered while %d handshakes wait", MANY);
	free(a);
	unsigned done = 0;
	for (unsigned i = 0; i < MANY; i++) {
		fcntl(fds[i], F_SETFL, 0);
		done += SSL_do_handshake(ssl[i]) == 1;
		SSL_free(ssl[i]);
		close(fds[i]);
	}
	SSL_CTX_free(ctx);
	tap_is_u64(done, MANY, "all of them are done");
	testtls_close(&t);
	tap_ok(quiet(), "(quiet)");
	stop();
}

/* An authority, and the first half of another one, as a full disk leaves it. */
static void write_cut(void)
{
	FILE *f = fopen(cut_file, "w");
	PEM_write_X509(f, ca.cert);
	PEM_write_X509(f, other_ca.cert);
	long len = ftell(f);
	fclose(f);
	CHECK(len > 0 && !truncate(cut_file, len * 3 / 4));
}

static void refused(const char *what, const struct tls_conf *c, const char *says)
{
	struct tls *t = NULL;
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = tls_create(c, &t, &eb);
	tap_ok(e && strstr(eb.text, says), "%s: %s", what, eb.text);
	if (!e)
		tls_drop(t);
}

static void configurations(void)
{
	struct tls_conf c = conf_of(TLS_CLIENT_NONE);
	struct tls_pair p = { cert_file, "/nowhere/key.pem" };
	refused("nothing", &(struct tls_conf){ 0 }, "cert_file and key_file");
	c.pairs = &p;
	refused("no key file", &c, "key_file \"/nowhere/key.pem\": No such file");
	p = (struct tls_pair){ dir, key_file };
	refused("a directory", &c, "not a file");
	p = (struct tls_pair){ key_file, key_file };
	refused("a key for a certificate", &c, "not a certificate");
	p = (struct tls_pair){ cert_file, cert_file };
	refused("a certificate for a key", &c, "not a private key");
	p = (struct tls_pair){ cert_file, rsa_key_file };
	refused("another's key", &c, "not the key of the certificate");
	c = conf_of(TLS_CLIENT_REQUIRE);
	c.client_ca_file = NULL;
	refused("no authorities", &c, "client_ca_file");
	c.client_ca_file = key_file;
	refused("a key for authorities", &c, "no certificate in PEM form");
	c.client_ca_file = cut_file;
	refused("authorities of which one is cut off", &c, "behind certificate 1 is none");
	c = conf_of(TLS_CLIENT_NONE);
	c.client_ca_file = ca_file;
	refused("authorities without a use", &c, "not asked for certificates");
	c = conf_of(TLS_CLIENT_NONE);
	c.ciphers = "ROT13";
	refused("an unknown cipher", &c, "cipher_suites \"ROT13\"");
	c = conf_of(TLS_CLIENT_NONE);
	c.groups = "P-1";
	refused("an unknown curve", &c, "curve_preferences \"P-1\"");
	c = conf_of(TLS_CLIENT_NONE);
	c.least = TLS_VERSION_1_3;
	c.most = TLS_VERSION_1_2;
	refused("versions upside down", &c, "newer");
}

/* ---- proxies ---- */

static struct cidr_set set_of(const char *text)
{
	struct cidr_set s = { 0 };
	struct cidr c;
	CHECK(!cidr_parse(text, strlen(text), &c, NULL));
	cidr_set_add(&s, &c);
	return s;
}

static const char *ask_plain(size_t listener, const char *bytes)
{
	static char text[1024];
	int fd = httpcli_dial(srv_address(srv, listener));
	httpcli_puts(fd, bytes);
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	snprintf(text, sizeof text, "%d %s", a.status, a.body ? a.body : "");
	httpcli_free(&a);
	close(fd);
	return text;
}

#define V1 "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"

static void proxy_headers(void)
{
	struct tls_conf conf = conf_of(TLS_CLIENT_NONE);
	struct cidr_set from = set_of("127.0.0.0/8"), other = set_of("10.0.0.0/8");
	struct listen_conf l[] = {
		{ .address = "127.0.0.1:0", .proxy_from = from },
		{ .address = "127.0.0.1:0", .proxy_from = from, .tls = &conf },
		{ .address = "127.0.0.1:0", .proxy_from = other },
	};
	serve(l, COUNT_OF(l), NULL);
	cidr_set_release(&from);
	cidr_set_release(&other);
	tap_ok(strstr(ask_plain(0, V1 GET("/who")), "from=192.0.2.7 tls=0"),
	    "a header of version 1 names the client");
	tap_ok(strstr(ask_plain(0, "PROXY UNKNOWN\r\n" GET("/who")), "from=127.0.0.1"),
	    "UNKNOWN leaves the proxy");
	static const char v2[] =
	    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\x09\xc6\x33\x64\1\x12\x67\x01\xbb";
	struct testtls_want w = { .before = v2, .before_len = sizeof v2 - 1 };
	tap_ok(strstr(ask(1, &w, GET("/who")), "from=192.0.2.9 tls=1"),
	    "one of version 2 comes before TLS");
	uint64_t refused_before = metric_sum(M_PROXY_REFUSED);
	tap_ok(!strncmp(ask_plain(0, GET("/who")), "0 ", 2), "without a header it is closed");
	tap_ok(!strncmp(ask_plain(0, "PROXY TCP4 x y 1 2\r\n" GET("/who")), "0 ", 2),
	    "with a wrong one too");
	tap_is_u64(metric_sum(M_PROXY_REFUSED), refused_before + 2, "and counted");
	tap_ok(!strncmp(ask_plain(2, V1 GET("/who")), "400", 3),
	    "from an address that is not trusted a header is no request");
	/* Byte by byte. */
	int fd = httpcli_dial(srv_address(srv, 0));
	for (const char *p = V1 GET("/who"); *p; p++) {
		httpcli_send(fd, p, 1);
		usleep(200);
	}
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	tap_ok(a.status == 200 && strstr(a.body, "192.0.2.7"), "a header may come in pieces");
	httpcli_free(&a);
	close(fd);
	tap_ok(quiet(), "(quiet)");
	/* Its time. */
	fd = httpcli_dial(srv_address(srv, 0));
	httpcli_puts(fd, "PROXY TC");
	for (unsigned i = 0; i < 20000 && !srv_connections(srv); i++)
		usleep(1000);
	usleep(20000);
	advance(LIMIT_HEADER_MS + 1000);
	tap_ok(quiet(), "a header that does not come ends its connection");
	close(fd);
	stop();
}

/* One address may have 3 connections: of clients, not of the proxy in front of them. */
static void proxy_shares(void)
{
	struct cidr_set from = set_of("127.0.0.0/8");
	struct listen_conf l = { .address = "127.0.0.1:0", .proxy_from = from };
	int fds[12];
	char head[128];
	unsigned answered = 0, closed = 0;
	serve(&l, 1, NULL);
	cidr_set_release(&from);
	limits.http_connections_address = 3;
	for (unsigned i = 0; i < 12; i++) {
		snprintf(head, sizeof head, "PROXY TCP4 192.0.2.%u 198.51.100.1 4711 443\r\n%s",
		    i < 6 ? i : 99, GET("/who"));
		fds[i] = httpcli_dial(srv_address(srv, 0));
		httpcli_puts(fds[i], head);
		struct httpcli_answer a = httpcli_read(fds[i], false, 60000);
		answered += i < 6 && a.status == 200;
		closed += i >= 6 && a.status == 0;
		httpcli_free(&a);
	}
	tap_is_u64(answered, 6, "a proxy has more connections than an address may");
	tap_is_u64(closed, 3, "a client behind it has not");
	for (unsigned i = 0; i < 12; i++)
		close(fds[i]);
	tap_ok(quiet() && !limit_conns(), "all are given back");
	stop();
}

static const char *behind(const char *fields)
{
	char text[1024];
	snprintf(text, sizeof text, "GET /who HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
	return strstr(ask_plain(0, text), "from=") + 5;
}

static void forwarded(void)
{
	static const struct {
		const char *fields, *from;
	} t[] = {
		{ "", "127.0.0.1" },
		{ "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1" },
		{ "X-Forwarded-For: 9.9.9.9, 192.0.2.1\r\n", "192.0.2.1" },
		{ "X-Forwarded-For: 9.9.9.9, 192.0.2.1, 127.0.0.5\r\n", "192.0.2.1" },
		{ "X-Forwarded-For: 9.9.9.9, 192.0.2.1\r\nX-Forwarded-For: 127.0.0.5\r\n",
		    "192.0.2.1" },
		{ "X-Forwarded-For: 127.0.0.4,127.0.0.5\r\n", "127.0.0.4" },
		{ "X-Forwarded-For: 9.9.9.9, unknown\r\n", "127.0.0.1" },
		{ "X-Forwarded-For: 9.9.9.9, junk, 127.0.0.5\r\n", "127.0.0.5" },
		{ "X-Forwarded-For:\r\n", "127.0.0.1" },
		{ "X-Forwarded-For: 192.0.2.1:4711\r\n", "192.0.2.1" },
		{ "X-Forwarded-For: [2001:db8::1]:4711\r\n", "2001:db8::1" },
		{ "X-Forwarded-For: 2001:db8::2\r\n", "2001:db8::2" },
		{ "Forwarded: for=192.0.2.43;proto=http, for=127.0.0.7\r\n", "192.0.2.43" },
		{ "Forwarded: by=1.1.1.1; For=\"[2001:db8:cafe::17]:4711\"\r\n", "2001:db8:cafe::17" },
		{ "Forwarded: for=_hidden\r\n", "127.0.0.1" },
		{ "Forwarded: for=9.9.9.9\r\nX-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1" },
	};
	struct listen_conf l = { .address = "127.0.0.1:0" };
	serve(&l, 1, "127.0.0.0/8");
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		char want[128];
		const char *from = behind(t[i].fields);
		snprintf(want, sizeof want, "%s ", t[i].from);
		tap_ok(!strncmp(from, want, strlen(want)), "%.60s is %s: %.*s", t[i].fields,
		    t[i].from, (int)strcspn(from, " "), from);
	}
	tap_ok(quiet(), "(quiet)");
	stop();
	serve(&l, 1, "10.0.0.0/8");
	tap_ok(!strncmp(behind("X-Forwarded-For: 192.0.2.1\r\n"), "127.0.0.1 ", 10),
	    "who is not trusted names nobody");
	stop();
}

static void administration(void)
{
	struct listen_conf l[] = {
		{ .address = "127.0.0.1:0" },
		{ .address = "127.0.0.1:0", .admin = true },
	};
	serve(l, 2, NULL);
	tap_ok(strstr(ask_plain(0, GET("/who")), "200"), "what is for all answers for all");
	tap_ok(
	    strstr(ask_plain(1, GET("/who")), "404 page not found: this path answers on the other"),
	    "not where administration is: %s", ask_plain(1, GET("/who")));
	tap_ok(strstr(ask_plain(1, GET("/stop")), "200") &&
	        strstr(ask_plain(1, GET("/stop")), "admin=1"),
	    "there administration answers");
	tap_ok(strstr(ask_plain(0, GET("/stop")), "on the listener for administration only"),
	    "and nowhere else");
	tap_ok(strstr(ask_plain(1, GET("/metrics")), "200") &&
	        strstr(ask_plain(0, GET("/metrics")), "404"),
	    "so do rows that say so");
	tap_ok(strstr(ask_plain(0, GET("/health")), "200") &&
	        strstr(ask_plain(1, GET("/health")), "200"),
	    "rows without a role answer on both");
	stop();
	serve(l, 1, NULL);
	tap_ok(strstr(ask_plain(0, GET("/stop")), "200") &&
	        strstr(ask_plain(0, GET("/metrics")), "200"),
	    "without such a listener everything answers");
	stop();
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	clock_fake(1700000000000);
	dir = testlib_tmpdir("tls");
	cert_file = testlib_path(dir, "tls.crt");
	key_file = testlib_path(dir, "tls.key");
	ca_file = testlib_path(dir, "ca.crt");
	cut_file = testlib_path(dir, "cut.crt");
	rsa_cert_file = testlib_path(dir, "rsa.crt");
	rsa_key_file = testlib_path(dir, "rsa.key");
	ca = testcert_make(&(struct testcert_want){ .name = "CA", .ca = true, .days = 30 }, NULL);
	other_ca =
	    testcert_make(&(struct testcert_want){ .name = "Other", .ca = true, .days = 30 }, NULL);
	server = testcert_make(
	    &(struct testcert_want){
	        .name = "localhost", .sans = "DNS:localhost,IP:127.0.0.1", .days = 30 },
	    &ca);
	rsa = testcert_make(
	    &(struct testcert_want){
	        .name = "rsa", .sans = "DNS:rsa.example", .rsa = true, .days = 30 },
	    &ca);
	agent = testcert_make(
	    &(struct testcert_want){
	        .name = "agent", .sans = "URI:spiffe://kymo/agent,DNS:agent.example", .days = 30 },
	    &ca);
	stranger = testcert_make(&(struct testcert_want){ .name = "agent", .days = 30 }, &other_ca);
	testcert_write(&server, cert_file, key_file);
	testcert_write(&ca, ca_file, NULL);
	write_cut();
	testcert_write(&rsa, rsa_cert_file, rsa_key_file);
	versions();
	alpn();
	bodies(TLS1_2_VERSION);
	bodies(TLS1_3_VERSION);
	clients();
	sessions();
	renewal();
	names();
	nonsense();
	storm();
	chatter();
	half_closed(TLS1_2_VERSION);
	half_closed(TLS1_3_VERSION);
	configurations();
	proxy_headers();
	proxy_shares();
	forwarded();
	administration();
	testlib_rmtree(dir);
	struct testcert *all[] = { &ca, &other_ca, &server, &rsa, &agent, &stranger };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		testcert_release(all[i]);
	char *paths[] = { dir, cert_file, key_file, ca_file, cut_file, rsa_cert_file, rsa_key_file };
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		free(paths[i]);
	return tap_done();
}
