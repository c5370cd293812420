/*
 * receiver - the ways by which samples come in, as configuration, metrics and relabelling name
 * them.
 *
 * Thread: constants.
 */
#ifndef CORE_MODEL_RECEIVER_H
#define CORE_MODEL_RECEIVER_H

enum receiver {
	RECEIVER_REMOTE_WRITE,
	RECEIVER_IMPORT,     /* JSON lines of VictoriaMetrics */
	RECEIVER_EXPOSITION, /* text as targets expose it, OpenMetrics, too, line by line */
	RECEIVER_PUSHGATEWAY,
	RECEIVER_OTLP,
	RECEIVER_INFLUX,
	RECEIVER_DATADOG,
	RECEIVER_STATSD,
	RECEIVERS
};
/* "remote_write", "import", ... */
extern const char *const receiver_name[RECEIVERS];

#endif
