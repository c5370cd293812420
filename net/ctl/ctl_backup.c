/*
 * kymoctl backup SOURCE REPO       a backup of a server, a stopped data directory or a snapshot
 * kymoctl backup list REPO
 * kymoctl backup prune --keep N REPO
 *
 * Of a server: a snapshot is asked for (POST /api/v1/admin/tsdb/snapshot), copied from where it
 * lies, which must be on this machine, and deleted. When the copy is interrupted the snapshot
 * stays: the same command goes on with it (generations/NAME.part of the repository names it).
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "net/ctl/backrepo.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlprog.h"
#include "net/ctl/ctlsnap.h"
#include "net/ctl/ctltable.h"
#include "storage/storedir.h"

#define SAVE_NS                                                                                    \
 UINT64_C(2000000000) /* between looks at what is written down of an unfinished one */

struct backup {
	/* flags */
	const char *data_dir, *format;
	bool verify, read_all, keep_snapshot, quiet;
	struct ctlhttp_access access;
	/* the source */
	struct ctlhttp *http; /* NULL: a directory */
	char snapshot[SNAPSHOT_NAME_MAX];
	char path[PATH_MAX];
	struct storedir dir;
	/* the repository */
	struct backrepo repo;
	struct backgen gen, prev, part; /* part: what an interrupted one has */
	/* the work */
	struct ctlprog prog;
	struct errbuf eb;
	uint64_t bytes, new_bytes, missing, saved_ns;
	size_t new_files, unread;
	double done, goal;
};

static int failed(const struct backup *b, enum err e)
{
	if (e == ERR_CANCELED)
		return ctl_fail(CTL_INTERRUPTED, "interrupted; the same command goes on");
	return ctl_fail(ctl_exit_of(e), "%s", b->eb.text[0] ? b->eb.text : err_text(e));
}

/* ---- the server's snapshot ---- */

static void snapshot_place(struct backup *b, const struct ctlsnap *s)
{
	if (b->data_dir)
		(void)snprintf(
		    b->path, sizeof(b->path), "%s/" SNAPSHOTS_DIR "/%s", b->data_dir, s->name);
	else
		memcpy(b->path, s->path, sizeof(b->path));
}

/* Where it lies, as this machine sees it; false: it is not there. */
static int snapshot_find(struct backup *b, const char *name, bool *there)
{
	struct ctlsnap s;
	int status = ctlsnap_find(b->http, name, &s, there);
	if (!status && *there)
		snapshot_place(b, &s);
	return status;
}

static int snapshot_make(struct backup *b)
{
	struct ctlsnap s = { .name = "" };
	int status = ctlsnap_make(b->http, false, &s);
	memcpy(b->snapshot, s.name, sizeof(b->snapshot));
	if (!status)
		snapshot_place(b, &s);
	return status;
}

static void snapshot_drop(struct backup *b)
{
	if (!b->http || !b->snapshot[0] || b->keep_snapshot)
		return;
	if (ctlsnap_drop(b->http, b->snapshot))
		ctl_note("snapshot %s of the server could not be deleted", b->snapshot);
}

/* What an interrupted run has written down. */
static bool part_load(struct backup *b, const char *name)
{
	struct errbuf why;
	errbuf_init(&why);
	if (!backrepo_load(&b->repo, name, true, &b->part, &why))
		return true;
	ctl_note("%s: it begins anew", why.text);
	return false;
}

/* Nobody goes on with one, but what it has of this directory need not be read again. */
static void part_find(struct backup *b)
{
	for (size_t i = b->repo.parts_count; !b->part.name[0] && i-- > 0;)
		if (!part_load(b, b->repo.parts[i]) ||
		    memcmp(b->part.identity, b->dir.manifest.identity, 16) != 0)
			backgen_release(&b->part);
}

static void part_end(struct backup *b, const char *name)
{
	struct errbuf why;
	errbuf_init(&why);
	if (backrepo_part_drop(&b->repo, name, &why))
		ctl_note("%s", why.text);
}

/* A run was killed when its backup was complete. */
static void snapshot_end(struct backup *b, const char *name, bool there)
{
	if (there) {
		(void)snprintf(b->snapshot, sizeof(b->snapshot), "%s", name);
		snapshot_drop(b);
		b->snapshot[0] = 0;
		part_end(b, name);
	}
}

/* The youngest that an interrupted run has left, and the server still has. */
static int snapshot_again(struct backup *b, bool *there)
{
	int status = CTL_OK;
	for (size_t i = b->repo.parts_count; !status && !*there && i-- > 0;) {
		const char *name = b->repo.parts[i];
		status = snapshot_find(b, name, there);
		if (!status && backrepo_complete(&b->repo, name)) {
			snapshot_end(b, name, *there);
			*there = false;
		}
		if (!status && *there) {
			(void)snprintf(b->snapshot, sizeof(b->snapshot), "%s", name);
			(void)part_load(b, name);
		}
	}
	return status;
}

/* Before a repository is made: is it a server that makes snapshots, for who asks? */
static int source_ask_server(struct backup *b)
{
	bool there;
	int status = ctlhttp_open(&b->access, &b->http);
	return status ? status : snapshot_find(b, "", &there);
}

static int source_snapshot(struct backup *b)
{
	bool there = false;
	int status = snapshot_again(b, &there);
	if (!status && !there)
		status = snapshot_make(b);
	if (status)
		return status;
	enum err e = storedir_open(b->path, false, &b->dir, &b->eb);
	if (!e)
		return CTL_OK;
	status = ctl_fail(ctl_exit_of(e),
	    "the server's snapshot cannot be read here: %s. Run this on its machine, as who may read "
	    "it, or say with --data-dir where its data directory is",
	    b->eb.text);
	snapshot_drop(b);
	return status;
}

static int source_open_dir(struct backup *b, const char *path)
{
	if (!realpath(path, b->path))
		(void)snprintf(b->path, sizeof(b->path), "%s", path);
	enum err e = storedir_open(b->path, true, &b->dir, &b->eb);
	if (e == ERR_LOCKED)
		return ctl_fail(CTL_LOCAL,
		    "%s. Name the server instead (kymoctl backup http://HOST:PORT REPO), with "
		    "--web.enable-admin-api there: it makes a snapshot",
		    b->eb.text);
	if (e == ERR_NOTFOUND)
		return ctl_fail(
		    CTL_LOCAL, "%s (a server is named by its URL, http://HOST:PORT)", b->eb.text);
	return e ? failed(b, e) : CTL_OK;
}

/* ---- files ---- */

static uint32_t tail_of(struct fsio_file *f, uint64_t size)
{
	uint8_t tail[BACKREPO_TAIL];
	size_t n = size < sizeof(tail) ? (size_t)size : sizeof(tail);
	return fsio_read_at(f, tail, n, size - n) ? 0 : crc32c(0, tail, n);
}

/*
 * Files of samples never change under their name: one that was there with this size, time and
 * footer is not read again.
 */
static const struct backfile *known(struct backup *b, const struct backfile *f)
{
	struct backgen *gens[] = { &b->part, &b->prev };
	for (size_t i = 0; i < COUNT_OF(gens) && !b->read_all; i++) {
		const struct backfile *was = backgen_find(gens[i], f->path);
		if (was && was->size == f->size && was->mtime_ns == f->mtime_ns &&
		    was->tail == f->tail && backrepo_has(&b->repo, was))
			return was;
	}
	return NULL;
}

static enum err save_some(struct backup *b)
{
	uint64_t now = clock_real_mono_ns();
	if (now - b->saved_ns < SAVE_NS)
		return ERR_OK;
	b->saved_ns = now;
	return backrepo_save(&b->repo, &b->gen, true, &b->eb);
}

static enum err one_file(void *arg, const struct storedir_item *item)
{
	struct backup *b = arg;
	struct backfile f = { .size = item->stat.size, .mtime_ns = item->stat.mtime_ns };
	struct fsio_file *from = NULL;
	uint64_t bytes = 0;
	if (ctl_stopped())
		return ERR_CANCELED;
	if (item->err == ERR_NOTFOUND) {
		ctl_note("%s: FILES names it, and it is not there", item->path);
		b->missing++;
		return ERR_OK;
	}
	(void)snprintf(f.path, sizeof(f.path), "%s", item->path);
	enum err e = item->err ? item->err : fsio_open(item->dir, item->name, FSIO_READ, &from);
	if (e)
		return errbuf_set(&b->eb, e, "%s: %s", item->path, err_why(e));
	const struct backfile *was = NULL;
	if (item->kind == STOREDIR_FILE) {
		f.tail = tail_of(from, f.size);
		was = known(b, &f);
	}
	if (was) {
		memcpy(f.hash, was->hash, sizeof(f.hash));
		f.stored = was->stored;
		b->unread++;
	} else {
		e = backrepo_store(&b->repo, from, &f, &bytes, &b->eb);
	}
	fsio_close(from);
	if (e)
		return e;
	backgen_add(&b->gen, &f);
	b->bytes += f.size;
	b->new_bytes += bytes;
	b->new_files += bytes > 0;
	b->done += (double)f.size;
	ctlprog_tell(&b->prog, b->done);
	return save_some(b);
}

static enum err count_one(void *arg, const struct storedir_item *item)
{
	struct backup *b = arg;
	b->goal += (double)item->stat.size;
	return ERR_OK;
}

static enum err verify_new(struct backup *b)
{
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < b->gen.count; i++) {
		const struct backfile *f = &b->gen.files[i], *was = backgen_find(&b->prev, f->path);
		if (!was || memcmp(was->hash, f->hash, sizeof(f->hash)) != 0)
			e = backrepo_fetch(&b->repo, f, NULL, ctl_stopped, &b->eb);
	}
	return e;
}

static void prev_load(struct backup *b)
{
	for (size_t i = b->repo.count; i-- > 0;) {
		struct errbuf why;
		errbuf_init(&why);
		if (backrepo_load(&b->repo, b->repo.names[i], false, &b->prev, &why)) {
			ctl_note("%s", why.text);
			continue;
		}
		if (memcmp(b->prev.identity, b->dir.manifest.identity, 16) == 0)
			return;
		backgen_release(&b->prev);
	}
}

static void gen_begin(struct backup *b, const char *source)
{
	int64_t made_ms = clock_wall_ms();
	const char *base = strrchr(b->path, '/');
	base = base ? base + 1 : b->path;
	if (snapshot_name_parse(base, &made_ms)) {
		(void)snprintf(b->gen.name, sizeof(b->gen.name), "%.39s", base);
	} else {
		snapshot_name_make(b->gen.name, made_ms);
	}
	b->gen.made_s = made_ms / 1000;
	memcpy(b->gen.identity, b->dir.manifest.identity, sizeof(b->gen.identity));
	(void)snprintf(b->gen.from, sizeof(b->gen.from), "%.1000s", source);
	for (char *p = b->gen.from; *p; p++)
		if (*p < ' ')
			*p = '?';
}

/*
 * A snapshot may be deleted while it is copied, its files one by one: what is not there any more
 * was not lost by the server. MANIFEST goes first, with the name.
 */
static enum err source_there(struct backup *b)
{
	struct storedir again;
	enum err e = storedir_open(b->path, false, &again, &b->eb);
	if (!e) {
		bool same = memcmp(again.manifest.identity, b->dir.manifest.identity, 16) == 0;
		storedir_close(&again);
		if (same)
			return ERR_OK;
	}
	errbuf_init(&b->eb);
	return errbuf_set(&b->eb, ERR_NOTFOUND, "%s was deleted while it was copied", b->path);
}

static int copy(struct backup *b)
{
	enum err e = storedir_each(&b->dir, count_one, NULL, b, &b->eb);
	ctlprog_begin(&b->prog, "B", b->goal, 0, b->quiet);
	/* At once: a run that is killed leaves the snapshot, and this is all that knows of it. */
	if (!e && strcmp(b->part.name, b->gen.name) != 0)
		e = backrepo_save(&b->repo, &b->gen, true, &b->eb);
	b->saved_ns = clock_real_mono_ns();
	if (!e)
		e = storedir_each(&b->dir, one_file, NULL, b, &b->eb);
	if (e != ERR_CANCELED && source_there(b))
		e = ERR_NOTFOUND;
	if (!e && b->verify)
		e = verify_new(b);
	if (e) {
		struct errbuf why;
		errbuf_init(&why);
		enum err saved = backrepo_save(&b->repo, &b->gen, true, &why);
		if (saved)
			ctl_note("%s", why.text);
		return failed(b, e);
	}
	e = backrepo_save(&b->repo, &b->gen, false, &b->eb);
	if (e)
		return failed(b, e);
	ctlprog_end(&b->prog);
	printf("%s files=%zu bytes=%" PRIu64 " new_files=%zu new_bytes=%" PRIu64 " unread=%zu%s\n",
	    b->gen.name, b->gen.count, b->bytes, b->new_files, b->new_bytes, b->unread,
	    b->verify ? " verified" : "");
	return b->missing ? CTL_NO : CTL_OK;
}

static int run(struct backup *b, const char *source, const char *repo)
{
	if (ctl_is_url(repo))
		return ctl_fail(CTL_USAGE,
		    "\"%s\" is no directory for backups; SOURCE comes first: kymoctl backup %s %s",
		    repo, repo, source);
	int status = ctl_is_url(source) ? source_ask_server(b) : source_open_dir(b, source);
	if (status)
		return status;
	enum err e = backrepo_open(repo, true, &b->repo, &b->eb);
	if (e)
		return failed(b, e);
	if (b->http)
		status = source_snapshot(b);
	if (status)
		return status;
	prev_load(b);
	part_find(b);
	gen_begin(b, source);
	if (backrepo_complete(&b->repo, b->gen.name)) {
		part_end(b, b->gen.name);
		printf("%s is there already\n", b->gen.name);
		return CTL_OK;
	}
	status = copy(b);
	if (status != CTL_INTERRUPTED)
		snapshot_drop(b);
	else if (b->http)
		ctl_note("until then the server keeps snapshot %s", b->snapshot);
	if (status && status != CTL_NO)
		return status;
	part_end(b, b->gen.name);
	if (b->part.name[0] && strcmp(b->part.name, b->gen.name) != 0)
		part_end(b, b->part.name);
	return status;
}

static int list(struct backup *b, const char *path)
{
	static const struct ctltable_column columns[] = { { "name", false }, { "time", false },
		{ "files", true }, { "bytes", true }, { "new_bytes", true }, { "from", false } };
	struct ctltable t;
	enum err e = backrepo_open(path, false, &b->repo, &b->eb);
	if (e)
		return failed(b, e);
	ctltable_begin(&t, stdout, ctltable_form(b->format), columns, COUNT_OF(columns));
	struct backgen seen = { 0 }; /* objects, by hash as path */
	int status = CTL_OK;
	for (size_t i = 0; i < b->repo.count; i++) {
		struct backgen g;
		struct errbuf why;
		uint64_t bytes = 0, fresh = 0;
		char at[32];
		errbuf_init(&why);
		e = backrepo_load(&b->repo, b->repo.names[i], false, &g, &why);
		if (e) {
			status = ctl_fail(CTL_NO, "%s", why.text);
			continue;
		}
		for (size_t k = 0; k < g.count; k++) {
			struct backfile f = g.files[k];
			for (size_t n = 0; n < BACKREPO_HASH; n++)
				(void)snprintf(f.path + 2 * n, 3, "%02x", f.hash[n]);
			bytes += f.size;
			if (!backgen_find(&seen, f.path)) {
				fresh += f.stored;
				backgen_add(&seen, &f);
			}
		}
		time_t s = (time_t)g.made_s;
		struct tm tm;
		gmtime_r(&s, &tm);
		(void)strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
		ctltable_cell(&t, g.name);
		ctltable_cell(&t, at);
		ctltable_cellf(&t, "%zu", g.count);
		ctltable_cellf(&t, "%" PRIu64, bytes);
		ctltable_cellf(&t, "%" PRIu64, fresh);
		ctltable_cell(&t, g.from);
		backgen_release(&g);
	}
	ctltable_end(&t);
	backgen_release(&seen);
	return status;
}

static int prune(struct backup *b, const char *path, double keep)
{
	struct backrepo_pruned out;
	if (keep < 1)
		return ctl_fail(CTL_USAGE, "prune needs --keep N, 1 or more: how many backups stay");
	enum err e = backrepo_open(path, false, &b->repo, &b->eb);
	if (!e)
		e = backrepo_prune(&b->repo, (unsigned)keep, &out, &b->eb);
	if (e)
		return failed(b, e);
	printf("pruned backups=%zu objects=%zu bytes=%" PRIu64 "\n", out.generations, out.objects,
	    out.bytes);
	return CTL_OK;
}

int ctl_backup(int argc, char **argv)
{
	struct backup b = { 0 };
	double keep = 0;
	const struct cmdline_arg args[] = {
		{ .name = "verify",
		    .help = "read what was written, and compare checksums",
		    .flag = &b.verify },
		{ .name = "read-all",
		    .help = "read files again that seem not to have changed",
		    .flag = &b.read_all },
		{ .name = "data-dir",
		    .meta = "DIR",
		    .help = "where this machine sees the server's data directory (as the server says)",
		    .text = &b.data_dir },
		{ .name = "keep-snapshot",
		    .help = "leave the server's snapshot where it is",
		    .flag = &b.keep_snapshot },
		{ .name = "keep", .meta = "N", .help = "prune: how many backups stay", .num = &keep },
		{ .name = "quiet", .help = "no progress", .flag = &b.quiet },
		CTLTABLE_ARG(b.format),
		CTLHTTP_ACCESS_ARGS(b.access),
	};
	int words = cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "backup",
	        .words = "SOURCE REPO | list REPO | prune REPO",
	        .help =
	            "SOURCE is a server (http://HOST:PORT, with --web.enable-admin-api), the data directory "
	            "of a stopped one, or a snapshot. REPO is a directory of backups: what it has is not copied "
	            "again. An interrupted backup goes on with the same command.",
	        .examples = "  kymoctl backup http://127.0.0.1:9470 /backup/kymo --verify\n"
	                    "  kymoctl backup prune /backup/kymo --keep 30\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 2,
	        .words_max = 2 },
	    argc, argv);
	(void)words;
	errbuf_init(&b.eb);
	ctl_catch();
	int status;
	if (strcmp(argv[0], "list") == 0) {
		status = list(&b, argv[1]);
	} else if (strcmp(argv[0], "prune") == 0) {
		status = prune(&b, argv[1], keep);
	} else {
		b.access.server = argv[0];
		status = run(&b, argv[0], argv[1]);
	}
	if (b.dir.dir)
		storedir_close(&b.dir);
	backgen_release(&b.gen);
	backgen_release(&b.prev);
	backgen_release(&b.part);
	if (b.repo.target)
		backrepo_close(&b.repo);
	ctlhttp_close(b.http);
	return status;
}
