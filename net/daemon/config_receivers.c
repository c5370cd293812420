/*
 * config_receivers - the section receivers: by which protocols samples may come, and what each of
 * them goes by.
 *
 *   receivers:
 *     influx: {enabled: false}
 */
#include <string.h>

#include "core/model/label.h"
#include "net/daemon/config.h"
#include "proto/influx.h"

#define CONF(field) offsetof(struct config, recv.field)

static bool check_db_label(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	const char *s = *(const char *const *)at;
	size_t len = strlen(s);
	(void)row;
	if (label_name_is_classic(s, len) && !label_is_metric_name(s, len))
		return true;
	return yaml_fail(y, n, "\"%s\" is no name of a label", s);
}

/* Of the whole section: it would be changed in every name otherwise. */
static bool check_influx(struct yaml *y, const struct yaml_node *n, void *item)
{
	const struct recv_influx_conf *c = &((const struct config *)item)->recv.influx;
	const char *s = c->separator;
	size_t len = s ? strlen(s) : 0;
	char name[INFLUX_SEPARATOR + 2] = "m";
	if (!len || c->raw_names || len > INFLUX_SEPARATOR)
		return true;
	memcpy(name + 1, s, len + 1);
	return label_metric_is_classic(name, len + 1) ||
	    yaml_fail_key(y, yaml_child(n, "separator"),
	        "has characters that no name of a metric has without raw_names: true");
}

/* No list beside its opposite, and each attribute once. */
static bool otlp_texts(struct yaml *y, const struct yaml_node *n, const struct yaml_texts *list)
{
	for (size_t i = 0; i < list->count; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(list->texts[i], list->texts[k]))
				return yaml_fail(
				    y, n, "attribute \"%s\" is there twice", list->texts[i]);
	return true;
}

static bool otlp_check(struct yaml *y, const struct yaml_node *n, void *item)
{
	const struct recv_otlp *c = &((const struct config *)item)->recv.otlp;
	if (c->promote_all && c->promote.count)
		return yaml_fail(y, n,
		    "promote_resource_attributes is for when promote_all_resource_attributes is not set");
	if (!c->promote_all && c->ignore.count)
		return yaml_fail(
		    y, n, "ignore_resource_attributes needs promote_all_resource_attributes: true");
	if (c->delta_raw && !c->delta_rejected)
		return yaml_fail(y, n, "native_delta_ingestion needs delta_to_cumulative: false");
	return otlp_texts(y, n, &c->promote) && otlp_texts(y, n, &c->ignore);
}

/* clang-format off */
#define ENABLED(which) { .key = "enabled", .kind = YAML_OWN, .off = CONF(off[which]), .set = config_set_not, .show = config_show_not, .shape = "true|false", .help = "take samples by this protocol [true]" }
static const struct yaml_row remote_write_rows[] = {
	ENABLED(RECEIVER_REMOTE_WRITE),
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel_of[RECEIVER_REMOTE_WRITE])),
	{ .key = "zstd", .kind = YAML_OWN, .off = CONF(remote.no_zstd), .set = config_set_not, .show = config_show_not, .shape = "true|false", .help = "take Remote Write 1.0 in zstd, too, as vmagent sends it: less than half of the bytes, for some 10 % more CPU; without it vmagent goes on in snappy [true]" },
};
static const struct yaml_row import_rows[] = {
	ENABLED(RECEIVER_IMPORT),
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel_of[RECEIVER_IMPORT])),
};
static const struct yaml_row exposition_rows[] = {
	ENABLED(RECEIVER_EXPOSITION),
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel_of[RECEIVER_EXPOSITION])),
};
static const struct yaml_row pushgateway_rows[] = {
	ENABLED(RECEIVER_PUSHGATEWAY),
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel_of[RECEIVER_PUSHGATEWAY])),
	{ .key = "repeat", .kind = YAML_DURATION, .off = CONF(push.repeat_ms), .least = 1000, .most = 3600000, .help = "what was pushed is stored again after so long, so that queries go on finding it [15s]", .shape = "DURATION" },
	{ .key = "ttl", .kind = YAML_DURATION, .off = CONF(push.ttl_ms), .least = 1000, .most = UINT64_C(86400000) * 36600, .help = "a group that nobody has pushed for so long is deleted [never]", .shape = "DURATION" },
	{ .key = "max_groups", .kind = YAML_COUNT, .off = CONF(push.max_groups), .least = 1, .most = UINT64_C(1) << 32, .help = "groups of one tenant [10000]", .shape = "N" },
	{ .key = "max_bytes", .kind = YAML_BYTES, .off = CONF(push.max_bytes), .least = 1 << 16, .most = UINT64_C(1) << 40, .help = "memory of the groups of one tenant [64MiB]" },
};
#define SWITCH(name, field, text) { .key = name, .kind = YAML_BOOL, .off = CONF(field), .help = text }
#define UNSWITCH(name, field, text) { .key = name, .kind = YAML_OWN, .off = CONF(field), .set = config_set_not, .show = config_show_not, .shape = "true|false", .help = text }
static const char *const otlp_strategies[] = { "UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes", "NoUTF8EscapingWithSuffixes", "NoTranslation", NULL };
static const struct yaml_row otlp_rows[] = {
	ENABLED(RECEIVER_OTLP),
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel_of[RECEIVER_OTLP])),
	{ .key = "translation_strategy", .kind = YAML_WORD, .off = CONF(otlp.strategy), .words = otlp_strategies, .help = "how names of metrics and labels are made, as Prometheus does [UnderscoreEscapingWithSuffixes]" },
	{ .key = "promote_resource_attributes", .kind = YAML_TEXTS, .off = CONF(otlp.promote), .help = "attributes of a resource that become labels of its series; the others are in target_info" },
	SWITCH("promote_all_resource_attributes", otlp.promote_all, "all of them do, but those of ignore_resource_attributes [false]"),
	{ .key = "ignore_resource_attributes", .kind = YAML_TEXTS, .off = CONF(otlp.ignore), .help = "those that do not, with promote_all_resource_attributes" },
	SWITCH("keep_identifying_resource_attributes", otlp.keep_identifying, "target_info has service.name, service.namespace and service.instance.id as well [false]"),
	SWITCH("convert_histograms_to_nhcb", otlp.custom_buckets, "histograms with explicit bounds become native ones with custom buckets [false]"),
	SWITCH("promote_scope_metadata", otlp.promote_scope, "labels otel_scope_name, otel_scope_version, otel_scope_schema_url and otel_scope_<attribute> [false]"),
	SWITCH("store_start_timestamps", otlp.start_times, "start times are kept with samples, some 40 bytes of memory each until it is in a file; --enable-feature use-start-timestamps, which asks for them, does so, too [false]"),
	UNSWITCH("label_name_underscore_sanitization", otlp.keep_underscore, "a label's name that begins with one underscore gets key before it [true]"),
	UNSWITCH("label_name_preserve_multiple_underscores", otlp.join_underscores, "underscores that follow one another in a label's name stay; else they become one [true]"),
	UNSWITCH("delta_to_cumulative", otlp.delta_rejected, "points of delta temporality are added up, series by series, and stored as cumulative ones; else they are rejected [true]"),
	SWITCH("native_delta_ingestion", otlp.delta_raw, "such points are stored as they are, as metrics of unknown type, for sum_over_time(); with delta_to_cumulative: false [false]"),
	UNSWITCH("delta_zero_start", otlp.delta_bare, "such a series begins with a 0 where its first point does, so that increase() counts that one [true]"),
	{ .key = "delta_max_stale", .kind = YAML_DURATION, .off = CONF(otlp.delta_stale_ms), .least = 1000, .most = UINT64_C(86400000) * 366, .help = "a series without a new point for so long begins anew [5m]", .shape = "DURATION" },
	{ .key = "delta_max_streams", .kind = YAML_COUNT, .off = CONF(otlp.delta_streams), .least = 1, .most = UINT64_MAX >> 1, .help = "such series of one tenant at once; --limits.delta-memory holds for all [1000000]", .shape = "N" },
};
static const struct yaml_row influx_rows[] = {
	ENABLED(RECEIVER_INFLUX),
	{ .key = "separator", .kind = YAML_TEXT, .off = CONF(influx.separator), .most = INFLUX_SEPARATOR, .help = "what stands between measurement and field in the name of a metric [_]" },
	{ .key = "skip_single_field", .kind = YAML_BOOL, .off = CONF(influx.skip_single_field), .help = "the metric of a line with one field is its measurement alone [false]" },
	{ .key = "db_label", .kind = YAML_TEXT, .off = CONF(influx.db_label), .most = INFLUX_LABEL_NAME, .set = check_db_label, .help = "a label with the name of the database or bucket, unless a tag has its name [none]" },
	{ .key = "raw_names", .kind = YAML_BOOL, .off = CONF(influx.raw_names), .help = "names stay as they come, instead of underscores for what PromQL could not name without quotes [false]" },
	{ .key = "databases", .kind = YAML_TEXTS, .off = CONF(influx.databases), .help = "names that SHOW DATABASES answers, for clients that look before they write; any may be written to" },
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel_of[RECEIVER_INFLUX])),
};
static const struct yaml_row datadog_rows[] = {
	ENABLED(RECEIVER_DATADOG),
	{ .key = "raw_names", .kind = YAML_BOOL, .off = CONF(datadog.raw_names), .help = "dots stay in names of metrics, and tags keep their names, instead of underscores for what PromQL could not name without quotes [false]" },
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel_of[RECEIVER_DATADOG])),
};
static const struct yaml_row statsd_rows[] = {
	STATSD_CONF_ROWS(CONF(statsd)),
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel_of[RECEIVER_STATSD])),
};
#define SUB(name) static const struct yaml_schema name##_schema = { .rows = name##_rows, .count = COUNT_OF(name##_rows) }
SUB(remote_write);
SUB(import);
SUB(exposition);
SUB(pushgateway);
static const struct yaml_schema influx_schema = { .rows = influx_rows, .count = COUNT_OF(influx_rows), .check = check_influx };
static const struct yaml_schema otlp_schema = { .rows = otlp_rows, .count = COUNT_OF(otlp_rows), .check = otlp_check };
SUB(datadog);
SUB(statsd);
#define RECEIVER(name, text) { .key = #name, .kind = YAML_IN, .sub = &name##_schema, .help = text }
static const struct yaml_row rows[] = {
	CONFIG_RELABEL_ROWS(offsetof(struct config, relabel)),
	{ .key = "relabel_cache", .kind = YAML_BYTES, .off = offsetof(struct config, relabel_cache), .least = 1 << 20, .most = UINT64_C(1) << 40, .help = "memory for what rules and labels made of series, of all loops [128MiB]" },
	RECEIVER(remote_write, "Remote Write 1.0 and 2.0"),
	RECEIVER(import, "JSON lines of VictoriaMetrics"),
	RECEIVER(exposition, "text as targets expose it, OpenMetrics, too, line by line"),
	RECEIVER(pushgateway, "pushes of short jobs, as to a Prometheus Pushgateway"),
	RECEIVER(otlp, "metrics of OpenTelemetry"),
	RECEIVER(influx, "line protocol of InfluxDB"),
	RECEIVER(datadog, "what a Datadog agent submits"),
	RECEIVER(statsd, "StatsD and DogStatsD, by UDP, TCP and unix sockets"),
};
/* clang-format on */
const struct yaml_schema config_receivers_schema = { .rows = rows, .count = COUNT_OF(rows) };

bool config_receivers_make(struct config *c, struct yaml *y)
{
	const struct yaml_node *section = yaml_child(yaml_root(y), "receivers");
	return statsd_conf_make(&c->recv.statsd, y, section ? yaml_child(section, "statsd") : NULL);
}
