#include "net/api/groupings.h"

#include "core/base/arena.h"
#include "core/base/hash.h"

#include <math.h>
#include <string.h>

#define RATE_LEAST 1e-9
#define ONCE       1.05
#define KNOWN      64u

/* What was told of several pieces' keys: nodes above one another have the same ones. */
struct known {
	struct ql_trace_keys keys; /* 0 of them: none */
	struct ql_trace_told told;
};
struct reckoning {
	struct ql_trace *t;
	const struct estimate *e;
	struct known *known;
};

/* ---- before ---- */

/* Labels that a key picks of the series as they are. */
static bool picks_own(const struct ql_shape *s)
{
	if (s->what != QL_SHAPE_STAY)
		return false;
	for (s = s->before; s; s = s->before)
		if (s->what != QL_SHAPE_ALL && s->what != QL_SHAPE_GO)
			return false;
	return true;
}

static void name_add(struct ql_trace *t, struct estimate_ask *ask, const char **names, struct ql_str s)
{
	for (size_t i = 0; i < ask->names_count; i++)
		if (bytes_equal(names[i], strlen(names[i]), s.s, s.len))
			return;
	if (ask->names_count < ESTIMATE_NAMES)
		names[ask->names_count++] = arena_strndup(t->arena, s.s, s.len);
}

void groupings_names(struct ql_trace *t, const struct ql_trace_piece *p, struct estimate_ask *ask)
{
	const char **names = arena_array(t->arena, ESTIMATE_NAMES, sizeof(*names));
	ask->names = names;
	for (const struct ql_trace_key *k = p->keys; k; k = k->next)
		for (uint32_t i = 0; picks_own(k->shape) && i < k->shape->names.count; i++)
			name_add(t, ask, names, k->shape->names.s[i]);
}

/* ---- of keys ---- */

static const struct estimate_ask *ask_of(const struct reckoning *r, const struct ql_trace_key *k)
{
	const struct estimate_ask *a = r->e->asks;
	for (const struct ql_trace_piece *p = r->t->pieces; p && p != k->piece; p = p->next)
		a++;
	return a;
}

/* Labels that are the same in all. */
static double values_of(const struct estimate_ask *a, struct ql_str name)
{
	for (size_t i = 0; i < a->names_count; i++)
		if (bytes_equal(a->names[i], strlen(a->names[i]), name.s, name.len))
			return a->values[i].all ? (double)a->values[i].seen.used + 1 : INFINITY;
	return INFINITY;
}

static double most_of_names(const struct estimate_ask *a, const struct ql_shape *s)
{
	double most = picks_own(s) ? 1 : INFINITY;
	for (uint32_t i = 0; picks_own(s) && i < s->names.count; i++)
		most *= values_of(a, s->names.s[i]);
	return most;
}

/* Each value is in a group, where all of the series have samples in the range. */
static double least_of_names(const struct estimate_ask *a, const struct ql_shape *s)
{
	double least = 0;
	if (!picks_own(s) || a->told.series < a->told.series_most / 10 * 9)
		return 0;
	for (uint32_t i = 0; i < s->names.count; i++) {
		double n = values_of(a, s->names.s[i]) - 1;
		least = n > least && n < INFINITY ? n : least;
	}
	return least;
}

static struct ql_trace_told key_told(const struct reckoning *r, const struct ql_trace_key *k)
{
	const struct estimate_ask *a = ask_of(r, k);
	const struct distinct *d = &a->groups[k->index];
	const struct source_forecast *f = &a->told;
	double all = (double)f->series_most, rate = all > 0 ? (double)f->surveyed / all : 1;
	struct ql_trace_told o = { .sure = SOURCE_SAMPLED, .most = most_of_names(a, k->shape) };
	bool missed = a->missed >> k->index & 1;
	if (rate >= 1) {
		o.sure = f->surveyed_sure == f->surveyed && !missed ? SOURCE_EXACT : SOURCE_BOUNDS;
		o.n = d->seen;
		o.most = o.sure == SOURCE_EXACT ? d->seen : missed ? all : d->used;
		return o;
	}
	o.most = o.most < all ? o.most : all;
	o.n = distinct_estimate(d, rate > RATE_LEAST ? rate : RATE_LEAST);
	if (!f->surveyed)
		o.n = (double)f->series;
	o.n = o.n < (double)f->series || !f->series ? o.n : (double)f->series;
	double least = least_of_names(a, k->shape);
	o.n = o.n > least ? o.n : least;
	o.n = o.n < o.most ? o.n : o.most;
	return o;
}

static struct known *known_of(const struct reckoning *r, const struct ql_trace_keys *k)
{
	return &r->known[hash64(k->of, k->count * sizeof(k->of[0]), 0) % KNOWN];
}

/* Of several pieces: equal ones are one. */
static struct ql_trace_told keys_told(const struct reckoning *r, const struct ql_trace_keys *k)
{
	struct ql_trace_told sum = { .sure = SOURCE_EXACT };
	struct distinct both = { 0 };
	double seen = 0;
	bool missed = false;
	if (!k->count)
		return (struct ql_trace_told){ .sure = SOURCE_SAMPLED, .n = -1, .most = INFINITY };
	struct known *known = k->count > 1 ? known_of(r, k) : NULL;
	if (known && known->keys.count == k->count &&
	    !memcmp(known->keys.of, k->of, k->count * sizeof(k->of[0])))
		return known->told;
	for (unsigned i = 0; i < k->count; i++) {
		struct ql_trace_told one = key_told(r, k->of[i]);
		sum.n += one.n;
		sum.most += one.most;
		sum.sure = one.sure > sum.sure ? one.sure : sum.sure;
		missed |= ask_of(r, k->of[i])->missed >> k->of[i]->index & 1;
		if (k->count > 1) {
			const struct distinct *d = &ask_of(r, k->of[i])->groups[k->of[i]->index];
			seen += d->seen;
			distinct_join(&both, d);
		}
	}
	if (seen > 0)
		sum.n *= both.seen / seen;
	if (k->count > 1 && sum.sure != SOURCE_SAMPLED && !missed)
		sum.most = sum.sure == SOURCE_EXACT ? both.seen : both.used;
	distinct_release(&both);
	if (known)
		*known = (struct known){ *k, sum };
	return sum;
}

/* What both sides of an operator share. */
struct common {
	double n, side[2]; /* match keys of both, of each; n < 0: not known */
	double part[2];    /* of the series of each, those that the other one matches */
	bool all;          /* all were looked at */
};

static double part_of(double n, double all)
{
	return all > 0 && n >= 0 ? (n < all ? n / all : 1) : 1;
}

static const struct distinct *set_of(const struct reckoning *r, const struct ql_trace_keys *k)
{
	return &ask_of(r, k->of[0])->groups[k->of[0]->index];
}

/* What is seen of a set is nearly all of it. */
static bool is_whole(const struct ql_trace_told *t, const struct distinct *d)
{
	return t->sure != SOURCE_SAMPLED || t->n <= d->seen * 1.05;
}

/*
 * Where sets are known by a part, all of the smaller one is taken to be in the larger one. A match
 * key counts by the series that have it, or once where those of the side are told apart by it.
 */
static struct common common_of(const struct reckoning *r, const struct ql_trace_groups *g,
    const struct ql_trace_node *const side[2])
{
	struct ql_trace_told told[2] = { keys_told(r, &g->match[0]), keys_told(r, &g->match[1]) };
	struct common c = { .side = { told[0].n, told[1].n }, .n = -1, .part = { 1, 1 } };
	if (told[0].n < 0 || told[1].n < 0)
		return c;
	c.n = told[0].n < told[1].n ? told[0].n : told[1].n;
	for (unsigned i = 0; i < 2; i++)
		c.part[i] = part_of(c.n, c.side[i]);
	if (g->match[0].count > 1 || g->match[1].count > 1)
		return c;
	const struct distinct *set[2] = { set_of(r, &g->match[0]), set_of(r, &g->match[1]) };
	bool whole[2] = { is_whole(&told[0], set[0]), is_whole(&told[1], set[1]) };
	c.all = told[0].sure != SOURCE_SAMPLED && told[1].sure != SOURCE_SAMPLED;
	for (unsigned i = 0; i < 2; i++) {
		double part, n = distinct_common(set[i], set[!i], &part);
		if (whole[!i])
			c.part[i] = keys_told(r, &side[i]->groups.keys).n <= c.side[i] * ONCE
			    ? part_of(n, set[i]->seen)
			    : part;
		if (whole[0] && whole[1])
			c.n = n;
	}
	return c;
}

/* ---- nodes ---- */

static const struct ql_trace_node *vector_of(const struct ql_trace_node *n)
{
	const struct ql_trace_node *c = n->first;
	while (c && c->groups.made == QL_MADE_NO_SERIES)
		c = c->next;
	return c;
}

static void cut(struct ql_trace_told *o, double n, double most)
{
	o->n = n < o->n || o->n < 0 ? n : o->n;
	o->most = most < o->most ? most : o->most;
}

/* What of groups is left when of their members a share is: a group goes when all of them do. */
static double groups_left(double groups, double members, double share)
{
	if (share >= 1 || groups <= 0 || members < groups)
		return groups * (share < 1 ? share : 1);
	return groups * (1 - pow(1 - share, members / groups));
}

static void told_keys(
    const struct reckoning *r, struct ql_trace_node *n, const struct ql_trace_node *in)
{
	struct ql_trace_groups *g = &n->groups;
	struct ql_trace_told o = keys_told(r, &g->keys);
	bool known = o.n >= 0;
	n->told = o;
	if (in) {
		double members = keys_told(r, &in->groups.keys).n;
		double share = members > 0 && in->told.n >= 0 ? in->told.n / members : 1;
		if (known)
			n->told.n = groups_left(o.n, members, share);
		cut(&n->told, in->told.n, in->told.most);
		n->told.sure = known ? n->told.sure : SOURCE_BOUNDS;
		n->told.sure = in->told.sure > n->told.sure ? in->told.sure : n->told.sure;
	}
	if (g->by && !g->names.count)
		cut(&n->told, 1, 1);
	n->held_groups = n->told;
}

static void told_best(
    const struct reckoning *r, struct ql_trace_node *n, const struct ql_trace_node *in)
{
	const struct ql_trace_groups *g = &n->groups;
	struct ql_trace_told groups = keys_told(r, &g->more);
	told_keys(r, n, in);
	n->held_groups = groups.n >= 0 ? groups : n->told;
	if (groups.n >= 0)
		cut(&n->told, groups.n * g->k, n->steps > 1 ? INFINITY : groups.most * g->k);
	/* Others may be the best at another step. */
	if (n->told.sure == SOURCE_EXACT && n->steps > 1)
		n->told.sure = SOURCE_BOUNDS;
}

static void told_joined(
    const struct reckoning *r, struct ql_trace_node *n, const struct ql_trace_node *in)
{
	struct ql_trace_told many = keys_told(r, &n->groups.keys),
	                     one = keys_told(r, &n->groups.more);
	n->told = in->told;
	n->told.sure = many.sure > one.sure ? many.sure : one.sure;
	n->told.sure = n->told.sure == SOURCE_EXACT ? SOURCE_BOUNDS : n->told.sure;
	if (many.n >= 0 && one.n >= 0)
		cut(&n->told, many.n > one.n ? many.n : one.n, many.most * one.most);
}

static void told_operator(const struct reckoning *r, struct ql_trace_node *n)
{
	const struct ql_trace_node *side[2] = { n->first, n->first ? n->first->next : NULL };
	const struct ql_trace_groups *g = &n->groups;
	if (!side[0] || !side[1])
		return;
	const struct ql_trace_told *l = &side[0]->told, *m = &side[1]->told,
	                           *many = &side[g->many]->told;
	struct common c = common_of(r, g, side);
	double part = c.part[g->many];
	struct ql_trace_told *o = &n->told;
	*o = *many;
	o->sure = l->sure > m->sure ? l->sure : m->sure;
	if (g->made == QL_MADE_OR) {
		o->n = l->n + m->n * (1 - c.part[1]);
		o->most = l->most + m->most;
	} else if (g->made == QL_MADE_UNLESS) {
		o->n = many->n * (1 - part);
	} else if (g->made == QL_MADE_MATCHED && c.n >= 0) {
		double a = l->n * part_of(c.n, c.side[0]), b = m->n * part_of(c.n, c.side[1]);
		o->n = a < b ? a : b;
		o->most = l->most < m->most ? l->most : m->most;
	} else {
		o->n = many->n * part;
	}
	bool whole = part == 0 || part == 1 || g->made == QL_MADE_MATCHED;
	if (o->sure == SOURCE_EXACT && (!c.all || !whole))
		o->sure = SOURCE_BOUNDS;
}

static struct ql_trace_told number(double n)
{
	return (struct ql_trace_told){ .sure = SOURCE_EXACT, .n = n, .most = n };
}

/* Series of the piece that a node reads. */
static double members_of(const struct reckoning *r, const struct ql_trace_node *n)
{
	return n->piece >= 0 ? (double)r->e->asks[n->piece].told.series : 0;
}

static void told_node(const struct reckoning *r, struct ql_trace_node *n)
{
	struct ql_trace_groups *g = &n->groups;
	const struct ql_trace_node *in = vector_of(n);
	switch (g->made) {
	case QL_MADE_NO_SERIES:
		n->told = (struct ql_trace_told){ .sure = SOURCE_SAMPLED, .n = -1, .most = INFINITY };
		return;
	case QL_MADE_NOTHING:
	case QL_MADE_ONE:
		n->told = number(g->made == QL_MADE_ONE);
		return;
	case QL_MADE_ABSENT:
		n->told = (struct ql_trace_told){
			.sure = SOURCE_BOUNDS, .n = !in || in->told.n < 0.5, .most = 1
		};
		if (in && in->told.most <= 0)
			n->told.sure = SOURCE_EXACT;
		return;
	case QL_MADE_KEYS:
		told_keys(r, n, in);
		break;
	case QL_MADE_TIMES:
		told_keys(r, n, in);
		n->told.n *= g->k;
		n->told.most *= g->k;
		break;
	case QL_MADE_BEST:
		told_best(r, n, in);
		break;
	case QL_MADE_JOINED:
		told_joined(r, n, in);
		break;
	case QL_MADE_SAME:
	case QL_MADE_VALUES:
	case QL_MADE_UNKNOWN:
		n->told = in ? in->told : (struct ql_trace_told){ .n = -1, .most = INFINITY };
		if (g->made == QL_MADE_VALUES)
			n->told.most *= n->steps;
		g->values |= g->made != QL_MADE_SAME;
		break;
	case QL_MADE_MATCHED:
	case QL_MADE_MANY:
	case QL_MADE_AND:
	case QL_MADE_UNLESS:
	case QL_MADE_OR:
		told_operator(r, n);
		break;
	}
	if (n->told.n > 0 && n->held)
		n->told.n = groups_left(n->told.n, members_of(r, n), g->share);
	else if (n->told.n > 0)
		n->told.n *= g->share;
	bool thinned = g->values || g->share < 1;
	if (thinned && n->told.sure == SOURCE_EXACT)
		n->told.sure = SOURCE_BOUNDS;
}

/* No deeper than the plan's texts go (core/promql/run/ql_trace.c). */
static void told_tree(const struct reckoning *r, struct ql_trace_node *n)
{
	for (struct ql_trace_node *c = n->first; c; c = c->next)
		told_tree(r, c);
	told_node(r, n);
}

void groupings_make(struct ql_trace *t, const struct estimate *e)
{
	const struct reckoning r = { t, e, arena_zalloc(t->arena, KNOWN * sizeof(*r.known)) };
	if (t->plan)
		told_tree(&r, t->plan);
}
