#include "storage/recover/restore.h"

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/model/batch.h"
#include "core/model/exemplar.h"
#include "core/rt/team.h"
#include "core/seam/sink.h"
#include "storage/asidebook.h"
#include "storage/filedefs.h"
#include "storage/recover/recover.h"
#include "storage/wal/walrec.h"
#include "storage/wal/walseg.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH_ROWS  10000u
#define EXTRAS_KEEP (1u << 20) /* bytes, between two batches */
#define TRIES       600u       /* of a batch that the store does not take, ... */
#define PAUSE_MS    50u        /* ... with such pauses */

struct def {
	uint32_t shard, id, tenant;
	struct labels labels;
	const uint32_t *cuts; /* the book's of the series; NULL: none, or not asked yet */
	uint32_t cuts_count;
	bool cuts_known;
};
struct segment {
	uint32_t slot;
	enum walseg_aside why;
	uint64_t order;
	bool whole; /* all of it could be read */
	bool blank; /* there is nothing in it after all */
};
struct restore {
	const struct recover_env *env;
	struct segment *segs;
	size_t segs_count;
	/* [shards] as they were before: ids from there on are not the store's */
	uint32_t *next_ids;
	struct arena arena;
	struct def *defs;
	size_t defs_count, defs_cap;
	uint32_t *table; /* shard and id -> index + 1 of defs; a power of two, at most half full */
	size_t table_mask;
	struct batch batch;
	struct arena extras; /* of the batch's rows */
	struct walrec_reader reader;
	struct tombs **tombs; /* [shards] pinned: what was deleted does not come back */
	uint32_t slot;        /* of the file under way */
	const struct asidebook_file *noted; /* what the book has of it; NULL: nothing */
	uint32_t *cuts;                     /* [of the book] room */
	uint64_t number;                    /* of the group under way */
	bool own;                           /* rows of the group under way are the server's */
	uint64_t rows, unknown, refused;
	uint32_t *removed; /* slots of files that do not */
	size_t removed_count;
	size_t left; /* files that stay */
	bool kept;   /* segments of the log speak of what these files define */
	enum err err;
};

/* ---- the files ---- */

static enum err file_open(struct restore *r, const struct segment *seg, struct fsio_file **f,
    struct walseg_reader *reader)
{
	char name[WALSEG_ASIDE_NAME_MAX];
	walseg_aside_name(seg->slot, seg->why, name);
	enum err e = fsio_open(r->env->log_dir, name, FSIO_READ, f);
	if (e)
		return e;
	e = walseg_reader_open(reader, seg->slot, *f);
	if (e) {
		walseg_reader_release(reader);
		fsio_close(*f);
	}
	return e;
}

/* Calls fn for each frame that can be read. Places that cannot are an error, ERR_IO, at the end. */
static enum err frames_each(struct restore *r, const struct segment *seg,
    void (*fn)(struct restore *r, const struct walseg_frame *frame))
{
	struct fsio_file *f;
	struct walseg_reader reader;
	struct walseg_frame frame;
	enum err e = file_open(r, seg, &f, &reader);
	if (e)
		return e;
	for (enum walseg_got got = walseg_next(&reader, &frame); got != WALSEG_END && !r->err;) {
		if (got == WALSEG_BAD) {
			got = walseg_resync(&reader, &frame);
			continue;
		}
		if (frame.len)
			fn(r, &frame);
		got = walseg_next(&reader, &frame);
	}
	e = reader.err ? reader.err : reader.unreadable_bytes ? ERR_IO : ERR_OK;
	walseg_reader_release(&reader);
	fsio_close(f);
	return e;
}

/* Calls fn for each record of a frame. */
static void records_each(struct restore *r, const struct walseg_frame *frame,
    void (*fn)(struct restore *r, uint32_t shard, const struct walrec_record *rec))
{
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_record rec;
	walrec_groups_init(&it, frame->payload, frame->len);
	while (walrec_groups_next(&it, &g)) {
		walrec_reader_open(&r->reader, &g);
		r->own = false;
		r->number = g.number;
		while (walrec_next(&r->reader, &rec)) {
			r->own = r->own || rec.tag == WALREC_OWN;
			fn(r, g.shard, &rec);
		}
		if (r->reader.err)
			r->err = r->reader.err;
	}
	if (it.err)
		r->err = it.err;
}

static void file_remove(struct restore *r, const struct segment *seg)
{
	char name[WALSEG_ASIDE_NAME_MAX];
	walseg_aside_name(seg->slot, seg->why, name);
	enum err e = fsio_remove(r->env->log_dir, name);
	r->left += e != ERR_OK;
	if (!e)
		r->removed[r->removed_count++] = seg->slot;
	if (e) /* taken in once more by the next start, which changes nothing */
		LOG_WARN("log_restore", "file=%s err=\"%s\"", name, err_why(e));
}

/* From now on the store goes on without it. */
static void file_wait(struct restore *r, const struct segment *seg)
{
	char name[WALSEG_ASIDE_NAME_MAX], waits[WALSEG_ASIDE_NAME_MAX];
	walseg_aside_name(seg->slot, seg->why, name);
	walseg_aside_name(seg->slot, WALSEG_WAITING, waits);
	r->left++;
	enum err e = seg->why == WALSEG_WAITING ? ERR_OK : fsio_rename(r->env->log_dir, name, waits);
	LOG_ERROR("log_restore", "file=%s then=\"tried again at the next start\" err=\"%s\"", waits,
	    err_why(e));
}

static enum err segs_find(void *arg, const char *name)
{
	struct restore *r = arg;
	struct segment seg = { 0 };
	if (!walseg_aside_parse(name, &seg.slot, &seg.why) || seg.why == WALSEG_DAMAGED)
		return ERR_OK;
	r->segs = mem_array(r->segs, r->segs_count + 1, sizeof(*r->segs));
	r->segs[r->segs_count++] = seg;
	return ERR_OK;
}

/* Reads all of each: what cannot be read now is found out before anything is written. */
static void segs_look(struct restore *r)
{
	for (size_t i = 0; i < r->segs_count; i++) {
		struct segment *seg = &r->segs[i];
		struct fsio_file *f;
		struct walseg_reader reader;
		enum err e = file_open(r, seg, &f, &reader);
		seg->blank = seg->whole = e == ERR_NOTFOUND;
		if (e)
			continue;
		seg->order = reader.head.order;
		seg->whole = walseg_readable(&reader);
		walseg_reader_release(&reader);
		fsio_close(f);
	}
}

/* Of the book's files those that are segments still. */
static void kept_look(struct restore *r)
{
	const struct asidebook *b = r->env->book;
	for (size_t i = 0; i < b->files_count && !r->kept; i++) {
		bool here = false;
		for (size_t k = 0; k < r->segs_count; k++)
			here |= r->segs[k].slot == b->files[i].slot;
		r->kept = !here;
	}
}

static int seg_cmp(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* ---- definitions ---- */

/* The place of an id in the table: of its definition, or free. */
static uint32_t *def_place(struct restore *r, uint32_t shard, uint32_t id)
{
	size_t i = (size_t)hash_mix64((uint64_t)shard << 32 | id) & r->table_mask;
	for (;; i = (i + 1) & r->table_mask) {
		const struct def *d = r->table[i] ? &r->defs[r->table[i] - 1] : NULL;
		if (!d || (d->shard == shard && d->id == id))
			return &r->table[i];
	}
}

static void table_grow(struct restore *r)
{
	uint32_t *old = r->table;
	size_t count = old ? r->table_mask + 1 : 0;
	r->table_mask = count ? 2 * count - 1 : 1023;
	r->table = mem_zalloc((r->table_mask + 1) * sizeof(*r->table));
	for (size_t i = 0; i < count; i++)
		if (old[i])
			*def_place(r, r->defs[old[i] - 1].shard, r->defs[old[i] - 1].id) = old[i];
	mem_free(old);
}

/* The first definition of an id stays. */
static void def_add(struct restore *r, struct def d)
{
	if (!r->table || r->defs_count > r->table_mask / 2)
		table_grow(r);
	uint32_t *place = def_place(r, d.shard, d.id);
	if (*place)
		return;
	CHECK(r->defs_count < UINT32_MAX);
	if (r->defs_count == r->defs_cap) {
		r->defs_cap = r->defs_cap ? 2 * r->defs_cap : 1024;
		r->defs = mem_array(r->defs, r->defs_cap, sizeof(*r->defs));
	}
	r->defs[r->defs_count++] = d;
	*place = (uint32_t)r->defs_count;
}

static void def_take(struct restore *r, uint32_t shard, const struct walrec_record *rec)
{
	if (rec->tag != WALREC_DEF)
		return;
	def_add(r,
	    (struct def){ .shard = shard,
	        .id = rec->id,
	        .tenant = rec->tenant,
	        .labels = { .bytes = arena_dup(&r->arena, rec->bytes, rec->bytes_len),
	            .len = (uint32_t)rec->bytes_len } });
}

static void defs_of_frame(struct restore *r, const struct walseg_frame *frame)
{
	records_each(r, frame, def_take);
}

/* On the shard's loop: what memory knows of an id. */
struct asking {
	struct restore *r;
	struct shard *shard;
	struct def *def;
	struct filedefs files;
};

static void ask_head(void *arg)
{
	struct asking *a = arg;
	const struct series *s = head_by_id(&a->shard->head, a->def->id);
	if (!s || s->flags & SERIES_UNDEFINED)
		return;
	struct labels ls = series_labels(s);
	a->def->tenant = s->tenant;
	a->def->labels =
	    (struct labels){ .bytes = arena_dup(&a->r->arena, ls.bytes, ls.len), .len = ls.len };
}

static void pin_files(void *arg)
{
	struct asking *a = arg;
	filedefs_pin(&a->files, a->shard);
}

static void unpin_files(void *arg)
{
	struct asking *a = arg;
	filedefs_unpin(&a->files);
}

static void told_by_file(void *arg, size_t at, uint32_t tenant, struct labels ls)
{
	struct asking *a = arg;
	(void)at;
	a->def->tenant = tenant;
	a->def->labels =
	    (struct labels){ .bytes = arena_dup(&a->r->arena, ls.bytes, ls.len), .len = ls.len };
}

/* While the catalog is made anew; requests run beside this. */
static void ask_files(struct asking *a, uint32_t id)
{
	team_run_on(a->r->env->team, a->shard->share->index, pin_files, a);
	enum err e = filedefs_labels(&a->files, &id, 1, told_by_file, a);
	if (e)
		LOG_WARN("labels_not_read", "shard=%u err=%s", a->shard->index, err_text(e));
	team_run_on(a->r->env->team, a->shard->share->index, unpin_files, a);
}

/* Rows are many, and deletions may be: each series is looked at once. */
static void cuts_look(struct restore *r, struct def *d)
{
	if (d->cuts_known || !d->labels.len)
		return;
	size_t count = asidebook_cuts_of(r->env->book, d->tenant, d->labels, r->cuts);
	if (count)
		d->cuts = arena_dup(&r->arena, r->cuts, count * sizeof(*d->cuts));
	d->cuts_count = (uint32_t)count;
	d->cuts_known = true;
}

/* Labels of an id; len 0: nobody knows it. The answer is kept beside the definitions. */
static struct def def_find(struct restore *r, uint32_t shard, uint32_t id)
{
	struct def want = { .shard = shard, .id = id };
	uint32_t at = r->table ? *def_place(r, shard, id) : 0;
	if (at) {
		cuts_look(r, &r->defs[at - 1]);
		return r->defs[at - 1];
	}
	struct asking a = { .r = r, .shard = r->env->shards[shard], .def = &want };
	if (id >= r->next_ids[shard])
		return want;
	team_run_on(r->env->team, a.shard->share->index, ask_head, &a);
	struct errbuf eb;
	errbuf_init(&eb);
	if (!want.labels.len && a.shard->catalog &&
	    catalog_labels(
	        a.shard->catalog, shard, &id, 1, &r->arena, &want.labels, &want.tenant, &eb))
		want.labels.len = 0;
	if (!want.labels.len && shard_catalog_is_behind(a.shard))
		ask_files(&a, id);
	cuts_look(r, &want);
	def_add(r, want);
	return want;
}

/* ---- rows ---- */

struct sending {
	struct sink_req req;
	struct sink *sink;
	struct mbox_msg msg;
	struct mbox *home;
};

static void sent(struct sink_req *req)
{
	struct sending *s = CONTAINER_OF(req, struct sending, req);
	mbox_send(s->home, &s->msg);
}

static void send_on_loop(void *arg)
{
	struct sending *s = arg;
	sink_append(s->sink, &s->req);
}

static enum err send_once(struct restore *r, struct mbox *home, uint64_t *refused)
{
	struct sending s = { .req = { .batch = &r->batch, .done = sent }, .home = home };
	s.sink = r->env->sink;
	team_run_on(r->env->team, 0, send_on_loop, &s);
	while (!mbox_take(home))
		mbox_wait(home, -1);
	*refused = s.req.refused;
	return s.req.err;
}

static bool batch_is_open(const struct restore *r)
{
	return r->batch.rows_count || r->batch.exemplars_count;
}

static bool batch_is_for(const struct restore *r, uint32_t tenant)
{
	return !batch_is_open(r) || (r->batch.tenant == tenant && r->batch.own == r->own);
}

/* A store that is busy with its first rounds, or short of space, takes it a little later. */
static void batch_send(struct restore *r)
{
	struct mbox *home;
	uint64_t refused = 0;
	if (!batch_is_open(r) || r->err)
		return;
	r->err = mbox_create(&home);
	if (r->err)
		return;
	enum err e = send_once(r, home, &refused);
	for (unsigned i = 0; e && i < TRIES && !stopping_told(&r->env->stop); i++) {
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000 }, NULL);
		e = send_once(r, home, &refused);
	}
	mbox_free(home);
	r->err = e;
	r->refused += refused;
	r->rows += r->batch.rows_count - refused;
	batch_clear(&r->batch);
	arena_reset(&r->extras, EXTRAS_KEEP);
}

/* A histogram, which the reader found whole, or a start time beside a row. */
static void extra_take(struct restore *r, struct batch_row *row, const struct walrec_extra *x)
{
	struct batch_extra *e = arena_alloc(&r->extras, sizeof(*e));
	struct hist *h = NULL;
	if (x->hist) {
		h = arena_alloc(&r->extras, sizeof(*h));
		CHECK(!hist_decode(&r->extras, x->hist, x->hist_len, h, NULL));
	}
	*e = (struct batch_extra){ .v = row->v, .hist = h, .start_ms = x->start_ms };
	batch_row_extra(&r->batch, row, e);
}

/* Of a row or an exemplar of the group under way. */
static bool is_deleted(
    const struct restore *r, uint32_t shard, uint32_t id, const struct def *d, int64_t t_ms)
{
	uint64_t rank = r->noted ? r->noted->rank[shard] : UINT64_MAX;
	return tombs_drops_below(r->tombs[shard], rank, id, r->number, t_ms) ||
	    asidebook_hides(r->env->book, d->cuts, d->cuts_count, r->slot, t_ms);
}

/* They stand behind the rows of the batch; their bytes go with its extras. */
static void exemplars_take_in(struct restore *r, uint32_t shard, const struct walrec_record *rec)
{
	struct wire_reader list = wire_reader(rec->bytes, rec->bytes_len);
	struct exemplar e;
	struct def d = def_find(r, shard, rec->id);
	if (!d.labels.len) {
		r->unknown++;
		return;
	}
	if (r->batch.exemplars_count >= BATCH_ROWS || !batch_is_for(r, d.tenant))
		batch_send(r);
	r->batch.tenant = d.tenant;
	r->batch.own = r->own;
	while (exemplar_get(&list, &e))
		if (!is_deleted(r, shard, rec->id, &d, e.t_ms))
			*batch_add_exemplar(&r->batch) =
			    (struct batch_exemplar){ .labels = d.labels.bytes,
				    .labels_len = d.labels.len,
				    .own = e.labels.len
				        ? arena_dup(&r->extras, e.labels.bytes, e.labels.len)
				        : NULL,
				    .own_len = e.labels.len,
				    .t_ms = e.t_ms,
				    .v = e.v };
}

static void rows_take(struct restore *r, uint32_t shard, const struct walrec_record *rec)
{
	struct def d = { .id = UINT32_MAX };
	const struct walrec_extra *x = rec->extras, *x_end = x ? x + rec->extras_count : NULL;
	if (shard >= r->env->shards_count)
		return;
	/* in files since long: what has become of it there holds */
	if (r->noted && r->number <= r->noted->complete_to[shard])
		return;
	if (rec->tag == WALREC_EXEMPLARS)
		exemplars_take_in(r, shard, rec);
	if (rec->tag != WALREC_ROWS)
		return;
	for (size_t i = 0; i < rec->count && !r->err; i++) {
		if (!i || d.id != rec->ids[i])
			d = def_find(r, shard, rec->ids[i]);
		bool gone = d.labels.len && is_deleted(r, shard, rec->ids[i], &d, rec->t_ms[i]);
		if (!d.labels.len || gone) {
			r->unknown += !gone;
			x += x < x_end && x->row == i;
			continue;
		}
		if (r->batch.rows_count >= BATCH_ROWS || !batch_is_for(r, d.tenant))
			batch_send(r);
		r->batch.tenant = d.tenant;
		r->batch.own = r->own;
		struct batch_row *row = batch_add(&r->batch);
		*row = (struct batch_row){ .labels = d.labels.bytes,
			.labels_len = d.labels.len,
			.t_ms = rec->t_ms[i],
			.v = rec->v[i] };
		if (x < x_end && x->row == i)
			extra_take(r, row, x++);
	}
}

static void rows_of_frame(struct restore *r, const struct walseg_frame *frame)
{
	if (stopping_told(&r->env->stop))
		r->err = ERR_STOPPING;
	else
		records_each(r, frame, rows_take);
}

/* ---- the whole ---- */

/* What was set aside at this start is taken in as far as it can be read; what waits, wholly or
 * not at all. */
static bool is_taken(const struct restore *r, const struct segment *seg)
{
	if (!seg->order) /* not even its head */
		return false;
	if (r->env->book->lost) /* what was deleted meanwhile is not known */
		return false;
	if (seg->why == WALSEG_WAITING && r->kept)
		return false;
	for (size_t i = 0; seg->why == WALSEG_WAITING && i < r->segs_count; i++) {
		if (!r->segs[i].whole)
			return false;
	}
	return true;
}

static enum err frames_of_all(
    struct restore *r, void (*fn)(struct restore *r, const struct walseg_frame *frame))
{
	for (size_t i = 0; !r->err && i < r->segs_count; i++) {
		r->slot = r->segs[i].slot;
		r->noted = asidebook_find(r->env->book, r->slot);
		enum err e = is_taken(r, &r->segs[i]) ? frames_each(r, &r->segs[i], fn) : ERR_OK;
		if (e && (e != ERR_IO || r->segs[i].whole))
			return e; /* not what was seen a moment ago */
	}
	return r->err;
}

static void take_in(struct restore *r)
{
	qsort(r->segs, r->segs_count, sizeof(*r->segs), seg_cmp);
	enum err e = frames_of_all(r, defs_of_frame);
	if (!e)
		e = frames_of_all(r, rows_of_frame);
	if (!e)
		batch_send(r);
	e = e ? e : r->err;
	for (size_t i = 0; i < r->segs_count; i++) {
		if (e == ERR_STOPPING) {
			r->left++;
			continue;
		}
		const struct segment *seg = &r->segs[i];
		if (seg->blank || (!e && !r->refused && !r->kept && seg->whole && is_taken(r, seg)))
			file_remove(r, seg);
		else
			file_wait(r, seg);
	}
	enum err sync = fsio_dir_sync(r->env->log_dir);
	r->left += sync != ERR_OK;
	LOG_WARN("log_restore", "segments=%zu rows=%llu refused=%llu undefined=%llu err=\"%s\"",
	    r->segs_count, (unsigned long long)r->rows, (unsigned long long)r->refused,
	    (unsigned long long)r->unknown, err_text(e ? e : sync));
	metric_add(M_ROWS_UNDEFINED, r->unknown);
	metric_add(M_LOG_RESTORED_ROWS, r->rows);
}

struct pinning {
	struct restore *r;
	unsigned loop;
	bool pin;
};

static void tombs_on_loop(void *arg)
{
	const struct pinning *p = arg;
	const struct share *share = p->r->env->shares[p->loop];
	for (unsigned k = 0; k < share->shards_count; k++) {
		struct shard *sh = share->shards[k];
		struct tombs **at = &p->r->tombs[sh->index];
		if (p->pin) {
			*at = tombs_pin(sh->tombs);
		} else {
			tombs_unpin(*at);
			sh->log_waits = p->r->left > 0 || asidebook_waits(p->r->env->book);
		}
	}
}

static void tombs_all(struct restore *r, bool pin)
{
	for (unsigned i = 0; i < r->env->loops; i++)
		team_run_on(r->env->team, i, tombs_on_loop,
		    &(struct pinning){ .r = r, .loop = i, .pin = pin });
}

/* The book has what still lies aside, and what will (recover.c). */
static void book_close(struct restore *r)
{
	struct asidebook *b = r->env->book;
	for (size_t i = 0; i < r->removed_count; i++)
		asidebook_forget(b, r->removed[i]);
	enum err e = asidebook_save(b, r->env->dir);
	if (e)
		LOG_ERROR("aside_not_noted", "file=%s/" ASIDEBOOK_NAME " err=\"%s\"",
		    fsio_dir_path(r->env->dir), err_why(e));
}

void restore_run(const struct recover_env *env)
{
	struct restore r = { .env = env };
	enum err e = fsio_dir_each(env->log_dir, segs_find, &r);
	if (e)
		LOG_WARN("log_restore", "err=\"%s\"", err_why(e));
	if (r.segs_count) {
		arena_init(&r.arena, 1 << 20);
		batch_init(&r.batch);
		arena_init(&r.extras, 4096);
		r.batch.restored = true;
		walrec_reader_init(&r.reader);
		r.next_ids = mem_array(NULL, env->shards_count, sizeof(*r.next_ids));
		for (unsigned i = 0; i < env->shards_count; i++)
			r.next_ids[i] = env->shards[i]->next_id;
		r.tombs = mem_array(NULL, env->shards_count, sizeof(struct tombs *));
		tombs_all(&r, true);
		r.removed = mem_array(NULL, r.segs_count, sizeof(*r.removed));
		r.cuts = mem_array(NULL, env->book->cuts_count + 1, sizeof(*r.cuts));
		segs_look(&r);
		kept_look(&r);
		take_in(&r);
		book_close(&r);
		tombs_all(&r, false);
		mem_free(r.tombs);
		walrec_reader_release(&r.reader);
		batch_release(&r.batch);
		arena_release(&r.extras);
		arena_release(&r.arena);
	}
	mem_free(r.next_ids);
	mem_free(r.removed);
	mem_free(r.cuts);
	mem_free(r.defs);
	mem_free(r.table);
	mem_free(r.segs);
}
