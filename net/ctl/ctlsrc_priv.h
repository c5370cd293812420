/*
 * ctlsrc_priv - what the three ways of ctlsrc share.
 */
#ifndef NET_CTL_CTLSRC_PRIV_H
#define NET_CTL_CTLSRC_PRIV_H

#include "core/base/arena.h"
#include "core/base/jsonin.h"
#include "core/model/batch.h"
#include "core/model/limits.h"
#include "net/ctl/ctlsrc.h"
#include "proto/importl.h"
#include "proto/rreadin.h"
#include "storage/chunk/column.h"

#define CTLSRC_ITEM_SAMPLES (64u << 10) /* of an item, about */

enum ctlsrc_take {
	TAKE_ITEM, /* labels and column are set */
	TAKE_MORE, /* nothing whole is there */
	TAKE_BAD   /* why is set */
};
struct ctlsrc_ops {
	const char *name;
	/* Fills the call: path, body. */
	void (*ask)(struct ctlsrc *s);
	/* Reads on in s->in from s->at. ended: nothing more comes. */
	enum ctlsrc_take (*take)(struct ctlsrc *s, bool ended);
};
extern const struct ctlsrc_ops ctlsrc_read, ctlsrc_lines, ctlsrc_query;

struct ctlsrc {
	const struct ctlsrc_ops *ops;
	struct ctlsrc_opts o;
	enum ctlsrc_way way;
	struct ctlsrc_piece piece;
	struct ctlhttp_call call;
	struct buf path, body;
	bool under_way, over;
	struct buf come; /* by callbacks, not yet in `in` */
	struct buf in;
	size_t at;  /* in it, what was read */
	bool whole; /* nothing is read before all of it is there */
	bool too_long;
	char why[ERRBUF_SIZE];
	int status;
	struct ctlsrc_counts counts;
	struct limits limits;
	/* of the item */
	struct arena arena; /* labels */
	struct labels labels;
	struct column col;
	/* read */
	struct rreadin frame;
	struct rreadin_series series;
	struct rreadin_chunk chunk;
	struct rreadin_sample sample;
	bool in_answer, in_series, has_next;
	struct buf scratch, plain;
	struct arena hists; /* of samples, until the item goes */
	/* lines */
	struct importl line;
	struct batch rows;
	size_t line_len, row;
	bool in_line;
	/* query */
	struct jsonin json;
	bool in_result, first;
};
/* Makes s->labels of wire-shaped bytes; false: no series has such labels, counted. */
bool ctlsrc_labels(struct ctlsrc *s, struct labels wire);
enum ctlsrc_take ctlsrc_bad(struct ctlsrc *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static inline void ctlsrc_add(struct ctlsrc *s, int64_t t_ms, double v)
{
	column_reserve(&s->col, 1);
	s->col.t_ms[s->col.count] = t_ms;
	s->col.v[s->col.count++] = v;
}
/* May t stand behind what the column has? */
static inline bool ctlsrc_ascends(const struct ctlsrc *s, int64_t t_ms)
{
	return !s->col.count || t_ms > s->col.t_ms[s->col.count - 1];
}

#endif
