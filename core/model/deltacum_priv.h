/*
 * deltacum_priv - the sum of an exponential histogram, as a stream of deltacum keeps it.
 *
 * A sum is one block: counts of the positive side, then of the negative one, without zeros at
 * their ends. It is never changed: adding makes the next one, which the stream takes when there is
 * room for it.
 */
#ifndef CORE_MODEL_DELTACUM_PRIV_H
#define CORE_MODEL_DELTACUM_PRIV_H

#include "core/model/deltacum.h"

struct deltaexp_side { /* while it is worked on */
	int32_t first; /* index of counts[0], as OpenTelemetry numbers buckets */
	uint32_t count;
	uint64_t counts[DELTACUM_BUCKETS];
};
struct deltaexp_sum {
	struct deltacum_exp all; /* but for the counts of the sides */
	struct deltaexp_side positive, negative;
};
/*
 * have + more in *out; have may be NULL: more alone. False: a bucket that no double falls in, a
 * scale below the smallest there is, or counts beyond 64 bits.
 */
bool deltaexp_add(
    const struct deltacum_exp *have, const struct deltacum_exp *more, struct deltaexp_sum *out);

#endif
