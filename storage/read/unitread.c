#include "storage/read/unitread.h"

#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/read/select.h"
#include "storage/store_priv.h"

#define EXTENTS_MIN 16u

void unitread_init(struct unitread *u, struct shard *sh, int64_t t_min_ms, int64_t t_max_ms,
    void (*woken)(struct unitread *u))
{
	*u = (struct unitread){ .shard = sh,
		.t_min_ms = t_min_ms,
		.t_max_ms = t_max_ms,
		.woken = woken,
		.generation = UINT64_MAX };
}

static void unload(struct unitread *u, struct unitread_file *f)
{
	if (f->unit_no != UINT32_MAX) {
		cfile_unit_release(&f->unit);
		cfile_unit_init(&f->unit);
		f->unit_no = UINT32_MAX;
	}
	if (f->bytes.len)
		u->loaded--;
	buf_release(&f->bytes);
	buf_init(&f->bytes);
}

static void file_free(struct unitread *u, struct unitread_file *f)
{
	unload(u, f);
	cfile_unit_release(&f->unit);
	buf_release(&f->bytes);
	shard_file_unpin(f->file);
	mem_free(f);
}

/* Once per cursor. */
static void warn_lost(struct unitread *u)
{
	const struct shard *sh = u->shard;
	for (size_t i = 0; i < sh->lost_count && u->warnings_count < UNITREAD_WARNINGS_MAX; i++) {
		const struct files_entry *e = &sh->lost[i];
		if (e->samples && e->t_min_ms <= u->t_max_ms && e->t_max_ms >= u->t_min_ms)
			snprintf(u->warnings[u->warnings_count++], sizeof(u->warnings[0]),
			    "damaged data skipped: %s cannot be opened", e->name);
	}
}

void unitread_release(struct unitread *u)
{
	CHECK(!u->loading);
	for (size_t i = 0; i < u->files_count; i++)
		file_free(u, u->files[i]);
	mem_free(u->files);
	mem_free(u->ext);
	series_col_release(&u->spare);
	series_col_release(&u->piece);
}

static bool overlaps(const struct unitread *u, const struct shard_file *f)
{
	return f->entry.samples && f->entry.t_min_ms <= u->t_max_ms &&
	    f->entry.t_max_ms >= u->t_min_ms;
}

/* Both lists are in the same order (range, then rank), so one walk over both is enough. */
void unitread_sync(struct unitread *u)
{
	struct shard *sh = u->shard;
	CHECK(!u->loading);
	if (u->generation == sh->list.generation)
		return;
	if (u->generation == UINT64_MAX)
		warn_lost(u);
	struct unitread_file **old = u->files;
	size_t old_count = u->files_count, kept = 0;
	u->files = NULL;
	u->files_count = u->files_cap = 0;
	LIST_EACH(l, &sh->files) {
		struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (!overlaps(u, f))
			continue;
		if (u->files_count == u->files_cap) {
			u->files_cap = u->files_cap ? 2 * u->files_cap : 16;
			u->files = mem_array(u->files, u->files_cap, sizeof(*u->files));
		}
		struct unitread_file *uf = NULL;
		for (size_t i = kept; i < old_count && !uf; i++) {
			if (old[i] && old[i]->file == f) {
				uf = old[i];
				old[i] = NULL;
				while (kept < old_count && !old[kept])
					kept++;
			}
		}
		if (!uf) {
			uf = mem_zalloc(sizeof(*uf));
			uf->file = f;
			uf->unit_no = uf->bad = UINT32_MAX;
			cfile_unit_init(&uf->unit);
			buf_init(&uf->bytes);
			shard_file_pin(f);
			if (cfile_salvaged(f->cfile) && u->warnings_count < UNITREAD_WARNINGS_MAX)
				snprintf(u->warnings[u->warnings_count++], sizeof(u->warnings[0]),
				    "damaged data skipped: %s: its directory is damaged",
				    f->entry.name);
		}
		u->files[u->files_count++] = uf;
	}
	for (size_t i = 0; i < old_count; i++) {
		if (old[i])
			file_free(u, old[i]);
	}
	mem_free(old);
	u->generation = sh->list.generation;
}

static void warn(struct unitread *u, const struct unitread_file *f, const char *text)
{
	metric_add(M_DAMAGED_UNITS, 1);
	LOG_EVERY(LOG_LEVEL_WARN, "damaged_data_skipped", "shard=%u %s", u->shard->index, text);
	if (u->warnings_count < UNITREAD_WARNINGS_MAX)
		snprintf(u->warnings[u->warnings_count++], sizeof(u->warnings[0]),
		    "damaged data skipped: %s", *text ? text : f->file->entry.name);
}

static void read_failed(struct unitread *u, struct unitread_file *f, uint64_t off, enum err err)
{
	char text[256];
	snprintf(text, sizeof(text), "%s at %llu: %s", f->file->entry.name, (unsigned long long)off,
	    err_text(err));
	warn(u, f, text);
}

static void make_room(struct unitread *u)
{
	while (u->loaded >= SELECT_UNITS_MAX) {
		struct unitread_file *oldest = NULL;
		for (size_t i = 0; i < u->files_count; i++) {
			struct unitread_file *f = u->files[i];
			if (f->bytes.len && !f->wanted && (!oldest || f->used < oldest->used))
				oldest = f;
		}
		if (!oldest)
			return;
		unload(u, oldest);
	}
}

enum have {
	HAVE_YES,
	HAVE_BAD,
	HAVE_WAIT
};

/* Opens a unit whose bytes are loaded. */
static enum have open_unit(struct unitread *u, struct unitread_file *f, const struct cfile_extent *e)
{
	struct errbuf eb;
	errbuf_init(&eb);
	f->unit_no = UINT32_MAX;
	if (cfile_unit_open(
	        &f->unit, f->file->cfile, e, f->bytes.data + (e->off - f->bytes_off), &eb)) {
		warn(u, f, eb.text);
		f->bad = e->unit;
		return HAVE_BAD;
	}
	f->unit_no = e->unit;
	return HAVE_YES;
}

/* How much to load at once: the unit with all further ones of the series, which stand behind it. All of them: reading starts again with the first one after each load, and where every read is one
 * for a worker (file systems that cannot tell what is in memory) it would never come to the last. */
static size_t span_of(const struct cfile_extent *e, size_t n)
{
	size_t len = e[0].len;
	for (size_t i = 1; i < n; i++) {
		if (e[i].off < e[i - 1].off)
			break;
		len = (size_t)(e[i].off + e[i].len - e[0].off);
	}
	return len;
}

/* Is the unit of e[0] open? If not, its bytes are looked for in what is loaded, then in the page cache, together with those of e[1..n). */
static enum have have_unit(
    struct unitread *u, struct unitread_file *f, const struct cfile_extent *e, size_t n)
{
	f->used = ++u->tick;
	if (f->unit_no == e->unit)
		return HAVE_YES;
	if (f->bad == e->unit)
		return HAVE_BAD;
	if (f->bytes.len && e->off >= f->bytes_off && e->off + e->len <= f->bytes_off + f->bytes.len)
		return open_unit(u, f, e);
	if (f->bytes.len)
		u->loaded--;
	else
		make_room(u);
	size_t len = span_of(e, n);
	f->unit_no = UINT32_MAX; /* the unit borrows the bytes that go now */
	buf_clear(&f->bytes);
	buf_reserve(&f->bytes, len);
	f->bytes_off = e->off;
	enum err err = fsio_read_nowait(cfile_file(f->file->cfile), f->bytes.data, len, e->off);
	if (err == ERR_AGAIN) {
		f->want_len = len;
		f->want_unit = e->unit;
		f->wanted = true;
		return HAVE_WAIT;
	}
	if (err) {
		read_failed(u, f, e->off, err);
		f->bad = e->unit;
		return HAVE_BAD;
	}
	f->bytes.len = len;
	u->loaded++;
	return open_unit(u, f, e);
}

/* ---- loading on a worker ---- */

static void load_run(struct work_task *t)
{
	struct unitread *u = CONTAINER_OF(t, struct unitread, task);
	for (size_t i = 0; i < u->files_count; i++) {
		struct unitread_file *f = u->files[i];
		if (f->wanted)
			f->want_err = fsio_read_at(
			    cfile_file(f->file->cfile), f->bytes.data, f->want_len, f->bytes_off);
	}
}

static void load_done(struct work_task *t)
{
	struct unitread *u = CONTAINER_OF(t, struct unitread, task);
	u->loading = false;
	for (size_t i = 0; i < u->files_count; i++) {
		struct unitread_file *f = u->files[i];
		if (!f->wanted)
			continue;
		f->wanted = false;
		if (f->want_err) {
			read_failed(u, f, f->bytes_off, f->want_err);
			f->bad = f->want_unit;
			continue;
		}
		f->bytes.len = f->want_len;
		u->loaded++;
	}
	u->woken(u);
}

void unitread_load(struct unitread *u)
{
	CHECK(!u->loading);
	u->loading = true;
	metric_add(M_COLD_READS, 1);
	u->task = (struct work_task){ .run = load_run, .done = load_done, .prio = WORK_READ };
	work_submit(u->shard->store->opts.pool, &u->task);
}

/* ---- samples ---- */

/* Cuts what lies outside [t_min, t_max] from the samples at `from`. */
static void trim(const struct unitread *u, struct series_col *c, uint32_t from)
{
	while (c->count > from && c->t_ms[c->count - 1] > u->t_max_ms)
		c->count--;
	uint32_t skip = 0;
	while (from + skip < c->count && c->t_ms[from + skip] < u->t_min_ms)
		skip++;
	if (!skip)
		return;
	uint32_t keep = c->count - from - skip;
	memmove(c->t_ms + from, c->t_ms + from + skip, keep * sizeof(*c->t_ms));
	memmove(c->v + from, c->v + from + skip, keep * sizeof(*c->v));
	c->count = from + keep;
}

void unitread_merge(struct unitread *u, struct series_col *acc, const struct series_col *newer)
{
	if (!newer->count)
		return;
	if (!acc->count || acc->t_ms[acc->count - 1] < newer->t_ms[0]) {
		series_col_reserve(acc, newer->count);
		memcpy(acc->t_ms + acc->count, newer->t_ms, newer->count * sizeof(*acc->t_ms));
		memcpy(acc->v + acc->count, newer->v, newer->count * sizeof(*acc->v));
		acc->count += newer->count;
		return;
	}
	series_col_merge(newer, acc, &u->spare);
	struct series_col x = *acc;
	*acc = u->spare;
	u->spare = x;
}

/* Decodes behind acc; when that is not in order, merges. */
static void add_entry(struct unitread *u, struct unitread_file *f, const struct cfile_entry *e,
    struct series_col *acc)
{
	struct errbuf eb;
	errbuf_init(&eb);
	series_col_reserve(acc, e->count);
	uint32_t from = acc->count;
	if (cfile_unit_decode(&f->unit, e, acc->t_ms + from, acc->v + from, &eb)) {
		warn(u, f, eb.text);
		return;
	}
	u->samples += e->count;
	acc->count += e->count;
	trim(u, acc, from);
	if (!from || acc->count == from || acc->t_ms[from - 1] < acc->t_ms[from])
		return;
	u->piece.count = 0;
	uint32_t n = acc->count - from;
	series_col_reserve(&u->piece, n);
	memcpy(u->piece.t_ms, acc->t_ms + from, n * sizeof(*acc->t_ms));
	memcpy(u->piece.v, acc->v + from, n * sizeof(*acc->v));
	u->piece.count = n;
	acc->count = from;
	unitread_merge(u, acc, &u->piece);
}

/* Where the units of the series stand: u->ext. */
static size_t units_of(struct unitread *u, const struct unitread_file *f, uint32_t id)
{
	size_t n = cfile_find(f->file->cfile, id, u->ext, u->ext_cap);
	if (n <= u->ext_cap)
		return n;
	u->ext_cap = n < EXTENTS_MIN ? EXTENTS_MIN : 2 * n;
	u->ext = mem_array(u->ext, u->ext_cap, sizeof(*u->ext));
	return cfile_find(f->file->cfile, id, u->ext, u->ext_cap);
}

bool unitread_series(struct unitread *u, uint32_t id, struct series_col *acc)
{
	bool wait = false;
	acc->count = 0;
	for (size_t i = 0; i < u->files_count; i++) {
		struct unitread_file *f = u->files[i];
		size_t n = units_of(u, f, id);
		for (size_t k = 0; k < n; k++) {
			enum have h = have_unit(u, f, &u->ext[k], n - k);
			if (h == HAVE_WAIT) {
				wait = true;
				break; /* one unit of a file at a time; the others of this series come after it */
			}
			if (h == HAVE_BAD || wait)
				continue;
			const struct cfile_entry *e;
			size_t entries = cfile_unit_find(&f->unit, id, &e);
			for (size_t m = 0; m < entries; m++)
				add_entry(u, f, &e[m], acc);
		}
	}
	return !wait;
}

bool unitread_has(const struct unitread *u, uint32_t id)
{
	for (size_t i = 0; i < u->files_count; i++) {
		if (cfile_has(u->files[i]->file->cfile, id))
			return true;
	}
	return false;
}
