#include "net/api/api_cardhist.h"

#include <inttypes.h>

#include "core/base/json.h"
#include "core/base/num.h"
#include "net/api/api_card.h"
#include "net/api/apierr.h"
#include "net/api/ask.h"
#include "net/api/param.h"
#include "proto/promjson.h"
#include "storage/marks.h"

static const struct {
	const char *word, *unit;
} kinds[STORE_CARD_KINDS] = {
	[STORE_CARD_METRIC] = { "metrics", "series" },
	[STORE_CARD_LABEL] = { "labels", "values" },
	[STORE_CARD_PAIR] = { "pairs", "series" },
	[STORE_CARD_TARGET] = { "targets", "series" },
};

struct history {
	struct ask ask;
	struct req *req;
	struct store_card_history_req asked;
	struct buf out;
};

static void put_moment(struct buf *b, const struct store_card_cut *c, uint32_t i)
{
	const struct store_card_moment *m = &c->moments[i];
	buf_printf(b,
	    "%s{\"time\":%.3f,\"since\":%.3f,\"series\":%" PRIu64 ",\"made\":%" PRIu64 ",\"top\":[",
	    i ? "," : "", (double)m->t_ms / 1000, (double)m->since_ms / 1000, m->series, m->made);
	for (uint32_t k = 0; k < m->rows_count; k++) {
		const struct store_card_row *row = &c->rows[m->rows_at + k];
		buf_printf(b, "%s[%" PRIu32 ",%" PRIu64 "]", k ? "," : "", row->name, row->value);
	}
	buf_printf(b, "],\"below\":%" PRIu64 "}", m->below);
}

/* On a worker. */
static void write_out(struct ask *a)
{
	struct history *h = CONTAINER_OF(a, struct history, ask);
	const struct store_card_cut *c = &h->asked.cut;
	struct buf *b = &h->out;
	buf_init(b);
	promjson_begin(b);
	buf_printf(b, "{\"kind\":\"%s\",\"unit\":\"%s\",\"every\":%" PRId64 ",\"tenants\":%u",
	    kinds[h->asked.kind].word, kinds[h->asked.kind].unit, h->asked.every_ms / 1000,
	    MARKS_TENANTS);
	if (h->asked.kind == STORE_CARD_LABEL)
		buf_printf(b, ",\"exact\":%u", CARDHIST_EXACT);
	buf_add_str(b, ",\"names\":[");
	for (uint32_t i = 0; i < c->names_count; i++) {
		const char *name = c->texts + c->names[i];
		buf_add_str(b, i ? "," : "");
		json_str(b, name, strlen(name));
	}
	buf_add_str(b, "],\"moments\":[");
	for (uint32_t i = 0; i < c->moments_count; i++)
		put_moment(b, c, i);
	buf_add_str(b, "]}");
	promjson_end(b, NULL, NULL);
	store_card_cut_release(&h->asked.cut);
}

static void written(struct ask *a)
{
	struct history *h = CONTAINER_OF(a, struct history, ask);
	ask_worked_out(a);
	req_reply_buf(h->req, 200, "application/json", &h->out);
}

static void cut(struct store_card_history_req *asked)
{
	struct history *h = CONTAINER_OF(asked, struct history, asked);
	ask_work(&h->ask, true, write_out, written);
}

static void go(struct ask *a)
{
	struct history *h = CONTAINER_OF(a, struct history, ask);
	store_card_history(api_of(h->req)->store, &h->asked);
}

static void left(struct req *r)
{
	struct history *h = r->own;
	ask_left(&h->ask); /* what has begun goes on */
}

static void sent(struct req *r)
{
	struct history *h = r->own;
	ask_end(&h->ask);
}

static bool kind_of(struct req *r, const struct urlq *u, enum store_card_kind *kind)
{
	size_t len;
	const char *s = urlq_get(u, "kind", &len);
	*kind = STORE_CARD_METRIC;
	if (!len)
		return true;
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		*kind = (enum store_card_kind)k;
		if (len == strlen(kinds[k].word) && !memcmp(s, kinds[k].word, len))
			return true;
	}
	apierr_jsonf(r, ERR_BADDATA, "kind must be metrics, labels, pairs or targets");
	return false;
}

static bool limit_of(struct req *r, const struct urlq *u, unsigned *limit)
{
	size_t len;
	int64_t n = CARD_LIMIT_USUAL;
	const char *s = urlq_get(u, "limit", &len);
	if (len && (num_parse_i64(s, len, &n) || n < 1 || n > (int64_t)CARDHIST_TOP)) {
		apierr_jsonf(r, ERR_BADDATA, "limit must be a number from 1 to %u", CARDHIST_TOP);
		return false;
	}
	*limit = (unsigned)n;
	return true;
}

static bool range_of(struct req *r, const struct urlq *u, struct store_card_history_req *to)
{
	size_t len;
	int64_t now_ms = loop_now_ms(r->loop);
	if (!param_time(r, u, "end", now_ms, &to->t_max_ms) ||
	    !param_time(r, u, "start", to->t_max_ms - CARDHIST_RANGE_MS, &to->t_min_ms))
		return false;
	if (to->t_max_ms < to->t_min_ms) {
		apierr_jsonf(r, ERR_BADDATA,
		    "invalid parameter \"end\": end timestamp must not be before start time");
		return false;
	}
	(void)urlq_get(u, "step", &len);
	return !len || param_step(r, u, &to->step_ms);
}

void api_card_history(struct req *r)
{
	struct urlq u;
	struct store_card_history_req asked = { .done = cut };
	if (!param_parse(r, &u) || !kind_of(r, &u, &asked.kind) || !limit_of(r, &u, &asked.limit) ||
	    !range_of(r, &u, &asked))
		return;
	if (r->tenants_count > 1) {
		apierr_jsonf(r, ERR_BADDATA, "history of %zu tenants: ask for one", r->tenants_count);
		return;
	}
	asked.tenant = r->tenants[0];
	struct history *h = arena_zalloc(&r->arena, sizeof(*h));
	h->req = r;
	h->asked = asked;
	h->ask.go = go;
	r->own = h;
	r->on_gone = left;
	r->on_done = sent;
	ask_start(&h->ask, r, api_timeout_ms(r), "cardinality", strlen("cardinality"));
}
