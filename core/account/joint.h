/*
 * joint - the same work asked for by several at the same time is done once, over all loops.
 *
 *   joint_enter > *lead: does the work > joint_end: a result, or none
 *               > *seat: waits for it  > done(arg, result) > reads > joint_leave
 *                                      > done(arg, NULL): nothing came of it, ask again
 *
 * Who comes first leads, and does the work as if he were alone. Who comes meanwhile with the same
 * key has a seat, on whatever loop. A result is read by all at the same time, by each at its own
 * pace, and dropped on the leader's loop when the last one has left. Work that has ended is not
 * remembered: the next one to ask leads again.
 * A leader who is not interested any more looks at joint_waiting(): as long as there are seats the
 * work is theirs. unwanted tells when the last one has left before the end.
 *
 * Thread: a joint on the loop of its leader, a seat on the loop that asked. Messages between the
 * two only when they differ; without others one lock is taken twice.
 * Memory: a seat some 300 bytes and its key.
 */
#ifndef CORE_ACCOUNT_JOINT_H
#define CORE_ACCOUNT_JOINT_H

#include "core/rt/team.h"

struct joints; /* the book */
struct joint;
struct joint_seat;

/* What the work came to, part of its owner; never changed once it has been given to joint_end. */
struct joint_result {
	unsigned _readers;
	void (*drop)(struct joint_result *r); /* on the leader's loop, once */
};
struct joint_opts {
	const void *key;
	size_t key_len;
	void *arg;
	/*
	 * Of a seat, never inside joint_enter: the result lives until joint_leave. NULL: the seat
	 * is gone.
	 */
	void (*done)(void *arg, struct joint_result *r);
	void (*unwanted)(void *arg); /* of a leader: nobody waits any more */
};

struct joints *joints_create(struct team *t);
void joints_free(struct joints *b); /* nobody leads or waits; all messages have arrived */
/*
 * Sets one of both. Both NULL, which is rare: somebody does something else under the same hash, and
 * this one goes alone.
 */
void joint_enter(
    struct joints *b, const struct joint_opts *o, struct joint **lead, struct joint_seat **seat);
unsigned joint_waiting(const struct joint *s);
/*
 * The end of a lead. r may be NULL. The leader is a reader of r, too: joint_drop. NULL for s does
 * nothing.
 */
void joint_end(struct joint *s, struct joint_result *r);
void joint_drop(struct joint_result *r); /* the leader has read it */
/* Before or after done: no call comes any more, the result has been read. */
void joint_leave(struct joint_seat *s);

#endif
