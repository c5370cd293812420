/* Rows of log payloads: written and read, and the bytes they take. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/micro/used.h"
#include "core/base/hash.h"
#include "core/base/num.h"
#include "storage/wal/walrec.h"

#define ROWS   5000u
#define ROUNDS 20000u

static uint32_t ids[ROWS];
static int64_t times[ROWS];
static double values[ROWS];

/* Time of this process, so that a busy machine changes little. */
static void bench(const char *name)
{
	struct buf b;
	struct walrec_writer w;
	buf_init(&b);
	double begin = (double)used_cpu_ns();
	for (unsigned i = 0; i < ROUNDS; i++) {
		buf_clear(&b);
		walrec_begin(&w, &b);
		walrec_group(&w, 1, i + 1);
		walrec_rows(&w, ROWS, ids, times, values);
		walrec_end(&w);
	}
	double put = ((double)used_cpu_ns() - begin) / ROUNDS / ROWS;
	struct walrec_reader r;
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_record rec;
	walrec_reader_init(&r);
	double sum = 0;
	begin = (double)used_cpu_ns();
	for (unsigned i = 0; i < ROUNDS; i++) {
		walrec_groups_init(&it, b.data, b.len);
		while (walrec_groups_next(&it, &g)) {
			walrec_reader_open(&r, &g);
			while (walrec_next(&r, &rec))
				sum += rec.v[rec.count - 1] + rec.ids[rec.count - 1];
		}
	}
	double get = ((double)used_cpu_ns() - begin) / ROUNDS / ROWS;
	printf("%-28s %6.3f bytes/row  write %5.2f ns/row  read %5.2f ns/row (%4.0f M rows/s)%s\n",
	    name, (double)b.len / ROWS, put, get, 1e3 / get, sum == 0 ? "?" : "");
	walrec_reader_release(&r);
	buf_release(&b);
}

int main(void)
{
	uint64_t state = 1;
	for (uint32_t i = 0; i < ROWS; i++) {
		ids[i] = 100000 + i;
		times[i] = 1700000000000;
		values[i] = num_from_bits(hash_mix64(++state) >> 12 | 0x3ff0000000000000u);
	}
	bench("known series, one time");
	for (uint32_t i = 0; i < ROWS; i++)
		times[i] = 1700000000000 + i / 50 * 17;
	bench("a time per 50 series");
	for (uint32_t i = 0; i < ROWS; i++)
		ids[i] = 100000 + i + i / 7;
	bench("ids with a gap every 7");
	for (uint32_t i = 0; i < ROWS; i++)
		ids[i] = (uint32_t)(hash_mix64(++state) % 1000000);
	bench("random ids");
	for (uint32_t i = 0; i < ROWS; i++)
		times[i] = 1700000000000 + (int64_t)(hash_mix64(++state) % 15000);
	bench("random ids and times");
	return 0;
}
