#include "core/seam/sink.h"

/* Words of answers to writes: senders and dashboards match on them. */
const char *const sink_reason_word[SINK_REASONS] = {
	[SINK_OK] = "ok",
	[SINK_OUT_OF_BOUNDS] = "out_of_bounds",
	[SINK_TOO_OLD] = "too_old",
	[SINK_BAD_LABELS] = "bad_labels",
	[SINK_LABEL_LIMIT] = "label_limit",
	[SINK_SERIES_LIMIT] = "series_limit",
	[SINK_CARDINALITY] = "cardinality",
	[SINK_BAD_HISTOGRAM] = "bad_histogram",
};
