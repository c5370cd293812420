#include "net/recv/recv_import.h"

#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/recv/recv.h"
#include "net/recv/recvextra.h"
#include "proto/expo_rows.h"
#include "proto/importl.h"
#include "proto/jobpath.h"

/* Of the URL alone: the body is lines, whatever its type says. What cannot be read is left out. */
static void url_params(struct req *r, struct urlq *q)
{
	urlq_init(q, &r->arena);
	if (urlq_parse(q, r->query, r->query_len, NULL))
		return;
}

static bool open_lines(struct req *r, struct decode *d)
{
	struct urlq q;
	url_params(r, &q);
	return recvextra_open(r, &q, false, &d->extra, &d->extra_count);
}

static bool timestamp_of(struct req *r, const struct urlq *q, int64_t *out)
{
	size_t len;
	const char *text = urlq_get(q, "timestamp", &len);
	*out = 0;
	if (!len || !num_parse_i64(text, len, out))
		return true;
	req_refuse(r, 400, "bad_timestamp", "timestamp is \"%.*s\", must be a number of milliseconds",
	    (int)rune_cut(text, len, 100), text);
	return false;
}

static bool open_any_text(struct req *r, struct decode *d, bool with_path)
{
	struct urlq q;
	struct expo_opts *o = arena_zalloc(&r->arena, sizeof(*o));
	url_params(r, &q);
	d->opts = o;
	return timestamp_of(r, &q, &o->t_ms) &&
	    recvextra_open(r, &q, with_path, &d->extra, &d->extra_count);
}

static bool open_text(struct req *r, struct decode *d)
{
	return open_any_text(r, d, false);
}

static bool open_job(struct req *r, struct decode *d)
{
	if (jobpath_is(r->param, r->param_len))
		return open_any_text(r, d, true);
	req_refuse(r, 404, "not_found", "behind metrics/ stands job/<name>");
	return false;
}

static void reply_job(struct req *r, const struct recv_end *e)
{
	if (recv_whole(e))
		req_reply(r, 200, "text/plain; charset=utf-8", "", 0, REQ_BORROW);
	else
		recv_reply_plain(r, e);
}

static const struct recv_kind lines = {
	.receiver = RECEIVER_IMPORT,
	.decoder = &importl_decoder,
	.packs = RECV_ALL - RECV_SNAPPY_FRAMED,
	.open = open_lines,
	.reply = recv_reply_plain,
};
static const struct recv_kind text = {
	.receiver = RECEIVER_EXPOSITION,
	.decoder = &expo_import_decoder,
	.packs = RECV_ALL - RECV_SNAPPY_FRAMED,
	.open = open_text,
	.reply = recv_reply_plain,
};
static const struct recv_kind job = {
	.receiver = RECEIVER_EXPOSITION,
	.decoder = &expo_import_decoder,
	.packs = RECV_ALL - RECV_SNAPPY_FRAMED,
	.open = open_job,
	.reply = reply_job,
};

bool recv_import_before(struct req *r)
{
	return recv_before(r, &lines);
}

void recv_import(struct req *r)
{
	recv_write(r, &lines);
}

bool recv_import_text_before(struct req *r)
{
	return recv_before(r, &text);
}

void recv_import_text(struct req *r)
{
	recv_write(r, &text);
}

void recv_import_job(struct req *r)
{
	recv_write(r, &job);
}
