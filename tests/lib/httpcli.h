/*
 * httpcli - a blocking HTTP/1.1 client for tests, header only: raw bytes out, one answer in.
 *
 * Thread: any that is not a loop. Memory: an answer's body belongs to the answer (httpcli_free).
 */
#ifndef TESTS_LIB_HTTPCLI_H
#define TESTS_LIB_HTTPCLI_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTPCLI_UNUSED __attribute__((unused))

/* address: "127.0.0.1:1234". Exits when nobody listens. */
HTTPCLI_UNUSED static int httpcli_dial(const char *address)
{
	const char *colon = strrchr(address, ':');
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa)) {
		perror("httpcli_dial");
		exit(99);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* False when the peer has closed. */
HTTPCLI_UNUSED static bool httpcli_send(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

HTTPCLI_UNUSED static bool httpcli_puts(int fd, const char *text)
{
	return httpcli_send(fd, text, strlen(text));
}

struct httpcli_answer {
	int status; /* 0: none came (closed, reset, or nothing for timeout_ms) */
	char head[8192];
	char *body;
	size_t len;
	bool whole; /* the body ended as it should */
};

HTTPCLI_UNUSED static void httpcli_free(struct httpcli_answer *a)
{
	free(a->body);
	a->body = NULL;
}

HTTPCLI_UNUSED static const char *httpcli_field(const struct httpcli_answer *a, const char *name)
{
	static char value[1024];
	size_t n = strlen(name);
	for (const char *p = strstr(a->head, "\r\n"); p; p = strstr(p, "\r\n")) {
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

/*
 * One byte with patience; -1 at the end. Reads ahead nothing, so that pipelined answers stay apart.
 */
HTTPCLI_UNUSED static ssize_t httpcli_some(int fd, void *out, size_t len, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (poll(&p, 1, timeout_ms) <= 0)
		return -1;
	return recv(fd, out, len, 0);
}

HTTPCLI_UNUSED static bool httpcli_line(int fd, char *out, size_t size, int timeout_ms)
{
	size_t n = 0;
	while (n + 1 < size) {
		if (httpcli_some(fd, out + n, 1, timeout_ms) != 1)
			break;
		n++;
		if (out[n - 1] == '\n') {
			out[n] = 0;
			return true;
		}
	}
	out[n] = 0;
	return false;
}

HTTPCLI_UNUSED static bool httpcli_body(int fd, struct httpcli_answer *a, size_t more, int timeout_ms)
{
	a->body = realloc(a->body, a->len + more + 1);
	while (more) {
		ssize_t n = httpcli_some(fd, a->body + a->len, more, timeout_ms);
		if (n <= 0)
			return false;
		a->len += (size_t)n;
		more -= (size_t)n;
	}
	a->body[a->len] = 0;
	return true;
}

/* head_only: the answer to a HEAD. 100 Continue counts as an answer of its own. */
HTTPCLI_UNUSED static struct httpcli_answer httpcli_read(int fd, bool head_only, int timeout_ms)
{
	struct httpcli_answer a = { 0 };
	size_t n = 0;
	char line[4096];
	while (n + sizeof line < sizeof a.head && httpcli_line(fd, line, sizeof line, timeout_ms)) {
		size_t len = strlen(line);
		memcpy(a.head + n, line, len + 1);
		n += len;
		if (len == 2)
			break;
	}
	if (n < 4 || sscanf(a.head, "HTTP/1.1 %d", &a.status) != 1 ||
	    strcmp(a.head + n - 4, "\r\n\r\n")) {
		a.status = 0;
		return a;
	}
	const char *v;
	a.whole = true;
	if (head_only || a.status == 204 || a.status == 304 || a.status < 200)
		return a;
	if ((v = httpcli_field(&a, "content-length"))) {
		a.whole = httpcli_body(fd, &a, strtoull(v, NULL, 10), timeout_ms);
	} else if ((v = httpcli_field(&a, "transfer-encoding")) && !strcmp(v, "chunked")) {
		for (;;) {
			size_t size;
			a.whole = httpcli_line(fd, line, sizeof line, timeout_ms) &&
			    sscanf(line, "%zx", &size) == 1 &&
			    httpcli_body(fd, &a, size, timeout_ms) &&
			    httpcli_line(fd, line, sizeof line, timeout_ms) && !strcmp(line, "\r\n");
			if (!a.whole || !size)
				break;
		}
	} else {
		ssize_t r;
		char piece[4096];
		while ((r = httpcli_some(fd, piece, sizeof piece, timeout_ms)) > 0) {
			a.body = realloc(a.body, a.len + (size_t)r + 1);
			memcpy(a.body + a.len, piece, (size_t)r);
			a.len += (size_t)r;
			a.body[a.len] = 0;
		}
		a.whole = r == 0;
	}
	return a;
}

/* Has the peer closed (in an orderly way or not)? Waits for it. */
HTTPCLI_UNUSED static bool httpcli_closed(int fd, int timeout_ms)
{
	char c;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (poll(&p, 1, timeout_ms) <= 0)
		return false;
	return recv(fd, &c, 1, 0) <= 0;
}

#endif
