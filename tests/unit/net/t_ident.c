/* Sets of identities: what is taken, what is refused and told, who is found; passwords; names. */
#include "net/gate/ident.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/secret.h"
#include "net/gate/passwd.h"
#include "net/gate/seen.h"
#include "net/gate/wanted.h"
#include "tests/lib/tap.h"

static void collect(void *arg, const char *row, const char *text)
{
	buf_printf(arg, "%s: %s\n", row, text);
}

/* What is wrong with it, a line each. */
static char *faults(const struct ident_conf *c, struct ident_set **out)
{
	struct buf b;
	size_t len;
	buf_init(&b);
	enum err e = ident_set_make(c, out, collect, &b);
	CHECK(!e == !b.len);
	buf_add_u8(&b, 0);
	return (char *)buf_take(&b, &len);
}

static struct ident_set *good(const struct ident_conf *c)
{
	struct ident_set *s;
	char *text = faults(c, &s);
	tap_is_str(text, "", "nothing is wrong with it");
	free(text);
	return s;
}

static void has_fault(const struct ident_conf *c, const char *want)
{
	struct ident_set *s;
	char *text = faults(c, &s);
	if (!tap_ok(strstr(text, want), "it is told: %s", want))
		printf("# %s\n", text);
	ident_set_free(s);
	free(text);
}

#define GRANT(n, ...)                                                                              \
 {                                                                                                 \
  .name = n, .roles = ROLE_READ, __VA_ARGS__                                                       \
 }
#define TOKEN "0123456789abcdef0123456789abcdef"

static const struct ident *token(const struct ident_set *s, const char *text)
{
	return ident_find_token(s, text, strlen(text));
}

static void tokens(void)
{
	char hash[IDENT_TOKEN_TEXT_BYTES];
	static const char *const others[] = { "b", "a", "b", "own" };
	struct secret *secret = secret_make(TOKEN "x", strlen(TOKEN "x"));
	ident_token_text(TOKEN, strlen(TOKEN), hash);
	tap_ok(!strncmp(hash, "blake2b:", 8) && strlen(hash) == 51, "a hash for a file: %s", hash);
	struct ident_token rows[] = {
		{ .grant = GRANT("one", .tenant = "own", .tenants = others, .tenants_count = 4),
		    .token_hash = hash },
		{ .grant = GRANT("two"), .token = secret },
	};
	struct ident_conf c = { .tokens = rows, .tokens_count = 2 };
	struct ident_set *s = good(&c);
	const struct ident *one = token(s, TOKEN), *two = token(s, TOKEN "x");
	tap_ok(one && !strcmp(one->name, "one"), "a token is found by its hash");
	tap_ok(two && !strcmp(two->name, "two"), "and by its text");
	tap_ok(
	    !token(s, TOKEN "y") && !token(s, "") && !token(s, hash), "others are not, nor a hash");
	tap_is_u64(one ? one->tenants_count : 0, 3, "its tenants: each once, its own first");
	tap_is_str(one ? ident_tenant_name(s, one->tenants[0]) : "", "own", "the own one");
	tap_is_str(two ? ident_tenant_name(s, two->tenants[0]) : "", "default",
	    "who has none has default");
	tap_ok(!ident_anonymous(s) && !ident_find_user(s, "one", 3), "and nobody else");
	ident_set_free(s);
	secret_free(secret);
}

/* As many as there may be: each finds itself. */
static void many_tokens(void)
{
	enum {
		MANY = 3000
	};
	struct ident_token *rows = calloc(MANY, sizeof(*rows));
	static char hashes[MANY][IDENT_TOKEN_TEXT_BYTES], names[MANY][24];
	char text[40];
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "n%u", i);
		int n = snprintf(text, sizeof(text), "token number %06u", i);
		ident_token_text(text, (size_t)n, hashes[i]);
		rows[i] = (struct ident_token){ .grant = GRANT(names[i], .tenant = names[i]),
			.token_hash = hashes[i] };
	}
	struct ident_conf c = { .tokens = rows, .tokens_count = MANY };
	struct ident_set *s = good(&c);
	unsigned found = 0;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "token number %06u", i);
		const struct ident *t = token(s, text);
		found += t && !strcmp(t->name, names[i]) &&
		    !strcmp(ident_tenant_name(s, t->tenants[0]), names[i]);
	}
	tap_is_u64(found, MANY, "each of %d tokens finds itself", MANY);
	ident_set_free(s);
	free(rows);
}

#define BCRYPT "$2y$04$aaaaaaaaaaaaaaaaaaaaaOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void users_and_certs(void)
{
	struct ident_user users[] = { { .grant = GRANT("ann"), .password_hash = BCRYPT },
		{ .grant = GRANT("bob"), .password_hash = BCRYPT } };
	struct ident_cert certs[] = {
		{ .grant = GRANT("c"), .subject = "agent" },
		{ .grant = GRANT("s"), .san = "spiffe://x/agent" },
		{ .grant = GRANT("f"),
		    .fingerprint =
		        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff" }
	};
	uint8_t digest[32];
	for (unsigned i = 0; i < 32; i++)
		digest[i] = (uint8_t)((i % 16) * 0x11);
	struct ident_conf c = { .users = users,
		.users_count = 2,
		.certs = certs,
		.certs_count = 3,
		.open = true,
		.anonymous = { .roles = ROLE_READ, .tenant = "public" } };
	struct ident_set *s = good(&c);
	const struct ident *bob = ident_find_user(s, "bob", 3);
	tap_ok(bob && ident_user_index(s, bob) == 1, "a user is found by his name");
	tap_ok(!ident_find_user(s, "bo", 2) && !ident_find_user(s, "bobb", 4),
	    "a part of it is not enough");
	tap_is_str(ident_decoy(s, "nobody", 6), BCRYPT, "who is no user has the hash of one");
	tap_ok(ident_find_subject(s, "agent", 5) && !ident_find_san(s, "agent", 5),
	    "a subject is no name");
	tap_ok(ident_find_san(s, "spiffe://x/agent", 16), "a name is found");
	tap_ok(ident_find_fingerprint(s, digest), "a fingerprint is found");
	digest[31]++;
	tap_ok(!ident_find_fingerprint(s, digest), "another one is not");
	tap_ok(ident_anonymous(s) && ident_anonymous(s)->roles == ROLE_READ, "anonymous");
	ident_set_free(s);
}

static void nobody(void)
{
	struct ident_conf c = { .tokens_count = 0 };
	struct ident_set *s = good(&c);
	tap_ok(!s, "without identities there is no set");
}

static void token_faults(void)
{
	char hash[IDENT_TOKEN_TEXT_BYTES];
	static const char *const bad_tenants[] = { "a b" };
	struct secret *short_one = secret_make("short", 5),
	              *blank = secret_make("a token with blanks", 19);
	ident_token_text(TOKEN, strlen(TOKEN), hash);
	struct ident_token rows[] = {
		{ .grant = GRANT("first"), .token_hash = hash },
		{ .grant = GRANT("second"), .token_hash = hash },
		{ .grant = GRANT("third") },
		{ .grant = GRANT("fourth"), .token_hash = "blake2b:AAAA" },
		{ .grant = GRANT("fifth"), .token = short_one },
		{ .grant = GRANT("sixth"), .token = blank },
		{ .grant = { .name = "seventh" }, .token_hash = hash },
		{ .grant =
		        GRANT("eighth", .tenant = "a/b", .tenants = bad_tenants, .tenants_count = 1),
		    .token_hash = hash },
		{ .grant = GRANT(NULL), .token_hash = hash },
		{ .grant = GRANT("tenth"), .token_hash = hash, .token = short_one },
	};
	struct ident_conf c = { .tokens = rows, .tokens_count = 10 };
	has_fault(&c, "tokens[1]: its token is that of \"first\", too");
	has_fault(&c, "tokens[2]: it has neither token_file nor token_hash");
	has_fault(&c, "tokens[3]: token_hash is none");
	has_fault(&c, "tokens[4]: the token has 5 characters: 16 to 4096 are taken");
	has_fault(&c, "tokens[5]: the token has characters that no header can carry");
	has_fault(&c, "tokens[6]: it may do nothing: roles are write, read, rules, admin");
	has_fault(&c, "tokens[7]: tenant name \"a/b\"");
	has_fault(&c, "tokens[7]: tenant name \"a b\"");
	has_fault(&c, "tokens[8]: it has no name");
	has_fault(&c, "tokens[9]: it has token_file and token_hash");
	secret_free(short_one);
	secret_free(blank);
}

static void other_faults(void)
{
	struct ident_user users[] = { { .grant = GRANT("a:b"), .password_hash = BCRYPT },
		{ .grant = GRANT("ann"), .password_hash = "$1$abc$def" },
		{ .grant = GRANT("ann"), .password_hash = BCRYPT },
		{ .grant = GRANT("ann"), .password_hash = BCRYPT } };
	struct ident_cert certs[] = { { .grant = GRANT("c"), .subject = "a" },
		{ .grant = GRANT("d"), .subject = "a" },
		{ .grant = GRANT("e"), .subject = "a", .san = "b" },
		{ .grant = GRANT("f"), .fingerprint = "abcd" } };
	static const char *const aud[] = { "kymo" };
	struct ident_oidc issuers[] = {
		{ .issuer = "idp", .audiences = aud, .audiences_count = 1, .grant = GRANT("i") },
		{ .issuer = "https://idp", .grant = GRANT("i", .tenant = "t"), .tenant_claim = "org" },
		{ .issuer = "https://idp",
		    .audiences = aud,
		    .audiences_count = 1,
		    .jwks_url = "file:///etc/passwd",
		    .grant = GRANT("j") }
	};
	struct ident_conf c = { .users = users,
		.users_count = 4,
		.certs = certs,
		.certs_count = 4,
		.issuers = issuers,
		.issuers_count = 3 };
	has_fault(&c, "basic[0]: a user's name has no colon");
	has_fault(&c, "basic[1]: password_hash: it is no hash that is known here");
	has_fault(&c, "basic[3]: there are two users of the name \"ann\"");
	has_fault(&c, "certificates[1]: its certificate is that of \"c\", too");
	has_fault(&c, "certificates[2]: it needs one of subject, san and fingerprint");
	has_fault(&c, "certificates[3]: fingerprint is no SHA-256");
	has_fault(&c, "oidc[0]: issuer is no URL");
	has_fault(&c, "oidc[1]: it has no audience");
	has_fault(&c, "oidc[1]: it has tenant and tenant_claim");
	issuers[1].grant.tenants = aud;
	issuers[1].grant.tenants_count = 1;
	has_fault(&c, "oidc[1]: it has tenants and tenant_claim");
	has_fault(&c, "oidc[2]: jwks_url is no URL");
	has_fault(&c, "oidc[2]: the issuer \"https://idp\" stands there twice");
	struct ident_conf open = { .open = true };
	has_fault(&open, "anonymous: it may do nothing");
}

static void passwords(void)
{
	static const char *const bad[] = { "", "x", "$2y$10$short",
		"$2y$99$aaaaaaaaaaaaaaaaaaaaaOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"$argon2id$v=19$m=19456,t=2,p=1$abc", "$argon2id$v=19$m=99999999,t=2,p=1$YWFh$YWFh",
		"$argon2id$v=19$m=19456,t=99,p=1$YWFh$YWFh",
		"$argon2id$v=19$m=19456,t=2,p=4$YWFh$YWFh",
		"$argon2id$v=19$m=19456,t=2,p=1$YWF!$YWFh",
		"$argon2i$v=19$m=19456,t=2,p=1$YWFh$YWFh" };
	char made[PASSWD_HASH_BYTES];
	struct errbuf eb;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errbuf_init(&eb);
		tap_ok(
		    passwd_look(bad[i], &eb) && eb.text[0], "no hash: \"%s\": %s", bad[i], eb.text);
		tap_ok(!passwd_right(bad[i], "x", 1), "and nothing fits it");
	}
	tap_ok(!passwd_make("open sesame", 11, made) && !passwd_look(made, NULL),
	    "a hash is made: %s", made);
	tap_ok(passwd_right(made, "open sesame", 11), "the password fits it");
	tap_ok(!passwd_right(made, "open sesam", 10) && !passwd_right(made, "", 0),
	    "another one does not");
	/* bcrypt of "U*U", from the tests of crypt_blowfish (openwall.com/crypt). */
	const char *u = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
	tap_ok(!passwd_look(u, NULL) && passwd_right(u, "U*U", 3), "bcrypt's own example");
	tap_ok(!passwd_right(u, "U*V", 3) && !passwd_right(u, "U*U\0", 4),
	    "another one, and one with a NUL");
}

static void names_are(const char *value, const char *want)
{
	struct wanted w;
	struct errbuf eb;
	struct buf b;
	buf_init(&b);
	errbuf_init(&eb);
	if (wanted_parse(value, strlen(value), &w, &eb))
		buf_add_str(&b, "bad");
	for (size_t i = 0; !eb.text[0] && i < w.count; i++)
		buf_printf(&b, "%s%.*s", i ? "," : "", (int)w.names[i].len, w.names[i].name);
	buf_add_u8(&b, 0);
	tap_is_str((const char *)b.data, want, "names of \"%s\"", value);
	buf_release(&b);
}

static void wanted(void)
{
	char many[IDENT_TENANTS_MAX * 4 + 10] = "";
	struct wanted w;
	struct errbuf eb;
	errbuf_init(&eb);
	names_are("a", "a");
	names_are("b|a|b|ab|A", "A,a,ab,b");
	names_are("", "bad");
	names_are("a|", "bad");
	names_are("|a", "bad");
	names_are("a||b", "bad");
	names_are("a|b c", "bad");
	names_are("../a", "bad");
	names_are("a,b", "bad");
	tap_ok(wanted_parse("a, b", 4, &w, &eb) && strstr(eb.text, "are named as a|b"),
	    "whose header a proxy has put together is told: %s", eb.text);
	errbuf_init(&eb);
	for (unsigned i = 0; i <= IDENT_TENANTS_MAX; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "%s%u", i ? "|" : "",
		    100 + i);
	tap_ok(!wanted_parse(many, strlen(many) - 4, &w, &eb) && w.count == IDENT_TENANTS_MAX,
	    "as many as may be");
	tap_ok(wanted_parse(many, strlen(many), &w, &eb), "one more is refused: %s", eb.text);
}

static struct bearer *bearer(unsigned i, int64_t expires_ms)
{
	struct bearer *b = mem_zalloc(sizeof(*b) + 1);
	b->issuer = i;
	b->expires_ms = expires_ms;
	b->name = b->text;
	b->bytes = 1;
	return b;
}

static void key_of(unsigned i, uint8_t key[CHECKS_KEY_BYTES])
{
	crypto_generichash(key, CHECKS_KEY_BYTES, (const uint8_t *)&i, sizeof(i), NULL, 0);
}

static void seen_tokens(void)
{
	struct seen *s = seen_create();
	uint8_t key[CHECKS_KEY_BYTES];
	unsigned there = 0;
	for (unsigned i = 0; i < SEEN_MOST + 10; i++) {
		key_of(i, key);
		seen_put(s, key, bearer(i, 1000));
		key_of(0, key); /* used all the time */
		there += seen_find(s, key, 999) != NULL;
	}
	tap_is_u64(there, SEEN_MOST + 10, "what is used stays");
	there = 0;
	for (unsigned i = 0; i < SEEN_MOST + 10; i++) {
		key_of(i, key);
		const struct bearer *b = seen_find(s, key, 999);
		there += b && b->issuer == i;
	}
	tap_is_u64(there, SEEN_MOST, "what was not used for long goes");
	key_of(5000, key);
	seen_put(s, key, bearer(1, 1000));
	tap_ok(seen_find(s, key, 999) && !seen_find(s, key, 1000) && !seen_find(s, key, 0),
	    "until it expires");
	seen_put(s, key, bearer(1, 1000));
	seen_put(s, key, bearer(2, 1000));
	tap_ok(seen_find(s, key, 0)->issuer == 2, "the same one is replaced");
	seen_clear(s);
	tap_ok(!seen_find(s, key, 0), "all are forgotten");
	seen_free(s);
}

int main(void)
{
	tokens();
	many_tokens();
	users_and_certs();
	nobody();
	token_faults();
	other_faults();
	passwords();
	wanted();
	seen_tokens();
	return tap_done();
}
