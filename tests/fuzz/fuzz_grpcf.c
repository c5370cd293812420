/*
 * First byte: the size of the pieces, 0 = 256. The rest is three things: frames of messages, a
 * text of a header, a protobuf message.
 * Judges: pieces give the same messages as the whole; an escaped text comes back, and is plain
 * ASCII; a timeout that is read can be written and read again, never shorter; what protobuf-c
 * unpacks never takes more than was counted, and what was counted as malformed is malformed to it,
 * too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/gen/query_service.pb-c.h"
#include "proto/gen/reflection_v1.pb-c.h"
#include "proto/grpcf.h"
#include "proto/pbcount.h"
#include "proto/pbmem.h"

#define UNPACKED_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sum over the events: their kinds, their sizes, their bytes. */
static uint64_t frames(const uint8_t *data, size_t size, size_t step)
{
	struct grpcf f = { 0 };
	uint64_t sum = 1;
	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;
		uint8_t *exact = malloc(n);
		if (!exact)
			abort();
		memcpy(exact, data + at, n);
		const uint8_t *p = exact, *piece;
		size_t len;
		for (enum grpcf_event e;
		     (e = grpcf_next(&f, &p, exact + n, &piece, &len)) != GRPCF_MORE;) {
			if (e == GRPCF_PIECE) {
				if (piece < exact || len > (size_t)(exact + n - piece) || !len)
					abort();
				for (size_t i = 0; i < len; i++)
					sum = sum * 31 + piece[i];
				continue;
			}
			sum = sum * 31 + (uint64_t)e + f.len + f.packed;
			if (e == GRPCF_BAD) {
				free(exact);
				return sum;
			}
		}
		free(exact);
	}
	return sum * 31 + f.left;
}

static void text(const char *s, size_t len)
{
	struct buf escaped, back;
	buf_init(&escaped);
	buf_init(&back);
	grpcf_escape(&escaped, s, len);
	for (size_t i = 0; i < escaped.len; i++)
		if (escaped.data[i] < 0x20 || escaped.data[i] >= 0x7f)
			abort();
	grpcf_unescape(&back, (const char *)escaped.data, escaped.len);
	if (back.len != len || (len && memcmp(back.data, s, len)))
		abort();
	buf_clear(&back);
	grpcf_unescape(&back, s, len);
	if (back.len > len)
		abort();
	buf_release(&escaped);
	buf_release(&back);
	uint64_t ns, again;
	char out[GRPCF_TIMEOUT_MAX];
	if (!grpcf_timeout(s, len, &ns) &&
	    (grpcf_timeout(out, grpcf_put_timeout(ns, out), &again) || again < ns))
		abort();
	if ((unsigned)grpcf_status(s, len) >= GRPC_STATUSES)
		abort();
	if (grpcf_accepts(s, len, "gzip") && len < 4)
		abort();
}

static void unpack(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len)
{
	size_t bytes = 0;
	struct arena a;
	struct pbmem m;
	enum err e = pbcount(d, data, len, UNPACKED_MAX, &bytes);
	if (e == ERR_TOOBIG || e == ERR_UNSUPPORTED || e == ERR_BADDATA)
		return;
	arena_init(&a, 4096);
	pbmem_init(&m, &a, e ? UNPACKED_MAX : bytes);
	ProtobufCMessage *msg = protobuf_c_message_unpack(d, &m.allocator, len, data);
	if (pbmem_over(&m) && !e)
		abort();
	if (msg && e)
		abort();
	arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t step = data[0] ? data[0] : 256;
	data++;
	size--;
	if (frames(data, size, size ? size : 1) != frames(data, size, step))
		abort();
	text((const char *)data, size);
	unpack(&codesprintpro__monitoring__v1__range_query_response__descriptor, data, size);
	unpack(&codesprintpro__monitoring__v1__range_query_request__descriptor, data, size);
	unpack(&grpc__reflection__v1__server_reflection_request__descriptor, data, size);
	unpack(&grpc__reflection__v1__server_reflection_response__descriptor, data, size);
	return 0;
}
