#include "tests/lib/tap.h"

#include "core/base/buf.h"
#include "proto/urlq.h"

static struct arena arena;
static struct errbuf eb;

static struct urlq parsed(const char *body, const char *url)
{
	struct urlq q;
	errbuf_init(&eb);
	urlq_init(&q, &arena);
	tap_ok(!urlq_parse(&q, body, strlen(body), &eb) && !urlq_parse(&q, url, strlen(url), &eb),
	    "parsed: %s and %s", body, url);
	return q;
}

static void pairs(void)
{
	struct urlq q =
	    parsed("query=a%2Bb+c&match%5B%5D=one&&time=", "query=url&match[]=two&flag&x=1=2");
	size_t len, pos = 0;
	tap_is_str(urlq_get(&q, "query", &len), "a+b c", "the body's value counts, decoded");
	tap_is_u64(len, 5, "with its length");
	tap_is_str(urlq_get(&q, "time", NULL), "", "a value may be empty");
	tap_ok(urlq_has(&q, "time") && urlq_has(&q, "flag") && !urlq_has(&q, "nothing"),
	    "and is then still there");
	tap_is_str(urlq_get(&q, "x", NULL), "1=2", "the first = divides");
	tap_is_u64(urlq_count(&q, "match[]"), 2, "a list adds up over body and URL");
	tap_is_str(urlq_next(&q, "match[]", &pos, &len), "one", "the body's part first");
	tap_is_str(urlq_next(&q, "match[]", &pos, &len), "two", "then the URL's");
	tap_ok(!urlq_next(&q, "match[]", &pos, &len), "then no more");
}

static void bad_pairs(void)
{
	static const char *const bad[][2] = {
		{ "a=1;b=2", "invalid semicolon separator in query" },
		{ "a=%zz", "invalid URL escape \"%zz\"" },
		{ "a=%4", "invalid URL escape \"%4\"" },
		{ "%=1", "invalid URL escape \"%\"" },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct urlq q;
		errbuf_init(&eb);
		urlq_init(&q, &arena);
		tap_ok(urlq_parse(&q, bad[i][0], strlen(bad[i][0]), &eb) == ERR_BADDATA,
		    "refused: %s", bad[i][0]);
		tap_is_str(eb.text, bad[i][1], "with Go's text");
		tap_ok(urlq_parse(&q, "b=1&%&c=2;&d=3&&=4", 18, &eb) == ERR_BADDATA &&
		        q.count == 3 && !strcmp(urlq_get(&q, "b", NULL), "1") &&
		        !strcmp(urlq_get(&q, "d", NULL), "3") && !strcmp(urlq_get(&q, "", NULL), "4"),
		    "good pairs around bad ones are there");
	}
	struct buf b;
	struct urlq q;
	buf_init(&b);
	for (unsigned i = 0; i <= URLQ_PAIRS_MAX; i++)
		buf_add_str(&b, "a&");
	urlq_init(&q, &arena);
	tap_ok(!urlq_parse(&q, (char *)b.data, b.len - 2, &eb), "%u pairs pass", URLQ_PAIRS_MAX);
	urlq_init(&q, &arena);
	tap_ok(urlq_parse(&q, (char *)b.data, b.len, &eb) == ERR_TOOBIG, "one more does not");
	for (size_t i = 0; i < b.len; i += 2)
		b.data[i] = '%';
	urlq_init(&q, &arena);
	tap_ok(urlq_parse(&q, (char *)b.data, b.len, &eb) == ERR_TOOBIG, "nor do so many bad ones");
	urlq_init(&q, &arena);
	tap_ok(!urlq_add(&q, "k", 1, "v\0w", 3, &eb) && !urlq_add(&q, "", 0, "", 0, &eb) &&
	        q.count == 2 && q.pairs[0].value_len == 3 && !memcmp(q.pairs[0].value, "v\0w", 4),
	    "pairs are added as they stand");
	buf_release(&b);
}

/* 100 characters of two bytes, an odd number of bytes before them: a cut at 200 would halve one. */
static void cut_texts(void)
{
	char text[300] = "x";
	uint64_t limit;
	int64_t ms;
	for (unsigned i = 0; i < 120; i++)
		memcpy(text + 1 + 2 * i, "\xc3\xa9", 3);
	struct {
		enum err err;
		char said[ERRBUF_SIZE];
	} said[3];
	for (unsigned i = 0; i < COUNT_OF(said); i++) {
		errbuf_init(&eb);
		said[i].err = i == 0 ? urlq_limit(text, strlen(text), &limit, &eb)
		    : i == 1         ? urlq_duration(text, strlen(text), &ms, &eb)
		                     : urlq_time(text, strlen(text), &ms, &eb);
		memcpy(said[i].said, eb.text, sizeof(eb.text));
		tap_ok(said[i].err && !strstr(said[i].said, "\\x") &&
		        strstr(said[i].said, "\xc3\xa9\""),
		    "a long value is cut between characters: %s", said[i].said);
	}
	errbuf_init(&eb);
	errbuf_set(&eb, ERR_BADDATA, "y%s%s%s%s%s", text, text, text, text, text);
	tap_is_u64(strlen(eb.text), 1022, "an error's text too: %zu bytes", strlen(eb.text));
}

static void label_names(void)
{
	static const char *const names[][2] = {
		{ "job", "job" },
		{ "U__http_2e_status__code", "http.status_code" },
		{ "U____job", "_job" },
		{ "U___e9__1f600_", "\xc3\xa9\xf0\x9f\x98\x80" },
		{ "U__bad_zz_", "U__bad_zz_" },
		{ "U__bad_2e", "U__bad_2e" },
		{ "U__bad_", "U__bad_" },
		{ "U___d800_", "U___d800_" },
		{ "U___110000_", "U___110000_" },
		{ "a b", "a b" },
	};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *out = NULL;
		size_t len = 0;
		tap_ok(!urlq_label_name(&arena, names[i][0], strlen(names[i][0]), &out, &len, &eb),
		    "label name %s", names[i][0]);
		tap_is_mem(out, len, names[i][1], strlen(names[i][1]), "is %s", names[i][1]);
	}
	const char *out;
	size_t len;
	errbuf_init(&eb);
	tap_ok(urlq_label_name(&arena, "a\xff", 2, &out, &len, &eb) == ERR_BADDATA,
	    "a name that is not UTF-8 is refused");
	tap_is_str(eb.text, "invalid label name: \"a\\xff\"", "with its text");
	tap_ok(urlq_label_name(&arena, "U__", 3, &out, &len, NULL) == ERR_BADDATA &&
	        urlq_label_name(&arena, "", 0, &out, &len, NULL) == ERR_BADDATA,
	    "so is an empty one");
	tap_ok(!urlq_path_segment(&arena, "a+b%20c%2f", 10, &out, &len, &eb), "a path segment");
	tap_is_mem(out, len, "a+b c/", 6, "keeps its +");
}

static void values(void)
{
	bool on;
	tap_ok(!urlq_bool("T", 1, &on) && on && !urlq_bool("false", 5, &on) && !on, "Go's booleans");
	tap_ok(urlq_bool("yes", 3, &on) == ERR_BADDATA && urlq_bool("", 0, &on) == ERR_BADDATA,
	    "and no others");
	uint64_t limit = 7;
	tap_ok(!urlq_limit("", 0, &limit, &eb) && limit == 0, "no limit is 0");
	tap_ok(!urlq_limit("12", 2, &limit, &eb) && limit == 12, "a limit");
	errbuf_init(&eb);
	tap_ok(urlq_limit("-1", 2, &limit, &eb) == ERR_BADDATA, "a negative one");
	tap_is_str(eb.text, "limit must be non-negative", "is told so");
	errbuf_init(&eb);
	tap_ok(urlq_limit("x", 1, &limit, &eb) == ERR_BADDATA, "no number");
	tap_is_str(eb.text, "strconv.Atoi: parsing \"x\": invalid syntax", "has Go's text");

	static const struct {
		const char *text;
		int64_t ms;
	} durations[] = { { "15", 15000 }, { "0.5", 500 }, { "1h30m", 5400000 }, { "500ms", 500 },
		{ "0", 0 }, { "-1", -1000 }, { "1e3", 1000000 } };
	for (size_t i = 0; i < COUNT_OF(durations); i++) {
		int64_t ms = -7;
		tap_ok(!urlq_duration(durations[i].text, strlen(durations[i].text), &ms, &eb) &&
		        ms == durations[i].ms,
		    "duration %s", durations[i].text);
	}
	static const char *const bad[][2] = {
		{ "abc", "cannot parse \"abc\" to a valid duration" },
		{ "", "cannot parse \"\" to a valid duration" },
		{ "1e30", "cannot parse \"1e30\" to a valid duration. It overflows int64" },
		{ "9223372036.854775807",
		    "cannot parse \"9223372036.854775807\" to a valid duration. It overflows int64" },
		{ "1m1h", "cannot parse \"1m1h\" to a valid duration" },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		int64_t ms;
		errbuf_init(&eb);
		tap_ok(urlq_duration(bad[i][0], strlen(bad[i][0]), &ms, &eb) == ERR_BADDATA,
		    "no duration: %s", bad[i][0]);
		tap_is_str(eb.text, bad[i][1], "with its text");
	}
	int64_t t;
	tap_ok(!urlq_time("1435781451.781", 14, &t, &eb) && t == 1435781451781, "a time in seconds");
	tap_ok(!urlq_time("2015-07-01T20:10:51.781Z", 24, &t, &eb) && t == 1435781451781,
	    "a time by its date");
	errbuf_init(&eb);
	tap_ok(urlq_time("now", 3, &t, &eb) == ERR_BADDATA, "no time");
	tap_is_str(eb.text, "cannot parse \"now\" to a valid timestamp", "with its text");
}

int main(void)
{
	arena_init(&arena, 4096);
	pairs();
	cut_texts();
	bad_pairs();
	label_names();
	values();
	arena_release(&arena);
	return tap_done();
}
