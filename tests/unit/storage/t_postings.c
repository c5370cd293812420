#include "storage/meta/postings.h"
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

static bool same_as_model(const struct postings *p, const struct matcher *ms, size_t n)
{
	uint32_t *ids;
	size_t count, at = 0;
	if (postings_select(p, ms, n, &ids, &count))
		return false;
	bool ok = true;
	for (uint32_t id = 0; id < SERIES; id++) {
		if (!in[id] || matcher_labels(ms, n, model[id]) != REX_YES)
			continue;
		ok = ok && at < count && ids[at] == id;
		at++;
	}
	ok = ok && at == count;
	mem_free(ids);
	return ok;
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
	postings_values(s->p, n->name, n->name_len, count_value, &of);
	if (of.values == n->values && of.series == n->series)
		s->names++;
	s->values += of.values;
	return true;
}

static bool tenth(void *arg)
{
	unsigned *n = arg;
	return ++*n % 10 == 0;
}

static bool at_once(void *arg)
{
	unsigned *calls = arg;
	++*calls;
	return true;
}

/* An expression that needs the engine can be interrupted after each value. */
static void test_engine(struct postings *p)
{
	struct matcher m = make(MATCHER_RE, "pod", ".*.*.*1.*[0-9]");
	struct postings_select *s = postings_select_begin(p, &m, 1);
	unsigned calls = 0, steps = 1;
	struct sums values = { .p = p };

	while (postings_select_step(s, at_once, &calls) == POSTINGS_MORE)
		steps++;
	postings_values(p, "pod", 3, count_value, &values);
	tap_ok(values.values > 10 && steps == values.values,
	    "%u steps for %llu values of an expression", steps, (unsigned long long)values.values);
	postings_select_end(s);
	matcher_release(&m);
}

static void test_steps(struct postings *p)
{
	struct matcher m = make(MATCHER_RE, "pod", "pod-.*1.*");
	struct postings_select *s = postings_select_begin(p, &m, 1);
	enum postings_state st;
	unsigned steps = 0, values = 0;
	/*
	 * Half of the series that match leave while the walk goes on; the others must all be found.
	 */
	while ((st = postings_select_step(s, tenth, &values)) == POSTINGS_MORE) {
		steps++;
		uint32_t id = rnd(SERIES / 2) * 2;
		if (in[id]) {
			postings_del(p, id, model[id]);
			in[id] = false;
		}
	}
	size_t n, at = 0;
	uint32_t *ids = postings_select_ids(s, &n);
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

int main(void)
{
	arena_init(&mem, 1 << 16);
	struct postings *p = postings_create();
	check_all(p, "empty");
	for (uint32_t id = 0; id < SERIES; id++) {
		model[id] = random_labels(id);
		postings_add(p, id, model[id]);
		in[id] = true;
	}
	check_all(p, "full");
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
	postings_names(p, count_name, &s);
	tap_is_u64(s.names, 4, "four names, and their figures agree with their values");
	tap_is_u64(s.values, postings_pairs(p), "the values of all names are the pairs");
	test_engine(p);
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
