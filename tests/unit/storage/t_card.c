/*
 * Rules of cardinality (core/model/cardrule.h) in a store, through its seams: what is stored of
 * series beyond a limit is what the rule says, on one loop and on several, after a kill, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/append/alarm.h"
#include "storage/append/card.h"
#include "storage/append/recount.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define T0     INT64_C(1700000000000)
#define ACME   1u
#define OTHER  2u
#define VALUES 500u
#define MOST   20u

static struct storetest s;
static char *dir;
static struct tenants *conf;
static struct card_rules *rules;

static void rules_set(const struct card_rule *list, size_t count)
{
	struct tenants *old = conf;
	struct card_rules *old_rules = rules;
	struct tenant_row row = { .name = "acme", .card_own = true };
	if (!TAP_OK(!card_rules_create(&rules, list, count, NULL)))
		exit(1);
	row.card = rules;
	if (!TAP_OK(!tenants_create(&conf, NULL, &row, 1, NULL)))
		exit(1);
	tenants_set_id(conf, 0, ACME);
	if (s.store)
		storetest_tenants(&s, conf);
	tenants_free(old);
	card_rules_free(old_rules);
}

static bool begin(unsigned loops, const struct card_rule *list, size_t count)
{
	dir = testlib_tmpdir("card");
	storetest_init(&s, dir);
	if (!TAP_OK(!storetest_open(&s, loops)))
		return false;
	rules_set(list, count);
	return true;
}

static void end(void)
{
	storetest_close(&s);
	s.store = NULL;
	tenants_free(conf);
	card_rules_free(rules);
	conf = NULL;
	rules = NULL;
	testlib_rmtree(dir);
	free(dir);
}

/* name{code="c", instance="i", job="j", user_id="u<value>"} */
static struct labels series_of(struct arena *a, const char *name, const char *instance, unsigned value)
{
	char user[32];
	snprintf(user, sizeof(user), "u%u", value);
	return label_make(a, LABEL_NAME, name, "code", value % 2 ? "200" : "500", "instance",
	    instance, "job", "shop", "user_id", user, NULL);
}

static struct storetest_verdict put(uint32_t tenant, unsigned loop, const char *name,
    const char *instance, unsigned from, unsigned count, int64_t t_ms)
{
	struct arena a;
	arena_init(&a, 1 << 16);
	struct storetest_row *rows = mem_array(NULL, count, sizeof(*rows));
	for (unsigned i = 0; i < count; i++)
		rows[i] = (struct storetest_row){ .labels = series_of(&a, name, instance, from + i),
			.t_ms = t_ms,
			.v = from + i };
	s.tenant = tenant;
	struct storetest_verdict v = storetest_write(&s, loop, rows, count);
	mem_free(rows);
	arena_release(&a);
	return v;
}

/* What is stored of a metric. */
struct found {
	unsigned series, samples, with_user, reassigned, without_user;
	unsigned metrics; /* whose name was replaced */
};

static void found_add(void *arg, struct labels ls, const struct sample_column *col)
{
	struct found *f = arg;
	uint32_t len = 0, name_len = 0;
	const char *user = label_get(ls, "user_id", 7, &len);
	const char *name = label_get(ls, LABEL_NAME, 8, &name_len);
	bool whole = bytes_equal(name, name_len, CARD_REASSIGNED, strlen(CARD_REASSIGNED));
	f->series++;
	f->samples += col->count;
	f->metrics += whole;
	if (!user)
		f->without_user++;
	else if (bytes_equal(user, len, CARD_REASSIGNED, strlen(CARD_REASSIGNED)))
		f->reassigned++;
	else
		f->with_user++;
}

static struct found stored_of(uint32_t tenant)
{
	struct found f = { 0 };
	s.tenant = tenant;
	if (storetest_read(&s, NULL, 0, INT64_MIN, INT64_MAX, found_add, &f))
		TAP_OK(false);
	return f;
}

/* ---- actions ---- */

static void values_are_replaced(unsigned loops)
{
	const struct card_rule rule = {
		.label = "user_id", .max_values = MOST, .action = CARD_REPLACE
	};
	if (!begin(loops, &rule, 1))
		return;
	for (unsigned i = 0; i < 5; i++) {
		struct storetest_verdict v =
		    put(ACME, i % loops, "requests", "a", i * VALUES / 5, VALUES / 5, T0 + i);
		tap_ok(!v.err && v.stored == VALUES / 5 && !v.refused, "all rows are stored");
	}
	struct found f = stored_of(ACME);
	tap_ok(f.with_user == MOST && f.reassigned == 2,
	    "%u loops: as many values as may be have their series, %u, the others two (by code): %u",
	    loops, f.with_user, f.reassigned);
	TAP_OK(put(OTHER, 0, "requests", "a", 0, VALUES, T0).stored == VALUES);
	tap_is_u64(stored_of(OTHER).with_user, VALUES, "a tenant without rules has all of its own");
	put(ACME, loops - 1, "more", "b", 0, VALUES, T0 + 10);
	f = stored_of(ACME);
	tap_ok(f.with_user == 2 * MOST && f.reassigned == 4,
	    "another metric has the same values, and no more: %u, %u", f.with_user, f.reassigned);
	/* acknowledged, then the process ends without a round */
	storetest_close(&s);
	if (!TAP_OK(!storetest_open(&s, loops)))
		return;
	storetest_tenants(&s, conf);
	f = stored_of(ACME);
	tap_ok(f.with_user == 2 * MOST && f.reassigned == 4, "after a start they are the same");
	end();
}

static void labels_are_dropped(void)
{
	const struct card_rule rule = { .metric = "req.*",
		.label = "*",
		.max_values = MOST,
		.per = CARD_PER_METRIC,
		.action = CARD_DROP_LABEL };
	if (!begin(2, &rule, 1))
		return;
	put(ACME, 0, "requests", "a", 0, VALUES, T0);
	put(ACME, 1, "others", "a", 0, VALUES, T0);
	struct found f = stored_of(ACME);
	tap_ok(f.with_user == MOST + VALUES && f.without_user == 2 && !f.reassigned,
	    "the label goes where the metric is the rule's: %u with it, %u without", f.with_user,
	    f.without_user);
	end();
}

static void series_are_refused(void)
{
	const struct card_rule rule = {
		.max_series = MOST, .per = CARD_PER_TARGET, .action = CARD_REFUSE
	};
	if (!begin(2, &rule, 1))
		return;
	struct storetest_verdict v = put(ACME, 0, "requests", "a", 0, VALUES, T0);
	tap_ok(v.stored == MOST && v.refused == VALUES - MOST && v.reason == SINK_CARDINALITY &&
	        strstr(v.text, "limit 20 a target (tenants.acme.cardinality, rule 1)"),
	    "beyond the limit they are refused, in words: %s", v.text);
	tap_is_u64(put(ACME, 1, "requests", "b", 0, VALUES, T0).stored, MOST,
	    "another target has its own limit");
	tap_is_u64(put(ACME, 1, "requests", "a", 0, VALUES, T0 + 1).stored, MOST,
	    "those that are known go on");
	end();
}

static void metrics_are_replaced(void)
{
	const struct card_rule rule = { .label = LABEL_NAME, .max_values = 3, .action = CARD_REPLACE };
	char name[32];
	if (!begin(2, &rule, 1))
		return;
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "metric_%u", i);
		put(ACME, i % 2, name, "a", 0, 2, T0 + i);
	}
	struct found f = stored_of(ACME);
	tap_ok(f.series == 3 * 2 + 2 && f.metrics == 2, "names of metrics are values, too");
	end();
}

static void dry_runs_do_nothing(void)
{
	const struct card_rule list[] = {
		{ .label = "user_id", .max_values = MOST, .action = CARD_REFUSE, .dry_run = true },
		{ .label = "user_id", .max_values = MOST, .action = CARD_REPORT },
	};
	if (!begin(2, list, 2))
		return;
	uint64_t before = metric_sum(M_CARD_REPORTED);
	tap_is_u64(put(ACME, 0, "requests", "a", 0, VALUES, T0).stored, VALUES, "all are stored");
	tap_is_u64(stored_of(ACME).with_user, VALUES, "as they came");
	tap_is_u64(metric_sum(M_CARD_REPORTED) - before, 2 * (VALUES - MOST), "and counted");
	end();
}

/* Rules go on where the one before has left the labels. */
static void rules_follow_each_other(void)
{
	const struct card_rule list[] = {
		{ .label = "user_id", .max_values = MOST, .action = CARD_REPLACE },
		{ .label = "code", .max_series = MOST + 1, .action = CARD_DROP_LABEL },
		{ .metric = "bad", .max_series = 1, .action = CARD_REFUSE },
	};
	if (!begin(1, list, 3)) /* so that it is known which values come first */
		return;
	put(ACME, 0, "requests", "a", 0, VALUES, T0);
	struct found f = stored_of(ACME);
	tap_ok(f.with_user == MOST && f.reassigned == 2,
	    "of those with the value that stands for the others one keeps its code: %u, %u",
	    f.with_user, f.reassigned);
	struct storetest_verdict v = put(ACME, 0, "bad", "a", 0, 4, T0);
	tap_ok(v.stored == 1 && v.refused == 3, "the last one refuses: %u, %s", (unsigned)v.refused,
	    v.text);
	end();
}

/* ---- odd bytes ---- */

/* The same labels, the last one first. */
static struct labels unsorted(struct arena *a, struct labels ls)
{
	struct label items[16], l;
	size_t n = 0;
	for (struct label_iter it = label_iter(ls); label_next(&it, &l);)
		items[n++] = l;
	struct label last = items[n - 1];
	memmove(items + 1, items, (n - 1) * sizeof(*items));
	items[0] = last;
	return label_encode(a, items, n);
}

static void odd_bytes_are_under_rules(void)
{
	const struct card_rule rule = {
		.label = "user_id", .max_values = MOST, .action = CARD_REPLACE
	};
	struct arena a;
	if (!begin(2, &rule, 1))
		return;
	arena_init(&a, 1 << 16);
	struct storetest_row rows[VALUES];
	for (unsigned i = 0; i < VALUES; i++)
		rows[i] = (struct storetest_row){
			.labels = unsorted(&a, series_of(&a, "requests", "a", i)), .t_ms = T0, .v = i
		};
	s.tenant = ACME;
	for (unsigned i = 0; i < 3; i++) {
		struct storetest_verdict v = storetest_write(&s, i % 2, rows, VALUES);
		TAP_OK(!v.err && v.stored == VALUES);
	}
	struct found f = stored_of(ACME);
	tap_ok(f.with_user == MOST && f.reassigned == 2,
	    "bytes that are not canonical are under the same rules: %u, %u", f.with_user,
	    f.reassigned);
	arena_release(&a);
	end();
}

/* ---- counted anew ---- */

#define WALK 3000 /* ms: the timer, and some */

static void more_time(int64_t ms)
{
	for (int64_t i = 0; i < ms; i += WALK)
		storetest_advance(&s, WALK);
}

static void what_is_in_memory_counts(void)
{
	const struct card_rule none = { .label = "user_id", .max_values = 1000000 };
	const struct card_rule rule = {
		.label = "user_id", .max_values = MOST, .action = CARD_REPLACE
	};
	if (!begin(2, &none, 1))
		return;
	put(ACME, 0, "requests", "a", 0, MOST - 5, T0);
	rules_set(&rule, 1);
	more_time(WALK);
	put(ACME, 1, "requests", "b", 1000, VALUES, T0 + 1);
	struct found f = stored_of(ACME);
	tap_ok(f.with_user == MOST && f.reassigned == 2,
	    "values that were there before the rule are counted by it: %u", f.with_user);
	put(ACME, 0, "others", "a", 0, MOST - 5, T0 + 2);
	tap_is_u64(stored_of(ACME).with_user, MOST + MOST - 5, "and taken by it");
	storetest_close(&s);
	if (!TAP_OK(!storetest_open(&s, 2)))
		return;
	storetest_tenants(&s, conf);
	more_time(WALK);
	put(ACME, 1, "third", "a", 5000, VALUES, T0 + 3);
	f = stored_of(ACME);
	tap_ok(f.with_user == MOST + MOST - 5, "after a start, too: %u", f.with_user);
	end();
}

/* What was there before its rule, or is only told, takes no room of other rules. */
static void rules_have_their_own_room(void)
{
	const struct card_rule list[] = {
		{ .label = "user_id", .max_values = MOST, .dry_run = true },
		{ .label = LABEL_NAME, .max_values = MOST, .action = CARD_REPLACE },
	};
	char name[32];
	if (!begin(2, list, 2))
		return;
	put(ACME, 0, "requests", "a", 0, 10 * VALUES, T0);
	more_time(RECOUNT_EVERY_MS + RECOUNT_LOOK_MS);
	for (unsigned i = 0; i < MOST - 1; i++) {
		snprintf(name, sizeof(name), "metric_%u", i);
		put(ACME, i % 2, name, "a", 0, 1, T0 + 1);
	}
	struct found f = stored_of(ACME);
	tap_ok(f.series == 10 * VALUES + MOST - 1 && !f.metrics,
	    "as many names as there may be, beside many values of a label: %u series, %u replaced",
	    f.series, f.metrics);
	end();
}

#define METRICS 1500u

/* One series of each of many metrics. */
static void put_metrics(unsigned from, int64_t t_ms)
{
	struct arena a;
	struct storetest_row rows[METRICS];
	char name[32];
	arena_init(&a, 1 << 16);
	for (unsigned i = 0; i < METRICS; i++) {
		snprintf(name, sizeof(name), "metric_%u", from + i);
		rows[i] = (struct storetest_row){
			.labels = series_of(&a, name, "a", 0), .t_ms = t_ms, .v = i
		};
	}
	s.tenant = ACME;
	TAP_OK(storetest_write(&s, 0, rows, METRICS).stored == METRICS);
	arena_release(&a);
}

/* However many groups and values there are within their limits, a rule leaves them as they are. */
static void small_ones_have_room(void)
{
	const struct card_rule rule = {
		.label = "*", .max_values = MOST, .per = CARD_PER_METRIC, .action = CARD_DROP_LABEL
	};
	if (!begin(2, &rule, 1))
		return;
	for (unsigned i = 0; i < 4; i++) {
		put_metrics(i * METRICS, T0 + i);
		more_time(2 * RECOUNT_PAUSE_MS);
	}
	struct found f = stored_of(ACME);
	tap_ok(f.series == 4 * METRICS && !f.without_user,
	    "metrics with a value of each label keep their labels: %u of %u without",
	    f.without_user, f.series);
	put(ACME, 1, "requests", "a", 0, VALUES, T0 + 10);
	f = stored_of(ACME);
	tap_ok(f.with_user == 4 * METRICS + MOST && f.without_user == 2,
	    "one that explodes beside them has as many as it may: %u", f.with_user - 4 * METRICS);
	end();
}

static void what_left_makes_room(void)
{
	const struct card_rule rule = {
		.label = "user_id", .max_values = MOST, .action = CARD_REPLACE
	};
	if (!begin(2, &rule, 1))
		return;
	put(ACME, 0, "requests", "a", 0, MOST, T0);
	more_time(RECOUNT_EVERY_MS + RECOUNT_LOOK_MS);
	put(ACME, 0, "requests", "a", 100, MOST, T0 + 1);
	struct found f = stored_of(ACME);
	tap_ok(f.with_user == MOST && f.reassigned, "values that are in memory stay counted");
	/* a day later the first ones have left */
	for (unsigned i = 0; i < 3; i++) {
		storetest_advance(&s, 2 * 3600 * 1000);
		put(ACME, 1, "clock", "a", 0, 1, clock_wall_ms());
		TAP_OK(!storetest_flush(&s));
	}
	tap_ok(store_tenant_series(s.store, ACME) < MOST,
	    "most series have left memory: %u are there",
	    (unsigned)store_tenant_series(s.store, ACME));
	more_time(2 * (RECOUNT_EVERY_MS + RECOUNT_LOOK_MS));
	uint64_t before = metric_sum(M_CARD_REPLACED);
	put(ACME, 0, "requests", "a", 1000, MOST / 2, clock_wall_ms());
	tap_is_u64(metric_sum(M_CARD_REPLACED), before, "and others have their place");
	end();
}

/* ---- naming ---- */

struct named {
	unsigned pairs, labels, rules, others;
	struct alarm_row pair, rule;
};

static void named_add(void *arg, const struct alarm_row *row)
{
	struct named *n = arg;
	if (row->row.kind == WATCH_PAIR) {
		n->pairs++;
		n->pair = *row;
	} else if (row->row.kind == WATCH_RULE) {
		n->rules++;
		n->rule = *row;
	} else {
		n->labels += row->row.kind == WATCH_LABEL;
		n->others += row->row.kind == WATCH_METRIC || row->row.kind == WATCH_TARGET;
	}
}

struct asked {
	uint32_t tenant;
	struct named named;
};

static void ask_here(void *arg)
{
	struct asked *k = arg;
	alarm_each(s.store->alarm, k->tenant, named_add, &k->named);
}

static struct named named_of(uint32_t tenant)
{
	struct asked k = { .tenant = tenant };
	testteam_run(&s.tt, 0, ask_here, &k);
	return k.named;
}

static void what_explodes_is_named(unsigned loops)
{
	const struct card_rule rule = {
		.label = "user_id", .max_values = MOST, .action = CARD_REPLACE
	};
	if (!begin(loops, &rule, 1))
		return;
	more_time(WALK);
	for (unsigned i = 0; i < 4; i++) {
		put(ACME, i % loops, "requests", "a", i * 2000, 2000, clock_wall_ms());
		put(OTHER, i % loops, "fine", "a", 0, 2000, clock_wall_ms());
		more_time(WALK);
	}
	struct named n = named_of(ACME);
	tap_ok(n.pairs == 1 && n.pair.on && !strcmp(n.pair.row.metric, "requests") &&
	        !strcmp(n.pair.row.label, "user_id") && n.pair.row.examples[0][0] == 'u',
	    "%u loops: the metric and the label that explode have their names: %s, %s, such as %s",
	    loops, n.pair.row.metric, n.pair.row.label, n.pair.row.examples[0]);
	tap_ok(n.pair.row.values > 300 && n.pair.row.values < 1400,
	    "about how fast is told: %.0f of some 667 values a second", n.pair.row.values);
	tap_ok(n.rules == 1 && n.rule.row.rule == 0 && !strcmp(n.rule.row.label, "user_id"),
	    "and so is what a rule does about it");
	n = named_of(OTHER);
	tap_ok(!n.pairs && !n.labels && !n.rules,
	    "series that another tenant has made once, and goes on with, are none: %u", n.pairs);
	more_time(2 * ALARM_CALM_MS);
	n = named_of(ACME);
	tap_ok(n.pairs == 1 && !n.pair.on, "it is over, and still known");
	end();
}

int main(void)
{
	clock_fake(T0);
	what_is_in_memory_counts();
	rules_have_their_own_room();
	small_ones_have_room();
	what_left_makes_room();
	what_explodes_is_named(1);
	what_explodes_is_named(3);
	values_are_replaced(1);
	values_are_replaced(2);
	values_are_replaced(3);
	labels_are_dropped();
	series_are_refused();
	metrics_are_replaced();
	dry_runs_do_nothing();
	rules_follow_each_other();
	odd_bytes_are_under_rules();
	return tap_done();
}
