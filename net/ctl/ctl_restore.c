/*
 * kymoctl restore REPO DATA_DIR [--generation NAME]: a data directory out of a backup.
 *
 * While it is under way the directory has a file RESTORING that names the backup, and no server
 * opens it (storage/manifest.h). The same command goes on: what is there, byte for byte, is not
 * written again. LOCK is held from before RESTORING is written on, and MANIFEST comes last.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "net/ctl/backrepo.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlprog.h"
#include "storage/manifest.h"

#define MARK     MANIFEST_RESTORING
#define MARK_TMP MARK ".tmp" /* of one that was killed at once */
#define MARK_MAX 64u
#define MANIFEST "MANIFEST."

struct restore {
	struct backrepo repo;
	struct backgen gen;
	struct fsio_dir *top;
	struct fsio_file *lock;
	bool goes_on, quiet;
	struct ctlprog prog;
	struct errbuf eb;
	double done;
	size_t written, there;
};

static enum err entry_seen(void *arg, const char *name)
{
	if (strcmp(name, "LOCK") != 0 && strcmp(name, "lost+found") != 0 &&
	    strcmp(name, MARK_TMP) != 0)
		*(bool *)arg = true;
	return ERR_OK;
}

/* Empty, or the place where this very backup was being restored: *fresh tells which. */
static enum err place_look(struct restore *r, const char *path, bool *fresh)
{
	uint8_t *text;
	size_t len;
	bool any = false;
	*fresh = false;
	enum err e = fsio_load(r->top, MARK, MARK_MAX, &text, &len);
	if (!e) {
		r->goes_on = len == strlen(r->gen.name) && memcmp(text, r->gen.name, len) == 0;
		if (!r->goes_on)
			e = errbuf_set(&r->eb, ERR_EXISTS,
			    "%s: another backup was being restored there (%.*s)", path, (int)len,
			    (const char *)text);
		mem_free(text);
		return e;
	}
	if (e != ERR_NOTFOUND)
		return errbuf_set(&r->eb, e, "%s/" MARK ": %s", path, err_why(e));
	e = fsio_dir_each(r->top, entry_seen, &any);
	if (!e && any)
		return errbuf_set(&r->eb, ERR_EXISTS, "%s is not empty", path);
	*fresh = !e;
	return e ? errbuf_set(&r->eb, e, "%s: %s", path, err_why(e)) : ERR_OK;
}

/* Looked at before LOCK, too, so that none is left in a place that is somebody else's. */
static enum err place_take(struct restore *r, const char *path)
{
	bool fresh;
	enum err e = place_look(r, path, &fresh);
	if (!e)
		e = manifest_lock(r->top, &r->lock, &r->eb);
	if (!e)
		e = place_look(r, path, &fresh);
	if (e || !fresh)
		return e;
	e = fsio_replace(r->top, MARK, r->gen.name, strlen(r->gen.name));
	return e ? errbuf_set(&r->eb, e, "%s: %s", path, err_why(e)) : ERR_OK;
}

static enum err write_one(
    struct restore *r, struct fsio_dir *dir, const char *name, const struct backfile *f)
{
	char tmp[BACKREPO_PATH_MAX + 8];
	struct fsio_file *to;
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	enum err e = fsio_remove(dir, tmp);
	if (!e || e == ERR_NOTFOUND)
		e = fsio_open(dir, tmp, FSIO_CREATE, &to);
	if (e)
		return errbuf_set(&r->eb, e, "%s: %s", f->path, err_why(e));
	e = backrepo_fetch(&r->repo, f, to, ctl_stopped, &r->eb);
	if (!e)
		e = fsio_sync(to);
	fsio_close(to);
	if (!e)
		e = fsio_rename(dir, tmp, name);
	else
		(void)!fsio_remove(dir, tmp);
	r->written += !e;
	if (!e)
		e = fsio_dir_sync(dir);
	return e && e != ERR_CANCELED ? errbuf_set(&r->eb, e, "%s: %s", f->path, err_why(e)) : e;
}

static enum err restore_one(struct restore *r, const struct backfile *f)
{
	struct fsio_dir *dir;
	struct fsio_file *have;
	const char *name;
	if (ctl_stopped())
		return ERR_CANCELED;
	enum err e = backtarget_walk(r->top, f->path, true, &dir, &name);
	if (e)
		return errbuf_set(&r->eb, e, "%s: %s", f->path, err_why(e));
	bool same = false;
	if (r->goes_on && !fsio_open(dir, name, FSIO_READ, &have)) {
		same = backrepo_same(f, have);
		fsio_close(have);
	}
	if (same)
		r->there++;
	else
		e = write_one(r, dir, name, f);
	fsio_dir_close(dir);
	r->done += (double)f->size;
	ctlprog_tell(&r->prog, r->done);
	return e;
}

static bool is_manifest(const struct backfile *f)
{
	return strncmp(f->path, MANIFEST, strlen(MANIFEST)) == 0;
}

/* MANIFEST last: with it the directory is one. */
static enum err restore_all(struct restore *r)
{
	enum err e = ERR_OK;
	double goal = 0;
	for (size_t i = 0; i < r->gen.count; i++)
		goal += (double)r->gen.files[i].size;
	ctlprog_begin(&r->prog, "B", goal, 0, r->quiet);
	for (unsigned last = 0; last < 2; last++)
		for (size_t i = 0; !e && i < r->gen.count; i++)
			if (is_manifest(&r->gen.files[i]) == (last == 1))
				e = restore_one(r, &r->gen.files[i]);
	if (!e) {
		e = fsio_remove(r->top, MARK);
		if (!e)
			e = fsio_dir_sync(r->top);
		if (e)
			(void)errbuf_set(&r->eb, e, MARK ": %s", err_why(e));
	}
	return e;
}

static int failed(const struct restore *r, enum err e)
{
	if (e == ERR_CANCELED)
		return ctl_fail(CTL_INTERRUPTED, "interrupted; the same command goes on");
	if (e == ERR_EXISTS)
		return ctl_fail(CTL_LOCAL, "%s", r->eb.text);
	return ctl_fail(ctl_exit_of(e), "%s", r->eb.text[0] ? r->eb.text : err_text(e));
}

static int run(struct restore *r, const char *repo, const char *path, const char *name)
{
	enum err e = backrepo_open(repo, false, &r->repo, &r->eb);
	if (!e)
		e = backrepo_load(&r->repo, name, false, &r->gen, &r->eb);
	if (!e) {
		e = fsio_dir_open(path, true, &r->top);
		if (e)
			(void)errbuf_set(&r->eb, e, "%s: %s", path, err_why(e));
	}
	if (!e)
		e = place_take(r, path);
	if (!e)
		e = restore_all(r);
	if (e)
		return failed(r, e);
	ctlprog_end(&r->prog);
	printf("%s restored files=%zu written=%zu there_already=%zu bytes=%.0f\n", r->gen.name,
	    r->gen.count, r->written, r->there, r->done);
	return CTL_OK;
}

int ctl_restore(int argc, char **argv)
{
	struct restore r = { 0 };
	const char *name = NULL;
	const struct cmdline_arg args[] = {
		{ .name = "generation",
		    .meta = "NAME",
		    .help = "which backup, as `kymoctl backup list` has it (the newest)",
		    .text = &name },
		{ .name = "quiet", .help = "no progress", .flag = &r.quiet },
	};
	cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "restore",
	        .words = "REPO DATA_DIR",
	        .help = "DATA_DIR is made, or empty, or where an interrupted restore goes on. "
	                "Each file's checksum is compared; then `kymod --data-dir DATA_DIR` opens it.",
	        .examples = "  kymoctl restore /backup/kymo /var/lib/kymo\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 2,
	        .words_max = 2 },
	    argc, argv);
	errbuf_init(&r.eb);
	ctl_catch();
	int status = run(&r, argv[0], argv[1], name);
	if (r.lock)
		manifest_unlock(r.lock);
	if (r.top)
		fsio_dir_close(r.top);
	backgen_release(&r.gen);
	if (r.repo.target)
		backrepo_close(&r.repo);
	return status;
}
