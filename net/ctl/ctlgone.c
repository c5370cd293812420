#include "net/ctl/ctlgone.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/num.h"
#include "net/ctl/ctl.h"
#include "net/ctl/ctlhttp.h"
#include "net/ctl/ctlvalue.h"

/* 1900 to 2100: 200 years, and a duration of PromQL may have 292 (Go's, in nanoseconds). */
#define OPEN_BEGIN_MS INT64_C(-2208988800000)
#define OPEN_END_MS   INT64_C(4102444800000)
#define SPAN_MAX_MS   (INT64_C(290) * 365 * 24 * 3600 * 1000)
/* Up to here a number of a double is told to the unit. */
#define TOLD_WHOLE 1000000.0

void ctlgone_try(struct buf *form)
{
	ctlhttp_param(form, "query", "vector(0)");
	ctlhttp_param(form, "explain", "1");
}

/* Both ends are inclusive; a range selector has its first one not in it (Prometheus 3). */
void ctlgone_ask(struct buf *form, const char *selector, int64_t t_min_ms, int64_t t_max_ms)
{
	struct buf expr;
	char text[32];
	int64_t from = t_min_ms == CTLGONE_BEGIN_MS ? OPEN_BEGIN_MS : t_min_ms;
	int64_t to = t_max_ms == CTLGONE_END_MS ? OPEN_END_MS : t_max_ms;
	/* one of them was given, and lies far outside */
	if (t_max_ms == CTLGONE_END_MS && from >= to)
		to = from > INT64_MAX - SPAN_MAX_MS ? INT64_MAX : from + SPAN_MAX_MS;
	int64_t last = to < INT64_MIN + SPAN_MAX_MS ? INT64_MIN : to - SPAN_MAX_MS;
	if (from < last || from > to)
		from = last;
	buf_init(&expr);
	/* behind a line's end: it may end with a comment */
	buf_printf(&expr, "%s\n[%" PRIu64 "ms]", selector, (uint64_t)to - (uint64_t)from + 1);
	ctlhttp_param_len(form, "query", (const char *)expr.data, expr.len);
	buf_release(&expr);
	text[num_fmt_ts(to, text)] = 0;
	ctlhttp_param(form, "time", text);
	ctlhttp_param(form, "explain", "1");
}

bool ctlgone_take(const json_t *data, struct ctlgone *out)
{
	const json_t *series = json_object_get(data, "series");
	const json_t *samples = json_object_get(data, "samples");
	const char *kind = json_string_value(json_object_get(data, "seriesKind"));
	if (!json_is_array(json_object_get(data, "selectors")) || !json_is_number(series) ||
	    !json_is_number(samples) || !kind)
		return false;
	*out = (struct ctlgone){ .series = json_number_value(series),
		.samples = json_number_value(samples),
		.about = strcmp(kind, "exact") != 0 };
	return true;
}

void ctlgone_add(struct ctlgone *sum, const struct ctlgone *more)
{
	sum->series += more->series;
	sum->samples += more->samples;
	sum->about |= more->about;
}

static void amount(struct buf *out, double n, bool about, const char *one, const char *many)
{
	char text[CTL_TEXT];
	if (n < TOLD_WHOLE)
		text[num_fmt_u64((uint64_t)n, text)] = 0;
	else
		ctl_count(n, text);
	buf_printf(out, "%s%s %s", about ? "about " : "", text, n == 1 ? one : many);
}

void ctlgone_words(struct buf *out, const struct ctlgone *g)
{
	amount(out, g->series, g->about, "series", "series");
	buf_add_str(out, ", ");
	amount(out, g->samples, g->about, "sample", "samples");
}

static void instant(struct buf *out, int64_t ms)
{
	json_t *s = json_real((double)ms / 1000);
	ctlvalue_time(out, s);
	json_decref(s);
}

void ctlgone_span(struct buf *out, int64_t t_min_ms, int64_t t_max_ms)
{
	bool begins = t_min_ms != CTLGONE_BEGIN_MS, ends = t_max_ms != CTLGONE_END_MS;
	if (!begins && !ends)
		buf_add_str(out, " of all times");
	if (begins) {
		buf_add_str(out, " from ");
		instant(out, t_min_ms);
	}
	if (ends) {
		buf_add_str(out, begins ? " to " : " up to ");
		instant(out, t_max_ms);
	}
}
