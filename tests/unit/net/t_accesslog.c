/* Lines of the access log in its three forms, and queries without what may be secret. */
#include "net/api/accesslog.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/base/linefile.h"
#include "net/api/slowlog.h"
#include "tests/lib/fakereq.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static struct buf out;

static const char *text_of(void)
{
	buf_add_u8(&out, 0);
	return (const char *)out.data;
}

static void query_is(const char *query, const char *wanted)
{
	buf_clear(&out);
	accesslog_query(&out, query, strlen(query));
	tap_is_str(text_of(), wanted, "%s", query);
}

static void secrets_are_not_shown(void)
{
	char query[3000] = "query=";
	query_is("query=up&time=1", "query=up&time=1");
	query_is("u=a&p=b", "u=a&p=***");
	query_is("%70=b;Api_Key=1&x", "%70=***;Api_Key=***&x");
	query_is("access%5ftoken=abc", "access%5ftoken=***");
	query_is("p", "p");
	query_is("application_key=a&X-Amz-Signature=b", "application_key=***&X-Amz-Signature=***");
	query_is("mypassword1=x&=&", "mypassword1=***&=&");
	memset(query + 6, 'a', sizeof(query) - 7);
	query[sizeof(query) - 1] = 0;
	buf_clear(&out);
	accesslog_query(&out, query, strlen(query));
	tap_ok(out.len == ACCESSLOG_QUERY_BYTES + 3 && !memcmp(out.data + out.len - 3, "...", 3),
	    "long ones are cut");
}

static struct req_field fields[] = { { "user-agent", "a\"b\n", 10, 4 },
	{ "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 11, 55 },
	{ "referer", "http://x/", 7, 9 } };
static const struct req_told told = {
	.status = 200, .in_bytes = 5, .out_bytes = 123, .took_ns = 1234567
};

static struct req request(void)
{
	struct req r = { .method = REQ_GET,
		.path = "/api/v1/query",
		.path_len = 13,
		.query = "query=up",
		.query_len = 8,
		.identity = "ops",
		.http_version = 20,
		.fields = fields,
		.field_count = 3 };
	struct sockaddr_in *in = (struct sockaddr_in *)&r.remote;
	in->sin_family = AF_INET;
	in->sin_port = htons(4000);
	in->sin_addr.s_addr = htonl(0x0a000001);
	return r;
}

static const char *line(
    struct req *r, const struct req_told *t, enum accesslog_form form, const char *tenants)
{
	buf_clear(&out);
	accesslog_line(&out, r, t, form, tenants, 1795939938123);
	return text_of();
}

static void forms(void)
{
	struct req r = request();
	tap_is_str(line(&r, &told, ACCESSLOG_LOGFMT, "acme|beta"),
	    "ts=2026-11-29T08:12:18.123Z method=GET path=\"/api/v1/query\" query=\"query=up\" proto=2.0 status=200 in=5 out=123 ms=1.234 tenant=\"acme|beta\" identity=\"ops\" peer=\"10.0.0.1:1234\" agent=\"a\\\"b\\n\" trace=\"4bf92f3577b34da6a3ce929d0e0e4736\"\n",
	    "logfmt");
	tap_is_str(line(&r, &told, ACCESSLOG_COMBINED, ""),
	    "10.0.0.1 - ops [29/Nov/2026:08:12:18 +0000] \"GET /api/v1/query?query=up HTTP/2.0\" 200 123 \"http://x/\" \"a\\\"b\\x0a\"\n",
	    "combined");
	json_t *j = json_loads(line(&r, &told, ACCESSLOG_JSON, "acme"), 0, NULL);
	tap_ok(j && json_integer_value(json_object_get(j, "status")) == 200 &&
	        !strcmp(json_string_value(json_object_get(j, "agent")), "a\"b\n") &&
	        !strcmp(json_string_value(json_object_get(j, "tenant")), "acme") &&
	        json_real_value(json_object_get(j, "ms")) == 1.234,
	    "JSON: %s", text_of());
	json_decref(j);
	r.identity = "";
	r.gone = true;
	r.field_count = 0;
	r.query_len = 0;
	tap_is_str(line(&r, &(struct req_told){ .took_ns = 5000000000 }, ACCESSLOG_LOGFMT, ""),
	    "ts=2026-11-29T08:12:18.123Z method=GET path=\"/api/v1/query\" proto=2.0 status=499 in=0 out=0 ms=5000.000 peer=\"10.0.0.1:1234\" gone=true\n",
	    "what is not known is left out");
	tap_is_str(line(&r, &told, ACCESSLOG_COMBINED, ""),
	    "10.0.0.1 - - [29/Nov/2026:08:12:18 +0000] \"GET /api/v1/query HTTP/2.0\" 200 123 \"-\" \"-\"\n",
	    "or a dash");
}

static void no_line_says_what_it_should_not(void)
{
	struct req r = request();
	struct req_field f[] = { { "user-agent",
		                     "\x1b[2J\xc2\x9b"
		                     "2J\x7f\xff\xe2",
		                     10, 11 },
		{ "referer", "http://u:s3cr3t@x/?a=1&token=s3cr3t#b", 7, 37 } };
	r.fields = f;
	r.field_count = 2;
	r.path = "/a HTTP/1.1\" 200\n?\xc2\x9b";
	r.path_len = strlen(r.path);
	r.identity = "o - [";
	tap_is_str(line(&r, &told, ACCESSLOG_COMBINED, ""),
	    "10.0.0.1 - o%20-%20[ [29/Nov/2026:08:12:18 +0000] \"GET /a%20HTTP/1.1%22%20200%0A%3F%C2%9B?query=up HTTP/2.0\" 200 123 \"http://***@x/?a=1&token=***\" \"\\x1b[2J\\xc2\\x9b2J\\x7f\\xff\\xe2\"\n",
	    "combined: a path is one word, a referer has no secrets");
	tap_ok(strstr(line(&r, &told, ACCESSLOG_LOGFMT, ""),
	           "agent=\"\\u001b[2J\\u009b2J\\u007f\xef\xbf\xbd\xef\xbf\xbd\"") != NULL,
	    "no control character is itself: %s", text_of());
}

/* --- which requests, and the file of slow queries --- */

static struct testteam tt;
static struct api *api;
static struct api_conf conf;
static char path[512];

static unsigned lines_now(void)
{
	unsigned n = 0;
	FILE *f = fopen(path, "r");
	for (int c; f && (c = fgetc(f)) != EOF;)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static void tell_many(void *arg)
{
	struct req r = request();
	struct req_told t = told;
	(void)arg;
	r.ctx = api;
	r.loop = loop_here();
	api_set_conf(api, &conf);
	for (unsigned i = 0; i < 10; i++)
		accesslog_told(&r, &t);
	t.status = 503;
	accesslog_told(&r, &t);
}

static unsigned lines_with(struct accesslog_conf c)
{
	struct errbuf eb;
	errbuf_init(&eb);
	remove(path);
	if (linefile_open(path, 0, &api->opts.access, &eb))
		exit(1);
	conf.access = c;
	testteam_run(&tt, 0, tell_many, NULL);
	linefile_close(api->opts.access);
	api->opts.access = NULL;
	return lines_now();
}

static void which_requests(void)
{
	tap_is_u64(lines_with((struct accesslog_conf){ .sample = 1 }), 11, "each request has a line");
	tap_is_u64(lines_with((struct accesslog_conf){ .sample = 5 }), 3,
	    "of a sample one of so many, and what failed");
	tap_is_u64(lines_with((struct accesslog_conf){ .sample = 1, .min_ms = 2 }), 1,
	    "those that are fast enough have none, unless they failed");
}

static void slow_here(void *arg)
{
	struct req r = request();
	uint32_t tenant = 0;
	struct ql_stats st = { .samples_total = 5, .series = 3, .eval_s = 0.5 };
	struct running n = { .req = &r,
		.what = "sum(\"x\")",
		.what_len = 8,
		.start_ms = 1000,
		.end_ms = 61000,
		.step_ms = 15000 };
	(void)arg;
	r.ctx = api;
	r.loop = loop_here();
	r.tenants = &tenant;
	r.tenants_count = 1;
	api_set_conf(api, &conf);
	slowlog_query(&n, 99 * UINT64_C(1000000), &st, NULL);
	slowlog_query(&n, 100 * UINT64_C(1000000), &st, "too many");
}

static void slow_queries(void)
{
	struct errbuf eb;
	errbuf_init(&eb);
	remove(path);
	if (linefile_open(path, 0, &api->opts.slow, &eb))
		exit(1);
	conf.slow_ms = 100;
	testteam_run(&tt, 0, slow_here, NULL);
	linefile_close(api->opts.slow);
	api->opts.slow = NULL;
	tap_is_u64(lines_now(), 1, "a query that took long has a line");
	json_t *j = json_load_file(path, 0, NULL);
	json_t *params = json_object_get(j, "params"), *stats = json_object_get(j, "stats");
	tap_ok(params && !strcmp(json_string_value(json_object_get(params, "query")), "sum(\"x\")") &&
	        !strcmp(json_string_value(json_object_get(params, "start")), "1970-01-01T00:00:01Z") &&
	        json_number_value(json_object_get(params, "step")) == 15,
	    "with what was asked");
	tap_ok(json_number_value(
	           json_object_get(json_object_get(stats, "timings"), "innerEvalTime")) == 0.5 &&
	        json_integer_value(json_object_get(
	            json_object_get(stats, "samples"), "totalQueryableSamples")) == 5 &&
	        json_integer_value(json_object_get(stats, "series")) == 3,
	    "what it cost");
	tap_ok(!strcmp(json_string_value(json_object_get(j, "error")), "too many") &&
	        !strcmp(json_string_value(json_object_get(j, "identity")), "ops") &&
	        !strcmp(json_string_value(
	                    json_object_get(json_object_get(j, "httpRequest"), "clientIP")),
	            "10.0.0.1"),
	    "what came of it, and who asked");
	json_decref(j);
}

int main(void)
{
	char *dir = testlib_tmpdir("accesslog");
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	log_setup(LOG_LEVEL_NONE, false);
	buf_init(&out);
	secrets_are_not_shown();
	forms();
	no_line_says_what_it_should_not();
	testteam_start(&tt, 1);
	api = fakeapi_create(&tt, NULL, NULL, false);
	which_requests();
	slow_queries();
	fakeapi_free(api);
	testteam_stop(&tt);
	buf_release(&out);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
