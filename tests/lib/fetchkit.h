/*
 * fetchkit - fetches of a test on loop 0 of its team, and clients for them, header only.
 *
 * Thread: the test's main thread; callbacks run on the loop, which testteam_run keeps apart.
 */
#ifndef TESTS_LIB_FETCHKIT_H
#define TESTS_LIB_FETCHKIT_H

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "net/client/hclient.h"
#include "net/client/resolveconf.h"
#include "net/client/tlscli.h"
#include "tests/lib/playsrv.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define PATIENCE_MS 600000u /* for what must come */
#define SHORT_MS    150u    /* for deadlines that must pass */

static struct testteam ft;
static struct resolve_conf *conf;
static struct tlscli *tls;
TAP_UNUSED static char url[4096];

/* ---- a fetch of a test ---- */

struct got {
	struct hclient *c;
	struct hclient_req req;
	struct hfetch *f;
	bool done, headed;
	enum err err;
	char text[1200];
	int status, head_status;
	unsigned tries, version, datas;
	int64_t h2_code;
	char *body;
	size_t len;
	char fields[4096]; /* name=value; */
	char trailers[256];
	/* What to do. */
	size_t cancel_after, pause_after; /* bytes; 0 = never */
	bool cancel_in_head, free_in_data, cancelled;
	const char *pull; /* body in pieces of pull_piece */
	size_t pull_len, pull_piece, pull_off;
	bool pull_rests, pull_breaks;
};

TAP_UNUSED static void on_head(void *own, const struct hclient_head *h)
{
	struct got *g = own;
	g->headed = true;
	g->head_status = h->status;
	if (g->cancel_in_head) {
		hclient_cancel(g->f);
		g->cancelled = true;
	}
}

TAP_UNUSED static void keep_body(struct got *g, const uint8_t *data, size_t len)
{
	g->body = realloc(g->body, g->len + len + 1);
	memcpy(g->body + g->len, data, len);
	g->len += len;
	g->body[g->len] = 0;
}

TAP_UNUSED static void on_data(void *own, const uint8_t *data, size_t len)
{
	struct got *g = own;
	g->datas++;
	keep_body(g, data, len);
	if (g->cancel_after && g->len >= g->cancel_after) {
		hclient_cancel(g->f);
		g->cancelled = true;
		g->cancel_after = 0;
	}
	if (g->pause_after && g->len >= g->pause_after) {
		hclient_pause(g->f, true);
		g->pause_after = 0;
	}
	if (g->free_in_data) {
		g->free_in_data = false;
		hclient_free(g->c);
	}
}

TAP_UNUSED static void on_trailers(void *own, const struct hclient_field *fields, size_t count)
{
	struct got *g = own;
	for (size_t i = 0; i < count; i++)
		snprintf(g->trailers + strlen(g->trailers), sizeof g->trailers - strlen(g->trailers),
		    "%s=%s;", fields[i].name, fields[i].value);
}

TAP_UNUSED static void on_done(void *own, const struct hclient_end *end)
{
	struct got *g = own;
	g->err = end->err;
	g->status = end->head.status;
	g->version = end->head.version;
	g->tries = end->tries;
	g->h2_code = end->h2_code;
	snprintf(g->text, sizeof g->text, "%s", end->text);
	if (end->body)
		keep_body(g, end->body->data, end->body->len);
	for (size_t i = 0; i < end->head.field_count; i++)
		snprintf(g->fields + strlen(g->fields), sizeof g->fields - strlen(g->fields),
		    "%s=%s;", end->head.fields[i].name, end->head.fields[i].value);
	g->f = NULL;
	g->done = true;
}

TAP_UNUSED static enum hclient_pull on_pull(void *own, struct buf *out)
{
	struct got *g = own;
	if (g->pull_breaks && g->pull_off)
		return HCLIENT_ABORT;
	if (g->pull_rests && g->pull_off % (2 * g->pull_piece)) {
		g->pull_rests = false; /* somebody resumes it later */
		return HCLIENT_LATER;
	}
	size_t n = g->pull_len - g->pull_off;
	n = n < g->pull_piece ? n : g->pull_piece;
	buf_add(out, g->pull + g->pull_off, n);
	g->pull_off += n;
	return g->pull_off == g->pull_len ? HCLIENT_END : HCLIENT_MORE;
}

TAP_UNUSED static void begin_here(void *arg)
{
	struct got *g = arg;
	g->f = hclient_fetch(g->c, &g->req);
}

TAP_UNUSED static bool is_done(void *arg)
{
	return ((struct got *)arg)->done;
}

TAP_UNUSED static void begin(struct got *g)
{
	g->req.own = g;
	if (!g->req.done)
		g->req.done = on_done;
	g->req.head = on_head;
	g->req.trailers = on_trailers;
	if (!g->req.method)
		g->req.method = "GET";
	if (g->pull)
		g->req.pull = on_pull;
	testteam_run(&ft, 0, begin_here, g);
}

TAP_UNUSED static void await(struct got *g)
{
	if (!testteam_wait(&ft, 0, is_done, g, PATIENCE_MS)) {
		tap_ok(false, "a fetch ends");
		exit(tap_done());
	}
}

TAP_UNUSED static struct got fetch(struct hclient *c, const char *method, const char *where)
{
	struct got *g = calloc(1, sizeof *g), out;
	g->c = c;
	g->req.method = method;
	g->req.url = where;
	begin(g);
	await(g);
	out = *g;
	free(g);
	return out;
}

TAP_UNUSED static void forget(struct got *g)
{
	free(g->body);
	*g = (struct got){ 0 };
}

/* ---- clients ---- */

struct make {
	struct hclient_opts opts;
	struct hclient *c;
	struct errbuf eb;
	enum err err;
};

TAP_UNUSED static void make_here(void *arg)
{
	struct make *m = arg;
	m->err = hclient_create(testteam_loop(&ft, 0), &m->opts, &m->c, &m->eb);
}

TAP_UNUSED static void opts_quick(struct hclient_opts *o)
{
	hclient_opts_usual(o);
	o->resolve = conf;
	o->tls = tls;
	o->proxy = HCLIENT_PROXY_NONE;
	o->connect_ms = o->tls_ms = o->head_ms = o->idle_ms = o->whole_ms = PATIENCE_MS;
	o->keep_ms = PATIENCE_MS;
	o->backoff_ms = 5;
}

TAP_UNUSED static struct hclient *create(const struct hclient_opts *o)
{
	struct make m = { .opts = *o };
	testteam_run(&ft, 0, make_here, &m);
	if (m.err) {
		tap_ok(false, "a client: %s", m.eb.text);
		exit(tap_done());
	}
	return m.c;
}

TAP_UNUSED static struct hclient *quick(void)
{
	struct hclient_opts o;
	opts_quick(&o);
	return create(&o);
}

TAP_UNUSED static void free_here(void *arg)
{
	hclient_free(arg);
}

TAP_UNUSED static void end(struct hclient *c)
{
	testteam_run(&ft, 0, free_here, c);
}

TAP_UNUSED static const char *at(const struct playsrv *s, const char *path)
{
	snprintf(url, sizeof url, "http://127.0.0.1:%u%s", s->port, path);
	return url;
}

TAP_UNUSED static void resume_here(void *arg)
{
	struct got *g = arg;
	if (g->f)
		hclient_resume(g->f);
}

TAP_UNUSED static bool has_rested(void *arg)
{
	const struct got *g = arg;
	return !g->pull_rests;
}

struct quiet {
	struct hclient *c;
	size_t conns;
};
TAP_UNUSED static bool no_more(void *arg)
{
	const struct quiet *q = arg;
	return hclient_conns(q->c) <= q->conns;
}

TAP_UNUSED static void pause_here(void *arg)
{
	struct got *g = arg;
	if (g->f)
		hclient_pause(g->f, false);
}

TAP_UNUSED static bool is_paused(void *arg)
{
	const struct got *g = arg;
	return g->len && !g->pause_after;
}

TAP_UNUSED static void cancel_here(void *arg)
{
	struct got *g = arg;
	if (g->f)
		hclient_cancel(g->f);
	g->f = NULL;
}

TAP_UNUSED static bool was_cancelled(void *arg)
{
	return ((struct got *)arg)->cancelled;
}

#endif
