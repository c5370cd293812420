#include "storage/compact/seal.h"

#include "core/base/arena.h"
#include "core/base/num.h"

#include <stdlib.h>

#define NAMES_TRIED 1000u /* leftovers that could not be removed may stand in the way */

struct input {
	struct cfile *f;
	struct cfile_iter *samples;
	struct cfile_defs *defs;
	bool samples_end, defs_end;
	uint32_t id; /* of col */
	struct sample_column col;
	uint32_t def_id, def_tenant;
	struct labels def;
};
struct seal {
	const struct seal_opts *o;
	struct seal_result *r;
	struct input *in; /* what comes later wins, see inputs_order */
	size_t count;
	struct cfile_writer *w;
	struct column all, one, spare; /* all: the merged samples of one series */
};

static enum err samples_next(struct input *in)
{
	enum err e = cfile_iter_next(in->samples, &in->id, &in->col);
	in->samples_end = e == ERR_NOTFOUND;
	return in->samples_end ? ERR_OK : e;
}

static enum err defs_next(struct input *in)
{
	enum err e = cfile_defs_next(in->defs, &in->def_id, &in->def_tenant, &in->def);
	in->defs_end = e == ERR_NOTFOUND;
	return in->defs_end ? ERR_OK : e;
}

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

static bool lowest_id(const struct seal *s, uint32_t *id)
{
	bool any = false;
	for (size_t i = 0; i < s->count; i++) {
		const struct input *in = &s->in[i];
		if (in->samples_end || (any && in->id >= *id))
			continue;
		*id = in->id;
		any = true;
	}
	return any;
}

/* The definition with the lowest id, of the highest rank among equals; NULL at the end. */
static const struct input *lowest_def(const struct seal *s)
{
	const struct input *best = NULL;
	for (size_t i = 0; i < s->count; i++) {
		const struct input *in = &s->in[i];
		if (!in->defs_end && (!best || in->def_id <= best->def_id))
			best = in;
	}
	return best;
}

static enum err defs_skip(struct seal *s, uint32_t id)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->in[i].defs_end && s->in[i].def_id == id) {
			enum err e = defs_next(&s->in[i]);
			if (e)
				return e;
		}
	return ERR_OK;
}

/*
 * Carries all definitions with ids up to id; *found: id itself was among them, and is *tenant's.
 */
static enum err defs_carry(struct seal *s, uint32_t id, bool *found, uint32_t *tenant)
{
	const struct input *in;
	*found = false;
	while ((in = lowest_def(s)) && in->def_id <= id) {
		uint32_t carried = in->def_id, of = in->def_tenant;
		enum err e = cfile_writer_define(s->w, carried, of, in->def);
		if (!e)
			e = defs_skip(s, carried);
		if (e)
			return e;
		if (carried == id) {
			*found = true;
			*tenant = of;
		}
	}
	return ERR_OK;
}

/* *known: the labels and so the tenant are. */
static enum err define(struct seal *s, uint32_t id, bool *known, uint32_t *tenant)
{
	enum err e = defs_carry(s, id, known, tenant);
	if (e || *known)
		return e;
	struct labels ls = { NULL, 0 };
	e = s->o->labels_of ? s->o->labels_of(s->o->arg, id, tenant, &ls) : ERR_NOTFOUND;
	if (e == ERR_NOTFOUND) {
		s->r->unlabelled++;
		return ERR_OK;
	}
	*known = true;
	return e ? e : cfile_writer_define(s->w, id, *tenant, ls);
}

/* How many of a tenant's samples, in the order of time, are dead. */
static size_t dead_of(const struct seal *s, uint32_t tenant, const int64_t *t_ms, size_t count)
{
	size_t n = 0;
	for (size_t i = 0; i < s->o->dead_count; i++)
		if (s->o->dead[i].tenant == tenant)
			while (n < count && t_ms[n] < s->o->dead[i].before_ms)
				n++;
	return n;
}

static enum err series_merge(struct seal *s, uint32_t id)
{
	column_clear(&s->all);
	for (size_t i = 0; i < s->count; i++) {
		struct input *in = &s->in[i];
		while (!in->samples_end && in->id == id) {
			samples_merge(s, &in->col);
			enum err e = samples_next(in);
			if (e)
				return e;
		}
	}
	bool known = false;
	uint32_t tenant = 0;
	enum err e = s->o->step ? s->o->step(s->o->arg, s->w) : ERR_OK;
	if (!e)
		e = define(s, id, &known, &tenant);
	uint32_t count = s->all.count;
	uint32_t dead = known ? (uint32_t)dead_of(s, tenant, s->all.t_ms, count) : 0;
	s->r->dead += dead;
	if (e || dead == count)
		return e;
	struct sample_column col = column_view(&s->all, dead, count - dead);
	return cfile_writer_add(s->w, id, &col);
}

static enum err merge(struct seal *s)
{
	uint32_t id = 0;
	for (size_t i = 0; i < s->count; i++) {
		enum err e = samples_next(&s->in[i]);
		if (!e)
			e = defs_next(&s->in[i]);
		if (e)
			return e;
	}
	while (lowest_id(s, &id)) {
		enum err e = series_merge(s, id);
		if (e)
			return e;
	}
	bool found = false;
	uint32_t tenant;
	return defs_carry(s, UINT32_MAX, &found, &tenant);
}

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

static enum err inputs_open(struct seal *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct input *in = &s->in[i];
		in->f = s->o->inputs[i];
		enum err e = cfile_iter_create(in->f, &in->samples);
		if (!e)
			e = cfile_defs_create(in->f, 0, &in->defs);
		if (e)
			return e;
	}
	inputs_order(s);
	return ERR_OK;
}

static void damage_note(struct seal_result *r, const struct cfile_damage *d)
{
	if (d->units && r->damage_units == 0)
		r->damage = d->first;
	r->damage_units += d->units;
}

static void inputs_close(struct seal *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct input *in = &s->in[i];
		if (in->samples)
			damage_note(s->r, cfile_iter_damage(in->samples));
		if (in->defs)
			damage_note(s->r, cfile_defs_damage(in->defs));
		if (cfile_salvaged(s->o->inputs[i]) && s->r->damage_units++ == 0)
			(void)errbuf_set(&s->r->damage, ERR_DAMAGED, "%s: its directory is damaged",
			    cfile_path(s->o->inputs[i]));
		cfile_iter_free(in->samples);
		cfile_defs_free(in->defs);
	}
	mem_free(s->in);
}

static void output_meta(const struct seal_opts *o, struct cfile_meta *m)
{
	*m = *cfile_meta(o->inputs[0]);
	m->flags = CFILE_SEALED | (m->flags & CFILE_OWN);
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

enum err seal_run(const struct seal_opts *o, struct seal_result *r, struct errbuf *eb)
{
	CHECK(o->inputs_count > 0);
	CHECK(o->inputs_count <= SEAL_INPUTS_MAX);
	memset(r, 0, sizeof(*r));
	struct seal s = { .o = o, .r = r, .count = o->inputs_count };
	output_meta(o, &r->meta);
	s.in = mem_array(NULL, s.count, sizeof(*s.in));
	memset(s.in, 0, s.count * sizeof(*s.in));
	enum err e = inputs_open(&s);
	if (!e)
		e = output_create(&s);
	char name[CFILE_NAME_MAX];
	cfile_name_serial(&r->meta, r->serial, name);
	if (!e)
		e = merge(&s);
	if (s.w && e) {
		cfile_writer_abort(s.w);
	} else if (s.w) {
		if (r->unlabelled == 0) {
			cfile_writer_labels_all(s.w);
			r->meta.flags |= CFILE_LABELS_ALL;
		}
		e = cfile_writer_finish(s.w, &r->stats);
	}
	inputs_close(&s);
	column_release(&s.all);
	column_release(&s.one);
	column_release(&s.spare);
	return e ? errbuf_set(eb, e, "merging into %s: %s", name, err_why(e)) : ERR_OK;
}
