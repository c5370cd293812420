#include "proto/pbmem.h"

static void *pbmem_alloc(void *arg, size_t size)
{
	struct pbmem *m = arg;
	if (size > m->left_bytes) {
		m->over = true;
		return NULL;
	}
	void *p = arena_alloc(m->arena, size ? size : 1);
	if (!p) {
		m->over = true;
		return NULL;
	}
	m->left_bytes -= size;
	return p;
}

static void pbmem_no_free(void *arg, void *p)
{
	(void)arg;
	(void)p; /* the arena's end is the end of everything */
}

void pbmem_init(struct pbmem *m, struct arena *a, size_t limit_bytes)
{
	*m = (struct pbmem){
		.allocator = { .alloc = pbmem_alloc, .free = pbmem_no_free, .allocator_data = m },
		.arena = a,
		.left_bytes = limit_bytes,
	};
}

bool pbmem_over(const struct pbmem *m)
{
	return m->over;
}
