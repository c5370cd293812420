/*
 * b_ingest - where the time of a sample goes on the loop: each stage of the write path by itself
 * and one behind the other over the same bodies, then all of them through a store.
 *
 *   b_ingest [series] [rounds] [shuffled | grouped] [1 | 2]
 * The last is the version of Remote Write, 2 with metadata in each series. Without arguments:
 * 100,000 series grouped and shuffled by both versions, 1,000,000 by 1.0.
 * Bodies are those of kymobench's page, replicated over targets, 2,000 samples each, and are made
 * before a round, not counted. A request's body is copied into a body buffer before its stages, as
 * the socket leaves it; decoded bytes and rows live in FLIGHT sets in turn, as of requests that
 * wait for their sync together.
 *
 *   snappy   snapz_decode                 put      series_put
 *   decode   rw1_decode, rw2_decode       record   walrec_rows, of each shard
 *   find     trail_resolve                hash     label_fingerprint: of rows that several loops
 *                                                  share, or that are not found by prediction
 *   store    sink_append up to the answer (find to record, and what is around them), the log's
 *            thread not counted, nothing synced
 *   all      snappy, decode and store
 * Printed: ns of CPU a sample of this thread, mean over the rounds, and the best round.
 */
#include "bench/load/rwbody.h"
#include "bench/micro/used.h"
#include "core/base/clock.h"
#include "core/rt/stamps.h"
#include "proto/rw1.h"
#include "proto/rw2.h"
#include "proto/snapz.h"
#include "storage/head/trail.h"
#include "storage/store.h"
#include "storage/wal/walrec.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS    2000u
#define FLIGHT  4u
#define SHARDS  16u
#define SEED    42u
#define WARM    2u /* rounds that are not counted: series are made, the order is learnt */
#define STEP_MS 15000

enum stage {
	SNAPPY,
	DECODE,
	FIND,
	PUT,
	RECORD,
	HASH,
	STORE,
	ALL,
	STAGES
};
static const char *const stage_words[STAGES] = { "snappy", "decode", "find", "put", "record",
	"hash", "store", "all" };

/* What one request in flight has. */
struct flight {
	struct run *run;
	struct sink_req req;
	struct batch batch;
	struct arena arena;
	uint8_t *decoded;
	size_t decoded_cap;
	struct buf body;
};
struct run {
	struct loadgen *gen;
	struct rwbody *bodies;
	bool two; /* Remote Write 2.0 */
	struct stamps *stamps;
	struct rw2_memory *memory;
	uint64_t round;
	struct buf packed;
	size_t *ends; /* of the bodies in packed */
	uint64_t batches, rows, raw_bytes;
	struct flight flights[FLIGHT];
	/* stages one by one */
	struct slab *mem;
	struct head heads[SHARDS];
	struct trail trail;
	struct head_row found[ROWS];
	struct buf record;
	struct lane {
		uint32_t count, ids[ROWS];
		int64_t t_ms[ROWS];
		double v[ROWS];
	} lanes[SHARDS];
	uint64_t hashed;
	/* through a store */
	struct testteam tt;
	struct store *store;
	uint64_t next, answered, failed, used_ns;
	/* of the round under way, and of all that count */
	uint64_t ns[STAGES];
	double sum[STAGES], best[STAGES];
	unsigned counted;
};

static void bodies_make(struct run *r)
{
	buf_clear(&r->packed);
	loadgen_round(r->gen, r->round++);
	r->rows = r->raw_bytes = 0;
	for (uint64_t i = 0; i < r->batches; i++) {
		struct rwbody_counts counts;
		const struct buf *raw = rwbody_raw(r->bodies, r->gen, i, &counts);
		r->rows += counts.samples;
		r->raw_bytes += raw->len;
		snapz_encode(&r->packed, raw->data, raw->len);
		r->ends[i] = r->packed.len;
	}
}

static void stage_end(struct run *r, enum stage s, uint64_t *from)
{
	uint64_t now = used_cpu_ns();
	r->ns[s] += now - *from;
	*from = used_cpu_ns();
}

static void round_end(struct run *r, enum stage from, enum stage to)
{
	for (enum stage s = from; r->round > WARM && s <= to; s++) {
		double ns = (double)r->ns[s] / (double)r->rows;
		r->sum[s] += ns;
		if (!r->best[s] || ns < r->best[s])
			r->best[s] = ns;
	}
	r->counted += r->round > WARM;
	memset(r->ns, 0, sizeof r->ns);
}

/* Body i, as the socket leaves it: in a buffer that was written just now. */
static void receive(const struct run *r, struct flight *f, uint64_t i)
{
	size_t at = i ? r->ends[i - 1] : 0, len;
	buf_clear(&f->body);
	buf_add(&f->body, r->packed.data + at, r->ends[i] - at);
	CHECK(!snapz_length(f->body.data, f->body.len, &len));
	if (f->decoded_cap < len + SNAPZ_SLOP) {
		f->decoded_cap = 2 * len + SNAPZ_SLOP;
		f->decoded = mem_realloc(f->decoded, f->decoded_cap);
	}
	batch_clear(&f->batch);
	arena_reset(&f->arena, RW2_ARENA_KEEP);
}

static void decode(struct run *r, struct flight *f, uint64_t *from)
{
	size_t len;
	CHECK(!snapz_length(f->body.data, f->body.len, &len));
	CHECK(!snapz_decode(f->body.data, f->body.len, f->decoded, len));
	stage_end(r, SNAPPY, from);
	if (r->two)
		CHECK(!rw2_decode(&f->arena, r->memory, f->decoded, len, NULL, &f->batch, NULL));
	else
		CHECK(!rw1_decode(&f->arena, f->decoded, len, NULL, &f->batch, NULL));
	stage_end(r, DECODE, from);
}

/* ---- stages one by one ---- */

static void find(struct run *r, struct flight *f)
{
	size_t count = f->batch.rows_count;
	for (size_t i = 0; i < count; i++) {
		const struct batch_row *b = &f->batch.rows[i];
		r->found[i] = (struct head_row){ .labels = b->labels,
			.labels_len = b->labels_len,
			.row = (uint32_t)i,
			.place = HEAD_PLACE_NONE,
			.t_ms = b->t_ms,
			.bits = b->bits };
	}
	for (size_t i = 0, n; i < count; i += n) {
		struct head_row *rows = r->found + i;
		struct trail_mark before = trail_mark(&r->trail);
		bool made = false;
		n = count - i < TRAIL_ROWS ? count - i : TRAIL_ROWS;
		trail_resolve(&r->trail, 0, rows, (unsigned)n);
		for (size_t k = 0; k < n; k++) {
			if (LIKELY(rows[k].slot != SERIES_NONE))
				continue;
			struct head *h = &r->heads[rows[k].place];
			struct labels ls = { .bytes = rows[k].labels, .len = rows[k].labels_len };
			rows[k].slot = head_create(h, rows[k].fp, 0, h->series_count, ls);
			made = true;
		}
		if (made)
			trail_learn(&r->trail, before, rows, (unsigned)n);
	}
}

static void put(struct run *r, const struct flight *f)
{
	for (unsigned i = 0; i < SHARDS; i++)
		r->lanes[i].count = 0;
	for (size_t i = 0; i < f->batch.rows_count; i++) {
		const struct head_row *row = &r->found[i];
		struct head *h = &r->heads[row->place];
		struct series *s = head_at(h, row->slot);
		struct lane *l = &r->lanes[row->place];
		CHECK(series_put(s, r->mem, &h->stats, row->t_ms, row->v) == SERIES_PUT_NEW);
		l->ids[l->count] = s->id;
		l->t_ms[l->count] = row->t_ms;
		l->v[l->count++] = row->v;
	}
}

static void record(struct run *r)
{
	struct walrec_writer w;
	buf_clear(&r->record);
	walrec_begin(&w, &r->record);
	for (uint32_t i = 0; i < SHARDS; i++) {
		const struct lane *l = &r->lanes[i];
		walrec_group(&w, i, r->round);
		walrec_rows(&w, l->count, l->ids, l->t_ms, l->v);
	}
	walrec_end(&w);
}

static void hash(struct run *r, const struct flight *f)
{
	for (size_t i = 0; i < f->batch.rows_count; i++) {
		const struct batch_row *b = &f->batch.rows[i];
		struct labels ls = { .bytes = b->labels, .len = b->labels_len };
		r->hashed += label_fingerprint(ls, 0, SEED).lo;
	}
}

static void stages_round(struct run *r)
{
	for (uint64_t i = 0; i < r->batches; i++) {
		struct flight *f = &r->flights[i % FLIGHT];
		receive(r, f, i);
		uint64_t from = used_cpu_ns();
		decode(r, f, &from);
		CHECK(f->batch.rows_count <= ROWS);
		find(r, f);
		stage_end(r, FIND, &from);
		put(r, f);
		stage_end(r, PUT, &from);
		record(r);
		stage_end(r, RECORD, &from);
		hash(r, f);
		stage_end(r, HASH, &from);
		rw2_memory_learn(r->memory, &f->batch);
	}
	round_end(r, SNAPPY, HASH);
}

static void stages(struct run *r, unsigned rounds)
{
	r->mem = slab_create();
	trail_init(&r->trail, SHARDS, 1, SEED);
	for (unsigned i = 0; i < SHARDS; i++) {
		head_init(&r->heads[i], r->mem, SEED);
		trail_head(&r->trail, &r->heads[i]);
	}
	for (unsigned i = 0; i < rounds + WARM; i++) {
		bodies_make(r);
		stages_round(r);
	}
	trail_release(&r->trail);
	for (unsigned i = 0; i < SHARDS; i++)
		head_release(&r->heads[i]);
	slab_free(r->mem);
}

/* ---- through a store ---- */

static void store_done(struct sink_req *req);
static void store_send(struct run *r, struct flight *f)
{
	if (r->next == r->batches)
		return;
	uint64_t from = used_cpu_ns();
	receive(r, f, r->next++);
	stage_end(r, ALL, &from); /* taken off at the end */
	decode(r, f, &from);
	f->req = (struct sink_req){ .batch = &f->batch, .done = store_done };
	sink_append(store_sink(r->store), &f->req);
}

static void store_done(struct sink_req *req)
{
	struct flight *f = CONTAINER_OF(req, struct flight, req);
	struct run *r = f->run;
	r->failed += req->err || req->refused;
	rw2_memory_learn(r->memory, req->batch);
	if (++r->answered == r->batches)
		r->used_ns = used_cpu_ns() - r->used_ns;
	else
		store_send(r, f);
}

static void store_round_begin(void *arg)
{
	struct run *r = arg;
	r->used_ns = used_cpu_ns();
	for (unsigned i = 0; i < FLIGHT; i++)
		store_send(r, &r->flights[i]);
}

static bool store_round_done(void *arg)
{
	struct run *r = arg;
	return r->answered == r->batches;
}

static void store_round(struct run *r)
{
	r->next = r->answered = 0;
	testteam_run(&r->tt, 0, store_round_begin, r);
	CHECK(testteam_wait(&r->tt, 0, store_round_done, r, 600000));
	CHECK(!r->failed);
	r->ns[ALL] = r->used_ns - r->ns[ALL];
	r->ns[STORE] = r->ns[ALL] - r->ns[SNAPPY] - r->ns[DECODE];
	round_end(r, STORE, ALL);
}

static void store_begin(struct run *r, const char *dir)
{
	struct errbuf eb;
	struct store_opts o;
	errbuf_init(&eb);
	testteam_start(&r->tt, 1);
	store_opts_default(&o);
	o.dir = dir;
	o.team = r->tt.team;
	o.pool = r->tt.pool;
	o.shards = SHARDS;
	o.sync = STORE_SYNC_OFF;
	o.min_free_bytes = 1;
	o.new_series_per_s = UINT64_MAX;
	o.round_every_ms = 1ll << 40;
	o.log_share_bytes = 1ull << 40;
	if (store_open(&o, &r->store, &eb)) {
		printf("failed: %s\n", eb.text);
		exit(1);
	}
}

static void through_store(struct run *r, unsigned rounds)
{
	char *dir = testlib_tmpdir("b_ingest");
	store_begin(r, dir);
	r->round = r->counted = 0;
	for (unsigned i = 0; i < rounds + WARM; i++) {
		bodies_make(r);
		store_round(r);
	}
	store_close(r->store);
	testteam_stop(&r->tt);
	testlib_rmtree(dir);
}

/* ---- */

static struct loadgen *gen_make(uint64_t series, unsigned rounds, bool shuffle)
{
	struct errbuf eb;
	struct loadgen *g;
	struct loadgen_opts o = { .series = series,
		.batch = ROWS,
		.start_ms = clock_wall_ms() - (int64_t)(rounds + WARM) * STEP_MS,
		.step_ms = STEP_MS,
		.shuffle = shuffle };
	errbuf_init(&eb);
	if (loadgen_create(&o, &g, &eb)) {
		printf("failed: %s\n", eb.text);
		exit(1);
	}
	return g;
}

static void bench(uint64_t series, unsigned rounds, bool shuffle, bool two)
{
	struct run *r = mem_zalloc(sizeof *r);
	r->gen = gen_make(series, rounds, shuffle);
	r->bodies = rwbody_new(
	    &(struct rwbody_opts){ .protocol = two ? RWBODY_2 : RWBODY_1, .metadata = true });
	r->two = two;
	r->stamps = stamps_create();
	r->memory = rw2_memory_create(r->stamps);
	r->batches = loadgen_batches(r->gen);
	r->ends = mem_array(NULL, r->batches, sizeof *r->ends);
	buf_init(&r->packed);
	buf_init(&r->record);
	for (unsigned i = 0; i < FLIGHT; i++) {
		struct flight *f = &r->flights[i];
		f->run = r;
		batch_init(&f->batch);
		arena_init(&f->arena, 4096);
		buf_init(&f->body);
	}
	stages(r, rounds);
	/* the same bodies once more, from the first round on */
	loadgen_free(r->gen);
	r->gen = gen_make(series, rounds, shuffle);
	through_store(r, rounds);
	printf("# Remote Write %s, %llu series %s, %.0f bytes a sample, %.1f packed\n",
	    two ? "2.0" : "1.0", (unsigned long long)series, shuffle ? "shuffled" : "grouped",
	    (double)r->raw_bytes / (double)r->rows, (double)r->packed.len / (double)r->rows);
	for (enum stage s = 0; s < STAGES; s++)
		printf("%-10s %7.2f ns/sample  best round %7.2f\n", stage_words[s],
		    r->sum[s] / r->counted, r->best[s]);
	for (unsigned i = 0; i < FLIGHT; i++) {
		struct flight *f = &r->flights[i];
		batch_release(&f->batch);
		arena_release(&f->arena);
		buf_release(&f->body);
		mem_free(f->decoded);
	}
	loadgen_free(r->gen);
	rwbody_free(r->bodies);
	rw2_memory_free(r->memory);
	stamps_free(r->stamps);
	buf_release(&r->packed);
	buf_release(&r->record);
	mem_free(r->ends);
	mem_free(r);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20;
		bool shuffle = argc > 3 && !strcmp(argv[3], "shuffled");
		bench(strtoull(argv[1], NULL, 10), rounds, shuffle,
		    argc > 4 && !strcmp(argv[4], "2"));
		return 0;
	}
	for (unsigned two = 0; two < 2; two++) {
		bench(100000, 20, false, two);
		bench(100000, 20, true, two);
	}
	bench(1000000, 6, false, false);
	bench(1000000, 6, true, false);
	return 0;
}
