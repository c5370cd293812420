#include "core/base/msort.h"

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

void msort_begin(struct msort *s, const void **items, const void **room, size_t n, msort_cmp cmp)
{
	*s = (struct msort){ .items = items, ._room = room, ._n = n, ._width = 1, ._cmp = cmp };
}

/* One step of the merge of [_at, mid) and [mid, end) into the room; false: both are used up. */
static bool merge_step(struct msort *s, size_t mid, size_t end)
{
	size_t to = s->_l + s->_r - mid;
	bool left = s->_l < mid;

	if (!left && s->_r == end)
		return false;
	if (left && s->_r < end)
		left = s->_cmp(s->items[s->_l], s->items[s->_r]) <= 0;
	s->_room[to] = left ? s->items[s->_l++] : s->items[s->_r++];
	return true;
}

static void next_width(struct msort *s)
{
	const void **merged = s->_room;

	s->_room = s->items;
	s->items = merged;
	s->_width = s->_width > s->_n / 2 ? s->_n : s->_width * 2;
	s->_at = 0;
}

bool msort_run(struct msort *s, size_t steps)
{
	while (s->_width < s->_n) {
		size_t mid = s->_at + least(s->_width, s->_n - s->_at);
		size_t end = mid + least(s->_width, s->_n - mid);
		if (!s->_merging) {
			s->_l = s->_at;
			s->_r = mid;
			s->_merging = true;
		}
		do {
			if (!steps--)
				return false;
		} while (merge_step(s, mid, end));
		s->_merging = false;
		s->_at = end;
		if (s->_at == s->_n)
			next_width(s);
	}
	return true;
}
