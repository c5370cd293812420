/*
 * pour - the samples of series from all shards, encoded where they are, in bounded memory: export
 * and remote read.
 *
 *   home: pour_start > one message per shard > (job on the owner: cursor, encode, until a batch is
 *   full) > home: ready(arg) > pour_next, pour_next ... > the piece is asked for its next batch
 *
 * A piece works while somebody reads: its job sleeps until home has read its batch. In no order,
 * items are cut wherever a batch is full; with `sorted` each series is one item, and all come by
 * label_cmp: a piece lists the labels of its series first, sorts them, then reads them window by
 * window (source_query.keep), so that it holds labels and one window.
 * A series that several sets select comes once.
 *
 * Memory: labels (sorted), batches and what cursors hold are the ticket's: some 128 KiB a shard, or
 * 2 MiB with sorted. Over its purse is an error that names the limit.
 * Thread: the loop that started it, but for encode.
 */
#ifndef NET_API_POUR_H
#define NET_API_POUR_H

#include "core/account/ticket.h"
#include "core/seam/source.h"
#include "net/api/param.h"

#define POUR_SAMPLES 4096u /* that encode takes at once */

struct pour;
struct pour_opts {                     /* everything pointed at is borrowed until gone() */
	const struct param_sets *sets; /* no set = everything */
	int64_t t_min_ms, t_max_ms;
	const uint32_t *tenants;
	size_t tenants_count;
	struct ticket *ticket;
	bool sorted;
	bool labels_only; /* of series that overlap the range coarsely; columns are empty */
	/*
	 * On the loop of a shard: appends what comes of the item's samples from *at on, at most
	 * POUR_SAMPLES of them, and moves *at; true: that was the last of it. *own is 0 at first.
	 */
	bool (*encode)(const void *arg, const struct source_item *item, uint32_t *at, size_t *own,
	    struct buf *out);
	const void *encode_arg;
	void (*ready)(void *arg); /* pour_next has something, or an end */
	void (*gone)(void *arg); /* after pour_end, never inside it: nothing is borrowed any more */
	void *arg;
};
struct pour *pour_start(struct source *src, const struct pour_opts *o);

enum pour_got {
	POUR_BYTES,
	POUR_LATER, /* ready() will come */
	POUR_END,
	POUR_FAILED /* pour_err */
};
/* bytes: of one item, valid until the next call. */
enum pour_got pour_next(struct pour *p, const uint8_t **bytes, size_t *len);
uint64_t pour_samples(const struct pour *p); /* that were read so far */
uint64_t pour_series(const struct pour *p);
enum err pour_err(const struct pour *p, const char **text);
/* At any time, once; no ready() comes any more, gone() does. */
void pour_end(struct pour *p);

#endif
