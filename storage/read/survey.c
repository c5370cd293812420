#include "storage/read/survey.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/rt/job.h"
#include "storage/meta/postings_priv.h"

#define SERIES_STEP  128u
#define VALUES_STEP  16u
#define LABELS_APART 16u
#define VALUES_LOOK  (4 * SOURCE_SURVEY_VALUES) /* of a name, among which those may be */

size_t survey_place(size_t i, size_t count, size_t all, uint64_t seed)
{
	size_t from = (size_t)((double)all * (double)i / (double)count);
	size_t to = (size_t)((double)all * (double)(i + 1) / (double)count);
	uint64_t key = i;
	return to > from + 1 ? from + hash64(&key, sizeof(key), seed) % (to - from) : from;
}

/* ---- which ---- */

static void look_at_memory(struct survey *s, struct survey_one *o)
{
	const struct unitread *u = s->_units;
	const struct series *x = head_by_id(&u->shard->head, o->id);
	int64_t lo, hi;
	o->sure = true;
	if (!x || !shard_remembers(u->shard, u->t_max_ms) || !series_bounds(x, &lo, &hi) ||
	    lo > u->t_max_ms || hi < u->t_min_ms)
		return;
	o->in = 1;
	o->sure = lo >= u->t_min_ms || hi <= u->t_max_ms;
}

static void choose(struct survey *s, size_t all, size_t count, bool old)
{
	const struct idchain *c = s->_chain;
	for (size_t i = 0; i < count; i++) {
		struct survey_one o = { .old = old };
		size_t at = survey_place(i, count, all, c->shard->seed);
		if (old)
			o.id = c->old.items[at].id;
		else if (!roaring_bitmap_select(c->chosen, (uint32_t)at, &o.id))
			continue;
		look_at_memory(s, &o);
		s->_one[s->_count++] = o;
	}
}

static int one_cmp(const void *pa, const void *pb)
{
	const struct survey_one *a = pa, *b = pb;
	return (a->id > b->id) - (a->id < b->id);
}

struct survey *survey_make(
    const struct idchain *chain, const struct unitread *units, const struct source_survey *ask)
{
	struct survey *s = mem_zalloc(sizeof(*s));
	size_t active = chain->chosen_count, old = chain->old.count, all = active + old;
	size_t count = all < ask->most ? all : ask->most;
	size_t count_old = all ? (size_t)((double)count * (double)old / (double)all + 0.5) : 0;
	s->_ask = ask;
	s->_chain = chain;
	s->_units = units;
	s->_one = mem_array(NULL, count + 1, sizeof(*s->_one));
	arena_init(&s->_arena, 16 << 10);
	choose(s, active, count - count_old, false);
	choose(s, old, count_old, true);
	qsort(s->_one, s->_count, sizeof(*s->_one), one_cmp);
	return s;
}

void survey_free(struct survey *s)
{
	if (!s)
		return;
	arena_release(&s->_arena);
	mem_free(s->_one);
	mem_free(s);
}

void survey_know(struct survey *s, uint32_t id, double in, bool sure)
{
	struct survey_one key = { .id = id };
	struct survey_one *o = bsearch(&key, s->_one, s->_count, sizeof(key), one_cmp);
	if (o) {
		o->in = (float)in;
		o->sure = sure;
	}
}

/* ---- on a worker ---- */

/* Has the file samples of it that are not deleted? *all: none is. */
static bool is_left(const struct survey *s, const struct unitread_file *file, uint32_t id,
    struct tombs_seek *seek, bool *all)
{
	const struct unitread *u = s->_units;
	const struct files_entry *e = &file->file->entry;
	const struct tomb_entry *cuts;
	*all = true;
	if (!u->tombs)
		return true;
	size_t n = tombs_of(u->tombs, seek, id, &cuts);
	/* By the file's range, as its times are those of all tenants. */
	int64_t from = e->meta.start_ms, to = e->meta.end_ms - 1;
	enum tombs_cover cover = tombs_cover(u->tombs, cuts, n, files_entry_rank(e),
	    from > u->t_min_ms ? from : u->t_min_ms, to < u->t_max_ms ? to : u->t_max_ms);
	*all = cover == TOMBS_NONE;
	return cover != TOMBS_ALL;
}

void survey_file(struct survey *s, const struct unitread_file *file, bool cut, const double likely[2])
{
	struct cfile_seek seek = { 0 };
	struct tombs_seek tombs = { 0 };
	struct cfile_extent ext;
	if (!file->dir)
		return;
	for (size_t i = 0; i < s->_count; i++) {
		struct survey_one *o = &s->_one[i];
		bool all;
		if ((o->in >= 1 && o->sure) || !cfile_find_near(file->dir, &seek, o->id, &ext, 1) ||
		    !is_left(s, file, o->id, &tombs, &all))
			continue;
		float p = cut ? (float)likely[o->old] : 1;
		o->in = p > o->in ? p : o->in;
		o->sure = !cut && all;
	}
}

void survey_labels(struct survey *s)
{
	struct shard *sh = s->_chain->shard;
	struct errbuf eb;
	struct catalog_lookup *l = NULL;
	errbuf_init(&eb);
	for (size_t n = 0, i = 0; n < s->_count && arena_used(&s->_arena) < SURVEY_LABELS; n++) {
		struct survey_one *o = &s->_one[i];
		uint32_t tenant;
		/* Every so many, then those beside: where labels are long some of all are told. */
		i = i + LABELS_APART < s->_count ? i + LABELS_APART : i % LABELS_APART + 1;
		if (!o->old)
			continue;
		if (!l && sh->catalog)
			l = catalog_lookup_begin(sh->catalog, sh->index);
		if (!l || catalog_lookup_get(l, o->id, &s->_arena, &o->labels, &tenant, &eb) ||
		    tenant != s->_chain->tenant)
			o->labels.len = 0;
	}
	if (l)
		catalog_lookup_end(l);
}

/* ---- telling ---- */

static void tell(struct survey *s, struct survey_one *o)
{
	const struct series *x = head_by_id(&s->_chain->shard->head, o->id);
	struct labels ls = x ? series_labels(x) : o->labels;
	uint64_t key = o->id;
	double draw = (double)(hash64(&key, sizeof(key), ~s->_chain->shard->seed) >> 11) * 0x1p-53;
	if ((x && x->tenant != s->_chain->tenant) || !ls.len)
		return;
	s->told++;
	s->told_sure += o->sure;
	s->_ask->series(s->_ask->arg, s->_chain->tenant, ls, draw < (double)o->in);
}

static bool meets(const struct pair *x, const roaring_bitmap_t *among)
{
	uint32_t ids[IDS_SOME_MAX];
	if (x->kind == IDS_MANY) {
		const struct ids_many *m = x->ids.many;
		return roaring_bitmap_intersect(m->bitmap, among) ||
		    (m->run_count &&
		        roaring_bitmap_range_cardinality(
		            among, m->run_from, (uint64_t)m->run_from + m->run_count) > 0);
	}
	uint32_t n = ids_read(&x->ids, (enum ids_kind)x->kind, ids);
	for (uint32_t i = 0; i < n; i++)
		if (roaring_bitmap_contains(among, ids[i]))
			return true;
	return false;
}

static void next_name(struct survey *s)
{
	s->_name++;
	s->_values = 0;
	s->_walk = (struct postings_cursor){ 0 };
}

/* Some values of the name of now. */
static void walk_values(struct survey *s)
{
	const struct source_survey *ask = s->_ask;
	const struct postings *p = head_postings(&s->_chain->shard->head, s->_chain->tenant);
	const char *name = ask->names[s->_name];
	const struct pname *n = p ? postings_name_find(p, name, strlen(name)) : NULL;
	if (n && n->count > VALUES_LOOK) {
		next_name(s);
		return;
	}
	for (unsigned i = 0; n && i < VALUES_STEP && !(i && job_should_yield()); i++) {
		uint32_t len, place = postings_next(p, n, NULL, &s->_walk);
		if (place == POSTINGS_PAUSE)
			continue;
		if (place == POSTINGS_NO_PAIR) {
			n = NULL;
			break;
		}
		const struct pair *x = pair_at(p, place);
		if (!meets(x, s->_chain->chosen))
			continue;
		if (++s->_values > SOURCE_SURVEY_VALUES) {
			next_name(s);
			return;
		}
		const char *text = pair_value(x, &len);
		ask->value(ask->arg, s->_name, text, len);
	}
	if (n)
		return;
	ask->value(ask->arg, s->_name, NULL, 0);
	next_name(s);
}

bool survey_step(struct survey *s)
{
	for (unsigned i = 0; s->_at < s->_count && i < SERIES_STEP && !(i && job_should_yield()); i++)
		tell(s, &s->_one[s->_at++]);
	if (s->_at < s->_count)
		return false;
	if (s->told == s->_chain->chosen_count || s->_chain->old.count)
		return true;
	if (s->_name < s->_ask->names_count)
		walk_values(s);
	return s->_name >= s->_ask->names_count;
}
