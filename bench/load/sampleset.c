#include "bench/load/sampleset.h"

#include <stdlib.h>

#include "core/base/mem.h"

void sampleset_add(struct sampleset *s, uint64_t ns)
{
	if (!s->each)
		s->each = 1;
	if (s->seen++ % s->each)
		return;
	if (s->count == SAMPLESET_KEPT) {
		for (size_t i = 0; i < SAMPLESET_KEPT / 2; i++)
			s->ns[i] = s->ns[2 * i];
		s->count /= 2;
		s->each *= 2;
	}
	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 4096;
		s->ns = mem_array(s->ns, s->cap, sizeof(*s->ns));
	}
	s->ns[s->count++] = ns;
}

static int by_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

uint64_t sampleset_quantile(struct sampleset *s, double q)
{
	if (!s->count)
		return 0;
	qsort(s->ns, s->count, sizeof(*s->ns), by_u64);
	size_t at = (size_t)(q * (double)s->count);
	return s->ns[at < s->count ? at : s->count - 1];
}

void sampleset_clear(struct sampleset *s)
{
	s->count = 0;
	s->seen = 0;
	s->each = 1;
}

void sampleset_release(struct sampleset *s)
{
	mem_free(s->ns);
	*s = (struct sampleset){ 0 };
}
