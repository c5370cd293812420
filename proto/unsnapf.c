#include "proto/unsnapf.h"

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "proto/snapz.h"

#include <string.h>

#define PLAIN_MAX  65536u
#define PACKED_MAX (32u + PLAIN_MAX + PLAIN_MAX / 6u) /* of a block of that size, at most */
#define HEAD       4u
#define SUM        4u

enum chunk {
	CHUNK_PACKED = 0x00,
	CHUNK_PLAIN = 0x01,
	CHUNK_SKIPPED_FIRST = 0x80,
	CHUNK_BEGIN = 0xff
};
struct unsnapf {
	uint8_t head[HEAD];
	size_t head_len;
	size_t chunk_len, chunk_at; /* of its data */
	size_t plain_len, plain_at; /* not given yet */
	bool begun;
	uint8_t data[SUM + PACKED_MAX];
	uint8_t plain[PLAIN_MAX + SNAPZ_SLOP];
};
STATIC(sizeof(struct unsnapf) <= UNSNAPF_MEMORY);

enum err unsnapf_create(struct unsnapf **out)
{
	struct unsnapf *z = mem_try(sizeof(*z));
	if (!z)
		return ERR_NOMEM;
	z->head_len = z->chunk_len = z->chunk_at = z->plain_len = z->plain_at = 0;
	z->begun = false;
	*out = z;
	return ERR_OK;
}

static uint32_t number(const uint8_t *p, unsigned len)
{
	uint32_t v = 0;
	for (unsigned i = 0; i < len; i++)
		v |= (uint32_t)p[i] << 8 * i;
	return v;
}

static bool is_skipped(const struct unsnapf *z)
{
	return z->head[0] >= CHUNK_SKIPPED_FIRST && z->head[0] != CHUNK_BEGIN;
}

/* framing_format.txt, 4 */
static enum err head_judge(struct unsnapf *z)
{
	size_t len = z->chunk_len = number(z->head + 1, 3);
	z->chunk_at = 0;
	if (z->head[0] == CHUNK_BEGIN)
		return len == 6 ? ERR_OK : ERR_MALFORMED;
	if (!z->begun)
		return ERR_MALFORMED;
	if (is_skipped(z))
		return ERR_OK;
	if (z->head[0] == CHUNK_PACKED)
		return len >= SUM && len <= SUM + PACKED_MAX ? ERR_OK : ERR_MALFORMED;
	if (z->head[0] == CHUNK_PLAIN)
		return len >= SUM && len <= SUM + PLAIN_MAX ? ERR_OK : ERR_MALFORMED;
	return ERR_MALFORMED;
}

/* framing_format.txt, 3 */
static uint32_t sum_masked(const uint8_t *data, size_t len)
{
	uint32_t c = crc32c(0, data, len);
	return (c >> 15 | c << 17) + 0xa282ead8u;
}

static enum err unpack(struct unsnapf *z, const uint8_t *data)
{
	const uint8_t *body = data + SUM;
	size_t len = z->chunk_len - SUM, plain = len;
	z->plain_at = z->plain_len = 0;
	if (z->head[0] == CHUNK_PLAIN) {
		memcpy(z->plain, body, len);
	} else {
		if (snapz_length(body, len, &plain) || plain > PLAIN_MAX ||
		    snapz_decode(body, len, z->plain, plain))
			return ERR_MALFORMED;
	}
	if (number(data, SUM) != sum_masked(z->plain, plain))
		return ERR_MALFORMED;
	z->plain_len = plain;
	return ERR_OK;
}

static enum err chunk_end(struct unsnapf *z, const uint8_t *data)
{
	z->head_len = 0;
	if (is_skipped(z))
		return ERR_OK;
	if (z->head[0] != CHUNK_BEGIN)
		return unpack(z, data);
	z->begun = true;
	return memcmp(data, "sNaPpY", 6) ? ERR_MALFORMED : ERR_OK;
}

/* What there is of a chunk's data; what is there as a whole is not copied. */
static enum err chunk_take(struct unsnapf *z, const uint8_t *in, size_t len, size_t *used)
{
	size_t left = z->chunk_len - z->chunk_at, n = len - *used < left ? len - *used : left;
	const uint8_t *from = in + *used;
	*used += n;
	if (n == z->chunk_len)
		return chunk_end(z, n ? from : z->data);
	if (!is_skipped(z))
		memcpy(z->data + z->chunk_at, from, n);
	z->chunk_at += n;
	return z->chunk_at == z->chunk_len ? chunk_end(z, z->data) : ERR_OK;
}

static void give(struct unsnapf *z, uint8_t *out, size_t cap, size_t *out_len)
{
	size_t left = z->plain_len - z->plain_at, n = cap - *out_len < left ? cap - *out_len : left;
	memcpy(out + *out_len, z->plain + z->plain_at, n);
	z->plain_at += n;
	*out_len += n;
}

enum err unsnapf_next(struct unsnapf *z, const uint8_t *in, size_t len, size_t *used, uint8_t *out,
    size_t cap, size_t *out_len)
{
	enum err e = ERR_OK;
	*used = *out_len = 0;
	for (;;) {
		give(z, out, cap, out_len);
		if (z->plain_at < z->plain_len)
			return ERR_OK;
		if (z->head_len < HEAD) {
			if (*used == len)
				return ERR_OK;
			z->head[z->head_len++] = in[(*used)++];
			if (z->head_len == HEAD)
				e = head_judge(z);
		} else if (*used == len && z->chunk_at < z->chunk_len) {
			return ERR_OK;
		} else {
			e = chunk_take(z, in, len, used);
		}
		if (e)
			return e;
	}
}

bool unsnapf_whole(const struct unsnapf *z)
{
	return !z->head_len && z->plain_at == z->plain_len;
}

void unsnapf_free(struct unsnapf *z)
{
	mem_free(z);
}
