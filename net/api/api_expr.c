#include "net/api/api_expr.h"

#include "core/base/json.h"
#include "core/promql/lang/ql_parse.h"
#include "core/promql/ql.h"
#include "net/api/api_query.h"
#include "net/api/ask.h"
#include "net/api/param.h"
#include "proto/astjson.h"
#include "proto/promjson.h"

#include <string.h>

#define PIECE_BYTES      (32u << 10) /* of an answer, per pull */
#define EXPRESSION_BLOCK (16u << 10)
#define WHOLE_BYTES      (64u << 10) /* an answer up to this goes out in one, with its length */

/* What it takes to parse and print one is the ticket's; the answer is, until it has been read. */
struct expression {
	struct ask ask;
	struct arena arena; /* of the tree */
	const char *text;
	size_t text_len;
	bool check; /* a mistake is an answer, not an error */
	struct ql_parse_opts opts;
	enum err err;
	struct errbuf eb;
	struct buf out;    /* the answer; empty: there is nothing to say */
	struct buf pretty; /* on its way into out */
	size_t given;      /* of out */
	void (*print)(struct expression *x, struct ql_node *root);
};

/* Printed expressions may be hundreds of times as long as they came. */
static enum err expression_print(struct expression *x, struct ql_node *root)
{
	struct purse *purse = ticket_purse(x->ask.ticket);
	enum err e = ERR_OK;
	x->out.purse = x->pretty.purse = purse;
	x->print(x, root);
	if (x->out.over || x->pretty.over)
		e = ticket_no_room(purse, x->out.cap + x->pretty.cap, &x->eb);
	buf_release(&x->pretty);
	if (e)
		buf_release(&x->out);
	return e;
}

/* On the loop or on a worker. */
static void expression_make(struct ask *a)
{
	struct expression *x = CONTAINER_OF(a, struct expression, ask);
	struct ql_node *root;
	errbuf_init(&x->eb);
	arena_purse(&x->arena, ticket_purse(a->ticket));
	x->err = api_query_text_fits(x->opts.limits, x->text_len, &x->eb);
	if (!x->err)
		x->err = ql_parse(&x->arena, x->text, x->text_len, &x->opts, &root, &x->eb);
	if (!x->err) {
		if (!purse_over(ticket_purse(a->ticket)))
			x->err = expression_print(x, root);
		ql_ast_release(root);
	}
}

static enum req_pull expression_pull(struct req *r, struct buf *out)
{
	struct expression *x = r->own;
	size_t left = x->out.len - x->given, n = left < PIECE_BYTES ? left : PIECE_BYTES;
	buf_add(out, x->out.data + x->given, n);
	x->given += n;
	return x->given < x->out.len ? REQ_MORE : REQ_END;
}

static void expression_reply(struct expression *x)
{
	struct req *r = x->ask.req;
	if (x->out.len <= WHOLE_BYTES)
		req_reply_buf(r, 200, "application/json", &x->out);
	else if (api_query_held(r, x->out.cap))
		req_reply_stream(r, 200, "application/json", expression_pull);
	else
		buf_release(&x->out); /* however long the client takes to read why */
}

/* {"error":"1:5: parse error: ..."}, as an error would say it. */
static void check_mistake(struct expression *x)
{
	promjson_begin(&x->out);
	buf_add_str(&x->out, "{\"error\":");
	json_str(&x->out, x->eb.text, strlen(x->eb.text));
	buf_add_str(&x->out, "}");
	promjson_end(&x->out, NULL, NULL);
}

static void expression_made(struct ask *a)
{
	struct expression *x = CONTAINER_OF(a, struct expression, ask);
	if (x->check && x->err == ERR_BADDATA)
		check_mistake(x);
	if (purse_over(ticket_purse(a->ticket)))
		ask_no_room(a);
	else if (x->err && !(x->check && x->err == ERR_BADDATA))
		api_query_error(a->req, x->err, &x->eb, true);
	else if (x->out.len)
		expression_reply(x);
	else
		req_reply(a->req, 204, NULL, NULL, 0, REQ_BORROW);
	arena_release(&x->arena);
	ask_worked_out(a);
}

static void expression_go(struct ask *a)
{
	struct expression *x = CONTAINER_OF(a, struct expression, ask);
	ask_work(a, ql_text_is_costly(x->text, x->text_len), expression_make, expression_made);
}

static void expression_left(struct req *r)
{
	struct expression *x = r->own;
	ask_left(&x->ask);
}

static void expression_sent(struct req *r)
{
	struct expression *x = r->own;
	buf_release(&x->out);
	ask_end(&x->ask);
}

static void expression_start(struct req *r, const struct urlq *u, bool check,
    void (*print)(struct expression *x, struct ql_node *root))
{
	const struct ql_features *f = &api_conf(r)->features;
	struct expression *x = arena_zalloc(&r->arena, sizeof(*x));
	x->ask.go = expression_go;
	x->check = check;
	x->print = print;
	x->opts = (struct ql_parse_opts){ .experimental_functions = f->experimental_functions,
		.extended_selectors = f->extended_selectors,
		.fill_modifiers = f->fill_modifiers,
		.limits = limits_here() };
	buf_init(&x->out);
	buf_init(&x->pretty);
	x->text = urlq_get(u, "query", &x->text_len);
	arena_init(&x->arena, EXPRESSION_BLOCK);
	r->own = x;
	r->on_gone = expression_left;
	r->on_done = expression_sent;
	ask_start(&x->ask, r, api_timeout_ms(r), x->text, x->text_len);
}

static void format_print(struct expression *x, struct ql_node *root)
{
	ql_pretty(&x->pretty, root);
	if (x->pretty.over)
		return;
	promjson_begin(&x->out);
	promjson_item_string(&x->out, true, (const char *)x->pretty.data, x->pretty.len);
	promjson_end(&x->out, NULL, NULL);
}

void api_expr_format(struct req *r)
{
	struct urlq u;
	if (param_parse(r, &u))
		expression_start(r, &u, false, format_print);
}

static void parse_print(struct expression *x, struct ql_node *root)
{
	promjson_begin(&x->out);
	astjson(&x->out, root);
	promjson_end(&x->out, NULL, NULL);
}

/* Of check=1: there is no mistake. */
static void check_print(struct expression *x, struct ql_node *root)
{
	(void)root;
	promjson_begin(&x->out);
	buf_add_str(&x->out, "{}");
	promjson_end(&x->out, NULL, NULL);
}

void api_expr_parse(struct req *r)
{
	struct urlq u;
	size_t len;
	if (!param_parse(r, &u))
		return;
	const char *s = urlq_get(&u, "check", &len);
	bool check = len == 1 && *s == '1';
	expression_start(r, &u, check, check ? check_print : parse_print);
}
