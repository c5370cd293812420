/*
 * datadog - what Datadog's agents and clients send, to rows of a batch ("Submit metrics" of the
 * Datadog API reference; agent_payload.proto and intake_v3.proto of DataDog/agent-payload).
 *
 * Names: characters outside [a-zA-Z0-9_.] and runs of them are one underscore, none beside a dot,
 * as Datadog keeps them; then dots are underscores, too, unless `raw`. Names of labels: each
 * character that a label's name cannot have is an underscore (`raw`: they stay).
 * Labels: host and device, each resource by its type, source_type_name, and tags, split at the
 * first colon; one without a colon has the value "no_label_value". A tag host is exported_host.
 * Of tags with one name the values are joined by commas, in the order of their bytes, so that no
 * two series become one.
 * Values are stored as they come: a count is that of its interval, a rate is per second.
 * A sketch, and the values of a distribution at one time, become
 *   m{quantile="0.5", "0.75", "0.9", "0.95", "0.99"}, m_sum, m_count, m_min, m_max
 * Times are seconds; without one, or 0 and less, it is now.
 *
 * A record is a series; one that is wrong is left out and told. All are decoders of whole bodies.
 * Memory: see proto/decoder.h, and DATADOG_POINTS points and DATADOG_VALUES
 * values of one series. Thread: pure. Any bytes are
 * safe (fuzz_datadog).
 */
#ifndef PROTO_DATADOG_H
#define PROTO_DATADOG_H

#include "proto/decoder.h"

#define DATADOG_POINTS 16384u /* of one series; agents send 10,000 in a body at most */
#define DATADOG_VALUES 65536u /* of distributions of one series, whatever its points are */
#define DATADOG_BINS   16384u /* of one sketch; agents have 4,096 */

struct datadog_opts {
	bool raw;
};
/* opts of each: struct datadog_opts; NULL: names become plain */
extern const struct decoder datadog_json1;    /* /api/v1/series: points [[time, value], ...] */
extern const struct decoder datadog_json2;    /* /api/v2/series: points [{timestamp, value}, ...] */
extern const struct decoder datadog_values;   /* /api/v1/distribution_points */
extern const struct decoder datadog_series;   /* MetricPayload */
extern const struct decoder datadog_sketches; /* SketchPayload */
extern const struct decoder datadog_columns;  /* Payload of intake v3: series and sketches */

#endif
