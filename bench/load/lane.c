#include "bench/load/lane.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "bench/load/access.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

#define BROKE       "no answer (the connection broke)"
#define BROKE_CLEAR "no answer (the connection broke; does the server speak HTTP/2 in the clear?)"
#define FIELDS_MAX  64u
#define WINDOW      (1 << 24) /* answers may be so long before we are asked */

struct lane {
	struct lane_opts o;
	struct httpc http;
	struct list_link open, ended; /* calls */
	/* HTTP/2 */
	nghttp2_session *session; /* NULL = not connected */
	nghttp2_nv fields[FIELDS_MAX];
	size_t fields_count;
	char *texts; /* of fields */
	char path[HTTPC_API_MAX + 512], host[300];
	const uint8_t *out; /* bytes of the session that are not sent yet */
	size_t out_len;
	bool broken;
	const char *why;
};
static const char *const written_names[3] = { "x-prometheus-remote-write-samples-written",
	"x-prometheus-remote-write-histograms-written",
	"x-prometheus-remote-write-exemplars-written" };

static void end_call(struct lane *l, struct lane_call *c)
{
	c->ended_ns = clock_real_mono_ns();
	list_del(&c->_link);
	list_add_tail(&l->ended, &c->_link);
}

static void add_text(struct lane_call *c, const void *data, size_t len)
{
	size_t room = LANE_TEXT_MAX - 1 - c->_text_len, n = len < room ? len : room;
	memcpy(c->text + c->_text_len, data, n);
	c->_text_len += n;
	c->text[c->_text_len] = 0;
}

static void no_answer(struct lane_call *c, const char *why)
{
	c->status = -1;
	c->_text_len = 0;
	add_text(c, why, strlen(why));
}

/* ---- HTTP/1.1 ---- */

static void send_h1(struct lane *l, struct lane_call *c)
{
	size_t off = 0;
	uint64_t before = l->http.repeats;
	c->status = httpc_do(&l->http, "POST", l->o.path, l->o.headers, c->body, c->len, &off);
	c->repeats = l->http.repeats - before;
	if (c->status < 0)
		no_answer(c, "no answer (no server there, or it closed the connection)");
	for (unsigned i = 0; i < 3 && c->status >= 0; i++) {
		const char *v = httpc_field(&l->http, written_names[i]);
		c->written[i] = v ? strtoll(v, NULL, 10) : -1;
	}
	if (c->status >= 300)
		add_text(c, l->http.in.data + off, l->http.in.len - off);
	end_call(l, c);
}

/* ---- HTTP/2: callbacks ---- */

static ssize_t on_read(nghttp2_session *s, int32_t stream, uint8_t *out, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct lane_call *c = source->ptr;
	size_t n = c->len - c->_at;
	(void)s, (void)stream, (void)arg;
	n = n < room ? n : room;
	memcpy(out, c->body + c->_at, n);
	c->_at += n;
	if (c->_at == c->len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* Frames as large as the server takes them. */
static ssize_t on_read_length(nghttp2_session *s, uint8_t type, int32_t stream,
    int32_t session_window, int32_t stream_window, uint32_t frame_max, void *arg)
{
	int64_t n = session_window < stream_window ? session_window : stream_window;
	(void)s, (void)type, (void)stream, (void)arg;
	return (ssize_t)(n < (int64_t)frame_max ? n : (int64_t)frame_max);
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct lane_call *c = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
	char text[32];
	(void)flags, (void)arg;
	if (!c)
		return 0;
	snprintf(text, sizeof(text), "%.*s", (int)value_len, (const char *)value);
	if (name_len == 7 && !memcmp(name, ":status", 7))
		c->status = (int)strtol(text, NULL, 10);
	for (unsigned i = 0; i < 3; i++)
		if (strlen(written_names[i]) == name_len && !memcmp(name, written_names[i], name_len))
			c->written[i] = strtoll(text, NULL, 10);
	return 0;
}

static int on_data(
    nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *data, size_t len, void *arg)
{
	struct lane_call *c = nghttp2_session_get_stream_user_data(s, stream);
	(void)flags, (void)arg;
	if (c && c->status >= 300)
		add_text(c, data, len);
	return 0;
}

static int on_close(nghttp2_session *s, int32_t stream, uint32_t code, void *arg)
{
	struct lane_call *c = nghttp2_session_get_stream_user_data(s, stream);
	if (!c)
		return 0;
	if (c->status <= 0 || (code && c->status < 300))
		no_answer(c, nghttp2_http2_strerror(code));
	end_call(arg, c);
	return 0;
}

/* ---- HTTP/2: connection ---- */

/* Its calls end without an answer. */
static void hang_up(struct lane *l, const char *why)
{
	nghttp2_session_del(l->session);
	l->session = NULL;
	l->out_len = 0;
	httpc_close(&l->http);
	while (!list_empty(&l->open)) {
		struct lane_call *c = CONTAINER_OF(l->open.next, struct lane_call, _link);
		no_answer(c, why);
		end_call(l, c);
	}
}

static bool session_begin(struct lane *l)
{
	nghttp2_session_callbacks *cb;
	nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW } };
	CHECK(!nghttp2_session_callbacks_new(&cb));
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb, on_read_length);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	CHECK(!nghttp2_session_client_new(&l->session, cb, l));
	nghttp2_session_callbacks_del(cb);
	return !nghttp2_submit_settings(l->session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) &&
	    !nghttp2_session_set_local_window_size(l->session, NGHTTP2_FLAG_NONE, 0, WINDOW);
}

static bool connect_h2(struct lane *l)
{
	l->why = "no answer (no server there, or it closed the connection)";
	if (!httpc_connect(&l->http))
		return false;
	if (l->http.ssl && !httpc_speaks_h2(&l->http)) {
		l->why = "no answer (the server does not offer HTTP/2)";
		return false;
	}
	int flags = fcntl(l->http.fd, F_GETFL);
	return fcntl(l->http.fd, F_SETFL, flags | O_NONBLOCK) >= 0 && session_begin(l);
}

/* -1: broken; 0: would block. */
static ssize_t io_result(struct lane *l, ssize_t n)
{
	if (n > 0)
		return n;
	if (l->http.ssl) {
		int e = SSL_get_error(l->http.ssl, (int)n);
		return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* Until all is sent or the socket is full. */
static bool flush(struct lane *l)
{
	for (;;) {
		if (!l->out_len) {
			ssize_t n = nghttp2_session_mem_send(l->session, &l->out);
			if (n <= 0)
				return n == 0;
			l->out_len = (size_t)n;
		}
		ERR_clear_error(); /* SSL_get_error() would tell what is left there */
		ssize_t n = l->http.ssl ? SSL_write(l->http.ssl, l->out, (int)l->out_len)
		                        : send(l->http.fd, l->out, l->out_len, MSG_NOSIGNAL);
		n = io_result(l, n);
		if (n <= 0)
			return n == 0;
		l->out += n;
		l->out_len -= (size_t)n;
	}
}

static bool take(struct lane *l)
{
	uint8_t in[16384];
	for (;;) {
		ERR_clear_error();
		ssize_t n = l->http.ssl ? SSL_read(l->http.ssl, in, sizeof(in))
		                        : recv(l->http.fd, in, sizeof(in), 0);
		n = io_result(l, n);
		if (n <= 0)
			return n == 0;
		if (nghttp2_session_mem_recv(l->session, in, (size_t)n) < 0)
			return false;
	}
}

static void send_h2(struct lane *l, struct lane_call *c)
{
	nghttp2_data_provider body = { .source = { .ptr = c }, .read_callback = on_read };
	if (!l->session && !connect_h2(l)) {
		hang_up(l, l->why);
		return;
	}
	c->_stream = nghttp2_submit_request(
	    l->session, NULL, l->fields, l->fields_count, c->len ? &body : NULL, c);
	if (c->_stream < 0 || !flush(l))
		hang_up(l, l->http.ssl ? BROKE : BROKE_CLEAR);
}

static void wait_h2(struct lane *l, uint64_t until_ns)
{
	while (l->session && list_empty(&l->ended)) {
		bool full = l->out_len || nghttp2_session_want_write(l->session);
		struct pollfd p = { .fd = l->http.fd,
			.events = (short)(full ? POLLIN | POLLOUT : POLLIN) };
		uint64_t now = clock_real_mono_ns(), left = until_ns > now ? until_ns - now : 0;
		struct timespec t = { .tv_sec = (time_t)(left / 1000000000u),
			.tv_nsec = (long)(left % 1000000000u) };
		bool ready = ppoll(&p, 1, &t, NULL) > 0;
		if (ready && (!take(l) || !flush(l)))
			hang_up(l, l->http.ssl ? BROKE : BROKE_CLEAR);
		else if (!nghttp2_session_want_read(l->session) &&
		    !nghttp2_session_want_write(l->session))
			hang_up(l, "no answer (the server ended the connection)");
		if (!ready)
			return;
	}
}

/* ---- both ---- */

static void add_field(struct lane *l, const char *name, size_t name_len, const char *value, size_t len)
{
	CHECK(l->fields_count < FIELDS_MAX);
	l->fields[l->fields_count++] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
		.namelen = name_len,
		.value = (uint8_t *)(uintptr_t)value,
		.valuelen = len };
}

/* "Name: value\r\n" lines; names in small letters, as HTTP/2 has them. */
static void add_lines(struct lane *l, char *lines)
{
	for (char *p = lines; *p && l->fields_count < FIELDS_MAX;) {
		size_t line = strcspn(p, "\r\n"), name = strcspn(p, ":");
		if (name >= line)
			return;
		for (size_t i = 0; i < name; i++)
			p[i] = (char)tolower((unsigned char)p[i]);
		size_t at = name + 1 + strspn(p + name + 1, " ");
		add_field(l, p, name, p + at, line - at);
		p += line + strspn(p + line, "\r\n");
	}
}

static void make_fields(struct lane *l)
{
	const struct httpc_url *u = l->o.url;
	snprintf(l->path, sizeof(l->path), "%s%s", u->prefix, l->o.path);
	snprintf(l->host, sizeof(l->host), "%s:%s", u->host, u->port);
	add_field(l, ":method", 7, "POST", 4);
	add_field(l, ":scheme", 7, u->tls ? "https" : "http", u->tls ? 5 : 4);
	add_field(l, ":authority", 10, l->host, strlen(l->host));
	add_field(l, ":path", 5, l->path, strlen(l->path));
	size_t len = strlen(l->o.headers) + strlen(access_headers()) + 1;
	l->texts = mem_alloc(len);
	snprintf(l->texts, len, "%s%s", l->o.headers, access_headers());
	add_lines(l, l->texts);
}

struct lane *lane_new(const struct lane_opts *o)
{
	struct lane *l = mem_zalloc(sizeof(*l));
	l->o = *o;
	httpc_init(&l->http, o->url);
	l->http.h2 = o->h2;
	list_init(&l->open);
	list_init(&l->ended);
	if (o->h2)
		make_fields(l);
	return l;
}

void lane_free(struct lane *l)
{
	if (!l)
		return;
	nghttp2_session_del(l->session);
	httpc_release(&l->http);
	mem_free(l->texts);
	mem_free(l);
}

void lane_send(struct lane *l, struct lane_call *c)
{
	c->status = 0;
	c->repeats = 0;
	c->_at = c->_text_len = 0;
	c->text[0] = 0;
	c->written[0] = c->written[1] = c->written[2] = -1;
	c->sent_ns = clock_real_mono_ns();
	list_add_tail(&l->open, &c->_link);
	if (l->o.h2)
		send_h2(l, c);
	else
		send_h1(l, c);
}

struct lane_call *lane_wait(struct lane *l, uint64_t until_ns)
{
	if (list_empty(&l->ended))
		wait_h2(l, until_ns);
	struct list_link *first = list_pop(&l->ended);
	return first ? CONTAINER_OF(first, struct lane_call, _link) : NULL;
}
