#include "core/promql/run/ql_sorter.h"

#include <string.h>

void ql_sorter_init(struct ql_sorter *s, struct arena *a, uint32_t count,
    int (*cmp)(const void *arg, uint32_t a, uint32_t b), const void *arg)
{
	*s = (struct ql_sorter){ .count = count, .cmp = cmp, .arg = arg, ._width = 1 };
	s->idx = arena_array(a, (size_t)count + 1, sizeof(*s->idx));
	s->_tmp = arena_array(a, (size_t)count + 1, sizeof(*s->_tmp));
	for (uint32_t i = 0; i < count; i++)
		s->idx[i] = i;
}

/* One merge of two runs; false when the slice ended inside it. */
static bool sorter_merge(struct ql_sorter *s, struct ql_run *x, uint32_t mid, uint32_t hi)
{
	while (s->_i < mid && s->_j < hi) {
		bool right = s->cmp(s->arg, s->idx[s->_i], s->idx[s->_j]) > 0;
		s->_tmp[s->_k++] = s->idx[right ? s->_j++ : s->_i++];
		if (ql_tick(x, s->work ? s->work : 16))
			return false;
	}
	while (s->_i < mid)
		s->_tmp[s->_k++] = s->idx[s->_i++];
	while (s->_j < hi)
		s->_tmp[s->_k++] = s->idx[s->_j++];
	memcpy(s->idx + s->_lo, s->_tmp + s->_lo, (size_t)(hi - s->_lo) * sizeof(*s->idx));
	return true;
}

static uint32_t least(uint64_t a, uint32_t b)
{
	return a < b ? (uint32_t)a : b;
}

bool ql_sorter_run(struct ql_sorter *s, struct ql_run *x)
{
	for (; s->_width < s->count; s->_width *= 2, s->_lo = 0) {
		while (s->_lo < s->count) {
			uint32_t mid = least((uint64_t)s->_lo + s->_width, s->count);
			uint32_t hi = least((uint64_t)mid + s->_width, s->count);
			if (!s->_open) {
				s->_i = s->_k = s->_lo;
				s->_j = mid;
				s->_open = true;
			}
			if (!sorter_merge(s, x, mid, hi))
				return false;
			s->_open = false;
			s->_lo = hi;
		}
	}
	return true;
}

int ql_vec_cmp_labels(const void *arg, uint32_t a, uint32_t b)
{
	const struct ql_vec *v = arg;
	return label_cmp(v->cols[a].ls, v->cols[b].ls);
}
