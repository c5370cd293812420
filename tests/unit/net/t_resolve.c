/*
 * Names against a DNS server of the test's own (UDP and TCP on loopback): A, AAAA, CNAME, SRV, no
 * such name, silence, failures, truncation, garbage; hosts and resolv.conf; one query for many
 * askers.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "net/client/resolve.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

#define PATIENCE_MS 600000u

static struct testteam tt;
static struct resolve_conf *conf, *own_conf;
static struct resolve *res;

/* ---- the DNS server ---- */

struct dns {
	int udp, tcp;
	uint16_t port;
	bool ends;
	unsigned asked; /* queries of names that begin with "count" */
	unsigned udp_asked, tcp_asked;
	pthread_t thread;
};
static struct dns dns;

struct msg {
	uint8_t b[65536];
	size_t len;
	unsigned answers;
};

static void put16(struct msg *m, unsigned v)
{
	m->b[m->len++] = (uint8_t)(v >> 8);
	m->b[m->len++] = (uint8_t)v;
}

static void put_name(struct msg *m, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");
		m->b[m->len++] = (uint8_t)n;
		memcpy(m->b + m->len, name, n);
		m->len += n;
		name += n + (name[n] == '.');
	}
	m->b[m->len++] = 0;
}

/* A record of the asked name, or of owner. */
static size_t put_head(struct msg *m, const char *owner, unsigned type, unsigned ttl)
{
	if (owner)
		put_name(m, owner);
	else
		put16(m, 0xc00c); /* the question's */
	put16(m, type);
	put16(m, 1);
	put16(m, ttl >> 16);
	put16(m, ttl);
	put16(m, 0);
	m->answers++;
	return m->len;
}

static void put_end(struct msg *m, size_t at)
{
	m->b[at - 2] = (uint8_t)((m->len - at) >> 8);
	m->b[at - 1] = (uint8_t)(m->len - at);
}

static void put_ip(struct msg *m, const char *owner, const char *ip, unsigned ttl)
{
	bool six = strchr(ip, ':') != NULL;
	size_t at = put_head(m, owner, six ? 28 : 1, ttl);
	inet_pton(six ? AF_INET6 : AF_INET, ip, m->b + m->len);
	m->len += six ? 16 : 4;
	put_end(m, at);
}

static void put_srv(struct msg *m, unsigned priority, unsigned weight, unsigned port, const char *host)
{
	size_t at = put_head(m, NULL, 33, 20);
	put16(m, priority);
	put16(m, weight);
	put16(m, port);
	put_name(m, host);
	put_end(m, at);
}

/* What the zone says; a code of RFC 1035, or -1 for no answer at all. */
static int zone(struct msg *m, const char *name, unsigned type, bool tcp)
{
	char ip[32];
	bool a = type == 1, srv = type == 33;
	if (!strcmp(name, "both.test") || !strcmp(name, "host.search.test")) {
		if (!srv)
			put_ip(m, NULL, a ? "10.2.3.4" : "2001:db8::5", 60);
	} else if (!strcmp(name, "four.test") || !strncmp(name, "count", 5)) {
		if (a)
			put_ip(m, NULL, "10.2.3.4", 60);
	} else if (!strcmp(name, "short.test")) {
		if (a)
			put_ip(m, NULL, "10.2.3.4", 0);
	} else if (!strcmp(name, "alias.test")) {
		size_t at = put_head(m, NULL, 5, 30);
		put_name(m, "both.test");
		put_end(m, at);
		put_ip(m, "both.test", a ? "10.2.3.4" : "2001:db8::5", 60);
	} else if (!strcmp(name, "many.test")) {
		for (unsigned i = 0; a && i < 60; i++) {
			snprintf(ip, sizeof ip, "10.0.0.%u", i);
			put_ip(m, NULL, ip, 60);
		}
	} else if (!strcmp(name, "long.test")) {
		if (!tcp)
			m->b[2] |= 2; /* truncated */
		else if (a)
			put_ip(m, NULL, "10.9.9.9", 60);
	} else if (!strcmp(name, "_ok._tcp.test") && srv) {
		put_srv(m, 20, 0, 9002, "late.test");
		put_srv(m, 10, 5, 9001, "b.test");
		put_srv(m, 10, 50, 9000, "a.test");
	} else if (!strcmp(name, "_none._tcp.test") && srv) {
		put_srv(m, 0, 0, 0, "");
	} else if (!strcmp(name, "silent.test")) {
		return -1;
	} else if (!strcmp(name, "broken.test")) {
		return 2;
	} else if (!strcmp(name, "garbage.test")) {
		m->answers = 7;
	} else {
		return 3;
	}
	return 0;
}

/* The answer to a query of len bytes in m; false: none. */
static bool answer(struct msg *m, bool tcp)
{
	char name[300] = "";
	size_t at = 12, n = 0;
	if (m->len < 17)
		return false;
	while (at < m->len && m->b[at] && n < 250) {
		memcpy(name + n, m->b + at + 1, m->b[at]);
		n += m->b[at];
		name[n++] = '.';
		at += 1u + m->b[at];
	}
	name[n ? n - 1 : 0] = 0;
	unsigned type = m->b[at + 2];
	if (!strncmp(name, "count", 5))
		__atomic_fetch_add(&dns.asked, 1, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(tcp ? &dns.tcp_asked : &dns.udp_asked, 1, __ATOMIC_ACQ_REL);
	m->len = at + 5;
	m->b[2] = 0x84; /* an answer, of who knows */
	m->b[3] = 0x80;
	memset(m->b + 6, 0, 6);
	m->answers = 0;
	int code = zone(m, name, type, tcp);
	if (code < 0)
		return false;
	m->b[3] |= (uint8_t)code;
	m->b[7] = (uint8_t)m->answers;
	return true;
}

static void serve_udp(struct msg *m)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	ssize_t n = recvfrom(dns.udp, m->b, sizeof m->b, 0, (struct sockaddr *)&from, &len);
	if (n <= 0)
		return;
	m->len = (size_t)n;
	if (answer(m, false))
		(void)!sendto(dns.udp, m->b, m->len, 0, (struct sockaddr *)&from, len);
}

static void serve_tcp(struct msg *m)
{
	uint8_t size[2];
	int fd = accept(dns.tcp, NULL, NULL);
	if (fd < 0)
		return;
	if (recv(fd, size, 2, MSG_WAITALL) == 2) {
		m->len = (size_t)size[0] << 8 | size[1];
		if (recv(fd, m->b, m->len, MSG_WAITALL) == (ssize_t)m->len && answer(m, true)) {
			size[0] = (uint8_t)(m->len >> 8);
			size[1] = (uint8_t)m->len;
			(void)!send(fd, size, 2, MSG_NOSIGNAL);
			(void)!send(fd, m->b, m->len, MSG_NOSIGNAL);
			recv(fd, size, 1, 0); /* until the client closes */
		}
	}
	close(fd);
}

static void *serve(void *arg)
{
	static struct msg m;
	struct pollfd p[2] = { { .fd = dns.udp, .events = POLLIN },
		{ .fd = dns.tcp, .events = POLLIN } };
	while (!__atomic_load_n(&dns.ends, __ATOMIC_ACQUIRE)) {
		if (poll(p, 2, 20) <= 0)
			continue;
		if (p[0].revents)
			serve_udp(&m);
		if (p[1].revents)
			serve_tcp(&m);
	}
	return arg;
}

static void dns_start(void)
{
	for (unsigned tries = 0; tries < 100; tries++) { /* one number for both */
		struct sockaddr_in sa = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof sa;
		dns.udp = socket(AF_INET, SOCK_DGRAM, 0);
		dns.tcp = socket(AF_INET, SOCK_STREAM, 0);
		if (!bind(dns.udp, (struct sockaddr *)&sa, len) &&
		    !getsockname(dns.udp, (struct sockaddr *)&sa, &len) &&
		    !bind(dns.tcp, (struct sockaddr *)&sa, len) && !listen(dns.tcp, 16)) {
			dns.port = ntohs(sa.sin_port);
			if (pthread_create(&dns.thread, NULL, serve, NULL))
				abort();
			return;
		}
		close(dns.udp);
		close(dns.tcp);
	}
	abort();
}

static unsigned count(const unsigned *n)
{
	return __atomic_load_n(n, __ATOMIC_ACQUIRE);
}

/* ---- asking ---- */

struct ask {
	struct resolve_query q;
	const char *name;
	bool absolute;
	enum resolve_kind kind;
	bool done, again;
	enum err err;
	char text[400], addrs[2000];
	size_t count;
	uint32_t keep_s;
};

static void on_answer(struct resolve_query *q, const struct resolve_answer *a)
{
	struct ask *x = CONTAINER_OF(q, struct ask, q);
	x->err = a->err;
	x->keep_s = a->keep_s;
	snprintf(x->text, sizeof x->text, "%s", a->text);
	x->addrs[0] = 0;
	for (size_t i = 0; i < a->addr_count; i++) {
		char ip[64];
		inet_ntop(a->addrs[i].family, a->addrs[i].ip, ip, sizeof ip);
		snprintf(x->addrs + strlen(x->addrs), sizeof x->addrs - strlen(x->addrs), "%s ", ip);
	}
	for (size_t i = 0; i < a->service_count; i++)
		snprintf(x->addrs + strlen(x->addrs), sizeof x->addrs - strlen(x->addrs), "%s:%u ",
		    a->services[i].host, a->services[i].port);
	x->count = a->addr_count + a->service_count;
	if (x->again) { /* below done() */
		x->again = false;
		resolve_start(res, &x->q, x->name, x->absolute, x->kind);
		return;
	}
	x->done = true;
}

static void ask_here(void *arg)
{
	struct ask *x = arg;
	x->q.done = on_answer;
	resolve_start(res, &x->q, x->name, x->absolute, x->kind);
}

static bool is_done(void *arg)
{
	return ((struct ask *)arg)->done;
}

static void await(struct ask *x)
{
	if (!testteam_wait(&tt, 0, is_done, x, PATIENCE_MS)) {
		tap_ok(false, "%s is answered", x->name);
		exit(tap_done());
	}
}

static struct ask *ask_as(const char *name, bool absolute, enum resolve_kind kind)
{
	static struct ask x;
	x = (struct ask){ .name = name, .absolute = absolute, .kind = kind };
	testteam_run(&tt, 0, ask_here, &x);
	await(&x);
	return &x;
}

static struct ask *ask(const char *name)
{
	return ask_as(name, false, RESOLVE_ADDRS_OF);
}

static void create_here(void *arg)
{
	if (resolve_create(loop_here(), conf, &res, arg))
		res = NULL;
}

static void free_here(void *arg)
{
	resolve_free(arg);
}

static bool has_words(const char *s, const char *a, const char *b)
{
	return strstr(s, a) && strstr(s, b);
}

/* ---- cases ---- */

static void names(void)
{
	struct ask *x = ask("both.test");
	tap_ok(!x->err && x->count == 2 && has_words(x->addrs, "10.2.3.4 ", "2001:db8::5 "),
	    "A and AAAA: %s%s", x->addrs, x->text);
	tap_ok(x->keep_s <= 60, "kept for its TTL: %u s", x->keep_s);
	x = ask("FOUR.test");
	tap_ok(!x->err && !strcmp(x->addrs, "10.2.3.4 "), "A alone, in any case: %s%s", x->addrs,
	    x->text);
	x = ask("alias.test");
	tap_ok(!x->err && x->count == 2 && x->keep_s <= 30, "a CNAME, its TTL too: %s%u s",
	    x->addrs, x->keep_s);
	x = ask("many.test");
	tap_ok(!x->err && x->count == RESOLVE_ADDRS, "no more than RESOLVE_ADDRS: %zu", x->count);
	x = ask("long.test");
	tap_ok(!x->err && !strcmp(x->addrs, "10.9.9.9 ") && count(&dns.tcp_asked),
	    "truncated: over TCP: %s%s", x->addrs, x->text);
	x = ask("nowhere.test");
	tap_ok(x->err == ERR_NOTFOUND && !strcmp(x->text, "resolve nowhere.test: no such name"),
	    "%s", x->text);
	struct resolve *patient = res;
	static struct resolve_conf hasty; /* shares what it points to */
	hasty = *conf;
	hasty.timeout_ms = 100;
	conf = &hasty;
	testteam_run(&tt, 0, create_here, NULL);
	x = ask("silent.test");
	testteam_run(&tt, 0, free_here, res);
	conf = own_conf;
	res = patient;
	tap_ok(x->err == ERR_TIMEOUT && strstr(x->text, "silent.test"), "%s", x->text);
	x = ask("broken.test");
	tap_ok(x->err && strstr(x->text, "broken.test"), "%s", x->text);
	x = ask("garbage.test");
	tap_ok(x->err && strstr(x->text, "garbage.test"), "%s", x->text);
	x = ask("host");
	tap_ok(!x->err && x->count == 2, "a search domain is added: %s%s", x->addrs, x->text);
	x = ask_as("host", true, RESOLVE_ADDRS_OF);
	tap_ok(x->err == ERR_NOTFOUND, "not when the name is whole: %s", x->text);
	x = ask("host.");
	tap_ok(x->err == ERR_NOTFOUND, "as a dot says, too: %s", x->text);
	x = ask("");
	tap_ok(x->err, "no name at all: %s", x->text);
	char big[1000];
	memset(big, 'a', sizeof big);
	big[999] = 0;
	x = ask(big);
	tap_ok(x->err, "a name of 999 bytes: %.60s", x->text);
}

static void services(void)
{
	struct ask *x = ask_as("_ok._tcp.test", false, RESOLVE_SERVICES_OF);
	tap_is_str(x->addrs, "a.test:9000 b.test:9001 late.test:9002 ",
	    "services by priority, then weight: %s", x->text);
	tap_ok(x->keep_s <= 20, "kept for their TTL: %u s", x->keep_s);
	x = ask_as("_none._tcp.test", false, RESOLVE_SERVICES_OF);
	tap_ok(x->err == ERR_NOTFOUND && strstr(x->text, "no such service"), "a dot: none: %s",
	    x->text);
	x = ask_as("nowhere.test", false, RESOLVE_SERVICES_OF);
	tap_ok(x->err == ERR_NOTFOUND, "%s", x->text);
}

static void local(void)
{
	unsigned before = count(&dns.udp_asked);
	struct ask *x = ask("10.0.0.7");
	tap_is_str(x->addrs, "10.0.0.7 ", "an address is its own answer");
	x = ask("::7");
	tap_is_str(x->addrs, "::7 ", "IPv6, too");
	x = ask("Printer");
	tap_is_str(x->addrs, "10.1.1.1 fd00::1 ", "hosts, in its order");
	x = ask("printer.lan");
	tap_is_str(x->addrs, "10.1.1.1 ", "by another name");
	x = ask("localhost");
	tap_is_str(x->addrs, "127.0.0.1 ", "localhost, as hosts has it");
	x = ask("db.localhost.");
	tap_is_str(x->addrs, "::1 127.0.0.1 ", "what is below it is this host");
	tap_ok(count(&dns.udp_asked) == before, "no server was asked");
}

static struct ask crowd[100];
static void crowd_here(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < COUNT_OF(crowd); i++) {
		crowd[i] = (struct ask){ .name = "count.test" };
		ask_here(&crowd[i]);
	}
	for (unsigned i = 50; i < COUNT_OF(crowd); i++)
		resolve_cancel(&crowd[i].q);
}

static void many(void)
{
	testteam_run(&tt, 0, crowd_here, NULL);
	bool fine = true, quiet = true;
	for (unsigned i = 0; i < 50; i++) {
		await(&crowd[i]);
		fine &= !crowd[i].err && crowd[i].count == 1;
	}
	for (unsigned i = 50; i < 100; i++)
		quiet &= !crowd[i].done;
	tap_ok(fine && count(&dns.asked) == 2, "100 askers are one query, of two packets: %u",
	    count(&dns.asked));
	tap_ok(quiet, "who cancels hears nothing");
	(void)ask("count.test");
	tap_ok(count(&dns.asked) == 2, "the answer is kept");
	static struct ask x;
	x = (struct ask){ .name = "count.test", .again = true };
	testteam_run(&tt, 0, ask_here, &x);
	await(&x);
	tap_ok(!x.err && count(&dns.asked) == 2, "who asks again below done() is answered");
	/* More names than are kept. */
	char name[40];
	for (unsigned i = 0; i < RESOLVE_ENTRIES + 50; i++) {
		snprintf(name, sizeof name, "10.0.%u.%u", i / 256, i % 256);
		fine &= !ask(name)->err;
	}
	tap_ok(fine, "more names than are kept");
	(void)ask("short.test");
	unsigned before = count(&dns.udp_asked);
	usleep(1100000);
	(void)ask("short.test");
	tap_ok(count(&dns.udp_asked) > before, "an answer of TTL 0 is kept for a second, no longer");
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static void files(void)
{
	char *dir = testlib_tmpdir("resolve");
	char *r = testlib_path(dir, "resolv.conf"), *h = testlib_path(dir, "hosts");
	struct resolve_conf *c;
	struct errbuf eb;
	errbuf_init(&eb);
	write_file(r,
	    "# a comment\nnameserver 10.0.0.53 # ours\nnameserver fe80::1%eth0\nnameserver ::53\n"
	    "nameserver 10.0.0.54\nnameserver 10.0.0.55\ndomain old.example\n"
	    "search one.example two.example\noptions ndots:3 timeout:99 attempts:0 rotate edns0\n"
	    "sortlist 10.0.0.0\nnonsense");
	write_file(h,
	    "127.0.0.1 localhost\n10.1.1.1\tPrinter printer.lan. # here\nfd00::1 printer\n"
	    "not.an.address x\n;10.0.0.1 y\n\n");
	tap_ok(!resolveconf_load(r, h, &c, &eb), "both are read: %s", eb.text);
	tap_ok(c->server_count == 3 && c->servers[0].addr.family == AF_INET &&
	        c->servers[1].addr.family == AF_INET6 && c->servers[2].port == 53,
	    "three servers, none with a zone");
	tap_ok(c->domain_count == 2 && !strcmp(c->domains[1], "two.example"),
	    "the last domains count");
	tap_ok(c->ndots == 3 && c->timeout_ms == 30000 && c->attempts == 1 && c->rotate,
	    "options, within bounds");
	struct resolveconf_addr a[4];
	tap_is_u64(resolveconf_host(c, "PRINTER", a, 4), 2, "two addresses of a name");
	tap_is_u64(resolveconf_host(c, "y", a, 4), 0, "a comment is none");
	resolveconf_free(c);
	tap_ok(!resolveconf_load("/nonexistent", "/nonexistent", &c, &eb) && c->server_count == 1,
	    "without files the server is here");
	resolveconf_free(c);
	tap_ok(resolveconf_load(dir, h, &c, &eb) && strstr(eb.text, dir), "a directory: %s", eb.text);
	errbuf_init(&eb);
	write_file(r, "options timeout:20 attempts:2\nsearch search.test\n");
	tap_ok(!resolveconf_load(r, h, &conf, &eb), "those of the test: %s", eb.text);
	testlib_rmtree(dir);
	free(r);
	free(h);
	free(dir);
}

int main(void)
{
	struct errbuf eb;
	errbuf_init(&eb);
	testteam_start(&tt, 1);
	dns_start();
	files();
	conf->servers[0].port = dns.port;
	own_conf = conf;
	testteam_run(&tt, 0, create_here, &eb);
	if (!tap_ok(res != NULL, "a resolver: %s", eb.text))
		return tap_done();
	names();
	services();
	local();
	many();
	static struct ask last = { .name = "silent.test" };
	testteam_run(&tt, 0, ask_here, &last); /* on its way when all ends */
	testteam_run(&tt, 0, (void (*)(void *))resolve_cancel, &last.q);
	testteam_run(&tt, 0, free_here, res);
	tap_ok(!last.done, "it ends with a query on its way");
	__atomic_store_n(&dns.ends, true, __ATOMIC_RELEASE);
	pthread_join(dns.thread, NULL);
	close(dns.udp);
	close(dns.tcp);
	testteam_stop(&tt);
	resolveconf_free(conf);
	return tap_done();
}
