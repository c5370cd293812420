#include "core/model/deltacum.h"

#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/list.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/purse.h"
#include "core/base/tally.h"
#include "core/model/deltacum_priv.h"
#include "core/rt/stripes.h"

#define SHARE         3u  /* a tenant holds at most so many times what is free */
#define GONE_ASIDE    2u  /* silent streams that go when their part is asked for */
#define GONE_IN_PART  64u /* ... by a sweep, under one lock */
#define GONE_IN_SWEEP 4096u
#define BEGIN_POINTS  16u /* so many of a stream may be in the request that made it */
#define ALLOC_BYTES   16u /* what malloc has of its own, by and large */
#define SLOT_BYTES    16u /* of the table, for each stream */

enum kind {
	KIND_VALUE,
	KIND_VALUES, /* more than one */
	KIND_EXP
};
struct stream {
	struct stream *next;                  /* of its slot */
	struct list_link idle;                /* in its part, silent for longest first */
	uint64_t hash, heard_ns, bytes;       /* heard_ns: of its last point */
	uint64_t start_ns, t_ns;              /* of the sum */
	uint64_t last_start_ns, last_content; /* of the last point, as it came */
	uint32_t tenant, key_len;
	uint8_t kind;
	bool first;     /* the sum is that of one point */
	uint32_t count; /* of values */
	uint64_t layout;
	double value; /* the only one */
	void *block;  /* more than one: all of them; or struct block_exp */
	uint8_t key[];
};
struct block_exp { /* counts of the positive, then of the negative side */
	struct deltacum_exp all;
	uint64_t words[];
};
struct part {
	struct stream **slots; /* a power of two of them, or none */
	size_t slots_count, count;
	struct list_link idle;
	uint64_t stale_ns; /* of who was here last: streams go in the order of the list */
};
struct deltacum {
	struct stripes *locks;
	struct tally *streams, *bytes; /* by tenant */
	struct purse purse;
	uint64_t seed; /* nobody can choose keys that meet */
	unsigned sweep_at;
	struct part parts[DELTACUM_PARTS];
};

const char *deltacum_text(enum deltacum_told told)
{
	static const char *const texts[DELTACUM_TOLD] = {
		[DELTACUM_ADDED] = "it was added",
		[DELTACUM_AGAIN] = "it was added before",
		[DELTACUM_OUT_OF_ORDER] = "it is not later than the last delta point of its series",
		[DELTACUM_OLD_START] =
		    "it starts before its series does: do several processes send the same series?",
		[DELTACUM_BAD] = "it is no increment: not finite, negative, or out of range",
		[DELTACUM_STREAMS] = "there are as many delta streams as may be",
		[DELTACUM_MEMORY] = "there is no memory for more delta streams",
	};
	return texts[told];
}

struct deltacum *deltacum_create(uint64_t max_bytes)
{
	struct deltacum *dc = mem_zalloc(sizeof(*dc));
	CHECK(max_bytes > 0);
	dc->locks = stripes_create(DELTACUM_PARTS);
	dc->streams = tally_create();
	dc->bytes = tally_create();
	purse_init(&dc->purse, max_bytes, NULL);
	purse_show(&dc->purse, M_DELTA_BYTES);
	if (getrandom(&dc->seed, sizeof(dc->seed), GRND_NONBLOCK) != (ssize_t)sizeof(dc->seed))
		dc->seed = clock_real_mono_ns() ^ (uintptr_t)dc;
	for (unsigned i = 0; i < DELTACUM_PARTS; i++)
		list_init(&dc->parts[i].idle);
	return dc;
}

/* ---- Under the lock of a part ---- */

static bool charge(struct deltacum *dc, uint32_t tenant, uint64_t bytes)
{
	if (!purse_take(&dc->purse, bytes))
		return false;
	uint64_t used = purse_used(&dc->purse), has = tally_get(dc->bytes, tenant) + bytes;
	uint64_t free_bytes = used < dc->purse.max ? dc->purse.max - used : 0;
	if (has / SHARE > free_bytes) {
		purse_give(&dc->purse, bytes);
		return false;
	}
	tally_add(dc->bytes, tenant, bytes);
	return true;
}

static void discharge(struct deltacum *dc, uint32_t tenant, uint64_t bytes)
{
	tally_sub(dc->bytes, tenant, bytes);
	purse_give(&dc->purse, bytes);
}

static void slots_grow(struct part *p)
{
	size_t count = p->slots_count ? p->slots_count * 2 : 8;
	struct stream **slots = mem_zalloc(count * sizeof(struct stream *));
	for (size_t i = 0; i < p->slots_count; i++) {
		for (struct stream *s = p->slots[i], *next; s; s = next) {
			next = s->next;
			s->next = slots[s->hash / DELTACUM_PARTS & (count - 1)];
			slots[s->hash / DELTACUM_PARTS & (count - 1)] = s;
		}
	}
	mem_free(p->slots);
	p->slots = slots;
	p->slots_count = count;
}

static struct stream **slot_of(const struct part *p, uint64_t hash)
{
	return &p->slots[hash / DELTACUM_PARTS & (p->slots_count - 1)];
}

static void stream_free(struct deltacum *dc, struct part *p, struct stream *s)
{
	struct stream **at = slot_of(p, s->hash);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	list_del(&s->idle);
	p->count--;
	discharge(dc, s->tenant, s->bytes);
	tally_sub(dc->streams, s->tenant, 1);
	metric_gauge_add(M_DELTA_STREAMS, -1);
	mem_free(s->block);
	mem_free(s);
}

static bool is_silent(const struct part *p, const struct stream *s, uint64_t now_ns)
{
	return now_ns > s->heard_ns && now_ns - s->heard_ns > p->stale_ns;
}

static size_t let_go(struct deltacum *dc, struct part *p, uint64_t now_ns, size_t most)
{
	size_t n = 0;
	while (n < most && !list_empty(&p->idle)) {
		struct stream *s = CONTAINER_OF(p->idle.next, struct stream, idle);
		if (!is_silent(p, s, now_ns))
			break;
		stream_free(dc, p, s);
		n++;
	}
	return n;
}

/* ---- A point's turn ---- */

struct turn {
	const struct deltacum_ask *a;
	struct deltacum_when *w;
	enum kind kind;
	uint64_t content, hash;
	struct part *part;
	struct stream *s; /* NULL: there is none yet */
	bool begins;      /* the sum is to begin with this point */
};

static struct stream *find(const struct turn *t)
{
	if (!t->part->slots_count)
		return NULL;
	struct stream *s = *slot_of(t->part, t->hash);
	for (; s; s = s->next) {
		if (s->hash == t->hash && s->tenant == t->a->tenant && s->kind == t->kind &&
		    s->key_len == t->w->key_len && !memcmp(s->key, t->w->key, s->key_len))
			break;
	}
	return s;
}

static enum deltacum_told judge(const struct turn *t)
{
	const struct stream *s = t->s;
	const struct deltacum_when *w = t->w;
	if (t->begins)
		return DELTACUM_ADDED;
	if (w->t_ns == s->t_ns && w->start_ns == s->last_start_ns && t->content == s->last_content)
		return DELTACUM_AGAIN;
	if (w->start_ns && w->start_ns < s->start_ns)
		return DELTACUM_OLD_START;
	return w->t_ns <= s->t_ns ? DELTACUM_OUT_OF_ORDER : DELTACUM_ADDED;
}

static unsigned part_index(const struct turn *t)
{
	return (unsigned)(t->hash % DELTACUM_PARTS);
}

/* Takes the lock; turn_end lets it go. */
static enum deltacum_told turn_begin(struct turn *t)
{
	const struct deltacum_ask *a = t->a;
	t->hash =
	    hash64(t->w->key, t->w->key_len, a->dc->seed ^ ((uint64_t)t->kind << 32 | a->tenant));
	stripes_lock(a->dc->locks, part_index(t));
	t->part = &a->dc->parts[part_index(t)];
	t->part->stale_ns = a->stale_ns;
	t->s = find(t);
	t->begins = !t->s || is_silent(t->part, t->s, a->now_ns);
	return judge(t);
}

/* The stream of this turn exists now, or why not. */
static enum deltacum_told stream_make(struct turn *t)
{
	struct deltacum *dc = t->a->dc;
	uint32_t tenant = t->a->tenant;
	uint64_t bytes = sizeof(struct stream) + t->w->key_len + ALLOC_BYTES + SLOT_BYTES;
	if (t->s)
		return DELTACUM_ADDED;
	let_go(dc, t->part, t->a->now_ns, GONE_ASIDE);
	if (!tally_take(dc->streams, tenant, t->a->streams_max))
		return DELTACUM_STREAMS;
	if (!charge(dc, tenant, bytes)) {
		tally_sub(dc->streams, tenant, 1);
		return DELTACUM_MEMORY;
	}
	if (t->part->count >= t->part->slots_count)
		slots_grow(t->part);
	struct stream *s = mem_zalloc(sizeof(*s) + t->w->key_len);
	s->hash = t->hash;
	s->tenant = tenant;
	s->kind = (uint8_t)t->kind;
	s->bytes = bytes;
	s->key_len = t->w->key_len;
	memcpy(s->key, t->w->key, t->w->key_len);
	struct stream **slot = slot_of(t->part, t->hash);
	s->next = *slot;
	*slot = s;
	list_add_tail(&t->part->idle, &s->idle);
	t->part->count++;
	metric_gauge_add(M_DELTA_STREAMS, 1);
	t->s = s;
	return DELTACUM_ADDED;
}

/* A block of so many bytes (0: none) in place of the one of `had` bytes. */
static bool block_take(struct turn *t, size_t bytes, size_t had)
{
	struct stream *s = t->s;
	size_t cost = bytes ? bytes + ALLOC_BYTES : 0, own = had ? had + ALLOC_BYTES : 0;
	if (bytes == had)
		return true;
	if (!charge(t->a->dc, s->tenant, cost))
		return false;
	mem_free(s->block);
	s->block = bytes ? mem_alloc(bytes) : NULL;
	s->bytes += cost - own;
	discharge(t->a->dc, s->tenant, own);
	return true;
}

/*
 * Who repeats a point had no answer, so the points of its request may not be stored, the first one
 * of the stream with its 0 among them: it may begin here as well.
 */
static bool may_begin(const struct stream *s, enum deltacum_told told)
{
	return s->first ||
	    (told == DELTACUM_AGAIN && s->last_start_ns &&
	        (s->t_ns - s->start_ns) / BEGIN_POINTS <= s->t_ns - s->last_start_ns);
}

/* The point is in the sum (ADDED). */
static void keep(const struct turn *t)
{
	struct stream *s = t->s;
	s->first = t->begins;
	if (t->begins)
		s->start_ns = t->w->start_ns;
	s->t_ns = t->w->t_ns;
	s->last_start_ns = t->w->start_ns;
	s->last_content = t->content;
}

static const enum metric_id counters[DELTACUM_TOLD] = {
	[DELTACUM_ADDED] = M_DELTA_ADDED,
	[DELTACUM_AGAIN] = M_DELTA_AGAIN,
	[DELTACUM_OUT_OF_ORDER] = M_DELTA_OUT_OF_ORDER,
	[DELTACUM_OLD_START] = M_DELTA_OLD_START,
	[DELTACUM_BAD] = M_DELTA_BAD,
	[DELTACUM_STREAMS] = M_DELTA_STREAMS_LIMIT,
	[DELTACUM_MEMORY] = M_DELTA_MEMORY,
};

static enum deltacum_told turn_end(struct turn *t, enum deltacum_told told)
{
	struct stream *s = t->s;
	if (s && !deltacum_refused(told)) {
		s->heard_ns = t->a->now_ns;
		list_del(&s->idle);
		list_add_tail(&t->part->idle, &s->idle);
		t->w->begins = may_begin(s, told);
		t->w->start_ns = s->start_ns;
	} else if (s && !s->t_ns && t->begins) {
		stream_free(t->a->dc, t->part, s); /* made in vain */
	}
	stripes_unlock(t->a->dc->locks, part_index(t));
	metric_add(counters[told], 1);
	return told;
}

/* Refused before there was a turn. */
static enum deltacum_told bad(void)
{
	metric_add(M_DELTA_BAD, 1);
	return DELTACUM_BAD;
}

/* ---- Values ---- */

static bool is_increment(bool grows, double v)
{
	return isfinite(v) && (!grows || v >= 0);
}

static double *values_of(struct stream *s)
{
	return s->count == 1 ? &s->value : s->block;
}

/* They are all, and nothing is left of the others. */
static bool values_keep(struct turn *t, uint64_t layout, const double *values, uint32_t count)
{
	struct stream *s = t->s;
	size_t had = s->count > 1 ? s->count * sizeof(double) : 0;
	if (!block_take(t, count > 1 ? count * sizeof(double) : 0, had))
		return false;
	s->count = count;
	s->layout = layout;
	memcpy(values_of(s), values, count * sizeof(double));
	keep(t);
	return true;
}

static enum deltacum_told values_turn(struct turn *t, uint64_t layout, double *values, uint32_t count)
{
	if (t->s && (t->s->layout != layout || t->s->count != count))
		t->begins = true;
	if (t->begins) {
		enum deltacum_told told = stream_make(t);
		if (told == DELTACUM_ADDED && !values_keep(t, layout, values, count))
			told = DELTACUM_MEMORY;
		return told;
	}
	double *sums = values_of(t->s);
	for (uint32_t i = 0; i < count; i++)
		values[i] = sums[i] += values[i];
	keep(t);
	return DELTACUM_ADDED;
}

enum deltacum_told deltacum_values(const struct deltacum_ask *a, struct deltacum_when *w,
    uint64_t layout, bool grows, double *values, uint32_t count)
{
	CHECK(count > 0);
	if (!w->t_ns || (count == 1 && !is_increment(grows, values[0])))
		return bad();
	struct turn t = { .a = a,
		.w = w,
		.kind = count == 1 ? KIND_VALUE : KIND_VALUES,
		.content = hash64(values, count * sizeof(double), layout) };
	enum deltacum_told told = turn_begin(&t);
	if (told == DELTACUM_ADDED)
		told = values_turn(&t, layout, values, count);
	else if (told == DELTACUM_AGAIN && t.s->count == count)
		memcpy(values, values_of(t.s), count * sizeof(double));
	else if (told == DELTACUM_AGAIN)
		told = DELTACUM_OUT_OF_ORDER;
	return turn_end(&t, told);
}

/* ---- Exponential histograms ---- */

static size_t exp_bytes(uint32_t positive, uint32_t negative)
{
	return sizeof(struct block_exp) + ((size_t)positive + negative) * 8;
}

static uint64_t exp_content(const struct deltacum_exp *e)
{
	uint64_t head[] = { e->count, e->zero_count, num_bits(e->sum), num_bits(e->zero_threshold),
		(uint64_t)e->scale << 1 | e->has_sum,
		(uint64_t)(uint32_t)e->positive.offset << 32 | (uint32_t)e->negative.offset };
	uint64_t h = hash64(head, sizeof(head), 0);
	if (e->positive.count)
		h = hash64(e->positive.counts, (size_t)e->positive.count * 8, h);
	return e->negative.count ? hash64(e->negative.counts, (size_t)e->negative.count * 8, h) : h;
}

static bool exp_keep(struct turn *t, const struct deltaexp_sum *sum)
{
	const struct block_exp *had = t->s->block;
	const struct deltaexp_side *p = &sum->positive, *n = &sum->negative;
	size_t had_bytes = had ? exp_bytes(had->all.positive.count, had->all.negative.count) : 0;
	if (!block_take(t, exp_bytes(p->count, n->count), had_bytes))
		return false;
	struct block_exp *b = t->s->block;
	memcpy(b->words, p->counts, (size_t)p->count * 8);
	memcpy(b->words + p->count, n->counts, (size_t)n->count * 8);
	b->all = sum->all;
	b->all.positive = (struct deltacum_side){ p->first, p->count, b->words };
	b->all.negative = (struct deltacum_side){ n->first, n->count, b->words + p->count };
	keep(t);
	return true;
}

static enum deltacum_told exp_turn(struct turn *t, const struct deltacum_exp *e)
{
	struct deltaexp_sum sum;
	const struct block_exp *have = t->begins ? NULL : t->s->block;
	if (!deltaexp_add(have ? &have->all : NULL, e, &sum))
		return DELTACUM_BAD;
	enum deltacum_told told = stream_make(t);
	if (told == DELTACUM_ADDED && !exp_keep(t, &sum))
		told = DELTACUM_MEMORY;
	return told;
}

/* words: room for both sides. */
static void exp_as_kept(const struct turn *t, struct deltacum_exp *e, uint64_t *words)
{
	const struct block_exp *b = t->s->block;
	uint32_t positive = b->all.positive.count, negative = b->all.negative.count;
	memcpy(words, b->words, ((size_t)positive + negative) * 8);
	*e = b->all;
	e->positive.counts = words;
	e->negative.counts = words + positive;
}

static bool is_threshold(double v)
{
	return isfinite(v) && v >= 0;
}

enum deltacum_told deltacum_exp(
    const struct deltacum_ask *a, struct deltacum_when *w, struct deltacum_exp *e)
{
	uint64_t *words = arena_array(a->arena, DELTACUM_BUCKETS * 2, sizeof(uint64_t));
	if (!words || !is_threshold(e->zero_threshold) || !w->t_ns)
		return bad();
	struct turn t = { .a = a, .w = w, .kind = KIND_EXP, .content = exp_content(e) };
	enum deltacum_told told = turn_begin(&t);
	if (told == DELTACUM_ADDED)
		told = exp_turn(&t, e);
	if (!deltacum_refused(told))
		exp_as_kept(&t, e, words);
	return turn_end(&t, told);
}

/* ---- The book ---- */

void deltacum_sweep(struct deltacum *dc, uint64_t now_ns)
{
	size_t gone = 0;
	for (unsigned i = 0; i < DELTACUM_PARTS && gone < GONE_IN_SWEEP; i++) {
		unsigned at = dc->sweep_at++ % DELTACUM_PARTS;
		stripes_lock(dc->locks, at);
		gone += let_go(dc, &dc->parts[at], now_ns, GONE_IN_PART);
		stripes_unlock(dc->locks, at);
	}
}

uint64_t deltacum_streams(const struct deltacum *dc, uint32_t tenant)
{
	return tally_get(dc->streams, tenant);
}

uint64_t deltacum_bytes(const struct deltacum *dc)
{
	return purse_used(&dc->purse);
}

void deltacum_free(struct deltacum *dc)
{
	if (!dc)
		return;
	for (unsigned i = 0; i < DELTACUM_PARTS; i++) {
		struct part *p = &dc->parts[i];
		while (!list_empty(&p->idle))
			stream_free(dc, p, CONTAINER_OF(p->idle.next, struct stream, idle));
		mem_free(p->slots);
	}
	purse_end(&dc->purse);
	tally_free(dc->bytes);
	tally_free(dc->streams);
	stripes_free(dc->locks);
	mem_free(dc);
}
