/*
 * accesslog - a line for each request, by choice (--log.access-file): who asked what, how it was
 * answered, how long it took.
 *
 *   logfmt    ts=... method=GET path="/api/v1/query" query="query=up" proto=1.1 status=200 in=0
 *             out=123 ms=1.234 tenant="acme" identity="grafana" peer="10.0.0.1:40312"
 *             agent="Grafana/11" trace="4bf92f3577b34da6a3ce929d0e0e4736"
 *   json      {"ts":"...","method":"GET",...}: the same names; numbers are numbers
 *   combined  10.0.0.1 - grafana [29/Nov/2026:08:12:18 +0000] "GET /api/v1/query?query=up HTTP/1.1"
 *             200 123 "referer" "Grafana/11": as Apache and nginx have it
 * in, out: bytes of the bodies as they went over the line, packed or not, without TLS. peer: the
 * client, also behind trusted proxies. trace: of a traceparent (W3C), or X-Request-Id. tenant: a|b
 * of several; it and identity are left out when they are not known. gone=true: the client left
 * before the end; one that was never answered has the status 499. A head that cannot be read has
 * method=OTHER and no path; one that is too large no line.
 *
 * Secrets stand in headers and bodies, which are not shown; parameters of a query, of the
 * referer's, too, that may hold one (p, password, token, api_key, secret, ...) are shown as "***".
 * Queries are cut after ACCESSLOG_QUERY_BYTES. Nothing of a client ends a line or steers a
 * terminal. With a sample of N one of N requests of each loop is shown, with a least duration those
 * that took longer; answers of 500 and more always are.
 *
 * Thread: the loop of the request. Nobody waits for the file (core/base/linefile.h).
 */
#ifndef NET_API_ACCESSLOG_H
#define NET_API_ACCESSLOG_H

#include "core/base/buf.h"
#include "net/http/req.h"

#define ACCESSLOG_QUERY_BYTES 1024u

enum accesslog_form {
	ACCESSLOG_LOGFMT,
	ACCESSLOG_JSON,
	ACCESSLOG_COMBINED
};
struct accesslog_conf {
	enum accesslog_form form;
	uint64_t sample; /* one of so many; 0 and 1: all */
	uint64_t min_ms;
};
/* For srv_opts.told. */
void accesslog_told(struct req *r, const struct req_told *t);
/* The line, with its end; tenants: "acme|beta", "" = not known. */
void accesslog_line(struct buf *out, const struct req *r, const struct req_told *t,
    enum accesslog_form form, const char *tenants, int64_t now_ms);
/* The raw query without secrets, cut. */
void accesslog_query(struct buf *out, const char *query, size_t len);

#endif
