#include "core/model/receiver.h"

const char *const receiver_name[RECEIVERS] = {
	[RECEIVER_REMOTE_WRITE] = "remote_write",
	[RECEIVER_IMPORT] = "import",
	[RECEIVER_EXPOSITION] = "exposition",
	[RECEIVER_PUSHGATEWAY] = "pushgateway",
	[RECEIVER_OTLP] = "otlp",
	[RECEIVER_INFLUX] = "influx",
	[RECEIVER_DATADOG] = "datadog",
	[RECEIVER_STATSD] = "statsd",
};
