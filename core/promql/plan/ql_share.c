/*
 * What is read twice is read once: nodes whose selectors and windows are equal become pipes of one
 * piece.
 *
 * Pipes of one piece look at the same columns and share nothing else: each has its own stages,
 * reducer, parameters, statistics and places in the query. What must be equal is what a source is
 * asked for, and the windows (their steps, range, offset, "@").
 * Cost: one look at each piece's matchers, in a table by their hash.
 */
#include "core/promql/plan/ql_plan_priv.h"

#include "core/base/hash.h"

#include <string.h>

static bool same_text(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
	return a_len == b_len && (!a_len || !memcmp(a, b, a_len));
}

/* In the order in which they are written. */
static bool same_matchers(const struct ql_piece_spec *a, const struct ql_piece_spec *b)
{
	if (a->matchers_count != b->matchers_count)
		return false;
	for (uint32_t i = 0; i < a->matchers_count; i++) {
		const struct matcher *x = &a->matchers[i], *y = &b->matchers[i];
		if (x->type != y->type || !same_text(x->name, x->name_len, y->name, y->name_len) ||
		    !same_text(x->value, x->value_len, y->value, y->value_len))
			return false;
	}
	return true;
}

static bool same_windows(const struct ql_range_spec *a, const struct ql_range_spec *b)
{
	return a->grid.n == b->grid.n && a->grid.start_ms == b->grid.start_ms &&
	    a->grid.step_ms == b->grid.step_ms && a->range_ms == b->range_ms &&
	    a->offset_ms == b->offset_ms && a->fixed == b->fixed && a->at_ms == b->at_ms &&
	    a->anchored == b->anchored && a->smoothed == b->smoothed;
}

/* Groups go home once, at the end; columns in batches. One piece does either. */
static bool same_way_home(const struct ql_pipe *a, const struct ql_pipe *b)
{
	return (a->reduce.kind == QL_REDUCE_NONE) == (b->reduce.kind == QL_REDUCE_NONE);
}

static bool same_reading(const struct ql_pn *a, const struct ql_pn *b)
{
	return same_windows(&a->pipe->range, &b->pipe->range) && same_way_home(a->pipe, b->pipe) &&
	    same_matchers(a->spec, b->spec);
}

static uint64_t hash_reading(const struct ql_pn *pn)
{
	const struct ql_range_spec *r = &pn->pipe->range;
	uint64_t h = hash_mix64((uint64_t)r->range_ms ^ hash_mix64((uint64_t)r->offset_ms));

	h = hash_mix64(h ^ (uint64_t)r->grid.start_ms) + r->grid.n;
	h = hash_mix64(h ^ (uint64_t)r->at_ms);
	for (uint32_t i = 0; i < pn->spec->matchers_count; i++) {
		const struct matcher *m = &pn->spec->matchers[i];
		h = hash64(m->value, m->value_len, hash64(m->name, m->name_len, h + m->type));
	}
	return h;
}

/*
 * It can start with the query, beside others: no parameter is data. What is counted for each step
 * goes home in one turn (core/promql/run/ql_tally.h), so that it stays alone.
 */
static bool may_share(const struct ql_pn *pn)
{
	for (unsigned i = 0; i < pn->args_count; i++)
		if (pn->arg[i]->scalar.kind == QL_UNKNOWN)
			return false;
	return pn->pipe->mode != QL_PIECE_RAW && !pn->pipe->tally_n;
}

static void join(struct ql_pn *lead, struct ql_pn *pn)
{
	struct ql_piece_spec *s = lead->spec;

	pn->lead = lead;
	pn->spec = s;
	pn->pipe->index = s->pipes_count++;
	s->_last->next = pn->pipe;
	s->_last = pn->pipe;
}

void ql_plan_share(struct ql_plan *p)
{
	uint32_t count = 0, size = 1;

	for (const struct ql_pn *pn = p->pieces; pn; pn = pn->next_piece)
		count++;
	while (size < count)
		size *= 2;
	struct ql_pn **slots = arena_zalloc(p->arena, size * sizeof(*slots));
	p->pieces = NULL;
	for (struct ql_pn *pn = p->first; pn; pn = pn->next) {
		if (pn->kind != PN_PIECE)
			continue;
		struct ql_pn **slot = &slots[hash_reading(pn) & (size - 1)], *lead = NULL;
		if (may_share(pn))
			for (lead = *slot; lead && !same_reading(lead, pn);)
				lead = lead->_next_slot;
		if (lead && lead->spec->pipes_count < QL_PIECE_PIPES) {
			join(lead, pn);
			continue;
		}
		pn->lead = pn;
		pn->next_piece = p->pieces;
		p->pieces = pn;
		if (!may_share(pn))
			continue;
		pn->_next_slot = *slot; /* before a full one */
		*slot = pn;
	}
}
