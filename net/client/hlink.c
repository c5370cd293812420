/*
 * hlink - one connection, from a name to something HTTP can be spoken on.
 *
 *   RESOLVE -> DIAL -> [PROXY] -> [TLS] -> OPEN -> CLOSED
 *      \________\_________\_________\________\_______^
 *
 * What fails before OPEN fails who waits: the one that has waited longest, and when no other
 * connection of the server is open, all that waited when this one was begun.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/metric.h"
#include "net/client/addrule.h"
#include "net/client/hclient_priv.h"
#include "proto/h1resp.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define PROXY_HEAD_MAX 16384u /* of an answer to CONNECT */
#define PROXY_FIELDS   64u

static void on_resolved(struct resolve_query *q, const struct resolve_answer *a);
static void on_dialed(void *arg, const struct dial_end *end);
static void on_timer(struct loop_timer *t);
static void hlink_reap(struct loop_deferred *d);
static void start_tls(struct hlink *l);
static void start_proto(struct hlink *l);
static const struct hwire_ops opening_ops;

/* ---- states ---- */

static void hlink_move(struct hlink *l, enum hlink_state to)
{
	CHECK(to > l->state);
	l->state = to;
}

static void set_deadline(struct hlink *l, uint32_t ms)
{
	if (ms == HCLIENT_NONE)
		loop_timer_cancel(l->c->loop, &l->timer);
	else
		loop_timer_set(l->c->loop, &l->timer, ms);
}

void hlink_open(struct horigin *o)
{
	struct hclient *c = o->c;
	struct hlink *l = mem_zalloc(sizeof *l);
	l->c = c;
	l->o = o;
	l->begun_ns = loop_now_ns(c->loop);
	l->reap.fn = hlink_reap;
	l->query.done = on_resolved;
	loop_timer_init(&l->timer, on_timer);
	hwire_init(&l->w, c->loop, &opening_ops);
	buf_init(&l->proxy_head);
	list_add_tail(&o->links, &l->link);
	o->link_count++;
	c->conns++;
	metric_gauge_add(M_CLIENT_CONNS, 1);
	set_deadline(l, c->opts.connect_ms);
	const struct url *to = o->proxy ? &o->proxy->url : &o->url;
	resolve_start(c->resolve, &l->query, to->host, to->absolute, RESOLVE_ADDRS_OF);
}

void hlink_close(struct hlink *l)
{
	struct hclient *c = l->c;
	if (l->state == HLINK_CLOSED)
		return;
	hlink_move(l, HLINK_CLOSED);
	resolve_cancel(&l->query);
	if (l->dial)
		dial_cancel(l->dial);
	l->dial = NULL;
	loop_timer_cancel(c->loop, &l->timer);
	if (l->ops)
		l->ops->closed(l);
	CHECK(!l->fetches);
	hwire_close(&l->w);
	buf_release(&l->proxy_head);
	list_del(&l->link);
	l->o->link_count--;
	l->o = NULL;
	c->conns--;
	metric_gauge_add(M_CLIENT_CONNS, -1);
	hclient_serve_soon(c);
	loop_defer(c->loop, &l->reap);
}

static void hlink_reap(struct loop_deferred *d)
{
	struct hlink *l = CONTAINER_OF(d, struct hlink, reap);
	if (l->ops && l->ops->freed)
		l->ops->freed(l);
	mem_free(l->proto);
	mem_free(l);
}

/* ---- failures ---- */

static bool any_open(const struct horigin *o)
{
	LIST_EACH(l, &o->links)
		if (CONTAINER_OF(l, struct hlink, link)->state == HLINK_OPEN)
			return true;
	return false;
}

void hlink_failed(struct hlink *l, enum err e, const char *text)
{
	struct horigin *o = l->o;
	uint64_t begun_ns = l->begun_ns;
	bool was_open = l->state == HLINK_OPEN;
	char why[HWIRE_TEXT_MAX];
	if (l->state == HLINK_CLOSED)
		return;
	snprintf(why, sizeof why, "%s", text);
	hlink_close(l);
	if (was_open)
		return;
	bool all = !any_open(o);
	for (size_t n = o->wait_count, i = 0; i < n; i++) {
		struct hfetch *f = CONTAINER_OF(o->waiting.next, struct hfetch, wait);
		if (i && (!all || f->wait_ns > begun_ns))
			break;
		hfetch_broken(f, HFETCH_UNOPENED, e, why, -1);
	}
}

/* Where it stands, for texts of deadlines. */
static void on_timer(struct loop_timer *t)
{
	struct hlink *l = CONTAINER_OF(t, struct hlink, timer);
	const struct hclient_opts *opts = &l->c->opts;
	const struct url *to = l->o->proxy ? &l->o->proxy->url : &l->o->url;
	char text[HWIRE_TEXT_MAX];
	switch (l->state) {
	case HLINK_RESOLVE:
		snprintf(text, sizeof text, "resolve %s: no answer within %u ms", to->host,
		    opts->connect_ms);
		break;
	case HLINK_DIAL:
		snprintf(text, sizeof text, "connect to %s: no connection within %u ms",
		    dial_peer(l->dial), opts->connect_ms);
		break;
	case HLINK_PROXY:
		snprintf(text, sizeof text, "proxy %s: no tunnel to %s within %u ms", l->w.peer,
		    l->o->url.host, opts->connect_ms);
		break;
	case HLINK_TLS:
		snprintf(text, sizeof text, "TLS with %s: no handshake within %u ms", l->w.peer,
		    opts->tls_ms);
		break;
	case HLINK_OPEN:
	case HLINK_CLOSED:
		hlink_close(l); /* nobody used it */
		return;
	}
	hlink_failed(l, ERR_TIMEOUT, text);
}

/* ---- opening ---- */

/* Through a proxy names are its affair; addresses in URLs are looked at all the same. */
static const char *literal_refused(const struct hlink *l)
{
	const struct url *u = &l->o->url;
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	bool public_only = l->c->opts.rule == HCLIENT_PUBLIC;
	if (!l->o->proxy)
		return NULL; /* dial looks */
	if (u->kind == URL_IP4 && inet_pton(AF_INET, u->host, &in.sin_addr) == 1)
		return addrule_refuses((struct sockaddr *)&in, public_only);
	if (u->kind == URL_IP6 && inet_pton(AF_INET6, u->host, &in6.sin6_addr) == 1)
		return addrule_refuses((struct sockaddr *)&in6, public_only);
	return NULL;
}

static void on_resolved(struct resolve_query *q, const struct resolve_answer *a)
{
	struct hlink *l = CONTAINER_OF(q, struct hlink, query);
	const struct url *to = l->o->proxy ? &l->o->proxy->url : &l->o->url;
	const char *refused = literal_refused(l);
	char text[HWIRE_TEXT_MAX];
	if (refused) {
		metric_add(M_CLIENT_REFUSED, 1);
		snprintf(text, sizeof text, "connect to %s: %s", l->o->url.host, refused);
		hlink_failed(l, ERR_ACCESS, text);
		return;
	}
	if (a->err) {
		hlink_failed(l, a->err, a->text);
		return;
	}
	hlink_move(l, HLINK_DIAL);
	struct dial_opts opts = {
		.host = to->host,
		.addrs = a->addrs,
		.addr_count = a->addr_count,
		.port = to->port,
		.any = l->o->proxy != NULL,
		.public_only = l->c->opts.rule == HCLIENT_PUBLIC,
		.done = on_dialed,
		.arg = l,
	};
	l->dial = dial_start(l->c->loop, &opts);
}

static void start_tunnel(struct hlink *l)
{
	char authority[URL_AUTHORITY_MAX], head[2 * URL_AUTHORITY_MAX + 256];
	const char *auth = l->o->proxy->authorization;
	hlink_move(l, HLINK_PROXY);
	url_authority(&l->o->url, true, authority);
	int n =
	    snprintf(head, sizeof head, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %.200s\r\n",
	        authority, authority, l->c->opts.user_agent ? l->c->opts.user_agent : "kymo");
	hwire_write(&l->w, head, (size_t)n);
	if (auth) {
		hwire_write(&l->w, "Proxy-Authorization: ", 21);
		hwire_write(&l->w, auth, strlen(auth));
		hwire_write(&l->w, "\r\n", 2);
	}
	hwire_write(&l->w, "\r\n", 2);
	hwire_flush(&l->w);
}

static void on_dialed(void *arg, const struct dial_end *end)
{
	struct hlink *l = arg;
	l->dial = NULL;
	if (end->fd < 0) {
		hlink_failed(l, end->err, end->text);
		return;
	}
	hwire_open(&l->w, end->fd, end->peer);
	if (l->o->tunnel)
		start_tunnel(l);
	else if (l->o->url.https)
		start_tls(l);
	else
		start_proto(l);
}

static void start_tls(struct hlink *l)
{
	hlink_move(l, HLINK_TLS);
	set_deadline(l, l->c->opts.tls_ms);
	hwire_tls(&l->w, l->c->opts.tls, l->c->opts.tls_name ? l->c->opts.tls_name : l->o->url.host,
	    l->o->h2_only ? TLSCLI_H2 : TLSCLI_BOTH);
}

static void start_proto(struct hlink *l)
{
	bool h2 = l->o->url.https ? l->w.h2 : l->o->h2_only;
	char text[HWIRE_TEXT_MAX];
	if (l->o->h2_only && !h2) {
		snprintf(
		    text, sizeof text, "TLS with %s: the server does not speak HTTP/2", l->w.peer);
		hlink_failed(l, ERR_UNSUPPORTED, text);
		return;
	}
	hlink_move(l, HLINK_OPEN);
	l->o->proto = h2 ? HPROTO_H2 : HPROTO_H1;
	if (h2)
		h2cli_start(l);
	else
		h1cli_start(l);
	hlink_idle(l);
}

/* ---- what the socket says while it is being opened ---- */

static struct hlink *link_of(struct hwire *w)
{
	return CONTAINER_OF(w, struct hlink, w);
}

static void on_ready(struct hwire *w)
{
	start_proto(link_of(w));
}

static void proxy_says(struct hlink *l, enum err e, const char *why, int status)
{
	char text[HWIRE_TEXT_MAX];
	if (status)
		snprintf(text, sizeof text, "proxy %s: answers CONNECT %s with status %d%s",
		    l->w.peer, l->o->url.host, status,
		    status == 407 ? " (it wants other credentials)" : "");
	else
		snprintf(text, sizeof text, "proxy %s: %.200s", l->w.peer, why);
	hlink_failed(l, e, text);
}

static void on_input(struct hwire *w, const uint8_t *data, size_t len)
{
	struct hlink *l = link_of(w);
	static const struct h1msg_limits max = { .head_bytes = PROXY_HEAD_MAX,
		.fields = PROXY_FIELDS };
	struct h1msg_field fields[PROXY_FIELDS + 1];
	struct h1resp r = { .fields = fields, .field_cap = COUNT_OF(fields) };
	struct h1msg_scan scan = { 0 };
	const char *why = "a malformed answer";
	if (l->state != HLINK_PROXY) {
		proxy_says(l, ERR_MALFORMED, "bytes before the request", 0);
		return;
	}
	buf_add(&l->proxy_head, data, len);
	int n = h1resp_scan(&scan, l->proxy_head.data, l->proxy_head.len, &max);
	if (!n)
		return;
	if (n < 0 || !h1resp_parse((char *)l->proxy_head.data, (size_t)n, &r, &why)) {
		proxy_says(l, ERR_MALFORMED, why, 0);
	} else if (r.status / 100 != 2) {
		proxy_says(l, r.status == 407 || r.status == 403 ? ERR_ACCESS : ERR_IO, "", r.status);
	} else if ((size_t)n != l->proxy_head.len) { /* we speak first, in TLS and in HTTP/2 */
		proxy_says(l, ERR_MALFORMED, "bytes before the request", 0);
	} else {
		buf_release(&l->proxy_head);
		if (l->o->url.https)
			start_tls(l);
		else
			start_proto(l);
	}
}

static void on_eof(struct hwire *w)
{
	struct hlink *l = link_of(w);
	char text[HWIRE_TEXT_MAX];
	snprintf(text, sizeof text, "%s %s: the connection was closed",
	    l->state == HLINK_PROXY ? "proxy" : "TLS with", w->peer);
	hlink_failed(l, ERR_IO, text);
}

static void on_room(struct hwire *w)
{
	(void)w;
}

static void on_failed(struct hwire *w, enum err e, const char *text)
{
	hlink_failed(link_of(w), e, text);
}

static const struct hwire_ops opening_ops = {
	.ready = on_ready,
	.input = on_input,
	.eof = on_eof,
	.room = on_room,
	.failed = on_failed,
};

/* ---- open ---- */

bool hlink_takes(const struct hlink *l)
{
	return l->state == HLINK_OPEN && !l->worn && l->fetches < l->fetches_max;
}

static size_t idle_of(const struct horigin *o)
{
	size_t n = 0;
	LIST_EACH(l, &o->links) {
		const struct hlink *k = CONTAINER_OF(l, struct hlink, link);
		n += k->state == HLINK_OPEN && !k->fetches;
	}
	return n;
}

void hlink_idle(struct hlink *l)
{
	if (l->state != HLINK_OPEN)
		return;
	if (!l->fetches && (l->worn || (idle_of(l->o) > l->c->opts.idle_host && !l->o->wait_count))) {
		hlink_close(l);
		return;
	}
	list_del(&l->link);
	list_add_tail(&l->o->links, &l->link);
	if (!l->fetches)
		set_deadline(l, l->c->opts.keep_ms);
	hclient_serve_soon(l->c);
}
