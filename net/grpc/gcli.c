#include "net/grpc/gcli.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "proto/gunz.h"
#include "proto/gz.h"
#include "proto/pbcount.h"
#include "proto/pbmem.h"

#define TYPE         "application/grpc"
#define OWN_FIELDS   6u /* beside the metadata */
#define ARENA_BYTES  4096u
#define MESSAGE_KEEP (64u << 10) /* of buffers and arenas, from message to message */

/*
 * READS ---a message is whole---> UNZIPS ----> TAKEN (the caller has it) ---gcli_next---> READS
 * What comes in UNZIPS and TAKEN waits in early, and the client reads no more; an end that comes
 * then waits behind it.
 */
enum gcli_state {
	GCLI_READS,
	GCLI_UNZIPS,
	GCLI_TAKEN
};
struct gcli {
	struct gcli_req req;
	struct loop *loop;
	struct hfetch *fetch; /* NULL: it is over */
	struct arena arena;   /* of the call */
	struct loop_again again;
	enum gcli_state state;
	bool running, dead; /* gcli_run is below; it is to be freed */
	/* What is sent. */
	struct buf out;
	size_t out_off;
	bool ended, full;
	/* What comes. */
	struct grpcf frames;
	struct buf early, zip, msg;
	struct gunz *gunz;
	size_t unzipped;
	bool zipped, any;
	struct arena unpacked;
	/* The end. */
	bool over, judged, failed; /* all has come; the verdict stands; it is ours */
	struct gcli_end end;
};

/* ---- ends ---- */

static void gcli_free(struct gcli *k)
{
	loop_again_cancel(&k->again);
	gunz_free(k->gunz);
	buf_release(&k->out);
	buf_release(&k->early);
	buf_release(&k->zip);
	buf_release(&k->msg);
	arena_release(&k->unpacked);
	arena_release(&k->arena);
	mem_free(k);
}

static void judge(struct gcli *k, enum grpc_status s, const char *text, size_t len)
{
	if (k->judged)
		return;
	k->judged = true;
	k->end.status = s;
	k->end.text = arena_strndup(&k->arena, text, len);
}

/* The call ends by our own will; what waits is not told. */
static void fail(struct gcli *k, enum grpc_status s, const char *text)
{
	judge(k, s, text, strlen(text));
	if (k->fetch)
		hclient_cancel(k->fetch);
	k->fetch = NULL;
	k->over = k->failed = true;
	k->state = GCLI_READS;
	buf_clear(&k->early);
	k->frames = (struct grpcf){ 0 };
}

static struct hclient_field *fields_copy(struct gcli *k, const struct hclient_field *f, size_t count)
{
	struct hclient_field *copy = arena_zalloc(&k->arena, (count + 1) * sizeof *copy);
	for (size_t i = 0; i < count; i++) {
		copy[i] = f[i];
		copy[i].name = arena_strndup(&k->arena, f[i].name, f[i].name_len);
		copy[i].value = arena_strndup(&k->arena, f[i].value, f[i].value_len);
	}
	return copy;
}

/* By what the server has said; false: it has said nothing. */
static bool judge_said(struct gcli *k, const struct hclient_field *f, size_t count)
{
	size_t len, text_len;
	const char *status = hclient_header(f, count, "grpc-status", &len);
	const char *text = hclient_header(f, count, "grpc-message", &text_len);
	if (!status)
		return false;
	struct buf b;
	buf_init(&b);
	if (text)
		grpcf_unescape(&b, text, text_len);
	judge(k, grpcf_status(status, len), b.data ? (const char *)b.data : "", b.len);
	buf_release(&b);
	return true;
}

static enum grpc_status status_of_end(const struct hclient_end *end)
{
	if (end->h2_code >= 0)
		return grpcf_of_reset((uint32_t)end->h2_code);
	switch ((int)end->err) {
	case ERR_TIMEOUT:
		return GRPC_DEADLINE_EXCEEDED;
	case ERR_CANCELED:
	case ERR_STOPPING:
		return GRPC_CANCELLED;
	case ERR_TOOBIG:
		return GRPC_RESOURCE_EXHAUSTED;
	case ERR_BADDATA:
	case ERR_MALFORMED:
		return GRPC_INTERNAL;
	default: /* nobody there, not reached, cut off */
		return GRPC_UNAVAILABLE;
	}
}

static void judge_http(struct gcli *k, const struct hclient_head *h)
{
	char text[80];
	snprintf(text, sizeof text, "the answer has no grpc-status, HTTP says %d", h->status);
	judge(k, h->status == 200 ? GRPC_UNKNOWN : grpcf_of_http(h->status), text, strlen(text));
}

/* Tells the end, when nothing waits before it. True: k is no more. */
static bool tell_end(struct gcli *k)
{
	if (!k->over || k->state != GCLI_READS || k->early.len)
		return false;
	if (grpcf_inside(&k->frames) && k->end.status == GRPC_OK) {
		k->end.status = GRPC_INTERNAL;
		k->end.text = "the answer ends inside a message";
	} else if (k->req.kind == GCLI_ONE && !k->any && k->end.status == GRPC_OK) {
		k->end.status = GRPC_INTERNAL;
		k->end.text = "the answer has no message";
	}
	k->running = true;
	k->req.done(k->req.own, &k->end);
	gcli_free(k);
	return true;
}

/* ---- messages ---- */

static size_t in_max(const struct gcli *k)
{
	return k->req.in_max ? k->req.in_max : GCLI_MESSAGE_BYTES;
}

static void too_large(struct gcli *k, uint64_t len)
{
	char text[120];
	snprintf(text, sizeof text, "a message of the answer has %llu bytes at least, limit %zu",
	    (unsigned long long)len, in_max(k));
	fail(k, GRPC_RESOURCE_EXHAUSTED, text);
}

/* NULL: the call has failed. */
static const void *unpack(struct gcli *k)
{
	struct pbmem m;
	size_t bytes = 0;
	const ProtobufCMessageDescriptor *d = k->req.in;
	enum err e = pbcount(d, k->msg.data, k->msg.len, GCLI_UNPACK_TIMES * in_max(k), &bytes);
	pbmem_init(&m, &k->unpacked, bytes);
	const void *msg =
	    e ? NULL : protobuf_c_message_unpack(d, &m.allocator, k->msg.len, k->msg.data);
	if (e == ERR_TOOBIG)
		fail(k, GRPC_RESOURCE_EXHAUSTED,
		    "a message of the answer takes too much when it is decoded");
	else if (!msg)
		fail(k, GRPC_INTERNAL, "a message of the answer is not protobuf of its type");
	return msg;
}

/* It is whole. */
static void deliver(struct gcli *k)
{
	if (k->any && k->req.kind == GCLI_ONE) {
		fail(k, GRPC_INTERNAL, "the answer has more than one message");
		return;
	}
	const void *msg = k->req.in ? unpack(k) : NULL;
	if (k->req.in && !msg)
		return;
	k->any = true;
	k->state = GCLI_TAKEN;
	if (k->req.in)
		k->req.message(k->req.own, msg, 0);
	else
		k->req.message(k->req.own, k->msg.data ? k->msg.data : (const void *)"", k->msg.len);
}

static void unzip_begin(struct gcli *k)
{
	k->state = GCLI_UNZIPS;
	k->unzipped = 0;
	if (gunz_create(GZ_GZIP, &k->gunz))
		fail(k, GRPC_UNAVAILABLE, "there is no memory to unzip the answer");
	else
		loop_again(k->loop, LOOP_LATER, &k->again);
}

/* One step of it in each turn. */
static void unzip_step(struct gcli *k)
{
	uint8_t out[GUNZ_STEP];
	size_t used, len;
	if (gunz_next(k->gunz, k->zip.data + k->unzipped, k->zip.len - k->unzipped, &used, out, &len)) {
		fail(k, GRPC_INTERNAL, "a message of the answer is not gzip");
		return;
	}
	k->unzipped += used;
	if (k->msg.len + len > in_max(k)) {
		too_large(k, k->msg.len + len);
		return;
	}
	buf_add(&k->msg, out, len);
	if (used || len) {
		loop_again(k->loop, LOOP_LATER, &k->again);
		return;
	}
	bool whole = gunz_whole(k->gunz);
	gunz_free(k->gunz);
	k->gunz = NULL;
	buf_clear(&k->zip);
	if (whole)
		deliver(k);
	else
		fail(k, GRPC_INTERNAL, "a message of the answer is gzip that ends early");
}

static void message_begins(struct gcli *k)
{
	if (k->frames.packed && !k->zipped)
		fail(k, GRPC_INTERNAL, "a packed message without grpc-encoding");
	else if (k->frames.len > in_max(k))
		too_large(k, k->frames.len);
}

/* As many of the bytes as can be worked on now. */
static size_t take(struct gcli *k, const uint8_t *data, size_t len)
{
	const uint8_t *at = data, *end = data + len, *piece;
	size_t n;
	uint64_t end_ns = clock_real_mono_ns() + LOOP_WORK_NS;
	while (k->state == GCLI_READS && !k->dead && !k->failed) {
		if (at > data && !grpcf_inside(&k->frames) && clock_real_mono_ns() >= end_ns)
			break; /* the rest in another turn */
		switch (grpcf_next(&k->frames, &at, end, &piece, &n)) {
		case GRPCF_MORE:
			return len;
		case GRPCF_BEGIN:
			message_begins(k);
			break;
		case GRPCF_PIECE:
			buf_add(k->frames.packed ? &k->zip : &k->msg, piece, n);
			break;
		case GRPCF_END:
			if (k->frames.packed)
				unzip_begin(k);
			else
				deliver(k);
			break;
		case GRPCF_BAD:
			fail(k, GRPC_INTERNAL,
			    "the answer is not gRPC: a message begins with a byte over 1");
			return len;
		}
	}
	return (size_t)(at - data);
}

/* Takes what waits and data behind it; k may be no more afterwards. */
static void gcli_run(struct gcli *k, const uint8_t *data, size_t len)
{
	buf_add(&k->early, data, len);
	if (k->running)
		return;
	k->running = true;
	if (k->state == GCLI_UNZIPS)
		unzip_step(k);
	size_t used = k->early.len ? take(k, k->early.data, k->early.len) : 0;
	used = used < k->early.len ? used : k->early.len; /* fail() has cleared it */
	k->early.len -= used;
	if (k->early.len)
		memmove(k->early.data, k->early.data + used, k->early.len);
	k->running = false;
	if (k->dead) {
		gcli_free(k);
		return;
	}
	if (tell_end(k))
		return;
	if (k->state == GCLI_READS && k->early.len)
		loop_again(k->loop, LOOP_LATER, &k->again);
	if (k->fetch)
		hclient_pause(k->fetch, k->state != GCLI_READS || k->early.len);
}

static void gcli_turn(struct loop_deferred *d)
{
	struct gcli *k = CONTAINER_OF(d, struct gcli, again.work);
	loop_again_begin(&k->again);
	gcli_run(k, NULL, 0);
}

void gcli_next(struct gcli *k)
{
	CHECK(k->state == GCLI_TAKEN);
	k->state = GCLI_READS;
	if (k->msg.cap > MESSAGE_KEEP)
		buf_release(&k->msg);
	buf_clear(&k->msg);
	arena_reset(&k->unpacked, MESSAGE_KEEP);
	if (!k->running)
		loop_again(k->loop, LOOP_SOON, &k->again);
}

/* ---- what the client of HTTP tells ---- */

static void on_head(void *own, const struct hclient_head *h)
{
	struct gcli *k = own;
	size_t len;
	const char *type = hclient_header(h->fields, h->field_count, "content-type", &len);
	const char *encoding = hclient_header(h->fields, h->field_count, "grpc-encoding", &len);
	k->end.head = fields_copy(k, h->fields, h->field_count);
	k->end.head_count = h->field_count;
	k->zipped = encoding && !strcmp(encoding, "gzip");
	if (h->status == 200 && type && !strncasecmp(type, TYPE, sizeof(TYPE) - 1))
		return;
	if (!judge_said(k, h->fields, h->field_count))
		judge_http(k, h);
	fail(k, k->end.status, k->end.text);
	loop_again(k->loop, LOOP_SOON, &k->again);
}

static void on_data(void *own, const uint8_t *data, size_t len)
{
	gcli_run(own, data, len);
}

static void on_done(void *own, const struct hclient_end *end)
{
	struct gcli *k = own;
	k->fetch = NULL;
	k->over = true;
	k->end.trailers = fields_copy(k, end->trailers, end->trailer_count);
	k->end.trailer_count = end->trailer_count;
	if (!judge_said(k, end->trailers, end->trailer_count) &&
	    !judge_said(k, end->head.fields, end->head.field_count)) {
		if (end->err)
			judge(k, status_of_end(end), end->text, strlen(end->text));
		else
			judge_http(k, &end->head);
	}
	gcli_run(k, NULL, 0);
}

/* False: k is no more. */
static bool told_room(struct gcli *k)
{
	k->full = false;
	k->running = true;
	if (k->req.room)
		k->req.room(k->req.own);
	k->running = false;
	if (k->dead) {
		gcli_free(k);
		return false;
	}
	loop_again(k->loop, LOOP_SOON, &k->again); /* it may have asked for the next message */
	return true;
}

static enum hclient_pull on_pull(void *own, struct buf *out)
{
	struct gcli *k = own;
	buf_add(out, k->out.data + k->out_off, k->out.len - k->out_off);
	buf_clear(&k->out);
	k->out_off = 0;
	if (k->full && !told_room(k))
		return HCLIENT_LATER;
	if (k->out.len)
		return HCLIENT_MORE;
	return k->ended ? HCLIENT_END : HCLIENT_LATER;
}

/* ---- calls ---- */

static struct hclient_field field(const char *name, const char *value)
{
	return (struct hclient_field){
		.name = name, .value = value, .name_len = strlen(name), .value_len = strlen(value)
	};
}

static size_t own_fields(const struct gcli *k, char *timeout, struct hclient_field *f)
{
	size_t n = 0;
	f[n++] = field("content-type", TYPE);
	f[n++] = field("te", "trailers");
	f[n++] = field("grpc-accept-encoding", "identity,gzip");
	if (k->req.packs)
		f[n++] = field("grpc-encoding", "gzip");
	if (k->req.timeout_ms) {
		timeout[grpcf_put_timeout(k->req.timeout_ms * 1000000, timeout)] = 0;
		f[n++] = field("grpc-timeout", timeout);
	}
	return n;
}

struct gcli *gcli_call(struct hclient *c, const struct gcli_req *req)
{
	struct gcli *k = mem_zalloc(sizeof *k);
	char timeout[GRPCF_TIMEOUT_MAX + 1];
	k->req = *req;
	k->loop = loop_here();
	k->end.text = "";
	k->again.work.fn = gcli_turn;
	arena_init(&k->arena, ARENA_BYTES);
	arena_init(&k->unpacked, ARENA_BYTES);
	buf_init(&k->out);
	buf_init(&k->early);
	buf_init(&k->zip);
	buf_init(&k->msg);
	struct hclient_field *fields =
	    arena_array(&k->arena, OWN_FIELDS + req->metadata_count, sizeof *fields);
	size_t n = own_fields(k, timeout, fields);
	for (size_t i = 0; i < req->metadata_count; i++)
		fields[n++] = req->metadata[i];
	bool timed = req->timeout_ms && req->timeout_ms < HCLIENT_NONE;
	const struct hclient_req r = { .method = "POST",
		.url = arena_printf(&k->arena, "%s%s", req->server, req->path),
		.fields = fields,
		.field_count = n,
		.pull = on_pull,
		.pull_len = -1,
		.h2_only = true,
		.retry = HCLIENT_RETRY_NEVER,
		.head_ms = HCLIENT_NONE,
		.idle_ms = HCLIENT_NONE,
		.whole_ms = timed ? (uint32_t)req->timeout_ms : HCLIENT_NONE,
		.answer_max = SIZE_MAX,
		.keep_packed = true,
		.own = k,
		.head = on_head,
		.data = on_data,
		.done = on_done };
	k->fetch = hclient_fetch(c, &r);
	return k;
}

bool gcli_send_bytes(struct gcli *k, const void *data, size_t len)
{
	CHECK(!k->ended && len <= GRPCF_MESSAGE_MAX);
	if (!k->fetch)
		return false; /* it is over, and will be told */
	grpcf_put_message(&k->out, data, len, k->req.packs);
	k->full = k->out.len - k->out_off >= GCLI_QUEUE_BYTES;
	hclient_resume(k->fetch);
	return !k->full;
}

bool gcli_send(struct gcli *k, const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *data = mem_alloc(len + !len);
	protobuf_c_message_pack(m, data);
	bool room = gcli_send_bytes(k, data, len);
	mem_free(data);
	return room;
}

void gcli_end(struct gcli *k)
{
	k->ended = true;
	if (k->fetch)
		hclient_resume(k->fetch);
}

void gcli_cancel(struct gcli *k)
{
	if (k->fetch)
		hclient_cancel(k->fetch);
	k->fetch = NULL;
	k->dead = true;
	loop_again_cancel(&k->again);
	if (!k->running)
		gcli_free(k);
}
