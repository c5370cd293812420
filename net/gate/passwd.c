#include "net/gate/passwd.h"

#include <crypt.h>
#include <sodium.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/num.h"

/* The least that OWASP's password storage cheat sheet takes for argon2id. */
#define MAKE_MEMORY (19456u << 10)
#define MAKE_PASSES 2u

#define ARGON2ID      "$argon2id$v=19$"
#define BCRYPT_CHARS  60u
#define BCRYPT_SALT   22u
#define BCRYPT_LETTER "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

STATIC(PASSWD_HASH_BYTES >= crypto_pwhash_STRBYTES);

static bool is_argon2id(const char *hash)
{
	return !strncmp(hash, ARGON2ID, sizeof ARGON2ID - 1);
}

/* "m=19456," at *s; false: it is not there, or no number. */
static bool take_number(const char **s, const char *key, char end, uint64_t *out)
{
	size_t n = strlen(key);
	if (strncmp(*s, key, n))
		return false;
	const char *digits = *s + n, *stop = strchr(digits, end);
	if (!stop || stop == digits || stop - digits > 9)
		return false;
	*out = 0;
	for (const char *p = digits; p < stop; p++) {
		if (*p < '0' || *p > '9')
			return false;
		*out = *out * 10 + (uint64_t)(*p - '0');
	}
	*s = stop + 1;
	return true;
}

static bool is_base64_part(const char **s, char end)
{
	const char *stop = end ? strchr(*s, end) : *s + strlen(*s);
	if (!stop || stop == *s)
		return false;
	for (const char *p = *s; p < stop; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", *p))
			return false;
	*s = stop + 1;
	return true;
}

static enum err look_argon2id(const char *hash, struct errbuf *eb)
{
	const char *s = hash + sizeof ARGON2ID - 1;
	uint64_t kib, passes, lanes;
	if (strlen(hash) >= crypto_pwhash_STRBYTES || !take_number(&s, "m=", ',', &kib) ||
	    !take_number(&s, "t=", ',', &passes) || !take_number(&s, "p=", '$', &lanes) ||
	    !is_base64_part(&s, '$') || !is_base64_part(&s, 0))
		return errbuf_set(eb, ERR_BADDATA,
		    "the argon2id hash is incomplete: make one with kymod --hash-password");
	if (kib > PASSWD_MEMORY_MOST >> 10 || passes > PASSWD_PASSES_MOST)
		return errbuf_set(eb, ERR_BADDATA,
		    "the argon2id hash costs too much: m=%llu,t=%llu, at most m=%u,t=%u",
		    (unsigned long long)kib, (unsigned long long)passes, PASSWD_MEMORY_MOST >> 10,
		    PASSWD_PASSES_MOST);
	if (kib < 8 || !passes || lanes != 1)
		return errbuf_set(eb, ERR_BADDATA,
		    "the argon2id hash has m=%llu,t=%llu,p=%llu: m of 8 and t of 1 at least, p of 1",
		    (unsigned long long)kib, (unsigned long long)passes, (unsigned long long)lanes);
	return 0;
}

static bool is_bcrypt(const char *hash)
{
	return hash[0] == '$' && hash[1] == '2' && hash[2] && strchr("aby", hash[2]) &&
	    hash[3] == '$';
}

static enum err look_bcrypt(const char *hash, struct errbuf *eb)
{
	size_t len = strlen(hash);
	bool digits = len == BCRYPT_CHARS && hash[4] >= '0' && hash[4] <= '9' && hash[5] >= '0' &&
	    hash[5] <= '9' && hash[6] == '$';
	if (!digits || strspn(hash + 7, BCRYPT_LETTER) != BCRYPT_CHARS - 7)
		return errbuf_set(eb, ERR_BADDATA,
		    "the bcrypt hash is incomplete: it has %zu characters, not %u of the right ones",
		    len, BCRYPT_CHARS);
	unsigned cost = (unsigned)(hash[4] - '0') * 10 + (unsigned)(hash[5] - '0');
	if (cost < 4 || cost > PASSWD_BCRYPT_MOST)
		return errbuf_set(eb, ERR_BADDATA,
		    "the bcrypt hash has a cost of %u: 4 to %u are taken", cost, PASSWD_BCRYPT_MOST);
	return 0;
}

enum err passwd_look(const char *hash, struct errbuf *eb)
{
	if (is_argon2id(hash))
		return look_argon2id(hash, eb);
	if (is_bcrypt(hash))
		return look_bcrypt(hash, eb);
	return errbuf_set(eb, ERR_BADDATA,
	    "it is no hash that is known here: argon2id (kymod --hash-password) or bcrypt "
	    "(htpasswd -nB)");
}

enum err passwd_make(const char *password, size_t len, char out[PASSWD_HASH_BYTES])
{
	memset(out, 0, PASSWD_HASH_BYTES);
	return crypto_pwhash_str_alg(
	           out, password, len, MAKE_PASSES, MAKE_MEMORY, crypto_pwhash_ALG_ARGON2ID13)
	    ? ERR_NOMEM
	    : ERR_OK;
}

static bool bcrypt_right(const char *hash, const char *password, size_t len)
{
	char *text = mem_alloc(len + 1);
	struct crypt_data *d = mem_zalloc(sizeof *d);
	memcpy(text, password, len);
	text[len] = 0;
	const char *got = crypt_r(text, hash, d);
	bool right = got && strlen(got) == BCRYPT_CHARS && !sodium_memcmp(got, hash, BCRYPT_CHARS);
	sodium_memzero(text, len);
	sodium_memzero(d, sizeof *d);
	mem_free(d);
	mem_free(text);
	return right;
}

bool passwd_right(const char *hash, const char *password, size_t len)
{
	char padded[crypto_pwhash_STRBYTES] = "";
	if (memchr(password, 0, len) || strlen(hash) >= sizeof padded)
		return false;
	if (!is_argon2id(hash))
		return is_bcrypt(hash) && bcrypt_right(hash, password, len);
	memcpy(padded, hash, strlen(hash));
	return !crypto_pwhash_str_verify(padded, password, len);
}
