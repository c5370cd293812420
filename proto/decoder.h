/*
 * decoder - what every decoder of a body of samples gives: rows of a batch, some at a time.
 *
 *   bytes > decoder.next: rows, metadata, exemplars > the batch goes on its way > next ... > END
 *
 * Who drives it (net/recv) unpacks the body, owns the batch and its memory, and calls next until
 * all is read; between two calls it may store what there is, empty the batch and reset `arena`. A
 * decoder never waits, and stops on its own when the batch has DECODE_ROWS rows or after about
 * DECODE_TURN bytes, so that a call is short whatever is sent.
 *
 * Two sorts of kinds:
 *   lines   next may get a part of the body, which ends behind an LF (or with the body): formats of
 *           lines that say nothing of each other, but for what the kind keeps in `own`
 *   whole   next always sees the rest of the whole body, unpacked: protobuf, JSON
 * Of lines the part may lie elsewhere at the next call, so `own` holds no pointers into it. A
 * record of many rows is left where it is (*p at its begin, `own` knows how far) until the last of
 * them is there: the body is over when *p is at its end. An empty body of lines is never asked for.
 *
 * A record is a line, a point or a metric. One that is wrong is left out, counted in bad, and the
 * first of them told (decode_bad); what cannot be gone on with ends the body: an error, its text.
 * What the format's own rules leave out (texts as values, comments of others) is counted in
 * `skipped`, and is no fault.
 *
 * Labels of rows are canonical bytes (core/model/label.h) in `arena`, or lent from the body of a
 * whole kind. Times are milliseconds; of records without one `now_ms`.
 * Thread: one at a time; a worker, or a loop for what is small. Memory: `keep` lives as long as
 * the body, `arena` until the batch is emptied. Any bytes are safe.
 */
#ifndef PROTO_DECODER_H
#define PROTO_DECODER_H

#include "core/base/arena.h"
#include "core/model/batch.h"
#include "core/model/limits.h"

#define DECODE_ROWS     8192u
#define DECODE_TURN     (1u << 20)
#define DECODE_BAD_TEXT 300u

struct decode {
	/* Given. */
	const struct limits *limits;
	int64_t now_ms;   /* wall clock of the request */
	const void *opts; /* of the kind: what parameters and configuration say; may be NULL */
	/*
	 * Set by recv_kind.open: nothing is stored when anything is bad. The body is then read
	 * twice, each time from new (own, counts): first only to be judged.
	 */
	bool strict;
	/*
	 * Set by it, too, for who drives it: labels that every row gets when it is there, over
	 * those of the same names; decoders know nothing of them.
	 */
	const struct label *extra;
	size_t extra_count;
	struct arena *arena, *keep;
	struct batch *batch;
	/* Told. */
	size_t held;      /* bytes the kind has taken beside the arenas, now */
	uint64_t records; /* read, whatever became of them */
	uint64_t bad, skipped;
	char bad_text[DECODE_BAD_TEXT]; /* of the first bad one: "line 3: ..." */
	void *own;                      /* the kind's, in keep; NULL before the first call */
};
struct decoder {
	const char *record; /* "line", "data point": for sentences */
	bool lines;
	/*
	 * From *p on, which goes behind what was read. Nothing was read and no row made: it needs
	 * more than there is (the end of a line; of the last part that is an error of the body).
	 * last: nothing comes behind end.
	 */
	enum err (*next)(
	    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb);
	/* Releases what own has beside keep; NULL: nothing. */
	void (*end)(struct decode *d);
};

/*
 * Is the batch to be stored before more is added? By rows, and what else takes memory: an arena
 * that has grown once takes blocks of 1 MiB, so that fewer bytes would say nothing.
 */
static inline bool decode_full(const struct decode *d)
{
	const struct batch *b = d->batch;
	return b->rows_count >= DECODE_ROWS || b->metas_count >= DECODE_ROWS ||
	    b->exemplars_count >= DECODE_ROWS || b->extras_bytes > DECODE_TURN ||
	    arena_used(d->arena) > 4 * DECODE_TURN;
}
/* Counts a bad record and tells of it when it is the first. */
void decode_bad(struct decode *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
