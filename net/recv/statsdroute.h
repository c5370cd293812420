/*
 * statsdroute - what a sample of StatsD is a sample of: name, tags and type to the labels of a
 * series, by the rules, remembered.
 *
 *   sample > (known: the route) | rules > name and labels > target > the loop that owns it
 *
 * Without a rule the name is the name with other characters as _, and tags are labels; a tag
 * without a value has the value no_label_value, as the Datadog receiver has it. Labels of a rule
 * come before tags, unless it honors those. A container that a client tells is the label
 * container_id. Tags named __name__ are left out, and of observers those named le and quantile.
 *
 * A loop's routes of one configuration: they are forgotten all at once, when they take
 * STATSD_ROUTES_BYTES, or there are STATSD_ROUTES of them, or the configuration changes. Others may
 * still hold them then: who lends a route to another loop takes a reference.
 * Cost: a known one some 40 ns, others 1 us and more.
 * Thread: the loop's; a route that is lent may be read by another one.
 */
#ifndef NET_RECV_STATSDROUTE_H
#define NET_RECV_STATSDROUTE_H

#include "core/rt/snap.h"
#include "net/recv/statsdagg.h"

#define STATSD_ROUTES       (1u << 17)
#define STATSD_ROUTES_BYTES (32u << 20)

struct statsd_route {
	struct statsd_target target;
	enum statsd_op op;
	bool drop;      /* a rule says so, or nothing is left of the name */
	bool refused;   /* more tags than --limits.labels-per-series */
	double scale;   /* of values */
	unsigned owner; /* loop */
};
struct statsd_routes;
/* seat: of the configuration that map is of; taken. */
struct statsd_routes *statsd_routes_create(
    const struct statsd_map *map, struct snap_seat *seat, unsigned loops);
struct statsd_routes *statsd_routes_hold(struct statsd_routes *r);
void statsd_routes_drop(struct statsd_routes *r);       /* the last one frees it; NULL is fine */
bool statsd_routes_full(const struct statsd_routes *r); /* to be replaced */
const struct statsd_route *statsd_route(struct statsd_routes *r, const struct statsd_sample *s);
/* What the sample adds, sets or observes; false: by scale or rate it is infinite. */
bool statsd_route_value(const struct statsd_route *r, const struct statsd_sample *s, double *value);

#endif
