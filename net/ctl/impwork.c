#include "net/ctl/impwork.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/num.h"
#include "core/promql/lang/ql_ast.h"

#define SAVE_NS     UINT64_C(1000000000)
#define AT_SAMPLES  4096u /* between two places that are kept */
#define BAD_TOLD    100u
#define PLACE_BYTES 600u

struct impwork_at {
	uint64_t seq;
	struct impwork_counts counts;
	char unit[128], place[PLACE_BYTES];
};

static int set_matches(struct impwork *w)
{
	struct errbuf eb;
	for (size_t i = 0; i < w->matches_count; i++) {
		const char *text = w->matches[i];
		struct ql_counts counts = { 0 };
		struct matcher *items;
		errbuf_init(&eb);
		enum err e = ql_parse_selector(&w->arena, text, strlen(text), &w->limits, &counts,
		    &items, &w->sets[i].count, &eb);
		if (e)
			return ctl_fail(CTL_USAGE, "--match '%s': %s", text, eb.text);
		w->sets[i].items = items;
	}
	return CTL_OK;
}

/* What is acknowledged goes from the list into the mark. */
static void take_acked(struct impwork *w)
{
	uint64_t acked = ctlpush_acked(w->push);
	const struct impwork_at *last = NULL;
	while (w->list_count && w->list[w->list_first].seq <= acked) {
		last = &w->list[w->list_first];
		ctlmark_set(w->mark, last->unit, last->place);
		w->list_first = (w->list_first + 1) % w->list_cap;
		w->list_count--;
	}
	if (!last)
		return;
	w->to_save = true;
	ctlmark_set_num(w->mark, "series", (int64_t)last->counts.series);
	ctlmark_set_num(w->mark, "floats", (int64_t)last->counts.floats);
	ctlmark_set_num(w->mark, "hists", (int64_t)last->counts.hists);
	ctlmark_set_num(w->mark, "bad", (int64_t)last->counts.bad);
	ctlmark_set_num(w->mark, "passed", (int64_t)last->counts.passed);
}

static int save(struct impwork *w)
{
	struct errbuf eb;
	errbuf_init(&eb);
	take_acked(w);
	if (!w->to_save)
		return CTL_OK;
	if (ctlmark_save(w->mark, &eb))
		return ctl_fail(CTL_LOCAL, "the mark cannot be written: %s", eb.text);
	w->to_save = false;
	return CTL_OK;
}

int impwork_open(struct impwork *w, struct ctlhttp *http, const char *work)
{
	char path[4096];
	struct errbuf eb;
	errbuf_init(&eb);
	w->http = http;
	arena_init(&w->arena, 4096);
	arena_init(&w->one, 4096);
	limits_default(&w->limits);
	int status = set_matches(w);
	for (size_t i = 0; !status && i < w->labels_count; i++)
		if (!strchr(w->labels[i], '=') || w->labels[i][0] == '=')
			status =
			    ctl_fail(CTL_USAGE, "--label \"%s\" is not name=value", w->labels[i]);
	if (status || w->dry_run)
		return status;
	ctlmark_path(work, path, sizeof(path));
	const char *at = w->mark_file ? w->mark_file : path;
	enum err e = w->again ? ctlmark_anew(at, work, &w->mark, &eb)
	                      : ctlmark_open(at, work, &w->mark, &w->goes_on, &eb);
	if (e)
		return ctl_fail(e == ERR_EXISTS ? CTL_USAGE : ctl_exit_of(e), "%s", eb.text);
	w->counts = (struct impwork_counts){
		.series = (uint64_t)ctlmark_get_num(w->mark, "series", 0),
		.floats = (uint64_t)ctlmark_get_num(w->mark, "floats", 0),
		.hists = (uint64_t)ctlmark_get_num(w->mark, "hists", 0),
		.bad = (uint64_t)ctlmark_get_num(w->mark, "bad", 0),
		.passed = (uint64_t)ctlmark_get_num(w->mark, "passed", 0),
	};
	w->told_samples = w->counts.floats + w->counts.hists;
	const char *host = strstr(ctlhttp_server(http), "://");
	host = host ? host + 3 : "";
	struct ctlpush_opts o = { .http = http,
		.samples_per_s = w->rate,
		.no_pack = !strncmp(host, "127.", 4) || !strncmp(host, "localhost", 9) ||
		    !strncmp(host, "[::1]", 5) };
	return ctlpush_open(&o, &w->push);
}

const char *impwork_place(const struct impwork *w, const char *unit)
{
	return w->mark ? ctlmark_get(w->mark, unit) : NULL;
}

void impwork_unit(struct impwork *w, const char *unit)
{
	snprintf(w->unit, sizeof(w->unit), "%s", unit);
}

static bool is_wanted(const struct impwork *w, struct labels labels)
{
	for (size_t i = 0; i < w->matches_count; i++)
		if (matcher_labels(w->sets[i].items, w->sets[i].count, labels) == REX_YES)
			return true;
	return !w->matches_count;
}

int impwork_series(struct impwork *w, const struct ctlpush_series *s, bool *wanted)
{
	struct ctlpush_series mine = *s;
	*wanted = w->wanted = is_wanted(w, s->labels);
	w->fresh = true;
	if (!w->wanted || w->dry_run)
		return ctl_stopped() ? CTL_INTERRUPTED : CTL_OK;
	if (w->labels_count) {
		struct label_builder b;
		arena_reset(&w->one, SIZE_MAX);
		label_builder_from(&b, &w->one, s->labels);
		for (size_t i = 0; i < w->labels_count; i++) {
			const char *eq = strchr(w->labels[i], '=');
			label_builder_set(
			    &b, w->labels[i], (size_t)(eq - w->labels[i]), eq + 1, strlen(eq + 1));
		}
		mine.labels = label_builder_done(&b);
	}
	return ctlpush_series(w->push, &mine);
}

static int give(struct impwork *w, const struct sample_column *s, uint32_t from, uint32_t to)
{
	struct sample_column part = { .count = to - from, .t_ms = s->t_ms + from, .v = s->v + from };
	part.h = s->h ? s->h + from : NULL;
	part.start_ms = s->start_ms ? s->start_ms + from : NULL;
	w->counts.passed += s->count - part.count;
	if (!part.count)
		return ctl_stopped() ? CTL_INTERRUPTED : CTL_OK;
	uint64_t hists = 0;
	for (uint32_t i = 0; part.h && i < part.count; i++)
		hists += part.h[i] != NULL;
	w->counts.series += w->fresh;
	w->fresh = false;
	w->counts.hists += hists;
	w->counts.floats += part.count - hists;
	return w->dry_run ? (ctl_stopped() ? CTL_INTERRUPTED : CTL_OK)
	                  : ctlpush_samples(w->push, &part);
}

int impwork_samples(struct impwork *w, const struct sample_column *s)
{
	uint32_t from = 0, to = s->count;
	if (!w->wanted) {
		w->counts.passed += s->count;
		return CTL_OK;
	}
	while (from < to && s->t_ms[from] < w->t_from_ms)
		from++;
	while (to > from && s->t_ms[to - 1] > w->t_to_ms)
		to--;
	return give(w, s, from, to);
}

static void keep(struct impwork *w, const char *place)
{
	if (w->list_count == w->list_cap) {
		size_t cap = w->list_cap ? w->list_cap * 2 : 64;
		struct impwork_at *list = mem_array(NULL, cap, sizeof(*list));
		for (size_t i = 0; i < w->list_count; i++)
			list[i] = w->list[(w->list_first + i) % w->list_cap];
		mem_free(w->list);
		w->list = list;
		w->list_cap = cap;
		w->list_first = 0;
	}
	struct impwork_at *a = &w->list[(w->list_first + w->list_count++) % w->list_cap];
	a->seq = ++w->seq;
	a->counts = w->counts;
	snprintf(a->unit, sizeof(a->unit), "%s", w->unit);
	snprintf(a->place, sizeof(a->place), "%s", place);
	ctlpush_at(w->push, w->seq);
}

void impwork_at(struct impwork *w, const char *place)
{
	uint64_t samples = w->counts.floats + w->counts.hists + w->counts.passed;
	if (w->dry_run || samples - w->told_samples < AT_SAMPLES)
		return;
	w->told_samples = samples;
	keep(w, place);
	uint64_t now = clock_real_mono_ns();
	if (now - w->saved_ns < SAVE_NS)
		return;
	w->saved_ns = now;
	if (w->not_saved) /* told once; the end tries again */
		take_acked(w);
	else
		w->not_saved = save(w) != CTL_OK;
}

int impwork_unit_done(struct impwork *w)
{
	if (w->dry_run)
		return CTL_OK;
	keep(w, "done");
	return save(w);
}

int impwork_bad(struct impwork *w, const char *fmt, ...)
{
	char text[600];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->counts.bad++ < BAD_TOLD)
		ctl_note(
		    "%s%s", text, w->counts.bad == BAD_TOLD ? " (more are counted, not told)" : "");
	return w->strict ? CTL_DAMAGED : CTL_OK;
}

int impwork_finish(struct impwork *w, int status)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (w->dry_run || !w->push)
		return status;
	int pushed = ctlpush_finish(w->push);
	status = status ? status : pushed;
	int saved = status ? save(w) : CTL_OK;
	if (!status && ctlmark_done(w->mark, &eb))
		saved = ctl_fail(CTL_LOCAL, "%s", eb.text);
	return status ? status : saved;
}

void impwork_close(struct impwork *w)
{
	for (size_t i = 0; i < w->matches_count; i++)
		for (size_t k = 0; k < w->sets[i].count; k++)
			matcher_release(&w->sets[i].items[k]);
	ctlpush_close(w->push);
	ctlmark_close(w->mark);
	mem_free(w->list);
	arena_release(&w->one);
	arena_release(&w->arena);
}
