/* Tenants of a store, by name and by id. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/mem.h"
#include "core/rt/latch.h"
#include "storage/store_priv.h"

uint32_t store_tenant_max(const struct store *st)
{
	uint32_t max = keeper_tenant_max(st->keeper);
	for (unsigned i = 0; i < st->loops; i++) {
		const struct newest *n = &st->shares[i]->newest;
		for (uint32_t k = 0; k < n->count; k++)
			max = n->classes[k].tenant > max ? n->classes[k].tenant : max;
	}
	for (unsigned i = 0; i < st->manifest.shards; i++) {
		const struct head *h = &st->shards[i]->head;
		uint32_t last = h->tenants_count ? h->tenants[h->tenants_count - 1].tenant : 0;
		max = last > max ? last : max;
	}
	return max;
}

uint32_t store_tenant_find(const struct store *st, const char *name, size_t len)
{
	return tenantbook_find(st->tenantbook, name, len);
}

const char *store_tenant_name(const struct store *st, uint32_t id)
{
	return tenantbook_name(st->tenantbook, id);
}

uint32_t store_tenants(const struct store *st)
{
	return tenantbook_count(st->tenantbook);
}

uint64_t store_tenant_series(const struct store *st, uint32_t id)
{
	return tally_get(st->share_env.tenants, id);
}

void store_tenant_make(struct store *st, struct store_tenant_req *r)
{
	tenantbook_make(st->tenantbook, r);
}

/* ---- all rows of a snapshot ---- */

static void bound(struct store_tenant_req *make)
{
	struct store_tenants_req *r = CONTAINER_OF(make, struct store_tenants_req, _make);
	for (uint32_t i = 0; i < r->tenants->count; i++)
		if (r->_ids[i] != TENANT_NONE)
			tenants_set_id(r->tenants, i, r->_ids[i]);
	r->err = make->err;
	r->eb = make->eb;
	mem_free(r->_names);
	mem_free(r->_ids);
	r->done(r);
}

void store_tenants_bind(struct store *st, struct store_tenants_req *r)
{
	uint32_t count = r->tenants->count;
	r->_names = mem_array(NULL, (size_t)count + 1, sizeof *r->_names);
	r->_ids = mem_array(NULL, (size_t)count + 1, sizeof *r->_ids);
	for (uint32_t i = 0; i < count; i++)
		r->_names[i] = r->tenants->rows[i].name;
	r->_make = (struct store_tenant_req){
		.names = r->_names, .count = count, .ids = r->_ids, .limits = r->limits, .done = bound
	};
	store_tenant_make(st, &r->_make);
}

struct waiting {
	struct store *st;
	struct store_tenants_req req;
	struct latch done;
};

static void wait_done(struct store_tenants_req *r)
{
	latch_set(&CONTAINER_OF(r, struct waiting, req)->done);
}

static void wait_begin(void *arg)
{
	struct waiting *w = arg;
	store_tenants_bind(w->st, &w->req);
}

enum err store_tenants_bind_wait(struct store *st, struct tenants *tenants, struct errbuf *eb)
{
	struct waiting *w = mem_zalloc(sizeof *w);
	w->st = st;
	w->req = (struct store_tenants_req){ .tenants = tenants, .done = wait_done };
	team_run_on(st->team, 0, wait_begin, w);
	while (!latch_is_set(&w->done))
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	enum err e = w->req.err;
	if (e)
		(void)errbuf_set(eb, e, "%s", w->req.eb.text);
	mem_free(w);
	return e;
}
