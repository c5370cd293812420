#include "net/http/srv.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "net/conn/listen.h"
#include "net/http/req_priv.h"
#include "net/http/srv_priv.h"

/* Of one address. */
struct way {
	char *address; /* as it was configured */
	bool admin;
	struct tls *tls; /* held */
	bool stale;      /* its files have changed, and could not be used yet */
	struct cidr_set proxy_from;
	struct listen_ring *ring; /* its listeners */
};

struct srv {
	struct srv_opts opts;
	unsigned loop_count;
	struct srv_loop *loops;
	struct router *router;
	size_t count; /* of addresses */
	struct listen_addr *addresses;
	char (*texts)[LISTEN_TEXT_MAX];
	struct way *ways; /* changed by one thread at a time (srv.h) */
	struct cidr_set trusted_proxies;
	bool apart; /* one of them is for administration */
	int *fds;   /* [loop][address]; -1 once a listener owns it */
};

/* ---- which protocol? The first bytes tell (RFC 9113, 3.4) ---- */

#define PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_LEN (sizeof PREFACE - 1)

struct sniff {
	uint8_t bytes[PREFACE_LEN];
	size_t len;
};

static void sniff_done(struct conn *c, const uint8_t *data, size_t len, bool h2)
{
	struct srv_loop *sl = conn_host_ctx(c->host);
	struct sniff *s = c->proto;
	c->proto = NULL;
	if (h2)
		h2srv_start(c, sl);
	else
		h1srv_start(c, sl);
	if (s) {
		c->ops->input(c, s->bytes, s->len);
		mem_free(s);
	}
	if (len && conn_is_open(c))
		c->ops->input(c, data, len);
}

static void sniff_input(struct conn *c, const uint8_t *data, size_t len)
{
	struct sniff *s = c->proto;
	size_t had = s ? s->len : 0, n = PREFACE_LEN - had < len ? PREFACE_LEN - had : len;
	if (memcmp(data, &PREFACE[had], n)) {
		sniff_done(c, data, len, false);
		return;
	}
	if (had + n == PREFACE_LEN) {
		sniff_done(c, data, len, true);
		return;
	}
	if (!s) {
		c->proto = s = mem_zalloc(sizeof *s);
		conn_deadline(c, LIMIT_HEADER_MS);
	}
	memcpy(s->bytes + had, data, n);
	s->len += n;
}

static void sniff_filled(struct conn *c, size_t len)
{
	(void)c;
	(void)len;
}

static void sniff_end(struct conn *c)
{
	conn_finish(c);
}

static void sniff_deadline(struct conn *c)
{
	metric_add(c->proto ? M_CONN_TIMEOUTS_DEADLINE : M_CONN_TIMEOUTS_IDLE, 1);
	conn_finish(c);
}

static void sniff_closed(struct conn *c)
{
	mem_free(c->proto);
}

static const struct conn_ops sniff_ops = {
	.input = sniff_input,
	.filled = sniff_filled,
	.eof = sniff_end,
	.room = sniff_end,
	.deadline = sniff_deadline,
	.drain = sniff_end,
	.closed = sniff_closed,
};

static void srv_open(struct conn *c)
{
	switch (c->alpn) {
	case CONN_ALPN_H1:
		h1srv_start(c, conn_host_ctx(c->host));
		return;
	case CONN_ALPN_H2:
		h2srv_start(c, conn_host_ctx(c->host));
		return;
	case CONN_ALPN_NONE:
		break;
	}
	c->ops = &sniff_ops;
	c->proto = NULL;
	conn_deadline(c, LIMIT_IDLE_MS);
}

/* ---- what the addresses offer ---- */

static void way_release(struct way *w)
{
	listen_ring_free(w->ring);
	mem_free(w->address);
	tls_drop(w->tls);
	cidr_set_release(&w->proxy_from);
}

static char *text_copy(const char *text)
{
	size_t size = strlen(text) + 1;
	return memcpy(mem_alloc(size), text, size);
}

static enum err way_init(struct way *w, const struct listen_conf *c, struct errbuf *eb)
{
	struct errbuf why;
	errbuf_init(&why);
	*w = (struct way){ .admin = c->admin };
	enum err e = c->tls ? tls_create(c->tls, &w->tls, &why) : ERR_OK;
	if (e)
		return errbuf_set(eb, e, "address %s: %s", c->address, why.text);
	w->address = text_copy(c->address);
	cidr_set_copy(&w->proxy_from, &c->proxy_from);
	return ERR_OK;
}

static struct conn_how how_of(const struct way *w)
{
	return (struct conn_how){ .tls = w->tls, .proxy_from = &w->proxy_from, .admin = w->admin };
}

/* ---- life ---- */

static enum err srv_bind(struct srv *s, struct errbuf *eb)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct listen_conf *c = &s->opts.listeners[i];
		enum err e = way_init(&s->ways[i], c, eb);
		if (!e)
			e = listen_parse(c->address, &s->addresses[i], eb);
		s->apart |= c->admin;
		if (!e)
			e = listen_probe(&s->addresses[i], eb);
		/* Port 0 becomes a real one with the first socket; the others join it. */
		for (unsigned l = 0; l < s->loop_count && !e; l++)
			e = listen_open(&s->addresses[i], &s->fds[l * s->count + i], eb);
		if (e)
			return e;
		listen_text(&s->addresses[i], s->texts[i]);
	}
	return 0;
}

/* New connections are spread over the loops. */
static void rings_make(struct srv *s)
{
	struct conn_host **hosts = mem_array(NULL, s->loop_count, sizeof *hosts);
	for (unsigned i = 0; i < s->loop_count; i++)
		hosts[i] = s->loops[i].host;
	for (size_t i = 0; i < s->count; i++)
		s->ways[i].ring = listen_ring_create(hosts, s->loop_count);
	mem_free(hosts);
}

enum err srv_create(const struct srv_opts *opts, struct srv **out, struct errbuf *eb)
{
	struct srv *s = mem_zalloc(sizeof *s);
	s->opts = *opts;
	if (!s->opts.prefix)
		s->opts.prefix = "";
	if (!s->opts.links)
		s->opts.links = s->opts.prefix;
	s->router = router_create(&s->opts.routes, s->opts.prefix);
	s->loop_count = team_count(opts->team);
	size_t n = s->count = opts->listener_count;
	uint8_t seed[TLS_SEED_BYTES];
	randombytes_buf(seed, sizeof(seed));
	cidr_set_copy(&s->trusted_proxies, opts->trusted_proxies);
	s->ways = mem_array(NULL, n, sizeof *s->ways);
	memset(s->ways, 0, n * sizeof *s->ways);
	s->addresses = mem_array(NULL, n, sizeof *s->addresses);
	s->texts = mem_array(NULL, n, sizeof *s->texts);
	s->fds = mem_array(NULL, n * s->loop_count, sizeof *s->fds);
	for (size_t i = 0; i < n * s->loop_count; i++)
		s->fds[i] = -1;
	s->loops = mem_array(NULL, s->loop_count, sizeof *s->loops);
	memset(s->loops, 0, s->loop_count * sizeof *s->loops);
	enum err e = srv_bind(s, eb);
	for (unsigned i = 0; i < s->loop_count; i++) {
		struct srv_loop *sl = &s->loops[i];
		*sl = (struct srv_loop){ .srv = s,
			.loop = team_loop(opts->team, i),
			.opts = &s->opts,
			.router = s->router };
		list_init(&sl->req_pool);
		list_init(&sl->req_open);
		buf_init(&sl->head);
		buf_init(&sl->scratch);
		cidr_set_copy(&sl->trusted_proxies, opts->trusted_proxies);
		sl->apart = s->apart;
		if (!e)
			e = conn_host_create(sl->loop, srv_open, sl, &sl->host);
		if (!e)
			conn_host_set_proxies(sl->host, &sl->trusted_proxies);
		if (!e)
			conn_host_set_keys(sl->host, tls_keys_create(seed, clock_mono_ns()));
	}
	sodium_memzero(seed, sizeof(seed));
	s->opts.listeners = NULL;
	s->opts.trusted_proxies = NULL;
	if (e) {
		srv_free(s);
		return e;
	}
	rings_make(s);
	*out = s;
	return 0;
}

const char *srv_address(const struct srv *s, size_t i)
{
	CHECK(i < s->count);
	return s->texts[i];
}

static void on_each(struct srv *s, void (*fn)(void *arg))
{
	for (unsigned i = 0; i < s->loop_count; i++)
		team_run_on(s->opts.team, i, fn, &s->loops[i]);
}

static void serve_here(void *arg)
{
	struct srv_loop *sl = arg;
	struct srv *s = sl->srv;
	size_t n = s->count;
	sl->listeners = mem_zalloc(n * sizeof(struct listener *));
	for (size_t i = 0; i < n; i++) {
		int *fd = &s->fds[loop_index(sl->loop) * n + i];
		struct conn_how how = how_of(&s->ways[i]);
		if (listener_start(sl->host, *fd, &how, s->ways[i].ring, &sl->listeners[i]))
			panic("no memory to listen");
		*fd = -1;
	}
}

void srv_serve(struct srv *s)
{
	on_each(s, serve_here);
}

static void stop_here(void *arg)
{
	struct srv_loop *sl = arg;
	for (size_t i = 0; sl->listeners && i < sl->srv->count; i++)
		listener_stop(sl->listeners[i]);
	mem_free(sl->listeners);
	sl->listeners = NULL;
}

void srv_stop_accepting(struct srv *s)
{
	on_each(s, stop_here);
}

static void drain_here(void *arg)
{
	conn_host_drain(((struct srv_loop *)arg)->host);
}

void srv_drain(struct srv *s)
{
	on_each(s, drain_here);
}

/* ---- changes while it runs ---- */

static void change_here(void *arg)
{
	struct srv_loop *sl = arg;
	struct srv *s = sl->srv;
	cidr_set_release(&sl->trusted_proxies);
	cidr_set_copy(&sl->trusted_proxies, &s->trusted_proxies);
	for (size_t i = 0; sl->listeners && i < s->count; i++) {
		struct conn_how how = how_of(&s->ways[i]);
		listener_change(sl->listeners[i], &how);
	}
}

static struct way *way_of(struct srv *s, const char *address)
{
	for (size_t i = 0; i < s->count; i++)
		if (!strcmp(s->ways[i].address, address))
			return &s->ways[i];
	return NULL;
}

/* Keys and passwords go there: what was TLS does not become plain under those who send them. */
static enum err way_fits(const struct way *w, const struct way *fresh, struct errbuf *eb)
{
	return w && w->tls && !fresh->tls
	    ? errbuf_set(eb, ERR_BADDATA,
	          "address %s: it speaks TLS, and would be plain: that takes a restart", w->address)
	    : ERR_OK;
}

/* What answers where is set at start. Fresh has afterwards what w had. */
static void way_change(struct way *w, struct way *fresh)
{
	struct way was = *w;
	*w = *fresh;
	w->admin = was.admin;
	w->ring = was.ring;
	*fresh = was;
	fresh->ring = NULL;
}

enum err srv_change(struct srv *s, const struct listen_conf *listeners, size_t count,
    const struct cidr_set *trusted_proxies, const char **missing, struct errbuf *eb)
{
	struct way *fresh = mem_zalloc((count ? count : 1) * sizeof *fresh);
	enum err e = ERR_OK;
	for (size_t i = 0; i < count && !e; i++)
		e = way_init(&fresh[i], &listeners[i], eb);
	for (size_t i = 0; i < count && !e; i++)
		e = way_fits(way_of(s, listeners[i].address), &fresh[i], eb);
	*missing = NULL;
	for (size_t i = 0; i < count && !e; i++) {
		struct way *w = way_of(s, listeners[i].address);
		if (w)
			way_change(w, &fresh[i]);
		else
			*missing = listeners[i].address;
	}
	for (size_t i = 0; i < count; i++)
		way_release(&fresh[i]);
	mem_free(fresh);
	if (e)
		return e;
	cidr_set_release(&s->trusted_proxies);
	cidr_set_copy(&s->trusted_proxies, trusted_proxies);
	on_each(s, change_here);
	return ERR_OK;
}

/* True: it has a new one, or *e says why not. */
static bool way_renew(struct way *w, enum err *e, struct errbuf *eb)
{
	struct tls *fresh;
	struct errbuf why;
	errbuf_init(&why);
	if (!w->tls)
		return false;
	w->stale |= tls_is_stale(w->tls);
	if (!w->stale)
		return false;
	enum err bad = tls_renew(w->tls, &fresh, &why);
	if (bad) {
		*e = errbuf_set(eb, bad, "address %s: %s", w->address, why.text);
		return false;
	}
	tls_drop(w->tls);
	w->tls = fresh;
	w->stale = false;
	return true;
}

enum err srv_renew(struct srv *s, struct srv_renewal *out, struct errbuf *eb)
{
	enum err e = ERR_OK;
	*out = (struct srv_renewal){ .changed = 0 };
	for (size_t i = 0; i < s->count; i++) {
		out->changed += way_renew(&s->ways[i], &e, eb);
		int64_t ends_s = s->ways[i].tls ? tls_ends_s(s->ways[i].tls) : 0;
		if (ends_s && (!out->ends_s || ends_s < out->ends_s))
			out->ends_s = ends_s;
	}
	if (out->changed)
		on_each(s, change_here);
	return e;
}

/* A number of a loop is read on the loop. */
struct question {
	const struct srv_loop *sl;
	size_t answer;
};

static void count_conns(void *arg)
{
	struct question *q = arg;
	q->answer = conn_host_count(q->sl->host);
}

static void count_reqs(void *arg)
{
	struct question *q = arg;
	q->answer = q->sl->req_open_count;
}

static size_t sum_over(struct srv *s, void (*fn)(void *arg))
{
	size_t sum = 0;
	for (unsigned i = 0; i < s->loop_count; i++) {
		struct question q = { .sl = &s->loops[i] };
		team_run_on(s->opts.team, i, fn, &q);
		sum += q.answer;
	}
	return sum;
}

size_t srv_connections(struct srv *s)
{
	return sum_over(s, count_conns);
}

size_t srv_requests(struct srv *s)
{
	return sum_over(s, count_reqs);
}

static void abort_here(void *arg)
{
	conn_host_abort(((struct srv_loop *)arg)->host);
}

static void nothing_here(void *arg)
{
	(void)arg;
}

void srv_close_all(struct srv *s)
{
	on_each(s, stop_here);
	on_each(s, abort_here);
	/*
	 * Connections are freed at the end of that turn or of the next ones, what they were sending
	 * behind them.
	 */
	while (srv_connections(s))
		;
	on_each(s, nothing_here);
}

void srv_free(struct srv *s)
{
	if (!s)
		return;
	size_t n = s->count;
	for (unsigned i = 0; i < s->loop_count; i++) {
		struct srv_loop *sl = &s->loops[i];
		if (!sl->srv)
			continue;
		CHECK(!sl->listeners);
		if (sl->host)
			tls_keys_free(conn_host_keys(sl->host));
		conn_host_free(sl->host);
		cidr_set_release(&sl->trusted_proxies);
		buf_release(&sl->head);
		buf_release(&sl->scratch);
		if (list_empty(&sl->req_open))
			req_free_all(sl);
		else
			LOG_WARN("requests_left", "loop=%u count=%zu", i, sl->req_open_count);
	}
	for (size_t i = 0; i < n * s->loop_count; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	router_free(s->router);
	for (size_t i = 0; i < n; i++)
		way_release(&s->ways[i]);
	mem_free(s->ways);
	cidr_set_release(&s->trusted_proxies);
	mem_free(s->fds);
	mem_free(s->texts);
	mem_free(s->addresses);
	mem_free(s->loops);
	mem_free(s);
}

void req_tell(struct req *r, uint64_t took_ns)
{
	const struct req_answer *a = r->_answer;
	const struct srv_opts *o = r->_srv->opts;
	struct req_told t = { .status = a->status,
		.in_bytes = r->body_len + r->_consumed_bytes,
		.out_bytes = a->pull ? r->_pulled_bytes
		    : a->no_body     ? 0
		                     : a->len,
		.took_ns = took_ns };
	if (o->told)
		o->told(r, &t);
}
