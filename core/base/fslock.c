#include "core/base/fslock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"

#define TURNS 100u /* of others that remove it while we open it */

struct fslock {
	struct fsio_dir *dir;
	struct fsio_file *file;
	char name[FSLOCK_NAME_MAX + 1];
};

/* ERR_AGAIN: another has it. */
static enum err lock(struct fsio_file *f)
{
	int r;
	do {
		r = flock(fsio_file_fd(f), LOCK_EX | LOCK_NB);
	} while (r && errno == EINTR);
	if (!r || errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP)
		return ERR_OK;
	return errno == EWOULDBLOCK ? ERR_AGAIN : err_of_errno(errno);
}

/* Does the name still lead to the file? The one before may have removed it under our hands. */
static bool still_there(struct fsio_dir *d, const char *name, struct fsio_file *f)
{
	struct stat mine;
	struct fsio_stat now;
	return !fstat(fsio_file_fd(f), &mine) && !fsio_stat(d, name, &now) &&
	    now.inode == mine.st_ino && now.device == mine.st_dev;
}

static void owner(struct fsio_file *f, char text[32])
{
	uint64_t size = 0;
	memset(text, 0, 32);
	if (fsio_size(f, &size) || !size || size > 31 || fsio_read_at(f, text, (size_t)size, 0))
		snprintf(text, 32, "(unknown)");
	text[strcspn(text, "\n")] = 0;
}

static enum err open_it(struct fsio_dir *d, const char *name, bool make, struct fsio_file **f)
{
	enum err e = fsio_open(d, name, FSIO_WRITE, f);
	if (e != ERR_NOTFOUND || !make)
		return e;
	e = fsio_open(d, name, FSIO_CREATE, f);
	return e == ERR_EXISTS ? ERR_AGAIN : e;
}

/* ERR_AGAIN: it went meanwhile. */
static enum err try_it(
    struct fsio_dir *d, const char *name, bool make, struct fsio_file **f, struct errbuf *eb)
{
	char text[32];
	enum err e = open_it(d, name, make, f);
	if (e)
		return e;
	e = lock(*f);
	if (!e && still_there(d, name, *f))
		return ERR_OK;
	if (e == ERR_AGAIN) {
		owner(*f, text);
		e = errbuf_set(
		    eb, ERR_LOCKED, "%s/%s is in use by process %s", fsio_dir_path(d), name, text);
	} else if (!e) {
		e = ERR_AGAIN;
	}
	fsio_close(*f);
	return e;
}

/*
 * Who looks for what was left takes none for it that has no id yet: its owner is about to lock it.
 */
static bool is_left(struct fsio_file *f)
{
	uint64_t size = 0;
	return !fsio_size(f, &size) && size > 0;
}

static enum err take(
    struct fsio_dir *d, const char *name, bool left, struct fslock **out, struct errbuf *eb)
{
	struct fsio_file *f = NULL;
	enum err e = ERR_AGAIN;
	char text[32];
	if (strlen(name) > FSLOCK_NAME_MAX)
		return errbuf_set(eb, ERR_TOOBIG, "%s: the name is too long", name);
	for (unsigned i = 0; e == ERR_AGAIN && i < TURNS; i++)
		e = try_it(d, name, !left, &f, eb);
	if (e)
		return errbuf_set(eb, e, "%s/%s: %s", fsio_dir_path(d), name, err_why(e));
	if (left && !is_left(f)) {
		fsio_close(f);
		return ERR_NOTFOUND;
	}
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	e = fsio_truncate(f, 0);
	if (!e)
		e = fsio_write_at(f, text, (size_t)len, 0);
	if (e) {
		errbuf_set(eb, e, "%s/%s: %s", fsio_dir_path(d), name, err_why(e));
		fsio_close(f);
		return e;
	}
	struct fslock *l = mem_zalloc(sizeof(*l));
	l->dir = d;
	l->file = f;
	snprintf(l->name, sizeof(l->name), "%s", name);
	*out = l;
	return ERR_OK;
}

enum err fslock_take(struct fsio_dir *d, const char *name, struct fslock **out, struct errbuf *eb)
{
	return take(d, name, false, out, eb);
}

enum err fslock_take_left(struct fsio_dir *d, const char *name, struct fslock **out, struct errbuf *eb)
{
	return take(d, name, true, out, eb);
}

void fslock_drop(struct fslock *l)
{
	if (!l)
		return;
	enum err whatever = fsio_remove(l->dir, l->name); /* before it is let go */
	(void)whatever;
	fsio_close(l->file);
	mem_free(l);
}
