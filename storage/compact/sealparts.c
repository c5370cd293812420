#include "storage/compact/sealparts.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/chunk/histchunk.h"

void sealparts_init(struct sealparts *p, int64_t base_ms)
{
	*p = (struct sealparts){ 0 };
	buf_init(&p->bytes);
	cfile_columns_init(&p->columns, base_ms);
}

void sealparts_release(struct sealparts *p)
{
	buf_release(&p->bytes);
	cfile_columns_release(&p->columns);
	mem_free(p->parts);
	mem_free(p->first);
}

void sealparts_begin(struct sealparts *p, size_t series)
{
	buf_clear(&p->bytes);
	cfile_columns_forget(&p->columns);
	p->count = 0;
	if (p->first_cap < series) {
		p->first_cap = series;
		p->first = mem_array(p->first, series, sizeof(*p->first));
	}
	if (series)
		memset(p->first, 0, series * sizeof(*p->first));
}

static void chunk_add(
    struct sealparts *p, uint32_t id, const struct sample_column *col, enum chunk_effort effort)
{
	size_t off = p->bytes.len;
	if (!cfile_chunk_encode(col, effort, &p->bytes)) {
		struct sample_column half = *col;
		half.count = col->count / 2;
		chunk_add(p, id, &half, effort);
		half.t_ms += half.count;
		half.v += half.count;
		half.h = half.h ? half.h + half.count : NULL;
		half.start_ms = half.start_ms ? half.start_ms + half.count : NULL;
		half.count = col->count - half.count;
		chunk_add(p, id, &half, effort);
		return;
	}
	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 1024;
		p->parts = mem_array(p->parts, p->cap, sizeof(*p->parts));
	}
	p->parts[p->count++] = (struct sealpart){ .off = off,
		.len = num_u32(p->bytes.len - off),
		.column = cfile_columns_number(&p->columns, col->t_ms, col->count),
		.id = id,
		.kind = histchunk_wanted(col) ? CFILE_HISTS : CFILE_FLOATS };
}

void sealparts_add(struct sealparts *p, uint32_t index, uint32_t id,
    const struct sample_column *col, enum chunk_effort effort)
{
	CHECK(index < p->first_cap && !p->first[index]);
	if (col->count)
		p->first[index] = num_u32(p->count + 1);
	for (uint32_t at = 0; at < col->count; at += CHUNK_SAMPLES_MAX) {
		uint32_t left = col->count - at;
		struct sample_column part = { .count = left < CHUNK_SAMPLES_MAX ? left
			                                                        : CHUNK_SAMPLES_MAX,
			.t_ms = col->t_ms + at,
			.v = col->v + at,
			.h = col->h ? col->h + at : NULL,
			.start_ms = col->start_ms ? col->start_ms + at : NULL };
		chunk_add(p, id, &part, effort);
	}
}

size_t sealparts_get(const struct sealparts *p, uint32_t index, const struct sealpart **out)
{
	if (!p->first[index])
		return 0;
	const struct sealpart *first = &p->parts[p->first[index] - 1], *end = p->parts + p->count;
	size_t n = 1;
	while (first + n < end && first[n].id == first->id)
		n++;
	*out = first;
	return n;
}

void sealparts_decode(struct sealparts *p, const struct sealpart *part, struct column *c)
{
	const int64_t *t = cfile_columns_times(&p->columns, part->column);
	enum err e = cfile_chunk_decode((enum cfile_kind)part->kind, t,
	    cfile_columns_samples(&p->columns, part->column), p->bytes.data + part->off, part->len,
	    c);
	CHECK(!e); /* it was encoded here */
}

enum err sealparts_write(struct sealparts *p, const struct sealpart *part, struct cfile_writer *w)
{
	const int64_t *t = cfile_columns_times(&p->columns, part->column);
	return cfile_writer_add_chunk(w, part->id, (enum cfile_kind)part->kind, t,
	    cfile_columns_samples(&p->columns, part->column), p->bytes.data + part->off, part->len);
}
