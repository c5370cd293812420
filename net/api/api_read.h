/*
 * api_read - remote read ("Remote Read" in the Prometheus documentation), both kinds of answers
 * (proto/rread.h): the first of those that the client names and that is spoken here.
 *
 *   STREAMED  series sorted by labels, frame by frame, as the client reads (net/api/outpour.h)
 *   SAMPLES   one message, which begins with its length: all of it is packed first. More samples
 *             than query_samples are 400, as in Prometheus; the packed answer is the ticket's
 *
 * Queries are answered one after the other. Errors are plain text.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_READ_H
#define NET_API_API_READ_H

#include "net/api/api.h"

void api_read(struct req *r);

#endif
