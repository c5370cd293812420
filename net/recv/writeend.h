/*
 * writeend - how a write ends: its refusals counted and told, its tenant's rates charged, its
 * answer (net/README.md, "Answers to writes").
 *
 *   nothing of it can be used              400 and a word
 *   nothing may be acknowledged            503 (or what the table of apierr says), Retry-After
 *   parts were refused, the rest is stored 400 partial, with counts and the first that was refused
 *   all is stored                          204
 *   all is of an HA replica that is not elected   202
 * What rules of relabelling and pairs leave out is missing nowhere: it was taken, counts of 2.0
 * have it, and its sender goes on.
 * Remote Write 1.0 knows no exemplars that are refused: they are dropped, and the rest decides.
 * Remote Write 2.0 is told the counts of what is stored in each of these answers, zeros where
 * nothing is acknowledged, and never gets 2xx when anything is missing (Prometheus Remote-Write 2.0
 * specification, "Required Written Response Headers"):
 *   X-Prometheus-Remote-Write-Samples-Written, -Histograms-Written, -Exemplars-Written
 * Answers of version 1.0 never have them: senders would believe them.
 * Thread: the loop of the request.
 */
#ifndef NET_RECV_WRITEEND_H
#define NET_RECV_WRITEEND_H

#include "net/http/req.h"
#include "net/recv/inlet.h"
#include "net/recv/writetype.h"

struct writeend {
	enum writetype type;
	enum err err;     /* what stopped it before the sink: 0, or */
	const char *word; /* what is wrong with the request; NULL: it may come again */
	const char *text; /* a sentence, with word */
	const struct batch *batch;
	const struct inlet *inlet; /* zero when nothing was given to it */
};
/* Answers r, once. */
void writeend(struct req *r, const struct writeend *e);
/* The second of these, for one whose body is not even read. why: as in apierr_write_why. */
void writeend_later(
    struct req *r, enum writetype type, enum err err, uint32_t retry_after_s, const char *why);

#endif
