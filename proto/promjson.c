#include "proto/promjson.h"

#include "core/base/json.h"

#include <inttypes.h>

/*
 * Where an encoder stands; _series and _point count inside.
 *
 *   HEAD > SERIES > SERIES ... > TAIL > DONE         matrix: SERIES_HEAD, POINTS until the series
 *                                                    has no more, next
 * A series with histograms: FLOATS, then HISTS, each a list that is there when it has any; within
 * a histogram HIST.
 */
enum step {
	STEP_HEAD,
	STEP_SERIES,
	STEP_POINTS,
	STEP_FLOATS,
	STEP_HISTS,
	STEP_HIST,
	STEP_TAIL,
	STEP_USED_AT, /* statistics of each step */
	STEP_READ_AT,
	STEP_END,
	STEP_DONE
};

#define POINT_BYTES_MAX (2 * NUM_FMT_MAX + 16)
#define POINTS_AT_ONCE  64 /* room is reserved for this many */
STATIC(NUM_FMT_MAX >= 32);

#define ADD(out, text) buf_add(out, text, sizeof(text) - 1)

/* --- points --- */

static inline uint8_t *put(uint8_t *p, char c)
{
	*p = (uint8_t)c;
	return p + 1;
}

/* Four digits. */
static inline uint8_t *put_4(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)('0' + v / 1000);
	p[1] = (uint8_t)('0' + v / 100 % 10);
	p[2] = (uint8_t)('0' + v / 10 % 10);
	p[3] = (uint8_t)('0' + v % 10);
	return p + 4;
}

/* As num_fmt_ts. A prefix of no digits is never kept, so leading zeros cannot come. */
static inline uint8_t *put_ts(struct promjson *e, uint8_t *p, int64_t t_ms)
{
	uint64_t s = (uint64_t)t_ms / 1000, prefix = s / 10000;
	if (UNLIKELY(t_ms < 0 || prefix == 0))
		return p + num_fmt_ts(t_ms, (char *)p);
	if (UNLIKELY(prefix != e->_prefix || !e->_prefix_len)) {
		e->_prefix = prefix;
		e->_prefix_len = (unsigned)num_fmt_u64(prefix, e->_prefix_text);
	}
	/* there is room, see POINT_BYTES_MAX */
	memcpy(p, e->_prefix_text, sizeof(e->_prefix_text));
	p = put_4(p + e->_prefix_len, (unsigned)(s % 10000));
	unsigned fraction = (unsigned)((uint64_t)t_ms % 1000);
	if (fraction) {
		p = put_4(p, fraction);
		p[-4] = '.';
	}
	return p;
}

/* The value before, in the same stretch of the answer: many series hardly move. */
struct said {
	uint64_t bits;
	const uint8_t *text; /* NULL: there is none */
	size_t len;
};
#define SAID_MAX 16u /* longer ones are printed again */

static inline uint8_t *put_value(struct said *said, uint8_t *p, double v)
{
	uint64_t bits = num_bits(v);
	if (said->text && said->bits == bits) {
		uint8_t text[SAID_MAX];
		memcpy(text, said->text, SAID_MAX); /* there is room, as for a time */
		memcpy(p, text, SAID_MAX);
		return p + said->len;
	}
	size_t n = num_fmt_json(v, (char *)p);
	*said = (struct said){ bits, n <= SAID_MAX ? p : NULL, n };
	return p + n;
}

/* [ts,"v"] */
static inline uint8_t *put_point(
    struct promjson *e, struct said *said, uint8_t *p, int64_t t_ms, double v)
{
	p = put(p, '[');
	p = put_ts(e, p, t_ms);
	p = put(p, ',');
	p = put(p, '"');
	p = put_value(said, p, v);
	p = put(p, '"');
	return put(p, ']');
}

/*
 * Points of the series from _point on, until the piece is full; true when the series is finished.
 */
static bool points(struct promjson *e, const struct ql_series *s, struct buf *out, size_t full)
{
	while (e->_point < s->count) {
		if (out->len >= full || !buf_reserve(out, POINTS_AT_ONCE * POINT_BYTES_MAX))
			return false;
		size_t stop =
		    s->count - e->_point < POINTS_AT_ONCE ? s->count : e->_point + POINTS_AT_ONCE;
		uint8_t *p = out->data + out->len;
		struct said said = { 0 };
		for (size_t i = e->_point; i < stop; i++) {
			if (i)
				p = put(p, ',');
			p = put_point(e, &said, p, s->t_ms[i], s->v[i]);
		}
		out->len = (size_t)(p - out->data);
		e->_point = stop;
	}
	return true;
}

static void one_point(struct promjson *e, struct buf *out, int64_t t_ms, double v)
{
	if (!buf_reserve(out, POINT_BYTES_MAX))
		return;
	struct said said = { 0 };
	out->len = (size_t)(put_point(e, &said, out->data + out->len, t_ms, v) - out->data);
}

static void time_of(struct promjson *e, struct buf *out, int64_t t_ms)
{
	if (buf_reserve(out, POINT_BYTES_MAX))
		out->len = (size_t)(put_ts(e, out->data + out->len, t_ms) - out->data);
}

/* The next of a list that begins with its first. */
static void list_item(struct promjson *e, struct buf *out, const char *begin)
{
	if (e->_any)
		ADD(out, ",");
	else
		buf_add_str(out, begin);
	e->_any = true;
}

static void list_end(struct promjson *e, struct buf *out, enum step next)
{
	if (e->_any)
		ADD(out, "]");
	e->_any = false;
	e->_point = 0;
	e->_step = (int)next;
}

static void mixed_floats(struct promjson *e, const struct ql_series *s, struct buf *out, size_t full)
{
	for (; e->_point < s->count; e->_point++) {
		if (s->h[e->_point])
			continue;
		if (out->len >= full || out->over)
			return;
		list_item(e, out, ",\"values\":[");
		one_point(e, out, s->t_ms[e->_point], s->v[e->_point]);
	}
	list_end(e, out, STEP_HISTS);
}

/* A time and the histogram's begin; or all is written, and the series with it. */
static void mixed_hists(struct promjson *e, const struct ql_series *s, struct buf *out)
{
	while (e->_point < s->count && !s->h[e->_point])
		e->_point++;
	if (e->_point == s->count) {
		list_end(e, out, STEP_SERIES);
		ADD(out, "}");
		e->_series++;
		return;
	}
	list_item(e, out, ",\"histograms\":[");
	ADD(out, "[");
	time_of(e, out, s->t_ms[e->_point]);
	ADD(out, ",");
	promjson_hist(&e->_hist, s->h[e->_point]);
	e->_step = STEP_HIST;
}

static void in_hist(struct promjson *e, struct buf *out, size_t full)
{
	if (!promjson_hist_next(&e->_hist, out, full))
		return;
	ADD(out, "]");
	if (e->_a->value->type == QL_VECTOR) {
		ADD(out, "}");
		e->_series++;
		e->_step = STEP_SERIES;
		return;
	}
	e->_point++;
	e->_step = STEP_HISTS;
}

/*
 * Scalars and strings print their time as an ordinary float of seconds and scalars never use an
 * exponent ("HTTP API" of the Prometheus documentation).
 */
static void plain_time(struct buf *out, int64_t t_ms)
{
	if (!buf_reserve(out, NUM_FMT_MAX))
		return;
	out->len += num_fmt_f((double)t_ms / 1000, (char *)out->data + out->len);
}

static void scalar(struct buf *out, const struct ql_value *v)
{
	ADD(out, "[");
	plain_time(out, v->t_ms);
	ADD(out, ",\"");
	if (buf_reserve(out, NUM_FMT_MAX))
		out->len += num_fmt_f(v->series[0].v[0], (char *)out->data + out->len);
	ADD(out, "\"]");
}

static void string(struct buf *out, const struct ql_value *v)
{
	ADD(out, "[");
	plain_time(out, v->t_ms);
	ADD(out, ",");
	json_str(out, v->string, v->string_len);
	ADD(out, "]");
}

/* --- the story of a query's answer --- */

static void head(struct promjson *e, struct buf *out)
{
	const struct ql_value *v = e->_a->value;
	promjson_begin(out);
	switch (v->type) {
	case QL_SCALAR:
		ADD(out, "{\"resultType\":\"scalar\",\"result\":");
		scalar(out, v);
		e->_step = STEP_TAIL;
		return;
	case QL_STRING:
		ADD(out, "{\"resultType\":\"string\",\"result\":");
		string(out, v);
		e->_step = STEP_TAIL;
		return;
	case QL_VECTOR:
		ADD(out, "{\"resultType\":\"vector\",\"result\":[");
		break;
	case QL_NONE:
	case QL_MATRIX:
		ADD(out, "{\"resultType\":\"matrix\",\"result\":[");
		break;
	}
	e->_step = STEP_SERIES;
}

static void series_head(struct promjson *e, const struct ql_series *s, struct buf *out)
{
	if (e->_series)
		ADD(out, ",");
	ADD(out, "{\"metric\":");
	promjson_labels(out, s->labels);
	e->_point = 0;
}

/* [ts,{...}] of a vector, the braces to come. */
static void vector_hist(struct promjson *e, const struct ql_series *s, struct buf *out)
{
	ADD(out, ",\"histogram\":[");
	time_of(e, out, s->t_ms[0]);
	ADD(out, ",");
	promjson_hist(&e->_hist, s->h[0]);
	e->_step = STEP_HIST;
}

/* One more series, whole or begun. */
static void series(struct promjson *e, struct buf *out, size_t full)
{
	const struct ql_value *v = e->_a->value;
	if (e->_series == v->series_count) {
		ADD(out, "]");
		e->_step = STEP_TAIL;
		return;
	}
	const struct ql_series *s = &v->series[e->_series];
	if (v->type == QL_VECTOR) {
		series_head(e, s, out);
		if (UNLIKELY(s->h && s->h[0])) {
			vector_hist(e, s, out);
			return;
		}
		ADD(out, ",\"value\":");
		one_point(e, out, s->t_ms[0], s->v[0]);
		ADD(out, "}");
		e->_series++;
		return;
	}
	if (e->_step == STEP_SERIES) {
		series_head(e, s, out);
		if (UNLIKELY(s->h != NULL)) {
			e->_any = false;
			e->_step = STEP_FLOATS;
			return;
		}
		ADD(out, ",\"values\":[");
		e->_step = STEP_POINTS;
	}
	if (!points(e, s, out, full))
		return;
	ADD(out, "]}");
	e->_series++;
	e->_step = STEP_SERIES;
}

static void put_seconds(struct buf *out, const char *name, double s)
{
	buf_add_str(out, name);
	if (buf_reserve(out, NUM_FMT_MAX))
		out->len += num_fmt_json(s, (char *)out->data + out->len);
}

static void timings(struct buf *out, const struct ql_stats *st)
{
	put_seconds(out,
	    ",\"stats\":{\"timings\":{\"evalTotalTime\":", st->prepare_s + st->eval_s + st->sort_s);
	put_seconds(out, ",\"resultSortTime\":", st->sort_s);
	put_seconds(out, ",\"queryPreparationTime\":", st->prepare_s);
	put_seconds(out, ",\"innerEvalTime\":", st->eval_s);
	put_seconds(out, ",\"execQueueTime\":", st->queue_s);
	put_seconds(out, ",\"execTotalTime\":", st->total_s);
	ADD(out, "}");
}

/* One number of each step. True when all are there. */
static bool steps(struct promjson *e, struct buf *out, const uint64_t *of, size_t full)
{
	const struct ql_stats *st = e->_a->stats;
	for (; e->_point < st->per_step; e->_point++) {
		if (out->len >= full)
			return false;
		if (e->_point)
			ADD(out, ",");
		ADD(out, "[");
		time_of(e, out, num_sat_add(st->start_ms, (int64_t)e->_point * st->step_ms));
		buf_printf(out, ",%" PRIu64 "]", of[e->_point]);
	}
	e->_point = 0;
	return true;
}

/* "samples" as far as it fits; each list before its sum. */
static void samples(struct promjson *e, struct buf *out, size_t full)
{
	const struct ql_stats *st = e->_a->stats;
	if (e->_step == STEP_TAIL) {
		timings(out, st);
		ADD(out, ",\"samples\":{");
		if (st->per_step)
			ADD(out, "\"totalQueryableSamplesPerStep\":[");
		e->_point = 0;
		e->_step = STEP_USED_AT;
	}
	if (e->_step == STEP_USED_AT) {
		if (!steps(e, out, st->used_at, full))
			return;
		buf_printf(out, "%s\"totalQueryableSamples\":%" PRIu64, st->per_step ? "]," : "",
		    st->samples_total);
		if (st->per_step)
			ADD(out, ",\"samplesReadPerStep\":[");
		e->_step = STEP_READ_AT;
	}
	if (!steps(e, out, st->read_at, full))
		return;
	buf_printf(out, "%s,\"samplesRead\":%" PRIu64 ",\"peakSamples\":%" PRIu64 "}}",
	    st->per_step ? "]" : "", st->samples_read, st->samples_peak);
	e->_step = STEP_END;
}

static void tail(struct promjson *e, struct buf *out)
{
	ADD(out, "}");
	if (e->_a->make_more)
		e->_a->make_more(e->_a->make_more_arg);
	if (e->_a->more)
		buf_add(out, e->_a->more->data, e->_a->more->len);
	promjson_end(out, &e->_a->warnings, &e->_a->infos);
	e->_step = STEP_DONE;
}

void promjson_query(struct promjson *e, const struct promjson_answer *a)
{
	*e = (struct promjson){ ._a = a, ._step = STEP_HEAD };
}

bool promjson_next(struct promjson *e, struct buf *out, size_t at_least)
{
	const size_t full = out->len + at_least;
	do {
		switch ((enum step)e->_step) {
		case STEP_HEAD:
			head(e, out);
			break;
		case STEP_SERIES:
		case STEP_POINTS:
			series(e, out, full);
			break;
		case STEP_FLOATS:
			mixed_floats(e, &e->_a->value->series[e->_series], out, full);
			break;
		case STEP_HISTS:
			mixed_hists(e, &e->_a->value->series[e->_series], out);
			break;
		case STEP_HIST:
			in_hist(e, out, full);
			break;
		case STEP_TAIL:
		case STEP_USED_AT:
		case STEP_READ_AT:
			if (e->_a->stats)
				samples(e, out, full);
			else
				e->_step = STEP_END;
			break;
		case STEP_END:
			tail(e, out);
			return true;
		case STEP_DONE:
			return true;
		}
	} while (out->len < full && !out->over);
	return false;
}

/* --- pieces for all answers --- */

void promjson_begin(struct buf *out)
{
	ADD(out, "{\"status\":\"success\",\"data\":");
}

static void note(struct buf *out, size_t *count, const char *text)
{
	if ((*count)++)
		ADD(out, ",");
	json_str(out, text, strlen(text));
}

static void notes(struct buf *out, const char *key, const char *kind, const struct promjson_notes *n)
{
	size_t extra = 0, shown = 0;
	if (!n)
		return;
	while (extra < COUNT_OF(n->extra) && n->extra[extra])
		extra++;
	size_t all = extra + n->count;
	if (!all)
		return;
	buf_printf(out, ",\"%s\":[", key);
	for (size_t i = 0; i < all && shown < PROMJSON_NOTES_MAX; i++)
		note(out, &shown, i < extra ? n->extra[i] : n->items[i - extra].text);
	if (all > shown)
		buf_printf(out, ",\"%zu more %s annotations omitted\"", all - shown, kind);
	ADD(out, "]");
}

void promjson_end(
    struct buf *out, const struct promjson_notes *warnings, const struct promjson_notes *infos)
{
	notes(out, "warnings", "warning", warnings);
	notes(out, "infos", "info", infos);
	ADD(out, "}");
}

void promjson_error(struct buf *out, const char *type, const char *text, size_t len)
{
	ADD(out, "{\"status\":\"error\",\"errorType\":");
	json_str(out, type, strlen(type));
	ADD(out, ",\"error\":");
	json_str(out, text, len);
	ADD(out, "}");
}

void promjson_labels(struct buf *out, struct labels ls)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	bool first = true;
	ADD(out, "{");
	while (label_next(&it, &l)) {
		if (!first)
			ADD(out, ",");
		first = false;
		json_str_raw(out, l.name, l.name_len);
		ADD(out, ":");
		json_str_raw(out, l.value, l.value_len);
	}
	ADD(out, "}");
}

void promjson_item_labels(struct buf *out, bool first, struct labels ls)
{
	if (!first)
		ADD(out, ",");
	promjson_labels(out, ls);
}

void promjson_item_string(struct buf *out, bool first, const char *s, size_t len)
{
	if (!first)
		ADD(out, ",");
	json_str(out, s, len);
}

const char *promjson_meta_type(uint8_t type)
{
	static const char *const words[] = { "unknown", "counter", "gauge", "histogram",
		"gaugehistogram", "summary", "info", "stateset" };
	return type < COUNT_OF(words) ? words[type] : words[0];
}

void promjson_meta(struct buf *out, const char *type, const char *help, size_t help_len,
    const char *unit, size_t unit_len)
{
	ADD(out, "{\"type\":");
	json_str(out, type, strlen(type));
	ADD(out, ",\"help\":");
	json_str(out, help, help_len);
	ADD(out, ",\"unit\":");
	json_str(out, unit, unit_len);
	ADD(out, "}");
}

/* {"labels":{...},"value":"6","timestamp":1600096945.479} */
static void one_exemplar(struct buf *out, const struct exemplar *e)
{
	ADD(out, "{\"labels\":");
	promjson_labels(out, e->labels);
	ADD(out, ",\"value\":\"");
	if (buf_reserve(out, POINT_BYTES_MAX))
		out->len += num_fmt_json(e->v, (char *)out->data + out->len);
	ADD(out, "\",\"timestamp\":");
	if (buf_reserve(out, POINT_BYTES_MAX))
		out->len += num_fmt_ts(e->t_ms, (char *)out->data + out->len);
	ADD(out, "}");
}

void promjson_exemplars(struct buf *out, bool first, struct labels series, struct wire_reader *list)
{
	struct exemplar e;
	bool any = false;
	if (!first)
		ADD(out, ",");
	ADD(out, "{\"seriesLabels\":");
	promjson_labels(out, series);
	ADD(out, ",\"exemplars\":[");
	for (; exemplar_get(list, &e); any = true) {
		if (any)
			ADD(out, ",");
		one_exemplar(out, &e);
	}
	ADD(out, "]}");
}
