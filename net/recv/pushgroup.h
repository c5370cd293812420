/*
 * pushgroup - what was pushed last under one grouping key: families of samples without times, as a
 * Prometheus Pushgateway keeps them.
 *
 * Made once, by a worker, and not changed any more: the next push makes another one. Rows have the
 * labels of the key, over their own; they are those that are stored, so there is no instance=""
 * among them, which only pages show. The families push_time_seconds and push_failure_time_seconds
 * are the last two.
 *
 * As a file:
 *   8 bytes "KYMOPG1\n"
 *   varint tenant; key, its labels (a length before them, as before all texts); varint ms of the
 *   last push and of the last that failed, 0 = none
 *   varint families, of each: name, help, unit; a byte of type; varint ms; varint rows, of each:
 *     labels; a byte, 0: 8 bytes of a float, 1: a histogram (core/model/hist.h) behind its length
 *   4 bytes crc32c of all before
 * without the two families of times.
 *
 * Thread: one at a time while it is made, then read by any. Memory: its own arena.
 */
#ifndef NET_RECV_PUSHGROUP_H
#define NET_RECV_PUSHGROUP_H

#include "core/base/hash.h"
#include "core/base/list.h"
#include "core/model/batch.h"
#include "core/model/limits.h"

struct push_row {
	const uint8_t *labels;
	uint32_t labels_len;
	double v;
	const struct hist *hist; /* NULL: a float */
};
struct push_family {
	const char *name, *help, *unit;
	uint32_t name_len, help_len, unit_len, rows_count, rows_cap;
	uint8_t type; /* as batch_meta has them */
	int64_t pushed_ms;
	struct push_row *rows;
};
struct pushgroup {
	struct arena arena;
	uint32_t tenant;
	struct labels labels; /* of the key, canonical; an empty value is not among them */
	struct hash128 hash;  /* of tenant and labels */
	int64_t pushed_ms, failed_ms;
	struct push_family *families;
	uint32_t families_count, families_cap, *_slots, _slots_mask;
	uint64_t rows;      /* of all families */
	uint64_t max_bytes; /* of memory, while a body is read; 0: any */
	/* Of the table that it is in (net/recv/pushtable.h). */
	struct list_link by_tenant, by_due;
	struct pushgroup *next; /* of the same hash */
	uint32_t refs;
	bool gone;
	uint64_t seq, due_ns, cost;
	int64_t last_ms; /* of its newest rows */
};
struct pushgroup *pushgroup_new(uint32_t tenant, struct labels labels);
void pushgroup_free(struct pushgroup *g);
struct hash128 pushgroup_hash(uint32_t tenant, struct labels labels);

enum push_form {
	PUSH_TEXT,
	PUSH_PROTOBUF
};
/*
 * Adds what a body says. ERR_MALFORMED; ERR_BADDATA: samples with times, too many samples;
 * ERR_TOOBIG: more than max_bytes, as labels of the key on each row of a small body may take. The
 * text says it as the Pushgateway does.
 */
MUST_CHECK enum err pushgroup_read(struct pushgroup *g, enum push_form form, const uint8_t *body,
    size_t len, const struct limits *limits, int64_t now_ms, struct errbuf *eb);
/* Families of another that are not here (all: whatever is here). */
void pushgroup_keep(struct pushgroup *g, const struct pushgroup *old);
/* The last step: the two families of times. */
void pushgroup_times(struct pushgroup *g, int64_t pushed_ms, int64_t failed_ms);
const struct push_family *pushgroup_family(const struct pushgroup *g, const char *name, size_t len);

void pushgroup_encode(const struct pushgroup *g, struct buf *out);
/* Of a file; NULL: it is damaged. */
struct pushgroup *pushgroup_decode(const uint8_t *data, size_t len);
/*
 * One member of /api/v1/metrics of a Pushgateway, in pieces: pushjson_next adds to out until that
 * has upto bytes, more by one metric at most. True: it is all there.
 */
struct pushjson {
	struct pushgroup *group; /* NULL: none is told of */
	/* Its own. */
	uint32_t *order, at, row;
};
void pushjson_begin(struct pushjson *j, struct pushgroup *g);
bool pushjson_next(struct pushjson *j, struct buf *out, size_t upto);
void pushjson_end(struct pushjson *j);

#endif
