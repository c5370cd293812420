#include "bench/load/child.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"

#define CHILDREN_MAX 64
#define DIRS_MAX     64
#define OUTPUT_MAX   (16u << 20) /* of what a child prints; the rest is read and dropped */

static int children[CHILDREN_MAX]; /* ids of those that run, 0 = free */
static char *dirs[DIRS_MAX];
static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	if (!stopped || sig != SIGALRM)
		stopped = sig;
}

void child_watch(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool child_stopped(void)
{
	return stopped != 0;
}

void child_limit(double seconds)
{
	struct itimerval t = { .it_value = { .tv_sec = (time_t)seconds,
		                   .tv_usec = (suseconds_t)((seconds - floor(seconds)) * 1e6) } };
	setitimer(ITIMER_REAL, &t, NULL);
}

bool child_late(void)
{
	return stopped == SIGALRM;
}

static double since_s(uint64_t begin_ns)
{
	return (double)(clock_real_mono_ns() - begin_ns) / 1e9;
}

/* One number at *p, moved behind it. */
static bool cpu_number(const char **p, unsigned long *out)
{
	char *end;
	if (**p < '0' || **p > '9')
		return false;
	*out = strtoul(*p, &end, 10);
	*p = end;
	return *out < CPU_SETSIZE;
}

enum err child_cpus_parse(const char *text, cpu_set_t *out, struct errbuf *eb)
{
	cpu_set_t mine;
	const char *p = text;
	CPU_ZERO(out);
	sched_getaffinity(0, sizeof(mine), &mine);
	for (;;) {
		unsigned long a, b;
		if (!cpu_number(&p, &a))
			break;
		b = a;
		if (*p == '-' && (p++, !cpu_number(&p, &b)))
			break;
		for (; a <= b; a++) {
			if (!CPU_ISSET(a, &mine))
				return errbuf_set(eb, ERR_BADDATA,
				    "\"%s\": CPU %lu is not one that this process may use", text, a);
			CPU_SET(a, out);
		}
		if (!*p && CPU_COUNT(out))
			return ERR_OK;
		if (*p++ != ',')
			break;
	}
	return errbuf_set(eb, ERR_BADDATA, "\"%s\" is not a list of CPUs such as 0 or 0,2-3", text);
}

void child_cpus_text(const cpu_set_t *cpus, char *out, size_t cap)
{
	size_t n = 0;
	out[0] = 0;
	for (int i = 0; i < CPU_SETSIZE && n + 16 < cap; i++) {
		int first = i;
		if (!CPU_ISSET(i, cpus))
			continue;
		while (i + 1 < CPU_SETSIZE && CPU_ISSET(i + 1, cpus))
			i++;
		n += (size_t)snprintf(
		    out + n, cap - n, first == i ? "%s%d" : "%s%d-%d", n ? "," : "", first, i);
	}
}

static void forget(int pid)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (children[i] == pid)
			children[i] = 0;
}

/* In the child: never returns. */
static void become(const char *const *argv, const cpu_set_t *cpus, int out, int err, int parent)
{
	sigset_t none;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(127);
	if (cpus && sched_setaffinity(0, sizeof(*cpus), cpus))
		_exit(127);
	/* execvp(3) changes none of them, whatever its type says. */
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int spawn(const char *const *argv, const cpu_set_t *cpus, int out, int err, struct errbuf *eb)
{
	unsigned slot = 0;
	while (slot < CHILDREN_MAX && children[slot])
		slot++;
	if (slot == CHILDREN_MAX) {
		errbuf_set(eb, ERR_TOOBIG, "more than %d processes", CHILDREN_MAX);
		return -1;
	}
	fflush(NULL);
	int parent = getpid(), pid = fork();
	if (!pid)
		become(argv, cpus, out, err, parent);
	if (pid < 0) {
		errbuf_set(eb, ERR_IO, "%s: %s", argv[0], strerror(errno));
	} else {
		setpgid(pid, pid); /* whoever is first: it can be signalled from here on */
		children[slot] = pid;
	}
	return pid;
}

int child_start(const char *const *argv, const cpu_set_t *cpus, const char *log, struct errbuf *eb)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		errbuf_set(eb, ERR_IO, "%s: %s", log, strerror(errno));
		return -1;
	}
	int pid = spawn(argv, cpus, fd, fd, eb);
	close(fd);
	return pid;
}

bool child_alive(int pid, int *status)
{
	int st = 0;
	int got = waitpid(pid, &st, WNOHANG);
	if (got == 0 || (got < 0 && errno == EINTR))
		return true;
	if (got == pid && status)
		*status = st;
	forget(pid);
	return false;
}

static void signal_group(int pid, int sig)
{
	if (kill(-pid, sig))
		kill(pid, sig);
}

double child_end(int pid, int sig, double limit_s)
{
	uint64_t begin = clock_real_mono_ns();
	bool killed = sig == SIGKILL;
	signal_group(pid, sig);
	while (child_alive(pid, NULL)) {
		if (!killed && since_s(begin) > limit_s) {
			signal_group(pid, SIGKILL);
			killed = true;
		}
		usleep(2000);
	}
	/* Its own children, which others wait for now: they do not write where we remove. */
	for (uint64_t left = clock_real_mono_ns(); !kill(-pid, SIGKILL) && since_s(left) < 2;)
		usleep(2000);
	return since_s(begin);
}

enum err child_begin(
    const char *const *argv, const cpu_set_t *cpus, struct child_job *job, struct errbuf *eb)
{
	int out[2] = { -1, -1 }, err[2] = { -1, -1 };
	*job = (struct child_job){ .pid = -1, .out_fd = -1, .err_fd = -1 };
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		errbuf_set(eb, ERR_NOFILES, "pipe: %s", strerror(errno));
	} else {
		job->pid = spawn(argv, cpus, out[1], err[1], eb);
	}
	close(out[1]);
	close(err[1]);
	if (job->pid < 0) {
		close(out[0]);
		close(err[0]);
		return ERR_IO;
	}
	job->out_fd = out[0];
	job->err_fd = err[0];
	return ERR_OK;
}

/* False: the other side is closed. */
static bool drain(int fd, struct buf *to)
{
	char piece[16384];
	ssize_t n = read(fd, piece, sizeof(piece));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n > 0 && to->len < OUTPUT_MAX)
		buf_add(to, piece, (size_t)n);
	return n > 0;
}

static void read_both(struct child_job *job, double limit_s, struct buf *out, struct buf *err)
{
	uint64_t begin = clock_real_mono_ns();
	struct pollfd fds[2] = { { .fd = job->out_fd, .events = POLLIN },
		{ .fd = job->err_fd, .events = POLLIN } };
	while ((fds[0].fd >= 0 || fds[1].fd >= 0) && !child_stopped() && since_s(begin) < limit_s) {
		if (poll(fds, 2, 100) <= 0)
			continue;
		for (unsigned i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && fds[i].revents && !drain(fds[i].fd, i ? err : out))
				fds[i].fd = -1;
	}
	while (!child_stopped() && since_s(begin) < limit_s) {
		siginfo_t info = { 0 };
		if (waitid(P_PID, (id_t)job->pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
		    info.si_pid == job->pid)
			return;
		usleep(2000);
	}
}

enum err child_finish(struct child_job *job, double limit_s, struct buf *out, struct buf *err,
    int *status, struct errbuf *eb)
{
	buf_clear(out);
	buf_clear(err);
	*status = 0;
	read_both(job, limit_s, out, err);
	close(job->out_fd);
	close(job->err_fd);
	bool running = child_alive(job->pid, status);
	if (running)
		child_end(job->pid, SIGTERM, 2);
	job->pid = -1;
	if (child_stopped())
		return errbuf_set(eb, ERR_CANCELED, "stopped");
	return running ? errbuf_set(eb, ERR_TIMEOUT, "not done after %.0f s", limit_s) : ERR_OK;
}

enum err child_run(const char *const *argv, const cpu_set_t *cpus, double limit_s, struct buf *out,
    struct buf *err, int *status, struct errbuf *eb)
{
	struct child_job job;
	enum err e = child_begin(argv, cpus, &job, eb);
	return e ? e : child_finish(&job, limit_s, out, err, status, eb);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path) && errno != ENOENT;
}

enum err child_dir(const char *top, char *out, size_t cap, struct errbuf *eb)
{
	unsigned slot = 0;
	const char *tmp = getenv("TMPDIR");
	if (!top)
		top = tmp && *tmp ? tmp : "/var/tmp";
	while (slot < DIRS_MAX && dirs[slot])
		slot++;
	int n = snprintf(out, cap, "%s/kymobench-XXXXXX", top);
	if (slot == DIRS_MAX || n < 0 || (size_t)n >= cap)
		return errbuf_set(
		    eb, ERR_TOOBIG, "directory below \"%s\": too long or too many", top);
	if (!mkdtemp(out))
		return errbuf_set(eb, ERR_IO, "directory below \"%s\": %s", top, strerror(errno));
	dirs[slot] = strdup(out);
	CHECK(dirs[slot]);
	return ERR_OK;
}

static void drop_slot(unsigned i)
{
	if (nftw(dirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS))
		fprintf(stderr, "kymobench: %s cannot be removed whole\n", dirs[i]);
	free(dirs[i]);
	dirs[i] = NULL;
}

void child_dir_drop(const char *path)
{
	for (unsigned i = 0; i < DIRS_MAX; i++)
		if (dirs[i] && !strcmp(dirs[i], path))
			drop_slot(i);
}

void child_clean(void)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (children[i])
			child_end(children[i], SIGTERM, 20);
	for (unsigned i = 0; i < DIRS_MAX; i++)
		if (dirs[i])
			drop_slot(i);
}
