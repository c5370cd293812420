/*
 * alias - remembers, per loop, which canonical labels odd label bytes (unsorted, empty values)
 * stand for.
 *
 * Asked only after the bytes as sent were found to be no known series. Bounded: ALIAS_SETS sets of
 * ALIAS_WAYS entries, the oldest of a set goes; bytes of all entries at most ALIAS_BYTES_MAX, else
 * the table starts anew.
 * A hit compares the raw bytes; a forgotten alias costs one canonicalisation.
 * Thread: its loop. Memory: own; what alias_find gives is valid until the next alias_add.
 */
#ifndef STORAGE_APPEND_ALIAS_H
#define STORAGE_APPEND_ALIAS_H

#include "core/base/hash.h"
#include "core/model/label.h"

#define ALIAS_SETS      16384u
#define ALIAS_WAYS      4u
#define ALIAS_BYTES_MAX (32u << 20)

struct alias;
struct alias *alias_create(void);
void alias_free(struct alias *a);
/*
 * raw_fp: hash128.lo of the raw bytes. true: *out and *fp are the canonical bytes and their
 * fingerprint.
 */
bool alias_find(const struct alias *a, uint64_t raw_fp, uint32_t tenant, struct labels raw,
    struct labels *out, struct hash128 *fp);
/* Both are copied. Not there yet. */
void alias_add(struct alias *a, uint64_t raw_fp, uint32_t tenant, struct labels raw,
    struct labels canonical, struct hash128 fp);

#endif
