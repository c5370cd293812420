/*
 * What the OTLP decoder costs: numbers of one metric after the other, as a collector's batch has
 * them (100 metrics of 20 points with five attributes), one point a metric, as an SDK with few
 * series sends, histograms of eleven buckets, exponential ones of 20.
 */
#include "bench/micro/body.h"
#include "proto/otlp.h"
#include "tests/lib/otlpmake.h"

#define T_NS   UINT64_C(1700000000000000000)
#define ROUNDS 50

static struct buf body, attributes, scope, data, point;

static void attrs(unsigned number, unsigned i)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE" };
	char value[32];
	otlpmake_attr(&point, number, "http.request.method", methods[i % 4]);
	otlpmake_attr(&point, number, "http.response.status_code", i % 3 ? "200" : "404");
	snprintf(value, sizeof value, "/api/v1/things/%u", i);
	otlpmake_attr(&point, number, "http.route", value);
	otlpmake_attr(&point, number, "network.protocol.version", "1.1");
	otlpmake_attr(&point, number, "server.address", "shop.example.org");
}

static void times(void)
{
	otlpmake_fixed(&point, 2, T_NS - 60 * UINT64_C(1000000000));
	otlpmake_fixed(&point, 3, T_NS);
}

static void number(unsigned i)
{
	attrs(7, i);
	times();
	otlpmake_double(&point, 4, i);
	otlpmake_in(&data, 1, &point);
}

static void histogram(unsigned i)
{
	attrs(9, i);
	times();
	otlpmake_fixed(&point, 4, 66);
	otlpmake_double(&point, 5, i);
	uint64_t counts[12];
	double bounds[11];
	for (unsigned k = 0; k < 12; k++)
		counts[k] = k;
	for (unsigned k = 0; k < 11; k++)
		bounds[k] = 0.005 * (1 << k);
	otlpmake_bytes(&point, 6, counts, sizeof counts);
	otlpmake_bytes(&point, 7, bounds, sizeof bounds);
	otlpmake_in(&data, 1, &point);
}

static void exponential(unsigned i)
{
	struct buf side;
	uint8_t counts[20];
	buf_init(&side);
	attrs(1, i);
	times();
	for (unsigned k = 0; k < 20; k++)
		counts[k] = (uint8_t)k;
	otlpmake_fixed(&point, 4, 190);
	otlpmake_zigzag(&point, 6, 3);
	otlpmake_zigzag(&side, 1, -7);
	otlpmake_bytes(&side, 2, counts, sizeof counts);
	otlpmake_in(&point, 8, &side);
	otlpmake_in(&data, 1, &point);
	buf_release(&side);
}

static void request(unsigned metrics, unsigned points, unsigned kind, void (*make)(unsigned i))
{
	char name[32];
	for (unsigned m = 0; m < metrics; m++) {
		for (unsigned i = 0; i < points; i++)
			make(i);
		snprintf(name, sizeof name, "http.server.metric.%u", m);
		otlpmake_metric(&scope, name, kind, 2, &data);
	}
	buf_clear(&body);
	otlpmake_attr(&attributes, 1, "service.name", "shop");
	otlpmake_attr(&attributes, 1, "service.instance.id", "shop-7d9f-1");
	otlpmake_attr(&attributes, 1, "k8s.pod.name", "shop-7d9f-1");
	otlpmake_attr(&attributes, 1, "host.name", "node-1");
	otlpmake_request(&body, &attributes, &scope);
}

static uint64_t decode(struct arena *arena, struct arena *keep, struct batch *batch)
{
	struct decode d = { .arena = arena, .keep = keep, .batch = batch };
	const uint8_t *p = body.data, *const end = p + body.len;
	uint64_t rows = 0;
	do {
		CHECK(!otlp_decoder.next(&d, &p, end, true, NULL));
		rows += batch->rows_count;
		batch_clear(batch);
		arena_reset(arena, SIZE_MAX);
	} while (p < end);
	otlp_decoder.end(&d);
	arena_reset(keep, SIZE_MAX);
	CHECK(!d.bad);
	return rows;
}

static void measure(const char *what, unsigned points)
{
	struct batch batch;
	struct arena arena, keep;
	uint64_t rows = 0;
	double best = 0;
	batch_init(&batch);
	arena_init(&arena, 4096);
	arena_init(&keep, 4096);
	BODY_BEST_NS(best, ROUNDS, rows = decode(&arena, &keep, &batch));
	printf("otlp %-14s %8.1f ns/point %7.1f ns/sample %6.0f MB/s\n", what, best / points,
	    best / (double)rows, (double)body.len * 1e3 / best);
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
}

int main(void)
{
	struct buf *const all[] = { &body, &attributes, &scope, &data, &point };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		buf_init(all[i]);
	request(100, 20, OTLPMAKE_SUM, number);
	measure("numbers", 2000);
	request(500, 1, OTLPMAKE_SUM, number);
	measure("single numbers", 500);
	request(20, 20, OTLPMAKE_HISTOGRAM, histogram);
	measure("histograms", 400);
	request(20, 20, OTLPMAKE_EXPONENTIAL, exponential);
	measure("exponential", 400);
	for (size_t i = 0; i < COUNT_OF(all); i++)
		buf_release(all[i]);
	return 0;
}
