#include "storage/compact/seal.h"

#include <roaring/roaring.h>
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/compact/sealkeys.h"
#include "storage/compact/sealparts.h"

#define NAMES_TRIED  1000u /* leftovers that could not be removed may stand in the way */
#define BATCH_SERIES 1000000u
#define STEP_SERIES  64u /* of a group that are merged between two looks at the pace */

struct input {
	struct cfile *f;
	bool metric;
	uint64_t rank; /* above it deletions hide what they hide in it */
	struct cfile_iter *samples;
	struct cfile_opaque *opaque;
	/* in id order, while a group is gone through */
	bool end;
	uint32_t id; /* of col */
	struct sample_column col;
	/* other bytes */
	bool opaque_end;
	uint32_t opaque_id;
	struct seal_piece piece;
};
/* Inputs that follow each other in order: one in metric order, or some in id order. */
struct segment {
	struct input *in;
	size_t count;
	bool metric;
	struct sealparts parts; /* in id order */
};
struct seal {
	const struct seal_opts *o;
	struct seal_result *r;
	struct input *in; /* what comes later wins, see inputs_order */
	size_t count;
	struct segment *segments;
	size_t segments_count;
	struct cfile_writer *w;
	roaring_bitmap_t *ids, *known; /* with samples; with labels */
	struct sealkeys *keys;
	bool keys_end;
	roaring_uint32_iterator_t *nameless; /* those without */
	uint32_t series_bytes;               /* of a batch, about */
	struct batch {
		uint32_t *ids;    /* in the order of the output */
		int64_t *dead_ms; /* and before which time their samples are dead */
		size_t count, cap;
		uint32_t *sorted, *places; /* ids ascending, and where they stand in ids */
	} batch;
	struct column all, one, spare; /* all: the merged samples of one series */
	struct column left;            /* of one input, what was not deleted */
	struct tombs_seek tombs_seek;
};

static void damage_note(struct seal_result *r, const struct cfile_damage *d)
{
	if (d->units && r->damage_units == 0)
		r->damage = d->first;
	r->damage_units += d->units;
}

static enum err pace(struct seal *s)
{
	return s->o->step ? s->o->step(s->o->arg, s->w) : ERR_OK;
}

/* ---- merging columns ---- */

/* Adds samples that win over all that is there at equal times. */
static void samples_merge(struct seal *s, const struct sample_column *add)
{
	struct column *a = &s->all;
	if (a->count == 0 || add->t_ms[0] > a->t_ms[a->count - 1]) {
		column_append_lent(a, add, 0, add->count);
		return;
	}
	column_clear(&s->one);
	column_append_lent(&s->one, add, 0, add->count);
	column_merge(&s->one, a, &s->spare);
	s->r->overwritten += a->count + add->count - s->spare.count;
	struct column swap = *a;
	*a = s->spare;
	s->spare = swap;
}

/* The same of one input: without what was deleted of it. */
static void input_merge(
    struct seal *s, const struct input *in, uint32_t id, const struct sample_column *add)
{
	const struct tomb_entry *cuts;
	size_t n = tombs_of(s->o->tombs, &s->tombs_seek, id, &cuts);
	if (LIKELY(!n)) {
		samples_merge(s, add);
		return;
	}
	column_clear(&s->left);
	column_append_lent(&s->left, add, 0, add->count);
	tombs_cut(s->o->tombs, cuts, n, in->rank, &s->left, 0);
	s->r->deleted += add->count - s->left.count;
	struct sample_column left = column_view(&s->left, 0, s->left.count);
	if (left.count)
		samples_merge(s, &left);
}

/* ---- definitions ---- */

static enum err defs_of(struct seal *s, struct input *in)
{
	struct cfile_defs *it = NULL;
	uint32_t id = 0, tenant = 0;
	struct labels ls;
	enum err e = cfile_defs_create_order(in->f, &it);
	while (!e && !(e = cfile_defs_next(it, &id, &tenant, &ls)))
		if (!tombs_dead(s->o->tombs, id) && roaring_bitmap_add_checked(s->known, id))
			sealkeys_add(s->keys, id, tenant, ls);
	if (it)
		damage_note(s->r, cfile_defs_damage(it));
	cfile_defs_free(it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* Of ids that no input defines. */
static enum err defs_asked(struct seal *s)
{
	roaring_bitmap_t *left = roaring_bitmap_andnot(s->ids, s->known);
	roaring_uint32_iterator_t *it = roaring_create_iterator(left);
	enum err e = ERR_OK;
	for (; it->has_value && !e && s->o->labels_of; roaring_advance_uint32_iterator(it)) {
		uint32_t id = it->current_value, tenant = 0;
		struct labels ls = { NULL, 0 };
		e = s->o->labels_of(s->o->arg, id, &tenant, &ls);
		if (!e) {
			roaring_bitmap_add(s->known, id);
			sealkeys_add(s->keys, id, tenant, ls);
		} else if (e == ERR_NOTFOUND) {
			e = ERR_OK;
		}
	}
	roaring_free_uint32_iterator(it);
	roaring_bitmap_free(left);
	return e;
}

static void ids_add(void *arg, uint32_t first, uint32_t last)
{
	roaring_bitmap_add_range_closed(arg, first, last);
}

/* Ids of which nothing is any more: nobody looks at what the inputs have of them. */
static void dead_leave(struct seal *s)
{
	const struct tombs *t = s->o->tombs;
	for (size_t i = 0; t && i < t->count; i++)
		if (tomb_cut_is_whole(&t->cuts[t->entries[i].cut]))
			s->r->deleted_series +=
			    roaring_bitmap_remove_checked(s->ids, t->entries[i].id);
}

/* All series, and their labels in metric order. */
static enum err keys_make(struct seal *s)
{
	enum err e = ERR_OK;
	for (size_t i = s->count; i-- > 0 && !e;) {
		e = cfile_each_run(s->in[i].f, ids_add, s->ids);
		if (!e)
			e = defs_of(s, &s->in[i]);
	}
	dead_leave(s);
	if (!e)
		e = defs_asked(s);
	if (e)
		return e;
	sealkeys_sort(s->keys);
	roaring_bitmap_t *nameless = roaring_bitmap_andnot(s->ids, s->known);
	s->r->unlabelled = (uint32_t)roaring_bitmap_get_cardinality(nameless);
	roaring_bitmap_overwrite(s->known, nameless); /* of those alone from here on */
	roaring_bitmap_free(nameless);
	s->nameless = roaring_create_iterator(s->known);
	return ERR_OK;
}

/* ---- a batch of series ---- */

static void batch_add(struct batch *b, uint32_t id, int64_t dead_ms)
{
	if (b->count == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 1024;
		b->ids = mem_array(b->ids, b->cap, sizeof(*b->ids));
		b->dead_ms = mem_array(b->dead_ms, b->cap, sizeof(*b->dead_ms));
		b->sorted = mem_array(b->sorted, b->cap, sizeof(*b->sorted));
		b->places = mem_array(b->places, b->cap, sizeof(*b->places));
	}
	b->dead_ms[b->count] = dead_ms;
	b->ids[b->count++] = id;
}

static int by_id(const void *a, const void *b, void *ids)
{
	uint32_t x = ((const uint32_t *)ids)[*(const uint32_t *)a];
	uint32_t y = ((const uint32_t *)ids)[*(const uint32_t *)b];
	return (x > y) - (x < y);
}

/* A tenant's samples before that are dead; of series without labels none are. */
static int64_t dead_before(const struct seal *s, uint32_t tenant)
{
	for (size_t i = 0; i < s->o->dead_count; i++)
		if (s->o->dead[i].tenant == tenant)
			return s->o->dead[i].before_ms;
	return INT64_MIN;
}

/* Series in their order, and all definitions between them. */
static enum err batch_fill(struct seal *s)
{
	struct batch *b = &s->batch;
	size_t memory = s->o->memory ? s->o->memory : SEAL_MEMORY, max = memory / s->series_bytes;
	uint32_t id, tenant;
	struct labels ls;
	enum err e = ERR_OK;
	max = max < 1 ? 1 : max > BATCH_SERIES ? BATCH_SERIES : max;
	b->count = 0;
	while (b->count < max && !e && !s->keys_end) {
		s->keys_end = !sealkeys_next(s->keys, &id, &tenant, &ls);
		if (s->keys_end)
			break;
		e = cfile_writer_define(s->w, id, tenant, ls);
		if (roaring_bitmap_contains(s->ids, id))
			batch_add(b, id, dead_before(s, tenant));
	}
	for (; b->count < max && !e && s->keys_end && s->nameless->has_value;
	     roaring_advance_uint32_iterator(s->nameless))
		batch_add(b, s->nameless->current_value, INT64_MIN);
	for (uint32_t i = 0; i < b->count; i++)
		b->places[i] = i;
	if (b->count)
		qsort_r(b->places, b->count, sizeof(*b->places), by_id, b->ids);
	for (size_t i = 0; i < b->count; i++)
		b->sorted[i] = b->ids[b->places[i]];
	return e;
}

static enum err samples_next(struct input *in)
{
	enum err e = cfile_iter_next(in->samples, &in->id, &in->col);
	in->end = e == ERR_NOTFOUND;
	return in->end ? ERR_OK : e;
}

static bool lowest_id(const struct segment *g, uint32_t *id)
{
	bool any = false;
	for (size_t i = 0; i < g->count; i++) {
		const struct input *in = &g->in[i];
		if (in->end || (any && in->id >= *id))
			continue;
		*id = in->id;
		any = true;
	}
	return any;
}

/* What a group has of one series, into s->all. */
static enum err group_merge(struct seal *s, struct segment *g, uint32_t id)
{
	column_clear(&s->all);
	for (size_t i = 0; i < g->count; i++) {
		struct input *in = &g->in[i];
		while (!in->end && in->id == id) {
			input_merge(s, in, id, &in->col);
			enum err e = samples_next(in);
			if (e)
				return e;
		}
	}
	return ERR_OK;
}

/* What a group in id order has for the batch. */
static enum err group_read(struct seal *s, struct segment *g)
{
	const struct batch *b = &s->batch;
	enum chunk_effort effort = cfile_writer_effort(s->w);
	enum err e = ERR_OK;
	uint32_t id = 0;
	sealparts_begin(&g->parts, b->count);
	for (size_t i = 0; i < g->count && !e; i++) {
		cfile_iter_want(g->in[i].samples, b->sorted, b->count);
		e = samples_next(&g->in[i]);
	}
	for (size_t at = 0, n = 1; !e && lowest_id(g, &id); n++) {
		e = group_merge(s, g, id);
		while (b->sorted[at] < id)
			at++;
		struct sample_column col = column_view(&s->all, 0, s->all.count);
		if (!e && col.count)
			sealparts_add(&g->parts, b->places[at], id, &col, effort);
		if (!e && n % STEP_SERIES == 0)
			e = pace(s);
	}
	return e;
}

/* ---- one series ---- */

static enum err metric_merge(struct seal *s, struct input *in, uint32_t id)
{
	struct sample_column col;
	enum err e;
	while (!(e = cfile_iter_more(in->samples, &col)))
		input_merge(s, in, id, &col);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static void parts_merge(struct seal *s, struct sealparts *p, const struct sealpart *part, size_t n)
{
	struct column decoded = { 0 };
	for (size_t i = 0; i < n; i++) {
		column_clear(&decoded);
		sealparts_decode(p, &part[i], &decoded);
		struct sample_column col = column_view(&decoded, 0, decoded.count);
		samples_merge(s, &col);
	}
	column_release(&decoded);
}

/* Chunks that nobody else has anything for go as they are. */
static enum err parts_write(struct seal *s, struct segment *g, const struct sealpart *part, size_t n)
{
	enum err e = ERR_OK;
	for (size_t i = 0; i < n && !e; i++)
		e = sealparts_write(&g->parts, &part[i], s->w);
	return e;
}

static enum err series_write(struct seal *s, uint32_t place)
{
	uint32_t id = s->batch.ids[place];
	int64_t dead_ms = s->batch.dead_ms[place];
	size_t having = 0, n = 0;
	const struct sealpart *part = NULL;
	struct segment *last = NULL;
	enum err e = ERR_OK;
	for (size_t i = 0; i < s->segments_count; i++) {
		struct segment *g = &s->segments[i];
		bool has = g->metric ? cfile_iter_seek(g->in->samples, id)
		                     : sealparts_get(&g->parts, place, &part) > 0;
		having += has;
		last = has ? g : last;
	}
	if (having == 1 && !last->metric && dead_ms == INT64_MIN) {
		n = sealparts_get(&last->parts, place, &part);
		return parts_write(s, last, part, n);
	}
	column_clear(&s->all);
	for (size_t i = 0; i < s->segments_count && !e; i++) {
		struct segment *g = &s->segments[i];
		if (g->metric)
			e = metric_merge(s, g->in, id);
		else if ((n = sealparts_get(&g->parts, place, &part)) > 0)
			parts_merge(s, &g->parts, part, n);
	}
	uint32_t dead = 0;
	while (dead < s->all.count && s->all.t_ms[dead] < dead_ms)
		dead++;
	s->r->dead += dead;
	if (e || dead == s->all.count)
		return e;
	struct sample_column col = column_view(&s->all, dead, s->all.count - dead);
	return cfile_writer_add(s->w, id, &col);
}

static enum err batch_write(struct seal *s)
{
	enum err e = ERR_OK;
	if (!s->batch.count) /* definitions alone */
		return ERR_OK;
	for (size_t i = 0; i < s->segments_count && !e; i++)
		if (!s->segments[i].metric)
			e = group_read(s, &s->segments[i]);
	for (uint32_t i = 0; i < s->batch.count && !e; i++) {
		e = series_write(s, i);
		if (!e)
			e = pace(s);
	}
	return e;
}

/* ---- other bytes ---- */

static enum err opaque_next(struct input *in)
{
	enum err e = cfile_opaque_next(in->opaque, &in->opaque_id, &in->piece.bytes, &in->piece.len);
	in->opaque_end = e == ERR_NOTFOUND;
	return in->opaque_end ? ERR_OK : e;
}

static enum err opaque_open(struct seal *s)
{
	enum err e = ERR_OK;
	for (size_t i = 0; i < s->count && !e; i++) {
		struct input *in = &s->in[i];
		in->opaque_end = !cfile_has_kind(in->f, CFILE_OPAQUE);
		if (in->opaque_end)
			continue;
		e = cfile_opaque_create(in->f, &in->opaque);
		if (!e)
			e = opaque_next(in);
	}
	return e;
}

/* The pieces of the lowest id there is; 0: there are no more. */
static size_t opaque_lowest(struct seal *s, struct seal_piece *pieces, uint32_t *id)
{
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++) {
		const struct input *in = &s->in[i];
		if (in->opaque_end || (n && in->opaque_id > *id))
			continue;
		if (!n || in->opaque_id < *id)
			n = 0;
		*id = in->opaque_id;
		pieces[n] = in->piece;
		pieces[n++].rank = in->rank;
	}
	return n;
}

static enum err opaque_merge(struct seal *s)
{
	struct seal_piece *pieces = mem_array(NULL, s->count, sizeof(*pieces));
	struct buf out;
	uint32_t id = 0;
	size_t n;
	buf_init(&out);
	enum err e = opaque_open(s);
	while (!e && (n = opaque_lowest(s, pieces, &id)) > 0) {
		buf_clear(&out);
		if (tombs_dead(s->o->tombs, id))
			;
		else if (s->o->opaque)
			s->o->opaque(s->o->arg, id, pieces, n, &out);
		else
			buf_add(&out, pieces[n - 1].bytes, pieces[n - 1].len);
		if (out.len)
			e = cfile_writer_add_opaque(s->w, id, out.data, out.len);
		for (size_t i = 0; i < s->count && !e; i++)
			if (!s->in[i].opaque_end && s->in[i].opaque_id == id)
				e = opaque_next(&s->in[i]);
		if (!e)
			e = pace(s);
	}
	buf_release(&out);
	mem_free(pieces);
	return e;
}

/* ---- inputs and output ---- */

static int by_rank(const void *a, const void *b)
{
	const struct input *x = a, *y = b;
	uint64_t p = cfile_meta(x->f)->rank, q = cfile_meta(y->f)->rank;
	return (p > q) - (p < q);
}

static int by_start(const void *a, const void *b)
{
	const struct input *x = a, *y = b;
	int64_t p = cfile_meta(x->f)->start_ms, q = cfile_meta(y->f)->start_ms;
	return (p > q) - (p < q);
}

/*
 * Stretches of ranges that overlap, by time; each by rank: what comes later wins, and most of it
 * lies behind.
 */
static void inputs_order(struct seal *s)
{
	qsort(s->in, s->count, sizeof(*s->in), by_start);
	for (size_t from = 0, to; from < s->count; from = to) {
		int64_t end_ms = cfile_meta(s->in[from].f)->end_ms;
		for (to = from + 1; to < s->count; to++) {
			const struct cfile_meta *m = cfile_meta(s->in[to].f);
			if (m->start_ms >= end_ms)
				break;
			end_ms = m->end_ms > end_ms ? m->end_ms : end_ms;
		}
		qsort(s->in + from, to - from, sizeof(*s->in), by_rank);
	}
}

static void segments_make(struct seal *s)
{
	s->segments = mem_zalloc(s->count * sizeof(*s->segments));
	for (size_t i = 0; i < s->count; i++) {
		struct segment *last = s->segments_count ? &s->segments[s->segments_count - 1] : NULL;
		if (last && !last->metric && !s->in[i].metric) {
			last->count++;
			continue;
		}
		struct segment *g = &s->segments[s->segments_count++];
		*g = (struct segment){ .in = &s->in[i], .count = 1, .metric = s->in[i].metric };
		sealparts_init(&g->parts, s->r->meta.start_ms);
	}
}

static enum err inputs_open(struct seal *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct input *in = &s->in[i];
		in->f = s->o->inputs[i];
		in->metric = (cfile_meta(in->f)->flags & CFILE_METRIC) != 0;
		in->rank = s->o->ranks ? s->o->ranks[i] : cfile_meta(in->f)->rank;
		enum err e = cfile_iter_create(in->f, &in->samples);
		if (e)
			return e;
	}
	inputs_order(s);
	segments_make(s);
	return ERR_OK;
}

static void inputs_close(struct seal *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct input *in = &s->in[i];
		const struct cfile_dir *d = NULL;
		if (in->samples)
			damage_note(s->r, cfile_iter_damage(in->samples));
		if (in->opaque)
			damage_note(s->r, cfile_opaque_damage(in->opaque));
		if (in->samples && !cfile_dir_load(in->f, &d)) {
			if (cfile_dir_salvaged(d) && s->r->damage_units++ == 0)
				(void)errbuf_set(&s->r->damage, ERR_DAMAGED,
				    "%s: its directory is damaged", cfile_path(in->f));
			cfile_dir_unpin(in->f);
		}
		cfile_iter_free(in->samples);
		cfile_opaque_free(in->opaque);
	}
	for (size_t i = 0; i < s->segments_count; i++)
		sealparts_release(&s->segments[i].parts);
	mem_free(s->segments);
	mem_free(s->in);
}

static void output_meta(const struct seal_opts *o, struct cfile_meta *m)
{
	*m = *cfile_meta(o->inputs[0]);
	m->flags = CFILE_SEALED | CFILE_METRIC | (m->flags & CFILE_OWN);
	for (size_t i = 1; i < o->inputs_count; i++) {
		const struct cfile_meta *in = cfile_meta(o->inputs[i]);
		CHECK(in->shard == m->shard);
		m->flags &= ~(~in->flags & CFILE_OWN);
		m->start_ms = in->start_ms < m->start_ms ? in->start_ms : m->start_ms;
		m->end_ms = in->end_ms > m->end_ms ? in->end_ms : m->end_ms;
		m->rank = in->rank > m->rank ? in->rank : m->rank;
	}
}

/*
 * The output has the range and rank of one of the inputs, or of an earlier try: a serial keeps the
 * names apart.
 */
static enum err output_create(struct seal *s)
{
	enum err e = ERR_EXISTS;
	char *name = s->r->name;
	s->r->serial = s->o->serial ? s->o->serial : 1;
	for (unsigned tried = 0; e == ERR_EXISTS && tried < NAMES_TRIED; tried++) {
		s->r->serial += tried > 0;
		cfile_name_serial(&s->r->meta, s->r->serial, name);
		e = cfile_writer_create(s->o->dir, name, &s->r->meta, &s->w);
	}
	if (e)
		name[0] = 0;
	return e;
}

/* What a series of a batch takes, about: its share of the files that are gone through for it. */
static void series_bytes(struct seal *s)
{
	uint64_t bytes = 0, series = roaring_bitmap_get_cardinality(s->ids);
	for (size_t i = 0; i < s->count; i++)
		if (!s->in[i].metric)
			bytes += cfile_stats(s->in[i].f)->size_bytes;
	bytes = (series ? bytes / series : 0) + 2 * sizeof(struct sealpart);
	s->series_bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

static enum err merge(struct seal *s)
{
	enum err e = keys_make(s);
	series_bytes(s);
	while (!e && (!s->keys_end || s->nameless->has_value)) {
		e = batch_fill(s);
		if (!e)
			e = batch_write(s);
	}
	return e ? e : opaque_merge(s);
}

static void memory_make(struct seal *s)
{
	s->in = mem_array(NULL, s->count, sizeof(*s->in));
	memset(s->in, 0, s->count * sizeof(*s->in));
	s->ids = roaring_bitmap_create();
	s->known = roaring_bitmap_create();
	s->keys = sealkeys_create(SEALKEYS_BATCH);
	if (!s->ids || !s->known)
		panic("no memory for a bitmap");
}

static void memory_free(struct seal *s)
{
	if (s->nameless)
		roaring_free_uint32_iterator(s->nameless);
	roaring_bitmap_free(s->ids);
	roaring_bitmap_free(s->known);
	sealkeys_free(s->keys);
	mem_free(s->batch.ids);
	mem_free(s->batch.dead_ms);
	mem_free(s->batch.sorted);
	mem_free(s->batch.places);
	column_release(&s->all);
	column_release(&s->one);
	column_release(&s->spare);
	column_release(&s->left);
}

static enum err output_finish(struct seal *s, enum err e)
{
	if (!s->w)
		return e;
	if (e) {
		cfile_writer_abort(s->w);
		return e;
	}
	if (s->r->unlabelled == 0) {
		cfile_writer_labels_all(s->w);
		s->r->meta.flags |= CFILE_LABELS_ALL;
	}
	return cfile_writer_finish(s->w, &s->r->stats);
}

enum err seal_run(const struct seal_opts *o, struct seal_result *r, struct errbuf *eb)
{
	CHECK(o->inputs_count > 0);
	CHECK(o->inputs_count <= SEAL_INPUTS_MAX);
	memset(r, 0, sizeof(*r));
	struct seal s = { .o = o, .r = r, .count = o->inputs_count };
	output_meta(o, &r->meta);
	memory_make(&s);
	enum err e = inputs_open(&s);
	if (!e)
		e = output_create(&s);
	char name[CFILE_NAME_MAX];
	cfile_name_serial(&r->meta, r->serial, name);
	if (!e)
		e = merge(&s);
	e = output_finish(&s, e);
	inputs_close(&s);
	memory_free(&s);
	return e ? errbuf_set(eb, e, "merging into %s: %s", name, err_why(e)) : ERR_OK;
}
