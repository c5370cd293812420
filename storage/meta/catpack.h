/*
 * catpack - pieces of the catalog compressed with zstd, with dictionaries trained from the store's
 * own labels.
 *
 * Packed: varint dictionary (0 = none), varint plain length << 1 | compressed, then the plain bytes
 * or a zstd frame.
 * Dictionaries have ids from 1 on; several live at once: a piece names its own, new ones take the
 * newest. They are kept by the caller (records of the catalog) and handed in at its opening.
 *
 * Thread: catpack_add while nobody else uses it. Otherwise: any number unpack at once, each with an
 * unpacker of its own; one packs at a time.
 * Memory: a dictionary with what compresses and decompresses with it, about CATPACK_DICT_COST; one
 * context to compress of about 1 MiB, made when first used; an unpacker of about 160 KiB.
 */
#ifndef STORAGE_META_CATPACK_H
#define STORAGE_META_CATPACK_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define CATPACK_DICT_MAX  (16u << 10) /* bytes of a dictionary */
#define CATPACK_DICTS_MAX 16u
#define CATPACK_PLAIN_MAX (4u << 20) /* a piece that claims more is none */

struct catpack;
struct catpack *catpack_create(void);
void catpack_free(struct catpack *p);
/* ids ascend from call to call. ERR_DAMAGED: no dictionary, or one too many. */
MUST_CHECK enum err catpack_add(struct catpack *p, uint32_t id, const uint8_t *dict, size_t len);
uint32_t catpack_newest(const struct catpack *p); /* its id; 0 = none */

/* Appends the packed piece. */
void catpack_pack(struct catpack *p, const uint8_t *plain, size_t len, struct buf *out);
/* The same with a dictionary or, 0, with none: what would it save? */
size_t catpack_size(struct catpack *p, uint32_t dict, const uint8_t *plain, size_t len);

struct catpack_unpacker {
	void *_context;
	struct buf _plain;
};
void catpack_unpacker_init(struct catpack_unpacker *u);
void catpack_unpacker_release(struct catpack_unpacker *u);
/*
 * The plain bytes, in u until the next call. false: no such piece,
 * or of a dictionary that is not there. *dict (may be NULL): which one it was packed with.
 */
bool catpack_unpack(const struct catpack *p, struct catpack_unpacker *u, const uint8_t *packed,
    size_t packed_len, const uint8_t **plain, size_t *len, uint32_t *dict);

/*
 * A dictionary from plain pieces that stand behind each other in samples; at most CATPACK_DICT_MAX
 * bytes to out. ERR_NOTFOUND: they are too few or too different.
 * Cost: some 100 ns a byte of the samples.
 */
MUST_CHECK enum err catpack_train(
    const uint8_t *samples, const size_t *sizes, size_t count, struct buf *out);

#endif
