#include "net/api/refusals.h"

#include "core/base/metric.h"
#include "core/base/rune.h"
#include "net/api/doctornotes.h"

#include <inttypes.h>
#include <string.h>

/* clang-format off */
static const struct row {
	const char *reason;
	enum metric_id id;
	const char *remedy;
	enum metric_id last; /* 0 = id alone, else all from id on to it count */
} rows[REFUSALS] = {
	[REFUSAL_TYPE] = { "unsupported", M_WRITE_REFUSED_TYPE,
		"send application/x-protobuf, with proto=io.prometheus.write.v2.Request for Remote Write 2.0, in the snappy block format; to paths of other receivers what they take (/api tells)" },
	[REFUSAL_SNAPPY] = { "bad_snappy", M_WRITE_REFUSED_SNAPPY,
		"the body must be one snappy block, not the framed format, gzip or zstd" },
	[REFUSAL_DECODED] = { "decoded_too_large", M_WRITE_REFUSED_DECODED,
		"send smaller requests: max_samples_per_send of the sender's queue_config" },
	[REFUSAL_PROTOBUF] = { "bad_protobuf", M_WRITE_REFUSED_PROTOBUF,
		"the body must be the message that its Content-Type names: a prometheus.WriteRequest, or an io.prometheus.write.v2.Request" },
	[REFUSAL_MANY] = { "too_many", M_WRITE_REFUSED_MANY,
		"send smaller requests: max_samples_per_send of the sender's queue_config" },
	[REFUSAL_BODY] = { "bad_body", M_WRITE_REFUSED_BODY,
		"the body is not packed as its Content-Encoding says, is larger than it may be, or is not of the format of its path" },
	[REFUSAL_RATE] = { "rate_limited", M_WRITE_REFUSED_RATE,
		"raise samples_per_s or requests_per_s of the tenant; --limits.rate-status=503 for senders that throw away what is answered with 429" },
	[REFUSAL_LOAD] = { "overloaded", M_WRITE_REFUSED_LOAD,
		"senders repeat what is answered with 503; if it stays so, the server needs more CPU (--loops), or fewer samples" },
	[REFUSAL_LATER] = { "come_back", M_WRITE_REFUSED_LATER,
		"senders repeat what is answered with 503; /-/ready?for=write tells when writes are taken again" },
	[REFUSAL_SAMPLES + SINK_OUT_OF_BOUNDS] = { "out_of_bounds", M_REFUSED_OUT_OF_BOUNDS,
		"look at the clocks of sender and server: times may be at most 10 min ahead, and not before --retention" },
	[REFUSAL_SAMPLES + SINK_TOO_OLD] = { "too_old", M_REFUSED_TOO_OLD,
		"a larger --out-of-order-window takes samples that come later, as far back as --retention; look at the sender's clock, too" },
	[REFUSAL_SAMPLES + SINK_BAD_LABELS] = { "bad_labels", M_REFUSED_BAD_LABELS,
		"each series needs __name__, and label names that are there, are UTF-8 and differ" },
	[REFUSAL_SAMPLES + SINK_LABEL_LIMIT] = { "label_limit", M_REFUSED_LABEL_LIMIT,
		"drop or shorten labels at the sender: write_relabel_configs" },
	[REFUSAL_SAMPLES + SINK_SERIES_LIMIT] = { "series_limit", M_REFUSED_SERIES_LIMIT,
		"look for a label with very many values (/api/v1/status/tsdb), or raise --limits.series-total; of HA pairs ha.max_clusters of the tenant" },
	[REFUSAL_SAMPLES + SINK_CARDINALITY] = { "cardinality", M_REFUSED_CARDINALITY,
		"the example names the label and the rule (tenants.NAME.cardinality); /api/v1/cardinality/explosions tells what explodes" },
	[REFUSAL_SAMPLES + SINK_BAD_HISTOGRAM] = { "bad_histogram", M_REFUSED_BAD_HISTOGRAM,
		"the example says what contradicts itself in what the sender made; --limits.histogram-buckets lets larger ones in" },
	[REFUSAL_SERIES] = { "bad_series", M_REFUSED_BAD_SERIES,
		"the sender's symbols do not fit its label references, or a series has nothing but labels: look for a newer version of the sender" },
	[REFUSAL_EXEMPLARS] = { "exemplars", M_EXEMPLARS_OUT_OF_ORDER,
		"kymo_exemplars_dropped_total says why; the example is the first one. In the sender's remote_write send_exemplars: false sends none",
		M_EXEMPLARS_BAD_SERIES },
	[REFUSAL_RECORDS] = { "bad_records", M_RECEIVER_BAD_REMOTE_WRITE,
		"the example says what is wrong with what the sender made; kymo_receiver_bad_records_total counts them by receiver",
		M_RECEIVER_BAD_STATSD },
};
/* clang-format on */

static uint64_t count_of(enum refusal what)
{
	uint64_t n = metric_sum(rows[what].id);
	for (unsigned id = rows[what].id + 1; id <= rows[what].last; id++)
		n += metric_sum((enum metric_id)id);
	return n;
}

static void say(const struct refusals_line *l, enum refusal what, uint64_t news)
{
	const struct row *row = &rows[what];
	const char *from = l->from[0] ? l->from : "-";
	if (what < REFUSAL_SAMPLES)
		LOG_WARN("writes_refused",
		    "reason=%s requests=%" PRIu64 " from=%s example=\"%s\" remedy=\"%s\"",
		    row->reason, news, from, l->example, row->remedy);
	else if (what == REFUSAL_EXEMPLARS)
		LOG_WARN("exemplars_refused",
		    "reason=%s exemplars=%" PRIu64 " from=%s example=\"%s\" remedy=\"%s\"",
		    row->reason, news, from, l->example, row->remedy);
	else if (what == REFUSAL_RECORDS)
		LOG_WARN("records_refused",
		    "reason=%s records=%" PRIu64 " from=%s example=\"%s\" remedy=\"%s\"",
		    row->reason, news, from, l->example, row->remedy);
	else
		LOG_WARN("samples_refused",
		    "reason=%s samples=%" PRIu64 " from=%s example=\"%s\" remedy=\"%s\"",
		    row->reason, news, from, l->example, row->remedy);
}

static enum refusal what_of(const struct refusals_line *l)
{
	return (enum refusal)(l - l->of->lines);
}

static void go_on(struct loop_timer *t)
{
	struct refusals_line *l = CONTAINER_OF(t, struct refusals_line, timer);
	enum refusal what = what_of(l);
	uint64_t news;
	if (!log_pace_next(&l->of->paces[what], count_of(what), &news))
		return;
	say(l, what, news);
	loop_timer_set(l->of->loop, t, REFUSALS_EVERY_MS);
}

static void look(struct refusals_line *l)
{
	enum refusal what = what_of(l);
	uint64_t news;
	if (!log_pace_first(&l->of->paces[what], count_of(what), &news))
		return;
	say(l, what, news);
	loop_timer_set(l->of->loop, &l->timer, REFUSALS_EVERY_MS);
}

void refusals_begin(struct refusals *l, struct loop *loop, struct log_pace *paces)
{
	memset(l, 0, sizeof(*l));
	l->loop = loop;
	l->paces = paces;
	for (unsigned i = 0; i < REFUSALS; i++) {
		l->lines[i].of = l;
		loop_timer_init(&l->lines[i].timer, go_on);
	}
}

void refusals_tell(struct refusals *l, enum refusal what, const struct req *r, const char *example)
{
	struct refusals_line *line = &l->lines[what];
	CHECK(rows[what].reason);
	loop_check_here(l->loop);
	req_remote_text(r, line->from, sizeof(line->from));
	if (example) {
		size_t len = rune_cut(example, strlen(example), sizeof(line->example) - 1);
		memcpy(line->example, example, len);
		line->example[len] = 0;
	}
	if (l->notes)
		doctornotes_refused(l->notes, r, what, example);
	look(line);
	/* One request may have samples refused for other reasons than its first one. */
	bool of_sink = what >= REFUSAL_SAMPLES && what < REFUSAL_SERIES;
	for (unsigned i = REFUSAL_SAMPLES + SINK_OK + 1; of_sink && i < REFUSAL_SERIES; i++) {
		if (!l->lines[i].from[0])
			memcpy(l->lines[i].from, line->from, sizeof(line->from));
		look(&l->lines[i]);
	}
}

const char *refusals_word(enum refusal what)
{
	return rows[what].reason;
}

const char *refusals_remedy(enum refusal what)
{
	return rows[what].remedy;
}

void refusals_end(struct refusals *l)
{
	for (unsigned i = 0; i < REFUSALS; i++) {
		struct refusals_line *line = &l->lines[i];
		if (!loop_timer_is_set(&line->timer))
			continue;
		loop_timer_cancel(l->loop, &line->timer);
		go_on(&line->timer);
		loop_timer_cancel(l->loop, &line->timer);
	}
}
