/*
 * Opening a cfile: header and footer, which both sides share. Its directory is read in cfile_dir.c,
 * units are decoded in cfile_unit.c, walked in cfile_iter.c, written in cfile_write.c.
 */
#include "storage/cfile/cfile.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"

uint32_t cfile_seed(uint32_t header_crc, uint64_t off)
{
	return crc32c(header_crc, &off, sizeof(off));
}

void cfile_head_put(uint8_t *p, const struct cfile_head *h, uint32_t seed)
{
	wire_store32(p, h->magic);
	p[4] = h->kind;
	p[5] = h->flags;
	wire_store16(p + 6, (uint16_t)h->count);
	wire_store32(p + 8, h->first_id);
	wire_store32(p + 12, h->last_id);
	wire_store32(p + 16, h->len);
	wire_store32(p + 20, h->raw_len);
	wire_store32(p + 24, h->crc);
	wire_store32(p + 28, crc32c(seed, p, 28));
}

bool cfile_head_get(const uint8_t *p, uint32_t seed, struct cfile_head *h)
{
	h->magic = wire_load32(p);
	if ((h->magic != CFILE_MAGIC_UNIT && h->magic != CFILE_MAGIC_BLOCK &&
	        h->magic != CFILE_MAGIC_TIMES) ||
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

void cfile_header_put(uint8_t *p, const struct cfile_meta *m, uint64_t salt)
{
	memset(p, 0, CFILE_HEADER);
	memcpy(p, CFILE_MAGIC, 8);
	wire_store16(p + 8, CFILE_VERSION);
	p[10] = (uint8_t)(m->flags & (CFILE_SEALED | CFILE_OWN | CFILE_METRIC));
	wire_store32(p + 12, m->shard);
	wire_store64(p + 16, (uint64_t)m->start_ms);
	wire_store64(p + 24, (uint64_t)m->end_ms);
	wire_store64(p + 32, m->rank);
	wire_store64(p + 40, salt);
	wire_store32(p + 60, crc32c(0, p, 60));
}

enum err cfile_header_get(const uint8_t *p, struct cfile_meta *m, unsigned *version)
{
	if (memcmp(p, CFILE_MAGIC, 8) || wire_load32(p + 60) != crc32c(0, p, 60))
		return ERR_DAMAGED;
	*version = wire_load16(p + 8);
	if (!*version || *version > CFILE_VERSION)
		return ERR_UNSUPPORTED;
	m->flags = p[10] & (CFILE_SEALED | CFILE_OWN | (*version > 1 ? CFILE_METRIC : 0));
	m->shard = wire_load32(p + 12);
	m->start_ms = (int64_t)wire_load64(p + 16);
	m->end_ms = (int64_t)wire_load64(p + 24);
	m->rank = wire_load64(p + 32);
	return m->start_ms < m->end_ms ? ERR_OK : ERR_DAMAGED;
}

/* ---- footer ---- */

void cfile_footer_put(uint8_t *p, const struct cfile *f, const uint8_t *header)
{
	const struct cfile_stats *st = &f->stats;
	memset(p, 0, CFILE_FOOTER);
	memcpy(p, header, CFILE_HEADER);
	wire_store64(p + 64, f->dir_off);
	wire_store32(p + 72, f->dir_len);
	wire_store32(p + 76, f->dir_raw_len);
	wire_store32(p + 80, f->dir_crc);
	wire_store32(p + 84, f->meta.flags & CFILE_LABELS_ALL);
	wire_store64(p + 88, st->samples);
	wire_store64(p + 96, (uint64_t)st->t_min_ms);
	wire_store64(p + 104, (uint64_t)st->t_max_ms);
	wire_store64(p + 112, st->label_bytes);
	wire_store32(p + 120, st->series);
	wire_store32(p + 124, st->units);
	wire_store32(p + 128, st->blocks);
	wire_store32(p + 132, f->kinds);
	wire_store32(p + 136, f->id_max);
	wire_store32(p + 140, f->any_id);
	wire_store64(p + 144, st->times_bytes);
	wire_store32(p + 176, crc32c(f->header_crc, p + 64, 112));
	memcpy(p + 184, CFILE_MAGIC_END, 8);
}

/* What stands behind the copy of the header. */
static bool footer_parse(const uint8_t *p, struct cfile *f, uint64_t size)
{
	struct cfile_stats *st = &f->stats;
	f->dir_off = wire_load64(p + 64);
	f->dir_len = wire_load32(p + 72);
	f->dir_raw_len = wire_load32(p + 76);
	f->dir_crc = wire_load32(p + 80);
	f->meta.flags |= wire_load32(p + 84) & CFILE_LABELS_ALL;
	*st = (struct cfile_stats){ .size_bytes = size,
		.samples = wire_load64(p + 88),
		.t_min_ms = (int64_t)wire_load64(p + 96),
		.t_max_ms = (int64_t)wire_load64(p + 104),
		.label_bytes = wire_load64(p + 112),
		.series = wire_load32(p + 120),
		.units = wire_load32(p + 124),
		.blocks = wire_load32(p + 128),
		.times_bytes = wire_load64(p + 144) };
	f->kinds = wire_load32(p + 132);
	f->id_max = wire_load32(p + 136);
	f->any_id = wire_load32(p + 140) != 0;
	st->directory_bytes = (uint64_t)f->dir_len + CFILE_FOOTER + CFILE_HEADER;
	return f->dir_off >= CFILE_HEADER && f->dir_off <= size &&
	    size - f->dir_off == (uint64_t)f->dir_len + CFILE_FOOTER &&
	    f->dir_len <= CFILE_DIR_MAX && f->dir_raw_len <= CFILE_DIR_MAX;
}

enum err cfile_header_take(const uint8_t *p, struct cfile *f)
{
	unsigned version = 0;
	enum err e = cfile_header_get(p, &f->meta, &version);
	if (e)
		return e;
	f->version = (uint16_t)version;
	f->header_crc = wire_load32(p + CFILE_HEADER - 4);
	return ERR_OK;
}

enum err cfile_footer_get(const uint8_t *p, struct cfile *f, uint64_t size)
{
	if (memcmp(p + 184, CFILE_MAGIC_END, 8))
		return ERR_DAMAGED;
	enum err e = cfile_header_take(p, f);
	if (e)
		return e;
	if (wire_load32(p + 176) != crc32c(f->header_crc, p + 64, 112) || !footer_parse(p, f, size))
		return ERR_DAMAGED;
	return ERR_OK;
}

/* ---- opening ---- */

/* The header, or one of the places of its copy. */
static enum err header_find(struct cfile *f, const uint8_t *tail, size_t tail_len)
{
	uint8_t header[CFILE_HEADER];
	enum err e = fdcache_read_at(f->io, header, sizeof(header), 0);
	if (e)
		return e == ERR_TRUNCATED ? ERR_DAMAGED : e;
	e = cfile_header_take(header, f);
	if (e == ERR_DAMAGED && tail_len >= CFILE_FOOTER)
		e = cfile_header_take(tail + tail_len - CFILE_FOOTER, f);
	if (e == ERR_DAMAGED && tail_len >= CFILE_FOOTER_V1)
		e = cfile_header_take(tail + tail_len - CFILE_FOOTER_V1, f);
	return e;
}

/* Where the footer does not say what is in it, the directory does, or the pieces. */
static enum err dir_tells(struct cfile *f)
{
	const struct cfile_dir *d = NULL;
	uint64_t size = f->stats.size_bytes;
	enum err e = cfile_dir_load(f, &d);
	if (e)
		return e;
	f->salvaged = d->salvaged;
	f->stats = d->stats;
	f->stats.size_bytes = size;
	f->meta.flags |= d->flags;
	f->kinds = d->kinds;
	f->id_max = d->id_max;
	f->any_id = d->any_id;
	cfile_dir_unpin(f);
	return ERR_OK;
}

static enum err open_read(struct cfile *f)
{
	uint64_t size = 0;
	uint8_t tail[CFILE_FOOTER];
	enum err e = fdcache_size(f->io, &size);
	if (e)
		return e;
	if (size < CFILE_HEADER)
		return ERR_DAMAGED;
	size_t len = size < sizeof(tail) ? (size_t)size : sizeof(tail);
	e = fdcache_read_at(f->io, tail, len, size - len);
	if (e)
		return e;
	e = len == CFILE_FOOTER ? cfile_footer_get(tail, f, size) : ERR_DAMAGED;
	if (e != ERR_DAMAGED)
		return e;
	e = len >= CFILE_FOOTER_V1 ? cfile_v1_footer_get(tail + len - CFILE_FOOTER_V1, f, size)
	                           : ERR_DAMAGED;
	if (e == ERR_DAMAGED) {
		e = header_find(f, tail, len);
		f->salvaged = true;
	}
	f->stats.size_bytes = size;
	return e ? e : dir_tells(f);
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
	memo_init(&f->dir, cfile_dir_free);
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
	memo_release(&f->dir);
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

bool cfile_id_max(const struct cfile *f, uint32_t *id)
{
	*id = f->id_max;
	return f->any_id;
}

bool cfile_has_kind(const struct cfile *f, enum cfile_kind kind)
{
	return f->kinds >> kind & 1;
}

enum err cfile_damaged(const struct cfile *f, uint64_t off, const char *what, struct errbuf *eb)
{
	return errbuf_set(eb, ERR_DAMAGED, "%s at %llu: %s", f->name, (unsigned long long)off, what);
}

/* ---- metric order ---- */

/* The name is mostly the first label. */
static const char *name_of(struct labels ls, uint32_t *len)
{
	const char *name = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, len);
	if (!name)
		*len = 0;
	return name;
}

int cfile_key_cmp(const struct cfile_key *a, const struct cfile_key *b)
{
	if (a->tenant != b->tenant)
		return a->tenant < b->tenant ? -1 : 1;
	uint32_t a_len = 0, b_len = 0;
	const char *a_name = name_of(a->labels, &a_len), *b_name = name_of(b->labels, &b_len);
	int c = bytes_cmp(a_name, a_len, b_name, b_len);
	return c ? c : bytes_cmp(a->labels.bytes, a->labels.len, b->labels.bytes, b->labels.len);
}
