#include "storage/wal/walseg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/wire.h"

#define HEAD_MAGIC  0x31474f4c4f4d594bu /* "KYMOLOG1" */
#define FRAME_MAGIC 0xf7a3e1c9u
#define FRAME_LAST  0x80000000u /* in the length */
#define READ_PIECE  4096u       /* a failed read is tried again in such pieces, ... */
#define READ_TRIES  3u          /* ... each so often */
#define NAME_DIGITS 8
#define NAME_TAIL   ".seg"
#define ZERO_PIECE  (1u << 20) /* one write of zeroes */
/* So many before a sync: a longer one would hold up the log, which goes on beside it. */
#define ZERO_SYNC (2u << 20)

void walseg_name(uint32_t slot, char out[WALSEG_NAME_MAX])
{
	snprintf(out, WALSEG_NAME_MAX, "%08x" NAME_TAIL, slot);
}

bool walseg_name_parse(const char *name, uint32_t *slot)
{
	uint32_t v = 0;
	for (int i = 0; i < NAME_DIGITS; i++) {
		char c = name[i];
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	if (strcmp(name + NAME_DIGITS, NAME_TAIL) != 0)
		return false;
	*slot = v;
	return true;
}

static const char *const aside_names[] = {
	[WALSEG_DAMAGED] = "damaged-", [WALSEG_UNREAD] = "unread-", [WALSEG_WAITING] = "waiting-"
};

void walseg_aside_name(uint32_t slot, enum walseg_aside why, char out[WALSEG_ASIDE_NAME_MAX])
{
	snprintf(out, WALSEG_ASIDE_NAME_MAX, "%s%08x" NAME_TAIL, aside_names[why], slot);
}

bool walseg_aside_parse(const char *name, uint32_t *slot, enum walseg_aside *why)
{
	for (size_t i = 0; i < COUNT_OF(aside_names); i++) {
		size_t len = strlen(aside_names[i]);
		*why = (enum walseg_aside)i;
		if (strncmp(name, aside_names[i], len) == 0)
			return walseg_name_parse(name + len, slot);
	}
	return false;
}

void walseg_head_put(const struct walseg_head *h, uint8_t out[WALSEG_HEAD_BYTES])
{
	memset(out, 0, WALSEG_HEAD_BYTES);
	wire_store64(out, HEAD_MAGIC);
	wire_store32(out + 8, WALSEG_VERSION);
	wire_store32(out + 12, h->slot);
	wire_store64(out + 16, h->order);
	wire_store64(out + 24, h->salt);
	wire_store64(out + 32, h->first_seq);
	wire_store64(out + 40, h->prev_end);
	wire_store64(out + 48, h->size);
	wire_store32(out + 60, crc32c(0, out, 60));
}

/* Whole, but not for us to read. */
static bool head_is_later(const uint8_t in[WALSEG_HEAD_BYTES])
{
	return wire_load64(in) == HEAD_MAGIC && wire_load32(in + 8) > WALSEG_VERSION &&
	    wire_load32(in + 60) == crc32c(0, in, 60);
}

bool walseg_head_get(const uint8_t in[WALSEG_HEAD_BYTES], struct walseg_head *out)
{
	uint32_t version = wire_load32(in + 8);
	if (wire_load64(in) != HEAD_MAGIC || version < 1 || version > WALSEG_VERSION ||
	    wire_load32(in + 60) != crc32c(0, in, 60))
		return false;
	struct walseg_head h = { .slot = wire_load32(in + 12),
		.order = wire_load64(in + 16),
		.salt = wire_load64(in + 24),
		.first_seq = wire_load64(in + 32),
		.prev_end = wire_load64(in + 40),
		.size = wire_load64(in + 48) };
	/* The top bit is kept free, so that sums of sequences cannot wrap. */
	if (h.first_seq == 0 || h.first_seq >> 63 || h.prev_end >= h.first_seq || h.order == 0 ||
	    h.order >> 63)
		return false;
	*out = h;
	return true;
}

/* ---- Writing ---- */

static enum err zeroes_write(struct fsio_file *f, const uint8_t *zeroes, uint64_t bytes)
{
	enum err e = ERR_OK;
	for (uint64_t at = 0; !e && at < bytes; at += ZERO_PIECE) {
		uint64_t left = bytes - at;
		e = fsio_write_at(f, zeroes, left < ZERO_PIECE ? (size_t)left : ZERO_PIECE, at);
		if (!e && (at + ZERO_PIECE) % ZERO_SYNC == 0)
			e = fsio_sync(f);
	}
	return e ? e : fsio_sync(f);
}

/* Past the page cache when direct; where that is not to be had, as any file. */
static enum err make_zeroes(struct fsio_file *f, uint64_t bytes, bool direct)
{
	/* Allocate first: a disk that is full is found out before anything is written. */
	enum err e = fsio_allocate(f, bytes);
	void *zeroes = NULL;
	if (!e && posix_memalign(&zeroes, FSIO_BLOCK, ZERO_PIECE))
		return ERR_NOMEM;
	if (e)
		return e;
	memset(zeroes, 0, ZERO_PIECE);
	direct = direct && !fsio_direct(f, true);
	/* The smallest there will be: a disk of larger blocks refuses it here, not in a commit. */
	e = direct ? fsio_write_at(f, zeroes, FSIO_BLOCK, WALSEG_HEAD_COPY) : ERR_OK;
	e = e ? e : zeroes_write(f, zeroes, bytes);
	if (direct && e == ERR_IO && !fsio_direct(f, false))
		e = zeroes_write(f, zeroes, bytes);
	free(zeroes);
	return e;
}

enum err walseg_make(
    struct fsio_dir *dir, uint32_t slot, uint64_t bytes, bool direct, struct fsio_file **out)
{
	CHECK(bytes >= WALSEG_MIN_BYTES && bytes % WALSEG_BLOCK == 0);
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	struct fsio_file *f;
	enum err e = fsio_open(dir, name, FSIO_CREATE, &f);
	if (e)
		return e;
	e = make_zeroes(f, bytes, direct);
	if (!e)
		e = fsio_dir_sync(dir);
	if (e) {
		fsio_close(f);
		enum err r = fsio_remove(dir, name);
		(void)r; /* what stays has no head: the next start finds it as a spare */
		return e;
	}
	*out = f;
	return ERR_OK;
}

/* In blocks of their own, one after the other. */
static enum err heads_write(struct fsio_file *f, const uint8_t head[WALSEG_HEAD_BYTES])
{
	_Alignas(FSIO_BLOCK) uint8_t block[WALSEG_BLOCK] = { 0 };
	memcpy(block, head, WALSEG_HEAD_BYTES);
	enum err e = fsio_write_at(f, block, WALSEG_BLOCK, 0);
	return e ? e : fsio_write_at(f, block, WALSEG_BLOCK, WALSEG_HEAD_COPY);
}

enum err walseg_blank(struct fsio_file *f)
{
	static const uint8_t zeroes[WALSEG_HEAD_BYTES];
	enum err e = heads_write(f, zeroes);
	return e ? e : fsio_sync(f);
}

enum err walseg_head_write(struct fsio_file *f, const struct walseg_head *h)
{
	uint8_t head[WALSEG_HEAD_BYTES];
	walseg_head_put(h, head);
	return heads_write(f, head);
}

uint32_t walseg_salt_crc(uint64_t salt)
{
	uint8_t bytes[8];
	wire_store64(bytes, salt);
	return crc32c(0, bytes, sizeof(bytes));
}

static void frame_put(uint8_t out[WALSEG_FRAME_BYTES], uint32_t salt_crc, uint64_t seq,
    uint64_t synced, const void *payload, uint32_t len, uint32_t last)
{
	CHECK(len <= WALSEG_PAYLOAD_MAX);
	CHECK(synced < seq);
	wire_store32(out, FRAME_MAGIC);
	wire_store32(out + 4, len | last);
	wire_store64(out + 8, seq);
	wire_store64(out + 16, synced);
	uint32_t crc = crc32c(salt_crc, out, 24);
	wire_store32(out + 24, crc);
	wire_store32(out + 28, len ? crc32c(crc, payload, len) : crc);
}

void walseg_frame_put(uint8_t out[WALSEG_FRAME_BYTES], uint32_t salt_crc, uint64_t seq,
    uint64_t synced, const void *payload, uint32_t len)
{
	frame_put(out, salt_crc, seq, synced, payload, len, 0);
}

void walseg_frame_put_last(uint8_t out[WALSEG_FRAME_BYTES], uint32_t salt_crc, uint64_t seq,
    uint64_t synced, const void *payload, uint32_t len)
{
	frame_put(out, salt_crc, seq, synced, payload, len, FRAME_LAST);
}

/* ---- Reading ---- */

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i])
			return false;
	}
	return true;
}

/* One copy of the head, as walseg_reader_init. */
static enum err copy_read(struct walseg_reader *r, uint32_t slot, uint64_t at)
{
	uint8_t bytes[WALSEG_HEAD_BYTES] = { 0 };
	uint64_t left = at < r->size ? r->size - at : 0;
	size_t len = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
	enum err e = len ? r->_read(r->_arg, bytes, len, at) : ERR_OK;
	if (e)
		return e;
	if (all_zero(bytes, len))
		return ERR_NOTFOUND;
	if (head_is_later(bytes))
		return ERR_UNSUPPORTED;
	return walseg_head_get(bytes, &r->head) && r->head.slot == slot ? ERR_OK : ERR_DAMAGED;
}

/* Of two copies the one that says more: good, of a later format, not to be read, damaged, blank. */
static int copy_weight(enum err e)
{
	return e == ERR_OK         ? 4
	    : e == ERR_UNSUPPORTED ? 3
	    : e == ERR_DAMAGED     ? 1
	    : e == ERR_NOTFOUND    ? 0
	                           : 2;
}

enum err walseg_reader_init(struct walseg_reader *r, uint32_t slot, uint64_t size,
    enum err (*read)(void *arg, void *data, size_t len, uint64_t off), void *arg)
{
	*r = (struct walseg_reader){ .offset = WALSEG_DATA, .size = size, ._read = read, ._arg = arg };
	enum err e = copy_read(r, slot, 0);
	if (e) {
		enum err again = copy_read(r, slot, WALSEG_HEAD_COPY);
		e = copy_weight(again) > copy_weight(e) ? again : e;
	}
	if (!e && size < WALSEG_DATA) /* cut to less than frames need */
		e = ERR_DAMAGED;
	r->_salt_crc = walseg_salt_crc(r->head.salt);
	return e;
}

static enum err file_read(void *arg, void *data, size_t len, uint64_t off)
{
	return fsio_read_at(arg, data, len, off);
}

enum err walseg_reader_open(struct walseg_reader *r, uint32_t slot, struct fsio_file *f)
{
	*r = (struct walseg_reader){ 0 };
	uint64_t size;
	enum err e = fsio_size(f, &size);
	return e ? e : walseg_reader_init(r, slot, size, file_read, f);
}

void walseg_reader_release(struct walseg_reader *r)
{
	mem_free(r->_window);
	*r = (struct walseg_reader){ 0 };
}

/* Does a failed read tell of a bad place on the disk? What lacks memory or a right says nothing
 * of it. */
static bool is_bad_place(enum err e)
{
	return e == ERR_IO || e == ERR_TRUNCATED;
}

static enum err piece_read(struct walseg_reader *r, uint8_t *data, size_t len, uint64_t at)
{
	enum err e = ERR_IO;
	for (unsigned i = 0; e && i < READ_TRIES; i++)
		e = r->_read(r->_arg, data, len, at);
	return e;
}

/*
 * A place the disk cannot read is taken for zeroes: damage like any other, and what stands around
 * it is still found.
 */
static void read_all(struct walseg_reader *r, uint8_t *data, size_t len, uint64_t at)
{
	if (!r->_read(r->_arg, data, len, at))
		return;
	for (size_t done = 0, n; done < len; done += n) {
		n = len - done < READ_PIECE ? len - done : READ_PIECE;
		enum err e = piece_read(r, data + done, n, at + done);
		if (!e)
			continue;
		memset(data + done, 0, n);
		if (is_bad_place(e))
			r->unreadable_bytes += n;
		else if (!r->err)
			r->err = e;
	}
}

/* Bytes [at, at + len) of the file, or NULL when the file ends before. */
static const uint8_t *window(struct walseg_reader *r, uint64_t at, size_t len)
{
	if (at > r->size || r->size - at < len)
		return NULL;
	if (at >= r->_window_at && at + len <= r->_window_at + r->_window_len)
		return r->_window + (at - r->_window_at);
	size_t want = len > WALSEG_WINDOW_BYTES ? len : WALSEG_WINDOW_BYTES;
	if (r->size - at < want)
		want = (size_t)(r->size - at);
	if (want > r->_window_cap) {
		r->_window = mem_realloc(r->_window, want);
		r->_window_cap = want;
	}
	/* What the old window holds of the new one is moved, not read again. */
	size_t have = 0;
	if (at >= r->_window_at && at < r->_window_at + r->_window_len) {
		have = (size_t)(r->_window_at + r->_window_len - at);
		memmove(r->_window, r->_window + (at - r->_window_at), have);
	}
	read_all(r, r->_window + have, want - have, at + have);
	r->_window_at = at;
	r->_window_len = want;
	return r->_window;
}

bool walseg_readable(struct walseg_reader *r)
{
	for (uint64_t at = 0; at < r->size; at += WALSEG_WINDOW_BYTES) {
		uint64_t left = r->size - at;
		(void)window(r, at, left < WALSEG_WINDOW_BYTES ? (size_t)left : WALSEG_WINDOW_BYTES);
	}
	return !r->unreadable_bytes && !r->err;
}

/* Looks at one place. next: where the frame ends when its head can be believed, else 0. */
static bool frame_at(struct walseg_reader *r, uint64_t at, uint64_t *next, struct walseg_frame *out)
{
	*next = 0;
	const uint8_t *p = window(r, at, WALSEG_FRAME_BYTES);
	if (!p || wire_load32(p) != FRAME_MAGIC)
		return false;
	uint32_t word = wire_load32(p + 4), len = word & ~FRAME_LAST;
	uint32_t head_crc = crc32c(r->_salt_crc, p, 24);
	uint64_t seq = wire_load64(p + 8), synced = wire_load64(p + 16);
	uint32_t payload_crc = wire_load32(p + 28);
	if (wire_load32(p + 24) != head_crc || len > WALSEG_PAYLOAD_MAX || seq >> 63 ||
	    seq < r->head.first_seq || synced >= seq)
		return false;
	uint64_t space = walseg_frame_space(len);
	p = window(r, at, (size_t)space);
	if (!p)
		return false;
	*next = word & FRAME_LAST ? walseg_block_end(at + space) : at + space;
	p += WALSEG_FRAME_BYTES;
	if (payload_crc != (len ? crc32c(head_crc, p, len) : head_crc))
		return false;
	*out = (struct walseg_frame){
		.offset = at, .seq = seq, .synced = synced, .payload = p, .len = len
	};
	return true;
}

enum walseg_got walseg_next(struct walseg_reader *r, struct walseg_frame *out)
{
	r->_bad_next = 0;
	if (r->offset > r->size || r->size - r->offset < WALSEG_FRAME_BYTES)
		return WALSEG_END;
	uint64_t next;
	if (!frame_at(r, r->offset, &next, out)) {
		r->_bad_next = next;
		return r->err ? WALSEG_END : WALSEG_BAD;
	}
	r->offset = next;
	return WALSEG_FRAME;
}

/* The next place at or behind at where the magic stands; r->size when there is none. */
static uint64_t magic_find(struct walseg_reader *r, uint64_t at)
{
	while (at <= r->size && r->size - at >= WALSEG_FRAME_BYTES) {
		const uint8_t *p = window(r, at, WALSEG_FRAME_BYTES);
		CHECK(p);
		size_t n = (size_t)(r->_window_at + r->_window_len - at) / WALSEG_ALIGN;
		for (size_t i = 0; i < n; i++) {
			if (UNLIKELY(wire_load32(p + i * WALSEG_ALIGN) == FRAME_MAGIC))
				return at + i * WALSEG_ALIGN;
		}
		at += n * WALSEG_ALIGN;
	}
	return r->size;
}

enum walseg_got walseg_resync(struct walseg_reader *r, struct walseg_frame *out)
{
	uint64_t at = r->_bad_next ? r->_bad_next : r->offset + WALSEG_ALIGN;
	for (;;) {
		at = magic_find(r, at);
		if (at == r->size || r->err)
			return WALSEG_END;
		uint64_t next;
		if (frame_at(r, at, &next, out)) {
			r->offset = next;
			r->_bad_next = 0;
			return WALSEG_FRAME;
		}
		at = next ? next : at + WALSEG_ALIGN;
	}
}

bool walseg_begun(const struct walseg_reader *r)
{
	return r->_bad_next != 0;
}
