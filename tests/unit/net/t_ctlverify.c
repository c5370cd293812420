/*
 * Two servers that play: the same counts and values, a count that is missing, a value that differs,
 * ranges that are closed, what is too much. Each query is looked at as it was sent.
 */
#include <inttypes.h>

#include "net/ctl/ctlverify.h"
#include "tests/lib/forked.h"
#include "tests/lib/playsrv.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define FIRST INT64_C(1700006400000)
#define HOUR  INT64_C(3600000)

struct plays {
	struct playsrv srv;
	char base[64];
	bool closed;        /* ranges have their left end */
	unsigned lacks;     /* name of which a sample is missing; 0: none */
	bool other_maximum; /* of all of them */
	const char *rest;   /* what sums of values are; NULL: nothing else than others */
	const char *names;  /* the answer that lists them, or NULL */
	unsigned most;      /* names of a query; 0: any */
	bool hists;
	unsigned bad_ranges, queries, of_values;
};

static bool reply(struct playconn *c, const char *status, const char *body)
{
	char head[256];
	snprintf(
	    head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status, strlen(body));
	return play_puts(c, head) && play_puts(c, body);
}

static void unescape(char *s)
{
	char *to = s;
	for (; *s; s++) {
		unsigned x;
		if (*s == '%' && sscanf(s + 1, "%2x", &x) == 1) {
			*to++ = (char)x;
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/* Of each name a sample a minute, at 30 s; samples of a range as the server reads it. */
static int64_t samples_of(const struct plays *p, const char *query, int64_t at_ms)
{
	int64_t width = strtoll(strrchr(query, '[') + 1, NULL, 10), n = 0;
	int64_t from = at_ms - width + !p->closed;
	for (int64_t t = FIRST + 30000; t <= at_ms; t += 60000)
		n += t >= from;
	return n;
}

static bool play_counts(struct playconn *c, struct plays *p, char *query, int64_t at_ms)
{
	struct buf b;
	unsigned n = 0;
	for (const char *s = query; (s = strstr(s, "label_replace")); s++)
		n++;
	if (p->most && n > p->most)
		return reply(c, "422 No", "too many");
	int64_t count = samples_of(p, query, at_ms);
	p->bad_ranges += !count; /* each window of the test has some */
	buf_init(&b);
	buf_add_str(&b, "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[");
	const char *s = query;
	for (unsigned i = 0; i < n; i++) {
		char *name = strstr(s, "__name__=\"m") + strlen("__name__=\"m");
		unsigned no = (unsigned)strtoul(name, NULL, 10);
		s = name;
		buf_printf(&b, "%s{\"metric\":{\"n\":\"%u\"},\"value\":[1,\"%" PRId64 "\"]}",
		    i ? "," : "", i, count - (no == p->lacks));
	}
	buf_add(&b, "]}}", 4);
	bool more = reply(c, "200 OK", (char *)b.data);
	buf_release(&b);
	return more;
}

static bool on_request(struct playconn *c)
{
	struct plays *p = c->s->arg;
	char text[512];
	if (strstr(c->target, "/label/__name__/values"))
		return reply(c, "200 OK",
		    p->names ? p->names : "{\"data\":[\"m1\",\"m2\",\"m3\",\"m4\",\"m5\"]}");
	if (strstr(c->target, "/labels"))
		return reply(c, "200 OK", "{\"data\":[\"__name__\",\"job\"]}");
	unescape(c->body);
	char *query = strstr(c->body, "query=") + 6, *end = strstr(query, "&time=");
	int64_t at_ms = 0;
	if (num_parse_time(end + 6, strcspn(end + 6, "&"), &at_ms))
		return false;
	*end = 0;
	if (strstr(query, "vector(1)[1m:30s]")) {
		snprintf(text, sizeof(text),
		    "{\"data\":{\"result\":[{\"metric\":{},\"value\":[1,\"%d\"]}]}}",
		    p->closed ? 3 : 2);
		return reply(c, "200 OK", text);
	}
	if (strstr(query, "label_replace"))
		return play_counts(c, p, query, at_ms);
	if (strstr(query, "histogram_count"))
		return reply(c, "200 OK",
		    p->hists ? "{\"data\":{\"result\":[{\"value\":[1,\"1\"]}]}}"
		             : "{\"data\":{\"result\":[]}}");
	if (strstr(query, "abs(") && strncmp(query, "sum", 3) != 0)
		return false;
	bool sum = !strncmp(query, "sum", 3) && !strstr(query, "(count_over_time(");
	if (strstr(query, "abs(") || (p->rest && sum)) {
		snprintf(text, sizeof(text),
		    "{\"data\":{\"result\":[{\"metric\":{\"job\":\"a\"},\"value\":[1,\"%s\"]}]}}",
		    strstr(query, "abs(") ? "1e6" : p->rest);
		return reply(c, "200 OK", text);
	}
	p->queries++;
	p->of_values += !strstr(query, "count_over_time");
	bool other = p->other_maximum && !strncmp(query, "max", 3);
	snprintf(text, sizeof(text),
	    "{\"data\":{\"result\":[{\"metric\":{\"job\":\"%s\"},\"value\":[1,\"%s\"]},{\"metric\":{\"job\":\"%s\"},\"value\":[1,\"%s\"]}]}}",
	    p->closed ? "a" : "b", p->closed ? (other ? "9" : "0.3") : "NaN", p->closed ? "b" : "a",
	    p->closed   ? "NaN"
	        : other ? "9"
	                : "0.30000000000000004");
	return reply(c, "200 OK", text);
}

static struct plays from, to;

struct ended {
	struct ctlverify v;
	unsigned from_values, to_values, queries, bad_ranges;
};

static int child(void *arg)
{
	const unsigned *queries = arg;
	struct arena a;
	struct ctlsel sel;
	struct ctlhttp_access af = { .server = from.base }, at = { .server = to.base };
	struct ctlverify v = { .sels = &sel,
		.sels_count = 1,
		.from_ms = FIRST,
		.to_ms = FIRST + 5 * HOUR,
		.window_ms = 2 * HOUR,
		.queries = *queries,
		.seed = 3,
		.quiet = true };
	arena_init(&a, 1024);
	ctlsel_everything(&a, &sel);
	int status = ctlhttp_open(&af, &v.from);
	status = status ? status : ctlhttp_open(&at, &v.to);
	status = status ? status : ctlverify_run(&v);
	printf("counted %" PRIu64 " compared %" PRIu64 " differ %" PRIu64 " asked %u differ %u\n",
	    v.counted, v.compared, v.differ, v.asked, v.asked_differ);
	ctlhttp_close(v.from);
	ctlhttp_close(v.to);
	ctlsel_release(&sel);
	arena_release(&a);
	return status;
}

static void ends(unsigned queries, int status, const char *says, const char *what)
{
	struct forked f;
	from.queries = to.queries = from.of_values = to.of_values = 0;
	from.bad_ranges = to.bad_ranges = 0;
	forked_run(&f, child, &queries);
	tap_ok(f.status == status && strstr(f.out, says) && !from.bad_ranges && !to.bad_ranges,
	    "%s: %d \"%s\" %s", what, f.status, f.out, f.err);
}

int main(void)
{
	playsrv_start(&from.srv, false, on_request, &from);
	playsrv_start(&to.srv, false, on_request, &to);
	snprintf(from.base, sizeof(from.base), "http://127.0.0.1:%u", from.srv.port);
	snprintf(to.base, sizeof(to.base), "http://127.0.0.1:%u", to.srv.port);
	from.closed = true;
	/* 5 names, windows of 2, 2 and 1 hours */
	ends(60, CTL_OK, "counted 1500 compared 15 differ 0 asked 60 differ 0",
	    "the same, whatever the order, the last digits and the ends of ranges");
	tap_ok(from.queries == 60 && to.queries == 60 && to.of_values > 10,
	    "both were asked all of it");
	from.most = 2;
	ends(0, CTL_OK, "counted 1500 compared 15 differ 0", "what is too much is asked in parts");
	to.lacks = 3;
	ends(0, CTL_NO, "differ 3 asked", "a sample that is missing in each window is found");
	ends(0, CTL_NO,
	    "m3 from 2023-11-15T00:00:00Z to 2023-11-15T01:59:59.999Z: 120 samples at the source, 119 at the target\n",
	    "and told");
	to.lacks = 0;
	to.other_maximum = true;
	ends(60, CTL_NO, "max", "another maximum is found");
	to.other_maximum = false;
	from.rest = "1e-7";
	to.rest = "0";
	ends(60, CTL_OK, "differ 0 asked 60 differ 0",
	    "sums of large values of both signs that leave next to nothing");
	to.rest = "0.1";
	ends(60, CTL_NO, "first 0.1\n", "but not if more than the last digits are missing");
	to.rest = "0.1\\u001b[2J";
	ends(60, CTL_NO, "first 0.1\\x1b[2J\n", "nothing that a server says steers the terminal");
	from.rest = to.rest = NULL;
	static const char *const lists[] = { "{\"status\":\"success\"}", "{\"data\":5}",
		"{\"data\":[\"m1\",2]}", "{\"data\":[\"m1\"],\"warnings\":[\"a store is away\"]}",
		"{\"data\":[\"m1\"],\"isPartial\":true}" };
	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		from.names = lists[i];
		ends(0, CTL_REFUSED, "counted 0", lists[i]);
	}
	from.names = "{\"data\":null}";
	ends(0, CTL_OK, "counted 0 compared 0", "no names in the words of Go");
	from.names = NULL;
	to.other_maximum = true;
	to.hists = true;
	ends(60, CTL_OK, "asked 60 differ 0", "which of histograms is not asked for");
	tap_ok(!to.of_values && to.queries == 60, "but their counts");
	playsrv_stop(&to.srv);
	playsrv_stop(&from.srv);
	return tap_done();
}
