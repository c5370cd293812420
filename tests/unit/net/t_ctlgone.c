/*
 * What a deletion would take: the question that a server is asked, at any times, and its answers,
 * also those that are none.
 */
#include "net/ctl/ctlgone.h"

#include "tests/lib/tap.h"

static char told[1024];

static const char *text_of(struct buf *b)
{
	snprintf(told, sizeof(told), "%.*s", (int)b->len, b->len ? (char *)b->data : "");
	buf_release(b);
	return told;
}

static const char *ask(int64_t t_min_ms, int64_t t_max_ms)
{
	struct buf b;
	buf_init(&b);
	ctlgone_ask(&b, "up", t_min_ms, t_max_ms);
	return text_of(&b);
}

static void questions(void)
{
	struct buf b;
	buf_init(&b);
	ctlgone_try(&b);
	tap_is_str(text_of(&b), "query=vector%280%29&explain=1", "first for a constant");
	tap_is_str(ask(1000, 61000), "query=up%0A%5B60001ms%5D&time=61&explain=1",
	    "both ends are in the range");
	tap_is_str(ask(5, 5), "query=up%0A%5B1ms%5D&time=0.005&explain=1", "of one time, too");
	tap_is_str(ask(CTLGONE_BEGIN_MS, CTLGONE_END_MS),
	    "query=up%0A%5B6311433600001ms%5D&time=4102444800&explain=1", "all times");
	tap_is_str(ask(4102444799000, CTLGONE_END_MS),
	    "query=up%0A%5B1001ms%5D&time=4102444800&explain=1", "from a begin on");
	tap_is_str(ask(CTLGONE_BEGIN_MS, -2208988799000),
	    "query=up%0A%5B1001ms%5D&time=-2208988799&explain=1", "up to an end");
	/* No duration is longer than 292 years, and none is nothing, whatever was given. */
	static const int64_t far[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1, 4102444800000,
		4102444800001, 1ll << 60, INT64_MAX - 1, INT64_MAX };
	unsigned bad = 0;
	for (size_t i = 0; i < COUNT_OF(far); i++)
		for (size_t k = i; k < COUNT_OF(far); k++) {
			const char *at = strstr(ask(far[i], far[k]), "%5B");
			long long ms = at ? atoll(at + 3) : 0;
			bad += ms < 1 || ms > 292ll * 365 * 86400 * 1000;
		}
	tap_is_u64(bad, 0, "far times give durations that PromQL has");
}

static bool take(const char *json, struct ctlgone *out)
{
	json_t *j = json_loads(json, JSON_DECODE_ANY, NULL);
	bool ok = ctlgone_take(j, out);
	json_decref(j);
	return ok;
}

static const char *words(double series, double samples, bool about)
{
	struct buf b;
	buf_init(&b);
	ctlgone_words(&b, &(struct ctlgone){ .series = series, .samples = samples, .about = about });
	return text_of(&b);
}

static void answers(void)
{
	struct ctlgone g, sum = { 0 };
	tap_ok(take("{\"selectors\":[{}],\"series\":3,\"samples\":240,\"seriesKind\":\"exact\"}", &g) &&
	        g.series == 3 && g.samples == 240 && !g.about,
	    "what the server counts");
	ctlgone_add(&sum, &g);
	tap_ok(take("{\"selectors\":[],\"series\":9,\"samples\":1e6,\"seriesKind\":\"sampled\"}", &g) &&
	        g.about,
	    "or estimates");
	ctlgone_add(&sum, &g);
	tap_ok(sum.series == 12 && sum.samples == 1000240 && sum.about, "together");
	static const char *const none[] = { "null", "[]", "3", "{}",
		"{\"resultType\":\"matrix\",\"result\":[]}",
		"{\"selectors\":{},\"series\":3,\"samples\":1,\"seriesKind\":\"exact\"}",
		"{\"selectors\":[],\"series\":\"3\",\"samples\":1,\"seriesKind\":\"exact\"}",
		"{\"selectors\":[],\"series\":3,\"seriesKind\":\"exact\"}",
		"{\"selectors\":[],\"series\":3,\"samples\":1,\"seriesKind\":1}" };
	for (size_t i = 0; i < COUNT_OF(none); i++)
		tap_ok(!take(none[i], &g), "%s is no answer", none[i]);
	tap_is_str(words(1, 1, false), "1 series, 1 sample", "one");
	tap_is_str(words(0, 0, true), "about 0 series, about 0 samples", "nothing, perhaps");
	tap_is_str(words(999999, 1234567, true), "about 999999 series, about 1.23 M samples",
	    "a million is told in short");
	struct buf b;
	buf_init(&b);
	ctlgone_span(&b, CTLGONE_BEGIN_MS, CTLGONE_END_MS);
	ctlgone_span(&b, 0, CTLGONE_END_MS);
	ctlgone_span(&b, CTLGONE_BEGIN_MS, 1500);
	ctlgone_span(&b, 0, 1000);
	tap_is_str(text_of(&b),
	    " of all times from 1970-01-01T00:00:00Z up to 1970-01-01T00:00:01.500Z "
	    "from 1970-01-01T00:00:00Z to 1970-01-01T00:00:01Z",
	    "times in words");
}

int main(void)
{
	questions();
	answers();
	return tap_done();
}
