#include "core/base/near.h"

#include <string.h>

#define NEAR_MAX 64

static unsigned min2(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned near_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned row[3][NEAR_MAX + 1];
	unsigned *before = row[0], *last = row[1], *cur = row[2];
	a_len = a_len < NEAR_MAX ? a_len : NEAR_MAX;
	b_len = b_len < NEAR_MAX ? b_len : NEAR_MAX;
	for (unsigned j = 0; j <= b_len; j++)
		last[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		cur[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			bool same = a[i - 1] == b[j - 1];
			cur[j] = min2(min2(last[j] + 1, cur[j - 1] + 1), last[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cur[j] = min2(cur[j], before[j - 2] + 1);
		}
		unsigned *spare = before;
		before = last;
		last = cur;
		cur = spare;
	}
	return last[b_len];
}

const char *near_word(const char *word, size_t len, const char *const *known, size_t count)
{
	const char *best = NULL;
	unsigned best_distance = 0;
	if (len > NEAR_MAX) /* its distance would be cut short; no word we know is near */
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(known[i]);
		unsigned d = near_distance(word, len, known[i], n);
		unsigned most = (unsigned)((len > n ? len : n) + 2) / 3;
		if (d <= most && (!best || d < best_distance)) {
			best = known[i];
			best_distance = d;
		}
	}
	return best;
}
