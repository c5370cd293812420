/*
 * rw2_priv - what rw2.c and rw2_memory.c share: the memory of a loop.
 */
#ifndef PROTO_RW2_PRIV_H
#define PROTO_RW2_PRIV_H

#include "proto/rw2.h"

/* A string of the request: RW2_SYMBOL_BYTES. */
struct rw2_symbol {
	uint32_t at, len;    /* of its text in the body */
	uint32_t pair_name;  /* the name that it was put together with last */
	uint16_t pair_len;   /* of that label, whole; 0 = none */
	uint8_t meta_len;    /* of meta; 0 = none */
	const uint8_t *pair; /* its bytes among the labels */
	uint64_t meta;       /* of a metric name: the bytes of the metadata that was taken last */
};

struct rw2_known;
struct rw2_memory {
	struct rw2_symbol *symbols; /* [cap], of the request */
	uint32_t cap;
	const struct stamps *metas;
	struct rw2_known *known; /* [RW2_KNOWN], by hash; NULL = none yet */
	size_t known_bytes;      /* of their texts */
	uint32_t hand;           /* the next one to be forgotten when there are too many */
	uint64_t request;        /* its number; what it has given once it does not give again */
};

/* Is there nothing new in it? Otherwise it may go into the batch, with its stamp. */
bool rw2_memory_knows(struct rw2_memory *m, uint32_t tenant, struct batch_meta *meta);
/* After a request: a table grown large is not kept. */
void rw2_memory_trim(struct rw2_memory *m);

#endif
