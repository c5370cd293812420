/*
 * What the postings of heads cost: bytes a series, ns per added and removed series, and how long
 * selections take, over 16 shards.
 * Usage: b_postings [series] [nodes|pods] [matchers apart by spaces]...
 *   nodes: 500 series a target and ten labels, none of its own for each series (10 M: 3 GB)
 *   pods:  as nodes, and an eleventh label whose value no other series has
 */
#include "bench/micro/used.h"
#include "core/base/clock.h"
#include "core/base/rex.h"
#include "core/model/label.h"
#include "storage/meta/postings_priv.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SHARDS  16u
#define TARGET  500u /* series of one */
#define CHOSEN  20u  /* targets named host-0... */
#define AT_ONCE 8192u

static struct labels *labels; /* of id * SHARDS + shard, roughly: see place() */
static struct postings *shards[SHARDS];
static uint32_t counts[SHARDS];

static struct labels make(struct arena *a, unsigned n, bool pods)
{
	unsigned t = n / TARGET, m = n % TARGET;
	char name[48], inst[48], rack[24], region[24], k1[24], k2[24], uid[40];
	bool cpu = m < 192;
	snprintf(name, sizeof(name), "node_metric_name_%03u_total", cpu ? m / 64 : 3 + (m - 192) / 2);
	snprintf(inst, sizeof(inst),
	    t < CHOSEN ? "host-0%04u.example.com:9100" : "host-%05u.example.com:9100",
	    t < CHOSEN ? t : 10000 + t);
	snprintf(rack, sizeof(rack), "rack-%u", t / 40);
	snprintf(region, sizeof(region), "region-%u", t / 400 % 20);
	snprintf(k1, sizeof(k1), cpu ? "%u" : "sd%u", cpu ? m % 64 / 8 : m % 2);
	snprintf(k2, sizeof(k2), cpu ? "mode-%u" : "ext%u", cpu ? m % 8 : m % 2);
	snprintf(uid, sizeof(uid), "%08x-%08x", n * 2654435761u, n);
	const char *job = t % 4 == 3 && t >= CHOSEN ? "y" : "x";
	return label_make(a, "__name__", name, "cluster", "eu-1", cpu ? "cpu" : "device", k1,
	    "datacenter", "fra", "env", "production", "instance", inst, "job", job,
	    cpu ? "mode" : "fstype", k2, "rack", rack, "region", region, pods ? "uid" : NULL, uid,
	    NULL);
}

/* The label sets of one shard stand together, ids ascending in the order in which they came. */
static struct labels *of_shard[SHARDS];

static bool labels_get(void *arg, uint32_t id, struct labels *out)
{
	*out = of_shard[(uintptr_t)arg][id];
	return true;
}

static struct postings_labels getters[SHARDS];

static unsigned shard_of(unsigned n)
{
	return (unsigned)(hash_mix64(n) % SHARDS);
}

static size_t heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

static void fill(unsigned series, bool pods)
{
	struct arena a;
	double spent = 0, text = 0;
	arena_init(&a, 1 << 20);
	labels = mem_array(NULL, AT_ONCE, sizeof(*labels));
	size_t before = heap_bytes(), made = 0;
	for (unsigned from = 0; from < series; from += AT_ONCE) {
		unsigned n = series - from < AT_ONCE ? series - from : AT_ONCE;
		size_t here = heap_bytes();
		for (unsigned i = 0; i < n; i++) {
			labels[i] = make(&a, from + i, pods);
			text += labels[i].len;
		}
		made += heap_bytes() - here;
		double start = (double)used_cpu_ns();
		for (unsigned i = 0; i < n; i++) {
			unsigned s = shard_of(from + i);
			of_shard[s][counts[s]] = labels[i];
			postings_add(shards[s], counts[s]++, labels[i]);
		}
		spent += (double)used_cpu_ns() - start;
	}
	size_t told = 0;
	uint64_t pairs = 0;
	for (unsigned s = 0; s < SHARDS; s++) {
		told += postings_bytes(shards[s]);
		pairs += postings_pairs(shards[s]);
	}
	printf("%u series, %.0f B of labels: added in %.0f ns each; %.1f B a series on the heap, "
	       "%.1f counted; %.3f pairs a series\n",
	    series, text / series, spent / series, (double)(heap_bytes() - before - made) / series,
	    (double)told / series, (double)pairs / series);
	struct postings_parts all = { 0 };
	for (unsigned s = 0; s < SHARDS; s++) {
		struct postings_parts p = postings_parts(shards[s]);
		all.pairs += p.pairs;
		all.table += p.table;
		all.ids += p.ids;
		all.order += p.order;
		all.names += p.names;
	}
	printf("of these: pairs %.1f, table %.1f, ids %.1f, order of values %.1f, names %.1f\n",
	    (double)all.pairs / series, (double)all.table / series, (double)all.ids / series,
	    (double)all.order / series, (double)all.names / series);
}

/* The longest time between two questions whether it is enough, in a select that asks often. */
struct pace {
	double last, longest, since;
};

static bool enough(void *arg)
{
	struct pace *p = arg;
	double now = (double)clock_real_mono_ns(); /* as the caller in storage/read asks */
	p->longest = now - p->last > p->longest ? now - p->last : p->longest;
	p->last = now;
	return false;
}

static void ask(const char *text, const struct matcher *ms, size_t count)
{
	double best = 0, longest = 0;
	uint64_t found = 0;
	for (int r = 0; r < 3; r++) {
		double start = (double)used_cpu_ns();
		struct pace pace = { 0 };
		found = 0;
		for (unsigned s = 0; s < SHARDS; s++) {
			struct postings_select *sel =
			    postings_select_begin(shards[s], ms, count, &getters[s]);
			pace.last = (double)clock_real_mono_ns();
			if (postings_select_step(sel, enough, &pace) != POSTINGS_DONE)
				abort();
			enough(&pace);
			roaring_bitmap_t *b = postings_select_take(sel);
			found += roaring_bitmap_get_cardinality(b);
			roaring_bitmap_free(b);
			postings_select_end(sel);
		}
		double took = (double)used_cpu_ns() - start;
		if (!r || took < best) {
			best = took;
			longest = pace.longest;
		}
	}
	printf("%-62s %9llu series %9.3f ms in all shards, longest piece %6.0f us\n", text,
	    (unsigned long long)found, best / 1e6, longest / 1e3);
}

/* "name=value" with = != =~ !~, parts apart by spaces. */
static void ask_text(const char *text)
{
	struct matcher ms[8];
	struct errbuf eb;
	size_t count = 0;
	char copy[256];
	errbuf_init(&eb);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *p = copy, *next; p; p = next) {
		next = strchr(p, ' ');
		if (next)
			*next++ = 0;
		size_t n = strcspn(p, "=!");
		enum matcher_type type = p[n] == '!' ? (p[n + 1] == '~' ? MATCHER_NRE : MATCHER_NE)
		    : p[n + 1] == '~'                ? MATCHER_RE
		                                     : MATCHER_EQ;
		const char *v = p + n + (type == MATCHER_EQ ? 1 : 2);
		if (matcher_init(&ms[count++], type, p, n, v, strlen(v), &eb))
			abort();
	}
	ask(text, ms, count);
	while (count)
		matcher_release(&ms[--count]);
}

static void remove_all(unsigned series)
{
	double start = (double)used_cpu_ns();
	for (unsigned s = 0; s < SHARDS; s++)
		for (uint32_t id = 0; id < counts[s]; id++)
			postings_del(shards[s], id, of_shard[s][id]);
	double took = (double)used_cpu_ns() - start;
	size_t told = 0;
	for (unsigned s = 0; s < SHARDS; s++)
		told += postings_bytes(shards[s]);
	printf("all removed in %.0f ns each; %zu B counted are left\n", took / series, told);
}

int main(int argc, char **argv)
{
	unsigned series = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
	bool pods = argc > 2 && !strcmp(argv[2], "pods");
	for (uintptr_t s = 0; s < SHARDS; s++) {
		getters[s] = (struct postings_labels){ .get = labels_get, .arg = (void *)s };
		shards[s] = postings_create(s + 1, &getters[s]);
		of_shard[s] =
		    mem_array(NULL, series / SHARDS + series / 50 + 1000, sizeof(struct labels));
	}
	fill(series, pods);
	const char *asked[] = { "job=x", "job=x instance=~host-0[0-9]+.*", "instance=~host-0[0-9]+.*",
		"instance=~(host-0|host-1000)[0-9]+.*", "instance=~.*7[.]example.*",
		"instance=~(?i)HOST-0.*", "job=x instance=~host-0.*", "job!=y", "job!=x",
		"job=~x|y mode!~mode-[12]", "instance=host-00007.example.com:9100 rack!=rack-1",
		"instance=host-00007.example.com:9100 rack!~rack-1.+",
		"instance=host-00007.example.com:9100 instance!~.*[89].*",
		"__name__=node_metric_name_007_total instance!=host-00007.example.com:9100",
		"uid=~00[0-9a-f]+.*", "uid=~[0-9a-f]+7", "uid!~.+77",
		"instance=host-00007.example.com:9100 uid=~.*7",
		"instance=host-00007.example.com:9100 uid!=x" };
	for (int i = 3; i < argc; i++)
		ask_text(argv[i]);
	for (size_t i = 0; i < COUNT_OF(asked) && argc <= 3; i++)
		if (pods || !strstr(asked[i], "uid"))
			ask_text(asked[i]);
	remove_all(series);
	return 0;
}
