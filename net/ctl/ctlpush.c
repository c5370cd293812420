#include "net/ctl/ctlpush.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "proto/rw2.h"
#include "proto/snapz.h"

#define SAMPLE_BYTES 20u          /* of a float in a request */
#define PACED        5            /* requests a second, with samples_per_s */
#define PACED_BYTES  4096         /* of a request at least */
#define LOOK_BYTES   (128u << 10) /* of new samples between looks at the sockets */
#define ROWS_MOST    200000u      /* of a request: a fifth of what servers take */
#define TELL_NS      UINT64_C(15000000000)
#define SEEN_FIRST   4096u

struct seen {
	uint64_t hash;
	uint64_t number; /* of the last request with this series; 0 = free */
};
struct slot {
	struct ctlpush *push;
	struct ctlhttp_call call;
	struct buf body;
	uint64_t number;
	uint64_t floats, hists;
	uint64_t written; /* as the answer's fields say */
	unsigned repeats;
	bool busy, has_written;
};
struct sent { /* of a request, by its number modulo the window */
	uint64_t position;
	bool acked;
};
struct ctlpush {
	struct ctlhttp *http;
	const char *path;
	size_t request_bytes;
	double samples_per_s;
	bool no_pack;
	int status; /* the first end */
	struct slot slots[CTLPUSH_IN_FLIGHT_MAX];
	unsigned slots_count, busy;
	/* The request being filled: number `next`. */
	struct rw2_enc enc;
	struct buf raw;
	uint64_t floats, hists;
	uint32_t after; /* requests of the window that it must not overtake, a bit each */
	size_t looked;  /* size when the sockets were looked at */
	/* The series being given. */
	struct buf labels;
	struct ctlpush_series series;
	uint64_t hash;
	bool is_open; /* it stands in the request */
	/* Requests first .. next-1 are not all acknowledged. */
	uint64_t first, next;
	struct sent sent[CTLPUSH_WINDOW];
	uint64_t position, acked_position; /* told last; all before it is acknowledged */
	struct seen *seen;
	size_t seen_cap, seen_count;
	uint64_t due_ns; /* samples_per_s: not before */
	uint64_t told_ns;
	struct ctlpush_counts counts;
};
STATIC(CTLPUSH_WINDOW == 32 && CTLPUSH_IN_FLIGHT_MAX <= CTLPUSH_WINDOW);

static int seal(struct ctlpush *p);

int ctlpush_open(const struct ctlpush_opts *o, struct ctlpush **out)
{
	struct ctlpush *p = mem_zalloc(sizeof(*p));
	p->http = o->http;
	p->path = o->path ? o->path : "/api/v1/write";
	p->request_bytes = o->request_bytes ? o->request_bytes : CTLPUSH_REQUEST_BYTES;
	p->samples_per_s = o->samples_per_s;
	if (o->samples_per_s > 0) { /* a few requests a second, so that it goes evenly */
		double bytes = fmax(o->samples_per_s / PACED * SAMPLE_BYTES, PACED_BYTES);
		p->request_bytes = (size_t)fmin(bytes, (double)p->request_bytes);
	}
	p->no_pack = o->no_pack;
	p->slots_count = o->in_flight ? o->in_flight : CTLPUSH_IN_FLIGHT;
	if (p->slots_count > CTLPUSH_IN_FLIGHT_MAX)
		p->slots_count = CTLPUSH_IN_FLIGHT_MAX;
	for (unsigned i = 0; i < p->slots_count; i++) {
		p->slots[i].push = p;
		buf_init(&p->slots[i].body);
	}
	rw2_enc_init(&p->enc);
	rw2_enc_begin(&p->enc);
	buf_init(&p->raw);
	buf_init(&p->labels);
	p->first = p->next = 1;
	p->seen_cap = SEEN_FIRST;
	p->seen = mem_zalloc(p->seen_cap * sizeof(*p->seen));
	*out = p;
	return CTL_OK;
}

void ctlpush_close(struct ctlpush *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->slots_count; i++) {
		struct slot *s = &p->slots[i];
		if (s->busy) {
			ctlhttp_cancel(&s->call);
			ctlhttp_call_release(&s->call);
		}
		buf_release(&s->body);
	}
	rw2_enc_release(&p->enc);
	buf_release(&p->raw);
	buf_release(&p->labels);
	mem_free(p->seen);
	mem_free(p);
}

/* --- what comes back --- */

static void ack(struct ctlpush *p, uint64_t number)
{
	p->sent[number % CTLPUSH_WINDOW].acked = true;
	while (p->first < p->next && p->sent[p->first % CTLPUSH_WINDOW].acked) {
		p->acked_position = p->sent[p->first % CTLPUSH_WINDOW].position;
		p->first++;
	}
}

static bool is_acked(const struct ctlpush *p, uint64_t number)
{
	return number < p->first || p->sent[number % CTLPUSH_WINDOW].acked;
}

static uint32_t unacked(const struct ctlpush *p)
{
	uint32_t mask = 0;
	for (uint64_t n = p->first; n < p->next; n++)
		if (!p->sent[n % CTLPUSH_WINDOW].acked)
			mask |= UINT32_C(1) << n % CTLPUSH_WINDOW;
	return mask;
}

static void push_head(void *own, const struct hclient_head *h)
{
	static const char *const names[] = { "x-prometheus-remote-write-samples-written",
		"x-prometheus-remote-write-histograms-written" };
	struct slot *s = own;
	s->written = 0;
	s->has_written = false;
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		size_t len;
		uint64_t n;
		const char *text = hclient_header(h->fields, h->field_count, names[i], &len);
		if (text && !num_parse_u64(text, len, &n)) {
			s->written += n;
			s->has_written = true;
		}
	}
}

/* "...first: too_old: up{...}: ...": too_old. */
static void count_reason(struct ctlpush *p, const char *text, uint64_t n)
{
	const char *first = strstr(text, "first: "), *left = strstr(text, "left out: ");
	char word[sizeof(p->counts.reasons[0].word)] = "other";
	size_t len = first ? strspn(first + 7, "abcdefghijklmnopqrstuvwxyz_") : 0;
	if (len && len < sizeof(word) && first[7 + len] == ':')
		snprintf(word, sizeof(word), "%.*s", (int)len, first + 7);
	else if (left)
		snprintf(word, sizeof(word), "bad_series");
	struct ctlpush_reason *r = p->counts.reasons;
	while (r < p->counts.reasons + CTLPUSH_REASONS - 1 && *r->word && strcmp(r->word, word))
		r++;
	if (!*r->word)
		snprintf(r->word, sizeof(r->word), "%s", word);
	r->count += n;
}

/* A 400 that has stored the rest; false: it is another one. */
static bool take_partial(struct ctlpush *p, const struct slot *s)
{
	uint64_t rows = s->floats + s->hists, stored = s->written;
	char text[sizeof(p->counts.first_refusal)];
	size_t len = s->call.answer.len < sizeof(text) - 1 ? s->call.answer.len : sizeof(text) - 1;
	snprintf(text, sizeof(text), "%.*s", (int)len, len ? (const char *)s->call.answer.data : "");
	text[strcspn(text, "\r\n")] = 0;
	bool partial = !strncmp(text, "partial: ", 9);
	if (!partial && !(s->has_written && s->written))
		return false;
	if (!s->has_written && sscanf(text, "partial: stored %" SCNu64, &stored) != 1)
		stored = 0;
	if (stored > rows)
		stored = rows;
	p->counts.acked += stored;
	p->counts.refused += rows - stored;
	count_reason(p, text, rows - stored);
	if (!*p->counts.first_refusal)
		memcpy(p->counts.first_refusal, text, sizeof(text));
	return true;
}

static void push_done(struct ctlhttp_call *call)
{
	struct slot *s = call->own;
	struct ctlpush *p = s->push;
	bool again = call->err == ERR_IO || call->err == ERR_TIMEOUT || call->err == ERR_TRUNCATED ||
	    call->status == 429 || (call->status >= 502 && call->status <= 504);
	int status = CTL_OK;
	s->busy = false;
	p->busy--;
	p->counts.repeated += call->repeats - s->repeats;
	if (!call->err && call->status < 300) {
		p->counts.acked += s->floats + s->hists;
		ack(p, s->number);
	} else if (!call->err && call->status == 400 && take_partial(p, s)) {
		ack(p, s->number);
	} else if (call->err == ERR_CANCELED || (again && ctl_stopped())) {
		status = CTL_INTERRUPTED;
	} else if (!p->status) {
		status = ctlhttp_outcome(call);
	}
	if (!p->status)
		p->status = status;
	ctlhttp_call_release(call);
}

/* --- waiting --- */

/* What is being repeated is counted, and told now and then. */
static void watch(struct ctlpush *p)
{
	const struct slot *tell = NULL;
	for (unsigned i = 0; i < p->slots_count; i++) {
		struct slot *s = &p->slots[i];
		if (!s->busy || s->call.repeats == s->repeats)
			continue;
		p->counts.repeated += s->call.repeats - s->repeats;
		s->repeats = s->call.repeats;
		tell = s->repeats > 1 && *s->call.text ? s : tell;
	}
	uint64_t now = tell ? clock_real_mono_ns() : 0;
	if (!tell || (p->told_ns && now - p->told_ns < TELL_NS))
		return;
	p->told_ns = now;
	ctl_note("%s does not take it yet, it is tried again: %s", ctlhttp_server(p->http),
	    tell->call.text);
}

static int turn(struct ctlpush *p, bool wait)
{
	if (wait)
		ctlhttp_turn(p->http);
	else
		ctlhttp_look(p->http);
	watch(p);
	if (!p->status && ctl_stopped())
		p->status = CTL_INTERRUPTED;
	return p->status;
}

static int wait_due(struct ctlpush *p, uint64_t rows)
{
	uint64_t now = clock_real_mono_ns();
	if (p->samples_per_s <= 0)
		return p->status;
	for (; now < p->due_ns; now = clock_real_mono_ns()) {
		uint64_t ms = (p->due_ns - now) / 1000000 + 1;
		if (turn(p, false))
			return p->status;
		ctl_sleep_ms(ms < 10 ? (unsigned)ms : 10);
	}
	p->due_ns = (p->due_ns > now - 1000000000 ? p->due_ns : now) +
	    (uint64_t)((double)rows / p->samples_per_s * 1e9);
	return p->status;
}

static struct slot *free_slot(struct ctlpush *p)
{
	for (unsigned i = 0; i < p->slots_count; i++)
		if (!p->slots[i].busy)
			return &p->slots[i];
	return NULL;
}

/* --- what goes out --- */

static void close_series(struct ctlpush *p)
{
	const struct ctlpush_series *s = &p->series;
	const char *help = s->help ? s->help : "", *unit = s->unit ? s->unit : "";
	if (p->is_open && (s->type || *help || *unit)) {
		struct batch_meta m = { .type = (uint8_t)s->type,
			.help = help,
			.help_len = (uint32_t)strlen(help),
			.unit = unit,
			.unit_len = (uint32_t)strlen(unit) };
		rw2_enc_meta(&p->enc, &m);
	}
	p->is_open = false;
}

static void pack(struct ctlpush *p, struct buf *out)
{
	buf_clear(&p->raw);
	rw2_enc_end(&p->enc, &p->raw);
	buf_clear(out);
	if (!p->no_pack) {
		snapz_encode(out, p->raw.data, p->raw.len);
		return;
	}
	snapz_put_length(out, (uint32_t)p->raw.len);
	for (size_t at = 0; at < p->raw.len; at += SNAPZ_PART) { /* one literal each */
		size_t n = p->raw.len - at < SNAPZ_PART ? p->raw.len - at : SNAPZ_PART;
		const uint8_t head[] = { 61 << 2, (uint8_t)(n - 1), (uint8_t)((n - 1) >> 8) };
		buf_add(out, head, sizeof(head));
		buf_add(out, p->raw.data + at, n);
	}
}

static void send_it(struct ctlpush *p, struct slot *s)
{
	static const struct hclient_field fields[] = {
		{ .name = "content-encoding", .value = "snappy" },
		{ .name = "x-prometheus-remote-write-version", .value = "2.0.0" },
	};
	struct sent *mine = &p->sent[p->next % CTLPUSH_WINDOW];
	*mine = (struct sent){ .position = p->position };
	s->number = p->next++;
	s->floats = p->floats;
	s->hists = p->hists;
	s->repeats = 0;
	s->busy = true;
	p->busy++;
	p->floats = p->hists = 0;
	p->after = 0;
	p->looked = 0;
	p->counts.requests++;
	p->counts.bytes += s->body.len;
	s->call = (struct ctlhttp_call){ .method = "POST",
		.path = p->path,
		.body = s->body.data,
		.body_len = s->body.len,
		.type = "application/x-protobuf;proto=io.prometheus.write.v2.Request",
		.fields = fields,
		.fields_count = COUNT_OF(fields),
		.keep_trying = true,
		.head = push_head,
		.done = push_done,
		.own = s };
	ctlhttp_begin(p->http, &s->call);
}

/* The request that is being filled goes out; the series goes on in the next one. */
static int seal(struct ctlpush *p)
{
	struct slot *s = NULL;
	close_series(p);
	if (!p->floats && !p->hists)
		return p->status;
	if (wait_due(p, p->floats + p->hists))
		return p->status;
	while (!(s = free_slot(p)) || p->next - p->first >= CTLPUSH_WINDOW || (p->after & unacked(p)))
		if (turn(p, true))
			return p->status;
	pack(p, &s->body);
	send_it(p, s);
	rw2_enc_begin(&p->enc);
	return turn(p, false);
}

/* --- who went where --- */

static struct seen *seen_place(struct seen *list, size_t cap, uint64_t hash)
{
	size_t at = hash & (cap - 1);
	while (list[at].number && list[at].hash != hash)
		at = (at + 1) & (cap - 1);
	return &list[at];
}

/* Those of acknowledged requests go; at most a quarter of the places is used then. */
static void seen_renew(struct ctlpush *p)
{
	size_t live = 0, cap = SEEN_FIRST;
	for (size_t i = 0; i < p->seen_cap; i++)
		live += p->seen[i].number >= p->first;
	while (cap < live * 4)
		cap *= 2;
	struct seen *list = mem_zalloc(cap * sizeof(*list));
	for (size_t i = 0; i < p->seen_cap; i++)
		if (p->seen[i].number >= p->first)
			*seen_place(list, cap, p->seen[i].hash) = p->seen[i];
	mem_free(p->seen);
	p->seen = list;
	p->seen_cap = cap;
	p->seen_count = live;
}

static void open_series(struct ctlpush *p)
{
	if (p->is_open)
		return;
	if (p->seen_count * 2 >= p->seen_cap)
		seen_renew(p);
	struct seen *e = seen_place(p->seen, p->seen_cap, p->hash);
	if (e->number && e->number != p->next && !is_acked(p, e->number))
		p->after |= UINT32_C(1) << e->number % CTLPUSH_WINDOW;
	p->seen_count += !e->number;
	*e = (struct seen){ .hash = p->hash, .number = p->next };
	rw2_enc_series(&p->enc, (struct labels){ p->labels.data, (uint32_t)p->labels.len });
	p->is_open = true;
}

static size_t filled(const struct ctlpush *p)
{
	return p->enc.symbols.len + p->enc.series.len + p->enc.one.len;
}

int ctlpush_series(struct ctlpush *p, const struct ctlpush_series *s)
{
	close_series(p);
	/* So that few series stand in two requests, of which one would wait for the other. */
	if (filled(p) >= p->request_bytes / 8 * 5 && seal(p))
		return p->status;
	buf_clear(&p->labels);
	buf_add(&p->labels, s->labels.bytes, s->labels.len);
	p->series = *s;
	p->series.labels = (struct labels){ 0 };
	p->hash = label_hash(s->labels);
	return p->status;
}

/* Is there room for a sample, after the request was sent that had none? */
static int make_room(struct ctlpush *p)
{
	size_t have = filled(p);
	if (have + SAMPLE_BYTES > p->request_bytes || p->floats + p->hists >= ROWS_MOST)
		return seal(p);
	if (have >= p->looked + LOOK_BYTES) {
		p->looked = have;
		if (p->busy)
			return turn(p, false);
	}
	return p->status;
}

int ctlpush_floats(struct ctlpush *p, const int64_t *times_ms, const double *values, size_t count)
{
	while (count && !make_room(p)) {
		size_t have = filled(p);
		size_t room = have < p->request_bytes ? (p->request_bytes - have) / SAMPLE_BYTES : 0;
		size_t n = room < LOOK_BYTES / SAMPLE_BYTES ? room : LOOK_BYTES / SAMPLE_BYTES;
		n = n < 1 ? 1 : n;
		n = n < count ? n : count;
		open_series(p);
		rw2_enc_floats(&p->enc, times_ms, values, n);
		p->floats += n;
		p->counts.samples += n;
		times_ms += n;
		values += n;
		count -= n;
	}
	return p->status;
}

static int add_one(struct ctlpush *p, int64_t t_ms, double v, const struct hist *h, int64_t start_ms)
{
	if (make_room(p))
		return p->status;
	open_series(p);
	if (h)
		rw2_enc_hist(&p->enc, h, t_ms, start_ms);
	else
		rw2_enc_sample(&p->enc, t_ms, v, start_ms);
	p->floats += !h;
	p->hists += h != NULL;
	p->counts.samples += !h;
	p->counts.histograms += h != NULL;
	return CTL_OK;
}

int ctlpush_hists(
    struct ctlpush *p, const int64_t *times_ms, const struct hist *const *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (add_one(p, times_ms[i], 0, values[i], 0))
			break;
	return p->status;
}

int ctlpush_samples(struct ctlpush *p, const struct sample_column *s)
{
	if (!s->h && !s->start_ms)
		return ctlpush_floats(p, s->t_ms, s->v, s->count);
	for (uint32_t i = 0; i < s->count; i++)
		if (add_one(p, s->t_ms[i], s->v[i], s->h ? s->h[i] : NULL,
		        s->start_ms ? s->start_ms[i] : 0))
			break;
	return p->status;
}

/* --- places --- */

void ctlpush_at(struct ctlpush *p, uint64_t position)
{
	CHECK(position >= p->position);
	p->position = position;
	if (p->floats || p->hists)
		return;
	if (p->first == p->next)
		p->acked_position = position;
	else
		p->sent[(p->next - 1) % CTLPUSH_WINDOW].position = position;
}

uint64_t ctlpush_acked(const struct ctlpush *p)
{
	return p->acked_position;
}

int ctlpush_look(struct ctlpush *p)
{
	return p->status ? p->status : turn(p, false);
}

int ctlpush_finish(struct ctlpush *p)
{
	if (!p->status && !seal(p)) {
		while (p->busy && !p->status)
			(void)turn(p, true);
	}
	uint64_t end = clock_real_mono_ns() + CTLPUSH_DRAIN_MS * UINT64_C(1000000);
	while (p->busy && clock_real_mono_ns() < end) {
		ctlhttp_look(p->http);
		if (p->busy)
			nanosleep(&(struct timespec){ 0, 2000000 }, NULL); /* stopped or not */
	}
	return p->status;
}

void ctlpush_counts(const struct ctlpush *p, struct ctlpush_counts *out)
{
	*out = p->counts;
}
