/* Lines reach their file whole and in order; who has them never waits; losses are counted. */
#include "core/base/linefile.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static char *dir, path[512], old[516];

/* The text of a file, to be freed; "" when it is not there. */
static char *text_of(const char *name)
{
	struct stat st;
	FILE *f = fopen(name, "r");
	char *text = calloc(1, f && !fstat(fileno(f), &st) ? (size_t)st.st_size + 1 : 1);
	if (f && text && fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		text[0] = 0;
	if (f)
		fclose(f);
	return text;
}

static struct linefile *opened(uint64_t size_max)
{
	struct linefile *f;
	struct errbuf eb;
	errbuf_init(&eb);
	if (linefile_open(path, size_max, &f, &eb)) {
		puts(eb.text);
		exit(1);
	}
	return f;
}

static void put(struct linefile *f, const char *line)
{
	linefile_put(f, line, strlen(line));
}

static bool is_there(const char *name, const char *what)
{
	for (unsigned i = 0; i < 60000; i++, usleep(1000)) {
		char *text = text_of(name);
		bool found = strstr(text, what) != NULL;
		free(text);
		if (found)
			return true;
	}
	return false;
}

struct writer {
	char name;
	struct linefile *f;
};

static void *many(void *arg)
{
	const struct writer *w = arg;
	char line[64];
	for (unsigned i = 0; i < 2000; i++) {
		int n = snprintf(line, sizeof(line), "%c%06u\n", w->name, i);
		linefile_put(w->f, line, (size_t)n);
	}
	return NULL;
}

static void lines_are_whole(void)
{
	struct writer a[2] = { { .name = 'a' }, { .name = 'b' } };
	pthread_t t[2];
	struct linefile *f = opened(0);
	for (unsigned i = 0; i < 2; i++) {
		a[i].f = f;
		pthread_create(&t[i], NULL, many, &a[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	linefile_close(f);
	char *text = text_of(path), *at = text;
	unsigned next[2] = { 0, 0 }, wrong = 0;
	for (; *at; at += 8) {
		unsigned *n = &next[at[0] == 'b'];
		wrong += strlen(at) < 8 || at[7] != '\n' || strtoul(at + 1, NULL, 10) != *n;
		(*n)++;
	}
	tap_ok(!wrong && next[0] == 2000 && next[1] == 2000,
	    "lines of two threads stand there whole, each thread's in order");
	free(text);
}

static void it_is_opened_again(void)
{
	struct linefile *f = opened(0);
	put(f, "before\n");
	tap_ok(is_there(path, "before\n"), "a line comes by itself");
	CHECK(!rename(path, old));
	put(f, "between\n");
	tap_ok(is_there(old, "between\n"), "a file that was renamed goes on");
	linefile_reopen(f);
	put(f, "after\n");
	tap_ok(is_there(path, "after\n"), "until it is opened again");
	linefile_close(f);
	char *text = text_of(path);
	tap_is_str(text, "after\n", "the new file has what came then");
	free(text);
}

static void it_turns_over(void)
{
	char line[101];
	struct linefile *f;
	unlink(path);
	f = opened(1000);
	memset(line, 'x', 99);
	line[99] = '\n';
	line[100] = 0;
	for (unsigned i = 0; i < 15; i++) {
		struct stat st;
		put(f, line);
		for (unsigned k = 0; k < 60000 && (stat(path, &st) || st.st_size % 100); k++)
			usleep(1000);
		usleep(LINEFILE_GATHER_MS * 2000);
	}
	linefile_close(f);
	char *now = text_of(path), *was = text_of(old);
	tap_ok(strlen(now) <= 1000 && strlen(was) <= 1000 && strlen(was) > 100,
	    "it is at most so large (%zu, and %zu before)", strlen(now), strlen(was));
	free(now);
	free(was);
}

/* A pipe that nobody reads: what waits is bounded, and nobody waits with it. */
static void nobody_waits(void)
{
	char line[1024];
	unlink(path);
	CHECK(!mkfifo(path, 0600));
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct linefile *f = opened(0);
	memset(line, 'y', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	uint64_t begun = clock_real_mono_ns();
	for (unsigned i = 0; i < 8192; i++)
		linefile_put(f, line, sizeof(line));
	uint64_t took_ms = (clock_real_mono_ns() - begun) / 1000000;
	tap_ok(linefile_lost(f) >= 8192 - 3 * LINEFILE_BYTES / 1024,
	    "%llu of 8192 lines are lost, and counted", (unsigned long long)linefile_lost(f));
	tap_ok(took_ms < 5000, "it took %llu ms", (unsigned long long)took_ms);
	close(reader);
	linefile_close(f);
}

static void a_full_disk(void)
{
	struct linefile *f;
	struct errbuf eb;
	errbuf_init(&eb);
	if (access("/dev/full", W_OK)) {
		tap_skip("there is no /dev/full");
		return;
	}
	CHECK(!linefile_open("/dev/full", 0, &f, &eb));
	put(f, "one\n");
	put(f, "two\n");
	for (unsigned i = 0; i < 60000 && linefile_lost(f) < 2; i++)
		usleep(1000);
	tap_is_u64(linefile_lost(f), 2, "what a full disk does not take is counted");
	linefile_close(f);
	tap_ok(linefile_open("/nowhere/at/all", 0, &f, &eb) && strstr(eb.text, "/nowhere/at/all"),
	    "a file that cannot be is told: %s", eb.text);
}

static void a_pipe_without_a_reader(void)
{
	struct linefile *f;
	struct errbuf eb;
	errbuf_init(&eb);
	unlink(path);
	CHECK(!mkfifo(path, 0600));
	alarm(60); /* where it would wait for ever */
	tap_ok(linefile_open(path, 0, &f, &eb) && strstr(eb.text, "nobody reads"),
	    "a pipe that nobody reads is told at once: %s", eb.text);
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	f = opened(8);
	put(f, "0123456\n");
	usleep(LINEFILE_GATHER_MS * 3000);
	put(f, "0123456\n");
	usleep(LINEFILE_GATHER_MS * 3000);
	tap_ok(!lstat(path, &st) && S_ISFIFO(st.st_mode),
	    "a pipe keeps its name, however much it takes");
	close(reader);
	CHECK(!rename(path, old));
	CHECK(!mkfifo(path, 0600));
	linefile_reopen(f);
	linefile_close(f);
	tap_ok(true, "nor does opening one again wait");
	alarm(0);
	unlink(path);
	unlink(old);
}

static void lines_begin_anew(void)
{
	struct rlimit was, little = { .rlim_cur = 6 };
	struct linefile *f;
	FILE *torn = fopen(path, "w");
	CHECK(torn && fputs("half", torn) >= 0 && !fclose(torn));
	f = opened(0);
	put(f, "one\n");
	linefile_close(f);
	char *text = text_of(path);
	tap_is_str(text, "half\none\n", "a crash has left half a line, the next begins behind it");
	free(text);
	unlink(path);
	CHECK(!getrlimit(RLIMIT_FSIZE, &was));
	little.rlim_max = was.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	f = opened(0);
	CHECK(!setrlimit(RLIMIT_FSIZE, &little));
	put(f, "0123456789\n");
	for (unsigned i = 0; i < 60000 && linefile_lost(f) < 1; i++)
		usleep(1000);
	CHECK(!setrlimit(RLIMIT_FSIZE, &was));
	linefile_reopen(f);
	put(f, "next\n");
	linefile_close(f);
	text = text_of(path);
	tap_is_str(text, "012345\nnext\n", "a full disk too, and the file is opened again meanwhile");
	free(text);
	unlink(path);
}

static void a_link_stays(void)
{
	char real[520], real_old[524];
	struct stat st;
	(void)snprintf(real, sizeof(real), "%s/real", dir);
	(void)snprintf(real_old, sizeof(real_old), "%s.1", real);
	CHECK(!symlink("real", path));
	struct linefile *f = opened(8);
	put(f, "0123456\n");
	tap_ok(is_there(path, "0123456\n"), "a link to a file that is made");
	put(f, "next\n");
	linefile_close(f);
	char *text = text_of(real), *before = text_of(real_old);
	tap_ok(!lstat(path, &st) && S_ISLNK(st.st_mode) && !strcmp(text, "next\n") &&
	        !strcmp(before, "0123456\n"),
	    "stays when the file turns over: %s%s", before, text);
	free(text);
	free(before);
	unlink(path);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	signal(SIGPIPE, SIG_IGN);
	dir = testlib_tmpdir("linefile");
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	(void)snprintf(old, sizeof(old), "%s.1", path);
	lines_are_whole();
	it_is_opened_again();
	it_turns_over();
	nobody_waits();
	a_pipe_without_a_reader();
	lines_begin_anew();
	a_link_stays();
	a_full_disk();
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
