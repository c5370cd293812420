#include "storage/block/bpages.h"

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/wire.h"

#include <snappy-c.h>
#include <zstd.h>

#define HEAD   7u
#define SNAPPY 8u
#define ZSTD   16u

enum fragment {
	PAGE_END,
	WHOLE,
	FIRST,
	MIDDLE,
	LAST
};

void bpages_init(struct bpages *p)
{
	*p = (struct bpages){ 0 };
	buf_init(&p->packed);
	buf_init(&p->plain);
}

void bpages_release(struct bpages *p)
{
	buf_release(&p->packed);
	buf_release(&p->plain);
	ZSTD_freeDCtx(p->_zstd);
}

void bpages_cut(struct bpages *p)
{
	p->begun = false;
	buf_clear(&p->packed);
}

void bpages_feed(struct bpages *p, const uint8_t *page, size_t len)
{
	p->page = page;
	p->len = len;
	p->at = 0;
}

/* ---- a record is unpacked ---- */

static bool unpack_snappy(struct bpages *p)
{
	const char *in = (const char *)p->packed.data;
	size_t len;
	if (snappy_uncompressed_length(in, p->packed.len, &len) != SNAPPY_OK ||
	    len > BPAGES_RECORD_MAX || len > p->packed.len * 64 + 64)
		return false;
	buf_clear(&p->plain);
	buf_reserve(&p->plain, len + 1);
	p->plain.len = len;
	return snappy_uncompress(in, p->packed.len, (char *)p->plain.data, &len) == SNAPPY_OK;
}

/* Frames need not tell what they hold. */
static bool unpack_zstd(struct bpages *p)
{
	if (!p->_zstd)
		p->_zstd = ZSTD_createDCtx();
	if (!p->_zstd)
		return false;
	ZSTD_inBuffer in = { .src = p->packed.data, .size = p->packed.len };
	size_t r = ZSTD_DCtx_reset(p->_zstd, ZSTD_reset_session_only);
	buf_clear(&p->plain);
	for (size_t step = 64u << 10; !ZSTD_isError(r); step *= 2) {
		if (p->plain.len > BPAGES_RECORD_MAX)
			return false;
		buf_reserve(&p->plain, step);
		ZSTD_outBuffer out = { .dst = p->plain.data + p->plain.len, .size = step };
		r = ZSTD_decompressStream(p->_zstd, &out, &in);
		p->plain.len += out.pos;
		if (!ZSTD_isError(r) && in.pos == in.size && out.pos < step)
			return r == 0;
	}
	return false;
}

static enum bpages_result bad(struct bpages *p, const char *what)
{
	p->what = what;
	p->at = p->len;
	bpages_cut(p);
	return BPAGES_BAD;
}

static enum bpages_result record(struct bpages *p, uint8_t head)
{
	const struct buf *from = head & (SNAPPY | ZSTD) ? &p->plain : &p->packed;
	p->begun = false;
	if (head & SNAPPY ? !unpack_snappy(p) : head & ZSTD ? !unpack_zstd(p) : false)
		return bad(p, "a record cannot be unpacked");
	p->rec = from->data;
	p->rec_len = from->len;
	return BPAGES_RECORD;
}

/* ---- fragments ---- */

/* May one of this type stand here? One that begins while another is begun ends that. */
static bool in_order(const struct bpages *p, unsigned type)
{
	return type == WHOLE || type == FIRST ? !p->begun : p->begun;
}

/* The data of the next fragment; NULL: the page ends, or is bad (p->what). */
static const uint8_t *fragment(struct bpages *p, uint8_t *head, size_t *len)
{
	const uint8_t *f = p->page + p->at;
	size_t left = p->len - p->at;
	p->what = NULL;
	if (!left)
		return NULL;
	*head = *f;
	if ((*head & 7) == PAGE_END) {
		for (size_t i = 0; i < left; i++)
			if (f[i])
				p->what = "something stands behind the end of a page";
		return NULL;
	}
	if (left < HEAD) {
		p->what = "the head of a fragment is cut";
		return NULL;
	}
	*len = (size_t)f[1] << 8 | f[2];
	if (*len > left - HEAD)
		p->what = "a fragment is cut";
	else if (crc32c(0, f + HEAD, *len) != __builtin_bswap32(wire_load32(f + 3)))
		p->what = "the checksum of a fragment is wrong";
	else if (*head >> 5 || (*head & 7) > LAST)
		p->what = "a fragment is of no known type";
	return p->what ? NULL : f + HEAD;
}

enum bpages_result bpages_next(struct bpages *p)
{
	if (!p->begun)
		buf_clear(&p->packed);
	for (;;) {
		uint8_t head = 0;
		size_t len = 0;
		const uint8_t *data = fragment(p, &head, &len);
		if (!data && p->what)
			return bad(p, p->what);
		if (!data) {
			p->at = p->len;
			return BPAGES_EMPTY;
		}
		p->at += HEAD + len;
		unsigned type = head & 7;
		if (!in_order(p, type)) {
			if (type == MIDDLE || type == LAST) /* its beginning was lost, and told */
				continue;
			bpages_cut(p);
		}
		if (p->packed.len + len > BPAGES_RECORD_MAX)
			return bad(p, "a record is too long");
		buf_add(&p->packed, data, len);
		p->begun = true;
		if (type == WHOLE || type == LAST)
			return record(p, head);
	}
}
