#include "proto/otlp.h"

#include "proto/otlp_priv.h"

/*
 *   ExportMetricsServiceRequest  1 ResourceMetrics*
 *   ResourceMetrics   1 Resource{1 KeyValue attributes*}  2 ScopeMetrics*
 *   ScopeMetrics      1 InstrumentationScope{1 name  2 version  3 KeyValue attributes*}  2 Metric*
 *                     3 schema_url
 *   Metric            1 name  2 description  3 unit, and one of
 *                     5 Gauge  7 Sum  9 Histogram  10 ExponentialHistogram  11 Summary
 *   each of these     1 points*  2 temporality (1 delta, 2 cumulative)  3 is_monotonic (of Sum)
 *
 * What a message says of itself may stand behind what it holds: each is looked over once, its parts
 * by their lengths alone, before these are walked.
 */
enum {
	DELTA = 1,
	CUMULATIVE = 2
};
const char otlp_malformed_word[] = "malformed";

enum err otlp_malformed(struct otlp *o, const uint8_t *at, const char *what)
{
	return errbuf_set(o->eb, ERR_MALFORMED, "%s at byte %zu", what, (size_t)(at - o->body));
}

/* ---- a metric ---- */

static enum otlp_kind kind_of(uint64_t number)
{
	switch (number) {
	case 5:
		return OTLP_GAUGE;
	case 7:
		return OTLP_SUM;
	case 9:
		return OTLP_HISTOGRAM;
	case 10:
		return OTLP_EXPONENTIAL;
	case 11:
		return OTLP_SUMMARY;
	default:
		return OTLP_NOTHING;
	}
}

static enum err metric_read(struct otlp *o, const uint8_t *p, const uint8_t *end)
{
	struct otlp_metric *m = &o->metric;
	*m = (struct otlp_metric){ .name = { "", 0 }, .unit = { "", 0 }, .help = { "", 0 } };
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return otlp_malformed(o, f.start, "broken field of a metric");
		enum otlp_kind kind = kind_of(f.number);
		if (f.number > 3 && !kind)
			continue;
		if (f.wire != PBSCAN_BYTES)
			return otlp_malformed(o, f.start, "wrong wire type in a metric");
		if (kind) {
			m->kind = kind;
			m->data = f.data;
			m->end = f.data + f.len;
			continue;
		}
		struct otlp_text t = { (const char *)f.data, (uint32_t)f.len };
		if (f.number == 1)
			m->name = t;
		else if (f.number == 2)
			m->help = t;
		else if (f.number == 3)
			m->unit = t;
	}
	return ERR_OK;
}

/* What stands beside the points. */
static enum err data_read(struct otlp *o, uint64_t *temporality, uint64_t *points)
{
	struct otlp_metric *m = &o->metric;
	bool has = m->kind != OTLP_GAUGE && m->kind != OTLP_SUMMARY, sum = m->kind == OTLP_SUM;
	*temporality = has ? 0 : CUMULATIVE;
	*points = 0;
	for (const uint8_t *p = m->data; p < m->end;) {
		struct pbscan_field f;
		if (!pbscan_next(&p, m->end, &f))
			return otlp_malformed(o, f.start, "broken field of a metric's data");
		if (f.number < 1 || f.number > 3 || (f.number == 2 && !has) ||
		    (f.number == 3 && !sum))
			continue;
		if (f.wire != (f.number == 1 ? PBSCAN_BYTES : PBSCAN_VARINT))
			return otlp_malformed(o, f.start, "wrong wire type in a metric's data");
		if (f.number == 1)
			++*points;
		else if (f.number == 2)
			*temporality = (uint32_t)f.value;
		else
			m->kind = f.value ? OTLP_COUNTER : OTLP_SUM;
	}
	return ERR_OK;
}

static const char *refusal(struct otlp *o, const char *what)
{
	const struct otlp_metric *m = &o->metric;
	return arena_printf(
	    &o->metric_arena, "metric %s: %s", otlp_quoted(o, m->name.s, m->name.len), what);
}

/* Why none of the metric's points can be taken; NULL: nothing is against it. */
static const char *metric_refused(struct otlp *o, uint64_t temporality)
{
	struct otlp_metric *m = &o->metric;
	if (o->resource_refused)
		return o->resource_refused;
	if (o->scope_refused)
		return o->scope_refused;
	m->delta = temporality == DELTA;
	if (m->delta && !o->o->delta)
		return refusal(o, "it is of delta temporality, cumulative ones are taken");
	if (!m->delta && temporality != CUMULATIVE)
		return refusal(o, "its aggregation temporality is not told");
	if (m->name.len > o->limits->write_value_bytes || m->unit.len > o->limits->write_value_bytes)
		return refusal(o,
		    "its name or unit is longer than a label's value may be (--limits.label-value-bytes)");
	if (!otlp_metric_name(&o->metric_arena, o->o->strategy, m->name, m->unit, m->kind, &m->prom))
		return refusal(o, m->name.len ? "nothing is left of its name" : "it has no name");
	return NULL;
}

static const uint8_t meta_types[] = {
	[OTLP_NOTHING] = 0,
	[OTLP_GAUGE] = 2,
	[OTLP_SUM] = 2,
	[OTLP_COUNTER] = 1,
	[OTLP_HISTOGRAM] = 3,
	[OTLP_EXPONENTIAL] = 3,
	[OTLP_SUMMARY] = 5,
};

static enum err metric_begin(struct otlp *o, const uint8_t *p, const uint8_t *end)
{
	struct otlp_metric *m = &o->metric;
	uint64_t temporality = 0, points = 0;
	arena_reset(&o->metric_arena, SIZE_MAX);
	arena_reset(&o->point, SIZE_MAX);
	enum err e = metric_read(o, p, end);
	e = e || !m->data ? e : data_read(o, &temporality, &points);
	if (e || !m->data || !points)
		return e;
	o->point_p = m->data;
	o->point_end = m->end;
	m->refused = metric_refused(o, temporality);
	if (m->refused)
		return ERR_OK;
	otlp_metric_begin(o);
	otlp_meta(o, m->prom, m->help, otlp_unit_name(&o->metric_arena, m->unit, true),
	    m->delta && o->o->delta && o->o->delta->raw ? 0 : meta_types[m->kind]);
	return ERR_OK;
}

/* ---- what holds them ---- */

static enum err next_metric(struct otlp *o)
{
	struct pbscan_field f;
	if (!pbscan_next(&o->scope_p, o->scope_end, &f))
		return otlp_malformed(o, f.start, "broken field of a scope's metrics");
	if (f.number != 2)
		return ERR_OK;
	return metric_begin(o, f.data, f.data + f.len);
}

static enum err next_scope(struct otlp *o)
{
	struct pbscan_field f;
	struct otlp_text url = { "", 0 };
	const uint8_t *scope = o->resource_p;
	size_t scope_len = 0;
	if (!pbscan_next(&o->resource_p, o->resource_end, &f))
		return otlp_malformed(o, f.start, "broken field of a resource's metrics");
	if (f.number != 2)
		return ERR_OK;
	const uint8_t *const start = f.data, *const end = f.data + f.len;
	for (const uint8_t *p = start; p < end;) {
		if (!pbscan_next(&p, end, &f))
			return otlp_malformed(o, f.start, "broken field of a scope's metrics");
		if (f.number < 1 || f.number > 3)
			continue;
		if (f.wire != PBSCAN_BYTES)
			return otlp_malformed(o, f.start, "wrong wire type in a scope's metrics");
		if (f.number == 1) {
			scope = f.data;
			scope_len = f.len;
		} else if (f.number == 3) {
			url = (struct otlp_text){ (const char *)f.data, (uint32_t)f.len };
		}
	}
	o->scope_p = start;
	o->scope_end = end;
	return otlp_scope_begin(o, scope, scope_len, url);
}

static enum err next_resource(struct otlp *o)
{
	struct pbscan_field f;
	const uint8_t *resource = o->at;
	size_t resource_len = 0;
	if (!pbscan_next(&o->at, o->end, &f))
		return otlp_malformed(o, f.start, "broken field of the request");
	if (f.number != 1)
		return ERR_OK;
	if (f.wire != PBSCAN_BYTES)
		return otlp_malformed(o, f.start, "wrong wire type in the request");
	const uint8_t *const start = f.data, *const end = f.data + f.len;
	for (const uint8_t *p = start; p < end;) {
		if (!pbscan_next(&p, end, &f))
			return otlp_malformed(o, f.start, "broken field of a resource's metrics");
		if (f.number < 1 || f.number > 3)
			continue;
		if (f.wire != PBSCAN_BYTES)
			return otlp_malformed(o, f.start, "wrong wire type in a resource's metrics");
		if (f.number == 1) {
			resource = f.data;
			resource_len = f.len;
		}
	}
	o->resource_p = start;
	o->resource_end = end;
	o->resource_open = true;
	return otlp_resource_begin(o, resource, resource_len);
}

/* Points as long as there is room. */
static enum err next_points(struct otlp *o, const uint8_t *turn_end)
{
	const struct batch *b = o->d->batch;
	do {
		struct pbscan_field f;
		if (!pbscan_next(&o->point_p, o->point_end, &f))
			return otlp_malformed(o, f.start, "broken field of a metric's data");
		if (f.number != 1)
			continue;
		enum err e = otlp_point(o, f.data, f.data + f.len);
		if (e)
			return e;
	} while (o->point_p < o->point_end && o->point_p < turn_end &&
	    b->rows_count < DECODE_ROWS && o->made < DECODE_TURN);
	return ERR_OK;
}

/* ---- the decoder ---- */

static struct otlp *begin(struct decode *d, const uint8_t *p, const uint8_t *end)
{
	static const struct otlp_opts usual = { 0 };
	struct otlp *o = arena_zalloc(d->keep, sizeof *o);
	o->d = d;
	o->o = d->opts ? d->opts : &usual;
	o->limits = d->limits ? d->limits : limits_here();
	o->body = o->at = p;
	o->end = end;
	o->names = arena_zalloc(d->keep, OTLP_NAMES_MAX * sizeof *o->names);
	arena_init(&o->resource, 1024);
	arena_init(&o->scope, 1024);
	arena_init(&o->metric_arena, 2048);
	arena_init(&o->form_arena, 2048);
	arena_init(&o->bounds_arena, 1024);
	arena_init(&o->point, 4096);
	d->own = o;
	return o;
}

static void end_all(struct decode *d)
{
	struct otlp *o = d->own;
	if (!o)
		return;
	arena_release(&o->resource);
	arena_release(&o->scope);
	arena_release(&o->metric_arena);
	arena_release(&o->form_arena);
	arena_release(&o->bounds_arena);
	arena_release(&o->point);
	d->own = NULL;
}

/* The next thing that is open. *over: there is none. */
static enum err step(struct otlp *o, const uint8_t *turn_end, bool *over)
{
	if (o->point_p < o->point_end)
		return next_points(o, turn_end);
	if (o->scope_p < o->scope_end)
		return next_metric(o);
	if (o->resource_p < o->resource_end)
		return next_scope(o);
	if (o->resource_open) {
		o->resource_open = false;
		return otlp_info(o);
	}
	if (o->at < o->end)
		return next_resource(o);
	*over = true;
	return ERR_OK;
}

/* Where the innermost of what is open has come to. */
static const uint8_t *place(const struct otlp *o)
{
	return o->point_p < o->point_end      ? o->point_p
	    : o->scope_p < o->scope_end       ? o->scope_p
	    : o->resource_p < o->resource_end ? o->resource_p
	                                      : o->at;
}

static enum err next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	struct otlp *o = d->own ? d->own : begin(d, *p, end);
	const uint8_t *const from = *p,
	                     *const turn_end =
	                         (size_t)(end - from) > DECODE_TURN ? from + DECODE_TURN : end;
	bool over = false;
	(void)last; /* it is the whole body */
	o->eb = eb;
	o->out = o->out_end = NULL;
	o->made = 0;
	while (!over && d->batch->rows_count < DECODE_ROWS && o->made < DECODE_TURN &&
	    place(o) <= turn_end) {
		enum err e = step(o, turn_end, &over);
		if (e)
			return e;
		if (UNLIKELY(o->rows > o->limits->write_samples)) {
			char limit[LIMITS_TEXT_MAX];
			return errbuf_set(eb, ERR_TOOBIG, "too many samples in one request, %s",
			    limits_text(o->limits, LIMITS_write_samples, limit));
		}
	}
	/* while something is open not all is read, whatever its last bytes are */
	const uint8_t *at = place(o);
	*p = over ? end : at < end ? at : end - 1;
	return ERR_OK;
}

const struct decoder otlp_decoder = { .record = "data point", .next = next, .end = end_all };
