#include "net/api/api_meta.h"

#include "core/base/bytes.h"
#include "core/base/json.h"
#include "core/base/metric.h"

#include "core/base/msort.h"
#include "core/rt/job.h"
#include "net/api/apierr.h"
#include "net/api/ask.h"
#include "net/api/scan.h"
#include "proto/promjson.h"

#define PIECE_BYTES (32u << 10)
#define SORT_STEPS  256u /* between looks at the clock */
#define TRUNCATED   "results truncated due to limit"
#define META_NS     ((uint64_t)API_META_MS_MAX * 1000000)

/* --- series, labels, values --- */

struct meta_scan { /* in the request's arena */
	struct ask ask;
	struct req *req;
	struct urlq u;
	struct scan *scan;
	struct scan_opts o;
	struct param_sets sets;
	const struct limits *limits;
	enum err err; /* of sets */
	struct errbuf eb;
	uint64_t limit;
	bool done, begun;
	size_t given; /* items */
};

static void scan_go(struct ask *a);
static void scan_late(struct ask *a);
static void scanned(void *arg, struct scan *s);
static enum req_pull pull(struct req *r, struct buf *out);

static void left(struct req *r)
{
	struct meta_scan *m = r->own;
	if (!ask_left(&m->ask) && m->scan && !m->done)
		scan_cancel(m->scan, ERR_CANCELED);
}

static void sent(struct req *r)
{
	struct meta_scan *m = r->own;
	scan_free(m->scan);
	param_sets_release(&m->sets);
	ask_end(&m->ask);
}

/*
 * limit, start, end, match[]: the order of Prometheus. Selectors are read when there is a ticket.
 */
static void scan_request(
    struct req *r, const struct urlq *u, enum source_what what, const char *label, size_t label_len)
{
	struct meta_scan *m = arena_zalloc(&r->arena, sizeof(*m));
	m->req = r;
	m->u = *u;
	m->ask.go = scan_go;
	m->ask.late = scan_late;
	m->o = (struct scan_opts){ .what = what,
		.label = label,
		.label_len = label_len,
		.sets = &m->sets,
		.tenants = r->tenants,
		.tenants_count = r->tenants_count,
		.deadline_ns = loop_now_ns(r->loop) + META_NS,
		.done = scanned,
		.arg = m };
	if (!param_limit(r, u, &m->limit) ||
	    !param_time(r, u, "start", PARAM_TIME_MIN, &m->o.t_min_ms) ||
	    !param_time(r, u, "end", PARAM_TIME_MAX, &m->o.t_max_ms))
		return;
	m->o.items_max = m->limit;
	r->own = m;
	r->on_gone = left;
	r->on_done = sent;
	ask_start(&m->ask, r, API_META_MS_MAX, r->query, r->query_len);
}

/* On the loop or on a worker. */
static void sets_make(struct ask *a)
{
	struct meta_scan *m = CONTAINER_OF(a, struct meta_scan, ask);
	errbuf_init(&m->eb);
	m->err = param_sets(
	    &m->req->arena, &m->u, m->limits, m->o.what == SOURCE_SERIES, &m->sets, &m->eb);
}

static void sets_made(struct ask *a)
{
	struct meta_scan *m = CONTAINER_OF(a, struct meta_scan, ask);
	if (a->left && !m->err)
		m->err = errbuf_set(&m->eb, ERR_CANCELED, "query was canceled in query execution");
	if (m->err) {
		m->done = true;
		ask_worked_out(a);
		apierr_json(m->req, m->err, m->eb.text, strlen(m->eb.text));
		return;
	}
	m->o.ticket = a->ticket;
	m->scan = scan_start(api_of(m->req)->source, &m->o);
}

static void scan_go(struct ask *a)
{
	struct meta_scan *m = CONTAINER_OF(a, struct meta_scan, ask);
	m->limits = limits_here();
	ask_work(a, param_sets_costly(&m->u), sets_make, sets_made);
}

/* What runs is cut at its deadline; what still waits for a place has nothing to cut. */
static void scan_late(struct ask *a)
{
	struct meta_scan *m = CONTAINER_OF(a, struct meta_scan, ask);
	if (m->scan && !m->done && scan_waits(m->scan))
		scan_cancel(m->scan, ERR_TIMEOUT);
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
	ask_worked_out(&m->ask);
	enum err err = scan_err(s, &text);
	if (err) {
		apierr_json(m->req, err, text, strlen(text));
	} else if (!req_hold(m->req, purse_used(ticket_purse(m->ask.ticket)))) {
		req_refuse_overloaded(m->req, "the answer needs more memory than there is now");
	} else {
		req_reply_stream(m->req, 200, "application/json", pull);
		return;
	}
	scan_free(s); /* however long the client takes to read why */
	m->scan = NULL;
}

static void pull_end(struct meta_scan *m, struct buf *out)
{
	struct promjson_notes w = { .count = 0 };
	size_t n = 0;
	metric_add(M_META_TRUNCATED, scan_truncated(m->scan));
	if (scan_truncated(m->scan))
		w.extra[n++] = TRUNCATED;
	for (size_t i = 0; n < COUNT_OF(w.extra) && scan_warning(m->scan, i); i++)
		w.extra[n++] = scan_warning(m->scan, i);
	buf_add_u8(out, ']');
	promjson_end(out, &w, NULL);
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct meta_scan *m = r->own;
	size_t full = out->len + PIECE_BYTES, len;
	const char *item;
	if (!m->begun) {
		promjson_begin(out);
		buf_add_u8(out, '[');
		m->begun = true;
	}
	while (out->len < full) {
		if (!(item = scan_next(m->scan, &len))) {
			pull_end(m, out);
			return REQ_END;
		}
		if (m->o.what == SOURCE_SERIES)
			promjson_item_labels(out, m->given++ == 0,
			    (struct labels){ (const uint8_t *)item, (uint32_t)len });
		else
			promjson_item_string(out, m->given++ == 0, item, len);
	}
	return REQ_MORE;
}

/* --- metadata --- */

struct meta_families {
	struct ask ask;
	struct req *req;
	/* filled on another loop, so not the request's; of the ticket's purse */
	struct arena arena;
	struct store_meta_req asked;
	struct job job; /* sorts */
	struct msort sort;
	struct loop_deferred sorted;
	int64_t limit, limit_per_metric; /* limit < 0 and limit_per_metric <= 0: all */
	/* Of the answer. */
	size_t at;
	int64_t families, of_family;
	bool begun, open; /* open: a family's list */
};

static enum req_pull families_pull(struct req *r, struct buf *out);

static void families_left(struct req *r)
{
	struct meta_families *f = r->own;
	ask_left(&f->ask); /* what has begun is short */
}

static void families_sent(struct req *r)
{
	struct meta_families *f = r->own;
	arena_release(&f->arena);
	ask_end(&f->ask);
}

static int family_cmp(const void *x, const void *y)
{
	const struct batch_meta *a = x, *b = y;
	return bytes_cmp(a->family, a->family_len, b->family, b->family_len);
}

/* What one tenant says of a family stands beside what another one says, once. */
static int meta_cmp(const void *x, const void *y)
{
	const struct batch_meta *a = x, *b = y;
	int c = family_cmp(a, b);
	c = c ? c : (a->type > b->type) - (a->type < b->type);
	c = c ? c : bytes_cmp(a->help, a->help_len, b->help, b->help_len);
	return c ? c : bytes_cmp(a->unit, a->unit_len, b->unit, b->unit_len);
}

/* The job is over, its loop has forgotten it. */
static void families_sorted(struct loop_deferred *d)
{
	struct meta_families *f = CONTAINER_OF(d, struct meta_families, sorted);
	struct purse *purse = ticket_purse(f->ask.ticket);
	ask_worked_out(&f->ask);
	if (purse_over(purse))
		ask_no_room(&f->ask);
	else if (!req_hold(f->req, purse_used(purse)))
		req_refuse_overloaded(f->req, "too many answers wait for their readers");
	else
		req_reply_stream(f->req, 200, "application/json", families_pull);
}

/* Hundreds of thousands of families are no work for one turn. */
static enum job_state families_sort(struct job *j)
{
	struct meta_families *f = CONTAINER_OF(j, struct meta_families, job);
	while (!purse_over(ticket_purse(f->ask.ticket)) && !msort_run(&f->sort, SORT_STEPS))
		if (job_should_yield())
			return JOB_YIELD;
	f->sorted.fn = families_sorted;
	loop_defer(f->req->loop, &f->sorted);
	return JOB_DONE;
}

static void families_done(struct store_meta_req *asked)
{
	struct meta_families *f = CONTAINER_OF(asked, struct meta_families, asked);
	size_t n = asked->count;
	const void **items = arena_array(&f->arena, 2 * n + 1, sizeof(*items));
	for (size_t i = 0; i < n; i++)
		items[i] = &asked->metas[i];
	msort_begin(&f->sort, items, items + n, n, meta_cmp);
	job_init(&f->job, JOB_QUERY, families_sort);
	job_group(&f->job, f->ask.ticket);
	job_start(f->req->loop, &f->job);
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
	size_t full = out->len + PIECE_BYTES;
	if (!f->begun) {
		promjson_begin(out);
		buf_add_u8(out, '{');
		f->begun = true;
	}
	for (; f->at < f->asked.count; f->at++) {
		const struct batch_meta *m = f->sort.items[f->at];
		bool first = !f->at || family_cmp(m, f->sort.items[f->at - 1]);
		if (f->at && !meta_cmp(m, f->sort.items[f->at - 1]))
			continue;
		if (out->len >= full)
			return REQ_MORE;
		if (first && !family_begin(f, m, out))
			break;
		if (f->limit_per_metric > 0 && f->of_family >= f->limit_per_metric)
			continue;
		if (f->of_family++)
			buf_add_u8(out, ',');
		promjson_meta(
		    out, promjson_meta_type(m->type), m->help, m->help_len, m->unit, m->unit_len);
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

static void families_go(struct ask *a)
{
	struct meta_families *f = CONTAINER_OF(a, struct meta_families, ask);
	arena_purse(&f->arena, ticket_purse(a->ticket));
	store_meta(api_of(f->req)->store, &f->asked);
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
	f->ask.go = families_go;
	f->asked = (struct store_meta_req){ .arena = &f->arena,
		.family = len ? metric : NULL,
		.family_len = len,
		.tenants = r->tenants,
		.tenants_count = r->tenants_count,
		.done = families_done };
	r->own = f;
	r->on_gone = families_left;
	r->on_done = families_sent;
	ask_start(&f->ask, r, API_META_MS_MAX, r->query, r->query_len);
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
