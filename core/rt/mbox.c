/*
 * mbox - a Treiber stack that is only ever taken whole, so there is no ABA problem: a sender
 * pushes, the receiver swaps the head for NULL and turns the chain round.
 * A sender that found the box empty writes the eventfd after its message could be taken already: it
 * is counted as inside until then, and mbox_free waits for it.
 * Order: the receiver clears the eventfd before it takes; a message that comes in between is taken
 * now and its wake-up is a spurious one later.
 */
#include "core/rt/mbox.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/metric.h"

struct mbox {
	_Alignas(CACHE_LINE) _Atomic(struct mbox_msg *) head; /* newest first */
	/* senders that may still touch the box although their message was taken */
	_Atomic uint32_t inside;
	_Alignas(CACHE_LINE) int fd;
};

enum err mbox_create(struct mbox **out)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return err_of_errno(errno);
	void *p = NULL;
	if (posix_memalign(&p, CACHE_LINE, sizeof(struct mbox))) {
		close(fd);
		return ERR_NOMEM;
	}
	struct mbox *m = p;
	atomic_init(&m->head, NULL);
	atomic_init(&m->inside, 0);
	m->fd = fd;
	*out = m;
	return 0;
}

void mbox_free(struct mbox *m)
{
	if (!m)
		return;
	while (atomic_load_explicit(&m->inside, memory_order_acquire))
		sched_yield();
	close(m->fd);
	free(m);
}

static void wake(struct mbox *m)
{
	uint64_t one = 1;
	ssize_t n;
	do {
		n = write(m->fd, &one, sizeof one);
	} while (n < 0 && errno == EINTR);
	/* EAGAIN: the counter is full, so the descriptor is readable anyway. */
	CHECK(n == (ssize_t)sizeof one || errno == EAGAIN);
}

void mbox_send(struct mbox *m, struct mbox_msg *msg)
{
	struct mbox_msg *old = atomic_load_explicit(&m->head, memory_order_relaxed);
	bool inside = false;
	do {
		if (!old && !inside) {
			inside = true;
			atomic_fetch_add_explicit(&m->inside, 1, memory_order_relaxed);
		}
		msg->next = old;
	} while (!atomic_compare_exchange_weak_explicit(
	    &m->head, &old, msg, memory_order_release, memory_order_relaxed));
	/* From here on the message is the receiver's; the box too, unless this sender is inside. */
	metric_add(M_MBOX_SENT, 1);
	if (!old) /* else whoever found it empty wakes the receiver, which has not taken yet */
		wake(m);
	if (inside)
		atomic_fetch_sub_explicit(&m->inside, 1, memory_order_release);
}

bool mbox_any(const struct mbox *m)
{
	return atomic_load_explicit(&m->head, memory_order_relaxed) != NULL;
}

struct mbox_msg *mbox_take(struct mbox *m)
{
	uint64_t count;
	ssize_t n;
	do {
		n = read(m->fd, &count, sizeof count);
	} while (n < 0 && errno == EINTR);
	CHECK(n == (ssize_t)sizeof count || errno == EAGAIN);
	struct mbox_msg *newest = atomic_exchange_explicit(&m->head, NULL, memory_order_acquire);
	struct mbox_msg *oldest = NULL;
	while (newest) {
		struct mbox_msg *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

void mbox_wait(struct mbox *m, int timeout_ms)
{
	struct pollfd pfd = { .fd = m->fd, .events = POLLIN };
	int n = poll(&pfd, 1, timeout_ms);
	CHECK(n >= 0 || errno == EINTR);
}

int mbox_fd(const struct mbox *m)
{
	return m->fd;
}
