/*
 * otlpbody - the decoder of OTLP bodies in JSON: their protobuf bytes are made first
 * (proto/otlpjson.h), a turn at a time, then read by the decoder of OTLP (proto/otlp.h).
 *
 * d->opts: struct otlp_opts. Memory: the protobuf bytes, at most limits' write_body_bytes, on the
 * heap until end. Thread, errors: as both.
 */
#ifndef PROTO_OTLPBODY_H
#define PROTO_OTLPBODY_H

#include "proto/decoder.h"

extern const struct decoder otlpbody_json;

#endif
