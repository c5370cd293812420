/*
 * The mailbox: nothing lost, nothing twice, order kept per sender, with a plain thread and with a
 * loop as the receiver.
 */
#include <pthread.h>
#include <stdlib.h>

#include "core/base/metric.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define SENDERS 4

static unsigned per_sender = 1000000;

struct note {
	struct mbox_msg msg;
	unsigned sender, number;
};

struct receiver {
	unsigned next[SENDERS];
	uint64_t came, wrong;
};

struct sender {
	pthread_t thread;
	unsigned index;
	struct mbox *box;
	struct loop *loop;
	struct note *notes;
};

static struct receiver rx;

static void note_came(struct mbox_msg *msg)
{
	struct note *n = CONTAINER_OF(msg, struct note, msg);
	if (n->number != rx.next[n->sender])
		rx.wrong++;
	rx.next[n->sender] = n->number + 1;
	rx.came++;
}

static void *sender_main(void *arg)
{
	struct sender *s = arg;
	for (unsigned i = 0; i < per_sender; i++) {
		s->notes[i] = (struct note){ .msg.fn = note_came, .sender = s->index, .number = i };
		if (s->box)
			mbox_send(s->box, &s->notes[i].msg);
		else
			loop_send(s->loop, &s->notes[i].msg);
	}
	return NULL;
}

static void senders_start(struct sender *s, struct mbox *box, struct loop *loop)
{
	memset(&rx, 0, sizeof rx);
	for (unsigned i = 0; i < SENDERS; i++) {
		s[i] = (struct sender){ .index = i, .box = box, .loop = loop };
		s[i].notes = calloc(per_sender, sizeof(struct note));
		if (pthread_create(&s[i].thread, NULL, sender_main, &s[i]))
			exit(99);
	}
}

static void senders_end(struct sender *s)
{
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(s[i].thread, NULL);
}

static void senders_free(struct sender *s)
{
	for (unsigned i = 0; i < SENDERS; i++)
		free(s[i].notes);
}

static void plain_receiver(void)
{
	struct mbox *box;
	if (!tap_ok(!mbox_create(&box), "a mailbox is created"))
		return;
	tap_ok(!mbox_take(box), "a new mailbox is empty");
	uint64_t want = (uint64_t)SENDERS * per_sender, takes = 0;
	struct sender s[SENDERS];
	senders_start(s, box, NULL);
	while (rx.came < want) {
		mbox_wait(box, 10000);
		struct mbox_msg *m = mbox_take(box);
		if (!m && takes++ > want)
			break;
		while (m) {
			struct mbox_msg *next = m->next;
			m->fn(m);
			m = next;
		}
	}
	senders_end(s);
	tap_is_u64(rx.came, want, "a plain thread receives every message of 4 senders");
	tap_is_u64(rx.wrong, 0, "in the order of each sender");
	tap_ok(!mbox_take(box), "and none twice");
	senders_free(s);
	mbox_free(box);
}

static bool all_came(void *arg)
{
	return rx.came == *(uint64_t *)arg;
}

static void loop_receiver(void)
{
	struct testteam tt;
	testteam_start(&tt, 2);
	uint64_t want = (uint64_t)SENDERS * per_sender;
	struct sender s[SENDERS];
	senders_start(s, NULL, testteam_loop(&tt, 1));
	senders_end(s);
	tap_ok(testteam_wait(&tt, 1, all_came, &want, TESTTEAM_LONG_MS), "a loop runs every message");
	tap_is_u64(rx.wrong, 0, "in the order of each sender");
	testteam_stop(&tt);
	tap_is_u64(rx.came, want, "and none twice");
	senders_free(s);
}

static uint64_t wakeups(struct mbox *box)
{
	uint64_t count = 0;
	return read(mbox_fd(box), &count, sizeof count) == sizeof count ? count : 0;
}

static void wakes_only_who_sleeps(void)
{
	struct mbox *box;
	if (mbox_create(&box))
		exit(99);
	struct note a[4];
	for (unsigned i = 0; i < 4; i++)
		a[i] = (struct note){ .msg.fn = note_came, .number = i };
	mbox_send(box, &a[0].msg);
	tap_is_u64(wakeups(box), 0, "a receiver that is awake is not woken");
	tap_ok(!mbox_sleep(box), "and does not go to sleep over a message");
	tap_ok(mbox_take(box) == &a[0].msg && !a[0].msg.next, "but takes it");
	tap_ok(mbox_sleep(box), "when nothing is there, it may");
	for (unsigned i = 1; i < 4; i++)
		mbox_send(box, &a[i].msg);
	tap_is_u64(wakeups(box), 1, "three messages in a row wake it once");
	mbox_awake(box);
	struct mbox_msg *m = mbox_take(box);
	tap_ok(m == &a[1].msg && m->next == &a[2].msg && m->next->next == &a[3].msg &&
	        !m->next->next->next,
	    "and are taken in one go, oldest first");
	tap_ok(mbox_sleep(box), "it sleeps again");
	mbox_awake(box);
	mbox_send(box, &a[0].msg);
	tap_is_u64(wakeups(box), 0, "one that woke by itself is not woken, either");
	mbox_wait(box, -1);
	tap_ok(mbox_take(box) == &a[0].msg, "a wait ends at once when something is there");
	mbox_wait(box, 1);
	tap_ok(!mbox_take(box), "and after its time when nothing comes");
	mbox_free(box);
}

/* A pair of threads that wake each other, message by message: none is slept through. */
struct pong {
	struct mbox *in, *out;
	unsigned rounds;
};

static void *pong_main(void *arg)
{
	struct pong *p = arg;
	for (unsigned i = 0; i < p->rounds; i++) {
		struct mbox_msg *m;
		while (!(m = mbox_take(p->in)))
			mbox_wait(p->in, -1);
		mbox_send(p->out, m);
	}
	return NULL;
}

static void ping_pong(void)
{
	struct pong p = { .rounds = 20000 };
	struct note ball = { 0 };
	pthread_t thread;
	if (mbox_create(&p.in) || mbox_create(&p.out) || pthread_create(&thread, NULL, pong_main, &p))
		exit(99);
	unsigned back = 0;
	for (unsigned i = 0; i < p.rounds; i++) {
		mbox_send(p.in, &ball.msg);
		while (!mbox_take(p.out))
			mbox_wait(p.out, -1);
		back++;
	}
	pthread_join(thread, NULL);
	tap_is_u64(back, p.rounds, "two threads that wait for each other wake each time");
	mbox_free(p.in);
	mbox_free(p.out);
}

/*
 * A box is freed as soon as its messages were taken, by polling: a sender may still be on its way
 * to the wake-up then.
 */
static void freed_when_taken(void)
{
	unsigned times = 2000;
	for (unsigned i = 0; i < times; i++) {
		struct mbox *box;
		if (mbox_create(&box))
			exit(99);
		struct note note = { 0 };
		struct sender s = { .box = box, .notes = &note };
		unsigned all = per_sender;
		per_sender = 1;
		if (pthread_create(&s.thread, NULL, sender_main, &s))
			exit(99);
		while (!mbox_take(box)) {
		}
		mbox_free(box);
		pthread_join(s.thread, NULL);
		per_sender = all;
	}
	tap_ok(true, "%u boxes were freed right after their message was taken", times);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		per_sender = (unsigned)strtoul(argv[1], NULL, 10);
	wakes_only_who_sleeps();
	ping_pong();
	plain_receiver();
	loop_receiver();
	freed_when_taken();
	return tap_done();
}
