/* pushrepeat - what was pushed is stored again and again: net/recv/recv_push.h. */
#include "core/base/log.h"
#include "core/rt/team.h"
#include "net/api/tenantstat.h"
#include "net/recv/recv_push_priv.h"

#define TICK_MS 500u
#define KEEP    (64u << 10)
#define EXPIRE  256u /* groups that a turn ends */

static void fill(struct push *p);

/* ---- groups that nobody pushes any more ---- */

struct expiry {
	struct push_task task;
	struct pushgroup *group;
};

static void expired(struct push_task *t)
{
	struct expiry *x = CONTAINER_OF(t, struct expiry, task);
	if (t->change.err)
		LOG_EVERY(LOG_LEVEL_WARN, "push_expiry_failed", "err=\"%s\"", t->change.eb.text);
	pushtable_change_release(t->push->table, &t->change);
	arena_release(&t->arena);
	pushtable_let_go(t->push->table, x->group);
	mem_free(x);
}

/* Takes g, which is held. */
static void expire(struct push *p, struct pushgroup *g)
{
	struct expiry *x = mem_zalloc(sizeof(*x));
	x->group = g;
	x->task.push = p;
	x->task.done = expired;
	x->task.change = (struct push_change){ .op = PUSH_EXPIRE,
		.tenant = g->tenant,
		.labels = g->labels,
		.expected = g,
		.now_ms = loop_now_ms(loop_here()),
		.now_ns = loop_now_ns(loop_here()) };
	push_task_begin(&x->task);
}

static bool is_old(const struct pushgroup *g, uint64_t ttl_ms, int64_t now_ms)
{
	int64_t last = g->pushed_ms > g->failed_ms ? g->pushed_ms : g->failed_ms;
	return ttl_ms && now_ms - last >= (int64_t)ttl_ms;
}

/* ---- batches ---- */

static void rest(struct push *p)
{
	p->state = PUSH_RESTING;
	loop_timer_set(loop_here(), &p->tick, TICK_MS);
}

static void batch_done(struct push *p)
{
	batch_clear(&p->batch);
	arena_reset(&p->arena, KEEP);
	for (size_t i = 0; i < p->held_count; i++)
		pushtable_let_go(p->table, p->held[i]);
	p->held_count = 0;
}

static void fill_later(struct loop_deferred *d)
{
	fill(CONTAINER_OF(d, struct push, work));
}

static void go_on(struct push *p)
{
	p->state = PUSH_FILLING;
	p->work.fn = fill_later;
	loop_work(loop_here(), LOOP_LATER, &p->work);
}

static void stored(struct inlet *i)
{
	struct push *p = CONTAINER_OF(i, struct push, inlet);
	if (i->req.err || i->req.refused)
		LOG_EVERY(LOG_LEVEL_WARN, "push_repeat_refused", "err=\"%s\" rows=%llu first=\"%s\"",
		    err_text(i->req.err), (unsigned long long)i->req.refused, i->req.first_text);
	if (!i->req.err)
		tenantstat_wrote(p->api->tenantstat, p->batch.tenant, i->req.stored, i->req.refused);
	batch_done(p);
	go_on(p);
}

static void store(struct push *p)
{
	p->state = PUSH_STORING;
	p->inlet = (struct inlet){ .req.batch = &p->batch,
		.receiver = RECEIVER_PUSHGATEWAY,
		.arena = &p->arena,
		.done = stored };
	inlet_append(p->api, &p->inlet);
}

static void hold(struct push *p, struct pushgroup *g)
{
	if (p->held_count == p->held_cap) {
		p->held_cap = p->held_cap ? 2 * p->held_cap : 64;
		p->held = mem_array(p->held, p->held_cap, sizeof(struct pushgroup *));
	}
	p->held[p->held_count++] = g;
}

static void row(struct push *p, const struct push_row *r)
{
	struct batch_row *to = batch_add(&p->batch);
	*to = (struct batch_row){ .labels = r->labels, .labels_len = r->labels_len, .t_ms = p->t_ms };
	to->v = r->v;
	if (!r->hist)
		return;
	struct batch_extra *x = arena_alloc(&p->arena, sizeof(*x));
	*x = (struct batch_extra){ .v = r->v, .hist = r->hist };
	batch_row_extra(&p->batch, to, x);
}

/* Rows of the group at hand until the batch is full; true: all of them. */
static bool take(struct push *p)
{
	const struct pushgroup *g = p->at;
	for (; p->family < g->families_count; p->family++, p->row = 0) {
		const struct push_family *f = &g->families[p->family];
		for (; p->row < f->rows_count; p->row++) {
			if (p->batch.rows_count >= PUSH_ROWS)
				return false;
			row(p, &f->rows[p->row]);
		}
	}
	return true;
}

/* The next group, of the batch's tenant if it has rows; NULL: none is due, or the turn is over. */
static struct pushgroup *next(struct push *p, const struct push_conf *c)
{
	struct loop *l = loop_here();
	while (p->expired < EXPIRE) {
		struct pushgroup *g = pushtable_due(p->table, !p->batch.rows_count, p->batch.tenant,
		    loop_now_ns(l), c->repeat_ms * 1000000, loop_now_ms(l), &p->t_ms);
		if (!g || !is_old(g, c->ttl_ms, loop_now_ms(l)))
			return g;
		expire(p, g);
		p->expired++;
	}
	return NULL;
}

static void fill(struct push *p)
{
	struct push_conf c = push_conf(p->api->loops[loop_index(loop_here())].conf);
	p->expired = 0;
	while (p->batch.rows_count < PUSH_ROWS && p->held_count < PUSH_ROWS) {
		if (!p->at) {
			p->at = next(p, &c);
			p->family = p->row = 0;
		}
		if (!p->at)
			break;
		p->batch.tenant = p->at->tenant;
		if (!take(p))
			break;
		hold(p, p->at);
		p->at = NULL;
	}
	if (p->batch.rows_count)
		store(p);
	else if (p->expired == EXPIRE)
		go_on(p);
	else
		rest(p);
}

static void tick(struct loop_timer *t)
{
	struct push *p = CONTAINER_OF(t, struct push, tick);
	if (p->api->loops[loop_index(loop_here())].phase != API_READY) {
		rest(p);
		return;
	}
	p->state = PUSH_FILLING;
	fill(p);
}

/* ---- life ---- */

static void start_here(void *arg)
{
	struct push *p = arg;
	loop_timer_init(&p->tick, tick);
	rest(p);
}

void push_start(struct push *p)
{
	const struct api_opts *o = &p->api->opts;
	if (o->data_dir)
		pushtable_keep(p->table, o->data_dir);
	batch_init(&p->batch);
	p->batch.own = false;
	arena_init(&p->arena, 4096);
	team_run_on(o->team, 0, start_here, p);
}

struct push *push_create(struct api *a)
{
	struct push *p = mem_zalloc(sizeof(*p));
	p->api = a;
	p->table = pushtable_create();
	return p;
}

void push_free(struct push *p)
{
	if (!p)
		return;
	batch_done(p);
	pushtable_let_go(p->table, p->at);
	pushtable_free(p->table);
	batch_release(&p->batch);
	arena_release(&p->arena);
	mem_free(p->held);
	mem_free(p);
}
