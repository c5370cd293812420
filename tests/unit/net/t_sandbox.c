/*
 * A sandbox cannot be left, so each one is entered by a child, which tells what it met in lines
 * "+text" and "-text"; they become cases here.
 */
#include "net/daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fsio.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "net/daemon/callgate.h"
#include "net/daemon/config.h"
#include "net/daemon/landfence.h"
#include "storage/meta/catalog.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static const char *log_name = "logs/access.log", *conf_name = "conf/kymod.yml";
static char *dir; /* data/, conf/, link/ (to real/), other/ in it */
static int tell_fd = -1;

static void tell(bool good, const char *fmt, ...) TAP_FMT(2, 3);
static void tell(bool good, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text + 1, sizeof(text) - 2, fmt, args);
	va_end(args);
	for (int i = 1; i <= n; i++)
		if (text[i] == '\n')
			text[i] = ' ';
	text[0] = good ? '+' : '-';
	text[n + 1] = '\n';
	if (write(tell_fd, text, (size_t)n + 2) != n + 2)
		_exit(98);
}

static void in_child(void (*fn)(void))
{
	int ends[2], status = 0;
	char line[512];
	if (pipe(ends))
		exit(99);
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		close(ends[0]);
		tell_fd = ends[1];
		fn();
		_exit(0);
	}
	close(ends[1]);
	FILE *from = fdopen(ends[0], "r");
	while (fgets(line, sizeof(line), from)) {
		line[strcspn(line, "\n")] = 0;
		tap_ok(line[0] == '+', "%s", line + 1);
	}
	fclose(from);
	(void)waitpid(pid, &status, 0);
	tap_ok(WIFEXITED(status) && !WEXITSTATUS(status), "the child ended well (%d)", status);
}

static char *path_in(const char *name)
{
	return testlib_path(dir, name);
}

/* 0, or the errno of opening it. */
static int opened(const char *name, int flags)
{
	char *path = name[0] == '/' ? strdup(name) : path_in(name);
	int fd = open(path, flags | O_CLOEXEC, 0600), errnum = errno;
	free(path);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : errnum;
}

static void put(const char *name, const char *text)
{
	char *path = path_in(name);
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		exit(99);
	free(path);
}

static void make(void)
{
	static const char *const dirs[] = { "conf", "real", "other", "sock", "logs", "disk",
		"certs", "certs/v1", "certs/v2" };
	for (size_t i = 0; i < COUNT_OF(dirs); i++) {
		char *path = path_in(dirs[i]);
		if (mkdir(path, 0700))
			exit(99);
		free(path);
	}
	put("real/map.yml", "mappings: []\n");
	put("other/secret", "x\n");
	char *link_at = path_in("conf/map.yml");
	if (symlink("../real/map.yml", link_at))
		exit(99);
	free(link_at);
	put("certs/v1/map.yml", "mappings: []\n");
	put("certs/v1/kymod.yml", "receivers:\n  statsd:\n    mapping_file: map.yml\n");
	put("certs/v2/map.yml", "mappings: []\n");
	put("other/behind.log", "x\n");
	char *current = path_in("certs/current"), *log = path_in("logs/linked.log");
	if (symlink("v1", current) || symlink("../other/behind.log", log))
		exit(99);
	free(current);
	free(log);
	char text[4096];
	snprintf(text, sizeof(text),
	    "receivers:\n  statsd:\n    mapping_file: map.yml\n    listen:\n"
	    "    - {address: \"unixgram://%s/sock/statsd\"}\n",
	    dir);
	put("conf/kymod.yml", text);
}

static struct config *conf_of(void)
{
	static char data[4096], conf[4096], l[] = "--log.access-file", logs[4096];
	static char name[] = "kymod", d[] = "--data-dir", f[] = "--config";
	static char *argv[] = { name, d, data, f, conf, l, logs };
	struct buf told;
	struct config *c;
	buf_init(&told);
	snprintf(data, sizeof(data), "%s/data", dir);
	snprintf(logs, sizeof(logs), "%s%s%s", log_name[0] == '/' ? "" : dir,
	    log_name[0] == '/' ? "" : "/", log_name);
	snprintf(conf, sizeof(conf), "%s/%s", dir, conf_name);
	if (config_load(COUNT_OF(argv), argv, &c, &told)) {
		tell(false, "the configuration is fine: %.*s", (int)told.len, (char *)told.data);
		_exit(1);
	}
	buf_release(&told);
	return c;
}

static struct config *enter(enum sandbox_mode mode)
{
	struct errbuf eb;
	struct config *c = conf_of();
	errbuf_init(&eb);
	enum err e = sandbox_enter(mode, c, &eb);
	tell(!e, "entered %s", eb.text);
	return c;
}

/* Of what this kernel has. */
static enum sandbox_mode most(void)
{
	return landfence_abi() >= 2 ? SANDBOX_ON : SANDBOX_AUTO;
}

/* ---- files ---- */

static void files_of_others_are_out_of_reach(void)
{
	enter(SANDBOX_ON);
	tell(opened("/etc/passwd", O_RDONLY) == EACCES, "/etc/passwd cannot be read");
	tell(opened("/etc/shadow", O_RDONLY) == EACCES, "/etc/shadow neither");
	tell(opened("/etc", O_RDONLY | O_DIRECTORY) == EACCES, "/etc cannot be listed");
	tell(opened("/", O_RDONLY | O_DIRECTORY) == EACCES, "nor can the root");
	tell(opened("other/secret", O_RDONLY) == EACCES, "the neighbour's file neither");
	tell(opened("other/new", O_WRONLY | O_CREAT) == EACCES, "nothing is made there");
	tell(opened("/tmp/kymo-t-sandbox", O_WRONLY | O_CREAT) == EACCES, "nothing in /tmp");
	tell(opened("conf/kymod.yml", O_WRONLY) == EACCES, "the configuration cannot be written");
	tell(opened("conf/new.yml", O_WRONLY | O_CREAT) == EACCES, "no file beside it");
	tell(opened("/proc/1/environ", O_RDONLY) == EACCES, "nor of other processes");
	tell(opened("/usr/bin/env", O_RDONLY) == EACCES, "nor programs");
	char *at = path_in("other/secret");
	tell(unlink(at) && errno == EACCES, "nothing is removed there");
	char *to = path_in("data/stolen");
	tell(link(at, to) && (errno == EXDEV || errno == EACCES), "no link brings it in");
	tell(rename(at, to) && (errno == EXDEV || errno == EACCES), "no rename either");
}

static void own_files_go_on(void)
{
	struct fsio_dir *d;
	struct fsio_file *f;
	struct config *c = enter(SANDBOX_ON);
	tell(!fsio_dir_open(c->flags.data_dir, true, &d), "the data directory opens, empty as it is");
	struct fsio_dir *a, *b;
	tell(!fsio_dir_sub(d, "a", true, &a) && !fsio_dir_sub(d, "b", true, &b), "folders are made");
	tell(!fsio_open(a, "f", FSIO_CREATE, &f), "files, too");
	tell(!fsio_truncate(f, 4096), "and made longer");
	fsio_close(f);
	char *from = path_in("data/a/f"), *to = path_in("data/b/g"), *to2 = path_in("data/b/h");
	tell(!link(from, to), "links between folders, as snapshots make them");
	tell(!rename(from, to2), "and renames");
	tell(!unlink(to) && !unlink(to2), "files are removed");
	fsio_dir_close(a);
	char *sub = path_in("data/a");
	tell(!rmdir(sub), "folders, too");
	tell(!fsio_dir_open(c->flags.data_dir, true, &a), "it opens again");
	char *log = path_in("logs/access.log"), *old = path_in("logs/access.log.1");
	char *deep = path_in("logs/folder");
	tell(!opened("logs/access.log", O_WRONLY | O_APPEND | O_CREAT), "a log of requests is made");
	tell(!rename(log, old) && !opened("logs/access.log", O_WRONLY | O_APPEND | O_CREAT),
	    "renamed, and begun anew");
	tell(opened("logs/access.log", O_RDONLY) == EACCES && mkdir(deep, 0700) && errno == EACCES,
	    "and nothing else done there");
	tell(!opened("conf/kymod.yml", O_RDONLY), "the configuration can be read again");
	tell(!opened("conf/map.yml", O_RDONLY), "and what its links lead to");
	tell(!opened("/proc/self/stat", O_RDONLY), "and what /proc says of ourselves");
	tell(!opened("/dev/null", O_RDONLY), "and /dev/null");
	tell(opened("/etc/resolv.conf", O_RDONLY) != EACCES &&
	        opened("/etc/hosts", O_RDONLY) != EACCES,
	    "and what names are resolved by");
}

/* A certificate is renewed by a new file, or by a new link to one. */
static void renewed_files_are_read(void)
{
	enter(SANDBOX_ON);
	for (int i = 0; i < 500 && opened("conf/renewed", O_RDONLY) == ENOENT; i++)
		usleep(10000);
	tell(!opened("conf/renewed", O_RDONLY), "a file that has come since is read");
}

static void *renew_thread(void *arg)
{
	(void)arg;
	usleep(200000);
	put("conf/renewed.new", "x\n");
	char *from = path_in("conf/renewed.new"), *to = path_in("conf/renewed");
	if (rename(from, to))
		exit(99);
	free(from);
	free(to);
	return NULL;
}

/* A folder that is a link to its neighbour is renewed by another link. */
static void switched_folders_are_read(void)
{
	conf_name = "certs/current/kymod.yml";
	enter(SANDBOX_ON);
	tell(!opened("certs/current/map.yml", O_RDONLY), "what the link leads to can be read");
	tell(!opened("certs/v2/map.yml", O_RDONLY), "and what it will lead to");
	tell(opened("other/secret", O_RDONLY) == EACCES, "and no other folder");
}

static void data_on_other_disks(void)
{
	char *data = path_in("data"), *log = path_in("data/log");
	(void)mkdir(data, 0700);
	if (symlink("../disk", log))
		_exit(1);
	enter(SANDBOX_ON);
	tell(!opened("data/log/segment", O_RDWR | O_CREAT),
	    "a folder of the data that is a link is open");
	(void)unlink(log);
	free(data);
	free(log);
}

/*
 * A log that is a link is written where it leads to; of a device the neighbours are out of reach.
 */
static void logs_elsewhere(void)
{
	log_name = "logs/linked.log";
	enter(SANDBOX_ON);
	tell(!opened("logs/linked.log", O_WRONLY | O_APPEND), "a log that is a link can be written");
	tell(!opened("logs/linked.log", O_RDONLY), "its end can be read");
	tell(!opened("other/behind.log.1", O_WRONLY | O_CREAT), "and made anew where it lies");
	tell(opened("other/secret", O_RDONLY) == EACCES, "but nothing read there");
}

static void a_log_that_is_a_device(void)
{
	log_name = "/dev/null";
	enter(SANDBOX_ON);
	tell(!opened("/dev/null", O_WRONLY | O_APPEND), "a device can be written to");
	tell(opened("/dev/kymo-t-sandbox", O_WRONLY | O_CREAT) == EACCES,
	    "nothing is made beside it");
	tell(opened("/dev/zero", O_WRONLY) == EACCES, "nor written");
}

static bool unix_socket_at(const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char *path = path_in(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	bool done = fd >= 0 && !bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	int errnum = errno;
	close(fd);
	if (done && unlink(path))
		tell(false, "unlink of a socket: %s", strerror(errno));
	free(path);
	errno = errnum;
	return done;
}

static void sockets(void)
{
	enter(SANDBOX_ON);
	tell(unix_socket_at("sock/statsd"), "the socket of StatsD is made, and removed");
	tell(!unix_socket_at("other/statsd") && errno == EACCES, "no other one is");
	for (int family = AF_UNIX; family <= AF_INET6; family++)
		if (family == AF_UNIX || family == AF_INET || family == AF_INET6) {
			int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
			tell(fd >= 0 || errno == EAFNOSUPPORT, "sockets of family %d", family);
		}
	static const int others[] = { AF_NETLINK, AF_PACKET, 38 /* AF_ALG */, 40 /* AF_VSOCK */ };
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tell(socket(others[i], SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT,
		    "no sockets of family %d", others[i]);
}

/* What is connected goes on; processes outside are not reached. */
static void others_are_left_alone(void)
{
	pid_t parent = getppid();
	bool scoped = landfence_abi() >= 6;
	enter(SANDBOX_ON);
	tell(!scoped || (kill(parent, 0) && errno == EPERM), "no signal leaves");
	tell(!kill(getpid(), 0), "but to ourselves");
}

/* ---- calls ---- */

#define REFUSED(name, ...)                                                                         \
 do {                                                                                              \
  errno = 0;                                                                                       \
  tell(syscall(SYS_##name, ##__VA_ARGS__) == -1 && errno == EPERM, "%s", #name);                   \
 } while (0)

static void try_calls(const char *where)
{
	static char name[] = "true";
	static char *const argv[] = { name, NULL };
	char *const *env = argv + 1;
	tell(true, "%s:", where);
	REFUSED(execve, "/bin/true", argv, env);
	REFUSED(execveat, AT_FDCWD, "/bin/true", argv, env, 0);
	REFUSED(ptrace, 0 /* PTRACE_TRACEME */, 0, 0, 0);
	REFUSED(process_vm_readv, getpid(), NULL, 0, NULL, 0, 0);
	REFUSED(mount, "none", "/mnt", "tmpfs", 0, NULL);
	REFUSED(umount2, "/mnt", 0);
	REFUSED(pivot_root, "/", "/");
	REFUSED(chroot, "/");
	REFUSED(unshare, 0);
	REFUSED(setns, -1, 0);
	REFUSED(init_module, NULL, 0, "");
	REFUSED(finit_module, -1, "", 0);
	REFUSED(kexec_load, 0, 0, NULL, 0);
	REFUSED(keyctl, 0, 0, 0, 0, 0);
	REFUSED(add_key, "user", "x", "x", 1, 0);
	REFUSED(bpf, 0, NULL, 0);
	REFUSED(userfaultfd, 0);
	REFUSED(perf_event_open, NULL, 0, 0, 0, 0);
	REFUSED(io_uring_setup, 1, NULL);
	REFUSED(open_by_handle_at, -1, NULL, 0);
	REFUSED(personality, 0xffffffff);
	REFUSED(setuid, 0);
	REFUSED(capset, NULL, NULL);
	REFUSED(shmget, 1, 1, 0);
	REFUSED(clock_settime, 0, NULL);
	REFUSED(reboot, 0, 0, 0, NULL);
	REFUSED(memfd_create, "x", 0);
	errno = 0;
	tell(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) == -1 && errno == EPERM,
	    "clone makes no namespaces");
	tell(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS, "clone3 is not there");
	tell(syscall(10000) == -1 && errno == ENOSYS, "calls of a later kernel are not there");
	char c = 'x';
	tell(ioctl(0, TIOCSTI, &c) == -1 && errno == EPERM, "nothing is typed into a terminal");
}

static void calls_are_refused(void)
{
	tell(syscall(SYS_memfd_create, "x", 0) != -1, "before it they are not");
	enter(most());
	try_calls("main");
}

static pthread_barrier_t both;

static void *older_thread(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&both);
	pthread_barrier_wait(&both);
	try_calls("a thread that was there before");
	return NULL;
}

static void *later_thread(void *arg)
{
	(void)arg;
	try_calls("a thread that was started later");
	tell(most() != SANDBOX_ON || opened("/etc/passwd", O_RDONLY) == EACCES,
	    "it cannot read what main cannot");
	return NULL;
}

static void threads_are_held_too(void)
{
	pthread_t t;
	pthread_barrier_init(&both, NULL, 2);
	if (pthread_create(&t, NULL, older_thread, NULL))
		_exit(1);
	pthread_barrier_wait(&both);
	enter(most());
	pthread_barrier_wait(&both);
	pthread_join(t, NULL);
	tell(!pthread_create(&t, NULL, later_thread, NULL), "a thread can be started");
	pthread_join(t, NULL);
}

static void children_are_held_too(void)
{
	enter(SANDBOX_ON);
	pid_t pid = fork();
	int status = 0;
	tell(pid >= 0, "a child can be made, as the check of the catalog does");
	if (!pid) {
		tell(opened("/etc/passwd", O_RDONLY) == EACCES, "it cannot read either");
		execl("/bin/true", "true", (char *)NULL);
		tell(errno == EPERM, "nor become another program");
		_exit(7);
	}
	tell(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7, "it ended as it should");
	struct errbuf eb;
	errbuf_init(&eb);
	char *path = path_in("data/nothing");
	tell(catalog_check(path, NULL, NULL, &eb) == ERR_NOTFOUND, "the check itself works: %s",
	    eb.text);
}

/* ---- modes ---- */

static bool filtered(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
}

static bool has_seccomp(void)
{
	unsigned action = SECCOMP_RET_ERRNO;
	return !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

static void off_is_off(void)
{
	enter(SANDBOX_OFF);
	tell(!opened("/etc/passwd", O_RDONLY), "files are open");
	tell(!filtered(), "calls, too");
}

static void auto_is_what_there_is(void)
{
	enter(SANDBOX_AUTO);
#if defined(KYMO_SANITIZER) || defined(KYMO_COVERAGE)
	tell(!filtered() && !opened("/etc/passwd", O_RDONLY), "nothing, in a build for tests");
#else
	tell(filtered() == has_seccomp(), "calls");
	tell((landfence_abi() >= 2) == (opened("/etc/passwd", O_RDONLY) == EACCES), "files");
#endif
}

static void it_explains_itself(void)
{
	struct buf told;
	buf_init(&told);
	buf_add_str(&told, "x: permission denied (EACCES)\n");
	size_t len = told.len;
	sandbox_explain(&told);
	tell(told.len == len, "outside it explains nothing");
	enter(SANDBOX_ON);
	sandbox_explain(&told);
	buf_add(&told, "", 1);
	const char *text = (const char *)told.data + len;
	tell(strstr(text, "--sandbox") && strstr(text, "/conf, ") && strstr(text, "/real"),
	    "inside it names folders: %s", text);
}

/* A kernel without one of them is played by a filter, as some containers have it. */
static void take_away(unsigned nr)
{
	struct sock_filter rows[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = { .len = COUNT_OF(rows), .filter = rows };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p))
		_exit(1);
}

static void refuses(const char *what)
{
	struct errbuf eb;
	struct config *c = conf_of();
	errbuf_init(&eb);
	tell(sandbox_enter(SANDBOX_ON, c, &eb) == ERR_UNSUPPORTED && strstr(eb.text, what),
	    "on does not start: %s", eb.text);
}

static void without_landlock(void)
{
	take_away(444);
	refuses("Landlock");
	enter(SANDBOX_AUTO);
	tell(!opened("/etc/passwd", O_RDONLY), "auto goes on, with files open");
#if !defined(KYMO_SANITIZER) && !defined(KYMO_COVERAGE)
	REFUSED(execveat, -1, "", NULL, NULL, 0);
#endif
}

static void without_seccomp(void)
{
	take_away(SYS_seccomp);
	refuses("seccomp");
	enter(SANDBOX_AUTO);
}

static void test_files(void)
{
	pthread_t t;
	in_child(files_of_others_are_out_of_reach);
	in_child(own_files_go_on);
	if (pthread_create(&t, NULL, renew_thread, NULL))
		exit(99);
	in_child(renewed_files_are_read);
	pthread_join(t, NULL);
	in_child(switched_folders_are_read);
	in_child(logs_elsewhere);
	in_child(data_on_other_disks);
	in_child(a_log_that_is_a_device);
	in_child(sockets);
	in_child(others_are_left_alone);
	in_child(children_are_held_too);
	in_child(it_explains_itself);
	in_child(without_seccomp);
}

static void test_calls(void)
{
	in_child(calls_are_refused);
	in_child(threads_are_held_too);
	in_child(without_landlock);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	dir = testlib_tmpdir("sandbox");
	make();
	bool files = landfence_abi() >= 2, calls = has_seccomp();
	if (files && calls)
		test_files();
	else
		tap_skip(
		    "this kernel has no Landlock that kymod could use (ABI %u)", landfence_abi());
#if defined(KYMO_SANITIZER) || defined(KYMO_COVERAGE)
	calls &= files; /* on, or nothing */
#endif
	if (calls)
		test_calls();
	else
		tap_skip("this kernel has no seccomp filters");
	in_child(auto_is_what_there_is);
	in_child(off_is_off);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
