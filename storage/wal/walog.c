/*
 * The way of a frame through the writer:
 *
 *   walog_submit > queue > batch ---- written, synced ----> durable, goes home
 *                            |  a write or sync failed, or a new segment is due
 *                            +--> segment_open: spare, all of batch, sync, head, sync
 *                                                     ----> durable, goes home
 *
 * batch holds, in order of sequence, all frames not known to be synced; the first batch_written of
 * them stand in the current segment. In sync mode commit it is one group.
 * In the other modes a frame goes home early (promised) and a copy that took over its payload
 * ("kept") stays behind in its place.
 * No segment is continued after a restart: the first batch opens a new one.
 */
#include "storage/wal/walog.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/list.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/rt/thread.h"
#include "storage/wal/replay.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walprep.h"
#include "storage/wal/walrec.h"
#include "storage/wal/walseg.h"

/* of one sync: so much takes some 20 ms, longer groups would only add latency */
#define BATCH_BYTES (16u << 20)
/* copies kept in modes interval and off before a sync comes early */
#define UNSYNCED_BYTES (16u << 20)
#define LAZY_BYTES     (1u << 20) /* mode off: written when so much has come, ... */
#define LAZY_MS        500        /* ... or after this time, well under the promised second */
#define FAILURES_NS    UINT64_C(60000000000)
#define PROBE_NS       UINT64_C(60000000000) /* read-only: after so long it is tried again */
#define PREPARE_NS     UINT64_C(50000000) /* when a segment could not be made; then twice as long */
#define STAGE_BYTES    (1u << 20)         /* one write; more than usual batches have */
#define MS             UINT64_C(1000000)
#define LOOPS_MAX      1024u

unsigned walog_broken, walog_retry_ms = 1000;

/* ---- Reports ---- */

static void peers_tell(struct walog *w)
{
	for (unsigned i = 0; i < w->loops; i++) {
		struct walog_peer *p = &w->peers[i];
		if (!p->news && !w->state_news)
			continue;
		struct walog_report_msg *m = mem_alloc(sizeof(*m));
		*m = (struct walog_report_msg){
			.msg.fn = walog_report_arrived, .w = w, .loop = i, .home = p->home
		};
		m->report = (struct walog_report){ .durable = p->durable,
			.failed = p->err ? p->failed : 0,
			.err = p->err,
			.state = w->state,
			.held_bytes = w->held_bytes,
			.backlog_bytes = w->queue.bytes + w->unwritten_bytes };
		p->home = NULL;
		p->err = ERR_OK;
		p->news = false;
		loop_send(team_loop(w->team, i), &m->msg);
	}
	w->state_news = false;
}

static void state_set(struct walog *w, enum err state)
{
	if (w->state == state)
		return;
	w->state = state;
	w->state_news = true;
	if (state)
		LOG_ERROR(
		    "log_state", "state=\"%s\" dir=\"%s\"", err_text(state), fsio_dir_path(w->dir));
	else
		LOG_INFO("log_state", "state=ok dir=\"%s\"", fsio_dir_path(w->dir));
}

static void frame_home(struct walog *w, struct walog_frame *f)
{
	struct walog_peer *p = &w->peers[f->_loop];
	f->_next = p->home;
	p->home = f;
	p->news = true;
}

/* What the sync mode promises holds for f. */
static void frame_promise(struct walog *w, struct walog_frame *f)
{
	w->peers[f->_loop].durable++;
	frame_home(w, f);
}

static void promised_home(struct walog *w)
{
	for (struct walog_frame *f; (f = frame_list_take(&w->promised));)
		frame_promise(w, f);
}

/* The payload moves to a copy that stays with the writer; f is only a sign any more. */
static struct walog_frame *frame_keep(struct walog_frame *f)
{
	struct walog_frame *kept = mem_alloc(sizeof(*kept));
	*kept = *f;
	kept->_kept = 1;
	buf_init(&f->payload);
	return kept;
}

/* Requests that wait for frames of the list are to be failed. */
static void list_fail(struct walog *w, const struct frame_list *l, enum err err)
{
	for (const struct walog_frame *f = l->first; f; f = f->_next) {
		if (f->_kept)
			continue;
		struct walog_peer *p = &w->peers[f->_loop];
		if (!p->err)
			p->failed = p->durable;
		p->failed++;
		p->err = err;
		p->news = true;
	}
}

/* All that wait for anything are to be failed. */
static void peers_fail(struct walog *w, enum err err)
{
	for (unsigned i = 0; i < w->loops; i++) {
		struct walog_peer *p = &w->peers[i];
		if (p->taken == p->durable || p->failed == p->taken)
			continue;
		p->failed = p->taken;
		p->err = err;
		p->news = true;
	}
}

/* Nothing will be written any more: all frames go home, none durable. */
static void all_refuse(struct walog *w, enum err err)
{
	struct frame_list *lists[] = { &w->batch, &w->promised, &w->queue };
	peers_fail(w, err);
	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		for (struct walog_frame *f; (f = frame_list_take(lists[i]));) {
			if (f->_kept)
				walog_frame_free(f);
			else
				frame_home(w, f);
		}
	}
	w->unwritten = NULL;
	w->unwritten_bytes = 0;
	w->need_bytes = 0;
	w->sync_due_ns = w->write_due_ns = 0;
}

/* ---- Segments ---- */

static void tops_note(struct walog_seg *s, const struct walog_frame *f)
{
	struct walrec_groups it;
	struct walrec_group g;
	walrec_groups_init(&it, f->payload.data, f->_len);
	while (walrec_groups_next(&it, &g))
		walog_tops_raise(&s->tops, &s->tops_count, g.shard, g.number);
	CHECK(!it.err);
}

static void seg_add(struct walog *w, struct walog_seg *s)
{
	list_add_tail(&w->segs, &s->link);
	w->segs_count++;
	w->held_bytes += s->bytes;
}

static void seg_free(struct walog_seg *s)
{
	mem_free(s->tops);
	mem_free(s);
}

static bool seg_is_free(const struct walog *w, const struct walog_seg *s)
{
	if (s == w->cur)
		return false;
	for (uint32_t i = 0; i < s->tops_count; i++) {
		if (s->tops[i] > w->complete[i])
			return false;
	}
	return true;
}

/* The rule "Free", and (4): an older segment that is still needed keeps the younger ones. */
static void segs_release(struct walog *w)
{
	if (w->holds && walog_holds(WALOG_BREAK_HOLD))
		return;
	LIST_EACH_SAFE(l, next, &w->segs) {
		struct walog_seg *s = CONTAINER_OF(l, struct walog_seg, link);
		if (!seg_is_free(w, s)) {
			if (walog_holds(WALOG_BREAK_FREE_ORDER))
				return;
			continue;
		}
		list_del(&s->link);
		w->state_news = true; /* held_bytes has changed */
		w->segs_count--;
		CHECK(w->held_bytes >= s->bytes);
		w->held_bytes -= s->bytes;
		walprep_give(w->prep, s->slot, s->file, s->how);
		seg_free(s);
	}
}

static enum err seg_sync(struct walog_seg *s)
{
	uint64_t from = clock_real_mono_ns();
	enum err e = fsio_sync(s->file);
	metric_observe_ns(M_LOG_SYNC, clock_real_mono_ns() - from);
	return e;
}

/*
 * In mode commit each write is a commit: blocks of its own (walseg.h). In the others the page cache
 * gathers what several writes bring.
 */
static bool ends_blocks(const struct walog *w)
{
	return w->sync == WALOG_SYNC_COMMIT && walog_holds(WALOG_BREAK_BLOCKS);
}

/* A write that fails is tried once more, from where it began: the bytes are the same. */
static enum err stage_write(struct walog *w, struct walog_seg *s)
{
	enum err e = fsio_write_at(s->file, w->stage, w->stage_len, w->stage_at);
	if (e && e != ERR_NOSPACE)
		e = fsio_write_at(s->file, w->stage, w->stage_len, w->stage_at);
	w->stage_at += w->stage_len;
	w->stage_len = 0;
	return e;
}

static enum err stage_put(struct walog *w, struct walog_seg *s, const void *data, size_t len)
{
	enum err e = ERR_OK;
	for (const uint8_t *p = data; !e && len;) {
		size_t n = STAGE_BYTES - w->stage_len;
		n = n < len ? n : len;
		memcpy(w->stage + w->stage_len, p, n);
		w->stage_len += n;
		p += n;
		len -= n;
		if (w->stage_len == STAGE_BYTES)
			e = stage_write(w, s);
	}
	return e;
}

/* What stands in the stage is all that is to be synced. */
static enum err stage_commit(struct walog *w, struct walog_seg *s)
{
	uint64_t from = clock_real_mono_ns();
	enum err e = fsio_write_sync(s->file, w->stage, w->stage_len, w->stage_at);
	if (e && e != ERR_NOSPACE && e != ERR_SYNC)
		e = fsio_write_sync(s->file, w->stage, w->stage_len, w->stage_at);
	metric_observe_ns(M_LOG_SYNC, clock_real_mono_ns() - from);
	w->stage_at += w->stage_len;
	w->stage_len = 0;
	return e;
}

/* Zeroes up to the end of the block, and out with the rest. from: where the first piece stands. */
static enum err stage_end(struct walog *w, struct walog_seg *s, uint64_t from, bool commit)
{
	if (ends_blocks(w)) {
		size_t end = (size_t)walseg_block_end(w->stage_len);
		memset(w->stage + w->stage_len, 0, end - w->stage_len);
		w->stage_len = end;
	}
	if (commit && w->stage_at == from)
		return stage_commit(w, s);
	enum err e = w->stage_len ? stage_write(w, s) : ERR_OK;
	return e || !commit ? e : seg_sync(s);
}

static enum err frame_write(struct walog *w, struct walog_seg *s, struct walog_frame *f)
{
	uint8_t head[WALSEG_FRAME_BYTES];
	uint64_t space = walseg_frame_space(f->_len);
	CHECK(s->size - s->offset >= space);
	if (!f->_seq)
		f->_seq = w->next_seq++;
	(f->_next || !ends_blocks(w) ? walseg_frame_put : walseg_frame_put_last)(
	    head, s->salt_crc, f->_seq, w->synced, f->payload.data, f->_len);
	tops_note(s, f);
	s->offset += space;
	enum err e = stage_put(w, s, head, sizeof(head));
	return e ? e : stage_put(w, s, f->payload.data, (size_t)space - sizeof(head));
}

/* Puts the unwritten frames of batch behind what the segment holds. commit: and syncs them. */
static enum err seg_write(struct walog *w, struct walog_seg *s, bool commit)
{
	uint64_t frames = 0, from = s->offset;
	enum err e = ERR_OK;
	w->stage_at = from;
	w->stage_len = 0;
	for (struct walog_frame *f = w->unwritten; !e && f; f = f->_next) {
		e = frame_write(w, s, f);
		frames++;
	}
	if (!e)
		e = stage_end(w, s, from, commit);
	if (e)
		return e;
	s->offset = w->stage_at;
	uint64_t bytes = s->offset - from;
	s->bytes += bytes;
	if (s == w->cur) /* a new one is counted when it joins the others */
		w->held_bytes += bytes;
	w->unwritten = NULL;
	w->unwritten_bytes = 0;
	metric_add(M_LOG_FRAMES, frames);
	metric_add(M_LOG_BYTES, bytes);
	return ERR_OK;
}

/* What of batch stands in the current segment is durable. */
static void batch_synced(struct walog *w)
{
	while (w->batch.first != w->unwritten) {
		struct walog_frame *f = frame_list_take(&w->batch);
		w->synced = f->_seq;
		if (f->_kept)
			walog_frame_free(f);
		else
			frame_promise(w, f);
	}
	w->sync_due_ns = 0;
}

/* The third failure within a minute. */
static bool failed_often(struct walog *w, uint64_t now)
{
	memmove(w->failed_ns, w->failed_ns + 1, sizeof(w->failed_ns) - sizeof(w->failed_ns[0]));
	w->failed_ns[WALOG_FAILURES - 1] = now;
	return w->failed_ns[0] && now - w->failed_ns[0] < FAILURES_NS;
}

static void readonly_begin(struct walog *w, uint64_t now)
{
	state_set(w, ERR_READONLY);
	w->probe_ns = now + w->probe_every_ns;
	peers_fail(w, ERR_READONLY);
}

/* Something was written and synced: whatever was the matter has passed. */
static void well_again(struct walog *w)
{
	w->prepare_ns = w->spare_next_ns = 0;
	if (w->state == ERR_READONLY)
		memset(w->failed_ns, 0, sizeof(w->failed_ns));
	state_set(w, ERR_OK);
}

/*
 * A write or sync failed: the current segment is closed for good, its batch has to be written
 * again. Those who wait are told now, the rest may take its time. After the third failure within
 * a minute nothing is tried for some time; no space is a state of its own.
 */
static void failed(struct walog *w, enum err err, const char *what)
{
	metric_add(M_LOG_FAILURES, 1);
	LOG_ERROR("log_failed", "what=%s err=\"%s\" segment=%08x", what, err_why(err),
	    w->cur ? w->cur->slot : 0);
	if (w->cur)
		w->cur->how = WALPREP_REMOVE;
	w->cur = NULL;
	w->unwritten = w->batch.first;
	w->unwritten_bytes = w->batch.bytes;
	w->sync_due_ns = 0;
	uint64_t now = clock_real_mono_ns();
	if (w->state == ERR_READONLY) {
		readonly_begin(w, now);
		return;
	}
	if (err == ERR_NOSPACE) {
		w->spare_next_ns = now + (walog_retry_ms * MS);
		state_set(w, ERR_NOSPACE);
		peers_fail(w, ERR_NOSPACE);
		return;
	}
	if (failed_often(w, now)) {
		readonly_begin(w, now);
		return;
	}
	list_fail(w, &w->promised, ERR_LOGFAILED);
	list_fail(w, &w->batch, ERR_LOGFAILED);
	peers_tell(w);
	if (!walog_holds(WALOG_BREAK_KEEP_FAILED)) {
		w->unwritten = NULL;
		w->unwritten_bytes = w->need_bytes = 0;
		batch_synced(w);
	}
}

/*
 * No spare could be made: nothing was written, so nothing is wrong with what is there. It is tried
 * again after a pause, and as long as somebody waits for it no new writes are taken.
 */
static void prepare_failed(struct walog *w, enum err err)
{
	uint64_t now = clock_real_mono_ns();
	metric_add(M_LOG_PREPARE_FAILURES, 1);
	LOG_EVERY(LOG_LEVEL_WARN, "log_prepare", "err=\"%s\" dir=\"%s\"", w->ready.why,
	    fsio_dir_path(w->dir));
	w->prepare_ns = w->prepare_ns ? 2 * w->prepare_ns : PREPARE_NS;
	if (w->prepare_ns > (walog_retry_ms * MS) || err == ERR_NOSPACE)
		w->prepare_ns = (walog_retry_ms * MS);
	w->spare_next_ns = now + w->prepare_ns;
	if (!w->need_bytes)
		return;
	if (w->state == ERR_READONLY) {
		readonly_begin(w, now);
		return;
	}
	state_set(w, err == ERR_NOSPACE ? ERR_NOSPACE : ERR_BUSY);
	peers_fail(w, w->state);
}

static uint64_t salt_new(void)
{
	uint64_t salt = 0;
	if (!walog_holds(WALOG_BREAK_NEW_SALT))
		return 1;
	while (getrandom(&salt, sizeof(salt), 0) != (ssize_t)sizeof(salt) || salt == 0)
		; /* eight bytes come whole once the kernel is seeded; a signal may interrupt */
	return salt;
}

static enum err head_commit(struct walog_seg *s, const struct walseg_head *head)
{
	enum err e = walseg_head_write(s->file, head);
	return e ? e : seg_sync(s);
}

/*
 * Puts all of batch into the spare and makes it the current segment: frames, sync, head, sync. The
 * one path of "Commit" (storage/README.md) for a new segment, a failed sync and the end of
 * recovery.
 */
static enum err segment_open(struct walog *w)
{
	CHECK(w->spare.file);
	CHECK(w->batch.first && w->unwritten == w->batch.first);
	struct walog_seg *s = mem_alloc(sizeof(*s));
	*s = (struct walog_seg){ .file = w->spare.file,
		.slot = w->spare.slot,
		.size = w->spare.bytes,
		.offset = WALSEG_DATA,
		.order = w->next_order++ };
	w->spare = (struct walprep_spare){ 0 };
	if (!w->batch.first->_seq)
		w->batch.first->_seq = w->next_seq++;
	struct walseg_head head = { .slot = s->slot,
		.order = s->order,
		.salt = salt_new(),
		.first_seq = w->batch.first->_seq,
		.prev_end = w->synced,
		.size = s->size };
	s->salt_crc = walseg_salt_crc(head.salt);
	bool last = walog_holds(WALOG_BREAK_HEADER_LAST);
	enum err e = last ? ERR_OK : head_commit(s, &head);
	if (!e)
		e = seg_write(w, s, true);
	if (e && last) { /* it has no head: it does not exist */
		walprep_give(w->prep, s->slot, s->file, WALPREP_REMOVE);
		seg_free(s);
		return e;
	}
	if (last)
		e = head_commit(s, &head);
	seg_add(w, s);
	if (e) { /* the head may be there or not: a segment that is closed for good */
		s->how = WALPREP_REMOVE;
		return e;
	}
	w->cur = s;
	batch_synced(w);
	promised_home(w);
	return ERR_OK;
}

/* ---- The writer's turn ---- */

static bool lazy(const struct walog *w)
{
	return w->sync != WALOG_SYNC_COMMIT || !walog_holds(WALOG_BREAK_ACK_AFTER_SYNC);
}

static void frame_take(struct walog *w, struct walog_frame *f)
{
	w->peers[f->_loop].taken++;
	/* Mode off promises at once, as long as this cannot fill the memory. */
	if (w->sync == WALOG_SYNC_OFF && !w->state && w->queue.bytes < UNSYNCED_BYTES &&
	    !w->promised.first && w->queue_promised == w->queue.count) {
		struct walog_frame *kept = frame_keep(f);
		frame_promise(w, f);
		w->queue_promised++;
		f = kept;
	}
	frame_list_push(&w->queue, f);
	if (w->sync == WALOG_SYNC_OFF && !w->write_due_ns)
		w->write_due_ns = clock_real_mono_ns() + LAZY_MS * MS;
}

/* One of a chain that a loop sends. */
void walog_frame_arrived(struct mbox_msg *msg)
{
	for (struct walog_frame *f = CONTAINER_OF(msg, struct walog_frame, _msg), *next; f; f = next) {
		next = f->_next;
		frame_take(f->_log, f);
	}
}

void walog_complete_arrived(struct mbox_msg *msg)
{
	struct walog_complete_msg *m = CONTAINER_OF(msg, struct walog_complete_msg, msg);
	uint64_t *to = &m->w->complete[m->shard];
	if (m->complete_to > *to)
		*to = m->complete_to;
	mem_free(m);
}

static void stop_arrived(struct mbox_msg *msg)
{
	struct walog *w = CONTAINER_OF(msg, struct walog, stop_msg);
	w->stopping = true;
}

static void ready_arrived(struct mbox_msg *msg)
{
	struct walprep_ready *r = CONTAINER_OF(msg, struct walprep_ready, msg);
	struct walog *w = r->arg;
	w->asked = false;
	if (r->err) {
		prepare_failed(w, r->err);
		return;
	}
	w->spare = r->spare;
	w->spare_next_ns = w->prepare_ns = 0;
}

/*
 * Moves frames from queue to batch: as many as one sync should cover, and as the current segment
 * has room for.
 */
static void batch_fill(struct walog *w)
{
	uint64_t room = w->cur ? w->cur->size - w->cur->offset : 0;
	if (w->queue.first && w->unwritten_bytes + walseg_frame_space(w->queue.first->_len) > room)
		room = w->segment_bytes - WALSEG_DATA; /* it will be a new one */
	while (w->queue.first) {
		uint64_t space = walseg_frame_space(w->queue.first->_len);
		if (w->unwritten_bytes &&
		    (w->unwritten_bytes + space > room || w->unwritten_bytes + space > BATCH_BYTES))
			break;
		struct walog_frame *f = frame_list_take(&w->queue);
		w->cut_left -= w->cut_left > 0;
		if (f->_kept) {
			w->queue_promised--;
		} else if (lazy(w)) {
			struct walog_frame *kept = frame_keep(f);
			frame_list_push(&w->promised, f);
			f = kept;
		}
		frame_list_push(&w->batch, f);
		w->unwritten_bytes += space;
		if (!w->unwritten)
			w->unwritten = f;
	}
	if (!w->queue.first)
		w->write_due_ns = 0;
}

static void spare_ask(struct walog *w)
{
	if (w->spare.file && w->need_bytes > w->spare.bytes) {
		walprep_give(w->prep, w->spare.slot, w->spare.file, WALPREP_REUSE);
		w->spare = (struct walprep_spare){ 0 };
	}
	if (w->spare.file || w->asked || clock_real_mono_ns() < w->spare_next_ns)
		return;
	w->asked = true;
	w->ready = (struct walprep_ready){ .msg.fn = ready_arrived, .arg = w };
	walprep_ask(w->prep, w->need_bytes, w->mbox, &w->ready);
}

static void batch_sync(struct walog *w)
{
	enum err e = seg_sync(w->cur);
	if (e)
		failed(w, e, "sync");
	else
		batch_synced(w);
}

/* The unwritten frames need a new segment. False: there is no spare yet. */
static bool batch_switch(struct walog *w)
{
	/* prev_end of the new one says what is synced: that must be all the old one holds. */
	if (w->cur && w->batch.first != w->unwritten) {
		batch_sync(w);
		return true;
	}
	if (!w->need_bytes && !w->state)
		w->spare_next_ns = 0; /* now somebody waits for it */
	w->need_bytes = WALSEG_DATA + w->batch.bytes;
	spare_ask(w);
	if (!w->spare.file)
		return false;
	w->need_bytes = 0;
	enum err e = segment_open(w);
	if (e)
		failed(w, e, "segment");
	else
		well_again(w);
	return true;
}

static void batch_write(struct walog *w)
{
	enum err e = seg_write(w, w->cur, !lazy(w));
	if (e) {
		failed(w, e, lazy(w) ? "write" : "write or sync");
		return;
	}
	if (!lazy(w)) {
		batch_synced(w);
		return;
	}
	promised_home(w);
	if (!walog_holds(WALOG_BREAK_ACK_AFTER_SYNC)) {
		peers_tell(w);
		batch_sync(w);
		return;
	}
	if (!w->sync_due_ns && w->sync == WALOG_SYNC_INTERVAL)
		w->sync_due_ns = clock_real_mono_ns() + w->interval_ns;
	if (w->batch.bytes >= UNSYNCED_BYTES)
		batch_sync(w);
}

static bool write_is_due(const struct walog *w)
{
	if (w->sync != WALOG_SYNC_OFF || w->stopping || w->queue.bytes >= LAZY_BYTES ||
	    w->queue_promised < w->queue.count || walhold_wants_write(w))
		return true;
	return w->write_due_ns && clock_real_mono_ns() >= w->write_due_ns;
}

/* A mark carries only a sequence and what is synced. */
static void mark_add(struct walog *w)
{
	struct walog_frame *mark = mem_zalloc(sizeof(*mark));
	mark->_kept = 1;
	frame_list_push(&w->batch, mark);
	w->unwritten = mark;
	w->unwritten_bytes = w->batch.bytes;
}

/*
 * Read-only is not for ever: from time to time what waits, or a mark when nothing does, is
 * written to a new segment. True: it is time.
 */
static bool probe_is_due(struct walog *w)
{
	if (clock_real_mono_ns() < w->probe_ns)
		return false;
	if (!w->batch.first && !w->queue.first)
		mark_add(w);
	return true;
}

/*
 * One write and one sync at most, so that what came meanwhile is looked at. True: there is more to
 * do at once.
 */
static bool turn(struct walog *w)
{
	if (w->state == ERR_READONLY && !probe_is_due(w)) {
		peers_fail(w, ERR_READONLY);
		return false;
	}
	if (!w->need_bytes && w->queue.first && write_is_due(w))
		batch_fill(w);
	if (w->unwritten) {
		if (!w->cur || w->cur->size - w->cur->offset < w->unwritten_bytes) {
			if (!batch_switch(w)) {
				if (w->state)
					peers_fail(w, w->state);
				return false;
			}
		} else {
			batch_write(w);
		}
	} else if (w->batch.first && w->cur &&
	    (w->stopping || walhold_wants_sync(w) ||
	        (w->sync_due_ns && clock_real_mono_ns() >= w->sync_due_ns))) {
		batch_sync(w);
	}
	spare_ask(w);
	return w->unwritten || (w->queue.first && write_is_due(w)) ||
	    (w->stopping && w->batch.first) || walhold_wants_sync(w);
}

static void sooner(uint64_t *at, uint64_t other)
{
	if (other && (!*at || other < *at))
		*at = other;
}

static int wait_ms(const struct walog *w)
{
	uint64_t at = 0;
	uint64_t now = clock_real_mono_ns();
	if (w->state == ERR_READONLY && now < w->probe_ns)
		return (int)((w->probe_ns - now) / MS) + 1;
	sooner(&at, w->sync_due_ns);
	if (!w->need_bytes)
		sooner(&at, w->write_due_ns);
	if (!w->spare.file && !w->asked)
		sooner(&at, w->spare_next_ns);
	if (!at)
		return -1;
	return at <= now ? 0 : (int)((at - now) / MS) + 1;
}

/*
 * Says that all was synced, so that the next start has nothing to commit again. Without it that
 * start only does more work.
 */
static void mark_write(struct walog *w)
{
	if (w->state || !w->cur || w->batch.first ||
	    w->cur->size - w->cur->offset < walseg_frame_space(0))
		return;
	mark_add(w);
	enum err e = seg_write(w, w->cur, true);
	if (e)
		LOG_WARN("log_mark", "err=\"%s\"", err_why(e));
	w->unwritten = NULL;
	w->unwritten_bytes = 0;
	walog_frame_free(frame_list_take(&w->batch));
}

static void gauges_set(const struct walog *w)
{
	metric_gauge_set(M_LOG_HELD_BYTES, (int64_t)w->held_bytes);
	metric_gauge_set(M_LOG_SEGMENTS, w->segs_count);
	metric_gauge_set(M_LOG_BACKLOG_BYTES, (int64_t)(w->queue.bytes + w->unwritten_bytes));
	uint64_t bytes = w->spare.file ? w->spare.bytes : 0;
	LIST_EACH(l, &w->segs)
		bytes += CONTAINER_OF(l, struct walog_seg, link)->size;
	metric_gauge_set(M_BYTES_LOG, (int64_t)bytes);
}

static void writer_main(void *arg)
{
	struct walog *w = arg;
	spare_ask(w);
	for (bool more = false;;) {
		if (!more)
			mbox_wait(w->mbox, wait_ms(w));
		for (struct mbox_msg *m = mbox_take(w->mbox), *next; m; m = next) {
			next = m->next;
			m->fn(m);
		}
		more = turn(w);
		if (w->stopping && w->state)
			all_refuse(w, w->state); /* space does not come back in time */
		walhold_poke(w);
		segs_release(w);
		gauges_set(w);
		peers_tell(w);
		if (w->stopping && !w->queue.first && !w->batch.first)
			break;
	}
	mark_write(w);
	metric_gauge_set(M_BYTES_LOG, 0);
	metric_gauge_set(M_LOG_HELD_BYTES, 0);
}

/* ---- Begin and end ---- */

static void pending_take(struct walog *w, const struct replay_result *r)
{
	for (size_t i = 0; i < r->pending_count; i++) {
		const struct replay_frame *p = &r->pending[i];
		struct walog_frame *f = mem_zalloc(sizeof(*f));
		buf_add(&f->payload, p->payload, p->len);
		walog_frame_pad(f);
		f->_seq = p->seq;
		f->_kept = 1;
		frame_list_push(&w->batch, f);
	}
	w->unwritten = w->batch.first;
	w->unwritten_bytes = w->batch.bytes;
}

/* The same path as a failed sync, so a crash in here changes nothing. */
static enum err pending_commit(struct walog *w)
{
	enum err e = ERR_OK;
	for (unsigned i = 0; w->batch.first && i < WALOG_FAILURES; i++) {
		e = walprep_make(w->prep, WALSEG_DATA + w->batch.bytes, &w->spare);
		if (!e)
			e = segment_open(w);
		w->unwritten = w->batch.first;
		w->unwritten_bytes = w->batch.bytes;
	}
	if (e != ERR_NOSPACE)
		return e;
	/*
	 * A full disk keeps nobody from reading. Nothing is taken, so nothing is acknowledged,
	 * until the writer has found room for these frames.
	 */
	state_set(w, ERR_NOSPACE);
	for (unsigned i = 0; i < w->loops; i++)
		w->ends[i].state = ERR_NOSPACE;
	return ERR_OK;
}

static void segs_take(struct walog *w, const struct replay_result *r)
{
	for (size_t i = 0; i < r->segments_count; i++) {
		const struct replay_segment *x = &r->segments[i];
		struct walog_seg *s = mem_zalloc(sizeof(*s));
		s->slot = x->slot;
		s->order = x->order;
		s->bytes = x->bytes;
		s->how = x->keep ? WALPREP_ASIDE : WALPREP_REUSE;
		for (uint32_t k = 0; k < x->tops_count; k++)
			walog_tops_raise(&s->tops, &s->tops_count, k, x->tops[k]);
		seg_add(w, s);
	}
}

/* Before anything is written: their names are free then, and the next start does not take them
 * for segments. */
static enum err asides_move(struct fsio_dir *d, const struct replay_result *r)
{
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < r->asides_count; i++) {
		char name[WALSEG_NAME_MAX], aside[WALSEG_ASIDE_NAME_MAX];
		walseg_name(r->asides[i].slot, name);
		walseg_aside_name(r->asides[i].slot, r->asides[i].why, aside);
		e = fsio_rename(d, name, aside);
		if (!e)
			LOG_WARN("log_segment_aside", "file=%s now=%s dir=\"%s\"", name, aside,
			    fsio_dir_path(d));
	}
	return e || !r->asides_count ? e : fsio_dir_sync(d);
}

static void walog_release(struct walog *w);

enum err walog_create(const struct walog_opts *o, struct walog **out, struct errbuf *eb)
{
	static const struct replay_result nothing;
	const struct replay_result *r = o->replay ? o->replay : &nothing;
	struct walog *w = mem_zalloc(sizeof(*w));
	w->dir = o->dir;
	w->team = o->team;
	w->loops = team_count(o->team);
	CHECK(w->loops <= LOOPS_MAX);
	w->sync = o->sync;
	w->interval_ns = (uint64_t)o->sync_interval_ms * MS;
	w->segment_bytes =
	    walseg_block_end(o->segment_bytes ? o->segment_bytes : WALOG_SEGMENT_BYTES);
	CHECK(w->segment_bytes >= WALSEG_MIN_BYTES);
	w->share_bytes = (o->backlog_bytes ? o->backlog_bytes : WALOG_BACKLOG_BYTES) / w->loops;
	w->probe_every_ns = o->probe_ms ? (uint64_t)o->probe_ms * MS : PROBE_NS;
	w->on_report = o->on_report;
	w->arg = o->arg;
	w->stop_msg.fn = stop_arrived;
	w->ends = mem_zalloc(w->loops * sizeof(*w->ends));
	for (unsigned i = 0; i < w->loops; i++)
		walog_end_init(w, &w->ends[i]);
	w->peers = mem_zalloc(w->loops * sizeof(*w->peers));
	list_init(&w->segs);
	list_init(&w->cuts);
	w->next_seq = r->next_seq ? r->next_seq : 1;
	w->next_order = r->next_order ? r->next_order : 1;
	w->synced = r->known_synced;
	struct walprep_opts po = { .dir = o->dir,
		.segment_bytes = w->segment_bytes,
		.direct = ends_blocks(w),
		.spares_max = o->spares_max ? o->spares_max : WALOG_SPARES_MAX,
		.next_slot = r->next_slot,
		.spares = r->spares,
		.spares_count = r->spares_count };
	walprep_create(&po, &w->prep);
	segs_take(w, r);
	if (walog_holds(WALOG_BREAK_RECOMMIT))
		pending_take(w, r);
	void *stage = NULL;
	enum err e = posix_memalign(&stage, FSIO_BLOCK, STAGE_BYTES) ? ERR_NOMEM : ERR_OK;
	w->stage = stage;
	if (!e)
		e = asides_move(o->dir, r);
	if (!e)
		e = pending_commit(w);
	if (!e)
		e = mbox_create(&w->mbox);
	if (!e)
		e = walprep_start(w->prep);
	if (!e) {
		e = thread_start("walog", writer_main, w, &w->thread);
		if (e)
			walprep_stop(w->prep);
	}
	if (e) {
		errbuf_set(eb, e, "log in %s: %s", fsio_dir_path(o->dir), err_why(e));
		walog_release(w);
		return e;
	}
	LOG_INFO("log_open", "dir=\"%s\" segments=%u committed_again=%zu next=%llu",
	    fsio_dir_path(o->dir), w->segs_count, r->pending_count, (unsigned long long)w->next_seq);
	*out = w;
	return ERR_OK;
}

void walog_stop(struct walog *w)
{
	CHECK(w->thread);
	for (unsigned i = 0; i < w->loops; i++)
		team_run_on(w->team, i, walog_end_flush, w);
	mbox_send(w->mbox, &w->stop_msg);
	thread_join(w->thread);
	w->thread = NULL;
	walprep_stop(w->prep);
	/* What came too late: answers of prep and complete_to of rounds. */
	for (struct mbox_msg *m = mbox_take(w->mbox), *next; m; m = next) {
		next = m->next;
		CHECK(m->fn != walog_frame_arrived);
		m->fn(m);
	}
}

static void walog_release(struct walog *w)
{
	for (struct list_link *l; (l = list_pop(&w->segs));) {
		struct walog_seg *s = CONTAINER_OF(l, struct walog_seg, link);
		fsio_close(s->file);
		seg_free(s);
	}
	for (struct walog_frame *f; (f = frame_list_take(&w->batch));)
		walog_frame_free(f);
	for (unsigned i = 0; i < w->loops; i++) {
		for (struct walog_frame *f = w->ends[i].pool, *next; f; f = next) {
			next = f->_next;
			walog_frame_free(f);
		}
	}
	fsio_close(w->spare.file);
	walprep_free(w->prep);
	mbox_free(w->mbox);
	free(w->stage);
	mem_free(w->ends);
	mem_free(w->peers);
	mem_free(w);
}

/* What reports of the end made a loop tell of complete rows: nobody wants to know any more. */
static void late_mail_drop(struct walog *w)
{
	for (struct mbox_msg *m = mbox_take(w->mbox), *next; m; m = next) {
		next = m->next;
		CHECK(m->fn == walog_complete_arrived);
		mem_free(CONTAINER_OF(m, struct walog_complete_msg, msg));
	}
}

void walog_free(struct walog *w)
{
	if (!w)
		return;
	CHECK(!w->thread);
	late_mail_drop(w);
	walog_release(w);
}
