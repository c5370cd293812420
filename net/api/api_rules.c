#include "net/api/api_rules.h"

#define JSON           "application/json"
#define REPLY(r, data) req_reply(r, 200, JSON, ANSWER(data), sizeof(ANSWER(data)) - 1, REQ_BORROW)
#define ANSWER(data)   "{\"status\":\"success\",\"data\":" data "}"

void api_rules(struct req *r)
{
	REPLY(r, "{\"groups\":[]}");
}

void api_rules_alerts(struct req *r)
{
	REPLY(r, "{\"alerts\":[]}");
}

void api_rules_targets(struct req *r)
{
	REPLY(r, "{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{}}");
}

void api_rules_scrape_pools(struct req *r)
{
	REPLY(r, "{\"scrapePools\":[]}");
}

void api_rules_alertmanagers(struct req *r)
{
	REPLY(r, "{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}");
}

void api_rules_notifications(struct req *r)
{
	REPLY(r, "[]");
}
