/*
 * hclient - the client as a whole: servers it talks to, who waits for a connection to each, and
 * which connections may be opened.
 *
 * Serving happens in one place and never below anybody else (hclient_serve, in the loop's queue):
 * it gives each waiting fetch a connection that takes one, else opens one, as far as limits go.
 */
#include "net/client/hclient_priv.h"

#include <string.h>
#include <sys/random.h>

#include "core/base/hash.h"
#include "core/base/metric.h"

#ifndef PACKAGE_VERSION
# define PACKAGE_VERSION "0"
#endif

static void hclient_serve(struct loop_deferred *d);
static void hclient_reap(struct loop_deferred *d);

/* ---- life ---- */

void hclient_opts_usual(struct hclient_opts *o)
{
	*o = (struct hclient_opts){
		.user_agent = "kymo/" PACKAGE_VERSION,
		.proxy = HCLIENT_PROXY_ENV,
		.rule = HCLIENT_ANYWHERE,
		.retries = 2,
		.connect_ms = 5000,
		.tls_ms = 10000,
		.head_ms = 30000,
		.idle_ms = 30000,
		.whole_ms = 60000,
		.keep_ms = 30000,
		.backoff_ms = 200,
		.retry_after_max_ms = 30000,
		.head_max = 64u << 10,
		.answer_max = 16u << 20,
		.conns_host = 8,
		.conns_all = 64,
		.idle_host = 2,
		.streams = 100,
	};
}

static const char *keep(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

static enum err read_settings(struct hclient *c, struct errbuf *eb)
{
	enum err e = 0;
	if (!c->opts.resolve) {
		e = resolveconf_load(NULL, NULL, &c->own_conf, eb);
		c->opts.resolve = c->own_conf;
	}
	if (!e && !c->opts.tls) {
		e = tlscli_load(&(struct tlscli_conf){ 0 }, &c->own_tls, eb);
		c->opts.tls = c->own_tls;
	}
	return e;
}

static void free_settings(struct hclient *c)
{
	resolve_free(c->resolve);
	resolveconf_free(c->own_conf);
	tlscli_free(c->own_tls);
	hproxy_release(&c->proxy);
	arena_release(&c->arena);
	mem_free(c);
}

enum err hclient_create(
    struct loop *l, const struct hclient_opts *opts, struct hclient **out, struct errbuf *eb)
{
	struct hclient *c = mem_zalloc(sizeof *c);
	loop_check_here(l);
	c->loop = l;
	c->opts = *opts;
	arena_init(&c->arena, 256);
	c->opts.user_agent = keep(&c->arena, opts->user_agent);
	c->opts.tls_name = keep(&c->arena, opts->tls_name);
	c->opts.proxy_url = NULL;
	list_init(&c->origins);
	list_init(&c->fetches);
	c->serve.work.fn = hclient_serve;
	c->reap.work.fn = hclient_reap;
	if (getrandom(&c->seed, sizeof c->seed, GRND_NONBLOCK) != sizeof c->seed)
		c->seed = loop_now_ns(l) ^ (uintptr_t)c;
	enum err e = hproxy_init(&c->proxy, opts->proxy, opts->proxy_url, eb);
	if (e) {
		c->proxy = (struct hproxy){ 0 };
		arena_init(&c->proxy.arena, 64);
	} else {
		e = read_settings(c, eb);
	}
	if (!e)
		e = resolve_create(l, c->opts.resolve, &c->resolve, eb);
	if (e) {
		free_settings(c);
		return e;
	}
	*out = c;
	return 0;
}

static void hclient_reap(struct loop_deferred *d)
{
	struct hclient *c = CONTAINER_OF(d, struct hclient, reap.work);
	loop_again_begin(&c->reap);
	if (c->conns || !list_empty(&c->fetches) || !list_empty(&c->origins)) {
		loop_again(c->loop, LOOP_LATER, &c->reap);
		return;
	}
	loop_again_cancel(&c->serve);
	free_settings(c);
}

void hclient_free(struct hclient *c)
{
	if (!c)
		return;
	loop_check_here(c->loop);
	CHECK(!c->closing);
	c->closing = true;
	LIST_EACH(l, &c->fetches)
		hfetch_fail(CONTAINER_OF(l, struct hfetch, link), ERR_STOPPING, "the client ends");
	LIST_EACH(l, &c->origins)
		LIST_EACH_SAFE(k, next, &CONTAINER_OF(l, struct horigin, link)->links)
			hlink_close(CONTAINER_OF(k, struct hlink, link));
	hclient_serve_soon(c); /* origins go there */
	loop_again(c->loop, LOOP_LATER, &c->reap);
}

uint64_t hclient_random(struct hclient *c, uint64_t max)
{
	return max ? hash_mix64(c->seed++) % max : 0;
}

size_t hclient_conns(const struct hclient *c)
{
	return c->conns;
}

size_t hclient_idle(const struct hclient *c)
{
	size_t n = 0;
	LIST_EACH(l, &c->origins)
		LIST_EACH(k, &CONTAINER_OF(l, struct horigin, link)->links) {
			const struct hlink *link = CONTAINER_OF(k, struct hlink, link);
			n += link->state == HLINK_OPEN && !link->fetches;
		}
	return n;
}

const char *hclient_header(
    const struct hclient_field *fields, size_t count, const char *name, size_t *len)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < count; i++) {
		if (fields[i].name_len == n && !memcmp(fields[i].name, name, n)) {
			if (len)
				*len = fields[i].value_len;
			return fields[i].value;
		}
	}
	return NULL;
}

/* ---- origins ---- */

struct horigin *horigin_get(struct hclient *c, const struct url *u, bool h2_only)
{
	LIST_EACH(l, &c->origins) {
		struct horigin *o = CONTAINER_OF(l, struct horigin, link);
		if (url_same_origin(&o->url, u) && o->h2_only == h2_only &&
		    o->url.absolute == u->absolute)
			return o;
	}
	struct horigin *o = mem_zalloc(sizeof *o);
	o->c = c;
	o->url = *u;
	o->url.user = o->url.password = o->url.target = "";
	o->h2_only = h2_only;
	o->proxy = hproxy_for(&c->proxy, u);
	o->tunnel = o->proxy && (u->https || h2_only);
	o->proto = h2_only ? HPROTO_H2 : u->https ? HPROTO_UNKNOWN : HPROTO_H1;
	list_init(&o->links);
	list_init(&o->waiting);
	list_add_tail(&c->origins, &o->link);
	return o;
}

void horigin_look(struct horigin *o)
{
	if (o->link_count || o->wait_count)
		return;
	list_del(&o->link);
	mem_free(o);
}

void horigin_wait(struct horigin *o, struct hfetch *f)
{
	f->origin = o;
	f->wait_ns = loop_now_ns(o->c->loop);
	list_add_tail(&o->waiting, &f->wait);
	o->wait_count++;
	hclient_serve_soon(o->c);
}

void horigin_leave(struct horigin *o, struct hfetch *f)
{
	list_del(&f->wait);
	f->origin = NULL;
	o->wait_count--;
	hclient_serve_soon(o->c); /* which also looks whether anybody needs it */
}

/* ---- serving ---- */

void hclient_serve_soon(struct hclient *c)
{
	loop_again(c->loop, LOOP_SOON, &c->serve);
}

/* A link that takes one more: HTTP/2 first, then the one used last, which is the freshest. */
static struct hlink *find_link(struct horigin *o)
{
	for (struct list_link *l = o->links.prev; l != &o->links;) {
		struct hlink *link = CONTAINER_OF(l, struct hlink, link);
		l = l->prev;
		if (!hlink_takes(link))
			continue;
		if (link->fetches || !link->used || hwire_is_quiet(&link->w))
			return link;
		hlink_close(link); /* the server has closed it, or says what nobody asked for */
	}
	return NULL;
}

static size_t opening(const struct horigin *o)
{
	size_t n = 0;
	LIST_EACH(l, &o->links)
		n += CONTAINER_OF(l, struct hlink, link)->state < HLINK_OPEN;
	return n;
}

/* All connections are taken, perhaps by some that nobody uses. */
static bool make_room(struct hclient *c)
{
	if (c->conns < c->opts.conns_all)
		return true;
	LIST_EACH(l, &c->origins)
		LIST_EACH(k, &CONTAINER_OF(l, struct horigin, link)->links) {
			struct hlink *link = CONTAINER_OF(k, struct hlink, link);
			if (link->state == HLINK_OPEN && !link->fetches) {
				hlink_close(link);
				return c->conns < c->opts.conns_all;
			}
		}
	return false;
}

/* As many as wait, where each needs one; one where one may do for all. */
static bool wants_link(const struct horigin *o)
{
	size_t now = opening(o);
	return o->proto == HPROTO_H1 ? now < o->wait_count : o->wait_count && !now;
}

static void serve_origin(struct horigin *o)
{
	struct hlink *l;
	while (o->wait_count && (l = find_link(o))) {
		struct hfetch *f = CONTAINER_OF(o->waiting.next, struct hfetch, wait);
		list_del(&f->wait);
		f->origin = NULL;
		o->wait_count--;
		hfetch_start_on(f, l);
	}
	while (wants_link(o) && o->link_count < o->c->opts.conns_host && make_room(o->c))
		hlink_open(o);
}

static void hclient_serve(struct loop_deferred *d)
{
	struct hclient *c = CONTAINER_OF(d, struct hclient, serve.work);
	loop_again_begin(&c->serve);
	LIST_EACH_SAFE(l, next, &c->origins) {
		struct horigin *o = CONTAINER_OF(l, struct horigin, link);
		if (!c->closing)
			serve_origin(o);
		horigin_look(o);
	}
}
