/*
 * loadargs - flags that write, soak and crash share: what is sent, where to and how.
 *
 * Thread: one. Memory: texts are those of the command line; loadargs_release.
 */
#ifndef BENCH_LOAD_LOADARGS_H
#define BENCH_LOAD_LOADARGS_H

#include "bench/load/access.h"
#include "bench/load/fleet.h"
#include "bench/load/kind.h"
#include "bench/load/loadgen.h"

struct loadargs {
	const char *url, *query_url, *kind_name, *protocol_name, *transport, *step, *start,
	    *churn_every;
	double series, targets, batch, connections, in_flight, retry_s, churn;
	bool no_metadata, starts;
	struct loadgen_opts gen;
	struct access access;
	/* made by loadargs_use */
	struct httpc_url u, query; /* bases */
	char path[HTTPC_API_MAX];  /* to write to */
	const struct kind *kind;
	enum rwbody_protocol protocol;
	bool h2;
	unsigned conns, flying;
};
bool loadargs_add_replay(void *arg, const char *value); /* of struct loadgen_opts */
/* clang-format off */
#define LOADARGS_ARGS(l)                                                                           \
	{ .name = "url", .meta = "URL", .help = "server, its base or the path to write to (http://127.0.0.1:9470); https:// is TLS", .text = &(l).url }, \
	{ .name = "kind", .meta = "NAME", .help = "kymo, victoriametrics, vmcluster, prometheus, mimir, cortex, thanos: whose paths (asks the server)", .text = &(l).kind_name }, \
	{ .name = "query-url", .meta = "URL", .help = "where to read, when it is another server (--url)", .text = &(l).query_url }, \
	{ .name = "protocol", .meta = "VERSION", .help = "of Remote Write: 1.0 or 2.0 (1.0)", .text = &(l).protocol_name }, \
	{ .name = "transport", .meta = "NAME", .help = "http1 or h2c; with https:// https or h2 (http1, https)", .text = &(l).transport }, \
	{ .name = "in-flight", .meta = "N", .help = "requests on their way on a connection (1; h2c and h2: 8)", .num = &(l).in_flight }, \
	{ .name = "workload", .meta = "NAME", .help = "node, prometheus-benchmark, tsbs-devops, tsbs-cpu, avalanche, k6 (node)", .text = &(l).gen.workload }, \
	{ .name = "series", .meta = "N", .help = "series in all (node, k6: 100000; others: as --targets say)", .num = &(l).series }, \
	{ .name = "targets", .meta = "N", .help = "targets, hosts (the workload's; of each recorded file 20)", .num = &(l).targets }, \
	{ .name = "batch", .meta = "N", .help = "samples per request (2000)", .num = &(l).batch }, \
	{ .name = "connections", .meta = "N", .help = "connections, a thread each (4)", .num = &(l).connections }, \
	{ .name = "step", .meta = "DURATION", .help = "time between rounds in the data (the workload's: node 15s)", .text = &(l).step }, \
	{ .name = "start", .meta = "TIME", .help = "time of round 0, unix seconds or RFC 3339 (now - rounds x step; with --pace now)", .text = &(l).start }, \
	{ .name = "churn", .meta = "P", .help = "probability that a target gets new series, per --churn-every (the workload's: node 0)", .num = &(l).churn }, \
	{ .name = "churn-every", .meta = "DURATION", .help = "how often that is thrown (the workload's: node each round)", .text = &(l).churn_every }, \
	{ .name = "histograms", .meta = "P", .help = "part of the metrics that are native histograms (0)", .num = &(l).gen.histograms }, \
	{ .name = "exemplars", .meta = "P", .help = "part of the samples with an exemplar (0)", .num = &(l).gen.exemplars }, \
	{ .name = "no-metadata", .help = "2.0: without metadata in each series", .flag = &(l).no_metadata }, \
	{ .name = "start-times", .help = "2.0: counters carry their start", .flag = &(l).starts }, \
	{ .name = "page", .meta = "FILE", .help = "exposition page to replicate (a built-in one of 500 series)", .text = &(l).gen.page }, \
	{ .name = "values", .meta = "FILE", .help = "recorded scrapes that give the page's series their values", .text = &(l).gen.values }, \
	{ .name = "instance", .meta = "NAME", .help = "of targets, # for each digit: target-#####.example.net:9100 (instance-N)", .text = &(l).gen.instance }, \
	{ .name = "replay", .meta = "FILE", .help = "recorded scrapes to replay, may be repeated, .xz is unpacked", .each = loadargs_add_replay, .arg = &(l).gen }, \
	{ .name = "shuffle", .help = "series in random order (grouped by target)", .flag = &(l).gen.shuffle }, \
	{ .name = "retry", .meta = "S", .help = "repeat 5xx and broken connections for so long (30)", .num = &(l).retry_s }, \
	{ .name = "gauge-metric-count", .meta = "N", .help = "avalanche: gauges (500)", .num = &(l).gen.avalanche.gauges }, \
	{ .name = "counter-metric-count", .meta = "N", .help = "avalanche: counters (0)", .num = &(l).gen.avalanche.counters }, \
	{ .name = "histogram-metric-count", .meta = "N", .help = "avalanche: classic histograms (0)", .num = &(l).gen.avalanche.histograms }, \
	{ .name = "histogram-metric-bucket-count", .meta = "N", .help = "avalanche: their buckets but +Inf (7)", .num = &(l).gen.avalanche.buckets }, \
	{ .name = "native-histogram-metric-count", .meta = "N", .help = "avalanche: native histograms (0)", .num = &(l).gen.avalanche.natives }, \
	{ .name = "summary-metric-count", .meta = "N", .help = "avalanche: summaries (0)", .num = &(l).gen.avalanche.summaries }, \
	{ .name = "summary-metric-objective-count", .meta = "N", .help = "avalanche: their quantiles (2)", .num = &(l).gen.avalanche.objectives }, \
	{ .name = "series-count", .meta = "N", .help = "avalanche: series of a metric (100)", .num = &(l).gen.avalanche.series }, \
	{ .name = "label-count", .meta = "N", .help = "avalanche: labels of a series (10)", .num = &(l).gen.avalanche.labels }, \
	{ .name = "metricname-length", .meta = "N", .help = "avalanche: letters of names (5)", .num = &(l).gen.avalanche.name_length }, \
	{ .name = "labelname-length", .meta = "N", .help = "avalanche: letters of label names (5)", .num = &(l).gen.avalanche.label_length }, \
	{ .name = "value-interval", .meta = "S", .help = "avalanche: new values each S seconds of the data, 0 = never (30)", .num = &(l).gen.avalanche.value_s }, \
	{ .name = "series-interval", .meta = "S", .help = "avalanche: new cycle_id, 0 = never (60)", .num = &(l).gen.avalanche.series_s }, \
	{ .name = "metric-interval", .meta = "S", .help = "avalanche: new names, 0 = never (0)", .num = &(l).gen.avalanche.metric_s }, \
	ACCESS_ARGS((l).access)
/* clang-format on */

/* Before cmd_parse. */
void loadargs_init(struct loadargs *l);
/*
 * What was said becomes what is used; back_rounds: rounds that lie before now when no --start was
 * given. Ends the program with status 2 and a line where something is wrong.
 */
struct loadgen *loadargs_use(struct loadargs *l, const char *what, double back_rounds);
/* The fleet's options but for memory, lead and callbacks. */
struct fleet_opts loadargs_fleet(const struct loadargs *l);
struct rwbody *loadargs_body(const struct loadargs *l);
const char *loadargs_transport(const struct loadargs *l);

#endif
