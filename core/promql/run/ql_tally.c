#include "core/promql/run/ql_tally.h"

#include "core/promql/run/ql_range.h"

#include <string.h>

static void read_for(struct ql_tally *t, const struct ql_reads *reads, uint32_t i, uint64_t samples)
{
	uint32_t at;

	if (samples && t->read && ql_reads_at(reads, i, &at))
		t->read[at] += samples;
}

/*
 * A step reads what the step before did not see: what is later than its end. With "@" all look at
 * one window.
 */
void ql_tally_windows(struct ql_tally *t, const struct ql_range *r, const struct sample_column *in,
    bool used, uint32_t from, uint32_t end)
{
	const uint64_t *points = ql_range_points(r, in);
	const struct ql_range_spec *s = &r->spec;

	for (uint32_t i = from; i < end; i++) {
		uint32_t lo = r->lo[i], hi = r->hi[i],
		         seen = i && r->hi[i - 1] > lo ? r->hi[i - 1] : lo;
		if (used)
			t->used[i] += points ? points[hi] - points[lo] : hi - lo;
		if (!(s->fixed && i))
			read_for(t, &s->reads, i, points ? points[hi] - points[seen] : hi - seen);
	}
}

void ql_tally_points(struct ql_tally *t, const struct ql_reads *reads, const struct ql_col *c,
    bool used, uint32_t from, uint32_t end)
{
	for (uint32_t i = from; i < end; i++) {
		bool hist = c->hists && ql_bit(c->hists->has, i);
		if (!hist && !ql_bit(c->has, i))
			continue;
		uint64_t samples = ql_hist_points(hist ? c->hists->h[i] : NULL);
		if (used)
			t->used[i] += samples;
		read_for(t, reads, i, samples);
	}
}

void ql_tally_alike(struct ql_tally *t, uint64_t used)
{
	for (uint32_t i = 0; used && i < t->n; i++)
		t->used[i] += used;
}

void ql_tally_add(struct ql_tally *t, const struct ql_tally *more)
{
	for (uint32_t i = 0; i < more->n; i++) {
		t->used[i] += more->used[i];
		t->read[i] += more->read[i];
	}
}

void ql_tally_copy(struct arena *a, struct ql_tally *to, const struct ql_tally *from)
{
	size_t bytes = from->n * sizeof(*from->used);

	to->n = from->n;
	to->used = memcpy(arena_alloc(a, bytes), from->used, bytes);
	to->read = memcpy(arena_alloc(a, bytes), from->read, bytes);
}
