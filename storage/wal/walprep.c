#include "storage/wal/walprep.h"

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/rt/thread.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walseg.h"

#define GROW_STEP (1u << 20) /* larger segments are multiples of this */

enum prep_kind {
	PREP_ASK,
	PREP_GIVE,
	PREP_DISCARD,
	PREP_STOP
};
struct prep_msg {
	struct mbox_msg msg;
	enum prep_kind kind;
	uint32_t slot;
	uint64_t min_bytes;
	struct fsio_file *file;
	struct mbox *answer_to;
	struct walprep_ready *answer;
};
struct spare {
	uint32_t slot;
	struct fsio_file *file; /* open and blank; NULL: as found at the start */
};
struct walprep {
	struct walprep_opts o;
	struct mbox *mbox;
	struct thread *thread;
	struct spare *spares;
	size_t spares_count;
	uint32_t next_slot;
	bool stuck; /* a freed segment could not be blanked */
};

void walprep_create(const struct walprep_opts *o, struct walprep **out)
{
	struct walprep *p = mem_zalloc(sizeof(*p));
	p->o = *o;
	p->next_slot = o->next_slot;
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
		LOG_WARN("log_remove", "segment=%s err=\"%s\"", name, err_text(e));
}

static enum err file_open(struct walprep *p, uint32_t slot, struct fsio_file **out)
{
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	return fsio_open(p->o.dir, name, FSIO_WRITE, out);
}

/* A file found at the start: only one of the right size is of use, and it has to be blanked. */
static enum err found_open(struct walprep *p, struct spare *s)
{
	if (s->file)
		return ERR_OK;
	struct fsio_file *f;
	enum err e = file_open(p, s->slot, &f);
	if (e)
		return e;
	uint64_t size;
	e = fsio_size(f, &size);
	if (!e && size != p->o.segment_bytes)
		e = ERR_TRUNCATED;
	if (!e)
		e = walseg_blank(f);
	if (e) {
		fsio_close(f);
		return e;
	}
	s->file = f;
	return ERR_OK;
}

enum err walprep_make(struct walprep *p, uint64_t min_bytes, struct walprep_spare *out)
{
	while (min_bytes <= p->o.segment_bytes && p->spares_count) {
		struct spare s = p->spares[--p->spares_count];
		if (found_open(p, &s)) {
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
	enum err e;
	do {
		out->slot = p->next_slot++;
		e = walseg_make(p->o.dir, out->slot, bytes, &out->file);
	} while (e == ERR_EXISTS);
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

/* (1) */
static void give(struct walprep *p, uint32_t slot, struct fsio_file *f)
{
	enum err e = p->stuck ? ERR_SYNC : ERR_OK;
	uint64_t size = 0;
	if (!e && !f)
		e = file_open(p, slot, &f);
	if (!e)
		e = fsio_size(f, &size);
	if (!e)
		e = walseg_blank(f);
	if (!e && size == p->o.segment_bytes && p->spares_count < p->o.spares_max) {
		p->spares[p->spares_count++] = (struct spare){ .slot = slot, .file = f };
		return;
	}
	fsio_close(f);
	if (!e) {
		file_remove(p, slot);
		return;
	}
	if (p->stuck)
		return;
	/* Not blank for sure: gone for sure will do as well. */
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	enum err r = fsio_remove(p->o.dir, name);
	if (!r || r == ERR_NOTFOUND)
		r = fsio_dir_sync(p->o.dir);
	p->stuck = r != ERR_OK;
	LOG_WARN("log_free", "segment=%s err=\"%s\" stuck=%d", name, err_text(e), p->stuck);
}

static bool prep_do(struct walprep *p, struct prep_msg *m)
{
	switch (m->kind) {
	case PREP_ASK:
		m->answer->err = walprep_make(p, m->min_bytes, &m->answer->spare);
		mbox_send(m->answer_to, &m->answer->msg);
		return true;
	case PREP_GIVE:
		give(p, m->slot, m->file);
		return true;
	case PREP_DISCARD:
		fsio_close(m->file);
		file_remove(p, m->slot);
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
		mbox_wait(p->mbox, -1);
		for (struct mbox_msg *m = mbox_take(p->mbox), *next; m; m = next) {
			next = m->next;
			struct prep_msg *pm = CONTAINER_OF(m, struct prep_msg, msg);
			on = prep_do(p, pm) && on;
			mem_free(pm);
		}
	}
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

void walprep_give(struct walprep *p, uint32_t slot, struct fsio_file *take_f)
{
	prep_send(p, (struct prep_msg){ .kind = PREP_GIVE, .slot = slot, .file = take_f });
}

void walprep_discard(struct walprep *p, uint32_t slot, struct fsio_file *take_f)
{
	prep_send(p, (struct prep_msg){ .kind = PREP_DISCARD, .slot = slot, .file = take_f });
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
	mbox_free(p->mbox);
	mem_free(p->spares);
	mem_free(p);
}
