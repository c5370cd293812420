#include "storage/newest.h"

#include <string.h>

#include "core/base/arena.h"
#include "core/base/num.h"

void newest_release(struct newest *n)
{
	mem_free(n->classes);
	mem_free(n->_places);
	*n = (struct newest){ 0 };
}

static struct newest_class *find(const struct newest *n, uint32_t tenant, bool own)
{
	if (LIKELY(tenant < NEWEST_TENANTS)) {
		uint32_t at = 2 * tenant + own;
		uint32_t place = at < n->_places_count ? n->_places[at] : 0;
		return place ? &n->classes[place - 1] : NULL;
	}
	for (uint32_t i = 0; i < n->count; i++)
		if (n->classes[i].tenant == tenant && n->classes[i].own == own)
			return &n->classes[i];
	return NULL;
}

static void place_set(struct newest *n, uint32_t tenant, bool own, uint32_t place)
{
	uint32_t at = 2 * tenant + own, count = n->_places_count ? n->_places_count : 8;
	if (tenant >= NEWEST_TENANTS)
		return;
	while (count <= at)
		count *= 2;
	if (count != n->_places_count) {
		n->_places = mem_array(n->_places, count, sizeof(*n->_places));
		memset(n->_places + n->_places_count, 0,
		    (count - n->_places_count) * sizeof(*n->_places));
		n->_places_count = count;
	}
	n->_places[at] = place + 1;
}

int64_t newest_get(const struct newest *n, uint32_t tenant, bool own)
{
	const struct newest_class *c = find(n, tenant, own);
	return c ? c->t_ms : NEWEST_NONE;
}

bool newest_tell(struct newest *n, uint32_t tenant, bool own, int64_t t_ms, uint64_t now_ns)
{
	if (t_ms == NEWEST_NONE)
		return false;
	struct newest_class *c = find(n, tenant, own);
	if (!c) {
		if (n->count == n->cap) {
			n->cap = n->cap ? n->cap * 2 : 4;
			n->classes = mem_array(n->classes, n->cap, sizeof(*n->classes));
		}
		place_set(n, tenant, own, n->count);
		c = &n->classes[n->count++];
		*c = (struct newest_class){ .tenant = tenant, .own = own, .t_ms = NEWEST_NONE };
	}
	if (now_ns > c->heard_ns)
		c->heard_ns = now_ns;
	if (t_ms <= c->t_ms)
		return false;
	c->t_ms = t_ms;
	return true;
}

void newest_tell_all(struct newest *n, const struct newest *from, uint64_t now_ns)
{
	for (uint32_t i = 0; i < from->count; i++) {
		const struct newest_class *c = &from->classes[i];
		(void)newest_tell(n, c->tenant, c->own, c->t_ms, c->own ? 0 : now_ns);
	}
}

void newest_merge(struct newest *n, const struct newest *from)
{
	for (uint32_t i = 0; i < from->count; i++) {
		const struct newest_class *c = &from->classes[i];
		(void)newest_tell(n, c->tenant, c->own, c->t_ms, c->heard_ns);
	}
}

static int64_t highest(const struct newest *n, bool own)
{
	int64_t t_ms = NEWEST_NONE;
	for (uint32_t i = 0; i < n->count; i++)
		if (n->classes[i].own == own && n->classes[i].t_ms > t_ms)
			t_ms = n->classes[i].t_ms;
	return t_ms;
}

int64_t newest_senders(const struct newest *n)
{
	return highest(n, false);
}

int64_t newest_own(const struct newest *n)
{
	return highest(n, true);
}

/* A class that is silent goes by what senders of all tenants have. */
static int64_t class_cutoff(const struct newest_class *c, int64_t store_ms, int64_t trusted_ms,
    int64_t retention_ms, uint64_t now_ns)
{
	int64_t t_ms = c->t_ms;
	if (newest_is_silent(c, now_ns) && store_ms > t_ms)
		t_ms = store_ms;
	return num_sat_sub(newest_bounded(t_ms, trusted_ms), retention_ms);
}

int64_t newest_cutoff_of(const struct newest *n, int64_t senders_ms, uint32_t tenant,
    int64_t trusted_ms, int64_t retention_ms, uint64_t now_ns)
{
	int64_t cutoff_ms = INT64_MAX;
	for (unsigned own = 0; own < 2; own++) {
		const struct newest_class *c = find(n, tenant, own != 0);
		if (!c)
			continue;
		int64_t t_ms = class_cutoff(c, senders_ms, trusted_ms, retention_ms, now_ns);
		cutoff_ms = t_ms < cutoff_ms ? t_ms : cutoff_ms;
	}
	return cutoff_ms == INT64_MAX ? INT64_MIN : cutoff_ms;
}

int64_t newest_cutoff(const struct newest *n, uint32_t tenant, int64_t trusted_ms,
    int64_t retention_ms, uint64_t now_ns)
{
	return newest_cutoff_of(n, newest_senders(n), tenant, trusted_ms, retention_ms, now_ns);
}

struct newest_cutoffs newest_cutoffs(
    const struct newest *n, int64_t trusted_ms, int64_t retention_ms, uint64_t now_ns)
{
	int64_t store_ms = newest_senders(n), own_ms = INT64_MAX, senders_ms = INT64_MAX;
	bool senders = store_ms != NEWEST_NONE;
	for (uint32_t i = 0; i < n->count; i++) {
		const struct newest_class *c = &n->classes[i];
		int64_t cutoff_ms = class_cutoff(c, store_ms, trusted_ms, retention_ms, now_ns);
		int64_t *least = c->own ? &own_ms : &senders_ms;
		*least = cutoff_ms < *least ? cutoff_ms : *least;
	}
	return (struct newest_cutoffs){ .own_ms = own_ms == INT64_MAX ? INT64_MIN : own_ms,
		.all_ms = !senders        ? INT64_MIN
		    : own_ms < senders_ms ? own_ms
		                          : senders_ms };
}
