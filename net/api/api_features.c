#include "net/api/api_features.h"

#include "core/base/json.h"
#include "core/promql/lang/ql_func.h"
#include "proto/promjson.h"

#include <stdlib.h>

struct feature {
	const char *name;
	bool on;
};

static const char *const operators[] = { "!=", "!~", "%", "*", "+", "-", "/", "<", "</",
	"<=", "==", "=~", ">", ">/", ">=", "@", "^", "and", "atan2", "avg", "bottomk", "count",
	"count_values", "group", "max", "min", "or", "quantile", "stddev", "stdvar", "sum", "topk",
	"unless" };

static int by_name(const void *x, const void *y)
{
	const struct feature *a = x, *b = y;
	return strcmp(a->name, b->name);
}

static void category(struct buf *b, bool first, const char *name, struct feature *f, size_t count)
{
	buf_add_str(b, first ? "{" : ",");
	json_str_raw(b, name, strlen(name));
	buf_add_str(b, ":{");
	if (count)
		qsort(f, count, sizeof(*f), by_name);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_add_u8(b, ',');
		json_str_raw(b, f[i].name, strlen(f[i].name));
		buf_add_str(b, f[i].on ? ":true" : ":false");
	}
	buf_add_u8(b, '}');
}

static void api_category(struct buf *b, const struct api_conf *c)
{
	struct feature f[] = { { "admin", c->admin_api }, { "exclude_alerts", false },
		{ "label_values_match", true }, { "lifecycle", c->lifecycle },
		{ "openapi_3.1", true }, { "openapi_3.2", false },
		{ "otlp_write_receiver", !c->recv || !c->recv->off[RECEIVER_OTLP] },
		{ "query_stats", true }, { "query_warnings", true },
		{ "remote_write_receiver", true }, { "search", true },
		{ "search_fuzz_alg_jarowinkler", true }, { "search_fuzz_alg_subsequence", true },
		{ "time_range_labels", true }, { "time_range_series", true } };
	category(b, true, "api", f, COUNT_OF(f));
}

static void server_category(struct buf *b)
{
	struct feature f[] = { { "agent_mode", false }, { "auto_reload_config", false },
		{ "server_mode", true } };
	category(b, false, "prometheus", f, COUNT_OF(f));
}

static void promql_category(struct buf *b, const struct ql_features *on)
{
	struct feature f[] = { { "anchored", on->extended_selectors }, { "at_modifier", true },
		{ "bool", true }, { "by", true },
		{ "delayed_name_removal", on->delayed_name_removal }, { "duration_expr", true },
		{ "fill", on->fill_modifiers }, { "fill_left", on->fill_modifiers },
		{ "fill_right", on->fill_modifiers }, { "group_left", true },
		{ "group_right", true }, { "ignoring", true }, { "negative_offset", true },
		{ "offset", true }, { "on", true }, { "per_query_lookback_delta", true },
		{ "per_step_stats", on->per_step_stats }, { "smoothed", on->extended_selectors },
		{ "subqueries", true }, { "type_and_unit_labels", on->type_and_unit_labels },
		{ "without", true } };
	category(b, false, "promql", f, COUNT_OF(f));
}

/* Those that are words of the language, too: step(), range(), start() and end(). */
static void functions_category(struct buf *b, bool experimental)
{
	struct feature f[QL_FN_COUNT];
	for (size_t i = 0; i < QL_FN_COUNT; i++)
		f[i] = (struct feature){ ql_functab[i].name,
			experimental || !(ql_functab[i].flags & QL_FN_EXPERIMENTAL) };
	category(b, false, "promql_functions", f, QL_FN_COUNT);
}

static void operators_category(struct buf *b, bool experimental)
{
	struct feature f[COUNT_OF(operators) + 2];
	size_t n = 0;
	for (; n < COUNT_OF(operators); n++)
		f[n] = (struct feature){ operators[n], true };
	f[n++] = (struct feature){ "limit_ratio", experimental };
	f[n++] = (struct feature){ "limitk", experimental };
	category(b, false, "promql_operators", f, n);
}

static void storage_category(struct buf *b, const struct ql_features *on)
{
	struct feature f[] = { { "delayed_compaction", false }, { "exemplar_storage", true },
		{ "isolation", true }, { "native_histograms", true },
		{ "st_storage", on->start_timestamps }, { "xor2_encoding", false } };
	category(b, false, "tsdb", f, COUNT_OF(f));
}

/* Categories by name, too; those of what a server without rules and targets has not are empty. */
void api_features(struct req *r)
{
	const struct api_conf *c = api_conf(r);
	struct buf b;
	buf_init(&b);
	promjson_begin(&b);
	api_category(&b, c);
	category(&b, false, "otlp_receiver", NULL, 0);
	server_category(&b);
	promql_category(&b, &c->features);
	functions_category(&b, c->features.experimental_functions);
	operators_category(&b, c->features.experimental_functions);
	category(&b, false, "rules", NULL, 0);
	category(&b, false, "scrape", NULL, 0);
	category(&b, false, "service_discovery_providers", NULL, 0);
	category(&b, false, "templating_functions", NULL, 0);
	storage_category(&b, &c->features);
	category(&b, false, "ui", NULL, 0);
	buf_add_u8(&b, '}');
	promjson_end(&b, NULL, NULL);
	req_reply_buf(r, 200, "application/json", &b);
}
