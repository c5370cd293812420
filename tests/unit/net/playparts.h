/*
 * playparts - what the server of t_hclient answers, by the path that is asked for, header only:
 *
 *   /plain /once        five bytes; the connection stays, or ends
 *   /script             the bytes of set_script(), so many at a time
 *   /slow               after 20 ms; slow_most counts how many were open at once
 *   /fails/HOW          503 (or 429, or an end) for as often as set_fails() says, then 200
 *   /to/CODE/WHERE      a redirect
 *   /big/N /gzip/N,LESS N bytes, plain or packed; LESS of the packed ones are kept back
 *   /echo               what was sent
 *   /hang/HOW           nothing, half a body, or a head that never ends
 */
#ifndef TESTS_UNIT_NET_PLAYPARTS_H
#define TESTS_UNIT_NET_PLAYPARTS_H

#include <zlib.h>

#include "core/base/check.h"
#include "tests/lib/playsrv.h"

static char script[1 << 20]; /* what /script answers, for as many bytes */
static size_t script_len, script_step;
static unsigned fails_left, slow_open, slow_most, posts;
static char seen_head[65536];
static pthread_mutex_t play_lock = PTHREAD_MUTEX_INITIALIZER; /* of script and seen_head */

static void see(const struct playconn *c)
{
	pthread_mutex_lock(&play_lock);
	memcpy(seen_head, c->head, strlen(c->head) + 1);
	pthread_mutex_unlock(&play_lock);
}

/* Was it in the head of the last request? */
static bool saw(const char *text)
{
	pthread_mutex_lock(&play_lock);
	bool yes = strstr(seen_head, text) != NULL;
	pthread_mutex_unlock(&play_lock);
	return yes;
}

static bool play_script(struct playconn *c)
{
	char *all = malloc(sizeof script);
	pthread_mutex_lock(&play_lock);
	size_t len = script_len, step = script_step;
	memcpy(all, script, len);
	pthread_mutex_unlock(&play_lock);
	for (size_t i = 0; i < len; i += step)
		if (!play_send(c, all + i, len - i < step ? len - i : step))
			break;
	free(all);
	return false;
}

static bool play_slow(struct playconn *c)
{
	unsigned open = __atomic_add_fetch(&slow_open, 1, __ATOMIC_ACQ_REL);
	if (open > playsrv_get(slow_most))
		__atomic_store_n(&slow_most, open, __ATOMIC_RELEASE);
	usleep(20000);
	__atomic_sub_fetch(&slow_open, 1, __ATOMIC_ACQ_REL);
	return play_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
}

static bool play_fails(struct playconn *c)
{
	static const char *const after[][2] = { { "wait", "1" }, { "long", "3600" },
		{ "past", "Fri, 31 Dec 1999 23:59:59 GMT" },
		{ "far", "Fri, 31 Dec 2999 23:59:59 GMT" }, { "odd", "soon" } };
	char out[200];
	const char *more = "0";
	if (!playsrv_get(fails_left))
		return play_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
	__atomic_sub_fetch(&fails_left, 1, __ATOMIC_ACQ_REL);
	if (strstr(c->target, "close"))
		return false;
	for (size_t i = 0; i < COUNT_OF(after); i++)
		if (strstr(c->target, after[i][0]))
			more = after[i][1];
	snprintf(out, sizeof out, "HTTP/1.1 %s No\r\nRetry-After: %s\r\nContent-Length: 2\r\n\r\nno",
	    strstr(c->target, "wait") ? "429" : "503", more);
	return play_puts(c, out);
}

static bool play_redirect(struct playconn *c)
{
	char out[4096];
	for (char *p = c->target; (p = strstr(p, "%5")); p++) { /* brackets come escaped */
		*p = p[2] == 'B' ? '[' : ']';
		memmove(p + 1, p + 3, strlen(p + 3) + 1);
	}
	snprintf(out, sizeof out, "HTTP/1.1 %.3s Go\r\nLocation: %s\r\nContent-Length: 3\r\n\r\nbye",
	    c->target + 4, c->target + 8);
	return play_puts(c, out);
}

static bool play_big(struct playconn *c)
{
	static char piece[1 << 16];
	char head[100];
	size_t n = strtoul(c->target + 5, NULL, 10);
	memset(piece, 'x', sizeof piece);
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
	bool fine = play_puts(c, head);
	for (size_t at = 0; fine && at < n; at += sizeof piece)
		fine = play_send(c, piece, n - at < sizeof piece ? n - at : sizeof piece);
	return fine;
}

/* query: bytes of zeros, and how many packed bytes are kept back */
static bool play_gzip(struct playconn *c)
{
	size_t n = strtoul(c->target + 6, NULL, 10);
	const char *comma = strchr(c->target, ',');
	size_t less = comma ? strtoul(comma + 1, NULL, 10) : 0;
	uint8_t *plain = calloc(1, n + 1), *packed = malloc(n + 1000);
	z_stream z = { 0 };
	char head[200];
	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	z.next_in = plain;
	z.avail_in = (uInt)n;
	z.next_out = packed;
	z.avail_out = (uInt)n + 1000;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	size_t len = z.total_out - less;
	snprintf(head, sizeof head,
	    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", len);
	bool fine = play_puts(c, head) && play_send(c, packed, len);
	deflateEnd(&z);
	free(plain);
	free(packed);
	return fine;
}

static bool play_echo(struct playconn *c)
{
	char head[200];
	__atomic_add_fetch(&posts, 1, __ATOMIC_ACQ_REL);
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", c->body_len);
	return play_puts(c, head) && play_send(c, c->body, c->body_len);
}

static bool play_hang(struct playconn *c)
{
	char byte;
	if (strstr(c->target, "body"))
		play_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nfirst");
	if (strstr(c->target, "drip"))
		while (play_puts(c, "HTTP/1.1 200 OK\r\nX: y\r\n") && !playsrv_get(c->s->ends))
			usleep(20000);
	while (play_wait(c) && recv(c->fd, &byte, 1, 0) > 0)
		;
	return false;
}

static bool playparts(struct playconn *c)
{
	const char *t = c->target;
	see(c);
	if (!strcmp(t, "/plain"))
		return play_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello");
	if (!strcmp(t, "/once"))
		return play_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") && false;
	if (!strncmp(t, "/script", 7))
		return play_script(c);
	if (!strcmp(t, "/slow"))
		return play_slow(c);
	if (!strncmp(t, "/fails", 6))
		return play_fails(c);
	if (!strncmp(t, "/to/", 4))
		return play_redirect(c);
	if (!strncmp(t, "/big/", 5))
		return play_big(c);
	if (!strncmp(t, "/gzip/", 6))
		return play_gzip(c);
	if (!strncmp(t, "/echo", 5))
		return play_echo(c);
	if (!strncmp(t, "/hang", 5))
		return play_hang(c);
	if (!strncmp(t, "/to", 3))
		return false;
	return play_puts(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static void set_script(const char *s, size_t len, size_t step)
{
	pthread_mutex_lock(&play_lock);
	memcpy(script, s, len);
	script_len = len;
	script_step = step;
	pthread_mutex_unlock(&play_lock);
}

static void set_fails(unsigned n)
{
	__atomic_store_n(&fails_left, n, __ATOMIC_RELEASE);
}

static void set_text(const char *s)
{
	set_script(s, strlen(s), 1 << 20);
}

#endif
