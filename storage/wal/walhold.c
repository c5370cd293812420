/*
 * walhold - a copy of the log while it goes on (walog_hold in walog.h): the counter that keeps
 * segments, and the cut, which ends the newest one or says how far it is to be copied.
 *
 * The writer's side runs on its thread, at the end of each turn: what a cut waits for is that the
 * frames that were in the queue when it came are written, and that all of batch is synced.
 */
#include "core/base/arena.h"
#include "core/rt/loop.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walseg.h"

/*
 * So few are there when a cut ends the newest one: the next copy then has a segment of its own, and
 * a backup each day nothing of the log twice. With more the log would grow by a segment for each
 * copy, nearly empty, until the next round: 6 GiB for a hundred, which --retention.size counts.
 */
#define CUT_ENDS 2u

struct hold_msg { /* walog_unhold: the hold itself is the caller's again at once */
	struct mbox_msg msg;
	struct walog *w;
};

static void home(struct mbox_msg *msg)
{
	struct walog_hold *h = CONTAINER_OF(msg, struct walog_hold, _msg);
	h->done(h);
}

static void answer(struct walog_hold *h, enum err err)
{
	h->err = err;
	h->_msg.fn = home;
	loop_send(h->_from, &h->_msg);
}

static void hold_arrived(struct mbox_msg *msg)
{
	struct walog_hold *h = CONTAINER_OF(msg, struct walog_hold, _msg);
	h->_log->holds++;
	answer(h, ERR_OK);
}

static void unhold_arrived(struct mbox_msg *msg)
{
	struct hold_msg *m = CONTAINER_OF(msg, struct hold_msg, msg);
	CHECK(m->w->holds);
	m->w->holds--;
	mem_free(m);
}

static void cut_arrived(struct mbox_msg *msg)
{
	struct walog_hold *h = CONTAINER_OF(msg, struct walog_hold, _msg);
	struct walog *w = h->_log;
	CHECK(w->holds);
	list_add_tail(&w->cuts, &h->_link);
	w->cut_left = w->queue.count;
}

static void segs_name(const struct walog *w, struct walog_hold *h)
{
	h->slots = mem_array(NULL, w->segs_count + 1, sizeof(*h->slots));
	h->slots_count = 0;
	LIST_EACH(l, &w->segs)
		h->slots[h->slots_count++] = CONTAINER_OF(l, struct walog_seg, link)->slot;
	CHECK(!w->cur || h->slots[h->slots_count - 1] == w->cur->slot);
	h->last_bytes = w->cur ? w->cur->offset : 0;
}

bool walhold_wants_write(const struct walog *w)
{
	return !list_empty(&w->cuts) && w->cut_left;
}

bool walhold_wants_sync(const struct walog *w)
{
	return !list_empty(&w->cuts) && !w->cut_left && !w->unwritten && w->batch.first;
}

void walhold_poke(struct walog *w)
{
	if (list_empty(&w->cuts))
		return;
	bool ready = !w->cut_left && !w->unwritten && !w->batch.first;
	if (!ready && !w->state)
		return;
	/* Frames that cannot be written now may have been promised (interval, off). */
	enum err e = ready ? ERR_OK : w->state;
	if (!e && w->segs_count <= CUT_ENDS)
		w->cur = NULL; /* whole and synced: the next batch opens another one */
	struct list_link *l;
	while ((l = list_pop(&w->cuts))) {
		struct walog_hold *h = CONTAINER_OF(l, struct walog_hold, _link);
		if (!e)
			segs_name(w, h);
		answer(h, e);
	}
}

/* ---- on a loop ---- */

static void send(struct walog *w, struct walog_hold *h, void (*fn)(struct mbox_msg *msg))
{
	h->_log = w;
	h->_from = loop_here();
	h->_msg.fn = fn;
	mbox_send(w->mbox, &h->_msg);
}

void walog_hold(struct walog *w, struct walog_hold *h)
{
	h->slots = NULL;
	h->slots_count = 0;
	h->last_bytes = 0;
	send(w, h, hold_arrived);
}

void walog_cut(struct walog *w, struct walog_hold *h)
{
	send(w, h, cut_arrived);
}

void walog_unhold(struct walog *w, struct walog_hold *h)
{
	struct hold_msg *m = mem_alloc(sizeof(*m));
	*m = (struct hold_msg){ .msg.fn = unhold_arrived, .w = w };
	mem_free(h->slots);
	h->slots = NULL;
	mbox_send(w->mbox, &m->msg);
}

/* ---- on a worker ---- */

/* Its own head: it is a segment of so many bytes, and whole. */
static enum err part_fill(struct fsio_file *from, struct fsio_file *to, uint32_t slot, uint64_t bytes)
{
	struct walseg_reader r;
	enum err e = walseg_reader_open(&r, slot, from);
	r.head.size = bytes;
	if (!e)
		e = fsio_copy(from, to, bytes);
	if (!e)
		e = walseg_head_write(to, &r.head);
	walseg_reader_release(&r);
	return e ? e : fsio_sync(to);
}

static enum err part_copy(struct fsio_dir *from, struct fsio_dir *to, uint32_t slot, uint64_t bytes)
{
	char name[WALSEG_NAME_MAX];
	struct fsio_file *a, *b;
	walseg_name(slot, name);
	enum err e = fsio_open(from, name, FSIO_READ, &a);
	if (e)
		return e;
	e = fsio_open(to, name, FSIO_CREATE, &b);
	if (!e) {
		e = part_fill(a, b, slot, bytes);
		fsio_close(b);
	}
	fsio_close(a);
	return e;
}

enum err walog_hold_link(
    const struct walog_hold *h, size_t i, struct fsio_dir *log_dir, struct fsio_dir *to)
{
	char name[WALSEG_NAME_MAX];
	CHECK(i < h->slots_count);
	if (i + 1 == h->slots_count && h->last_bytes)
		return part_copy(log_dir, to, h->slots[i], h->last_bytes);
	walseg_name(h->slots[i], name);
	return fsio_link_to(log_dir, name, to, name);
}
