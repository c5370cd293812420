#include "net/daemon/reload.h"

#include <stdlib.h>

#include "core/base/log.h"
#include "core/base/metric.h"
#include "net/conn/listen.h"
#include "net/http/srv.h"
#include "tests/lib/httpcli.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

#define LOOPS   3u
#define CLIENTS 12u
#define ROUNDS  25u

static struct testteam tt;
static struct srv *srv;
static struct reload *reload;
static struct config *first;
static char *dir, *file;
static unsigned may_calls, takes;
static bool refuse; /* what may() says; changed while no reload runs */

/* Two limits always have the same value: a reader that sees two values saw a mixture. */
static void put(const char *more, unsigned value)
{
	FILE *f = fopen(file, "w");
	if (!f)
		exit(99);
	fprintf(f, "query: {max_samples: %u, max_items: %u}\n%s", value, value, more);
	for (unsigned i = 0; i < 50; i++)
		fprintf(f, "%s  t%u-%u: {series: %u}\n", i ? "" : "tenants:\n", value, i, value);
	fclose(f);
}

/* ---- requests that last until the configuration has changed twice ---- */

struct look {
	struct req *req;
	const struct limits *limits, *last;
	const struct tenants *tenants;
	uint64_t value;
	unsigned changes;
	bool wrong;
	struct loop_timer timer;
};

static bool is_sound(const struct look *l)
{
	const struct tenant_row *row = l->tenants ? &l->tenants->rows[7] : NULL;
	return l->limits->query_samples == l->value && l->limits->query_items == l->value && row &&
	    row->limits.series == l->value;
}

static void look_again(struct loop_timer *t)
{
	struct look *l = CONTAINER_OF(t, struct look, timer);
	l->wrong |= !is_sound(l);
	if (limits_here() != l->last) {
		l->last = limits_here();
		l->changes++;
	}
	if (l->changes < 2) {
		loop_timer_set(l->req->loop, t, 1);
		return;
	}
	req_reply_text(l->req, l->wrong ? 500 : 200, "%u", l->changes);
}

static void on_look(struct req *r)
{
	struct look *l = arena_zalloc(&r->arena, sizeof(*l));
	l->req = r;
	l->limits = l->last = limits_here();
	l->tenants = loop_tenants(r->loop);
	l->value = l->limits->query_samples;
	loop_timer_init(&l->timer, look_again);
	look_again(&l->timer);
}

static const struct route rows[] = { { .methods = REQ_GET, .path = "/look", .handler = on_look } };

/* ---- asking ---- */

struct wait {
	struct api_reload a;
	bool done, failed;
	char told[500];
};

static void wait_done(struct api_reload *a)
{
	struct wait *w = CONTAINER_OF(a, struct wait, a);
	w->failed = a->failed;
	(void)snprintf(
	    w->told, sizeof(w->told), "%.*s", (int)a->told.len, (const char *)a->told.data);
	buf_release(&a->told);
	w->done = true;
}

static void ask_here(void *arg)
{
	struct wait *w = arg;
	w->a = (struct api_reload){ .from = loop_here(), .done = wait_done };
	buf_init(&w->a.told);
	reload_ask(reload, &w->a);
}

static bool is_done(void *arg)
{
	return ((struct wait *)arg)->done;
}

static struct wait ask_on(unsigned loop)
{
	static struct wait w;
	memset(&w, 0, sizeof(w));
	testteam_run(&tt, loop, ask_here, &w);
	if (!testteam_wait(&tt, loop, is_done, &w, TESTTEAM_LONG_MS))
		tap_ok(false, "a reload ends");
	return w;
}

static enum err may(void *arg, const struct config *next, struct buf *told)
{
	(void)arg, (void)next;
	may_calls++;
	if (!refuse)
		return ERR_OK;
	buf_add_str(told, "the certificate is gone\n");
	return ERR_BADDATA;
}

static void take_here(void *arg)
{
	struct config *c = arg;
	loop_set_conf(loop_here(), &c->snap, &c->flags.limits, c->tenants);
}

static void take(void *arg, struct config *next)
{
	(void)arg;
	takes++;
	for (unsigned i = 0; i < LOOPS; i++)
		team_run_on(tt.team, i, take_here, next);
}

static void read_limits(void *arg)
{
	*(uint64_t *)arg = limits_here()->query_samples;
}

/* Of all loops; 0 when they differ. */
static uint64_t value_now(void)
{
	uint64_t value = 0, one = 0;
	for (unsigned i = 0; i < LOOPS; i++) {
		testteam_run(&tt, i, read_limits, &one);
		if (i && one != value)
			return 0;
		value = one;
	}
	return value;
}

/* ---- the cases ---- */

static char *argv[] = { (char *)(uintptr_t) "kymod", (char *)(uintptr_t) "--config", NULL,
	(char *)(uintptr_t) "--query.max-chain=777", NULL };

static void begin(void)
{
	struct buf told;
	struct errbuf eb;
	static struct listen_conf listeners[] = { { .address = "127.0.0.1:0" } };
	errbuf_init(&eb);
	buf_init(&told);
	argv[2] = file;
	put("", 1000);
	testteam_start(&tt, LOOPS);
	if (config_load(4, argv, &first, &told))
		exit(99);
	buf_release(&told);
	config_settle(first, LOOPS);
	first->pool = tt.pool;
	take(NULL, first);
	struct reload_opts ro = {
		.team = tt.team, .pool = tt.pool, .argc = 4, .argv = argv, .may = may, .take = take
	};
	reload = reload_create(&ro, first);
	struct srv_opts so = { .team = tt.team,
		.listeners = listeners,
		.listener_count = 1,
		.routes = { rows, COUNT_OF(rows) } };
	if (srv_create(&so, &srv, &eb))
		exit(99);
	srv_serve(srv);
}

static bool requests_are(size_t n)
{
	for (unsigned i = 0; i < 60000; i++) {
		if (srv_requests(srv) == n)
			return true;
		usleep(1000);
	}
	return false;
}

/* Many requests sit on what is replaced under them, round after round. */
static void under_load(void)
{
	int fds[CLIENTS];
	unsigned fine = 0, failed = 0;
	for (unsigned i = 0; i < CLIENTS; i++)
		fds[i] = httpcli_dial(srv_address(srv, 0));
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < CLIENTS; i++)
			httpcli_puts(fds[i], "GET /look HTTP/1.1\r\nHost: a\r\n\r\n");
		if (!requests_are(CLIENTS))
			break;
		for (unsigned k = 0; k < 3; k++) {
			put("", 2000 + round * 3 + k);
			failed += ask_on((round + k) % LOOPS).failed;
		}
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct httpcli_answer a = httpcli_read(fds[i], false, 60000);
			fine += a.status == 200;
			httpcli_free(&a);
		}
	}
	tap_is_u64(failed, 0, "%u reloads are taken", 3 * ROUNDS);
	tap_is_u64(fine, CLIENTS * ROUNDS, "each request kept what it had begun with, whole");
	tap_is_u64(value_now(), 2000 + 3 * ROUNDS - 1, "all loops go by the last one");
	for (unsigned i = 0; i < CLIENTS; i++)
		close(fds[i]);
	bool gone = false;
	for (unsigned i = 0; i < 60000 && !gone; i++) {
		gone = metric_sum(M_CONFIG_SNAPSHOTS) == 2;
		usleep(1000);
	}
	tap_ok(gone, "what nobody uses is freed: the first and the last are left");
}

static void mistakes_change_nothing(void)
{
	uint64_t before = value_now();
	unsigned took = takes;
	put("quary: 1\nloops: x\n", 5);
	struct wait w = ask_on(1);
	tap_ok(w.failed && strstr(w.told, "quary: unknown key, did you mean query?") &&
	        strstr(w.told, "loops: \"x\" is not a whole number"),
	    "a file with mistakes is refused with all of them: %s", w.told);
	tap_is_u64(metric_sum(M_CONFIG_RELOAD_FINE), 0, "and a gauge tells");
	remove(file);
	w = ask_on(2);
	tap_ok(w.failed && strstr(w.told, "no such file"), "so is one that is gone: %s", w.told);
	put("", 6);
	refuse = true;
	w = ask_on(0);
	refuse = false;
	tap_ok(w.failed && !strcmp(w.told, "the certificate is gone\n"),
	    "and one that listeners cannot take: %s", w.told);
	tap_ok(value_now() == before && takes == took, "what was in force stays");
	tap_ok(!ask_on(0).failed && value_now() == 6, "until one is fine");
	tap_is_u64(metric_sum(M_CONFIG_RELOAD_FINE), 1, "and a gauge tells that, too");
}

/* Keys of the start: the value in force stays, that of the file is not taken. */
static void keys_of_the_start(void)
{
	struct config *c;
	struct buf told;
	buf_init(&told);
	put("storage: {retention: 3d, data_dir: /elsewhere}\nloops: 9\nweb: {max_fields: 55}\n", 7);
	if (config_load(4, argv, &c, &told))
		exit(99);
	buf_release(&told);
	config_follow(c, first);
	tap_is_i64(c->flags.retention_ms, first->flags.retention_ms, "the retention of the start");
	tap_is_str(c->flags.data_dir, "./data", "its data directory");
	tap_is_u64(c->flags.loops, LOOPS, "its loops");
	tap_is_u64(c->flags.limits.http_fields, 55, "others change");
	tap_is_u64(c->flags.limits.query_chain, 777, "the command line wins");
	tap_ok(strstr(c->api.yaml, "retention: 30d") && strstr(c->api.yaml, "max_fields: 55"),
	    "what is shown is what is in force");
	config_drop(c);
}

static void many_ask(void)
{
	static struct wait w[20];
	unsigned took = takes, failed = 0;
	put("", 8);
	memset(w, 0, sizeof(w));
	for (unsigned i = 0; i < COUNT_OF(w); i++)
		testteam_run(&tt, i % LOOPS, ask_here, &w[i]);
	for (unsigned i = 0; i < COUNT_OF(w); i++) {
		failed += !testteam_wait(&tt, i % LOOPS, is_done, &w[i], TESTTEAM_LONG_MS);
		failed += w[i].failed;
	}
	tap_is_u64(failed, 0, "twenty that ask at once are answered");
	tap_ok(takes - took >= 1 && takes - took <= COUNT_OF(w), "by %u reloads", takes - took);
	struct api_reload *a = mem_zalloc(sizeof(*a));
	buf_init(&a->told);
	reload_ask(reload, a); /* from a thread that is no loop: nobody waits */
	tap_ok(!ask_on(0).failed, "a signal asks, too");
}

#define TOKEN                                                                                      \
 "identities: {tokens: [{name: a, roles: [read], "                                                 \
 "token_hash: \"blake2b:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}\n"

/* A file that is being written is cut off somewhere: it must not open what was closed. */
static void nothing_is_opened(void)
{
	put(TOKEN, 9);
	tap_ok(!ask_on(0).failed && value_now() == 9, "identities come with a reload");
	put("", 10);
	struct wait w = ask_on(1);
	tap_ok(w.failed && strstr(w.told, "identities: they are gone"),
	    "they do not go with one: %s", w.told);
	fclose(fopen(file, "w"));
	tap_ok(ask_on(2).failed && value_now() == 9, "an empty file is no way, either");
	put("identities: {anonymous: {roles: [read, write, rules, admin]}}\n", 11);
	tap_ok(!ask_on(0).failed && value_now() == 11, "who wants it open says so");
}

static void the_end(void)
{
	reload_stop(reload);
	struct wait w = ask_on(1);
	tap_ok(w.failed && !strcmp(w.told, "the server stops\n"), "who asks at the end is told");
	srv_close_all(srv);
	testteam_stop(&tt);
	srv_free(srv);
	reload_free(reload);
	config_drop(first);
	tap_is_u64(metric_sum(M_CONFIG_SNAPSHOTS), 0, "no configuration is left");
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	dir = testlib_tmpdir("reload");
	file = testlib_path(dir, "k.yml");
	begin();
	under_load();
	mistakes_change_nothing();
	keys_of_the_start();
	many_ask();
	nothing_is_opened();
	the_end();
	testlib_rmtree(dir);
	free(dir);
	free(file);
	return tap_done();
}
