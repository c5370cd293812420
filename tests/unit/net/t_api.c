#include "core/base/rune.h"
#include "tests/lib/fakereq.h"
#include "tests/lib/memsrc.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <pthread.h>

#include "core/model/label.h"
#include "core/promql/ql.h"
#include "net/api/strangers.h"

static struct testteam tt;
static struct api *api;
static struct memsrc *src;

static void answers(const char *url, int status, const char *want)
{
	struct fakereq f;
	fakereq_get(&f, &tt, api, url);
	tap_ok(f.status == status, "%d for %s (%d)", status, url, f.status);
	tap_is_str(fakereq_text(&f), want, "with its body");
	fakereq_end(&f);
}
#define BAD(text)  "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"" text "\"}"
#define GOOD(data) "{\"status\":\"success\",\"data\":" data "}"

#define OVER(text) "{\"status\":\"error\",\"errorType\":\"execution\",\"error\":\"" text "\"}"

/* head, then part n times; the answer is 422. */
static void refused(const char *head, const char *part, unsigned n, const char *tail, const char *want)
{
	struct buf b;

	buf_init(&b);
	buf_add_str(&b, head);
	for (unsigned i = 0; i < n; i++)
		buf_add_str(&b, part);
	buf_add_str(&b, tail);
	buf_add_u8(&b, 0);
	struct fakereq f;
	fakereq_get(&f, &tt, api, (const char *)b.data);
	tap_ok(f.status == 422, "422 for %u times %s (%d)", n, part, f.status);
	tap_is_str(fakereq_text(&f), want, "with its body");
	fakereq_end(&f);
	buf_release(&b);
}

static void selectors_are_bounded(void)
{
	static const char *const heads[] = { "/api/v1/query?query={", "/api/v1/format_query?query={",
		"/api/v1/parse_query?query={", "/api/v1/series?match[]={",
		"/api/v1/labels?match[]={", "/api/v1/label/x/values?match[]={",
		"/api/v1/query_exemplars?start=0&end=1&query={" };

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		refused(heads[i], "a=\"x\",", 65, "}",
		    OVER("selector has 65 label matchers, limit 64 (--query.max-matchers)"));
		refused(heads[i], "a=~\"xy?\",", 2000, "}",
		    OVER("selector has 2000 label matchers, limit 64 (--query.max-matchers)"));
	}
	refused("/api/v1/series?start=0", "&match[]=up", 257, "",
	    OVER("request has 257 selectors, limit 256 (--query.max-selectors)"));
	refused("/api/v1/query?query=x", "%2Bx", 300, "",
	    OVER("request has 301 selectors, limit 256 (--query.max-selectors)"));
	refused("/api/v1/labels?limit=1",
	    "&match[]={a=~\"xy?\",a=~\"x?\",a=~\"x?\",a=~\"x?\",a=~\"x?\"}", 250, "",
	    OVER("request has label patterns of 65600 bytes that need the regular expression engine, limit 65,536 bytes (--query.max-pattern-bytes) (each counts as at least 64)"));
}

static void form_gives(const char *url, char *form, int status, const char *has)
{
	struct fakereq f;

	fakereq_post_form(&f, &tt, api, url, form);
	tap_ok(f.status == status && strstr(fakereq_text(&f), has),
	    "%d for %s with %zu bytes: %.150s", status, url, strlen(form), fakereq_text(&f));
	fakereq_end(&f);
	mem_free(form);
}

/* What is costly to parse is parsed by a worker, and answered all the same. */
static void large_texts(void)
{
	static const char *const names =
	    "kube-apiserver-control-plane-1|kube-apiserver-control-plane-2|";

	form_gives("/api/v1/query", testlib_repeated("query=1", "%2B1", 4999, ""), 200, "\"5000\"");
	form_gives(
	    "/api/v1/query", testlib_repeated("query=sum(up)", "%2B 1", 9999, ""), 200, "result");
	form_gives("/api/v1/query", testlib_repeated("query=1", "%2B1", 10000, ""), 400,
	    "chain of too many operands, limit 10,000 (--query.max-chain)");
	form_gives("/api/v1/query", testlib_repeated("query=1", "   ", 400000, ""), 400,
	    "limit 1,048,576 bytes (--query.max-text)");
	form_gives("/api/v1/query",
	    testlib_repeated("time=100&query=sum(up{job=~\"", names, 16000, "a\"})"), 200,
	    "[100,\"10\"]");
	form_gives("/api/v1/series", testlib_repeated("match[]={job=~\"", names, 1000, "a\"}"), 200,
	    "\"job\":\"a\"");
	form_gives("/api/v1/labels", testlib_repeated("match[]={job=~\"", names, 1000, "a"), 400,
	    "parse error");
	form_gives("/api/v1/format_query", testlib_repeated("query=1", "%2B1", 4999, ""), 200,
	    "\\n+\\n  1\"");
	form_gives("/api/v1/format_query", testlib_repeated("query=1", "%2B1", 4999, "%2B"), 400,
	    "parse error");
	form_gives("/api/v1/parse_query", testlib_repeated("query=1", "%2B1", 4999, ""), 200,
	    "binaryExpr");
	form_gives("/api/v1/query_exemplars",
	    testlib_repeated("start=0&end=1&query=1", "%2B1", 4999, ""), 204, "");
	char *form = testlib_repeated("query=1", "%2B1", 9999, "");
	struct fakereq f;
	fakereq_init(&f, &tt, api);
	fakereq_field(&f, "content-type", "application/x-www-form-urlencoded");
	fakereq_begin(&f, REQ_POST, "/api/v1/query", form, strlen(form));
	fakereq_leave(&f);
	fakereq_wait(&f);
	tap_ok(f.done, "a client that leaves meanwhile ends it (%d)", f.status);
	fakereq_end(&f);
	mem_free(form);
}

static void parameters_of_ranges(void)
{
	static const char rest[] = "&end=20&step=5";
	char url[200];
	snprintf(url, sizeof(url), "/api/v1/query_range?limit=-1&start=x%s", rest);
	answers(url, 400, BAD("invalid parameter \\\"limit\\\": limit must be non-negative"));
	answers("/api/v1/query_range?limit=a", 400,
	    BAD("invalid parameter \\\"limit\\\": strconv.Atoi: parsing \\\"a\\\": invalid syntax"));
	answers("/api/v1/query_range?end=20&step=5", 400,
	    BAD("invalid parameter \\\"start\\\": cannot parse \\\"\\\" to a valid timestamp"));
	answers("/api/v1/query_range?start=1&end=now&step=0", 400,
	    BAD("invalid parameter \\\"end\\\": cannot parse \\\"now\\\" to a valid timestamp"));
	answers("/api/v1/query_range?start=30&end=20&step=x", 400,
	    BAD("invalid parameter \\\"end\\\": end timestamp must not be before start time"));
	answers("/api/v1/query_range?start=10&end=20&step=x", 400,
	    BAD("invalid parameter \\\"step\\\": cannot parse \\\"x\\\" to a valid duration"));
	answers("/api/v1/query_range?start=10&end=20&step=0", 400,
	    BAD("invalid parameter \\\"step\\\": zero or negative query resolution step widths are not accepted. Try a positive integer"));
	answers("/api/v1/query_range?start=0&end=11001&step=1&timeout=x", 400,
	    BAD("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"));
	answers("/api/v1/query_range?start=0&end=11000&step=1&timeout=x", 400,
	    BAD("invalid parameter \\\"timeout\\\": cannot parse \\\"x\\\" to a valid duration"));
	answers("/api/v1/query_range?start=0&end=1&step=1&lookback_delta=x", 400,
	    BAD("error parsing lookback delta duration: cannot parse \\\"x\\\" to a valid duration"));
	answers("/api/v1/query_range?start=0&end=1&step=1&query=up[5m]", 400,
	    BAD("invalid parameter \\\"query\\\": invalid expression type \\\"range vector\\\" for range query, must be Scalar or instant Vector"));
	answers("/api/v1/query_range?start=0&end=1&step=1&query=sum(", 400,
	    BAD("invalid parameter \\\"query\\\": 1:5: parse error: unclosed left parenthesis"));
}

/* Whatever the length, what an error repeats is UTF-8: of values, expressions, selectors, names. */
static void errors_are_utf8(void)
{
	static const char *const urls[] = { "/api/v1/query?query=1&time=",
		"/api/v1/query?query=%7Ba%3D~%22(",
		"/api/v1/query?query=1&stats=x&timeout=", "/api/v1/query?query=sum%20",
		"/api/v1/series?match[]=%22",
		"/api/v1/query?query=label_replace(up,%22a%22,%22%22,%22%22,%22(" };
	static char url[16000];
	bool valid = true;
	for (size_t i = 0; i < COUNT_OF(urls) * 6; i++) {
		size_t n = (size_t)snprintf(
		    url, sizeof(url), "%s%.*s", urls[i / 6], (int)(i % 6), "pppppp");
		for (int k = 0; k < 700; k++)
			n += (size_t)snprintf(url + n, sizeof(url) - n, "%%E6%%97%%A5");
		snprintf(url + n, sizeof(url) - n,
		    strchr(urls[i / 6], '{') || strstr(urls[i / 6], "%22(") ? "%%22)%%7D" : "");
		struct fakereq f = { 0 };
		fakereq_get(&f, &tt, api, url);
		const char *s = fakereq_text(&f);
		valid = valid && f.status == 400 && rune_valid(s, strlen(s)) &&
		    !strstr(s, "\xef\xbf\xbd") && !strstr(s, "fffd");
		fakereq_end(&f);
	}
	tap_ok(valid, "what errors repeat is cut between characters");
}

static void parameters_of_instants(void)
{
	answers("/api/v1/query?query=1&time=x", 400,
	    BAD("invalid parameter \\\"time\\\": cannot parse \\\"x\\\" to a valid timestamp"));
	answers("/api/v1/query?query=1&time=x&limit=-1", 400,
	    BAD("invalid parameter \\\"limit\\\": limit must be non-negative"));
	answers("/api/v1/query?query=1&timeout=0", 503,
	    "{\"status\":\"error\",\"errorType\":\"timeout\",\"error\":\"query timed out in query execution\"}");
	answers("/api/v1/format_query?query=sum(up)by(job)", 200, GOOD("\"sum by (job) (up)\""));
	answers("/api/v1/parse_query?query=-sum%20by(a)(rate(x{b=~\"c\"}[5m]%20offset%201m))%20*%202",
	    200,
	    GOOD("{\"bool\":false,\"lhs\":{\"expr\":{\"expr\":{\"args\":[{\"anchored\":false,\"matchers\":[{\"name\":\"b\",\"type\":\"=~\",\"value\":\"c\"},{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"x\"}],\"name\":\"x\",\"offset\":60000,\"offsetExpr\":null,\"range\":300000,\"rangeExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"matrixSelector\"}],\"func\":{\"argTypes\":[\"matrix\"],\"name\":\"rate\",\"returnType\":\"vector\",\"variadic\":0},\"type\":\"call\"},\"grouping\":[\"a\"],\"op\":\"sum\",\"param\":null,\"type\":\"aggregation\",\"without\":false},\"op\":\"-\",\"type\":\"unaryExpr\"},\"matching\":null,\"op\":\"*\",\"rhs\":{\"type\":\"numberLiteral\",\"val\":\"2\"},\"type\":\"binaryExpr\"}"));
	answers("/api/v1/parse_query?query=a%20and%20on(b)%20c[5m:]", 400,
	    BAD("invalid parameter \\\"query\\\": 1:13: parse error: binary expression must contain only scalar and instant vector types"));
	answers("/api/v1/parse_query?check=1&query=a%20and%20on(b)%20c[5m:]", 200,
	    GOOD("{\"error\":\"1:13: parse error: binary expression must contain only scalar and instant vector types\"}"));
	answers("/api/v1/parse_query?check=1&query=rate(a[5m])", 200, GOOD("{}"));
	answers("/api/v1/parse_query?check=0&query=a(", 400,
	    BAD("invalid parameter \\\"query\\\": 1:3: parse error: unclosed left parenthesis"));
	/* signs and parentheses of durations */
	answers("/api/v1/parse_query?query=x[(5m)]%20offset%20-(5m)", 200,
	    GOOD("{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"x\"}],\"name\":\"x\",\"offset\":0,\"offsetExpr\":{\"lhs\":null,\"op\":\"-\",\"rhs\":{\"lhs\":null,\"op\":\"+\",\"rhs\":{\"duration\":true,\"type\":\"numberLiteral\",\"val\":\"300\"},\"type\":\"durationExpr\",\"wrapped\":true},\"type\":\"durationExpr\",\"wrapped\":false},\"range\":0,\"rangeExpr\":{\"lhs\":null,\"op\":\"+\",\"rhs\":{\"duration\":true,\"type\":\"numberLiteral\",\"val\":\"300\"},\"type\":\"durationExpr\",\"wrapped\":true},\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"matrixSelector\"}"));
	answers("/api/v1/parse_query?query=x%20offset%20%2Bstep()", 200,
	    GOOD("{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"x\"}],\"name\":\"x\",\"offset\":0,\"offsetExpr\":{\"lhs\":null,\"op\":\"+\",\"rhs\":{\"lhs\":null,\"op\":\"step\",\"rhs\":null,\"type\":\"durationExpr\",\"wrapped\":false},\"type\":\"durationExpr\",\"wrapped\":false},\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"}"));
	answers("/api/v1/parse_query?query=x[1h:-step()%20%2B%205m]%20offset%20%2B(-5m)", 200,
	    GOOD("{\"expr\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"x\"}],\"name\":\"x\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"offset\":0,\"offsetExpr\":{\"lhs\":null,\"op\":\"+\",\"rhs\":{\"duration\":true,\"type\":\"numberLiteral\",\"val\":\"-300\"},\"type\":\"durationExpr\",\"wrapped\":true},\"range\":3600000,\"rangeExpr\":null,\"startOrEnd\":null,\"step\":0,\"stepExpr\":{\"lhs\":{\"lhs\":null,\"op\":\"-\",\"rhs\":{\"lhs\":null,\"op\":\"step\",\"rhs\":null,\"type\":\"durationExpr\",\"wrapped\":false},\"type\":\"durationExpr\",\"wrapped\":false},\"op\":\"+\",\"rhs\":{\"duration\":true,\"type\":\"numberLiteral\",\"val\":\"300\"},\"type\":\"durationExpr\",\"wrapped\":false},\"timestamp\":null,\"type\":\"subquery\"}"));
	answers("/api/v1/query_exemplars?query=test&start=1e15&end=2e15", 200, GOOD("[]"));
	answers("/api/v1/query_exemplars?query=1%2B1", 204, "");
	answers("/api/v1/query_exemplars?query=(", 400,
	    BAD("1:2: parse error: unclosed left parenthesis"));
	answers("/api/v1/series", 400, BAD("no match[] parameter provided"));
	answers("/api/v1/series?match[]={}", 400,
	    BAD("invalid parameter \\\"match[]\\\": match[] must contain at least one non-empty matcher"));
	answers("/api/v1/labels?match[]={a=\"\"}", 400,
	    BAD("match[] must contain at least one non-empty matcher"));
	answers("/api/v1/labels?limit=-3", 400,
	    BAD("invalid parameter \\\"limit\\\": limit must be non-negative"));
	answers("/api/v1/label/a%ff/values", 400, BAD("invalid label name: \\\"a\\\\xff\\\""));
	answers("/api/v1/metadata?limit=x", 400, BAD("limit must be a number"));
	answers("/api/v1/status/tsdb?limit=0", 400, BAD("limit must be a positive number"));
	answers("/api/v1/status/tsdb?limit=10001", 400, BAD("limit must not exceed 10000"));
	answers("/api/v1/cardinality?limit=101", 400, BAD("limit must be a number from 1 to 100"));
	answers("/api/v1/cardinality/label_names?limit=0", 400,
	    BAD("limit must be a number from 1 to 500"));
	answers("/api/v1/cardinality/label_values", 400, BAD("no label_names[] parameter provided"));
	answers("/api/v1/cardinality/active_series", 400, BAD("no selector parameter provided"));
}

/* --- where parameters come from: as Go's r.Form has them, each line tried there --- */

#define FORM  "application/x-www-form-urlencoded"
#define MULTI "multipart/form-data; boundary=B"
#define PART(name, value)                                                                          \
 "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define LAST      "--B--\r\n"
#define NUMBER(n) GOOD("{\"resultType\":\"scalar\",\"result\":[1,\"" n "\"]}")

static void form(enum req_method method, const char *url, const char *type, const char *body,
    int status, const char *want)
{
	struct fakereq f;
	fakereq_init(&f, &tt, api);
	if (type)
		fakereq_field(&f, "content-type", type);
	fakereq_run(&f, method, url, body, strlen(body));
	tap_ok(f.status == status, "%d for %s with %s (%d)", status, url, type ? type : "no type",
	    f.status);
	tap_is_str(fakereq_text(&f), want, "with its body");
	fakereq_end(&f);
}

static void parameters_of_bodies(void)
{
	form(REQ_POST, "/api/v1/query?query=2&time=1", FORM, "query=3", 200, NUMBER("3"));
	form(REQ_POST, "/api/v1/query?query=2&time=1", FORM "; charset=utf-8", "query=3", 200,
	    NUMBER("3"));
	form(REQ_GET, "/api/v1/query?query=2&time=1", FORM, "query=3", 200, NUMBER("2"));
	form(REQ_GET, "/api/v1/query_range?query=2&start=1&end=1&step=1", FORM,
	    "query=3&start=x&limit=x", 200,
	    GOOD("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1,\"2\"]]}]}"));
	form(REQ_GET, "/api/v1/labels?match[]=up", FORM, "match[]=down", 200,
	    GOOD("[\"__name__\",\"job\"]"));
	form(REQ_POST, "/api/v1/query?query=2&time=1", NULL, "query=3", 200, NUMBER("2"));
	form(REQ_POST, "/api/v1/query?query=2&time=1", "application/json", "query=3", 200,
	    NUMBER("2"));
	form(REQ_POST, "/api/v1/query", FORM, "a=%zz&query=%33;&query=4%+&time=1&query=5", 200,
	    NUMBER("5"));
	/* Each endpoint that takes a form. */
	form(REQ_POST, "/api/v1/query", MULTI, PART("query", "1+1") PART("time", "1") LAST, 200,
	    NUMBER("2"));
	form(REQ_POST, "/api/v1/query?time=1&query=2", MULTI, PART("query", "3") LAST, 200,
	    NUMBER("2"));
	form(REQ_GET, "/api/v1/query?time=1", MULTI, PART("query", "3") LAST, 200, NUMBER("3"));
	form(REQ_POST, "/api/v1/query_range", MULTI,
	    PART("query", "1+1") PART("start", "1") PART("end", "1") PART("step", "1") LAST, 200,
	    GOOD("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1,\"2\"]]}]}"));
	form(REQ_POST, "/api/v1/query_exemplars", MULTI, PART("query", "up") LAST, 200, GOOD("[]"));
	form(REQ_POST, "/api/v1/format_query", MULTI, PART("query", "1+1") LAST, 200,
	    GOOD("\"1 + 1\""));
	form(REQ_POST, "/api/v1/parse_query", MULTI, PART("query", "2") LAST, 200,
	    GOOD("{\"type\":\"numberLiteral\",\"val\":\"2\"}"));
	form(REQ_POST, "/api/v1/series", MULTI,
	    PART("match[]", "down") PART("match[]", "up{job=\"a\"}") LAST, 200,
	    GOOD("[{\"__name__\":\"up\",\"job\":\"a\"},{\"__name__\":\"down\",\"job\":\"c\",\"zone\":\"z\"}]"));
	form(REQ_POST, "/api/v1/labels", MULTI, PART("match[]", "up") LAST, 200,
	    GOOD("[\"__name__\",\"job\"]"));
	/* A form that cannot be read must not become another question. */
	form(REQ_POST, "/api/v1/labels", MULTI, PART("match[]", "up"), 400,
	    BAD("error parsing form values: the form ends before its last boundary"));
	form(REQ_POST, "/api/v1/query", "multipart/form-data", PART("query", "1") LAST, 400,
	    BAD("error parsing form values: Content-Type multipart/form-data needs one boundary of 1 to 70 printable bytes"));
	form(REQ_POST, "/api/v1/query?time=1&query=2", "multipart/form-datax; boundary=B",
	    PART("query", "1"), 200, NUMBER("2"));
}

/* More than 64 KiB: a worker reads them, with the same result, and they are charged before. */
static void large(
    const char *type, const char *head, const char *tail, size_t fill, int status, const char *want)
{
	struct fakereq f;
	char *body = malloc(strlen(head) + fill + strlen(tail) + 1), *p = body;
	p = stpcpy(p, head);
	memset(p, 'x', fill);
	strcpy(p + fill, tail);
	fakereq_init(&f, &tt, api);
	fakereq_field(&f, "content-type", type);
	f.charged_out = status == 503;
	fakereq_run(&f, REQ_POST, "/api/v1/query?query=2", body, strlen(body));
	tap_ok(f.status == status, "%d for a form of %zu bytes (%d)", status, strlen(body), f.status);
	if (want)
		tap_is_str(fakereq_text(&f), want, "with its body");
	tap_ok(f.charged > strlen(body), "%zu bytes were charged", f.charged);
	fakereq_end(&f);
	free(body);
}

static void large_forms(void)
{
	large(FORM, "query=3&time=1&pad=", "&query=4", 70000, 200, NUMBER("3"));
	large(FORM, "pad=", "&time=1", 9000000, 200, NUMBER("2"));
	large(FORM, "pad=%", "&query=7&time=1", 100000, 200, NUMBER("7"));
	large(MULTI, PART("time", "1") "--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n",
	    "\r\n" LAST, 3000000, 200, NUMBER("2"));
	large(MULTI, PART("time", "1"), "", 100000, 400,
	    BAD("error parsing form values: the form ends before its last boundary"));
	large(FORM, "pad=", "&time=1", 100000, 503, NULL);
}

static void parameters_of_urls(void)
{
	answers("/api/v1/query?query=1&time=1&x=%", 200, NUMBER("1"));
	answers("/api/v1/query?query=1&time=1&%zz=1&y=%4", 200, NUMBER("1"));
	answers("/api/v1/query?time=1&query=2;query=3&query=4", 200, NUMBER("4"));
	answers("/api/v1/query?time=1;query=1", 400,
	    BAD("invalid parameter \\\"query\\\": unknown position: parse error: no expression found in input"));
	answers("/api/v1/query?query=1&query=2&time=1&time=9", 200, NUMBER("1"));
	answers("/api/v1/query?&&=5&=&query=1%2b1+%2B+1&time=1&", 200, NUMBER("3"));
	answers("/api/v1/query?qu%65ry=%31&time=1", 200, NUMBER("1"));
	answers("/api/v1/query?Query=1&query=2&time=1", 200, NUMBER("2"));
	answers("/api/v1/labels?match[]=up&x=%", 200, GOOD("[\"__name__\",\"job\"]"));
	answers("/api/v1/labels?match%5B%5D=up", 200, GOOD("[\"__name__\",\"job\"]"));
	answers("/api/v1/label/job/values?match[]=up&;", 200, GOOD("[\"a\",\"b\"]"));
	/* Prometheus calls r.ParseForm here, and tells what it says. */
	answers("/api/v1/series?match[]=up&x=%", 400,
	    BAD("error parsing form values: invalid URL escape \\\"%\\\""));
	answers("/api/v1/series?match[]=up&x;y", 400,
	    BAD("error parsing form values: invalid semicolon separator in query"));
	answers("/api/v1/query?query=up{job=\"a\"}&time=101&lookback_delta=0.5", 200,
	    GOOD("{\"resultType\":\"vector\",\"result\":[]}"));
	static const char *const usual[] = { "-1", "0", "0s", "-0.001", "" };
	for (size_t i = 0; i < COUNT_OF(usual); i++) {
		char url[200];
		snprintf(url, sizeof(url),
		    "/api/v1/query?query=up{job=\"a\"}&time=101&lookback_delta=%s", usual[i]);
		answers(url, 200,
		    GOOD("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"value\":[101,\"10\"]}]}"));
	}
}

/* Texts are cut between characters, wherever they are cut. */
static void cut_texts(void)
{
	struct fakereq f;
	static char url[4000];
	for (unsigned odd = 0; odd < 2; odd++) {
		size_t n = (size_t)snprintf(
		    url, sizeof(url), "/api/v1/query?query=1&stats=%s", odd ? "x" : "");
		for (unsigned i = 0; i < 60; i++)
			n += (size_t)snprintf(url + n, sizeof(url) - n, "%%C3%%A9");
		fakereq_get(&f, &tt, api, url);
		tap_ok(f.status == 200 && strstr(fakereq_text(&f), "\xc3\xa9\\\" for parameter"),
		    "a value in a warning: %s", fakereq_text(&f));
		fakereq_end(&f);
	}
	/* Not a name: its last byte is no text. The whole of it would be 3,000 bytes of errors. */
	size_t n = (size_t)snprintf(url, sizeof(url), "/api/v1/label/x");
	for (unsigned i = 0; i < 250; i++)
		n += (size_t)snprintf(url + n, sizeof(url) - n, "%%E2%%82%%AC");
	snprintf(url + n, sizeof(url) - n, "%%ff/values");
	fakereq_get(&f, &tt, api, url);
	const char *text = fakereq_text(&f);
	tap_ok(f.status == 400 && !strstr(text, "\\x") && strstr(text, "\xe2\x82\xac\\\"\"}"),
	    "a name in an error: %s", text);
	fakereq_end(&f);
}

static void results(void)
{
	answers("/api/v1/query?query=1%2B1&time=4", 200,
	    GOOD("{\"resultType\":\"scalar\",\"result\":[4,\"2\"]}"));
	answers("/api/v1/query?query=\"a\"&time=4.5", 200,
	    GOOD("{\"resultType\":\"string\",\"result\":[4.5,\"a\"]}"));
	answers("/api/v1/query?query=up{job=\"a\"}&time=100", 200,
	    GOOD("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"value\":[100,\"10\"]}]}"));
	answers("/api/v1/query?query=nothing&time=100", 200,
	    GOOD("{\"resultType\":\"vector\",\"result\":[]}"));
	answers("/api/v1/query_range?query=up{job=\"a\"}&start=90&end=100&step=10", 200,
	    GOOD("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[90,\"9\"],[100,\"10\"]]}]}"));
	answers("/api/v1/query_range?query=up&start=100&end=100&step=10&limit=1", 200,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[100,\"10\"]]}]},\"warnings\":[\"results truncated due to limit\"]}");
	answers("/api/v1/query?query=up{job=\"a\"}[15s]&time=100", 200,
	    GOOD("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[90,\"9\"],[100,\"10\"]]}]}"));

	struct fakereq get, post;
	fakereq_get(&get, &tt, api, "/api/v1/query?query=sum(up)&time=100");
	fakereq_post_form(
	    &post, &tt, api, "/api/v1/query?time=7&query=bad(", "query=sum(up)&time=100");
	tap_is_str(fakereq_text(&post), fakereq_text(&get),
	    "a form gives what the URL gives, and comes before it");
	fakereq_end(&get);
	fakereq_end(&post);
	fakereq_init(&post, &tt, api);
	fakereq_field(&post, "content-type", "text/plain");
	fakereq_run(&post, REQ_POST, "/api/v1/query?query=2&time=1", "query=1", 7);
	tap_is_str(fakereq_text(&post), GOOD("{\"resultType\":\"scalar\",\"result\":[1,\"2\"]}"),
	    "a body of another type is ignored");
	fakereq_end(&post);
	fakereq_get(&get, &tt, api, "/api/v1/query?query=up&time=100&stats=yes");
	tap_ok(strstr(fakereq_text(&get), ",\"stats\":{\"timings\":{\"evalTotalTime\":") &&
	        strstr(fakereq_text(&get),
	            "\"warnings\":[\"value \\\"yes\\\" for parameter \\\"stats\\\" is deprecated"),
	    "stats are given, with the warning: %s", fakereq_text(&get));
	fakereq_end(&get);
}

/* An answer counts as what it keeps in memory, not as what the client wants of it. */
static void answers_that_wait(void)
{
	static const char *const urls[] = {
		"/api/v1/query_range?query=up&start=90&end=100&step=1&limit=1",
		"/api/v1/series?match[]=up&limit=1"
	};
	for (size_t i = 0; i < COUNT_OF(urls); i++) {
		struct fakereq f;
		fakereq_init(&f, &tt, api);
		f.held_out = true;
		fakereq_run(&f, REQ_GET, urls[i], NULL, 0);
		tap_ok(f.status == 503, "no room for answers: %d for %s", f.status, urls[i]);
		tap_ok(f.held > 2 * sizeof(struct ql_series), "%zu bytes were asked for", f.held);
		fakereq_end(&f);
	}
}

static void holds(const char *url, int status, const char *want)
{
	struct fakereq f;
	fakereq_get(&f, &tt, api, url);
	tap_ok(f.status == status && strstr(fakereq_text(&f), want), "%d for %s, with %s: %.700s",
	    f.status, url, want, fakereq_text(&f));
	fakereq_end(&f);
}

/* trace=1 tells what a query did, beside its answer; explain=1 what it would do. */
static void traces(void)
{
	static const char query[] = "/api/v1/query?time=100&query=sum(rate(up[50s]))&trace=1",
	                  range[] = "/api/v1/query_range?start=0&end=100&step=10&query=up&trace=1",
	                  plan[] =
	                      "/api/v1/query?time=100&query=topk(1,sum(rate(up[50s])))&explain=1";
	holds(query, 200, "\"value\":[100,\"0.3");
	holds(query, 200, ",\"trace\":{\"duration_msec\":");
	holds(query, 200,
	    "\"message\":\"/api/v1/query: query=sum(rate(up[50s])), timeRange=[1970-01-01T00:01:40Z..1970-01-01T00:01:40Z]: series=1\"");
	holds(query, 200, "\"message\":\"admission: waited for a place\"");
	holds(query, 200, "\"message\":\"evaluation: samples=10, samplesRead=10");
	holds(query, 200,
	    "\"message\":\"read {__name__=\\\"up\\\"}, timeRange=[1970-01-01T00:00:50.001Z..1970-01-01T00:01:40Z]: series=2, samples=10, steps=1, parts of the query=1\"");
	holds(query, 200, "\"message\":\"shard ");
	holds(range, 200, "step=10000ms: series=2");
	holds("/api/v1/query?time=100&query=1&trace=1", 200, "\"children\":[]");
	holds("/api/v1/query?time=100&query=up{&trace=1", 400, "parse error");
	answers("/api/v1/query?time=100&query=1&trace=0", 200,
	    GOOD("{\"resultType\":\"scalar\",\"result\":[100,\"1\"]}"));
	holds(plan, 200,
	    "{\"status\":\"success\",\"data\":{\"query\":\"topk(1,sum(rate(up[50s])))\",\"plan\":{\"what\":\"topk\"");
	holds(plan, 200, "\"onShards\":\"windows of rate, 0 stages, reduced to groups\"");
	holds(plan, 200,
	    "\"selectors\":[{\"selector\":\"{__name__=\\\"up\\\"}\",\"start\":\"1970-01-01T00:00:50.001Z\"");
	holds(plan, 200, "\"what\":\"piece\"");
	holds(plan, 200, "\"selector\":0,\"steps\":1");
	holds(plan, 200,
	    "\"seriesAtMost\":2,\"valuesAtMost\":2,\"series\":2,\"seriesKind\":\"exact\",\"samples\":10,\"samplesAtMost\":10,\"samplesFromMemory\":10,\"samplesFromFiles\":0,\"bytesFromMemory\":160,");
	holds(plan, 200, "\"rangeMs\":50000,");
	holds(plan, 200,
	    "\"function\":\"rate\",\"matchers\":[{\"label\":\"__name__\",\"op\":\"=\",\"value\":\"up\"}]}]");
	holds(plan, 200, "\"cache\":{\"steps\":0,\"kept\":0},\"partToRead\":1.0000,\"seconds\":");
	holds(plan, 200, "\"refused\":[]}");
	holds(query, 200, "\"kind\":\"admission\",\"start_msec\":0.000}");
	holds(query, 200, "\"kind\":\"read\",\"start_msec\":");
	holds(query, 200,
	    "\"selector\":0,\"series\":2,\"samples\":10,\"samples_memory\":10,\"samples_files\":0,");
	holds(query, 200, ",\"loop\":");
	holds(query, 200, "\"wait_turn_msec\":");
	holds(query, 200, "\"kind\":\"answer\"");
	holds("/api/v1/query?explain=1&query=sum(", 400, "parse error");
	/* What is refused before anything is read has no plan, and is told as the query is. */
	holds("/api/v1/query?query=max_over_time(up[1y:1ms])", 422, "(--query.max-samples)");
	holds("/api/v1/query?explain=1&query=max_over_time(up[1y:1ms])", 422,
	    "(--query.max-samples)");
	holds("/api/v1/query_range?start=0&end=100&step=10&explain=1&query=max_over_time(up[1y:1ms])",
	    422, "(--query.max-samples)");
}

static void features(void)
{
	holds("/api/v1/features", 200, "{\"status\":\"success\",\"data\":{\"api\":{\"admin\":false,");
	holds("/api/v1/features", 200, ",\"promql_functions\":{\"abs\":true,\"absent\":true,");
	holds("/api/v1/features", 200, ",\"info\":false,");
	holds("/api/v1/features", 200, ",\"promql_operators\":{\"!=\":true,");
}

static void metadata(void)
{
	answers("/api/v1/series?match[]=up", 200,
	    GOOD("[{\"__name__\":\"up\",\"job\":\"a\"},{\"__name__\":\"up\",\"job\":\"b\"}]"));
	answers("/api/v1/series?match[]=up&match[]=up{job=\"a\"}&match[]={job=\"c\"}", 200,
	    GOOD("[{\"__name__\":\"up\",\"job\":\"a\"},{\"__name__\":\"up\",\"job\":\"b\"},{\"__name__\":\"down\",\"job\":\"c\",\"zone\":\"z\"}]"));
	answers("/api/v1/series?match[]=up&start=200000", 200, GOOD("[]"));
	answers("/api/v1/labels", 200, GOOD("[\"__name__\",\"job\",\"zone\"]"));
	answers("/api/v1/labels?match[]=up", 200, GOOD("[\"__name__\",\"job\"]"));
	answers("/api/v1/label/job/values", 200, GOOD("[\"a\",\"b\",\"c\"]"));
	answers("/api/v1/label/U__job/values?match[]=up", 200, GOOD("[\"a\",\"b\"]"));
	answers("/api/v1/label/nothing/values", 200, GOOD("[]"));
	answers("/api/v1/label/job/values?limit=3", 200, GOOD("[\"a\",\"b\",\"c\"]"));
	struct fakereq f;
	fakereq_get(&f, &tt, api, "/api/v1/label/job/values?limit=2");
	tap_ok(strstr(fakereq_text(&f), "\"],\"warnings\":[\"results truncated due to limit\"]}") &&
	        strchr(fakereq_text(&f), ','),
	    "two of three, and a warning: %s", fakereq_text(&f));
	fakereq_end(&f);
	fakereq_init(&f, &tt, api);
	f.gone = true;
	fakereq_run(&f, REQ_GET, "/api/v1/series?match[]=up", NULL, 0);
	tap_ok(f.status == 499, "a client that leaves ends the scan (%d)", f.status);
	fakereq_end(&f);
	memsrc_fail(src, 1);
	fakereq_get(&f, &tt, api, "/api/v1/labels");
	tap_ok(f.status == 500 && strstr(fakereq_text(&f), "\"errorType\":\"internal\""),
	    "a source that fails is told: %s", fakereq_text(&f));
	fakereq_end(&f);
	memsrc_fail(src, 0);
	memsrc_shaky(src, 2);
	answers("/api/v1/label/job/values", 200, GOOD("[\"a\",\"b\",\"c\"]"));
	memsrc_shaky(src, 0);
	tap_is_u64(memsrc_open_cursors(src), 0, "all cursors are closed");
}

static void others(void)
{
	answers("/api/v1/rules", 200, GOOD("{\"groups\":[]}"));
	answers("/api/v1/alerts", 200, GOOD("{\"alerts\":[]}"));
	answers("/api/v1/targets", 200,
	    GOOD("{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{}}"));
	answers("/api/v1/alertmanagers", 200,
	    GOOD("{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}"));
	answers("/api/v1/status/buildinfo", 200,
	    GOOD("{\"version\":\"3.14.0\",\"revision\":\"r\",\"branch\":\"b\",\"buildUser\":\"0.1.0\",\"buildDate\":\"\",\"goVersion\":\"\"}"));
	answers("/api/v1/status/flags", 200, GOOD("{}"));
	answers("/-/healthy", 200, "Prometheus is Healthy.\n");
	answers("/health", 200, "OK");
	answers("/favicon.ico", 204, "");
	struct fakereq page;
	fakereq_get(&page, &tt, api, "/graph?g0.expr=up&g0.tab=1");
	tap_ok(page.status == 200 && strstr(fakereq_text(&page), "/api/v1/query?query="),
	    "/graph says where to ask");
	fakereq_end(&page);
	fakereq_get(&page, &tt, api, "/");
	tap_ok(page.status == 200 && strstr(fakereq_text(&page), "/api/v1/write"), "/ lists the API");
	fakereq_end(&page);
	answers("/-/ready", 200, "Prometheus is Ready.\n");
	answers("/-/reload", 405, "Only POST or PUT requests allowed");
	answers("/api/v1/nothing", 404, "");
	answers("/api/v1/write", 405, "");
	struct fakereq f;
	fakereq_init(&f, &tt, api);
	fakereq_run(&f, REQ_POST, "/api/v1/admin/tsdb/flush", NULL, 0);
	tap_ok(f.status == 500, "admin calls are off");
	tap_is_str(fakereq_text(&f),
	    "{\"status\":\"error\",\"errorType\":\"unavailable\",\"error\":\"admin APIs disabled\"}",
	    "and say so");
	fakereq_end(&f);
}

static void phases(void)
{
	struct fakereq f;
	api->loops[0].phase = API_STARTING;
	fakereq_get(&f, &tt, api, "/api/v1/query?query=1");
	tap_ok(f.status == 503 && !strcmp(fakereq_text(&f), "Service Unavailable") &&
	        strstr((char *)f.headers.data, "x-prometheus-stopping: false\n"),
	    "before it is ready everything is 503");
	fakereq_end(&f);
	fakereq_get(&f, &tt, api, "/live");
	tap_ok(f.status == 200 && strstr(fakereq_text(&f), "<title>Kymo</title>"),
	    "but the web page, which says so");
	fakereq_end(&f);
	answers("/-/healthy", 200, "Prometheus is Healthy.\n");
	answers("/api/v1/status/walreplay", 200, GOOD("{\"min\":0,\"max\":0,\"current\":0}"));
	api->loops[0].phase = API_STOPPING;
	fakereq_get(&f, &tt, api, "/-/ready");
	tap_ok(f.status == 503 && strstr((char *)f.headers.data, "x-prometheus-stopping: true\n"),
	    "when stopping it says that");
	fakereq_end(&f);
	api->loops[0].phase = API_READY;
}

/* A loop that does not turn: it cannot be told that the store is there. */
static pthread_mutex_t barrier = PTHREAD_MUTEX_INITIALIZER;
static void wait_here(struct mbox_msg *m)
{
	(void)m;
	pthread_mutex_lock(&barrier);
	pthread_mutex_unlock(&barrier);
}

static void *open_api(void *arg)
{
	(void)arg;
	api_open(api);
	return NULL;
}

static bool is_joined(void *arg)
{
	(void)arg;
	return api->loops[0].phase != API_STARTING;
}

static void ready_on_every_loop(void)
{
	struct mbox_msg stop = { .fn = wait_here };
	struct fakereq f;
	pthread_t opener;
	for (unsigned i = 0; i < 2; i++)
		api->loops[i].phase = API_STARTING;
	pthread_mutex_lock(&barrier);
	loop_send(testteam_loop(&tt, 1), &stop);
	CHECK(!pthread_create(&opener, NULL, open_api, NULL));
	CHECK(testteam_wait(&tt, 0, is_joined, NULL, TESTTEAM_LONG_MS));
	answers("/api/v1/query?query=1&time=1", 200, NUMBER("1"));
	fakereq_get(&f, &tt, api, "/-/ready");
	tap_is_i64(f.status, 503, "a loop says ready when all are, not before");
	fakereq_end(&f);
	pthread_mutex_unlock(&barrier);
	CHECK(!pthread_join(opener, NULL));
	for (unsigned i = 0; i < 2; i++) {
		fakereq_init(&f, &tt, api);
		f.loop = i;
		fakereq_run(&f, REQ_GET, "/-/ready", NULL, 0);
		tap_is_i64(f.status, 200, "then loop %u says so", i);
		fakereq_end(&f);
	}
}

static enum err accepts(struct sink *s, uint32_t *retry_after_s)
{
	(void)s;
	(void)retry_after_s;
	return ERR_OK;
}

/* Paths of other servers: what is said, and that our path in it is a row. */
static void strangers(void)
{
	static const char *const known[] = { "/api/v1/otlp/v1/logs", "/opentelemetry/v1/traces",
		"/v1/logs", "/api/prom/push", "/metrics/job/a", "/api/v1/import/native",
		"/api/v1/import/csv", "/api/v1/export/native", "/select/0/prometheus/api/v1/query",
		"/insert/0/prometheus/api/v1/write", "/vmui", "/vmui/", "/vmui/x", "/classic/graph",
		"/internal/force_flush", "/snapshot/create", "/debug/pprof/heap" };
	for (size_t i = 0; i < COUNT_OF(known); i++) {
		const char *ours = NULL, *say = strangers_say(known[i], strlen(known[i]), &ours);
		bool row = !ours;
		for (size_t k = 0; k < api_routes.count; k++) {
			row |= ours && !strcmp(api_routes.rows[k].path, ours);
			if (!strcmp(api_routes.rows[k].path, known[i]))
				say = NULL;
		}
		tap_ok(say && row, "%s: %s %s", known[i], say ? say : "-", ours ? ours : "");
	}
	const char *ours;
	tap_ok(!strangers_say("/api/v1/import", 14, &ours) && !strangers_say("/writer", 7, &ours) &&
	        !strangers_say("/select", 7, &ours) && !strangers_say("", 0, &ours) &&
	        !strangers_say("/vmu", 4, &ours),
	    "of others nothing is said");
}

int main(void)
{
	static const struct sink_ops ops = { .accepts = accepts };
	struct sink sink = { .ops = &ops };
	struct arena a;
	arena_init(&a, 4096);
	testteam_start(&tt, 2);
	src = memsrc_create(tt.team, 4);
	for (int i = 1; i <= 10; i++) {
		CHECK(!memsrc_add(
		    src, label_make(&a, "__name__", "up", "job", "a", NULL), i * 10000, i));
		CHECK(!memsrc_add(
		    src, label_make(&a, "__name__", "up", "job", "b", NULL), i * 10000, i * 2));
		CHECK(!memsrc_add(src,
		    label_make(&a, "__name__", "down", "job", "c", "zone", "z", NULL), i * 10000,
		    0.5));
	}
	api = fakeapi_create(&tt, memsrc_source(src), &sink, false);
	parameters_of_ranges();
	selectors_are_bounded();
	parameters_of_instants();
	parameters_of_bodies();
	large_forms();
	large_texts();
	parameters_of_urls();
	errors_are_utf8();
	cut_texts();
	results();
	answers_that_wait();
	traces();
	features();
	metadata();
	others();
	strangers();
	phases();
	ready_on_every_loop();
	fakeapi_free(api);
	memsrc_free(src);
	testteam_stop(&tt);
	arena_release(&a);
	return tap_done();
}
