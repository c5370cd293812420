/*
 * b_store - the write path in process: prepared requests of 2,000 rows through the sink seam of a
 * real store, log and syncs included.
 *
 *   b_store [series = 100000] [passes = 30] [loops = 1] [recover [DIR]]
 * Each pass sends one row for every series, in one order, as scrapes do. Label bytes of a request
 * are copied into a body buffer before, as the decoder leaves them (not counted).
 * Printed: ns of CPU per row of loop 0 (batch to answer, and the copy into the batch; its share
 * when there are several), for the pass that creates and for those that append; rows per second of
 * wall time with everything; anonymous memory per series. With "recover": the store is opened
 * again. With a DIR it stays; with 0 passes only the opening is measured.
 */
#include "bench/micro/used.h"
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/wire.h"
#include "storage/store.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROWS   2000u
#define FLIGHT 8u /* requests at a time */

struct flight {
	struct sink_req req;
	struct batch batch;
	uint8_t *body;
	struct run *run;
};
struct run {
	struct testteam tt;
	struct store *store;
	uint32_t series, next, answered;
	uint8_t *bytes; /* labels of all series */
	size_t *at;
	int64_t t_ms;
	uint64_t append_ns;
	unsigned pass;
	enum err err;
	struct flight flights[FLIGHT];
};

static void series_make(struct run *r)
{
	struct arena a;
	arena_init(&a, 1 << 16);
	r->bytes = mem_alloc((size_t)r->series * 300);
	r->at = mem_alloc(((size_t)r->series + 1) * sizeof *r->at);
	size_t at = 0;
	for (uint32_t i = 0; i < r->series; i++) {
		char name[64], inst[64], pod[64], cpu[16];
		uint32_t target = i / 500, metric = i % 500;
		snprintf(name, sizeof name, "node_subsystem%u_seconds_total", metric / 5);
		snprintf(inst, sizeof inst, "10.%u.%u.%u:9100", target >> 16 & 255,
		    target >> 8 & 255, target & 255);
		snprintf(pod, sizeof pod, "exporter-%08x", target * 2654435761u);
		snprintf(cpu, sizeof cpu, "%u", metric % 5);
		struct labels ls = label_make(&a, LABEL_NAME, name, "cluster", "production-eu-1",
		    "container", "exporter", "cpu", cpu, "instance", inst, "job", "node-exporter",
		    "mode", "user", "namespace", "monitoring", "pod", pod, NULL);
		r->at[i] = at;
		memcpy(r->bytes + at, ls.bytes, ls.len);
		at += ls.len;
		arena_reset(&a, 1 << 16);
	}
	r->at[r->series] = at;
	arena_release(&a);
	printf("# %u series, %.0f bytes of labels each\n", r->series, (double)at / r->series);
}

static void done(struct sink_req *req);
static void flight_send(struct flight *f)
{
	struct run *r = f->run;
	if (r->next >= r->series)
		return;
	uint32_t from = r->next, to = from + ROWS < r->series ? from + ROWS : r->series;
	r->next = to;
	batch_clear(&f->batch);
	memcpy(f->body, r->bytes + r->at[from], r->at[to] - r->at[from]);
	for (uint32_t i = from; i < to; i++) {
		struct batch_row *row = batch_add(&f->batch);
		*row = (struct batch_row){ .labels = f->body + (r->at[i] - r->at[from]),
			.labels_len = (uint32_t)(r->at[i + 1] - r->at[i]),
			.t_ms = r->t_ms,
			.v = (double)((uint64_t)i * 7 + r->pass * (1 + i % 13)) };
	}
	f->req.batch = &f->batch;
	f->req.done = done;
	sink_append(store_sink(r->store), &f->req);
}

static void done(struct sink_req *req)
{
	struct flight *f = CONTAINER_OF(req, struct flight, req);
	struct run *r = f->run;
	r->answered += (uint32_t)f->batch.rows_count;
	if (r->answered == r->series)
		r->append_ns = used_cpu_ns() - r->append_ns;
	if (req->err || req->refused)
		r->err = req->err ? req->err : ERR_BADDATA;
	flight_send(f);
}

static void pass_begin(void *arg)
{
	struct run *r = arg;
	r->append_ns = used_cpu_ns();
	for (unsigned i = 0; i < FLIGHT; i++)
		flight_send(&r->flights[i]);
}

static bool pass_done(void *arg)
{
	struct run *r = arg;
	return r->answered == r->series || r->err;
}

static void pass(struct run *r, double *append, double *wall)
{
	uint64_t begun = clock_real_mono_ns();
	r->next = r->answered = 0;
	testteam_run(&r->tt, 0, pass_begin, r);
	if (!testteam_wait(&r->tt, 0, pass_done, r, 600000) || r->err) {
		printf("failed: %s\n", err_text(r->err));
		exit(1);
	}
	*append = (double)r->append_ns / r->series;
	*wall = (double)(clock_real_mono_ns() - begun) / r->series;
	r->pass++;
	r->t_ms += 15000;
}

/* The log leaves the page cache, so that opening again reads the disk. */
static void cool(const char *dir)
{
	char path[600];
	snprintf(path, sizeof path, "%s/log", dir);
	DIR *d = opendir(path);
	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		int fd = openat(dirfd(d), e->d_name, O_RDONLY);
		if (fd >= 0) {
			fdatasync(fd);
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
			close(fd);
		}
	}
	closedir(d);
}

static void store_begin(struct run *r, const char *dir, unsigned loops)
{
	struct errbuf eb;
	struct store_opts o;
	errbuf_init(&eb);
	testteam_start(&r->tt, loops);
	store_opts_default(&o);
	o.dir = dir;
	o.team = r->tt.team;
	o.pool = r->tt.pool;
	o.min_free_bytes = 1;
	o.new_series_per_s = UINT64_MAX;
	o.round_every_ms = 1ll << 40;
	o.log_share_bytes = 1ull << 40;
	if (store_open(&o, &r->store, &eb)) {
		printf("failed: %s\n", eb.text);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct run *r = mem_zalloc(sizeof *r);
	r->series = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
	unsigned passes = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 30;
	unsigned loops = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
	bool recover = argc > 4;
	char *dir = argc > 5 ? argv[5] : testlib_tmpdir("b_store");
	if (passes)
		series_make(r);
	for (unsigned i = 0; i < FLIGHT; i++) {
		r->flights[i].run = r;
		r->flights[i].body = mem_alloc(ROWS * 300);
		batch_init(&r->flights[i].batch);
	}
	r->t_ms = clock_wall_ms() - passes * 15000ll;
	if (!passes) {
		cool(dir);
		uint64_t begun = clock_real_mono_ns();
		store_begin(r, dir, loops);
		printf("open: %.2f s, %llu series\n", (double)(clock_real_mono_ns() - begun) / 1e9,
		    (unsigned long long)store_series(r->store));
		store_close(r->store);
		testteam_stop(&r->tt);
		return 0;
	}
	store_begin(r, dir, loops);
	double before = used_anonymous_bytes(), append, wall, sum = 0, wall_sum = 0, best = 1e9;
	pass(r, &append, &wall);
	printf("create: %.1f ns a row = %.2f M series/s of CPU; wall %.1f ns\n", append,
	    1e3 / append, wall);
	double young = used_anonymous_bytes();
	for (unsigned i = 1; i < passes; i++) {
		pass(r, &append, &wall);
		sum += append;
		wall_sum += wall;
		best = append < best ? append : best;
		if (i == 29)
			printf("memory at 30 samples: %.0f bytes a series\n",
			    (used_anonymous_bytes() - before) / r->series);
	}
	if (passes > 1)
		printf("append: %.1f ns a row (best pass %.1f) = %.2f M rows/s of CPU; wall %.1f ns\n",
		    sum / (passes - 1), best, 1e3 * (passes - 1) / sum, wall_sum / (passes - 1));
	printf("memory: %.0f bytes a series after one sample, %.0f after %u\n",
	    (young - before) / r->series, (used_anonymous_bytes() - before) / r->series, passes);
	if (recover) {
		store_close(r->store);
		testteam_stop(&r->tt);
		cool(dir);
		uint64_t begun = clock_real_mono_ns();
		store_begin(r, dir, loops);
		printf("open again: %.2f s for %.1f M rows, %llu series\n",
		    (double)(clock_real_mono_ns() - begun) / 1e9, (double)r->series * passes / 1e6,
		    (unsigned long long)store_series(r->store));
	}
	store_close(r->store);
	testteam_stop(&r->tt);
	if (argc <= 5)
		testlib_rmtree(dir);
	return 0;
}
