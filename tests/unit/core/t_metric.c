#include "core/base/metric.h"
#include "tests/lib/tap.h"

#include <pthread.h>

static void *work(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10000; i++)
		metric_add(M_SAMPLES_STORED, 2);
	metric_gauge_add(M_SERIES_ACTIVE, 5);
	metric_gauge_add(M_SERIES_ACTIVE, -2);
	metric_observe_ns(M_TURN, 3000);
	metric_observe_ns(M_TURN, 1000);
	metric_observe_ns(M_TURN, 100000000000u);
	return NULL;
}

/* A thread that is a loop, and ends: turns of 200 us and 3 s, CPU of one. */
static void *be_loop(void *arg)
{
	unsigned index = *(unsigned *)arg;
	metric_loop(index);
	metric_observe_ns(M_TURN, 200000);
	metric_observe_ns(M_TURN, 3000000000);
	metric_observe_ns(M_TURN_CPU, 150000);
	metric_loop_longest(3000000000);
	if (index)
		metric_loop_window();
	return NULL;
}

static bool series_of_loops(const char *s)
{
	static const char *const lines[] = { "# TYPE kymo_loop_busy_seconds_total counter\n",
		"kymo_loop_busy_seconds_total{loop=\"0\"} 3.0002\n",
		"kymo_loop_busy_seconds_total{loop=\"1\"} 6.0004\n",
		"kymo_loop_cpu_seconds_total{loop=\"0\"} 0.00015\n",
		"# TYPE kymo_loop_each_turn_seconds histogram\n",
		"kymo_loop_each_turn_seconds_bucket{loop=\"0\",le=\"0.0001\"} 0\n",
		"kymo_loop_each_turn_seconds_bucket{loop=\"0\",le=\"0.0005\"} 1\n",
		"kymo_loop_each_turn_seconds_bucket{loop=\"0\",le=\"0.5\"} 1\n",
		"kymo_loop_each_turn_seconds_bucket{loop=\"0\",le=\"+Inf\"} 2\n",
		"kymo_loop_each_turn_seconds_sum{loop=\"0\"} 3.0002\n",
		"kymo_loop_each_turn_seconds_count{loop=\"1\"} 4\n",
		"kymo_loop_longest_turn_seconds{loop=\"0\"} 3\n",
		"kymo_loop_longest_turn_seconds{loop=\"1\"} 3\n" };
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		if (!strstr(s, lines[i])) {
			tap_note("missing: %s", lines[i]);
			return false;
		}
	return true;
}

static void *two_windows(void *arg)
{
	(void)arg;
	metric_loop(2);
	metric_loop_longest(5000);
	metric_loop_window();
	metric_loop_window();
	return NULL;
}

static double found;
static unsigned times;
static void find_stored(void *arg, const struct metric_value *v)
{
	(void)arg;
	if (strcmp(v->name, "kymo_samples_stored_total") == 0) {
		found = v->value;
		times++;
	}
}

static unsigned count(const char *s, const char *word)
{
	unsigned n = 0;
	for (; (s = strstr(s, word)); s++)
		n++;
	return n;
}

static void count_family(void *arg, const struct metric_family *f)
{
	*(unsigned *)arg += f->name[0] && f->help[0];
}

/* As readers of the text want it: one HELP for a name, samples of it right behind. */
static void families_stand_together(const char *text)
{
	unsigned twice = 0, families = 0;
	for (const char *at = text; (at = strstr(at, "# HELP ")); families++) {
		char line[200];
		size_t len = strcspn(at + 7, " ") + 8;
		if (len >= sizeof(line))
			break;
		memcpy(line, at, len);
		line[len] = 0;
		at += len;
		twice += strstr(at, line) != NULL;
	}
	tap_ok(families > 150 && !twice, "each of %u families stands once", families);
}

int main(void)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, work, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	metric_add(M_SAMPLES_STORED, 1);
	tap_is_u64(
	    metric_sum(M_SAMPLES_STORED), 80001, "cells of threads that have ended stay counted");
	tap_is_i64((int64_t)metric_sum(M_SERIES_ACTIVE), 12, "gauges go up and down");
	metric_gauge_set(M_SERIES_ACTIVE, -20);
	tap_is_i64((int64_t)metric_sum(M_SERIES_ACTIVE), -8, "this thread's share is set");
	metric_each(find_stored, NULL);
	tap_ok(times == 1 && found == 80001, "each tells it once");
	uint64_t cells[METRIC_HIST_BOUNDS + 1], none[METRIC_HIST_BOUNDS + 1] = { 0 };
	metric_hist(M_TURN, cells);
	tap_ok(cells[0] == 4 && cells[1] == 4 && cells[METRIC_HIST_BOUNDS] == 4,
	    "a histogram tells its cells");
	tap_is_u64(metric_hist_sum(M_TURN), 4 * UINT64_C(100000004000), "and its sum");
	tap_ok(metric_hist_quantile(cells, 0.5) == 5000 && metric_hist_quantile(cells, 0.3) == 1000 &&
	        metric_hist_quantile(cells, 0.99) == UINT64_MAX && !metric_hist_quantile(none, 0.5),
	    "and quantiles as bounds");
	struct buf b;
	buf_init(&b);
	metric_expose(&b);
	buf_add_u8(&b, 0);
	const char *s = (const char *)b.data;
	families_stand_together(s);
	tap_ok(strstr(s,
	           "# TYPE kymo_samples_stored_total counter\nkymo_samples_stored_total 80001\n") !=
	        NULL,
	    "a counter is exposed");
	tap_ok(strstr(s, "kymo_series_active -8\n") != NULL, "a gauge is exposed");
	tap_ok(strstr(s, "kymo_loop_turn_seconds_bucket{le=\"1e-06\"} 4\n") &&
	        strstr(s, "kymo_loop_turn_seconds_bucket{le=\"5e-06\"} 8\n") &&
	        strstr(s, "kymo_loop_turn_seconds_bucket{le=\"60\"} 8\n") &&
	        strstr(s,
	            "kymo_loop_turn_seconds_bucket{le=\"+Inf\"} 12\nkymo_loop_turn_seconds_sum 400.000016\nkymo_loop_turn_seconds_count 12\n"),
	    "a histogram is exposed in seconds");
	tap_is_u64(count(s, "# TYPE kymo_samples_refused_total"), 1,
	    "rows of one family share their head");
	tap_ok(strstr(s, "kymo_samples_refused_total{reason=\"too_old\"} 0\n") != NULL,
	    "labels are in the name");
	tap_ok(strstr(s, "\nprocess_resident_memory_bytes ") && strstr(s, "\nprocess_open_fds ") &&
	        strstr(s, "\nprocess_start_time_seconds "),
	    "and what the system knows of the process");
	tap_ok(!strstr(s, "kymo_build_info"), "no build is told before it is known");
	buf_clear(&b);
	metric_gauge_set(M_RETENTION_MS, 1500);
	metric_build("1.2", "abc");
	metric_expose(&b);
	buf_add_u8(&b, 0);
	s = (const char *)b.data;
	tap_ok(
	    strstr(s,
	        "# TYPE kymo_build_info gauge\nkymo_build_info{version=\"1.2\",revision=\"abc\"} 1\n") !=
	        NULL,
	    "the build is told");
	tap_ok(
	    strstr(s,
	        "# TYPE kymo_storage_retention_seconds gauge\nkymo_storage_retention_seconds 1.5\n") !=
	        NULL,
	    "milliseconds are exposed in seconds");
	tap_ok(!strstr(s, "kymo_loop_busy"), "nothing is told of loops where there are none");
	for (unsigned i = 0, index[] = { 0, 1, 1 }; i < COUNT_OF(index); i++) {
		pthread_create(&t[0], NULL, be_loop, &index[i]);
		pthread_join(t[0], NULL);
	}
	buf_clear(&b);
	metric_expose(&b);
	buf_add_u8(&b, 0);
	s = (const char *)b.data;
	tap_ok(series_of_loops(s), "turns stand by loop, too, those of one index added up");
	tap_is_u64(count(s, "{loop=\"1\""), METRIC_LOOP_SERIES, "in so many series each");
	families_stand_together(s);
	pthread_create(&t[0], NULL, two_windows, NULL);
	pthread_join(t[0], NULL);
	buf_clear(&b);
	metric_expose(&b);
	buf_add_u8(&b, 0);
	s = (const char *)b.data;
	tap_ok(strstr(s, "kymo_loop_longest_turn_seconds{loop=\"2\"} 0\n") != NULL,
	    "the longest turn is forgotten after the second window");
	unsigned families = 0;
	metric_families(count_family, &families);
	tap_is_u64(families, count(s, "# TYPE "), "every family has its description, once");
	buf_release(&b);
	return tap_done();
}
