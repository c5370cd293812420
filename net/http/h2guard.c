#include "net/http/h2guard.h"

#include <string.h>

#define EARNED_PER_FRAME 3u
#define EARNED_MAX       4096u

/* --- buckets --- */

static enum h2guard_verdict idle(struct h2guard *g, uint64_t now_ns)
{
	if (g->_earned) {
		g->_earned--;
		return H2GUARD_FINE;
	}
	return limit_bucket_take(
	           &g->_idle, now_ns, LIMIT_H2_IDLE_FRAME_BURST, LIMIT_H2_IDLE_FRAME_PER_S)
	    ? H2GUARD_FINE
	    : H2GUARD_CALM;
}

static enum h2guard_verdict reset(struct h2guard *g, uint64_t now_ns)
{
	return limit_bucket_take(&g->_resets, now_ns, LIMIT_H2_RESET_BURST, LIMIT_H2_RESET_PER_S)
	    ? H2GUARD_FINE
	    : H2GUARD_CALM;
}

enum h2guard_verdict h2guard_reset_sent(struct h2guard *g, uint64_t now_ns)
{
	return reset(g, now_ns);
}

void h2guard_earn(struct h2guard *g)
{
	g->_earned += EARNED_PER_FRAME;
	if (g->_earned > EARNED_MAX)
		g->_earned = EARNED_MAX;
}

/* --- streams: clients have the odd ones --- */

static uint64_t *word(uint64_t *bits, uint32_t stream)
{
	return &bits[stream / 2 % H2GUARD_STREAMS / 64];
}

static uint64_t bit(uint32_t stream)
{
	return UINT64_C(1) << (stream / 2 % 64);
}

static bool is_known(const struct h2guard *g, uint32_t stream)
{
	return stream <= g->_last && g->_last / 2 - stream / 2 < H2GUARD_STREAMS;
}

/* A new highest stream; those in between were never opened. */
static void open_stream(struct h2guard *g, uint32_t stream)
{
	uint32_t gap = stream / 2 - g->_last / 2;
	if (!g->_last || gap >= H2GUARD_STREAMS) {
		memset(g->_opened, 0, sizeof(g->_opened));
		memset(g->_ended, 0, sizeof(g->_ended));
		memset(g->_cut, 0, sizeof(g->_cut));
	} else {
		for (uint32_t s = g->_last + 2; s <= stream; s += 2) {
			*word(g->_opened, s) &= ~bit(s);
			*word(g->_ended, s) &= ~bit(s);
			*word(g->_cut, s) &= ~bit(s);
		}
	}
	*word(g->_opened, stream) |= bit(stream);
	g->_last = stream;
}

/* A frame of an open stream: had the client ended it before? */
static bool behind_end(struct h2guard *g, uint32_t stream, bool ends)
{
	if (!is_known(g, stream))
		return false;
	bool had = *word(g->_ended, stream) & bit(stream);
	if (ends)
		*word(g->_ended, stream) |= bit(stream);
	return had;
}

void h2guard_closed(struct h2guard *g, uint32_t stream, bool client_done)
{
	if (!client_done && is_known(g, stream))
		*word(g->_cut, stream) |= bit(stream);
}

static enum h2guard_verdict headers(
    struct h2guard *g, const struct h2frame *f, bool live, bool draining, uint64_t now_ns)
{
	uint32_t stream = f->stream;
	bool ends = f->flags & H2FRAME_END_STREAM;
	g->_continuations = 0;
	if (stream % 2 == 0) /* nghttp2 refuses them */
		return H2GUARD_FINE;
	if (live) /* trailers */
		return behind_end(g, stream, ends) ? idle(g, now_ns) : H2GUARD_FINE;
	if (stream > g->_last) {
		open_stream(g, stream);
		(void)behind_end(g, stream, ends);
		return draining ? idle(g, now_ns) : H2GUARD_FINE;
	}
	if (!is_known(g, stream))
		return H2GUARD_CLOSED;
	if (!(*word(g->_opened, stream) & bit(stream)))
		return H2GUARD_PROTOCOL;
	return *word(g->_cut, stream) & bit(stream) ? idle(g, now_ns) : H2GUARD_CLOSED;
}

/* --- frames --- */

enum h2guard_verdict h2guard_frame(
    struct h2guard *g, const struct h2frame *f, bool live, bool draining, uint64_t now_ns)
{
	bool ends = f->flags & H2FRAME_END_STREAM;
	switch (f->type) {
	case H2FRAME_DATA:
		return live && (f->data || ends) && !behind_end(g, f->stream, ends)
		    ? H2GUARD_FINE
		    : idle(g, now_ns);
	case H2FRAME_HEADERS:
		return headers(g, f, live, draining, now_ns);
	case H2FRAME_RST_STREAM:
		return reset(g, now_ns);
	case H2FRAME_CONTINUATION:
		if (++g->_continuations > LIMIT_H2_CONTINUATIONS)
			return H2GUARD_CALM;
		return f->data ? H2GUARD_FINE : idle(g, now_ns);
	case H2FRAME_PUSH_PROMISE: /* an error of the connection, which nghttp2 tells */
		return H2GUARD_FINE;
	default:
		return idle(g, now_ns);
	}
}
