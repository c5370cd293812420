/*
 * Queries that are active are listed and can be ended, by who reads of the same tenants; top
 * queries.
 */
#include "tests/lib/fakereq.h"
#include "tests/lib/memsrc.h"
#include "tests/lib/tap.h"

#include "core/model/label.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	LOOPS = 2,
	SHARDS = 4
};
static struct testteam tt;
static struct memsrc *src;
static struct api *api;
static uint32_t one[] = { 0 }, two[] = { 0, 7 }, other[] = { 7 };

/* --- a source that never answers for the metric "stuck" --- */

struct stuck {
	struct source_cursor cursor;
};

static enum source_state stuck_next(struct source_cursor *c, struct source_item *out)
{
	(void)c;
	(void)out;
	return SOURCE_WAIT;
}

static void stuck_close(struct source_cursor *c)
{
	mem_free(CONTAINER_OF(c, struct stuck, cursor));
}

static unsigned shards(struct source *s)
{
	(void)s;
	return SHARDS;
}

static struct loop *loop_of(struct source *s, unsigned shard)
{
	(void)s;
	return memsrc_source(src)->ops->loop_of(memsrc_source(src), shard);
}

static enum err open_cursor(
    struct source *s, unsigned shard, const struct source_query *q, struct source_cursor **out)
{
	static const struct source_cursor_ops ops = { stuck_next, stuck_close };
	(void)s;
	if (!q->matchers_count ||
	    !bytes_equal(q->matchers[0].value, q->matchers[0].value_len, "stuck", 5))
		return memsrc_source(src)->ops->open(memsrc_source(src), shard, q, out);
	struct stuck *k = mem_zalloc(sizeof(*k));
	k->cursor.ops = &ops;
	errbuf_init(&k->cursor.eb);
	*out = &k->cursor;
	return ERR_OK;
}

static const struct source_ops ops = { .shards = shards, .loop_of = loop_of, .open = open_cursor };
static struct source stuck = { &ops };

/* --- tools --- */

static void begin(struct fakereq *f, unsigned loop, const char *url)
{
	fakereq_init(f, &tt, api);
	f->loop = loop;
	fakereq_begin(f, REQ_GET, url, NULL, 0);
}

/* What is active, as the reader of these tenants sees it; the answer is f's. */
static const char *active(struct fakereq *f, uint32_t *tenants, size_t count)
{
	fakereq_init(f, &tt, api);
	f->req.tenants = tenants;
	f->req.tenants_count = count;
	fakereq_run(f, REQ_GET, "/api/v1/status/active_queries", NULL, 0);
	return fakereq_text(f);
}

static bool shows(uint32_t *tenants, size_t count, const char *what)
{
	struct fakereq f;
	bool has = strstr(active(&f, tenants, count), what) != NULL;
	fakereq_end(&f);
	return has;
}

static bool comes(const char *what)
{
	for (int i = 0; i < 20000; i++, usleep(1000))
		if (shows(one, 1, what))
			return true;
	return false;
}

/* The id that stands before a query in the list. */
static bool id_of(const char *query, char id[17])
{
	struct fakereq f;
	const char *list = active(&f, one, 1), *at = strstr(list, query), *found = NULL;
	for (const char *p = list; at && (p = strstr(p, "\"id\":\"")) && p < at; p++)
		found = p + 6;
	if (found)
		snprintf(id, 17, "%.16s", found);
	fakereq_end(&f);
	return found;
}

static int cancel(const char *id, uint32_t *tenants, size_t count)
{
	struct fakereq f;
	char url[100];
	snprintf(url, sizeof(url), "/api/v1/status/active_queries/%s/cancel", id);
	fakereq_init(&f, &tt, api);
	f.req.tenants = tenants;
	f.req.tenants_count = count;
	fakereq_run(&f, REQ_POST, url, NULL, 0);
	int status = f.status;
	fakereq_end(&f);
	return status;
}

static void lists(void)
{
	struct fakereq f;
	tap_is_str(active(&f, one, 1), "{\"status\":\"success\",\"data\":[]}", "nothing is active");
	fakereq_end(&f);
}

/* Each kind of request that reads: listed, not by others, and ended. */
static void ends(const char *url, const char *query)
{
	struct fakereq f;
	char id[17] = "";
	begin(&f, 1, url);
	tap_ok(comes(query), "%s is listed", url);
	tap_ok(!shows(other, 1, query) && shows(two, 2, query),
	    "for who reads of all its tenants, not for others");
	tap_ok(id_of(query, id) && strlen(id) == 16, "with an id: %s", id);
	static uint64_t before;
	uint64_t now = strtoull(id, NULL, 16);
	tap_ok((now > before ? now - before : before - now) >> 8 > 1000,
	    "which does not count those that began before");
	before = now;
	tap_ok(cancel(id, other, 1) == 404 && !fakereq_answered(&f), "which others cannot end");
	tap_ok(cancel(id, one, 1) == 204, "its tenant can");
	fakereq_wait(&f);
	tap_ok(f.status == 499 && strstr(fakereq_text(&f), "query was canceled"),
	    "it is told: %d %s", f.status, fakereq_text(&f));
	tap_ok(cancel(id, one, 1) == 404 && !shows(one, 1, query), "and is over");
	fakereq_end(&f);
}

/* Two ask the same: the second waits for the first, and begins again when that one is ended. */
static void leader_is_ended(void)
{
	struct fakereq a, b;
	char id[17] = "", id2[17] = "";
	begin(&a, 0, "/api/v1/query?query=sum(stuck)&time=7");
	tap_ok(comes("\"query\":\"sum(stuck)\""), "one asks");
	begin(&b, 1, "/api/v1/query?query=sum(stuck)&time=7");
	tap_ok(comes("\"state\":\"waits\""), "another one waits for its result");
	bool first = id_of("\"state\":\"works\"", id);
	tap_ok(first && cancel(id, one, 1) == 204, "the first is ended");
	fakereq_wait(&a);
	tap_ok(a.status == 499 && !fakereq_answered(&b), "the other one is not");
	for (int i = 0; i < 20000 && shows(one, 1, "\"state\":\"waits\""); i++)
		usleep(1000);
	bool second = id_of("\"state\":\"works\"", id2);
	tap_ok(second && strcmp(id, id2) != 0, "it asks itself now: %s, %s", id, id2);
	tap_ok(cancel(id2, one, 1) == 204, "and is ended");
	fakereq_wait(&b);
	tap_is_u64((uint64_t)b.status, 499, "it is told");
	fakereq_end(&a);
	fakereq_end(&b);
}

static void ids(void)
{
	static const char *const none[] = { "0", "x", "00000000000000FF", "0123456789ABCDEF0",
		"FFFFFFFFFFFFFF00" };
	for (size_t i = 0; i < COUNT_OF(none); i++)
		tap_is_u64((uint64_t)cancel(none[i], one, 1), 404, "%s is nobody", none[i]);
}

static void answer_is(uint32_t *tenants, size_t count, const char *url, int status, const char *has)
{
	struct fakereq f;
	fakereq_init(&f, &tt, api);
	f.req.tenants = tenants;
	f.req.tenants_count = count;
	fakereq_run(&f, REQ_GET, url, NULL, 0);
	tap_ok(f.status == status && strstr(fakereq_text(&f), has), "%s: %d %.300s", url, f.status,
	    fakereq_text(&f));
	fakereq_end(&f);
}

static void top(void)
{
	for (int i = 0; i < 5; i++) {
		struct fakereq f;
		char url[100];
		fakereq_init(&f, &tt, api);
		f.loop = (unsigned)i % LOOPS;
		snprintf(url, sizeof(url),
		    "/api/v1/query_range?query=often&start=%d&end=%d&step=10", i, i + 60);
		fakereq_run(&f, REQ_GET, url, NULL, 0);
		fakereq_end(&f);
	}
	answer_is(one, 1, "/api/v1/status/top_queries?topNum=1&maxLifetime=1h", 200,
	    "\"topByCount\":[{\"query\":\"often\",\"timeRangeSeconds\":60,\"count\":5}]");
	answer_is(one, 1, "/api/v1/status/top_queries", 200, "\"sumDurationSeconds\":");
	answer_is(
	    one, 1, "/api/v1/status/top_queries", 200, "\"topN\":\"20\",\"maxLifetime\":\"10m\"");
	answer_is(other, 1, "/api/v1/status/top_queries", 200, "\"topByCount\":[]");
	answer_is(one, 1, "/api/v1/status/top_queries?topNum=0", 400, "topNum");
	answer_is(one, 1, "/api/v1/status/top_queries?maxLifetime=0", 400, "maxLifetime");
}

/* --- many samples, streamed --- */

enum {
	MANY = 12000
};

static size_t lines_of(const char *text)
{
	size_t n = 0;
	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

static void many_add(void)
{
	struct arena a;
	char number[16];
	arena_init(&a, 4096);
	for (int i = 0; i < MANY; i++) {
		arena_reset(&a, 4096);
		snprintf(number, sizeof(number), "%d", i);
		struct labels ls = label_make(&a, "__name__", "many", "i", number, "pad",
		    "some more bytes, so that a batch is full before all have come", NULL);
		CHECK(!memsrc_add(src, ls, 30000, i));
	}
	arena_release(&a);
}

static void streams(void)
{
	struct fakereq f;
	many_add();
	memsrc_shaky(src, 3);
	begin(&f, 1, "/api/v1/export?match[]=many");
	fakereq_wait(&f);
	tap_ok(f.status == 200 && lines_of(fakereq_text(&f)) == MANY && !f.aborted,
	    "all of %d series come, in several batches: %zu", MANY, lines_of(fakereq_text(&f)));
	fakereq_end(&f);
	begin(&f, 0, "/api/v1/export?match[]=many&match[]={__name__=~\"m.*\",i=~\"1.*\"}");
	fakereq_wait(&f);
	tap_ok(lines_of(fakereq_text(&f)) == MANY, "those that two selectors choose come once");
	fakereq_end(&f);
	begin(&f, 0, "/federate?match[]=many&match[]=often");
	fakereq_wait(&f);
	tap_ok(f.status == 200 && !f.body.len, "what is old is not federated");
	fakereq_end(&f);
	memsrc_fail(src, 10);
	begin(&f, 0, "/api/v1/export?match[]=many");
	fakereq_wait(&f);
	tap_ok(f.status == 500 && !strcmp(fakereq_text(&f), "the disk is gone\n"),
	    "an error before the first byte is told: %d %.100s", f.status, fakereq_text(&f));
	fakereq_end(&f);
	memsrc_fail(src, 2500);
	begin(&f, 0, "/api/v1/export?match[]=many");
	fakereq_wait(&f);
	tap_ok(f.status == 200 && f.aborted, "one behind it cuts the answer");
	fakereq_end(&f);
	memsrc_fail(src, 0);
	memsrc_shaky(src, 0);
}

static enum err takes_all(struct sink *s, uint32_t *retry_after_s)
{
	(void)s;
	*retry_after_s = 0;
	return ERR_OK;
}

int main(void)
{
	static const struct sink_ops taking = { .accepts = takes_all };
	struct sink sink = { .ops = &taking };
	struct arena a;
	arena_init(&a, 4096);
	testteam_start(&tt, LOOPS);
	src = memsrc_create(tt.team, SHARDS);
	CHECK(!memsrc_add(src, label_make(&a, "__name__", "often", NULL), 30000, 1));
	api = fakeapi_create(&tt, &stuck, &sink, false);
	lists();
	ends("/api/v1/query?query=stuck&time=1", "\"query\":\"stuck\"");
	ends("/api/v1/query_range?query=rate(stuck[1m])&start=1&end=9&step=1",
	    "\"query\":\"rate(stuck[1m])\",\"start\":1000,\"end\":9000,\"step\":1000");
	ends("/api/v1/series?match[]=stuck", "match[]=stuck");
	ends("/api/v1/export?match[]=stuck", "match[]=stuck");
	ends("/federate?match[]=stuck", "match[]=stuck");
	ends("/api/v1/query_exemplars?query=stuck", "\"query\":\"stuck\"");
	leader_is_ended();
	ids();
	top();
	streams();
	fakeapi_free(api);
	tap_ok(memsrc_open_cursors(src) == 0, "every cursor is closed");
	memsrc_free(src);
	testteam_stop(&tt);
	arena_release(&a);
	return tap_done();
}
