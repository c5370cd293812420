/*
 * The server of test routes that t_http and t_httpturns talk to, over loopback: begun and ended,
 * its clock moved, one exchange, one body, what is in flight.
 */
#ifndef TESTS_UNIT_NET_HTTPSERVE_H
#define TESTS_UNIT_NET_HTTPSERVE_H

#include "tests/lib/httpcli.h"
#include "tests/unit/net/httproutes.h"
#include "tests/unit/net/overtls.h"

/* A GET and its fields, each with its end. */
#define GET(path, more) "GET " path " HTTP/1.1\r\nHost: a\r\n" more "\r\n"

static struct testteam tt;
static struct srv *srv;
static const char *address, *serve_prefix, *serve_links; /* srv_opts.prefix, links */

static const char *serve_stranger(const char *inside, size_t len, const char **ours)
{
	*ours = len == 7 ? "/ping" : NULL;
	return strncmp(inside, "/others", 7) ? NULL : "another server's,";
}

static inline void serve(unsigned loops, const char *where, size_t inflight)
{
	static struct listen_conf listeners[1];
	listeners[0] = (struct listen_conf){ .address = where, .tls = overtls_conf() };
	testteam_start(&tt, loops);
	struct srv_opts opts = { .team = tt.team,
		.listeners = listeners,
		.listener_count = 1,
		.routes = { test_rows, COUNT_OF(test_rows) },
		.prefix = serve_prefix,
		.links = serve_links,
		.gate = test_gate,
		.door = test_door,
		.speak = test_speak,
		.unmatched = test_unmatched,
		.stranger = serve_stranger };
	limits_default(&test_limits);
	if (inflight)
		test_limits.http_inflight_bytes = inflight;
	test_limits_set(&tt);
	struct errbuf eb;
	errbuf_init(&eb);
	if (srv_create(&opts, &srv, &eb)) {
		fprintf(stderr, "srv_create: %s\n", eb.text);
		exit(99);
	}
	srv_serve(srv);
	address = overtls_address(srv_address(srv, 0), "\x08http/1.1");
}

static inline void stop(void)
{
	srv_close_all(srv);
	testteam_stop(&tt);
	srv_free(srv);
}

static inline void nothing(void *arg)
{
	(void)arg;
}

static inline void advance(int64_t ms)
{
	for (unsigned i = 0; i < team_count(tt.team); i++)
		testteam_run(&tt, i, nothing, NULL);
	clock_fake_advance(ms);
	team_clock_moved(tt.team);
}

/* Waits until the server has no more of them, some ms or until it hangs. */
static inline bool quiet_within(size_t conns, size_t reqs, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		if (srv_connections(srv) <= conns && srv_requests(srv) <= reqs)
			return true;
		usleep(1000);
	}
	return false;
}

static inline bool quiet(size_t conns, size_t reqs)
{
	return quiet_within(conns, reqs, 60000);
}

/* The same of all, where some may linger: time goes by until they do not. */
static inline bool quiet_at_last(void)
{
	for (unsigned i = 0; i < 200; i++) {
		if (quiet_within(0, 0, 200))
			return true;
		advance(3000);
	}
	return false;
}

/* One exchange on a connection of its own. */
static inline struct httpcli_answer ask(const char *text)
{
	int fd = httpcli_dial(address);
	httpcli_puts(fd, text);
	struct httpcli_answer a = httpcli_read(fd, !strncmp(text, "HEAD", 4), 60000);
	close(fd);
	return a;
}

/* A body of len bytes; answers of /echo must be the same. */
static inline struct httpcli_answer post(int fd, const char *path, const char *fields, size_t len)
{
	char head[500];
	sprintf(head, "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n", path, fields,
	    len);
	char *body = malloc(len + 1);
	for (size_t i = 0; i < len; i++)
		body[i] = (char)(i * 31 + i / 251);
	httpcli_puts(fd, head);
	httpcli_send(fd, body, len);
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	if (a.status == 200 && a.whole && a.len == len && memcmp(a.body, body, len))
		a.status = 9999;
	free(body);
	return a;
}

static inline int64_t in_flight(void)
{
	return (int64_t)metric_sum(M_INFLIGHT_BYTES);
}

static inline bool in_flight_becomes(int64_t bytes)
{
	for (unsigned i = 0; i < 60000 && in_flight() != bytes; i++)
		usleep(1000);
	return in_flight() == bytes;
}

/* From another address than 127.0.0.1. */
static inline int dial_from(const char *from)
{
	const char *colon = strrchr(address, ':');
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in own = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, from, &own.sin_addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) ||
	    connect(fd, (struct sockaddr *)&sa, sizeof sa))
		exit(99);
	return fd;
}

#endif
