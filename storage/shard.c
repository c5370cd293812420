#include "storage/shard.h"
#include "core/base/arena.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "storage/share.h"
#include <stdio.h>

void shard_init(struct shard *sh, struct share *share, unsigned index, uint64_t seed)
{
	*sh = (struct shard){ .index = index,
		.share = share,
		.pool = share->env->pool,
		.loop = share->loop,
		.seed = seed,
		.span = SHARD_SPAN_NONE,
		.round_span = SHARD_SPAN_NONE,
		.live_min_ms = INT64_MAX,
		.frozen_min_ms = INT64_MAX,
		.rank_hold = UINT64_MAX,
		.t_newest_ms = INT64_MIN };
	head_init(&sh->head, share->mem, seed);
	sh->head.tally = share->env->tenants;
	list_init(&sh->files);
	list_init(&sh->readers);
	removal_init(&sh->removals);
	files_init(&sh->list, index);
}

/* sign: 1 = f came, -1 = it left. */
static void file_count(struct shard *sh, const struct shard_file *f, int sign)
{
	int64_t bytes = (int64_t)f->entry.size_bytes, samples = (int64_t)f->entry.samples;
	metric_gauge_add(M_FILES, sign);
	metric_gauge_add(M_BYTES_FILES, sign * bytes);
	metric_gauge_add(M_FILES_SAMPLES, sign * samples);
	sh->files_count += (uint32_t)sign;
}

static void file_close(struct shard_file *f)
{
	cfile_close(f->cfile);
	mem_free(f->parts);
	mem_free(f);
}

void shard_release(struct shard *sh)
{
	LIST_EACH_SAFE(l, n, &sh->files) {
		file_count(sh, CONTAINER_OF(l, struct shard_file, link), -1);
		file_close(CONTAINER_OF(l, struct shard_file, link));
	}
	list_init(&sh->files);
	mem_free(sh->places);
	sh->places = NULL;
	sh->places_cap = 0;
	shard_tombs_set(sh, NULL);
	shard_graves_give(sh, UINT32_MAX);
	mem_free(sh->graves);
	sh->graves = NULL;
	removal_release(sh);
	head_release(&sh->head);
	files_release(&sh->list);
	mem_free(sh->lost);
	if (sh->dir)
		fsio_dir_close(sh->dir);
}

/* ---- files ---- */

static bool file_before(const struct shard_file *a, const struct shard_file *b)
{
	const struct cfile_meta *x = &a->entry.meta, *y = &b->entry.meta;
	if (x->start_ms != y->start_ms)
		return x->start_ms < y->start_ms;
	return x->rank != y->rank ? x->rank < y->rank : strcmp(a->entry.name, b->entry.name) < 0;
}

/* Where the file is, or belongs. */
static uint32_t place_of(const struct shard *sh, const struct shard_file *f)
{
	uint32_t lo = 0, hi = sh->files_count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (file_before(sh->places[mid], f))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t shard_place_from(const struct shard *sh, int64_t t_ms)
{
	const struct shard_file least = { .entry = { .meta = { .start_ms = t_ms } } };
	return place_of(sh, &least);
}

void shard_file_add(struct shard *sh, struct shard_file *f)
{
	uint32_t at = place_of(sh, f);
	int64_t width_ms = num_sat_sub(f->entry.meta.end_ms, f->entry.meta.start_ms);
	f->shard = sh;
	f->gone = false;
	list_add_tail(at < sh->files_count ? &sh->places[at]->link : &sh->files, &f->link);
	if (sh->files_count == sh->places_cap) {
		sh->places_cap = sh->places_cap ? sh->places_cap * 2 : 16;
		sh->places = mem_array(sh->places, sh->places_cap, sizeof(struct shard_file *));
	}
	memmove(sh->places + at + 1, sh->places + at,
	    (sh->files_count - at) * sizeof(struct shard_file *));
	sh->places[at] = f;
	sh->files_width_ms = width_ms > sh->files_width_ms ? width_ms : sh->files_width_ms;
	file_count(sh, f, 1);
}

static void file_remove(struct shard_file *f)
{
	removal_add(f->shard, f->entry.name, f->cfile);
	mem_free(f->parts);
	mem_free(f);
}

void shard_file_unpin(struct shard_file *f)
{
	loop_check_here(f->shard->loop);
	CHECK(f->pins > 0);
	if (!--f->pins && f->gone)
		file_remove(f);
}

void shard_file_gone(struct shard_file *f)
{
	loop_check_here(f->shard->loop);
	CHECK(!f->gone);
	struct shard *sh = f->shard;
	uint32_t at = place_of(sh, f);
	CHECK(at < sh->files_count && sh->places[at] == f);
	f->gone = true;
	list_del(&f->link);
	memmove(sh->places + at, sh->places + at + 1,
	    (sh->files_count - at - 1) * sizeof(struct shard_file *));
	file_count(sh, f, -1);
	if (!f->pins)
		file_remove(f);
}

/* ---- series that leave ---- */

static void tell_readers(struct shard *sh, const struct series *s)
{
	loop_check_here(sh->loop);
	LIST_EACH(l, &sh->readers) {
		struct shard_reader *r = CONTAINER_OF(l, struct shard_reader, link);
		r->leaves(r, s);
	}
}

void shard_bury(struct shard *sh, uint32_t slot, bool fed)
{
	struct series *s = head_at(&sh->head, slot);
	uint32_t id = s->id;
	tell_readers(sh, s);
	struct labels ls = head_drop_but_labels(
	    &sh->head, slot, label_fingerprint(series_labels(s), s->tenant, sh->seed).lo);
	if (fed) {
		head_labels_give(&sh->head, ls);
		return;
	}
	if (sh->graves_count == sh->graves_cap) {
		sh->graves_cap = sh->graves_cap ? 2 * sh->graves_cap : 64;
		sh->graves = mem_array(sh->graves, sh->graves_cap, sizeof(*sh->graves));
	}
	sh->graves[sh->graves_count++] = (struct shard_grave){ .id = id, .labels = ls };
}

void shard_tombs_set(struct shard *sh, struct tombs *take)
{
	metric_gauge_add(M_DELETED_LEFT,
	    (int64_t)(take ? take->count : 0) - (int64_t)(sh->tombs ? sh->tombs->count : 0));
	tombs_unpin(sh->tombs);
	sh->tombs = take;
}

void shard_graves_give(struct shard *sh, uint32_t catalog_next_id)
{
	size_t kept = 0;
	for (size_t i = 0; i < sh->graves_count; i++) {
		if (sh->graves[i].id < catalog_next_id)
			head_labels_give(&sh->head, sh->graves[i].labels);
		else
			sh->graves[kept++] = sh->graves[i];
	}
	sh->graves_count = kept;
}

void shard_evict(struct shard *sh, uint32_t slot)
{
	struct series *s = head_at(&sh->head, slot);
	tell_readers(sh, s);
	/* it comes behind those in memory from now on */
	share_changed(sh->share, s->tenant, CHANGES_ORDER, INT64_MIN, s->t_newest_ms);
	head_drop(&sh->head, slot, label_fingerprint(series_labels(s), s->tenant, sh->seed).lo);
}

uint64_t shard_rank_known(const struct shard *sh, uint64_t rank)
{
	if (rank > sh->rank_hold)
		rank = sh->rank_hold;
	for (size_t i = 0; i < sh->lost_count; i++) {
		const struct shard_lost *l = &sh->lost[i];
		if (shard_lost_returns(l) && l->entry.meta.rank <= rank)
			rank = l->entry.meta.rank - (l->entry.meta.rank > 0);
	}
	return rank;
}

/* ---- verdicts ---- */

#define DAY_MS 86400000

/* The time of day, with the day where it is not today. */
static void when(int64_t t_ms, bool day, char out[64])
{
	int64_t s = t_ms / 1000 - (t_ms % 1000 < 0);
	struct num_civil c = num_civil(s);
	if (day)
		snprintf(out, 64, "%04lld-%02d-%02d %02d:%02d:%02d", (long long)c.year, c.month,
		    c.day, c.hour, c.minute, c.second);
	else
		snprintf(out, 64, "%02d:%02d:%02d", c.hour, c.minute, c.second);
}

/* Milliseconds since 1970 are wanted: what else would make a sensible time of it? */
static const char *looks_like(int64_t t_ms, int64_t now_ms)
{
	static const struct {
		int64_t mul, div;
		const char *unit;
	} units[] = { { 1000, 1, "seconds" }, { 1, 1000, "microseconds" },
		{ 1, 1000000, "nanoseconds" } };
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (t_ms < 0 || t_ms > INT64_MAX / units[i].mul)
			continue;
		int64_t t = t_ms * units[i].mul / units[i].div;
		if (t > num_sat_sub(now_ms, 366ll * DAY_MS) && t < num_sat_add(now_ms, DAY_MS))
			return units[i].unit;
	}
	return NULL;
}

void shard_judge_why(
    const struct shard_judge *j, int64_t t_ms, int64_t now_ms, char out[SHARD_WHY_BYTES])
{
	bool old = t_ms < j->t_min_ms;
	int64_t bound = old ? j->t_min_ms : j->t_max_ms;
	const char *unit = looks_like(t_ms, now_ms), *flag = old ? j->old_flag : j->new_flag;
	char is[64], may[64], by[96] = "", hint[64] = "", value[NUM_FMT_MAX + 1];
	bool day = t_ms / DAY_MS != bound / DAY_MS || t_ms / DAY_MS != now_ms / DAY_MS;
	when(t_ms, day, is);
	when(bound, day, may);
	if (flag) {
		value[num_fmt_duration(old ? j->old_ms : j->new_ms, value)] = 0;
		/* a tenant's own have no flag */
		snprintf(
		    by, sizeof by, " (%s%.40s %.40s)", strchr(flag, '\'') ? "" : "--", flag, value);
	}
	if (unit)
		snprintf(hint, sizeof hint, ", looks like %s, not milliseconds", unit);
	snprintf(out, SHARD_WHY_BYTES, "sample of %.40s%.60s, %s accepted %.40s%.80s", is, hint,
	    old ? "oldest" : "newest", may, by);
}

void shard_verdict_init(struct shard_verdict *v)
{
	v->stored = v->refused = v->dup = v->over = v->late = 0;
	v->hists = v->exemplars = v->exemplars_refused = 0;
	v->first_exemplar = UINT32_MAX;
	v->exemplar_why = NULL;
	v->first_row = UINT32_MAX;
	v->first_reason = SINK_OK;
	v->first_text[0] = 0;
}

static void first_set(
    struct shard_verdict *v, uint32_t row, enum sink_reason reason, const char *detail)
{
	v->first_row = row;
	v->first_reason = reason;
	size_t len = rune_cut(detail, strlen(detail), sizeof v->first_text - 1);
	memcpy(v->first_text, detail, len);
	v->first_text[len] = 0;
}

void shard_verdict_refuse(
    struct shard_verdict *v, uint32_t row, enum sink_reason reason, const char *detail)
{
	v->refused++;
	if (row < v->first_row)
		first_set(v, row, reason, detail);
}

void shard_verdict_refuse_exemplar(struct shard_verdict *v, uint32_t row, const char *why)
{
	v->exemplars_refused++;
	if (row >= v->first_exemplar)
		return;
	v->first_exemplar = row;
	v->exemplar_why = why;
}

void shard_verdict_add(struct shard_verdict *v, const struct shard_verdict *part)
{
	v->hists += part->hists;
	v->exemplars += part->exemplars;
	v->exemplars_refused += part->exemplars_refused;
	if (part->first_exemplar < v->first_exemplar) {
		v->first_exemplar = part->first_exemplar;
		v->exemplar_why = part->exemplar_why;
	}
	v->stored += part->stored;
	v->refused += part->refused;
	v->dup += part->dup;
	v->over += part->over;
	v->late += part->late;
	if (part->first_row < v->first_row)
		first_set(v, part->first_row, part->first_reason, part->first_text);
}
