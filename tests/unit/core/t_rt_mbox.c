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
	tap_ok(testteam_wait(&tt, 1, all_came, &want, 60000), "a loop runs every message");
	tap_is_u64(rx.wrong, 0, "in the order of each sender");
	testteam_stop(&tt);
	tap_is_u64(rx.came, want, "and none twice");
	senders_free(s);
}

static void wakes_only_when_empty(void)
{
	struct mbox *box;
	if (mbox_create(&box))
		exit(99);
	struct note a[3];
	for (unsigned i = 0; i < 3; i++) {
		a[i] = (struct note){ .msg.fn = note_came, .number = i };
		mbox_send(box, &a[i].msg);
	}
	uint64_t count = 0;
	tap_ok(
	    read(mbox_fd(box), &count, sizeof count) == sizeof count, "the descriptor is readable");
	tap_is_u64(count, 1, "three messages in a row wake the receiver once");
	struct mbox_msg *m = mbox_take(box);
	tap_ok(m == &a[0].msg && m->next == &a[1].msg && m->next->next == &a[2].msg &&
	        !m->next->next->next,
	    "and are taken in one go, oldest first");
	mbox_free(box);
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
	wakes_only_when_empty();
	plain_receiver();
	loop_receiver();
	freed_when_taken();
	return tap_done();
}
