#include "net/api/strangers.h"

#include <string.h>

#include "core/base/check.h"

#define OTLP    "of OTLP metrics are taken, neither logs nor traces, at"
#define CLUSTER "there are no paths of a cluster; X-Scope-OrgID names a tenant, paths begin as in"
#define LINES   "neither CSV nor the native format is taken, but JSON lines, at"
#define PAGES   "there is no page with graphs: look with Grafana, or ask"

/* Whole paths, or folders that end in '/': those and all below them. */
/* clang-format off */
static const struct stranger {
	const char *path, *say, *ours;
} rows[] = {
	{ "/api/v1/otlp/", OTLP, "/api/v1/otlp/v1/metrics" },
	{ "/opentelemetry/", OTLP, "/opentelemetry/v1/metrics" },
	{ "/v1/logs", OTLP, "/v1/metrics" },
	{ "/v1/traces", OTLP, "/v1/metrics" },
	{ "/api/prom/", "the old paths of Cortex are not here, nearest is", "/api/v1/push" },
	{ "/metrics/job/", "this is no Pushgateway; promtool push metrics writes to", "/api/v1/write" },
	{ "/api/v1/import/", LINES, "/api/v1/import" },
	{ "/api/v1/export/native", "JSON lines are what is given, at", "/api/v1/export" },
	{ "/select/", CLUSTER, "/api/v1/query" },
	{ "/insert/", CLUSTER, "/api/v1/write" },
	{ "/vmui", PAGES, "/api/v1/query" },
	{ "/vmui/", PAGES, "/api/v1/query" },
	{ "/classic/", PAGES, "/api/v1/query" },
	{ "/internal/force_flush", "with --web.enable-admin-api it is POST", "/api/v1/admin/tsdb/flush" },
	{ "/snapshot/", "with --web.enable-admin-api it is POST", "/api/v1/admin/tsdb/snapshot" },
	{ "/debug/pprof/", "there are no profiles", NULL },
};
/* clang-format on */

const char *strangers_say(const char *inside, size_t len, const char **ours)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct stranger *s = &rows[i];
		size_t n = strlen(s->path);
		bool folder = s->path[n - 1] == '/';
		if ((folder ? len >= n : len == n) && !memcmp(s->path, inside, n)) {
			*ours = s->ours;
			return s->say;
		}
	}
	return NULL;
}
