/* recv_statsd_priv - what the files of the receiver of StatsD share. Thread: recv_statsd.h. */
#ifndef NET_RECV_RECV_STATSD_PRIV_H
#define NET_RECV_RECV_STATSD_PRIV_H

#include "core/base/log.h"
#include "core/model/tenant.h"
#include "core/rt/job.h"
#include "core/rt/team.h"
#include "net/api/api.h"
#include "net/recv/inlet.h"
#include "net/recv/recv_statsd.h"
#include "net/recv/statsdroute.h"

#define STATSD_PACKET_MAX 65536u
#define STATSD_VECTOR     32u  /* datagrams of one system call */
#define STATSD_PACK       512u /* events */
#define STATSD_PACKS_AWAY 64u  /* of a loop */
#define STATSD_DIRECTS    8u   /* batches of samples with timestamps, of a loop */
#define STATSD_DIRECT     1024u
#define STATSD_TOLD_MS    60000u

/* Why something was not taken; the metrics stand in this order from STATSD_REFUSED_LINE on. */
enum statsd_refused { /* first those of enum statsd_bad, less one */
	STATSD_REFUSED_NEGATIVE = STATSD_BADS - 1,
	STATSD_REFUSED_CONFLICT,
	STATSD_REFUSED_MEMORY,
	STATSD_REFUSED_MEMBERS,
	STATSD_REFUSED_TOO_LONG,
	STATSD_REFUSED_CUT,
	STATSD_REFUSED_BUSY,
	STATSD_REFUSED_LABELS,
	STATSD_REFUSALS
};

struct statsd_loop;

/* One address. */
struct statsd_door {
	char *address;
	enum statsd_transport transport;
	bool dogstatsd;
	unsigned tenant; /* place among those of the receiver */
	int *fds;        /* of UDP: one of each loop; else one. -1: none (any more) */
	unsigned fds_count;
	const char *path; /* of a unix socket, in address */
};
struct statsd_tenant {
	char name[TENANT_NAME_MAX + 1];
	uint32_t id;
	struct purse purse;
};

/* ---- sockets (statsdsock.c) ---- */

/* A socket of a loop: of datagrams, one that accepts, or a connection. */
struct statsd_sock {
	struct list_link link; /* statsd_loop.socks */
	struct statsd_loop *l;
	const struct statsd_door *door;
	int fd;
	struct event *event;
	struct loop_again again;
	struct loop_deferred end;
	void (*run)(struct statsd_sock *s);
	bool connection, ended;
};
enum err statsd_door_open(struct statsd_door *d, unsigned loops, const struct statsd_listen *l,
    uint64_t receive_bytes, struct errbuf *eb);
void statsd_door_close(struct statsd_door *d); /* those that nobody has taken over */
void statsd_socks_start(struct statsd_loop *l);
void statsd_socks_pause(struct statsd_loop *l);
void statsd_socks_resume(struct statsd_loop *l);
/* Stops accepting; reads what is there for about a turn. True: there is nothing any more. */
bool statsd_socks_drain(struct statsd_loop *l);
void statsd_socks_end(struct statsd_loop *l);

/* ---- reading (statsd.c) ---- */

enum statsd_fed {
	STATSD_FED_ALL,
	STATSD_FED_LATE, /* the turn has had its time: again in the next one */
	STATSD_FED_FULL  /* too much is on its way: statsd_socks_resume will come */
};
/* What the reader gives, from a door; goes on where it stopped. */
enum statsd_fed statsd_feed(
    struct statsd_loop *l, const struct statsd_door *d, struct statsd_reader *r);
bool statsd_late(const struct statsd_loop *l);
void statsd_refuse(struct statsd_loop *l, enum statsd_refused why, const struct statsd_door *d,
    const char *text, size_t len);
/* What the sink said of a batch, without an error: counted for its tenant and for the receiver. */
void statsd_stored(struct statsd_loop *l, const struct batch *b, const struct sink_req *said);

/* ---- loops ---- */

struct statsd_event_away { /* an event on its way to its owner */
	const struct statsd_route *route;
	union {
		double value;
		uint64_t member;
	};
	double rate;
	uint16_t tenant;
	uint8_t op;
};
struct statsd_pack {
	struct mbox_msg msg;
	struct statsd_pack *next; /* free ones */
	struct statsd_loop *from, *to;
	struct statsd_routes *routes; /* held */
	unsigned count;
	struct statsd_event_away events[STATSD_PACK];
};
/* Samples with timestamps on their way to the store. */
struct statsd_direct {
	struct inlet inlet;
	struct batch batch;
	struct arena arena;
	struct statsd_loop *l;
	struct statsd_routes *routes; /* held while it is away */
	bool away;
};
enum statsd_flushing {
	STATSD_IDLE,
	STATSD_FILLING, /* series give rows */
	STATSD_STORING, /* the inlet has a batch */
	STATSD_WAITING, /* it said no; again when the timer ends */
	STATSD_FLUSHED  /* all is stored, nothing comes any more */
};
struct statsd_flush { /* statsdflush.c */
	enum statsd_flushing state;
	struct loop_timer tick, again;
	struct job job;
	struct inlet inlet;
	struct batch batch;
	struct arena arena;
	struct batch_row *rows; /* of the batch, as they were */
	size_t rows_cap, rows_count, metas_count;
	unsigned tenant;
	int64_t t_ms, before_ms;
	uint64_t begin_ns;
	bool ending;       /* nothing comes any more, of no loop: what begins now is the last one */
	bool last, filled; /* the tenant has no more rows */
};
void statsd_flush_start(struct statsd_loop *l);
void statsd_flush_last(struct statsd_loop *l); /* one more, then no other */
void statsd_flush_halt(struct statsd_loop *l); /* no timer and no job any more */
void statsd_flush_release(struct statsd_loop *l);

struct statsd_loop {
	struct statsd *all;
	struct loop *loop;
	struct statsd_agg **aggs; /* by tenant */
	uint64_t begin_ns;        /* of reading in this turn */

	const struct recv_conf *conf; /* that routes are of */
	struct statsd_routes *routes;
	struct statsd_pack **open; /* by owner; NULL: none */
	struct statsd_pack *free;
	unsigned away, free_count;
	struct loop_deferred send;
	bool sending, paused, draining, stopping;
	struct statsd_direct directs[STATSD_DIRECTS];
	unsigned direct; /* the one at hand */

	struct list_link socks, streams; /* streams: by their last bytes, oldest first */
	unsigned connections;
	struct statsd_rx *rx;

	struct statsd_flush flush;
	struct statsd_told { /* of a reason */
		struct statsd_loop *l;
		struct loop_timer timer;
		char address[64], text[200];
	} told[STATSD_REFUSALS];
};
struct statsd {
	struct api *api;
	unsigned loops_count, doors_count, tenants_count, connections, next;
	struct statsd_loop *loops;
	struct statsd_door *doors;
	struct statsd_tenant *tenants;
	struct log_pace paces[STATSD_REFUSALS];
	bool started, stopped;
};
static inline const struct statsd_conf *statsd_conf_here(const struct statsd_loop *l)
{
	return &l->all->api->loops[loop_index(l->loop)].conf->recv->statsd;
}

#endif
