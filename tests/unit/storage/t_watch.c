/*
 * What makes new series (storage/append/watch.h), against what was really sent; all of it follows
 * from seeds.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "storage/append/watch.h"
#include "tests/lib/tap.h"

#define SEED   UINT64_C(42)
#define SECOND UINT64_C(1000000000)

static struct watch w;
static struct arena a;
static uint64_t now_ns = SECOND;

static void look(uint32_t tenant, struct labels ls)
{
	watch_look(&w, tenant, hash64(ls.bytes, ls.len, SEED), ls, now_ns);
	arena_reset(&a, 1 << 16);
}

static struct labels series(const char *metric, const char *instance, const char *name, unsigned value)
{
	char text[32];
	snprintf(text, sizeof(text), "v%u", value);
	return label_make(
	    &a, LABEL_NAME, metric, "instance", instance, "job", "shop", name, text, NULL);
}

struct told {
	struct watch_row rows[512];
	unsigned count;
};
static struct told told;

static void add(void *arg, const struct watch_row *row)
{
	struct told *t = arg;
	if (t->count < 512)
		t->rows[t->count++] = *row;
}

/* A window of two seconds ends. */
static void collect(double least)
{
	told.count = 0;
	now_ns += 2 * SECOND;
	watch_collect(&w, now_ns, least, add, &told);
}

static const struct watch_row *find(
    uint32_t tenant, enum watch_kind kind, const char *metric, const char *label)
{
	for (unsigned i = 0; i < told.count; i++) {
		const struct watch_row *r = &told.rows[i];
		if (r->tenant == tenant && r->kind == kind && !strcmp(r->metric, metric) &&
		    !strcmp(r->label, label))
			return r;
	}
	return NULL;
}

static bool is_about(double v, double want)
{
	return v > want / 2 && v < want * 2;
}

/* A metric brings a tenth of a flood of names: both are found, and what they bring. */
static void heavy_ones_are_found(void)
{
	char metric[32];
	for (unsigned window = 0; window < 3; window++) {
		for (unsigned i = 0; i < 200000; i++) {
			unsigned n = window * 200000 + i;
			snprintf(metric, sizeof(metric), "name_%u", n);
			if (n % 10)
				look(1, series(metric, "a:1", "code", n % 5));
			else
				look(1, series("requests", "a:1", "user_id", n));
		}
		collect(100);
	}
	const struct watch_row *r = find(1, WATCH_PAIR, "requests", "user_id");
	tap_ok(r && is_about(r->values, 10000),
	    "a label of one metric: %.0f of 10,000 values a second", r ? r->values : 0);
	r = find(1, WATCH_LABEL, "", LABEL_NAME);
	tap_ok(
	    r && is_about(r->values, 90000), "names of metrics: %.0f of 90,000", r ? r->values : 0);
	r = find(1, WATCH_METRIC, "requests", "");
	tap_ok(r && is_about(r->series, 10000), "a metric: %.0f of 10,000 series", r ? r->series : 0);
	tap_ok(!find(1, WATCH_LABEL, "", "code") && !find(1, WATCH_LABEL, "", "job"),
	    "labels with the same values again are none");
	r = find(1, WATCH_TARGET, "", "");
	tap_ok(r && !strcmp(r->target, "shop/a:1") && is_about(r->series, 100000),
	    "the target of all: %.0f of 100,000", r ? r->series : 0);
	collect(0);
	tap_ok(!told.count, "a window without new series has no rows");
}

/* Below WATCH_BEGIN a window tenants are not watched; one that explodes is, beside thousands. */
static void tenants_have_room(void)
{
	for (unsigned window = 0; window < 2; window++) {
		for (unsigned i = 0; i < 4000; i++) {
			look(100 + i % 2000, series("up", "a:1", "n", window * 4000 + i));
			if (i % 4 == 0)
				look(7, series("requests", "a:1", "user_id", window * 4000 + i));
		}
		collect(10);
	}
	const struct watch_row *r = find(7, WATCH_PAIR, "requests", "user_id");
	tap_ok(r && is_about(r->values, 500), "one that explodes is named: %.0f of 500",
	    r ? r->values : 0);
	tap_ok(told.count && told.rows[0].tenant == 7 && told.rows[told.count - 1].tenant == 7,
	    "2,000 others with a new series a second are not looked at");
}

/* More that explode than are watched: those that are stay so, others come when they are calm. */
static void places_are_bounded(void)
{
	for (unsigned i = 0; i < 64 * 200; i++)
		look(200 + i % 64, series("requests", "a:1", "user_id", i));
	collect(1);
	unsigned tenants = 0;
	for (uint32_t t = 200; t < 264; t++)
		tenants += find(t, WATCH_PAIR, "requests", "user_id") != NULL;
	tap_ok(tenants >= WATCH_TENANTS - 4 && tenants <= WATCH_TENANTS, "%u of 64 are watched",
	    tenants);
	for (unsigned i = 0; i < 4; i++)
		collect(1);
	for (unsigned i = 0; i < 200; i++)
		look(500, series("requests", "a:1", "user_id", i));
	collect(1);
	tap_ok(find(500, WATCH_PAIR, "requests", "user_id") != NULL, "who is calm makes room");
}

static void acts_are_counted(void)
{
	struct watch_act act = { .rule = 2,
		.group = 77,
		.metric = "m",
		.metric_len = 1,
		.label = "l",
		.label_len = 1,
		.target = "",
		.value_len = 300 };
	char value[300];
	memset(value, 'x', sizeof(value));
	act.value = value;
	for (unsigned i = 0; i < 1000; i++)
		watch_acted(&w, 9, &act, now_ns);
	collect(1e9);
	const struct watch_row *r = find(9, WATCH_RULE, "m", "l");
	tap_ok(r && r->rule == 2 && r->series == 500 && r->key == 77 &&
	        strlen(r->examples[0]) == WATCH_NAME - 1,
	    "rows of rules are counted one by one, and texts are cut");
}

int main(void)
{
	arena_init(&a, 1 << 16);
	watch_init(&w, SEED);
	heavy_ones_are_found();
	tenants_have_room();
	places_are_bounded();
	acts_are_counted();
	watch_release(&w);
	arena_release(&a);
	return tap_done();
}
