/* Series in JSON: {"series": [{...}, ...]}, one after the other, in place. */
#include "proto/datadog_priv.h"

#include "core/base/jsonin.h"

#include <math.h>
#include <string.h>

enum form {
	FORM_1,     /* points are [time, value] */
	FORM_2,     /* points are {"timestamp": time, "value": value} */
	FORM_VALUES /* points are [time, [value, ...]] */
};
enum stage {
	STAGE_BEGIN,
	STAGE_SERIES, /* in its array, before an element */
	STAGE_END
};
struct json {
	struct jsonin in; /* of the body; p is set at each call */
	bool first;
};

/* ---- one series ---- */

static bool pair(struct datadog *x, struct jsonin *j)
{
	bool first = true;
	double v[2];
	size_t n = 0;
	if (!jsonin_enter(j, '['))
		return false;
	while (jsonin_element(j, &first)) {
		if (n == 2 || !jsonin_number(j, &v[n++]))
			return datadog_wrong(x, "a point should be [time, value]");
	}
	if (n != 2)
		return datadog_wrong(x, "a point should be [time, value]");
	datadog_point(x, datadog_ms(x, v[0]), v[1]);
	return true;
}

static bool stamped(struct datadog *x, struct jsonin *j)
{
	struct jsonin_text key;
	bool first = true, any = false;
	double t = 0, v = 0;
	if (!jsonin_enter(j, '{'))
		return false;
	while (jsonin_member(j, &first, &key)) {
		if (jsonin_is(&key, "timestamp"))
			(void)(jsonin_null(j) || jsonin_number(j, &t));
		else if (jsonin_is(&key, "value"))
			any = jsonin_number(j, &v);
		else
			(void)jsonin_skip(j);
	}
	if (!any)
		return datadog_wrong(x, "a point should have a timestamp and a value");
	datadog_point(x, datadog_ms(x, t), v);
	return true;
}

static void values_of(struct datadog *x, struct jsonin *j, double t)
{
	bool first = true;
	double v;
	if (!jsonin_enter(j, '['))
		return;
	while (!x->why[0] && jsonin_element(j, &first))
		if (jsonin_number(j, &v))
			datadog_value(x, v);
	if (!j->wrong)
		datadog_sample(x, datadog_ms(x, t));
}

static bool sampled(struct datadog *x, struct jsonin *j)
{
	bool first = true;
	double t = 0;
	if (!jsonin_enter(j, '['))
		return false;
	if (jsonin_element(j, &first) && jsonin_number(j, &t) && jsonin_element(j, &first))
		values_of(x, j, t);
	if (jsonin_element(j, &first) || j->wrong)
		return datadog_wrong(x, "a point should be [time, [value, ...]]");
	return true;
}

static void points(struct datadog *x, struct jsonin *j, enum form form)
{
	bool first = true;
	if (!jsonin_enter(j, '['))
		return;
	while (!x->why[0] && jsonin_element(j, &first))
		(void)(form == FORM_1    ? pair(x, j)
		        : form == FORM_2 ? stamped(x, j)
		                         : sampled(x, j));
}

static void text_label(struct datadog *x, struct jsonin *j, const char *name)
{
	struct jsonin_text t;
	if (!jsonin_null(j) && jsonin_string(j, &t))
		datadog_label(x, name, strlen(name), t.s, t.len);
}

static void tags(struct datadog *x, struct jsonin *j)
{
	struct jsonin_text t;
	bool first = true;
	if (jsonin_null(j) || !jsonin_enter(j, '['))
		return;
	while (jsonin_element(j, &first) && jsonin_string(j, &t))
		datadog_tag(x, t.s, t.len);
}

static void resource(struct datadog *x, struct jsonin *j)
{
	struct jsonin_text key, type = { 0 }, name = { 0 };
	bool first = true;
	if (!jsonin_enter(j, '{'))
		return;
	while (jsonin_member(j, &first, &key))
		(void)(jsonin_is(&key, "type")    ? jsonin_string(j, &type)
		        : jsonin_is(&key, "name") ? jsonin_string(j, &name)
		                                  : jsonin_skip(j));
	datadog_label(x, type.s, type.len, name.s, name.len);
}

static void resources(struct datadog *x, struct jsonin *j)
{
	bool first = true;
	if (jsonin_null(j) || !jsonin_enter(j, '['))
		return;
	while (jsonin_element(j, &first))
		resource(x, j);
}

static void member(struct datadog *x, struct jsonin *j, const struct jsonin_text *key, enum form form)
{
	struct jsonin_text t;
	if (jsonin_is(key, "metric")) {
		if (jsonin_string(j, &t))
			datadog_metric(x, t.s, t.len);
	} else if (jsonin_is(key, "points")) {
		points(x, j, form);
	} else if (jsonin_is(key, "tags")) {
		tags(x, j);
	} else if (jsonin_is(key, "resources")) {
		resources(x, j);
	} else if (jsonin_is(key, "host")) {
		text_label(x, j, "host");
	} else if (jsonin_is(key, "device")) {
		text_label(x, j, "device");
	} else if (jsonin_is(key, "source_type_name")) {
		text_label(x, j, "source_type_name");
	} else {
		(void)jsonin_skip(j);
	}
}

/* An element, from p to end; whatever is wrong in it, the next one begins behind it. */
static void record(struct datadog *x, const uint8_t *p, const uint8_t *end, enum form form)
{
	struct jsonin j = { .p = p, .end = end, .arena = &x->scratch };
	struct jsonin_text key;
	bool first = true;
	datadog_begin(x);
	if (jsonin_enter(&j, '{'))
		while (!x->why[0] && jsonin_member(&j, &first, &key))
			member(x, &j, &key, form);
	if (j.wrong)
		(void)datadog_wrong(x, "%s", j.wrong);
	datadog_end(x);
}

/* ---- the body ---- */

/* Up to the first element of "series". */
static void find_series(struct datadog *x, struct jsonin *j)
{
	struct json *m = x->more;
	struct jsonin_text key;
	bool first = true;
	if (!jsonin_enter(j, '{'))
		return;
	while (jsonin_member(j, &first, &key)) {
		if (jsonin_is(&key, "series") && jsonin_enter(j, '[')) {
			m->first = true;
			x->stage = STAGE_SERIES;
			return;
		}
		if (!jsonin_skip(j))
			return;
	}
	if (!j->wrong)
		j->wrong = "\"series\" is missing";
}

/* Members behind "series", and the end. */
static void behind_series(struct datadog *x, struct jsonin *j)
{
	struct jsonin_text key;
	bool first = false;
	while (jsonin_member(j, &first, &key) && jsonin_skip(j))
		;
	if (!j->wrong && (jsonin_peek(j) || j->p < j->end))
		j->wrong = "something stands behind the object";
	x->stage = STAGE_END;
}

static enum err next(
    struct decode *d, const uint8_t **p, const uint8_t *end, struct errbuf *eb, enum form form)
{
	struct datadog *x = datadog_of(d);
	const uint8_t *from = *p;
	if (!x->more)
		x->more = arena_zalloc(d->keep, sizeof(struct json));
	struct json *m = x->more;
	struct jsonin j = { .p = *p, .end = end, .arena = &x->scratch };
	if (x->stage == STAGE_BEGIN)
		find_series(x, &j);
	while (x->stage == STAGE_SERIES && !j.wrong && !decode_full(d) &&
	    (size_t)(j.p - from) < DECODE_TURN) {
		if (!jsonin_element(&j, &m->first)) {
			behind_series(x, &j);
			break;
		}
		(void)jsonin_peek(&j);
		const uint8_t *at = j.p;
		if (jsonin_skip(&j))
			record(x, at, j.p, form);
	}
	*p = j.p;
	/* A full batch behind the last byte: nobody would ask for the rest. */
	if (j.p == end && x->stage != STAGE_END && !j.wrong)
		j.wrong = "its end is missing";
	if (j.wrong)
		return errbuf_set(eb, ERR_MALFORMED, "the body is no JSON of series: %s", j.wrong);
	return ERR_OK;
}

static enum err next1(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	(void)last;
	return next(d, p, end, eb, FORM_1);
}

static enum err next2(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	(void)last;
	return next(d, p, end, eb, FORM_2);
}

static enum err next_values(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	(void)last;
	return next(d, p, end, eb, FORM_VALUES);
}

const struct decoder datadog_json1 = { .record = "metric", .next = next1, .end = datadog_free };
const struct decoder datadog_json2 = { .record = "metric", .next = next2, .end = datadog_free };
const struct decoder datadog_values = { .record = "metric", .next = next_values, .end = datadog_free };
