#include "storage/read/searchread.h"

#include <string.h>

#include "core/base/arena.h"
#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/rt/epoch.h"
#include "storage/meta/postings_priv.h"
#include "storage/read/chosen.h"
#include "storage/read/idchain.h"
#include "storage/read/select.h"
#include "storage/read/termsigns.h"
#include "storage/read/unitread.h"

#define CHOOSE_NS     200000u /* of one step of choosing */
#define IDS_AT_ONCE   64u
#define SERIES_AHEAD  8u
#define LABELS_AHEAD  3u
#define SCORE_BELOW_1 0.99999999 /* of what begins with no term: nothing comes between */

/* In units of work (5 ns). */
#define WORK_VALUE     6u
#define WORK_LACKS     3u  /* one of many that mostly lack what is needed */
#define WORK_PASSED    24u /* one whose text is read, and that is all: mostly out of cache */
#define WORK_ID        4u
#define WORK_SERIES    60u
#define WORK_LABEL     4u
#define WORK_PUT       40u
#define WORK_NAME      60u                 /* one that is found soon */
#define WORK_ENGINE    (UNITREAD_WORK / 2) /* an expression may take half a millisecond */
#define NARROW         8u                  /* a walk over one of so many values chooses well */
#define TOO_MANY_STEPS "a label expression needs too many steps to match"

enum search_state {
	SEARCH_CHOOSES,
	SEARCH_BEGINS, /* the list of files is taken, and the way chosen */
	SEARCH_VALUES,
	SEARCH_NAMES,
	SEARCH_SERIES,
	SEARCH_LOADS, /* directories of files come */
	SEARCH_LOOKS, /* a worker asks the catalog */
	SEARCH_PLAIN,
	SEARCH_GIVES,
	SEARCH_FAILED
};

/* The values of a name, those with a prefix first; and the one whose series are looked at. */
struct value_walk {
	struct postings_cursor at;
	uint32_t bag;    /* serial of the one that was met last */
	size_t prefix;   /* of the terms; those behind them: all values */
	bool ended;      /* of this prefix */
	bool in_value;   /* its ids are looked at, from `from` on */
	struct buf text; /* of it */
	double score;
	roaring_bitmap_t *ids; /* of it, those chosen */
	uint64_t from;
};

struct search {
	struct source_cursor base;
	struct shard *shard;
	const struct source_query *query;
	const struct source_find *find;
	enum search_state state, after_loading;
	struct epoch closed; /* not 0: it is; the worker looks, too */
	bool left;           /* a series of the tenant left memory */
	bool maybe; /* only reading tells of a series whether it has samples in the range */
	struct shard_reader reader;
	struct postings_select *choosing;
	struct postings_labels labels_of;
	struct chosen chosen; /* all: everything was, when it was made */
	uint64_t chosen_bytes;
	bool all;
	struct pick own, *pick; /* query->found, if there is one, else own; of the worker: own */
	double floor;           /* what is below is of no use, whatever own says */
	struct fuzzy_scratch scratch;
	uint32_t need; /* what a text must have to fit (postings_sign) */
	struct termsigns signs[TERMSIGNS_MAX];
	size_t signs_count; /* 0: what a text lacks tells nothing of its score */
	size_t prefixes;    /* so many beginnings are walked before all: of what may score 1 */
	bool dear;          /* a look at a value, which comes on many shards: pick_is_over */
	uint64_t hash;      /* of the value looked at, where that is dear */
	struct unitread units;
	struct value_walk walk;
	/* names */
	size_t names_left;
	uint64_t names_work; /* left, before the series are looked at instead */
	bool in_name;        /* its values are looked at, until one has a series */
	struct buf name;
	double name_score;
	uint64_t series_from;
	/* the catalog, on a worker */
	struct work_task task;
	struct arena arena;
	struct matcher *matchers; /* copies: the query may be gone while the worker looks */
	size_t matchers_count;
	size_t choosers; /* the first so many choose series; the others are of the text itself */
	struct source_query copy;
	struct fuzzy fuzzy;
	struct tombs *tombs;
	roaring_bitmap_t *without;
	uint64_t epoch;
	enum err err;
	struct errbuf eb;
	/* plain */
	struct source_query plain_query;
	struct source_cursor *plain;
	struct pick_item *given;
};

static uint32_t tenant_of(const struct search *s)
{
	return s->copy.tenants_count ? s->copy.tenants[0] : 0;
}

/* ---- what is wanted ---- */

/* Not on a worker: cursors of this loop share it. */
static void pick_here(struct search *s)
{
	s->pick = s->query->found ? s->query->found : &s->own;
	s->floor = 0;
}

static bool wanted(struct search *s, const char *text, size_t len, double *score)
{
	double least = pick_least(s->pick);
	least = least > s->floor ? least : s->floor;
	return fuzzy_score_least(&s->fuzzy, &s->scratch, text, len, least, score) &&
	    pick_wants(s->pick, text, len, *score);
}

/* Those that are of the text. One whose expression takes too many steps ends the search. */
static bool matchers_hold(struct search *s, const char *text, size_t len)
{
	enum rex_result r = REX_YES;
	for (size_t i = s->choosers; i < s->matchers_count && r == REX_YES; i++) {
		const struct matcher *m = &s->matchers[i];
		bool engine = m->rex && rex_kind(m->rex) == REX_PCRE;
		s->units.work += engine ? WORK_ENGINE : WORK_VALUE;
		r = matcher_value(m, text, len);
	}
	if (r == REX_LIMIT)
		s->err = errbuf_set(&s->eb, ERR_EXECUTION, TOO_MANY_STEPS);
	return r == REX_YES;
}

/* The same on the loop, where work counts. */
static bool wanted_here(struct search *s, const char *text, size_t len, double *score)
{
	s->scratch.work = WORK_VALUE;
	bool yes = wanted(s, text, len, score);
	s->units.work += (unsigned)s->scratch.work;
	return yes && matchers_hold(s, text, len);
}

static void put(struct search *s, const char *text, size_t len, double score)
{
	s->units.work += WORK_PUT;
	pick_put(s->pick, text, len, score);
}

/* Of values: cursors of this loop look at each but once. */
static bool wanted_once(struct search *s, const char *text, size_t len, double *score)
{
	s->hash = s->dear ? pick_hash(s->pick, text, len) : 0;
	if (s->dear && pick_is_over(s->pick, s->hash)) {
		s->units.work += WORK_PASSED;
		return false;
	}
	bool yes = wanted_here(s, text, len, score);
	if (s->dear && !yes)
		pick_over(s->pick, s->hash);
	return yes;
}

static void put_once(struct search *s, const char *text, size_t len, double score)
{
	put(s, text, len, score);
	if (s->dear)
		pick_over(s->pick, s->hash);
}

/* ---- series in memory ---- */

static bool has_samples(struct search *s, const struct series *x)
{
	int64_t t_min, t_max;
	s->units.work += WORK_SERIES / 2;
	if (x->t_newest_ms >= s->copy.t_min_ms && series_bounds(x, &t_min, &t_max) &&
	    t_min <= s->copy.t_max_ms && t_max >= s->copy.t_min_ms)
		return true;
	enum unitread_has has = unitread_has(&s->units, x->id);
	s->maybe |= has == UNITREAD_HAS_MAYBE;
	return has == UNITREAD_HAS_SOME;
}

/* A chosen id: is it a series that counts? */
static bool id_counts(struct search *s, uint32_t id)
{
	const struct series *x = head_by_id(&s->shard->head, id);
	return x && x->tenant == tenant_of(s) && has_samples(s, x);
}

/* What came behind the choice is not: it was not asked whether the matchers hold for it. */
static bool is_chosen(const struct search *s, uint32_t id)
{
	return !s->choosers || chosen_has(&s->chosen, id);
}

/* Few ids: at once. Many: those that are chosen become walk.ids, for value_go_on. */
static bool value_counts(struct search *s, const struct pair *x)
{
	struct value_walk *w = &s->walk;
	uint32_t ids[IDS_SOME_MAX];
	enum ids_kind kind = (enum ids_kind)x->kind;
	if (kind == IDS_MANY) {
		w->ids = ids_copy(&x->ids, kind);
		if (s->choosers)
			roaring_bitmap_and_inplace(w->ids, s->chosen.ids);
		s->units.work += 256;
		w->in_value = true;
		w->from = 0;
		return false;
	}
	uint32_t n = ids_read(&x->ids, kind, ids);
	for (uint32_t i = 0; i < n; i++) {
		s->units.work += s->chosen.bits ? 1 : WORK_ID;
		if (is_chosen(s, ids[i]) && id_counts(s, ids[i]))
			return true;
	}
	return false;
}

static void value_over(struct value_walk *w)
{
	if (w->ids)
		roaring_bitmap_free(w->ids);
	w->ids = NULL;
	w->in_value = false;
}

/* True: one of its series counts. */
static bool value_go_on(struct search *s)
{
	struct value_walk *w = &s->walk;
	uint32_t ids[IDS_AT_ONCE];
	size_t n = w->from > UINT32_MAX
	    ? 0
	    : postings_bitmap_from(w->ids, (uint32_t)w->from, ids, IDS_AT_ONCE);
	for (size_t i = 0; i < n; i++)
		if (id_counts(s, ids[i]))
			return true;
	w->from = n ? (uint64_t)ids[n - 1] + 1 : 0;
	if (n < IDS_AT_ONCE)
		value_over(w);
	return false;
}

/* ---- values of a label ---- */

static void walk_begin(struct value_walk *w)
{
	value_over(w);
	w->at = (struct postings_cursor){ 0 };
	w->bag = 0;
	w->ended = false;
	w->prefix = 0;
}

/* The beginning of now; "": all values, behind those; NULL: all were walked. */
static const char *prefix_now(const struct search *s, size_t *len)
{
	*len = 0;
	if (s->walk.prefix < s->prefixes)
		return fuzzy_prefix(&s->fuzzy, s->walk.prefix, len);
	return s->walk.prefix == s->prefixes && !fuzzy_is_prefix(&s->fuzzy) ? "" : NULL;
}

/* A bag begins: does anything in it, or behind it, matter? */
static bool bag_matters(struct search *s, size_t prefix_len)
{
	struct value_walk *w = &s->walk;
	if (w->at._serial == w->bag)
		return true;
	w->bag = w->at._serial;
	s->units.work += WORK_VALUE;
	return pick_hopes(s->pick, (const char *)w->at._path, w->at._path_len,
	    prefix_len || !s->prefixes ? 1 : SCORE_BELOW_1);
}

static void prefix_next(struct value_walk *w)
{
	size_t prefix = w->prefix + 1;
	walk_begin(w);
	w->prefix = prefix;
}

/* May a text of which only this is known be wanted? A look at it costs three times as much. */
static bool may_be_alike(const struct search *s, const char *text, size_t len)
{
	double least = pick_least(s->pick);
	least = least > s->fuzzy.threshold ? least : s->fuzzy.threshold;
	for (size_t i = 0; i < s->signs_count; i++) {
		size_t n = termsigns_lacks(&s->signs[i], s->walk.at.sign);
		if (!n || fuzzy_alike_most(&s->fuzzy, i, n, text, len) >= least)
			return true;
	}
	return !s->signs_count;
}

static void value_take(struct search *s, const struct pair *x)
{
	struct value_walk *w = &s->walk;
	uint32_t len;
	double score;
	const char *text = pair_value(x, &len);
	if (!may_be_alike(s, text, len)) {
		s->units.work += WORK_PASSED;
		return;
	}
	if (!wanted_once(s, text, len, &score))
		return;
	if (value_counts(s, x)) {
		put_once(s, text, len, score);
	} else if (w->in_value) {
		buf_clear(&w->text);
		buf_add(&w->text, text, len);
		w->score = score;
	}
}

/* False: that was the last one. */
static bool values_step(struct search *s)
{
	struct value_walk *w = &s->walk;
	const struct postings *p = head_postings(&s->shard->head, tenant_of(s));
	const struct pname *n = p ? postings_name_find(p, s->copy.label, s->copy.label_len) : NULL;
	size_t len;
	for (const char *prefix; n && (prefix = prefix_now(s, &len));) {
		if (w->in_value && value_go_on(s)) {
			put(s, (const char *)w->text.data, w->text.len, w->score);
			value_over(w);
		}
		if (s->units.work >= UNITREAD_WORK)
			return true;
		if (w->in_value)
			continue;
		w->at.need = s->need;
		uint32_t place = tree_next(p, n->tree, &w->at, prefix, len);
		if (place == POSTINGS_PAUSE)
			s->units.work += POSTINGS_SKIPS / 4;
		else if (place == POSTINGS_NO_PAIR || !bag_matters(s, len))
			prefix_next(w);
		else
			value_take(s, pair_at(p, place));
	}
	return false;
}

/* ---- names ---- */

static bool name_take(void *arg, const struct postings_name *n)
{
	struct search *s = arg;
	double score;
	if (!wanted_here(s, n->name, n->name_len, &score))
		return true;
	buf_clear(&s->name);
	buf_add(&s->name, n->name, n->name_len);
	s->name_score = score;
	s->in_name = true;
	walk_begin(&s->walk);
	return true;
}

/* A value of the name of now, or some series of it: one counts? */
static bool name_counts(struct search *s, const struct postings *p, const struct pname *n)
{
	struct value_walk *w = &s->walk;
	if (w->in_value)
		return value_go_on(s);
	uint32_t place = n ? tree_next(p, n->tree, &w->at, "", 0) : POSTINGS_NO_PAIR;
	s->in_name = place != POSTINGS_NO_PAIR;
	s->units.work += WORK_VALUE;
	return s->in_name && value_counts(s, pair_at(p, place));
}

/* The values of the name of now, until one has a series that counts, or so much work is done. */
static void name_go_on(struct search *s, const struct postings *p, uint64_t work_end)
{
	const struct pname *n = postings_name_find(p, (const char *)s->name.data, s->name.len);
	while (s->in_name && s->units.work < work_end) {
		if (!name_counts(s, p, n))
			continue;
		put(s, (const char *)s->name.data, s->name.len, s->name_score);
		s->in_name = false;
		value_over(&s->walk);
	}
}

static bool names_step(struct search *s)
{
	const struct postings *p = head_postings(&s->shard->head, tenant_of(s));
	while (p && (s->in_name || s->names_left)) {
		unsigned before = s->units.work;
		if (before >= UNITREAD_WORK)
			return true;
		uint64_t end = s->all ? UINT64_MAX : before + s->names_work;
		if (s->in_name)
			name_go_on(s, p, end < UNITREAD_WORK ? end : UNITREAD_WORK);
		else
			postings_names(p, &s->names_left, 1, name_take, s);
		if (s->all)
			continue;
		uint64_t took = s->units.work - before;
		s->names_work -= took < s->names_work ? took : s->names_work;
		if (s->names_work)
			continue;
		value_over(&s->walk);
		s->state = SEARCH_SERIES;
		return true;
	}
	return false;
}

/* ---- series by series ---- */

static void label_take(struct search *s, const struct series *x, const struct label *l, int *counts)
{
	bool values = s->copy.what == SOURCE_LABEL_VALUES;
	const char *text = values ? l->value : l->name;
	uint32_t len = values ? l->value_len : l->name_len;
	double score;
	s->units.work += WORK_LABEL;
	if (values && !bytes_equal(l->name, l->name_len, s->copy.label, s->copy.label_len))
		return;
	if (!wanted_once(s, text, len, &score))
		return;
	if (*counts < 0)
		*counts = has_samples(s, x);
	if (*counts)
		put_once(s, text, len, score);
}

static void series_take(struct search *s, const struct series *x)
{
	struct label_iter it = label_iter(series_labels(x));
	struct label l;
	int counts = -1; /* not looked at yet */
	s->units.work += WORK_SERIES / 2;
	while (counts && label_next(&it, &l))
		label_take(s, x, &l, &counts);
}

static bool series_step(struct search *s)
{
	const struct head *h = &s->shard->head;
	uint32_t ids[IDS_AT_ONCE];
	while (s->series_from <= UINT32_MAX) {
		if (s->units.work >= UNITREAD_WORK)
			return true;
		size_t n =
		    postings_bitmap_from(s->chosen.ids, (uint32_t)s->series_from, ids, IDS_AT_ONCE);
		size_t i = 0;
		for (; i < n && s->units.work < UNITREAD_WORK; i++) {
			if (i + SERIES_AHEAD < n)
				__builtin_prefetch(head_by_id(h, ids[i + SERIES_AHEAD]));
			const struct series *x =
			    i + LABELS_AHEAD < n ? head_by_id(h, ids[i + LABELS_AHEAD]) : NULL;
			if (x)
				__builtin_prefetch(x->labels);
			x = head_by_id(h, ids[i]);
			if (x && x->tenant == tenant_of(s))
				series_take(s, x);
		}
		s->series_from = i ? (uint64_t)ids[i - 1] + 1 : (uint64_t)UINT32_MAX + 1;
	}
	return false;
}

/* ---- which way ---- */

/* May anything in memory, or known to it, have samples in the range? */
static bool memory_matters(const struct search *s)
{
	const struct shard *sh = s->shard;
	return (s->all || s->chosen.count) &&
	    (s->units.files_count ||
	        (shard_remembers(sh, s->copy.t_max_ms) && sh->t_newest_ms >= s->copy.t_min_ms));
}

static uint64_t name_cost(const struct search *s, const struct pname *n)
{
	uint64_t values = 0, all = n->count ? n->count : 1;
	const char *prefix;
	size_t len;
	for (size_t i = 0; i < s->prefixes && (prefix = fuzzy_prefix(&s->fuzzy, i, &len)); i++)
		values += tree_count(n->tree, prefix, len);
	if (!fuzzy_is_prefix(&s->fuzzy) || values > n->count)
		values = n->count;
	return values * (s->need ? WORK_LACKS : 2 * WORK_VALUE) +
	    n->series * values / all * (s->need ? 1 : WORK_ID);
}

/* Most values of n stand on several shards, and a look costs more than to know that it was had? */
static bool is_dear(const struct search *s, const struct pname *n)
{
	bool dear = s->fuzzy.alg == FUZZY_JARO_WINKLER && s->fuzzy.threshold > 0 && s->fuzzy.count;
	for (size_t i = s->choosers; i < s->matchers_count; i++)
		dear |= s->matchers[i].rex && rex_kind(s->matchers[i].rex) == REX_PCRE;
	return dear && s->query->found && n->series > n->count + n->count / 4;
}

/* What is walked, or else the series one by one. */
static enum search_state way(struct search *s)
{
	const struct postings *p = head_postings(&s->shard->head, tenant_of(s));
	bool values = s->copy.what == SOURCE_LABEL_VALUES;
	uint64_t cost = 0, chosen = s->all ? 0 : s->chosen.count;
	const struct pname *n =
	    values && p ? postings_name_find(p, s->copy.label, s->copy.label_len) : NULL;
	walk_begin(&s->walk);
	s->names_left = SIZE_MAX;
	s->dear = n && is_dear(s, n);
	if (s->dear)
		pick_remember(s->pick, n->count);
	if (!p || s->all)
		return values ? SEARCH_VALUES : SEARCH_NAMES;
	if (n)
		cost = name_cost(s, n);
	if (values)
		return chosen * WORK_SERIES < cost ? SEARCH_SERIES : SEARCH_VALUES;
	/* A name that many of the chosen have is seen at once; of others that takes long. */
	s->names_work = chosen * WORK_SERIES / 16;
	return s->names_work < postings_names_count(p) * WORK_NAME ? SEARCH_SERIES : SEARCH_NAMES;
}

/* ---- the catalog ---- */

static enum catalog_want want_text(void *arg, const char *text, size_t len)
{
	struct search *s = arg;
	double score;
	if (epoch_now(&s->closed))
		return CATALOG_ENOUGH;
	if (!wanted(s, text, len, &score))
		return pick_hopes(s->pick, text, len, 1) ? CATALOG_PASS : CATALOG_ENOUGH;
	s->name_score = score;
	return CATALOG_TAKE;
}

static void found_text(void *arg, const char *text, size_t len)
{
	struct search *s = arg;
	pick_put(s->pick, text, len, s->name_score);
}

static void look(struct work_task *t)
{
	struct search *s = CONTAINER_OF(t, struct search, task);
	size_t len = 0;
	bool one = fuzzy_is_prefix(&s->fuzzy) && s->fuzzy.count == 1;
	const char *prefix = one ? fuzzy_prefix(&s->fuzzy, 0, &len) : "";
	s->without = chosen_without(&s->chosen, s->tombs);
	struct catalog_texts o = { .label = s->copy.what == SOURCE_LABEL_VALUES ? s->copy.label : NULL,
		.label_len = s->copy.label_len,
		.prefix = prefix,
		.prefix_len = len,
		.without = s->without,
		.want = want_text,
		.found = found_text,
		.arg = s };
	s->err = catalog_texts(s->shard->catalog, s->shard->index, tenant_of(s), s->matchers,
	    s->matchers_count, s->copy.t_min_ms, s->copy.t_max_ms, &o, &s->eb);
	/* It may be damaged, or was made anew meanwhile. */
	s->maybe |=
	    s->err == ERR_DAMAGED || (!s->err && catalog_epoch(s->shard->catalog) != s->epoch);
	if (s->err == ERR_DAMAGED)
		s->err = ERR_OK;
	roaring_bitmap_free(s->without);
	s->without = NULL;
}

static void destroy(struct search *s);
static enum source_state fail(struct search *s, enum err err, const struct errbuf *eb);

static void wake(struct search *s)
{
	if (epoch_now(&s->closed))
		destroy(s);
	else if (s->query->wake)
		s->query->wake(s->query->wake_arg);
}

static void looked(struct work_task *t)
{
	struct search *s = CONTAINER_OF(t, struct search, task);
	tombs_unpin(s->tombs);
	s->tombs = NULL;
	if (!epoch_now(&s->closed)) /* else the query may be gone */
		pick_here(s);
	s->state = s->maybe ? SEARCH_PLAIN : SEARCH_GIVES;
	wake(s);
}

/* What is in memory was looked at. */
static enum source_state memory_over(struct search *s)
{
	struct shard *sh = s->shard;
	bool asks = sh->catalog && (s->left || idchain_asks_catalog(sh));
	if (s->maybe || (sh->tombs && sh->tombs->partial) || (asks && shard_catalog_is_behind(sh))) {
		s->state = SEARCH_PLAIN;
		return SOURCE_AGAIN;
	}
	if (!asks) {
		s->state = SEARCH_GIVES;
		return SOURCE_AGAIN;
	}
	s->state = SEARCH_LOOKS;
	s->floor = pick_least(s->pick);
	s->pick = &s->own;
	s->tombs = tombs_pin(sh->tombs);
	s->epoch = epoch_now(&sh->catalog_epoch);
	s->task = (struct work_task){ .run = look, .done = looked, .prio = WORK_READ };
	work_submit(sh->pool, &s->task);
	return SOURCE_WAIT;
}

/* ---- plain ---- */

/* Its warnings are texts in the cursor. */
static void plain_over(struct search *s)
{
	s->state = SEARCH_GIVES;
	if (s->plain->warnings_count)
		return;
	s->plain->ops->close(s->plain);
	s->plain = NULL;
}

static enum source_state plain_step(struct search *s)
{
	struct source_item item = { .tenant = 0 };
	if (!s->plain) {
		s->plain_query = *s->query;
		s->plain_query.find = NULL;
		enum err e = select_open(s->shard, &s->plain_query, &s->plain);
		if (e)
			return fail(s, e, NULL);
	}
	while (s->units.work < UNITREAD_WORK) {
		enum source_state st = s->plain->ops->next(s->plain, &item);
		double score;
		if (st == SOURCE_ERROR)
			return fail(s, s->plain->err, &s->plain->eb);
		if (st == SOURCE_END) {
			plain_over(s);
			return SOURCE_AGAIN;
		}
		if (st != SOURCE_READY)
			return st;
		if (wanted_here(s, item.text, item.text_len, &score))
			put(s, item.text, item.text_len, score);
		if (s->err)
			return fail(s, s->err, &s->eb);
	}
	return SOURCE_AGAIN;
}

/* ---- the cursor ---- */

static enum source_state fail(struct search *s, enum err err, const struct errbuf *eb)
{
	if (eb)
		s->base.eb = *eb;
	s->base.err = eb && eb->text[0] ? err : errbuf_set(&s->base.eb, err, "labels cannot be read");
	s->state = SEARCH_FAILED;
	return SOURCE_ERROR;
}

static bool enough(void *arg)
{
	const uint64_t *end_ns = arg;
	return clock_real_mono_ns() >= *end_ns;
}

static enum source_state choose_step(struct search *s)
{
	uint64_t end_ns = clock_real_mono_ns() + CHOOSE_NS;
	const struct postings *p = head_postings(&s->shard->head, tenant_of(s));
	switch (s->choosing ? postings_select_step(s->choosing, enough, &end_ns) : POSTINGS_DONE) {
	case POSTINGS_MORE:
		return SOURCE_AGAIN;
	case POSTINGS_FAILED:
		errbuf_set(&s->eb, ERR_EXECUTION, TOO_MANY_STEPS);
		return fail(s, ERR_EXECUTION, &s->eb);
	case POSTINGS_DONE:
		break;
	}
	chosen_set(&s->chosen, s->choosing ? postings_select_take(s->choosing) : postings_bitmap());
	postings_select_end(s->choosing);
	s->choosing = NULL;
	s->base.est_series = s->chosen.count;
	s->chosen_bytes = chosen_bytes(&s->chosen);
	s->all = p && s->base.est_series >= postings_series(p);
	s->state = SEARCH_BEGINS;
	return SOURCE_AGAIN;
}

/* The list of files of now; false: *st tells. */
static bool files_taken(struct search *s, enum source_state *st)
{
	switch (unitread_begin(&s->units)) {
	case UNITREAD_ALL:
		return true;
	case UNITREAD_AGAIN:
		*st = SOURCE_AGAIN;
		return false;
	case UNITREAD_WAIT:
		s->after_loading = s->state;
		s->state = SEARCH_LOADS;
		unitread_load_dirs(&s->units);
		*st = SOURCE_WAIT;
		return false;
	case UNITREAD_FAILED:
		break;
	}
	errbuf_set(&s->eb, s->units.err, "%s", s->units.why);
	*st = fail(s, s->units.err, &s->eb);
	return false;
}

static void loaded(struct unitread *u)
{
	struct search *s = CONTAINER_OF(u, struct search, units);
	s->state = s->after_loading;
	wake(s);
}

static enum source_state begin_step(struct search *s)
{
	enum source_state st;
	if (!files_taken(s, &st))
		return st;
	if (!memory_matters(s))
		return memory_over(s);
	s->state = way(s);
	if (s->state != SEARCH_SERIES && s->choosers && !s->all)
		chosen_bits(&s->chosen);
	s->chosen_bytes = chosen_bytes(&s->chosen);
	return SOURCE_AGAIN;
}

static enum source_state memory_step(struct search *s)
{
	enum source_state st;
	if (!files_taken(s, &st))
		return st;
	bool more = s->state == SEARCH_VALUES ? values_step(s)
	    : s->state == SEARCH_NAMES        ? names_step(s)
	                                      : series_step(s);
	if (s->err)
		return fail(s, s->err, &s->eb);
	return more ? SOURCE_AGAIN : memory_over(s);
}

/* One that the worker found. */
static void join(struct search *s)
{
	const struct pick_item *x = s->given;
	s->units.work += WORK_PUT;
	if (pick_wants(s->pick, x->text, x->len, x->score))
		put(s, x->text, x->len, x->score);
}

/* Cursors of other tenants may be open long after this one's end: nothing large stays then. */
static enum source_state give(struct search *s, struct source_item *out)
{
	do {
		mem_free(s->given);
		s->given = pick_pop(&s->own);
		if (!s->given) {
			pick_release(&s->own);
			chosen_release(&s->chosen);
			s->chosen_bytes = 0;
			return SOURCE_END;
		}
		if (s->query->found)
			join(s);
	} while (s->query->found && s->units.work < UNITREAD_WORK);
	if (s->query->found)
		return SOURCE_AGAIN;
	out->text = s->given->text;
	out->text_len = s->given->len;
	return SOURCE_READY;
}

static enum source_state step(struct search *s, struct source_item *out)
{
	switch (s->state) {
	case SEARCH_CHOOSES:
		return choose_step(s);
	case SEARCH_BEGINS:
		return begin_step(s);
	case SEARCH_VALUES:
	case SEARCH_NAMES:
	case SEARCH_SERIES:
		return memory_step(s);
	case SEARCH_LOADS:
	case SEARCH_LOOKS:
		return SOURCE_WAIT;
	case SEARCH_PLAIN:
		return plain_step(s);
	case SEARCH_GIVES:
		return s->err ? fail(s, s->err, &s->eb) : give(s, out);
	case SEARCH_FAILED:
		break;
	}
	return SOURCE_ERROR;
}

static void tell(struct search *s)
{
	unsigned n = 0;
	for (unsigned i = 0; i < s->units.warnings_count && n < COUNT_OF(s->base.warnings); i++)
		s->base.warnings[n++] = s->units.warnings[i];
	for (unsigned i = 0; s->plain && i < s->plain->warnings_count; i++)
		if (n < COUNT_OF(s->base.warnings))
			s->base.warnings[n++] = s->plain->warnings[i];
	s->base.warnings_count = n;
	if (s->state != SEARCH_LOOKS)
		s->base.memory =
		    pick_bytes(&s->own) + s->chosen_bytes + (s->plain ? s->plain->memory : 0);
}

static enum source_state search_next(struct source_cursor *c, struct source_item *out)
{
	struct search *s = CONTAINER_OF(c, struct search, base);
	loop_check_here(s->shard->loop);
	out->tenant = tenant_of(s);
	out->same_times = false;
	s->units.work = 0;
	enum source_state st = step(s, out);
	tell(s);
	return st;
}

static void destroy(struct search *s)
{
	CHECK(s->shard->cursors > 0);
	s->shard->cursors--; /* store_close waits for this */
	if (s->plain)
		s->plain->ops->close(s->plain);
	list_del(&s->reader.link);
	postings_select_end(s->choosing);
	chosen_release(&s->chosen);
	value_over(&s->walk);
	buf_release(&s->walk.text);
	buf_release(&s->name);
	unitread_release(&s->units);
	pick_release(&s->own);
	fuzzy_scratch_release(&s->scratch);
	for (size_t i = 0; i < s->matchers_count; i++)
		matcher_release(&s->matchers[i]);
	arena_release(&s->arena);
	mem_free(s->given);
	mem_free(s);
}

static void search_close(struct source_cursor *c)
{
	struct search *s = CONTAINER_OF(c, struct search, base);
	loop_check_here(s->shard->loop);
	epoch_set(&s->closed, 1);
	if (s->state != SEARCH_LOADS && s->state != SEARCH_LOOKS)
		destroy(s);
}

static const struct source_cursor_ops search_ops = { .next = search_next, .close = search_close };

static void leaves(struct shard_reader *r, const struct series *x)
{
	struct search *s = CONTAINER_OF(r, struct search, reader);
	if (x->tenant != tenant_of(s))
		return;
	s->left = true;
	if (s->state < SEARCH_LOOKS) /* else memory was looked at while it was there */
		chosen_leaves(&s->chosen, x->id);
}

static bool labels_get(void *arg, uint32_t id, struct labels *out)
{
	struct search *s = arg;
	const struct series *x = head_by_id(&s->shard->head, id);
	if (!x || x->tenant != tenant_of(s))
		return false;
	*out = series_labels(x);
	return true;
}

/* The worker may look while the cursor is closed, and its query gone. */
static enum err query_copy(struct search *s)
{
	const struct source_query *q = s->query;
	enum err e = ERR_OK;
	s->copy = *q;
	s->copy.label = arena_dup(&s->arena, q->label, q->label_len);
	s->copy.tenants =
	    q->tenants_count ? arena_dup(&s->arena, q->tenants, sizeof(*q->tenants)) : NULL;
	s->matchers = arena_zalloc(&s->arena, (q->matchers_count + 1) * sizeof(*s->matchers));
	for (size_t i = 0; i < q->matchers_count && !e; i++) {
		const struct matcher *m = &q->matchers[i];
		e = matcher_init(&s->matchers[i], m->type, arena_dup(&s->arena, m->name, m->name_len),
		    m->name_len, arena_dup(&s->arena, m->value, m->value_len), m->value_len, &s->eb);
		s->matchers_count += !e;
	}
	fuzzy_copy(&s->fuzzy, &s->arena, q->find->fuzzy);
	s->need = termsigns_need(&s->fuzzy);
	s->signs_count = termsigns_make(&s->fuzzy, s->signs);
	bool first = q->find->order == PICK_SCORE || fuzzy_is_prefix(&s->fuzzy);
	for (size_t len; first && fuzzy_prefix(&s->fuzzy, s->prefixes, &len);)
		s->prefixes++;
	return e;
}

/* Is a look at the values that are wanted less than a walk over those it holds for? */
static bool is_of_text(const struct search *s, const struct pname *n, const struct matcher *m)
{
	if (!n || matcher_is_direct(m) ||
	    !bytes_equal(m->name, m->name_len, s->copy.label, s->copy.label_len))
		return false;
	return m->rex && postings_next_count(n, m) >= n->count / NARROW;
}

/* Matchers of the label whose values are wanted go behind the others. */
static void choosers_part(struct search *s, const struct postings *p)
{
	const struct pname *n = p && s->copy.what == SOURCE_LABEL_VALUES
	    ? postings_name_find(p, s->copy.label, s->copy.label_len)
	    : NULL;
	size_t len, end = s->matchers_count;
	for (size_t i = 0; i < end;) {
		struct matcher m = s->matchers[i];
		if (!is_of_text(s, n, &m)) {
			i++;
			continue;
		}
		const char *needed = m.type == MATCHER_RE ? rex_needed(m.rex, &len) : NULL;
		if (needed && len)
			s->need |= postings_sign(needed, len);
		s->matchers[i] = s->matchers[--end];
		s->matchers[end] = m;
	}
	s->choosers = end;
}

enum err searchread_open(struct shard *sh, const struct source_query *q, struct source_cursor **out)
{
	loop_check_here(sh->loop);
	struct search *s = mem_zalloc(sizeof(*s));
	s->base.ops = &search_ops;
	errbuf_init(&s->base.eb);
	errbuf_init(&s->eb);
	s->shard = sh;
	s->query = q;
	s->find = q->find;
	sh->cursors++;
	arena_init(&s->arena, 1 << 10);
	fuzzy_scratch_init(&s->scratch);
	pick_init(&s->own, q->find->order, q->find->max, sh->seed);
	pick_here(s);
	buf_init(&s->walk.text);
	buf_init(&s->name);
	s->reader.leaves = leaves;
	list_add_tail(&sh->readers, &s->reader.link);
	unitread_init(&s->units, sh, q->t_min_ms, q->t_max_ms, loaded);
	enum err e = query_copy(s);
	if (e) {
		destroy(s);
		return e;
	}
	s->labels_of = (struct postings_labels){ .get = labels_get, .arg = s };
	const struct postings *p = head_postings(&sh->head, tenant_of(s));
	choosers_part(s, p);
	if (p)
		s->choosing = postings_select_begin(p, s->matchers, s->choosers, &s->labels_of);
	*out = &s->base;
	return ERR_OK;
}
