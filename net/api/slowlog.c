#include "net/api/slowlog.h"

#include <inttypes.h>

#include "core/base/log.h"
#include "core/base/rune.h"

void slowlog_query(
    const struct req *r, const char *text, size_t len, uint64_t took_ns, uint64_t samples)
{
	char from[64];
	if (took_ns < SLOWLOG_QUERY_NS)
		return;
	req_remote_text(r, from, sizeof(from));
	LOG_EVERY(LOG_LEVEL_WARN, "slow_query",
	    "seconds=%.1f samples=%" PRIu64 " from=%s query=\"%.*s\" bytes=%zu",
	    (double)took_ns / 1e9, samples, from, (int)rune_cut(text, len, SLOWLOG_TEXT_BYTES),
	    text, len);
}
