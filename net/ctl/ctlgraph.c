#include "net/ctl/ctlgraph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/ctl/ctlterm.h"

#define COLUMNS_LEAST 30u
#define ROWS_LEAST    8u
#define COLUMNS_MOST  1000u
#define ROWS_MOST     500u
#define AXIS_ROWS     2u /* the line and its times */
#define TICK_COLUMNS  16u
#define ZONE          4u /* " UTC" */

/* Bright enough on black and on white; the first six of any terminal. */
static const unsigned colours[] = { 32, 36, 33, 35, 34, 31 };

const char *ctlgraph_value(double v, char text[32])
{
	static const char *const units[] = { "", " k", " M", " G", " T", " P" };
	double n = fabs(v);
	unsigned k = 0;
	if (isnan(v) || isinf(v) || n >= 1e18 || (n < 1e-3 && n > 0)) {
		snprintf(text, 32, isnan(v) ? "NaN" : "%.3g", v);
		return text;
	}
	while (n >= 999.995 && k + 1 < COUNT_OF(units)) {
		n /= 1000;
		k++;
	}
	int digits = k ? 2 : n >= 100 ? 2 : n >= 1 ? 3 : 4;
	size_t len = (size_t)snprintf(text, 32, "%.*f", digits, v < 0 ? -n : n);
	while (len && strchr(text, '.') && (text[len - 1] == '0' || text[len - 1] == '.')) {
		bool point = text[--len] == '.';
		text[len] = 0;
		if (point)
			break;
	}
	snprintf(text + len, 32 - len, "%s", units[k]);
	return text;
}

/* ---- the picture ---- */

struct plot {
	const struct ctlgraph *g;
	unsigned left, width, height; /* places of labels; of the picture */
	long double low, high, tick;  /* of values; the span of all doubles is no double */
	bool dots;                    /* braille, else letters */
	uint8_t *mask;                /* of each place: its dots; of letters: 1 */
	uint8_t *owner;               /* the series that was there last */
};

static size_t drawn(const struct ctlgraph *g)
{
	return g->count < CTLGRAPH_SERIES ? g->count : CTLGRAPH_SERIES;
}

/* 1, 2 or 5 times a power of ten, at least v. */
static long double round_up(long double v)
{
	long double ten = powl(10, floorl(log10l(v)));
	for (unsigned i = 0; i < 4; i++) {
		static const long double steps[] = { 1, 2, 5, 10 };
		if (steps[i] * ten >= v * (1 - 1e-9))
			return steps[i] * ten;
	}
	return v;
}

static void find_range(struct plot *p)
{
	long double low = INFINITY, high = -INFINITY;
	for (size_t s = 0; s < drawn(p->g); s++) {
		const struct ctlgraph_series *one = &p->g->series[s];
		for (size_t i = 0; i < one->count; i++) {
			if (!isfinite(one->values[i]))
				continue;
			low = fminl(low, one->values[i]);
			high = fmaxl(high, one->values[i]);
		}
	}
	if (low > high)
		low = high = 0;
	if (high - low <= fabsl(high) * 1e-9L ||
	    high - low < 1e-290L) { /* a flat line stands in the middle */
		long double half = high != 0 ? fabsl(high) / 2 : 1;
		low -= half;
		high += half;
	}
	if (low > 0 && low < (high - low) / 2) /* near enough to zero to show it */
		low = 0;
	unsigned ticks = p->height / 4 > 2 ? p->height / 4 : 2;
	p->tick = round_up((high - low) / ticks);
	p->low = floorl(low / p->tick + 1e-9L) * p->tick;
	p->high = ceill(high / p->tick - 1e-9L) * p->tick;
	if (!(p->high > p->low))
		p->high = p->low + p->tick;
}

/* Dots of braille: columns of 4, bits as Unicode has them (U+2800). */
static void set_dot(struct plot *p, long x, long y, uint8_t series)
{
	static const uint8_t bits[4][2] = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 },
		{ 0x40, 0x80 } };
	long across = p->dots ? 2 : 1, down = p->dots ? 4 : 1;
	if (x < 0 || y < 0 || x >= (long)p->width * across || y >= (long)p->height * down)
		return;
	size_t at = (size_t)(y / down) * p->width + (size_t)(x / across);
	p->mask[at] = p->dots ? p->mask[at] | bits[y % 4][x % 2] : 1;
	p->owner[at] = series;
}

static void line(struct plot *p, long x, long y, long to_x, long to_y, uint8_t series)
{
	long wide = labs(to_x - x), tall = labs(to_y - y), steps = wide > tall ? wide : tall;
	for (long i = 0; i <= steps; i++)
		set_dot(p, steps ? x + (to_x - x) * i / steps : x,
		    steps ? y + (to_y - y) * i / steps : y, series);
}

static void draw_series(struct plot *p, size_t s)
{
	const struct ctlgraph_series *one = &p->g->series[s];
	double across = (double)p->width * (p->dots ? 2 : 1) - 1;
	double down = (double)p->height * (p->dots ? 4 : 1) - 1;
	double span = (double)(p->g->end_ms - p->g->begin_ms);
	long was_x = 0, was_y = 0;
	bool joined = false;
	int64_t was_ms = 0;
	for (size_t i = 0; i < one->count; i++) {
		double v = one->values[i];
		int64_t t = one->times_ms[i];
		if (!isfinite(v) || t < p->g->begin_ms || t > p->g->end_ms) {
			joined = false;
			continue;
		}
		long x = lround((double)(t - p->g->begin_ms) / span * across);
		long y = lroundl((p->high - v) / (p->high - p->low) * down);
		if (joined && p->g->gap_ms && t - was_ms > p->g->gap_ms)
			joined = false;
		line(p, joined ? was_x : x, joined ? was_y : y, x, y, (uint8_t)s);
		was_x = x;
		was_y = y;
		was_ms = t;
		joined = true;
	}
}

/* ---- the frame ---- */

static void colour(const struct ctlgraph *g, struct buf *out, size_t series)
{
	if (g->colour)
		buf_printf(out, "\033[%um", colours[series % COUNT_OF(colours)]);
}

static void plain(const struct ctlgraph *g, struct buf *out)
{
	if (g->colour)
		buf_add_str(out, "\033[0m");
}

static char letter(const struct ctlgraph *g, size_t series)
{
	return g->count == 1 ? '*' : (char)('a' + series % 26);
}

static void add_rune(struct buf *out, uint32_t rune)
{
	char text[4];
	buf_add(out, text, rune_encode(rune, text));
}

static void put_row(const struct plot *p, struct buf *out, unsigned row)
{
	const uint8_t *mask = p->mask + (size_t)row * p->width;
	const uint8_t *owner = p->owner + (size_t)row * p->width;
	unsigned end = p->width;
	int now = -1;
	while (end && !mask[end - 1])
		end--;
	for (unsigned x = 0; x < end; x++) {
		if (!mask[x]) {
			buf_add_u8(out, ' ');
			continue;
		}
		if (now != owner[x])
			colour(p->g, out, owner[x]);
		now = owner[x];
		if (p->dots)
			add_rune(out, 0x2800u + mask[x]);
		else
			buf_add_u8(out, (uint8_t)letter(p->g, owner[x]));
	}
	if (now >= 0)
		plain(p->g, out);
	buf_add_u8(out, '\n');
}

/* The value of the tick in this row; false: none is there. */
static bool tick_in(const struct plot *p, unsigned row, double *v)
{
	long double per = (p->high - p->low) / (p->height - 1), at = p->high - row * per;
	long double tick = roundl(at / p->tick) * p->tick;
	*v = (double)tick;
	return fabsl(tick - at) <= per / 2 * (1 - 1e-9L);
}

static void put_picture(const struct plot *p, struct buf *out)
{
	char text[32];
	double v, told = NAN;
	for (unsigned row = 0; row < p->height; row++) {
		bool tick = tick_in(p, row, &v) && v != told;
		if (tick)
			told = v;
		ctlgraph_value(v == 0 ? 0 : v, text);
		ctlterm_fit(out, tick ? text : "", tick ? strlen(text) : 0, p->left, true);
		if (p->g->utf8)
			buf_add_str(out, tick ? " \u2524" : " \u2502");
		else
			buf_add_str(out, tick ? " +" : " |");
		put_row(p, out, row);
	}
}

static const int64_t time_steps[] = { 1, 2, 5, 10, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000,
	30000, 60000, 120000, 300000, 600000, 900000, 1800000, 3600000, 7200000, 10800000, 21600000,
	43200000, 86400000, 172800000, 604800000, 1209600000, 2592000000, 7776000000, 31536000000 };

static void time_text(int64_t ms, int64_t step, int64_t span, char text[40])
{
	char whole[64]; /* 2026-11-29T08:12:18.500Z */
	size_t len = num_fmt_time(ms, whole);
	whole[len] = 0;
	const char *t = strchr(whole, 'T');
	if (!t || step >= 86400000)
		snprintf(text, 40, "%.*s", t ? (int)(t - whole) : 20, whole);
	else if (step < 1000)
		snprintf(text, 40, "%.*s", (int)strcspn(t + 1, "Z"), t + 1);
	else if (step < 60000)
		snprintf(text, 40, "%.8s", t + 1);
	else if (span > 86400000 * INT64_C(2))
		snprintf(text, 40, "%.5s %.5s", t - 5, t + 1);
	else
		snprintf(text, 40, "%.5s", t + 1);
}

static void put_axis(const struct plot *p, struct buf *out)
{
	const struct ctlgraph *g = p->g;
	int64_t span = g->end_ms - g->begin_ms, step = time_steps[COUNT_OF(time_steps) - 1];
	unsigned most = p->width / TICK_COLUMNS > 1 ? p->width / TICK_COLUMNS : 1;
	for (size_t i = COUNT_OF(time_steps); i--;)
		if (span / time_steps[i] <= most)
			step = time_steps[i];
	if (span / step > most) /* more years than ticks */
		step *= span / step / most + 1;
	struct buf labels;
	char text[40];
	unsigned at = 0, room = 0;
	buf_init(&labels);
	int64_t tick = g->begin_ms - g->begin_ms % step;
	if (tick < g->begin_ms)
		tick += step;
	ctlterm_fit(out, "", 0, p->left + 1, false);
	buf_add_str(out, g->utf8 ? "\u2514" : "+");
	for (; tick <= g->end_ms; tick += step) {
		unsigned x =
		    (unsigned)lround((double)(tick - g->begin_ms) / (double)span * (p->width - 1));
		for (; at < x; at++)
			buf_add_str(out, g->utf8 ? "\u2500" : "-");
		buf_add_str(out, g->utf8 ? "\u252c" : "+");
		at++;
		time_text(tick, step, span, text);
		unsigned len = (unsigned)strlen(text), from = x > len / 2 ? x - len / 2 : 0;
		if (from + len + ZONE > p->width)
			from = p->width > len + ZONE ? p->width - len - ZONE : 0;
		if (room && from < room + 1)
			continue;
		for (; room < from; room++)
			buf_add_u8(&labels, ' ');
		buf_add_str(&labels, text);
		room += len;
	}
	for (; at < p->width; at++)
		buf_add_str(out, g->utf8 ? "\u2500" : "-");
	buf_add_u8(out, '\n');
	for (; room + ZONE < p->width; room++)
		buf_add_u8(&labels, ' ');
	buf_add_str(&labels, " UTC");
	ctlterm_fit(out, "", 0, p->left + 2, false);
	buf_add(out, labels.data, labels.len);
	buf_add_u8(out, '\n');
	buf_release(&labels);
}

static double last_of(const struct ctlgraph_series *s)
{
	return s->count ? s->values[s->count - 1] : NAN;
}

static void put_legend(const struct ctlgraph *g, struct buf *out, unsigned columns)
{
	char text[32];
	size_t widest = 0;
	for (size_t s = 0; s < drawn(g); s++) {
		size_t w = ctlterm_width(g->series[s].name, strlen(g->series[s].name));
		widest = w > widest ? w : widest;
	}
	size_t most = columns - 2 - 2 - 11;
	widest = widest < most ? widest : most;
	for (size_t s = 0; s < drawn(g); s++) {
		const struct ctlgraph_series *one = &g->series[s];
		colour(g, out, s);
		if (g->colour || (g->utf8 && g->count == 1))
			buf_add_str(out, g->utf8 ? "\u25cf" : "*");
		else
			buf_add_u8(out, (uint8_t)letter(g, s));
		plain(g, out);
		buf_add_u8(out, ' ');
		ctlterm_fit(out, one->name, strlen(one->name), widest, false);
		buf_printf(out, "  %s\n", ctlgraph_value(last_of(one), text));
	}
	if (g->count > drawn(g))
		buf_printf(out, "and %zu series that are not drawn\n", g->count - drawn(g));
}

/* Labels of ticks, as wide as the widest. */
static unsigned labels_width(const struct plot *p)
{
	char text[32];
	size_t widest = 1;
	for (unsigned row = 0; row < p->height; row++) {
		double v;
		if (tick_in(p, row, &v) && strlen(ctlgraph_value(v == 0 ? 0 : v, text)) > widest)
			widest = strlen(text);
	}
	return (unsigned)widest;
}

static unsigned within(unsigned n, unsigned least, unsigned most)
{
	return n < least ? least : n > most ? most : n;
}

void ctlgraph_draw(struct buf *out, const struct ctlgraph *g)
{
	unsigned columns = within(g->columns, COLUMNS_LEAST, COLUMNS_MOST);
	unsigned rows = within(g->rows, ROWS_LEAST, ROWS_MOST);
	unsigned below = (unsigned)drawn(g) + (g->count > drawn(g)) + AXIS_ROWS;
	struct plot p = { .g = g, .height = rows > below + 6 ? rows - below : 6 };
	CHECK(g->end_ms > g->begin_ms);
	p.dots = g->utf8 && (g->colour || g->count == 1);
	find_range(&p);
	p.left = labels_width(&p);
	p.width = columns - p.left - 2;
	p.mask = mem_zalloc((size_t)p.width * p.height);
	p.owner = mem_zalloc((size_t)p.width * p.height);
	for (size_t s = 0; s < drawn(g); s++)
		draw_series(&p, s);
	put_picture(&p, out);
	put_axis(&p, out);
	put_legend(g, out, columns);
	mem_free(p.mask);
	mem_free(p.owner);
}

/* ---- bars ---- */

/* Eighths of a place (U+2588 to U+258F), or #. */
static void bar(struct buf *out, double part, unsigned width, bool utf8)
{
	unsigned eighths = (unsigned)lround(part * width * 8);
	if (!utf8) {
		for (unsigned i = 0; i < (eighths + 4) / 8; i++)
			buf_add_u8(out, '#');
		return;
	}
	for (; eighths >= 8; eighths -= 8)
		add_rune(out, 0x2588);
	if (eighths)
		add_rune(out, 0x2590u - eighths);
}

void ctlgraph_bars(
    struct buf *out, const struct ctlgraph_bar *bars, size_t count, unsigned columns, bool utf8)
{
	char text[32];
	double most = 0;
	size_t widest = 0, numbers = 0;
	columns = within(columns, COLUMNS_LEAST, COLUMNS_MOST);
	for (size_t i = 0; i < count; i++) {
		size_t w = ctlterm_width(bars[i].name, strlen(bars[i].name));
		widest = w > widest ? w : widest;
		w = strlen(ctlgraph_value(bars[i].value, text));
		numbers = w > numbers ? w : numbers;
		if (isfinite(bars[i].value))
			most = fmax(most, fabs(bars[i].value));
	}
	if (widest > columns / 2)
		widest = columns / 2;
	unsigned width = columns - (unsigned)widest - (unsigned)numbers - 4;
	for (size_t i = 0; i < count; i++) {
		double v = bars[i].value;
		ctlterm_fit(out, bars[i].name, strlen(bars[i].name), widest, false);
		buf_add_str(out, "  ");
		ctlgraph_value(v, text);
		ctlterm_fit(out, text, strlen(text), numbers, true);
		buf_add_str(out, "  ");
		if (isfinite(v) && most > 0)
			bar(out, fabs(v) / most, width, utf8);
		buf_add_u8(out, '\n');
	}
}
