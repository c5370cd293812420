/*
 * hclient_priv - the inside of the client, shared by hclient.c (hosts and their connections),
 * hlink.c (one connection until it can be used), h1cli.c and h2cli.c (what is spoken on it),
 * hfetch.c (one request with its repeats) and hfreq.c (what of it is sent).
 *
 *   hclient > horigin > hlink > (h1cli | h2cli)
 *           > hfetch -- waits at an origin, then is on a link
 *
 * Nothing below is freed in a callback: links, fetches, origins and the client go by loop_defer.
 * Thread: the loop of the client.
 */
#ifndef NET_CLIENT_HCLIENT_PRIV_H
#define NET_CLIENT_HCLIENT_PRIV_H

#include "core/base/arena.h"
#include "net/client/dial.h"
#include "net/client/hclient.h"
#include "net/client/hproxy.h"
#include "net/client/hwire.h"
#include "net/client/resolve.h"
#include "proto/gunz.h"
#include "proto/url.h"

struct hlink;

enum hproto {
	HPROTO_UNKNOWN,
	HPROTO_H1,
	HPROTO_H2
};

struct hclient {
	struct loop *loop;
	struct hclient_opts opts; /* strings in arena */
	struct arena arena;
	struct resolve *resolve;
	struct resolve_conf *own_conf; /* read by us, or NULL */
	struct tlscli *own_tls;
	struct hproxy proxy;
	struct list_link origins, fetches;
	size_t conns;
	uint64_t seed; /* of random waits */
	struct loop_again serve, reap;
	bool closing;
};

/* A server as one asks for it. */
struct horigin {
	struct hclient *c;
	struct list_link link;
	struct url url; /* scheme, host, port only */
	bool h2_only;
	const struct hproxy_one *proxy;
	bool tunnel;                     /* CONNECT */
	enum hproto proto;               /* what its connections spoke last */
	struct list_link links, waiting; /* hlink, hfetch */
	size_t link_count, wait_count;
};

enum hlink_state {
	HLINK_RESOLVE, /* a name; ended by connect_ms */
	HLINK_DIAL,    /* TCP; likewise */
	HLINK_PROXY,   /* the answer to CONNECT; likewise */
	HLINK_TLS,     /* a handshake; tls_ms */
	HLINK_OPEN,    /* in use, or idle: keep_ms */
	HLINK_CLOSED   /* until the end of the turn */
};
/* What is spoken on a link. None may be called below nghttp2 but detach, more and took. */
struct hlink_ops {
	void (*begin)(struct hlink *l, struct hfetch *f);  /* f->on is l; sends the request */
	void (*detach)(struct hlink *l, struct hfetch *f); /* f leaves before its answer is over */
	void (*more)(struct hlink *l, struct hfetch *f);   /* body to send has come */
	/* so many bytes of what came were handed on; or f has (un)paused */
	void (*took)(struct hlink *l, struct hfetch *f, size_t len);
	/* releases what l->proto holds; the block itself goes with the link, later */
	void (*closed)(struct hlink *l);
	void (*freed)(struct hlink *l); /* or NULL: the rest, with nobody of it further up */
};
struct hlink {
	struct hclient *c;
	struct horigin *o;
	struct list_link link; /* of the origin; used last at the tail */
	enum hlink_state state;
	struct hwire w;
	struct resolve_query query;
	struct dial *dial;
	struct buf proxy_head;
	struct loop_timer timer;
	struct loop_deferred reap;
	const struct hlink_ops *ops;
	void *proto; /* one block, mem_alloc */
	uint64_t begun_ns;
	size_t fetches, fetches_max; /* on it, and how many may be */
	bool used;                   /* has had a fetch before */
	bool worn;                   /* takes no new fetch */
};

enum hfetch_state {
	HFETCH_NEW,   /* until the end of the turn */
	HFETCH_WAIT,  /* for a connection; whole_ms */
	HFETCH_ON,    /* a connection; head_ms, then idle_ms */
	HFETCH_TAIL,  /* its answer is here, and being handed on; no deadline but whole_ms */
	HFETCH_REST,  /* before a repeat; the timer */
	HFETCH_ENDED, /* done() comes at the end of the turn */
	HFETCH_GONE   /* no callbacks any more; freed at the end of the turn */
};
struct hfields {
	struct hclient_field *at;
	size_t count, cap;
};
struct hfetch {
	struct hclient *c;
	struct list_link link, wait; /* of the client; of the origin, or the link */
	enum hfetch_state state;
	struct hclient_req req; /* strings in arena */
	struct arena arena;     /* of the request */
	struct url url, first_url;
	struct horigin *origin;
	struct hlink *on;
	char peer[HWIRE_PEER_MAX];
	/* Of h2cli. */
	int32_t stream;
	int h2_status;
	unsigned informed;
	uint64_t mark; /* what had been received when it began */
	bool h2_hungry, h2_sent_all;
	const char *method;
	bool idempotent, no_body; /* of the method; no_body: usually has none */
	uint64_t wait_ns;
	/* The body to be sent. */
	size_t body_off;
	struct buf out; /* pulled */
	size_t out_off;
	uint64_t pulled;
	bool pull_begun, pull_later, pull_all;
	/* The answer. */
	struct arena answer;
	struct hfields head_fields, trailers;
	struct hclient_head head;
	size_t head_bytes;
	bool head_done, over, paused, dropped; /* dropped: this answer is not handed on */
	bool answer_begun;                     /* some byte of it came */
	uint32_t retry_after_ms;
	bool redirect;
	size_t dropped_bytes;
	struct gunz *gunz;
	bool gunz_more; /* it holds output back */
	struct buf raw; /* came, not yet handed on */
	size_t raw_off;
	struct buf body;
	uint64_t body_bytes;
	/* The whole. */
	unsigned tries, retries, free_retries, redirects;
	struct loop_timer whole, phase;
	uint64_t whole_due_ns; /* 0 = none */
	struct loop_again work;
	struct loop_deferred start, finish;
	bool start_set;
	enum err err;
	int64_t h2_code;
	char text[HWIRE_TEXT_MAX + 256];
};

/* ---- hclient.c ---- */

struct horigin *horigin_get(struct hclient *c, const struct url *u, bool h2_only);
void horigin_wait(struct horigin *o, struct hfetch *f);
void horigin_leave(struct horigin *o, struct hfetch *f);
void horigin_look(struct horigin *o); /* frees one that nobody needs */
void hclient_serve_soon(struct hclient *c);
/* 0..max-1 */
uint64_t hclient_random(struct hclient *c, uint64_t max);

/* ---- hlink.c ---- */

void hlink_open(struct horigin *o);
/*
 * While it is being opened: its waiters are told, see hclient.h. Once open its protocol has told
 * its fetches before.
 */
void hlink_failed(struct hlink *l, enum err e, const char *text);
void hlink_close(struct hlink *l);
/* A fetch has left it in good order: another may come. */
void hlink_idle(struct hlink *l);
bool hlink_takes(const struct hlink *l);

/* ---- h1cli.c, h2cli.c: the link is open ---- */

void h1cli_start(struct hlink *l);
void h2cli_start(struct hlink *l);

/* ---- hfetch.c ---- */

static inline bool hfetch_runs(const struct hfetch *f)
{
	return f->state < HFETCH_ENDED;
}
void hfetch_start_on(struct hfetch *f, struct hlink *l);
/* Ends it; done() comes later. Leaves its link or origin. */
void hfetch_fail(struct hfetch *f, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Why a try is over. */
enum hfetch_break {
	HFETCH_BROKEN,
	HFETCH_STALE,   /* a kept connection that had ended */
	HFETCH_UNSEEN,  /* the server says it never looked at it */
	HFETCH_UNOPENED /* no connection came about */
};
/* f is on no link any more (f->on is NULL, or the link's death is under way). */
void hfetch_broken(
    struct hfetch *f, enum hfetch_break how, enum err e, const char *text, int64_t h2_code);

/* From the protocol, in this order; after each f may be on no link any more (f->on). */
void hfetch_sent(struct hfetch *f); /* some of the request was: head_ms begins anew */
/* A field of the head or, behind it, of the trailers. False: f has ended. */
bool hfetch_field(
    struct hfetch *f, const char *name, size_t name_len, const char *value, size_t value_len);
void hfetch_head(struct hfetch *f, int status, unsigned version);
void hfetch_data(struct hfetch *f, const uint8_t *data, size_t len);
void hfetch_over(struct hfetch *f); /* f->on is NULL already */
static inline size_t hfetch_backlog(const struct hfetch *f)
{
	return f->raw.len - f->raw_off;
}

/* ---- hfreq.c ---- */

void hfetch_copy(struct hfetch *f, const struct hclient_req *req);
/* False: it cannot be sent, and has ended. */
MUST_CHECK bool hfetch_check(struct hfetch *f);
void hfetch_wipe(struct hfetch *f);         /* the values of secret fields */
void hfetch_drop_secrets(struct hfetch *f); /* (5) of hclient.h */
void hfetch_drop_body(struct hfetch *f);    /* with the fields that speak of it */
/* The body: fill (may call the caller's pull, so f may leave its link), then look, then used. */
void hfetch_fill(struct hfetch *f);
/* What is ready to be sent; all: nothing comes behind it. */
const uint8_t *hfetch_ready(const struct hfetch *f, size_t *len, bool *all);
void hfetch_used(struct hfetch *f, size_t len);
bool hfetch_has_body(const struct hfetch *f);
/* Said in advance, -1: not known. */
int64_t hfetch_body_len(const struct hfetch *f);

#endif
