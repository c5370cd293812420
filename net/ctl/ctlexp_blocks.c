/*
 * ctlexp_blocks - export into blocks: window by window, of all names at once; a window's blocks are
 * there when it is whole, and the next run begins behind it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "net/ctl/ctlexp_priv.h"
#include "storage/block/bwrite.h"

static int block_failed(struct ctlexp *x, enum err e)
{
	if (e == ERR_CANCELED)
		return ctl_fail(CTL_INTERRUPTED, "interrupted, the same command goes on");
	return ctl_fail(ctl_exit_of(e), "%s", x->eb.text[0] ? x->eb.text : err_why(e));
}

static int block_window(void *own, const struct ctlwalk *w)
{
	struct ctlexp *x = own;
	struct bwrite_opts o = { .block_ms = x->block_ms, .memory_bytes = x->memory_bytes };
	(void)w;
	if (x->writer)
		bwrite_abandon(x->writer);
	x->writer = NULL;
	enum err e = bwrite_open(x->path, &o, &x->writer, &x->eb);
	return e ? block_failed(x, e) : CTL_OK;
}

static int block_item(void *own, const struct ctlwalk *w, const struct ctlsrc_item *item)
{
	struct ctlexp *x = own;
	(void)w;
	enum err e = bwrite_add(x->writer, item->labels, &item->samples, &x->eb);
	return e ? block_failed(x, e) : CTL_OK;
}

static int block_piece(void *own, const struct ctlwalk *w, const char *place)
{
	struct ctlexp *x = own;
	(void)w;
	(void)place;
	x->samples = ctlsrc_counts(x->src)->samples;
	return CTL_OK;
}

/* What is added again wins: nothing is to be forgotten. */
static int block_back(void *own)
{
	(void)own;
	return CTL_OK;
}

static bool goes_on(void *arg)
{
	(void)arg;
	return !ctl_stopped();
}

static int block_window_end(void *own, const struct ctlwalk *w, const char *place)
{
	struct ctlexp *x = own;
	struct arena a;
	struct bmeta *metas;
	size_t count = 0;
	(void)w;
	arena_init(&a, 1024);
	struct bwrite *writer = x->writer;
	x->writer = NULL;
	enum err e = bwrite_finish(writer, &a, &metas, &count, goes_on, NULL, &x->eb);
	arena_release(&a);
	if (e)
		return block_failed(x, e);
	x->blocks += count;
	return ctlexp_save(x, place);
}

static const struct ctlcopy_sink block_sink = { block_window, block_item, block_piece, block_back,
	block_window_end };

int ctlexp_blocks(struct ctlexp *x, struct ctlwalk *w, struct ctlprog *prog)
{
	struct ctlwalk_opts o = w->_o;
	o.window_ms = x->block_ms;
	ctlwalk_open(w, &o, x->mark);
	int status = ctlcopy_run(w, x->src, &block_sink, x, prog);
	/* promtool of Prometheus 2 dumps a directory only where there is a place for a log. */
	char wal[PATH_MAX];
	if (!status && x->blocks && snprintf(wal, sizeof(wal), "%s/wal", x->path) < (int)sizeof(wal) &&
	    mkdir(wal, 0777) && errno != EEXIST)
		status = ctl_fail(CTL_LOCAL, "%s: %s", wal, err_why(err_of_errno(errno)));
	if (x->writer)
		bwrite_abandon(x->writer);
	x->writer = NULL;
	return status;
}
