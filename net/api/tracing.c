#include "net/api/tracing.h"

#include "core/base/json.h"
#include "core/base/num.h"
#include "core/base/rune.h"

#include <inttypes.h>

#define TEXT_MOST 1000u /* bytes of a query */

static void ms_put(struct buf *b, const char *name, uint64_t ns)
{
	buf_printf(b, "\"%s\":%" PRIu64 ".%03u", name, ns / 1000000, (unsigned)(ns / 1000 % 1000));
}

/* A node without its end: children may follow. */
static void node_begin(struct buf *b, uint64_t ns, const struct buf *message)
{
	buf_add_u8(b, '{');
	ms_put(b, "duration_msec", ns);
	buf_add_str(b, ",\"message\":");
	json_str(b, (const char *)message->data, message->len);
}

static void leaf(struct buf *b, bool first, uint64_t ns, struct buf *message)
{
	if (!first)
		buf_add_u8(b, ',');
	node_begin(b, ns, message);
	buf_add_u8(b, '}');
	buf_clear(message);
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

static void shards_put(struct buf *b, const struct ql_trace_piece *p, struct buf *m)
{
	bool first = true;
	buf_add_str(b, ",\"children\":[");
	for (unsigned i = 0; i < p->shards_count; i++) {
		const struct ql_trace_shard *s = &p->shards[i];
		if (!s->begin_ns)
			continue;
		buf_printf(m,
		    "shard %u: series=%" PRIu64 ", samples=%" PRIu64 ", sourceBytes=%" PRIu64
		    ", sentBytes=%" PRIu64 ", busy=%" PRIu64 ".%03ums",
		    i, s->series, s->samples, s->bytes, s->home_bytes, s->busy_ns / 1000000,
		    (unsigned)(s->busy_ns / 1000 % 1000));
		leaf(b, first, s->end_ns - s->begin_ns, m);
		first = false;
	}
	buf_add_str(b, "]");
}

static void piece_put(struct buf *b, const struct ql_trace_piece *p, struct buf *m)
{
	uint64_t series = 0, samples = 0, begin = UINT64_MAX, end = 0;
	for (unsigned i = 0; i < p->shards_count; i++) {
		const struct ql_trace_shard *s = &p->shards[i];
		series += s->series;
		samples += s->samples;
		begin = s->begin_ns && s->begin_ns < begin ? s->begin_ns : begin;
		end = s->end_ns > end ? s->end_ns : end;
	}
	buf_printf(m, "read %s, ", p->selector);
	range_put(m, p->t_min_ms, p->t_max_ms);
	buf_printf(m, ": series=%" PRIu64 ", samples=%" PRIu64 ", steps=%u, parts of the query=%u",
	    series, samples, p->steps, p->pipes);
	node_begin(b, end > begin ? end - begin : 0, m);
	buf_clear(m);
	shards_put(b, p, m);
	buf_add_u8(b, '}');
}

static void eval_put(struct buf *b, const struct tracing *t, const struct ql_stats *st, struct buf *m)
{
	bool first = true;
	buf_printf(m,
	    "evaluation: samples=%" PRIu64 ", samplesRead=%" PRIu64 ", peakSamples=%" PRIu64,
	    st->samples_total, st->samples_read, st->samples_peak);
	if (st->steps)
		buf_printf(m, ", steps=%" PRIu64 ", of which %" PRIu64 " from the cache", st->steps,
		    st->steps_kept);
	buf_add_u8(b, ',');
	node_begin(b, t->done_ns - t->made_ns, m);
	buf_clear(m);
	buf_add_str(b, ",\"children\":[");
	for (const struct ql_trace_piece *p = t->ql.pieces; p; p = p->next) {
		if (!has_run(p))
			continue;
		if (!first)
			buf_add_u8(b, ',');
		first = false;
		piece_put(b, p, m);
	}
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

void tracing_put(struct tracing *t, const struct tracing_told *about, const struct ql *ql)
{
	const struct ql_stats *st = ql_stats(ql);
	const struct ql_value *v = ql_result(ql);
	struct buf *b = &t->json, m;
	buf_init(&m);
	buf_add_str(b, ",\"trace\":");
	about_put(&m, about);
	buf_printf(&m, ": series=%zu", v->series_count);
	node_begin(b, t->done_ns - t->came_ns, &m);
	buf_clear(&m);
	buf_add_str(b, ",\"children\":[");
	buf_add_str(&m, "admission: waited for a place");
	leaf(b, true, t->granted_ns - t->came_ns, &m);
	buf_add_str(&m, "parsed and planned");
	leaf(b, false, t->made_ns - t->granted_ns, &m);
	eval_put(b, t, st, &m);
	buf_add_str(&m, "result: sorted");
	leaf(b, false, seconds_ns(st->sort_s), &m);
	buf_add_str(b, "]}");
	buf_release(&m);
}

/* --- explain --- */

static void plan_put(struct buf *b, const struct ql_trace_node *n)
{
	buf_add_str(b, "{\"what\":");
	json_str(b, n->what, strlen(n->what));
	buf_add_str(b, ",\"expr\":");
	json_str(b, n->text, strlen(n->text));
	if (n->more) {
		buf_add_str(b, ",\"onShards\":");
		json_str(b, n->more, strlen(n->more));
	}
	buf_printf(b, ",\"steps\":%u", n->steps);
	if (n->first)
		buf_add_str(b, ",\"of\":[");
	for (const struct ql_trace_node *c = n->first; c; c = c->next) {
		plan_put(b, c);
		if (c->next)
			buf_add_u8(b, ',');
	}
	buf_add_str(b, n->first ? "]}" : "}");
}

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t v;
	return __builtin_mul_overflow(a, b, &v) ? UINT64_MAX : v;
}

static void selector_put(struct buf *b, const struct ql_trace_piece *p, uint64_t series)
{
	buf_add_str(b, "{\"selector\":");
	json_str(b, p->selector, strlen(p->selector));
	buf_add_str(b, ",\"start\":\"");
	time_put(b, p->t_min_ms);
	buf_add_str(b, "\",\"end\":\"");
	time_put(b, p->t_max_ms);
	buf_printf(b, "\",\"steps\":%u,\"seriesAtMost\":%" PRIu64 ",\"valuesAtMost\":%" PRIu64 "}",
	    p->steps, series, times(series, p->steps));
}

void tracing_explain(struct tracing *t, const struct tracing_told *about, struct buf *out)
{
	uint64_t series = 0, values = 0;
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
		uint64_t n = t->estimate.asks[i].series, v = times(n, p->steps);
		selector_put(out, p, n);
		series = series + n < n ? UINT64_MAX : series + n;
		values = values + v < v ? UINT64_MAX : values + v;
		if (p->next)
			buf_add_u8(out, ',');
	}
	buf_printf(out, "],\"seriesAtMost\":%" PRIu64 ",\"valuesAtMost\":%" PRIu64 ",\"heavy\":%s}",
	    series, values, values > TICKET_SMALL_SAMPLES ? "true" : "false");
}
