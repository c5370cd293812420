#include "core/model/batch.h"

#include "core/base/arena.h"

#define ROWS_FIRST      256
#define METAS_FIRST     16
#define EXEMPLARS_FIRST 16

uint64_t batch_meta_hash(uint32_t tenant, const char *family, size_t family_len)
{
	return hash64(family, family_len, hash_mix64(tenant));
}

void batch_init(struct batch *b)
{
	*b = (struct batch){ 0 };
}

void batch_release(struct batch *b)
{
	mem_free(b->rows);
	mem_free(b->metas);
	mem_free(b->exemplars);
	*b = (struct batch){ 0 };
}

void batch_clear(struct batch *b)
{
	b->tenant = 0;
	b->rows_count = 0;
	b->metas_count = 0;
	b->series_count = 0;
	b->exemplars_count = 0;
	b->extras_bytes = 0;
	b->left_rows = 0;
	b->left_exemplars = 0;
	b->left_why = NULL;
}

struct batch_row *batch_row_slow_(struct batch *b)
{
	if (b->rows_count == b->rows_cap) {
		b->rows_cap = b->rows_cap ? b->rows_cap * 2 : ROWS_FIRST;
		b->rows = mem_array(b->rows, b->rows_cap, sizeof(*b->rows));
	}
	return &b->rows[b->rows_count++];
}

struct batch_meta *batch_add_meta(struct batch *b)
{
	if (b->metas_count == b->metas_cap) {
		b->metas_cap = b->metas_cap ? b->metas_cap * 2 : METAS_FIRST;
		b->metas = mem_array(b->metas, b->metas_cap, sizeof(*b->metas));
	}
	return &b->metas[b->metas_count++];
}

struct batch_exemplar *batch_add_exemplar(struct batch *b)
{
	if (b->exemplars_count == b->exemplars_cap) {
		b->exemplars_cap = b->exemplars_cap ? b->exemplars_cap * 2 : EXEMPLARS_FIRST;
		b->exemplars = mem_array(b->exemplars, b->exemplars_cap, sizeof(*b->exemplars));
	}
	return &b->exemplars[b->exemplars_count++];
}

void batch_row_extra(struct batch *b, struct batch_row *row, const struct batch_extra *x)
{
	row->flags |= BATCH_EXTRA;
	row->extra = x;
	b->extras_bytes += batch_extra_bytes(x);
}
