#include "net/recv/writeend.h"

#include "core/base/metric.h"
#include "core/base/rune.h"
#include "net/api/api.h"
#include "net/api/apierr.h"
#include "net/api/tenantstat.h"
#include "net/recv/recvcount.h"

#include <inttypes.h>
#include <stdio.h>

#define LEFT_SHOWN 300u /* bytes of why the decoder left something out */

/*
 * What a request had and what of it is stored, parts that the decoder left out counted; without
 * what rules and pairs left out.
 */
struct sums {
	uint64_t rows, stored; /* histograms are among them */
	uint64_t exemplars, exemplars_stored;
	bool partial;
};

static struct sums sums_of(const struct writeend *e)
{
	const struct batch *b = e->batch;
	const struct inlet *i = e->inlet;
	struct sums s = { .rows = b->rows_count + b->left_rows - i->dropped,
		.stored = i->req.stored,
		.exemplars = b->exemplars_count + b->left_exemplars - i->dropped_exemplars,
		.exemplars_stored = i->req.exemplars };
	s.partial = i->req.refused || b->left_why;
	if (e->type == WRITETYPE_2)
		s.partial |= s.stored < s.rows || s.exemplars_stored < s.exemplars;
	return s;
}

/* --- counts and lines in the log --- */

static void tell(struct req *r, enum refusal what, const char *example)
{
	refusals_tell(&api_loop_of(r)->refusals, what, r, example);
}

static void count_refused(struct req *r, const struct writeend *e)
{
	static const struct {
		const char *word;
		enum metric_id id;
		enum refusal what;
	} words[] = {
		{ "bad_snappy", M_WRITE_REFUSED_SNAPPY, REFUSAL_SNAPPY },
		{ "bad_zstd", M_WRITE_REFUSED_BODY, REFUSAL_BODY },
		{ "decoded_too_large", M_WRITE_REFUSED_DECODED, REFUSAL_DECODED },
		{ "bad_protobuf", M_WRITE_REFUSED_PROTOBUF, REFUSAL_PROTOBUF },
		{ "too_many", M_WRITE_REFUSED_MANY, REFUSAL_MANY },
	};
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (strcmp(e->word, words[i].word))
			continue;
		metric_add(words[i].id, 1);
		tell(r, words[i].what, e->text);
	}
}

static void count_partial(struct req *r, const struct writeend *e, const struct sums *s)
{
	const struct batch *b = e->batch;
	metric_add(M_WRITE_PARTIAL, 1);
	metric_add(M_REFUSED_BAD_SERIES, b->left_rows);
	metric_add(M_EXEMPLARS_BAD_SERIES, b->left_exemplars);
	if (e->inlet->req.refused)
		tell(r, REFUSAL_SAMPLES + e->inlet->req.first_reason, e->inlet->req.first_text);
	if (b->left_why)
		tell(r, REFUSAL_SERIES, b->left_why);
	if (e->type == WRITETYPE_2 && s->exemplars_stored < s->exemplars)
		tell(r, REFUSAL_EXEMPLARS, e->inlet->req.refused ? NULL : e->inlet->req.first_text);
}

/* --- the answer --- */

/* What of s is stored; NULL: nothing. */
static void written(struct req *r, enum writetype type, const struct inlet *i)
{
	static const struct inlet none;
	if (type != WRITETYPE_2)
		return;
	i = i ? i : &none;
	const uint64_t hists = i->req.hists + i->dropped_hists;
	req_answer_field(r, "x-prometheus-remote-write-samples-written", "%" PRIu64,
	    i->req.stored + i->dropped - hists);
	req_answer_field(r, "x-prometheus-remote-write-histograms-written", "%" PRIu64, hists);
	req_answer_field(r, "x-prometheus-remote-write-exemplars-written", "%" PRIu64,
	    i->req.exemplars + i->dropped_exemplars);
}

/* The first that was refused: of the sink's, of the decoder's, or of both. */
static void first_refused(const struct writeend *e, struct buf *out)
{
	const struct sink_req *s = &e->inlet->req;
	const char *left = e->batch->left_why;
	if (s->refused)
		buf_printf(out, "first: %s: %s", sink_reason_word[s->first_reason], s->first_text);
	else if (s->first_text[0])
		buf_printf(out, "first: %s", s->first_text);
	else if (!left)
		buf_printf(out, "memory has no room for more exemplars");
	if (left)
		buf_printf(out, "%sleft out: %.*s", out->len ? "; " : "",
		    (int)rune_cut(left, strlen(left), LEFT_SHOWN), left);
}

static void answer_partial(struct req *r, const struct writeend *e, const struct sums *s)
{
	struct buf first;
	char exemplars[80] = "";
	buf_init(&first);
	first_refused(e, &first);
	if (e->type == WRITETYPE_2 && s->exemplars)
		snprintf(exemplars, sizeof(exemplars), " and %" PRIu64 " of %" PRIu64 " exemplars",
		    s->exemplars_stored, s->exemplars);
	req_refuse(r, 400, "partial",
	    "stored %" PRIu64 " of %" PRIu64 " samples%s; %" PRIu64 " refused; %.*s", s->stored,
	    s->rows, exemplars, s->rows - s->stored, (int)first.len, (const char *)first.data);
	buf_release(&first);
}

/* Which of the reasons it is stands in the line of the log, as in the answer. */
void writeend_later(
    struct req *r, enum writetype type, enum err err, uint32_t retry_after_s, const char *why)
{
	char text[ERRBUF_SIZE];
	apierr_write_text(r, err, text, sizeof(text));
	metric_add(M_WRITE_REFUSED_LATER, 1);
	tell(r, REFUSAL_LATER, text);
	written(r, type, NULL);
	apierr_write_why(r, err, retry_after_s, why);
}

void writeend(struct req *r, const struct writeend *e)
{
	enum err later = e->err ? e->err : e->inlet->req.err;
	if (e->err && e->word) {
		count_refused(r, e);
		door_wrote(r, DOOR_BROKEN, 0);
		written(r, e->type, NULL);
		req_refuse(r, 400, e->word, "%s", e->text);
		return;
	}
	if (later) {
		door_wrote(r, DOOR_AGAIN, 0);
		writeend_later(r, e->type, later, e->inlet->req.retry_after_s,
		    e->err ? NULL : e->inlet->req.first_text);
		return;
	}
	struct sums s = sums_of(e);
	written(r, e->type, e->inlet);
	recvcount_read(
	    RECEIVER_REMOTE_WRITE, e->batch->rows_count + e->batch->left_rows, e->batch->left_rows);
	tenantstat_wrote(api_of(r)->tenantstat, r->tenant, s.stored, s.rows - s.stored);
	doctornotes_wrote(&api_loop_of(r)->notes, r, &e->inlet->req);
	door_wrote(r, DOOR_STORED, s.rows);
	if (LIKELY(!s.partial)) {
		req_reply(r, e->inlet->ha_duplicate ? 202 : 204, NULL, NULL, 0, REQ_BORROW);
		return;
	}
	count_partial(r, e, &s);
	answer_partial(r, e, &s);
}
