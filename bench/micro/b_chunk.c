/*
 * The codec: bytes and nanoseconds a sample, on recorded metrics (2 h columns at 15 s), on made-up
 * shapes, and for packs of 32.
 */
#include "bench/micro/recorded.h"
#include "core/base/buf.h"
#include "storage/chunk/chunk.h"
#include "storage/chunk/pack.h"
#include "tests/unit/storage/columns.h"

#include <stdint.h>

#define STEP_MS 15000
#define COLUMN  480u
#define BASE    1795168800000

struct tally {
	uint64_t samples, bytes, pack_samples, pack_bytes;
	uint64_t encode_ps, decode_ps, pack_ps, unpack_ps;
};

static int64_t times[CHUNK_SAMPLES_MAX], times_back[CHUNK_SAMPLES_MAX];
static double back[CHUNK_SAMPLES_MAX];

#define BATCHES 3u /* the fastest of so many counts */

/* Runs the statement in batches; ns gets the time of one run. */
#define TIMED(ns, repeat, statement)                                                               \
 do {                                                                                              \
  uint64_t best_ = UINT64_MAX;                                                                     \
  for (unsigned b_ = 0; b_ < BATCHES; b_++) {                                                      \
   uint64_t begin_ = used_cpu_ns();                                                                \
   for (unsigned i_ = 0; i_ < (repeat); i_++) {                                                    \
    statement;                                                                                     \
   }                                                                                               \
   uint64_t took_ = used_cpu_ns() - begin_;                                                        \
   best_ = took_ < best_ ? took_ : best_;                                                          \
  }                                                                                                \
  (ns) += best_ * 1000 / (repeat);                                                                 \
 } while (0)

static void good(bool yes)
{
	if (!yes)
		abort();
}

static void tally_column(struct tally *t, const double *v, size_t n, unsigned repeat)
{
	struct buf b;
	buf_init(&b);
	TIMED(t->encode_ps, repeat, buf_clear(&b); chunk_values_encode(v, n, CHUNK_BEST, &b));
	TIMED(t->decode_ps, repeat * 4, good(!chunk_values_decode(b.data, b.len, n, back, NULL)));
	good(!memcmp(v, back, n * 8));
	t->samples += n;
	t->bytes += b.len;
	buf_release(&b);
	for (size_t at = 0; at + 32 <= n; at += 32) {
		uint8_t p[PACK_BYTES_MAX];
		struct pack head = { 0 };
		TIMED(t->pack_ps, repeat * 8, pack_encode(&head, times + at, v + at, 32, p));
		TIMED(t->unpack_ps, repeat * 8, good(!pack_decode(&head, p, times_back, back)));
		t->pack_samples += 32;
		t->pack_bytes += head.size;
	}
}

static void print(const char *name, const struct tally *t)
{
	printf("%-22s %10.3f %10.2f %10.2f   %10.3f %10.2f %10.2f\n", name,
	    (double)t->bytes / (double)t->samples, (double)t->encode_ps / 1e3 / (double)t->samples,
	    (double)t->decode_ps / 1e3 / (double)t->samples,
	    (double)t->pack_bytes / (double)t->pack_samples,
	    (double)t->pack_ps / 1e3 / (double)t->pack_samples,
	    (double)t->unpack_ps / 1e3 / (double)t->pack_samples);
}

int main(int argc, char **argv)
{
	const char *src = getenv("KYMO_SRC");
	bool list = argc > 1 && strcmp(argv[1], "--series") == 0;
	uint64_t rnd = 1;
	for (size_t i = 0; i < CHUNK_SAMPLES_MAX; i++)
		times[i] = BASE + 7000 + STEP_MS * (int64_t)i;
	printf("kernel %s; values in columns of %u, packs of 32 with times\n", chunk_kernel_name(),
	    COLUMN);
	printf("%-22s %10s %10s %10s   %10s %10s %10s\n", "", "B/sample", "encode ns", "decode ns",
	    "pack B", "encode ns", "decode ns");
	struct tally all = { 0 };
	for (unsigned i = 0; i < RECORDED_FILES; i++) {
		struct recorded r;
		struct tally t = { 0 };
		if (!recorded_load(&r, src ? src : ".", recorded_names[i]))
			continue;
		for (size_t s = 0; s < r.count; s++) {
			struct tally one = { 0 };
			for (size_t at = 0; at + COLUMN <= r.rows; at += COLUMN)
				if (!memchr(r.series[s].present + at, 0, COLUMN))
					tally_column(&one, r.series[s].v + at, COLUMN, list ? 1 : 8);
			if (list && one.samples)
				printf("series %8.3f %10.3f %s\n",
				    (double)one.bytes / (double)one.samples,
				    (double)one.pack_bytes / (double)one.pack_samples,
				    r.series[s].text);
			for (size_t k = 0; k < sizeof(one) / 8; k++)
				((uint64_t *)&t)[k] += ((uint64_t *)&one)[k];
		}
		print(r.name, &t);
		for (size_t k = 0; k < sizeof(t) / 8; k++)
			((uint64_t *)&all)[k] += ((uint64_t *)&t)[k];
	}
	if (all.samples)
		print("all recorded", &all);
	static const struct {
		unsigned shape;
		const char *name;
	} shapes[] = { { 0, "constant" }, { 2, "idle counter" }, { 1, "counter" },
		{ 7, "seconds, 2 decimals" }, { 4, "memory pages" }, { 3, "gauge, 1 decimal" },
		{ 15, "straight line" }, { 8, "ratio" }, { 5, "random patterns" } };
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		for (size_t n = COLUMN; n <= 4096; n += 4096 - COLUMN) {
			static double v[CHUNK_SAMPLES_MAX];
			struct tally t = { 0 };
			char name[64];
			for (unsigned k = 0; k < 20; k++) {
				columns_values(&rnd, shapes[i].shape, v, n);
				tally_column(&t, v, n, 50);
			}
			snprintf(name, sizeof(name), "%s/%zu", shapes[i].name, n);
			print(name, &t);
		}
	static const enum chunk_kernel kernels[] = { CHUNK_KERNEL_PLAIN, CHUNK_KERNEL_AVX2,
		CHUNK_KERNEL_AVX512 };
	for (unsigned k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
		if (!chunk_kernel_use(kernels[k]))
			continue;
		for (unsigned i = 2; i < 6; i++) {
			static double v[CHUNK_SAMPLES_MAX];
			struct tally t = { 0 };
			char name[64];
			columns_values(&rnd, shapes[i].shape, v, COLUMN);
			tally_column(&t, v, COLUMN, 1000);
			snprintf(name, sizeof(name), "%s, %s", chunk_kernel_name(), shapes[i].name);
			print(name, &t);
		}
	}
	return 0;
}
