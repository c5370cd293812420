/*
 * Any bytes as the payload of a log frame. What can be read is written again and must read the
 * same. Histograms beside rows are whole.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/exemplar.h"
#include "core/model/hist.h"
#include "storage/wal/walrec.h"

static void exemplars_are_whole(const struct walrec_record *rec)
{
	struct wire_reader r = wire_reader(rec->bytes, rec->bytes_len);
	struct exemplar e;
	while (exemplar_get(&r, &e))
		if (e.labels.len > EXEMPLAR_BYTES_MAX)
			abort();
	if (r.bad)
		abort();
}

static void again(struct walrec_writer *w, const struct walrec_record *rec)
{
	switch (rec->tag) {
	case WALREC_DEF:
		walrec_def(w, rec->id, rec->tenant, rec->bytes, rec->bytes_len);
		break;
	case WALREC_ROWS:
		if (rec->extras_count)
			walrec_rows_extras(w, rec->count, rec->ids, rec->t_ms, rec->v,
			    rec->extras_count, rec->extras);
		else
			walrec_rows(w, rec->count, rec->ids, rec->t_ms, rec->v);
		break;
	case WALREC_META:
		walrec_meta(w, &rec->meta);
		break;
	case WALREC_TOMB:
		walrec_tomb(w, rec->bytes, rec->bytes_len);
		break;
	case WALREC_OWN:
		walrec_own(w);
		break;
	case WALREC_NEWEST:
		walrec_newest(w, rec->tenant, rec->own, rec->newest_ms);
		break;
	case WALREC_EXEMPLARS:
		exemplars_are_whole(rec);
		walrec_exemplars(w, rec->id, rec->bytes, rec->bytes_len);
		break;
	case WALREC_GROUP:
		abort(); /* no record */
	}
}

static void hists_are_whole(const struct walrec_record *rec)
{
	for (size_t i = 0; i < rec->extras_count; i++) {
		const struct walrec_extra *x = &rec->extras[i];
		struct arena a;
		struct hist h;
		size_t used = 0;
		if (x->row >= rec->count || (i && x->row <= x[-1].row))
			abort();
		if (!x->hist_len)
			continue;
		arena_init(&a, 1024);
		if (!sample_is_hist(rec->v[x->row]) ||
		    hist_decode(&a, x->hist, x->hist_len, &h, &used) || used != x->hist_len)
			abort();
		arena_release(&a);
	}
}

/* Writes what data holds to out; 0 when all of it could be read. */
static enum err copy(const uint8_t *data, size_t size, struct buf *out, size_t *rows)
{
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_reader r;
	struct walrec_record rec;
	struct walrec_writer w;
	enum err e = ERR_OK;
	walrec_begin(&w, out);
	walrec_groups_init(&it, data, size);
	walrec_reader_init(&r);
	while (!e && walrec_groups_next(&it, &g)) {
		walrec_group(&w, g.shard, g.number);
		walrec_reader_open(&r, &g);
		while (walrec_next(&r, &rec)) {
			*rows += rec.count;
			hists_are_whole(&rec);
			again(&w, &rec);
		}
		e = r.err;
	}
	walrec_end(&w);
	walrec_reader_release(&r);
	return e ? e : it.err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf one, two;
	size_t rows = 0, rows_again = 0;
	buf_init(&one);
	buf_init(&two);
	enum err e = copy(data, size, &one, &rows);
	if (rows * 8 > size)
		abort(); /* rows cannot be more than their values */
	/* Broken input was copied up to where it broke, which is well-formed. */
	if (copy(one.data, one.len, &two, &rows_again) || rows != rows_again)
		abort();
	if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)
		abort();
	(void)e;
	buf_release(&one);
	buf_release(&two);
	return 0;
}
