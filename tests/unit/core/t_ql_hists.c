/*
 * core/promql over series with native histograms, which are stored but not evaluated: they are left
 * out of every float column, are no number anywhere, and the answer says so once.
 * f: floats 0..40 every 10 s. m: the same with histograms from 200 s to 290 s. h: histograms alone.
 */
#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"

#define T0 INT64_C(1700000000000)
#define INFO                                                                                       \
 " | PromQL info: native histograms are stored but not evaluated by this version, they are left out"

static void add(struct memsrc *m, const char *name, bool hist(unsigned k))
{
	struct arena a;
	arena_init(&a, 4096);
	struct labels ls = label_make(&a, "__name__", name, NULL);
	for (unsigned k = 0; k <= 40; k++)
		if (memsrc_add(m, ls, T0 + k * 10000, hist(k) ? num_from_bits(SAMPLE_HIST_BITS) : k))
			abort();
	arena_release(&a);
}
static bool never(unsigned k)
{
	return k > 100;
}
static bool sometimes(unsigned k)
{
	return k >= 20 && k < 30;
}
static bool always(unsigned k)
{
	return k < 100;
}

/* at: seconds after T0; told: the info is there */
static const struct {
	const char *q;
	int64_t at;
	const char *want;
	bool told;
} cases[] = {
	{ "f", 250, "f @250 25", false },
	{ "h", 250, "", true },
	{ "m", 250, "", true }, /* the newest sample is a histogram: not the float before it */
	{ "m", 190, "m @190 19", false },
	{ "m", 310, "m @310 31", true },
	{ "sum(m)", 250, "", true },
	{ "count(m) + count(f)", 310, "2", true },
	{ "count_over_time(m[100s])", 300, "1", true },
	{ "count_over_time(h[100s])", 300, "", true },
	{ "sum_over_time(m[1h])", 400, "575", true },
	{ "max_over_time(m[1h])", 250, "19", true },
	{ "avg_over_time(m[80s])", 230, "17.5", true },
	{ "last_over_time(m[100s])", 250, "19", true },
	{ "timestamp(m)", 250, "", true },
	{ "absent(h)", 250, "1", true },
	{ "m == m", 250, "", true },
	{ "h[1m]", 250, "", true },
	{ "sum(f)", 250, "25", false },
};

static void check(struct testteam *tt, struct memsrc *m, size_t i)
{
	struct qlrun_opts o = { .start_ms = T0 + cases[i].at * 1000 };
	char *s = qlrun(tt, memsrc_source(m), cases[i].q, &o);
	char *note = strstr(s, " | ");
	bool told = note && strncmp(note, INFO, sizeof(INFO) - 1) == 0 &&
	    !strstr(note + sizeof(INFO) - 1, "native");
	tap_ok(told == cases[i].told && !strstr(s, "NaN"), "%s at %d s: %s", cases[i].q,
	    (int)cases[i].at, s);
	if (note)
		*note = 0;
	const char *v = strrchr(cases[i].want, ' ');
	v = v ? v + 1 : cases[i].want;
	size_t len = strlen(s), n = strlen(v);
	bool ends = *v ? len >= n && !strcmp(s + len - n, v) : !strchr(s, '=');
	if (!tap_ok(ends, "gives %s", *v ? v : "nothing"))
		tap_note("got %s", s);
	free(s);
}

int main(void)
{
	struct testteam tt;
	testteam_start(&tt, 1);
	struct memsrc *m = memsrc_create(tt.team, 2);
	memsrc_histograms(m);
	add(m, "f", never);
	add(m, "m", sometimes);
	add(m, "h", always);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check(&tt, m, i);
	memsrc_shaky(m, 3);
	check(&tt, m, 9);
	memsrc_free(m);
	testteam_stop(&tt);
	return tap_done();
}
