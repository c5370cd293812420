#include "net/recv/recv_push.h"

#include "core/base/metric.h"
#include "core/base/rune.h"
#include "net/api/apierr.h"
#include "net/api/tenantstat.h"
#include "net/recv/recv.h"
#include "net/recv/recv_push_priv.h"
#include "net/recv/recvcount.h"
#include "net/recv/recvpack.h"
#include "net/recv/recvtext.h"

#include <string.h>

#define BASE64   "@base64"
#define PACKS    (RECV_GZIP | RECV_SNAPPY | RECV_SNAPPY_FRAMED)
#define SHOWN    100 /* bytes of a part of a path that are told */
#define PB_TYPE  "application/vnd.google.protobuf"
#define PB_SPACE 4u /* a body takes so many times its bytes while it is read */

struct push_conf push_conf(const struct api_conf *c)
{
	const struct recv_push_conf *p = c->recv ? &c->recv->push : NULL;
	return (struct push_conf){ .repeat_ms = p && p->repeat_ms ? p->repeat_ms : PUSH_REPEAT_MS,
		.ttl_ms = p ? p->ttl_ms : 0,
		.max_groups = p && p->max_groups ? p->max_groups : PUSH_MAX_GROUPS,
		.max_bytes = p && p->max_bytes ? p->max_bytes : PUSH_MAX_BYTES };
}

/* ---- a change and its rows ---- */

static void task_stored(struct inlet *i)
{
	struct push_task *t = CONTAINER_OF(i, struct push_task, inlet);
	if (!i->req.err)
		tenantstat_wrote(
		    t->push->api->tenantstat, t->change.tenant, i->req.stored, i->req.refused);
	t->done(t);
}

static void task_run(struct work_task *w)
{
	struct push_task *t = CONTAINER_OF(w, struct push_task, task);
	pushtable_change(t->push->table, &t->change);
}

static void task_done(struct work_task *w)
{
	struct push_task *t = CONTAINER_OF(w, struct push_task, task);
	arena_init(&t->arena, 4096);
	if (!t->change.batch.rows_count) {
		t->done(t);
		return;
	}
	t->inlet = (struct inlet){ .req.batch = &t->change.batch,
		.receiver = RECEIVER_PUSHGATEWAY,
		.arena = &t->arena,
		.done = task_stored };
	inlet_append(t->push->api, &t->inlet);
}

void push_task_begin(struct push_task *t)
{
	t->task = (struct work_task){ .run = task_run,
		.done = task_done,
		.lane = (uint16_t)pushtable_lane(t->change.tenant),
		.prio = WORK_READ };
	work_submit(t->push->api->opts.pool, &t->task);
}

/* ---- the key of a group ---- */

static bool bad_path(struct req *r, const char *what, const char *s, size_t len)
{
	req_reply_text(r, 400, "%s \"%.*s\"\n", what, (int)rune_cut(s, len, SHOWN), s);
	return false;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* URL-safe base64, with or without padding (RFC 4648, 5). */
static bool base64(struct arena *a, const char *s, size_t len, const char **out, size_t *out_len)
{
	while (len && s[len - 1] == '=')
		len--;
	char *to = arena_alloc(a, len + 1);
	size_t n = 0;
	uint32_t bits = 0;
	for (size_t i = 0; i < len; i++) {
		int d = base64_digit(s[i]);
		if (d < 0)
			return false;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4)
			to[n++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	*out = to;
	*out_len = n;
	return len % 4 != 1;
}

struct part {
	const char *s;
	size_t len;
};

/* The part of the path before the next slash. */
static bool part_next(const char **p, const char *end, struct part *out)
{
	if (*p > end)
		return false;
	const char *slash = memchr(*p, '/', (size_t)(end - *p));
	out->s = *p;
	out->len = (size_t)((slash ? slash : end) - *p);
	*p = slash ? slash + 1 : end + 1;
	return true;
}

/* Without @base64, if that stands there: then the value is read. False: it cannot be. */
static bool decode(struct req *r, struct part *name, struct part *value)
{
	size_t n = sizeof(BASE64) - 1;
	if (name->len < n || memcmp(name->s + name->len - n, BASE64, n) != 0)
		return true;
	name->len -= n;
	return base64(&r->arena, value->s, value->len, &value->s, &value->len) &&
	    rune_valid(value->s, value->len);
}

static bool is_label_name(const struct part *name)
{
	return label_name_is_classic(name->s, name->len) &&
	    !(name->len > 1 && name->s[0] == '_' && name->s[1] == '_');
}

static bool labels_of(struct req *r, const char *p, const char *end, struct label_builder *b)
{
	struct part name, value;
	const char *from = p - 1;
	uint64_t most = limits_here()->write_labels;
	for (uint64_t count = 3; part_next(&p, end, &name); count++) { /* name, job, this one */
		/* before they are put in order, which so many would take long */
		if (count > most) {
			req_reply_text(r, 400,
			    "a grouping key has too many labels: limit %llu (--%s)\n",
			    (unsigned long long)most, limits_flag(LIMITS_write_labels));
			return false;
		}
		if (!part_next(&p, end, &value))
			return bad_path(r, "odd number of components in label string", from,
			    (size_t)(end - from));
		struct part coded = value;
		bool good = decode(r, &name, &value);
		if (!is_label_name(&name))
			return bad_path(r, "improper label name", name.s, name.len);
		if (!good) {
			req_reply_text(r, 400, "invalid base64 encoding for label %.*s=\"%.*s\"\n",
			    (int)name.len, name.s, (int)rune_cut(coded.s, coded.len, SHOWN), coded.s);
			return false;
		}
		if (!rune_valid(value.s, value.len))
			return bad_path(r, "a value is no UTF-8:", name.s, name.len);
		label_builder_set(b, name.s, name.len, value.s, value.len);
	}
	return true;
}

/* False: it has answered. */
static bool key_of(struct req *r, struct labels *out)
{
	const char *p = r->param, *end = p + r->param_len;
	struct label_builder b;
	struct part name = { 0 }, job = { 0 }, coded;
	label_builder_init(&b, &r->arena);
	(void)part_next(&p, end, &name);
	bool is_job = bytes_equal(name.s, name.len, "job", 3) ||
	    bytes_equal(name.s, name.len, "job" BASE64, 3 + sizeof(BASE64) - 1);
	if (!is_job || !part_next(&p, end, &job)) {
		req_reply_text(r, 404, "404 page not found\n");
		return false;
	}
	coded = job;
	if (!decode(r, &name, &job))
		return bad_path(r, "invalid base64 encoding in job name", coded.s, coded.len);
	if (!job.len) {
		req_reply_text(r, 400, "job name is required\n");
		return false;
	}
	if (!rune_valid(job.s, job.len))
		return bad_path(r, "a job is no UTF-8:", "", 0);
	if (p < end && !labels_of(r, p, end, &b))
		return false;
	label_builder_set(&b, "job", 3, job.s, job.len);
	struct labels ls = label_builder_done(&b);
	out->bytes = arena_dup(&r->arena, ls.bytes, ls.len);
	out->len = ls.len;
	if (out->len <= limits_here()->write_labels_bytes)
		return true;
	req_reply_text(r, 400, "labels of the grouping key have %u bytes: limit %llu (--%s)\n",
	    out->len, (unsigned long long)limits_here()->write_labels_bytes,
	    limits_flag(LIMITS_write_labels_bytes));
	return false;
}

/* ---- requests ---- */

struct pushing { /* in the request's arena */
	struct req *req;
	struct push_task task;
	struct recvtext text;
	struct work_task unpack;
	struct errbuf eb;
	enum err err;
	size_t lines; /* of the body */
	bool opened;
};

static enum err pack_of(const struct req *r, unsigned *bits, struct errbuf *eb)
{
	size_t len = 0;
	const char *encoding = req_header(r, "content-encoding", &len);
	return recvpack_of(encoding, encoding ? len : 0, PACKS, bits, eb);
}

bool recv_push_before(struct req *r)
{
	struct errbuf eb;
	unsigned bits;
	uint32_t retry_after_s = 0;
	errbuf_init(&eb);
	if (recv_is_off(r, RECEIVER_PUSHGATEWAY))
		return false;
	if (pack_of(r, &bits, &eb)) {
		req_reply_text(r, 415, "%s\n", eb.text);
		return false;
	}
	enum err e = sink_accepts(api_of(r)->sink, &retry_after_s);
	if (!e)
		return true;
	req_answer_field(r, "retry-after", "%u", retry_after_s ? retry_after_s : 5);
	req_reply_text(r, 503, "pushes are not accepted now: %s\n", err_text(e));
	return false;
}

static void sent(struct req *r)
{
	struct pushing *x = r->own;
	if (x->opened)
		recvtext_release(&x->text);
	pushtable_change_release(x->task.push->table, &x->task.change);
	arena_release(&x->task.arena);
}

static struct pushing *begin(struct req *r, enum push_op op)
{
	struct pushing *x = arena_zalloc(&r->arena, sizeof(*x));
	struct push_conf c = push_conf(api_conf(r));
	x->req = r;
	errbuf_init(&x->eb);
	arena_init(&x->task.arena, 4096);
	batch_init(&x->task.change.batch);
	x->task.push = api_of(r)->push;
	x->task.change = (struct push_change){ .op = op,
		.tenant = r->tenant,
		.limits = limits_here(),
		.max_groups = c.max_groups,
		.max_bytes = c.max_bytes,
		.now_ms = loop_now_ms(r->loop),
		.now_ns = loop_now_ns(r->loop) };
	r->own = x;
	r->on_done = sent;
	return x;
}

static void refuse(struct req *r, enum err e, const char *text)
{
	int status = e == ERR_MALFORMED || e == ERR_BADDATA || e == ERR_TRUNCATED ? 400
	    : e == ERR_TOOBIG                                                     ? 413
	                                                                          : 503;
	if (status == 503)
		req_answer_field(r, "retry-after", "5");
	req_reply_text(r, status, "%s\n", text[0] ? text : err_text(e));
}

static bool is_push(const struct push_change *c)
{
	return c->op == PUSH_REPLACE || c->op == PUSH_MERGE;
}

/* The tenant's rates, and what /metrics tells. */
static void count(struct req *r, const struct push_change *c)
{
	bool broken = c->err == ERR_MALFORMED || c->err == ERR_BADDATA || c->err == ERR_TOOBIG;
	recvcount_read(RECEIVER_PUSHGATEWAY, c->err ? 0 : c->batch.rows_count, broken);
	if (c->err)
		door_wrote(r, broken ? DOOR_BROKEN : DOOR_AGAIN, 0);
	else
		door_wrote(r, DOOR_STORED, c->batch.rows_count);
}

static void changed(struct push_task *t)
{
	struct pushing *x = CONTAINER_OF(t, struct pushing, task);
	const struct push_change *c = &t->change;
	if (is_push(c))
		count(x->req, c);
	if (c->err)
		refuse(x->req, c->err, c->eb.text);
	else
		req_reply(x->req, is_push(c) ? 200 : 202, NULL, NULL, 0, REQ_BORROW);
}

/* ---- bodies ---- */

static bool is_protobuf(const struct req *r)
{
	size_t len = 0;
	const char *type = req_header(r, "content-type", &len);
	return req_content_is(r, PB_TYPE) && type &&
	    memmem(type, len, "encoding=delimited", 18) != NULL;
}

static size_t lines_of(const struct recvtext *t)
{
	const uint8_t *p = t->data, *end = p + t->len;
	size_t n = 1;
	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		p++;
		n++;
	}
	return n;
}

/* What a body may take while it is read and stored: each line may get the labels of the key. */
static size_t space_of(const struct pushing *x)
{
	const struct push_change *c = &x->task.change;
	uint64_t labels = (uint64_t)x->lines * c->labels.len;
	return PB_SPACE * c->body_len + (size_t)(labels < c->max_bytes ? labels : c->max_bytes);
}

static void unpack_run(struct work_task *w)
{
	struct pushing *x = CONTAINER_OF(w, struct pushing, unpack);
	x->err = ERR_OK;
	while (!x->err && !x->text.ended)
		x->err = recvtext_more(&x->text, &x->eb);
	if (!x->err)
		x->lines = lines_of(&x->text);
}

static void unpack_done(struct work_task *w);

static void unpack(struct pushing *x)
{
	x->unpack = (struct work_task){ .run = unpack_run, .done = unpack_done, .prio = WORK_READ };
	work_submit(api_of(x->req)->opts.pool, &x->unpack);
}

static void unpack_done(struct work_task *w)
{
	struct pushing *x = CONTAINER_OF(w, struct pushing, unpack);
	struct recvtext *t = &x->text;
	struct push_change *c = &x->task.change;
	if (x->err == ERR_AGAIN) {
		if (!req_charge(x->req, t->wants)) {
			req_refuse_overloaded(x->req, "too many bodies are held at once");
			return;
		}
		x->err = recvtext_grow(t);
		if (!x->err) {
			unpack(x);
			return;
		}
	}
	if (x->err) {
		refuse(x->req, x->err, x->eb.text);
		return;
	}
	c->body = t->data + t->at;
	c->body_len = t->len - t->at;
	if (!req_charge(x->req, space_of(x))) {
		req_refuse_overloaded(x->req, "too many bodies are held at once");
		return;
	}
	push_task_begin(&x->task);
}

static struct recvtext_of text_of(const struct req *r)
{
	struct recvtext_of of = { .form = RECVTEXT_PACKED,
		.record = "line",
		.packed = UNPACK_GZIP,
		.limits = limits_here() };
	unsigned bits;
	if (pack_of(r, &bits, NULL))
		bits = RECV_IDENTITY;
	switch (recvpack_seen(bits, r->body, r->body_len)) {
	case RECV_GZIP:
		break;
	case RECV_SNAPPY_FRAMED:
		of.packed = UNPACK_SNAPPY_FRAMED;
		break;
	case RECV_SNAPPY:
		of.form = RECVTEXT_BLOCK;
		break;
	case RECV_IDENTITY:
	case RECV_DEFLATE:
	case RECV_ZSTD:
		of.form = RECVTEXT_PLAIN;
	}
	return of;
}

void recv_push(struct req *r)
{
	struct labels key;
	if (!key_of(r, &key))
		return;
	struct pushing *x = begin(r, r->method == REQ_PUT ? PUSH_REPLACE : PUSH_MERGE);
	struct recvtext_of of = text_of(r);
	metric_add(M_WRITE_REQUESTS, 1);
	recvcount_came(RECEIVER_PUSHGATEWAY, r->body_len);
	x->task.change.labels = key;
	x->task.change.form = is_protobuf(r) ? PUSH_PROTOBUF : PUSH_TEXT;
	x->task.done = changed;
	if (of.form == RECVTEXT_PACKED && !req_charge(r, RECVTEXT_FIRST + unpack_memory(of.packed))) {
		req_refuse_overloaded(r, "too many bodies are held at once");
		return;
	}
	x->err = recvtext_open(&x->text, &of, r->body, r->body_len, &x->eb);
	x->opened = !x->err;
	if (x->err)
		refuse(r, x->err, x->eb.text);
	else
		unpack(x);
}

void recv_push_delete(struct req *r)
{
	struct labels key;
	if (recv_is_off(r, RECEIVER_PUSHGATEWAY) || !key_of(r, &key))
		return;
	struct pushing *x = begin(r, PUSH_DELETE);
	x->task.change.labels = key;
	x->task.done = changed;
	push_task_begin(&x->task);
}

void recv_push_wipe(struct req *r)
{
	if (recv_is_off(r, RECEIVER_PUSHGATEWAY))
		return;
	struct pushing *x = begin(r, PUSH_WIPE);
	x->task.done = changed;
	push_task_begin(&x->task);
}
