#include "proto/pbcount.h"

#include <string.h>

#include "proto/pbscan.h"

/*
 * protobuf-c keeps a note of this size of each field it meets: the first 16 of a message on its
 * stack, then in slabs of 32, 64, 128...
 */
#define NOTE_BYTES  32u
#define NOTES_FIRST 16u
#define BITMAP_FREE 128u /* fields of a message whose presence is noted on the stack */

struct count {
	size_t bytes, max;
};

static enum err add(struct count *c, size_t bytes)
{
	size_t piece = (bytes + 15 + !bytes) & ~(size_t)15;
	if (bytes > c->max || piece > c->max - c->bytes)
		return ERR_TOOBIG;
	c->bytes += piece;
	return ERR_OK;
}

static size_t element_bytes(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return 8;
	}
	return 8;
}

static bool is_plain(ProtobufCType t) /* one that may be packed */
{
	return t != PROTOBUF_C_TYPE_STRING && t != PROTOBUF_C_TYPE_BYTES &&
	    t != PROTOBUF_C_TYPE_MESSAGE;
}

/* Bytes of one element when it is packed; 0: those of a varint. */
static size_t packed_bytes(ProtobufCType t)
{
	bool four = t == PROTOBUF_C_TYPE_SFIXED32 || t == PROTOBUF_C_TYPE_FIXED32 ||
	    t == PROTOBUF_C_TYPE_FLOAT;
	bool eight = t == PROTOBUF_C_TYPE_SFIXED64 || t == PROTOBUF_C_TYPE_FIXED64 ||
	    t == PROTOBUF_C_TYPE_DOUBLE;
	return four ? 4 : eight ? 8 : t == PROTOBUF_C_TYPE_BOOL ? 1 : 0;
}

static size_t packed_count(const struct pbscan_field *f, ProtobufCType t)
{
	size_t n = 0, bytes = packed_bytes(t);
	if (bytes)
		return f->len / bytes;
	for (size_t i = 0; i < f->len; i++)
		n += f->data[i] < 0x80;
	return n;
}

/* Elements of all repeated fields of one message; each field has an array of its own. */
#define FIELDS_KNOWN 64u
struct message {
	uint64_t once; /* fields with one message that were met */
	size_t fields, unknown;
	size_t elements[FIELDS_KNOWN];
};

static enum err count_message(struct count *c, const ProtobufCMessageDescriptor *d,
    const uint8_t *p, size_t len, unsigned depth);

static enum err count_value(struct count *c, const ProtobufCFieldDescriptor *fd,
    const struct pbscan_field *f, unsigned depth)
{
	if (f->wire != PBSCAN_BYTES)
		return ERR_OK;
	if (fd->type == PROTOBUF_C_TYPE_STRING)
		return f->len && memchr(f->data, 0, f->len) ? ERR_BADDATA : add(c, f->len + 1);
	if (fd->type == PROTOBUF_C_TYPE_BYTES)
		return add(c, f->len);
	if (fd->type == PROTOBUF_C_TYPE_MESSAGE)
		return count_message(c, fd->descriptor, f->data, f->len, depth + 1);
	return ERR_OK;
}

static enum err count_field(struct count *c, const ProtobufCMessageDescriptor *d, struct message *m,
    const struct pbscan_field *f, unsigned depth)
{
	const ProtobufCFieldDescriptor *fd = f->number <= UINT32_MAX
	    ? protobuf_c_message_descriptor_get_field(d, (unsigned)f->number)
	    : NULL;
	if (!fd) {
		m->unknown++;
		return add(c, f->len + PBSCAN_VARINT_BYTES);
	}
	size_t at = (size_t)(fd - d->fields);
	if (at >= FIELDS_KNOWN)
		return ERR_UNSUPPORTED;
	if (fd->label == PROTOBUF_C_LABEL_REPEATED) {
		bool packed = f->wire == PBSCAN_BYTES && is_plain(fd->type);
		m->elements[at] += packed ? packed_count(f, fd->type) : 1;
	} else if (fd->type == PROTOBUF_C_TYPE_MESSAGE) {
		if (m->once & UINT64_C(1) << at)
			return ERR_UNSUPPORTED;
		m->once |= UINT64_C(1) << at;
	}
	return count_value(c, fd, f, depth);
}

/* What stands beside the values of a message. */
static enum err count_arrays(
    struct count *c, const ProtobufCMessageDescriptor *d, const struct message *m)
{
	enum err e = add(c, d->sizeof_message);
	for (size_t at = NOTES_FIRST, slab = 2 * NOTES_FIRST; at < m->fields && !e; slab *= 2) {
		e = add(c, slab * NOTE_BYTES);
		at += slab;
	}
	if (!e && d->n_fields > BITMAP_FREE)
		e = add(c, (d->n_fields + 7) / 8);
	if (!e && m->unknown)
		e = add(c, m->unknown * sizeof(ProtobufCMessageUnknownField));
	for (unsigned i = 0; i < d->n_fields && i < FIELDS_KNOWN && !e; i++)
		if (m->elements[i])
			e = add(c, m->elements[i] * element_bytes(d->fields[i].type));
	return e;
}

static enum err count_message(struct count *c, const ProtobufCMessageDescriptor *d,
    const uint8_t *p, size_t len, unsigned depth)
{
	struct message m = { 0 };
	struct pbscan_field f;
	enum err e = depth > PBCOUNT_DEPTH ? ERR_TOOBIG : ERR_OK;
	for (const uint8_t *end = p + len; p < end && !e;) {
		f = (struct pbscan_field){ 0 };
		if (!pbscan_next(&p, end, &f))
			return ERR_MALFORMED;
		m.fields++;
		e = count_field(c, d, &m, &f, depth);
	}
	return e ? e : count_arrays(c, d, &m);
}

enum err pbcount(const ProtobufCMessageDescriptor *desc, const uint8_t *data, size_t len,
    size_t max, size_t *bytes)
{
	struct count c = { .max = max };
	enum err e = len ? count_message(&c, desc, data, len, 0)
	                 : count_arrays(&c, desc, &(struct message){ 0 });
	*bytes = c.bytes;
	return e;
}
