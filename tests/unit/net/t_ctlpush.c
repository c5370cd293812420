/*
 * Pushing into a server that plays: what arrives, in which order, what may be marked as
 * acknowledged, refusals, repeats, ends.
 */
#include <signal.h>

#include "core/base/mem.h"
#include "net/ctl/ctlpush.h"
#include "proto/rw2.h"
#include "proto/snapz.h"
#include "tests/lib/playsrv.h"
#include "tests/lib/tap.h"

#define SERIES 400u
#define FIRST  INT64_C(1700000000000)

static struct playsrv srv;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* What came, under the lock. */
static struct got {
	int64_t newest;
	uint64_t rows, hists;
	unsigned out_of_order;
	double sum;
} got[SERIES];
static unsigned requests, types, starts;
static size_t largest;

/* How it answers. */
static enum {
	FINE,
	SLOW,
	PARTIAL,
	OTHER_400,
	BUSY,
	BREAKS,
	FORBIDDEN
} mood;
static unsigned moody;  /* so many times; then fine */
static bool interrupts; /* the first BUSY is followed by SIGINT */

static unsigned number_of(const struct batch_row *r)
{
	uint32_t len = 0;
	const char *v = label_get((struct labels){ r->labels, r->labels_len }, "n", 1, &len);
	char text[16];
	snprintf(text, sizeof(text), "%.*s", (int)len, v ? v : "0");
	return (unsigned)atoi(text) % SERIES;
}

/* Rows of a body; into the table. */
static size_t take(const struct playconn *c, bool store)
{
	struct arena a;
	struct batch b;
	size_t len = 0, rows = 0;
	arena_init(&a, 1 << 16);
	batch_init(&b);
	bool ok = !snapz_length((const uint8_t *)c->body, c->body_len, &len);
	uint8_t *raw = mem_alloc(len + SNAPZ_SLOP);
	ok = ok && !snapz_decode((const uint8_t *)c->body, c->body_len, raw, len);
	struct limits limits;
	limits_default(&limits);
	struct rw2_opts o = { .limits = &limits, .slow_bytes = SIZE_MAX };
	ok = ok && !rw2_decode(&a, NULL, raw, len, &o, &b, NULL);
	if (!ok)
		abort();
	pthread_mutex_lock(&lock);
	requests++;
	largest = len > largest ? len : largest;
	rows = b.rows_count;
	for (size_t i = 0; store && i < b.rows_count; i++) {
		const struct batch_row *r = &b.rows[i];
		struct got *g = &got[number_of(r)];
		bool extra = r->flags & BATCH_EXTRA;
		g->out_of_order += r->t_ms <= g->newest;
		g->newest = r->t_ms > g->newest ? r->t_ms : g->newest;
		g->rows++;
		g->hists += extra && r->extra->hist;
		starts += extra && r->extra->start_ms;
		g->sum += extra ? r->extra->v : r->v;
	}
	for (size_t i = 0; store && i < b.metas_count; i++)
		types += b.metas[i].type == 1 && b.metas[i].help_len == 4;
	pthread_mutex_unlock(&lock);
	mem_free(raw);
	batch_release(&b);
	arena_release(&a);
	return rows;
}

static bool answer(struct playconn *c)
{
	char out[512];
	pthread_mutex_lock(&lock);
	bool in_mood = moody > 0;
	moody -= in_mood;
	unsigned nth = requests;
	pthread_mutex_unlock(&lock);
	if (in_mood && mood == BREAKS) {
		(void)take(c, false);
		return false;
	}
	if (in_mood && mood == BUSY && __atomic_exchange_n(&interrupts, false, __ATOMIC_ACQ_REL))
		kill(getpid(), SIGINT);
	if (in_mood && mood == BUSY)
		return play_puts(
		    c, "HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy");
	if (in_mood && mood == FORBIDDEN)
		return play_puts(c, "HTTP/1.1 403 No\r\nContent-Length: 13\r\n\r\nforbidden: no");
	if (in_mood && mood == OTHER_400)
		return play_puts(c, "HTTP/1.1 400 No\r\nContent-Length: 15\r\n\r\nbad_snappy: odd");
	if (in_mood && mood == SLOW)
		usleep(nth * 7919 % 13 * 1000);
	size_t rows = take(c, true);
	if (!in_mood || mood != PARTIAL)
		return play_puts(c, "HTTP/1.1 204 No Content\r\n\r\n");
	char text[200];
	snprintf(text, sizeof(text),
	    "partial: stored %zu of %zu samples; 2 refused; first: too_old: up{a=\"b\"}: older\n",
	    rows - 2, rows);
	snprintf(out, sizeof(out),
	    "HTTP/1.1 400 Bad Request\r\nX-Prometheus-Remote-Write-Samples-Written: %zu\r\n"
	    "X-Prometheus-Remote-Write-Histograms-Written: 0\r\nContent-Length: %zu\r\n\r\n%s",
	    rows - 2, strlen(text), text);
	return play_puts(c, out);
}

static struct ctlhttp *http;
static struct arena arena;

static struct ctlpush *begin(unsigned in_flight, size_t bytes, int how, unsigned times)
{
	struct ctlpush *p;
	struct ctlpush_opts o = { .http = http, .in_flight = in_flight, .request_bytes = bytes };
	pthread_mutex_lock(&lock);
	memset(got, 0, sizeof(got));
	requests = types = starts = 0;
	largest = 0;
	mood = how;
	moody = times;
	pthread_mutex_unlock(&lock);
	if (ctlpush_open(&o, &p))
		abort();
	return p;
}

static int series(struct ctlpush *p, unsigned n)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", n);
	arena_reset(&arena, 0);
	return ctlpush_series(p,
	    &(struct ctlpush_series){
	        .labels = label_make(&arena, "__name__", "up_total", "n", text, NULL),
	        .type = 1,
	        .help = "help" });
}

static int floats(struct ctlpush *p, int64_t from, size_t count)
{
	int64_t t[4096];
	double v[4096];
	for (size_t i = 0; i < count; i++) {
		t[i] = FIRST + (from + (int64_t)i) * 1000;
		v[i] = 1;
	}
	return ctlpush_floats(p, t, v, count);
}

/* All of `series` have `rows`, in order. */
static bool have(unsigned count, uint64_t rows)
{
	pthread_mutex_lock(&lock);
	bool ok = true;
	for (unsigned i = 0; i < count; i++)
		ok = ok && got[i].rows == rows && !got[i].out_of_order && got[i].sum == (double)rows;
	pthread_mutex_unlock(&lock);
	return ok;
}

static void plain(void)
{
	struct ctlpush *p = begin(0, 0, FINE, 0);
	struct ctlpush_counts c;
	int status = 0;
	for (unsigned i = 0; i < 100 && !status; i++) {
		status = series(p, i);
		status = status ? status : floats(p, 0, 4000);
	}
	status = status ? status : ctlpush_finish(p);
	ctlpush_counts(p, &c);
	tap_ok(!status && have(100, 4000), "400,000 samples of 100 series arrive in order");
	tap_ok(c.samples == 400000 && c.acked == 400000 && !c.refused && !c.repeated,
	    "and are counted");
	tap_ok(c.requests == requests && requests < 16 && largest <= CTLPUSH_REQUEST_BYTES + 4096 &&
	        types,
	    "in full requests: %u, of %zu bytes at most, with metadata", requests, largest);
	ctlpush_close(p);
}

/* Requests are answered out of order; a part of the positions is always right. */
static void positions(void)
{
	struct ctlpush *p = begin(8, 8000, SLOW, UINT32_MAX);
	int status = 0;
	bool right = true, moved = false;
	uint64_t last = 0;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 200 && !status; i++) {
			ctlpush_at(p, round * 200 + i);
			status = series(p, i);
			status = status ? status : floats(p, round * 2000, i % 40 ? 150 : 2000);
			uint64_t acked = ctlpush_acked(p);
			pthread_mutex_lock(&lock);
			for (uint64_t k = last; k < acked; k++) {
				uint64_t want = k % 40 ? 150 : 2000;
				right = right && got[k % 200].rows >= want * (1 + (k >= 200));
			}
			pthread_mutex_unlock(&lock);
			right = right && acked >= last;
			moved = moved || (acked > last && acked < 390);
			last = acked;
		}
	}
	ctlpush_at(p, 400);
	status = status ? status : ctlpush_finish(p);
	tap_ok(!status && right && moved,
	    "what is acknowledged has arrived, whatever order answers have");
	tap_ok(ctlpush_acked(p) == 400, "in the end that is all of it");
	bool order = true;
	for (unsigned i = 0; i < 200; i++)
		order = order && !got[i].out_of_order && got[i].rows == (i % 40 ? 300 : 4000);
	tap_ok(order, "each series came in its order, across requests and rounds");
	tap_ok(playsrv_get(srv.open_max) > 2, "several requests were under way");
	ctlpush_close(p);
}

static void partial(void)
{
	struct ctlpush *p = begin(2, 20000, PARTIAL, 3);
	struct ctlpush_counts c;
	int status = 0;
	for (unsigned i = 0; i < 10 && !status; i++) {
		ctlpush_at(p, i);
		status = series(p, i);
		status = status ? status : floats(p, 0, 1000);
	}
	ctlpush_at(p, 10);
	status = status ? status : ctlpush_finish(p);
	ctlpush_counts(p, &c);
	tap_ok(!status && c.refused == 6 && c.acked == 9994 && ctlpush_acked(p) == 10,
	    "rows refused for good are counted, and the work goes on");
	tap_ok(!strcmp(c.reasons[0].word, "too_old") && c.reasons[0].count == 6 && !*c.reasons[1].word,
	    "by reason");
	tap_ok(strstr(c.first_refusal, "too_old: up{a=\"b\"}") && !strchr(c.first_refusal, '\n'),
	    "with the first one in words");
	ctlpush_close(p);
}

static void repeats(int how, const char *what)
{
	struct ctlpush *p = begin(3, 20000, how, 4);
	struct ctlpush_counts c;
	int status = 0;
	for (unsigned i = 0; i < 20 && !status; i++) {
		status = series(p, i % 10);
		status = status ? status : floats(p, i / 10 * 1000, 1000);
	}
	status = status ? status : ctlpush_finish(p);
	ctlpush_counts(p, &c);
	tap_ok(!status && have(10, 2000) && c.repeated == 4 && c.acked == 20000,
	    "%s: the same request again, in order (%d, %u repeats)", what, status,
	    (unsigned)c.repeated);
	ctlpush_close(p);
}

static void ends(int how, const char *what)
{
	struct ctlpush *p = begin(2, 20000, how, UINT32_MAX);
	int status = 0;
	for (unsigned i = 0; i < 100 && !status; i++) {
		ctlpush_at(p, i);
		status = series(p, i);
		status = status ? status : floats(p, 0, 1000);
	}
	int last = ctlpush_finish(p);
	tap_ok(last == CTL_REFUSED && (!status || status == last) && !ctlpush_acked(p),
	    "%s ends it", what);
	tap_ok(series(p, 1) == CTL_REFUSED && floats(p, 0, 1) == CTL_REFUSED, "for good");
	ctlpush_close(p);
}

static void kinds(void)
{
	union hist_count counts[2] = { { .n = 3 }, { .n = 2 } };
	struct hist_span span = { .offset = 0, .length = 2 };
	struct hist h = { .schema = 1,
		.sum = 4,
		.zero_threshold = 0.001,
		.count = { .n = 5 },
		.positive = {
		    .spans = &span, .counts = counts, .spans_count = 1, .counts_count = 2 } };
	struct ctlpush *p = begin(0, 0, FINE, 0);
	struct ctlpush_counts c;
	const int64_t t[3] = { FIRST, FIRST + 1, FIRST + 2 }, start[3] = { FIRST - 5, 0, 0 };
	const double v[3] = { 1, num_from_bits(SAMPLE_HIST_BITS), 3 };
	const struct hist *hs[3] = { NULL, &h, NULL }, *two[2] = { &h, &h };
	int status = series(p, 0);
	status = status ? status : ctlpush_samples(p, &(struct sample_column){ 3, t, v, hs, start });
	status = status ? status : series(p, 1);
	status = status ? status : ctlpush_hists(p, t, two, 2);
	status = status ? status : ctlpush_finish(p);
	ctlpush_counts(p, &c);
	tap_ok(!status && got[0].rows == 3 && got[0].hists == 1 && got[0].sum == 4 && starts == 1 &&
	        got[1].hists == 2,
	    "floats, histograms and start times of one series");
	tap_ok(c.samples == 2 && c.histograms == 3 && c.acked == 5, "each counted");
	ctlpush_close(p);
}

static void at_a_pace(void)
{
	struct ctlpush *p;
	struct ctlpush_opts o = {
		.http = http, .samples_per_s = 20000, .request_bytes = 4000, .no_pack = true
	};
	ctlpush_close(begin(0, 0, FINE, 0));
	if (ctlpush_open(&o, &p))
		abort();
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	int status = series(p, 0);
	status = status ? status : floats(p, 0, 4000);
	status = status ? status : ctlpush_finish(p);
	clock_gettime(CLOCK_MONOTONIC, &b);
	double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	tap_ok(!status && have(1, 4000) && s > 0.15,
	    "4,000 samples at 20,000/s, not packed: %.2f s", s);
	ctlpush_close(p);
}

/* SIGINT while the server takes nothing: what it had taken is marked. Last, for it stays. */
static void interrupted(void)
{
	struct ctlpush *p = begin(2, 20000, BUSY, 0);
	int status = 0;
	for (unsigned i = 0; i < 300 && !status; i++) {
		if (i == 40) {
			pthread_mutex_lock(&lock);
			moody = UINT32_MAX;
			pthread_mutex_unlock(&lock);
			__atomic_store_n(&interrupts, true, __ATOMIC_RELEASE);
		}
		ctlpush_at(p, i);
		status = series(p, i);
		status = status ? status : floats(p, 0, 1000);
	}
	int last = ctlpush_finish(p);
	uint64_t acked = ctlpush_acked(p);
	bool right = acked >= 30 && acked < 60;
	for (uint64_t k = 0; k < acked; k++)
		right = right && got[k].rows == 1000;
	tap_ok(status == CTL_INTERRUPTED && last == status && right,
	    "SIGINT ends it, and what was acknowledged is known: %u", (unsigned)acked);
	ctlpush_close(p);
}

int main(void)
{
	char url[64];
	arena_init(&arena, 4096);
	playsrv_start(&srv, false, answer, NULL);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", srv.port);
	struct ctlhttp_access access = { .server = url };
	ctl_catch();
	if (ctlhttp_open(&access, &http))
		return 99;
	plain();
	positions();
	partial();
	repeats(BUSY, "503");
	repeats(BREAKS, "a broken connection");
	ends(FORBIDDEN, "403");
	ends(OTHER_400, "a 400 that is not partial");
	kinds();
	at_a_pace();
	interrupted();
	ctlhttp_close(http);
	playsrv_stop(&srv);
	arena_release(&arena);
	return tap_done();
}
