#include "net/ctl/ctlprog.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/rune.h"
#include "net/ctl/ctlterm.h"

#define TERMINAL_NS UINT64_C(250000000)
#define LINE_NS     UINT64_C(10000000000)

void ctlprog_begin(struct ctlprog *p, const char *unit, double goal, double done, bool quiet)
{
	*p = (struct ctlprog){ .unit = unit, .goal = goal, .done = done, .quiet = quiet };
	p->_first = p->_was = done;
	p->_begin_ns = p->_shown_ns = p->_was_ns = clock_real_mono_ns();
	p->_terminal = isatty(STDERR_FILENO);
}

static const char *amount(const struct ctlprog *p, double n, char text[CTL_TEXT])
{
	return strcmp(p->unit, "B") ? ctl_count(n, text) : ctl_bytes(n, text);
}

static void say(const struct ctlprog *p, const struct buf *line)
{
	struct ctlterm term;
	size_t len = line->len;
	if (p->_terminal) {
		ctlterm_look(STDERR_FILENO, &term);
		while (len >= term.columns)
			len = rune_cut((const char *)line->data, len, term.columns - 1);
	}
	fprintf(stderr, "%s%.*s", p->_terminal ? "\r\033[K" : "", (int)len, (const char *)line->data);
}

static void show(struct ctlprog *p, uint64_t now)
{
	char a[CTL_TEXT], b[CTL_TEXT], c[CTL_TEXT], d[CTL_TEXT];
	const char *unit = strcmp(p->unit, "B") ? p->unit : "";
	double s = (double)(now - p->_was_ns) / 1e9;
	double rate = s > 0 ? (p->done - p->_was) / s : 0;
	double all = (double)(now - p->_begin_ns) / 1e9;
	double mean = all > 0 ? (p->done - p->_first) / all : 0;
	struct buf line;
	buf_init(&line);
	buf_printf(&line, "%s  %s", ctl_name(), amount(p, p->done, a));
	if (p->goal > 0)
		buf_printf(&line, " of %s", amount(p, p->goal, b));
	buf_printf(&line, "%s%s", *unit ? " " : "", unit);
	if (p->goal > 0)
		buf_printf(&line, "  %.0f %%", p->done < p->goal ? 100 * p->done / p->goal : 100);
	buf_printf(&line, "  %s/s", amount(p, rate, c));
	if (p->goal > p->done && mean > 0)
		buf_printf(&line, "  left %s", ctl_time((p->goal - p->done) / mean, d));
	buf_printf(&line, "%s%s", *p->more ? "  " : "", p->more);
	say(p, &line);
	if (!p->_terminal)
		fputc('\n', stderr);
	fflush(stderr);
	buf_release(&line);
}

void ctlprog_tell(struct ctlprog *p, double done)
{
	p->done = done;
	if (p->quiet)
		return;
	uint64_t now = clock_real_mono_ns();
	if (now - p->_shown_ns < (p->_terminal ? TERMINAL_NS : LINE_NS))
		return;
	show(p, now);
	p->_shown_ns = now;
	p->_was = done;
	p->_was_ns = now;
}

void ctlprog_end(struct ctlprog *p)
{
	char a[CTL_TEXT], b[CTL_TEXT], c[CTL_TEXT];
	double s = (double)(clock_real_mono_ns() - p->_begin_ns) / 1e9, n = p->done - p->_first;
	const char *unit = strcmp(p->unit, "B") ? p->unit : "";
	fprintf(stderr, "%s%s  %s%s%s in %s, %s/s%s%s\n", p->_terminal ? "\r\033[K" : "",
	    ctl_name(), amount(p, n, a), *unit ? " " : "", unit, ctl_time(s, b),
	    amount(p, s > 0 ? n / s : 0, c), *p->more ? "  " : "", p->more);
}
