/* Refusals of req.h, in the form of their route. */
#include "net/http/req.h"

#include <stdarg.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "net/http/router.h"
#include "net/http/srv_priv.h"

void req_refuse(struct req *r, int status, const char *word, const char *fmt, ...)
{
	char text[1000];
	va_list ap;
	va_start(ap, fmt);
	size_t len = rune_vprintf(text, sizeof text, fmt, ap); /* 1 KiB with its word */
	va_end(ap);
	if (!r->route || !(r->route->flags & ROUTE_JSON)) {
		req_reply_text(r, status, "%s: %s\n", word, text);
		return;
	}
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, "{\"status\":\"error\",\"errorType\":");
	json_str(&b, word, strlen(word));
	buf_add_str(&b, ",\"error\":");
	json_str(&b, text, len);
	buf_add_str(&b, "}");
	req_reply_buf(r, status, "application/json", &b);
}

void req_refuse_overloaded(struct req *r, const char *sentence)
{
	metric_add(M_HTTP_OVERLOADED, 1);
	/* Senders that were refused together must not come back together. */
	r->_srv->rnd += 0x9e3779b97f4a7c15u + loop_now_ns(r->loop);
	uint64_t z = (r->_srv->rnd ^ (r->_srv->rnd >> 30)) * 0xbf58476d1ce4e5b9u;
	req_answer_field(r, "retry-after", "%u", (unsigned)(1 + (z >> 33) % 5));
	bool json = r->route && (r->route->flags & ROUTE_JSON);
	req_refuse(r, 503, json ? "unavailable" : "overloaded", "%s", sentence);
}
