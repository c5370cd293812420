#include "net/api/api_status.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/model/tenant.h"
#include "net/api/api_card.h"
#include "net/api/apierr.h"
#include "net/api/ask.h"
#include "net/api/param.h"
#include "net/api/tenantstat.h"
#include "proto/promjson.h"

#include <inttypes.h>
#include <unistd.h>

#define NAME_BYTES       256
#define TSDB_LIMIT_USUAL 10
#define TSDB_LIMIT_MOST  10000

/* --- small tools --- */

static struct buf begun(void)
{
	struct buf b;
	buf_init(&b);
	promjson_begin(&b);
	return b;
}

static void finish(struct req *r, struct buf *b)
{
	promjson_end(b, NULL, NULL);
	req_reply_buf(r, 200, "application/json", b);
}

static void text_field(struct buf *b, const char *before, const char *value)
{
	buf_add_str(b, before);
	json_str(b, value ? value : "", value ? strlen(value) : 0);
}

/* RFC 3339, whole seconds, UTC. */
static void time_field(struct buf *b, const char *before, int64_t ms)
{
	char text[NUM_FMT_MAX];
	size_t len = num_fmt_time(ms - ms % 1000, text);
	buf_printf(b, "%s\"%.*s\"", before, (int)len, text);
}

/* --- build and run --- */

static void buildinfo(struct buf *b, const struct api *a)
{
	text_field(b, "{\"version\":", API_COMPAT_VERSION);
	text_field(b, ",\"revision\":", a->opts.revision);
	text_field(b, ",\"branch\":", a->opts.branch);
	text_field(b, ",\"buildUser\":", a->opts.version);
	text_field(b, ",\"buildDate\":", a->opts.build_date);
	text_field(b, ",\"goVersion\":", "");
	buf_add_str(b, "}");
}

void api_status_buildinfo(struct req *r)
{
	struct buf b = begun();
	buildinfo(&b, api_of(r));
	finish(r, &b);
}

void api_status_version(struct req *r)
{
	struct buf b;
	buf_init(&b);
	buildinfo(&b, api_of(r));
	req_reply_buf(r, 200, "application/json", &b);
}

void api_status_config(struct req *r)
{
	const struct api_conf *c = api_conf(r);
	struct buf b = begun();
	buf_add_str(&b, "{\"yaml\":");
	json_str(&b, c->yaml ? c->yaml : "", c->yaml_len);
	buf_add_str(&b, "}");
	finish(r, &b);
}

struct flag_list {
	struct buf *b;
	bool any;
};

static void one_flag(void *arg, const char *name, const char *value)
{
	struct flag_list *l = arg;
	text_field(l->b, l->any ? "," : "", name);
	text_field(l->b, ":", value);
	l->any = true;
}

void api_status_flags(struct req *r)
{
	const struct api_conf *o = api_conf(r);
	struct urlq u;
	if (!param_parse(r, &u))
		return;
	struct buf b = begun();
	struct flag_list l = { .b = &b };
	buf_add_str(&b, "{");
	if (!strcmp(urlq_get(&u, "changed", NULL), "1")) {
		if (o->flags_changed)
			o->flags_changed(o->flags_said, one_flag, &l);
	} else if (o->flags_each) {
		o->flags_each(o->flags, one_flag, &l);
	}
	buf_add_str(&b, "}");
	finish(r, &b);
}

void api_status_runtimeinfo(struct req *r)
{
	const struct api *a = api_of(r);
	char cwd[4096] = "", host[NAME_BYTES] = "", retention[NUM_FMT_MAX + 1] = "";
	if (!getcwd(cwd, sizeof(cwd)))
		cwd[0] = 0;
	if (gethostname(host, sizeof(host) - 1))
		host[0] = 0;
	num_fmt_duration(a->opts.retention_ms, retention);
	struct buf b = begun();
	time_field(&b, "{\"startTime\":", a->start_ms);
	text_field(&b, ",\"CWD\":", cwd);
	text_field(&b, ",\"hostname\":", host);
	time_field(&b, ",\"serverTime\":", loop_now_ms(r->loop));
	/* As the daemon keeps them; it reads its configuration, if any, before it serves. */
	int64_t read_ms = (int64_t)metric_sum(M_CONFIG_RELOAD_TIME);
	buf_printf(&b, ",\"reloadConfigSuccess\":%s",
	    read_ms && !metric_sum(M_CONFIG_RELOAD_FINE) ? "false" : "true");
	time_field(&b, ",\"lastConfigTime\":", read_ms ? read_ms : a->start_ms);
	buf_printf(&b, ",\"corruptionCount\":%" PRIu64, metric_sum(M_DAMAGED_UNITS));
	buf_printf(&b,
	    ",\"goroutineCount\":0,\"GOMAXPROCS\":%u,\"GOMEMLIMIT\":0,\"GOGC\":\"\",\"GODEBUG\":\"\"",
	    team_count(a->opts.team));
	text_field(&b, ",\"storageRetention\":", retention);
	text_field(&b, ",\"externalURL\":", a->opts.external_url);
	text_field(&b, ",\"routePrefix\":", a->opts.prefix[0] ? a->opts.prefix : "/");
	if (latch_is_set(&a->self_told)) {
		text_field(&b, ",\"selfMetrics\":{\"tenant\":", TENANT_DEFAULT_NAME);
		text_field(&b, ",\"instance\":", a->self);
		buf_add_u8(&b, '}');
	}
	buf_add_str(&b, "}");
	finish(r, &b);
}

/* --- storage --- */

struct tsdb_status {
	struct ask ask;
	struct req *req;
	struct store_stats stats;
	struct store_stats_req asked;
};

static void tops(struct buf *b, const char *before, const struct store_top *t, unsigned count)
{
	buf_add_str(b, before);
	for (unsigned i = 0; i < count; i++) {
		text_field(b, i ? ",{\"name\":" : "{\"name\":", t[i].name);
		buf_printf(b, ",\"value\":%" PRIu64, t[i].value);
		card_about_put(b, &t[i]);
		buf_add_u8(b, '}');
	}
	buf_add_str(b, "]");
}

static void tsdb_done(struct store_stats_req *asked)
{
	struct tsdb_status *t = CONTAINER_OF(asked, struct tsdb_status, asked);
	const struct store_stats *s = &t->stats;
	ask_worked_out(&t->ask);
	struct buf b = begun();
	buf_printf(&b,
	    "{\"headStats\":{\"numSeries\":%" PRIu64 ",\"numLabelPairs\":%" PRIu64
	    ",\"chunkCount\":%" PRIu64 ",\"minTime\":%" PRId64 ",\"maxTime\":%" PRId64 "%s}",
	    s->series, s->label_pairs, s->chunks, s->t_min_ms, s->t_max_ms,
	    s->pairs_about ? ",\"about\":true" : "");
	tops(&b, ",\"seriesCountByMetricName\":[", s->by_metric, s->by_metric_count);
	tops(&b, ",\"labelValueCountByLabelName\":[", s->by_label, s->by_label_count);
	tops(&b, ",\"memoryInBytesByLabelName\":[", s->mem_by_label, s->mem_by_label_count);
	tops(&b, ",\"seriesCountByLabelValuePair\":[", s->by_pair, s->by_pair_count);
	buf_add_str(&b, "}");
	finish(t->req, &b);
}

static void tsdb_go(struct ask *a)
{
	struct tsdb_status *t = CONTAINER_OF(a, struct tsdb_status, ask);
	store_stats(api_of(t->req)->store, &t->asked);
}

static void tsdb_left(struct req *r)
{
	struct tsdb_status *t = r->own;
	ask_left(&t->ask); /* what has begun goes on */
}

static void tsdb_sent(struct req *r)
{
	struct tsdb_status *t = r->own;
	ask_end(&t->ask);
}

void api_status_tsdb(struct req *r)
{
	struct urlq u;
	size_t len;
	int64_t limit = TSDB_LIMIT_USUAL;
	if (!param_parse(r, &u))
		return;
	const char *s = urlq_get(&u, "limit", &len);
	if (len && (num_parse_i64(s, len, &limit) || limit < 1)) {
		apierr_jsonf(r, ERR_BADDATA, "limit must be a positive number");
		return;
	}
	if (limit > TSDB_LIMIT_MOST) {
		apierr_jsonf(r, ERR_BADDATA, "limit must not exceed %d", TSDB_LIMIT_MOST);
		return;
	}
	if (r->tenants_count > 1) {
		apierr_jsonf(r, ERR_BADDATA, "figures of %zu tenants: ask for one", r->tenants_count);
		return;
	}
	struct tsdb_status *t = arena_zalloc(&r->arena, sizeof(*t));
	t->req = r;
	t->ask.go = tsdb_go;
	t->asked = (struct store_stats_req){ .tenant = r->tenants[0],
		.top = limit < STORE_TOP_MAX ? (unsigned)limit : STORE_TOP_MAX,
		.stats = &t->stats,
		.done = tsdb_done };
	r->own = t;
	r->on_gone = tsdb_left;
	r->on_done = tsdb_sent;
	ask_start(&t->ask, r, api_timeout_ms(r), "status/tsdb", strlen("status/tsdb"));
}

/* Our files are not Prometheus' blocks. */
void api_status_blocks(struct req *r)
{
	struct buf b = begun();
	buf_add_str(&b, "{\"blocks\":[]}");
	finish(r, &b);
}

void api_status_walreplay(struct req *r)
{
	struct buf b = begun();
	buf_add_str(&b, "{\"min\":0,\"max\":0,\"current\":0}");
	finish(r, &b);
}

/* --- health --- */

/* 0: no loop stands still for longer than it may. */
static uint64_t stands_still_ms(const struct api *a)
{
	uint64_t oldest = team_oldest_turn_ns(a->opts.team), now = clock_real_mono_ns();
	return now > oldest && now - oldest > API_HEALTHY_NS ? (now - oldest) / 1000000 : 0;
}

void api_status_healthy(struct req *r)
{
	uint64_t ms = stands_still_ms(api_of(r));
	if (ms)
		req_reply_text(r, 503, "a loop has not turned for %" PRIu64 " ms\n", ms);
	else
		req_reply_text(r, 200, "Prometheus is Healthy.\n");
}

/* As VictoriaMetrics says it. */
void api_status_health(struct req *r)
{
	uint64_t stands_ms = stands_still_ms(api_of(r));
	req_reply_text(r, stands_ms ? 503 : 200, stands_ms ? "a loop stands still\n" : "OK");
}

void api_status_ready(struct req *r)
{
	struct urlq u;
	uint32_t retry_after_s = 0;
	if (!param_parse(r, &u))
		return;
	enum err err = strcmp(urlq_get(&u, "for", NULL), "write")
	    ? ERR_OK
	    : sink_accepts(api_of(r)->sink, &retry_after_s);
	if (err)
		apierr_write(r, err, retry_after_s);
	else
		req_reply_text(r, 200, "Prometheus is Ready.\n");
}

struct reload_wait {
	struct req *req;
	struct api_reload reload;
};

/* Texts of Prometheus ("Management API" of its documentation). */
static bool lifecycle_is_asked(struct req *r)
{
	if (r->method == REQ_GET) {
		req_answer_field(r, "allow", "POST, PUT");
		req_reply_text(r, 405, "Only POST or PUT requests allowed");
		return false;
	}
	if (api_conf(r)->lifecycle)
		return true;
	req_reply_text(r, 403, "Lifecycle API is not enabled.");
	return false;
}

static void reloaded(struct api_reload *a)
{
	struct req *r = CONTAINER_OF(a, struct reload_wait, reload)->req;
	if (a->failed)
		req_reply_text(r, 500, "failed to reload config: %.*s", (int)a->told.len,
		    (const char *)a->told.data);
	else
		req_reply(r, 200, NULL, NULL, 0, REQ_COPY);
	buf_release(&a->told);
}

void api_status_reload(struct req *r)
{
	const struct api_opts *o = &api_of(r)->opts;
	if (!lifecycle_is_asked(r))
		return;
	if (!o->reload) {
		req_reply_text(r, 500, "there is nothing to reload: no configuration file");
		return;
	}
	struct reload_wait *w = arena_zalloc(&r->arena, sizeof(*w));
	w->req = r;
	w->reload = (struct api_reload){ .from = r->loop, .done = reloaded };
	buf_init(&w->reload.told);
	o->reload(o->arg, &w->reload);
}

void api_status_quit(struct req *r)
{
	const struct api_opts *o = &api_of(r)->opts;
	if (!lifecycle_is_asked(r))
		return;
	req_reply_text(r, 200, "Requesting termination... Goodbye!");
	if (o->quit)
		o->quit(o->arg);
}

/* --- pages --- */

/* The few names of Prometheus that dashboards of such servers ask for. */
static const struct alias {
	const char *name, *help;
	enum metric_kind kind;
	enum metric_id of;
	bool ms; /* in milliseconds there */
} aliases[] = {
	{ "prometheus_config_last_reload_successful",
	    "Whether the last configuration reload attempt was successful.", METRIC_GAUGE,
	    M_CONFIG_RELOAD_FINE, false },
	{ "prometheus_config_last_reload_success_timestamp_seconds",
	    "Timestamp of the last successful configuration reload.", METRIC_GAUGE,
	    M_CONFIG_RELOAD_TIME, true },
	{ "prometheus_tsdb_head_series", "Series held in memory.", METRIC_GAUGE, M_SERIES_ACTIVE,
	    false },
	{ "prometheus_tsdb_head_samples_appended_total", "Samples stored.", METRIC_COUNTER,
	    M_SAMPLES_STORED, false },
};
#define BUILD_NAME "prometheus_build_info"
#define BUILD_HELP "Version that clients may take this server for, and its own."

static void head_put(struct buf *b, const char *name, const char *help, enum metric_kind kind)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, metric_kind_word(kind));
}

static void alias_put(struct buf *b, const struct alias *a)
{
	uint64_t v = metric_sum(a->of);
	head_put(b, a->name, a->help, a->kind);
	if (a->ms)
		buf_printf(b, "%s %.3f\n", a->name, (double)v / 1000);
	else
		buf_printf(b, "%s %" PRIu64 "\n", a->name, v);
}

void api_status_metrics(struct req *r)
{
	const struct api_opts *o = &api_of(r)->opts;
	struct buf b;
	buf_init(&b);
	metric_expose(&b);
	tenantstat_put(api_of(r)->tenantstat, api_of(r)->store, &b);
	head_put(&b, BUILD_NAME, BUILD_HELP, METRIC_GAUGE);
	buf_printf(&b, BUILD_NAME "{branch=\"%s\",revision=\"%s\",version=\"%s\"} 1\n",
	    o->branch ? o->branch : "", o->revision ? o->revision : "", API_COMPAT_VERSION);
	for (size_t i = 0; i < COUNT_OF(aliases); i++)
		alias_put(&b, &aliases[i]);
	req_reply_buf(r, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}

void api_status_metric_rows(void (*fn)(void *arg, const struct metric_row *r), void *arg)
{
	metric_rows(fn, arg);
	tenantstat_rows(fn, arg);
	fn(arg,
	    &(struct metric_row){ BUILD_NAME, "branch,revision,version", BUILD_HELP, METRIC_GAUGE });
	for (size_t i = 0; i < COUNT_OF(aliases); i++)
		fn(arg,
		    &(struct metric_row){ aliases[i].name, "", aliases[i].help, aliases[i].kind });
}
