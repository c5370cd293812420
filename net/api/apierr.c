#include "net/api/apierr.h"

#include "core/base/hash.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/api/api.h"
#include "net/grpc/gsrv.h"
#include "proto/promjson.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define SIZE_TEXT_MAX 32u
#define GIB           (UINT64_C(1) << 30)

#define RETRY_LEAST_S    1u
#define RETRY_MOST_S     60u
#define RETRY_DOUBLINGS  3u
#define STARTING_RETRY_S 5u

/* clang-format off */
static const struct apierr_row rows[] = {
	/* code             errorType      JSON  word                 write  Retry-After */
	{ ERR_BADDATA,      "bad_data",     400, "bad_request",         400,  0 },
	{ ERR_MALFORMED,    "bad_data",     400, "bad_protobuf",        400,  0 },
	{ ERR_TOOBIG,       "execution",    422, "too_many",            400,  0 },
	{ ERR_EXECUTION,    "execution",    422, "internal",            500,  0 },
	{ ERR_UNSUPPORTED,  "execution",    422, "unsupported",         400,  0 },
	{ ERR_CANCELED,     "canceled",     499, "canceled",            503,  1 },
	{ ERR_TIMEOUT,      "timeout",      503, "overloaded",          503,  2 },
	{ ERR_BUSY,         "unavailable",  503, "overloaded",          503,  2 },
	{ ERR_NOMEM,        "unavailable",  503, "overloaded",          503,  2 },
	{ ERR_NOFILES,      "unavailable",  503, "overloaded",          503,  2 },
	{ ERR_NOTREADY,     "unavailable",  503, "Service Unavailable", 503,  5 },
	{ ERR_STOPPING,     "unavailable",  503, "Service Unavailable", 503,  5 },
	{ ERR_NOSPACE,      "internal",     500, "disk_full",           503, 30 },
	{ ERR_LOGFAILED,    "internal",     500, "log_failed",          503,  5 },
	{ ERR_SYNC,         "internal",     500, "log_failed",          503,  5 },
	{ ERR_READONLY,     "internal",     500, "read_only",           503, 60 },
	{ ERR_IO,           "internal",     500, "disk_failed",         503,  5 },
	{ ERR_ACCESS,       "internal",     500, "disk_failed",         503, 60 },
};
static const struct apierr_row row_internal =
	{ ERR_BUG,          "internal",     500, "internal",            500,  0 };
/* clang-format on */

const struct apierr_row *apierr_row(enum err e)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (rows[i].err == e)
			return &rows[i];
	return &row_internal;
}

void apierr_json(struct req *r, enum err e, const char *text, size_t len)
{
	const struct apierr_row *row = apierr_row(e);
	struct buf b;
	if (r->route && (r->route->flags & ROUTE_SPOKEN) && gsrv_fail(r, grpcf_of_err(e), text, len))
		return;
	buf_init(&b);
	if (row->status == 503 && e != ERR_TIMEOUT)
		req_answer_field(r, "retry-after", "%u", 1 + (unsigned)(r->start_ns / 1000 % 5));
	if (r->route && !(r->route->flags & ROUTE_JSON)) {
		buf_add(&b, text, len);
		buf_add_u8(&b, '\n');
		req_reply_buf(r, row->status, "text/plain; charset=utf-8", &b);
		return;
	}
	promjson_error(&b, row->type, text, len);
	req_reply_buf(r, row->status, "application/json", &b);
}

void apierr_jsonf(struct req *r, enum err e, const char *fmt, ...)
{
	char text[ERRBUF_SIZE];
	va_list ap;
	va_start(ap, fmt);
	size_t len = rune_vprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	apierr_json(r, e, text, len);
}

void apierr_param(struct req *r, const char *name, const char *reason)
{
	apierr_jsonf(r, ERR_BADDATA, "invalid parameter \"%s\": %s", name, reason);
}

uint32_t apierr_backoff_s(uint32_t base_s, uint64_t attempt, uint64_t rnd)
{
	uint32_t base = base_s < RETRY_LEAST_S ? RETRY_LEAST_S
	    : base_s > RETRY_MOST_S            ? RETRY_MOST_S
	                                       : base_s;
	base <<= attempt < RETRY_DOUBLINGS ? attempt : RETRY_DOUBLINGS;
	uint32_t s = base / 2 + (uint32_t)(rnd % (base + 1)); /* half of it to one and a half */
	return s < RETRY_LEAST_S ? RETRY_LEAST_S : s > RETRY_MOST_S ? RETRY_MOST_S : s;
}

uint32_t apierr_retry_s(const struct req *r, uint32_t base_s)
{
	size_t len;
	const char *attempt = req_header(r, "retry-attempt", &len);
	uint64_t n = 0;
	if (!attempt || num_parse_u64(attempt, len, &n))
		n = 0;
	return apierr_backoff_s(base_s, n, hash_mix64(r->start_ns ^ (uintptr_t)r));
}

void apierr_unavailable(struct req *r, bool stopping)
{
	static const char text[] = "Service Unavailable";
	req_answer_field(r, "x-prometheus-stopping", "%s", stopping ? "true" : "false");
	req_answer_field(r, "retry-after", "%u", STARTING_RETRY_S);
	req_reply(r, 503, "text/plain; charset=utf-8", text, sizeof(text) - 1, REQ_BORROW);
}

/* As flags have sizes: GiB where they are whole, MiB, or GiB with a tenth where there are many. */
static void size_text(uint64_t bytes, char out[SIZE_TEXT_MAX])
{
	uint64_t tenths = bytes / (GIB / 10);
	if (bytes && bytes % GIB == 0)
		snprintf(out, SIZE_TEXT_MAX, "%" PRIu64 "GiB", bytes / GIB);
	else if (bytes < 10 * GIB)
		snprintf(out, SIZE_TEXT_MAX, "%" PRIu64 "MiB", bytes >> 20);
	else
		snprintf(out, SIZE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 "GiB", tenths / 10, tenths % 10);
}

/* The floor refuses long before the disk is full; the operator must see which of the two it is. */
static void no_space(const struct req *r, char *out, size_t size)
{
	uint64_t free_bytes = metric_sum(M_DISK_FREE_BYTES), floor = metric_sum(M_DISK_FLOOR_BYTES);
	char is[SIZE_TEXT_MAX], least[SIZE_TEXT_MAX], again[SIZE_TEXT_MAX];
	const char *dir = api_of(r)->opts.data_dir;
	if (!floor || free_bytes >= floor + floor / 4) {
		snprintf(out, size, "the disk is full, nothing can be written");
		return;
	}
	size_text(free_bytes, is);
	size_text(floor, least);
	size_text(floor + floor / 4, again);
	snprintf(out, size,
	    "%s are free, %s --storage.min-free %s in %s: writes are taken again above %s", is,
	    free_bytes < floor ? "below" : "still near", least, dir ? dir : "the data directory",
	    again);
}

static const char *write_sentence(enum err e)
{
	switch ((int)e) {
	case ERR_BUSY:
	case ERR_NOMEM:
	case ERR_NOFILES:
	case ERR_TIMEOUT:
		return "the server has more to do than it can, send it again later";
	case ERR_LOGFAILED:
	case ERR_SYNC:
		return "the log could not be synced, nothing of this request is acknowledged";
	case ERR_IO:
	case ERR_ACCESS:
		return "the disk cannot be read or written now, send it again later";
	case ERR_READONLY:
		return "the server does not accept writes now";
	default:
		return err_text(e);
	}
}

void apierr_write_text(const struct req *r, enum err e, char *out, size_t size)
{
	if (e == ERR_NOSPACE)
		no_space(r, out, size);
	else
		snprintf(out, size, "%s", write_sentence(e));
}

void apierr_write(struct req *r, enum err e, uint32_t retry_after_s)
{
	apierr_write_why(r, e, retry_after_s, NULL);
}

int apierr_write_status(struct req *r, enum err e, uint32_t retry_after_s)
{
	const struct apierr_row *row = apierr_row(e);
	uint32_t base = retry_after_s ? retry_after_s : row->retry_after_s;
	if (e == ERR_NOTREADY || e == ERR_STOPPING)
		req_answer_field(
		    r, "x-prometheus-stopping", "%s", e == ERR_STOPPING ? "true" : "false");
	if (base && (e == ERR_BUSY || e == ERR_NOMEM || e == ERR_NOFILES))
		base = apierr_retry_s(r, base);
	if (base)
		req_answer_field(r, "retry-after", "%u", base);
	return row->write_status;
}

void apierr_write_why(struct req *r, enum err e, uint32_t retry_after_s, const char *why)
{
	if (e == ERR_NOTREADY || e == ERR_STOPPING) {
		apierr_unavailable(r, e == ERR_STOPPING);
		return;
	}
	int status = apierr_write_status(r, e, retry_after_s);
	char text[ERRBUF_SIZE];
	apierr_write_text(r, e, text, sizeof(text));
	const bool own = why && why[0] && e != ERR_NOSPACE;
	req_refuse(r, status, apierr_row(e)->word, "%s", own ? why : text);
}
