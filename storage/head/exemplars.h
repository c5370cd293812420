/*
 * exemplars - the newest exemplars of the series of one head, by series id.
 *
 * A ring holds at most `max` of a series, by time. As in Prometheus, one before the newest is out
 * of order and not kept. One that the ring has is a duplicate, so that a request may be sent again.
 * New ones since the last exemplars_take() are marked: a round takes them to its files. The ring
 * stays as it is then, so that what comes can be judged and read without the files.
 * Cost: a ring 32 bytes and 8 for each place, an exemplar 24 and its labels; a page of 8 KiB for
 * 1,024 neighbouring ids of which one has a ring. Thread: one loop. Memory: the loop's slab.
 */
#ifndef STORAGE_HEAD_EXEMPLARS_H
#define STORAGE_HEAD_EXEMPLARS_H

#include "core/model/exemplar.h"
#include "storage/head/slab.h"

#define EXEMPLARS_PAGE 1024u

struct exemplars_item {
	int64_t t_ms;
	double v;
	uint32_t len;
	uint8_t labels[];
};
struct exemplars_ring { /* by time, the newest at the end */
	uint32_t count, cap;
	uint32_t fresh; /* the last so many are not taken yet */
	struct exemplars_item *items[];
};
struct exemplars_page {
	uint32_t used;
	struct exemplars_ring *rings[EXEMPLARS_PAGE];
};
struct exemplars {
	struct exemplars_page **pages;
	uint32_t pages_count;
	uint32_t *fresh; /* ids that have fresh ones, each once, and such as have left */
	size_t fresh_count, fresh_cap;
};
enum exemplars_verdict {
	EXEMPLARS_NEW,
	EXEMPLARS_DUPLICATE,
	EXEMPLARS_OUT_OF_ORDER
};
/* max at least 1. Labels are copied. */
enum exemplars_verdict exemplars_add(
    struct exemplars *x, struct slab *m, uint32_t id, const struct exemplar *e, uint32_t max);
/* NULL: it has none. */
const struct exemplars_ring *exemplars_of(const struct exemplars *x, uint32_t id);
static inline struct exemplar exemplars_at(const struct exemplars_ring *r, uint32_t i)
{
	const struct exemplars_item *e = r->items[i];
	return (struct exemplar){ .t_ms = e->t_ms,
		.v = e->v,
		.labels = { .bytes = e->len ? e->labels : NULL, .len = e->len } };
}
/* Has it some that no round has taken? */
static inline bool exemplars_has_fresh(const struct exemplars *x, uint32_t id)
{
	const struct exemplars_ring *r = exemplars_of(x, id);
	return r && r->fresh;
}
/*
 * A series with fresh ones: its id, and they, encoded as a list, behind what out has; they are
 * fresh no more. False: none is left.
 */
bool exemplars_take(struct exemplars *x, uint32_t *id, struct buf *out, int64_t *t_max_ms);
void exemplars_drop(struct exemplars *x, struct slab *m, uint32_t id);
/* Those in the range, both ends inclusive, leave. */
void exemplars_cut(
    struct exemplars *x, struct slab *m, uint32_t id, int64_t t_min_ms, int64_t t_max_ms);
void exemplars_release(struct exemplars *x, struct slab *m);
/* Of memory beside the slab. */
size_t exemplars_bytes(const struct exemplars *x);

#endif
