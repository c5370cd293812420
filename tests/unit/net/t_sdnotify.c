#include "net/daemon/sdbeat.h"
#include "net/daemon/sdnotify.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

#define STILL_NS UINT64_C(1500000000) /* idle loops turn once a second */

static int manager = -1; /* who listens */

static void listen_at(const char *name, bool abstract)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	memcpy(sa.sun_path + abstract, name, len);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t sa_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	if (manager < 0 || bind(manager, (struct sockaddr *)&sa, sa_len))
		exit(99);
}

/* The next message, "" when none comes within wait_ms. */
static const char *heard(int wait_ms)
{
	static char text[4096];
	struct pollfd p = { .fd = manager, .events = POLLIN };
	text[0] = 0;
	if (poll(&p, 1, wait_ms) == 1) {
		ssize_t n = recv(manager, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = 0;
	}
	return text;
}

static void env(const char *socket_at, const char *usec, const char *pid)
{
	(void)unsetenv("NOTIFY_SOCKET"), (void)unsetenv("WATCHDOG_USEC"),
	    (void)unsetenv("WATCHDOG_PID");
	if (socket_at)
		(void)setenv("NOTIFY_SOCKET", socket_at, 1);
	if (usec)
		(void)setenv("WATCHDOG_USEC", usec, 1);
	if (pid)
		(void)setenv("WATCHDOG_PID", pid, 1);
}

static void speaks(const char *where)
{
	sdnotify_open();
	tap_ok(sdnotify_on(), "%s: there is somebody to tell", where);
	sdnotify_ready("running: %s, %d series", "127.0.0.1:9470", 7);
	tap_is_str(
	    heard(60000), "READY=1\nSTATUS=running: 127.0.0.1:9470, 7 series", "%s: ready", where);
	sdnotify_status("two\nREADY=1");
	tap_is_str(heard(60000), "STATUS=two READY=1", "%s: a text cannot smuggle in a line", where);
	sdnotify_stopping("ends");
	tap_is_str(heard(60000), "STOPPING=1\nSTATUS=ends", "%s: stopping", where);
	sdnotify_watchdog();
	tap_is_str(heard(60000), "WATCHDOG=1", "%s: watchdog", where);
	sdnotify_extend(30000000);
	tap_is_str(heard(60000), "EXTEND_TIMEOUT_USEC=30000000", "%s: more time", where);
	struct timespec before, after;
	unsigned long long us = 0;
	clock_gettime(CLOCK_MONOTONIC, &before);
	sdnotify_reloading();
	clock_gettime(CLOCK_MONOTONIC, &after);
	const char *text = heard(60000);
	tap_ok(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu\n", &us) == 1 &&
	        us >= (unsigned long long)before.tv_sec * 1000000 &&
	        us <= (unsigned long long)(after.tv_sec + 1) * 1000000,
	    "%s: reloading, with the time of the manager's clock", where);
}

static void long_texts_and_full_sockets_harm_nobody(void)
{
	char text[5000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	sdnotify_status("%s", text);
	tap_ok(strlen(heard(60000)) == 1023, "a status that is too long is cut");
	for (unsigned i = 0; i < 10000; i++)
		sdnotify_watchdog();
	tap_is_str(heard(0), "WATCHDOG=1", "a socket that nobody reads is no wait");
	while (*heard(0)) {
	}
}

static void a_new_socket_in_the_same_place_is_found(const char *path)
{
	close(manager);
	(void)unlink(path);
	sdnotify_watchdog(); /* lost */
	listen_at(path, false);
	sdnotify_watchdog();
	tap_is_str(heard(60000), "WATCHDOG=1", "a manager that was started anew hears of us");
}

static unsigned count_of(const char *word, int for_ms)
{
	unsigned n = 0;
	uint64_t until = clock_real_mono_ns() + (uint64_t)for_ms * 1000000;
	while (clock_real_mono_ns() < until)
		n += !strcmp(heard(10), word);
	return n;
}

/* So many come, however slow the machine is. */
static bool beats_come(unsigned n)
{
	uint64_t until = clock_real_mono_ns() + UINT64_C(60000000000);
	while (n && clock_real_mono_ns() < until)
		n -= !strcmp(heard(100), "WATCHDOG=1");
	return !n;
}

static struct sdbeat *beat;
static struct testteam tt;

static void begin(void *arg)
{
	(void)arg;
	beat = sdbeat_start(testteam_loop(&tt, 0), tt.team, STILL_NS);
}

static void run(void *arg)
{
	(void)arg;
	sdbeat_phase(beat, SDBEAT_RUNNING);
}

static void end(void *arg)
{
	(void)arg;
	sdbeat_phase(beat, SDBEAT_ENDING);
}

static void stop(void *arg)
{
	(void)arg;
	sdbeat_stop(beat);
}

static bool let_go;

static void stand_still(struct mbox_msg *msg)
{
	(void)msg;
	while (!__atomic_load_n(&let_go, __ATOMIC_ACQUIRE))
		usleep(1000);
}

/* Of the last second of some in which loop 1 does nothing. */
static unsigned beats_without_a_loop(void)
{
	static struct mbox_msg msg = { .fn = stand_still };
	loop_send(testteam_loop(&tt, 1), &msg);
	(void)count_of("WATCHDOG=1", 2700);
	while (*heard(0)) {
	}
	unsigned n = count_of("WATCHDOG=1", 900);
	__atomic_store_n(&let_go, true, __ATOMIC_RELEASE);
	return n;
}

static void beats(void)
{
	testteam_start(&tt, 2);
	testteam_run(&tt, 0, begin, NULL);
	tap_is_str(heard(60000), "EXTEND_TIMEOUT_USEC=30000000", "a start asks for time at once");
	tap_is_str(heard(60000), "EXTEND_TIMEOUT_USEC=30000000",
	    "and again, without a word of the watchdog");
	testteam_run(&tt, 0, run, NULL);
	tap_ok(beats_come(5), "it beats while all loops turn");
	unsigned n = beats_without_a_loop();
	tap_ok(n == 0, "a loop that stands still is silence (%u)", n);
	tap_ok(beats_come(5), "and it goes on with it");
	while (*heard(0)) {
	}
	testteam_run(&tt, 0, end, NULL);
	tap_is_str(heard(60000), "WATCHDOG=1", "the end beats, too");
	tap_is_str(heard(60000), "EXTEND_TIMEOUT_USEC=30000000", "and asks for time");
	testteam_run(&tt, 0, stop, NULL);
	while (*heard(0)) {
	}
	tap_ok(count_of("WATCHDOG=1", 400) == 0, "it ends");
	testteam_stop(&tt);
}

static void nobody_to_tell(void)
{
	env(NULL, "1000000", NULL);
	sdnotify_open();
	tap_ok(!sdnotify_on() && !sdnotify_watchdog_us(), "without NOTIFY_SOCKET nobody is told");
	sdnotify_ready("x");
	env("relative", "1000000", NULL);
	sdnotify_open();
	tap_ok(!sdnotify_on(), "a relative path is none");
	env("/dev/null/nothing", NULL, NULL);
	sdnotify_open();
	sdnotify_ready("x");
	tap_ok(sdnotify_on(), "where nobody listens nothing is lost but words");
	sdnotify_close();
}

int main(void)
{
	char name[108], mine[32];
	char *dir = testlib_tmpdir("sdnotify");
	snprintf(name, sizeof(name), "%s/notify", dir);
	snprintf(mine, sizeof(mine), "%d", (int)getpid());
	log_setup(LOG_LEVEL_NONE, false);
	nobody_to_tell();
	env(name, "300000", mine);
	listen_at(name, false);
	speaks("a path");
	tap_ok(sdnotify_watchdog_us() == 300000, "the watchdog's time");
	long_texts_and_full_sockets_harm_nobody();
	a_new_socket_in_the_same_place_is_found(name);
	beats();
	sdnotify_close();
	close(manager);
	snprintf(name, sizeof(name), "@kymo-t-sdnotify-%d", (int)getpid());
	env(name, "300000", "1");
	listen_at(name + 1, true);
	sdnotify_open();
	sdnotify_ready("x");
	tap_is_str(heard(60000), "READY=1\nSTATUS=x", "an abstract name");
	tap_ok(!sdnotify_watchdog_us(), "WATCHDOG_PID of another process: not ours to answer");
	sdnotify_close();
	close(manager);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
