/*
 * Keys of issuers over time, with a clock and a client of the test's own: discovery, renewal, an
 * issuer that is away, bounds of what we ask it.
 */
#include "net/gate/issuers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/metric.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

static struct testteam tt;
static struct issuers *is;
static unsigned begun, changes, canceled;

/* ---- the client: at most one fetch at a time is under way here ---- */

static struct {
	bool busy;
	char url[256];
	void (*done)(void *own, int status, const char *body, size_t len, const char *text);
	void *own;
} fetch;
static bool no_client;

static void *fetch_begin(void *arg, const char *url,
    void (*done)(void *own, int status, const char *body, size_t len, const char *text), void *own)
{
	(void)arg;
	CHECK(!fetch.busy);
	if (no_client)
		return NULL;
	begun++;
	fetch.busy = true;
	snprintf(fetch.url, sizeof(fetch.url), "%s", url);
	fetch.done = done;
	fetch.own = own;
	return &fetch;
}

static void fetch_cancel(void *arg, void *handle)
{
	(void)arg, (void)handle;
	canceled++;
	fetch.busy = false;
}

static void changed(void *arg)
{
	(void)arg;
	changes++;
}

/* ---- on the loop ---- */

struct reply {
	int status;
	const char *body, *text;
};

static void reply_here(void *arg)
{
	const struct reply *r = arg;
	CHECK(fetch.busy);
	fetch.busy = false;
	fetch.done(fetch.own, r->status, r->body, r->body ? strlen(r->body) : 0, r->text);
}

static void reply(int status, const char *body, const char *text)
{
	struct reply r = { status, body, text };
	testteam_run(&tt, 0, reply_here, &r);
}

#define KEYS(kid)                                                                                  \
 "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" kid                                  \
 "\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"
#define FOUND(issuer, url) "{\"issuer\":\"" issuer "\",\"jwks_uri\":\"" url "\"}"

struct seen_now {
	bool book, keys;
	char kid[16];
	uint64_t mark, version;
	enum issuers_answer want;
};

static void see_here(void *arg)
{
	struct seen_now *s = arg;
	struct issuer_book *b = issuers_book(is);
	memset(s, 0, sizeof(*s));
	s->book = b;
	s->keys = b && b->pages[0].keys;
	if (s->keys && b->pages[0].keys->set->count)
		snprintf(s->kid, sizeof(s->kid), "%s", b->pages[0].keys->set->keys[0].kid);
	s->mark = issuers_mark(is);
	s->version = issuers_version(is);
}

static struct seen_now see(void)
{
	struct seen_now s;
	testteam_run(&tt, 0, see_here, &s);
	return s;
}

static void want_here(void *arg)
{
	struct seen_now *s = arg;
	s->want = issuers_want(is, 0, s->mark);
}

/* A token that comes now names a key that is not there. */
static enum issuers_answer want(uint64_t mark)
{
	struct seen_now s = { .mark = mark };
	testteam_run(&tt, 0, want_here, &s);
	return s.want;
}

static void use_here(void *arg)
{
	issuers_use(is, arg);
}

static void use(const struct ident_set *set)
{
	testteam_run(&tt, 0, use_here, (void *)(uintptr_t)set);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void advance(int64_t ms)
{
	testteam_run(&tt, 0, nothing, NULL);
	clock_fake_advance(ms);
	team_clock_moved(tt.team);
	testteam_run(&tt, 0, nothing, NULL);
}

static void fault(void *arg, const char *row, const char *text)
{
	(void)arg;
	printf("# %s: %s\n", row, text);
}

static struct ident_set *set_of(const char *issuer, const char *jwks_url)
{
	static const char *const aud[] = { "kymo" };
	struct ident_oidc o = { .grant = { .roles = ROLE_READ },
		.issuer = issuer,
		.audiences = aud,
		.audiences_count = 1,
		.jwks_url = jwks_url };
	struct ident_set *s = NULL;
	CHECK(!ident_set_make(
	    &(struct ident_conf){ .issuers = &o, .issuers_count = 1 }, &s, fault, NULL));
	return s;
}

static void create_here(void *arg)
{
	static const struct issuers_fetch f = { .begin = fetch_begin, .cancel = fetch_cancel };
	(void)arg;
	is = issuers_create(loop_here(), &f, changed, NULL);
}

static void free_here(void *arg)
{
	(void)arg;
	issuers_free(is);
}

/* ---- cases ---- */

static void discovery(void)
{
	static const struct {
		const char *body, *what;
	} bad[] = {
		{ "", "no JSON" },
		{ "[1]", "no object" },
		{ FOUND("https://other", "https://idp/keys"), "another issuer" },
		{ FOUND("https://idp/", "https://idp/keys"), "almost the same issuer" },
		{ "{\"issuer\":\"https://idp\"}", "no jwks_uri" },
		{ FOUND("https://idp", "http://idp/keys"), "keys that are not fetched over TLS" },
	};
	struct ident_set *s = set_of("https://idp", NULL);
	use(s);
	tap_is_str(fetch.url, "https://idp/.well-known/openid-configuration",
	    "at first it is asked where its keys are");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reply(200, bad[i].body, NULL);
		tap_ok(!fetch.busy && !see().keys, "refused: %s", bad[i].what);
		advance(ISSUERS_RETRY_MAX);
		tap_ok(fetch.busy, "and asked again");
	}
	tap_ok(issuer_name_like("https://idp/", "https://idp") &&
	        !issuer_name_like("https://idp/a", "https://idp"),
	    "a slash at the end is told apart from another name");
	reply(200, FOUND("https://idp", "https://idp/keys"), NULL);
	tap_is_str(fetch.url, "https://idp/keys", "then its keys are fetched");
	unsigned was = changes;
	reply(200, KEYS("one"), NULL);
	tap_is_str(see().kid, "one", "and are there");
	tap_is_u64(changes - was, 1, "who waits for them is told");
	use(NULL);
	ident_set_free(s);
}

static void renewal(void)
{
	struct ident_set *s = set_of("https://idp", "https://idp/jwks");
	use(s);
	tap_is_str(fetch.url, "https://idp/jwks", "with jwks_url nothing is asked before");
	reply(503, "", NULL);
	advance(ISSUERS_RETRY_MS);
	tap_ok(fetch.busy, "after a failure it is asked again soon");
	reply(200, KEYS("one"), NULL);
	uint64_t version = see().version;
	advance(ISSUERS_RENEW_MS / 2);
	tap_ok(!fetch.busy, "keys that came are not asked for at once");
	advance(ISSUERS_RENEW_MS / 2);
	tap_ok(fetch.busy, "but ahead of time");
	reply(200, "{\"keys\":[]}", NULL);
	tap_ok(see().keys && see().version == version, "a set without a key takes none back");
	advance(ISSUERS_RETRY_MAX);
	reply(200, "{\"keys\":[{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AA\"}]}", NULL);
	tap_ok(
	    see().keys && see().version == version, "neither does one of kinds that are not known");
	advance(ISSUERS_RETRY_MAX);
	reply(200, KEYS("one"), NULL);
	tap_is_u64(see().version, version, "the same keys change nothing");
	advance(ISSUERS_RENEW_MS);
	reply(200, KEYS("two"), NULL);
	tap_ok(see().version > version && !strcmp(see().kid, "two"), "others do");
	/* It takes its keys back. */
	for (unsigned i = 0; i <= ISSUERS_EMPTY_MS / ISSUERS_RETRY_MAX && see().keys; i++) {
		advance(ISSUERS_RENEW_MS);
		if (fetch.busy)
			reply(200, "{\"keys\":[]}", NULL);
	}
	tap_ok(!see().keys, "who has no keys for long has taken them back");
	advance(ISSUERS_RETRY_MAX);
	reply(200, KEYS("two"), NULL);
	tap_is_str(see().kid, "two", "until there is one");
	/* It goes away. */
	unsigned tries = begun;
	for (unsigned i = 0; i < ISSUERS_KEEP_MS / ISSUERS_RENEW_MS - 1; i++) {
		advance(ISSUERS_RENEW_MS);
		if (fetch.busy)
			reply(0, NULL, "connection refused");
	}
	tap_ok(see().keys, "while it is away its keys hold");
	tap_ok(begun - tries > 100, "and it is asked again and again");
	for (unsigned i = 0; i < 3; i++) {
		advance(ISSUERS_RENEW_MS);
		if (fetch.busy)
			reply(200, "nonsense", NULL);
	}
	tap_ok(!see().keys, "but not for ever");
	advance(ISSUERS_RETRY_MAX);
	reply(200, KEYS("three"), NULL);
	tap_is_str(see().kid, "three", "until it is there again");
	use(NULL);
	ident_set_free(s);
}

static void unknown_keys(void)
{
	struct ident_set *s = set_of("https://idp", "https://idp/jwks");
	use(s);
	uint64_t mark = see().mark;
	tap_is_i64(want(mark), ISSUERS_WAIT, "who comes before the keys waits for them");
	reply(200, KEYS("one"), NULL);
	unsigned was = begun;
	mark = see().mark;
	tap_is_i64(want(mark), ISSUERS_WAIT, "a key that is not there is asked for");
	tap_is_i64(want(mark), ISSUERS_WAIT, "once for all who wait");
	tap_is_u64(begun - was, 1, "with one fetch");
	reply(200, KEYS("one"), NULL);
	tap_is_i64(want(mark), ISSUERS_KNOWN, "and is not there");
	was = begun;
	for (unsigned i = 0; i < 50; i++)
		if (want(see().mark) == ISSUERS_WAIT)
			reply(200, KEYS("one"), NULL);
	tap_is_u64(begun - was, ISSUERS_ASK_BURST - 1,
	    "some more at once, no matter how many are asked for");
	tap_is_i64(want(see().mark), ISSUERS_LATER, "then they are told to come back");
	advance(ISSUERS_ASK_MS);
	tap_is_i64(want(see().mark), ISSUERS_WAIT, "and a while later one is asked for");
	reply(0, NULL, "connection refused");
	tap_is_i64(want(see().mark - 1), ISSUERS_LATER,
	    "who waited for an issuer that is away comes back, too");
	use(NULL);
	ident_set_free(s);
}

static void configurations(void)
{
	struct ident_set *a = set_of("https://idp", "https://idp/jwks"),
	                 *b = set_of("https://idp", "https://idp/jwks"),
	                 *c = set_of("https://idp", "https://idp/other");
	use(a);
	reply(200, KEYS("one"), NULL);
	unsigned was = begun;
	use(b);
	tap_ok(see().keys && begun == was, "an issuer that stays keeps its keys");
	ident_set_free(a);
	use(c);
	tap_ok(!see().keys && begun == was + 1, "one whose keys are elsewhere is another one");
	ident_set_free(b);
	was = canceled;
	use(NULL);
	tap_ok(!see().book && canceled == was + 1, "without issuers nothing is fetched");
	no_client = true;
	use(c);
	tap_is_i64(want(see().mark), ISSUERS_LATER, "without a client nobody waits");
	no_client = false;
	use(NULL);
	ident_set_free(c);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	clock_fake(1700000000000);
	testteam_start(&tt, 1);
	testteam_run(&tt, 0, create_here, NULL);
	discovery();
	renewal();
	unknown_keys();
	configurations();
	testteam_run(&tt, 0, free_here, NULL);
	testteam_stop(&tt);
	return tap_done();
}
