#include "net/recv/inlet.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/metric.h"
#include "core/rt/snap.h"
#include "net/api/api.h"
#include "net/recv/inletcache.h"
#include "net/recv/inletconf.h"

#define CLOCK_EVERY  16u  /* rows between looks at the clock */
#define NAMES_FIRST  64u  /* of struct names */
#define SERIES_SHOWN 200u /* bytes of a series in a sentence */
#define CACHE_LEAST  (1u << 20)

/* What is done with the rows of a series. */
enum verdict {
	VERDICT_STORE,
	VERDICT_DROP,    /* by rules */
	VERDICT_REPEATS, /* of a replica that is not elected */
	VERDICT_NO_PAIR, /* refused: too many pairs */
	VERDICT_LIMIT    /* refused: too many steps, or labels */
};
/* Metric names of this batch by their hash: of which series are stored, of which left out. */
#define NAME_STORED 1u
#define NAME_LEFT   2u
struct names {
	uint64_t *hashes; /* open addressing, 0 = free; half full at most */
	uint8_t *marks;
	size_t mask, count;
};
enum phase {
	PHASE_ROWS,
	PHASE_EXEMPLARS,
	PHASE_METAS
};
struct inlet_walk {
	struct inlet *inlet;
	struct api *api;
	const struct inlet_conf *conf;
	const struct inlet_way *way;
	struct snap_seat *seat; /* of conf */
	struct loop_deferred work;
	struct inletcache *cache; /* of this slice; NULL: that of another configuration */
	enum phase phase;
	size_t at, kept;               /* of the phase */
	size_t rows, exemplars, metas; /* that came */
	/* the series before, and what came of it */
	struct labels last, last_made;
	enum verdict verdict;
	bool any_last;
	/* the pair before, and what was said of it */
	const char *cluster, *replica;
	uint32_t cluster_len, replica_len;
	enum hapair_told told;
	struct names names;
	uint64_t dropped, repeats, limits, hits, misses;
	uint64_t no_pair, long_pair; /* the second are among the first: HAPAIR_TOO_LONG */
	enum sink_reason reason;     /* of the first refused row */
	char text[sizeof(((struct sink_req *)0)->first_text)];
};

static void walk(struct inlet_walk *w);

/* ---- what a loop keeps ---- */

static const struct inlet_conf *conf_of(const struct api_loop *l)
{
	return l->conf->recv ? l->conf->recv->inlet : NULL;
}

void inlet_conf_changed(struct api_loop *l)
{
	const struct inlet_conf *c = conf_of(l);
	uint64_t bytes = c ? c->cache_bytes : 0;
	if (!l->inlet_cache)
		return;
	if (bytes == l->inlet_cache_bytes) {
		inletcache_clear(l->inlet_cache);
		return;
	}
	inlet_loop_end(l);
}

void inlet_loop_end(struct api_loop *l)
{
	inletcache_free(l->inlet_cache);
	l->inlet_cache = NULL;
}

static struct inletcache *cache_of(struct inlet_walk *w)
{
	struct api_loop *l = &w->api->loops[loop_index(loop_here())];
	if (conf_of(l) != w->conf)
		return NULL;
	if (!l->inlet_cache) {
		uint64_t bytes = w->conf->cache_bytes / team_count(w->api->opts.team);
		l->inlet_cache = inletcache_create(bytes < CACHE_LEAST ? CACHE_LEAST : bytes);
		l->inlet_cache_bytes = w->conf->cache_bytes;
	}
	return l->inlet_cache;
}

/* ---- what comes of a label set ---- */

static void find_pair(const struct hapair_rule *ha, struct relabel_set *set, struct inlet_result *out)
{
	const char *name = ha->replica_label;
	const struct label *cluster =
	    relabel_set_get(set, ha->cluster_label, strlen(ha->cluster_label));
	const struct label *replica = relabel_set_get(set, name, strlen(name));
	if (!cluster || !replica)
		return;
	out->cluster = cluster->value;
	out->cluster_len = cluster->value_len;
	out->replica = replica->value;
	out->replica_len = replica->value_len;
	relabel_set_del(set, name, strlen(name));
}

static void add_external(const struct inlet_way *way, struct relabel_set *set)
{
	for (uint32_t i = 0; i < way->external_count; i++) {
		const struct inlet_label *l = &way->external[i];
		if (l->wins || !relabel_set_get(set, l->name, l->name_len))
			relabel_set_put(set, l->name, l->name_len, l->value, l->value_len);
	}
}

/* False: no rule can be asked of these bytes. */
static bool make(struct inlet_walk *w, struct labels ls, struct inlet_result *out)
{
	const struct inlet_way *way = w->way;
	enum relabel_verdict v = RELABEL_KEPT;
	struct relabel_set set;
	*out = (struct inlet_result){ .fate = INLET_SAME };
	if (!relabel_set_init(&set, w->inlet->arena, ls))
		return false;
	if (way->ha)
		find_pair(way->ha, &set, out);
	add_external(way, &set);
	for (uint32_t i = 0; i < way->lists_count && v == RELABEL_KEPT; i++)
		v = relabel_apply(way->lists[i], &set);
	if (v != RELABEL_KEPT || relabel_set_empty(&set)) {
		out->fate = v == RELABEL_LIMIT ? INLET_LIMIT : INLET_DROPPED;
	} else if (set.changed) {
		out->fate = INLET_CHANGED;
		out->labels = relabel_set_done(&set);
	}
	return true;
}

static bool same(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static enum hapair_told ask_pair(struct inlet_walk *w, const struct inlet_result *r)
{
	if (w->cluster && same(w->cluster, w->cluster_len, r->cluster, r->cluster_len) &&
	    same(w->replica, w->replica_len, r->replica, r->replica_len))
		return w->told;
	struct arena *a = w->inlet->arena;
	w->cluster = arena_dup(a, r->cluster, r->cluster_len);
	w->cluster_len = r->cluster_len;
	w->replica = arena_dup(a, r->replica, r->replica_len);
	w->replica_len = r->replica_len;
	w->told = hapairs_ask(w->api->hapairs, w->inlet->req.batch->tenant, w->way->ha, r->cluster,
	    r->cluster_len, r->replica, r->replica_len, loop_now_ns(loop_here()));
	return w->told;
}

/* The sentence of the first row that is refused here. */
static void say_refused(
    struct inlet_walk *w, struct labels ls, enum sink_reason reason, const char *why)
{
	struct buf b;
	if (w->text[0])
		return;
	buf_init(&b);
	label_text_cut(&b, ls, SERIES_SHOWN);
	w->reason = reason;
	snprintf(w->text, sizeof(w->text), "%.*s: %s", (int)b.len, (const char *)b.data, why);
	buf_release(&b);
}

static enum verdict refuse_pair(struct inlet_walk *w, struct labels ls, enum hapair_told told)
{
	char why[160];
	if (told == HAPAIR_TOO_LONG)
		snprintf(why, sizeof(why),
		    "the name of its cluster or replica has more than %u bytes", HAPAIR_NAME_MAX);
	else
		snprintf(why, sizeof(why),
		    "its cluster is not known, and there are as many as may be: limit %llu (ha.max_clusters)",
		    (unsigned long long)w->way->ha->max_clusters);
	say_refused(w, ls, told == HAPAIR_TOO_LONG ? SINK_LABEL_LIMIT : SINK_SERIES_LIMIT, why);
	return VERDICT_NO_PAIR;
}

static enum verdict judge(struct inlet_walk *w, struct labels ls, const struct inlet_result *r)
{
	if (r->cluster) {
		enum hapair_told told = ask_pair(w, r);
		if (told == HAPAIR_OTHER)
			return VERDICT_REPEATS;
		if (told != HAPAIR_ELECTED)
			return refuse_pair(w, ls, told);
	}
	if (r->fate == INLET_DROPPED)
		return VERDICT_DROP;
	if (r->fate != INLET_LIMIT)
		return VERDICT_STORE;
	say_refused(
	    w, ls, SINK_BAD_LABELS, "an expression of relabel_configs took too many steps on it");
	return VERDICT_LIMIT;
}

/* No rule can be asked: the store says what is wrong with it, but takes nothing past the rules. */
static enum verdict judge_unasked(struct inlet_walk *w, struct labels ls)
{
	const struct label_limits lim = { .labels_per_series = (uint32_t)limits_here()->write_labels };
	struct labels out;
	struct errbuf eb;
	char why[80];
	errbuf_init(&eb);
	if (label_canonicalize(w->inlet->arena, ls, &lim, &out, &eb))
		return VERDICT_STORE;
	snprintf(why, sizeof(why), "it has more than %u labels, too many for relabel_configs",
	    RELABEL_LABELS_MAX);
	say_refused(w, ls, SINK_LABEL_LIMIT, why);
	return VERDICT_LIMIT;
}

/* ---- names of families, where there is metadata ---- */

static size_t name_place(const struct names *n, uint64_t hash)
{
	size_t i = hash & n->mask;
	while (n->hashes[i] && n->hashes[i] != hash)
		i = (i + 1) & n->mask;
	return i;
}

static void names_grow(struct names *n, struct arena *a)
{
	struct names more = { .mask = n->hashes ? n->mask * 2 + 1 : NAMES_FIRST - 1,
		.count = n->count };
	more.hashes = arena_zalloc(a, (more.mask + 1) * sizeof(*more.hashes));
	more.marks = arena_zalloc(a, more.mask + 1);
	for (size_t i = 0; n->hashes && i <= n->mask; i++) {
		if (!n->hashes[i])
			continue;
		size_t at = name_place(&more, n->hashes[i]);
		more.hashes[at] = n->hashes[i];
		more.marks[at] = n->marks[i];
	}
	*n = more;
}

static uint64_t name_hash(const char *name, size_t len)
{
	return hash64(name, len, 0) | 1;
}

static void mark_name(struct inlet_walk *w, const char *name, size_t len, uint8_t mark)
{
	struct names *n = &w->names;
	uint64_t hash = name_hash(name, len);
	if (!n->hashes || n->count * 2 > n->mask)
		names_grow(n, w->inlet->arena);
	size_t at = name_place(n, hash);
	n->count += !n->hashes[at];
	n->hashes[at] = hash;
	n->marks[at] |= mark;
}

/* Of the series' metric, and of the families that it may belong to. */
static void mark_series(struct inlet_walk *w, struct labels ls, enum verdict v)
{
	static const char *const ends[] = { "_total", "_bucket", "_sum", "_count", "_created",
		"_info" };
	uint8_t mark = v == VERDICT_STORE ? NAME_STORED : NAME_LEFT;
	uint32_t len;
	const char *name = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	if (!name)
		return;
	mark_name(w, name, len, mark);
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t n = strlen(ends[i]);
		if (len > n && !memcmp(name + len - n, ends[i], n))
			mark_name(w, name, len - n, mark);
	}
}

static bool meta_stays(const struct inlet_walk *w, const struct batch_meta *m)
{
	const struct names *n = &w->names;
	if (!n->hashes)
		return true;
	return n->marks[name_place(n, name_hash(m->family, m->family_len))] != NAME_LEFT;
}

/* ---- a series ---- */

static void resolve(struct inlet_walk *w, struct labels ls)
{
	struct inlet_result made = { 0 };
	const struct inlet_result *r = NULL;
	if (w->cache)
		r = inletcache_find(w->cache, ls, w->way->id);
	w->last = w->last_made = ls;
	w->any_last = true;
	if (r) {
		w->hits++;
		w->verdict = judge(w, ls, r);
		if (w->verdict == VERDICT_STORE && r->fate == INLET_CHANGED)
			w->last_made.bytes =
			    arena_dup(w->inlet->arena, r->labels.bytes, r->labels.len);
	} else {
		w->misses++;
		bool asked = make(w, ls, &made);
		r = &made;
		w->verdict = asked ? judge(w, ls, r) : judge_unasked(w, ls);
		w->last_made.bytes = made.fate == INLET_CHANGED ? made.labels.bytes : ls.bytes;
		if (asked && w->cache)
			inletcache_add(w->cache, ls, w->way->id, r);
	}
	if (w->verdict == VERDICT_STORE && r->fate == INLET_CHANGED)
		w->last_made.len = r->labels.len;
	if (w->metas)
		mark_series(w, ls, w->verdict);
}

/* True: it stays, with these labels now. */
static bool pass(struct inlet_walk *w, const uint8_t **labels, uint32_t *len)
{
	if (!w->any_last || w->last.bytes != *labels || w->last.len != *len)
		resolve(w, (struct labels){ *labels, *len });
	*labels = w->last_made.bytes;
	*len = w->last_made.len;
	return w->verdict == VERDICT_STORE;
}

static void count_left(struct inlet_walk *w, const struct batch_row *row)
{
	bool is_left = w->verdict == VERDICT_DROP || w->verdict == VERDICT_REPEATS;
	w->dropped += w->verdict == VERDICT_DROP;
	w->repeats += w->verdict == VERDICT_REPEATS;
	w->no_pair += w->verdict == VERDICT_NO_PAIR;
	w->long_pair += w->verdict == VERDICT_NO_PAIR && w->told == HAPAIR_TOO_LONG;
	w->limits += w->verdict == VERDICT_LIMIT;
	w->inlet->dropped_hists += is_left && (row->flags & BATCH_EXTRA) && row->extra->hist;
}

static void one_row(struct inlet_walk *w)
{
	struct batch *b = w->inlet->req.batch;
	struct batch_row row = b->rows[w->at];
	if (pass(w, &row.labels, &row.labels_len))
		b->rows[w->kept++] = row;
	else
		count_left(w, &row);
}

static void one_exemplar(struct inlet_walk *w)
{
	struct batch *b = w->inlet->req.batch;
	struct batch_exemplar x = b->exemplars[w->at];
	if (pass(w, &x.labels, &x.labels_len))
		b->exemplars[w->kept++] = x;
	else
		w->inlet->dropped_exemplars++;
}

static void one_meta(struct inlet_walk *w)
{
	struct batch *b = w->inlet->req.batch;
	if (meta_stays(w, &b->metas[w->at]))
		b->metas[w->kept++] = b->metas[w->at];
}

/* ---- the walk ---- */

/* False: there is more of it, but no more time. */
static bool all_of(
    struct inlet_walk *w, size_t count, void (*one)(struct inlet_walk *w), uint64_t end_ns)
{
	for (; w->at < count; w->at++) {
		if (w->at % CLOCK_EVERY == CLOCK_EVERY - 1 && clock_real_mono_ns() >= end_ns) {
			one(w);
			w->at++;
			return w->at == count;
		}
		one(w);
	}
	return true;
}

/* False: it goes on in a later turn. */
static bool slice(struct inlet_walk *w)
{
	struct batch *b = w->inlet->req.batch;
	uint64_t end_ns = clock_real_mono_ns() + LOOP_WORK_NS;
	w->cache = cache_of(w);
	switch (w->phase) {
	case PHASE_ROWS:
		if (!all_of(w, w->rows, one_row, end_ns))
			return false;
		b->rows_count = w->kept;
		w->at = w->kept = 0;
		w->phase = PHASE_EXEMPLARS;
		/* fall through */
	case PHASE_EXEMPLARS:
		if (!all_of(w, w->exemplars, one_exemplar, end_ns))
			return false;
		b->exemplars_count = w->kept;
		w->at = w->kept = 0;
		w->phase = PHASE_METAS;
		/* fall through */
	case PHASE_METAS:
		if (!all_of(w, w->metas, one_meta, end_ns))
			return false;
		b->metas_count = w->kept;
	}
	return true;
}

static void count_all(const struct inlet_walk *w)
{
	metric_add(M_RELABEL_DROPPED, w->dropped);
	metric_add(M_RELABEL_HITS, w->hits);
	metric_add(M_RELABEL_MISSES, w->misses);
	metric_add(M_RELABEL_LIMIT, w->limits);
	metric_add(M_HA_DUPLICATES, w->repeats);
	metric_add(M_HA_REFUSED, w->no_pair);
}

/* By reason, as the store counts what it refuses: the log tells of reasons whose numbers grow. */
static void count_refused(const struct inlet_walk *w)
{
	metric_add(M_REFUSED_SERIES_LIMIT, w->no_pair - w->long_pair);
	metric_add(M_REFUSED_LABEL_LIMIT, w->long_pair);
	metric_add(M_REFUSED_BAD_LABELS, w->limits);
}

static void end(struct inlet_walk *w)
{
	struct inlet *i = w->inlet;
	struct batch *b = i->req.batch;
	b->rows_count = w->rows;
	b->exemplars_count = w->exemplars;
	b->metas_count = w->metas;
	i->dropped = w->dropped + w->repeats;
	i->ha_duplicate = w->rows && w->repeats == w->rows;
	const uint64_t refused = w->no_pair + w->limits;
	if (refused && !i->req.err) {
		if (!i->req.refused) {
			i->req.first_reason = w->reason;
			memcpy(i->req.first_text, w->text, sizeof(w->text));
		}
		i->req.refused += refused;
		count_refused(w);
	}
	count_all(w);
	snap_seat_leave(w->seat);
	i->_walk = NULL;
	mem_free(w);
	i->done(i);
}

static void stored(struct sink_req *s)
{
	struct inlet *i = CONTAINER_OF(s, struct inlet, req);
	if (i->_walk)
		end(i->_walk);
	else
		i->done(i);
}

static void end_later(struct loop_deferred *d)
{
	end(CONTAINER_OF(d, struct inlet_walk, work));
}

static void walk_on(struct loop_deferred *d)
{
	walk(CONTAINER_OF(d, struct inlet_walk, work));
}

static void walk(struct inlet_walk *w)
{
	const struct batch *b = w->inlet->req.batch;
	bool all = slice(w);
	if (all && (b->rows_count || b->exemplars_count || b->metas_count)) {
		sink_append(w->api->sink, &w->inlet->req);
		return;
	}
	w->work.fn = all ? end_later : walk_on;
	loop_work(loop_here(), LOOP_SOON, &w->work);
}

static void begin(
    struct api *a, struct inlet *i, const struct inlet_conf *c, const struct inlet_way *way)
{
	const struct batch *b = i->req.batch;
	struct inlet_walk *w = mem_zalloc(sizeof(*w)); /* applied may give the arena back */
	w->inlet = i;
	w->api = a;
	w->conf = c;
	w->way = way;
	w->seat = snap_seat_take(loop_seat(loop_here()));
	w->rows = b->rows_count;
	w->exemplars = b->exemplars_count;
	w->metas = b->metas_count;
	i->_walk = w;
	walk(w);
}

void inlet_append(struct api *a, struct inlet *i)
{
	const struct inlet_conf *c = conf_of(&a->loops[loop_index(loop_here())]);
	i->req.done = stored;
	i->_walk = NULL;
	i->dropped = i->dropped_hists = i->dropped_exemplars = 0;
	i->req.late = i->req.changed = 0;
	i->ha_duplicate = false;
	if (UNLIKELY(c != NULL)) {
		const struct inlet_way *way = inlet_way_of(c, i->req.batch->tenant, i->receiver);
		if (way->any) {
			begin(a, i, c, way);
			return;
		}
	}
	sink_append(a->sink, &i->req);
}
