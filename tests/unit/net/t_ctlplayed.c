/* The last day of cardinality as kymoctl shows it: what rose, its course, and answers that lie. */
#include <math.h>
#include <stdlib.h>

#include "net/ctl/ctlplayed.h"
#include "tests/lib/tap.h"

static struct ctlplayed *read_text(const char *text, size_t limit)
{
	json_error_t e;
	json_t *j = json_loads(text, JSON_DECODE_ANY, &e);
	if (!j)
		tap_note("%s", e.text);
	struct ctlplayed *p = ctlplayed_read(j, limit);
	json_decref(j);
	return p;
}

static const char *course(const struct ctlplayed *p, const double *values, bool utf8)
{
	static char text[CTLPLAYED_PLACES * 4];
	struct buf b;
	buf_init(&b);
	ctlplayed_course(&b, p, values, utf8);
	snprintf(text, sizeof(text), "%.*s", (int)b.len, (const char *)b.data);
	buf_release(&b);
	return text;
}

static const char *alarms(const struct ctlplayed *p, const char *list)
{
	static char text[CTLPLAYED_PLACES + 1];
	struct buf b;
	json_t *j = json_loads(list, 0, NULL);
	buf_init(&b);
	ctlplayed_alarms(&b, p, j);
	CHECK(b.len == CTLPLAYED_PLACES);
	snprintf(text, sizeof(text), "%.*s", (int)b.len, (const char *)b.data);
	buf_release(&b);
	json_decref(j);
	return text;
}

/* A day of four moments, six hours apart; no server ran before the third. */
static const char day[] =
    "{\"names\":[\"calm\",\"grows\",\"comes\",\"small\"],\"moments\":["
    "{\"time\":0,\"since\":0,\"series\":900,\"made\":900,\"top\":[[0,800],[1,100]],\"below\":0},"
    "{\"time\":21600,\"since\":0,\"series\":1000,\"made\":100,\"top\":[[0,800],[1,200]],\"below\":7},"
    "{\"time\":64800,\"since\":60000,\"series\":3000,\"made\":2000,\"top\":[[2,1700],[0,900],[1,400]],\"below\":7},"
    "{\"time\":86400,\"since\":64800,\"series\":1300,\"made\":10,\"top\":[[0,900],[1,300],[3,5]],\"below\":5}]}";

static void a_day(void)
{
	struct ctlplayed *p = read_text(day, 3);
	tap_ok(p->moments == 4 && p->rows_count == 3 && p->series[2] == 3000 && p->made[0] == 900,
	    "moments are read, and as many rows as are asked for");
	const struct ctlplayed_row *r = p->rows;
	tap_is_str(r[0].name, "comes", "what rose most is first");
	tap_ok(r[0].then == 0 && !r[0].then_most && r[0].most == 1700 && r[0].most_at == 2 &&
	        r[0].now == 5 && r[0].now_most && isnan(r[0].values[1]),
	    "then 0, later 1,700, now 5 at most, in between nobody knows");
	tap_is_str(r[1].name, "grows", "the second");
	tap_is_str(r[2].name, "calm", "of others those with most");
	tap_ok(r[1].rise == 300 && r[2].rise == 100, "by how much");
	tap_is_str(course(p, p->series, false), "-------           @@@@@=",
	    "a course: bars up to the most, what it was until the next moment, blanks without a server");
	tap_is_str(course(p, r[0].values, false), "______            @@@@@ ",
	    "0 is a line, not known a blank");
	tap_is_str(course(p, r[0].values, true),
	    "______            \xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88 ",
	    "the same in blocks");
	tap_ok(ctlplayed_burst(p) == 2, "most new series came with the third moment");
	ctlplayed_free(p);
}

static const char list[] =
    "[{\"kind\":\"metric\",\"metric\":\"comes\",\"label\":\"\",\"target\":\"\",\"now\":false,"
    "\"firstSeen\":\"1970-01-01T17:00:00Z\",\"lastSeen\":\"1970-01-01T18:30:00Z\"},"
    "{\"kind\":\"label\",\"metric\":\"\",\"label\":\"grows\",\"target\":\"\",\"now\":true,"
    "\"firstSeen\":\"1969-12-30T17:00:00Z\",\"lastSeen\":\"1970-01-01T00:30:00Z\"},"
    "{\"kind\":\"target\",\"target\":\"a/b/host:1\",\"now\":true,"
    "\"firstSeen\":\"1969-01-01T00:00:00Z\",\"lastSeen\":\"1969-01-01T00:00:00Z\"},{},7]";

static void explosions(void)
{
	json_t *j = json_loads(list, 0, NULL);
	struct ctlplayed *p = read_text(day, 4);
	ctlplayed_mark(p, "metrics", j);
	tap_ok(p->rows[0].exploded && !p->rows[0].explodes && !p->rows[1].exploded,
	    "a metric that exploded is marked");
	ctlplayed_mark(p, "labels", j);
	tap_ok(p->rows[1].exploded && p->rows[1].explodes && !p->rows[2].exploded,
	    "a label that does, too");
	tap_is_str(alarms(p, list), "!                !!     ", "when it was");
	ctlplayed_free(p);
	p = read_text(
	    "{\"names\":[\"instance=host:1\",\"instance=host:2\"],\"moments\":[{\"time\":1,\"since\":1,"
	    "\"series\":5,\"made\":0,\"top\":[[0,5],[1,4]],\"below\":0}]}",
	    4);
	ctlplayed_mark(p, "targets", j);
	tap_ok(p->rows[0].explodes && !p->rows[1].exploded, "and a target");
	tap_is_str(course(p, p->series, false), "@                       ", "one moment has a place");
	tap_ok(ctlplayed_burst(p) == -1, "and nothing stands out");
	ctlplayed_free(p);
	json_decref(j);
}

static void lies(void)
{
	static const char *const texts[] = { "7", "[]", "{}", "{\"moments\":7,\"names\":{}}",
		"{\"moments\":[],\"names\":[]}",
		"{\"moments\":[7,null,{\"top\":[7,[],[9,9],[-1,9],[0,\"x\"],[0.5,1],[1e18,1]]}],\"names\":[null,4]}",
		"{\"moments\":[{\"time\":1e300,\"since\":-1e300,\"made\":1e300,\"top\":[[0,-1e300]],\"below\":-5},"
		"{\"time\":-1e300,\"top\":[[0,1e300],[0,7]],\"series\":-4}],\"names\":[\"x\"]}" };
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct ctlplayed *p = read_text(texts[i], 5);
		json_t *j = json_loads(list, 0, NULL);
		ctlplayed_mark(p, "pairs", j);
		tap_ok(strlen(alarms(p, list)) == CTLPLAYED_PLACES &&
		        strlen(course(p, p->series, false)) == CTLPLAYED_PLACES &&
		        ctlplayed_burst(p) < (ptrdiff_t)(p->moments + 1),
		    "%zu moments, %zu rows: %s", p->moments, p->rows_count, texts[i]);
		json_decref(j);
		ctlplayed_free(p);
	}
}

int main(void)
{
	a_day();
	explosions();
	lies();
	return tap_done();
}
