/*
 * exemplar - one measured event beside a series: its time, its value and labels of its own
 * (trace_id and such), as memory, log and files keep it.
 *
 * Own labels are canonical bytes (core/model/label.h) without a metric name; their names and values
 * have at most EXEMPLAR_RUNES characters in all (OpenMetrics 1.0, "Exemplars").
 *   encoded  zigzag(t_ms)  value (8 bytes, little endian)  varint(n) labels[n]
 *   list     encoded, one behind the other, by time
 * Thread: pure. Memory: labels point into the bytes that were read.
 */
#ifndef CORE_MODEL_EXEMPLAR_H
#define CORE_MODEL_EXEMPLAR_H

#include "core/base/wire.h"
#include "core/model/label.h"

#define EXEMPLAR_RUNES     128u
#define EXEMPLAR_BYTES_MAX 1024u /* of canonical labels with so many characters */

struct exemplar {
	int64_t t_ms;
	double v;
	struct labels labels; /* len 0: it has none */
};
/*
 * Wire-shaped labels of an exemplar to canonical ones: sorted, empty values dropped. False: too
 * long, no UTF-8, a name that is empty or comes twice, or broken. Cost is bounded by
 * EXEMPLAR_RUNES.
 */
bool exemplar_labels(struct arena *a, struct labels wire, struct labels *out);
bool exemplar_same(const struct exemplar *a, const struct exemplar *b);
/* By time, then value and labels: a total order. */
int exemplar_cmp(const struct exemplar *a, const struct exemplar *b);
void exemplar_put(struct buf *out, const struct exemplar *e);
/* False: at the end, or broken (r->bad). */
bool exemplar_get(struct wire_reader *r, struct exemplar *out);
/*
 * Sorts, drops what is there twice and all but the newest max: how many are left, at the
 * beginning of the list.
 */
size_t exemplar_join(struct exemplar *list, size_t count, size_t max);

#endif
