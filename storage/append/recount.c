#include "storage/append/recount.h"

#include "core/rt/epoch.h"
#include "storage/append/card.h"
#include "storage/append/intake.h"
#include "storage/meta/postings.h"

#define STEP_SERIES 64u

enum recount_state {
	RECOUNT_RESTS,
	RECOUNT_BEGINS,
	RECOUNT_FEEDS,
	RECOUNT_ENDS
};
struct recount {
	struct intake **intakes;
	unsigned loops;
	struct mbox_msg msg;
	struct loop_timer timer;
	struct epoch stopped; /* 1: loops feed no more */
	enum recount_state state;
	unsigned at; /* the loop it is on, or on its way to */
	uint64_t generation, rules;
	uint64_t last_ns; /* when one ended */
	/* on a loop */
	struct job job;
	struct loop_deferred fed;
	unsigned shard; /* of the loop, by place */
	uint32_t tenant;
	uint64_t id; /* of its series, the next one */
};

static void arrive(struct mbox_msg *msg);

struct recount *recount_create(struct intake **intakes, unsigned loops)
{
	struct recount *c = mem_zalloc(sizeof(*c));
	c->intakes = intakes;
	c->loops = loops;
	c->msg.fn = arrive;
	return c;
}

void recount_free(struct recount *c)
{
	if (!c)
		return;
	CHECK(c->state == RECOUNT_RESTS);
	mem_free(c);
}

/* ---- on a loop ---- */

static struct intake *here(const struct recount *c)
{
	return c->intakes[c->at % c->loops];
}

/* The first tenant of a head from one on that has rules; NULL: no other. */
static const struct head_tenant *tenant_from(const struct head *h, const struct tenants *conf,
    uint32_t from, const struct card_rules **rules)
{
	for (uint32_t i = 0; i < h->tenants_count; i++) {
		const struct head_tenant *t = &h->tenants[i];
		if (t->tenant < from)
			continue;
		*rules = tenant_card_of(conf, t->tenant);
		if (*rules)
			return t;
	}
	return NULL;
}

/* False: the shard is through. */
static bool feed_some(struct recount *c, struct intake *in, const struct head *h)
{
	uint32_t ids[STEP_SERIES];
	const struct card_rules *rules;
	const struct head_tenant *t =
	    tenant_from(h, loop_tenants(in->share->loop), c->tenant, &rules);
	if (!t)
		return false;
	if (t->tenant != c->tenant) {
		c->tenant = t->tenant;
		c->id = 0;
	}
	size_t n = c->id <= UINT32_MAX
	    ? postings_ids_from(t->postings, (uint32_t)c->id, ids, STEP_SERIES)
	    : 0;
	for (size_t i = 0; i < n; i++) {
		const struct series *s = head_by_id(h, ids[i]);
		if (s && s->tenant == c->tenant)
			card_feed(in->card, c->tenant, rules,
			    (struct labels){ .bytes = s->labels, .len = s->labels_len });
	}
	if (n)
		c->id = (uint64_t)ids[n - 1] + 1;
	if (n < STEP_SERIES) {
		c->tenant++;
		c->id = 0;
	}
	return true;
}

/* The loop has let go of the job. */
static void fed(struct loop_deferred *d)
{
	struct recount *c = CONTAINER_OF(d, struct recount, fed);
	c->at++;
	if (c->at == c->loops) {
		c->state = RECOUNT_ENDS;
		c->at = 0;
	}
	loop_send(here(c)->share->loop, &c->msg);
}

static enum job_state feed(struct job *j)
{
	struct recount *c = CONTAINER_OF(j, struct recount, job);
	struct intake *in = here(c);
	const struct share *sh = in->share;
	while (c->shard < sh->shards_count && !epoch_now(&c->stopped)) {
		if (!feed_some(c, in, &sh->shards[c->shard]->head)) {
			c->shard++;
			c->tenant = 0;
			c->id = 0;
		}
		if (job_should_yield())
			return JOB_YIELD;
	}
	c->fed.fn = fed;
	loop_defer(sh->loop, &c->fed);
	return JOB_DONE;
}

static void feed_begin(struct recount *c, struct loop *loop)
{
	c->shard = 0;
	c->tenant = 0;
	c->id = 0;
	job_init(&c->job, JOB_QUERY_HEAVY, feed);
	job_start(loop, &c->job);
}

/* ---- the walk ---- */

/* Over all loops and home again: true when it is home. */
static bool next_loop(struct recount *c)
{
	if (++c->at <= c->loops) {
		loop_send(here(c)->share->loop, &c->msg);
		return false;
	}
	return true;
}

static void arrive(struct mbox_msg *msg)
{
	struct recount *c = CONTAINER_OF(msg, struct recount, msg);
	struct intake *in = here(c);
	loop_check_here(in->share->loop);
	switch (c->state) {
	case RECOUNT_RESTS:
		CHECK(false);
		break;
	case RECOUNT_BEGINS:
		if (c->at < c->loops)
			card_recount_begin(in->card, c->generation);
		if (!next_loop(c))
			return;
		c->state = RECOUNT_FEEDS;
		c->at = 0;
		feed_begin(c, in->share->loop);
		return;
	case RECOUNT_FEEDS:
		feed_begin(c, in->share->loop);
		return;
	case RECOUNT_ENDS:
		if (c->at < c->loops)
			card_recount_end(in->card);
		if (!next_loop(c))
			return;
		c->state = RECOUNT_RESTS;
		c->last_ns = loop_now_ns(in->share->loop);
		return;
	}
}

static bool is_due(const struct recount *c, uint64_t now)
{
	uint64_t ms = (now - c->last_ns) / UINT64_C(1000000);
	return ms >= RECOUNT_EVERY_MS ||
	    (ms >= RECOUNT_PAUSE_MS && census_set_crowded(c->intakes[0]->env->census));
}

/*
 * New rules are fed to what decides by now, so that what is in memory counts at once; rules that
 * ended, and what has left memory, go with a new generation.
 */
static void tick(struct loop_timer *t)
{
	struct recount *c = CONTAINER_OF(t, struct recount, timer);
	struct intake *home = c->intakes[0];
	const struct tenants *conf = loop_tenants(home->share->loop);
	uint64_t rules = conf ? tenants_card_hash(conf) : 0, now = loop_now_ns(home->share->loop);
	loop_timer_set(home->share->loop, t, RECOUNT_LOOK_MS);
	bool changed = rules != c->rules;
	if (c->state != RECOUNT_RESTS || (!changed && !(rules && is_due(c, now))))
		return;
	c->rules = rules;
	c->generation = card_generation(home->card) + (!changed || !rules);
	c->state = RECOUNT_BEGINS;
	c->at = 0;
	arrive(&c->msg);
}

void recount_start(struct recount *c)
{
	loop_check_here(c->intakes[0]->share->loop);
	loop_timer_init(&c->timer, tick);
	c->last_ns = loop_now_ns(c->intakes[0]->share->loop);
	tick(&c->timer);
}

void recount_stop(struct recount *c)
{
	loop_check_here(c->intakes[0]->share->loop);
	loop_timer_cancel(c->intakes[0]->share->loop, &c->timer);
	epoch_set(&c->stopped, 1);
}

bool recount_busy(const struct recount *c)
{
	return c->state != RECOUNT_RESTS;
}
