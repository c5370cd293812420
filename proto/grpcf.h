/*
 * grpcf - what gRPC puts on HTTP/2 ("gRPC over HTTP2" of the gRPC documentation): messages with a
 * head of five bytes, deadlines, statuses and their texts.
 *
 *   offset  size  meaning
 *   0       1     1 = the message is packed as grpc-encoding says, 0 = it is not
 *   1       4     its length as it stands here, big endian
 *   5       n     the message
 *
 * Pure; any bytes are safe. Fuzz: tests/fuzz/fuzz_grpcf.c.
 */
#ifndef PROTO_GRPCF_H
#define PROTO_GRPCF_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define GRPCF_HEAD_BYTES 5u
/* No protobuf message is longer ("Encoding" of the Protocol Buffers documentation). */
#define GRPCF_MESSAGE_MAX ((size_t)INT32_MAX)

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16
};
#define GRPC_STATUSES 17
const char *grpcf_status_name(enum grpc_status s); /* "RESOURCE_EXHAUSTED" */

/*
 * Messages as their bytes come, in any pieces. Zeroed is the beginning.
 *
 *   while (p < end)
 *           switch (grpcf_next(&f, &p, end, &piece, &len)) ...
 */
struct grpcf {
	uint8_t _head[GRPCF_HEAD_BYTES];
	unsigned _have;
	uint32_t len;  /* of the message that comes: from HEAD on */
	uint32_t left; /* of it */
	bool packed;
};
enum grpcf_event {
	GRPCF_MORE,  /* all is used, more has to come */
	GRPCF_BEGIN, /* a message begins: len, packed. One without bytes has its END at once */
	GRPCF_PIECE, /* some bytes of it */
	GRPCF_END,   /* it is whole; nothing was used for that */
	GRPCF_BAD    /* a first byte that is neither 0 nor 1; nothing else can come of it */
};
enum grpcf_event grpcf_next(
    struct grpcf *f, const uint8_t **p, const uint8_t *end, const uint8_t **piece, size_t *len);
/* Is a message begun and not whole? */
static inline bool grpcf_inside(const struct grpcf *f)
{
	return f->_have;
}
void grpcf_put_head(uint8_t out[GRPCF_HEAD_BYTES], bool packed, uint32_t len);
/*
 * A whole message behind its head. pack: as gzip, where it is long enough to be worth it and not
 * longer than GRPCF_PACK_BYTES: packing takes its turn.
 */
#define GRPCF_PACK_BYTES (16u << 10)
void grpcf_put_message(struct buf *out, const void *data, size_t len, bool pack);

/*
 * grpc-timeout: up to eight digits and a unit (H, M, S, m, u, n), as nanoseconds, the largest
 * number when there are more. ERR_BADDATA.
 */
MUST_CHECK enum err grpcf_timeout(const char *s, size_t len, uint64_t *ns);
/* The same to be sent, rounded up where eight digits want that; returns the length. */
#define GRPCF_TIMEOUT_MAX 10
size_t grpcf_put_timeout(uint64_t ns, char out[GRPCF_TIMEOUT_MAX]);

/* grpc-message: printable ASCII but the percent sign stands as it is, the rest as %XX. */
void grpcf_escape(struct buf *out, const char *text, size_t len);
/* What is no escape stays as it is. Bytes may be of any kind. */
void grpcf_unescape(struct buf *out, const char *text, size_t len);
/* grpc-status: a number without signs or spaces; GRPC_UNKNOWN for what is none of the above. */
enum grpc_status grpcf_status(const char *s, size_t len);

/*
 * grpc-status-details-bin: a google.rpc.Status with this code and text and a google.rpc.RetryInfo,
 * as base64 ("Status codes and their use in gRPC" and error_details.proto of googleapis).
 */
void grpcf_put_retry(
    struct buf *out, enum grpc_status s, const char *text, size_t len, uint64_t retry_s);

/* Is this one of the tokens of grpc-accept-encoding? */
bool grpcf_accepts(const char *list, size_t len, const char *token);

/* What a code of ours means to who asked. */
enum grpc_status grpcf_of_err(enum err e);
/* What a refusal that our HTTP side has made means, when it is told by gRPC. */
enum grpc_status grpcf_of_refusal(int status);
/*
 * For clients: the status of an HTTP answer that has no grpc-status ("HTTP to gRPC Status Code
 * Mapping" of the gRPC documentation), and of a stream that was reset ("Errors" of the first one).
 */
enum grpc_status grpcf_of_http(int status);
enum grpc_status grpcf_of_reset(uint32_t h2_code);

#endif
