/*
 * refusals - what senders are refused stands in the log: a line for each reason at once, then one a
 * minute as long as it goes on, with numbers, an example and what to do about it.
 *
 *   event=writes_refused reason=come_back requests=12 from=10.0.0.1:40312
 *       example="236MiB are free, below --storage.min-free 1GiB in /data: ..." remedy="..."
 *   event=samples_refused reason=too_old samples=6000 from=10.0.0.1:40312
 *       example="up{job=\"a\"}: sample of ..., oldest accepted ..." remedy="..."
 *   event=exemplars_refused reason=exemplars exemplars=12 ...
 *   event=records_refused reason=bad_records records=3 example="influx: line 2: ..."
 *
 * Numbers are those of the counters (core/base/metric.def), of the whole process and since the line
 * before. The pace of a reason is the process', so that loops do not tell the same thing twice.
 * Thread: begin and end on the loop of l, tell on the loop of the request.
 */
#ifndef NET_API_REFUSALS_H
#define NET_API_REFUSALS_H

#include "core/base/log.h"
#include "core/seam/sink.h"
#include "net/http/req.h"

#define REFUSALS_EVERY_MS 60000u

enum refusal {
	REFUSAL_TYPE,
	REFUSAL_SNAPPY,
	REFUSAL_DECODED,
	REFUSAL_PROTOBUF,
	REFUSAL_MANY,
	REFUSAL_BODY, /* of other receivers than Remote Write */
	REFUSAL_RATE,
	REFUSAL_LOAD,
	REFUSAL_LATER,   /* 503: the sender repeats it */
	REFUSAL_SAMPLES, /* and its reason: REFUSAL_SAMPLES + enum sink_reason */
	/* of Remote Write 2.0 */
	REFUSAL_SERIES = REFUSAL_SAMPLES + SINK_REASONS, /* samples of series that cannot be read */
	REFUSAL_EXEMPLARS,
	REFUSAL_RECORDS, /* lines, points or metrics that cannot be read */
	REFUSALS
};

struct doctornotes; /* net/api/doctornotes.h */
struct refusals {   /* of one loop */
	struct loop *loop;
	struct doctornotes *notes; /* is told each one; NULL: nobody */
	struct log_pace *paces;    /* REFUSALS of them, shared by all loops */
	struct refusals_line {
		struct refusals *of;
		struct loop_timer timer;
		char from[64], example[256]; /* of the last refusal here */
	} lines[REFUSALS];
};
void refusals_begin(struct refusals *l, struct loop *loop, struct log_pace *paces);
/* The refusal has been counted. example may be NULL. */
void refusals_tell(struct refusals *l, enum refusal what, const struct req *r, const char *example);
/* "too_old"; and what to do about it, a sentence. */
const char *refusals_word(enum refusal what);
const char *refusals_remedy(enum refusal what);
/* Tells what has not been told yet. */
void refusals_end(struct refusals *l);

#endif
