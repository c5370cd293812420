/*
 * The log writer under a disk that remembers (tests/lib/fsdouble.h).
 *
 * A history is a chain of lives of one log. In a life, two loops hand over frames, each with a
 * token of its own, some syncs fail, segments are freed; then comes a crash: an image of some
 * moment becomes the directory of the next life. At each start, and on more images of each life,
 * the log is replayed and judged:
 *   every token acknowledged before the moment is there, in the order of its loop; nothing that was
 *   not handed over; nothing twice; nothing that an earlier start did not find (11).
 */
#include "storage/wal/walog.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "storage/wal/replay.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walrec.h"
#include "storage/wal/walseg.h"
#include "tests/lib/fault.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

#define LOOPS      2u
#define TOKENS_MAX 200000u
#define NEVER      UINT64_MAX

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed += 0x9e3779b97f4a7c15u;
	return hash_mix64(seed);
}

static uint64_t pick(uint64_t *state, uint64_t below)
{
	*state += 0x9e3779b97f4a7c15u;
	return hash_mix64(*state) % below;
}

/* ---- Tokens: one per frame ---- */

struct token {
	uint64_t number; /* of the group */
	uint64_t position;
	/* point of the present life; NEVER = not acknowledged; 0 = before this life */
	uint64_t acked_at;
	uint8_t loop;
	bool failed, gone; /* gone: a start did not find it */
};
/*
 * Written by the loop that has it, read when the loops have ended; loop l uses tokens l, l + LOOPS,
 * ...
 */
static struct token *tokens;

struct client {
	struct walog *w;
	unsigned loop;
	/* indices of tokens: first of this life, next to send, end */
	uint64_t first, next, stop_at;
	uint64_t decided, durable; /* tokens of this life before them are answered, are durable */
	unsigned window;
	unsigned more; /* main's, for client_goes_on */
	uint64_t number, number_durable;
	uint64_t state; /* of random numbers */
	uint32_t rows_max;
	bool record_points, completes;
	enum err last_state, last_err;
	uint64_t held_max, reports;
};
static struct client clients[LOOPS];

static uint64_t token_of(unsigned loop, uint64_t index)
{
	return index * LOOPS + loop;
}

static void client_send(struct client *c)
{
	uint64_t id = token_of(c->loop, c->next++);
	CHECK(id < TOKENS_MAX);
	struct walog_frame *f = walog_frame(c->w);
	struct walrec_writer w;
	uint32_t ids[4096];
	int64_t times[4096];
	double values[4096];
	size_t n = 1 + pick(&c->state, c->rows_max);
	for (size_t i = 0; i < n; i++) {
		ids[i] = (uint32_t)i;
		times[i] = (int64_t)id;
		values[i] = num_from_bits(id);
	}
	walrec_begin(&w, &f->payload);
	walrec_group(&w, c->loop, ++c->number);
	walrec_rows(&w, n, ids, times, values);
	walrec_end(&w);
	tokens[id] =
	    (struct token){ .number = c->number, .loop = (uint8_t)c->loop, .acked_at = NEVER };
	tokens[id].position = walog_submit(c->w, f);
}

static void client_fill(struct client *c)
{
	while (c->next < c->stop_at && c->next - c->decided < c->window && !c->last_state)
		client_send(c);
}

static void client_report(void *arg, unsigned loop, const struct walog_report *r)
{
	(void)arg;
	struct client *c = &clients[loop];
	uint64_t point = c->record_points ? fsdouble_point() : 0;
	c->reports++;
	c->last_state = r->state;
	if (r->held_bytes > c->held_max)
		c->held_max = r->held_bytes;
	for (; c->decided < c->next; c->decided++) {
		struct token *t = &tokens[token_of(loop, c->decided)];
		if (t->position > r->durable && t->position > r->failed)
			break;
		t->failed = t->position > r->durable;
		if (t->failed)
			c->last_err = r->err;
	}
	/*
	 * What failed first and got durable then counts as well: a duplicate of it would be
	 * acknowledged.
	 */
	for (; c->durable < c->decided; c->durable++) {
		struct token *t = &tokens[token_of(loop, c->durable)];
		if (t->position > r->durable)
			break;
		t->acked_at = point;
		c->number_durable = t->number;
	}
	if (c->completes && pick(&c->state, 8) == 0 && c->number_durable > 20)
		walog_complete(c->w, loop, c->number_durable - 20);
	client_fill(c);
}

static void client_start(void *arg)
{
	client_fill(arg);
}

static void client_goes_on(void *arg)
{
	struct client *c = arg;
	c->stop_at = c->next + c->more;
	client_fill(c);
}

static bool client_done(void *arg)
{
	struct client *c = arg;
	return c->decided == c->next && (c->next == c->stop_at || c->last_state);
}

/* A log that is well again while it is stopped must not be handed more. */
static void client_ends(void *arg)
{
	struct client *c = arg;
	c->stop_at = c->next;
}

/* ---- Replay and judgement ---- */

struct found {
	uint64_t *tokens; /* in order */
	size_t count, cap;
	uint64_t top[LOOPS]; /* highest number, void frames too */
	size_t broken;
};

static void found_payload(struct found *f, const uint8_t *payload, size_t len, bool real)
{
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_reader r;
	struct walrec_record rec;
	walrec_groups_init(&it, payload, len);
	walrec_reader_init(&r);
	while (walrec_groups_next(&it, &g)) {
		walrec_reader_open(&r, &g);
		if (g.shard >= LOOPS || !walrec_next(&r, &rec) || rec.tag != WALREC_ROWS) {
			f->broken++;
			continue;
		}
		if (g.number > f->top[g.shard])
			f->top[g.shard] = g.number;
		uint64_t id = num_bits(rec.v[0]);
		for (size_t i = 0; i < rec.count; i++)
			f->broken += num_bits(rec.v[i]) != id || rec.t_ms[i] != (int64_t)id ||
			    rec.ids[i] != i;
		if (!real)
			continue;
		if (f->count == f->cap) {
			f->cap = f->cap ? f->cap * 2 : 256;
			f->tokens = mem_array(f->tokens, f->cap, sizeof(*f->tokens));
		}
		f->tokens[f->count++] = id;
	}
	f->broken += it.err != 0 || r.err != 0;
	walrec_reader_release(&r);
}

static enum err found_frame(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	found_payload(arg, payload, len, true);
	return ERR_OK;
}

static void found_void(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	found_payload(arg, payload, len, false);
}

static const struct replay_ops found_ops = { .frame = found_frame, .void_frame = found_void };

static void found_read(const char *dir, struct found *f, struct replay_result *r)
{
	struct fsio_dir *d;
	struct errbuf eb;
	errbuf_init(&eb);
	*f = (struct found){ 0 };
	CHECK(fsio_dir_open(dir, true, &d) == 0);
	if (replay_run(d, &found_ops, f, r, &eb)) {
		tap_note("replay: %s", eb.text);
		f->broken++;
	}
	fsio_dir_close(d);
}

static bool found_same(const struct found *a, const struct found *b)
{
	return a->count == b->count &&
	    (!a->count || memcmp(a->tokens, b->tokens, a->count * sizeof(*a->tokens)) == 0);
}

/*
 * Faults of what was found on an image of a point of this life; what a loop has completed may be
 * missing.
 */
static size_t judge(const struct found *f, uint64_t point, uint64_t first_complete, bool explain)
{
	static uint8_t seen[TOKENS_MAX];
	size_t bad = f->broken;
	uint64_t last[LOOPS] = { 0 };
	for (size_t i = 0; i < f->count; i++) {
		uint64_t id = f->tokens[i];
		unsigned loop = (unsigned)(id % LOOPS);
		bool sent = id < TOKENS_MAX && id / LOOPS < clients[loop].next;
		bool wrong = !sent || tokens[id].gone || seen[id] || tokens[id].number <= last[loop];
		if (wrong && explain)
			tap_note("point %llu: token %llu found: sent %d gone %d twice %d",
			    (unsigned long long)point, (unsigned long long)id, sent,
			    sent && tokens[id].gone, sent && seen[id]);
		bad += wrong;
		if (sent) {
			seen[id] = 1;
			last[loop] = tokens[id].number;
		}
	}
	for (unsigned l = 0; l < LOOPS; l++) {
		for (uint64_t i = 0; i < clients[l].next; i++) {
			uint64_t id = token_of(l, i);
			const struct token *t = &tokens[id];
			bool missing = t->acked_at <= point && !seen[id] && !t->gone &&
			    t->number > first_complete;
			if (missing && explain)
				tap_note("point %llu: token %llu missing, acknowledged at %llu",
				    (unsigned long long)point, (unsigned long long)id,
				    (unsigned long long)t->acked_at);
			bad += missing;
			seen[id] = 0;
		}
	}
	return bad;
}

static void found_release(struct found *f, struct replay_result *r)
{
	mem_free(f->tokens);
	replay_result_release(r);
}

/* ---- A life ---- */

struct plan {
	enum walog_sync sync;
	unsigned frames; /* per loop and life */
	unsigned lives, images;
	bool fail_syncs, completes, explain;
	enum fsdouble_keep keep;
};

static char *path_in(const char *root, const char *stem, unsigned n)
{
	char *p = NULL;
	CHECK(asprintf(&p, "%s/%s%u", root, stem, n) > 0);
	return p;
}

static size_t images_judge(const char *root, uint64_t end, const struct plan *p, uint64_t complete)
{
	size_t bad = 0;
	for (unsigned i = 0; i < p->images; i++) {
		char *dir = path_in(root, "image", i);
		uint64_t point = end * (i + 1) / p->images;
		fsdouble_image(point, rnd(), p->keep, dir);
		struct found f, again;
		struct replay_result r, r2;
		found_read(dir, &f, &r);
		found_read(dir, &again, &r2);
		bad += judge(&f, point, complete, p->explain);
		bad += !found_same(&f, &again) || r.next_seq != r2.next_seq;
		bad += r.damaged_frames != 0;
		if (r.damaged_frames && p->explain)
			tap_note("point %llu: damage where none was", (unsigned long long)point);
		found_release(&f, &r);
		found_release(&again, &r2);
		testlib_rmtree(dir);
		free(dir);
	}
	return bad;
}

static enum err log_open(const char *dir, struct fsio_dir **d, struct testteam *tt,
    enum walog_sync sync, const struct replay_result *r, struct walog **w)
{
	CHECK(fsio_dir_open(dir, true, d) == 0);
	struct walog_opts o = { .dir = *d,
		.team = tt->team,
		.sync = sync,
		.sync_interval_ms = 5,
		.segment_bytes = WALSEG_MIN_BYTES,
		.spares_max = 3,
		.probe_ms = 200,
		.replay = r,
		.on_report = client_report };
	struct errbuf eb;
	errbuf_init(&eb);
	return walog_create(&o, w, &eb);
}

/*
 * Replays dir, lets the log live in it, and makes next, the directory of the next life, from some
 * moment. Returns the faults.
 */
static size_t life(const char *root, const char *dir, const char *next, const struct plan *p)
{
	size_t bad = 0;
	struct found f;
	struct replay_result r;
	fsdouble_start(&(struct fsdouble_opts){ .root = dir });
	found_read(dir, &f, &r);
	bad += judge(&f, 0, p->completes ? NEVER : 0, p->explain);
	/*
	 * What this start does not find must stay away; what it finds is as good as acknowledged
	 * once it is ready.
	 */
	static uint8_t here[TOKENS_MAX];
	memset(here, 0, sizeof(here));
	for (size_t i = 0; i < f.count; i++)
		here[f.tokens[i] % TOKENS_MAX] = 1;
	struct testteam tt;
	struct fsio_dir *d;
	struct walog *w;
	testteam_start(&tt, LOOPS);
	if (log_open(dir, &d, &tt, p->sync, &r, &w)) {
		testteam_stop(&tt);
		fsio_dir_close(d);
		fsdouble_stop();
		found_release(&f, &r);
		return bad + 1;
	}
	uint64_t ready = fsdouble_point();
	for (unsigned l = 0; l < LOOPS; l++) {
		struct client *c = &clients[l];
		for (uint64_t i = 0; i < c->next; i++) {
			struct token *t = &tokens[token_of(l, i)];
			bool found = here[token_of(l, i)];
			t->gone = t->gone || !found;
			if (found && t->acked_at)
				t->acked_at = ready;
		}
		c->w = w;
		c->decided = c->durable = c->first = c->next;
		c->stop_at = c->next + p->frames;
		c->window = 1 + (unsigned)(rnd() % 12);
		c->rows_max = rnd() % 8 ? 200 : 3000;
		c->number = f.top[l] > c->number ? f.top[l] : c->number;
		c->number_durable = 0;
		c->completes = p->completes;
		c->record_points = true;
		c->last_state = ERR_OK;
		c->state = rnd();
	}
	if (p->fail_syncs)
		fsdouble_fail_syncs(".seg", 1 + (unsigned)(rnd() % 60), 1 + (unsigned)(rnd() % 2));
	for (unsigned l = 0; l < LOOPS; l++)
		testteam_run(&tt, l, client_start, &clients[l]);
	for (unsigned l = 0; l < LOOPS; l++)
		bad += !testteam_wait(&tt, l, client_done, &clients[l], 20000);
	for (unsigned l = 0; l < LOOPS; l++)
		testteam_run(&tt, l, client_ends, &clients[l]);
	walog_stop(w);
	testteam_stop(&tt);
	uint64_t end = fsdouble_point();
	walog_free(w);
	fsio_dir_close(d);
	bad += images_judge(root, end, p, p->completes ? NEVER : 0);
	uint64_t point = rnd() % 4 ? rnd() % (end + 1) : end;
	fsdouble_image(point, rnd(), p->keep, next);
	for (unsigned l = 0; l < LOOPS; l++) {
		for (uint64_t i = 0; i < clients[l].next; i++) {
			struct token *t = &tokens[token_of(l, i)];
			t->acked_at = t->acked_at <= point ? 0 : NEVER;
		}
	}
	fsdouble_stop();
	found_release(&f, &r);
	return bad;
}

static size_t history(const char *root, const struct plan *p)
{
	size_t bad = 0;
	memset(clients, 0, sizeof(clients));
	for (unsigned l = 0; l < LOOPS; l++)
		clients[l].loop = l;
	for (unsigned i = 0; i < p->lives; i++) {
		char *dir = path_in(root, "life", i), *next = path_in(root, "life", i + 1);
		bad += life(root, dir, next, p);
		testlib_rmtree(dir);
		if (i + 1 == p->lives)
			testlib_rmtree(next);
		free(dir);
		free(next);
	}
	return bad;
}

static size_t histories(const char *root, unsigned count, struct plan p)
{
	size_t bad = 0;
	for (unsigned i = 0; i < count && !(bad && walog_broken); i++)
		bad += history(root, &p);
	return bad;
}

/* ---- Cases ---- */

static void chains(const char *root)
{
	struct plan p = {
		.frames = 150, .lives = 4, .images = 6, .keep = FSDOUBLE_RANDOM, .explain = true
	};
	tap_is_u64(histories(root, 5, p), 0,
	    "power cuts: every acknowledged frame is found, nothing else, twice the same");
	p.fail_syncs = true;
	tap_is_u64(histories(root, 8, p), 0,
	    "the same with failing syncs after which the page cache lies");
	p.completes = true;
	tap_is_u64(histories(root, 6, p), 0,
	    "the same with segments freed and used again: nothing twice, nothing comes back");
	p.completes = p.fail_syncs = false;
	p.keep = FSDOUBLE_SYNCED;
	tap_is_u64(histories(root, 4, p), 0, "power cuts that keep nothing but what was synced");
	p.keep = FSDOUBLE_ALL;
	p.sync = WALOG_SYNC_INTERVAL;
	p.fail_syncs = true;
	tap_is_u64(histories(root, 6, p), 0,
	    "mode interval: kill -9 loses nothing that was acknowledged, failing syncs or not");
}

static void rules(const char *root)
{
	static const struct {
		enum walog_rule rule;
		const char *name;
	} list[] = {
		{ WALOG_BREAK_HEADER_LAST, "header last" },
		{ WALOG_BREAK_ACK_AFTER_SYNC, "answers after the sync" },
		{ WALOG_BREAK_RECOMMIT, "committing again" },
		{ WALOG_BREAK_KEEP_FAILED, "failed frames are written again" },
	};
	struct plan p = {
		.frames = 120, .lives = 4, .images = 12, .fail_syncs = true, .keep = FSDOUBLE_RANDOM
	};
	for (size_t i = 0; i < COUNT_OF(list); i++) {
		walog_broken = list[i].rule;
		size_t bad = histories(root, 60, p);
		walog_broken = 0;
		tap_ok(bad > 0, "broken on purpose and found out: %s", list[i].name);
	}
}

/* ---- One log, looked at closely ---- */

struct bench {
	char *dir;
	struct testteam tt;
	struct fsio_dir *d;
	struct walog *w;
};

static void bench_open(struct bench *b, const char *root, const char *stem, enum walog_sync sync)
{
	memset(clients, 0, sizeof(clients));
	b->dir = path_in(root, stem, 0);
	struct found f;
	struct replay_result r;
	found_read(b->dir, &f, &r);
	testteam_start(&b->tt, LOOPS);
	CHECK(log_open(b->dir, &b->d, &b->tt, sync, &r, &b->w) == 0);
	found_release(&f, &r);
	for (unsigned l = 0; l < LOOPS; l++)
		clients[l] =
		    (struct client){ .w = b->w, .loop = l, .window = 8, .rows_max = 200, .state = l };
}

/* Each loop hands over so many more frames; true when all are answered in time. */
static bool bench_send(struct bench *b, unsigned loops, unsigned frames)
{
	bool ok = true;
	for (unsigned l = 0; l < loops; l++) {
		clients[l].more = frames;
		testteam_run(&b->tt, l, client_goes_on, &clients[l]);
	}
	for (unsigned l = 0; l < loops; l++)
		ok = testteam_wait(&b->tt, l, client_done, &clients[l], 20000) && ok;
	return ok;
}

static struct client looked;

static void client_look(void *arg)
{
	looked = *(struct client *)arg;
}

/* What loop l knows, as of now. */
static const struct client *look(struct bench *b, unsigned l)
{
	testteam_run(&b->tt, l, client_look, &clients[l]);
	return &looked;
}

static bool client_well(void *arg)
{
	struct client *c = arg;
	return c->durable == c->next && !c->last_state;
}

static void client_forgets(void *arg)
{
	((struct client *)arg)->last_state = ERR_OK;
}

static void bench_stop(struct bench *b)
{
	for (unsigned l = 0; l < LOOPS; l++)
		testteam_run(&b->tt, l, client_ends, &clients[l]);
	walog_stop(b->w);
	testteam_stop(&b->tt);
	walog_free(b->w);
	fsio_dir_close(b->d);
}

static void bench_close(struct bench *b)
{
	testlib_rmtree(b->dir);
	free(b->dir);
}

static size_t segments_with_head(const char *dir)
{
	struct found f;
	struct replay_result r;
	found_read(dir, &f, &r);
	size_t n = r.segments_count;
	found_release(&f, &r);
	return n;
}

static void clean_stop(const char *root)
{
	struct bench b;
	bench_open(&b, root, "clean", WALOG_SYNC_COMMIT);
	tap_ok(bench_send(&b, LOOPS, 40), "eighty frames are answered");
	bench_stop(&b);
	struct found f;
	struct replay_result r;
	found_read(b.dir, &f, &r);
	tap_is_u64(f.count, 80, "and found");
	tap_is_u64(r.pending_count, 0, "after a clean stop nothing has to be committed again");
	tap_is_u64(r.known_synced, 80, "everything is known to be synced");
	tap_ok(!r.torn_tail && !r.damaged_frames && !r.void_frames,
	    "nothing is torn, damaged or void");
	found_release(&f, &r);
	uint64_t next = clients[0].next;
	struct client before[LOOPS];
	memcpy(before, clients, sizeof(before));
	free(b.dir);
	bench_open(&b, root, "clean", WALOG_SYNC_COMMIT);
	for (unsigned l = 0; l < LOOPS; l++) {
		clients[l].number = before[l].number;
		clients[l].next = clients[l].decided = clients[l].durable = next;
	}
	TAP_OK(bench_send(&b, LOOPS, 40));
	bench_stop(&b);
	found_read(b.dir, &f, &r);
	tap_is_u64(f.count, 160, "a second life goes on behind the first");
	tap_is_u64(r.damaged_frames, 0, "and the mark between them is not taken for damage");
	found_release(&f, &r);
	bench_close(&b);
}

static void complete_all(void *arg)
{
	struct client *c = arg;
	walog_complete(c->w, c->loop, c->number);
}

static enum err file_count(void *arg, const char *name)
{
	uint32_t slot;
	*(size_t *)arg += walseg_name_parse(name, &slot);
	return ERR_OK;
}

static size_t files_in(const char *dir)
{
	struct fsio_dir *d;
	size_t n = 0;
	CHECK(fsio_dir_open(dir, false, &d) == 0);
	CHECK(fsio_dir_each(d, file_count, &n) == 0);
	fsio_dir_close(d);
	return n;
}

static void freeing(const char *root)
{
	struct bench b;
	bench_open(&b, root, "free", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, LOOPS, 200));
	uint64_t held = look(&b, 0)->held_max, other = look(&b, 1)->held_max;
	held = held > other ? held : other; /* the loop that ended last saw all of it */
	tap_ok(held > 4 * WALSEG_MIN_BYTES, "the reports tell what the log holds: %llu bytes",
	    (unsigned long long)held);
	for (unsigned l = 0; l < LOOPS; l++)
		testteam_run(&b.tt, l, complete_all, &clients[l]);
	bench_stop(&b);
	tap_ok(segments_with_head(b.dir) <= 1,
	    "what is complete is free: only the last segment is left");
	tap_ok(files_in(b.dir) <= 5, "three spares are kept, the others are gone: %zu files",
	    files_in(b.dir));
	bench_close(&b);

	/* Loop 0 writes first, then loop 1 alone; then loop 1's shard is complete. */
	for (unsigned broken = 0; broken < 2; broken++) {
		walog_broken = broken ? WALOG_BREAK_FREE_ORDER : 0;
		bench_open(&b, root, "order", WALOG_SYNC_COMMIT);
		TAP_OK(bench_send(&b, 1, 150));
		clients[1].stop_at = 300;
		testteam_run(&b.tt, 1, client_start, &clients[1]);
		TAP_OK(testteam_wait(&b.tt, 1, client_done, &clients[1], 20000));
		testteam_run(&b.tt, 1, complete_all, &clients[1]);
		bench_stop(&b);
		walog_broken = 0;
		struct found f;
		struct replay_result r;
		found_read(b.dir, &f, &r);
		if (broken)
			tap_ok(f.count < 450,
			    "broken on purpose and found out: segments are freed oldest first");
		else
			tap_is_u64(f.count, 450,
			    "a younger segment stays as long as an older one is needed");
		found_release(&f, &r);
		bench_close(&b);
	}
}

static void no_space(const char *root)
{
	struct bench b;
	fault_start(NULL);
	bench_open(&b, root, "space", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, LOOPS, 5));
	fault_set(FAULT_ALLOCATE, ".seg", 1, UINT64_MAX, ERR_NOSPACE);
	TAP_OK(bench_send(&b, LOOPS, 400));
	tap_is_i64(look(&b, 0)->last_state, ERR_NOSPACE, "a full disk is told as such");
	tap_is_i64(look(&b, 0)->last_err, ERR_NOSPACE, "and so are the requests that wait");
	fault_set(FAULT_ALLOCATE, NULL, 1, 0, ERR_OK);
	tap_ok(testteam_wait(&b.tt, 0, client_well, &clients[0], 5000) &&
	        testteam_wait(&b.tt, 1, client_well, &clients[1], 5000),
	    "it goes on by itself when there is space again");
	TAP_OK(bench_send(&b, LOOPS, 20));
	uint64_t sent = clients[0].next + clients[1].next;
	bench_stop(&b);
	fault_stop();
	struct found f;
	struct replay_result r;
	found_read(b.dir, &f, &r);
	tap_is_u64(f.count, sent, "and every frame is there, those told to have failed too");
	found_release(&f, &r);
	bench_close(&b);
}

/* Syncs of the writer fail, those of the thread that prepares segments do not. */
static bool writer_fails;
static enum err writer_sync(struct fsio_file *f)
{
	char name[16] = "";
	(void)pthread_getname_np(pthread_self(), name, sizeof(name));
	if (__atomic_load_n(&writer_fails, __ATOMIC_RELAXED) && strcmp(name, "walog") == 0)
		return err_note(ERR_SYNC, EIO);
	return fsio_real.sync(f);
}

static void all_found(const char *dir, uint64_t sent, const char *what)
{
	struct found f;
	struct replay_result r;
	found_read(dir, &f, &r);
	tap_is_u64(f.count, sent, "%s", what);
	found_release(&f, &r);
}

static void wait_well(struct bench *b, const char *what)
{
	tap_ok(testteam_wait(&b->tt, 0, client_well, &clients[0], 10000) &&
	        testteam_wait(&b->tt, 1, client_well, &clients[1], 10000),
	    "%s", what);
}

static void read_only(const char *root)
{
	struct bench b;
	struct fsio_ops ops = fsio_real;
	ops.sync = writer_sync;
	fsio_hook(&ops);
	bench_open(&b, root, "broken", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, LOOPS, 5));
	__atomic_store_n(&writer_fails, true, __ATOMIC_RELAXED);
	TAP_OK(bench_send(&b, LOOPS, 20));
	for (unsigned i = 0; i < 5 && !look(&b, 0)->last_state; i++)
		TAP_OK(bench_send(&b, LOOPS, 20));
	tap_is_i64(look(&b, 0)->last_state, ERR_READONLY, "three failures make the log read-only");
	tap_is_i64(look(&b, 1)->last_state, ERR_READONLY, "every loop hears of it");
	uint64_t durable = look(&b, 0)->durable;
	for (unsigned l = 0; l < LOOPS; l++)
		testteam_run(&b.tt, l, client_forgets, &clients[l]); /* try all the same */
	TAP_OK(bench_send(&b, LOOPS, 5));
	tap_ok(look(&b, 0)->durable == durable && looked.last_err == ERR_READONLY,
	    "and it stays so as long as syncs fail");
	__atomic_store_n(&writer_fails, false, __ATOMIC_RELAXED);
	wait_well(&b, "it ends by itself when they do not");
	TAP_OK(bench_send(&b, LOOPS, 20));
	uint64_t sent = clients[0].next + clients[1].next;
	bench_stop(&b);
	fsio_hook(NULL);
	all_found(b.dir, sent, "and every frame is there");
	bench_close(&b);
}

/* Nobody writes any more when it becomes read-only: it ends by itself all the same. */
static void read_only_idle(const char *root)
{
	struct bench b;
	struct fsio_ops ops = fsio_real;
	ops.sync = writer_sync;
	fsio_hook(&ops);
	bench_open(&b, root, "idle", WALOG_SYNC_INTERVAL);
	TAP_OK(bench_send(&b, LOOPS, 5));
	__atomic_store_n(&writer_fails, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 100 && look(&b, 0)->last_state != ERR_READONLY; i++) {
		TAP_OK(bench_send(&b, LOOPS, 1));
		usleep(10000);
	}
	tap_is_i64(look(&b, 0)->last_state, ERR_READONLY, "mode interval: read-only too");
	__atomic_store_n(&writer_fails, false, __ATOMIC_RELAXED);
	wait_well(&b, "and it ends without a new write");
	uint64_t sent = clients[0].next + clients[1].next;
	bench_stop(&b);
	fsio_hook(NULL);
	all_found(b.dir, sent, "every frame is there");
	bench_close(&b);
}

/* What fails before a segment is there is no failure of what is there. */
static void prepare_fails(const char *root)
{
	static const struct {
		enum fault_kind kind;
		int errnum;
		enum err state;
	} t[] = { { FAULT_OPEN, EMFILE, ERR_BUSY }, { FAULT_OPEN, ENFILE, ERR_BUSY },
		{ FAULT_OPEN, EACCES, ERR_BUSY }, { FAULT_ALLOCATE, ENOMEM, ERR_BUSY },
		{ FAULT_ALLOCATE, EIO, ERR_BUSY }, { FAULT_ALLOCATE, ENOSPC, ERR_NOSPACE },
		{ FAULT_DIR_SYNC, EIO, ERR_BUSY } };
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		struct bench b;
		fault_start(NULL);
		bench_open(&b, root, "prepare", WALOG_SYNC_COMMIT);
		TAP_OK(bench_send(&b, LOOPS, 5));
		fault_set_errno(t[i].kind, NULL, 1, UINT64_MAX, t[i].errnum);
		TAP_OK(bench_send(&b, LOOPS, 400));
		usleep(300000);
		tap_is_i64(look(&b, 0)->last_state, t[i].state, "no segment can be made: %s",
		    err_text(t[i].state));
		tap_ok(fault_hits(t[i].kind) >= (t[i].state == ERR_BUSY ? 3 : 1),
		    "however often it is tried: %llu times",
		    (unsigned long long)fault_hits(t[i].kind));
		size_t files = files_in(b.dir);
		fault_set(t[i].kind, NULL, 1, 0, ERR_OK);
		wait_well(&b, "it goes on by itself once one can be made");
		tap_ok(files <= files_in(b.dir), "failing left no litter: %zu files", files);
		TAP_OK(bench_send(&b, LOOPS, 20));
		uint64_t sent = clients[0].next + clients[1].next;
		bench_stop(&b);
		fault_stop();
		all_found(b.dir, sent, "and every frame is there");
		bench_close(&b);
	}
}

/* A segment on which a sync failed is not among the files that are used again. */
static void bad_place(const char *root)
{
	struct bench b;
	struct fsio_ops ops = fsio_real;
	ops.sync = writer_sync;
	fsio_hook(&ops);
	bench_open(&b, root, "place", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, LOOPS, 5));
	struct found f;
	struct replay_result r;
	found_read(b.dir, &f, &r);
	uint32_t slot = r.segments_count ? r.segments[0].slot : 0;
	found_release(&f, &r);
	__atomic_store_n(&writer_fails, true, __ATOMIC_RELAXED);
	TAP_OK(bench_send(&b, 1, 1));
	__atomic_store_n(&writer_fails, false, __ATOMIC_RELAXED);
	wait_well(&b, "one sync failed");
	for (unsigned i = 0; i < 4; i++) {
		TAP_OK(bench_send(&b, LOOPS, 100));
		for (unsigned l = 0; l < LOOPS; l++)
			testteam_run(&b.tt, l, complete_all, &clients[l]);
	}
	bench_stop(&b);
	fsio_hook(NULL);
	struct fsio_dir *d;
	struct fsio_file *file = NULL;
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	CHECK(fsio_dir_open(b.dir, false, &d) == 0);
	tap_is_i64(fsio_open(d, name, FSIO_READ, &file), ERR_NOTFOUND,
	    "the file is removed once it is free, not used again");
	fsio_close(file);
	fsio_dir_close(d);
	bench_close(&b);
}

/* A segment that cannot be freed keeps the younger ones, and is tried again. */
static void freeing_fails(const char *root)
{
	struct bench b;
	fault_start(NULL);
	bench_open(&b, root, "stuck", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, LOOPS, 200));
	fault_set_errno(FAULT_OPEN, ".seg", 1, UINT64_MAX, EMFILE);
	fault_set_errno(FAULT_REMOVE, ".seg", 1, UINT64_MAX, EIO);
	fault_set_errno(FAULT_WRITE, ".seg", 1, UINT64_MAX, EIO);
	for (unsigned l = 0; l < LOOPS; l++)
		testteam_run(&b.tt, l, complete_all, &clients[l]);
	usleep(300000);
	tap_ok(files_in(b.dir) > 5 && fault_hits(FAULT_REMOVE) >= 1, "nothing can be freed");
	fault_set(FAULT_OPEN, NULL, 1, 0, ERR_OK);
	fault_set(FAULT_REMOVE, NULL, 1, 0, ERR_OK);
	fault_set(FAULT_WRITE, NULL, 1, 0, ERR_OK);
	for (unsigned i = 0; i < 300 && files_in(b.dir) > 5; i++)
		usleep(10000);
	tap_ok(files_in(b.dir) <= 5, "until it can: %zu files", files_in(b.dir));
	bench_stop(&b);
	fault_stop();
	bench_close(&b);
}

static void failing_write(const char *root)
{
	struct bench b;
	fault_start(NULL);
	fault_partial(100);
	bench_open(&b, root, "write", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, LOOPS, 5));
	fault_set(FAULT_WRITE, ".seg", 3, 1, ERR_IO);
	TAP_OK(bench_send(&b, LOOPS, 20));
	tap_ok(fault_hits(FAULT_WRITE) == 1 && look(&b, 0)->last_err == 0 &&
	        look(&b, 1)->last_err == 0,
	    "one failing write is tried again, nobody hears of it");
	fault_set(FAULT_WRITE, ".seg", 1, 2, ERR_IO);
	TAP_OK(bench_send(&b, LOOPS, 20));
	tap_ok(look(&b, 0)->last_err == ERR_LOGFAILED || look(&b, 1)->last_err == ERR_LOGFAILED,
	    "one that fails twice fails its requests");
	tap_ok(look(&b, 0)->last_state == 0, "and the log goes on");
	uint64_t sent = clients[0].next + clients[1].next;
	bench_stop(&b);
	fault_stop();
	struct found f;
	struct replay_result r;
	found_read(b.dir, &f, &r);
	tap_is_u64(f.count, sent, "all frames are there");
	found_release(&f, &r);
	bench_close(&b);
}

static void mode_off(const char *root)
{
	struct bench b;
	bench_open(&b, root, "off", WALOG_SYNC_OFF);
	TAP_OK(bench_send(&b, LOOPS, 300));
	usleep(700000);
	struct found f;
	struct replay_result r;
	found_read(b.dir, &f, &r);
	tap_is_u64(f.count, 600, "mode off: what was taken is in the file within a second");
	found_release(&f, &r);
	TAP_OK(bench_send(&b, LOOPS, 10));
	bench_stop(&b);
	found_read(b.dir, &f, &r);
	tap_is_u64(f.count, 620, "and all of it after a stop");
	found_release(&f, &r);
	bench_close(&b);
}

/* ---- Room and large frames ---- */

struct roomy {
	struct walog *w;
	bool before, in_between, alone;
	uint64_t position;
};

static void room_use(void *arg)
{
	struct roomy *x = arg;
	x->alone = walog_room(x->w, UINT64_MAX / 2);
	struct walog_frame *f = walog_frame(x->w);
	struct walrec_writer w;
	static uint32_t ids[WALREC_ROWS_MAX];
	static int64_t times[WALREC_ROWS_MAX];
	static double values[WALREC_ROWS_MAX];
	walrec_begin(&w, &f->payload);
	walrec_group(&w, 0, 1);
	while (!walrec_full(&w))
		walrec_rows(&w, WALREC_ROWS_MAX, ids, times, values);
	walrec_end(&w);
	x->before = walog_room(x->w, f->payload.len);
	x->position = walog_submit(x->w, f);
	x->in_between = walog_room(x->w, WALOG_BACKLOG_BYTES / LOOPS);
}

static bool room_durable(void *arg)
{
	struct roomy *x = arg;
	return walog_durable(x->w) >= x->position && walog_room(x->w, WALOG_BACKLOG_BYTES / LOOPS);
}

static void room(const char *root)
{
	struct bench b;
	bench_open(&b, root, "room", WALOG_SYNC_COMMIT);
	struct roomy x = { .w = b.w };
	testteam_run(&b.tt, 0, room_use, &x);
	tap_ok(x.before && !x.in_between, "what is handed over takes room in the backlog");
	tap_ok(x.alone, "but one request alone always finds room");
	tap_ok(testteam_wait(&b.tt, 0, room_durable, &x, 5000),
	    "a frame larger than a segment gets a segment of its own, then there is room again");
	bench_stop(&b);
	bench_close(&b);
}

/* ---- A client that knows the format ---- */

static uint64_t forged_payload(struct buf *out, uint64_t seq)
{
	struct buf inner;
	struct walrec_writer w;
	static const uint32_t id;
	static const int64_t t = 666;
	static const double v = 666;
	buf_init(&inner);
	walrec_begin(&w, &inner);
	walrec_group(&w, 0, 666);
	walrec_rows(&w, 1, &id, &t, &v);
	walrec_end(&w);
	uint8_t head[WALSEG_FRAME_BYTES];
	walseg_frame_put(head, walseg_salt_crc(1), seq, seq - 1, inner.data, (uint32_t)inner.len);
	for (unsigned shift = 0; shift < WALSEG_ALIGN; shift++) {
		buf_add(out, head, sizeof(head));
		buf_add(out, inner.data, inner.len);
		while (out->len % WALSEG_ALIGN != shift)
			buf_add_u8(out, 0);
	}
	buf_release(&inner);
	return out->len;
}

struct forger {
	struct walog *w;
	uint64_t position;
};

static void forge(void *arg)
{
	struct forger *x = arg;
	struct buf evil;
	buf_init(&evil);
	forged_payload(&evil, 2);
	struct walog_frame *f = walog_frame(x->w);
	struct walrec_writer w;
	walrec_begin(&w, &f->payload);
	walrec_group(&w, 0, 1);
	walrec_def(&w, 1, 0, evil.data, evil.len);
	walrec_end(&w);
	x->position = walog_submit(x->w, f);
	buf_release(&evil);
}

static bool forged_durable(void *arg)
{
	struct forger *x = arg;
	return walog_durable(x->w) >= x->position;
}

static enum err forged_found(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	struct walrec_groups it;
	struct walrec_group g;
	walrec_groups_init(&it, payload, len);
	while (walrec_groups_next(&it, &g))
		*(bool *)arg = *(bool *)arg || g.number == 666;
	return ERR_OK;
}

static void forgery(const char *root)
{
	for (unsigned broken = 0; broken < 2; broken++) {
		struct bench b;
		walog_broken = broken ? WALOG_BREAK_NEW_SALT : 0;
		bench_open(&b, root, "forged", WALOG_SYNC_COMMIT);
		struct forger x = { .w = b.w };
		testteam_run(&b.tt, 0, forge, &x);
		TAP_OK(testteam_wait(&b.tt, 0, forged_durable, &x, 5000));
		bench_stop(&b);
		walog_broken = 0;
		/* The head of the frame that carries it goes bad, so the reader has to search. */
		struct fsio_dir *d;
		struct fsio_file *file;
		CHECK(fsio_dir_open(b.dir, false, &d) == 0);
		bool found = false;
		struct replay_ops ops = { .frame = forged_found };
		for (uint32_t slot = 0; slot < 4; slot++) {
			char name[WALSEG_NAME_MAX];
			walseg_name(slot, name);
			if (fsio_open(d, name, FSIO_WRITE, &file))
				continue;
			CHECK(fsio_write_at(file, "bad!", 4, WALSEG_DATA + 8) == 0);
			fsio_close(file);
		}
		struct replay_result r;
		CHECK(replay_run(d, &ops, &found, &r, NULL) == 0);
		replay_result_release(&r);
		fsio_dir_close(d);
		if (broken)
			tap_ok(found,
			    "broken on purpose and found out: with a known salt a label value can hold a frame");
		else
			tap_ok(!found, "a frame inside a label value is never taken for one");
		bench_close(&b);
	}
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	tokens = mem_zalloc(TOKENS_MAX * sizeof(*tokens));
	/* Nothing is synced for real, and thousands of small files come and go: memory will do. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	char *root = testlib_tmpdir("walog");
	clean_stop(root);
	freeing(root);
	no_space(root);
	read_only(root);
	read_only_idle(root);
	prepare_fails(root);
	bad_place(root);
	freeing_fails(root);
	failing_write(root);
	mode_off(root);
	room(root);
	forgery(root);
	chains(root);
	rules(root);
	testlib_rmtree(root);
	free(root);
	mem_free(tokens);
	return tap_done();
}
