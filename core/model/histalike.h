/*
 * histalike - do two native histograms say the same? Layouts differ without a meaning: a chunk's
 * samples share its spans, so that a bucket which is empty in one of them stands there or not.
 *
 * Thread: pure.
 */
#ifndef CORE_MODEL_HISTALIKE_H
#define CORE_MODEL_HISTALIKE_H

#include "core/model/hist.h"

/*
 * Whatever their spans say of empty buckets, and their hints of the sample before. All stale
 * markers are alike. NULL is alike NULL alone.
 */
bool hist_alike(const struct hist *a, const struct hist *b);

#endif
