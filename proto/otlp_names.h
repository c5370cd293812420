/*
 * otlp_names - names of metrics, labels and units as Prometheus makes them of OpenTelemetry's.
 *
 *   metric   "http.server.duration", "s", histogram > "http_server_duration_seconds"
 *            words of letters, digits and ':' joined by '_'; unit words, if they are not there yet;
 *            "total" last of counters, "ratio" last of gauges with unit 1
 *   label    "http.method" > "http_method"; "1st" > "key_1st"; "_a" > "key_a"; "__a__" stays
 *   unit     "By/s" > "bytes_per_second"
 *
 * Names that keep their characters (the UTF-8 strategies) get suffixes alone.
 * Memory: results in the arena, or lent from the input. Thread: pure. Any bytes are safe: what is
 * no UTF-8 is a foreign character, byte by byte.
 */
#ifndef PROTO_OTLP_NAMES_H
#define PROTO_OTLP_NAMES_H

#include "core/base/arena.h"
#include "proto/otlp.h"

struct otlp_text {
	const char *s;
	uint32_t len;
};
enum otlp_kind { /* of metrics */
	OTLP_NOTHING,
	OTLP_GAUGE,
	OTLP_SUM,
	OTLP_COUNTER, /* a monotonic sum */
	OTLP_HISTOGRAM,
	OTLP_EXPONENTIAL,
	OTLP_SUMMARY
};

/* False: nothing is left of the name (no letter or digit of an escaped one). */
bool otlp_metric_name(struct arena *a, enum otlp_strategy s, struct otlp_text name,
    struct otlp_text unit, enum otlp_kind kind, struct otlp_text *out);
/* False: the name is empty, or nothing but underscores. */
bool otlp_label_name(
    struct arena *a, const struct otlp_opts *o, struct otlp_text name, struct otlp_text *out);
/* escape: other characters than a metric's name may have become underscores. */
struct otlp_text otlp_unit_name(struct arena *a, struct otlp_text unit, bool escape);

static inline bool otlp_escapes(enum otlp_strategy s)
{
	return s <= OTLP_UNDERSCORES;
}
static inline bool otlp_suffixes(enum otlp_strategy s)
{
	return s == OTLP_UNDERSCORES_SUFFIXES || s == OTLP_UTF8_SUFFIXES;
}

#endif
