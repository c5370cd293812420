/*
 * statsdconf - receivers.statsd of the configuration, and files of statsd_exporter's form.
 *
 *   receivers:
 *     statsd:
 *       listen:
 *       - {address: "udp://:8125"}
 *       - {address: "unixgram:///run/kymo/dsd.socket", dialect: dogstatsd, tenant: acme}
 *       mapping_file: statsd_mapping.yml
 *
 * Thread, memory: a part of the configuration's snapshot (net/recv/recvconf.h); read-only once it
 * is made.
 */
#ifndef NET_RECV_STATSDCONF_H
#define NET_RECV_STATSDCONF_H

#include "net/recv/statsdmap.h"

#define STATSD_LISTEN_MAX 32u

enum statsd_dialect {
	STATSD_PLAIN,    /* a gauge with a sign is a change */
	STATSD_DOGSTATSD /* it is not */
};
enum statsd_transport {
	STATSD_UDP,
	STATSD_TCP,
	STATSD_UNIXGRAM,
	STATSD_UNIX,
	STATSD_TRANSPORTS
};
struct statsd_listen {
	const char *address; /* scheme://..., see the rows */
	const char *tenant;  /* NULL: the default one */
	unsigned dialect;    /* enum statsd_dialect */
	unsigned mode;       /* of a unix socket */
};
struct statsd_conf {
	struct yaml_items listen; /* of struct statsd_listen */
	uint64_t flush_ms, memory_bytes, members, connections, receive_bytes;
	const char *mapping_file; /* NULL: the rules stand in the configuration */
	struct statsd_rules rules;
	struct statsd_map *map; /* of rules, by statsd_conf_make */
};
extern const struct yaml_schema statsd_listen_schema, statsd_default_schema, statsd_rule_schema;
/* Rows of a struct statsd_rules, and of a struct statsd_conf, at `base`. */
/* clang-format off */
#define STATSD_MAPPING_ROWS(base) \
	{ .key = "defaults", .kind = YAML_IN, .off = (base), .sub = &statsd_default_schema, .help = "what mappings leave unsaid, and all of names that none is for" }, \
	{ .key = "mappings", .kind = YAML_ITEMS, .off = (base) + offsetof(struct statsd_rules, items), .sub = &statsd_rule_schema, .help = "rules that make metrics with labels of names, as in statsd_exporter's file" }
#define STATSD_CONF_(base, field) ((base) + offsetof(struct statsd_conf, field))
#define STATSD_CONF_ROWS(base) \
	{ .key = "listen", .kind = YAML_ITEMS, .off = STATSD_CONF_(base, listen), .sub = &statsd_listen_schema, .help = "where to listen; nowhere unless it is told here" }, \
	{ .key = "flush_interval", .kind = YAML_DURATION, .off = STATSD_CONF_(base, flush_ms), .least = 100, .most = 3600000, .help = "how often every series gets a sample; what came since the last time is lost with the machine [10s]" }, \
	{ .key = "memory", .kind = YAML_BYTES, .off = STATSD_CONF_(base, memory_bytes), .least = 1 << 20, .most = UINT64_MAX >> 1, .flags = YAML_START, .help = "what the series of one tenant may take; lines of others are dropped then, and counted [64MiB]" }, \
	{ .key = "set_members", .kind = YAML_COUNT, .off = STATSD_CONF_(base, members), .least = 1, .most = 1 << 18, .help = "members of a set that are told apart in one interval [65536]" }, \
	{ .key = "connections", .kind = YAML_COUNT, .off = STATSD_CONF_(base, connections), .least = 1, .most = 1 << 20, .flags = YAML_START, .help = "connections at once, by TCP and unix sockets together [1024]" }, \
	{ .key = "receive_buffer", .kind = YAML_BYTES, .off = STATSD_CONF_(base, receive_bytes), .least = 65536, .most = 1 << 30, .flags = YAML_START, .help = "datagrams that wait in the kernel for each loop; more than net.core.rmem_max takes CAP_NET_ADMIN [8MiB]" }, \
	{ .key = "mapping_file", .kind = YAML_PATH, .off = STATSD_CONF_(base, mapping_file), .help = "a mapping file of statsd_exporter, instead of defaults and mappings here" }, \
	STATSD_MAPPING_ROWS((base) + offsetof(struct statsd_conf, rules))
/* clang-format on */
extern const struct yaml_schema statsd_conf_schema; /* of struct statsd_conf alone */
void statsd_conf_default(struct statsd_conf *c);
/*
 * Behind the walk: reads the mapping file, makes the map. section: of y, may be NULL. False when it
 * has told an error. Reads a file: no loop.
 */
bool statsd_conf_make(struct statsd_conf *c, struct yaml *y, const struct yaml_node *section);
void statsd_conf_release(struct statsd_conf *c);
/* Does all that holds from start to end stand alike in both? */
bool statsd_conf_same_start(const struct statsd_conf *a, const struct statsd_conf *b);
/* What is left of an address behind its scheme; NULL: it has none that we know. */
const char *statsd_address(const char *text, enum statsd_transport *transport);

#endif
