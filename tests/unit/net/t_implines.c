/*
 * Importing from text, without a server: what is read of each format, which lines are bad and why
 * the rest is not, ranges, selectors, packed files, and going on from a mark.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <zlib.h>

#include "core/base/mem.h"
#include "net/ctl/implines.h"
#include "proto/rw2.h"
#include "proto/snapz.h"
#include "tests/lib/playsrv.h"
#include "tests/lib/tap.h"

static char dir[] = "/tmp/t_implines-XXXXXX", path[128], state[128];

static void put(const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	close(fd);
}

static struct impwork dry(const char *match)
{
	struct impwork w = {
		.t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX, .dry_run = true, .quiet = true
	};
	if (match)
		w.matches[w.matches_count++] = match;
	return w;
}

struct want {
	uint64_t floats, series, bad, passed;
};

static void reads(enum implines_format format, const char *text, const char *columns,
    struct impwork w, struct want want, const char *what)
{
	if (text)
		put(text, strlen(text));
	if (impwork_open(&w, NULL, "test"))
		abort();
	ctlprog_begin(&w.prog, "B", 0, 0, true);
	struct implines o = {
		.work = &w, .path = path, .unit = "0/file", .format = format, .csv_columns = columns
	};
	int status = implines(&o);
	tap_ok(!status && w.counts.floats == want.floats && w.counts.series == want.series &&
	        w.counts.bad == want.bad && w.counts.passed == want.passed,
	    "%s: %u samples of %u series, %u bad, %u passed (%d)", what, (unsigned)w.counts.floats,
	    (unsigned)w.counts.series, (unsigned)w.counts.bad, (unsigned)w.counts.passed, status);
	impwork_close(&w);
}

#define TEXT                                                                                       \
 "# HELP up Is it there?\n# TYPE up gauge\nup{job=\"a\"} 1 1700000000000\n"                        \
 "up{job=\"b\"} 1 1700000000000\nup{job=\"a\"} 2 1700000015000\n"
#define OMET                                                                                       \
 "# TYPE req counter\nreq_total{code=\"200\"} 17 1700000000.5 # {trace_id=\"a\"} 0.5\n"            \
 "req_total{code=\"200\"} 18 1700000015.5\n# EOF\n"
#define JSON                                                                                       \
 "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[1,2,3],"                             \
 "\"timestamps\":[1700000000000,1700000001000,1700000002000]}\n"
#define CSV                                                                                        \
 "time,name,job,value\n1700000000,up,a,1\n1700000001000,up,\"b, \"\"c\"\"\",2\n"                   \
 "2023-11-14T22:13:22Z,up,a,3\n1700000003000000000,up,a,4\r\n"

static void formats(void)
{
	reads(IMPLINES_AUTO, TEXT, NULL, dry(NULL), (struct want){ 3, 2, 0, 0 }, "text");
	reads(IMPLINES_TEXT,
	    TEXT "up 1\nup{ 1 1700000000000\nup x 1700000000000\nlast 1 1700000000000", NULL,
	    dry(NULL), (struct want){ 4, 3, 3, 0 }, "text with bad lines, and without an end");
	reads(IMPLINES_AUTO, OMET, NULL, dry(NULL), (struct want){ 2, 1, 0, 0 }, "OpenMetrics");
	reads(IMPLINES_OPENMETRICS, "a  1 1\na 1 1\nb 2\n# EOF\n", NULL, dry(NULL),
	    (struct want){ 1, 1, 2, 0 }, "OpenMetrics with bad lines");
	reads(IMPLINES_AUTO, JSON "\n{\"metric\"\n" JSON, NULL, dry(NULL),
	    (struct want){ 6, 2, 1, 0 }, "JSON lines");
	reads(IMPLINES_CSV, CSV, NULL, dry(NULL), (struct want){ 4, 2, 0, 0 }, "CSV");
	reads(IMPLINES_CSV, "up,x,1700000000,1\nup,x,17,z\n,x,1700000000,1\nup,x,1\nup,\"x,1,2\n",
	    "name,job,time,value", dry(NULL), (struct want){ 1, 1, 4, 0 },
	    "CSV without a row of names, and bad rows");
	struct impwork w = dry("up{time=\"x\\ny\",value=\"v\",name=\"n\"}");
	w.t_from_ms = 5;
	w.t_to_ms = 6;
	reads(IMPLINES_CSV,
	    "__name__,name,time,value,__value__,__timestamp__:unix_ms\n"
	    "up,n,\"x\ny\",v,1,5\nup,n,\"x\ny\",v,2,6\nup,n,\"x\ny\",v,3,7\nup,n,\"y,v,4,5\nup,n,x,v,4,5\n",
	    NULL, w, (struct want){ 2, 1, 1, 2 },
	    "CSV of an export: labels of any name, ends of lines in quotes, times in its unit");
}

#define HEAD "__name__,name,\"a,\"\"b\",\"l\nf\",__value__,__timestamp__:unix_ms\n"

/* As exports write it: labels that are called as columns are, ends of lines in quotes, units. */
static void exported(void)
{
	reads(IMPLINES_CSV, HEAD "up,x,y,z,1,5\nup,\"x\r\n\"\"\n\",,,2,-7\nup,x,y,z,1,5.5\n", NULL,
	    dry("{__name__=\"up\",name=~\"x(\\r\\n\\\"\\n)?\"}"), (struct want){ 3, 2, 0, 0 },
	    "CSV of an export");
	struct impwork w = dry("up{name=\"x\",\"a,\\\"b\"=\"y\",\"l\\nf\"=\"z\"}");
	w.t_from_ms = w.t_to_ms = 5;
	reads(IMPLINES_CSV, HEAD "up,x,y,z,1,5\n", NULL, w, (struct want){ 1, 1, 0, 0 },
	    "names in quotes; what says to be milliseconds is");
	w = dry("{time=\"t\",value=\"v\",metric=\"m\"}");
	w.t_from_ms = w.t_to_ms = 1500;
	reads(IMPLINES_CSV,
	    "time,__timestamp__:unix_s,value,__value__,metric,__name__\nt,1.5,v,1,m,up\n", NULL, w,
	    (struct want){ 1, 1, 0, 0 }, "labels that are called as columns are");
	w = dry(NULL);
	w.t_from_ms = w.t_to_ms = 1500;
	reads(IMPLINES_CSV, "name,value,time:unix_ns\nup,1,1500000000\n", NULL, w,
	    (struct want){ 1, 1, 0, 0 }, "nanoseconds");
	reads(IMPLINES_CSV, "name,value,time:rfc3339\nup,1,1970-01-01T00:00:01.5Z\nup,1,soon\n",
	    NULL, w, (struct want){ 1, 1, 1, 0 }, "texts");
	reads(IMPLINES_CSV, "name,k,value,time\nup,\"x,1,1\nup,y,1,1\nup,z,1,1\n", NULL, dry(NULL),
	    (struct want){ 2, 2, 1, 0 }, "a quote that is never closed costs its line");
	reads(IMPLINES_CSV, "name,k,value,time\nup,\"\n\n\",1,1\nup,z,1\n", NULL, dry(NULL),
	    (struct want){ 1, 1, 1, 0 }, "empty lines in quotes");
}

/* The mark that some editors write first; CR; a NUL. */
static void first_bytes(void)
{
	static const char nul[] = "name,k\0onger,value,time\nup,a,1,1\n";
	reads(IMPLINES_CSV, "\xef\xbb\xbf" CSV, NULL, dry("up"), (struct want){ 4, 2, 0, 0 },
	    "CSV with a mark of UTF-8");
	reads(IMPLINES_AUTO, "\xef\xbb\xbf" JSON, NULL, dry("up"), (struct want){ 3, 1, 0, 0 },
	    "JSON with one");
	reads(IMPLINES_AUTO, "\xef\xbb\xbfup 1 1700000000000\r\n", NULL, dry("up"),
	    (struct want){ 1, 1, 0, 0 }, "text with one, and CR");
	put(nul, sizeof(nul) - 1);
	reads(IMPLINES_CSV, NULL, NULL, dry("{k=\"a\"}"), (struct want){ 1, 1, 0, 0 },
	    "a name with a NUL ends there");
}

static void choices(void)
{
	struct impwork w = dry("up{job=\"a\"}");
	reads(IMPLINES_TEXT, TEXT, NULL, w, (struct want){ 2, 1, 0, 1 }, "one of two series");
	w = dry(NULL);
	w.t_from_ms = INT64_C(1700000000001);
	reads(IMPLINES_TEXT, TEXT, NULL, w, (struct want){ 1, 1, 0, 2 }, "from a time on");
	w.t_to_ms = INT64_C(1700000001000);
	reads(IMPLINES_JSONL, JSON, NULL, w, (struct want){ 1, 1, 0, 2 }, "JSON within a range");
	w = dry(NULL);
	w.matches[w.matches_count++] = "up{job=\"b\"}";
	w.matches[w.matches_count++] = "{job=\"a\"}";
	reads(IMPLINES_TEXT, TEXT, NULL, w, (struct want){ 3, 2, 0, 0 },
	    "one of two selectors is enough");
}

static void packed(void)
{
	char *text = malloc(8 << 20);
	size_t len = 0;
	for (unsigned i = 0; i < 100000; i++)
		len += (size_t)sprintf(text + len, "m{i=\"%u\"} %u %" PRId64 "\n", i % 1000, i,
		    INT64_C(1700000000000) + i);
	snprintf(path, sizeof(path), "%s/m.txt.gz", dir);
	gzFile f = gzopen(path, "wb1");
	if (!f || gzwrite(f, text, (unsigned)len) != (int)len || gzclose(f))
		abort();
	free(text);
	reads(IMPLINES_TEXT, NULL, NULL, dry(NULL), (struct want){ 100000, 1000, 0, 0 }, "gzip");
}

/* --- into a server, in two runs --- */

static struct playsrv srv;
static uint64_t rows, rows_max = 300000; /* then it stops */
static bool stops;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool answer(struct playconn *c)
{
	struct arena a;
	struct batch b;
	struct limits limits;
	size_t len = 0;
	if (__atomic_load_n(&stops, __ATOMIC_ACQUIRE))
		return play_puts(c, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
	arena_init(&a, 1 << 16);
	batch_init(&b);
	limits_default(&limits);
	bool ok = !snapz_length((const uint8_t *)c->body, c->body_len, &len);
	uint8_t *raw = mem_alloc(len + SNAPZ_SLOP);
	struct rw2_opts o = { .limits = &limits, .slow_bytes = SIZE_MAX };
	ok = ok && !snapz_decode((const uint8_t *)c->body, c->body_len, raw, len) &&
	    !rw2_decode(&a, NULL, raw, len, &o, &b, NULL);
	if (!ok)
		abort();
	pthread_mutex_lock(&lock);
	rows += b.rows_count;
	if (rows >= rows_max)
		__atomic_store_n(&stops, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	mem_free(raw);
	batch_release(&b);
	arena_release(&a);
	return play_puts(c, "HTTP/1.1 204 No Content\r\n\r\n");
}

static int import_all(struct ctlhttp *http, bool again, uint64_t *floats, bool *goes_on)
{
	struct impwork w = { .t_from_ms = INT64_MIN,
		.t_to_ms = INT64_MAX,
		.quiet = true,
		.mark_file = state,
		.again = again };
	if (impwork_open(&w, http, "a test's work"))
		abort();
	*goes_on = w.goes_on;
	ctlprog_begin(&w.prog, "B", 0, 0, true);
	struct implines o = { .work = &w, .path = path, .unit = "0/file", .format = IMPLINES_TEXT };
	int status = impwork_finish(&w, implines(&o));
	*floats = w.counts.floats;
	impwork_close(&w);
	return status;
}

static void write_long(unsigned lines, unsigned values)
{
	FILE *f = fopen(path, "w");
	for (unsigned i = 0; i < lines; i++)
		fprintf(f, "m{i=\"%u\"} %u %" PRId64 "\n", i % 100, i % values,
		    INT64_C(1700000000000) + i);
	fclose(f);
}

static void goes_on(void)
{
	enum {
		LINES = 900000
	};
	char url[64];
	struct ctlhttp *http;
	uint64_t floats;
	bool again;
	snprintf(path, sizeof(path), "%s/long.txt", dir);
	snprintf(state, sizeof(state), "%s/state", dir);
	write_long(LINES, 7);
	playsrv_start(&srv, false, answer, NULL);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", srv.port);
	if (ctlhttp_open(&(struct ctlhttp_access){ .server = url }, &http))
		abort();
	int first = import_all(http, false, &floats, &again);
	tap_ok(first == CTL_REFUSED && !again && !access(state, F_OK),
	    "a server that says no ends it, with a mark");
	pthread_mutex_lock(&lock);
	uint64_t before = rows;
	rows = 400000;
	rows_max = UINT64_MAX; /* stops no more */
	__atomic_store_n(&stops, false, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	write_long(LINES, 6);
	tap_ok(import_all(http, false, &floats, &again) == CTL_USAGE && !access(state, F_OK),
	    "a file that is not what it was is told, and nothing is sent");
	write_long(LINES, 7);
	int second = import_all(http, false, &floats, &again);
	uint64_t came = rows - 400000;
	tap_ok(!second && again && floats == LINES && access(state, F_OK),
	    "the same again goes on, counts all of it, and the mark is gone (%u)", (unsigned)floats);
	tap_ok(came < LINES && came + before >= LINES,
	    "what was acknowledged does not come again: %u, then %u", (unsigned)before,
	    (unsigned)came);
	pthread_mutex_lock(&lock);
	rows = 0;
	rows_max = 300000;
	pthread_mutex_unlock(&lock);
	first = import_all(http, false, &floats, &again);
	pthread_mutex_lock(&lock);
	rows = 400000;
	rows_max = UINT64_MAX;
	__atomic_store_n(&stops, false, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	write_long(LINES, 6);
	second = import_all(http, true, &floats, &again);
	tap_ok(first == CTL_REFUSED && !second && !again && floats == LINES && rows == 400000 + LINES,
	    "again is from the start, whatever the mark says (%d, %d)", first, second);
	ctlhttp_close(http);
	playsrv_stop(&srv);
}

int main(void)
{
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/lines", dir);
	formats();
	exported();
	first_bytes();
	choices();
	packed();
	goes_on();
	char command[200];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	if (system(command))
		abort();
	return tap_done();
}
