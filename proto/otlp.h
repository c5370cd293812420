/*
 * otlp - metrics of OpenTelemetry (ExportMetricsServiceRequest of the OpenTelemetry protocol, as
 * protobuf) to a batch, translated as Prometheus does ("Using Prometheus as your OpenTelemetry
 * backend" of the Prometheus documentation).
 *
 *   resource   service.name (with service.namespace/ before it) is job, service.instance.id is
 *              instance; other attributes are in target_info alone, but for promoted ones
 *   scope      with promote_scope: otel_scope_name, otel_scope_version, otel_scope_schema_url and
 *              otel_scope_<attribute>
 *   metric     its name by the strategy (otlp_names.h); metadata with its type, unit, description
 *   gauge, sum              a row each
 *   summary                 NAME{quantile}, NAME_sum, NAME_count
 *   histogram               NAME_bucket{le}, NAME_sum (if told), NAME_count; with custom_buckets a
 *                           native histogram of schema -53
 *   exponential histogram   a native histogram: a scale over 8 is merged to 8, less than -4 is
 *                           refused; the zero threshold is the point's, 1e-128 when it has none
 *   target_info             1, from the first to the last time of the resource's points, each
 *                           OTLP_INFO_STEP_MS and at the last; of a resource with a job or instance
 *                           and another attribute
 *   NoRecordedValue         a stale marker
 *   exemplars               of sums and histograms; to the bucket that holds them; trace_id,
 *                           span_id, and the filtered attributes when all have at most
 *                           EXEMPLAR_RUNES
 *   start times             batch_extra.start_ms, unless no_start_times
 *
 * A record is a data point. One that cannot be translated is left out and counted with all its
 * rows; the others go on. Where senders and Prometheus differ:
 *   - what Prometheus answers with an error for the whole request costs only its points here;
 *   - a scale over 8 is merged by the buckets' own numbers, also behind empty ones;
 *   - target_info between first and last time has at most OTLP_INFO_MOST samples, the latest ones,
 *     and all resources of a request together OTLP_INFO_FREE, and OTLP_INFO_POINT for each point.
 *
 * (1) Every input that protobuf-c unpacks is accepted here (fuzz_otlp), but for limits. Bytes
 *     inside of what nobody asks for are not looked at.
 * (2) The same message twice in another one (resource, scope, gauge): the last one counts.
 * (3) Values of attributes nest at most OTLP_DEPTH deep; a map or list that is deeper, or longer
 *     than a label value may be, costs its point.
 *
 * Labels of a resource are made once for it, those of a scope once for it, and what the attributes
 * of a metric's points have in common (their keys) once for these.
 * Limits: write_samples for rows of a request; labels of limits.h; write_hist_buckets for buckets
 * and bounds of a point, and its exemplars: those beyond are left out.
 * Errors of next: ERR_MALFORMED with the place, ERR_TOOBIG: what was stored before stays.
 * Memory: rows point into the body and d->arena. Thread: as decoders.
 */
#ifndef PROTO_OTLP_H
#define PROTO_OTLP_H

#include "proto/decoder.h"

#define OTLP_DEPTH        16u
#define OTLP_INFO_STEP_MS INT64_C(150000)
#define OTLP_INFO_MOST    1024u
#define OTLP_INFO_FREE    4096u
#define OTLP_INFO_POINT   4u
#define OTLP_POINT_BYTES  (16u << 20) /* that labels of one point's rows may take */

/* How names are made of theirs: Prometheus' translation_strategy. */
enum otlp_strategy {
	OTLP_UNDERSCORES_SUFFIXES, /* UnderscoreEscapingWithSuffixes */
	OTLP_UNDERSCORES,          /* UnderscoreEscapingWithoutSuffixes */
	OTLP_UTF8_SUFFIXES,        /* NoUTF8EscapingWithSuffixes */
	OTLP_UTF8                  /* NoTranslation */
};
/*
 * Points of delta temporality, before they are made cumulative. Who has this hook gets the rows of
 * each such point, [first, rows_count) of d->batch: their values are what was added between start
 * and time, and each has an extra of its own, which the hook may change (they lie in d->arena). It
 * may add rows. NULL: they stay; else why the point is left out, in d->arena or a constant.
 */
struct otlp_delta_point {
	uint64_t start_ns, time_ns; /* start 0: not told */
	bool grows;                 /* a monotonic sum, or a histogram */
};
struct otlp_delta {
	const char *(*rows)(const struct otlp_delta *h, struct decode *d, size_t first,
	    const struct otlp_delta_point *p);
	bool raw; /* they are stored as they are: the type of such a metric is unknown */
};
struct otlp_opts {
	enum otlp_strategy strategy;
	/* Resource attributes that become labels: those named; or all but those named. */
	bool promote_all;
	const char *const *attributes;
	size_t attributes_count;
	bool keep_identifying; /* target_info has service.name and so on as well */
	bool custom_buckets;   /* histograms become native ones: convert_histograms_to_nhcb */
	bool promote_scope;
	bool keep_underscore;           /* of label names: "_a" stays, it does not become "key_a" */
	bool join_underscores;          /* of label names: "a__b" becomes "a_b" */
	bool type_and_unit;             /* labels __type__ and __unit__ */
	bool no_start_times;            /* samples have none, whatever is told */
	const struct otlp_delta *delta; /* NULL: such points are rejected */
};

/* d->opts: struct otlp_opts, NULL: all zero. */
extern const struct decoder otlp_decoder;

#endif
