/*
 * /api/v1/status/doctor: who sees what, notes of all loops as one, since when; and what findings of
 * a tenant say.
 */
#include "net/api/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/model/limits.h"
#include "core/model/tenant.h"
#include "net/api/doctortenant.h"
#include "net/api/refusals.h"
#include "tests/lib/fakereq.h"
#include "tests/lib/memsrc.h"
#include "tests/lib/tap.h"

enum {
	LOOPS = 2
};
static struct testteam tt;
static struct api *api;
static uint32_t both[] = { 0, 7 };

/* --- the path --- */

static void refuse_here(void *arg)
{
	const uint32_t *tenant = arg;
	struct req r = { .loop = loop_here(), .tenant = *tenant };
	struct api_loop *l = &api->loops[loop_index(loop_here())];
	refusals_tell(&l->refusals, REFUSAL_SAMPLES + SINK_TOO_OLD, &r,
	    *tenant ? "of seven" : "of the first");
}

static const char *ask(struct fakereq *f, unsigned roles, uint32_t *tenants, size_t count)
{
	fakereq_init(f, &tt, api);
	f->req.roles = roles;
	if (count) {
		f->req.tenants = tenants;
		f->req.tenants_count = count;
	}
	fakereq_run(f, REQ_GET, "/api/v1/status/doctor", NULL, 0);
	return fakereq_text(f);
}

static bool shows(unsigned roles, uint32_t *tenants, size_t count, const char *what)
{
	struct fakereq f;
	bool has = strstr(ask(&f, roles, tenants, count), what) != NULL;
	fakereq_end(&f);
	return has;
}

static void long_turns(void)
{
	for (unsigned i = 0; i < 1000; i++)
		metric_observe_ns(M_TURN_CPU, 300000000);
}

static void turns_of_the_start(void)
{
	const char text[] = "turns of event loops took more than 100 ms";
	tap_ok(!shows(ROLES_ALL, NULL, 0, text), "turns that read the log are no finding");
	long_turns();
	tap_ok(shows(ROLES_ALL, NULL, 0, text), "those behind them are");
}

static void who_sees_what(void)
{
	uint32_t first = 0, seven = 7;
	struct fakereq f;
	tap_ok(!shows(ROLES_ALL, NULL, 0, "samples_refused"), "nothing was refused yet");
	for (unsigned i = 0; i < LOOPS; i++)
		testteam_run(&tt, i, refuse_here, &first);
	testteam_run(&tt, 1, refuse_here, &seven);
	tap_ok(shows(ROLE_READ, NULL, 0, "too_old: 2 requests were refused, or stored in part") &&
	        shows(ROLE_READ, NULL, 0, ": of the first\""),
	    "what all loops noted is one finding, with its example");
	tap_ok(shows(ROLE_READ, NULL, 0, "of the first\",\"example\":\""),
	    "which stands by itself, too");
	tap_ok(!shows(ROLES_ALL, NULL, 0, "of seven"), "that of another tenant is not seen");
	tap_ok(shows(ROLE_READ, both, 2, "of seven") && shows(ROLE_READ, both, 2, "of the first"),
	    "but by who reads of it");
	tap_ok(shows(ROLES_ALL, NULL, 0, "\"id\":\"disk\"") &&
	        shows(ROLES_ALL, NULL, 0, "\"server\":true"),
	    "with the role admin there are findings of the server");
	tap_ok(!shows(ROLE_READ, NULL, 0, "\"scope\":\"server\"") &&
	        shows(ROLE_READ, NULL, 0, "\"server\":false"),
	    "without it there are none");
	fakereq_init(&f, &tt, api);
	f.req.apart = true;
	fakereq_run(&f, REQ_GET, "/api/v1/status/doctor", NULL, 0);
	tap_ok(strstr(fakereq_text(&f), "\"server\":false"),
	    "nor on the other listeners, when administration has one of its own");
	fakereq_end(&f);
}

static void own_metrics(void)
{
	tap_ok(shows(ROLES_ALL, NULL, 0, "\"id\":\"self_metrics\",\"severity\":\"note\""),
	    "a server that does not record itself is told of");
	api_tell_self(api, "here:9470");
	tap_ok(shows(ROLES_ALL, NULL, 0, "\"id\":\"self_metrics\",\"severity\":\"ok\""),
	    "not one that does");
	struct fakereq f;
	fakereq_get(&f, &tt, api, "/api/v1/status/runtimeinfo");
	tap_ok(strstr(fakereq_text(&f),
	           ",\"selfMetrics\":{\"tenant\":\"default\",\"instance\":\"here:9470\"}}"),
	    "runtimeinfo says where they are: %s", fakereq_text(&f));
	fakereq_end(&f);
}

static int64_t since_of(const char *id)
{
	struct fakereq f;
	int64_t at = 0;
	const char *text = ask(&f, ROLES_ALL, NULL, 0), *row = strstr(text, id);
	const char *since = row ? strstr(row, "\"since\":\"") : NULL,
	           *end = row ? strchr(row, '}') : 0;
	if (since && since < end && num_parse_time(since + 9, strcspn(since + 9, "\""), &at))
		at = -1;
	fakereq_end(&f);
	return at;
}

static void since_when(void)
{
	metric_gauge_set(M_CLOCK_IN_DOUBT, 1);
	int64_t first = since_of("\"id\":\"clock\"");
	usleep(20000);
	tap_ok(first > 0 && since_of("\"id\":\"clock\"") == first,
	    "a finding tells since when, and stays with it");
	tap_ok(
	    shows(ROLES_ALL, NULL, 0, "\"id\":\"clock\",\"severity\":\"warn\""), "it is a warning");
	metric_gauge_set(M_CLOCK_IN_DOUBT, 0);
	tap_ok(since_of("\"id\":\"clock\"") == 0, "when it is over it has no time");
	metric_gauge_set(M_CLOCK_IN_DOUBT, 1);
	tap_ok(since_of("\"id\":\"clock\"") > first, "and the next one has its own");
	metric_gauge_set(M_CLOCK_IN_DOUBT, 0);
}

/* --- findings of a tenant --- */

static struct doctor_finding found[16];
static char texts[16][1024];
static unsigned found_count;

static void keep(void *arg, const struct doctor_finding *f)
{
	(void)arg;
	if (found_count == COUNT_OF(found))
		return;
	(void)snprintf(texts[found_count], sizeof(texts[0]), "%s", f->text);
	found[found_count] = *f;
	found[found_count].text = texts[found_count];
	found_count++;
}

static void find(struct doctortenant t)
{
	found_count = 0;
	t.now_ms = 10000000;
	doctortenant_findings(&t, keep, NULL);
}

static bool has(const char *id, enum doctor_severity severity, const char *text)
{
	for (unsigned i = 0; i < found_count; i++)
		if (!strcmp(found[i].id, id) && found[i].severity == severity &&
		    strstr(found[i].text, text) && (severity == DOCTOR_OK || found[i].remedy[0]))
			return true;
	for (unsigned i = 0; i < found_count; i++)
		tap_note("%s %s: %s", found[i].id, doctor_severity_word[found[i].severity],
		    found[i].text);
	return false;
}

static void of_tenants(void)
{
	struct doctornote n[] = {
		{ .key = 1,
		    .kind = DOCTORNOTE_SENDER,
		    .count = 1000,
		    .who = "10.0.0.1",
		    .agent = "Prometheus/3.14.0",
		    .last_ms = 9999000 },
		{ .key = 2,
		    .kind = DOCTORNOTE_LATE,
		    .count = 500,
		    .who = "10.0.0.1",
		    .last_ms = 9999000,
		    .first_ms = 5 },
		{ .key = 3, .kind = DOCTORNOTE_CHANGED, .count = 50, .who = "10.0.0.2", .last_ms = 9999000 },
		{ .key = 4,
		    .kind = DOCTORNOTE_SLOW,
		    .count = 2,
		    .most_ms = 40000,
		    .example = "sum(x)",
		    .last_ms = 9999000 },
		{ .key = 5,
		    .kind = DOCTORNOTE_ENDED,
		    .count = 3,
		    .example = "limit 5: sum(y)",
		    .last_ms = 9999000 },
		{ .key = 6,
		    .kind = DOCTORNOTE_REFUSED,
		    .what = REFUSAL_RATE,
		    .count = 3,
		    .last_ms = 9000000 },
	};
	struct alarm_row alarms[] = {
		{ .row = { .tenant = 7,
		      .kind = WATCH_PAIR,
		      .metric = "m",
		      .label = "user",
		      .examples = { "u1" } },
		    .most = 500,
		    .total = 9000,
		    .on = true },
		{ .row = { .tenant = 7, .kind = WATCH_LABEL, .label = "fresh", .examples = { "f" } },
		    .most = 90,
		    .total = 700,
		    .on = true },
		{ .row = { .tenant = 8, .kind = WATCH_METRIC, .metric = "of_another" }, .on = true },
	};
	find((struct doctortenant){ .notes = n,
	    .notes_count = COUNT_OF(n),
	    .alarms = alarms,
	    .alarms_count = COUNT_OF(alarms),
	    .id = 7,
	    .series = 990,
	    .series_max = 1000 });
	tap_ok(has("senders", DOCTOR_OK, "10.0.0.1 (Prometheus/3.14.0) 1000 samples"), "who writes");
	tap_ok(has("late_samples", DOCTOR_NOTE, "500 samples of 10.0.0.1"), "who is late");
	tap_ok(has("changed_samples", DOCTOR_WARN, "50 samples of 10.0.0.2"),
	    "who replaces what others wrote");
	tap_ok(has("slow_queries", DOCTOR_WARN, "40.0 s (2 times slow"), "what was slow");
	tap_ok(has("queries_ended", DOCTOR_WARN, "limit 5: sum(y)"), "what met a limit");
	tap_ok(has("writes_refused", DOCTOR_NOTE, "rate_limited: 3 requests"),
	    "what is over for ten minutes is a note");
	tap_ok(has("cardinality", DOCTOR_WARN, "label \"user\" of metric \"m\" brings up to 500"),
	    "what explodes, by its worst moment");
	tap_ok(has("cardinality", DOCTOR_NOTE, "label \"fresh\" brings up to 90"),
	    "what a first scrape brings is a note");
	tap_ok(has("tenant_series", DOCTOR_BAD, "990 of 1000"), "what is full");
	tap_is_u64(found_count, 9, "and nothing of other tenants");
	unsigned ends = 0;
	for (unsigned i = 0; i < found_count; i++) {
		size_t len = strlen(found[i].text);
		size_t end = found[i].example ? strlen(found[i].example) : SIZE_MAX;
		ends += end <= len && !strcmp(found[i].text + len - end, found[i].example);
	}
	tap_is_u64(ends, 2, "the texts of two queries end with their examples");
}

static void a_good_tenant(void)
{
	struct doctornote n[] = {
		{ .key = 1, .kind = DOCTORNOTE_SENDER, .count = 1000000, .last_ms = 9999000 },
		{ .key = 2, .kind = DOCTORNOTE_LATE, .count = 500, .last_ms = 9999000 },
		{ .key = 3, .kind = DOCTORNOTE_CHANGED, .count = 5, .last_ms = 9999000 },
	};
	find((struct doctortenant){ .notes = n, .notes_count = COUNT_OF(n), .series_max = 100 });
	unsigned troubles = 0;
	for (unsigned i = 0; i < found_count; i++)
		troubles += found[i].severity != DOCTOR_OK;
	tap_is_u64(troubles, 0, "a few late samples are nothing to speak of");
}

static void few_of_many(void)
{
	static struct doctornote n[20];
	for (unsigned i = 0; i < COUNT_OF(n); i++)
		n[i] = (struct doctornote){ .key = 1 + i % 10,
			.kind = DOCTORNOTE_SLOW,
			.count = 1,
			.most_ms = 6000 + i,
			.last_ms = 9999000 };
	size_t left = doctortenant_join(n, COUNT_OF(n));
	tap_is_u64(left, 10, "notes of one key are one");
	find((struct doctortenant){ .notes = n, .notes_count = left });
	tap_is_u64(found_count, DOCTOR_ROWS_MAX, "the worst queries are shown");
	tap_ok(strstr(found[0].text, "took 6.0 s (2 times"), "the slowest first");
}

int main(void)
{
	struct memsrc *src;
	testteam_start(&tt, LOOPS);
	src = memsrc_create(tt.team, 4);
	long_turns(); /* before it is ready */
	api = fakeapi_create(&tt, memsrc_source(src), NULL, false);
	turns_of_the_start();
	who_sees_what();
	own_metrics();
	since_when();
	of_tenants();
	a_good_tenant();
	few_of_many();
	fakeapi_free(api);
	testteam_stop(&tt);
	memsrc_free(src);
	return tap_done();
}
