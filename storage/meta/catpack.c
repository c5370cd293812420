#include "storage/meta/catpack.h"

#include "core/base/mem.h"
#include "core/base/wire.h"

#include <zdict.h>
#include <zstd.h>

#define LEVEL       3
#define PACKED      1u  /* flag beside the plain length */
#define GAIN        16u /* compressed when it takes 1/16 less */
#define TRAIN_LEAST 8u  /* samples */

struct dict {
	uint32_t id;
	ZSTD_CDict *pack;
	ZSTD_DDict *unpack;
};
struct catpack {
	struct dict dicts[CATPACK_DICTS_MAX];
	size_t dicts_count;
	ZSTD_CCtx *context;
};

struct catpack *catpack_create(void)
{
	return mem_zalloc(sizeof(struct catpack));
}

void catpack_free(struct catpack *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->dicts_count; i++) {
		ZSTD_freeCDict(p->dicts[i].pack);
		ZSTD_freeDDict(p->dicts[i].unpack);
	}
	ZSTD_freeCCtx(p->context);
	mem_free(p);
}

enum err catpack_add(struct catpack *p, uint32_t id, const uint8_t *dict, size_t len)
{
	if (!id || id <= catpack_newest(p) || p->dicts_count == CATPACK_DICTS_MAX || !len ||
	    len > CATPACK_DICT_MAX)
		return ERR_DAMAGED;
	struct dict d = { .id = id,
		.pack = ZSTD_createCDict(dict, len, LEVEL),
		.unpack = ZSTD_createDDict(dict, len) };
	if (!d.pack || !d.unpack) { /* it may be malformed, or memory is short */
		ZSTD_freeCDict(d.pack);
		ZSTD_freeDDict(d.unpack);
		return ERR_DAMAGED;
	}
	p->dicts[p->dicts_count++] = d;
	return ERR_OK;
}

uint32_t catpack_newest(const struct catpack *p)
{
	return p->dicts_count ? p->dicts[p->dicts_count - 1].id : 0;
}

static const struct dict *dict_of(const struct catpack *p, uint64_t id)
{
	for (size_t i = p->dicts_count; i-- > 0;)
		if (p->dicts[i].id == id)
			return &p->dicts[i];
	return NULL;
}

/* Bytes written to `to`; `room` is enough for any piece that is worth while. 0: it is not. */
static size_t compress(struct catpack *p, const struct dict *d, const uint8_t *plain, size_t len,
    uint8_t *to, size_t room)
{
	if (!p->context && !(p->context = ZSTD_createCCtx()))
		panic("no memory for a zstd context");
	size_t n = ZSTD_CCtx_reset(p->context, ZSTD_reset_session_and_parameters);
	if (!ZSTD_isError(n))
		n = ZSTD_CCtx_setParameter(p->context, ZSTD_c_compressionLevel, LEVEL);
	if (!ZSTD_isError(n))
		n = ZSTD_CCtx_setParameter(p->context, ZSTD_c_contentSizeFlag, 0);
	if (!ZSTD_isError(n))
		n = ZSTD_CCtx_setParameter(p->context, ZSTD_c_dictIDFlag, 0);
	if (!ZSTD_isError(n) && d)
		n = ZSTD_CCtx_refCDict(p->context, d->pack);
	if (!ZSTD_isError(n))
		n = ZSTD_compress2(p->context, to, room, plain, len);
	return ZSTD_isError(n) ? 0 : n;
}

void catpack_pack(struct catpack *p, const uint8_t *plain, size_t len, struct buf *out)
{
	const struct dict *d = dict_of(p, catpack_newest(p));
	CHECK(len <= CATPACK_PLAIN_MAX);
	size_t at = out->len, room = len - len / GAIN;
	wire_put_varint(out, d ? d->id : 0);
	wire_put_varint(out, (uint64_t)len << 1 | PACKED);
	if (!buf_reserve(out, len))
		return;
	size_t n = room ? compress(p, d, plain, len, out->data + out->len, room) : 0;
	if (n) {
		out->len += n;
		return;
	}
	out->len = at;
	wire_put_varint(out, 0);
	wire_put_varint(out, (uint64_t)len << 1);
	buf_add(out, plain, len);
}

size_t catpack_size(struct catpack *p, uint32_t dict, const uint8_t *plain, size_t len)
{
	uint8_t *to = mem_alloc(len + 1);
	size_t n = compress(p, dict_of(p, dict), plain, len, to, len);
	mem_free(to);
	return n ? n : len;
}

void catpack_unpacker_init(struct catpack_unpacker *u)
{
	u->_context = NULL;
	buf_init(&u->_plain);
}

void catpack_unpacker_release(struct catpack_unpacker *u)
{
	ZSTD_freeDCtx(u->_context);
	buf_release(&u->_plain);
	u->_context = NULL;
}

static size_t decompress(struct catpack_unpacker *u, const struct dict *d, size_t len,
    const uint8_t *data, size_t data_len)
{
	if (!u->_context && !(u->_context = ZSTD_createDCtx()))
		panic("no memory for a zstd context");
	buf_clear(&u->_plain);
	if (!buf_reserve(&u->_plain, len + 1))
		return 0;
	size_t n = d
	    ? ZSTD_decompress_usingDDict(u->_context, u->_plain.data, len, data, data_len, d->unpack)
	    : ZSTD_decompressDCtx(u->_context, u->_plain.data, len, data, data_len);
	return ZSTD_isError(n) ? 0 : n;
}

bool catpack_unpack(const struct catpack *p, struct catpack_unpacker *u, const uint8_t *packed,
    size_t packed_len, const uint8_t **plain, size_t *len, uint32_t *dict)
{
	struct wire_reader r = wire_reader(packed, packed_len);
	uint64_t id = wire_varint(&r), head = wire_varint(&r), want = head >> 1;
	const struct dict *d = id ? dict_of(p, id) : NULL;
	if (r.bad || (id && !d) || want > CATPACK_PLAIN_MAX)
		return false;
	*len = (size_t)want;
	if (dict)
		*dict = (uint32_t)id;
	bool good;
	if (head & PACKED) {
		good = want && decompress(u, d, *len, r.p, wire_left(&r)) == want;
	} else {
		good = want == wire_left(&r);
		buf_clear(&u->_plain);
		buf_reserve(&u->_plain, 1);
		buf_add(&u->_plain, r.p, good ? *len : 0);
	}
	*plain = u->_plain.data;
	return good;
}

enum err catpack_train(const uint8_t *samples, const size_t *sizes, size_t count, struct buf *out)
{
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += sizes[i];
	/* zstd wants samples of some ten times the dictionary. */
	size_t want = bytes / 8 < CATPACK_DICT_MAX ? bytes / 8 : CATPACK_DICT_MAX;
	if (count < TRAIN_LEAST || count > UINT32_MAX || want < 512)
		return ERR_NOTFOUND;
	size_t at = out->len;
	if (!buf_reserve(out, want))
		return ERR_NOMEM;
	size_t n = ZDICT_trainFromBuffer(out->data + at, want, samples, sizes, (unsigned)count);
	if (ZDICT_isError(n))
		return ERR_NOTFOUND;
	out->len += n;
	return ERR_OK;
}
