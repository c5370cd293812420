#include "proto/grpcf.h"

#include "core/base/num.h"
#include "core/base/wire.h"
#include "proto/gz.h"

#include <stdio.h>

#define TIMEOUT_DIGITS 8u

/* ---- messages ---- */

static enum grpcf_event begin(struct grpcf *f)
{
	const uint8_t *h = f->_head;
	f->packed = h[0] == 1;
	f->len = (uint32_t)h[1] << 24 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 8 | h[4];
	f->left = f->len;
	return h[0] > 1 ? GRPCF_BAD : GRPCF_BEGIN;
}

enum grpcf_event grpcf_next(
    struct grpcf *f, const uint8_t **p, const uint8_t *end, const uint8_t **piece, size_t *len)
{
	size_t have = (size_t)(end - *p);
	if (f->_have < GRPCF_HEAD_BYTES) {
		size_t want = GRPCF_HEAD_BYTES - f->_have, n = want < have ? want : have;
		if (n)
			memcpy(f->_head + f->_have, *p, n);
		*p += n;
		f->_have += (unsigned)n;
		return n < want ? GRPCF_MORE : begin(f);
	}
	if (f->_head[0] > 1)
		return GRPCF_BAD;
	if (!f->left) {
		f->_have = 0;
		return GRPCF_END;
	}
	if (!have)
		return GRPCF_MORE;
	*piece = *p;
	*len = f->left < have ? f->left : have;
	*p += *len;
	f->left -= (uint32_t)*len;
	return GRPCF_PIECE;
}

void grpcf_put_head(uint8_t out[GRPCF_HEAD_BYTES], bool packed, uint32_t len)
{
	out[0] = packed;
	out[1] = (uint8_t)(len >> 24);
	out[2] = (uint8_t)(len >> 16);
	out[3] = (uint8_t)(len >> 8);
	out[4] = (uint8_t)len;
}

#define PACK_LEAST_BYTES 1024u
#define PACK_LEVEL       1

void grpcf_put_message(struct buf *out, const void *data, size_t len, bool pack)
{
	struct gz *z;
	uint8_t head[GRPCF_HEAD_BYTES];
	if (!pack || len < PACK_LEAST_BYTES || len > GRPCF_PACK_BYTES ||
	    gz_create(GZ_GZIP, PACK_LEVEL, &z)) {
		grpcf_put_head(head, false, (uint32_t)len);
		buf_add(out, head, sizeof head);
		buf_add(out, data, len);
		return;
	}
	struct buf b;
	buf_init(&b);
	gz_push(z, data, len, &b);
	gz_finish(z, &b);
	gz_free(z);
	grpcf_put_head(head, true, (uint32_t)b.len);
	buf_add(out, head, sizeof head);
	buf_add(out, b.data, b.len);
	buf_release(&b);
}

/* ---- deadlines ---- */

/* From the finest on. */
static const struct {
	char unit;
	uint64_t ns;
} units[] = { { 'n', 1 }, { 'u', 1000 }, { 'm', 1000000 }, { 'S', UINT64_C(1000000000) },
	{ 'M', UINT64_C(60000000000) }, { 'H', UINT64_C(3600000000000) } };

enum err grpcf_timeout(const char *s, size_t len, uint64_t *ns)
{
	uint64_t n = 0;
	if (len < 2 || len > TIMEOUT_DIGITS + 1)
		return ERR_BADDATA;
	for (size_t i = 0; i + 1 < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return ERR_BADDATA;
		n = n * 10 + (uint64_t)(s[i] - '0');
	}
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (units[i].unit != s[len - 1])
			continue;
		*ns = n > UINT64_MAX / units[i].ns ? UINT64_MAX : n * units[i].ns;
		return ERR_OK;
	}
	return ERR_BADDATA;
}

size_t grpcf_put_timeout(uint64_t ns, char out[GRPCF_TIMEOUT_MAX])
{
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		uint64_t n = ns / units[i].ns + (ns % units[i].ns != 0);
		if (n < 100000000 || i + 1 == COUNT_OF(units)) {
			n = n < 100000000 ? n : 99999999;
			int len =
			    snprintf(out, GRPCF_TIMEOUT_MAX, "%u%c", (unsigned)n, units[i].unit);
			return (size_t)len;
		}
	}
	return 0;
}

/* ---- texts ---- */

void grpcf_escape(struct buf *out, const char *text, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];
		if (c >= 0x20 && c < 0x7f && c != '%')
			buf_add_u8(out, c);
		else
			buf_add(out, (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpcf_unescape(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int high = text[i] == '%' && i + 2 < len ? hex_digit(text[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
		if (low < 0) {
			buf_add(out, text + i, 1);
			continue;
		}
		buf_add_u8(out, (uint8_t)(high << 4 | low));
		i += 2;
	}
}

enum grpc_status grpcf_status(const char *s, size_t len)
{
	uint64_t n;
	if (!len || *s < '0' || *s > '9' || num_parse_u64(s, len, &n) || n >= GRPC_STATUSES)
		return GRPC_UNKNOWN;
	return (enum grpc_status)n;
}

bool grpcf_accepts(const char *list, size_t len, const char *token)
{
	size_t n = strlen(token);
	for (const char *p = list, *end = list + len; p < end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end, *from = p;
		p = comma ? comma + 1 : end;
		while (from < stop && (*from == ' ' || *from == '\t'))
			from++;
		while (stop > from && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		if ((size_t)(stop - from) == n && !memcmp(from, token, n))
			return true;
	}
	return false;
}

/* ---- statuses ---- */

const char *grpcf_status_name(enum grpc_status s)
{
	static const char *const names[GRPC_STATUSES] = { "OK", "CANCELLED", "UNKNOWN",
		"INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
		"OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
		"UNAUTHENTICATED" };
	return (unsigned)s < GRPC_STATUSES ? names[s] : "UNKNOWN";
}

enum grpc_status grpcf_of_err(enum err e)
{
	switch (e) {
	case ERR_OK:
		return GRPC_OK;
	case ERR_BADDATA:
	case ERR_MALFORMED:
	case ERR_TRUNCATED:
		return GRPC_INVALID_ARGUMENT;
	case ERR_TOOBIG:
		return GRPC_RESOURCE_EXHAUSTED;
	case ERR_EXECUTION: /* it depends on the data */
		return GRPC_FAILED_PRECONDITION;
	case ERR_UNSUPPORTED:
		return GRPC_UNIMPLEMENTED;
	case ERR_NOTFOUND:
		return GRPC_NOT_FOUND;
	case ERR_EXISTS:
		return GRPC_ALREADY_EXISTS;
	case ERR_CANCELED:
		return GRPC_CANCELLED;
	case ERR_TIMEOUT:
		return GRPC_DEADLINE_EXCEEDED;
	case ERR_BUSY: /* all of these: the same again later may go well */
	case ERR_AGAIN:
	case ERR_NOMEM:
	case ERR_NOFILES:
	case ERR_NOTREADY:
	case ERR_STOPPING:
	case ERR_NOSPACE:
	case ERR_READONLY:
	case ERR_LOGFAILED:
		return GRPC_UNAVAILABLE;
	case ERR_DAMAGED:
		return GRPC_DATA_LOSS;
	case ERR_BUG:
	case ERR_IO:
	case ERR_SYNC:
	case ERR_LOCKED:
	case ERR_ACCESS:
		return GRPC_INTERNAL;
	}
	return GRPC_UNKNOWN;
}

/*
 *   Status {1 code  2 message  3 Any details*}   Any {1 type_url  2 value}
 *   RetryInfo {1 Duration {1 seconds}}
 */
void grpcf_put_retry(
    struct buf *out, enum grpc_status s, const char *text, size_t len, uint64_t retry_s)
{
	static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
	struct buf duration, any, status;
	buf_init(&duration);
	buf_init(&any);
	buf_init(&status);
	buf_add_u8(&duration, 1 << 3);
	wire_put_varint(&duration, retry_s);
	buf_add_u8(&any, 1 << 3 | 2);
	wire_put_lenbytes(&any, type, sizeof type - 1);
	buf_add_u8(&any, 2 << 3 | 2);
	wire_put_varint(&any, duration.len + 1 + wire_varint_len(duration.len));
	buf_add_u8(&any, 1 << 3 | 2);
	wire_put_lenbytes(&any, duration.data, duration.len);
	buf_add_u8(&status, 1 << 3);
	wire_put_varint(&status, (uint64_t)s);
	buf_add_u8(&status, 2 << 3 | 2);
	wire_put_lenbytes(&status, text, len);
	buf_add_u8(&status, 3 << 3 | 2);
	wire_put_lenbytes(&status, any.data, any.len);
	wire_put_base64(out, status.data, status.len, false);
	buf_release(&duration);
	buf_release(&any);
	buf_release(&status);
}

enum grpc_status grpcf_of_refusal(int status)
{
	switch (status) {
	case 400:
	case 415:
	case 422:
		return GRPC_INVALID_ARGUMENT;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
	case 405:
	case 501:
		return GRPC_UNIMPLEMENTED;
	case 408:
	case 504:
		return GRPC_DEADLINE_EXCEEDED;
	case 413:
	case 429:
	case 431:
		return GRPC_RESOURCE_EXHAUSTED;
	case 499:
		return GRPC_CANCELLED;
	case 502:
	case 503:
		return GRPC_UNAVAILABLE;
	default:
		return status >= 500 ? GRPC_INTERNAL : GRPC_UNKNOWN;
	}
}

enum grpc_status grpcf_of_http(int status)
{
	switch (status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

enum grpc_status grpcf_of_reset(uint32_t h2_code)
{
	switch (h2_code) { /* RFC 9113, 7 */
	case 0x7:          /* REFUSED_STREAM */
		return GRPC_UNAVAILABLE;
	case 0x8: /* CANCEL */
		return GRPC_CANCELLED;
	case 0xb: /* ENHANCE_YOUR_CALM */
		return GRPC_RESOURCE_EXHAUSTED;
	case 0xc: /* INADEQUATE_SECURITY */
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_INTERNAL;
	}
}
