#include "net/api/api.h"

#include "core/account/hapair.h"
#include "core/account/joint.h"
#include "core/account/rate.h"
#include "core/account/ticket.h"
#include "core/base/clock.h"
#include "core/base/rune.h"
#include "core/model/tenant.h"
#include "core/promql/cache/ql_cache.h"
#include "net/api/api_health.h"
#include "net/api/api_pages.h"
#include "net/api/apierr.h"
#include "net/api/doctor.h"
#include "net/api/shelf.h"
#include "net/api/tenantstat.h"
#include "net/recv/inlet.h"
#include "net/recv/recv_deltas.h"
#include "net/recv/recv_push.h"
#include "proto/rw2.h"
#include "proto/unzstd.h"

#define WRITES_KEPT 8u /* of each loop, for its next writes */

enum err api_create(const struct api_opts *o, struct api **out)
{
	struct api *a = mem_zalloc(sizeof(*a));
	unsigned loops = team_count(o->team);
	a->opts = *o;
	if (!a->opts.limits)
		a->opts.limits = limits_here();
	if (!a->opts.external_url)
		a->opts.external_url = "";
	if (!a->opts.links)
		a->opts.links = "";
	if (!a->opts.prefix)
		a->opts.prefix = "";
	a->pages = api_pages_create(&a->opts);
	a->start_ms = clock_wall_ms();
	a->tickets = tickets_create(o->team, a->opts.limits);
	a->rates = rates_create();
	a->hapairs = hapairs_create();
	a->push = push_create(a);
	a->joints = joints_create(o->team);
	a->cache = ql_cache_create(a->opts.limits->query_cache_bytes);
	a->writes = shelf_create(loops, pool_keep(WRITES_KEPT));
	a->tenantstat = tenantstat_create();
	a->doctor = doctor_create(a);
	a->deltas = recv_deltas_create(a->opts.limits->delta_bytes);
	a->loops = mem_array(NULL, loops, sizeof(*a->loops));
	for (unsigned i = 0; i < loops; i++) {
		a->loops[i] = (struct api_loop){ .phase = API_STARTING,
			.rnd = hash_mix64(clock_mono_ns() + i + 1) | 1,
			.conf = &a->opts.conf };
		door_begin(&a->loops[i].door);
		running_begin(&a->loops[i].running, i);
		list_init(&a->loops[i].watches);
		refusals_begin(&a->loops[i].refusals, team_loop(o->team, i), a->paces);
		doctornotes_begin(&a->loops[i].notes);
		buf_init(&a->loops[i].access_line);
		a->loops[i].refusals.notes = &a->loops[i].notes;
	}
	*out = a;
	return ERR_OK;
}

struct phase_change {
	struct api *api;
	enum api_phase phase;
};

static void change_phase(void *arg)
{
	const struct phase_change *c = arg;
	unsigned index = loop_index(loop_here());
	struct api_loop *l = &c->api->loops[index];
	l->phase = c->phase;
	if (!index && c->phase == API_READY) {
		recv_deltas_begin(c->api->deltas, loop_here());
		doctor_begin(c->api->doctor);
	}
	if (!index && c->phase == API_STOPPING) {
		recv_deltas_end(c->api->deltas);
		doctor_end(c->api->doctor);
	}
	api_health_phase(l);
	if (c->phase == API_STOPPING)
		refusals_end(&l->refusals);
}

static void move_all(struct api *a, enum api_phase phase)
{
	struct phase_change c = { a, phase };
	for (unsigned i = 0; i < team_count(a->opts.team); i++)
		team_run_on(a->opts.team, i, change_phase, &c);
}

void api_open(struct api *a)
{
	move_all(a, API_JOINED);
	move_all(a, API_READY);
}

static const char *tenant_name(void *arg, uint32_t tenant)
{
	return store_tenant_name(arg, tenant);
}

void api_ready(struct api *a, struct store *st)
{
	CHECK(!a->store);
	a->store = st;
	a->sink = store_sink(st);
	tenantsrc_init(&a->tenants, store_source(st), tenant_name, st);
	a->source = &a->tenants.source;
	if (a->opts.data_dir)
		hapairs_keep(a->hapairs, a->opts.data_dir, a->opts.pool, clock_mono_ns());
	push_start(a->push);
	api_open(a);
}

void api_set_conf(struct api *a, const struct api_conf *c)
{
	struct api_loop *l = &a->loops[loop_index(loop_here())];
	l->conf = c;
	inlet_conf_changed(l);
}

void api_tell_self(struct api *a, const char *instance)
{
	rune_printf(a->self, sizeof(a->self), "%s", instance);
	latch_set(&a->self_told);
}

void api_stopping(struct api *a)
{
	move_all(a, API_STOPPING);
}

void api_free(struct api *a)
{
	if (!a)
		return;
	shelf_free(a->writes);
	api_pages_free(a->pages);
	tenantstat_free(a->tenantstat);
	doctor_free(a->doctor);
	recv_deltas_free(a->deltas);
	tickets_free(a->tickets);
	rates_free(a->rates);
	push_free(a->push);
	hapairs_free(a->hapairs);
	joints_free(a->joints);
	ql_cache_free(a->cache);
	for (unsigned i = 0; i < team_count(a->opts.team); i++) {
		running_end(&a->loops[i].running);
		doctornotes_end(&a->loops[i].notes);
		buf_release(&a->loops[i].access_line);
		rw2_memory_free(a->loops[i].rw2);
		inlet_loop_end(&a->loops[i]);
		unzstd_free(a->loops[i].unzstd);
		mem_free(a->loops[i].warm.decoded);
		mem_free(a->loops[i].warm.rows);
		if (a->loops[i].warm.there)
			arena_release(&a->loops[i].warm.arena);
	}
	mem_free(a->loops);
	mem_free(a);
}

bool api_gate(struct req *r)
{
	enum api_phase phase = api_loop_of(r)->phase;
	bool ready = phase == API_READY;
	if (ready || (phase == API_JOINED && !(r->route->flags & ROUTE_READY)))
		return true;
	apierr_unavailable(r, phase == API_STOPPING);
	return false;
}

uint64_t api_random(struct api_loop *l)
{
	l->rnd += 0x9e3779b97f4a7c15u;
	return hash_mix64(l->rnd);
}

static uint64_t lesser(uint64_t of_tenant, uint64_t of_server)
{
	return of_tenant && of_tenant < of_server ? of_tenant : of_server;
}

int64_t api_timeout_ms(const struct req *r)
{
	uint64_t own = tenant_limits_here(r->tenant)->query_timeout_ms;
	return (int64_t)lesser(own, limits_here()->query_timeout_ms);
}

uint64_t api_query_samples(const struct req *r)
{
	uint64_t own = tenant_limits_here(r->tenant)->query_samples;
	return lesser(own, limits_here()->query_samples);
}
