#include "net/recv/recv_datadog.h"

#include "core/base/json.h"
#include "net/api/api.h"
#include "net/recv/recv.h"
#include "proto/datadog.h"

#include <string.h>

#define JSON "application/json"

static void say(struct req *r, int status, const char *text)
{
	req_reply(r, status, JSON, text, strlen(text), REQ_BORROW);
}

/* {"errors": ["..."]} */
static void error(struct req *r, int status, const char *text, size_t len)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, "{\"errors\":[");
	json_str(&b, text, len);
	buf_add_str(&b, "]}");
	req_reply_buf(r, status, JSON, &b);
}

static bool open_body(struct req *r, struct decode *d)
{
	struct datadog_opts *o = arena_zalloc(&r->arena, sizeof(*o));
	const struct recv_conf *c = api_conf(r)->recv;
	o->raw = c && c->datadog.raw_names;
	d->opts = o;
	return true;
}

/* What is wrong for ever is 400: agents drop it then, and repeat it after any other 4xx. */
static int final(int status)
{
	return status == 403 || status == 413 || status == 429 || status >= 500 ? status : 400;
}

/* True: it has answered, but for good news. */
static bool failed(struct req *r, const struct recv_end *e)
{
	char text[ERRBUF_SIZE];
	struct buf b;
	if (recv_whole(e))
		return false;
	if (e->err && (!e->word || !e->rows)) {
		recv_why(r, e, text, sizeof(text));
		error(r, final(recv_status(r, e)), text, strlen(text));
		return true;
	}
	buf_init(&b);
	recv_sentence(e, &b);
	error(r, 400, (const char *)b.data, b.len);
	buf_release(&b);
	return true;
}

static void reply_status(struct req *r, const struct recv_end *e)
{
	if (!failed(r, e))
		say(r, 202, "{\"status\":\"ok\"}");
}

static void reply_errors(struct req *r, const struct recv_end *e)
{
	if (!failed(r, e))
		say(r, 202, "{\"errors\":[]}");
}

static void reply_empty(struct req *r, const struct recv_end *e)
{
	if (!failed(r, e))
		say(r, 202, "");
}

#define KIND(which, answer)                                                                        \
 {                                                                                                 \
  .receiver = RECEIVER_DATADOG, .decoder = &datadog_##which,                                       \
  .packs = RECV_ALL - RECV_SNAPPY_FRAMED, .open = open_body, .reply = reply_##answer               \
 }
static const struct recv_kind json1 = KIND(json1, status), json2 = KIND(json2, errors),
                              series = KIND(series, errors), sketches = KIND(sketches, empty),
                              columns = KIND(columns, empty), values = KIND(values, status);

bool recv_datadog_before_series1(struct req *r)
{
	return recv_before(r, &json1);
}

void recv_datadog_series1(struct req *r)
{
	recv_write(r, &json1);
}

/* Agents send protobuf; clients JSON, some of them without a word. */
static const struct recv_kind *of_type(const struct req *r)
{
	return req_content_is(r, "application/x-protobuf") ? &series : &json2;
}

bool recv_datadog_before_series2(struct req *r)
{
	return recv_before(r, of_type(r));
}

void recv_datadog_series2(struct req *r)
{
	recv_write(r, of_type(r));
}

bool recv_datadog_before_sketches(struct req *r)
{
	return recv_before(r, &sketches);
}

void recv_datadog_sketches(struct req *r)
{
	recv_write(r, &sketches);
}

bool recv_datadog_before_columns(struct req *r)
{
	return recv_before(r, &columns);
}

void recv_datadog_columns(struct req *r)
{
	recv_write(r, &columns);
}

bool recv_datadog_before_values(struct req *r)
{
	return recv_before(r, &values);
}

void recv_datadog_values(struct req *r)
{
	recv_write(r, &values);
}

void recv_datadog_validate(struct req *r)
{
	if (!recv_is_off(r, RECEIVER_DATADOG))
		say(r, 200, "{\"valid\":true}");
}

bool recv_datadog_before_other(struct req *r)
{
	return !recv_is_off(r, RECEIVER_DATADOG);
}

/* Agents and clients do not look at what is said. */
void recv_datadog_other(struct req *r)
{
	bool check = strstr(r->path, "check_run") != NULL;
	say(r, check ? 202 : 200, check ? "{\"status\":\"ok\"}" : "{}");
}
