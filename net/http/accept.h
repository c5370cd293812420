/*
 * accept - which of two media types a field Accept prefers (RFC 9110, section 12.5.1), for paths
 * that have something for browsers and something for programs.
 *
 * Thread: any; no memory.
 */
#ifndef NET_HTTP_ACCEPT_H
#define NET_HTTP_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True when the field names type ("text/html", lower case) with a weight above 0, not below that
 * with which it names other. What a range takes ("text/" or "*", and a star) is not named: programs
 * send that, too. A weight that is none counts as 0. Any bytes are safe.
 */
bool accept_prefers(const char *field, size_t len, const char *type, const char *other);

#endif
