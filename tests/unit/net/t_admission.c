/* Who may ask at once: heavy and small queries, a full queue, who leaves it, and what all hold. */
#include "tests/lib/fakereq.h"
#include "tests/lib/memsrc.h"
#include "tests/lib/tap.h"

#include <netinet/in.h>

#include "core/base/metric.h"
#include "core/model/label.h"

enum {
	LOOPS = 2,
	SHARDS = 4,
	HEAVY = 12,
	QUEUED = 14,
	CROWD = 100,
	MANY = 8000 /* series of the metric "many" */
};
#define MIB (UINT64_C(1) << 20)

static struct testteam tt;
static struct memsrc *src;
static struct arena arena;
static struct limits limits;
static struct api *api;

/* --- a source whose metrics big, stuck and many do not end before the gate is open --- */

struct gated {
	struct source_cursor cursor;
	struct source_cursor *inner;
	const struct source_query *query;
	struct list_link link; /* of those that wait on this loop */
};
static bool open_here[LOOPS];
static struct list_link waiting[LOOPS];

static enum source_state gated_next(struct source_cursor *c, struct source_item *out)
{
	struct gated *g = CONTAINER_OF(c, struct gated, cursor);
	enum source_state s = g->inner->ops->next(g->inner, out);
	unsigned here = loop_index(loop_here());
	if (s != SOURCE_END || open_here[here])
		return s;
	list_del(&g->link);
	list_add_tail(&waiting[here], &g->link);
	return SOURCE_WAIT;
}

static void gated_close(struct source_cursor *c)
{
	struct gated *g = CONTAINER_OF(c, struct gated, cursor);
	list_del(&g->link);
	g->inner->ops->close(g->inner);
	mem_free(g);
}

static bool is_gated(const struct source_query *q)
{
	static const char *const names[] = { "big", "stuck", "many" };
	for (size_t i = 0; i < q->matchers_count; i++) {
		const struct matcher *m = &q->matchers[i];
		for (size_t k = 0; k < COUNT_OF(names); k++)
			if (m->value_len == strlen(names[k]) &&
			    !memcmp(m->value, names[k], m->value_len))
				return true;
	}
	return false;
}

static unsigned gate_shards(struct source *s)
{
	(void)s;
	return SHARDS;
}

static struct loop *gate_loop_of(struct source *s, unsigned shard)
{
	(void)s;
	return memsrc_source(src)->ops->loop_of(memsrc_source(src), shard);
}

static enum err gate_open(
    struct source *s, unsigned shard, const struct source_query *q, struct source_cursor **out)
{
	static const struct source_cursor_ops ops = { gated_next, gated_close };
	struct source_cursor *inner;
	(void)s;
	CHECK(!memsrc_source(src)->ops->open(memsrc_source(src), shard, q, &inner));
	if (!is_gated(q)) {
		*out = inner;
		return ERR_OK;
	}
	struct gated *g = mem_zalloc(sizeof(*g));
	*g = (struct gated){ .cursor = { .ops = &ops }, .inner = inner, .query = q };
	list_init(&g->link);
	*out = &g->cursor;
	return ERR_OK;
}

static const struct source_ops gate_ops = {
	.shards = gate_shards, .loop_of = gate_loop_of, .open = gate_open
};
static struct source gate = { &gate_ops };

static void open_gate(void *arg)
{
	unsigned here = loop_index(loop_here());
	struct list_link all;
	open_here[here] = *(bool *)arg;
	list_init(&all);
	if (!open_here[here])
		return;
	list_move_all(&all, &waiting[here]);
	for (struct list_link *l; (l = list_pop(&all));) {
		struct gated *g = CONTAINER_OF(l, struct gated, link);
		g->query->wake(g->query->wake_arg);
	}
}

static void gate_set(bool open)
{
	for (unsigned i = 0; i < LOOPS; i++)
		testteam_run(&tt, i, open_gate, &open);
}

/* --- tools --- */

static void use_limits(void *arg)
{
	(void)arg;
	loop_set_limits(loop_here(), &limits);
}

static void api_begin(uint64_t each, uint64_t all)
{
	limits.query_memory = each;
	limits.query_memory_total = all;
	for (unsigned i = 0; i < LOOPS; i++)
		testteam_run(&tt, i, use_limits, NULL);
	struct api_opts o = { .team = tt.team, .pool = tt.pool, .limits = &limits };
	CHECK(!api_create(&o, &api));
	api->source = &gate;
	api_open(api);
}

/* A comment of its own makes a query another one: the same would be evaluated once. */
static void begin_own(struct fakereq *f, const char *url)
{
	static unsigned asked;
	bool query = !strncmp(url, "/api/v1/query", 13) && !strstr(url, "timeout=");
	if (query)
		url = arena_printf(&f->req.arena, "%s%%23%u", url, asked++);
	fakereq_begin(f, REQ_GET, url, NULL, 0);
}

static void ask(struct fakereq *f, unsigned who, const char *url)
{
	fakereq_init(f, &tt, api);
	f->loop = who % LOOPS;
	struct sockaddr_in *a = (struct sockaddr_in *)(void *)&f->req.remote;
	a->sin_family = AF_INET;
	a->sin_addr.s_addr = who;
	begin_own(f, url);
}

static void settle(void)
{
	for (int i = 0; i < 30; i++) {
		for (unsigned l = 0; l < LOOPS; l++)
			testteam_run(&tt, l, use_limits, NULL);
		usleep(1000);
	}
}

static bool reaches(enum metric_id id, uint64_t n)
{
	for (int i = 0; i < 30000 && metric_sum(id) != n; i++)
		usleep(1000);
	return metric_sum(id) == n;
}

static void api_end(void)
{
	settle();
	fakeapi_free(api);
}

static void is_empty(const char *after)
{
	tap_ok(reaches(M_QUERIES_RUNNING, 0) && reaches(M_QUERIES_QUEUED, 0) &&
	        reaches(M_QUERIES_HEAVY, 0) && reaches(M_QUERY_MEMORY_BYTES, 0),
	    "nothing is held after %s", after);
}

static void answered_with(struct fakereq *f, int status, const char *part, const char *what)
{
	fakereq_wait(f);
	tap_ok(f->status == status && strstr(fakereq_text(f), part), "%s: %d, %.300s", what,
	    f->status, fakereq_text(f));
	fakereq_end(f);
}

/* --- the cases --- */

#define RANGE "/api/v1/query?time=10000&query="
static struct fakereq heavy[HEAVY], stuck[QUEUED + 8], crowd[CROWD];

static void heavy_begin(void)
{
	for (unsigned i = 0; i < HEAVY; i++)
		ask(&heavy[i], i + 1, RANGE "sum(sum_over_time(big[10000s]))");
	tap_ok(reaches(M_QUERIES_HEAVY, 1) && reaches(M_QUERIES_QUEUED, HEAVY - 1),
	    "one of twelve heavy queries has the heavy place, the others wait for it");
}

static void small_ones_go_past(void)
{
	struct fakereq f;

	gate_set(false);
	heavy_begin();
	for (unsigned i = 0; i < 20; i++) {
		ask(&f, i, RANGE "up");
		fakereq_wait(&f);
		if (i == 19)
			answered_with(&f, 200, "\"success\"", "a small one beside them");
		else
			fakereq_end(&f);
	}
	unsigned done = 0;
	for (unsigned i = 0; i < HEAVY; i++)
		done += fakereq_answered(&heavy[i]);
	TAP_OK(done == 0);
}

static void the_queue_is_full(void)
{
	struct fakereq f;

	for (unsigned i = 0; i < 3; i++)
		ask(&stuck[i], 1, RANGE "stuck");
	TAP_OK(reaches(M_QUERIES_RUNNING, 4));
	for (unsigned i = 3; i < 3 + QUEUED; i++)
		ask(&stuck[i], 1, RANGE "stuck");
	TAP_OK(reaches(M_QUERIES_QUEUED, HEAVY - 1 + QUEUED));
	ask(&f, 1, RANGE "stuck");
	fakereq_wait(&f);
	tap_ok(
	    strstr((const char *)f.headers.data, "retry-after: "), "one more is told when to come");
	answered_with(&f, 503, "too many queries are waiting, limit 14 (--query.max-queued)",
	    "one more than may wait");
	ask(&f, 1, "/api/v1/series?match[]=up");
	answered_with(&f, 503, "--query.max-queued", "so is one that asks for series");
	ask(&f, 1, "/api/v1/format_query?query=up");
	answered_with(&f, 503, "--query.max-queued", "and one to be formatted");
}

static void who_leaves_and_whose_time_is_up(void)
{
	struct fakereq f;

	fakereq_leave(&stuck[3]);
	answered_with(&stuck[3], 499, "canceled", "who leaves the queue");
	TAP_OK(reaches(M_QUERIES_QUEUED, HEAVY - 1 + QUEUED - 1));
	ask(&f, 1, RANGE "up&timeout=30ms");
	answered_with(&f, 503, "query timed out in query execution", "whose time is up in the queue");
	fakereq_leave(&heavy[HEAVY - 1]);
	fakereq_leave(&heavy[0]);
	answered_with(&heavy[0], 499, "canceled", "a heavy one whose client left");
	answered_with(&heavy[HEAVY - 1], 499, "canceled", "another one, wherever it was");
	gate_set(true);
	unsigned good = 0;
	for (unsigned i = 1; i < HEAVY - 1; i++) {
		fakereq_wait(&heavy[i]);
		good += heavy[i].status == 200;
		fakereq_end(&heavy[i]);
	}
	tap_is_u64(good, HEAVY - 2, "then all heavy ones are answered");
	for (unsigned i = 0; i < 3 + QUEUED; i++) {
		if (i == 3)
			continue;
		fakereq_wait(&stuck[i]);
		fakereq_end(&stuck[i]);
	}
	is_empty("a full queue");
}

/* A sum of ones in parentheses, which is many times as long when it is printed. */
static const char *nested(const char *path, unsigned depth, unsigned ones)
{
	struct buf b;
	size_t len;

	buf_init(&b);
	buf_printf(&b, "%s?query=", path);
	for (unsigned i = 0; i < depth; i++)
		buf_add_str(&b, "(");
	buf_add_str(&b, "1");
	for (unsigned i = 0; i < ones; i++)
		buf_add_str(&b, "%2B1");
	for (unsigned i = 0; i < depth; i++)
		buf_add_str(&b, ")");
	buf_add_u8(&b, 0);
	const char *text = (const char *)buf_take(&b, &len);
	const char *url = arena_strndup(&arena, text, len);
	mem_free((void *)(uintptr_t)text);
	return url;
}

static void unread_answers_are_held(void)
{
	struct fakereq f[6];
	const char *const urls[] = {
		"/api/v1/query_range?start=9400&end=10000&step=6&query=topk(500,many)",
		"/api/v1/series?match[]=many",
		"/api/v1/query_range?start=9400&end=10000&step=6&query=many",
		nested("/api/v1/format_query", 100, 2000), nested("/api/v1/parse_query", 100, 2000)
	};

	for (size_t u = 0; u < COUNT_OF(urls); u++) {
		for (unsigned i = 0; i < COUNT_OF(f); i++) {
			fakereq_init(&f[i], &tt, api);
			f[i].loop = i % LOOPS;
			f[i].unread = true;
			begin_own(&f[i], urls[u]);
		}
		/* Nothing runs before the first asks, either: each must have its answer. */
		for (unsigned i = 0; i < COUNT_OF(f); i++)
			for (unsigned ms = 0; !fakereq_answered(&f[i]) && ms < 20000; ms++)
				usleep(1000);
		TAP_OK(reaches(M_QUERIES_RUNNING, 0) && reaches(M_QUERIES_QUEUED, 0));
		uint64_t held = metric_sum(M_QUERY_MEMORY_BYTES), asked = 0, good = 0;
		for (unsigned i = 0; i < COUNT_OF(f); i++) {
			fakereq_read(&f[i]);
			asked += f[i].held;
			good += f[i].status == 200;
			fakereq_end(&f[i]);
		}
		tap_ok(good == 6 && held >= 6 * 50000 && held >= asked,
		    "six unread: %llu KiB for %.80s", (unsigned long long)held / 1024, urls[u]);
		is_empty(urls[u]);
	}
}

/* --- the same query, asked by many at once --- */

static void same_begin(unsigned i, const char *url)
{
	fakereq_init(&crowd[i], &tt, api);
	crowd[i].loop = i % LOOPS;
	fakereq_begin(&crowd[i], REQ_GET, url, NULL, 0);
}

static unsigned all_say(unsigned from, unsigned to, int status, const char *part)
{
	unsigned n = 0;
	for (unsigned i = from; i < to; i++) {
		fakereq_wait(&crowd[i]);
		n += crowd[i].status == status && strstr(fakereq_text(&crowd[i]), part);
		fakereq_end(&crowd[i]);
	}
	return n;
}

#define SAME RANGE "count(stuck)"
static void the_same_is_evaluated_once(void)
{
	uint64_t before = metric_sum(M_QUERIES), shared = metric_sum(M_QUERIES_SHARED);
	gate_set(false);
	for (unsigned i = 0; i < 50; i++)
		same_begin(i, SAME);
	tap_ok(reaches(M_QUERIES_RUNNING, 1) && metric_sum(M_QUERIES_SHARED) == shared + 49,
	    "of fifty that are the same one runs, over all loops");
	same_begin(50, RANGE "count(stuck)&limit=1");
	same_begin(51, RANGE "count(stuck)&stats=all");
	same_begin(52, "/api/v1/query?time=10001&query=count(stuck)");
	fakereq_init(&crowd[53], &tt, api);
	crowd[53].req.tenant = 7;
	fakereq_begin(&crowd[53], REQ_GET, SAME, NULL, 0);
	tap_ok(reaches(M_QUERIES_RUNNING, 3),
	    "limit and stats are each one's own; another time or tenant is another query");
	settle();
	gate_set(true);
	tap_is_u64(all_say(0, 51, 200, "\"success\""), 51, "each has its answer");
	tap_is_u64(all_say(51, 52, 200, "\"stats\""), 1, "as it was asked for");
	tap_is_u64(all_say(52, 54, 200, "\"success\""), 2, "and the others theirs");
	tap_is_u64(metric_sum(M_QUERIES) - before, 3, "three were evaluated");
	is_empty("fifty of the same");
}

static void the_first_one_leaves(void)
{
	uint64_t before = metric_sum(M_QUERIES);
	gate_set(false);
	for (unsigned i = 0; i < 10; i++)
		same_begin(i, SAME);
	settle();
	TAP_OK(reaches(M_QUERIES_RUNNING, 1));
	fakereq_leave(&crowd[0]);
	fakereq_leave(&crowd[1]);
	fakereq_leave(&crowd[2]);
	settle();
	tap_ok(metric_sum(M_QUERIES_RUNNING) == 1 && fakereq_answered(&crowd[1]) &&
	        fakereq_answered(&crowd[2]) && !fakereq_answered(&crowd[3]),
	    "who asked first leaves: it goes on for the others");
	gate_set(true);
	tap_is_u64(all_say(3, 10, 200, "\"success\""), 7, "who have their answers");
	(void)all_say(0, 3, 0, "");
	tap_is_u64(metric_sum(M_QUERIES) - before, 1, "of one evaluation");
	gate_set(false);
	for (unsigned i = 0; i < 4; i++)
		same_begin(i, SAME);
	settle();
	for (unsigned i = 0; i < 4; i++)
		fakereq_leave(&crowd[i]);
	tap_ok(reaches(M_QUERIES_RUNNING, 0), "when all have left it is cancelled");
	tap_is_u64(all_say(0, 4, 499, "canceled"), 4, "each was");
	is_empty("who left");
	gate_set(true);
}

static void errors_are_shared(void)
{
	for (unsigned i = 0; i < 20; i++)
		same_begin(i, RANGE "up%20-");
	tap_is_u64(all_say(0, 20, 400, "invalid parameter"), 20, "all are told what is wrong");
	gate_set(false);
	uint64_t before = metric_sum(M_QUERIES);
	for (unsigned i = 0; i < 10; i++)
		same_begin(i, i ? SAME : SAME "&timeout=1ms");
	tap_is_u64(all_say(0, 1, 503, "timed out"), 1, "the time of who asked first is up");
	settle();
	tap_ok(reaches(M_QUERIES_RUNNING, 1), "the next one asks for all that wait");
	gate_set(true);
	tap_is_u64(all_say(1, 10, 200, "\"success\""), 9, "who have more time");
	tap_ok(metric_sum(M_QUERIES) - before <= 2, "two were evaluated");
	gate_set(false);
	same_begin(0, SAME);
	settle();
	same_begin(1, SAME "&timeout=20ms");
	tap_is_u64(all_say(1, 2, 503, "timed out"), 1, "who follows has a time of his own, too");
	TAP_OK(!fakereq_answered(&crowd[0]));
	gate_set(true);
	(void)all_say(0, 1, 200, "");
	is_empty("errors");
}

static void unread_begin(unsigned count, const char *url)
{
	gate_set(false);
	for (unsigned i = 0; i < count; i++) {
		fakereq_init(&crowd[i], &tt, api);
		crowd[i].loop = i % LOOPS;
		crowd[i].unread = true;
		fakereq_begin(&crowd[i], REQ_GET, url, NULL, 0);
	}
	settle();
	gate_set(true);
	for (unsigned i = 0; i < count; i++)
		for (unsigned ms = 0; !fakereq_answered(&crowd[i]) && ms < 20000; ms++)
			usleep(1000);
}

/* The result is kept for the slowest reader, and is counted once. */
static void readers_of_one_result(void)
{
	const char *url = "/api/v1/query_range?start=9400&end=10000&step=6&query=topk(500,many)";
	unread_begin(6, url);
	uint64_t all = metric_sum(M_QUERY_MEMORY_BYTES);
	tap_ok(all >= 50000 && all < 2 * 54 * 1024, "six read one result: %llu KiB",
	    (unsigned long long)all / 1024);
	unsigned same = 0;
	uint64_t held = metric_sum(M_ANSWER_BYTES);
	tap_ok(held > 40000 && held <= all, "which waits as one answer: %llu KiB",
	    (unsigned long long)held / 1024);
	for (unsigned i = 0; i < 5; i++)
		fakereq_read(&crowd[i]);
	settle();
	tap_is_u64(metric_sum(M_QUERY_MEMORY_BYTES), all, "it is kept until the last has read it");
	tap_is_u64(metric_sum(M_ANSWER_BYTES), held, "and counted as an answer as long");
	fakereq_read(&crowd[5]);
	for (unsigned i = 0; i < 6; i++)
		same += !strcmp(fakereq_text(&crowd[i]), fakereq_text(&crowd[5])) &&
		    crowd[i].body.len > 1000;
	tap_is_u64(same, 6, "all have read the same");
	for (unsigned i = 0; i < 6; i++)
		fakereq_end(&crowd[i]);
	is_empty("readers of one result");
	tap_is_u64(metric_sum(M_ANSWER_BYTES), 0, "no answer waits");
	uint64_t was = limits.http_answer_bytes;
	limits.http_answer_bytes = 10000;
	for (unsigned i = 0; i < LOOPS; i++)
		testteam_run(&tt, i, use_limits, NULL);
	uint64_t evaluated = metric_sum(M_QUERIES);
	unread_begin(6, url);
	for (unsigned i = 0; i < 6; i++)
		fakereq_read(&crowd[i]);
	tap_is_u64(
	    all_say(0, 6, 422, "--web.max-answer-bytes"), 6, "one that may not wait is nobody's");
	tap_is_u64(metric_sum(M_QUERIES) - evaluated, 1, "which is found out once");
	limits.http_answer_bytes = was;
	for (unsigned i = 0; i < LOOPS; i++)
		testteam_run(&tt, i, use_limits, NULL);
	is_empty("an answer that is too large");
}

static void a_crowd_has_one_sum(void)
{
	uint64_t held = 0;
	unsigned good = 0, told = 0;

	gate_set(false);
	for (unsigned i = 0; i < CROWD; i++)
		ask(&crowd[i], i, "/api/v1/series?match[]=many");
	for (int i = 0; i < 100 || (held <= MIB && i < 60000); i++) {
		uint64_t now = metric_sum(M_QUERY_MEMORY_BYTES);
		held = now < UINT64_MAX / 2 && now > held ? now : held;
		usleep(1000);
	}
	tap_ok(metric_sum(M_QUERIES_RUNNING) <= 4 && metric_sum(M_QUERIES_QUEUED) <= 2 * QUEUED,
	    "of a hundred that ask for series few run and few wait");
	tap_ok(held > MIB && held <= 4 * MIB, "all together hold %llu KiB of 4 MiB",
	    (unsigned long long)held / 1024);
	gate_set(true);
	for (unsigned i = 0; i < CROWD; i++) {
		fakereq_wait(&crowd[i]);
		good += crowd[i].status == 200;
		told += crowd[i].status == 503 && strstr(fakereq_text(&crowd[i]), "--query.max-");
		fakereq_end(&crowd[i]);
	}
	tap_ok(
	    good + told == CROWD && good >= 4, "%u get them, %u are told to come back", good, told);
	is_empty("a crowd");
}

static void too_large_for_one(void)
{
	struct fakereq f;

	ask(&f, 1, "/api/v1/series?match[]=many");
	answered_with(&f, 422, "--query.max-memory", "more series than one may hold");
	ask(&f, 1, "/api/v1/label/i/values");
	answered_with(&f, 422, "--query.max-memory", "more values than one may hold");
	ask(&f, 1, "/api/v1/labels");
	answered_with(&f, 200, "\"success\"", "names are few");
	ask(&f, 1, "/api/v1/query_range?start=0&end=10000&step=1&query=many");
	answered_with(&f, 422, "--query.max-memory", "a result that one may not hold");
	ask(&f, 1, nested("/api/v1/format_query", 100, 150));
	answered_with(&f, 422, "--query.max-memory", "what is printed is larger than one may hold");
	ask(&f, 1, nested("/api/v1/parse_query", 100, 300));
	answered_with(&f, 422, "--query.max-memory", "as a tree, too");
	ask(&f, 1, nested("/api/v1/format_query", 10, 10));
	answered_with(&f, 200, "\"success\"", "a short one is printed");
	is_empty("what was too large");
}

static void fill(void)
{
	char text[16];

	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "%d", i);
		struct labels big = label_make(&arena, "__name__", "big", "i", text, NULL);
		for (int t = 1; t <= 1000; t++)
			CHECK(!memsrc_add(src, big, t * 10000, t));
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%d", i);
		CHECK(!memsrc_add(src, label_make(&arena, "__name__", "many", "i", text, NULL),
		    9990000 + i % 5, i));
	}
	CHECK(!memsrc_add(src, label_make(&arena, "__name__", "stuck", NULL), 10000000, 1));
	CHECK(!memsrc_add(src, label_make(&arena, "__name__", "up", NULL), 10000000, 1));
}

int main(void)
{
	testteam_start(&tt, LOOPS);
	arena_init(&arena, 4096);
	for (unsigned i = 0; i < LOOPS; i++)
		list_init(&waiting[i]);
	limits_default(&limits);
	limits.query_concurrency = 4;
	limits.query_queued = QUEUED;
	src = memsrc_create(tt.team, SHARDS);
	fill();
	api_begin(256 * MIB, 1024 * MIB);
	small_ones_go_past();
	the_queue_is_full();
	who_leaves_and_whose_time_is_up();
	unread_answers_are_held();
	the_same_is_evaluated_once();
	the_first_one_leaves();
	errors_are_shared();
	readers_of_one_result();
	api_end();
	api_begin(2 * MIB, 4 * MIB);
	a_crowd_has_one_sum();
	api_end();
	api_begin(100 << 10, 8 * MIB);
	too_large_for_one();
	api_end();
	memsrc_free(src);
	arena_release(&arena);
	testteam_stop(&tt);
	return tap_done();
}
