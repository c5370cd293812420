/*
 * otlp_value - attributes (KeyValue) and their values (AnyValue) as texts of labels.
 *
 *   string as it is; bool true, false; int decimal; double as ECMAScript writes it (1e+21, 1e-7,
 *   NaN, Infinity); bytes as base64; list and map as JSON, keys sorted, of the same key the last;
 *   nothing "". A list or map that holds a number JSON has no word for is "", as Prometheus has it.
 *
 * A text is made of a value that is no string only when it is asked for.
 * Memory: strings are lent from the body; other texts lie in the arena. Thread: pure.
 */
#ifndef PROTO_OTLP_VALUE_H
#define PROTO_OTLP_VALUE_H

#include "core/base/arena.h"
#include "proto/otlp_names.h"

struct otlp_attr {
	const char *key, *s; /* s: its text, when any is NULL */
	uint32_t key_len, len;
	const uint8_t *any; /* its value, which is no string */
	uint32_t any_len;
};
/* One KeyValue. False: malformed. */
bool otlp_attr_read(const uint8_t *p, size_t len, struct otlp_attr *out);
/*
 * Makes the text of one that has none. ERR_MALFORMED; ERR_TOOBIG: longer than max bytes, or deeper
 * than OTLP_DEPTH.
 */
MUST_CHECK enum err otlp_attr_text(struct arena *a, size_t max, struct otlp_attr *attr);

#endif
