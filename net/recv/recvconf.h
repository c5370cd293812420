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
struct recv_influx_conf {
	const char *separator; /* NULL: "_" */
	const char *db_label;  /* NULL: none */
	bool skip_single_field, raw_names;
	struct yaml_texts databases; /* that SHOW DATABASES tells of */
};
struct recv_conf {
	bool off[RECEIVERS]; /* answered 404 as if it was not there */
	struct recv_influx_conf influx;
	struct statsd_conf statsd;
	const struct inlet_conf *inlet; /* relabelling and the like; NULL: there is none */
};

#endif
