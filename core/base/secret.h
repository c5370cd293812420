/*
 * secret - a password, key or token: bytes that are never printed.
 *
 * There is no way to its text but secret_bytes(), which only the code that signs, hashes or sends
 * it calls. It lies between guard pages, out of core dumps and, where the system lets us, out of
 * swap (libsodium, "Securing memory allocations"), and is wiped when it is freed. That costs four
 * mappings of memory, of which a process has 65,530: who has thousands forgets what is hashed.
 * It comes from a file of its own, at most SECRET_MAX bytes, without the line's end behind it. The
 * file must be a plain one that others (neither owner nor group) can neither read nor write.
 *
 * Thread: one at a time; read by any once made. secret_read blocks: never on a loop.
 * Errors: name the file and what to do, never a byte of what is in it.
 */
#ifndef CORE_BASE_SECRET_H
#define CORE_BASE_SECRET_H

#include "core/base/err.h"

#define SECRET_MAX  65536u
#define SECRET_SHOW "<secret>" /* what stands where one would be printed */

struct secret;
/* ERR_ACCESS: others may read it; ERR_BADDATA: empty, or no plain file; ERR_TOOBIG; ERR_NOMEM. */
MUST_CHECK enum err secret_read(const char *path, struct secret **out, struct errbuf *eb);
/* A copy; the caller wipes its own (sodium_memzero). */
struct secret *secret_make(const void *bytes, size_t len);
/* With a NUL behind them that len does not count; until secret_free. */
const uint8_t *secret_bytes(const struct secret *s, size_t *len);
/* In time that depends on the lengths alone. NULL is like nothing, not even another NULL. */
bool secret_same(const struct secret *a, const struct secret *b);
void secret_forget(struct secret *s); /* its bytes are gone, it is there; NULL is fine */
void secret_free(struct secret *s);   /* NULL is fine */

#endif
