/*
 * ctlverify - do two servers have the same samples? Both are asked, and nothing is copied:
 *
 *   counts   of each name that the source has, in each window of time: how many samples there are
 *   queries  drawn at random, over names and ranges in which there are samples: smallest, largest
 *            and last values, sums, numbers of series, by a label or over all
 *   samples  where there are native histograms, and the source has remote read: every other of
 *            these queries is one series instead, all of whose samples are compared (ctlsame)
 *
 * Ranges are made for each side as it reads them: open at their left end as in Prometheus 3 and
 * VictoriaMetrics, or closed as in Prometheus 2 (asked by a query that needs no data). Stale
 * markers are no samples to queries. Sums may differ in their last digits (1e-9).
 * What a side says is too much is asked in halves.
 *
 * Thread: the main thread.
 */
#ifndef NET_CTL_CTLVERIFY_H
#define NET_CTL_CTLVERIFY_H

#include "net/ctl/ctlprog.h"
#include "net/ctl/ctlwalk.h"

#define CTLVERIFY_LISTED 100u /* differences that are told one by one */

struct ctlverify {
	struct ctlhttp *from, *to; /* borrowed */
	const char *params;        /* of the source's queries, or NULL */
	struct ctlsrc *reads;      /* the source by remote read, or NULL; borrowed */
	const struct ctlsel *sels;
	size_t sels_count;
	int64_t from_ms, to_ms, window_ms;
	unsigned queries;
	uint64_t seed;
	bool partial; /* as of struct ctlwalk_opts */
	bool quiet;
	/* How it ended. */
	uint64_t counted; /* samples of the source */
	uint64_t compared, differ;
	unsigned asked, asked_differ;
};
/* CTL_OK: the same; CTL_NO: differences, told on stdout. Others have been told. */
MUST_CHECK int ctlverify_run(struct ctlverify *v);

#endif
