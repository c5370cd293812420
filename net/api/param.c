#include "net/api/param.h"

#include "core/model/limits.h"
#include "core/promql/lang/ql_parse.h"
#include "core/rt/work.h"
#include "net/api/api.h"
#include "net/api/apierr.h"
#include "proto/multipart.h"

/* Go's net/http reads a form only of methods that have one. */
static bool has_form(const struct req *r)
{
	return r->body_len && (r->method == REQ_POST || r->method == REQ_PUT) &&
	    req_content_is(r, "application/x-www-form-urlencoded");
}

static bool has_parts(const struct req *r)
{
	return r->body_len && req_content_is(r, "multipart/form-data");
}

/* The form before the URL, or the URL before the parts of a multipart body: as Go's
 * ParseMultipartForm orders them. */
static enum err parse_all(const struct req *r, struct arena *a, struct urlq *q, struct errbuf *eb)
{
	size_t type_len;
	enum err err = ERR_OK;
	urlq_init(q, a);
	if (has_form(r))
		err = urlq_parse(q, (const char *)r->body, r->body_len, eb);
	if (!err || err == ERR_BADDATA) {
		enum err of_url = urlq_parse(q, r->query, r->query_len, eb);
		err = of_url == ERR_TOOBIG || !err ? of_url : err;
	}
	if (err == ERR_TOOBIG || !has_parts(r))
		return err;
	const char *type = req_header(r, "content-type", &type_len);
	enum err of_parts =
	    multipart_parse(q, type, type_len, (const char *)r->body, r->body_len, eb);
	return of_parts ? of_parts : err;
}

/* --- large ones, by a worker --- */

/* The arena is the worker's until done; the request stays as it is meanwhile. */
struct form {
	struct work_task task;
	struct req *r;
	struct arena arena;
	struct urlq q;
	enum err err;
	struct errbuf eb;
};

static void form_free(void *arg)
{
	struct form *f = arg;
	arena_release(&f->arena);
	mem_free(f);
}

static void form_run(struct work_task *t)
{
	struct form *f = CONTAINER_OF(t, struct form, task);
	f->err = parse_all(f->r, &f->arena, &f->q, &f->eb);
}

static void form_done(struct work_task *t)
{
	struct form *f = CONTAINER_OF(t, struct form, task);
	req_go_on(f->r);
}

/* All of a form and of the URL may be values, and every pair may be empty. */
static size_t form_bytes(const struct req *r)
{
	return r->body_len + r->query_len + 2 * URLQ_PAIRS_MAX * sizeof(struct urlq_pair);
}

bool api_prepare(struct req *r)
{
	size_t body = has_form(r) || has_parts(r) ? r->body_len : 0;
	if (body + r->query_len <= PARAM_LOOP_BYTES)
		return true;
	if (!req_charge(r, form_bytes(r))) {
		req_refuse_overloaded(
		    r, "too many bytes of requests in flight (--web.max-inflight-bytes)");
		return false;
	}
	struct form *f = mem_zalloc(sizeof(*f));
	f->r = r;
	r->form_free = form_free;
	r->form = f;
	arena_init(&f->arena, PARAM_LOOP_BYTES);
	errbuf_init(&f->eb);
	f->task = (struct work_task){ .run = form_run, .done = form_done, .prio = WORK_READ };
	work_submit(api_of(r)->opts.pool, &f->task);
	return false;
}

static bool parse(struct req *r, struct urlq *q, bool strict)
{
	struct errbuf eb;
	const struct form *f = r->form;
	errbuf_init(&eb);
	enum err err = f ? f->err : parse_all(r, &r->arena, q, &eb);
	if (f) {
		*q = f->q;
		eb = f->eb;
	}
	if (!err || (err == ERR_BADDATA && !strict))
		return true;
	apierr_jsonf(r, ERR_BADDATA, "error parsing form values: %s", eb.text);
	return false;
}

bool param_parse(struct req *r, struct urlq *q)
{
	return parse(r, q, false);
}

bool param_parse_strict(struct req *r, struct urlq *q)
{
	return parse(r, q, true);
}

static int64_t clamp(int64_t ms)
{
	return ms < PARAM_TIME_MIN ? PARAM_TIME_MIN : ms > PARAM_TIME_MAX ? PARAM_TIME_MAX : ms;
}

bool param_time_needed(struct req *r, const struct urlq *q, const char *key, int64_t *ms)
{
	struct errbuf eb;
	size_t len;
	const char *s = urlq_get(q, key, &len);
	errbuf_init(&eb);
	if (urlq_time(s, len, ms, &eb)) {
		apierr_param(r, key, eb.text);
		return false;
	}
	*ms = clamp(*ms);
	return true;
}

bool param_time(struct req *r, const struct urlq *q, const char *key, int64_t fallback, int64_t *ms)
{
	size_t len;
	(void)urlq_get(q, key, &len);
	if (len)
		return param_time_needed(r, q, key, ms);
	*ms = fallback;
	return true;
}

bool param_limit(struct req *r, const struct urlq *q, uint64_t *limit)
{
	struct errbuf eb;
	size_t len;
	const char *s = urlq_get(q, "limit", &len);
	errbuf_init(&eb);
	if (!urlq_limit(s, len, limit, &eb))
		return true;
	apierr_param(r, "limit", eb.text);
	return false;
}

bool param_timeout(struct req *r, const struct urlq *q, int64_t max_ms, int64_t *ms)
{
	struct errbuf eb;
	size_t len;
	const char *s = urlq_get(q, "timeout", &len);
	errbuf_init(&eb);
	*ms = max_ms;
	if (!len)
		return true;
	if (urlq_duration(s, len, ms, &eb)) {
		apierr_param(r, "timeout", eb.text);
		return false;
	}
	if (*ms > max_ms)
		*ms = max_ms;
	return true;
}

bool param_lookback(struct req *r, const struct urlq *q, int64_t fallback_ms, int64_t *ms)
{
	struct errbuf eb;
	size_t len;
	const char *s = urlq_get(q, "lookback_delta", &len);
	errbuf_init(&eb);
	*ms = fallback_ms;
	if (len && urlq_duration(s, len, ms, &eb)) {
		apierr_jsonf(r, ERR_BADDATA, "error parsing lookback delta duration: %s", eb.text);
		return false;
	}
	if (*ms <= 0) /* promql.Engine: what is not more than zero is the server's own */
		*ms = fallback_ms;
	return true;
}

bool param_step(struct req *r, const struct urlq *q, int64_t *ms)
{
	struct errbuf eb;
	size_t len;
	const char *s = urlq_get(q, "step", &len);
	errbuf_init(&eb);
	if (urlq_duration(s, len, ms, &eb)) {
		apierr_param(r, "step", eb.text);
		return false;
	}
	if (*ms > 0)
		return true;
	apierr_param(r, "step",
	    "zero or negative query resolution step widths are not accepted. Try a positive integer");
	return false;
}

/* --- match[] --- */

static bool selects(const struct param_matchers *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (!m->items[i].matches_empty)
			return true;
	return false;
}

bool param_sets_costly(const struct urlq *q)
{
	size_t pos = 0, len;
	uint64_t cost = 0;
	for (const char *s; (s = urlq_next(q, "match[]", &pos, &len));)
		cost += 1 + ql_text_cost(s, len);
	return cost > QL_TEXT_COST_MAX;
}

static enum err sets_fit(const struct urlq *q, const struct limits *l, struct errbuf *eb)
{
	struct ql_counts counts = { .selectors = num_u32(urlq_count(q, "match[]")) };
	size_t pos = 0, len, sum = 0;
	char limit[LIMITS_TEXT_MAX];
	while (urlq_next(q, "match[]", &pos, &len))
		sum += len;
	if (sum > l->query_text_bytes)
		return errbuf_set(eb, ERR_TOOBIG, "selectors of %zu bytes, %s", sum,
		    limits_text(l, LIMITS_query_text_bytes, limit));
	return ql_counts_check(&counts, l, eb);
}

static enum err set_parse(struct arena *a, const char *s, size_t len, const struct limits *l,
    struct ql_counts *counts, struct param_matchers *m, struct errbuf *eb)
{
	enum err e = ql_parse_selector(a, s, len, l, counts, &m->items, &m->count, eb);
	if (e || selects(m))
		return e;
	for (size_t i = 0; i < m->count; i++)
		matcher_release(&m->items[i]);
	return errbuf_set(eb, ERR_BADDATA, "match[] must contain at least one non-empty matcher");
}

enum err param_sets(struct arena *a, const struct urlq *q, const struct limits *l, bool prefixed,
    struct param_sets *out, struct errbuf *eb)
{
	struct ql_counts counts = { 0 };
	size_t count = urlq_count(q, "match[]"), pos = 0, len;
	*out = (struct param_sets){ 0 };
	enum err e = sets_fit(q, l, eb);
	if (e)
		return e;
	out->sets = arena_zalloc(a, (count + 1) * sizeof(*out->sets));
	for (const char *s; !e && (s = urlq_next(q, "match[]", &pos, &len));) {
		e = set_parse(a, s, len, l, &counts, &out->sets[out->count], eb);
		out->count += !e;
	}
	if (!e)
		return ERR_OK;
	param_sets_release(out);
	if (e == ERR_TOOBIG || e == ERR_EXECUTION)
		return e;
	const struct errbuf why = *eb;
	errbuf_init(eb);
	return errbuf_set(
	    eb, ERR_BADDATA, "%s%s", prefixed ? "invalid parameter \"match[]\": " : "", why.text);
}

void param_sets_release(struct param_sets *s)
{
	for (size_t i = 0; i < s->count; i++)
		for (size_t k = 0; k < s->sets[i].count; k++)
			matcher_release(&s->sets[i].items[k]);
	s->count = 0;
}
