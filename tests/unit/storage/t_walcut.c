/*
 * The log writer under a disk that remembers (tests/lib/fsdouble.h).
 *
 * A history is a chain of lives of one log. In a life, two loops hand over frames, each with a
 * token of its own, some syncs fail, segments are freed; then comes a crash: an image of some
 * moment becomes the directory of the next life. At each start, and on more images of each life,
 * the log is replayed and judged:
 *   every token acknowledged before the moment is there, in the order of its loop;
 *   nothing that was not handed over; nothing twice;
 *   nothing that an earlier start did not find (storage/README.md (11)).
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "storage/wal/walog_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/walclient.h"

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed += 0x9e3779b97f4a7c15u;
	return hash_mix64(seed);
}

/* ---- A life ---- */

struct plan {
	enum walog_sync sync;
	unsigned frames; /* per loop and life */
	unsigned lives, images;
	bool fail_syncs, completes, torn, explain;
	enum fsdouble_keep keep;
};

static size_t images_judge(const char *root, uint64_t end, const struct plan *p, uint64_t complete)
{
	size_t bad = 0;
	for (unsigned i = 0; i < p->images; i++) {
		char *dir = walclient_path(root, "image", i);
		uint64_t point = end * (i + 1) / p->images;
		fsdouble_image(point, rnd(), p->keep, dir);
		struct walclient_found f, again;
		struct replay_result r, r2;
		walclient_found_read(dir, &f, &r);
		walclient_found_read(dir, &again, &r2);
		bad += walclient_judge(&f, point, complete, p->explain);
		bad += !walclient_found_same(&f, &again) || r.next_seq != r2.next_seq;
		bad += r.damaged_frames != 0;
		if (r.damaged_frames && p->explain)
			tap_note("point %llu: damage where none was", (unsigned long long)point);
		walclient_found_release(&f, &r);
		walclient_found_release(&again, &r2);
		testlib_rmtree(dir);
		free(dir);
	}
	return bad;
}

/*
 * Replays dir, lets the log live in it, and makes next, the directory of the next life, from some
 * moment. Returns the faults.
 */
static size_t life(const char *root, const char *dir, const char *next, const struct plan *p)
{
	size_t bad = 0;
	struct walclient_found f;
	struct replay_result r;
	fsdouble_start(
	    &(struct fsdouble_opts){ .root = dir, .torn_from = p->torn ? WALSEG_DATA : 0 });
	walclient_found_read(dir, &f, &r);
	bad += walclient_judge(&f, 0, p->completes ? WALCLIENT_NEVER : 0, p->explain);
	/*
	 * What this start does not find must stay away; what it finds is as good as acknowledged
	 * once it is ready.
	 */
	static uint8_t here[WALCLIENT_TOKENS_MAX];
	memset(here, 0, sizeof(here));
	for (size_t i = 0; i < f.count; i++)
		here[f.tokens[i] % WALCLIENT_TOKENS_MAX] = 1;
	struct testteam tt;
	struct fsio_dir *d;
	struct walog *w;
	testteam_start(&tt, WALCLIENT_LOOPS);
	if (walclient_log(dir, &d, &tt, p->sync, &r, &w)) {
		testteam_stop(&tt);
		fsio_dir_close(d);
		fsdouble_stop();
		walclient_found_release(&f, &r);
		return bad + 1;
	}
	uint64_t ready = fsdouble_point();
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++) {
		struct walclient *c = &walclients[l];
		for (uint64_t i = 0; i < c->next; i++) {
			struct walclient_token *t = &walclient_tokens[walclient_token_of(l, i)];
			bool found = here[walclient_token_of(l, i)];
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
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		testteam_run(&tt, l, walclient_start, &walclients[l]);
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		bad += !testteam_wait(&tt, l, walclient_done, &walclients[l], TESTTEAM_LONG_MS);
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		testteam_run(&tt, l, walclient_ends, &walclients[l]);
	walog_stop(w);
	testteam_stop(&tt);
	uint64_t end = fsdouble_point();
	walog_free(w);
	fsio_dir_close(d);
	bad += images_judge(root, end, p, p->completes ? WALCLIENT_NEVER : 0);
	uint64_t point = rnd() % 4 ? rnd() % (end + 1) : end;
	fsdouble_image(point, rnd(), p->keep, next);
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++) {
		for (uint64_t i = 0; i < walclients[l].next; i++) {
			struct walclient_token *t = &walclient_tokens[walclient_token_of(l, i)];
			t->acked_at = t->acked_at <= point ? 0 : WALCLIENT_NEVER;
		}
	}
	fsdouble_stop();
	walclient_found_release(&f, &r);
	return bad;
}

static size_t history(const char *root, const struct plan *p)
{
	size_t bad = 0;
	memset(walclients, 0, sizeof(walclients));
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		walclients[l].loop = l;
	for (unsigned i = 0; i < p->lives; i++) {
		char *dir = walclient_path(root, "life", i),
		     *next = walclient_path(root, "life", i + 1);
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
	p.torn = true;
	tap_is_u64(histories(root, 6, p), 0,
	    "the same where a block is garbage that was being written: none holds what was synced");
	p.completes = p.fail_syncs = p.torn = false;
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
		{ WALOG_BREAK_BLOCKS, "blocks of what was synced are not written again" },
	};
	struct plan p = {
		.frames = 120, .lives = 4, .images = 12, .fail_syncs = true, .keep = FSDOUBLE_RANDOM
	};
	for (size_t i = 0; i < COUNT_OF(list); i++) {
		walog_broken = list[i].rule;
		p.torn = list[i].rule == WALOG_BREAK_BLOCKS;
		size_t bad = histories(root, 60, p);
		walog_broken = 0;
		tap_ok(bad > 0, "broken on purpose and found out: %s", list[i].name);
	}
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	walclient_tokens = mem_zalloc(WALCLIENT_TOKENS_MAX * sizeof(*walclient_tokens));
	/* Nothing is synced for real, and thousands of small files come and go: memory will do. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	char *root = testlib_tmpdir("walcut");
	chains(root);
	rules(root);
	testlib_rmtree(root);
	free(root);
	mem_free(walclient_tokens);
	return tap_done();
}
