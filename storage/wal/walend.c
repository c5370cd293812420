/*
 * walend - the log as a loop sees it: frames it fills and hands over, positions it waits for,
 * frames that come home and are kept for reuse. What the writer does with them is walog.c.
 */
#include <string.h>

#include "core/base/arena.h"
#include "core/rt/loop.h"
#include "core/rt/mbox.h"
#include "storage/wal/walog_priv.h"

#define POOL_BYTES     (8u << 20) /* frames kept by a loop for reuse */
#define POOL_FRAME_MAX (1u << 20) /* larger payloads are freed */
/* so much goes to the writer at once: nothing is gained by waiting for more */
#define OUT_BYTES (1u << 20)

static struct walog_end *end_here(const struct walog *w)
{
	struct loop *l = loop_here();
	CHECK(l);
	return &w->ends[loop_index(l)];
}

struct walog_frame *walog_frame(struct walog *w)
{
	struct walog_end *e = end_here(w);
	struct walog_frame *f = e->pool;
	if (!f)
		return mem_zalloc(sizeof(*f));
	e->pool = f->_next;
	e->pool_bytes -= sizeof(*f) + f->payload.cap;
	f->_next = NULL;
	return f;
}

void walog_frame_free(struct walog_frame *f)
{
	buf_release(&f->payload);
	mem_free(f);
}

static void pool_put(struct walog_end *e, struct walog_frame *f)
{
	if (f->payload.cap > POOL_FRAME_MAX)
		buf_release(&f->payload);
	uint64_t bytes = sizeof(*f) + f->payload.cap;
	if (e->pool_bytes + bytes > pool_keep(POOL_BYTES)) {
		walog_frame_free(f);
		return;
	}
	buf_clear(&f->payload);
	f->_seq = 0;
	f->_next = e->pool;
	e->pool = f;
	e->pool_bytes += bytes;
}

/* The zeroes behind the payload are written with it. */
void walog_frame_pad(struct walog_frame *f)
{
	f->_len = (uint32_t)f->payload.len;
	CHECK(buf_reserve(&f->payload, WALSEG_ALIGN));
	memset(f->payload.data + f->payload.len, 0, WALSEG_ALIGN);
}

static void out_send(struct walog_end *e)
{
	struct walog_frame *f = e->out;
	if (!f)
		return;
	list_del(&e->out_work.link);
	e->out = e->out_last = NULL;
	e->out_now_bytes = 0;
	e->sent = e->handed;
	mbox_send(e->w->mbox, &f->_msg); /* they belong to the writer now */
}

static void out_idle(struct loop_deferred *d)
{
	struct walog_end *e = CONTAINER_OF(d, struct walog_end, out_work);
	list_init(&d->link); /* off its list already */
	out_send(e);
}

void walog_end_init(struct walog *w, struct walog_end *e)
{
	e->w = w;
	e->out_work.fn = out_idle;
}

void walog_end_flush(void *walog)
{
	out_send(end_here(walog));
}

/*
 * Frames that come while the writer syncs earlier ones of this loop go together, when it has
 * reported:
 * one wake-up, and one sync if they can. While it has none of them, those of this turn go at its
 * end.
 */
static void out_add(struct walog_end *e, struct walog_frame *f)
{
	f->_next = NULL;
	if (e->out)
		e->out_last->_next = f;
	else
		e->out = f;
	if (e->out == f && e->sent > e->durable)
		loop_idle(loop_here(), &e->out_work);
	else if (e->out == f)
		loop_defer(loop_here(), &e->out_work);
	e->out_last = f;
	e->out_now_bytes += f->_len;
	if (e->out_now_bytes >= OUT_BYTES)
		out_send(e);
}

uint64_t walog_submit(struct walog *w, struct walog_frame *take_f)
{
	struct walog_frame *f = take_f;
	struct walog_end *e = end_here(w);
	CHECK(f->payload.len > 0);
	CHECK(f->payload.len <= WALSEG_PAYLOAD_MAX);
	walog_frame_pad(f);
	f->_loop = (uint16_t)(e - w->ends);
	f->_msg.fn = walog_frame_arrived;
	f->_log = w;
	e->out_bytes += f->_len;
	uint64_t position = ++e->handed;
	out_add(e, f);
	return position;
}

uint64_t walog_handed(const struct walog *w)
{
	return end_here(w)->handed;
}

uint64_t walog_durable(const struct walog *w)
{
	return end_here(w)->durable;
}

enum err walog_state(const struct walog *w)
{
	return end_here(w)->state;
}

bool walog_room(const struct walog *w, uint64_t bytes)
{
	const struct walog_end *e = end_here(w);
	return e->out_bytes == 0 || e->out_bytes + bytes <= w->share_bytes;
}

void walog_complete(struct walog *w, uint32_t shard, uint64_t complete_to)
{
	CHECK(shard < WALREC_SHARDS_MAX);
	struct walog_complete_msg *m = mem_alloc(sizeof(*m));
	*m = (struct walog_complete_msg){
		.msg.fn = walog_complete_arrived, .w = w, .shard = shard, .complete_to = complete_to
	};
	mbox_send(w->mbox, &m->msg);
}

void walog_report_arrived(struct mbox_msg *msg)
{
	struct walog_report_msg *m = CONTAINER_OF(msg, struct walog_report_msg, msg);
	struct walog *w = m->w;
	struct walog_end *e = &w->ends[m->loop];
	CHECK(m->report.durable >= e->durable);
	e->durable = m->report.durable;
	e->state = m->report.state;
	if (e->durable >= e->sent)
		out_send(e);
	for (struct walog_frame *f = m->home, *next; f; f = next) {
		next = f->_next;
		CHECK(e->out_bytes >= f->_len);
		e->out_bytes -= f->_len;
		pool_put(e, f);
	}
	if (w->on_report)
		w->on_report(w->arg, m->loop, &m->report);
	mem_free(m);
}
