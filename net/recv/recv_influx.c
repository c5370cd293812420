#include "net/recv/recv_influx.h"

#include "core/base/json.h"
#include "core/base/rune.h"
#include "net/api/api.h"
#include "net/api/param.h"
#include "net/recv/recv.h"
#include "proto/influx.h"

#include <inttypes.h>
#include <string.h>

#define INFLUX_VERSION "1.8.10" /* one whose clients we serve; they look for features by it */
#define JSON           "application/json"
#define ERROR_FIELD    500u /* bytes of X-InfluxDB-Error */

const struct req_field recv_influx_fields[] = {
	{ "x-influxdb-version", INFLUX_VERSION, sizeof("x-influxdb-version") - 1,
	    sizeof(INFLUX_VERSION) - 1 },
	{ "x-influxdb-build", "OSS", sizeof("x-influxdb-build") - 1, 3 },
	{ NULL, NULL, 0, 0 },
};

/* ---- errors, in the three forms ---- */

struct code {
	int status;
	const char *code;
};
static const char *code_of(int status)
{
	static const struct code codes[] = { { 400, "invalid" }, { 401, "unauthorized" },
		{ 403, "forbidden" }, { 404, "not found" }, { 413, "request too large" },
		{ 415, "invalid" }, { 422, "unprocessable entity" }, { 429, "too many requests" },
		{ 503, "unavailable" } };
	for (size_t i = 0; i < COUNT_OF(codes); i++)
		if (codes[i].status == status)
			return codes[i].code;
	return "internal error";
}

static void error1(struct req *r, int status, const char *text, size_t len)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, "{\"error\":");
	json_str(&b, text, len);
	buf_add_str(&b, "}\n");
	req_answer_field(r, "x-influxdb-error", "%.*s", (int)rune_cut(text, len, ERROR_FIELD), text);
	req_reply_buf(r, status, JSON, &b);
}

static void error2(struct req *r, int status, const char *text, size_t len)
{
	struct buf b;
	buf_init(&b);
	buf_printf(&b, "{\"code\":\"%s\",\"message\":", code_of(status));
	json_str(&b, text, len);
	buf_add_str(&b, "}\n");
	req_answer_field(r, "x-platform-error-code", "%s", code_of(status));
	req_reply_buf(r, status, JSON, &b);
}

typedef void (*error_fn)(struct req *r, int status, const char *text, size_t len);

static bool refuse(struct req *r, error_fn say, int status, const char *text)
{
	say(r, status, text, strlen(text));
	return false;
}

/* ---- parameters ---- */

struct asked {
	struct influx_opts opts;
	bool strict;
};

/* Of the URL alone: the body is lines, whatever its type says. */
static void url_params(struct req *r, struct urlq *q)
{
	urlq_init(q, &r->arena);
	/* what cannot be read is left out, as by Go's r.URL.Query() */
	if (urlq_parse(q, r->query, r->query_len, NULL))
		return;
}

static struct influx_opts *opts_of(
    struct req *r, struct decode *d, const struct urlq *q, const char *db)
{
	struct influx_opts *o = arena_alloc(&r->arena, sizeof(*o));
	const struct recv_conf *c = api_conf(r)->recv;
	*o = influx_defaults;
	if (c) {
		o->separator = c->influx.separator ? c->influx.separator : o->separator;
		o->skip_single = c->influx.skip_single_field;
		o->raw = c->influx.raw_names;
		o->db_label = c->influx.db_label;
	}
	o->db = urlq_get(q, db, &o->db_len);
	d->opts = o;
	return o;
}

static bool open1(struct req *r, struct decode *d)
{
	struct urlq q;
	size_t len;
	char text[160];
	url_params(r, &q);
	struct influx_opts *o = opts_of(r, d, &q, "db");
	const char *precision = urlq_get(&q, "precision", &len);
	if (!o->db_len)
		return refuse(r, error1, 400, "database is required");
	if (!len || influx_precision(precision, len, false, &o->precision))
		return true;
	(void)rune_printf(
	    text, sizeof(text), "invalid precision \"%.60s\" (use n, u, ms, s, m or h)", precision);
	return refuse(r, error1, 400, text);
}

static bool open2(struct req *r, struct decode *d)
{
	struct urlq q;
	size_t len;
	url_params(r, &q);
	struct influx_opts *o = opts_of(r, d, &q, "bucket");
	const char *precision = urlq_get(&q, "precision", &len);
	bool named = len == 2 || (len == 1 && *precision == 's');
	if (!len || (named && influx_precision(precision, len, false, &o->precision)))
		return true;
	return refuse(
	    r, error2, 400, "invalid precision; valid precision units are ns, us, ms, and s");
}

static bool open3(struct req *r, struct decode *d)
{
	struct urlq q;
	size_t len;
	char text[160];
	url_params(r, &q);
	struct influx_opts *o = opts_of(r, d, &q, "db");
	const char *precision = urlq_get(&q, "precision", &len);
	d->strict = !strcmp(urlq_get(&q, "accept_partial", NULL), "false");
	o->precision = INFLUX_AUTO;
	if (!o->db_len)
		return refuse(r, error1, 400, "missing field `db`");
	bool fine = !len || influx_precision(precision, len, true, &o->precision);
	if (fine && o->precision != INFLUX_M && o->precision != INFLUX_H)
		return true;
	(void)rune_printf(text, sizeof(text),
	    "unknown precision \"%.60s\": auto, nanosecond, microsecond, millisecond or second",
	    precision);
	return refuse(r, error1, 400, text);
}

/* ---- answers ---- */

static void bad_lines(const struct decode *d, struct buf *b)
{
	size_t count;
	const struct influx_bad *bads = influx_bads(d, &count);
	for (size_t i = 0; i < count; i++)
		buf_printf(b, "%sunable to parse '%s': %s", i ? "\n" : "", bads[i].text, bads[i].why);
	if (d->bad > count)
		buf_printf(b, "\nand %" PRIu64 " more", d->bad - count);
}

/* What is missing, in the words of 1.x and 2.x, by which their clients see that all is said. */
static void sentence(const struct recv_end *e, struct buf *b)
{
	const struct decode *d = e->decode;
	bool any = e->rows > 0 || (d && d->records > d->bad);
	if (any)
		buf_add_str(b, "partial write: ");
	if (d && d->bad)
		bad_lines(d, b);
	if (e->refused)
		buf_printf(b, "%s%s: %s", d && d->bad ? "\n" : "",
		    sink_reason_word[e->first_reason], e->first_text);
	if (e->err)
		buf_printf(b, "%s%s", (d && d->bad) || e->refused ? "\n" : "", e->text);
	if (any)
		buf_printf(b, " dropped=%" PRIu64, e->refused);
}

/* True: it has answered, since all is well, or since all of it may come again. */
static bool replied(struct req *r, const struct recv_end *e, error_fn say)
{
	char text[ERRBUF_SIZE];
	if (recv_whole(e)) {
		req_reply(r, 204, NULL, NULL, 0, REQ_BORROW);
		return true;
	}
	if (!e->err || (e->word && e->rows))
		return false;
	recv_why(r, e, text, sizeof(text));
	say(r, recv_status(r, e), text, strlen(text));
	return true;
}

static void reply_said(struct req *r, const struct recv_end *e, error_fn say, int partial)
{
	struct buf b;
	if (replied(r, e, say))
		return;
	buf_init(&b);
	sentence(e, &b);
	say(r, e->stored ? partial : 400, (const char *)b.data, b.len);
	buf_release(&b);
}

static void reply1(struct req *r, const struct recv_end *e)
{
	reply_said(r, e, error1, 400);
}

static void reply2(struct req *r, const struct recv_end *e)
{
	reply_said(r, e, error2, 422);
}

static void bad_item(struct buf *b, const struct influx_bad *bad)
{
	buf_add_str(b, "{\"error_message\":");
	json_str(b, bad->why, strlen(bad->why));
	buf_printf(b, ",\"line_number\":%" PRIu64 ",\"original_line\":", bad->line);
	json_str(b, bad->text, rune_cut(bad->text, strlen(bad->text), 20));
	buf_add_u8(b, '}');
}

/* Of no line: what was refused, and what ended the body before its end. */
static void other_item(struct buf *b, const char *text, size_t len)
{
	buf_add_str(b, "{\"error_message\":");
	json_str(b, text, len);
	buf_add_str(b, ",\"line_number\":0,\"original_line\":\"\"}");
}

static void refused_item(struct buf *b, const struct recv_end *e)
{
	struct buf text;
	buf_init(&text);
	buf_printf(&text, "%" PRIu64 " of %" PRIu64 " samples refused; first: %s: %s", e->refused,
	    e->rows, sink_reason_word[e->first_reason], e->first_text);
	other_item(b, (const char *)text.data, text.len);
	buf_release(&text);
}

static void reply3(struct req *r, const struct recv_end *e)
{
	struct buf b;
	size_t count;
	if (replied(r, e, error1))
		return;
	const struct influx_bad *bads = influx_bads(e->decode, &count);
	buf_init(&b);
	if (e->decode->strict && count) {
		buf_add_str(&b, "{\"error\":\"line protocol parsing error\",\"data\":");
		bad_item(&b, &bads[0]);
		buf_add_str(&b, "}\n");
		req_reply_buf(r, 400, JSON, &b);
		return;
	}
	buf_add_str(&b, "{\"error\":\"partial write of line protocol occurred\",\"data\":[");
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_add_u8(&b, ',');
		bad_item(&b, &bads[i]);
	}
	if (e->refused) {
		if (count)
			buf_add_u8(&b, ',');
		refused_item(&b, e);
	}
	if (e->err) {
		if (count || e->refused)
			buf_add_u8(&b, ',');
		other_item(&b, e->text, strlen(e->text));
	}
	buf_add_str(&b, "]}\n");
	req_reply_buf(r, 400, JSON, &b);
}

/* ---- the kinds ---- */

#define KIND(n)                                                                                    \
 {                                                                                                 \
  .receiver = RECEIVER_INFLUX, .decoder = &influx_decoder, .packs = RECV_ALL - RECV_SNAPPY_FRAMED, \
  .open = open##n, .reply = reply##n                                                               \
 }
static const struct recv_kind kind1 = KIND(1), kind2 = KIND(2), kind3 = KIND(3);

bool recv_influx_before1(struct req *r)
{
	return recv_before(r, &kind1);
}

void recv_influx_write1(struct req *r)
{
	recv_write(r, &kind1);
}

bool recv_influx_before2(struct req *r)
{
	return recv_before(r, &kind2);
}

void recv_influx_write2(struct req *r)
{
	recv_write(r, &kind2);
}

bool recv_influx_before3(struct req *r)
{
	return recv_before(r, &kind3);
}

void recv_influx_write3(struct req *r)
{
	recv_write(r, &kind3);
}

/* ---- what is not written ---- */

void recv_influx_ping(struct req *r)
{
	static const char version[] = "{\"version\":\"" INFLUX_VERSION "\"}\n";
	struct urlq q;
	if (recv_is_off(r, RECEIVER_INFLUX))
		return;
	url_params(r, &q);
	const char *verbose = urlq_get(&q, "verbose", NULL);
	if (!*verbose || !strcmp(verbose, "0") || !strcmp(verbose, "false"))
		req_reply(r, 204, NULL, NULL, 0, REQ_BORROW);
	else
		req_reply(r, 200, JSON, version, sizeof(version) - 1, REQ_BORROW);
}

void recv_influx_health(struct req *r)
{
	static const char pass[] =
	    "{\"checks\":[],\"message\":\"ready for queries and writes\",\"name\":\"influxdb\",\"status\":\"pass\",\"version\":\"" INFLUX_VERSION
	    "\"}\n";
	if (!recv_is_off(r, RECEIVER_INFLUX))
		req_reply(r, 200, JSON, pass, sizeof(pass) - 1, REQ_BORROW);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word of a statement, "" at its end. */
static size_t word(const char **p, const char *end, const char **out)
{
	while (*p < end && is_space(**p))
		++*p;
	*out = *p;
	while (*p < end && !is_space(**p))
		++*p;
	return (size_t)(*p - *out);
}

static bool is_word(const char *s, size_t len, const char *what)
{
	return len == strlen(what) && !strncasecmp(s, what, len);
}

/* Behind the statement at p; a semicolon in quotes is no end of it. */
static const char *statement_end(const char *p, const char *end)
{
	char quote = 0;
	for (; p < end; p++) {
		if (quote && *p == '\\' && p + 1 < end)
			p++;
		else if (quote)
			quote = *p == quote ? 0 : quote;
		else if (*p == '"' || *p == '\'')
			quote = *p;
		else if (*p == ';')
			break;
	}
	return p;
}

static void databases(struct req *r, const char *db, size_t len, struct buf *b)
{
	const struct recv_conf *c = api_conf(r)->recv;
	size_t n = 0;
	buf_add_str(b, ",\"series\":[{\"name\":\"databases\",\"columns\":[\"name\"]");
	for (size_t i = 0; c && i < c->influx.databases.count; i++) {
		const char *name = c->influx.databases.texts[i];
		buf_add_str(b, n++ ? ",[" : ",\"values\":[[");
		json_str(b, name, strlen(name));
		buf_add_u8(b, ']');
		len = strlen(name) == len && !memcmp(name, db, len) ? 0 : len;
	}
	if (len) {
		buf_add_str(b, n++ ? ",[" : ",\"values\":[[");
		json_str(b, db, len);
		buf_add_u8(b, ']');
	}
	buf_add_str(b, n ? "]}]" : "}]");
}

/* False: it is none, and has been refused. */
static bool statement(
    struct req *r, const struct urlq *q, const char *s, const char *end, struct buf *b)
{
	static const char *const known[] = { "ALTER", "CREATE", "DELETE", "DROP", "EXPLAIN",
		"GRANT", "KILL", "REVOKE", "SELECT", "SET", "SHOW" };
	const char *first, *second;
	size_t db_len, len = word(&s, end, &first), len2 = word(&s, end, &second), i = 0;
	while (i < COUNT_OF(known) && !is_word(first, len, known[i]))
		i++;
	if (i == COUNT_OF(known)) {
		char text[200];
		(void)rune_printf(text, sizeof(text),
		    "error parsing query: found %.*s, expected SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL",
		    (int)rune_cut(first, len, 40), first);
		return refuse(r, error1, 400, text);
	}
	if (is_word(first, len, "SHOW") && is_word(second, len2, "DATABASES")) {
		const char *db = urlq_get(q, "db", &db_len);
		databases(r, db, db_len, b);
	}
	return true;
}

#define STATEMENTS_MAX 100u

void recv_influx_query(struct req *r)
{
	struct urlq q;
	size_t len;
	struct buf b;
	if (recv_is_off(r, RECEIVER_INFLUX) || !param_parse(r, &q))
		return;
	const char *s = urlq_get(&q, "q", &len), *end = s + len;
	if (!len) {
		(void)refuse(r, error1, 400, "missing required parameter \"q\"");
		return;
	}
	buf_init(&b);
	buf_add_str(&b, "{\"results\":[");
	for (unsigned n = 0; s < end && n < STATEMENTS_MAX; n++) {
		const char *stop = statement_end(s, end), *ignored, *p = s;
		s = stop + (stop < end);
		if (!word(&p, stop, &ignored))
			continue;
		buf_printf(&b, "%s{\"statement_id\":%u", b.data[b.len - 1] == '}' ? "," : "", n);
		if (!statement(r, &q, ignored, stop, &b)) {
			buf_release(&b);
			return;
		}
		buf_add_u8(&b, '}');
	}
	buf_add_str(&b, "]}\n");
	req_reply_buf(r, 200, JSON, &b);
}
