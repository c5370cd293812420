/*
 * mantext - text as a page of man has it (groff(7), man(7)): a backslash and a dash are written
 * out, a dot or a quote does not begin a line.
 *
 * Pure.
 */
#ifndef CORE_BASE_MANTEXT_H
#define CORE_BASE_MANTEXT_H

#include "core/base/buf.h"

void mantext(struct buf *out, const char *s); /* s begins a line */

#endif
