#include "net/ctl/ctlcopy.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/num.h"

/* --- the loop --- */

static void tell(struct ctlprog *prog, const struct ctlwalk *w, double done)
{
	if (w->windows > 1)
		snprintf(prog->more, sizeof(prog->more), "window %llu of %llu, name %zu of %zu",
		    (unsigned long long)w->windows_done + 1, (unsigned long long)w->windows,
		    w->name_at, w->names_all);
	else
		snprintf(prog->more, sizeof(prog->more), "name %zu of %zu", w->name_at, w->names_all);
	ctlprog_tell(prog, done);
}

struct copy {
	struct ctlwalk *w;
	struct ctlsrc *src;
	const struct ctlcopy_sink *sink;
	void *own;
	struct ctlprog *prog;
	struct buf place;
	double done; /* samples of whole pieces */
};

/* Reads a piece; *got is how it ended. */
static int read_piece(struct copy *c, enum ctlsrc_got *got, uint64_t *samples)
{
	struct ctlsrc_item item;
	*samples = 0;
	ctlsrc_begin(c->src, &c->w->piece);
	while ((*got = ctlsrc_next(c->src, &item)) == CTLSRC_ITEM) {
		*samples += item.samples.count;
		int status = c->sink->item(c->own, c->w, &item);
		if (status)
			return status;
		tell(c->prog, c->w, c->done + (double)*samples);
	}
	return CTL_OK;
}

static int end_piece(struct copy *c, uint64_t samples)
{
	struct ctlwalk *w = c->w;
	const char *place = ctlwalk_place(w, &c->place) ? (const char *)c->place.data : NULL;
	bool ends = w->window_ends;
	int status = c->sink->piece(c->own, w, place);
	if (!status && ends)
		status = c->sink->window_end(c->own, w, place);
	ctlwalk_done(w, samples);
	c->done += (double)samples;
	return status;
}

int ctlcopy_run(struct ctlwalk *w, struct ctlsrc *src, const struct ctlcopy_sink *sink, void *own,
    struct ctlprog *prog)
{
	struct copy c = {
		.w = w, .src = src, .sink = sink, .own = own, .prog = prog, .done = prog->done
	};
	int64_t window = INT64_MIN;
	bool any = false, more;
	buf_init(&c.place);
	int status;
	while (!(status = ctlwalk_next(w, &more)) && more) {
		enum ctlsrc_got got;
		uint64_t samples;
		if (!any || window != w->window_from_ms)
			status = sink->window(own, w);
		any = true;
		window = w->window_from_ms;
		if (!status)
			status = read_piece(&c, &got, &samples);
		if (!status && got == CTLSRC_END) {
			status = end_piece(&c, samples);
		} else if (!status) {
			status = got == CTLSRC_FAILED ? CTL_OK : sink->back(own);
			if (!status)
				status = ctlwalk_again(w, got);
		}
		if (status)
			break;
	}
	prog->done = c.done;
	buf_release(&c.place);
	return status;
}

/* --- flags --- */

bool ctlcopy_add_match(void *arg, const char *value)
{
	struct ctlcopy_args *a = arg;
	if (a->matches_count == CTLSEL_MAX)
		return false;
	a->matches[a->matches_count++] = value;
	return true;
}

int ctlcopy_args_take(struct ctlcopy_args *a)
{
	struct errbuf eb;
	arena_init(&a->arena, 1024);
	errbuf_init(&eb);
	for (size_t i = 0; i < a->matches_count; i++) {
		const char *text = a->matches[i];
		if (ctlsel_parse(&a->arena, text, strlen(text), &a->sels[i], &eb))
			return ctl_fail(CTL_USAGE, "--match %s: %s", text, eb.text);
		a->sels_count++;
	}
	if (!a->sels_count)
		ctlsel_everything(&a->arena, &a->sels[a->sels_count++]);
	return CTL_OK;
}

void ctlcopy_args_release(struct ctlcopy_args *a)
{
	for (size_t i = 0; i < a->sels_count; i++)
		ctlsel_release(&a->sels[i]);
	arena_release(&a->arena);
}

void ctlcopy_work(struct buf *out, const struct ctlcopy_args *a, const char *words)
{
	buf_printf(out, "%s %s", ctl_name(), words);
	buf_printf(out, " start=%s end=%s", a->start ? a->start : "", a->end ? a->end : "");
	for (size_t i = 0; i < a->matches_count; i++)
		buf_printf(out, " match=%s", a->matches[i]);
	buf_add_u8(out, 0);
}

static int range_of(const struct ctlcopy_args *a, struct ctlhttp *http, bool first,
    int64_t *from_ms, int64_t *to_ms)
{
	*to_ms = a->end ? ctl_time_ms(a->end, "end") : clock_wall_ms();
	*from_ms = a->start ? ctl_time_ms(a->start, "start") : 0;
	if (*from_ms > *to_ms)
		return ctl_fail(CTL_USAGE, "--start is after --end");
	if (a->start || !first)
		return CTL_OK;
	int status = ctlwalk_first(http, a->sels, a->sels_count, *to_ms, from_ms);
	if (!status && *from_ms == INT64_MAX)
		status = ctl_fail(CTL_NO, "%s has no such series", ctlhttp_server(http));
	return status;
}

int ctlcopy_mark(const struct ctlcopy_args *a, const char *work, struct ctlhttp *http, bool first,
    struct ctlmark **mark, int64_t *from_ms, int64_t *to_ms)
{
	char path[PATH_MAX];
	struct errbuf eb;
	bool goes_on = false;
	errbuf_init(&eb);
	ctlmark_path(work, path, sizeof(path));
	const char *at = a->mark ? a->mark : path;
	enum err e = a->again ? ctlmark_anew(at, work, mark, &eb)
	                      : ctlmark_open(at, work, mark, &goes_on, &eb);
	if (e)
		return ctl_fail(e == ERR_DAMAGED ? CTL_DAMAGED : CTL_LOCAL, "%s", eb.text);
	if (goes_on && ctlmark_get(*mark, "to")) {
		*from_ms = ctlmark_get_num(*mark, "from", 0);
		*to_ms = ctlmark_get_num(*mark, "to", 0);
		ctl_note("goes on where it was");
		return CTL_OK;
	}
	int status = range_of(a, http, first, from_ms, to_ms);
	ctlmark_set_num(*mark, "from", *from_ms);
	ctlmark_set_num(*mark, "to", *to_ms);
	return status;
}
