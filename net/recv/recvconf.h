/*
 * recvconf - what the section `receivers` of the configuration says, for those who go by it.
 *
 * A part of the configuration's snapshot (core/rt/snap.h), read-only; api_conf has it. Each
 * receiver has a struct of its own here, and rows for it in net/daemon/config_receivers.c.
 */
#ifndef NET_RECV_RECVCONF_H
#define NET_RECV_RECVCONF_H

#include <stdbool.h>

#include "core/base/yaml.h"
#include "core/model/receiver.h"
#include "net/recv/statsdconf.h"

struct inlet_conf;
struct recv_remote_conf {
	bool no_zstd; /* Remote Write 1.0 not in zstd, as vmagent sends it */
};
struct recv_influx_conf {
	const char *separator; /* NULL: "_" */
	const char *db_label;  /* NULL: none */
	bool skip_single_field, raw_names;
	struct yaml_texts databases; /* that SHOW DATABASES tells of */
};
/* receivers.otlp: names and meanings as in section otlp of Prometheus' configuration. */
struct recv_otlp {
	unsigned strategy; /* of enum otlp_strategy */
	bool promote_all;
	struct yaml_texts promote, ignore;
	bool keep_identifying, custom_buckets, promote_scope, start_times;
	bool keep_underscore, join_underscores; /* the opposites of what the file says */
	bool delta_rejected, delta_bare;        /* these, too */
	bool delta_raw;
	uint64_t delta_stale_ms, delta_streams; /* 0: the usual */
};
struct recv_push_conf { /* 0: the usual (net/recv/recv_push.h); ttl_ms: never */
	uint64_t repeat_ms, ttl_ms, max_groups, max_bytes;
};
struct recv_datadog_conf {
	bool raw_names;
};
struct recv_conf {
	bool off[RECEIVERS];            /* answered 404 as if it was not there */
	const struct inlet_conf *inlet; /* relabelling and the like; NULL: there is none */
	struct recv_remote_conf remote;
	struct recv_influx_conf influx;
	struct recv_datadog_conf datadog;
	struct statsd_conf statsd;
	struct recv_otlp otlp;
	struct recv_push_conf push;
};

#endif
