#include "net/daemon/drain.h"

#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"

#define DRAIN_POLL_MS 5

static void pause_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	nanosleep(&t, NULL);
}

static bool wait_until_empty(struct srv *srv, size_t (*left)(struct srv *srv), uint64_t until_ns)
{
	while (left(srv)) {
		if (clock_real_mono_ns() > until_ns)
			return false;
		pause_ms(DRAIN_POLL_MS);
	}
	return true;
}

void drain_connections(struct srv *srv, struct api *api)
{
	uint64_t until_ns = clock_real_mono_ns() + DRAIN_MS_MAX * 1000000ull;
	srv_stop_accepting(srv);
	api_stopping(api);
	srv_drain(srv);
	/* A request may outlive its connection. */
	if (wait_until_empty(srv, srv_connections, until_ns) &&
	    wait_until_empty(srv, srv_requests, until_ns))
		return;
	LOG_WARN(
	    "drain_cut", "connections=%zu requests=%zu", srv_connections(srv), srv_requests(srv));
	srv_close_all(srv);
	/*
	 * Handlers answer what they were told to give up: cancelled queries at their next slice,
	 * writes at the next sync.
	 */
	if (!wait_until_empty(srv, srv_requests, until_ns + 5000000000ull))
		LOG_ERROR("drain_stuck", "requests=%zu", srv_requests(srv));
}
