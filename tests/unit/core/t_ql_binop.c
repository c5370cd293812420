/*
 * core/promql/ql_binop and what else joins or orders vectors: matching, duplicates per step, set
 * operators, choosing aggregations; through whole queries on a source in memory.
 */
#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"

static struct testteam tt;
static struct memsrc *src;
static struct arena mem;

static void put(struct labels ls, int64_t t_ms, double v)
{
	if (memsrc_add(src, ls, t_ms, v))
		abort();
}

#define SERIES(...) label_make(&mem, __VA_ARGS__, NULL)

static void is(const char *text, const struct qlrun_opts *o, const char *want)
{
	char *got = qlrun(&tt, memsrc_source(src), text, o);
	if (!tap_ok(strcmp(got, want) == 0, "%s", text))
		tap_note("  got    %s\n#   wanted %s", got, want);
	free(got);
}

static const struct qlrun_opts at0 = { .digits = 6 };
static const struct qlrun_opts late = { .digits = 6, .features = { .delayed_name_removal = true } };
static const struct qlrun_opts range = { .digits = 6, .end_ms = 120000, .step_ms = 60000 };
static const struct qlrun_opts order = { .digits = 6, .in_order = true };
static const struct qlrun_opts fill = { .digits = 6, .features = { .fill_modifiers = true } };

static void load_pairs(void)
{
	memsrc_clear(src);
	put(SERIES("__name__", "a", "i", "1"), 0, 10);
	put(SERIES("__name__", "a", "i", "2"), 0, 20);
	put(SERIES("__name__", "a", "i", "3"), 0, 30);
	put(SERIES("__name__", "b", "i", "1"), 0, 1);
	put(SERIES("__name__", "b", "i", "2"), 0, 2);
	put(SERIES("__name__", "b", "i", "4"), 0, 4);
	put(SERIES("__name__", "c", "i", "1", "k", "x"), 0, 100);
	put(SERIES("__name__", "c", "i", "1", "k", "y"), 0, 200);
}

static void one_to_one(void)
{
	load_pairs();
	is("a + b", &at0, "{i=\"1\"} 0:11; {i=\"2\"} 0:22");
	is("a > b", &at0, "{__name__=\"a\", i=\"1\"} 0:10; {__name__=\"a\", i=\"2\"} 0:20");
	is("a < bool b", &at0, "{i=\"1\"} 0:0; {i=\"2\"} 0:0");
	is("a > on (i) b", &at0, "{i=\"1\"} 0:10; {i=\"2\"} 0:20");
	is("a * ignoring (i) b", &at0,
	    "error: found duplicate series for the match group {} on the right hand-side of the operation: [{__name__=\"b\", i=\"1\"}, {__name__=\"b\", i=\"2\"}];many-to-many matching not allowed: matching labels must be unique on one side");
	is("c * on (i) b", &at0,
	    "error: multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
	is("a - on () nothing", &at0, "");
	is("nothing - on () b", &at0, "");
	is("-a", &at0, "{i=\"1\"} 0:-10; {i=\"2\"} 0:-20; {i=\"3\"} 0:-30");
	is("2 > bool a", &at0, "{i=\"1\"} 0:0; {i=\"2\"} 0:0; {i=\"3\"} 0:0");
	is("15 < a", &at0, "{__name__=\"a\", i=\"2\"} 0:20; {__name__=\"a\", i=\"3\"} 0:30");
	is("a </ 3", &at0,
	    " | PromQL info: incompatible sample types encountered for binary operator \"</\": float </ float (1:1)");
}

static void many_to_one(void)
{
	load_pairs();
	is("c * on (i) group_left b", &at0, "{i=\"1\", k=\"x\"} 0:100; {i=\"1\", k=\"y\"} 0:200");
	is("b * on (i) group_right c", &at0, "{i=\"1\", k=\"x\"} 0:100; {i=\"1\", k=\"y\"} 0:200");
	is("b - on (i) group_right (k) c", &at0,
	    "error: multiple matches for labels: grouping labels must ensure unique matches");
	is("a + on (i) group_left (k) c", &at0,
	    "error: found duplicate series for the match group {i=\"1\"} on the right hand-side of the operation: [{__name__=\"c\", i=\"1\", k=\"x\"}, {__name__=\"c\", i=\"1\", k=\"y\"}];many-to-many matching not allowed: matching labels must be unique on one side");
	is("c > on (i) group_left b", &at0,
	    "{__name__=\"c\", i=\"1\", k=\"x\"} 0:100; {__name__=\"c\", i=\"1\", k=\"y\"} 0:200");
}

static void fills(void)
{
	load_pairs();
	is("a + fill (0) b", &fill, "{i=\"1\"} 0:11; {i=\"2\"} 0:22; {i=\"3\"} 0:30; {i=\"4\"} 0:4");
	is("a + fill_right (5) b", &fill, "{i=\"1\"} 0:11; {i=\"2\"} 0:22; {i=\"3\"} 0:35");
	is("a + fill_left (5) b", &fill, "{i=\"1\"} 0:11; {i=\"2\"} 0:22; {i=\"4\"} 0:9");
}

static void sets(void)
{
	load_pairs();
	is("a and b", &at0, "{__name__=\"a\", i=\"1\"} 0:10; {__name__=\"a\", i=\"2\"} 0:20");
	is("a unless b", &at0, "{__name__=\"a\", i=\"3\"} 0:30");
	is("a or b", &at0,
	    "{__name__=\"a\", i=\"1\"} 0:10; {__name__=\"a\", i=\"2\"} 0:20; {__name__=\"a\", i=\"3\"} 0:30; {__name__=\"b\", i=\"4\"} 0:4");
	is("a or on () b", &at0,
	    "{__name__=\"a\", i=\"1\"} 0:10; {__name__=\"a\", i=\"2\"} 0:20; {__name__=\"a\", i=\"3\"} 0:30");
	is("a and on () vector(1)", &at0,
	    "{__name__=\"a\", i=\"1\"} 0:10; {__name__=\"a\", i=\"2\"} 0:20; {__name__=\"a\", i=\"3\"} 0:30");
	is("a unless on () vector(1)", &at0, "");
}

/* Two series of one group that are never there together: no error, and the results join. */
static void presence_decides_per_step(void)
{
	memsrc_clear(src);
	struct labels x = SERIES("__name__", "r", "v", "1"), y = SERIES("__name__", "r", "v", "2");
	put(SERIES("__name__", "l"), 0, 1);
	put(SERIES("__name__", "l"), 60000, 2);
	put(SERIES("__name__", "l"), 120000, 3);
	put(x, 0, 10);
	put(x, 60000, sample_stale());
	put(y, 60000, 20);
	put(y, 120000, 30);
	is("l + on () r", &range, "{} 0:11 60000:22 120000:33");
	is("l + on () group_left (v) r", &range, "{v=\"1\"} 0:11; {v=\"2\"} 60000:22 120000:33");
	is("r * on () group_left l", &range, "{v=\"1\"} 0:10; {v=\"2\"} 60000:40 120000:90");
	put(x, 120000, 5);
	is("l + on () r", &range,
	    "error: found duplicate series for the match group {} on the right hand-side of the operation: [{__name__=\"r\", v=\"1\"}, {__name__=\"r\", v=\"2\"}];many-to-many matching not allowed: matching labels must be unique on one side");
}

static void names_collide(void)
{
	load_pairs();
	is("abs({i=\"1\", k=\"\"})", &at0,
	    "error: vector cannot contain metrics with the same labelset");
	is("abs({i=\"1\", k=\"\"}) > 5", &at0,
	    "error: vector cannot contain metrics with the same labelset");
	is("sum(abs({i=\"1\", k=\"\"}))", &at0,
	    "error: vector cannot contain metrics with the same labelset");
	is("sum(abs({i=\"1\", k=\"\"}))", &late, "{} 0:11");
	is("sum by (__name__) (abs({i=\"1\", k=\"\"}))", &late,
	    "error: vector cannot contain metrics with the same labelset");
	is("abs({i=\"1\", k=\"\"}) > 5", &late, "{i=\"1\"} 0:10");
	is("last_over_time({i=\"1\", k=\"\"}[5m])", &at0,
	    "{__name__=\"a\", i=\"1\"} 0:10; {__name__=\"b\", i=\"1\"} 0:1");
	is("sum_over_time({i=\"1\", k=\"\"}[5m])", &at0,
	    "error: vector cannot contain metrics with the same labelset");
}

static void choosing(void)
{
	load_pairs();
	is("topk(2, a)", &order, "{__name__=\"a\", i=\"3\"} 0:30; {__name__=\"a\", i=\"2\"} 0:20");
	is("bottomk(2, a)", &order, "{__name__=\"a\", i=\"1\"} 0:10; {__name__=\"a\", i=\"2\"} 0:20");
	is("topk(0, a)", &order, "");
	is("topk(NaN, a)", &order, "error: Parameter value is NaN");
	is("topk(1e300, a)", &order, "error: Scalar value 1e+300 overflows int64");
	is("sort_desc(b)", &order,
	    "{__name__=\"b\", i=\"4\"} 0:4; {__name__=\"b\", i=\"2\"} 0:2; {__name__=\"b\", i=\"1\"} 0:1");
	is("quantile(0.5, a)", &at0, "{} 0:20");
	is("quantile(1.5, a)", &at0,
	    "{} 0:inf | PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:10)");
	is("count_values(\"v\", a > bool 15)", &at0, "{v=\"0\"} 0:1; {v=\"1\"} 0:2");
	is("scalar(a{i=\"1\"}) + a", &at0, "{i=\"1\"} 0:20; {i=\"2\"} 0:30; {i=\"3\"} 0:40");
	is("absent(nothing{i=\"7\", k=~\"x\"})", &at0, "{i=\"7\"} 0:1");
	is("label_replace(a, \"j\", \"n$1\", \"i\", \"(.)\")", &at0,
	    "{__name__=\"a\", i=\"1\", j=\"n1\"} 0:10; {__name__=\"a\", i=\"2\", j=\"n2\"} 0:20; {__name__=\"a\", i=\"3\", j=\"n3\"} 0:30");
	static char joins[40000], replaces[60000];
	size_t n = (size_t)snprintf(joins, sizeof joins, "label_join(c, \"j\", \"%0*d\"", 9000, 0);
	for (unsigned i = 0; i < 10; i++)
		n += (size_t)snprintf(joins + n, sizeof joins - n, ", \"i\"");
	snprintf(joins + n, sizeof joins - n, ")");
	is(joins, &at0, "error: label_join() makes a label value of more than 65536 bytes");
	n = (size_t)snprintf(replaces, sizeof replaces,
	    "label_replace(label_replace(c, \"j\", \"%0*d\", \"i\", \".*\"), \"j\", \"", 9000, 0);
	for (unsigned i = 0; i < 10; i++)
		n += (size_t)snprintf(replaces + n, sizeof replaces - n, "$0");
	snprintf(replaces + n, sizeof replaces - n, "\", \"j\", \".*\")");
	is(replaces, &at0, "error: label_replace() makes a label value of more than 65536 bytes");
	is("label_join(c, \"j\", \"-\", \"i\", \"k\")", &at0,
	    "{__name__=\"c\", i=\"1\", j=\"1-x\", k=\"x\"} 0:100; {__name__=\"c\", i=\"1\", j=\"1-y\", k=\"y\"} 0:200");
	is("sort(a)", &range,
	    "{__name__=\"a\", i=\"1\"} 0:10 60000:10 120000:10; {__name__=\"a\", i=\"2\"} 0:20 60000:20 120000:20; {__name__=\"a\", i=\"3\"} 0:30 60000:30 120000:30 | PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)");
}

int main(void)
{
	arena_init(&mem, 4096);
	testteam_start(&tt, 2);
	src = memsrc_create(tt.team, 3);
	one_to_one();
	many_to_one();
	fills();
	sets();
	presence_decides_per_step();
	names_collide();
	choosing();
	tap_is_u64(memsrc_open_cursors(src), 0, "every cursor was closed");
	memsrc_free(src);
	testteam_stop(&tt);
	arena_release(&mem);
	return tap_done();
}
