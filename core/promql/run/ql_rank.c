#include "core/promql/run/ql_rank.h"

#include <math.h>
#include <string.h>

#define DIGITS    8
#define RUN_SHIFT 6 /* words of a run, runs of a long run: 64 */
#define SIGN      ((uint64_t)1 << 63)

static uint32_t runs_of(uint32_t words)
{
	return (words >> RUN_SHIFT) + 1;
}

/* Parts stand by falling alignment. */
size_t ql_rank_bytes(uint32_t count)
{
	uint32_t words = ql_words(count), runs = runs_of(words);
	return (size_t)count * 2 * sizeof(uint64_t) + (size_t)words * sizeof(uint64_t) +
	    (size_t)count * 2 * sizeof(uint32_t) +
	    ((size_t)runs + runs_of(runs)) * sizeof(uint32_t) + DIGITS * sizeof(uint32_t[256]);
}

void ql_rank_init(struct ql_rank *k, void *mem, uint32_t count)
{
	uint32_t words = ql_words(count), runs = runs_of(words);

	*k = (struct ql_rank){ .count = count, ._keys = mem };
	k->_keys2 = k->_keys + count;
	k->_bits = k->_keys2 + count;
	k->_ids = (uint32_t *)(k->_bits + words);
	k->_ranks = k->_ids + count;
	k->_runs = k->_ranks + count;
	k->_long_runs = k->_runs + runs;
	k->_digits = (uint32_t(*)[256])(k->_long_runs + runs_of(runs));
	memset(k->_runs, 0, ((size_t)runs + runs_of(runs)) * sizeof(uint32_t));
	memset(k->_digits, 0, DIGITS * sizeof(uint32_t[256]));
}

/* Keys stand as the values do, NaN first. */
static uint64_t key_of(double v)
{
	uint64_t bits = num_bits(v);
	if (isnan(v))
		return 0;
	return bits & SIGN ? ~bits : bits | SIGN;
}

static double value_of(uint64_t key)
{
	if (!key)
		return NAN;
	return num_from_bits(key & SIGN ? key ^ SIGN : ~key);
}

/* All memory is touched in its order here: the scattering below finds its pages. */
static void make_keys(struct ql_rank *k, const double *v, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		uint64_t key = key_of(v[i]);
		k->_keys[i] = key;
		k->_keys2[i] = 0;
		k->_ids[i] = i;
		k->_ranks[i] = 0;
		for (unsigned d = 0; d < DIGITS; d++)
			k->_digits[d][key >> 8 * d & 255]++;
	}
	memset(k->_bits + from / 64, 0, (ql_words(to) - from / 64) * sizeof(uint64_t));
}

/* The first digit from here on in which keys differ; counts become places. */
static void next_digit(struct ql_rank *k)
{
	while (k->_digit < DIGITS &&
	    k->_digits[k->_digit][k->_keys[0] >> 8 * k->_digit & 255] == k->count)
		k->_digit++;
	if (k->_digit == DIGITS) {
		k->_stage = QL_RANK_RANKS;
		return;
	}
	uint32_t *at = k->_digits[k->_digit], sum = 0;
	for (unsigned b = 0; b < 256; b++) {
		uint32_t n = at[b];
		at[b] = sum;
		sum += n;
	}
}

static void scatter(struct ql_rank *k, uint32_t from, uint32_t to)
{
	uint32_t *at = k->_digits[k->_digit];
	unsigned shift = 8 * k->_digit;

	for (uint32_t i = from; i < to; i++) {
		uint32_t place = at[k->_keys[i] >> shift & 255]++;
		k->_keys2[place] = k->_keys[i];
		k->_ranks[place] = k->_ids[i];
	}
}

static void swap_rooms(struct ql_rank *k)
{
	uint64_t *keys = k->_keys;
	uint32_t *ids = k->_ids;

	k->_keys = k->_keys2;
	k->_keys2 = keys;
	k->_ids = k->_ranks;
	k->_ranks = ids;
}

bool ql_rank_sort(struct ql_rank *k, const double *v, uint32_t most)
{
	uint32_t from = k->_pos, to = k->count - from < most ? k->count : from + most;

	k->_pos = to == k->count ? 0 : to;
	switch (k->_stage) {
	case QL_RANK_KEYS:
		make_keys(k, v, from, to);
		if (to == k->count) {
			k->_stage = QL_RANK_SORT;
			next_digit(k);
		}
		return false;
	case QL_RANK_SORT:
		scatter(k, from, to);
		if (to == k->count) {
			swap_rooms(k);
			k->_digit++;
			next_digit(k);
		}
		return false;
	case QL_RANK_RANKS:
		for (uint32_t i = from; i < to; i++)
			k->_ranks[k->_ids[i]] = i;
		if (to == k->count)
			k->_stage = QL_RANK_READY;
		return to == k->count;
	case QL_RANK_READY:
		break;
	}
	return true;
}

void ql_rank_in(struct ql_rank *k, uint32_t i)
{
	uint32_t rank = k->_ranks[i], word = rank / 64;
	k->_bits[word] |= (uint64_t)1 << rank % 64;
	k->_runs[word >> RUN_SHIFT]++;
	k->_long_runs[word >> 2 * RUN_SHIFT]++;
}

void ql_rank_out(struct ql_rank *k, uint32_t i)
{
	uint32_t rank = k->_ranks[i], word = rank / 64;
	k->_bits[word] &= ~((uint64_t)1 << rank % 64);
	k->_runs[word >> RUN_SHIFT]--;
	k->_long_runs[word >> 2 * RUN_SHIFT]--;
}

double ql_rank_at(const struct ql_rank *k, uint32_t nth)
{
	uint32_t at = 0;

	while (nth >= k->_long_runs[at])
		nth -= k->_long_runs[at++];
	at <<= RUN_SHIFT;
	while (nth >= k->_runs[at])
		nth -= k->_runs[at++];
	at <<= RUN_SHIFT;
	for (uint32_t n; nth >= (n = ql_popcount(k->_bits[at])); at++)
		nth -= n;
	uint64_t word = k->_bits[at];
	while (nth--)
		word &= word - 1;
	return value_of(k->_keys[at * 64 + (uint32_t)__builtin_ctzll(word)]);
}
