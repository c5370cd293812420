/*
 * ctlcopy - the loop of export and migrate: the pieces of a walk out of a source into a sink, with
 * progress, and what goes wrong tried again.
 *
 * Thread: the main thread.
 */
#ifndef NET_CTL_CTLCOPY_H
#define NET_CTL_CTLCOPY_H

#include "net/ctl/ctlprog.h"
#include "net/ctl/ctlwalk.h"

/* Each returns 0, or an enum ctl_exit that has been told: the work is over. */
struct ctlcopy_sink {
	/* A window begins, or goes on after a mark. */
	int (*window)(void *own, const struct ctlwalk *w);
	int (*item)(void *own, const struct ctlwalk *w, const struct ctlsrc_item *item);
	/* A piece is whole; place: where to go on (ctlwalk_place), NULL in the middle of a name. */
	int (*piece)(void *own, const struct ctlwalk *w, const char *place);
	/* What came of the piece is to be forgotten: it comes again, or half of it. */
	int (*back)(void *own);
	/* A window without a sample ends, too. */
	int (*window_end)(void *own, const struct ctlwalk *w, const char *place);
};
/* Begins with ctlwalk_open's walk; prog is begun. */
MUST_CHECK int ctlcopy_run(struct ctlwalk *w, struct ctlsrc *src, const struct ctlcopy_sink *sink,
    void *own, struct ctlprog *prog);

/* Flags that export and migrate share. */
struct ctlcopy_args {
	const char *start, *end, *from;
	const char *matches[CTLSEL_MAX];
	size_t matches_count;
	const char *mark;
	bool again, quiet, packed;
	struct arena arena;
	struct ctlsel sels[CTLSEL_MAX];
	size_t sels_count;
};
bool ctlcopy_add_match(void *arg, const char *value); /* of struct ctlcopy_args */
/* clang-format off */
#define CTLCOPY_ARGS(a)                                                                            \
	{ .name = "match", .meta = "SELECTOR", .help = "which series, may be repeated (all)", .each = ctlcopy_add_match, .arg = &(a) }, \
	{ .name = "start", .meta = "TIME", .help = "the first time (the first there is)", .text = &(a).start }, \
	{ .name = "end", .meta = "TIME", .help = "the last time (now)", .text = &(a).end }, \
	{ .name = "mark", .meta = "FILE", .help = "where the work keeps how far it is (in ~/.local/state/kymoctl)", .text = &(a).mark }, \
	{ .name = "again", .help = "from the start, whatever an earlier run did", .flag = &(a).again }, \
	{ .name = "compress", .help = "ask the source to pack its answers: for slow networks", .flag = &(a).packed }, \
	{ .name = "quiet", .help = "tell nothing while it goes well", .flag = &(a).quiet }
/* clang-format on */
/* Reads the selectors; the way of "read", "lines", "query" and their other names, NULL is auto. */
MUST_CHECK int ctlcopy_args_take(struct ctlcopy_args *a);
void ctlcopy_args_release(struct ctlcopy_args *a);
/* A text that is the same for the same work: for its mark. */
void ctlcopy_work(struct buf *out, const struct ctlcopy_args *a, const char *words);
/*
 * The mark of the work, and its range: what a mark says, else the flags; a start that nobody said
 * is looked for when `first`, else 0.
 */
MUST_CHECK int ctlcopy_mark(const struct ctlcopy_args *a, const char *work, struct ctlhttp *http,
    bool first, struct ctlmark **mark, int64_t *from_ms, int64_t *to_ms);

#endif
