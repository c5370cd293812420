/*
 * h1msg_priv - lines of heads, read alike in requests (h1msg.c) and answers (h1resp.c).
 *
 * Pure; see h1msg.h.
 */
#ifndef PROTO_H1MSG_PRIV_H
#define PROTO_H1MSG_PRIV_H

#include "proto/h1msg.h"

/* Of a reason phrase, and of a field's value: visible, SP, HTAB, obs-text. */
bool h1msg_is_text(const char *s, size_t len);
/* One line without its CR LF; line[len] may be written. */
bool h1msg_line_field(char *line, size_t len, struct h1msg_field *f);
/* RFC 9110, 8.6: digits, nothing else; a list of equal values is refused, too. */
bool h1msg_length(const char *v, size_t len, int64_t *out);
/* Words of a Connection field; what is not said stays. */
void h1msg_connection(const char *v, size_t len, bool *close, bool *keep_alive);
bool h1msg_word_is(const char *s, size_t len, const char *word);

#endif
