#include "net/api/api_queries.h"

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/num.h"
#include "core/model/tenant.h"
#include "net/api/apierr.h"
#include "net/api/param.h"
#include "net/api/running.h"
#include "proto/promjson.h"

#include <inttypes.h>
#include <stdlib.h>

#define TOP_USUAL        20
#define TOP_MOST         1000
#define LIFETIME_USUAL   (10 * 60 * 1000)
#define ACTIVE_BYTES_MAX ((size_t)1 << 20) /* of one loop's list; the rest is left out */

/* A message to each loop and back. */
struct gather {
	struct req *req;
	unsigned out;
	void (*look)(struct gather *g, struct running_loop *l, struct buf *to); /* on each loop */
	void (*all)(struct gather *g);                                          /* at home */
	/* of active_queries and top_queries */
	const uint32_t *tenants; /* copied: who asks may leave */
	size_t tenants_count;
	int64_t now_ms, lifetime_ms, top;
	struct work_task task;
	struct buf answer;
	unsigned count;
	struct gather_part {
		struct gather *of;
		struct mbox_msg msg;
		struct buf part;
	} parts[];
};

static void come_back(struct mbox_msg *m)
{
	struct gather_part *p = CONTAINER_OF(m, struct gather_part, msg);
	struct gather *g = p->of;
	if (--g->out == 0)
		g->all(g);
}

static void look_there(struct mbox_msg *m)
{
	struct gather_part *p = CONTAINER_OF(m, struct gather_part, msg);
	struct gather *g = p->of;
	struct api *a = api_of(g->req);
	g->look(g, &a->loops[loop_index(loop_here())].running, &p->part);
	m->fn = come_back;
	loop_send(g->req->loop, m);
}

static void gather_sent(struct req *r)
{
	struct gather *g = r->own;
	for (unsigned i = 0; i < g->count; i++)
		buf_release(&g->parts[i].part);
	buf_release(&g->answer);
}

static struct gather *gather_new(struct req *r)
{
	unsigned loops = team_count(api_of(r)->opts.team);
	struct gather *g = arena_zalloc(&r->arena, sizeof(*g) + loops * sizeof(g->parts[0]));
	g->req = r;
	g->count = loops;
	g->tenants = r->tenants;
	g->tenants_count = r->tenants_count;
	g->now_ms = loop_now_ms(r->loop);
	buf_init(&g->answer);
	r->own = g;
	r->on_done = gather_sent;
	return g;
}

static void gather_start(struct gather *g)
{
	g->out = g->count;
	for (unsigned i = 0; i < g->count; i++) {
		struct gather_part *p = &g->parts[i];
		p->of = g;
		p->msg.fn = look_there;
		buf_init(&p->part);
		loop_send(team_loop(api_of(g->req)->opts.team, i), &p->msg);
	}
}

/* --- active queries --- */

static const char *state_word(const struct running *n)
{
	return n->state == RUNNING_WAITS ? "waits"
	    : n->state == RUNNING_WORKS  ? "works"
	                                 : "answers";
}

static void active_put(struct buf *b, const struct running *n)
{
	char remote[64];
	uint64_t ms = (loop_now_ns(n->req->loop) - n->req->start_ns) / 1000000;
	req_remote_text(n->req, remote, sizeof(remote));
	buf_printf(b,
	    "{\"duration\":\"%" PRIu64 ".%03us\",\"id\":\"%016" PRIX64 "\",\"remote_addr\":",
	    ms / 1000, (unsigned)(ms % 1000), n->id);
	json_str(b, remote, strlen(remote));
	buf_add_str(b, ",\"path\":");
	json_str(b, n->req->path, n->req->path_len);
	buf_printf(b, ",\"state\":\"%s\",\"query\":", state_word(n));
	json_str(b, n->what, n->what_len);
	buf_printf(b, ",\"start\":%" PRId64 ",\"end\":%" PRId64 ",\"step\":%" PRId64 "}",
	    n->start_ms, n->end_ms, n->step_ms);
}

static void active_look(struct gather *g, struct running_loop *l, struct buf *to)
{
	for (struct list_link *k = l->list.next; k != &l->list; k = k->next) {
		const struct running *n = CONTAINER_OF(k, struct running, _link);
		if (!running_is_for(n, g->tenants, g->tenants_count))
			continue;
		if (to->len + n->what_len > ACTIVE_BYTES_MAX)
			break;
		if (to->len)
			buf_add_u8(to, ',');
		active_put(to, n);
	}
}

static void active_all(struct gather *g)
{
	struct buf *b = &g->answer;
	bool any = false;
	promjson_begin(b);
	buf_add_u8(b, '[');
	for (unsigned i = 0; i < g->count; i++) {
		const struct buf *part = &g->parts[i].part;
		if (any && part->len)
			buf_add_u8(b, ',');
		any |= part->len > 0;
		buf_add(b, part->data, part->len);
	}
	buf_add_u8(b, ']');
	promjson_end(b, NULL, NULL);
	req_reply_buf(g->req, 200, "application/json", b);
}

void api_queries_active(struct req *r)
{
	struct gather *g = gather_new(r);
	g->look = active_look;
	g->all = active_all;
	gather_start(g);
}

/* --- cancel --- */

struct cancel {
	struct req *req;
	struct mbox_msg msg;
	uint64_t id;
	bool done;
};

static void cancel_home(struct mbox_msg *m)
{
	struct cancel *c = CONTAINER_OF(m, struct cancel, msg);
	if (c->done)
		req_reply(c->req, 204, NULL, NULL, 0, REQ_BORROW);
	else
		req_refuse(c->req, 404, "not_found",
		    "no query with the id %016" PRIX64 " is active", c->id);
}

static void cancel_there(struct mbox_msg *m)
{
	struct cancel *c = CONTAINER_OF(m, struct cancel, msg);
	struct running_loop *l = &api_of(c->req)->loops[loop_index(loop_here())].running;
	struct running *n = running_find(l, c->id);
	c->done = n && running_is_for(n, c->req->tenants, c->req->tenants_count);
	if (c->done)
		n->cancel(n);
	m->fn = cancel_home;
	loop_send(c->req->loop, m);
}

/* As the list writes it: hex. 0: it is none. */
static uint64_t id_of(const char *s, size_t len)
{
	uint64_t id = 0;
	if (!len || len > 16)
		return 0;
	for (size_t i = 0; i < len; i++) {
		int d = bytes_hex((unsigned char)s[i]);
		if (d < 0)
			return 0;
		id = id << 4 | (unsigned)d;
	}
	return id;
}

void api_queries_cancel(struct req *r)
{
	struct cancel *c = arena_zalloc(&r->arena, sizeof(*c));
	c->req = r;
	c->id = id_of(r->param, r->param_len);
	if (!c->id || running_loop_of(c->id) >= team_count(api_of(r)->opts.team)) {
		req_refuse(r, 404, "not_found", "no query with this id is active");
		return;
	}
	c->msg.fn = cancel_there;
	loop_send(team_loop(api_of(r)->opts.team, running_loop_of(c->id)), &c->msg);
}

/* --- top queries --- */

/* What a loop gives: these, the text of each behind it. */
struct top_head {
	int64_t range_ms;
	uint64_t took_us, held_bytes;
	uint32_t text_len;
	uint32_t pad;
};
struct top_row {
	const char *text;
	uint32_t text_len;
	int64_t range_ms;
	uint64_t count, took_us, held_bytes;
};

static void top_look(struct gather *g, struct running_loop *l, struct buf *to)
{
	for (size_t i = 0; i < l->past_count; i++) {
		const struct running_past *p = &l->past[i];
		if (g->tenants_count != 1 || p->tenant != g->tenants[0] ||
		    p->at_ms < g->now_ms - g->lifetime_ms)
			continue;
		struct top_head h = { .range_ms = p->range_ms,
			.took_us = p->took_us,
			.held_bytes = p->held_bytes,
			.text_len = p->text_len };
		buf_add(to, &h, sizeof(h));
		buf_add(to, p->text, p->text_len);
	}
}

static int by_text(const void *x, const void *y)
{
	const struct top_row *a = x, *b = y;
	int c = bytes_cmp(a->text, a->text_len, b->text, b->text_len);
	return c ? c : (a->range_ms > b->range_ms) - (a->range_ms < b->range_ms);
}

static int most(uint64_t a, uint64_t b, const void *x, const void *y)
{
	return a != b ? (a < b ? 1 : -1) : by_text(x, y);
}

static int by_count(const void *x, const void *y)
{
	const struct top_row *a = x, *b = y;
	return most(a->count, b->count, x, y);
}

static int by_avg(const void *x, const void *y)
{
	const struct top_row *a = x, *b = y;
	return most(a->took_us / a->count, b->took_us / b->count, x, y);
}

static int by_sum(const void *x, const void *y)
{
	const struct top_row *a = x, *b = y;
	return most(a->took_us, b->took_us, x, y);
}

static int by_held(const void *x, const void *y)
{
	const struct top_row *a = x, *b = y;
	return most(a->held_bytes / a->count, b->held_bytes / b->count, x, y);
}

static size_t rows_take(const struct gather *g, struct top_row *rows)
{
	size_t n = 0;
	for (unsigned i = 0; i < g->count; i++) {
		const struct buf *part = &g->parts[i].part;
		for (size_t at = 0; at < part->len; n++) {
			struct top_head h;
			memcpy(&h, part->data + at, sizeof(h));
			if (rows)
				rows[n] = (struct top_row){ .text = (const char *)part->data + at +
					    sizeof(h),
					.text_len = h.text_len,
					.range_ms = h.range_ms,
					.count = 1,
					.took_us = h.took_us,
					.held_bytes = h.held_bytes };
			at += sizeof(h) + h.text_len;
		}
	}
	return n;
}

/* The same text over the same range is one row. */
static size_t rows_join(struct top_row *rows, size_t n)
{
	size_t kept = 0;
	if (n)
		qsort(rows, n, sizeof(*rows), by_text);
	for (size_t i = 0; i < n; i++) {
		if (kept && !by_text(&rows[kept - 1], &rows[i])) {
			rows[kept - 1].count += rows[i].count;
			rows[kept - 1].took_us += rows[i].took_us;
			rows[kept - 1].held_bytes += rows[i].held_bytes;
		} else {
			rows[kept++] = rows[i];
		}
	}
	return kept;
}

enum top_field {
	TOP_COUNT,
	TOP_AVG,
	TOP_SUM,
	TOP_HELD
};

static void seconds_put(struct buf *b, const char *name, uint64_t us)
{
	buf_printf(b, ",\"%s\":%" PRIu64 ".%06u", name, us / 1000000, (unsigned)(us % 1000000));
}

static void top_put(struct buf *b, const struct top_row *t, enum top_field field)
{
	buf_add_str(b, "{\"query\":");
	json_str(b, t->text, t->text_len);
	buf_printf(b, ",\"timeRangeSeconds\":%" PRId64, t->range_ms / 1000);
	if (field == TOP_AVG)
		seconds_put(b, "avgDurationSeconds", t->took_us / t->count);
	if (field == TOP_SUM)
		seconds_put(b, "sumDurationSeconds", t->took_us);
	if (field == TOP_HELD)
		buf_printf(b, ",\"avgMemoryBytes\":%" PRIu64, t->held_bytes / t->count);
	buf_printf(b, ",\"count\":%" PRIu64 "}", t->count);
}

static void top_list(struct gather *g, struct top_row *rows, size_t n, const char *name,
    int (*cmp)(const void *, const void *), enum top_field field)
{
	struct buf *b = &g->answer;
	buf_printf(b, ",\"%s\":[", name);
	if (n)
		qsort(rows, n, sizeof(*rows), cmp);
	for (size_t i = 0; i < n && (int64_t)i < g->top; i++) {
		if (i)
			buf_add_u8(b, ',');
		top_put(b, &rows[i], field);
	}
	buf_add_u8(b, ']');
}

/* On a worker: thousands of rows are sorted five times. */
static void top_make(struct work_task *t)
{
	struct gather *g = CONTAINER_OF(t, struct gather, task);
	char lifetime[NUM_FMT_MAX + 1] = "";
	size_t n = rows_take(g, NULL);
	struct top_row *rows = mem_array(NULL, n + 1, sizeof(*rows));
	n = rows_join(rows, rows_take(g, rows));
	num_fmt_duration(g->lifetime_ms, lifetime);
	buf_printf(&g->answer,
	    "{\"status\":\"success\",\"topN\":\"%" PRId64 "\",\"maxLifetime\":\"%s\"", g->top,
	    lifetime);
	buf_printf(
	    &g->answer, ",\"search.queryStats.lastQueriesCount\":%u", RUNNING_RECENT * g->count);
	top_list(g, rows, n, "topByCount", by_count, TOP_COUNT);
	top_list(g, rows, n, "topByAvgDuration", by_avg, TOP_AVG);
	top_list(g, rows, n, "topBySumDuration", by_sum, TOP_SUM);
	top_list(g, rows, n, "topByAvgMemoryUsage", by_held, TOP_HELD);
	buf_add_u8(&g->answer, '}');
	mem_free(rows);
}

static void top_made(struct work_task *t)
{
	struct gather *g = CONTAINER_OF(t, struct gather, task);
	req_reply_buf(g->req, 200, "application/json", &g->answer);
}

static void top_all(struct gather *g)
{
	g->task = (struct work_task){ .run = top_make, .done = top_made, .prio = WORK_READ };
	work_submit(api_of(g->req)->opts.pool, &g->task);
}

void api_queries_top(struct req *r)
{
	struct urlq u;
	struct errbuf eb;
	size_t len;
	int64_t top = TOP_USUAL, lifetime = LIFETIME_USUAL;
	errbuf_init(&eb);
	if (!param_parse(r, &u))
		return;
	const char *s = urlq_get(&u, "topNum", &len);
	if (len && (num_parse_i64(s, len, &top) || top < 1 || top > TOP_MOST)) {
		apierr_param(r, "topNum", "it must be a number from 1 to 1000");
		return;
	}
	s = urlq_get(&u, "maxLifetime", &len);
	if (len && (urlq_duration(s, len, &lifetime, &eb) || lifetime <= 0)) {
		apierr_param(r, "maxLifetime", eb.text[0] ? eb.text : "it must be more than zero");
		return;
	}
	struct gather *g = gather_new(r);
	g->top = top;
	g->lifetime_ms = lifetime;
	g->look = top_look;
	g->all = top_all;
	gather_start(g);
}
