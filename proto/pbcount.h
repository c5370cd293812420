/*
 * pbcount - how much memory protobuf-c will take to unpack a message, found out before it is asked
 * to: a few bytes may say that there are many messages, each with all of its fields.
 *
 *   e = pbcount(desc, data, len, max, &bytes);   then charge bytes
 *   pbmem_init(&m, arena, bytes);  msg = protobuf_c_message_unpack(desc, &m.allocator, len, data);
 *
 * ERR_MALFORMED: it cannot be unpacked. ERR_TOOBIG: more than max, or nested deeper than
 * PBCOUNT_DEPTH. ERR_UNSUPPORTED: a field that holds one message is given twice; protobuf-c would
 * merge the two with copies of what is in them, as often as it is said. ERR_BADDATA: a text with a
 * NUL, which would end there for those who read what was unpacked.
 * The count is what protobuf-c 1.4 asks for, each piece rounded up to 16 bytes as an arena does.
 * Cost: one walk over the bytes, some 5 ns per field. Pure. Fuzz: tests/fuzz/fuzz_grpcf.c.
 */
#ifndef PROTO_PBCOUNT_H
#define PROTO_PBCOUNT_H

#include <protobuf-c/protobuf-c.h>

#include "core/base/err.h"

#define PBCOUNT_DEPTH 64u

MUST_CHECK enum err pbcount(const ProtobufCMessageDescriptor *desc, const uint8_t *data, size_t len,
    size_t max, size_t *bytes);

#endif
