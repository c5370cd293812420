#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* pthread_tryjoin_np */
#endif
#include "core/base/logdrain.h"

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOST_LINE_MAX 1024u
#define LOOK_MS       2u

enum mode {
	MODE_DIRECT,
	MODE_DRAINED,
	MODE_CLOSED
};

static struct drain {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	pthread_t thread;
	enum mode mode;     /* atomic */
	uint64_t unwritten; /* atomic: bytes that wait or are under way */
	/* Under the lock. */
	char *filling;
	size_t len;
	uint64_t lost;
	bool stopping;
	/* Of the thread. */
	char *writing;
	size_t (*lost_line)(char *out, size_t cap, uint64_t lost);
} drain = { .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER };

static enum mode mode_now(void)
{
	return __atomic_load_n(&drain.mode, __ATOMIC_ACQUIRE);
}

static void mode_set(enum mode m)
{
	__atomic_store_n(&drain.mode, m, __ATOMIC_RELEASE);
}

static bool wait_writable(int timeout_ms)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	int r = poll(&p, 1, timeout_ms);
	return r > 0 || (r < 0 && errno == EINTR);
}

/* patience_ms: of a descriptor that was made non-blocking by somebody else; -1 = for ever. */
static void write_all(const char *p, size_t len, int patience_ms)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && wait_writable(patience_ms))
			continue;
		if (n <= 0)
			return; /* nowhere to tell it */
		p += n;
		len -= (size_t)n;
	}
}

/* --- the thread --- */

/* Everything that waits; false at the end. */
static bool take(size_t *len, uint64_t *lost)
{
	pthread_mutex_lock(&drain.lock);
	while (!drain.len && !drain.lost && !drain.stopping)
		pthread_cond_wait(&drain.filled, &drain.lock);
	char *full = drain.filling;
	drain.filling = drain.writing;
	drain.writing = full;
	*len = drain.len;
	*lost = drain.lost;
	drain.len = 0;
	drain.lost = 0;
	bool more = *len || *lost || !drain.stopping;
	pthread_mutex_unlock(&drain.lock);
	return more;
}

static void *drain_main(void *arg)
{
	size_t len;
	uint64_t lost;
	(void)arg;
	while (take(&len, &lost)) {
		char line[LOST_LINE_MAX];
		write_all(drain.writing, len, -1);
		__atomic_sub_fetch(&drain.unwritten, len, __ATOMIC_RELEASE);
		/* They were said when the buffer was full: behind what was in it. */
		if (lost)
			write_all(line, drain.lost_line(line, sizeof(line), lost), -1);
	}
	return NULL;
}

/* --- life --- */

static void in_child(void)
{
	mode_set(MODE_DIRECT);
}

static bool spawn(void)
{
	/* Signals stay with the main thread. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&drain.thread, NULL, drain_main, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!r)
		(void)pthread_setname_np(drain.thread, "log"); /* a courtesy */
	return !r;
}

enum err logdrain_start(size_t (*lost_line)(char *out, size_t cap, uint64_t lost))
{
	static bool child_known;
	CHECK(mode_now() == MODE_DIRECT);
	if (!child_known && pthread_atfork(NULL, NULL, in_child))
		return ERR_NOMEM;
	child_known = true;
	if (!drain.filling)
		drain.filling = mem_alloc(LOGDRAIN_BYTES);
	if (!drain.writing)
		drain.writing = mem_alloc(LOGDRAIN_BYTES);
	drain.lost_line = lost_line;
	drain.stopping = false;
	if (!spawn())
		return ERR_NOMEM;
	mode_set(MODE_DRAINED);
	return ERR_OK;
}

static bool ended_within(unsigned ms)
{
	uint64_t end_ns = clock_real_mono_ns() + ms * UINT64_C(1000000);
	while (pthread_tryjoin_np(drain.thread, NULL)) {
		if (clock_real_mono_ns() > end_ns)
			return false;
		struct timespec t = { .tv_nsec = LOOK_MS * 1000000L };
		nanosleep(&t, NULL);
	}
	return true;
}

void logdrain_stop(void)
{
	if (mode_now() != MODE_DRAINED)
		return;
	pthread_mutex_lock(&drain.lock);
	drain.stopping = true;
	pthread_cond_signal(&drain.filled);
	pthread_mutex_unlock(&drain.lock);
	if (!ended_within(LOGDRAIN_STOP_MS)) {
		/* The thread and its buffers are left to the end of the process. */
		mode_set(MODE_CLOSED);
		pthread_detach(drain.thread);
		return;
	}
	mode_set(MODE_DIRECT);
	pthread_mutex_lock(&drain.lock); /* somebody may be on the way to the buffer */
	mem_free(drain.filling);
	mem_free(drain.writing);
	drain.filling = drain.writing = NULL;
	pthread_mutex_unlock(&drain.lock);
}

/* --- lines --- */

static void put_drained(const char *line, size_t len)
{
	pthread_mutex_lock(&drain.lock);
	/* After a loss the loss is told first. */
	bool fits = !drain.lost && drain.filling && len <= LOGDRAIN_BYTES - drain.len;
	if (fits) {
		memcpy(drain.filling + drain.len, line, len);
		drain.len += len;
		__atomic_add_fetch(&drain.unwritten, len, __ATOMIC_RELAXED);
	} else {
		drain.lost++;
	}
	pthread_cond_signal(&drain.filled);
	pthread_mutex_unlock(&drain.lock);
	if (!fits)
		metric_add(M_LOG_LINES_LOST, 1);
}

void logdrain_put(const char *line, size_t len)
{
	switch (mode_now()) {
	case MODE_DIRECT:
		write_all(line, len, 0);
		return;
	case MODE_DRAINED:
		put_drained(line, len);
		return;
	case MODE_CLOSED:
		metric_add(M_LOG_LINES_LOST, 1);
		return;
	}
}

void logdrain_last_words(const char *text, size_t len)
{
	struct timespec t = { .tv_nsec = LOOK_MS * 1000000L };
	for (unsigned ms = 0; mode_now() == MODE_DRAINED && ms < LOGDRAIN_LAST_WORDS_MS &&
	     __atomic_load_n(&drain.unwritten, __ATOMIC_ACQUIRE);
	     ms += LOOK_MS)
		nanosleep(&t, NULL);
	/* A pipe that takes something takes this much (PIPE_BUF). */
	if (wait_writable(LOGDRAIN_LAST_WORDS_MS))
		write_all(text, len, 0);
}
