#include "bench/micro/body.h"
#include "proto/promjson.h"

enum {
	SERIES = 100,
	POINTS = 10000,
	PIECE = 64 << 10
};

/*
 * A matrix of a million points: counters, gauges with decimals, ratios of full precision; ns a
 * point.
 */
int main(void)
{
	struct ql_series *series = mem_array(NULL, SERIES, sizeof(*series));
	int64_t *t = mem_array(NULL, POINTS, sizeof(*t));
	struct buf labels, out;
	buf_init(&labels);
	buf_init(&out);
	body_series_labels(&labels, 1);
	for (int i = 0; i < POINTS; i++)
		t[i] = 1755000000000 + i * 15000LL;
	for (int s = 0; s < SERIES; s++) {
		double *v = mem_array(NULL, POINTS, sizeof(*v));
		for (int i = 0; i < POINTS; i++) {
			uint64_t rnd = hash_mix64((uint64_t)(s * POINTS + i + 1));
			v[i] = s % 3 == 0 ? i * 17 + (double)(rnd % 17)
			    : s % 3 == 1  ? (double)(rnd % 10000) / 100
			                  : (double)(rnd >> 11) * 0x1p-53;
		}
		series[s] = (struct ql_series){ .labels = { labels.data, (uint32_t)labels.len },
			.count = POINTS,
			.t_ms = t,
			.v = v };
	}
	struct ql_value value = { .type = QL_MATRIX, .series = series, .series_count = SERIES };
	struct promjson_answer answer = { .value = &value };
	double best = 0;
	uint64_t bytes = 0;
	for (int round = 0; round < 10; round++) {
		struct promjson e;
		uint64_t t0 = clock_real_mono_ns();
		bytes = 0;
		promjson_query(&e, &answer);
		for (bool done = false; !done; buf_clear(&out)) {
			done = promjson_next(&e, &out, PIECE);
			bytes += out.len;
		}
		double took = (double)(clock_real_mono_ns() - t0);
		if (!round || took < best)
			best = took;
	}
	printf("promjson_next           %7.2f ns/point   %.1f bytes a point, %.2f GB/s\n",
	    best / (SERIES * POINTS), (double)bytes / (SERIES * POINTS), (double)bytes / best);
	for (int s = 0; s < SERIES; s++)
		mem_free((void *)(uintptr_t)series[s].v);
	mem_free(series);
	mem_free(t);
	buf_release(&labels);
	buf_release(&out);
	return 0;
}
