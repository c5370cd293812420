/*
 * api_relabel - GET and POST /api/v1/status/relabel_steps: what becomes of a label set on its way
 * into the store, step by step, without anything being stored; as Prometheus'
 * /api/v1/targets/relabel_steps, for the asker's tenant and a receiver.
 *
 * labels={"__name__":"up","job":"x"}, receiver=remote_write (net/recv/inletconf.h): steps are the
 * pair (without asking who is elected), external labels, and each rule.
 * Thread: the loop of the request. The label set has API_RELABEL_LABELS_MAX labels at most.
 */
#ifndef NET_API_API_RELABEL_H
#define NET_API_API_RELABEL_H

#include "net/http/req.h"

#define API_RELABEL_LABELS_MAX 1000u

void api_relabel_steps(struct req *r);

#endif
