#include "net/http/answerjob.h"

#define PACK_BYTES (8u << 10) /* compressed in one step, some 100 to 200 us */

/*
 *   ASLEEP > (pull) > MAKES > (made some) > ASLEEP
 *                       +---- the handler says REQ_LATER > HANDLER > (resume) > MAKES
 *                       +---- it says REQ_END or REQ_ABORT > OVER
 * What was made is taken in any of them.
 */
enum answerjob_state {
	ANSWERJOB_ASLEEP,
	ANSWERJOB_MAKES,
	ANSWERJOB_HANDLER,
	ANSWERJOB_OVER
};

struct answerjob {
	struct job job;
	struct req *r;
	enum answerjob_state state;
	enum req_pull next; /* what the handler said last */
	struct buf made;    /* as the client gets it */
	size_t packed;      /* of answer.plain */
	bool runs, resumed; /* resumed: the handler has said so since it was asked last */
};

/* The handler gives a piece, or some of it is compressed. */
static void make_step(struct answerjob *j)
{
	struct req_answer *a = j->r->_answer;
	if (!a->gz) {
		j->resumed = false;
		j->next = a->pull(j->r, &j->made);
		return;
	}
	if (j->packed == a->plain.len) {
		buf_clear(&a->plain);
		j->packed = 0;
		j->resumed = false;
		j->next = a->pull(j->r, &a->plain);
		if (a->plain.len)
			return;
	}
	size_t n = a->plain.len - j->packed;
	n = n < PACK_BYTES ? n : PACK_BYTES;
	gz_push(a->gz, a->plain.data + j->packed, n, &j->made);
	j->packed += n;
	if (j->packed < a->plain.len)
		return;
	if (j->next == REQ_LATER) /* what there is may be worth reading now */
		gz_flush(a->gz, &j->made);
	else if (j->next == REQ_END)
		gz_finish(a->gz, &j->made);
}

static enum answerjob_state state_after(const struct answerjob *j)
{
	if (j->packed < j->r->_answer->plain.len || j->next == REQ_MORE)
		return ANSWERJOB_ASLEEP;
	return j->next == REQ_LATER ? ANSWERJOB_HANDLER : ANSWERJOB_OVER;
}

static enum job_state answerjob_run(struct job *job)
{
	struct answerjob *j = CONTAINER_OF(job, struct answerjob, job);
	enum answerjob_state to;
	bool yield;
	do {
		j->runs = true;
		make_step(j);
		j->runs = false;
		if (j->r->_ending) { /* its own handler has cut it */
			buf_release(&j->made);
			return JOB_DONE;
		}
		if (j->next == REQ_LATER && j->resumed)
			j->next = REQ_MORE;
		to = state_after(j);
		yield = job_should_yield();
	} while (to == ANSWERJOB_ASLEEP && !yield && j->made.len < ANSWERJOB_BYTES);
	if (to == ANSWERJOB_ASLEEP && !j->made.len)
		return JOB_YIELD;
	j->state = to;
	if (j->made.len || to == ANSWERJOB_OVER)
		j->r->_ops->resume(j->r);
	return to == ANSWERJOB_OVER ? JOB_DONE : JOB_WAIT;
}

static void answerjob_begin(struct req *r)
{
	struct answerjob *j = arena_zalloc(&r->arena, sizeof(*j));
	j->r = r;
	j->state = ANSWERJOB_MAKES;
	buf_init(&j->made);
	job_init(&j->job, r->_answer->payer_class, answerjob_run);
	job_group(&j->job, r->_answer->payer);
	j->job.what = r->path;
	j->job.what_len = r->path_len;
	r->_answer->job = j;
	job_start(r->loop, &j->job);
}

enum req_pull answerjob_pull(struct req *r, struct buf *out)
{
	struct answerjob *j = r->_answer->job;
	if (!j) {
		answerjob_begin(r);
		return REQ_LATER;
	}
	if (j->made.len) {
		buf_add(out, j->made.data, j->made.len);
		buf_release(&j->made);
		return j->state == ANSWERJOB_OVER && j->next == REQ_END ? REQ_END : REQ_MORE;
	}
	if (j->state == ANSWERJOB_OVER)
		return j->next;
	if (j->state == ANSWERJOB_ASLEEP) {
		j->state = ANSWERJOB_MAKES;
		job_wake(&j->job);
	}
	return REQ_LATER;
}

void answerjob_resume(struct req *r)
{
	struct answerjob *j = r->_answer->job;
	if (!j)
		return;
	j->resumed = true; /* what it gave before may not be packed yet */
	if (j->state != ANSWERJOB_HANDLER)
		return;
	j->state = ANSWERJOB_MAKES;
	job_wake(&j->job);
}

void answerjob_end(struct req *r)
{
	struct answerjob *j = r->_answer->job;
	if (!j || j->runs)
		return;
	buf_release(&j->made);
	job_drop(&j->job);
}
