#include "net/api/api.h"
#include "net/api/api_admin.h"
#include "net/api/api_card.h"
#include "net/api/api_cardhist.h"
#include "net/api/api_delete.h"
#include "net/api/api_exemplars.h"
#include "net/api/api_export.h"
#include "net/api/api_expr.h"
#include "net/api/api_features.h"
#include "net/api/api_federate.h"
#include "net/api/api_grpc.h"
#include "net/api/api_meta.h"
#include "net/api/api_pages.h"
#include "net/api/api_queries.h"
#include "net/api/api_query.h"
#include "net/api/api_read.h"
#include "net/api/api_relabel.h"
#include "net/api/api_rules.h"
#include "net/api/api_search.h"
#include "net/api/api_status.h"
#include "net/api/api_tenants.h"
#include "net/api/apidoc.h"
#include "net/api/doctor.h"
#include "net/recv/grpc_otlp.h"
#include "net/recv/recv_datadog.h"
#include "net/recv/recv_import.h"
#include "net/recv/recv_influx.h"
#include "net/recv/recv_otlp.h"
#include "net/recv/recv_push.h"
#include "net/recv/recv_remote.h"

/*
 * Every path of the server, and what it says of itself (net/api/apidoc.h): /api, OpenAPI and
 * net/API.md are made from here. A POST of a form has a body, everything else but a write none
 * that is wanted.
 */
#define GET_POST            (REQ_GET | REQ_POST)
#define GET_HEAD            (REQ_GET | REQ_HEAD)
#define POST_PUT            (REQ_POST | REQ_PUT)
#define LIFECYCLE           (REQ_GET | POST_PUT) /* GET is told what is allowed */
#define FORM                ROUTE_BODY_FORM
#define WRITE               ROUTE_BODY_WRITE
#define GRPC                (ROUTE_STREAM | ROUTE_SPOKEN | ROUTE_ROOT)
#define DATADOG             (ROUTE_JSON | ROUTE_DATADOG)
#define LINES               (ROUTE_JSON | ROUTE_INFLUX)
#define METRICS_SERVICE     "/" GRPC_OTLP_SERVICE "/"
#define QUERY_SERVICE       "/codesprintpro.monitoring.v1.QueryService/"
#define REFLECTION(version) "/grpc.reflection." version ".ServerReflection/ServerReflectionInfo"

/* clang-format off */
/* Parts of the pages, in the order of the table. */
#define WRITES  "Writes"
#define QUERIES "Queries"
#define META    "Series, labels and metadata"
#define READS   "Samples as they are"
#define CALLS   "gRPC"
#define EMPTY   "What clients look for"
#define STATUS  "Status"
#define ADMIN   "Administration"
#define WATCH   "Health and metrics"
#define PAGES   "Pages"

/* DOC(part, what, answer, errors, parameters one behind the other); see struct route_doc. */
#define DOC(part, what, answer, errors, ...) \
	&(const struct route_doc) { part, what, answer, errors, (const struct route_param[]) { __VA_ARGS__ { .name = NULL } } }
#define P(name, type, required, help) { name, type, required, help },
#define NONE
#define QUERY            P("query", PARAM_PROMQL, true, "the expression")
#define TIME             P("time", PARAM_TIME, false, "when (now)")
#define RANGE            P("start", PARAM_TIME, false, "begin of the range (everything)") P("end", PARAM_TIME, false, "its end (everything)")
#define STEPS            P("start", PARAM_TIME, true, "the first step") P("end", PARAM_TIME, true, "no step is later") P("step", PARAM_DURATION, true, "from one to the next")
#define OF_QUERIES       P("timeout", PARAM_DURATION, false, "shorter than `--query.timeout`, waiting included") LIMIT P("lookback_delta", PARAM_DURATION, false, "how far back a sample counts (`--query.lookback-delta`)") P("stats", PARAM_TEXT, false, "`true` or `all`: with times and counts") P("trace", PARAM_TEXT, false, "`1`: with what the query did, step by step and shard by shard, in words and numbers") P("explain", PARAM_TEXT, false, "`1`: only what it would do, read, hold and take, by estimates; whether a limit would refuse it")
#define LIMIT            P("limit", PARAM_COUNT, false, "of what the answer lists, at most; 0: all")
#define SELECTOR         P("selector", PARAM_PROMQL, false, "only series that it selects")
#define ACTIVE           P("start", PARAM_TIME, false, "begin of the range (20 minutes ago)") P("end", PARAM_TIME, false, "its end (everything)")
#define LIMIT_500        P("limit", PARAM_COUNT, false, "entries of each list at most, 1 to 500 (20)")
#define SELECTORS        P("match[]", PARAM_SELECTORS, false, "only series that one of them selects")
#define EXTRA            P("extra_label", PARAM_TEXT, false, "`name=value`: a label that all of it gets; may be repeated")
#define SEARCHED         P("search[]", PARAM_TEXT, false, "what to look for, up to 32 of 256 bytes: one must fit; none: everything does") P("fuzz_alg", PARAM_TEXT, false, "`subsequence` (what is usual): its characters in this order; or `jarowinkler`: a part of the text, or one like it") P("fuzz_threshold", PARAM_COUNT, false, "0 to 100: the least score, in percent (0); 100 with `subsequence`: only what begins so") P("case_sensitive", PARAM_TEXT, false, "`false`: it is not (`true`)") P("sort_by", PARAM_TEXT, false, "`alpha` (what is usual) or `score`") P("sort_dir", PARAM_TEXT, false, "with `sort_by=alpha`: `asc` or `dsc`") P("include_score", PARAM_TEXT, false, "`true`: with the score of each, 0 to 1") SELECTORS P("start", PARAM_TIME, false, "begin of the range (an hour ago)") P("end", PARAM_TIME, false, "its end (now)") P("limit", PARAM_COUNT, false, "of them at most, up to `--web.search.max-limit` (100)") P("batch_size", PARAM_COUNT, false, "results of one line at most (100)")
#define SELECTORS_NEEDED P("match[]", PARAM_SELECTORS, true, "series that one of them selects")

static const struct route rows[] = {
	{ REQ_POST, "/api/v1/write",                        recv_remote,             0,                          WRITE, recv_remote_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores samples: Remote Write 1.0 and 2.0, protobuf in snappy; the Content-Type says which.", "204 all is stored", "400 413 415 429", NONE) },
	{ REQ_POST, "/api/v1/push",                         recv_remote,             0,                          WRITE, recv_remote_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same, at the path of Cortex and Mimir.", "204 all is stored", "400 413 415 429", NONE) },
	{ REQ_POST, "/api/v1/receive",                      recv_remote,             0,                          WRITE, recv_remote_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same, at the path of Thanos.", "204 all is stored", "400 413 415 429", NONE) },
	{ REQ_POST, "/api/v1/prom/write",                   recv_remote,             ROUTE_INFLUX,               WRITE, recv_remote_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same, at the path of InfluxDB 1.x.", "204 all is stored", "400 413 415 429", P("db", PARAM_TEXT, false, "any name; it says nothing")) },
	{ REQ_POST, "/api/v1/import",                       recv_import,             0,                          WRITE, recv_import_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores samples: lines of JSON as `/api/v1/export` gives them, plain, or in gzip, deflate, zstd or snappy; late ones as far as late samples are taken.", "204 all is stored", "400 413 415 429", EXTRA) },
	{ POST_PUT, "/api/v1/import/prometheus",            recv_import_text,        0,                          WRITE, recv_import_text_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores samples: text as targets expose it, line by line; a bad line costs no other.", "204 all is stored", "400 413 415 429", EXTRA P("timestamp", PARAM_COUNT, false, "milliseconds: when the samples are that tell no time (now)")) },
	{ POST_PUT, "/api/v1/import/prometheus/metrics/*",  recv_import_job,         0,                          WRITE, recv_import_text_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same, with labels as in paths of a Pushgateway: `job/<value>/<name>/<value>...`.", "200 all is stored", "400 413 415 429", EXTRA P("timestamp", PARAM_COUNT, false, "milliseconds: when the samples are that tell no time (now)")) },
	{ POST_PUT, "/metrics/*",                           recv_push,               0,                          WRITE, recv_push_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "A push, as to a Prometheus Pushgateway, of text or protobuf under `job/<job>/<label>/<value>...`; PUT replaces the group, POST families of it.", "200 the group is kept", "400 413 415 503", NONE) },
	{ REQ_DELETE, "/metrics/*",                         recv_push_delete,        0,                          0, NULL, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Deletes the group of this path; its series end.", "202 it is gone", "400 503", NONE) },
	{ REQ_PUT, "/api/v1/admin/wipe",                    recv_push_wipe,          0,                          0, NULL, 0, ROLE_WRITE,
	  DOC(WRITES, "Deletes all groups that the tenant has pushed.", "202 they are gone", "503", NONE) },
	{ GET_HEAD, "/api/v1/metrics",                      recv_push_groups,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(META, "Groups that were pushed, with their families and values, as a Pushgateway tells of them.", "200 a list of groups", "", NONE) },
	{ GET_HEAD, "/api/v1/status",                       recv_push_status,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "Version, flags and start time, as a Pushgateway tells of them.", "200 an object", "", NONE) },
	{ GET_HEAD, "/pushgateway",                         recv_push_page,          0,                          0, NULL, 0, ROLE_READ,
	  DOC(PAGES, "Groups that were pushed, for people.", "200 a page", "", NONE) },
	{ REQ_POST, "/api/v1/otlp/v1/metrics",              recv_otlp,               0,                          WRITE, recv_otlp_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores metrics of OpenTelemetry: OTLP/HTTP, protobuf or JSON, plain, or in gzip, deflate or zstd; translated as Prometheus does (`receivers.otlp`).", "200 an ExportMetricsServiceResponse; with partial_success what was left out", "400 413 415 429", NONE) },
	{ REQ_POST, "/v1/metrics",                          recv_otlp,               0,                          WRITE, recv_otlp_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same, at the path that exporters have when they are told no other.", "200 an ExportMetricsServiceResponse", "400 413 415 429", NONE) },
	{ REQ_POST, "/opentelemetry/v1/metrics",            recv_otlp,               0,                          WRITE, recv_otlp_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same, at the path of VictoriaMetrics.", "200 an ExportMetricsServiceResponse", "400 413 415 429", NONE) },

	{ REQ_POST, "/write",                             recv_influx_write1,      LINES,                      WRITE, recv_influx_before1, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores lines of InfluxDB 1.x: a sample for each field, `measurement_field{tag=\"value\"}`; gzip and others are unpacked.", "204 all is stored", "400 415 429", P("db", PARAM_TEXT, true, "any name") P("precision", PARAM_TEXT, false, "of timestamps: n, ns, u, us, ms, s, m, h (ns)")) },
	{ REQ_POST, "/api/v2/write",                      recv_influx_write2,      LINES,                      WRITE, recv_influx_before2, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same for clients of InfluxDB 2.x, with their errors.", "204 all is stored", "400 415 422 429", P("bucket", PARAM_TEXT, false, "any name") P("precision", PARAM_TEXT, false, "ns, us, ms, s (ns)")) },
	{ REQ_POST, "/api/v3/write_lp",                   recv_influx_write3,      LINES,                      WRITE, recv_influx_before3, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same for clients of InfluxDB 3.x.", "204 all is stored", "400 415 429", P("db", PARAM_TEXT, true, "any name") P("precision", PARAM_TEXT, false, "ns, us, ms, s, or words; by their size (auto)") P("accept_partial", PARAM_TEXT, false, "`false`: a line that cannot be read keeps all from being stored")) },
	{ GET_HEAD, "/ping",                              recv_influx_ping,        LINES,                      0, NULL, 0, ROLE_NONE,
	  DOC(EMPTY, "For clients of InfluxDB: it is there.", "204 nothing; 200 the version with `verbose`", "", P("verbose", PARAM_TEXT, false, "`true`: with the version")) },
	{ GET_POST, "/query",                             recv_influx_query,       LINES | ROUTE_PAGED,        FORM, NULL, 0, ROLE_WRITE,
	  DOC(EMPTY, "For browsers the web page; for clients of InfluxDB, which list databases before they write, those of the configuration, and nothing else.", "200 results of its statements, or HTML", "400", P("q", PARAM_TEXT, true, "statements of InfluxQL")) },
	{ REQ_POST, "/influx/write",                      recv_influx_write1,      LINES,                      WRITE, recv_influx_before1, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same, where VictoriaMetrics has it.", "204 all is stored", "400 415 429", NONE) },
	{ REQ_POST, "/influx/api/v2/write",               recv_influx_write2,      LINES,                      WRITE, recv_influx_before2, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same.", "204 all is stored", "400 415 422 429", NONE) },
	{ REQ_POST, "/influx/api/v3/write_lp",            recv_influx_write3,      LINES,                      WRITE, recv_influx_before3, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same.", "204 all is stored", "400 415 429", NONE) },
	{ GET_HEAD, "/influx/ping",                       recv_influx_ping,        LINES,                      0, NULL, 0, ROLE_NONE,
	  DOC(EMPTY, "For clients of InfluxDB: it is there.", "204 nothing; 200 the version with `verbose`", "", P("verbose", PARAM_TEXT, false, "`true`: with the version")) },
	{ GET_POST, "/influx/query",                      recv_influx_query,       LINES,                      FORM, NULL, 0, ROLE_WRITE,
	  DOC(EMPTY, "For clients of InfluxDB that make or list databases before they write; SHOW DATABASES tells of those of the configuration, all others find nothing.", "200 results of its statements", "400", P("q", PARAM_TEXT, true, "statements of InfluxQL")) },
	{ GET_HEAD, "/influx/health",                     recv_influx_health,      LINES,                      0, NULL, 0, ROLE_NONE,
	  DOC(EMPTY, "For clients of InfluxDB: all is well.", "200 an object", "", NONE) },
	{ REQ_POST, "/api/v2/series",                     recv_datadog_series2, DATADOG, WRITE, recv_datadog_before_series2, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores series of Datadog agents and clients, protobuf or JSON by its Content-Type; zstd, gzip, deflate are unpacked.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/api/beta/sketches",                 recv_datadog_sketches, DATADOG, WRITE, recv_datadog_before_sketches, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores distributions of Datadog agents: quantiles, sum, count, least and greatest of each.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/api/intake/metrics/v3/series",      recv_datadog_columns, DATADOG, WRITE, recv_datadog_before_columns, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores series of Datadog agents in columns.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/api/intake/metrics/v3/sketches",    recv_datadog_columns, DATADOG, WRITE, recv_datadog_before_columns, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/api/v1/distribution_points",        recv_datadog_values, DATADOG, WRITE, recv_datadog_before_values, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores values of distributions of Datadog clients, JSON.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/datadog/api/v1/series",             recv_datadog_series1, DATADOG, WRITE, recv_datadog_before_series1, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "Stores series of Datadog clients, JSON with points as lists; without /datadog this path is that of queries.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/datadog/api/v2/series",             recv_datadog_series2, DATADOG, WRITE, recv_datadog_before_series2, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/datadog/api/beta/sketches",         recv_datadog_sketches, DATADOG, WRITE, recv_datadog_before_sketches, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/datadog/api/intake/metrics/v3/series", recv_datadog_columns, DATADOG, WRITE, recv_datadog_before_columns, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/datadog/api/intake/metrics/v3/sketches", recv_datadog_columns, DATADOG, WRITE, recv_datadog_before_columns, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same.", "202 all is stored", "400 429", NONE) },
	{ REQ_POST, "/datadog/api/v1/distribution_points", recv_datadog_values, DATADOG, WRITE, recv_datadog_before_values, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(WRITES, "The same.", "202 all is stored", "400 429", NONE) },
	{ GET_HEAD, "/api/v1/validate",                   recv_datadog_validate, DATADOG, 0, NULL, 0, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: the key is fine.", "200 an object", "", P("api_key", PARAM_TEXT, false, "a token, where no header has it")) },
	{ REQ_POST, "/api/v1/check_run",                  recv_datadog_other, DATADOG, WRITE, recv_datadog_before_other, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: taken, and not kept.", "202 an object", "", NONE) },
	{ REQ_POST, "/intake/",                           recv_datadog_other, DATADOG, WRITE, recv_datadog_before_other, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: taken, and not kept.", "200 an object", "", NONE) },
	{ GET_HEAD, "/datadog/api/v1/validate",           recv_datadog_validate, DATADOG, 0, NULL, 0, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: the key is fine.", "200 an object", "", P("api_key", PARAM_TEXT, false, "a token, where no header has it")) },
	{ REQ_POST, "/datadog/api/v1/check_run",          recv_datadog_other, DATADOG, WRITE, recv_datadog_before_other, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: taken, and not kept.", "202 an object", "", NONE) },
	{ REQ_POST, "/datadog/intake/",                   recv_datadog_other, DATADOG, WRITE, recv_datadog_before_other, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: taken, and not kept.", "200 an object", "", NONE) },
	{ REQ_POST, "/datadog/api/v1/metadata",           recv_datadog_other, DATADOG, WRITE, recv_datadog_before_other, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: taken, and not kept.", "200 an object", "", NONE) },
	{ REQ_POST, "/datadog/api/v1/collector",          recv_datadog_other, DATADOG, WRITE, recv_datadog_before_other, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: taken, and not kept.", "200 an object", "", NONE) },
	{ REQ_POST, "/datadog/api/v1/events",             recv_datadog_other, DATADOG, WRITE, recv_datadog_before_other, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: taken, and not kept.", "200 an object", "", NONE) },
	{ REQ_POST, "/datadog/api/v2/events",             recv_datadog_other, DATADOG, WRITE, recv_datadog_before_other, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(EMPTY, "For Datadog agents: taken, and not kept.", "200 an object", "", NONE) },

	{ GET_POST, "/api/v1/query",                        api_query,               ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_QUERY, ROLE_READ,
	  DOC(QUERIES, "The value of an expression at one time.", "200 a vector, matrix, scalar or string", "400 422", QUERY TIME OF_QUERIES) },
	{ GET_POST, "/api/v1/query_range",                  api_query_range,         ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_RANGE, ROLE_READ,
	  DOC(QUERIES, "The values of an expression at the steps of a range of time, 11,000 at most.", "200 a matrix", "400 422", QUERY STEPS OF_QUERIES P("nocache", PARAM_TEXT, false, "`1`: all of it is evaluated, nothing is taken that was kept")) },
	{ GET_POST, "/api/v1/query_exemplars",              api_query_exemplars,     ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ,
	  DOC(QUERIES, "The exemplars of the series that an expression selects.", "200 exemplars by series; 204 when it selects none", "400 422", QUERY RANGE) },
	{ GET_POST, "/api/v1/format_query",                 api_expr_format,         ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ,
	  DOC(QUERIES, "An expression, printed in its usual form.", "200 a text", "400", QUERY) },
	{ GET_POST, "/api/v1/parse_query",                  api_expr_parse,          ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ,
	  DOC(QUERIES, "The syntax tree of an expression.", "200 nodes", "400", QUERY P("check", PARAM_TEXT, false, "`1`: no tree, and a mistake is told with status 200, as `{error}`")) },

	{ GET_POST, "/api/v1/series",                       api_meta_series,         ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_SERIES, ROLE_READ,
	  DOC(META, "The label sets of series.", "200 label sets, sorted", "400 422", SELECTORS_NEEDED RANGE LIMIT) },
	{ GET_POST, "/api/v1/labels",                       api_meta_labels,         ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_LABELS, ROLE_READ,
	  DOC(META, "The names of labels.", "200 names, sorted", "400 422", SELECTORS RANGE LIMIT) },
	{ REQ_GET,  "/api/v1/label/<name>/values",          api_meta_label_values,   ROUTE_JSON,                 0, NULL, M_HTTP_SECONDS_LABELS, ROLE_READ,
	  DOC(META, "The values of a label.", "200 values, sorted", "400 422", P("name", PARAM_LABEL, true, "the label") SELECTORS RANGE LIMIT) },
	{ GET_POST, "/api/v1/search/metric_names",          api_search_metrics,      ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_SEARCH, ROLE_READ,
	  DOC(META, "Names of metrics that fit what somebody types, the best first when asked so.", "200 lines of JSON: results, then the status", "400 422", SEARCHED P("include_metadata", PARAM_TEXT, false, "`true`: with type, help and unit, where they are known")) },
	{ GET_POST, "/api/v1/search/label_names",           api_search_names,        ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_SEARCH, ROLE_READ,
	  DOC(META, "The same of names of labels.", "200 lines of JSON", "400 422", SEARCHED) },
	{ GET_POST, "/api/v1/search/label_values",          api_search_values,       ROUTE_JSON,                 FORM, NULL, M_HTTP_SECONDS_SEARCH, ROLE_READ,
	  DOC(META, "The same of the values of a label.", "200 lines of JSON", "400 422", P("label", PARAM_LABEL, true, "the label") SEARCHED) },
	{ REQ_GET,  "/api/v1/metadata",                     api_meta_metadata,       ROUTE_JSON,                 0, NULL, M_HTTP_SECONDS_METADATA, ROLE_READ,
	  DOC(META, "Type, help and unit of metrics, as writers sent them.", "200 lists by metric", "400", P("metric", PARAM_TEXT, false, "only this one") P("limit", PARAM_COUNT, false, "metrics at most; less than 0: all") P("limit_per_metric", PARAM_COUNT, false, "entries of each metric at most")) },
	{ GET_HEAD, "/api/v1/targets/metadata",             api_meta_targets,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(META, "Metadata by target; nothing is scraped here, so there are none.", "200 an empty list", "", NONE) },

	{ REQ_POST, QUERY_SERVICE "EvaluateInstantQuery",   api_grpc,                GRPC,                       0, NULL, M_HTTP_SECONDS_QUERY, ROLE_READ,
	  DOC(CALLS, "The value of an expression at one time.", "200 messages, then `grpc-status`", "", NONE) },
	{ REQ_POST, QUERY_SERVICE "EvaluateRangeQuery",     api_grpc,                GRPC,                       0, NULL, M_HTTP_SECONDS_RANGE, ROLE_READ,
	  DOC(CALLS, "The values of an expression at the steps of a range of time.", "200 messages, then `grpc-status`", "", NONE) },
	{ REQ_POST, METRICS_SERVICE "Export",               api_grpc,                GRPC,                       WRITE, grpc_otlp_before, M_HTTP_SECONDS_WRITE, ROLE_WRITE,
	  DOC(CALLS, "Stores metrics of OpenTelemetry: OTLP/gRPC.", "200 an ExportMetricsServiceResponse, then `grpc-status`", "", NONE) },
	{ REQ_POST, "/grpc.health.v1.Health/Check",         api_grpc,                GRPC | ROUTE_UNGATED,       0, NULL, 0, ROLE_NONE,
	  DOC(CALLS, "Whether the server is ready.", "200 messages, then `grpc-status`", "", NONE) },
	{ REQ_POST, "/grpc.health.v1.Health/Watch",         api_grpc,                GRPC | ROUTE_UNGATED,       0, NULL, 0, ROLE_NONE,
	  DOC(CALLS, "The same, and each change of it.", "200 messages, then `grpc-status`", "", NONE) },
	{ REQ_POST, REFLECTION("v1"),                       api_grpc,                GRPC | ROUTE_UNGATED,       0, NULL, 0, ROLE_READ,
	  DOC(CALLS, "What services there are, with their messages.", "200 messages, then `grpc-status`", "", NONE) },
	{ REQ_POST, REFLECTION("v1alpha"),                  api_grpc,                GRPC | ROUTE_UNGATED,       0, NULL, 0, ROLE_READ,
	  DOC(CALLS, "The same, by its older name.", "200 messages, then `grpc-status`", "", NONE) },

	{ GET_HEAD, "/api/v1/rules",                        api_rules,               ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(EMPTY, "Rules; there are none, for clients that look.", "200 no groups", "", NONE) },
	{ GET_HEAD, "/api/v1/alerts",                       api_rules_alerts,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(EMPTY, "Alerts; there are none.", "200 no alerts", "", NONE) },
	{ GET_HEAD, "/api/v1/targets",                      api_rules_targets,       ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(EMPTY, "Targets; there are none.", "200 no targets", "", NONE) },
	{ GET_HEAD, "/api/v1/scrape_pools",                 api_rules_scrape_pools,  ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(EMPTY, "Scrape pools; there are none.", "200 no pools", "", NONE) },
	{ GET_HEAD, "/api/v1/alertmanagers",                api_rules_alertmanagers, ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(EMPTY, "Alertmanagers; there are none.", "200 no Alertmanagers", "", NONE) },
	{ GET_HEAD, "/api/v1/notifications",                api_rules_notifications, ROUTE_JSON | ROUTE_UNGATED, 0, NULL, 0, ROLE_READ,
	  DOC(EMPTY, "Notifications of Prometheus' pages; there are none.", "200 an empty list", "", NONE) },

	{ GET_HEAD, "/api/v1/status/buildinfo",             api_status_buildinfo,    ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "The version of Prometheus whose API this is, and our own as its revision.", "200 an object of texts", "", NONE) },
	{ REQ_GET,  "/api/v1/features",                     api_features,            ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "What the server can do and what is switched on, by Prometheus' names.", "200 an object of categories", "", NONE) },
	{ GET_HEAD, "/api/v1/status/config",                api_status_config,       ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN,
	  DOC(STATUS, "The configuration.", "200 an object with YAML in it", "", NONE) },
	{ GET_HEAD, "/api/v1/status/flags",                 api_status_flags,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "Flags with the values in force, some under Prometheus' names, too.", "200 an object of texts", "", P("changed", PARAM_TEXT, false, "`1`: only those that the command line or the configuration changed, as they said it")) },
	{ GET_HEAD, "/api/v1/status/tenants",               api_tenants,             ROUTE_JSON | ROUTE_WHO,     0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "Who asks, with which roles, and the tenants it may read: their limits, and figures since the start.", "200 an object with a list of tenants", "400", P("limit", PARAM_COUNT, false, "tenants at most, 1 to 10,000 (100), those with most series")) },
	{ GET_HEAD, "/api/v1/status/runtimeinfo",           api_status_runtimeinfo,  ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "When, where and how the process runs, and where its own metrics are (selfMetrics; not with --no-self-metrics).", "200 an object", "", NONE) },
	{ REQ_GET,  "/api/v1/status/tsdb",                  api_status_tsdb,         ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "Series in memory: how many, and which names and labels have most of them.", "200 an object", "400", P("limit", PARAM_COUNT, false, "entries of each list at most, 1 to 10,000 (10)")) },
	{ REQ_GET,  "/api/v1/cardinality",                  api_card,                ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "The largest metrics, labels, pairs and targets in memory, each with what it was an hour and a day ago, and what explodes.", "200 an object", "400", P("limit", PARAM_COUNT, false, "entries of each list at most, 1 to 100 (20)")) },
	{ REQ_GET,  "/api/v1/cardinality/explosions",       api_card_explosions,     ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "Labels, metrics and targets that make new values or series fast, or did within a day, and rules that act on them.", "200 a list, those of now first", "400", NONE) },
	{ REQ_GET,  "/api/v1/cardinality/history",          api_card_history,        ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "The largest metrics, labels, pairs or targets at each moment that is kept of the last day, with all series and new ones.", "200 an object: kind, unit, every, tenants, exact, names, and a list of moments (net/api/api_cardhist.h)", "400", P("kind", PARAM_TEXT, false, "`metrics` (usual), `labels`, `pairs` or `targets`") P("start", PARAM_TIME, false, "from when (a day before end)") P("end", PARAM_TIME, false, "until when (now)") P("step", PARAM_DURATION, false, "pieces of the range of which the last moment counts (every moment)") P("limit", PARAM_COUNT, false, "names of each moment at most, 1 to 64 (20)")) },
	{ GET_POST, "/api/v1/cardinality/label_names",      api_card_label_names,    ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ,
	  DOC(STATUS, "The labels of active series with most values, as in Mimir.", "200 an object", "400 422", SELECTOR ACTIVE LIMIT_500) },
	{ GET_POST, "/api/v1/cardinality/label_values",     api_card_label_values,   ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ,
	  DOC(STATUS, "The values of labels with most active series, as in Mimir.", "200 an object", "400 422", P("label_names[]", PARAM_LABEL, true, "a label; may be repeated") SELECTOR ACTIVE LIMIT_500) },
	{ GET_POST, "/api/v1/cardinality/active_series",    api_card_active_series,  ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ,
	  DOC(STATUS, "The label sets of active series of a selector, as in Mimir.", "200 an object", "400 422", P("selector", PARAM_PROMQL, true, "which series") ACTIVE) },
	{ GET_POST, "/api/v1/status/relabel_steps",         api_relabel_steps,       ROUTE_JSON,                 FORM, NULL, 0, ROLE_READ,
	  DOC(STATUS, "What becomes of a label set on its way into the store, step by step; nothing is stored.", "200 an object with a list: rule, output, keep", "400", P("labels", PARAM_TEXT, true, "an object of names and values in JSON") P("receiver", PARAM_TEXT, false, "the way it comes (remote_write)")) },
	{ GET_HEAD, "/api/v1/status/tsdb/blocks",           api_status_blocks,       ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "Blocks of Prometheus; files here are others.", "200 an empty list", "", NONE) },
	{ GET_HEAD, "/api/v1/status/walreplay",             api_status_walreplay,    ROUTE_JSON | ROUTE_UNGATED, 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "How far the log was read again; says 0, also while it is.", "200 an object", "", NONE) },

	{ GET_HEAD, "/api/v1/status/doctor",                api_doctor,              ROUTE_JSON | ROUTE_BOTH_SIDES, 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "What is wrong or soon will be, and what to do, the worst first and what is fine last: of the asker's tenants, with the role `admin` of the server, too.", "200 an object with a list: id, severity, text, example, remedy, since", "", NONE) },
	{ GET_HEAD, "/api/v1/status/active_queries",        api_queries_active,      ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "What is asked and not answered yet, of the asker's tenants.", "200 a list: id, duration, query, times", "", NONE) },
	{ REQ_POST, "/api/v1/status/active_queries/<id>/cancel", api_queries_cancel, ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "Ends one of them; it is answered as canceled.", "204 it ends", "404", P("id", PARAM_TEXT, true, "as the list has it")) },
	{ REQ_GET,  "/api/v1/status/top_queries",           api_queries_top,         ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "Which of the last 2,048 queries of each loop came most often, took longest and held most memory, of the asker's tenant.", "200 an object of lists", "400", P("topNum", PARAM_COUNT, false, "entries of each list at most, 1 to 1,000 (20)") P("maxLifetime", PARAM_DURATION, false, "how long ago they may have ended (10m)")) },

	{ POST_PUT, "/api/v1/admin/tsdb/flush",             api_admin_flush,         ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN,
	  DOC(ADMIN, "Moves all that is in memory to files; with `--web.enable-admin-api`.", "204 it is done", "500", NONE) },
	{ POST_PUT, "/api/v1/admin/tsdb/delete_series",     api_delete_series,       ROUTE_JSON,                 FORM, NULL, 0, ROLE_ADMIN,
	  DOC(ADMIN, "Deletes series of the asker's tenant, or their samples in a range; gone at once, from disk when files are merged; with `--web.enable-admin-api`.", "204 it is durable", "400 422 500 503", SELECTORS_NEEDED RANGE) },
	{ POST_PUT, "/api/v1/admin/tsdb/clean_tombstones",  api_delete_clean,        ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN,
	  DOC(ADMIN, "Writes files anew that still hold deleted samples; asked again it goes on where it was; with `--web.enable-admin-api`.", "204 no file holds any", "500 503", NONE) },
	{ POST_PUT, "/api/v1/admin/tsdb/snapshot",          api_admin_snapshot,      ROUTE_JSON,                 FORM, NULL, 0, ROLE_ADMIN,
	  DOC(ADMIN, "Makes a copy of the data directory (all tenants, all that was acknowledged) as `snapshots/<name>` in it; with `--web.enable-admin-api`.", "200 an object with its name", "400 500 503", P("skip_head", PARAM_TEXT, false, "`true`: without what is in memory alone (false)")) },
	{ GET_HEAD, "/api/v1/admin/tsdb/snapshots",         api_admin_snapshots,     ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN,
	  DOC(ADMIN, "The copies there are, with path, time (Unix seconds), files, bytes, and bytes that the server itself has no more; with `--web.enable-admin-api`.", "200 a list of objects", "500 503", NONE) },
	{ REQ_DELETE, "/api/v1/admin/tsdb/snapshots/<name>", api_admin_snapshot_drop, ROUTE_JSON,                 0, NULL, 0, ROLE_ADMIN,
	  DOC(ADMIN, "Deletes one; with `--web.enable-admin-api`.", "204 it is gone", "404 500 503", P("name", PARAM_TEXT, true, "as the list has it")) },

	{ GET_HEAD, "/-/healthy",                           api_status_healthy,      ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(WATCH, "Whether every event loop turns.", "200 they do", "503", NONE) },
	{ GET_HEAD, "/-/ready",                             api_status_ready,        ROUTE_READY,                0, NULL, 0, ROLE_NONE,
	  DOC(WATCH, "Whether all loops are ready to answer.", "200 they are", "", P("for", PARAM_TEXT, false, "`write`: 503 also while writes are refused")) },
	{ LIFECYCLE, "/-/reload",                            api_status_reload,      0,                          0, NULL, 0, ROLE_ADMIN,
	  DOC(WATCH, "Loads the configuration again, with `--web.enable-lifecycle`.", "200 it is loaded", "403 500", NONE) },
	{ LIFECYCLE, "/-/quit",                              api_status_quit,        0,                          0, NULL, 0, ROLE_ADMIN,
	  DOC(WATCH, "Ends the process in order, with `--web.enable-lifecycle`.", "200 it ends", "403", NONE) },
	{ GET_HEAD, "/metrics",                             api_status_metrics,      ROUTE_ADMIN_SIDE,           0, NULL, 0, ROLE_ADMIN,
	  DOC(WATCH, "The server's own counters, as text for Prometheus.", "200 metrics", "", NONE) },
	{ REQ_POST, "/api/v1/read",                         api_read,                0,                          FORM, NULL, 0, ROLE_READ,
	  DOC(READS, "Remote read of Prometheus: protobuf in snappy; samples, or chunks frame by frame.", "200 ReadResponse in snappy, or frames of ChunkedReadResponse", "400 422", NONE) },
	{ REQ_POST, "/api/v1/prom/read",                    api_read,                ROUTE_INFLUX,               FORM, NULL, 0, ROLE_READ,
	  DOC(READS, "The same, at the path of InfluxDB 1.x.", "200 ReadResponse in snappy, or frames of ChunkedReadResponse", "400 422", P("db", PARAM_TEXT, false, "any name; it says nothing")) },
	{ GET_POST, "/api/v1/export",                       api_export,              0,                          FORM, NULL, 0, ROLE_READ,
	  DOC(READS, "All samples of series as JSON lines, as VictoriaMetrics has it.", "200 lines, one or several of each series", "400 422", SELECTORS_NEEDED RANGE P("max_rows_per_line", PARAM_COUNT, false, "samples of one line at most (4,096)") P("reduce_mem_usage", PARAM_TEXT, false, "taken, and always so")) },
	{ GET_POST, "/api/v1/export/csv",                   api_export_csv,          0,                          FORM, NULL, 0, ROLE_READ,
	  DOC(READS, "The same as CSV: a row for each sample.", "200 rows", "400 422", SELECTORS_NEEDED RANGE P("format", PARAM_TEXT, true, "columns: label names, `__value__`, `__timestamp__:unix_ms` (`unix_s`, `unix_ns`, `rfc3339`)")) },
	{ REQ_GET,  "/federate",                            api_federate,            0,                          0, NULL, 0, ROLE_READ,
	  DOC(READS, "The newest sample of each series, as text that Prometheus scrapes.", "200 text; empty without a selector", "400 422", SELECTORS_NEEDED) },

	{ GET_HEAD, "/version",                             api_status_version,      ROUTE_JSON,                 0, NULL, 0, ROLE_READ,
	  DOC(STATUS, "What buildinfo says, without an envelope.", "200 an object of texts", "", NONE) },
	{ GET_HEAD, "/health",                              api_status_health,       ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(WATCH, "As `/-/healthy`, at the path of VictoriaMetrics.", "200 OK", "503", NONE) },
	{ GET_HEAD, "/",                                    api_pages_start,         ROUTE_PAGED | ROUTE_UNGATED, 0, NULL, 0, ROLE_READ,
	  DOC(PAGES, "What is here, in a few lines; for browsers (`Accept: text/html`) the web page.", "200 a text, or HTML", "", NONE) },
	{ GET_HEAD, "/graph",                               api_pages_graph,         ROUTE_PAGED | ROUTE_UNGATED, 0, NULL, 0, ROLE_READ,
	  DOC(PAGES, "Where links of Grafana, Prometheus and Alertmanager lead: for browsers the web page with this expression.", "200 a text, or HTML", "", NONE) },
	{ GET_HEAD, "/cardinality",                         api_pages_view,          ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(PAGES, "The web page, with what the server has most of.", "200 HTML", "", NONE) },
	{ GET_HEAD, "/live",                                api_pages_view,          ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(PAGES, "The web page, with what the server does now.", "200 HTML", "", NONE) },
	{ GET_HEAD, "/doctor",                              api_pages_view,          ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(PAGES, "The web page, with what is wrong and what to do.", "200 HTML", "", NONE) },
	{ GET_HEAD, "/status",                              api_pages_view,          ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(PAGES, "The web page, with version, flags, configuration and tenants.", "200 HTML", "", NONE) },
	{ GET_HEAD, "/help",                                api_pages_view,          ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(PAGES, "The web page, with its help.", "200 HTML", "", NONE) },
	{ GET_HEAD, "/help/<page>",                         api_pages_help,          ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(PAGES, "The web page, with one page of its help.", "200 HTML", "", P("page", PARAM_TEXT, true, "which; what there is not, the page says")) },
	{ GET_HEAD, "/ui/*",                                api_pages_file,          ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(PAGES, "Files of the web page, below a hash of all of them.", "200 a file", "404", NONE) },
	{ GET_HEAD, "/favicon.ico",                         api_pages_favicon,       ROUTE_UNGATED,              0, NULL, 0, ROLE_NONE,
	  DOC(PAGES, "For browsers; there is none.", "204 nothing", "", NONE) },
	{ GET_HEAD, "/api",                                 api_pages_doc,           ROUTE_UNGATED,              0, NULL, 0, ROLE_READ,
	  DOC(PAGES, "This API: all paths with their parameters.", "200 HTML", "", NONE) },
	{ GET_HEAD, "/api/v1/openapi.json",                 api_pages_openapi,       ROUTE_JSON | ROUTE_UNGATED, 0, NULL, 0, ROLE_READ,
	  DOC(PAGES, "The same for programs, as OpenAPI 3.1.", "200 JSON", "", NONE) },
	{ GET_HEAD, "/api/v1/openapi.yaml",                 api_pages_openapi,       ROUTE_JSON | ROUTE_UNGATED, 0, NULL, 0, ROLE_READ,
	  DOC(PAGES, "The same, at the path of Prometheus; JSON is YAML.", "200 YAML", "", NONE) },
};
/* clang-format on */

/* What browsers are shown where a row has something else for programs. */
static const struct route page = {
	.methods = GET_HEAD,
	.path = "/",
	.handler = api_pages_view,
	.flags = ROUTE_PAGED | ROUTE_UNGATED,
	.role = ROLE_NONE,
};

const struct route_table api_routes = {
	.rows = rows,
	.count = COUNT_OF(rows),
	.alias = "/prometheus", /* where VictoriaMetrics has the API of Prometheus */
	.influx_fields = recv_influx_fields,
	.page = &page,
};
