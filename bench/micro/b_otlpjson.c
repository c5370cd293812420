/*
 * OTLP/JSON as the SDKs send it: sums with five attributes each, histograms of 15 buckets; its
 * protobuf bytes are made. And points of delta temporality of 10,000 series: what the sum of one
 * costs.
 */
#include "core/base/clock.h"
#include "core/model/deltacum.h"
#include "proto/otlpjson.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define POINTS  1000u
#define STREAMS 10000u
#define ROUNDS  100u

static void attributes(struct buf *b, unsigned i)
{
	static const char *const keys[] = { "http.request.method", "http.route", "server.address",
		"http.response.status_code", "network.protocol.version" };
	buf_add_str(b, "\"attributes\":[");
	for (unsigned k = 0; k < COUNT_OF(keys); k++)
		buf_printf(b, "%s{\"key\":\"%s\",\"value\":{\"stringValue\":\"value-%u-%u\"}}",
		    k ? "," : "", keys[k], k, i % (k + 17));
	buf_add_str(b, "],\"startTimeUnixNano\":\"1700000000000000000\",");
}

static void sums(struct buf *b)
{
	buf_add_str(b, "\"sum\":{\"aggregationTemporality\":1,\"isMonotonic\":true,\"dataPoints\":[");
	for (unsigned i = 0; i < POINTS; i++) {
		buf_add_str(b, i ? ",{" : "{");
		attributes(b, i);
		buf_printf(
		    b, "\"timeUnixNano\":\"17000000%03u00000000\",\"asInt\":\"%u\"}", i, i * 7);
	}
	buf_add_str(b, "]}");
}

static void histograms(struct buf *b)
{
	buf_add_str(b, "\"histogram\":{\"aggregationTemporality\":1,\"dataPoints\":[");
	for (unsigned i = 0; i < POINTS; i++) {
		buf_add_str(b, i ? ",{" : "{");
		attributes(b, i);
		buf_printf(b,
		    "\"timeUnixNano\":\"17000000%03u00000000\",\"count\":\"120\",\"sum\":%u.5,", i,
		    i);
		buf_add_str(b,
		    "\"bucketCounts\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\","
		    "\"11\",\"12\",\"13\",\"14\",\"15\"],\"explicitBounds\":[0.005,0.01,0.025,0.05,"
		    "0.075,0.1,0.25,0.5,0.75,1,2.5,5,7.5,10]}");
	}
	buf_add_str(b, "]}");
}

static void texts(const char *name, void (*make)(struct buf *b))
{
	struct buf b;
	double best = 1e18;
	size_t made = 0;
	buf_init(&b);
	buf_add_str(&b, "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"m\",");
	make(&b);
	buf_add_str(&b, "}]}]}]}");
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t t = clock_mono_ns();
		struct otlpjson *j = otlpjson_create(1u << 30);
		const uint8_t *p = b.data;
		bool done = false;
		CHECK(!otlpjson_read(j, &p, b.data + b.len, SIZE_MAX, &done, NULL) && done);
		(void)otlpjson_result(j, &made);
		otlpjson_free(j);
		t = clock_mono_ns() - t;
		best = (double)t < best ? (double)t : best;
	}
	printf("otlpjson %-10s %7.2f ns/point  %7.1f MB/s  %zu bytes to %zu\n", name, best / POINTS,
	    (double)b.len / best * 1e3, b.len, made);
	buf_release(&b);
}

static void deltas(const char *name, uint32_t values)
{
	struct arena arena;
	static char keys[STREAMS][200];
	double best = 1e18;
	arena_init(&arena, 4096);
	for (unsigned i = 0; i < STREAMS; i++)
		(void)snprintf(keys[i], sizeof(keys[i]), "%0*u", (int)sizeof(keys[i]) - 1, i);
	struct deltacum_ask a = { .dc = deltacum_create(1u << 30),
		.arena = &arena,
		.stale_ns = UINT64_MAX / 2,
		.streams_max = STREAMS };
	for (unsigned round = 1; round <= ROUNDS; round++) {
		uint64_t t = clock_mono_ns();
		for (unsigned i = 0; i < STREAMS; i++) {
			double v[32] = { 1 };
			struct deltacum_when w = { .key = (const uint8_t *)keys[i],
				.key_len = sizeof(keys[i]),
				.t_ns = round };
			CHECK(!deltacum_refused(deltacum_values(&a, &w, 1, true, v, values)));
		}
		t = clock_mono_ns() - t;
		best = (double)t < best ? (double)t : best;
	}
	printf("deltacum %-10s %7.2f ns/point  %" PRIu64 " bytes each\n", name, best / STREAMS,
	    deltacum_bytes(a.dc) / STREAMS);
	deltacum_free(a.dc);
	arena_release(&arena);
}

int main(void)
{
	texts("sums", sums);
	texts("histograms", histograms);
	deltas("numbers", 1);
	deltas("17 values", 17);
	return 0;
}
