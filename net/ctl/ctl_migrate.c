/*
 * ctl_migrate - from another server into this one: a walk over the source, its pieces pushed by
 * Remote Write, what is acknowledged marked, both sides compared at the end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/num.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlcopy.h"
#include "net/ctl/ctlpush.h"
#include "net/ctl/ctlverify.h"

#define SAVE_NS UINT64_C(2000000000) /* between marks */
#define SAMPLES 2000000u             /* of a piece, about */
#define GROUP   8u                   /* names of the first piece */
#define PLACES  1024u                /* pieces that are given and not acknowledged */

struct place { /* behind a piece */
	uint64_t number, samples;
	char *text;
};
struct migrate {
	struct ctlcopy_args args;
	struct ctlhttp *from, *to;
	struct ctlsrc *src;
	struct ctlpush *push;
	struct ctlmark *mark;
	struct errbuf eb;
	json_t *meta;
	struct place places[PLACES]; /* a ring */
	uint64_t given, taken;       /* pieces: given, and of which the place was taken */
	uint64_t number;             /* of the last piece: each has a larger one */
	uint64_t before;             /* samples of earlier runs */
	uint64_t saved_ns;
	bool changed; /* the mark, since it was saved */
};

/* --- places --- */

/* Places behind pieces that are acknowledged go to the mark. */
static void take_places(struct migrate *m)
{
	uint64_t acked = ctlpush_acked(m->push);
	while (m->taken < m->given) {
		struct place *p = &m->places[m->taken % PLACES];
		if (p->number > acked)
			return;
		if (p->text)
			ctlmark_set(m->mark, CTLWALK_KEY, p->text);
		ctlmark_set_num(m->mark, "samples", (int64_t)(m->before + p->samples));
		mem_free(p->text);
		p->text = NULL;
		m->taken++;
		m->changed = true;
	}
}

static int save(struct migrate *m)
{
	take_places(m);
	if (!m->changed)
		return CTL_OK;
	m->changed = false;
	m->saved_ns = clock_real_mono_ns();
	return ctlmark_save(m->mark, &m->eb) ? ctl_fail(CTL_LOCAL, "%s", m->eb.text) : CTL_OK;
}

/* --- the sink --- */

static int on_window(void *own, const struct ctlwalk *w)
{
	(void)own;
	(void)w;
	return CTL_OK;
}

/* What the source knows of a metric: by its name, or that of its family. */
static const json_t *about(const struct migrate *m, const char *name, size_t len)
{
	static const char *const ends[] = { "", "_total", "_bucket", "_count", "_sum" };
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t end = strlen(ends[i]);
		if (len <= end || memcmp(name + len - end, ends[i], end) != 0)
			continue;
		char family[512];
		if (len - end >= sizeof(family))
			return NULL;
		memcpy(family, name, len - end);
		family[len - end] = 0;
		const json_t *j = json_array_get(json_object_get(m->meta, family), 0);
		if (j)
			return j;
	}
	return NULL;
}

static unsigned type_of(const char *text)
{
	static const char *const types[] = { "unknown", "counter", "gauge", "histogram",
		"gaugehistogram", "summary", "info", "stateset" };
	for (unsigned i = 0; text && i < COUNT_OF(types); i++)
		if (!strcmp(text, types[i]))
			return i;
	return 0;
}

static int on_item(void *own, const struct ctlwalk *w, const struct ctlsrc_item *item)
{
	struct migrate *m = own;
	struct ctlpush_series s = { .labels = item->labels };
	uint32_t len;
	const char *name = label_get(item->labels, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	(void)w;
	if (m->meta && name) {
		const json_t *j = about(m, name, len);
		s.type = type_of(json_string_value(json_object_get(j, "type")));
		s.help = json_string_value(json_object_get(j, "help"));
		s.unit = json_string_value(json_object_get(j, "unit"));
	}
	int status = ctlpush_series(m->push, &s);
	return status ? status : ctlpush_samples(m->push, &item->samples);
}

static int on_piece(void *own, const struct ctlwalk *w, const char *place)
{
	struct migrate *m = own;
	(void)w;
	take_places(m);
	if (m->given - m->taken == PLACES) { /* very small pieces: the last ones become one */
		struct place *last = &m->places[(m->given - 1) % PLACES];
		mem_free(last->text);
		m->given--;
	}
	struct place *p = &m->places[m->given % PLACES];
	*p = (struct place){ .number = ++m->number, .samples = ctlsrc_counts(m->src)->samples };
	if (place) {
		p->text = mem_alloc(strlen(place) + 1);
		memcpy(p->text, place, strlen(place) + 1);
	}
	m->given++;
	ctlpush_at(m->push, p->number);
	if (clock_real_mono_ns() - m->saved_ns < SAVE_NS)
		return CTL_OK;
	return save(m);
}

/* What was pushed of it is pushed again: harmless. */
static int on_back(void *own)
{
	(void)own;
	return CTL_OK;
}

static int on_window_end(void *own, const struct ctlwalk *w, const char *place)
{
	(void)own;
	(void)w;
	(void)place;
	return CTL_OK;
}

static const struct ctlcopy_sink sink = { on_window, on_item, on_piece, on_back, on_window_end };

/* --- the command --- */

struct choices {
	const char *type, *to, *tenant_from;
	double step_days, rate, in_flight, queries, seed;
	bool no_dedup, partial, verify_only, no_verify;
	char params[64];
};

static int way_of(const char *type, enum ctlsrc_way *way)
{
	static const struct {
		const char *name;
		enum ctlsrc_way way;
	} types[] = { { "auto", CTLSRC_AUTO }, { "victoriametrics", CTLSRC_LINES },
		{ "mimir", CTLSRC_READ }, { "prometheus", CTLSRC_READ }, { "kymo", CTLSRC_READ },
		{ "thanos", CTLSRC_QUERY } };
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (!type || !strcmp(type, types[i].name)) {
			*way = types[i].way;
			return CTL_OK;
		}
	return ctl_fail(CTL_USAGE,
	    "--from: \"%s\" is none of auto, victoriametrics, mimir, prometheus, kymo, thanos", type);
}

static int copy(struct migrate *m, const struct choices *c, int64_t from_ms, int64_t to_ms)
{
	struct ctlwalk w;
	struct ctlprog prog;
	struct ctlpush_counts n;
	struct ctlpush_opts push = {
		.http = m->to, .samples_per_s = c->rate, .in_flight = (unsigned)c->in_flight
	};
	if (ctlpush_open(&push, &m->push))
		return CTL_LOCAL;
	m->saved_ns = clock_real_mono_ns();
	m->before = (uint64_t)ctlmark_get_num(m->mark, "samples", 0);
	ctlprog_begin(&prog, "samples", 0, (double)m->before, m->args.quiet);
	ctlwalk_open(&w,
	    &(struct ctlwalk_opts){ .http = m->from,
	        .src = m->src,
	        .sels = m->args.sels,
	        .sels_count = m->args.sels_count,
	        .from_ms = from_ms,
	        .to_ms = to_ms,
	        .window_ms = (int64_t)(c->step_days * (double)CTLWALK_DAY_MS),
	        .group = GROUP,
	        .samples = SAMPLES,
	        .names_ms = CTLWALK_NAMES_MS,
	        .partial = c->partial },
	    m->mark);
	int status = ctlcopy_run(&w, m->src, &sink, m, &prog), ended = ctlpush_finish(m->push);
	status = status ? status : ended;
	ended = save(m);
	status = status ? status : ended;
	ctlwalk_close(&w);
	ctlpush_counts(m->push, &n);
	const struct ctlsrc_counts *src = ctlsrc_counts(m->src);
	snprintf(prog.more, sizeof(prog.more), "%s", "");
	if (!m->args.quiet)
		ctlprog_end(&prog);
	if (src->left_histograms)
		ctl_note("%" PRIu64 " samples of native histograms do not come by %s: left out",
		    src->left_histograms, ctlsrc_way_name(ctlsrc_way(m->src)));
	if (src->left_series)
		ctl_note("%" PRIu64 " times a series was left out for its labels", src->left_series);
	if (n.refused)
		ctl_note(
		    "%" PRIu64 " samples were refused, the first: %s", n.refused, n.first_refusal);
	if (!status && n.refused)
		status = CTL_NO;
	return status;
}

static int verify(const struct migrate *m, const struct choices *c, int64_t from_ms, int64_t to_ms)
{
	struct ctlverify v = { .from = m->from,
		.to = m->to,
		.params = c->params,
		.reads = m->src && ctlsrc_way(m->src) == CTLSRC_READ ? m->src : NULL,
		.sels = m->args.sels,
		.sels_count = m->args.sels_count,
		.from_ms = from_ms,
		.to_ms = to_ms,
		.window_ms = (int64_t)(c->step_days * (double)CTLWALK_DAY_MS),
		.partial = c->partial,
		.queries = (unsigned)c->queries,
		.seed = c->seed > 0 ? (uint64_t)c->seed : (uint64_t)clock_wall_ms(),
		.quiet = m->args.quiet };
	/* What the target has recorded of itself meanwhile is none of the source's. */
	struct arena a;
	arena_init(&a, 4096);
	struct ctlsel *sels = arena_array(&a, v.sels_count, sizeof(*sels));
	for (size_t i = 0; i < v.sels_count; i++)
		ctlsel_without(&a, &v.sels[i], "job", "kymo", &sels[i]);
	v.sels = sels;
	int status = ctlverify_run(&v);
	arena_release(&a);
	return status;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* Before anything is read: is the other end there, and another one? */
static int look_at_target(
    const struct migrate *m, const struct ctlhttp_access *from, const struct ctlhttp_access *to)
{
	struct ctlhttp_call call = { .method = "GET", .path = "/-/ready" };
	if (same(ctlhttp_server(m->from), ctlhttp_server(m->to)) && same(from->tenant, to->tenant) &&
	    same(from->token_file, to->token_file) && same(from->user, to->user))
		return ctl_fail(CTL_USAGE,
		    "SOURCE and --server are the same: SOURCE is read, --server is written to");
	ctlhttp_begin(m->to, &call);
	ctlhttp_wait(m->to, &call);
	int status = call.err ? ctlhttp_outcome(&call) : CTL_OK;
	ctlhttp_call_release(&call);
	return status;
}

static int run(struct migrate *m, const struct choices *c, enum ctlsrc_way way)
{
	struct buf work;
	int64_t from_ms, to_ms;
	struct ctlsrc_opts src = { .http = m->from,
		.way = way,
		.params = c->params,
		.packed = m->args.packed,
		.partial = c->partial };
	buf_init(&work);
	buf_printf(&work, "%s%s to %s", ctlhttp_who(m->from), c->no_dedup ? " no-dedup" : "",
	    ctlhttp_who(m->to));
	buf_add_u8(&work, 0);
	char *words = arena_strndup(&m->args.arena, (const char *)work.data, work.len);
	buf_clear(&work);
	ctlcopy_work(&work, &m->args, words);
	int status = ctlcopy_mark(
	    &m->args, (const char *)work.data, m->from, true, &m->mark, &from_ms, &to_ms);
	buf_release(&work);
	if (!status)
		status = ctlsrc_open(&src, &m->src);
	if (!status && !c->verify_only) {
		if (ctlsrc_way(m->src) == CTLSRC_QUERY)
			ctl_note("stale markers and native histograms are not seen by queries");
		if (ctlhttp_json(m->from, "GET", "/api/v1/metadata", NULL, &m->meta))
			ctl_note("types and help texts do not come along then");
		status = copy(m, c, from_ms, to_ms);
	}
	bool refused = status == CTL_NO;
	if ((!status || refused) && !c->no_verify) {
		status = verify(m, c, from_ms, to_ms);
		status = status ? status : refused ? CTL_NO : CTL_OK;
	}
	if ((!status || status == CTL_NO) && ctlmark_done(m->mark, &m->eb))
		status = ctl_fail(CTL_LOCAL, "%s", m->eb.text);
	return status;
}

int ctl_migrate(int argc, char **argv)
{
	struct ctlhttp_access to = { 0 }, from = { .flag = "SOURCE" };
	static struct migrate m;
	struct choices c = { .step_days = 1, .queries = 50, .in_flight = 4 };
	const struct cmdline_arg args[] = {
		{ .name = "from",
		    .meta = "auto|victoriametrics|mimir|prometheus|kymo|thanos",
		    .help = "what the source is (auto: it is asked)",
		    .text = &c.type },
		{ .name = "to", .meta = "URL", .help = "as --server", .text = &c.to },
		CTLCOPY_ARGS(m.args),
		{ .name = "step-days", .meta = "N", .help = "of a window (1)", .num = &c.step_days },
		{ .name = "rate",
		    .meta = "N",
		    .help = "samples a second at most (as fast as it goes)",
		    .num = &c.rate },
		{ .name = "in-flight",
		    .meta = "N",
		    .help = "writes under way at once (4)",
		    .num = &c.in_flight },
		{ .name = "no-dedup", .help = "of Thanos: replicas as they are", .flag = &c.no_dedup },
		{ .name = "partial-response",
		    .help = "of Thanos: answers with warnings are taken",
		    .flag = &c.partial },
		{ .name = "verify-only", .help = "compare, copy nothing", .flag = &c.verify_only },
		{ .name = "no-verify", .help = "copy, compare nothing", .flag = &c.no_verify },
		{ .name = "queries",
		    .meta = "N",
		    .help = "at random, to compare (50)",
		    .num = &c.queries },
		{ .name = "seed", .meta = "N", .help = "of what is drawn at random", .num = &c.seed },
		{ .name = "tenant-from",
		    .meta = "NAME",
		    .help = "as --from-tenant",
		    .text = &c.tenant_from },
		CTLHTTP_ARGS(to),
		CTLHTTP_ACCESS_ARGS_OF("from-", from),
	};
	cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "migrate",
	        .words = "SOURCE",
	        .help = "Samples of another server into this one: VictoriaMetrics by its export, Mimir "
	                "and Prometheus by remote read, Thanos by queries. Both are compared then.",
	        .examples =
	            "  kymoctl migrate --start 30d http://victoria:8428\n"
	            "  kymoctl migrate --from mimir --tenant-from a --tenant b https://mimir/prometheus\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 1,
	        .words_max = 1 },
	    argc, argv);
	enum ctlsrc_way way = CTLSRC_AUTO;
	errbuf_init(&m.eb);
	from.server = argv[0];
	if (c.tenant_from)
		from.tenant = c.tenant_from;
	if (c.to)
		to.server = c.to;
	int status = ctlcopy_args_take(&m.args);
	if (!status)
		status = way_of(c.type, &way);
	if (!status && !(c.step_days >= 1.0 / 24 && c.step_days <= 3650))
		status = ctl_fail(CTL_USAGE, "--step-days: between 1/24 and 3650");
	if (!status && !(c.in_flight <= 1e6 && c.queries <= 1e6 && c.seed < 1e18))
		status = ctl_fail(CTL_USAGE, "--in-flight, --queries and --seed: not so large");
	if (!status && c.verify_only && c.no_verify)
		status = ctl_fail(CTL_USAGE, "--verify-only and --no-verify leave nothing to do");
	if (way == CTLSRC_QUERY || way == CTLSRC_AUTO)
		snprintf(c.params, sizeof(c.params), "dedup=%s&partial_response=%s",
		    c.no_dedup ? "false" : "true", c.partial ? "true" : "false");
	ctl_catch();
	if (!status)
		status = ctlhttp_open(&from, &m.from);
	if (!status)
		status = ctlhttp_open(&to, &m.to);
	if (!status)
		status = look_at_target(&m, &from, &to);
	if (!status)
		status = run(&m, &c, way);
	for (; m.taken < m.given; m.taken++)
		mem_free(m.places[m.taken % PLACES].text);
	json_decref(m.meta);
	ctlpush_close(m.push);
	ctlmark_close(m.mark);
	ctlsrc_close(m.src);
	ctlhttp_close(m.from);
	ctlhttp_close(m.to);
	ctlcopy_args_release(&m.args);
	return status;
}
