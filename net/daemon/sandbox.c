#include "net/daemon/sandbox.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "core/base/fsio.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/metric.h"
#include "net/daemon/callgate.h"
#include "net/daemon/config.h"
#include "net/daemon/landfence.h"
#include "net/daemon/webconfig.h"

/* Read by the C library, by OpenSSL, when names are resolved, and by us for figures of our own. */
static const char *const system_reads[] = {
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/host.conf",
	"/etc/nsswitch.conf",
	"/etc/gai.conf",
	"/etc/services",
	"/etc/localtime",
	"/etc/ssl/certs",
	"/etc/ssl/openssl.cnf",
	"/usr/lib/ssl",
	"/etc/pki/tls/certs",
	"/etc/pki/ca-trust/extracted",
	"/dev/null",
	"/dev/urandom",
	"/proc/self",
	"/proc/stat",
	"/proc/meminfo",
	"/proc/sys/vm",
	"/sys/kernel/mm/transparent_hugepage",
	"/sys/fs/cgroup",
	"/sys/devices/system/cpu",
};

/* What is in force. Written by sandbox_enter alone. */
static struct {
	bool files, calls;
	unsigned abi;
	struct buf logs;  /* ", folder" of each */
	struct buf reads; /* folders, as they are told in the log and to who reloads */
	char data_dir[PATH_MAX];
	char why[256]; /* not all of it is */
	bool wanted;   /* what is not was wanted */
} in_force;

struct fence {
	struct landfence f;
	struct buf reads, logs;
};

/* "a/b" of "a/b/c", "." of "c"; what lies at the root has no folder that could be allowed. */
static bool folder_of(const char *path, char out[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	if (slash == path || strlen(path) >= PATH_MAX)
		return false;
	snprintf(out, PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	return true;
}

static bool is_told(const struct buf *list, const char *folder)
{
	const char *text = (const char *)list->data;
	size_t len = strlen(folder);
	for (size_t at = 0; at + len <= list->len; at++)
		if (!memcmp(text + at, folder, len) && (!at || text[at - 1] == ' ') &&
		    (at + len == list->len || text[at + len] == ','))
			return true;
	return false;
}

static void read_folder(struct fence *f, const char *folder)
{
	if (is_told(&f->reads, folder) || !landfence_allow(&f->f, folder, LANDFENCE_READ))
		return;
	buf_printf(&f->reads, "%s%s", f->reads.len ? ", " : "", folder);
}

/*
 * A folder that is a link to another one beside it is renewed by another link ("current"): what
 * lies beside it, but nothing as large as /etc.
 */
static void read_switched(struct fence *f, const char *folder)
{
	char beside[PATH_MAX], real[PATH_MAX], at[PATH_MAX];
	struct stat st;
	if (lstat(folder, &st) || !S_ISLNK(st.st_mode) || !folder_of(folder, beside) ||
	    !realpath(folder, real) || !realpath(beside, at))
		return;
	size_t len = strlen(at);
	if (strrchr(at, '/') != at && !strncmp(real, at, len) && real[len] == '/')
		read_folder(f, beside);
}

/* The folder of a file, and that of the file that it is a link to. */
static void read_file(struct fence *f, const char *path)
{
	char folder[PATH_MAX], real[PATH_MAX];
	if (!path)
		return;
	if (folder_of(path, folder)) {
		read_folder(f, folder);
		read_switched(f, folder);
	} else
		(void)landfence_allow(&f->f, path, LANDFENCE_READ);
	if (realpath(path, real) && folder_of(real, folder))
		read_folder(f, folder);
}

static void read_keep(struct fence *f, const struct yaml_keep *k)
{
	for (size_t i = 0; i < k->paths_count; i++)
		read_file(f, k->paths[i]);
}

/* Where a symbolic link of /etc leads elsewhere (systemd-resolved), the folder: it is replaced. */
static void read_system(struct fence *f, const char *path)
{
	char real[PATH_MAX], folder[PATH_MAX];
	(void)landfence_allow(&f->f, path, LANDFENCE_READ);
	if (!strncmp(path, "/etc/", 5) && realpath(path, real) && strncmp(real, "/etc/", 5) &&
	    strncmp(real, "/usr/", 5) && folder_of(real, folder))
		(void)landfence_allow(&f->f, folder, LANDFENCE_READ);
}

static void allow_sockets(struct fence *f, const struct statsd_conf *s)
{
	const struct statsd_listen *l = s->listen.items;
	char folder[PATH_MAX];
	for (size_t i = 0; i < s->listen.count; i++) {
		enum statsd_transport t;
		const char *path = statsd_address(l[i].address, &t);
		if ((t == STATSD_UNIX || t == STATSD_UNIXGRAM) && folder_of(path, folder))
			(void)landfence_allow(&f->f, folder, LANDFENCE_SOCKETS);
	}
}

/*
 * A log of requests is made, begun anew, renamed to PATH.1 (core/base/linefile.h): of a link that
 * is where it leads to. Pipes and devices are written to, and their neighbours left alone.
 */
static void allow_log(struct fence *f, const char *path)
{
	char folder[PATH_MAX], real[PATH_MAX];
	struct stat st;
	if (!path[0] || !strcmp(path, "stderr"))
		return;
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		(void)landfence_allow(&f->f, path, LANDFENCE_CHANGE);
		return;
	}
	(void)landfence_allow(&f->f, path, LANDFENCE_READ); /* has its last line an end? */
	if (!folder_of(realpath(path, real) ? real : path, folder) || is_told(&f->logs, folder) ||
	    !landfence_allow(&f->f, folder, LANDFENCE_FILES))
		return;
	buf_printf(&f->logs, ", %s", folder);
}

/* The data directory, and folders of it that lie on other disks, by links. */
static void allow_data(struct fence *f, const char *dir)
{
	static const char *const parts[] = { "catalog", "log", "shards", "snapshots" };
	char path[PATH_MAX];
	(void)landfence_allow(&f->f, dir, LANDFENCE_READ | LANDFENCE_WRITE);
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		struct stat st;
		int len = snprintf(path, sizeof(path), "%s/%s", dir, parts[i]);
		if (len > 0 && (size_t)len < sizeof(path) && !lstat(path, &st) && S_ISLNK(st.st_mode))
			(void)landfence_allow(&f->f, path, LANDFENCE_READ | LANDFENCE_WRITE);
	}
}

static void allow_all(struct fence *f, const struct config *c)
{
	allow_data(f, c->flags.data_dir);
	read_file(f, c->path);
	read_file(f, c->flags.web_config);
	read_keep(f, &c->keep);
	if (c->webconfig)
		read_keep(f, &c->webconfig->keep);
	read_file(f, getenv("SSL_CERT_FILE"));
	allow_sockets(f, &c->recv.statsd);
	allow_log(f, c->flags.access_file);
	allow_log(f, c->flags.slow_file);
	/* Names of threads; nothing there is of another process. */
	(void)landfence_allow(&f->f, "/proc/self/task", LANDFENCE_CHANGE);
	for (size_t i = 0; i < COUNT_OF(system_reads); i++)
		read_system(f, system_reads[i]);
}

static enum err fence_files(const struct config *c)
{
	struct fence f;
	enum err e = landfence_begin(&f.f);
	if (e)
		return e;
	buf_init(&f.reads);
	buf_init(&f.logs);
	allow_all(&f, c);
	e = landfence_enter(&f.f);
	if (e) {
		buf_release(&f.reads);
		buf_release(&f.logs);
		return e;
	}
	in_force.files = true;
	in_force.abi = f.f.abi;
	in_force.reads = f.reads;
	in_force.logs = f.logs;
	snprintf(in_force.data_dir, sizeof(in_force.data_dir), "%s", c->flags.data_dir);
	return ERR_OK;
}

/* Its rule needs it to be there. False: whoever opens it later says why it cannot be. */
static bool data_dir_is_there(const char *path)
{
	struct fsio_dir *d;
	if (fsio_dir_open(path, true, &d))
		return false;
	fsio_dir_close(d);
	return true;
}

static const char *why_never(enum sandbox_mode mode)
{
	if (mode == SANDBOX_OFF)
		return "--sandbox=off";
#if defined(KYMO_SANITIZER)
	if (mode == SANDBOX_AUTO)
		return "built with a sanitizer";
#elif defined(KYMO_COVERAGE)
	if (mode == SANDBOX_AUTO)
		return "built for coverage";
#endif
	return NULL;
}

static enum err lacks(enum sandbox_mode mode, const char *what, enum err e, struct errbuf *eb)
{
	const char *why = e == ERR_UNSUPPORTED ? "this kernel does not have it" : err_why(e);
	size_t len = strlen(in_force.why);
	if (mode == SANDBOX_ON)
		return errbuf_set(eb, e, "--sandbox=on: no %s: %s", what, why);
	in_force.wanted = true;
	snprintf(in_force.why + len, sizeof(in_force.why) - len, "%sno %s: %s", len ? "; " : "",
	    what, why);
	return ERR_OK;
}

enum err sandbox_enter(enum sandbox_mode mode, const struct config *c, struct errbuf *eb)
{
	const char *never = why_never(mode);
	if (never) {
		snprintf(in_force.why, sizeof(in_force.why), "%s", never);
		return ERR_OK;
	}
	if (!data_dir_is_there(c->flags.data_dir))
		return ERR_OK;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return lacks(mode, "no_new_privs", ERR_UNSUPPORTED, eb);
	enum err e = fence_files(c);
	if (e)
		e = lacks(mode, "Landlock (Linux 5.19, with landlock among its LSMs)", e, eb);
	if (e)
		return e;
	e = callgate_enter();
	in_force.calls = !e;
	return e ? lacks(mode, "seccomp", e, eb) : ERR_OK;
}

static const char *text_of(const struct buf *b)
{
	return b->len ? (const char *)b->data : "";
}

void sandbox_tell(void)
{
	const char *files = in_force.files ? "landlock" : "open";
	const char *calls = in_force.calls ? "seccomp" : "open";
	metric_gauge_set(M_SANDBOX_NO_FILES, !in_force.files);
	metric_gauge_set(M_SANDBOX_NO_CALLS, !in_force.calls);
	if (in_force.wanted)
		LOG_WARN("sandbox", "files=%s calls=%s reason=\"%s\"", files, calls, in_force.why);
	else if (in_force.why[0])
		LOG_INFO("sandbox", "files=%s calls=%s reason=\"%s\"", files, calls, in_force.why);
	else
		LOG_INFO("sandbox", "files=%s abi=%u calls=%s write=\"%s%.*s\" read=\"%.*s\"",
		    files, in_force.abi, calls, in_force.data_dir, (int)in_force.logs.len,
		    text_of(&in_force.logs), (int)in_force.reads.len, text_of(&in_force.reads));
}

void sandbox_explain(struct buf *told)
{
	if (!in_force.files || !memmem(told->data, told->len, "EACCES", 6))
		return;
	buf_printf(told,
	    "since its start this process may read files below these folders only (--sandbox): %.*s; files elsewhere take a restart\n",
	    (int)in_force.reads.len, text_of(&in_force.reads));
}
