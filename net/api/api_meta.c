#include "net/api/api_meta.h"

#include "core/base/json.h"
#include "core/base/metric.h"

#include "net/api/apierr.h"
#include "net/api/scan.h"
#include "proto/promjson.h"

#include <stdlib.h>

#define PIECE_BYTES (32u << 10)
#define TRUNCATED   "results truncated due to limit"

/* --- series, labels, values --- */

struct meta_scan { /* in the request's arena */
	struct req *req;
	struct scan *scan;
	struct scan_opts o;
	struct param_sets sets;
	uint64_t limit;
	bool done, begun;
	size_t at; /* next item to encode */
};

static void scanned(void *arg, struct scan *s);
static enum req_pull pull(struct req *r, struct buf *out);

static void left(struct req *r)
{
	struct meta_scan *m = r->own;
	if (!m->done)
		scan_cancel(m->scan);
}

static void sent(struct req *r)
{
	struct meta_scan *m = r->own;
	scan_free(m->scan);
	param_sets_release(&m->sets);
}

/* limit, start, end, match[]: the order of Prometheus. */
static void scan_request(
    struct req *r, const struct urlq *u, enum source_what what, const char *label, size_t label_len)
{
	struct meta_scan *m = arena_zalloc(&r->arena, sizeof(*m));
	m->req = r;
	m->o = (struct scan_opts){ .what = what,
		.label = label,
		.label_len = label_len,
		.sets = &m->sets,
		.done = scanned,
		.arg = m };
	if (!param_limit(r, u, &m->limit) ||
	    !param_time(r, u, "start", PARAM_TIME_MIN, &m->o.t_min_ms) ||
	    !param_time(r, u, "end", PARAM_TIME_MAX, &m->o.t_max_ms) ||
	    !param_sets(r, u, what == SOURCE_SERIES, &m->sets))
		return;
	m->o.items_max = m->limit;
	r->own = m;
	r->on_gone = left;
	r->on_done = sent;
	m->scan = scan_start(api_of(r), &m->o);
}

void api_meta_series(struct req *r)
{
	struct urlq u;
	if (!param_parse_strict(r, &u))
		return;
	if (!urlq_has(&u, "match[]"))
		apierr_jsonf(r, ERR_BADDATA, "no match[] parameter provided");
	else
		scan_request(r, &u, SOURCE_SERIES, NULL, 0);
}

void api_meta_labels(struct req *r)
{
	struct urlq u;
	if (param_parse(r, &u))
		scan_request(r, &u, SOURCE_LABEL_NAMES, NULL, 0);
}

void api_meta_label_values(struct req *r)
{
	struct urlq u;
	struct errbuf eb;
	const char *name;
	size_t len;
	errbuf_init(&eb);
	if (urlq_label_name(&r->arena, r->param, r->param_len, &name, &len, &eb)) {
		apierr_json(r, ERR_BADDATA, eb.text, strlen(eb.text));
		return;
	}
	if (param_parse(r, &u))
		scan_request(r, &u, SOURCE_LABEL_VALUES, name, len);
}

static void scanned(void *arg, struct scan *s)
{
	struct meta_scan *m = arg;
	const char *text;
	m->done = true;
	metric_add(M_META_TRUNCATED, scan_truncated(s));
	enum err err = scan_err(s, &text);
	if (err)
		apierr_json(m->req, err, text, strlen(text));
	else if (!req_hold(m->req, scan_bytes(s)))
		req_refuse_overloaded(m->req, "the answer needs more memory than there is now");
	else
		req_reply_stream(m->req, 200, "application/json", pull);
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct meta_scan *m = r->own;
	const struct scan *s = m->scan;
	size_t full = out->len + PIECE_BYTES, count = scan_count(s);
	if (!m->begun) {
		promjson_begin(out);
		buf_add_u8(out, '[');
		m->begun = true;
	}
	for (; m->at < count; m->at++) {
		size_t len;
		const char *item = scan_item(s, m->at, &len);
		if (out->len >= full)
			return REQ_MORE;
		if (m->o.what == SOURCE_SERIES)
			promjson_item_labels(out, m->at == 0,
			    (struct labels){ (const uint8_t *)item, (uint32_t)len });
		else
			promjson_item_string(out, m->at == 0, item, len);
	}
	struct promjson_notes w = { .count = 0 };
	size_t n = 0;
	if (scan_truncated(s))
		w.extra[n++] = TRUNCATED;
	for (size_t i = 0; n < COUNT_OF(w.extra) && scan_warning(s, i); i++)
		w.extra[n++] = scan_warning(s, i);
	buf_add_u8(out, ']');
	promjson_end(out, &w, NULL);
	return REQ_END;
}

/* --- metadata --- */

struct meta_families {
	struct req *req;
	struct arena arena; /* filled on another loop, so not the request's */
	struct store_meta_req ask;
	struct work_task sort;
	int64_t limit, limit_per_metric; /* limit < 0 and limit_per_metric <= 0: all */
	/* Of the answer. */
	size_t at;
	int64_t families, of_family;
	bool begun, open; /* open: a family's list */
};

static enum req_pull families_pull(struct req *r, struct buf *out);

static void families_sent(struct req *r)
{
	struct meta_families *f = r->own;
	arena_release(&f->arena);
}

static int family_cmp(const void *x, const void *y)
{
	const struct batch_meta *a = x, *b = y;
	uint32_t n = a->family_len < b->family_len ? a->family_len : b->family_len;
	int c = n ? memcmp(a->family, b->family, n) : 0;
	return c ? c : (a->family_len > b->family_len) - (a->family_len < b->family_len);
}

static void families_sort(struct work_task *t)
{
	struct meta_families *f = CONTAINER_OF(t, struct meta_families, sort);
	if (f->ask.count)
		qsort(f->ask.metas, f->ask.count, sizeof(*f->ask.metas), family_cmp);
}

static void families_sorted(struct work_task *t)
{
	struct meta_families *f = CONTAINER_OF(t, struct meta_families, sort);
	size_t bytes = f->ask.count * sizeof(*f->ask.metas);
	for (size_t i = 0; i < f->ask.count; i++) {
		const struct batch_meta *m = &f->ask.metas[i];
		bytes += (size_t)m->family_len + m->help_len + m->unit_len;
	}
	if (!req_hold(f->req, bytes))
		req_refuse_overloaded(f->req, "too many answers wait for their readers");
	else
		req_reply_stream(f->req, 200, "application/json", families_pull);
}

/* Hundreds of thousands of families are no work for one turn. */
static void families_done(struct store_meta_req *ask)
{
	struct meta_families *f = CONTAINER_OF(ask, struct meta_families, ask);
	f->sort =
	    (struct work_task){ .run = families_sort, .done = families_sorted, .prio = WORK_READ };
	work_submit(api_of(f->req)->opts.pool, &f->sort);
}

/* Another family begins at m; false: it is one more than wanted. */
static bool family_begin(struct meta_families *f, const struct batch_meta *m, struct buf *out)
{
	if (f->open)
		buf_add_u8(out, ']');
	f->open = false;
	if (f->limit >= 0 && f->families >= f->limit)
		return false;
	if (f->families++)
		buf_add_u8(out, ',');
	json_str(out, m->family, m->family_len);
	buf_add_str(out, ":[");
	f->open = true;
	f->of_family = 0;
	return true;
}

static enum req_pull families_pull(struct req *r, struct buf *out)
{
	struct meta_families *f = r->own;
	const struct batch_meta *m = f->ask.metas;
	size_t full = out->len + PIECE_BYTES;
	if (!f->begun) {
		promjson_begin(out);
		buf_add_u8(out, '{');
		f->begun = true;
	}
	for (; f->at < f->ask.count; f->at++) {
		size_t i = f->at;
		if (out->len >= full)
			return REQ_MORE;
		if ((!i || family_cmp(&m[i], &m[i - 1])) && !family_begin(f, &m[i], out))
			break;
		if (f->limit_per_metric > 0 && f->of_family >= f->limit_per_metric)
			continue;
		if (f->of_family++)
			buf_add_u8(out, ',');
		promjson_meta(out, promjson_meta_type(m[i].type), m[i].help, m[i].help_len,
		    m[i].unit, m[i].unit_len);
	}
	buf_add_str(out, f->open ? "]}" : "}");
	promjson_end(out, NULL, NULL);
	return REQ_END;
}

/* Limits of the metadata endpoints: any number, absent = all. */
static bool number(struct req *r, const struct urlq *u, const char *key, int64_t *out)
{
	size_t len;
	const char *s = urlq_get(u, key, &len);
	*out = -1;
	if (!len || !num_parse_i64(s, len, out))
		return true;
	apierr_jsonf(r, ERR_BADDATA, "%s must be a number", key);
	return false;
}

void api_meta_metadata(struct req *r)
{
	struct urlq u;
	struct meta_families *f = arena_zalloc(&r->arena, sizeof(*f));
	size_t len;
	if (!param_parse(r, &u) || !number(r, &u, "limit", &f->limit) ||
	    !number(r, &u, "limit_per_metric", &f->limit_per_metric))
		return;
	const char *metric = urlq_get(&u, "metric", &len);
	f->req = r;
	arena_init(&f->arena, 4096);
	f->ask = (struct store_meta_req){ .arena = &f->arena,
		.family = len ? metric : NULL,
		.family_len = len,
		.done = families_done };
	r->own = f;
	r->on_done = families_sent;
	store_meta(api_of(r)->store, 0, &f->ask);
}

void api_meta_targets(struct req *r)
{
	struct urlq u;
	struct buf b;
	if (!param_parse(r, &u))
		return;
	buf_init(&b);
	promjson_begin(&b);
	buf_add_str(&b, "[]");
	promjson_end(&b, NULL, NULL);
	req_reply_buf(r, 200, "application/json", &b);
}
