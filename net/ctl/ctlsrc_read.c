/*
 * ctlsrc_read - remote read: frames of chunks, or one answer of samples.
 */
#include <string.h>

#include "net/ctl/ctlsrc_priv.h"
#include "proto/snapz.h"
#include "storage/block/bchunk.h"

static const struct hclient_field fields[] = {
	{ .name = "content-encoding", .value = "snappy" },
	/* an answer of samples is snappy anyway; so no other packing comes around it */
	{ .name = "accept-encoding", .value = "snappy" },
	{ .name = "x-prometheus-remote-read-version", .value = "0.1.0" },
};

static void ask(struct ctlsrc *s)
{
	struct rreadin_query q = { .start_ms = s->piece.from_ms, .end_ms = s->piece.to_ms };
	/* matchers[0] is none when the selector is of all names */
	bool narrow = s->piece.sel->matchers[0].name_len > 0;
	q.matchers = s->piece.sel->matchers + !narrow;
	q.matchers_count = s->piece.sel->count - !narrow;
	rreadin_request(&s->body, &q, 1, true);
	s->call.path = "/api/v1/read";
	s->call.type = "application/x-protobuf";
	s->call.fields = fields;
	s->call.fields_count = COUNT_OF(fields);
	s->whole = false;
}

/* --- chunks --- */

static void begin_item(struct ctlsrc *s)
{
	column_clear(&s->col);
}

static enum ctlsrc_take bad_chunk(struct ctlsrc *s, enum err e, const char *what)
{
	return ctlsrc_bad(s, "a chunk of type %u cannot be read: %s", (unsigned)s->chunk.type,
	    what ? what : err_text(e));
}

/* Chunks of the series at hand, until one does not go on where the last ended. */
static enum ctlsrc_take chunks(struct ctlsrc *s)
{
	const char *what = NULL;
	begin_item(s);
	while (s->col.count < CTLSRC_ITEM_SAMPLES) {
		if (!s->has_next && !rreadin_chunk(&s->series, &s->chunk)) {
			s->in_series = false;
			if (s->series.bad)
				return ctlsrc_bad(s, "a frame is malformed");
			break;
		}
		s->has_next = s->col.count && !ctlsrc_ascends(s, s->chunk.t_min_ms);
		if (s->has_next)
			break;
		uint32_t had = s->col.count;
		if (s->chunk.type > UINT8_MAX)
			return bad_chunk(s, ERR_UNSUPPORTED, NULL);
		enum err e = bchunk_decode((uint8_t)s->chunk.type, s->chunk.data, s->chunk.len,
		    &s->scratch, &s->col, &what);
		if (e)
			return bad_chunk(s, e, what);
		if (had && s->col.count > had && s->col.t_ms[had] <= s->col.t_ms[had - 1])
			return ctlsrc_bad(s, "a chunk begins before it says");
	}
	return s->col.count ? TAKE_ITEM : TAKE_MORE;
}

/* --- samples --- */

static enum ctlsrc_take samples(struct ctlsrc *s)
{
	begin_item(s);
	for (;;) {
		if (!s->has_next && !rreadin_sample(&s->series, &s->hists, &s->limits, &s->sample)) {
			s->in_series = false;
			if (s->series.bad)
				return ctlsrc_bad(s, "the answer is malformed");
			break;
		}
		s->has_next =
		    s->col.count >= CTLSRC_ITEM_SAMPLES || !ctlsrc_ascends(s, s->sample.t_ms);
		if (s->has_next)
			break;
		if (s->sample.left) {
			s->counts.left_histograms++;
			continue;
		}
		ctlsrc_add(s, s->sample.t_ms, s->sample.v);
		if (s->sample.hist)
			column_set(&s->col, s->col.count - 1,
			    hist_copy(column_memory(&s->col), s->sample.hist), 0);
	}
	arena_reset(&s->hists, s->has_next ? SIZE_MAX : 1u << 20);
	return s->col.count ? TAKE_ITEM : TAKE_MORE;
}

/* --- both --- */

/* The next message, or the whole answer. */
static enum ctlsrc_take open_message(struct ctlsrc *s)
{
	const uint8_t *message = NULL;
	size_t len = 0, used = s->in.len - s->at;
	if (!s->whole) {
		enum err e =
		    rreadin_frame(s->in.data + s->at, s->in.len - s->at, &message, &len, &used);
		if (e == ERR_AGAIN)
			return TAKE_MORE;
		if (e)
			return ctlsrc_bad(s, "a frame is damaged or too long: %s", err_text(e));
		rreadin_streamed(&s->frame, message, len);
	} else {
		enum err e = snapz_length(s->in.data, s->in.len, &len);
		buf_clear(&s->plain);
		if (!e && buf_reserve(&s->plain, len + SNAPZ_SLOP))
			e = snapz_decode(s->in.data, s->in.len, s->plain.data, len);
		if (e)
			return ctlsrc_bad(s, "the answer is no snappy block");
		rreadin_samples(&s->frame, s->plain.data, len);
	}
	s->at += used;
	s->in_answer = true;
	return TAKE_ITEM;
}

static enum ctlsrc_take take(struct ctlsrc *s, bool ended)
{
	(void)ended;
	if (s->call.status && s->call.status < 300 && !s->at && !s->in_answer) {
		bool streamed = !strncmp(s->call.answer_type, "application/x-streamed-protobuf", 31);
		if (!streamed && strncmp(s->call.answer_type, "application/x-protobuf", 22) != 0) {
			s->status = CTL_REFUSED;
			return ctlsrc_bad(s, "the answer is no remote read's: its type is \"%s\"",
			    s->call.answer_type);
		}
		s->whole = !streamed;
		if (s->whole && !s->call.ended)
			return TAKE_MORE;
	}
	for (;;) {
		if (s->in_series) {
			enum ctlsrc_take got = s->whole ? samples(s) : chunks(s);
			if (got != TAKE_MORE)
				return got;
			continue;
		}
		if (s->in_answer) {
			arena_reset(&s->arena, 1u << 20);
			s->in_answer = rreadin_series(&s->frame, &s->arena, &s->series);
			if (s->frame.bad)
				return ctlsrc_bad(s, "the answer is malformed");
			s->in_series = s->in_answer && ctlsrc_labels(s, s->series.wire);
			continue;
		}
		if (s->at == s->in.len)
			return TAKE_MORE;
		enum ctlsrc_take got = open_message(s);
		if (got != TAKE_ITEM)
			return got;
	}
}

const struct ctlsrc_ops ctlsrc_read = { .name = "remote read", .ask = ask, .take = take };
