#include "storage/block/bhead_log.h"

#include "core/base/mem.h"
#include "core/base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECKPOINT  "checkpoint."
#define READ_BUFFER ((size_t)1 << 20)

/* ---- which segments there are ---- */

struct listing {
	struct bhead_log *l;
	const char *dir; /* below the data directory */
	bool late;
	uint64_t above;      /* only segments above this one; UINT64_MAX: all */
	uint64_t checkpoint; /* the highest there is, UINT64_MAX: none */
	char name[64];       /* its name */
};

static bool number(const char *s, uint64_t *out)
{
	return *s && !num_parse_u64(s, strlen(s), out);
}

static enum err segment(void *arg, const char *name)
{
	struct listing *x = arg;
	struct bhead_log *l = x->l;
	uint64_t n;
	if (!number(name, &n) || (x->above != UINT64_MAX && n <= x->above))
		return ERR_OK;
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->segments = mem_array(l->segments, l->cap, sizeof(*l->segments));
	}
	size_t len = strlen(x->dir) + strlen(name) + 2;
	char *path = mem_alloc(len);
	snprintf(path, len, "%s/%s", x->dir, name);
	l->segments[l->count++] = (struct bhead_segment){ .name = path, .late = x->late };
	return ERR_OK;
}

static enum err checkpoint(void *arg, const char *name)
{
	struct listing *x = arg;
	uint64_t n;
	if (strncmp(name, CHECKPOINT, sizeof(CHECKPOINT) - 1) != 0 ||
	    !number(name + sizeof(CHECKPOINT) - 1, &n) || strlen(name) >= sizeof(x->name))
		return ERR_OK;
	if (x->checkpoint == UINT64_MAX || n > x->checkpoint) {
		x->checkpoint = n;
		snprintf(x->name, sizeof(x->name), "%s", name);
	}
	return ERR_OK;
}

/* Names of eight digits: their order is that of numbers. */
static enum err list(
    struct bhead_log *l, struct fsio_dir *dir, const char *name, bool late, uint64_t above)
{
	struct listing x = { .l = l, .dir = name, .late = late, .above = above };
	return fsio_dir_each(dir, segment, &x);
}

static enum err list_wal(struct bhead_log *l, struct fsio_dir *wal)
{
	struct listing x = { .l = l, .checkpoint = UINT64_MAX };
	enum err e = fsio_dir_each(wal, checkpoint, &x);
	if (e || x.checkpoint == UINT64_MAX)
		return e ? e : list(l, wal, "wal", false, UINT64_MAX);
	struct fsio_dir *sub;
	char name[80];
	snprintf(name, sizeof(name), "wal/%s", x.name);
	e = fsio_dir_sub(wal, x.name, false, &sub);
	if (e)
		return e;
	e = list(l, sub, name, false, UINT64_MAX);
	fsio_dir_close(sub);
	return e ? e : list(l, wal, "wal", false, x.checkpoint);
}

static void last_of_log(struct bhead_log *l)
{
	if (l->count)
		l->segments[l->count - 1].last = true;
}

static void sizes(struct bhead_log *l)
{
	for (size_t i = 0; i < l->count; i++) {
		struct fsio_file *f;
		uint64_t size;
		if (fsio_open(l->dir, l->segments[i].name, FSIO_READ, &f))
			continue;
		if (!fsio_size(f, &size))
			l->bytes += size;
		fsio_close(f);
	}
}

enum err bhead_log_open(
    struct bhead_log *l, struct fsio_dir *dir, const struct bdamage *damage, struct errbuf *eb)
{
	struct fsio_dir *sub;
	*l = (struct bhead_log){ .dir = dir, .damage = *damage };
	bpages_init(&l->pages);
	enum err e = fsio_dir_sub(dir, "wal", false, &sub);
	if (!e) {
		e = list_wal(l, sub);
		fsio_dir_close(sub);
	}
	if (e) {
		bhead_log_close(l);
		return errbuf_set(eb, e, "wal: %s", err_why(e));
	}
	last_of_log(l);
	e = fsio_dir_sub(dir, "wbl", false, &sub);
	if (!e) {
		e = list(l, sub, "wbl", true, UINT64_MAX);
		fsio_dir_close(sub);
		last_of_log(l);
	}
	if (e && e != ERR_NOTFOUND) {
		bhead_log_close(l);
		return errbuf_set(eb, e, "wbl: %s", err_why(e));
	}
	sizes(l);
	return ERR_OK;
}

/* ---- one segment ---- */

static void segment_close(struct bhead_log *l)
{
	if (!l->file)
		return;
	bin_close(&l->in);
	fsio_close(l->file);
	l->file = NULL;
	l->in_page = false;
}

void bhead_log_close(struct bhead_log *l)
{
	segment_close(l);
	bpages_release(&l->pages);
	for (size_t i = 0; i < l->count; i++)
		mem_free(l->segments[i].name);
	mem_free(l->segments);
	l->segments = NULL;
	l->count = 0;
}

void bhead_log_rewind(struct bhead_log *l)
{
	segment_close(l);
	bpages_cut(&l->pages);
	l->at = 0;
	l->read = l->damaged = 0;
}

/* The offset of the page that is looked at. */
static uint64_t page_at(const struct bhead_log *l)
{
	return l->in.at - (l->in.to - l->in.from) - l->pages.len;
}

static void tell(struct bhead_log *l, uint64_t offset, const char *what)
{
	l->damaged++;
	bdamage_tell(&l->damage, l->segments[l->at].name, offset, what);
}

void bhead_log_bad(struct bhead_log *l, const char *what)
{
	tell(l, page_at(l) + l->pages.at, what);
}

static bool segment_open(struct bhead_log *l)
{
	uint64_t size = 0;
	enum err e = fsio_open(l->dir, l->segments[l->at].name, FSIO_READ, &l->file);
	if (!e)
		e = fsio_size(l->file, &size);
	if (e) {
		fsio_close(l->file);
		l->file = NULL;
		tell(l, 0, err_why(e));
		return false;
	}
	bin_open(&l->in, l->file, 0, size, READ_BUFFER);
	return true;
}

/* The next page; false: the segment ends. */
static bool page_next(struct bhead_log *l)
{
	uint64_t left = l->in.end - l->in.at + (l->in.to - l->in.from);
	size_t n = left < BPAGES_PAGE ? (size_t)left : BPAGES_PAGE;
	const uint8_t *p = n ? bin_take(&l->in, n) : NULL;
	if (!p) {
		if (l->in.err)
			tell(l, l->in.at, err_why(l->in.err));
		return false;
	}
	l->read += n;
	bpages_feed(&l->pages, p, n);
	return l->in_page = true;
}

static void segment_end(struct bhead_log *l)
{
	if (l->pages.begun && !l->segments[l->at].last)
		tell(l, l->in.end, "a record is cut at the end of a segment");
	bpages_cut(&l->pages);
	segment_close(l);
	l->at++;
}

/*
 * The last page of the last segment may be half written: what is bad there is where the log ends.
 */
static bool is_tail(const struct bhead_log *l)
{
	return l->segments[l->at].last && !bin_more(&l->in);
}

bool bhead_log_next(struct bhead_log *l, const uint8_t **rec, size_t *len, bool *late)
{
	while (l->at < l->count) {
		if (!l->file && !segment_open(l)) {
			l->at++;
			continue;
		}
		if (!l->in_page && !page_next(l)) {
			segment_end(l);
			continue;
		}
		uint64_t was = l->pages.at;
		switch (bpages_next(&l->pages)) {
		case BPAGES_EMPTY:
			l->in_page = false;
			continue;
		case BPAGES_BAD:
			if (!is_tail(l))
				tell(l, page_at(l) + was, l->pages.what);
			continue;
		case BPAGES_RECORD:
			*rec = l->pages.rec;
			*len = l->pages.rec_len;
			*late = l->segments[l->at].late;
			return true;
		}
	}
	return false;
}
