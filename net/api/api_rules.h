/*
 * api_rules - rules, alerts, targets, scrape pools, Alertmanagers: what a server without them
 * answers ("HTTP API" of the Prometheus documentation), so that clients which probe go on.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_RULES_H
#define NET_API_API_RULES_H

#include "net/api/api.h"

void api_rules(struct req *r);
void api_rules_alerts(struct req *r);
void api_rules_targets(struct req *r);
void api_rules_scrape_pools(struct req *r);
void api_rules_alertmanagers(struct req *r);
void api_rules_notifications(struct req *r);

#endif
