/* Frames in bytes of any pieces. */
#include "tests/lib/tap.h"

#include "proto/h2frame.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static const char talk[] =
    PREFACE "\0\0\0\x04\0\0\0\0\0" /* SETTINGS */
            "\0\0\x05\0\x08\x80\0\0\x01\x04"
            "1234" /* DATA, all of it padding */
            "\0\0\x05\0\x08\0\0\0\x01\x01"
            "abc1"                             /* DATA, three bytes of it */
            "\0\0\x02\0\0\0\0\0\x03zz"         /* DATA */
            "\0\0\0\0\x09\0\0\0\x03"           /* DATA, PADDED without a padding */
            "\0\0\x02\0\x08\0\0\0\x03\xff\xff" /* DATA, padding longer than it */
            "\0\0\x07\x01\x28\0\0\0\x05\x01"
            "pppppx"                            /* HEADERS, priority and padding */
            "\0\0\x03\x09\x04\0\0\0\x05xyz"     /* CONTINUATION */
            "\x01\0\0\x55\xff\x7f\xff\xff\xff"; /* unknown, 64 KiB to come */

static const struct h2frame want[] = {
	{ H2FRAME_SETTINGS, 0, 0, 0, 0 },
	{ H2FRAME_DATA, H2FRAME_PADDED, 1, 5, 0 },
	{ H2FRAME_DATA, H2FRAME_PADDED, 1, 5, 3 },
	{ H2FRAME_DATA, 0, 3, 2, 2 },
	{ H2FRAME_DATA, H2FRAME_PADDED | H2FRAME_END_STREAM, 3, 0, 0 },
	{ H2FRAME_DATA, H2FRAME_PADDED, 3, 2, 0 },
	{ H2FRAME_HEADERS, H2FRAME_PADDED | H2FRAME_PRIO, 5, 7, 0 },
	{ H2FRAME_CONTINUATION, H2FRAME_END_HEADERS, 5, 3, 3 },
	{ 0x55, 0xff, 0x7fffffff, 65536, 65536 },
};

static bool same(const struct h2frame *a, const struct h2frame *b)
{
	return a->type == b->type && a->flags == b->flags && a->stream == b->stream &&
	    a->length == b->length && a->data == b->data;
}

int main(void)
{
	size_t len = sizeof(talk) - 1;
	for (size_t piece = 1; piece <= len; piece++) {
		struct h2frame_scan s;
		size_t frames = 0, wrong = 0;
		h2frame_init(&s);
		for (size_t at = 0; at < len;) {
			bool begun;
			size_t n = len - at < piece ? len - at : piece;
			size_t used = h2frame_next(&s, (const uint8_t *)talk + at, n, &begun);
			if (!used || used > n)
				break;
			at += used;
			if (begun) {
				wrong += frames >= COUNT_OF(want) || !same(&s.frame, &want[frames]);
				frames++;
			}
		}
		if (piece > 3 && piece < len && frames == COUNT_OF(want) && !wrong)
			continue;
		tap_ok(
		    frames == COUNT_OF(want) && !wrong, "all frames in pieces of %zu bytes", piece);
		tap_is_u64(s.left, 65536, "and what is still to come");
	}
	return tap_done();
}
