#include "storage/wal/replay.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walrec.h"
#include "storage/wal/walseg.h"

#define SLOT_MAX   0x7fffffffu
#define READ_TRIES 5u /* of a segment that cannot be opened or whose head cannot be read */
#define STOP_BYTES (256u << 10) /* of payload between two looks at ops->stop */

unsigned walog_pause_ms = 10;

struct seg {
	uint32_t slot;
	struct walseg_head head;
	uint64_t end; /* frames past it are void */
};
struct extent { /* a frame that may have to be committed again */
	uint32_t slot;
	uint32_t len;
	uint64_t offset; /* of the payload */
	uint64_t seq;
};
struct run {
	struct fsio_dir *dir;
	const struct replay_ops *ops;
	void *arg;
	struct replay_result *out;
	struct errbuf *eb;
	struct seg *segs;
	size_t segs_count, segs_cap;
	struct extent *extents; /* [extents_from, extents_count) are above known */
	size_t extents_from, extents_count, extents_cap;
	uint64_t expected; /* sequence of the next frame; 0 = none yet */
	uint64_t told;     /* highest sequence told to be synced, by any frame or head seen */
	uint64_t known;    /* the same, by frames taken and heads */
	uint64_t looked;   /* bytes of payload at the last look at ops->stop */
};

static enum err segs_find(void *arg, const char *name);
static int seg_cmp(const void *a, const void *b);
static void segs_ends(struct run *r);
static enum err seg_run(struct run *r, size_t index);
static enum err pending_load(struct run *r);

enum err replay_run(struct fsio_dir *dir, const struct replay_ops *ops, void *arg,
    struct replay_result *out, struct errbuf *eb)
{
	*out = (struct replay_result){ 0 };
	struct run r = { .dir = dir, .ops = ops, .arg = arg, .out = out, .eb = eb };
	enum err e = fsio_dir_each(dir, segs_find, &r);
	if (e)
		errbuf_set(eb, e, "log directory %s: %s", fsio_dir_path(dir), err_why(e));
	if (!e && r.segs_count) {
		qsort(r.segs, r.segs_count, sizeof(*r.segs), seg_cmp);
		segs_ends(&r);
	}
	for (size_t i = 0; !e && i < r.segs_count; i++)
		e = seg_run(&r, i);
	if (!e) {
		/* What was synced behind the last frame that can be read is gone. */
		if (r.expected && r.told >= r.expected) {
			out->damaged_frames += r.told - r.expected + 1;
			out->damaged_places++;
			r.expected = r.told + 1;
		}
		r.known = r.told > r.known ? r.told : r.known;
		out->known_synced = r.known;
		out->next_seq = r.expected > r.known ? r.expected : r.known + 1;
		e = pending_load(&r);
	}
	if (!e && out->damaged_frames)
		LOG_WARN("log_damaged", "frames_lost=%llu places=%llu dir=\"%s\"",
		    (unsigned long long)out->damaged_frames,
		    (unsigned long long)out->damaged_places, fsio_dir_path(dir));
	metric_add(M_LOG_REPLAYED_FRAMES, out->frames);
	metric_add(M_LOG_DAMAGED_FRAMES, out->damaged_frames);
	mem_free(r.segs);
	mem_free(r.extents);
	if (e)
		replay_result_release(out);
	return e;
}

void replay_result_release(struct replay_result *r)
{
	for (size_t i = 0; i < r->segments_count; i++)
		mem_free(r->segments[i].tops);
	for (size_t i = 0; i < r->pending_count; i++)
		mem_free(r->pending[i].payload);
	mem_free(r->segments);
	mem_free(r->pending);
	mem_free(r->spares);
	mem_free(r->asides);
	*r = (struct replay_result){ 0 };
}

/* ---- Which segments there are ---- */

/* What may pass by itself, or not: a disk that does not give what it has. */
static bool is_unread(enum err e)
{
	return e == ERR_IO || e == ERR_TRUNCATED;
}

static void pause_before(unsigned try_no)
{
	uint64_t ms = (uint64_t)walog_pause_ms << (2 * (try_no - 1));
	nanosleep(&(struct timespec){ .tv_sec = (time_t)(ms / 1000),
	              .tv_nsec = (long)(ms % 1000) * 1000000 },
	    NULL);
}

/* Errors as of walseg_reader_open. With 0 file and reader are the caller's. */
static enum err seg_open(
    struct run *r, uint32_t slot, struct fsio_file **f, struct walseg_reader *reader)
{
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	enum err e = ERR_IO;
	for (unsigned i = 0; i < READ_TRIES && is_unread(e); i++) {
		if (i)
			pause_before(i);
		e = fsio_open(r->dir, name, FSIO_READ, f);
		if (e)
			continue;
		e = walseg_reader_open(reader, slot, *f);
		if (e) {
			walseg_reader_release(reader);
			fsio_close(*f);
		}
	}
	return e;
}

/* Why the start cannot go on. */
static enum err seg_refused(struct run *r, uint32_t slot, enum err e)
{
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	if (e == ERR_UNSUPPORTED)
		return errbuf_set(r->eb, e,
		    "%s/%s is of a later format than this program knows (%u): start the version that wrote it",
		    fsio_dir_path(r->dir), name, WALSEG_VERSION);
	return errbuf_set(
	    r->eb, e, "%s/%s cannot be read: %s", fsio_dir_path(r->dir), name, err_why(e));
}

static void aside_add(struct run *r, uint32_t slot, enum err e)
{
	struct replay_result *out = r->out;
	out->asides = mem_array(out->asides, out->asides_count + 1, sizeof(*out->asides));
	out->asides[out->asides_count++] = (struct replay_aside){ .slot = slot,
		.why = is_unread(e) ? WALSEG_UNREAD : WALSEG_DAMAGED };
	out->unread_count += is_unread(e);
	if (is_unread(e) && r->ops->aside)
		r->ops->aside(r->arg, slot);
	/* How many frames stood in it is not known. */
	out->damaged_frames++;
	out->damaged_places++;
	LOG_ERROR("log_segment_aside", "segment=%08x dir=\"%s\" err=\"%s\"", slot,
	    fsio_dir_path(r->dir), err_why(e));
}

static void slot_add(uint32_t **slots, size_t *count, uint32_t slot)
{
	*slots = mem_array(*slots, *count + 1, sizeof(**slots));
	(*slots)[(*count)++] = slot;
}

/* Of an earlier start; its slot is not given again. */
static void aside_found(struct run *r, const char *name)
{
	uint32_t slot;
	enum walseg_aside why;
	if (!walseg_aside_parse(name, &slot, &why) || slot > SLOT_MAX)
		return;
	LOG_WARN("log_segment_lies_aside", "file=%s dir=\"%s\"", name, fsio_dir_path(r->dir));
	if (slot >= r->out->next_slot)
		r->out->next_slot = slot + 1;
	r->out->unread_count += why != WALSEG_DAMAGED;
}

static enum err segs_find(void *arg, const char *name)
{
	struct run *r = arg;
	uint32_t slot;
	if (!walseg_name_parse(name, &slot) || slot > SLOT_MAX) {
		aside_found(r, name);
		return ERR_OK;
	}
	if (slot >= r->out->next_slot)
		r->out->next_slot = slot + 1;
	struct fsio_file *f;
	struct walseg_reader reader;
	enum err e = seg_open(r, slot, &f, &reader);
	if (e == ERR_NOTFOUND) { /* being made, freed, or never finished */
		slot_add(&r->out->spares, &r->out->spares_count, slot);
		return ERR_OK;
	}
	if (e == ERR_DAMAGED || is_unread(e)) {
		aside_add(r, slot, e);
		return ERR_OK;
	}
	if (e)
		return seg_refused(r, slot, e);
	struct walseg_head head = reader.head;
	walseg_reader_release(&reader);
	fsio_close(f);
	if (r->segs_count == r->segs_cap) {
		r->segs_cap = r->segs_cap ? r->segs_cap * 2 : 64;
		r->segs = mem_array(r->segs, r->segs_cap, sizeof(*r->segs));
	}
	r->segs[r->segs_count++] = (struct seg){ .slot = slot, .head = head };
	return ERR_OK;
}

static int seg_cmp(const void *a, const void *b)
{
	const struct seg *x = a, *y = b;
	if (x->head.order != y->head.order)
		return x->head.order < y->head.order ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Rule (5), and what the heads tell. */
static void segs_ends(struct run *r)
{
	uint64_t end = UINT64_MAX;
	for (size_t i = r->segs_count; i-- > 0;) {
		struct seg *s = &r->segs[i];
		s->end = walog_holds(WALOG_BREAK_VOID) ? end : UINT64_MAX;
		if (s->head.prev_end < end)
			end = s->head.prev_end;
		if (s->head.prev_end > r->told)
			r->told = s->head.prev_end;
	}
	r->known = r->told;
	r->out->next_order = r->segs[r->segs_count - 1].head.order + 1;
	r->out->segments = mem_array(NULL, r->segs_count, sizeof(*r->out->segments));
}

/* ---- One segment ---- */

static void extent_add(struct run *r, uint32_t slot, const struct walseg_frame *f)
{
	while (r->extents_from < r->extents_count && r->extents[r->extents_from].seq <= r->known)
		r->extents_from++;
	if (r->extents_from == r->extents_count)
		r->extents_from = r->extents_count = 0;
	if (r->extents_count == r->extents_cap && r->extents_from > r->extents_cap / 2) {
		r->extents_count -= r->extents_from;
		memmove(r->extents, r->extents + r->extents_from,
		    r->extents_count * sizeof(*r->extents));
		r->extents_from = 0;
	}
	if (r->extents_count == r->extents_cap) {
		r->extents_cap = r->extents_cap ? r->extents_cap * 2 : 1024;
		r->extents = mem_array(r->extents, r->extents_cap, sizeof(*r->extents));
	}
	r->extents[r->extents_count++] = (struct extent){
		.slot = slot, .len = f->len, .offset = f->offset + WALSEG_FRAME_BYTES, .seq = f->seq
	};
}

static enum err frame_take(struct run *r, struct replay_segment *s, const struct walseg_frame *f)
{
	if (f->synced > r->told)
		r->told = f->synced;
	if (f->synced > r->known)
		r->known = f->synced;
	r->expected = f->seq + 1;
	if (f->len == 0)
		return ERR_OK; /* a mark */
	struct walrec_groups it;
	struct walrec_group g;
	walrec_groups_init(&it, f->payload, f->len);
	while (walrec_groups_next(&it, &g))
		walog_tops_raise(&s->tops, &s->tops_count, g.shard, g.number);
	if (it.err) /* the checksum is right: not damage, but bytes of another version */
		return errbuf_set(r->eb, it.err,
		    "%s/%08x.seg: frame %llu at offset %llu is of a later format than this program knows (%u)",
		    fsio_dir_path(r->dir), s->slot, (unsigned long long)f->seq,
		    (unsigned long long)f->offset, WALREC_VERSION);
	s->bytes += walseg_frame_space(f->len);
	r->out->frames++;
	r->out->bytes += f->len;
	extent_add(r, s->slot, f);
	if (r->ops->stop && r->out->bytes - r->looked >= STOP_BYTES) {
		r->looked = r->out->bytes;
		if (r->ops->stop(r->arg))
			return errbuf_set(r->eb, ERR_STOPPING, "told to stop while the log was read");
	}
	return r->ops->frame(r->arg, f->seq, f->payload, f->len);
}

static void frame_void(struct run *r, const struct walseg_frame *f)
{
	if (f->len == 0)
		return;
	r->out->void_frames++;
	if (r->ops->void_frame)
		r->ops->void_frame(r->arg, f->seq, f->payload, f->len);
}

/* Are sequences missing between what was read of segment index and the next one? */
static bool gap_behind(const struct run *r, size_t index)
{
	if (index + 1 == r->segs_count)
		return true; /* unknown: look */
	const struct walseg_head *next = &r->segs[index + 1].head;
	return r->expected <= r->segs[index].end && r->expected <= next->prev_end;
}

/*
 * What the rest of the segment tells of what was synced; the reader stays where it is. False: no
 * frame is left.
 */
static bool rest_told(struct run *r, const struct walseg_reader *reader)
{
	struct walseg_reader ahead = *reader;
	struct walseg_frame f;
	bool any = false;
	ahead._window = NULL; /* a window of its own */
	ahead._window_cap = ahead._window_len = 0;
	for (enum walseg_got got = walseg_resync(&ahead, &f); got != WALSEG_END;
	     got = walseg_resync(&ahead, &f)) {
		do {
			any = true;
			if (f.synced > r->told)
				r->told = f.synced;
			got = walseg_next(&ahead, &f);
		} while (got == WALSEG_FRAME);
	}
	walseg_reader_release(&ahead);
	return any;
}

/* Is f the frame that comes next, when what is missing before it was damaged? */
static bool frame_follows(struct run *r, const struct walseg_frame *f)
{
	if (f->seq == r->expected)
		return true;
	if (f->seq < r->expected || f->seq - 1 > r->told)
		return false;
	r->out->damaged_frames += f->seq - r->expected;
	r->out->damaged_places++;
	return true;
}

/*
 * Frames are read one behind the other. At a bad place: with nothing missing before the next
 * segment, that was all. Else the rest of the segment is asked what was synced, and the reading
 * goes on at the next valid frame; once a frame that nobody told to be synced is missing, the log
 * has ended and the rest is void.
 */
static enum err seg_frames(
    struct run *r, size_t index, struct walseg_reader *reader, struct replay_segment *s)
{
	const struct seg *seg = &r->segs[index];
	bool ended = false, asked = false;
	for (;;) {
		struct walseg_frame f;
		enum walseg_got got = walseg_next(reader, &f);
		if (got == WALSEG_BAD && (ended || gap_behind(r, index))) {
			bool last = index + 1 == r->segs_count;
			if (last && walseg_begun(reader))
				r->out->torn_tail = true;
			if (!asked && !rest_told(r, reader))
				return ERR_OK;
			asked = true;
			got = walseg_resync(reader, &f);
		}
		if (got != WALSEG_FRAME)
			return ERR_OK;
		if (f.seq < r->expected && f.seq <= seg->end)
			continue; /* cannot be: nothing is written twice unless the first is void */
		if (f.seq > seg->end) {
			frame_void(r, &f);
			continue;
		}
		ended = ended || !frame_follows(r, &f);
		if (ended) {
			r->out->torn_tail = r->out->torn_tail || index + 1 == r->segs_count;
			frame_void(r, &f);
			continue;
		}
		enum err e = frame_take(r, s, &f);
		if (e)
			return e;
	}
}

static enum err seg_run(struct run *r, size_t index)
{
	const struct seg *seg = &r->segs[index];
	struct replay_segment *s = &r->out->segments[r->out->segments_count++];
	*s = (struct replay_segment){ .slot = seg->slot, .order = seg->head.order };
	/*
	 * The head vouches for what was synced before it and for where it begins: what lies between
	 * was a mark.
	 */
	if (r->expected && seg->head.prev_end >= r->expected) {
		r->out->damaged_frames += seg->head.prev_end - r->expected + 1;
		r->out->damaged_places++;
	}
	if (seg->head.first_seq > r->expected)
		r->expected = seg->head.first_seq;
	struct fsio_file *f;
	struct walseg_reader reader;
	enum err e = seg_open(r, seg->slot, &f, &reader);
	if (is_unread(e)) { /* its head could be read a moment ago */
		r->out->segments_count--;
		aside_add(r, seg->slot, e);
		return ERR_OK;
	}
	if (e)
		return seg_refused(r, seg->slot, e);
	if (!walseg_readable(&reader) && !reader.err) {
		r->out->segments_count--;
		aside_add(r, seg->slot, ERR_IO);
	} else {
		e = reader.err ? ERR_OK : seg_frames(r, index, &reader, s);
		if (!e && (reader.err || reader.unreadable_bytes))
			e = seg_refused(r, seg->slot, reader.err ? reader.err : ERR_IO);
	}
	/* how many frames stood behind its end is not known */
	if (!e && reader.size < seg->head.size) {
		r->out->damaged_frames++;
		r->out->damaged_places++;
	}
	walseg_reader_release(&reader);
	fsio_close(f);
	return e;
}

/* ---- What has to be committed again ---- */

static enum err payload_read(
    struct run *r, uint32_t slot, struct fsio_file *f, const struct extent *x, uint8_t *payload)
{
	enum err e = ERR_IO;
	for (unsigned i = 0; i < READ_TRIES && is_unread(e); i++) {
		if (i)
			pause_before(i);
		e = fsio_read_at(f, payload, x->len, x->offset);
	}
	return e ? seg_refused(r, slot, e) : ERR_OK;
}

/* They were read a moment ago. When that fails now the start is refused: nothing is lost by it. */
static enum err pending_load(struct run *r)
{
	struct replay_result *out = r->out;
	struct fsio_file *f = NULL;
	struct walseg_reader reader;
	uint32_t slot = 0;
	enum err e = ERR_OK;
	out->pending = mem_array(NULL, r->extents_count - r->extents_from + 1, sizeof(*out->pending));
	for (size_t i = r->extents_from; !e && i < r->extents_count; i++) {
		const struct extent *x = &r->extents[i];
		if (x->seq <= r->known)
			continue;
		if (!f || x->slot != slot) {
			fsio_close(f);
			f = NULL;
			slot = x->slot;
			e = seg_open(r, slot, &f, &reader);
			if (e) {
				f = NULL;
				e = seg_refused(r, slot, e);
				break;
			}
			walseg_reader_release(&reader);
		}
		uint8_t *payload = mem_alloc(x->len);
		e = payload_read(r, slot, f, x, payload);
		out->pending[out->pending_count++] =
		    (struct replay_frame){ .seq = x->seq, .payload = payload, .len = x->len };
	}
	fsio_close(f);
	return e;
}
