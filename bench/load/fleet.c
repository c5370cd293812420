#include "bench/load/fleet.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"

#define AGAIN_NS 30000000u
#define LEAD_NS  200000u
#define NEVER_NS UINT64_MAX

struct conn {
	pthread_t thread;
	struct fleet *f;
	struct lane *lane;
	struct list_link queue;
	pthread_cond_t more;
	struct fleet_body **flying; /* [in_flight]: sent, or to be sent again; NULL = free */
	unsigned sent;              /* of these: on their way */
	uint64_t round;             /* of the last body that was sent */
};
struct fleet {
	struct fleet_opts o;
	struct conn *conns;
	pthread_mutex_t lock; /* all below, and queues, rounds */
	pthread_cond_t room;  /* the maker may go on */
	bool open, stopped, over;
	bool full;         /* the maker waits for room */
	uint64_t clock_ns; /* 0 = does not run */
	uint64_t left;     /* bodies that have not ended */
	uint64_t bytes;    /* in queues */
	struct fleet_tally tally;
	struct sampleset sets[FLEET_SETS];
	uint64_t hard; /* refusals, as FLEET_REFUSALS counts them */
};

static bool hopeless(const struct fleet *f)
{
	return f->hard >= FLEET_REFUSALS && !f->tally.taken;
}

static void wake_all(struct fleet *f)
{
	for (unsigned k = 0; k < f->o.connections; k++)
		pthread_cond_signal(&f->conns[k].more);
}

/* ---- what is next; all with the lock ---- */

static bool batch_flies(const struct conn *c, uint64_t batch)
{
	for (unsigned i = 0; i < c->f->o.in_flight; i++)
		if (c->flying[i] && c->flying[i]->batch == batch)
			return true;
	return false;
}

static unsigned free_place(const struct conn *c)
{
	unsigned i = 0;
	while (i < c->f->o.in_flight && c->flying[i])
		i++;
	return i;
}

/* Some connection that has work is more than `lead` rounds behind. */
static bool too_far(const struct conn *c, uint64_t round)
{
	const struct fleet *f = c->f;
	if (f->o.lead == UINT64_MAX)
		return false;
	for (unsigned k = 0; k < f->o.connections; k++) {
		const struct conn *other = &f->conns[k];
		bool busy = other->sent || !list_empty(&other->queue);
		if (busy && other->round + f->o.lead < round)
			return true;
	}
	return false;
}

static uint64_t due_of(const struct fleet *f, const struct fleet_body *b)
{
	return b->at_s < 0 ? 0 : f->clock_ns ? f->clock_ns + (uint64_t)(b->at_s * 1e9) : NEVER_NS;
}

static void leave(struct fleet *f, struct fleet_body *b)
{
	if (!--f->left)
		pthread_cond_broadcast(&f->room);
	mem_free(b);
}

/* Nobody is woken for a body that nobody waits for: that would cost a switch for each. */
static void make_room(struct fleet *f, size_t bytes)
{
	f->bytes -= bytes;
	if (f->full)
		pthread_cond_broadcast(&f->room);
}

static void drop_queue(struct conn *c)
{
	for (struct list_link *l; (l = list_pop(&c->queue)) != NULL;) {
		struct fleet_body *b = CONTAINER_OF(l, struct fleet_body, link);
		make_room(c->f, b->call.len);
		leave(c->f, b);
	}
}

/* The body to send now, in a place of `flying`; NULL: *until_ns tells when to look again. */
static struct fleet_body *next(struct conn *c, uint64_t now, uint64_t *until_ns)
{
	struct fleet *f = c->f;
	*until_ns = NEVER_NS;
	if (f->stopped || hopeless(f))
		drop_queue(c);
	for (unsigned i = 0; i < f->o.in_flight; i++) {
		struct fleet_body *b = c->flying[i];
		if (b && b->again_ns && b->again_ns <= now)
			return b;
		if (b && b->again_ns && b->again_ns < *until_ns)
			*until_ns = b->again_ns;
	}
	unsigned place = free_place(c);
	if (list_empty(&c->queue) || place == f->o.in_flight || !f->open)
		return NULL;
	struct fleet_body *b = CONTAINER_OF(c->queue.next, struct fleet_body, link);
	uint64_t due = due_of(f, b);
	if (due > now) {
		*until_ns = due < *until_ns ? due : *until_ns;
		return NULL;
	}
	if (batch_flies(c, b->batch))
		return NULL;
	if (too_far(c, b->round)) {
		*until_ns = now + LEAD_NS;
		return NULL;
	}
	list_pop(&c->queue);
	make_room(f, b->call.len);
	c->flying[place] = b;
	c->round = b->round;
	return b;
}

/* ---- what ended; with the lock ---- */

/* "partial: stored 18 of 20 samples" of kymod, or counts of Remote Write 2.0: something was. */
static bool stored_some(const struct lane_call *call)
{
	static const char head[] = "partial: stored ";
	size_t len = sizeof(head) - 1;
	return (!strncmp(call->text, head, len) && call->text[len] != '0') ||
	    call->written[0] > 0 || call->written[1] > 0;
}

static bool written_wrong(const struct fleet *f, const struct fleet_body *b)
{
	const struct rwbody_counts *n = &b->counts;
	const int64_t *w = b->call.written;
	return f->o.protocol == RWBODY_2 &&
	    (w[0] != n->samples - n->hists || w[1] != n->hists || w[2] != n->exemplars);
}

static void tally_taken(struct fleet *f, const struct fleet_body *b)
{
	struct fleet_tally *t = &f->tally;
	t->taken++;
	t->samples += b->counts.samples;
	t->hists += b->counts.hists;
	t->exemplars += b->counts.exemplars;
	t->first_samples += b->first ? b->counts.samples : 0;
	t->bytes += b->call.len;
	t->sum += b->counts.sum;
	t->size += b->counts.size;
	t->odd |= b->counts.odd;
	t->written_wrong += written_wrong(f, b);
}

static void tally_failed(struct fleet *f, const struct fleet_body *b)
{
	int status = b->call.status;
	bool some = status == 400 && stored_some(&b->call);
	f->tally.failed++;
	f->tally.rejected += status >= 400 && status < 500;
	f->tally.partial += some;
	if (some)
		f->tally.taken++;
	else
		f->hard += status < 0 || status >= 500 ? FLEET_REFUSALS : 1;
	if (hopeless(f))
		wake_all(f);
}

static void tally_answer(struct fleet *f, const struct fleet_body *b)
{
	const struct lane_call *call = &b->call;
	bool refused = call->status == 429 || call->status == 503;
	f->tally.requests += 1 + call->repeats;
	f->tally.retries += call->repeats;
	f->tally.refused += refused;
	if (refused)
		sampleset_add(&f->sets[FLEET_REFUSED], call->ended_ns - call->sent_ns);
	if (f->tally.why[0] || (call->status >= 200 && call->status < 300))
		return;
	if (call->status < 0)
		snprintf(f->tally.why, sizeof(f->tally.why), "%s", call->text);
	else
		snprintf(f->tally.why, sizeof(f->tally.why), "%d %s", call->status, call->text);
}

/* Only of what was taken: a server that refuses at once is not a fast one. */
static void time_taken(struct fleet *f, const struct fleet_body *b)
{
	const struct lane_call *call = &b->call;
	uint64_t took = call->ended_ns - call->sent_ns, since_due = took;
	sampleset_add(&f->sets[b->first ? FLEET_FIRST : FLEET_LATENCY], took);
	if (b->at_s >= 0) {
		since_due = call->ended_ns - due_of(f, b);
		sampleset_add(&f->sets[FLEET_DUE], since_due);
	}
	if (!b->first)
		sampleset_add(&f->sets[FLEET_SPAN], since_due);
}

/* True: it is over with it, one way or the other. */
static bool judge(struct conn *c, struct fleet_body *b)
{
	struct fleet *f = c->f;
	int status = b->call.status;
	bool good = status >= 200 && status < 300;
	tally_answer(f, b);
	if (good) {
		tally_taken(f, b);
		time_taken(f, b);
		return true;
	}
	bool later = status < 0 || status >= 500;
	if (later && !hopeless(f) && !f->stopped &&
	    (double)(b->call.ended_ns - b->begun_ns) / 1e9 < f->o.retry_s) {
		f->tally.retries++;
		b->again_ns = b->call.ended_ns + AGAIN_NS;
		return false;
	}
	tally_failed(f, b);
	return true;
}

static void ended(struct conn *c, struct lane_call *call)
{
	struct fleet *f = c->f;
	struct fleet_body *b = CONTAINER_OF(call, struct fleet_body, call);
	c->sent--;
	if (!judge(c, b))
		return;
	for (unsigned i = 0; i < f->o.in_flight; i++)
		if (c->flying[i] == b)
			c->flying[i] = NULL;
	if (f->o.ended)
		f->o.ended(f->o.arg, b, call->status >= 200 && call->status < 300);
	leave(f, b);
}

/* ---- a connection ---- */

static void send_now(struct conn *c, struct fleet_body *b, uint64_t now)
{
	struct fleet *f = c->f;
	if (!b->begun_ns) {
		b->begun_ns = now;
		if (b->at_s >= 0)
			sampleset_add(&f->sets[FLEET_LATE], now - due_of(f, b));
	}
	b->again_ns = 0;
	c->sent++;
	pthread_mutex_unlock(&f->lock);
	lane_send(c->lane, &b->call);
	pthread_mutex_lock(&f->lock);
}

static void sleep_until(struct conn *c, uint64_t until_ns)
{
	struct fleet *f = c->f;
	struct timespec t = { .tv_sec = (time_t)(until_ns / 1000000000u),
		.tv_nsec = (long)(until_ns % 1000000000u) };
	if (until_ns == NEVER_NS)
		pthread_cond_wait(&c->more, &f->lock);
	else
		pthread_cond_timedwait(&c->more, &f->lock, &t);
}

static void *conn_main(void *arg)
{
	struct conn *c = arg;
	struct fleet *f = c->f;
	pthread_mutex_lock(&f->lock);
	while (!f->over) {
		uint64_t now = clock_real_mono_ns(), until;
		struct fleet_body *b = next(c, now, &until);
		if (b)
			send_now(c, b, now);
		else if (!c->sent)
			sleep_until(c, until);
		if (!c->sent || (b && f->o.in_flight > c->sent && !list_empty(&c->queue)))
			continue;
		pthread_mutex_unlock(&f->lock);
		uint64_t most = clock_real_mono_ns() + 100000000u;
		struct lane_call *call = lane_wait(c->lane, b ? 0 : until < most ? until : most);
		pthread_mutex_lock(&f->lock);
		if (call)
			ended(c, call);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

/* ---- the whole ---- */

static void cond_begin(pthread_cond_t *cond)
{
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &mono);
	pthread_condattr_destroy(&mono);
}

static void conn_begin(struct fleet *f, struct conn *c)
{
	struct lane_opts o = { .url = f->o.url,
		.path = f->o.path,
		.headers = rwbody_headers(f->o.protocol),
		.h2 = f->o.h2 };
	c->f = f;
	c->lane = lane_new(&o);
	c->flying = mem_zalloc(f->o.in_flight * sizeof(struct fleet_body *));
	list_init(&c->queue);
	cond_begin(&c->more);
}

struct fleet *fleet_new(const struct fleet_opts *o)
{
	struct fleet *f = mem_zalloc(sizeof(*f));
	f->o = *o;
	pthread_mutex_init(&f->lock, NULL);
	cond_begin(&f->room);
	f->conns = mem_zalloc(o->connections * sizeof(*f->conns));
	for (unsigned k = 0; k < o->connections; k++)
		conn_begin(f, &f->conns[k]);
	for (unsigned k = 0; k < o->connections; k++) {
		if (pthread_create(&f->conns[k].thread, NULL, conn_main, &f->conns[k])) {
			perror("kymobench: pthread_create");
			exit(1);
		}
	}
	return f;
}

void fleet_push(struct fleet *f, const struct fleet_body *like, const struct buf *packed)
{
	struct conn *c = &f->conns[like->batch % f->o.connections];
	struct fleet_body *b = mem_alloc(sizeof(*b) + packed->len);
	*b = *like;
	b->call = (struct lane_call){ .body = b->data, .len = packed->len };
	b->begun_ns = b->again_ns = 0;
	memcpy(b->data, packed->data, packed->len);
	list_init(&b->link);
	pthread_mutex_lock(&f->lock);
	while (f->bytes && f->bytes + packed->len > f->o.memory_bytes) {
		f->full = true;
		pthread_cond_wait(&f->room, &f->lock);
	}
	f->full = false;
	f->bytes += packed->len;
	f->left++;
	if (f->bytes > f->tally.waiting_peak)
		f->tally.waiting_peak = f->bytes;
	/* Idle until now: it is not behind, wherever a run begins. */
	if (!c->sent && list_empty(&c->queue))
		c->round = b->round;
	list_add_tail(&c->queue, &b->link);
	pthread_cond_signal(&c->more);
	pthread_mutex_unlock(&f->lock);
}

void fleet_gate(struct fleet *f, bool open)
{
	pthread_mutex_lock(&f->lock);
	f->open = open;
	wake_all(f);
	pthread_mutex_unlock(&f->lock);
}

void fleet_clock(struct fleet *f)
{
	pthread_mutex_lock(&f->lock);
	f->clock_ns = clock_real_mono_ns();
	wake_all(f);
	pthread_mutex_unlock(&f->lock);
}

bool fleet_drain(struct fleet *f, uint64_t until_ns)
{
	struct timespec t = { .tv_sec = (time_t)(until_ns / 1000000000u),
		.tv_nsec = (long)(until_ns % 1000000000u) };
	pthread_mutex_lock(&f->lock);
	while (f->left && (until_ns == UINT64_MAX || clock_real_mono_ns() < until_ns)) {
		if (until_ns == UINT64_MAX)
			pthread_cond_wait(&f->room, &f->lock);
		else
			pthread_cond_timedwait(&f->room, &f->lock, &t);
	}
	bool empty = !f->left;
	pthread_mutex_unlock(&f->lock);
	return empty;
}

void fleet_stop(struct fleet *f)
{
	pthread_mutex_lock(&f->lock);
	f->stopped = true;
	for (unsigned k = 0; k < f->o.connections; k++)
		drop_queue(&f->conns[k]);
	wake_all(f);
	pthread_mutex_unlock(&f->lock);
}

uint64_t fleet_waiting(struct fleet *f)
{
	pthread_mutex_lock(&f->lock);
	uint64_t bytes = f->bytes;
	pthread_mutex_unlock(&f->lock);
	return bytes;
}

bool fleet_hopeless(struct fleet *f)
{
	pthread_mutex_lock(&f->lock);
	bool is = hopeless(f);
	pthread_mutex_unlock(&f->lock);
	return is;
}

void fleet_tally(struct fleet *f, struct fleet_tally *out)
{
	pthread_mutex_lock(&f->lock);
	*out = f->tally;
	pthread_mutex_unlock(&f->lock);
}

double fleet_quantile_ms(struct fleet *f, enum fleet_set which, double q)
{
	pthread_mutex_lock(&f->lock);
	double ms = (double)sampleset_quantile(&f->sets[which], q) / 1e6;
	pthread_mutex_unlock(&f->lock);
	return ms;
}

uint64_t fleet_span(struct fleet *f, double *p50_ms, double *p99_ms, double *max_ms)
{
	struct sampleset *s = &f->sets[FLEET_SPAN];
	pthread_mutex_lock(&f->lock);
	uint64_t seen = s->seen;
	*p50_ms = (double)sampleset_quantile(s, 0.5) / 1e6;
	*p99_ms = (double)sampleset_quantile(s, 0.99) / 1e6;
	*max_ms = (double)sampleset_quantile(s, 1) / 1e6;
	sampleset_clear(s);
	pthread_mutex_unlock(&f->lock);
	return seen;
}

void fleet_free(struct fleet *f)
{
	pthread_mutex_lock(&f->lock);
	f->over = true;
	wake_all(f);
	pthread_mutex_unlock(&f->lock);
	for (unsigned k = 0; k < f->o.connections; k++) {
		struct conn *c = &f->conns[k];
		pthread_join(c->thread, NULL);
		lane_free(c->lane);
		pthread_cond_destroy(&c->more);
		mem_free(c->flying);
	}
	for (unsigned i = 0; i < FLEET_SETS; i++)
		sampleset_release(&f->sets[i]);
	pthread_cond_destroy(&f->room);
	pthread_mutex_destroy(&f->lock);
	mem_free(f->conns);
	mem_free(f);
}
