/*
 * mbox - a Treiber stack that is only ever taken whole, so there is no ABA problem: a sender
 * pushes, the receiver swaps the head for NULL and turns the chain round.
 *
 * A receiver that is about to wait says so (sleeps), then looks at the head once more; a sender
 * that found the box empty pushes, then looks whether somebody sleeps. One of both sees the other
 * (all four are sequentially consistent), so no message is slept through, and a receiver that is
 * awake costs no system call. Who turns sleeps back to awake owes the wake-up: nobody else makes
 * one.
 * A sender that found the box empty may wake after its message could be taken already: it is
 * counted as inside until then, and mbox_free waits for it.
 * The descriptor of a loop is edge-triggered: it is never read.
 */
#include "core/rt/mbox.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base/metric.h"

/* Where the receiver waits. */
enum {
	AWAKE,
	AT_FD,  /* a loop, at the descriptor */
	AT_WORD /* a plain thread, at the word itself (a futex) */
};

struct mbox {
	_Alignas(CACHE_LINE) _Atomic(struct mbox_msg *) head; /* newest first */
	/* senders that may still touch the box although their message was taken */
	_Atomic uint32_t inside;
	_Atomic uint32_t sleeps;
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
	atomic_init(&m->sleeps, AWAKE);
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

static void wake_fd(const struct mbox *m)
{
	uint64_t one = 1;
	ssize_t n;
	do {
		n = write(m->fd, &one, sizeof one);
	} while (n < 0 && errno == EINTR);
	CHECK(n == (ssize_t)sizeof one); /* 2^64 wake-ups would fill the counter */
}

static void wake_word(struct mbox *m)
{
	CHECK(syscall(SYS_futex, &m->sleeps, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) >= 0);
}

/* Its receiver, if it sleeps and nobody else wakes it. */
static void wake(struct mbox *m)
{
	if (atomic_load_explicit(&m->sleeps, memory_order_seq_cst) == AWAKE)
		return;
	switch (atomic_exchange_explicit(&m->sleeps, AWAKE, memory_order_seq_cst)) {
	case AT_FD:
		wake_fd(m);
		return;
	case AT_WORD:
		wake_word(m);
		return;
	default:
		return;
	}
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
	    &m->head, &old, msg, memory_order_seq_cst, memory_order_relaxed));
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
	if (!mbox_any(m))
		return NULL;
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

/* False: something has come. */
static bool sleep_at(struct mbox *m, uint32_t where)
{
	atomic_store_explicit(&m->sleeps, where, memory_order_seq_cst);
	if (!atomic_load_explicit(&m->head, memory_order_seq_cst))
		return true;
	mbox_awake(m);
	return false;
}

bool mbox_sleep(struct mbox *m)
{
	return sleep_at(m, AT_FD);
}

void mbox_awake(struct mbox *m)
{
	atomic_store_explicit(&m->sleeps, AWAKE, memory_order_relaxed);
}

void mbox_wait(struct mbox *m, int timeout_ms)
{
	if (!timeout_ms || !sleep_at(m, AT_WORD))
		return;
	struct timespec t = { .tv_sec = timeout_ms / 1000,
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000 };
	long r = syscall(SYS_futex, &m->sleeps, FUTEX_WAIT_PRIVATE, AT_WORD,
	    timeout_ms < 0 ? NULL : &t, NULL, 0);
	CHECK(!r || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT);
	mbox_awake(m);
}

int mbox_fd(const struct mbox *m)
{
	return m->fd;
}
