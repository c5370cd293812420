#include "storage/meta/postings_priv.h"

#include <stdlib.h>

#define PAUSE_STEPS  (POSTINGS_SKIPS / 32)
#define VALUE_STEP   256u /* bytes of a value: one step of matching */
#define IDS_STEP     512u /* ids put into a set: one step */
#define TEST_FACTOR  2u   /* a look at a series' labels costs so many looks at values */
#define TEST_AT_ONCE 64u
#define RANGES_MAX   256u /* beginnings of an expression that are walked apart */
#define GATHER       1024u

#define NONE_MATCHERS 8u  /* looked at to tell that there is nothing */
#define NONE_IDS      64u /* of the rarest of their values */

/*
 * Each matcher narrows what is left:
 *   ONE    its one value is looked up: its ids, or all but those, stay
 *   WORDS  its words are looked up and gathered into a set
 *   WALK   the values of its name, or those that begin as its expression must, are looked at and
 *          gathered: those it holds for; or, where it holds for "", those it does not hold for,
 *          which are taken away
 *   TEST   where few ids are left, their labels are looked at instead
 * A walk goes on rightly when pairs come and go between its steps (postings_priv.h).
 */
enum select_way {
	WAY_NONE, /* the next matcher is to be taken up */
	WAY_ONE,
	WAY_WORDS,
	WAY_WALK,
	WAY_TEST
};
struct postings_select {
	const struct postings *p;
	const struct matcher *ms;
	size_t count;
	const struct postings_labels *labels; /* NULL: nobody can tell them */
	roaring_bitmap_t *result;             /* NULL: all so far */
	size_t *order, over;                  /* indices of matchers; how many are done */
	/* the matcher at work */
	enum select_way way;
	const struct matcher *m;
	roaring_bitmap_t *set; /* WORDS, WALK */
	struct postings_cursor cursor;
	size_t literal;   /* next one of its expression */
	uint64_t test_id; /* ids below were looked at */
	uint32_t ids[GATHER];
	unsigned ids_count; /* not put into the set yet */
	unsigned since;     /* steps since it was asked whether it is enough */
	uint64_t steps;     /* in all */
};

/* ---- walks over the values of a name ---- */

static bool has_ranges(const struct matcher *m)
{
	return m && m->rex && rex_prefixes(m->rex) && rex_prefixes(m->rex) <= RANGES_MAX;
}

uint32_t postings_next_count(const struct pname *n, const struct matcher *within)
{
	uint64_t sum = 0;
	const char *prefix;
	size_t len;
	if (!has_ranges(within))
		return n->count;
	for (size_t i = 0; (prefix = rex_prefix(within->rex, i, &len)); i++)
		sum += tree_count(n->tree, prefix, len);
	return sum < n->count ? (uint32_t)sum : n->count;
}

uint32_t postings_next(const struct postings *p, const struct pname *n,
    const struct matcher *within, struct postings_cursor *c)
{
	if (!c->_ranges) {
		bool narrows = has_ranges(within) && postings_next_count(n, within) < n->count;
		c->_ranges = 1 + (narrows ? (uint32_t)rex_prefixes(within->rex) : 0);
	}
	if (c->_ranges == 1)
		return tree_next(p, n->tree, c, "", 0);
	const char *prefix;
	size_t len;
	while ((prefix = rex_prefix(within->rex, c->_range, &len))) {
		uint32_t place = tree_next(p, n->tree, c, prefix, len);
		if (place != POSTINGS_NO_PAIR)
			return place;
		c->_range++;
		c->_begun = c->_in_bag = false;
	}
	return POSTINGS_NO_PAIR;
}

/* ---- steps ---- */

static bool needs_engine(const struct matcher *m)
{
	return m->rex && rex_kind(m->rex) == REX_PCRE;
}

/* What a look at a value costs. */
static unsigned value_steps(const struct matcher *m, size_t len)
{
	return (needs_engine(m) ? POSTINGS_CHEAP : 1u) + (unsigned)(len / VALUE_STEP);
}

/* After some work: has this call done its part? */
static bool is_enough(struct postings_select *s, unsigned steps, bool (*enough)(void *arg), void *arg)
{
	s->steps += steps;
	s->since += steps;
	if (s->since < POSTINGS_CHEAP)
		return false;
	s->since = 0;
	return enough && enough(arg);
}

/* ---- the set of a matcher ---- */

static void set_flush(struct postings_select *s)
{
	roaring_bitmap_add_many(s->set, s->ids_count, s->ids);
	s->ids_count = 0;
}

/* Returns the steps it took. */
static unsigned set_add(struct postings_select *s, const struct pair *x)
{
	enum ids_kind kind = (enum ids_kind)x->kind;
	uint32_t count = ids_count(&x->ids, kind);
	if (kind == IDS_MANY) {
		ids_or(&x->ids, kind, s->set);
		return count / IDS_STEP;
	}
	if (s->ids_count + count > GATHER)
		set_flush(s);
	s->ids_count += (unsigned)ids_from(&x->ids, kind, 0, s->ids + s->ids_count, count);
	return count / IDS_STEP;
}

/* All so far becomes a set of its own, to be taken from. */
static roaring_bitmap_t *result_of(struct postings_select *s)
{
	if (!s->result)
		s->result = ids_copy(&s->p->all, s->p->all_kind);
	return s->result;
}

static void matcher_done(struct postings_select *s)
{
	s->way = WAY_NONE;
	s->over++;
}

/* The set of the matcher at work is whole: into the result with it. */
static void set_done(struct postings_select *s)
{
	set_flush(s);
	if (s->m->matches_empty)
		roaring_bitmap_andnot_inplace(result_of(s), s->set);
	else if (s->result)
		roaring_bitmap_and_inplace(s->result, s->set);
	if (s->m->matches_empty || s->result) {
		roaring_bitmap_free(s->set);
	} else {
		s->result = s->set;
	}
	s->set = NULL;
	matcher_done(s);
}

/* ---- the four ways ---- */

static enum postings_state look_up(struct postings_select *s)
{
	const struct matcher *m = s->m;
	const struct pair *x = postings_pair(s->p, m->name, m->name_len, m->value, m->value_len);
	if (m->matches_empty && x)
		ids_andnot(&x->ids, (enum ids_kind)x->kind, result_of(s));
	else if (!m->matches_empty && !x)
		roaring_bitmap_clear(result_of(s));
	else if (!m->matches_empty && s->result)
		ids_and(&x->ids, (enum ids_kind)x->kind, s->result);
	else if (!m->matches_empty)
		s->result = ids_copy(&x->ids, (enum ids_kind)x->kind);
	s->since += 1 + (x ? pair_count(x) / IDS_STEP : 0);
	s->steps++;
	matcher_done(s);
	return POSTINGS_DONE;
}

static enum postings_state look_up_words(
    struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	const struct matcher *m = s->m;
	size_t len;
	const char *v;
	while ((v = rex_literal(m->rex, s->literal, &len))) {
		s->literal++;
		const struct pair *x = len ? postings_pair(s->p, m->name, m->name_len, v, len) : NULL;
		if (is_enough(s, 1 + (x ? set_add(s, x) : 0), enough, arg))
			return POSTINGS_MORE;
	}
	set_done(s);
	return POSTINGS_DONE;
}

/* Some values of the matcher at work, until it is enough. */
static enum postings_state walk_values(struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	const struct matcher *m = s->m;
	const struct pname *n = postings_name_find(s->p, m->name, m->name_len);
	uint32_t place, len;
	while (n && (place = postings_next(s->p, n, m, &s->cursor)) != POSTINGS_NO_PAIR) {
		if (place == POSTINGS_PAUSE) {
			if (is_enough(s, PAUSE_STEPS, enough, arg))
				return POSTINGS_MORE;
			continue;
		}
		const struct pair *x = pair_at(s->p, place);
		const char *value = pair_value(x, &len);
		unsigned steps = value_steps(m, len);
		enum rex_result r = matcher_value(m, value, len);
		if (r == REX_LIMIT)
			return POSTINGS_FAILED;
		if ((r == REX_YES) != m->matches_empty)
			steps += set_add(s, x);
		if (is_enough(s, steps, enough, arg))
			return POSTINGS_MORE;
	}
	set_done(s);
	return POSTINGS_DONE;
}

/* Does the matcher at work hold for the labels of an id? A series that left memory: no. */
static enum rex_result test_id(const struct postings_select *s, uint32_t id, unsigned *steps)
{
	struct labels ls;
	uint32_t len = 0;
	if (!s->labels->get(s->labels->arg, id, &ls))
		return REX_NO;
	const char *v = label_get(ls, s->m->name, s->m->name_len, &len);
	*steps = value_steps(s->m, len);
	return matcher_value(s->m, v ? v : "", v ? len : 0);
}

/* The ids that are left, by their labels, until it is enough. */
static enum postings_state test_ids(struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	uint32_t ids[TEST_AT_ONCE];
	for (;;) {
		size_t n = s->test_id > UINT32_MAX
		    ? 0
		    : postings_bitmap_from(s->result, (uint32_t)s->test_id, ids, TEST_AT_ONCE);
		for (size_t i = 0; i < n; i++) {
			unsigned steps = TEST_FACTOR;
			enum rex_result r = test_id(s, ids[i], &steps);
			if (r == REX_LIMIT)
				return POSTINGS_FAILED;
			if (r == REX_NO)
				roaring_bitmap_remove(s->result, ids[i]);
			s->test_id = (uint64_t)ids[i] + 1;
			if (is_enough(s, steps, enough, arg))
				return POSTINGS_MORE;
		}
		if (n)
			continue;
		matcher_done(s);
		return POSTINGS_DONE;
	}
}

/* ---- all matchers, one after the other ---- */

/* Those that narrow and cost nothing come first; of single values the one with the fewest ids. */
static uint64_t rank_of(const struct postings *p, const struct matcher *m)
{
	uint64_t rank = (matcher_is_direct(m) ? 0u : 2u) + m->matches_empty;
	if (m->type != MATCHER_EQ || !m->value_len)
		return rank << 32 | UINT32_MAX;
	const struct pair *x = postings_pair(p, m->name, m->name_len, m->value, m->value_len);
	return rank << 32 | (x ? pair_count(x) : 0);
}

struct ranked {
	uint64_t rank;
	size_t i;
};

static int ranked_cmp(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	int d = (x->rank > y->rank) - (x->rank < y->rank);
	return d ? d : (x->i > y->i) - (x->i < y->i);
}

/* The ids of the one value that a matcher names; NULL for other matchers. *none: nobody has it. */
static const struct pair *named_pair(const struct postings *p, const struct matcher *m, bool *none)
{
	if (m->type != MATCHER_EQ || m->matches_empty)
		return NULL;
	const struct pair *x = postings_pair(p, m->name, m->name_len, m->value, m->value_len);
	*none |= !x;
	return x;
}

/* Those of the ids that have the pair, too; ascending. Returns how many. */
static size_t ids_stay(const struct pair *x, uint32_t *ids, size_t count)
{
	enum ids_kind kind = (enum ids_kind)x->kind;
	uint32_t have[IDS_SOME_MAX], n = kind == IDS_MANY ? 0 : ids_read(&x->ids, kind, have), at = 0;
	size_t stay = 0;

	for (size_t k = 0; k < count; k++) {
		while (at < n && have[at] < ids[k])
			at++;
		bool in = kind == IDS_MANY ? ids_has(&x->ids, kind, ids[k])
		                           : at < n && have[at] == ids[k];
		uint32_t id = ids[k];
		ids[stay] = id;
		stay += in;
	}
	return stay;
}

bool postings_select_none(const struct postings *p, const struct matcher *ms, size_t count)
{
	const struct pair *named[NONE_MATCHERS], *least = NULL;
	uint32_t ids[NONE_IDS];
	size_t n = 0, left = 0;
	bool none = false;

	for (size_t i = 0; i < count && n < NONE_MATCHERS && !none; i++) {
		const struct pair *x = named_pair(p, &ms[i], &none);
		if (!x)
			continue;
		named[n++] = x;
		if (!least || pair_count(x) < pair_count(least))
			least = x;
	}
	if (none || !least || pair_count(least) > NONE_IDS)
		return none;
	left = ids_from(&least->ids, (enum ids_kind)least->kind, 0, ids, NONE_IDS);
	for (size_t i = 0; i < n; i++)
		if (named[i] != least)
			left = ids_stay(named[i], ids, left);
	return !left;
}

struct postings_select *postings_select_begin(const struct postings *p, const struct matcher *ms,
    size_t count, const struct postings_labels *labels)
{
	struct postings_select *s = mem_zalloc(sizeof(*s));
	struct ranked *ranked = mem_array(NULL, count + 1, sizeof(*ranked));

	*s = (struct postings_select){ .p = p, .ms = ms, .count = count, .labels = labels };
	s->order = mem_array(NULL, count + 1, sizeof(*s->order));
	for (size_t i = 0; i < count; i++)
		ranked[i] = (struct ranked){ .rank = rank_of(p, &ms[i]), .i = i };
	if (count)
		qsort(ranked, count, sizeof(*ranked), ranked_cmp);
	for (size_t i = 0; i < count; i++)
		s->order[i] = ranked[i].i;
	mem_free(ranked);
	return s;
}

/* The values or words that the matcher at work would look at, and how it would. */
static uint32_t way_cost(const struct postings *p, const struct matcher *m, enum select_way *way)
{
	const struct pname *n = postings_name_find(p, m->name, m->name_len);
	bool direct = matcher_is_direct(m);
	uint32_t values = n ? postings_next_count(n, m) : 0;
	*way = direct && !m->rex ? WAY_ONE : WAY_WALK;
	if (*way == WAY_ONE)
		return 1;
	/* More words than values: each value is looked up among the words. */
	if (!direct || rex_literals(m->rex) > values)
		return values;
	*way = WAY_WORDS;
	return (uint32_t)rex_literals(m->rex);
}

/*
 * What the values that a walk gathers have, as far as its expression tells. Those that it does not
 * hold for tell nothing.
 */
static uint32_t need_of(const struct matcher *m)
{
	size_t len = 0;
	bool of_matches = m->rex && (m->type == MATCHER_RE) != m->matches_empty;
	const char *needed = of_matches ? rex_needed(m->rex, &len) : NULL;
	return len ? postings_sign(needed, len) : 0;
}

/* The next matcher is taken up; false: none is left. */
static bool matcher_begin(struct postings_select *s)
{
	if (s->over == s->count || (s->result && roaring_bitmap_is_empty(s->result)))
		return false;
	s->m = &s->ms[s->order[s->over]];
	uint32_t cost = way_cost(s->p, s->m, &s->way);
	if (s->labels && s->result && s->way != WAY_ONE &&
	    roaring_bitmap_get_cardinality(s->result) * TEST_FACTOR < cost)
		s->way = WAY_TEST;
	s->literal = 0;
	s->test_id = 0;
	s->cursor = (struct postings_cursor){ .need = need_of(s->m) };
	if (s->way == WAY_WORDS || s->way == WAY_WALK)
		s->set = postings_bitmap();
	return true;
}

static enum postings_state matcher_step(
    struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	switch (s->way) {
	case WAY_NONE:
		break;
	case WAY_ONE:
		return look_up(s);
	case WAY_WORDS:
		return look_up_words(s, enough, arg);
	case WAY_WALK:
		return walk_values(s, enough, arg);
	case WAY_TEST:
		return test_ids(s, enough, arg);
	}
	panic("a matcher that was not taken up");
}

enum postings_state postings_select_step(
    struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	for (;;) {
		if (s->way == WAY_NONE && !matcher_begin(s))
			return POSTINGS_DONE;
		enum postings_state st = matcher_step(s, enough, arg);
		if (st != POSTINGS_DONE)
			return st;
		/* Between matchers, too: each may be a large set. */
		if (s->over < s->count && enough && enough(arg))
			return POSTINGS_MORE;
	}
}

uint64_t postings_select_steps(const struct postings_select *s)
{
	return s->steps;
}

roaring_bitmap_t *postings_select_take(struct postings_select *s)
{
	roaring_bitmap_t *r = result_of(s);
	s->result = NULL;
	return r;
}

void postings_select_end(struct postings_select *s)
{
	if (!s)
		return;
	if (s->result)
		roaring_bitmap_free(s->result);
	if (s->set)
		roaring_bitmap_free(s->set);
	mem_free(s->order);
	mem_free(s);
}

size_t postings_bitmap_from(const roaring_bitmap_t *b, uint32_t from, uint32_t *ids, size_t max)
{
	roaring_uint32_iterator_t it;
	roaring_init_iterator(b, &it);
	if (!roaring_move_uint32_iterator_equalorlarger(&it, from))
		return 0;
	return roaring_read_uint32_iterator(&it, ids, max > UINT32_MAX ? UINT32_MAX : (uint32_t)max);
}
