#include "net/api/param.h"

#include "core/model/limits.h"
#include "core/promql/lang/ql_ast.h"
#include "net/api/apierr.h"
#include "proto/multipart.h"

/* Go's net/http reads a form only of methods that have one. */
static bool has_form(const struct req *r)
{
	return r->body_len && (r->method == REQ_POST || r->method == REQ_PUT) &&
	    req_content_is(r, "application/x-www-form-urlencoded");
}

/* The form before the URL, or the URL before the parts of a multipart body: as Go's
 * ParseMultipartForm orders them. */
static enum err parse_all(struct req *r, struct urlq *q, struct errbuf *eb)
{
	size_t type_len;
	enum err err = ERR_OK;
	urlq_init(q, &r->arena);
	if (has_form(r))
		err = urlq_parse(q, (const char *)r->body, r->body_len, eb);
	if (!err || err == ERR_BADDATA) {
		enum err of_url = urlq_parse(q, r->query, r->query_len, eb);
		err = of_url == ERR_TOOBIG || !err ? of_url : err;
	}
	if (err == ERR_TOOBIG || !r->body_len || !req_content_is(r, "multipart/form-data"))
		return err;
	const char *type = req_header(r, "content-type", &type_len);
	enum err of_parts =
	    multipart_parse(q, type, type_len, (const char *)r->body, r->body_len, eb);
	return of_parts ? of_parts : err;
}

static bool parse(struct req *r, struct urlq *q, bool strict)
{
	struct errbuf eb;
	errbuf_init(&eb);
	enum err err = parse_all(r, q, &eb);
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

bool param_sets(struct req *r, const struct urlq *q, bool prefixed, struct param_sets *out)
{
	struct errbuf eb;
	size_t count = urlq_count(q, "match[]"), pos = 0, len;
	struct ql_counts counts = { .selectors = num_u32(count) };
	errbuf_init(&eb);
	*out = (struct param_sets){ 0 };
	if (ql_counts_check(&counts, limits_here(), &eb)) {
		apierr_json(r, ERR_EXECUTION, eb.text, strlen(eb.text));
		return false;
	}
	counts.selectors = 0;
	out->sets = arena_zalloc(&r->arena, (count + 1) * sizeof(*out->sets));
	for (const char *s; (s = urlq_next(q, "match[]", &pos, &len));) {
		struct param_matchers *m = &out->sets[out->count];
		enum err err =
		    ql_parse_selector(&r->arena, s, len, NULL, &counts, &m->items, &m->count, &eb);
		if (!err) {
			out->count++;
			if (selects(m))
				continue;
			errbuf_set(&eb, ERR_BADDATA,
			    "match[] must contain at least one non-empty matcher");
		}
		apierr_jsonf(r, err == ERR_EXECUTION ? err : ERR_BADDATA, "%s%s",
		    prefixed && err != ERR_EXECUTION ? "invalid parameter \"match[]\": " : "",
		    eb.text);
		param_sets_release(out);
		return false;
	}
	return true;
}

void param_sets_release(struct param_sets *s)
{
	for (size_t i = 0; i < s->count; i++)
		for (size_t k = 0; k < s->sets[i].count; k++)
			matcher_release(&s->sets[i].items[k]);
	s->count = 0;
}
