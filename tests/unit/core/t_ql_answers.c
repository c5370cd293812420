/*
 * core/promql: whole answers, word for word, as Prometheus 3.14 gives them for the same samples.
 * Two metrics of two series each, a sample every 10 s from 0 to 600 s; qb has nothing from 200 s
 * on.
 */
#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"

#define T0 INT64_C(1700000000000)

static void load(struct memsrc *m)
{
	static const char *const names[] = { "qa", "qb" };
	struct arena a;

	arena_init(&a, 4096);
	for (unsigned i = 0; i < 4; i++) {
		struct labels ls =
		    label_make(&a, "__name__", names[i % 2], "i", i < 2 ? "0" : "1", NULL);
		for (unsigned k = 0; k <= (i % 2 ? 20 : 60); k++)
			if (memsrc_add(m, ls, T0 + k * 10000, k + i * 100))
				abort();
	}
	arena_release(&a);
}

#define AT                                                                                         \
 {                                                                                                 \
  .start_ms = T0 + 100000                                                                          \
 }
#define LATE                                                                                       \
 {                                                                                                 \
  .start_ms = T0 + 595000                                                                          \
 }
#define RANGE                                                                                      \
 {                                                                                                 \
  .start_ms = T0, .end_ms = T0 + 600000, .step_ms = 300000                                         \
 }
#define DAWN                                                                                       \
 {                                                                                                 \
  .start_ms = INT64_MIN + 1                                                                        \
 }
#define DUSK                                                                                       \
 {                                                                                                 \
  .start_ms = INT64_MAX - 1                                                                        \
 }
#define END                                                                                        \
 {                                                                                                 \
  .start_ms = T0 + 600000                                                                          \
 }
#define TWICE                                                                                      \
 "error: found duplicate series for the match group {} on the right hand-side of the operation: [{__name__=\"qa\", i=\"0\"}, {__name__=\"qa\", i=\"1\"}];many-to-many matching not allowed: matching labels must be unique on one side"
#define SAME "error: vector cannot contain metrics with the same labelset"

static const struct {
	const char *q;
	struct qlrun_opts o;
	const char *want;
} cases[] = {
	/* absent: a name's matchers from left to right */
	{ "absent(no{job=~\"a.*\",job=\"a1\",foo=\"bar\"})", AT,
	    "{foo=\"bar\", job=\"a1\"} 1700000100000:1" },
	{ "absent(no{job=\"a1\",job=~\"a.*\",foo=\"bar\"})", AT, "{foo=\"bar\"} 1700000100000:1" },
	{ "absent(no{job=\"a\",job=\"b\",foo=\"bar\"})", AT, "{foo=\"bar\"} 1700000100000:1" },
	{ "absent(no{job=\"a\",job=\"a\"})", AT, "{} 1700000100000:1" },
	{ "absent(no{job=\"a\",job=\"b\",job=\"c\"})", AT, "{} 1700000100000:1" },
	{ "absent(no{job=\"\",job=\"b\",z=\"1\"})", AT, "{z=\"1\"} 1700000100000:1" },
	{ "absent(no{job!=\"\",job=\"b\"})", AT, "{job=\"b\"} 1700000100000:1" },
	{ "absent(no{job!~\"x?\",job=\"b\"})", AT, "{job=\"b\"} 1700000100000:1" },
	{ "absent(no{job!=\"x\",job=\"b\",z=\"1\"})", AT, "{z=\"1\"} 1700000100000:1" },
	{ "absent(no{job=\"b\",job!=\"\"})", AT, "{} 1700000100000:1" },
	{ "absent(no{b=\"2\",a=~\"x\",c=\"3\",a=\"1\",b=~\"y\"})", AT,
	    "{a=\"1\", c=\"3\"} 1700000100000:1" },
	{ "absent({__name__=\"no\",__name__=~\".*\",a=\"1\"})", AT, "{a=\"1\"} 1700000100000:1" },
	{ "absent((no{a=\"1\"}))", AT, "{a=\"1\"} 1700000100000:1" },
	{ "absent(-no{a=\"1\"})", AT, "{} 1700000100000:1" },
	{ "absent_over_time(no{job=~\"a.*\",job=\"a1\"}[1m])", AT, "{job=\"a1\"} 1700000100000:1" },
	{ "absent_over_time(no{job=\"a1\"}[1m:1s])", AT, "{} 1700000100000:1" },
	{ "absent(no{a=~\"1\",a=\"1\"} @ 0)", RANGE,
	    "{a=\"1\"} 1700000000000:1 1700000300000:1 1700000600000:1" },
	/*
	 * equal label sets: absent_over_time does not ask, all others do, even at different steps
	 */
	{ "absent_over_time({__name__=~\"q[ab]\"}[2m:10s])", AT, "" },
	{ "absent_over_time({__name__=~\"q[ab]\"}[2m])", AT, "" },
	{ "absent_over_time({__name__=~\"q[ab]\"}[2m:10s])", RANGE, "" },
	{ "absent_over_time({__name__=~\"q[ab]\"}[2m:10s] offset 15m)", RANGE,
	    "{} 1700000000000:1 1700000300000:1 1700000600000:1" },
	{ "absent_over_time(qb[1m:10s])", RANGE, "{} 1700000600000:1" },
	{ "absent_over_time((-{__name__=~\"q[ab]\"})[2m:10s])", AT, SAME },
	{ "present_over_time({__name__=~\"q[ab]\"}[2m:10s])", AT, SAME },
	{ "count_over_time({__name__=~\"q[ab]\"}[2m:10s])", AT, SAME },
	{ "present_over_time({__name__=~\"q[ab]\"}[2m])", AT, SAME },
	{ "count_over_time({__name__=~\"q[ab]\"}[2m])", RANGE, SAME },
	{ "count(last_over_time({__name__=~\"q[ab]\"}[2m:10s]))", AT, "{} 1700000100000:4" },
	{ "count(first_over_time({__name__=~\"q[ab]\"}[2m]))", AT, "{} 1700000100000:4" },
	{ "topk(1, {__name__=~\"q[ab]\"})", AT, "{__name__=\"qb\", i=\"1\"} 1700000100000:310" },
	{ "count({__name__=~\"q[ab]\"})", AT, "{} 1700000100000:4" },
	{ "sum(rate({__name__=~\"q[ab]\"}[2m]))", AT, SAME },
	{ "absent(-{__name__=~\"q[ab]\"})", AT, SAME },
	{ "timestamp({__name__=~\"q[ab]\"})", AT, SAME },
	/* duplicates at the very last of 601 steps, and none */
	{ "sum_over_time((vector(-1) <= bool on () ((qa{i=\"0\"} < 60) or (qa{i=\"1\"} >= 260)))[601s:1s])",
	    END, "{} 1700000600000:601" },
	{ "sum_over_time((vector(-1) <= bool on () (qa{i=\"0\"} or (qa{i=\"1\"} >= 260)))[601s:1s])",
	    END, TWICE },
	{ "sum_over_time(((vector(time()) >= 1700000600) <= bool on () (qa{i=\"0\"} or (qa{i=\"1\"} >= 260)))[601s:1s])",
	    END, TWICE },
	{ "sum_over_time(((vector(time()) < 1700000600) > bool on () (qa{i=\"0\"} or (qa{i=\"1\"} >= 260)))[601s:1s])",
	    END, "{} 1700000600000:600" },
	{ "sum_over_time(((qa{i=\"0\"} or (qa{i=\"1\"} >= 260)) > bool on () vector(-1))[601s:1s])",
	    END,
	    "error: multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)" },
	{ "sum_over_time(((qa{i=\"0\"} or (qa{i=\"1\"} >= 260)) > bool on () group_left vector(-1))[601s:1s])",
	    END, "{i=\"0\"} 1700000600000:601; {i=\"1\"} 1700000600000:1" },
	/*
	 * dates beyond all calendars: what int64 does not hold is its least value, as Go converts
	 * floats
	 */
	{ "year(vector(1e16))", AT, "{} 1700000100000:316889355" },
	{ "year(vector(-1e16))", AT, "{} 1700000100000:-316885416" },
	{ "year(vector(1e18))", AT, "{} 1700000100000:31688740476" },
	{ "year(vector(-1e18))", AT, "{} 1700000100000:-31688736537" },
	{ "year(vector(1e19))", AT, "{} 1700000100000:292277026596" },
	{ "year(vector(-1e19))", AT, "{} 1700000100000:292277026596" },
	{ "year(vector(NaN))", AT, "{} 1700000100000:292277026596" },
	{ "month(vector(1e16))", AT, "{} 1700000100000:1" },
	{ "month(vector(Inf))", AT, "{} 1700000100000:12" },
	{ "day_of_month(vector(1e17))", AT, "{} 1700000100000:6" },
	{ "day_of_month(vector(-Inf))", AT, "{} 1700000100000:4" },
	{ "day_of_week(vector(1e18))", AT, "{} 1700000100000:5" },
	{ "day_of_week(vector(1e300))", AT, "{} 1700000100000:0" },
	{ "day_of_year(vector(-1e18))", AT, "{} 1700000100000:69" },
	{ "day_of_year(vector(NaN))", AT, "{} 1700000100000:339" },
	{ "days_in_month(vector(9.3e15))", AT, "{} 1700000100000:28" },
	{ "days_in_month(vector(NaN))", AT, "{} 1700000100000:31" },
	{ "hour(vector(-1e18))", AT, "{} 1700000100000:22" },
	{ "hour(vector(1e19))", AT, "{} 1700000100000:15" },
	{ "minute(vector(1e16))", AT, "{} 1700000100000:46" },
	{ "minute(vector(-Inf))", AT, "{} 1700000100000:30" },
	{ "minute(vector(-9223372036854774784))", AT, "{} 1700000100000:47" },
	/* errors, and which of two comes first */
	{ "1 >/ 2", AT, "error: operator \">/\" not allowed for Scalar operations" },
	{ "vector(scalar(qa) </ 2)", RANGE,
	    "error: operator \"</\" not allowed for Scalar operations" },
	{ "qa[(5m-10m):]", RANGE,
	    "refused: invalid expression type \"range vector\" for range query, must be Scalar or instant Vector" },
	{ "qa[(5m-10m):]", AT, "refused: 4:10: duration must be greater than 0" },
	/* sums of times at both ends of time */
	{ "qa @ 9223372036854775 offset -1y", AT, "" },
	{ "qa @ -9223372036854775 offset 1y", AT, "" },
	{ "rate(qa[1y] @ 9223372036854775 offset -100y)", RANGE, "" },
	{ "rate(qa[1y] @ -9223372036854775 offset 100y)", RANGE, "" },
	{ "sum_over_time(qa[1h:1m] @ 9223372036854775 offset -100y)", AT, "" },
	{ "sum_over_time(qa[1h:1m] @ -9223372036854775 offset 100y)", AT, "" },
	{ "sum_over_time(qa[1h:1m])", DUSK, "" },
	{ "sum_over_time(qa[1h:1m])", DAWN, "" },
	{ "count(predict_linear(qa[1m] @ 1700000100, 1))", DAWN, "{} -9223372036854775807:2" },
	{ "count(predict_linear(qa[1m] @ 1700000100, 1))", DUSK, "{} 9223372036854775806:2" },
	{ "count(deriv(qa[1m] offset -290y))", DUSK, "" },
	{ "count(delta(qa[1m] offset 290y))", DAWN, "" },
	{ "count(qa offset 290y)", DAWN, "" },
	{ "count(qb)", LATE, "" },
};

/* Samples used and read, as totalQueryableSamples and samplesRead of Prometheus. */
static const struct {
	const char *q;
	uint64_t at[2], minute[2]; /* instant at 300 s; every minute from 0 to 600 s */
} counts[] = {
	{ "1", { 0, 0 }, { 0, 0 } },
	{ "vector(1)", { 0, 0 }, { 0, 0 } },
	{ "nosuch", { 0, 0 }, { 0, 0 } },
	{ "qa", { 2, 2 }, { 22, 22 } },
	{ "qb", { 2, 2 }, { 18, 18 } },
	{ "-qa", { 2, 2 }, { 22, 22 } },
	{ "sum(qa)", { 2, 2 }, { 22, 22 } },
	{ "timestamp(qa)", { 2, 2 }, { 22, 22 } },
	{ "qa + qb", { 4, 4 }, { 40, 40 } },
	{ "qa offset 3m", { 2, 2 }, { 16, 16 } },
	{ "qa @ 1700000100", { 2, 2 }, { 22, 2 } },
	{ "sum(qa @ 1700000100) + qa", { 4, 4 }, { 44, 24 } },
	{ "rate(qa[2m])", { 24, 24 }, { 232, 122 } },
	{ "rate(qa[15s])", { 4, 4 }, { 42, 42 } },
	{ "sum by (i) (rate(qa[2m] @ 1700000300))", { 24, 24 }, { 264, 24 } },
	{ "last_over_time(qb[1m])", { 0, 0 }, { 42, 42 } },
	{ "absent_over_time(qb[1m])", { 0, 0 }, { 42, 42 } },
	{ "topk(2, qa)", { 2, 2 }, { 22, 22 } },
	{ "max_over_time(qa[1m:20s])", { 6, 6 }, { 62, 62 } },
	{ "max_over_time(qa[30s:10s])", { 6, 6 }, { 62, 62 } },
	{ "max_over_time(qa[30s:10s] offset 25s)", { 6, 6 }, { 60, 60 } },
	{ "max_over_time(rate(qa[1m])[2m:30s])", { 8, 30 }, { 76, 118 } },
	{ "max_over_time(sum(qa)[20s:7s])", { 3, 6 }, { 29, 58 } },
	{ "max_over_time(max_over_time(qa[40s:10s])[30s:5s])", { 12, 14 }, { 122, 62 } },
	{ "max_over_time(qa[1m:20s] @ 1700000200)", { 6, 6 }, { 66, 6 } },
	{ "max_over_time(last_over_time(qa[20s] @ 1700000200)[20s:7s])", { 6, 4 }, { 62, 4 } },
	{ "max_over_time(vector(1)[1m:30s])", { 2, 0 }, { 22, 0 } },
	{ "predict_linear(qa[1m] @ 1700000200, 5)", { 12, 12 }, { 132, 12 } },
	{ "count_values(\"v\", qa) and on () qb", { 4, 4 }, { 40, 40 } },
};

static void test_counts(struct testteam *tt, struct memsrc *m)
{
	for (size_t i = 0; i < 2 * COUNT_OF(counts); i++) {
		const char *q = counts[i / 2].q;
		const uint64_t *want = i % 2 ? counts[i / 2].minute : counts[i / 2].at;
		struct ql_stats st = { 0 };
		struct qlrun_opts o = { .start_ms = T0 + 300000, .stats = &st };
		if (i % 2)
			o = (struct qlrun_opts){
				.start_ms = T0, .end_ms = T0 + 600000, .step_ms = 60000, .stats = &st
			};
		free(qlrun(tt, memsrc_source(m), q, &o));
		if (!tap_ok(st.samples_total == want[0] && st.samples_read == want[1],
		        "samples of %s, %s", q, i % 2 ? "range" : "instant"))
			tap_note("used %llu, wanted %llu; read %llu, wanted %llu",
			    (unsigned long long)st.samples_total, (unsigned long long)want[0],
			    (unsigned long long)st.samples_read, (unsigned long long)want[1]);
	}
}

#define STEPS 11
static uint64_t used_at[STEPS], read_at[STEPS];
static uint32_t per_step;

static void see_steps(struct ql *q)
{
	const struct ql_stats *st = ql_stats(q);

	per_step = st->per_step;
	for (uint32_t i = 0; i < per_step && i < STEPS; i++) {
		used_at[i] = st->used_at[i];
		read_at[i] = st->read_at[i];
	}
}

static uint64_t sum_of(const uint64_t *v)
{
	uint64_t sum = 0;
	for (int i = 0; i < STEPS; i++)
		sum += v[i];
	return sum;
}

/* Each step uses as many samples as an instant query at its time. */
static void test_counts_of_steps(struct testteam *tt, struct memsrc *m)
{
	for (size_t k = 0; k < COUNT_OF(counts); k++) {
		const char *q = counts[k].q;
		bool same = true;
		struct qlrun_opts o = { .start_ms = T0,
			.end_ms = T0 + (STEPS - 1) * 60000,
			.step_ms = 60000,
			.per_step = true,
			.at_done = see_steps };
		free(qlrun(tt, memsrc_source(m), q, &o));
		tap_ok(per_step == STEPS && sum_of(used_at) == counts[k].minute[0] &&
		        sum_of(read_at) == counts[k].minute[1],
		    "counts of the steps of %s are those of all", q);
		for (int i = 0; i < STEPS; i++) {
			struct ql_stats st = { 0 };
			uint64_t used = used_at[i];
			struct qlrun_opts at = {
				.start_ms = T0 + i * 60000, .stats = &st, .per_step = true
			};
			free(qlrun(tt, memsrc_source(m), q, &at));
			same = same && st.samples_total == used && st.per_step == 1;
		}
		tap_ok(same, "each step of %s uses what an instant query does", q);
	}
}

/* What each step reads that the steps before did not. */
static const struct {
	const char *q;
	uint64_t first, second, last;
} reads[] = {
	{ "qa", 2, 2, 2 },
	{ "rate(qa[2m])", 2, 12, 12 },
	{ "qa @ 1700000100", 2, 0, 0 },
	{ "rate(qa[2m] @ 1700000300)", 24, 0, 0 },
	{ "max_over_time(qa[1m:20s])", 2, 6, 6 },
	{ "max_over_time(qa[1m:20s] @ 1700000200)", 6, 0, 0 },
	{ "max_over_time(max_over_time(qa[40s:10s])[30s:5s])", 2, 6, 6 },
	{ "max_over_time(last_over_time(qa[20s] @ 1700000200)[20s:7s])", 4, 0, 0 },
};

static void test_reads_of_steps(struct testteam *tt, struct memsrc *m)
{
	for (size_t k = 0; k < COUNT_OF(reads); k++) {
		struct qlrun_opts o = { .start_ms = T0,
			.end_ms = T0 + (STEPS - 1) * 60000,
			.step_ms = 60000,
			.per_step = true,
			.at_done = see_steps };
		free(qlrun(tt, memsrc_source(m), reads[k].q, &o));
		if (!tap_ok(read_at[0] == reads[k].first && read_at[1] == reads[k].second &&
		            read_at[STEPS - 1] == reads[k].last,
		        "what steps of %s read", reads[k].q))
			for (int i = 0; i < STEPS; i++)
				tap_note("%d: %llu", i, (unsigned long long)read_at[i]);
	}
}

int main(void)
{
	struct testteam tt;

	testteam_start(&tt, 1);
	struct memsrc *m = memsrc_create(tt.team, 2);
	load(m);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char *s = qlrun(&tt, memsrc_source(m), cases[i].q, &cases[i].o);
		if (!tap_ok(strcmp(s, cases[i].want) == 0, "%s", cases[i].q))
			tap_note("got %s, wanted %s", s, cases[i].want);
		free(s);
	}
	test_counts(&tt, m);
	test_counts_of_steps(&tt, m);
	test_reads_of_steps(&tt, m);
	memsrc_free(m);
	testteam_stop(&tt);
	return tap_done();
}
