#include "net/recv/recv_remote.h"

#include "core/base/metric.h"
#include "core/base/rune.h"
#include "core/rt/lend.h"
#include "net/api/shelf.h"
#include "net/recv/inlet.h"
#include "net/recv/recv.h"
#include "net/recv/recvcount.h"
#include "net/recv/recvpack.h"
#include "net/recv/recvtext.h"
#include "net/recv/writeend.h"
#include "proto/rw1.h"
#include "proto/rw2.h"
#include "proto/snapz.h"
#include "proto/unzstd.h"

#define LEND_LEAST     4096u  /* a smaller body is decoded sooner than sent to another loop */
#define SPARE_ROWS_MAX 65536u /* a batch grown larger than this is not kept */
#define BUFFER_LEAST   (RECV_REMOTE_LOOP_BYTES + SNAPZ_SLOP)
#define ARENA_FIRST    4096u
#define ARENA_KEEP     (RW2_ARENA_KEEP > (64u << 10) ? RW2_ARENA_KEEP : (64u << 10))
/* what a row takes here and, until it is durable, behind the sink */
#define ROW_BYTES (sizeof(struct batch_row) + 56u)

/*
 *   RECV  net/http has the whole body
 *   DECODE  snappy, then the scanner of its version; on the loop, or on a worker for large bodies.
 *          A loop without time lends it, with APPEND, to one that has some (core/rt/lend.h)
 *   CHECK  counts and limits were looked at while scanning, labels are checked by the owner of a
 *          new series
 *   APPEND  the inlet (net/recv/inlet.h) answers when all is durable
 *   REPLY  writeend.h
 */
struct write {
	struct shelf_item spare; /* between two requests */
	struct req *req;
	enum writetype type;
	const struct limits *limits; /* of the loop */
	uint8_t *decoded;
	size_t decoded_cap, decoded_len;
	struct arena arena;
	struct batch batch;
	struct inlet inlet;
	bool zstd;                 /* so the body is packed */
	struct rw2_memory *memory; /* that it was decoded with, of this loop; NULL: none */
	struct work_task task;
	struct lend lend; /* while another loop decodes and appends it */
	struct mbox_msg home;
	void (*at_home)(struct write *w);
	enum err err;     /* of DECODE */
	const char *word; /* of what is wrong with the request; NULL with err: it may come again */
	struct errbuf eb;
};

static struct write *write_take(struct req *r);
static void write_end(struct write *w);
static bool room(struct write *w, size_t len);
static bool decode_and_scan(struct write *w, struct rw2_memory *m, size_t slow_bytes);
static struct rw2_memory *memory_of(const struct write *w);
static void work_on(struct write *w);
static void decode_on_worker(struct work_task *t);
static void decode_on_worker_done(struct work_task *t);
static void append(struct write *w);
static void decode_here(struct write *w);
static void decode_lent(struct lend *p);
static void go_home(struct write *w, void (*fn)(struct write *w));
static void append_done(struct inlet *i);
static void reply(struct write *w);

/* --- RECV --- */

static bool refuse_type(struct req *r, const char *example, const struct errbuf *eb)
{
	metric_add(M_WRITE_REFUSED_TYPE, 1);
	refusals_tell(&api_loop_of(r)->refusals, REFUSAL_TYPE, r, example);
	req_refuse(r, 415, "unsupported", "%s", eb->text);
	return false;
}

static enum err type_of(const struct req *r, enum writetype *out, struct errbuf *eb)
{
	size_t len;
	const char *type = req_header(r, "content-type", &len);
	return writetype_of(type, type ? len : 0, out, eb);
}

static bool takes_zstd(const struct req *r)
{
	const struct recv_conf *c = api_conf(r)->recv;
	return !c || !c->remote.no_zstd;
}

/*
 * vmagent before 1.116 asks first, by an empty write with this parameter: a number from 1 on means
 * that it may send zstd.
 */
static bool asks_for_zstd(struct req *r)
{
	if (!r->query_len || !takes_zstd(r) || !strstr(r->query, "get_vm_proto_version="))
		return false;
	req_reply_text(r, 200, "1");
	return true;
}

bool recv_remote_before(struct req *r)
{
	struct errbuf eb;
	enum writetype type;
	size_t len;
	uint32_t retry_after_s = 0;
	errbuf_init(&eb);
	if (recv_is_off(r, RECEIVER_REMOTE_WRITE) || asks_for_zstd(r))
		return false;
	if (type_of(r, &type, &eb))
		return refuse_type(r, req_header(r, "content-type", &len), &eb);
	const char *encoding = req_header(r, "content-encoding", &len);
	bool zstd = type == WRITETYPE_1 && takes_zstd(r);
	if (encoding && writetype_encoding(encoding, len, zstd, &eb))
		return refuse_type(r, encoding, &eb);
	enum err err = sink_accepts(api_of(r)->sink, &retry_after_s);
	if (err)
		writeend_later(r, type, err, retry_after_s, NULL);
	return !err;
}

static enum err no_snappy(struct write *w, const char *sentence)
{
	const char *other = recvpack_looks(w->req->body, w->req->body_len);
	if (other)
		return errbuf_set(
		    &w->eb, ERR_MALFORMED, "the body looks like %s, must be a snappy block", other);
	return errbuf_set(&w->eb, ERR_MALFORMED, "%s", sentence);
}

static enum err too_large(struct write *w)
{
	char limit[LIMITS_TEXT_MAX];
	if (w->decoded_len <= w->limits->write_body_bytes)
		return ERR_OK;
	return errbuf_set(&w->eb, ERR_TOOBIG, "the body decodes to %zu bytes, %s", w->decoded_len,
	    limits_text(w->limits, LIMITS_write_body_bytes, limit));
}

static enum err zstd_length(struct write *w)
{
	const struct req *r = w->req;
	enum err e = unzstd_length(r->body, r->body_len, &w->decoded_len);
	if (e == ERR_UNSUPPORTED)
		return errbuf_set(&w->eb, e, "the body's zstd does not say how many bytes it holds");
	if (e == ERR_TOOBIG)
		return errbuf_set(&w->eb, ERR_MALFORMED,
		    "the body's zstd has more than %u blocks, or very many frames",
		    UNZSTD_PIECES_MAX);
	if (e)
		return errbuf_set(&w->eb, e, "the body is no whole zstd");
	if (w->decoded_len > RECVTEXT_FREE && w->decoded_len / RECVTEXT_RATIO > r->body_len)
		return errbuf_set(&w->eb, ERR_TOOBIG,
		    "the body says that it decodes to more than %u times its size", RECVTEXT_RATIO);
	return too_large(w);
}

static enum err decoded_length(struct write *w)
{
	if (w->zstd)
		return zstd_length(w);
	enum err e = snapz_length(w->req->body, w->req->body_len, &w->decoded_len);
	if (e == ERR_TOOBIG && !recvpack_looks(w->req->body, w->req->body_len))
		return errbuf_set(&w->eb, e,
		    "the body says that it decodes to more than %u MiB, or to more than %u times its size",
		    SNAPZ_DECODED_MAX >> 20, SNAPZ_RATIO_MAX);
	return e ? no_snappy(w, "the body is no snappy block") : too_large(w);
}

static const char *bad_word(const struct write *w)
{
	return w->zstd ? "bad_zstd" : "bad_snappy";
}

void recv_remote(struct req *r)
{
	struct write *w = write_take(r);
	if (type_of(r, &w->type, NULL)) /* recv_remote_before has looked */
		w->type = WRITETYPE_1;
	metric_add(M_WRITE_REQUESTS, 1);
	metric_add(M_WRITE_REQUESTS_2, w->type == WRITETYPE_2);
	recvcount_came(RECEIVER_REMOTE_WRITE, r->body_len);
	w->zstd = w->type == WRITETYPE_1 && writetype_is_zstd(r->body, r->body_len) && takes_zstd(r);
	w->err = decoded_length(w);
	if (w->err) {
		w->word = w->err == ERR_TOOBIG ? "decoded_too_large" : bad_word(w);
		reply(w);
		return;
	}
	if (!req_charge(r, w->decoded_len) || !room(w, w->decoded_len + SNAPZ_SLOP)) {
		w->err = ERR_BUSY;
		reply(w);
		return;
	}
	if (w->decoded_len > RECV_REMOTE_LOOP_BYTES)
		work_on(w);
	else if (r->body_len < LEND_LEAST || !lend(&w->lend, decode_lent))
		decode_here(w);
}

static void decode_here(struct write *w)
{
	if (decode_and_scan(w, memory_of(w), RECV_REMOTE_SLOW_BYTES))
		append(w);
	else
		go_home(w, work_on);
}

/* --- on a loop with more time --- */

static void decode_lent(struct lend *p)
{
	decode_here(CONTAINER_OF(p, struct write, lend));
}

static void came_home(struct mbox_msg *msg)
{
	struct write *w = CONTAINER_OF(msg, struct write, home);
	w->at_home(w);
}

/* fn(w) on the loop of the request: now when it is this one. */
static void go_home(struct write *w, void (*fn)(struct write *w))
{
	if (w->req->loop == loop_here()) {
		fn(w);
		return;
	}
	w->at_home = fn;
	w->home.fn = came_home;
	loop_send(w->req->loop, &w->home);
}

/* --- DECODE, CHECK --- */

/* What this loop keeps of requests of version 2.0: metadata that is stored. */
static struct rw2_memory *memory_of(const struct write *w)
{
	struct api_loop *l = &api_of(w->req)->loops[loop_index(loop_here())];
	if (w->type != WRITETYPE_2)
		return NULL;
	if (UNLIKELY(!l->rw2))
		l->rw2 = rw2_memory_create(api_of(w->req)->sink->metas);
	return l->rw2;
}

static enum err scan(struct write *w, struct rw2_memory *m, size_t slow_bytes)
{
	if (w->type == WRITETYPE_2) {
		struct rw2_opts o = {
			.limits = w->limits, .slow_bytes = slow_bytes, .tenant = w->req->tenant
		};
		return rw2_decode(&w->arena, m, w->decoded, w->decoded_len, &o, &w->batch, &w->eb);
	}
	struct rw1_opts o = { .limits = w->limits, .slow_bytes = slow_bytes };
	return rw1_decode(&w->arena, w->decoded, w->decoded_len, &o, &w->batch, &w->eb);
}

/* A loop keeps what it unpacks with. */
static enum err unpack_zstd(struct write *w)
{
	const struct req *r = w->req;
	struct loop *l = loop_here();
	struct unzstd *own = NULL, **z = l ? &api_of(r)->loops[loop_index(l)].unzstd : &own;
	enum err e = *z ? ERR_OK : unzstd_create(z);
	if (!e)
		e = unzstd_decode(*z, r->body, r->body_len, w->decoded, w->decoded_len);
	unzstd_free(own);
	return e == ERR_MALFORMED ? errbuf_set(&w->eb, e, "the body is no whole zstd") : e;
}

static enum err unpack(struct write *w)
{
	const struct req *r = w->req;
	if (w->zstd)
		return unpack_zstd(w);
	return snapz_decode(r->body, r->body_len, w->decoded, w->decoded_len)
	    ? no_snappy(w, "the body is no whole snappy block")
	    : ERR_OK;
}

static bool is_empty(const struct batch *b)
{
	return b->rows_count == 0 && b->metas_count == 0 && b->exemplars_count == 0;
}

/*
 * m: of the loop; a worker has none, and what it decodes teaches none: it may be very much for a
 * turn. False: more than slow_bytes need the long way, and nothing has
 * come of it.
 */
static bool decode_and_scan(struct write *w, struct rw2_memory *m, size_t slow_bytes)
{
	w->err = unpack(w);
	if (w->err) {
		w->word = w->err == ERR_NOMEM ? NULL : bad_word(w);
		return true;
	}
	w->memory = m;
	w->err = scan(w, m, slow_bytes);
	if (!w->err && is_empty(&w->batch) && !w->batch.left_why)
		w->err = writetype_agrees(w->type, w->decoded, w->decoded_len, &w->eb);
	w->word = w->err == ERR_TOOBIG ? "too_many" : w->err == ERR_NOMEM ? NULL : "bad_protobuf";
	return w->err != ERR_AGAIN;
}

static void work_on(struct write *w)
{
	arena_reset(&w->arena, ARENA_KEEP);
	batch_clear(&w->batch);
	errbuf_init(&w->eb);
	w->task = (struct work_task){
		.run = decode_on_worker, .done = decode_on_worker_done, .prio = WORK_READ
	};
	work_submit(api_of(w->req)->opts.pool, &w->task);
}

static void decode_on_worker(struct work_task *t)
{
	bool all = decode_and_scan(CONTAINER_OF(t, struct write, task), NULL, SIZE_MAX);
	CHECK(all);
}

static void decode_on_worker_done(struct work_task *t)
{
	append(CONTAINER_OF(t, struct write, task));
}

/* --- APPEND --- */

/*
 * An empty sample is two bytes of a body and forty times as much as a row: rows are charged, too,
 * and histograms: their arrays here, their bytes in the log.
 */
static bool charge_rows(struct write *w)
{
	const struct batch *b = &w->batch;
	uint64_t records = b->rows_count * ROW_BYTES + b->metas_count * sizeof(struct batch_meta) +
	    b->exemplars_count * sizeof(struct batch_exemplar);
	return req_charge(w->req, records + b->extras_bytes + arena_used(&w->arena));
}

/*
 * The loop keeps one set of memory that the caches have, and each write changes with it: takes it
 * when it begins, and gives it back as soon as its rows are stored; what it has meanwhile is cold.
 */
static void warm_change(struct write *w)
{
	struct api_warm *l = &api_loop_of(w->req)->warm;
	if (!l->there)
		arena_init(&l->arena, ARENA_FIRST);
	const struct api_warm was = *l;
	*l = (struct api_warm){ .decoded = w->decoded,
		.decoded_cap = w->decoded_cap,
		.rows = w->batch.rows,
		.rows_cap = w->batch.rows_cap,
		.arena = w->arena,
		.there = true };
	arena_reset(&l->arena, ARENA_KEEP);
	w->decoded = was.decoded;
	w->decoded_cap = was.decoded_cap;
	w->batch.rows = was.rows;
	w->batch.rows_cap = was.rows_cap;
	w->arena = was.arena;
}

/* Other words of the request may still be told: then its memory stays with it. */
static void append_applied(struct sink_req *s)
{
	struct write *w = CONTAINER_OF(s, struct write, inlet.req);
	const struct batch *b = &w->batch;
	if (w->req->loop == loop_here() && !b->metas_count && !b->left_why &&
	    w->decoded_cap <= BUFFER_LEAST && b->rows_cap <= SPARE_ROWS_MAX)
		warm_change(w);
}

static void append(struct write *w)
{
	const struct batch *b = &w->batch;
	if (!w->err && is_empty(b)) {
		go_home(w, reply); /* nothing, or nothing that the decoder could name */
		return;
	}
	if (!w->err && !charge_rows(w)) {
		w->err = ERR_BUSY;
		w->word = NULL;
	}
	if (w->err) {
		go_home(w, reply);
		return;
	}
	w->batch.tenant = w->req->tenant;
	w->inlet = (struct inlet){ .req = { .batch = &w->batch, .applied = append_applied },
		.receiver = RECEIVER_REMOTE_WRITE,
		.arena = &w->arena,
		.done = append_done };
	inlet_append(api_of(w->req), &w->inlet);
}

static void append_done(struct inlet *i)
{
	struct write *w = CONTAINER_OF(i, struct write, inlet);
	struct sink_req *s = &i->req;
	if (w->memory && !s->err)
		rw2_memory_learn(w->memory, &w->batch);
	/* The sink cuts it by bytes. */
	s->first_text[rune_whole(s->first_text, strlen(s->first_text))] = 0;
	go_home(w, reply);
}

static void reply(struct write *w)
{
	struct writeend e = { .type = w->type,
		.err = w->err,
		.word = w->word,
		.text = w->eb.text,
		.batch = &w->batch,
		.inlet = &w->inlet };
	writeend(w->req, &e);
	write_end(w);
}

/* --- buffers --- */

static void write_drop(struct shelf_item *i)
{
	struct write *w = CONTAINER_OF(i, struct write, spare);
	arena_release(&w->arena);
	batch_release(&w->batch);
	mem_free(w->decoded);
	mem_free(w);
}

static struct write *write_take(struct req *r)
{
	struct shelf_item *i = shelf_take(api_of(r)->writes, loop_index(r->loop));
	struct write *w = i ? CONTAINER_OF(i, struct write, spare) : mem_zalloc(sizeof(*w));
	if (!i) {
		w->spare.drop = write_drop;
		list_init(&w->spare._link);
		arena_init(&w->arena, ARENA_FIRST);
		batch_init(&w->batch);
	}
	w->req = r;
	w->limits = limits_here();
	warm_change(w);
	return w;
}

static void write_end(struct write *w)
{
	struct req *r = w->req;
	metric_observe_ns(M_WRITE_SECONDS, loop_now_ns(r->loop) - r->start_ns);
	if (w->decoded_cap > RECV_REMOTE_LOOP_BYTES + SNAPZ_SLOP ||
	    w->batch.rows_cap > SPARE_ROWS_MAX || w->batch.exemplars_cap > SPARE_ROWS_MAX) {
		write_drop(&w->spare);
		return;
	}
	arena_reset(&w->arena, ARENA_KEEP);
	batch_clear(&w->batch);
	w->inlet = (struct inlet){ 0 };
	w->req = NULL;
	w->err = ERR_OK;
	w->word = NULL;
	w->memory = NULL;
	errbuf_init(&w->eb);
	shelf_put(api_of(r)->writes, loop_index(r->loop), &w->spare);
}

/* Room for len decoded bytes; false without memory. */
static bool room(struct write *w, size_t len)
{
	if (w->decoded_cap >= len)
		return true;
	size_t cap = len < BUFFER_LEAST ? BUFFER_LEAST : len;
	uint8_t *p = mem_try(cap);
	if (!p)
		return false;
	mem_free(w->decoded);
	w->decoded = p;
	w->decoded_cap = cap;
	return true;
}
