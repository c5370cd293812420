/*
 * The index against a plain model: random matchers over series that come and go, in the postings
 * of a head and in the catalog; walks over values while the tree of values changes below them; how
 * much a step of a walk does where there are many values.
 */
#include <stdlib.h>
#include <time.h>

#include "core/base/clock.h"
#include "storage/meta/catalog.h"
#include "storage/meta/idset.h"
#include "storage/meta/postings_priv.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES 20000u
#define SHARD  1u

static uint64_t seed = 88172645463325252u;
static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % n);
}

static struct arena mem;
static struct labels *model;
static bool *in;
static uint32_t series;

static bool model_get(void *arg, uint32_t id, struct labels *out)
{
	(void)arg;
	*out = model[id];
	return in[id];
}

static const struct postings_labels labels = { .get = model_get };

static void set(struct label_builder *b, const char *name, const char *value)
{
	label_builder_set(
	    b, name, strlen(name), arena_strndup(&mem, value, strlen(value)), strlen(value));
}

/* Values that share much and little, short and long ones, some with bytes above 127. */
static struct labels random_labels(uint32_t id)
{
	static const char *const words[] = { "web", "db", "Web",
		"w\xc3\xa9"
		"b",
		"", "cache.eu", "cache.us" };
	char text[256], pad[160];
	struct label_builder b;
	label_builder_init(&b, &mem);
	set(&b, "__name__", rnd(3) ? "up" : "http_requests_total");
	snprintf(text, sizeof(text), "host-%05u.example.com", id / 8);
	set(&b, "instance", text);
	set(&b, "job", words[rnd(COUNT_OF(words))]);
	snprintf(text, sizeof(text), "%08x", id * 2654435761u);
	set(&b, "uid", text);
	/* Beginnings that go beyond what the tree of values looks at. */
	memset(pad, 'p', sizeof(pad));
	pad[80 + rnd(40)] = 0;
	snprintf(text, sizeof(text), "/%s/%u", pad, rnd(2000));
	if (rnd(4))
		set(&b, "path", text);
	snprintf(text, sizeof(text), "%.*s", (int)(1 + rnd(90)), pad);
	if (rnd(3))
		set(&b, "chain", text);
	return label_builder_done(&b);
}

static void model_init(uint32_t count, struct labels (*make)(uint32_t id))
{
	series = count;
	arena_init(&mem, 1 << 16);
	model = mem_array(NULL, count, sizeof(*model));
	in = mem_zalloc(count);
	for (uint32_t id = 0; id < count; id++)
		model[id] = make(id);
}

static void model_release(void)
{
	mem_free(model);
	mem_free(in);
	arena_release(&mem);
}

/* ---- random selectors ---- */

struct selector {
	struct matcher ms[3];
	char texts[3][200];
	size_t count;
};

static void random_expression(char *to, size_t size, const char *name, const char *value)
{
	size_t len = strlen(value), cut = len ? rnd((uint32_t)len + 1) : 0;
	int n = (int)(cut < 100 ? cut : 100), rest = (int)(len - cut < 60 ? len - cut : 60);
	(void)name;
	switch (rnd(11)) {
	case 0: /* what begins so */
		snprintf(to, size, "%.*s.*", n, value);
		break;
	case 1:
		snprintf(to, size, "%.*s[0-9a-f]+.*", n, value);
		break;
	case 2:
		snprintf(to, size, "%.60s|%08x|web", value, rnd(1000) * 2654435761u);
		break;
	case 3:
		snprintf(to, size, "(?i)%.*s.*", n, value);
		break;
	case 4:
		snprintf(to, size, ".*%.*s", rest, value + cut);
		break;
	case 5:
		snprintf(to, size, ".*%.*s.*", rest < 2 ? rest : 2, value + cut);
		break;
	case 6:
		snprintf(to, size, "(%.*s|db|zz)[a-z0-9./-]*", n < 60 ? n : 60, value);
		break;
	case 7:
		snprintf(to, size, "%.80s|", value);
		break;
	case 8:
		snprintf(to, size, "%s", rnd(2) ? ".*" : ".+");
		break;
	case 9:
		snprintf(to, size, "%.*s.?[0-9]*", n, value);
		break;
	default:
		snprintf(to, size, "%s", value);
	}
}

static void random_selector(struct selector *s)
{
	static const char *const names[] = { "__name__", "instance", "job", "uid", "path", "chain",
		"nothing" };
	struct errbuf eb;
	errbuf_init(&eb);
	s->count = 0;
	for (unsigned i = 0, n = 1 + rnd(3); i < n; i++) {
		const char *name = names[rnd(COUNT_OF(names))];
		enum matcher_type type = (enum matcher_type)rnd(4);
		uint32_t len = 0;
		const char *v = label_get(model[rnd(series)], name, strlen(name), &len);
		char value[200];
		snprintf(value, sizeof(value), "%.*s", (int)len, v && rnd(8) ? v : "");
		char *text = s->texts[s->count];
		if (type == MATCHER_EQ || type == MATCHER_NE)
			snprintf(text, sizeof(s->texts[0]), "%s", value);
		else
			random_expression(text, sizeof(s->texts[0]), name, value);
		if (!matcher_init(&s->ms[s->count], type, name, strlen(name), text, strlen(text), &eb))
			s->count++;
	}
}

static void selector_release(struct selector *s)
{
	for (size_t i = 0; i < s->count; i++)
		matcher_release(&s->ms[i]);
}

static bool at_once(void *arg)
{
	++*(uint64_t *)arg;
	return true;
}

static bool is_as_model(const struct selector *s, const uint32_t *ids, size_t count)
{
	size_t at = 0;
	for (uint32_t id = 0; id < series; id++) {
		if (!in[id] || matcher_labels(s->ms, s->count, model[id]) != REX_YES)
			continue;
		if (at == count || ids[at++] != id)
			return false;
	}
	return at == count;
}

static bool postings_as_model(const struct postings *p, const struct selector *s, bool tells)
{
	uint64_t calls = 0;
	struct postings_select *sel =
	    postings_select_begin(p, s->ms, s->count, tells ? &labels : NULL);
	enum postings_state st;
	while ((st = postings_select_step(sel, rnd(2) ? at_once : NULL, &calls)) == POSTINGS_MORE)
		;
	size_t count;
	roaring_bitmap_t *b = postings_select_take(sel);
	uint32_t *ids = idset_array(b, &count);
	bool ok = st == POSTINGS_DONE && is_as_model(s, ids, count);
	roaring_bitmap_free(b);
	postings_select_end(sel);
	mem_free(ids);
	return ok;
}

static void tell_bad(const struct selector *s, const char *where)
{
	static const char *const signs[] = { "=", "!=", "=~", "!~" };
	for (size_t i = 0; i < s->count; i++)
		tap_note("%s: %.*s%s`%s`", where, (int)s->ms[i].name_len, s->ms[i].name,
		    signs[s->ms[i].type], s->texts[i]);
}

static void check_postings(const struct postings *p, unsigned n, const char *when)
{
	unsigned bad = 0;
	for (unsigned i = 0; i < n; i++) {
		struct selector s;
		random_selector(&s);
		bool good = postings_as_model(p, &s, false) && postings_as_model(p, &s, true);
		if (!good && !bad++)
			tell_bad(&s, "postings");
		selector_release(&s);
	}
	tap_is_u64(
	    bad, 0, "%u random selections in memory are as a walk over all series, %s", n, when);
}

/* ---- the head's half ---- */

static void turn_over(struct postings *p, uint32_t id)
{
	if (in[id])
		postings_del(p, id, model[id]);
	else
		postings_add(p, id, model[id]);
	in[id] = !in[id];
}

static bool count_values(void *arg, const struct postings_value *v)
{
	(void)v;
	++*(uint64_t *)arg;
	return true;
}

static void test_postings(void)
{
	struct postings *p = postings_create(42, &labels);
	for (uint32_t id = 0; id < SERIES; id++)
		turn_over(p, id);
	check_postings(p, 60, "full");
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < SERIES / 2; i++)
			turn_over(p, rnd(SERIES));
		check_postings(p, 30, "after half of the series came or went");
	}
	for (uint32_t id = 0; id < SERIES; id++)
		if (in[id] && id % 50)
			turn_over(p, id);
	check_postings(p, 40, "where one of fifty is left");
	struct postings_cursor at = { 0 };
	uint64_t told = 0;
	postings_values(p, "uid", 3, NULL, &at, SIZE_MAX, count_values, &told);
	tap_ok(at.ended && told == postings_values_count(p, "uid", 3, NULL),
	    "every value is told once: %llu", (unsigned long long)told);
	for (uint32_t id = 0; id < SERIES; id++)
		if (in[id])
			turn_over(p, id);
	struct postings_parts parts = postings_parts(p);
	tap_ok(!parts.order && !parts.ids && postings_bytes(p) < 16384,
	    "nothing is left of ids and orders, %zu bytes in all", postings_bytes(p));
	postings_free(p);
}

/* ---- the catalog's half ---- */

static bool apply_some(struct catalog *c, uint32_t from, uint32_t to, uint64_t rank)
{
	struct errbuf eb;
	errbuf_init(&eb);
	struct catalog_def *defs = mem_array(NULL, to - from, sizeof(*defs));
	uint32_t *ids = mem_array(NULL, to - from, sizeof(*ids));
	for (uint32_t id = from; id < to; id++) {
		defs[id - from] = (struct catalog_def){ .id = id, .labels = model[id] };
		ids[id - from] = id;
		in[id] = true;
	}
	struct catalog_range r = { .t_ms = 1000, .ids = ids, .count = to - from };
	enum err e = catalog_apply(c, SHARD, rank, defs, to - from, &r, 1, &eb);
	mem_free(defs);
	mem_free(ids);
	return !e;
}

static bool retain_some(struct catalog *c)
{
	struct errbuf eb;
	errbuf_init(&eb);
	uint32_t *keep = mem_array(NULL, series, sizeof(*keep));
	size_t kept = 0;
	for (uint32_t id = 0; id < series; id++) {
		in[id] = in[id] && rnd(3);
		if (in[id])
			keep[kept++] = id;
	}
	bool more = true;
	enum err e = ERR_OK;
	while (more && !e)
		e = catalog_retain(c, SHARD, INT64_C(1) << 40, keep, kept, 5000, &more, &eb);
	/* They come back with samples of later. */
	struct catalog_range r = { .t_ms = INT64_C(1) << 41, .ids = keep, .count = kept };
	if (!e)
		e = catalog_apply(c, SHARD, 1000, NULL, 0, &r, 1, &eb);
	mem_free(keep);
	return !e;
}

static void check_catalog(struct catalog *c, unsigned n, const char *when)
{
	unsigned bad = 0;
	struct errbuf eb;
	errbuf_init(&eb);
	for (unsigned i = 0; i < n; i++) {
		struct selector s;
		uint32_t *ids = NULL;
		size_t count = 0;
		random_selector(&s);
		bool good = !catalog_select(c, SHARD, 0, s.ms, s.count, INT64_MIN, INT64_MAX, &ids,
		                &count, &eb) &&
		    is_as_model(&s, ids, count);
		if (!good && !bad++)
			tell_bad(&s, "catalog");
		mem_free(ids);
		selector_release(&s);
	}
	tap_is_u64(bad, 0, "%u random selections in the catalog are, too, %s", n, when);
}

static void test_catalog(void)
{
	struct errbuf eb;
	struct catalog *c = NULL;
	errbuf_init(&eb);
	char *dir = testlib_tmpdir("index"), path[512];
	snprintf(path, sizeof(path), "%s/catalog", dir);
	bool ok = !catalog_open(path, 2, 42, &c, &eb);
	for (uint32_t i = 0; ok && i < 5; i++)
		ok = apply_some(c, i * SERIES / 5, (i + 1) * SERIES / 5, i + 1);
	tap_ok(ok, "a catalog of %u series in some generations", SERIES);
	check_catalog(c, 60, "full");
	tap_ok(retain_some(c), "a third is forgotten");
	check_catalog(c, 60, "where a third was forgotten");
	catalog_close(c);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- walks while the tree changes ---- */

#define STAY 4000u

/* Those that stay lie among those that come and go; some begin as far as the tree looks alike. */
static struct labels walked_labels(uint32_t id)
{
	char text[200], pad[120];
	struct label_builder b;
	memset(pad, 'x', sizeof(pad));
	pad[id % 7 == 0 ? 110 : id % 5] = 0;
	snprintf(text, sizeof(text), "%s%05u", pad, id * 7919u % 100000);
	label_builder_init(&b, &mem);
	set(&b, "v", text);
	return label_builder_done(&b);
}

struct seen {
	bool v[100000];
	uint64_t told;
};

static bool see_value(void *arg, const struct postings_value *v)
{
	struct seen *s = arg;
	char digits[6] = "";
	memcpy(digits, v->value + v->value_len - 5, 5);
	s->v[strtoul(digits, NULL, 10)] = true;
	s->told++;
	return true;
}

static void test_walk(void)
{
	static struct seen seen;
	model_init(20000, walked_labels);
	struct postings *p = postings_create(7, &labels);
	for (uint32_t id = 0; id < 20000; id += id < 2 * STAY ? 2 : 1)
		turn_over(p, id);
	unsigned missed = 0;
	for (unsigned walk = 0; walk < 6; walk++) {
		struct postings_cursor at = { 0 };
		bool grows = walk % 2;
		memset(&seen, 0, sizeof(seen));
		for (uint32_t i = 0; !at.ended; i++) {
			postings_values(p, "v", 1, NULL, &at, 1 + rnd(60), see_value, &seen);
			/* Bags burst, and forks become bags, below the walk. */
			for (unsigned k = 0; k < 100; k++) {
				uint32_t id = rnd(20000);
				if ((id >= 2 * STAY || id % 2) && in[id] != grows)
					turn_over(p, id);
			}
		}
		for (uint32_t id = 0; id < 2 * STAY; id += 2)
			missed += !seen.v[id * 7919u % 100000];
	}
	tap_is_u64(missed, 0, "values that stay are told while most others come and go");
	for (uint32_t id = 0; id < 20000; id++)
		if (in[id])
			turn_over(p, id);
	postings_free(p);
	model_release();
}

/* ---- many values ---- */

#define MANY 200000u

static struct labels many_labels(uint32_t id)
{
	char text[32];
	struct label_builder b;
	label_builder_init(&b, &mem);
	snprintf(text, sizeof(text), "%08x", id * 2654435761u);
	set(&b, "uid", text);
	set(&b, "job", id % 1000 ? "x" : "y");
	return label_builder_done(&b);
}

struct pace {
	uint64_t until_ns, calls;
};

static bool is_over(void *arg)
{
	struct pace *p = arg;
	p->calls++;
	return clock_real_mono_ns() >= p->until_ns;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The longest step, as the caller in storage/read makes them: of some 200 us. */
static uint64_t longest_ns(const struct postings *p, struct matcher *ms, size_t count, uint64_t *steps)
{
	struct postings_select *s = postings_select_begin(p, ms, count, &labels);
	enum postings_state st = POSTINGS_MORE;
	uint64_t longest = 0;
	while (st == POSTINGS_MORE) {
		struct pace pace = { .until_ns = clock_real_mono_ns() + 200000 };
		uint64_t from = cpu_ns();
		st = postings_select_step(s, is_over, &pace);
		uint64_t took = cpu_ns() - from;
		longest = took > longest ? took : longest;
	}
	*steps = postings_select_steps(s);
	postings_select_end(s);
	return longest;
}

static void check_pace(const struct postings *p, enum matcher_type type, const char *name,
    const char *value, const char *beside, uint64_t steps_max)
{
	struct errbuf eb;
	struct matcher ms[2];
	size_t count = 0;
	uint64_t best = UINT64_MAX, steps = 0;
	errbuf_init(&eb);
	if (beside && !matcher_init(&ms[count], MATCHER_EQ, "uid", 3, beside, strlen(beside), &eb))
		count++;
	if (!matcher_init(&ms[count], type, name, strlen(name), value, strlen(value), &eb))
		count++;
	for (unsigned i = 0; i < 8 && best > 2000000; i++) {
		uint64_t took = longest_ns(p, ms, count, &steps);
		best = took < best ? took : best;
	}
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	best = 0;
#endif
	tap_ok(best <= 2000000 && steps <= steps_max,
	    "%s `%s`%s: %llu steps, the longest call %.2f ms", name, value,
	    beside ? " beside one id" : "", (unsigned long long)steps, (double)best / 1e6);
	while (count)
		matcher_release(&ms[--count]);
}

static void test_many(void)
{
	model_init(MANY, many_labels);
	struct postings *p = postings_create(9, &labels);
	for (uint32_t id = 0; id < MANY; id++)
		turn_over(p, id);
	char one[16];
	snprintf(one, sizeof(one), "%08x", 77 * 2654435761u);
	check_pace(p, MATCHER_RE, "uid", "[0-9a-f]+7", NULL, MANY * (uint64_t)POSTINGS_CHEAP);
	check_pace(p, MATCHER_RE, "uid", ".*77.*", NULL, 2 * MANY);
	check_pace(p, MATCHER_NE, "uid", "", NULL, 2 * MANY);
	/*
	 * An expression with a known beginning looks at those that begin so: 1 of 256, and a bag.
	 */
	check_pace(p, MATCHER_RE, "uid", "7f[0-9a-f]+", NULL,
	    (MANY / 256 + 2 * TREE_BAG) * (uint64_t)POSTINGS_CHEAP);
	check_pace(p, MATCHER_NRE, "uid", "7f[0-9a-f]+", NULL,
	    (MANY / 256 + 2 * TREE_BAG) * (uint64_t)POSTINGS_CHEAP);
	check_pace(p, MATCHER_NE, "job", "x", one, 100);
	check_pace(p, MATCHER_NE, "job", "y", NULL, 100);
	check_pace(p, MATCHER_NRE, "uid", "[0-9a-f]+7", one, 4 * POSTINGS_CHEAP);
	check_pace(p, MATCHER_RE, "job", "x.*|y[0-9]*", one, 4 * POSTINGS_CHEAP);
	struct postings_parts parts = postings_parts(p);
	double pairs = (double)postings_bytes(p) - (double)parts.ids;
	tap_ok(pairs / MANY < 64, "a pair takes %.1f bytes beside its ids", pairs / MANY);
	for (uint32_t id = 0; id < MANY; id++)
		turn_over(p, id);
	tap_ok(postings_bytes(p) < 131072, "%zu bytes are left when all are gone", postings_bytes(p));
	postings_free(p);
	model_release();
}

int main(void)
{
	model_init(SERIES, random_labels);
	test_postings();
	test_catalog();
	model_release();
	test_walk();
	test_many();
	return tap_done();
}
