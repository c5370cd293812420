/*
 * sealkeys - the definitions of a merge in metric order (cfile_key_cmp; equal ones by id), sorted
 * in memory.
 *
 * They are gathered in batches of SEALKEYS_BATCH bytes; each is sorted, and kept front-coded and
 * packed: some 10-20 bytes a series. Then all are merged.
 *
 *   sealkeys_create();  sealkeys_add() ...;  sealkeys_sort();  while (sealkeys_next()) ...
 *
 * Thread: one. Memory: a batch twice, 16 bytes a series of a batch; what is packed; a block of
 * 64 KiB for each batch while they are merged.
 */
#ifndef STORAGE_COMPACT_SEALKEYS_H
#define STORAGE_COMPACT_SEALKEYS_H

#include "storage/cfile/cfile.h"

#define SEALKEYS_BATCH (8u << 20)

struct sealkeys;
struct sealkeys *sealkeys_create(size_t batch_bytes);
void sealkeys_free(struct sealkeys *k);
void sealkeys_add(struct sealkeys *k, uint32_t id, uint32_t tenant, struct labels ls);
/* All are there. */
void sealkeys_sort(struct sealkeys *k);
/* The next one; labels are valid until the next call. False: there are no more. */
bool sealkeys_next(struct sealkeys *k, uint32_t *id, uint32_t *tenant, struct labels *ls);
size_t sealkeys_bytes(const struct sealkeys *k); /* packed */

#endif
