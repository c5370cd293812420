#include "net/api/tracing.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/api/groupings.h"

#include <inttypes.h>
#include <math.h>

#define TEXT_MOST    1000u               /* bytes of a query */
#define SAMPLES_TOLD (UINT64_C(1) << 53) /* a bound above says nothing */

static void ms_put(struct buf *b, const char *name, uint64_t ns)
{
	buf_printf(b, "\"%s\":%" PRIu64 ".%03u", name, ns / 1000000, (unsigned)(ns / 1000 % 1000));
}

static void number_put(struct buf *b, const char *name, uint64_t v)
{
	buf_printf(b, ",\"%s\":%" PRIu64, name, v);
}

static void msec_put(struct buf *b, const char *name, uint64_t ns)
{
	buf_add_u8(b, ',');
	ms_put(b, name, ns);
}

struct node {
	const char *kind;
	uint64_t start_ns, took_ns; /* start: since the request came */
};

/* A node without its end: numbers and children may follow. */
static void node_begin(struct buf *b, const struct node *n, struct buf *message)
{
	buf_add_u8(b, '{');
	ms_put(b, "duration_msec", n->took_ns);
	buf_add_str(b, ",\"message\":");
	json_str(b, (const char *)message->data, message->len);
	buf_printf(b, ",\"kind\":\"%s\"", n->kind);
	msec_put(b, "start_msec", n->start_ns);
	buf_clear(message);
}

static void leaf(struct buf *b, bool first, const struct node *n, struct buf *message)
{
	if (!first)
		buf_add_u8(b, ',');
	node_begin(b, n, message);
	buf_add_u8(b, '}');
}

static uint64_t since(const struct tracing *t, uint64_t ns)
{
	return ns > t->came_ns ? ns - t->came_ns : 0;
}

static uint64_t between(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

static uint64_t seconds_ns(double s)
{
	return s > 0 ? (uint64_t)(s * 1e9) : 0;
}

static void time_put(struct buf *b, int64_t ms)
{
	char text[NUM_FMT_MAX];
	buf_add(b, text, num_fmt_time(ms, text));
}

static void range_put(struct buf *b, int64_t from_ms, int64_t to_ms)
{
	buf_add_str(b, "timeRange=[");
	time_put(b, from_ms);
	buf_add_str(b, "..");
	time_put(b, to_ms);
	buf_add_u8(b, ']');
}

/* --- what each selector read --- */

static bool has_run(const struct ql_trace_piece *p)
{
	for (unsigned i = 0; i < p->shards_count; i++)
		if (p->shards[i].begin_ns)
			return true;
	return false;
}

static void read_put(struct buf *b, uint64_t series, uint64_t samples, const struct source_read *r)
{
	number_put(b, "series", series);
	number_put(b, "samples", samples);
	number_put(b, "samples_memory", r->memory_samples);
	number_put(b, "samples_files", r->file_samples);
	number_put(b, "bytes_memory", r->memory_bytes);
	number_put(b, "bytes_files", r->file_bytes);
}

static void shard_put(struct buf *b, const struct tracing *t, unsigned i,
    const struct ql_trace_shard *s, struct buf *m)
{
	const struct node n = { "shard", since(t, s->asked_ns), between(s->begin_ns, s->end_ns) };
	buf_printf(m,
	    "shard %u: series=%" PRIu64 ", samples=%" PRIu64 ", sourceBytes=%" PRIu64
	    ", sentBytes=%" PRIu64 ", busy=%" PRIu64 ".%03ums",
	    i, s->series, s->samples, s->bytes, s->home_bytes, s->busy_ns / 1000000,
	    (unsigned)(s->busy_ns / 1000 % 1000));
	node_begin(b, &n, m);
	number_put(b, "shard", i);
	number_put(b, "loop", s->loop);
	read_put(b, s->series, s->samples, &s->read);
	number_put(b, "bytes_source", s->bytes);
	number_put(b, "bytes_sent", s->home_bytes);
	msec_put(b, "busy_msec", s->busy_ns);
	msec_put(b, "wait_turn_msec", s->turn_ns);
	msec_put(b, "wait_files_msec", s->files_ns);
	msec_put(b, "wait_home_msec", s->home_ns);
	buf_add_u8(b, '}');
}

/* room: of all pieces together, so many more are told. */
static void shards_put(struct buf *b, const struct tracing *t, const struct ql_trace_piece *p,
    unsigned *room, struct buf *m)
{
	bool first = true;
	uint64_t left_out = 0;
	buf_add_str(b, ",\"children\":[");
	for (unsigned i = 0; i < p->shards_count; i++) {
		if (!p->shards[i].begin_ns)
			continue;
		if (!*room) {
			left_out++;
			continue;
		}
		--*room;
		if (!first)
			buf_add_u8(b, ',');
		shard_put(b, t, i, &p->shards[i], m);
		first = false;
	}
	buf_add_u8(b, ']');
	if (left_out)
		number_put(b, "left_out", left_out);
}

static void piece_put(struct buf *b, const struct tracing *t, const struct ql_trace_piece *p,
    unsigned number, unsigned *room, struct buf *m)
{
	uint64_t series = 0, samples = 0, begin = UINT64_MAX, end = 0;
	struct source_read read = { 0 };
	for (unsigned i = 0; i < p->shards_count; i++) {
		const struct ql_trace_shard *s = &p->shards[i];
		series += s->series;
		samples += s->samples;
		read.memory_samples += s->read.memory_samples;
		read.file_samples += s->read.file_samples;
		read.memory_bytes += s->read.memory_bytes;
		read.file_bytes += s->read.file_bytes;
		begin = s->begin_ns && s->asked_ns < begin ? s->asked_ns : begin;
		end = s->end_ns > end ? s->end_ns : end;
	}
	buf_printf(m, "read %s, ", p->selector);
	range_put(m, p->t_min_ms, p->t_max_ms);
	buf_printf(m, ": series=%" PRIu64 ", samples=%" PRIu64 ", steps=%u, parts of the query=%u",
	    series, samples, p->steps, p->pipes);
	node_begin(b, &(struct node){ "read", since(t, begin), between(begin, end) }, m);
	number_put(b, "selector", number);
	read_put(b, series, samples, &read);
	number_put(b, "steps", p->steps);
	number_put(b, "pipes", p->pipes);
	shards_put(b, t, p, room, m);
	buf_add_u8(b, '}');
}

/* What the loop that asked does when all shards are through. */
static void finish_put(struct buf *b, const struct tracing *t, bool first, struct buf *m)
{
	uint64_t end = t->made_ns;
	for (const struct ql_trace_piece *p = t->ql.pieces; p; p = p->next)
		for (unsigned i = 0; i < p->shards_count; i++)
			end = p->shards[i].end_ns > end ? p->shards[i].end_ns : end;
	if (end == t->made_ns)
		return;
	buf_add_str(m, "finished: joined by the loop that asked, when all shards were through");
	leaf(b, first, &(struct node){ "finish", since(t, end), between(end, t->done_ns) }, m);
}

static void eval_put(struct buf *b, const struct tracing *t, const struct ql_stats *st, struct buf *m)
{
	bool first = true;
	unsigned room = TRACING_SHARDS, number = 0;
	buf_add_u8(b, ',');
	buf_printf(m,
	    "evaluation: samples=%" PRIu64 ", samplesRead=%" PRIu64 ", peakSamples=%" PRIu64,
	    st->samples_total, st->samples_read, st->samples_peak);
	if (st->steps)
		buf_printf(m, ", steps=%" PRIu64 ", of which %" PRIu64 " from the cache", st->steps,
		    st->steps_kept);
	node_begin(b,
	    &(struct node){ "evaluation", since(t, t->made_ns), between(t->made_ns, t->done_ns) }, m);
	number_put(b, "samples", st->samples_total);
	number_put(b, "samples_read", st->samples_read);
	number_put(b, "samples_peak", st->samples_peak);
	number_put(b, "steps", st->steps);
	number_put(b, "steps_kept", st->steps_kept);
	number_put(b, "bytes_held", t->memory_max);
	buf_add_str(b, ",\"children\":[");
	for (const struct ql_trace_piece *p = t->ql.pieces; p; p = p->next, number++) {
		if (!has_run(p))
			continue;
		if (!first)
			buf_add_u8(b, ',');
		first = false;
		piece_put(b, t, p, number, &room, m);
	}
	finish_put(b, t, first, m);
	buf_add_str(b, "]}");
}

/* --- the tree --- */

static void about_put(struct buf *m, const struct tracing_told *a)
{
	buf_add(m, a->path, a->path_len);
	buf_add_str(m, ": query=");
	buf_add(m, a->text, rune_cut(a->text, a->text_len, TEXT_MOST));
	buf_add_str(m, ", ");
	range_put(m, a->start_ms, a->end_ms);
	if (a->step_ms)
		buf_printf(m, ", step=%" PRId64 "ms", a->step_ms);
}

/* There was no memory for all of it, and a part is no JSON. */
static void left_out_put(struct tracing *t)
{
	struct buf *b = &t->json;
	buf_release(b);
	b->purse = NULL; /* so little is not asked for */
	buf_add_str(b, ",\"trace\":{");
	ms_put(b, "duration_msec", since(t, t->done_ns));
	buf_add_str(b, ",\"message\":\"left out: it does not fit into the memory of the query\"}");
}

void tracing_put(struct tracing *t, const struct tracing_told *about, const struct ql *ql)
{
	const struct ql_stats *st = ql_stats(ql);
	const struct ql_value *v = ql_result(ql);
	struct buf *b = &t->json, m;
	uint64_t sort_ns = seconds_ns(st->sort_s), now = clock_real_mono_ns();
	buf_init(&m);
	buf_add_str(b, ",\"trace\":");
	about_put(&m, about);
	buf_printf(&m, ": series=%zu", v->series_count);
	node_begin(b, &(struct node){ "query", 0, since(t, t->done_ns) }, &m);
	number_put(b, "loop", t->loop);
	number_put(b, "series", v->series_count);
	number_put(b, "points", v->points);
	buf_add_str(b, ",\"children\":[");
	buf_add_str(&m, "admission: waited for a place");
	leaf(b, true, &(struct node){ "admission", 0, since(t, t->granted_ns) }, &m);
	buf_add_str(&m, "parsed and planned");
	leaf(b, false,
	    &(struct node){ "plan", since(t, t->granted_ns), between(t->granted_ns, t->made_ns) },
	    &m);
	eval_put(b, t, st, &m);
	buf_add_str(&m, "result: sorted");
	leaf(b, false, &(struct node){ "sort", between(sort_ns, since(t, t->done_ns)), sort_ns }, &m);
	buf_add_u8(b, ',');
	buf_add_str(&m, "answer: encoded, up to here");
	node_begin(b, &(struct node){ "answer", since(t, t->done_ns), between(t->done_ns, now) }, &m);
	msec_put(b, "busy_msec", t->encode_ns);
	buf_add_str(b, "}]}");
	if (b->over)
		left_out_put(t);
	buf_release(&m);
}

/* --- explain --- */

void tracing_ask(struct tracing *t, struct estimate e)
{
	for (const struct ql_trace_piece *p = t->ql.pieces; p; p = p->next)
		e.count++;
	e.asks = arena_zalloc(&t->arena, (e.count + 1) * sizeof(*e.asks));
	struct estimate_ask *to = e.asks;
	for (const struct ql_trace_piece *p = t->ql.pieces; p; p = p->next, to++) {
		*to = (struct estimate_ask){ .matchers = p->matchers,
			.matchers_count = p->matchers_count,
			.keys = p->keys,
			.keys_count = p->keys_count,
			.t_min_ms = p->t_min_ms,
			.t_max_ms = p->t_max_ms };
		groupings_names(&t->ql, p, to);
	}
	t->estimate = e;
	estimate_start(&t->estimate, &t->arena);
}

static const char *const kinds_of_sure[] = {
	[SOURCE_EXACT] = "exact", [SOURCE_BOUNDS] = "bounds", [SOURCE_SAMPLED] = "sampled"
};

static void text_put(struct buf *b, const char *name, const char *text)
{
	buf_printf(b, ",\"%s\":", name);
	json_str(b, text, strlen(text));
}

/* How many series it has. */
static void told_put(struct buf *b, const struct ql_trace_told *o)
{
	if (o->n < 0)
		return;
	number_put(b, "series", (uint64_t)(o->n < 1e18 ? o->n + 0.5 : 1e18));
	text_put(b, "seriesKind", kinds_of_sure[o->sure]);
	if (o->most < 1e18)
		number_put(b, "seriesAtMost", (uint64_t)ceil(o->most));
}

static void plan_put(struct buf *b, const struct ql_trace_node *n)
{
	buf_add_str(b, "{\"what\":");
	json_str(b, n->what, strlen(n->what));
	text_put(b, "expr", n->text);
	if (n->more)
		text_put(b, "onShards", n->more);
	if (n->piece >= 0)
		number_put(b, "selector", (uint64_t)n->piece);
	number_put(b, "steps", n->steps);
	told_put(b, &n->told);
	if (n->first)
		buf_add_str(b, ",\"of\":[");
	for (const struct ql_trace_node *c = n->first; c; c = c->next) {
		plan_put(b, c);
		if (c->next)
			buf_add_u8(b, ',');
	}
	buf_add_str(b, n->first ? "]}" : "}");
}

static void forecast_put(struct buf *b, const struct source_forecast *f)
{
	number_put(b, "series", f->series);
	buf_printf(b, ",\"seriesKind\":\"%s\"", kinds_of_sure[f->sure]);
	number_put(b, "samples", outlook_plus(f->memory_samples, f->file_samples));
	if (f->samples_most < SAMPLES_TOLD)
		number_put(b, "samplesAtMost", f->samples_most);
	number_put(b, "samplesFromMemory", f->memory_samples);
	number_put(b, "samplesFromFiles", f->file_samples);
	number_put(b, "bytesFromMemory", f->memory_bytes);
	number_put(b, "bytesFromFiles", f->file_bytes);
	number_put(b, "files", f->files);
}

static void matchers_put(struct buf *b, const struct ql_trace_piece *p)
{
	static const char *const ops[] = { "=", "!=", "=~", "!~" };
	buf_add_str(b, ",\"matchers\":[");
	for (size_t i = 0; i < p->matchers_count; i++) {
		const struct matcher *m = &p->matchers[i];
		buf_add_str(b, i ? ",{\"label\":" : "{\"label\":");
		json_str(b, m->name, rune_cut(m->name, m->name_len, TEXT_MOST));
		text_put(b, "op", ops[m->type]);
		buf_add_str(b, ",\"value\":");
		json_str(b, m->value, rune_cut(m->value, m->value_len, TEXT_MOST));
		buf_add_u8(b, '}');
	}
	buf_add_u8(b, ']');
}

static void selector_put(
    struct buf *b, const struct ql_trace_piece *p, const struct source_forecast *f)
{
	buf_add_str(b, "{\"selector\":");
	json_str(b, p->selector, strlen(p->selector));
	buf_add_str(b, ",\"start\":\"");
	time_put(b, p->t_min_ms);
	buf_add_str(b, "\",\"end\":\"");
	time_put(b, p->t_max_ms);
	buf_add_u8(b, '"');
	number_put(b, "steps", p->steps);
	number_put(b, "seriesAtMost", f->series_most);
	number_put(b, "valuesAtMost", outlook_times(f->series_most, p->steps));
	forecast_put(b, f);
	number_put(b, "pipes", p->pipes);
	number_put(b, "rangeMs", p->range_ms > 0 ? (uint64_t)p->range_ms : 0);
	number_put(b, "stepMs", p->step_ms > 0 ? (uint64_t)p->step_ms : 0);
	if (p->function)
		text_put(b, "function", p->function);
	matchers_put(b, p);
	buf_add_u8(b, '}');
}

static void refusals_put(struct buf *b, const struct outlook *o)
{
	buf_add_str(b, ",\"refused\":[");
	for (unsigned i = 0; i < o->refusals_count; i++) {
		const struct outlook_refusal *r = &o->refusals[i];
		buf_printf(b, "%s{\"flag\":\"--%s\"", i ? "," : "", limits_flag(r->limit));
		number_put(b, "limit", r->most);
		number_put(b, "wants", r->wants);
		buf_printf(b, ",\"sure\":%s", r->sure ? "true" : "false");
		text_put(b, "unit",
		    limits_rows[r->limit].unit == LIMITS_BYTES    ? "bytes"
		        : limits_rows[r->limit].unit == LIMITS_MS ? "milliseconds"
		                                                  : "samples");
		buf_add_u8(b, '}');
	}
	buf_add_u8(b, ']');
}

static void seconds_put(struct buf *b, const char *name, double v)
{
	if (v < 0)
		buf_printf(b, ",\"%s\":null", name);
	else
		buf_printf(b, ",\"%s\":%.6f", name, v);
}

void tracing_explain(struct tracing *t, const struct tracing_told *about, struct buf *out)
{
	const struct outlook *o = &t->outlook;
	size_t i = 0;
	buf_add_str(out, "{\"query\":");
	json_str(out, about->text, rune_cut(about->text, about->text_len, TEXT_MOST));
	buf_add_str(out, ",\"plan\":");
	if (t->ql.plan)
		plan_put(out, t->ql.plan);
	else
		buf_add_str(out, "null");
	buf_add_str(out, ",\"selectors\":[");
	for (const struct ql_trace_piece *p = t->ql.pieces; p; p = p->next, i++) {
		selector_put(out, p, &t->estimate.asks[i].told);
		if (p->next)
			buf_add_u8(out, ',');
	}
	buf_printf(out, "],\"seriesAtMost\":%" PRIu64 ",\"valuesAtMost\":%" PRIu64 ",\"heavy\":%s",
	    o->all.series_most, o->values_most,
	    o->values_most > TICKET_SMALL_SAMPLES ? "true" : "false");
	forecast_put(out, &o->all);
	number_put(out, "memoryBytes", o->memory);
	number_put(out, "memoryLimitBytes", t->memory_max);
	buf_printf(out, ",\"memoryFlag\":\"--%s\"", limits_flag(LIMITS_query_memory));
	buf_printf(out, ",\"cache\":{\"steps\":%" PRIu64 ",\"kept\":%" PRIu64 "}", t->peek.steps,
	    t->peek.steps_kept);
	buf_printf(out, ",\"partToRead\":%.4f", t->peek.part);
	seconds_put(out, "seconds", o->seconds);
	seconds_put(out, "workPerSecond", o->per_s);
	refusals_put(out, o);
	buf_add_u8(out, '}');
}

void tracing_release(struct tracing *t)
{
	estimate_release(&t->estimate);
	ql_trace_release(&t->ql);
	buf_release(&t->json);
	arena_release(&t->arena);
}
