/*
 * Work that waits on a loop (storage/append/ready.h): tenants take turns, alone and in a store,
 * where a small request of one tenant does not wait for all that another one has brought.
 */
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "storage/append/ready.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/teststore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the queue ---- */

struct piece {
	struct ready_item item;
	char name;
};

static struct ready q;
static struct piece pieces[26];

static struct ready_item *piece(char name, uint32_t tenant)
{
	struct piece *p = &pieces[name - 'a'];
	p->name = name;
	ready_item_init(&p->item, tenant);
	return &p->item;
}

/* Takes all, a turn after each `each`; the names of what came. */
static const char *all(unsigned each)
{
	static char names[27];
	unsigned n = 0;
	for (struct ready_item *i; n < 26 && (i = ready_take(&q)) != NULL;) {
		names[n++] = CONTAINER_OF(i, struct piece, item)->name;
		if (n % each == 0)
			ready_turn(&q, i->tenant);
	}
	names[n] = 0;
	return names;
}

static bool is_b(struct ready_item *i, struct ready_item *other)
{
	(void)i;
	return CONTAINER_OF(other, struct piece, item)->name == 'b';
}

static void fill(void)
{
	for (char c = 'a'; c <= 'e'; c++)
		ready_add(&q, piece(c, 1));
	ready_add(&q, piece('x', 2));
	ready_add(&q, piece('y', 2));
	ready_add(&q, piece('z', 1 + READY_CHAINS));
}

static void order(void)
{
	ready_init(&q);
	tap_ok(ready_empty(&q) && !ready_take(&q), "nothing waits");
	ready_turn(&q, 7); /* who does not wait */
	fill();
	tap_is_str(all(1), "axzbycde", "tenants take turns, each in its order");
	fill();
	tap_is_str(all(2), "abxyzcde", "pieces of one tenant share a turn");
	fill();
	tap_is_str(all(100), "abcdexyz", "nobody's turn is over");
	fill();
	ready_add_first(&q, piece('f', 1));
	ready_add_before(&q, piece('g', 1), is_b);
	ready_add_before(&q, piece('h', 2), is_b);
	tap_is_str(all(100), "fagbcdexyhz", "first; before another one; before nobody");
	fill();
	struct ready_item *i = ready_take(&q);
	ready_add_first(&q, i);
	ready_turn(&q, i->tenant);
	tap_is_str(
	    all(100), "xyzabcde", "what runs on stays first of its tenant's, behind the others");
	ready_add(&q, piece('a', 1));
	ready_add(&q, piece('x', 2));
	i = ready_take(&q);
	ready_add_first(&q, i);
	ready_turn(&q, i->tenant);
	tap_is_str(all(1), "xa", "one that is alone, too");
	tap_ok(ready_empty(&q), "nothing is left");
}

/* Many tenants: each has its turn before one has two. */
static void many(void)
{
	enum {
		TENANTS = 1000,
		EACH = 3
	};
	static struct ready_item items[TENANTS * EACH];
	static unsigned had[TENANTS];
	bool fair = true;
	for (uint32_t t = 0; t < TENANTS; t++)
		for (unsigned k = 0; k < EACH; k++) {
			ready_item_init(&items[t * EACH + k], t);
			ready_add(&q, &items[t * EACH + k]);
		}
	for (unsigned n = 0; n < TENANTS * EACH; n++) {
		struct ready_item *i = ready_take(&q);
		fair = fair && i && had[i->tenant]++ == n / TENANTS;
		if (i)
			ready_turn(&q, i->tenant);
	}
	tap_ok(fair && ready_empty(&q), "%d tenants take turns", TENANTS);
}

/* ---- in a store ---- */

#define LARGE      16u
#define LARGE_ROWS 1500u

struct request {
	struct sink_req req;
	struct batch batch;
	unsigned large_before; /* how many of the large ones were in memory when this one was */
};

static struct teststore ts;
static struct arena a;
static struct request large[LARGE], small;
static unsigned large_applied, done;

static void applied(struct sink_req *req)
{
	struct request *r = CONTAINER_OF(req, struct request, req);
	r->large_before = large_applied;
	large_applied += r != &small;
}

static void answered(struct sink_req *req)
{
	done += !req->err;
}

static void prepare(struct request *r, uint32_t tenant, const char *name, unsigned rows)
{
	batch_init(&r->batch);
	r->batch.tenant = tenant;
	for (unsigned i = 0; i < rows; i++)
		teststore_row(&r->batch,
		    label_make(&a, LABEL_NAME, name, "n", arena_printf(&a, "%u", i), NULL),
		    clock_wall_ms(), 1);
	r->req = (struct sink_req){ .batch = &r->batch, .done = answered, .applied = applied };
}

static void send_all(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < LARGE; i++)
		sink_append(store_sink(ts.store), &large[i].req);
	sink_append(store_sink(ts.store), &small.req);
}

static bool are_done(void *arg)
{
	(void)arg;
	return done == LARGE + 1;
}

static void quiet(struct store_opts *o)
{
	o->sync = STORE_SYNC_OFF;
}

/* Every look at the clock says that the time is over, so that the order is the same everywhere. */
static void beside(uint32_t tenant, unsigned least, unsigned most, const char *what)
{
	char *dir = testlib_tmpdir("ready");
	large_applied = done = 0;
	arena_init(&a, 1 << 20);
	teststore_open(&ts, dir, 1, quiet);
	for (unsigned i = 0; i < LARGE; i++)
		prepare(&large[i], 1, arena_printf(&a, "large_%u", i), LARGE_ROWS);
	prepare(&small, tenant, "small", 10);
	job_yield_always(true);
	testteam_run(&ts.tt, 0, send_all, NULL);
	tap_ok(
	    testteam_wait(&ts.tt, 0, are_done, NULL, TESTTEAM_LONG_MS), "%s: all are stored", what);
	job_yield_always(false);
	tap_ok(small.large_before >= least && small.large_before <= most,
	    "%s: %u of %u large requests come before a small one", what, small.large_before, LARGE);
	teststore_close(&ts);
	for (unsigned i = 0; i < LARGE; i++)
		batch_release(&large[i].batch);
	batch_release(&small.batch);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	order();
	many();
	beside(2, 0, 0, "of another tenant");
	beside(1, LARGE, LARGE, "of the same tenant");
	return tap_done();
}
