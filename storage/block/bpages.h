/*
 * bpages - records of a write-ahead log of Prometheus out of its pages ("tsdb/wlog/wlog.go").
 *
 * A page has 32 KiB, the last one of a segment may be shorter. In it fragments: type byte (bits
 * 0-2: 0 zeros up to the end of the page, 1 a whole record, 2 its beginning, 3 middle, 4 end; bit 3
 * the record is packed with snappy, bit 4 with zstd), BE16 length, BE32 CRC-32C, data.
 *
 * bpages_feed(page), then bpages_next until BPAGES_EMPTY. BPAGES_BAD: what is left of the page is
 * passed over, and the record that was begun; the next page goes on with the next record that
 * begins in it.
 *
 * Any bytes are safe. Thread: pure. Memory: one record, at most BPAGES_RECORD_MAX, twice.
 */
#ifndef STORAGE_BLOCK_BPAGES_H
#define STORAGE_BLOCK_BPAGES_H

#include "core/base/buf.h"

#define BPAGES_PAGE       32768u
#define BPAGES_RECORD_MAX ((size_t)256 << 20)

enum bpages_result {
	BPAGES_EMPTY,
	BPAGES_RECORD,
	BPAGES_BAD
};
struct bpages {
	const uint8_t *page;
	size_t len, at;
	struct buf packed, plain;
	bool begun;         /* a record has begun and not ended */
	const char *what;   /* why the page is bad */
	const uint8_t *rec; /* the record, until the next call */
	size_t rec_len;
	void *_zstd;
};
void bpages_init(struct bpages *p);
void bpages_release(struct bpages *p);
/* Behind a segment's end: what was begun there is not gone on with. */
void bpages_cut(struct bpages *p);
/* The page is lent until the next one. */
void bpages_feed(struct bpages *p, const uint8_t *page, size_t len);
enum bpages_result bpages_next(struct bpages *p);

#endif
