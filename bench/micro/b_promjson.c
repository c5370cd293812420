#include "bench/micro/body.h"
#include "proto/promjson.h"
#include "proto/qspb.h"

enum {
	SERIES = 100,
	POINTS = 10000,
	PIECE = 64 << 10
};

static void json(const struct promjson_answer *answer)
{
	struct buf out;
	buf_init(&out);
	double best = 0;
	uint64_t bytes = 0;
	for (int round = 0; round < 10; round++) {
		struct promjson e;
		uint64_t t0 = clock_real_mono_ns();
		bytes = 0;
		promjson_query(&e, answer);
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
	buf_release(&out);
}

/* The same as protobuf: counted, then encoded. */
static void protobuf(const struct ql_value *value)
{
	struct buf out;
	double count = 0, encode = 0;
	uint64_t sizes[SERIES], bytes = 0;
	buf_init(&out);
	for (int round = 0; round < 10; round++) {
		struct qspb e;
		uint64_t t0 = clock_real_mono_ns();
		qspb_begin(&e, value, sizes);
		while (!qspb_count(&e, PIECE))
			;
		uint64_t t1 = clock_real_mono_ns();
		bytes = 0;
		for (bool done = false; !done; buf_clear(&out)) {
			done = qspb_next(&e, &out, PIECE);
			bytes += out.len;
		}
		double counted = (double)(t1 - t0), took = (double)(clock_real_mono_ns() - t1);
		count = !round || counted < count ? counted : count;
		encode = !round || took < encode ? took : encode;
	}
	printf("qspb_count              %7.2f ns/point\n", count / (SERIES * POINTS));
	printf("qspb_next               %7.2f ns/point   %.1f bytes a point, %.2f GB/s\n",
	    encode / (SERIES * POINTS), (double)bytes / (SERIES * POINTS), (double)bytes / encode);
	buf_release(&out);
}

/*
 * A matrix of a million points: counters, gauges with decimals, ratios of full precision; ns a
 * point.
 */
int main(void)
{
	struct ql_series *series = mem_array(NULL, SERIES, sizeof(*series));
	int64_t *t = mem_array(NULL, POINTS, sizeof(*t));
	struct buf labels;
	buf_init(&labels);
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
	json(&answer);
	protobuf(&value);
	for (int s = 0; s < SERIES; s++)
		mem_free((void *)(uintptr_t)series[s].v);
	mem_free(series);
	mem_free(t);
	buf_release(&labels);
	return 0;
}
