#include "core/model/limits.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/budget.h"
#include "core/base/num.h"

#define COUNT LIMITS_COUNT_UNIT
#define BYTES LIMITS_BYTES
#define MS    LIMITS_MS
const struct limits_row limits_rows[LIMITS_COUNT] = {
#define LIMIT(field, flag, unit, usual, least, most, help)                                         \
 [LIMITS_##field] = { flag, help, unit, usual, least, most, offsetof(struct limits, field) },
#include "core/model/limits.def"
#undef LIMIT
};

/* Shares of the budget, in percent, and the least that makes sense. */
#define QUERIES_SHARE    25
#define INFLIGHT_SHARE   15
#define ANSWERS_SHARE    10
#define CACHE_SHARE      5
#define DELTA_SHARE      2
#define QUERY_MEMORY_MIN (UINT64_C(64) << 20)
#define QUERY_MEMORY_MAX (UINT64_C(512) << 20) /* a flag allows more */
#define CACHE_MIN        (UINT64_C(8) << 20)
#define DELTA_MIN        (UINT64_C(8) << 20)
#define CONCURRENCY_MIN  4u

static uint64_t at_least(uint64_t v, uint64_t least)
{
	return v > least ? v : least;
}

static uint64_t at_most(uint64_t v, uint64_t most)
{
	return v < most ? v : most;
}

void limits_fill(struct limits *l, unsigned loops)
{
	uint64_t budget = budget_bytes();
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!loops)
		loops = cpus > 0 ? (unsigned)cpus : 1;
	if (!l->query_memory_total)
		l->query_memory_total = at_least(budget / 100 * QUERIES_SHARE, QUERY_MEMORY_MIN);
	if (!l->query_memory)
		l->query_memory =
		    at_most(at_least(l->query_memory_total / 4, QUERY_MEMORY_MIN), QUERY_MEMORY_MAX);
	if (l->query_memory > l->query_memory_total)
		l->query_memory = l->query_memory_total;
	if (!l->query_cache_bytes)
		l->query_cache_bytes = at_least(budget / 100 * CACHE_SHARE, CACHE_MIN);
	if (!l->delta_bytes)
		l->delta_bytes = at_least(budget / 100 * DELTA_SHARE, DELTA_MIN);
	if (!l->query_concurrency)
		l->query_concurrency = at_least(2 * (uint64_t)loops, CONCURRENCY_MIN);
	if (!l->http_inflight_bytes)
		l->http_inflight_bytes =
		    at_least(budget / 100 * INFLIGHT_SHARE, 2 * l->write_body_bytes);
	if (!l->http_answer_bytes)
		/*
		 * What waits for its readers leaves some of the queries' memory to those who ask.
		 */
		l->http_answer_bytes =
		    at_most(at_least(budget / 100 * ANSWERS_SHARE, QUERY_MEMORY_MIN),
		        l->query_memory_total / 4 * 3);
}

void limits_default(struct limits *l)
{
	*l = (struct limits){
#define LIMIT(field, flag, unit, usual, ...) .field = usual,
#include "core/model/limits.def"
#undef LIMIT
	};
	limits_fill(l, 0);
}

static struct limits usual;

static void usual_fill(void)
{
	limits_default(&usual);
}

const struct limits *limits_here(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct loop *here = loop_here();
	const struct limits *l = here ? loop_limits(here) : NULL;

	if (l)
		return l;
	pthread_once(&once, usual_fill);
	return &usual;
}

const char *limits_flag(enum limits_id id)
{
	return limits_rows[id].flag;
}

static size_t grouped(uint64_t v, char *out)
{
	char digits[NUM_FMT_MAX];
	size_t n = num_fmt_u64(v, digits), len = 0;

	for (size_t i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			out[len++] = ',';
		out[len++] = digits[i];
	}
	out[len] = 0;
	return len;
}

const char *limits_text(const struct limits *l, enum limits_id id, char out[LIMITS_TEXT_MAX])
{
	const struct limits_row *row = &limits_rows[id];
	uint64_t v = *(const uint64_t *)(const void *)((const char *)l + row->off);
	char number[2 * NUM_FMT_MAX + 1];

	if (row->unit == LIMITS_MS)
		number[num_fmt_duration((int64_t)v, number)] = 0;
	else
		grouped(v, number);
	snprintf(out, LIMITS_TEXT_MAX, "limit %.32s%s (--%.40s)", number,
	    row->unit == LIMITS_BYTES ? " bytes" : "", row->flag);
	return out;
}
