/*
 * What it costs to ask a request who it is (net/gate): nobody set up, a token, a token and
 * X-Scope-OrgID; and what a worker spends on the signature of a token that was not seen before.
 *
 *   b_porter [times]: nanoseconds each. For instructions: valgrind --tool=callgrind.
 */
#include "net/gate/porter.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "net/gate/bearer.h"
#include "tests/lib/testteam.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define B64   sodium_base64_VARIANT_URLSAFE_NO_PADDING

static struct testteam tt;
static struct porter *porter;
static unsigned long times = 1000000;
static uint8_t pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
static char token[2048];

static void nothing(struct req *r)
{
	(void)r;
}

static const struct route route = {
	.methods = REQ_POST, .path = "/api/v1/write", .handler = nothing, .role = ROLE_WRITE
};

/* The head of a Prometheus that sends. */
static struct req_field fields[] = {
	{ "host", "kymo:9470", 4, 9 },
	{ "user-agent", "Prometheus/3.5.0", 10, 16 },
	{ "content-length", "43217", 14, 5 },
	{ "accept-encoding", "gzip", 15, 4 },
	{ "content-encoding", "snappy", 16, 6 },
	{ "content-type", "application/x-protobuf", 12, 22 },
	{ "x-prometheus-remote-write-version", "0.1.0", 33, 5 },
	{ "authorization", "Bearer " TOKEN, 13, 7 + 32 },
	{ "x-scope-orgid", "acme", 13, 4 },
};

static uint32_t find(void *arg, const char *name, size_t len)
{
	(void)arg, (void)name, (void)len;
	return 1;
}

static void make(
    void *arg, const char *name, void (*done)(void *own, enum err e, const char *text), void *own)
{
	(void)arg, (void)name, (void)done, (void)own;
}

static void fault(void *arg, const char *row, const char *text)
{
	(void)arg;
	printf("%s: %s\n", row, text);
}

/* ---- a token of an issuer ---- */

static void make_token(void)
{
	char part[512];
	uint8_t sig[crypto_sign_BYTES];
	const char *head = "{\"alg\":\"EdDSA\"}";
	crypto_sign_keypair(pk, sk);
	sodium_bin2base64(token, sizeof(token), (const uint8_t *)head, strlen(head), B64);
	int n = snprintf(part, sizeof(part),
	    "{\"iss\":\"https://idp\",\"aud\":\"kymo\",\"exp\":%lld,\"sub\":\"agent\",\"org\":\"acme\",\"roles\":[\"write\"]}",
	    (long long)(clock_wall_ms() / 1000 + 3600));
	strncat(token, ".", sizeof(token) - strlen(token) - 1);
	sodium_bin2base64(token + strlen(token), sizeof(token) - strlen(token),
	    (const uint8_t *)part, (size_t)n, B64);
	crypto_sign_detached(sig, NULL, (const uint8_t *)token, strlen(token), sk);
	strncat(token, ".", sizeof(token) - strlen(token) - 1);
	sodium_bin2base64(
	    token + strlen(token), sizeof(token) - strlen(token), sig, sizeof(sig), B64);
}

/* ---- asking ---- */

struct asking {
	const char *what;
	size_t field_count;
	unsigned long times;
};

static void ask(void *arg)
{
	const struct asking *a = arg;
	struct req r = { .loop = loop_here(),
		.route = &route,
		.fields = fields,
		.field_count = a->field_count,
		.path = "/" };
	unsigned long went = 0;
	arena_init(&r.arena, 4096);
	uint64_t t = clock_real_mono_ns();
	for (unsigned long i = 0; i < a->times; i++) {
		went += gate_ask(&r) == REQ_GO;
		if (!(i & 1023))
			arena_reset(&r.arena, 1 << 20);
	}
	t = clock_real_mono_ns() - t;
	printf("%-40s %8.1f ns%s\n", a->what, (double)t / (double)a->times,
	    went == a->times ? "" : " (not all went in)");
	arena_release(&r.arena);
}

static void measure(const char *what, size_t field_count)
{
	struct asking a = { what, field_count, times };
	testteam_run(&tt, 0, ask, &a);
}

static struct ident_set *use(const struct ident_conf *c)
{
	struct ident_set *s = NULL;
	CHECK(!ident_set_make(c, &s, fault, NULL));
	porter_use(porter, s);
	return s;
}

/* What a worker does once for each token. */
static void measure_signature(void)
{
	static const char *const aud[] = { "kymo" };
	struct ident_oidc oidc = { .issuer = "https://idp",
		.audiences = aud,
		.audiences_count = 1,
		.tenant_claim = "org",
		.roles_claim = "roles" };
	struct ident_set *s = NULL;
	struct jwk_set *set;
	struct errbuf eb;
	char x[64], json[256];
	size_t issuer;
	unsigned long n = times / 100 + 1, right = 0;
	errbuf_init(&eb);
	make_token();
	sodium_bin2base64(x, sizeof(x), pk, sizeof(pk), B64);
	snprintf(json, sizeof(json),
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}]}", x);
	CHECK(!jwk_set_parse(json, strlen(json), &set, &eb));
	CHECK(!ident_set_make(
	    &(struct ident_conf){ .issuers = &oidc, .issuers_count = 1 }, &s, fault, NULL));
	struct keyring *ring = keyring_make(set);
	struct issuer_book *bare = issuer_book_make(s), *book = issuer_book_with(bare, &ring);
	uint64_t t = clock_real_mono_ns();
	for (unsigned long i = 0; i < n; i++) {
		struct bearer *b = NULL;
		right += bearer_check(book, token, strlen(token), clock_wall_ms(), &b, &issuer,
		             &eb) == JWT_FINE;
		bearer_free(b);
	}
	t = clock_real_mono_ns() - t;
	printf("%-40s %8.1f ns%s\n", "a worker: a token's signature (Ed25519)",
	    (double)t / (double)n, right == n ? "" : " (wrong)");
	issuer_book_drop(book);
	issuer_book_drop(bare);
	keyring_drop(ring);
	ident_set_free(s);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		times = strtoul(argv[1], NULL, 10);
	CHECK(sodium_init() >= 0);
	log_setup(LOG_LEVEL_NONE, false);
	testteam_start(&tt, 1);
	struct porter_opts o = {
		.team = tt.team, .pool = tt.pool, .book = { .find = find, .make = make }
	};
	CHECK(!porter_create(&o, &porter));
	measure("nobody set up", 9);
	struct ident_token *t = calloc(1000, sizeof(*t));
	static char names[1000][16], hashes[1000][IDENT_TOKEN_TEXT_BYTES], text[64];
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(names[i], sizeof(names[i]), "n%u", i);
		snprintf(text, sizeof(text), "%s%s", TOKEN, i == 500 ? "" : names[i]);
		ident_token_text(text, strlen(text), hashes[i]);
		t[i] = (struct ident_token){
			.grant = { .name = names[i], .roles = ROLE_WRITE, .tenant = "acme" },
			.token_hash = hashes[i]
		};
	}
	struct ident_set *s = use(&(struct ident_conf){ .tokens = t, .tokens_count = 1000 });
	measure("one of 1,000 tokens", 8);
	measure("and X-Scope-OrgID", 9);
	porter_use(porter, NULL);
	ident_set_free(s);
	free(t);
	measure_signature();
	porter_free(porter);
	testteam_stop(&tt);
	return 0;
}
