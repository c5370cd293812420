#include "net/recv/recv_otlp.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/rune.h"
#include "core/base/wire.h"
#include "net/api/api.h"
#include "net/recv/recv_deltas.h"
#include "proto/grpcf.h"
#include "proto/otlpbody.h"

#define TYPE_PROTOBUF "application/x-protobuf"
#define TYPE_JSON     "application/json"
#define TEXT_MAX      1024u /* of a message in an answer */

static bool is_json(const struct req *r)
{
	return req_content_is(r, TYPE_JSON);
}

/* ---- what goes in ---- */

const struct otlp_opts *recv_otlp_opts(struct req *r)
{
	static const struct recv_otlp usual = { 0 };
	const struct api_conf *api = api_conf(r);
	const struct recv_otlp *c = api->recv ? &api->recv->otlp : &usual;
	struct otlp_opts *o = arena_zalloc(&r->arena, sizeof *o);
	const struct yaml_texts *list = c->promote_all ? &c->ignore : &c->promote;
	*o = (struct otlp_opts){
		.strategy = (enum otlp_strategy)c->strategy,
		.promote_all = c->promote_all,
		.attributes = list->texts,
		.attributes_count = list->count,
		.keep_identifying = c->keep_identifying,
		.custom_buckets = c->custom_buckets,
		.promote_scope = c->promote_scope,
		.keep_underscore = c->keep_underscore,
		.join_underscores = c->join_underscores,
		.type_and_unit = api->features.type_and_unit_labels,
		.no_start_times = !c->start_times && !api->features.start_timestamps,
		.delta = recv_deltas_hook(api_of(r)->deltas, r, c),
	};
	return o;
}

static bool open_body(struct req *r, struct decode *d)
{
	d->opts = recv_otlp_opts(r);
	return true;
}

/* ---- what comes out ---- */

uint64_t recv_otlp_rejected(const struct recv_end *e)
{
	const struct decode *d = e->decode;
	uint64_t n = e->refused + (d ? d->bad : 0);
	return d && n > d->records ? d->records : n;
}

static void add_text(struct buf *out, uint8_t tag, const char *s, size_t len)
{
	len = rune_cut(s, len, TEXT_MAX);
	buf_add_u8(out, tag);
	wire_put_lenbytes(out, s, len);
}

/* ExportMetricsPartialSuccess {1 rejected_data_points  2 error_message} */
void recv_otlp_response(const struct recv_end *e, struct buf *out)
{
	struct buf text, inner;
	if (recv_whole(e))
		return;
	buf_init(&text);
	buf_init(&inner);
	recv_sentence(e, &text);
	buf_add_u8(&inner, 1 << 3);
	wire_put_varint(&inner, recv_otlp_rejected(e));
	add_text(&inner, 2 << 3 | 2, (const char *)text.data, text.len);
	buf_add_u8(out, 1 << 3 | 2);
	wire_put_lenbytes(out, inner.data, inner.len);
	buf_release(&text);
	buf_release(&inner);
}

static void response_json(const struct recv_end *e, struct buf *out)
{
	struct buf text;
	if (recv_whole(e)) {
		buf_add_str(out, "{}");
		return;
	}
	buf_init(&text);
	recv_sentence(e, &text);
	buf_printf(out,
	    "{\"partialSuccess\":{\"rejectedDataPoints\":\"%" PRIu64 "\",\"errorMessage\":",
	    recv_otlp_rejected(e));
	json_str_raw(
	    out, (const char *)text.data, rune_cut((const char *)text.data, text.len, TEXT_MAX));
	buf_add_str(out, "}}");
	buf_release(&text);
}

/* google.rpc.Status {1 code  2 message} */
static void status_body(bool json, enum grpc_status code, const char *text, struct buf *out)
{
	if (json) {
		buf_printf(out, "{\"code\":%d,\"message\":", (int)code);
		json_str_raw(out, text, rune_cut(text, strlen(text), TEXT_MAX));
		buf_add_u8(out, '}');
		return;
	}
	buf_add_u8(out, 1 << 3);
	wire_put_varint(out, (uint64_t)code);
	add_text(out, 2 << 3 | 2, text, strlen(text));
}

static void reply(struct req *r, const struct recv_end *e)
{
	bool json = is_json(r);
	struct buf b;
	int status = 200;
	buf_init(&b);
	if (e->err) {
		char why[TEXT_MAX];
		status = recv_status(r, e);
		recv_why(r, e, why, sizeof why);
		status_body(json, grpcf_of_refusal(status), why, &b);
	} else if (json) {
		response_json(e, &b);
	} else {
		recv_otlp_response(e, &b);
	}
	req_reply_buf(r, status, json ? TYPE_JSON : TYPE_PROTOBUF, &b);
}

static const struct recv_kind protobuf_kind = {
	.receiver = RECEIVER_OTLP,
	.decoder = &otlp_decoder,
	.packs = RECV_IDENTITY | RECV_GZIP | RECV_DEFLATE | RECV_ZSTD,
	.open = open_body,
	.reply = reply,
};

static const struct recv_kind json_kind = {
	.receiver = RECEIVER_OTLP,
	.decoder = &otlpbody_json,
	.packs = RECV_IDENTITY | RECV_GZIP | RECV_DEFLATE | RECV_ZSTD,
	.open = open_body,
	.reply = reply,
};

bool recv_otlp_before(struct req *r)
{
	size_t len;
	const char *type = req_header(r, "content-type", &len);
	if (!recv_before(r, is_json(r) ? &json_kind : &protobuf_kind))
		return false;
	if (!type || is_json(r) || req_content_is(r, TYPE_PROTOBUF) ||
	    req_content_is(r, "application/protobuf"))
		return true;
	struct recv_end e = { .err = ERR_UNSUPPORTED,
		.word = "unsupported",
		.text = "Content-Type must be " TYPE_PROTOBUF " or " TYPE_JSON,
		.record = "data point" };
	reply(r, &e);
	return false;
}

void recv_otlp(struct req *r)
{
	recv_write(r, is_json(r) ? &json_kind : &protobuf_kind);
}
