#include "storage/cardnow.h"

#include <string.h>

#include "core/base/clock.h"
#include "storage/store_priv.h"

struct asking {
	struct mbox_msg msg;
	struct asking *next;
	struct cardnow *n;
	struct store_stats_req *req;
};
struct figure { /* of a tenant */
	struct list_link link;
	struct cardnow *n;
	bool counting, stale;                 /* stale: series were deleted since it began */
	uint64_t begun_ns, took_ns, ended_ns; /* never faked */
	struct asking *served, *waiting;      /* whom the count is for; the next one */
	struct store_stats_req req;
	struct store_stats stats;
};
struct cardnow {
	struct store *st;
	struct list_link figures; /* the one counted longest ago first */
	uint64_t counts;
};

struct cardnow *cardnow_create(struct store *st)
{
	struct cardnow *n = mem_zalloc(sizeof(*n));
	n->st = st;
	list_init(&n->figures);
	return n;
}

static void figure_free(struct figure *f)
{
	CHECK(!f->counting && !f->served && !f->waiting);
	list_del(&f->link);
	mem_free(f);
}

void cardnow_free(struct cardnow *n)
{
	if (!n)
		return;
	while (!list_empty(&n->figures))
		figure_free(CONTAINER_OF(n->figures.next, struct figure, link));
	mem_free(n);
}

uint64_t cardnow_counts(const struct cardnow *n)
{
	return n->counts;
}

/* (2) */
static bool is_kept(const struct figure *f)
{
	uint64_t kept_ns = f->took_ns * CARDNOW_KEPT;
	if (f->counting || f->stale || f->took_ns < CARDNOW_LONG_NS)
		return false;
	if (kept_ns > CARDNOW_KEPT_MOST_NS)
		kept_ns = CARDNOW_KEPT_MOST_NS;
	return clock_real_mono_ns() - f->ended_ns < kept_ns;
}

static struct figure *figure_of(struct cardnow *n, uint32_t tenant)
{
	LIST_EACH(l, &n->figures) {
		struct figure *f = CONTAINER_OF(l, struct figure, link);
		if (f->req.tenant == tenant)
			return f;
	}
	struct figure *f = mem_zalloc(sizeof(*f));
	f->n = n;
	f->req.tenant = tenant;
	list_add_tail(&n->figures, &f->link);
	return f;
}

/* Those that are not worth keeping, or too many. */
static void tidy(struct cardnow *n)
{
	unsigned kept = 0;
	for (struct list_link *l = n->figures.prev, *before; l != &n->figures; l = before) {
		struct figure *f = CONTAINER_OF(l, struct figure, link);
		before = l->prev;
		if (!f->counting && (!is_kept(f) || ++kept > CARDNOW_TENANTS))
			figure_free(f);
	}
}

void cardnow_forget(struct cardnow *n, uint32_t tenant)
{
	LIST_EACH(l, &n->figures) {
		struct figure *f = CONTAINER_OF(l, struct figure, link);
		if (f->req.tenant == tenant)
			f->stale = true;
	}
}

static void at_home(struct mbox_msg *msg)
{
	struct asking *a = CONTAINER_OF(msg, struct asking, msg);
	struct store_stats_req *r = a->req;
	mem_free(a);
	r->done(r);
}

static void tell(const struct figure *f, struct asking *all)
{
	for (struct asking *a = all, *next; a; a = next) {
		next = a->next;
		memcpy(a->req->stats, &f->stats, sizeof(f->stats));
		a->msg.fn = at_home;
		loop_send(a->req->_from, &a->msg);
	}
}

static void counted(struct store_stats_req *r);

static void count(struct figure *f)
{
	uint32_t tenant = f->req.tenant;
	f->counting = true;
	f->stale = false;
	f->served = f->waiting;
	f->waiting = NULL;
	f->begun_ns = clock_real_mono_ns();
	f->n->counts++;
	f->req = (struct store_stats_req){
		.tenant = tenant, .top = STORE_TOP_MAX, .lists = true, .stats = &f->stats, .done = counted
	};
	store_stats(f->n->st, &f->req);
}

static void counted(struct store_stats_req *r)
{
	struct figure *f = CONTAINER_OF(r, struct figure, req);
	struct cardnow *n = f->n;
	f->counting = false;
	f->ended_ns = clock_real_mono_ns();
	f->took_ns = f->ended_ns - f->begun_ns;
	tell(f, f->served);
	f->served = NULL;
	list_del(&f->link);
	list_add_tail(&n->figures, &f->link);
	if (is_kept(f)) {
		tell(f, f->waiting);
		f->waiting = NULL;
	}
	if (f->waiting)
		count(f);
	tidy(n);
}

static void begin(struct mbox_msg *msg)
{
	struct asking *a = CONTAINER_OF(msg, struct asking, msg);
	struct figure *f = figure_of(a->n, a->req->tenant);
	if (is_kept(f)) {
		a->next = NULL;
		tell(f, a);
		return;
	}
	a->next = f->waiting;
	f->waiting = a;
	if (!f->counting)
		count(f);
}

void cardnow_ask(struct store *st, struct store_stats_req *r)
{
	struct asking *a = mem_zalloc(sizeof(*a));
	a->n = st->cardnow;
	a->req = r;
	r->_from = loop_here();
	a->msg.fn = begin;
	loop_send(st->shares[0]->loop, &a->msg);
}
