/*
 * pbscan - the fields of a protobuf message, one after the other, in place.
 *
 * What protobuf-c takes is taken: tags and lengths of at most PBSCAN_TAG_BYTES, varints of ten; no
 * groups. Any bytes are safe. Thread: pure.
 */
#ifndef PROTO_PBSCAN_H
#define PROTO_PBSCAN_H

#include "core/base/check.h"
#include "core/base/wire.h"

enum {
	PBSCAN_VARINT = 0,
	PBSCAN_FIXED64 = 1,
	PBSCAN_BYTES = 2,
	PBSCAN_FIXED32 = 5
};
#define PBSCAN_TAG_BYTES    5 /* longer tags and lengths are malformed */
#define PBSCAN_VARINT_BYTES 10

struct pbscan_field {
	const uint8_t *start; /* its tag */
	uint64_t number, value;
	const uint8_t *data; /* BYTES, FIXED64, FIXED32 */
	size_t len;          /* of data */
	unsigned wire;
};

static inline bool pbscan_varint(
    const uint8_t **p, const uint8_t *end, size_t bytes_max, uint64_t *out)
{
	uint64_t v = 0;
	const uint8_t *q = *p;
	for (size_t i = 0; i < bytes_max && q < end; i++) {
		uint8_t byte = *q++;
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*p = q;
			*out = v;
			return true;
		}
	}
	return false;
}

/*
 * Varint of at most eight bytes at p, all eight readable; returns its length, 0 when it is longer.
 */
static inline size_t pbscan_short_varint(const uint8_t *p, uint64_t *out)
{
	uint64_t w = wire_load64(p), stop = ~w & 0x8080808080808080u;
	if (UNLIKELY(!stop))
		return 0;
	w &= stop ^ (stop - 1); /* up to the first byte without the continuation bit */
	w = (w & 0x007f007f007f007fu) | (w & 0x7f007f007f007f00u) >> 1;
	w = (w & 0x00003fff00003fffu) | (w & 0x3fff00003fff0000u) >> 2;
	w = (w & 0x000000000fffffffu) | (w & 0x0fffffff00000000u) >> 4;
	*out = w;
	return (size_t)__builtin_ctzll(stop) / 8 + 1;
}

/*
 * Length of a field of bytes at p in one or two bytes, shortest form; 0 when it is anything else.
 */
static inline size_t pbscan_short_len(const uint8_t *p, size_t *len)
{
	if (LIKELY(p[0] < 0x80)) {
		*len = p[0];
		return 1;
	}
	if (LIKELY(p[1] < 0x80 && p[1])) {
		*len = (size_t)(p[0] & 0x7f) | (size_t)p[1] << 7;
		return 2;
	}
	return 0;
}

/* The next field of a message; false: malformed. p < end. */
static inline bool pbscan_next(const uint8_t **p, const uint8_t *end, struct pbscan_field *f)
{
	uint64_t tag;
	f->start = *p;
	if (!pbscan_varint(p, end, PBSCAN_TAG_BYTES, &tag))
		return false;
	f->number = tag >> 3;
	f->wire = (unsigned)(tag & 7);
	switch (f->wire) {
	case PBSCAN_VARINT:
		f->data = *p;
		f->len = 0;
		return pbscan_varint(p, end, PBSCAN_VARINT_BYTES, &f->value);
	case PBSCAN_FIXED64:
		f->data = *p;
		f->len = 8;
		break;
	case PBSCAN_BYTES:
		if (!pbscan_varint(p, end, PBSCAN_TAG_BYTES, &f->value) ||
		    f->value > (size_t)(end - *p))
			return false;
		f->data = *p;
		f->len = (size_t)f->value;
		break;
	case PBSCAN_FIXED32:
		f->data = *p;
		f->len = 4;
		break;
	default:
		return false; /* groups left the language long ago */
	}
	if (f->len > (size_t)(end - *p))
		return false;
	*p += f->len;
	return true;
}

#endif
