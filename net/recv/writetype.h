/*
 * writetype - which protocol a write speaks, by the head alone.
 *
 *   Content-Type                                                         spoken
 *   absent, application/x-protobuf, ...;proto=prometheus.WriteRequest    Remote Write 1.0
 *   application/x-protobuf;proto=io.prometheus.write.v2.Request          Remote Write 2.0
 *   anything else                                                        415
 *   Content-Encoding
 *   absent, snappy     the body is in the snappy block format, either way
 *   zstd               of 1.0, unless receivers.remote_write.zstd is false: what vmagent sends
 *   anything else      415; senders that know another one (vmagent: zstd) turn to snappy then
 *
 * Case, blanks around ; and = and quotes do not matter (RFC 9110, 5.6.6 and 8.3.1); some senders
 * write the blanks. Other parameters are ignored. X-Prometheus-Remote-Write-Version is for people:
 * the type decides.
 * Source: "Prometheus Remote-Write 1.0 specification", "Prometheus Remote-Write 2.0 specification".
 * Thread: pure.
 */
#ifndef NET_RECV_WRITETYPE_H
#define NET_RECV_WRITETYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"

enum writetype {
	WRITETYPE_1, /* Remote Write 1.0: prometheus.WriteRequest */
	WRITETYPE_2  /* Remote Write 2.0: io.prometheus.write.v2.Request */
};

/* By Content-Type (len 0: absent). ERR_UNSUPPORTED with a sentence: answer 415. */
MUST_CHECK enum err writetype_of(
    const char *type, size_t len, enum writetype *out, struct errbuf *eb);
/* The same of Content-Encoding; zstd: it may be. */
MUST_CHECK enum err writetype_encoding(
    const char *encoding, size_t len, bool zstd, struct errbuf *eb);
/*
 * Is the body zstd? The first bytes of one cannot begin a snappy block, and the queues that vmagent
 * keeps on disk may hold either form under the name of the other.
 */
bool writetype_is_zstd(const uint8_t *body, size_t len);
/*
 * For a decoded body in which the decoder of said found nothing at all: it may be a message of the
 * other protocol under the wrong type, as some senders make (promtool 3.14 with
 * --protobuf_message). The numbers of fields of one are reserved in the other, so its first field
 * tells. ERR_MALFORMED with a sentence then: answered 204 its samples would be lost without a word.
 * Cost: the first field.
 */
MUST_CHECK enum err writetype_agrees(
    enum writetype said, const uint8_t *body, size_t len, struct errbuf *eb);

#endif
