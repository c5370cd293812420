/*
 * What it costs to relabel a series of a node exporter (bench/micro/body.h): each list of rules
 * asked anew (core/model/relabel), and what was made before found again (net/recv/inletcache).
 */
#include "bench/micro/body.h"

#include "core/model/relabel.h"
#include "net/recv/inletcache.h"

#define ROUNDS 50
#define LIST(...)                                                                                  \
 (const struct relabel_rule[]){ __VA_ARGS__ },                                                     \
     sizeof((const struct relabel_rule[]){ __VA_ARGS__ }) / sizeof(struct relabel_rule)
#define FROM(name) .source_labels = { (const char *const[]){ name }, 1 }

static struct batch batch;
static struct arena arena;

static struct labels row_labels(size_t i)
{
	return (struct labels){ batch.rows[i].labels, batch.rows[i].labels_len };
}

static void report(const char *what, double best, unsigned changed, unsigned dropped)
{
	printf("%-44s %7.1f ns/series  changed %u dropped %u of %d\n", what, best / BODY_SERIES,
	    changed, dropped, BODY_SERIES);
}

static void asked(const char *what, const struct relabel_rule *rules, size_t count)
{
	struct relabel *r;
	struct errbuf eb;
	size_t bad;
	double best = 0;
	unsigned changed = 0, dropped = 0;
	errbuf_init(&eb);
	CHECK(!relabel_create(rules, count, &r, &bad, &eb));
	BODY_BEST_NS(best, ROUNDS, {
		struct arena a;
		changed = dropped = 0;
		arena_init(&a, 1 << 20);
		for (size_t i = 0; i < batch.rows_count; i++) {
			struct relabel_set s;
			CHECK(relabel_set_init(&s, &a, row_labels(i)));
			if (relabel_apply(r, &s) != RELABEL_KEPT)
				dropped++;
			else if (s.changed)
				changed += relabel_set_done(&s).len > 0;
		}
		arena_release(&a);
	});
	report(what, best, changed, dropped);
	relabel_free(r);
}

static void found(void)
{
	struct inletcache *c = inletcache_create(64 << 20);
	double best = 0;
	unsigned hits = 0;
	for (size_t i = 0; i < batch.rows_count; i++) {
		struct labels ls = row_labels(i);
		struct inlet_result r = { .fate = INLET_CHANGED, .labels = ls };
		inletcache_add(c, ls, 0, &r);
	}
	BODY_BEST_NS(best, ROUNDS, {
		struct arena a;
		hits = 0;
		arena_init(&a, 1 << 20);
		for (size_t i = 0; i < batch.rows_count; i++) {
			struct labels ls = row_labels(i);
			const struct inlet_result *r = inletcache_find(c, ls, 0);
			hits += r && arena_dup(&a, r->labels.bytes, r->labels.len);
		}
		arena_release(&a);
	});
	report("found again, labels copied", best, hits, 0);
	inletcache_free(c);
}

int main(void)
{
	struct buf body;
	buf_init(&body);
	batch_init(&batch);
	arena_init(&arena, 4096);
	body_make(&body);
	CHECK(!rw1_decode(&arena, body.data, body.len, NULL, &batch, NULL));
	asked("no rule", NULL, 0);
	asked("drop by words that are not there",
	    LIST({ FROM("__name__"), .regex = "go_info|up|down", .action = RELABEL_DROP }));
	asked("drop by a prefix that is not there",
	    LIST({ FROM("__name__"), .regex = "go_.*", .action = RELABEL_DROP }));
	asked("drop by a prefix, an eighth",
	    LIST({ FROM("__name__"), .regex = "node_cpu_.*", .action = RELABEL_DROP }));
	asked("a constant label", LIST({ .target_label = "env", .replacement = "prod" }));
	asked("a copy of a label", LIST({ FROM("instance"), .target_label = "node" }));
	asked("a group of an expression",
	    LIST({ FROM("instance"), .regex = "([^:]+):.*", .target_label = "host" }));
	asked("labeldrop", LIST({ .regex = "pod|uid", .action = RELABEL_LABELDROP }));
	asked("hashmod",
	    LIST({ FROM("instance"), .modulus = 8, .target_label = "shard",
	        .action = RELABEL_HASHMOD }));
	asked("six rules: drop, drop, copy, group, map, labeldrop",
	    LIST({ FROM("__name__"), .regex = "go_.*|process_.*", .action = RELABEL_DROP },
	        { FROM("job"), .regex = "none", .action = RELABEL_DROP },
	        { FROM("instance"), .target_label = "node" },
	        { FROM("instance"), .regex = "([^:]+):.*", .target_label = "host" },
	        { .regex = "meta_(.+)", .action = RELABEL_LABELMAP },
	        { .regex = "meta_.+|pod", .action = RELABEL_LABELDROP }));
	found();
	batch_release(&batch);
	arena_release(&arena);
	buf_release(&body);
	return 0;
}
