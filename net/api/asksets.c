#include "net/api/asksets.h"

#include "net/api/apierr.h"

/* On the loop or on a worker. */
static void make(struct ask *a)
{
	struct asksets *s = CONTAINER_OF(a, struct asksets, ask);
	errbuf_init(&s->eb);
	s->err = param_sets(&a->req->arena, &s->u, s->limits, s->prefixed, &s->sets, &s->eb);
}

static void made(struct ask *a)
{
	struct asksets *s = CONTAINER_OF(a, struct asksets, ask);
	if (a->left && !s->err)
		s->err = errbuf_set(&s->eb, ERR_CANCELED, "query was canceled in query execution");
	if (!s->err) {
		s->made(s);
		return;
	}
	ask_worked_out(a);
	apierr_json(a->req, s->err, s->eb.text, strlen(s->eb.text));
}

static void go(struct ask *a)
{
	struct asksets *s = CONTAINER_OF(a, struct asksets, ask);
	s->limits = limits_here();
	ask_work(a, param_sets_costly(&s->u), make, made);
}

void asksets_start(struct asksets *s, struct req *r, const struct urlq *u, int64_t timeout_ms)
{
	s->u = *u;
	s->ask.go = go;
	ask_start(&s->ask, r, timeout_ms, r->query, r->query_len);
}

void asksets_end(struct asksets *s)
{
	param_sets_release(&s->sets);
	ask_end(&s->ask);
}
