/*
 * mbox - a mailbox: many threads send, one receives. The only way data crosses threads (with
 * core/rt/work built on it).
 *
 * Intrusive: the sender embeds a struct mbox_msg and owns nothing of it after mbox_send() until the
 * receiver sends it home or says so.
 * A lock-free push; the wake-up (a system call) happens only when the box was empty and its
 * receiver sleeps. The receiver takes all of it in one go, in order of arrival per sender.
 * A loop's mailbox is drained by core/rt/loop, which calls msg->fn(msg) on the loop; a plain thread
 * (the log writer) owns a mbox and calls mbox_wait/mbox_take itself.
 * Cost: a push some 10 ns, a wake-up some 2 us.
 */
#ifndef CORE_RT_MBOX_H
#define CORE_RT_MBOX_H

#include "core/base/err.h"

struct mbox_msg {
	struct mbox_msg *next;
	void (*fn)(
	    /* typed receiver; runs on the receiving thread (loops call it, plain threads may) */
	    struct mbox_msg *msg);
};
struct mbox;

MUST_CHECK enum err mbox_create(struct mbox **out);
/*
 * By the receiver, when nobody begins to send any more; waits for senders that are not quite out of
 * mbox_send yet.
 */
void mbox_free(struct mbox *m);
void mbox_send(struct mbox *m, struct mbox_msg *msg); /* any thread */
struct mbox_msg *mbox_take(
    struct mbox *m); /* receiver: all messages in order, linked by next; NULL when empty */
void mbox_wait(struct mbox *m,
    int timeout_ms); /* receiver without a loop: until something came, -1 = for ever */
bool mbox_any(const struct mbox *m); /* receiver: has something come? */
/*
 * For a receiver that waits for other things, too: before it waits at mbox_fd, and after it. False:
 * something has come, it is not to wait. The descriptor is told when something comes after that; it
 * is for edge-triggered events and never cleared.
 */
MUST_CHECK bool mbox_sleep(struct mbox *m);
void mbox_awake(struct mbox *m);
int mbox_fd(const struct mbox *m);

#endif
