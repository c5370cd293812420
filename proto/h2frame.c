#include "proto/h2frame.h"

#include <string.h>

#define HEAD_BYTES     9u
#define PRIORITY_BYTES 5u

void h2frame_init(struct h2frame_scan *s)
{
	*s = (struct h2frame_scan){ .left = H2FRAME_PREFACE_LEN };
}

static bool is_padded(const uint8_t *head)
{
	return (head[3] == H2FRAME_DATA || head[3] == H2FRAME_HEADERS) &&
	    (head[4] & H2FRAME_PADDED) && (head[0] || head[1] || head[2]);
}

/* How many bytes of the head are needed; the padding of a padded frame is one of them. */
static uint8_t wanted(const struct h2frame_scan *s)
{
	return s->_got >= HEAD_BYTES && is_padded(s->_head) ? HEAD_BYTES + 1 : HEAD_BYTES;
}

static void read_head(struct h2frame_scan *s)
{
	const uint8_t *h = s->_head;
	struct h2frame *f = &s->frame;
	f->length = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2];
	f->type = h[3];
	f->flags = h[4];
	f->stream = ((uint32_t)h[5] & 0x7f) << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8];
	uint32_t around = is_padded(h) ? 1 + (uint32_t)h[9] : 0;
	if (f->type == H2FRAME_HEADERS && (f->flags & H2FRAME_PRIO))
		around += PRIORITY_BYTES;
	f->data = f->length > around ? f->length - around : 0;
	s->left = f->length - (s->_got - HEAD_BYTES);
	s->_got = 0;
}

size_t h2frame_next(struct h2frame_scan *s, const uint8_t *in, size_t len, bool *begun)
{
	size_t at = 0;
	*begun = false;
	if (!s->left) {
		while (at < len && s->_got < wanted(s))
			s->_head[s->_got++] = in[at++];
		if (s->_got < wanted(s))
			return at;
		read_head(s);
		*begun = true;
	}
	size_t n = len - at < s->left ? len - at : s->left;
	s->left -= (uint32_t)n;
	return at + n;
}
