#include "net/api/api.h"
#include "net/api/api_admin.h"
#include "net/api/api_exemplars.h"
#include "net/api/api_meta.h"
#include "net/api/api_query.h"
#include "net/api/api_rules.h"
#include "net/api/api_status.h"
#include "net/api/api_write.h"

/*
 * Every path of the server. A POST of a form has a body, everything else but a write none that is
 * wanted.
 */
#define GET_POST  (REQ_GET | REQ_POST)
#define GET_HEAD  (REQ_GET | REQ_HEAD)
#define POST_PUT  (REQ_POST | REQ_PUT)
#define LIFECYCLE (REQ_GET | POST_PUT) /* GET is told what is allowed */
#define FORM      ROUTE_BODY_FORM
#define WRITE     ROUTE_BODY_WRITE

/* clang-format off */
static const struct route rows[] = {
	{ REQ_POST, "/api/v1/write",                        api_write,               0,                          WRITE, api_write_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE },
	{ REQ_POST, "/api/v1/push",                         api_write,               0,                          WRITE, api_write_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE },
	{ REQ_POST, "/api/v1/receive",                      api_write,               0,                          WRITE, api_write_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE },

	{ GET_POST, "/api/v1/query",                        api_query,               ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_QUERY, ROLE_READ },
	{ GET_POST, "/api/v1/query_range",                  api_query_range,         ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_RANGE, ROLE_READ },
	{ GET_POST, "/api/v1/query_exemplars",              api_query_exemplars,     ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ },
	{ GET_POST, "/api/v1/format_query",                 api_query_format,        ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ },
	{ GET_POST, "/api/v1/parse_query",                  api_query_parse,         ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ },

	{ GET_POST, "/api/v1/series",                       api_meta_series,         ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_SERIES, ROLE_READ },
	{ GET_POST, "/api/v1/labels",                       api_meta_labels,         ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_LABELS, ROLE_READ },
	{ REQ_GET,  "/api/v1/label/<name>/values",          api_meta_label_values,   ROUTE_JSON,                 0, NULL, M_HTTP_SECONDS_LABELS, ROLE_READ },
	{ REQ_GET,  "/api/v1/metadata",                     api_meta_metadata,       ROUTE_JSON,                 0, NULL, M_HTTP_SECONDS_METADATA, ROLE_READ },
	{ REQ_GET,  "/api/v1/targets/metadata",             api_meta_targets,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ },

	{ REQ_GET,  "/api/v1/rules",                        api_rules,               ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/alerts",                       api_rules_alerts,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/targets",                      api_rules_targets,       ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/scrape_pools",                 api_rules_scrape_pools,  ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/alertmanagers",                api_rules_alertmanagers, ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/notifications",                api_rules_notifications, ROUTE_JSON | ROUTE_UNGATED, 0, NULL, 0, ROLE_READ },

	{ REQ_GET,  "/api/v1/status/buildinfo",             api_status_buildinfo,    ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/status/config",                api_status_config,       ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/status/flags",                 api_status_flags,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/status/runtimeinfo",           api_status_runtimeinfo,  ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/status/tsdb",                  api_status_tsdb,         ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/status/tsdb/blocks",           api_status_blocks,       ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/api/v1/status/walreplay",             api_status_walreplay,    ROUTE_JSON | ROUTE_UNGATED, 0, NULL, 0, ROLE_READ },

	{ POST_PUT, "/api/v1/admin/tsdb/flush",             api_admin_flush,         ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN },
	{ POST_PUT, "/api/v1/admin/tsdb/delete_series",     api_admin_other,         ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN },
	{ POST_PUT, "/api/v1/admin/tsdb/clean_tombstones",  api_admin_other,         ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN },
	{ POST_PUT, "/api/v1/admin/tsdb/snapshot",          api_admin_other,         ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN },

	{ GET_HEAD, "/-/healthy",                           api_status_healthy,      ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE },
	{ GET_HEAD, "/-/ready",                             api_status_ready,        ROUTE_READY,                0, NULL, 0, ROLE_NONE },
	{ LIFECYCLE, "/-/reload",                            api_status_reload,      0,                          0, NULL, 0, ROLE_ADMIN },
	{ LIFECYCLE, "/-/quit",                              api_status_quit,        0,                          0, NULL, 0, ROLE_ADMIN },
	{ REQ_GET,  "/metrics",                             api_status_metrics,      ROUTE_ADMIN_SIDE,           0, NULL, 0, ROLE_READ },
	{ REQ_GET,  "/version",                             api_status_version,      ROUTE_JSON,                 0, NULL, 0, ROLE_READ },
	{ GET_HEAD, "/health",                              api_status_health,       ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE },
	{ GET_HEAD, "/",                                    api_status_page,         ROUTE_UNGATED,              0, NULL, 0, ROLE_READ },
	{ GET_HEAD, "/graph",                               api_status_graph,        ROUTE_UNGATED,              0, NULL, 0, ROLE_READ },
	{ GET_HEAD, "/favicon.ico",                         api_status_favicon,      ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE },
};
/* clang-format on */

const struct route_table api_routes = { rows, COUNT_OF(rows) };
