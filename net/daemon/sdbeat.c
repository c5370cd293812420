#include "net/daemon/sdbeat.h"

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "net/daemon/sdnotify.h"

struct sdbeat {
	struct loop *loop;
	struct team *team;
	uint64_t still_ns;
	uint64_t every_ms;
	enum sdbeat_phase phase;
	struct loop_timer timer;
};

static bool all_turn(const struct sdbeat *b)
{
	uint64_t oldest = team_oldest_turn_ns(b->team), now = clock_real_mono_ns();
	return now <= oldest || now - oldest <= b->still_ns;
}

static void tell(const struct sdbeat *b)
{
	if (!all_turn(b))
		return;
	if (b->phase != SDBEAT_STARTING && sdnotify_watchdog_us())
		sdnotify_watchdog();
	if (b->phase != SDBEAT_RUNNING)
		sdnotify_extend(SDBEAT_EXTEND_US);
}

static void on_timer(struct loop_timer *t)
{
	struct sdbeat *b = CONTAINER_OF(t, struct sdbeat, timer);
	tell(b);
	loop_timer_set(b->loop, &b->timer, b->every_ms);
}

/* A third: one beat may be late without harm. */
static uint64_t every_ms(void)
{
	uint64_t ms = sdnotify_watchdog_us() / 3000;
	return !ms || ms > SDBEAT_EVERY_MS ? SDBEAT_EVERY_MS : ms;
}

struct sdbeat *sdbeat_start(struct loop *l, struct team *team, uint64_t still_ns)
{
	loop_check_here(l);
	if (!sdnotify_on())
		return NULL;
	struct sdbeat *b = mem_zalloc(sizeof(*b));
	*b = (struct sdbeat){ .loop = l, .team = team, .still_ns = still_ns, .every_ms = every_ms() };
	loop_timer_init(&b->timer, on_timer);
	on_timer(&b->timer);
	return b;
}

void sdbeat_phase(struct sdbeat *b, enum sdbeat_phase phase)
{
	if (!b)
		return;
	loop_check_here(b->loop);
	b->phase = phase;
	tell(b);
}

void sdbeat_stop(struct sdbeat *b)
{
	if (!b)
		return;
	loop_check_here(b->loop);
	loop_timer_cancel(b->loop, &b->timer);
	mem_free(b);
}
