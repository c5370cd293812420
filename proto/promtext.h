/*
 * promtext - samples in the text format that Prometheus scrapes ("Exposition formats" of its
 * documentation), version 0.0.4.
 *
 *   # TYPE up untyped
 *   up{job="a",instance=""} 1 1700000000000
 *
 * Names that the format does not know are quoted (promtext_name_quoted), or what is wrong in them
 * becomes an underscore, as the client says it wants them.
 * Thread: pure.
 */
#ifndef PROTO_PROMTEXT_H
#define PROTO_PROMTEXT_H

#include "core/base/buf.h"
#include "core/model/label.h"
#include "core/model/sample.h"

/* The line that begins a family; it has no help. */
void promtext_type(struct buf *out, const char *name, size_t len, bool quoted);
/*
 * One sample with its time. instance: a series without that label is given an empty one, so that
 * who scrapes it does not add his own.
 */
void promtext_sample(
    struct buf *out, struct labels ls, const struct sample *s, bool instance, bool quoted);

#endif
