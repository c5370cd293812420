#include "net/ctl/ctlsrc_priv.h"

#include <stdio.h>
#include <string.h>

#include "core/base/num.h"

#define COME_PAUSE ((size_t)4 << 20) /* of what came and is not read: the server waits */
#define ANSWER_MAX ((size_t)256 << 20)
#define PROBES     6u
#define PROBE      "{__name__=\"kymoctl_asks_which_way\"}"

static const struct ctlsrc_ops *const ways[] = {
	[CTLSRC_READ] = &ctlsrc_read, [CTLSRC_LINES] = &ctlsrc_lines, [CTLSRC_QUERY] = &ctlsrc_query
};

const char *ctlsrc_way_name(enum ctlsrc_way way)
{
	return way == CTLSRC_AUTO ? "auto" : ways[way]->name;
}

/* --- what the ways share --- */

bool ctlsrc_labels(struct ctlsrc *s, struct labels wire)
{
	static const struct label_limits none = { 0 };
	struct errbuf eb;
	errbuf_init(&eb);
	if (!label_canonicalize(&s->arena, wire, &none, &s->labels, &eb))
		return true;
	if (!s->counts.left_series++)
		ctl_note("a series is left out: %s", eb.text);
	return false;
}

enum ctlsrc_take ctlsrc_bad(struct ctlsrc *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	return TAKE_BAD;
}

/* --- the call --- */

static void on_data(void *own, const uint8_t *data, size_t len)
{
	struct ctlsrc *s = own;
	s->counts.bytes += len;
	buf_add(&s->come, data, len);
	if (s->whole)
		s->too_long = s->come.len > s->o.answer_max;
	if (s->too_long || (!s->whole && s->come.len >= COME_PAUSE))
		ctlhttp_pause(&s->call, true);
}

static void end_call(struct ctlsrc *s)
{
	if (!s->under_way)
		return;
	ctlhttp_cancel(&s->call);
	ctlhttp_call_release(&s->call);
	s->under_way = false;
}

static void empty(struct ctlsrc *s)
{
	end_call(s);
	buf_clear(&s->come);
	buf_clear(&s->in);
	s->at = 0;
	s->over = s->too_long = s->in_answer = s->in_series = s->has_next = false;
	s->in_line = s->in_result = false;
	s->why[0] = 0;
	s->status = CTL_OK;
}

static void begin_call(struct ctlsrc *s)
{
	buf_clear(&s->path);
	buf_clear(&s->body);
	s->call = (struct ctlhttp_call){
		.method = "POST", .streams = true, .once = true, .plain = !s->o.packed, .own = s
	};
	s->call.data = on_data;
	s->ops->ask(s);
	s->call.body = s->body.data;
	s->call.body_len = s->body.len;
	ctlhttp_begin(s->o.http, &s->call);
	s->under_way = true;
}

void ctlsrc_begin(struct ctlsrc *s, const struct ctlsrc_piece *piece)
{
	empty(s);
	s->piece = *piece;
	begin_call(s);
}

/* What an answer that ended badly means. */
static enum ctlsrc_got judge(struct ctlsrc *s)
{
	const struct ctlhttp_call *c = &s->call;
	snprintf(s->why, sizeof(s->why), "%s", c->text);
	s->over = true;
	if (c->err == ERR_CANCELED) {
		s->status = CTL_INTERRUPTED;
		return CTLSRC_FAILED;
	}
	if (c->err == ERR_TOOBIG)
		return CTLSRC_SMALLER;
	if (c->err) {
		s->status = CTL_UNREACHABLE;
		return c->err == ERR_BADDATA || c->err == ERR_ACCESS || c->err == ERR_NOTFOUND
		    ? CTLSRC_FAILED
		    : CTLSRC_BROKEN;
	}
	s->status = CTL_REFUSED;
	if (c->status == 429 || c->status == 502)
		return CTLSRC_BROKEN;
	if (ctlhttp_says_too_much(c))
		return CTLSRC_SMALLER;
	return c->status >= 500 ? CTLSRC_BROKEN : CTLSRC_FAILED;
}

/* --- reading --- */

/* What came goes behind what is not read yet. */
static void gather(struct ctlsrc *s)
{
	size_t left = s->in.len - s->at;
	if (s->at && left)
		memmove(s->in.data, s->in.data + s->at, left);
	s->in.len = left;
	s->at = 0;
	if (!left) {
		struct buf x = s->in;
		s->in = s->come;
		s->come = x;
		buf_clear(&s->come);
	} else {
		buf_add(&s->in, s->come.data, s->come.len);
		buf_clear(&s->come);
	}
	if (s->under_way && !s->call.ended)
		ctlhttp_pause(&s->call, false);
}

/* The column's samples within the piece. */
static bool inside(struct ctlsrc *s, struct ctlsrc_item *out)
{
	struct column *c = &s->col;
	uint32_t first = 0, end = c->count;
	while (first < end && c->t_ms[first] < s->piece.from_ms)
		first++;
	while (end > first && c->t_ms[end - 1] > s->piece.to_ms)
		end--;
	if (first == end)
		return false;
	out->labels = s->labels;
	out->samples = column_view(c, first, end - first);
	s->counts.samples += end - first;
	for (uint32_t i = 0; out->samples.h && i < out->samples.count; i++)
		s->counts.histograms += out->samples.h[i] != NULL;
	return true;
}

static enum ctlsrc_got ended(struct ctlsrc *s)
{
	if (s->call.err || s->call.status > 299)
		return judge(s);
	s->over = true;
	if (s->at == s->in.len)
		return CTLSRC_END;
	s->status = CTL_REFUSED;
	snprintf(s->why, sizeof(s->why), "the answer ends in the middle");
	return CTLSRC_BROKEN;
}

static enum ctlsrc_got too_long(struct ctlsrc *s)
{
	char n[CTL_TEXT];
	end_call(s);
	s->over = true;
	s->status = CTL_REFUSED;
	snprintf(s->why, sizeof(s->why), "an answer has more than %s",
	    ctl_bytes((double)s->o.answer_max, n));
	return CTLSRC_SMALLER;
}

enum ctlsrc_got ctlsrc_next(struct ctlsrc *s, struct ctlsrc_item *out)
{
	CHECK(!s->over);
	for (;;) {
		/* An answer that broke off gives nothing more: the piece is begun again. */
		bool done = s->call.ended && !s->come.len;
		if (done && (s->call.err || s->call.status > 299))
			return judge(s);
		if (s->too_long)
			return too_long(s);
		enum ctlsrc_take got = s->whole && !s->call.ended ? TAKE_MORE : s->ops->take(s, done);
		if (got == TAKE_ITEM && inside(s, out))
			return CTLSRC_ITEM;
		if (got == TAKE_ITEM)
			continue;
		if (got == TAKE_BAD) {
			end_call(s);
			s->over = true;
			s->status = s->status ? s->status : CTL_REFUSED;
			return CTLSRC_BROKEN;
		}
		if (done)
			return ended(s);
		if (s->come.len && (!s->whole || s->call.ended)) {
			gather(s);
			continue;
		}
		if (!s->call.ended)
			ctlhttp_turn(s->o.http);
		if (ctl_stopped())
			ctlhttp_cancel(&s->call);
	}
}

const char *ctlsrc_why(const struct ctlsrc *s)
{
	return s->why;
}

int ctlsrc_tell(const struct ctlsrc *s)
{
	if (s->status == CTL_INTERRUPTED)
		return ctl_fail(CTL_INTERRUPTED, "interrupted, the same command goes on");
	return ctl_fail(s->status ? (enum ctl_exit)s->status : CTL_REFUSED, "%s: %s",
	    ctlhttp_server(s->o.http), s->why);
}

const struct ctlsrc_counts *ctlsrc_counts(const struct ctlsrc *s)
{
	return &s->counts;
}

enum ctlsrc_way ctlsrc_way(const struct ctlsrc *s)
{
	return s->way;
}

/* --- which way --- */

static void use(struct ctlsrc *s, enum ctlsrc_way way)
{
	s->way = way;
	s->ops = ways[way];
}

/* A server that is busy is asked again. */
static enum ctlsrc_got probe(struct ctlsrc *s, const struct ctlsrc_piece *piece)
{
	struct ctlsrc_item item;
	for (unsigned i = 0;; i++) {
		ctlsrc_begin(s, piece);
		enum ctlsrc_got got = ctlsrc_next(s, &item);
		int status = s->call.status;
		bool busy = status == 429 || (status >= 502 && status <= 504);
		if (!busy || i == PROBES || !ctl_sleep_ms(100u << i))
			return got;
	}
}

/* Asks for nothing by each way, from the best on. */
static int find_way(struct ctlsrc *s)
{
	struct arena a;
	struct ctlsel sel;
	struct errbuf eb;
	bool found = false;
	int status = CTL_OK;
	arena_init(&a, 1024);
	errbuf_init(&eb);
	CHECK(!ctlsel_parse(&a, PROBE, sizeof(PROBE) - 1, &sel, &eb));
	struct ctlsrc_piece piece = { .sel = &sel, .from_ms = 1000, .to_ms = 2000 };
	for (enum ctlsrc_way way = CTLSRC_READ; !found && !status && way <= CTLSRC_QUERY; way++) {
		use(s, way);
		found = probe(s, &piece) == CTLSRC_END;
		bool no_answer = s->status == CTL_UNREACHABLE || s->status == CTL_INTERRUPTED;
		bool shut = s->call.status == 401 || s->call.status == 403;
		if (!found && (no_answer || shut || way == CTLSRC_QUERY))
			status = ctlsrc_tell(s);
	}
	empty(s);
	ctlsel_release(&sel);
	arena_release(&a);
	return status;
}

int ctlsrc_open(const struct ctlsrc_opts *o, struct ctlsrc **out)
{
	struct ctlsrc *s = mem_zalloc(sizeof(*s));
	s->o = *o;
	if (!s->o.answer_max)
		s->o.answer_max = ANSWER_MAX;
	limits_default(&s->limits);
	arena_init(&s->arena, 4096);
	arena_init(&s->hists, 4096);
	batch_init(&s->rows);
	int status = CTL_OK;
	if (o->way == CTLSRC_AUTO)
		status = find_way(s);
	else
		use(s, o->way);
	if (status) {
		ctlsrc_close(s);
		s = NULL;
	}
	*out = s;
	return status;
}

void ctlsrc_close(struct ctlsrc *s)
{
	if (!s)
		return;
	end_call(s);
	buf_release(&s->path);
	buf_release(&s->body);
	buf_release(&s->come);
	buf_release(&s->in);
	buf_release(&s->scratch);
	buf_release(&s->plain);
	column_release(&s->col);
	batch_release(&s->rows);
	arena_release(&s->arena);
	arena_release(&s->hists);
	mem_free(s);
}
