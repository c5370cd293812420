/*
 * One process at a time has a lock; it is let go, or its process is killed, and the next has it;
 * many that take and drop it at once never have it two at a time.
 */
#include "core/base/fslock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static struct fsio_dir *dir;
static char *path;

static enum err take(struct fslock **l, struct errbuf *eb)
{
	errbuf_init(eb);
	*l = NULL;
	return fslock_take(dir, "work.lock", l, eb);
}

static void one(void)
{
	struct fslock *l, *other;
	struct errbuf eb;
	char pid[32];
	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	errbuf_init(&eb);
	TAP_OK(fslock_take_left(dir, "work.lock", &other, &eb) == ERR_NOTFOUND && access(path, F_OK));
	if (!tap_ok(!take(&l, &eb), "a lock is had"))
		return;
	TAP_OK(take(&other, &eb) == ERR_LOCKED && !other);
	tap_ok(strstr(eb.text, pid) && strstr(eb.text, path), "who has it is told: %s", eb.text);
	TAP_OK(fslock_take_left(dir, "work.lock", &other, &eb) == ERR_LOCKED);
	fslock_drop(l);
	fslock_drop(NULL);
	TAP_OK(access(path, F_OK));
	TAP_OK(!take(&l, &eb));
	fslock_drop(l);
	TAP_OK(fslock_take(dir, "no/such", &l, &eb) == ERR_NOTFOUND);
}

static void killed(void)
{
	struct fslock *l;
	struct errbuf eb;
	int ready[2];
	char byte;
	TAP_OK(!pipe(ready));
	pid_t child = fork();
	if (!child) {
		bool had = !take(&l, &eb) && write(ready[1], "x", 1) == 1;
		while (had)
			pause();
		_exit(1);
	}
	TAP_OK(read(ready[0], &byte, 1) == 1);
	TAP_OK(take(&l, &eb) == ERR_LOCKED &&
	    fslock_take_left(dir, "work.lock", &l, &eb) == ERR_LOCKED);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	TAP_OK(!access(path, F_OK));
	if (tap_ok(!fslock_take_left(dir, "work.lock", &l, &eb), "what a killed one left is had"))
		fslock_drop(l);
	/* made, and not locked yet: its owner has no id in it so far */
	FILE *f = fopen(path, "w");
	fclose(f);
	TAP_OK(fslock_take_left(dir, "work.lock", &l, &eb) == ERR_NOTFOUND && !access(path, F_OK));
	if (tap_ok(!take(&l, &eb), "an empty one is had by who would make it"))
		fslock_drop(l);
	close(ready[0]);
	close(ready[1]);
}

static void crowd(void)
{
	enum {
		PROCESSES = 4,
		TURNS = 300
	};
	struct {
		unsigned inside, wrong, had;
	} *all = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		struct fslock *l;
		struct errbuf eb;
		for (int i = 0; i < TURNS;) {
			if (take(&l, &eb))
				continue;
			i++;
			unsigned n = __atomic_add_fetch(&all->inside, 1, __ATOMIC_SEQ_CST);
			__atomic_add_fetch(&all->wrong, n != 1, __ATOMIC_SEQ_CST);
			__atomic_add_fetch(&all->had, 1, __ATOMIC_SEQ_CST);
			__atomic_sub_fetch(&all->inside, 1, __ATOMIC_SEQ_CST);
			fslock_drop(l);
		}
		_exit(0);
	}
	for (int p = 0; p < PROCESSES; p++)
		wait(NULL);
	tap_ok(all->had == PROCESSES * TURNS && !all->wrong && access(path, F_OK),
	    "%d processes, each %d times: %u times two at once", PROCESSES, TURNS, all->wrong);
}

int main(void)
{
	char *top = testlib_tmpdir("fslock");
	path = testlib_path(top, "work.lock");
	CHECK(!fsio_dir_open(top, false, &dir));
	one();
	killed();
	crowd();
	fsio_dir_close(dir);
	testlib_rmtree(top);
	free(path);
	free(top);
	return tap_done();
}
