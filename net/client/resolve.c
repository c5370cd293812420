#include "net/client/resolve.h"

#include <ares.h>
#include <ares_dns.h>
#include <ares_nameser.h>
#include <arpa/inet.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/metric.h"

#define CHAINS        256u
#define SOCKETS       16u   /* c-ares: one or two for each server */
#define EDNS_BYTES    1232u /* fits every path without fragments (DNS flag day 2020) */
#define KEEP_FAILED_S 1u
#define TEXT_MAX      (RESOLVE_NAME_MAX + 80)

enum entry_state {
	ENTRY_ASKING,
	ENTRY_READY
};
/* A name's answer, or its query on the way. */
struct entry {
	struct resolve *r;
	struct list_link chain; /* of its hash */
	struct list_link age;   /* oldest first */
	struct list_link waiting;
	struct loop_deferred tell;
	bool tell_set, telling;
	enum entry_state state;
	enum resolve_kind kind;
	bool absolute;
	char name[RESOLVE_NAME_MAX + 1]; /* lower case */
	uint64_t until_ns;
	enum err err;
	char text[TEXT_MAX];
	struct resolveconf_addr *addrs;
	size_t addr_count;
	struct resolve_service *services;
	size_t service_count;
};

struct sock {
	struct resolve *r;
	int fd; /* -1 = free */
	struct event *event;
};

struct resolve {
	struct loop *loop;
	const struct resolve_conf *conf;
	ares_channel ares;
	struct sock socks[SOCKETS];
	struct loop_timer timer;
	struct list_link chains[CHAINS], age;
	size_t count;
	bool closing;
};

static void entry_look(struct entry *n);
static void set_timer(struct resolve *r);

/* ---- c-ares on the loop ---- */

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct sock *s = arg;
	struct resolve *r = s->r;
	(void)loop_now_ns(r->loop); /* the turn has begun */
	ares_process_fd(
	    r->ares, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	set_timer(r);
}

static struct sock *sock_of(struct resolve *r, int fd)
{
	for (size_t i = 0; i < SOCKETS; i++)
		if (r->socks[i].fd == fd)
			return &r->socks[i];
	return NULL;
}

/* c-ares has opened a socket, waits for something else on it, or (neither) closes it. */
static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolve *r = arg;
	struct sock *s = sock_of(r, fd);
	if (s) {
		event_free(s->event);
		*s = (struct sock){ .r = r, .fd = -1 };
	}
	if (!readable && !writable)
		return;
	if (!s)
		s = sock_of(r, -1);
	if (ODD(!s)) /* it is not listened to: the query runs into its timeout */
		return;
	short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST);
	s->fd = fd;
	s->event = event_new(loop_base(r->loop), fd, what, on_socket, s);
	if (!s->event || event_add(s->event, NULL))
		panic("no memory for a socket");
}

static void set_timer(struct resolve *r)
{
	struct timeval tv;
	const struct timeval *t = ares_timeout(r->ares, NULL, &tv);
	if (!t) {
		loop_timer_cancel(r->loop, &r->timer);
		return;
	}
	loop_timer_set(
	    r->loop, &r->timer, (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000 + 1);
}

static void on_timer(struct loop_timer *t)
{
	struct resolve *r = CONTAINER_OF(t, struct resolve, timer);
	ares_process_fd(r->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(r);
}

static enum err bad_ares(int status, struct errbuf *eb)
{
	return errbuf_set(eb, status == ARES_ENOMEM ? ERR_NOMEM : ERR_IO, "name resolution: %s",
	    ares_strerror(status));
}

static int set_servers(struct resolve *r)
{
	struct ares_addr_port_node nodes[RESOLVECONF_SERVERS] = { 0 };
	for (size_t i = 0; i < r->conf->server_count; i++) {
		const struct resolveconf_server *s = &r->conf->servers[i];
		nodes[i].next = i + 1 < r->conf->server_count ? &nodes[i + 1] : NULL;
		nodes[i].family = s->addr.family;
		nodes[i].udp_port = nodes[i].tcp_port = s->port;
		memcpy(&nodes[i].addr, s->addr.ip, s->addr.family == AF_INET ? 4 : 16);
	}
	return ares_set_servers_ports(r->ares, nodes);
}

/* (4): with every option given c-ares reads neither resolv.conf nor the environment. */
static int open_channel(struct resolve *r)
{
	static char dns_only[] = "b";
	const struct resolve_conf *c = r->conf;
	struct ares_options o = {
		.flags = ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
		.timeout = (int)c->timeout_ms,
		.tries = (int)c->attempts,
		.ndots = (int)c->ndots,
		.udp_port = 53,
		.tcp_port = 53,
		.domains = (char **)(uintptr_t)c->domains,
		.ndomains = (int)c->domain_count,
		.lookups = dns_only,
		.sock_state_cb = on_state,
		.sock_state_cb_data = r,
		.ednspsz = EDNS_BYTES,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
	    ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT | ARES_OPT_SERVERS | ARES_OPT_DOMAINS |
	    ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST | ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ |
	    (c->rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);
	int status = ares_init_options(&r->ares, &o, mask);
	if (status != ARES_SUCCESS)
		return status;
	status = set_servers(r);
	if (status != ARES_SUCCESS)
		ares_destroy(r->ares);
	return status;
}

enum err resolve_create(
    struct loop *l, const struct resolve_conf *conf, struct resolve **out, struct errbuf *eb)
{
	struct resolve *r = mem_zalloc(sizeof *r);
	r->loop = l;
	r->conf = conf;
	for (size_t i = 0; i < SOCKETS; i++)
		r->socks[i] = (struct sock){ .r = r, .fd = -1 };
	for (size_t i = 0; i < CHAINS; i++)
		list_init(&r->chains[i]);
	list_init(&r->age);
	loop_timer_init(&r->timer, on_timer);
	int status = open_channel(r);
	if (status != ARES_SUCCESS) {
		mem_free(r);
		return bad_ares(status, eb);
	}
	*out = r;
	return 0;
}

/* ---- entries ---- */

static uint64_t entry_hash(const char *name, bool absolute, enum resolve_kind kind)
{
	return hash64(name, strlen(name), (uint64_t)kind * 2 + absolute);
}

static void entry_empty(struct entry *n)
{
	mem_free(n->addrs);
	for (size_t i = 0; i < n->service_count; i++)
		mem_free(n->services[i].host);
	mem_free(n->services);
	n->addrs = NULL;
	n->services = NULL;
	n->addr_count = n->service_count = 0;
}

static void entry_free(struct entry *n)
{
	CHECK(list_empty(&n->waiting));
	if (n->tell_set)
		list_del(&n->tell.link);
	entry_empty(n);
	list_del(&n->chain);
	list_del(&n->age);
	n->r->count--;
	mem_free(n);
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	loop_check_here(r->loop);
	r->closing = true;
	ares_destroy(r->ares); /* its callbacks come now, and do nothing */
	loop_timer_cancel(r->loop, &r->timer);
	while (!list_empty(&r->age))
		entry_free(CONTAINER_OF(r->age.next, struct entry, age));
	mem_free(r);
}

static void entry_tell(struct loop_deferred *d)
{
	struct entry *n = CONTAINER_OF(d, struct entry, tell);
	struct list_link *l;
	uint64_t now = loop_now_ns(n->r->loop);
	struct resolve_answer a = {
		.err = n->err,
		.text = n->text,
		.addrs = n->addrs,
		.addr_count = n->addr_count,
		.services = n->services,
		.service_count = n->service_count,
		.keep_s = n->until_ns > now ? (uint32_t)((n->until_ns - now) / 1000000000) : 0,
	};
	n->tell_set = false;
	/*
	 * Who asks meanwhile waits for the next time: the list below is fixed, and so is the
	 * answer.
	 */
	struct list_link told;
	list_init(&told);
	n->telling = true;
	list_move_all(&told, &n->waiting);
	while ((l = list_pop(&told))) {
		struct resolve_query *q = CONTAINER_OF(l, struct resolve_query, _link);
		q->_waits = false;
		q->done(q, &a);
	}
	n->telling = false;
	if (!list_empty(&n->waiting))
		entry_look(n);
}

static void entry_tell_soon(struct entry *n)
{
	if (n->tell_set || list_empty(&n->waiting))
		return;
	n->tell_set = true;
	loop_defer(n->r->loop, &n->tell);
}

static void entry_ready(struct entry *n, uint32_t keep_s)
{
	uint32_t keep = keep_s < 1 ? 1 : keep_s > RESOLVE_KEEP_MAX_S ? RESOLVE_KEEP_MAX_S : keep_s;
	n->state = ENTRY_READY;
	n->until_ns = loop_now_ns(n->r->loop) + keep * UINT64_C(1000000000);
	entry_tell_soon(n);
}

static const char *why_not(const struct entry *n, int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
		return n->kind == RESOLVE_SERVICES_OF ? "no such service" : "no such name";
	case ARES_ETIMEOUT:
		return "no answer from a name server in time";
	case ARES_ECONNREFUSED: /* what c-ares says when all have failed it */
	case ARES_ESERVFAIL:
		return "no name server could be reached, or none that answers";
	case ARES_EBADRESP:
		return "a malformed answer from a name server";
	case ARES_EBADNAME:
		return "not a name";
	default:
		return ares_strerror(status);
	}
}

static void entry_failed(struct entry *n, int status)
{
	bool none = status == ARES_ENOTFOUND || status == ARES_ENODATA;
	entry_empty(n);
	n->err = none ? ERR_NOTFOUND : status == ARES_ETIMEOUT ? ERR_TIMEOUT : ERR_IO;
	snprintf(n->text, sizeof n->text, "resolve %s: %s", n->name, why_not(n, status));
	metric_add(M_RESOLVE_FAILED, 1);
	entry_ready(n, none ? RESOLVE_NO_KEEP_S : KEEP_FAILED_S);
}

static void entry_add_addr(struct entry *n, const struct resolveconf_addr *a)
{
	n->addrs = mem_array(n->addrs, n->addr_count + 1, sizeof *a);
	n->addrs[n->addr_count++] = *a;
}

/* ---- answers ---- */

static void on_addrs(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	(void)timeouts;
	struct entry *n = arg;
	if (n->r->closing || status != ARES_SUCCESS) {
		ares_freeaddrinfo(ai);
		if (!n->r->closing)
			entry_failed(n, status);
		return;
	}
	uint32_t ttl = RESOLVE_KEEP_MAX_S;
	for (const struct ares_addrinfo_cname *k = ai->cnames; k; k = k->next)
		ttl = k->ttl >= 0 && (uint32_t)k->ttl < ttl ? (uint32_t)k->ttl : ttl;
	for (const struct ares_addrinfo_node *a = ai->nodes; a && n->addr_count < RESOLVE_ADDRS;
	     a = a->ai_next) {
		struct resolveconf_addr to = { .family = (sa_family_t)a->ai_family };
		const void *sa = a->ai_addr;
		if (a->ai_family == AF_INET)
			memcpy(to.ip, &((const struct sockaddr_in *)sa)->sin_addr, 4);
		else if (a->ai_family == AF_INET6)
			memcpy(to.ip, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
		else
			continue;
		ttl = a->ai_ttl >= 0 && (uint32_t)a->ai_ttl < ttl ? (uint32_t)a->ai_ttl : ttl;
		entry_add_addr(n, &to);
	}
	ares_freeaddrinfo(ai);
	if (!n->addr_count)
		entry_failed(n, ARES_ENODATA);
	else
		entry_ready(n, ttl);
}

/* Behind the name at p; NULL when it runs out of the message. */
static const uint8_t *skip_name(const uint8_t *p, const uint8_t *msg, int len)
{
	char *name = NULL;
	long used;
	if (ares_expand_name(p, msg, len, &name, &used) != ARES_SUCCESS)
		return NULL;
	ares_free_string(name);
	return p + used;
}

/* The least TTL of an answer's records (RFC 1035, 4.1); c-ares keeps none of services. */
static uint32_t least_ttl(const uint8_t *msg, int len)
{
	uint32_t ttl = RESOLVE_KEEP_MAX_S;
	const uint8_t *p = msg + HFIXEDSZ, *end = msg + len;
	if (len < HFIXEDSZ)
		return 0;
	for (unsigned n = DNS_HEADER_QDCOUNT(msg); n && p; n--) {
		p = skip_name(p, msg, len);
		p = p && end - p >= QFIXEDSZ ? p + QFIXEDSZ : NULL;
	}
	for (unsigned n = DNS_HEADER_ANCOUNT(msg); n && p; n--) {
		p = skip_name(p, msg, len);
		if (!p || end - p < RRFIXEDSZ || end - p - RRFIXEDSZ < DNS_RR_LEN(p))
			return 0;
		uint32_t t = DNS_RR_TTL(p);
		ttl = t < ttl ? t : ttl;
		p += RRFIXEDSZ + DNS_RR_LEN(p);
	}
	return p ? ttl : 0;
}

static int service_order(const void *a, const void *b)
{
	const struct resolve_service *x = a, *y = b;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	int d = strcmp(x->host, y->host);
	return d ? d : (int)x->port - (int)y->port;
}

static void entry_add_service(struct entry *n, const struct ares_srv_reply *s)
{
	size_t len = strlen(s->host);
	struct resolve_service to = { .host = mem_alloc(len + 1),
		.port = s->port,
		.priority = s->priority,
		.weight = s->weight };
	memcpy(to.host, s->host, len + 1);
	n->services = mem_array(n->services, n->service_count + 1, sizeof to);
	n->services[n->service_count++] = to;
}

static void on_services(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
	(void)timeouts;
	struct entry *n = arg;
	struct ares_srv_reply *all = NULL;
	if (n->r->closing)
		return;
	if (status == ARES_SUCCESS)
		status = ares_parse_srv_reply(msg, len, &all);
	if (status != ARES_SUCCESS) {
		entry_failed(n, status);
		return;
	}
	for (const struct ares_srv_reply *s = all; s && n->service_count < RESOLVE_SERVICES;
	     s = s->next)
		if (*s->host && strcmp(s->host, ".") != 0) /* RFC 2782: "." = not offered */
			entry_add_service(n, s);
	ares_free_data(all);
	if (!n->service_count) {
		entry_failed(n, ARES_ENODATA);
		return;
	}
	qsort(n->services, n->service_count, sizeof *n->services, service_order);
	entry_ready(n, least_ttl(msg, len));
}

/* ---- asking ---- */

static bool entry_literal(struct entry *n)
{
	struct resolveconf_addr a = { .family = AF_INET };
	if (inet_pton(AF_INET, n->name, a.ip) != 1) {
		a.family = AF_INET6;
		if (inet_pton(AF_INET6, n->name, a.ip) != 1)
			return false;
	}
	entry_add_addr(n, &a);
	return true;
}

static bool entry_local(struct entry *n)
{
	struct resolveconf_addr all[RESOLVECONF_ADDRS];
	if (n->kind != RESOLVE_ADDRS_OF)
		return false;
	if (entry_literal(n))
		return true;
	size_t count = resolveconf_host(n->r->conf, n->name, all, COUNT_OF(all));
	for (size_t i = 0; i < count; i++)
		entry_add_addr(n, &all[i]);
	return count > 0;
}

static void entry_ask(struct entry *n)
{
	struct resolve *r = n->r;
	char name[RESOLVE_NAME_MAX + 2];
	n->state = ENTRY_ASKING;
	n->err = 0;
	n->text[0] = 0;
	entry_empty(n);
	if (entry_local(n)) {
		entry_ready(n, RESOLVE_KEEP_MAX_S);
		return;
	}
	metric_add(M_RESOLVE_QUERIES, 1);
	snprintf(name, sizeof name, "%s%s", n->name, n->absolute ? "." : "");
	if (n->kind == RESOLVE_SERVICES_OF) {
		ares_search(r->ares, name, ns_c_in, ns_t_srv, on_services, n);
	} else {
		struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
			.ai_family = AF_UNSPEC,
			.ai_socktype = SOCK_STREAM };
		ares_getaddrinfo(r->ares, name, NULL, &hints, on_addrs, n);
	}
	set_timer(r);
}

/* Somebody waits for it. */
static void entry_look(struct entry *n)
{
	if (n->state == ENTRY_ASKING || n->telling || n->tell_set)
		return;
	if (n->until_ns > loop_now_ns(n->r->loop))
		entry_tell_soon(n);
	else
		entry_ask(n);
}

/* Room for one more: the oldest that nobody waits for goes. */
static void make_room(struct resolve *r)
{
	if (r->count < RESOLVE_ENTRIES)
		return;
	LIST_EACH_SAFE(l, next, &r->age) {
		struct entry *n = CONTAINER_OF(l, struct entry, age);
		if (n->state == ENTRY_READY && list_empty(&n->waiting) && !n->tell_set &&
		    !n->telling) {
			entry_free(n);
			return;
		}
	}
}

static struct entry *entry_find(
    struct resolve *r, const char *name, bool absolute, enum resolve_kind kind)
{
	struct list_link *chain = &r->chains[entry_hash(name, absolute, kind) % CHAINS];
	LIST_EACH(l, chain) {
		struct entry *n = CONTAINER_OF(l, struct entry, chain);
		if (n->kind == kind && n->absolute == absolute && !strcmp(n->name, name))
			return n;
	}
	make_room(r);
	struct entry *n = mem_zalloc(sizeof *n);
	*n = (struct entry){ .r = r, .kind = kind, .absolute = absolute, .state = ENTRY_READY };
	snprintf(n->name, sizeof n->name, "%s", name);
	n->tell.fn = entry_tell;
	list_init(&n->waiting);
	list_add_tail(chain, &n->chain);
	list_add_tail(&r->age, &n->age);
	r->count++;
	return n;
}

/* In lower case; what is too long for DNS is cut, and then found nowhere. */
static void fold_name(char out[RESOLVE_NAME_MAX + 1], const char *name, bool *absolute)
{
	size_t n = strnlen(name, RESOLVE_NAME_MAX);
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
	out[n] = 0;
	if (n > 1 && out[n - 1] == '.') {
		out[n - 1] = 0;
		*absolute = true;
	}
}

void resolve_start(struct resolve *r, struct resolve_query *q, const char *name, bool absolute,
    enum resolve_kind kind)
{
	char folded[RESOLVE_NAME_MAX + 1];
	loop_check_here(r->loop);
	CHECK(!q->_waits);
	fold_name(folded, name, &absolute);
	struct entry *n = entry_find(r, folded, absolute, kind);
	q->_waits = true;
	list_add_tail(&n->waiting, &q->_link);
	entry_look(n);
}

void resolve_cancel(struct resolve_query *q)
{
	if (q->_waits)
		list_del(&q->_link);
	q->_waits = false;
}
