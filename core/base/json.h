/*
 * json - streaming JSON text out, into a struct buf. Go's escaping: envelope strings escape < > &
 * and U+2028/9 (json_str), label strings do not (json_str_raw).
 * Invalid UTF-8 becomes U+FFFD. No state is kept: commas are the caller's.
 */
#ifndef CORE_BASE_JSON_H
#define CORE_BASE_JSON_H

#include "core/base/buf.h"

void json_str(struct buf *b, const char *s, size_t len);     /* with quotes */
void json_str_raw(struct buf *b, const char *s, size_t len); /* with quotes */
bool json_utf8_valid(const char *s, size_t len);

#endif
