/*
 * param - parameters of API requests, of the URL and of a body as Go's r.Form has them, and typed
 * values with Prometheus' error texts.
 *
 * application/x-www-form-urlencoded is read from bodies of POST and PUT and stands before the URL;
 * multipart/form-data is read whatever the method and stands behind it. Another body is ignored.
 * A malformed multipart body is refused, where Go would go on without it: an answer to another
 * question than the one asked helps nobody.
 * More than PARAM_LOOP_BYTES are read by a worker before the handler runs (api_prepare): ten MB
 * take tens of milliseconds. They are charged before, and live as long as the request.
 * Each getter of a typed value answers the request with 400 bad_data and returns false when the
 * value is wrong, so that a handler reads as its list of checks.
 * Thread: the loop of the request. Memory: the request's arena.
 */
#ifndef NET_API_PARAM_H
#define NET_API_PARAM_H

#include "core/model/limits.h"
#include "core/model/matcher.h"
#include "net/http/req.h"
#include "proto/urlq.h"

/* "everything": no time of a sample can be outside, and differences do not overflow */
#define PARAM_TIME_MIN (INT64_MIN / 2)
#define PARAM_TIME_MAX (INT64_MAX / 2)

#define PARAM_LOOP_BYTES (64u << 10)

/* Pairs that cannot be read are left out, as r.FormValue does. */
MUST_CHECK bool param_parse(struct req *r, struct urlq *q);
/* They are 400, as where Prometheus calls r.ParseForm: /series. */
MUST_CHECK bool param_parse_strict(struct req *r, struct urlq *q);
/* Time of key, fallback when it is absent or empty; clamped to PARAM_TIME_MIN..MAX. */
MUST_CHECK bool param_time(
    struct req *r, const struct urlq *q, const char *key, int64_t fallback, int64_t *ms);
/* Like param_time without a fallback: absence is an error. */
MUST_CHECK bool param_time_needed(struct req *r, const struct urlq *q, const char *key, int64_t *ms);
MUST_CHECK bool param_limit(struct req *r, const struct urlq *q, uint64_t *limit); /* 0 = none */
/* timeout: at most max_ms, which is also the default. */
MUST_CHECK bool param_timeout(struct req *r, const struct urlq *q, int64_t max_ms, int64_t *ms);
/* fallback_ms also for what is not more than zero. */
MUST_CHECK bool param_lookback(struct req *r, const struct urlq *q, int64_t fallback_ms, int64_t *ms);
MUST_CHECK bool param_step(struct req *r, const struct urlq *q, int64_t *ms);

/* match[]: one set of matchers for each; series that fit any of them are meant. */
struct param_matchers {
	struct matcher *items;
	size_t count;
};
struct param_sets {
	struct param_matchers *sets;
	size_t count;
};
/*
 * prefixed: errors begin with `invalid parameter "match[]": ` as /series has them. Any thread; in
 * the arena. On an error (ERR_BADDATA, ERR_TOOBIG, with its text) everything is released.
 */
MUST_CHECK enum err param_sets(struct arena *a, const struct urlq *q, const struct limits *l,
    bool prefixed, struct param_sets *out, struct errbuf *eb);
/* Are they together more than a loop may parse in one turn? */
bool param_sets_costly(const struct urlq *q);
void param_sets_release(struct param_sets *s);

#endif
