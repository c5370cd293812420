/*
 * ctlsrc_query - /api/v1/query of metric{...}[range]: a matrix.
 *
 *   {"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up"},
 *    "values":[[1435781430.781,"1"],...],"histograms":[...]},...]},"warnings":[...]}
 */
#include <math.h>
#include <string.h>

#include "net/ctl/ctlsrc_priv.h"

static void ask(struct ctlsrc *s)
{
	struct buf q;
	char text[32];
	buf_init(&q);
	ctlsel_text(&q, s->piece.sel);
	/* Left-open as in Prometheus 3; of what is left-closed the one more is left out here. */
	buf_printf(&q, "[%lldms]", (long long)(s->piece.to_ms - s->piece.from_ms + 1));
	ctlhttp_param_len(&s->body, "query", (const char *)q.data, q.len);
	text[num_fmt_ts(s->piece.to_ms, text)] = 0;
	ctlhttp_param(&s->body, "time", text);
	if (s->o.params && *s->o.params)
		buf_printf(&s->body, "&%s", s->o.params);
	buf_release(&q);
	s->call.path = "/api/v1/query";
	s->whole = true;
}

/* Where the list of results begins; the whole answer is looked at, as warnings stand behind it. */
static bool find_result(struct ctlsrc *s, struct jsonin *data)
{
	struct jsonin *j = &s->json;
	struct jsonin_text key, text;
	bool first = true, found = false;
	(void)jsonin_enter(j, '{');
	while (jsonin_member(j, &first, &key)) {
		if (jsonin_is(&key, "data")) {
			*data = *j;
			found = true;
		}
		if (jsonin_is(&key, "warnings") && jsonin_peek(j) == '[' && !s->o.partial) {
			bool first_text = true;
			(void)jsonin_enter(j, '[');
			if (jsonin_element(j, &first_text) && jsonin_string(j, &text)) {
				(void)ctlsrc_bad(s, "the answer is perhaps not whole: %.*s",
				    (int)text.len, text.s);
				return false;
			}
			while (jsonin_element(j, &first_text) && jsonin_skip(j))
				;
			continue;
		}
		(void)jsonin_skip(j);
	}
	if (j->wrong || !found)
		(void)ctlsrc_bad(s, "the answer is no query's: %s", j->wrong ? j->wrong : "no data");
	return !j->wrong && found;
}

static enum ctlsrc_take open_answer(struct ctlsrc *s)
{
	struct jsonin_text key, type;
	bool first = true;
	s->json =
	    (struct jsonin){ .p = s->in.data, .end = s->in.data + s->in.len, .arena = &s->arena };
	struct jsonin data;
	if (!find_result(s, &data))
		return TAKE_BAD;
	s->json = data;
	(void)jsonin_enter(&s->json, '{');
	while (jsonin_member(&s->json, &first, &key)) {
		if (jsonin_is(&key, "result")) {
			s->first = true;
			s->in_result = jsonin_enter(&s->json, '[');
			if (!s->in_result)
				break;
			return TAKE_ITEM;
		}
		if (!jsonin_is(&key, "resultType"))
			(void)jsonin_skip(&s->json);
		else if (jsonin_string(&s->json, &type) && !jsonin_is(&type, "matrix"))
			return ctlsrc_bad(s, "the answer is no matrix");
	}
	return ctlsrc_bad(s, "the answer has no result");
}

/* --- a series --- */

static bool take_metric(struct ctlsrc *s, struct label_builder *b)
{
	struct jsonin_text name, value;
	bool first = true;
	(void)jsonin_enter(&s->json, '{');
	while (jsonin_member(&s->json, &first, &name) && jsonin_string(&s->json, &value))
		label_builder_set(b, name.s, name.len, value.s, value.len);
	return !s->json.wrong;
}

static bool take_value(struct ctlsrc *s)
{
	struct jsonin_text text;
	double t, v;
	bool first = true;
	if (!jsonin_enter(&s->json, '[') || !jsonin_element(&s->json, &first) ||
	    !jsonin_number(&s->json, &t) || !jsonin_element(&s->json, &first) ||
	    !jsonin_string(&s->json, &text) || jsonin_element(&s->json, &first) || s->json.wrong)
		return false;
	if (num_parse_float(text.s, text.len, &v) || !(fabs(t) < 9e15))
		return false;
	if (isnan(v))
		v = num_from_bits(SAMPLE_NAN_BITS);
	int64_t t_ms = llround(t * 1000);
	if (!ctlsrc_ascends(s, t_ms))
		return false;
	ctlsrc_add(s, t_ms, v);
	return true;
}

static bool take_values(struct ctlsrc *s)
{
	bool first = true, fine = true;
	(void)jsonin_enter(&s->json, '[');
	while (fine && jsonin_element(&s->json, &first))
		fine = take_value(s);
	return fine;
}

static bool pass_histograms(struct ctlsrc *s)
{
	bool first = true;
	(void)jsonin_enter(&s->json, '[');
	while (jsonin_element(&s->json, &first) && jsonin_skip(&s->json))
		s->counts.left_histograms++;
	return !s->json.wrong;
}

static enum ctlsrc_take series(struct ctlsrc *s)
{
	struct jsonin_text key;
	struct label_builder b;
	bool first = true, fine = true;
	arena_reset(&s->arena, 1u << 20);
	label_builder_init(&b, &s->arena);
	column_clear(&s->col);
	(void)jsonin_enter(&s->json, '{');
	while (fine && jsonin_member(&s->json, &first, &key)) {
		if (jsonin_is(&key, "metric"))
			fine = take_metric(s, &b);
		else if (jsonin_is(&key, "values"))
			fine = take_values(s);
		else if (jsonin_is(&key, "histograms"))
			fine = pass_histograms(s);
		else
			fine = jsonin_skip(&s->json);
	}
	if (!fine || s->json.wrong)
		return ctlsrc_bad(s, "a series of the answer cannot be read: %s",
		    s->json.wrong ? s->json.wrong : "a sample is none, or before the one before");
	bool named = ctlsrc_labels(s, label_builder_done(&b));
	return named && s->col.count ? TAKE_ITEM : TAKE_MORE;
}

static enum ctlsrc_take take(struct ctlsrc *s, bool ended)
{
	(void)ended;
	if (!s->in.len)
		return TAKE_MORE;
	if (!s->in_result && !s->at) {
		enum ctlsrc_take got = open_answer(s);
		if (got != TAKE_ITEM)
			return got;
		s->at = s->in.len;
	}
	while (s->in_result && jsonin_element(&s->json, &s->first)) {
		enum ctlsrc_take got = series(s);
		if (got != TAKE_MORE)
			return got;
	}
	s->in_result = false;
	return s->json.wrong ? ctlsrc_bad(s, "the answer cannot be read: %s", s->json.wrong)
	                     : TAKE_MORE;
}

const struct ctlsrc_ops ctlsrc_query = { .name = "queries", .ask = ask, .take = take };
