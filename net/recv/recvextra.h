/*
 * recvextra - labels that the URL of a request adds to all that its body has, as VictoriaMetrics
 * does: extra_label=<name>=<value>, and those of a path (proto/jobpath.h). They stand over labels
 * of the same names in the body; an empty value takes a label away.
 *
 * Thread: open on the loop of the request; set on whatever thread reads the body.
 */
#ifndef NET_RECV_RECVEXTRA_H
#define NET_RECV_RECVEXTRA_H

#include "core/model/batch.h"
#include "net/http/req.h"
#include "proto/urlq.h"

#define RECVEXTRA_BYTES_MAX 2048u /* of all together: each row of a batch gets them */

/*
 * Of q, the parameters of the URL, and r->param when with_path. In the request's arena. False: it
 * has answered, 400.
 */
MUST_CHECK bool recvextra_open(
    struct req *r, const struct urlq *q, bool with_path, const struct label **out, size_t *count);
/*
 * On rows and exemplars of b from these on; in a. Cost: of rows that follow one another with the
 * same label bytes once.
 */
void recvextra_set(struct batch *b, size_t rows, size_t exemplars, const struct label *extra,
    size_t count, struct arena *a);

#endif
