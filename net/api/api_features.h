/*
 * api_features - /api/v1/features: what this server can do and what is switched on, in the
 * categories and by the names of Prometheus ("HTTP API" of its documentation).
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_FEATURES_H
#define NET_API_API_FEATURES_H

#include "net/api/api.h"

void api_features(struct req *r);

#endif
