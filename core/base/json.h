/*
 * json - streaming JSON text out, into a struct buf, and what strings of others say. Go's escaping:
 * envelope strings escape < > & and U+2028/9 (json_str), label strings do not (json_str_raw).
 * Invalid UTF-8 becomes U+FFFD. No state is kept: commas are the caller's.
 */
#ifndef CORE_BASE_JSON_H
#define CORE_BASE_JSON_H

#include "core/base/buf.h"

void json_str(struct buf *b, const char *s, size_t len);     /* with quotes */
void json_str_raw(struct buf *b, const char *s, size_t len); /* with quotes */
/* As raw, for files that people show in a terminal: DEL and U+0080 to U+009F are escaped, too. */
void json_str_shown(struct buf *b, const char *s, size_t len);
bool json_utf8_valid(const char *s, size_t len);

/*
 * In: what the inside of a string (without its quotes) says, into to, which has room for len bytes:
 * it is never longer. Half of a surrogate pair alone becomes U+FFFD (RFC 8259, 8.2). False: an
 * escape is none.
 */
bool json_unescape(const char *raw, size_t len, char *to, size_t *out_len);
/* Is what stands behind a backslash, from p on, an escape? */
bool json_is_escape(const char *p, const char *end);

#endif
