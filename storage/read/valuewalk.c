#include "storage/read/valuewalk.h"

#include <string.h>

#include "core/base/arena.h"
#include "storage/meta/postings_priv.h"

#define IDS_AT_ONCE 32u
#define WORK_VALUE  16u
#define WORK_ID     4u
#define SERIES_COST 10u /* of a look at a series, in looks at an id */

bool valuewalk_open(struct valuewalk *w, const struct shard *sh, const struct source_query *q,
    const struct idchain *c)
{
	const struct postings *p = head_postings(&sh->head, source_first_tenant(q));
	if (!p)
		return false;
	/* where parts were deleted only reading tells of each series whether anything is left */
	if (sh->tombs && sh->tombs->partial)
		return false;
	const struct matcher *within = NULL;
	bool whole = q->matchers_count > 0;
	for (size_t i = 0; i < q->matchers_count; i++) {
		const struct matcher *m = &q->matchers[i];
		bool same = m->name_len == q->label_len && !memcmp(m->name, q->label, m->name_len);
		whole &= same;
		if (same && !m->matches_empty && m->rex && rex_prefixes(m->rex))
			within = m;
	}
	/*
	 * Among n of all ids a value is looked at all / n times until one of those is met; once,
	 * where all ids of a value are among those or none is.
	 */
	uint64_t values = postings_values_count(p, q->label, q->label_len, within);
	double n = (double)c->chosen_count, all = whole ? n : (double)postings_series(p);
	if (q->matchers_count && (double)values * all >= n * n * SERIES_COST)
		return false;
	*w = (struct valuewalk){ .shard = sh,
		.query = q,
		.among = q->matchers_count ? c->chosen : NULL,
		.within = within,
		.whole = whole,
		.postings = p };
	buf_init(&w->value);
	return true;
}

void valuewalk_release(struct valuewalk *w)
{
	if (w->postings)
		buf_release(&w->value);
}

static bool has_samples(const struct valuewalk *w, uint32_t id, struct unitread *u)
{
	const struct source_query *q = w->query;
	int64_t t_min, t_max;
	const struct series *s = head_by_id(&w->shard->head, id);
	u->work += WORK_VALUE;
	if (!s || s->tenant != source_first_tenant(q))
		return false;
	if (series_bounds(s, &t_min, &t_max) && t_min <= q->t_max_ms && t_max >= q->t_min_ms)
		return true;
	return unitread_has(u, id) == UNITREAD_HAS_SOME;
}

static bool value_take(void *arg, const struct postings_value *v)
{
	struct valuewalk *w = arg;
	buf_clear(&w->value);
	buf_add(&w->value, v->value, v->value_len);
	w->in_value = true;
	w->from = 0;
	return true;
}

/* Goes on with the value of now. */
static void value_step(struct valuewalk *w, struct textset *t, struct unitread *u)
{
	const struct source_query *q = w->query;
	const char *value = (const char *)w->value.data;
	uint32_t ids[IDS_AT_ONCE];
	size_t n = w->from > UINT32_MAX
	    ? 0
	    : postings_value_from(w->postings, q->label, q->label_len, value, w->value.len,
	          (uint32_t)w->from, ids, IDS_AT_ONCE);
	u->work += WORK_VALUE;
	for (size_t i = 0; i < n; i++) {
		u->work += WORK_ID;
		bool among = !w->among || roaring_bitmap_contains(w->among, ids[i]);
		if (!among && w->whole) {
			w->in_value = false;
			return;
		}
		if (!among || !has_samples(w, ids[i], u))
			continue;
		textset_add(t, value, (uint32_t)w->value.len);
		w->in_value = false;
		return;
	}
	w->in_value = n == IDS_AT_ONCE;
	w->from = n ? (uint64_t)ids[n - 1] + 1 : 0;
}

bool valuewalk_step(struct valuewalk *w, struct textset *t, struct unitread *u)
{
	const struct source_query *q = w->query;
	while (u->work < UNITREAD_WORK) {
		if (w->in_value) {
			value_step(w, t, u);
			continue;
		}
		postings_values(
		    w->postings, q->label, q->label_len, w->within, &w->at, 1, value_take, w);
		if (!w->in_value)
			return false;
		u->work += WORK_VALUE + (unsigned)(w->value.len / 16);
		w->in_value = !textset_has(t, (const char *)w->value.data, (uint32_t)w->value.len);
	}
	return true;
}
