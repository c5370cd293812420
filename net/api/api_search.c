#include "net/api/api_search.h"

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/rune.h"
#include "core/rt/job.h"
#include "net/api/apierr.h"
#include "net/api/ask.h"
#include "net/api/scan.h"
#include "proto/promjson.h"

#define PIECE_BYTES   (32u << 10)
#define ITEMS_AT_ONCE 64u /* between looks at the clock */
#define LIMIT_USUAL   100u
#define BATCH_USUAL   100u
#define HOUR_MS       INT64_C(3600000)
#define SAID_MAX      200u /* of a user's text in an error */
#define META_NS       ((uint64_t)API_META_MS_MAX * 1000000)

struct search { /* in the request's arena */
	struct ask ask;
	struct req *req;
	const char *endpoint;
	struct urlq u;
	struct fuzzy fuzzy;
	struct source_find find;
	struct scan_opts o;
	struct param_sets sets;
	const struct limits *limits;
	enum err err; /* of sets */
	struct errbuf eb;
	struct scan *scan;
	bool done, with_score, with_meta;
	uint64_t limit, batch;
	/* what was found */
	struct arena arena; /* of the ticket's purse */
	const struct pick_item **items;
	size_t count, cap;
	struct job job;
	struct loop_deferred collected;
	/* metadata: two names for each item, its own and that of its family (or "") */
	struct store_meta_req asked;
	const struct batch_meta **metas;
	/* of the answer */
	size_t at, in_line, lines;
	bool open;
};

static enum req_pull pull(struct req *r, struct buf *out);

static void left(struct req *r)
{
	struct search *s = r->own;
	if (!ask_left(&s->ask) && s->scan && !s->done)
		scan_cancel(s->scan, ERR_CANCELED);
}

static void sent(struct req *r)
{
	struct search *s = r->own;
	scan_free(s->scan);
	arena_release(&s->arena);
	param_sets_release(&s->sets);
	ask_end(&s->ask);
}

/* ---- parameters, in Prometheus' order and words (parseSearchParams, newSearchRequest) ---- */

/* 400: before, the text as %q of Go has it, after. False. */
static bool refuse(struct req *r, const char *before, const char *s, size_t len, const char *after)
{
	struct buf said;
	buf_init(&said);
	label_quote_go(&said, s, rune_cut(s, len, SAID_MAX));
	apierr_jsonf(
	    r, ERR_BADDATA, "%s%.*s%s", before, (int)said.len, (const char *)said.data, after);
	buf_release(&said);
	return false;
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return bytes_equal(s, len, word, strlen(word));
}

static bool take_time(struct search *s, const char *key, int64_t fallback, int64_t *ms)
{
	struct errbuf eb;
	size_t len;
	const char *text = urlq_get(&s->u, key, &len);
	errbuf_init(&eb);
	*ms = fallback;
	if (len && urlq_time(text, len, ms, &eb)) {
		apierr_jsonf(s->req, ERR_BADDATA, "invalid time value for '%s': %s", key, eb.text);
		return false;
	}
	*ms = *ms < PARAM_TIME_MIN ? PARAM_TIME_MIN : *ms > PARAM_TIME_MAX ? PARAM_TIME_MAX : *ms;
	return true;
}

/* strconv.ParseBool */
static bool take_bool(struct search *s, const char *key, bool *out)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };
	char before[64];
	size_t len;
	const char *text = urlq_get(&s->u, key, &len);
	if (!len)
		return true;
	for (size_t i = 0; i < COUNT_OF(yes); i++) {
		if (is_word(text, len, yes[i]) || is_word(text, len, no[i])) {
			*out = is_word(text, len, yes[i]);
			return true;
		}
	}
	rune_printf(before, sizeof(before), "invalid %s ", key);
	return refuse(s->req, before, text, len, ": must be boolean");
}

/* A number from least to most; absent: *out stays. */
static bool take_number(
    struct search *s, const char *key, int64_t least, int64_t most, const char *must, uint64_t *out)
{
	char before[64];
	int64_t v;
	size_t len;
	const char *text = urlq_get(&s->u, key, &len);
	if (!len)
		return true;
	rune_printf(before, sizeof(before), "invalid %s ", key);
	if (num_parse_i64(text, len, &v) || v < least || v > most)
		return refuse(s->req, before, text, len, must);
	*out = (uint64_t)v;
	return true;
}

static bool take_range(struct search *s)
{
	int64_t now = clock_wall_ms();
	if (!take_time(s, "start", now - HOUR_MS, &s->o.t_min_ms) ||
	    !take_time(s, "end", now, &s->o.t_max_ms))
		return false;
	if (s->o.t_max_ms >= s->o.t_min_ms)
		return true;
	apierr_jsonf(s->req, ERR_BADDATA, "end timestamp must not be before start timestamp");
	return false;
}

static bool take_fuzzy(struct search *s)
{
	uint64_t percent = 0, terms = urlq_count(&s->u, "search[]");
	enum fuzzy_alg alg = FUZZY_SUBSEQUENCE;
	bool sensitive = true;
	size_t len;
	if (terms > FUZZY_TERMS_MAX) {
		apierr_jsonf(s->req, ERR_BADDATA, "too many search[] terms: got %llu, maximum is %u",
		    (unsigned long long)terms, FUZZY_TERMS_MAX);
		return false;
	}
	if (!take_number(s, "fuzz_threshold", 0, 100, ": must be 0-100", &percent))
		return false;
	const char *text = urlq_get(&s->u, "fuzz_alg", &len);
	if (is_word(text, len, "jarowinkler"))
		alg = FUZZY_JARO_WINKLER;
	else if (len && !is_word(text, len, "subsequence"))
		return refuse(s->req, "unsupported fuzz_alg ", text, len,
		    ": must be one of [subsequence jarowinkler]");
	if (!take_bool(s, "case_sensitive", &sensitive))
		return false;
	fuzzy_init(&s->fuzzy, alg, (double)percent / 100.0, !sensitive);
	return true;
}

static bool take_terms(struct search *s)
{
	size_t pos = 0, len;
	for (const char *t; (t = urlq_next(&s->u, "search[]", &pos, &len));) {
		if (fuzzy_add(&s->fuzzy, &s->req->arena, t, len))
			continue;
		apierr_jsonf(s->req, ERR_BADDATA, "search[] of %zu bytes, %u are the most", len,
		    FUZZY_TERM_MAX);
		return false;
	}
	return true;
}

static bool take_order(struct search *s)
{
	size_t by_len, dir_len;
	const char *by = urlq_get(&s->u, "sort_by", &by_len),
	           *dir = urlq_get(&s->u, "sort_dir", &dir_len);
	bool score = is_word(by, by_len, "score"), down = is_word(dir, dir_len, "dsc");
	const char *why = NULL;
	if (dir_len && !by_len)
		why = "sort_dir is only valid when sort_by is set";
	else if (dir_len && score)
		why = "sort_dir is not supported for sort_by=score";
	else if (dir_len && !down && !is_word(dir, dir_len, "asc"))
		return refuse(
		    s->req, "invalid sort_dir ", dir, dir_len, ": must be \"asc\" or \"dsc\"");
	else if (score && !urlq_has(&s->u, "search[]"))
		why = "sort_by=score requires search[] to be set";
	if (why)
		apierr_jsonf(s->req, ERR_BADDATA, "%s", why);
	s->find.order = score                      ? PICK_SCORE
	    : down && is_word(by, by_len, "alpha") ? PICK_TEXT_DOWN
	                                           : PICK_TEXT;
	return !why;
}

static bool take_sizes(struct search *s)
{
	uint64_t most = s->limits->search_limit;
	s->limit = most < LIMIT_USUAL ? most : LIMIT_USUAL;
	s->batch = BATCH_USUAL;
	if (!take_number(s, "limit", 1, INT64_MAX, ": must be a positive integer", &s->limit))
		return false;
	if (s->limit > most) {
		apierr_jsonf(s->req, ERR_BADDATA,
		    "limit %llu exceeds the configured maximum (%llu, see --%s)",
		    (unsigned long long)s->limit, (unsigned long long)most,
		    limits_flag(LIMITS_search_limit));
		return false;
	}
	return take_number(s, "batch_size", 1, INT64_MAX, ": must be a positive integer", &s->batch);
}

static bool take_sort_by(struct search *s)
{
	char after[96];
	size_t len;
	const char *by = urlq_get(&s->u, "sort_by", &len);
	if (!len || is_word(by, len, "alpha") || is_word(by, len, "score"))
		return true;
	rune_printf(after, sizeof(after), " for %s: must be \"alpha\" or \"score\"", s->endpoint);
	return refuse(s->req, "invalid sort_by ", by, len, after);
}

static bool take_params(struct search *s)
{
	return take_range(s) && take_fuzzy(s) && take_bool(s, "include_score", &s->with_score) &&
	    take_order(s) && take_sizes(s) && take_sort_by(s) && take_terms(s);
}

/* ---- the scan ---- */

static void scanned(void *arg, struct scan *scan);

/* On the loop or on a worker. */
static void sets_make(struct ask *a)
{
	struct search *s = CONTAINER_OF(a, struct search, ask);
	errbuf_init(&s->eb);
	s->err = param_sets(&s->req->arena, &s->u, s->limits, false, &s->sets, &s->eb);
}

static void sets_made(struct ask *a)
{
	struct search *s = CONTAINER_OF(a, struct search, ask);
	if (a->left && !s->err)
		s->err = errbuf_set(&s->eb, ERR_CANCELED, "query was canceled in query execution");
	if (s->err) {
		s->done = true;
		ask_worked_out(a);
		apierr_json(s->req, s->err, s->eb.text, strlen(s->eb.text));
		return;
	}
	arena_purse(&s->arena, ticket_purse(a->ticket));
	s->o.ticket = a->ticket;
	s->scan = scan_start(api_of(s->req)->source, &s->o);
}

static void search_go(struct ask *a)
{
	struct search *s = CONTAINER_OF(a, struct search, ask);
	ask_work(a, param_sets_costly(&s->u), sets_make, sets_made);
}

/* What waits for a worker, or for a place, looks at no clock. */
static void search_late(struct ask *a)
{
	struct search *s = CONTAINER_OF(a, struct search, ask);
	if (s->scan && !s->done)
		scan_cancel(s->scan, ERR_TIMEOUT);
}

static struct search *search_new(struct req *r, const char *endpoint)
{
	struct search *s = arena_zalloc(&r->arena, sizeof(*s));
	s->req = r;
	s->endpoint = endpoint;
	s->limits = limits_here();
	arena_init(&s->arena, 4096);
	return s;
}

static void search_begin(struct search *s, enum source_what what, const char *label, size_t label_len)
{
	struct req *r = s->req;
	s->ask.go = search_go;
	s->ask.late = search_late;
	s->find.fuzzy = &s->fuzzy;
	s->find.max = s->limit + 1;
	s->o.what = what;
	s->o.label = label;
	s->o.label_len = label_len;
	s->o.sets = &s->sets;
	s->o.items_max = s->limit;
	s->o.find = &s->find;
	s->o.tenants = r->tenants;
	s->o.tenants_count = r->tenants_count;
	s->o.deadline_ns = loop_now_ns(r->loop) + META_NS;
	s->o.done = scanned;
	s->o.arg = s;
	r->own = s;
	r->on_gone = left;
	r->on_done = sent;
	ask_start(&s->ask, r, API_META_MS_MAX, r->query, r->query_len);
}

void api_search_metrics(struct req *r)
{
	struct search *s = search_new(r, "metric_names");
	if (param_parse_strict(r, &s->u) && take_params(s) &&
	    take_bool(s, "include_metadata", &s->with_meta))
		search_begin(s, SOURCE_LABEL_VALUES, LABEL_NAME, strlen(LABEL_NAME));
}

void api_search_names(struct req *r)
{
	struct search *s = search_new(r, "label_names");
	if (param_parse_strict(r, &s->u) && take_params(s))
		search_begin(s, SOURCE_LABEL_NAMES, NULL, 0);
}

void api_search_values(struct req *r)
{
	struct search *s = search_new(r, "label_values");
	size_t len;
	if (!param_parse_strict(r, &s->u) || !take_params(s))
		return;
	const char *label = urlq_get(&s->u, "label", &len);
	if (len)
		search_begin(s, SOURCE_LABEL_VALUES, label, len);
	else
		apierr_jsonf(r, ERR_BADDATA, "missing required parameter \"label\"");
}

/* ---- what was found ---- */

static void answer(struct search *s)
{
	struct purse *purse = ticket_purse(s->ask.ticket);
	ask_worked_out(&s->ask);
	if (purse_over(purse))
		ask_no_room(&s->ask);
	else if (!req_hold(s->req, purse_used(purse)))
		req_refuse_overloaded(s->req, "too many answers wait for their readers");
	else
		req_reply_stream(s->req, 200, "application/x-ndjson; charset=utf-8", pull);
}

/* The family that a metric is a part of, by its name; 0: none. */
static size_t family_len(const struct pick_item *x)
{
	static const char *const ends[] = { "_bucket", "_count", "_sum", "_total", "_info" };
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t n = strlen(ends[i]);
		if (x->len > n && !memcmp(x->text + x->len - n, ends[i], n))
			return x->len - n;
	}
	return 0;
}

/* They come tenant by tenant, each time in the order of the names. The first one counts. */
static void metas_place(struct search *s)
{
	const struct store_meta_req *q = &s->asked;
	size_t at = 0;
	for (size_t i = 0; i < q->count; i++) {
		const struct batch_meta *m = &q->metas[i];
		for (size_t n = 0; n < q->names_count; n++, at = (at + 1) % q->names_count)
			if (bytes_equal(q->names[at].s, q->names[at].len, m->family, m->family_len))
				break;
		if (!s->metas[at])
			s->metas[at] = m;
		at = (at + 1) % q->names_count;
	}
}

static void metas_come(struct store_meta_req *q)
{
	struct search *s = CONTAINER_OF(q, struct search, asked);
	metas_place(s);
	answer(s);
}

static void metas_ask(struct search *s)
{
	size_t n = 2 * s->count;
	struct store_meta_name *names = arena_array(&s->arena, n, sizeof(*names));
	s->metas = arena_zalloc(&s->arena, n * sizeof(*s->metas));
	for (size_t i = 0; i < s->count; i++) {
		const struct pick_item *x = s->items[i];
		names[2 * i] = (struct store_meta_name){ x->text, x->len };
		names[2 * i + 1] = (struct store_meta_name){ x->text, family_len(x) };
	}
	s->asked = (struct store_meta_req){ .arena = &s->arena,
		.names = names,
		.names_count = n,
		.tenants = s->req->tenants,
		.tenants_count = s->req->tenants_count,
		.done = metas_come };
	store_meta(api_of(s->req)->store, &s->asked);
}

/* The job is over, its loop has forgotten it. */
static void collected(struct loop_deferred *d)
{
	struct search *s = CONTAINER_OF(d, struct search, collected);
	if (s->with_meta && s->count && !purse_over(ticket_purse(s->ask.ticket)))
		metas_ask(s);
	else
		answer(s);
}

/* What the shards have becomes one list. */
static enum job_state collect(struct job *j)
{
	struct search *s = CONTAINER_OF(j, struct search, job);
	const struct pick_item *x;
	while ((x = scan_next_found(s->scan))) {
		if (s->count == s->cap) {
			const void *old = s->items;
			s->cap = s->cap ? 2 * s->cap : ITEMS_AT_ONCE;
			s->items = arena_array(&s->arena, s->cap, sizeof(*s->items));
			if (s->count)
				memcpy(s->items, old, s->count * sizeof(*s->items));
		}
		s->items[s->count++] = x;
		if (s->count % ITEMS_AT_ONCE == 0 && job_should_yield())
			return JOB_YIELD;
	}
	s->collected.fn = collected;
	loop_defer(s->req->loop, &s->collected);
	return JOB_DONE;
}

static void scanned(void *arg, struct scan *scan)
{
	struct search *s = arg;
	const char *text;
	s->done = true;
	enum err err = scan_err(scan, &text);
	if (!err) {
		job_init(&s->job, JOB_QUERY, collect);
		job_group(&s->job, s->ask.ticket);
		job_start(s->req->loop, &s->job);
		return;
	}
	ask_worked_out(&s->ask);
	apierr_json(s->req, err, text, strlen(text));
	scan_free(scan); /* however long the client takes to read why */
	s->scan = NULL;
}

/* ---- the lines ---- */

static void put_text(struct buf *out, const char *key, const char *s, size_t len)
{
	if (!len)
		return;
	buf_add_str(out, key);
	json_str(out, s, len);
}

static void put_meta(struct buf *out, const struct search *s, size_t i)
{
	const struct batch_meta *m = s->metas[2 * i] ? s->metas[2 * i] : s->metas[2 * i + 1];
	if (!m)
		return;
	const char *type = promjson_meta_type(m->type);
	put_text(out, ",\"type\":", type, strlen(type));
	put_text(out, ",\"help\":", m->help, m->help_len);
	put_text(out, ",\"unit\":", m->unit, m->unit_len);
}

static void put_item(struct buf *out, const struct search *s, size_t i)
{
	char number[NUM_FMT_MAX];
	const struct pick_item *x = s->items[i];
	bool value = !strcmp(s->endpoint, "label_values");
	buf_add_str(out, value ? "{\"value\":" : "{\"name\":");
	json_str(out, x->text, x->len);
	if (s->with_score) {
		buf_add_str(out, ",\"score\":");
		buf_add(out, number, num_fmt_json(x->score, number));
	}
	if (s->metas)
		put_meta(out, s, i);
	buf_add_u8(out, '}');
}

static void line_end(struct buf *out, struct search *s)
{
	const char *w;
	buf_add_u8(out, ']');
	for (size_t i = 0; !s->lines && (w = scan_warning(s->scan, i)); i++) {
		buf_add_str(out, i ? "," : ",\"warnings\":[");
		json_str(out, w, strlen(w));
		if (!scan_warning(s->scan, i + 1))
			buf_add_u8(out, ']');
	}
	buf_add_str(out, "}\n");
	s->open = false;
	s->lines++;
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct search *s = r->own;
	size_t full = out->len + PIECE_BYTES;
	while (out->len < full) {
		if (!s->open && s->at == s->count && s->lines) {
			buf_add_str(out, "{\"status\":\"success\",\"has_more\":");
			buf_add_str(out, scan_truncated(s->scan) ? "true}\n" : "false}\n");
			return REQ_END;
		}
		if (!s->open) {
			buf_add_str(out, "{\"results\":[");
			s->open = true;
			s->in_line = 0;
		}
		if (s->at == s->count || s->in_line == s->batch) {
			line_end(out, s);
			continue;
		}
		if (s->in_line++)
			buf_add_u8(out, ',');
		put_item(out, s, s->at++);
	}
	return REQ_MORE;
}
