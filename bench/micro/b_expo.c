/*
 * b_expo [PAGE]: how fast exposed text is read; PAGE is a file of it, as curl gets it from a
 * node_exporter. Without one a page is made, with lines like those of a node_exporter.
 */
#include "bench/micro/body.h"
#include "proto/expo.h"
#include "proto/omet.h"

#define ROUNDS 400

struct told {
	uint64_t samples, bytes;
	double sum;
};

static void page_make(struct buf *out)
{
	static const char *const modes[] = { "idle", "iowait", "irq", "nice", "softirq", "steal",
		"system", "user" };
	buf_add_str(out,
	    "# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.\n"
	    "# TYPE node_cpu_seconds_total counter\n");
	for (unsigned i = 0; i < 256; i++)
		buf_printf(out, "node_cpu_seconds_total{cpu=\"%u\",mode=\"%s\"} %u.%02u\n", i / 8,
		    modes[i % 8], i * 7919, i % 100);
	for (unsigned i = 0; i < 64; i++)
		buf_printf(out,
		    "# HELP node_memory_Active_%u_bytes Memory information field Active_%u_bytes.\n"
		    "# TYPE node_memory_Active_%u_bytes gauge\n"
		    "node_memory_Active_%u_bytes %u.%ue+09\n",
		    i, i, i, i, i % 9 + 1, i * 104729 + 1000003);
}

static bool page_read(struct buf *out, const char *path)
{
	char piece[4096];
	size_t n;
	FILE *f = fopen(path, "rb");
	if (!f)
		return false;
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(out, piece, n);
	(void)fclose(f);
	return out->len > 0;
}

static struct told text(const struct buf *page)
{
	struct expo x;
	struct told t = { 0 };
	enum expo_entry e;
	expo_init(&x, (const char *)page->data, page->len, 1);
	while ((e = expo_next(&x)) != EXPO_END) {
		CHECK(e != EXPO_BAD);
		if (e != EXPO_SAMPLE)
			continue;
		t.samples++;
		t.bytes += x.series_len;
		t.sum += x.v;
	}
	return t;
}

static struct told labels(const struct buf *page, struct arena *a)
{
	struct expo x;
	struct told t = { 0 };
	enum expo_entry e;
	const char *bad;
	struct expo_labels ls;
	struct labels out;
	expo_init(&x, (const char *)page->data, page->len, 1);
	while ((e = expo_next(&x)) != EXPO_END) {
		if (e != EXPO_SAMPLE)
			continue;
		if (!expo_labels(a, EXPO_TEXT, x.series, x.series_len, x.type, &ls, &bad) ||
		    !expo_encode(a, &ls, &out, &bad))
			continue;
		t.samples++;
		t.bytes += out.len;
	}
	arena_reset(a, SIZE_MAX);
	return t;
}

static struct told openmetrics(const struct buf *page)
{
	struct omet o;
	struct told t = { 0 };
	enum expo_entry e;
	omet_init(&o, (const char *)page->data, page->len, false);
	while ((e = omet_next(&o)) != EXPO_END && e != EXPO_BAD)
		t.samples += e == EXPO_SAMPLE;
	if (e == EXPO_BAD)
		t.samples = 0; /* "untyped" is none of its types */
	return t;
}

static void say(const char *what, double ns, const struct told *t, const struct buf *page)
{
	printf("%-22s %7.2f ns/sample %8.0f MB/s  %" PRIu64 " samples, %zu bytes\n", what,
	    ns / (double)t->samples, (double)page->len / ns * 1000, t->samples, page->len);
}

int main(int argc, char **argv)
{
	struct buf page;
	struct arena arena;
	struct told t = { 0 };
	double best = 0;
	buf_init(&page);
	arena_init(&arena, 1 << 20);
	if (argc < 2)
		page_make(&page);
	else if (!page_read(&page, argv[1]))
		return 1;
	BODY_BEST_NS(best, ROUNDS, t = text(&page));
	say("text, series as bytes", best, &t, &page);
	best = 0;
	BODY_BEST_NS(best, ROUNDS, t = labels(&page, &arena));
	say("text, canonical labels", best, &t, &page);
	buf_add_str(&page, "# EOF\n");
	best = 0;
	BODY_BEST_NS(best, ROUNDS, t = openmetrics(&page));
	if (t.samples)
		say("OpenMetrics", best, &t, &page);
	arena_release(&arena);
	buf_release(&page);
	return 0;
}
