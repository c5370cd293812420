#include "bench/load/loadargs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/num.h"

#define FLYING_H2    8u
#define FLYING_MAX   1000u
#define CONNS_MAX    1024u
#define NODE_SERIES  100000u
#define FILE_TARGETS 20u

bool loadargs_add_replay(void *arg, const char *value)
{
	struct loadgen_opts *o = arg;
	if (o->replay_count == GEN_FILES_MAX)
		return false;
	o->replay[o->replay_count++] = value;
	return true;
}

void loadargs_init(struct loadargs *l)
{
	*l = (struct loadargs){ .url = "http://127.0.0.1:9470",
		.protocol_name = "1.0",
		.batch = 2000,
		.connections = 4,
		.retry_s = 30,
		.churn = -1 };
	l->gen.avalanche = loadgen_avalanche;
}

static void bad(const char *what, const char *text)
{
	fprintf(stderr, "kymobench %s: %s\n", what, text);
	exit(2);
}

static void use_names(struct loadargs *l, const char *what)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (!strcmp(l->protocol_name, "2.0") || !strcmp(l->protocol_name, "2"))
		l->protocol = RWBODY_2;
	else if (strcmp(l->protocol_name, "1.0") != 0 && strcmp(l->protocol_name, "1") != 0)
		bad(what, "--protocol is 1.0 or 2.0");
	const char *t = l->transport ? l->transport : l->u.tls ? "https" : "http1";
	static const struct {
		const char *name;
		bool tls, h2;
	} transports[] = { { "http1", false, false }, { "h2c", false, true },
		{ "https", true, false }, { "h2", true, true } };
	for (size_t i = 0; i < COUNT_OF(transports); i++) {
		if (strcmp(transports[i].name, t) != 0)
			continue;
		if (transports[i].tls != l->u.tls)
			bad(what,
			    "--transport: http1 and h2c go with http://, https and h2 with https://");
		l->h2 = transports[i].h2;
		l->transport = transports[i].name;
		return;
	}
	errbuf_set(&eb, ERR_BADDATA, "--transport \"%s\" is none of http1, h2c, https, h2", t);
	bad(what, eb.text);
}

/* Anything below /api that is not what "kymobench query" asks: a server may write elsewhere. */
static bool is_write_path(const char *api)
{
	static const char *const others[] = { "", "/api", "/api/v1", "/api/v1/query",
		"/api/v1/query_range" };
	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (!strcmp(api, others[i]))
			return false;
	return true;
}

/* A path that is given stands; else it is the kind's. */
static void use_server(struct loadargs *l, const char *what, const char *api)
{
	struct errbuf eb;
	errbuf_init(&eb);
	char rest[HTTPC_API_MAX];
	if (l->kind_name && kind_named(l->kind_name, &l->kind, &eb))
		bad(what, eb.text);
	if (!l->kind)
		l->kind = kind_probe(&l->u);
	snprintf(l->path, sizeof(l->path), "%s", is_write_path(api) ? api : l->kind->write);
	l->query = l->u;
	if (l->query_url) {
		if (httpc_url_parse(l->query_url, &l->query, &eb))
			bad(what, eb.text);
		httpc_url_base(&l->query, rest);
	} else {
		size_t at = strlen(l->query.prefix);
		snprintf(l->query.prefix + at, sizeof(l->query.prefix) - at, "%s", l->kind->read);
	}
}

static void use_counts(struct loadargs *l, const char *what)
{
	if (l->batch < 1 || l->connections < 1 || l->connections > CONNS_MAX)
		bad(what, "--batch and --connections must be at least 1, --connections at most 1024");
	if (l->in_flight > FLYING_MAX)
		bad(what, "--in-flight is at most 1000");
	if (l->in_flight > 1 && !l->h2)
		bad(what, "--in-flight of more than 1 needs --transport h2c or h2");
	l->conns = (unsigned)l->connections;
	l->flying = l->in_flight >= 1 ? (unsigned)l->in_flight : l->h2 ? FLYING_H2 : 1;
	l->gen.batch = (unsigned)l->batch;
	l->gen.series = (uint64_t)l->series;
	l->gen.targets = (unsigned)l->targets;
	l->gen.churn = l->churn;
	bool node = !l->gen.workload || !strcmp(l->gen.workload, "node");
	if (node && l->gen.replay_count && !l->gen.targets)
		l->gen.targets = FILE_TARGETS;
	else if (node && !l->gen.replay_count && !l->gen.targets && !l->gen.series)
		l->gen.series = NODE_SERIES;
}

static void use_times(struct loadargs *l, const char *what, double back_rounds)
{
	struct loadgen_opts *g = &l->gen;
	g->step_ms = l->step ? (int64_t)(cmd_duration_s(l->step, "step") * 1000)
	                     : loadgen_step_ms(g->workload);
	if (g->step_ms < 1)
		g->step_ms = l->step ? 1 : 15000; /* an unknown workload is told of by loadgen */
	g->start_ms = clock_wall_ms() - (int64_t)(back_rounds * (double)g->step_ms);
	g->start_ms -= g->start_ms % 1000;
	if (l->start && num_parse_time(l->start, strlen(l->start), &g->start_ms)) {
		fprintf(stderr, "kymobench %s: --start: \"%s\" is not a time\n", what, l->start);
		exit(2);
	}
	if (l->churn_every) {
		double n = cmd_duration_s(l->churn_every, "churn-every") * 1000 / (double)g->step_ms;
		g->churn_rounds = n < 1 ? 1 : (uint64_t)n;
	}
}

struct loadgen *loadargs_use(struct loadargs *l, const char *what, double back_rounds)
{
	struct errbuf eb;
	struct loadgen *g = NULL;
	char api[HTTPC_API_MAX];
	errbuf_init(&eb);
	if (httpc_url_parse(l->url, &l->u, &eb))
		bad(what, eb.text);
	httpc_url_base(&l->u, api);
	use_names(l, what);
	use_counts(l, what);
	use_times(l, what, back_rounds);
	if (access_use(&l->access, &eb) || loadgen_create(&l->gen, &g, &eb))
		bad(what, eb.text);
	use_server(l, what, api);
	return g;
}

struct fleet_opts loadargs_fleet(const struct loadargs *l)
{
	return (struct fleet_opts){ .url = &l->u,
		.path = l->path,
		.protocol = l->protocol,
		.h2 = l->h2,
		.connections = l->conns,
		.in_flight = l->flying,
		.retry_s = l->retry_s,
		.lead = UINT64_MAX,
		.memory_bytes = SIZE_MAX };
}

struct rwbody *loadargs_body(const struct loadargs *l)
{
	return rwbody_new(&(struct rwbody_opts){ .protocol = l->protocol,
	    .metadata = !l->no_metadata,
	    .starts = l->starts,
	    .start_ms = l->gen.start_ms });
}

const char *loadargs_transport(const struct loadargs *l)
{
	return l->transport;
}
