/*
 * ctlexp_priv - what the parts of ctl_export share: one for text, one for blocks.
 */
#ifndef NET_CTL_CTLEXP_PRIV_H
#define NET_CTL_CTLEXP_PRIV_H

#include "net/ctl/ctlcopy.h"
#include "net/ctl/ctlout.h"
#include "net/ctl/ctltext.h"
#include "proto/exportfmt.h"

enum form {
	FORM_NONE,
	FORM_OPENMETRICS,
	FORM_TEXT,
	FORM_JSONL,
	FORM_CSV,
	FORM_BLOCKS
};
struct bwrite;
struct ctlexp {
	enum form form;
	const char *path, *columns;
	bool overwrite;
	int64_t block_ms;
	size_t memory_bytes;
	struct ctlcopy_args args;
	struct ctlhttp *http;
	struct ctlsrc *src;
	struct ctlmark *mark;
	struct errbuf eb;
	uint64_t before; /* samples of earlier runs */
	/* text */
	struct ctlout *out;
	json_t *meta; /* of families, by name; NULL: not asked */
	struct exportfmt_csv csv;
	struct ctltext_left left;
	struct buf family; /* the name that was told last */
	struct buf place;  /* behind the last cut; empty: none that a mark does not have */
	uint64_t saved_ns, samples;
	/* blocks */
	struct bwrite *writer;
	uint64_t blocks;
};

/* The place that the mark holds, and what belongs to it. */
MUST_CHECK int ctlexp_save(struct ctlexp *x, const char *place);
const char *ctlexp_form(enum form form);
/* w->_o is filled in but for windows and groups. */
MUST_CHECK int ctlexp_text(struct ctlexp *x, struct ctlwalk *w, struct ctlprog *prog);
void ctlexp_text_left(const struct ctlexp *x); /* tells what was left out */
MUST_CHECK int ctlexp_blocks(struct ctlexp *x, struct ctlwalk *w, struct ctlprog *prog);

#endif
