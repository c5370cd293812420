#include "storage/meta/postings_priv.h" /* its tables are looked at */
#include "tests/lib/tap.h"

#include <stdlib.h>

static uint64_t seed = 88172645463325252u;
static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % n);
}

#define SERIES 3000

static struct arena mem;
static struct labels model[SERIES];
static bool in[SERIES];

static struct labels random_labels(uint32_t id)
{
	char inst[32], pod[64], job[16];
	snprintf(inst, sizeof(inst), "host-%u", rnd(20));
	snprintf(pod, sizeof(pod), "pod-%u", id / 2);
	snprintf(job, sizeof(job), "job%u", rnd(3));
	struct label_builder b;
	label_builder_init(&b, &mem);
	label_builder_set(&b, "__name__", 8, rnd(2) ? "up" : "ht", 2);
	char *i2 = arena_strndup(&mem, inst, strlen(inst)),
	     *p2 = arena_strndup(&mem, pod, strlen(pod)),
	     *j2 = arena_strndup(&mem, job, strlen(job));
	label_builder_set(&b, "instance", 8, i2, strlen(i2));
	if (rnd(2))
		label_builder_set(&b, "job", 3, j2, strlen(j2));
	if (rnd(3))
		label_builder_set(&b, "pod", 3, p2, strlen(p2));
	return label_builder_done(&b);
}

static struct matcher make(enum matcher_type t, const char *name, const char *value)
{
	struct matcher m;
	struct errbuf eb;
	errbuf_init(&eb);
	if (matcher_init(&m, t, name, strlen(name), value, strlen(value), &eb))
		tap_ok(false, "matcher compiles: %s", eb.text);
	return m;
}

static bool model_labels(void *arg, uint32_t id, struct labels *out)
{
	(void)arg;
	*out = model[id];
	return in[id];
}

static const struct postings_labels labels = { .get = model_labels };

/* In one go; *ids is the caller's. */
static bool select_all(const struct postings *p, const struct matcher *ms, size_t n,
    const struct postings_labels *ls, uint32_t **ids, size_t *count, uint64_t *steps)
{
	struct postings_select *s = postings_select_begin(p, ms, n, ls);
	enum postings_state st = postings_select_step(s, NULL, NULL);
	roaring_bitmap_t *b = postings_select_take(s);
	*steps = postings_select_steps(s);
	postings_select_end(s);
	*count = roaring_bitmap_get_cardinality(b);
	*ids = mem_array(NULL, *count, sizeof(**ids));
	roaring_bitmap_to_uint32_array(b, *ids);
	roaring_bitmap_free(b);
	return st == POSTINGS_DONE;
}

static bool is_as_model(
    const struct postings *p, const struct matcher *ms, size_t n, const struct postings_labels *ls)
{
	uint32_t *ids;
	size_t count, at = 0;
	uint64_t steps;
	bool ok = select_all(p, ms, n, ls, &ids, &count, &steps);
	for (uint32_t id = 0; id < SERIES; id++) {
		if (!in[id] || matcher_labels(ms, n, model[id]) != REX_YES)
			continue;
		ok = ok && at < count && ids[at] == id;
		at++;
	}
	ok = ok && at == count && !(count && postings_select_none(p, ms, n));
	mem_free(ids);
	return ok;
}

static bool same_as_model(const struct postings *p, const struct matcher *ms, size_t n)
{
	return is_as_model(p, ms, n, NULL) && is_as_model(p, ms, n, &labels);
}

static const struct {
	enum matcher_type type;
	const char *name, *value;
} asked[] = {
	{ MATCHER_EQ, "job", "job1" },
	{ MATCHER_EQ, "job", "" },
	{ MATCHER_NE, "job", "job1" },
	{ MATCHER_NE, "job", "" },
	{ MATCHER_RE, "instance", "host-1.*" },
	{ MATCHER_RE, "instance", "host-(1|3|5)" },
	{ MATCHER_NRE, "instance", "host-(1|3|5)" },
	{ MATCHER_RE, "job", "job1|" },
	{ MATCHER_NRE, "job", "job1|" },
	{ MATCHER_RE, "pod", "pod-[0-9]+7" },
	{ MATCHER_NRE, "pod", ".+" },
	{ MATCHER_RE, "pod", ".*" },
	{ MATCHER_NRE, "pod", ".*" },
	{ MATCHER_EQ, "nothing", "x" },
	{ MATCHER_NE, "nothing", "x" },
	{ MATCHER_EQ, "__name__", "up" },
};

static void check_all(const struct postings *p, const char *when)
{
	unsigned bad = 0;
	struct matcher ms[COUNT_OF(asked)];
	for (size_t i = 0; i < COUNT_OF(asked); i++)
		ms[i] = make(asked[i].type, asked[i].name, asked[i].value);
	for (size_t i = 0; i < COUNT_OF(asked); i++) {
		bad += !same_as_model(p, &ms[i], 1);
		for (size_t j = 0; j < COUNT_OF(asked); j++) {
			struct matcher two[3] = { ms[i], ms[j], ms[rnd(COUNT_OF(asked))] };
			bad += !same_as_model(p, two, 3);
		}
	}
	bad += !same_as_model(p, NULL, 0);
	for (size_t i = 0; i < COUNT_OF(asked); i++)
		matcher_release(&ms[i]);
	tap_is_u64(bad, 0, "every selection equals a walk over all series, %s", when);
}

/* A look at single values tells that one is not there, or that few ids have none in common. */
static void check_none(const struct postings *p)
{
	struct matcher ms[] = { make(MATCHER_EQ, "__name__", "up"),
		make(MATCHER_EQ, "nothing", "x"), make(MATCHER_RE, "pod", ".+") };
	tap_ok(postings_select_none(p, ms, 2), "a value that nobody has: nothing");
	tap_ok(!postings_select_none(p, &ms[2], 1), "an expression tells nothing");
	tap_ok(!postings_select_none(p, NULL, 0), "no matcher tells nothing");
	for (size_t i = 0; i < COUNT_OF(ms); i++)
		matcher_release(&ms[i]);
	struct postings *few = postings_create(7, &labels);
	struct labels ls[2];
	uint32_t made = 0, ids[2];
	for (uint32_t id = 0; id < SERIES && made < 2; id++) {
		uint32_t len;
		if (!in[id] || !label_get(model[id], "pod", 3, &len))
			continue;
		postings_add(few, id, model[id]);
		ids[made] = id;
		ls[made++] = model[id];
	}
	struct matcher pods[2][2];
	unsigned bad = made != 2;
	for (uint32_t k = 0; k < made; k++) {
		uint32_t len;
		char pod[2][64];
		for (uint32_t i = 0; i < made; i++) {
			const char *v =
			    label_get(ls[i], i == k ? "pod" : "instance", i == k ? 3 : 8, &len);
			snprintf(pod[i], sizeof(pod[i]), "%.*s", v ? (int)len : 0, v ? v : "");
			pods[k][i] = make(MATCHER_EQ, i == k ? "pod" : "instance", pod[i]);
		}
		bool both = matcher_labels(pods[k], 2, ls[0]) == REX_YES ||
		    matcher_labels(pods[k], 2, ls[1]) == REX_YES;
		bool empty = pods[k][0].matches_empty || pods[k][1].matches_empty;
		bad += !empty && postings_select_none(few, pods[k], 2) == both;
		for (uint32_t i = 0; i < made; i++)
			matcher_release(&pods[k][i]);
	}
	tap_is_u64(bad, 0, "two values of different series have nothing in common");
	for (uint32_t k = 0; k < made; k++)
		postings_del(few, ids[k], ls[k]);
	postings_free(few);
}

struct sums {
	uint64_t names, values, series;
	const struct postings *p;
};
static bool count_value(void *arg, const struct postings_value *v)
{
	struct sums *s = arg;
	s->values++;
	s->series += v->series;
	return true;
}
static bool count_name(void *arg, const struct postings_name *n)
{
	struct sums *s = arg;
	struct sums of = { .p = s->p };
	struct postings_cursor at = { 0 };
	while (!at.ended)
		postings_values(s->p, n->name, n->name_len, NULL, &at, 7, count_value, &of);
	if (of.values == n->values && of.series == n->series)
		s->names++;
	s->values += of.values;
	return true;
}

struct needing {
	uint32_t need;
	unsigned fit, all, lacking; /* lacking: told though they lack something */
};

static bool count_needed(void *arg, const struct postings_value *v)
{
	struct needing *n = arg;
	bool has = (postings_sign(v->value, v->value_len) & n->need) == n->need;
	n->all++;
	n->fit += has;
	n->lacking += !has;
	return true;
}

/* What has all that is needed is told, and nothing else; the bits followed their values about. */
static void test_need(struct postings *p)
{
	unsigned wrong = 0, some = 0;
	for (unsigned i = 0; i < 10; i++) {
		char word[3] = { "0123456789"[i], 'P', i % 2 ? '1' : '-' };
		struct needing all = { .need = postings_sign(word, sizeof(word)) }, told = all;
		struct postings_cursor at = { 0 };
		postings_values(p, "pod", 3, NULL, &at, SIZE_MAX, count_needed, &all);
		at = (struct postings_cursor){ .need = all.need };
		postings_values(p, "pod", 3, NULL, &at, SIZE_MAX, count_needed, &told);
		wrong += !at.ended || told.lacking || told.all != all.fit;
		some += all.fit && all.fit < all.all;
	}
	tap_ok(!wrong && some > 5, "values that lack a character are passed over, no others");
	tap_ok(postings_sign("Pod-1", 5) == postings_sign("poD:1", 5) &&
	        postings_sign("\xc3\xa9", 2) == UINT32_MAX && !postings_sign("_-./", 4),
	    "case and what stands between words do not count, what is not ASCII may be anything");
}

static bool at_once(void *arg)
{
	unsigned *calls = arg;
	++*calls;
	return true;
}

/* An expression that needs the engine can be interrupted after each value that it may hold for. */
static void test_engine(struct postings *p)
{
	struct matcher m = make(MATCHER_RE, "pod", ".*.*.*1.*[0-9]");
	struct postings_select *s = postings_select_begin(p, &m, 1, NULL);
	unsigned calls = 0, steps = 1;
	struct sums values = { .p = p };

	while (postings_select_step(s, at_once, &calls) == POSTINGS_MORE)
		steps++;
	uint64_t all = postings_values_count(p, "pod", 3, NULL);
	struct postings_cursor at = { .need = postings_sign("1", 1) };
	postings_values(p, "pod", 3, NULL, &at, SIZE_MAX, count_value, &values);
	tap_ok(values.values > 10 && values.values < all && steps == values.values + 1,
	    "%u steps for %llu values of an expression", steps, (unsigned long long)values.values);
	postings_select_end(s);
	matcher_release(&m);
}

static void test_steps(struct postings *p)
{
	struct matcher m = make(MATCHER_RE, "pod", "pod-.*1.*|x");
	struct postings_select *s = postings_select_begin(p, &m, 1, NULL);
	enum postings_state st;
	unsigned steps = 0;
	/*
	 * Half of the series that match leave while the walk goes on; the others must all be found.
	 */
	while ((st = postings_select_step(s, at_once, &steps)) == POSTINGS_MORE) {
		uint32_t id = rnd(SERIES / 2) * 2;
		if (in[id]) {
			postings_del(p, id, model[id]);
			in[id] = false;
		}
	}
	size_t n, at = 0;
	roaring_bitmap_t *b = postings_select_take(s);
	n = roaring_bitmap_get_cardinality(b);
	uint32_t *ids = mem_array(NULL, n, sizeof(*ids));
	roaring_bitmap_to_uint32_array(b, ids);
	roaring_bitmap_free(b);
	unsigned missed = 0;
	for (uint32_t id = 0; id < SERIES; id++) {
		while (at < n && ids[at] < id)
			at++;
		if (in[id] && matcher_labels(&m, 1, model[id]) == REX_YES)
			missed += at == n || ids[at] != id;
	}
	tap_ok(st == POSTINGS_DONE && steps > 10, "a walk over values is made in %u steps", steps);
	tap_is_u64(missed, 0, "series that stay are found though others leave between the steps");
	mem_free(ids);
	postings_select_end(s);
	matcher_release(&m);
}

/* Few ids are left: their labels are looked at, not all values. Words are looked up in steps. */
static void test_few(struct postings *p)
{
	char pod[16] = "";
	for (uint32_t id = 0, len; !pod[0]; id++) {
		const char *v = in[id] ? label_get(model[id], "pod", 3, &len) : NULL;
		if (v)
			snprintf(pod, sizeof(pod), "%.*s", (int)len, v);
	}
	struct matcher same[] = { make(MATCHER_EQ, "pod", pod),
		make(MATCHER_RE, "pod", "pod-.*[0-9]|y") };
	uint32_t *ids;
	size_t n;
	uint64_t walked, tested;
	select_all(p, same, 2, NULL, &ids, &n, &walked);
	mem_free(ids);
	select_all(p, same, 2, &labels, &ids, &n, &tested);
	mem_free(ids);
	tap_ok(walked > 500 * POSTINGS_CHEAP && tested < 10 * POSTINGS_CHEAP,
	    "behind a matcher that leaves few ids an expression takes %llu steps, not %llu",
	    (unsigned long long)tested, (unsigned long long)walked);
	struct buf words;
	buf_init(&words);
	for (unsigned i = 0; i < 600; i++)
		buf_printf(&words, "%sp%x", i ? "|" : "", i);
	buf_add_u8(&words, 0);
	struct matcher m = make(MATCHER_RE, "pod", (const char *)words.data);
	struct postings_select *s = postings_select_begin(p, &m, 1, NULL);
	unsigned calls = 0;
	while (postings_select_step(s, at_once, &calls) == POSTINGS_MORE)
		;
	tap_ok(calls >= 2, "many words are looked up in steps (%u)", calls);
	postings_select_end(s);
	buf_release(&words);
	matcher_release(&m);
	matcher_release(&same[0]);
	matcher_release(&same[1]);
}

static bool names_seen[4];

static bool see_name(void *arg, const struct postings_name *n)
{
	(void)arg;
	const char *all[] = { "__name__", "instance", "job", "pod" };
	for (unsigned i = 0; i < 4; i++)
		names_seen[i] |=
		    strlen(all[i]) == n->name_len && !memcmp(all[i], n->name, n->name_len);
	return true;
}

static void test_names(struct postings *p)
{
	size_t left = SIZE_MAX, told = 0;
	while (left)
		told += postings_names(p, &left, 1, see_name, p);
	tap_ok(told == 4 && postings_names_count(p) == 4 && names_seen[0] && names_seen[1] &&
	        names_seen[2] && names_seen[3],
	    "names are told one by one");
}

/* The places in the tables are the seed's secret. */
static void test_seeds(void)
{
	struct postings *p[2] = { postings_create(1, &labels), postings_create(2, &labels) };
	unsigned same = 0, all = 0;
	for (uint32_t id = 0; id < SERIES; id++)
		for (unsigned k = 0; k < 2; k++)
			postings_add(p[k], id, model[id]);
	for (uint32_t i = 0; i < p[0]->pairs_table.size; i++) {
		const struct slot *x = &p[0]->pairs_table.slots[i], *y = &p[1]->pairs_table.slots[i];
		all += x->place != 0;
		same += x->place && x->place == y->place; /* pairs are numbered as they came */
	}
	tap_ok(all > 1000 && same < all / 50,
	    "of %u labels %u stand in the same place under two seeds", all, same);
	postings_free(p[0]);
	postings_free(p[1]);
}

int main(void)
{
	arena_init(&mem, 1 << 16);
	struct postings *p = postings_create(42, &labels);
	check_all(p, "empty");
	for (uint32_t id = 0; id < SERIES; id++) {
		model[id] = random_labels(id);
		postings_add(p, id, model[id]);
		in[id] = true;
	}
	check_all(p, "full");
	check_none(p);
	for (uint32_t i = 0; i < SERIES; i++) {
		uint32_t id = rnd(SERIES);
		if (in[id])
			postings_del(p, id, model[id]);
		else
			postings_add(p, id, model[id]);
		in[id] = !in[id];
	}
	check_all(p, "after some left and came back");
	struct sums s = { .p = p };
	size_t left = SIZE_MAX;
	postings_names(p, &left, SIZE_MAX, count_name, &s);
	tap_is_u64(s.names, 4, "four names, and their figures agree with their values");
	tap_is_u64(s.values, postings_pairs(p), "the values of all names are the pairs");
	test_engine(p);
	test_need(p);
	test_few(p);
	test_names(p);
	test_seeds();
	test_steps(p);
	check_all(p, "after the steps");
	for (uint32_t id = 0; id < SERIES; id++) {
		if (in[id])
			postings_del(p, id, model[id]);
		in[id] = false;
	}
	check_all(p, "empty again");
	tap_is_u64(postings_pairs(p), 0, "no pair is left");
	tap_is_u64(postings_series(p), 0, "no series is left");
	tap_ok(postings_bytes(p) < 100000, "the memory of pairs is given back");
	postings_free(p);
	arena_release(&mem);
	return tap_done();
}
