#include "net/ctl/ctlplayed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/num.h"

#define MOMENTS_MAX 10000u /* an answer has some 400 */
#define TIME_MOST_S 1e12
#define LEVELS      8u
#define BURST_LEAST 100
#define BURST_TIMES 3

/* ---- reading ---- */

static int64_t ms_of(const json_t *seconds)
{
	double s = json_number_value(seconds);
	return (int64_t)llround(fmax(-TIME_MOST_S, fmin(TIME_MOST_S, s)) * 1000);
}

/* The rows of a moment: fn with the name's place, in names, and its value. */
static void top_each(
    const json_t *moment, size_t names, void (*fn)(void *arg, size_t name, double value), void *arg)
{
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(moment, "top"), i, row)
	{
		const json_t *name = json_array_get(row, 0), *value = json_array_get(row, 1);
		json_int_t at = json_is_integer(name) ? json_integer_value(name) : -1;
		if (at >= 0 && (size_t)at < names && json_is_number(value))
			fn(arg, (size_t)at, json_number_value(value));
	}
}

/* All names of an answer, before the few that are shown are chosen. */
struct candidate {
	double then, most;
	bool then_known;
	size_t name, most_at, seen; /* seen: the last moment + 1 that has it */
};
struct reader {
	struct candidate *all;
	size_t moment;
};

static void meet(void *arg, size_t name, double value)
{
	struct reader *r = arg;
	struct candidate *c = &r->all[name];
	if (!r->moment) {
		c->then = value;
		c->then_known = true;
	}
	if (value > c->most) {
		c->most = value;
		c->most_at = r->moment;
	}
	c->seen = r->moment + 1;
}

static int by_rise(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;
	double a_rise = a->most - a->then, b_rise = b->most - b->then;
	if (a_rise != b_rise)
		return a_rise < b_rise ? 1 : -1;
	if (a->most != b->most)
		return a->most < b->most ? 1 : -1;
	return (a->name > b->name) - (a->name < b->name);
}

/* Those that rose most, in order; returns how many. */
static size_t choose(
    struct candidate *all, size_t names, const json_t *moments, size_t count, size_t limit)
{
	struct reader r = { .all = all };
	size_t kept = 0;
	double below = json_number_value(json_object_get(json_array_get(moments, 0), "below"));
	for (size_t i = 0; i < names; i++)
		all[i] = (struct candidate){ .name = i, .then = below };
	for (r.moment = 0; r.moment < count; r.moment++)
		top_each(json_array_get(moments, r.moment), names, meet, &r);
	for (size_t i = 0; i < names; i++)
		if (all[i].seen)
			all[kept++] = all[i];
	qsort(all, kept, sizeof(*all), by_rise);
	return kept < limit ? kept : limit;
}

struct filler {
	struct ctlplayed *p;
	size_t *places; /* of rows + 1, by name */
	size_t moment;
};

static void fill(void *arg, size_t name, double value)
{
	struct filler *f = arg;
	if (f->places[name])
		f->p->rows[f->places[name] - 1].values[f->moment] = value;
}

/* A known one, or what it was at most. */
static double value_at(const struct ctlplayed_row *row, const json_t *moments, size_t i, bool *at_most)
{
	*at_most = isnan(row->values[i]);
	return *at_most ? json_number_value(json_object_get(json_array_get(moments, i), "below"))
	                : row->values[i];
}

static char *text_copy(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = mem_alloc(size);
	memcpy(copy, text, size);
	return copy;
}

static void rows_fill(
    struct ctlplayed *p, const json_t *moments, const json_t *names, const struct candidate *chosen)
{
	size_t names_count = json_array_size(names);
	struct filler f = { .p = p, .places = mem_zalloc((names_count + 1) * sizeof(*f.places)) };
	p->rows = mem_zalloc((p->rows_count + 1) * sizeof(*p->rows));
	for (size_t i = 0; i < p->rows_count; i++) {
		struct ctlplayed_row *row = &p->rows[i];
		const char *name = json_string_value(json_array_get(names, chosen[i].name));
		row->name = text_copy(name ? name : "");
		row->values = mem_array(NULL, p->moments, sizeof(*row->values));
		row->most = chosen[i].most;
		row->most_at = chosen[i].most_at;
		row->rise = chosen[i].most - chosen[i].then;
		for (size_t k = 0; k < p->moments; k++) {
			const json_t *below = json_object_get(json_array_get(moments, k), "below");
			row->values[k] = json_number_value(below) > 0 ? NAN : 0;
		}
		f.places[chosen[i].name] = i + 1;
	}
	for (f.moment = 0; f.moment < p->moments; f.moment++)
		top_each(json_array_get(moments, f.moment), names_count, fill, &f);
	for (size_t i = 0; i < p->rows_count; i++) {
		struct ctlplayed_row *row = &p->rows[i];
		row->then = value_at(row, moments, 0, &row->then_most);
		row->now = value_at(row, moments, p->moments - 1, &row->now_most);
	}
	mem_free(f.places);
}

struct ctlplayed *ctlplayed_read(const json_t *data, size_t limit)
{
	struct ctlplayed *p = mem_zalloc(sizeof(*p));
	const json_t *moments = json_object_get(data, "moments"),
	             *names = json_object_get(data, "names");
	size_t count = json_array_size(moments), names_count = json_array_size(names);
	if (!count || count > MOMENTS_MAX)
		return p;
	p->moments = count;
	p->times_ms = mem_array(NULL, count, sizeof(*p->times_ms));
	p->since_ms = mem_array(NULL, count, sizeof(*p->since_ms));
	p->series = mem_array(NULL, count, sizeof(*p->series));
	p->made = mem_array(NULL, count, sizeof(*p->made));
	for (size_t i = 0; i < count; i++) {
		const json_t *m = json_array_get(moments, i);
		p->times_ms[i] = ms_of(json_object_get(m, "time"));
		p->since_ms[i] = ms_of(json_object_get(m, "since"));
		p->series[i] = json_number_value(json_object_get(m, "series"));
		p->made[i] = json_number_value(json_object_get(m, "made"));
		if (i && p->times_ms[i] < p->times_ms[i - 1])
			p->times_ms[i] = p->times_ms[i - 1];
	}
	struct candidate *all = mem_array(NULL, names_count + 1, sizeof(*all));
	p->rows_count = choose(all, names_count, moments, count, limit);
	rows_fill(p, moments, names, all);
	mem_free(all);
	return p;
}

void ctlplayed_free(struct ctlplayed *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->rows_count; i++) {
		mem_free(p->rows[i].name);
		mem_free(p->rows[i].values);
	}
	mem_free(p->rows);
	mem_free(p->times_ms);
	mem_free(p->since_ms);
	mem_free(p->series);
	mem_free(p->made);
	mem_free(p);
}

/* ---- explosions ---- */

/* An alarm's text may be cut, and then begins what it means. */
static bool text_is(const char *name, const json_t *of, const char *key)
{
	const char *text = json_string_value(json_object_get(of, key));
	return text && *text && !strcmp(name, text);
}

static bool is_of(const char *name, const char *kind, const json_t *e)
{
	if (!strcmp(kind, "metrics"))
		return text_is(name, e, "metric");
	if (!strcmp(kind, "labels"))
		return text_is(name, e, "label");
	const char *target = json_string_value(json_object_get(e, "target")), *value;
	const char *at = target ? strrchr(target, '/') : NULL;
	value = strchr(name, '=');
	return !strcmp(kind, "targets") && at && at[1] && value && !strcmp(value + 1, at + 1);
}

void ctlplayed_mark(struct ctlplayed *p, const char *kind, const json_t *list)
{
	for (size_t i = 0; i < p->rows_count; i++) {
		struct ctlplayed_row *row = &p->rows[i];
		size_t k;
		json_t *e;
		json_array_foreach(list, k, e)
		{
			if (!is_of(row->name, kind, e))
				continue;
			row->exploded = true;
			row->explodes |= json_is_true(json_object_get(e, "now"));
		}
	}
}

ptrdiff_t ctlplayed_burst(const struct ctlplayed *p)
{
	double sum = 0, best_rate = 0;
	ptrdiff_t best = -1;
	for (size_t i = 0; i < p->moments; i++) {
		double span = (double)(p->times_ms[i] - p->since_ms[i]);
		double rate = span > 0 ? p->made[i] / span : 0;
		sum += rate;
		if (rate <= best_rate)
			continue;
		best = (ptrdiff_t)i;
		best_rate = rate;
	}
	return p->moments > 2 && best >= 0 && p->made[best] >= BURST_LEAST &&
	        best_rate > BURST_TIMES * sum / (double)p->moments
	    ? best
	    : -1;
}

/* ---- courses ---- */

/* The piece of a time; the last moment belongs to the last one. */
static size_t piece_of(const struct ctlplayed *p, int64_t t_ms)
{
	double from = (double)p->times_ms[0], span = (double)p->times_ms[p->moments - 1] - from;
	double at = span > 0 ? ((double)t_ms - from) / span * CTLPLAYED_PLACES : 0;
	return at < 0 ? 0 : at >= CTLPLAYED_PLACES ? CTLPLAYED_PLACES - 1 : (size_t)at;
}

static void bar(struct buf *out, double share, bool utf8)
{
	static const char *const bars[2][LEVELS] = { { ".", ":", "-", "=", "+", "*", "#", "@" },
		{ "\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84", "\xe2\x96\x85",
		    "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88" } };
	unsigned level = share > 0 ? (unsigned)ceil(share * LEVELS) : 0;
	if (!level)
		buf_add_u8(out, '_');
	else
		buf_add_str(out, bars[utf8][level > LEVELS ? LEVELS - 1 : level - 1]);
}

void ctlplayed_course(struct buf *out, const struct ctlplayed *p, const double *values, bool utf8)
{
	double pieces[CTLPLAYED_PLACES], most = 0, last = NAN;
	size_t last_at = 0;
	for (size_t i = 0; i < CTLPLAYED_PLACES; i++)
		pieces[i] = NAN;
	for (size_t i = 0; i < p->moments; i++) {
		size_t at = piece_of(p, p->times_ms[i]);
		/* between two moments that of the first, unless the server did not run */
		for (size_t k = last_at + 1; i && p->since_ms[i] <= p->times_ms[i - 1] && k < at; k++)
			pieces[k] = last;
		pieces[at] = isnan(pieces[at]) ? values[i] : fmax(pieces[at], values[i]);
		most = values[i] > most ? values[i] : most;
		last = values[i];
		last_at = at;
	}
	for (size_t i = 0; i < CTLPLAYED_PLACES; i++)
		if (isnan(pieces[i]))
			buf_add_u8(out, ' ');
		else
			bar(out, most > 0 ? pieces[i] / most : 0, utf8);
}

static bool time_of(const json_t *e, const char *key, int64_t *ms)
{
	const char *text = json_string_value(json_object_get(e, key));
	return text && !num_parse_time(text, strlen(text), ms);
}

void ctlplayed_alarms(struct buf *out, const struct ctlplayed *p, const json_t *list)
{
	char marks[CTLPLAYED_PLACES];
	size_t i;
	json_t *e;
	memset(marks, ' ', sizeof(marks));
	json_array_foreach(list, i, e)
	{
		int64_t first_ms, last_ms;
		if (!p->moments || !time_of(e, "firstSeen", &first_ms) ||
		    !time_of(e, "lastSeen", &last_ms) || last_ms < p->times_ms[0])
			continue;
		size_t to = piece_of(p, last_ms);
		for (size_t k = piece_of(p, first_ms); k <= to; k++)
			marks[k] = '!';
	}
	buf_add(out, marks, sizeof(marks));
}
