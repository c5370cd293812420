#include "net/api/api_grpc.h"

#include <string.h>

#include "net/api/api_health.h"
#include "net/api/api_query.h"
#include "net/api/param.h"
#include "net/grpc/greflect.h"
#include "net/grpc/gsrv.h"
#include "net/recv/grpc_otlp.h"
#include "proto/gen/health.pb-c.h"
#include "proto/gen/query_service.pb-c.h"
#include "proto/qspb.h"

#define COUNT_POINTS (32u << 10) /* counted in a turn, some 30 us */
#define PIECE_BYTES  (32u << 10) /* of an answer, per pull */
#define NOTES_MAX    5u          /* warnings and infos, each */
#define HEALTH_MAX   4096u       /* names are short */

typedef Codesprintpro__Monitoring__V1__InstantQueryRequest Instant;
typedef Codesprintpro__Monitoring__V1__RangeQueryRequest Range;

/*
 *   ASKED > COUNTING > SENDING
 *     |         +-- the client left, time is up: nothing is sent
 *     +-- the same: the query is stopped, and its error is the answer
 */
struct gquery {
	struct gcall *call;
	struct query *query;
	bool counting;
	struct loop_again again;
	struct ql_value value;
	struct qspb encoder;
};

/* ---- the answer ---- */

static bool encode(struct gcall *c, struct buf *out)
{
	struct gquery *g = c->own;
	(void)qspb_next(&g->encoder, out, PIECE_BYTES);
	return !out->over;
}

static void send_small(struct gquery *g)
{
	struct buf b;
	buf_init(&b);
	while (!qspb_next(&g->encoder, &b, PIECE_BYTES))
		;
	gcall_send_bytes(g->call, b.data, b.len);
	buf_release(&b);
	gcall_finish(g->call, GRPC_OK, NULL);
}

static void send_answer(struct gquery *g)
{
	uint64_t bytes = g->encoder.bytes;
	if (bytes > GRPCF_MESSAGE_MAX)
		gcall_finish(g->call, GRPC_RESOURCE_EXHAUSTED,
		    "the answer takes %llu bytes, a protobuf message has at most %zu",
		    (unsigned long long)bytes, GRPCF_MESSAGE_MAX);
	else if (bytes <= GRPCF_PACK_BYTES)
		send_small(g);
	else if (gcall_send_pulled(g->call, (size_t)bytes, encode))
		gcall_finish(g->call, GRPC_OK, NULL);
	else
		gcall_finish(g->call, GRPC_UNAVAILABLE,
		    "too many answers wait for their readers (--%s)",
		    limits_flag(LIMITS_http_answer_bytes));
}

static void count_turn(struct loop_deferred *d)
{
	struct gquery *g = CONTAINER_OF(d, struct gquery, again.work);
	loop_again_begin(&g->again);
	if (!qspb_count(&g->encoder, COUNT_POINTS)) {
		loop_again(g->call->req->loop, LOOP_LATER, &g->again);
		return;
	}
	g->counting = false;
	send_answer(g);
}

/* What stands beside a result in JSON goes behind it here, as metadata. */
static void tell_notes(struct req *r, const char *name, const struct promjson_notes *notes)
{
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < notes->count && i < NOTES_MAX; i++) {
		buf_clear(&b);
		grpcf_escape(&b, notes->items[i].text, strlen(notes->items[i].text));
		req_trailer(r, name, (const char *)b.data, b.len);
	}
	buf_release(&b);
}

/* The query has its result, which lives until api_query_end. */
static void evaluated(void *arg, const struct promjson_answer *a)
{
	struct gquery *g = arg;
	struct req *r = g->call->req;
	const struct ql_value *v = a->value;
	if (v->has_hists) {
		gcall_finish(g->call, GRPC_UNIMPLEMENTED,
		    "the result has native histograms, this service has series of numbers");
		return;
	}
	if (v->type == QL_STRING) {
		gcall_finish(g->call, GRPC_INVALID_ARGUMENT,
		    "the result is a string, this service has series of numbers");
		return;
	}
	if (!req_hold(r, v->series_count * sizeof(uint64_t))) {
		gcall_finish(g->call, GRPC_UNAVAILABLE,
		    "too many answers wait for their readers (--%s)",
		    limits_flag(LIMITS_http_answer_bytes));
		return;
	}
	tell_notes(r, "kymo-warning", &a->warnings);
	tell_notes(r, "kymo-info", &a->infos);
	g->value = *v;
	qspb_begin(
	    &g->encoder, &g->value, arena_array(&r->arena, v->series_count + 1, sizeof(uint64_t)));
	g->counting = true;
	g->again.work.fn = count_turn;
	loop_again(r->loop, LOOP_SOON, &g->again);
}

/* ---- the question ---- */

static int64_t time_of(int64_t ms)
{
	return ms < PARAM_TIME_MIN ? PARAM_TIME_MIN : ms > PARAM_TIME_MAX ? PARAM_TIME_MAX : ms;
}

static void start(struct gcall *c, struct query_plain *p)
{
	struct gquery *g = arena_zalloc(&c->req->arena, sizeof(*g));
	g->call = c;
	c->own = g;
	p->text_len = strlen(p->text);
	p->timeout_ms = (int64_t)gcall_left_ms(c, (uint64_t)api_timeout_ms(c->req));
	p->reply = evaluated;
	p->arg = g;
	g->query = api_query_plain(c->req, p);
	api_query_go(g->query);
}

static void instant(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	const Instant *m = msg;
	int64_t at_ms = m->evaluation_timestamp_ms;
	struct query_plain p = { .text = m->query,
		.start_ms = at_ms ? time_of(at_ms) : loop_now_ms(c->req->loop) };
	p.end_ms = p.start_ms;
	start(c, &p);
}

static void range(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	const Range *m = msg;
	struct query_plain p = { .text = m->query,
		.start_ms = time_of(m->start_timestamp_ms),
		.end_ms = time_of(m->end_timestamp_ms),
		.step_ms = m->step_ms };
	if (p.end_ms < p.start_ms)
		gcall_finish(c, GRPC_INVALID_ARGUMENT,
		    "end_timestamp_ms %lld is before start_timestamp_ms %lld", (long long)p.end_ms,
		    (long long)p.start_ms);
	else if (p.step_ms <= 0)
		gcall_finish(c, GRPC_INVALID_ARGUMENT, "step_ms %lld is not more than 0",
		    (long long)p.step_ms);
	else if (!api_query_steps_fit(p.start_ms, p.end_ms, p.step_ms))
		gcall_finish(c, GRPC_INVALID_ARGUMENT, API_STEPS_TEXT "step_ms)");
	else
		start(c, &p);
}

static void cancelled(struct gcall *c)
{
	struct gquery *g = c->own;
	if (!g->counting) {
		api_query_left(g->query);
		return;
	}
	g->counting = false;
	loop_again_cancel(&g->again);
	gcall_finish(c, GRPC_CANCELLED, NULL);
}

static void done(struct gcall *c)
{
	struct gquery *g = c->own;
	if (g)
		api_query_end(g->query);
}

/* ---- the table ---- */

#define QUERY_PATH(name)  "/codesprintpro.monitoring.v1.QueryService/" name
#define HEALTH_PATH(name) "/grpc.health.v1.Health/" name
static const struct gsrv_method methods[] = {
	{ .path = QUERY_PATH("EvaluateInstantQuery"),
	    .kind = GSRV_UNARY,
	    .in = &codesprintpro__monitoring__v1__instant_query_request__descriptor,
	    .message = instant,
	    .cancelled = cancelled,
	    .done = done },
	{ .path = QUERY_PATH("EvaluateRangeQuery"),
	    .kind = GSRV_UNARY,
	    .in = &codesprintpro__monitoring__v1__range_query_request__descriptor,
	    .message = range,
	    .cancelled = cancelled,
	    .done = done },
	{ .path = HEALTH_PATH("Check"),
	    .kind = GSRV_UNARY,
	    .in_max = HEALTH_MAX,
	    .in = &grpc__health__v1__health_check_request__descriptor,
	    .message = api_health_check },
	{ .path = HEALTH_PATH("Watch"),
	    .kind = GSRV_SERVER_STREAM,
	    .in_max = HEALTH_MAX,
	    .in = &grpc__health__v1__health_check_request__descriptor,
	    .message = api_health_watch,
	    .cancelled = api_health_cancelled,
	    .done = api_health_done },
	{ .path = GRPC_OTLP_EXPORT,
	    .kind = GSRV_UNARY,
	    .message = grpc_otlp_message,
	    .cancelled = grpc_otlp_cancelled,
	    .done = grpc_otlp_done },
	GREFLECT_METHOD("v1"),
	GREFLECT_METHOD("v1alpha"),
};

void api_grpc(struct req *r)
{
	const struct gsrv g = { methods, COUNT_OF(methods), api_of(r)->opts.pool };
	struct gsrv *own = arena_dup(&r->arena, &g, sizeof(g));
	gsrv_call(own, r);
}

bool api_grpc_has(const char *service)
{
	size_t len = strlen(service);
	for (size_t i = 0; i < COUNT_OF(methods); i++)
		if (!strncmp(methods[i].path + 1, service, len) && methods[i].path[len + 1] == '/')
			return true;
	return false;
}
