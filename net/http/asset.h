/*
 * asset - a body that does not change while the process runs (a page, a document), made once with
 * all that answering it needs: its bytes, the same compressed, a strong ETag for each form.
 *
 *   asset_init | asset_init_packed > req_reply_asset (any number of times, any loop)
 *   > asset_release
 *
 * An ETag is the hash of the bytes; the compressed form has one of its own, since a strong ETag
 * stands for exactly one sequence of bytes (RFC 9110, section 8.8.3). The compressed form is kept
 * when it is smaller by a tenth, and no asset below ASSET_GZIP_LEAST has one.
 * What the program holds in its compressed form already is borrowed: it costs no memory, and is
 * unpacked for the few who do not take gzip, each time.
 * Memory: both forms until asset_release, which comes after the last answer has been sent. Thread:
 * read only after asset_init.
 */
#ifndef NET_HTTP_ASSET_H
#define NET_HTTP_ASSET_H

#include "core/base/buf.h"

#define ASSET_GZIP_LEAST 512u
#define ASSET_ETAG_MAX   40u

struct asset {
	const char *type;  /* Content-Type; lives as long as the asset */
	const char *cache; /* Cache-Control, or NULL; lives as long as the asset */
	/* gzip: NULL without that form; plain: NULL where it is unpacked when it is asked for */
	const uint8_t *plain, *gzip;
	size_t plain_len, gzip_len;
	char plain_etag[ASSET_ETAG_MAX], gzip_etag[ASSET_ETAG_MAX]; /* with their quotes */
	bool borrowed;
};
/* The memory of body moves; it is empty afterwards. */
void asset_init(struct asset *a, const char *type, const char *cache, struct buf *body);
/*
 * gzip: one member of gzip with at least a byte, whole; it unpacks to plain_len bytes. Borrowed
 * until asset_release.
 */
void asset_init_packed(struct asset *a, const char *type, const char *cache, const void *gzip,
    size_t gzip_len, size_t plain_len);
void asset_release(struct asset *a);
/*
 * The plain bytes, of one that was made of packed ones, from mem_alloc: the caller's. NULL: there
 * is no memory for it, or it is not what it was said to be.
 */
uint8_t *asset_unpack(const struct asset *a);
/*
 * Does a field If-None-Match (RFC 9110, section 13.1.2: a list of tags, or "*") name this ETag?
 * Weak tags count as strong ones. What is no list of tags names none.
 */
bool asset_named(const char *if_none_match, size_t len, const char *etag);

#endif
