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
extern const struct yaml_schema statsd_conf_schema; /* of struct statsd_conf */
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
