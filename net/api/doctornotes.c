#include "net/api/doctornotes.h"

#include <netinet/in.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/rune.h"
#include "core/model/tenant.h"

#define SETS        (DOCTORNOTES_ROWS / DOCTORNOTES_WAYS)
#define ERROR_WORDS 40u /* bytes of an error that tell it from others: numbers stand behind */
#define NS_PER_MS   1000000u

void doctornotes_begin(struct doctornotes *n)
{
	n->rows = NULL;
}

void doctornotes_end(struct doctornotes *n)
{
	mem_free(n->rows);
	n->rows = NULL;
}

static void cut_into(char *out, size_t size, const char *s, size_t len)
{
	size_t n = rune_cut(s, len, size - 1);
	memcpy(out, s, n);
	out[n] = 0;
}

/* The client's address; its port says nothing. */
static void address_of(const struct req *r, char out[64])
{
	req_remote_text(r, out, 64);
	char *colon = strrchr(out, ':');
	if (colon)
		*colon = 0;
}

static void ip_of(const struct req *r, uint8_t out[DOCTORNOTES_IP_BYTES])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&r->remote;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&r->remote;
	uint16_t family = r->remote.ss_family;
	memset(out, 0, DOCTORNOTES_IP_BYTES);
	memcpy(out, &family, 2);
	if (family == AF_INET)
		memcpy(out + 6, &v4->sin_addr, 4);
	if (family != AF_INET6)
		return;
	memcpy(out + 2, &v6->sin6_scope_id, 4);
	memcpy(out + 6, &v6->sin6_addr, 16);
}

static uint64_t key_of(
    uint32_t tenant, enum doctornote_kind kind, unsigned what, const void *text, size_t len)
{
	uint64_t seed = (uint64_t)tenant << 32 | (uint64_t)what << 8 | (uint64_t)kind;
	uint64_t key = hash64(text, len, hash_mix64(seed));
	return key ? key : 1;
}

/* What a row is found by. */
struct sought {
	uint64_t key;
	uint32_t tenant;
	enum doctornote_kind kind;
	unsigned what;
};

static bool is_sought(const struct doctornote *d, const struct sought *by)
{
	return d->key == by->key && d->tenant == by->tenant && d->kind == by->kind &&
	    d->what == by->what;
}

bool doctornotes_same(const struct doctornote *a, const struct doctornote *b)
{
	return is_sought(a, &(struct sought){ b->key, b->tenant, b->kind, b->what });
}

static struct doctornote *older(struct doctornote *a, struct doctornote *b)
{
	return !a || b->last_ms < a->last_ms ? b : a;
}

/* Its row, or the place of who was quiet for longest: of the tenant itself where it has many. */
static struct doctornote *place_of(struct doctornotes *n, const struct sought *by)
{
	if (!n->rows)
		n->rows = mem_zalloc(DOCTORNOTES_ROWS * sizeof(*n->rows));
	struct doctornote *set = &n->rows[by->key % SETS * DOCTORNOTES_WAYS];
	struct doctornote *oldest = NULL, *own = NULL;
	unsigned owned = 0;
	for (unsigned i = 0; i < DOCTORNOTES_WAYS; i++) {
		if (is_sought(&set[i], by))
			return &set[i];
		oldest = older(oldest, &set[i]);
		if (!set[i].key || set[i].tenant != by->tenant)
			continue;
		own = older(own, &set[i]);
		owned++;
	}
	return oldest->key && owned >= DOCTORNOTES_WAYS / 2 ? own : oldest;
}

/* The row of what has happened now to a request of this tenant. */
static struct doctornote *note(struct doctornotes *n, const struct req *r, uint32_t tenant,
    enum doctornote_kind kind, unsigned what, const void *text, size_t len)
{
	int64_t now_ms = loop_now_ms(r->loop);
	uint8_t ip[DOCTORNOTES_IP_BYTES];
	struct sought by = { key_of(tenant, kind, what, text, len), tenant, kind, what };
	struct doctornote *d = place_of(n, &by);
	if (!is_sought(d, &by) || now_ms - d->last_ms > DOCTORNOTES_QUIET_MS)
		*d = (struct doctornote){
			.key = by.key, .tenant = tenant, .kind = kind, .what = what, .first_ms = now_ms
		};
	d->last_ms = now_ms;
	ip_of(r, ip);
	if (!d->who[0] || memcmp(d->ip, ip, sizeof(ip)) != 0) {
		memcpy(d->ip, ip, sizeof(ip));
		address_of(r, d->who);
	}
	return d;
}

static void agent_into(struct doctornote *d, const char *agent, size_t len)
{
	cut_into(d->agent, sizeof(d->agent), agent ? agent : "", len);
}

void doctornotes_refused(
    struct doctornotes *n, const struct req *r, unsigned what, const char *example)
{
	size_t len;
	const char *agent = req_header(r, "user-agent", &len);
	struct doctornote *d = note(n, r, r->tenant, DOCTORNOTE_REFUSED, what, "", 0);
	d->count++;
	agent_into(d, agent, len);
	if (example)
		cut_into(d->example, sizeof(d->example), example, strlen(example));
}

static void by_address(struct doctornotes *n, const struct req *r, enum doctornote_kind kind,
    const char *agent, size_t agent_len, uint64_t samples)
{
	uint8_t ip[DOCTORNOTES_IP_BYTES];
	ip_of(r, ip);
	struct doctornote *d = note(n, r, r->tenant, kind, 0, ip, sizeof(ip));
	d->count += samples;
	agent_into(d, agent, agent_len);
}

void doctornotes_wrote(struct doctornotes *n, const struct req *r, const struct sink_req *s)
{
	size_t len;
	const char *agent = req_header(r, "user-agent", &len);
	struct doctornote *d = note(n, r, r->tenant, DOCTORNOTE_SENDER, 0, agent ? agent : "", len);
	d->count += s->stored;
	if (!d->agent[0])
		agent_into(d, agent, len);
	if (s->late)
		by_address(n, r, DOCTORNOTE_LATE, agent, len, s->late);
	if (s->changed)
		by_address(n, r, DOCTORNOTE_CHANGED, agent, len, s->changed);
}

/* Of several tenants at once: nobody's. */
static uint32_t asked_tenant(const struct req *r)
{
	return r->tenants_count == 1 ? r->tenants[0] : TENANT_NONE;
}

void doctornotes_slow(
    struct doctornotes *n, const struct req *r, const char *text, size_t len, uint64_t took_ns)
{
	uint32_t tenant = asked_tenant(r);
	if (tenant == TENANT_NONE)
		return;
	struct doctornote *d = note(n, r, tenant, DOCTORNOTE_SLOW, 0, text, len);
	uint64_t ms = took_ns / NS_PER_MS;
	d->count++;
	if (ms > d->most_ms)
		d->most_ms = ms;
	cut_into(d->example, sizeof(d->example), text, len);
}

void doctornotes_ended(
    struct doctornotes *n, const struct req *r, const char *text, size_t len, const char *error)
{
	uint32_t tenant = asked_tenant(r);
	if (tenant == TENANT_NONE)
		return;
	size_t words = strcspn(error, "0123456789");
	struct doctornote *d = note(
	    n, r, tenant, DOCTORNOTE_ENDED, 0, error, words < ERROR_WORDS ? words : ERROR_WORDS);
	d->count++;
	(void)rune_printf(d->example, sizeof(d->example), "%s: %.*s", error,
	    (int)rune_cut(text, len, sizeof(d->example)), text);
}

void doctornotes_each(const struct doctornotes *n, const uint32_t *tenants, size_t count,
    int64_t now_ms, void (*fn)(void *arg, const struct doctornote *row), void *arg)
{
	for (unsigned i = 0; n->rows && i < DOCTORNOTES_ROWS; i++) {
		const struct doctornote *d = &n->rows[i];
		if (!d->key || now_ms - d->last_ms > DOCTORNOTES_QUIET_MS)
			continue;
		for (size_t k = 0; k < count; k++) {
			if (tenants[k] != d->tenant)
				continue;
			fn(arg, d);
			break;
		}
	}
}
