/*
 * Opening a cfile, finding ids in it, and the layouts both sides share. Units are decoded in
 * cfile_unit.c, walked in cfile_iter.c, written in cfile_write.c.
 */
#include "storage/cfile/cfile.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"

bool cfile_head_get(const uint8_t *p, uint32_t seed, struct cfile_head *h)
{
	h->magic = wire_load32(p);
	if ((h->magic != CFILE_MAGIC_UNIT && h->magic != CFILE_MAGIC_BLOCK) ||
	    wire_load32(p + 28) != crc32c(seed, p, 28))
		return false;
	h->kind = p[4];
	h->flags = p[5];
	h->count = wire_load16(p + 6);
	h->first_id = wire_load32(p + 8);
	h->last_id = wire_load32(p + 12);
	h->len = wire_load32(p + 16);
	h->raw_len = wire_load32(p + 20);
	h->crc = wire_load32(p + 24);
	return h->count > 0 && h->first_id <= h->last_id && h->raw_len <= CFILE_UNIT_RAW_MAX &&
	    h->len <= CFILE_UNIT_RAW_MAX;
}

enum err cfile_header_get(const uint8_t *p, struct cfile_meta *m)
{
	if (memcmp(p, CFILE_MAGIC, 8) || wire_load32(p + 60) != crc32c(0, p, 60))
		return ERR_DAMAGED;
	if (wire_load16(p + 8) != CFILE_VERSION || p[11] != 1u << SAMPLE_FLOAT)
		return ERR_UNSUPPORTED;
	m->flags = p[10];
	m->shard = wire_load32(p + 12);
	m->start_ms = (int64_t)wire_load64(p + 16);
	m->end_ms = (int64_t)wire_load64(p + 24);
	m->rank = wire_load64(p + 32);
	return m->start_ms < m->end_ms ? ERR_OK : ERR_DAMAGED;
}

struct cfile_runs cfile_runs(const uint8_t *p, size_t len, uint32_t first_id)
{
	return (struct cfile_runs){
		.r = wire_reader(p, len), .first = first_id, .last = 0, .more = true
	};
}

bool cfile_runs_next(struct cfile_runs *it)
{
	if (!it->more || it->r.bad)
		return false;
	uint64_t v = wire_varint(&it->r);
	it->last = it->first + (v >> 1);
	it->more = v & 1;
	if (it->r.bad || v >> 1 > UINT32_MAX || it->last > UINT32_MAX) {
		it->r.bad = true;
		return false;
	}
	return true;
}

/* To the first id of the next run; false at the end of the runs. */
static bool runs_skip(struct cfile_runs *it)
{
	if (!it->more || it->r.bad)
		return false;
	uint64_t gap = wire_varint(&it->r);
	if (gap == 0 || gap > UINT32_MAX)
		it->r.bad = true;
	it->first = it->last + 1 + gap;
	return !it->r.bad && it->first <= UINT32_MAX;
}

/* ---- opening ---- */

struct dir_reader {
	struct wire_reader r;
	uint64_t end; /* of the piece before */
	uint64_t last_id;
	uint64_t limit; /* pieces end before the directory */
};

static bool ref_read(struct dir_reader *d, struct cfile_ref *ref)
{
	uint64_t distance = wire_varint(&d->r), len = wire_varint(&d->r), id = wire_varint(&d->r);
	if (d->r.bad || distance > d->limit || len <= CFILE_UNIT_HEAD ||
	    len > CFILE_UNIT_HEAD + CFILE_UNIT_RAW_MAX || id > UINT32_MAX)
		return false;
	ref->off = d->end + distance;
	ref->len = (uint32_t)len;
	if (ref->off > d->limit || d->limit - ref->off < len || d->last_id + id > UINT32_MAX)
		return false;
	ref->first_id = (uint32_t)(d->last_id + id);
	d->end = ref->off + len;
	return true;
}

static bool units_read(struct cfile *f, struct dir_reader *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct cfile_ref *ref = &f->units[i];
		if (!ref_read(d, ref))
			return false;
		const uint8_t *at = d->r.p;
		ref->runs = (uint32_t)(at - f->runs);
		struct cfile_runs it = cfile_runs(at, wire_left(&d->r), ref->first_id);
		uint64_t ids = 0;
		do {
			if (!cfile_runs_next(&it))
				return false;
			ids += it.last - it.first + 1;
		} while (runs_skip(&it));
		if (it.r.bad || it.more)
			return false;
		ref->last_id = (uint32_t)it.last;
		f->stats.series +=
		    (uint32_t)ids - (i > 0 && f->units[i - 1].last_id == ref->first_id);
		d->last_id = ref->last_id;
		d->r.p = it.r.p;
	}
	return true;
}

static bool blocks_read(struct cfile *f, struct dir_reader *d, uint32_t count)
{
	d->end = CFILE_HEADER;
	d->last_id = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct cfile_ref *ref = &f->blocks[i];
		if (!ref_read(d, ref))
			return false;
		uint64_t span = wire_varint(&d->r);
		if (d->r.bad || span > UINT32_MAX - ref->first_id)
			return false;
		ref->last_id = ref->first_id + (uint32_t)span;
		ref->runs = 0;
		if (i > 0 && ref->first_id <= f->blocks[i - 1].last_id)
			return false;
		f->stats.label_bytes += ref->len;
		d->last_id = ref->last_id;
	}
	return wire_left(&d->r) == 0;
}

/* f->runs holds the checked directory. */
static bool directory_parse(struct cfile *f, uint64_t limit)
{
	struct dir_reader d = {
		.r = wire_reader(f->runs, f->runs_len), .end = CFILE_HEADER, .limit = limit
	};
	uint64_t flags = wire_varint(&d.r), units = wire_varint(&d.r), blocks = wire_varint(&d.r);
	f->stats.samples = wire_varint(&d.r);
	f->stats.t_min_ms = (int64_t)wire_u64(&d.r);
	f->stats.t_max_ms = (int64_t)wire_u64(&d.r);
	/*
	 * Four bytes at least for each, so that a number cannot ask for more memory than the
	 * directory has bytes.
	 */
	f->meta.flags |= (uint32_t)flags & CFILE_LABELS_ALL;
	if (d.r.bad || units > f->runs_len / 4 || blocks > f->runs_len / 4)
		return false;
	f->stats.units = (uint32_t)units;
	f->stats.blocks = (uint32_t)blocks;
	f->units = mem_array(NULL, units + 1, sizeof(*f->units));
	f->blocks = mem_array(NULL, blocks + 1, sizeof(*f->blocks));
	return units_read(f, &d, (uint32_t)units) && blocks_read(f, &d, (uint32_t)blocks);
}

static void directory_drop(struct cfile *f)
{
	mem_free(f->units);
	mem_free(f->blocks);
	mem_free(f->runs);
	f->units = f->blocks = NULL;
	f->runs = NULL;
	f->runs_len = 0;
	f->stats = (struct cfile_stats){ .t_min_ms = INT64_MAX, .t_max_ms = INT64_MIN };
}

/* ERR_DAMAGED: the footer or the directory; the caller scans. */
static enum err directory_load(struct cfile *f, const uint8_t *footer, uint64_t size)
{
	const uint8_t *p = footer + CFILE_HEADER;
	uint64_t off = wire_load64(p);
	uint32_t len = wire_load32(p + 8);
	if (memcmp(p + 24, CFILE_MAGIC_END, 8) || wire_load32(p + 16) != crc32c(f->header_crc, p, 16))
		return ERR_DAMAGED;
	if (off < CFILE_HEADER || off > size || size - off != (uint64_t)len + CFILE_FOOTER ||
	    len > CFILE_DIR_MAX)
		return ERR_DAMAGED;
	f->runs = mem_try(len ? len : 1);
	if (!f->runs)
		return ERR_NOMEM;
	f->runs_len = len;
	enum err e = fdcache_read_at(f->io, f->runs, len, off);
	if (e)
		return e == ERR_TRUNCATED ? ERR_DAMAGED : e;
	if (wire_load32(p + 12) != crc32c(cfile_seed(f->header_crc, off), f->runs, len) ||
	    !directory_parse(f, off))
		return ERR_DAMAGED;
	f->stats.size_bytes = size;
	f->stats.directory_bytes = (uint64_t)len + CFILE_FOOTER + CFILE_HEADER;
	return ERR_OK;
}

static enum err open_read(struct cfile *f)
{
	uint64_t size = 0;
	uint8_t header[CFILE_HEADER], footer[CFILE_FOOTER] = { 0 };
	enum err e = fdcache_size(f->io, &size);
	if (e)
		return e;
	if (size < CFILE_HEADER)
		return ERR_DAMAGED;
	e = fdcache_read_at(f->io, header, sizeof(header), 0);
	if (!e && size >= CFILE_HEADER + CFILE_FOOTER)
		e = fdcache_read_at(f->io, footer, sizeof(footer), size - CFILE_FOOTER);
	if (e)
		return e;
	const uint8_t *good = header;
	e = cfile_header_get(header, &f->meta);
	if (e == ERR_DAMAGED) {
		good = footer;
		e = cfile_header_get(footer, &f->meta);
	}
	if (e)
		return e;
	f->header_crc = wire_load32(good + CFILE_HEADER - 4);
	e = directory_load(f, footer, size);
	if (e != ERR_DAMAGED)
		return e;
	directory_drop(f);
	return cfile_salvage(f, size);
}

enum err cfile_open(struct fsio_dir *d, const char *name, struct cfile **out, struct errbuf *eb)
{
	CHECK(strlen(name) < CFILE_NAME_MAX);
	struct fdfile *io = NULL;
	enum err e = fdcache_open(d, name, &io);
	if (e)
		return errbuf_set(eb, e, "%s: cannot be opened: %s", name, err_why(e));
	struct cfile *f = mem_zalloc(sizeof(*f));
	f->io = io;
	memcpy(f->name, name, strlen(name) + 1);
	e = open_read(f);
	if (e) {
		cfile_close(f);
		if (e == ERR_UNSUPPORTED)
			return errbuf_set(eb, e,
			    "%s is of a later format than this program knows (%u)", name,
			    CFILE_VERSION);
		return errbuf_set(eb, e, "%s: %s", name,
		    e == ERR_DAMAGED ? "damaged: neither the header nor its copy can be read"
		                     : err_why(e));
	}
	*out = f;
	return ERR_OK;
}

void cfile_close(struct cfile *f)
{
	if (!f)
		return;
	directory_drop(f);
	fdcache_close(f->io);
	mem_free(f);
}

const struct cfile_meta *cfile_meta(const struct cfile *f)
{
	return &f->meta;
}

const struct cfile_stats *cfile_stats(const struct cfile *f)
{
	return &f->stats;
}

const char *cfile_path(const struct cfile *f)
{
	return f->name;
}

enum err cfile_read(struct cfile *f, void *bytes, size_t len, uint64_t off)
{
	return fdcache_read_at(f->io, bytes, len, off);
}

enum err cfile_read_nowait(struct cfile *f, void *bytes, size_t len, uint64_t off)
{
	return fdcache_read_nowait(f->io, bytes, len, off);
}

bool cfile_salvaged(const struct cfile *f)
{
	return f->salvaged;
}

/* ---- finding ---- */

static bool unit_has(const struct cfile *f, const struct cfile_ref *ref, uint32_t id)
{
	struct cfile_runs it =
	    cfile_runs(f->runs + ref->runs, f->runs_len - ref->runs, ref->first_id);
	do {
		if (!cfile_runs_next(&it) || id < it.first)
			return false;
		if (id <= it.last)
			return true;
	} while (runs_skip(&it));
	return false;
}

struct cfile_extent cfile_unit_extent(const struct cfile *f, uint32_t i)
{
	CHECK(i < f->stats.units);
	return (struct cfile_extent){ f->units[i].off, f->units[i].len, i };
}

size_t cfile_find(const struct cfile *f, uint32_t id, struct cfile_extent *out, size_t max)
{
	uint32_t lo = 0, hi = f->stats.units;
	while (lo < hi) { /* the first unit whose last id is not below id */
		uint32_t mid = lo + (hi - lo) / 2;
		if (f->units[mid].last_id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	size_t found = 0;
	for (; lo < f->stats.units && f->units[lo].first_id <= id; lo++) {
		if (!unit_has(f, &f->units[lo], id))
			continue;
		if (found < max)
			out[found] = cfile_unit_extent(f, lo);
		found++;
	}
	return found;
}

bool cfile_has(const struct cfile *f, uint32_t id)
{
	return cfile_find(f, id, NULL, 0) > 0;
}

void cfile_each_run(
    const struct cfile *f, void (*fn)(void *arg, uint32_t first, uint32_t last), void *arg)
{
	uint64_t next = 0; /* a unit may go on with the last id of the one before */
	for (uint32_t i = 0; i < f->stats.units; i++) {
		const struct cfile_ref *ref = &f->units[i];
		struct cfile_runs it =
		    cfile_runs(f->runs + ref->runs, f->runs_len - ref->runs, ref->first_id);
		while (cfile_runs_next(&it)) {
			uint64_t first = it.first < next ? next : it.first;
			if (first <= it.last)
				fn(arg, (uint32_t)first, (uint32_t)it.last);
			next = it.last + 1;
			if (!runs_skip(&it))
				break;
		}
	}
}

bool cfile_id_max(const struct cfile *f, uint32_t *id)
{
	uint32_t units = f->stats.units, blocks = f->stats.blocks;
	*id = units ? f->units[units - 1].last_id : 0;
	if (blocks && f->blocks[blocks - 1].last_id > *id)
		*id = f->blocks[blocks - 1].last_id;
	return units || blocks;
}
