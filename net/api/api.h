/*
 * api - the HTTP API of the program: what its handlers share.
 *
 * net/daemon makes one api, gives it to the server as srv_opts.ctx with api_routes, api_gate and
 * api_door, and tells it when storage is ready and when the process stops:
 *
 *   api_create > srv_create(.routes = api_routes, .ctx = api, .gate = api_gate, .door = api_door)
 *   > srv_serve (all is 503 but /-/healthy and walreplay)
 *   > store_open > api_ready (each loop answers; when all do, they say so) > ... >
 * srv_stop_accepting > api_stopping > srv_drain ... > srv_free > api_free
 *
 * Each loop has its own struct api_loop: phase, random numbers, refusals. Nobody else touches
 * it.
 * Thread: create, ready, stopping and free from the main thread while the team runs (free: after
 * its loops serve no request); everything else on the loop of the request.
 */
#ifndef NET_API_API_H
#define NET_API_API_H

#include "core/model/limits.h"
#include "core/promql/ql.h"
#include "core/rt/latch.h"
#include "core/rt/team.h"
#include "core/rt/work.h"
#include "core/seam/sink.h"
#include "core/seam/tenantsrc.h"
#include "net/api/accesslog.h"
#include "net/api/doctornotes.h"
#include "net/api/door.h"
#include "net/api/estimate.h"
#include "net/api/refusals.h"
#include "net/api/running.h"
#include "net/http/router.h"
#include "net/recv/recvconf.h"
#include "storage/store.h"

#define API_COMPAT_VERSION "3.14.0" /* Prometheus' number that clients derive features from */

#define API_STEPS_MAX 11000 /* (end - start) / step, as Prometheus */
#define API_STEPS_TEXT                                                                             \
 "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?"
#define API_META_MS_MAX 30000

enum api_phase {
	API_STARTING,
	/* this loop answers, but does not say that it is ready: others may not answer yet */
	API_JOINED,
	API_READY, /* every loop answers */
	API_STOPPING
};

/*
 * What a reload of the configuration changes, beside limits and tenants: a part of its snapshot
 * (core/rt/snap.h), so that a request may keep the pointer until its end.
 */
struct api_conf {
	int64_t lookback_ms;         /* 0 = 5 min */
	struct ql_features features; /* of --enable-feature */
	bool admin_api, lifecycle;   /* --web.enable-admin-api, --web.enable-lifecycle */
	bool open; /* others than this machine may do everything: no identities, no loopback */
	struct accesslog_conf access;
	uint64_t slow_ms;             /* what a query takes to be told as slow; 0: none is */
	const struct recv_conf *recv; /* section `receivers`; NULL: its defaults */
	const char *yaml;             /* in force, for /api/v1/status/config */
	size_t yaml_len;
	/*
	 * Every flag with its value, for /api/v1/status/flags, with Prometheus' names for what
	 * clients look up (storage.tsdb.retention.time, query.lookback-delta); may be NULL.
	 */
	void (*flags_each)(const void *flags,
	    void (*fn)(void *arg, const char *name, const char *value), void *arg);
	/* Those alone that were changed, of flags_said. */
	void (*flags_changed)(const void *said,
	    void (*fn)(void *arg, const char *name, const char *value), void *arg);
	const void *flags, *flags_said;
};

/* Somebody asks for a reload (POST /-/reload). The asker's until done, on its loop. */
struct api_reload {
	struct loop *from;
	void (*done)(struct api_reload *a);
	bool failed;
	struct buf told; /* what is wrong, in lines */
	void *_to;
	struct mbox_msg _msg;
	struct list_link _link;
};

struct api_opts {
	struct team *team;
	struct work_pool *pool;
	const char *version, *revision, *branch, *build_date; /* our own; NULL = "" */
	const char *data_dir;                                 /* as given on the command line */
	int64_t retention_ms;
	uint64_t ooo_window_ms;      /* how much older than the newest a sample may be */
	const struct limits *limits; /* NULL = the defaults; what every loop goes by */
	struct api_conf conf;        /* until api_set_conf */
	/* From any loop. NULL: nothing can be loaded again; there is no end but a signal. */
	void (*reload)(void *arg, struct api_reload *take);
	void (*quit)(void *arg);
	void *arg; /* of both */
	/* Who asks, by the head (net/gate); as srv_opts.door. NULL: everybody may do everything. */
	enum req_step (*identify)(struct req *r);
	/*
	 * Where this server is seen from outside, without a slash at the end; what links begin
	 * with, and what the paths of requests begin with ("" or "/kymo"). NULL = "".
	 */
	const char *external_url, *links, *prefix;
	/* Logs of requests (core/base/linefile.h), borrowed; NULL: none. */
	struct linefile *access, *slow;
	bool access_on_stderr; /* among the lines of the log */
};

#define API_SELF_BYTES 256u
struct doctor;      /* net/api/doctor.h */
struct hapairs;     /* core/account/hapair.h */
struct inletcache;  /* net/recv/inletcache.h */
struct joints;      /* core/account/joint.h */
struct ql_cache;    /* core/promql/cache/ql_cache.h */
struct push;        /* net/recv/recv_push.h */
struct rates;       /* core/account/rate.h */
struct rw2_memory;  /* proto/rw2.h */
struct shelf;       /* net/api/shelf.h */
struct tickets;     /* core/account/ticket.h */
struct api_pages;   /* net/api/api_pages.h */
struct recv_deltas; /* net/recv/recv_deltas.h */
struct tenantstat;  /* net/api/tenantstat.h */
struct unzstd;      /* proto/unzstd.h */
/* What the last write decoded into, and does not need any more though it goes on. */
struct api_warm {
	uint8_t *decoded;
	size_t decoded_cap;
	struct batch_row *rows;
	size_t rows_cap;
	struct arena arena;
	bool there; /* the arena is one */
};
struct api_loop {
	enum api_phase phase;
	uint64_t rnd; /* api_random() */
	const struct api_conf *conf;
	struct refusals refusals;
	struct doctornotes notes;
	struct buf access_line; /* of net/api/accesslog.c */
	uint64_t access_count;
	struct door_loop door;
	struct running_loop running;
	struct outlook_pace pace; /* of queries that ended here */
	struct list_link watches; /* of net/api/api_health.c */
	/* Of net/recv/recv_remote.c, NULL until they are needed. */
	struct rw2_memory *rw2;
	struct unzstd *unzstd;
	struct api_warm warm;
	struct inletcache *inlet_cache; /* of net/recv/inlet.c; NULL until it is needed */
	uint64_t inlet_cache_bytes;     /* as it was configured */
};
struct api {
	struct api_opts opts; /* read only after api_create */
	struct store *store;  /* set before any loop is READY; NULL while starting */
	struct sink *sink;
	struct source *source; /* of `tenants` */
	struct tenantsrc tenants;
	struct tickets *tickets;
	struct rates *rates;
	struct hapairs *hapairs;
	struct api_pages *pages;
	struct joints *joints;  /* of queries */
	struct ql_cache *cache; /* of range queries */
	struct tenantstat *tenantstat;
	struct doctor *doctor;
	struct shelf *writes; /* of what a write decodes into */
	struct recv_deltas *deltas;
	struct push *push;
	int64_t start_ms; /* wall clock of api_create */
	char self[API_SELF_BYTES];
	struct latch self_told; /* from then on self stays as it is */
	struct log_pace paces[REFUSALS];
	struct api_loop *loops; /* by loop_index */
};

MUST_CHECK enum err api_create(
    const struct api_opts *o, struct api **out); /* o's strings are borrowed */
void api_ready(struct api *a, struct store *st);
/* The second half of api_ready: what is asked has been set. Returns when every loop is READY. */
void api_open(struct api *a);
/* On a loop, which goes by c from now on. */
void api_set_conf(struct api *a, const struct api_conf *c);
/*
 * The server records its own metrics, with this as `instance`, in the default tenant: for who looks
 * for them (/api/v1/status/runtimeinfo). Once, from any thread; copied.
 */
void api_tell_self(struct api *a, const char *instance);
void api_stopping(struct api *a);
void api_free(struct api *a);

extern const struct route_table api_routes;
/*
 * 503 "Service Unavailable" with X-Prometheus-Stopping until ready and when stopping
 * ("HTTP API" of the Prometheus documentation).
 */
bool api_gate(struct req *r);
/* srv_opts.prepare: parameters of more than 64 KiB are read by a worker (net/api/param.h). */
bool api_prepare(struct req *r);

static inline struct api *api_of(const struct req *r)
{
	return r->ctx;
}
static inline struct api_loop *api_loop_of(const struct req *r)
{
	return &api_of(r)->loops[loop_index(r->loop)];
}
static inline const struct api_conf *api_conf(const struct req *r)
{
	return api_loop_of(r)->conf;
}
uint64_t api_random(struct api_loop *l); /* not for secrets */
/* Of a query of r's tenant, by the limits of this loop: the tenant's, or the server's if less. */
int64_t api_timeout_ms(const struct req *r);
uint64_t api_query_samples(const struct req *r);

#endif
