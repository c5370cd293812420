/* How a write of a receiver ends: sentences and statuses that its reply is made of. */
#include "net/recv/recv.h"

#include "net/api/api.h"
#include "net/api/apierr.h"

#include <inttypes.h>
#include <stdio.h>

bool recv_whole(const struct recv_end *e)
{
	return !e->err && !e->refused && !(e->decode && e->decode->bad);
}

static void sentence_bad(const struct recv_end *e, const char *record, struct buf *out)
{
	const struct decode *d = e->decode;
	buf_printf(out, "; %" PRIu64 " of %" PRIu64 " %ss cannot be read; first: %s", d->bad,
	    d->records, record, d->bad_text);
}

void recv_sentence(const struct recv_end *e, struct buf *out)
{
	if (recv_whole(e))
		return;
	buf_printf(out, "stored %" PRIu64 " of %" PRIu64 " samples", e->stored, e->rows);
	if (e->refused)
		buf_printf(out, "; %" PRIu64 " refused; first: %s: %s", e->refused,
		    sink_reason_word[e->first_reason], e->first_text);
	if (e->decode && e->decode->bad)
		sentence_bad(e, e->record, out);
	if (e->err && e->text[0])
		buf_printf(out, "; %s", e->text);
}

void recv_why(const struct req *r, const struct recv_end *e, char *out, size_t size)
{
	if (e->text[0] && e->err != ERR_NOSPACE)
		snprintf(out, size, "%s", e->text);
	else
		apierr_write_text(r, e->err, out, size);
}

int recv_status(struct req *r, const struct recv_end *e)
{
	if (!e->word)
		return apierr_write_status(r, e->err, e->retry_after_s);
	return e->err == ERR_UNSUPPORTED ? 415 : e->err == ERR_TOOBIG ? 413 : 400;
}

void recv_reply_plain(struct req *r, const struct recv_end *e)
{
	struct buf b;
	if (recv_whole(e)) {
		req_reply(r, e->ha_duplicate ? 202 : 204, NULL, NULL, 0, REQ_BORROW);
		return;
	}
	if (e->err && !e->word) {
		apierr_write_why(r, e->err, e->retry_after_s, e->text);
		return;
	}
	if (e->err && !e->rows && !(e->decode && e->decode->bad)) {
		req_refuse(r, e->err == ERR_UNSUPPORTED ? 415 : 400, e->word, "%s", e->text);
		return;
	}
	buf_init(&b);
	recv_sentence(e, &b);
	req_refuse(r, 400, "partial", "%.*s", (int)b.len, (const char *)b.data);
	buf_release(&b);
}
