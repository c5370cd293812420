/*
 * rw2_priv - what the parts of rw2 share: rw2.c (the fast way), rw2_whole.c (the whole encoding),
 * rw2_memory.c (what a loop remembers).
 */
#ifndef PROTO_RW2_PRIV_H
#define PROTO_RW2_PRIV_H

#include "core/base/wire.h"
#include "proto/pbscan.h"
#include "proto/rw2.h"

#define RW2_INLINE        inline __attribute__((always_inline))
#define TAG(number, wire) ((number) << 3 | (wire))
#define SLOW_FIELD        16 /* bytes that a field of the slow way counts as beside its own */
#define LABEL_SHARE       64 /* so many label bytes count as one of the slow way */
#define WIDE              32 /* bytes that are copied at once */
#define LABEL_FAST        64 /* labels of so many bytes are copied without a look at their length */
#define SLOP              LABEL_FAST /* bytes behind the labels that copies may touch */
#define TIME_BYTES        6          /* that a time takes from the years 2004 to 2109 */
#define RW2_META_FAST     8          /* bytes of metadata that are compared, not read */
#define NONE              UINT32_MAX
#define NO_NAME           (UINT32_MAX - 1) /* no number of a string, nor one that is too long */

/* A string of the request: RW2_SYMBOL_BYTES. */
struct rw2_symbol {
	uint32_t at, len;    /* of its text in the body */
	uint32_t pair_name;  /* the name that it was put together with last */
	uint16_t pair_len;   /* of that label, whole; 0 = none */
	uint8_t meta_len;    /* of meta; 0 = none */
	const uint8_t *pair; /* its bytes among the labels */
	uint64_t meta;       /* of a metric name: the bytes of the metadata that was taken last */
};

struct rw2_families;
struct rw2_memory {
	struct rw2_symbol *symbols; /* [cap], of the request */
	uint32_t cap;
	const struct stamps *metas;
	struct rw2_families *families; /* whose metadata was seen; NULL = none yet */
	size_t known_bytes;            /* of their texts */
	uint32_t oldest, known_count;  /* in their ring, with those forgotten since */
	uint64_t request; /* its number; what it has given once it does not give again */
};

/* Is there nothing new in it? Otherwise it may go into the batch, with its stamp. */
bool rw2_memory_knows(struct rw2_memory *m, uint32_t tenant, struct batch_meta *meta);
/* After a request: a table grown large is not kept. */
void rw2_memory_trim(struct rw2_memory *m);

/* The labels of the series that is being read. */
struct rw2_series {
	const uint8_t *labels;
	uint32_t labels_len;
	int64_t created_ms; /* start time of what tells none */
};

/* A time of TIME_BYTES bytes: many samples have the same. */
struct rw2_time {
	uint64_t bytes; /* of it, in the upper bytes */
	uint64_t t;
};
struct rw2_scan {
	struct arena *arena;
	struct rw2_memory *memory;
	const uint8_t *body, *end;
	struct batch *batch;
	struct errbuf *eb;
	const struct limits *limits;
	struct rw2_symbol *symbols;
	uint32_t symbols_count;
	uint32_t tenant;
	/* where labels go, a piece of the arena; out_end: less SLOP; start: of those begun */
	uint8_t *start, *out, *out_end;
	size_t piece;             /* bytes of the next one */
	uint64_t made, made_max;  /* label bytes and table; more is too much, or for a worker */
	uint64_t series, samples; /* of this body; samples with histograms and exemplars */
	size_t slow_left;         /* bytes that may still go the slow way */
	bool bad_told;            /* a histogram was bad, and the batch says why */
	uint32_t name_ref;        /* a number of __name__, NONE */
	size_t metas_before;      /* in the batch */
	/* references whose labels the fast way has put together before it gave the series up */
	const uint8_t *ready;
	struct rw2_series ready_labels;
	struct rw2_time time;
	bool symbols_late;  /* a string stands behind a series */
	bool symbols_whole; /* all strings of the body are known */
};

/* What a series says of its family, still as numbers. */
struct rw2_said {
	uint32_t type, help, unit;
};

/* --- rw2_whole.c --- */

enum err rw2_malformed(struct rw2_scan *s, const uint8_t *at, const char *what);
enum err rw2_too_many(const struct rw2_scan *s, const char *what, enum limits_id id);
enum err rw2_no_memory(const struct rw2_scan *s);
void rw2_made_max_set(struct rw2_scan *s);
/* false: that is for a thread that may take its time. */
bool rw2_slow_take(struct rw2_scan *s, size_t bytes);
/* Labels and table have grown past made_max, or would. */
enum err rw2_made_too_much(const struct rw2_scan *s);
/* Puts a label behind those that stand before s->out. Both strings are there. */
enum err rw2_label_put(struct rw2_scan *s, uint32_t name, uint32_t value);
bool rw2_is_name(const struct rw2_scan *s, uint32_t symbol); /* is it __name__? */
/* Value of __name__ among references that fast_labels took, NONE. */
uint32_t rw2_metric_of(struct rw2_scan *s, const uint8_t *p, const uint8_t *end);
enum err rw2_said_read(
    struct rw2_scan *s, const uint8_t *p, const uint8_t *end, struct rw2_said *said);
bool rw2_said_is_good(const struct rw2_scan *s, const struct rw2_said *said);
/* Of good strings: all of them empty, of no type? */
bool rw2_says_nothing(const struct rw2_scan *s, const struct rw2_said *said);
/* Metadata of the metric's family, unless it is known, or stands before. */
enum err rw2_meta_put(struct rw2_scan *s, const struct rw2_said *said, uint32_t metric);
/* Makes a float one with a start time. */
enum err rw2_row_start(struct rw2_scan *s, struct batch_row *row, int64_t start_ms);
enum err rw2_histogram(struct rw2_scan *s, const uint8_t *p, const uint8_t *end,
    const struct rw2_series *in, struct batch_row *row);
enum err rw2_exemplar(
    struct rw2_scan *s, const uint8_t *p, const uint8_t *end, const struct rw2_series *in);
/* A TimeSeries in any encoding. */
enum err rw2_take_series(struct rw2_scan *s, const uint8_t *start, const uint8_t *end);

/* The labels before s->out are those of a series, or of an exemplar. */
static inline bool rw2_labels_done(struct rw2_scan *s, const uint8_t **labels, uint32_t *len)
{
	*labels = s->start;
	*len = (uint32_t)(s->out - s->start);
	s->made += *len;
	s->start = s->out;
	return s->made <= s->made_max;
}

/*
 * Number of a string in the low bytes of *w, at most three; *w moves behind it, *p too. Longer ones
 * give a number that no string has.
 */
static RW2_INLINE uint32_t rw2_ref_take(uint64_t *w, const uint8_t **p)
{
	uint32_t x = (uint32_t)*w;
	if (LIKELY(!(x & 0x80))) {
		*w >>= 8;
		*p += 1;
		return x & 0x7f;
	}
	if (LIKELY(!(x & 0x8000))) {
		*w >>= 16;
		*p += 2;
		return (x & 0x7f) | (x & 0x7f00) >> 1;
	}
	*w >>= 24;
	*p += 3;
	return x & 0x800000 ? UINT32_MAX : (x & 0x7f) | (x & 0x7f00) >> 1 | (x & 0x7f0000) >> 2;
}

struct rw2_pair {
	uint32_t name, value;
};

/* Numbers of a label at *p, eight bytes readable; *p moves behind them. */
static RW2_INLINE struct rw2_pair rw2_pair_next(const uint8_t **p)
{
	struct rw2_pair out;
	uint64_t w = wire_load64(*p);
	out.name = rw2_ref_take(&w, p);
	out.value = rw2_ref_take(&w, p);
	return out;
}

/* RW2_META_FAST bytes of metadata or less, eight readable, as a number: rw2_symbol.meta. */
static inline uint64_t rw2_meta_key(const uint8_t *p, size_t len)
{
	return wire_load64(p) << (64 - 8 * len);
}

static inline void rw2_row_is(struct batch_row *row, const struct rw2_series *in)
{
	row->labels = in->labels;
	row->labels_len = in->labels_len;
	row->flags = 0;
}

#endif
