#include "storage/read/forecast.h"

#include "core/base/num.h"
#include "core/model/sample.h"
#include "storage/meta/postings_priv.h"

#define EXTENTS_MAX 4u /* units of one series in one file that are read */

/* ---- what is looked at ---- */

static void look_at_memory(struct forecast *f, struct forecast_one *o)
{
	const struct unitread *u = f->_units;
	const struct series *s = head_by_id(&u->shard->head, o->id);
	int64_t lo, hi;
	uint64_t bytes;
	if (!s || !shard_remembers(u->shard, u->t_max_ms) || !series_bounds(s, &lo, &hi) ||
	    lo > u->t_max_ms || hi < u->t_min_ms)
		return;
	o->in = 1;
	o->sure = lo >= u->t_min_ms || hi <= u->t_max_ms;
	o->memory_samples = (double)series_about(s, u->t_min_ms, u->t_max_ms, &bytes);
	o->memory_bytes = (double)bytes;
	f->_most += series_most(s, u->t_min_ms, u->t_max_ms);
}

static bool has_old(const struct idchain *c, uint32_t id)
{
	const struct series *s = head_by_id(&c->shard->head, id);
	return s && idchain_knows_old(c, series_labels(s));
}

static void choose(struct forecast *f)
{
	const struct idchain *c = f->_chain;
	struct forecast_kind *active = &f->_kinds[0], *old = &f->_kinds[1];
	active->all = c->chosen_count;
	old->all = c->old.count;
	for (unsigned k = 0; k < 2; k++) {
		struct forecast_kind *x = &f->_kinds[k];
		x->count = x->all < FORECAST_SERIES ? x->all : FORECAST_SERIES;
		for (size_t i = 0; i < x->count; i++) {
			size_t at = survey_place(i, x->count, x->all, c->shard->seed);
			if (k)
				x->one[i].id = c->old.items[at].id;
			else if (!roaring_bitmap_select(c->chosen, (uint32_t)at, &x->one[i].id))
				x->one[i].id = UINT32_MAX;
		}
	}
	for (size_t i = 0; i < active->count; i++) {
		look_at_memory(f, &active->one[i]);
		active->one[i].other = c->old.count && has_old(c, active->one[i].id);
	}
	for (size_t i = 0; i < old->count; i++)
		look_at_memory(f, &old->one[i]);
}

struct forecast *forecast_make(
    const struct idchain *chain, struct unitread *units, const struct source_survey *survey)
{
	struct forecast *f = mem_zalloc(sizeof(*f));
	f->_chain = chain;
	f->_units = units;
	choose(f);
	if (survey)
		f->_survey = survey_make(chain, units, survey);
	return f;
}

void forecast_free(struct forecast *f)
{
	if (f)
		survey_free(f->_survey);
	mem_free(f);
}

/* ---- files, on a worker ---- */

struct looker { /* what is open */
	const struct unitread *u;
	const struct unitread_file *file;
	bool cut; /* the range ends inside it */
	struct cfile_unit unit;
	struct cfile_times times;
	uint8_t *bytes, *times_bytes;
	size_t cap, times_cap;
	struct tombs_seek seek;
	struct cfile_extent ext[EXTENTS_MAX];
};
struct found { /* of one series in one file */
	double samples, bytes;
};
struct sums { /* of the entries that were looked at, of a kind */
	double samples, bytes, count;
};

static bool piece_load(
    const struct looker *l, const struct cfile_extent *e, uint8_t **bytes, size_t *cap)
{
	if (*cap < e->len) {
		*cap = e->len;
		*bytes = mem_array(*bytes, *cap, 1);
	}
	return !cfile_read(l->file->file->cfile, *bytes, e->len, e->off);
}

static bool unit_open(struct looker *l, const struct cfile_extent *e)
{
	struct errbuf eb;
	const struct cfile *f = l->file->file->cfile;
	if (l->unit.file == f && l->unit.unit == e->unit)
		return true;
	errbuf_init(&eb);
	return piece_load(l, e, &l->bytes, &l->cap) &&
	    !cfile_unit_open(&l->unit, f, e, l->bytes, &eb);
}

static bool times_open(struct looker *l, const struct cfile_entry *e)
{
	struct cfile_extent ext;
	struct errbuf eb;
	const struct cfile *f = l->file->file->cfile;
	if (!e->outside || (l->times.file == f && cfile_times_has(&l->times, e->column)))
		return true;
	errbuf_init(&eb);
	return cfile_times_extent(l->file->dir, e->column, 0, &ext) &&
	    piece_load(l, &ext, &l->times_bytes, &l->times_cap) &&
	    !cfile_times_open(&l->times, f, &ext, l->times_bytes, &eb) &&
	    cfile_times_has(&l->times, e->column);
}

/* Samples of an entry in the range. */
static uint32_t within(struct looker *l, const struct cfile_entry *e)
{
	const int64_t *t;
	struct errbuf eb;
	errbuf_init(&eb);
	if (!l->cut || !times_open(l, e) ||
	    cfile_unit_times(&l->unit, e->outside ? &l->times : NULL, e, &t, &eb))
		return e->count;
	uint32_t from = (uint32_t)sample_place(t, e->count, l->u->t_min_ms), to = e->count;
	if (l->u->t_max_ms < INT64_MAX)
		to = (uint32_t)sample_place(t, e->count, l->u->t_max_ms + 1);
	return to > from ? to - from : 0;
}

/* The entries of one series, with `parts` units in all. False: they cannot be read. */
static bool look_at_units(struct looker *l, uint32_t id, size_t parts, struct found *out)
{
	size_t n = parts < EXTENTS_MAX ? parts : EXTENTS_MAX;
	*out = (struct found){ 0 };
	for (size_t i = 0; i < n; i++) {
		const struct cfile_entry *e;
		if (!unit_open(l, &l->ext[i]))
			return false;
		size_t entries = cfile_unit_find(&l->unit, id, &e);
		for (size_t k = 0; k < entries; k++) {
			out->samples += within(l, &e[k]);
			out->bytes += e[k].values_len + e[k].times_len; /* whole, whatever is in */
		}
	}
	out->samples *= (double)parts / (double)n;
	out->bytes *= (double)parts / (double)n;
	return true;
}

/* In how many units a file has it; 0 where all of it is deleted, too. *some: a part of it is. */
static size_t parts_of(struct looker *l, uint32_t id, bool *some)
{
	const struct files_entry *e = &l->file->file->entry;
	const struct tomb_entry *cuts;
	size_t parts = l->file->dir ? cfile_find(l->file->dir, id, l->ext, EXTENTS_MAX) : 0;
	*some = false;
	if (!parts || !l->u->tombs)
		return parts;
	size_t n = tombs_of(l->u->tombs, &l->seek, id, &cuts);
	/* By the file's range, as its times are those of all tenants. */
	int64_t from = e->meta.start_ms, to = e->meta.end_ms - 1;
	enum tombs_cover cover = tombs_cover(l->u->tombs, cuts, n, files_entry_rank(e),
	    from > l->u->t_min_ms ? from : l->u->t_min_ms, to < l->u->t_max_ms ? to : l->u->t_max_ms);
	*some = cover != TOMBS_NONE;
	return cover == TOMBS_ALL ? 0 : parts;
}

static double overlap_ms(const struct looker *l)
{
	const struct cfile_meta *m = &l->file->file->entry.meta;
	int64_t from = m->start_ms > l->u->t_min_ms ? m->start_ms : l->u->t_min_ms;
	int64_t to = m->end_ms < l->u->t_max_ms ? m->end_ms : l->u->t_max_ms;
	return to > from ? (double)num_sat_sub(to, from) : 1;
}

static void file_begin(struct looker *l, const struct unitread_file *file)
{
	l->file = file;
	/* By its range, as a file's times are those of all tenants. */
	l->cut = file->file->entry.meta.start_ms < l->u->t_min_ms ||
	    file->file->entry.meta.end_ms - 1 > l->u->t_max_ms;
	l->seek = (struct tombs_seek){ 0 };
}

static void found_add(struct forecast_one *o, const struct found *x)
{
	o->samples += x->samples;
	o->bytes += x->bytes;
}

/* A step through all of `count` places that soon has been everywhere: no divisor in common. */
static size_t stride_of(size_t count)
{
	size_t step = count * 618 / 1000;
	for (step = step ? step : 1; step > 1; step--) {
		size_t a = count, b = step;
		while (b) {
			size_t rest = a % b;
			a = b;
			b = rest;
		}
		if (a == 1)
			break;
	}
	return step;
}

struct look { /* at one file, of a kind */
	bool here[FORECAST_SERIES], looked[FORECAST_SERIES], some[FORECAST_SERIES];
	struct sums sum;
	double hits; /* of those looked at, with samples in the range */
};

/* Which of the series it has; of `quota` of them the units are looked at. */
static void look_at_series(struct forecast *f, struct looker *l, struct forecast_kind *x,
    size_t turn, size_t quota, struct look *k)
{
	size_t step = stride_of(x->count);
	*k = (struct look){ .hits = 0 };
	for (size_t j = 0; j < x->count; j++) {
		size_t i = (j * step + turn * quota * step) % x->count;
		struct forecast_one *o = &x->one[i];
		struct found got;
		size_t parts = parts_of(l, o->id, &k->some[i]);
		k->here[i] = parts > 0;
		f->_some |= parts > EXTENTS_MAX;
		if (!parts)
			continue;
		if (k->sum.count >= (double)quota || !look_at_units(l, o->id, parts, &got)) {
			f->_some = true;
			continue;
		}
		k->looked[i] = true;
		f->_most += (uint64_t)(got.samples + 0.5);
		found_add(o, &got);
		k->sum.samples += got.samples;
		k->sum.bytes += got.bytes;
		k->sum.count++;
		if (got.samples > 0) {
			k->hits++;
			o->in = 1;
			o->sure |= !k->some[i];
		}
	}
}

/*
 * One file. quota > 0: of so many entries of each kind the units are looked at, others have as much
 * as those on the average. 0: as the density of the files before says.
 */
static void look_at_file(
    struct forecast *f, struct looker *l, size_t turn, size_t quota, struct sums density[2])
{
	struct look k;
	double ms = overlap_ms(l), likelies[2];
	for (unsigned n = 0; n < 2; n++) {
		struct forecast_kind *x = &f->_kinds[n];
		struct sums *d = &density[n];
		look_at_series(f, l, x, turn, quota, &k);
		d->samples += k.sum.samples;
		d->bytes += k.sum.bytes;
		d->count += k.sum.count * ms;
		const struct sums *by = k.sum.count > 0 ? &k.sum : d;
		double count = k.sum.count > 0 ? k.sum.count : d->count / ms;
		double likely = l->cut && k.sum.count > 0 ? k.hits / k.sum.count : 1;
		likelies[n] = likely;
		struct found mean = { 0 };
		if (count > 0)
			mean = (struct found){ by->samples / count, by->bytes / count };
		for (size_t i = 0; i < x->count; i++) {
			struct forecast_one *o = &x->one[i];
			if (!k.here[i] || k.looked[i])
				continue;
			found_add(o, &mean);
			o->in = likely > o->in ? likely : o->in;
			o->sure |= !l->cut && !k.some[i];
		}
	}
	if (f->_survey)
		survey_file(f->_survey, l->file, l->cut, likelies);
}

static bool has_any(const struct forecast *f, struct looker *l)
{
	bool some;
	for (unsigned k = 0; k < 2; k++)
		for (size_t i = 0; i < f->_kinds[k].count; i++)
			if (parts_of(l, f->_kinds[k].one[i].id, &some))
				return true;
	return false;
}

/* Of a file that has none of the series that are looked at. */
static void survey_alone(struct forecast *f, const struct looker *l)
{
	static const double nobody_knows[2] = { 0.5, 0.5 };
	if (f->_survey)
		survey_file(f->_survey, l->file, l->cut, nobody_knows);
}

/* The files that have any of the series, in their order; how many. */
static size_t files_with(struct forecast *f, struct looker *l, const struct unitread_file **out)
{
	size_t n = 0;
	for (size_t i = 0; i < l->u->files_count; i++) {
		file_begin(l, l->u->files[i]);
		if (has_any(f, l))
			out[n++] = l->file;
		else
			survey_alone(f, l);
	}
	return n;
}

/* Files with a quota come first: the others go by them. */
static void look_at_files(struct work_task *t)
{
	struct forecast *f = CONTAINER_OF(t, struct forecast, _task);
	const struct unitread *u = f->_units;
	const struct unitread_file **files = mem_array(NULL, u->files_count, sizeof(*files));
	struct sums density[2] = { { 0 } };
	struct looker l = { .u = u };
	cfile_unit_init(&l.unit);
	cfile_times_init(&l.times);
	size_t count = files_with(f, &l, files), stride = count / FORECAST_UNITS + 1;
	size_t measured = (count + stride - 1) / stride;
	size_t quota = measured && measured < FORECAST_UNITS ? FORECAST_UNITS / measured : 1;
	if (count * (f->_kinds[0].all + f->_kinds[1].all) <= FORECAST_ALL) {
		quota = FORECAST_SERIES;
		stride = 1;
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < count; i++) {
			if ((i % stride != 0) != pass)
				continue;
			file_begin(&l, files[i]);
			look_at_file(f, &l, i / stride, pass ? 0 : quota, density);
		}
	}
	f->told.files = count;
	if (f->_survey)
		survey_labels(f->_survey);
	cfile_unit_release(&l.unit);
	cfile_times_release(&l.times);
	mem_free(l.bytes);
	mem_free(l.times_bytes);
	mem_free(files);
}

/* ---- the sum ---- */

struct totals {
	double in, other, memory_samples, memory_bytes, samples, bytes;
	bool sure;
};

static uint64_t whole(double v)
{
	return v < 0 ? 0 : v < 1e18 ? (uint64_t)(v + 0.5) : UINT64_MAX;
}

static struct totals total_of(struct forecast *f, const struct forecast_kind *x)
{
	struct totals t = { .sure = true };
	double by = x->count ? (double)x->all / (double)x->count : 0;
	for (size_t i = 0; i < x->count; i++) {
		const struct forecast_one *o = &x->one[i];
		uint64_t column = whole(o->memory_samples + o->samples);
		t.in += (o->other ? 1 : o->in) * by;
		t.other += o->other ? by : 0;
		t.sure &= o->in <= 0 || o->sure;
		t.memory_samples += o->memory_samples * by;
		t.memory_bytes += o->memory_bytes * by;
		t.samples += o->samples * by;
		t.bytes += o->bytes * by;
		f->told.column = column > f->told.column ? column : f->told.column;
	}
	return t;
}

/* What was looked at closely. */
static void tell_survey(struct forecast *f)
{
	for (unsigned k = 0; k < 2 && f->_survey; k++)
		for (size_t i = 0; i < f->_kinds[k].count; i++) {
			const struct forecast_one *o = &f->_kinds[k].one[i];
			survey_know(f->_survey, o->id, o->in, o->sure || o->in <= 0);
		}
}

static void sum_up(struct forecast *f)
{
	tell_survey(f);
	const struct forecast_kind *active = &f->_kinds[0], *old = &f->_kinds[1];
	struct source_forecast *out = &f->told;
	struct totals a = total_of(f, active), o = total_of(f, old);
	/* Old ids with equal labels are one series, and those of active ones are counted there. */
	double distinct = (double)idchain_old_labels(f->_chain);
	double alone = distinct > a.other ? distinct - a.other : 0;
	double part = old->all ? o.in / (double)old->all : 0;
	bool all = active->count == active->all && old->count == old->all;
	out->series_most = active->all + old->all;
	out->series = whole(a.in + alone * part);
	if (out->series > out->series_most)
		out->series = out->series_most;
	out->sure = !all                                                       ? SOURCE_SAMPLED
	    : a.sure && o.sure && a.other == 0 && distinct == (double)old->all ? SOURCE_EXACT
	                                                                       : SOURCE_BOUNDS;
	uint64_t most_ms = (uint64_t)num_sat_sub(f->_units->t_max_ms, f->_units->t_min_ms);
	most_ms += most_ms < UINT64_MAX;
	if (__builtin_mul_overflow(out->series_most, most_ms, &out->samples_most))
		out->samples_most = UINT64_MAX;
	if (all && !f->_some && f->_most < out->samples_most)
		out->samples_most = f->_most;
	out->memory_samples = whole(a.memory_samples + o.memory_samples);
	out->memory_bytes = whole(a.memory_bytes + o.memory_bytes);
	out->file_samples = whole(a.samples + o.samples);
	out->file_bytes = whole(a.bytes + o.bytes);
	f->over = true;
}

static void looked(struct work_task *t)
{
	struct forecast *f = CONTAINER_OF(t, struct forecast, _task);
	f->_units->loading = false;
	sum_up(f);
	f->_done(f->_arg);
}

bool forecast_begin(struct forecast *f, void (*done)(void *arg), void *arg)
{
	if (!f->_units->files_count || !(f->_kinds[0].all + f->_kinds[1].all)) {
		sum_up(f);
		return false;
	}
	f->_done = done;
	f->_arg = arg;
	f->_units->loading = true;
	f->_task = (struct work_task){ .run = look_at_files, .done = looked, .prio = WORK_READ };
	work_submit(f->_units->shard->pool, &f->_task);
	return true;
}

bool forecast_survey(struct forecast *f)
{
	bool over = !f->_survey || survey_step(f->_survey);
	if (f->_survey) {
		f->told.surveyed = f->_survey->told;
		f->told.surveyed_sure = f->_survey->told_sure;
	}
	return over;
}
