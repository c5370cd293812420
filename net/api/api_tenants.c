#include "net/api/api_tenants.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/json.h"
#include "core/base/num.h"
#include "core/model/tenant.h"
#include "net/api/apierr.h"
#include "net/api/param.h"
#include "net/api/tenantstat.h"
#include "proto/promjson.h"

struct row {
	const char *name;
	uint32_t id; /* TENANT_NONE: nobody has written to it yet */
	uint64_t series;
};

static void text_put(struct buf *b, const char *before, const char *text)
{
	buf_add_str(b, before);
	json_str(b, text, strlen(text));
}

/* As the configuration has it: a duration as text, all else as a number. */
static void limit_put(struct buf *b, const struct tenant_limit_row *row, uint64_t v, bool first)
{
	char text[NUM_FMT_MAX];
	text_put(b, first ? "" : ",", row->key);
	if (row->unit == TENANT_LIMIT_MS)
		buf_printf(b, ":\"%.*s\"", (int)num_fmt_duration((int64_t)v, text), text);
	else
		buf_printf(b, ":%" PRIu64, v);
}

/* Those that are its own matter; where it has none the server's holds. */
static void limits_put(struct buf *b, const struct tenant_limits *l)
{
	bool first = true;
	buf_add_str(b, ",\"limits\":{");
	for (unsigned i = 0; i < TENANT_LIMITS_COUNT; i++) {
		uint64_t v = tenant_limit_get(l, (enum tenant_limit_id)i);
		if (!v)
			continue;
		limit_put(b, &tenant_limit_rows[i], v, first);
		first = false;
	}
	buf_add_str(b, "}");
}

static void row_put(struct buf *b, const struct api *a, const struct row *row, bool first)
{
	const struct tenants *conf = loop_tenants(loop_here());
	const struct tenant_row *own = conf ? tenants_find(conf, row->name, strlen(row->name)) : NULL;
	struct tenantfigures f = { .stored = 0 };
	if (row->id != TENANT_NONE)
		tenantstat_of(a->tenantstat, row->id, &f);
	text_put(b, first ? "{\"name\":" : ",{\"name\":", row->name);
	buf_printf(b,
	    ",\"series\":%" PRIu64 ",\"samplesStored\":%" PRIu64 ",\"samplesRefused\":%" PRIu64
	    ",\"queries\":%" PRIu64 ",\"querySeconds\":%" PRIu64 ".%06" PRIu64,
	    row->series, f.stored, f.refused, f.queries, f.query_us / 1000000, f.query_us % 1000000);
	limits_put(b, own ? &own->limits : tenant_limits_of(conf, TENANT_NONE));
	buf_add_str(b, "}");
}

static struct row row_of(const struct api *a, const char *name, uint32_t id)
{
	return (struct row){ name, id, id == TENANT_NONE ? 0 : store_tenant_series(a->store, id) };
}

static bool is_named(const struct req_reads *w, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (!strcmp(w->tenants[i], name))
			return true;
	return false;
}

static int by_series(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	if (x->series != y->series)
		return x->series < y->series ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* Behind the first `named`, which have their places: the largest others there are. */
static size_t others_add(const struct req *r, struct row *rows, size_t named)
{
	const struct api *a = api_of(r);
	size_t n = named;
	for (uint32_t id = 0, all = store_tenants(a->store); id < all; id++) {
		const char *name = store_tenant_name(a->store, id);
		if (name && !is_named(r->who_reads, name))
			rows[n++] = row_of(a, name, id);
	}
	qsort(rows + named, n - named, sizeof *rows, by_series);
	return n;
}

static size_t rows_make(const struct req *r, struct row **out)
{
	const struct api *a = api_of(r);
	const struct req_reads *w = r->who_reads;
	size_t named = w ? w->count : 1, n = 0;
	struct row *rows =
	    mem_array(NULL, named + (w && w->any ? store_tenants(a->store) : 0), sizeof *rows);
	if (!w)
		rows[n++] = row_of(a, TENANT_DEFAULT_NAME, TENANT_DEFAULT);
	for (size_t i = 0; w && i < w->count; i++)
		rows[n++] = row_of(a, w->tenants[i],
		    store_tenant_find(a->store, w->tenants[i], strlen(w->tenants[i])));
	*out = rows;
	return w && w->any ? others_add(r, rows, n) : n;
}

static bool limit_read(struct req *r, size_t *out)
{
	struct urlq u;
	size_t len;
	int64_t limit = TENANTS_LIMIT_USUAL;
	if (!param_parse(r, &u))
		return false;
	const char *s = urlq_get(&u, "limit", &len);
	if (len && (num_parse_i64(s, len, &limit) || limit < 1 || limit > TENANTS_LIMIT_MOST)) {
		apierr_jsonf(
		    r, ERR_BADDATA, "limit must be a number from 1 to %d", TENANTS_LIMIT_MOST);
		return false;
	}
	*out = (size_t)limit;
	return true;
}

static void roles_put(struct buf *b, unsigned roles)
{
	static const struct {
		enum role role;
		const char *word;
	} words[] = { { ROLE_WRITE, "write" }, { ROLE_READ, "read" }, { ROLE_RULES, "rules" },
		{ ROLE_ADMIN, "admin" } };
	bool first = true;
	buf_add_str(b, ",\"roles\":[");
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (roles & (unsigned)words[i].role) {
			text_put(b, first ? "" : ",", words[i].word);
			first = false;
		}
	buf_add_str(b, "]");
}

void api_tenants(struct req *r)
{
	size_t limit;
	struct row *rows;
	struct buf b;
	if (!limit_read(r, &limit))
		return;
	size_t n = rows_make(r, &rows);
	buf_init(&b);
	promjson_begin(&b);
	buf_printf(&b, "{\"identities\":%s", r->who_reads ? "true" : "false");
	text_put(&b, ",\"identity\":", r->identity);
	roles_put(&b, r->roles);
	buf_printf(&b, ",\"anyTenant\":%s,\"count\":%zu,\"tenants\":[",
	    r->who_reads && r->who_reads->any ? "true" : "false", n);
	for (size_t i = 0; i < n && i < limit; i++)
		row_put(&b, api_of(r), &rows[i], !i);
	buf_add_str(&b, "]}");
	mem_free(rows);
	promjson_end(&b, NULL, NULL);
	req_reply_buf(r, 200, "application/json", &b);
}
