#include "storage/recover/refill.h"

#include "core/base/arena.h"
#include "core/model/limits.h"
#include "storage/share.h"

/* hot lines fetched so many slots ahead: ids that follow one another mostly have slots that do */
#define REPLAY_LINES 24u
#define REPLAY_TAILS 8u /* ... and tails */

static uint32_t replay_slot(struct shard *sh, uint32_t id)
{
	uint32_t slot = head_slot_by_id(&sh->head, id);
	if (UNLIKELY(slot == SERIES_NONE)) {
		slot = head_create_undefined(&sh->head, id);
		if (id >= sh->next_id && id < UINT32_MAX)
			sh->next_id = id + 1;
	}
	return slot;
}

/* What the rows of the next slots will touch. */
static inline void replay_fetch(const struct head *h, uint32_t slot)
{
	if (LIKELY(slot + REPLAY_LINES < h->slots_count))
		__builtin_prefetch(head_at(h, slot + REPLAY_LINES), 1);
	if (LIKELY(slot + REPLAY_TAILS < h->slots_count))
		series_fetch(head_at(h, slot + REPLAY_TAILS));
}

static void replay_extra(
    struct head *h, struct series *s, int64_t t_ms, double v, const struct walrec_extra *x)
{
	struct extra e = { .start_ms = x->start_ms, .hist = x->hist, .hist_len = x->hist_len };
	(void)series_put_slow(s, h->mem, &h->stats, t_ms, v, &e);
}

static void replay_rows(struct shard *sh, const struct walrec_record *rec, bool own)
{
	struct head *h = &sh->head;
	struct shard_span span = SHARD_SPAN_NONE;
	const struct walrec_extra *x = rec->extras, *x_end = x ? x + rec->extras_count : NULL;
	if (!rec->count)
		return;
	uint32_t slot = replay_slot(sh, rec->ids[0]);
	for (size_t i = 0; i < rec->count; i++) {
		uint32_t id = rec->ids[i];
		struct series *s = head_at(h, slot);
		if (s->id != id) {
			uint32_t next = slot + 1;
			if (UNLIKELY(next >= h->slots_count || head_at(h, next)->id != id ||
			        !(head_at(h, next)->flags & SERIES_USED)))
				next = replay_slot(sh, id);
			slot = next;
			s = head_at(h, slot);
			replay_fetch(h, slot);
		}
		if (LIKELY(x == x_end || x->row != i))
			series_put(s, h->mem, &h->stats, rec->t_ms[i], rec->v[i]);
		else
			replay_extra(h, s, rec->t_ms[i], rec->v[i], x++);
		span.max_ms = rec->t_ms[i] > span.max_ms ? rec->t_ms[i] : span.max_ms;
		span.min_ms = rec->t_ms[i] < span.min_ms ? rec->t_ms[i] : span.min_ms;
	}
	if (span.max_ms > sh->t_newest_ms)
		sh->t_newest_ms = span.max_ms;
	if (span.min_ms < sh->live_min_ms)
		sh->live_min_ms = span.min_ms;
	if (!own)
		shard_span_add(&sh->span, span);
	sh->rows_since_round += rec->count;
}

/* What was deleted since does not come back; storage README (30). */
static void rows_left(struct shard *sh, const struct walrec_record *rec, uint64_t number, bool own)
{
	struct walrec_record left = *rec;
	size_t n = rec->count + 1, kept = 0, extras = 0, x = 0;
	uint32_t *ids = mem_array(NULL, n, sizeof(*ids));
	int64_t *t_ms = mem_array(NULL, n, sizeof(*t_ms));
	double *v = mem_array(NULL, n, sizeof(*v));
	struct walrec_extra *beside = mem_array(NULL, rec->extras_count + 1, sizeof(*beside));
	for (size_t i = 0; i < rec->count; i++) {
		bool has = x < rec->extras_count && rec->extras[x].row == i;
		x += has;
		if (tombs_drops(sh->tombs, rec->ids[i], number, rec->t_ms[i]))
			continue;
		ids[kept] = rec->ids[i];
		t_ms[kept] = rec->t_ms[i];
		v[kept] = rec->v[i];
		if (has) {
			beside[extras] = rec->extras[x - 1];
			beside[extras++].row = (uint32_t)kept;
		}
		kept++;
	}
	left.count = kept;
	left.ids = ids;
	left.t_ms = t_ms;
	left.v = v;
	left.extras = extras ? beside : NULL;
	left.extras_count = extras;
	replay_rows(sh, &left, own);
	mem_free(ids);
	mem_free(t_ms);
	mem_free(v);
	mem_free(beside);
}

static void replay_exemplars(struct shard *sh, const struct walrec_record *rec, uint64_t number)
{
	struct head *h = &sh->head;
	struct wire_reader list = wire_reader(rec->bytes, rec->bytes_len);
	struct exemplar e;
	if (tombs_dead(sh->tombs, rec->id))
		return;
	(void)replay_slot(sh, rec->id);
	while (exemplar_get(&list, &e))
		if (!tombs_drops(sh->tombs, rec->id, number, e.t_ms))
			(void)exemplars_add(&h->exemplars, h->mem, rec->id, &e,
			    (uint32_t)limits_here()->write_exemplars);
	sh->rows_since_round++;
}

void refill_define(struct shard *sh, uint32_t id, uint32_t tenant, struct labels ls)
{
	struct head *h = &sh->head;
	uint64_t fp = label_fingerprint(ls, tenant, sh->seed).lo;
	uint32_t slot = head_slot_by_id(h, id), other = head_find(h, fp, tenant, ls);
	if (other != SERIES_NONE && head_at(h, other)->id < id)
		head_shadow(h, other, fp);
	if (slot == SERIES_NONE)
		slot = head_create_counted(h, fp, tenant, id, ls);
	else
		head_define(h, slot, fp, tenant, ls);
	if (other != SERIES_NONE && head_at(h, other)->id > id)
		head_shadow(h, slot, fp);
}

static void replay_def(struct shard *sh, const struct walrec_record *rec)
{
	struct labels ls = { .bytes = rec->bytes, .len = (uint32_t)rec->bytes_len };
	uint32_t slot = head_slot_by_id(&sh->head, rec->id);
	if (tombs_dead(sh->tombs, rec->id))
		return;
	if (slot == SERIES_NONE || head_at(&sh->head, slot)->flags & SERIES_UNDEFINED)
		refill_define(sh, rec->id, rec->tenant, ls);
	if (rec->id >= sh->next_id && rec->id < UINT32_MAX)
		sh->next_id = rec->id + 1;
}

enum err refill_group(struct shard *sh, const struct walrec_group *g, struct walrec_reader *r,
    const struct refill_metas *metas)
{
	struct walrec_record rec;
	struct newest *newest = &sh->share->newest;
	bool done = g->number <= sh->number, own = false;
	bool deleted = sh->tombs && g->number <= sh->tombs->number_max;
	walrec_reader_open(r, g);
	while (walrec_next(r, &rec)) {
		if (rec.tag == WALREC_DEF)
			replay_def(sh, &rec);
		else if (rec.tag == WALREC_ROWS && !done && deleted)
			rows_left(sh, &rec, g->number, own);
		else if (rec.tag == WALREC_ROWS && !done)
			replay_rows(sh, &rec, own);
		else if (rec.tag == WALREC_EXEMPLARS && !done)
			replay_exemplars(sh, &rec, g->number);
		else if (rec.tag == WALREC_META)
			metas->record(metas->arg, false, g->number, &rec.meta);
		else if (rec.tag == WALREC_OWN)
			own = true;
		else if (rec.tag == WALREC_NEWEST)
			(void)newest_tell(newest, rec.tenant, rec.own, rec.newest_ms, 0);
		else if (rec.tag ==
		    WALREC_TOMB) /* a later version's: its deletion must not be passed over */
			return ERR_UNSUPPORTED;
	}
	if (!r->err && !done)
		sh->number = g->number;
	/* Rows of before newest times were kept: what they say is the best there is. */
	if (g->version == WALREC_VERSION_NO_NEWEST)
		(void)newest_tell(newest, 0, false, sh->span.max_ms, 0);
	return r->err;
}

enum err refill_metas_group(
    const struct walrec_group *g, struct walrec_reader *r, const struct refill_metas *metas)
{
	struct walrec_record rec;
	walrec_reader_open(r, g);
	while (walrec_next(r, &rec)) {
		if (rec.tag != WALREC_META)
			return ERR_UNSUPPORTED;
		metas->record(metas->arg, true, g->number, &rec.meta);
	}
	if (!r->err)
		metas->number(metas->arg, g->number);
	return r->err;
}
