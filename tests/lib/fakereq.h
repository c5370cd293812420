/*
 * fakereq - requests without a server: runs a handler of net/api on a loop of a test's team and
 * keeps its answer.
 *
 * fakereq.c stands in for net/http/req.c (the linker takes it instead): answers are collected,
 * streams pulled to their end, on_done called.
 *
 *   struct fakereq f;
 *   fakereq_get(&f, &tt, api, "/api/v1/query?query=1");
 *   tap_is_u64(f.status, 200, ...); fakereq_text(&f) ...
 *   fakereq_end(&f);
 *
 * Thread: the test's main thread.
 */
#ifndef TESTS_LIB_FAKEREQ_H
#define TESTS_LIB_FAKEREQ_H

#include "net/api/api.h"
#include "tests/lib/testteam.h"

#define FAKEREQ_FIELDS 4

struct fakereq {
	struct req req;
	struct testteam *tt;
	unsigned loop;
	struct req_field fields[FAKEREQ_FIELDS];
	struct route_match match;
	bool answered, done, charged_out, held_out; /* the last two: req_charge, req_hold say no */
	size_t charged, held;                       /* what they were asked for */
	struct loop_deferred opened;                /* its door */
	bool gone;                                  /* leave right after the handler has returned */
	bool unread;                                /* a stream is not read before fakereq_read */
	bool late;                                  /* what req_loop_is_late says */
	bool kept, over; /* req_keep; all is sent, on_done waits for req_let_go */
	bool aborted;    /* the stream was cut */
	bool resumed;    /* it will be pulled */
	int status;
	char type[64];
	struct buf body;    /* of the answer, NUL behind */
	struct buf headers; /* "name: value\n" of req_answer_field */
};

void fakereq_init(struct fakereq *f, struct testteam *tt, struct api *a);
void fakereq_field(struct fakereq *f, const char *name, const char *value); /* name in lower case */
/*
 * Finds the route, runs gate, door, before_body and handler on f->loop; returns when on_done was
 * called.
 */
void fakereq_run(
    struct fakereq *f, enum req_method method, const char *url, const void *body, size_t len);
/* The same in parts: returns when the handler has, wait until on_done. Not for unknown paths. */
void fakereq_begin(
    struct fakereq *f, enum req_method method, const char *url, const void *body, size_t len);
void fakereq_wait(struct fakereq *f);
void fakereq_leave(struct fakereq *f);    /* the client, before the answer */
bool fakereq_answered(struct fakereq *f); /* or begun to be */
void fakereq_read(struct fakereq *f);     /* to the end, when unread */
void fakereq_get(struct fakereq *f, struct testteam *tt, struct api *a, const char *url);
void fakereq_post_form(
    struct fakereq *f, struct testteam *tt, struct api *a, const char *url, const char *form);
const char *fakereq_text(const struct fakereq *f);
void fakereq_end(struct fakereq *f);

/* An api on a source and a sink, ready without a store; ended by fakeapi_free. */
struct api *fakeapi_create(struct testteam *tt, struct source *src, struct sink *sink, bool admin);
void fakeapi_free(struct api *a);

#endif
