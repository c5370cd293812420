#include "storage/back/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/rt/latch.h"
#include "storage/asidebook.h"
#include "storage/back/back.h"
#include "storage/shard.h"
#include "storage/wal/walog.h"
#include "storage/wal/walseg.h"

#define COPY_MAX     (128u << 20) /* of a file that is copied: a million tenants have 72 MB */
#define NAME_LEN     33u
#define SHARD_FORMAT "%02u"

/* Replaced whole, so linked; appended to or written twice, so copied. */
static const char *const linked[] = { "METADATA", "CARDINALITY", ASIDEBOOK_NAME };
static const char *const copied[] = { "TENANTS.a", "TENANTS.b", "MANIFEST.a", "MANIFEST.b" };

/* What to do about it: retention cannot free what snapshots hold, nor wait for the next round. */
#define FULL                                                                                        \
 ". The disk is full, and a snapshot needs some KB for names of files and the end of the log: "     \
 "remove one that is not needed (kymoctl snapshot --list, --remove NAME), keep less (--retention, " \
 "--retention.size), or enlarge the disk"

enum step {
	REST,
	PREPARE,
	HOLD,
	LINK,
	CUT,
	FINISH,
	CLEAN,
	ELSE /* a list, a deletion */
};

struct part { /* what one task links: a shard, or what is beside the shards (shard NULL) */
	struct work_task task;
	struct snapshots *s;
	struct shard *shard;
	enum err err;
	char why[256];
	uint64_t files, bytes, missing;
};

struct snapshots {
	const struct snapshots_env *env;
	struct list_link waiting; /* requests */
	unsigned waiting_count;
	struct latch stopping;
	bool stopped;
	struct loop_timer timer;
	/* the one under way */
	enum step step;
	struct snapshot_req *req;
	struct walog_hold hold;
	bool held;
	char name[SNAPSHOT_NAME_MAX + sizeof(SNAPSHOT_PART)];
	struct work_task task;
	struct part *parts; /* [shards_count + 1] */
	unsigned parts_open;
	enum err err;
	char why[256];
	uint64_t files, bytes, missing;
	uint64_t begun_ns, held_ns, loop_ns;
	/* a look at all of them */
	struct work_task look_task;
	bool looking, look_again;
	uint64_t look_count, look_bytes;
};

struct snapshots *snapshots_create(const struct snapshots_env *env)
{
	struct snapshots *s = mem_zalloc(sizeof(*s));
	s->env = env;
	list_init(&s->waiting);
	s->parts = mem_zalloc((env->shards_count + 1) * sizeof(*s->parts));
	return s;
}

void snapshots_free(struct snapshots *s)
{
	if (!s)
		return;
	CHECK(!snapshots_busy(s));
	mem_free(s->parts);
	mem_free(s);
}

bool snapshots_busy(const struct snapshots *s)
{
	return s->step != REST || s->looking;
}

/* ---- names ---- */

static bool digits(const char *p, unsigned count, int *out)
{
	*out = 0;
	for (unsigned i = 0; i < count; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		*out = *out * 10 + (p[i] - '0');
	}
	return true;
}

bool snapshot_name_parse(const char *name, int64_t *made_ms)
{
	struct tm tm = { 0 };
	if (strlen(name) != NAME_LEN || name[8] != 'T' || name[15] != 'Z' || name[16] != '-' ||
	    !digits(name, 4, &tm.tm_year) || !digits(name + 4, 2, &tm.tm_mon) ||
	    !digits(name + 6, 2, &tm.tm_mday) || !digits(name + 9, 2, &tm.tm_hour) ||
	    !digits(name + 11, 2, &tm.tm_min) || !digits(name + 13, 2, &tm.tm_sec) ||
	    strspn(name + 17, "0123456789abcdef") != 16)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (made_ms)
		*made_ms = (int64_t)timegm(&tm) * 1000;
	return true;
}

void snapshot_name_make(char out[SNAPSHOT_NAME_MAX], int64_t now_ms)
{
	time_t now = (time_t)(now_ms / 1000);
	struct tm tm;
	uint64_t chance = 0;
	while (getrandom(&chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
		; /* eight bytes come whole once the kernel is seeded; a signal may interrupt */
	gmtime_r(&now, &tm);
	char time_text[24];
	CHECK(strftime(time_text, sizeof(time_text), "%Y%m%dT%H%M%SZ", &tm) == 16);
	(void)snprintf(out, SNAPSHOT_NAME_MAX, "%.16s-%04x%012" PRIx64, time_text,
	    (unsigned)(now_ms % 1000), chance >> 16);
}

/* Of a snapshot: whatever else somebody put there is theirs. */
static bool name_is_part(const char *name)
{
	char stem[SNAPSHOT_NAME_MAX];
	(void)snprintf(stem, sizeof(stem), "%.*s", (int)NAME_LEN, name);
	return strlen(name) > NAME_LEN && strcmp(name + NAME_LEN, SNAPSHOT_PART) == 0 &&
	    snapshot_name_parse(stem, NULL);
}

/* ---- on workers ---- */

static enum err told(char *why, size_t size, enum err e, const char *what, const char *name)
{
	if (e)
		(void)snprintf(why, size, "%s %s: %s", what, name, err_why(e));
	return e;
}

/* snapshots/NAME.part/sub; sub NULL: itself. */
static enum err part_dir(
    const struct snapshots *s, const char *sub, bool create, struct fsio_dir **out)
{
	struct fsio_dir *all, *one;
	enum err e = fsio_dir_sub(s->env->dir, SNAPSHOTS_DIR, create, &all);
	if (e)
		return e;
	e = fsio_dir_sub(all, s->name, create, &one);
	fsio_dir_close(all);
	if (e || !sub) {
		if (!e)
			*out = one;
		return e;
	}
	e = fsio_dir_sub(one, sub, create, out);
	fsio_dir_close(one);
	return e;
}

static enum err count_one(void *arg, const char *name)
{
	*(unsigned *)arg += snapshot_name_parse(name, NULL);
	return ERR_OK;
}

static enum err prepare(struct snapshots *s)
{
	struct fsio_dir *all = NULL, *log = NULL, *shards = NULL;
	unsigned count = 0;
	enum err e = fsio_dir_sub(s->env->dir, SNAPSHOTS_DIR, true, &all);
	if (!e)
		e = fsio_dir_each(all, count_one, &count);
	if (all)
		fsio_dir_close(all);
	if (!e && count >= SNAPSHOTS_MAX) {
		(void)snprintf(s->why, sizeof(s->why),
		    "there are %u snapshots, as many as there may be: delete some", count);
		return ERR_TOOBIG;
	}
	if (!e)
		e = part_dir(s, "log", true, &log);
	if (!e)
		e = part_dir(s, "shards", true, &shards);
	for (unsigned i = 0; !e && i < s->env->shards_count; i++) {
		char name[16];
		struct fsio_dir *d;
		(void)snprintf(name, sizeof(name), SHARD_FORMAT, i);
		e = fsio_dir_sub(shards, name, true, &d);
		if (!e)
			fsio_dir_close(d);
	}
	if (log)
		fsio_dir_close(log);
	if (shards)
		fsio_dir_close(shards);
	return told(s->why, sizeof(s->why), e, "directories of", s->name);
}

struct linking {
	struct part *part;
	struct fsio_dir *from, *to;
};

static enum err link_one(void *arg, const char *name)
{
	struct linking *l = arg;
	struct part *p = l->part;
	struct fsio_stat st;
	if (latch_is_set(&p->s->stopping))
		return ERR_STOPPING;
	enum err e = fsio_link_to(l->from, name, l->to, name);
	if (!e)
		e = fsio_stat(l->to, name, &st);
	if (!e) {
		p->files++;
		p->bytes += st.size;
	}
	return e == ERR_NOTFOUND ? e : told(p->why, sizeof(p->why), e, "link of", name);
}

/* What a list names and is not there is lost here as well; the copy will say so, too. */
static enum err link_named(void *arg, const char *name)
{
	struct linking *l = arg;
	enum err e = link_one(arg, name);
	if (e != ERR_NOTFOUND)
		return e;
	l->part->missing++;
	return ERR_OK;
}

static enum err link_if_there(struct linking *l, const char *name)
{
	enum err e = link_one(l, name);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err shard_link(struct part *p, struct fsio_dir *to)
{
	struct shard *sh = p->shard;
	struct linking l = { .part = p, .from = sh->dir, .to = to };
	struct files fs;
	struct errbuf eb;
	uint8_t *text = NULL;
	size_t len;
	errbuf_init(&eb);
	enum err e = fsio_load(sh->dir, FILES_NAME, FILES_SIZE_MAX, &text, &len);
	if (e)
		return told(p->why, sizeof(p->why), e, "reading", FILES_NAME);
	e = files_parse(text, len, &fs, &eb);
	mem_free(text);
	if (e) {
		(void)snprintf(p->why, sizeof(p->why), "shard %u: %.200s", sh->index, eb.text);
		return e;
	}
	e = files_names(&fs, link_named, &l);
	files_release(&fs);
	if (!e)
		e = link_one(&l, FILES_NAME);
	if (!e)
		e = told(p->why, sizeof(p->why), fsio_dir_sync(to), "sync of", fsio_dir_path(to));
	return e;
}

/* Segments that wait for a later start to take them in. */
static enum err aside_link(void *arg, const char *name)
{
	uint32_t slot;
	enum walseg_aside why;
	if (!walseg_aside_parse(name, &slot, &why) || why == WALSEG_DAMAGED)
		return ERR_OK;
	return link_if_there(arg, name);
}

static enum err beside_link(struct part *p)
{
	struct snapshots *s = p->s;
	struct linking l = { .part = p, .from = s->env->dir };
	enum err e = part_dir(s, NULL, false, &l.to);
	for (size_t i = 0; !e && i < COUNT_OF(linked); i++)
		e = link_if_there(&l, linked[i]);
	if (l.to)
		fsio_dir_close(l.to);
	if (e || s->req->skip_head)
		return e;
	l.from = s->env->log_dir;
	l.to = NULL;
	e = part_dir(s, "log", false, &l.to);
	if (!e)
		e = fsio_dir_each(l.from, aside_link, &l);
	if (l.to)
		fsio_dir_close(l.to);
	return e;
}

static void part_run(struct work_task *t)
{
	struct part *p = CONTAINER_OF(t, struct part, task);
	if (!p->shard) {
		p->err = beside_link(p);
		return;
	}
	struct fsio_dir *shards = NULL, *to = NULL;
	char name[16];
	(void)snprintf(name, sizeof(name), SHARD_FORMAT, p->shard->index);
	p->err = part_dir(p->s, "shards", false, &shards);
	if (!p->err)
		p->err = fsio_dir_sub(shards, name, false, &to);
	if (!p->err)
		p->err = shard_link(p, to);
	if (to)
		fsio_dir_close(to);
	if (shards)
		fsio_dir_close(shards);
}

static enum err segment_link(struct snapshots *s, size_t i, struct fsio_dir *to)
{
	struct fsio_stat st;
	char name[WALSEG_NAME_MAX];
	if (latch_is_set(&s->stopping))
		return ERR_STOPPING;
	walseg_name(s->hold.slots[i], name);
	enum err e = walog_hold_link(&s->hold, i, s->env->log_dir, to);
	if (!e)
		e = fsio_stat(to, name, &st);
	s->files += !e;
	s->bytes += e ? 0 : st.size;
	if (e)
		(void)snprintf(
		    s->why, sizeof(s->why), "log: link or copy of %s: %s", name, err_why(e));
	return e;
}

static enum err segments_link(struct snapshots *s)
{
	struct fsio_dir *to = NULL;
	enum err e = told(s->why, sizeof(s->why), part_dir(s, "log", false, &to), "directory", "log");
	for (size_t i = 0; !e && i < s->hold.slots_count; i++)
		e = segment_link(s, i, to);
	if (!e)
		e = told(s->why, sizeof(s->why), fsio_dir_sync(to), "sync of", "log");
	if (to)
		fsio_dir_close(to);
	return e;
}

static enum err copy_one(struct snapshots *s, struct fsio_dir *to, const char *name)
{
	uint8_t *data = NULL;
	size_t len;
	enum err e = fsio_load(s->env->dir, name, COPY_MAX, &data, &len);
	if (e == ERR_NOTFOUND) /* there is one tenant, or one copy of two */
		return ERR_OK;
	if (!e)
		e = fsio_replace(to, name, data, len);
	mem_free(data);
	s->files += !e;
	s->bytes += e ? 0 : len;
	return told(s->why, sizeof(s->why), e, "copy of", name);
}

static enum err part_rename(struct snapshots *s)
{
	struct fsio_dir *all;
	enum err e = fsio_dir_sub(s->env->dir, SNAPSHOTS_DIR, false, &all);
	if (e)
		return told(s->why, sizeof(s->why), e, "directory", SNAPSHOTS_DIR);
	e = fsio_rename(all, s->name, s->req->name);
	if (!e)
		e = fsio_dir_sync(all);
	fsio_dir_close(all);
	return told(s->why, sizeof(s->why), e, "renaming of", s->name);
}

static enum err finish(struct snapshots *s)
{
	struct fsio_dir *top = NULL;
	enum err e = s->req->skip_head ? ERR_OK : segments_link(s);
	if (!e)
		e = told(
		    s->why, sizeof(s->why), part_dir(s, NULL, false, &top), "directory", s->name);
	for (size_t i = 0; !e && i < COUNT_OF(copied); i++)
		e = copy_one(s, top, copied[i]);
	if (!e)
		e = told(s->why, sizeof(s->why), fsio_dir_sync(top), "sync of", s->name);
	if (top)
		fsio_dir_close(top);
	return e ? e : part_rename(s);
}

/* It may have its name already, when the sync of that failed: whole, but it goes all the same. */
static void clean(struct snapshots *s)
{
	struct fsio_dir *all;
	if (fsio_dir_sub(s->env->dir, SNAPSHOTS_DIR, false, &all))
		return;
	(void)!fsio_rename(all, s->req->name, s->name);
	enum err e = fsio_remove_tree(all, s->name);
	if (e)
		LOG_WARN("snapshot_not_removed", "name=%s err=\"%s\" then=\"at the next start\"",
		    s->name, err_why(e));
	fsio_dir_close(all);
}

static enum err drop(struct snapshots *s)
{
	struct fsio_dir *all;
	struct snapshot_req *r = s->req;
	if (!snapshot_name_parse(r->name, NULL))
		return errbuf_set(&r->eb, ERR_NOTFOUND, "there is no snapshot of this name");
	enum err e = fsio_dir_sub(s->env->dir, SNAPSHOTS_DIR, false, &all);
	if (!e) {
		e = fsio_rename(all, r->name, s->name);
		if (!e)
			e = fsio_dir_sync(all);
		if (!e)
			e = fsio_remove_tree(all, s->name);
		fsio_dir_close(all);
	}
	if (e == ERR_NOTFOUND)
		return errbuf_set(&r->eb, e, "there is no snapshot of this name");
	return e ? errbuf_set(&r->eb, e, "snapshot %s: %s", r->name, err_why(e)) : e;
}

/* ---- what they hold ---- */

struct held { /* a file that the data directory has not */
	uint64_t inode, size;
};
struct helds {
	struct held *v;
	size_t count, cap;
};
struct looking {
	struct snapshot_info *info;
	struct helds *held;
	struct fsio_dir *dir, *live; /* live NULL: there is none */
};

static enum err look_entry(void *arg, const char *name)
{
	struct looking *l = arg;
	struct fsio_stat st, other;
	enum err e = fsio_stat(l->dir, name, &st);
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	if (st.is_dir) {
		struct looking sub = *l;
		sub.live = NULL;
		e = fsio_dir_sub(l->dir, name, false, &sub.dir);
		if (e)
			return e;
		if (l->live && fsio_dir_sub(l->live, name, false, &sub.live))
			sub.live = NULL;
		e = fsio_dir_each(sub.dir, look_entry, &sub);
		fsio_dir_close(sub.dir);
		if (sub.live)
			fsio_dir_close(sub.live);
		return e;
	}
	l->info->files++;
	l->info->bytes += st.size;
	if (l->live && !fsio_stat(l->live, name, &other) && other.inode == st.inode &&
	    other.device == st.device)
		return ERR_OK;
	l->info->own_bytes += st.size;
	struct helds *h = l->held;
	if (h->count == h->cap) {
		h->cap = h->cap ? 2 * h->cap : 64;
		h->v = mem_array(h->v, h->cap, sizeof(*h->v));
	}
	h->v[h->count++] = (struct held){ .inode = st.inode, .size = st.size };
	return ERR_OK;
}

static int held_cmp(const void *a, const void *b)
{
	const struct held *x = a, *y = b;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* A file that several snapshots have counts once. */
static uint64_t held_bytes(struct helds *h)
{
	uint64_t bytes = 0;
	if (h->count)
		qsort(h->v, h->count, sizeof(*h->v), held_cmp);
	for (size_t i = 0; i < h->count; i++)
		if (!i || h->v[i].inode != h->v[i - 1].inode)
			bytes += h->v[i].size;
	mem_free(h->v);
	return bytes;
}

struct listing {
	struct snapshot_info *list;
	size_t count;
};

static enum err list_name(void *arg, const char *name)
{
	struct listing *l = arg;
	struct snapshot_info info = { 0 };
	if (!snapshot_name_parse(name, &info.made_ms))
		return ERR_OK;
	memcpy(info.name, name, NAME_LEN + 1);
	l->list = mem_array(l->list, l->count + 1, sizeof(*l->list));
	l->list[l->count++] = info;
	return ERR_OK;
}

static enum err list(struct snapshots *s, struct listing *l, uint64_t *own_bytes)
{
	struct fsio_dir *all;
	struct helds held = { 0 };
	enum err e = fsio_dir_sub(s->env->dir, SNAPSHOTS_DIR, false, &all);
	*own_bytes = 0;
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	e = fsio_dir_each(all, list_name, l);
	for (size_t i = 0; !e && i < l->count; i++) {
		struct looking k = { .info = &l->list[i], .held = &held, .live = s->env->dir };
		if (latch_is_set(&s->stopping))
			e = ERR_STOPPING;
		else if (!fsio_dir_sub(all, l->list[i].name, false, &k.dir)) {
			e = fsio_dir_each(k.dir, look_entry, &k);
			fsio_dir_close(k.dir);
		}
	}
	fsio_dir_close(all);
	*own_bytes = held_bytes(&held);
	return e;
}

static void look_run(struct work_task *t)
{
	struct snapshots *s = CONTAINER_OF(t, struct snapshots, look_task);
	struct listing l = { 0 };
	enum err e = list(s, &l, &s->look_bytes);
	if (e && e != ERR_STOPPING)
		LOG_WARN("snapshots_not_listed", "err=\"%s\"", err_why(e));
	s->look_count = l.count;
	mem_free(l.list);
}

static enum err sweep_one(void *arg, const char *name)
{
	if (!name_is_part(name))
		return ERR_OK;
	enum err e = fsio_remove_tree(arg, name);
	LOG_INFO("snapshot_half", "name=%s removed=%s", name, e ? err_text(e) : "yes");
	return ERR_OK;
}

static void sweep_run(struct work_task *t)
{
	struct snapshots *s = CONTAINER_OF(t, struct snapshots, look_task);
	struct fsio_dir *all;
	if (!fsio_dir_sub(s->env->dir, SNAPSHOTS_DIR, false, &all)) {
		(void)!fsio_dir_each(all, sweep_one, all);
		fsio_dir_close(all);
	}
	look_run(t);
}

/* ---- on loop 0 ---- */

static void look(struct snapshots *s);

static void look_done(struct work_task *t)
{
	struct snapshots *s = CONTAINER_OF(t, struct snapshots, look_task);
	s->looking = false;
	if (s->stopped)
		return;
	metric_gauge_set(M_SNAPSHOTS, (int64_t)s->look_count);
	metric_gauge_set(M_BYTES_SNAPSHOTS, (int64_t)s->look_bytes);
	loop_timer_set(s->env->loop, &s->timer, SNAPSHOTS_LOOK_MS);
	if (s->look_again)
		look(s);
}

static void look_submit(struct snapshots *s, void (*run)(struct work_task *t))
{
	s->looking = true;
	s->look_again = false;
	s->look_task = (struct work_task){
		.run = run, .done = look_done, .lane = BACK_LANE_SNAPSHOT, .prio = WORK_BACKGROUND
	};
	work_submit(s->env->pool, &s->look_task);
}

static void look(struct snapshots *s)
{
	s->look_again = s->looking;
	if (!s->looking)
		look_submit(s, look_run);
}

static void tick(struct loop_timer *t)
{
	struct snapshots *s = CONTAINER_OF(t, struct snapshots, timer);
	if (!s->look_count)
		loop_timer_set(s->env->loop, t, SNAPSHOTS_LOOK_MS);
	else
		look(s);
}

void snapshots_start(struct snapshots *s)
{
	loop_check_here(s->env->loop);
	loop_timer_init(&s->timer, tick);
	look_submit(s, sweep_run);
}

static void req_home(struct mbox_msg *msg)
{
	struct snapshot_req *r = CONTAINER_OF(msg, struct snapshot_req, _msg);
	r->done(r);
}

static void tell(struct snapshot_req *r, enum err e)
{
	r->err = e;
	r->_msg.fn = req_home;
	loop_send(r->_from, &r->_msg);
}

void snapshots_stop(struct snapshots *s)
{
	loop_check_here(s->env->loop);
	s->stopped = true;
	latch_set(&s->stopping);
	loop_timer_cancel(s->env->loop, &s->timer);
	metric_gauge_set(M_SNAPSHOTS, 0);
	metric_gauge_set(M_BYTES_SNAPSHOTS, 0);
	struct list_link *l;
	while ((l = list_pop(&s->waiting)))
		tell(CONTAINER_OF(l, struct snapshot_req, _link), ERR_STOPPING);
	s->waiting_count = 0;
}

static void begin(struct snapshots *s);

static void end(struct snapshots *s)
{
	struct snapshot_req *r = s->req;
	enum err e = s->err;
	bool makes = r->ask == SNAPSHOT_MAKE;
	if (makes)
		metric_add(e ? M_SNAPSHOTS_FAILED : M_SNAPSHOTS_MADE, 1);
	if (makes && e) {
		LOG_WARN(
		    "snapshot_failed", "name=%s err=%s text=\"%s\"", r->name, err_text(e), s->why);
		(void)errbuf_set(&r->eb, e, "%s%s", s->why[0] ? s->why : err_text(e),
		    e == ERR_NOSPACE ? FULL : "");
	}
	if (makes && !e)
		LOG_INFO("snapshot_made",
		    "name=%s head=%s files=%" PRIu64 " bytes=%" PRIu64 " missing=%" PRIu64
		    " took_ms=%" PRIu64 " log_held_ms=%" PRIu64 " loop_us=%" PRIu64,
		    r->name, r->skip_head ? "no" : "yes", s->files, s->bytes, s->missing,
		    (clock_real_mono_ns() - s->begun_ns) / 1000000u, s->held_ns / 1000000u,
		    s->loop_ns / 1000u);
	s->step = REST;
	s->req = NULL;
	tell(r, e);
	if (s->stopped)
		return;
	if (r->ask != SNAPSHOT_LIST)
		look(s);
	begin(s);
}

static void unhold(struct snapshots *s)
{
	if (!s->held)
		return;
	s->held = false;
	s->held_ns = clock_real_mono_ns() - s->held_ns;
	walog_unhold(s->env->log, &s->hold);
}

static void task_run(struct work_task *t)
{
	struct snapshots *s = CONTAINER_OF(t, struct snapshots, task);
	switch (s->step) {
	case PREPARE:
		s->err = prepare(s);
		break;
	case FINISH:
		s->err = latch_is_set(&s->stopping) ? ERR_STOPPING : finish(s);
		break;
	case CLEAN:
		clean(s);
		break;
	case ELSE:
		if (s->req->ask == SNAPSHOT_DROP) {
			s->err = drop(s);
		} else {
			struct listing l = { 0 };
			uint64_t own;
			s->err = list(s, &l, &own);
			s->req->list = l.list;
			s->req->list_count = l.count;
		}
		break;
	case REST:
	case HOLD:
	case LINK:
	case CUT:
		CHECK(false);
	}
}

static void task_done(struct work_task *t);

/* While the log is held nothing waits for a look at what is there. */
static void task_begin(struct snapshots *s, enum step step)
{
	s->step = step;
	s->task = (struct work_task){ .run = task_run,
		.done = task_done,
		.lane = step == PREPARE || step == ELSE ? BACK_LANE_SNAPSHOT : 0,
		.prio = WORK_READ };
	work_submit(s->env->pool, &s->task);
}

static void fail(struct snapshots *s, enum err e)
{
	s->err = e;
	unhold(s);
	task_begin(s, CLEAN);
}

static void cut_done(struct walog_hold *h)
{
	struct snapshots *s = CONTAINER_OF(h, struct snapshots, hold);
	uint64_t from = clock_real_mono_ns();
	if (h->err) {
		(void)snprintf(
		    s->why, sizeof(s->why), "the log takes no writes now: %s", err_text(h->err));
		fail(s, h->err);
	} else {
		task_begin(s, FINISH);
	}
	s->loop_ns += clock_real_mono_ns() - from;
}

static void parts_done(struct snapshots *s)
{
	enum err e = s->stopped ? ERR_STOPPING : ERR_OK;
	for (unsigned i = 0; i <= s->env->shards_count; i++) {
		struct part *p = &s->parts[i];
		s->files += p->files;
		s->bytes += p->bytes;
		s->missing += p->missing;
		if (p->err && !e) {
			e = p->err;
			memcpy(s->why, p->why, sizeof(s->why));
		}
	}
	if (e) {
		fail(s, e);
	} else if (s->req->skip_head) {
		task_begin(s, FINISH);
	} else {
		s->step = CUT;
		s->hold.done = cut_done;
		walog_cut(s->env->log, &s->hold);
	}
}

static void part_done(struct work_task *t)
{
	struct part *p = CONTAINER_OF(t, struct part, task);
	struct snapshots *s = p->s;
	uint64_t from = clock_real_mono_ns();
	if (!--s->parts_open)
		parts_done(s);
	s->loop_ns += clock_real_mono_ns() - from;
}

/* As a query's read: while it waits, the log is held. */
static void parts_begin(struct snapshots *s)
{
	s->step = LINK;
	s->parts_open = s->env->shards_count + 1;
	for (unsigned i = 0; i <= s->env->shards_count; i++) {
		struct part *p = &s->parts[i];
		struct shard *sh = i < s->env->shards_count ? s->env->shards[i] : NULL;
		*p = (struct part){ .s = s, .shard = sh };
		p->task = (struct work_task){ .run = part_run,
			.done = part_done,
			.lane = sh ? shard_lane(sh) : 0,
			.prio = WORK_READ };
		work_submit(s->env->pool, &p->task);
	}
}

static void hold_done(struct walog_hold *h)
{
	struct snapshots *s = CONTAINER_OF(h, struct snapshots, hold);
	uint64_t from = clock_real_mono_ns();
	s->held = true;
	s->held_ns = from;
	parts_begin(s);
	s->loop_ns += clock_real_mono_ns() - from;
}

static void task_done(struct work_task *t)
{
	struct snapshots *s = CONTAINER_OF(t, struct snapshots, task);
	uint64_t from = clock_real_mono_ns();
	enum step was = s->step;
	if (was == FINISH && !s->err)
		unhold(s);
	if (was == CLEAN || was == ELSE || (was == FINISH && !s->err)) {
		s->loop_ns += clock_real_mono_ns() - from;
		end(s);
		return;
	}
	if (s->err || s->stopped) {
		fail(s, s->err ? s->err : ERR_STOPPING);
	} else if (s->req->skip_head) {
		parts_begin(s);
	} else {
		s->step = HOLD;
		s->hold = (struct walog_hold){ .done = hold_done };
		walog_hold(s->env->log, &s->hold);
	}
	s->loop_ns += clock_real_mono_ns() - from;
}

static void begin(struct snapshots *s)
{
	struct list_link *l;
	if (s->step != REST || !(l = list_pop(&s->waiting)))
		return;
	struct snapshot_req *r = CONTAINER_OF(l, struct snapshot_req, _link);
	s->waiting_count--;
	s->req = r;
	s->err = ERR_OK;
	s->why[0] = 0;
	s->files = s->bytes = s->missing = s->loop_ns = s->held_ns = 0;
	s->held = false;
	s->begun_ns = clock_real_mono_ns();
	if (r->ask == SNAPSHOT_MAKE)
		snapshot_name_make(r->name, clock_wall_ms());
	(void)snprintf(s->name, sizeof(s->name), "%s" SNAPSHOT_PART, r->name);
	task_begin(s, r->ask == SNAPSHOT_MAKE ? PREPARE : ELSE);
}

static void ask_arrived(struct mbox_msg *msg)
{
	struct snapshot_req *r = CONTAINER_OF(msg, struct snapshot_req, _msg);
	struct snapshots *s = r->_snapshots;
	if (s->stopped) {
		tell(r, ERR_STOPPING);
	} else if (s->waiting_count == SNAPSHOT_ASKED_MAX) {
		(void)errbuf_set(
		    &r->eb, ERR_BUSY, "%u requests of snapshots wait already", s->waiting_count);
		tell(r, ERR_BUSY);
	} else {
		list_add_tail(&s->waiting, &r->_link);
		s->waiting_count++;
		begin(s);
	}
}

void snapshots_ask(struct snapshots *s, struct snapshot_req *r)
{
	errbuf_init(&r->eb);
	r->list = NULL;
	r->list_count = 0;
	r->_from = loop_here();
	r->_snapshots = s;
	r->_msg.fn = ask_arrived;
	loop_send(s->env->loop, &r->_msg);
}
