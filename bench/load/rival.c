#include "bench/load/rival.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/child.h"
#include "bench/load/procstat.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/num.h"

#define STOP_LIMIT_S   60.0
#define HURRY_LIMIT_S  10.0 /* the same, once we are to stop */
#define READY_LIMIT_S  5.0  /* of one question whether it is ready */
#define MERGE_LIMIT_S  120u
#define MERGE_QUIET_S  4u
#define ANSWER_LIMIT_S 120.0

struct trait {
	const char *word; /* in the program's file name, or in a peer's name */
	const char *write_path, *query_prefix, *ready_path;
	const char *promise, *queries;
	const char *flags[20]; /* behind the program; {port}, {more}, {dir} are filled in */
};
static const struct trait traits[] = {
	[RIVAL_KYMOD] = { "kymod", "/api/v1/write", "", "/-/ready",
	    "synced to disk before the answer (--wal.sync=commit)", "",
	    { "--data-dir", "{dir}/data", "--listen", "127.0.0.1:{port}", "--no-self-metrics",
	        "--web.enable-admin-api", "--log.level", "warn", "--query.max-samples",
	        "1000000000" } },
	[RIVAL_VICTORIA] = { "victoria-metrics", "/api/v1/write", "", "/health",
	    "in memory; to files some seconds after the answer",
	    "its rate() and increase() take the sample before the window and do not extrapolate; max_over_time() keeps the name of the metric",
	    { "-storageDataPath={dir}/data", "-httpListenAddr=127.0.0.1:{port}",
	        "-search.latencyOffset=0s", "-search.maxUniqueTimeseries=100000000" } },
	[RIVAL_PROMETHEUS] = { "prometheus", "/api/v1/write", "", "/-/ready",
	    "written to its log, without a sync before the answer", "",
	    { "--config.file={dir}/empty.yml", "--storage.tsdb.path={dir}/data",
	        "--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
	        "--web.enable-admin-api", "--query.max-samples=1000000000", "--log.level=warn" } },
	[RIVAL_THANOS] = { "thanos", "/api/v1/receive", NULL, "/-/ready",
	    "written to its log, without a sync before the answer", "",
	    { "receive", "--tsdb.path={dir}/data", "--remote-write.address=127.0.0.1:{port}",
	        "--http-address=127.0.0.1:{more}", "--grpc-address=127.0.0.1:0",
	        "--label=receive=\"kymobench\"", "--log.level=warn" } },
	[RIVAL_MIMIR] = { "mimir", "/api/v1/push", "/prometheus", "/ready",
	    "as it is configured; one ingester writes its log without a sync before the answer", "",
	    { NULL } },
	[RIVAL_OTHER] = { "", "/api/v1/write", "", NULL, "not known", "", { NULL } },
};

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static enum rival_kind kind_of(const char *text)
{
	for (enum rival_kind k = RIVAL_KYMOD; k < RIVAL_OTHER; k++)
		if (strstr(text, traits[k].word))
			return k;
	return RIVAL_OTHER;
}

/* The program's path into out: as it stands when it has a slash, else the first on PATH. */
static bool find_program(const char *name, char *out, size_t cap)
{
	const char *path = getenv("PATH");
	if (strchr(name, '/')) {
		snprintf(out, cap, "%s", name);
		return !access(out, X_OK);
	}
	for (const char *p = path ? path : ""; *p;) {
		size_t n = strcspn(p, ":");
		snprintf(out, cap, "%.*s/%s", (int)n, p, name);
		if (n && !access(out, X_OK))
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static enum err refuse_unknown(const char *program, struct errbuf *eb)
{
	if (strstr(base_of(program), "influx"))
		return errbuf_set(eb, ERR_UNSUPPORTED,
		    "--peer: \"%s\": InfluxDB takes no Remote Write since version 2, and answers no PromQL",
		    program);
	return errbuf_set(eb, ERR_UNSUPPORTED,
	    "--peer: \"%s\": how to start it is not known; give its command line with {port} and {dir} in it",
	    program);
}

enum err rival_parse(const char *text, struct rival *out, struct errbuf *eb)
{
	const char *eq = strchr(text, '='), *program = text;
	size_t name_len = 0;
	memset(out, 0, sizeof(*out));
	if (eq && strcspn(text, "/ {") > (size_t)(eq - text)) {
		name_len = (size_t)(eq - text);
		program = eq + 1;
	}
	if ((eq && program > text && !name_len) || !*program || name_len >= RIVAL_NAME_MAX)
		return errbuf_set(eb, ERR_BADDATA,
		    "--peer: \"%s\" is not name=program, with a name of at most %d bytes", text,
		    RIVAL_NAME_MAX - 1);
	const char *base = base_of(program);
	snprintf(out->name, sizeof(out->name), "%.*s", (int)(name_len ? name_len : strlen(base)),
	    name_len ? text : base);
	if (strlen(program) >= sizeof(out->program))
		return errbuf_set(eb, ERR_TOOBIG, "--peer: \"%s\": longer than %zu bytes",
		    out->name, sizeof(out->program) - 1);
	if (strstr(program, "{port}")) {
		out->kind = kind_of(out->name) == RIVAL_MIMIR ? RIVAL_MIMIR : RIVAL_OTHER;
		snprintf(out->program, sizeof(out->program), "%s", program);
		return ERR_OK;
	}
	if (!find_program(program, out->program, sizeof(out->program)))
		return errbuf_set(eb, ERR_NOTFOUND, "--peer: \"%s\": no program that can be run%s",
		    program, strchr(program, '/') ? "" : " on PATH");
	out->kind = kind_of(base);
	/* A copy under another file name: what it is called here. */
	if (!traits[out->kind].flags[0])
		out->kind = kind_of(out->name);
	if (!traits[out->kind].flags[0])
		return refuse_unknown(program, eb);
	return ERR_OK;
}

static bool is_same_file(const struct rival *a, const char *path)
{
	struct stat x, y;
	return !stat(a->program, &x) && !stat(path, &y) && x.st_ino == y.st_ino &&
	    x.st_dev == y.st_dev;
}

unsigned rival_find(struct rival *out, unsigned max)
{
	static const char *const names[] = { "kymod", "victoria-metrics", "victoria-metrics-prod",
		"prometheus", "thanos" };
	char self[512], path[1024];
	struct errbuf eb;
	unsigned n = 0;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	errbuf_init(&eb);
	if (len > 0) {
		self[len] = 0;
		snprintf(path, sizeof(path), "%.*s/kymod", (int)(base_of(self) - self - 1), self);
		if (!access(path, X_OK) && n < max && !rival_parse(path, &out[n], &eb))
			n++;
	}
	for (size_t i = n ? 1 : 0; i < COUNT_OF(names) && n < max; i++) {
		bool twice = false;
		if (!find_program(names[i], path, sizeof(path)))
			continue;
		for (unsigned k = 0; k < n; k++)
			twice = twice || is_same_file(&out[k], path);
		errbuf_init(&eb);
		if (!twice && !rival_parse(path, &out[n], &eb))
			n++;
	}
	return n;
}

/* The first line of what argv prints; false: none, or it failed. */
static bool first_line(const char *const *argv, char *out, size_t cap)
{
	struct buf text, err;
	struct errbuf eb;
	int status;
	bool good;
	buf_init(&text);
	buf_init(&err);
	errbuf_init(&eb);
	good = !child_run(argv, NULL, 10, &text, &err, &status, &eb) && status == 0;
	if (good) {
		if (!text.len)
			buf_add(&text, err.data, err.len);
		buf_add_u8(&text, 0);
		char *line = (char *)text.data;
		line[strcspn(line, "\r\n")] = 0;
		snprintf(out, cap, "%s", line);
	}
	buf_release(&text);
	buf_release(&err);
	return good && out[0];
}

/* Of Debian's package that the program came with. */
static bool package_version(const char *path, char *out, size_t cap)
{
	char name[512];
	const char *const owner[] = { "dpkg-query", "-S", path, NULL };
	const char *const which[] = { "dpkg-query", "-W", "-f", "package ${Package} ${Version}\n",
		name, NULL };
	if (!first_line(owner, name, sizeof(name)))
		return false;
	name[strcspn(name, ":,")] = 0;
	return first_line(which, out, cap);
}

void rival_ask_version(struct rival *p)
{
	const char *argv[] = { p->program, "--version", NULL };
	struct stat st;
	struct tm tm;
	char day[32] = "";
	if (p->kind == RIVAL_OTHER || p->kind == RIVAL_MIMIR) {
		snprintf(p->version, sizeof(p->version), "not asked");
		return;
	}
	if (p->kind == RIVAL_VICTORIA)
		argv[1] = "-version";
	bool said =
	    first_line(argv, p->version, sizeof(p->version)) && strpbrk(p->version, "0123456789");
	if (said || package_version(p->program, p->version, sizeof(p->version)))
		return;
	if (!stat(p->program, &st) && gmtime_r(&st.st_mtime, &tm))
		strftime(day, sizeof(day), ", a program file of %Y-%m-%d", &tm);
	snprintf(p->version, sizeof(p->version), "it tells no version%s", day);
}

enum err rival_known_name(const struct rival *p, char *out, size_t cap, struct errbuf *eb)
{
	char *real = realpath(p->program, NULL);
	snprintf(out, cap, "%s/%s", p->top, traits[p->kind].word);
	bool good = real && (!symlink(real, out) || errno == EEXIST);
	free(real);
	return good ? ERR_OK : errbuf_set(eb, ERR_IO, "%s: %s", p->program, strerror(errno));
}

void rival_write_url(const struct rival *p, char *out, size_t cap)
{
	snprintf(out, cap, "http://127.0.0.1:%d%s", p->port, traits[p->kind].write_path);
}

void rival_query_url(const struct rival *p, char *out, size_t cap)
{
	const char *prefix = traits[p->kind].query_prefix;
	out[0] = 0;
	if (prefix)
		snprintf(out, cap, "http://127.0.0.1:%d%s", p->port, prefix);
}

const char *rival_promise(const struct rival *p)
{
	return traits[p->kind].promise;
}

const char *rival_queries(const struct rival *p)
{
	return traits[p->kind].queries;
}

static int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;
	if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, len) &&
	    !getsockname(fd, (struct sockaddr *)&a, &len))
		port = ntohs(a.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

enum err rival_prepare(struct rival *p, const char *top, unsigned port, struct errbuf *eb)
{
	char path[600];
	enum err e = child_dir(top, p->top, sizeof(p->top), eb);
	if (e)
		return e;
	p->port = port ? (int)port : free_port();
	p->more_port = port ? (int)port + 1 : free_port();
	if (p->port < 0 || p->more_port < 0)
		return errbuf_set(eb, ERR_IO, "%s: no free port", p->name);
	snprintf(path, sizeof(path), "%s/empty.yml", p->top);
	FILE *f = fopen(path, "w");
	if (!f || fclose(f))
		return errbuf_set(eb, ERR_IO, "%s: %s", path, strerror(errno));
	return ERR_OK;
}

/* One argument with {port}, {more} and {dir} filled in; false: too long. */
static bool fill_in(const struct rival *p, const char *in, char *out, size_t cap)
{
	struct buf b;
	buf_init(&b);
	while (*in) {
		if (!strncmp(in, "{port}", 6)) {
			buf_printf(&b, "%d", p->port);
			in += 6;
		} else if (!strncmp(in, "{more}", 6)) {
			buf_printf(&b, "%d", p->more_port);
			in += 6;
		} else if (!strncmp(in, "{dir}", 5)) {
			buf_add_str(&b, p->top);
			in += 5;
		} else {
			buf_add_u8(&b, (uint8_t)*in++);
		}
	}
	bool fits = b.len < cap;
	if (fits) {
		if (b.len)
			memcpy(out, b.data, b.len);
		out[b.len] = 0;
	}
	buf_release(&b);
	return fits;
}

#define ARG_MAX_BYTES 1024
struct command {
	char text[CHILD_ARGS_MAX][ARG_MAX_BYTES];
	const char *argv[CHILD_ARGS_MAX + 1];
	unsigned count;
};

static bool add_arg(const struct rival *p, struct command *c, const char *text)
{
	if (c->count == CHILD_ARGS_MAX || !fill_in(p, text, c->text[c->count], ARG_MAX_BYTES))
		return false;
	c->argv[c->count] = c->text[c->count];
	c->argv[++c->count] = NULL;
	return true;
}

/* Words of a command line, apart by spaces. */
static bool add_words(const struct rival *p, struct command *c, const char *line)
{
	char word[ARG_MAX_BYTES];
	for (line += strspn(line, " "); *line; line += strspn(line, " ")) {
		size_t n = strcspn(line, " ");
		if (n >= sizeof(word))
			return false;
		snprintf(word, sizeof(word), "%.*s", (int)n, line);
		if (!add_arg(p, c, word))
			return false;
		line += n;
	}
	return true;
}

static enum err make_command(
    struct rival *p, const cpu_set_t *cpus, struct command *c, struct errbuf *eb)
{
	const struct trait *t = &traits[p->kind];
	char loops[16];
	c->count = 0;
	bool good = t->flags[0] ? add_arg(p, c, p->program) : add_words(p, c, p->program);
	for (unsigned i = 0; good && i < COUNT_OF(t->flags) && t->flags[i]; i++)
		good = add_arg(p, c, t->flags[i]);
	if (good && p->kind == RIVAL_KYMOD && cpus) {
		snprintf(loops, sizeof(loops), "%d", CPU_COUNT(cpus));
		good = add_arg(p, c, "--loops") && add_arg(p, c, loops);
	}
	if (!good || !c->count)
		return errbuf_set(eb, ERR_TOOBIG, "%s: its command line is too long", p->name);
	size_t n = 0;
	p->command[0] = 0;
	for (unsigned i = 0; i < c->count && n + 1 < sizeof(p->command); i++)
		n += (size_t)snprintf(
		    p->command + n, sizeof(p->command) - n, "%s%s", i ? " " : "", c->argv[i]);
	return ERR_OK;
}

static void log_path(const struct rival *p, char *out, size_t cap)
{
	snprintf(out, cap, "%s/log", p->top);
}

/* The last line that is not empty. */
static void last_words(const struct rival *p, char *out, size_t cap)
{
	char path[600], line[1024];
	log_path(p, path, sizeof(path));
	FILE *f = fopen(path, "r");
	snprintf(out, cap, "it wrote no log");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\r\n")] = 0;
		if (*line)
			snprintf(out, cap, "%s", line);
	}
	if (f)
		fclose(f);
}

static int ask_port(int port, const char *method, const char *path, double limit_s, struct buf *answer)
{
	struct httpc c;
	struct httpc_url u = { .host = "127.0.0.1" };
	size_t off = 0;
	snprintf(u.port, sizeof(u.port), "%d", port);
	httpc_init(&c, &u);
	c.until_ns = clock_real_mono_ns() + (uint64_t)(limit_s * 1e9);
	c.stop = child_stopped;
	int status = httpc_do(&c, method, path, "", NULL, 0, &off);
	if (status > 0 && answer) {
		buf_clear(answer);
		buf_add(answer, c.in.data + off, c.in.len - off);
	}
	httpc_release(&c);
	return status;
}

int rival_ask(struct rival *p, const char *method, const char *path, struct buf *answer)
{
	char whole[4096];
	const char *prefix = traits[p->kind].query_prefix;
	snprintf(whole, sizeof(whole), "%s%s", prefix ? prefix : "", path);
	return ask_port(p->port, method, whole, ANSWER_LIMIT_S, answer);
}

static bool says_ready(const struct rival *p)
{
	static const char *const tried[] = { "/-/ready", "/ready", "/health" };
	const char *path = traits[p->kind].ready_path;
	if (path)
		return ask_port(p->kind == RIVAL_THANOS ? p->more_port : p->port, "GET", path,
		           READY_LIMIT_S, NULL) == 200;
	for (size_t i = 0; i < COUNT_OF(tried); i++)
		if (ask_port(p->port, "GET", tried[i], READY_LIMIT_S, NULL) == 200)
			return true;
	return false;
}

static enum err wait_ready(
    struct rival *p, uint64_t begin, double limit_s, double *ready_s, struct errbuf *eb)
{
	char words[1024];
	for (;;) {
		if (says_ready(p))
			break;
		*ready_s = (double)(clock_real_mono_ns() - begin) / 1e9;
		bool alive = child_alive(p->pid, NULL);
		if (child_stopped())
			return errbuf_set(eb, ERR_CANCELED, "stopped");
		if (!alive || *ready_s > limit_s) {
			last_words(p, words, sizeof(words));
			if (!alive)
				p->pid = 0;
			return errbuf_set(eb, ERR_IO, "%s %s; its log ends: %s", p->name,
			    alive ? "is not ready in time" : "ended at its start", words);
		}
		usleep(5000);
	}
	*ready_s = (double)(clock_real_mono_ns() - begin) / 1e9;
	return ERR_OK;
}

enum err rival_start(
    struct rival *p, const cpu_set_t *cpus, double limit_s, double *ready_s, struct errbuf *eb)
{
	char path[600];
	struct command *c = mem_alloc(sizeof(*c));
	enum err e = make_command(p, cpus, c, eb);
	uint64_t begin = clock_real_mono_ns();
	log_path(p, path, sizeof(path));
	if (!e) {
		p->pid = child_start(c->argv, cpus, path, eb);
		if (p->pid < 0) {
			p->pid = 0;
			e = ERR_IO;
		}
	}
	mem_free(c);
	if (!e)
		e = wait_ready(p, begin, limit_s, ready_s, eb);
	if (e && p->pid)
		rival_stop(p, SIGTERM);
	return e;
}

bool rival_running(struct rival *p)
{
	if (p->pid && !child_alive(p->pid, NULL))
		p->pid = 0;
	return p->pid != 0;
}

double rival_stop(struct rival *p, int sig)
{
	double s =
	    p->pid ? child_end(p->pid, sig, child_stopped() ? HURRY_LIMIT_S : STOP_LIMIT_S) : 0;
	p->pid = 0;
	return s;
}

void rival_release(struct rival *p)
{
	rival_stop(p, SIGTERM);
	if (p->top[0])
		child_dir_drop(p->top);
	p->top[0] = 0;
}

static enum err tell(
    struct rival *p, const char *method, const char *path, struct buf *answer, struct errbuf *eb)
{
	struct buf own;
	buf_init(&own);
	struct buf *to = answer ? answer : &own;
	int status = rival_ask(p, method, path, to);
	enum err e = ERR_OK;
	if (status < 200 || status > 299)
		e = errbuf_set(eb, ERR_IO, "%s: %s %s: %d %.*s", p->name, method, path, status,
		    (int)(to->len < 200 ? to->len : 200), to->len ? (const char *)to->data : "");
	buf_release(&own);
	return e;
}

enum err rival_settle(struct rival *p, struct errbuf *eb)
{
	return p->kind == RIVAL_VICTORIA ? tell(p, "GET", "/internal/force_flush", NULL, eb) : ERR_OK;
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; names && *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

/* Of all files below a directory, but for what stands at its top and is named in skip. */
static double bytes_below(const char *dir, const char *const *skip)
{
	double sum = 0;
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[1400];
		struct stat st;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || is_one_of(e->d_name, skip))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (lstat(path, &st))
			continue;
		sum += S_ISDIR(st.st_mode) ? bytes_below(path, NULL)
		    : S_ISREG(st.st_mode)  ? (double)st.st_size
		                           : 0;
	}
	if (d)
		closedir(d);
	return sum;
}

double rival_whole_bytes(const struct rival *p)
{
	char dir[600];
	snprintf(dir, sizeof(dir), "%s/data", p->top);
	return bytes_below(dir, NULL);
}

/* A server merges behind its answer: until its bytes have been the same for some seconds. */
static void wait_same_bytes(const struct rival *p)
{
	double before = -1;
	for (unsigned i = 0, same = 0; i < MERGE_LIMIT_S && same < MERGE_QUIET_S; i++) {
		double now = rival_whole_bytes(p);
		same = now == before ? same + 1 : 0;
		before = now;
		if (child_stopped())
			return;
		sleep(1);
	}
}

/* The head as a block, in a snapshot, which is counted for itself. */
static enum err flush_prometheus(struct rival *p, struct rival_bytes *out, struct errbuf *eb)
{
	char dir[600];
	enum err e = tell(p, "POST", "/api/v1/admin/tsdb/snapshot", NULL, eb);
	if (e)
		return e;
	out->whole = 0;
	snprintf(dir, sizeof(dir), "%s/data/snapshots", p->top);
	out->files = bytes_below(dir, NULL);
	out->whole = rival_whole_bytes(p) - out->files;
	out->what = "blocks of a snapshot, the head among them";
	return ERR_OK;
}

enum err rival_flush(struct rival *p, struct rival_bytes *out, struct errbuf *eb)
{
	static const char *const logs[] = { "log", "RESERVE", NULL }, *const caches[] = { "cache", NULL };
	char dir[600];
	enum err e = ERR_OK;
	snprintf(dir, sizeof(dir), "%s/data", p->top);
	switch (p->kind) {
	case RIVAL_KYMOD:
		e = tell(p, "POST", "/api/v1/admin/tsdb/flush", NULL, eb);
		out->files = bytes_below(dir, logs);
		out->whole = bytes_below(dir, NULL);
		out->what = "files and catalog, without the log and its reserve";
		return e;
	case RIVAL_VICTORIA:
		e = tell(p, "GET", "/internal/force_flush", NULL, eb);
		if (!e)
			e = tell(p, "GET", "/internal/force_merge", NULL, eb);
		if (!e)
			wait_same_bytes(p);
		out->files = bytes_below(dir, caches);
		out->whole = bytes_below(dir, NULL);
		out->what = "parts and index, without the caches it keeps on disk";
		return e;
	case RIVAL_PROMETHEUS:
		return flush_prometheus(p, out, eb);
	case RIVAL_THANOS:
	case RIVAL_MIMIR:
	case RIVAL_OTHER:
		break;
	}
	return errbuf_set(eb, ERR_UNSUPPORTED, "%s: has no call that writes all to files", p->name);
}
