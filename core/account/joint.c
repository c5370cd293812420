/*
 * joint - a seat between its own loop and that of its leader, its home:
 *
 *   own                          home
 *   JOINS    --- join --->       found: in its list; else it is answered with nothing
 *   JOINS    <-- answer ---      when the work ends, or when it leaves before
 *   READS    --- over --->       the result has one reader less; freed
 *
 * join is always answered once. Who leaves before says so (leave), and frees the seat when the
 * answer is there: by a last message behind leave, so that home is not spoken to of a seat that is
 * gone. On one loop join, leave and over are calls; the answer is a message all the same, so that
 * nothing runs below its caller.
 */
#include "core/account/joint.h"

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/metric.h"
#include "core/base/roll.h"

#include <string.h>
#include <sys/random.h>

#define CHAINS 64u

struct joint {
	struct list_link link; /* of those of a hash, on the loop */
	struct joints *book;
	struct loop *loop;
	uint64_t hash;
	struct list_link seats;
	unsigned waiting;
	void (*unwanted)(void *arg);
	void *arg;
	size_t key_len;
	uint8_t key[];
};

struct joint_seat {
	struct mbox_msg msg, leave_msg, over_msg; /* msg: join and its answer */
	struct joints *book;
	struct loop *own, *home;
	/* own's */
	void (*done)(void *arg, struct joint_result *r);
	void *arg;
	bool answered, left;
	/* home's */
	struct list_link link;
	struct joint *joint; /* while it is in its list */
	/* written by home before it answers */
	struct joint_result *result;
	uint64_t hash;
	size_t key_len;
	uint8_t key[];
};

struct joints {
	struct team *team;
	uint64_t seed; /* nobody can choose a key that has the hash of another one's */
	struct roll *roll;
	struct list_link (*chains)[CHAINS]; /* by number of the loop; that loop's */
};

struct joints *joints_create(struct team *t)
{
	struct joints *b = mem_zalloc(sizeof(*b));
	unsigned loops = team_count(t);
	b->team = t;
	if (getrandom(&b->seed, sizeof(b->seed), GRND_NONBLOCK) != (ssize_t)sizeof(b->seed))
		b->seed = clock_real_mono_ns() ^ (uintptr_t)b;
	b->roll = roll_create();
	b->chains = mem_array(NULL, loops, sizeof(*b->chains));
	for (unsigned i = 0; i < loops; i++)
		for (unsigned c = 0; c < CHAINS; c++)
			list_init(&b->chains[i][c]);
	return b;
}

void joints_free(struct joints *b)
{
	if (!b)
		return;
	roll_free(b->roll);
	mem_free(b->chains);
	mem_free(b);
}

/* As a call when that loop is this one. */
static void send(struct loop *to, struct mbox_msg *m, void (*fn)(struct mbox_msg *m))
{
	m->fn = fn;
	if (to == loop_here())
		fn(m);
	else
		loop_send(to, m);
}

static struct list_link *chain_of(struct joints *b, uint64_t hash)
{
	return &b->chains[loop_index(loop_here())][hash % CHAINS];
}

static struct joint *find_here(struct joints *b, uint64_t hash, const void *key, size_t len)
{
	struct list_link *chain = chain_of(b, hash);

	LIST_EACH(l, chain) {
		struct joint *s = CONTAINER_OF(l, struct joint, link);
		if (s->hash == hash && s->key_len == len && !memcmp(s->key, key, len))
			return s;
	}
	return NULL;
}

/* --- at home --- */

/* The seat's answer; its own loop frees it from now on. */
static void answer(struct joint_seat *seat, struct joint_result *r);

static void unlist(struct joint_seat *seat)
{
	list_del(&seat->link);
	seat->joint->waiting--;
	seat->joint = NULL;
}

static void at_home_join(struct mbox_msg *m)
{
	struct joint_seat *seat = CONTAINER_OF(m, struct joint_seat, msg);
	struct joint *s = find_here(seat->book, seat->hash, seat->key, seat->key_len);

	if (!s) {
		answer(seat, NULL);
		return;
	}
	seat->joint = s;
	s->waiting++;
	list_add_tail(&s->seats, &seat->link);
}

static void at_home_leave(struct mbox_msg *m)
{
	struct joint_seat *seat = CONTAINER_OF(m, struct joint_seat, leave_msg);
	struct joint *s = seat->joint;

	if (!s) /* its answer is under way */
		return;
	unlist(seat);
	answer(seat, NULL);
	if (!s->waiting)
		s->unwanted(s->arg);
}

static void at_home_over(struct mbox_msg *m)
{
	struct joint_seat *seat = CONTAINER_OF(m, struct joint_seat, over_msg);
	struct joint_result *r = seat->result;

	mem_free(seat);
	if (r)
		joint_drop(r);
}

void joint_drop(struct joint_result *r)
{
	CHECK(r->_readers);
	if (!--r->_readers)
		r->drop(r);
}

/* --- on the loop that asked --- */

static void at_own_answer(struct mbox_msg *m)
{
	struct joint_seat *seat = CONTAINER_OF(m, struct joint_seat, msg);
	struct joint_result *r = seat->result;
	void (*done)(void *arg, struct joint_result *r) = seat->done;
	void *arg = seat->arg;

	loop_check_here(seat->own);
	seat->answered = true;
	if (seat->left) {
		send(seat->home, &seat->over_msg, at_home_over);
		return;
	}
	if (!r)
		mem_free(seat);
	done(arg, r);
}

static void answer(struct joint_seat *seat, struct joint_result *r)
{
	seat->result = r;
	seat->msg.fn = at_own_answer;
	loop_send(seat->own, &seat->msg);
}

void joint_leave(struct joint_seat *seat)
{
	loop_check_here(seat->own);
	CHECK(!seat->left);
	seat->left = true;
	if (seat->answered)
		send(seat->home, &seat->over_msg, at_home_over);
	else
		send(seat->home, &seat->leave_msg, at_home_leave);
}

/* --- entering and ending --- */

static struct joint_seat *sit_down(
    struct joints *b, const struct joint_opts *o, uint64_t hash, struct loop *home)
{
	struct joint_seat *seat = mem_zalloc(sizeof(*seat) + o->key_len);

	seat->book = b;
	seat->own = loop_here();
	seat->home = home;
	seat->done = o->done;
	seat->arg = o->arg;
	seat->hash = hash;
	seat->key_len = o->key_len;
	memcpy(seat->key, o->key, o->key_len);
	list_init(&seat->link);
	metric_add(M_QUERIES_SHARED, 1);
	send(home, &seat->msg, at_home_join);
	return seat;
}

static struct joint *take_lead(struct joints *b, const struct joint_opts *o, uint64_t hash)
{
	struct joint *s = mem_zalloc(sizeof(*s) + o->key_len);

	s->book = b;
	s->loop = loop_here();
	s->hash = hash;
	s->unwanted = o->unwanted;
	s->arg = o->arg;
	s->key_len = o->key_len;
	memcpy(s->key, o->key, o->key_len);
	list_init(&s->seats);
	list_add_head(chain_of(b, hash), &s->link);
	return s;
}

void joint_enter(
    struct joints *b, const struct joint_opts *o, struct joint **lead, struct joint_seat **seat)
{
	uint64_t hash = hash64(o->key, o->key_len, b->seed);
	uint32_t here = loop_index(loop_here());

	*lead = NULL;
	*seat = NULL;
	if (find_here(b, hash, o->key, o->key_len)) {
		*seat = sit_down(b, o, hash, loop_here());
		return;
	}
	uint32_t whose = roll_enter(b->roll, hash, here + 1);
	if (!whose)
		*lead = take_lead(b, o, hash);
	else if (whose != here + 1)
		*seat = sit_down(b, o, hash, team_loop(b->team, whose - 1));
}

unsigned joint_waiting(const struct joint *s)
{
	return s->waiting;
}

void joint_end(struct joint *s, struct joint_result *r)
{
	struct list_link *l;

	if (!s)
		return;
	loop_check_here(s->loop);
	list_del(&s->link);
	roll_leave(s->book->roll, s->hash);
	if (r)
		r->_readers = 1 + s->waiting;
	while ((l = list_pop(&s->seats))) {
		struct joint_seat *seat = CONTAINER_OF(l, struct joint_seat, link);
		seat->joint = NULL;
		answer(seat, r);
	}
	mem_free(s);
}
