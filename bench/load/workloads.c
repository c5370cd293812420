/* workloads - the named workloads of loadgen: templates, slots, defaults as their tools have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/loadgen_priv.h"
#include "core/base/hash.h"
#include "core/base/near.h"

struct workload {
	const char *name;
	int64_t step_ms;
	unsigned targets; /* 0: loadgen_opts.series, or K6_SERIES */
	double churn;
	int64_t churn_ms; /* 0: each round */
	enum err (*make)(struct loadgen *g, struct errbuf *eb);
	const char *selector;
};

double workload_unit(uint64_t x)
{
	return (double)(hash_mix64(x) >> 11) / 9007199254740992.0;
}

/* ---- node: pages and recordings ---- */

/* The digits of the number in place of the first run of "#", zeros before it. */
static size_t put_instance(const struct loadgen *g, const struct target *t, char out[SLOT_TEXT_MAX])
{
	const char *form = g->o.instance;
	if (!form)
		return (size_t)snprintf(out, SLOT_TEXT_MAX, "instance-%u", t->no);
	int before = (int)strcspn(form, "#"), digits = (int)strspn(form + before, "#");
	return (size_t)snprintf(
	    out, SLOT_TEXT_MAX, "%.*s%0*u%s", before, form, digits, t->no, form + before + digits);
}

static size_t put_revision(const struct loadgen *g, const struct target *t, char out[SLOT_TEXT_MAX])
{
	(void)g;
	return (size_t)snprintf(out, SLOT_TEXT_MAX, "r%u", t->revision);
}

/* More labels for a template. */
static void give(struct loadgen *g, struct tmpl *t, const char *name, const char *value)
{
	struct label_builder b;
	label_builder_from(&b, &g->arena, t->labels);
	label_builder_set(&b, name, strlen(name), value, strlen(value));
	t->labels = label_builder_done(&b);
}

static void node_slots(struct loadgen *g)
{
	static const char *const jobs[GEN_FILES_MAX] = { "node_exporter", "job-1", "job-2", "job-3",
		"job-4", "job-5", "job-6", "job-7" };
	g->slots[0] = (struct slot){ "instance", put_instance };
	g->slots[1] = (struct slot){ "revision", put_revision };
	g->slots_count = 2;
	for (size_t i = 0; i < g->tmpls_count; i++) {
		g->tmpls[i].slots = 3;
		give(g, &g->tmpls[i], "job", jobs[g->tmpls[i].file]);
	}
}

static enum err make_node(struct loadgen *g, struct errbuf *eb)
{
	static const struct node_shape shape = {
		.cpus = 8, .disks = 6, .nets = 8, .mounts = 8, .series = 500
	};
	enum err e = pages_load(g, eb);
	if (!e && !g->o.page && !g->o.replay_count)
		pages_node(g, &shape);
	if (!e)
		node_slots(g);
	return e;
}

static enum err make_prometheus_benchmark(struct loadgen *g, struct errbuf *eb)
{
	static const struct node_shape shape = {
		.cpus = 32, .disks = 6, .nets = 8, .mounts = 8, .series = 1230, .whole = true
	};
	enum err e = pages_load(g, eb);
	if (!e && !g->o.page)
		pages_node(g, &shape);
	if (!e)
		node_slots(g);
	for (size_t i = 0; i < g->tmpls_count; i++) {
		give(g, &g->tmpls[i], "replica", "0");
		give(g, &g->tmpls[i], "url_replica", "0");
	}
	return e;
}

/* ---- tsbs ---- */

static const struct {
	const char *name;
	const char *centers[4];
} regions[] = {
	{ "us-east-1", { "us-east-1a", "us-east-1b", "us-east-1c", "us-east-1e" } },
	{ "us-west-1", { "us-west-1a", "us-west-1b" } },
	{ "us-west-2", { "us-west-2a", "us-west-2b", "us-west-2c" } },
	{ "eu-west-1", { "eu-west-1a", "eu-west-1b", "eu-west-1c" } },
	{ "eu-central-1", { "eu-central-1a", "eu-central-1b" } },
	{ "ap-southeast-1", { "ap-southeast-1a", "ap-southeast-1b" } },
	{ "ap-southeast-2", { "ap-southeast-2a", "ap-southeast-2b" } },
	{ "ap-northeast-1", { "ap-northeast-1a", "ap-northeast-1c" } },
	{ "sa-east-1", { "sa-east-1a", "sa-east-1b", "sa-east-1c" } },
};

/* One of count, of a host: the same for the same thing. */
static unsigned pick(const struct target *t, unsigned thing, unsigned count)
{
	return (unsigned)(hash_mix64(123 + ((uint64_t)t->no << 8 | thing)) % count);
}

static size_t put_text(char out[SLOT_TEXT_MAX], const char *text)
{
	return (size_t)snprintf(out, SLOT_TEXT_MAX, "%s", text);
}

static size_t put_number(char out[SLOT_TEXT_MAX], const char *before, unsigned n)
{
	return (size_t)snprintf(out, SLOT_TEXT_MAX, "%s%u", before, n);
}

/* clang-format off */
#define PUT(what, ...) \
	static size_t put_##what(const struct loadgen *g, const struct target *t, char out[SLOT_TEXT_MAX]) \
	{ (void)g; return __VA_ARGS__; }
/* clang-format on */
#define PUT_ONE_OF(what, thing, ...)                                                               \
 static const char *const all_##what[] = { __VA_ARGS__ };                                          \
 PUT(what, put_text(out, all_##what[pick(t, thing, COUNT_OF(all_##what))]))

enum {
	TAG_ARCH,
	TAG_CENTER,
	TAG_REGION,
	TAG_OS,
	TAG_RACK,
	TAG_SERVICE,
	TAG_ENVIRONMENT,
	TAG_VERSION,
	TAG_TEAM,
	TAG_NGINX,
	TAG_REDIS
};
PUT(hostname, put_number(out, "host_", t->no))
PUT(region, put_text(out, regions[pick(t, TAG_REGION, COUNT_OF(regions))].name))
PUT(rack, put_number(out, "", pick(t, TAG_RACK, 100)))
PUT(service, put_number(out, "", pick(t, TAG_SERVICE, 20)))
PUT(service_version, put_number(out, "", pick(t, TAG_VERSION, 2)))
PUT(nginx_port, put_number(out, "", 1024 + pick(t, TAG_NGINX, 20000)))
PUT(nginx_server, put_number(out, "nginx_", pick(t, TAG_NGINX, 100000)))
PUT(redis_port, put_number(out, "", 1024 + pick(t, TAG_REDIS, 20000)))
PUT(redis_server, put_number(out, "redis_", pick(t, TAG_REDIS, 100000)))
PUT_ONE_OF(arch, TAG_ARCH, "x64", "x86")
PUT_ONE_OF(os, TAG_OS, "Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10")
PUT_ONE_OF(service_environment, TAG_ENVIRONMENT, "production", "staging", "test")
PUT_ONE_OF(team, TAG_TEAM, "SF", "NYC", "LON", "CHI")

static size_t put_datacenter(const struct loadgen *g, const struct target *t, char out[SLOT_TEXT_MAX])
{
	(void)g;
	const char *const *centers = regions[pick(t, TAG_REGION, COUNT_OF(regions))].centers;
	unsigned n = 0;
	while (n < 4 && centers[n])
		n++;
	return put_text(out, centers[pick(t, TAG_CENTER, n)]);
}

/* By name; the last four are of nginx and redis alone. */
static const struct slot tsbs_slots[] = { { "arch", put_arch }, { "datacenter", put_datacenter },
	{ "hostname", put_hostname }, { "os", put_os }, { "port", put_nginx_port },
	{ "port", put_redis_port }, { "rack", put_rack }, { "region", put_region },
	{ "server", put_nginx_server }, { "server", put_redis_server }, { "service", put_service },
	{ "service_environment", put_service_environment },
	{ "service_version", put_service_version }, { "team", put_team } };
#define SLOTS_NGINX (1u << 4 | 1u << 8)
#define SLOTS_REDIS (1u << 5 | 1u << 9)
#define SLOTS_HOST  ((1u << COUNT_OF(tsbs_slots)) - 1 - SLOTS_NGINX - SLOTS_REDIS)

struct subsystem {
	const char *name;
	uint32_t slots;
	const char *labels[3];          /* name="value", NULL */
	const char *gauges, *counters;  /* names, a space between */
	double lo, hi, mean, sd, begin; /* of gauges; begin < 0: anywhere between */
	double grow;                    /* of counters */
};
static const struct subsystem subsystems[] = {
	{ .name = "cpu",
	    .gauges = "usage_user usage_system usage_idle usage_nice usage_iowait usage_irq "
	              "usage_softirq usage_steal usage_guest usage_guest_nice",
	    .hi = 100,
	    .sd = 1,
	    .begin = -1 },
	{ .name = "diskio",
	    .labels = { "serial=\"694-511-162\"" },
	    .counters = "reads writes read_bytes write_bytes read_time write_time io_time",
	    .grow = 50 },
	{ .name = "disk",
	    .labels = { "path=\"/dev/sda1\"", "fstype=\"ext4\"" },
	    .gauges = "total free used used_percent inodes_total inodes_free inodes_used",
	    .hi = 1099511627776.0,
	    .mean = 50,
	    .sd = 1,
	    .begin = 549755813888.0 },
	{ .name = "kernel",
	    .gauges = "boot_time",
	    .hi = 240,
	    .begin = -1,
	    .counters = "interrupts context_switches processes_forked disk_pages_in disk_pages_out",
	    .grow = 5 },
	{ .name = "mem",
	    .gauges = "total available used free cached buffered used_percent available_percent "
	              "buffered_percent",
	    .hi = 17179869184.0,
	    .sd = 268435456.0,
	    .begin = -1 },
	{ .name = "net",
	    .labels = { "interface=\"eth3\"" },
	    .counters = "bytes_sent bytes_recv packets_sent packets_recv err_in err_out drop_in "
	                "drop_out",
	    .grow = 50 },
	{ .name = "nginx",
	    .slots = SLOTS_NGINX,
	    .gauges = "active reading waiting writing",
	    .hi = 100,
	    .mean = 5,
	    .sd = 1,
	    .counters = "accepts handled requests",
	    .grow = 5 },
	{ .name = "postgresl",
	    .gauges = "numbackends",
	    .hi = 1000,
	    .mean = 5,
	    .sd = 1,
	    .counters = "xact_commit xact_rollback blks_read blks_hit tup_returned tup_fetched "
	                "tup_inserted tup_updated tup_deleted conflicts temp_files temp_bytes "
	                "deadlocks blk_read_time blk_write_time",
	    .grow = 5 },
	{ .name = "redis",
	    .slots = SLOTS_REDIS,
	    .gauges = "instantaneous_ops_per_sec instantaneous_input_kbps instantaneous_output_kbps "
	              "connected_clients used_memory used_memory_rss used_memory_peak used_memory_lua "
	              "rdb_changes_since_last_save sync_full sync_partial_ok sync_partial_err "
	              "pubsub_channels pubsub_patterns latest_fork_usec connected_slaves "
	              "master_repl_offset repl_backlog_active repl_backlog_size repl_backlog_histlen "
	              "mem_fragmentation_ratio used_cpu_sys used_cpu_user used_cpu_sys_children "
	              "used_cpu_user_children",
	    .hi = 17179869184.0,
	    .mean = 5,
	    .sd = 1,
	    .counters = "uptime_in_seconds total_connections_received expired_keys evicted_keys "
	                "keyspace_hits keyspace_misses",
	    .grow = 50 },
};

static void add_fields(struct loadgen *g, const struct subsystem *s, const char *names, enum walk walk)
{
	for (const char *p = names; p && *p;) {
		int len = (int)strcspn(p, " ");
		char name[96], labels[128] = "";
		snprintf(name, sizeof(name), "%s_%.*s", s->name, len, p);
		for (unsigned i = 0; i < 3 && s->labels[i]; i++)
			snprintf(labels + strlen(labels), sizeof(labels) - strlen(labels), "%s%s",
			    i ? "," : "", s->labels[i]);
		struct tmpl *t = tmpl_add(g, 0, name, labels);
		t->slots = SLOTS_HOST | s->slots;
		t->walk = walk;
		t->whole = true;
		t->lo = s->lo;
		t->hi = s->hi;
		t->base = s->begin;
		t->mean = walk == WALK_RISING ? s->grow : s->mean;
		t->sd = walk == WALK_RISING ? 1 : s->sd;
		t->type = walk == WALK_RISING ? 1 : 2;
		if (!strncmp(p, "uptime_in_seconds", 17))
			t->walk = WALK_UPTIME;
		p += len + (p[len] == ' ');
	}
}

static void make_tsbs(struct loadgen *g, size_t count)
{
	memcpy(g->slots, tsbs_slots, sizeof(tsbs_slots));
	g->slots_count = COUNT_OF(tsbs_slots);
	for (size_t i = 0; i < count; i++) {
		add_fields(g, &subsystems[i], subsystems[i].gauges, WALK_CLAMPED);
		add_fields(g, &subsystems[i], subsystems[i].counters, WALK_RISING);
	}
}

static enum err make_tsbs_devops(struct loadgen *g, struct errbuf *eb)
{
	(void)eb;
	make_tsbs(g, COUNT_OF(subsystems));
	return ERR_OK;
}

static enum err make_tsbs_cpu(struct loadgen *g, struct errbuf *eb)
{
	(void)eb;
	make_tsbs(g, 1);
	return ERR_OK;
}

/* ---- avalanche ---- */

const struct avalanche_opts loadgen_avalanche = { .gauges = 500,
	.buckets = 7,
	.objectives = 2,
	.series = 100,
	.labels = 10,
	.name_length = 5,
	.label_length = 5,
	.value_s = 30,
	.series_s = 60 };

PUT(target_instance, put_number(out, "avalanche-", t->no))
PUT(cycle_id, put_number(out, "", t->revision))

struct avalanche {
	struct loadgen *g;
	uint64_t cycle; /* of names */
	char labels[4096];
	char letters[2][128]; /* of names and of labels */
	uint32_t dice;
	unsigned series;
};

static struct tmpl *add_series(
    struct avalanche *a, const char *kind, unsigned no, const char *end, const char *extra)
{
	char name[256], labels[sizeof(a->labels) + 256];
	snprintf(name, sizeof(name), "avalanche_%s_metric_%s_%llu_%u%s", kind, a->letters[0],
	    (unsigned long long)a->cycle, no, end);
	snprintf(labels, sizeof(labels), "series_id=\"%u\",%s%s", a->series, a->labels, extra);
	struct tmpl *t = tmpl_add(a->g, 0, name, labels);
	t->slots = 3;
	t->dice = a->dice;
	t->type = 2;
	return t;
}

static void add_count(struct avalanche *a, const char *kind, unsigned no, const char *end,
    const char *extra, double at_most)
{
	struct tmpl *t = add_series(a, kind, no, end, extra);
	t->walk = WALK_COUNT;
	t->hi = at_most;
	t->type = 3;
}

static void add_sum_and_count(struct avalanche *a, const char *kind, unsigned no)
{
	struct tmpl *t = add_series(a, kind, no, "_sum", "");
	t->walk = WALK_TALLY;
	t->type = 3;
	add_count(a, kind, no, "_count", "", 100);
}

static void add_histogram(struct avalanche *a, unsigned no)
{
	char extra[64];
	double bound = 0.0001;
	for (unsigned k = 0; k < (unsigned)a->g->o.avalanche.buckets; k++, bound *= 10) {
		snprintf(extra, sizeof(extra), ",le=\"%g\"", bound);
		add_count(a, "histogram", no, "_bucket", extra, bound * (1 + 1e-9));
	}
	add_count(a, "histogram", no, "_bucket", ",le=\"+Inf\"", 100);
	add_sum_and_count(a, "histogram", no);
}

static void add_summary(struct avalanche *a, unsigned no)
{
	unsigned count = (unsigned)a->g->o.avalanche.objectives;
	char extra[64];
	for (unsigned k = 0; k < count; k++) {
		unsigned q = 100 / count * (k + 1);
		snprintf(extra, sizeof(extra), ",quantile=\"%g\"", (q == 100 ? 99 : q) / 100.0);
		add_series(a, "summary", no, "", extra)->walk = WALK_DICE;
	}
	add_sum_and_count(a, "summary", no);
}

static void add_metric(struct avalanche *a, unsigned kind, unsigned no)
{
	a->dice++;
	if (kind == 0)
		add_series(a, "gauge", no, "", "")->walk = WALK_DICE;
	else if (kind == 1) {
		struct tmpl *t = add_series(a, "counter", no, "_total", "");
		t->walk = WALK_TALLY;
		t->type = 1;
	} else if (kind == 2)
		add_histogram(a, no);
	else if (kind == 3)
		add_series(a, "native_histogram", no, "", "")->hist = true;
	else
		add_summary(a, no);
}

/* All templates, with the names of a cycle. */
static void avalanche_add(struct loadgen *g, uint64_t cycle)
{
	const struct avalanche_opts *o = &g->o.avalanche;
	const double counts[] = { o->gauges, o->counters, o->histograms, o->natives, o->summaries };
	struct avalanche a = { .g = g, .cycle = cycle };
	memset(a.letters[0], 'm', (size_t)o->name_length);
	memset(a.letters[1], 'k', (size_t)o->label_length);
	for (unsigned i = 0; i < (unsigned)o->labels; i++) {
		size_t at = strlen(a.labels);
		char v[128] = "";
		memset(v, 'v', (size_t)o->label_length);
		snprintf(a.labels + at, sizeof(a.labels) - at,
		    "%slabel_key_%s_%u=\"label_val_%s_%u\"", i ? "," : "", a.letters[1], i, v, i);
	}
	for (unsigned kind = 0; kind < COUNT_OF(counts); kind++)
		for (unsigned no = 0; no < (unsigned)counts[kind]; no++)
			for (a.series = 0; a.series < (unsigned)o->series; a.series++)
				add_metric(&a, kind, no);
	for (size_t i = 0; i < g->tmpls_count; i++)
		give(g, &g->tmpls[i], "job", "avalanche");
}

static void finish(struct loadgen *g);

static void avalanche_rename(struct loadgen *g, uint64_t cycle)
{
	g->tmpls_count = 0;
	arena_reset(&g->arena, SIZE_MAX);
	avalanche_add(g, cycle);
	finish(g);
}

static uint64_t rounds_of(const struct loadgen *g, double seconds)
{
	double n = seconds * 1000 / (double)g->o.step_ms;
	return n < 1 ? 1 : (uint64_t)n;
}

static enum err make_avalanche(struct loadgen *g, struct errbuf *eb)
{
	const struct avalanche_opts *o = &g->o.avalanche;
	if (o->labels > 24 || o->name_length > 100 || o->label_length > 40)
		return errbuf_set(eb, ERR_BADDATA,
		    "--label-count, --metricname-length and --labelname-length are at most 24, 100 and 40");
	if (o->series < 1 || o->gauges + o->counters + o->histograms + o->natives + o->summaries < 1)
		return errbuf_set(eb, ERR_BADDATA, "workload avalanche: no metrics or no series");
	g->slots[0] = (struct slot){ "cycle_id", put_cycle_id };
	g->slots[1] = (struct slot){ "instance", put_target_instance };
	g->slots_count = 2;
	g->turn_rounds = o->value_s > 0 ? rounds_of(g, o->value_s) : UINT64_MAX;
	if (o->metric_s > 0) {
		g->rename = avalanche_rename;
		g->rename_rounds = rounds_of(g, o->metric_s);
	}
	if (g->o.churn < 0 && o->series_s > 0) {
		g->o.churn = 1;
		g->o.churn_rounds = rounds_of(g, o->series_s);
	}
	avalanche_add(g, 0);
	return ERR_OK;
}

/* ---- k6 ---- */

#define K6_SERIES 100000u
#define K6_LEVELS 9u

/* Series number no, at revision r, is number no + r * all: the churn variant's are new ones. */
static uint64_t k6_id(const struct loadgen *g, const struct target *t)
{
	return t->no + (uint64_t)t->revision * g->targets_count;
}

static size_t put_k6(const struct loadgen *g, const struct target *t, uint64_t by,
    const char *before, char out[SLOT_TEXT_MAX])
{
	return (size_t)snprintf(
	    out, SLOT_TEXT_MAX, "%s%llu", before, (unsigned long long)(k6_id(g, t) / by));
}

PUT(k6_name, put_k6(g, t, 1000, "k6_generated_metric_", out))
PUT(k6_id, put_k6(g, t, 1, "", out))
PUT(k6_1, put_k6(g, t, 10, "", out))
PUT(k6_2, put_k6(g, t, 100, "", out))
PUT(k6_3, put_k6(g, t, 1000, "", out))
PUT(k6_4, put_k6(g, t, 10000, "", out))
PUT(k6_5, put_k6(g, t, 100000, "", out))
PUT(k6_6, put_k6(g, t, 1000000, "", out))
PUT(k6_7, put_k6(g, t, 10000000, "", out))
PUT(k6_8, put_k6(g, t, 100000000, "", out))
PUT(k6_9, put_k6(g, t, 1000000000, "", out))

static enum err make_k6(struct loadgen *g, struct errbuf *eb)
{
	static const struct slot slots[] = { { LABEL_NAME, put_k6_name },
		{ "cardinality_1e1", put_k6_1 }, { "cardinality_1e2", put_k6_2 },
		{ "cardinality_1e3", put_k6_3 }, { "cardinality_1e4", put_k6_4 },
		{ "cardinality_1e5", put_k6_5 }, { "cardinality_1e6", put_k6_6 },
		{ "cardinality_1e7", put_k6_7 }, { "cardinality_1e8", put_k6_8 },
		{ "cardinality_1e9", put_k6_9 }, { "series_id", put_k6_id } };
	if (g->o.histograms > 0)
		return errbuf_set(eb, ERR_BADDATA, "workload k6 has no --histograms");
	memcpy(g->slots, slots, sizeof(slots));
	g->slots_count = COUNT_OF(slots);
	struct tmpl *t = tmpl_add(g, 0, "-", NULL); /* the name is a slot */
	give(g, t, "cluster", "k6-load-test");
	t->walk = WALK_CLOCK;
	t->type = 1;
	t->slots = (1u << COUNT_OF(slots)) - 1;
	if (!g->o.targets && !g->o.series)
		g->o.series = K6_SERIES;
	return ERR_OK;
}

/* ---- all ---- */

static const struct workload workloads[] = {
	{ .name = "node",
	    .step_ms = 15000,
	    .make = make_node,
	    .selector = "job=~\"node_exporter|job-[1-7]\"" },
	{ .name = "prometheus-benchmark",
	    .step_ms = 10000,
	    .targets = 1000,
	    .churn = 0.01,
	    .churn_ms = 600000,
	    .make = make_prometheus_benchmark,
	    .selector = "job=\"node_exporter\",url_replica=\"0\"" },
	{ .name = "tsbs-devops",
	    .step_ms = 10000,
	    .targets = 4000,
	    .make = make_tsbs_devops,
	    .selector = "hostname=~\"host_.*\",service_environment!=\"\"" },
	{ .name = "tsbs-cpu",
	    .step_ms = 10000,
	    .targets = 4000,
	    .make = make_tsbs_cpu,
	    .selector = "hostname=~\"host_.*\",service_environment!=\"\"" },
	{ .name = "avalanche",
	    .step_ms = 15000,
	    .targets = 1,
	    .make = make_avalanche,
	    .selector = "job=\"avalanche\"" },
	{ .name = "k6",
	    .step_ms = 20000,
	    .make = make_k6,
	    .selector = "cluster=\"k6-load-test\",series_id!=\"\"" },
};

static const struct workload *find(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(workloads); i++)
		if (!strcmp(workloads[i].name, name ? name : "node"))
			return &workloads[i];
	return NULL;
}

int64_t loadgen_step_ms(const char *workload)
{
	const struct workload *w = find(workload);
	return w ? w->step_ms : -1;
}

static enum err no_workload(const char *name, struct errbuf *eb)
{
	const char *names[COUNT_OF(workloads)];
	char all[256] = "";
	for (size_t i = 0; i < COUNT_OF(workloads); i++) {
		names[i] = workloads[i].name;
		snprintf(
		    all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "", names[i]);
	}
	const char *near = near_word(name, strlen(name), names, COUNT_OF(names));
	return errbuf_set(eb, ERR_BADDATA, "--workload \"%s\" is none of %s%s%s%s", name, all,
	    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Where the slots stand between the template's own labels; an own label of that name goes. */
static void place(struct loadgen *g, struct tmpl *t)
{
	struct label_builder b;
	label_builder_from(&b, &g->arena, t->labels);
	for (unsigned k = 0; k < g->slots_count; k++)
		if (t->slots & 1u << k)
			label_builder_set(&b, g->slots[k].name, strlen(g->slots[k].name), "", 0);
	t->labels = label_builder_done(&b);
	for (unsigned k = 0; k < g->slots_count; k++) {
		struct label_iter it = label_iter(t->labels);
		struct label l;
		size_t len = strlen(g->slots[k].name);
		t->cuts[k] = 0;
		while (label_next(&it, &l)) {
			size_t n = l.name_len < len ? l.name_len : len;
			int order = memcmp(l.name, g->slots[k].name, n);
			if (order > 0 || (!order && l.name_len > len))
				break;
			t->cuts[k] = (uint32_t)(it.p - t->labels.bytes);
		}
	}
}

/* So many of the metrics as --histograms says, spread evenly, are native histograms. */
static void make_histograms(struct loadgen *g)
{
	double due = 0;
	for (size_t i = 0; i < g->tmpls_count; i++) {
		struct tmpl *t = &g->tmpls[i];
		due += g->o.histograms;
		if (due < 1 || t->hist || t->walk == WALK_PLAYED)
			continue;
		due -= 1;
		uint32_t len;
		const char *name = label_get(t->labels, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
		char *longer = arena_zalloc(&g->arena, len + sizeof("_histogram"));
		memcpy(longer, name, len);
		memcpy(longer + len, "_histogram", sizeof("_histogram"));
		give(g, t, LABEL_NAME, longer);
		t->hist = true;
		t->type = 3;
	}
}

static bool ends_with(const char *name, size_t len, const char *end)
{
	size_t n = strlen(end);
	return len >= n && !memcmp(name + len - n, end, n);
}

static void finish(struct loadgen *g)
{
	if (g->o.histograms > 0)
		make_histograms(g);
	for (size_t i = 0; i < g->tmpls_count; i++) {
		struct tmpl *t = &g->tmpls[i];
		uint32_t len = 0;
		const char *name = label_get(t->labels, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
		if (t->hist)
			t->type = 3;
		else if (!t->type)
			t->type = name && ends_with(name, len, "_total") ? 1 : 2;
		place(g, t);
	}
	if (!g->o.replay_count)
		g->file_first[1] = g->tmpls_count;
}

enum err workload_make(struct loadgen *g, struct errbuf *eb)
{
	const struct workload *w = find(g->o.workload);
	if (!w)
		return no_workload(g->o.workload, eb);
	if (w->make != make_node && w->make != make_prometheus_benchmark &&
	    (g->o.page || g->o.values || g->o.replay_count))
		return errbuf_set(eb, ERR_BADDATA,
		    "--page, --values and --replay are of --workload node, not of %s", w->name);
	g->selector = w->selector;
	enum err e = w->make(g, eb);
	if (e)
		return e;
	if (!g->o.targets && !g->o.series)
		g->o.targets = w->targets ? w->targets : 200;
	if (g->o.churn < 0)
		g->o.churn = w->churn;
	if (!g->o.churn_rounds)
		g->o.churn_rounds = w->churn_ms ? rounds_of(g, (double)w->churn_ms / 1000) : 1;
	finish(g);
	return ERR_OK;
}

/* Each name once: those of the templates, or of the targets where the name is a slot. */
void loadgen_names(
    struct loadgen *g, void (*fn)(void *arg, const char *name, size_t len, bool hist), void *arg)
{
	struct hash_names {
		const char *name;
		uint32_t len;
	} *seen = mem_array(NULL, g->tmpls_count + 1, sizeof(*seen));
	size_t count = 0;
	char text[SLOT_TEXT_MAX], last[SLOT_TEXT_MAX] = "";
	bool slot = g->slots_count && !strcmp(g->slots[0].name, LABEL_NAME);
	for (size_t i = 0; slot && i < g->targets_count; i++) {
		size_t len = g->slots[0].put(g, &g->targets[i], text);
		if (!strcmp(text, last))
			continue;
		snprintf(last, sizeof(last), "%s", text);
		fn(arg, text, len, false);
	}
	for (size_t i = 0; !slot && i < g->tmpls_count; i++) {
		uint32_t len = 0;
		const char *name =
		    label_get(g->tmpls[i].labels, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
		size_t k = count;
		while (name && k && (seen[k - 1].len != len || memcmp(seen[k - 1].name, name, len)))
			k--;
		if (!name || k)
			continue;
		seen[count++] = (struct hash_names){ name, len };
		fn(arg, name, len, g->tmpls[i].hist);
	}
	mem_free(seen);
}

bool loadgen_names_stay(const struct loadgen *g)
{
	bool slot = g->slots_count && !strcmp(g->slots[0].name, LABEL_NAME);
	return !g->rename && !(slot && g->o.churn > 0);
}
