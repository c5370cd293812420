/*
 * ctltext - samples with their times as text that targets expose ("Exposition formats" of the
 * Prometheus documentation, 0.0.4) and as OpenMetrics 1.0:
 *
 *   up{job="a"} 1 1700000000123        up{job="a"} 1 1700000000.123
 *
 * Names that are not plain stand in quotes, as Prometheus 3 reads them: {"my.name",job="a"} 1.
 * Histograms and stale markers have no form here: left out and counted.
 * OpenMetrics has seconds, which readers multiply by 1000 and cut: where that would miss the
 * millisecond, a tenth of one stands behind it.
 * Thread: pure. Cost: some 50 ns a sample.
 */
#ifndef NET_CTL_CTLTEXT_H
#define NET_CTL_CTLTEXT_H

#include "core/base/buf.h"
#include "core/model/label.h"
#include "core/model/sample.h"

struct ctltext_left {
	uint64_t stale, histograms;
};
/* A line of each float. */
void ctltext_rows(struct buf *out, bool openmetrics, struct labels ls,
    const struct sample_column *c, struct ctltext_left *left);
/*
 * "# TYPE name counter" and its HELP (NULL: none) of a metric. counter is of the family without
 * "_total" in OpenMetrics: nothing is said of one whose name does not end so. Histograms and
 * summaries are not told: readers would write their le and quantile anew.
 */
void ctltext_family(
    struct buf *out, bool openmetrics, const char *name, const char *type, const char *help);

#endif
