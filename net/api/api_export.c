#include "net/api/api_export.h"

#include "net/api/apierr.h"
#include "net/api/asksets.h"
#include "net/api/outpour.h"
#include "proto/exportfmt.h"

struct export_ask { /* in the request's arena */
	struct outpour out;
	struct asksets asked;
	uint32_t rows; /* of a line, at most */
	struct exportfmt_csv csv;
};

static struct export_ask *of(struct req *r)
{
	return CONTAINER_OF(r->own, struct export_ask, out);
}

/* --- on the loops of shards --- */

static uint32_t until(const struct source_item *item, uint32_t at, uint32_t most)
{
	uint32_t left = item->col.count - at;
	return at + (left < most ? left : most);
}

static bool put_lines(
    const void *arg, const struct source_item *item, uint32_t *at, size_t *own, struct buf *out)
{
	(void)own;
	const struct export_ask *x = arg;
	uint32_t stop = until(item, *at, POUR_SAMPLES);
	while (*at < stop) {
		uint32_t to = *at + (stop - *at < x->rows ? stop - *at : x->rows);
		exportfmt_line(out, item->labels, &item->col, *at, to);
		*at = to;
	}
	return *at == item->col.count;
}

static bool put_rows(
    const void *arg, const struct source_item *item, uint32_t *at, size_t *own, struct buf *out)
{
	(void)own;
	const struct export_ask *x = arg;
	uint32_t to = until(item, *at, POUR_SAMPLES);
	exportfmt_rows(out, &x->csv, item->labels, &item->col, *at, to);
	*at = to;
	return to == item->col.count;
}

/* --- the request --- */

static void made(struct asksets *s)
{
	struct export_ask *x = CONTAINER_OF(s, struct export_ask, asked);
	outpour_start(&x->out);
}

static void late(struct ask *a)
{
	outpour_stop(&of(a->req)->out, ERR_TIMEOUT);
}

static void left(struct req *r)
{
	struct export_ask *x = of(r);
	if (!ask_left(&x->asked.ask))
		outpour_stop(&x->out, ERR_CANCELED);
}

static void sent(struct req *r)
{
	asksets_end(&of(r)->asked);
}

static struct export_ask *export_new(struct req *r, struct urlq *u)
{
	struct export_ask *x = arena_zalloc(&r->arena, sizeof(*x));
	struct pour_opts *o = &x->out.opts;
	if (!param_parse_strict(r, u))
		return NULL;
	if (!urlq_has(u, "match[]")) {
		apierr_jsonf(r, ERR_BADDATA, "no match[] parameter provided");
		return NULL;
	}
	if (!param_time(r, u, "start", PARAM_TIME_MIN, &o->t_min_ms) ||
	    !param_time(r, u, "end", PARAM_TIME_MAX, &o->t_max_ms))
		return NULL;
	o->sets = &x->asked.sets;
	o->tenants = r->tenants;
	o->tenants_count = r->tenants_count;
	o->encode_arg = x;
	x->out.ask = &x->asked.ask;
	x->asked.made = made;
	x->asked.ask.late = late;
	return x;
}

static void export_start(struct export_ask *x, struct req *r, const struct urlq *u)
{
	r->own = &x->out;
	r->on_gone = left;
	r->on_done = sent;
	asksets_start(&x->asked, r, u, api_timeout_ms(r));
}

void api_export(struct req *r)
{
	struct urlq u;
	size_t len;
	uint64_t rows = 0;
	struct export_ask *x = export_new(r, &u);
	if (!x)
		return;
	const char *s = urlq_get(&u, "max_rows_per_line", &len);
	if (len && num_parse_u64(s, len, &rows)) {
		apierr_param(r, "max_rows_per_line", "it must be a number that is not negative");
		return;
	}
	x->rows = rows && rows < POUR_SAMPLES ? (uint32_t)rows : POUR_SAMPLES;
	x->out.content_type = "application/stream+json";
	x->out.opts.encode = put_lines;
	export_start(x, r, &u);
}

void api_export_csv(struct req *r)
{
	struct urlq u;
	size_t len;
	struct errbuf eb;
	errbuf_init(&eb);
	struct export_ask *x = export_new(r, &u);
	if (!x)
		return;
	const char *s = urlq_get(&u, "format", &len);
	if (exportfmt_csv_parse(&r->arena, s, len, &x->csv, &eb)) {
		apierr_param(r, "format", eb.text);
		return;
	}
	x->out.content_type = "text/csv; charset=utf-8";
	x->out.head = arena_printf(&r->arena, "%.*s\n", (int)len, s);
	x->out.head_len = len + 1;
	x->out.opts.encode = put_rows;
	export_start(x, r, &u);
}
