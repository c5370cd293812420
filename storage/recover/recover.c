#include "storage/recover/recover.h"
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/asidebook.h"
#include "storage/space.h"
#include <stdio.h>
#include <stdlib.h>

#define STOP_FILES 16u /* opened between two looks at whether to go on */

struct call {
	struct mbox_msg msg;
	struct mbox *home;
	void (*fn)(void *arg);
	void *arg;
};

static void call_run(struct mbox_msg *msg)
{
	struct call *c = CONTAINER_OF(msg, struct call, msg);
	c->fn(c->arg);
	mbox_send(c->home, &c->msg);
}

void recover_on_all(const struct recover_env *env, void (*fn)(void *arg), void *args, size_t size)
{
	struct mbox *home;
	if (mbox_create(&home))
		panic("no mailbox to wait at");
	struct call *calls = mem_zalloc(env->loops * sizeof *calls);
	for (unsigned i = 0; i < env->loops; i++) {
		calls[i] = (struct call){ .home = home, .fn = fn, .arg = (char *)args + i * size };
		calls[i].msg.fn = call_run;
		loop_send(env->shares[i]->loop, &calls[i].msg);
	}
	for (unsigned open = env->loops; open;) {
		mbox_wait(home, -1);
		for (struct mbox_msg *m = mbox_take(home), *n; m; m = n) {
			n = m->next;
			open--;
		}
	}
	mem_free(calls);
	mbox_free(home);
}

/* ---- files ---- */

/* One lost file does not keep the rest from being served. */
static void file_lost(
    struct shard *sh, const struct files_entry *e, enum err err, const struct errbuf *why)
{
	LOG_ERROR("file_not_opened", "shard=%u file=%s err=%s text=\"%s\"", sh->index, e->name,
	    err_text(err), why->text);
	metric_add(M_FILES_LOST, 1);
	sh->lost = mem_array(sh->lost, sh->lost_count + 1, sizeof *sh->lost);
	sh->lost[sh->lost_count++] = (struct shard_lost){ .entry = *e, .err = err };
}

static enum err file_open(struct shard *sh, const struct files_entry *e, struct errbuf *eb)
{
	struct errbuf why;
	struct cfile *cf;
	enum err err = ERR_IO;
	/* disks do change their mind */
	for (unsigned tries = 0; err == ERR_IO && tries < 2; tries++) {
		errbuf_init(&why);
		err = cfile_open(sh->dir, e->name, &cf, &why);
	}
	if (err == ERR_NOFILES || err == ERR_NOMEM ||
	    err == ERR_UNSUPPORTED) /* nothing is wrong with it */
		return errbuf_set(eb, err, "%s/%s", fsio_dir_path(sh->dir), why.text);
	if (err) {
		file_lost(sh, e, err, &why);
		return ERR_OK;
	}
	if (cfile_salvaged(cf)) {
		LOG_WARN("file_salvaged", "shard=%u file=%s", sh->index, e->name);
		metric_add(M_DAMAGED_UNITS, 1);
	}
	struct shard_file *f = mem_zalloc(sizeof *f);
	list_init(&f->link);
	f->cfile = cf;
	f->entry = *e;
	shard_file_add(sh, f);
	if (e->t_max_ms > sh->t_newest_ms && e->samples)
		sh->t_newest_ms = e->t_max_ms;
	return 0;
}

/*
 * What the list has kept. A list of before newest times were kept, or made anew from the files, is
 * given what its files say: it is the best there is.
 */
static void newest_of_files(struct shard *sh, bool kept)
{
	struct newest *n = &sh->share->newest;
	struct files *fs = &sh->list;
	for (size_t i = 0; i < fs->newest_count; i++)
		(void)newest_tell(
		    n, fs->newest[i].tenant, fs->newest[i].own != 0, fs->newest[i].t_ms, 0);
	for (size_t i = 0; !kept && i < fs->count; i++) {
		const struct files_entry *e = &fs->entries[i];
		if (e->samples)
			(void)newest_tell(n, 0, (e->meta.flags & CFILE_OWN) != 0, e->t_max_ms, 0);
	}
	share_newest_save(sh->share, fs);
}

/* It is tried again; its name must not be given again meanwhile. */
static void not_cleaned(void *arg, const char *name)
{
	struct shard *sh = arg;
	uint64_t rank;
	unsigned serial;
	if (tombs_name_parse(name, &rank)) {
		if (rank >= sh->list.next_rank && rank < UINT64_MAX)
			sh->list.next_rank = rank + 1;
	} else if (cfile_name_parse(name, &rank, &serial)) {
		if (rank >= sh->list.next_rank && rank < UINT64_MAX)
			sh->list.next_rank = rank + 1;
		if (serial > sh->merge_serial)
			sh->merge_serial = serial;
	}
	removal_add(sh, name, NULL);
}

/* One lost file of deletions: what it hid shows again. */
static enum err tombs_open(struct shard *sh, const struct files_tomb *t, struct errbuf *eb)
{
	struct errbuf why;
	struct tombs *part = NULL;
	enum err err = ERR_IO;
	for (unsigned tries = 0; err == ERR_IO && tries < 2; tries++) {
		errbuf_init(&why);
		err = tombs_load(sh->dir, t->name, sh->index, &part, &why);
	}
	if (err == ERR_NOFILES || err == ERR_NOMEM)
		return errbuf_set(eb, err, "%s/%s", fsio_dir_path(sh->dir), why.text);
	if (err) {
		LOG_ERROR("deletions_lost", "shard=%u file=%s err=%s text=\"%s\"", sh->index,
		    t->name, err_text(err), why.text);
		metric_add(M_FILES_LOST, 1);
		return ERR_OK;
	}
	struct tombs *all = tombs_make(
	    sh->tombs, part->cuts, part->cuts_count, part->entries, part->count, NULL, NULL);
	tombs_unpin(part);
	shard_tombs_set(sh, all);
	return ERR_OK;
}

static enum err shard_files(const struct recover_env *env, struct shard *sh, struct errbuf *eb)
{
	char name[16];
	snprintf(name, sizeof name, "%02u", sh->index);
	enum err e = fsio_dir_sub(env->shards_dir, name, true, &sh->dir);
	if (e)
		return errbuf_set(eb, e, "%s/%s cannot be opened: %s",
		    fsio_dir_path(env->shards_dir), name, err_why(e));
	enum files_found found;
	files_release(&sh->list);
	struct errbuf why;
	errbuf_init(&why);
	e = files_load(sh->dir, sh->index, &sh->list, &found, &why);
	if (e)
		return errbuf_set(eb, e, "%s: FILES cannot be read: %s", fsio_dir_path(sh->dir),
		    why.text[0] ? why.text : err_why(e));
	sh->switcher = (struct files_switcher){ .dir = sh->dir };
	sh->list_current = found == FILES_FOUND_CURRENT;
	if (found == FILES_FOUND_PREV || found == FILES_FOUND_NONE) {
		LOG_ERROR("files_damaged", "shard=%u taken=%s files=%zu", sh->index,
		    found == FILES_FOUND_PREV ? "FILES.prev" : "\"what lies there\"", sh->list.count);
		size_t aside;
		e = files_aside(sh->dir, &sh->list, &aside, eb);
	}
	newest_of_files(sh, found == FILES_FOUND_CURRENT && sh->list.version > 1);
	/*
	 * Written again, synced, before anything is removed: what was read may never have reached
	 * the disk.
	 */
	if (!e)
		e = files_switch(&sh->switcher, &sh->list);
	if (e == ERR_NOSPACE && space_reserve_give(env->space, "the start"))
		e = files_switch(&sh->switcher, &sh->list);
	if (e)
		return errbuf_set(
		    eb, e, "%s: FILES cannot be written: %s", fsio_dir_path(sh->dir), err_why(e));
	size_t removed;
	e = files_clean(&sh->switcher, &sh->list, &removed, not_cleaned, sh);
	if (e) /* what nobody names takes room, no more */
		LOG_WARN("files_not_cleaned", "shard=%u err=%s text=\"%s\"", sh->index, err_text(e),
		    err_why(e));
	if (removed)
		LOG_INFO("files_cleaned", "shard=%u files=%zu", sh->index, removed);
	e = ERR_OK;
	for (size_t i = 0; i < sh->list.tombs_count && !e; i++)
		e = tombs_open(sh, &sh->list.tombs[i], eb);
	for (size_t i = 0; i < sh->list.count && !e; i++) {
		if (i % STOP_FILES == 0 && stopping_told(&env->stop))
			return errbuf_set(eb, ERR_STOPPING, "told to stop while files were opened");
		e = file_open(sh, &sh->list.entries[i], eb);
	}
	sh->number = sh->list.complete_to;
	sh->next_id = sh->list.next_id;
	/* ids that nothing else speaks of any more are not given again either */
	if (sh->tombs && sh->tombs->entries[sh->tombs->count - 1].id >= sh->next_id)
		sh->next_id = sh->tombs->entries[sh->tombs->count - 1].id + 1;
	sh->defs_from = sh->list.next_id;
	return e;
}

struct files_job {
	const struct recover_env *env;
	struct errbuf *eb;
	enum err err;
	unsigned loop;
};

/*
 * On the shards' loop, so that their lists are its own from the beginning; blocking is allowed
 * before ready.
 */
static void files_on_loop(void *arg)
{
	struct files_job *j = arg;
	struct share *share = j->env->shares[j->loop];
	for (unsigned k = 0; k < share->shards_count && !j->err; k++)
		j->err = shard_files(j->env, share->shards[k], j->eb);
}

enum err recover_files(const struct recover_env *env, struct errbuf *eb)
{
	struct files_job *jobs = mem_zalloc(env->loops * sizeof *jobs);
	struct errbuf *texts = mem_zalloc(env->loops * sizeof *texts);
	for (unsigned i = 0; i < env->loops; i++)
		jobs[i] = (struct files_job){ .env = env, .eb = &texts[i], .loop = i };
	recover_on_all(env, files_on_loop, jobs, sizeof *jobs);
	enum err e = 0;
	for (unsigned i = 0; i < env->loops && !e; i++)
		if (jobs[i].err)
			e = errbuf_set(eb, jobs[i].err, "%s", texts[i].text);
	mem_free(jobs);
	mem_free(texts);
	return e;
}

/* ---- the log ---- */

/* Some frames' payloads, shared by all loops until each has said it is done. */
struct piece {
	struct list_link link;
	struct buf bytes; /* payloads one after another */
	struct {
		size_t at, len;
		bool gone; /* a void frame: only numbers and ids count */
	} * frames;
	size_t count, cap;
	uint32_t open; /* loops not done; main's */
};
struct part { /* a group of a piece */
	struct walrec_group group;
	bool gone;
};
struct worker { /* one loop's part */
	struct mbox_msg msg;
	struct replayer *rp;
	struct share *share;
	struct piece *piece;
	struct walrec_reader reader;
	enum err err;
	struct part *parts;
	size_t parts_count, parts_cap;
	uint64_t groups;
	uint64_t *first;     /* [share's shards] number of the first group met; 0 = none yet */
	uint64_t err_number; /* group of err and its shard */
	uint32_t err_shard;
	bool busy; /* main's: the message is out */
};
struct replayer {
	const struct recover_env *env;
	struct mbox *home; /* main waits here */
	struct piece *filling;
	struct list_link spare; /* pieces to be filled again */
	struct list_link queue; /* full pieces, oldest first */
	size_t flight_bytes;
	struct worker *workers;
	struct piece **next;          /* [loops] the piece a loop gets next; NULL = none yet */
	enum err err;                 /* of a worker that is home: nothing more is taken */
	uint64_t *complete_to, *rank; /* [shards] as the start found them, for the book */
};

static void numbers_only(struct shard *sh, const struct walrec_group *g, struct walrec_reader *r)
{
	struct walrec_record rec;
	walrec_reader_open(r, g);
	while (walrec_next(r, &rec)) {
		uint32_t top = rec.tag == WALREC_DEF ? rec.id : 0;
		for (size_t i = 0; rec.tag == WALREC_ROWS && i < rec.count; i++)
			top = rec.ids[i] > top ? rec.ids[i] : top;
		if ((rec.tag == WALREC_DEF || rec.tag == WALREC_ROWS) && top >= sh->next_id &&
		    top < UINT32_MAX)
			sh->next_id = top + 1;
	}
	if (g->number > sh->void_number)
		sh->void_number = g->number;
}

static void worker_fail(struct worker *w, enum err e, const struct walrec_group *g)
{
	if (w->err)
		return;
	w->err = e;
	w->err_number = g->number;
	w->err_shard = g->shard;
}

/* Who owns groups of that number: those of metadata are loop 0's. NULL: nobody. */
static const struct share *share_of(const struct recover_env *env, uint32_t shard)
{
	if (shard < env->shards_count)
		return env->shards[shard]->share;
	return shard == env->shards_count ? env->shares[0] : NULL;
}

/* The groups of a frame that are this loop's go behind those it has. */
static void frame_split(struct worker *w, const uint8_t *payload, size_t len, bool gone)
{
	const struct recover_env *env = w->rp->env;
	struct walrec_groups it;
	struct walrec_group g;
	walrec_groups_init(&it, payload, len);
	while (walrec_groups_next(&it, &g)) {
		if (g.shard > env->shards_count)
			worker_fail(w, ERR_UNSUPPORTED, &g);
		if (share_of(env, g.shard) != w->share)
			continue;
		if (w->parts_count == w->parts_cap) {
			w->parts_cap = w->parts_cap ? w->parts_cap * 2 : 1024;
			w->parts = mem_array(w->parts, w->parts_cap, sizeof *w->parts);
		}
		w->parts[w->parts_count++] = (struct part){ .group = g, .gone = gone };
	}
	CHECK(!it.err || gone); /* replay has looked at those that count */
}

/*
 * Shard by shard, so that one group's series lie behind those of the group before; a shard's groups
 * keep their order.
 */
static void parts_apply(struct worker *w)
{
	for (unsigned k = 0; k < w->share->shards_count; k++) {
		struct shard *sh = w->share->shards[k];
		for (size_t i = 0; i < w->parts_count; i++) {
			const struct part *p = &w->parts[i];
			if (p->group.shard != sh->index)
				continue;
			w->groups++;
			if (!w->first[k])
				w->first[k] = p->group.number;
			if (p->gone) {
				numbers_only(sh, &p->group, &w->reader);
				continue;
			}
			enum err e = refill_group(sh, &p->group, &w->reader, &w->rp->env->metas);
			if (e) {
				worker_fail(w, e, &p->group);
				return;
			}
		}
	}
}

static void metas_apply(struct worker *w)
{
	const struct recover_env *env = w->rp->env;
	for (size_t i = 0; i < w->parts_count && !w->err; i++) {
		const struct part *p = &w->parts[i];
		if (p->group.shard != env->shards_count)
			continue;
		w->groups++;
		if (p->gone) {
			env->metas.number(env->metas.arg, p->group.number);
			continue;
		}
		enum err e = refill_metas_group(&p->group, &w->reader, &env->metas);
		if (e)
			worker_fail(w, e, &p->group);
	}
}

static void worker_home(struct mbox_msg *msg)
{
	(void)msg;
}

static void worker_run(struct mbox_msg *msg)
{
	struct worker *w = CONTAINER_OF(msg, struct worker, msg);
	struct piece *p = w->piece;
	w->parts_count = 0;
	for (size_t i = 0; i < p->count && !w->err; i++)
		frame_split(w, p->bytes.data + p->frames[i].at, p->frames[i].len, p->frames[i].gone);
	if (!w->err)
		parts_apply(w);
	if (!w->err)
		metas_apply(w);
	w->msg.fn = worker_home;
	mbox_send(w->rp->home, &w->msg);
}

static void piece_free(struct piece *p)
{
	buf_release(&p->bytes);
	mem_free(p->frames);
	mem_free(p);
}

static void piece_new(struct replayer *rp)
{
	if (!list_empty(&rp->spare)) {
		rp->filling = CONTAINER_OF(list_pop(&rp->spare), struct piece, link);
		rp->filling->count = 0;
		buf_clear(&rp->filling->bytes);
		return;
	}
	rp->filling = mem_zalloc(sizeof *rp->filling);
	list_init(&rp->filling->link);
	buf_init(&rp->filling->bytes);
	buf_reserve(&rp->filling->bytes, RECOVER_PIECE_BYTES + (64u << 10));
}

/* Idle loops get the next piece. */
static void pieces_send(struct replayer *rp)
{
	for (unsigned i = 0; i < rp->env->loops; i++) {
		struct worker *w = &rp->workers[i];
		if (w->busy || !rp->next[i])
			continue;
		w->piece = rp->next[i];
		struct list_link *after = w->piece->link.next;
		rp->next[i] = after == &rp->queue ? NULL : CONTAINER_OF(after, struct piece, link);
		w->busy = true;
		w->msg.fn = worker_run;
		loop_send(w->share->loop, &w->msg);
	}
}

static void pieces_take(struct replayer *rp)
{
	for (struct mbox_msg *m = mbox_take(rp->home), *n; m; m = n) {
		n = m->next;
		struct worker *w = CONTAINER_OF(m, struct worker, msg);
		struct piece *p = w->piece;
		w->busy = false;
		rp->err = rp->err ? rp->err : w->err;
		if (--p->open)
			continue;
		list_del(&p->link);
		rp->flight_bytes -= p->bytes.len;
		if (pool_keep(1))
			list_add_head(&rp->spare, &p->link);
		else
			piece_free(p);
	}
	pieces_send(rp);
}

static void piece_close(struct replayer *rp)
{
	struct piece *p = rp->filling;
	if (!p->count)
		return;
	p->open = rp->env->loops;
	list_add_tail(&rp->queue, &p->link);
	rp->flight_bytes += p->bytes.len;
	for (unsigned i = 0; i < rp->env->loops; i++)
		if (!rp->next[i])
			rp->next[i] = p;
	piece_new(rp);
	pieces_send(rp);
	pieces_take(rp);
	while (rp->flight_bytes > RECOVER_FLIGHT_BYTES) {
		mbox_wait(rp->home, -1);
		pieces_take(rp);
	}
}

static enum err frame_add(struct replayer *rp, const uint8_t *payload, size_t len, bool gone)
{
	struct piece *p = rp->filling;
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 256;
		p->frames = mem_array(p->frames, p->cap, sizeof *p->frames);
	}
	p->frames[p->count].at = p->bytes.len;
	p->frames[p->count].len = len;
	p->frames[p->count++].gone = gone;
	buf_add(&p->bytes, payload, len);
	if (p->bytes.len >= RECOVER_PIECE_BYTES)
		piece_close(rp);
	return 0;
}

static enum err on_frame(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	struct replayer *rp = arg;
	return rp->err ? rp->err : frame_add(rp, payload, len, false);
}

static void on_void(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	(void)frame_add(arg, payload, len, true);
}

static bool replay_stop(void *arg)
{
	const struct replayer *rp = arg;
	return stopping_told(&rp->env->stop);
}

/* The checksum of the frame is right: not damage, but what another version wrote. */
static enum err replay_refused(const struct replayer *rp, struct errbuf *eb)
{
	for (unsigned i = 0; i < rp->env->loops; i++) {
		const struct worker *w = &rp->workers[i];
		if (w->err)
			return errbuf_set(eb, w->err,
			    "%s: group %llu of shard %u is of a later format than this program knows (%u)",
			    fsio_dir_path(rp->env->log_dir), (unsigned long long)w->err_number,
			    w->err_shard, WALREC_VERSION);
	}
	return ERR_OK;
}

/*
 * Segments go oldest first, when what they hold is in files: a log that begins later than FILES
 * says has lost its beginning, which its own frames cannot tell. What the replay counted as damage
 * already is not counted again.
 */
static void beginning_check(const struct replayer *rp, const struct replay_result *log)
{
	if (log->damaged_frames || log->asides_count)
		return;
	for (unsigned i = 0; i < rp->env->loops; i++) {
		const struct worker *w = &rp->workers[i];
		for (unsigned k = 0; k < w->share->shards_count; k++) {
			const struct shard *sh = w->share->shards[k];
			uint64_t next = sh->list.complete_to + 1;
			if (!sh->list_current || w->first[k] <= next ||
			    w->first[k] - next >= SHARD_NUMBER_JUMP)
				continue;
			metric_add(M_LOG_DAMAGED_FRAMES, 1);
			LOG_ERROR("log_beginning_missing", "shard=%u groups=%llu", sh->index,
			    (unsigned long long)(w->first[k] - next));
		}
	}
}

/* ---- ids that only rows spoke of ---- */

#define UNDEFINED_SET 16384u /* ids per look into the catalog */

struct undefined {
	const struct recover_env *env;
	struct share *share;
	struct shard *shard; /* the one at hand */
	uint32_t *ids;       /* ascending, not defined yet */
	uint32_t count;
	uint64_t dropped, found;
};

static int by_id(const void *a, const void *b)
{
	uint32_t x = wire_load32(a), y = wire_load32(b);
	return (x > y) - (x < y);
}

static uint32_t *undefined_ids(const struct head *h, uint32_t *count)
{
	uint32_t n = 0, *ids = NULL;
	for (int pass = 0; pass < 2; pass++) {
		n = 0;
		for (uint32_t slot = 0; slot < h->slots_count; slot++) {
			const struct series *s = head_at(h, slot);
			if ((s->flags & (SERIES_USED | SERIES_UNDEFINED)) !=
			    (SERIES_USED | SERIES_UNDEFINED))
				continue;
			if (pass)
				ids[n] = s->id;
			n++;
		}
		if (!pass)
			ids = mem_array(NULL, n ? n : 1, sizeof *ids);
	}
	qsort(ids, n, sizeof *ids, by_id);
	*count = n;
	return ids;
}

static bool is_undefined(const struct shard *sh, uint32_t id)
{
	const struct series *s = head_by_id(&sh->head, id);
	return s && (s->flags & SERIES_UNDEFINED);
}

/* Those that are defined by now leave. */
static void ids_left(struct undefined *u)
{
	uint32_t left = 0;
	for (uint32_t i = 0; i < u->count; i++)
		if (is_undefined(u->shard, u->ids[i]))
			u->ids[left++] = u->ids[i];
	u->found += u->count - left;
	u->count = left;
}

/* A damaged block or a failing disk leaves the rest to others. */
static void define_from_file(struct undefined *u, struct cfile *cf)
{
	struct cfile_defs *defs;
	if (cfile_defs_create(cf, u->ids[0], &defs))
		return;
	uint32_t id, tenant, at = 0;
	struct labels ls;
	while (at < u->count && !cfile_defs_next(defs, &id, &tenant, &ls)) {
		while (at < u->count && u->ids[at] < id)
			at++;
		if (at < u->count && u->ids[at] == id)
			refill_define(u->shard, u->ids[at++], tenant, ls);
		if (at < u->count)
			cfile_defs_skip(defs, u->ids[at]);
	}
	cfile_defs_free(defs);
	ids_left(u);
}

/*
 * The catalog has worked in all files that could be opened, and those of old that could not. False:
 * it did not tell.
 */
static bool define_from_catalog(struct undefined *u)
{
	struct catalog *c = u->shard->catalog;
	if (!c || shard_catalog_is_behind(u->shard)) /* the files know more */
		return false;
	struct arena a;
	struct errbuf eb;
	enum err e = ERR_OK;
	arena_init(&a, 1 << 20);
	errbuf_init(&eb);
	struct labels *ls = mem_array(NULL, UNDEFINED_SET, sizeof *ls);
	uint32_t *tenants = mem_array(NULL, UNDEFINED_SET, sizeof *tenants);
	for (uint32_t at = 0, n; !e && at < u->count; at += n) {
		n = u->count - at < UNDEFINED_SET ? u->count - at : UNDEFINED_SET;
		arena_reset(&a, 1 << 20);
		e = catalog_labels(c, u->shard->index, u->ids + at, n, &a, ls, tenants, &eb);
		for (uint32_t i = 0; !e && i < n; i++)
			if (ls[i].len)
				refill_define(u->shard, u->ids[at + i], tenants[i], ls[i]);
	}
	if (e)
		LOG_WARN("catalog_read_failed", "shard=%u err=%s text=\"%s\"", u->shard->index,
		    err_text(e), eb.text);
	mem_free(tenants);
	mem_free(ls);
	arena_release(&a);
	ids_left(u);
	return !e;
}

/*
 * The newest files have the labels of what is active now: backwards as long as each one gives some.
 * Then the catalog is asked, so that an id that stands nowhere does not cost all labels of all
 * files.
 */
static void define_all(struct undefined *u)
{
	struct list_link *files = &u->shard->files, *l = files->prev;
	bool asked = false;
	for (; u->count && l != files && !stopping_told(&u->env->stop); l = l->prev) {
		struct cfile *cf = CONTAINER_OF(l, struct shard_file, link)->cfile;
		uint32_t before = u->count;
		if (!cfile_stats(cf)->blocks)
			continue;
		define_from_file(u, cf);
		if (u->count == before && !asked) {
			asked = true;
			if (define_from_catalog(u))
				return;
		}
	}
	if (u->count && !asked)
		(void)define_from_catalog(u);
}

/*
 * Rows without a series are dropped from memory. When a lost file may define it they stay in the
 * log.
 */
static void undefined_drop(struct undefined *u)
{
	struct shard *sh = u->shard;
	for (uint32_t i = 0; i < u->count; i++) {
		uint32_t slot = head_slot_by_id(&sh->head, u->ids[i]);
		struct series_run live = series_live(head_at(&sh->head, slot));
		u->dropped += series_run_count(&live);
		head_drop(&sh->head, slot, 0);
	}
	for (size_t i = 0; u->count && i < sh->lost_count; i++)
		sh->log_held |= shard_lost_returns(&sh->lost[i]);
	if (sh->log_held)
		LOG_ERROR("log_held",
		    "shard=%u series=%u then=\"rows stay in the log until a start can read the lost files\"",
		    sh->index, u->count);
}

static void undefined_shard(struct undefined *u, struct shard *sh)
{
	u->shard = sh;
	u->ids = undefined_ids(&sh->head, &u->count);
	define_all(u);
	undefined_drop(u);
	mem_free(u->ids);
}

/* Newest first: what a log remembers was there lately. */
static bool in_files(const struct shard *sh, uint32_t id)
{
	for (struct list_link *l = sh->files.prev; l != &sh->files; l = l->prev)
		if (cfile_has(CONTAINER_OF(l, struct shard_file, link)->cfile, id))
			return true;
	return false;
}

/*
 * The log may still define a series whose files retention has taken, definition and all. No file
 * would define it again, as its id is not new, and its next rows would be nobody's after the log
 * has gone on: it leaves, and comes back under a new id.
 */
static void forget_retired(struct shard *sh)
{
	struct head *h = &sh->head;
	for (uint32_t slot = 0; slot < h->slots_count; slot++) {
		const struct series *s = head_at(h, slot);
		if (!(s->flags & SERIES_USED) || s->id >= sh->list.next_id || series_has_live(s) ||
		    in_files(sh, s->id))
			continue;
		head_drop(h, slot, label_fingerprint(series_labels(s), s->tenant, sh->seed).lo);
	}
}

static void finish_on_loop(void *arg)
{
	struct undefined *u = arg;
	struct share *share = u->share;
	for (unsigned k = 0; k < share->shards_count; k++) {
		struct shard *sh = share->shards[k];
		undefined_shard(u, sh);
		forget_retired(sh);
		if (sh->void_number > sh->number)
			sh->number = sh->void_number;
		if (sh->list.next_number > sh->number + 1)
			sh->number = sh->list.next_number - 1;
	}
}

static void count_on_loop(void *arg)
{
	struct share *share = *(struct share **)arg;
	uint64_t series = 0;
	for (unsigned k = 0; k < share->shards_count; k++)
		series += share->shards[k]->head.series_count;
	share->series[share->index] = series;
	metric_gauge_set(M_SERIES_ACTIVE, (int64_t)series);
}

void recover_newest(const struct recover_env *env)
{
	struct newest all = { 0 };
	struct clockwatch_now now;
	clock_both(&now.wall_ms, &now.mono_ns);
	for (unsigned i = 0; i < env->loops; i++)
		newest_tell_all(&all, &env->shares[i]->newest, now.mono_ns);
	for (unsigned i = 0; i < env->loops; i++)
		newest_tell_all(&env->shares[i]->newest, &all, now.mono_ns);
	int64_t senders = newest_senders(&all), own = newest_own(&all);
	clockwatch_start(env->clock, now, senders, own > senders ? own : senders);
	newest_release(&all);
}

void recover_tell(const struct recover_env *env)
{
	recover_on_all(env, count_on_loop, env->shares, sizeof *env->shares);
	for (unsigned i = 0; i < env->loops; i++)
		for (unsigned k = 0; k < env->loops; k++) {
			const struct share *from = env->shares[k];
			env->shares[i]->series[k] = from->series[k];
		}
}

/* ---- what lies aside ---- */

static void numbers_free(struct replayer *rp)
{
	mem_free(rp->complete_to);
	mem_free(rp->rank);
}

static void numbers_note(struct replayer *rp)
{
	const struct recover_env *env = rp->env;
	rp->complete_to = mem_array(NULL, env->shards_count, sizeof(uint64_t));
	rp->rank = mem_array(NULL, env->shards_count, sizeof(uint64_t));
	for (unsigned i = 0; i < env->shards_count; i++) {
		rp->complete_to[i] = env->shards[i]->list.complete_to;
		rp->rank[i] = env->shards[i]->list.next_rank;
	}
}

/* The memory goes on without it: tried again when the start is over (restore.c). */
static void book_save(const struct recover_env *env)
{
	enum err e = asidebook_save(env->book, env->dir);
	if (e)
		LOG_ERROR("aside_not_noted", "file=%s/" ASIDEBOOK_NAME " err=\"%s\"",
		    fsio_dir_path(env->dir), err_why(e));
}

/*
 * Before a round may put rows behind it into files: complete_to would speak of its rows, too, when
 * this start is killed and the next one looks.
 */
static void on_aside(void *arg, uint32_t slot)
{
	const struct replayer *rp = arg;
	asidebook_note(rp->env->book, slot, rp->complete_to, rp->rank);
	book_save(rp->env);
}

struct asides {
	uint32_t *slots;
	size_t count;
};

static void asides_add(struct asides *a, uint32_t slot)
{
	a->slots = mem_array(a->slots, a->count + 1, sizeof(*a->slots));
	a->slots[a->count++] = slot;
}

static enum err aside_name(void *arg, const char *name)
{
	uint32_t slot;
	enum walseg_aside why;
	if (walseg_aside_parse(name, &slot, &why) && why != WALSEG_DAMAGED)
		asides_add(arg, slot);
	return ERR_OK;
}

/* The log is read: what lies aside, and what will, because it is not to be blanked. */
static void book_settle(const struct replayer *rp, const struct replay_result *log)
{
	const struct recover_env *env = rp->env;
	struct asides a = { 0 };
	if (fsio_dir_each(env->log_dir, aside_name, &a)) { /* then none of it goes from the book */
		mem_free(a.slots);
		return;
	}
	for (size_t i = 0; i < log->asides_count; i++)
		if (log->asides[i].why == WALSEG_UNREAD)
			asides_add(&a, log->asides[i].slot);
	for (size_t i = 0; i < log->segments_count; i++) {
		if (!log->segments[i].keep)
			continue;
		asides_add(&a, log->segments[i].slot);
		asidebook_note(env->book, log->segments[i].slot, rp->complete_to, rp->rank);
	}
	asidebook_keep(env->book, a.slots, a.count);
	book_save(env);
	mem_free(a.slots);
}

enum err recover_log(const struct recover_env *env, struct replay_result *log, struct errbuf *eb)
{
	struct replayer rp = { .env = env };
	uint64_t begun = clock_real_mono_ns();
	enum err e = mbox_create(&rp.home);
	if (e)
		return errbuf_set(eb, e, "no mailbox for recovery");
	list_init(&rp.queue);
	list_init(&rp.spare);
	rp.workers = mem_zalloc(env->loops * sizeof *rp.workers);
	rp.next = mem_zalloc(env->loops * sizeof *rp.next);
	for (unsigned i = 0; i < env->loops; i++) {
		rp.workers[i].rp = &rp;
		rp.workers[i].share = env->shares[i];
		rp.workers[i].first =
		    mem_zalloc((env->shares[i]->shards_count + 1) * sizeof(uint64_t));
		walrec_reader_init(&rp.workers[i].reader);
	}
	piece_new(&rp);
	numbers_note(&rp);
	static const struct replay_ops ops = {
		.frame = on_frame, .void_frame = on_void, .aside = on_aside, .stop = replay_stop
	};
	e = replay_run(env->log_dir, &ops, &rp, log, eb);
	piece_close(&rp);
	while (!list_empty(&rp.queue)) {
		mbox_wait(rp.home, -1);
		pieces_take(&rp);
	}
	piece_free(rp.filling);
	for (struct list_link *l; (l = list_pop(&rp.spare)) != NULL;)
		piece_free(CONTAINER_OF(l, struct piece, link));
	enum err refused = replay_refused(&rp, eb);
	if (refused && !e)
		replay_result_release(log);
	e = e ? e : refused;
	if (!e)
		beginning_check(&rp, log);
	uint64_t groups = 0;
	for (unsigned i = 0; i < env->loops; i++) {
		groups += rp.workers[i].groups;
		walrec_reader_release(&rp.workers[i].reader);
		mem_free(rp.workers[i].parts);
		mem_free(rp.workers[i].first);
	}
	mem_free(rp.workers);
	mem_free(rp.next);
	mbox_free(rp.home);
	if (e) {
		numbers_free(&rp);
		return e;
	}
	uint64_t dropped = 0, found = 0;
	struct undefined *u = mem_zalloc(env->loops * sizeof *u);
	for (unsigned i = 0; i < env->loops; i++)
		u[i] = (struct undefined){ .env = env, .share = env->shares[i] };
	recover_on_all(env, finish_on_loop, u, sizeof *u);
	for (unsigned i = 0; i < env->loops; i++) {
		dropped += u[i].dropped;
		found += u[i].found;
	}
	mem_free(u);
	if (stopping_told(&env->stop)) { /* what looks undefined may not be so */
		replay_result_release(log);
		numbers_free(&rp);
		return errbuf_set(eb, ERR_STOPPING, "told to stop while definitions were read");
	}
	for (size_t i = 0; i < env->shards_count; i++)
		env->shards[i]->log_waits = log->unread_count > 0;
	if (dropped) {
		/*
		 * What could not be read may define them: nothing of the log is blanked then
		 * (restore.h).
		 */
		for (size_t i = 0; log->unread_count && i < log->segments_count; i++)
			log->segments[i].keep = true;
		LOG_WARN("rows_undefined", "rows=%llu", (unsigned long long)dropped);
		metric_add(M_ROWS_UNDEFINED, dropped);
	}
	book_settle(&rp, log);
	numbers_free(&rp);
	LOG_INFO("log_replayed",
	    "frames=%llu bytes=%llu groups=%llu defined_by_files=%llu took_ms=%llu",
	    (unsigned long long)log->frames, (unsigned long long)log->bytes,
	    (unsigned long long)groups, (unsigned long long)found,
	    (unsigned long long)((clock_real_mono_ns() - begun) / 1000000u));
	return 0;
}
