/*
 * Lines as telegraf sends them: 1,000 hosts, the ten fields of its cpu plugin beside five tags, and
 * lines of one field of the same series in a row.
 */
#include "bench/micro/decodertime.h"
#include "proto/influx.h"

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

int main(void)
{
	decodertime("influx telegraf", "sample", &influx_decoder, telegraf);
	decodertime("influx digits", "sample", &influx_decoder, digits);
	decodertime("influx history", "sample", &influx_decoder, history);
	return 0;
}
