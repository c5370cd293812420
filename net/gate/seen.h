/*
 * seen - signed tokens that were found right, by the hash of each: the most recently used
 * SEEN_MOST of them, until they expire.
 *
 * Thread: one loop. Memory: SEEN_MOST of some 0.7 KiB at most.
 */
#ifndef NET_GATE_SEEN_H
#define NET_GATE_SEEN_H

#include "net/gate/bearer.h"
#include "net/gate/checks.h"

#define SEEN_MOST 1024u

struct seen;
struct seen *seen_create(void);
void seen_free(struct seen *s);
/* NULL: not there, or expired. Valid until the next call. */
const struct bearer *seen_find(struct seen *s, const uint8_t key[CHECKS_KEY_BYTES], int64_t now_ms);
void seen_put(struct seen *s, const uint8_t key[CHECKS_KEY_BYTES], struct bearer *take_bearer);
void seen_clear(struct seen *s);

#endif
