#include "net/daemon/reference.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "net/api/api_status.h"

/* A family, and its rows' labels as the table says them, one behind the other. */
struct family {
	const char *name, *help, *kind;
	struct buf labels;
	char label[64]; /* whose values are listed; "" before the first */
	size_t rows;
};
struct families {
	struct arena arena;
	struct family *rows;
	size_t count, cap;
};

static struct family *family_of(struct families *all, const struct metric_row *r)
{
	for (size_t i = 0; i < all->count; i++)
		if (!strcmp(all->rows[i].name, r->family))
			return &all->rows[i];
	if (all->count == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 256;
		all->rows = mem_array(all->rows, all->cap, sizeof(*all->rows));
	}
	struct family *f = &all->rows[all->count++];
	*f = (struct family){ .name = arena_strndup(&all->arena, r->family, strlen(r->family)),
		.help = r->help,
		.kind = metric_kind_word(r->kind) };
	buf_init(&f->labels);
	return f;
}

/* `name`: any value. */
static void names_add(struct family *f, const char *labels)
{
	for (const char *at = labels; *at;) {
		size_t len = strcspn(at, ",");
		buf_printf(&f->labels, "%s`%.*s`", at == labels ? "" : ", ", (int)len, at);
		at += len + (at[len] == ',');
	}
}

/* name="value": rows of one family that differ in it alone are one list. */
static void values_add(struct family *f, const char *labels)
{
	const char *eq = strchr(labels, '=');
	size_t name_len = (size_t)(eq - labels), len = strcspn(eq + 2, "\"");
	CHECK(name_len < sizeof(f->label) && eq[1] == '"' && !eq[2 + len + 1]);
	if (!f->rows)
		buf_printf(&f->labels, "`%.*s`: ", (int)name_len, labels);
	else
		CHECK(!strncmp(f->label, labels, name_len) && !f->label[name_len]);
	memcpy(f->label, labels, name_len);
	f->label[name_len] = 0;
	buf_printf(&f->labels, "%s%.*s", f->rows ? ", " : "", (int)len, eq + 2);
}

static void row_add(void *arg, const struct metric_row *r)
{
	struct family *f = family_of(arg, r);
	if (strchr(r->labels, '='))
		values_add(f, r->labels);
	else if (r->labels[0])
		names_add(f, r->labels);
	f->rows++;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct family *)a)->name, ((const struct family *)b)->name);
}

static const char head[] =
    "# Metrics of kymod\n\n"
    "What `/metrics` tells, and what the server records of itself every 5 s as `job=\"kymo\"` (the "
    "families of tenants, `kymo_tenant_*`,\nand `prometheus_*` are in `/metrics` alone). This page "
    "is made from the tables that `/metrics` is made from.\n\n"
    "* Counters begin with 0 at each start. Times are seconds, sizes bytes.\n"
    "* A histogram `x` is `x_bucket` with `le`, `x_sum` and `x_count`; its bounds go from 1 us to "
    "60 s.\n"
    "* What has the label `loop` is of each event loop: at most 12 series of one.\n"
    "* Values that are listed behind a label are all there are.\n"
    "* Of a tenant, while something explodes there, the server writes "
    "`kymo_cardinality_values_per_second` into that tenant's data.\n\n"
    "| Name | Type | Labels | Meaning |\n|---|---|---|---|\n";

void reference_metrics(struct buf *out)
{
	struct families all = { .rows = NULL };
	arena_init(&all.arena, 16 << 10);
	api_status_metric_rows(row_add, &all);
	qsort(all.rows, all.count, sizeof(*all.rows), by_name);
	buf_add_str(out, head);
	for (size_t i = 0; i < all.count; i++) {
		struct family *f = &all.rows[i];
		buf_printf(out, "| `%s` | %s | %.*s | %s |\n", f->name, f->kind, (int)f->labels.len,
		    f->labels.len ? (const char *)f->labels.data : "", f->help);
		buf_release(&f->labels);
	}
	mem_free(all.rows);
	arena_release(&all.arena);
}
