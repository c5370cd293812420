#include "bench/load/victim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"

#define LOOK_US   20000u
#define ANSWER_NS 5000000000u /* of one question whether it is ready */

static unsigned free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) &&
	    !getsockname(fd, (struct sockaddr *)&a, &len);
	if (fd >= 0)
		close(fd);
	return ok ? ntohs(a.sin_port) : 0;
}

static enum err find_kind(struct victim *v, const char *kind, struct errbuf *eb)
{
	const char *base = strrchr(v->program, '/');
	base = base ? base + 1 : v->program;
	if (!kind)
		kind = strstr(base, "kymod")     ? "kymo"
		    : strstr(base, "victoria")   ? "victoriametrics"
		    : strstr(base, "prometheus") ? "prometheus"
		                                 : NULL;
	if (!kind)
		return errbuf_set(eb, ERR_BADDATA,
		    "--server \"%s\" is none of kymod, victoria-metrics, prometheus: --kind says whose paths it has",
		    v->program);
	return kind_named(kind, &v->kind, eb);
}

static enum err write_config(struct victim *v, struct errbuf *eb)
{
	char path[460];
	snprintf(path, sizeof(path), "%s/prometheus.yml", v->dir);
	FILE *f = fopen(path, "w");
	if (!f)
		return errbuf_set(eb, ERR_IO, "%s: %s", path, strerror(errno));
	fputs("global: {}\n", f);
	return fclose(f) ? errbuf_set(eb, ERR_IO, "%s: %s", path, strerror(errno)) : ERR_OK;
}

static enum err own_flags(struct victim *v, struct errbuf *eb)
{
	if (!strcmp(v->kind->name, "kymo")) {
		snprintf(v->texts[0], sizeof(v->texts[0]), "--data-dir=%s/data", v->dir);
		snprintf(v->texts[1], sizeof(v->texts[1]), "--listen=127.0.0.1:%u", v->port);
		return ERR_OK;
	}
	if (!strcmp(v->kind->name, "victoriametrics")) {
		snprintf(v->texts[0], sizeof(v->texts[0]), "-storageDataPath=%s/data", v->dir);
		snprintf(v->texts[1], sizeof(v->texts[1]), "-httpListenAddr=127.0.0.1:%u", v->port);
		return ERR_OK;
	}
	if (strcmp(v->kind->name, "prometheus") != 0)
		return ERR_OK;
	snprintf(v->texts[0], sizeof(v->texts[0]), "--storage.tsdb.path=%s/data", v->dir);
	snprintf(v->texts[1], sizeof(v->texts[1]), "--web.listen-address=127.0.0.1:%u", v->port);
	snprintf(v->texts[2], sizeof(v->texts[2]), "--config.file=%s/prometheus.yml", v->dir);
	snprintf(v->texts[3], sizeof(v->texts[3]), "--web.enable-remote-write-receiver");
	return write_config(v, eb);
}

enum err victim_init(struct victim *v, const char *kind, struct errbuf *eb)
{
	char url[64];
	if (v->flags_count > (int)VICTIM_FLAGS_MAX)
		return errbuf_set(
		    eb, ERR_TOOBIG, "at most %u flags for the server", VICTIM_FLAGS_MAX);
	enum err e = find_kind(v, kind, eb);
	if (!v->port)
		v->port = free_port();
	snprintf(v->log, sizeof(v->log), "%s/server.log", v->dir);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", v->port);
	if (!e)
		e = httpc_url_parse(url, &v->url, eb);
	return e ? e : own_flags(v, eb);
}

/* {port} and {dir} are put in; in the child, which ends by exec. */
static char *flag_of(const struct victim *v, const char *flag)
{
	char *out = calloc(1, 4096);
	for (size_t n = 0; *flag && out && n + sizeof(v->dir) < 4096;) {
		if (!strncmp(flag, "{port}", 6)) {
			n += (size_t)snprintf(out + n, 8, "%u", v->port);
			flag += 6;
		} else if (!strncmp(flag, "{dir}", 5)) {
			n += (size_t)snprintf(out + n, sizeof(v->dir), "%s", v->dir);
			flag += 5;
		} else {
			out[n++] = *flag++;
		}
	}
	return out;
}

static void child(const struct victim *v, int parent)
{
	char *argv[VICTIM_FLAGS_MAX + 8] = { (char *)(uintptr_t)v->program };
	unsigned n = 1;
	int log = open(v->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	for (unsigned i = 0; i < 4; i++)
		if (v->texts[i][0])
			argv[n++] = (char *)(uintptr_t)v->texts[i];
	for (int i = 0; i < v->flags_count; i++)
		argv[n++] = flag_of(v, v->flags[i]);
	if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
	signal(SIGPIPE, SIG_DFL);
	execvp(v->program, argv);
	dprintf(2, "%s: %s\n", v->program, strerror(errno));
	_exit(127);
}

static bool is_ready(const struct victim *v)
{
	struct httpc h;
	size_t off;
	httpc_init(&h, &v->url);
	h.until_ns = clock_real_mono_ns() + ANSWER_NS;
	h.stop = v->stop;
	const char *path = !strcmp(v->kind->name, "victoriametrics") ? "/health" : "/-/ready";
	int status = httpc_do(&h, "GET", path, "", NULL, 0, &off);
	httpc_release(&h);
	return status == 200;
}

/* The end of its log, on one line. */
static enum err with_log(const struct victim *v, const char *what, struct errbuf *eb)
{
	char tail[301] = "";
	FILE *f = fopen(v->log, "r");
	if (f && !fseek(f, -300, SEEK_END))
		tail[fread(tail, 1, 300, f)] = 0;
	else if (f)
		rewind(f), tail[fread(tail, 1, 300, f)] = 0;
	if (f)
		fclose(f);
	for (char *p = tail; *p; p++)
		*p = *p == '\n' ? ' ' : *p;
	return errbuf_set(eb, ERR_IO, "%s %s: %s", v->program, what, tail);
}

enum err victim_start(struct victim *v, double limit_s, double *ready_s, struct errbuf *eb)
{
	uint64_t begin = clock_real_mono_ns();
	int parent = getpid();
	v->pid = fork();
	if (v->pid < 0) {
		v->pid = 0;
		return errbuf_set(eb, ERR_IO, "fork: %s", strerror(errno));
	}
	if (!v->pid)
		child(v, parent);
	setpgid(v->pid, v->pid); /* whoever is first: it can be signalled from here on */
	for (;;) {
		if (waitpid(v->pid, NULL, WNOHANG) == v->pid) {
			v->pid = 0;
			return with_log(v, "has ended", eb);
		}
		*ready_s = (double)(clock_real_mono_ns() - begin) / 1e9;
		if (is_ready(v))
			return ERR_OK;
		if (v->stop && v->stop())
			return errbuf_set(eb, ERR_CANCELED, "stopped");
		if (*ready_s > limit_s)
			return with_log(v, "is not ready", eb);
		usleep(LOOK_US);
	}
}

void victim_end(struct victim *v, int sig)
{
	if (!v->pid)
		return;
	if (kill(-v->pid, sig))
		kill(v->pid, sig);
	while (waitpid(v->pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* What it started itself, and we do not wait for, does not write on where we remove. */
	for (unsigned i = 0; i < 1000 && !kill(-v->pid, SIGKILL); i++)
		usleep(2000);
	v->pid = 0;
}
