/*
 * passwd - hashes of passwords: made (argon2id), looked at, and compared with a password.
 *
 * Understood are argon2id as libsodium writes it ("$argon2id$v=19$m=19456,t=2,p=1$...") and bcrypt
 * ("$2y$10$..."), which Prometheus' files have. Hashes that cost more than PASSWD_MEMORY_MOST or so
 * are refused when the configuration is read, so that no check takes minutes.
 *
 * Thread: any, but passwd_make and passwd_right take tens of milliseconds: never on a loop.
 */
#ifndef NET_GATE_PASSWD_H
#define NET_GATE_PASSWD_H

#include "core/base/err.h"

#define PASSWD_HASH_BYTES  128u /* with the NUL */
#define PASSWD_MEMORY_MOST (256u << 20)
#define PASSWD_PASSES_MOST 16u
#define PASSWD_BCRYPT_MOST 14u /* 2^14 rounds: about 1 s */

/* Is it a hash that is understood? ERR_BADDATA with a sentence that does not hold it. */
MUST_CHECK enum err passwd_look(const char *hash, struct errbuf *eb);
/* argon2id with 19 MiB and two passes: some 20 ms. ERR_NOMEM. */
MUST_CHECK enum err passwd_make(const char *password, size_t len, char out[PASSWD_HASH_BYTES]);
bool passwd_right(const char *hash, const char *password, size_t len);

#endif
