#include "net/conn/limit.h"

#include <netinet/in.h>

#include "core/base/crowd.h"
#include "core/base/metric.h"

enum {
	CONNS,
	INFLIGHT,
	ANSWERS,
	WRITES
};
STATIC(WRITES < CROWD_THINGS);
static struct crowd book;

uint32_t limit_who(const struct sockaddr_storage *sa)
{
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if (sa->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6)) /* as proxies write IPv4 */
		return crowd_slot(&v6->s6_addr[12], 4);
	if (sa->ss_family == AF_INET6) /* a /64 is one place */
		return crowd_slot(v6, 8);
	return crowd_slot(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
}

uint32_t limit_who_tenant(uint32_t tenant)
{
	const uint32_t key[] = { UINT32_MAX, tenant, UINT32_MAX }; /* no address is so long */
	return crowd_slot(key, sizeof(key));
}

bool limit_conn_take(uint32_t who)
{
	return crowd_take(&book, CONNS, who, 1, limits_here()->http_connections_address);
}

void limit_conn_add(uint32_t who)
{
	crowd_add(&book, CONNS, who, 1);
}

void limit_conn_give(uint32_t who)
{
	crowd_sub(&book, CONNS, who, 1);
}

uint64_t limit_conns(void)
{
	return crowd_sum(&book, CONNS);
}

bool limit_conns_over(uint32_t who, uint64_t max)
{
	return crowd_held(&book, CONNS, who) > crowd_share(&book, CONNS, who, max);
}

/* ---- in flight ---- */

/* What a request that holds so much may fill, and from where on it presses. */
static uint64_t inflight_max(uint64_t holds, uint64_t *pressed)
{
	uint64_t all = limits_here()->http_inflight_bytes;
	uint64_t max = holds <= LIMIT_SMALL_BYTES ? all
	    : holds <= LIMIT_LARGE_BYTES          ? all / 4 * 3
	                                          : all / 2;
	*pressed = max / 100 * (holds <= LIMIT_SMALL_BYTES ? 90 : 70);
	return max;
}

enum limit_level limit_inflight_look(uint32_t who, size_t has, size_t more, uint64_t now_ns)
{
	uint64_t holds, after, pressed, own = crowd_held(&book, INFLIGHT, who);
	if (__builtin_add_overflow(has, more, &holds) ||
	    __builtin_add_overflow(crowd_sum(&book, INFLIGHT), more, &after))
		return LIMIT_FULL;
	uint64_t max = inflight_max(holds, &pressed);
	bool in_share = own + more <= crowd_share(&book, INFLIGHT, who, max);
	if (after > max) {
		crowd_in_vain(&book, INFLIGHT, who, now_ns);
		return in_share ? LIMIT_SHORT : LIMIT_FULL;
	}
	if (!in_share && crowd_others_wait(&book, INFLIGHT, who, now_ns))
		return LIMIT_FULL;
	return after > pressed ? LIMIT_PRESSED : LIMIT_FREE;
}

void limit_inflight_add(uint32_t who, size_t bytes)
{
	crowd_add(&book, INFLIGHT, who, bytes);
	metric_gauge_add(M_INFLIGHT_BYTES, (int64_t)bytes);
}

void limit_inflight_sub(uint32_t who, size_t bytes)
{
	if (!bytes)
		return;
	crowd_sub(&book, INFLIGHT, who, bytes);
	metric_gauge_add(M_INFLIGHT_BYTES, -(int64_t)bytes);
}

void limit_inflight_set(uint32_t who, size_t *charged, size_t bytes)
{
	if (bytes > *charged)
		limit_inflight_add(who, bytes - *charged);
	else
		limit_inflight_sub(who, *charged - bytes);
	*charged = bytes;
}

bool limit_inflight_short(void)
{
	/* Where the largest begin to wait. */
	return crowd_sum(&book, INFLIGHT) > limits_here()->http_inflight_bytes / 2 / 100 * 70;
}

/* ---- answers ---- */

static bool answers_short(void)
{
	return crowd_sum(&book, ANSWERS) > limits_here()->http_answer_bytes / 2;
}

bool limit_answers_full(uint32_t who, size_t bytes, uint64_t now_ns)
{
	uint64_t all = limits_here()->http_answer_bytes, own = crowd_held(&book, ANSWERS, who), after;
	if (__builtin_add_overflow(crowd_sum(&book, ANSWERS), bytes, &after))
		return true;
	bool little = own + bytes <= all / 64;
	if (after > (little ? all : all / 8 * 7)) {
		crowd_in_vain(&book, ANSWERS, who, now_ns);
		return true;
	}
	return own + bytes > crowd_share(&book, ANSWERS, who, all) &&
	    crowd_others_wait(&book, ANSWERS, who, now_ns);
}

void limit_answers_add(uint32_t who, size_t bytes)
{
	crowd_add(&book, ANSWERS, who, bytes);
	metric_gauge_add(M_ANSWER_BYTES, (int64_t)bytes);
}

void limit_answers_sub(uint32_t who, size_t bytes)
{
	crowd_sub(&book, ANSWERS, who, bytes);
	metric_gauge_add(M_ANSWER_BYTES, -(int64_t)bytes);
}

/* ---- writes ---- */

void limit_writes_add(uint32_t who)
{
	crowd_add(&book, WRITES, who, 1);
}

void limit_writes_sub(uint32_t who)
{
	crowd_sub(&book, WRITES, who, 1);
}

bool limit_writes_over(uint32_t who)
{
	uint64_t own = crowd_held(&book, WRITES, who);
	return own >= crowd_share(&book, WRITES, who, crowd_sum(&book, WRITES) + 1);
}

/* ---- rates ---- */

uint64_t limit_body_least(uint64_t declared_bytes)
{
	uint64_t half = declared_bytes / (LIMIT_BODY_MS / 1000) / 2;
	return half > LIMIT_BODY_BYTES_PER_S ? half : LIMIT_BODY_BYTES_PER_S;
}

enum limit_reader limit_reader_look(uint64_t read, uint64_t held, uint64_t took_ms)
{
	if (read >= LIMIT_READER_BYTES_PER_S * (LIMIT_STALL_MS / 1000))
		return LIMIT_READER_FAST;
	if (took_ms >= LIMIT_STALL_MS)
		return LIMIT_READER_SLOW;
	if (took_ms >= LIMIT_READER_LOOK_MS && answers_short() && read * 10000 < took_ms * held)
		return LIMIT_READER_SLOW;
	return LIMIT_READER_WAIT;
}

uint64_t limit_reader_next_ms(uint64_t took_ms)
{
	uint64_t left_ms = took_ms < LIMIT_STALL_MS ? LIMIT_STALL_MS - took_ms : LIMIT_STALL_MS;
	return left_ms < LIMIT_READER_LOOK_MS ? left_ms : LIMIT_READER_LOOK_MS;
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
