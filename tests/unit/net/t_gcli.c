/* Our gRPC client against our gRPC server, all four kinds, over loopback. */
#include "net/grpc/gcli.h"

#include "tests/lib/httpcli.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/unit/net/grpcecho.h"

#define CLIENT 1u /* the loop of the client */

/* A call of the test: written on its loop, read when it is over. */
struct talk {
	struct gcli_req req;
	struct gcli *call;
	const char *query;
	int64_t number;
	unsigned messages, left; /* to send */
	bool holds, streams; /* the first message is kept; each answer asks for the next message */
	bool cancels;        /* at the first message */
	bool over;
	unsigned got, rooms;
	char name[64], value[64], text[256], tail[32], head[64];
	size_t bytes;
	bool ordered;
	enum grpc_status status;
};
static struct hclient *client;
static char server[64];

static void job_say(struct talk *j)
{
	Ask a;
	ASK_INIT(&a);
	a.query = (char *)(uintptr_t)j->query;
	a.evaluation_timestamp_ms = j->number;
	while (j->left) {
		j->left--;
		if (!gcli_send(j->call, &a.base) || j->streams)
			break;
	}
	if (!j->left && !j->streams)
		gcli_end(j->call);
}

static void job_room(void *own)
{
	struct talk *j = own;
	j->rooms++;
	job_say(j);
}

static void job_message(void *own, const void *msg, size_t len)
{
	struct talk *j = own;
	const Pair *p = msg;
	char number[32];
	(void)len;
	snprintf(number, sizeof number, "%u", j->messages ? 0 : (unsigned)j->number - 1 - j->got);
	j->ordered &= !strcmp(p->value, number);
	j->got++;
	j->bytes = strlen(p->name);
	snprintf(j->name, sizeof j->name, "%s", p->name);
	snprintf(j->value, sizeof j->value, "%s", p->value);
	if (j->cancels) {
		gcli_cancel(j->call);
		j->over = true;
		return;
	}
	if (j->holds && j->got == 1)
		return;
	gcli_next(j->call);
	if (!j->streams)
		return;
	if (j->left)
		job_say(j);
	else
		gcli_end(j->call);
}

static void job_done(void *own, const struct gcli_end *end)
{
	struct talk *j = own;
	size_t len;
	const char *tail = hclient_header(end->trailers, end->trailer_count, "x-tail", &len);
	const char *head = hclient_header(end->head, end->head_count, "x-head", &len);
	j->status = end->status;
	snprintf(j->text, sizeof j->text, "%s", end->text);
	snprintf(j->tail, sizeof j->tail, "%s", tail ? tail : "");
	snprintf(j->head, sizeof j->head, "%s", head ? head : "");
	j->over = true;
}

static void job_begin(void *arg)
{
	struct talk *j = arg;
	j->req.own = j;
	j->req.message = job_message;
	j->req.room = job_room;
	j->req.done = job_done;
	j->req.in = PAIR;
	j->req.server = j->req.server ? j->req.server : server;
	j->left = j->messages ? j->messages : 1;
	j->ordered = true;
	j->call = gcli_call(client, &j->req);
	job_say(j);
}

static bool job_over(void *arg)
{
	return ((struct talk *)arg)->over;
}

static void run(struct talk *j)
{
	testteam_run(&tt, CLIENT, job_begin, j);
	testteam_wait(&tt, CLIENT, job_over, j, TESTTEAM_LONG_MS);
}

static void client_begin(void *arg)
{
	struct hclient_opts o;
	struct errbuf eb;
	(void)arg;
	hclient_opts_usual(&o);
	o.proxy = HCLIENT_PROXY_NONE;
	errbuf_init(&eb);
	if (hclient_create(loop_here(), &o, &client, &eb))
		exit(98);
}

static void client_end(void *arg)
{
	(void)arg;
	hclient_free(client);
}

static bool job_got(void *arg)
{
	return ((struct talk *)arg)->got > 0;
}

static bool job_got_more(void *arg)
{
	return ((struct talk *)arg)->got > 1;
}

static void next_now(void *arg)
{
	gcli_next(((struct talk *)arg)->call);
}

static void cancel_now(void *arg)
{
	gcli_cancel(((struct talk *)arg)->call);
}

/* ---- cases ---- */

static void kinds(void)
{
	const struct hclient_field extra = { .name = "x-mine", .value = "1" };
	struct talk a = { .query = "up", .number = 42 };
	a.req = (struct gcli_req){ .path = "/t.Test/Unary", .metadata = &extra, .metadata_count = 1 };
	run(&a);
	tap_ok(a.over && a.status == GRPC_OK && a.got == 1, "a unary call: %s", a.text);
	tap_ok(!strcmp(a.name, "up") && !strcmp(a.value, "42"), "is answered");
	tap_ok(!strcmp(a.head, "of up") && !strcmp(a.tail, "end"), "with metadata on both sides");
	struct talk b = { .query = "row", .number = 30000 };
	b.req = (struct gcli_req){ .path = "/t.Test/Count", .kind = GCLI_STREAM };
	run(&b);
	tap_ok(b.over && b.status == GRPC_OK && b.got == 30000 && b.ordered,
	    "a server's stream: %u messages, %s", b.got, b.text);
	tap_is_str(b.text, "all of them", "and a text with OK");
	struct talk d = { .query = "twenty-byte-pieces..", .messages = 40000 };
	d.req = (struct gcli_req){ .path = "/t.Test/Collect" };
	run(&d);
	tap_ok(d.over && d.status == GRPC_OK && d.bytes == 800000,
	    "a client's stream: %zu bytes, %s", d.bytes, d.text);
	tap_ok(d.rooms > 0, "which had to wait for room");
	struct talk e = { .query = "slow", .messages = 50, .streams = true };
	e.req = (struct gcli_req){ .path = "/t.Test/Chat", .kind = GCLI_STREAM };
	run(&e);
	tap_ok(e.over && e.status == GRPC_OK && e.got == 50 && !strcmp(e.text, "bye"),
	    "both talk in turns: %u, %s", e.got, e.text);
	struct talk f = { .query = "x", .messages = 2000 };
	f.req = (struct gcli_req){ .path = "/t.Test/Chat", .kind = GCLI_STREAM };
	run(&f);
	tap_ok(f.over && f.status == GRPC_OK && f.got == 2000, "or at once");
}

static void statuses(void)
{
	struct talk a = { .query = "fail" };
	a.req = (struct gcli_req){ .path = "/t.Test/Unary" };
	run(&a);
	tap_ok(a.over && a.status == GRPC_FAILED_PRECONDITION && !a.got, "a status");
	tap_is_str(a.text, "50% of \xc3\xa4\nis not all", "its text, as it was meant");
	struct talk b = { .query = "x" };
	b.req = (struct gcli_req){ .path = "/t.Test/Nothing" };
	run(&b);
	tap_ok(b.over && b.status == GRPC_UNIMPLEMENTED, "an unknown method: %s", b.text);
	struct talk d = { .query = "cut", .number = 3000000 };
	d.req = (struct gcli_req){ .path = "/t.Test/Unary" };
	run(&d);
	tap_ok(d.over && d.status == GRPC_INTERNAL && !d.got, "an answer that is cut: %s", d.text);
	struct talk e = { .query = "big", .number = 5000000 };
	e.req = (struct gcli_req){ .path = "/t.Test/Unary" };
	run(&e);
	tap_ok(e.over && e.status == GRPC_RESOURCE_EXHAUSTED && strstr(e.text, "limit 4194304"),
	    "one that is too large: %s", e.text);
	struct talk f = { .query = "big", .number = 3001 };
	f.req = (struct gcli_req){ .path = "/t.Test/Unary" };
	run(&f);
	tap_ok(f.over && f.status == GRPC_INTERNAL && strstr(f.text, "not protobuf"),
	    "one that is not protobuf: %s", f.text);
	const struct hclient_field refuse = { .name = "x-refuse", .value = "1" };
	struct talk g = { .query = "x" };
	g.req =
	    (struct gcli_req){ .path = "/t.Test/Unary", .metadata = &refuse, .metadata_count = 1 };
	run(&g);
	tap_ok(g.over && g.status == GRPC_UNAUTHENTICATED, "who is not let in: %s", g.text);
	struct talk h = { .query = "x" };
	h.req = (struct gcli_req){ .path = "/nowhere", .server = "http://127.0.0.1:1" };
	run(&h);
	tap_ok(h.over && h.status == GRPC_UNAVAILABLE, "nobody there: %s", h.text);
	struct talk i = { .query = "x" };
	i.req = (struct gcli_req){ .path = "/ping" };
	run(&i);
	tap_ok(i.over && i.status == GRPC_UNKNOWN && strstr(i.text, "HTTP says 405"),
	    "what is no gRPC server: %s", i.text);
	struct talk k = { .query = "x", .number = 2 };
	k.req = (struct gcli_req){ .path = "/t.Test/Count" };
	run(&k);
	tap_ok(k.over && k.status == GRPC_INTERNAL && strstr(k.text, "more than one"),
	    "two messages where one is meant: %s", k.text);
	struct talk l = { .query = "x" };
	l.req = (struct gcli_req){ .path = "/t.Test/Count" };
	run(&l);
	tap_ok(l.over && l.status == GRPC_INTERNAL && strstr(l.text, "no message"),
	    "none where one is meant: %s", l.text);
}

static void packed(void)
{
	static char text[3001];
	memset(text, 'z', sizeof text - 1);
	struct talk a = { .query = text };
	a.req = (struct gcli_req){ .path = "/t.Test/Unary", .packs = true };
	run(&a);
	tap_ok(a.over && a.status == GRPC_OK && a.bytes == 3000, "gzip both ways: %s", a.text);
	struct talk b = { .query = text, .messages = 500 };
	b.req = (struct gcli_req){ .path = "/t.Test/Chat", .kind = GCLI_STREAM, .packs = true };
	run(&b);
	tap_ok(b.over && b.status == GRPC_OK && b.got == 500 && b.bytes == 3000,
	    "message by message: %u, %s", b.got, b.text);
}

static bool becomes(unsigned cancelled)
{
	for (unsigned i = 0; i < 60000 && echo_all().cancelled < cancelled; i++)
		usleep(1000);
	return echo_all().cancelled >= cancelled;
}

static void ends(void)
{
	unsigned cancelled = echo_all().cancelled;
	struct talk a = { .query = "hang" };
	a.req = (struct gcli_req){ .path = "/t.Test/Unary", .timeout_ms = 3000 };
	testteam_run(&tt, CLIENT, job_begin, &a);
	tap_ok(!testteam_wait(&tt, CLIENT, job_over, &a, 200), "a call that hangs");
	advance(3100);
	bool ended = testteam_wait(&tt, CLIENT, job_over, &a, TESTTEAM_LONG_MS);
	tap_ok(ended && a.status == GRPC_DEADLINE_EXCEEDED, "ends at its deadline: %s", a.text);
	tap_ok(becomes(cancelled + 1), "and its work stops");
	struct talk b = { .query = "hang" };
	b.req = (struct gcli_req){ .path = "/t.Test/Unary" };
	unsigned messages = echo_all().messages;
	testteam_run(&tt, CLIENT, job_begin, &b);
	for (unsigned i = 0; i < 60000 && echo_all().messages == messages; i++)
		usleep(1000);
	testteam_run(&tt, CLIENT, cancel_now, &b);
	tap_ok(becomes(cancelled + 2) && !testteam_wait(&tt, CLIENT, job_over, &b, 100),
	    "one that is cancelled stops, and says no more");
	struct talk d = { .query = "row", .number = 1000000, .cancels = true };
	d.req = (struct gcli_req){ .path = "/t.Test/Count", .kind = GCLI_STREAM };
	run(&d);
	tap_ok(d.over && d.got == 1 && becomes(cancelled + 3),
	    "so does a stream, at its first message");
	struct talk e = { .query = "row", .number = 100000, .holds = true };
	e.req = (struct gcli_req){ .path = "/t.Test/Count", .kind = GCLI_STREAM };
	testteam_run(&tt, CLIENT, job_begin, &e);
	testteam_wait(&tt, CLIENT, job_got, &e, TESTTEAM_LONG_MS);
	tap_ok(!testteam_wait(&tt, CLIENT, job_got_more, &e, 300),
	    "who keeps a message gets no other");
	testteam_run(&tt, CLIENT, next_now, &e);
	bool over = testteam_wait(&tt, CLIENT, job_over, &e, TESTTEAM_LONG_MS);
	tap_ok(over && e.got == 100000 && e.ordered && e.status == GRPC_OK,
	    "then all of them, in order: %u, %s", e.got, e.text);
}

int main(void)
{
	clock_fake(1700000000000);
	limits_default(&test_limits);
	echo_serve(2);
	snprintf(server, sizeof server, "http://%s", address);
	testteam_run(&tt, CLIENT, client_begin, NULL);
	kinds();
	statuses();
	packed();
	ends();
	testteam_run(&tt, CLIENT, client_end, NULL);
	tap_ok(quiet(0, 0), "nothing is left");
	stop();
	return tap_done();
}
