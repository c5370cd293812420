#include "net/api/api_federate.h"

#include "core/base/metric.h"
#include "net/api/apierr.h"
#include "net/api/asksets.h"
#include "net/api/scan.h"
#include "proto/promtext.h"

#define PIECE_BYTES      (32u << 10)
#define LOOKBACK_USUAL   (5 * 60 * 1000)
#define TYPE_UNDERSCORES "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
#define TYPE_QUOTED      "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"

struct federate { /* in the request's arena */
	struct asksets asked;
	struct scan_opts o;
	struct scan *scan;
	bool done, quoted;
	struct labels last; /* series given last */
	size_t given;
};

static struct federate *of(struct asksets *s)
{
	return CONTAINER_OF(s, struct federate, asked);
}

static void made(struct asksets *s)
{
	struct federate *f = of(s);
	f->o.ticket = s->ask.ticket;
	f->o.sets = &s->sets;
	f->scan = scan_start(api_of(s->ask.req)->source, &f->o);
}

static void late(struct ask *a)
{
	struct federate *f = of(CONTAINER_OF(a, struct asksets, ask));
	if (f->scan && !f->done)
		scan_cancel(f->scan, ERR_TIMEOUT);
}

static void left(struct req *r)
{
	struct federate *f = r->own;
	if (!ask_left(&f->asked.ask) && f->scan && !f->done)
		scan_cancel(f->scan, ERR_CANCELED);
}

static void sent(struct req *r)
{
	struct federate *f = r->own;
	scan_free(f->scan);
	asksets_end(&f->asked);
}

static const char *name_of(struct labels ls, uint32_t *len)
{
	const char *name = label_get(ls, LABEL_NAME, strlen(LABEL_NAME), len);
	*len = name ? *len : 0;
	return name ? name : "";
}

static void put(struct federate *f, struct labels ls, const struct sample *s, struct buf *out)
{
	uint32_t len, last_len;
	const char *name = name_of(ls, &len), *last = name_of(f->last, &last_len);
	if (f->given++ == 0 || !bytes_equal(name, len, last, last_len))
		promtext_type(out, name, len, f->quoted);
	promtext_sample(out, ls, s, true, f->quoted);
	f->last = ls;
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct federate *f = r->own;
	size_t full = out->len + PIECE_BYTES, len;
	while (out->len < full) {
		struct sample s;
		const char *item = scan_next(f->scan, &len);
		if (!item)
			return REQ_END;
		put(f, scan_newest(item, len, &s), &s, out);
	}
	return REQ_MORE;
}

static void scanned(void *arg, struct scan *s)
{
	struct federate *f = arg;
	struct req *r = f->asked.ask.req;
	const char *text;
	f->done = true;
	ask_worked_out(&f->asked.ask);
	enum err err = scan_err(s, &text);
	if (err) {
		apierr_json(r, err, text, strlen(text));
	} else if (!req_hold(r, purse_used(ticket_purse(f->asked.ask.ticket)))) {
		req_refuse_overloaded(r, "the answer needs more memory than there is now");
	} else {
		req_reply_stream(r, 200, f->quoted ? TYPE_QUOTED : TYPE_UNDERSCORES, pull);
		return;
	}
	scan_free(s); /* however long the client takes to read why */
	f->scan = NULL;
}

void api_federate(struct req *r)
{
	struct urlq u;
	if (!param_parse_strict(r, &u))
		return;
	const char *accept = req_header(r, "accept", NULL);
	int64_t lookback = api_conf(r)->lookback_ms, now = loop_now_ms(r->loop);
	struct federate *f = arena_zalloc(&r->arena, sizeof(*f));
	f->quoted = accept && strstr(accept, "escaping=allow-utf-8");
	if (!urlq_has(&u, "match[]")) {
		req_reply(r, 200, TYPE_UNDERSCORES, NULL, 0, REQ_BORROW);
		return;
	}
	f->o = (struct scan_opts){ .what = SOURCE_SERIES_SAMPLES,
		.t_min_ms = now - (lookback > 0 ? lookback : LOOKBACK_USUAL),
		.t_max_ms = now,
		.tenants = r->tenants,
		.tenants_count = r->tenants_count,
		.deadline_ns = UINT64_MAX,
		.all = true,
		.done = scanned,
		.arg = f };
	f->asked.made = made;
	f->asked.ask.late = late;
	r->own = f;
	r->on_gone = left;
	r->on_done = sent;
	asksets_start(&f->asked, r, &u, api_timeout_ms(r));
}
