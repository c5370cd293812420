#include "net/conn/limit.h"

#include "core/base/metric.h"

static size_t inflight_max = LIMIT_INFLIGHT_BYTES;

void limit_inflight_max(size_t bytes)
{
	inflight_max = bytes ? bytes : LIMIT_INFLIGHT_BYTES;
}

enum limit_level limit_inflight_look(size_t bytes)
{
	int64_t now = (int64_t)metric_sum(M_INFLIGHT_BYTES);
	/*
	 * Cells are read one after the other: what moves meanwhile may make a sum of less than
	 * nothing.
	 */
	size_t held = now > 0 ? (size_t)now : 0;
	size_t after, max = bytes > LIMIT_LARGE_BYTES ? inflight_max / 2 : inflight_max;
	if (__builtin_add_overflow(held, bytes, &after) || after > max)
		return LIMIT_FULL;
	return after > max / 100 * LIMIT_PRESSURE_PERCENT ? LIMIT_PRESSED : LIMIT_FREE;
}

void limit_inflight_add(size_t bytes)
{
	metric_gauge_add(M_INFLIGHT_BYTES, (int64_t)bytes);
}

void limit_inflight_sub(size_t bytes)
{
	metric_gauge_add(M_INFLIGHT_BYTES, -(int64_t)bytes);
}

bool limit_answers_full(size_t bytes)
{
	int64_t now = (int64_t)metric_sum(M_ANSWER_BYTES);
	size_t after;
	return __builtin_add_overflow(now > 0 ? (size_t)now : 0, bytes, &after) ||
	    after > LIMIT_ANSWER_BYTES;
}

void limit_answers_add(size_t bytes)
{
	metric_gauge_add(M_ANSWER_BYTES, (int64_t)bytes);
}

void limit_answers_sub(size_t bytes)
{
	metric_gauge_add(M_ANSWER_BYTES, -(int64_t)bytes);
}

uint64_t limit_body_least(uint64_t declared_bytes)
{
	uint64_t half = declared_bytes / (LIMIT_BODY_MS / 1000) / 2;
	return half > LIMIT_BODY_BYTES_PER_S ? half : LIMIT_BODY_BYTES_PER_S;
}

bool limit_bucket_take(struct limit_bucket *b, uint64_t now_ns, unsigned burst, unsigned per_s)
{
	uint64_t token_ns = UINT64_C(1000000000) / per_s;
	uint64_t full_ns = b->_full_ns > now_ns ? b->_full_ns : now_ns;
	if (full_ns + token_ns - now_ns > burst * token_ns)
		return false;
	b->_full_ns = full_ns + token_ns;
	return true;
}
