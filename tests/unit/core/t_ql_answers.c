/*
 * core/promql: whole answers, word for word, as Prometheus 3.14 gives them for the same samples. Two metrics of two series each, a sample every 10 s from 0 to 600 s; job_b has nothing from 200 s on.
 */
#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"

#define T0 INT64_C(1700000000000)

static void load(struct memsrc *m)
{
	static const char *const names[] = { "job_a", "job_b" };
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
	/* equal label sets: absent_over_time does not ask, all others do, even at different steps */
	{ "absent_over_time({__name__=~\"job_[ab]\"}[2m:10s])", AT, "" },
	{ "absent_over_time({__name__=~\"job_[ab]\"}[2m])", AT, "" },
	{ "absent_over_time({__name__=~\"job_[ab]\"}[2m:10s])", RANGE, "" },
	{ "absent_over_time({__name__=~\"job_[ab]\"}[2m:10s] offset 15m)", RANGE,
	    "{} 1700000000000:1 1700000300000:1 1700000600000:1" },
	{ "absent_over_time(job_b[1m:10s])", RANGE, "{} 1700000600000:1" },
	{ "absent_over_time((-{__name__=~\"job_[ab]\"})[2m:10s])", AT, SAME },
	{ "present_over_time({__name__=~\"job_[ab]\"}[2m:10s])", AT, SAME },
	{ "count_over_time({__name__=~\"job_[ab]\"}[2m:10s])", AT, SAME },
	{ "present_over_time({__name__=~\"job_[ab]\"}[2m])", AT, SAME },
	{ "count_over_time({__name__=~\"job_[ab]\"}[2m])", RANGE, SAME },
	{ "count(last_over_time({__name__=~\"job_[ab]\"}[2m:10s]))", AT, "{} 1700000100000:4" },
	{ "count(first_over_time({__name__=~\"job_[ab]\"}[2m]))", AT, "{} 1700000100000:4" },
	{ "topk(1, {__name__=~\"job_[ab]\"})", AT, "{__name__=\"job_b\", i=\"1\"} 1700000100000:310" },
	{ "count({__name__=~\"job_[ab]\"})", AT, "{} 1700000100000:4" },
	{ "sum(rate({__name__=~\"job_[ab]\"}[2m]))", AT, SAME },
	{ "absent(-{__name__=~\"job_[ab]\"})", AT, SAME },
	{ "timestamp({__name__=~\"job_[ab]\"})", AT, SAME },
	/* dates beyond all calendars: what int64 does not hold is its least value, as Go converts floats */
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
	/* sums of times at both ends of time */
	{ "job_a @ 9223372036854775 offset -1y", AT, "" },
	{ "job_a @ -9223372036854775 offset 1y", AT, "" },
	{ "rate(job_a[1y] @ 9223372036854775 offset -100y)", RANGE, "" },
	{ "rate(job_a[1y] @ -9223372036854775 offset 100y)", RANGE, "" },
	{ "sum_over_time(job_a[1h:1m] @ 9223372036854775 offset -100y)", AT, "" },
	{ "sum_over_time(job_a[1h:1m] @ -9223372036854775 offset 100y)", AT, "" },
	{ "sum_over_time(job_a[1h:1m])", DUSK, "" },
	{ "sum_over_time(job_a[1h:1m])", DAWN, "" },
	{ "count(predict_linear(job_a[1m] @ 1700000100, 1))", DAWN, "{} -9223372036854775807:2" },
	{ "count(predict_linear(job_a[1m] @ 1700000100, 1))", DUSK, "{} 9223372036854775806:2" },
	{ "count(deriv(job_a[1m] offset -290y))", DUSK, "" },
	{ "count(delta(job_a[1m] offset 290y))", DAWN, "" },
	{ "count(job_a offset 290y)", DAWN, "" },
	{ "count(job_b)", LATE, "" },
};

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
	memsrc_free(m);
	testteam_stop(&tt);
	return tap_done();
}
