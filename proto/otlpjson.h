/*
 * otlpjson - a request of OTLP/JSON as the protobuf bytes of the same message, which the decoder of
 * OTLP then reads (proto/otlp.h): ExportMetricsServiceRequest ("OTLP Specification", JSON Protobuf
 * Encoding; the JSON mapping of protobuf).
 *
 *   keys            lowerCamelCase or snake_case; unknown ones are passed over
 *   64-bit integers strings or numbers; also 32-bit ones. A number may have a fraction of zeros or
 *                   an exponent as long as it is whole
 *   doubles         numbers, or strings: "NaN", "Infinity", "-Infinity", a number
 *   enums           numbers or names
 *   traceId, spanId hex digits of any case; other bytes base64, with any of both alphabets, padded
 *                   or not
 *   null            as if the key was not there; not as an element of an array
 *   the same key twice  what protobuf makes of a field that comes twice: the last one counts,
 *                   arrays follow one another
 *   strings         escapes as in RFC 8259; half a surrogate pair is U+FFFD; other bytes are taken
 *                   as they are
 * Zeros that are told are written, so that "told" and "not told" stay apart where protobuf knows of
 * it. Objects and arrays stand at most OTLPJSON_DEPTH deep in one another.
 *
 * Memory: the result, at most max_bytes, and a fixed stack. Thread: one at a time.
 * Errors: ERR_MALFORMED, ERR_TRUNCATED, ERR_TOOBIG; the text names the place:
 *   resourceMetrics[0].scopeMetrics[0].metrics[3].sum.dataPoints[1].asInt: "1x" is no integer
 * Cost: one pass, a copy of what is nested when its length becomes known.
 */
#ifndef PROTO_OTLPJSON_H
#define PROTO_OTLPJSON_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define OTLPJSON_DEPTH 100u

struct otlpjson;
struct otlpjson *otlpjson_create(size_t max_bytes);
void otlpjson_free(struct otlpjson *j);
/*
 * Reads on from *p, some turn_bytes far, and sets it behind what was read. end is the end of the
 * whole text. *done: it is read, *p == end, and the result is whole.
 */
MUST_CHECK enum err otlpjson_read(struct otlpjson *j, const uint8_t **p, const uint8_t *end,
    size_t turn_bytes, bool *done, struct errbuf *eb);
/* What was made so far; whole, it lives as long as j. Its memory is at most twice as large. */
const uint8_t *otlpjson_result(const struct otlpjson *j, size_t *len);

#endif
