/*
 * playsrv - a server of a test on loopback that plays what it is told, byte by byte, header only.
 *
 *   struct playsrv s;
 *   playsrv_start(&s, on_request, arg);     // a thread for each connection
 *   s.port, s.accepted, s.requests          // read them with playsrv_get()
 *   playsrv_stop(&s);                       // waits for all of them
 *
 * on_request(conn) gets one request (method, target, head, body) and writes what it likes; false
 * ends the connection. raw: on_request is called at once, with nothing read.
 */
#ifndef TESTS_LIB_PLAYSRV_H
#define TESTS_LIB_PLAYSRV_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLAYSRV_UNUSED __attribute__((unused))

struct playsrv;
struct playconn {
	struct playsrv *s;
	int fd;
	char method[32], target[2048], head[65536];
	char *body;
	size_t body_len;
	unsigned nth; /* request of this connection, from 0 */
};
struct playsrv {
	int fd;
	unsigned port;
	bool raw;
	bool (*on_request)(struct playconn *c);
	void *arg;
	unsigned accepted, requests, open, open_max;
	bool ends;
	pthread_t thread;
};
#define playsrv_get(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)

PLAYSRV_UNUSED static bool play_send(struct playconn *c, const void *data, size_t len)
{
	const char *p = data;
	while (len) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

PLAYSRV_UNUSED static bool play_puts(struct playconn *c, const char *text)
{
	return play_send(c, text, strlen(text));
}

/* Value of a field of the request, NULL when there is none. */
PLAYSRV_UNUSED static const char *play_field(const struct playconn *c, const char *name)
{
	static __thread char value[4096];
	size_t n = strlen(name);
	for (const char *p = strstr(c->head, "\r\n"); p; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, n) || p[n] != ':')
			continue;
		p += n + 1;
		p += strspn(p, " ");
		snprintf(value, sizeof value, "%.*s", (int)strcspn(p, "\r"), p);
		return value;
	}
	return NULL;
}

/* Waits for bytes; false when the server is to end, or the client has left. */
PLAYSRV_UNUSED static bool play_wait(struct playconn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	while (!playsrv_get(c->s->ends)) {
		if (poll(&p, 1, 20) > 0)
			return true;
	}
	return false;
}

PLAYSRV_UNUSED static bool play_read(struct playconn *c, void *out, size_t len)
{
	char *p = out;
	while (len) {
		if (!play_wait(c))
			return false;
		ssize_t n = recv(c->fd, p, len, 0);
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool play_line(struct playconn *c, char *out, size_t size)
{
	size_t n = 0;
	while (n + 1 < size && play_read(c, out + n, 1)) {
		if (out[n++] == '\n') {
			out[n] = 0;
			return true;
		}
	}
	return false;
}

static bool play_more_body(struct playconn *c, size_t more)
{
	c->body = realloc(c->body, c->body_len + more + 1);
	if (!play_read(c, c->body + c->body_len, more))
		return false;
	c->body_len += more;
	c->body[c->body_len] = 0;
	return true;
}

static bool play_body(struct playconn *c)
{
	char line[256];
	const char *v = play_field(c, "content-length");
	free(c->body);
	c->body = NULL;
	c->body_len = 0;
	if (v)
		return play_more_body(c, strtoul(v, NULL, 10));
	v = play_field(c, "transfer-encoding");
	while (v && !strcmp(v, "chunked")) {
		if (!play_line(c, line, sizeof line))
			return false;
		size_t n = strtoul(line, NULL, 16);
		if ((n && !play_more_body(c, n)) || !play_line(c, line, sizeof line))
			return false;
		if (!n)
			return true;
	}
	return true;
}

static bool play_request(struct playconn *c)
{
	size_t n = 0;
	for (;;) {
		if (n + 4096 >= sizeof c->head || !play_line(c, c->head + n, sizeof c->head - n))
			return false;
		size_t line = strlen(c->head + n);
		n += line;
		if (line == 2)
			break;
	}
	if (sscanf(c->head, "%31s %2047s", c->method, c->target) != 2)
		return false;
	return strcmp(c->method, "CONNECT") ? play_body(c) : true;
}

static void *play_conn(void *arg)
{
	struct playconn *c = arg;
	struct playsrv *s = c->s;
	unsigned open = __atomic_add_fetch(&s->open, 1, __ATOMIC_ACQ_REL);
	if (open > playsrv_get(s->open_max))
		__atomic_store_n(&s->open_max, open, __ATOMIC_RELEASE);
	if (s->raw) {
		s->on_request(c);
	} else {
		while (play_request(c)) {
			__atomic_add_fetch(&s->requests, 1, __ATOMIC_ACQ_REL);
			if (!s->on_request(c))
				break;
			c->nth++;
		}
	}
	close(c->fd);
	free(c->body);
	free(c);
	__atomic_sub_fetch(&s->open, 1, __ATOMIC_ACQ_REL);
	return NULL;
}

static void *play_listen(void *arg)
{
	struct playsrv *s = arg;
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	while (!playsrv_get(s->ends)) {
		if (poll(&p, 1, 20) <= 0)
			continue;
		int fd = accept(s->fd, NULL, NULL), one = 1;
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		__atomic_add_fetch(&s->accepted, 1, __ATOMIC_ACQ_REL);
		struct playconn *c = calloc(1, sizeof *c);
		c->s = s;
		c->fd = fd;
		pthread_t t;
		if (pthread_create(&t, NULL, play_conn, c))
			abort();
		pthread_detach(t);
	}
	return NULL;
}

PLAYSRV_UNUSED static void playsrv_start(
    struct playsrv *s, bool raw, bool (*on_request)(struct playconn *c), void *arg)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	*s = (struct playsrv){ .raw = raw, .on_request = on_request, .arg = arg };
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&sa, len) || listen(s->fd, 128) ||
	    getsockname(s->fd, (struct sockaddr *)&sa, &len) ||
	    pthread_create(&s->thread, NULL, play_listen, s)) {
		perror("playsrv_start");
		exit(99);
	}
	s->port = ntohs(sa.sin_port);
}

PLAYSRV_UNUSED static void playsrv_stop(struct playsrv *s)
{
	__atomic_store_n(&s->ends, true, __ATOMIC_RELEASE);
	pthread_join(s->thread, NULL);
	while (playsrv_get(s->open))
		usleep(1000);
	close(s->fd);
}

#endif
