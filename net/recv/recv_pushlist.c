/* recv_pushlist - groups that were pushed, for programs and for people: net/recv/recv_push.h. */
#include "core/base/json.h"
#include "net/recv/recv.h"
#include "net/recv/recv_push_priv.h"

#define PIECE (64u << 10)

/* Made by a worker, some groups at a time; lives until the answer ends and no worker has it. */
struct listing {
	struct req *req; /* NULL: the answer has ended */
	struct pushtable *table;
	struct work_task task;
	struct work_pool *pool;
	struct pushgroup *at; /* the last one that was told, held */
	struct pushjson json; /* of it, while not all of it is told */
	uint32_t tenant;
	struct buf out;
	size_t sent;
	bool html, begun, working, ended;
};

/* ---- a page ---- */

static void escaped(struct buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '<')
			buf_add_str(out, "&lt;");
		else if (s[i] == '>')
			buf_add_str(out, "&gt;");
		else if (s[i] == '&')
			buf_add_str(out, "&amp;");
		else if (s[i] == '"')
			buf_add_str(out, "&quot;");
		else
			buf_add_u8(out, (uint8_t)s[i]);
	}
}

static void put_time(struct buf *out, int64_t ms)
{
	char text[NUM_FMT_MAX];
	size_t n = ms ? num_fmt_time(ms, text) : 0;
	buf_printf(out, "<td>%.*s</td>", (int)n, text);
}

static void put_row(struct buf *out, const struct pushgroup *g)
{
	struct label l;
	buf_add_str(out, "<tr><td>");
	for (struct label_iter it = label_iter(g->labels); label_next(&it, &l);) {
		escaped(out, l.name, l.name_len);
		buf_add_str(out, "=&quot;");
		escaped(out, l.value, l.value_len);
		buf_add_str(out, "&quot; ");
	}
	buf_add_str(out, "</td>");
	put_time(out, g->pushed_ms);
	put_time(out, g->failed_ms);
	buf_printf(
	    out, "<td>%u</td><td>%llu</td></tr>\n", g->families_count, (unsigned long long)g->rows);
}

static void put_begin(struct listing *x)
{
	if (x->html)
		buf_add_str(&x->out,
		    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Pushed groups</title>\n"
		    "<style>body{font-family:sans-serif}td,th{padding:.2em .8em;text-align:left}</style>\n"
		    "<h1>Pushed groups</h1>\n<p>What was pushed to /metrics/job/..., and is stored again until it is deleted (DELETE on the same path).</p>\n"
		    "<table><tr><th>group</th><th>last push</th><th>last failure</th><th>families</th><th>series</th></tr>\n");
	else
		buf_add_str(&x->out, "{\"status\":\"success\",\"data\":[");
}

/* ---- pieces ---- */

static void run(struct work_task *t)
{
	struct listing *x = CONTAINER_OF(t, struct listing, task);
	if (!x->begun)
		put_begin(x);
	while (x->out.len < PIECE) {
		if (x->json.group) {
			if (pushjson_next(&x->json, &x->out, PIECE))
				pushjson_end(&x->json);
			continue;
		}
		bool first = !x->at && !x->begun;
		x->begun = true;
		x->at = pushtable_next(x->table, x->tenant, x->at);
		if (!x->at) {
			buf_add_str(&x->out, x->html ? "</table></html>\n" : "]}");
			x->ended = true;
			return;
		}
		if (x->html) {
			put_row(&x->out, x->at);
			continue;
		}
		if (!first)
			buf_add_u8(&x->out, ',');
		pushjson_begin(&x->json, x->at);
	}
}

static void release(struct listing *x)
{
	pushjson_end(&x->json);
	pushtable_let_go(x->table, x->at);
	buf_release(&x->out);
	mem_free(x);
}

static void run_done(struct work_task *t)
{
	struct listing *x = CONTAINER_OF(t, struct listing, task);
	x->working = false;
	if (x->req)
		req_resume(x->req);
	else
		release(x);
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct listing *x = r->own;
	if (x->working)
		return REQ_LATER;
	if (x->sent < x->out.len) {
		size_t n = x->out.len - x->sent;
		n = n < PIECE ? n : PIECE;
		buf_add(out, x->out.data + x->sent, n);
		x->sent += n;
		return REQ_MORE;
	}
	if (x->ended)
		return REQ_END;
	buf_clear(&x->out);
	x->sent = 0;
	x->working = true;
	x->task = (struct work_task){ .run = run, .done = run_done, .prio = WORK_READ };
	work_submit(x->pool, &x->task);
	return REQ_LATER;
}

static void ended(struct req *r)
{
	struct listing *x = r->own;
	x->req = NULL;
	if (!x->working)
		release(x);
}

static void list(struct req *r, bool html, const char *type)
{
	if (recv_is_off(r, RECEIVER_PUSHGATEWAY))
		return;
	struct listing *x = mem_zalloc(sizeof(*x));
	x->req = r;
	x->table = api_of(r)->push->table;
	x->pool = api_of(r)->opts.pool;
	x->tenant = r->tenant;
	x->html = html;
	buf_init(&x->out);
	r->own = x;
	r->on_done = ended;
	req_reply_stream(r, 200, type, pull);
}

void recv_push_groups(struct req *r)
{
	list(r, false, "application/json");
}

void recv_push_page(struct req *r)
{
	list(r, true, "text/html; charset=utf-8");
}

/* ---- about the server ---- */

struct flags {
	struct buf *out;
	bool any;
};

static void put_flag(void *arg, const char *name, const char *value)
{
	struct flags *f = arg;
	if (f->any)
		buf_add_u8(f->out, ',');
	f->any = true;
	json_str(f->out, name, strlen(name));
	buf_add_u8(f->out, ':');
	json_str(f->out, value, strlen(value));
}

static void put_member(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "\"%s\":", name);
	json_str(out, value ? value : "", value ? strlen(value) : 0);
}

void recv_push_status(struct req *r)
{
	const struct api_opts *o = &api_of(r)->opts;
	const struct api_conf *c = api_conf(r);
	char when[NUM_FMT_MAX];
	size_t n = num_fmt_time(api_of(r)->start_ms, when);
	struct buf b;
	buf_init(&b);
	struct flags f = { .out = &b };
	buf_add_str(&b, "{\"status\":\"success\",\"data\":{\"build_information\":{");
	put_member(&b, "branch", o->branch);
	buf_add_u8(&b, ',');
	put_member(&b, "buildDate", o->build_date);
	buf_add_u8(&b, ',');
	put_member(&b, "revision", o->revision);
	buf_add_u8(&b, ',');
	put_member(&b, "version", o->version);
	buf_add_str(&b, "},\"flags\":{");
	if (c->flags_each)
		c->flags_each(c->flags, put_flag, &f);
	buf_printf(&b, "},\"start_time\":\"%.*s\"}}", (int)n, when);
	req_reply_buf(r, 200, "application/json", &b);
}
