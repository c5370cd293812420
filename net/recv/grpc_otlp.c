#include "net/recv/grpc_otlp.h"

#include "net/api/api.h"
#include "net/api/apierr.h"
#include "net/recv/recv_otlp.h"

static bool open_message(struct req *r, struct decode *d)
{
	d->opts = recv_otlp_opts(r);
	return true;
}

static void reply(struct req *r, const struct recv_end *e)
{
	struct gcall *c = gcall_of(r);
	struct buf b;
	if (e->err) {
		char why[1024];
		enum grpc_status s =
		    e->word ? GRPC_INVALID_ARGUMENT : grpcf_of_refusal(recv_status(r, e));
		recv_why(r, e, why, sizeof why);
		gcall_finish(c, s, "%s", why);
		return;
	}
	buf_init(&b);
	recv_otlp_response(e, &b);
	(void)gcall_send_bytes(c, b.len ? b.data : (const uint8_t *)"", b.len);
	buf_release(&b);
	gcall_finish(c, GRPC_OK, NULL);
}

static const struct recv_kind kind = {
	.receiver = RECEIVER_OTLP,
	.decoder = &otlp_decoder,
	.packs = RECV_IDENTITY, /* gRPC unpacks its messages */
	.open = open_message,
	.reply = reply,
};

bool grpc_otlp_before(struct req *r)
{
	const struct recv_conf *c = api_conf(r)->recv;
	uint32_t retry_after_s = 0;
	if (c && c->off[RECEIVER_OTLP]) {
		req_refuse(r, 404, "not_found", "receivers.otlp.enabled is false");
		return false;
	}
	enum err e = sink_accepts(api_of(r)->sink, &retry_after_s);
	if (e)
		apierr_write(r, e, retry_after_s);
	return !e;
}

void grpc_otlp_message(struct gcall *c, const void *msg, size_t len)
{
	struct recv **x = arena_zalloc(&c->req->arena, sizeof(struct recv *));
	c->own = x;
	recv_message(c->req, &kind, msg, len, x);
}

/* What is under way is stored; the answer comes when it is. */
void grpc_otlp_cancelled(struct gcall *c)
{
	(void)c;
}

void grpc_otlp_done(struct gcall *c)
{
	struct recv **x = c->own;
	if (x && *x)
		recv_release(*x);
}
