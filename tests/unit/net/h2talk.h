/*
 * h2talk - what tests of HTTP/2 talk to a server with, header only: a client by nghttp2, which
 * keeps what came for each stream, and frames made by hand that no client library would send.
 *
 * Thread: any that is not a loop. Memory: bodies belong to the client (cli_end).
 */
#ifndef TESTS_UNIT_NET_H2TALK_H
#define TESTS_UNIT_NET_H2TALK_H

#include <errno.h>
#include <nghttp2/nghttp2.h>

#include "core/base/check.h"
#include "tests/lib/httpcli.h"

/* ---- a client ---- */

#define STREAMS 700
struct cli {
	int fd;
	nghttp2_session *ng;
	struct {
		int status;
		char *body;
		size_t len;
		bool closed;
		uint32_t code;
		char seen[32], text[128]; /* x-seen or x-status; x-text or x-note */
		bool trailed;             /* they came behind the body */
	} s[STREAMS * 2 + 2];             /* by stream id */
	unsigned closed;
	bool goaway, over;
	uint32_t goaway_code;
	const char *send_data;
	size_t send_len, send_off[STREAMS * 2 + 2];
	size_t frame, padding; /* of DATA, at most; 0: as nghttp2 likes it */
};

HTTPCLI_UNUSED static int cli_header(nghttp2_session *ng, const nghttp2_frame *f,
    const uint8_t *name, size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *arg)
{
	(void)ng;
	(void)flags;
	(void)len;
	struct cli *c = arg;
	if (name_len == 7 && !memcmp(name, ":status", 7))
		c->s[f->hd.stream_id].status = atoi((const char *)value);
	bool count = name_len == 6 && !memcmp(name, "x-seen", 6);
	bool code = name_len == 8 && !memcmp(name, "x-status", 8);
	bool text = name_len == 6 && (!memcmp(name, "x-text", 6) || !memcmp(name, "x-note", 6));
	if (count || code) {
		snprintf(c->s[f->hd.stream_id].seen, 32, "%s", (const char *)value);
		c->s[f->hd.stream_id].trailed = f->headers.cat == NGHTTP2_HCAT_HEADERS;
	} else if (text) {
		snprintf(c->s[f->hd.stream_id].text, 128, "%s", (const char *)value);
	}
	return 0;
}

HTTPCLI_UNUSED static int cli_data(
    nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	(void)ng;
	(void)flags;
	struct cli *c = arg;
	c->s[id].body = realloc(c->s[id].body, c->s[id].len + len + 1);
	memcpy(c->s[id].body + c->s[id].len, data, len);
	c->s[id].len += len;
	c->s[id].body[c->s[id].len] = 0;
	return 0;
}

HTTPCLI_UNUSED static int cli_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	(void)ng;
	struct cli *c = arg;
	c->s[id].closed = true;
	c->s[id].code = code;
	c->closed++;
	return 0;
}

HTTPCLI_UNUSED static int cli_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	(void)ng;
	struct cli *c = arg;
	if (f->hd.type == NGHTTP2_GOAWAY) {
		c->goaway = true;
		c->goaway_code = f->goaway.error_code;
	}
	return 0;
}

HTTPCLI_UNUSED static ssize_t cli_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t len,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	(void)ng;
	(void)source;
	struct cli *c = arg;
	size_t n = c->send_len - c->send_off[id];
	n = n < len ? n : len;
	memcpy(buf, c->send_data + c->send_off[id], n);
	c->send_off[id] += n;
	if (c->send_off[id] == c->send_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

HTTPCLI_UNUSED static ssize_t cli_frame_size(nghttp2_session *ng, uint8_t type, int32_t id,
    int32_t conn_window, int32_t window, uint32_t max, void *arg)
{
	(void)ng;
	(void)type;
	(void)id;
	struct cli *c = arg;
	size_t size = c->frame ? c->frame : 16384;
	const size_t bounds[] = { (size_t)conn_window, (size_t)window, max };
	for (size_t i = 0; i < COUNT_OF(bounds); i++)
		size = bounds[i] < size ? bounds[i] : size;
	return (ssize_t)size;
}

HTTPCLI_UNUSED static ssize_t cli_padding(
    nghttp2_session *ng, const nghttp2_frame *f, size_t max, void *arg)
{
	(void)ng;
	struct cli *c = arg;
	size_t want = f->hd.length + (f->hd.type == NGHTTP2_DATA ? c->padding : 0);
	return (ssize_t)(want < max ? want : max);
}

HTTPCLI_UNUSED static void cli_flush(struct cli *c)
{
	const uint8_t *p;
	ssize_t n;
	while (!c->over && (n = nghttp2_session_mem_send(c->ng, &p)) > 0)
		if (!httpcli_send(c->fd, p, (size_t)n))
			c->over = true;
}

/* manual: windows are not opened again by themselves. */
HTTPCLI_UNUSED static void cli_open(struct cli *c, const char *address, bool manual)
{
	memset(c, 0, sizeof *c);
	c->fd = httpcli_dial(address);
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_session_callbacks_new(&cb);
	nghttp2_option_new(&opt);
	nghttp2_option_set_no_auto_window_update(opt, manual);
	nghttp2_session_callbacks_set_on_header_callback(cb, cli_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, cli_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, cli_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, cli_frame);
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb, cli_frame_size);
	nghttp2_session_callbacks_set_select_padding_callback(cb, cli_padding);
	nghttp2_session_client_new2(&c->ng, cb, c, opt);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	nghttp2_submit_settings(c->ng, 0, NULL, 0);
	cli_flush(c);
}

HTTPCLI_UNUSED static int32_t cli_ask(struct cli *c, const char *method, const char *path,
    const char *extra_name, const char *extra_value, bool body)
{
#define NV(n, v) { (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v), 0 }
	nghttp2_nv nv[] = { NV(":method", method), NV(":path", path), NV(":scheme", "http"),
		NV(":authority", "a"),
		NV(extra_name ? extra_name : "x", extra_value ? extra_value : "y") };
	nghttp2_data_provider p = { .read_callback = cli_read };
	return nghttp2_submit_request(c->ng, NULL, nv, 5, body ? &p : NULL, NULL);
}

/*
 * Talks until so many streams have closed, or GOAWAY with wait_end and the end of the connection,
 * or nothing comes for timeout_ms.
 */
HTTPCLI_UNUSED static bool cli_run(struct cli *c, unsigned closed, int timeout_ms)
{
	static uint8_t in[65536];
	cli_flush(c);
	while (!c->over && c->closed < closed) {
		ssize_t n = httpcli_some(c->fd, in, sizeof in, timeout_ms);
		if (n <= 0) {
			c->over |= n == 0;
			break;
		}
		if (nghttp2_session_mem_recv(c->ng, in, (size_t)n) < 0)
			c->over = true;
		cli_flush(c);
	}
	return c->closed >= closed;
}

HTTPCLI_UNUSED static void cli_end(struct cli *c)
{
	close(c->fd);
	for (size_t i = 0; i < COUNT_OF(c->s); i++)
		free(c->s[i].body);
	nghttp2_session_del(c->ng);
}

/* ---- hand-made frames ---- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HTTPCLI_UNUSED static size_t frame(
    char *out, uint8_t type, uint8_t flags, uint32_t id, const void *data, size_t len)
{
	const uint8_t head[9] = { (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type,
		flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
	memcpy(out, head, 9);
	if (len)
		memcpy(out + 9, data, len);
	return 9 + len;
}

/* The code of a GOAWAY among frames; -1: there is none. */
HTTPCLI_UNUSED static int64_t goaway_of(const uint8_t *in, size_t len)
{
	for (size_t at = 0; at + 9 <= len;) {
		size_t size = (size_t)in[at] << 16 | (size_t)in[at + 1] << 8 | in[at + 2];
		if (in[at + 3] == NGHTTP2_GOAWAY && at + 17 <= len)
			return (int64_t)((uint32_t)in[at + 13] << 24 | (uint32_t)in[at + 14] << 16 |
			    (uint32_t)in[at + 15] << 8 | in[at + 16]);
		at += 9 + size;
	}
	return -1;
}

/* Sends frames, again and again, until GOAWAY comes; its code, or -1. */
HTTPCLI_UNUSED static int64_t abuse_for(int patience_ms, const char *address, const char *first,
    size_t first_len, const char *again, size_t again_len, unsigned times)
{
	int fd = httpcli_dial(address);
	char start[64];
	memcpy(start, PREFACE, 24);
	size_t n = 24 + frame(start + 24, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	httpcli_send(fd, start, n);
	if (first_len)
		httpcli_send(fd, first, first_len);
	for (unsigned i = 0; i < times; i++)
		if (!httpcli_send(fd, again, again_len))
			break;
	static uint8_t in[1u << 20];
	size_t len = 0;
	ssize_t r = 1;
	int64_t code = -1;
	errno = 0;
	while (code < 0 && len < sizeof in && r > 0) {
		r = httpcli_some(fd, in + len, sizeof in - len, patience_ms);
		len += r > 0 ? (size_t)r : 0;
		code = goaway_of(in, len);
	}
	int why = errno;
	close(fd);
	if (code < 0 && patience_ms > 1000)
		printf("# no GOAWAY in %zu bytes; the end: %s\n", len, strerror(why));
	return code;
}

HTTPCLI_UNUSED static int64_t abuse(const char *address, const char *first, size_t first_len,
    const char *again, size_t again_len, unsigned times)
{
	return abuse_for(60000, address, first, first_len, again, again_len, times);
}

/* The same where none is awaited: -1 when none has come within a moment. */
HTTPCLI_UNUSED static int64_t borne(const char *address, const char *first, size_t first_len,
    const char *again, size_t again_len, unsigned times)
{
	return abuse_for(300, address, first, first_len, again, again_len, times);
}

#endif
