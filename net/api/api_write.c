#include "net/api/api_write.h"

#include "core/base/metric.h"
#include "core/base/rune.h"
#include "net/api/apierr.h"
#include "net/api/shelf.h"
#include "net/api/tenantstat.h"
#include "proto/rw1.h"
#include "proto/snapz.h"

#include <inttypes.h>
#include <strings.h>

#define SPARE_ROWS_MAX 65536u /* a batch grown larger than this is not kept */
#define BUFFER_LEAST   (API_WRITE_LOOP_BYTES + SNAPZ_SLOP)
#define ARENA_FIRST    4096u
#define ARENA_KEEP     (64u << 10)
/* what a row takes here and, until it is durable, behind the sink */
#define ROW_BYTES (sizeof(struct batch_row) + 56u)

/*
 *   RECV  net/http has the whole body
 *   DECODE  snappy, then the scanner; on the loop, or on a worker for large bodies
 *   CHECK  counts and limits were looked at while scanning, labels are checked by the owner of a
 *          new series
 *   APPEND  the sink answers when all is durable
 *   REPLY  204, 400 partial, 503
 */
struct write {
	struct shelf_item spare; /* between two requests */
	struct req *req;
	const struct limits *limits; /* of the loop */
	uint8_t *decoded;
	size_t decoded_cap, decoded_len;
	struct arena arena;
	struct batch batch;
	struct sink_req sink;
	struct work_task task;
	enum err err; /* of DECODE */
	const char *word;
	struct errbuf eb;
};

static struct write *write_take(struct req *r);
static void write_end(struct write *w);
static bool room(struct write *w, size_t len);
static bool decode_and_scan(struct write *w, size_t slow_bytes);
static void work_on(struct write *w);
static void decode_on_worker(struct work_task *t);
static void decode_on_worker_done(struct work_task *t);
static void append(struct write *w);
static void append_done(struct sink_req *s);
static void reply(struct write *w);

static void tell(struct req *r, enum refusal what, const char *example)
{
	refusals_tell(&api_loop_of(r)->refusals, what, r, example);
}

/* Answered with 503: which of the reasons it is stands in the line, as in the answer. */
static void tell_later(struct req *r, enum err e)
{
	char text[ERRBUF_SIZE];
	apierr_write_text(r, e, text, sizeof(text));
	metric_add(M_WRITE_REFUSED_LATER, 1);
	tell(r, REFUSAL_LATER, text);
}

/* --- RECV --- */

bool api_write_before(struct req *r)
{
	struct errbuf eb;
	size_t len, encoding_len;
	uint32_t retry_after_s = 0;
	errbuf_init(&eb);
	const char *type = req_header(r, "content-type", &len);
	enum err err = api_write_type(type, type ? len : 0, &eb);
	if (err) {
		bool v2 = err == ERR_UNSUPPORTED;
		metric_add(v2 ? M_WRITE_REFUSED_V2 : M_WRITE_REFUSED_TYPE, 1);
		tell(r, v2 ? REFUSAL_V2 : REFUSAL_TYPE, type);
		req_refuse(r, 415, "unsupported", "%s", eb.text);
		return false;
	}
	const char *encoding = req_header(r, "content-encoding", &encoding_len);
	if (encoding && encoding_len && strcasecmp(encoding, "snappy")) {
		metric_add(M_WRITE_REFUSED_TYPE, 1);
		tell(r, REFUSAL_TYPE, encoding);
		req_refuse(
		    r, 415, "unsupported", "Content-Encoding must be snappy, the block format");
		return false;
	}
	err = sink_accepts(api_of(r)->sink, &retry_after_s);
	if (err) {
		tell_later(r, err);
		apierr_write(r, err, retry_after_s);
		return false;
	}
	return true;
}

static enum err decoded_length(struct write *w)
{
	char limit[LIMITS_TEXT_MAX];
	enum err e = snapz_length(w->req->body, w->req->body_len, &w->decoded_len);
	if (e == ERR_TOOBIG)
		return errbuf_set(&w->eb, e,
		    "the body says that it decodes to more than %u MiB, or to more than %u times its size",
		    SNAPZ_DECODED_MAX >> 20, SNAPZ_RATIO_MAX);
	if (e)
		return errbuf_set(&w->eb, e, "the body is no snappy block");
	if (w->decoded_len <= w->limits->write_body_bytes)
		return ERR_OK;
	return errbuf_set(&w->eb, ERR_TOOBIG, "the body decodes to %zu bytes, %s", w->decoded_len,
	    limits_text(w->limits, LIMITS_write_body_bytes, limit));
}

void api_write(struct req *r)
{
	struct write *w = write_take(r);
	metric_add(M_WRITE_REQUESTS, 1);
	w->err = decoded_length(w);
	if (w->err) {
		w->word = w->err == ERR_TOOBIG ? "decoded_too_large" : "bad_snappy";
		reply(w);
		return;
	}
	if (!req_charge(r, w->decoded_len) || !room(w, w->decoded_len + SNAPZ_SLOP)) {
		w->err = ERR_BUSY;
		reply(w);
		return;
	}
	if (w->decoded_len > API_WRITE_LOOP_BYTES || !decode_and_scan(w, API_WRITE_SLOW_BYTES))
		work_on(w);
	else
		append(w);
}

/* --- DECODE, CHECK --- */

/* false: more than slow_bytes need the long way, and nothing has come of it. */
static bool decode_and_scan(struct write *w, size_t slow_bytes)
{
	w->err = snapz_decode(w->req->body, w->req->body_len, w->decoded, w->decoded_len);
	if (w->err) {
		w->word = "bad_snappy";
		errbuf_set(&w->eb, w->err, "the body is no whole snappy block");
		return true;
	}
	struct rw1_opts o = { .limits = w->limits, .slow_bytes = slow_bytes };
	w->err = rw1_decode(&w->arena, w->decoded, w->decoded_len, &o, &w->batch, &w->eb);
	w->word = w->err == ERR_TOOBIG ? "too_many" : "bad_protobuf";
	return w->err != ERR_AGAIN;
}

static void work_on(struct write *w)
{
	arena_reset(&w->arena, ARENA_KEEP);
	batch_clear(&w->batch);
	errbuf_init(&w->eb);
	w->task = (struct work_task){
		.run = decode_on_worker, .done = decode_on_worker_done, .prio = WORK_READ
	};
	work_submit(api_of(w->req)->opts.pool, &w->task);
}

static void decode_on_worker(struct work_task *t)
{
	bool all = decode_and_scan(CONTAINER_OF(t, struct write, task), SIZE_MAX);
	CHECK(all);
}

static void decode_on_worker_done(struct work_task *t)
{
	append(CONTAINER_OF(t, struct write, task));
}

/* --- APPEND --- */

/*
 * An empty sample is two bytes of a body and forty times as much as a row: rows are charged, too,
 * and histograms: their arrays here, their bytes in the log.
 */
static bool charge_rows(struct write *w)
{
	const struct batch *b = &w->batch;
	uint64_t records = b->rows_count * ROW_BYTES + b->metas_count * sizeof(struct batch_meta) +
	    b->exemplars_count * sizeof(struct batch_exemplar);
	return req_charge(w->req, records + b->extras_bytes + arena_used(&w->arena));
}

static void append(struct write *w)
{
	const struct batch *b = &w->batch;
	if (!w->err && b->rows_count == 0 && b->metas_count == 0 && b->exemplars_count == 0) {
		reply(w);
		return;
	}
	if (!w->err && !charge_rows(w)) {
		w->err = ERR_BUSY;
		w->word = NULL;
	}
	if (w->err) {
		reply(w);
		return;
	}
	w->batch.tenant = w->req->tenant;
	w->sink = (struct sink_req){ .batch = &w->batch, .done = append_done };
	sink_append(api_of(w->req)->sink, &w->sink);
}

static void append_done(struct sink_req *s)
{
	const struct req *r = CONTAINER_OF(s, struct write, sink)->req;
	if (!s->err)
		tenantstat_wrote(api_of(r)->tenantstat, r->tenant, s->stored, s->refused);
	/* The sink cuts it by bytes. */
	s->first_text[rune_whole(s->first_text, strlen(s->first_text))] = 0;
	reply(CONTAINER_OF(s, struct write, sink));
}

/* --- REPLY --- */

/* Counts what is not a plain 204, and has it told. */
static void count(const struct write *w)
{
	static const struct {
		const char *word;
		enum metric_id id;
		enum refusal what;
	} words[] = {
		{ "bad_snappy", M_WRITE_REFUSED_SNAPPY, REFUSAL_SNAPPY },
		{ "decoded_too_large", M_WRITE_REFUSED_DECODED, REFUSAL_DECODED },
		{ "bad_protobuf", M_WRITE_REFUSED_PROTOBUF, REFUSAL_PROTOBUF },
		{ "too_many", M_WRITE_REFUSED_MANY, REFUSAL_MANY },
	};
	for (size_t i = 0; w->err && w->word && i < COUNT_OF(words); i++) {
		if (strcmp(w->word, words[i].word))
			continue;
		metric_add(words[i].id, 1);
		tell(w->req, words[i].what, w->eb.text);
	}
	const struct sink_req *s = &w->sink;
	if ((w->err && !w->word) || s->err) {
		tell_later(w->req, w->err ? w->err : s->err);
	} else if (s->refused) {
		metric_add(M_WRITE_PARTIAL, 1);
		tell(w->req, REFUSAL_SAMPLES + s->first_reason, s->first_text);
	}
}

/* What the tenant's rate is charged for it. */
static void settle(const struct write *w)
{
	if (w->err && w->word)
		door_wrote(w->req, DOOR_BROKEN, 0);
	else if (w->err || w->sink.err)
		door_wrote(w->req, DOOR_AGAIN, 0);
	else
		door_wrote(w->req, DOOR_STORED, w->batch.rows_count);
}

static void reply(struct write *w)
{
	struct req *r = w->req;
	const struct sink_req *s = &w->sink;
	count(w);
	settle(w);
	if (w->err && w->word)
		req_refuse(r, 400, w->word, "%s", w->eb.text);
	else if (w->err || s->err)
		apierr_write_why(
		    r, w->err ? w->err : s->err, s->retry_after_s, w->err ? NULL : s->first_text);
	else if (s->refused)
		req_refuse(r, 400, "partial",
		    "stored %" PRIu64 " of %" PRIu64 " samples; %" PRIu64 " refused; first: %s: %s",
		    s->stored, s->stored + s->refused, s->refused,
		    sink_reason_word[s->first_reason], s->first_text);
	else
		req_reply(r, 204, NULL, NULL, 0, REQ_BORROW);
	write_end(w);
}

/* --- buffers --- */

static void write_drop(struct shelf_item *i)
{
	struct write *w = CONTAINER_OF(i, struct write, spare);
	arena_release(&w->arena);
	batch_release(&w->batch);
	mem_free(w->decoded);
	mem_free(w);
}

static struct write *write_take(struct req *r)
{
	struct shelf_item *i = shelf_take(api_of(r)->writes, loop_index(r->loop));
	struct write *w = i ? CONTAINER_OF(i, struct write, spare) : mem_zalloc(sizeof(*w));
	if (!i) {
		w->spare.drop = write_drop;
		list_init(&w->spare._link);
		arena_init(&w->arena, ARENA_FIRST);
		batch_init(&w->batch);
	}
	w->req = r;
	w->limits = limits_here();
	return w;
}

static void write_end(struct write *w)
{
	struct req *r = w->req;
	metric_observe_ns(M_WRITE_SECONDS, loop_now_ns(r->loop) - r->start_ns);
	if (w->decoded_cap > API_WRITE_LOOP_BYTES + SNAPZ_SLOP ||
	    w->batch.rows_cap > SPARE_ROWS_MAX || w->batch.exemplars_cap > SPARE_ROWS_MAX) {
		write_drop(&w->spare);
		return;
	}
	arena_reset(&w->arena, ARENA_KEEP);
	batch_clear(&w->batch);
	w->sink = (struct sink_req){ 0 };
	w->req = NULL;
	w->err = ERR_OK;
	w->word = NULL;
	errbuf_init(&w->eb);
	shelf_put(api_of(r)->writes, loop_index(r->loop), &w->spare);
}

/* Room for len decoded bytes; false without memory. */
static bool room(struct write *w, size_t len)
{
	if (w->decoded_cap >= len)
		return true;
	size_t cap = len < BUFFER_LEAST ? BUFFER_LEAST : len;
	uint8_t *p = mem_try(cap);
	if (!p)
		return false;
	mem_free(w->decoded);
	w->decoded = p;
	w->decoded_cap = cap;
	return true;
}

/* --- Content-Type --- */

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

/* The next piece up to c, without blanks around it; *p goes behind c. */
static bool piece(const char **p, const char *end, char c, const char **start, size_t *len)
{
	if (*p >= end)
		return false;
	const char *from = skip_blanks(*p, end), *stop = memchr(from, c, (size_t)(end - from));
	const char *last = stop ? stop : end;
	*p = stop ? stop + 1 : end;
	while (last > from && (last[-1] == ' ' || last[-1] == '\t'))
		last--;
	*start = from;
	*len = (size_t)(last - from);
	return true;
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && !strncasecmp(s, word, len);
}

/* Blanks around ; and = do not matter: some senders write them. */
enum err api_write_type(const char *type, size_t len, struct errbuf *eb)
{
	const char *p = type, *end = type + len, *part, *name, *value;
	size_t part_len, name_len, value_len;
	if (!len)
		return ERR_OK;
	if (!piece(&p, end, ';', &part, &part_len) ||
	    !is_word(part, part_len, "application/x-protobuf"))
		return errbuf_set(eb, ERR_BADDATA, "Content-Type must be application/x-protobuf");
	while (piece(&p, end, ';', &part, &part_len)) {
		const char *q = part;
		if (!piece(&q, part + part_len, '=', &name, &name_len) ||
		    !is_word(name, name_len, "proto"))
			continue;
		if (!piece(&q, part + part_len, '=', &value, &value_len))
			value_len = 0;
		if (value_len >= 2 && value[0] == '"' && value[value_len - 1] == '"') {
			value++;
			value_len -= 2;
		}
		if (is_word(value, value_len, "prometheus.WriteRequest"))
			continue;
		if (is_word(value, value_len, "io.prometheus.write.v2.Request"))
			return errbuf_set(eb, ERR_UNSUPPORTED,
			    "Remote Write 2.0 is not spoken here, send proto=prometheus.WriteRequest");
		return errbuf_set(eb, ERR_BADDATA,
		    "Content-Type has an unknown proto, prometheus.WriteRequest is spoken here");
	}
	return ERR_OK;
}
