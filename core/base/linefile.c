#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* pthread_tryjoin_np */
#endif
#include "core/base/linefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/metric.h"

#define LOOK_MS 2u
#define MS_NS   1000000L

/* Of what is open. */
struct looks {
	dev_t dev;
	ino_t ino;
	bool regular; /* pipes and devices have no size, and keep their name */
};

struct linefile {
	char *path;
	uint64_t size_max;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t filled;
	/* Under the lock. */
	char *filling;
	size_t len;
	bool stopping, reopen;
	_Atomic uint64_t lost;
	/* Of the thread. */
	char *writing;
	int fd; /* -1: it could not be opened again */
	struct looks is;
	uint64_t size;
	bool torn; /* its last line has no end */
};

static uint64_t lines_in(const char *p, size_t len)
{
	uint64_t n = 0;
	for (const char *end = p + len; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n++;
	return n;
}

static void lose(struct linefile *f, uint64_t lines, const char *why)
{
	atomic_fetch_add_explicit(&f->lost, lines, memory_order_relaxed);
	metric_add(M_REQUEST_LOG_LOST, lines);
	if (why)
		LOG_EVERY(LOG_LEVEL_WARN, "request_log_lines_lost",
		    "path=\"%s\" lines=%llu reason=\"%s\"", f->path, (unsigned long long)lines, why);
}

/* --- the thread --- */

/* Has a line no end, as after a crash or on a full disk? False, too, where we may not read. */
static bool ends_torn(const char *path, const struct stat *of)
{
	struct stat st;
	char last = '\n';
	int fd = S_ISREG(of->st_mode) && of->st_size
	    ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
	    : -1;
	if (fd < 0)
		return false;
	bool same = !fstat(fd, &st) && st.st_dev == of->st_dev && st.st_ino == of->st_ino;
	if (same && pread(fd, &last, 1, of->st_size - 1) != 1)
		last = '\n';
	close(fd);
	return last != '\n';
}

/* A pipe that nobody reads is ENXIO here, instead of a wait for somebody. */
static enum err file_open(struct linefile *f)
{
	struct stat st = { .st_size = 0 };
	int fd =
	    open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0 || fstat(fd, &st) || fcntl(fd, F_SETFL, O_APPEND)) {
		enum err e = err_of_errno(errno);
		int was = errno;
		if (fd >= 0)
			close(fd);
		errno = was;
		return e;
	}
	struct looks is = { st.st_dev, st.st_ino, S_ISREG(st.st_mode) };
	bool same = f->fd >= 0 && f->is.dev == is.dev && f->is.ino == is.ino;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = fd;
	f->is = is;
	f->size = (uint64_t)st.st_size;
	f->torn = (same && f->torn) || ends_torn(f->path, &st);
	return ERR_OK;
}

static const char *why_closed(void)
{
	return errno == ENXIO ? "nobody reads this pipe" : strerror(errno);
}

static void open_again(struct linefile *f)
{
	if (file_open(f)) /* what was open goes on */
		LOG_EVERY(LOG_LEVEL_WARN, "request_log_not_opened", "path=\"%s\" reason=\"%s\"",
		    f->path, why_closed());
}

/* The file is full: PATH.1 is what it was. A link stays, what it leads to is renamed. */
static void turn_over(struct linefile *f)
{
	char now[PATH_MAX], old[PATH_MAX + 2];
	if (!realpath(f->path, now) || snprintf(old, sizeof(old), "%s.1", now) < 0 ||
	    rename(now, old)) {
		LOG_EVERY(LOG_LEVEL_WARN, "request_log_not_renamed", "path=\"%s\" reason=\"%s\"",
		    f->path, strerror(errno));
		f->size = 0; /* the next look is so many bytes away */
		return;
	}
	open_again(f);
}

static ssize_t write_some(int fd, const char *p, size_t len)
{
	ssize_t n;
	do
		n = write(fd, p, len);
	while (n < 0 && errno == EINTR);
	return n;
}

static void write_all(struct linefile *f, const char *p, size_t len)
{
	if (f->size_max && f->is.regular && f->size && f->size + len > f->size_max)
		turn_over(f);
	if (f->torn && write_some(f->fd, "\n", 1) == 1)
		f->torn = false;
	while (len) {
		ssize_t n = write_some(f->fd, p, len);
		if (n <= 0) {
			lose(f, lines_in(p, len), n < 0 ? strerror(errno) : "nothing is written");
			return;
		}
		p += n;
		len -= (size_t)n;
		f->size += (uint64_t)n;
		f->torn = p[-1] != '\n';
	}
}

/* Everything that waits; false at the end. */
static bool take(struct linefile *f, size_t *len, bool *reopen)
{
	pthread_mutex_lock(&f->lock);
	while (!f->len && !f->stopping && !f->reopen)
		pthread_cond_wait(&f->filled, &f->lock);
	if (!f->stopping) { /* others come, and are written at once */
		struct timespec t = { .tv_nsec = LINEFILE_GATHER_MS * MS_NS };
		pthread_mutex_unlock(&f->lock);
		nanosleep(&t, NULL);
		pthread_mutex_lock(&f->lock);
	}
	char *full = f->filling;
	f->filling = f->writing;
	f->writing = full;
	*len = f->len;
	*reopen = f->reopen;
	f->len = 0;
	f->reopen = false;
	bool more = *len || *reopen || !f->stopping;
	pthread_mutex_unlock(&f->lock);
	return more;
}

static void *file_main(void *arg)
{
	struct linefile *f = arg;
	size_t len;
	bool reopen;
	while (take(f, &len, &reopen)) {
		if (reopen || f->fd < 0)
			open_again(f);
		write_all(f, f->writing, len);
	}
	return NULL;
}

/* --- life --- */

static bool spawn(struct linefile *f)
{
	sigset_t all, old; /* signals stay with the main thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&f->thread, NULL, file_main, f);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!r)
		(void)pthread_setname_np(f->thread, "requestlog"); /* a courtesy */
	return !r;
}

static void destroy(struct linefile *f)
{
	if (f->fd >= 0)
		close(f->fd);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->filled);
	mem_free(f->filling);
	mem_free(f->writing);
	mem_free(f->path);
	mem_free(f);
}

enum err linefile_open(const char *path, uint64_t size_max, struct linefile **out, struct errbuf *eb)
{
	struct linefile *f = mem_zalloc(sizeof(*f));
	f->path = mem_alloc(strlen(path) + 1);
	memcpy(f->path, path, strlen(path) + 1);
	f->size_max = size_max;
	f->filling = mem_alloc(LINEFILE_BYTES);
	f->writing = mem_alloc(LINEFILE_BYTES);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->filled, NULL);
	f->fd = -1;
	enum err e = file_open(f);
	if (e) {
		(void)errbuf_set(eb, e, "%s cannot be opened: %s", path, why_closed());
		destroy(f);
		return e;
	}
	if (!spawn(f)) {
		destroy(f);
		return errbuf_set(eb, ERR_NOMEM, "%s: no thread to write it", path);
	}
	*out = f;
	return ERR_OK;
}

void linefile_put(struct linefile *f, const char *line, size_t len)
{
	pthread_mutex_lock(&f->lock);
	bool first = !f->len, fits = len <= LINEFILE_BYTES - f->len;
	if (fits) {
		memcpy(f->filling + f->len, line, len);
		f->len += len;
	}
	if (first)
		pthread_cond_signal(&f->filled);
	pthread_mutex_unlock(&f->lock);
	if (!fits)
		lose(f, 1, "the disk is too slow");
	else
		metric_add(M_REQUEST_LOG_LINES, 1);
}

void linefile_reopen(struct linefile *f)
{
	pthread_mutex_lock(&f->lock);
	f->reopen = true;
	pthread_cond_signal(&f->filled);
	pthread_mutex_unlock(&f->lock);
}

uint64_t linefile_lost(const struct linefile *f)
{
	return atomic_load_explicit(&f->lost, memory_order_relaxed);
}

static bool ended_within(struct linefile *f, unsigned ms)
{
	uint64_t end_ns = clock_real_mono_ns() + ms * UINT64_C(1000000);
	while (pthread_tryjoin_np(f->thread, NULL)) {
		if (clock_real_mono_ns() > end_ns)
			return false;
		struct timespec t = { .tv_nsec = LOOK_MS * MS_NS };
		nanosleep(&t, NULL);
	}
	return true;
}

void linefile_close(struct linefile *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	pthread_cond_signal(&f->filled);
	pthread_mutex_unlock(&f->lock);
	if (ended_within(f, LINEFILE_STOP_MS))
		destroy(f);
	else
		pthread_detach(f->thread); /* left with its memory to the end of the process */
}
