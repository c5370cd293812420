#include "storage/wal/walprep.h"

#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/rt/thread.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walseg.h"

#define GROW_STEP     (1u << 20) /* larger segments are multiples of this */
#define FREE_RETRY_MS 1000       /* after a segment could not be freed */
#define NO_SLOT       UINT32_MAX

enum prep_kind {
	PREP_ASK,
	PREP_GIVE,
	PREP_STOP
};
struct prep_msg {
	struct mbox_msg msg;
	enum prep_kind kind;
	uint32_t slot;
	enum walprep_end how;
	uint64_t min_bytes;
	struct fsio_file *file;
	struct mbox *answer_to;
	struct walprep_ready *answer;
};
struct spare {
	uint32_t slot;
	struct fsio_file *file; /* open and blank; NULL: as found at the start */
};
struct freeing {
	uint32_t slot;
	struct fsio_file *file; /* NULL: not open */
	enum walprep_end how;
};
struct walprep {
	struct walprep_opts o;
	struct mbox *mbox;
	struct thread *thread;
	struct spare *spares;
	size_t spares_count;
	uint32_t next_slot;
	uint32_t left_slot;      /* of a file whose making failed, NO_SLOT = none: (2) */
	struct freeing *freeing; /* oldest first: (1) */
	size_t freeing_count, freeing_cap;
	bool stuck; /* the first of freeing has failed, which was logged */
};

void walprep_create(const struct walprep_opts *o, struct walprep **out)
{
	struct walprep *p = mem_zalloc(sizeof(*p));
	p->o = *o;
	p->next_slot = o->next_slot;
	p->left_slot = NO_SLOT;
	size_t cap = o->spares_count > o->spares_max ? o->spares_count : o->spares_max;
	p->spares = mem_array(NULL, cap + 1, sizeof(*p->spares));
	for (size_t i = 0; i < o->spares_count; i++)
		p->spares[p->spares_count++] = (struct spare){ .slot = o->spares[i] };
	p->o.spares = NULL;
	*out = p;
}

static void file_remove(struct walprep *p, uint32_t slot)
{
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	enum err e = fsio_remove(p->o.dir, name);
	if (!e)
		e = fsio_dir_sync(p->o.dir);
	if (e && e != ERR_NOTFOUND)
		LOG_WARN("log_remove", "segment=%s err=\"%s\"", name, err_why(e));
}

/* (3) */
static bool file_is_shared(struct walprep *p, uint32_t slot)
{
	struct fsio_stat st;
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	/* One that cannot be looked at may be. */
	return walog_holds(WALOG_BREAK_LINKS) && (fsio_stat(p->o.dir, name, &st) || st.links > 1);
}

static enum err file_open(struct walprep *p, uint32_t slot, struct fsio_file **out)
{
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	enum err e = fsio_open(p->o.dir, name, FSIO_WRITE, out);
	if (e || !p->o.direct)
		return e;
	e = fsio_direct(*out, true);
	(void)e; /* a file system without such writes: they go through the page cache */
	return ERR_OK;
}

/* One that takes no direct writes says so at the first one at the latest. */
static enum err file_blank(struct walprep *p, struct fsio_file *f)
{
	enum err e = walseg_blank(f);
	return e == ERR_IO && p->o.direct && !fsio_direct(f, false) ? walseg_blank(f) : e;
}

/* A file found at the start: only one of the right size is of use, and it has to be blanked. */
static enum err found_open(struct walprep *p, struct spare *s)
{
	if (s->file)
		return ERR_OK;
	struct fsio_file *f;
	if (file_is_shared(p, s->slot))
		return ERR_EXISTS;
	enum err e = file_open(p, s->slot, &f);
	if (e)
		return e;
	uint64_t size;
	e = fsio_size(f, &size);
	if (!e && size != p->o.segment_bytes)
		e = ERR_TRUNCATED;
	if (!e)
		e = file_blank(p, f);
	if (e) {
		fsio_close(f);
		return e;
	}
	s->file = f;
	return ERR_OK;
}

/* (2) */
static enum err left_remove(struct walprep *p)
{
	char name[WALSEG_NAME_MAX];
	if (p->left_slot == NO_SLOT)
		return ERR_OK;
	walseg_name(p->left_slot, name);
	enum err e = fsio_remove(p->o.dir, name);
	if (e && e != ERR_NOTFOUND)
		return e;
	p->left_slot = NO_SLOT;
	return ERR_OK;
}

enum err walprep_make(struct walprep *p, uint64_t min_bytes, struct walprep_spare *out)
{
	while (min_bytes <= p->o.segment_bytes && p->spares_count) {
		struct spare s = p->spares[--p->spares_count];
		enum err e = found_open(p, &s);
		if (e == ERR_NOFILES || e == ERR_NOMEM) { /* says nothing of the file */
			p->spares_count++;
			return e;
		}
		if (e) {
			file_remove(p, s.slot);
			continue;
		}
		*out = (struct walprep_spare){
			.file = s.file, .slot = s.slot, .bytes = p->o.segment_bytes
		};
		return ERR_OK;
	}
	uint64_t bytes = p->o.segment_bytes;
	if (min_bytes > bytes)
		bytes = (min_bytes + GROW_STEP - 1) / GROW_STEP * GROW_STEP;
	enum err e = left_remove(p);
	if (e)
		return e;
	do {
		out->slot = p->next_slot++;
		e = walseg_make(p->o.dir, out->slot, bytes, p->o.direct, &out->file);
	} while (e == ERR_EXISTS);
	if (e)
		p->left_slot = out->slot;
	out->bytes = bytes;
	return e;
}

static void spares_trim(struct walprep *p)
{
	while (p->spares_count > p->o.spares_max) {
		struct spare s = p->spares[--p->spares_count];
		fsio_close(s.file);
		file_remove(p, s.slot);
	}
}

static enum err seg_reuse(struct walprep *p, struct freeing *f)
{
	uint64_t size = 0;
	enum err e = f->file ? ERR_OK : file_open(p, f->slot, &f->file);
	if (!e)
		e = fsio_size(f->file, &size);
	if (!e)
		e = file_blank(p, f->file);
	if (e)
		return e;
	if (size == p->o.segment_bytes && p->spares_count < p->o.spares_max) {
		p->spares[p->spares_count++] = (struct spare){ .slot = f->slot, .file = f->file };
		return ERR_OK;
	}
	fsio_close(f->file);
	file_remove(p, f->slot); /* it is blank: what stays is a spare at the next start */
	return ERR_OK;
}

/* Gone for sure, or under another name. The file is closed by then. */
static enum err seg_away(struct walprep *p, struct freeing *f, enum walprep_end how)
{
	char name[WALSEG_NAME_MAX], aside[WALSEG_ASIDE_NAME_MAX];
	fsio_close(f->file);
	f->file = NULL;
	walseg_name(f->slot, name);
	walseg_aside_name(f->slot, WALSEG_WAITING, aside);
	enum err e =
	    how == WALPREP_ASIDE ? fsio_rename(p->o.dir, name, aside) : fsio_remove(p->o.dir, name);
	return e && e != ERR_NOTFOUND ? e : fsio_dir_sync(p->o.dir);
}

static enum err seg_end(struct walprep *p, struct freeing *f)
{
	if (f->how == WALPREP_REUSE && file_is_shared(p, f->slot))
		f->how = WALPREP_REMOVE;
	enum err e = f->how == WALPREP_REUSE ? seg_reuse(p, f) : seg_away(p, f, f->how);
	if (!e || f->how != WALPREP_REUSE || e == ERR_NOFILES || e == ERR_NOMEM)
		return e;
	/* Not blank for sure: gone for sure will do as well. */
	LOG_WARN("log_free", "segment=%08x err=\"%s\" then=remove", f->slot, err_why(e));
	f->how = WALPREP_REMOVE;
	return seg_away(p, f, f->how);
}

/* (1) */
static void segs_end(struct walprep *p)
{
	size_t done = 0;
	for (; done < p->freeing_count; done++) {
		enum err e = seg_end(p, &p->freeing[done]);
		if (e) {
			if (!p->stuck)
				LOG_WARN("log_free", "segment=%08x err=\"%s\" then=\"tried again\"",
				    p->freeing[done].slot, err_why(e));
			break;
		}
	}
	p->stuck = done < p->freeing_count;
	p->freeing_count -= done;
	if (p->freeing_count)
		memmove(p->freeing, p->freeing + done, p->freeing_count * sizeof(*p->freeing));
}

static void give(struct walprep *p, const struct freeing *f)
{
	if (p->freeing_count == p->freeing_cap) {
		p->freeing_cap = p->freeing_cap ? 2 * p->freeing_cap : 16;
		p->freeing = mem_array(p->freeing, p->freeing_cap, sizeof(*p->freeing));
	}
	p->freeing[p->freeing_count++] = *f;
	if (!p->stuck)
		segs_end(p);
}

static bool prep_do(struct walprep *p, struct prep_msg *m)
{
	switch (m->kind) {
	case PREP_ASK:
		m->answer->err = walprep_make(p, m->min_bytes, &m->answer->spare);
		snprintf(m->answer->why, sizeof(m->answer->why), "%s", err_why(m->answer->err));
		mbox_send(m->answer_to, &m->answer->msg);
		return true;
	case PREP_GIVE:
		give(p, &(struct freeing){ .slot = m->slot, .file = m->file, .how = m->how });
		return true;
	case PREP_STOP:
		break;
	}
	return false;
}

static void prep_main(void *arg)
{
	struct walprep *p = arg;
	spares_trim(p);
	for (bool on = true; on;) {
		/* Added to what the log writer tells of its segments: each thread has its share. */
		metric_gauge_set(M_BYTES_LOG, (int64_t)(p->spares_count * p->o.segment_bytes));
		mbox_wait(p->mbox, p->stuck ? FREE_RETRY_MS : -1);
		for (struct mbox_msg *m = mbox_take(p->mbox), *next; m; m = next) {
			next = m->next;
			struct prep_msg *pm = CONTAINER_OF(m, struct prep_msg, msg);
			on = prep_do(p, pm) && on;
			mem_free(pm);
		}
		if (p->stuck)
			segs_end(p);
	}
	metric_gauge_set(M_BYTES_LOG, 0);
}

enum err walprep_start(struct walprep *p)
{
	enum err e = mbox_create(&p->mbox);
	if (e)
		return e;
	return thread_start("walprep", prep_main, p, &p->thread);
}

/* Before the thread runs, and after it has ended, the caller does it. */
static void prep_send(struct walprep *p, struct prep_msg with)
{
	if (!p->thread) {
		prep_do(p, &with);
		return;
	}
	struct prep_msg *m = mem_alloc(sizeof(*m));
	*m = with;
	mbox_send(p->mbox, &m->msg);
}

void walprep_ask(struct walprep *p, uint64_t min_bytes, struct mbox *m, struct walprep_ready *answer)
{
	prep_send(p,
	    (struct prep_msg){
	        .kind = PREP_ASK, .min_bytes = min_bytes, .answer_to = m, .answer = answer });
}

void walprep_give(struct walprep *p, uint32_t slot, struct fsio_file *take_f, enum walprep_end how)
{
	prep_send(
	    p, (struct prep_msg){ .kind = PREP_GIVE, .slot = slot, .file = take_f, .how = how });
}

void walprep_stop(struct walprep *p)
{
	if (!p->thread)
		return;
	prep_send(p, (struct prep_msg){ .kind = PREP_STOP });
	thread_join(p->thread);
	p->thread = NULL;
}

void walprep_free(struct walprep *p)
{
	if (!p)
		return;
	CHECK(!p->thread);
	for (size_t i = 0; i < p->spares_count; i++)
		fsio_close(p->spares[i].file);
	for (size_t i = 0; i < p->freeing_count; i++) /* freed by the next start */
		fsio_close(p->freeing[i].file);
	mem_free(p->freeing);
	mbox_free(p->mbox);
	mem_free(p->spares);
	mem_free(p);
}
