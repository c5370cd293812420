#include "storage/block/bsegs.h"

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/wire.h"

#include <stdio.h>

#define MAGIC      0x85BD40DDu
#define FORMAT     1
#define HEAD       8u
#define LENGTH_MAX 5u /* bytes of a chunk's length */

struct opening {
	struct fsio_dir *dir;
	struct bsegs *s;
	struct errbuf *eb;
};

static uint32_t be32(const uint8_t *p)
{
	return __builtin_bswap32(wire_load32(p));
}

static bool is_number(const char *s)
{
	for (; *s; s++)
		if (*s < '0' || *s > '9')
			return false;
	return true;
}

static enum err one(void *arg, const char *name)
{
	struct opening *o = arg;
	struct fsio_file *f;
	struct bseg seg;
	if (!is_number(name))
		return ERR_OK;
	enum err e = fsio_open(o->dir, name, FSIO_READ, &f);
	if (!e) {
		e = fsio_map(f, &seg.data, &seg.len);
		fsio_close(f);
	}
	if (e)
		return errbuf_set(o->eb, e, "chunks/%s: %s", name, err_why(e));
	size_t len = strlen(name) + sizeof("chunks/");
	seg.name = mem_alloc(len);
	snprintf(seg.name, len, "chunks/%s", name);
	struct bsegs *s = o->s;
	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 8;
		s->items = mem_array(s->items, s->cap, sizeof(*s->items));
	}
	s->items[s->count++] = seg;
	s->bytes += seg.len;
	return ERR_OK;
}

enum err bsegs_open(struct fsio_dir *dir, struct bsegs *out, struct errbuf *eb)
{
	struct opening o = { .s = out, .eb = eb };
	*out = (struct bsegs){ 0 };
	enum err e = fsio_dir_sub(dir, "chunks", false, &o.dir);
	if (e == ERR_NOTFOUND)
		return ERR_OK;
	if (e)
		return errbuf_set(eb, e, "chunks: %s", err_why(e));
	e = fsio_dir_each(o.dir, one, &o); /* names of six digits: their order is that of numbers */
	if (e)
		errbuf_set(eb, e, "chunks: %s", err_why(e));
	fsio_dir_close(o.dir);
	if (e)
		bsegs_close(out);
	return e;
}

void bsegs_close(struct bsegs *s)
{
	for (size_t i = 0; i < s->count; i++) {
		fsio_unmap(s->items[i].data, s->items[i].len);
		mem_free(s->items[i].name);
	}
	mem_free(s->items);
	*s = (struct bsegs){ 0 };
}

const char *bsegs_name(const struct bsegs *s, uint64_t ref)
{
	return ref >> 32 < s->count ? s->items[ref >> 32].name : "chunks";
}

static const char *find(const struct bsegs *s, uint64_t ref, struct bsegs_chunk *out)
{
	uint64_t at = (uint32_t)ref;
	if (ref >> 32 >= s->count)
		return "the file of a chunk is not there";
	const struct bseg *seg = &s->items[ref >> 32];
	if (seg->len < HEAD || be32(seg->data) != MAGIC || seg->data[4] != FORMAT)
		return "the file of a chunk does not begin as one";
	if (at < HEAD || at >= seg->len)
		return "a chunk stands outside of its file";
	size_t left = seg->len - (size_t)at;
	struct wire_reader r = wire_reader(seg->data + at, left < LENGTH_MAX ? left : LENGTH_MAX);
	uint64_t len = wire_varint(&r);
	left -= (size_t)(r.p - (seg->data + at));
	if (r.bad || left < 5 || len > left - 5)
		return "a chunk is cut";
	if (crc32c(0, r.p, (size_t)len + 1) != be32(r.p + 1 + len))
		return "the checksum of a chunk is wrong";
	*out = (struct bsegs_chunk){ .type = *r.p, .data = r.p + 1, .len = (size_t)len };
	return NULL;
}

enum err bsegs_chunk(const struct bsegs *s, uint64_t ref, struct bsegs_chunk *out, const char **what)
{
	*what = find(s, ref, out);
	return *what ? ERR_DAMAGED : ERR_OK;
}
