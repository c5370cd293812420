#include "storage/read/unitread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/model/sample.h"
#include "storage/read/select.h"

#define EXTENTS_MIN  16u
#define FILE_WANTED  16u /* units of one id in one file that are fetched at once */
#define TIMES_WANTED 4u  /* so few blocks of time columns are fetched with the first units */
#define WORK_FIND    24u /* what a look for an id in a file costs */
#define WORK_UNIT    512u
#define JOIN_STEP    4096u
#define PUT_MAX      16384u /* rows that are put behind others at once */

void unitread_init(struct unitread *u, struct shard *sh, int64_t t_min_ms, int64_t t_max_ms,
    void (*woken)(struct unitread *u))
{
	*u = (struct unitread){ .shard = sh,
		.t_min_ms = t_min_ms,
		.t_max_ms = t_max_ms,
		.woken = woken,
		.generation = UINT64_MAX };
	unitpool_init(&u->pool);
}

/* ---- files ---- */

/* The series of now, and the next one, read their times. */
static void times_forget(struct unitread *u)
{
	u->times.rows = u->times.count = 0;
	u->times.same = false;
}

/* The series of now is more than stretches and rows behind them. */
static void times_mixed(struct unitread *u)
{
	u->times.same = u->times.plain = false;
}

static void file_free(struct unitread *u, struct unitread_file *f)
{
	unitpool_drop_all(&u->pool, f);
	if (f->dir)
		cfile_dir_unpin(f->file->cfile);
	shard_file_unpin(f->file);
	mem_free(f);
}

/* Once per cursor. */
static void warn_lost(struct unitread *u)
{
	const struct shard *sh = u->shard;
	for (size_t i = 0; i < sh->lost_count && u->warnings_count < UNITREAD_WARNINGS_MAX; i++) {
		const struct files_entry *e = &sh->lost[i].entry;
		if (e->samples && e->t_min_ms <= u->t_max_ms && e->t_max_ms >= u->t_min_ms)
			rune_printf(u->warnings[u->warnings_count++], sizeof(u->warnings[0]),
			    "damaged data skipped: %s cannot be opened", e->name);
	}
}

void unitread_release(struct unitread *u)
{
	CHECK(!u->loading);
	for (size_t i = 0; i < u->files_count; i++)
		file_free(u, u->files[i]);
	unitpool_release(&u->pool);
	tombs_unpin(u->tombs);
	mem_free(u->files);
	mem_free(u->ext);
	mem_free(u->times.v);
	column_release(&u->spare);
}

static bool overlaps(const struct unitread *u, const struct shard_file *f)
{
	return f->entry.samples && f->entry.t_min_ms <= u->t_max_ms &&
	    f->entry.t_max_ms >= u->t_min_ms;
}

static int by_file(const void *a, const void *b)
{
	const struct unitread_file *x = *(struct unitread_file *const *)a,
	                           *y = *(struct unitread_file *const *)b;
	return (x->file > y->file) - (x->file < y->file);
}

static int by_time(const void *a, const void *b)
{
	const struct files_entry *x = &(*(struct unitread_file *const *)a)->file->entry,
	                         *y = &(*(struct unitread_file *const *)b)->file->entry;
	return (x->t_min_ms > y->t_min_ms) - (x->t_min_ms < y->t_min_ms);
}

static int by_rank(const void *a, const void *b)
{
	const struct files_entry *x = &(*(struct unitread_file *const *)a)->file->entry,
	                         *y = &(*(struct unitread_file *const *)b)->file->entry;
	if (x->meta.rank != y->meta.rank)
		return x->meta.rank < y->meta.rank ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* (3): stretches of files that overlap, by time; each by rank. */
static void files_order(struct unitread_file **files, size_t count)
{
	qsort(files, count, sizeof(struct unitread_file *), by_time);
	for (size_t from = 0, to; from < count; from = to) {
		int64_t t_max_ms = files[from]->file->entry.t_max_ms;
		for (to = from + 1; to < count && files[to]->file->entry.t_min_ms <= t_max_ms; to++)
			if (files[to]->file->entry.t_max_ms > t_max_ms)
				t_max_ms = files[to]->file->entry.t_max_ms;
		qsort(files + from, to - from, sizeof(struct unitread_file *), by_rank);
	}
}

/* The place of a file in a list by file; NULL: it is not there. */
static struct unitread_file **file_find(
    struct unitread_file **by_file_, size_t count, const struct shard_file *f)
{
	size_t lo = 0, hi = count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (by_file_[mid]->file < f)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < count && by_file_[lo]->file == f ? &by_file_[lo] : NULL;
}

static struct unitread_file *file_new(struct unitread *u, struct shard_file *f)
{
	struct unitread_file *uf = mem_zalloc(sizeof(*uf));
	uf->file = f;
	shard_file_pin(f);
	u->dirs_missing = true;
	return uf;
}

static void files_sync(struct unitread *u)
{
	struct shard *sh = u->shard;
	CHECK(!u->loading);
	if (u->generation == UINT64_MAX)
		warn_lost(u);
	struct unitread_file **old = u->files;
	size_t old_count = u->files_count;
	if (old_count)
		qsort(old, old_count, sizeof(*old), by_file);
	u->files = NULL;
	u->files_count = u->files_cap = 0;
	/*
	 * Of many files those that begin early enough, and not too early to reach into the query.
	 */
	uint32_t at = shard_place_from(sh, num_sat_sub(u->t_min_ms, sh->files_width_ms));
	for (; at < sh->files_count && sh->places[at]->entry.meta.start_ms <= u->t_max_ms; at++) {
		struct shard_file *f = sh->places[at];
		if (!overlaps(u, f))
			continue;
		if (u->files_count == u->files_cap) {
			u->files_cap = u->files_cap ? 2 * u->files_cap : 16;
			u->files = mem_array(u->files, u->files_cap, sizeof(*u->files));
		}
		struct unitread_file **known = file_find(old, old_count, f);
		if (known)
			(*known)->stays = true;
		u->files[u->files_count++] = known ? *known : file_new(u, f);
	}
	for (size_t i = 0; i < old_count; i++) {
		if (!old[i]->stays)
			file_free(u, old[i]);
		else
			old[i]->stays = false;
	}
	mem_free(old);
	if (u->files_count)
		files_order(u->files, u->files_count);
	times_forget(u);
	tombs_unpin(u->tombs);
	u->tombs = tombs_pin(sh->tombs);
	u->tombs_seek = (struct tombs_seek){ 0 };
	u->generation = shard_files_version(sh);
}

static void warn(struct unitread *u, const struct unitread_file *f, const char *text)
{
	metric_add(M_DAMAGED_UNITS, 1);
	LOG_EVERY(LOG_LEVEL_WARN, "damaged_data_skipped", "shard=%u %s", u->shard->index, text);
	if (u->warnings_count < UNITREAD_WARNINGS_MAX)
		snprintf(u->warnings[u->warnings_count++], sizeof(u->warnings[0]),
		    "damaged data skipped: %s", *text ? text : f->file->entry.name);
}

static void warn_text(struct unitread *u, const struct unitread_file *f, const char *why)
{
	char text[256];
	rune_printf(text, sizeof(text), "%s: %s", f->file->entry.name, why);
	warn(u, f, text);
}

static void read_failed(struct unitread *u, struct unitread_file *f, uint64_t off, enum err err)
{
	char text[256];
	rune_printf(text, sizeof(text), "%s at %llu: %s", f->file->entry.name,
	    (unsigned long long)off, err_text(err));
	warn(u, f, text);
}

/* Data that cannot be read for now is not damaged, and must not be left out of an answer. */
static bool passes(enum err err)
{
	return err == ERR_NOFILES || err == ERR_NOMEM || err == ERR_BUSY;
}

static void fail(struct unitread *u, const struct unitread_file *f, enum err err)
{
	u->err = err;
	snprintf(u->why, sizeof(u->why), "%s cannot be read: %s", f->file->entry.name, err_text(err));
}

/* ---- directories ---- */

static void dir_take(struct unitread *u, struct unitread_file *f, const struct cfile_dir *dir)
{
	f->dir = dir;
	if (cfile_dir_salvaged(dir))
		warn_text(u, f, "its directory is damaged");
}

enum unitread_got unitread_begin_slow(struct unitread *u)
{
	CHECK(!u->loading);
	if (UNLIKELY(u->err))
		return UNITREAD_FAILED;
	if (u->generation != shard_files_version(u->shard))
		files_sync(u);
	u->dirs_missing = false;
	for (size_t i = 0; i < u->files_count; i++) {
		struct unitread_file *f = u->files[i];
		if (f->dir || f->dir_err)
			continue;
		const struct cfile_dir *dir = cfile_dir_pin(f->file->cfile);
		if (dir)
			dir_take(u, f, dir);
		else
			u->dirs_missing = true;
	}
	u->work += (unsigned)u->files_count;
	return u->dirs_missing ? UNITREAD_WAIT : UNITREAD_ALL;
}

static void dirs_run(struct work_task *t)
{
	struct unitread *u = CONTAINER_OF(t, struct unitread, task);
	for (size_t i = 0; i < u->files_count; i++) {
		struct unitread_file *f = u->files[i];
		if (!f->dir && !f->dir_err)
			f->dir_err = cfile_dir_load(f->file->cfile, &f->loaded);
	}
}

static void dirs_done(struct work_task *t)
{
	struct unitread *u = CONTAINER_OF(t, struct unitread, task);
	u->loading = false;
	for (size_t i = 0; i < u->files_count; i++) {
		struct unitread_file *f = u->files[i];
		if (f->loaded)
			dir_take(u, f, f->loaded);
		else if (!f->dir && f->dir_err && passes(f->dir_err))
			fail(u, f, f->dir_err);
		else if (!f->dir && f->dir_err && !f->told)
			warn_text(u, f, err_text(f->dir_err));
		f->told |= f->dir_err != ERR_OK;
		f->loaded = NULL;
	}
	u->woken(u);
}

static void submit(
    struct unitread *u, void (*run)(struct work_task *), void (*done)(struct work_task *))
{
	u->loading = true;
	metric_add(M_COLD_READS, 1);
	u->task = (struct work_task){ .run = run, .done = done, .prio = WORK_READ };
	work_submit(u->shard->pool, &u->task);
}

void unitread_load_dirs(struct unitread *u)
{
	CHECK(!u->loading);
	submit(u, dirs_run, dirs_done);
}

/* ---- one piece ---- */

/* Bytes that did not come: the piece is left out and told, or the cursor fails. */
static void piece_failed(struct unitread *u, struct unitpool_unit *x, enum err err)
{
	struct unitread_file *f = x->owner;
	if (!passes(err)) {
		x->state = UNITPOOL_BAD;
		read_failed(u, f, x->ext.off, err);
		return;
	}
	fail(u, f, err);
	unitpool_drop(&u->pool, x);
}

enum have {
	HAVE_YES,
	HAVE_BAD,
	HAVE_WAIT /* or failed: u->err */
};

static enum have piece_open(struct unitread *u, struct unitpool_unit *x)
{
	SCRATCH struct errbuf eb;
	errbuf_init(&eb);
	u->work += WORK_UNIT + x->ext.len / 8;
	if (!unitpool_open(&u->pool, x, &eb))
		return HAVE_YES;
	warn(u, x->owner, eb.text);
	return HAVE_BAD;
}

static enum have piece_read(struct unitread *u, struct unitpool_unit *x)
{
	enum err err = cfile_read_nowait(x->file, x->bytes.data, x->ext.len, x->ext.off);
	if (err == ERR_AGAIN)
		return HAVE_WAIT;
	if (!err)
		return piece_open(u, x);
	piece_failed(u, x, err);
	return u->err ? HAVE_WAIT : HAVE_BAD;
}

/* Opens a piece, from what is loaded or from the page cache. */
static enum have piece_ready(struct unitread *u, struct unitpool_unit *x)
{
	switch (x->state) {
	case UNITPOOL_OPEN:
		return HAVE_YES;
	case UNITPOOL_BAD:
		return HAVE_BAD;
	case UNITPOOL_LOADED:
		return piece_open(u, x);
	case UNITPOOL_WANTED:
		return piece_read(u, x);
	case UNITPOOL_SPARE:
		break;
	}
	CHECK(!"a spare piece has an owner");
	return HAVE_BAD;
}

/* The piece of an extent, ready when HAVE_YES. */
static enum have piece_get(struct unitread *u, struct unitread_file *f,
    const struct cfile_extent *ext, struct unitpool_unit **out)
{
	struct unitpool_unit *x = unitpool_find(&u->pool, f, ext->unit);
	if (UNLIKELY(!x)) {
		x = unitpool_take(&u->pool, f, f->file->cfile, ext, UINT64_MAX);
		CHECK(x);
	}
	*out = x;
	return LIKELY(x->state == UNITPOOL_OPEN) ? HAVE_YES : piece_ready(u, x);
}

/*
 * The same for a unit that the last series had, mostly; its use is told to the pool now and then
 * only.
 */
static enum have unit_get(struct unitread *u, struct unitread_file *f,
    const struct cfile_extent *ext, struct unitpool_unit **out)
{
	struct unitpool_unit *x = f->unit;
	if (LIKELY(x && unitpool_is_near(&u->pool, x, f, ext->unit))) {
		*out = x;
		return HAVE_YES;
	}
	enum have have = piece_get(u, f, ext, out);
	f->unit = *out;
	return have;
}

/* Where the units of an id stand: u->ext. */
static size_t units_of(struct unitread *u, struct unitread_file *f, uint32_t id)
{
	if (UNLIKELY(!f->dir))
		return 0;
	size_t n = cfile_find_near(f->dir, &f->seek, id, u->ext, u->ext_cap);
	if (n <= u->ext_cap)
		return n;
	u->ext_cap = n < EXTENTS_MIN ? EXTENTS_MIN : 2 * n;
	u->ext = mem_array(u->ext, u->ext_cap, sizeof(*u->ext));
	return cfile_find(f->dir, id, u->ext, u->ext_cap);
}

/* ---- loading on a worker ---- */

static void load_run(struct work_task *t)
{
	struct unitread *u = CONTAINER_OF(t, struct unitread, task);
	unitpool_read(&u->pool);
}

static void load_done(struct work_task *t)
{
	struct unitread *u = CONTAINER_OF(t, struct unitread, task);
	u->loading = false;
	for (size_t i = 0; i < u->pool.count; i++) {
		struct unitpool_unit *x = u->pool.units[i];
		if (x->state != UNITPOOL_WANTED)
			continue;
		x->state = UNITPOOL_LOADED;
		if (x->err)
			piece_failed(u, x, x->err);
	}
	u->woken(u);
}

static bool want(
    struct unitread *u, struct unitread_file *f, const struct cfile_extent *ext, uint64_t since)
{
	return unitpool_find(&u->pool, f, ext->unit) ||
	    unitpool_take(&u->pool, f, f->file->cfile, ext, since);
}

/* Where a file has few time columns they are needed as well. */
static bool want_times(struct unitread *u, struct unitread_file *f, uint64_t since)
{
	struct cfile_extent ext;
	uint32_t n = cfile_times_blocks(f->dir);
	for (uint32_t i = 0; i < n && n <= TIMES_WANTED; i++) {
		cfile_times_nth(f->dir, i, &ext);
		if (!want(u, f, &ext, since))
			return false;
	}
	return true;
}

/*
 * Units of one id from a place on that are not there yet, as many as there is room for without
 * those that this series needs, too: whatever was used since the tick. False: no more room.
 */
static bool want_id(struct unitread *u, uint32_t id, size_t file, size_t ext, uint64_t since)
{
	for (; file < u->files_count; file++, ext = 0) {
		struct unitread_file *f = u->files[file];
		size_t n = units_of(u, f, id);
		if (ext < n && !want_times(u, f, since))
			return false;
		for (unsigned wanted = 0; ext < n && wanted < FILE_WANTED; ext++, wanted++)
			if (!want(u, f, &u->ext[ext], since))
				return false;
	}
	return true;
}

void unitread_load(struct unitread *u, const uint32_t *ids, size_t count)
{
	CHECK(!u->loading);
	uint64_t since = u->pool.tick;
	bool more = want_id(u, ids[0], u->at_file, u->at_ext, since);
	for (size_t i = 1; i < count && more; i++)
		more = want_id(u, ids[i], 0, 0, since);
	submit(u, load_run, load_done);
}

/* ---- samples ---- */

/* Cuts what lies outside [t_min, t_max] from the samples at `from`. */
static void trim(const struct unitread *u, struct column *c, uint32_t from)
{
	uint32_t end = c->count, skip = 0;
	if (LIKELY(end > from && c->t_ms[from] >= u->t_min_ms && c->t_ms[end - 1] <= u->t_max_ms))
		return;
	while (end > from && c->t_ms[end - 1] > u->t_max_ms)
		end--;
	while (from + skip < end && c->t_ms[from + skip] < u->t_min_ms)
		skip++;
	column_keep(c, from, skip, end - from - skip);
}

static bool is_over(const struct unitread *u)
{
	return u->work >= UNITREAD_WORK;
}

/* Some steps of merging the two parts of acc into spare; the part behind wins. */
static bool join_merge(struct unitread *u, struct column *acc)
{
	struct unitread_join *j = &u->join;
	struct column *out = &u->spare;
	uint32_t a = j->a, b = j->b, n = out->count, end = n + JOIN_STEP;
	column_hold(out, acc);
	for (; n < end && (a < acc->count || b < j->from); n++) {
		bool newer = b == j->from || (a < acc->count && acc->t_ms[a] <= acc->t_ms[b]);
		if (newer && b < j->from && acc->t_ms[b] == acc->t_ms[a])
			b++;
		uint32_t i = newer ? a++ : b++;
		column_copy_row(out, n, acc, i);
	}
	u->work += n - out->count;
	out->count = n;
	j->a = a;
	j->b = b;
	return a == acc->count && b == j->from;
}

static void join_begin(struct unitread *u, struct column *acc, uint32_t from)
{
	uint32_t lo = (uint32_t)sample_place(acc->t_ms, from, acc->t_ms[from]);
	times_mixed(u);
	u->join = (struct unitread_join){ .on = true, .lo = lo, .from = from, .a = from, .b = lo };
	column_clear(&u->spare);
	column_reserve(&u->spare, acc->count - lo);
	column_hold(&u->spare, acc);
}

/* Goes on with a join that began; false: again. */
static bool join_run(struct unitread *u, struct column *acc)
{
	struct unitread_join *j = &u->join;
	while (j->on && !j->copying) {
		if (join_merge(u, acc)) {
			j->copying = true;
			j->a = 0;
			column_keep(acc, 0, 0, j->lo + u->spare.count);
		} else if (is_over(u)) {
			return false;
		}
	}
	while (j->on) { /* back to its place */
		uint32_t n = u->spare.count - j->a;
		n = n < JOIN_STEP ? n : JOIN_STEP;
		column_copy(acc, j->lo + j->a, &u->spare, j->a, n);
		j->a += n;
		u->work += n / 4;
		j->on = j->a < u->spare.count;
		if (j->on && is_over(u))
			return false;
	}
	return true;
}

/* Samples from `from` on came from something newer: in order with those before. False: again. */
static bool join(struct unitread *u, struct column *acc, uint32_t from)
{
	if (!u->join.on && (!from || acc->count == from || acc->t_ms[from - 1] < acc->t_ms[from]))
		return true;
	if (!u->join.on)
		join_begin(u, acc, from);
	return join_run(u, acc);
}

bool unitread_merge(struct unitread *u, struct column *acc, const struct column *newer)
{
	struct unitread_join *j = &u->join;
	times_mixed(u);
	while (!j->on && j->copied < newer->count) {
		uint32_t n = newer->count - j->copied;
		n = n < JOIN_STEP ? n : JOIN_STEP;
		if (!j->copied)
			column_reserve(acc, newer->count);
		column_copy(acc, acc->count, newer, j->copied, n);
		acc->count += n;
		j->copied += n;
		u->work += n / 4;
		if (j->copied < newer->count && is_over(u))
			return false;
	}
	if (!join(u, acc, j->on ? j->from : acc->count - newer->count))
		return false;
	j->copied = 0;
	return true;
}

/*
 * The block of time columns that an entry of x needs; its second copy when the first is damaged.
 * NULL with HAVE_YES: it needs none. x stays.
 */
static enum have times_get(struct unitread *u, struct unitread_file *f, struct unitpool_unit *x,
    const struct cfile_entry *e, struct cfile_times **out)
{
	enum have have = HAVE_BAD;
	struct cfile_extent ext;
	*out = NULL;
	if (!e->outside)
		return HAVE_YES;
	if (f->times && f->times->is_times &&
	    unitpool_is_near(&u->pool, f->times, f, f->times->ext.unit) &&
	    cfile_times_has(&f->times->times, e->column)) {
		*out = &f->times->times;
		return HAVE_YES;
	}
	for (unsigned copy = 0; copy < 2 && have == HAVE_BAD; copy++) {
		struct unitpool_unit *t = NULL;
		if (!cfile_times_extent(f->dir, e->column, copy, &ext))
			break;
		/* the pool may need room, and is not to take x for that */
		CHECK(unitpool_find(&u->pool, f, x->ext.unit) == x);
		have = piece_get(u, f, &ext, &t);
		f->times = have == HAVE_YES ? t : NULL;
		if (have == HAVE_YES && cfile_times_has(&t->times, e->column))
			*out = &t->times;
		else if (have == HAVE_YES)
			have = HAVE_BAD;
	}
	return have;
}

/* ---- times by reference ---- */

void unitread_times_begin(struct unitread *u)
{
	u->times.at = 0;
	u->times.same = u->times.rows > 0;
	u->times.plain = true;
}

bool unitread_times_end(struct unitread *u, const struct column *acc)
{
	struct unitread_times *m = &u->times;
	bool same = m->same && m->at == m->count && acc->count == m->rows && acc->t_ms == m->t_ms;
	if (same || (m->same && !m->at && !acc->count)) /* or it has nothing at all */
		return same;
	m->same = false;
	m->count = m->plain ? m->at : 0;
	m->rows = m->plain ? acc->count : 0;
	m->t_ms = acc->t_ms;
	return false;
}

/* The values of more go to acc, whose times there are the same. */
static void values_put(struct column *acc, struct column *more)
{
	if (!acc->count && acc->cap == more->cap) {
		double *v = acc->v;
		acc->v = more->v;
		more->v = v;
	} else {
		column_reserve(acc, more->count);
		memcpy(acc->v + acc->count, more->v, more->count * sizeof(*acc->v));
	}
	acc->count += more->count;
}

bool unitread_times_put(struct unitread *u, struct column *acc, struct column *more)
{
	struct unitread_times *m = &u->times;
	uint32_t n = more->count;
	if (!n)
		return true;
	if (!acc->count && (acc->x || more->x || n > PUT_MAX)) {
		times_mixed(u);
		column_swap(acc, more);
		return true;
	}
	if (acc->x || more->x || n > PUT_MAX ||
	    (acc->count && acc->t_ms[acc->count - 1] >= more->t_ms[0]))
		return false;
	u->work += n / 4;
	if (m->same && m->rows - acc->count >= n &&
	    !memcmp(acc->t_ms + acc->count, more->t_ms, n * sizeof(*acc->t_ms))) {
		values_put(acc, more);
		return true;
	}
	m->same = false;
	if (!acc->count)
		column_swap(acc, more);
	else
		column_append(acc, more, 0, n);
	return true;
}

static bool stretch_is(const struct unitread_stretch *s, const struct unitread_stretch *now)
{
	return s->file == now->file && s->unit == now->unit && s->column == now->column &&
	    s->count == now->count && s->from == now->from;
}

/* The next stretch: its place in the list, to be written. */
static struct unitread_stretch *stretch_new(struct unitread_times *m)
{
	if (m->at == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 16;
		m->v = mem_array(m->v, m->cap, sizeof(*m->v));
	}
	m->same = false;
	return &m->v[m->at];
}

/* The times of an entry, as far as they are asked for, behind those of acc. */
static enum have stretch_read(struct unitread *u, struct unitread_file *f, struct unitpool_unit *x,
    const struct cfile_entry *e, struct column *acc, struct unitread_stretch *s)
{
	struct cfile_times *times;
	SCRATCH struct errbuf eb;
	enum have have = times_get(u, f, x, e, &times);
	if (UNLIKELY(have != HAVE_YES))
		return have;
	errbuf_init(&eb);
	int64_t *t = acc->t_ms + acc->count;
	u->work += e->count / 2;
	if (cfile_unit_times_copy(&x->unit, times, e, t, &eb)) {
		warn(u, f, eb.text);
		return HAVE_BAD;
	}
	s->skip = 0;
	s->n = e->count;
	if (LIKELY(t[0] >= u->t_min_ms && t[e->count - 1] <= u->t_max_ms))
		return HAVE_YES;
	s->skip = (uint32_t)sample_place(t, e->count, u->t_min_ms);
	s->n = u->t_max_ms == INT64_MAX ? e->count
	                                : (uint32_t)sample_place(t, e->count, u->t_max_ms + 1);
	s->n -= s->n < s->skip ? s->n : s->skip;
	memmove(t, t + s->skip, s->n * sizeof(*t));
	return HAVE_YES;
}

/* Floats behind acc, which shares times. */
static enum have add_floats(struct unitread *u, struct unitread_file *f, struct unitpool_unit *x,
    const struct cfile_entry *e, struct column *acc)
{
	struct unitread_times *m = &u->times;
	SCRATCH struct errbuf eb;
	struct unitread_stretch now = { .file = f,
		.unit = e->outside ? UINT32_MAX : x->ext.unit,
		.column = e->column,
		.count = e->count,
		.from = acc->count };
	column_reserve(acc, e->count);
	if (LIKELY(m->same && m->at < m->count && stretch_is(&m->v[m->at], &now))) {
		now = m->v[m->at];
	} else {
		enum have have = stretch_read(u, f, x, e, acc, &now);
		if (UNLIKELY(have != HAVE_YES)) {
			m->same &= have != HAVE_BAD;
			return have;
		}
		*stretch_new(m) = now;
	}
	errbuf_init(&eb);
	u->work += now.skip / 2 + now.n;
	if (cfile_unit_values(&x->unit, e, now.skip, now.n, acc, &eb)) {
		m->same = false;
		warn(u, f, eb.text);
		return HAVE_BAD;
	}
	m->at++;
	u->samples += now.n;
	u->bytes += e->values_len + e->times_len;
	return HAVE_YES;
}

/* Decodes behind acc. */
static enum have add_whole(struct unitread *u, struct unitread_file *f, struct unitpool_unit *x,
    const struct cfile_entry *e, struct column *acc)
{
	struct cfile_times *times;
	SCRATCH struct errbuf eb;
	enum have have = times_get(u, f, x, e, &times);
	if (UNLIKELY(have != HAVE_YES))
		return have;
	errbuf_init(&eb);
	uint32_t from = acc->count;
	u->work += e->count;
	if (cfile_unit_append(&x->unit, times, e, acc, &eb)) {
		warn(u, f, eb.text);
		return HAVE_BAD;
	}
	u->samples += e->count;
	u->bytes += e->values_len + e->times_len;
	if (UNLIKELY(acc->x != NULL)) /* a byte of histograms takes as long as a float */
		u->work += e->values_len;
	trim(u, acc, from);
	return HAVE_YES;
}

static enum have add_entry(struct unitread *u, struct unitread_file *f, struct unitpool_unit *x,
    const struct cfile_entry *e, struct column *acc)
{
	if (LIKELY(u->shares && u->times.plain && x->unit.kind == CFILE_FLOATS && !acc->x &&
	        !u->cuts_count))
		return add_floats(u, f, x, e, acc);
	if (u->shares)
		times_mixed(u);
	return add_whole(u, f, x, e, acc);
}

static enum unitread_got waits(const struct unitread *u)
{
	return u->err ? UNITREAD_FAILED : UNITREAD_WAIT;
}

/* What one unit holds of an id, from at_entry on. */
static enum unitread_got add_unit(struct unitread *u, struct unitread_file *f,
    const struct cfile_extent *ext, uint32_t id, struct column *acc)
{
	struct unitpool_unit *x;
	enum have have = unit_get(u, f, ext, &x);
	if (UNLIKELY(have != HAVE_YES))
		return have == HAVE_BAD ? UNITREAD_ALL : waits(u);
	const struct cfile_entry *e;
	size_t entries = cfile_unit_find_near(&x->unit, id, &x->near, &e);
	while (u->at_entry < entries) {
		if (UNLIKELY(add_entry(u, f, x, &e[u->at_entry], acc) == HAVE_WAIT))
			return waits(u);
		u->at_entry++;
		if (u->at_entry < entries && is_over(u))
			return UNITREAD_AGAIN;
	}
	u->at_entry = 0;
	return UNITREAD_ALL;
}

/* What the file at hand holds of an id; entries of one are in order, so files are joined whole. */
static enum unitread_got add_file(struct unitread *u, uint32_t id, struct column *acc)
{
	struct unitread_file *f = u->files[u->at_file];
	if (!u->in_file)
		u->file_from = acc->count;
	u->in_file = true;
	u->work += WORK_FIND;
	for (size_t n = units_of(u, f, id); u->at_ext < n; u->at_ext++) {
		enum unitread_got got = add_unit(u, f, &u->ext[u->at_ext], id, acc);
		if (got != UNITREAD_ALL)
			return got;
		if (is_over(u) && u->at_ext + 1 < n) {
			u->at_ext++;
			return UNITREAD_AGAIN;
		}
	}
	if (UNLIKELY(u->cuts_count && !u->join.on))
		tombs_cut(
		    u->tombs, u->cuts, u->cuts_count, shard_file_rank(f->file), acc, u->file_from);
	if (!join(u, acc, u->file_from))
		return UNITREAD_AGAIN;
	u->at_ext = 0;
	u->in_file = false;
	return UNITREAD_ALL;
}

enum unitread_got unitread_series(struct unitread *u, uint32_t id, struct column *acc, bool shares)
{
	CHECK(!u->loading);
	u->shares = shares;
	if (UNLIKELY(u->err))
		return UNITREAD_FAILED;
	u->cuts_count =
	    UNLIKELY(u->tombs != NULL) ? tombs_of(u->tombs, &u->tombs_seek, id, &u->cuts) : 0;
	while (u->at_file < u->files_count) {
		enum unitread_got got = add_file(u, id, acc);
		if (got != UNITREAD_ALL)
			return got;
		u->at_file++;
		if (is_over(u) && u->at_file < u->files_count)
			return UNITREAD_AGAIN;
	}
	u->at_file = 0;
	return UNITREAD_ALL;
}

enum unitread_has unitread_has(struct unitread *u, uint32_t id)
{
	const struct tomb_entry *cuts;
	size_t n = tombs_of(u->tombs, &u->tombs_seek, id, &cuts);
	bool maybe = false;
	for (size_t i = 0; i < u->files_count; i++) {
		const struct unitread_file *f = u->files[i];
		const struct files_entry *e = &f->file->entry;
		u->work += WORK_FIND / 4;
		if (!f->dir || !cfile_dir_has(f->dir, id))
			continue;
		switch (tombs_cover(u->tombs, cuts, n, files_entry_rank(e),
		    e->t_min_ms > u->t_min_ms ? e->t_min_ms : u->t_min_ms,
		    e->t_max_ms < u->t_max_ms ? e->t_max_ms : u->t_max_ms)) {
		case TOMBS_NONE:
			return UNITREAD_HAS_SOME;
		case TOMBS_SOME:
			maybe = true;
			break;
		case TOMBS_ALL:
			break;
		}
	}
	return maybe ? UNITREAD_HAS_MAYBE : UNITREAD_HAS_NONE;
}
