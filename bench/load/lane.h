/*
 * lane - one connection that takes requests to a path and gives their answers: HTTP/1.1, one at a
 * time, or HTTP/2 (libnghttp2), many at a time; in the clear or over TLS, as the URL says.
 *
 * lane_send() begins a call, lane_wait() gives back one that ended, in any order. Over HTTP/1.1
 * lane_send() is the whole exchange. A connection that breaks ends all its calls with status -1;
 * the next call makes a new one.
 * HTTP/2 in the clear is spoken with prior knowledge (RFC 9113, section 3.3), over TLS by ALPN
 * "h2".
 *
 * Thread: one. Memory: a call and its body are the caller's and stay until it has ended.
 */
#ifndef BENCH_LOAD_LANE_H
#define BENCH_LOAD_LANE_H

#include "bench/load/httpc.h"
#include "core/base/list.h"

#define LANE_TEXT_MAX 300u
struct lane_call {
	const uint8_t *body;
	size_t len;
	/* of the answer */
	int status;         /* -1: none, the text says why */
	int64_t written[3]; /* samples, histograms, exemplars of Remote Write 2.0; -1: not told */
	uint64_t sent_ns, ended_ns;
	uint64_t repeats;         /* sent so often once more, as the kept connection was closed */
	char text[LANE_TEXT_MAX]; /* of an answer that is not 2xx: how its body begins */
	struct list_link _link;
	size_t _at, _text_len;
	int32_t _stream;
};
struct lane_opts {
	const struct httpc_url *url;
	const char *path, *headers; /* headers: "name: value\r\n" each */
	bool h2;
};
struct lane;
struct lane *lane_new(const struct lane_opts *o);
void lane_free(struct lane *l);
void lane_send(struct lane *l, struct lane_call *c);
/* Waits until a call has ended, at the longest until that time (real monotonic). NULL: none has. */
struct lane_call *lane_wait(struct lane *l, uint64_t until_ns);

#endif
