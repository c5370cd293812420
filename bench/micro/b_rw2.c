/*
 * rw2_decode beside rw1_decode, each with its snappy, on the same samples: 2,000 series of one
 * sample, metadata in every series of 2.0. Two shapes: Kubernetes (9 or 10 labels, body.h) and a
 * page of 500 series scraped from four targets (4 to 6 labels); grouped by target as a sender's
 * queue gives them, and in random order.
 */
#include "bench/micro/body.h"
#include "proto/rw2.h"
#include "proto/snapz.h"

#define PAGE_SERIES 500u

static void page_series_labels(struct buf *b, unsigned i)
{
	static const char *const words[] = { "cpu", "disk", "memory", "network", "filesystem",
		"scrape", "timex", "vmstat", "netstat", "sockstat" };
	static const char *const kinds[] = { "seconds_total", "bytes", "bytes_total", "info",
		"errors_total" };
	unsigned target = i / PAGE_SERIES, at = i % PAGE_SERIES, family = at / 5;
	char name[64], instance[32], part[16], revision[8];
	snprintf(name, sizeof name, "node_%s_%s_%s", words[family % 10], words[family / 10],
	    kinds[family % 5]);
	snprintf(instance, sizeof instance, "instance-%u", 1000 + target);
	snprintf(part, sizeof part, "%s%u", family % 3 ? "" : "sd", at % 5);
	snprintf(revision, sizeof revision, "r%u", target % 3);
	body_label(b, "__name__", name);
	body_label(b, family % 3 ? "cpu" : "device", part);
	body_label(b, "instance", instance);
	body_label(b, "job", "node_exporter");
	if (family % 4 == 0)
		body_label(b, "mode", at % 2 ? "idle" : "system");
	body_label(b, "revision", revision);
}

struct bodies {
	struct buf one, two, packed_one, packed_two;
};

/* order[i]: which series comes i-th. */
static void bodies_make(
    struct bodies *x, void (*labels_of)(struct buf *, unsigned), const unsigned *order)
{
	struct rw2_enc e;
	struct buf labels;
	buf_init(&x->one);
	buf_init(&x->two);
	buf_init(&x->packed_one);
	buf_init(&x->packed_two);
	buf_init(&labels);
	rw2_enc_init(&e);
	rw2_enc_begin(&e);
	uint64_t rnd = 88172645463325252u;
	for (unsigned i = 0; i < BODY_SERIES; i++) {
		unsigned no = order[i];
		buf_clear(&labels);
		labels_of(&labels, no);
		struct labels ls = { .bytes = labels.data, .len = (uint32_t)labels.len };
		rnd = hash_mix64(rnd + no);
		double v = no % 5 == 0 ? 0
		    : no % 3           ? (double)(rnd % 100000)
		                       : (double)(rnd % 100000000) / 100;
		int64_t t = 1755000000000 + (int64_t)(no / 250) * 137;
		uint32_t name_len;
		const char *name = label_get(ls, LABEL_NAME, strlen(LABEL_NAME), &name_len);
		char help[160];
		int n = snprintf(help, sizeof help,
		    "What %.*s counts since the start of the process.", (int)name_len, name);
		rw1_encode_series(&x->one, ls, t, v);
		rw2_enc_series(&e, ls);
		rw2_enc_sample(&e, t, v, 0);
		rw2_enc_meta(&e,
		    &(struct batch_meta){
		        .type = 1, .help = help, .help_len = (uint32_t)n, .unit = "" });
	}
	rw2_enc_end(&e, &x->two);
	snapz_encode(&x->packed_one, x->one.data, x->one.len);
	snapz_encode(&x->packed_two, x->two.data, x->two.len);
	rw2_enc_release(&e);
	buf_release(&labels);
}

static void bodies_release(struct bodies *x)
{
	buf_release(&x->one);
	buf_release(&x->two);
	buf_release(&x->packed_one);
	buf_release(&x->packed_two);
}

static double unpacked_ns(const struct buf *packed, const struct buf *plain, uint8_t *out)
{
	double best = 0;
	BODY_BEST_NS(best, 20, CHECK(!snapz_decode(packed->data, packed->len, out, plain->len)));
	return best / BODY_SERIES;
}

static void same(const struct batch *a, const struct batch *b)
{
	CHECK(a->rows_count == BODY_SERIES && b->rows_count == BODY_SERIES);
	for (unsigned i = 0; i < BODY_SERIES; i++) {
		const struct batch_row *x = &a->rows[i], *y = &b->rows[i];
		CHECK(x->t_ms == y->t_ms && x->bits == y->bits && x->labels_len == y->labels_len &&
		    !memcmp(x->labels, y->labels, x->labels_len));
	}
}

static void measure(const char *shape, const struct bodies *x)
{
	struct batch one, two;
	struct arena arena;
	struct stamps *stamps = stamps_create();
	struct rw2_memory *memory = rw2_memory_create(stamps);
	uint8_t *out = mem_alloc((x->one.len > x->two.len ? x->one.len : x->two.len) + SNAPZ_SLOP);
	double rw1 = 0, rw2 = 0, fresh = 0;
	batch_init(&one);
	batch_init(&two);
	arena_init(&arena, 4096);
	double snappy1 = unpacked_ns(&x->packed_one, &x->one, out),
	       snappy2 = unpacked_ns(&x->packed_two, &x->two, out);
	BODY_BEST_NS(rw1, 20, batch_clear(&one);
	             CHECK(!rw1_decode(&arena, x->one.data, x->one.len, NULL, &one, NULL)));
	BODY_BEST_NS(fresh, 20, batch_clear(&two); arena_reset(&arena, RW2_ARENA_KEEP);
	             CHECK(!rw2_decode(&arena, NULL, x->two.data, x->two.len, NULL, &two, NULL)));
	size_t metas = two.metas_count;
	for (int i = 0; i < 2; i++) {
		batch_clear(&two);
		arena_reset(&arena, RW2_ARENA_KEEP);
		CHECK(!rw2_decode(&arena, memory, x->two.data, x->two.len, NULL, &two, NULL));
		rw2_memory_learn(memory, &two);
	}
	BODY_BEST_NS(rw2, 20, batch_clear(&two); arena_reset(&arena, RW2_ARENA_KEEP);
	             CHECK(!rw2_decode(&arena, memory, x->two.data, x->two.len, NULL, &two, NULL)));
	CHECK(!two.metas_count);
	same(&one, &two);
	printf("%-22s 1.0: snappy %6.2f + decode %6.2f = %6.2f ns/series, %3zu -> %3zu bytes\n",
	    shape, snappy1, rw1 / BODY_SERIES, snappy1 + rw1 / BODY_SERIES,
	    x->packed_one.len / BODY_SERIES, x->one.len / BODY_SERIES);
	printf("%-22s 2.0: snappy %6.2f + decode %6.2f = %6.2f ns/series, %3zu -> %3zu bytes; "
	       "without a memory %6.2f, %zu metas\n",
	    "", snappy2, rw2 / BODY_SERIES, snappy2 + rw2 / BODY_SERIES,
	    x->packed_two.len / BODY_SERIES, x->two.len / BODY_SERIES, fresh / BODY_SERIES, metas);
	mem_free(out);
	rw2_memory_free(memory);
	stamps_free(stamps);
	batch_release(&one);
	batch_release(&two);
	arena_release(&arena);
}

int main(void)
{
	unsigned order[BODY_SERIES];
	static const struct {
		const char *name;
		void (*labels_of)(struct buf *, unsigned);
	} shapes[] = { { "kubernetes", body_series_labels }, { "page", page_series_labels } };
	for (unsigned i = 0; i < 2 * COUNT_OF(shapes); i++) {
		struct bodies x;
		char title[32];
		uint64_t rnd = 1;
		for (unsigned k = 0; k < BODY_SERIES; k++)
			order[k] = k;
		for (unsigned k = BODY_SERIES - 1; i & 1 && k > 0; k--) {
			rnd = hash_mix64(rnd + k);
			unsigned at = (unsigned)(rnd % (k + 1)), was = order[k];
			order[k] = order[at];
			order[at] = was;
		}
		snprintf(title, sizeof title, "%s, %s", shapes[i / 2].name,
		    i & 1 ? "shuffled" : "grouped");
		bodies_make(&x, shapes[i / 2].labels_of, order);
		measure(title, &x);
		bodies_release(&x);
	}
	return 0;
}
