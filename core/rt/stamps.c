#include "core/rt/stamps.h"

#include <stdatomic.h>

#include "core/base/mem.h"

#define COUNT 4096u /* a power of two */

struct stamps {
	_Atomic uint32_t counts[COUNT];
};

struct stamps *stamps_create(void)
{
	return mem_zalloc(sizeof(struct stamps));
}

void stamps_free(struct stamps *s)
{
	mem_free(s);
}

uint32_t stamps_of(const struct stamps *s, uint64_t hash)
{
	return atomic_load_explicit(&s->counts[hash % COUNT], memory_order_acquire);
}

void stamps_mark(struct stamps *s, uint64_t hash)
{
	atomic_fetch_add_explicit(&s->counts[hash % COUNT], 1, memory_order_acq_rel);
}
