#include "net/recv/recv_deltas.h"

#include "core/model/tenant.h"
#include "core/rt/loop.h"
#include "net/api/api.h"
#include "proto/otlp_delta.h"

#define STALE_MS    UINT64_C(300000) /* as OpenTelemetry's collector has it */
#define STREAMS_MAX UINT64_C(1000000)
#define SWEEP_MS    1000u
#define NS_OF_MS    UINT64_C(1000000)

struct recv_deltas {
	struct deltacum *book;
	struct loop *loop; /* NULL: nobody sweeps */
	struct loop_timer timer;
};

static void sweep(struct loop_timer *t)
{
	struct recv_deltas *d = CONTAINER_OF(t, struct recv_deltas, timer);
	deltacum_sweep(d->book, loop_now_ns(d->loop));
	loop_timer_set(d->loop, t, SWEEP_MS);
}

struct recv_deltas *recv_deltas_create(uint64_t max_bytes)
{
	struct recv_deltas *d = mem_zalloc(sizeof(*d));
	d->book = deltacum_create(max_bytes);
	loop_timer_init(&d->timer, sweep);
	return d;
}

void recv_deltas_free(struct recv_deltas *d)
{
	if (!d)
		return;
	deltacum_free(d->book);
	mem_free(d);
}

void recv_deltas_begin(struct recv_deltas *d, struct loop *l)
{
	d->loop = l;
	loop_timer_set(l, &d->timer, SWEEP_MS);
}

void recv_deltas_end(struct recv_deltas *d)
{
	if (d->loop)
		loop_timer_cancel(d->loop, &d->timer);
	d->loop = NULL;
}

/* How much older than the newest a sample of r's tenant may be. */
static uint64_t window_ms(const struct req *r)
{
	uint64_t own = tenant_limits_here(r->tenant)->out_of_order_window_ms;
	return own ? own : api_of(r)->opts.ooo_window_ms;
}

const struct otlp_delta *recv_deltas_hook(
    struct recv_deltas *d, struct req *r, const struct recv_otlp *c)
{
	if (c->delta_raw)
		return &otlp_delta_raw;
	if (c->delta_rejected)
		return NULL;
	struct otlp_cumulate *k = arena_alloc(&r->arena, sizeof(*k));
	otlp_cumulate_init(k);
	k->ask = (struct deltacum_ask){ .dc = d->book,
		.now_ns = loop_now_ns(r->loop),
		.stale_ns = (c->delta_stale_ms ? c->delta_stale_ms : STALE_MS) * NS_OF_MS,
		.streams_max = c->delta_streams ? c->delta_streams : STREAMS_MAX,
		.tenant = r->tenant };
	k->zeros = !c->delta_bare;
	k->window_ms = window_ms(r);
	return &k->hook;
}
