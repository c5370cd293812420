/* What kymoctl top makes of /metrics: rates, quantiles of what came between, frames that fit. */
#include "net/ctl/ctltop.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "net/ctl/ctlterm.h"
#include "tests/lib/tap.h"

static struct ctltop_look look(const char *text, uint64_t at_ns)
{
	struct ctltop_look l;
	size_t len = strlen(text);
	char *copy = mem_alloc(len + 1);
	memcpy(copy, text, len + 1);
	ctltop_look_read(&l, copy, len, at_ns);
	return l;
}

static void reads(void)
{
	struct ctltop_look l = look(
	    "# HELP a b\n# TYPE a counter\na 1\nb{x=\"1\",y=\"q\\\"} \"} 2.5\nb{x=\"2\"} 3 1700000000000\n\nbad\nworse{x=\"1\" 3\nc{} NaN\nd  7\n 9\ne x\n{x=\"1\"} 4\nlast 8",
	    0);
	tap_is_u64(l.count, 6, "lines that are no samples are left out");
	tap_ok(ctltop_sum(&l, "a", NULL) == 1 && ctltop_sum(&l, "d", NULL) == 7 &&
	        ctltop_sum(&l, "last", NULL) == 8,
	    "values");
	tap_ok(ctltop_sum(&l, "b", NULL) == 5.5 && ctltop_sum(&l, "b", "x=\"2\"") == 3,
	    "sums of all, of some");
	tap_ok(isnan(ctltop_sum(&l, "none", NULL)) && isnan(ctltop_sum(&l, "b", "x=\"3\"")),
	    "what is not there is no number");
	tap_ok(!ctltop_is_kymod(&l), "no kymod");
	ctltop_look_release(&l);
	l = look("kymo_build_info{version=\"1\"} 1", 0);
	TAP_OK(ctltop_is_kymod(&l));
	ctltop_look_release(&l);
}

static void between(void)
{
	struct ctltop_look a = look(
	    "n 100\nh_bucket{r=\"x\",le=\"0.1\"} 10\nh_bucket{r=\"x\",le=\"1\"} 20\nh_bucket{r=\"x\",le=\"+Inf\"} 20\nh_bucket{r=\"y\",le=\"0.1\"} 5\n"
	    "h_bucket{r=\"y\",le=\"1\"} 5\nh_bucket{r=\"y\",le=\"+Inf\"} 5\n",
	    UINT64_C(1000000000));
	struct ctltop_look b = look(
	    "n 300\nh_bucket{r=\"x\",le=\"0.1\"} 10\nh_bucket{r=\"x\",le=\"1\"} 30\nh_bucket{r=\"x\",le=\"+Inf\"} 30\nh_bucket{r=\"y\",le=\"0.1\"} 95\n"
	    "h_bucket{r=\"y\",le=\"1\"} 95\nh_bucket{r=\"y\",le=\"+Inf\"} 105\n",
	    UINT64_C(3000000000));
	tap_ok(ctltop_rate(&a, &b, "n", NULL) == 100, "a rate");
	tap_ok(ctltop_rate(&b,
	           &(struct ctltop_look){
	               .at_ns = UINT64_C(5000000000), .samples = a.samples, .count = a.count },
	           "n", NULL) == 50,
	    "of a counter that began anew");
	tap_ok(isnan(ctltop_rate(NULL, &b, "n", NULL)) && isnan(ctltop_rate(&b, &b, "n", NULL)),
	    "nothing is between");
	tap_ok(fabs(ctltop_quantile(&a, &b, "h", "r=\"x\"", NULL, 0.5) - 0.55) < 1e-12,
	    "a quantile of what came between: %g",
	    ctltop_quantile(&a, &b, "h", "r=\"x\"", NULL, 0.5));
	tap_ok(fabs(ctltop_quantile(&a, &b, "h", "r=\"y\"", NULL, 0.45) - 0.05) < 1e-12 &&
	        ctltop_quantile(&a, &b, "h", "r=\"y\"", NULL, 0.99) == 1,
	    "over the last bound it is that");
	tap_ok(fabs(ctltop_quantile(&a, &b, "h", "r=\"x\"", "r=\"y\"", 90.0 / 110) - 0.1) < 1e-12,
	    "of two together");
	tap_ok(isnan(ctltop_quantile(&a, &a, "h", NULL, NULL, 0.5)) &&
	        isnan(ctltop_quantile(&a, &b, "none", NULL, NULL, 0.5)),
	    "of nothing: none");
	ctltop_look_release(&a);
	ctltop_look_release(&b);
}

static void frames(void)
{
	char text[20000];
	size_t len = 0;
	struct ctltop_look looks[2];
	for (unsigned i = 0; i < 2; i++) {
		len = (size_t)snprintf(text, sizeof(text),
		    "kymo_build_info{version=\"0.1.0\",revision=\"x\"} 1\nprocess_start_time_seconds 1000\nkymo_samples_stored_total %u\n"
		    "kymo_memory_bytes{part=\"series\"} 9e9\nkymo_memory_limit_bytes{part=\"series\"} 10e9\nkymo_storage_newest_sample_timestamp_seconds{of=\"own\"} 8000\n",
		    1000 + i * 420000);
		for (unsigned t = 0; t < 100; t++)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
			    "kymo_tenant_samples_ingested_total{tenant=\"t%u\"} %u\nkymo_tenant_series{tenant=\"t%u\"} %u\n",
			    t, i * t * 10, t, 1000 - t);
		looks[i] = look(text, UINT64_C(1000000000) * (1 + 2 * i));
	}
	json_t *active = json_loads(
	    "[{\"duration\":\"12.500s\",\"query\":\"slow(\\u001b[2J日本)\"},{\"query\":3},7]", 0,
	    NULL);
	json_t *top = json_loads(
	    "{\"topBySumDuration\":[{\"query\":\"up\",\"timeRangeSeconds\":3600,\"sumDurationSeconds\":2,\"count\":4},{\"query\":\"down\",\"timeRangeSeconds\":0,\"sumDurationSeconds\":1,\"count\":9}],"
	    "\"topByAvgMemoryUsage\":[{\"query\":\"up\",\"timeRangeSeconds\":3600,\"avgMemoryBytes\":5000,\"count\":4}],\"topByCount\":[null,{}]}",
	    0, NULL);
	struct buf b;
	unsigned bad = 0, all = 0;
	for (unsigned columns = 1; columns < 200; columns += 3) {
		for (unsigned rows = 1; rows < 60; rows += 4) {
			for (unsigned k = 0; k < 16; k++) {
				struct ctltop_frame f = { .columns = columns,
					.rows = rows,
					.keys = k & 1,
					.server = "http://127.0.0.1:9470",
					.clock = "now",
					.view = k & 2 ? CTLTOP_TENANTS : CTLTOP_QUERIES,
					.sort = k,
					.was = k & 4 ? &looks[0] : NULL,
					.now = &looks[1],
					.active = k & 8 ? active : NULL,
					.top = k & 8 ? top : NULL };
				buf_init(&b);
				ctltop_draw(&b, &f);
				unsigned lines = 0;
				for (size_t at = 0; at < b.len; lines++) {
					size_t n = 0;
					while (b.data[at + n] != '\n')
						n++;
					bad += ctlterm_width((char *)b.data + at, n) > columns;
					at += n + 1;
				}
				bad += lines > rows || !lines;
				all++;
				buf_release(&b);
			}
		}
	}
	tap_is_u64(bad, 0, "%u frames of any size stay inside", all);
	struct ctltop_frame f = { .columns = 80,
		.rows = 24,
		.keys = true,
		.server = "http://h:1",
		.clock = "12:00",
		.was = &looks[0],
		.now = &looks[1],
		.active = active,
		.top = top };
	buf_init(&b);
	ctltop_draw(&b, &f);
	buf_add_u8(&b, 0);
	char *shown = (char *)b.data;
	tap_ok(!strncmp(shown, "http://h:1  kymod 0.1.0  up 1 h 56 min ", 38) &&
	        strstr(shown, " 12:00\n"),
	    "whose it is, how long it runs: %.79s", shown);
	tap_ok(strstr(shown, "in      210 k samples/s") &&
	        strstr(shown, "writes          -/s   p50         -   p99         -"),
	    "rates, and what is not told");
	tap_ok(strstr(shown, "memory  series 9.00 GB of 10.0 GB"), "a part of memory near its limit");
	const char *runs =
	    strstr(shown, "   12.5 s  runs now       1         -         -  slow(\\x1b[2J日本)\n");
	const char *up = strstr(shown, "    2.0 s    500 ms       4   5.00 kB 1 h 00 min  up\n");
	tap_ok(runs && up && runs < up && strstr(up, "  down\n"),
	    "what runs is first, then the heaviest: %s", shown);
	buf_release(&b);
	f.sort = 2;
	buf_init(&b);
	ctltop_draw(&b, &f);
	buf_add_u8(&b, 0);
	tap_ok(strstr((char *)b.data, "  down\n") < strstr((char *)b.data, "  up\n") &&
	        strstr((char *)b.data, "by count"),
	    "by count it is another one");
	buf_release(&b);
	f.view = CTLTOP_TENANTS;
	f.sort = 0;
	buf_init(&b);
	ctltop_draw(&b, &f);
	buf_add_u8(&b, 0);
	tap_ok(strstr((char *)b.data, "         495       901          -          -  t99\n"),
	    "tenants by samples: %s", (char *)b.data);
	buf_release(&b);
	f.sort = 1;
	buf_init(&b);
	ctltop_draw(&b, &f);
	buf_add_u8(&b, 0);
	tap_ok(strstr((char *)b.data, "  t0\n") && !strstr((char *)b.data, "  t99\n"), "by series");
	buf_release(&b);
	json_decref(active);
	json_decref(top);
	ctltop_look_release(&looks[0]);
	ctltop_look_release(&looks[1]);
}

/* Many loops: their lines are bounded, the busiest stand there. */
static void loops_singly(void)
{
	char text[20000];
	struct ctltop_look looks[2];
	static const unsigned counts[] = { 2, 64 };
	for (unsigned n = 0; n < COUNT_OF(counts); n++) {
		for (unsigned i = 0; i < 2; i++) {
			size_t len = (size_t)snprintf(
			    text, sizeof(text), "kymo_build_info{version=\"0.1.0\"} 1\n");
			for (unsigned l = 0; l < counts[n]; l++)
				len += (size_t)snprintf(text + len, sizeof(text) - len,
				    "kymo_loop_busy_seconds_total{loop=\"%u\"} %g\nkymo_loop_longest_turn_seconds{loop=\"%u\"} %g\n",
				    l, 5 + i * 0.02 * (l + 1), l, 0.001 * (l + 1));
			looks[i] = look(text, UINT64_C(1000000000) * (1 + 2 * i));
		}
		struct ctltop_frame f = { .columns = 80,
			.rows = 30,
			.server = "http://h:1",
			.clock = "12:00",
			.was = &looks[0],
			.now = &looks[1] };
		struct buf b;
		buf_init(&b);
		ctltop_draw(&b, &f);
		buf_add_u8(&b, 0);
		const char *shown = (const char *)b.data;
		if (counts[n] == 2)
			tap_ok(strstr(shown, "\nloops     0   1 %, 1.0 ms         1   2 %, 2.0 ms\n"),
			    "each loop has how busy it is and its longest turn: %s", shown);
		else
			tap_ok(strstr(shown, "\nloops    63  64 %, 64 ms ") &&
			        strstr(shown, " of 64\n") && !strstr(shown, " 10  11 %"),
			    "of many the busiest: %s", shown);
		buf_release(&b);
		f.was = NULL;
		buf_init(&b);
		ctltop_draw(&b, &f);
		buf_add_u8(&b, 0);
		tap_ok(strstr((const char *)b.data, "    -, "), "no rate at the first look");
		buf_release(&b);
		ctltop_look_release(&looks[0]);
		ctltop_look_release(&looks[1]);
	}
}

int main(void)
{
	reads();
	between();
	frames();
	loops_singly();
	return tap_done();
}
