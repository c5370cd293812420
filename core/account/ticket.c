/*
 * ticket - the places as the keeper sees them:
 *
 *            ask                   grant             grow                  grant
 *   ASKING -------> WAITS_SMALL ----------> SMALL ---------> WAITS_HEAVY ---------> HEAVY
 *     |  full: refused  |  abandon            | worked out       | worked out         | worked out
 *     v                 v                     v                  v                    v
 *   NONE: freed     NONE: freed             NONE until it is freed
 *
 * A ticket has one link for what home and keeper answer each other (ask, grow), and one for each
 * thing that may be said while an answer is under way: abandon, worked out, free. Messages of one
 * sender keep their order. Who abandons gets the answer that is under way all the same and sends
 * the ticket back. A grow is always answered, also when the work ended meanwhile: the ticket goes
 * back when the answer is there.
 */
#include "core/account/ticket.h"

#include "core/base/arena.h"
#include "core/base/metric.h"
#include "core/rt/latch.h"

#define WHO_CHAINS 64u
#define MIB(bytes) ((unsigned long long)((bytes) >> 20))

enum place {
	PLACE_ASKING,
	PLACE_WAITS_SMALL,
	PLACE_SMALL,
	PLACE_WAITS_HEAVY,
	PLACE_HEAVY,
	PLACE_NONE
};
enum home_state {
	HOME_ASKING,
	HOME_WORKS,
	HOME_GROWS,
	HOME_WORKED_OUT,
	HOME_ABANDONED
};

struct ticket {
	struct mbox_msg msg, abandon_msg, out_msg, free_msg;
	struct tickets *book;
	struct loop *home;
	struct ticket_opts o;
	struct purse purse;
	struct purse touched; /* counts samples; over: no small one any more */
	struct latch heavy;
	/* home's */
	enum home_state state;
	bool grow_asked; /* its answer is not here yet; it comes in any case */
	bool freed;      /* and goes to the keeper when it is */
	void (*wake)(void *arg);
	void *wake_arg;
	/* the keeper's */
	enum place place;
	struct list_link queue;
	struct who *who;
	struct pot *pot; /* NULL: its tenant has no limit of memory */
	uint64_t order;  /* of asking */
	/* written by the keeper before it sends the answer */
	enum err verdict;
};

/* What a tenant or an address has. */
struct part {
	/* when it got a place last, or came; by the book's count of places given */
	uint64_t served[2];
	uint64_t order; /* of coming */
	unsigned tickets, places, waits[2];
};

/* What all queries of a tenant may hold; a new one when its limit changes. */
struct pot {
	struct purse purse;
	unsigned tickets;
};

/* A tenant of which tickets are out. */
struct owner {
	struct list_link chain;
	uint32_t tenant;
	struct part part;
	struct ticket_tenant limits;
	struct pot *pot; /* of the next ticket, when it has some already */
};

/* An address of it of which tickets are out. */
struct who {
	struct list_link chain, waiting_link[2]; /* of those who wait, by class */
	struct list_link waiting[2];             /* tickets, oldest first */
	struct owner *owner;
	uint64_t key;
	struct part part;
};

struct tickets {
	struct loop *keeper;
	unsigned places, heavy_places, queued_max;
	uint64_t bytes_each;
	struct purse sum;
	/* everything below is the keeper's own */
	unsigned out, small, heavy, waits[2];
	uint64_t order, given;
	struct list_link waiting[2]; /* of struct who */
	struct list_link chains[WHO_CHAINS], owner_chains[WHO_CHAINS];
};

static void at_keeper_ask(struct mbox_msg *m);
static void at_keeper_grow(struct mbox_msg *m);
static void at_keeper_abandon(struct mbox_msg *m);
static void at_keeper_out(struct mbox_msg *m);
static void at_keeper_free(struct mbox_msg *m);
static void at_home_answer(struct mbox_msg *m);
static void at_home_grown(struct mbox_msg *m);

/* --- life --- */

struct tickets *tickets_create(struct team *t, const struct limits *l)
{
	struct tickets *ts = mem_zalloc(sizeof(*ts));
	unsigned half_loops = team_count(t) / 2;

	ts->keeper = team_loop(t, 0);
	ts->places = (unsigned)l->query_concurrency;
	ts->heavy_places = half_loops ? half_loops : 1;
	if (ts->heavy_places > ts->places / 2)
		ts->heavy_places = ts->places > 1 ? ts->places / 2 : 1;
	ts->queued_max = (unsigned)l->query_queued;
	ts->bytes_each = l->query_memory;
	purse_init(&ts->sum, l->query_memory_total, NULL);
	purse_show(&ts->sum, M_QUERY_MEMORY_BYTES);
	for (int c = 0; c < 2; c++)
		list_init(&ts->waiting[c]);
	for (unsigned i = 0; i < WHO_CHAINS; i++) {
		list_init(&ts->chains[i]);
		list_init(&ts->owner_chains[i]);
	}
	return ts;
}

void tickets_free(struct tickets *ts)
{
	if (!ts)
		return;
	CHECK(!ts->out && !ts->small && !ts->heavy && !ts->waits[0] && !ts->waits[1]);
	purse_end(&ts->sum);
	mem_free(ts);
}

/*
 * now: as a call when that is here already; an answer of the keeper to others comes as a message.
 */
static void send(struct loop *to, struct mbox_msg *m, void (*fn)(struct mbox_msg *m), bool now)
{
	m->fn = fn;
	if (now && to == loop_here())
		fn(m);
	else
		loop_send(to, m);
}

/* --- the keeper: tenants and addresses --- */

static void part_begin(const struct tickets *ts, struct part *p)
{
	for (int c = 0; c < 2; c++)
		p->served[c] = ts->given;
	p->order = ts->order;
}

static void part_check_empty(const struct part *p)
{
	CHECK(!p->tickets && !p->places && !p->waits[0] && !p->waits[1]);
}

static struct owner *owner_of(struct tickets *ts, uint32_t tenant)
{
	struct list_link *chain = &ts->owner_chains[tenant % WHO_CHAINS];

	LIST_EACH(l, chain) {
		struct owner *o = CONTAINER_OF(l, struct owner, chain);
		if (o->tenant == tenant)
			return o;
	}
	struct owner *o = mem_zalloc(sizeof(*o));
	o->tenant = tenant;
	part_begin(ts, &o->part);
	list_add_head(chain, &o->chain);
	return o;
}

static struct who *who_of(struct tickets *ts, struct owner *o, uint64_t key)
{
	struct list_link *chain = &ts->chains[(key + o->tenant) % WHO_CHAINS];

	LIST_EACH(l, chain) {
		struct who *w = CONTAINER_OF(l, struct who, chain);
		if (w->key == key && w->owner == o)
			return w;
	}
	struct who *w = mem_zalloc(sizeof(*w));
	w->key = key;
	w->owner = o;
	part_begin(ts, &w->part);
	for (int c = 0; c < 2; c++) {
		list_init(&w->waiting[c]);
		list_init(&w->waiting_link[c]);
	}
	list_add_head(chain, &w->chain);
	return w;
}

static void pot_less(struct pot *p)
{
	if (!p || --p->tickets)
		return;
	purse_end(&p->purse);
	mem_free(p);
}

/* Its memory is counted with that of the tenant's others. */
static void pot_join(struct tickets *ts, struct owner *o, struct ticket *t)
{
	uint64_t max = o->limits.memory;

	if (o->pot && o->pot->purse.max != max) {
		pot_less(o->pot);
		o->pot = NULL;
	}
	if (!max)
		return;
	if (!o->pot) {
		o->pot = mem_zalloc(sizeof(*o->pot));
		purse_init(&o->pot->purse, max, &ts->sum);
		o->pot->tickets = 1; /* the owner's own */
	}
	t->pot = o->pot;
	t->pot->tickets++;
	purse_init(&t->purse, t->purse.max, &t->pot->purse);
}

static void who_more(struct tickets *ts, struct ticket *t)
{
	struct owner *o = owner_of(ts, t->o.tenant);

	t->who = who_of(ts, o, t->o.who);
	t->who->part.tickets++;
	o->part.tickets++;
	o->limits = t->o.limits;
	pot_join(ts, o, t);
}

static void who_less(struct who *w)
{
	struct owner *o = w->owner;

	o->part.tickets--;
	if (!--w->part.tickets) {
		part_check_empty(&w->part);
		list_del(&w->chain);
		mem_free(w);
	}
	if (o->part.tickets)
		return;
	part_check_empty(&o->part);
	pot_less(o->pot);
	list_del(&o->chain);
	mem_free(o);
}

static struct ticket *first_of(const struct who *w, enum ticket_class c)
{
	return CONTAINER_OF(w->waiting[c].next, struct ticket, queue);
}

/* Do its own limits let it have one more place? */
static bool owner_may(const struct owner *o)
{
	return !o->limits.concurrency || o->part.places < o->limits.concurrency;
}

static bool owner_waits_enough(const struct owner *o, enum ticket_class c)
{
	return o->limits.queued && o->part.waits[c] >= o->limits.queued;
}

/* --- the keeper: the queues --- */

static enum place waiting_place(enum ticket_class c)
{
	return c == TICKET_SMALL ? PLACE_WAITS_SMALL : PLACE_WAITS_HEAVY;
}

static void wait_begin(struct tickets *ts, struct ticket *t, enum ticket_class c)
{
	struct who *w = t->who;

	t->place = waiting_place(c);
	w->owner->part.waits[c]++;
	if (!w->part.waits[c]++)
		list_add_tail(&ts->waiting[c], &w->waiting_link[c]);
	list_add_tail(&w->waiting[c], &t->queue);
	ts->waits[c]++;
	metric_gauge_add(M_QUERIES_QUEUED, 1);
}

static void wait_end(struct tickets *ts, struct ticket *t, enum ticket_class c)
{
	struct who *w = t->who;

	CHECK(t->place == waiting_place(c));
	list_del(&t->queue);
	w->owner->part.waits[c]--;
	if (!--w->part.waits[c])
		list_del(&w->waiting_link[c]);
	ts->waits[c]--;
	metric_gauge_add(M_QUERIES_QUEUED, -1);
}

/*
 * Fewest places first; among equals who got one longest ago (all have none when everybody waits for
 * a heavy place); then who came first.
 */
static bool part_before(const struct part *a, const struct part *b, enum ticket_class c)
{
	if (a->places != b->places)
		return a->places < b->places;
	if (a->served[c] != b->served[c])
		return a->served[c] < b->served[c];
	return a->order < b->order;
}

/* Tenants first, then addresses, then who asked first. */
static bool is_before(const struct ticket *a, const struct ticket *b, enum ticket_class c)
{
	const struct who *v = a->who, *w = b->who;

	if (v->owner != w->owner)
		return part_before(&v->owner->part, &w->owner->part, c);
	if (v->part.places != w->part.places || v->part.served[c] != w->part.served[c])
		return part_before(&v->part, &w->part, c);
	return a->order < b->order;
}

/* NULL: nobody waits whose tenant may have another place. */
static struct ticket *next_of(struct tickets *ts, enum ticket_class c)
{
	struct ticket *best = NULL;

	LIST_EACH(l, &ts->waiting[c]) {
		struct ticket *t = first_of(CONTAINER_OF(l, struct who, waiting_link[c]), c);
		if (owner_may(t->who->owner) && (!best || is_before(t, best, c)))
			best = t;
	}
	return best;
}

/* Of those that wait, the tenant that does so most often; w's when none does more. */
static const struct owner *most_waiting(
    const struct tickets *ts, const struct who *w, enum ticket_class c)
{
	const struct owner *most = w->owner;

	LIST_EACH(l, &ts->waiting[c]) {
		const struct owner *o = CONTAINER_OF(l, struct who, waiting_link[c])->owner;
		if (o->part.waits[c] > most->part.waits[c])
			most = o;
	}
	return most->part.waits[c] > w->owner->part.waits[c] + 1 ? most : w->owner;
}

static struct ticket *last_of(const struct who *w, enum ticket_class c)
{
	return CONTAINER_OF(w->waiting[c].prev, struct ticket, queue);
}

/* More often, or as often and for less long. */
static bool waits_more(const struct who *a, const struct who *b, enum ticket_class c)
{
	unsigned n = a->part.waits[c], m = b->part.waits[c];

	return n > m || (n && n == m && last_of(a, c)->order > last_of(b, c)->order);
}

/*
 * The youngest of the tenant that waits most often, when that is more often than w's would, of its
 * address that does; else of an address of the same tenant, when that waits more often than w
 * would. own: only that.
 */
static struct ticket *to_displace(
    struct tickets *ts, const struct who *w, enum ticket_class c, bool own)
{
	const struct owner *o = own ? w->owner : most_waiting(ts, w, c);
	const struct who *most = o == w->owner ? w : NULL;

	LIST_EACH(l, &ts->waiting[c]) {
		const struct who *x = CONTAINER_OF(l, struct who, waiting_link[c]);
		if (x->owner == o && (!most || waits_more(x, most, c)))
			most = x;
	}
	if (o == w->owner && most->part.waits[c] <= w->part.waits[c] + 1)
		return NULL;
	return last_of(most, c);
}

/* --- the keeper: places --- */

static void part_serve(struct part *p, enum ticket_class c, uint64_t given)
{
	p->places++;
	p->served[c] = given;
}

static void place_take(struct tickets *ts, struct ticket *t, enum ticket_class c)
{
	t->place = c == TICKET_SMALL ? PLACE_SMALL : PLACE_HEAVY;
	*(c == TICKET_SMALL ? &ts->small : &ts->heavy) += 1;
	CHECK(ts->small + ts->heavy <= ts->places && ts->heavy <= ts->heavy_places);
	ts->given++;
	part_serve(&t->who->part, c, ts->given);
	part_serve(&t->who->owner->part, c, ts->given);
	metric_gauge_add(M_QUERIES_RUNNING, 1);
	metric_gauge_add(M_QUERIES_HEAVY, c == TICKET_HEAVY);
}

/* Its place, or its wait for one. */
static void place_give(struct tickets *ts, struct ticket *t)
{
	bool small = t->place == PLACE_SMALL, heavy = t->place == PLACE_HEAVY;

	if (t->place == PLACE_WAITS_SMALL)
		wait_end(ts, t, TICKET_SMALL);
	if (t->place == PLACE_WAITS_HEAVY)
		wait_end(ts, t, TICKET_HEAVY);
	t->place = PLACE_NONE;
	if (!small && !heavy)
		return;
	CHECK(t->who->part.places && (small ? ts->small : ts->heavy));
	t->who->part.places--;
	t->who->owner->part.places--;
	*(small ? &ts->small : &ts->heavy) -= 1;
	metric_gauge_add(M_QUERIES_RUNNING, -1);
	metric_gauge_add(M_QUERIES_HEAVY, -(int64_t)heavy);
}

/*
 * As long as somebody works the sum gets smaller again. Nobody waits for nothing, and not for those
 * whose answers are read: that is for their readers to say.
 */
static bool bytes_let(const struct tickets *ts, enum ticket_class c)
{
	uint64_t used = purse_used(&ts->sum), max = ts->sum.max;

	if (c == TICKET_HEAVY)
		return !ts->heavy || used <= max / 2;
	return used <= max / 4 * 3 || ts->small + ts->heavy == 0;
}

static bool is_free(const struct tickets *ts, enum ticket_class c)
{
	return ts->small + ts->heavy < ts->places &&
	    (c == TICKET_SMALL || ts->heavy < ts->heavy_places) && bytes_let(ts, c);
}

/* Could one who comes now have a place at once? */
static bool is_free_for(struct tickets *ts, const struct who *w, enum ticket_class c)
{
	return is_free(ts, c) && owner_may(w->owner) && (!ts->waits[c] || !next_of(ts, c));
}

static void places_fill_of(
    struct tickets *ts, enum ticket_class c, void (*answer)(struct mbox_msg *m))
{
	struct ticket *t;

	while (ts->waits[c] && is_free(ts, c) && (t = next_of(ts, c))) {
		wait_end(ts, t, c);
		place_take(ts, t, c);
		send(t->home, &t->msg, answer, false);
	}
}

/* Heavy ones first: they cannot take more than half of the places. */
static void places_fill(struct tickets *ts)
{
	places_fill_of(ts, TICKET_HEAVY, at_home_grown);
	places_fill_of(ts, TICKET_SMALL, at_home_answer);
}

static void bury(struct tickets *ts, struct ticket *t)
{
	struct who *w = t->who;

	place_give(ts, t);
	ts->out--;
	pot_less(t->pot);
	mem_free(t);
	who_less(w);
	places_fill(ts);
}

static void refuse(struct ticket *t, bool now)
{
	t->place = PLACE_NONE;
	t->verdict = ERR_BUSY;
	metric_add(M_QUERIES_REFUSED, 1);
	send(t->home, &t->msg, at_home_answer, now);
}

/* It goes on with its purse closed. */
static void refuse_growth(struct ticket *t, bool now)
{
	t->place = PLACE_NONE;
	metric_add(M_QUERIES_REFUSED, 1);
	purse_close(&t->purse);
	send(t->home, &t->msg, at_home_grown, now);
}

/* --- the keeper: messages --- */

static struct ticket *of_msg(struct mbox_msg *m)
{
	return CONTAINER_OF(m, struct ticket, msg);
}

/*
 * Is there room to wait? If not, *displaced has to leave, or (NULL) nobody does and it is refused.
 */
static bool may_wait(
    struct tickets *ts, const struct who *w, enum ticket_class c, struct ticket **displaced)
{
	bool own = owner_waits_enough(w->owner, c);

	*displaced = NULL;
	if (!own && ts->waits[c] < ts->queued_max)
		return true;
	*displaced = to_displace(ts, w, c, own);
	return *displaced != NULL;
}

static void at_keeper_ask(struct mbox_msg *m)
{
	struct ticket *t = of_msg(m), *displaced;
	struct tickets *ts = t->book;

	ts->out++;
	t->order = ++ts->order;
	who_more(ts, t);
	if (is_free_for(ts, t->who, TICKET_SMALL)) {
		place_take(ts, t, TICKET_SMALL);
		send(t->home, &t->msg, at_home_answer, true);
		return;
	}
	if (!may_wait(ts, t->who, TICKET_SMALL, &displaced)) {
		refuse(t, true);
		return;
	}
	if (displaced) {
		wait_end(ts, displaced, TICKET_SMALL);
		refuse(displaced, false);
	}
	wait_begin(ts, t, TICKET_SMALL);
}

static void at_keeper_grow(struct mbox_msg *m)
{
	struct ticket *t = of_msg(m), *displaced;
	struct tickets *ts = t->book;

	CHECK(t->place == PLACE_SMALL);
	place_give(ts, t);
	if (is_free_for(ts, t->who, TICKET_HEAVY)) {
		place_take(ts, t, TICKET_HEAVY);
		send(t->home, &t->msg, at_home_grown, true);
		return;
	}
	bool waits = may_wait(ts, t->who, TICKET_HEAVY, &displaced);
	if (displaced) {
		wait_end(ts, displaced, TICKET_HEAVY);
		refuse_growth(displaced, false);
	}
	if (waits)
		wait_begin(ts, t, TICKET_HEAVY);
	else
		refuse_growth(t, true);
	places_fill(ts);
}

/* Not in the queue any more: its answer is under way, and home sends the ticket back. */
static void at_keeper_abandon(struct mbox_msg *m)
{
	struct ticket *t = CONTAINER_OF(m, struct ticket, abandon_msg);

	if (t->place == PLACE_WAITS_SMALL)
		bury(t->book, t);
}

static void at_keeper_bury(struct mbox_msg *m)
{
	struct ticket *t = of_msg(m);
	bury(t->book, t);
}

static void at_keeper_out(struct mbox_msg *m)
{
	struct ticket *t = CONTAINER_OF(m, struct ticket, out_msg);
	bool waited = t->place == PLACE_WAITS_HEAVY;

	place_give(t->book, t);
	if (waited)
		send(t->home, &t->msg, at_home_grown, false);
	places_fill(t->book);
}

static void at_keeper_free(struct mbox_msg *m)
{
	struct ticket *t = CONTAINER_OF(m, struct ticket, free_msg);
	bury(t->book, t);
}

/* --- at home --- */

void ticket_ask(struct tickets *ts, const struct ticket_opts *o, struct ticket **out)
{
	struct ticket *t = mem_zalloc(sizeof(*t));

	t->book = ts;
	t->home = loop_here();
	t->o = *o;
	purse_init(&t->purse, o->bytes_max ? o->bytes_max : ts->bytes_each, &ts->sum);
	purse_init(&t->touched, TICKET_SMALL_SAMPLES, NULL);
	list_init(&t->queue);
	*out = t;
	send(ts->keeper, &t->msg, at_keeper_ask, true);
}

static void at_home_answer(struct mbox_msg *m)
{
	struct ticket *t = of_msg(m);
	void (*answer)(void *arg, enum err e) = t->o.answer;
	void *arg = t->o.arg;
	enum err e = t->verdict;

	loop_check_here(t->home);
	if (t->state == HOME_ABANDONED || e) {
		bool abandoned = t->state == HOME_ABANDONED;
		send(t->book->keeper, &t->msg, at_keeper_bury, true);
		if (!abandoned)
			answer(arg, e);
		return;
	}
	t->state = HOME_WORKS;
	answer(arg, ERR_OK);
}

void ticket_abandon(struct ticket *t)
{
	loop_check_here(t->home);
	CHECK(t->state == HOME_ASKING);
	t->state = HOME_ABANDONED;
	send(t->book->keeper, &t->abandon_msg, at_keeper_abandon, true);
}

static void at_home_grown(struct mbox_msg *m)
{
	struct ticket *t = of_msg(m);

	loop_check_here(t->home);
	t->grow_asked = false;
	if (t->state == HOME_GROWS) {
		t->state = HOME_WORKS;
		latch_set(&t->heavy);
		if (t->wake)
			t->wake(t->wake_arg);
	} else if (t->freed) {
		send(t->book->keeper, &t->free_msg, at_keeper_free, true);
	}
}

bool ticket_grow(struct ticket *t, void (*wake)(void *arg), void *arg)
{
	loop_check_here(t->home);
	CHECK(t->state == HOME_WORKS || t->state == HOME_GROWS);
	if (latch_is_set(&t->heavy))
		return true;
	if (t->state == HOME_WORKS) {
		t->state = HOME_GROWS;
		t->grow_asked = true;
		t->wake = NULL; /* an answer inside this call wakes nobody */
		send(t->book->keeper, &t->msg, at_keeper_grow, true);
	}
	t->wake = wake;
	t->wake_arg = arg;
	return t->state == HOME_WORKS;
}

void ticket_worked_out(struct ticket *t)
{
	loop_check_here(t->home);
	if (t->state == HOME_WORKED_OUT)
		return;
	CHECK(t->state == HOME_WORKS || t->state == HOME_GROWS);
	t->state = HOME_WORKED_OUT;
	if (purse_peak(&t->purse) > TICKET_SMALL_BYTES)
		mem_trim_soon();
	send(t->book->keeper, &t->out_msg, at_keeper_out, true);
}

void ticket_free(struct ticket *t)
{
	if (!t)
		return;
	ticket_worked_out(t);
	purse_end(&t->purse);
	if (purse_peak(&t->purse) > TICKET_SMALL_BYTES)
		mem_trim_soon();
	t->freed = true;
	if (!t->grow_asked)
		send(t->book->keeper, &t->free_msg, at_keeper_free, true);
}

/* --- what it may use --- */

struct purse *ticket_purse(struct ticket *t)
{
	return &t->purse;
}

uint32_t ticket_tenant(const struct ticket *t)
{
	return t->o.tenant;
}

const char *ticket_what(const struct ticket *t, size_t *len)
{
	*len = t->o.what_len;
	return t->o.what;
}

enum ticket_class ticket_class(const struct ticket *t)
{
	return latch_is_set(&t->heavy) ? TICKET_HEAVY : TICKET_SMALL;
}

bool ticket_touched(struct ticket *t, uint64_t samples)
{
	if (latch_is_set(&t->heavy))
		return false;
	purse_force(&t->touched, samples);
	return purse_over(&t->touched) || purse_used(&t->purse) > TICKET_SMALL_BYTES;
}

/* Of the purses above, the one that is full: the tenant's, or that of all. */
static const struct purse *full_one(const struct purse *p, uint64_t more)
{
	const struct purse *up = p->up ? p->up : p;

	if (up->up && up->max && purse_used(up) + more <= up->max)
		up = up->up;
	return up;
}

enum err ticket_no_room(const struct purse *p, uint64_t more, struct errbuf *eb)
{
	uint64_t used = purse_used(p);
	const struct purse *full = full_one(p, more);
	char limit[LIMITS_TEXT_MAX];

	switch (purse_why(p)) {
	case PURSE_FITS:
	case PURSE_OWN:
		break;
	case PURSE_SUM:
		if (full->up)
			return errbuf_set(eb, ERR_BUSY,
			    "the tenant's queries need %llu MiB at once, limit %llu MiB (query_memory of the tenant), try again later",
			    MIB(purse_used(full) + more), MIB(full->max));
		return errbuf_set(eb, ERR_BUSY,
		    "queries need %llu MiB at once, limit %llu MiB (--%s), try again later",
		    MIB(purse_used(full) + more), MIB(full->max),
		    limits_flag(LIMITS_query_memory_total));
	case PURSE_MEMORY:
		return errbuf_set(
		    eb, ERR_NOMEM, "the server has no more memory now, try again later");
	case PURSE_CLOSED:
		return errbuf_set(eb, ERR_BUSY,
		    "too many heavy queries are waiting, %s, try again later",
		    limits_text(limits_here(), LIMITS_query_queued, limit));
	}
	return errbuf_set(eb, ERR_TOOBIG, "query needs an estimated %llu MiB, limit %llu MiB (--%s)",
	    MIB(used + more), MIB(p->max), limits_flag(LIMITS_query_memory));
}
