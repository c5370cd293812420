#include "net/api/api_exemplars.h"

#include "core/base/metric.h"
#include "core/base/wire.h"
#include "core/promql/lang/ql_parse.h"
#include "core/promql/ql.h"
#include "net/api/apierr.h"
#include "net/api/ask.h"
#include "net/api/scan.h"
#include "proto/promjson.h"

#define PIECE_BYTES (32u << 10)
#define TREE_BLOCK  (16u << 10)
#define TRUNCATED   "results truncated due to limit"

struct exemplars { /* in the request's arena */
	struct ask ask;
	struct req *req;
	const char *text;
	size_t text_len;
	struct ql_parse_opts parse;
	struct arena arena; /* of the tree and the sets, of the ticket's purse */
	struct ql_node *root;
	struct param_sets sets; /* matchers are the tree's */
	enum err err;           /* of making them */
	struct errbuf eb;
	struct scan_opts o;
	struct scan *scan;
	bool done, begun;
	struct labels last; /* series given last */
	size_t given;
};

static void left(struct req *r)
{
	struct exemplars *x = r->own;
	if (!ask_left(&x->ask) && x->scan && !x->done)
		scan_cancel(x->scan, ERR_CANCELED);
}

static void sent(struct req *r)
{
	struct exemplars *x = r->own;
	scan_free(x->scan);
	if (x->root)
		ql_ast_release(x->root);
	arena_release(&x->arena);
	ask_end(&x->ask);
}

static bool set_add(void *arg, struct ql_node *n)
{
	struct exemplars *x = arg;
	if (n->kind != QL_SELECTOR)
		return true;
	if (x->sets.sets)
		x->sets.sets[x->sets.count] = (struct param_matchers){ .items = n->sel.matchers,
			.count = n->sel.matchers_count };
	x->sets.count++;
	return true;
}

/* Counted first, then taken. On the loop or on a worker. */
static void make(struct ask *a)
{
	struct exemplars *x = CONTAINER_OF(a, struct exemplars, ask);
	char limit[LIMITS_TEXT_MAX];
	errbuf_init(&x->eb);
	arena_purse(&x->arena, ticket_purse(a->ticket));
	if (x->text_len > x->parse.limits->query_text_bytes) {
		x->err = errbuf_set(&x->eb, ERR_BADDATA, "expression of %zu bytes, %s", x->text_len,
		    limits_text(x->parse.limits, LIMITS_query_text_bytes, limit));
		return;
	}
	x->err = ql_parse(&x->arena, x->text, x->text_len, &x->parse, &x->root, &x->eb);
	if (x->err) {
		x->root = NULL;
		return;
	}
	ql_walk(x->root, QL_PARENTS_FIRST, set_add, x);
	if (!x->sets.count)
		return;
	x->sets.sets = arena_array(&x->arena, x->sets.count, sizeof(*x->sets.sets));
	x->sets.count = 0;
	ql_walk(x->root, QL_PARENTS_FIRST, set_add, x);
}

static void made(struct ask *a)
{
	struct exemplars *x = CONTAINER_OF(a, struct exemplars, ask);
	x->done = true;
	if (a->left && !x->err)
		x->err = errbuf_set(&x->eb, ERR_CANCELED, "query was canceled in query execution");
	if (!x->err && x->sets.count && !purse_over(ticket_purse(a->ticket))) {
		x->done = false;
		x->o.ticket = a->ticket;
		x->scan = scan_start(api_of(x->req)->source, &x->o);
		return;
	}
	ask_worked_out(a);
	if (purse_over(ticket_purse(a->ticket)))
		ask_no_room(a);
	else if (x->err)
		apierr_json(x->req, x->err, x->eb.text, strlen(x->eb.text));
	else
		req_reply(x->req, 204, NULL, NULL, 0, REQ_BORROW);
}

static void go(struct ask *a)
{
	struct exemplars *x = CONTAINER_OF(a, struct exemplars, ask);
	ask_work(a, ql_text_is_costly(x->text, x->text_len), make, made);
}

/* What runs is ended, where it waits for a place or not. */
static void late(struct ask *a)
{
	struct exemplars *x = CONTAINER_OF(a, struct exemplars, ask);
	if (x->scan && !x->done)
		scan_cancel(x->scan, ERR_TIMEOUT);
}

static void pull_end(struct exemplars *x, struct buf *out)
{
	struct promjson_notes w = { .count = 0 };
	size_t n = 0;
	metric_add(M_META_TRUNCATED, scan_truncated(x->scan));
	if (scan_truncated(x->scan))
		w.extra[n++] = TRUNCATED;
	for (size_t i = 0; n < COUNT_OF(w.extra) && scan_warning(x->scan, i); i++)
		w.extra[n++] = scan_warning(x->scan, i);
	buf_add_u8(out, ']');
	promjson_end(out, &w, NULL);
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct exemplars *x = r->own;
	size_t full = out->len + PIECE_BYTES, len;
	const char *item;
	if (!x->begun) {
		promjson_begin(out);
		buf_add_u8(out, '[');
		x->begun = true;
	}
	while (out->len < full) {
		if (!(item = scan_next(x->scan, &len))) {
			pull_end(x, out);
			return REQ_END;
		}
		struct wire_reader list;
		struct labels ls = scan_exemplars(item, len, &list);
		if (x->given && label_equal(ls, x->last)) /* another selector met it later */
			continue;
		x->last = ls;
		promjson_exemplars(out, x->given++ == 0, ls, &list);
	}
	return REQ_MORE;
}

static void scanned(void *arg, struct scan *s)
{
	struct exemplars *x = arg;
	const char *text;
	x->done = true;
	ask_worked_out(&x->ask);
	enum err err = scan_err(s, &text);
	if (err) {
		apierr_json(x->req, err, text, strlen(text));
	} else if (!req_hold(x->req, purse_used(ticket_purse(x->ask.ticket)))) {
		req_refuse_overloaded(x->req, "the answer needs more memory than there is now");
	} else {
		req_reply_stream(x->req, 200, "application/json", pull);
		return;
	}
	scan_free(s); /* however long the client takes to read why */
	x->scan = NULL;
}

void api_query_exemplars(struct req *r)
{
	struct urlq u;
	int64_t from, to;
	if (!param_parse(r, &u) || !param_time(r, &u, "start", PARAM_TIME_MIN, &from) ||
	    !param_time(r, &u, "end", PARAM_TIME_MAX, &to))
		return;
	if (to < from) {
		apierr_param(r, "end", "end timestamp must not be before start time");
		return;
	}
	const struct ql_features *f = &api_conf(r)->features;
	struct exemplars *x = arena_zalloc(&r->arena, sizeof(*x));
	x->req = r;
	x->ask.go = go;
	x->ask.late = late;
	x->parse = (struct ql_parse_opts){ .experimental_functions = f->experimental_functions,
		.extended_selectors = f->extended_selectors,
		.fill_modifiers = f->fill_modifiers,
		.limits = limits_here() };
	x->text = urlq_get(&u, "query", &x->text_len);
	arena_init(&x->arena, TREE_BLOCK);
	x->o = (struct scan_opts){ .what = SOURCE_EXEMPLARS,
		.t_min_ms = from,
		.t_max_ms = to,
		.sets = &x->sets,
		.tenants = r->tenants,
		.tenants_count = r->tenants_count,
		.deadline_ns = loop_now_ns(r->loop) + (uint64_t)api_timeout_ms(r) * 1000000u,
		.done = scanned,
		.arg = x };
	r->own = x;
	r->on_gone = left;
	r->on_done = sent;
	ask_start(&x->ask, r, api_timeout_ms(r), x->text, x->text_len);
}
