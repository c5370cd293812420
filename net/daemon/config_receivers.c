/*
 * config_receivers - the section receivers: by which protocols samples may come, and what each of
 * them goes by.
 *
 *   receivers:
 *     influx: {enabled: false}
 */
#include "net/daemon/config.h"

#define CONF(field) offsetof(struct config, recv.field)

/* clang-format off */
#define ENABLED(which) { .key = "enabled", .kind = YAML_OWN, .off = CONF(off[which]), .set = config_set_not, .show = config_show_not, .shape = "true|false", .help = "take samples by this protocol [true]" }
static const struct yaml_row remote_write_rows[] = {
	ENABLED(RECEIVER_REMOTE_WRITE),
};
static const struct yaml_row import_rows[] = {
	ENABLED(RECEIVER_IMPORT),
};
static const struct yaml_row exposition_rows[] = {
	ENABLED(RECEIVER_EXPOSITION),
};
static const struct yaml_row pushgateway_rows[] = {
	ENABLED(RECEIVER_PUSHGATEWAY),
};
static const struct yaml_row otlp_rows[] = {
	ENABLED(RECEIVER_OTLP),
};
static const struct yaml_row influx_rows[] = {
	ENABLED(RECEIVER_INFLUX),
};
static const struct yaml_row datadog_rows[] = {
	ENABLED(RECEIVER_DATADOG),
};
static const struct yaml_row statsd_rows[] = {
	ENABLED(RECEIVER_STATSD),
};
#define SUB(name) static const struct yaml_schema name##_schema = { .rows = name##_rows, .count = COUNT_OF(name##_rows) }
SUB(remote_write);
SUB(import);
SUB(exposition);
SUB(pushgateway);
SUB(otlp);
SUB(influx);
SUB(datadog);
SUB(statsd);
#define RECEIVER(name, text) { .key = #name, .kind = YAML_IN, .sub = &name##_schema, .help = text }
static const struct yaml_row rows[] = {
	RECEIVER(remote_write, "Remote Write 1.0 and 2.0"),
	RECEIVER(import, "JSON lines of VictoriaMetrics"),
	RECEIVER(exposition, "text, OpenMetrics and protobuf as targets expose them"),
	RECEIVER(pushgateway, "pushes of short jobs, as to a Prometheus Pushgateway"),
	RECEIVER(otlp, "metrics of OpenTelemetry"),
	RECEIVER(influx, "line protocol of InfluxDB"),
	RECEIVER(datadog, "what a Datadog agent submits"),
	RECEIVER(statsd, "StatsD and DogStatsD, by UDP, TCP and unix sockets"),
};
/* clang-format on */
const struct yaml_schema config_receivers_schema = { .rows = rows, .count = COUNT_OF(rows) };
