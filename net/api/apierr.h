/*
 * apierr - the one place where an error code becomes an answer.
 *
 * JSON ("HTTP API" of the Prometheus documentation): {"status":"error","errorType":...,"error":...}
 * with the status of the type. Plain (writes, net/README.md): "<word>: <sentence>" with Retry-After
 * where repeating is right. Thread: the loop of the request.
 */
#ifndef NET_API_APIERR_H
#define NET_API_APIERR_H

#include "net/http/req.h"

/* What a code means to the two kinds of clients. */
struct apierr_row {
	enum err err;
	const char *type; /* errorType of the JSON envelope */
	int status;
	const char *word; /* of a plain refusal of a write */
	int write_status;
	uint32_t retry_after_s; /* of a write, when the sink gave none; 0 = never */
};
const struct apierr_row *apierr_row(enum err e);

/* JSON error of the code's type; on routes without ROUTE_JSON the text and a newline. text may be
 * any bytes. */
void apierr_json(struct req *r, enum err e, const char *text, size_t len);
void apierr_jsonf(struct req *r, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* 400 bad_data: invalid parameter "name": reason */
void apierr_param(struct req *r, const char *name, const char *reason);

/*
 * Refusal of a whole write that may be repeated (5xx) or not. retry_after_s: what the sink said, 0
 * = the table's.
 */
void apierr_write(struct req *r, enum err e, uint32_t retry_after_s);
/* The sentence of it: "236MiB are free, below --storage.min-free 1GiB in /data: ...". */
void apierr_write_text(const struct req *r, enum err e, char *out, size_t size);
/* The same with a sentence of the sink's own; NULL or "": the usual one. */
void apierr_write_why(struct req *r, enum err e, uint32_t retry_after_s, const char *why);
/* Its status alone, for answers of another form; Retry-After and the like are set on r. */
int apierr_write_status(struct req *r, enum err e, uint32_t retry_after_s);
/*
 * Seconds for Retry-After: base x 2^min(Retry-Attempt, 3), +-50 % of it by chance, 1..60
 * (net/README.md). rnd: any number.
 */
uint32_t apierr_backoff_s(uint32_t base_s, uint64_t attempt, uint64_t rnd);
/* The same for r, by its Retry-Attempt. */
uint32_t apierr_retry_s(const struct req *r, uint32_t base_s);
/* 503 Service Unavailable, text/plain, X-Prometheus-Stopping. */
void apierr_unavailable(struct req *r, bool stopping);

#endif
