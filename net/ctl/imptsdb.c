#include "net/ctl/imptsdb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/num.h"
#include "net/ctl/ctlsame.h"
#include "storage/block/bhead.h"
#include "storage/block/bread.h"

#define VERIFY_MS (6 * 3600 * INT64_C(1000))
#define TIME_MOST (INT64_C(1) << 60) /* of what a block says of itself */

static bool within(const struct impwork *w, const struct bmeta *m)
{
	return m->t_max_ms > w->t_from_ms && m->t_min_ms <= w->t_to_ms;
}

static int64_t near(int64_t t)
{
	return t < -TIME_MOST ? -TIME_MOST : t > TIME_MOST ? TIME_MOST : t;
}

bool imptsdb_is(const char *path, const struct impwork *w, struct imptsdb_size *out)
{
	struct bdir d;
	struct errbuf eb;
	errbuf_init(&eb);
	*out = (struct imptsdb_size){ .t_min_ms = INT64_MAX, .t_max_ms = INT64_MIN };
	if (bdir_scan(path, &d, &eb))
		return false;
	for (size_t i = 0; i < d.count; i++) {
		const struct bdir_block *b = &d.blocks[i];
		out->blocks += !b->err;
		out->broken += b->err != 0;
		if (b->err || !within(w, &b->meta))
			continue;
		out->samples += b->meta.samples;
		int64_t from = near(b->meta.t_min_ms), to = near(b->meta.t_max_ms);
		out->t_min_ms = from < out->t_min_ms ? from : out->t_min_ms;
		out->t_max_ms = to > out->t_max_ms ? to : out->t_max_ms;
	}
	out->head = d.has_wal;
	bdir_release(&d);
	return out->blocks || out->broken || out->head;
}

static void on_damage(void *arg, const char *file, uint64_t offset, const char *what)
{
	struct impwork *w = arg;
	(void)!impwork_bad(w, "%s at byte %" PRIu64 ": %s", file, offset, what);
}

static uint64_t given(const struct impwork *w)
{
	return w->counts.floats + w->counts.hists + w->counts.passed;
}

static int give(struct impwork *w, const struct bread_item *it, bool same)
{
	bool wanted = w->wanted;
	int status = CTL_OK;
	if (!same) {
		struct ctlpush_series s = { .labels = it->labels };
		status = impwork_series(w, &s, &wanted);
	}
	if (status)
		return status;
	struct sample_column c = column_view(it->column, 0, it->column->count);
	status = impwork_samples(w, &c);
	ctlprog_tell(&w->prog, (double)given(w));
	return w->strict && w->counts.bad ? CTL_DAMAGED : status;
}

static int walk_block(struct impwork *w, struct bread *b, uint32_t after)
{
	struct errbuf eb;
	struct bread_item it;
	char place[32];
	int status = CTL_OK;
	uint32_t last = 0;
	errbuf_init(&eb);
	struct bread_walk walk = {
		.t_from_ms = w->t_from_ms, .t_to_ms = w->t_to_ms, .after_ref = after
	};
	if (w->matches_count == 1) {
		walk.matchers = w->sets[0].items;
		walk.matchers_count = w->sets[0].count;
	}
	enum err e = bread_walk(b, &walk, &eb);
	while (!e && !status && !(e = bread_next(b, &it, &eb))) {
		if (last && it.ref != last) {
			place[num_fmt_i64(last, place)] = 0;
			impwork_at(w, place);
		}
		status = give(w, &it, it.ref == last);
		last = it.ref;
	}
	if (e && e != ERR_NOTFOUND && !status)
		status = impwork_bad(w, "%s", eb.text);
	return status ? status : e == ERR_NOTFOUND ? CTL_OK : CTL_DAMAGED;
}

/* A block that cannot be read costs itself alone. */
static int one_block(struct impwork *w, const char *path, const char *unit)
{
	struct errbuf eb;
	struct bread *b;
	const char *place = impwork_place(w, unit);
	uint64_t after = 0;
	errbuf_init(&eb);
	if (place && !strcmp(place, "done"))
		return CTL_OK;
	if (place && num_parse_u64(place, strlen(place), &after))
		after = 0;
	struct bdamage damage = { .told = on_damage, .arg = w };
	if (bread_open(path, &damage, &b, &eb))
		return impwork_bad(w, "%s: %s", path, eb.text);
	impwork_unit(w, unit);
	int status = walk_block(w, b, (uint32_t)after);
	bread_close(b);
	return status ? status : impwork_unit_done(w);
}

static int head(struct impwork *w, const char *path, int64_t from_ms, const char *unit)
{
	struct errbuf eb;
	struct bhead *h;
	struct bread_item it;
	const char *place = impwork_place(w, unit);
	errbuf_init(&eb);
	if (place && !strcmp(place, "done"))
		return CTL_OK;
	struct bhead_opts o = { .from_ms = from_ms,
		.t_from_ms = w->t_from_ms,
		.t_to_ms = w->t_to_ms,
		.damage = { .told = on_damage, .arg = w } };
	if (w->matches_count == 1) {
		o.matchers = w->sets[0].items;
		o.matchers_count = w->sets[0].count;
	}
	if (bhead_open(path, &o, &h, &eb))
		return impwork_bad(w, "%s: its head: %s", path, eb.text);
	impwork_unit(w, unit);
	int status = CTL_OK;
	enum err e = ERR_OK;
	while (!status && !(e = bhead_next(h, &it, NULL, &eb)))
		status = give(w, &it, false);
	if (!status && e != ERR_NOTFOUND)
		status = impwork_bad(w, "%s: its head: %s", path, eb.text);
	bhead_close(h);
	return status ? status : impwork_unit_done(w);
}

int imptsdb(struct impwork *w, const char *path, const char *prefix)
{
	struct bdir d;
	struct errbuf eb;
	char unit[128];
	int status = CTL_OK;
	errbuf_init(&eb);
	enum err e = bdir_scan(path, &d, &eb);
	if (e)
		return ctl_fail(ctl_exit_of(e), "%s: %s", path, eb.text);
	for (size_t i = 0; i < d.count && !status; i++) {
		const struct bdir_block *b = &d.blocks[i];
		char *where = bdir_path(path, &d, i);
		snprintf(unit, sizeof(unit), "%s%s", prefix, b->ulid.text);
		if (b->err)
			status = impwork_bad(w, "%s: %s", where, b->trouble);
		else if (within(w, &b->meta))
			status = one_block(w, where, unit);
		mem_free(where);
	}
	snprintf(unit, sizeof(unit), "%shead", prefix);
	if (!status && d.has_wal)
		status = head(w, path, d.head_from_ms, unit);
	bdir_release(&d);
	return status;
}

/* --- verification --- */

static int check_item(struct impwork *w, struct ctlsrc *src, struct bread *b, uint32_t ref,
    int64_t from, uint64_t *checked, uint64_t *differ)
{
	struct arena a;
	struct labels ls;
	struct column c = { 0 }, there = { 0 };
	struct errbuf eb;
	errbuf_init(&eb);
	arena_init(&a, 4096);
	int64_t to = from + VERIFY_MS;
	from = from > w->t_from_ms ? from : w->t_from_ms;
	to = to < w->t_to_ms ? to : w->t_to_ms;
	int status = CTL_OK;
	enum err e = from > to ? ERR_NOTFOUND : bread_series(b, ref, from, to, &a, &ls, &c, &eb);
	if (!e && c.count) {
		struct labels asked = ls;
		if (w->labels_count) {
			struct label_builder lb;
			label_builder_from(&lb, &a, ls);
			for (size_t i = 0; i < w->labels_count; i++) {
				const char *eq = strchr(w->labels[i], '=');
				label_builder_set(&lb, w->labels[i], (size_t)(eq - w->labels[i]),
				    eq + 1, strlen(eq + 1));
			}
			asked = label_builder_done(&lb);
		}
		status = ctlsame_read(src, asked, from, to, &there);
		bool good = !status && ctlsame_within(&c, &there);
		*checked += 1;
		*differ += !status && !good;
		if (!status && !good) {
			struct buf text;
			buf_init(&text);
			label_text_metric(&text, asked);
			ctl_note("differs: %.*s, from %" PRId64 " to %" PRId64
			         " ms: %u samples in the block, %u on the server",
			    (int)text.len, (const char *)text.data, from, to, c.count, there.count);
			buf_release(&text);
		}
	}
	column_release(&c);
	column_release(&there);
	arena_release(&a);
	return status;
}

static int verify_block(struct impwork *w, struct ctlsrc *src, const char *path,
    const struct bmeta *m, unsigned series, uint64_t *checked, uint64_t *differ)
{
	struct errbuf eb;
	struct bread *b;
	struct bread_item it;
	struct bdamage quiet = { 0 };
	int status = CTL_OK;
	uint64_t every = m->series / (series ? series : 1), n = 0;
	uint32_t *refs = mem_array(NULL, series + 1, sizeof(*refs));
	unsigned count = 0;
	errbuf_init(&eb);
	every = every ? every : 1;
	if (bread_open(path, &quiet, &b, &eb)) {
		mem_free(refs);
		return CTL_OK; /* told by the import */
	}
	/* One sample of each is enough to learn the references. */
	struct bread_walk walk = { .t_from_ms = w->t_from_ms, .t_to_ms = w->t_to_ms };
	if (w->matches_count == 1) {
		walk.matchers = w->sets[0].items;
		walk.matchers_count = w->sets[0].count;
	}
	enum err e = bread_walk(b, &walk, &eb);
	uint32_t last = 0;
	uint64_t pick = (uint64_t)random() % every;
	while (!e && count < series && !(e = bread_next(b, &it, &eb))) {
		if (it.ref != last && n++ % every == pick)
			refs[count++] = it.ref;
		last = it.ref;
		if (ctl_stopped())
			break;
	}
	int64_t begin = near(m->t_min_ms), width = near(m->t_max_ms) - begin;
	for (unsigned i = 0; i < count && !status && !ctl_stopped(); i++) {
		int64_t from = begin +
		    (width > VERIFY_MS
		            ? (int64_t)((uint64_t)random() * 1000 % (uint64_t)(width - VERIFY_MS))
		            : 0);
		status = check_item(w, src, b, refs[i], from, checked, differ);
	}
	bread_close(b);
	mem_free(refs);
	return status ? status : ctl_stopped() ? CTL_INTERRUPTED : CTL_OK;
}

int imptsdb_verify(
    struct impwork *w, const char *path, unsigned series, uint64_t *checked, uint64_t *differ)
{
	struct bdir d;
	struct errbuf eb;
	errbuf_init(&eb);
	srandom((unsigned)clock_real_mono_ns());
	enum err e = bdir_scan(path, &d, &eb);
	if (e)
		return ctl_fail(ctl_exit_of(e), "%s: %s", path, eb.text);
	size_t good = d.count > d.broken ? d.count - d.broken : 1;
	unsigned each = series / (unsigned)good + 1;
	struct ctlsrc *src = NULL;
	struct ctlsrc_opts o = { .http = w->http, .way = CTLSRC_READ };
	int status = ctlsrc_open(&o, &src);
	for (size_t i = 0; i < d.count && !status; i++) {
		if (d.blocks[i].err || !within(w, &d.blocks[i].meta))
			continue;
		char *where = bdir_path(path, &d, i);
		status = verify_block(w, src, where, &d.blocks[i].meta, each, checked, differ);
		mem_free(where);
	}
	ctlsrc_close(src);
	bdir_release(&d);
	return status;
}
