#include "storage/append/watch.h"

#include "core/base/mem.h"
#include "core/base/rune.h"

#define NS_PER_MS  UINT64_C(1000000)
#define QUIET_NS   (600000 * NS_PER_MS) /* a tenant without new series for so long goes */
#define BITS_FULL  (WATCH_BITS / 3 * 2)
#define MASK_MOST  ((1u << 30) - 1)
#define TABLE_MOST 64u
#define COUNTS     1024u /* of tenants that are not watched; some share one */

const char *const watch_kind_words[WATCH_KINDS] = {
	[WATCH_PAIR] = "label_of_metric",
	[WATCH_LABEL] = "label",
	[WATCH_METRIC] = "metric",
	[WATCH_TARGET] = "target",
	[WATCH_RULE] = "rule",
};
static const uint32_t table_sizes[WATCH_KINDS] = {
	[WATCH_PAIR] = TABLE_MOST,
	[WATCH_LABEL] = 32,
	[WATCH_METRIC] = 32,
	[WATCH_TARGET] = 32,
	[WATCH_RULE] = 32,
};

struct entry {
	uint64_t series, values; /* of the window, weighed */
	uint32_t rule, bits_set, examples_count;
	char metric[WATCH_TEXT], label[WATCH_NAME], target[WATCH_TEXT];
	char examples[WATCH_EXAMPLES][WATCH_NAME];
	uint64_t bits[WATCH_BITS / 64]; /* of values that came */
};
struct table {
	uint32_t count;
	uint64_t keys[TABLE_MOST];
	uint64_t ranks[TABLE_MOST]; /* what each weighed, halved with each window */
	struct entry *entries;      /* [table_sizes]; NULL until the first one */
};
struct member { /* a tenant */
	uint32_t tenant;
	uint32_t mask;   /* of fingerprints: which ones are looked at */
	uint32_t looked; /* in this window, since mask was set */
	uint64_t window_ns, seen_ns;
	struct table tables[WATCH_KINDS];
};
struct watch_members {
	uint64_t seed;
	uint32_t count;
	struct member *members[WATCH_TENANTS];
	uint32_t counts[COUNTS]; /* new series of the window */
};

void watch_init(struct watch *w, uint64_t seed)
{
	*w = (struct watch){ ._tenant = UINT32_MAX };
	w->_members = mem_zalloc(sizeof(*w->_members));
	w->_members->seed = seed;
}

static void member_free(struct member *m)
{
	for (unsigned k = 0; k < WATCH_KINDS; k++)
		mem_free(m->tables[k].entries);
	mem_free(m);
}

void watch_release(struct watch *w)
{
	struct watch_members *all = w->_members;
	for (uint32_t i = 0; i < all->count; i++)
		member_free(all->members[i]);
	mem_free(all);
}

/* ---- tenants ---- */

static void drop(struct watch_members *w, uint32_t i)
{
	member_free(w->members[i]);
	w->members[i] = w->members[--w->count];
}

/* NULL: all that are watched have new series now. */
static struct member *member_make(struct watch_members *w, uint32_t tenant, uint64_t now_ns)
{
	if (w->count == WATCH_TENANTS) {
		uint32_t quiet = 0;
		for (uint32_t i = 1; i < w->count; i++)
			if (w->members[i]->seen_ns < w->members[quiet]->seen_ns)
				quiet = i;
		if (now_ns - w->members[quiet]->seen_ns < 2 * WATCH_WINDOW_MS * NS_PER_MS)
			return NULL;
		drop(w, quiet);
	}
	struct member *m = mem_zalloc(sizeof(*m));
	m->tenant = tenant;
	m->window_ns = now_ns;
	w->members[w->count++] = m;
	return m;
}

/* NULL: it is not watched. weight: of what it has new. */
static struct member *member_of(
    struct watch_members *w, uint32_t tenant, uint32_t weight, uint64_t now_ns)
{
	struct member *m = NULL;
	for (uint32_t i = 0; i < w->count && !m; i++)
		if (w->members[i]->tenant == tenant)
			m = w->members[i];
	if (UNLIKELY(!m)) {
		uint32_t *count = &w->counts[tenant % COUNTS];
		*count += *count < WATCH_BEGIN ? weight : 0;
		m = *count < WATCH_BEGIN ? NULL : member_make(w, tenant, now_ns);
		if (!m)
			return NULL;
	}
	m->seen_ns = now_ns;
	return m;
}

/* ---- rows ---- */

static void text_set(char *to, size_t size, const char *text, size_t len)
{
	size_t n = len ? rune_cut(text, len, size - 1) : 0;
	if (n)
		memcpy(to, text, n);
	to[n] = 0;
}

/* Weighs it. *fresh: its texts are to be set; it has the rank of whose place it takes, and more. */
static struct entry *entry_of(
    struct member *m, enum watch_kind kind, uint64_t key, uint64_t weight, bool *fresh)
{
	struct table *t = &m->tables[kind];
	key += !key;
	uint32_t first = (uint32_t)(key % (table_sizes[kind] / WATCH_WAYS)) * WATCH_WAYS, at = first;
	for (uint32_t i = first; i < first + WATCH_WAYS; i++) {
		if (t->keys[i] == key) {
			*fresh = false;
			t->ranks[i] += weight;
			return &t->entries[i];
		}
		if (t->ranks[i] < t->ranks[at])
			at = i;
	}
	if (!t->entries)
		t->entries = mem_zalloc(table_sizes[kind] * sizeof(*t->entries));
	t->entries[at] = (struct entry){ .rule = 0 };
	t->keys[at] = key;
	t->ranks[at] += weight;
	*fresh = true;
	return &t->entries[at];
}

static void example_add(struct entry *e, const char *value, uint32_t len)
{
	if (e->examples_count < WATCH_EXAMPLES)
		text_set(e->examples[e->examples_count++], WATCH_NAME, value, len);
}

/* Did it not come before? Values that share a bit count as one. */
static bool is_new(struct entry *e, uint64_t hash)
{
	uint32_t bit = (uint32_t)(hash % WATCH_BITS);
	uint64_t in = UINT64_C(1) << bit % 64;
	if (e->bits[bit / 64] & in)
		return false;
	if (e->bits_set >= BITS_FULL) {
		memset(e->bits, 0, sizeof(e->bits));
		e->bits_set = 0;
	}
	e->bits[bit / 64] |= in;
	e->bits_set++;
	return true;
}

static void entry_count(struct entry *e, uint64_t weight, uint64_t hash, const struct label *l)
{
	e->series += weight;
	if (!is_new(e, hash))
		return;
	e->values += weight;
	example_add(e, l->value, l->value_len);
}

/* Of the window; series are new by themselves. */
static void plain_count(struct entry *e, uint64_t weight)
{
	e->series += weight;
	e->values += weight;
}

struct look {
	uint64_t seed;
	struct member *m;
	uint64_t weight;
	const char *metric;
	uint32_t metric_len;
	uint64_t metric_hash;
	struct label job, instance;
};

static void look_label(const struct look *k, const struct label *l)
{
	bool fresh, name = label_is_name(l);
	uint64_t of = hash64(l->name, l->name_len, k->seed);
	uint64_t value = hash64(l->value, l->value_len, of);
	struct entry *e = entry_of(k->m, WATCH_LABEL, of, k->weight, &fresh);
	if (fresh)
		text_set(e->label, sizeof(e->label), l->name, l->name_len);
	entry_count(e, k->weight, value, l);
	if (name) {
		e = entry_of(k->m, WATCH_METRIC, value, k->weight, &fresh);
		if (fresh)
			text_set(e->metric, sizeof(e->metric), l->value, l->value_len);
		plain_count(e, k->weight);
		return;
	}
	e = entry_of(k->m, WATCH_PAIR, hash_mix64(of ^ k->metric_hash), k->weight, &fresh);
	if (fresh) {
		text_set(e->metric, sizeof(e->metric), k->metric, k->metric_len);
		text_set(e->label, sizeof(e->label), l->name, l->name_len);
	}
	entry_count(e, k->weight, value, l);
}

static void look_target(const struct look *k)
{
	const struct label *job = &k->job, *instance = &k->instance;
	bool fresh;
	if (!job->value_len && !instance->value_len)
		return;
	uint64_t key = hash64(job->value_len ? job->value : "", job->value_len, k->seed);
	key = hash64(instance->value_len ? instance->value : "", instance->value_len, key);
	struct entry *e = entry_of(k->m, WATCH_TARGET, key, k->weight, &fresh);
	if (fresh) {
		char text[2 * WATCH_TEXT + 2];
		size_t n = rune_printf(text, sizeof(text), "%.*s/%.*s",
		    (int)(job->value_len < WATCH_TEXT ? job->value_len : WATCH_TEXT),
		    job->value_len ? job->value : "",
		    (int)(instance->value_len < WATCH_TEXT ? instance->value_len : WATCH_TEXT),
		    instance->value_len ? instance->value : "");
		text_set(e->target, sizeof(e->target), text, n);
	}
	plain_count(e, k->weight);
}

static void look_closely(struct look *k, struct labels ls)
{
	struct label l;
	const char *metric = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, &k->metric_len);
	k->metric = metric;
	k->metric_len = metric ? k->metric_len : 0;
	k->metric_hash = hash64(metric ? metric : "", k->metric_len, k->seed);
	for (struct label_iter it = label_iter(ls); label_next(&it, &l);) {
		if (l.name_len == 3 && !memcmp(l.name, "job", 3))
			k->job = l;
		else if (l.name_len == 8 && !memcmp(l.name, "instance", 8))
			k->instance = l;
		look_label(k, &l);
	}
	look_target(k);
}

void watch_look_(struct watch *w, uint32_t tenant, uint64_t fp, struct labels ls, uint64_t now_ns)
{
	struct member *m = member_of(w->_members, tenant, 1, now_ns);
	if (!m)
		return;
	struct look k = { .seed = w->_members->seed, .m = m, .weight = (uint64_t)m->mask + 1 };
	w->_tenant = tenant;
	w->_mask = m->mask;
	if (watch_bits_(fp) & m->mask)
		return;
	look_closely(&k, ls);
	if (++m->looked < WATCH_LOOKS || m->mask >= MASK_MOST)
		return;
	m->mask = m->mask * 2 + 1;
	m->looked = 0;
	w->_mask = m->mask;
}

void watch_acted(struct watch *w, uint32_t tenant, const struct watch_act *act, uint64_t now_ns)
{
	struct member *m = member_of(w->_members, tenant, WATCH_BEGIN, now_ns);
	bool fresh;
	if (!m)
		return;
	struct entry *e = entry_of(m, WATCH_RULE, act->group, 1, &fresh);
	if (fresh) {
		e->rule = act->rule;
		text_set(e->metric, sizeof(e->metric), act->metric, act->metric_len);
		text_set(e->label, sizeof(e->label), act->label, act->label_len);
		text_set(e->target, sizeof(e->target), act->target, act->target_len);
	}
	plain_count(e, 1);
	if (act->value_len)
		example_add(e, act->value, act->value_len);
}

/* ---- windows ---- */

static void row_tell(struct member *m, enum watch_kind kind, uint32_t i, double seconds,
    double least, void (*fn)(void *arg, const struct watch_row *row), void *arg)
{
	const struct table *t = &m->tables[kind];
	const struct entry *e = &t->entries[i];
	struct watch_row row = { .tenant = m->tenant,
		.kind = kind,
		.rule = e->rule,
		.key = t->keys[i],
		.series = (double)e->series / seconds,
		.values = (double)e->values / seconds };
	if (!t->keys[i] || !e->series || (kind != WATCH_RULE && row.values < least))
		return;
	memcpy(row.metric, e->metric, sizeof(row.metric));
	memcpy(row.label, e->label, sizeof(row.label));
	memcpy(row.target, e->target, sizeof(row.target));
	memcpy(row.examples, e->examples, sizeof(row.examples));
	fn(arg, &row);
}

/* The next window begins; what comes no more makes room for what does. */
static void window_end(struct member *m, uint64_t now_ns)
{
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		struct table *t = &m->tables[k];
		for (uint32_t i = 0; t->entries && i < table_sizes[k]; i++) {
			struct entry *e = &t->entries[i];
			t->ranks[i] /= 2;
			e->series = e->values = 0;
			e->examples_count = 0; /* those of the next window take their places */
		}
	}
	if (m->looked < WATCH_LOOKS / 2)
		m->mask /= 2;
	m->looked = 0;
	m->window_ns = now_ns;
}

void watch_collect(struct watch *w, uint64_t now_ns, double least,
    void (*fn)(void *arg, const struct watch_row *row), void *arg)
{
	struct watch_members *all = w->_members;
	w->_tenant = UINT32_MAX; /* masks change */
	memset(all->counts, 0, sizeof(all->counts));
	for (uint32_t i = all->count; i-- > 0;) {
		struct member *m = all->members[i];
		uint64_t took_ns = now_ns - m->window_ns;
		if (took_ns < WATCH_WINDOW_MS / 2 * NS_PER_MS)
			continue;
		for (unsigned k = 0; k < WATCH_KINDS; k++)
			for (uint32_t n = 0; m->tables[k].entries && n < table_sizes[k]; n++)
				row_tell(m, k, n, (double)took_ns / 1e9, least, fn, arg);
		window_end(m, now_ns);
		if (now_ns - m->seen_ns > QUIET_NS)
			drop(all, i);
	}
}
