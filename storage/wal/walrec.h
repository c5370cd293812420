/*
 * walrec - the payload of a log frame: the groups of one loop for one request.
 *
 *   payload  version(1)=3  group*           (1 is read too: it has no own and newest; and 2: it
 *                                           has no rows of kind 1 and no exemplars)
 *   group    tag(1)=1  varint(shard)  varint(number)  u32(length of the records)  record*
 *   def      tag(1)=2  varint(id)  varint(tenant)  varint(n) labels[n]
 *   rows     tag(1)=3  kind(1)=0  varint(count)  id runs  time runs  values[8 * count]
 *                                           (little endian doubles)
 *            tag(1)=3  kind(1)=1  the same  varint(extras)  extra*
 *                                           (rows among which are histograms or start times)
 *   extra    varint(rows since the one before)  zigzag(start_ms; 0 = not told)  varint(n) hist[n]
 *                                           (n is 0 beside a float; else canonical bytes, see
 *                                           core/model/hist.h, and the value SAMPLE_HIST_BITS)
 *   meta     tag(1)=4  varint(tenant)  type(1)  3 x { varint(n) bytes[n] }   (family, help, unit)
 *   tomb     tag(1)=5  varint(n) bytes[n]   (a deletion; reserved, opaque here)
 *   own      tag(1)=6                       (the group's rows that follow are the server's own)
 *   newest   tag(1)=7  varint(tenant)  own(1)  zigzag(t_ms)
 *                                           (the class's newest accepted time is at least t_ms)
 *   exemplar tag(1)=8  varint(id)  varint(n) list[n]
 *                                           (some of one series, as core/model/exemplar.h has it)
 *   exemplar tag(1)=8  varint(id)  varint(n) list[n]
 *                                           (some of one series, as core/model/exemplar.h has it)
 *   run      zigzag(first - what the run before would have had next)
 *            varint(length << 1 | stepped)  [zigzag(step - usual step)]
 * Ids and times are arithmetic runs; the usual step of ids is 1, that of times 0. So a request of
 * known series costs 8 bytes a row plus a few bytes, and one series loaded with many samples costs
 * the same. Random ids cost about 2-3 bytes more.
 * The length of a group lets a dispatcher cut a payload into groups without decoding rows.
 *
 * (1) A group is never split: when a frame is full, the rest of the request goes on in a new frame
 *     under the shard's next number.
 * (2) Definitions stand before the first rows that use their ids (storage/README.md (2)); the
 *     caller orders them.
 * (3) Nothing in a payload expands: rows take at least 8 bytes each, so what a reader allocates is
 *     bounded by the payload.
 *
 * Speed:   1-2 ns per row written for usual requests, no allocation while the buf is large enough.
 * Thread:  pure; a writer or reader belongs to one thread at a time.
 * Memory:  pieces a reader gives point into the payload, columns into the reader's scratch: valid
 *          until the next call.
 * Errors:  the reader is safe on any bytes: ERR_MALFORMED, ERR_UNSUPPORTED (version, unknown tag or
 *          kind).
 */
#ifndef STORAGE_WAL_WALREC_H
#define STORAGE_WAL_WALREC_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/wire.h"

#define WALREC_VERSION           3u
#define WALREC_VERSION_FLOATS    2u /* rows of such payloads are floats without a start time */
#define WALREC_VERSION_NO_NEWEST 1u /* newest times of such payloads stand in their rows */
/* shard numbers are below this; a bound for tables made from hostile bytes */
#define WALREC_SHARDS_MAX 4096u
#define WALREC_ROWS_MAX   65536u /* rows of one walrec_rows call: at most 1.7 MiB */
/* histograms of one walrec_rows_extras call; so it and a full payload are no more than a frame */
#define WALREC_EXTRAS_BYTES (2u << 20)
/* end the frame and begin the next one once a payload has this much */
#define WALREC_SPLIT_BYTES (4u << 20)
/* bytes of labels, family, help, unit, tombstone in one record; far over the limits of requests */
#define WALREC_LABELS_MAX (1u << 20)

enum walrec_tag {
	WALREC_GROUP = 1,
	WALREC_DEF = 2,
	WALREC_ROWS = 3,
	WALREC_META = 4,
	WALREC_TOMB = 5,
	WALREC_OWN = 6,
	WALREC_NEWEST = 7,
	WALREC_EXEMPLARS = 8
};
enum walrec_kind { /* of rows */
	WALREC_FLOAT = 0,
	WALREC_EXTRAS = 1
};
/* Beside one of the rows. */
struct walrec_extra {
	uint32_t row;      /* its place, ascending */
	uint32_t hist_len; /* 0 = a float */
	int64_t start_ms;  /* 0 = not told */
	const uint8_t *hist;
};

/* ---- Writer ---- */
struct walrec_writer {
	struct buf *buf;  /* borrowed from begin to end */
	size_t _group_at; /* where the open group's length stands, 0 = none open */
};
/* Appends to buf, which should be empty (payload of a walog frame). */
void walrec_begin(struct walrec_writer *w, struct buf *buf);
/* Opens a group; closes the one before. shard < WALREC_SHARDS_MAX, number >= 1. */
void walrec_group(struct walrec_writer *w, uint32_t shard, uint64_t number);
void walrec_def(
    struct walrec_writer *w, uint32_t id, uint32_t tenant, const void *labels, size_t labels_len);
/* count 1..WALREC_ROWS_MAX. Values are kept bit by bit. May be called several times in a group. */
void walrec_rows(struct walrec_writer *w, size_t count, const uint32_t *ids, const int64_t *t_ms,
    const double *v);
/*
 * The same with what stands beside some of the rows, in order; rows with a histogram have the value
 * SAMPLE_HIST_BITS, and no others do. WALREC_EXTRAS_BYTES at most in all.
 */
void walrec_rows_extras(struct walrec_writer *w, size_t count, const uint32_t *ids,
    const int64_t *t_ms, const double *v, size_t extras_count, const struct walrec_extra *extras);
struct walrec_meta {
	uint32_t tenant;
	uint8_t type; /* as batch_meta.type */
	const void *family, *help, *unit;
	size_t family_len, help_len, unit_len;
};
void walrec_meta(struct walrec_writer *w, const struct walrec_meta *m);
void walrec_tomb(struct walrec_writer *w, const void *data, size_t len);
void walrec_own(struct walrec_writer *w);
/* Of a series: a list (core/model/exemplar.h), WALREC_LABELS_MAX bytes at most. */
void walrec_exemplars(struct walrec_writer *w, uint32_t id, const void *list, size_t len);
void walrec_newest(struct walrec_writer *w, uint32_t tenant, bool own, int64_t t_ms);
/* Closes the last group. The payload is complete. */
void walrec_end(struct walrec_writer *w);
/*
 * Is the payload so long that the rest should go into a new frame? Ask after each record, see (1).
 */
static inline bool walrec_full(const struct walrec_writer *w)
{
	return w->buf->len >= WALREC_SPLIT_BYTES;
}

/* ---- Groups of a payload, without looking into the records ---- */
struct walrec_group {
	uint32_t shard;
	uint64_t number;
	const uint8_t *records;
	size_t records_len;
	uint8_t version; /* of the payload */
};
struct walrec_groups {
	const uint8_t *p, *end;
	uint8_t version;
	enum err err; /* why it ended: ERR_OK at the end of the payload */
};
void walrec_groups_init(struct walrec_groups *it, const void *payload, size_t len);
bool walrec_groups_next(struct walrec_groups *it, struct walrec_group *out);

/* ---- Records of a group ---- */
struct walrec_record {
	enum walrec_tag tag;
	/* def; newest: tenant; exemplars: id */
	uint32_t id, tenant;
	const uint8_t *bytes; /* def: labels; tomb: what was given; exemplars: a whole list */
	size_t bytes_len;
	/* rows: columns in the reader's scratch */
	size_t count;
	const uint32_t *ids;
	const int64_t *t_ms;
	const double *v;
	size_t extras_count; /* histograms are whole: hist_decode takes them */
	const struct walrec_extra *extras;
	struct walrec_meta meta;
	/* newest */
	bool own;
	int64_t newest_ms;
};
struct walrec_reader {
	const uint8_t *p, *end;
	enum err err; /* sticky; ERR_OK at the end of the group */
	/* scratch of the columns, kept over walrec_reader_open */
	uint32_t *_ids;
	int64_t *_t_ms;
	double *_v;
	size_t _cap;
	bool _floats; /* of the group's version: values are floats, whatever their bits */
	struct walrec_extra *_extras;
	size_t _extras_cap;
	struct arena _hists; /* where they are tried */
};
void walrec_reader_init(struct walrec_reader *r);
void walrec_reader_release(struct walrec_reader *r);
void walrec_reader_open(struct walrec_reader *r, const struct walrec_group *g);
bool walrec_next(struct walrec_reader *r, struct walrec_record *out); /* false: end, or r->err */

#endif
