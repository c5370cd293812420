#include "storage/append/gossip.h"

#include "core/base/arena.h"
#include "storage/share.h"

struct gossip {
	struct share **shares;
	unsigned loops;
	struct mbox_msg msg;
	struct loop_timer timer;
	struct newest heard;
	unsigned at; /* the loop it is on, or on its way to */
	bool walking;
};

static void arrive(struct mbox_msg *msg);

struct gossip *gossip_create(struct share **shares, unsigned loops)
{
	struct gossip *g = mem_zalloc(sizeof(*g));
	g->shares = shares;
	g->loops = loops;
	g->msg.fn = arrive;
	return g;
}

void gossip_free(struct gossip *g)
{
	if (!g)
		return;
	CHECK(!g->walking);
	newest_release(&g->heard);
	mem_free(g);
}

static void exchange(struct gossip *g, struct share *sh)
{
	newest_merge(&g->heard, &sh->newest);
	newest_merge(&sh->newest, &g->heard);
}

/* Twice over all loops: what the last one knew reaches the first, and those between. */
static void arrive(struct mbox_msg *msg)
{
	struct gossip *g = CONTAINER_OF(msg, struct gossip, msg);
	unsigned loops = g->loops;
	struct share *sh = g->shares[g->at % loops];
	loop_check_here(sh->loop);
	exchange(g, sh);
	if (++g->at <= 2 * loops) { /* ends on loop 0 */
		loop_send(g->shares[g->at % loops]->loop, msg);
		return;
	}
	g->walking = false;
}

static void tick(struct loop_timer *t)
{
	struct gossip *g = CONTAINER_OF(t, struct gossip, timer);
	struct share *home = g->shares[0];
	loop_timer_set(home->loop, t, GOSSIP_EVERY_MS);
	if (g->walking)
		return;
	g->walking = true;
	g->at = 0;
	arrive(&g->msg);
}

void gossip_start(struct gossip *g)
{
	struct loop *home = g->shares[0]->loop;
	loop_check_here(home);
	loop_timer_init(&g->timer, tick);
	if (g->loops > 1)
		loop_timer_set(home, &g->timer, GOSSIP_EVERY_MS);
}

void gossip_stop(struct gossip *g)
{
	struct loop *home = g->shares[0]->loop;
	loop_check_here(home);
	loop_timer_cancel(home, &g->timer);
}

bool gossip_busy(const struct gossip *g)
{
	return g->walking;
}
