#include "net/api/tenantstat.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/base/tally.h"
#include "core/model/limits.h"
#include "core/model/tenant.h"

#define NS_PER_US 1000u
#define US_PER_S  1000000u

enum figure {
	FIGURE_STORED,
	FIGURE_REFUSED,
	FIGURE_QUERIES,
	FIGURE_QUERY_US,
	FIGURE_STEPS,
	FIGURE_STEPS_KEPT,
	FIGURES_COUNTED,
	FIGURE_SERIES = FIGURES_COUNTED, /* the store counts them */
	FIGURES
};
static const struct {
	const char *name;
	enum metric_kind kind;
	const char *help;
} families[FIGURES] = {
	[FIGURE_STORED] = { "kymo_tenant_samples_ingested_total", METRIC_COUNTER,
	    "Samples stored, by tenant." },
	[FIGURE_REFUSED] = { "kymo_tenant_samples_refused_total", METRIC_COUNTER,
	    "Samples refused one by one, by tenant." },
	[FIGURE_QUERIES] = { "kymo_tenant_queries_total", METRIC_COUNTER,
	    "Queries that began, those for labels and metadata too, by tenant." },
	[FIGURE_QUERY_US] = { "kymo_tenant_query_seconds_total", METRIC_COUNTER,
	    "Time that queries took from their head on, by tenant." },
	[FIGURE_STEPS] = { "kymo_tenant_query_steps_total", METRIC_COUNTER,
	    "Steps of range queries whose results may be kept, by tenant." },
	[FIGURE_STEPS_KEPT] = { "kymo_tenant_query_steps_kept_total", METRIC_COUNTER,
	    "Those of them that were kept from queries before, by tenant." },
	[FIGURE_SERIES] = { "kymo_tenant_series", METRIC_GAUGE, "Series held in memory, by tenant." },
};

struct tenantstat {
	struct tally *counts[FIGURES_COUNTED];
};
struct row {
	const char *name;
	uint64_t v[FIGURES];
};
struct rows {
	struct row *shown, other;
	size_t named, count; /* those of the configuration, then the largest others, ordered */
	size_t most;         /* of the others */
	bool any_other;
};

struct tenantstat *tenantstat_create(void)
{
	struct tenantstat *t = mem_zalloc(sizeof(*t));
	for (unsigned i = 0; i < FIGURES_COUNTED; i++)
		t->counts[i] = tally_create();
	return t;
}

void tenantstat_free(struct tenantstat *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < FIGURES_COUNTED; i++)
		tally_free(t->counts[i]);
	mem_free(t);
}

void tenantstat_wrote(struct tenantstat *t, uint32_t tenant, uint64_t stored, uint64_t refused)
{
	tally_add(t->counts[FIGURE_STORED], tenant, stored);
	tally_add(t->counts[FIGURE_REFUSED], tenant, refused);
}

void tenantstat_asked(struct tenantstat *t, uint32_t tenant, uint64_t took_ns)
{
	if (tenant == TENANT_NONE) /* nobody's */
		return;
	tally_add(t->counts[FIGURE_QUERIES], tenant, 1);
	tally_add(t->counts[FIGURE_QUERY_US], tenant, took_ns / NS_PER_US);
}

void tenantstat_kept(struct tenantstat *t, uint32_t tenant, uint64_t kept, uint64_t steps)
{
	if (tenant == TENANT_NONE)
		return;
	tally_add(t->counts[FIGURE_STEPS], tenant, steps);
	tally_add(t->counts[FIGURE_STEPS_KEPT], tenant, kept);
}

void tenantstat_of(const struct tenantstat *t, uint32_t tenant, struct tenantfigures *out)
{
	*out = (struct tenantfigures){ .stored = tally_get(t->counts[FIGURE_STORED], tenant),
		.refused = tally_get(t->counts[FIGURE_REFUSED], tenant),
		.queries = tally_get(t->counts[FIGURE_QUERIES], tenant),
		.query_us = tally_get(t->counts[FIGURE_QUERY_US], tenant) };
}

/* ---- rows ---- */

static void row_fill(const struct tenantstat *t, const struct store *st, uint32_t id, struct row *row)
{
	row->name = store_tenant_name(st, id);
	for (unsigned i = 0; i < FIGURES_COUNTED; i++)
		row->v[i] = tally_get(t->counts[i], id);
	row->v[FIGURE_SERIES] = store_tenant_series(st, id);
}

static bool is_larger(const struct row *a, const struct row *b)
{
	if (a->v[FIGURE_SERIES] != b->v[FIGURE_SERIES])
		return a->v[FIGURE_SERIES] > b->v[FIGURE_SERIES];
	return a->v[FIGURE_STORED] > b->v[FIGURE_STORED];
}

static void other_add(struct rows *r, const struct row *row)
{
	for (unsigned i = 0; i < FIGURES; i++)
		r->other.v[i] += row->v[i];
	r->any_other = true;
}

/* Among the largest, or to the rest. */
static void row_add(struct rows *r, const struct row *row)
{
	size_t first = r->named, at = r->count;
	if (r->count - first == r->most) {
		if (!r->most || !is_larger(row, &r->shown[at - 1])) {
			other_add(r, row);
			return;
		}
		other_add(r, &r->shown[--at]);
		r->count--;
	}
	for (; at > first && is_larger(row, &r->shown[at - 1]); at--)
		r->shown[at] = r->shown[at - 1];
	r->shown[at] = *row;
	r->count++;
}

static void rows_make(
    const struct tenantstat *t, const struct store *st, const struct tenants *conf, struct rows *r)
{
	uint32_t all = store_tenants(st), named = conf ? conf->count : 0;
	*r = (struct rows){ .most = (size_t)limits_here()->tenant_metrics,
		.other = { .name = "~other" } };
	if (r->most > all)
		r->most = all;
	r->shown = mem_array(NULL, named + r->most + 1, sizeof(*r->shown));
	for (uint32_t i = 0; i < named; i++)
		if (conf->rows[i].id < all)
			row_fill(t, st, conf->rows[i].id, &r->shown[r->count++]);
	r->named = r->count;
	for (uint32_t id = 0; id < all; id++) {
		struct row row;
		if (conf && tenants_of(conf, id))
			continue;
		row_fill(t, st, id, &row);
		if (row.name)
			row_add(r, &row);
	}
}

static void value_put(struct buf *out, unsigned figure, const struct row *row)
{
	uint64_t v = row->v[figure];
	buf_printf(out, "%s{tenant=\"%s\"} ", families[figure].name, row->name);
	if (figure == FIGURE_QUERY_US)
		buf_printf(out, "%" PRIu64 ".%06" PRIu64 "\n", v / US_PER_S, v % US_PER_S);
	else
		buf_printf(out, "%" PRIu64 "\n", v);
}

void tenantstat_put(const struct tenantstat *t, const struct store *st, struct buf *out)
{
	const struct loop *here = loop_here();
	struct rows r;
	rows_make(t, st, here ? loop_tenants(here) : NULL, &r);
	for (unsigned f = 0; f < FIGURES; f++) {
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", families[f].name, families[f].help,
		    families[f].name, metric_kind_word(families[f].kind));
		for (size_t i = 0; i < r.count; i++)
			value_put(out, f, &r.shown[i]);
		if (r.any_other)
			value_put(out, f, &r.other);
	}
	mem_free(r.shown);
}

void tenantstat_rows(void (*fn)(void *arg, const struct metric_row *r), void *arg)
{
	for (unsigned f = 0; f < FIGURES; f++)
		fn(arg,
		    &(struct metric_row){
		        families[f].name, "tenant", families[f].help, families[f].kind });
}
