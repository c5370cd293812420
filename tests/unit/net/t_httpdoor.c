/*
 * The HTTP server over loopback, HTTP/1.1: requests that wait at the door, who is let in, who
 * leaves, what is read meanwhile.
 */
#include "tests/lib/tap.h"
#include "tests/unit/net/httpserve.h"

static void door_set(bool shut)
{
	__atomic_store_n(&door_shut, shut, __ATOMIC_RELEASE);
}

/* Until so many wait at the door. */
static bool door_waits(unsigned n)
{
	for (unsigned i = 0; i < 20000 && doors_all().waits != n; i++)
		usleep(1000);
	return doors_all().waits == n;
}

/* A connection that has sent text and waits at the door; nothing has come back. */
static int at_door(const char *text)
{
	unsigned before = doors_all().waits;
	char c;
	int fd = httpcli_dial(address);
	httpcli_puts(fd, text);
	tap_ok(door_waits(before + 1) && recv(fd, &c, 1, MSG_DONTWAIT) < 0, "waits at the door");
	return fd;
}

static void is_answered(int fd, int status, const char *body, const char *what)
{
	struct httpcli_answer a = httpcli_read(fd, false, 20000);
	tap_ok(a.status == status && (!body || !strcmp(a.body, body)), "%s: %d %s", what, a.status,
	    a.body ? a.body : "");
	httpcli_free(&a);
}

#define POST(path, more, len)                                                                      \
 "POST " path " HTTP/1.1\r\nHost: a\r\n" more "Content-Length: " len "\r\n\r\n"

static void door_waiting(void)
{
	unsigned asked = doors_all().asked;
	door_set(true);
	int get = at_door(GET("/ping", "X-Door: 1\r\n") GET("/label/x/values", ""));
	int post = at_door(POST("/echo", "X-Door: 1\r\n", "5") "body!" GET("/ping", ""));
	int chunked = at_door("POST /echo HTTP/1.1\r\nHost: a\r\nX-Door: 1\r\n"
	                      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	int thrice = at_door(GET("/ping", "X-Door: 3\r\n"));
	int no = at_door(POST("/echo", "X-Door: no\r\n", "5") "body!" GET("/ping", ""));
	int busy = at_door(POST("/echo", "X-Door: busy\r\n", "5") "body!" GET("/ping", ""));
	int early = at_door(POST("/proto", "X-Door: 1\r\n", "5") "body!");
	int large = at_door(POST("/small", "X-Door: 1\r\n", "5000"));
	int expects = at_door(POST("/echo", "Expect: 100-continue\r\nX-Door: 1\r\n", "3"));
	door_set(false);
	is_answered(get, 200, "pong\n", "a GET");
	is_answered(get, 200, "x|/label/x/values|", "and what came behind it");
	is_answered(post, 200, "body!", "a body that was there already");
	is_answered(post, 200, "pong\n", "and what came behind it");
	is_answered(chunked, 200, "abc", "one in chunks");
	is_answered(thrice, 200, "pong\n", "one that waits three times");
	is_answered(no, 403, "forbidden: not through this door\n", "one that is refused");
	is_answered(no, 200, "pong\n", "whose body is passed over");
	is_answered(busy, 503, "overloaded: the door stays shut\n", "one answered while it waits");
	is_answered(busy, 200, "pong\n", "whose body is passed over");
	is_answered(early, 415, NULL, "before_body comes behind the door");
	is_answered(large, 413, NULL, "so does the size");
	is_answered(expects, 100, NULL, "100 Continue comes behind the door");
	httpcli_puts(expects, "abc");
	is_answered(expects, 200, "abc", "then its body is read");
	/* Seven were asked twice, one four times, one once; four have sent another request. */
	tap_is_u64(doors_all().asked - asked, 7 * 2 + 4 + 1 + 4, "the door was asked so often");
	int all[] = { get, post, chunked, thrice, no, busy, early, large, expects };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		close(all[i]);
}

/* Of what comes meanwhile little is read. */
static void door_shuts_bodies_out(void)
{
	static char body[4u << 20];
	door_set(true);
	int fd = at_door(POST("/echo", "X-Door: 1\r\n", "4194304"));
	size_t sent = 0;
	for (unsigned idle = 0; sent < sizeof body && idle < 50;) {
		ssize_t n = send(fd, body + sent, sizeof body - sent, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		usleep(n > 0 ? 0 : 1000);
	}
	tap_ok(in_flight() <= 1 << 17, "of a body little is taken before the door: %lld",
	    (long long)in_flight());
	advance(70000); /* longer than any body may take */
	door_set(false);
	httpcli_send(fd, body + sent, sizeof body - sent);
	struct httpcli_answer a = httpcli_read(fd, false, 20000);
	tap_ok(a.status == 200 && a.len == sizeof body,
	    "its time begins when the door opens: %d, %zu", a.status, a.len);
	httpcli_free(&a);
	close(fd);
	tap_ok(quiet(0, 0), "(quiet)");
}

static void door_leaving(void)
{
	struct doors before = doors_all();
	door_set(true);
	int reset = at_door(POST("/echo", "X-Door: 1\r\n", "100") "part");
	int half = at_door(POST("/echo", "X-Door: 1\r\n", "5") "body!");
	int refused = at_door(GET("/ping", "X-Door: busy\r\n"));
	struct linger l = { .l_onoff = 1 };
	setsockopt(reset, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(reset);
	shutdown(half, SHUT_WR);
	shutdown(refused, SHUT_WR);
	for (unsigned i = 0; i < 20000 && doors_all().gone - before.gone < 3; i++) {
		advance(100);
		usleep(1000);
	}
	tap_is_u64(doors_all().gone - before.gone, 3, "who leaves while he waits is noticed");
	tap_is_u64(doors_all().waits, 0, "and waits no more");
	is_answered(half, 200, "body!", "a half-closed connection is served all the same");
	is_answered(refused, 503, NULL, "or refused");
	close(half);
	close(refused);
	tap_ok(quiet_at_last(), "nothing is left");
	tap_is_u64(doors_all().done - before.done, 3, "each was told its end");
	door_set(false);
}

static void door_draining(void)
{
	door_set(true);
	int fd = at_door(POST("/echo", "X-Door: 1\r\n", "5") "body!");
	srv_stop_accepting(srv);
	srv_drain(srv);
	door_set(false);
	struct httpcli_answer a = httpcli_read(fd, false, 20000);
	tap_ok(a.status == 200 && !strcmp(httpcli_field(&a, "connection"), "close"),
	    "who waits when the server drains is served, and told");
	httpcli_free(&a);
	close(fd);
	tap_ok(quiet(0, 0), "then nothing is left");
}

/* All connections end while some wait, and some have just been let in. */
static void door_ends(void)
{
	struct doors before = doors_all();
	int fds[20];
	door_set(true);
	for (unsigned i = 0; i < 20; i++)
		fds[i] = at_door(POST("/echo", "X-Door: 1\r\n", "5") "body!");
	door_set(false);
	srv_close_all(srv);
	tap_ok(quiet(0, 0), "the end of the server is the end of who waits");
	tap_is_u64(doors_all().done - before.done, 20, "each is told");
	for (unsigned i = 0; i < 20; i++)
		close(fds[i]);
}

static void door(void)
{
	serve(2, "127.0.0.1:0", 0);
	door_waiting();
	door_shuts_bodies_out();
	door_leaving();
	door_draining();
	stop();
	serve(2, "127.0.0.1:0", 0);
	door_ends();
	testteam_stop(&tt);
	srv_free(srv);
}

int main(void)
{
	clock_fake(1700000000000);
	door();
	return tap_done();
}
