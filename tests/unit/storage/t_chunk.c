/*
 * Streams: everything comes back bit for bit from every kernel; any bytes are safe and all kernels
 * agree on them; usual shapes are small.
 */
#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/num.h"
#include "core/model/sample.h"
#include "storage/chunk/bitpack.h"
#include "storage/chunk/chunk.h"
#include "tests/lib/tap.h"
#include "tests/unit/storage/columns.h"

#include <stdlib.h>

#define GUARD 0x5a5a5a5a5a5a5a5au
static const enum chunk_kernel kernels[] = { CHUNK_KERNEL_PLAIN, CHUNK_KERNEL_AVX2,
	CHUNK_KERNEL_AVX512 };
static uint64_t rnd = 20261120;

static bool same(const void *a, const void *b, size_t n)
{
	return memcmp(a, b, n * 8) == 0;
}

/*
 * Decodes from memory of exactly len bytes, so that sanitizers see a read outside; the place behind
 * the output must stay.
 */
/* Parts of what was decoded, decoded alone. */
static bool parts_back(const uint8_t *p, size_t len, const double *v, size_t n)
{
	double *out = malloc((n + 1) * 8);
	bool good = true;
	for (unsigned i = 0; i < 8 && good; i++) {
		size_t from = columns_below(&rnd, n + 1), count = columns_below(&rnd, n - from + 1);
		if (i == 0)
			from = n - (count = 1);
		out[count] = columns_bits(GUARD);
		good = !chunk_values_decode_part(p, len, n, from, count, out) &&
		    same(v + from, out, count) && num_bits(out[count]) == GUARD;
	}
	free(out);
	return good;
}

static bool values_back(const uint8_t *p, size_t len, const double *v, size_t n)
{
	uint8_t *exact = malloc(len);
	double *out = malloc((n + 1) * 8);
	size_t used = 0;
	memcpy(exact, p, len);
	out[n] = columns_bits(GUARD);
	enum err e = chunk_values_decode(exact, len, n, out, &used);
	bool good = !e && used == len && same(v, out, n) && num_bits(out[n]) == GUARD &&
	    parts_back(exact, len, v, n);
	free(exact);
	free(out);
	return good;
}

static bool times_back(const uint8_t *p, size_t len, const int64_t *t, size_t n, int64_t base)
{
	uint8_t *exact = malloc(len);
	int64_t *out = malloc((n + 1) * 8);
	size_t used = 0;
	memcpy(exact, p, len);
	out[n] = GUARD;
	enum err e = chunk_times_decode(exact, len, n, base, out, &used);
	bool good = !e && used == len && same(t, out, n) && (uint64_t)out[n] == GUARD;
	free(exact);
	free(out);
	return good;
}

static size_t some_n(void)
{
	static const size_t special[] = { 1, 2, 3, 7, 8, 9, 127, 128, 129, 255, 256, 257, 480, 4096,
		8191, 8192 };
	return columns_below(&rnd, 3) ? 1 + columns_below(&rnd, 600)
	                              : special[columns_below(&rnd, COUNT_OF(special))];
}

static void round_trips(enum chunk_kernel k)
{
	static double v[CHUNK_SAMPLES_MAX];
	static int64_t t[CHUNK_SAMPLES_MAX];
	struct buf b;
	buf_init(&b);
	bool values = true, times = true, bounds = true;
	for (unsigned round = 0; round < 40; round++)
		for (unsigned shape = 0; shape < COLUMNS_SHAPES; shape++)
			for (unsigned effort = 0; effort < CHUNK_EFFORTS; effort++) {
				size_t n = some_n();
				columns_values(&rnd, shape, v, n);
				if (n > 300 &&
				    columns_below(&rnd, 4) ==
				        0) /* another shape follows inside the stream */
					columns_values(&rnd,
					    (unsigned)columns_below(&rnd, COLUMNS_SHAPES),
					    v + n / 3, n / 2);
				buf_clear(&b);
				chunk_values_encode(v, n, (enum chunk_effort)effort, &b);
				bool good = values_back(b.data, b.len, v, n);
				if (!good && values)
					tap_note("shape %u n %zu effort %u", shape, n, effort);
				values &= good;
				bounds &= b.len <= CHUNK_STREAM_MAX(n);
				unsigned kind = shape % COLUMNS_TIMES;
				int64_t base = columns_below(&rnd, 2) ? 1795168800000 : 0;
				columns_times(&rnd, kind, t, n);
				buf_clear(&b);
				chunk_times_encode(t, n, base, (enum chunk_effort)effort, &b);
				good = times_back(b.data, b.len, t, n, base);
				if (!good && times)
					tap_note("times %u n %zu effort %u", kind, n, effort);
				times &= good;
				bounds &= b.len <= CHUNK_STREAM_MAX(n);
			}
	tap_ok(values, "values come back bit for bit (kernel %u)", (unsigned)k);
	tap_ok(times, "times come back exactly (kernel %u)", (unsigned)k);
	tap_ok(bounds, "no stream is longer than its bound (kernel %u)", (unsigned)k);
	buf_release(&b);
}

/* Every kernel must say the same about any bytes. */
static void hostile_bytes(void)
{
	static double v[2000], first[2000], other[2000];
	struct buf b;
	buf_init(&b);
	unsigned wrong = 0, refused = 0, taken = 0;
	for (unsigned round = 0; round < 6000; round++) {
		size_t n = 1 + columns_below(&rnd, 600);
		columns_values(&rnd, (unsigned)columns_below(&rnd, COLUMNS_SHAPES), v, n);
		buf_clear(&b);
		chunk_values_encode(v, n, round & 1 ? CHUNK_COLD : CHUNK_BEST, &b);
		size_t len = b.len;
		unsigned kind = (unsigned)columns_below(&rnd, 3);
		for (unsigned i = 0; i <= columns_below(&rnd, 4) && kind < 2; i++)
			b.data[columns_below(&rnd, columns_below(&rnd, 2) ? len : (len < 12 ? len : 12))] ^=
			    (uint8_t)(1u << columns_below(&rnd, 8));
		if (kind == 2)
			len = columns_below(&rnd, len);
		uint8_t *exact = malloc(len + 1);
		memcpy(exact, b.data, len);
		exact = realloc(exact, len ? len : 1);
		memset(first, 0, sizeof(first));
		chunk_kernel_use(CHUNK_KERNEL_PLAIN);
		enum err want = chunk_values_decode(exact, len, n, first, NULL);
		int64_t *as_times = malloc(n * 8);
		(void)!chunk_times_decode(exact, len, n, 5, as_times, NULL);
		free(as_times);
		for (unsigned k = 1; k < COUNT_OF(kernels); k++) {
			if (!chunk_kernel_use(kernels[k]))
				continue;
			memset(other, 0, sizeof(other));
			enum err got = chunk_values_decode(exact, len, n, other, NULL);
			wrong += got != want || (!got && !same(first, other, n));
			wrong += !got && !parts_back(exact, len, first, n);
		}
		want ? refused++ : taken++;
		free(exact);
	}
	tap_ok(wrong == 0, "kernels agree on damaged streams (%u refused, %u decoded)", refused,
	    taken);
	tap_ok(refused > 0 && taken > 0, "both answers were seen");
	buf_release(&b);
}

static void kernels_agree(void)
{
	uint64_t v[BITPACK_MAX], a[BITPACK_MAX + 8], c[BITPACK_MAX + 8];
	uint8_t packed[BITPACK_MAX * 8 + BITPACK_SLACK + 8];
	const struct bitpack_ops *fast[] = { bitpack_have_avx2() ? &bitpack_avx2 : NULL,
		bitpack_have_avx512() ? &bitpack_avx512 : NULL };
	bool pack = true, sums = true, doubles = true;
	for (unsigned w = 0; w <= 64; w = w == BITPACK_WIDTH_MAX ? 64 : w + 1)
		for (unsigned n = 1; n <= BITPACK_MAX; n++) {
			for (unsigned i = 0; i < n; i++)
				v[i] = w == 0 ? 0 : columns_rand(&rnd) >> (64 - w);
			memset(packed, 0xff, sizeof(packed));
			pack &= bitpack_pack(packed, v, n, w) == packed + bitpack_bytes(n, w);
			bitpack_plain.unpack(packed, w, n, a);
			pack &= same(a, v, n);
			for (unsigned f = 0; f < COUNT_OF(fast); f++) {
				if (!fast[f])
					continue;
				fast[f]->unpack(packed, w, n, c);
				pack &= same(c, v, n);
				uint64_t x = columns_rand(&rnd), y = columns_rand(&rnd),
				         z = columns_rand(&rnd);
				memcpy(a, v, sizeof(v));
				memcpy(c, v, sizeof(v));
				bitpack_plain.offset(a, n, x), fast[f]->offset(c, n, x);
				sums &= same(a, c, n);
				bitpack_plain.delta(a, n, x, y), fast[f]->delta(c, n, x, y);
				sums &= same(a, c, n);
				bitpack_plain.delta2(a, n, x, y, z), fast[f]->delta2(c, n, x, y, z);
				sums &= same(a, c, n);
				bitpack_plain.scale(a, n, x, y), fast[f]->scale(c, n, x, y);
				sums &= same(a, c, n);
				double p[BITPACK_MAX], q[BITPACK_MAX];
				double by = n % 3 ? pow(10, n % 19) : 1;
				for (unsigned i = 0; i < n; i++)
					a[i] = (uint64_t)((int64_t)a[i] >> (i % 60));
				bitpack_plain.to_double(a, n, by, p), fast[f]->to_double(a, n, by, q);
				doubles &= same(p, q, n);
			}
		}
	tap_ok(pack, "packing and unpacking agree at every width and count, in all kernels");
	tap_ok(sums, "running sums agree in all kernels");
	tap_ok(doubles, "integers become the same doubles in all kernels");
}

static void wrong_unpack(const uint8_t *p, unsigned width, unsigned n, uint64_t *out)
{
	bitpack_plain.unpack(p, width, n, out);
	if (width == 33 && n == 8)
		out[7] ^= 1;
}

static void wrong_to_double(const uint64_t *k, unsigned n, double divisor, double *out)
{
	bitpack_plain.to_double(k, n, divisor, out);
	for (unsigned i = 0; i < n && divisor != 1; i++)
		out[i] = (double)(int64_t)k[i] * (1 / divisor);
}

static void kernel_check(void)
{
	tap_ok(bitpack_agrees(&bitpack_plain), "the plain kernel agrees with itself");
	struct bitpack_ops bad = bitpack_plain;
	bad.unpack = wrong_unpack;
	tap_ok(!bitpack_agrees(&bad), "a kernel wrong by one bit at one width is noticed");
	bad = bitpack_plain;
	bad.to_double = wrong_to_double;
	tap_ok(!bitpack_agrees(&bad), "one that multiplies instead of dividing is noticed");
}

static size_t values_size(const double *v, size_t n)
{
	struct buf b;
	buf_init(&b);
	chunk_values_encode(v, n, CHUNK_BEST, &b);
	size_t len = b.len;
	buf_release(&b);
	return len;
}

static void sizes(void)
{
	static double v[CHUNK_SAMPLES_MAX];
	static int64_t t[CHUNK_SAMPLES_MAX];
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < CHUNK_SAMPLES_MAX; i++) {
		v[i] = 42;
		t[i] = 1795168800000 + 7 + 15000 * (int64_t)i;
	}
	tap_ok(values_size(v, CHUNK_SAMPLES_MAX) <= 4,
	    "a constant takes at most four bytes for 8,192 samples");
	chunk_times_encode(t, 480, 1795168800000, CHUNK_BEST, &b);
	tap_ok(b.len <= 10, "a constant step of 480 times takes at most ten bytes (%zu)", b.len);
	buf_clear(&b);
	chunk_times_encode(t, 8192, 1795168800000, CHUNK_BEST, &b);
	tap_ok(b.len <= 12, "a constant step of 8,192 times takes at most twelve bytes (%zu)", b.len);
	for (size_t i = 0; i < 480; i++)
		v[i] = 928584 + (i > 100) + 17.0 * (i > 300);
	size_t len = values_size(v, 480);
	tap_ok(len <= 24,
	    "an idle counter with two steps in 480 samples takes at most 24 bytes (%zu)", len);
	v[479] = sample_stale();
	len = values_size(v, 480);
	tap_ok(len <= 30, "a stale marker costs a few bytes (%zu)", len);
	for (size_t i = 0; i < 480; i++)
		v[i] = (double)(4096 * ((i * 7919) % 16));
	len = values_size(v, 480);
	tap_ok(len <= 480 / 2 + 24, "multiples of a page are coded in units of it (%zu)", len);
	buf_release(&b);
}

static size_t size_with(const double *v, size_t n, enum chunk_effort effort)
{
	struct buf b;
	buf_init(&b);
	chunk_values_encode(v, n, effort, &b);
	size_t len = b.len;
	bool good = values_back(b.data, len, v, n);
	buf_release(&b);
	return good ? len : SIZE_MAX;
}

/* A number with a bell of the given width, from the sum of some even ones. */
static double bell(double width)
{
	double sum = 0;
	for (unsigned i = 0; i < 12; i++)
		sum += (double)columns_below(&rnd, 1u << 20) / (1u << 20) - 0.5;
	return sum * width;
}

static void dense_sizes(void)
{
	static double v[CHUNK_SAMPLES_MAX];
	size_t n = 1440;
	for (size_t i = 0; i < n; i++) /* durations in ns, one in twenty is far longer */
		v[i] = (27000 + floor(bell(3000)) + (columns_below(&rnd, 20) ? 0 : 40000)) / 1e9;
	size_t packed = size_with(v, n, CHUNK_BEST), dense = size_with(v, n, CHUNK_COLD);
	tap_ok(dense < packed - packed / 16,
	    "noise: %zu bytes packed, a sixteenth less dense (%zu)", packed, dense);
	double x = 5000;
	for (size_t i = 0; i < n; i++) /* two in three stand still */
		v[i] = x += columns_below(&rnd, 3) ? 0 : 1 + (double)columns_below(&rnd, 40);
	packed = size_with(v, n, CHUNK_BEST), dense = size_with(v, n, CHUNK_COLD);
	tap_ok(dense < packed - packed / 4,
	    "a counter with pauses: %zu bytes, a quarter less (%zu)", packed, dense);
	for (size_t i = 0; i < n; i++)
		v[i] = x;
	v[700] = x + 1;
	tap_ok(size_with(v, n, CHUNK_COLD) <= size_with(v, n, CHUNK_BEST),
	    "where the dense form gains nothing it is not taken");
	for (size_t i = 0; i < n; i++)
		v[i] = i % 100 == 99 ? sample_stale() : 1e-9 * (20000 + floor(bell(3000)));
	tap_ok(size_with(v, n, CHUNK_COLD) != SIZE_MAX, "dense with stale markers between");
}

static void near_sizes(void)
{
	static double v[CHUNK_SAMPLES_MAX];
	size_t n = 480;
	double x = 0.6146714850000001;
	for (size_t i = 0; i < n; i++)
		v[i] = x += (double)(700000 + columns_below(&rnd, 1u << 20)) / 1e9;
	size_t len = size_with(v, n, CHUNK_BEST);
	tap_ok(len < n * 7 / 2,
	    "a sum of durations, with the errors of its additions: %zu bytes for %zu", len, n);
	v[n - 1] = sample_stale();
	v[n / 2] = -INFINITY;
	len = size_with(v, n, CHUNK_BEST);
	tap_ok(len < n * 7 / 2, "and with what is no number between (%zu)", len);
	for (size_t i = 0; i < n; i++) /* around zero, and below: distances have both signs */
		v[i] = columns_bits(num_bits(bell(1)) ^ columns_below(&rnd, 4));
	tap_ok(size_with(v, n, CHUNK_BEST) <= CHUNK_STREAM_MAX(n), "full mantissas come back");
	double back[4];
	const uint8_t bad_code[] = { CHUNK_CODE_NEAR, 19, 2, 0, 0 };
	TAP_OK(chunk_values_decode(bad_code, sizeof(bad_code), 2, back, NULL) == ERR_MALFORMED);
	const uint8_t no_distances[] = { CHUNK_CODE_NEAR | 0x40, 3, 2 };
	TAP_OK(chunk_values_decode(no_distances, sizeof(no_distances), 2, back, NULL) ==
	    ERR_TRUNCATED);
	const uint8_t twice[] = { CHUNK_CODE_NEAR | 0x40, 3, 2, CHUNK_CODE_NEAR | 0x40, 3, 2 };
	TAP_OK(chunk_values_decode(twice, sizeof(twice), 2, back, NULL) == ERR_MALFORMED);
	const uint8_t raw[] = { CHUNK_CODE_NEAR | 0x40, 3, 2, CHUNK_CODE_RAW, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0 };
	TAP_OK(chunk_values_decode(raw, sizeof(raw), 2, back, NULL) == ERR_MALFORMED);
	const uint8_t no_table[] = { 0, 0, 2 << 6 | 58, 0, 0, 0, 0 };
	TAP_OK(chunk_values_decode(no_table, sizeof(no_table), 2, back, NULL) == ERR_MALFORMED);
}

/* Aggregates by their definition, one comparison a line. */
static struct chunk_aggregate slow_aggregate(const double *v, uint32_t n)
{
	struct chunk_aggregate a;
	memset(&a, 0, sizeof(a)); /* padding is compared, too */
	a.count = n;
	a.first = v[0], a.last = v[n - 1];
	a.numbers = a.sum_exact = true;
	a.min = a.max = v[0];
	long double sizes = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (isnan(v[i]))
			a.numbers = false;
		if (v[i] < a.min)
			a.min = v[i];
		if (v[i] > a.max)
			a.max = v[i];
		if (i > 0 && v[i] < v[i - 1])
			a.resets++;
		if (!isfinite(v[i]) || v[i] != trunc(v[i]))
			a.sum_exact = false;
		sizes += fabsl((long double)v[i]);
	}
	if (!a.numbers)
		a.min = a.max = 0, a.resets = 0;
	if (!a.numbers || sizes > 9007199254740992.0L)
		a.sum_exact = false;
	for (uint32_t i = n; i-- > 0 && a.sum_exact;) /* backwards: the order must not matter */
		a.sum += v[i];
	return a;
}

static bool same_aggregate(const struct chunk_aggregate *a, const struct chunk_aggregate *b)
{
	return a->count == b->count && a->resets == b->resets && a->numbers == b->numbers &&
	    a->sum_exact == b->sum_exact && same(&a->first, &b->first, 1) &&
	    same(&a->last, &b->last, 1) && same(&a->min, &b->min, 1) && same(&a->max, &b->max, 1) &&
	    same(&a->sum, &b->sum, 1);
}

#define SUBS_MAX (CHUNK_SAMPLES_MAX / CHUNK_SUB)

/* Encodes n values and compares the aggregates of some of their sub-blocks. */
static bool aggregates_good(const double *v, size_t n, enum chunk_effort effort, size_t *decoded)
{
	struct chunk_aggregate got[SUBS_MAX];
	struct buf b;
	buf_init(&b);
	chunk_values_encode(v, n, effort, &b);
	size_t subs = (n + CHUNK_SUB - 1) / CHUNK_SUB;
	size_t first = columns_below(&rnd, 2) ? columns_below(&rnd, subs + 1) : 0;
	size_t count = columns_below(&rnd, 2) ? columns_below(&rnd, subs - first + 1) : subs - first;
	bool good = !chunk_aggregates(b.data, b.len, n, first, count, got, decoded);
	for (size_t i = 0; i < count && good; i++) {
		size_t at = (first + i) * CHUNK_SUB;
		struct chunk_aggregate want =
		    slow_aggregate(v + at, (uint32_t)(n - at < CHUNK_SUB ? n - at : CHUNK_SUB));
		good = same_aggregate(&got[i], &want);
		if (!good)
			tap_note("sub-block %zu of %zu: sum %a for %a, min %a for %a, exact %d for %d",
			    first + i, subs, got[i].sum, want.sum, got[i].min, want.min,
			    got[i].sum_exact, want.sum_exact);
	}
	buf_release(&b);
	return good;
}

static void aggregates(void)
{
	static double v[CHUNK_SAMPLES_MAX];
	bool good = true;
	for (unsigned round = 0; round < 60 && good; round++)
		for (unsigned shape = 0; shape < COLUMNS_SHAPES && good; shape++) {
			size_t n = some_n();
			columns_values(&rnd, shape, v, n);
			if (columns_below(&rnd, 2)) /* a part stands still */
				for (size_t i = n / 4; i < n - n / 4; i++)
					v[i] = v[n / 4];
			good =
			    aggregates_good(v, n, (enum chunk_effort)(round % CHUNK_EFFORTS), NULL);
		}
	tap_ok(good, "aggregates are those of the samples, bit for bit, of every shape");
	static const double starts[] = { 0, 5, -700, 1e6, -1e15, 35184372088832.0,
		9007199254740000.0, 0.5, 1e-7, 7.25e12 },
	                    steps[] = { 1, -1, 3, 0.5, -0.25, 1000, 1e11, 1e-7, -1e-3,
		                    274877906944.0 };
	size_t decoded = 0;
	for (size_t i = 0; i < COUNT_OF(starts); i++)
		for (size_t k = 0; k < COUNT_OF(steps); k++)
			for (size_t n = 100; n < 4000; n = n * 3 + 1) {
				for (size_t j = 0; j < n; j++)
					v[j] = starts[i] + steps[k] * (double)j;
				good &= aggregates_good(v, n, CHUNK_BEST, NULL);
			}
	tap_ok(good, "aggregates of lines of every slope and size");
	for (size_t i = 0; i < 2000; i++)
		v[i] = 3 + 5 * (double)i;
	struct buf b;
	struct chunk_aggregate got[SUBS_MAX];
	buf_init(&b);
	chunk_values_encode(v, 2000, CHUNK_BEST, &b);
	good = !chunk_aggregates(b.data, b.len, 2000, 0, 16, got, &decoded);
	tap_ok(good && decoded == 1, "of a line only the first sub-block is decoded (%zu)", decoded);
	for (size_t i = 0; i < 2000; i++)
		v[i] = 0.1 + (i >= 1500);
	buf_clear(&b);
	chunk_values_encode(v, 2000, CHUNK_BEST, &b);
	good = !chunk_aggregates(b.data, b.len, 2000, 0, 16, got, &decoded);
	tap_ok(good && decoded == 1 && got[11].sum_exact == false && got[0].max == 0.1,
	    "of a value with one step one sub-block is decoded (%zu)", decoded);
	for (size_t i = 0; i < 2000; i++)
		v[i] = 42;
	buf_clear(&b);
	chunk_values_encode(v, 2000, CHUNK_BEST, &b);
	good = !chunk_aggregates(b.data, b.len, 2000, 3, 13, got, &decoded);
	tap_ok(good && decoded == 0 && got[12].count == 80 && got[12].sum == 80 * 42.0,
	    "of a constant none");
	good = chunk_aggregates(b.data, 1, 2000, 0, 1, got, NULL) == ERR_TRUNCATED;
	tap_ok(good, "half a stream has no aggregates");
	buf_release(&b);
}

static void forms(void)
{
	static double v[CHUNK_SAMPLES_MAX];
	bool good = true;
	struct buf b;
	buf_init(&b);
	for (unsigned round = 0; round < 20; round++)
		for (unsigned shape = 0; shape < COLUMNS_SHAPES; shape++) {
			struct chunk_forms f = { 0 };
			size_t n = some_n();
			columns_values(&rnd, shape, v, n);
			buf_clear(&b);
			chunk_values_encode(v, n, (enum chunk_effort)(round % CHUNK_EFFORTS), &b);
			good &= !chunk_forms_add(b.data, b.len, n, &f) && f.values == n &&
			    f.streams == 1 &&
			    f.head + f.run + f.packed[0] + f.packed[1] + f.packed[2] + f.dense +
			            f.distance + f.raw ==
			        b.len;
		}
	tap_ok(good, "the bytes of all forms are those of the stream");
	buf_release(&b);
}

static void refusals(void)
{
	double v[4];
	int64_t t[4];
	uint8_t raw[40] = { CHUNK_CODE_RAW };
	TAP_OK(chunk_values_decode(raw, sizeof(raw), 0, v, NULL) == ERR_MALFORMED);
	TAP_OK(chunk_values_decode(raw, 0, 1, v, NULL) == ERR_TRUNCATED);
	TAP_OK(chunk_values_decode(raw, 32, 4, v, NULL) == ERR_TRUNCATED);
	TAP_OK(chunk_values_decode(raw, 33, 4, v, NULL) == ERR_OK);
	tap_ok(chunk_times_decode(raw, 33, 4, 0, t, NULL) == ERR_MALFORMED,
	    "times that do not ascend are refused");
	tap_ok(chunk_values_decode(raw, sizeof(raw), CHUNK_SAMPLES_MAX + 1, v, NULL) == ERR_MALFORMED,
	    "more numbers than a stream may have are refused");
	/* A later version may put aggregates behind the head: they are skipped. */
	uint8_t extra[] = { 0x80 | 0x40, 3, 1, 2, 3, 84 };
	TAP_OK(chunk_values_decode(extra, sizeof(extra), 2, v, NULL) == ERR_OK && v[0] == 42 &&
	    v[1] == 42);
}

int main(void)
{
	kernels_agree();
	kernel_check();
	for (unsigned k = 0; k < COUNT_OF(kernels); k++) {
		if (!chunk_kernel_use(kernels[k])) {
			tap_skip("this CPU lacks kernel %u", (unsigned)kernels[k]);
			continue;
		}
		round_trips(kernels[k]);
	}
	hostile_bytes();
	chunk_kernel_use(CHUNK_KERNEL_AUTO);
	sizes();
	dense_sizes();
	near_sizes();
	aggregates();
	forms();
	refusals();
	return tap_done();
}
