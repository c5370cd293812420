#include "core/base/fsio.h"
#include "storage/meta/catalog_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child may meet a tree that leads nowhere: it has so long, and a second more per 20 MiB. */
#define CHECK_BASE_S      60
#define CHECK_BYTES_PER_S (20u << 20)
#define CHECK_DBS_MAX     (2 + 3 * CATALOG_SHARDS_MAX)

enum child_exit {
	CHILD_GOOD = 0,
	CHILD_DAMAGED = 3,
	CHILD_FAILED = 4
};

/* In the child: damage may kill it, that is what it is for. The text goes home through the pipe. */
NORETURN static void child(const char *path, unsigned limit_s, int out)
{
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
	_exit(!e                                                                ? CHILD_GOOD
	        : e == ERR_DAMAGED || e == ERR_UNSUPPORTED || e == ERR_NOTFOUND ? CHILD_DAMAGED
	                                                                        : CHILD_FAILED);
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
		    eb, ERR_IO, "%s", text[0] ? text : "catalog: it could not be walked");
	default:
		return errbuf_set(eb, ERR_DAMAGED, "%s", text[0] ? text : "catalog: the walk failed");
	}
}

enum err catalog_check(const char *path, struct errbuf *eb)
{
	char file[4096];
	struct stat st;
	int n = snprintf(file, sizeof(file), "%s/data.mdb", path);
	if (n < 0 || (size_t)n >= sizeof(file))
		return errbuf_set(eb, ERR_TOOBIG, "catalog: the path is too long");
	if (stat(file, &st) != 0)
		return errno == ENOENT ? ERR_NOTFOUND
		                       : errbuf_set(eb, ERR_IO, "catalog: %s cannot be read", file);
	int ends[2];
	if (pipe(ends) != 0)
		return errbuf_set(eb, ERR_IO, "catalog: no pipe");
	unsigned limit_s = CHECK_BASE_S + (unsigned)((uint64_t)st.st_size / CHECK_BYTES_PER_S);
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		child(path, limit_s, ends[1]);
	}
	close(ends[1]);
	char text[ERRBUF_SIZE];
	size_t len = 0;
	while (pid > 0 && len < sizeof(text) - 1) {
		ssize_t got = read(ends[0], text + len, sizeof(text) - 1 - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		len += (size_t)got;
	}
	text[len] = 0;
	close(ends[0]);
	if (pid < 0)
		return errbuf_set(eb, ERR_IO, "catalog: no child process");
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return errbuf_set(eb, ERR_IO, "catalog: the child process was lost");
	}
	return judge(status, text, eb);
}
