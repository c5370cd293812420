/*
 * ctlsrc - series with their samples out of a server, piece by piece, by one of three ways:
 *
 *   read    remote read, chunks as a stream (Kymo, Prometheus, Mimir, Thanos' sidecars and stores
 *           behind one), or samples where a server gives no chunks: floats, native histograms,
 *           stale markers
 *   lines   /api/v1/export, JSON lines (VictoriaMetrics, Kymo): floats and stale markers
 *   query   /api/v1/query of metric{...}[range] (Thanos' querier, everything with PromQL): floats
 *           alone, since answers have neither stale markers nor the buckets of histograms as they
 *           were stored
 *
 * A piece is a selector and a range of time, both ends within:
 *   ctlsrc_begin > ctlsrc_next, ctlsrc_next ... > one that is no CTLSRC_ITEM
 * A series may come in several items; samples of an item ascend, those of items need not. Samples
 * beyond the range are left out here, whatever the server gives.
 *
 * Memory: what came and is not read is held to some MiB, the server waits then; the whole answer of
 * `query`, and of `read` without chunks: more than answer_max is CTLSRC_SMALLER.
 * Thread: the main thread. Bytes of the server are hostile: what cannot be read is CTLSRC_BROKEN.
 */
#ifndef NET_CTL_CTLSRC_H
#define NET_CTL_CTLSRC_H

#include "core/model/sample.h"
#include "net/ctl/ctlhttp.h"
#include "net/ctl/ctlsel.h"

enum ctlsrc_way {
	CTLSRC_AUTO,
	CTLSRC_READ,
	CTLSRC_LINES,
	CTLSRC_QUERY
};
const char *ctlsrc_way_name(enum ctlsrc_way way); /* "remote read" */

struct ctlsrc_opts {
	struct ctlhttp *http; /* borrowed */
	enum ctlsrc_way way;
	const char *params; /* of query, "dedup=false&...", or NULL; borrowed */
	bool packed;        /* the server may pack what it can */
	size_t answer_max;  /* 0: 256 MiB */
	bool partial;       /* an answer of query with warnings is taken */
};
struct ctlsrc_piece {
	const struct ctlsel *sel; /* borrowed until its end */
	int64_t from_ms, to_ms;
};
struct ctlsrc_item {
	struct labels labels; /* canonical, until the next call */
	struct sample_column samples;
};
enum ctlsrc_got {
	CTLSRC_ITEM,
	CTLSRC_END,
	CTLSRC_SMALLER, /* the server says that it is too much, or it is for us */
	CTLSRC_BROKEN,  /* it passes: to be begun again, from the start of the piece */
	CTLSRC_FAILED   /* for good, or the user stops */
};
struct ctlsrc_counts {
	uint64_t bytes, samples;
	uint64_t histograms;      /* of samples */
	uint64_t left_histograms; /* seen, and left out: the way has no form for them */
	uint64_t left_series;     /* labels that no series may have */
};

struct ctlsrc;
/* CTLSRC_AUTO: asks the server. 0 or an enum ctl_exit that has been told. */
MUST_CHECK int ctlsrc_open(const struct ctlsrc_opts *o, struct ctlsrc **out);
void ctlsrc_close(struct ctlsrc *s); /* NULL is fine */
enum ctlsrc_way ctlsrc_way(const struct ctlsrc *s);
void ctlsrc_begin(struct ctlsrc *s, const struct ctlsrc_piece *piece);
MUST_CHECK enum ctlsrc_got ctlsrc_next(struct ctlsrc *s, struct ctlsrc_item *out);
/* Of SMALLER, BROKEN, FAILED: why, a line; and how the program would end, having told it. */
const char *ctlsrc_why(const struct ctlsrc *s);
int ctlsrc_tell(const struct ctlsrc *s);
const struct ctlsrc_counts *ctlsrc_counts(const struct ctlsrc *s);

#endif
