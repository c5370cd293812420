/* What frames cost, and which streams may be named. */
#include "net/http/h2guard.h"
#include "tests/lib/tap.h"

static struct h2guard g;

static enum h2guard_verdict tell(
    uint8_t type, uint8_t flags, uint32_t stream, uint32_t data, bool live)
{
	struct h2frame f = {
		.type = type, .flags = flags, .stream = stream, .length = data, .data = data
	};
	return h2guard_frame(&g, &f, live, false, 1000000000);
}

static enum h2guard_verdict head(uint32_t stream)
{
	return tell(H2FRAME_HEADERS, H2FRAME_END_HEADERS, stream, 10, false);
}

/* How many of these are borne, 5,000 at most. */
static unsigned borne(uint8_t type, uint8_t flags, uint32_t stream, uint32_t data, bool live)
{
	unsigned n = 0;
	memset(&g, 0, sizeof(g));
	(void)head(1);
	h2guard_closed(&g, 1, false);
	while (n < 5000 && tell(type, flags, stream, data, live) == H2GUARD_FINE)
		n++;
	return n;
}

static void costs(void)
{
	static const uint8_t always[] = { H2FRAME_PRIORITY, H2FRAME_SETTINGS, H2FRAME_PING,
		H2FRAME_GOAWAY, H2FRAME_WINDOW_UPDATE, 10, 0x0c, 0x10, 0xff };
	for (size_t i = 0; i < COUNT_OF(always); i++)
		tap_is_u64(borne(always[i], 0, 1, 4, i % 2), LIMIT_H2_IDLE_FRAME_BURST,
		    "frames of type %u", always[i]);
	tap_is_u64(borne(H2FRAME_DATA, 0, 1, 0, true), LIMIT_H2_IDLE_FRAME_BURST, "empty DATA");
	tap_is_u64(borne(H2FRAME_DATA, H2FRAME_PADDED, 1, 0, true), LIMIT_H2_IDLE_FRAME_BURST,
	    "DATA of padding");
	tap_is_u64(borne(H2FRAME_DATA, 0, 1, 5, true), 5000, "but not DATA");
	tap_is_u64(borne(H2FRAME_DATA, 0, 1, 5, false), LIMIT_H2_IDLE_FRAME_BURST,
	    "unless its stream is closed");
	tap_is_u64(borne(H2FRAME_DATA, H2FRAME_END_STREAM, 1, 0, false), LIMIT_H2_IDLE_FRAME_BURST,
	    "its end, too");
	tap_is_u64(borne(H2FRAME_DATA, H2FRAME_END_STREAM, 1, 0, true),
	    1 + LIMIT_H2_IDLE_FRAME_BURST, "the end of an open stream costs nothing, once");
	tap_is_u64(borne(H2FRAME_HEADERS, H2FRAME_END_STREAM, 1, 5, true),
	    1 + LIMIT_H2_IDLE_FRAME_BURST, "trailers, too");
	tap_is_u64(borne(H2FRAME_HEADERS, 0, 1, 9, false), LIMIT_H2_IDLE_FRAME_BURST,
	    "HEADERS of a stream that was cut");
	tap_is_u64(borne(H2FRAME_RST_STREAM, 0, 1, 4, false), LIMIT_H2_RESET_BURST, "resets");
	tap_is_u64(borne(H2FRAME_CONTINUATION, 0, 1, 9, true), LIMIT_H2_CONTINUATIONS,
	    "CONTINUATION in a row");
	memset(&g, 0, sizeof(g));
	unsigned n = 0;
	for (; n < 5000; n++) {
		(void)head(1 + 2 * n);
		if (tell(H2FRAME_CONTINUATION, 0, 1 + 2 * n, 0, true))
			break;
	}
	tap_is_u64(n, LIMIT_H2_IDLE_FRAME_BURST, "empty CONTINUATION, one for each HEADERS");
	memset(&g, 0, sizeof(g));
	for (unsigned i = 0; i < 100; i++)
		h2guard_earn(&g);
	for (n = 0; n < 5000 && !tell(H2FRAME_WINDOW_UPDATE, 0, 0, 4, false); n++)
		;
	tap_is_u64(n, LIMIT_H2_IDLE_FRAME_BURST + 300, "our own data calls for three each");
	struct h2frame f = { .type = H2FRAME_HEADERS, .stream = 1, .data = 9 };
	memset(&g, 0, sizeof(g));
	for (n = 0; n < 5000 && !h2guard_frame(&g, &f, false, true, 1); n++)
		f.stream += 2;
	tap_is_u64(n, LIMIT_H2_IDLE_FRAME_BURST, "requests to a connection that drains");
}

static void streams(void)
{
	memset(&g, 0, sizeof(g));
	tap_ok(head(1) == H2GUARD_FINE && head(7) == H2GUARD_FINE, "streams go up");
	tap_is_i64(head(3), H2GUARD_PROTOCOL, "one that was passed over cannot be opened");
	tap_is_i64(head(5), H2GUARD_PROTOCOL, "nor the other");
	tap_is_i64(tell(H2FRAME_HEADERS, 0, 7, 5, true), H2GUARD_FINE, "trailers of an open one");
	h2guard_closed(&g, 1, true);
	h2guard_closed(&g, 7, false);
	tap_is_i64(head(1), H2GUARD_CLOSED, "one that the client ended is closed");
	tap_is_i64(head(7), H2GUARD_FINE, "trailers may cross our reset");
	tap_is_i64(head(9), H2GUARD_FINE, "and the next one comes");
	memset(&g, 0, sizeof(g));
	unsigned wrong = 0;
	/* Every third is opened, every fifth of these is cut; as far back as is remembered each
	 * is known. */
	for (uint32_t s = 1; s < 40000; s += 6) {
		wrong += head(s) != H2GUARD_FINE;
		h2guard_closed(&g, s, s % 5 != 0);
		for (uint32_t back = 2; back < 2 * H2GUARD_STREAMS && back < s; back += 2) {
			uint32_t t = s - back;
			enum h2guard_verdict v = s % 97 ? H2GUARD_FINE : head(t);
			if (s % 97)
				break;
			wrong += v !=
			        ((t - 1) % 6    ? H2GUARD_PROTOCOL
			                : t % 5 ? H2GUARD_CLOSED
			                        : H2GUARD_FINE) &&
			    v != H2GUARD_CALM;
		}
	}
	tap_is_u64(wrong, 0, "whatever was opened and cut, also around the ring");
	memset(&g, 0, sizeof(g));
	(void)head(3);
	h2guard_closed(&g, 3, false);
	(void)head(3 + 2 * H2GUARD_STREAMS);
	tap_is_i64(head(3), H2GUARD_CLOSED, "an older one counts as ended");
	tap_is_i64(head(5), H2GUARD_PROTOCOL, "a jump forgets all in between");
	tap_is_i64(head(2147483647), H2GUARD_FINE, "the last stream there is");
	h2guard_closed(&g, 1, false);
	tap_is_i64(head(2147483645), H2GUARD_PROTOCOL, "and below it");
}

int main(void)
{
	costs();
	streams();
	return tap_done();
}
