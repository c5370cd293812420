/*
 * statsdmap - rules that make metrics with labels of the names of StatsD, as statsd_exporter has
 * them ("Metric Mapping and Configuration" in its README).
 *
 *   defaults: {observer_type: histogram, match_type: glob, glob_disable_ordering: false, ttl: 1h}
 *   mappings:
 *   - match: "app.*.req.*"
 *     name: "app_requests"
 *     labels: {service: "$1", code: "$2"}
 *
 * A glob has parts between dots, and * stands for one whole part; a regular expression (RE2) may
 * match anywhere in the name. Globs are looked for before expressions. Of several globs that match
 * the first in the file holds, or with glob_disable_ordering the one whose parts are literal the
 * longest; of expressions the first. A rule may be for one type of metrics only.
 *
 * Globs are one tree of parts, looked up by hashes: the cost depends on the parts of a name and on
 * the branches that match, never on the number of rules (about 100 ns). Expressions are tried one
 * after another.
 *
 * Thread: a map never changes and may be read by all. Memory: its own; texts and numbers of rules
 * are the caller's (the configuration's) and outlive it.
 */
#ifndef NET_RECV_STATSDMAP_H
#define NET_RECV_STATSDMAP_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/yaml.h"
#include "proto/statsd.h"

#define STATSDMAP_PARTS_MAX 64u

enum statsd_metric { /* what a rule may be for */
	STATSD_ANY_METRIC,
	STATSD_IS_COUNTER,
	STATSD_IS_GAUGE,
	STATSD_IS_OBSERVER,
	STATSD_IS_SET,
	STATSD_METRICS
};
enum statsd_observer { /* what becomes of ms, h and d */
	STATSD_OBSERVER_UNSAID,
	STATSD_CLASSIC, /* _bucket, _sum, _count */
	STATSD_SUMMARY, /* quantiles, _sum, _count */
	STATSD_NATIVE   /* one native histogram */
};
enum statsd_match_type {
	STATSD_MATCH_UNSAID,
	STATSD_GLOB,
	STATSD_REGEX
};
struct statsd_doubles {
	const double *v;
	size_t count;
};
/* Of observers; zeros: unsaid. */
struct statsd_options {
	unsigned type;                   /* enum statsd_observer */
	struct statsd_doubles bounds;    /* ascending, without +Inf */
	double factor;                   /* of neighbouring native buckets, above 1 */
	uint64_t max_buckets;            /* of a native histogram */
	struct statsd_doubles quantiles; /* ascending */
	uint64_t max_age_ms, age_buckets;
};
struct statsd_pair {
	const char *name, *value;
};
struct statsd_pairs {
	const struct statsd_pair *items;
	size_t count;
};
struct statsd_rule {
	const char *match, *name, *help;
	struct statsd_pairs labels;
	struct statsd_options options;
	double scale; /* 0: 1 */
	uint64_t ttl_ms;
	unsigned match_type, metric; /* enum statsd_match_type, enum statsd_metric */
	bool honor_labels, drop;
};
struct statsd_rules {
	struct statsd_rule defaults; /* options, match_type and ttl_ms of it hold */
	bool unordered;              /* glob_disable_ordering */
	struct yaml_items items;     /* of struct statsd_rule */
};

struct statsd_map;
/* ERR_BADDATA: rule *which, and eb says what is wrong with it. */
MUST_CHECK enum err statsd_map_create(
    const struct statsd_rules *r, struct statsd_map **out, size_t *which, struct errbuf *eb);
void statsd_map_free(struct statsd_map *m); /* NULL is fine */
/* What holds for names that no rule is for. */
const struct statsd_rule *statsd_map_defaults(const struct statsd_map *m);

struct statsd_match {
	const struct statsd_rule *rule; /* whole: what it left unsaid is that of the defaults */
	const char *name;
	size_t len;
	const struct rex *_rex; /* NULL: a glob */
	struct statsd_piece _captures[STATSDMAP_PARTS_MAX];
	unsigned _count;
};
/* False: no rule is for it. The name is borrowed. */
bool statsd_map_find(const struct statsd_map *m, const char *name, size_t len,
    enum statsd_metric metric, struct statsd_match *out);
/* A name or a value of the rule, with $1 and ${1} filled in; a missing capture is empty. */
void statsd_map_expand(const struct statsd_match *m, const char *template, struct buf *out);
/*
 * What a name may be: other characters become _, a digit at the start gets one before it. The
 * second of two dashes is left out, as statsd_exporter does.
 */
void statsd_map_escape(const char *s, size_t len, struct buf *out);

#endif
