/*
 * Lines as telegraf sends them: 1,000 hosts, the ten fields of its cpu plugin beside five tags, and
 * lines of one field of the same series in a row.
 */
#include "core/base/clock.h"
#include "core/model/limits.h"
#include "proto/influx.h"

#include <inttypes.h>
#include <stdio.h>

#define LINES 1000u

static void telegraf(struct buf *b)
{
	static const char *const fields[] = { "usage_user", "usage_system", "usage_idle",
		"usage_nice", "usage_iowait", "usage_irq", "usage_softirq", "usage_steal",
		"usage_guest", "usage_guest_nice" };
	for (unsigned i = 0; i < LINES; i++) {
		buf_printf(b,
		    "cpu,cpu=cpu%u,datacenter=eu-central-1,host=host-%u.example.net,rack=%u,team=SF ",
		    i % 8, i / 8, i % 31);
		for (unsigned f = 0; f < COUNT_OF(fields); f++)
			buf_printf(b, "%s%s=%u.%u", f ? "," : "", fields[f], (i * 7 + f * 13) % 100,
			    1 + (i * f) % 1000);
		buf_printf(b, " 1700000%03u000000000\n", i);
	}
}

static void digits(struct buf *b)
{
	for (unsigned i = 0; i < LINES; i++)
		buf_printf(b,
		    "cpu,host=host-%u.example.net usage_user=%.17g,usage_idle=%.17g 1700000%03u000000000\n",
		    i, 100.0 / (i + 3), 97.0 / (i + 7), i);
}

static void history(struct buf *b)
{
	for (unsigned i = 0; i < LINES; i++)
		buf_printf(b,
		    "temperature,room=kitchen,house=12,sensor=aaaa-bbbb-cccc celsius=%u.%u 1700000%03u000000000\n",
		    i % 40, i % 10, i);
}

static void run(const char *name, void (*make)(struct buf *b))
{
	struct buf b;
	struct arena arena, keep;
	struct batch batch;
	struct limits limits;
	uint64_t rows = 0;
	double best = 1e18;
	buf_init(&b);
	make(&b);
	arena_init(&arena, 4096);
	batch_init(&batch);
	limits_default(&limits);
	for (unsigned round = 0; round < 300; round++) {
		arena_init(&keep, 4096);
		struct decode d = {
			.limits = &limits, .arena = &arena, .keep = &keep, .batch = &batch
		};
		const uint8_t *p = b.data, *end = b.data + b.len;
		uint64_t t = clock_mono_ns();
		rows = 0;
		while (p < end) {
			CHECK(!influx_decoder.next(&d, &p, end, true, NULL));
			rows += batch.rows_count;
			batch_clear(&batch);
			arena_reset(&arena, 512u << 10);
		}
		t = clock_mono_ns() - t;
		influx_decoder.end(&d);
		arena_release(&keep);
		CHECK(!d.bad);
		best = (double)t < best ? (double)t : best;
	}
	printf("influx %-10s %7.2f ns/sample  %7.1f MB/s  %" PRIu64 " samples\n", name,
	    best / (double)rows, (double)b.len / best * 1e3, rows);
	buf_release(&b);
	batch_release(&batch);
	arena_release(&arena);
}

int main(void)
{
	run("telegraf", telegraf);
	run("digits", digits);
	run("history", history);
	return 0;
}
