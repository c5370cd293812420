/*
 * pbmem - a protobuf-c allocator on an arena with a limit: unpacked messages live as long as the
 * arena, nothing is freed one by one.
 *
 *   struct pbmem m;
 *   pbmem_init(&m, arena, 8 * body_len + 4096);
 *   msg = foo__unpack(&m.allocator, len, body);   NULL: malformed, or over the limit (pbmem_over)
 *
 * A hostile body can make protobuf-c ask for far more than the body's size, hence the limit.
 * Thread: as the arena.
 */
#ifndef PROTO_PBMEM_H
#define PROTO_PBMEM_H

#include "core/base/arena.h"
#include <protobuf-c/protobuf-c.h>

struct pbmem {
	ProtobufCAllocator allocator; /* valid while the pbmem stays where it is */
	struct arena *arena;
	size_t left_bytes;
	bool over;
};
void pbmem_init(struct pbmem *m, struct arena *a, size_t limit_bytes);
bool pbmem_over(const struct pbmem *m); /* an allocation was refused */

#endif
