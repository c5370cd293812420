/*
 * promjson - answers of the HTTP API as JSON bytes ("HTTP API" of the Prometheus documentation), in
 * pieces for whoever sends them.
 *
 * Query results: promjson_query() points an encoder at a value, promjson_next() appends the next
 * bytes until the buffer grew by at_least or all is written:
 *
 *   promjson_query(&e, &answer);
 *   while (!promjson_next(&e, &buf, 64 << 10))
 *           send and clear buf
 *
 * Other answers are put together by their handler: promjson_begin(), any JSON data, promjson_end().
 * One piece is at_least bytes and at most one label set or one point more, of a histogram some
 * buckets, so a piece is bounded by the limits of labels.
 *
 * Cost: some 35 ns per point, most of it for the digits of the value; no allocation but the
 * buffer's.
 * Thread: pure. Memory: everything pointed at stays the caller's until the encoder has finished.
 */
#ifndef PROTO_PROMJSON_H
#define PROTO_PROMJSON_H

#include "core/base/buf.h"
#include "core/model/exemplar.h"
#include "core/model/histmath.h"
#include "core/model/label.h"
#include "core/promql/ql.h"

/* warnings and infos, each; one more line tells how many were left out */
#define PROMJSON_NOTES_MAX 10u

struct promjson_notes { /* texts as given by the engine, plus the handler's own */
	const struct ql_note *items;
	size_t count;
	const char *extra[4]; /* written first; NULL = none */
};
struct promjson_answer {
	const struct ql_value *value;
	struct promjson_notes warnings, infos;
	const struct ql_stats *stats; /* NULL = no "stats" */
	/* Members of the answer beside "data", as they stand (",\"trace\":{...}"); NULL: none. */
	const struct buf *more;
	/* Makes them, when all else is encoded; NULL: they are there. */
	void (*make_more)(void *arg);
	void *make_more_arg;
};
struct promjson_hist { /* a histogram being written */
	struct hist_iter _buckets;
	unsigned _part;
	bool _any; /* bucket */
};
struct promjson {
	const struct promjson_answer *_a;
	int _step;
	size_t _series, _point;
	bool _any; /* of a series that has histograms: the list at hand has begun */
	struct promjson_hist _hist;
	/*
	 * Times of a matrix mostly begin with the same digits: the text of the last one without its
	 * last four digits of seconds.
	 */
	uint64_t _prefix;
	unsigned _prefix_len; /* 0 = none */
	char _prefix_text[24];
};
void promjson_query(struct promjson *e, const struct promjson_answer *a);
/* true: finished, nothing more will come. */
bool promjson_next(struct promjson *e, struct buf *out, size_t at_least);

/*
 * A histogram in pieces: {"count":"42","sum":"34.5","buckets":[[3,"-0.25","0.25","3"],...]}, with
 * empty buckets left out. The first of a bucket tells which bounds belong to it: 0 the upper one, 1
 * the lower one, 2 none, 3 both. True: it is whole.
 */
void promjson_hist(struct promjson_hist *w, const struct hist *h);
bool promjson_hist_next(struct promjson_hist *w, struct buf *out, size_t full);

void promjson_begin(struct buf *out); /* {"status":"success","data": */
/* Annotations and the closing brace; either may be NULL. */
void promjson_end(
    struct buf *out, const struct promjson_notes *warnings, const struct promjson_notes *infos);
/* {"status":"error","errorType":"bad_data","error":"..."} */
void promjson_error(struct buf *out, const char *type, const char *text, size_t len);
/* {"__name__":"up","job":"x"}; names and values without Go's HTML escapes. */
void promjson_labels(struct buf *out, struct labels ls);
/* One item of a list: a comma when it is not the first. */
void promjson_item_labels(struct buf *out, bool first, struct labels ls);
void promjson_item_string(struct buf *out, bool first, const char *s, size_t len);
/*
 * A series with its exemplars, of a list as core/model/exemplar.h has it; a comma when it is not
 * the first.
 */
void promjson_exemplars(struct buf *out, bool first, struct labels series, struct wire_reader *list);
/* Metadata type by batch_meta.type: "counter"...; "unknown" for anything else. */
const char *promjson_meta_type(uint8_t type);
/* {"type":"counter","help":"...","unit":""} */
void promjson_meta(struct buf *out, const char *type, const char *help, size_t help_len,
    const char *unit, size_t unit_len);

#endif
