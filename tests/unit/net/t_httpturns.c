/*
 * The HTTP server over loopback, HTTP/1.1: turns of many, readers that are slow or do not read,
 * deadlines (on the fake clock), pressure, shares, clients that vanish, the drain.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "net/api/api.h"
#include "net/daemon/drain.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/unit/net/httpserve.h"

/* The client takes nothing: the answer waits, bounded, and in the end the connection is cut. */
static void slow_reader(void)
{
	int fd = httpcli_dial(address), small = 4096;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	unsigned done = seen_all().streams_done;
	httpcli_puts(fd, GET("/stream?100000000", ""));
	usleep(1500000);
	advance(0);
	tap_is_u64(seen_all().streams_done, done, "a slow reader makes the stream wait");
	advance(59000);
	tap_is_u64(srv_connections(srv), 1, "it may rest for 59 s");
	/* On a slow machine it may have gone on meanwhile: then its minute begins again. */
	bool cut = false;
	for (unsigned n = 0; n < 20 && !cut; n++) {
		advance(n ? 61000 : 2000);
		cut = quiet_within(0, 0, 1000);
	}
	tap_ok(cut, "after 60 s without progress it is cut off");
	tap_is_u64(seen_all().streams_done, done + 1, "and the stream is told");
	close(fd);
	/* Pipelining without reading is bounded, too. */
	fd = httpcli_dial(address);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	size_t sent = 0;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	static char many[64000];
	size_t unit = strlen(GET("/big?20000", "")), len = 0;
	while (len + unit < sizeof many) {
		memcpy(many + len, GET("/big?20000", ""), unit);
		len += unit;
	}
	while (poll(&p, 1, 300) > 0 && sent < (64u << 20)) {
		ssize_t n = send(fd, many, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	tap_ok(sent < (64u << 20), "a client that only asks is stopped after %zu bytes", sent);
	/*
	 * On a slow machine the server may still be writing what it had read: then it has made
	 * progress, and its minute begins again.
	 */
	bool gone = false;
	for (unsigned n = 0; n < 20 && !gone; n++) {
		advance(61000);
		gone = quiet_within(0, 0, 1000);
	}
	tap_ok(gone, "and cut off");
	close(fd);
}

static void deadlines(void)
{
	int idle = httpcli_dial(address), head = httpcli_dial(address),
	    body = httpcli_dial(address), fast = httpcli_dial(address), lazy = httpcli_dial(address);
	httpcli_puts(head, "GET /ping HTTP/1.1\r\nHo");
	httpcli_puts(body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
	httpcli_puts(fast, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
	httpcli_puts(lazy, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
	for (unsigned i = 0; i < 60000 && (srv_connections(srv) < 5 || srv_requests(srv) < 3); i++)
		usleep(1000);
	tap_is_u64(srv_connections(srv), 5, "five slow clients");
	static char some[20000];
	for (unsigned s = 0; s < 6; s++) {
		advance(1000);
		httpcli_send(fast, some, 15000);
		httpcli_send(lazy, some, 2000);
		usleep(5000);
	}
	tap_ok(quiet(3, 99) && srv_connections(srv) == 3, "a body below 1 KiB/s ends after 5 s");
	tap_ok(httpcli_closed(body, 60000), "without an answer");
	tap_ok(httpcli_closed(lazy, 60000), "so does one that is slow for the size it has named");
	for (unsigned s = 0; s < 5; s++) {
		httpcli_puts(head, "x");
		advance(1000);
		httpcli_send(fast, some, 15000);
		usleep(5000);
	}
	tap_ok(httpcli_closed(head, 60000), "a head must be there after 10 s, whatever trickles in");
	for (unsigned s = 0; s < 50; s++) {
		advance(1000);
		httpcli_send(fast, some, 15000);
		usleep(2000);
	}
	tap_ok(httpcli_closed(fast, 60000), "a body must be there after 60 s");
	tap_ok(!httpcli_closed(idle, 10), "an idle connection may rest");
	advance(16000);
	tap_ok(httpcli_closed(idle, 60000), "for 75 s");
	close(idle);
	close(head);
	close(body);
	close(fast);
	close(lazy);
	tap_ok(quiet(0, 0), "nothing is left of them");
}

static void leaving(void)
{
	unsigned gone = seen_all().hang_gone, done = seen_all().hang_done;
	int fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/hang", ""));
	usleep(50000);
	shutdown(fd, SHUT_WR);
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	tap_is_i64(
	    a.status, 499, "a half-closed connection tells the handler, and still gets its answer");
	httpcli_free(&a);
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/hang", ""));
	usleep(50000);
	struct linger l = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(fd);
	tap_ok(quiet(0, 0), "so does one that is reset");
	tap_ok(seen_all().hang_gone == gone + 2 && seen_all().hang_done == done + 2,
	    "on_gone and on_done run once each");
}

static void vanish(unsigned rounds)
{
	static const char *const talk[] = {
		GET("/ping", "") GET("/stream?30000", "Accept-Encoding: gzip\r\n") GET("/ping", ""),
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n0123456789012345678901234567890123456789" GET(
		    "/hang", ""),
		"POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n01234567890123456789012345678901\r\n5;x=y\r\nabcde\r\n0\r\nA: b\r\n\r\n" GET(
		    "/later", "") GET("/big?200000", ""),
		"POST /hang HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n01234567890123456789012345678901234567890123456789",
		"POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\nabc",
		"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\nabc",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};
	tap_ok(quiet(0, 0), "(quiet before)");
	unsigned fds = testlib_open_fds();
	srand(11);
	for (unsigned i = 0; i < rounds; i++) {
		const char *t = talk[(unsigned)rand() % COUNT_OF(talk)];
		size_t len = (size_t)rand() % (strlen(t) + 1);
		int fd = httpcli_dial(address);
		size_t half = len ? (size_t)rand() % (len + 1) : 0;
		httpcli_send(fd, t, half);
		if (rand() % 4 == 0)
			usleep(300);
		httpcli_send(fd, t + half, len - half);
		char some[5000];
		if (rand() % 2)
			httpcli_some(fd, some, sizeof some, rand() % 2);
		if (rand() % 2) {
			struct linger l = { .l_onoff = 1 };
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
		}
		close(fd);
	}
	tap_ok(quiet(0, 0), "%u clients that vanish leave no connection and no request", rounds);
	tap_is_i64((int64_t)metric_sum(M_INFLIGHT_BYTES), 0, "no byte in flight");
	tap_is_u64(testlib_open_fds(), fds, "and no descriptor");
	struct seen end = seen_all();
	tap_ok(end.hang_begun == end.hang_done, "all handlers have ended");
}

/* A body announced and begun: so many bytes of it come. */
static int begin_body(size_t declared, size_t sent)
{
	static char some[8u << 20];
	char head[200];
	int fd = httpcli_dial(address);
	sprintf(head, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", declared);
	httpcli_puts(fd, head);
	httpcli_send(fd, some, sent);
	return fd;
}

static void pressure(void)
{
	/* Budget 20 MiB: half of it is for large bodies. */
	int first = begin_body(6u << 20, (6u << 20) - 1);
	tap_ok(
	    in_flight_becomes(6u << 20), "a body counts as it comes: %lld", (long long)in_flight());
	int second = begin_body(2u << 20, 0), third = begin_body(8u << 20, 0);
	struct httpcli_answer a = httpcli_read(third, false, 60000);
	tap_is_i64(a.status, 503, "a body over the budget is refused at once");
	int retry = atoi(httpcli_field(&a, "retry-after"));
	tap_ok(retry >= 1 && retry <= 5, "with Retry-After %d", retry);
	tap_ok(!strcmp(a.body,
	           "overloaded: too many bytes of requests in flight (--web.max-inflight-bytes)\n"),
	    "in words that name the limit");
	httpcli_free(&a);
	for (unsigned i = 0; i < 60000 && !metric_sum(M_HTTP_PARKED); i++)
		usleep(1000);
	tap_is_u64(metric_sum(M_HTTP_PARKED), 1, "one over 70 %% waits");
	char some[1000] = { 0 };
	httpcli_send(second, some, sizeof some);
	usleep(20000);
	tap_is_i64(in_flight(), 6291456, "and is not read meanwhile");
	advance(1000);
	tap_is_i64(in_flight(), 6291456, "after 1 s, too");
	advance(900);
	tap_is_i64(in_flight(), 6291456, "nor after 1.9");
	advance(200);
	tap_ok(in_flight_becomes(6291456 + 4096) || in_flight_becomes(4096),
	    "after 2 s it is read if it fits: %lld", (long long)in_flight());
	close(first);
	close(second);
	close(third);
	tap_ok(quiet(0, 0), "(quiet)");
	tap_is_i64(in_flight(), 0, "and given back when the clients leave");
}

/* What is only announced is not there: it keeps nobody out, not even from the same address. */
static void announced(void)
{
	enum {
		CROWD = 100
	};
	int fds[CROWD];
	for (unsigned i = 0; i < CROWD; i++)
		fds[i] = begin_body(1u << 20, i % 2);
	unsigned good = 0;
	for (unsigned i = 0; i < 20; i++) {
		int fd = httpcli_dial(address);
		struct httpcli_answer a = post(fd, "/drop", "", 30000);
		good += a.status == 204;
		httpcli_free(&a);
		close(fd);
	}
	tap_is_u64(good, 20, "100 MiB announced by 100 clients: good bodies come in");
	tap_ok(in_flight() <= CROWD * 4096, "and what is held is what came: %lld",
	    (long long)in_flight());
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
	tap_ok(quiet(0, 0), "(quiet)");
	tap_is_i64(in_flight(), 0, "nothing is left");
	/* The least that a body which comes slowly takes away from others. */
	for (unsigned i = 0; i < CROWD; i++)
		fds[i] = begin_body(1u << 20, 200000);
	usleep(200000);
	tap_ok(in_flight() > 8 << 20, "now much is held: %lld", (long long)in_flight());
	for (unsigned i = 0; i < 12 && in_flight() > 8 << 20; i++) {
		advance(1000);
		usleep(50000);
	}
	tap_ok(in_flight() <= 8 << 20, "bodies that do not go on make room: %lld",
	    (long long)in_flight());
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
}

/* One address has everything, until another one asks. */
static void shares(void)
{
	int fds[4];
	tap_ok(quiet_at_last(), "(quiet)");
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		fds[i] = begin_body(1800000, 1799999);
	tap_ok(in_flight_becomes(7200000),
	    "one address has most of what large bodies may take: %lld", (long long)in_flight());
	int other = dial_from("127.0.0.9");
	httpcli_puts(other, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
	struct pollfd p = { .fd = other, .events = POLLIN };
	tap_ok(poll(&p, 1, 100) == 0, "another one that asks waits, for it has less than its share");
	int mine = begin_body(1100000, 0);
	struct httpcli_answer a = httpcli_read(mine, false, 60000);
	tap_is_i64(a.status, 503, "the first gets no more meanwhile");
	httpcli_free(&a);
	close(mine);
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		close(fds[i]);
	tap_ok(in_flight_becomes(0), "(it leaves)");
	advance(30);
	static char body[4000000];
	httpcli_send(other, body, sizeof body);
	a = httpcli_read(other, false, 60000);
	tap_is_i64(a.status, 204, "and the other one comes in");
	httpcli_free(&a);
	close(other);
	tap_ok(quiet(0, 0) && !in_flight(), "(quiet)");
}

/* Answers nobody has read: what may give a large one is refused, the rest goes on. */
static int64_t held(void)
{
	return (int64_t)metric_sum(M_ANSWER_BYTES);
}

static void unread_answers(void)
{
	int fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /big?8000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	for (unsigned i = 0; i < 60000 && held() < 8000000; i++)
		usleep(1000);
	tap_ok(held() == 8000000, "a whole answer counts until it is read: %lld", (long long)held());
	close(fd);
	fd = httpcli_dial(address);
	httpcli_puts(fd, "GET /stream?900000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
	for (unsigned i = 0;
	     i < 60000 && (held() < 2 * LIMIT_UNREAD_BYTES || held() > 4 * LIMIT_UNREAD_BYTES); i++)
		usleep(1000);
	tap_ok(held() >= 2 * LIMIT_UNREAD_BYTES && held() <= 4 * LIMIT_UNREAD_BYTES,
	    "a stream counts with its buffers: %lld", (long long)held());
	close(fd);
	tap_ok(quiet_at_last(), "(quiet)");
	tap_is_u64((uint64_t)held(), 0, "and nothing counts when it is over");
	limit_answers_add(9, test_limits.http_answer_bytes + 1);
	struct httpcli_answer a = ask("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
	tap_ok(a.status == 503, "too much waits: %d", a.status);
	httpcli_free(&a);
	limit_answers_sub(9, test_limits.http_answer_bytes + 1);
	a = ask("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
	tap_ok(a.status == 200, "and when it is read all is well: %d", a.status);
	httpcli_free(&a);
}

/* Answers that are small and many: what nobody reads is counted, and bounded. */
static void unread_small(void)
{
	enum {
		CROWD = 20
	};
	static char many[20000];
	size_t len = 0;
	int fds[CROWD], small = 4096;
	int64_t before = held();
	while (len + 60 < sizeof many)
		len += (size_t)sprintf(many + len, "%s", GET("/big?9000", ""));
	for (unsigned i = 0; i < CROWD; i++) {
		fds[i] = httpcli_dial(address);
		setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
		httpcli_send(fds[i], many, len);
	}
	int64_t last = -1;
	while (last != held()) {
		last = held();
		usleep(200000);
	}
	tap_ok(last - before > CROWD * 20000 && last - before < CROWD * 60000,
	    "what 20 connections do not read is counted: %lld", (long long)(last - before));
	/* One of them reads a little, now and then. */
	char some[200];
	for (unsigned i = 0; i < 3; i++) {
		advance(30000);
		httpcli_some(fds[0], some, 60, 100);
	}
	tap_ok(quiet(0, 0),
	    "a minute later who does not read is gone, and who reads 2 bytes a second");
	tap_is_i64(held(), 0, "and nothing is held");
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
}

/* Behind a running request much waits: the end of the client is seen all the same. */
static void leaving_unread(void)
{
	static char many[100000];
	unsigned gone = seen_all().hang_gone;
	int fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/hang", ""));
	memset(many, 'x', sizeof many);
	httpcli_puts(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	httpcli_send(fd, many, sizeof many);
	usleep(100000);
	close(fd);
	usleep(50000);
	for (unsigned i = 0; i < 3; i++)
		advance(1000);
	tap_ok(quiet_at_last(), "it leaves, and its request ends");
	tap_is_u64(seen_all().hang_gone, gone + 1, "for its handler was told");
}

/* Many clients with much to do, each in its turn: nobody waits for all of them. */
static void turns(void)
{
	enum {
		CROWD = 30,
		EACH = 40
	};
	int fds[CROWD];
	static char many[EACH * 80];
	size_t len = 0;
	for (unsigned i = 0; i < EACH; i++)
		len += (size_t)sprintf(many + len, "%s", GET("/busy?300", ""));
	unsigned before = seen_all().busy;
	for (unsigned i = 0; i < CROWD; i++) {
		fds[i] = httpcli_dial(address);
		httpcli_send(fds[i], many, len);
	}
	/* Each request takes 300 us: 360 ms of work lie before this one when turns are long. */
	unsigned done = 0;
	for (unsigned i = 0; i < 5; i++) {
		struct httpcli_answer a = ask(GET("/ping", ""));
		done += a.status == 200;
		httpcli_free(&a);
	}
	unsigned meanwhile = seen_all().busy - before;
	tap_ok(done == 5 && meanwhile < CROWD * EACH * 2 / 3,
	    "five others are served while %u of %d long requests run", meanwhile, CROWD * EACH);
	unsigned right = 0;
	for (unsigned i = 0; i < CROWD; i++) {
		for (unsigned k = 0; k < EACH; k++) {
			struct httpcli_answer a = httpcli_read(fds[i], false, 60000);
			right += a.status == 200;
			httpcli_free(&a);
		}
		close(fds[i]);
	}
	tap_is_u64(right, CROWD * EACH, "and all of those are answered, too");
	tap_ok(quiet(0, 0), "(quiet)");
}

/* A writer that always has something to do; between two of its slices others come. */
static struct writer {
	struct job job;
	unsigned slices;
	bool over;
} writer;

static enum job_state writer_run(struct job *j)
{
	struct writer *w = CONTAINER_OF(j, struct writer, job);
	w->slices++;
	seen_on[0].pulls_row = 0;
	w->over = j->cancel;
	return w->over ? JOB_DONE : JOB_YIELD;
}

static void writer_begin(void *arg)
{
	(void)arg;
	writer = (struct writer){ .slices = 0 };
	seen_on[0].pulls_row_max = 0;
	seen_on[0].pulls = 0;
	job_init(&writer.job, JOB_WRITE, writer_run);
	job_start(loop_here(), &writer.job);
}

static void writer_end(void *arg)
{
	(void)arg;
	writer.job.cancel = true;
}

static bool writer_is_over(void *arg)
{
	(void)arg;
	return writer.over;
}

/* Answers are made by jobs: with every step a slice, writes come between any two of them. */
static void making_takes_turns(bool one)
{
	enum {
		CROWD = 20
	};
	int fds[CROWD];
	unsigned right = 0;
	const char *text = one ? GET("/stream?100000", "Accept-Encoding: gzip\r\nX-Payer: one\r\n")
	                       : GET("/stream?100000", "Accept-Encoding: gzip\r\n");
	job_yield_always(true);
	testteam_run(&tt, 0, writer_begin, NULL);
	for (unsigned i = 0; i < CROWD; i++) {
		fds[i] = httpcli_dial(address);
		httpcli_puts(fds[i], text);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		struct httpcli_answer a = httpcli_read(fds[i], false, 20000);
		right += a.status == 200;
		httpcli_free(&a);
		close(fds[i]);
	}
	testteam_run(&tt, 0, writer_end, NULL);
	CHECK(testteam_wait(&tt, 0, writer_is_over, NULL, TESTTEAM_LONG_MS));
	job_yield_always(false);
	tap_is_u64(right, CROWD, "20 compressed answers %sare made beside a writer",
	    one ? "of one payer " : "");
	tap_ok(seen_on[0].pulls >= CROWD * 25 && seen_on[0].pulls_row_max == 1,
	    "which has its turn between any two of %u steps: %u in a row", seen_on[0].pulls,
	    seen_on[0].pulls_row_max);
}

/* Who does not read is not made for. */
static void nothing_for_who_does_not_read(void)
{
	int fd = httpcli_dial(address), small = 4096;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	httpcli_puts(fd, GET("/stream?100000000", ""));
	unsigned last = 0, same = 0;
	for (unsigned i = 0; i < 500 && same < 10; i++) {
		usleep(20000);
		unsigned now = __atomic_load_n(&seen_on[0].pulls, __ATOMIC_RELAXED);
		same = now == last && now ? same + 1 : 0;
		last = now;
	}
	tap_ok(same == 10, "for who does not read nothing is made any more, after %u steps", last);
	close(fd);
	tap_ok(quiet_at_last(), "(quiet)");
}

static void crowd(void)
{
	enum {
		MORE = 1000 + 20
	};
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_max < 4096) {
		tap_skip("not enough descriptors for a crowd");
		return;
	}
	r.rlim_cur = 4096;
	setrlimit(RLIMIT_NOFILE, &r);
	serve(2, "127.0.0.1:0", 0);
	static int fds[MORE];
	for (unsigned i = 0; i < MORE; i++)
		fds[i] = httpcli_dial(address);
	usleep(300000);
	unsigned closed = 0;
	for (unsigned i = 0; i < MORE; i++)
		closed += httpcli_closed(fds[i], 0);
	tap_is_u64(closed, 20, "of 1,020 connections of one address 20 are closed at once");
	tap_is_u64(srv_connections(srv), 1000, "1,000 stay, on two loops");
	for (unsigned i = 0; i < MORE; i++)
		close(fds[i]);
	tap_ok(quiet(0, 0), "all leave");
	int fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/ping", ""));
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	tap_is_i64(a.status, 200, "and the next one is welcome");
	httpcli_free(&a);
	close(fd);
	stop();
}

/* All places are taken by one address: another one gets its share. */
static void places(void)
{
	int fds[40], others[10];
	unsigned closed = 0;
	tap_ok(quiet(0, 0), "(quiet)");
	test_limits.http_connections = COUNT_OF(fds);
	advance(0);
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		fds[i] = httpcli_dial(address);
	usleep(100000);
	int more = httpcli_dial(address);
	tap_ok(httpcli_closed(more, 60000), "there is no place for one more of an address");
	close(more);
	for (unsigned i = 0; i < COUNT_OF(others); i++) {
		others[i] = dial_from("127.0.0.7");
		httpcli_puts(others[i], GET("/ping", ""));
		struct httpcli_answer a = httpcli_read(others[i], false, 60000);
		closed += a.status != 200;
		httpcli_free(&a);
		advance(2100); /* what was told to end lingers no more */
	}
	tap_is_u64(closed, 0, "another address has its share");
	closed = 0;
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		closed += httpcli_closed(fds[i], 0);
	tap_ok(closed >= 8 && closed <= 10, "for which %u of the others have gone", closed);
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		close(fds[i]);
	for (unsigned i = 0; i < COUNT_OF(others); i++)
		close(others[i]);
	test_limits.http_connections = 10000;
	tap_ok(quiet(0, 0), "(quiet)");
}

static void draining(void)
{
	int idle = httpcli_dial(address), busy = httpcli_dial(address);
	httpcli_puts(idle, GET("/ping", ""));
	struct httpcli_answer a = httpcli_read(idle, false, 60000);
	httpcli_free(&a);
	httpcli_puts(busy, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
	usleep(50000);
	srv_stop_accepting(srv);
	srv_drain(srv);
	tap_ok(httpcli_closed(idle, 60000), "a drain closes idle connections");
	tap_is_u64(srv_connections(srv), 2, "one lingers, one is busy");
	httpcli_puts(busy, "bc");
	a = httpcli_read(busy, false, 60000);
	tap_ok(a.status == 200 && !strcmp(httpcli_field(&a, "connection"), "close"),
	    "what runs is finished, and told");
	httpcli_free(&a);
	close(idle);
	close(busy);
	tap_ok(quiet(0, 0), "then nothing is left");
}

static void *let_go_later(void *arg)
{
	usleep(200000);
	__atomic_store_n(&held_back, false, __ATOMIC_RELEASE);
	return arg;
}

/* A connection may be gone while a handler still works on its request, below it the store. */
static void draining_the_left_behind(void)
{
	struct api_opts ao = { .team = tt.team, .pool = tt.pool };
	struct linger reset = { .l_onoff = 1 };
	struct api *api;
	pthread_t other;
	if (api_create(&ao, &api))
		exit(99);
	__atomic_store_n(&held_back, true, __ATOMIC_RELEASE);
	int fd = httpcli_dial(address);
	httpcli_puts(fd, GET("/hold", ""));
	for (unsigned i = 0; i < 60000 && !srv_requests(srv); i++)
		usleep(1000);
	usleep(20000);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
	for (unsigned i = 0; i < 60000 && srv_connections(srv); i++)
		usleep(1000);
	tap_is_u64(srv_requests(srv), 1, "a request is left behind by its connection");
	CHECK(!pthread_create(&other, NULL, let_go_later, NULL));
	drain_connections(srv, api);
	tap_is_u64(srv_requests(srv), 0, "a drain ends when requests have ended, too");
	pthread_join(other, NULL);
	tap_ok(quiet(0, 0), "(quiet)");
	api_free(api);
}

/* ---- spread over the loops ---- */

/* On which loop a connection is. */
static unsigned loop_of(int fd)
{
	httpcli_puts(fd, GET("/loop", ""));
	struct httpcli_answer a = httpcli_read(fd, false, 60000);
	unsigned loop = a.status == 200 && a.len == 1 ? (unsigned)(a.body[0] - '0') : LOOPS_MAX;
	httpcli_free(&a);
	return loop;
}

/* The kernel's hash does not matter: few long connections are spread evenly, whenever they come. */
static void spread(void)
{
	enum {
		LOOPS = 4,
		CONNS = 8
	};
	int fds[CONNS];
	unsigned on[LOOPS_MAX + 1] = { 0 }, first = LOOPS;
	for (unsigned i = 0; i < CONNS; i++) {
		fds[i] = httpcli_dial(address);
		on[loop_of(fds[i])]++;
	}
	for (unsigned l = 0; l < LOOPS; l++)
		tap_is_u64(on[l], CONNS / LOOPS, "of %u connections loop %u has its part", CONNS, l);
	first = loop_of(fds[0]);
	unsigned left = 0;
	for (unsigned i = 0; i < CONNS; i++) {
		if (loop_of(fds[i]) != first)
			continue;
		close(fds[i]);
		fds[i] = -1;
		left++;
	}
	tap_ok(left == 2 && quiet(CONNS - 2, 0), "those of one loop leave");
	for (unsigned i = 0; i < CONNS; i++) {
		if (fds[i] >= 0)
			continue;
		fds[i] = httpcli_dial(address);
		tap_is_u64(loop_of(fds[i]), first, "a new one takes their place");
	}
	for (unsigned i = 0; i < CONNS; i++)
		close(fds[i]);
	tap_ok(quiet(0, 0), "all leave");
}

/* A connection may be on its way between two loops when the server ends. */
static void spread_at_the_end(void)
{
	for (unsigned i = 0; i < 20; i++) {
		serve(4, "127.0.0.1:0", 0);
		int fds[16];
		for (unsigned k = 0; k < COUNT_OF(fds); k++)
			fds[k] = httpcli_dial(address);
		stop();
		for (unsigned k = 0; k < COUNT_OF(fds); k++)
			close(fds[k]);
	}
	tap_ok(true, "servers end while connections come");
}

int main(int argc, char **argv)
{
	clock_fake(1700000000000);
	serve(2, "127.0.0.1:0", 20u << 20); /* bodies of 2 MiB are large: they may take half */
	pressure();
	announced();
	shares();
	stop();
	serve(2, "127.0.0.1:0", 0);
	slow_reader();
	deadlines();
	leaving();
	vanish(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2000);
	unread_answers();
	unread_small();
	leaving_unread();
	turns();
	places();
	draining();
	stop();
	serve(1, "127.0.0.1:0", 0);
	making_takes_turns(false);
	making_takes_turns(true);
	nothing_for_who_does_not_read();
	stop();
	crowd();
	serve(4, "127.0.0.1:0", 0);
	spread();
	stop();
	spread_at_the_end();
	serve(2, "127.0.0.1:0", 0);
	draining_the_left_behind();
	stop();
	return tap_done();
}
