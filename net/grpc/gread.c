/* gread - what the client of a call sends: messages, one after the other (gsrv_priv.h). */
#include <string.h>

#include "core/base/clock.h"
#include "net/conn/limit.h"
#include "net/grpc/gsrv_priv.h"
#include "proto/pbcount.h"
#include "proto/pbmem.h"

#define FIRST_BYTES  1024u
#define SLACK        16u         /* readable behind a message */
#define KEEP_BYTES   (64u << 10) /* of a buffer, from message to message */
#define ONCE_BYTES   (64u << 10) /* a longer message is unpacked by a worker */
#define ARENA_BYTES  4096u
#define ARENA_KEEP   (64u << 10)
#define FLAG_MESSAGE limits_flag(LIMITS_grpc_message_bytes)

static void gread_run(struct gcall_priv *p);
static bool reads(const struct gcall_priv *p);

/* ---- memory ---- */

static void bytes_free(struct gcall_priv *p, struct gbytes *b)
{
	if (b->cap)
		req_discharge(p->call.req, b->cap);
	mem_free(b->data);
	*b = (struct gbytes){ 0 };
}

/* The next message begins in it. */
static void bytes_clear(struct gcall_priv *p, struct gbytes *b)
{
	b->len = 0;
	if (b->cap > KEEP_BYTES)
		bytes_free(p, b);
}

/* Room for more, charged as it comes: four times what there is, up to most. False: no room. */
static bool bytes_grow(struct gcall_priv *p, struct gbytes *b, size_t more, size_t most)
{
	size_t need = b->len + more, cap = need < FIRST_BYTES / 4 ? FIRST_BYTES : 4 * need;
	if (need <= b->cap)
		return true;
	cap = cap < most ? cap : most;
	cap = cap > need ? cap : need;
	if (!req_charge(p->call.req, cap - b->cap))
		return false;
	uint8_t *data = mem_try_realloc(b->data, cap + SLACK);
	if (!data) {
		req_discharge(p->call.req, cap - b->cap);
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

static bool bytes_add(
    struct gcall_priv *p, struct gbytes *b, const uint8_t *data, size_t len, size_t most)
{
	if (bytes_grow(p, b, len, most)) {
		if (len)
			memcpy(b->data + b->len, data, len);
		b->len += len;
		return true;
	}
	gsrv_stop(p, GRPC_UNAVAILABLE, "too many bytes of requests in flight (--%s)",
	    limits_flag(LIMITS_http_inflight_bytes));
	return false;
}

/* ---- deadlines ---- */

/* Do we wait for the client, and must it hurry? Between messages of a stream it may rest. */
static bool must_hurry(const struct gcall_priv *p)
{
	bool once = p->call.method->kind < GSRV_CLIENT_STREAM;
	return reads(p) && (once || grpcf_inside(&p->frames));
}

static void look_begin(struct gcall_priv *p)
{
	p->begun_ns = loop_now_ns(p->call.req->loop);
	if (!loop_timer_is_set(&p->look))
		loop_timer_set(p->call.req->loop, &p->look, LIMIT_LOOK_MS);
}

static void look(struct loop_timer *t)
{
	struct gcall_priv *p = CONTAINER_OF(t, struct gcall_priv, look);
	if (!must_hurry(p))
		return;
	uint64_t took_ms = (loop_now_ns(p->call.req->loop) - p->begun_ns) / 1000000;
	size_t came = p->msg.len + p->zip.len;
	bool slow = took_ms >= LIMIT_BODY_GRACE_MS &&
	    came * UINT64_C(1000) < took_ms * limit_body_least(p->frames.len);
	bool stale = took_ms >= LIMIT_BODY_STALE_MS && limit_inflight_short();
	if (took_ms >= LIMIT_BODY_MS || slow || stale)
		gsrv_stop(p, GRPC_CANCELLED,
		    "the request message comes too slowly: %zu bytes in %llu ms", came,
		    (unsigned long long)took_ms);
	else
		loop_timer_set(p->call.req->loop, t, LIMIT_LOOK_MS);
}

/* ---- a message that is whole ---- */

static size_t most_bytes(const struct gcall_priv *p)
{
	size_t max = p->call.method->in_max;
	return max ? max : (size_t)limits_here()->grpc_message_bytes;
}

static bool keep_size(struct gcall_priv *p, size_t len, const char *what)
{
	if (len <= most_bytes(p))
		return true;
	gsrv_stop(p, GRPC_RESOURCE_EXHAUSTED, "the request message has %zu bytes%s, limit %zu%s%s%s",
	    len, what, most_bytes(p), p->call.method->in_max ? "" : " (--",
	    p->call.method->in_max ? "" : FLAG_MESSAGE, p->call.method->in_max ? "" : ")");
	return false;
}

static void deliver(struct gcall_priv *p)
{
	const struct gsrv_method *m = p->call.method;
	p->state = GREAD_TAKEN;
	p->any = p->told = true;
	if (m->in)
		m->message(&p->call, p->unpacked, 0);
	else
		m->message(&p->call, p->msg.data, p->msg.len);
}

/* On the loop or on a worker. */
static void count_run(struct work_task *t)
{
	struct gcall_priv *p = CONTAINER_OF(t, struct gcall_priv, task);
	p->unpack_err =
	    pbcount(p->call.method->in, p->msg.data, p->msg.len, SIZE_MAX / 2, &p->unpack_bytes);
}

static void unpack_run(struct work_task *t)
{
	struct gcall_priv *p = CONTAINER_OF(t, struct gcall_priv, task);
	struct pbmem m;
	pbmem_init(&m, &p->arena, p->unpack_bytes);
	p->unpacked =
	    protobuf_c_message_unpack(p->call.method->in, &m.allocator, p->msg.len, p->msg.data);
}

static bool counted(struct gcall_priv *p)
{
	size_t most = GSRV_UNPACK_TIMES * most_bytes(p);
	if (p->unpack_err == ERR_UNSUPPORTED)
		gsrv_stop(p, GRPC_INVALID_ARGUMENT,
		    "the request message has a field twice that holds one message");
	else if (p->unpack_err == ERR_BADDATA)
		gsrv_stop(p, GRPC_INVALID_ARGUMENT, "the request message has a text with a NUL");
	else if (p->unpack_err && p->unpack_err != ERR_TOOBIG)
		gsrv_stop(
		    p, GRPC_INVALID_ARGUMENT, "the request message is not protobuf of its type");
	else if (p->unpack_err || p->unpack_bytes > most)
		gsrv_stop(p, GRPC_RESOURCE_EXHAUSTED,
		    "the request message takes %zu bytes when it is decoded, limit %zu (%u times --%s)",
		    p->unpack_bytes, most, GSRV_UNPACK_TIMES, FLAG_MESSAGE);
	else if (!req_charge(p->call.req, p->unpack_bytes))
		gsrv_stop(p, GRPC_UNAVAILABLE, "too many bytes of requests in flight (--%s)",
		    limits_flag(LIMITS_http_inflight_bytes));
	else
		return true;
	p->unpack_bytes = 0;
	return false;
}

static void unpacked(struct gcall_priv *p)
{
	if (p->unpacked)
		deliver(p);
	else
		gsrv_stop(
		    p, GRPC_INVALID_ARGUMENT, "the request message is not protobuf of its type");
}

/* A worker has done its part: the call may have ended meanwhile, and its request waits for this. */
static bool worker_back(struct gcall_priv *p)
{
	p->at_work = false;
	if (p->finished)
		req_let_go(p->call.req);
	return !p->stopped && !p->finished;
}

static void unpack_done(struct work_task *t)
{
	struct gcall_priv *p = CONTAINER_OF(t, struct gcall_priv, task);
	if (!worker_back(p))
		return;
	unpacked(p);
	gread_run(p);
}

static void to_worker(
    struct gcall_priv *p, void (*run)(struct work_task *), void (*done)(struct work_task *))
{
	p->at_work = true;
	p->task = (struct work_task){ .run = run, .done = done, .prio = WORK_READ };
	work_submit(p->g->pool, &p->task);
}

static void count_done(struct work_task *t)
{
	struct gcall_priv *p = CONTAINER_OF(t, struct gcall_priv, task);
	if (worker_back(p) && counted(p))
		to_worker(p, unpack_run, unpack_done);
}

static void unpack(struct gcall_priv *p)
{
	p->state = GREAD_UNPACK;
	if (!p->call.method->in) {
		deliver(p);
	} else if (p->msg.len > ONCE_BYTES && p->g->pool) {
		to_worker(p, count_run, count_done);
	} else {
		count_run(&p->task);
		if (counted(p)) {
			unpack_run(&p->task);
			unpacked(p);
		}
	}
}

static bool takes_one(const struct gcall_priv *p)
{
	return p->call.method->kind < GSRV_CLIENT_STREAM;
}

/* A method that takes one gets it when the client has said all. */
static void message_ready(struct gcall_priv *p)
{
	p->any = true;
	if (takes_one(p))
		p->state = GREAD_HEAD;
	else
		unpack(p);
}

/* ---- packed messages ---- */

static void unzip_end(struct gcall_priv *p)
{
	gunz_free(p->gunz);
	p->gunz = NULL;
}

/* One step of it. */
static void unzip_turn(struct gcall_priv *p)
{
	uint8_t out[GUNZ_STEP];
	size_t used, len;
	enum err e = gunz_next(
	    p->gunz, p->zip.data + p->unzipped, p->zip.len - p->unzipped, &used, out, &len);
	if (e) {
		gsrv_stop(p, GRPC_INVALID_ARGUMENT, "the request message is not gzip");
		return;
	}
	p->unzipped += used;
	if (!keep_size(p, p->msg.len + len, " at least when it is unzipped") ||
	    !bytes_add(p, &p->msg, out, len, most_bytes(p)))
		return;
	if (used || len) {
		loop_again(p->call.req->loop, LOOP_LATER, &p->again);
		return;
	}
	bool whole = gunz_whole(p->gunz);
	unzip_end(p);
	bytes_clear(p, &p->zip);
	if (!whole) {
		gsrv_stop(p, GRPC_INVALID_ARGUMENT, "the request message is gzip that ends early");
		return;
	}
	message_ready(p);
	gread_run(p);
}

static void unzip(struct gcall_priv *p)
{
	p->state = GREAD_UNZIP;
	p->unzipped = 0;
	if (gunz_create(GZ_GZIP, &p->gunz))
		gsrv_stop(p, GRPC_UNAVAILABLE, "the server has no more memory now");
	else
		loop_again(p->call.req->loop, LOOP_SOON, &p->again);
}

/* ---- bytes ---- */

static void message_begins(struct gcall_priv *p)
{
	p->state = GREAD_PIECES;
	if (p->frames.packed && !p->zipped)
		gsrv_stop(p, GRPC_INTERNAL, "a packed message without grpc-encoding");
	else if (takes_one(p) && p->any)
		gsrv_stop(p, GRPC_UNIMPLEMENTED,
		    "more than one request message for a method that takes one");
	else if (keep_size(p, p->frames.len, p->frames.packed ? " packed" : ""))
		look_begin(p);
}

/* The client has said all, and nothing of it is left. */
static void client_ends(struct gcall_priv *p)
{
	if (grpcf_inside(&p->frames)) {
		gsrv_stop(p, GRPC_INTERNAL, "the request ends inside a message");
	} else if (!takes_one(p)) {
		p->state = GREAD_OVER;
		p->told = true;
		if (p->call.method->end)
			p->call.method->end(&p->call);
	} else if (p->any) {
		unpack(p);
	} else {
		gsrv_stop(p, GRPC_UNIMPLEMENTED, "no request message for a method that takes one");
	}
}

static bool reads(const struct gcall_priv *p)
{
	return !p->stopped && !p->finished && (p->state == GREAD_HEAD || p->state == GREAD_PIECES);
}

static bool has_time(const struct gcall_priv *p)
{
	return clock_real_mono_ns() < p->turn_end_ns;
}

/* As many of the bytes as can be worked on now; how many. A turn ends between messages. */
static size_t take(struct gcall_priv *p, const uint8_t *data, size_t len)
{
	const uint8_t *at = data, *end = data + len, *piece;
	size_t n;
	p->turn_end_ns = clock_real_mono_ns() + LOOP_WORK_NS;
	while (reads(p) && (at == data || grpcf_inside(&p->frames) || has_time(p))) {
		switch (grpcf_next(&p->frames, &at, end, &piece, &n)) {
		case GRPCF_MORE:
			return len;
		case GRPCF_BEGIN:
			message_begins(p);
			break;
		case GRPCF_PIECE:
			(void)bytes_add(
			    p, p->frames.packed ? &p->zip : &p->msg, piece, n, p->frames.len);
			break;
		case GRPCF_END:
			if (p->frames.packed)
				unzip(p);
			else
				message_ready(p);
			break;
		case GRPCF_BAD:
			gsrv_stop(p, GRPC_INTERNAL,
			    "the request is not gRPC: a message begins with a byte over 1");
			break;
		}
	}
	return (size_t)(at - data);
}

/* On with what waits. */
static void gread_run(struct gcall_priv *p)
{
	struct gbytes *e = &p->early;
	if (p->running)
		return;
	p->running = true;
	if (reads(p) && e->len) {
		size_t used = take(p, e->data, e->len);
		e->len -= used;
		memmove(e->data, e->data + used, e->len);
		req_body_consume(p->call.req, used);
	}
	if (reads(p) && p->client_end && !e->len)
		client_ends(p);
	p->running = false;
	if (reads(p) && e->len)
		loop_again(p->call.req->loop, LOOP_LATER, &p->again);
}

void gread_body(struct req *r, const uint8_t *data, size_t len, bool last)
{
	struct gcall_priv *p = r->own;
	size_t used = 0;
	if (p->stopped || p->finished)
		return; /* and its window stays shut */
	p->client_end |= last;
	if (!p->early.len && len && !p->running) {
		p->running = true;
		used = take(p, data, len);
		p->running = false;
		req_body_consume(r, used);
	}
	if (used < len && !p->stopped && !p->finished)
		(void)bytes_add(p, &p->early, data + used, len - used, LIMIT_H2_STREAM_WINDOW);
	if (p->early.len && reads(p))
		loop_again(r->loop, LOOP_LATER, &p->again);
	else
		gread_run(p);
}

void gread_next(struct gcall_priv *p)
{
	CHECK(p->state == GREAD_TAKEN && !takes_one(p));
	p->state = GREAD_HEAD;
	bytes_clear(p, &p->msg);
	arena_reset(&p->arena, ARENA_KEEP);
	req_discharge(p->call.req, p->unpack_bytes);
	p->unpack_bytes = 0;
	p->unpacked = NULL;
	gread_run(p);
}

/* ---- life ---- */

static void turn(struct loop_deferred *d)
{
	struct gcall_priv *p = CONTAINER_OF(d, struct gcall_priv, again.work);
	loop_again_begin(&p->again);
	if (p->stopped || p->finished)
		return;
	if (p->state == GREAD_UNZIP)
		unzip_turn(p);
	else
		gread_run(p);
}

void gread_init(struct gcall_priv *p)
{
	arena_init(&p->arena, ARENA_BYTES);
	p->again.work.fn = turn;
	loop_timer_init(&p->look, look);
	look_begin(p);
}

void gread_release(struct gcall_priv *p)
{
	CHECK(!p->at_work);
	loop_timer_cancel(p->call.req->loop, &p->look);
	loop_again_cancel(&p->again);
	gunz_free(p->gunz);
	mem_free(p->early.data);
	mem_free(p->zip.data);
	mem_free(p->msg.data);
	arena_release(&p->arena);
}
