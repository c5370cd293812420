#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* pipe2, close_range */
#endif
#include "core/base/fsio.h"
#include "storage/meta/catalog_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child may meet a tree that leads nowhere: it has so long, and a second more per 20 MiB. */
#define CHECK_BASE_S      60
#define CHECK_BYTES_PER_S (20u << 20)
#define CHECK_DBS_MAX     (8 + 3 * CATALOG_SHARDS_MAX) /* of any format */
#define CHECK_LOOK_MS     50                           /* between two questions whether to stop */
#define CHILD_OUT         3 /* the one descriptor of the child besides the standard ones */

enum child_exit {
	CHILD_GOOD = 0,
	CHILD_DAMAGED = 3,
	CHILD_FAILED = 4
};

/*
 * Locks, listeners and files of the parent live as long as somebody has them open: a second start
 * must not wait for a child whose parent was killed.
 */
static void let_go(pid_t parent, int out)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(CHILD_FAILED); /* it has died meanwhile: nobody will read what we find */
	if (out != CHILD_OUT && dup2(out, CHILD_OUT) != CHILD_OUT)
		_exit(CHILD_FAILED);
	if (!close_range(CHILD_OUT + 1, ~0u, 0))
		return;
	struct rlimit files = { .rlim_cur = 65536 };
	(void)getrlimit(RLIMIT_NOFILE, &files);
	for (rlim_t fd = CHILD_OUT + 1; fd < files.rlim_cur; fd++)
		close((int)fd);
}

/* In the child: damage may kill it, that is what it is for. The text goes home through the pipe. */
NORETURN static void child(const char *path, unsigned limit_s)
{
	const int out = CHILD_OUT;
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM };
	for (size_t i = 0; i < COUNT_OF(deadly); i++)
		signal(deadly[i], SIG_DFL);
	alarm(limit_s);
	struct env *env;
	struct errbuf eb;
	uint64_t records = 0;
	errbuf_init(&eb);
	enum err e = env_open(
	    &(struct env_opts){ .path = path, .dbs_max = CHECK_DBS_MAX, .readonly_solo = true },
	    &env, &eb);
	if (!e)
		e = env_walk(env, &records, &eb);
	size_t len = strlen(eb.text);
	if (e && write(out, eb.text, len) != (ssize_t)len)
		_exit(CHILD_FAILED);
	/*
	 * What the disk does not give is as lost as what it gives wrongly: both can be had again.
	 */
	bool bad = e == ERR_DAMAGED || e == ERR_UNSUPPORTED || e == ERR_NOTFOUND || e == ERR_IO;
	_exit(!e ? CHILD_GOOD : bad ? CHILD_DAMAGED : CHILD_FAILED);
}

static enum err judge(int status, const char *text, struct errbuf *eb)
{
	if (WIFSIGNALED(status))
		return errbuf_set(
		    eb, ERR_DAMAGED, "catalog: the walk died of signal %d", WTERMSIG(status));
	switch (WEXITSTATUS(status)) {
	case CHILD_GOOD:
		return ERR_OK;
	case CHILD_FAILED:
		return errbuf_set(
		    eb, ERR_BUSY, "%s", text[0] ? text : "catalog: it could not be walked");
	default:
		return errbuf_set(eb, ERR_DAMAGED, "%s", text[0] ? text : "catalog: the walk failed");
	}
}

struct walk {
	pid_t pid;
	int from; /* the pipe */
	char text[ERRBUF_SIZE];
	size_t len;
};

/* What the child says, until it has ended or stop says so. */
static bool walk_listen(struct walk *w, bool (*stop)(void *arg), void *stop_arg)
{
	for (;;) {
		if (stop && stop(stop_arg))
			return false;
		struct pollfd p = { .fd = w->from, .events = POLLIN };
		if (poll(&p, 1, CHECK_LOOK_MS) <= 0)
			continue;
		size_t room = sizeof(w->text) - 1 - w->len;
		ssize_t got = read(w->from, w->text + w->len, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return true;
		w->len += (size_t)got;
	}
}

static enum err walk_begin(struct walk *w, const char *path, unsigned limit_s, struct errbuf *eb)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) {
		enum err e = err_of_errno(errno);
		return errbuf_set(eb, e, "catalog: no pipe: %s", err_why(e));
	}
	pid_t parent = getpid();
	w->pid = fork();
	if (w->pid == 0) {
		let_go(parent, ends[1]);
		child(path, limit_s);
	}
	int errnum = errno;
	close(ends[1]);
	w->from = ends[0];
	if (w->pid > 0)
		return ERR_OK;
	close(ends[0]);
	enum err e = err_of_errno(errnum);
	return errbuf_set(eb, e, "catalog: no child process: %s", err_why(e));
}

static enum err walk_end(struct walk *w, bool heard, struct errbuf *eb)
{
	int status;
	close(w->from);
	if (!heard)
		kill(w->pid, SIGKILL);
	while (waitpid(w->pid, &status, 0) < 0) {
		if (errno != EINTR) {
			enum err e = err_of_errno(errno);
			return errbuf_set(
			    eb, e, "catalog: the child process was lost: %s", err_why(e));
		}
	}
	if (!heard)
		return errbuf_set(eb, ERR_STOPPING, "told to stop while the catalog was walked");
	w->text[w->len] = 0;
	return judge(status, w->text, eb);
}

enum err catalog_check(const char *path, bool (*stop)(void *arg), void *stop_arg, struct errbuf *eb)
{
	char file[4096];
	struct stat st;
	int n = snprintf(file, sizeof(file), "%s/data.mdb", path);
	if (n < 0 || (size_t)n >= sizeof(file))
		return errbuf_set(eb, ERR_TOOBIG, "catalog: the path is too long");
	if (stat(file, &st) != 0) {
		enum err e = err_of_errno(errno);
		return e == ERR_NOTFOUND
		    ? e
		    : errbuf_set(eb, e, "catalog: %s cannot be read: %s", file, err_why(e));
	}
	struct walk w = { .pid = -1 };
	unsigned limit_s = CHECK_BASE_S + (unsigned)((uint64_t)st.st_size / CHECK_BYTES_PER_S);
	enum err e = walk_begin(&w, path, limit_s, eb);
	return e ? e : walk_end(&w, walk_listen(&w, stop, stop_arg), eb);
}
