#include "storage/block/bselect.h"

#include "core/base/mem.h"

#include <stdlib.h>

struct set {
	uint32_t *ids;
	size_t count, cap;
};

static void set_add(struct set *s, const struct bindex_ids *l)
{
	if (s->count + l->count > s->cap) {
		s->cap = s->count + l->count;
		s->cap += s->cap / 2;
		s->ids = mem_array(s->ids, s->cap, sizeof(*s->ids));
	}
	for (uint32_t i = 0; i < l->count; i++)
		s->ids[s->count++] = bindex_id(l, i);
}

static int ids_cmp(const void *a, const void *b)
{
	uint32_t x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* Lists of several values one behind the other: an id is in one of them, unless they lie. */
static void set_order(struct set *s)
{
	size_t i = 1, n = 1;
	while (i < s->count && s->ids[i - 1] < s->ids[i])
		i++;
	if (i >= s->count)
		return;
	qsort(s->ids, s->count, sizeof(*s->ids), ids_cmp);
	for (i = 1; i < s->count; i++)
		if (s->ids[i] != s->ids[n - 1])
			s->ids[n++] = s->ids[i];
	s->count = n;
}

static void set_meet(struct set *a, const struct set *b)
{
	size_t n = 0;
	for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
		if (a->ids[i] == b->ids[k]) {
			a->ids[n++] = a->ids[i++];
			k++;
		} else if (a->ids[i] < b->ids[k]) {
			i++;
		} else {
			k++;
		}
	}
	a->count = n;
}

struct joining {
	struct bindex *x;
	const struct matcher *m;
	struct set set;
	bool limit;
};

static enum err value(void *arg, struct bindex_text v, uint64_t offset)
{
	struct joining *j = arg;
	struct bindex_ids l;
	enum rex_result r = matcher_value(j->m, v.s, v.len);
	if (r == REX_NO)
		return ERR_OK;
	if (r != REX_YES) {
		j->limit = true;
		return ERR_BADDATA;
	}
	enum err e = bindex_ids_at(j->x, offset, &l);
	if (!e && j->set.count + l.count > bindex_series_most(j->x))
		e = ERR_DAMAGED; /* a series would have several values */
	if (!e)
		set_add(&j->set, &l);
	return e;
}

static enum err look_up(struct joining *j)
{
	const struct matcher *m = j->m;
	struct bindex_ids l;
	if (m->type != MATCHER_EQ) {
		enum err e = bindex_values(j->x, m->name, m->name_len, value, j);
		set_order(&j->set);
		return e;
	}
	enum err e = bindex_ids(j->x, m->name, m->name_len, m->value, m->value_len, &l);
	if (!e)
		set_add(&j->set, &l);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err all(struct bindex *x, struct bselect *out)
{
	enum err e = bindex_ids(x, "", 0, "", 0, &out->all);
	out->all_damaged = e != ERR_OK;
	out->count = e ? 0 : out->all.count;
	return ERR_OK;
}

enum err bselect_make(struct bindex *x, const struct matcher *matchers, size_t count,
    struct bselect *out, struct errbuf *eb)
{
	struct set met = { 0 };
	bool any = false;
	*out = (struct bselect){ 0 };
	for (size_t i = 0; i < count; i++) {
		struct joining j = { .x = x, .m = &matchers[i] };
		if (matchers[i].matches_empty)
			continue;
		enum err e = look_up(&j);
		if (e) {
			mem_free(j.set.ids);
			mem_free(met.ids);
			return errbuf_set(eb, e,
			    j.limit ? "a pattern for %.*s takes too long"
			            : "index: the series of a value of %.*s are damaged",
			    (int)matchers[i].name_len, matchers[i].name);
		}
		if (any) {
			set_meet(&met, &j.set);
			mem_free(j.set.ids);
		} else {
			met = j.set;
		}
		any = true;
	}
	if (!any)
		return all(x, out);
	out->ids = met.ids ? met.ids : mem_alloc(sizeof(*met.ids));
	out->count = met.count;
	return ERR_OK;
}

void bselect_release(struct bselect *s)
{
	mem_free(s->ids);
	*s = (struct bselect){ 0 };
}

uint32_t bselect_id(const struct bselect *s, size_t i)
{
	return s->ids ? s->ids[i] : bindex_id(&s->all, (uint32_t)i);
}

size_t bselect_after(const struct bselect *s, uint32_t ref)
{
	size_t lo = 0, hi = s->count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (bselect_id(s, mid) <= ref)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
