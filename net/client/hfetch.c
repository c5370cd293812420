/*
 * hfetch - one request, from the call to done(), with its repeats and redirects.
 *
 *   NEW -> WAIT -> ON -> TAIL -> ENDED -> done()
 *           ^______|REST________|
 *
 * Bytes of an answer are handed on at once, unless they are packed or the caller pauses: then they
 * wait in f->raw, and hfetch_work hands them on, at most HAND_ON_TURN unpacked bytes a turn.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/base/metric.h"
#include "core/base/num.h"
#include "net/client/hclient_priv.h"

#define HAND_ON_TURN   (256u << 10)
#define FIELD_OVERHEAD 32u         /* RFC 9113, 6.5.2 */
#define FREE_RETRIES   3u          /* of those that are not counted */
#define DROPPED_MAX    (64u << 10) /* of an answer nobody reads; more, and its stream is cut */
#define FIELDS_FIRST   16u

static void hfetch_start(struct loop_deferred *d);
static void hfetch_finish(struct loop_deferred *d);
static void hfetch_work(struct loop_deferred *d);
static void on_whole(struct loop_timer *t);
static void on_phase(struct loop_timer *t);
static void hfetch_complete(struct hfetch *f);
static void go_on(struct hfetch *f);

/* ---- timers ---- */

static void phase(struct hfetch *f, uint32_t ms)
{
	if (ms == HCLIENT_NONE)
		loop_timer_cancel(f->c->loop, &f->phase);
	else
		loop_timer_set(f->c->loop, &f->phase, ms);
}

static uint32_t head_ms(const struct hfetch *f)
{
	return f->req.head_ms ? f->req.head_ms : f->c->opts.head_ms;
}

static uint32_t idle_ms(const struct hfetch *f)
{
	return f->req.idle_ms ? f->req.idle_ms : f->c->opts.idle_ms;
}

static uint32_t whole_ms(const struct hfetch *f)
{
	return f->req.whole_ms ? f->req.whole_ms : f->c->opts.whole_ms;
}

static size_t answer_max(const struct hfetch *f)
{
	return f->req.answer_max ? f->req.answer_max : f->c->opts.answer_max;
}

/* ---- ends ---- */

/* Off its link or out of its queue. */
static void leave(struct hfetch *f)
{
	struct hlink *l = f->on;
	if (l) {
		l->ops->detach(l, f);
		f->on = NULL;
	}
	if (f->origin)
		horigin_leave(f->origin, f);
}

static void hfetch_end(struct hfetch *f, enum hfetch_state how)
{
	struct loop *l = f->c->loop;
	bool set = f->state >= HFETCH_ENDED;
	leave(f);
	f->state = how;
	if (f->start_set)
		list_del(&f->start.link);
	f->start_set = false;
	loop_timer_cancel(l, &f->whole);
	loop_timer_cancel(l, &f->phase);
	loop_again_cancel(&f->work);
	if (!set)
		loop_defer(l, &f->finish);
}

void hfetch_fail(struct hfetch *f, enum err e, const char *fmt, ...)
{
	va_list ap;
	if (!hfetch_runs(f))
		return;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof f->text, fmt, ap);
	va_end(ap);
	f->err = e;
	metric_add(M_CLIENT_FAILED, 1);
	hfetch_end(f, HFETCH_ENDED);
}

static void hfetch_free(struct hfetch *f)
{
	list_del(&f->link);
	hfetch_wipe(f);
	gunz_free(f->gunz);
	buf_release(&f->out);
	buf_release(&f->raw);
	buf_release(&f->body);
	arena_release(&f->arena);
	arena_release(&f->answer);
	mem_free(f);
}

static void hfetch_finish(struct loop_deferred *d)
{
	struct hfetch *f = CONTAINER_OF(d, struct hfetch, finish);
	struct hclient_end end = {
		.err = f->err,
		.text = f->text,
		.head = f->head,
		.body = f->body.len ? &f->body : NULL,
		.trailers = f->trailers.at,
		.trailer_count = f->trailers.count,
		.h2_code = f->h2_code,
		.tries = f->tries,
	};
	if (f->state == HFETCH_ENDED) {
		f->state = HFETCH_GONE;
		f->req.done(f->req.own, &end);
	}
	hfetch_free(f);
}

void hclient_cancel(struct hfetch *f)
{
	loop_check_here(f->c->loop);
	if (f->state != HFETCH_GONE)
		hfetch_end(f, HFETCH_GONE);
}

/* ---- its beginning ---- */

static void wait_for_link(struct hfetch *f)
{
	f->state = HFETCH_WAIT;
	horigin_wait(horigin_get(f->c, &f->url, f->req.h2_only), f);
}

static void hfetch_start(struct loop_deferred *d)
{
	struct hfetch *f = CONTAINER_OF(d, struct hfetch, start);
	f->start_set = false;
	if (f->c->closing)
		hfetch_fail(f, ERR_STOPPING, "the client ends");
	else if (hfetch_check(f))
		wait_for_link(f);
}

struct hfetch *hclient_fetch(struct hclient *c, const struct hclient_req *req)
{
	loop_check_here(c->loop);
	CHECK(req->done && !(req->pull && req->body_len));
	struct hfetch *f = mem_zalloc(sizeof *f);
	f->c = c;
	f->h2_code = -1;
	arena_init(&f->arena, 1024);
	arena_init(&f->answer, 1024);
	hfetch_copy(f, req);
	buf_init(&f->out);
	buf_init(&f->raw);
	buf_init(&f->body);
	f->start.fn = hfetch_start;
	f->finish.fn = hfetch_finish;
	f->work.work.fn = hfetch_work;
	loop_timer_init(&f->whole, on_whole);
	loop_timer_init(&f->phase, on_phase);
	list_init(&f->wait);
	list_add_tail(&c->fetches, &f->link);
	uint32_t ms = whole_ms(f);
	if (ms != HCLIENT_NONE) {
		f->whole_due_ns = loop_now_ns(c->loop) + ms * UINT64_C(1000000);
		loop_timer_set(c->loop, &f->whole, ms);
	}
	metric_add(M_CLIENT_FETCHES, 1);
	f->start_set = true;
	loop_defer(c->loop, &f->start);
	return f;
}

void hclient_resume(struct hfetch *f)
{
	loop_check_here(f->c->loop);
	if (!f->pull_later)
		return;
	f->pull_later = false;
	if (f->on)
		loop_again(f->c->loop, LOOP_SOON, &f->work);
}

void hfetch_sent(struct hfetch *f)
{
	if (f->state == HFETCH_ON && !f->head_done)
		phase(f, head_ms(f));
}

/* ---- tries ---- */

static void forget_answer(struct hfetch *f)
{
	f->head_fields = f->trailers = (struct hfields){ 0 };
	f->head = (struct hclient_head){ 0 };
	arena_reset(&f->answer, 4096);
	gunz_free(f->gunz);
	f->gunz = NULL;
	buf_clear(&f->raw);
	buf_clear(&f->body);
	f->raw_off = f->head_bytes = f->dropped_bytes = 0;
	f->body_bytes = 0;
	f->head_done = f->over = f->dropped = f->answer_begun = f->gunz_more = f->redirect = false;
	f->h2_status = 0;
	f->informed = 0;
	f->retry_after_ms = 0;
	f->h2_code = -1;
}

void hfetch_start_on(struct hfetch *f, struct hlink *l)
{
	CHECK(f->state == HFETCH_WAIT);
	f->state = HFETCH_ON;
	f->on = l;
	l->fetches++;
	loop_timer_cancel(f->c->loop, &l->timer);
	memcpy(f->peer, l->w.peer, sizeof f->peer);
	forget_answer(f);
	f->body_off = 0;
	f->tries++;
	phase(f, head_ms(f));
	l->ops->begin(l, f);
}

const char *hfetch_peer(const struct hfetch *f)
{
	return f->on ? f->peer : "";
}

/* Can the request be sent once more, as far as we are concerned? */
static bool replayable(const struct hfetch *f)
{
	bool handed_on = f->head_done && !f->dropped;
	return !handed_on && !f->c->closing && !(f->req.pull && f->pull_begun) &&
	    f->req.retry != HCLIENT_RETRY_NEVER;
}

static bool repeatable(const struct hfetch *f)
{
	return replayable(f) && (f->idempotent || f->req.retry == HCLIENT_RETRY_ALWAYS);
}

static bool fits(const struct hfetch *f, uint64_t ms)
{
	return !f->whole_due_ns || loop_now_ns(f->c->loop) + ms * UINT64_C(1000000) < f->whole_due_ns;
}

/* "Full jitter": anything up to what doubles with each try. */
static uint64_t backoff(struct hfetch *f)
{
	uint64_t most = (uint64_t)f->c->opts.backoff_ms << (f->retries < 16 ? f->retries : 16);
	most = most < HCLIENT_BACKOFF_MAX_MS ? most : HCLIENT_BACKOFF_MAX_MS;
	return hclient_random(f->c, most + 1);
}

static void rest(struct hfetch *f, uint64_t ms)
{
	f->state = HFETCH_REST;
	f->retries++;
	metric_add(M_CLIENT_RETRIES, 1);
	loop_timer_set(f->c->loop, &f->phase, ms);
}

static void at_once(struct hfetch *f)
{
	f->free_retries++;
	metric_add(M_CLIENT_RETRIES, 1);
	loop_timer_cancel(f->c->loop, &f->phase);
	wait_for_link(f);
}

/* Errors that a repeat may cure. */
static bool passes(enum err e)
{
	return e == ERR_IO || e == ERR_TIMEOUT || e == ERR_TRUNCATED || e == ERR_NOFILES;
}

void hfetch_broken(
    struct hfetch *f, enum hfetch_break how, enum err e, const char *text, int64_t h2_code)
{
	if (!hfetch_runs(f))
		return;
	leave(f);
	f->h2_code = h2_code;
	bool again = how == HFETCH_UNSEEN ? replayable(f) : how == HFETCH_STALE && repeatable(f);
	if (again && f->free_retries < FREE_RETRIES) {
		at_once(f);
		return;
	}
	bool may = how == HFETCH_UNOPENED || how == HFETCH_UNSEEN ? replayable(f) : repeatable(f);
	uint64_t ms = backoff(f);
	if (may && passes(e) && f->retries < f->c->opts.retries && fits(f, ms))
		rest(f, ms);
	else
		hfetch_fail(f, e, "%s", text);
}

/* ---- deadlines ---- */

static void on_phase(struct loop_timer *t)
{
	struct hfetch *f = CONTAINER_OF(t, struct hfetch, phase);
	char text[HWIRE_TEXT_MAX];
	if (f->state == HFETCH_REST) {
		wait_for_link(f);
		return;
	}
	if (f->state != HFETCH_ON)
		return;
	if (f->head_done)
		snprintf(
		    text, sizeof text, "answer of %s: nothing came for %u ms", f->peer, idle_ms(f));
	else
		snprintf(text, sizeof text, "answer of %s: it did not begin within %u ms", f->peer,
		    head_ms(f));
	f->on->worn = true; /* who knows whether anybody is there */
	leave(f);
	hfetch_broken(f, HFETCH_BROKEN, ERR_TIMEOUT, text, -1);
}

static void on_whole(struct loop_timer *t)
{
	struct hfetch *f = CONTAINER_OF(t, struct hfetch, whole);
	uint32_t ms = whole_ms(f);
	if (f->state == HFETCH_WAIT || f->state == HFETCH_NEW)
		hfetch_fail(f, ERR_TIMEOUT, "connect to %s: no connection within %u ms in all",
		    f->url.host, ms);
	else
		hfetch_fail(f, ERR_TIMEOUT, "answer of %s: not complete within %u ms in all",
		    f->peer[0] ? f->peer : f->url.host, ms);
}

/* ---- the answer's head ---- */

static bool fields_add(struct arena *a, struct hfields *all, const struct hclient_field *one)
{
	if (all->count == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : FIELDS_FIRST;
		struct hclient_field *more = arena_array(a, cap, sizeof *more);
		if (all->count)
			memcpy(more, all->at, all->count * sizeof *more);
		all->at = more;
		all->cap = cap;
	}
	all->at[all->count++] = *one;
	return true;
}

bool hfetch_field(
    struct hfetch *f, const char *name, size_t name_len, const char *value, size_t value_len)
{
	size_t max = f->c->opts.head_max;
	f->head_bytes += name_len + value_len + FIELD_OVERHEAD;
	if (f->head_bytes > max) {
		hfetch_fail(f, ERR_TOOBIG, "answer of %s: its fields are larger than %zu bytes",
		    f->peer, max);
		return false;
	}
	struct hclient_field one = {
		.name = arena_strndup(&f->answer, name, name_len),
		.value = arena_strndup(&f->answer, value, value_len),
		.name_len = name_len,
		.value_len = value_len,
	};
	return fields_add(&f->answer, f->head_done ? &f->trailers : &f->head_fields, &one);
}

static const char *head_field(const struct hfetch *f, const char *name, size_t *len)
{
	return hclient_header(f->head_fields.at, f->head_fields.count, name, len);
}

/*
 * RFC 9110, 10.2.3: seconds, or a date of its preferred form. In ms; 0 = not said, or unreadable.
 */
static uint64_t retry_after(const struct hfetch *f)
{
	size_t len;
	const char *v = head_field(f, "retry-after", &len);
	uint64_t s;
	struct tm tm = { 0 };
	if (!v)
		return 0;
	if (!num_parse_u64(v, len, &s))
		return s < UINT32_MAX ? s * 1000 : UINT32_MAX;
	const char *end = strptime(v, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (!end || *end)
		return 0;
	int64_t ms = (int64_t)timegm(&tm) * 1000 - loop_now_ms(f->c->loop);
	return ms > 0 ? (uint64_t)ms : 0;
}

static bool status_passes(int status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

/* Is this answer thrown away for a repeat? */
static bool wants_repeat(struct hfetch *f, int status)
{
	const struct hclient_opts *o = &f->c->opts;
	if (!status_passes(status) || f->retries >= o->retries || !repeatable(f))
		return false;
	uint64_t ms = retry_after(f);
	if (ms > o->retry_after_max_ms || !fits(f, ms + o->backoff_ms))
		return false;
	f->retry_after_ms = (uint32_t)ms;
	return true;
}

static bool wants_redirect(const struct hfetch *f, int status)
{
	bool kind = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
	return kind && f->c->opts.redirects && head_field(f, "location", NULL);
}

static enum gz_form packed_as(const struct hfetch *f)
{
	static const struct {
		const char *word;
		enum gz_form form;
	} forms[] = { { "gzip", GZ_GZIP }, { "x-gzip", GZ_GZIP }, { "deflate", GZ_DEFLATE } };
	const char *v = head_field(f, "content-encoding", NULL);
	for (size_t i = 0; v && i < COUNT_OF(forms); i++)
		if (!strcasecmp(v, forms[i].word))
			return forms[i].form;
	return GZ_NONE;
}

void hfetch_head(struct hfetch *f, int status, unsigned version)
{
	f->head = (struct hclient_head){
		.status = status,
		.version = version,
		.fields = f->head_fields.at,
		.field_count = f->head_fields.count,
	};
	f->redirect = wants_redirect(f, status);
	f->dropped = f->redirect || wants_repeat(f, status);
	f->head_done = true;
	phase(f, f->paused && !f->dropped ? HCLIENT_NONE : idle_ms(f));
	if (f->dropped)
		return;
	enum gz_form form = f->req.keep_packed ? GZ_NONE : packed_as(f);
	if (form != GZ_NONE && gunz_create(form, &f->gunz)) {
		hfetch_fail(f, ERR_NOMEM, "answer of %s: no memory to unpack it", f->peer);
		return;
	}
	if (f->req.head)
		f->req.head(f->req.own, &f->head);
}

/* ---- the answer's body ---- */

/* False: it has ended, or left. */
static bool hand_on(struct hfetch *f, const uint8_t *data, size_t len)
{
	size_t max = answer_max(f);
	f->body_bytes += len;
	if (f->body_bytes > max) {
		hfetch_fail(
		    f, ERR_TOOBIG, "answer of %s: its body is larger than %zu bytes", f->peer, max);
		return false;
	}
	if (f->req.data)
		f->req.data(f->req.own, data, len);
	else
		buf_add(&f->body, data, len);
	return hfetch_runs(f);
}

void hfetch_data(struct hfetch *f, const uint8_t *data, size_t len)
{
	if (!hfetch_runs(f) || !len)
		return;
	if (f->dropped) {
		f->dropped_bytes += len;
		if (f->dropped_bytes > DROPPED_MAX) {
			leave(f);
			go_on(f);
		} else {
			f->on->ops->took(f->on, f, len);
		}
		return;
	}
	if (!f->paused)
		phase(f, idle_ms(f));
	if (f->gunz || f->paused || hfetch_backlog(f)) {
		buf_add(&f->raw, data, len);
		loop_again(f->c->loop, LOOP_SOON, &f->work);
		f->on->ops->took(f->on, f, 0);
		return;
	}
	if (hand_on(f, data, len) && f->on)
		f->on->ops->took(f->on, f, len);
}

/* Some of what waits; used: raw bytes. False: it has ended, or nothing more can be done now. */
static bool step(struct hfetch *f, size_t *used, size_t *given)
{
	SCRATCH uint8_t out[GUNZ_STEP];
	const uint8_t *in = f->raw.data + f->raw_off;
	size_t len = hfetch_backlog(f);
	if (!f->gunz) {
		*used = *given = len < GUNZ_STEP ? len : GUNZ_STEP;
		return len && hand_on(f, in, *used);
	}
	if (gunz_next(f->gunz, in, len, used, out, given)) {
		hfetch_fail(f, ERR_MALFORMED,
		    "answer of %s: its body is not what Content-Encoding says", f->peer);
		return false;
	}
	f->gunz_more = *given == GUNZ_STEP;
	if (*given && !hand_on(f, out, *given))
		return false;
	return *used || *given;
}

static void drop_used(struct hfetch *f)
{
	if (f->raw_off == f->raw.len) {
		buf_clear(&f->raw);
		f->raw_off = 0;
	} else if (f->raw_off > f->raw.len / 2) {
		f->raw.len -= f->raw_off;
		memmove(f->raw.data, f->raw.data + f->raw_off, f->raw.len);
		f->raw_off = 0;
	}
}

static bool more_waits(const struct hfetch *f)
{
	return hfetch_backlog(f) || f->gunz_more;
}

static void hfetch_work(struct loop_deferred *d)
{
	struct hfetch *f = CONTAINER_OF(d, struct hfetch, work.work);
	size_t total = 0, taken = 0;
	loop_again_begin(&f->work);
	if (f->on && !f->pull_later && f->req.pull)
		f->on->ops->more(f->on, f);
	while (hfetch_runs(f) && !f->paused && more_waits(f) && total < HAND_ON_TURN) {
		size_t used = 0, given = 0;
		bool fine = step(f, &used, &given);
		f->raw_off += used;
		taken += used;
		total += given;
		if (!fine)
			break;
	}
	if (!hfetch_runs(f))
		return;
	drop_used(f);
	if (f->on && taken)
		f->on->ops->took(f->on, f, taken);
	if (f->paused)
		return;
	if (more_waits(f))
		loop_again(f->c->loop, LOOP_LATER, &f->work);
	else if (f->over && f->state == HFETCH_TAIL)
		hfetch_complete(f);
}

void hclient_pause(struct hfetch *f, bool pause)
{
	loop_check_here(f->c->loop);
	if (!hfetch_runs(f) || f->paused == pause)
		return;
	f->paused = pause;
	if (f->state == HFETCH_ON && f->head_done)
		phase(f, pause ? HCLIENT_NONE : idle_ms(f));
	if (f->on)
		f->on->ops->took(f->on, f, 0);
	if (!pause)
		loop_again(f->c->loop, LOOP_SOON, &f->work);
}

/* ---- the answer's end ---- */

static void hfetch_complete(struct hfetch *f)
{
	if (f->gunz && !gunz_whole(f->gunz)) {
		hfetch_fail(f, ERR_TRUNCATED, "answer of %s: its packed body ends early", f->peer);
		return;
	}
	if (f->req.trailers && f->trailers.count)
		f->req.trailers(f->req.own, f->trailers.at, f->trailers.count);
	if (hfetch_runs(f))
		hfetch_end(f, HFETCH_ENDED);
}

void hfetch_over(struct hfetch *f)
{
	if (!hfetch_runs(f))
		return;
	CHECK(!f->on);
	f->state = HFETCH_TAIL;
	f->over = true;
	loop_timer_cancel(f->c->loop, &f->phase);
	if (f->dropped)
		go_on(f);
	else if (!f->paused && !more_waits(f))
		hfetch_complete(f);
}

/* ---- redirects ---- */

/* The method and body of the next request (RFC 9110, 15.4). */
static bool turn_method(struct hfetch *f)
{
	int s = f->head.status;
	bool post = !strcmp(f->method, "POST");
	bool to_get = s == 303 ? strcmp(f->method, "HEAD") != 0 : post && (s == 301 || s == 302);
	if (to_get) {
		f->method = "GET";
		f->idempotent = f->no_body = true;
		hfetch_drop_body(f);
	}
	return !(f->req.pull && f->pull_begun);
}

static void follow(struct hfetch *f)
{
	size_t len;
	const char *where = head_field(f, "location", &len);
	struct url to;
	struct errbuf eb;
	errbuf_init(&eb);
	if (f->redirects++ >= f->c->opts.redirects) {
		hfetch_fail(f, ERR_ACCESS, "answer of %s: more than %u redirects", f->peer,
		    f->c->opts.redirects);
	} else if (url_refer(&f->arena, &f->url, where, len, &to, &eb)) {
		hfetch_fail(f, ERR_BADDATA, "answer of %s: redirect: %s", f->peer, eb.text);
	} else if (f->url.https && !to.https) {
		hfetch_fail(f, ERR_ACCESS, "answer of %s: redirect from https to http", f->peer);
	} else if (!turn_method(f)) {
		hfetch_fail(f, ERR_ACCESS,
		    "answer of %s: redirect of a request whose body cannot be sent twice", f->peer);
	} else {
		if (!url_same_origin(&to, &f->first_url))
			hfetch_drop_secrets(f);
		f->url = to;
		wait_for_link(f);
	}
}

/* An answer that was not handed on is over, or cut short. */
static void go_on(struct hfetch *f)
{
	loop_timer_cancel(f->c->loop, &f->phase);
	if (f->redirect)
		follow(f);
	else
		rest(f, f->retry_after_ms + backoff(f));
}
