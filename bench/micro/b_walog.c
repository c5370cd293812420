/*
 * The log on a real disk: b_walog DIR [seconds] [rows per request] [requests in flight per loop]
 * Two loops hand over requests as fast as they are acknowledged; then the log is replayed. Beside
 * the latency of answers stands what one write and sync took the disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/wal/replay.h"
#include "storage/wal/walog.h"
#include "storage/wal/walrec.h"
#include "tests/lib/testteam.h"

#define LOOPS       2u
#define ROWS_MAX    WALREC_ROWS_MAX
#define LATENCY_MAX 2000000u

static uint32_t ids[ROWS_MAX];
static int64_t times[ROWS_MAX];
static double values[ROWS_MAX];
static unsigned rows = 5000, window = 4;
static struct client {
	struct walog *w;
	unsigned loop;
	uint64_t sent, durable, number;
	bool stop;
	uint64_t begun[4096];
	uint32_t *latency_us;
	size_t latency_count;
} clients[LOOPS];

static void client_fill(struct client *c)
{
	while (!c->stop && c->sent - c->durable < window) {
		struct walog_frame *f = walog_frame(c->w);
		struct walrec_writer w;
		walrec_begin(&w, &f->payload);
		walrec_group(&w, c->loop, ++c->number);
		walrec_rows(&w, rows, ids, times, values);
		walrec_end(&w);
		c->sent = walog_submit(c->w, f);
		c->begun[c->sent % 4096] = clock_real_mono_ns();
	}
}

static void client_start(void *arg)
{
	client_fill(arg);
}

static void client_report(void *arg, unsigned loop, const struct walog_report *r)
{
	(void)arg;
	struct client *c = &clients[loop];
	uint64_t now = clock_real_mono_ns();
	for (; c->durable < r->durable; c->durable++) {
		if (c->latency_count < LATENCY_MAX)
			c->latency_us[c->latency_count++] =
			    (uint32_t)((now - c->begun[(c->durable + 1) % 4096]) / 1000);
	}
	if (c->number > 20000000 / rows && c->number % 64 == 0)
		walog_complete(c->w, loop, c->number - 20000000 / rows);
	client_fill(c);
}

static void client_stop(void *arg)
{
	((struct client *)arg)->stop = true;
}

static bool client_idle(void *arg)
{
	const struct client *c = arg;
	return c->durable == c->sent;
}

static int u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static enum err frame_count(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	(void)payload;
	*(uint64_t *)arg += len;
	return ERR_OK;
}

static void replay(struct fsio_dir *d, struct replay_result *out, bool show)
{
	uint64_t bytes = 0;
	struct replay_ops ops = { .frame = frame_count };
	uint64_t begin = clock_real_mono_ns();
	if (replay_run(d, &ops, &bytes, out, NULL))
		exit(1);
	double s = (double)(clock_real_mono_ns() - begin) / 1e9;
	if (show)
		printf("replay: %.0f MB in %.3f s, %.2f GB/s, %zu segments\n", (double)bytes / 1e6,
		    s, (double)bytes / s / 1e9, out->segments_count);
}

/* Writes and syncs of the log so far. */
struct disk {
	double syncs, seconds;
};

static void disk_see(void *arg, const struct metric_value *v)
{
	struct disk *d = arg;
	if (strcmp(v->name, "kymo_log_sync_seconds_count") == 0)
		d->syncs = v->value;
	else if (strcmp(v->name, "kymo_log_sync_seconds_sum") == 0)
		d->seconds = v->value;
}

static double cpu_seconds(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 5;
	rows = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : rows;
	window = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : window;
	if (rows < 1 || rows > ROWS_MAX || window < 1 || window > 4095)
		return 2;
	log_setup(LOG_LEVEL_WARN, false);
	for (uint32_t i = 0; i < ROWS_MAX; i++) {
		ids[i] = i;
		times[i] = 1700000000000;
		values[i] = i * 1.1;
	}
	struct fsio_dir *d;
	struct replay_result r;
	struct walog *w;
	struct testteam tt;
	if (fsio_dir_open(argv[1], true, &d))
		return 1;
	replay(d, &r, false);
	testteam_start(&tt, LOOPS);
	struct walog_opts o = { .dir = d, .team = tt.team, .replay = &r, .on_report = client_report };
	if (walog_create(&o, &w, NULL))
		return 1;
	replay_result_release(&r);
	usleep(500000); /* the first spare */
	for (unsigned l = 0; l < LOOPS; l++) {
		clients[l] = (struct client){
			.w = w, .loop = l, .latency_us = malloc(LATENCY_MAX * sizeof(uint32_t))
		};
		testteam_run(&tt, l, client_start, &clients[l]);
	}
	double cpu_begin = cpu_seconds();
	uint64_t begin = clock_real_mono_ns();
	usleep((useconds_t)(seconds * 1e6));
	for (unsigned l = 0; l < LOOPS; l++)
		testteam_run(&tt, l, client_stop, &clients[l]);
	for (unsigned l = 0; l < LOOPS; l++)
		testteam_wait(&tt, l, client_idle, &clients[l], 10000);
	double s = (double)(clock_real_mono_ns() - begin) / 1e9;
	double cpu_s = cpu_seconds() - cpu_begin;
	struct disk disk = { 0 };
	metric_each(disk_see, &disk);
	walog_stop(w);
	testteam_stop(&tt);
	walog_free(w);
	uint64_t sent = 0;
	uint32_t *all = malloc(LOOPS * LATENCY_MAX * sizeof(uint32_t));
	size_t n = 0;
	for (unsigned l = 0; l < LOOPS; l++) {
		sent += clients[l].sent;
		memcpy(all + n, clients[l].latency_us, clients[l].latency_count * sizeof(uint32_t));
		n += clients[l].latency_count;
		free(clients[l].latency_us);
	}
	qsort(all, n, sizeof(*all), u32_cmp);
	if (n)
		printf(
		    "%u rows a request, %u in flight per loop: %.0f requests/s, %.2f M rows/s, %.0f MB/s; latency us p50 %u p90 %u p99 %u p99.9 %u max %u\n",
		    rows, window, (double)sent / s, (double)sent * rows / s / 1e6,
		    (double)metric_sum(M_LOG_BYTES) / s / 1e6, all[n / 2], all[n * 9 / 10],
		    all[n * 99 / 100], all[n * 999 / 1000], all[n - 1]);
	if (disk.syncs > 0)
		printf(
		    "%.1f requests a sync; CPU us a sync %.1f, ns a row %.1f; disk us a sync: mean %.0f\n",
		    (double)sent / disk.syncs, cpu_s * 1e6 / disk.syncs,
		    cpu_s * 1e9 / ((double)sent * rows), disk.seconds / disk.syncs * 1e6);
	free(all);
	replay(d, &r, true);
	replay_result_release(&r);
	fsio_dir_close(d);
	return 0;
}
