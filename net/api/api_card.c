#include "net/api/api_card.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/json.h"
#include "core/base/num.h"
#include "core/model/cardrule.h"
#include "core/model/tenant.h"
#include "core/promql/lang/ql_ast.h"
#include "core/promql/lang/ql_parse.h"
#include "net/api/apierr.h"
#include "net/api/ask.h"
#include "net/api/param.h"
#include "net/api/scan.h"
#include "proto/promjson.h"
#include "storage/append/alarm.h"
#include "storage/cardnow.h"
#include "storage/marks.h"

#define PIECE_BYTES (32u << 10)
#define SCAN_NS     ((uint64_t)API_META_MS_MAX * 1000000)

/* --- what is known: figures, marks, explosions --- */

struct overview {
	struct ask ask;
	struct req *req;
	bool figures;   /* else explosions alone */
	unsigned limit; /* of each list */
	struct store_stats stats;
	struct store_stats_req asked;
	struct store_card_req card;
};

static void text_field(struct buf *b, const char *before, const char *value)
{
	buf_add_str(b, before);
	json_str(b, value, strlen(value));
}

static void time_field(struct buf *b, const char *before, int64_t ms)
{
	char text[NUM_FMT_MAX];
	size_t len = num_fmt_time(ms, text);
	buf_printf(b, "%s\"%.*s\"", before, (int)len, text);
}

static void known_field(struct buf *b, const char *before, bool known, uint64_t value)
{
	buf_add_str(b, before);
	if (known)
		buf_printf(b, "%" PRIu64, value);
	else
		buf_add_str(b, "null");
}

void card_about_put(struct buf *b, const struct store_top *t)
{
	if (t->about)
		buf_add_str(b, ",\"about\":true");
	if (t->off && t->off < UINT64_MAX)
		buf_printf(b, ",\"upTo\":%" PRIu64, t->value + t->off);
}

/* A list of the largest, each with what it was: null where nobody knows. */
static void tops(struct buf *b, const char *before, const char *unit, const struct overview *o,
    enum store_card_kind kind, const struct store_top *t, unsigned count)
{
	buf_add_str(b, before);
	for (unsigned i = 0; i < count && i < o->limit; i++) {
		uint64_t hour, day;
		bool hour_known = marks_value(o->card.hour, kind, t[i].name, &hour);
		bool day_known = marks_value(o->card.day, kind, t[i].name, &day);
		text_field(b, i ? ",{\"name\":" : "{\"name\":", t[i].name);
		buf_printf(b, ",\"%s\":%" PRIu64, unit, t[i].value);
		card_about_put(b, &t[i]);
		known_field(b, ",\"hourAgo\":", hour_known, hour);
		known_field(b, ",\"dayAgo\":", day_known, day);
		buf_add_str(b, "}");
	}
	buf_add_str(b, "]");
}

static const struct card_rule *rule_of(const struct alarm_row *row)
{
	const struct loop *here = loop_here();
	const struct card_rules *rules =
	    tenant_card_of(here ? loop_tenants(here) : NULL, row->row.tenant);
	return row->row.rule < card_rules_count(rules) ? card_rules_at(rules, row->row.rule) : NULL;
}

static void explosion(struct buf *b, bool first, const struct alarm_row *row)
{
	const struct watch_row *w = &row->row;
	const struct card_rule *rule = w->kind == WATCH_RULE ? rule_of(row) : NULL;
	char action[32];
	text_field(b, first ? "{\"kind\":" : ",{\"kind\":", watch_kind_words[w->kind]);
	text_field(b, ",\"metric\":", w->metric);
	text_field(b, ",\"label\":", w->label);
	text_field(b, ",\"target\":", w->target);
	if (w->kind == WATCH_RULE)
		buf_printf(b, ",\"rule\":%" PRIu32, w->rule + 1);
	if (rule)
		text_field(b, ",\"action\":", card_rule_text(rule, action));
	buf_printf(b, ",\"now\":%s", row->on ? "true" : "false");
	time_field(b, ",\"firstSeen\":", row->first_ms);
	time_field(b, ",\"lastSeen\":", row->last_ms);
	buf_printf(b,
	    ",\"seriesPerSecond\":%.1f,\"valuesPerSecond\":%.1f,\"mostPerSecond\":%.1f,\"total\":%" PRIu64
	    ",\"examples\":[",
	    w->series, w->values, row->most, row->total);
	for (unsigned i = 0; i < WATCH_EXAMPLES && w->examples[i][0]; i++)
		text_field(b, i ? "," : "", w->examples[i]);
	buf_add_str(b, "]}");
}

static void explosions(struct buf *b, const struct store_card_req *card)
{
	buf_add_str(b, "[");
	for (size_t i = 0; i < card->rows_count; i++)
		explosion(b, !i, &card->rows[i]);
	buf_add_str(b, "]");
}

/* What is not in a list, which the limit may have cut. */
static void below(struct buf *b, const struct overview *o)
{
	const struct store_stats *s = &o->stats;
	const struct {
		const char *before;
		const struct store_top *top;
		unsigned count;
		uint64_t below;
	} of[] = { { ",\"below\":{\"metrics\":", s->by_metric, s->by_metric_count, s->metric_below },
		{ ",\"labels\":", s->by_label, s->by_label_count, s->label_below },
		{ ",\"pairs\":", s->by_pair, s->by_pair_count, s->pair_below },
		{ ",\"targets\":", s->by_target, s->by_target_count, s->target_below } };
	for (unsigned i = 0; i < COUNT_OF(of); i++) {
		uint64_t next = of[i].count > o->limit ? of[i].top[o->limit].value : 0;
		buf_printf(b, "%s%" PRIu64, of[i].before, next > of[i].below ? next : of[i].below);
	}
	buf_add_str(b, "}");
}

static void figures(struct buf *b, const struct overview *o)
{
	const struct store_stats *s = &o->stats;
	const struct marks_mark *hour = o->card.hour, *day = o->card.day;
	buf_printf(b, "{\"series\":%" PRIu64, s->series);
	known_field(b, ",\"seriesHourAgo\":", hour, hour ? hour->series : 0);
	known_field(b, ",\"seriesDayAgo\":", day, day ? day->series : 0);
	tops(b, ",\"metrics\":[", "series", o, STORE_CARD_METRIC, s->by_metric, s->by_metric_count);
	tops(b, ",\"labels\":[", "values", o, STORE_CARD_LABEL, s->by_label, s->by_label_count);
	tops(b, ",\"pairs\":[", "series", o, STORE_CARD_PAIR, s->by_pair, s->by_pair_count);
	tops(b, ",\"targets\":[", "series", o, STORE_CARD_TARGET, s->by_target, s->by_target_count);
	below(b, o);
	buf_add_str(b, ",\"explosions\":");
	explosions(b, &o->card);
	buf_add_str(b, "}");
}

static void overview_answer(struct store_card_req *card)
{
	struct overview *o = CONTAINER_OF(card, struct overview, card);
	struct buf b;
	ask_worked_out(&o->ask);
	buf_init(&b);
	promjson_begin(&b);
	if (o->figures)
		figures(&b, o);
	else
		explosions(&b, card);
	store_card_release(card);
	promjson_end(&b, NULL, NULL);
	req_reply_buf(o->req, 200, "application/json", &b);
}

static void counted(struct store_stats_req *asked)
{
	struct overview *o = CONTAINER_OF(asked, struct overview, asked);
	store_card(api_of(o->req)->store, &o->card);
}

static void overview_go(struct ask *a)
{
	struct overview *o = CONTAINER_OF(a, struct overview, ask);
	if (o->figures)
		cardnow_ask(api_of(o->req)->store, &o->asked);
	else
		store_card(api_of(o->req)->store, &o->card);
}

static void overview_left(struct req *r)
{
	struct overview *o = r->own;
	ask_left(&o->ask); /* what has begun goes on */
}

static void overview_sent(struct req *r)
{
	struct overview *o = r->own;
	ask_end(&o->ask);
}

/* limit, at most most; usual when it is not there. */
static bool limit_of(struct req *r, const struct urlq *u, int64_t usual, int64_t most, int64_t *limit)
{
	size_t len;
	const char *s = urlq_get(u, "limit", &len);
	*limit = usual;
	if (len && (num_parse_i64(s, len, limit) || *limit < 1 || *limit > most)) {
		apierr_jsonf(r, ERR_BADDATA, "limit must be a number from 1 to %" PRId64, most);
		return false;
	}
	return true;
}

static void overview_start(struct req *r, bool figures_too, int64_t limit)
{
	if (r->tenants_count > 1) {
		apierr_jsonf(r, ERR_BADDATA, "figures of %zu tenants: ask for one", r->tenants_count);
		return;
	}
	struct overview *o = arena_zalloc(&r->arena, sizeof(*o));
	o->req = r;
	o->figures = figures_too;
	o->limit = (unsigned)limit;
	o->ask.go = overview_go;
	o->asked =
	    (struct store_stats_req){ .tenant = r->tenants[0], .stats = &o->stats, .done = counted };
	o->card = (struct store_card_req){ .tenant = r->tenants[0], .done = overview_answer };
	r->own = o;
	r->on_gone = overview_left;
	r->on_done = overview_sent;
	ask_start(&o->ask, r, api_timeout_ms(r), "cardinality", strlen("cardinality"));
}

void api_card(struct req *r)
{
	struct urlq u;
	int64_t limit;
	if (param_parse(r, &u) && limit_of(r, &u, CARD_LIMIT_USUAL, STORE_TOP_MAX, &limit))
		overview_start(r, true, limit);
}

void api_card_explosions(struct req *r)
{
	struct urlq u;
	if (param_parse(r, &u))
		overview_start(r, false, 1);
}

/* --- the series of a selector --- */

enum want {
	WANT_NAMES,
	WANT_VALUES,
	WANT_SERIES
};
/* Places by hash; a hash is enough: figures, not identities. */
struct table {
	uint32_t *slots; /* place + 1; 0 = free */
	uint32_t mask, count, cap;
	struct row {
		uint64_t hash;
		const char *text;
		uint32_t len, name; /* VALUES: of which label */
		uint64_t n;         /* NAMES: values; VALUES: series */
	} * rows;
};
struct name { /* that is asked for */
	const char *text;
	size_t len;
	uint64_t hash, series, values;
};
struct card_scan { /* in the request's arena */
	struct ask ask;
	struct req *req;
	enum want want;
	const char *selector;
	size_t selector_len;
	const struct limits *limits;
	struct scan *scan;
	struct scan_opts o;
	struct param_sets sets;
	struct param_matchers set;
	enum err err; /* of the selector */
	struct errbuf eb;
	int64_t limit;
	struct name names[CARD_NAMES_MOST];
	size_t names_count;
	struct arena arena; /* of the tables, of the ticket's purse */
	struct table rows, pairs;
	uint64_t series;
	bool done, begun;
	size_t given;
};

static void left(struct req *r)
{
	struct card_scan *c = r->own;
	if (!ask_left(&c->ask) && c->scan && !c->done)
		scan_cancel(c->scan, ERR_CANCELED);
}

static void sent(struct req *r)
{
	struct card_scan *c = r->own;
	scan_free(c->scan);
	param_sets_release(&c->sets);
	arena_release(&c->arena);
	ask_end(&c->ask);
}

/* ---- counting, on a worker ---- */

static void table_grow(struct arena *a, struct table *t)
{
	uint32_t cap = t->cap ? t->cap * 2 : 256;
	struct row *rows = arena_array(a, cap, sizeof(*rows));
	if (t->count)
		memcpy(rows, t->rows, t->count * sizeof(*rows));
	t->rows = rows;
	t->cap = cap;
	t->mask = cap * 2 - 1;
	t->slots = arena_zalloc(a, ((size_t)t->mask + 1) * sizeof(*t->slots));
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t at = (uint32_t)rows[i].hash & t->mask;
		while (t->slots[at])
			at = (at + 1) & t->mask;
		t->slots[at] = i + 1;
	}
}

/* *fresh: it was not there. The text is borrowed: items live until the scan is freed. */
static struct row *row_of(struct arena *a, struct table *t, uint64_t hash, bool *fresh)
{
	if (t->count == t->cap)
		table_grow(a, t);
	uint32_t at = (uint32_t)hash & t->mask;
	for (; t->slots[at]; at = (at + 1) & t->mask) {
		*fresh = false;
		if (t->rows[t->slots[at] - 1].hash == hash)
			return &t->rows[t->slots[at] - 1];
	}
	*fresh = true;
	t->slots[at] = ++t->count;
	t->rows[t->count - 1] = (struct row){ .hash = hash };
	return &t->rows[t->count - 1];
}

static void count_names(struct card_scan *c, const struct label *l, uint64_t name_hash)
{
	bool fresh, new_name;
	(void)row_of(&c->arena, &c->pairs, hash64(l->value, l->value_len, name_hash), &fresh);
	struct row *name = row_of(&c->arena, &c->rows, name_hash, &new_name);
	if (new_name) {
		name->text = l->name;
		name->len = l->name_len;
	}
	name->n += fresh;
}

static void count_values(struct card_scan *c, const struct label *l, uint64_t name_hash)
{
	size_t i = 0;
	while (i < c->names_count && c->names[i].hash != name_hash)
		i++;
	if (i == c->names_count)
		return;
	bool fresh;
	struct row *row =
	    row_of(&c->arena, &c->rows, hash64(l->value, l->value_len, name_hash), &fresh);
	if (fresh) {
		row->text = l->value;
		row->len = l->value_len;
		row->name = (uint32_t)i;
		c->names[i].values++;
	}
	row->n++;
	c->names[i].series++;
}

static int largest_first(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	int order = (a->name > b->name) - (a->name < b->name);
	order = order ? order : (a->n < b->n) - (a->n > b->n);
	return order ? order : bytes_cmp(a->text, a->len, b->text, b->len);
}

static void count_all(struct ask *a)
{
	struct card_scan *c = CONTAINER_OF(a, struct card_scan, ask);
	const char *item;
	size_t len;
	while (!purse_over(ticket_purse(a->ticket)) && (item = scan_next(c->scan, &len))) {
		struct label_iter it =
		    label_iter((struct labels){ (const uint8_t *)item, (uint32_t)len });
		struct label l;
		c->series++;
		while (label_next(&it, &l)) {
			uint64_t name = hash64(l.name, l.name_len, 0);
			if (c->want == WANT_NAMES)
				count_names(c, &l, name);
			else
				count_values(c, &l, name);
		}
	}
	if (c->rows.count)
		qsort(c->rows.rows, c->rows.count, sizeof(*c->rows.rows), largest_first);
}

/* ---- answers ---- */

static void put_row(
    struct buf *b, bool first, const char *key, const struct row *row, const char *figure)
{
	buf_printf(b, "%s{\"%s\":", first ? "" : ",", key);
	json_str(b, row->text, row->len);
	buf_printf(b, ",\"%s\":%" PRIu64 "}", figure, row->n);
}

static void put_names(struct buf *b, const struct card_scan *c)
{
	uint64_t values = 0;
	for (uint32_t i = 0; i < c->rows.count; i++)
		values += c->rows.rows[i].n;
	buf_printf(b,
	    "{\"label_values_count_total\":%" PRIu64 ",\"label_names_count\":%" PRIu32
	    ",\"cardinality\":[",
	    values, c->rows.count);
	for (uint32_t i = 0; i < c->rows.count && i < c->limit; i++)
		put_row(b, !i, "label_name", &c->rows.rows[i], "label_values_count");
	buf_add_str(b, "]}");
}

static void put_values(struct buf *b, const struct card_scan *c)
{
	uint32_t at = 0;
	buf_printf(b, "{\"series_count_total\":%" PRIu64 ",\"labels\":[", c->series);
	for (size_t i = 0; i < c->names_count; i++) {
		const struct name *n = &c->names[i];
		buf_add_str(b, i ? ",{\"label_name\":" : "{\"label_name\":");
		json_str(b, n->text, n->len);
		buf_printf(b,
		    ",\"label_values_count\":%" PRIu64 ",\"series_count\":%" PRIu64
		    ",\"cardinality\":[",
		    n->values, n->series);
		for (uint32_t k = 0; at < c->rows.count && c->rows.rows[at].name == i; at++, k++)
			if (k < c->limit)
				put_row(b, !k, "label_value", &c->rows.rows[at], "series_count");
		buf_add_str(b, "]}");
	}
	buf_add_str(b, "]}");
}

static void counted_all(struct ask *a)
{
	struct card_scan *c = CONTAINER_OF(a, struct card_scan, ask);
	struct buf b;
	ask_worked_out(a);
	if (purse_over(ticket_purse(a->ticket))) {
		ask_no_room(a);
		return;
	}
	buf_init(&b);
	if (c->want == WANT_NAMES)
		put_names(&b, c);
	else
		put_values(&b, c);
	req_reply_buf(c->req, 200, "application/json", &b);
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct card_scan *c = r->own;
	size_t full = out->len + PIECE_BYTES, len;
	if (!c->begun)
		buf_add_str(out, "{\"data\":[");
	c->begun = true;
	while (out->len < full) {
		const char *item = scan_next(c->scan, &len);
		if (!item) {
			buf_add_str(out, "]}");
			return REQ_END;
		}
		promjson_item_labels(
		    out, c->given++ == 0, (struct labels){ (const uint8_t *)item, (uint32_t)len });
	}
	return REQ_MORE;
}

static void scanned(void *arg, struct scan *s)
{
	struct card_scan *c = arg;
	const char *text;
	c->done = true;
	enum err err = scan_err(s, &text);
	if (!err && c->want != WANT_SERIES) {
		ask_work(&c->ask, true, count_all, counted_all);
		return;
	}
	ask_worked_out(&c->ask);
	if (err) {
		apierr_json(c->req, err, text, strlen(text));
	} else if (!req_hold(c->req, purse_used(ticket_purse(c->ask.ticket)))) {
		req_refuse_overloaded(c->req, "the answer needs more memory than there is now");
	} else {
		req_reply_stream(c->req, 200, "application/json", pull);
		return;
	}
	scan_free(s); /* however long the client takes to read why */
	c->scan = NULL;
}

/* On the loop or on a worker. */
static void selector_read(struct ask *a)
{
	struct card_scan *c = CONTAINER_OF(a, struct card_scan, ask);
	struct ql_counts counts = { .selectors = 1 };
	errbuf_init(&c->eb);
	if (!c->selector_len)
		return;
	if (c->selector_len > c->limits->query_text_bytes) {
		c->err = errbuf_set(&c->eb, ERR_BADDATA, "selector of %zu bytes", c->selector_len);
		return;
	}
	c->err = ql_parse_selector(&c->req->arena, c->selector, c->selector_len, c->limits, &counts,
	    &c->set.items, &c->set.count, &c->eb);
	if (!c->err)
		c->sets = (struct param_sets){ .sets = &c->set, .count = 1 };
}

static void selector_done(struct ask *a)
{
	struct card_scan *c = CONTAINER_OF(a, struct card_scan, ask);
	if (a->left && !c->err)
		c->err = errbuf_set(&c->eb, ERR_CANCELED, "query was canceled in query execution");
	if (c->err) {
		c->done = true;
		ask_worked_out(a);
		apierr_jsonf(c->req, c->err, "invalid parameter \"selector\": %s", c->eb.text);
		return;
	}
	arena_purse(&c->arena, ticket_purse(a->ticket));
	c->o.ticket = a->ticket;
	c->scan = scan_start(api_of(c->req)->source, &c->o);
}

static void scan_go(struct ask *a)
{
	struct card_scan *c = CONTAINER_OF(a, struct card_scan, ask);
	bool costly =
	    c->selector_len && ql_text_cost(c->selector, c->selector_len) > QL_TEXT_COST_MAX;
	c->limits = limits_here();
	ask_work(a, costly, selector_read, selector_done);
}

/* What runs is cut at its deadline; what still waits for a place has nothing to cut. */
static void scan_late(struct ask *a)
{
	struct card_scan *c = CONTAINER_OF(a, struct card_scan, ask);
	if (c->scan && !c->done && scan_waits(c->scan))
		scan_cancel(c->scan, ERR_TIMEOUT);
}

static bool names_read(struct card_scan *c, const struct urlq *u)
{
	size_t pos = 0, len;
	for (const char *s; (s = urlq_next(u, "label_names[]", &pos, &len));) {
		if (c->names_count == CARD_NAMES_MOST) {
			apierr_jsonf(c->req, ERR_BADDATA, "label_names[]: at most %u labels",
			    CARD_NAMES_MOST);
			return false;
		}
		c->names[c->names_count++] =
		    (struct name){ .text = s, .len = len, .hash = hash64(s, len, 0) };
	}
	if (c->names_count)
		return true;
	apierr_jsonf(c->req, ERR_BADDATA, "no label_names[] parameter provided");
	return false;
}

static void scan_request(struct req *r, enum want want)
{
	struct urlq u;
	struct card_scan *c = arena_zalloc(&r->arena, sizeof(*c));
	c->req = r;
	c->want = want;
	arena_init(&c->arena, 16384);
	if (!param_parse(r, &u) || !limit_of(r, &u, CARD_LIMIT_USUAL, CARD_LIMIT_MOST, &c->limit))
		return;
	c->o = (struct scan_opts){ .what = SOURCE_SERIES,
		.sets = &c->sets,
		.all = true,
		.tenants = r->tenants,
		.tenants_count = r->tenants_count,
		.deadline_ns = loop_now_ns(r->loop) + SCAN_NS,
		.done = scanned,
		.arg = c };
	if (!param_time(r, &u, "start", loop_now_ms(r->loop) - CARD_ACTIVE_MS, &c->o.t_min_ms) ||
	    !param_time(r, &u, "end", PARAM_TIME_MAX, &c->o.t_max_ms))
		return;
	c->selector = urlq_get(&u, "selector", &c->selector_len);
	if (want == WANT_SERIES && !c->selector_len) {
		apierr_jsonf(r, ERR_BADDATA, "no selector parameter provided");
		return;
	}
	if (want == WANT_VALUES && !names_read(c, &u))
		return;
	c->ask.go = scan_go;
	c->ask.late = scan_late;
	r->own = c;
	r->on_gone = left;
	r->on_done = sent;
	ask_start(&c->ask, r, API_META_MS_MAX, r->query, r->query_len);
}

void api_card_label_names(struct req *r)
{
	scan_request(r, WANT_NAMES);
}

void api_card_label_values(struct req *r)
{
	scan_request(r, WANT_VALUES);
}

void api_card_active_series(struct req *r)
{
	scan_request(r, WANT_SERIES);
}
