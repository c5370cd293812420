/*
 * api_import - /api/v1/import: lines of JSON as export gives them (proto/importl.h), plain or
 * packed with gzip, stored as samples of a remote write are.
 *
 * A worker reads lines until a batch of rows is full, the sink stores it, and so on: beside the
 * body one batch and one line are in memory. What the sink refuses (older than the store takes, a
 * bad label) and what is no such line is counted; everything else is stored:
 *
 *   204  all is stored
 *   400  partial: stored 10 of 12 samples; 2 refused; first: too_old: up{...}: ...
 *        partial: ...; 1 of 3 lines cannot be read; first: line 2: ...
 *   503  as remote write; to send all of it again is right, what is stored counts as stored
 *
 * Thread: the loop of the request, and a worker.
 */
#ifndef NET_API_API_IMPORT_H
#define NET_API_API_IMPORT_H

#include "net/api/api.h"

bool api_import_before(struct req *r); /* by the head alone: 415, 503 */
void api_import(struct req *r);

#endif
