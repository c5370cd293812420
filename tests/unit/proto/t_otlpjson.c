/* OTLP/JSON becomes the protobuf bytes of the same request; errors name the place. */
#include "proto/otlpjson.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

static struct errbuf eb;
static char hex[4096];

/* The bytes in hex, or NULL and eb says why. */
static const char *turns(const char *text, size_t len, size_t max, size_t turn)
{
	struct otlpjson *j = otlpjson_create(max);
	const uint8_t *p = (const uint8_t *)text, *end = p + len;
	bool done = false;
	enum err e = ERR_OK;
	errbuf_init(&eb);
	while (!e && !done)
		e = otlpjson_read(j, &p, end, turn, &done, &eb);
	if (!e && p != end)
		abort();
	size_t n = 0;
	const uint8_t *out = otlpjson_result(j, &n);
	for (size_t i = 0; !e && i < n && i * 2 + 2 < sizeof(hex); i++)
		(void)snprintf(hex + i * 2, 3, "%02x", out[i]);
	if (!n)
		hex[0] = 0;
	otlpjson_free(j);
	return e ? NULL : hex;
}

static const char *make(const char *text)
{
	return turns(text, strlen(text), 4096, SIZE_MAX);
}

static bool gives(const char *text, const char *want)
{
	const char *got = make(text);
	if (got && !strcmp(got, want))
		return true;
	tap_note("%s: %s, not %s", text, got ? got : eb.text, want);
	return false;
}

static bool fails(const char *text, const char *want)
{
	if (!make(text) && !strcmp(eb.text, want))
		return true;
	tap_note("%s: \"%s\", not \"%s\"", text, eb.text, want);
	return false;
}

/* A request of one metric with this inside, and the bytes around. */
static const char *metric(const char *inside)
{
	static char text[2048];
	(void)snprintf(text, sizeof(text),
	    "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{%s}]}]}]}", inside);
	return text;
}

/* Behind the three heads of one byte each, which short bodies have. */
static bool metric_gives(const char *inside, const char *want)
{
	char all[2048];
	size_t n = strlen(want) / 2;
	(void)snprintf(all, sizeof(all), "0a%02zx12%02zx12%02zx%s", n + 4, n + 2, n, want);
	return gives(metric(inside), all);
}

static bool metric_fails(const char *inside, const char *want)
{
	char all[2048];
	(void)snprintf(all, sizeof(all), "resourceMetrics[0].scopeMetrics[0].metrics[0]%s", want);
	return fails(metric(inside), all);
}

static bool point_gives(const char *inside, const char *want)
{
	char text[1024], bytes[1024];
	size_t n = strlen(want) / 2;
	(void)snprintf(text, sizeof(text), "\"gauge\":{\"dataPoints\":[{%s}]}", inside);
	(void)snprintf(bytes, sizeof(bytes), "2a%02zx0a%02zx%s", n + 2, n, want);
	return metric_gives(text, bytes);
}

static bool point_fails(const char *inside, const char *want)
{
	char text[1024], all[1024];
	(void)snprintf(text, sizeof(text), "\"gauge\":{\"dataPoints\":[{},{%s}]}", inside);
	(void)snprintf(all, sizeof(all), ".gauge.dataPoints[1]%s", want);
	return metric_fails(text, all);
}

static void shapes(void)
{
	tap_ok(gives("{}", ""), "an empty request");
	tap_ok(gives(" \r\n\t{ \"resourceMetrics\" : [ ] } ", ""), "blanks");
	tap_ok(gives("{\"resourceMetrics\":null}", ""), "null is as if it was not there");
	tap_ok(gives("{\"resourceMetrics\":[{},{}]}", "0a000a00"), "empty messages");
	tap_ok(gives("{\"resource_metrics\":[{\"schema_url\":\"a\"}]}", "0a031a0161"), "snake_case");
	tap_ok(gives("{\"resource\\u004detrics\":[{\"schem\\u0061_url\":\"a\"}]}", "0a031a0161"),
	    "keys with escapes");
	tap_ok(gives("{\"x\":{\"y\":[1,-2.5e3,\"\\u0041\",{},[],[[]],{\"z\":null}],\"b\":true},"
	             "\"resourceMetrics\":[{\"q\":false}]}",
	           "0a00"),
	    "what is unknown is passed over");
	tap_ok(metric_gives("\"name\":\"n\",\"unit\":\"By\",\"description\":\"d\"",
	           "0a016e1a0242791201"
	           "64"),
	    "members in any order");
	tap_ok(metric_gives("\"name\":\"\"", "0a00"), "what is told is written");
	tap_ok(metric_gives("\"name\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\ud83d\"",
	           "0a11225c2f080c0a0d09c3a9f09f9880efbfbd"),
	    "escapes, and half a pair");
	tap_ok(metric_gives("\"name\":\"\\u0000\xff\"", "0a0200ff"), "any bytes");
}

static void numbers(void)
{
	tap_ok(point_gives("\"asInt\":\"-1\"", "31ffffffffffffffff"), "an integer as a string");
	tap_ok(point_gives("\"asInt\":-1", "31ffffffffffffffff"), "and as a number");
	tap_ok(point_gives("\"asInt\":\"-9223372036854775808\"", "310000000000000080"), "the least");
	tap_ok(point_gives("\"timeUnixNano\":\"18446744073709551615\"", "19ffffffffffffffff"),
	    "the largest");
	tap_ok(point_gives("\"asInt\":1.0", "310100000000000000"), "a fraction of zeros");
	tap_ok(point_gives("\"asInt\":2e3", "31d007000000000000"), "an exponent");
	tap_ok(point_gives("\"asInt\":-0", "310000000000000000"), "no negative zero");
	tap_ok(point_fails("\"asInt\":1.5", ".asInt: 1.5 is no integer of 64 bits"), "1.5 is none");
	tap_ok(point_fails("\"asInt\":\"1x\"", ".asInt: 1x is no integer of 64 bits"), "nor 1x");
	tap_ok(point_fails("\"asInt\":\"\"", ".asInt:  is no integer of 64 bits"), "nor nothing");
	tap_ok(point_fails("\"asInt\":01", ".asInt: 01 is no integer of 64 bits"), "nor 01");
	tap_ok(point_fails(
	           "\"asInt\":9223372036854775808", ".asInt: 9223372036854775808 is out of range"),
	    "too large for a sign");
	tap_ok(point_fails("\"timeUnixNano\":-1", ".timeUnixNano: -1 is out of range"), "below 0");
	tap_ok(point_fails("\"timeUnixNano\":18446744073709551616",
	           ".timeUnixNano: 18446744073709551616 is no integer of 64 bits"),
	    "beyond 64 bits");
	tap_ok(point_gives("\"flags\":1", "4001"), "32 bits");
	tap_ok(point_fails("\"flags\":4294967296", ".flags: 4294967296 is no integer of 32 bits"),
	    "33 bits");
	tap_ok(point_gives("\"asDouble\":1.5", "21000000000000f83f"), "a double");
	tap_ok(point_gives("\"asDouble\":\"1.5\"", "21000000000000f83f"), "as a string");
	tap_ok(point_gives("\"asDouble\":\"NaN\"", "21000000000000f87f"), "NaN");
	tap_ok(point_gives("\"asDouble\":\"-Infinity\"", "21000000000000f0ff"), "infinity");
	tap_ok(point_gives("\"asDouble\":-0.0", "210000000000000080"), "negative zero");
	tap_ok(point_fails("\"asDouble\":1e999", ".asDouble: 1e999 is no number that a double holds"),
	    "too large");
	tap_ok(point_fails("\"asDouble\":NaN", ".asDouble: NaN is no number that a double holds"),
	    "NaN is a string");
	tap_ok(point_fails("\"asDouble\":true", ".asDouble: true is no number that a double holds"),
	    "true is no number");
	tap_ok(point_gives("\"asDouble\":null,\"asInt\":null", ""), "null of values");
}

static void kinds(void)
{
	tap_ok(metric_gives(
	           "\"sum\":{\"isMonotonic\":true,\"aggregationTemporality\":1}", "3a0418011001"),
	    "an enum as a number");
	tap_ok(metric_gives(
	           "\"sum\":{\"aggregationTemporality\":\"AGGREGATION_TEMPORALITY_CUMULATIVE\"}",
	           "3a021002"),
	    "and by name");
	tap_ok(metric_fails("\"sum\":{\"aggregationTemporality\":\"DELTA\"}",
	           ".sum.aggregationTemporality: DELTA is no temporality"),
	    "another name is none");
	tap_ok(metric_fails(
	           "\"sum\":{\"isMonotonic\":1}", ".sum.isMonotonic: 1 is neither true nor false"),
	    "1 is no truth");
	tap_ok(metric_gives("\"histogram\":{\"dataPoints\":[{\"bucketCounts\":[\"1\",2],"
	                    "\"explicitBounds\":[0.5],\"sum\":0}]}",
	           "4a270a253210010000000000000002000000000000003a08000000000000e03f29000000000000000"
	           "0"),
	    "arrays of numbers are packed");
	tap_ok(metric_gives("\"exponentialHistogram\":{\"dataPoints\":[{\"scale\":-3,\"positive\":"
	                    "{\"offset\":-1,\"bucketCounts\":[\"300\",1]}}]}",
	           "520d0a0b300542070801"
	           "1203ac0201"),
	    "buckets");
	tap_ok(metric_gives("\"summary\":{\"dataPoints\":[{\"quantileValues\":[{\"quantile\":0}]}]}",
	           "5a0d0a0b3209090000000000000000"),
	    "quantiles");
	tap_ok(point_gives(
	           "\"exemplars\":[{\"traceId\":\"0aFF\",\"spanId\":\"\"}]", "2a062a020aff2200"),
	    "ids in hex");
	tap_ok(point_fails("\"exemplars\":[{\"traceId\":\"0\"}]",
	           ".exemplars[0].traceId: 0 is not hexadecimal"),
	    "half a byte");
	tap_ok(point_gives("\"attributes\":[{\"key\":\"k\",\"value\":{\"bytesValue\":\"+_8=\"}}]",
	           "3a090a016b12043a02fbff"),
	    "base64 of both alphabets");
	tap_ok(point_gives("\"attributes\":[{\"value\":{\"bytesValue\":\"AQ\"}}]", "3a0512033a0101"),
	    "without padding");
	tap_ok(point_fails("\"attributes\":[{\"value\":{\"bytesValue\":\"A\"}}]",
	           ".attributes[0].value.bytesValue: A is not base64"),
	    "too short");
	tap_ok(point_gives(
	           "\"attributes\":[{\"value\":{\"arrayValue\":{\"values\":[{\"boolValue\":false},"
	           "{\"intValue\":\"-1\"}]}}},{\"value\":{\"kvlistValue\":{\"values\":[{\"key\":"
	           "\"a\"}]}}}]",
	           "3a1512132a110a0210000a0b18ffffffffffffffffff013a09120732050a030a0161"),
	    "values in values");
	tap_ok(point_fails("\"attributes\":[null]", ".attributes[0]: an object should stand here"),
	    "null is no element");
	tap_ok(point_fails("\"attributes\":{}", ".attributes: an array should stand here"),
	    "an object is no array");
	tap_ok(metric_fails("\"name\":1", ".name: 1 is no string"), "a number is no string");
}

static void texts(void)
{
	tap_ok(fails("", "the text ends too early"), "nothing");
	tap_ok(fails("[]", "the request should be a JSON object"), "an array");
	tap_ok(fails("{} x", "something stands behind the request"), "more than a request");
	tap_ok(fails("{\"a\"}", "a colon should stand here"), "no colon");
	tap_ok(fails("{a:1}", "a key should stand here"), "no key");
	tap_ok(fails("{\"a\":1,}", "a key should stand here"), "a comma too many");
	tap_ok(fails("{\"a\":1 \"b\":2}", "a comma should stand here"), "a comma too few");
	tap_ok(fails("{\"a\":[1,}", "a value should stand here"), "no value");
	tap_ok(fails("{\"a\":[1}", "a comma should stand here"), "another bracket");
	tap_ok(fails("{\"a\":tru}", "tru is no value"), "no word");
	tap_ok(fails("{\"a\":\"\\x\"}", "a string has an escape that is none"), "no escape");
	tap_ok(fails("{\"a\":\"\\u12g4\"}", "a string has an escape that is none"), "no digits");
	tap_ok(fails("{\"a\":\"\n\"}", "a control character stands in a string"), "a line feed");
	tap_ok(fails("{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":\"a",
	           "resourceMetrics[0].resource.attributes[0].key: the text ends too early"),
	    "half a string");
}

static void limits(void)
{
	char text[4096];
	size_t n = 0;
	for (unsigned i = 0; i < 200; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "{\"x\":");
	tap_ok(!make(text) && strstr(eb.text, "too deep"), "objects too deep in one another");
	n = (size_t)snprintf(
	    text, sizeof(text), "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"value\":");
	for (unsigned i = 0; i < 60; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "{\"arrayValue\":{\"values\":[");
	tap_ok(!make(text) && strstr(eb.text, "too deep"), "known ones, too");
	const char *name = metric("\"name\":\"0123456789012345678901234567890123456789\"");
	tap_ok(!turns(name, strlen(name), 40, SIZE_MAX) &&
	        !strcmp(eb.text, "the request is larger than 40 bytes (--limits.body-bytes)"),
	    "a result that is too large");
	const char *whole = metric("\"name\":\"abc\",\"gauge\":{\"dataPoints\":[{\"asInt\":1},{}]}");
	char want[256];
	(void)snprintf(want, sizeof(want), "%s", make(whole));
	const char *got = turns(whole, strlen(whole), 4096, 1);
	tap_ok(got && !strcmp(got, want), "read in turns it is the same");
	unsigned bad = 0;
	for (size_t i = 0; i < strlen(whole); i++) {
		char *part = malloc(i + 1);
		memcpy(part, whole, i);
		bad += turns(part, i, 4096, SIZE_MAX) != NULL;
		free(part);
	}
	tap_ok(!bad, "no part of it is taken for the whole");
	/* Nested lengths of more than one byte. */
	char large[1500];
	(void)snprintf(large, sizeof(large), "\"name\":\"%01000d\",\"unit\":\"%0200d\"", 0, 0);
	got = make(metric(large));
	tap_ok(got && !strncmp(got, "0abc0912b90912b6090ae80730", 26), "lengths of two bytes");
}

int main(void)
{
	shapes();
	numbers();
	kinds();
	texts();
	limits();
	return tap_done();
}
