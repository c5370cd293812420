/*
 * walclient - what hands frames to a log in tests, and judges what a replay finds: two loops, a
 * token for each frame, and what is known of each token.
 *
 *   walclient_tokens = memory; testteam_start; walclient_log; walclients[l] = { ... }
 *   > walclient_start on its loop > walclient_report (the log's) > walclient_done > walog_stop
 *   > walclient_found_read > walclient_judge
 *
 * Thread: a client on its loop; the rest on the main thread while the loops rest. Memory: tokens
 * and clients are the program's, one set.
 */
#ifndef TESTS_LIB_WALCLIENT_H
#define TESTS_LIB_WALCLIENT_H

#include "storage/wal/replay.h"
#include "storage/wal/walog.h"
#include "tests/lib/testteam.h"

#define WALCLIENT_LOOPS      2u
#define WALCLIENT_TOKENS_MAX 200000u
#define WALCLIENT_NEVER      UINT64_MAX

struct walclient_token {
	uint64_t number; /* of the group */
	uint64_t position;
	/* point of the present life; WALCLIENT_NEVER = not acknowledged; 0 = before this life */
	uint64_t acked_at;
	uint8_t loop;
	bool failed, gone; /* gone: a start did not find it */
};
/*
 * Written by the loop that has it, read when the loops have ended; loop l uses tokens l,
 * l + WALCLIENT_LOOPS, ...
 */
extern struct walclient_token *walclient_tokens; /* [WALCLIENT_TOKENS_MAX], the program's */

struct walclient {
	struct walog *w;
	unsigned loop;
	/* indices of walclient_tokens: first of this life, next to send, end */
	uint64_t first, next, stop_at;
	uint64_t decided,
	    durable; /* walclient_tokens of this life before them are answered, are durable */
	unsigned window;
	unsigned more; /* main's, for walclient_goes_on */
	uint64_t number, number_durable;
	uint64_t state; /* of random numbers */
	uint32_t rows_max;
	bool record_points, completes;
	enum err last_state, last_err;
	uint64_t held_max, reports;
};
extern struct walclient walclients[WALCLIENT_LOOPS];
uint64_t walclient_token_of(unsigned loop, uint64_t index);
/* On the client's loop. */
void walclient_fill(struct walclient *c);
void walclient_report(void *arg, unsigned loop, const struct walog_report *r); /* walog_opts */
void walclient_start(void *arg);
void walclient_goes_on(void *arg); /* more of them */
bool walclient_done(void *arg);
/* A log that is well again while it is stopped must not be handed more. */
void walclient_ends(void *arg);

struct walclient_found {
	uint64_t *tokens; /* in order */
	size_t count, cap;
	uint64_t top[WALCLIENT_LOOPS]; /* highest number, void frames too */
	size_t broken;
};
void walclient_found_read(const char *dir, struct walclient_found *f, struct replay_result *r);
bool walclient_found_same(const struct walclient_found *a, const struct walclient_found *b);
void walclient_found_release(struct walclient_found *f, struct replay_result *r);
/*
 * Faults of what was found on an image of a point of this life; what a loop has completed may be
 * missing.
 */
size_t walclient_judge(
    const struct walclient_found *f, uint64_t point, uint64_t first_complete, bool explain);

char *walclient_path(const char *root, const char *stem, unsigned n); /* free() it */
/* A log in dir that reports to the clients. */
enum err walclient_log(const char *dir, struct fsio_dir **d, struct testteam *tt,
    enum walog_sync sync, const struct replay_result *r, struct walog **w);

#endif
