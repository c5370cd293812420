#include "net/api/running.h"

#include <sys/random.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/rune.h"
#include "core/model/tenant.h"
#include "net/api/api.h"

#define LOOP_BITS 8u /* of an id: the loop */

static struct running_loop *of(const struct req *r)
{
	return &api_loop_of(r)->running;
}

void running_begin(struct running_loop *l, unsigned loop)
{
	*l = (struct running_loop){ .loop = loop };
	list_init(&l->list);
	if (getrandom(&l->seed, sizeof(l->seed), GRND_NONBLOCK) != (ssize_t)sizeof(l->seed))
		l->seed = clock_real_mono_ns() ^ (uintptr_t)l;
}

void running_end(struct running_loop *l)
{
	for (size_t i = 0; i < l->past_count; i++)
		mem_free(l->past[i].text);
	mem_free(l->past);
	l->past = NULL;
}

static void cancel_usual(struct running *n)
{
	if (n->req->on_gone)
		n->req->on_gone(n->req);
}

/* Who sees two of his own ids does not learn how many queries of others began between them. */
static uint64_t id_make(struct running_loop *l)
{
	uint64_t id = 0;
	while (!(id >> LOOP_BITS)) {
		l->begun++;
		id = hash64(&l->begun, sizeof(l->begun), l->seed);
		id = id >> LOOP_BITS << LOOP_BITS | l->loop;
	}
	return id;
}

void running_add(struct running *n)
{
	struct running_loop *l = of(n->req);
	n->id = id_make(l);
	if (!n->cancel)
		n->cancel = cancel_usual;
	list_add_tail(&l->list, &n->_link);
}

void running_del(struct running *n)
{
	if (!running_is_listed(n))
		return;
	list_del(&n->_link);
	n->id = 0;
}

void running_was(const struct running *n, uint64_t took_ns, uint64_t held)
{
	struct running_loop *l = of(n->req);
	if (!l->past)
		l->past = mem_array(NULL, RUNNING_RECENT, sizeof(*l->past));
	struct running_past *p = &l->past[l->past_at];
	bool used = l->past_count == RUNNING_RECENT;
	size_t len = rune_cut(n->what, n->what_len, RUNNING_TEXT_BYTES);
	char *text = mem_realloc(used ? p->text : NULL, len + 1);
	if (len)
		memcpy(text, n->what, len);
	*p = (struct running_past){ .tenant = n->req->tenants_count == 1 ? n->req->tenants[0]
		                                                         : TENANT_NONE,
		.text = text,
		.text_len = num_u32(len),
		.at_ms = loop_now_ms(n->req->loop),
		.range_ms = num_sat_sub(n->end_ms, n->start_ms),
		.took_us = took_ns / 1000,
		.held_bytes = held };
	l->past_count += !used;
	l->past_at = (l->past_at + 1) % RUNNING_RECENT;
}

unsigned running_loop_of(uint64_t id)
{
	return (unsigned)(id & ((1u << LOOP_BITS) - 1));
}

struct running *running_find(struct running_loop *l, uint64_t id)
{
	for (struct list_link *k = l->list.next; k != &l->list; k = k->next) {
		struct running *n = CONTAINER_OF(k, struct running, _link);
		if (n->id == id)
			return n;
	}
	return NULL;
}

static bool is_one_of(uint32_t tenant, const uint32_t *tenants, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (tenants[i] == tenant)
			return true;
	return false;
}

bool running_is_for(const struct running *n, const uint32_t *tenants, size_t count)
{
	const struct req *r = n->req;
	for (size_t i = 0; i < r->tenants_count; i++)
		if (!is_one_of(r->tenants[i], tenants, count))
			return false;
	return true;
}
