#include "core/promql/run/ql_best.h"

#include <math.h>
#include <string.h>
#ifdef __SSE2__
# include <emmintrin.h>
#endif

#define TEXT_BLOCK  4096
#define ROWS_FIRST  4
#define MEMBER_COST 256 /* values that take as long as a new member */
#define LABELS_COST 64  /* as comparing two label sets */

void ql_best_init(struct ql_best *s, const struct ql_reduce *spec, uint32_t n, struct arena *a)
{
	*s = (struct ql_best){ .spec = spec, .arena = a, .n = n, .k = spec->k, .free = QL_BEST_NONE };
	ql_tab_init(&s->tab, a);
	buf_init(&s->scratch);
	arena_init(&s->text, TEXT_BLOCK);
}

void ql_best_release(struct ql_best *s)
{
	buf_release(&s->scratch);
	arena_release(&s->text);
}

static bool by_labels_alone(const struct ql_best *s)
{
	return s->spec->op == QL_LIMITK;
}

/* --- members --- */

static struct ql_best_member *member_at(const struct ql_best *s, uint32_t id)
{
	return &s->pages[id / QL_BEST_PAGE][id % QL_BEST_PAGE];
}

/* Room in the list of pages for so many more. */
static void pages_reserve(struct ql_best *s, uint32_t more)
{
	uint32_t cap = s->pages_cap ? s->pages_cap : 8;

	if (s->pages_count + more <= s->pages_cap)
		return;
	while (cap < s->pages_count + more)
		cap *= 2;
	struct ql_best_member **pages = arena_array(s->arena, cap, sizeof(*s->pages));
	if (s->pages_count)
		memcpy(pages, s->pages, s->pages_count * sizeof(*pages));
	s->pages = pages;
	s->pages_cap = cap;
}

static uint32_t member_place(struct ql_best *s)
{
	uint32_t id = s->free;

	if (id != QL_BEST_NONE) {
		s->free = member_at(s, id)->next;
		return id;
	}
	if (s->members == s->pages_count * QL_BEST_PAGE) {
		pages_reserve(s, 1);
		s->pages[s->pages_count++] =
		    arena_zalloc(s->arena, QL_BEST_PAGE * sizeof(struct ql_best_member));
	}
	return s->members++;
}

static struct labels labels_of(struct ql_best *s, const struct ql_col *col)
{
	unsigned dropped;

	if (!s->labels_known) {
		s->labels_known = true;
		s->ls = col->ls;
		if (s->spec->drops_name) {
			arena_reset(&s->text, TEXT_BLOCK);
			s->ls = ql_labels_drop(&s->text, col->ls, &dropped);
			s->may_collide |= dropped > 1;
		}
	}
	return s->ls;
}

/* The series at hand is one from now on. */
static void member_make(struct ql_best *s, const struct ql_col *col)
{
	struct labels ls = labels_of(s, col);
	struct ql_best_member *m;
	s->id = member_place(s);
	m = member_at(s, s->id);
	uint8_t *bytes = (uint8_t *)(uintptr_t)m->ls.bytes;

	if (m->ls_room < ls.len) {
		bytes = arena_alloc(s->arena, ls.len);
		m->ls_room = ls.len;
	}
	if (ls.len)
		memcpy(bytes, ls.bytes, ls.len);
	*m = (struct ql_best_member){
		.ls = { .bytes = bytes, .len = ls.len },
		.ls_room = m->ls_room,
		.serial = s->series,
		.drop_name = col->drop_name,
	};
	s->work += MEMBER_COST;
}

static void member_take(struct ql_best *s, uint32_t id, uint32_t lists)
{
	struct ql_best_member *m = member_at(s, id);
	m->refs += lists;
}

/* From so many lists. */
static void member_drop(struct ql_best *s, uint32_t id, uint32_t lists)
{
	struct ql_best_member *m = member_at(s, id);

	if (m->refs -= lists)
		return;
	m->next = s->free;
	s->free = id;
}

/* --- order --- */

static int cmp_keys(double a, double b)
{
	if (a > b || a < b)
		return a > b ? -1 : 1;
	return (int)isnan(a) - (int)isnan(b);
}

/* By which a comparison of labels is remembered; places of members are used again on shards. */
static uint32_t serial_of(const struct ql_best *s, uint32_t id)
{
	return s->merged ? id : member_at(s, id)->serial;
}

/* Do labels, those of serial who, come before those of a member? Asked again and again. */
static bool labels_before(struct ql_best *s, struct labels ls, uint32_t who, uint32_t rival)
{
	uint32_t serial = serial_of(s, rival);
	struct ql_best_known *k = &s->known[(who * 31 + serial) % QL_BEST_KNOWN];

	if (k->who != who || k->rival != serial) {
		bool loses = label_cmp(ls, member_at(s, rival)->ls) < 0;
		*k = (struct ql_best_known){ who, serial, loses };
		s->work += LABELS_COST;
	}
	return k->loses;
}

/* Does the series at hand come before a member? */
static inline bool beats(
    struct ql_best *s, const struct ql_col *col, double key, double rival_key, uint32_t rival)
{
	int c = by_labels_alone(s) ? 0 : cmp_keys(key, rival_key);
	return c ? c < 0 : labels_before(s, labels_of(s, col), s->who, rival);
}

/* --- blocks --- */

static double value_of(const struct ql_best *s, double key)
{
	return s->spec->op == QL_BOTTOMK ? -key : key;
}

static bool is_full(const struct ql_best *s, const struct ql_best_block *b, uint32_t i)
{
	return b->rows == s->k && b->used[i] == s->k;
}

static void block_start(struct ql_best *s, struct ql_best_block *b)
{
	b->reach = arena_array(s->arena, b->count, sizeof(*b->reach));
	b->used = arena_zalloc(s->arena, b->count * sizeof(*b->used));
	for (uint32_t i = 0; i < b->count; i++)
		b->reach[i] = s->spec->op == QL_BOTTOMK ? INFINITY : -INFINITY;
	b->worst = arena_zalloc(s->arena, b->count * sizeof(*b->worst));
}

/* One more row. */
static enum err block_grow(
    struct ql_best *s, struct ql_best_block *b, struct ql_budget *budget, struct errbuf *eb)
{
	enum err e = ql_charge(budget, b->count, eb);

	if (e)
		return e;
	if (!b->rows)
		block_start(s, b);
	if (b->rows == b->rows_cap) {
		uint32_t cap = b->rows ? b->rows * 2 : ROWS_FIRST;
		struct ql_best_row *row;
		cap = cap < s->k ? cap : s->k;
		row = arena_array(s->arena, cap, sizeof(*row));
		if (b->rows)
			memcpy(row, b->row, b->rows * sizeof(*row));
		b->row = row;
		b->rows_cap = cap;
	}
	b->row[b->rows++] = (struct ql_best_row){
		.key = arena_array(s->arena, b->count, sizeof(double)),
		.id = arena_array(s->arena, b->count, sizeof(uint32_t)),
	};
	return ERR_OK;
}

/* By labels, too, where values are equal, or NaN. */
static uint32_t worst_slow(struct ql_best *s, const struct ql_best_block *b, uint32_t i)
{
	uint32_t worst = 0;

	for (uint32_t r = 1; r < s->k; r++) {
		const struct ql_best_row *w = &b->row[worst], *x = &b->row[r];
		int c = by_labels_alone(s) ? 0 : cmp_keys(x->key[i], w->key[i]);
		if (!c)
			c = labels_before(
			    s, member_at(s, w->id[i])->ls, serial_of(s, w->id[i]), x->id[i]);
		worst = c > 0 ? r : worst;
	}
	return worst;
}

/* The worst of a full list. */
static void find_worst(struct ql_best *s, struct ql_best_block *b, uint32_t i)
{
	const struct ql_best_row *row = b->row;
	double least = row[0].key[i];
	bool slow = by_labels_alone(s) || isnan(least);
	uint32_t worst = 0, equal = 0;

	for (uint32_t r = 1; r < s->k; r++) {
		double key = row[r].key[i];
		bool less = key < least;
		slow |= isnan(key);
		equal = less ? 0 : equal + (key == least);
		worst = less ? r : worst;
		least = less ? key : least;
	}
	if (slow || equal)
		worst = worst_slow(s, b, i);
	b->worst[i] = worst;
	b->reach[i] = value_of(s, row[worst].key[i]);
}

/* A member at step i. Is the list full, its worst one goes, which is known to be worse. */
static enum err block_put(struct ql_best *s, struct ql_best_block *b, uint32_t i, double key,
    uint32_t id, struct ql_budget *budget, struct errbuf *eb)
{
	bool full = is_full(s, b, i);
	uint32_t at = full ? b->worst[i] : b->rows ? b->used[i] : 0;
	enum err e = at == b->rows ? block_grow(s, b, budget, eb) : ERR_OK;

	if (e)
		return e;
	if (!full)
		b->used[i]++;
	else if (!s->merging)
		member_drop(s, b->row[at].id[i], 1);
	b->row[at].key[i] = key;
	b->row[at].id[i] = id;
	if (is_full(s, b, i))
		find_worst(s, b, i);
	s->work += full ? s->k : 1;
	return ERR_OK;
}

static const struct ql_best_row *worst_row(const struct ql_best_block *b, uint32_t i)
{
	return &b->row[b->worst[i]];
}

/* --- groups --- */

static struct ql_best_block *group_blocks(const struct ql_best *s, uint32_t group)
{
	return s->groups[group / QL_BEST_PAGE][group % QL_BEST_PAGE];
}

static struct ql_best_block **group_place(struct ql_best *s, uint32_t group)
{
	uint32_t page = group / QL_BEST_PAGE;

	if (page >= s->groups_cap) {
		uint32_t cap = page ? page * 2 : 4;
		struct ql_best_block ***pages = arena_array(s->arena, cap, sizeof(*pages));
		if (page)
			memcpy(pages, s->groups, page * sizeof(*pages));
		s->groups = pages;
		s->groups_cap = cap;
	}
	if (group % QL_BEST_PAGE == 0)
		s->groups[page] = arena_array(s->arena, QL_BEST_PAGE, sizeof(**s->groups));
	return &s->groups[page][group % QL_BEST_PAGE];
}

static void group_make(struct ql_best *s, uint32_t group)
{
	uint32_t words = ql_words(s->n);
	struct ql_best_block *b = arena_zalloc(s->arena, words * sizeof(*b));

	for (uint32_t w = 0; w < words; w++)
		b[w].count = s->n - w * 64 < 64 ? s->n - w * 64 : 64;
	*group_place(s, group) = b;
}

/* --- adding a series --- */

/* Steps where the value is not on the wrong side of what must be reached: NaN never is. */
static uint64_t reaching(const double *v, const double *reach, uint32_t n)
{
	uint64_t bits = 0;
	uint32_t i = 0;

#ifdef __SSE2__
	for (; i + 2 <= n; i += 2) {
		__m128d not = _mm_cmpnlt_pd(_mm_loadu_pd(v + i), _mm_loadu_pd(reach + i));
		bits |= (uint64_t)_mm_movemask_pd(not ) << i;
	}
#endif
	for (; i < n; i++)
		bits |= (uint64_t) !(v[i] < reach[i]) << i;
	return bits;
}

/* Steps of a block where the series may be one of the best. */
static uint64_t block_reached(const struct ql_best *s, const struct ql_best_block *b, const double *v)
{
	if (!b->rows || by_labels_alone(s))
		return ~(uint64_t)0;
	if (s->spec->op == QL_BOTTOMK)
		return reaching(b->reach, v, b->count);
	return reaching(v, b->reach, b->count);
}

/* limitk: the histogram at a step where the series was chosen. */
static enum err keep_hist(struct ql_best *s, const struct ql_col *col, uint32_t step,
    struct ql_budget *budget, struct errbuf *eb)
{
	struct ql_best_member *m = member_at(s, s->id);
	enum err e = ERR_OK;

	if (!m->hists) {
		if ((e = ql_charge(budget, s->n, eb)))
			return e;
		m->hists = arena_zalloc(s->arena, s->n * sizeof(*m->hists));
	}
	const struct hist *h = col->hists->h[step];
	if ((e = ql_room(budget, hist_cost(h) * 8, eb)))
		return e;
	if (!(m->hists[step] = hist_copy(s->arena, h)))
		return errbuf_set(eb, ERR_NOMEM, "no memory for a histogram");
	return ERR_OK;
}

static enum err offer(struct ql_best *s, const struct ql_col *col, struct ql_best_block *b,
    uint32_t step, struct ql_budget *budget, struct errbuf *eb)
{
	uint32_t i = step % 64;
	double v = col->v[step], key = s->spec->op == QL_BOTTOMK ? -v : v;

	if (is_full(s, b, i) && !beats(s, col, key, worst_row(b, i)->key[i], worst_row(b, i)->id[i]))
		return ERR_OK;
	if (s->id == QL_BEST_NONE)
		member_make(s, col);
	member_take(s, s->id, 1);
	enum err e = block_put(s, b, i, key, s->id, budget, eb);
	if (UNLIKELY(col->hists != NULL) && !e && ql_bit(col->hists->has, step))
		e = keep_hist(s, col, step, budget, eb);
	return e;
}

/* How long all lists of a block are; QL_BEST_NONE: they differ. */
static uint32_t lists_len(const struct ql_best_block *b)
{
	uint32_t len = b->rows ? b->used[0] : 0, differ = 0;

	for (uint32_t i = 0; b->rows && i < b->count; i++)
		differ |= b->used[i] ^ len;
	return differ ? QL_BEST_NONE : len;
}

/* The whole block of a column as the next row of lists that are not full. */
static enum err add_row(struct ql_best *s, const struct ql_col *col, struct ql_best_block *b,
    const double *v, uint32_t row, struct ql_budget *budget, struct errbuf *eb)
{
	enum err e = row == b->rows ? block_grow(s, b, budget, eb) : ERR_OK;
	double sign = s->spec->op == QL_BOTTOMK ? -1 : 1;

	if (e)
		return e;
	if (s->id == QL_BEST_NONE)
		member_make(s, col);
	member_take(s, s->id, b->count);
	for (uint32_t i = 0; i < b->count; i++) {
		b->row[row].key[i] = sign * v[i];
		b->row[row].id[i] = s->id;
		b->used[i] = row + 1;
	}
	for (uint32_t i = 0; row + 1 == s->k && i < b->count; i++)
		find_worst(s, b, i);
	return ERR_OK;
}

static uint64_t all_of(const struct ql_best_block *b)
{
	return b->count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << b->count) - 1;
}

/* A word of steps. */
static enum err add_word(struct ql_best *s, const struct ql_col *col, uint32_t w,
    struct ql_budget *budget, struct errbuf *eb)
{
	struct ql_best_block *b = &group_blocks(s, s->group)[w];
	uint64_t has = by_labels_alone(s) ? ql_col_word(col, w) : col->has[w];
	const double *v = col->v + (size_t)w * 64;
	enum err e = ERR_OK;
	uint32_t len;

	if (has == all_of(b) && b->rows < s->k && col->hists == NULL &&
	    (len = lists_len(b)) != QL_BEST_NONE)
		return add_row(s, col, b, v, len, budget, eb);
	if (has)
		has &= block_reached(s, b, v);
	for (; has && !e; has &= has - 1)
		e = offer(s, col, b, w * 64 + (uint32_t)__builtin_ctzll(has), budget, eb);
	return e;
}

static void add_begin(struct ql_best *s, const struct ql_col *col)
{
	bool fresh;

	s->group = ql_aggr_group_of(
	    &s->tab, &s->spec->names, s->spec->without, col->ls, &s->scratch, &fresh);
	if (fresh)
		group_make(s, s->group);
	s->step = 0;
	s->id = QL_BEST_NONE;
	s->who = ++s->series;
	if (UNLIKELY(col->hists != NULL) && !by_labels_alone(s) && ql_bits_any(col->hists->has, s->n))
		ql_notes_left_out(s->notes, s->spec->pos, ql_agg_text(s->spec->op));
}

enum err ql_best_add(
    struct ql_best *s, const struct ql_col *col, bool *more, struct ql_budget *b, struct errbuf *eb)
{
	enum err e = ERR_OK;

	if (!s->busy)
		add_begin(s, col);
	s->work = 0;
	s->labels_known = false; /* they may have moved since the last slice */
	uint32_t end = s->step + (s->n - s->step < QL_BEST_PART ? s->n - s->step : QL_BEST_PART);
	for (uint32_t w = s->step / 64; w < ql_words(end) && !e; w++)
		e = add_word(s, col, w, b, eb);
	s->step = end;
	*more = s->busy = !e && end < s->n;
	return e;
}

/* --- merging --- */

/* The members of another one are s's from now on, under other numbers. */
static void members_adopt(struct ql_best *s, const struct ql_best *from)
{
	pages_reserve(s, from->pages_count);
	s->base = s->pages_count * QL_BEST_PAGE;
	for (uint32_t i = 0; i < from->pages_count; i++)
		s->pages[s->pages_count++] = from->pages[i];
	s->members = s->base + from->members;
	s->may_collide |= from->may_collide;
	s->free = QL_BEST_NONE;
}

/* The lists of another one are s's; the work. */
static uint64_t block_adopt(struct ql_best *s, struct ql_best_block *b)
{
	for (uint32_t r = 0; r < b->rows; r++)
		for (uint32_t i = 0; i < b->count; i++)
			b->row[r].id[i] += s->base;
	return (uint64_t)b->rows * b->count / 4;
}

static uint64_t used_beyond(const struct ql_best_block *b, uint32_t row)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < b->count; i++)
		bits |= (uint64_t)(b->used[i] > row) << i;
	return bits;
}

static enum err merge_item(struct ql_best *s, struct ql_best_block *to,
    const struct ql_best_row *from, uint32_t i, struct ql_budget *budget, struct errbuf *eb)
{
	uint32_t id = from->id[i] + s->base;

	s->ls = member_at(s, id)->ls;
	s->labels_known = true;
	s->who = id;
	if (is_full(s, to, i) &&
	    !beats(s, NULL, from->key[i], worst_row(to, i)->key[i], worst_row(to, i)->id[i]))
		return ERR_OK;
	return block_put(s, to, i, from->key[i], id, budget, eb);
}

/* Row by row of another one. Keys are compared with what must be reached, which is a value. */
static enum err block_merge(struct ql_best *s, struct ql_best_block *to,
    const struct ql_best_block *from, struct ql_budget *budget, struct errbuf *eb)
{
	double v[64];
	enum err e = ERR_OK;

	for (uint32_t r = 0; r < from->rows && !e; r++) {
		const struct ql_best_row *row = &from->row[r];
		uint64_t has = used_beyond(from, r);
		for (uint32_t i = 0; i < from->count; i++)
			v[i] = value_of(s, has >> i & 1 ? row->key[i] : 0);
		for (has &= block_reached(s, to, v); has && !e; has &= has - 1)
			e = merge_item(s, to, row, (uint32_t)__builtin_ctzll(has), budget, eb);
		s->work += 64;
	}
	return e;
}

static void merge_group(struct ql_best *s, const struct ql_best *from)
{
	const struct ql_tab_key *key = ql_tab_key(&from->tab, s->from_group);

	s->at_group = ql_tab_add(&s->tab, key->ls, key->hash, false, &s->fresh);
	if (s->fresh)
		*group_place(s, s->at_group) = group_blocks(from, s->from_group);
}

/* One block; its work. */
static enum err merge_block(struct ql_best *s, const struct ql_best *from, uint64_t *work,
    struct ql_budget *b, struct errbuf *eb)
{
	struct ql_best_block *mine = &group_blocks(s, s->at_group)[s->block];
	struct ql_best_block *other = &group_blocks(from, s->from_group)[s->block];
	enum err e = ERR_OK;

	*work += 16;
	if (s->fresh) {
		*work += block_adopt(s, mine);
	} else if (other->rows && !mine->rows) {
		*mine = *other;
		*work += block_adopt(s, mine);
	} else if (other->rows) {
		s->work = 0;
		e = block_merge(s, mine, other, b, eb);
		*work += s->work + 64;
	}
	return e;
}

enum err ql_best_merge(
    struct ql_best *s, struct ql_best *from, bool *more, struct ql_budget *b, struct errbuf *eb)
{
	uint64_t work = 0;
	enum err e = ERR_OK;

	if (!s->merging) {
		members_adopt(s, from);
		if (!s->merged)
			memset(s->known, 0xff, sizeof(s->known));
		s->merging = s->merged = true;
		s->from_group = s->block = 0;
	}
	while (s->from_group < from->tab.count && !e && work < QL_AGGR_PART) {
		if (!s->block)
			merge_group(s, from);
		e = merge_block(s, from, &work, b, eb);
		if (++s->block == ql_words(s->n)) {
			s->block = 0;
			s->from_group++;
		}
	}
	*more = s->merging = !e && s->from_group < from->tab.count;
	return e;
}

/* --- the result --- */

static bool column_make(struct ql_run *x, struct ql_best *s, uint32_t id)
{
	const struct ql_best_member *m = member_at(s, id);

	if (m->hists && (x->err = ql_charge(&x->budget, s->n, x->eb)))
		return false;
	struct ql_col *c = ql_run_col(x, &s->cols, m->ls, s->n);
	if (!c)
		return false;
	c->drop_name = m->drop_name;
	if (m->hists)
		ql_col_hists(x->arena, c, s->n);
	s->column[id] = s->cols.count;
	if (s->n == 1)
		s->group_of[s->cols.count - 1] = s->from_group;
	return true;
}

static void put_value(struct ql_best *s, uint32_t step, double key, uint32_t id)
{
	struct ql_col *c = &s->cols.cols[s->column[id] - 1];
	const struct hist **hists = member_at(s, id)->hists;

	if (UNLIKELY(hists != NULL) && hists[step]) {
		c->hists->h[step] = hists[step];
		ql_bit_on(c->hists->has, step);
		return;
	}
	c->v[step] = value_of(s, key);
	ql_bit_on(c->has, step);
}

/* A row of a block; false: x->err. Series get columns when they are met first. */
static bool finish_row(struct ql_run *x, struct ql_best *s, const struct ql_best_block *b)
{
	const struct ql_best_row *row = &b->row[s->pos];
	uint64_t made = 0;

	for (uint64_t m = used_beyond(b, s->pos); m; m &= m - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(m), id = row->id[i];
		if (!s->column[id]) {
			if (!column_make(x, s, id))
				return false;
			made++;
		}
		put_value(s, s->block * 64 + i, row->key[i], id);
	}
	s->work = 4 * (uint64_t)b->count + made * (32 + s->n / 4);
	return true;
}

static enum ql_did finish_values(struct ql_run *x, struct ql_best *s)
{
	if (!s->column) {
		uint64_t room = (uint64_t)s->members * sizeof(*s->column) * 2;
		if ((x->err = ql_room(&x->budget, room, x->eb)))
			return QL_FAILED;
		s->column = arena_zalloc(x->arena, room + 1);
		s->from_group = s->block = 0;
		if (s->n == 1)
			s->group_of = arena_array(x->arena, (size_t)s->members + 1, sizeof(uint32_t));
	}
	while (s->from_group < s->tab.count) {
		const struct ql_best_block *b = &group_blocks(s, s->from_group)[s->block];
		if (s->pos < b->rows) {
			if (!finish_row(x, s, b))
				return QL_FAILED;
			s->pos++;
		} else {
			s->work = 0;
			s->pos = 0;
			s->from_group += ++s->block == ql_words(s->n);
			s->block = s->block == ql_words(s->n) ? 0 : s->block;
		}
		if (ql_tick(x, s->work))
			return QL_AGAIN;
	}
	s->phase = QL_BEST_SORT;
	return QL_DONE;
}

/* An instant vector: groups by their labels, in each the best first. */
static int cmp_chosen(const void *arg, uint32_t a, uint32_t b)
{
	const struct ql_best *s = arg;
	const struct ql_col *ca = &s->cols.cols[a], *cb = &s->cols.cols[b];
	uint32_t ga = s->group_of[a], gb = s->group_of[b];
	double sign = s->spec->op == QL_BOTTOMK ? -1 : 1;

	if (ga != gb)
		return label_cmp(ql_tab_key(&s->tab, ga)->ls, ql_tab_key(&s->tab, gb)->ls);
	int c = by_labels_alone(s) ? 0 : cmp_keys(sign * ca->v[0], sign * cb->v[0]);
	return c ? c : label_cmp(ca->ls, cb->ls);
}

static enum ql_did finish_sort(struct ql_run *x, struct ql_best *s)
{
	if (!s->sorter.idx) {
		uint64_t room = (uint64_t)s->cols.count * 2 * sizeof(uint32_t);
		if ((x->err = ql_room(&x->budget, room, x->eb)))
			return QL_FAILED;
		ql_sorter_init(&s->sorter, x->arena, s->cols.count, cmp_chosen, s);
	}
	if (!ql_sorter_run(&s->sorter, x))
		return QL_AGAIN;
	s->phase = QL_BEST_MOVE;
	s->pos = 0;
	return QL_DONE;
}

enum ql_did ql_best_finish(struct ql_run *x, struct ql_best *s, struct ql_vec *out)
{
	enum ql_did did = QL_DONE;

	if (s->phase == QL_BEST_VALUES)
		did = finish_values(x, s);
	if (did)
		return did;
	if (s->n > 1) {
		*out = s->cols;
		return QL_DONE;
	}
	if (s->phase == QL_BEST_SORT && (did = finish_sort(x, s)))
		return did;
	if (!ql_run_reserve(x, out, s->cols.count))
		return QL_FAILED;
	while (s->pos < s->cols.count) {
		*ql_vec_add(x->arena, out) = s->cols.cols[s->sorter.idx[s->pos++]];
		if (ql_tick(x, 16))
			return QL_AGAIN;
	}
	return QL_DONE;
}

size_t ql_best_bytes(const struct ql_best *s)
{
	size_t sum = (size_t)s->tab.count * ql_words(s->n) * sizeof(struct ql_best_block);

	for (uint32_t g = 0; g < s->tab.count; g++)
		for (uint32_t w = 0; w < ql_words(s->n); w++) {
			const struct ql_best_block *b = &group_blocks(s, g)[w];
			sum += (size_t)b->count * b->rows * 12;
		}
	return sum + (size_t)s->members * sizeof(struct ql_best_member);
}
