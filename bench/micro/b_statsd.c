/* statsd_next on packets of 1,432 bytes: samples without tags, and as DogStatsD has them. */
#include "bench/micro/body.h"
#include "proto/statsd.h"

#define LINES 4096u

static unsigned read_all(const struct buf *b)
{
	struct statsd_reader r;
	unsigned samples = 0;
	double sum = 0;
	for (size_t at = 0; at < b->len; at += r._end - (const char *)(b->data + at)) {
		size_t n = b->len - at < 1432 ? b->len - at : 1432;
		while (b->data[at + n - 1] != '\n')
			n--;
		statsd_reader_init(&r, (const char *)b->data + at, (uint32_t)n);
		while (statsd_next(&r)) {
			samples++;
			sum += r.sample.value;
		}
	}
	CHECK(sum > 0);
	return samples;
}

static void run(const char *what, bool tags)
{
	static const char *const types[] = { "c", "ms", "g", "c" };
	struct buf b;
	double ns = 0;
	buf_init(&b);
	for (unsigned i = 0; i < LINES; i++) {
		buf_printf(&b, "shop.%s.requests.%u:%u|%s", i % 3 ? "basket" : "search", i % 100,
		    i * 7919 % 1000, types[i % 4]);
		if (tags)
			buf_printf(&b, "|@0.5|#env:prod,service:basket,version:1.2.%u,region:eu-%u",
			    i % 5, i % 3);
		buf_add_u8(&b, '\n');
	}
	BODY_BEST_NS(ns, 200, CHECK(read_all(&b) == LINES));
	printf("statsd_next %-12s %6.1f ns/line %8.0f MB/s\n", what, ns / LINES,
	    (double)b.len / ns * 1e3);
	buf_release(&b);
}

int main(void)
{
	run("plain", false);
	run("four tags", true);
	return 0;
}
