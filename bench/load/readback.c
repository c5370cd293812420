#include "bench/load/readback.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

#define EXPR_MAX  1500u
#define AGAIN_US  200000u
#define TEXT_KEPT 200

static void escape(char *out, size_t cap, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;
	for (; *s && n + 4 < cap; s++) {
		unsigned char c = (unsigned char)*s;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    c == '_' || c == '.') {
			out[n++] = (char)c;
		} else {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		}
	}
	out[n] = 0;
}

enum err readback_ask(struct httpc *h, const struct kind *k, const char *expr, int64_t at_ms,
    struct answer *out, struct errbuf *eb)
{
	char escaped[3 * EXPR_MAX + 8], path[3 * EXPR_MAX + 300];
	size_t off = 0;
	escape(escaped, sizeof(escaped), expr);
	snprintf(path, sizeof(path), "/api/v1/query?query=%s&time=%lld.%03d%s%s", escaped,
	    (long long)(at_ms / 1000), (int)(at_ms % 1000), *k->extra ? "&" : "", k->extra);
	int status = httpc_do(h, "GET", path, "", NULL, 0, &off);
	if (status < 0)
		return errbuf_set(eb, ERR_IO, "%s: no answer (%s)", expr, strerror(errno));
	const char *text = (const char *)h->in.data + off;
	size_t len = h->in.len - off;
	int kept = (int)(len < TEXT_KEPT ? len : TEXT_KEPT);
	if (status != 200)
		return errbuf_set(eb, ERR_BADDATA, "%s: %d %.*s", expr, status, kept, text);
	if (answer_parse(text, len, out))
		return errbuf_set(eb, ERR_BADDATA, "%s: no answer of Prometheus' HTTP API: %.*s",
		    expr, kept, text);
	return ERR_OK;
}

void readback_flush(struct httpc *h, const struct kind *k)
{
	size_t off;
	if (k->flush)
		(void)httpc_do(h, "GET", k->flush, "", NULL, 0, &off);
}

struct asking {
	const struct readback *r;
	struct httpc http;
	struct readback_counts *out;
	struct errbuf *eb;
	enum err err;
	int64_t window_ms;
};

/* A number; no series is 0. */
static double number(struct asking *a, const char *expr, int64_t at_ms)
{
	struct answer got;
	if (a->err)
		return 0;
	a->err = readback_ask(&a->http, a->r->kind, expr, at_ms, &got, a->eb);
	if (a->err)
		return 0;
	double v = got.count && got.series[0].count ? got.series[0].points[0].v : 0;
	answer_release(&got);
	return v;
}

/* The samples of (at - window, at]. */
static void ask_window(
    struct asking *a, const char *matchers, bool hist, int64_t at_ms, int64_t span_ms)
{
	char expr[EXPR_MAX];
	snprintf(
	    expr, sizeof(expr), "sum(count_over_time({%s}[%lldms]))", matchers, (long long)span_ms);
	a->out->samples += (uint64_t)number(a, expr, at_ms);
	if (hist)
		return;
	snprintf(
	    expr, sizeof(expr), "sum(sum_over_time({%s}[%lldms]))", matchers, (long long)span_ms);
	a->out->sum += number(a, expr, at_ms);
}

static void ask_name(void *arg, const char *name, size_t len, bool hist)
{
	struct asking *a = arg;
	const struct readback *r = a->r;
	char matchers[EXPR_MAX / 2];
	snprintf(matchers, sizeof(matchers), "__name__=\"%.*s\",%s", (int)len, name,
	    loadgen_selector(r->gen));
	for (int64_t at = r->last_ms; at >= r->first_ms && !a->err; at -= a->window_ms) {
		int64_t all = at - r->first_ms + 1;
		ask_window(a, matchers, hist, at, all < a->window_ms ? all : a->window_ms);
	}
}

/* The names that the server knows, for a workload whose names change. */
static void ask_names_there(struct asking *a)
{
	const struct readback *r = a->r;
	char escaped[EXPR_MAX], path[EXPR_MAX + 200], expr[EXPR_MAX / 3];
	size_t off = 0;
	struct buf names;
	snprintf(expr, sizeof(expr), "{%s}", loadgen_selector(r->gen));
	escape(escaped, sizeof(escaped), expr);
	snprintf(path, sizeof(path),
	    "/api/v1/label/__name__/values?match%%5B%%5D=%s&start=%lld&end=%lld", escaped,
	    (long long)(r->first_ms / 1000), (long long)(r->last_ms / 1000 + 1));
	int status = httpc_do(&a->http, "GET", path, "", NULL, 0, &off);
	if (status != 200) {
		a->err = errbuf_set(a->eb, ERR_BADDATA, "names of metrics: status %d", status);
		return;
	}
	buf_init(&names);
	buf_add(&names, a->http.in.data + off, a->http.in.len - off);
	buf_add_u8(&names, 0);
	/* Names have no escapes: each stands between two quotes, behind the opening bracket. */
	char *p = strchr((char *)names.data, '[');
	for (char *end; p && (p = strchr(p, '"')) != NULL; p = end + 1) {
		end = strchr(++p, '"');
		if (!end)
			break;
		ask_name(a, p, (size_t)(end - p), true);
	}
	buf_release(&names);
}

static void count_name(void *arg, const char *name, size_t len, bool hist)
{
	(void)name, (void)len, (void)hist;
	++*(size_t *)arg;
}

static enum err ask_all(const struct readback *r, struct readback_counts *out, struct errbuf *eb)
{
	size_t names = 0;
	struct asking a = { .r = r, .out = out, .eb = eb };
	*out = (struct readback_counts){ .summed = true };
	loadgen_names(r->gen, count_name, &names);
	/* Rounds whose samples of an ordinary name are few enough. */
	double round = (double)loadgen_series(r->gen) / (double)(names ? names : 1) * 8;
	double rounds = fmax(1, floor(READBACK_MOST / round));
	double span = (double)(r->last_ms - r->first_ms + 1);
	a.window_ms = (int64_t)fmax(1, ceil(span * fmin(1, rounds / (double)r->rounds)));
	httpc_init(&a.http, r->url);
	if (loadgen_names_stay(r->gen)) {
		loadgen_names(r->gen, ask_name, &a);
	} else {
		out->summed = false;
		ask_names_there(&a);
	}
	httpc_release(&a.http);
	return a.err;
}

enum err readback_count(const struct readback *r, struct readback_counts *out, struct errbuf *eb)
{
	uint64_t begin = clock_real_mono_ns();
	struct httpc http;
	for (;;) {
		httpc_init(&http, r->url);
		readback_flush(&http, r->kind);
		httpc_release(&http);
		enum err e = ask_all(r, out, eb);
		double waited = (double)(clock_real_mono_ns() - begin) / 1e9;
		if (e || out->samples >= r->want || waited > r->settle_s || !r->kind->flush)
			return e;
		usleep(AGAIN_US);
	}
}
