#include "net/api/api_query.h"

#include "core/account/joint.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "core/promql/cache/ql_cache.h"
#include "core/promql/lang/ql_parse.h"
#include "core/promql/ql.h"
#include "net/api/apierr.h"
#include "net/api/ask.h"
#include "net/api/groupings.h"
#include "net/api/param.h"
#include "net/api/slowlog.h"
#include "net/api/tenantstat.h"
#include "net/api/tracing.h"
#include "net/conn/limit.h"
#include "proto/promjson.h"

#include <inttypes.h>
#include <stdio.h>

#define TRACE_BLOCK (16u << 10)
#define PIECE_BYTES (32u << 10) /* of an answer, per pull */
#define WHOLE_BYTES (64u << 10) /* an answer up to this goes out in one, with its length */

/*
 *   PARAMS > QUEUED > MAKING > RUNNING > REPLYING
 *      \___ FOLLOWS ________________________/
 *              |         |        +-- the client left, time is up: ql_cancel, then its done answers
 *              |         +-- the same: answered when the query is made; a worker makes what is
 *              |             costly to parse
 *              +-- the same: answered at once (net/api/ask.h)
 * Nothing is parsed before there is a ticket, and what the query holds is the ticket's until the
 * last byte of the answer is gone.
 * FOLLOWS: the same is evaluated already, on this loop or another (core/account/joint.h). It has no
 * ticket, but a time of its own; each encodes its own answer of the one result. What ends without a
 * result that all can have (cancelled, out of time, no place) is asked for again by the first that
 * follows.
 * A query that is traced, or explained (MAKING > EXPLAINS > REPLYING: nothing runs), is by itself.
 */
enum query_state {
	QUERY_PARAMS,
	QUERY_FOLLOWS,
	QUERY_QUEUED,
	QUERY_MAKING,
	QUERY_EXPLAINS,
	QUERY_RUNNING,
	QUERY_REPLYING
};

/* What several read. On the loop that evaluated it. */
struct outcome {
	struct joint_result base;
	struct ql *ql; /* NULL: it was not even begun */
	struct ticket *ticket;
	enum err err;
	bool prefixed; /* of MAKING */
	char text[ERRBUF_SIZE];
	/*
	 * It waits for its readers, whichever they are, and is counted once: for who asked first.
	 */
	uint32_t who;
	uint64_t held;
};

struct query { /* in the request's arena */
	struct ask ask;
	struct running running;
	struct req *req;
	enum query_state state;
	struct ql *ql; /* its own, or of outcome */
	struct ql_opts opts;
	struct joint *joint;     /* it leads, until there is a result */
	struct joint_seat *seat; /* it follows, and then reads */
	struct outcome *outcome; /* it has led, and reads with others */
	struct loop_timer timer; /* of who follows */
	bool left;               /* its client has, and others wait for the result */
	enum err err;            /* of MAKING */
	struct errbuf eb;
	bool timed_out;
	uint64_t begun_ns;
	uint64_t limit;
	const char *stats_warning; /* NULL = none */
	const char *text;          /* as it was asked */
	size_t text_len;
	bool want_stats, explain;
	struct tracing *tracing; /* of what is asked with trace=1 or explain=1; NULL */
	struct ql_value value;   /* the result, cut to limit */
	struct promjson_answer answer;
	struct promjson encoder;
	uint64_t encode_ns; /* when the piece of the answer was begun that is encoded now */
	struct buf first;   /* encoded before the answer was begun */
	/* who answers in JSON's stead; NULL = JSON */
	void (*plain_reply)(void *arg, const struct promjson_answer *a);
	void *plain_arg;
};

static void start(struct query *q, const struct urlq *u);
static void lead_or_follow(struct query *q);
static void followed(void *arg, struct joint_result *r);
static void unwanted(void *arg);
static void follow_late(struct loop_timer *t);
static void ended_early(struct ask *a);
static void follow_no_more(struct query *q, enum err e, const char *text);
static void answer_error(struct query *q, const struct outcome *o);
static void drop_result(struct query *q);
static void answer_result(struct query *q);
static void granted(struct ask *a);
static void make(struct ask *a);
static void made(struct ask *a);
static void time_is_up(struct ask *a);
static void client_left(struct req *r);
static void explained(void *arg);
static void evaluated(void *arg, struct ql *ql);
static void reply(struct query *q);
static enum req_pull pull(struct req *r, struct buf *out);
static void sent(struct req *r);

/* --- PARAMS --- */

enum err api_query_text_fits(const struct limits *l, size_t len, struct errbuf *eb)
{
	char limit[LIMITS_TEXT_MAX];
	if (len <= l->query_text_bytes)
		return ERR_OK;
	return errbuf_set(eb, ERR_BADDATA, "expression of %zu bytes, %s", len,
	    limits_text(l, LIMITS_query_text_bytes, limit));
}

void api_query_error(struct req *r, enum err e, const struct errbuf *eb, bool prefixed)
{
	if (prefixed && e == ERR_BADDATA)
		apierr_param(r, "query", eb->text);
	else
		apierr_json(r, e, eb->text, strlen(eb->text));
}

static struct query *query_new(struct req *r)
{
	const struct api *a = api_of(r);
	struct query *q = arena_zalloc(&r->arena, sizeof(*q));
	q->req = r;
	q->ask.go = granted;
	q->ask.late = time_is_up;
	q->ask.over = ended_early;
	loop_timer_init(&q->timer, follow_late);
	q->opts = (struct ql_opts){ .source = a->source,
		.limits = limits_here(),
		.max_samples = api_query_samples(r),
		.max_bytes = limits_here()->query_memory,
		.features = api_conf(r)->features,
		.done = evaluated,
		.arg = q };
	buf_init(&q->first);
	return q;
}

static void stats_param(struct query *q, const struct urlq *u)
{
	size_t len;
	const char *s = urlq_get(u, "stats", &len);
	q->want_stats = len > 0;
	q->opts.per_step = q->opts.features.per_step_stats && bytes_equal(s, len, "all", 3);
	if (!len || !strcmp(s, "true") || !strcmp(s, "all"))
		return;
	struct buf b;
	buf_init(&b);
	label_quote_go(&b, s, rune_cut(s, len, 100));
	q->stats_warning = arena_printf(&q->req->arena,
	    "value %.*s for parameter \"stats\" is deprecated and will be rejected in the next major release, use \"true\" or \"all\"",
	    (int)b.len, (const char *)b.data);
	buf_release(&b);
}

static bool is_set(const struct urlq *u, const char *key)
{
	size_t len;
	const char *s = urlq_get(u, key, &len);
	return len && !(len == 1 && *s == '0') && !bytes_equal(s, len, "false", 5);
}

/* trace=1, explain=1. */
static void trace_param(struct query *q, const struct urlq *u)
{
	q->explain = is_set(u, "explain");
	if (!q->explain && !is_set(u, "trace"))
		return;
	struct tracing *t = q->tracing = arena_zalloc(&q->req->arena, sizeof(*t));
	arena_init(&t->arena, TRACE_BLOCK);
	ql_trace_init(&t->ql, &t->arena);
	buf_init(&t->json);
	t->came_ns = clock_real_mono_ns();
	q->opts.trace = &t->ql;
	t->loop = loop_index(q->req->loop);
}

/* nocache=1, as VictoriaMetrics has it. Statistics are those of a whole evaluation. */
static void cache_param(struct query *q, const struct urlq *u)
{
	if (!is_set(u, "nocache") && !q->want_stats)
		q->opts.front = ql_cache_front(api_of(q->req)->cache);
}

void api_query(struct req *r)
{
	struct urlq u;
	struct query *q = query_new(r);
	const struct api_conf *o = api_conf(r);
	if (!param_parse(r, &u) || !param_limit(r, &u, &q->limit) ||
	    !param_time(r, &u, "time", loop_now_ms(r->loop), &q->opts.start_ms) ||
	    !param_timeout(r, &u, api_timeout_ms(r), &q->opts.timeout_ms) ||
	    !param_lookback(r, &u, o->lookback_ms, &q->opts.lookback_ms))
		return;
	q->opts.end_ms = q->opts.start_ms;
	stats_param(q, &u);
	trace_param(q, &u);
	start(q, &u);
}

bool api_query_steps_fit(int64_t start_ms, int64_t end_ms, int64_t step_ms)
{
	return num_sat_sub(end_ms, start_ms) / step_ms <= API_STEPS_MAX;
}

void api_query_range(struct req *r)
{
	struct urlq u;
	struct query *q = query_new(r);
	const struct api_conf *o = api_conf(r);
	struct ql_opts *qo = &q->opts;
	if (!param_parse(r, &u) || !param_limit(r, &u, &q->limit) ||
	    !param_time_needed(r, &u, "start", &qo->start_ms) ||
	    !param_time_needed(r, &u, "end", &qo->end_ms))
		return;
	if (qo->end_ms < qo->start_ms) {
		apierr_param(r, "end", "end timestamp must not be before start time");
		return;
	}
	if (!param_step(r, &u, &qo->step_ms))
		return;
	if (!api_query_steps_fit(qo->start_ms, qo->end_ms, qo->step_ms)) {
		apierr_jsonf(r, ERR_BADDATA, API_STEPS_TEXT "step=XX)");
		return;
	}
	if (!param_timeout(r, &u, api_timeout_ms(r), &qo->timeout_ms) ||
	    !param_lookback(r, &u, o->lookback_ms, &qo->lookback_ms))
		return;
	stats_param(q, &u);
	cache_param(q, &u);
	trace_param(q, &u);
	start(q, &u);
}

/* --- QUEUED --- */

static void start(struct query *q, const struct urlq *u)
{
	struct req *r = q->req;
	q->text = urlq_get(u, "query", &q->text_len);
	r->own = q;
	r->on_gone = client_left;
	r->on_done = sent;
	api_query_go(q);
}

/* What runs comes to its end, and is answered there. */
static void stop(struct query *q)
{
	if (q->state == QUERY_RUNNING)
		ql_cancel(q->ql);
	else if (q->state == QUERY_EXPLAINS)
		estimate_cancel(&q->tracing->estimate);
}

/* Ends it, also for those who wait for its result: the next of them begins again. */
static void cancel(struct running *n)
{
	struct query *q = CONTAINER_OF(n, struct query, running);
	if (q->state == QUERY_FOLLOWS)
		follow_no_more(q, ERR_CANCELED, "query was canceled in query execution");
	else if (!ask_left(&q->ask))
		stop(q);
}

static void list_it(struct query *q)
{
	q->running = (struct running){ .req = q->req,
		.what = q->text,
		.what_len = q->text_len,
		.start_ms = q->opts.start_ms,
		.end_ms = q->opts.end_ms,
		.step_ms = q->opts.step_ms,
		.cancel = cancel };
	q->ask.listed = true;
	running_add(&q->running);
}

void api_query_go(struct query *q)
{
	struct req *r = q->req;
	if (q->opts.timeout_ms <= 0) {
		apierr_jsonf(r, ERR_TIMEOUT, "query timed out in query execution");
		return;
	}
	q->begun_ns = loop_now_ns(r->loop);
	list_it(q);
	loop_timer_set(r->loop, &q->timer, (uint64_t)q->opts.timeout_ms);
	lead_or_follow(q);
}

struct query *api_query_plain(struct req *r, const struct query_plain *p)
{
	struct query *q = query_new(r);
	q->text = p->text;
	q->text_len = p->text_len;
	q->opts.start_ms = p->start_ms;
	q->opts.end_ms = p->end_ms;
	q->opts.step_ms = p->step_ms;
	q->opts.timeout_ms = p->timeout_ms;
	q->opts.lookback_ms = api_conf(r)->lookback_ms;
	q->plain_reply = p->reply;
	q->plain_arg = p->arg;
	return q;
}

/* --- FOLLOWS --- */

/*
 * What the result depends on; limit, stats and timeout are each one's own. But counts for
 * each step are made only for who asks for them. Limits are those of the tenants, but for a change
 * of the configuration between two.
 */
static void *key_of(const struct query *q, size_t *len)
{
	const struct req *r = q->req;
	const uint64_t head[] = { (uint64_t)q->opts.start_ms, (uint64_t)q->opts.end_ms,
		(uint64_t)q->opts.step_ms, (uint64_t)q->opts.lookback_ms, q->opts.max_samples,
		q->opts.max_bytes, (uintptr_t)q->opts.limits, (uintptr_t)q->opts.front,
		q->opts.per_step, r->tenant, r->tenants_count };
	size_t tenants = r->tenants_count * sizeof(*r->tenants);
	*len = sizeof(head) + tenants + q->text_len;
	uint8_t *key = arena_alloc(&q->req->arena, *len);
	memcpy(key, head, sizeof(head));
	if (tenants)
		memcpy(key + sizeof(head), r->tenants, tenants);
	if (q->text_len)
		memcpy(key + sizeof(head) + tenants, q->text, q->text_len);
	return key;
}

static void lead_or_follow(struct query *q)
{
	struct req *r = q->req;
	struct joint_opts o = { .arg = q, .done = followed, .unwanted = unwanted };
	o.key = key_of(q, &o.key_len);
	q->state = QUERY_FOLLOWS;
	if (!q->tracing)
		joint_enter(api_of(r)->joints, &o, &q->joint, &q->seat);
	if (q->seat)
		return;
	loop_timer_cancel(r->loop, &q->timer);
	uint64_t waited_ms = (loop_now_ns(r->loop) - q->begun_ns) / 1000000;
	int64_t left_ms = q->opts.timeout_ms - (int64_t)waited_ms;
	q->state = QUERY_QUEUED;
	ask_start(&q->ask, r, left_ms > 1 ? left_ms : 1, q->text, q->text_len);
}

/* Making an answer is work of its query, as its scans are; of who follows it is his own. */
static void set_payer(struct query *q, const struct ticket *t)
{
	bool heavy = ticket_class(t) == TICKET_HEAVY;
	req_payer(q->req, q->seat ? NULL : q->opts.purse, heavy ? JOB_QUERY_HEAVY : JOB_QUERY);
}

static void followed(void *arg, struct joint_result *r)
{
	struct query *q = arg;
	CHECK(q->state == QUERY_FOLLOWS);
	if (!r) {
		q->seat = NULL;
		lead_or_follow(q);
		return;
	}
	const struct outcome *o = CONTAINER_OF(r, struct outcome, base);
	loop_timer_cancel(q->req->loop, &q->timer);
	q->state = QUERY_REPLYING;
	q->running.state = RUNNING_ANSWERS;
	running_was(&q->running, clock_mono_ns() - q->req->start_ns, 0);
	q->ql = o->ql;
	if (!o->err) {
		set_payer(q, o->ticket);
		answer_result(q);
		return;
	}
	answer_error(q, o);
	drop_result(q);
}

/* Answered without a result. */
static void follow_no_more(struct query *q, enum err e, const char *text)
{
	loop_timer_cancel(q->req->loop, &q->timer);
	joint_leave(q->seat);
	q->seat = NULL;
	q->state = QUERY_REPLYING;
	apierr_json(q->req, e, text, strlen(text));
}

static void follow_late(struct loop_timer *t)
{
	struct query *q = CONTAINER_OF(t, struct query, timer);
	follow_no_more(q, ERR_TIMEOUT, "query timed out in query execution");
}

/* Of a leader: the client has left, and those who followed, too. */
static void unwanted(void *arg)
{
	struct query *q = arg;
	if (!q->left || ask_left(&q->ask))
		return;
	if (q->state == QUERY_RUNNING)
		ql_cancel(q->ql);
}

/* It was answered before it began: who follows asks for himself. */
static void ended_early(struct ask *a)
{
	struct query *q = CONTAINER_OF(a, struct query, ask);
	struct joint *s = q->joint;
	q->joint = NULL;
	joint_end(s, NULL);
}

static void outcome_drop(struct joint_result *r)
{
	struct outcome *o = CONTAINER_OF(r, struct outcome, base);
	limit_answers_sub(o->who, o->held);
	ql_free(o->ql);
	ticket_free(o->ticket);
	mem_free(o);
}

/* The end of the lead. What others wait for outlives the request. */
static void share_out(struct query *q, enum err err, const char *text, bool prefixed)
{
	struct joint *s = q->joint;
	q->joint = NULL;
	bool own = err == ERR_CANCELED || err == ERR_TIMEOUT;
	if (!s || own || !joint_waiting(s)) {
		joint_end(s, NULL);
		return;
	}
	struct outcome *o = mem_zalloc(sizeof(*o));
	o->base.drop = outcome_drop;
	o->ql = q->ql;
	o->ticket = ask_take_ticket(&q->ask);
	o->err = err;
	o->prefixed = prefixed;
	snprintf(o->text, sizeof(o->text), "%s", text ? text : "");
	o->who = q->req->who;
	o->held = err ? 0 : ql_held(q->ql);
	limit_answers_add(o->who, o->held);
	q->outcome = o;
	joint_end(s, &o->base);
}

static void answer_error(struct query *q, const struct outcome *o)
{
	if (o->prefixed && o->err == ERR_BADDATA)
		apierr_param(q->req, "query", o->text);
	else
		apierr_json(q->req, o->err, o->text, strlen(o->text));
}

static void granted(struct ask *a)
{
	struct query *q = CONTAINER_OF(a, struct query, ask);
	q->opts.ticket = a->ticket;
	q->opts.purse = ticket_purse(a->ticket);
	q->opts.tenant = ticket_tenant(a->ticket);
	q->opts.tenants = q->req->tenants;
	q->opts.tenants_count = q->req->tenants_count;
	q->state = QUERY_MAKING;
	q->running.state = RUNNING_WORKS;
	if (q->tracing) {
		q->tracing->granted_ns = clock_real_mono_ns();
		arena_purse(&q->tracing->arena, q->opts.purse);
		q->tracing->json.purse = q->opts.purse;
	}
	ask_work(a, ql_text_is_costly(q->text, q->text_len), make, made);
}

/* On the loop or on a worker. */
static void make(struct ask *a)
{
	struct query *q = CONTAINER_OF(a, struct query, ask);
	errbuf_init(&q->eb);
	q->err = api_query_text_fits(q->opts.limits, q->text_len, &q->eb);
	if (!q->err)
		q->err = ql_create(q->text, q->text_len, &q->opts, &q->ql, &q->eb);
}

static const struct outlook_pace *pace_of(void *arg, struct loop *l)
{
	const struct query *q = arg;
	return &api_of(q->req)->loops[loop_index(l)].pace;
}

/* What it would read, without reading it. */
static void explain(struct query *q)
{
	struct tracing *t = q->tracing;
	t->peek = ql_peek(q->ql);
	if (t->peek.err) { /* as the query would be answered */
		q->state = QUERY_REPLYING;
		q->running.state = RUNNING_ANSWERS;
		ask_worked_out(&q->ask);
		apierr_json(q->req, t->peek.err, t->peek.text, strlen(t->peek.text));
		return;
	}
	tracing_ask(t,
	    (struct estimate){ .source = api_of(q->req)->source,
	        .ticket = q->ask.ticket,
	        .tenants = q->req->tenants,
	        .tenants_count = q->req->tenants_count,
	        .what = q->text,
	        .what_len = q->text_len,
	        .pace_of = pace_of,
	        .done = explained,
	        .arg = q });
}

static struct tracing_told told_of(const struct query *q)
{
	return (struct tracing_told){ .path = q->req->path,
		.path_len = q->req->path_len,
		.text = q->text,
		.text_len = q->text_len,
		.start_ms = q->opts.start_ms,
		.end_ms = q->opts.end_ms,
		.step_ms = q->opts.step_ms };
}

static void explained(void *arg)
{
	struct query *q = arg;
	const struct estimate *e = &q->tracing->estimate;
	const struct tracing_told told = told_of(q);
	struct buf *out = &q->first;
	const char *text = e->eb.text[0] ? e->eb.text : err_text(e->err);
	q->state = QUERY_REPLYING;
	q->running.state = RUNNING_ANSWERS;
	ask_worked_out(&q->ask);
	if (e->err == ERR_CANCELED) {
		apierr_jsonf(q->req, q->timed_out ? ERR_TIMEOUT : ERR_CANCELED,
		    "query %s in query execution", q->timed_out ? "timed out" : "was canceled");
		return;
	}
	if (e->err) {
		apierr_json(q->req, e->err, text, strlen(text));
		return;
	}
	struct tracing *t = q->tracing;
	const struct outlook_limits limits = { .samples = q->opts.max_samples,
		.memory = q->opts.max_bytes,
		.timeout_ms = (uint64_t)q->opts.timeout_ms };
	groupings_make(&t->ql, e);
	outlook_make(&t->outlook, &t->ql, e, &t->peek, &limits);
	t->memory_max = q->opts.max_bytes;
	out->purse = q->opts.purse;
	promjson_begin(out);
	tracing_explain(q->tracing, &told, out);
	promjson_end(out, NULL, NULL);
	if (out->over) {
		ask_no_room(&q->ask);
		return;
	}
	req_reply_buf(q->req, 200, "application/json", out);
}

static void made(struct ask *a)
{
	struct query *q = CONTAINER_OF(a, struct query, ask);
	if (q->tracing)
		q->tracing->made_ns = clock_real_mono_ns();
	if (!q->err && !q->timed_out && !a->left) {
		q->state = q->explain ? QUERY_EXPLAINS : QUERY_RUNNING;
		if (q->explain)
			explain(q);
		else
			ql_start(q->ql);
		return;
	}
	q->state = QUERY_REPLYING;
	ask_worked_out(a);
	bool shared = q->err && !purse_over(q->opts.purse);
	share_out(q, shared ? q->err : ERR_CANCELED, q->eb.text, true);
	if (q->err && !shared)
		ask_no_room(a);
	else if (q->err)
		api_query_error(q->req, q->err, &q->eb, true);
	else if (q->timed_out)
		apierr_jsonf(q->req, ERR_TIMEOUT, "query timed out in query execution");
	else
		apierr_jsonf(q->req, ERR_CANCELED, "query was canceled in query execution");
}

/* --- ends before the end --- */

static void time_is_up(struct ask *a)
{
	struct query *q = CONTAINER_OF(a, struct query, ask);
	q->timed_out = true; /* who follows begins again, with the time he has left */
	stop(q);
}

static void client_left(struct req *r)
{
	api_query_left(r->own);
}

void api_query_left(struct query *q)
{
	if (q->state == QUERY_FOLLOWS) {
		follow_no_more(q, ERR_CANCELED, "query was canceled in query execution");
		return;
	}
	q->left = q->joint && joint_waiting(q->joint);
	if (!q->left && !ask_left(&q->ask))
		stop(q);
}

/* --- RUNNING --- */

#define ANSWERS_WAIT "too many answers wait for their readers"

static enum err answer_fits(const struct req *r, uint64_t bytes, struct errbuf *eb)
{
	const struct limits *l = limits_here();
	char limit[LIMITS_TEXT_MAX];
	if (bytes > l->http_answer_bytes) /* it will not fit later either */
		return errbuf_set(eb, ERR_TOOBIG, "the result takes %" PRIu64 " MiB, %s",
		    bytes >> 20, limits_text(l, LIMITS_http_answer_bytes, limit));
	if (limit_answers_full(r->who, bytes, loop_now_ns(r->loop)))
		return errbuf_set(eb, ERR_BUSY, ANSWERS_WAIT);
	return ERR_OK;
}

bool api_query_held(struct req *r, uint64_t bytes)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (bytes > limits_here()->http_answer_bytes) {
		enum err e = answer_fits(r, bytes, &eb);
		apierr_json(r, e, eb.text, strlen(eb.text));
		return false;
	}
	if (req_hold(r, bytes))
		return true;
	req_refuse_overloaded(r, ANSWERS_WAIT);
	return false;
}

/* Answered without it: it goes now, however long the client takes to read why. */
static void drop_result(struct query *q)
{
	if (q->seat)
		joint_leave(q->seat);
	else if (q->outcome)
		joint_drop(&q->outcome->base);
	else
		ql_free(q->ql);
	q->seat = NULL;
	q->outcome = NULL;
	q->ql = NULL;
}

/* Of the first so many series; it stops behind max. */
static uint64_t points_of(const struct ql_value *v, size_t series_count, uint64_t max)
{
	uint64_t points = 0;
	if (series_count == v->series_count)
		return v->points;
	for (size_t i = 0; i < series_count && points <= max; i++)
		points += v->series[i].count;
	return points;
}

static const char *default_text(enum err e)
{
	if (e == ERR_TIMEOUT)
		return "query timed out in expression evaluation";
	return e == ERR_CANCELED ? "query was canceled in expression evaluation" : err_text(e);
}

/* For who asks what a query will take. One of kept steps tells nothing of that. */
static void note_pace(const struct query *q, const struct ql_stats *st)
{
	uint64_t steps = 1;
	if (q->opts.step_ms > 0)
		steps += (uint64_t)((q->opts.end_ms - q->opts.start_ms) / q->opts.step_ms);
	if (st->steps_kept)
		return;
	outlook_note(&api_loop_of(q->req)->pace,
	    (struct outlook_work){ st->samples_read, outlook_times(st->series, steps), st->series },
	    st->total_s);
}

static void evaluated(void *arg, struct ql *ql)
{
	struct query *q = arg;
	const char *text = NULL;
	enum err err = ql_err(ql, &text);
	CHECK(q->state == QUERY_RUNNING);
	q->state = QUERY_REPLYING;
	q->running.state = RUNNING_ANSWERS;
	if (q->tracing) {
		q->tracing->done_ns = clock_real_mono_ns();
		q->tracing->memory_max = purse_peak(ticket_purse(q->ask.ticket));
	}
	running_was(&q->running, clock_mono_ns() - q->req->start_ns,
	    purse_peak(ticket_purse(q->ask.ticket)));
	set_payer(q, q->ask.ticket);
	ask_worked_out(&q->ask);
	tenantstat_kept(api_of(q->req)->tenantstat, q->opts.tenant, ql_stats(ql)->steps_kept,
	    ql_stats(ql)->steps);
	if (err == ERR_CANCELED && q->timed_out) {
		err = ERR_TIMEOUT;
		text = NULL;
	}
	if (err && (!text || !*text))
		text = default_text(err);
	if (!err)
		note_pace(q, ql_stats(ql));
	slowlog_query(
	    &q->running, clock_mono_ns() - q->req->start_ns, ql_stats(ql), err ? text : NULL);
	if (!err && q->joint && joint_waiting(q->joint)) { /* those who wait are told the same */
		err = answer_fits(q->req, ql_held(ql), &q->eb);
		text = q->eb.text;
	}
	share_out(q, err, text, false);
	if (err) {
		if (err == ERR_TOOBIG || err == ERR_NOMEM || err == ERR_TIMEOUT)
			doctornotes_ended(
			    &api_loop_of(q->req)->notes, q->req, q->text, q->text_len, text);
		apierr_json(q->req, err, text, strlen(text));
		drop_result(q);
		return;
	}
	answer_result(q);
}

/* The last that is made of the answer, so that it tells of the rest. */
static void make_trace(void *arg)
{
	struct query *q = arg;
	const struct tracing_told told = told_of(q);
	q->tracing->encode_ns += clock_real_mono_ns() - q->encode_ns;
	tracing_put(q->tracing, &told, q->ql);
}

/* The result is read only: others may read it at the same time. */
static void answer_result(struct query *q)
{
	const struct ql *ql = q->ql;
	q->value = *ql_result(ql);
	const bool many = q->value.type == QL_VECTOR || q->value.type == QL_MATRIX;
	const bool cut = many && q->limit && q->value.series_count > q->limit;
	const struct limits *l = limits_here();
	size_t series_count = cut ? (size_t)q->limit : q->value.series_count;
	uint64_t points = many ? points_of(&q->value, series_count, l->query_result_points) : 1;
	q->value.series_count = series_count;
	if (points > l->query_result_points) {
		char limit[LIMITS_TEXT_MAX];
		apierr_jsonf(q->req, ERR_TOOBIG, "the result has %" PRIu64 " points, %s", points,
		    limits_text(l, LIMITS_query_result_points, limit));
		drop_result(q);
		return;
	}
	if (!q->seat && !q->outcome && !api_query_held(q->req, ql_held(ql))) {
		drop_result(q);
		return;
	}
	struct promjson_notes *w = &q->answer.warnings;
	size_t extra = 0;
	w->items = ql_warnings(ql, &w->count);
	if (cut)
		w->extra[extra++] = "results truncated due to limit";
	if (q->stats_warning)
		w->extra[extra++] = q->stats_warning;
	q->answer.infos.items = ql_infos(ql, &q->answer.infos.count);
	if (q->tracing) {
		q->answer.more = &q->tracing->json;
		q->answer.make_more = make_trace;
		q->answer.make_more_arg = q;
	}
	q->answer.value = &q->value;
	q->answer.stats = q->want_stats ? ql_stats(ql) : NULL;
	reply(q);
}

/* --- REPLYING --- */

/* As promjson_next, and how long it takes. */
static bool encode(struct query *q, struct buf *out, size_t at_least)
{
	if (LIKELY(!q->tracing))
		return promjson_next(&q->encoder, out, at_least);
	q->encode_ns = clock_real_mono_ns();
	bool end = promjson_next(&q->encoder, out, at_least);
	q->tracing->encode_ns += clock_real_mono_ns() - q->encode_ns;
	return end;
}

static void reply(struct query *q)
{
	if (q->plain_reply) {
		q->plain_reply(q->plain_arg, &q->answer);
		return;
	}
	promjson_query(&q->encoder, &q->answer);
	if (encode(q, &q->first, WHOLE_BYTES))
		req_reply_buf(q->req, 200, "application/json", &q->first);
	else
		req_reply_stream(q->req, 200, "application/json", pull);
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct query *q = r->own;
	if (q->first.len) {
		buf_add(out, q->first.data, q->first.len);
		buf_release(&q->first);
		return REQ_MORE;
	}
	return encode(q, out, PIECE_BYTES) ? REQ_END : REQ_MORE;
}

static void sent(struct req *r)
{
	api_query_end(r->own);
}

void api_query_end(struct query *q)
{
	if (!q)
		return;
	buf_release(&q->first);
	running_del(&q->running);
	if (q->tracing)
		tracing_release(q->tracing);
	drop_result(q);
	ask_end(&q->ask);
}
