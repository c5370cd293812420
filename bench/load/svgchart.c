#include "bench/load/svgchart.h"

#include <math.h>
#include <string.h>

#include "bench/load/results.h"

#define STRIP_WIDTH 1000.0
#define LINE_WIDTH  360.0
#define LINE_HEIGHT 200.0
#define LEFT        52.0
#define RIGHT       8.0
#define TOP         10.0
#define BOTTOM      24.0
#define TICKS_MAX   6
#define POWER_MAX   20

static double held(double v, double low, double high)
{
	return isfinite(v) ? fmin(fmax(v, low), high) : low;
}

static void begin_strip(struct buf *out)
{
	buf_printf(out,
	    "<svg class=\"strip\" viewBox=\"0 0 %.0f 20\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
	    STRIP_WIDTH);
}

static void whisker(struct buf *out, double a, double b)
{
	if (b - a < 1)
		return;
	buf_printf(
	    out, "<path class=\"whisker\" d=\"M%.1f 10H%.1fM%.1f 5v10M%.1f 5v10\"/>", a, b, a, b);
}

void svgchart_bar(struct buf *out, double value, double low, double high, double max, unsigned colour)
{
	double k = max > 0 ? STRIP_WIDTH / max : 0;
	begin_strip(out);
	buf_printf(out, "<rect class=\"c%u\" x=\"0\" y=\"2\" width=\"%.1f\" height=\"16\"/>",
	    colour % SVGCHART_COLOURS, fmax(2, held(value * k, 0, STRIP_WIDTH)));
	whisker(out, held(low * k, 0, STRIP_WIDTH), held(high * k, 0, STRIP_WIDTH));
	buf_add_str(out, "</svg>");
}

struct svgchart_scale svgchart_scale(double least, double greatest)
{
	double a = least > 0 && isfinite(least) ? floor(log2(least) + 1e-9) : 0;
	double b = greatest > 0 && isfinite(greatest) ? ceil(log2(greatest) - 1e-9) : 0;
	struct svgchart_scale s = { .from = (int)held(a, -POWER_MAX, -1),
		.to = (int)held(b, 1, POWER_MAX) };
	return s;
}

double svgchart_at(const struct svgchart_scale *s, double v)
{
	double at = v > 0 ? (log2(v) - s->from) / (s->to - s->from) : 0;
	return held(at, 0, 1);
}

void svgchart_ratio(struct buf *out, const struct svgchart_scale *s, double ratio, double low,
    double high, unsigned colour)
{
	double one = svgchart_at(s, 1) * STRIP_WIDTH, at = svgchart_at(s, ratio) * STRIP_WIDTH;
	begin_strip(out);
	for (int p = s->from; p <= s->to; p++) {
		double x = svgchart_at(s, exp2(p)) * STRIP_WIDTH;
		if (p)
			buf_printf(out, "<path class=\"grid\" d=\"M%.1f 0v20\"/>", x);
	}
	buf_printf(out, "<rect class=\"%s c%u\" x=\"%.1f\" y=\"3\" width=\"%.1f\" height=\"14\"/>",
	    at < one ? "worse" : "better", colour % SVGCHART_COLOURS, fmin(one, at),
	    fmax(2, fabs(at - one)));
	whisker(out, svgchart_at(s, low) * STRIP_WIDTH, svgchart_at(s, high) * STRIP_WIDTH);
	buf_printf(out, "<path class=\"one\" d=\"M%.1f 0v20\"/></svg>", one);
}

/* A step of 1, 2 or 5 times a power of ten (of two for bytes), with which few ticks reach max. */
static double step_for(double max, bool bytes)
{
	double base = bytes ? exp2(floor(log2(max / 4))) : pow(10, floor(log10(max / 4)));
	static const double times[] = { 1, 2, 5, 10 };
	if (bytes)
		return max / base <= TICKS_MAX ? base : 2 * base;
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		if (max / (base * times[i]) <= TICKS_MAX)
			return base * times[i];
	return base * 20;
}

struct frame {
	double x_max, y_max, y_step, x_step;
};

static struct frame frame_of(const json_t *line)
{
	struct frame f = { 0 };
	const json_t *s, *p;
	size_t i, k;
	bool bytes = !strcmp(results_text(line, "unit"), "bytes");
	json_array_foreach(json_object_get(line, "servers"), i, s)
	{
		json_array_foreach(json_object_get(s, "points"), k, p)
		{
			f.x_max = fmax(f.x_max, json_number_value(json_array_get(p, 0)));
			f.y_max = fmax(f.y_max, json_number_value(json_array_get(p, 1)));
		}
	}
	f.x_max = f.x_max > 1e-9 && f.x_max < 1e15 ? f.x_max : 1;
	f.y_max = f.y_max > 1e-9 && f.y_max < 1e18 ? f.y_max : 1;
	f.y_step = step_for(f.y_max, bytes);
	f.x_step = step_for(f.x_max, false);
	f.y_max = ceil(f.y_max / f.y_step - 1e-9) * f.y_step;
	return f;
}

static double x_of(const struct frame *f, double x)
{
	return LEFT + held(x / f->x_max, 0, 1) * (LINE_WIDTH - LEFT - RIGHT);
}

static double y_of(const struct frame *f, double y)
{
	return LINE_HEIGHT - BOTTOM - held(y / f->y_max, 0, 1) * (LINE_HEIGHT - TOP - BOTTOM);
}

static void axes(struct buf *out, const struct frame *f, const char *unit)
{
	char text[RESULTS_HUMAN_MAX];
	for (int i = 0; i <= (int)(f->y_max / f->y_step + 1e-6); i++) {
		double y = y_of(f, i * f->y_step);
		results_human(i * f->y_step, unit, text);
		buf_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", LEFT, y,
		    LINE_WIDTH - RIGHT);
		/* The unit is one of the words that results_human knows: no bytes of a file. */
		buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
		    LEFT - 4, y + 4, text);
	}
	for (int i = 0; i <= (int)(f->x_max / f->x_step + 1e-6); i++) {
		double x = x_of(f, i * f->x_step);
		bool last = x > LINE_WIDTH - RIGHT - 12;
		buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%g%s</text>",
		    last ? LINE_WIDTH - 2 : x, LINE_HEIGHT - 8, last ? "end" : "middle",
		    i * f->x_step, i ? "" : " s");
	}
}

void svgchart_lines(struct buf *out, const json_t *line,
    unsigned (*colour_of)(const void *arg, const char *server), const void *arg)
{
	struct frame f = frame_of(line);
	const json_t *s, *p;
	size_t i, k;
	buf_printf(out, "<svg class=\"lines\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">", LINE_WIDTH,
	    LINE_HEIGHT);
	axes(out, &f, results_text(line, "unit"));
	json_array_foreach(json_object_get(line, "servers"), i, s)
	{
		unsigned colour = colour_of(arg, results_text(s, "name")) % SVGCHART_COLOURS;
		buf_printf(out, "<polyline class=\"l%u\" points=\"", colour);
		json_array_foreach(json_object_get(s, "points"), k, p) buf_printf(out,
		    "%s%.1f,%.1f", k ? " " : "", x_of(&f, json_number_value(json_array_get(p, 0))),
		    y_of(&f, json_number_value(json_array_get(p, 1))));
		buf_add_str(out, "\"/>");
	}
	buf_add_str(out, "</svg>");
}
