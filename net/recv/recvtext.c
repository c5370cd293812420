#include "net/recv/recvtext.h"

#include "core/base/mem.h"
#include "net/recv/recvpack.h"
#include "proto/snapz.h"
#include "proto/unzstd.h"

#include <inttypes.h>
#include <string.h>

/* --- a block --- */

static enum err block_open(struct recvtext *t, struct errbuf *eb)
{
	char limit[LIMITS_TEXT_MAX];
	size_t len;
	const struct limits *l = t->of.limits;
	enum err e = snapz_length(t->in, t->in_len, &len);
	const char *looks = e ? recvpack_looks(t->in, t->in_len) : NULL;
	if (looks)
		return errbuf_set(
		    eb, ERR_MALFORMED, "the body looks like %s, must be a snappy block", looks);
	if (e == ERR_MALFORMED)
		return errbuf_set(eb, e, "the body is no snappy block");
	if (e || len > l->write_body_bytes)
		return errbuf_set(eb, ERR_TOOBIG, "the body unpacks to too much: %s",
		    limits_text(l, LIMITS_write_body_bytes, limit));
	t->unpacked = len;
	t->wants = len + SNAPZ_SLOP;
	t->wants_room = true;
	return ERR_OK;
}

static enum err block_more(struct recvtext *t, struct errbuf *eb)
{
	if (t->wants_room)
		return ERR_AGAIN;
	t->len = (size_t)t->unpacked;
	t->ended = true;
	if (snapz_decode(t->in, t->in_len, t->room, t->len))
		return errbuf_set(eb, ERR_MALFORMED, "the body is no whole snappy block");
	return ERR_OK;
}

/* --- what is packed --- */

static enum err packed_open(struct recvtext *t)
{
	t->room = mem_try(RECVTEXT_FIRST);
	if (!t->room)
		return ERR_NOMEM;
	t->data = t->room;
	t->cap = RECVTEXT_FIRST;
	return unpack_create(t->of.packed, &t->unpack);
}

static enum err packed_bounds(struct recvtext *t, struct errbuf *eb)
{
	char limit[LIMITS_TEXT_MAX];
	const struct limits *l = t->of.limits;
	if (t->unpacked > RECVTEXT_FREE && t->unpacked / RECVTEXT_RATIO > t->in_at)
		return errbuf_set(eb, ERR_TOOBIG, "the body unpacks to more than %u times its size",
		    RECVTEXT_RATIO);
	if (!t->of.lines && t->unpacked > l->write_body_bytes)
		return errbuf_set(eb, ERR_TOOBIG, "the body unpacks to more than the %s",
		    limits_text(l, LIMITS_write_body_bytes, limit));
	if (t->unpacked / RECVTEXT_UNPACKED > l->write_body_bytes)
		return errbuf_set(eb, ERR_TOOBIG, "the body unpacks to more than %u times the %s",
		    RECVTEXT_UNPACKED, limits_text(l, LIMITS_write_body_bytes, limit));
	return ERR_OK;
}

static enum err packed_wrong(const struct recvtext *t, enum err e, struct errbuf *eb)
{
	const char *name = unpack_name(t->of.packed);
	if (e == ERR_NOMEM)
		return e;
	if (e == ERR_TOOBIG)
		return errbuf_set(eb, e, "the body's %s needs a window of more than %u MiB", name,
		    UNZSTD_WINDOW_MAX >> 20);
	if (e == ERR_TRUNCATED)
		return errbuf_set(eb, e, "the body ends inside its %s", name);
	return errbuf_set(eb, e, "the body is no %s, at byte %zu", name, t->in_at);
}

/* One step; ERR_AGAIN: it wants memory. */
static enum err packed_step(struct recvtext *t, struct errbuf *eb)
{
	size_t used, got;
	enum err e = unpack_next(t->unpack, t->in + t->in_at, t->in_len - t->in_at, &used,
	    t->room + t->len, t->cap - t->len, &got);
	t->in_at += used;
	t->len += got;
	t->unpacked += got;
	if (e == ERR_AGAIN) {
		t->wants = unpack_wants(t->unpack);
		return e;
	}
	if (!e && !used && !got) {
		e = unpack_whole(t->unpack) ? ERR_OK : ERR_TRUNCATED;
		t->ended = true;
	}
	return e ? packed_wrong(t, e, eb) : packed_bounds(t, eb);
}

/* There is no room for a step: a window has a record that is larger, a whole body is. */
static enum err packed_full(struct recvtext *t, struct errbuf *eb)
{
	char limit[LIMITS_TEXT_MAX];
	const struct limits *l = t->of.limits;
	if (t->of.lines && t->cap >= l->write_body_bytes)
		return errbuf_set(eb, ERR_TOOBIG, "a %s has more than %zu bytes, %s", t->of.record,
		    t->cap, limits_text(l, LIMITS_write_body_bytes, limit));
	t->wants = t->cap;
	t->wants_room = true;
	return ERR_AGAIN;
}

static void packed_move(struct recvtext *t)
{
	if (!t->of.lines || !t->at)
		return;
	memmove(t->room, t->room + t->at, t->len - t->at);
	t->len -= t->at;
	t->at = 0;
}

static enum err packed_more(struct recvtext *t, struct errbuf *eb)
{
	packed_move(t);
	if (t->cap - t->len < UNPACK_STEP)
		return packed_full(t, eb);
	while (!t->ended && t->cap - t->len >= UNPACK_STEP) {
		enum err e = packed_step(t, eb);
		if (e)
			return e;
	}
	return ERR_OK;
}

/* --- any --- */

enum err recvtext_open(struct recvtext *t, const struct recvtext_of *of, const uint8_t *in,
    size_t len, struct errbuf *eb)
{
	*t = (struct recvtext){ .of = *of, .in = in, .in_len = len };
	switch (of->form) {
	case RECVTEXT_PLAIN:
		t->data = in;
		t->len = len;
		t->ended = true;
		return ERR_OK;
	case RECVTEXT_BLOCK:
		return block_open(t, eb);
	case RECVTEXT_PACKED:
		return packed_open(t);
	}
	return ERR_BUG;
}

enum err recvtext_more(struct recvtext *t, struct errbuf *eb)
{
	if (t->ended)
		return ERR_OK;
	return t->of.form == RECVTEXT_BLOCK ? block_more(t, eb) : packed_more(t, eb);
}

enum err recvtext_grow(struct recvtext *t)
{
	if (!t->wants_room) {
		unpack_allow(t->unpack);
		return ERR_OK;
	}
	uint8_t *more = mem_try_realloc(t->room, t->cap + t->wants);
	if (!more)
		return ERR_NOMEM;
	t->cap += t->wants;
	t->data = t->room = more;
	t->wants_room = false;
	return ERR_OK;
}

enum err recvtext_again(struct recvtext *t)
{
	t->at = 0;
	if (t->of.form != RECVTEXT_PACKED || !t->of.lines)
		return ERR_OK;
	unpack_free(t->unpack);
	t->unpack = NULL;
	t->in_at = t->len = 0;
	t->unpacked = 0;
	t->ended = false;
	return unpack_create(t->of.packed, &t->unpack);
}

void recvtext_release(struct recvtext *t)
{
	unpack_free(t->unpack);
	mem_free(t->room);
}
